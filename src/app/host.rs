//! Looks at the host every half minute, for the page that shows it: nobody who opens the page waits for Docker or a disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::run_blocking;
use crate::gpu::{EngineGives, Gpus};
use crate::hub::{CertificateShown, EngineShown, Filled, HostFacts, HostFactsOf, StoreShown};
use crate::listener::{CertificateFigures, Certificates};
use crate::model::{Clock, Timestamp};
use crate::spawner::{Backend, EngineFacts};

/// Between two looks. 30 s: as old as the figures of graphics processors.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long the engine may take to say what it is. 10 s: its own calls end within 30, and the page should tell sooner.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is looked at.
pub(super) struct Host {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) gpus: Gpus,
    pub(super) certificates: Arc<Certificates>,
    pub(super) data_dir: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) latest: Latest,
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
    pub(super) async fn watch(self, stopping: CancellationToken) {
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

    async fn look(&self) {
        let engine = self.engine().await;
        let data_dir = self.data_dir.clone();
        let machine = run_blocking(move || Machine::look(&data_dir)).await;
        let shown = |one: CertificateFigures| CertificateShown {
            names: one.names,
            file: one.file,
            is_self_signed: one.is_self_signed,
            ends_at: one.ends_at,
        };
        let Machine { store, cores, load, memory, disk } = machine;
        let certificates = self.certificates.all().into_iter().map(shown).collect();
        let at = self.clock.now();
        *self.latest.0.lock() = Some(HostFacts { at, engine, store, certificates, cores, load, memory, disk });
    }

    async fn engine(&self) -> EngineShown {
        let answer = tokio::time::timeout(ENGINE_TIMEOUT, self.backend.facts()).await;
        let answer = match answer {
            Ok(Ok(facts)) => Ok(facts),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", ENGINE_TIMEOUT.as_secs())),
        };
        self.gpus.engine_says(answer.as_ref().ok().map(gives));
        let before = self.latest.0.lock().as_ref().map(|facts| facts.engine.clone());
        engine_after(before, self.backend.name(), answer, self.clock.now())
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
struct Machine {
    store: StoreShown,
    cores: Option<usize>,
    load: Option<f64>,
    memory: Option<Filled>,
    disk: Option<Filled>,
}

impl Machine {
    /// Blocks on files.
    fn look(data_dir: &Path) -> Self {
        let file = data_dir.join("slipway.redb");
        let found = std::fs::metadata(&file).ok();
        let written = found.as_ref().and_then(|found| found.modified().ok());
        let path = std::path::absolute(&file).unwrap_or(file);
        Self {
            store: StoreShown {
                path: path.display().to_string(),
                size_bytes: found.as_ref().map(std::fs::Metadata::len),
                written_at: written.and_then(timestamp),
            },
            cores: std::thread::available_parallelism().ok().map(usize::from),
            load: std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| load_of(&text)),
            memory: std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_of(&text)),
            disk: disk_of(data_dir),
        }
    }
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(since.as_millis()).ok()?))
}

fn load_of(loadavg: &str) -> Option<f64> {
    loadavg.split_ascii_whitespace().next()?.parse().ok()
}

fn memory_of(meminfo: &str) -> Option<Filled> {
    let bytes_of = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    let total_bytes = bytes_of("MemTotal")?;
    // What programs can still have: caches are no use of memory.
    let used_bytes = total_bytes.checked_sub(bytes_of("MemAvailable")?)?;
    Some(Filled { used_bytes, total_bytes })
}

fn disk_of(folder: &Path) -> Option<Filled> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.checked_mul(disk.f_frsize);
    // What is kept for root is not free for us: used and free are the whole, as `df` counts.
    let used = disk.f_blocks.checked_sub(disk.f_bfree)?;
    Some(Filled { used_bytes: bytes(used)?, total_bytes: bytes(used.checked_add(disk.f_bavail)?)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_does_not_say_is_unknown() {
        let meminfo = "MemTotal:       2000 kB\nMemFree:         100 kB\nMemAvailable:    500 kB\n";
        assert_eq!(memory_of(meminfo), Some(Filled { used_bytes: 1500 << 10, total_bytes: 2000 << 10 }));
        assert_eq!(memory_of("MemTotal: 2000 kB\n"), None);
        assert_eq!(memory_of("MemTotal: 5 kB\nMemAvailable: 6 kB\n"), None);
        assert_eq!((load_of("0.52 0.58 0.59 1/2 3\n"), load_of("")), (Some(0.52), None));
        assert_eq!(disk_of(Path::new("/no/such/folder")), None);
        assert!(disk_of(Path::new("/")).is_some_and(|disk| disk.used_bytes <= disk.total_bytes));
    }

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
