//! Looks at the host every half minute, for the page that shows it: nobody who opens the page waits for Docker or a disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::copies::{Copier, CopyFigures};
use super::run_blocking;
use crate::gpu::{EngineGives, Gpus};
use crate::host::machine::{self, Machine, ProcessorTimes};
use crate::hub::{
    CertificateShown, CertificateTrouble, EngineDisk, EngineShown, Filled, HostFacts, HostFactsOf, HostHistory,
    HostShares, OwnShown, StoreShown,
};
use crate::listener::acme::{Acme, AcmeFigures};
use crate::listener::{CertificateFigures, Certificates};
use crate::model::{Clock, Timestamp};
use crate::spawner::{Backend, EngineFacts};
use crate::store::{HostHistoryRow, Store};

/// Between two looks. 30 s: as old as the figures of graphics processors.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long the engine may take to say what it is. 10 s: its own calls end within 30, and the page should tell sooner.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is looked at.
pub(super) struct Host {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) gpus: Gpus,
    pub(super) certificates: Arc<Certificates>,
    /// If certificates are ordered.
    pub(super) acme: Option<Arc<Acme>>,
    pub(super) data_dir: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) latest: Latest,
    pub(super) store: Store,
    pub(super) copier: Copier,
    /// None until it has been read.
    pub(super) history: Option<HostHistory>,
    pub(super) shown_history: Arc<HostHistoryRow>,
    /// What the processors had done at the last look.
    pub(super) times: Option<ProcessorTimes>,
}

/// The latest sample.
#[derive(Clone, Default)]
pub(super) struct Latest(Arc<Mutex<Option<HostFacts>>>);

impl Latest {
    pub(super) fn facts_of(&self) -> HostFactsOf {
        let Self(latest) = self.clone();
        Arc::new(move || latest.lock().clone())
    }
}

impl Host {
    /// Looks until told to stop.
    pub(super) async fn watch(mut self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.look() => {}
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    async fn look(&mut self) {
        let (engine, folder) = self.engine().await;
        let (data_dir, copies) = (self.data_dir.clone(), self.copier.figures());
        let seen = run_blocking(move || Seen::look(&data_dir, folder.as_deref(), copies)).await;
        let shown = |one: CertificateFigures| CertificateShown {
            names: one.names,
            file: one.file,
            is_self_signed: one.is_self_signed,
            ends_at: one.ends_at,
        };
        let certificates = self.certificates.all().into_iter().map(shown).collect();
        let at = self.clock.now();
        let ordered = self.acme.as_ref().map(|acme| acme.figures()).unwrap_or_default();
        let trouble = |AcmeFigures { name, problem, ends_at, next_try, .. }| CertificateTrouble {
            name,
            problem,
            ends_at,
            next_try,
        };
        let certificate_troubles = ordered.into_iter().filter(|one| one.is_in_trouble(at)).map(trouble).collect();
        let Seen { store, machine, disk, engine_disk } = seen;
        let busy = machine.times.zip(self.times).and_then(|(now, before)| now.busy_since(before));
        self.times = machine.times;
        let memory = machine.memory.map(filled);
        let shares = HostShares {
            processor: busy,
            memory: memory.and_then(|memory| memory.share()),
            disk: disk.and_then(|disk| disk.share()),
            engine_disk: engine_disk.as_ref().and_then(|disk| disk.filled.share()),
            gpu: self.gpu_share(),
        };
        self.remember(at, &shares).await;
        *self.latest.0.lock() = Some(HostFacts {
            at,
            engine,
            store,
            certificates,
            certificate_troubles,
            cores: machine.cores,
            load: machine.load,
            busy,
            memory,
            own: OwnShown { cores: machine.own.cores, memory: machine.own.memory.map(filled) },
            disk,
            engine_disk,
            history: self.shown_history.clone(),
        });
    }

    /// Takes the look into the history, and writes that down when ten minutes are over.
    async fn remember(&mut self, at: Timestamp, shares: &HostShares) {
        let store = self.store.clone();
        if self.history.is_none() {
            match run_blocking(move || store.host_history()).await {
                Ok(row) => self.history = Some(HostHistory::of(row)),
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "the history of the host could not be read");
                    return;
                }
            }
        }
        let store = self.store.clone();
        let Some(history) = &mut self.history else { return };
        let is_complete = history.note(at, shares);
        self.shown_history = Arc::new(history.row().clone());
        if is_complete {
            let row = self.shown_history.clone();
            let written = run_blocking(move || store.write(|t| t.put_host_history(&row))).await;
            if let Err(error) = written {
                // It is in memory, and goes with the next one.
                warn!(error = &error as &dyn std::error::Error, "the history of the host could not be written");
            }
        }
    }

    /// How busy the graphics processors are on average, of those that say.
    fn gpu_share(&self) -> Option<f64> {
        let overview = self.gpus.overview();
        let inventory = overview.sight.inventory().filter(|_| overview.is_fresh)?;
        let busy: Vec<_> = inventory.gpus.iter().filter_map(|gpu| gpu.utilisation_percent).collect();
        (!busy.is_empty()).then(|| f64::from(busy.iter().sum::<u32>()) / busy.len() as f64 / 100.0)
    }

    async fn engine(&self) -> (EngineShown, Option<PathBuf>) {
        let answer = tokio::time::timeout(ENGINE_TIMEOUT, self.backend.facts()).await;
        let answer = match answer {
            Ok(Ok(facts)) => Ok(facts),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", ENGINE_TIMEOUT.as_secs())),
        };
        self.gpus.engine_says(answer.as_ref().ok().map(gives));
        let folder = answer.as_ref().ok().and_then(|facts| facts.folder.clone());
        let before = self.latest.0.lock().as_ref().map(|facts| facts.engine.clone());
        (engine_after(before, self.backend.name(), answer, self.clock.now()), folder)
    }
}

