//! Routes beyond users: their sources, what starts their containers, and what administrators see of them.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::model::{Clock, Random};
use crate::net::{ClientTls, ClientTlsParts};
use crate::proxy::Proxy;
use crate::routers::sources::Sources;
use crate::routers::view::{SourceView, View, ViewOf};
use crate::routers::{DockerEngine, HealthChecks, Lazy, Published, Routers, Tools};
use crate::tasks::Tasks;

/// The routers that serve, and the table that their sources fill.
pub(super) struct Started {
    pub(super) routers: Routers,
    pub(super) published: Arc<Published>,
}

/// Health checks that are under way at one moment. 64: some hundred targets are asked within their seconds.
const HEALTH_CHECKS: usize = 64;
/// Whose signatures on a target's certificate are believed.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Begins to watch the sources. Nothing waits for their routers: these come when a source answers.
pub(super) fn start(config: &Config, clock: &Arc<dyn Clock>, tasks: &Tasks, control_tasks: &Tasks) -> Started {
    let published = Arc::<Published>::default();
    // Its own connections: a target that takes none takes none from users' servers.
    let proxy = Proxy::with_tls(config.proxy.clone(), clock.clone(), tasks.clone(), tls_to_targets());
    let health_checks = HealthChecks::new(control_tasks.clone(), proxy.clone(), HEALTH_CHECKS);
    let tools = Tools::new(clock.clone(), proxy.clone(), &Random::from_system());
    let lazy = config.routers.docker.as_ref().map(|docker| {
        let engine = Arc::new(DockerEngine::new(docker.host.clone()));
        Lazy::new(docker.lazy.clone(), engine, clock.clone(), control_tasks.clone())
    });
    let routers = Routers::new(published.clone(), proxy, tools, lazy.clone());
    let stopping = control_tasks.stopping();
    if let Some(lazy) = lazy {
        let routers = routers.clone();
        control_tasks.spawn(lazy.stop_idle(move || routers.running_lazy(), stopping.clone()));
    }
    let sources = Sources::new(config.routers.clone(), published.clone(), clock.clone());
    control_tasks.spawn(sources.watch(control_tasks.clone()));
    control_tasks.spawn(watch_health(published.clone(), health_checks, stopping.clone()));
    Started { routers, published }
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
