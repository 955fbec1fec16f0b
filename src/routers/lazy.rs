//! Containers that start when somebody asks for them, and stop when nobody has for a while (`slipway.start =
//! on-request`, `slipway.idle-after`).
//!
//! However many ask, a container is started once. Its start ends when it takes connections, when it dies, or when it
//! has taken too long; what went wrong is kept for a few seconds, so that a page that is loaded again and again does
//! not start a broken container again and again. Which containers there are and where they listen, `sources` says: a
//! container that we have started is used once the table knows its address.

mod engine;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use engine::{DockerEngine, Engine, EngineError, Fact};

use super::draft::{IdleAfter, LazyContainer};
use crate::model::{Clock, Timestamp};
use crate::proxy::Guard;
use crate::tasks::Tasks;

/// Limits of lazy containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// From the start of a container until it takes connections. 120 s: some programs load a model first.
    pub start_timeout_s: u64,
    /// A request of a program is held this long while its container starts. 5 s: most small ones are there by then,
    /// and clients wait for 10 and more.
    pub hold_timeout_s: u64,
    /// Requests that are held at one moment. 256: beyond it they are told to come again.
    pub held_requests: usize,
    /// Containers that are started at one moment. 4: an engine does them one after the other anyway.
    pub starts_at_once: usize,
    /// How long a failed start is told of before the next request tries again. 10 s.
    pub failure_shown_s: u64,
    /// A container whose labels do not say is stopped after so long without use. 1,800 s: a coffee break is no end.
    pub idle_after_s: u64,
    /// From the signal to the kill of a container that stops. 10 s, as `docker stop`.
    pub stop_timeout_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            start_timeout_s: 120,
            hold_timeout_s: 5,
            held_requests: 256,
            starts_at_once: 4,
            failure_shown_s: 10,
            idle_after_s: 1_800,
            stop_timeout_s: 10,
        }
    }
}

/// How often idle containers are looked for. 5 s: nobody notices whether one stops so much later.
const IDLE_LOOK: Duration = Duration::from_secs(5);
/// How often a starting container is looked at. 100 ms: a person does not feel it, and an engine hardly.
const START_LOOK: Duration = Duration::from_millis(100);
/// One attempt to connect to a starting container. 1 s: it is on this host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How far a start has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartStep {
    /// It waits for its turn.
    Queued,
    /// The engine starts it.
    Starting,
    /// It runs, and does not take connections yet.
    Waiting,
}

impl StartStep {
    /// For programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Waiting => "waiting",
        }
    }
}

/// Why a container could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What happened, for people.
    pub reason: String,
    /// The last lines that it wrote. Not for everybody: see `edge`.
    pub log: Vec<String>,
}

/// How it is with a container.
#[derive(Clone, Debug)]
pub enum State {
    /// Nobody has asked for it.
    Asleep,
    /// It is being started.
    Starting {
        /// How far that has got.
        step: StartStep,
        /// Since when.
        since: Instant,
    },
    /// It takes connections.
    Awake,
    /// The last start failed.
    Failed {
        /// Why.
        failed: Arc<Failed>,
        /// When.
        at: Instant,
    },
}

/// Where a container listens now, as the table has it; empty while it has no address.
pub(super) type Addresses = Arc<dyn Fn() -> Vec<SocketAddr> + Send + Sync>;

/// All lazy containers. Cheap to clone.
#[derive(Clone)]
pub struct Lazy(Arc<Inner>);

struct Inner {
    config: Config,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    sleepers: Mutex<HashMap<Arc<str>, Arc<Sleeper>>>,
    starts: Semaphore,
    held: Semaphore,
}

/// One container.
struct Sleeper {
    container: LazyContainer,
    state: watch::Sender<State>,
    /// Requests and WebSockets that are open.
    open: AtomicUsize,
    /// When the last one began or ended, in milliseconds.
    used_at: AtomicI64,
    /// One start or stop at a time.
    turn: tokio::sync::Mutex<()>,
}

/// Somebody uses a container until this is dropped.
struct Use {
    sleeper: Arc<Sleeper>,
    clock: Arc<dyn Clock>,
}

