//! A balancer as labels or a file describe it: `loadBalancer`, `weighted` or `failover`.

use std::net::{IpAddr, SocketAddr};

use super::health::HealthDraft;
use super::sticky::CookieDraft;
use crate::model::UpstreamAddress;
use crate::routers::{Fields, Problem, did_you_mean, quoted};

/// Targets of one balancer: more are a mistake of whoever writes the file.
const SERVER_LIMIT: usize = 1_000;
/// Weights beyond this are no shares any more.
const WEIGHT_LIMIT: u64 = 1_000_000;

/// What somebody said of a balancer.
#[derive(Clone, Debug, PartialEq)]
pub enum BalancerDraft {
    /// It has targets of its own.
    Servers(ServersDraft),
    /// It shares requests among others.
    Weighted(WeightedDraft),
    /// It sends requests to another as long as that is up.
    Failover(FailoverDraft),
}

/// A balancer with targets of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct ServersDraft {
    pub(super) servers: Vec<Server>,
    template: ServerTemplate,
    pub(super) sticky: Option<CookieDraft>,
    pub(super) health: Option<HealthDraft>,
    passes_host: bool,
}

/// A balancer that shares requests among others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightedDraft {
    pub(super) services: Vec<(String, u32)>,
    pub(super) sticky: Option<CookieDraft>,
    names: Vec<String>,
}

/// A balancer that falls back to another.
#[derive(Clone, Debug, PartialEq)]
pub struct FailoverDraft {
    names: Vec<String>,
}

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    #[default]
    Http,
    /// Through TLS.
    Https,
}

impl Scheme {
    fn read(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What a container's labels say of its own place among the targets (`loadbalancer.server.…`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerTemplate {
    /// Its port; without one it is the container's only one.
    pub port: Option<u16>,
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Its share; 1 if nothing is said.
    pub weight: Option<u32>,
    /// Another address than the container's own.
    url: Option<Server>,
}

impl ServerTemplate {
    /// True if the labels name another address than the container's own.
    #[must_use]
    pub fn has_url(&self) -> bool {
        self.url.is_some()
    }
}

/// A target as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Server {
    scheme: Scheme,
    /// Without brackets, in lower case.
    host: String,
    port: u16,
    pub(super) weight: u32,
}

impl Server {
    fn read_url(text: &str) -> Option<Self> {
        let uri: http::Uri = text.parse().ok()?;
        let scheme = Scheme::read(uri.scheme_str()?)?;
        let authority = uri.authority()?;
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let own_port = if scheme == Scheme::Https { 443 } else { 80 };
        let port = if authority.as_str().ends_with(':') { None } else { authority.port_u16().or(Some(own_port)) };
        (!host.is_empty()).then_some(())?;
        Some(Self { scheme, host, port: port.filter(|port| *port > 0)?, weight: 1 })
    }

    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.scheme.as_str(), self.authority())
    }

    pub(super) fn address(&self) -> UpstreamAddress {
        address(self.scheme, &self.host, self.port)
    }
}

/// Where to connect for `scheme://host:port`.
pub(super) fn address(scheme: Scheme, host: &str, port: u16) -> UpstreamAddress {
    match (scheme, host.parse::<IpAddr>()) {
        (Scheme::Http, Ok(ip)) => UpstreamAddress::Tcp(SocketAddr::new(ip, port)),
        _ => UpstreamAddress::Named { host: host.to_owned(), port, is_tls: scheme == Scheme::Https },
    }
}

impl BalancerDraft {
    /// True if a browser stays with its target.
    #[must_use]
    pub fn is_sticky(&self) -> bool {
        match self {
            Self::Servers(draft) => draft.sticky.is_some(),
            Self::Weighted(draft) => draft.sticky.is_some(),
            Self::Failover(_) => false,
        }
    }

    /// What its targets are asked for their health, for people.
    #[must_use]
    pub fn health_check_shown(&self) -> Option<String> {
        match self {
            Self::Servers(draft) => draft.health.as_ref().map(HealthDraft::shown),
            Self::Weighted(_) | Self::Failover(_) => None,
        }
    }

