//! Balancers, Traefik's *services*: one chooses, for a request, the target that carries it.
//!
//! A balancer has targets of its own (weighted round robin, as Traefik does it), or shares requests among other balancers,
//! or falls back to another. `draft` reads them, `sticky` remembers who was where, `health` looks after targets.
//!
//! A target stays the same value over rebuilds of the table as long as its address does: its pooled connections,
//! its WebSockets and what is known of its health live on. One that disappears gets no more requests, and ends with the last of
//! those that it has.

mod draft;
mod health;
mod round_robin;
mod sticky;
mod target;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::{HeaderMap, HeaderValue};

pub use draft::{BalancerDraft, Scheme, ServerTemplate};
pub use health::HealthChecks;
pub use target::{Target, TargetView};

use draft::{FailoverDraft, ServersDraft, WeightedDraft};
use round_robin::RoundRobin;
use sticky::Sticky;

use crate::model::{Timestamp, Upstream};

/// Chooses targets.
#[derive(Debug)]
pub struct Balancer {
    name: String,
    draft: BalancerDraft,
    kind: Kind,
    /// Set by the first who has it looked after.
    is_watched: AtomicBool,
}

#[derive(Debug)]
enum Kind {
    Servers { targets: Vec<Arc<Target>>, turns: RoundRobin, sticky: Option<Sticky> },
    Weighted { children: Vec<Arc<Balancer>>, turns: RoundRobin, sticky: Option<Sticky> },
    Failover { main: Arc<Balancer>, fallback: Arc<Balancer> },
}

/// Who carries a request.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The target: its `upstream` is where the request goes.
    pub target: Arc<Target>,
    /// `Host` towards it, if it is not to be the client's.
    pub host: Option<Arc<str>>,
    /// For the answer: what makes the browser's next requests come here too.
    pub set_cookies: Vec<HeaderValue>,
}

impl Chosen {
    /// Where the request goes.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.target.upstream
    }
}

/// There is nobody who could carry a request: 503.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{balancer} has no target that answers ({targets} known)")]
pub struct NoTarget {
    /// Whose targets.
    pub balancer: String,
    /// How many there are, all of them down.
    pub targets: usize,
}

