//! What all sources say → one table, and what is wrong with the rest.
//!
//! A name that leads nowhere, a circle, or two who say the same name differently take out what they were said for and all
//! that leads there; the rest stands. What is the same as before stays the same value: a balancer with its health, a rate limit
//! with its counts, an open connection.

mod hub;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

pub use hub::Surroundings;

use super::access::EntryPoint;
use super::balancer::{Balancer, BalancerDraft};
use super::draft::{ContainerTarget, Draft, LazyContainer, RouterDraft, Said};
use super::middleware::{Middleware, MiddlewareDraft};
use super::name::{ObjectName, Provider};
use super::node::NodeValue;
use super::problem::{Place, Problem, did_you_mean};
use super::rule::Rule;
use super::table::{BuiltMiddleware, Router, Table};
use crate::model::Timestamp;

/// Most routers of one table, and most of its other objects of each kind.
const OBJECTS_LIMIT: usize = 10_000;
/// Most problems that are kept; one more says how many there are.
const PROBLEMS_LIMIT: usize = 1_000;
/// Longest way by names: chains in chains, balancers behind balancers.
const DEPTH_LIMIT: usize = 16;

/// Builds the table of these drafts.
#[must_use]
pub fn build(drafts: &[Draft], around: &Surroundings, previous: &Table, now: Timestamp) -> Table {
    Builder::new(drafts, around, previous, now, None).table()
}

/// What is wrong with a draft by itself; names of the other provider are taken to be there.
#[must_use]
pub fn check(draft: &Draft, provider: Provider, around: &Surroundings) -> Vec<Problem> {
    let previous = Table::default();
    let table = Builder::new(std::slice::from_ref(draft), around, &previous, Timestamp(0), Some(provider)).table();
    table.problems
}

/// How far one object has got.
enum Progress<T> {
    UnderWay,
    Ready(T),
    /// It is wrong, and that has been said.
    Wrong,
}

/// A balancer as all containers together describe it, and the container that starts on request behind it.
struct MergedBalancer {
    draft: BalancerDraft,
    place: Place,
    lazy: Option<LazyContainer>,
}

type Behind = (Option<Arc<Balancer>>, Option<LazyContainer>);

struct Builder<'a> {
    around: &'a Surroundings,
    previous: &'a Table,
    now: Timestamp,
    /// Set for a check: names of others than this provider are taken to be there.
    only: Option<Provider>,
    routers: BTreeMap<ObjectName, &'a RouterDraft>,
    merged: BTreeMap<ObjectName, MergedBalancer>,
    said_middlewares: BTreeMap<ObjectName, &'a Said>,
    balancers: BTreeMap<ObjectName, Progress<Arc<Balancer>>>,
    middlewares: BTreeMap<ObjectName, Progress<BuiltMiddleware>>,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
}

impl<'a> Builder<'a> {
    fn new(
        drafts: &'a [Draft],
        around: &'a Surroundings,
        previous: &'a Table,
        now: Timestamp,
        only: Option<Provider>,
    ) -> Self {
        let mut builder = Self {
            around,
            previous,
            now,
            only,
            routers: BTreeMap::new(),
            merged: BTreeMap::new(),
            said_middlewares: BTreeMap::new(),
            balancers: BTreeMap::new(),
            middlewares: BTreeMap::new(),
            problems: drafts.iter().flat_map(|draft| draft.problems.clone()).collect(),
            notes: drafts.iter().flat_map(|draft| draft.notes.clone()).take(PROBLEMS_LIMIT).collect(),
        };
        builder.gather_routers(drafts);
        builder.gather_middlewares(drafts);
        builder.gather_balancers(drafts);
        builder
    }

    fn table(mut self) -> Table {
        // Also those that nobody uses: they are shown, and what is wrong with them is said.
        for name in self.merged.keys().cloned().collect::<Vec<_>>() {
            let _ = self.balancer(&name, 0);
        }
        for name in self.said_middlewares.keys().cloned().collect::<Vec<_>>() {
            let _ = self.middleware(&name, 0);
        }
        let mut routers = Vec::new();
        for draft in std::mem::take(&mut self.routers).into_values() {
            match self.router(draft) {
                Ok(router) => routers.push(router),
                Err(problem) => self.problems.push(problem),
            }
        }
        let mut table = Table::new(routers);
        let ready = |(name, progress)| match progress {
            Progress::Ready(value) => Some((name, value)),
            _ => None,
        };
        table.balancers = self.balancers.into_iter().filter_map(ready).collect();
        let ready = |(name, progress)| match progress {
            Progress::Ready(value) => Some((name, value)),
            _ => None,
        };
        table.middlewares = self.middlewares.into_iter().filter_map(ready).collect();
        self.problems.sort();
        self.problems.dedup();
        if let Some(more) = self.problems.len().checked_sub(PROBLEMS_LIMIT).filter(|more| *more > 0) {
            let place = self.problems[PROBLEMS_LIMIT].place.clone();
            self.problems.truncate(PROBLEMS_LIMIT);
            self.problems.push(Problem::new(&place, format!("and {more} problems more")));
        }
        self.notes.sort();
        self.notes.dedup();
        (table.problems, table.notes) = (self.problems, self.notes);
        table
    }

