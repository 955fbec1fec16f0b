//! What a client may not say and a target may not do, for requests that are changed on their way: the same rules as
//! `headers` writes by, applied to the headers themselves before anything of ours is added to them.
//!
//! Such a request then goes out as a plain proxy's (`Relay`): whatever stands in it by then was meant.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, UPGRADE};

use super::headers::{
    Cookie, RequestHeader, hubs_cookie, is_refused, kind_of, name_and_attributes, push_cookies, without_attribute,
};
use crate::model::SESSION_COOKIE_STEM;
use crate::net::http1::head::list;

/// Something that is let go of when an exchange is over, its WebSocket included.
#[derive(Clone)]
pub struct Guard(#[allow(dead_code, reason = "it is held, nobody looks at it")] Arc<dyn Any + Send + Sync>);

impl Guard {
    /// Holds `held`.
    pub fn new(held: impl Any + Send + Sync) -> Self {
        Self(Arc::new(held))
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

/// Removes what only a proxy may say (`X-Forwarded-*`, `Remote-User` and the like, in every spelling that some program
/// reads as these), what belongs to the connection, and our sessions' cookies. `Host` and `Content-Length` stay.
pub fn remove_claims(headers: &mut HeaderMap, session_cookie: &str) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| list(value.as_bytes()))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    let removed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| **name != HOST && **name != CONTENT_LENGTH && kind_of(name) == RequestHeader::Ours)
        .cloned()
        .collect();
    for name in removed.iter().chain(&listed) {
        headers.remove(name);
    }
    if headers.contains_key(COOKIE) {
        let mut kept = Vec::new();
        push_cookies(&mut kept, headers, session_cookie);
        headers.remove(COOKIE);
        if !kept.is_empty()
            && let Ok(kept) = HeaderValue::from_bytes(&kept)
        {
            headers.insert(COOKIE, kept);
        }
    }
}

/// Removes from an answer what would touch others: everywhere cookies of our names, and for a target that shares the
/// hub's host (`is_shared`) whatever acts on the whole origin.
pub fn confine_answer(headers: &mut HeaderMap, session_cookie: &str, is_shared: bool) {
    if is_shared {
        // The target's own `Upgrade` went with its connection: one that is here is ours, and without it a 101 opens nothing.
        let refused: Vec<HeaderName> =
            headers.keys().filter(|name| **name != UPGRADE && is_refused(name.as_str().as_bytes())).cloned().collect();
        for name in refused {
            headers.remove(name);
        }
    }
    if !headers.contains_key(SET_COOKIE) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for line in lines {
        match confined(line.as_bytes(), session_cookie, is_shared) {
            Cookie::AsItIs => {
                headers.append(SET_COOKIE, line);
            }
            Cookie::Confined(value) => {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.append(SET_COOKIE, value);
                }
            }
            Cookie::Refused => {}
        }
    }
}