impl Balancer {
    /// Its full name, `web@docker`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `loadBalancer`, `weighted` or `failover`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Servers { .. } => "loadBalancer",
            Kind::Weighted { .. } => "weighted",
            Kind::Failover { .. } => "failover",
        }
    }

    /// What it was made of.
    #[must_use]
    pub fn draft(&self) -> &BalancerDraft {
        &self.draft
    }

    /// Its own targets; none of those that it leads to by others.
    #[must_use]
    pub fn targets(&self) -> &[Arc<Target>] {
        match &self.kind {
            Kind::Servers { targets, .. } => targets,
            Kind::Weighted { .. } | Kind::Failover { .. } => &[],
        }
    }

    /// Its targets as the dashboard shows them.
    #[must_use]
    pub fn view(&self) -> Vec<TargetView> {
        match &self.kind {
            Kind::Servers { targets, turns, .. } => {
                targets.iter().zip(turns.weights()).map(|(target, weight)| target.view(weight)).collect()
            }
            Kind::Weighted { .. } | Kind::Failover { .. } => Vec::new(),
        }
    }

    /// The balancers that it leads to.
    #[must_use]
    pub fn children(&self) -> Vec<&Arc<Balancer>> {
        match &self.kind {
            Kind::Servers { .. } => Vec::new(),
            Kind::Weighted { children, .. } => children.iter().collect(),
            Kind::Failover { main, fallback } => vec![main, fallback],
        }
    }

    /// True if somebody there would take a request.
    #[must_use]
    pub fn is_up(&self) -> bool {
        match &self.kind {
            Kind::Servers { targets, turns, .. } => {
                targets.iter().zip(turns.weights()).any(|(target, weight)| weight > 0 && target.is_up())
            }
            Kind::Weighted { children, turns, .. } => {
                children.iter().zip(turns.weights()).any(|(child, weight)| weight > 0 && child.is_up())
            }
            Kind::Failover { main, fallback } => main.is_up() || fallback.is_up(),
        }
    }

    /// Chooses who carries the request with these headers.
    ///
    /// # Errors
    /// All targets are down, or there are none.
    pub fn choose(&self, headers: &HeaderMap) -> Result<Chosen, NoTarget> {
        match &self.kind {
            Kind::Servers { targets, turns, sticky } => {
                let is_up = |index: usize| targets[index].is_up();
                let (index, cookie) = choose(turns, sticky.as_ref(), headers, is_up).ok_or_else(|| self.no_target())?;
                let target = targets[index].clone();
                let host = (!self.draft.passes_host()).then(|| target.host.clone());
                Ok(Chosen { target, host, set_cookies: cookie.into_iter().collect() })
            }
            Kind::Weighted { children, turns, sticky } => {
                let is_up = |index: usize| children[index].is_up();
                let (index, cookie) = choose(turns, sticky.as_ref(), headers, is_up).ok_or_else(|| self.no_target())?;
                let mut chosen = children[index].choose(headers)?;
                chosen.set_cookies.extend(cookie);
                Ok(chosen)
            }
            Kind::Failover { main, fallback } => match main.is_up() {
                true => main.choose(headers),
                false => fallback.choose(headers),
            },
        }
    }

    fn no_target(&self) -> NoTarget {
        NoTarget { balancer: self.name.clone(), targets: self.targets().len() }
    }

    /// Builds `draft`, whose `balancers` are `children` in the same order. What has not changed since `previous` is kept: all of
    /// it, or each target that is still there.
    #[must_use]
    pub fn build(
        name: &str,
        draft: BalancerDraft,
        children: Vec<Arc<Balancer>>,
        previous: Option<&Arc<Balancer>>,
        now: Timestamp,
    ) -> Arc<Self> {
        if let Some(previous) = previous.filter(|previous| previous.is_same(name, &draft, &children)) {
            return previous.clone();
        }
        let kind = match &draft {
            BalancerDraft::Servers(servers) => Kind::of_servers(name, servers, previous, now),
            BalancerDraft::Weighted(weighted) => Kind::of_weighted(name, weighted, children),
            BalancerDraft::Failover(FailoverDraft { .. }) => {
                let mut children = children.into_iter();
                match (children.next(), children.next()) {
                    (Some(main), Some(fallback)) => Kind::Failover { main, fallback },
                    // Whoever builds the table has found both, or says so and does not come here.
                    _ => Kind::of_weighted(name, &WeightedDraft::default(), Vec::new()),
                }
            }
        };
        Arc::new(Self { name: name.to_owned(), draft, kind, is_watched: AtomicBool::new(false) })
    }

    fn is_same(&self, name: &str, draft: &BalancerDraft, children: &[Arc<Balancer>]) -> bool {
        let own = self.children();
        self.name == name
            && self.draft == *draft
            && own.len() == children.len()
            && own.iter().zip(children).all(|(own, other)| Arc::ptr_eq(own, other))
    }
}

impl Kind {
    fn of_servers(name: &str, draft: &ServersDraft, previous: Option<&Arc<Balancer>>, now: Timestamp) -> Self {
        let known = |url: &str| {
            let targets = previous.map(|previous| previous.targets()).unwrap_or_default();
            targets.iter().find(|target| target.url == url).cloned()
        };
        let made = |server: &draft::Server| known(&server.url()).unwrap_or_else(|| Arc::new(Target::new(server, now)));
        let targets: Vec<_> = draft.servers.iter().map(made).collect();
        let sticky = draft
            .sticky
            .as_ref()
            .map(|cookie| Sticky::new(cookie, name, targets.iter().map(|target| target.url.as_str())));
        Self::Servers { turns: RoundRobin::new(draft.servers.iter().map(|server| server.weight)), targets, sticky }
    }

    fn of_weighted(name: &str, draft: &WeightedDraft, children: Vec<Arc<Balancer>>) -> Self {
        let sticky = draft
            .sticky
            .as_ref()
            .map(|cookie| Sticky::new(cookie, name, children.iter().map(|child| child.name.as_str())));
        let turns = RoundRobin::new(draft.services.iter().map(|(_, weight)| *weight).take(children.len()));
        Self::Weighted { children, turns, sticky }
    }
}

/// The one who had this browser before if it is up, else whose turn it is; and the cookie that keeps it so.
fn choose(
    turns: &RoundRobin,
    sticky: Option<&Sticky>,
    headers: &HeaderMap,
    is_up: impl Fn(usize) -> bool,
) -> Option<(usize, Option<HeaderValue>)> {
    let Some(sticky) = sticky else { return turns.next(is_up).map(|index| (index, None)) };
    if let Some(index) = sticky.chosen_before(headers).filter(|index| is_up(*index)) {
        return Some((index, None));
    }
    let index = turns.next(is_up)?;
    Some((index, sticky.cookie(index)))
}

#[cfg(test)]
mod tests;
