//! Gives a service's URL its route, keeps it right when a host's name moves, and says in the log whether it answers.
//!
//! Nobody waits for any of it: a service that is not there yet has its route, and whoever asks hears 503.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::url::{Place, ServiceUrl};
use super::{Inner, Service};
use crate::model::{Generation, Route, RouteTarget, UpstreamAddress};
use crate::net::ask;

/// The wait after the first question that was not answered; doubles up to `Config::probe_interval`.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Nothing listens on port 0: where a service is while its host's name is not known.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Publishes the route and watches it until the service is removed or we stop.
pub(super) async fn keep(inner: Arc<Inner>, service: Arc<Service>, url: ServiceUrl) {
    let route_key = service.spec.name.route_key(&inner.parts.base);
    tokio::select! {
        () = service.is_over(&inner.parts.tasks) => {}
        () = watch(&inner, &service, &url, &route_key) => {}
    }
    // While we stop, requests that are under way may finish.
    if service.removed.is_cancelled() {
        inner.parts.routes.withdraw(&route_key);
    }
}

async fn watch(inner: &Inner, service: &Service, url: &ServiceUrl, route_key: &str) {
    let (config, name) = (&inner.config, &service.spec.name);
    let prefix = name.prefix(&inner.parts.base);
    let mut published = Published { inner, service, route_key, address: None, generation: Generation(0) };
    let mut was_up = None;
    let mut wait = FIRST_WAIT;
    published.set(match &url.place {
        Place::Socket(socket) => UpstreamAddress::Tcp(*socket),
        Place::Unix(path) => UpstreamAddress::Unix(path.clone()),
        Place::Name(..) => UpstreamAddress::Tcp(NOWHERE),
    });
    loop {
        if let Place::Name(host, port) = &url.place {
            published.follow(&look_up(host, *port, config.resolve_timeout).await);
        }
        let is_up = match &published.address {
            Some(address) => ask(address, &prefix, config.probe_timeout).await.is_ok(),
            None => false,
        };
        match (is_up, was_up) {
            (true, Some(true)) | (false, Some(false)) => {}
            (true, _) => info!(service = %name, url = %url, "a service is up"),
            (false, None) => info!(service = %name, url = %url, "a service does not answer yet"),
            (false, Some(true)) => warn!(service = %name, url = %url, "a service does not answer any more"),
        }
        if is_up != (was_up == Some(true)) {
            wait = FIRST_WAIT;
        }
        was_up = Some(is_up);
        let pause = if is_up { config.probe_interval } else { wait };
        wait = (wait * 2).min(config.probe_interval);
        sleep(pause).await;
    }
}

/// The route of one service, as it stands.
struct Published<'a> {
    inner: &'a Inner,
    service: &'a Service,
    route_key: &'a str,
    address: Option<UpstreamAddress>,
    generation: Generation,
}

impl Published<'_> {
    fn set(&mut self, address: UpstreamAddress) {
        // `remove` may have run between two steps of ours; the caller withdraws what we publish until then.
        self.generation = self.generation.next();
        self.address = Some(address.clone());
        let target = RouteTarget::Service(self.service.spec.name.clone());
        let route = Route::new(target, self.generation, address, self.inner.parts.clock.now());
        self.inner.parts.routes.publish(self.route_key, Arc::new(route));
    }

    /// Moves to the first of `sockets`, unless the present one is still among them or nothing is known.
    fn follow(&mut self, sockets: &[SocketAddr]) {
        let Some(first) = preferred(sockets) else { return };
        let stays =
            matches!(&self.address, Some(UpstreamAddress::Tcp(present)) if sockets.iter().any(|one| one == present));
        if !stays {
            self.set(UpstreamAddress::Tcp(first));
        }
    }
}

/// IPv4 first: what is started with a name in its URL often listens there alone.
fn preferred(sockets: &[SocketAddr]) -> Option<SocketAddr> {
    sockets.iter().find(|socket| socket.is_ipv4()).or_else(|| sockets.first()).copied()
}

/// The addresses of `host`; none while it is not known.
async fn look_up(host: &str, port: u16, limit: Duration) -> Vec<SocketAddr> {
    match timeout(limit, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(sockets)) => sockets.collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}
