//! The head of a response as an upstream sends it, read strictly.

use std::mem::MaybeUninit;

use http::{Method, StatusCode};
use httparse::Header;

use super::decode::Decoder;
use super::head::{all_lines_end_in_crlf, content_length, list_has};

/// A response's head, still in the buffer it was read into.
#[derive(Debug)]
pub(crate) struct RawResponse<'h, 'b> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'h [Header<'b>],
    /// How many bytes the head takes.
    pub(crate) head_bytes: usize,
    /// How the body ends; `Length(0)` if there is none.
    pub(crate) body: Decoder,
    /// True if the connection may carry another request after this response.
    pub(crate) keeps_alive: bool,
}

/// Reads a head out of `bytes`; none if it is not whole yet.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_response<'h, 'b>(
    bytes: &'b [u8],
    storage: &'h mut [MaybeUninit<Header<'b>>],
    method: &Method,
) -> Result<Option<RawResponse<'h, 'b>>, &'static str> {
    let mut parsed = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let head_bytes = match parser.parse_response_with_uninit_headers(&mut parsed, bytes, storage) {
        Ok(httparse::Status::Complete(count)) => count,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("too many headers"),
        Err(httparse::Error::Version) => return Err("another version of HTTP"),
        Err(httparse::Error::Status) => return Err("a malformed status line"),
        Err(_) => return Err("a malformed head"),
    };
    if !bytes.starts_with(b"HTTP/1.") || !all_lines_end_in_crlf(&bytes[..head_bytes]) {
        return Err("a line of the head ends without CRLF");
    }
    let is_1_1 = parsed.version == Some(1);
    let status = parsed.code.filter(|code| (100..600).contains(code)).and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or("a status that does not exist")?;
    let headers: &'h [Header<'b>] = parsed.headers;

    let (mut length, mut is_chunked, mut closes, mut keep_alive) = (None, false, false, false);
    for header in headers {
        match header.name.len() {
            10 if header.name.eq_ignore_ascii_case("connection") => {
                closes |= list_has(header.value, "close");
                keep_alive |= list_has(header.value, "keep-alive");
            }
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                if length.is_some() {
                    return Err("more than one content-length");
                }
                length = Some(content_length(header.value).ok_or("a content-length that is not a number")?);
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                if is_chunked || !is_1_1 || !header.value.eq_ignore_ascii_case(b"chunked") {
                    return Err("a transfer-encoding other than chunked");
                }
                is_chunked = true;
            }
            _ => {}
        }
    }
    if is_chunked && length.is_some() {
        return Err("both content-length and transfer-encoding");
    }
    let has_no_body = method == Method::HEAD || status.is_informational() || matches!(status.as_u16(), 204 | 304);
    let body = match length {
        _ if has_no_body => Decoder::Length(0),
        _ if is_chunked => Decoder::CHUNKED,
        Some(length) => Decoder::Length(length),
        None => Decoder::UntilClose,
    };
    // Where a body is forbidden, chunks may follow all the same from a careless server: not worth the risk.
    let stray_chunks = is_chunked && has_no_body;
    let keeps_alive = !closes && (is_1_1 || keep_alive) && body != Decoder::UntilClose && !stray_chunks;
    Ok(Some(RawResponse { status, headers, head_bytes, body, keeps_alive }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http1::head::storage;

    fn check(head: &str, expected: Result<Decoder, &str>) {
        let mut storage = storage();
        let parsed = parse_response(head.as_bytes(), &mut storage[..8], &Method::GET);
        match (parsed, expected) {
            (Ok(Some(response)), Ok(body)) => assert_eq!(response.body, body, "{head:?}"),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{head:?}: {error}"),
            (parsed, expected) => panic!("{head:?}: {parsed:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn a_response_is_read_strictly() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Ok(Decoder::Length(5)));
        check("HTTP/1.1 200 \r\nTransfer-Encoding: Chunked\r\n\r\n", Ok(Decoder::CHUNKED));
        check("HTTP/1.0 200 OK\r\n\r\n", Ok(Decoder::UntilClose));
        check("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Ok(Decoder::Length(0)));
        check("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Ok(Decoder::Length(0)));
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", Err("more than one"));
        check("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", Err("not a number"));
        check("HTTP/1.1 200 OK\r\nContent-Length: 05\r\n\r\n", Err("not a number"));
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Err("both"));
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Err("other than chunked"));
        check("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Err("other than chunked"));
        check("HTTP/1.1 200 OK\nContent-Length: 5\n\n", Err("CRLF"));
        check("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", Err("malformed"));
        check("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", Err("malformed"));
        check("HTTP/1.1 099 OK\r\n\r\n", Err("status"));
        check("HTTP/1.1 700 OK\r\n\r\n", Err("status"));
        check("HTTP/2.0 200 OK\r\n\r\n", Err("version"));
        check("SSH-2.0-OpenSSH_9.2\r\n\r\n", Err("version"));
        check(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(9)), Err("too many"));
    }
}
