//! Idle servers with a real store, a real driver and real routes; the keeper's looks are taken by hand.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::model::{IdleRules, IdleWhy};
use crate::spawner::idle::{Idle, Keeper};

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

fn stops_after(idle: Duration) -> impl FnOnce(&mut Config) {
    move |config| {
        config.idle.rules.idle_after = Some(idle);
        config.idle.warn_before = Duration::ZERO;
    }
}

fn hours(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).expect("some")
}

impl World {
    /// One look of the keeper, and until the loop has read what comes of it.
    async fn keeper_looks(&self) {
        let spawner = &self.spawner;
        let keeper = Keeper {
            board: spawner.board.clone(),
            rows: Rows(self.stage.store.clone()),
            mail: spawner.mail.clone(),
            gpus: Arc::new(NoGpus),
        };
        spawner.idle.look_round(&keeper).await;
        self.pass(Duration::ZERO).await;
    }

    async fn note_watch(&self) {
        self.spawner.idle.note_watch(&Rows(self.stage.store.clone())).await;
    }

    /// Waits until a crash would lose no use of a server: `activity` looks after it again and again.
    async fn activity_is_stored(&self) {
        let resolution = Duration::from_secs(self.config.activity_resolution_s);
        let stored = timeout(PATIENCE, async {
            while !self.spawner.board.unstored_activity(resolution).is_empty() {
                tokio::task::yield_now().await;
            }
        });
        stored.await.expect("it is written down");
    }

    async fn is_down(&self, server: &ServerKey) {
        self.until(server, |state| *state == ServerState::Stopped).await;
    }

    fn runs(&self, server: &ServerKey) -> bool {
        self.spawner.status(server).state == ServerState::Ready
    }

    /// What the audit holds of idle servers, oldest first.
    fn idle_acts(&self) -> Vec<(String, String)> {
        let rows = self.stage.store.audit(1_000).expect("readable").into_iter().rev();
        rows.filter(|row| row.act.contains("idle") || row.act.contains("age")).map(|row| (row.actor, row.act)).collect()
    }

    /// Asks with this answer from now on.
    fn kernels_say(&self, busy: Arc<parking_lot::Mutex<Option<bool>>>) {
        let (board, clock) = (self.spawner.board.clone(), self.clock.clone());
        self.spawner.idle.ask_with(Arc::new(move |server| {
            board.note_kernels(&server, *busy.lock(), clock.now());
            Box::pin(async {})
        }));
    }
}

#[tokio::test]
async fn an_idle_server_is_stopped_once_and_the_audit_says_why() {
    let world = World::new(stops_after(HOUR)).await;
    let (alice, bob) = (user("alice"), user("bob"));
    world.ready(&alice).await;
    world.ready(&bob).await;
    world.pass(HOUR - MINUTE).await;
    world.spawner.note_activity(&bob, ActivitySource::Terminal, world.clock.now());
    world.keeper_looks().await;
    assert!(world.runs(&alice) && world.runs(&bob));
    world.pass(MINUTE).await;
    world.keeper_looks().await;
    world.keeper_looks().await;
    world.is_down(&alice).await;
    assert!(world.runs(&bob));
    let acts = world.idle_acts();
    let [(actor, act)] = acts.as_slice() else { panic!("{acts:?}") };
    assert_eq!(actor, "slipway");
    assert!(act.starts_with("stopped idle server: last used (") && act.ends_with("limit 60 min"), "{act}");
    let figures = world.spawner.idle_figures();
    assert_eq!((figures.stopped_idle, figures.stopped_age), (1, 0));
    assert_eq!(world.spawner.idle_view(&alice), None);
}

