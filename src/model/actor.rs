//! Who does something that the audit keeps, and from where.

use std::net::IpAddr;

use super::TokenId;

/// Who does something, as the audit names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// A user's name, a service's, or `command` and `slipway` for what comes from this host.
    pub name: String,
    /// The client's address; none for what comes from this host.
    pub from: Option<IpAddr>,
    /// The token that was used, if it was one.
    pub token: Option<TokenId>,
}

/// Somebody on this host: nobody came over the network.
impl From<&str> for Actor {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), from: None, token: None }
    }
}

impl From<&Self> for Actor {
    fn from(actor: &Self) -> Self {
        actor.clone()
    }
}
