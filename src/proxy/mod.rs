//! Carries one request to one upstream and its answer back.
//!
//! Knows no users, routes or policy: `edge` has decided before we are called and says in `Forwarding` what the
//! server may see. Header hygiene lives in `headers`, WebSockets in `upgrade`, idle connections in `pool`. A plain
//! proxy in front of others (`chp`) says with `Relay` that there is to be no hygiene.

mod claims;
mod config;
mod counts;
mod error;
mod exchange;
mod forward;
mod frames;
mod headers;
mod messages;
mod pool;
mod tunnel;
mod upgrade;
mod watch;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio_util::sync::CancellationToken;

pub use claims::{Guard, confine_answer, remove_claims};
pub use config::Config;
pub use counts::Figures;
pub use error::ProxyError;
pub use messages::Socket;

use crate::model::{ActivitySource, Clock, Random, Secret, Upstream};
use crate::net::{ClientTls, RequestBody, ResponseBody};
use crate::tasks::Tasks;

/// What the edge knows of a request and the server must hear, or must not.
#[derive(Clone, Debug)]
pub struct Forwarding<'a> {
    /// Name of our session cookie: removed from `Cookie`, refused in `Set-Cookie`.
    pub session_cookie: &'a str,
    /// Path prefix of the server with its last slash, encoded as in cookies: `/user/alice/`.
    pub prefix: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// `https`, or `http` where TLS ends in front of us and that is what the browser sees.
    pub scheme: &'static str,
    /// `Host` as the client sent it (`:authority` on HTTP/2), port included; it has passed the host check.
    pub host: &'a str,
    /// The port that the browser connected to.
    pub port: u16,
    /// What happens to a token in `Authorization` (`token`, `Bearer`) or `?token=`.
    pub token: TokenRule<'a>,
    /// Cancelled when the caller's session or token ends: the exchange is cut. Held for as long as it goes on.
    pub ended: Option<&'a Arc<CancellationToken>>,
    /// True if traffic of this request is somebody's activity: what the client sends, and an answer below 300; of a
    /// WebSocket the client's messages that are work.
    pub is_activity: bool,
    /// What its WebSocket is for, if it is one: decides which messages are work.
    pub socket: Socket,
    /// True if the answer goes to a client of HTTP/1.1 and nobody in between looks at its headers: the server's lines
    /// then pass as bytes, and the response's own headers are only those that others may set too.
    pub takes_lines: bool,
    /// Set for a plain proxy: none of the above hygiene but `host`, `ended` and `is_activity`.
    pub relay: Option<Relay<'a>>,
}

impl<'a> Forwarding<'a> {
    /// What a plain proxy says of a request: `Host` is to be `host`, and everything else is in the request's headers.
    #[must_use]
    pub fn relayed(host: &'a str, relay: Relay<'a>) -> Self {
        Self {
            session_cookie: "",
            prefix: "/",
            client: IpAddr::from([0; 4]),
            scheme: "http",
            host,
            port: 0,
            token: TokenRule::Pass,
            ended: None,
            is_activity: true,
            socket: Socket::Other,
            takes_lines: false,
            relay: Some(relay),
        }
    }
}

/// A plain proxy's way: whatever client and server say to each other passes, except what belongs to the connection
/// (framing, `Connection`, `Upgrade`, trailers), and every byte of a client counts as activity.
#[derive(Clone, Copy, Debug, Default)]
pub struct Relay<'a> {
    /// Path and query towards the server, if they are not the request's own.
    pub target: Option<&'a str>,
    /// A server that is silent for so long is given up, before its answer and in the middle of it; none: the limits
    /// of `Config`.
    pub silence_limit: Option<Duration>,
    /// Held as long as the request's WebSocket is open.
    pub guard: Option<&'a Guard>,
}

/// What happens to a token on its way to a server.
#[derive(Clone, Copy, Debug, Default)]
pub enum TokenRule<'a> {
    /// It passes as it is: its owner owns the server, or it is not one of ours.
    #[default]
    Pass,
    /// This one takes its place wherever the request carries one.
    Replace(&'a Secret),
    /// It is removed.
    Remove,
}

/// Carries requests to upstreams. Cheap to clone.
#[derive(Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    pool: Arc<pool::Pool>,
    counts: Arc<counts::Counts>,
    /// For the keys of WebSocket handshakes that HTTP/2 clients do not send. They protect nothing.
    random: Random,
}

impl Inner {
    fn activity(&self, facts: &Forwarding<'_>, source: ActivitySource) -> Activity {
        Activity(facts.is_activity.then(|| (self.clock.clone(), source)))
    }
}

/// Notes that somebody uses a server; nothing for traffic that is nobody's.
struct Activity(Option<(Arc<dyn Clock>, ActivitySource)>);

impl Activity {
    fn note(&self, upstream: &Upstream) {
        if let Some((clock, source)) = &self.0 {
            upstream.touch(*source, clock.now());
        }
    }
}

impl Proxy {
    /// The same proxy under other settings: its connections and counts go on.
    #[must_use]
    pub fn with_config(&self, config: Config) -> Self {
        let Inner { clock, tasks, pool, counts, random, .. } = &*self.inner;
        pool.follow(&config);
        let (clock, tasks, pool) = (clock.clone(), tasks.clone(), pool.clone());
        Self { inner: Arc::new(Inner { config, clock, tasks, pool, counts: counts.clone(), random: random.clone() }) }
    }

    /// A proxy without connections yet; `tasks` runs its tunnels and the sweep of idle connections.
    #[must_use]
    pub fn new(config: Config, clock: Arc<dyn Clock>, tasks: Tasks) -> Self {
        Self::with_tls(config, clock, tasks, None)
    }

    /// The same for upstreams of which some speak TLS.
    #[must_use]
    pub fn with_tls(config: Config, clock: Arc<dyn Clock>, tasks: Tasks, tls: Option<ClientTls>) -> Self {
        let counts = Arc::<counts::Counts>::default();
        let pool = pool::Pool::new(&config, counts.clone(), &tasks, tls);
        Self { inner: Arc::new(Inner { config, clock, tasks, pool, counts, random: Random::from_system() }) }
    }

    /// Sends `request` to `upstream`. The answer's body streams; it is cut when the upstream or the caller
    /// ends. A WebSocket (an `OnUpgrade` in the request's extensions) is answered by 101 (200 for extended CONNECT)
    /// and goes on in a task of its own.
    ///
    /// # Errors
    /// See `ProxyError`; nothing has been answered to the client then.
    pub async fn forward(
        &self,
        request: Request<RequestBody>,
        upstream: &Arc<Upstream>,
        facts: Forwarding<'_>,
    ) -> Result<Response<ResponseBody>, ProxyError> {
        forward::forward(&self.inner, request, upstream, &facts).await
    }
}

#[cfg(test)]
mod tests;
