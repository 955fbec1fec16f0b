//! Who sends this request: the session of a cookie, or the owner of a token.
//!
//! For the hub's API a token wins over a cookie, and one that we do not know makes the request anonymous; its pages
//! know sessions. Towards a server
//! a token that is not ours may be the server's own: the session decides there, and the token passes.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use memchr::memchr;

use super::answer::Refusal;
use crate::auth::{Auth, Caller, Session, Token};
use crate::model::Door;
use crate::net::http1::head::parts;

/// Cookies of our name that are tried: a browser sends one; more are somebody's attempt to set it from elsewhere.
const SESSION_COOKIES_LIMIT: usize = 4;
/// Tokens of one request that are looked up.
const TOKENS_LIMIT: usize = 4;

/// All that a request brings to show who sends it.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    session: Option<Arc<Session>>,
    /// The tokens in order of precedence; `None` is one that we do not know.
    tokens: Vec<Option<Arc<Token>>>,
}

impl Credentials {
    /// Reads cookies and tokens and looks them up in memory. Cookies mean nothing at the private door; on a user's own
    /// host, which `label` names, that host's cookie counts and the hub's does not.
    ///
    /// # Errors
    /// If the request contradicts itself.
    pub(super) fn read(
        auth: &Auth,
        session_cookie: &str,
        door: Door,
        label: Option<&str>,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Self, Refusal> {
        let tokens = tokens_of(headers, query)?;
        let mut session = None;
        if door == Door::Public {
            let mut values = cookies_of(headers, session_cookie).take(SESSION_COOKIES_LIMIT);
            session = values.find_map(|value| match label {
                None => auth.session_of_cookie(value),
                Some(label) => auth.session_of_host_cookie(value, label),
            });
        }
        Ok(Self { session, tokens: tokens.iter().map(|token| auth.token_of(token)).collect() })
    }

    /// True if a request carries a token of ours, whoever it is from.
    ///
    /// # Errors
    /// If the request contradicts itself.
    pub(super) fn has_own_token(auth: &Auth, headers: &HeaderMap, query: Option<&str>) -> Result<bool, Refusal> {
        Ok(tokens_of(headers, query)?.iter().any(|token| auth.token_of(token).is_some()))
    }

    /// The caller for the hub's pages: a browser's session counts there, whatever token the address carries. If a
    /// token could push the session aside, a server's page could make a signed-in browser post the sign-in form.
    pub(super) fn for_pages(&self) -> Caller {
        match &self.session {
            Some(session) => Caller::Session(session.clone()),
            None => self.for_hub(),
        }
    }

    /// The caller for the hub's API.
    pub(super) fn for_hub(&self) -> Caller {
        match (self.tokens.first(), &self.session) {
            (Some(Some(token)), _) => Caller::Token(token.clone()),
            (None, Some(session)) => Caller::Session(session.clone()),
            (Some(None), _) | (None, None) => Caller::Anonymous,
        }
    }

    /// The caller for a server.
    pub(super) fn for_server(&self) -> Caller {
        match (self.tokens.first(), &self.session) {
            (Some(Some(token)), _) => Caller::Token(token.clone()),
            (_, Some(session)) => Caller::Session(session.clone()),
            (_, None) => Caller::Anonymous,
        }
    }

    /// The tokens of ours that this request carries.
    pub(super) fn own_tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.tokens.iter().flatten()
    }
}

/// The values of all cookies called `name`, from however many headers (HTTP/2 sends crumbs), without quotes.
pub(super) fn cookies_of<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let cookies = headers.get_all(COOKIE).into_iter().flat_map(|line| parts(line.as_bytes(), b';'));
    cookies.filter_map(move |cookie| {
        let (key, value) = cookie.split_at(memchr(b'=', cookie)?);
        if key.trim_ascii() != name.as_bytes() {
            return None;
        }
        // Cookies of other programs travel in the same line, in whatever encoding: they must not hide ours.
        let value = std::str::from_utf8(&value[1..]).ok()?.trim_ascii();
        let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        Some(unquoted.unwrap_or(value))
    })
}

