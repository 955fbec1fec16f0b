//! The routers, found by what a request is; published as one snapshot.
//!
//! A table asks as few rules as it can: each router is filed under the hosts and the beginnings of paths that its rule
//! needs in any case (`rule::Needs`), and only rules of the right drawers are asked.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use http::HeaderName;
use tokio::sync::watch;

use super::access::{Access, EntryPoint};
use super::balancer::Balancer;
use super::draft::LazyContainer;
use super::middleware::Middleware;
use super::name::{ObjectName, Provider};
use super::node::Node;
use super::problem::{Place, Problem};
use super::rule::{Asked, Needs, Question, Rule, Syntax};
use crate::model::ClientCertificateRule;

/// A router, ready to work.
#[derive(Debug)]
pub struct Router {
    /// Its name.
    pub name: ObjectName,
    /// Which requests it takes.
    pub rule: Arc<Rule>,
    /// Its rule as it was written.
    pub rule_text: String,
    /// The language of its rule.
    pub syntax: Syntax,
    /// The higher one wins.
    pub priority: i64,
    /// Where it listens.
    pub entry_points: Vec<EntryPoint>,
    /// Who may use it.
    pub access: Access,
    /// Whether a client must show a certificate.
    pub client_certificate: ClientCertificateRule,
    /// A header beside the usual ones that tells the target who asks.
    pub identity: Option<HeaderName>,
    /// The names of its middlewares, in order.
    pub middlewares: Vec<ObjectName>,
    /// Its middlewares.
    pub chain: Vec<Arc<Middleware>>,
    /// Where it leads; none: nowhere (`noop@internal`), its middlewares answer, or 418 as with Traefik.
    pub balancer: Option<Arc<Balancer>>,
    /// The container behind it, if it starts on request.
    pub lazy: Option<LazyContainer>,
    /// Where it was said.
    pub origin: Place,
}

impl Router {
    /// True if the container behind it starts on request.
    #[must_use]
    pub fn is_lazy(&self) -> bool {
        self.lazy.is_some()
    }

    /// A header beside the usual ones that tells the target who asks.
    #[must_use]
    pub fn identity_header(&self) -> Option<&HeaderName> {
        self.identity.as_ref()
    }

    /// True if both are made of the same and lead to the very same: then the one that works already stays.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.name.to_string() == other.name.to_string()
            && Arc::ptr_eq(&self.rule, &other.rule)
            && (self.priority, &self.entry_points, &self.access) == (other.priority, &other.entry_points, &other.access)
            && (self.client_certificate, &self.identity) == (other.client_certificate, &other.identity)
            && self.middlewares == other.middlewares
            && self.chain.len() == other.chain.len()
            && self.chain.iter().zip(&other.chain).all(|(one, other)| Arc::ptr_eq(one, other))
            && self.balancer.as_ref().map(Arc::as_ptr) == other.balancer.as_ref().map(Arc::as_ptr)
            && (&self.lazy, &self.origin) == (&other.lazy, &other.origin)
    }
}

/// A middleware and what it was made of: the same again stays as it is, with its rates and its breakers.
#[derive(Debug)]
pub(super) struct BuiltMiddleware {
    /// The middleware.
    pub middleware: Arc<Middleware>,
    pub(super) said: Node,
    pub(super) parts: Vec<Arc<Middleware>>,
    pub(super) balancer: Option<Arc<Balancer>>,
}

/// Everything that was said and can be done, and what is wrong with the rest.
#[derive(Debug, Default)]
pub struct Table {
    /// The first that takes a request has it.
    routers: Vec<Arc<Router>>,
    by_name: BTreeMap<ObjectName, usize>,
    /// Those that take hosts by a pattern.
    of_host_patterns: Vec<usize>,
    web: Index,
    web_secure: Index,
    pub(super) balancers: BTreeMap<ObjectName, Arc<Balancer>>,
    pub(super) middlewares: BTreeMap<ObjectName, BuiltMiddleware>,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<Problem>,
}

impl Table {
    /// A table of these routers alone.
    #[must_use]
    pub fn new(mut routers: Vec<Arc<Router>>) -> Self {
        routers.sort_by(|one, other| other.priority.cmp(&one.priority).then_with(|| one.name.cmp(&other.name)));
        let (mut web, mut web_secure) = (Index::default(), Index::default());
        let mut of_host_patterns = Vec::new();
        for (rank, router) in routers.iter().enumerate() {
            let needs = router.rule.needs();
            if needs.has_host_pattern || needs.hosts.is_none() {
                of_host_patterns.push(rank);
            }
            for entry_point in &router.entry_points {
                match entry_point {
                    EntryPoint::Web => web.add(rank, &needs),
                    EntryPoint::WebSecure => web_secure.add(rank, &needs),
                }
            }
        }
        web.finish();
        web_secure.finish();
        let by_name = routers.iter().enumerate().map(|(rank, router)| (router.name.clone(), rank)).collect();
        Self { routers, by_name, of_host_patterns, web, web_secure, ..Self::default() }
    }

    /// The router of this name.
    #[must_use]
    pub fn router(&self, name: &ObjectName) -> Option<&Arc<Router>> {
        self.by_name.get(name).map(|rank| &self.routers[*rank])
    }

    /// True if some rule names this host (lower case, no port), or fits it by a pattern: then it is one of ours.
    #[must_use]
    pub fn names_host(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.web.by_host.contains_key(host)
            || self.web_secure.by_host.contains_key(host)
            || self.of_host_patterns.iter().any(|rank| self.routers[*rank].rule.names_host(host))
    }

