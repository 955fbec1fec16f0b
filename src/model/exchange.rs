//! One request and its answer, as the access log tells of them.

use std::net::IpAddr;
use std::time::Duration;

use super::Timestamp;

/// What happened, told once when the last byte of the answer is out (or the exchange broke off).
#[derive(Clone, Debug)]
pub struct Exchange<'a> {
    /// When the request's head had been read.
    pub at: Timestamp,
    /// The client's address.
    pub address: IpAddr,
    /// Who sent it; `None` for nobody we know.
    pub user: Option<&'a str>,
    /// The method as sent.
    pub method: &'a str,
    /// Path and query as sent; the log hides the secrets in it.
    pub target: &'a str,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: &'static str,
    /// The answer's status; 0 if the client went away before there was one.
    pub status: u16,
    /// Bytes of the answer's body that were handed to the connection.
    pub bytes: u64,
    /// From the request's head to the last byte.
    pub duration: Duration,
}
