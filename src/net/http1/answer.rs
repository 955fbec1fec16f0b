//! The head of a response as we write it, and how its body is framed.

use http::header::{self, HeaderMap};
use http::{Method, Response, StatusCode};
use http_body::Body as _;

use super::Refusal;
use super::date::push_date;
use super::head::content_length;
use super::lines::ReadyLines;
use super::outgoing::{Outgoing, push_decimal, push_header};
use crate::net::ResponseBody;

/// How a response's body goes onto the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Not at all: HEAD, 204, 304, 101.
    None,
    /// So many bytes are still to come.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Up to the end of the connection: HTTP/1.0 knows no chunks.
    UntilClose,
}

/// What the head's writer must know of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) is_head: bool,
    pub(super) is_1_1: bool,
    pub(super) keeps_alive: bool,
}

impl Asked {
    pub(super) fn new(method: &Method, is_1_1: bool, keeps_alive: bool) -> Self {
        Self { is_head: method == Method::HEAD, is_1_1, keeps_alive }
    }
}

/// How the body of `response` is framed, and the length that the head announces.
pub(super) fn framing_of(response: &Response<ResponseBody>, asked: Asked) -> (Framing, Option<u64>) {
    let status = response.status();
    let announced =
        || response.headers().get(header::CONTENT_LENGTH).and_then(|value| content_length(value.as_bytes()));
    let exact = response.body().size_hint().exact();
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        return (Framing::None, None);
    }
    if asked.is_head || status == StatusCode::NOT_MODIFIED {
        // The length of what a GET would get, if somebody knows it; an empty body says nothing about it.
        return (Framing::None, announced().or(exact.filter(|length| *length > 0)));
    }
    match exact.or_else(announced) {
        Some(length) => (Framing::Length(length), Some(length)),
        None if asked.is_1_1 => (Framing::Chunked, None),
        None => (Framing::UntilClose, None),
    }
}

/// Writes the head, from status line to empty line; `lines` go out as they are, before `headers`.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    status: StatusCode,
    lines: Option<&ReadyLines>,
    headers: &HeaderMap,
    framing: Framing,
    length: Option<u64>,
    asked: Asked,
) {
    out.reserve(1024);
    push_status_line(out, status);
    out.extend_from_slice(lines.map_or(&[], ReadyLines::text));
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in headers {
        match *name {
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION | header::TE | header::TRAILER => {}
            header::UPGRADE if !switches => {}
            _ if name == "keep-alive" || name == "proxy-connection" => {}
            _ => push_header(out, name.as_str(), value.as_bytes()),
        }
    }
    if !lines.is_some_and(ReadyLines::has_date) && !headers.contains_key(header::DATE) {
        out.extend_from_slice(b"date: ");
        push_date(out);
        out.extend_from_slice(b"\r\n");
    }
    if let Some(length) = length {
        out.extend_from_slice(b"content-length: ");
        push_decimal(out, length);
        out.extend_from_slice(b"\r\n");
    } else if framing == Framing::Chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if switches {
        out.extend_from_slice(b"connection: upgrade\r\n");
    } else if !asked.keeps_alive || framing == Framing::UntilClose {
        out.extend_from_slice(b"connection: close\r\n");
    } else if !asked.is_1_1 {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn push_status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Queues the answer to a request that is not served.
pub(super) fn push_refusal(outgoing: &mut Outgoing, refusal: Refusal) {
    let out = outgoing.small();
    push_status_line(out, refusal.status);
    out.extend_from_slice(b"content-type: text/plain; charset=utf-8\r\ndate: ");
    push_date(out);
    out.extend_from_slice(b"\r\nconnection: close\r\ncontent-length: ");
    let reason = refusal.status.canonical_reason().unwrap_or_default();
    push_decimal(out, (reason.len() + 2 + refusal.what.len() + 2) as u64);
    out.extend_from_slice(b"\r\n\r\n");
    for part in [reason, ": ", refusal.what, ".\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}
