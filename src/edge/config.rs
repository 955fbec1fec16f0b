//! What the edge is told at start: its public address, whom it believes, and its limits.

use std::str::FromStr;

use http::HeaderValue;

use super::forwarded::ForwardedBy;
use super::work::IgnoredPaths;
use crate::model::{Network, UserHosts};
use crate::net::http1;

/// The edge's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The origin under which people see us. Unset, whatever host passes the host check.
    pub public_url: Option<PublicUrl>,
    /// With `isolation = "subdomain"`: where users' servers live, and nothing else does.
    pub user_hosts: Option<UserHosts>,
    /// Peers whose `X-Forwarded-*` is believed; only they are served over plain HTTP.
    pub trusted_proxies: Vec<Network>,
    /// In which headers these say it.
    pub forwarded_by: ForwardedBy,
    /// The port that plain HTTP is redirected to where `public_url` does not say. Default 8443.
    pub https_port: u16,
    /// `Strict-Transport-Security`.
    pub hsts: Hsts,
    /// Requests that are in the hub at one moment. 256: pages take milliseconds; more only wait for a password check.
    pub requests_in_hub: usize,
    /// Requests to the hub whose body is being read at one moment. 512: a form comes with its head, in one
    /// packet.
    pub uploads_to_hub: usize,
    /// The same from one address. 64: a lecture hall signs in from one, but nobody there types byte by byte.
    pub uploads_to_hub_per_address: usize,
    /// From a request's head to the head of the hub's answer. 90 s: a start over the API waits 10, a queue of
    /// password checks some more.
    pub hub_timeout_s: u64,
    /// Bytes of a request's body to the hub. 1 MiB: forms and small JSON.
    pub hub_body_limit_bytes: u64,
    /// Bytes of a request's body to a server. 64 GiB: data sets are uploaded in one request; nothing of it is kept
    /// in memory.
    pub server_body_limit_bytes: u64,
    /// Paths below a server's whose traffic is nobody's work.
    pub ignored_paths: IgnoredPaths,
    /// How often, and how much at once, an address and a user may ask.
    pub limits: super::Limits,
    /// Which part of the requests is collected as traces, 0 to 1; `None`: no traces are made.
    pub trace_ratio: Option<f64>,
    /// Limits of HTTP/1.1 connections.
    pub http1: http1::Limits,
    /// Limits of HTTP/2 connections.
    pub http2: Http2Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: None,
            user_hosts: None,
            trusted_proxies: Vec::new(),
            forwarded_by: ForwardedBy::default(),
            https_port: 8443,
            hsts: Hsts::default(),
            requests_in_hub: 256,
            uploads_to_hub: 512,
            uploads_to_hub_per_address: 64,
            hub_timeout_s: 90,
            hub_body_limit_bytes: 1024 * 1024,
            server_body_limit_bytes: 64 * 1024 * 1024 * 1024,
            ignored_paths: IgnoredPaths::default(),
            limits: super::Limits::default(),
            trace_ratio: None,
            http1: http1::Limits::default(),
            http2: Http2Limits::default(),
        }
    }
}

impl Config {
    pub(super) fn uploads(&self) -> super::upload::Limits {
        super::upload::Limits {
            at_once: self.uploads_to_hub,
            per_address: self.uploads_to_hub_per_address,
            bytes: self.hub_body_limit_bytes,
        }
    }
}

/// What browsers are told of coming back by TLS alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// In seconds. 180 days, as browsers' lists suggest. 0 sends nothing.
    pub max_age_s: u64,
    /// For all hosts below ours too.
    pub include_subdomains: bool,
    /// Browsers may know it before the first visit.
    pub preload: bool,
    /// Also without a `public_url`. Default false: for `localhost` it would reach other programs too.
    pub without_public_url: bool,
}

impl Default for Hsts {
    fn default() -> Self {
        Self { max_age_s: 180 * 24 * 3600, include_subdomains: false, preload: false, without_public_url: false }
    }
}

