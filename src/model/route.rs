//! Routes: which prefix leads to which upstream, and the table of them that the edge reads.
//!
//! The table is a persistent map behind one atomic pointer: a reader takes a snapshot without waiting, a change
//! copies a few nodes and never the table (a clone of 100,000 routes costs 22 to 31 ms).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, Guard};
use tokio_util::sync::CancellationToken;

use super::path::decode_segment;
use super::{ActivitySource, BasePath, Generation, NormalPath, ServerKey, ServiceName, Timestamp};

/// What a route leads to. The two differ in who is let in: a server's callers are checked by the edge, a service's by
/// the service itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteTarget {
    /// Somebody's server.
    Server(ServerKey),
    /// A service of the hub.
    Service(ServiceName),
}

impl RouteTarget {
    /// `/user/alice/` or `/services/culler/` under the base path, percent-encoded.
    #[must_use]
    pub fn prefix(&self, base: &BasePath) -> String {
        match self {
            Self::Server(server) => server.prefix(base),
            Self::Service(service) => service.prefix(base),
        }
    }

    /// The same prefix decoded and without its last slash: the key in the route table.
    #[must_use]
    pub fn route_key(&self, base: &BasePath) -> String {
        match self {
            Self::Server(server) => server.route_key(base),
            Self::Service(service) => service.route_key(base),
        }
    }

    /// The server, if it is one.
    #[must_use]
    pub fn server(&self) -> Option<&ServerKey> {
        match self {
            Self::Server(server) => Some(server),
            Self::Service(_) => None,
        }
    }

    /// The service, if it is one.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Server(_) => None,
            Self::Service(service) => Some(service),
        }
    }
}

impl From<ServerKey> for RouteTarget {
    fn from(server: ServerKey) -> Self {
        Self::Server(server)
    }
}

impl From<ServiceName> for RouteTarget {
    fn from(service: ServiceName) -> Self {
        Self::Service(service)
    }
}

impl std::fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(server) => server.fmt(f),
            Self::Service(service) => write!(f, "service {service}"),
        }
    }
}

/// Where a server or service listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    /// An address and port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
    /// A host that is looked up for each new connection, or an address that speaks TLS.
    Named {
        /// Its name; an IPv6 address stands without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// True if the connection is made through TLS and the certificate must be for `host`.
        is_tls: bool,
    },
}

impl std::fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Named { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Named { host, port, .. } => write!(f, "{host}:{port}"),
        }
    }
}

/// One start of one server as something to connect to. Connections are pooled under `id`, which is never used
/// twice: an address that the engine hands out again cannot answer for somebody else.
#[derive(Debug)]
pub struct Upstream {
    /// Unique in this process.
    pub id: u64,
    /// Where to connect.
    pub address: UpstreamAddress,
    /// Cancelled when the route is withdrawn: pooled connections close and open exchanges end.
    pub gone: CancellationToken,
    active_at: Timestamp,
    /// Last time somebody's request passed, in milliseconds since the epoch; one relaxed store a request.
    last_request: AtomicI64,
    /// The same for messages through WebSockets.
    last_message: AtomicI64,
    /// When a WebSocket of a kernel was opened last, whoever did.
    kernel_opened: AtomicI64,
    /// The same of a terminal.
    terminal_opened: AtomicI64,
}

/// In place of a time: there was none.
const NEVER: i64 = i64::MIN;

static NEXT_UPSTREAM: AtomicU64 = AtomicU64::new(1);

impl Upstream {
    /// Something new to connect to, last active at `active_at`.
    #[must_use]
    pub fn new(address: UpstreamAddress, active_at: Timestamp) -> Self {
        let id = NEXT_UPSTREAM.fetch_add(1, Ordering::Relaxed);
        Self {
            id,
            address,
            gone: CancellationToken::new(),
            active_at,
            last_request: AtomicI64::new(NEVER),
            last_message: AtomicI64::new(NEVER),
            kernel_opened: AtomicI64::new(NEVER),
            terminal_opened: AtomicI64::new(NEVER),
        }
    }

    /// Notes traffic that is somebody's work: through a WebSocket, or any other.
    pub fn touch(&self, source: ActivitySource, now: Timestamp) {
        let last = if source == ActivitySource::WebSocket { &self.last_message } else { &self.last_request };
        last.store(now.0, Ordering::Relaxed);
    }

