//! First stop of every request: who asks, where to, may they, and the answer.
//!
//! Is told routes, callers and names, and never asks the hub or the database. `request` is a request's life from
//! top to bottom; the other files are its steps.

mod admit;
mod answer;
mod caller;
mod config;
mod connection;
mod counts;
mod detail;
mod forwarded;
mod gather;
mod health;
mod http2;
mod limits;
mod log;
mod request;
mod request_id;
mod route;
mod routed;
mod starting;
mod trace;
mod upload;
mod work;

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use tokio::sync::Semaphore;

pub use config::{Config, Hsts, Http2Limits, PublicUrl};
pub use connection::Arrival;
pub use counts::{Counts, Figures, RequestFigure};
pub use detail::{Detail, Facets, Place, TRAEFIK_BOUNDS_S};
pub use health::Unready;
pub use limits::Limits;
pub use work::IgnoredPaths;

use limits::Limiter;

use crate::auth::Auth;
use crate::model::{BasePath, Clock, Exchange, Routes, Unreachable};
use crate::net::{RequestBody, ResponseBody};
use crate::proxy::Proxy;
use crate::routers::Routers;
use crate::tasks::Tasks;

/// The hub as the edge sees it: takes a request with `Caller` and `Visit` in its extensions.
pub type Hub = Arc<dyn Fn(Request<RequestBody>) -> BoxFuture<'static, Response<ResponseBody>> + Send + Sync>;

/// Takes note of an exchange when it is over; must not block.
pub type TellExchange = Arc<dyn Fn(&Exchange<'_>) + Send + Sync>;

/// The answer to a token of an ACME authority, while it waits for one. Must not block.
pub type Challenge = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// All that the edge is built from; `app` and tests fill it in.
#[derive(Clone)]
pub struct Parts {
    /// Limits and addresses.
    pub config: Config,
    /// Sessions, tokens and the policy.
    pub auth: Auth,
    /// The way to servers.
    pub proxy: Proxy,
    /// Ready servers.
    pub routes: Arc<Routes>,
    /// What containers' labels and the file of routes lead to.
    pub routers: Routers,
    /// Everything that is no ready server.
    pub hub: Hub,
    /// Told when a server does not answer; must not block.
    pub report: Arc<dyn Fn(Unreachable) + Send + Sync>,
    /// Where we live under our host.
    pub base: BasePath,
    /// Name of the session cookie.
    pub session_cookie: String,
    /// True for a host name (lower case, no port) that stands on a certificate of ours.
    pub is_certified: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// What an ACME authority is answered that asks for this token, if it waits for an answer.
    pub challenge: Challenge,
    /// Told of every exchange when it is over, for access log and traces; `None`: there is neither. Must not block.
    pub tell: Option<TellExchange>,
    /// What is not ready, for `/readyz`. Must not block.
    pub unready: Unready,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Runs the streams of HTTP/2 connections.
    pub tasks: Tasks,
}

/// The edge. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    parts: Arc<Parts>,
    counts: Counts,
    hub_permits: Arc<Semaphore>,
    uploads: upload::Uploads,
    strict_transport: Option<HeaderValue>,
    address_limiter: Arc<Limiter>,
    user_limiter: Arc<Limiter>,
    /// What the limiters count time from.
    begun: Instant,
}

impl Edge {
    /// An edge that serves nothing until it is given connections.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let hub_permits = Arc::new(Semaphore::new(parts.config.requests_in_hub));
        let strict_transport = parts.config.hsts.header(parts.config.public_url.is_some());
        let (counts, uploads) = (Counts::default(), upload::Uploads::default());
        let Limits { window_s, requests_per_address_per_s, requests_per_user_per_s, .. } = parts.config.limits;
        let Limits { in_flight_per_address, in_flight_per_user, .. } = parts.config.limits;
        Self {
            address_limiter: Arc::new(Limiter::new(requests_per_address_per_s, window_s, in_flight_per_address)),
            user_limiter: Arc::new(Limiter::new(requests_per_user_per_s, window_s, in_flight_per_user)),
            begun: Instant::now(),
            parts: Arc::new(parts),
            counts,
            hub_permits,
            uploads,
            strict_transport,
        }
    }
}

#[cfg(test)]
mod tests;
