//! What groups come to together, case by case and at random.

use proptest::prelude::*;

use super::*;
use crate::model::{CpuGrant, GpuGrant, MemoryGrant, VariableName, VolumeName};

const GB: u64 = 1 << 30;

fn name(text: &str) -> GroupName {
    GroupName::parse(text).expect("a name")
}

fn merged(groups: &[(&str, Grants)]) -> Effective {
    let groups: Vec<_> = groups.iter().map(|(group, grants)| (name(group), grants)).collect();
    let groups: Vec<_> = groups.iter().map(|(name, grants)| GroupGrants { name, grants }).collect();
    merge(&groups)
}

fn memory(gb: u64, swap_off: bool) -> Grants {
    Grants { memory: MemoryGrant { is_active: true, bytes: gb * GB, swap_off }, ..Grants::default() }
}

fn gpu(devices: GpuDevices) -> Grants {
    Grants { gpu: GpuGrant { is_active: true, devices, is_exclusive: false }, ..Grants::default() }
}

fn variable(text: &str, value: &str, priority: i32) -> Grants {
    let name = VariableName::parse(text).expect("a name");
    let variables = vec![GrantedVariable { name, value: value.into(), description: String::new() }];
    let environment = crate::model::EnvironmentGrant { is_active: true, variables };
    Grants { priority, environment, ..Grants::default() }
}

fn volume(volume: &str, mount: &str, priority: i32) -> Grants {
    let mounts = vec![VolumeGrant {
        volume: VolumeName::parse(volume).expect("a volume"),
        mount: MountPoint::parse(mount).expect("a mount point"),
        read_only: false,
    }];
    let volumes = crate::model::VolumesGrant { is_active: true, shared: None, mounts };
    Grants { priority, volumes, ..Grants::default() }
}

fn idle(after: Option<u32>, age: Option<u32>, extension: u32, stops_busy: bool) -> Grants {
    let idle = IdleGrant {
        is_active: true,
        idle_after_minutes: after,
        max_age_hours: age,
        extension_hours: extension,
        stops_busy_kernels: stops_busy,
    };
    Grants { idle, ..Grants::default() }
}

#[test]
fn of_idle_rules_each_part_is_the_most_generous_one() {
    let merged_idle = |groups: &[(&str, Grants)]| merged(groups).idle.map(|granted| (granted.value, granted.from));
    let strict = idle(Some(30), Some(8), 0, true);
    assert_eq!(merged_idle(&[("a", Grants::default())]), None, "the installation's settings hold");
    assert_eq!(merged_idle(&[("a", strict.clone())]), Some((strict.idle, vec![name("a")])));
    let (value, from) =
        merged_idle(&[("a", strict.clone()), ("b", idle(Some(60), Some(4), 12, false))]).expect("both say");
    assert_eq!(value, idle(Some(60), Some(8), 12, false).idle);
    assert_eq!(from, [name("a"), name("b")]);
    let never = idle(None, None, 0, true);
    assert_eq!(merged_idle(&[("a", strict.clone()), ("b", never.clone())]), Some((never.idle, vec![name("b")])));
    let off = Grants { idle: IdleGrant { is_active: false, ..never.idle }, ..Grants::default() };
    assert_eq!(merged_idle(&[("a", strict.clone()), ("b", off)]), Some((strict.idle, vec![name("a")])));
}

#[test]
fn nobody_without_groups_gets_anything() {
    assert!(merged(&[]).is_empty());
    assert!(merged(&[("a", Grants::default())]).is_empty());
}

#[test]
fn the_biggest_limit_wins_with_its_own_word_on_swap() {
    let granted = merged(&[("a", memory(4, true)), ("b", memory(8, false))]).memory.expect("a limit");
    assert_eq!(granted.value, GrantedMemory { bytes: 8 * GB, swap_off: false });
    assert_eq!(granted.from, [name("b")]);
}

#[test]
fn of_equal_limits_the_higher_priority_speaks_and_of_equal_priorities_the_first_name() {
    let high = Grants { priority: 1, ..memory(4, true) };
    assert!(merged(&[("a", memory(4, false)), ("b", high)]).memory.expect("a limit").value.swap_off);
    let equal = merged(&[("b", memory(4, false)), ("a", memory(4, true))]).memory.expect("a limit");
    assert_eq!((equal.value.swap_off, equal.from), (true, vec![name("a")]));
}

#[test]
fn a_limit_that_is_switched_off_lifts_no_other() {
    let off = Grants {
        priority: 9,
        memory: MemoryGrant { is_active: false, bytes: 64 * GB, swap_off: false },
        cpu: CpuGrant { is_active: false, cores: 64.0 },
        ..Grants::default()
    };
    let on = Grants { cpu: CpuGrant { is_active: true, cores: 2.0 }, ..memory(4, true) };
    let granted = merged(&[("off", off), ("on", on)]);
    assert_eq!(granted.memory.expect("a limit").value.bytes, 4 * GB);
    assert_eq!(granted.cpu_cores.expect("a limit").value, 2.0);
}

#[test]
fn all_gpus_win_over_some_and_some_add_up() {
    let chosen = |ids: &[&str]| gpu(GpuDevices::Chosen(ids.iter().map(|id| (*id).to_owned()).collect()));
    let all = merged(&[("a", chosen(&["0"])), ("b", gpu(GpuDevices::All))]).gpu.expect("GPUs");
    assert_eq!((all.value.devices, all.from), (GpuDevices::All, vec![name("b")]));
    let some = merged(&[("a", chosen(&["0", "2"])), ("b", chosen(&["1", "2"]))]).gpu.expect("GPUs");
    assert_eq!(some.value.devices, GpuDevices::Chosen(vec!["0".into(), "1".into(), "2".into()]));
    assert_eq!(some.from, [name("a"), name("b")]);
}

