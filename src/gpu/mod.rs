//! Graphics processors: which this host has, what a server that starts gets of them, and who waits for one of its own.
//!
//! `nvml` asks the driver, `inventory` is what it said and how long that is believed, `decide` is the pure rule,
//! `leases` the pure table of who has what. Whatever is not known for certain is not given: a server without a graphics
//! processor starts, a server with one that is gone does not.

mod config;
mod decide;
mod inventory;
mod leases;
mod nvml;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use config::{Config, Enable};
pub use decide::Devices;
pub use inventory::{Gpu, GpuProcess, Inventory, Sight};
pub use leases::{Lease, Place};
pub use nvml::{LookError, Nvml};

use crate::model::{Clock, GpuDevices, GpuHeld, GrantedGpu, ServerKey, Timestamp};
use leases::Leases;

/// Asks the driver what there is. Blocks, for as long as the driver likes.
pub trait Look: Send + Sync + 'static {
    /// All graphics processors of this host.
    ///
    /// # Errors
    /// If there is no driver, or it does not say.
    fn look(&self) -> Result<Vec<Gpu>, LookError>;
}

/// What groups say of graphics processors, all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Some group grants graphics processors: then whoever is in none of these gets none.
    pub has_grants: bool,
    /// What groups grant to one server alone: it is given to nobody else.
    pub set_aside: Vec<GpuDevices>,
}

/// What a server that is about to be made gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This.
    Given(GpuHeld),
    /// One of its own, as soon as one is free; a sentence for whoever waits.
    Wait(String),
}

/// What an engine can give to servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineGives {
    /// No graphics processors.
    Nothing,
    /// All of them or none, as Docker Desktop on Windows.
    AllOrNothing,
    /// Each by its UUID.
    Each,
}

/// What is known of graphics processors at one moment.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The setting.
    pub enable: Enable,
    /// What the driver said last.
    pub sight: Sight,
    /// False: it said so too long ago to be believed.
    pub is_fresh: bool,
    /// Whether the engine can give them to servers; None: it has not said.
    pub engine_gives: Option<EngineGives>,
    /// Who has what, in order of name.
    pub leases: Vec<Lease>,
    /// Who waits for one of its own, first come first.
    pub queue: Vec<ServerKey>,
}

/// The graphics processors of this host. Cheap to clone.
#[derive(Clone)]
pub struct Gpus(Arc<Inner>);

struct Inner {
    config: Config,
    look: Arc<dyn Look>,
    clock: Arc<dyn Clock>,
    /// Never held across a wait.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sight: Sight,
    engine_gives: Option<EngineGives>,
    /// The engine has been asked, whether it answered or not.
    has_asked_engine: bool,
    leases: Leases,
}

