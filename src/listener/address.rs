//! Where to listen, as a setting says it: an address, a socket file, or a socket that systemd has opened for us.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// One place to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `[::]:8443`.
    Tcp(SocketAddr),
    /// `unix:/run/slipway.sock`.
    Unix(PathBuf),
    /// `systemd:https`: all sockets that systemd passed under this name (`FileDescriptorName=`).
    Systemd(String),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            let is_file = path.starts_with('/') && !path.ends_with('/');
            return if is_file {
                Ok(Self::Unix(path.into()))
            } else {
                Err(format!("{text:?} must name a file with its whole path, as in \"unix:/run/slipway/https.sock\""))
            };
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            return if name.is_empty() || name.contains(':') {
                Err(format!("{text:?} must name a socket, as in \"systemd:https\" for FileDescriptorName=https"))
            } else {
                Ok(Self::Systemd(name.to_owned()))
            };
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            format!(
                "{text:?} must be an address with a port, as in \"[::]:8443\" or \"127.0.0.1:8443\", or \"unix:/path\" \
                 or \"systemd:NAME\""
            )
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_to_listen_is_an_address_a_file_or_a_name() {
        let shown = |text: &str| text.parse::<ListenAddress>().map(|address| address.to_string());
        for sound in ["[::]:8443", "127.0.0.1:1", "unix:/run/s.sock", "systemd:https"] {
            assert_eq!(shown(sound).as_deref(), Ok(sound));
        }
        for wrong in ["", "8443", "localhost:1", "unix:", "unix:s.sock", "unix:/run/", "systemd:", "systemd:a:b"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }
}