#[test]
fn a_variable_is_what_the_highest_priority_says() {
    let granted = merged(&[("a", variable("X", "low", 0)), ("b", variable("X", "high", 5))]);
    assert_eq!(granted.environment[0].value.value, "high");
    assert_eq!(granted.environment[0].from, [name("b")]);
}

#[test]
fn a_reserved_variable_is_not_given_even_if_it_was_stored() {
    assert!(merged(&[("a", variable("NB_UID", "0", 0))]).environment.is_empty());
}

#[test]
fn a_mount_point_and_a_volume_go_to_who_comes_first() {
    let same_place = merged(&[("a", volume("one", "/data", 0)), ("b", volume("two", "/data", 1))]);
    assert_eq!(same_place.volumes.len(), 1);
    assert_eq!(same_place.volumes[0].value.volume.as_str(), "two");
    let same_volume = merged(&[("a", volume("one", "/x", 0)), ("b", volume("one", "/y", 0))]);
    assert_eq!(same_volume.volumes.len(), 1);
    assert_eq!(same_volume.volumes[0].value.mount.as_str(), "/x");
}

fn any_grants() -> impl Strategy<Value = Grants> {
    let memory = (any::<bool>(), 1_u64..4, any::<bool>());
    let memory = memory.prop_map(|(is_active, gb, swap_off)| MemoryGrant { is_active, bytes: gb * GB, swap_off });
    let devices =
        prop_oneof![Just(GpuDevices::All), prop::collection::vec("[0-3]", 1..3).prop_map(GpuDevices::Chosen),];
    let gpu = (any::<bool>(), devices, any::<bool>());
    let gpu = gpu.prop_map(|(is_active, devices, is_exclusive)| GpuGrant { is_active, devices, is_exclusive });
    let variables = prop::sample::subsequence(vec!["A", "B", "C"], 0..3);
    let volumes = prop::sample::subsequence(vec![("v1", "/d1"), ("v1", "/d2"), ("v2", "/d1")], 0..2);
    (-2_i32..3, memory, gpu, variables, volumes, any::<bool>()).prop_map(
        |(priority, memory, gpu, variables, volumes, socket)| {
            let mut grants = Grants { priority, memory, gpu, ..Grants::default() };
            grants.cpu = CpuGrant { is_active: memory.is_active, cores: memory.bytes as f64 / GB as f64 };
            grants.docker = crate::model::DockerGrant { is_active: true, socket, privileged: !socket };
            for text in variables {
                let one = variable(text, &priority.to_string(), 0).environment;
                grants.environment.is_active = true;
                grants.environment.variables.extend(one.variables);
            }
            for (name, mount) in volumes {
                grants.volumes.is_active = true;
                grants.volumes.mounts.extend(volume(name, mount, 0).volumes.mounts);
            }
            grants
        },
    )
}

proptest! {
    #[test]
    fn the_order_in_which_groups_come_changes_nothing(
        all in prop::collection::vec(any_grants(), 0..5), turn in 0_usize..5,
    ) {
        let named: Vec<_> = ["a", "b", "c", "d", "e"].into_iter().zip(all).collect();
        let mut turned = named.clone();
        if !turned.is_empty() {
            let by = turn % turned.len();
            turned.rotate_left(by);
        }
        prop_assert_eq!(merged(&named), merged(&turned));
    }

    #[test]
    fn one_more_group_takes_nothing_away(all in prop::collection::vec(any_grants(), 1..5)) {
        let named: Vec<_> = ["a", "b", "c", "d", "e"].into_iter().zip(all).collect();
        let (more, fewer) = (merged(&named), merged(&named[1..]));
        let memory = |granted: &Effective| granted.memory.as_ref().map(|memory| memory.value.bytes);
        prop_assert!(memory(&more) >= memory(&fewer));
        prop_assert!(more.cpu_cores.map(|cores| cores.value) >= fewer.cpu_cores.map(|cores| cores.value));
        prop_assert!(more.gpu.is_some() >= fewer.gpu.is_some());
        prop_assert!(more.environment.len() >= fewer.environment.len());
        prop_assert!(more.docker_socket.len() >= fewer.docker_socket.len());
    }

    #[test]
    fn what_is_granted_names_a_group_that_grants_it(all in prop::collection::vec(any_grants(), 0..5)) {
        let named: Vec<_> = ["a", "b", "c", "d", "e"].into_iter().zip(all).collect();
        let effective = merged(&named);
        let grants_of = |group: &GroupName| named.iter().find(|(name, _)| *name == group.as_str()).map(|(_, g)| g);
        for granted in &effective.environment {
            let said = grants_of(&granted.from[0]).expect("a group");
            prop_assert!(said.environment.variables.contains(&granted.value));
        }
        for granted in &effective.volumes {
            let said = grants_of(&granted.from[0]).expect("a group");
            prop_assert!(said.volumes.mounts.contains(&granted.value));
        }
        let mut mounts: Vec<_> = effective.volumes.iter().map(|granted| &granted.value.mount).collect();
        let mut volumes: Vec<_> = effective.volumes.iter().map(|granted| &granted.value.volume).collect();
        mounts.dedup();
        volumes.sort();
        volumes.dedup();
        prop_assert_eq!((mounts.len(), volumes.len()), (effective.volumes.len(), effective.volumes.len()));
    }
}
