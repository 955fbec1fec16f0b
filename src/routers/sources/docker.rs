//! Watches a Docker engine: what its containers' labels say, and every change of it.
//!
//! An event is only a reason to look: each look is a whole list, and what differs from the last one is handed on. A lost
//! connection changes nothing; what was said last stays until the engine answers again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, EventMessage, EventMessageTypeEnum, PortSummaryTypeEnum,
};
use bollard::query_parameters::{EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::address::{self, Attached, Standing};
use super::constraint::Constraint;
use crate::host;
use crate::model::with_causes;
use crate::routers::draft::Draft;
use crate::routers::labels::{self, Container, DefaultRule};
use crate::routers::lazy;
use crate::routers::name::Provider;
use crate::routers::problem::{Place, Problem};
use crate::routers::table::{Published, SourceState};

/// On every container that a Slipway has made for a user: what stands in it is a user's word, and is never read.
const OURS: [&str; 2] = ["slipway.instance", "slipway.user"];
/// What happens to a container and may change what it says or where it is.
const EVENTS: [&str; 10] =
    ["create", "start", "die", "pause", "unpause", "destroy", "rename", "health_status", "connect", "disconnect"];

/// How an engine is watched.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// The engine: `unix:///var/run/docker.sock`, or `tcp://host:port` without TLS.
    pub host: String,
    /// Which containers are read. None: those of our own Compose project if we run in one, else all.
    pub constraint: Option<Constraint>,
    /// Whether containers without `traefik.enable` are read.
    pub exposed_by_default: bool,
    /// Over which network containers are reached; none: one that is also ours.
    pub network: Option<String>,
    /// The rule of containers that say none.
    pub default_rule: Option<DefaultRule>,
    /// How those that start on request are started and stopped.
    pub lazy: lazy::Config,
    /// Most containers that are read; more are said and left out. 2,000.
    pub containers_limit: usize,
    /// How long a call may take. 10 s: an engine under load needs some.
    pub call_timeout: Duration,
    /// How long changes are gathered before a look. 100 ms: `compose up` makes dozens at once.
    pub settle: Duration,
    /// A look without any event, should one be lost. 30 s.
    pub look_every: Duration,
    /// From a lost connection to the next attempt; doubled each time up to `retry_most`. 500 ms.
    pub retry_first: Duration,
    /// 30 s.
    pub retry_most: Duration,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            host: "unix:///var/run/docker.sock".into(),
            constraint: None,
            exposed_by_default: false,
            network: None,
            default_rule: None,
            lazy: lazy::Config::default(),
            containers_limit: 2_000,
            call_timeout: Duration::from_secs(10),
            settle: Duration::from_millis(100),
            look_every: Duration::from_secs(30),
            retry_first: Duration::from_millis(500),
            retry_most: Duration::from_secs(30),
        }
    }
}

/// What all containers say; compared to know what is news.
pub(super) type Said = Arc<Vec<Draft>>;

/// Why a watch ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{act}: no answer within {limit:?}")]
    Slow { act: &'static str, limit: Duration },
    #[error("{act}")]
    Refused {
        act: &'static str,
        #[source]
        cause: Error,
    },
    #[error("the engine ended its events")]
    Ended,
}

/// Watches until `stopping`, and hands on what is said.
pub(super) async fn watch(
    config: DockerConfig,
    said: watch::Sender<Said>,
    published: Arc<Published>,
    stopping: CancellationToken,
) {
    let note = |state: String, is_well: bool| {
        let what = config.host.clone();
        published.note_source(&SourceState { provider: Provider::Docker, what, state, is_well });
    };
    note("not asked yet".into(), true);
    let mut wait = config.retry_first;
    let mut was_well = true;
    loop {
        let look = Look { config: &config, said: &said };
        let result = stopping.run_until_cancelled(look.until_lost(|| {
            note("watched".into(), true);
            if !was_well {
                info!(engine = %config.host, "the engine answers again: its labels are read");
            }
            (wait, was_well) = (config.retry_first, true);
        }));
        let Some(lost) = result.await else { return };
        let reason = with_causes(&lost);
        if was_well {
            warn!(engine = %config.host, %reason, "labels cannot be read; what they said last stays in force");
        }
        note(format!("not there: {reason}"), false);
        was_well = false;
        if stopping.run_until_cancelled(sleep(wait)).await.is_none() {
            return;
        }
        wait = (wait * 2).min(config.retry_most);
    }
}

