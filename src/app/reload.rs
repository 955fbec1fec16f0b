//! Takes up another configuration while everything runs: all of it or nothing, and no request notices.
//!
//! The file is read and checked like at a start. What can fail then (the store) comes first; what is left are values
//! that are exchanged (`model::Live`), each in one step. Keys that are taken up at start alone keep their old values
//! in what the modules are handed, so none of them is half in force.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use tracing::{error, info};

use super::{run_blocking, shown, specs_of_services, tokens_of_services};
use crate::auth::Auth;
use crate::config::{Config, Key, Mistake, Reload};
use crate::control;
use crate::edge::{self, Edge};
use crate::hub::{self, HubState};
use crate::listener::Admission;
use crate::model::{Actor, Clock, Live, Secret, ServiceName, Timestamp};
use crate::proxy::Proxy;
use crate::services::Services;
use crate::spawner::{self, docker};
use crate::store::{CopiesConfig, Store, StoreError};
use crate::tasks::Tasks;
use crate::telemetry;

/// What a reload exchanges.
pub(super) struct Parts {
    pub(super) running: Config,
    pub(super) admission: Live<Admission>,
    pub(super) private_admission: Live<Admission>,
    pub(super) auth: Auth,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) copies: Live<CopiesConfig>,
    pub(super) docker: Live<docker::Config>,
    pub(super) edge: Live<Edge>,
    pub(super) hub: HubState,
    pub(super) hub_router: Live<axum::Router>,
    pub(super) proxy: Proxy,
    pub(super) public_origin: Live<Option<String>>,
    pub(super) service_tokens: Live<HashMap<ServiceName, Secret>>,
    pub(super) services: Services,
    pub(super) spawner: Live<spawner::Config>,
    pub(super) store: Store,
    pub(super) tasks: Tasks,
}

/// Takes up the configuration as it is now. Cheap to clone.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    /// One reload at a time: the second finds what the first has made of the first's file.
    parts: tokio::sync::Mutex<Parts>,
    tasks: Tasks,
    counts: ReloadCounts,
}

/// What is counted, alone: figures are shown by the hub, which a reload exchanges.
#[derive(Clone, Default)]
pub(super) struct ReloadCounts(Arc<Counts>);

#[derive(Default)]
struct Counts {
    done: AtomicU64,
    mistaken: AtomicU64,
    failed: AtomicU64,
    last_done_at: AtomicI64,
    last_failed: std::sync::atomic::AtomicBool,
}

/// How reloads have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReloadFigures {
    /// Taken up.
    pub done: u64,
    /// Not taken up, because there were mistakes in it.
    pub mistaken: u64,
    /// Not taken up, because the store could not be written.
    pub failed: u64,
    /// When the configuration was last taken up; at first that is the start.
    pub last_done_at: Timestamp,
    /// Whether the last one was taken up (none yet: yes).
    pub last_was_done: bool,
}

/// What a reload has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Keys with a new value.
    pub taken_up: Vec<&'static str>,
    /// Keys whose new value waits for the next start.
    pub waiting: Vec<&'static str>,
}

/// Why the configuration of before holds on.
#[derive(Debug, thiserror::Error)]
pub enum ReloadRefused {
    /// It is wrong.
    #[error("{} in the configuration", mistakes(.0.len()))]
    Mistakes(Vec<Mistake>),
    /// It could not be written down.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

fn mistakes(count: usize) -> String {
    if count == 1 { "1 mistake".to_owned() } else { format!("{count} mistakes") }
}

impl Reloader {
    pub(super) fn new(parts: Parts) -> Self {
        let counts = ReloadCounts::default();
        counts.0.last_done_at.store(parts.clock.now().0, Ordering::Relaxed);
        let tasks = parts.tasks.clone();
        Self(Arc::new(Inner { parts: tokio::sync::Mutex::new(parts), tasks, counts }))
    }

    /// Reads the configuration again and takes it up: all of it that can be without a restart, or, on any mistake,
    /// nothing. Once begun it runs to its end even if the caller goes away.
    ///
    /// # Errors
    /// `ReloadRefused`; everything is as it was then.
    pub async fn reload(&self, by: impl Into<Actor>) -> Result<Reloaded, ReloadRefused> {
        let (inner, by) = (self.0.clone(), by.into());
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.0.tasks.spawn(async move {
            let _ = answer.send(inner.reload(by).await);
        });
        // Only a program that is being dropped answers nothing.
        answered.await.unwrap_or_else(|_| Ok(Reloaded::default()))
    }

    /// How reloads have gone.
    #[must_use]
    pub fn figures(&self) -> ReloadFigures {
        self.0.counts.figures()
    }

    /// The counts, for whoever shows them.
    pub(super) fn counts(&self) -> ReloadCounts {
        self.0.counts.clone()
    }

