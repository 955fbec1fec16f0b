//! What running servers use: looked at in the background, a few at a time, and remembered. No page and no start waits
//! for it, and what is not known is not 0.
//!
//! `rate` is the arithmetic and says whose turn it is, `layers` measures what servers write beside their volumes.

mod layers;
mod rate;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::RwLock;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::backend::{Backend, BackendError, LayerSize, ProcessorReading, ResourceLimits, UsageReading};
use super::board::Board;
use super::{Config, Spawner};
use crate::model::{Clock, Handle, ServerKey, ServerState, Timestamp};
use rate::Pace;

/// Servers looked at in one round: the others are first in the next.
const PER_ROUND: usize = 1_000;
/// Looks that came to nothing in time after which a round ends: the engine has other worries.
const SILENCES: usize = 3;

/// What a server uses, as seen a moment ago.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UsageSample {
    /// Cores in use: 1.0 is one of them, all the time. None until it has been looked at twice.
    pub cpu_cores: Option<f64>,
    /// Memory in use, without file caches that the kernel would give back.
    pub memory_bytes: Option<u64>,
    /// What it may use at most since its latest start.
    pub limits: ResourceLimits,
    /// When.
    pub at: Timestamp,
}

/// What all servers use together, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UsageTotals {
    /// Cores in use.
    pub cpu_cores: f64,
    /// Memory in use.
    pub memory_bytes: u64,
    /// Servers of which this is known.
    pub servers: u64,
    /// What servers have written beside their volumes; None: not measured yet.
    pub layer_bytes: Option<u64>,
}

/// What is known of what servers use.
pub(super) struct Usages {
    backend: Arc<dyn Backend>,
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
    pace: Pace,
    at_once: usize,
    look_timeout: Duration,
    layers: layers::Layers,
    known: RwLock<HashMap<ServerKey, Known>>,
    /// It did not answer well the last time: said once.
    has_trouble: AtomicBool,
}

/// One running server.
struct Known {
    /// How to speak of it to the engine; None: it was not found.
    handle: Option<Handle>,
    looked_at: Instant,
    processor: Option<ProcessorReading>,
    sample: Option<(Instant, UsageSample)>,
}

impl Usages {
    pub(super) fn new(config: &Config, backend: Arc<dyn Backend>, board: Arc<Board>, clock: Arc<dyn Clock>) -> Self {
        Self {
            backend,
            board,
            clock,
            pace: Pace { in_use: Duration::from_secs(config.usage_interval_s) },
            at_once: config.usage_at_once.max(1),
            look_timeout: Duration::from_secs(config.usage_timeout_s.max(1)),
            layers: layers::Layers::new(config),
            known: RwLock::default(),
            has_trouble: AtomicBool::new(false),
        }
    }

