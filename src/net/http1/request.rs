//! The head of a request as a client sends it, read strictly: refused, never repaired.

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, Request, StatusCode, Uri, Version};
use httparse::Header;

use super::Limits;
use super::decode::Decoder;
use super::head::{HEADER_STORAGE, all_lines_end_in_crlf, append, content_length, list_has, name_of, storage};

/// Longer methods do not exist.
const METHOD_BYTES: usize = 32;

/// Why a request is not served, and the status that says so. The connection closes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {what}")]
pub struct Refusal {
    /// What the client is told.
    pub status: StatusCode,
    /// What was wrong: a fragment of a sentence.
    pub what: &'static str,
}

impl Refusal {
    pub(super) const fn bad(what: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, what }
    }

    const fn with(status: StatusCode, what: &'static str) -> Self {
        Self { status, what }
    }
}

/// A request's head, and what it means for the connection.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) request: Request<()>,
    pub(super) body: Decoder,
    pub(super) is_1_1: bool,
    pub(super) keeps_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) wants_websocket: bool,
    /// How many bytes the head takes.
    pub(super) head_bytes: usize,
}

/// Reads a head out of `bytes`; none if it is not whole yet.
pub(super) fn parse_request(bytes: &[u8], limits: &Limits) -> Result<Option<Head>, Refusal> {
    let mut storage = storage();
    let mut parsed = httparse::Request::new(&mut []);
    if bytes.first().is_some_and(|byte| !byte.is_ascii_graphic()) {
        return Err(Refusal::bad("something else than a request"));
    }
    let room = &mut storage[..limits.header_count.min(HEADER_STORAGE)];
    let head_bytes = match parsed.parse_with_uninit_headers(bytes, room) {
        Ok(httparse::Status::Complete(count)) => count,
        Ok(httparse::Status::Partial) => return check_unfinished(bytes, limits),
        Err(httparse::Error::TooManyHeaders) => return Err(too_large("too many headers")),
        Err(httparse::Error::Version) => {
            return Err(Refusal::with(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "another version of HTTP"));
        }
        Err(httparse::Error::HeaderName) => return Err(Refusal::bad("a malformed header name")),
        Err(httparse::Error::HeaderValue) => return Err(Refusal::bad("a malformed header value")),
        Err(_) => return Err(Refusal::bad("a malformed head")),
    };
    if !all_lines_end_in_crlf(&bytes[..head_bytes]) {
        return Err(Refusal::bad("a line that ends without CRLF"));
    }
    if head_bytes > limits.head_bytes {
        return Err(too_large("too large a head"));
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Refusal::bad("a malformed request line"));
    };
    if target.len() > limits.target_bytes {
        return Err(Refusal::with(StatusCode::URI_TOO_LONG, "too long an address"));
    }
    // One copy, and every header value is a slice of it: the block it was read into is free again.
    let head = Bytes::copy_from_slice(&bytes[..head_bytes]);
    let method = parse_method(method)?;
    let target = Target::parse(target, &method)?;
    let fields = Fields::read(parsed.headers, bytes, &head)?;
    let is_1_1 = minor == 1;
    fields.check_host(is_1_1, target.authority)?;

    let mut request = Request::new(());
    let start = (target.path.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
    *request.uri_mut() = target.uri(&head, start)?;
    *request.method_mut() = method;
    *request.version_mut() = if is_1_1 { Version::HTTP_11 } else { Version::HTTP_10 };
    let body = fields.body(is_1_1)?;
    let wants_websocket = is_1_1 && fields.asks_upgrade && fields.upgrade_is_websocket;
    if wants_websocket && !body.is_at_end() {
        return Err(Refusal::bad("an upgrade with a body"));
    }
    let keeps_alive = !fields.asks_close && (is_1_1 || fields.asks_keep_alive);
    let expects_continue = is_1_1 && fields.expects_continue && !body.is_at_end();
    *request.headers_mut() = fields.map;
    Ok(Some(Head { request, body, is_1_1, keeps_alive, expects_continue, wants_websocket, head_bytes }))
}

fn too_large(what: &'static str) -> Refusal {
    Refusal::with(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, what)
}

/// A head that goes on must still be able to stay within the limits.
fn check_unfinished(bytes: &[u8], limits: &Limits) -> Result<Option<Head>, Refusal> {
    // The method and the version stand in the first line too.
    let line_limit = limits.target_bytes + METHOD_BYTES + 16;
    if bytes.len() > line_limit && !bytes[..line_limit].contains(&b'\n') {
        return Err(Refusal::with(StatusCode::URI_TOO_LONG, "too long an address"));
    }
    if bytes.len() >= limits.head_bytes {
        return Err(too_large("too large a head"));
    }
    Ok(None)
}

fn parse_method(method: &str) -> Result<Method, Refusal> {
    if method.len() > METHOD_BYTES {
        return Err(Refusal::bad("too long a method"));
    }
    match Method::from_bytes(method.as_bytes()) {
        // CONNECT would make us a forward proxy; TRACE shows cookies to scripts.
        Ok(Method::CONNECT | Method::TRACE) => {
            Err(Refusal::with(StatusCode::METHOD_NOT_ALLOWED, "a method that is not served here"))
        }
        Ok(method) => Ok(method),
        Err(_) => Err(Refusal::bad("a malformed method")),
    }
}

