//! Stories of lazy containers, with an engine that the test leads and a real socket as what the container listens on.

use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::*;

/// Says what the engine says; keeps what it was asked.
#[derive(Default)]
struct Led {
    asked: Mutex<Vec<String>>,
    runs: AtomicBool,
    exit_code: AtomicI64,
    /// A start waits for it.
    may_start: Notify,
    waits: AtomicBool,
}

#[async_trait]
impl Engine for Led {
    async fn start(&self, id: &str) -> Result<(), EngineError> {
        self.asked.lock().push(format!("start {id}"));
        if self.waits.load(Ordering::SeqCst) {
            self.may_start.notified().await;
        }
        self.runs.store(self.exit_code.load(Ordering::SeqCst) == 0, Ordering::SeqCst);
        Ok(())
    }

    async fn stop(&self, id: &str, _grace: Duration) -> Result<(), EngineError> {
        self.asked.lock().push(format!("stop {id}"));
        self.runs.store(false, Ordering::SeqCst);
        Ok(())
    }

    async fn look(&self, _id: &str) -> Result<Fact, EngineError> {
        let code = self.exit_code.load(Ordering::SeqCst);
        Ok(if self.runs.load(Ordering::SeqCst) { Fact::Running } else { Fact::Exited { code } })
    }

    async fn last_lines(&self, _id: &str) -> Vec<String> {
        vec!["it said this".to_owned()]
    }
}

struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    lazy: Lazy,
    engine: Arc<Led>,
    clock: Arc<ManualClock>,
    addresses: Addresses,
    _listener: TcpListener,
}

impl World {
    async fn new(config: Config) -> Self {
        let (engine, clock) = (Arc::<Led>::default(), Arc::new(ManualClock(AtomicI64::new(1_000))));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let addresses: Addresses = {
            let engine = engine.clone();
            // As the table: an address as long as the container runs.
            Arc::new(move || if engine.runs.load(Ordering::SeqCst) { vec![address] } else { vec![] })
        };
        let lazy = Lazy::new(config, engine.clone(), clock.clone(), Tasks::new(Handle::current()));
        Self { lazy, engine, clock, addresses, _listener: listener }
    }

    async fn ask(&self, is_held: bool) -> Found {
        self.lazy.ask(&container(), self.addresses.clone(), is_held).await
    }

    fn asked(&self) -> Vec<String> {
        self.engine.asked.lock().clone()
    }

    async fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
        self.lazy.stop_if_idle(&container()).await;
    }
}

fn container() -> LazyContainer {
    LazyContainer { id: "c1".into(), name: "report".into(), idle_after: IdleAfter::Time(Duration::from_secs(60)) }
}

#[tokio::test]
async fn however_many_ask_it_is_started_once_and_all_who_wait_get_it() {
    let world = World::new(Config::default()).await;
    let found = futures_util::future::join_all((0..50).map(|_| world.ask(true))).await;
    assert!(found.iter().all(|found| matches!(found, Found::Awake(_))));
    assert_eq!(world.asked(), ["start c1"]);
    assert!(matches!(world.ask(false).await, Found::Awake(_)));
    assert_eq!(world.asked(), ["start c1"]);
}

#[tokio::test]
async fn who_does_not_wait_hears_how_far_it_is() {
    let world = World::new(Config::default()).await;
    world.engine.waits.store(true, Ordering::SeqCst);
    assert!(matches!(world.ask(false).await, Found::Starting { .. }));
    assert!(matches!(world.lazy.state(&container()), State::Starting { .. }));
    world.engine.may_start.notify_one();
    assert!(matches!(world.ask(true).await, Found::Awake(_)));
}

#[tokio::test]
async fn one_that_ends_is_told_of_with_its_last_lines_and_tried_again_later() {
    let config = Config { failure_shown_s: 0, ..Config::default() };
    for (config, starts) in [(Config::default(), 1), (config, 2)] {
        let world = World::new(config).await;
        world.engine.exit_code.store(3, Ordering::SeqCst);
        let Found::Failed(failed) = world.ask(true).await else { panic!("it cannot be awake") };
        assert_eq!(failed.reason, "it ended with exit code 3");
        assert_eq!(failed.log, ["it said this"]);
        let again = world.ask(true).await;
        assert!(matches!(again, Found::Failed(_)));
        assert_eq!(world.asked().len(), starts);
    }
}

#[tokio::test]
async fn it_stops_when_nobody_has_used_it_for_a_while_and_not_while_a_websocket_is_open() {
    let world = World::new(Config::default()).await;
    let Found::Awake(guard) = world.ask(true).await else { panic!("it starts") };
    world.pass(3_600).await;
    assert_eq!(world.asked(), ["start c1"], "somebody uses it");
    drop(guard);
    world.pass(59).await;
    assert_eq!(world.asked(), ["start c1"], "a minute has not passed");
    world.pass(1).await;
    assert_eq!(world.asked(), ["start c1", "stop c1"]);
    assert!(matches!(world.ask(true).await, Found::Awake(_)));
    assert_eq!(world.asked(), ["start c1", "stop c1", "start c1"]);
}

#[tokio::test]
async fn one_that_somebody_else_has_stopped_is_started_again() {
    let world = World::new(Config::default()).await;
    assert!(matches!(world.ask(true).await, Found::Awake(_)));
    world.engine.runs.store(false, Ordering::SeqCst);
    assert!(matches!(world.ask(true).await, Found::Awake(_)));
    assert_eq!(world.asked(), ["start c1", "start c1"]);
}

#[tokio::test]
async fn a_container_that_does_not_say_when_is_stopped_after_the_usual_time_and_one_that_says_never_is_not() {
    for (idle_after, expected) in [(IdleAfter::Usual, 2), (IdleAfter::Never, 1)] {
        let world = World::new(Config { idle_after_s: 600, ..Config::default() }).await;
        let container = LazyContainer { idle_after, ..container() };
        assert!(matches!(world.lazy.ask(&container, world.addresses.clone(), true).await, Found::Awake(_)));
        for (seconds, stops) in [(599, 1), (1, expected)] {
            world.clock.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
            world.lazy.stop_if_idle(&container).await;
            assert_eq!(world.asked().len(), stops, "{idle_after:?}: {:?}", world.asked());
        }
    }
}

#[test]
fn nobody_is_idle_who_is_in_use_or_whose_clock_was_set_back() {
    let (now, long_ago) = (Timestamp(i64::MAX), Timestamp(0));
    assert!(is_idle(now, long_ago, 0, Duration::from_secs(1)));
    assert!(!is_idle(now, long_ago, 1, Duration::from_secs(1)));
    assert!(!is_idle(long_ago, now, 0, Duration::from_secs(1)), "a clock that was set back makes nobody idle");
}
