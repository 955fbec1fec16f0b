//! Programs beside the hub: some are only pointed to by a URL, some are started and kept running by us.
//!
//! `program` runs one that we manage, `publish` gives a URL its route, `record` finds what a crash of ours has left
//! behind. Who may use a service is not decided here: the edge sends everybody on, the service asks the hub.

mod backoff;
mod config;
mod environment;
mod output;
mod program;
mod publish;
mod record;
mod url;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

pub use config::Config;
pub use url::{ServiceUrl, ServiceUrlError};

use crate::model::{BasePath, Clock, Live, Routes, Secret, ServiceConfig, ServiceName};
use crate::net::BoxError;
use crate::tasks::Tasks;

/// What there is to run or to point to.
#[derive(Clone, Debug)]
pub struct ServiceSpec {
    /// Its name.
    pub name: ServiceName,
    /// Where it listens; None for one that only calls the API.
    pub url: Option<ServiceUrl>,
    /// How we run it; None for one that runs without us.
    pub program: Option<Program>,
    /// The OAuth client that it is.
    pub client_id: String,
    /// Where its OAuth client is sent back to, if it is not the usual address below its prefix.
    pub redirect_uri: Option<String>,
    /// Scopes that its OAuth client may ask for, beside access to itself.
    pub client_allowed_scopes: Vec<String>,
}

impl ServiceSpec {
    /// What the configuration, or a request to the API, says.
    ///
    /// # Errors
    /// If its URL is none that we can reach.
    pub fn of(config: &ServiceConfig) -> Result<Self, ServiceUrlError> {
        let url = config.url.as_deref().filter(|url| !url.is_empty()).map(ServiceUrl::parse).transpose()?;
        let program = (!config.command.is_empty()).then(|| Program {
            command: config.command.clone(),
            cwd: config.cwd.clone(),
            user: config.user.clone(),
            environment: config.environment.clone(),
        });
        Ok(Self {
            name: config.name.clone(),
            url,
            program,
            client_id: config.oauth_client_id.clone().unwrap_or_else(|| format!("service-{}", config.name)),
            redirect_uri: config.oauth_redirect_uri.clone(),
            client_allowed_scopes: config.oauth_client_allowed_scopes.iter().map(ToString::to_string).collect(),
        })
    }
}

/// A program that we keep running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// What is run; the first word is looked up in `Config::path`.
    pub command: Vec<String>,
    /// The folder that it runs in; None: ours.
    pub cwd: Option<PathBuf>,
    /// The account that it runs as, by name or `uid:gid`; None: ours. Only root can choose.
    pub user: Option<String>,
    /// Further variables: they win.
    pub environment: BTreeMap<String, String>,
}

/// How services get their API tokens; filled in by `app`.
#[async_trait::async_trait]
pub trait ServiceTokens: Send + Sync {
    /// The token for a start of `service`: the configured one, or a fresh one that replaces that of the last start.
    ///
    /// # Errors
    /// If it could not be stored.
    async fn issue(&self, service: &ServiceName) -> Result<Secret, BoxError>;
}

/// What services are built from.
pub struct Parts {
    /// Where routes are published.
    pub routes: Arc<Routes>,
    /// Their tokens.
    pub tokens: Arc<dyn ServiceTokens>,
    /// Where we live under our host.
    pub base: BasePath,
    /// `scheme://host:port` of the hub's private listener, as programs of this host see it.
    pub hub_url: String,
    /// `https://host[:port]` as people see us, if that is configured.
    pub public_origin: Live<Option<String>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Runs what goes on beside.
    pub tasks: Tasks,
}

/// All services. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    parts: Parts,
    known: Mutex<BTreeMap<ServiceName, Arc<Service>>>,
}

/// One service while it is known.
struct Service {
    spec: ServiceSpec,
    /// Cancelled when it is removed.
    removed: CancellationToken,
    /// The running program's, or 0.
    pid: AtomicU32,
    /// What is done for it; done once it has been removed and its program has ended.
    work: TaskTracker,
}

impl Services {
    /// None yet.
    #[must_use]
    pub fn new(config: Config, parts: Parts) -> Self {
        Self { inner: Arc::new(Inner { config, parts, known: Mutex::default() }) }
    }

    /// Starts and publishes all of `specs`, without waiting for any. What an earlier run of ours has left running is
    /// ended first, also of services that are no more.
    pub fn start(&self, specs: Vec<ServiceSpec>) {
        let kept = specs.iter().filter(|spec| spec.program.is_some()).map(|spec| spec.name.clone()).collect::<Vec<_>>();
        let inner = self.inner.clone();
        self.inner.parts.tasks.spawn(async move { inner.end_leftovers(&kept).await });
        for spec in specs {
            self.add(spec);
        }
    }

    /// Starts or publishes one more, in the place of one of the same name once that has ended.
    pub fn add(&self, spec: ServiceSpec) {
        let (name, tasks) = (spec.name.clone(), &self.inner.parts.tasks);
        let (removed, pid, work) = (CancellationToken::new(), AtomicU32::new(0), TaskTracker::new());
        let service = Arc::new(Service { spec, removed, pid, work });
        let earlier = self.inner.known.lock().insert(name, service.clone());
        let inner = self.inner.clone();
        let work = service.work.clone();
        let keep = work.track_future(async move {
            if let Some(earlier) = earlier {
                // It may still listen where this one wants to, and withdraws its route last.
                earlier.removed.cancel();
                earlier.work.wait().await;
            }
            let published = async {
                if let Some(url) = service.spec.url.clone() {
                    publish::keep(inner.clone(), service.clone(), url).await;
                }
            };
            let run = async {
                if let Some(program) = service.spec.program.clone() {
                    program::keep(inner.clone(), service.clone(), program).await;
                }
            };
            tokio::join!(published, run);
        });
        tasks.spawn(keep);
        work.close();
    }

    /// Makes `specs` of what runs now: `changed` are described otherwise than before or new, `gone` are no more.
    pub fn replace(&self, specs: Vec<ServiceSpec>, changed: &[ServiceName], gone: &[ServiceName]) {
        gone.iter().for_each(|name| self.remove(name));
        specs.into_iter().filter(|spec| changed.contains(&spec.name)).for_each(|spec| self.add(spec));
    }

    /// Forgets a service: its route goes, its program ends.
    pub fn remove(&self, name: &ServiceName) {
        if let Some(service) = self.inner.known.lock().remove(name) {
            service.removed.cancel();
        }
    }

    /// The number of the process that runs now, if it is a service of ours that runs.
    #[must_use]
    pub fn pid(&self, name: &ServiceName) -> Option<u32> {
        let pid = self.inner.known.lock().get(name)?.pid.load(Ordering::Acquire);
        (pid != 0).then_some(pid)
    }
}

impl Inner {
    /// Ends what runs of services that are not `kept`: those end their own before they start anew.
    async fn end_leftovers(&self, kept: &[ServiceName]) {
        let folder = self.config.folder.clone();
        let records = tokio::task::spawn_blocking(move || record::all(&folder)).await.unwrap_or_default();
        for record in records.into_iter().filter(|record| !kept.contains(&record.service)) {
            if program::end_leftover(&self.config, &record.service).await {
                warn!(service = %record.service, "a service of an earlier configuration still ran and has been ended");
            }
        }
    }
}

impl Service {
    /// True once nothing more is to be done for it.
    async fn is_over(&self, tasks: &Tasks) {
        tokio::select! {
            () = tasks.stopping().cancelled() => {}
            () = self.removed.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests;
