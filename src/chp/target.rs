//! Where a route leads: what a caller of the API wrote as `target`, read as a WHATWG URL.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::model::{Timestamp, Upstream, UpstreamAddress};

/// A target that requests can be sent to.
#[derive(Debug)]
pub(super) struct Target {
    /// Where to connect.
    pub(super) upstream: Arc<Upstream>,
    /// Host, and the port if it is not the scheme's own: what `Host` says with `--change-origin`.
    pub(super) authority: String,
    /// Its path; at least `/`.
    pub(super) path: String,
    /// Its query, without the question mark; may be empty.
    pub(super) query: String,
}

/// Why requests cannot be sent to a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TargetError {
    /// No URL at all.
    #[error("Invalid URL")]
    Malformed,
    /// A scheme that we do not speak.
    #[error("Unexpected protocol {0}:")]
    Scheme(String),
}

impl Target {
    /// `Host` towards it, if nobody says another.
    pub(super) fn host(&self) -> &str {
        match self.upstream.address {
            UpstreamAddress::Unix(_) => "localhost",
            _ => &self.authority,
        }
    }

    /// Reads `url`; the target counts as active as of `now`.
    ///
    /// # Errors
    /// Nothing can be sent there.
    pub(super) fn parse(url: &str, now: Timestamp) -> Result<Self, TargetError> {
        let url = url.trim_matches(|c: char| c <= ' ').split('#').next().unwrap_or_default();
        if !url.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\')) {
            return Err(TargetError::Malformed);
        }
        let (scheme, rest) = url.split_once("://").ok_or(TargetError::Malformed)?;
        let scheme = scheme.to_ascii_lowercase();
        let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path_at = before_query.find('/').unwrap_or(before_query.len());
        let (authority, path) = before_query.split_at(path_at);
        // Who the user is says nothing here: node sends no such thing either.
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (address, authority) = match scheme.as_str() {
            "http" => named(authority, 80, false)?,
            "https" => named(authority, 443, true)?,
            "http+unix" | "unix+http" => {
                let socket = percent_decode_str(authority).decode_utf8().map_err(|_| TargetError::Malformed)?;
                if socket.is_empty() || socket.contains('\0') {
                    return Err(TargetError::Malformed);
                }
                (UpstreamAddress::Unix(socket.as_ref().into()), authority.to_owned())
            }
            _ => return Err(TargetError::Scheme(scheme)),
        };
        Ok(Self {
            upstream: Arc::new(Upstream::new(address, now)),
            authority,
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            query: query.to_owned(),
        })
    }
}

/// Address and normal form of `host[:port]`.
fn named(authority: &str, usual_port: u16, is_tls: bool) -> Result<(UpstreamAddress, String), TargetError> {
    let (host, port) = split_port(authority).ok_or(TargetError::Malformed)?;
    let host = host.to_ascii_lowercase();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let ip: Option<IpAddr> = bare.unwrap_or(&host).parse().ok();
    if host.is_empty() || ip.is_none() && (bare.is_some() || !host.bytes().all(is_name)) {
        return Err(TargetError::Malformed);
    }
    let port = port.unwrap_or(usual_port);
    let authority = if port == usual_port { host.clone() } else { format!("{host}:{port}") };
    let address = match ip {
        Some(ip) if !is_tls => UpstreamAddress::Tcp(SocketAddr::new(ip, port)),
        _ => UpstreamAddress::Named { host: bare.unwrap_or(&host).to_owned(), port, is_tls },
    };
    Ok((address, authority))
}

/// Host, with its brackets, and port of an authority; none if the port is no number.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let host_end = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[host_end..].find(':') {
        None => Some((authority, None)),
        Some(at) => {
            let (host, port) = (&authority[..host_end + at], &authority[host_end + at + 1..]);
            if port.is_empty() {
                return Some((host, None));
            }
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| port.parse().ok()).flatten().map(|port| (host, Some(port)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_a_url() {
        let check = |url: &str, address: &str, authority: &str, path: &str, query: &str| {
            let target = Target::parse(url, Timestamp(0)).expect(url);
            let found = (target.upstream.address.to_string(), target.authority, target.path, target.query);
            assert_eq!(found, (address.into(), authority.into(), path.into(), query.into()), "{url}");
        };
        check("http://127.0.0.1:9000", "127.0.0.1:9000", "127.0.0.1:9000", "/", "");
        check("http://user:word@Hub:80/a/b?c=d#e", "hub:80", "hub", "/a/b", "c=d");
        check("https://[::1]", "[::1]:443", "[::1]", "/", "");
        check("HTTP://jupyter-alice:8888/x", "jupyter-alice:8888", "jupyter-alice:8888", "/x", "");
        check("http+unix://%2Ftmp%2Flab.sock/x", "unix:/tmp/lab.sock", "%2Ftmp%2Flab.sock", "/x", "");
        check("unix+http://%2Ftmp%2Flab.sock", "unix:/tmp/lab.sock", "%2Ftmp%2Flab.sock", "/", "");
    }

    #[test]
    fn what_is_no_target_is_told_from_what_we_do_not_speak() {
        let check = |url: &str, expected: TargetError| {
            assert_eq!(Target::parse(url, Timestamp(0)).map(|_| ()), Err(expected), "{url}");
        };
        for url in ["", "nonsense", "http://", "http://:80", "http://h:x", "http://h:99999", "http://a b", "http://[x]"]
        {
            check(url, TargetError::Malformed);
        }
        check("http://h/a\r\nx: y", TargetError::Malformed);
        check("ftp://h", TargetError::Scheme("ftp".into()));
        check("ws://h", TargetError::Scheme("ws".into()));
    }
}
