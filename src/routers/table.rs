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
use tokio::sync::watch;

use super::access::{Access, EntryPoint};
use super::balancer::Balancer;
use super::draft::LazyContainer;
use super::middleware::Middleware;
use super::name::ObjectName;
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
    /// The names of its middlewares, in order.
    pub middlewares: Vec<ObjectName>,
    /// Its middlewares.
    pub chain: Vec<Arc<Middleware>>,
    /// Where it leads.
    pub destination: Destination,
    /// The container behind it, if it starts on request.
    pub lazy: Option<LazyContainer>,
    /// Where it was said.
    pub place: Place,
}

/// Where a router leads.
#[derive(Clone, Debug)]
pub enum Destination {
    /// To a balancer.
    Balancer(Arc<Balancer>),
    /// Nowhere (`noop@internal`): its middlewares answer, or 418 as with Traefik.
    Nowhere,
}

impl Destination {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Balancer(one), Self::Balancer(other)) => Arc::ptr_eq(one, other),
            (Self::Nowhere, Self::Nowhere) => true,
            _ => false,
        }
    }
}

impl Router {
    /// True if both are made of the same and lead to the very same: then the one that works already stays.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.name.to_string() == other.name.to_string()
            && Arc::ptr_eq(&self.rule, &other.rule)
            && (self.priority, &self.entry_points, &self.access) == (other.priority, &other.entry_points, &other.access)
            && self.client_certificate == other.client_certificate
            && self.middlewares == other.middlewares
            && self.chain.len() == other.chain.len()
            && self.chain.iter().zip(&other.chain).all(|(one, other)| Arc::ptr_eq(one, other))
            && self.destination.is_same(&other.destination)
            && (&self.lazy, &self.place) == (&other.lazy, &other.place)
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
        for (rank, router) in routers.iter().enumerate() {
            let needs = router.rule.needs();
            for entry_point in &router.entry_points {
                match entry_point {
                    EntryPoint::Web => web.add(rank, &needs),
                    EntryPoint::WebSecure => web_secure.add(rank, &needs),
                }
            }
        }
        web.finish();
        web_secure.finish();
        Self { routers, web, web_secure, ..Self::default() }
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
    has_routers: AtomicBool,
    changed: watch::Sender<u64>,
}

impl Default for Published {
    fn default() -> Self {
        Self { table: ArcSwap::default(), has_routers: AtomicBool::new(false), changed: watch::Sender::new(0) }
    }
}

impl Published {
    /// False where nobody has any router: one relaxed load, so that those who use none do not pay for them.
    #[must_use]
    pub fn has_routers(&self) -> bool {
        self.has_routers.load(Ordering::Relaxed)
    }

    /// The present table; a snapshot for as long as it is held.
    #[must_use]
    pub fn table(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// Replaces it.
    pub fn publish(&self, table: Table) {
        let has_routers = !table.routers.is_empty();
        self.table.store(Arc::new(table));
        self.has_routers.store(has_routers, Ordering::Release);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Changes with each publication.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
