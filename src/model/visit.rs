//! What the edge knows of a request beside its caller, handed to the hub in the request's extensions.

use std::net::IpAddr;

use http::header::{ACCEPT, HeaderMap};
use http::{HeaderName, Method};

use super::Handshake;

/// The way by which a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The TLS listener (or a trusted proxy in front of us): people and API clients, sessions and tokens.
    Public,
    /// The private listener for containers: `{base}hub/api/` only, tokens only, cookies are ignored.
    Private,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 (and 1.0).
    Http1,
    /// HTTP/2.
    Http2,
}

/// What protects a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS, with what its handshake said.
    Tls(Handshake),
    /// Nothing: the plain listener, or the private one.
    Plain,
    /// Nothing, and it should be: somebody typed `http://` before the address of the TLS listener.
    PlainOnTlsPort,
}

/// Who is at the other end of the wire, and under which origin they see us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The client's address: the peer's, or what a trusted proxy says of it.
    pub address: IpAddr,
    /// `https://host[:port]` as the browser sees us, from a `Host` that passed the check; absolute links use it.
    pub origin: String,
    /// The way by which it came in.
    pub door: Door,
}

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// True if a browser is going to a page: GET with `Sec-Fetch-Mode: navigate`, or, from older programs without that
/// header, with an `Accept` that prefers `text/html` to `application/json`.
#[must_use]
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if method != Method::GET {
        return false;
    }
    match headers.get(SEC_FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => prefers_html(headers),
    }
}

/// True if the `Accept` header names `text/html` with a higher quality than `application/json`.
#[must_use]
pub fn prefers_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    quality_of(accept, "text/html") > quality_of(accept, "application/json")
}

/// The quality of exactly this media type in thousandths; 0 if it is not named (wildcards prefer nothing).
fn quality_of(accept: &str, media_type: &str) -> u16 {
    let item =
        accept.split(',').map(str::trim).find(|item| item.split(';').next().is_some_and(|t| t.trim() == media_type));
    let Some(item) = item else { return 0 };
    let quality = item.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("q="));
    let quality = quality.and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
    // A quality lies between 0 and 1 by definition; anything else is brought there.
    (quality.clamp(0.0, 1.0) * 1000.0) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, headers: &[(&'static str, &'static str)], expected: bool) {
        let headers =
            headers.iter().map(|(k, v)| (HeaderName::from_static(k), v.parse().expect("a header value"))).collect();
        assert_eq!(is_navigation(method, &headers), expected, "{method} {headers:?}");
    }

    #[test]
    fn a_navigation_is_what_a_browser_says_it_is() {
        check(&Method::GET, &[("sec-fetch-mode", "navigate")], true);
        check(&Method::GET, &[("sec-fetch-mode", "cors"), ("accept", "text/html")], false);
        check(&Method::POST, &[("sec-fetch-mode", "navigate")], false);
        check(&Method::GET, &[("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")], true);
        check(&Method::GET, &[("accept", "application/json, text/html;q=0.9")], false);
        check(&Method::GET, &[("accept", "*/*")], false);
        check(&Method::GET, &[], false);
    }
}