    /// How `slipway reload` is answered.
    pub(super) fn answering_commands(&self) -> control::Reload {
        let reloader = self.clone();
        Arc::new(move || -> BoxFuture<'static, control::Answer> {
            let reloader = reloader.clone();
            Box::pin(async move {
                match reloader.reload("command").await {
                    Ok(Reloaded { taken_up, waiting }) => {
                        let owned = |keys: Vec<&str>| keys.into_iter().map(str::to_owned).collect();
                        control::Answer::Reloaded { taken_up: owned(taken_up), waiting: owned(waiting) }
                    }
                    Err(ReloadRefused::Mistakes(mistakes)) => {
                        control::Answer::Mistakes { mistakes: mistakes.iter().map(Mistake::to_string).collect() }
                    }
                    Err(ReloadRefused::Store(error)) => {
                        control::Answer::Refused { message: format!("the store failed: {error}") }
                    }
                }
            })
        })
    }
}

impl ReloadCounts {
    pub(super) fn figures(&self) -> ReloadFigures {
        let counts = &self.0;
        ReloadFigures {
            done: counts.done.load(Ordering::Relaxed),
            mistaken: counts.mistaken.load(Ordering::Relaxed),
            failed: counts.failed.load(Ordering::Relaxed),
            last_done_at: Timestamp(counts.last_done_at.load(Ordering::Relaxed)),
            last_was_done: !counts.last_failed.load(Ordering::Relaxed),
        }
    }
}

impl Inner {
    async fn reload(&self, by: Actor) -> Result<Reloaded, ReloadRefused> {
        let mut parts = self.parts.lock().await;
        let outcome = parts.reload(by).await;
        self.counts.0.last_failed.store(outcome.is_err(), Ordering::Relaxed);
        let count = match &outcome {
            Ok(reloaded) => {
                info!(taken_up = ?reloaded.taken_up, waiting = ?reloaded.waiting, "configuration taken up");
                self.counts.0.last_done_at.store(parts.clock.now().0, Ordering::Relaxed);
                &self.counts.0.done
            }
            Err(ReloadRefused::Mistakes(mistakes)) => {
                for mistake in mistakes {
                    error!(%mistake, "the configuration is wrong: that of before holds on");
                }
                &self.counts.0.mistaken
            }
            Err(error) => {
                error!(error = error as &dyn std::error::Error, "the configuration could not be taken up");
                &self.counts.0.failed
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
        outcome
    }
}

impl Parts {
    async fn reload(&mut self, by: Actor) -> Result<Reloaded, ReloadRefused> {
        let source = self.running.source.clone();
        let read = run_blocking(move || source.read_again()).await;
        let Some(read) = read.map_err(ReloadRefused::Mistakes)? else { return Ok(Reloaded::default()) };
        let Reload { config, taken_up, waiting } = read;
        let settings = config.settings.iter().map(|told| (told.key.name.to_owned(), told.exact.expose().to_owned()));
        self.auth.reload(by, config.auth.clone(), settings.collect()).await?;
        self.exchange(config);
        let names = |keys: Vec<&'static Key>| keys.into_iter().map(|key| key.name).collect();
        Ok(Reloaded { taken_up: names(taken_up), waiting: names(waiting) })
    }

    /// Nothing here can fail, and nobody waits for anybody.
    fn exchange(&mut self, config: Config) {
        telemetry::set_level(&config.log.level);
        self.store.keep_audit(config.audit);
        self.copies.publish(config.copies.clone());
        self.admission.publish(config.listener.admission());
        self.private_admission.publish(Admission::limited(config.listener.limits.clone()));
        // What only a start finds out stays: the servers' network, where they reach the hub, the port, the cookie's name.
        let network = self.docker.read().network.clone();
        self.docker.publish(docker::Config { network, ..config.docker.clone() });
        let hub_connect_url = self.spawner.read().hub_connect_url.clone();
        self.spawner.publish(spawner::Config { hub_connect_url, ..config.spawner.clone() });

        let session_cookie = self.hub.config().session_cookie.clone();
        let hub_config = hub::Config { session_cookie, ..config.hub.clone() };
        let settings = config.settings.iter().map(shown).collect();
        self.hub = self.hub.clone().with_config(hub_config, settings);
        self.hub_router.publish(hub::router(self.hub.clone()));

        let edge = self.edge.snapshot();
        let edge_config = edge::Config { https_port: edge.config().https_port, ..config.edge.clone() };
        self.proxy = self.proxy.with_config(config.proxy.clone());
        self.edge.publish(edge.with_config(edge_config, self.proxy.clone()));
        self.follow_services(&config);
        self.running = config;
    }

    fn follow_services(&self, config: &Config) {
        self.service_tokens.publish(tokens_of_services(config));
        let public_origin = config.edge.public_url.as_ref().map(edge::PublicUrl::origin);
        // Programs are told it when they start.
        let is_moved = *self.public_origin.read() != public_origin;
        self.public_origin.publish(public_origin);
        let (before, now) = (&self.running.auth.services, &config.auth.services);
        let is_changed = |service: &&crate::model::ServiceConfig| {
            !before.contains(service) || (is_moved && !service.command.is_empty())
        };
        let changed: Vec<_> = now.iter().filter(is_changed).map(|service| service.name.clone()).collect();
        let is_gone = |name: &ServiceName| !now.iter().any(|service| service.name == *name);
        let gone: Vec<_> = before.iter().map(|service| service.name.clone()).filter(is_gone).collect();
        self.services.replace(specs_of_services(config, &self.auth), &changed, &gone);
    }
}
