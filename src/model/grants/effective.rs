//! What the groups of one user come to together (platform.md §12.2). Pure: the same groups in any order give the same.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{GpuDevices, GrantedVariable, Grants, IdleGrant, MountPoint, SharedGrant, VolumeGrant};
use crate::model::GroupName;

/// Something that the next start gets, and which groups gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted<T> {
    /// What.
    pub value: T,
    /// The groups that gave it; never empty.
    pub from: Vec<GroupName>,
}

/// Memory of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantedMemory {
    /// In bytes.
    pub bytes: u64,
    /// No swap beside it.
    pub swap_off: bool,
}

/// Graphics processors of a server, as far as groups decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedGpu {
    /// Which it may have.
    pub devices: GpuDevices,
    /// What it has nobody else may have meanwhile.
    pub is_exclusive: bool,
}

/// A group of the user's with what it grants.
#[derive(Clone, Copy, Debug)]
pub struct GroupGrants<'a> {
    /// Its name.
    pub name: &'a GroupName,
    /// What it grants.
    pub grants: &'a Grants,
}

/// What the next start of a user's servers gets through his groups, and which group gave it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effective {
    /// In place of the installation's default; None: no group says.
    pub memory: Option<Granted<GrantedMemory>>,
    /// In cores; in place of the installation's default; None: no group says.
    pub cpu_cores: Option<Granted<f64>>,
    /// None: none.
    pub gpu: Option<Granted<GrantedGpu>>,
    /// By name.
    pub environment: Vec<Granted<GrantedVariable>>,
    /// The shared volume.
    pub shared: Option<Granted<SharedGrant>>,
    /// Other volumes, by mount point.
    pub volumes: Vec<Granted<VolumeGrant>>,
    /// When idle servers are stopped; None: as the installation says.
    pub idle: Option<Granted<IdleGrant>>,
    /// The groups that give the engine's socket; empty: none does.
    pub docker_socket: Vec<GroupName>,
    /// The groups that give a container without confinement; empty: none does.
    pub privileged: Vec<GroupName>,
}

