//! What a group gives the servers of its members at their next start: limits, GPUs, variables, volumes, Docker.
//!
//! `Grants` has been checked once (`draft`, the form in which pages, the API and the configuration say it) and is
//! trusted inside. What several groups of one user come to together is `effective`.

mod draft;
mod effective;
mod names;
mod notes;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::IdleRules;

pub use draft::{DraftVariable, DraftVolume, GrantProblem, GrantRules, GrantsDraft};
pub use effective::{Effective, Granted, GrantedGpu, GrantedMemory, GroupGrants, merge, merge_idle};
pub use names::{MountPoint, SHARED_MOUNT, VariableName, VolumeName};
pub use notes::GrantNote;

/// What one group grants. A section that is off keeps what it says, and gives nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grants {
    /// The higher one wins where two groups say different things; equal ones go by name.
    pub priority: i32,
    /// Variables of its servers.
    pub environment: EnvironmentGrant,
    /// Graphics processors.
    pub gpu: GpuGrant,
    /// The engine itself, and a container that may do all.
    pub docker: DockerGrant,
    /// Processors.
    pub cpu: CpuGrant,
    /// Memory.
    pub memory: MemoryGrant,
    /// Volumes beside their own.
    pub volumes: VolumesGrant,
    /// When idle servers are stopped.
    pub idle: IdleGrant,
}

impl Grants {
    /// True if its members are root on the host of their servers, or as good as: giving this away asks for more than
    /// administering does.
    #[must_use]
    pub fn is_root_like(&self) -> bool {
        self.docker.is_active && (self.docker.socket || self.docker.privileged)
    }
}

/// Variables of a group's servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvironmentGrant {
    /// False: kept, and not given.
    pub is_active: bool,
    /// Each name once.
    pub variables: Vec<GrantedVariable>,
}

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedVariable {
    /// Its name.
    pub name: VariableName,
    /// Its value.
    #[serde(default)]
    pub value: String,
    /// What it is for: for people.
    #[serde(default)]
    pub description: String,
}

/// Graphics processors for a group's servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuGrant {
    /// False: kept, and not given.
    pub is_active: bool,
    /// Which.
    pub devices: GpuDevices,
    /// Whoever has one has it alone.
    pub is_exclusive: bool,
}

/// Which graphics processors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GpuDevices {
    /// All that the host has.
    #[default]
    All,
    /// These, by UUID (`GPU-…`) or index; sorted, each once.
    Chosen(Vec<String>),
}

/// The engine itself, and a container that may do all. Both are root on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DockerGrant {
    /// False: kept, and not given.
    pub is_active: bool,
    /// The engine's socket, to read and to write.
    pub socket: bool,
    /// A container without confinement.
    pub privileged: bool,
}

/// Processors for a group's servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuGrant {
    /// False: kept, and not given; it never lifts another group's limit.
    pub is_active: bool,
    /// In cores.
    pub cores: f64,
}

/// Memory for a group's servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryGrant {
    /// False: kept, and not given; it never lifts another group's limit.
    pub is_active: bool,
    /// In bytes.
    pub bytes: u64,
    /// No swap beside it.
    pub swap_off: bool,
}

/// When idle servers of a group's members are stopped, in place of what the installation says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IdleGrant {
    /// False: kept, and the installation's settings hold.
    pub is_active: bool,
    /// How long a server may go unused, in minutes; None: for ever.
    pub idle_after_minutes: Option<u32>,
    /// How old a server may become, in hours; None: as old as it likes.
    pub max_age_hours: Option<u32>,
    /// How many hours the owner may put the deadline off beyond the idle limit.
    pub extension_hours: u32,
    /// A busy kernel is no reason to keep a server.
    pub stops_busy_kernels: bool,
}

impl IdleGrant {
    /// The same as rules.
    #[must_use]
    pub fn rules(&self) -> IdleRules {
        let hours = |count: u32| Duration::from_secs(u64::from(count) * 3_600);
        IdleRules {
            idle_after: self.idle_after_minutes.map(|minutes| Duration::from_secs(u64::from(minutes) * 60)),
            max_age: self.max_age_hours.map(hours),
            extension_at_most: hours(self.extension_hours),
            stops_busy_kernels: self.stops_busy_kernels,
        }
    }
}

/// Volumes for a group's servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumesGrant {
    /// False: kept, and not given.
    pub is_active: bool,
    /// The installation's shared volume at `/mnt/shared`; None: not given.
    pub shared: Option<SharedGrant>,
    /// Others, each volume and each mount point once.
    pub mounts: Vec<VolumeGrant>,
}

/// The shared volume at `/mnt/shared`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedGrant {
    /// It can be looked at alone.
    #[serde(default)]
    pub read_only: bool,
}

/// One named volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeGrant {
    /// Its name at the engine.
    pub volume: VolumeName,
    /// Where servers see it.
    pub mount: MountPoint,
    /// It can be looked at alone.
    #[serde(default)]
    pub read_only: bool,
}
