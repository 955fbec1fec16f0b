//! Every rule about who may do what: pure functions over a caller.

use super::scope::{self, Scopes};
use super::{Caller, Token, User};
use crate::model::ServerKey;
use crate::store::TokenKind;

/// True if the caller may open `server`: its owner, an administrator, or a token of theirs whose scopes reach it.
#[must_use]
pub fn may_access_server(caller: &Caller, server: &ServerKey) -> bool {
    match caller {
        Caller::Anonymous => false,
        Caller::Session(session) => owns_or_administers(&session.user, server),
        // Asked on every request of a program, so the scopes are read as they stand instead of expanded.
        Caller::Token(token) => {
            owns_or_administers(&token.user, server) && token.scopes.iter().any(|raw| reaches(raw, token, server))
        }
    }
}

fn owns_or_administers(user: &User, server: &ServerKey) -> bool {
    user.is_authorised() && (user.name == server.user || user.is_admin())
}

/// True if the raw scope holds `access:servers` for `server`, as far as the owner does.
fn reaches(raw: &str, token: &Token, server: &ServerKey) -> bool {
    let (name, filter) = raw.split_once('!').map_or((raw, None), |(name, filter)| (name, Some(filter)));
    if name == "inherit" {
        return filter.is_none();
    }
    if name == "self" {
        return filter.is_none() && token.user.name == server.user;
    }
    if name != "access:servers" && name != "shares" {
        return false;
    }
    match filter {
        None => true,
        Some("user") => token.user.name == server.user,
        Some("server") => matches!(&token.kind, TokenKind::Server(own) if own == server),
        Some(filter) => match filter.split_once('=') {
            Some(("user", user)) => user == server.user.as_str(),
            Some(("server", named)) => {
                named.split_once('/').is_some_and(|(u, s)| u == server.user.as_str() && s == server.name.as_str())
            }
            _ => false,
        },
    }
}

/// True if the caller may start and stop `server`: its owner or an administrator by session, or a token of theirs
/// with the scope for it. The tokens that servers and their visitors hold have none.
#[must_use]
pub fn may_start_server(caller: &Caller, server: &ServerKey) -> bool {
    match caller {
        Caller::Anonymous => false,
        Caller::Session(session) => owns_or_administers(&session.user, server),
        Caller::Token(token) => {
            owns_or_administers(&token.user, server)
                && scope::covers_any(&scopes_of_token(token), &format!("start:servers!server={}", server.scope_name()))
        }
    }
}

/// True for an administrator's session, and for a token of theirs that holds `admin:users` without a filter.
#[must_use]
pub fn may_administer(caller: &Caller) -> bool {
    match caller {
        Caller::Anonymous => false,
        Caller::Session(session) => session.user.is_admin(),
        Caller::Token(token) => token.user.is_admin() && scopes_of_token(token).contains("admin:users"),
    }
}

/// Expanded concrete scopes, sorted, for `GET /hub/api/user` (contract §1.3).
#[must_use]
pub fn scopes_of(caller: &Caller) -> Vec<String> {
    let scopes = match caller {
        Caller::Anonymous => Scopes::new(),
        Caller::Session(session) => scopes_of_user(&session.user),
        Caller::Token(token) => scopes_of_token(token),
    };
    scopes.into_iter().collect()
}

fn scopes_of_user(user: &User) -> Scopes {
    if !user.is_authorised() {
        return Scopes::new();
    }
    scope::of_user(&user.name, user.is_admin())
}

fn scopes_of_token(token: &Token) -> Scopes {
    let server = match &token.kind {
        TokenKind::Server(server) => Some(server),
        TokenKind::OAuth { .. } | TokenKind::Api => None,
    };
    let of_owner = scopes_of_user(&token.user);
    scope::of_token(&token.scopes, &token.user.name, &of_owner, server)
}