    /// Reads one of `services`: its section holds `loadBalancer`, `weighted` or `failover`.
    ///
    /// # Errors
    /// It holds none or several of them, an option that we do not have, or a value that is none.
    pub fn read(mut fields: Fields) -> Result<Self, Problem> {
        if fields.has("mirroring") {
            return Err(fields.problem("mirroring is not supported: a request is sent to one target only"));
        }
        let (servers, weighted, failover) =
            (fields.take_section("loadBalancer")?, fields.take_section("weighted")?, fields.take_section("failover")?);
        let problem = fields.problem("a service is one of loadBalancer, weighted and failover");
        fields.finish()?;
        match (servers, weighted, failover) {
            (Some(fields), None, None) => ServersDraft::read(fields).map(Self::Servers),
            (None, Some(fields), None) => WeightedDraft::read(fields).map(Self::Weighted),
            (None, None, Some(fields)) => FailoverDraft::read(fields).map(Self::Failover),
            _ => Err(problem),
        }
    }

    /// A balancer that nobody described: a container's own port.
    #[must_use]
    pub fn of_container() -> Self {
        Self::Servers(ServersDraft {
            servers: Vec::new(),
            template: ServerTemplate::default(),
            sticky: None,
            health: None,
            passes_host: true,
        })
    }

    /// The balancers that it names, as written.
    #[must_use]
    pub fn balancers(&self) -> &[String] {
        match self {
            Self::Servers(_) => &[],
            Self::Weighted(draft) => &draft.names,
            Self::Failover(draft) => &draft.names,
        }
    }

    /// What a container says of itself as a target; none if this balancer has no targets of its own.
    #[must_use]
    pub fn template(&self) -> Option<&ServerTemplate> {
        match self {
            Self::Servers(draft) => Some(&draft.template),
            Self::Weighted(_) | Self::Failover(_) => None,
        }
    }

    /// Adds the container itself as a target, at this address; unless its labels name another (`server.url`).
    pub fn add_container(&mut self, address: SocketAddr) {
        let Self::Servers(draft) = self else { return };
        let ServerTemplate { scheme, weight, url, .. } = &draft.template;
        let weight = weight.unwrap_or(1);
        let own = Server { scheme: *scheme, host: address.ip().to_string(), port: address.port(), weight };
        draft.servers.push(url.clone().map_or(own, |url| Server { weight, ..url }));
    }

    /// Takes over the targets of `other`, which another container says of the same balancer. False if the two describe different
    /// balancers: then neither can be believed.
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> bool {
        let (Self::Servers(own), Self::Servers(other)) = (&mut *self, other) else { return *self == *other };
        let is_alike = own.sticky == other.sticky && own.health == other.health && own.passes_host == other.passes_host;
        if is_alike {
            for server in &other.servers {
                if !own.servers.iter().any(|known| known.url() == server.url()) && own.servers.len() < SERVER_LIMIT {
                    own.servers.push(server.clone());
                }
            }
        }
        is_alike
    }

    pub(super) fn passes_host(&self) -> bool {
        match self {
            Self::Servers(draft) => draft.passes_host,
            Self::Weighted(_) | Self::Failover(_) => true,
        }
    }
}

impl ServersDraft {
    fn read(mut fields: Fields) -> Result<Self, Problem> {
        let servers = fields.take_sections("servers")?;
        if servers.len() > SERVER_LIMIT {
            return Err(fields.problem(format!("servers: {} are too many, at most {SERVER_LIMIT}", servers.len())));
        }
        let servers = servers.into_iter().map(read_server).collect::<Result<Vec<_>, _>>()?;
        let template = fields.take_section("server")?.map(read_template).transpose()?.unwrap_or_default();
        let sticky = fields.take_section("sticky")?.map(CookieDraft::read).transpose()?.flatten();
        let health = fields.take_section("healthCheck")?.map(HealthDraft::read).transpose()?;
        let passes_host = fields.take_bool("passHostHeader")?.unwrap_or(true);
        if let Some(mut forwarding) = fields.take_section("responseForwarding")? {
            // What comes from a target goes on at once, which is better than any interval.
            let _ = forwarding.take_text("flushInterval")?;
            forwarding.finish()?;
        }
        if fields.has("serversTransport") {
            return Err(fields.problem(
                "serversTransport is not supported: TLS to targets checks their certificates as Slipway is configured to",
            ));
        }
        if fields.has("passiveHealthCheck") {
            return Err(fields.problem("passiveHealthCheck is not supported: use healthCheck"));
        }
        let strategies = ["wrr", "p2c", "hrw", "leasttime"];
        match fields.take_text("strategy")?.as_deref() {
            None | Some("" | "wrr") => {}
            Some(other) if strategies.contains(&other) => {
                return Err(fields.problem(format!("strategy = {other} is not supported, only wrr")));
            }
            Some(other) => {
                let near = did_you_mean(other, strategies);
                return Err(fields.problem(format!("strategy = {}: must be wrr{near}", quoted(other))));
            }
        }
        fields.finish()?;
        Ok(Self { servers, template, sticky, health, passes_host })
    }
}

