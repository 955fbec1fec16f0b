//! Who may use a router, and where it listens.

use std::fmt;

use super::problem::{Place, Problem, did_you_mean};
use crate::model::GroupName;

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryPoint {
    /// `listener.http`.
    Web,
    /// `listener.https`.
    WebSecure,
}

impl EntryPoint {
    /// As in labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::WebSecure => "websecure",
        }
    }

    /// Reads it; the names that people's Traefik files use most for the two are known too.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "web" | "http" => Some(Self::Web),
            "websecure" | "web-secure" | "https" => Some(Self::WebSecure),
            _ => None,
        }
    }
}

/// Who may use a router: `slipway.access`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Access {
    /// Anybody, as with Traefik.
    #[default]
    Public,
    /// Whoever has signed in.
    User,
    /// The members of this group, and administrators.
    Group(GroupName),
    /// Administrators.
    Admin,
}

impl Access {
    /// Reads `public`, `user`, `admin` or `group:NAME`.
    ///
    /// # Errors
    /// It is none of them.
    pub fn read(text: &str, place: &Place) -> Result<Self, Problem> {
        let text = text.trim();
        if let Some(group) = text.strip_prefix("group:") {
            let group = group.trim();
            return GroupName::parse(group)
                .map(Self::Group)
                .map_err(|error| Problem::new(place, format!("access = {text}: {group} is no group's name: {error}")));
        }
        match text.to_ascii_lowercase().as_str() {
            "public" => Ok(Self::Public),
            "user" => Ok(Self::User),
            "admin" => Ok(Self::Admin),
            _ => {
                let near = did_you_mean(text, ["public", "user", "admin"]);
                let text = format!("access = {text}: must be public, user, admin or group:NAME{near}");
                Err(Problem::new(place, text))
            }
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::User => f.write_str("user"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Admin => f.write_str("admin"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::Container("web".into())
    }

    #[test]
    fn access_is_one_of_four() {
        let read = |text| Access::read(text, &place());
        assert_eq!(read("group:Physics 101").expect("a group").to_string(), "group:Physics 101");
        assert_eq!(read("Admin"), Ok(Access::Admin));
        assert_eq!(
            read("users").expect_err("none").text,
            "access = users: must be public, user, admin or group:NAME; did you mean user?"
        );
        assert!(read("group:").is_err());
    }
}