impl Effective {
    /// True if no group gives anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What all `groups` of one user come to: the one of the highest priority decides where two say different things
/// (equal ones by name), the biggest limit wins, what one gives no other takes away.
#[must_use]
pub fn merge(groups: &[GroupGrants<'_>]) -> Effective {
    let mut groups = groups.to_vec();
    groups.sort_by_key(|group| (Reverse(group.grants.priority), group.name));
    let who = |gives: fn(&Grants) -> bool| -> Vec<GroupName> {
        groups.iter().filter(|group| gives(group.grants)).map(|group| group.name.clone()).collect()
    };
    Effective {
        memory: memory(&groups),
        cpu_cores: cpu_cores(&groups),
        gpu: gpu(&groups),
        environment: environment(&groups),
        shared: shared(&groups),
        volumes: volumes(&groups),
        idle: merge_idle(&groups),
        docker_socket: who(|grants| grants.docker.is_active && grants.docker.socket),
        privileged: who(|grants| grants.docker.is_active && grants.docker.privileged),
    }
}

fn memory(groups: &[GroupGrants<'_>]) -> Option<Granted<GrantedMemory>> {
    let said = groups.iter().filter(|group| group.grants.memory.is_active);
    // Of equal ones the first, which has the higher priority: `max_by_key` would take the last.
    let winner = said.rev().max_by_key(|group| group.grants.memory.bytes)?;
    let memory = winner.grants.memory;
    let value = GrantedMemory { bytes: memory.bytes, swap_off: memory.swap_off };
    Some(Granted { value, from: vec![winner.name.clone()] })
}

fn cpu_cores(groups: &[GroupGrants<'_>]) -> Option<Granted<f64>> {
    let said = groups.iter().filter(|group| group.grants.cpu.is_active);
    let winner = said.rev().max_by(|a, b| a.grants.cpu.cores.total_cmp(&b.grants.cpu.cores))?;
    Some(Granted { value: winner.grants.cpu.cores, from: vec![winner.name.clone()] })
}

/// Any "all" wins, else all that are named. Exclusive only if every group that gives one says so: what somebody may
/// share through one group no other group takes away.
fn gpu(groups: &[GroupGrants<'_>]) -> Option<Granted<GrantedGpu>> {
    let giving: Vec<_> = groups.iter().filter(|group| group.grants.gpu.is_active).collect();
    if giving.is_empty() {
        return None;
    }
    let is_exclusive = giving.iter().all(|group| group.grants.gpu.is_exclusive);
    let names = |groups: &[&GroupGrants<'_>]| groups.iter().map(|group| group.name.clone()).collect();
    let all: Vec<_> = giving.iter().copied().filter(|group| group.grants.gpu.devices == GpuDevices::All).collect();
    if !all.is_empty() {
        return Some(Granted { value: GrantedGpu { devices: GpuDevices::All, is_exclusive }, from: names(&all) });
    }
    let mut chosen: Vec<String> = Vec::new();
    for group in &giving {
        if let GpuDevices::Chosen(ids) = &group.grants.gpu.devices {
            chosen.extend(ids.iter().cloned());
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    Some(Granted { value: GrantedGpu { devices: GpuDevices::Chosen(chosen), is_exclusive }, from: names(&giving) })
}

/// Each part as the most generous of the groups that say something has it; who gave any of it is named.
#[must_use]
pub fn merge_idle(groups: &[GroupGrants<'_>]) -> Option<Granted<IdleGrant>> {
    let said =
        || groups.iter().filter(|group| group.grants.idle.is_active).map(|group| (group.name, &group.grants.idle));
    let first = *said().next()?.1;
    // None is «never», which is more than any time.
    let longer = |a: Option<u32>, b: Option<u32>| Some(a?.max(b?));
    let value = said().fold(first, |most, (_, idle)| IdleGrant {
        is_active: true,
        idle_after_minutes: longer(most.idle_after_minutes, idle.idle_after_minutes),
        max_age_hours: longer(most.max_age_hours, idle.max_age_hours),
        extension_hours: most.extension_hours.max(idle.extension_hours),
        stops_busy_kernels: most.stops_busy_kernels && idle.stops_busy_kernels,
    });
    let gave = |idle: &IdleGrant| {
        idle.idle_after_minutes == value.idle_after_minutes
            || (value.max_age_hours.is_some() && idle.max_age_hours == value.max_age_hours)
            || (value.extension_hours > 0 && idle.extension_hours == value.extension_hours)
    };
    let from = said().filter(|(_, idle)| gave(idle)).map(|(name, _)| name.clone()).collect();
    Some(Granted { value, from })
}

fn environment(groups: &[GroupGrants<'_>]) -> Vec<Granted<GrantedVariable>> {
    let mut by_name = BTreeMap::new();
    for group in groups.iter().filter(|group| group.grants.environment.is_active) {
        for variable in group.grants.environment.variables.iter().filter(|variable| !variable.name.is_reserved()) {
            let granted = || Granted { value: variable.clone(), from: vec![group.name.clone()] };
            by_name.entry(variable.name.clone()).or_insert_with(granted);
        }
    }
    by_name.into_values().collect()
}

fn shared(groups: &[GroupGrants<'_>]) -> Option<Granted<SharedGrant>> {
    groups
        .iter()
        .filter(|group| group.grants.volumes.is_active)
        .find_map(|group| group.grants.volumes.shared.map(|value| Granted { value, from: vec![group.name.clone()] }))
}

fn volumes(groups: &[GroupGrants<'_>]) -> Vec<Granted<VolumeGrant>> {
    let mut taken: BTreeMap<MountPoint, Granted<VolumeGrant>> = BTreeMap::new();
    for group in groups.iter().filter(|group| group.grants.volumes.is_active) {
        for grant in &group.grants.volumes.mounts {
            let is_taken =
                taken.contains_key(&grant.mount) || taken.values().any(|granted| granted.value.volume == grant.volume);
            if !is_taken {
                let granted = Granted { value: grant.clone(), from: vec![group.name.clone()] };
                taken.insert(grant.mount.clone(), granted);
            }
        }
    }
    taken.into_values().collect()
}

#[cfg(test)]
mod tests;
