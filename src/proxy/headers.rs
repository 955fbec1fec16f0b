//! What of a request's head a server sees, and what of a server's answer a browser sees. Pure functions.
//!
//! Towards a server: our session cookie never, a caller's token only as the edge says, forwarded headers only ours,
//! hop-by-hop headers not at all, framing written anew. From a server, which may be hostile to the other tenants of
//! the same origin: cookies confined to its prefix, nothing that acts on the whole origin.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use httparse::Header;

use super::{Forwarding, Relay, TokenRule};
use crate::model::SESSION_COOKIE_STEM;
use crate::net::http1::head::{append, list, name_of, parts};
use crate::net::http1::lines::ReadyLines;
use crate::net::http1::outgoing::{push_address, push_decimal, push_header};
use crate::net::http1::response::RawResponse;

/// How the request's body is framed towards the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// No body and no header for it.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// A WebSocket handshake with this key.
    WebSocket,
}

/// Writes a request's head as the server shall see it, from request line to empty line.
pub(super) fn write_request_head(
    out: &mut Vec<u8>,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    framing: Framing,
    facts: &Forwarding<'_>,
) {
    out.reserve(1024);
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    match facts.relay {
        Some(Relay { target: Some(target), .. }) => out.extend_from_slice(target.as_bytes()),
        _ => write_target(out, uri, facts.token),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    push_header(out, "host", facts.host.as_bytes());
    match facts.relay {
        Some(_) => write_relayed(out, headers),
        None => write_clean(out, headers, facts),
    }
    match framing {
        Framing::None => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            push_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::WebSocket => out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

/// What a plain proxy passes on: all but what is the connection's. What `Connection` lists passes too, so that nobody
/// in front of us can strip what another proxy has said.
fn write_relayed(out: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        if name != header::HOST && name != header::EXPECT && !is_of_connection(name.as_str()) {
            push_header(out, name.as_str(), value.as_bytes());
        }
    }
}

/// What is written anew for each connection.
fn is_of_connection(name: &str) -> bool {
    match name.as_bytes()[0] {
        b'c' => matches!(name, "connection" | "content-length"),
        b'h' => name == "http2-settings",
        b'k' => name == "keep-alive",
        b'p' => name == "proxy-connection",
        b't' => matches!(name, "trailer" | "transfer-encoding"),
        b'u' => name == "upgrade",
        _ => false,
    }
}

/// The client's headers as our own servers may see them, and what we say of the client.
fn write_clean(out: &mut Vec<u8>, headers: &HeaderMap, facts: &Forwarding<'_>) {
    let listed = headers.get_all(header::CONNECTION);
    let lists_more = listed.iter().any(|value| {
        list(value.as_bytes()).any(|name| !matches!(name.len(), 5 | 7 | 10) || !is_usual_connection_option(name))
    });
    let is_listed = |name: &HeaderName| {
        listed.iter().any(|value| list(value.as_bytes()).any(|item| item.eq_ignore_ascii_case(name.as_ref())))
    };
    let mut has_cookies = false;
    for (name, value) in headers {
        match kind_of(name) {
            RequestHeader::Ours => {}
            _ if lists_more && is_listed(name) => {}
            RequestHeader::Cookie => has_cookies = true,
            RequestHeader::Authorization => write_authorization(out, value, facts.token),
            RequestHeader::Plain => push_header(out, name.as_str(), value.as_bytes()),
        }
    }
    if has_cookies {
        write_cookies(out, headers, facts.session_cookie);
    }
    write_forwarded(out, facts);
}

fn is_usual_connection_option(name: &[u8]) -> bool {
    ["close", "upgrade", "keep-alive"].iter().any(|usual| name.eq_ignore_ascii_case(usual.as_bytes()))
}

fn write_target(out: &mut Vec<u8>, uri: &Uri, rule: TokenRule<'_>) {
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    out.extend_from_slice(path.as_bytes());
    let Some(query) = uri.query() else { return };
    out.push(b'?');
    let pairs = || query.split('&');
    if matches!(rule, TokenRule::Pass) || !pairs().any(is_token_pair) {
        out.extend_from_slice(query.as_bytes());
        return;
    }
    let mut is_first = true;
    for pair in pairs() {
        let replacement = match rule {
            TokenRule::Replace(token) if is_token_pair(pair) => Some(token.expose()),
            TokenRule::Remove if is_token_pair(pair) => continue,
            _ => None,
        };
        if !std::mem::take(&mut is_first) {
            out.push(b'&');
        }
        match replacement {
            Some(token) => {
                out.extend_from_slice(b"token=");
                out.extend(form_urlencoded::byte_serialize(token.as_bytes()).flat_map(str::bytes));
            }
            None => out.extend_from_slice(pair.as_bytes()),
        }
    }
}

/// True for `token=…`, however the name is encoded: the edge and the server decode it both.
fn is_token_pair(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    name == "token" || (name.contains('%') && percent_encoding::percent_decode_str(name).eq(b"token".iter().copied()))
}

fn write_authorization(out: &mut Vec<u8>, value: &HeaderValue, rule: TokenRule<'_>) {
    let is_token = scheme_and_rest(value.as_bytes())
        .is_some_and(|scheme| [&b"token"[..], b"bearer"].iter().any(|token| scheme.eq_ignore_ascii_case(token)));
    match rule {
        TokenRule::Remove if is_token => {}
        TokenRule::Replace(token) if is_token => {
            out.extend_from_slice(b"authorization: token ");
            // A secret of ours has no control bytes; should one ever have, it must not write header lines.
            out.extend(token.expose().bytes().filter(u8::is_ascii_graphic));
            out.extend_from_slice(b"\r\n");
        }
        _ => push_header(out, "authorization", value.as_bytes()),
    }
}

fn scheme_and_rest(value: &[u8]) -> Option<&[u8]> {
    value.trim_ascii_start().split(|byte| byte.is_ascii_whitespace() || *byte == b'=').next()
}

/// All cookies but our sessions', in one line: HTTP/2 sends crumbs, HTTP/1.1 knows one line only.
fn write_cookies(out: &mut Vec<u8>, headers: &HeaderMap, session_cookie: &str) {
    let line_start = out.len();
    out.extend_from_slice(b"cookie: ");
    let value_start = out.len();
    push_cookies(out, headers, session_cookie);
    if out.len() == value_start {
        out.truncate(line_start);
    } else {
        out.extend_from_slice(b"\r\n");
    }
}

/// The cookies that a server may see, as the value of one line; nothing if there are none.
pub(super) fn push_cookies(out: &mut Vec<u8>, headers: &HeaderMap, session_cookie: &str) {
    let value_start = out.len();
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|value| parts(value.as_bytes(), b';'));
    for pair in pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()) {
        // A nameless `=x=y` or `x` reads as a cookie named `x` in some parsers, so every spelling counts.
        let names = parts(pair, b'=').map(<[u8]>::trim_ascii);
        let is_ours = |name: &[u8]| {
            // Browsers send the cookies of every port: a session of another Slipway on this host is nobody's here.
            name == session_cookie.as_bytes() || name.starts_with(SESSION_COOKIE_STEM.as_bytes())
        };
        if names.take(2).any(is_ours) {
            continue;
        }
        if out.len() > value_start {
            out.extend_from_slice(b"; ");
        }
        out.extend_from_slice(pair);
    }
}

