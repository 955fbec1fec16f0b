//! The URL of a service: where it listens. Only host and port count, as for JupyterHub; requests keep the path that
//! they came with.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl {
    text: String,
    pub(super) place: Place,
}

/// The part of the URL that can be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Socket(SocketAddr),
    /// A name that is looked up, and a port.
    Name(String, u16),
    Unix(PathBuf),
}

/// Why a text is no URL of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceUrlError {
    /// Neither `http://` nor `http+unix://`.
    #[error("services are reached by http://host:port or http+unix://%2Fpath%2Fto.sock; give one of these")]
    Scheme,
    /// No host, or one that cannot be.
    #[error("there is no host in it; write http://host:port")]
    Host,
    /// A port that is none.
    #[error("its port is none; write http://host:port")]
    Port,
}

impl ServiceUrl {
    /// Reads `http://host[:port][/…]` or `http+unix://%2Fpath%2Fto.sock`.
    ///
    /// # Errors
    /// What is wrong with it, and the cure.
    pub fn parse(text: &str) -> Result<Self, ServiceUrlError> {
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(ServiceUrlError::Host);
        }
        if let Some(rest) = text.strip_prefix("http+unix://").or_else(|| text.strip_prefix("unix+http://")) {
            let socket = rest.split('/').next().unwrap_or_default();
            let path = percent_decode_str(socket).decode_utf8().map_err(|_| ServiceUrlError::Host)?;
            if !path.starts_with('/') {
                return Err(ServiceUrlError::Host);
            }
            return Ok(Self { text: text.to_owned(), place: Place::Unix(PathBuf::from(path.as_ref())) });
        }
        let rest = text.strip_prefix("http://").ok_or(ServiceUrlError::Scheme)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(ServiceUrlError::Host);
        }
        let (host, port) = split(authority)?;
        let place = match host.parse::<IpAddr>() {
            // An address to listen on everywhere is reached here.
            Ok(ip) if ip.is_unspecified() => Place::Socket(SocketAddr::new(loopback_like(ip), port)),
            Ok(ip) => Place::Socket(SocketAddr::new(ip, port)),
            Err(_) if is_name(host) => Place::Name(host.to_owned(), port),
            Err(_) => return Err(ServiceUrlError::Host),
        };
        Ok(Self { text: text.to_owned(), place })
    }

    /// The URL as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn loopback_like(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    }
}

/// Host and port; without one it is 80.
fn split(authority: &str) -> Result<(&str, u16), ServiceUrlError> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').ok_or(ServiceUrlError::Host)?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match rest {
        "" => 80,
        rest => rest.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or(ServiceUrlError::Port)?,
    };
    if port == 0 {
        return Err(ServiceUrlError::Port);
    }
    Ok((host, port))
}

fn is_name(host: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !host.is_empty() && host.len() <= 253 && host.chars().all(is_of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_a_service_listens() {
        let place = |text| ServiceUrl::parse(text).map(|url| url.place);
        let socket = |text: &str| Ok(Place::Socket(text.parse().expect("an address")));
        assert_eq!(place("http://127.0.0.1:10101"), socket("127.0.0.1:10101"));
        assert_eq!(place("http://127.0.0.1:10101/services/x/"), socket("127.0.0.1:10101"));
        assert_eq!(place("http://0.0.0.0:7"), socket("127.0.0.1:7"));
        assert_eq!(place("http://[::1]:7"), socket("[::1]:7"));
        assert_eq!(place("http://10.0.0.1"), socket("10.0.0.1:80"));
        assert_eq!(place("http://announce:9000/"), Ok(Place::Name("announce".into(), 9000)));
        assert_eq!(place("http+unix://%2Frun%2Fx.sock"), Ok(Place::Unix("/run/x.sock".into())));
    }

    #[test]
    fn what_is_no_such_url_is_refused_with_a_cure() {
        use ServiceUrlError as E;
        for (text, error) in [
            ("", E::Scheme),
            ("https://127.0.0.1:1", E::Scheme),
            ("127.0.0.1:1", E::Scheme),
            ("http://", E::Host),
            ("http://:8000", E::Host),
            ("http://user@host:1", E::Host),
            ("http://a b:1", E::Host),
            ("http://a\r\nb:1", E::Host),
            ("http://[::1:1", E::Host),
            ("http://host:port", E::Port),
            ("http://host:0", E::Port),
            ("http://host:70000", E::Port),
            ("http+unix://run", E::Host),
        ] {
            assert_eq!(ServiceUrl::parse(text), Err(error), "{text}");
        }
    }
}
