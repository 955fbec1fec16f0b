//! Asks NVIDIA's driver through its management library (NVML), which is loaded when it is first asked.

use std::time::Duration;

use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use parking_lot::Mutex;

use super::Look;
use super::inventory::{Gpu, GpuProcess};

/// Processes of one graphics processor that are kept: more than a page shows.
const PROCESSES_LIMIT: usize = 64;
/// Letters of a name that are kept.
const NAME_LIMIT: usize = 256;

/// Why there is nothing to be seen.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// There is no library of a driver here.
    #[error("no NVIDIA driver library: {reason}")]
    NoLibrary {
        /// What the system said.
        reason: String,
    },
    /// The driver said no.
    #[error("the NVIDIA driver does not say which graphics processors there are: {reason}")]
    Failed {
        /// Its words.
        reason: String,
    },
    /// The driver said nothing.
    #[error("the NVIDIA driver did not answer within {limit:?}")]
    Slow {
        /// How long we waited.
        limit: Duration,
    },
}

/// NVIDIA's management library.
#[derive(Default)]
pub struct Nvml {
    /// None: not loaded yet, or it did not work last time. Only the one look at a time takes it.
    library: Mutex<Option<nvml_wrapper::Nvml>>,
}

impl Look for Nvml {
    fn look(&self) -> Result<Vec<Gpu>, LookError> {
        let mut library = self.library.lock();
        let loaded = match library.take() {
            Some(loaded) => loaded,
            None => nvml_wrapper::Nvml::init().map_err(why)?,
        };
        let count = loaded.device_count().map_err(why)?;
        let gpus = (0..count).map(|index| gpu_at(&loaded, index)).collect();
        // One that has failed is dropped and loaded anew: after an update of the driver the old one never works again.
        *library = Some(loaded);
        Ok(gpus)
    }
}

fn why(error: NvmlError) -> LookError {
    match error {
        NvmlError::LibloadingError(_) => LookError::NoLibrary { reason: error.to_string() },
        // The library without its driver: a host whose card has been taken out, or an image that brings the library.
        NvmlError::DriverNotLoaded | NvmlError::NotFound => LookError::NoLibrary { reason: error.to_string() },
        error => LookError::Failed { reason: error.to_string() },
    }
}

/// What the driver tells of one. Whatever it does not tell is None: a card that is cut into instances has no load of its own.
fn gpu_at(library: &nvml_wrapper::Nvml, index: u32) -> Gpu {
    let Ok(device) = library.device_by_index(index) else { return Gpu { index, ..Gpu::default() } };
    let memory = device.memory_info().ok();
    Gpu {
        index,
        name: device.name().ok().map(short),
        uuid: device.uuid().ok().filter(|uuid| is_uuid(uuid)),
        memory_total_bytes: memory.as_ref().map(|memory| memory.total),
        memory_used_bytes: memory.as_ref().map(|memory| memory.used),
        utilisation_percent: device.utilization_rates().ok().map(|rates| rates.gpu),
        temperature_c: device.temperature(TemperatureSensor::Gpu).ok(),
        // Cards that cannot be cut say that they do not know the question.
        is_partitioned: match device.mig_mode() {
            Ok(mode) => Some(mode.current == 1),
            Err(NvmlError::NotSupported) => Some(false),
            Err(_) => None,
        },
        processes: processes_of(library, &device),
    }
}

fn processes_of(library: &nvml_wrapper::Nvml, device: &nvml_wrapper::Device<'_>) -> Option<Vec<GpuProcess>> {
    let (computing, drawing) = (device.running_compute_processes(), device.running_graphics_processes());
    if computing.is_err() && drawing.is_err() {
        return None;
    }
    let mut all: Vec<ProcessInfo> = computing.into_iter().chain(drawing).flatten().collect();
    all.sort_by_key(|process| process.pid);
    all.dedup_by_key(|process| process.pid);
    let process = |info: ProcessInfo| GpuProcess {
        pid: info.pid,
        name: library.sys_process_name(info.pid, NAME_LIMIT).ok().map(short),
        memory_bytes: match info.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        },
    };
    Some(all.into_iter().take(PROCESSES_LIMIT).map(process).collect())
}

/// What may go into a request to the engine and into a variable.
fn is_uuid(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn short(text: String) -> String {
    text.chars().filter(|c| !c.is_control()).take(NAME_LIMIT).collect()
}
