//! Sockets and TLS: accepts connections within limits, shakes hands, and hands them up.
//!
//! Never looks inside a request. What serves a connection is a function given by `app`.

mod accept;
pub mod acme;
mod activated;
mod address;
mod admission;
mod certificates;
mod counts;
mod pairs;
mod permits;
mod proxy_protocol;
mod self_signed;
mod socket;
mod stream;
mod tls;
mod unix;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use accept::{AcceptLimits, BindError, Connection, Listener, Serve, raise_open_files_limit};
pub use activated::adopt_sockets;
pub use address::ListenAddress;
pub use admission::Admission;
pub use certificates::{CertificateError, CertificateFigures, Certificates, is_covered};
pub use counts::{Counts, Figures};
pub use pairs::Problem;
pub use stream::Stream;
pub use tls::{TlsConfig, TlsError, TlsVersion, acceptor};
pub use unix::{ServeUnix, SocketAccess, UnixDoor};

use crate::model::Network;

/// Where Slipway listens, with which certificates, and how much it takes on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses for HTTPS. Default `[::]:8443`, which takes IPv4 too.
    pub https: Vec<ListenAddress>,
    /// Addresses for plain HTTP, which answers with a redirect to HTTPS. Default none.
    pub http: Vec<ListenAddress>,
    /// Who may connect to socket files among them.
    pub access: SocketAccess,
    /// Where an operator drops PEM files. Default `certs`.
    pub certs_dir: PathBuf,
    /// The self-signed certificate is kept in `tls/` below it.
    pub data_dir: PathBuf,
    /// How often `certs_dir` is looked at. 2 s: a renewed certificate is served before anybody wonders, and reading a
    /// few small files costs nothing.
    pub certificate_poll: Duration,
    /// Versions and clients' certificates.
    pub tls: TlsConfig,
    /// Certificates that are ordered.
    pub acme: acme::Config,
    /// Peers that end TLS in front of us: their `X-Forwarded-*` is believed and no per-address limit holds for them.
    pub trusted_proxies: Vec<Network>,
    /// Peers that begin with a PROXY header, which says who really comes.
    pub proxy_protocol: Vec<Network>,
    /// Where `proxy_protocol` names anybody, nobody else may come in.
    pub others_are_refused: bool,
    /// Bounds of accepting.
    pub limits: AcceptLimits,
}

impl Config {
    /// What holds for connections on `https` and `http`.
    #[must_use]
    pub fn admission(&self) -> Admission {
        Admission {
            limits: self.limits.clone(),
            unlimited: self.trusted_proxies.clone(),
            proxy_protocol: self.proxy_protocol.clone(),
            others_are_refused: self.others_are_refused,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            https: vec![ListenAddress::Tcp(SocketAddr::from(([0; 8], 8443)))],
            http: Vec::new(),
            access: SocketAccess::default(),
            certs_dir: "certs".into(),
            data_dir: "data".into(),
            certificate_poll: Duration::from_secs(2),
            tls: TlsConfig::default(),
            acme: acme::Config::default(),
            trusted_proxies: Vec::new(),
            proxy_protocol: Vec::new(),
            others_are_refused: false,
            limits: AcceptLimits::default(),
        }
    }
}
