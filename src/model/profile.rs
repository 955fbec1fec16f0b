//! What people tell of themselves: two names and an e-mail address. Others read it; nothing is decided by it.

use serde::{Deserialize, Serialize};

use super::name::is_invisible;

/// Longest first or last name, in characters. 100: the longest that registries know are shorter.
const NAME_LIMIT_CHARS: usize = 100;
/// Longest e-mail address, in bytes (RFC 5321 allows no longer path).
const EMAIL_LIMIT_BYTES: usize = 254;

/// Names and address of a person; each may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserProfile {
    #[serde(default)]
    first_name: String,
    #[serde(default)]
    last_name: String,
    #[serde(default)]
    email: String,
}

/// Why a text is no part of a profile. Fits after «first name: ».
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Too many characters.
    #[error("the {part} is longer than {limit} characters")]
    TooLong {
        /// `first name`, `last name` or `e-mail address`.
        part: &'static str,
        /// What is allowed at most.
        limit: usize,
    },
    /// A line break, or something that nobody sees.
    #[error("the {part} has a character that cannot be shown")]
    BadCharacter {
        /// As above.
        part: &'static str,
    },
    /// It has no `@` with something on either side, or more than one, or a space.
    #[error("the e-mail address is none: it needs a name, an @ and a host, as in ada@example.org")]
    NotAnEmail,
}

impl UserProfile {
    /// Reads what a person typed; spaces around each part are dropped.
    ///
    /// # Errors
    /// Which part cannot be, and why.
    pub fn parse(first_name: &str, last_name: &str, email: &str) -> Result<Self, ProfileError> {
        let email = email.trim();
        check("e-mail address", email, email.len(), EMAIL_LIMIT_BYTES)?;
        if !email.is_empty() && !looks_like_an_email(email) {
            return Err(ProfileError::NotAnEmail);
        }
        Ok(Self {
            first_name: name("first name", first_name)?,
            last_name: name("last name", last_name)?,
            email: email.to_owned(),
        })
    }

    /// The first name; may be empty.
    #[must_use]
    pub fn first_name(&self) -> &str {
        &self.first_name
    }

    /// The last name; may be empty.
    #[must_use]
    pub fn last_name(&self) -> &str {
        &self.last_name
    }

    /// The e-mail address; may be empty.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.email
    }

    /// `Ada Lovelace`; empty if neither name is known.
    #[must_use]
    pub fn full_name(&self) -> String {
        let parts = [self.first_name(), self.last_name()].into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(" ")
    }
}

fn name(part: &'static str, text: &str) -> Result<String, ProfileError> {
    let text = text.trim();
    check(part, text, text.chars().count(), NAME_LIMIT_CHARS)?;
    Ok(text.to_owned())
}

fn check(part: &'static str, text: &str, length: usize, limit: usize) -> Result<(), ProfileError> {
    if length > limit {
        return Err(ProfileError::TooLong { part, limit });
    }
    let is_bad = |c: char| c.is_control() || is_invisible(c) || matches!(c, '\u{2028}' | '\u{2029}');
    if text.chars().any(is_bad) { Err(ProfileError::BadCharacter { part }) } else { Ok(()) }
}

/// Loosely: what addresses may be is long, and only a mail that arrives proves one.
fn looks_like_an_email(text: &str) -> bool {
    let Some((mailbox, host)) = text.split_once('@') else { return false };
    let is_odd = |c: char| c.is_whitespace() || matches!(c, '@' | '<' | '>' | ',' | ';' | '"' | '\\');
    let host_fits = host.split('.').all(|label| !label.is_empty());
    !mailbox.is_empty() && !mailbox.contains(is_odd) && !host.contains(is_odd) && host_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_may_be_anybodys() {
        let profile = UserProfile::parse(" Zoë ", "O'Brien-Çelik 王", "zoe@example.org").expect("a profile");
        assert_eq!((profile.first_name(), profile.last_name()), ("Zoë", "O'Brien-Çelik 王"));
        assert_eq!(profile.full_name(), "Zoë O'Brien-Çelik 王");
        assert_eq!(UserProfile::parse("", "", "").expect("nothing is fine"), UserProfile::default());
        assert_eq!(UserProfile::parse("", "Ada", "").expect("a profile").full_name(), "Ada");
    }

    #[test]
    fn what_cannot_be_shown_or_is_too_long_is_refused() {
        let error = |first: &str, last: &str, email: &str| UserProfile::parse(first, last, email).expect_err("refused");
        assert_eq!(error(&"x".repeat(101), "", ""), ProfileError::TooLong { part: "first name", limit: 100 });
        assert!(UserProfile::parse(&"é".repeat(100), "", "").is_ok());
        assert_eq!(error("", "a\nb", ""), ProfileError::BadCharacter { part: "last name" });
        assert_eq!(error("a\u{202e}b", "", ""), ProfileError::BadCharacter { part: "first name" });
        assert_eq!(error("", "a\u{2028}b", ""), ProfileError::BadCharacter { part: "last name" });
        let long = format!("{}@x.org", "a".repeat(249));
        assert_eq!(error("", "", &long), ProfileError::TooLong { part: "e-mail address", limit: 254 });
    }

    #[test]
    fn an_address_is_checked_loosely() {
        for fine in ["a@b", "first.last+tag@sub.example.org", "ü@münchen.example", "o'x@example.org"] {
            assert!(UserProfile::parse("", "", fine).is_ok(), "{fine}");
        }
        for bad in ["a", "@b", "a@", "a@@b", "a@b@c", "a b@c", "a@b c", "<a@b>", "a@b,c@d", "a@.b", "a@b..c", "a@b."] {
            assert_eq!(UserProfile::parse("", "", bad), Err(ProfileError::NotAnEmail), "{bad}");
        }
    }
}
