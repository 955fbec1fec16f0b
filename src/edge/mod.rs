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
mod frames;
mod gather;
mod health;
mod hosts;
mod http2;
mod limits;
mod log;
mod request;
mod request_id;
mod route;
mod routed;
mod starting;
mod tickets;
mod trace;
mod upload;
mod visitors;
mod work;

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use tokio::sync::Semaphore;

pub use config::{Config, Hsts, Http2Limits, PublicUrl};
pub use connection::{Arrival, serve_connection};
pub use counts::{Counts, Figures, RequestFigure};
pub use detail::{Detail, Facets, Place, TRAEFIK_BOUNDS_S};
pub use forwarded::ForwardedBy;
pub use health::Unready;
pub use limits::Limits;
pub use work::IgnoredPaths;

use limits::Limiter;
use tickets::Tickets;
use visitors::Visitors;

use crate::auth::Auth;
use crate::model::{BasePath, Clock, Exchange, Random, Routes, Unreachable};
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
    visitors: Arc<Visitors>,
    tickets: Arc<Tickets>,
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
        let [address_limiter, user_limiter] = Limiter::by_address_and_user(&parts.config.limits);
        Self {
            address_limiter,
            user_limiter,
            visitors: Self::watched_visitors(&parts),
            tickets: Arc::new(Tickets::new(Random::from_system())),
            begun: Instant::now(),
            parts: Arc::new(parts),
            counts,
            hub_permits,
            uploads,
            strict_transport,
        }
    }

    /// Visitors who are looked at again whenever rights change.
    fn watched_visitors(parts: &Parts) -> Arc<Visitors> {
        let visitors = Arc::new(Visitors::default());
        let (watched, auth, stopping) = (visitors.clone(), parts.auth.clone(), parts.tasks.stopping().clone());
        let mut changes = auth.rights_changes();
        parts.tasks.spawn(async move {
            while let Some(Ok(())) = stopping.run_until_cancelled(changes.changed()).await {
                watched.look_again(|caller, place| admit::may_stay(&auth, caller, place));
            }
        });
        visitors
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// The same edge under other settings: what it counts and what it holds goes on. Whoever serves connections is
    /// handed a `Live<Edge>`, and takes the newest for each request.
    #[must_use]
    pub fn with_config(&self, config: Config, proxy: Proxy) -> Self {
        let hub_permits = match self.parts.config.requests_in_hub == config.requests_in_hub {
            true => self.hub_permits.clone(),
            // Requests that are in the hub now are not counted against the new limit: they end within seconds.
            false => Arc::new(Semaphore::new(config.requests_in_hub)),
        };
        let [address_limiter, user_limiter] = match self.parts.config.limits == config.limits {
            true => [self.address_limiter.clone(), self.user_limiter.clone()],
            // Counted from nothing: a window is seconds, and what is in flight ends within as many.
            false => Limiter::by_address_and_user(&config.limits),
        };
        let strict_transport = config.hsts.header(config.public_url.is_some());
        let parts = Arc::new(Parts { config, proxy, ..Parts::clone(&self.parts) });
        Self { parts, hub_permits, address_limiter, user_limiter, strict_transport, ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
