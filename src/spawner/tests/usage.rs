//! What servers use: an engine with meters that can be set, hang and break.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::*;
use crate::spawner::backend::{LayerSize, ProcessorReading, UsageReading};

/// What the engine shows of each server.
pub(super) struct Meters {
    readings: Mutex<HashMap<ServerKey, UsageReading>>,
    pub(super) layers: Mutex<HashMap<ServerKey, LayerSize>>,
    /// Of these it never says anything.
    hanging: Mutex<HashSet<ServerKey>>,
    /// Looks take one each; a closed gate holds them up.
    gate: Semaphore,
    looking: AtomicUsize,
    looks: AtomicUsize,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            readings: Mutex::default(),
            layers: Mutex::default(),
            hanging: Mutex::default(),
            gate: Semaphore::new(1_000),
            looking: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
        }
    }
}

impl Meters {
    pub(super) async fn usage_of(&self, server: &ServerKey) -> Result<Option<UsageReading>, BackendError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.looking.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.expect("never closed").forget();
        self.looking.fetch_sub(1, Ordering::SeqCst);
        if self.hanging.lock().contains(server) {
            std::future::pending::<()>().await;
        }
        Ok(self.readings.lock().get(server).copied())
    }

    /// After `core_s` seconds the server has had `used_s` of them.
    fn show(&self, server: &ServerKey, used_s: u64, core_s: u64) {
        let processor = ProcessorReading { used_ns: used_s * 1_000_000_000, core_ns: core_s * 1_000_000_000, cores: 8 };
        let reading = UsageReading { processor: Some(processor), memory_bytes: Some(7_000_000) };
        self.readings.lock().insert(server.clone(), reading);
    }
}

/// Nobody looks but the test.
async fn world() -> World {
    World::new(|config| (config.usage_interval_s, config.layer_sizes_interval_s) = (100_000, 0)).await
}

impl World {
    async fn look(&self, server: &ServerKey) {
        self.spawner.usage.look_at_all(vec![server.clone()]).await;
    }
}

#[tokio::test]
async fn two_looks_say_how_busy_a_server_is() {
    let world = world().await;
    let alice = user("alice");
    world.ready(&alice).await;
    assert_eq!(world.spawner.usage_of(&alice), None, "nobody has looked yet");
    world.stage.meters.show(&alice, 100, 10);
    world.look(&alice).await;
    let first = world.spawner.usage_of(&alice).expect("looked at");
    assert_eq!((first.cpu_cores, first.memory_bytes), (None, Some(7_000_000)));
    world.stage.meters.show(&alice, 115, 20);
    world.look(&alice).await;
    assert_eq!(world.spawner.usage_of(&alice).and_then(|sample| sample.cpu_cores), Some(1.5));
    let totals = world.spawner.usage_totals();
    assert_eq!((totals.cpu_cores, totals.memory_bytes, totals.servers), (1.5, 7_000_000, 1));
    assert_eq!(totals.layer_bytes, None);
}

#[tokio::test]
async fn a_server_that_was_made_anew_does_not_inherit_a_figure() {
    let world = world().await;
    let alice = user("alice");
    world.ready(&alice).await;
    world.stage.meters.show(&alice, 100, 10);
    world.look(&alice).await;
    // Its program was restarted: the counters begin again.
    world.stage.meters.show(&alice, 1, 20);
    world.look(&alice).await;
    assert_eq!(world.spawner.usage_of(&alice).expect("looked at").cpu_cores, None);
    // The container is gone: what was known of it is.
    world.stage.meters.readings.lock().clear();
    world.look(&alice).await;
    assert_eq!(world.spawner.usage_of(&alice), None);
}

#[tokio::test]
async fn a_stopped_server_uses_nothing_that_is_known() {
    let world = world().await;
    let alice = user("alice");
    world.ready(&alice).await;
    world.stage.meters.show(&alice, 100, 10);
    world.look(&alice).await;
    world.stage.meters.layers.lock().insert(alice.clone(), LayerSize { written_bytes: 5, whole_bytes: None });
    world.spawner.usage.look_at_layers().await;
    assert_eq!(world.spawner.layer_of(&alice).map(|size| size.written_bytes), Some(5));
    assert_eq!(world.spawner.layers().len(), 1);
    world.spawner.stop(&alice, "test").await.expect("taken");
    world.until(&alice, |state| *state == ServerState::Stopped).await;
    assert_eq!((world.spawner.usage_of(&alice), world.spawner.layer_of(&alice)), (None, None));
    assert!(world.spawner.usage().is_empty() && world.spawner.layers().is_empty());
}

#[tokio::test]
async fn no_more_are_looked_at_at_once_than_the_setting_says() {
    let world = World::new(|config| (config.usage_interval_s, config.usage_at_once) = (100_000, 2)).await;
    let servers: Vec<_> = (0..5).map(|number| user(&format!("u{number}"))).collect();
    for server in &servers {
        world.ready(server).await;
        world.stage.meters.show(server, 1, 1);
    }
    let meters = &world.stage.meters;
    meters.gate.forget_permits(1_000);
    let looks = world.spawner.usage.look_at_all(servers.clone());
    let watch = async {
        while meters.looking.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        // A third one would have come by now.
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert!(meters.looking.load(Ordering::SeqCst) <= 2);
        }
        meters.gate.add_permits(1_000);
    };
    tokio::join!(looks, watch);
    assert_eq!(world.spawner.usage().len(), 5);
}

#[tokio::test]
async fn servers_that_never_answer_keep_nobody_from_being_looked_at_and_end_the_round() {
    let world = world().await;
    let servers: Vec<_> = (0..7).map(|number| user(&format!("u{number}"))).collect();
    for server in &servers {
        world.ready(server).await;
        world.stage.meters.show(server, 1, 1);
    }
    world.stage.meters.hanging.lock().insert(servers[0].clone());
    tokio::time::pause();
    world.spawner.usage.look_at_all(servers.clone()).await;
    assert_eq!(world.spawner.usage().len(), 6, "all but the one that hangs");
    world.stage.meters.hanging.lock().extend(servers.iter().cloned());
    world.stage.meters.looks.store(0, Ordering::SeqCst);
    world.spawner.usage.look_at_all(servers.clone()).await;
    assert!(world.stage.meters.looks.load(Ordering::SeqCst) < 7, "an engine with other worries is left alone");
    assert_eq!(world.spawner.usage().len(), 6, "what was known a moment ago still is");
}

#[tokio::test]
async fn what_is_known_is_believed_for_some_turns_and_then_unknown() {
    let world = World::new(|config| config.usage_interval_s = 10).await;
    let alice = user("alice");
    world.ready(&alice).await;
    world.stage.meters.show(&alice, 1, 1);
    world.look(&alice).await;
    world.stage.is_down.store(true, Ordering::SeqCst);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(170)).await;
    assert!(world.spawner.usage_of(&alice).is_some());
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(world.spawner.usage_of(&alice), None);
}
