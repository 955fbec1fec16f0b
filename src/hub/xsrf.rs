//! Form tokens: what shows that a request which changes something comes from a page of ours.
//!
//! A token is a nonce and a MAC over it. The key comes from the session, so a token is worth nothing for anybody
//! else; visitors without a session get a random id in a `__Host-` cookie, and the key comes from that. What the
//! `_xsrf` cookie says does not count (a server's page could have set it): only the MAC does. The cookie exists
//! because programs written for JupyterHub read it there and send it back.

use axum::http::{HeaderMap, HeaderName, Method};

use super::cookies::values;
use super::form::{Fields, query_value};
use crate::auth::Session;
use crate::model::{Random, same_secret};

/// Name of the cookie, the form field and the query parameter.
pub(super) const NAME: &str = "_xsrf";
const HEADERS: [HeaderName; 2] = [HeaderName::from_static("x-xsrftoken"), HeaderName::from_static("x-csrftoken")];
const NONCE_LENGTH: usize = 24;
const MAC_LENGTH: usize = 32;

/// What tokens are signed with.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// A key of these bytes.
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key of a session: it outlives a restart of ours, as the session does.
    pub(super) fn of_session(session: &Session) -> Self {
        Self(blake3::derive_key("slipway 2026 form tokens of a session", &session.key.0))
    }

    /// The key of a visitor without a session.
    pub(super) fn of_visitor(&self, visitor_id: &str) -> Self {
        Self(*blake3::keyed_hash(&self.0, visitor_id.as_bytes()).as_bytes())
    }

    /// A new token.
    pub(super) fn mint(&self, random: &Random) -> String {
        let nonce = random.hex::<{ NONCE_LENGTH / 2 }>();
        let mac = self.mac(&nonce);
        nonce + &mac
    }

    /// True if this key has signed `token`.
    pub(super) fn has_signed(&self, token: &str) -> bool {
        if token.len() != NONCE_LENGTH + MAC_LENGTH || !token.is_ascii() {
            return false;
        }
        let (nonce, mac) = token.split_at(NONCE_LENGTH);
        same_secret(&self.mac(nonce), mac)
    }

    fn mac(&self, nonce: &str) -> String {
        blake3::keyed_hash(&self.0, nonce.as_bytes()).to_hex()[..MAC_LENGTH].to_owned()
    }
}

/// What came of the check; in the extensions of every request that had one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A token of this caller's, or none is needed.
    Passed,
    /// There is no token.
    Missing,
    /// The token is somebody else's, or made up, or older than a restart.
    Mismatch,
}

/// The token a request carries: form field, then header, then query.
pub(super) fn token_of(headers: &HeaderMap, query: Option<&str>, fields: &Fields) -> Option<String> {
    let in_header = || HEADERS.iter().find_map(|name| headers.get(name)?.to_str().ok().map(str::to_owned));
    fields.find(NAME).map(str::to_owned).or_else(in_header).or_else(|| query_value(query, NAME))
}

/// True if the token comes in a header: no address and no form of another page can put it there.
pub(super) fn is_in_header(headers: &HeaderMap) -> bool {
    HEADERS.iter().any(|name| headers.contains_key(name))
}

/// Checks the token of a request against the key of its sender (`None`: a visitor whose id did not come along).
pub(super) fn verdict(key: Option<&Key>, token: Option<&str>) -> Verdict {
    match (key, token.filter(|token| !token.is_empty())) {
        (_, None) => Verdict::Missing,
        (Some(key), Some(token)) if key.has_signed(token) => Verdict::Passed,
        _ => Verdict::Mismatch,
    }
}

/// True if a request must carry a token when a session is all that speaks for it. A method that changes things
/// must; so must a read by script, because a script on a server's page could hand our answer on. (JupyterHub lets
/// same-origin `no-cors` reads pass; on one origin with the servers that is the hole itself.)
pub(super) fn is_needed(method: &Method, headers: &HeaderMap) -> bool {
    if !method.is_safe() {
        return true;
    }
    let mode = headers.get("sec-fetch-mode");
    method == Method::GET && mode.is_some_and(|mode| mode != "navigate")
}

/// The visitor's id from its cookie, if it looks like one of ours. With several there is no telling whose is whose.
pub(super) fn visitor_id<'a>(headers: &'a HeaderMap, cookie_name: &'a str) -> Option<&'a str> {
    let mut ids = values(headers, cookie_name);
    let id = ids.next()?;
    let is_ours = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_ours && ids.next().is_none()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_token_counts_for_the_one_it_was_made_for() {
        let random = Random::from_seed(1);
        let server_key = Key::new([7; 32]);
        let (mine, yours) = (server_key.of_visitor("a"), server_key.of_visitor("b"));
        let token = mine.mint(&random);
        assert!(mine.has_signed(&token) && !yours.has_signed(&token));
        assert_ne!(token, mine.mint(&random));
        for forged in ["", "x", &token[1..], &token.to_uppercase(), &"ü".repeat(28)] {
            assert!(!mine.has_signed(forged), "{forged}");
        }
        assert_eq!(verdict(Some(&mine), Some(&token)), Verdict::Passed);
        assert_eq!(verdict(Some(&yours), Some(&token)), Verdict::Mismatch);
        assert_eq!(verdict(None, Some(&token)), Verdict::Mismatch);
        assert_eq!(verdict(Some(&mine), Some("")), Verdict::Missing);
    }

    #[test]
    fn a_token_is_found_in_field_header_and_query() {
        let mut headers = HeaderMap::new();
        assert_eq!(token_of(&headers, Some("_xsrf=q"), &Fields::default()).as_deref(), Some("q"));
        headers.insert("x-csrftoken", HeaderValue::from_static("c"));
        assert_eq!(token_of(&headers, Some("_xsrf=q"), &Fields::default()).as_deref(), Some("c"));
        headers.insert("x-xsrftoken", HeaderValue::from_static("x"));
        assert_eq!(token_of(&headers, None, &Fields::default()).as_deref(), Some("x"));
        assert_eq!(token_of(&headers, None, &Fields::parse(b"_xsrf=f")).as_deref(), Some("f"));
    }

    #[test]
    fn a_read_by_script_needs_a_token_and_a_navigation_does_not() {
        let check = |method: Method, mode: Option<&'static str>, expected: bool| {
            let mut headers = HeaderMap::new();
            if let Some(mode) = mode {
                headers.insert("sec-fetch-mode", HeaderValue::from_static(mode));
            }
            assert_eq!(is_needed(&method, &headers), expected, "{method} {mode:?}");
        };
        check(Method::GET, None, false);
        check(Method::GET, Some("navigate"), false);
        check(Method::GET, Some("cors"), true);
        check(Method::GET, Some("no-cors"), true);
        check(Method::GET, Some("same-origin"), true);
        check(Method::HEAD, Some("cors"), false);
        check(Method::OPTIONS, Some("cors"), false);
        check(Method::POST, None, true);
        check(Method::POST, Some("navigate"), true);
        check(Method::DELETE, None, true);
    }

    #[test]
    fn a_visitor_with_two_ids_has_none() {
        let id = "0123456789abcdef0123456789abcdef";
        let mut headers = HeaderMap::new();
        headers.insert("cookie", format!("v={id}").parse().expect("ascii"));
        assert_eq!(visitor_id(&headers, "v"), Some(id));
        headers.append("cookie", format!("v={}", id.replace('0', "1")).parse().expect("ascii"));
        assert_eq!(visitor_id(&headers, "v"), None);
        headers.insert("cookie", "v=short".parse().expect("ascii"));
        assert_eq!(visitor_id(&headers, "v"), None);
    }
}