impl Drop for Use {
    fn drop(&mut self) {
        self.sleeper.used_at.store(self.clock.now().0, Ordering::Relaxed);
        self.sleeper.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a request finds.
pub enum Found {
    /// It runs. Hold the guard as long as the request, its body and its WebSocket go on.
    Awake(Guard),
    /// It is not there yet; come again.
    Starting {
        /// How far it has got.
        step: StartStep,
        /// For how long it has been on its way.
        for_s: u64,
    },
    /// It could not be started.
    Failed(Arc<Failed>),
}

impl Lazy {
    /// No container is touched before somebody asks for one.
    pub fn new(config: Config, engine: Arc<dyn Engine>, clock: Arc<dyn Clock>, tasks: Tasks) -> Self {
        let (starts, held) = (Semaphore::new(config.starts_at_once), Semaphore::new(config.held_requests));
        Self(Arc::new(Inner { config, engine, clock, tasks, sleepers: Mutex::default(), starts, held }))
    }

    /// Asks for a container: starts it unless it runs or is on its way. With `is_held` the answer waits a few seconds
    /// for the start. Cancel-safe: the start goes on.
    pub async fn ask(&self, container: &LazyContainer, addresses: Addresses, is_held: bool) -> Found {
        let sleeper = self.sleeper(container);
        let in_use = self.in_use(&sleeper);
        let is_down = addresses().is_empty();
        let must_start = sleeper.state.send_if_modified(|state| {
            let must_start = match state {
                State::Asleep => true,
                // Somebody else has stopped it.
                State::Awake => is_down,
                State::Starting { .. } => false,
                State::Failed { at, .. } => at.elapsed().as_secs() >= self.0.config.failure_shown_s,
            };
            if must_start {
                *state = State::Starting { step: StartStep::Queued, since: Instant::now() };
            }
            must_start
        });
        if must_start {
            let (lazy, sleeper, addresses) = (self.clone(), sleeper.clone(), addresses.clone());
            self.0.tasks.spawn(async move { lazy.start(&sleeper, &addresses).await });
        }
        if is_held && let Ok(_permit) = self.0.held.try_acquire() {
            let mut state = sleeper.state.subscribe();
            let wait = state.wait_for(|state| !matches!(state, State::Starting { .. }));
            let _ = tokio::time::timeout(Duration::from_secs(self.0.config.hold_timeout_s), wait).await;
        }
        let state = sleeper.state.borrow().clone();
        match state {
            State::Awake => Found::Awake(Guard::new(in_use)),
            State::Asleep => Found::Starting { step: StartStep::Queued, for_s: 0 },
            State::Starting { step, since } => Found::Starting { step, for_s: since.elapsed().as_secs() },
            State::Failed { failed, .. } => Found::Failed(failed),
        }
    }

    /// How it is with a container; nothing is started.
    #[must_use]
    pub fn state(&self, container: &LazyContainer) -> State {
        let sleepers = self.0.sleepers.lock();
        sleepers.get(&container.id).map_or(State::Asleep, |sleeper| sleeper.state.borrow().clone())
    }

    /// Stops containers that nobody has used for as long as their labels say, until `stopping`. `running` tells which
    /// lazy containers run, whoever has started them.
    pub async fn stop_idle(
        self,
        running: impl Fn() -> Vec<LazyContainer> + Send + Sync + 'static,
        stopping: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(IDLE_LOOK) => {}
                () = stopping.cancelled() => return,
            }
            let running = running();
            self.0.sleepers.lock().retain(|id, sleeper| {
                let is_kept = running.iter().any(|container| container.id == *id);
                is_kept || sleeper.open.load(Ordering::Relaxed) > 0 || !matches!(*sleeper.state.borrow(), State::Asleep)
            });
            for container in &running {
                self.stop_if_idle(container).await;
            }
        }
    }

    async fn stop_if_idle(&self, container: &LazyContainer) {
        let sleeper = self.sleeper(container);
        let now = self.0.clock.now();
        let idle_after = match container.idle_after {
            IdleAfter::Usual => Duration::from_secs(self.0.config.idle_after_s),
            IdleAfter::Time(time) => time,
            IdleAfter::Never => return,
        };
        let is_idle = || {
            let used_at = Timestamp(sleeper.used_at.load(Ordering::Relaxed));
            is_idle(now, used_at, sleeper.open.load(Ordering::Relaxed), idle_after)
        };
        if !is_idle() {
            return;
        }
        let Ok(_turn) = sleeper.turn.try_lock() else { return };
        // From here on a request finds it asleep and waits for its turn; one that came in just before is seen here.
        let is_taken = sleeper.state.send_if_modified(|state| {
            let may_stop = !matches!(state, State::Starting { .. }) && is_idle();
            if may_stop {
                *state = State::Asleep;
            }
            may_stop
        });
        if !is_taken {
            return;
        }
        match self.0.engine.stop(&container.id, Duration::from_secs(self.0.config.stop_timeout_s)).await {
            Ok(()) => info!(container = %container.name, "stopped: nobody has used it for as long as its label says"),
            Err(error) => {
                // It is looked at again in a moment; without this every look would be a line in the log.
                sleeper.used_at.store(now.0, Ordering::Relaxed);
                warn!(container = %container.name, error = &error as &dyn std::error::Error, "could not be stopped");
            }
        }
    }

