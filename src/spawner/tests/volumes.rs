//! Whose volumes are whose, and that a start and a reset never overtake each other. The engine's disks are played: each
//! knows when it was made, and notes whatever must never happen to it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use parking_lot::Mutex;

use super::*;
use crate::model::{ServerName, VolumeStem};
use crate::spawner::Settlement;

pub(super) const SUFFIXES: [&str; 2] = ["home", "cache"];
/// How often a removal gives way before it is done.
const STEPS_OF_A_REMOVAL: usize = 20;

/// The engine's volumes.
#[derive(Default)]
pub(super) struct Disks {
    /// By name; the number says which of that name it is.
    there: Mutex<BTreeMap<String, u64>>,
    made: AtomicUsize,
    mounted: Mutex<HashMap<ServerKey, VolumeStem>>,
    being_removed: Mutex<HashSet<String>>,
    /// What must never happen, and did.
    wrongs: Mutex<Vec<String>>,
    /// The first volume that is to be removed cannot be.
    is_stuck: std::sync::atomic::AtomicBool,
}

impl Disks {
    pub(super) fn mount(&self, order: &Order) {
        for suffix in SUFFIXES {
            let name = format!("{}_{suffix}", order.volumes);
            if self.being_removed.lock().contains(&name) {
                self.wrongs.lock().push(format!("{} starts while {name} is being removed", order.server));
            }
            let number = || self.made.fetch_add(1, Ordering::SeqCst) as u64;
            self.there.lock().entry(name).or_insert_with(number);
        }
        self.mounted.lock().insert(order.server.clone(), order.volumes.clone());
    }

    pub(super) fn unmount(&self, server: &ServerKey) {
        self.mounted.lock().remove(server);
    }

    pub(super) fn of(&self, stem: &VolumeStem) -> Vec<Volume> {
        let there = self.there.lock();
        let volume = |suffix: &str| Volume {
            suffix: suffix.into(),
            name: format!("{stem}_{suffix}"),
            mount: format!("/{suffix}"),
            label: None,
            description: String::new(),
            is_shared: false,
        };
        SUFFIXES.map(volume).into_iter().filter(|volume| there.contains_key(&volume.name)).collect()
    }

    pub(super) async fn remove(&self, stem: &VolumeStem, suffix: &str) -> Removal {
        let name = format!("{stem}_{suffix}");
        if !self.there.lock().contains_key(&name) {
            return Removal::Absent;
        }
        if self.is_stuck.swap(false, Ordering::SeqCst) {
            return Removal::InUse("the container other".into());
        }
        if self.mounted.lock().values().any(|mounted| mounted == stem) {
            self.wrongs.lock().push(format!("{name} is removed under a server"));
        }
        self.being_removed.lock().insert(name.clone());
        for _ in 0..STEPS_OF_A_REMOVAL {
            tokio::task::yield_now().await;
        }
        self.there.lock().remove(&name);
        self.being_removed.lock().remove(&name);
        Removal::Removed
    }

    pub(super) fn sizes(&self) -> HashMap<String, u64> {
        // Nobody knows the cache's.
        self.there.lock().keys().filter(|name| name.ends_with("_home")).map(|name| (name.clone(), 0)).collect()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.there.lock().get(name).copied()
    }

    fn names(&self) -> Vec<String> {
        self.there.lock().keys().cloned().collect()
    }

    fn nothing_is_wrong(&self) {
        assert_eq!(*self.wrongs.lock(), Vec::<String>::new());
    }
}

/// Chance that is the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

async fn give_way(times: u64) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

fn both() -> Vec<String> {
    SUFFIXES.map(str::to_owned).to_vec()
}

fn acts(world: &World) -> Vec<String> {
    let rows = world.stage.store.audit(10).expect("read");
    rows.into_iter().map(|row| format!("{} {} {}", row.actor, row.act, row.object)).collect()
}

async fn down(world: &World, server: &ServerKey) {
    world.spawner.stop(server, "t").await.expect("the wish is taken");
    world.until(server, |state| *state == ServerState::Stopped).await;
}

#[tokio::test]
async fn nobody_has_volumes_before_the_first_start_and_unknown_sizes_are_none() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    assert_eq!(world.spawner.volumes_of(&alice.user).await.expect("asked"), []);
    world.ready(&alice).await;
    let keeper = &world.spawner.volumes;
    keeper.look_at_sizes(PATIENCE).await;
    let listed = world.spawner.volumes_of(&alice.user).await.expect("asked");
    let sizes: Vec<_> = listed.iter().map(|each| (each.suffix.as_str(), each.size.map(|size| size.bytes))).collect();
    assert_eq!(sizes, [("home", Some(0)), ("cache", None)], "empty is not unknown, and the order is the settings'");
}

