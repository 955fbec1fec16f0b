//! Scopes: what can be allowed, and to whom or what it is limited (hub contract §4.1, §4.2).
//!
//! A `Scope` is one that exists, in the form it is written. What it amounts to for somebody is `auth`'s.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{GroupName, ServerKey, ServerName, ServiceName, UserName};

/// Every scope of the contract with those that it contains directly.
const SCOPES: &[(&str, &[&str])] = &[
    ("access:servers", &[]),
    ("access:services", &[]),
    ("admin-ui", &[]),
    ("admin:auth_state", &[]),
    ("admin:groups", &["groups", "read:roles:groups", "delete:groups"]),
    ("admin:server_state", &[]),
    ("admin:servers", &["admin:server_state", "servers"]),
    ("admin:services", &["list:services", "read:services", "read:roles:services"]),
    ("admin:users", &["admin:auth_state", "users", "read:roles:users", "delete:users"]),
    ("delete:groups", &[]),
    ("delete:servers", &[]),
    ("delete:users", &[]),
    ("groups", &["read:groups", "list:groups"]),
    ("groups:shares", &["read:groups:shares"]),
    ("inherit", &[]),
    ("list:groups", &["read:groups:name"]),
    ("list:services", &["read:services:name"]),
    ("list:users", &["read:users:name"]),
    ("proxy", &[]),
    // Ours: JupyterHub has no audit log.
    ("read:audit", &[]),
    ("read:groups", &["read:groups:name"]),
    ("read:groups:name", &[]),
    ("read:groups:shares", &[]),
    ("read:hub", &[]),
    ("read:metrics", &[]),
    ("read:roles", &["read:roles:users", "read:roles:services", "read:roles:groups"]),
    ("read:roles:groups", &[]),
    ("read:roles:services", &[]),
    ("read:roles:users", &[]),
    ("read:servers", &["read:users:name"]),
    ("read:services", &["read:services:name"]),
    ("read:services:name", &[]),
    ("read:shares", &[]),
    ("read:tokens", &[]),
    ("read:users", &["read:users:name", "read:users:groups", "read:users:activity"]),
    ("read:users:activity", &[]),
    ("read:users:groups", &[]),
    ("read:users:name", &[]),
    ("read:users:shares", &[]),
    ("self", &[]),
    ("servers", &["read:servers", "start:servers", "delete:servers"]),
    ("shares", &["access:servers", "read:shares", "users:shares", "groups:shares"]),
    ("shutdown", &[]),
    ("start:servers", &[]),
    ("tokens", &["read:tokens"]),
    ("users", &["read:users", "list:users", "users:activity"]),
    ("users:activity", &["read:users:activity"]),
    ("users:shares", &["read:users:shares"]),
];

/// What custom scopes begin with.
const CUSTOM: &str = "custom:";
/// Longest name of a custom scope, in bytes.
const CUSTOM_LIMIT_BYTES: usize = 255;

/// Why a text is no scope. The text names it, for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// The contract knows none of that name.
    #[error("scope {0:?} does not exist")]
    Unknown(String),
    /// After the `!` stands nothing that could limit it.
    #[error(
        "scope {0:?} has a filter that is none; filters are !user, !server, !service, !user=NAME, !server=USER/SERVER, !group=NAME and !service=NAME"
    )]
    BadFilter(String),
}

/// The name of a scope that exists: one of the contract's, or `custom:…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeName(Cow<'static, str>);

impl ScopeName {
    /// The contract's scope of that name.
    fn known(name: &str) -> Option<Self> {
        let at = SCOPES.binary_search_by_key(&name, |(name, _)| name).ok()?;
        Some(Self(Cow::Borrowed(SCOPES[at].0)))
    }

    /// Reads a custom scope's name: `custom:[a-z0-9][a-z0-9_\-*:]+[a-z0-9_*]`.
    fn custom(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(CUSTOM)?;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_fine = |c: char| is_plain(c) || "_-*:".contains(c);
        let begins_well = rest.starts_with(is_plain);
        let ends_well = rest.ends_with(|c: char| is_plain(c) || c == '_' || c == '*');
        let fits = rest.len() >= 3 && name.len() <= CUSTOM_LIMIT_BYTES;
        (begins_well && ends_well && fits && rest.chars().all(is_fine)).then(|| Self(Cow::Owned(name.to_owned())))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for one that only this installation knows.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.0.starts_with(CUSTOM)
    }

    /// True if a group filter of it means the group itself, not its members.
    #[must_use]
    pub fn is_about_groups(&self) -> bool {
        const ABOUT_GROUPS: [&str; 9] = [
            "admin:groups",
            "delete:groups",
            "groups",
            "groups:shares",
            "list:groups",
            "read:groups",
            "read:groups:name",
            "read:groups:shares",
            "read:roles:groups",
        ];
        ABOUT_GROUPS.contains(&self.as_str())
    }

    /// The scopes that this one contains directly; a custom one's stand in the configuration.
    pub fn contained(&self) -> impl Iterator<Item = Self> + use<> {
        let at = SCOPES.binary_search_by_key(&self.as_str(), |(name, _)| name);
        let contained = at.map_or(&[][..], |at| SCOPES[at].1);
        contained.iter().map(|name| Self(Cow::Borrowed(name)))
    }
}