    /// All that carry one name, and what is wrong if they do not say the same.
    fn gather<T: Copy>(
        &mut self,
        kind: &str,
        said: impl Iterator<Item = (ObjectName, Place, T)>,
        is_same: impl Fn(T, T) -> bool,
    ) -> BTreeMap<ObjectName, T> {
        let mut all: BTreeMap<ObjectName, Vec<(Place, T)>> = BTreeMap::new();
        for (name, place, value) in said {
            if all.len() >= OBJECTS_LIMIT && !all.contains_key(&name) {
                let text = format!("{kind} {name} is one more than {OBJECTS_LIMIT}, which is as many as there may be");
                self.problems.push(Problem::new(&place, text));
                continue;
            }
            all.entry(name).or_default().push((place, value));
        }
        let mut one_each = BTreeMap::new();
        for (name, values) in all {
            let (first_place, first) = (values[0].0.clone(), values[0].1);
            match values.iter().find(|(_, value)| !is_same(first, *value)) {
                None => {
                    one_each.insert(name, first);
                }
                Some((other, _)) => self.problems.extend(collision(kind, &name, &first_place, other)),
            }
        }
        one_each
    }

    fn gather_routers(&mut self, drafts: &'a [Draft]) {
        let said = drafts.iter().flat_map(|draft| &draft.routers);
        let said = said.map(|router| (router.name.clone(), router.place.clone(), router));
        self.routers = self.gather("router", said, RouterDraft::says_the_same);
    }

    fn gather_middlewares(&mut self, drafts: &'a [Draft]) {
        let said = drafts.iter().flat_map(|draft| &draft.middlewares);
        let said = said.map(|said| (said.name.clone(), said.node.place.clone(), said));
        self.said_middlewares =
            self.gather("middleware", said, |one: &Said, other: &Said| one.node.says_the_same(&other.node));
    }

    fn gather_balancers(&mut self, drafts: &'a [Draft]) {
        let mut refused: Vec<ObjectName> = Vec::new();
        for draft in drafts {
            for said in &draft.balancers {
                let name = &said.name;
                let behind = draft.containers.iter().find(|container| container.balancers.contains(name));
                let merged = match merged_balancer(said, behind) {
                    Ok(merged) => merged,
                    Err(problem) => {
                        self.problems.push(problem);
                        refused.push(name.clone());
                        continue;
                    }
                };
                let Some(known) = self.merged.get_mut(name) else {
                    if self.merged.len() < OBJECTS_LIMIT {
                        self.merged.insert(name.clone(), merged);
                    }
                    continue;
                };
                if known.lazy.is_some() || merged.lazy.is_some() {
                    let text = format!(
                        "service {name} has several containers, and slipway.start = on-request works for one alone"
                    );
                    self.problems.push(Problem::new(&merged.place, text));
                    refused.push(name.clone());
                } else if !known.draft.merge(&merged.draft) {
                    self.problems.extend(collision("service", name, &known.place.clone(), &merged.place));
                    refused.push(name.clone());
                }
            }
        }
        for name in refused {
            self.merged.remove(&name);
            self.balancers.insert(name, Progress::Wrong);
        }
    }

    /// A balancer by its name; none for one of another provider in a check.
    fn balancer(&mut self, name: &ObjectName, depth: usize) -> Result<Option<Arc<Balancer>>, String> {
        match self.balancers.get(name) {
            Some(Progress::Ready(balancer)) => return Ok(Some(balancer.clone())),
            Some(Progress::Wrong) => return Err(format!("service {name} is wrong itself: see there")),
            Some(Progress::UnderWay) => return Err(format!("service {name} leads back to itself")),
            None => {}
        }
        if depth > DEPTH_LIMIT {
            return Err(format!("service {name} lies behind more than {DEPTH_LIMIT} others"));
        }
        let Some(MergedBalancer { draft, place, .. }) = self.merged.get(name) else {
            return self.unknown("service", name, self.merged.keys());
        };
        let (draft, place) = (draft.clone(), place.clone());
        self.balancers.insert(name.clone(), Progress::UnderWay);
        let mut children = Vec::new();
        for child in draft.balancers() {
            let found = ObjectName::read(child, name.provider, &place)
                .map_err(|problem| problem.text)
                .and_then(|child| self.balancer(&child, depth + 1));
            match found {
                Ok(child) => children.extend(child),
                Err(text) => {
                    self.problems.push(Problem::new(&place, text.clone()));
                    self.balancers.insert(name.clone(), Progress::Wrong);
                    return Err(format!("service {name} is wrong itself: see there"));
                }
            }
        }
        let previous = self.previous.balancers.get(name);
        let balancer = Balancer::build(&name.to_string(), draft, children, previous, self.now);
        self.balancers.insert(name.clone(), Progress::Ready(balancer.clone()));
        Ok(Some(balancer))
    }

