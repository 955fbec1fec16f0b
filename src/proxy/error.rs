//! Why a request got no answer of its server. What a person sees of it is written by `edge`.

use std::time::Duration;

use crate::model::UpstreamAddress;
use crate::net::{BoxError, DialError};

/// Why a request got no answer of its server.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No connection came about: the server is not there. Worth a report to the spawner.
    #[error("{address} is unreachable")]
    Unreachable {
        /// Where it should be.
        address: UpstreamAddress,
        /// What went wrong.
        #[source]
        cause: DialError,
    },
    /// The route was withdrawn while we waited.
    #[error("{address} was stopped before it answered")]
    Gone {
        /// Where it was.
        address: UpstreamAddress,
    },
    /// The caller's session or token ended while we waited.
    #[error("the caller's session ended before the answer came")]
    CallerEnded,
    /// As many connections as are allowed are in use.
    #[error("{address} has {limit} connections in use")]
    Busy {
        /// Where it is.
        address: UpstreamAddress,
        /// The limit.
        limit: usize,
    },
    /// The connection ended or failed before the answer's head was whole.
    #[error("the connection to {address} ended before an answer came")]
    Broken {
        /// Where it is.
        address: UpstreamAddress,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The answer is not HTTP/1.1 as we accept it.
    #[error("{address} answered something that is not HTTP/1.1: {what}")]
    Malformed {
        /// Where it is.
        address: UpstreamAddress,
        /// What was wrong.
        what: &'static str,
    },
    /// No answer in time.
    #[error("{address} did not answer within {limit:?}")]
    Slow {
        /// Where it is.
        address: UpstreamAddress,
        /// The limit.
        limit: Duration,
    },
    /// The request's own body failed before it was sent: the client went away or sent nonsense.
    #[error("the request's body failed")]
    Request {
        /// Why.
        #[source]
        cause: BoxError,
    },
    /// The request asks for a WebSocket in a way that RFC 6455 forbids.
    #[error("the request for a websocket is malformed: {what}")]
    BadUpgrade {
        /// What was wrong.
        what: &'static str,
    },
}

impl ProxyError {
    /// The status that says this to a client.
    #[must_use]
    pub fn status(&self) -> http::StatusCode {
        use http::StatusCode as S;
        match self {
            Self::Unreachable { .. } | Self::Gone { .. } | Self::Busy { .. } => S::SERVICE_UNAVAILABLE,
            Self::CallerEnded => S::FORBIDDEN,
            Self::Broken { .. } | Self::Malformed { .. } => S::BAD_GATEWAY,
            Self::Slow { .. } => S::GATEWAY_TIMEOUT,
            Self::Request { .. } | Self::BadUpgrade { .. } => S::BAD_REQUEST,
        }
    }
}
