//! `slipway chp`: stands in configurable-http-proxy's place for a JupyterHub that is not ours.
//!
//! A plain proxy with a table of routes that a hub sets over a REST API. Knows no users and decides nothing about who
//! may do what: what a client says of itself passes, as configurable-http-proxy lets it pass. Carrying is `proxy`'s
//! work; here is the table, the API, the doors, and what a request looks like on its way.

mod api;
mod config;
mod door;
mod error_page;
mod forwarded;
mod idle;
mod json;
mod location;
mod metrics;
mod redirect;
mod request;
mod table;
mod target;
mod time;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tracing::{info, warn};

pub use config::{BackendTls, Config, ErrorPages, Place, Redirect, TlsFiles, TlsVersions};
pub use tls::TlsError;

use self::door::Door;
use self::json::{Json, Object};
use self::metrics::Metrics;
use self::table::{Table, clean_key};
use self::target::Target;
use crate::listener::BindError;
use crate::model::Clock;
use crate::net::http1;
use crate::proxy::{self, Proxy};
use crate::tasks::Lanes;

/// The version of configurable-http-proxy whose ways these are.
pub const STANDS_FOR: &str = "5.3.0";

/// A target that says nothing for a day is given up; configurable-http-proxy would wait for ever.
const SILENCE_LIMIT_S: u64 = 24 * 3600;
/// Connections to one target: as many as come in, since all of a hub's pages may be one.
const CONNECTIONS: usize = 16_384;

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address.
    #[error("an address cannot be listened on; is another program using it?")]
    Bind(#[from] BindError),
    /// A Unix socket.
    #[error("the socket {} cannot be listened on", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A host name to listen on.
    #[error("{host} is no address of this machine")]
    Host {
        /// The name.
        host: String,
        /// What the resolver says.
        #[source]
        cause: io::Error,
    },
    /// Certificates and keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// `--error-target`.
    #[error("--error-target {target} is no http(s):// or http+unix:// address")]
    ErrorTarget {
        /// As given.
        target: String,
    },
}

/// Where it listens; it runs until its `Tasks` are stopped.
#[derive(Debug)]
pub struct Running {
    /// Where browsers come in; empty for a Unix socket.
    pub public: Vec<SocketAddr>,
    /// Where routes are set.
    pub api: Vec<SocketAddr>,
    /// Where figures are shown.
    pub metrics: Vec<SocketAddr>,
    /// Where plain HTTP is sent on.
    pub redirect: Vec<SocketAddr>,
}

/// What all doors share.
struct Chp {
    config: Config,
    table: Table,
    proxy: Proxy,
    metrics: Metrics,
    error_target: Option<Target>,
    clock: Arc<dyn Clock>,
}

/// How a client came in.
#[derive(Clone, Debug)]
struct Arrival {
    /// Its address; none over a Unix socket.
    peer: Option<HeaderValue>,
    is_encrypted: bool,
}

impl Chp {
    /// Adds a route, or replaces it as a whole.
    fn add_route(&self, path: &str, mut data: Object, target: &str) {
        let key = clean_key(path);
        if self.config.host_routing && key != "/" {
            let host = key.split('/').nth(1).unwrap_or_default();
            data.set("host", Json::Text(host.to_owned()));
        }
        info!("Adding route {key} -> {target}");
        self.table.add(&key, data, target, self.clock.now());
        self.metrics.activity();
        info!("Route added {key} -> {target}");
    }
}

