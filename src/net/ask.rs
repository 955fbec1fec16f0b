//! One small question with bounds: does a server answer, and with which status? For readiness probes and the like.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use http::{Method, StatusCode};

use super::buffer::ReadBuffer;
use super::http1::head::storage;
use super::http1::outgoing::{Outgoing, push_header};
use super::http1::response::parse_response;
use super::{DialError, dial};
use crate::model::UpstreamAddress;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection ended or failed before the answer's head was whole.
    #[error("the connection to {address} failed")]
    Broken {
        /// Who was asked.
        address: UpstreamAddress,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The answer is not HTTP/1.1, or its head is longer than 64 KiB.
    #[error("{address} does not speak HTTP/1.1: {what}")]
    Malformed {
        /// Who was asked.
        address: UpstreamAddress,
        /// What was wrong.
        what: &'static str,
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

/// Asks `GET target` once, on a connection of its own, and hears the status of the answer. Its body is not read: who
/// answers without hearing us out may reset the connection behind its answer. Cancel-safe.
///
/// # Errors
/// No connection, or no head of an answer within `limit`.
pub async fn ask(address: &UpstreamAddress, target: &str, limit: Duration) -> Result<StatusCode, AskError> {
    ask_patiently(address, target, limit, limit).await
}

/// The same, with a limit of its own for the connection.
///
/// # Errors
/// No connection within `connect_limit`, or no head of an answer within `limit` from the beginning.
pub async fn ask_patiently(
    address: &UpstreamAddress,
    target: &str,
    connect_limit: Duration,
    limit: Duration,
) -> Result<StatusCode, AskError> {
    match tokio::time::timeout(limit, exchange(address, target, connect_limit)).await {
        Ok(answer) => answer,
        Err(_) => Err(AskError::Slow { address: address.clone(), limit }),
    }
}

async fn exchange(address: &UpstreamAddress, target: &str, connect_limit: Duration) -> Result<StatusCode, AskError> {
    let broken = |cause| AskError::Broken { address: address.clone(), cause };
    let mut stream = dial(address, connect_limit).await?;
    let mut outgoing = Outgoing::default();
    write_question(outgoing.small(), address, target);
    poll_fn(|cx| outgoing.poll_flush(&mut stream, cx)).await.map_err(broken)?;

    let mut input = ReadBuffer::default();
    loop {
        let status = take_status(&mut input);
        if let Some(status) = status.map_err(|what| AskError::Malformed { address: address.clone(), what })? {
            return Ok(status);
        }
        // A full buffer without a whole head is an error of `poll_fill`.
        if poll_fn(|cx| input.poll_fill(&mut stream, cx)).await.map_err(broken)? == 0 {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

fn write_question(out: &mut Vec<u8>, address: &UpstreamAddress, target: &str) {
    let host = match address {
        UpstreamAddress::Tcp(_) | UpstreamAddress::Named { .. } => address.to_string(),
        UpstreamAddress::Unix(_) => "localhost".to_owned(),
    };
    for part in ["GET ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    push_header(out, "host", host.as_bytes());
    out.extend_from_slice(b"user-agent: slipway\r\naccept: */*\r\nconnection: close\r\n\r\n");
}

/// The answer's status, once its head is whole; interim answers are passed over.
fn take_status(input: &mut ReadBuffer) -> Result<Option<StatusCode>, &'static str> {
    loop {
        let mut storage = storage();
        let Some(raw) = parse_response(input.filled(), &mut storage, &Method::GET)? else { return Ok(None) };
        let (status, head_bytes) = (raw.status, raw.head_bytes);
        input.consume(head_bytes);
        if !status.is_informational() {
            return Ok(Some(status));
        }
    }
}