#[tokio::test]
async fn a_reset_is_written_down_before_and_after_and_tells_what_became_of_each() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    world.ready(&alice).await;
    let refused = world.spawner.reset_volumes(&alice.user, &both(), "t").await;
    assert!(matches!(refused, Err(SpawnerError::Running)));
    down(&world, &alice).await;
    world.stage.disks.is_stuck.store(true, Ordering::SeqCst);
    let outcomes = world.spawner.reset_volumes(&alice.user, &both(), "root").await.expect("asked");
    assert!(!outcomes[0].is_reset() && outcomes[1].is_reset(), "{outcomes:?}");
    assert_eq!(world.stage.disks.names(), ["alice_home"]);
    let said = acts(&world);
    let reason = "still used by the container other; try again in a moment";
    assert_eq!(said[0], format!("root reset volumes of alice: cache; not home ({reason})"));
    assert_eq!(said[1], "root resets volumes of alice: home, cache");
    let again = world.spawner.reset_volumes(&alice.user, &["cache".into()], "root").await.expect("asked");
    assert_eq!(again[0].outcome, crate::spawner::Outcome::Failed("not found".into()));
    assert_eq!(acts(&world)[0], said[0], "nothing went, so nothing is written");
}

#[tokio::test]
async fn an_engine_that_is_down_resets_nothing_and_leaves_no_trace() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    world.ready(&alice).await;
    down(&world, &alice).await;
    world.stage.is_down.store(true, Ordering::SeqCst);
    let before = acts(&world);
    let refused = world.spawner.reset_volumes(&alice.user, &both(), "t").await;
    assert!(matches!(refused, Err(SpawnerError::Engine(error)) if error.is_silence()));
    assert_eq!(acts(&world), before);
}