#[tokio::test]
async fn activity_between_the_look_and_the_stop_wins() {
    let world = World::new(stops_after(HOUR)).await;
    let alice = user("alice");
    let generation = world.ready(&alice).await.generation;
    world.pass(HOUR).await;
    let spawner = &world.spawner;
    spawner.board.note_kernels(&alice, Some(false), world.clock.now());
    assert!(spawner.idle.reason_to_stop(&spawner.board, &alice).is_some());
    // The letter is on its way.
    let route = world.tokens.routes.current().get(&alice.route_key(&root())).cloned().expect("a route");
    route.touch(ActivitySource::Request, world.clock.now());
    world.spawner.mail.send(Mail::StopIdle(alice.clone(), generation)).await.map_err(|_| "closed").expect("taken");
    world.pass(Duration::ZERO).await;
    assert!(world.runs(&alice));
    // Nor does a letter of an earlier start end a later one.
    world.pass(HOUR).await;
    world.spawner.stop(&alice, "alice").await.expect("taken");
    world.is_down(&alice).await;
    world.ready(&alice).await;
    world.pass(HOUR).await;
    world.spawner.board.note_kernels(&alice, Some(false), world.clock.now());
    world.spawner.mail.send(Mail::StopIdle(alice.clone(), generation)).await.map_err(|_| "closed").expect("taken");
    world.pass(Duration::ZERO).await;
    assert!(world.runs(&alice));
}

#[tokio::test]
async fn a_busy_kernel_keeps_its_server_as_long_as_it_is_busy() {
    let world = World::new(stops_after(HOUR)).await;
    let busy = Arc::new(parking_lot::Mutex::new(Some(true)));
    world.kernels_say(busy.clone());
    let alice = user("alice");
    world.ready(&alice).await;
    for _ in 0..5 {
        world.pass(HOUR).await;
        world.keeper_looks().await;
        assert!(world.runs(&alice));
    }
    let view = world.spawner.idle_view(&alice).expect("it runs");
    assert!(view.busy_kernel);
    assert_eq!(view.last.map(|(source, _)| source), Some(ActivitySource::Kernel));
    *busy.lock() = Some(false);
    world.pass(HOUR).await;
    world.keeper_looks().await;
    world.is_down(&alice).await;
    assert!(world.idle_acts()[0].1.contains("(busy kernel)"), "{:?}", world.idle_acts());
}

#[tokio::test]
async fn an_extension_is_written_down_survives_us_and_ends_with_the_server() {
    let world = World::new(stops_after(HOUR)).await;
    let alice = user("alice");
    assert!(matches!(world.spawner.extend(&alice, hours(1), "alice").await, Err(ExtendError::NotRunning)));
    world.ready(&alice).await;
    let extended = world.spawner.extend(&alice, hours(3), "alice").await.expect("offered");
    assert_eq!((extended.truncated, extended.view.remaining), (false, Some(4 * HOUR)));
    let row = world.stage.store.server(&alice).expect("readable").expect("there is one");
    assert!(row.extended.is_some());
    let acts = world.idle_acts();
    assert!(
        matches!(acts.as_slice(), [(by, act)] if by == "alice" && act.starts_with("extended idle server to ")),
        "{acts:?}"
    );
    world.note_watch().await;

    let world = world.reopen().await;
    world.until(&alice, |state| *state == ServerState::Ready).await;
    world.pass(4 * HOUR - MINUTE).await;
    world.keeper_looks().await;
    assert!(world.runs(&alice));
    // A restart in the same container keeps it, and is use.
    world.spawner.restart(&alice, "alice").await.expect("accepted");
    world.until(&alice, |state| *state == ServerState::Ready).await;
    let row = world.stage.store.server(&alice).expect("readable").expect("there is one");
    assert!(row.extended.is_some());
    assert_eq!(world.spawner.idle_view(&alice).and_then(|view| view.remaining), Some(HOUR));

    world.spawner.stop(&alice, "alice").await.expect("taken");
    world.is_down(&alice).await;
    world.ready(&alice).await;
    assert_eq!(world.spawner.idle_view(&alice).and_then(|view| view.remaining), Some(HOUR), "a new start has none");
    let row = world.stage.store.server(&alice).expect("readable").expect("there is one");
    assert_eq!(row.extended, None);
}