struct Look<'a> {
    config: &'a DockerConfig,
    said: &'a watch::Sender<Said>,
}

impl Look<'_> {
    async fn call<T>(&self, act: &'static str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Lost> {
        let limit = self.config.call_timeout;
        match timeout(limit, work).await {
            Ok(result) => result.map_err(|cause| Lost::Refused { act, cause }),
            Err(_) => Err(Lost::Slow { act, limit }),
        }
    }

    /// Connects, looks, and looks again at every change; `is_well` is called when the first look has succeeded.
    async fn until_lost(&self, is_well: impl FnOnce()) -> Lost {
        let Err(lost) = self.try_until_lost(is_well).await;
        lost
    }

    async fn try_until_lost(&self, is_well: impl FnOnce()) -> Result<std::convert::Infallible, Lost> {
        let docker = self.call("connect to the engine", host::engine::connect(&self.config.host)).await?;
        let (standing, project) = self.standing(&docker).await?;
        let constraint = self.config.constraint.clone().or_else(|| project.as_deref().map(Constraint::of_project));
        let filters = HashMap::from([("type", vec!["container", "network"]), ("event", EVENTS.to_vec())]);
        // Before the first look: what happens in between is seen by one of the two.
        let mut events = docker.events(Some(EventsOptionsBuilder::default().filters(&filters).build())).boxed();
        let mut known = self.look(&docker, &standing, constraint.as_ref()).await?;
        is_well();
        let mut look_at = Instant::now() + self.config.look_every;
        loop {
            match timeout_at(look_at, events.next()).await {
                Ok(None) => return Err(Lost::Ended),
                Ok(Some(Err(cause))) => return Err(Lost::Refused { act: "send its events", cause }),
                Ok(Some(Ok(event))) if !self.matters(&event, &known) => continue,
                Ok(Some(Ok(_))) => sleep(self.config.settle).await,
                Err(_) => {}
            }
            known = self.look(&docker, &standing, constraint.as_ref()).await?;
            look_at = Instant::now() + self.config.look_every;
        }
    }

    /// True if the event may change what is said. Users' servers come and go all day, and say nothing.
    fn matters(&self, event: &EventMessage, known: &HashSet<String>) -> bool {
        let actor = event.actor.clone().unwrap_or_default();
        let attributes = actor.attributes.unwrap_or_default();
        if event.typ == Some(EventMessageTypeEnum::NETWORK) {
            return attributes.get("container").is_some_and(|id| known.contains(id));
        }
        if OURS.iter().any(|label| attributes.contains_key(*label)) {
            return false;
        }
        self.config.exposed_by_default
            || actor.id.is_some_and(|id| known.contains(&id))
            || attributes.keys().any(|name| name.eq_ignore_ascii_case("traefik.enable"))
    }

    /// Where we stand among the engine's networks, and the Compose project that we belong to.
    async fn standing(&self, docker: &Docker) -> Result<(Standing, Option<String>), Lost> {
        let configured = self.config.network.clone();
        let on_host = (Standing { own_networks: None, configured: configured.clone() }, None);
        let Some(id) = host::engine::own_container().await else { return Ok(on_host) };
        let inspect = docker.inspect_container(&id, None::<InspectContainerOptions>);
        let own = match self.call("look for Slipway's own container", inspect).await {
            Ok(own) => own,
            // We are in a container, but not in one of this engine's.
            Err(Lost::Refused { cause: Error::DockerResponseServerError { status_code: 404, .. }, .. }) => {
                return Ok(on_host);
            }
            Err(lost) => return Err(lost),
        };
        let project = own.config.and_then(|config| config.labels?.remove("com.docker.compose.project"));
        let networks = own.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let own_networks = (!networks.contains_key("host")).then(|| networks.into_keys().collect());
        Ok((Standing { own_networks, configured }, project))
    }

    /// One look at all containers; returns the ids of those that were read.
    async fn look(
        &self,
        docker: &Docker,
        standing: &Standing,
        constraint: Option<&Constraint>,
    ) -> Result<HashSet<String>, Lost> {
        let label = if self.config.exposed_by_default { vec![] } else { vec!["traefik.enable"] };
        let filters = HashMap::from([("label", label)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let list = self.call("list its containers", docker.list_containers(Some(options))).await?;
        let mut found: Vec<_> =
            list.into_iter().filter_map(|summary| self.read(summary, standing, constraint)).collect();
        found.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        let beyond = found.len().saturating_sub(self.config.containers_limit);
        let mut drafts = Vec::new();
        if beyond > 0 {
            found.truncate(self.config.containers_limit);
            let limit = self.config.containers_limit;
            let text =
                format!("{beyond} labelled containers are left out: {limit} are read; name fewer by a constraint");
            let problems = vec![Problem::new(&Place::Setting("routers.docker.constraint"), text)];
            drafts.push(Draft { problems, ..Draft::default() });
        }
        let ids = found.iter().map(|(container, _)| container.id.to_string()).collect();
        drafts.extend(found.into_iter().map(|(container, unreached)| match unreached {
            None => labels::read(&container, self.config.default_rule.as_ref()),
            Some(reason) => {
                let problems = vec![Problem::new(&Place::Container(container.name.clone()), reason)];
                Draft { problems, ..Draft::default() }
            }
        }));
        self.said.send_if_modified(|said| {
            let is_news = **said != drafts;
            if is_news {
                *said = Arc::new(drafts);
            }
            is_news
        });
        Ok(ids)
    }

    /// A container that is to be read, and why it cannot be reached if so.
    fn read(
        &self,
        summary: ContainerSummary,
        standing: &Standing,
        constraint: Option<&Constraint>,
    ) -> Option<(Container, Option<String>)> {
        let attached = attached(&summary);
        let (is_running, is_healthy) = state_of(&summary);
        let mut container = Container {
            id: summary.id?.into(),
            name: summary.names.unwrap_or_default().first()?.trim_start_matches('/').into(),
            labels: summary.labels.unwrap_or_default().into_iter().collect(),
            address: None,
            port: summary
                .ports
                .unwrap_or_default()
                .iter()
                .filter(|port| port.typ == Some(PortSummaryTypeEnum::TCP))
                .map(|port| port.private_port)
                .min(),
        };
        let is_users = OURS.iter().any(|label| container.labels.contains_key(*label));
        let is_allowed = constraint.is_none_or(|constraint| constraint.allows(&container));
        if is_users || !is_allowed || !container.is_enabled(self.config.exposed_by_default) {
            return None;
        }
        if !is_running || !is_healthy {
            // As with Traefik, unless somebody's request would start it.
            return container.is_lazy().then_some((container, None));
        }
        let project = container.labels.get("com.docker.compose.project").map(String::as_str);
        match address::choose(&attached, standing, container.label("traefik.docker.network"), project) {
            Ok(address) => container.address = Some(address),
            Err(reason) => return Some((container, Some(reason))),
        }
        Some((container, None))
    }
}

fn attached(summary: &ContainerSummary) -> Attached {
    let networks = summary.network_settings.as_ref().and_then(|settings| settings.networks.clone()).unwrap_or_default();
    let addresses: BTreeMap<_, _> = networks
        .iter()
        .filter_map(|(name, endpoint)| {
            let texts = [&endpoint.ip_address, &endpoint.global_ipv6_address];
            let address = texts.into_iter().flatten().find_map(|text| text.parse().ok())?;
            Some((name.clone(), address))
        })
        .collect();
    Attached { addresses, is_on_host: networks.contains_key("host") }
}

/// Whether it runs, and whether its health, if it is asked for, is good.
fn state_of(summary: &ContainerSummary) -> (bool, bool) {
    let is_running = summary.state == Some(ContainerSummaryStateEnum::RUNNING);
    // Older engines tell the health in words alone: `Up 5 minutes (unhealthy)`.
    let status = summary.status.as_deref().unwrap_or_default();
    (is_running, !status.contains("(unhealthy)") && !status.contains("(health: starting)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_is_not_healthy_yet_is_not_used() {
        let with = |state, status: &str| {
            state_of(&ContainerSummary { state: Some(state), status: Some(status.to_owned()), ..Default::default() })
        };
        assert_eq!(with(ContainerSummaryStateEnum::RUNNING, "Up 5 minutes"), (true, true));
        assert_eq!(with(ContainerSummaryStateEnum::RUNNING, "Up 5 minutes (healthy)"), (true, true));
        assert_eq!(with(ContainerSummaryStateEnum::RUNNING, "Up 5 minutes (unhealthy)"), (true, false));
        assert_eq!(with(ContainerSummaryStateEnum::RUNNING, "Up 1 second (health: starting)"), (true, false));
        assert_eq!(with(ContainerSummaryStateEnum::EXITED, "Exited (0)"), (false, true));
    }
}
