//! What groups make of a start's choice. Pure.
//!
//! A group's limit takes the place of the installation's default, up or down. A profile that somebody has chosen is an
//! agreement of its own: then the smaller one counts. Variables go over the profile's and under the administrator's.

use super::GpuRequest;
use super::backend::{Extras, GrantedMount};
use super::profiles::Choice;
use crate::model::{Effective, GrantNote, Granted, SHARED_MOUNT};

/// What the backend can do with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means<'a> {
    /// Containers: volumes, sockets and devices can be given. False: limits and variables alone.
    pub has_extras: bool,
    /// What the shared volume is called.
    pub shared_volume: Option<&'a str>,
}

/// The choice with what groups give. `gpu` is what has been lent of the graphics processors.
pub(super) fn granted(choice: Choice, effective: &Effective, gpu: GpuRequest, means: Means<'_>) -> Choice {
    let mut limits = choice.limits;
    let mut swap_off = false;
    if let Some(Granted { value, .. }) = effective.memory {
        limits.memory_bytes = Some(choice.agreed.memory_bytes.map_or(value.bytes, |own| own.min(value.bytes)));
        swap_off = value.swap_off;
    }
    if let Some(Granted { value, .. }) = effective.cpu_cores {
        limits.cpu_cores = Some(choice.agreed.cpu_cores.map_or(value, |own| own.min(value)));
    }
    let mut environment = choice.environment.clone();
    for Granted { value, .. } in &effective.environment {
        environment.insert(value.name.to_string(), value.value.clone());
    }
    let extras = if means.has_extras {
        Extras {
            swap_off,
            mounts: mounts(effective, means.shared_volume),
            docker_socket: !effective.docker_socket.is_empty(),
            privileged: !effective.privileged.is_empty(),
            gpu,
        }
    } else {
        Extras::default()
    };
    let notes = effective.notes().into_iter().filter(GrantNote::is_of_start);
    let notes = notes.filter(|note| means.has_extras || !note.needs_container());
    Choice { limits, environment, extras, notes: notes.collect(), ..choice }
}

fn mounts(effective: &Effective, shared_volume: Option<&str>) -> Vec<GrantedMount> {
    let shared = effective.shared.as_ref().zip(shared_volume).map(|(granted, volume)| GrantedMount {
        volume: volume.to_owned(),
        path: SHARED_MOUNT.into(),
        read_only: granted.value.read_only,
    });
    let others = effective.volumes.iter().map(|granted| GrantedMount {
        volume: granted.value.volume.to_string(),
        path: granted.value.mount.to_string(),
        read_only: granted.value.read_only,
    });
    shared.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GrantedMemory, GroupName};
    use crate::spawner::ResourceLimits;

    fn group() -> Vec<GroupName> {
        vec![GroupName::parse("g").expect("a name")]
    }

    fn of_group(bytes: u64, cores: f64) -> Effective {
        Effective {
            memory: Some(Granted { value: GrantedMemory { bytes, swap_off: true }, from: group() }),
            cpu_cores: Some(Granted { value: cores, from: group() }),
            docker_socket: group(),
            ..Effective::default()
        }
    }

    fn start(choice: Choice, effective: &Effective) -> Choice {
        granted(choice, effective, GpuRequest::None, Means { has_extras: true, shared_volume: Some("shared") })
    }

    const SMALL: ResourceLimits = ResourceLimits { memory_bytes: Some(1), cpu_cores: Some(1.0) };

    #[test]
    fn a_groups_limit_takes_the_place_of_the_default() {
        let default = Choice { limits: SMALL, ..Choice::default() };
        let choice = start(default, &of_group(8, 4.0));
        assert_eq!(choice.limits, ResourceLimits { memory_bytes: Some(8), cpu_cores: Some(4.0) });
        assert!(choice.extras.swap_off && choice.extras.docker_socket);
    }

    #[test]
    fn of_a_chosen_profile_and_a_group_the_smaller_limit_counts() {
        let chosen = Choice { limits: SMALL, agreed: SMALL, ..Choice::default() };
        assert_eq!(start(chosen, &of_group(8, 4.0)).limits, SMALL);
        let big = ResourceLimits { memory_bytes: Some(64), cpu_cores: Some(64.0) };
        let chosen = Choice { limits: big, agreed: big, ..Choice::default() };
        assert_eq!(start(chosen, &of_group(8, 4.0)).limits.memory_bytes, Some(8));
    }

    #[test]
    fn local_processes_get_limits_and_variables_alone() {
        let means = Means { has_extras: false, shared_volume: None };
        let choice = granted(Choice::default(), &of_group(8, 4.0), GpuRequest::All, means);
        assert_eq!(choice.extras, Extras::default());
        assert_eq!(choice.limits.memory_bytes, Some(8));
        assert!(choice.notes.iter().all(|note| !note.is_root_like()));
    }

    /// Trap 18: a start is built from what groups give now, never from what the start before had.
    #[test]
    fn who_has_left_a_group_has_nothing_left_over() {
        let member = start(Choice { limits: SMALL, ..Choice::default() }, &of_group(8, 4.0));
        assert_ne!(member.extras, Extras::default());
        let after = start(Choice { limits: SMALL, ..Choice::default() }, &Effective::default());
        assert_eq!(after, Choice { limits: SMALL, ..Choice::default() });
    }
}