    /// A middleware by its name; none for one of another provider in a check.
    fn middleware(&mut self, name: &ObjectName, depth: usize) -> Result<Option<Arc<Middleware>>, String> {
        match self.middlewares.get(name) {
            Some(Progress::Ready(built)) => return Ok(Some(built.middleware.clone())),
            Some(Progress::Wrong) => return Err(format!("middleware {name} is wrong itself: see there")),
            Some(Progress::UnderWay) => return Err(format!("middleware {name} leads back to itself")),
            None => {}
        }
        if depth > DEPTH_LIMIT {
            return Err(format!("middleware {name} lies behind more than {DEPTH_LIMIT} others"));
        }
        let Some(said) = self.said_middlewares.get(name).copied() else {
            return self.unknown("middleware", name, self.said_middlewares.keys());
        };
        self.middlewares.insert(name.clone(), Progress::UnderWay);
        match self.built_middleware(name, said, depth) {
            Ok(built) => {
                let middleware = built.middleware.clone();
                self.middlewares.insert(name.clone(), Progress::Ready(built));
                Ok(Some(middleware))
            }
            Err(problem) => {
                self.problems.push(problem);
                self.middlewares.insert(name.clone(), Progress::Wrong);
                Err(format!("middleware {name} is wrong itself: see there"))
            }
        }
    }

    fn built_middleware(&mut self, name: &ObjectName, said: &Said, depth: usize) -> Result<BuiltMiddleware, Problem> {
        let draft = read_middleware(said)?;
        let place = &said.node.place;
        let fail = |text: String| Problem::new(place, text);
        let mut parts = Vec::new();
        for part in draft.middlewares() {
            let part = ObjectName::read(part, name.provider, place)?;
            parts.extend(self.middleware(&part, depth + 1).map_err(fail)?);
        }
        let balancer = match draft.balancer() {
            Some(balancer) => {
                let balancer = ObjectName::read(balancer, name.provider, place)?;
                self.balancer(&balancer, depth + 1).map_err(fail)?
            }
            None => None,
        };
        let same = |built: &&BuiltMiddleware| {
            let is_alike = built.parts.len() == parts.len()
                && built.parts.iter().zip(&parts).all(|(one, other)| Arc::ptr_eq(one, other));
            let leads_alike = match (&built.balancer, &balancer) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (None, None) => true,
                _ => false,
            };
            is_alike && leads_alike && built.said.says_the_same(&said.node)
        };
        let middleware = match self.previous.middlewares.get(name).filter(same) {
            Some(built) => built.middleware.clone(),
            None => draft.finish(parts.clone(), balancer.clone()),
        };
        Ok(BuiltMiddleware { middleware, said: said.node.clone(), parts, balancer })
    }

    fn unknown<'n, T>(
        &self,
        kind: &str,
        name: &ObjectName,
        known: impl Iterator<Item = &'n ObjectName>,
    ) -> Result<Option<T>, String> {
        if self.only.is_some_and(|only| only != name.provider) {
            return Ok(None);
        }
        let known: Vec<_> = known.map(ToString::to_string).collect();
        let near = did_you_mean(&name.to_string(), known.iter().map(String::as_str));
        Err(format!("there is no {kind} {name}{near}"))
    }

    fn router(&mut self, draft: &RouterDraft) -> Result<Arc<Router>, Problem> {
        let name = &draft.name;
        let Some((rule_text, rule_place)) = &draft.rule else {
            let text = format!("router {name} has no rule; write one, for instance Host(`example.com`)");
            return Err(Problem::new(&draft.place, text));
        };
        let previous = self.previous.router(name).cloned();
        let known = previous.as_ref().filter(|known| known.rule_text == *rule_text && known.syntax == draft.syntax);
        let rule = match known {
            Some(known) => known.rule.clone(),
            None => {
                let read = Rule::read(rule_text, draft.syntax);
                Arc::new(read.map_err(|error| Problem::new(rule_place, error.to_string()))?)
            }
        };
        self.around.check_rule(&rule, draft).map_err(|text| Problem::new(rule_place, text))?;
        let entry_points = entry_points(draft, &self.around.default_entry_points)?;
        let (mut chain, mut middlewares) = (Vec::new(), Vec::new());
        for (middleware, place) in &draft.middlewares {
            let middleware = ObjectName::read(middleware, name.provider, place)?;
            let found = self.middleware(&middleware, 0);
            let found = found.map_err(|text| Problem::new(place, format!("router {name} is not published: {text}")))?;
            chain.extend(found);
            middlewares.push(middleware);
        }
        let (balancer, lazy) = self.destination(draft)?;
        let router = Router {
            name: name.clone(),
            rule,
            rule_text: rule_text.clone(),
            syntax: draft.syntax,
            priority: draft.priority.unwrap_or_else(|| i64::try_from(rule_text.len()).unwrap_or(i64::MAX)),
            entry_points,
            access: draft.access.clone(),
            client_certificate: draft.client_certificate,
            identity: draft.identity_header.clone(),
            middlewares,
            chain,
            balancer,
            lazy,
            origin: draft.place.clone(),
        };
        Ok(previous.filter(|known| known.is_same(&router)).unwrap_or_else(|| Arc::new(router)))
    }

    /// The balancer that a router leads to, none for nowhere; and the container behind it that starts on request.
    fn destination(&mut self, draft: &RouterDraft) -> Result<Behind, Problem> {
        let name = &draft.name;
        let Some((service, place)) = &draft.service else {
            let text = format!("router {name} names no service");
            return Err(Problem::new(&draft.place, text));
        };
        let fail = |text: String| Problem::new(place, format!("router {name} is not published: {text}"));
        if let Some(internal) = service.strip_suffix("@internal") {
            return match internal {
                "noop" => Ok((None, None)),
                _ => Err(fail(format!("{service} is Traefik's own; administrators see the dashboard in the hub"))),
            };
        }
        let service = ObjectName::read(service, name.provider, place)?;
        let lazy = self.merged.get(&service).and_then(|merged| merged.lazy.clone());
        Ok((self.balancer(&service, 0).map_err(fail)?, lazy))
    }
}

