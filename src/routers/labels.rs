//! A container's labels → a tree → a draft.
//!
//! `traefik.http.…` is Traefik's language; `slipway.…` says what only we have. Whoever may start containers writes
//! labels: their number, their length and their depth are bounded. A wrong `slipway.…` label takes the whole container out: it
//! may be the one that was to keep strangers away.

mod defaults;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

pub use defaults::{DefaultRule, DefaultRuleError};

use super::access::Access;
use super::draft::{
    ContainerTarget, Draft, IdleAfter, LazyContainer, RouterDefaults, RouterDraft, Said, client_certificate,
    identity_header,
};
use super::name::{ObjectName, Provider};
use super::node::{Fields, Node, NodeValue, quoted, read_duration};
use super::problem::{Place, Problem};
use super::rule::Syntax;

/// Most labels of ours and Traefik's that one container may have.
const LABELS_LIMIT: usize = 500;
/// Longest name of a label, in bytes.
const NAME_LIMIT_BYTES: usize = 512;
/// Longest value, in bytes: a list of 200 users with bcrypt hashes fits.
const VALUE_LIMIT_BYTES: usize = 16 * 1024;
/// Deepest name: `traefik.http.middlewares.m.headers.customrequestheaders.X` has seven parts.
const DEPTH_LIMIT: usize = 12;
/// Highest place in a list (`servers[0]`).
const INDEX_LIMIT: usize = 1_000;

/// A container as far as its labels go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// Where it is reached; none while it does not run or is not healthy, or on no network that we can use.
    pub address: Option<IpAddr>,
    /// The lowest TCP port that it exposes.
    pub port: Option<u16>,
}

impl Container {
    /// A label's value, its name without case.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// True if its labels want to be read (`traefik.enable`).
    #[must_use]
    pub fn is_enabled(&self, by_default: bool) -> bool {
        self.label("traefik.enable")
            .map_or(by_default, |text| matches!(text.trim().to_lowercase().as_str(), "true" | "1" | "t"))
    }

    /// True if it may be read although it does not run: somebody's request would start it.
    #[must_use]
    pub fn is_lazy(&self) -> bool {
        self.label("slipway.start").is_some_and(|text| text.trim().eq_ignore_ascii_case("on-request"))
    }

    /// As Traefik calls a service that has no name: by the service of its compose file, else by its own name.
    #[must_use]
    pub fn service_name(&self) -> String {
        let compose = |part: &str| self.labels.get(&format!("com.docker.compose.{part}"));
        let name = match (compose("service"), compose("project")) {
            (Some(service), Some(project)) => format!("{service}_{project}"),
            _ => self.name.to_string(),
        };
        defaults::normalized(&name)
    }

    fn place(&self, label: &str) -> Place {
        // It goes into the log: a line's end in it would be a line of its own.
        let label: String = label.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Place::Label { container: self.name.clone(), label: label.into() }
    }
}

/// What `slipway.…` labels say.
struct Own {
    defaults: RouterDefaults,
    lazy: Option<LazyContainer>,
}

/// Reads a container's labels.
#[must_use]
pub fn read(container: &Container, default_rule: Option<&DefaultRule>) -> Draft {
    let mut draft = Draft::default();
    if let Err(problem) = try_read(container, default_rule, &mut draft) {
        // Nothing of it stands: what could not be read may have been what mattered.
        draft = Draft { problems: vec![problem], ..Draft::default() };
    }
    draft
}

fn try_read(container: &Container, default_rule: Option<&DefaultRule>, draft: &mut Draft) -> Result<(), Problem> {
    let whole = Place::Container(container.name.clone());
    let of_interest = |name: &str| {
        let root = name.split('.').next().unwrap_or_default();
        root.eq_ignore_ascii_case("traefik") || root.eq_ignore_ascii_case("slipway")
    };
    let labels: Vec<_> = container.labels.iter().filter(|(name, _)| of_interest(name)).collect();
    if labels.len() > LABELS_LIMIT {
        return Err(Problem::new(&whole, format!("has {} labels, and {LABELS_LIMIT} are read", labels.len())));
    }
    let mut root = Node::section("", whole.clone());
    for (name, value) in labels {
        insert(&mut root, container, name, value)?;
    }
    let mut fields = listed(root)?.into_fields()?;
    let own = own(fields.take_section("slipway")?, container)?;
    let traefik = fields.take_section("traefik")?;
    let Some(mut traefik) = traefik else { return Ok(()) };
    traefik.take("enable");
    if let Some(mut docker) = traefik.take_section("docker")? {
        // Which network: `sources` has looked at it.
        docker.take("network");
        docker.take("lbswarm");
        docker.finish()?;
    }
    for kind in ["tcp", "udp"] {
        if let Some(node) = traefik.take(kind) {
            let text = format!(
                "{} routers are not supported, only HTTP; the container's other routers stand",
                kind.to_uppercase()
            );
            draft.problems.push(Problem::new(&first_place(&node), text));
        }
    }
    if let Some(node) = traefik.take("tls") {
        let text = "traefik.tls is set for the whole listener: certs_dir, acme.* and listener.tls.*";
        draft.notes.push(Problem::new(&first_place(&node), text));
    }
    refuse_version_1(&mut traefik)?;
    if let Some(http) = traefik.take("http") {
        draft.read_http(http, Provider::Docker, &own.defaults);
    }
    traefik.finish()?;
    complete(draft, container, &own, default_rule);
    Ok(())
}