fn write_forwarded(out: &mut Vec<u8>, facts: &Forwarding<'_>) {
    out.extend_from_slice(b"x-forwarded-for: ");
    let start = out.len();
    push_address(out, facts.client);
    let address = start..out.len();
    out.extend_from_slice(b"\r\nx-real-ip: ");
    out.extend_from_within(address);
    out.extend_from_slice(b"\r\n");
    push_header(out, "x-forwarded-proto", facts.scheme.as_bytes());
    push_header(out, "x-forwarded-host", facts.host.as_bytes());
    out.extend_from_slice(b"x-forwarded-port: ");
    push_decimal(out, u64::from(facts.port));
    out.extend_from_slice(b"\r\n");
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestHeader {
    /// Hop-by-hop, framing, or said by us alone.
    Ours,
    Cookie,
    Authorization,
    Plain,
}

pub(super) fn kind_of(name: &HeaderName) -> RequestHeader {
    let name = name.as_str();
    if is_ours(name) {
        return RequestHeader::Ours;
    }
    // CGI-like servers read `X_Forwarded_For` (some also `X.Forwarded.For`) as `X-Forwarded-For`: all spellings are
    // one header.
    let is_odd = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'-';
    if name.bytes().any(is_odd) && is_ours(&name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")) {
        return RequestHeader::Ours;
    }
    match name {
        "cookie" => RequestHeader::Cookie,
        "authorization" => RequestHeader::Authorization,
        _ => RequestHeader::Plain,
    }
}

/// What a client must not say to a server: it belongs to the connection, or it claims to come from a proxy.
fn is_ours(name: &str) -> bool {
    match name.as_bytes()[0] {
        b'c' => {
            matches!(name, "connection" | "content-length" | "client-ip" | "cf-connecting-ip" | "cf-connecting-ipv6")
        }
        b'e' => name == "expect",
        b'f' => matches!(name, "forwarded" | "forwarded-for" | "fastly-client-ip" | "front-end-https"),
        b'h' => matches!(name, "host" | "http2-settings"),
        b'k' => name == "keep-alive",
        b'p' => name == "proxy" || name.starts_with("proxy-"),
        b'r' => name.starts_with("remote-"),
        b't' => matches!(name, "te" | "trailer" | "trailers" | "transfer-encoding" | "true-client-ip"),
        b'u' => name == "upgrade",
        b'x' => is_proxy_claim(name),
        _ => false,
    }
}

fn is_proxy_claim(name: &str) -> bool {
    const PREFIXES: [&str; 7] =
        ["x-forwarded", "x-original", "x-remote-", "x-edge-", "x-slipway-", "x-webauth-", "x-auth-request-"];
    const NAMES: [&str; 12] = [
        "x-real-ip",
        "x-real-port",
        "x-scheme",
        "x-url-scheme",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-rewrite-url",
        "x-proxyuser-ip",
        "x-host",
        "x-forward-for",
        "x-http-host-override",
        "x-appengine-user-ip",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The headers of a server's answer as a browser may see them. Framing and hop-by-hop headers are gone; a
/// `content-length` stays where it says how long the body (or, for HEAD, the body that is not sent) is.
///
/// # Errors
/// A header cannot be what it claims to be.
pub(super) fn response_headers(
    raw: &RawResponse<'_, '_>,
    parsed: &[u8],
    head: &Bytes,
    facts: &Forwarding<'_>,
) -> Result<HeaderMap, &'static str> {
    if facts.relay.is_some() {
        return relayed_headers(raw, parsed, head);
    }
    let mut headers = HeaderMap::with_capacity(raw.headers.len() + 2);
    for line in passing_lines(raw, facts) {
        let name = name_of(line.header)?;
        match line.confined {
            None => append(&mut headers, name, line.header.value, parsed, head)?,
            Some(value) => {
                let value = HeaderValue::from_maybe_shared(Bytes::from(value)).map_err(|_| "a malformed cookie")?;
                headers.try_append(name, value).map_err(|_| "too many headers")?;
            }
        }
    }
    Ok(headers)
}

/// The same for a client of HTTP/1.1, as lines. What others on the way may set or ask for is in the map: they find it
/// there.
///
/// # Errors
/// A header cannot be what it claims to be.
pub(super) fn response_lines(
    raw: &RawResponse<'_, '_>,
    method: &Method,
    facts: &Forwarding<'_>,
) -> Result<(HeaderMap, ReadyLines), &'static str> {
    let (mut headers, mut lines) = (HeaderMap::new(), ReadyLines::new());
    // The length of a body that is there is the codec's to write; of one that is not, only the server knows it.
    let tells_length = method == Method::HEAD || raw.status == 304;
    for line in passing_lines(raw, facts) {
        let Header { name, value } = *line.header;
        match name.len() {
            14 if name.eq_ignore_ascii_case("content-length") => {
                if tells_length {
                    headers.insert(header::CONTENT_LENGTH, value_of(value)?);
                }
            }
            // The edge gives answers an id; a server's own would stand beside it.
            12 if name.eq_ignore_ascii_case("x-request-id") => {
                headers.append(name_of(line.header)?, value_of(value)?);
            }
            _ => lines.push(name, line.confined.as_deref().unwrap_or(value)),
        }
    }
    Ok((headers, lines))
}

fn value_of(value: &[u8]) -> Result<HeaderValue, &'static str> {
    HeaderValue::from_bytes(value).map_err(|_| "a header's value has bytes that are not allowed")
}

