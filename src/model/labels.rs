//! Names of groups, roles and services; numbers of share codes.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::{NameError, check, check_with};

/// Longest name of a group, in bytes: JupyterHub's column.
const GROUP_LIMIT_BYTES: usize = 255;

macro_rules! name_type {
    ($name:ident) => {
        impl $name {
            /// The name as stored.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

/// A group's name, as written: 1 to 255 bytes, single spaces inside are allowed (`Physics 101`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(Arc<str>);

impl GroupName {
    /// Reads a group's name.
    ///
    /// # Errors
    /// If it is no name by the rules of `NameError`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.starts_with(' ') || text.ends_with(' ') || text.contains("  ") {
            return Err(NameError::BadCharacter(' '));
        }
        check_with(text, GROUP_LIMIT_BYTES, |c| c == ' ')?;
        Ok(Self(text.into()))
    }
}

name_type!(GroupName);

/// A service's name: 1 to 64 bytes, safe in a path segment once encoded.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// Reads a service's name.
    ///
    /// # Errors
    /// If it is no name by the rules of `NameError`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text)?;
        Ok(Self(text.into()))
    }
}

name_type!(ServiceName);

/// A role's name: JupyterHub's `[a-z][a-z0-9\-_~.]{1,253}[a-z0-9]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(Arc<str>);

impl RoleName {
    /// Reads a role's name.
    ///
    /// # Errors
    /// `BadRole` if it is none.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let begins_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        let ends_well = text.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_~.".contains(c);
        if !begins_well || !ends_well || !(3..=255).contains(&text.len()) || !text.chars().all(is_fine) {
            return Err(NameError::BadRole);
        }
        Ok(Self(text.into()))
    }
}

name_type!(RoleName);

/// Names a share code: JupyterHub shows it as `sc_1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ShareCodeId(pub u64);

impl fmt::Display for ShareCodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sc_{}", self.0)
    }
}

impl std::str::FromStr for ShareCodeId {
    type Err = ();
    /// Reads `sc_1`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix("sc_").filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).map(Self).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_names_keep_their_case_and_single_spaces() {
        assert_eq!(GroupName::parse("Physics 101").map(String::from), Ok("Physics 101".into()));
        for bad in ["", " a", "a ", "a  b", "a/b", "a,b", "a\nb", "..", "a\u{200b}"] {
            assert!(GroupName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(GroupName::parse(&"g".repeat(256)).is_err() && GroupName::parse(&"g".repeat(255)).is_ok());
    }

    #[test]
    fn role_names_follow_jupyterhubs_pattern() {
        for good in ["abc", "instructor-physics_1.2~x", "a-1"] {
            assert!(RoleName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "ab", "Abc", "1ab", "ab-", "a b", "aüb", &"a".repeat(256)] {
            assert_eq!(RoleName::parse(bad), Err(NameError::BadRole), "{bad}");
        }
    }

    #[test]
    fn a_share_code_is_read_as_it_is_shown() {
        assert_eq!("sc_12".parse(), Ok(ShareCodeId(12)));
        assert_eq!(ShareCodeId(12).to_string(), "sc_12");
        for bad in ["12", "sc_", "sc_x", "sc_+1", "sc_-1", "sc_99999999999999999999"] {
            assert!(bad.parse::<ShareCodeId>().is_err(), "{bad}");
        }
    }
}