/// A request target in its parts.
struct Target<'a> {
    /// Path and query.
    path: &'a str,
    /// What an absolute address says of the host.
    authority: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn parse(target: &'a str, method: &Method) -> Result<Self, Refusal> {
        // Graphic ASCII, less what no program sends unencoded and what would end the address (RFC 3986 appendix C).
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'<' | b'>' | b'"')) {
            return Err(Refusal::bad("an address with bytes that are not allowed"));
        }
        if target.starts_with('/') || (target == "*" && *method == Method::OPTIONS) {
            return Ok(Self { path: target, authority: None });
        }
        let scheme_ends = target.find("://").unwrap_or(0);
        let scheme = &target[..scheme_ends];
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(Refusal::bad("an address that is neither a path nor http"));
        }
        let rest = &target[scheme_ends + 3..];
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        Ok(Self { path: &rest[path_at..], authority: Some(&rest[..path_at]) })
    }

    fn uri(&self, head: &Bytes, start: usize) -> Result<Uri, Refusal> {
        let uri = if self.path.starts_with('/') || self.path == "*" {
            Uri::from_maybe_shared(head.slice(start..start + self.path.len()))
        } else {
            // `http://host` and `http://host?query` mean the root.
            Uri::from_maybe_shared(Bytes::from(format!("/{}", self.path)))
        };
        uri.map_err(|_| Refusal::bad("a malformed address"))
    }
}

/// A head's header fields, and those that decide about framing and connection.
#[derive(Default)]
struct Fields<'a> {
    map: HeaderMap,
    host: Option<&'a [u8]>,
    host_count: usize,
    length: Option<u64>,
    is_chunked: bool,
    asks_close: bool,
    asks_keep_alive: bool,
    asks_upgrade: bool,
    upgrade_is_websocket: bool,
    expects_continue: bool,
}

impl<'a> Fields<'a> {
    fn read(parsed: &[Header<'a>], bytes: &[u8], head: &Bytes) -> Result<Self, Refusal> {
        let mut fields = Self { map: HeaderMap::with_capacity(parsed.len()), ..Self::default() };
        for header in parsed {
            let name = name_of(header).map_err(Refusal::bad)?;
            match name {
                header::HOST => {
                    fields.host = Some(header.value);
                    fields.host_count += 1;
                }
                header::CONTENT_LENGTH => fields.note_length(header.value)?,
                header::TRANSFER_ENCODING => fields.note_encoding(header.value)?,
                header::CONNECTION => {
                    fields.asks_close |= list_has(header.value, "close");
                    fields.asks_keep_alive |= list_has(header.value, "keep-alive");
                    fields.asks_upgrade |= list_has(header.value, "upgrade");
                }
                header::UPGRADE => fields.upgrade_is_websocket |= header.value.eq_ignore_ascii_case(b"websocket"),
                header::EXPECT => fields.note_expectation(header.value)?,
                _ => {}
            }
            append(&mut fields.map, name, header.value, bytes, head).map_err(Refusal::bad)?;
        }
        Ok(fields)
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        // Two of them are refused even if they agree: somebody along the way may have read only one.
        if self.length.is_some() {
            return Err(Refusal::bad("more than one content-length"));
        }
        self.length = Some(content_length(value).ok_or(Refusal::bad("a content-length that is not a number"))?);
        Ok(())
    }

    fn note_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::bad("a transfer-encoding other than chunked"));
        }
        self.is_chunked = true;
        Ok(())
    }

    fn note_expectation(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.expects_continue || !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::with(StatusCode::EXPECTATION_FAILED, "an expectation other than 100-continue"));
        }
        self.expects_continue = true;
        Ok(())
    }

    fn body(&self, is_1_1: bool) -> Result<Decoder, Refusal> {
        match (self.length, self.is_chunked) {
            (Some(_), true) => Err(Refusal::bad("both content-length and transfer-encoding")),
            (None, true) if !is_1_1 => Err(Refusal::bad("a transfer-encoding in HTTP/1.0")),
            (None, true) => Ok(Decoder::CHUNKED),
            (length, false) => Ok(Decoder::Length(length.unwrap_or(0))),
        }
    }

    fn check_host(&self, is_1_1: bool, authority: Option<&str>) -> Result<(), Refusal> {
        if self.host_count > 1 || (self.host_count == 0 && is_1_1) {
            return Err(Refusal::bad("not exactly one Host"));
        }
        let host = self.host;
        if host.is_some_and(|host| !is_host(host)) {
            return Err(Refusal::bad("a malformed Host"));
        }
        let differs = |authority: &str| host.is_none_or(|host| !host.eq_ignore_ascii_case(authority.as_bytes()));
        if authority.is_some_and(differs) {
            return Err(Refusal::bad("an address whose host is not the Host"));
        }
        Ok(())
    }
}

/// `name`, `name:port`, `1.2.3.4:port` or `[::1]:port`.
pub(crate) fn is_host(host: &[u8]) -> bool {
    let (name_is_good, rest) = if let Some(inner) = host.strip_prefix(b"[") {
        let Some(end) = inner.iter().position(|byte| *byte == b']') else { return false };
        let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        (end >= 2 && inner[..end].iter().all(is_address), &inner[end + 1..])
    } else {
        let end = host.iter().position(|byte| *byte == b':').unwrap_or(host.len());
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        (end > 0 && host[..end].iter().all(is_name), &host[end..])
    };
    let port_is_good = match rest {
        [] => true,
        [b':', port @ ..] => {
            std::str::from_utf8(port).is_ok_and(|port| !port.starts_with('+') && port.parse::<u16>().is_ok())
        }
        _ => false,
    };
    name_is_good && port_is_good && host.len() <= 255
}

#[cfg(test)]
mod tests;
