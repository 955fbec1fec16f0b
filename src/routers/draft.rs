//! What one source says, a container or a file: routers, balancers and middlewares whose names point at each other
//! and are not resolved yet.

use std::fmt;
use std::sync::Arc;

use super::problem::{Place, Problem, did_you_mean};
use crate::model::GroupName;

/// Which kind of source said it: part of every name, `auth@file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Labels of containers.
    Docker,
    /// The file of routes.
    File,
}

impl Provider {
    const ALL: [Self; 2] = [Self::Docker, Self::File];

    /// As after the `@`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::File => "file",
        }
    }
}

/// The name of a router, a balancer or a middleware, with who said it. Names count as they are written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// As written before the `@`.
    pub name: Arc<str>,
    /// Who said it.
    pub provider: Provider,
}

impl ObjectName {
    /// A name of this provider.
    pub fn new(name: &str, provider: Provider) -> Self {
        Self { name: name.into(), provider }
    }

    /// Reads `auth@file`; without `@` it is one of the same provider.
    ///
    /// # Errors
    /// It is empty, or the provider is none of ours.
    pub fn read(text: &str, own: Provider, place: &Place) -> Result<Self, Problem> {
        let (name, provider) = match text.trim().rsplit_once('@') {
            None => (text.trim(), own),
            Some((name, said)) => {
                let Some(provider) = Provider::ALL.into_iter().find(|provider| provider.as_str() == said) else {
                    let near = did_you_mean(said, Provider::ALL.map(Provider::as_str));
                    let text = format!("{text}: there is no provider {said}, only docker and file{near}");
                    return Err(Problem::new(place, text));
                };
                (name, provider)
            }
        };
        if name.is_empty() {
            return Err(Problem::new(place, "a name is expected"));
        }
        Ok(Self::new(name, provider))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.provider.as_str())
    }
}

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
    fn a_name_without_a_provider_is_of_the_same() {
        let read = |text| ObjectName::read(text, Provider::Docker, &place()).map(|name| name.to_string());
        assert_eq!(read("auth"), Ok("auth@docker".to_owned()));
        assert_eq!(read(" auth@file "), Ok("auth@file".to_owned()));
        let problem = read("auth@fil").expect_err("no provider");
        assert_eq!(
            problem.to_string(),
            "container web: auth@fil: there is no provider fil, only docker and file; did you mean file?"
        );
        assert!(read("@file").is_err());
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