#[tokio::test]
async fn extensions_end_at_the_ceiling() {
    let world = World::new(|config| {
        stops_after(HOUR)(config);
        config.idle.rules.extension_at_most = 2 * HOUR;
    });
    let world = world.await;
    let alice = user("alice");
    world.ready(&alice).await;
    assert_eq!(world.spawner.idle_view(&alice).map(|view| view.offered_hours), Some(2));
    let extended = world.spawner.extend(&alice, hours(9), "alice").await.expect("offered");
    assert_eq!((extended.truncated, extended.view.remaining, extended.view.offered_hours), (true, Some(3 * HOUR), 0));
    assert!(matches!(world.spawner.extend(&alice, hours(1), "alice").await, Err(ExtendError::AtCeiling)));
    assert_eq!(world.spawner.idle_figures().extended, 1);
    let off = World::new(|_| {}).await;
    off.ready(&alice).await;
    assert!(matches!(off.spawner.extend(&alice, hours(1), "alice").await, Err(ExtendError::Off)));
}

#[tokio::test]
async fn the_owner_is_warned_once_and_the_end_comes_as_told() {
    let world = World::new(|config| {
        stops_after(HOUR)(config);
        config.idle.warn_before = 10 * MINUTE;
    });
    let world = world.await;
    let mut warnings = world.spawner.idle_warnings();
    let alice = user("alice");
    world.ready(&alice).await;
    world.pass(50 * MINUTE).await;
    world.keeper_looks().await;
    world.keeper_looks().await;
    let warning = warnings.try_recv().expect("a warning");
    assert_eq!((&warning.server, warning.why), (&alice, IdleWhy::Idle));
    assert_eq!(warning.deadline, world.clock.now().plus(10 * MINUTE));
    assert!(warnings.try_recv().is_err(), "once");
    world.pass(10 * MINUTE).await;
    world.keeper_looks().await;
    world.is_down(&alice).await;
}

#[tokio::test]
async fn a_weekend_without_us_stops_nobody_on_monday() {
    let world = World::new(stops_after(HOUR)).await;
    let alice = user("alice");
    world.ready(&alice).await;
    world.pass(20 * MINUTE).await;
    world.note_watch().await;
    world.tasks.drop_all();
    world.clock.0.fetch_add(72 * 3_600_000, Ordering::SeqCst);
    let world = world.reopen().await;
    world.until(&alice, |state| *state == ServerState::Ready).await;
    world.keeper_looks().await;
    assert_eq!(world.spawner.idle_view(&alice).and_then(|view| view.remaining), Some(40 * MINUTE));
    world.pass(39 * MINUTE).await;
    world.keeper_looks().await;
    assert!(world.runs(&alice));
    world.pass(MINUTE).await;
    assert_eq!(world.spawner.idle_view(&alice).and_then(|view| view.remaining), Some(Duration::ZERO));
    let look = world.spawner.idle.look(&world.spawner.board);
    assert!(format!("{look:?}").contains("alice"), "{look:?} {:?}", world.spawner.board.facts(&alice));
    world.keeper_looks().await;
    world.is_down(&alice).await;
}

#[tokio::test]
async fn what_starts_or_restarts_is_left_alone() {
    let world = World::new(stops_after(HOUR)).await;
    let alice = user("alice");
    world.ready(&alice).await;
    world.stage.restart_gate.forget_permits(1_000);
    world.pass(HOUR).await;
    world.spawner.restart(&alice, "alice").await.expect("accepted");
    world.keeper_looks().await;
    world.stage.restart_gate.add_permits(10);
    world.until(&alice, |state| *state == ServerState::Ready).await;
    world.keeper_looks().await;
    assert!(world.runs(&alice), "a restart is use");
    assert!(world.idle_acts().is_empty());
}