impl Hsts {
    pub(super) fn header(&self, has_public_url: bool) -> Option<HeaderValue> {
        if self.max_age_s == 0 || !(has_public_url || self.without_public_url) {
            return None;
        }
        let subdomains = if self.include_subdomains { "; includeSubDomains" } else { "" };
        let preload = if self.preload { "; preload" } else { "" };
        HeaderValue::try_from(format!("max-age={}{subdomains}{preload}", self.max_age_s)).ok()
    }
}

/// The bounds of one HTTP/2 connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// Open streams. 128: two JupyterLab tabs with a dozen WebSockets each, and their requests.
    pub streams: u32,
    /// Bytes of a request's header list after decompression. 32 KiB, as the head on HTTP/1.1.
    pub header_list_bytes: u32,
    /// Bytes of one stream's body that may be on their way to us. 256 KiB: uploads over 50 ms lines reach 5 MB/s.
    pub stream_window_bytes: u32,
    /// The same for a whole connection. 1 MiB.
    pub connection_window_bytes: u32,
    /// Bytes of one stream's answer that wait for the client. 128 KiB.
    pub send_buffer_bytes: usize,
    /// A ping after this much silence, in seconds. 30: finds laptops that were closed.
    pub ping_interval_s: u64,
    /// The answer to a ping must come within this, in seconds.
    pub ping_timeout_s: u64,
    /// A connection without any stream is ended after this, in seconds. 180: browsers come back within minutes.
    pub idle_timeout_s: u64,
    /// A stream whose client takes nothing (or sends nothing of the body it promised) is reset after this, in
    /// seconds. 30: a laptop that changes networks comes back within it; a window held at zero feeds an attack.
    pub stall_timeout_s: u64,
    /// Streams that a client has reset and that we have not yet let go of. 20: beyond it the connection ends.
    pub pending_resets: usize,
    /// Streams that we had to reset for what the client said on them, over a connection's life. 32: no browser comes
    /// near it, and each such stream has cost us a request to its server (CVE-2025-8671; h2 would bear 1,024).
    pub faulty_streams: usize,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: 128,
            header_list_bytes: 32 * 1024,
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 1024 * 1024,
            send_buffer_bytes: 128 * 1024,
            ping_interval_s: 30,
            ping_timeout_s: 20,
            idle_timeout_s: 180,
            stall_timeout_s: 30,
            pending_resets: 20,
            faulty_streams: 32,
        }
    }
}

/// An origin of ours: `https://host[:port]`, without path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    authority: String,
}

impl PublicUrl {
    /// `host` or `host:port`, lower case; without the port if it is 443.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// `https://host[:port]`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("https://{}", self.authority)
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    /// Reads `https://host[:port]`, with or without a last slash.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} must be an https address without a path, as in \"https://lab.example.org\"");
        let authority = text.trim().to_ascii_lowercase();
        let authority = authority.strip_prefix("https://").ok_or_else(wrong)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let parsed: http::uri::Authority = authority.parse().map_err(|_| wrong())?;
        if authority.contains('@') || parsed.host().is_empty() || authority.ends_with(':') {
            return Err(wrong());
        }
        let authority = authority.strip_suffix(":443").unwrap_or(authority);
        Ok(Self { authority: authority.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_https_origin() {
        let origin = |text: &str| text.parse::<PublicUrl>().map(|url| url.origin());
        assert_eq!(origin("https://Lab.Example.org/"), Ok("https://lab.example.org".into()));
        assert_eq!(origin("https://lab.example.org:443"), Ok("https://lab.example.org".into()));
        assert_eq!(origin("https://lab.example.org:8443"), Ok("https://lab.example.org:8443".into()));
        assert_eq!(origin("https://[::1]:8443"), Ok("https://[::1]:8443".into()));
        for wrong in ["http://x", "https://", "https://x/y", "https://a@x", "https://x:", "x", "https://x y"] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }
}
