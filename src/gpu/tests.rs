//! Recorded inventories, and what servers get of them.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;

use super::*;
use crate::model::UserName;
use inventory::Known;

struct MovedClock(AtomicI64);

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

fn clock() -> Arc<MovedClock> {
    Arc::new(MovedClock(AtomicI64::new(1_000_000)))
}

fn server(name: &str) -> ServerKey {
    ServerKey::default_of(UserName::parse(name).expect("a name"))
}

fn gpu(index: u32, name: &str, memory_gib: u64) -> Gpu {
    Gpu {
        index,
        name: Some(name.into()),
        uuid: Some(format!("GPU-0000000{index}-aaaa")),
        memory_total_bytes: Some(memory_gib << 30),
        memory_used_bytes: Some(1 << 30),
        utilisation_percent: Some(3),
        temperature_c: Some(41),
        is_partitioned: Some(false),
        processes: Some(vec![]),
    }
}

fn eight_a100() -> Vec<Gpu> {
    (0..8).map(|index| gpu(index, "NVIDIA A100-SXM4-80GB", 80)).collect()
}

fn one_h200() -> Vec<Gpu> {
    vec![gpu(0, "NVIDIA H200", 141)]
}

/// As Windows' subsystem shows it: one device, neither temperature nor processes.
fn windows() -> Vec<Gpu> {
    let unknown = Gpu { temperature_c: None, processes: None, is_partitioned: None, ..gpu(0, "GeForce RTX 4090", 24) };
    vec![unknown]
}

/// One card in instances: it has no load of its own.
fn partitioned() -> Vec<Gpu> {
    let cut = Gpu { utilisation_percent: None, is_partitioned: Some(true), ..gpu(0, "NVIDIA A100-PCIE-40GB", 40) };
    vec![cut, gpu(1, "NVIDIA A100-PCIE-40GB", 40)]
}

fn uuid(index: u32) -> String {
    format!("GPU-0000000{index}-aaaa")
}

fn all() -> GrantedGpu {
    GrantedGpu { devices: GpuDevices::All, is_exclusive: false }
}

fn chosen(ids: &[&str]) -> GrantedGpu {
    GrantedGpu { devices: GpuDevices::Chosen(ids.iter().map(|id| (*id).to_owned()).collect()), is_exclusive: false }
}

fn alone(grant: GrantedGpu) -> GrantedGpu {
    GrantedGpu { is_exclusive: true, ..grant }
}

/// A host with these, whose engine can give them.
fn host(config: Config, gpus: Vec<Gpu>) -> (Gpus, Arc<MovedClock>) {
    let clock = clock();
    let host = Gpus::new(config, Arc::new(NoGpus), clock.clone());
    host.note(Ok(gpus));
    host.engine_says(Some(EngineGives::Each));
    (host, clock)
}

fn given(host: &Gpus, name: &str, grant: Option<&GrantedGpu>, rules: &Rules) -> Devices {
    match host.ask(&server(name), grant, rules) {
        Answer::Given(held) => host.devices(&held),
        Answer::Wait(sentence) => panic!("{name} waits: {sentence}"),
    }
}

const GROUPS_GRANT: Rules = Rules { has_grants: true, set_aside: vec![] };

#[test]
fn what_a_grant_comes_to_on_recorded_hosts() {
    let check = |gpus: Vec<Gpu>, grant: &GrantedGpu, expected: Devices| {
        let (host, _) = host(Config::default(), gpus.clone());
        assert_eq!(given(&host, "alice", Some(grant), &GROUPS_GRANT), expected, "{grant:?} of {gpus:?}");
    };
    check(eight_a100(), &all(), Devices::All);
    check(eight_a100(), &chosen(&["0", &uuid(5)]), Devices::Ids(vec![uuid(0), uuid(5)]));
    check(eight_a100(), &chosen(&["9", "GPU-gone"]), Devices::None);
    check(eight_a100(), &chosen(&["2", "9"]), Devices::Ids(vec![uuid(2)]));
    check(eight_a100(), &alone(all()), Devices::Ids(vec![uuid(0)]));
    check(eight_a100(), &alone(chosen(&["3", "4"])), Devices::Ids(vec![uuid(3)]));
    check(one_h200(), &all(), Devices::All);
    check(one_h200(), &chosen(&[&uuid(0)]), Devices::All);
    check(one_h200(), &alone(all()), Devices::Ids(vec![uuid(0)]));
    check(windows(), &all(), Devices::All);
    check(partitioned(), &chosen(&["0"]), Devices::Ids(vec![uuid(0)]));
    check(vec![], &all(), Devices::None);
    check(vec![], &alone(all()), Devices::None);
    // One that has no name for good is nobody's.
    check(vec![Gpu { uuid: None, ..gpu(0, "odd", 1) }], &all(), Devices::None);
}

#[test]
fn an_engine_that_knows_no_single_ones_gives_all() {
    let (host, _) = host(Config::default(), windows());
    host.engine_says(Some(EngineGives::AllOrNothing));
    assert_eq!(given(&host, "alice", Some(&chosen(&["0"])), &GROUPS_GRANT), Devices::All);
    assert_eq!(given(&host, "bob", Some(&chosen(&["7"])), &GROUPS_GRANT), Devices::None);
}

