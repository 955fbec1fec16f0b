//! Asks targets how they are, in the background: one task a balancer, and a bound on how many are asked at once.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::header::{HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::draft::{BalancerDraft, Scheme, address, read_scheme};
use super::{Balancer, Target};
use crate::model::{Timestamp, Upstream};
use crate::net::RequestBody;
use crate::proxy::{Forwarding, Proxy, Relay};
use crate::routers::{Fields, Problem};
use crate::tasks::Tasks;

/// Redirects that a check follows.
const REDIRECT_LIMIT: usize = 3;
/// The shortest interval: more often, and a check becomes a load.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// A health check as people set it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HealthDraft {
    path: String,
    method: Method,
    status: Option<u16>,
    scheme: Option<Scheme>,
    port: Option<u16>,
    hostname: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    interval: Duration,
    unhealthy_interval: Duration,
    timeout: Duration,
    follows_redirects: bool,
}

impl HealthDraft {
    /// `/health every 30 s`.
    pub(super) fn shown(&self) -> String {
        format!("{} every {} s", self.path, self.interval.as_secs_f64())
    }

    /// Reads a `healthCheck` section.
    ///
    /// # Errors
    /// A value is none, or an option is one that we do not have.
    pub(super) fn read(mut fields: Fields) -> Result<Self, Problem> {
        match fields.take_text("mode")?.as_deref() {
            None | Some("" | "http") => {}
            Some(_) => return Err(fields.problem("healthCheck.mode: only http is supported")),
        }
        let path = fields.take_text("path")?.unwrap_or_default();
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        if path.parse::<Uri>().is_err() || path.contains('#') {
            return Err(fields.problem("healthCheck.path is no path"));
        }
        let is_method = |text: &str| Method::from_bytes(text.to_ascii_uppercase().as_bytes()).ok();
        let is_status = |text: &str| text.parse().ok().filter(|status| (100..600).contains(status));
        let is_port = |text: &str| text.parse().ok().filter(|port| *port > 0);
        let is_host = |text: &str| HeaderValue::from_str(text).is_ok().then(|| text.to_owned());
        let interval = take_interval(&mut fields, "interval")?.unwrap_or(Duration::from_secs(30));
        let mut headers = Vec::new();
        for (name, value) in fields.take_map("headers")?.unwrap_or_default() {
            match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value)) {
                (Ok(name), Ok(value)) => headers.push((name, value)),
                _ => return Err(fields.problem("healthCheck.headers: a name or a value cannot stand in a header")),
            }
        }
        let scheme = match fields.take_text("scheme")?.filter(|text| !text.is_empty()) {
            Some(text) => Some(read_scheme(&fields, &text)?),
            None => None,
        };
        let draft = Self {
            path,
            method: fields.take_parsed("method", "a method", is_method)?.unwrap_or(Method::GET),
            status: fields.take_parsed("status", "a status", is_status)?,
            scheme,
            port: fields.take_parsed("port", "a port", is_port)?,
            hostname: fields.take_parsed("hostname", "a host's name", is_host)?.filter(|name| !name.is_empty()),
            headers,
            interval,
            unhealthy_interval: take_interval(&mut fields, "unhealthyInterval")?.unwrap_or(interval),
            timeout: fields.take_duration("timeout")?.unwrap_or(Duration::from_secs(5)),
            follows_redirects: fields.take_bool("followRedirects")?.unwrap_or(true),
        };
        fields.finish()?;
        Ok(draft)
    }
}

fn take_interval(fields: &mut Fields, name: &'static str) -> Result<Option<Duration>, Problem> {
    let interval = fields.take_duration(name)?;
    match interval.filter(|interval| *interval < SHORTEST_INTERVAL) {
        Some(short) => Err(fields.problem(format!("{name} = {short:?}: must be 100ms or more"))),
        None => Ok(interval),
    }
}

/// Looks after balancers. Cheap to clone.
#[derive(Clone)]
pub struct HealthChecks {
    tasks: Tasks,
    proxy: Proxy,
    at_once: Arc<Semaphore>,
}

impl HealthChecks {
    /// Checks by `proxy`, at most `at_once` at the same time.
    #[must_use]
    pub fn new(tasks: Tasks, proxy: Proxy, at_once: usize) -> Self {
        Self { tasks, proxy, at_once: Arc::new(Semaphore::new(at_once)) }
    }