    fn sleeper(&self, container: &LazyContainer) -> Arc<Sleeper> {
        let mut sleepers = self.0.sleepers.lock();
        let sleeper = sleepers.entry(container.id.clone()).or_insert_with(|| {
            Arc::new(Sleeper {
                container: container.clone(),
                state: watch::Sender::new(State::Asleep),
                open: AtomicUsize::new(0),
                used_at: AtomicI64::new(self.0.clock.now().0),
                turn: tokio::sync::Mutex::default(),
            })
        });
        sleeper.clone()
    }

    fn in_use(&self, sleeper: &Arc<Sleeper>) -> Use {
        sleeper.open.fetch_add(1, Ordering::Relaxed);
        sleeper.used_at.store(self.0.clock.now().0, Ordering::Relaxed);
        Use { sleeper: sleeper.clone(), clock: self.0.clock.clone() }
    }

    /// From asleep to awake or failed. Ends in one of the two, whatever happens.
    async fn start(&self, sleeper: &Arc<Sleeper>, addresses: &Addresses) {
        let limit = Duration::from_secs(self.0.config.start_timeout_s);
        let _turn = sleeper.turn.lock().await;
        let begun = Instant::now();
        let name = &sleeper.container.name;
        let started = tokio::time::timeout(limit, self.bring_up(sleeper, addresses)).await;
        let reason = match started {
            Ok(Ok(())) => {
                info!(container = %name, duration_ms = begun.elapsed().as_millis(), "started on request");
                sleeper.used_at.store(self.0.clock.now().0, Ordering::Relaxed);
                sleeper.state.send_replace(State::Awake);
                return;
            }
            Ok(Err(reason)) => reason,
            Err(_) => format!("it did not take connections within {} seconds", limit.as_secs()),
        };
        warn!(container = %name, %reason, "could not be started on request");
        let log = self.0.engine.last_lines(&sleeper.container.id).await;
        let failed = Arc::new(Failed { reason, log });
        sleeper.state.send_replace(State::Failed { failed, at: Instant::now() });
    }

    async fn bring_up(&self, sleeper: &Sleeper, addresses: &Addresses) -> Result<(), String> {
        let say = |next: StartStep| {
            sleeper.state.send_modify(|state| {
                if let State::Starting { step, .. } = state {
                    *step = next;
                }
            });
        };
        let id = &sleeper.container.id;
        let permit = self.0.starts.acquire().await.map_err(|_| "Slipway is stopping".to_owned())?;
        // Without this a container that runs already would be said to start.
        if self.0.engine.look(id).await.map_err(|error| error.to_string())? != Fact::Running {
            say(StartStep::Starting);
            self.0.engine.start(id).await.map_err(|error| error.to_string())?;
        }
        drop(permit);
        say(StartStep::Waiting);
        loop {
            match self.0.engine.look(id).await.map_err(|error| error.to_string())? {
                Fact::Running => {}
                Fact::Exited { code } => return Err(format!("it ended with exit code {code}")),
            }
            // The last of them: an old address of the same container stands first until the table has the new one.
            if takes_connections(&addresses()).await {
                return Ok(());
            }
            tokio::time::sleep(START_LOOK).await;
        }
    }
}

/// Pure: whether a container is to be stopped now.
fn is_idle(now: Timestamp, used_at: Timestamp, open: usize, idle_after: Duration) -> bool {
    let idle_ms = u128::try_from(now.0.saturating_sub(used_at.0)).unwrap_or(0);
    open == 0 && idle_ms >= idle_after.as_millis()
}

async fn takes_connections(addresses: &[SocketAddr]) -> bool {
    for address in addresses {
        let connecting = tokio::net::TcpStream::connect(address);
        if matches!(tokio::time::timeout(CONNECT_TIMEOUT, connecting).await, Ok(Ok(_))) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