/// A line of a server's answer that a browser may see.
struct PassingLine<'h, 'b> {
    header: &'h Header<'b>,
    /// In place of its value: a cookie, confined to the server's prefix.
    confined: Option<Vec<u8>>,
}

fn passing_lines<'h, 'b>(
    raw: &'h RawResponse<'_, 'b>,
    facts: &'h Forwarding<'_>,
) -> impl Iterator<Item = PassingLine<'h, 'b>> {
    let connection = || raw.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("connection"));
    let lists_more = connection().any(|header| list(header.value).any(|name| !is_usual_connection_option(name)));
    let is_listed = move |name: &str| {
        connection().any(|line| list(line.value).any(|item| item.eq_ignore_ascii_case(name.as_bytes())))
    };
    let keeps_length = raw.status != 204 && !raw.status.is_informational();
    raw.headers.iter().filter_map(move |header| {
        let mut room = [0; MEANING_BYTES];
        let may_pass = match lower_start(header.name, &mut room) {
            // The length is no matter of the connection, whatever the server says.
            b"content-length" => keeps_length,
            name => !(is_refused(name) || lists_more && is_listed(header.name)),
        };
        let is_cookie = header.name.eq_ignore_ascii_case("set-cookie");
        let cookie = if is_cookie { confine_cookie(header.value, facts) } else { Cookie::AsItIs };
        match cookie {
            _ if !may_pass => None,
            Cookie::AsItIs => Some(PassingLine { header, confined: None }),
            Cookie::Confined(value) => Some(PassingLine { header, confined: Some(value) }),
            Cookie::Refused => None,
        }
    })
}