#[tokio::test]
async fn a_reset_goes_on_to_its_end_when_nobody_waits_for_it() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    world.ready(&alice).await;
    down(&world, &alice).await;
    let spawner = world.spawner.clone();
    let owner = alice.user.clone();
    let asked = tokio::spawn(async move { spawner.reset_volumes(&owner, &both(), "t").await });
    timeout(PATIENCE, async {
        while world.stage.disks.being_removed.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it begins");
    asked.abort();
    timeout(PATIENCE, async {
        while !world.stage.disks.names().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it goes on");
}

/// Trap 49: a start between «is it stopped?» and the removal.
#[tokio::test]
async fn start_stop_and_reset_in_200_orders_never_meet() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    let gpu = ServerKey { name: ServerName::parse("gpu").expect("a name"), ..alice.clone() };
    let mut dice = Dice(0x5117_3a41);
    let (mut resets, mut refusals, mut starts) = (0, 0, 0);
    for _ in 0..200 {
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let (spawner, what, wait) = (world.spawner.clone(), dice.below(4), dice.below(60));
            let server = if dice.below(4) == 0 { gpu.clone() } else { alice.clone() };
            tasks.push(tokio::spawn(async move {
                give_way(wait).await;
                match what {
                    0 | 1 => spawner.start(&server, Wish::of("t")).await.map(|_| "started").unwrap_or("refused"),
                    2 => spawner.stop(&server, "t").await.map(|_| "stopped").unwrap_or("refused"),
                    _ => match spawner.reset_volumes(&server.user, &both(), "t").await {
                        Ok(_) => "reset",
                        Err(SpawnerError::Running | SpawnerError::Stopping) => "refused",
                        Err(error) => panic!("{error}"),
                    },
                }
            }));
        }
        for task in tasks {
            match task.await.expect("it ends") {
                "reset" => resets += 1,
                "refused" => refusals += 1,
                "started" => starts += 1,
                _ => {}
            }
        }
        if dice.below(3) == 0 {
            down(&world, &alice).await;
        }
        world.stage.disks.nothing_is_wrong();
    }
    down(&world, &alice).await;
    world.stage.disks.nothing_is_wrong();
    assert!(resets > 10 && refusals > 10 && starts > 10, "{resets} resets, {refusals} refusals, {starts} starts");
}

#[tokio::test]
async fn a_renamed_account_keeps_its_volumes_whatever_starts_meanwhile() {
    let world = World::new(|_| {}).await;
    let (mut dice, mut now, mut next) = (Dice(77), user("alice"), user("carol"));
    world.ready(&now).await;
    let first = world.stage.disks.number("alice_home").expect("made");
    down(&world, &now).await;
    for _ in 0..20 {
        let (spawner, server, wait) = (world.spawner.clone(), now.clone(), dice.below(40));
        let start = tokio::spawn(async move {
            give_way(wait).await;
            spawner.start(&server, Wish::of("t")).await
        });
        give_way(dice.below(40)).await;
        match world.spawner.hold(&now.user).await {
            Ok(hold) => {
                let (from, to) = (now.user.clone(), next.user.clone());
                let renamed = world.stage.store.write(|t| {
                    t.rename_servers(&from, &to)?;
                    t.delete_user(&from)?;
                    t.put_user(&account(to.as_str()))
                });
                renamed.expect("a commit");
                hold.renamed(&next.user).await.expect("it is told");
                let _ = start.await.expect("it ends");
                // A wish that came after the end of the old name is for nobody.
                std::mem::swap(&mut now, &mut next);
            }
            Err(SpawnerError::Running) => {
                let _ = start.await.expect("it ends");
                down(&world, &now).await;
            }
            Err(error) => panic!("{error}"),
        }
        world.nothing_is_left_of(&next).await;
        world.ready(&now).await;
        assert_eq!(world.stage.disks.number("alice_home"), Some(first));
        assert_eq!(world.stage.disks.names(), ["alice_cache", "alice_home"]);
        down(&world, &now).await;
    }
    world.stage.disks.nothing_is_wrong();
}

#[tokio::test]
async fn who_gets_the_name_of_a_renamed_account_gets_volumes_of_another_name() {
    let world = World::new(|_| {}).await;
    let (alice, carol) = (user("alice"), user("carol"));
    world.ready(&alice).await;
    down(&world, &alice).await;
    let hold = world.spawner.hold(&alice.user).await.expect("held");
    let renamed = world.stage.store.write(|t| {
        t.rename_servers(&alice.user, &carol.user)?;
        t.put_user(&account("carol"))
    });
    renamed.expect("a commit");
    hold.renamed(&carol.user).await.expect("told");
    world.ready(&alice).await;
    world.ready(&carol).await;
    assert_eq!(world.stage.disks.names(), ["alice.2_cache", "alice.2_home", "alice_cache", "alice_home"]);
    assert_eq!(world.spawner.left_over_volumes(&alice.user).await.expect("asked"), [], "they are carol's");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_servers_of_an_account_may_start_at_once_and_share_its_volumes() {
    let world = World::new(|config| config.named_servers_per_user = NamedServers::AtMost(3)).await;
    for turn in 0..20 {
        let person = format!("u{turn}");
        world.stage.store.write(|t| t.put_user(&account(&person))).expect("a commit");
        let servers = ["", "one", "two", "three"].map(|name| {
            let named = ServerName::parse(name).expect("a name");
            ServerKey { name: named, ..user(&person) }
        });
        futures_util::future::join_all(servers.iter().map(|server| world.ready(server))).await;
        let stems: HashSet<_> = world.stage.orders.lock().drain(..).map(|order| order.volumes).collect();
        assert_eq!(stems, HashSet::from([VolumeStem::of(&servers[0].user)]), "turn {turn}");
    }
}

#[tokio::test]
async fn volumes_of_a_deleted_account_are_nobodys_until_an_administrator_has_decided() {
    for settlement in [Settlement::Give, Settlement::SetAside, Settlement::Delete] {
        let world = World::new(|_| {}).await;
        let alice = user("alice");
        world.ready(&alice).await;
        let first = world.stage.disks.number("alice_home").expect("made");
        world.stage.store.write(|t| t.delete_user(&alice.user)).expect("a commit");
        world.spawner.forget_user(&alice.user).await.expect("forgotten");
        world.stage.store.write(|t| t.put_user(&account("alice"))).expect("a commit");

        for _ in 0..2 {
            world.spawner.start(&alice, Wish::of("t")).await.expect("the wish is taken");
            let failed = world.until(&alice, |state| matches!(state, ServerState::Failed(_))).await;
            let ServerState::Failed(failure) = failed.state else { panic!("it failed") };
            assert!(
                failure.sentence.contains("alice_home") && failure.sentence.contains("administrator"),
                "{}",
                failure.sentence
            );
        }
        assert_eq!(world.spawner.volumes_of(&alice.user).await.expect("asked"), [], "they are not shown either");
        let reset = world.spawner.reset_volumes(&alice.user, &both(), "t").await.expect("asked");
        assert!(reset.iter().all(|each| !each.is_reset()));
        assert_eq!(world.spawner.left_over_volumes(&alice.user).await.expect("asked").len(), 2);

        world.spawner.settle_volumes(&alice.user, settlement, "root").await.expect("settled");
        world.ready(&alice).await;
        let home = world.stage.disks.number("alice_home");
        match settlement {
            Settlement::Give => assert_eq!(home, Some(first)),
            Settlement::SetAside => {
                assert_eq!((home, world.stage.disks.names().len()), (Some(first), 4));
                assert_eq!(world.stage.orders.lock().last().expect("one").volumes.as_str(), "alice.2");
            }
            Settlement::Delete => assert!(home.is_some_and(|home| home > first)),
        }
        assert!(
            acts(&world).iter().any(|act| act.starts_with("root ") && act.contains("left-over")),
            "{:?}",
            acts(&world)
        );
        world.stage.disks.nothing_is_wrong();
    }
}

#[tokio::test]
async fn a_setting_gives_what_is_left_over_without_a_question() {
    let world = World::new(|config| config.gives_left_over_volumes = true).await;
    world.stage.disks.there.lock().insert("alice_home".into(), 900);
    world.ready(&user("alice")).await;
    assert_eq!(world.stage.disks.number("alice_home"), Some(900));
}

#[tokio::test]
async fn accounts_that_had_servers_before_volumes_had_owners_keep_theirs() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    world.ready(&alice).await;
    down(&world, &alice).await;
    let first = world.stage.disks.number("alice_home");
    // As an older version left it: a server, and no row of volumes.
    world.stage.store.write(|t| t.forget_volumes_for_tests(&alice.user)).expect("a commit");
    let world = world.reopen().await;
    world.ready(&alice).await;
    assert_eq!((world.stage.disks.number("alice_home"), world.stage.disks.names().len()), (first, 2));
}

#[tokio::test]
async fn an_account_goes_with_its_volumes_whatever_starts_meanwhile() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    let mut dice = Dice(1234);
    for _ in 0..20 {
        world.ready(&alice).await;
        down(&world, &alice).await;
        let (spawner, server, wait) = (world.spawner.clone(), alice.clone(), dice.below(80));
        let start = tokio::spawn(async move {
            give_way(wait).await;
            spawner.start(&server, Wish::of("t")).await
        });
        give_way(dice.below(40)).await;
        let hold = loop {
            match world.spawner.hold(&alice.user).await {
                Ok(hold) => break hold,
                Err(SpawnerError::Running) => down(&world, &alice).await,
                Err(error) => panic!("{error}"),
            }
        };
        let outcomes = world.spawner.delete_volumes(&hold, "root").await.expect("asked");
        assert!(outcomes.iter().all(VolumeOutcome::is_reset));
        assert_eq!(world.stage.disks.names(), Vec::<String>::new());
        world.stage.store.write(|t| t.delete_user(&alice.user)).expect("a commit");
        world.spawner.forget_user(&alice.user).await.expect("forgotten");
        drop(hold);
        let _ = start.await.expect("it ends");
        world.nothing_is_left_of(&alice).await;
        assert_eq!(world.stage.disks.names(), Vec::<String>::new(), "no start has made them again");
        world.stage.disks.nothing_is_wrong();
        world.stage.store.write(|t| t.put_user(&account("alice"))).expect("a commit");
    }
}