    /// Notes that a WebSocket to a `Kernel` or a `Terminal` was opened: a page that lost its connection does so by
    /// itself, and the server takes it for use of that kernel or terminal.
    pub fn note_opened(&self, source: ActivitySource, now: Timestamp) {
        if let Some(opened) = self.opened(source) {
            opened.store(now.0, Ordering::Relaxed);
        }
    }

    /// When one was opened last.
    #[must_use]
    pub fn last_opened(&self, source: ActivitySource) -> Option<Timestamp> {
        self.opened(source).and_then(read)
    }

    fn opened(&self, source: ActivitySource) -> Option<&AtomicI64> {
        match source {
            ActivitySource::Kernel => Some(&self.kernel_opened),
            ActivitySource::Terminal => Some(&self.terminal_opened),
            _ => None,
        }
    }

    /// When traffic of this kind (`Request`, `WebSocket`) last passed.
    #[must_use]
    pub fn last_seen(&self, source: ActivitySource) -> Option<Timestamp> {
        match source {
            ActivitySource::Request => read(&self.last_request),
            ActivitySource::WebSocket => read(&self.last_message),
            _ => None,
        }
    }

    /// When anything of that last passed; before, when it was new.
    #[must_use]
    pub fn last_activity(&self) -> Timestamp {
        read(&self.last_request).max(read(&self.last_message)).unwrap_or(self.active_at)
    }
}

fn read(at: &AtomicI64) -> Option<Timestamp> {
    Some(Timestamp(at.load(Ordering::Relaxed))).filter(|at| at.0 != NEVER)
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // Nobody can send a request there any more: what waits in the pool may close.
        self.gone.cancel();
    }
}

/// A prefix that leads to a ready server, or to a service.
#[derive(Debug)]
pub struct Route {
    /// Whose server, or which service.
    pub target: RouteTarget,
    /// Which start of it.
    pub generation: Generation,
    /// Where it listens.
    pub upstream: Arc<Upstream>,
    prefix: OnceLock<String>,
}

impl Route {
    /// A route to one generation of `target`, last active at `active_at`.
    #[must_use]
    pub fn new(
        target: impl Into<RouteTarget>,
        generation: Generation,
        address: UpstreamAddress,
        active_at: Timestamp,
    ) -> Self {
        let upstream = Arc::new(Upstream::new(address, active_at));
        Self { target: target.into(), generation, upstream, prefix: OnceLock::new() }
    }

    /// The target's prefix under `base` (always the same one in a process), written once instead of per request.
    #[must_use]
    pub fn prefix(&self, base: &BasePath) -> &str {
        self.prefix.get_or_init(|| self.target.prefix(base))
    }

    /// Notes traffic that is somebody's work.
    pub fn touch(&self, source: ActivitySource, now: Timestamp) {
        self.upstream.touch(source, now);
    }

    /// When any last passed; before, when the route was new.
    #[must_use]
    pub fn last_activity(&self) -> Timestamp {
        self.upstream.last_activity()
    }
}

/// One snapshot of all routes, keyed by decoded prefix without its last slash.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: imbl::GenericHashMap<Arc<str>, Arc<Route>, ahash::RandomState, imbl::shared_ptr::DefaultSharedPtr>,
    /// The most segments that any prefix has had: no longer one is looked up.
    deepest: usize,
}

/// Prefixes deeper than this are not published.
const SEGMENT_LIMIT: usize = 16;

impl RouteTable {
    /// The route with the longest prefix of whole segments of `path`. A prefix that hides a segment (`//`, `%2F`)
    /// matches nothing.
    #[must_use]
    pub fn find(&self, path: NormalPath<'_>) -> Option<&Arc<Route>> {
        let raw = path.as_str();
        let mut ends = [0; SEGMENT_LIMIT];
        let mut count = 0;
        let mut decoded = String::new();
        for segment in raw[1..].split('/').take(self.deepest) {
            if !raw.contains('%') {
                // Nothing is encoded: the path itself is the key, and nothing is allocated.
                ends[count] = if count == 0 { 0 } else { ends[count - 1] } + 1 + segment.len();
            } else {
                let Ok(segment) = decode_segment(segment) else { break };
                decoded.push('/');
                decoded.push_str(&segment);
                ends[count] = decoded.len();
            }
            count += 1;
        }
        let key = if decoded.is_empty() { raw } else { &decoded };
        ends[..count].iter().rev().find_map(|end| self.routes.get(&key[..*end]))
    }