/// A name is told from all others by so many bytes at most, if it means something here.
const MEANING_BYTES: usize = 40;

/// The beginning of a name in lower case, as much as matters.
fn lower_start<'r>(name: &str, room: &'r mut [u8; MEANING_BYTES]) -> &'r [u8] {
    let length = name.len().min(room.len());
    room[..length].copy_from_slice(&name.as_bytes()[..length]);
    room[..length].make_ascii_lowercase();
    &room[..length]
}

/// A server's headers as a plain proxy passes them on.
fn relayed_headers(raw: &RawResponse<'_, '_>, parsed: &[u8], head: &Bytes) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::with_capacity(raw.headers.len() + 2);
    let keeps_length = raw.status != 204 && !raw.status.is_informational();
    for header in raw.headers {
        let name = name_of(header)?;
        let is_kept = if name == header::CONTENT_LENGTH { keeps_length } else { !is_of_connection(name.as_str()) };
        if is_kept {
            append(&mut headers, name, header.value, parsed, head)?;
        }
    }
    Ok(headers)
}

/// What a server must not say to a browser: it belongs to the connection, or acts on the whole origin, which is not
/// one server's to decide.
pub(super) fn is_refused(name: &[u8]) -> bool {
    match name[0] {
        b'a' => name == b"alt-svc",
        // A page with the same opener policy as ours could read a hub page that it opened as a popup.
        b'c' => matches!(name, b"connection" | b"clear-site-data" | b"cross-origin-opener-policy"),
        b'e' => name == b"expect-ct",
        b'k' => name == b"keep-alive",
        b'n' => name == b"nel",
        b'p' => name.starts_with(b"proxy-") || name.starts_with(b"public-key-pins"),
        b'r' => matches!(name, b"report-to" | b"reporting-endpoints"),
        // `(sec-|secure-)session-…` binds cookies of the whole origin to a device, and holds requests for them up.
        b's' => {
            matches!(name, b"service-worker-allowed" | b"strict-transport-security" | b"set-cookie2" | b"set-login")
                || name.starts_with(b"sec-session-")
                || name.starts_with(b"secure-session-")
        }
        b't' => matches!(name, b"te" | b"trailer" | b"transfer-encoding"),
        b'u' => name == b"upgrade",
        b'x' => name.starts_with(b"x-edge-") || name.starts_with(b"x-slipway-"),
        _ => false,
    }
}

/// What becomes of a server's cookie.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cookie {
    AsItIs,
    Confined(Vec<u8>),
    Refused,
}

