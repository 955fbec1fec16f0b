//! What administrators are shown of the routers: plain values, taken from what is in force at this moment.

use super::balancer::Balancer;
use super::serve::Routers;
use super::table::{Router, Table};
use super::{EntryPoint, Problem};

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Where requests come in.
    pub entry_points: Vec<EntryPointView>,
    /// Where the routers' words come from.
    pub sources: Vec<SourceView>,
    /// Those in force, by name.
    pub routers: Vec<RouterView>,
    /// Those that routers or middlewares lead to, by name.
    pub balancers: Vec<BalancerView>,
    /// Those in force, by name.
    pub middlewares: Vec<MiddlewareView>,
    /// What is wrong, and not in force for that.
    pub problems: Vec<ProblemView>,
}

impl View {
    /// What `routers` hold at this moment, without entry points' addresses and without sources: `app` knows these.
    #[must_use]
    pub fn of(routers: &Routers) -> Self {
        let table = routers.table();
        let entry_point = |one: EntryPoint| EntryPointView {
            name: one.as_str(),
            addresses: Vec::new(),
            routers: table.routers().iter().filter(|router| router.entry_points.contains(&one)).count(),
        };
        let mut of_routers: Vec<_> = table.routers().iter().map(|router| router_of(routers, router)).collect();
        of_routers.sort_by(|one, other| one.name.cmp(&other.name));
        Self {
            entry_points: [EntryPoint::Web, EntryPoint::WebSecure].map(entry_point).to_vec(),
            sources: Vec::new(),
            routers: of_routers,
            balancers: table.balancers().values().map(|balancer| balancer_of(balancer)).collect(),
            middlewares: middlewares_of(&table),
            problems: table.problems().iter().map(problem_of).collect(),
        }
    }
}

fn router_of(routers: &Routers, router: &Router) -> RouterView {
    RouterView {
        name: router.name.to_string(),
        rule: router.rule_text.clone(),
        priority: router.priority,
        entry_points: router.entry_points.iter().map(|one| one.as_str()).collect(),
        access: router.access.to_string(),
        middlewares: router.middlewares.iter().map(ToString::to_string).collect(),
        balancer: router.balancer.as_ref().map(|balancer| balancer.name().to_owned()).unwrap_or_default(),
        place: router.origin.to_string(),
        is_lazy: router.lazy.is_some(),
        health: routers.health(router),
    }
}

fn balancer_of(balancer: &Balancer) -> BalancerView {
    let target =
        |one: super::balancer::TargetView| TargetView { address: one.url, weight: one.weight, is_up: one.is_up };
    // One that leads to others shows these in place of addresses.
    let child =
        |one: &std::sync::Arc<Balancer>| TargetView { address: one.name().to_owned(), weight: 1, is_up: one.is_up() };
    let targets = balancer.view().into_iter().map(target);
    BalancerView {
        name: balancer.name().to_owned(),
        targets: targets.chain(balancer.children().into_iter().map(child)).collect(),
        is_sticky: balancer.draft().is_sticky(),
        health_check: balancer.draft().health_check_shown(),
    }
}

fn middlewares_of(table: &Table) -> Vec<MiddlewareView> {
    let view = |(name, middleware): (&super::ObjectName, &std::sync::Arc<super::Middleware>)| MiddlewareView {
        name: name.to_string(),
        kind: middleware.kind().to_owned(),
        routers: table.routers().iter().filter(|router| router.middlewares.contains(name)).count(),
    };
    table.middlewares().map(view).collect()
}

fn problem_of(problem: &Problem) -> ProblemView {
    ProblemView { place: problem.place.to_string(), text: problem.text.clone() }
}

/// One way in.
#[derive(Clone, Debug, Default)]
pub struct EntryPointView {
    /// `web` or `websecure`.
    pub name: &'static str,
    /// What is listened on.
    pub addresses: Vec<String>,
    /// How many routers it has.
    pub routers: usize,
}

/// A source of routers.
#[derive(Clone, Debug, Default)]
pub struct SourceView {
    /// `docker` or `file`.
    pub provider: &'static str,
    /// What is read: an engine's address, a file.
    pub what: String,
    /// How it is with it, in a sentence's end: "watched", "not there".
    pub state: String,
    /// False while it cannot be read: what it said last stays in force.
    pub is_well: bool,
}

/// How it is with what a router leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// At least one target may be used.
    #[default]
    Up,
    /// Its container starts on request, and does not run.
    Asleep,
    /// It is being started.
    Starting,
    /// The last start failed.
    Failed,
    /// No target may be used.
    Down,
}

impl Health {
    /// For programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Asleep => "asleep",
            Self::Starting => "starting",
            Self::Failed => "failed",
            Self::Down => "down",
        }
    }
}

/// One router.
#[derive(Clone, Debug, Default)]
pub struct RouterView {
    /// `web@docker`.
    pub name: String,
    /// As it was written.
    pub rule: String,
    /// The higher one is asked first.
    pub priority: i64,
    /// `web`, `websecure`.
    pub entry_points: Vec<&'static str>,
    /// `public`, `user`, `admin`, `group:NAME`.
    pub access: String,
    /// In the order in which a request passes them.
    pub middlewares: Vec<String>,
    /// The balancer that it leads to; empty for one that only redirects.
    pub balancer: String,
    /// Where it was said.
    pub place: String,
    /// True if its container starts on request.
    pub is_lazy: bool,
    /// How it is with it.
    pub health: Health,
}

/// One balancer.
#[derive(Clone, Debug, Default)]
pub struct BalancerView {
    /// `web@docker`.
    pub name: String,
    /// Where requests go.
    pub targets: Vec<TargetView>,
    /// True if a browser stays with its target.
    pub is_sticky: bool,
    /// What is asked for its health, if anything is.
    pub health_check: Option<String>,
}

/// One target.
#[derive(Clone, Debug, Default)]
pub struct TargetView {
    /// `http://172.18.0.3:8080`
    pub address: String,
    /// Its share, beside the others'.
    pub weight: u32,
    /// False while its health check fails.
    pub is_up: bool,
}

/// One middleware.
#[derive(Clone, Debug, Default)]
pub struct MiddlewareView {
    /// `auth@file`.
    pub name: String,
    /// As Traefik writes it: `basicAuth`.
    pub kind: String,
    /// How many routers use it.
    pub routers: usize,
}

/// Something that somebody said wrongly.
#[derive(Clone, Debug, Default)]
pub struct ProblemView {
    /// Where.
    pub place: String,
    /// What is wrong, and the cure.
    pub text: String,
}

/// Tells it; given by `app`. Never waits.
pub type ViewOf = std::sync::Arc<dyn Fn() -> View + Send + Sync>;
