//! Whose a token is, for what it was made, and with whom a server is shared: by name, as stored and as told.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{GroupName, ServerKey, ServiceName, UserName};

/// Whose a token is. A user is written as the bare name, as rows had it before services owned tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OwnerName {
    /// A person's.
    User(UserName),
    /// A service's.
    Service {
        /// Which.
        service: ServiceName,
    },
}

impl OwnerName {
    /// The user, if it is one.
    #[must_use]
    pub fn user(&self) -> Option<&UserName> {
        match self {
            Self::User(user) => Some(user),
            Self::Service { .. } => None,
        }
    }

    /// The service, if it is one.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::User(_) => None,
            Self::Service { service } => Some(service),
        }
    }
}

impl From<UserName> for OwnerName {
    fn from(user: UserName) -> Self {
        Self::User(user)
    }
}

impl From<ServiceName> for OwnerName {
    fn from(service: ServiceName) -> Self {
        Self::Service { service }
    }
}

/// `alice`, `service report`.
impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => user.fmt(f),
            Self::Service { service } => write!(f, "service {service}"),
        }
    }
}

/// What signs people in through us: a server or a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OAuthClient {
    /// A user's server.
    Server(ServerKey),
    /// A service.
    Service(ServiceName),
}

impl From<ServerKey> for OAuthClient {
    fn from(server: ServerKey) -> Self {
        Self::Server(server)
    }
}

impl From<ServiceName> for OAuthClient {
    fn from(service: ServiceName) -> Self {
        Self::Service(service)
    }
}

/// With whom a server is shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ShareWith {
    /// With a person.
    User(UserName),
    /// With the members of a group.
    Group(GroupName),
}

impl fmt::Display for ShareWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => user.fmt(f),
            Self::Group(group) => write!(f, "group {group}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_row_reads_as_it_was_written_before_there_were_services() {
        let alice = OwnerName::User(UserName::parse("alice").expect("a name"));
        assert_eq!(serde_json::to_string(&alice).expect("plain"), r#""alice""#);
        assert_eq!(serde_json::from_str::<OwnerName>(r#""alice""#).expect("plain"), alice);
        let report = OwnerName::from(ServiceName::parse("report").expect("a name"));
        let text = serde_json::to_string(&report).expect("plain");
        assert_eq!(serde_json::from_str::<OwnerName>(&text).expect("plain"), report);
    }
}