/// Cookies of the hub that no server may set. (`jupyterhub-user-…` is the server's own: its OAuth client's name.)
const HUB_COOKIES: [&str; 4] =
    ["jupyterhub-hub-login", "jupyterhub-session-id", "jupyterhub-services", "jupyterhub-hub-login-oauth-state"];

/// True if the hub gives a cookie of this name a meaning.
pub(super) fn hubs_cookie(name: &[u8]) -> bool {
    HUB_COOKIES.iter().any(|hubs| name.eq_ignore_ascii_case(hubs.as_bytes()))
}

/// The name of a `Set-Cookie`, and the names of its attributes; `None` for what is no cookie.
pub(super) fn name_and_attributes(value: &[u8]) -> Option<(&[u8], impl Iterator<Item = &[u8]> + Clone)> {
    let mut parts = value.split(|byte| *byte == b';');
    let pair = parts.next().unwrap_or_default();
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let name = pair[..equals].trim_ascii();
    (!name.is_empty()).then_some((name, parts.map(attribute_name)))
}

fn attribute_name(attribute: &[u8]) -> &[u8] {
    attribute.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

/// A `Set-Cookie` without its attributes of this name.
pub(super) fn without_attribute(value: &[u8], name: &str) -> Vec<u8> {
    let mut parts = value.split(|byte| *byte == b';');
    let mut kept = parts.next().unwrap_or_default().to_vec();
    for part in parts.filter(|part| !attribute_name(part).eq_ignore_ascii_case(name.as_bytes())) {
        kept.push(b';');
        kept.extend_from_slice(part);
    }
    kept
}

/// Confines a `Set-Cookie` to the server's prefix: a path outside becomes the prefix, `Domain` goes; names that
/// browsers or the hub give a meaning are refused.
pub(super) fn confine_cookie(value: &[u8], facts: &Forwarding<'_>) -> Cookie {
    let mut parts = value.split(|byte| *byte == b';');
    let pair = parts.next().unwrap_or_default();
    let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { return Cookie::Refused };
    let name = pair[..equals].trim_ascii();
    let starts_with = |prefix: &[u8]| name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix);
    let is_hubs = name.eq_ignore_ascii_case(facts.session_cookie.as_bytes()) || hubs_cookie(name);
    if name.is_empty() || is_hubs || starts_with(b"__host-") || starts_with(b"__secure-") || starts_with(b"__http-") {
        return Cookie::Refused;
    }
    let is_attribute = |part: &[u8], wanted: &str| attribute_name(part).eq_ignore_ascii_case(wanted.as_bytes());
    let is_path_or_domain = |part: &&[u8]| is_attribute(part, "path") || is_attribute(part, "domain");
    let mut placed = parts.clone().filter(is_path_or_domain);
    match (placed.next(), placed.next()) {
        (None, _) => return Cookie::AsItIs,
        (Some(part), None) if is_attribute(part, "path") && is_inside(path_of(part), facts.prefix) => {
            return Cookie::AsItIs;
        }
        _ => {}
    }
    // Browsers take the last path. One that is not a path means the request's own folder, which lies inside.
    let path = parts.clone().rfind(|part| is_attribute(part, "path")).map(path_of);
    let path = path.map(|path| if is_inside(path, facts.prefix) { path } else { facts.prefix.as_bytes() });
    let mut confined = Vec::with_capacity(value.len() + facts.prefix.len() + 8);
    confined.extend_from_slice(pair);
    for part in parts.filter(|part| !is_path_or_domain(part)) {
        confined.push(b';');
        confined.extend_from_slice(part);
    }
    if let Some(path) = path {
        confined.extend_from_slice(b"; Path=");
        confined.extend_from_slice(path);
    }
    Cookie::Confined(confined)
}

fn path_of(attribute: &[u8]) -> &[u8] {
    let value = attribute.iter().position(|byte| *byte == b'=').map_or(&[][..], |equals| &attribute[equals + 1..]);
    value.trim_ascii()
}

/// True if a cookie of `path` reaches nothing outside `prefix`.
fn is_inside(path: &[u8], prefix: &str) -> bool {
    path.starts_with(prefix.as_bytes()) || Some(path) == prefix.as_bytes().strip_suffix(b"/")
}

#[cfg(test)]
mod tests;