    /// Looks again and again, until the program stops.
    pub(super) async fn keep_usage(self: Arc<Self>, stopping: CancellationToken) {
        if self.pace.in_use.is_zero() {
            return;
        }
        let look = async {
            loop {
                self.look_round().await;
                sleep(self.pace.in_use).await;
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = look => {}
        }
    }

    /// One look at those whose turn it is.
    async fn look_round(&self) {
        let now = self.clock.now();
        let ready: HashMap<_, _> = self.board.ready().into_iter().collect();
        let turns = {
            let mut known = self.known.write();
            known.retain(|server, _| ready.contains_key(server));
            let looked_at = |server: &ServerKey| known.get(server).map(|known| known.looked_at);
            let all = ready.into_iter().map(|(server, active_at)| {
                let looked_at = looked_at(&server);
                (server, rate::is_in_use(active_at, now), looked_at)
            });
            self.pace.turns(all, Instant::now(), PER_ROUND)
        };
        self.look_at_all(turns).await;
    }

    /// An engine that does not answer is not asked for the rest of them.
    pub(super) async fn look_at_all(&self, turns: Vec<ServerKey>) {
        let slow = || BackendError::Slow {
            engine: self.backend.name(),
            act: "say what a server uses",
            limit: self.look_timeout,
        };
        let looks = futures_util::stream::iter(turns).map(|server| async move {
            let looked = timeout(self.look_timeout, self.look_at(&server)).await.unwrap_or(Err(slow()));
            if looked.is_err() {
                self.note_failure(&server);
            }
            looked
        });
        let mut looks = std::pin::pin!(looks.buffer_unordered(self.at_once));
        let mut silences = 0;
        let mut last_error = None;
        while let Some(looked) = looks.next().await {
            let Err(error) = looked else { continue };
            silences += usize::from(error.is_silence());
            let is_down = matches!(error, BackendError::Unavailable { .. }) || silences >= SILENCES;
            last_error = Some(error);
            if is_down {
                break;
            }
        }
        self.say(last_error);
    }

    async fn look_at(&self, server: &ServerKey) -> Result<(), BackendError> {
        let handle = self.known.read().get(server).and_then(|known| known.handle.clone());
        let handle = match handle {
            Some(handle) => Some(handle),
            None => self.backend.find(server).await?.map(|found| found.handle),
        };
        let reading = match &handle {
            Some(handle) => self.backend.usage(handle).await?,
            None => None,
        };
        self.note(server, handle, reading);
        Ok(())
    }

    fn note(&self, server: &ServerKey, handle: Option<Handle>, reading: Option<UsageReading>) {
        let (at, looked_at) = (self.clock.now(), Instant::now());
        let limits = self.board.record(server).map(|record| record.limits).unwrap_or_default();
        let mut known = self.known.write();
        let before = known.remove(server).and_then(|known| known.processor);
        // Of one that is gone, or made anew under its name, the engine says nothing: the next look finds it anew.
        let handle = handle.filter(|_| reading.is_some());
        let processor = reading.and_then(|reading| reading.processor);
        let sample = reading.map(|reading| {
            let cpu_cores = before.zip(processor).and_then(|(before, after)| rate::cores(before, after));
            (looked_at, UsageSample { cpu_cores, memory_bytes: reading.memory_bytes, limits, at })
        });
        known.insert(server.clone(), Known { handle, looked_at, processor, sample });
    }

    /// What was known stays until it is too old. Its next turn is after those of the others.
    fn note_failure(&self, server: &ServerKey) {
        let looked_at = Instant::now();
        let mut known = self.known.write();
        let fresh = || Known { handle: None, looked_at, processor: None, sample: None };
        known.entry(server.clone()).or_insert_with(fresh).looked_at = looked_at;
    }

    /// Trouble is said when it begins and when it is over, not in every round.
    fn say(&self, error: Option<BackendError>) {
        let had_trouble = self.has_trouble.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !had_trouble => {
                warn!(error = &error as &dyn std::error::Error, "the engine does not say what servers use");
            }
            None if had_trouble => info!("the engine says again what servers use"),
            _ => {}
        }
    }

    /// What is known of one, unless it is too old to be true or the server has stopped meanwhile.
    fn of(&self, server: &ServerKey) -> Option<UsageSample> {
        let is_ready = self.board.status(server).state == ServerState::Ready;
        let (looked_at, sample) = self.known.read().get(server)?.sample?;
        (is_ready && looked_at.elapsed() <= self.pace.believed_for()).then_some(sample)
    }

    pub(super) fn all(&self) -> Vec<(ServerKey, UsageSample)> {
        let ready = self.board.ready();
        let known = self.known.read();
        let fresh = ready.into_iter().filter_map(|(server, _)| {
            let (looked_at, sample) = known.get(&server)?.sample?;
            (looked_at.elapsed() <= self.pace.believed_for()).then_some((server, sample))
        });
        fresh.collect()
    }
}

impl Spawner {
    /// What a running server uses, as seen in the last minutes; None: unknown, or it does not run.
    #[must_use]
    pub fn usage_of(&self, server: &ServerKey) -> Option<UsageSample> {
        self.usage.of(server)
    }

    /// The same of all servers of which it is known, in no order.
    #[must_use]
    pub fn usage(&self) -> Vec<(ServerKey, UsageSample)> {
        self.usage.all()
    }

    /// How much a server has written beside its volumes; None: unknown.
    #[must_use]
    pub fn layer_of(&self, server: &ServerKey) -> Option<LayerSize> {
        let is_ready = self.board.status(server).state == ServerState::Ready;
        self.usage.layers.of(server).filter(|_| is_ready)
    }

    /// The same of all servers that run and of which it is known, in no order.
    #[must_use]
    pub fn layers(&self) -> Vec<(ServerKey, LayerSize)> {
        let ready = self.board.ready();
        let known = ready.into_iter().filter_map(|(server, _)| {
            let size = self.usage.layers.of(&server)?;
            Some((server, size))
        });
        known.collect()
    }

    /// What all servers use together.
    #[must_use]
    pub fn usage_totals(&self) -> UsageTotals {
        let samples = self.usage();
        UsageTotals {
            cpu_cores: samples.iter().filter_map(|(_, sample)| sample.cpu_cores).sum(),
            memory_bytes: samples.iter().filter_map(|(_, sample)| sample.memory_bytes).sum(),
            servers: samples.len() as u64,
            layer_bytes: self.usage.layers.total(),
        }
    }
}