fn collision(kind: &str, name: &ObjectName, one: &Place, other: &Place) -> [Problem; 2] {
    let text = |other: &Place| format!("{kind} {name} is said differently here and by {other}; neither is published");
    [Problem::new(one, text(other)), Problem::new(other, text(one))]
}

fn merged_balancer(said: &Said, behind: Option<&ContainerTarget>) -> Result<MergedBalancer, Problem> {
    let place = said.node.place.clone();
    let mut draft = BalancerDraft::read(said.node.clone().into_fields()?)?;
    let Some(container) = behind else { return Ok(MergedBalancer { draft, place, lazy: None }) };
    if let Some(template) = draft.template() {
        let has_url = template.has_url();
        match (container.address, template.port.or(container.port)) {
            (Some(address), Some(port)) => draft.add_container(SocketAddr::new(address, port)),
            (Some(address), None) if has_url => draft.add_container(SocketAddr::new(address, 0)),
            (Some(_), None) => {
                let label = format!("traefik.http.services.{}.loadbalancer.server.port", said.name.name);
                let text = format!("container {} exposes no port; write {label}", container.name);
                return Err(Problem::new(&place, text));
            }
            // It is not reached now; what it says of the balancer counts.
            (None, _) => {}
        }
    }
    Ok(MergedBalancer { draft, place, lazy: container.lazy.clone() })
}

fn read_middleware(said: &Said) -> Result<MiddlewareDraft, Problem> {
    let place = &said.node.place;
    let NodeValue::Map(kinds) = &said.node.value else {
        return Err(Problem::new(place, format!("middleware {} says no kind, for instance stripPrefix", said.name)));
    };
    let mut kinds = kinds.values();
    match (kinds.next(), kinds.next()) {
        (Some(kind), None) => Middleware::read(&kind.name, kind.clone().into_fields()?),
        (None, _) => {
            Err(Problem::new(place, format!("middleware {} says no kind, for instance stripPrefix", said.name)))
        }
        (Some(one), Some(other)) => Err(Problem::new(
            &other.place,
            format!("middleware {} is both {} and {}; make two of it", said.name, one.name, other.name),
        )),
    }
}

fn entry_points(draft: &RouterDraft, default: &[EntryPoint]) -> Result<Vec<EntryPoint>, Problem> {
    let said = draft.entry_points.as_deref().unwrap_or(default);
    if !draft.is_tls {
        return Ok(said.to_vec());
    }
    // Over TLS only; what listens in the clear has none.
    let secure: Vec<_> = said.iter().copied().filter(|entry_point| *entry_point == EntryPoint::WebSecure).collect();
    if secure.is_empty() {
        let text = format!("router {} is for TLS only, and its entry point web has none; write websecure", draft.name);
        return Err(Problem::new(&draft.place, text));
    }
    Ok(secure)
}