/// 10,000 servers in 50 ms with `--release`; without optimisation it takes some ten times as long.
#[test]
fn ten_thousand_servers_are_judged_in_no_time() {
    let clock = Arc::new(MovedClock(AtomicI64::new(1_000_000_000)));
    let rules = IdleRules { idle_after: Some(HOUR), ..IdleRules::default() };
    let of = Arc::new(move |_: &UserName| GrantedIdle { rules, from: vec![] });
    let idle = Idle::new(Config::default().into(), of, clock.clone(), None);
    let board = Board::new(Timestamp(0));
    for number in 0..10_000 {
        let server = user(&format!("user-{number}"));
        let (state, now) = (ServerState::Ready, clock.now());
        let status = ServerStatus { state, started_at: Some(now), ..ServerStatus::stopped(now) };
        board.publish(&server, status);
        board.note_activity(&server, ActivitySource::Request, now);
        board.note_activity(&server, ActivitySource::Kernel, now);
        let address = UpstreamAddress::Tcp(([127, 0, 0, 1], 1).into());
        board.set_route(&server, Some(Arc::new(Route::new(server.clone(), Generation(1), address, now))));
    }
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let begun = std::time::Instant::now();
        let look = idle.look(&board);
        best = best.min(begun.elapsed());
        assert!(look.has_rules_and_keeps_all());
    }
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("10,000 servers judged in {best:?}\n"));
    let limit = if cfg!(debug_assertions) { Duration::from_secs(2) } else { Duration::from_millis(50) };
    assert!(best <= limit, "{best:?}");
}

/// What people, programs and operators do to one server, in any order.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Pass(u64),
    Use(ActivitySource),
    Extend(u32),
    Start,
    Stop,
    Reopen(u64),
}

fn turn() -> impl Strategy<Value = Turn> {
    let source = proptest::sample::select(ActivitySource::ALL.to_vec());
    prop_oneof![
        4 => (1..80_u64).prop_map(Turn::Pass),
        2 => source.prop_map(Turn::Use),
        1 => (1..5_u32).prop_map(Turn::Extend),
        3 => Just(Turn::Start),
        1 => Just(Turn::Stop),
        1 => (0..4_000_u64).prop_map(Turn::Reopen),
    ]
}

/// Never stopped before its deadline, and each running server at most once.
async fn play(turns: Vec<Turn>) {
    let mut world = World::new(stops_after(HOUR)).await;
    let alice = user("alice");
    // Watched minutes: since the first start, at the last use, until which an extension holds.
    let (mut watched, mut used_at, mut extended_until) = (0_u64, 0, 0);
    let mut stopped_by_us = 0;
    for turn in turns {
        let is_up = world.runs(&alice);
        match turn {
            Turn::Pass(minutes) => {
                world.pass(MINUTE * u32::try_from(minutes).expect("few")).await;
                watched += minutes;
            }
            Turn::Use(source) if is_up => {
                world.spawner.note_activity(&alice, source, world.clock.now());
                if source != ActivitySource::Reported {
                    used_at = watched;
                }
            }
            Turn::Extend(count) => match world.spawner.extend(&alice, hours(count), "alice").await {
                Ok(extended) => {
                    let left = extended.view.remaining.expect("a deadline");
                    extended_until = watched + left.as_secs() / 60;
                }
                Err(ExtendError::NotRunning) => assert!(!is_up),
                Err(error) => assert!(is_up && matches!(error, ExtendError::AtCeiling), "{error}"),
            },
            Turn::Start if !is_up => {
                world.ready(&alice).await;
                (used_at, extended_until) = (watched, 0);
            }
            Turn::Stop if is_up => {
                world.spawner.stop(&alice, "alice").await.expect("taken");
                world.is_down(&alice).await;
            }
            Turn::Reopen(minutes) => {
                world.note_watch().await;
                world.activity_is_stored().await;
                world.tasks.drop_all();
                world.clock.0.fetch_add(i64::try_from(minutes * 60_000).expect("short"), Ordering::SeqCst);
                world = world.reopen().await;
                if is_up {
                    world.until(&alice, |state| *state == ServerState::Ready).await;
                }
            }
            Turn::Use(_) | Turn::Start | Turn::Stop => {}
        }
        let was_up = world.runs(&alice);
        world.keeper_looks().await;
        world.keeper_looks().await;
        if was_up && !world.runs(&alice) {
            world.is_down(&alice).await;
            stopped_by_us += 1;
            assert!(watched >= used_at + 60 && watched >= extended_until, "{watched} {used_at} {extended_until}");
        }
        let stops = world.idle_acts().iter().filter(|(_, act)| act.starts_with("stopped")).count();
        assert_eq!(stops, stopped_by_us);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 30, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nobody_is_stopped_before_time_nor_twice(turns in proptest::collection::vec(turn(), 10..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(play(turns));
    }
}