impl Borrow<str> for ScopeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for ScopeName {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::known(text).or_else(|| Self::custom(text)).ok_or_else(|| ScopeError::Unknown(shortened(text)))
    }
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// To whom or what a scope is limited.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Filter {
    /// To nothing: it holds for all.
    None,
    /// `!user`: to the owner.
    OwnUser,
    /// `!server`: to the server that the token was made for.
    OwnServer,
    /// `!service`: to the service that owns the token, or that it was made for.
    OwnService,
    /// `!user=alice`: to the user and all servers of theirs.
    User(UserName),
    /// `!server=alice/` or `!server=alice/srv`
    Server(ServerKey),
    /// `!group=g`: to the group, or to its members and their servers.
    Group(GroupName),
    /// `!service=s`
    Service(ServiceName),
}

impl Filter {
    fn parse(text: &str) -> Option<Self> {
        let Some((kind, name)) = text.split_once('=') else {
            return match text {
                "user" => Some(Self::OwnUser),
                "server" => Some(Self::OwnServer),
                "service" => Some(Self::OwnService),
                _ => None,
            };
        };
        match kind {
            "user" => UserName::from_path(name).map(Self::User),
            "server" => {
                let (user, name) = name.split_once('/')?;
                let (user, name) = (UserName::from_path(user)?, ServerName::parse(name).ok()?);
                Some(Self::Server(ServerKey { user, name }))
            }
            "group" => GroupName::parse(name).ok().map(Self::Group),
            "service" => ServiceName::parse(name).ok().map(Self::Service),
            _ => None,
        }
    }
}

/// One scope as it is written: `read:users!group=physics`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    /// What it allows.
    pub name: ScopeName,
    /// To whom or what.
    pub filter: Filter,
}

impl Scope {
    /// One of the contract's scopes without a filter; for the ones that stand in our code.
    ///
    /// # Panics
    /// If the contract has none of that name.
    #[must_use]
    pub fn known(name: &'static str) -> Self {
        Self { name: ScopeName::known(name).expect("the name stands in the contract"), filter: Filter::None }
    }

    /// The same limited by `filter`.
    #[must_use]
    pub fn with(self, filter: Filter) -> Self {
        Self { filter, ..self }
    }

    /// `access:servers!server=alice/`
    #[must_use]
    pub fn access_to_server(server: &ServerKey) -> Self {
        Self::known("access:servers").with(Filter::Server(server.clone()))
    }

    /// `access:services!service=report`
    #[must_use]
    pub fn access_to_service(service: &ServiceName) -> Self {
        Self::known("access:services").with(Filter::Service(service.clone()))
    }

    /// True for `inherit`: all that the owner may do.
    #[must_use]
    pub fn is_inherit(&self) -> bool {
        self.name.as_str() == "inherit"
    }

    /// True for `self`: what a user may do with what is his.
    #[must_use]
    pub fn is_self(&self) -> bool {
        self.name.as_str() == "self"
    }
}

impl FromStr for Scope {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (name, filter) = text.split_once('!').map_or((text, None), |(name, filter)| (name, Some(filter)));
        let name: ScopeName = name.parse().map_err(|_| ScopeError::Unknown(shortened(text)))?;
        let filter = filter.map_or(Some(Filter::None), Filter::parse);
        // `inherit` and `self` say by themselves whose they are.
        let takes_filter = !matches!(name.as_str(), "inherit" | "self");
        let filter = filter.filter(|filter| takes_filter || *filter == Filter::None);
        let filter = filter.ok_or_else(|| ScopeError::BadFilter(shortened(text)))?;
        Ok(Self { name, filter })
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;
    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        match &self.filter {
            Filter::None => Ok(()),
            Filter::OwnUser => f.write_str("!user"),
            Filter::OwnServer => f.write_str("!server"),
            Filter::OwnService => f.write_str("!service"),
            Filter::User(user) => write!(f, "!user={user}"),
            Filter::Server(server) => write!(f, "!server={}/{}", server.user, server.name.as_str()),
            Filter::Group(group) => write!(f, "!group={group}"),
            Filter::Service(service) => write!(f, "!service={service}"),
        }
    }
}

/// So much of a text as fits into an error.
fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_only_itself() {
        assert!(SCOPES.is_sorted_by_key(|(name, _)| name));
        for (name, contained) in SCOPES {
            for inner in *contained {
                assert!(ScopeName::known(inner).is_some(), "{name} contains {inner}");
            }
        }
    }

    #[test]
    fn scopes_are_written_as_they_were_read() {
        for text in [
            "inherit",
            "read:users",
            "read:users!user",
            "access:servers!server",
            "access:services!service",
            "servers!user=a@b",
            "servers!server=alice/",
            "servers!server=alice/Srv-1",
            "list:groups!group=Physics 101",
            "access:services!service=report",
            "custom:grant-root",
            "custom:app:read:*!user=alice",
        ] {
            let scope: Scope = text.parse().expect(text);
            assert_eq!(scope.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_scope_is_named_in_the_error() {
        for text in ["", "all", "read:user", "custom:", "custom:-x1", "custom:ab-", "custom:AB1", "Read:users"] {
            assert_eq!(text.parse::<Scope>(), Err(ScopeError::Unknown(text.to_owned())), "{text}");
        }
        for text in [
            "read:users!",
            "read:users!users",
            "read:users!user=",
            "read:users!user=Alice",
            "servers!server=alice",
            "servers!server=/x",
            "read:users!group",
            "read:users!user=a!server",
            "inherit!user",
            "self!user=alice",
        ] {
            let parsed = text.parse::<Scope>();
            // A name may hold `!`.
            if text == "read:users!user=a!server" {
                assert!(parsed.is_ok());
                continue;
            }
            assert_eq!(parsed, Err(ScopeError::BadFilter(text.to_owned())), "{text}");
        }
    }
}
