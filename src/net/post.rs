//! One small message with bounds: `POST` of a few bytes to a server that may be hostile, or `GET` of a few, and its
//! answer in full.
//!
//! No redirect is followed: the answer is what this address says, or it is none.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::ask::AskError;
use super::buffer::ReadBuffer;
use super::http1::decode::{Decoder, Step};
use super::http1::head::storage;
use super::http1::outgoing::{Outgoing, push_decimal, push_header};
use super::http1::response::parse_response;
use super::{Stream, dial};
use crate::model::{Secret, UpstreamAddress};

/// What is posted.
#[derive(Clone, Copy, Debug)]
pub struct Posting<'a> {
    /// Path and query.
    pub target: &'a str,
    /// Goes as `Authorization: Bearer …`.
    pub token: &'a Secret,
    /// JSON.
    pub body: &'a [u8],
}

/// An answer in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body; None if it was longer than was wanted.
    pub body: Option<Bytes>,
}

/// Posts once, on a connection of its own, and hears the whole answer, of whose body `body_limit_bytes` are kept at
/// most. Cancel-safe, as far as the one who is told may have heard it.
///
/// # Errors
/// No connection, or no whole answer within `limit`.
pub async fn post(
    address: &UpstreamAddress,
    posting: Posting<'_>,
    body_limit_bytes: usize,
    limit: Duration,
) -> Result<Answer, AskError> {
    within(limit, address, exchange(address, Method::POST, posting, body_limit_bytes, limit)).await
}

/// Gets `target` once, on a connection of its own, with `token`, and hears the whole answer, of whose body
/// `body_limit_bytes` are kept at most. Cancel-safe.
///
/// # Errors
/// No connection, or no whole answer within `limit`.
pub async fn fetch(
    address: &UpstreamAddress,
    target: &str,
    token: &Secret,
    body_limit_bytes: usize,
    limit: Duration,
) -> Result<Answer, AskError> {
    let question = Posting { target, token, body: b"" };
    within(limit, address, exchange(address, Method::GET, question, body_limit_bytes, limit)).await
}

async fn within(
    limit: Duration,
    address: &UpstreamAddress,
    answer: impl Future<Output = Result<Answer, AskError>>,
) -> Result<Answer, AskError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(AskError::Slow { address: address.clone(), limit }),
    }
}

async fn exchange(
    address: &UpstreamAddress,
    method: Method,
    posting: Posting<'_>,
    body_limit_bytes: usize,
    limit: Duration,
) -> Result<Answer, AskError> {
    let broken = |cause| AskError::Broken { address: address.clone(), cause };
    let malformed = |what| AskError::Malformed { address: address.clone(), what };
    let mut stream = dial(address, limit).await?;
    let mut outgoing = Outgoing::default();
    write_posting(outgoing.small(), address, &method, posting);
    poll_fn(|cx| outgoing.poll_flush(&mut stream, cx)).await.map_err(broken)?;

    let mut input = ReadBuffer::default();
    let (status, mut decoder) = loop {
        if let Some(head) = take_head(&mut input, &method).map_err(malformed)? {
            break head;
        }
        // A full buffer without a whole head is an error of `poll_fill`.
        if fill(&mut input, &mut stream).await.map_err(broken)? == 0 {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
    };
    let mut body = Vec::new();
    loop {
        match decoder.step(&mut input).map_err(malformed)? {
            Step::End => break,
            Step::Data(piece) if body.len() + piece.len() > body_limit_bytes => {
                return Ok(Answer { status, body: None });
            }
            Step::Data(piece) => body.extend_from_slice(&piece),
            Step::More => {
                if fill(&mut input, &mut stream).await.map_err(broken)? == 0 {
                    if decoder.may_close() {
                        break;
                    }
                    return Err(broken(io::ErrorKind::UnexpectedEof.into()));
                }
            }
        }
    }
    Ok(Answer { status, body: Some(body.into()) })
}

async fn fill(input: &mut ReadBuffer, stream: &mut Stream) -> io::Result<usize> {
    poll_fn(|cx| input.poll_fill(stream, cx)).await
}

fn write_posting(out: &mut Vec<u8>, address: &UpstreamAddress, method: &Method, posting: Posting<'_>) {
    let host = match address {
        UpstreamAddress::Tcp(_) | UpstreamAddress::Named { .. } => address.to_string(),
        UpstreamAddress::Unix(_) => "localhost".to_owned(),
    };
    for part in [method.as_str(), " ", posting.target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    push_header(out, "host", host.as_bytes());
    push_header(out, "authorization", format!("Bearer {}", posting.token.expose()).as_bytes());
    out.extend_from_slice(b"user-agent: slipway\r\naccept: application/json\r\nconnection: close\r\n");
    if *method == Method::POST {
        out.extend_from_slice(b"content-type: application/json\r\ncontent-length: ");
        push_decimal(out, posting.body.len() as u64);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(posting.body);
}

/// The answer's status and how its body ends, once the head is whole; interim answers are passed over.
fn take_head(input: &mut ReadBuffer, method: &Method) -> Result<Option<(StatusCode, Decoder)>, &'static str> {
    loop {
        let mut storage = storage();
        let Some(raw) = parse_response(input.filled(), &mut storage, method)? else { return Ok(None) };
        let (status, decoder, head_bytes) = (raw.status, raw.body, raw.head_bytes);
        input.consume(head_bytes);
        if !status.is_informational() {
            return Ok(Some((status, decoder)));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// What `post` makes of `answer`, and what the server was sent.
    async fn told(answer: &[u8]) -> (Result<Answer, AskError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = UpstreamAddress::Tcp(listener.local_addr().expect("bound"));
        let serving = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut heard = Vec::new();
            while !heard.ends_with(b"{}") {
                stream.read_buf(&mut heard).await.expect("readable");
            }
            let _ = stream.write_all(answer).await;
            String::from_utf8(heard).expect("text")
        };
        let token = Secret::new("secret");
        let posting = Posting { target: "/user/a/x?y=1", token: &token, body: b"{}" };
        tokio::join!(post(&address, posting, 8, LIMIT), serving)
    }

    #[tokio::test]
    async fn a_posting_is_heard_whole_and_answered() {
        let (answer, heard) =
            told(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").await;
        assert_eq!(answer.expect("an answer"), Answer { status: StatusCode::OK, body: Some("done".into()) });
        assert!(heard.starts_with("POST /user/a/x?y=1 HTTP/1.1\r\nhost: 127.0.0.1:"), "{heard}");
        assert!(heard.contains("\r\nauthorization: Bearer secret\r\n") && heard.contains("\r\ncontent-length: 2\r\n"));
    }

    #[tokio::test]
    async fn what_a_hostile_server_says_is_bounded() {
        let body = |answer: Result<Answer, AskError>| answer.expect("an answer").body;
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n\r\n";
        assert_eq!(body(told(chunked).await.0), Some("done".into()));
        assert_eq!(body(told(b"HTTP/1.1 200 OK\r\n\r\ndone").await.0), Some("done".into()));
        assert_eq!(body(told(b"HTTP/1.1 200 OK\r\n\r\nfar too long").await.0), None);
        let broken = [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ndone"];
        for answer in broken {
            assert!(matches!(told(answer).await.0, Err(AskError::Broken { .. })));
        }
        let odd = [&b"SSH-2.0-OpenSSH\r\n"[..], b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"];
        for answer in odd {
            assert!(matches!(told(answer).await.0, Err(AskError::Malformed { .. })));
        }
    }
}
