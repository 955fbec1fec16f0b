//! Routes beyond users: their sources, what starts their containers, and what administrators see of them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::model::{Clock, Random};
use crate::net::{ClientTls, ClientTlsParts};
use crate::proxy::Proxy;
use crate::routers::sources::{self, DockerConfig, Sources};
use crate::routers::view::{SourceView, View, ViewOf};
use crate::routers::{HealthChecks, Lazy, LazyConfig, Published, Routers, Tools};
use crate::tasks::Tasks;

/// The routers that serve, and the table that their sources fill.
pub(super) struct Started {
    pub(super) routers: Routers,
    pub(super) published: Arc<Published>,
}

/// Health checks that are under way at one moment. 64: some hundred targets are asked within their seconds.
const HEALTH_CHECKS: usize = 64;
/// How long the first answer of the engine is waited for, before containers are said not to start on request.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(5);
/// Whose signatures on a target's certificate are believed.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Begins to watch the sources. Nothing waits for their routers: these come when a source answers.
pub(super) async fn start(config: &Config, clock: &Arc<dyn Clock>, tasks: &Tasks, control_tasks: &Tasks) -> Started {
    let published = Arc::<Published>::default();
    // Its own connections: a target that takes none takes none from users' servers.
    let proxy = Proxy::with_tls(config.proxy.clone(), clock.clone(), tasks.clone(), tls_to_targets());
    let health_checks = HealthChecks::new(control_tasks.clone(), proxy.clone(), HEALTH_CHECKS);
    let tools = Tools::new(clock.clone(), proxy.clone(), &Random::from_system());
    let docker = config.routers.docker.clone().filter(is_there);
    let lazy = match &docker {
        Some(docker) => lazy(docker, clock, control_tasks).await,
        None => None,
    };
    let routers = Routers::new(published.clone(), proxy, tools, lazy.clone());
    let stopping = control_tasks.stopping();
    if let Some(lazy) = lazy {
        let routers = routers.clone();
        control_tasks.spawn(lazy.stop_idle(move || routers.running_lazy(), stopping.clone()));
    }
    let sources = sources::Config { docker, ..config.routers.clone() };
    let sources = Sources::new(sources, published.clone(), clock.clone());
    control_tasks.spawn(sources.watch(control_tasks.clone()));
    control_tasks.spawn(watch_health(published.clone(), health_checks, stopping.clone()));
    Started { routers, published }
}

/// False for an engine whose socket is not there: nobody has one, and nobody needs to hear of it every minute.
fn is_there(docker: &DockerConfig) -> bool {
    let socket = docker.host.strip_prefix("unix://");
    let is_there = socket.is_none_or(|socket| Path::new(socket).exists());
    if !is_there {
        info!(engine = %docker.host, "there is no engine, so no labels of containers are read");
    }
    is_there
}

async fn lazy(docker: &DockerConfig, clock: &Arc<dyn Clock>, tasks: &Tasks) -> Option<Lazy> {
    match tokio::time::timeout(ENGINE_TIMEOUT, sources::connect(&docker.host)).await {
        Ok(Ok(engine)) => Some(Lazy::new(LazyConfig::default(), Arc::new(engine), clock.clone(), tasks.clone())),
        Ok(Err(_)) | Err(_) => {
            warn!(engine = %docker.host, "the engine does not answer: containers do not start on request until Slipway starts anew");
            None
        }
    }
}

/// Has the targets of each new table looked after.
async fn watch_health(published: Arc<Published>, health_checks: HealthChecks, stopping: CancellationToken) {
    let mut changes = published.changes();
    loop {
        for balancer in published.current().balancers().values() {
            health_checks.watch(balancer);
        }
        match stopping.run_until_cancelled(changes.changed()).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => return,
        }
    }
}

/// TLS to targets, whose certificates the system's authorities must vouch for; without these there is none.
fn tls_to_targets() -> Option<ClientTls> {
    let certificates = CertificateDer::pem_file_iter(SYSTEM_AUTHORITIES).ok()?;
    let parts = ClientTlsParts {
        authorities: certificates.filter_map(Result::ok).collect(),
        identity: None,
        verifies: true,
        versions: rustls::ALL_VERSIONS.to_vec(),
    };
    ClientTls::new(parts).ok()
}

/// What the hub's page of routes shows.
pub(super) fn view_of(started: &Started, https: &[SocketAddr], http: &[SocketAddr]) -> ViewOf {
    let addresses = |all: &[SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (https, http) = (addresses(https), addresses(http));
    let (routers, published) = (started.routers.clone(), started.published.clone());
    Arc::new(move || {
        let mut view = View::of(&routers);
        for entry_point in &mut view.entry_points {
            entry_point.addresses = if entry_point.name == "web" { http.clone() } else { https.clone() };
        }
        let sources = published.sources();
        view.sources = sources
            .iter()
            .map(|source| SourceView {
                provider: source.provider.as_str(),
                what: source.what.clone(),
                state: source.state.clone(),
                is_well: source.is_well,
            })
            .collect();
        view
    })
}