/// What Traefik adds to what was said: a balancer for the container, a router by the default rule, and the one balancer
/// for routers that name none.
fn complete(draft: &mut Draft, container: &Container, own: &Own, default_rule: Option<&DefaultRule>) {
    let whole = Place::Container(container.name.clone());
    let own_name = container.service_name();
    if draft.balancers.is_empty() {
        // What the labels do not describe is the container's own port.
        let mut node = Node::section(&own_name, whole.clone());
        if let NodeValue::Map(map) = &mut node.value {
            map.insert("loadbalancer".into(), Node::section("loadBalancer", whole.clone()));
        }
        draft.balancers.push(Said { name: ObjectName::new(&own_name, Provider::Docker), node });
    }
    if draft.routers.is_empty() && draft.problems.is_empty() && default_rule.is_some() {
        draft.routers.push(RouterDraft {
            name: ObjectName::new(&own_name, Provider::Docker),
            place: whole.clone(),
            rule: None,
            syntax: Syntax::V3,
            priority: None,
            entry_points: None,
            is_tls: false,
            service: None,
            middlewares: Vec::new(),
            access: own.defaults.access.clone(),
            client_certificate: own.defaults.client_certificate,
            identity_header: own.defaults.identity_header.clone(),
        });
    }
    let only = match draft.balancers.as_slice() {
        [only] => Some(only.name.name.to_string()),
        _ => None,
    };
    let mut problems = Vec::new();
    draft.routers.retain_mut(|router| {
        if router.rule.is_none() {
            router.rule = default_rule.map(|rule| (rule.of(container), router.place.clone()));
        }
        if router.service.is_none() {
            router.service = only.clone().map(|name| (name, router.place.clone()));
        }
        let missing = match (&router.rule, &router.service) {
            (None, _) => "has no rule; write traefik.http.routers.….rule, for instance Host(`example.com`)".to_owned(),
            (_, None) => {
                let names: Vec<_> = draft.balancers.iter().map(|said| said.name.name.as_ref()).collect();
                format!(
                    "names no service, and the container has {}: write traefik.http.routers.{}.service",
                    names.join(", "),
                    router.name.name
                )
            }
            _ => return true,
        };
        problems.push(Problem::new(&router.place, format!("router {} {missing}", router.name.name)));
        false
    });
    draft.problems.append(&mut problems);
    draft.containers.push(ContainerTarget {
        name: container.name.clone(),
        balancers: draft.balancers.iter().map(|said| said.name.clone()).collect(),
        address: container.address,
        port: container.port,
        lazy: own.lazy.clone(),
    });
}

fn own(fields: Option<Fields>, container: &Container) -> Result<Own, Problem> {
    let mut own = Own { defaults: RouterDefaults::default(), lazy: None };
    let Some(mut fields) = fields else { return Ok(own) };
    let place = container.place("slipway.access");
    if let Some(text) = fields.take_text("access")? {
        own.defaults.access = Access::read(&text, &place)?;
    }
    let place = container.place("slipway.client-certificate");
    if let Some(text) = fields.take_text("client-certificate")? {
        own.defaults.client_certificate = client_certificate(&text, &place)?;
    }
    let place = container.place("slipway.identity-header");
    if let Some(text) = fields.take_text("identity-header")? {
        own.defaults.identity_header = Some(identity_header(&text, &place)?);
    }
    let is_lazy = fields.take_parsed("start", "on-request or always", |text| match text.to_lowercase().as_str() {
        "on-request" => Some(true),
        "always" => Some(false),
        _ => None,
    })?;
    let idle_after =
        fields.take_parsed("idle-after", "a time such as 15m or 2h (a plain number is seconds), or never", |text| {
            if text.eq_ignore_ascii_case("never") {
                Some(IdleAfter::Never)
            } else {
                read_duration(text).map(IdleAfter::Time)
            }
        })?;
    let idle_after = idle_after.unwrap_or(IdleAfter::Usual);
    if is_lazy == Some(true) {
        own.lazy = Some(LazyContainer { id: container.id.clone(), name: container.name.clone(), idle_after });
    }
    fields.finish()?;
    Ok(own)
}