fn read_server(mut fields: Fields) -> Result<Server, Problem> {
    let url = take_url(&mut fields)?;
    let weight = take_weight(&mut fields)?.unwrap_or(1);
    if fields.take_bool("preservePath")?.unwrap_or(false) {
        return Err(fields.problem("preservePath is not supported: use the middleware addPrefix"));
    }
    let Some(url) = url else { return Err(fields.problem("url is missing")) };
    fields.finish()?;
    Ok(Server { weight, ..url })
}

fn read_template(mut fields: Fields) -> Result<ServerTemplate, Problem> {
    let port = fields.take_parsed("port", "a port", |text| text.parse().ok().filter(|port| *port > 0))?;
    let scheme = match fields.take_text("scheme")? {
        None => Scheme::Http,
        Some(text) => read_scheme(&fields, &text)?,
    };
    let template = ServerTemplate { port, scheme, weight: take_weight(&mut fields)?, url: take_url(&mut fields)? };
    if fields.take_bool("preservePath")?.unwrap_or(false) {
        return Err(fields.problem("preservePath is not supported: use the middleware addPrefix"));
    }
    fields.finish()?;
    Ok(template)
}

/// How people say that a target is to be spoken to.
pub(super) fn read_scheme(fields: &Fields, text: &str) -> Result<Scheme, Problem> {
    if text.eq_ignore_ascii_case("h2c") {
        return Err(fields.problem("scheme = h2c is not supported: targets are spoken to in HTTP/1.1"));
    }
    Scheme::read(text).ok_or_else(|| fields.problem(format!("scheme = {}: must be http or https", quoted(text))))
}

fn take_weight(fields: &mut Fields) -> Result<Option<u32>, Problem> {
    let is_weight = |text: &str| text.parse::<u64>().ok().filter(|weight| *weight <= WEIGHT_LIMIT);
    let weight = fields.take_parsed("weight", "a whole number up to 1000000", is_weight)?;
    Ok(weight.and_then(|weight| u32::try_from(weight).ok()))
}

fn take_url(fields: &mut Fields) -> Result<Option<Server>, Problem> {
    let Some(text) = fields.take_text("url")? else { return Ok(None) };
    if text.trim().to_ascii_lowercase().starts_with("h2c://") {
        return Err(fields.problem("url: h2c is not supported: targets are spoken to in HTTP/1.1"));
    }
    match Server::read_url(text.trim()) {
        Some(server) => Ok(Some(server)),
        // It may hold a password: it is not shown.
        None => Err(fields.problem("url must be http://HOST:PORT or https://HOST:PORT")),
    }
}

impl WeightedDraft {
    fn read(mut fields: Fields) -> Result<Self, Problem> {
        let mut services = Vec::new();
        for mut service in fields.take_sections("services")? {
            let name = service.take_text("name")?.filter(|name| !name.is_empty());
            let Some(name) = name else { return Err(service.problem("name is missing")) };
            let weight = take_weight(&mut service)?.unwrap_or(1);
            service.finish()?;
            services.push((name, weight));
        }
        if services.is_empty() || services.len() > SERVER_LIMIT {
            return Err(fields.problem(format!("weighted: services must name 1 to {SERVER_LIMIT}")));
        }
        let sticky = fields.take_section("sticky")?.map(CookieDraft::read).transpose()?.flatten();
        // We always know how those behind are, so there is nothing to switch on.
        let _ = fields.take("healthCheck");
        fields.finish()?;
        let names = services.iter().map(|(name, _)| name.clone()).collect();
        Ok(Self { services, sticky, names })
    }
}

impl FailoverDraft {
    fn read(mut fields: Fields) -> Result<Self, Problem> {
        let mut names = Vec::new();
        for field in ["service", "fallback"] {
            let name = fields.take_text(field)?.filter(|name| !name.is_empty());
            names.push(name.ok_or_else(|| fields.problem(format!("failover: {field} is missing")))?);
        }
        if fields.has("errors") {
            return Err(fields.problem("failover.errors is not supported: it goes by health checks alone"));
        }
        let _ = fields.take("healthCheck");
        fields.finish()?;
        Ok(Self { names })
    }
}
