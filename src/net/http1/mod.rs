//! HTTP/1.1 on a wire, in both directions, read as strictly as the grammar allows.
//!
//! Two programs that read the same bytes differently are how requests are smuggled. So there is one reading here:
//! what is not exactly HTTP/1.1 as RFC 9112 writes it is refused, never repaired.

mod answer;
mod date;
pub(crate) mod decode;
pub(crate) mod head;
mod incoming;
pub(crate) mod lines;
pub(crate) mod outgoing;
mod pace;
mod request;
pub(crate) mod response;
mod serve;

pub use incoming::{IncomingBody, IncomingError};
pub use request::Refusal;
pub use serve::{End, serve};

/// The bounds of one client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head, request line included. 32 KiB: Jupyter's cookies and tokens together stay below 16.
    pub head_bytes: usize,
    /// Header lines in a head. 100, as hyper.
    pub header_count: usize,
    /// Bytes of the request target. 8 KiB: what nginx and browsers' long `next=` links need.
    pub target_bytes: usize,
    /// From a head's first byte to its last. 10 s: a phone on a bad line needs 3; more only feeds slow-loris.
    pub head_timeout_s: u64,
    /// A connection on which nothing is asked. 75 s: above the 60 s of common load balancers in front of us.
    pub idle_timeout_s: u64,
    /// Slower than this, a body that we wait for, or a reader that we wait for, is cut … (at least 1)
    pub rate_min_bytes_s: u32,
    /// … once we have waited this much longer than its bytes were worth. 30 s: a laptop that changes networks comes back within it.
    pub patience_s: u64,
    /// Bytes of an unread request body that are read and dropped so that the connection can be used again.
    pub drain_bytes: u64,
    /// How long the end of a connection waits for the client to have read our last answer.
    pub linger_timeout_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            header_count: 100,
            target_bytes: 8 * 1024,
            head_timeout_s: 10,
            idle_timeout_s: 75,
            rate_min_bytes_s: 256,
            patience_s: 30,
            drain_bytes: 64 * 1024,
            linger_timeout_s: 2,
        }
    }
}
