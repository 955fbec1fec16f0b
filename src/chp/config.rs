//! What `slipway chp` was told on its command line, checked.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::model::Secret;

/// Everything that configurable-http-proxy's command line can say.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where browsers come in.
    pub public: Place,
    /// TLS there; none: plain HTTP.
    pub public_tls: Option<TlsFiles>,
    /// Where routes are set.
    pub api: Place,
    /// TLS there.
    pub api_tls: Option<TlsFiles>,
    /// Where figures are shown.
    pub metrics: Option<Place>,
    /// Plain HTTP that is sent on to HTTPS.
    pub redirect: Option<Redirect>,
    /// What the API's callers must show; none: anybody may set routes.
    pub auth_token: Option<Secret>,
    /// Where the root route leads from the start.
    pub default_target: Option<String>,
    /// Who says that something went wrong.
    pub errors: ErrorPages,
    /// TLS towards the targets.
    pub backend_tls: BackendTls,
    /// The host is the first segment of a route's key.
    pub host_routing: bool,
    /// `X-Forwarded-*` are added.
    pub forwards: bool,
    /// The target's path is put in front of the request's.
    pub prepends_path: bool,
    /// The route's prefix stays in the request's path.
    pub includes_prefix: bool,
    /// A redirect to the target's host becomes one to the host that was asked.
    pub auto_rewrite: bool,
    /// A redirect to the target's host gets this scheme.
    pub protocol_rewrite: Option<String>,
    /// `Host` becomes the target's.
    pub change_origin: bool,
    /// Set on every request to a target.
    pub custom_headers: Vec<(HeaderName, HeaderValue)>,
    /// A client's connection on which nothing moves for so long, in the middle of a request, is dropped.
    pub timeout: Option<Duration>,
    /// A target that is silent for so long is given up. None: 24 hours.
    pub proxy_timeout: Option<Duration>,
    /// A client's connection on which nothing is asked is closed after this.
    pub keep_alive_timeout: Duration,
}

/// Somewhere to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A host, or nothing for all of this machine's addresses, and a port.
    Port {
        /// An address or a name.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Socket(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Port { host, port } if host.is_empty() => write!(f, "*:{port}"),
            Self::Port { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Port { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What a TLS door is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the certificate and those that signed it.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// Set: clients must show a certificate that one of these (PEM) has signed.
    pub client_authorities: Option<PathBuf>,
    /// What may be spoken.
    pub versions: TlsVersions,
    /// OpenSSL's names, separated by colons; none: all that we have.
    pub ciphers: Option<String>,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    All,
    /// Only 1.2, as `--ssl-protocol TLSv1_2` says.
    Only12,
    /// Only 1.3.
    Only13,
}

/// TLS towards targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendTls {
    /// PEM: whose signatures are believed; none: the system's.
    pub authorities: Option<PathBuf>,
    /// PEM: certificate and key that we show.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// False: any certificate will do.
    pub verifies: bool,
    /// What may be spoken.
    pub versions: TlsVersions,
}

/// Plain HTTP that is sent on to HTTPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Where it listens, on all addresses.
    pub port: u16,
    /// The port that the answer names.
    pub to: u16,
    /// True if `to` was asked for: then it is named even if it is 443, as configurable-http-proxy does.
    pub is_explicit: bool,
}

/// Who says that something went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorPages {
    /// Pages of our own.
    BuiltIn,
    /// Files `<status>.html`, else `error.html`.
    Folder(PathBuf),
    /// Another server: `GET <this>/<status>?url=<what was asked>`.
    Target(String),
}