#[test]
fn the_setting_the_driver_and_the_engine_must_agree() {
    let eight = Inventory { at: Timestamp(0), gpus: eight_a100() };
    let (fresh, unknown) = (Known::Fresh(&eight), Known::Unknown);
    let gives = |enable, known, engine| decide::decide(enable, known, engine, Some(&all())) != decide::Wanted::Nothing;
    for known in [fresh, unknown, Known::NoLibrary] {
        assert!(!gives(Enable::Off, known, true));
        assert!(!gives(Enable::On, known, false), "the engine would refuse the whole container");
        assert!(!gives(Enable::Detect, known, false));
    }
    assert!(gives(Enable::On, fresh, true) && gives(Enable::Detect, fresh, true));
    assert!(gives(Enable::On, Known::NoLibrary, true), "the engine's word is enough");
    assert!(!gives(Enable::Detect, Known::NoLibrary, true));
    assert!(!gives(Enable::On, unknown, true) && !gives(Enable::Detect, unknown, true));
    let one = alone(all());
    let alone = decide::decide(Enable::On, Known::NoLibrary, true, Some(&one));
    assert_eq!(alone, decide::Wanted::Nothing, "what nobody can name is nobody's alone");
}

/// Trap 23: a dead driver and an old inventory crashed every start.
#[test]
fn what_was_seen_long_ago_is_not_given_and_nothing_fails() {
    let (host, clock) = host(Config::default(), eight_a100());
    let grant = all();
    let with = || given(&host, "alice", Some(&grant), &GROUPS_GRANT);
    assert_eq!(with(), Devices::All);
    clock.0.fetch_add(90_000, Ordering::Relaxed);
    assert_eq!(with(), Devices::All);
    host.note(Err(LookError::Slow { limit: Duration::from_secs(10) }));
    assert_eq!(with(), Devices::All, "one failed look among good ones");
    clock.0.fetch_add(1, Ordering::Relaxed);
    assert_eq!(with(), Devices::None);
    assert!(!host.overview().is_fresh);
    assert_eq!(host.overview().sight.inventory().map(|inventory| inventory.gpus.len()), Some(8));
    host.note(Ok(eight_a100()));
    assert_eq!(with(), Devices::All);
}

#[test]
fn everybody_gets_all_until_the_first_group_grants_some() {
    let (everybody, _) = host(Config::default(), eight_a100());
    assert_eq!(given(&everybody, "alice", None, &Rules::default()), Devices::All);
    assert_eq!(given(&everybody, "alice", None, &GROUPS_GRANT), Devices::None);
    let (nobody, _) = host(Config { everybody: false, ..Config::default() }, eight_a100());
    assert_eq!(given(&nobody, "alice", None, &Rules::default()), Devices::None);
}

#[test]
fn what_is_set_aside_for_one_alone_is_shared_with_nobody() {
    let (host, _) = host(Config::default(), eight_a100());
    let aside = vec![GpuDevices::Chosen(vec!["0".into(), "1".into()])];
    let rules = Rules { has_grants: true, set_aside: aside.clone() };
    let others: Vec<_> = (2..8).map(uuid).collect();
    assert_eq!(given(&host, "bob", Some(&all()), &rules), Devices::Ids(others));
    let mine = GrantedGpu { devices: aside[0].clone(), is_exclusive: true };
    assert_eq!(given(&host, "alice", Some(&mine), &rules), Devices::Ids(vec![uuid(0)]));
    assert_eq!(given(&host, "carol", Some(&mine), &rules), Devices::Ids(vec![uuid(1)]));
    let wait = host.ask(&server("dan"), Some(&mine), &rules);
    assert_eq!(wait, Answer::Wait("Waiting for a GPU, place 1 of 1".into()));
    host.release(&server("alice"));
    assert_eq!(given(&host, "dan", Some(&mine), &rules), Devices::Ids(vec![uuid(0)]));
}

#[test]
fn the_same_news_is_said_once() {
    let none = || Err(LookError::NoLibrary { reason: "libnvidia-ml.so.1: cannot open".into() });
    let now = Timestamp(0);
    let first = Sight::Nothing.after(none(), now);
    assert!(first.news(&Sight::Nothing).is_some_and(|text| text.contains("no graphics processors")));
    assert_eq!(first.after(none(), now).news(&first), None);
    let seen = first.after(Ok(one_h200()), now);
    assert_eq!(seen.news(&first).as_deref(), Some("1 graphics processors found: NVIDIA H200"));
    assert_eq!(seen.after(Ok(one_h200()), now).news(&seen), None);
}

/// A driver that hangs until it is let go.
struct Hanging(Mutex<mpsc::Receiver<()>>, std::sync::atomic::AtomicUsize);

impl Look for Hanging {
    fn look(&self) -> Result<Vec<Gpu>, LookError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let _ = self.0.lock().recv();
        Ok(one_h200())
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_hangs_holds_up_nothing_and_is_asked_by_one_alone() {
    let (let_go, gate) = mpsc::channel();
    let driver = Arc::new(Hanging(Mutex::new(gate), 0.into()));
    let host = Gpus::new(Config::default(), driver.clone(), clock());
    host.engine_says(Some(EngineGives::Each));
    let stop = CancellationToken::new();
    let sampling = tokio::spawn(host.clone().sample(stop.clone()));
    while driver.1.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let failed = async {
        while !matches!(host.overview().sight, Sight::Failed { .. }) {
            tokio::time::advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
        }
    };
    failed.await;
    assert_eq!(given(&host, "alice", Some(&all()), &GROUPS_GRANT), Devices::None);
    tokio::time::advance(Duration::from_secs(3_600)).await;
    assert_eq!(driver.1.load(Ordering::Relaxed), 1);
    drop(let_go);
    stop.cancel();
    assert!(sampling.await.is_ok());
}

#[test]
fn a_host_without_a_driver_says_so() {
    match Nvml::default().look() {
        Ok(gpus) => assert!(gpus.iter().all(|gpu| gpu.uuid.is_some()), "a host with one: {gpus:?}"),
        Err(LookError::NoLibrary { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}
