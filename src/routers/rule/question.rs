//! What a rule is asked about: a request, and of it what rules look at, made ready once for all of them.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, Method};

use crate::routers::access::EntryPoint;

/// A request, as the table is asked for a router.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Where it came in.
    pub entry_point: EntryPoint,
    /// The host without its port, in lower case.
    pub host: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// The query as it was sent, without its `?`; empty if there is none.
    pub query: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The client's address, as trusted proxies tell it.
    pub client: IpAddr,
}

/// A request with its path as rules see it.
#[derive(Debug)]
pub struct Asked<'a> {
    pub(super) question: &'a Question<'a>,
    /// The host without a last dot.
    pub(super) host: &'a str,
    /// Percent-encoded characters decoded, but for those that have a meaning of their own in an address, as Traefik does:
    /// `/a%20b` is `/a b`, `/a%2Fb` stays.
    pub(super) path: Cow<'a, str>,
}

impl<'a> Asked<'a> {
    /// Makes a request ready.
    #[must_use]
    pub fn new(question: &'a Question<'a>) -> Self {
        let host = question.host.strip_suffix('.').unwrap_or(question.host);
        Self { question, host, path: routing_path(question.path) }
    }

    /// The host without a last dot.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host
    }

    /// The path as rules see it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Characters that mean something else in an address when they are not encoded (RFC 3986 §2.2), and `%` itself.
const RESERVED: &[u8] = b":/?#[]@!$&'()*+,;=%";

fn routing_path(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| hex(bytes.get(at + 1..at + 3)?)).flatten();
        match code {
            Some(code) if RESERVED.contains(&code) => {
                decoded.extend(path[at..at + 3].bytes().map(|byte| byte.to_ascii_uppercase()));
                at += 3;
            }
            Some(code) => {
                decoded.push(code);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    Cow::Owned(
        String::from_utf8(decoded).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()
}

/// The values of one name in a query. Pairs that Go's parser throws away (a `;` in them, a broken percent sign) are not
/// seen here either.
pub(super) fn query_values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescaped(key)? == name).then(|| unescaped(value)).flatten()
    })
}

fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                decoded.push(hex(bytes.get(at + 1..at + 3)?)?);
                at += 3;
                continue;
            }
            b'+' => decoded.push(b' '),
            byte => decoded.push(byte),
        }
        at += 1;
    }
    Some(Cow::Owned(String::from_utf8_lossy(&decoded).into_owned()))
}