/// A cookie of a target. One that may reach the hub's host must not have a name that means something there.
fn confined(value: &[u8], session_cookie: &str, is_shared: bool) -> Cookie {
    let Some((name, attributes)) = name_and_attributes(value) else { return Cookie::Refused };
    let has_domain = attributes.clone().any(|attribute| attribute.eq_ignore_ascii_case(b"domain"));
    let begins = |stem: &str| name.get(..stem.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(stem.as_bytes()));
    let is_session = name.eq_ignore_ascii_case(session_cookie.as_bytes()) || begins(SESSION_COOKIE_STEM);
    let reaches_hub = is_shared || has_domain;
    if is_session || reaches_hub && (hubs_cookie(name) || begins("jupyterhub-")) {
        return Cookie::Refused;
    }
    if is_shared && has_domain {
        return Cookie::Confined(without_attribute(value, "domain"));
    }
    Cookie::AsItIs
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "__Host-Http-slipway-0011aabb";

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            );
        }
        headers
    }

    #[test]
    fn no_spelling_of_a_claim_gets_through() {
        let claims = [
            "remote-user",
            "remote_user",
            "Remote.User",
            "REMOTE-GROUPS",
            "remote!user",
            "x-forwarded-user",
            "x_forwarded_user",
            "X-Forwarded.User",
            "x-forwarded-for",
            "x-slipway-user",
            "x_slipway_admin",
            "x-webauth-user",
            "X-WEBAUTH_USER",
            "x-auth-request-user",
            "x-real-ip",
            "x-remote-user",
            "forwarded",
            "proxy",
            "proxy-authorization",
            "te",
            "upgrade",
            "connection",
            "expect",
        ];
        let mut all = headers(&claims.map(|name| (name, "root")));
        all.insert("x-plain", HeaderValue::from_static("stays"));
        all.insert(HOST, HeaderValue::from_static("x"));
        remove_claims(&mut all, SESSION);
        let mut left: Vec<_> = all.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "x-plain"]);
    }

    #[test]
    fn what_the_client_says_is_the_connections_is_gone_before_ours_is_added() {
        let mut all = headers(&[("connection", "close, x-plain, remote-user, host"), ("x-plain", "a"), ("host", "x")]);
        remove_claims(&mut all, SESSION);
        assert_eq!(all, headers(&[("host", "x")]));
    }

    #[test]
    fn our_session_stays_behind_and_other_cookies_pass() {
        let mut all = headers(&[("cookie", &format!("a=1; {SESSION}=x")), ("cookie", "__Host-Http-slipway-ff=y;b=2")]);
        remove_claims(&mut all, SESSION);
        assert_eq!(all, headers(&[("cookie", "a=1; b=2")]));
        let mut all = headers(&[("cookie", &format!("{SESSION}=x"))]);
        remove_claims(&mut all, SESSION);
        assert!(all.is_empty());
    }

    #[test]
    fn a_targets_cookies_cannot_be_ours() {
        let check = |cookie: &str, is_shared: bool, expected: Option<&str>| {
            let mut all = headers(&[("set-cookie", cookie)]);
            confine_answer(&mut all, SESSION, is_shared);
            let got = all.get(SET_COOKIE).map(|value| value.to_str().expect("text").to_owned());
            assert_eq!(got.as_deref(), expected, "{cookie} {is_shared}");
        };
        for is_shared in [true, false] {
            check(&format!("{SESSION}=x; Path=/; Secure"), is_shared, None);
            check("__HOST-http-slipway-other=x", is_shared, None);
            check("a=1; Path=/", is_shared, Some("a=1; Path=/"));
            check("nothing", is_shared, None);
            check("jupyterhub-hub-login=x; Domain=example.org", is_shared, None);
        }
        check("a=1; Domain=example.org; Path=/", true, Some("a=1; Path=/"));
        check("a=1; Domain=example.org; Path=/", false, Some("a=1; Domain=example.org; Path=/"));
        check("jupyterhub-user-alice=x; Path=/user/alice", true, None);
        check("jupyterhub-session-id=x", true, None);
        check("jupyterhub-session-id=x", false, Some("jupyterhub-session-id=x"));
        check("__Host-app=x; Path=/; Secure", true, Some("__Host-app=x; Path=/; Secure"));
    }

    #[test]
    fn only_a_target_of_its_own_host_acts_on_the_whole_of_it() {
        let all = || headers(&[("clear-site-data", "*"), ("strict-transport-security", "max-age=1"), ("x-a", "b")]);
        let (mut shared, mut own) = (all(), all());
        confine_answer(&mut shared, SESSION, true);
        confine_answer(&mut own, SESSION, false);
        assert_eq!(shared, headers(&[("x-a", "b")]));
        assert_eq!(own, all());
    }

    #[test]
    fn what_opens_a_websocket_stays() {
        for is_shared in [true, false] {
            let mut all = headers(&[("upgrade", "websocket")]);
            confine_answer(&mut all, SESSION, is_shared);
            assert_eq!(all, headers(&[("upgrade", "websocket")]));
        }
    }
}