    /// The route under exactly this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<Route>> {
        self.routes.get(key)
    }

    /// All routes, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

/// The table as published: the spawner and the services write, the edge reads.
#[derive(Debug, Default)]
pub struct Routes(ArcSwap<RouteTable>);

impl Routes {
    /// The present snapshot; wait-free.
    #[must_use]
    pub fn current(&self) -> Guard<Arc<RouteTable>> {
        self.0.load()
    }

    /// Publishes `route` under `key`; one that stood there ends.
    pub fn publish(&self, key: &str, route: Arc<Route>) {
        let depth = key.matches('/').count();
        debug_assert!(depth <= SEGMENT_LIMIT, "prefix {key} is too deep");
        let before = self.0.rcu(|table| {
            let routes = table.routes.update(Arc::from(key), route.clone());
            RouteTable { routes, deepest: table.deepest.max(depth) }
        });
        if let Some(replaced) = before.get(key) {
            replaced.upstream.gone.cancel();
        }
    }

    /// Withdraws what stands under `key`; its connections and open exchanges end.
    pub fn withdraw(&self, key: &str) {
        let before = self.0.rcu(|table| RouteTable { routes: table.routes.without(key), deepest: table.deepest });
        if let Some(withdrawn) = before.get(key) {
            withdrawn.upstream.gone.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ServerName, UserName};

    fn key(user: &str, name: &str) -> ServerKey {
        ServerKey { user: UserName::parse(user).expect("a name"), name: ServerName::parse(name).expect("a name") }
    }

    fn publish(routes: &Routes, server: &ServerKey) -> Arc<Route> {
        let address = UpstreamAddress::Tcp(([127, 0, 0, 1], 1).into());
        let route = Arc::new(Route::new(server.clone(), Generation(1), address, Timestamp(0)));
        routes.publish(&server.route_key(&BasePath::parse("/").expect("root")), route.clone());
        route
    }

    fn find(routes: &Routes, path: &str) -> Option<ServerKey> {
        let table = routes.current();
        table.find(NormalPath::parse(path).expect("normal")).and_then(|route| route.target.server().cloned())
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        let routes = Routes::default();
        let (plain, named, odd) = (key("x", ""), key("x", "gpu"), key("a@b", ""));
        for server in [&plain, &named, &odd] {
            publish(&routes, server);
        }
        assert_eq!(find(&routes, "/user/x/lab"), Some(plain.clone()));
        assert_eq!(find(&routes, "/user/x"), Some(plain.clone()));
        assert_eq!(find(&routes, "/user/x/gpu/lab/a//b"), Some(named));
        assert_eq!(find(&routes, "/user/x/gpus"), Some(plain.clone()));
        assert_eq!(find(&routes, "/user/xy/lab"), None);
        assert_eq!(find(&routes, "/user/a%40b/"), Some(odd));
        assert_eq!(find(&routes, "/user/%78/a%2Fb"), Some(plain));
        assert_eq!(find(&routes, "/"), None);
    }

    #[test]
    fn a_service_has_a_prefix_of_its_own() {
        let (routes, base) = (Routes::default(), BasePath::parse("/").expect("root"));
        let target = RouteTarget::from(ServiceName::parse("x").expect("a name"));
        let address = UpstreamAddress::Tcp(([127, 0, 0, 1], 1).into());
        let route = Arc::new(Route::new(target.clone(), Generation(1), address, Timestamp(0)));
        assert_eq!(route.prefix(&base), "/services/x/");
        routes.publish(&target.route_key(&base), route);
        let table = routes.current();
        let found = |path| table.find(NormalPath::parse(path).expect("normal")).map(|route| route.target.clone());
        assert_eq!(found("/services/x/a"), Some(target));
        assert_eq!(found("/user/x/a"), None);
    }

    #[test]
    fn a_withdrawn_route_ends_its_exchanges() {
        let routes = Routes::default();
        let server = key("x", "");
        let first = publish(&routes, &server);
        let second = publish(&routes, &server);
        assert!(first.upstream.gone.is_cancelled() && !second.upstream.gone.is_cancelled());
        assert_ne!(first.upstream.id, second.upstream.id);
        routes.withdraw("/user/x");
        assert!(second.upstream.gone.is_cancelled() && routes.current().is_empty());
    }
}