/// Starts all doors on the current runtime.
///
/// # Errors
/// What could not be had; nothing listens then.
pub async fn start(config: Config, clock: Arc<dyn Clock>, lanes: &Lanes) -> Result<Running, StartError> {
    let public_tls = config.public_tls.as_ref().map(tls::acceptor).transpose()?;
    let api_tls = config.api_tls.as_ref().map(tls::acceptor).transpose()?;
    let to_targets = tls::to_targets(&config.backend_tls)?;
    let error_target = match &config.errors {
        ErrorPages::Target(target) => {
            let parsed = Target::parse(target, clock.now());
            Some(parsed.map_err(|_| StartError::ErrorTarget { target: target.clone() })?)
        }
        ErrorPages::BuiltIn | ErrorPages::Folder(_) => None,
    };
    let public = Door::bind(&config.public).await?;
    let api = Door::bind(&config.api).await?;
    let metrics = match &config.metrics {
        Some(place) => Some(Door::bind(place).await?),
        None => None,
    };
    let redirect = match &config.redirect {
        Some(redirect) => Some(Door::bind(&Place::Port { host: String::new(), port: redirect.port }).await?),
        None => None,
    };
    let running = Running {
        public: public.addresses(),
        api: api.addresses(),
        metrics: metrics.as_ref().map(Door::addresses).unwrap_or_default(),
        redirect: redirect.as_ref().map(Door::addresses).unwrap_or_default(),
    };

    let proxy = Proxy::with_tls(proxy_config(&config), clock.clone(), lanes.tasks(), Some(to_targets));
    let figures = Metrics::new(config.metrics.is_some());
    let chp = Arc::new(Chp { config, table: Table::default(), proxy, metrics: figures, error_target, clock });
    // After the doors are bound: who waits for this line connects at once.
    if let Some(target) = &chp.config.default_target {
        let data = [("target".to_owned(), Json::Text(target.clone()))].into_iter().collect();
        chp.add_route("/", data, target);
    }
    announce(&chp.config);
    let limits = Arc::new(limits(&chp.config));
    door::run_public(public, &chp, &limits, public_tls, lanes);
    door::run_api(api, &chp, &limits, api_tls, lanes);
    if let Some(metrics) = metrics {
        door::run_metrics(metrics, &chp, &limits, lanes);
    }
    if let Some(redirect) = redirect {
        door::run_redirect(redirect, &chp, &limits, lanes);
    }
    if let (Some(redirect), Some(address)) = (&chp.config.redirect, running.redirect.first()) {
        info!("Added HTTP to HTTPS redirection from {} to {}", address.port(), redirect.to);
    }
    Ok(running)
}

fn proxy_config(config: &Config) -> proxy::Config {
    let usual = proxy::Config::default();
    let silence = config.proxy_timeout.map_or(u64::MAX, |limit| limit.as_secs().max(1));
    proxy::Config {
        connect_timeout_s: silence.min(usual.connect_timeout_s),
        response_head_timeout_s: SILENCE_LIMIT_S,
        body_idle_timeout_s: SILENCE_LIMIT_S,
        connections_per_upstream: CONNECTIONS,
        ..usual
    }
}

fn limits(config: &Config) -> http1::Limits {
    let idle = config.keep_alive_timeout + Duration::from_millis(999);
    http1::Limits {
        idle_timeout_s: idle.as_secs().max(1),
        header_count: 128,
        target_bytes: 16 * 1024,
        ..http1::Limits::default()
    }
}

fn announce(config: &Config) {
    let scheme = |tls: &Option<TlsFiles>| if tls.is_some() { "https" } else { "http" };
    if config.auto_rewrite {
        info!("AutoRewrite of Location headers enabled.");
    }
    if config.change_origin {
        info!("Change Origin of host headers enabled.");
    }
    if let Some(protocol) = &config.protocol_rewrite {
        info!("ProtocolRewrite enabled. Rewriting to {protocol}");
    }
    if config.auth_token.is_none() {
        warn!("REST API is not authenticated.");
    }
    let target = config.default_target.as_deref().unwrap_or("(no default)");
    info!("Proxying {}://{} to {target}", scheme(&config.public_tls), config.public);
    info!("Proxy API at {}://{}/api/routes", scheme(&config.api_tls), config.api);
    if let Some(metrics) = &config.metrics {
        info!("Serve metrics at http://{metrics}/metrics");
    }
}

#[cfg(test)]
mod tests;
