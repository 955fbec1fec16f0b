//! What one source says, a container or a file: routers, balancers and middlewares whose names point at each other
//! and are not resolved yet.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::access::{Access, EntryPoint};
use super::name::{ObjectName, Provider};
use super::node::{Fields, Node, NodeValue, quoted};
use super::problem::{Place, Problem, did_you_mean};
use super::rule::Syntax;
use crate::model::ClientCertificateRule;

/// A container that starts on request, as its labels say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LazyContainer {
    /// The engine's id: another container of the same name is another one.
    pub id: Arc<str>,
    /// Its name, for people.
    pub name: Arc<str>,
    /// It is stopped when nobody has used it for so long.
    pub idle_after: IdleAfter,
}

/// When a container that starts on request is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleAfter {
    /// Its labels do not say: after `routers.lazy.idle_after_s`.
    Usual,
    /// When nobody has used it for so long.
    Time(Duration),
    /// Not by us.
    Never,
}

/// One object of a source that is read later: a balancer or a middleware.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Its name.
    pub name: ObjectName,
    /// What is said of it, and where.
    pub node: Node,
}

/// A router as it was said.
#[derive(Clone, Debug, PartialEq)]
pub struct RouterDraft {
    /// Its name.
    pub name: ObjectName,
    /// Where it was said.
    pub place: Place,
    /// Its rule and where that was said.
    pub rule: Option<(String, Place)>,
    /// The language of its rule.
    pub syntax: Syntax,
    /// Above others; none: the length of its rule.
    pub priority: Option<i64>,
    /// Where it listens; none: where routers do that say nothing.
    pub entry_points: Option<Vec<EntryPoint>>,
    /// True if it said that it takes requests over TLS only.
    pub is_tls: bool,
    /// The balancer that it leads to, as written.
    pub service: Option<(String, Place)>,
    /// The middlewares before it, as written.
    pub middlewares: Vec<(String, Place)>,
    /// Who may use it.
    pub access: Access,
    /// Whether a client must show a certificate.
    pub client_certificate: ClientCertificateRule,
    /// A header beside the usual ones that tells the target who asks.
    pub identity_header: Option<HeaderName>,
}

impl RouterDraft {
    /// True if both say the same, wherever they say it: what replicas of one service do.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let text = |said: &Option<(String, Place)>| said.as_ref().map(|(text, _)| text.clone());
        let texts = |said: &[(String, Place)]| said.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>();
        text(&self.rule) == text(&other.rule)
            && text(&self.service) == text(&other.service)
            && texts(&self.middlewares) == texts(&other.middlewares)
            && (self.syntax, self.priority, self.is_tls) == (other.syntax, other.priority, other.is_tls)
            && self.entry_points == other.entry_points
            && self.access == other.access
            && self.client_certificate == other.client_certificate
            && self.identity_header == other.identity_header
    }
}

/// What routers of a source get that do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterDefaults {
    /// Who may use them.
    pub access: Access,
    /// Whether a client must show a certificate.
    pub client_certificate: ClientCertificateRule,
    /// A header beside the usual ones that tells the target who asks.
    pub identity_header: Option<HeaderName>,
}

/// What one source says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// Its routers.
    pub routers: Vec<RouterDraft>,
    /// Its balancers.
    pub balancers: Vec<Said>,
    /// Its middlewares: below each name one kind.
    pub middlewares: Vec<Said>,
    /// The containers that stand behind its balancers; none for a file.
    pub containers: Vec<ContainerTarget>,
    /// What is wrong; what it was said for is not here.
    pub problems: Vec<Problem>,
    /// What we read and do otherwise; nothing is missing for it.
    pub notes: Vec<Problem>,
}

/// A container as a target of balancers that its labels describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerTarget {
    /// Its name, for people.
    pub name: Arc<str>,
    /// The balancers that it stands behind.
    pub balancers: Vec<ObjectName>,
    /// Its address; none while it does not run or is not healthy.
    pub address: Option<IpAddr>,
    /// The lowest TCP port that it exposes.
    pub port: Option<u16>,
    /// Set if it starts on request.
    pub lazy: Option<LazyContainer>,
}

impl Draft {
    /// Reads the section `http`, which labels and files have alike.
    pub fn read_http(&mut self, http: Node, provider: Provider, defaults: &RouterDefaults) {
        let place = http.place.clone();
        if let Err(problem) = self.try_http(http, provider, defaults) {
            let problem = if problem.place == place { Problem { place, ..problem } } else { problem };
            self.problems.push(problem);
        }
    }

    fn try_http(&mut self, http: Node, provider: Provider, defaults: &RouterDefaults) -> Result<(), Problem> {
        let mut fields = http.into_fields()?;
        let mut section = |name| -> Result<Vec<Node>, Problem> {
            Ok(fields.take_section(name)?.map(|mut fields| fields.take_rest()).unwrap_or_default())
        };
        let (routers, services, middlewares) = (section("routers")?, section("services")?, section("middlewares")?);
        if let Some(transports) = fields.take("serversTransports") {
            let text = "serversTransports are not supported: how Slipway speaks to targets is set in proxy.*; \
                        services that name one are refused";
            self.notes.push(Problem::new(&transports.place, text));
        }
        for node in routers {
            match self.router(node, provider, defaults) {
                Ok(router) => self.routers.push(router),
                Err(problem) => self.problems.push(problem),
            }
        }
        let said = |node: Node| Said { name: ObjectName::new(&node.name, provider), node };
        self.balancers.extend(services.into_iter().map(said));
        self.middlewares.extend(middlewares.into_iter().map(said));
        fields.finish()
    }