    /// The router that takes a request: the one of highest priority, of several the first by name.
    #[must_use]
    pub fn find(&self, question: &Question<'_>) -> Option<&Arc<Router>> {
        let index = match question.entry_point {
            EntryPoint::Web => &self.web,
            EntryPoint::WebSecure => &self.web_secure,
        };
        let asked = Asked::new(question);
        let mut best = self.routers.len();
        let of_host = index.by_host.get(asked.host());
        for drawer in of_host.into_iter().chain([&index.any_host]) {
            drawer.each_list(asked.path(), |ranks| {
                let better = ranks.iter().take_while(|rank| **rank < best);
                if let Some(rank) = { better }.find(|rank| self.routers[**rank].rule.matches(&asked)) {
                    best = *rank;
                }
            });
        }
        self.routers.get(best)
    }

    /// All routers, in the order in which they win.
    #[must_use]
    pub fn routers(&self) -> &[Arc<Router>] {
        &self.routers
    }

    /// All balancers.
    #[must_use]
    pub fn balancers(&self) -> &BTreeMap<ObjectName, Arc<Balancer>> {
        &self.balancers
    }

    /// All middlewares.
    pub fn middlewares(&self) -> impl Iterator<Item = (&ObjectName, &Arc<Middleware>)> {
        self.middlewares.iter().map(|(name, built)| (name, &built.middleware))
    }

    /// What is wrong; what it was said for is not here.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What is done otherwise than it was said, for good reason.
    #[must_use]
    pub fn notes(&self) -> &[Problem] {
        &self.notes
    }
}

/// The routers of one entry point, by the host that they need.
#[derive(Debug, Default)]
struct Index {
    by_host: HashMap<String, Drawer, ahash::RandomState>,
    any_host: Drawer,
}

/// Ranks of routers, by the beginning of the path that they need.
#[derive(Debug, Default)]
struct Drawer {
    by_path: HashMap<String, Vec<usize>, ahash::RandomState>,
    /// How long those beginnings are: a path is cut at each and looked up.
    lengths: Vec<usize>,
    any_path: Vec<usize>,
}

impl Index {
    fn add(&mut self, rank: usize, needs: &Needs) {
        match &needs.hosts {
            Some(hosts) => {
                for host in hosts {
                    self.by_host.entry(host.clone()).or_default().add(rank, needs);
                }
            }
            None => self.any_host.add(rank, needs),
        }
    }

    fn finish(&mut self) {
        for drawer in self.by_host.values_mut().chain([&mut self.any_host]) {
            drawer.lengths = drawer.by_path.keys().map(String::len).collect();
            drawer.lengths.sort_unstable();
            drawer.lengths.dedup();
        }
    }
}

impl Drawer {
    /// Ranks come in rising order, so lists stay sorted.
    fn add(&mut self, rank: usize, needs: &Needs) {
        let Some(paths) = &needs.paths else { return self.any_path.push(rank) };
        for path in paths {
            let ranks = self.by_path.entry(path.text.clone()).or_default();
            if ranks.last() != Some(&rank) {
                ranks.push(rank);
            }
        }
    }

    /// Calls `look` with each list that may hold a router for this path.
    fn each_list(&self, path: &str, mut look: impl FnMut(&[usize])) {
        look(&self.any_path);
        for length in &self.lengths {
            let Some(beginning) = path.get(..*length) else {
                // Beyond the end, or within a character: then nothing of this length begins it.
                continue;
            };
            if let Some(ranks) = self.by_path.get(beginning) {
                look(ranks);
            }
        }
    }
}

/// The table as the edge sees it: replaced whole, read without waiting.
#[derive(Debug)]
pub struct Published {
    table: ArcSwap<Table>,
    is_empty: AtomicBool,
    sources: ArcSwap<Vec<SourceState>>,
    changed: watch::Sender<u64>,
}

/// How it is with one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// What it is.
    pub provider: Provider,
    /// What is read: an engine's address, a file.
    pub what: String,
    /// How it is with it, in a sentence's end: `watched`, `not there`.
    pub state: String,
    /// False while it cannot be read: what it said last stays in force.
    pub is_well: bool,
}

impl Default for Published {
    fn default() -> Self {
        let (table, sources) = (ArcSwap::default(), ArcSwap::default());
        Self { table, is_empty: AtomicBool::new(true), sources, changed: watch::Sender::new(0) }
    }
}

impl Published {
    /// True where nobody has any router: one relaxed load, so that those who use none do not pay for them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_empty.load(Ordering::Relaxed)
    }

    /// The present table; a snapshot for as long as it is held.
    #[must_use]
    pub fn current(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// Replaces it.
    pub fn publish(&self, table: Table) {
        let is_empty = table.routers.is_empty();
        self.table.store(Arc::new(table));
        self.is_empty.store(is_empty, Ordering::Release);
        self.changed.send_modify(|count| *count += 1);
    }

    /// How it is with the sources.
    #[must_use]
    pub fn sources(&self) -> Arc<Vec<SourceState>> {
        self.sources.load_full()
    }

    /// Notes how it is with one source.
    pub fn note_source(&self, state: &SourceState) {
        self.sources.rcu(|known| {
            let others = known.iter().filter(|known| known.provider != state.provider).cloned();
            let mut all: Vec<_> = others.chain([state.clone()]).collect();
            all.sort_by_key(|state| state.provider);
            all
        });
    }

    /// Changes with each publication.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