/// The tokens that a request carries: of the `Authorization` header first, then of the query.
fn tokens_of<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Result<Vec<Cow<'a, str>>, Refusal> {
    let mut tokens = Vec::new();
    let mut lines = headers.get_all(AUTHORIZATION).into_iter();
    if let Some(line) = lines.next() {
        // Which of two would the server believe? Nobody can say, so neither is.
        if lines.next().is_some() {
            return Err(Refusal::bad("it has more than one Authorization header"));
        }
        tokens.extend(line.to_str().ok().and_then(token_of_authorization).map(Cow::Borrowed));
    }
    let query = query.filter(|query| query.contains("token") || query.contains('%')).unwrap_or_default();
    let in_query = form_urlencoded::parse(query.as_bytes()).filter(|(key, value)| key == "token" && !value.is_empty());
    tokens.extend(in_query.map(|(_, value)| value));
    if tokens.len() > TOKENS_LIMIT {
        // One that we do not look at could be somebody's full rights on their way to somebody else's server.
        return Err(Refusal::bad("it has too many tokens"));
    }
    Ok(tokens)
}

/// The token of `token X` or `Bearer X`, the scheme in any case; one token and nothing behind it.
fn token_of_authorization(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    let is_ours = scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer");
    let token = token.trim();
    (is_ours && !token.is_empty() && !token.contains(char::is_whitespace)).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_is_found_wherever_it_stands() {
        let name = "__Host-Http-slipway-0011aabb";
        let check = |lines: &[&str], expected: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_str(line).expect("a header value"));
            }
            assert_eq!(cookies_of(&headers, name).collect::<Vec<_>>(), expected, "{lines:?}");
        };
        check(&["__Host-Http-slipway-0011aabb=x"], &["x"]);
        check(&["a=b; __Host-Http-slipway-0011aabb=x; c=d"], &["x"]);
        check(&["a=b;__Host-Http-slipway-0011aabb=x;c"], &["x"]);
        check(&["a=b", "__Host-Http-slipway-0011aabb=x", "c=d"], &["x"]);
        check(&["__Host-Http-slipway-0011aabb=x; __Host-Http-slipway-0011aabb=y"], &["x", "y"]);
        check(&["__Host-Http-slipway-0011aabb=\"x\""], &["x"]);
        check(&["__Host-Http-slipway-0011aabb=\"x"], &["\"x"]);
        check(&["__Host-Http-slipway-0011aabb=x=y"], &["x=y"]);
        check(
            &["__host-http-slipway-0011aabb=x", "__Host-Http-slipway-0011aabbb=x", "__Host-Http-slipway-0011aabb"],
            &[],
        );
        check(&["a=\"b; __Host-Http-slipway-0011aabb=x\""], &["x\""]);
        check(&["other=\u{e9}; __Host-Http-slipway-0011aabb=x"], &["x"]);
        check(&[], &[]);
    }

    #[test]
    fn tokens_are_read_from_header_and_query() {
        let check = |authorization: Option<&str>, query: Option<&str>, expected: &[&str]| {
            let mut headers = HeaderMap::new();
            if let Some(value) = authorization {
                headers.insert(AUTHORIZATION, HeaderValue::from_str(value).expect("a header value"));
            }
            let tokens = tokens_of(&headers, query).expect("one header");
            assert_eq!(tokens, expected, "{authorization:?} {query:?}");
        };
        check(Some("token abc"), None, &["abc"]);
        check(Some("Bearer abc"), None, &["abc"]);
        check(Some("bEARER   abc "), None, &["abc"]);
        check(Some("TOKEN abc"), None, &["abc"]);
        check(Some("token abc def"), None, &[]);
        check(Some("token"), None, &[]);
        check(Some("token "), None, &[]);
        check(Some("Basic YTpi"), None, &[]);
        check(Some("tokenabc"), None, &[]);
        check(None, Some("token=abc"), &["abc"]);
        check(None, Some("a=b&token=a%20c&c"), &["a c"]);
        check(None, Some("%74oken=abc"), &["abc"]);
        check(None, Some("token="), &[]);
        check(None, Some("_token=abc&tokens=x"), &[]);
        check(Some("token abc"), Some("token=def"), &["abc", "def"]);
        check(None, Some("token=1&token=2&token=3&token=4"), &["1", "2", "3", "4"]);
    }

    #[test]
    fn more_tokens_than_are_looked_at_are_refused() {
        let headers = HeaderMap::new();
        let tokens = tokens_of(&headers, Some("token=1&token=2&token=3&token=4&token=5"));
        assert!(matches!(tokens, Err(Refusal::BadRequest { .. })));
    }

    #[test]
    fn two_authorization_headers_are_refused() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static("token a"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("token b"));
        assert!(matches!(tokens_of(&headers, None), Err(Refusal::BadRequest { .. })));
    }
}