    fn router(&mut self, node: Node, provider: Provider, defaults: &RouterDefaults) -> Result<RouterDraft, Problem> {
        let (name, place) = (ObjectName::new(&node.name, provider), node.place.clone());
        let mut fields = node.into_fields()?;
        let said = |node: Option<Node>| -> Result<Option<(String, Place)>, Problem> {
            node.map(|node| Ok((node.as_text()?.trim().to_owned(), node.place.clone()))).transpose()
        };
        let rule = said(fields.take("rule"))?;
        let syntax = fields.take_parsed("ruleSyntax", "v3 or v2", |text| match text.to_ascii_lowercase().as_str() {
            "v3" | "" => Some(Syntax::V3),
            "v2" => Some(Syntax::V2),
            _ => None,
        })?;
        let priority = fields.take_i64("priority")?.filter(|priority| *priority != 0);
        let entry_points = entry_points(&mut fields)?;
        let service = said(fields.take("service"))?.filter(|(text, _)| !text.is_empty());
        let place_of = fields.place_of("middlewares");
        let middlewares = fields.take_list("middlewares")?.unwrap_or_default();
        let middlewares = middlewares.into_iter().map(|name| (name, place_of.clone())).collect();
        let tls = fields.take("tls");
        let is_tls = tls.map(|tls| self.tls(tls)).transpose()?.unwrap_or(false);
        if let Some(observability) = fields.take("observability") {
            let text = "observability is not set by router; log.access and metrics.* are for all of them";
            self.notes.push(Problem::new(&observability.place, text));
        }
        // A file says by router what labels say for the whole container.
        let is_file = provider == Provider::File;
        let access = if is_file { said(fields.take("access"))? } else { None };
        let access = access.map(|(text, place)| Access::read(&text, &place)).transpose()?;
        let certificate = if is_file { said(fields.take("clientCertificate"))? } else { None };
        let certificate = certificate.map(|(text, place)| client_certificate(&text, &place)).transpose()?;
        let identity = if is_file { said(fields.take("identityHeader"))? } else { None };
        let identity = identity.map(|(text, place)| identity_header(&text, &place)).transpose()?;
        fields.finish()?;
        Ok(RouterDraft {
            name,
            place,
            rule,
            syntax: syntax.unwrap_or_default(),
            priority,
            entry_points,
            is_tls,
            service,
            middlewares,
            access: access.unwrap_or_else(|| defaults.access.clone()),
            client_certificate: certificate.unwrap_or(defaults.client_certificate),
            identity_header: identity.or_else(|| defaults.identity_header.clone()),
        })
    }

    /// `tls: {}`, `tls=true`, `tls.certresolver=…`: over TLS only. Options are refused: they may ask for a client's
    /// certificate, and who leaves that out without a word opens a door.
    fn tls(&mut self, node: Node) -> Result<bool, Problem> {
        if matches!(&node.value, NodeValue::Text(text) if text.eq_ignore_ascii_case("false")) {
            return Ok(false);
        }
        let mut fields = node.into_fields()?;
        if let Some(options) = fields.take("options") {
            let name = options.as_text()?.trim().to_owned();
            if !matches!(name.as_str(), "" | "default" | "default@file") {
                let text = format!(
                    "tls.options = {}: TLS options are set for the whole listener (listener.tls.*); leave it out, and for \
                     a client's certificate write slipway.client-certificate = required",
                    quoted(&name)
                );
                return Err(Problem::new(&options.place, text));
            }
        }
        for name in ["certResolver", "domains"] {
            if let Some(node) = fields.take(name) {
                let text = format!("tls.{name} is not needed: certificates come from certs_dir and acme.*");
                self.notes.push(Problem::new(&node.place, text));
            }
        }
        fields.finish()?;
        Ok(true)
    }
}

fn entry_points(fields: &mut Fields) -> Result<Option<Vec<EntryPoint>>, Problem> {
    let place = fields.place_of("entryPoints");
    let Some(names) = fields.take_list("entryPoints")?.filter(|names| !names.is_empty()) else { return Ok(None) };
    let mut found = Vec::new();
    for name in names {
        let Some(entry_point) = EntryPoint::read(&name) else {
            let near = did_you_mean(&name, ["web", "websecure"]);
            let text = format!(
                "there is no entry point {}{near} (web is listener.http, websecure is listener.https)",
                quoted(&name)
            );
            return Err(Problem::new(&place, text));
        };
        if !found.contains(&entry_point) {
            found.push(entry_point);
        }
    }
    found.sort();
    Ok(Some(found))
}

/// Reads `slipway.client-certificate`.
///
/// # Errors
/// It is none of its words.
pub fn client_certificate(text: &str, place: &Place) -> Result<ClientCertificateRule, Problem> {
    let text = text.trim();
    text.to_ascii_lowercase().parse().map_err(|()| {
        let near = did_you_mean(text, ["required", "none"]);
        Problem::new(place, format!("client-certificate = {}: must be required or none{near}", quoted(text)))
    })
}

/// Headers that mean something else: who is asked for, what is carried, and what else tells who asks.
const NO_IDENTITY: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "origin",
    "te",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Reads `slipway.identity-header`, as in `X-WEBAUTH-USER` for Grafana.
///
/// # Errors
/// It is no header's name, or one that means something else.
pub fn identity_header(text: &str, place: &Place) -> Result<HeaderName, Problem> {
    let name = HeaderName::from_bytes(text.trim().as_bytes()).ok();
    let is_free = |name: &HeaderName| !NO_IDENTITY.contains(&name.as_str()) && !name.as_str().starts_with("sec-");
    name.filter(is_free).ok_or_else(|| {
        let text =
            format!("identity-header = {}: must be a header's name of its own, as in X-WEBAUTH-USER", quoted(text));
        Problem::new(place, text)
    })
}