/// Traefik 1 wrote `traefik.frontend.rule`, and people's files still do.
fn refuse_version_1(fields: &mut Fields) -> Result<(), Problem> {
    for (name, cure) in [
        ("frontend", "traefik.http.routers.NAME.rule"),
        ("backend", "traefik.http.services.NAME.loadbalancer.…"),
        ("port", "traefik.http.services.NAME.loadbalancer.server.port"),
        ("protocol", "traefik.http.services.NAME.loadbalancer.server.scheme"),
    ] {
        if let Some(node) = fields.take(name) {
            let text = format!("traefik.{name} is of Traefik v1; write {cure}");
            return Err(Problem::new(&first_place(&node), text));
        }
    }
    Ok(())
}

/// Where the first of a section's values was said.
fn first_place(node: &Node) -> Place {
    match &node.value {
        NodeValue::Map(map) => map.values().next().map_or(&node.place, |node| &node.place).clone(),
        _ => node.place.clone(),
    }
}

/// Puts one label into the tree.
fn insert(root: &mut Node, container: &Container, label: &str, value: &str) -> Result<(), Problem> {
    if label.len() > NAME_LIMIT_BYTES {
        let text = format!("has a label of {} bytes, and {NAME_LIMIT_BYTES} are read: {}", label.len(), quoted(label));
        return Err(Problem::new(&Place::Container(container.name.clone()), text));
    }
    let place = container.place(label);
    if value.len() > VALUE_LIMIT_BYTES {
        let text = format!("is {} bytes long, and {VALUE_LIMIT_BYTES} are read", value.len());
        return Err(Problem::new(&place, text));
    }
    let parts: Vec<&str> = label.split('.').collect();
    if parts.len() > DEPTH_LIMIT {
        return Err(Problem::new(
            &place,
            format!("has {} parts, and no label has more than {DEPTH_LIMIT}", parts.len()),
        ));
    }
    if parts.iter().any(|part| part.is_empty()) {
        return Err(Problem::new(&place, "has an empty part: two dots, or one at an end"));
    }
    let mut at = root;
    for (depth, part) in parts.iter().enumerate() {
        let is_last = depth + 1 == parts.len();
        // `…compress=true` beside `…compress.minResponseBodyBytes=1`: the section says more.
        if matches!(&at.value, NodeValue::Text(text) if text.is_empty() || text.eq_ignore_ascii_case("true")) {
            at.value = NodeValue::Map(BTreeMap::new());
        }
        let NodeValue::Map(map) = &mut at.value else {
            return Err(Problem::new(&place, format!("goes on below {}, which has a value", parts[..depth].join("."))));
        };
        let key = part.to_lowercase();
        if is_last {
            match map.get(&key) {
                None => {
                    map.insert(key, Node::text(part, place, value));
                }
                Some(Node { value: NodeValue::Map(_), .. })
                    if value.is_empty() || value.eq_ignore_ascii_case("true") => {}
                Some(_) => return Err(Problem::new(&place, "is said twice, or has both a value and labels below it")),
            }
            return Ok(());
        }
        at = map.entry(key).or_insert_with(|| Node::section(part, place.clone()));
    }
    Ok(())
}

/// Makes lists of `servers[0]`, `servers[1]`.
fn listed(node: Node) -> Result<Node, Problem> {
    let NodeValue::Map(map) = node.value else { return Ok(node) };
    let mut plain = BTreeMap::new();
    let mut lists: BTreeMap<String, BTreeMap<usize, Node>> = BTreeMap::new();
    for (key, child) in map {
        let child = listed(child)?;
        let Some((name, index)) = key.strip_suffix(']').and_then(|key| key.split_once('[')) else {
            plain.insert(key, child);
            continue;
        };
        let Some(index) = index.parse::<usize>().ok().filter(|index| *index < INDEX_LIMIT) else {
            let text = format!("{}: a place in a list is a number below {INDEX_LIMIT}", quoted(&child.name));
            return Err(Problem::new(&child.place, text));
        };
        lists.entry(name.to_owned()).or_default().insert(index, child);
    }
    for (name, items) in lists {
        let mut items: Vec<_> = items.into_values().collect();
        for item in &mut items {
            item.name.clone_from(&name);
        }
        let place = items.first().map_or(&node.place, |item| &item.place).clone();
        if plain.contains_key(&name) {
            return Err(Problem::new(&place, format!("{name} is said both as a list and as one value")));
        }
        plain.insert(name.clone(), Node { name, place, value: NodeValue::List(items) });
    }
    Ok(Node { name: node.name, place: node.place, value: NodeValue::Map(plain) })
}