fn gives(facts: &EngineFacts) -> EngineGives {
    match facts {
        EngineFacts { gives_gpus: false, .. } => EngineGives::Nothing,
        EngineFacts { gives_all_gpus_only: true, .. } => EngineGives::AllOrNothing,
        EngineFacts { .. } => EngineGives::Each,
    }
}

/// What is shown of the engine after it was asked once more.
fn engine_after(
    before: Option<EngineShown>,
    name: &str,
    answer: Result<EngineFacts, String>,
    now: Timestamp,
) -> EngineShown {
    let same_as_before = before.as_ref().filter(|before| before.problem.is_none() == answer.is_ok());
    let since = same_as_before.map_or(now, |before| before.since);
    let version = match &answer {
        Ok(facts) => facts.version.clone(),
        Err(_) => before.and_then(|before| before.version),
    };
    EngineShown { name: name.to_owned(), version, problem: answer.err(), since }
}

/// What the system says.
struct Seen {
    store: StoreShown,
    machine: Machine,
    disk: Option<Filled>,
    engine_disk: Option<EngineDisk>,
}

impl Seen {
    /// Blocks on files.
    fn look(data_dir: &Path, engine_folder: Option<&Path>, copies: CopyFigures) -> Self {
        let file = data_dir.join("slipway.redb");
        let found = std::fs::metadata(&file).ok();
        let written = found.as_ref().and_then(|found| found.modified().ok());
        let path = std::path::absolute(&file).unwrap_or(file);
        let engine_disk = engine_folder.and_then(|folder| {
            Some(EngineDisk {
                folder: folder.display().to_string(),
                filled: filled(machine::disk_of(folder)?),
                is_data_disk: machine::is_same_disk(folder, data_dir)?,
            })
        });
        Self {
            store: StoreShown {
                path: path.display().to_string(),
                size_bytes: found.as_ref().map(std::fs::Metadata::len),
                written_at: written.and_then(timestamp),
                copied_at: copies.last_at,
                copy_problem: copies.problem,
            },
            machine: Machine::look(),
            disk: machine::disk_of(data_dir).map(filled),
            engine_disk,
        }
    }
}

fn filled(machine::Filled { used_bytes, total_bytes }: machine::Filled) -> Filled {
    Filled { used_bytes, total_bytes }
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(since.as_millis()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_goes_and_comes_is_told_with_when() {
        let facts = || EngineFacts { version: Some("29.1".into()), ..EngineFacts::default() };
        let first = engine_after(None, "docker", Ok(facts()), Timestamp(1));
        let second = engine_after(Some(first.clone()), "docker", Ok(facts()), Timestamp(2));
        assert_eq!((second.since, &second), (Timestamp(1), &first));
        let gone = engine_after(Some(second), "docker", Err("no".into()), Timestamp(3));
        assert_eq!((gone.since, gone.version.as_deref()), (Timestamp(3), Some("29.1")));
        let still = engine_after(Some(gone), "docker", Err("no, again".into()), Timestamp(4));
        assert_eq!((still.since, still.problem.as_deref()), (Timestamp(3), Some("no, again")));
        assert_eq!(engine_after(Some(still), "docker", Ok(facts()), Timestamp(5)).since, Timestamp(5));
    }
}
