//! What the driver said, when, and for how long it is believed. What it did not say is None, never 0.

use std::time::Duration;

use super::LookError;
use crate::model::{GpuDevices, Timestamp};

/// One graphics processor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpu {
    /// Its number on this host, from 0. It may be another after a restart of the host.
    pub index: u32,
    /// What it is sold as.
    pub name: Option<String>,
    /// Its name for good: `GPU-` and a UUID. One without is not given to anybody.
    pub uuid: Option<String>,
    /// Its memory.
    pub memory_total_bytes: Option<u64>,
    /// How much of it is in use.
    pub memory_used_bytes: Option<u64>,
    /// How much of the time it was busy lately.
    pub utilisation_percent: Option<u32>,
    /// How warm it is.
    pub temperature_c: Option<u32>,
    /// It is cut into instances (MIG), each with figures of its own.
    pub is_partitioned: Option<bool>,
    /// What runs on it; None: it does not say.
    pub processes: Option<Vec<GpuProcess>>,
}

/// A process that uses a graphics processor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuProcess {
    /// Its number on this host.
    pub pid: u32,
    /// The path of its program.
    pub name: Option<String>,
    /// What it has of the processor's memory.
    pub memory_bytes: Option<u64>,
}

/// All graphics processors, as seen at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// When.
    pub at: Timestamp,
    /// In order of index.
    pub gpus: Vec<Gpu>,
}

impl Inventory {
    /// The UUIDs of all, in order of index.
    #[must_use]
    pub fn uuids(&self) -> Vec<String> {
        self.gpus.iter().filter_map(|gpu| gpu.uuid.clone()).collect()
    }

    /// The UUIDs of those that are meant and there, in order of index.
    #[must_use]
    pub fn select(&self, devices: &GpuDevices) -> Vec<String> {
        let is_meant = |gpu: &&Gpu| match devices {
            GpuDevices::All => true,
            GpuDevices::Chosen(ids) => {
                let index = gpu.index.to_string();
                ids.iter().any(|id| *id == index || Some(id) == gpu.uuid.as_ref())
            }
        };
        self.gpus.iter().filter(is_meant).filter_map(|gpu| gpu.uuid.clone()).collect()
    }
}

/// What is known from looking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// Nobody has looked yet.
    #[default]
    Nothing,
    /// There is no driver's library here.
    NoLibrary {
        /// What the system said.
        reason: String,
    },
    /// There is a driver, and it did not say.
    Failed {
        /// Why.
        reason: String,
        /// What it said before.
        last: Option<Inventory>,
    },
    /// It has said.
    Seen(Inventory),
}

/// What a decision may build on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// There is no driver's library here.
    NoLibrary,
    /// Nothing that can be believed now.
    Unknown,
    /// These.
    Fresh(&'a Inventory),
}

impl Sight {
    /// What is known after this look.
    pub(super) fn after(&self, found: Result<Vec<Gpu>, LookError>, now: Timestamp) -> Self {
        match found {
            Ok(gpus) => Self::Seen(Inventory { at: now, gpus }),
            Err(LookError::NoLibrary { reason }) => Self::NoLibrary { reason },
            Err(error) => Self::Failed { reason: error.to_string(), last: self.inventory().cloned() },
        }
    }

    /// What to say of it, if that differs from what was said of the look before.
    pub(super) fn news(&self, before: &Self) -> Option<String> {
        let sentence = |sight: &Self| match sight {
            Self::Nothing => None,
            Self::NoLibrary { .. } => Some("no NVIDIA driver library on this host: no graphics processors".to_owned()),
            Self::Failed { reason, .. } => Some(reason.clone()),
            Self::Seen(inventory) => {
                let names: Vec<_> =
                    inventory.gpus.iter().map(|gpu| gpu.name.as_deref().unwrap_or("one without a name")).collect();
                Some(format!("{} graphics processors found: {}", names.len(), names.join(", ")))
            }
        };
        sentence(self).filter(|now| sentence(before).as_ref() != Some(now))
    }

    /// What the driver said last, however long ago.
    #[must_use]
    pub fn inventory(&self) -> Option<&Inventory> {
        match self {
            Self::Seen(inventory) => Some(inventory),
            Self::Failed { last, .. } => last.as_ref(),
            Self::Nothing | Self::NoLibrary { .. } => None,
        }
    }

    /// True if what was seen last was seen a moment ago.
    pub(super) fn is_fresh(&self, now: Timestamp, stale_after: Duration) -> bool {
        matches!(self.known(now, stale_after), Known::Fresh(_))
    }

    /// What can be believed at `now`.
    pub(super) fn known(&self, now: Timestamp, stale_after: Duration) -> Known<'_> {
        match self {
            Self::NoLibrary { .. } => Known::NoLibrary,
            // One failed look among good ones: what was seen a moment ago is as true as it was.
            Self::Seen(last) | Self::Failed { last: Some(last), .. } if now.since(last.at) <= stale_after => {
                Known::Fresh(last)
            }
            _ => Known::Unknown,
        }
    }
}
