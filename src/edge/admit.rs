//! May this request pass? Pure decisions over what was read from it; the rules about people are `auth`'s.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method};

use super::answer::Refusal;
use super::config::PublicUrl;
use super::visitors::Place;
use crate::auth::{self, Auth, Caller, User};
use crate::model::{GroupName, ServerKey};
use crate::routers::Access;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The host that a request is for, read from `:authority` or `Host`.
///
/// # Errors
/// If there is none, if there are two that differ, or if it is no host.
pub(super) fn authority_of(uri_authority: Option<&Authority>, headers: &HeaderMap) -> Result<Authority, Refusal> {
    let mut hosts = headers.get_all(http::header::HOST).into_iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::bad("it has more than one Host header"));
    }
    let host = host.map(|host| Authority::try_from(host.as_bytes()).map_err(|_| Refusal::bad("its Host is not valid")));
    let authority = match (uri_authority, host.transpose()?) {
        (Some(authority), Some(host)) if !same_host(authority.as_str(), host.as_str()) => {
            return Err(Refusal::bad("its Host and its address name different hosts"));
        }
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => host,
        (None, None) => return Err(Refusal::bad("it does not say for which host it is")),
    };
    let (whole, name) = (authority.as_str(), authority.host());
    let has_odd_port = whole.len() != name.len() && authority.port_u16().is_none();
    if whole.contains('@') || name.is_empty() || has_odd_port {
        return Err(Refusal::bad("its Host is not valid"));
    }
    Ok(authority)
}

/// True if we answer under this host: the public one, `localhost`, an IP address, or a name on a certificate.
pub(super) fn is_our_host(
    authority: &Authority,
    public_url: Option<&PublicUrl>,
    is_certified: impl Fn(&str) -> bool,
) -> bool {
    let is_public = public_url.is_some_and(|url| same_host(url.authority(), authority.as_str()));
    let host = authority.host();
    let unbracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    is_public
        || host.eq_ignore_ascii_case("localhost")
        || unbracketed.parse::<IpAddr>().is_ok()
        || is_certified(&host.to_ascii_lowercase())
}

/// True if both are the same host and port, 443 being the port that is not written.
pub(super) fn same_host(one: &str, other: &str) -> bool {
    let without_default = |authority| str::strip_suffix(authority, ":443").unwrap_or(authority);
    without_default(one).eq_ignore_ascii_case(without_default(other))
}

/// What a browser says about where a request comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Provenance<'a> {
    /// True for a GET that goes to a page.
    pub(super) is_navigation: bool,
    /// True if it asks for a WebSocket.
    pub(super) is_websocket: bool,
    /// `Origin`.
    pub(super) origin: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub(super) site: Option<&'a str>,
    /// True for a page in a frame (`Sec-Fetch-Dest`).
    pub(super) is_framed: bool,
}

impl<'a> Provenance<'a> {
    /// Reads it from a request's head.
    pub(super) fn read(method: &Method, headers: &'a HeaderMap, is_websocket: bool) -> Self {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        Self {
            // Not `is_navigation` of `model`: without the header nobody vouches that it is one.
            is_navigation: method == Method::GET && text(SEC_FETCH_MODE) == Some("navigate"),
            is_websocket,
            origin: text(http::header::ORIGIN),
            site: text(SEC_FETCH_SITE),
            is_framed: text(SEC_FETCH_DEST).is_some_and(|dest| dest != "document"),
        }
    }
}

/// The rules against other sites that use a person's session through their browser. They hold for sessions only:
/// nobody's browser sends a token by itself.
///
/// # Errors
/// `CrossSite`.
pub(super) fn provenance(caller: &Caller, provenance: Provenance<'_>, host: &str) -> Result<(), Refusal> {
    if caller.session().is_none() {
        return Ok(());
    }
    if provenance.is_websocket {
        // Browsers always send it with a WebSocket; without it there is no way to tell, so there is no session.
        // A page in clear text under our name is whoever sits on the line.
        let origin_host = provenance.origin.and_then(|origin| origin.strip_prefix("https://"));
        let is_ours = origin_host.is_some_and(|origin_host| same_host(origin_host, host));
        return if is_ours { Ok(()) } else { Err(Refusal::CrossSite) };
    }
    let is_foreign = matches!(provenance.site, Some("cross-site" | "same-site"));
    // Another user's host is the same site, so its frames bring the session along.
    if is_foreign && (!provenance.is_navigation || provenance.is_framed) { Err(Refusal::CrossSite) } else { Ok(()) }
}

/// What happens to a request for a server's path, as far as its caller decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It passes.
    Admitted,
    /// Nobody we know; may sign in.
    Anonymous,
    /// Somebody who may not know whether there is such a server.
    Hidden,
}

/// Decides for a caller and the servers that a path may mean. `user_exists` tells of the owner of those servers.
pub(super) fn server(caller: &Caller, servers: &[ServerKey], user_exists: bool) -> Admission {
    if caller.is_anonymous() {
        return Admission::Anonymous;
    }
    let may_access = servers.iter().any(|server| auth::may_access_server(caller, server));
    if may_access && user_exists { Admission::Admitted } else { Admission::Hidden }
}

/// The same for a router. Administrators may use any; a token counts if it opens all servers of its owner, so that
/// neither a server's own nor a visitor's does. `is_member` is asked only where it matters.
pub(super) fn routed(caller: &Caller, access: &Access, is_member: impl FnOnce(&User, &GroupName) -> bool) -> Admission {
    if *access == Access::Public {
        return Admission::Admitted;
    }
    if caller.is_anonymous() {
        return Admission::Anonymous;
    }
    let Some(user) = caller.user().filter(|_| auth::may_use_routers(caller)) else { return Admission::Hidden };
    let may_use = match access {
        Access::Public | Access::User => true,
        Access::Admin => auth::may_administer(caller),
        Access::Group(group) => auth::may_administer(caller) || is_member(user, group),
    };
    if may_use { Admission::Admitted } else { Admission::Hidden }
}

/// True if somebody who was let in to `place` would be let in now.
pub(super) fn may_stay(auth: &Auth, caller: &Caller, place: &Place) -> bool {
    match place {
        Place::Server(server) => auth::may_access_server(caller, server),
        Place::Router(access) => {
            let is_member = |user: &User, group: &GroupName| auth.groups_of(&user.name).contains(group);
            routed(caller, access, is_member) == Admission::Admitted
        }
    }
}

/// Checks a body whose length is known.
///
/// # Errors
/// `TooLong`.
pub(super) fn body(length_bytes: Option<u64>, limit_bytes: u64) -> Result<(), Refusal> {
    match length_bytes {
        Some(length) if length > limit_bytes => Err(Refusal::TooLong { limit_bytes }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