/// Every first start asks whether somebody has the volumes of its name: by the rows of everybody it took 90 ms among
/// 100,000 accounts, and every start of anybody waited for it.
#[tokio::test]
async fn a_first_start_among_5_000_accounts_reads_no_more_than_among_two() {
    let world = World::new(|_| {}).await;
    // Reads in a process are not told apart by who makes them, so it is told by time: of many questions the quickest.
    let quickest = async || {
        let mut quickest = Duration::MAX;
        for _ in 0..20 {
            let began = Instant::now();
            let owned = world.stage.store.stem_is_owned(&user("alice").user, &VolumeStem::of(&user("alice").user));
            assert!(!owned.expect("read"));
            quickest = quickest.min(began.elapsed());
        }
        quickest
    };
    let among_few = quickest().await;
    let names: Vec<_> = (0..5_000).map(|number| user(&format!("many{number}")).user).collect();
    let rows = names.into_iter().map(|owner| store::VolumesRow { stem: VolumeStem::of(&owner), owner });
    let rows: Vec<_> = rows.collect();
    world.stage.store.write(|t| rows.iter().try_for_each(|row| t.put_volumes(row))).expect("a commit");
    let among_many = quickest().await;
    // All rows would be 5,000 times as much; a deeper tree is a little more.
    assert!(among_many < among_few * 50 + Duration::from_millis(1), "{among_few:?}, then {among_many:?}");
    world.ready(&user("alice")).await;
}