impl Gpus {
    /// Nothing has been looked at yet; `sample` does.
    #[must_use]
    pub fn new(config: Config, look: Arc<dyn Look>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { config, look, clock, state: Mutex::default() }))
    }

    /// Looks again and again until told to stop. One look at a time: while a driver hangs, nobody else asks it.
    pub async fn sample(self, stopping: CancellationToken) {
        if self.0.config.enable == Enable::Off {
            return;
        }
        tokio::select! {
            () = stopping.cancelled() => {}
            () = self.look_on() => {}
        }
    }

    async fn look_on(&self) {
        loop {
            let look = Arc::clone(&self.0.look);
            let mut looking = tokio::task::spawn_blocking(move || look.look());
            let limit = self.0.config.look_timeout();
            let found = match timeout(limit, &mut looking).await {
                Ok(found) => found,
                Err(_) => {
                    self.note(Err(LookError::Slow { limit }));
                    // It may come back tomorrow. Until then there is nothing to be known, and nobody else to hang.
                    looking.await
                }
            };
            match found {
                Ok(found) => self.note(found),
                Err(panicked) => self.note(Err(LookError::Failed { reason: panicked.to_string() })),
            }
            tokio::time::sleep(self.0.config.sample_interval()).await;
        }
    }

    /// Takes up what a look has found. What is new is said once.
    fn note(&self, found: Result<Vec<Gpu>, LookError>) {
        let now = self.0.clock.now();
        let mut state = self.0.state.lock();
        let next = state.sight.after(found, now);
        if let Some(sentence) = next.news(&state.sight) {
            match &next {
                Sight::Failed { .. } => warn!(reason = %sentence, "graphics processors are not known"),
                _ => info!("{sentence}"),
            }
        }
        state.sight = next;
    }

    /// What the engine says that it can give. None: it does not answer.
    pub fn engine_says(&self, gives: Option<EngineGives>) {
        let mut state = self.0.state.lock();
        (state.engine_gives, state.has_asked_engine) = (gives, true);
    }

    /// What `server` gets, which is about to be made; asked again as long as it waits. Never fails.
    #[must_use]
    pub fn ask(&self, server: &ServerKey, grant: Option<&GrantedGpu>, rules: &Rules) -> Answer {
        let Inner { config, clock, .. } = &*self.0;
        let mut state = self.0.state.lock();
        let State { sight, engine_gives, leases, .. } = &mut *state;
        let everybody = GrantedGpu { devices: GpuDevices::All, is_exclusive: false };
        let grant = grant.or_else(|| (config.everybody && !rules.has_grants).then_some(&everybody));
        let stale_after = config.stale_after();
        let engine_can = engine_gives.is_some_and(|gives| gives != EngineGives::Nothing);
        let wanted = decide::decide(config.enable, sight.known(clock.now(), stale_after), engine_can, grant);
        let set_aside = sight.inventory().map(|inventory| rules.set_aside_of(inventory)).unwrap_or_default();
        match wanted {
            decide::Wanted::Nothing => {
                leases.release(server);
                Answer::Given(GpuHeld::default())
            }
            decide::Wanted::AllUnseen => Answer::Given(leases.share_unseen(server)),
            decide::Wanted::Shared(among) => {
                let among: Vec<_> = among.into_iter().filter(|uuid| !set_aside.contains(uuid)).collect();
                Answer::Given(leases.share(server, &among))
            }
            decide::Wanted::OneAlone(among) => match leases.lease(server, &among) {
                Ok(held) => Answer::Given(held),
                Err(Place { place, of }) => Answer::Wait(format!("Waiting for a GPU, place {place} of {of}")),
            },
        }
    }

    /// What is asked of the engine for what a server holds.
    #[must_use]
    pub fn devices(&self, held: &GpuHeld) -> Devices {
        let state = self.0.state.lock();
        decide::devices(state.sight.inventory(), held, state.engine_gives == Some(EngineGives::AllOrNothing))
    }

    /// A server that runs since before us has this.
    pub fn adopt(&self, server: &ServerKey, held: GpuHeld) {
        self.0.state.lock().leases.adopt(server, held);
    }

    /// This server is down, or waits no longer.
    pub fn release(&self, server: &ServerKey) {
        self.0.state.lock().leases.release(server);
    }

    /// True until driver and engine have been asked for the first time: whoever starts now should wait for it. Both have
    /// deadlines.
    #[must_use]
    pub fn is_looking(&self) -> bool {
        if self.0.config.enable == Enable::Off {
            return false;
        }
        let state = self.0.state.lock();
        state.sight == Sight::Nothing || !state.has_asked_engine
    }

    /// All that is known.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let state = self.0.state.lock();
        let now: Timestamp = self.0.clock.now();
        Overview {
            enable: self.0.config.enable,
            sight: state.sight.clone(),
            is_fresh: state.sight.is_fresh(now, self.0.config.stale_after()),
            engine_gives: state.engine_gives,
            leases: state.leases.all(),
            queue: state.leases.queue(),
        }
    }
}

impl Gpus {
    /// Servers that have a processor which is this busy now, and which no other server has: of a shared one nobody can
    /// tell whose work it is. Empty if the driver has not said so lately.
    #[must_use]
    pub fn at_work(&self, percent: u32) -> Vec<ServerKey> {
        let state = self.0.state.lock();
        if !state.sight.is_fresh(self.0.clock.now(), self.0.config.stale_after()) {
            return vec![];
        }
        let Sight::Seen(inventory) = &state.sight else { return vec![] };
        let is_busy = |gpu: &&Gpu| gpu.utilisation_percent.is_some_and(|load| load >= percent);
        let busy: Vec<&str> = inventory.gpus.iter().filter(is_busy).filter_map(|gpu| gpu.uuid.as_deref()).collect();
        if busy.is_empty() {
            return vec![];
        }
        let leases = state.leases.all();
        let has = |lease: &Lease, uuid: &str| lease.held.is_unseen || lease.held.uuids.iter().any(|held| held == uuid);
        let alone = busy.into_iter().filter_map(|uuid| {
            let mut holders = leases.iter().filter(|lease| has(lease, uuid));
            holders.next().filter(|_| holders.next().is_none()).map(|lease| lease.server.clone())
        });
        alone.collect()
    }
}

impl Rules {
    /// The processors that groups grant to one server alone.
    fn set_aside_of(&self, inventory: &Inventory) -> BTreeSet<String> {
        self.set_aside.iter().flat_map(|devices| inventory.select(devices)).collect()
    }
}

/// Never there: for hosts and tests without a driver.
#[derive(Clone, Copy, Debug)]
pub struct NoGpus;

impl Look for NoGpus {
    fn look(&self) -> Result<Vec<Gpu>, LookError> {
        Err(LookError::NoLibrary { reason: "not looked for".into() })
    }
}

impl Gpus {
    /// No graphics processors at all.
    #[must_use]
    pub fn off(clock: Arc<dyn Clock>) -> Self {
        Self::new(Config { enable: Enable::Off, ..Config::default() }, Arc::new(NoGpus), clock)
    }
}

/// What was seen is believed for so long at least: a look that comes late is no reason to leave servers without.
const STALE_AT_LEAST: Duration = Duration::from_secs(90);
