//! One small request with bounds, for readiness probes and the like.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};

use super::buffer::ReadBuffer;
use super::http1::decode::{Decoder, Step};
use super::http1::head::{append, name_of};
use super::http1::outgoing::{Outgoing, push_decimal, push_header};
use super::http1::response::parse_response;
use super::{DialError, dial};
use crate::model::UpstreamAddress;

/// What to ask.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method; a body goes with any but GET and HEAD.
    pub method: Method,
    /// Path and query, encoded.
    pub target: String,
    /// For the `Host` header.
    pub host: String,
    /// Further headers; none of connection, host or length.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Ask {
    /// A GET without further headers.
    #[must_use]
    pub fn get(host: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            target: target.into(),
            host: host.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}

/// The bounds of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskLimits {
    /// Connect, ask and hear everything within this time.
    pub timeout: Duration,
    /// Bytes of the answer's body that are kept; a longer one is an error.
    pub answer_bytes: usize,
}

impl Default for AskLimits {
    /// 5 s and 64 KiB: a probe of a server on this host.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), answer_bytes: 64 * 1024 }
    }
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection ended or failed before the answer was whole.
    #[error("the connection to {address} failed")]
    Broken {
        /// Who was asked.
        address: UpstreamAddress,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The answer is not HTTP/1.1.
    #[error("{address} does not speak HTTP/1.1: {what}")]
    Malformed {
        /// Who was asked.
        address: UpstreamAddress,
        /// What was wrong.
        what: &'static str,
    },
    /// The answer is longer than allowed.
    #[error("{address} answered more than {limit_bytes} bytes")]
    TooLong {
        /// Who was asked.
        address: UpstreamAddress,
        /// The limit.
        limit_bytes: usize,
    },
    /// It took too long.
    #[error("{address} did not answer within {limit:?}")]
    Slow {
        /// Who was asked.
        address: UpstreamAddress,
        /// The limit.
        limit: Duration,
    },
}

/// Asks once, on a connection of its own. Cancel-safe.
///
/// # Errors
/// No connection, no whole answer in time, or an answer over the limits.
pub async fn ask(address: &UpstreamAddress, request: &Ask, limits: &AskLimits) -> Result<Answer, AskError> {
    match tokio::time::timeout(limits.timeout, exchange(address, request, limits)).await {
        Ok(answer) => answer,
        Err(_) => Err(AskError::Slow { address: address.clone(), limit: limits.timeout }),
    }
}

async fn exchange(address: &UpstreamAddress, request: &Ask, limits: &AskLimits) -> Result<Answer, AskError> {
    let broken = |cause| AskError::Broken { address: address.clone(), cause };
    let malformed = |what| AskError::Malformed { address: address.clone(), what };
    let mut stream = dial(address, limits.timeout).await?;
    let mut outgoing = Outgoing::default();
    write_request(&mut outgoing, request);
    poll_fn(|cx| outgoing.poll_flush(&mut stream, cx)).await.map_err(broken)?;

    let mut input = ReadBuffer::default();
    let (status, headers, mut body) = loop {
        if let Some(head) = take_head(&mut input, &request.method).map_err(malformed)? {
            break head;
        }
        // A full buffer without a whole head is an error of `poll_fill`.
        let count = poll_fn(|cx| input.poll_fill(&mut stream, cx)).await.map_err(broken)?;
        if count == 0 {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
    };
    let mut kept = BytesMut::new();
    loop {
        match body.step(&mut input).map_err(malformed)? {
            Step::Data(piece) if kept.len() + piece.len() <= limits.answer_bytes => kept.extend_from_slice(&piece),
            Step::Data(_) => {
                return Err(AskError::TooLong { address: address.clone(), limit_bytes: limits.answer_bytes });
            }
            Step::End => break,
            Step::More => match poll_fn(|cx| input.poll_fill(&mut stream, cx)).await.map_err(broken)? {
                0 if body.may_close() => break,
                0 => return Err(broken(io::ErrorKind::UnexpectedEof.into())),
                _ => {}
            },
        }
    }
    Ok(Answer { status, headers, body: kept.freeze() })
}

fn write_request(outgoing: &mut Outgoing, request: &Ask) {
    let out = outgoing.small();
    for part in [request.method.as_str(), " ", &request.target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    push_header(out, "host", request.host.as_bytes());
    for (name, value) in &request.headers {
        push_header(out, name.as_str(), value.as_bytes());
    }
    out.extend_from_slice(b"connection: close\r\n");
    if !request.body.is_empty() {
        out.extend_from_slice(b"content-length: ");
        push_decimal(out, request.body.len() as u64);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    if !request.body.is_empty() {
        outgoing.push(request.body.clone());
    }
}

/// The answer's head, once it is whole; interim answers are passed over.
fn take_head(
    input: &mut ReadBuffer,
    method: &Method,
) -> Result<Option<(StatusCode, HeaderMap, Decoder)>, &'static str> {
    loop {
        let filled = input.filled();
        let mut storage = [httparse::EMPTY_HEADER; 128];
        let Some(raw) = parse_response(filled, &mut storage, method)? else { return Ok(None) };
        let (status, body, head_bytes) = (raw.status, raw.body, raw.head_bytes);
        let head = Bytes::copy_from_slice(&filled[..head_bytes]);
        let mut headers = HeaderMap::with_capacity(raw.headers.len());
        for header in raw.headers {
            append(&mut headers, name_of(header)?, header.value, filled, &head)?;
        }
        input.consume(head_bytes);
        if !status.is_informational() {
            return Ok(Some((status, headers, body)));
        }
    }
}