    /// Has `balancer` looked after as long as it exists; nothing if it wants no checks or somebody did so before.
    pub fn watch(&self, balancer: &Arc<Balancer>) {
        let BalancerDraft::Servers(draft) = &balancer.draft else { return };
        let Some(health) = draft.health.clone() else { return };
        if balancer.is_watched.swap(true, Ordering::Relaxed) {
            return;
        }
        for target in balancer.targets() {
            let check = Check {
                upstream: health.upstream(target),
                health: health.clone(),
                proxy: self.proxy.clone(),
                at_once: self.at_once.clone(),
            };
            let (balancer, target) = (Arc::downgrade(balancer), Arc::downgrade(target));
            self.tasks.spawn(keep_checking(check, balancer, target, self.tasks.clone()));
        }
    }
}

/// Until nobody has the balancer any more, or we stop.
async fn keep_checking(check: Check, balancer: Weak<Balancer>, target: Weak<Target>, tasks: Tasks) {
    loop {
        // The semaphore is never closed; were it, checks would only lose their bound.
        let permit = check.at_once.acquire().await.ok();
        let (Some(kept), Some(target)) = (balancer.upgrade(), target.upgrade()) else { return };
        let trouble = check.ask(&target).await.err();
        drop(permit);
        let is_up = trouble.is_none();
        let text = trouble.clone().unwrap_or_default();
        if target.note(trouble) {
            match is_up {
                true => info!(target = %target.url, "target is up again"),
                false => warn!(target = %target.url, trouble = %text, "target is down"),
            }
        }
        let pause = if is_up { check.health.interval } else { check.health.unhealthy_interval };
        drop(target);
        drop(kept);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = tasks.stopping().cancelled() => return,
        }
    }
}

impl HealthDraft {
    /// Where a target is asked: at its own address, unless the check names another port or scheme.
    fn upstream(&self, target: &Target) -> Arc<Upstream> {
        if self.port.is_none() && self.scheme.is_none() {
            return target.upstream.clone();
        }
        let (scheme, authority) = target.url.split_once("://").unwrap_or(("http", &target.url));
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
        let own_scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
        let port = self.port.or_else(|| port.parse().ok()).unwrap_or(80);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Arc::new(Upstream::new(address(self.scheme.unwrap_or(own_scheme), host, port), Timestamp(0)))
    }
}

struct Check {
    health: HealthDraft,
    upstream: Arc<Upstream>,
    proxy: Proxy,
    at_once: Arc<Semaphore>,
}

impl Check {
    /// Asks once.
    async fn ask(&self, target: &Target) -> Result<(), String> {
        let limit = self.health.timeout;
        match tokio::time::timeout(limit, self.follow(target)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {limit:?}")),
        }
    }

    async fn follow(&self, target: &Target) -> Result<(), String> {
        let host = self.health.hostname.as_deref().unwrap_or(&target.host);
        let mut path = self.health.path.clone();
        for _ in 0..=REDIRECT_LIMIT {
            let (status, location) = self.request(&path, host).await?;
            match location.filter(|_| self.health.follows_redirects && status.is_redirection()) {
                // Only on the target itself: a check is no way to have us ask others.
                Some(next) if next.starts_with('/') && !next.starts_with("//") => path = next,
                _ => return self.judge(status),
            }
        }
        Err("it redirects in a circle".to_owned())
    }

    async fn request(&self, path: &str, host: &str) -> Result<(StatusCode, Option<String>), String> {
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = self.health.method.clone();
        *request.uri_mut() = path.parse().map_err(|_| "it redirects to what is no path".to_owned())?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static("slipway"));
        let mut host = host.to_owned();
        for (name, value) in &self.health.headers {
            match value.to_str() {
                Ok(value) if name == HOST => value.clone_into(&mut host),
                _ => drop(headers.insert(name, value.clone())),
            }
        }
        let relay = Relay { target: None, silence_limit: Some(self.health.timeout), guard: None };
        let facts = Forwarding { is_activity: false, ..Forwarding::relayed(&host, relay) };
        let answer = self.proxy.forward(request, &self.upstream, facts).await.map_err(|error| error.to_string())?;
        let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        Ok((answer.status(), location.map(str::to_owned)))
    }

    fn judge(&self, status: StatusCode) -> Result<(), String> {
        let is_good = match self.health.status {
            Some(wanted) => status.as_u16() == wanted,
            None => (200..400).contains(&status.as_u16()),
        };
        if is_good { Ok(()) } else { Err(format!("it answered {}", status.as_u16())) }
    }
}
