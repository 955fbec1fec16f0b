//! Under which name a user's volumes are kept: that of the account's first start, whatever it is called since.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{NameError, UserName, docker_escape};

/// The part of volume names that says whose they are: `alice` in `jupyterlab-alice_home`. Two accounts never have the
/// same at one time. It has no `_` in it, so `{prefix}-{stem}_{suffix}` can be taken apart again.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeStem(String);

impl VolumeStem {
    /// What an account of this name has, unless somebody else has it already.
    #[must_use]
    pub fn of(user: &UserName) -> Self {
        Self(docker_escape(user.as_str()))
    }

    /// What it has instead, from 2: `alice.2`. The escape never makes a dot, so this is nobody's first choice.
    #[must_use]
    pub fn numbered(user: &UserName, number: u32) -> Self {
        Self(format!("{}.{number}", docker_escape(user.as_str())))
    }

    /// As it stands in names.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VolumeStem {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        match text.chars().find(|c| !is_fine(*c)) {
            Some(bad) => Err(NameError::BadCharacter(bad)),
            None if text.is_empty() => Err(NameError::Empty),
            None => Ok(Self(text)),
        }
    }
}

impl From<VolumeStem> for String {
    fn from(stem: VolumeStem) -> Self {
        stem.0
    }
}

impl fmt::Display for VolumeStem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for VolumeStem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_is_the_escaped_name_and_a_numbered_one_is_nobodys_first_choice() {
        let user = |name| UserName::parse(name).expect("a name");
        assert_eq!(VolumeStem::of(&user("first.last")).as_str(), "first-2elast");
        assert_eq!(VolumeStem::numbered(&user("first.last"), 2).as_str(), "first-2elast.2");
        assert_ne!(VolumeStem::of(&user("alice.2")), VolumeStem::numbered(&user("alice"), 2));
    }

    #[test]
    fn what_is_read_back_is_a_stem() {
        let read = |text: &str| serde_json::from_str::<VolumeStem>(text);
        assert_eq!(read(r#""alice.2""#).expect("one").as_str(), "alice.2");
        for bad in [r#""""#, r#""a/b""#, r#""../x""#, r#""a_b""#, r#""A""#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
