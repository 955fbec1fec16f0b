//! Settings of the static backend, as checked by `config`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::model::UpstreamAddress;
use crate::spawner::BackendError;

/// How long looking up a name may take. 10 s: two tries of a resolver whose first server is down.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of servers that are started elsewhere.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everybody's server is.
    pub upstream: Upstream,
    /// How long connecting to it may take when a server is started. 3 s, as for every connection to a server.
    pub connect_timeout_s: u64,
}

/// An upstream as a setting names it: `http://127.0.0.1:9000`, `http://lab:8888` or `unix:/run/lab.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// A host (a name or an address without brackets) and a port.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be as in \"http://127.0.0.1:9000\" or \"unix:/run/lab.sock\", without a path".to_owned();
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(wrong()) };
        }
        let address = text.trim_end_matches('/').strip_prefix("http://").ok_or_else(wrong)?;
        let authority: http::uri::Authority = address.parse().map_err(|_| wrong())?;
        if address.contains('@') || authority.host().is_empty() {
            return Err(wrong());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match address.strip_prefix(authority.host()).ok_or_else(wrong)? {
            "" => 80,
            port => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(wrong)?,
        };
        Ok(Self::Tcp { host, port })
    }
}

impl Upstream {
    /// The address that it stands for.
    ///
    /// # Errors
    /// If the name is not known, or nobody says so in time.
    pub(super) async fn look_up(&self) -> Result<UpstreamAddress, BackendError> {
        let (host, port) = match self {
            Self::Unix(path) => return Ok(UpstreamAddress::Unix(path.clone())),
            Self::Tcp { host, port } => (host.as_str(), *port),
        };
        if host == "localhost" {
            return Ok(UpstreamAddress::Tcp((Ipv4Addr::LOCALHOST, port).into()));
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(UpstreamAddress::Tcp(SocketAddr::new(address, port)));
        }
        let unknown = |reason: String| BackendError::Settings(format!("spawner.static.upstream: {host}: {reason}"));
        let mut addresses = match timeout(LOOK_UP_TIMEOUT, lookup_host((host, port))).await {
            Ok(found) => found.map_err(|error| unknown(error.to_string()))?,
            Err(_) => return Err(unknown(format!("no answer within {} s", LOOK_UP_TIMEOUT.as_secs()))),
        };
        addresses.next().map(UpstreamAddress::Tcp).ok_or_else(|| unknown("it has no address".into()))
    }
}
