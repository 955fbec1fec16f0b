//! The driver with a real store, real routes and real probes; only the engine is a stage, and time is moved by hand.

mod audit;
mod gpus;
mod idle;
mod named;
mod restart;
mod usage;
mod volumes;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast};
use tokio::time::timeout;

use super::*;
use crate::model::{Generation, GrantedIdle, Handle, Route, ServerState, UpstreamAddress};
use crate::store;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

struct MovedClock(AtomicI64);

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// An engine whose every step can be held up, and that tells nobody what it does not want to tell.
struct Stage {
    servers: Mutex<HashMap<ServerKey, (Generation, Sight)>>,
    notices: broadcast::Sender<Notice>,
    /// Creates take one each; a closed gate holds them up.
    gate: Semaphore,
    creating: AtomicUsize,
    creating_at_most: AtomicUsize,
    created: Mutex<Vec<ServerKey>>,
    orders: Mutex<Vec<Order>>,
    /// What each `create` found in the store.
    rows_at_create: Mutex<Vec<store::ServerRow>>,
    store: Store,
    /// Where all servers answer, each at an address of its own …
    port: u16,
    /// … unless the engine gives it somebody else's.
    addresses: Mutex<HashMap<ServerKey, UpstreamAddress>>,
    is_down: std::sync::atomic::AtomicBool,
    disks: volumes::Disks,
    /// Restarts take one each, with the program ended; a closed gate holds them up.
    restart_gate: Semaphore,
    restarting: AtomicUsize,
    /// What each restart found in the store.
    rows_at_restart: Mutex<Vec<store::ServerRow>>,
    /// How the next restart ends, if not well.
    restart_ends_in: Mutex<Option<Sight>>,
    /// How many restarts have moved a server.
    moved: AtomicUsize,
    /// Who lends graphics processors, if the engine can give any.
    lender: Mutex<Option<Arc<dyn GpuLender>>>,
    meters: usage::Meters,
}

impl Stage {
    fn check(&self) -> Result<(), BackendError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(BackendError::Unavailable { engine: "stage", reason: "it is down".into() });
        }
        Ok(())
    }

    fn dies(&self, server: &ServerKey, is_told: bool) {
        let exit = Sight::Exited(Exit { code: Some(9), out_of_memory: false });
        let generation = {
            let mut servers = self.servers.lock();
            let (generation, sight) = servers.get_mut(server).expect("it exists");
            *sight = exit.clone();
            *generation
        };
        if is_told {
            self.notices.send(Notice { server: server.clone(), generation, sight: exit }).expect("somebody listens");
        }
    }

    fn address_of(&self, server: &ServerKey) -> UpstreamAddress {
        let number = self.addresses.lock().len() + 1 + 20 * self.moved.load(Ordering::SeqCst);
        let number = u8::try_from(number).expect("a test has few servers");
        let own = UpstreamAddress::Tcp(([127, 0, 0, number], self.port).into());
        self.addresses.lock().entry(server.clone()).or_insert(own).clone()
    }

    fn sight(&self, server: &ServerKey) -> Sight {
        self.servers.lock().get(server).map_or(Sight::Gone, |(_, sight)| sight.clone())
    }

    fn found(&self, server: &ServerKey, (generation, sight): &(Generation, Sight)) -> Found {
        Found { server: server.clone(), generation: *generation, handle: handle_of(server), sight: sight.clone() }
    }
}

fn handle_of(server: &ServerKey) -> Handle {
    serde_json::json!(server).into()
}

fn server_of(handle: &Handle) -> ServerKey {
    handle.read().expect("our own handle")
}

#[async_trait::async_trait]
impl Backend for Stage {
    fn name(&self) -> &'static str {
        "stage"
    }
    fn image(&self) -> Option<String> {
        None
    }
    async fn prepare(&self, _: &ServerKey, _: Option<&str>, _: &ProgressSink) -> Result<(), BackendError> {
        self.check()
    }
    fn gives_extras(&self) -> bool {
        self.lender.lock().is_some()
    }
    async fn listen_address(&self) -> Result<SocketAddr, BackendError> {
        Ok(([0, 0, 0, 0], 8888).into())
    }
    async fn create(&self, order: &Order) -> Result<Handle, BackendError> {
        let now = self.creating.fetch_add(1, Ordering::SeqCst) + 1;
        self.creating_at_most.fetch_max(now, Ordering::SeqCst);
        self.created.lock().push(order.server.clone());
        self.orders.lock().push(order.clone());
        let row = self.store.server(&order.server).expect("readable").expect("the intent is written down first");
        self.rows_at_create.lock().push(row);
        let passed = self.gate.acquire().await.map(tokio::sync::SemaphorePermit::forget);
        self.creating.fetch_sub(1, Ordering::SeqCst);
        passed.expect("the gate is never closed");
        self.check()?;
        self.disks.mount(order);
        self.servers.lock().insert(order.server.clone(), (order.generation, Sight::Created));
        Ok(handle_of(&order.server))
    }
    async fn start(&self, handle: &Handle) -> Result<Sight, BackendError> {
        self.check()?;
        let sight = Sight::Running(self.address_of(&server_of(handle)));
        if let Some((_, now)) = self.servers.lock().get_mut(&server_of(handle)) {
            *now = sight.clone();
        }
        Ok(sight)
    }
    async fn stop(&self, _handle: &Handle, _grace: Duration) -> Result<(), BackendError> {
        self.check()
    }
    async fn restart(&self, handle: &Handle, _grace: Duration) -> Result<Sight, BackendError> {
        self.check()?;
        let server = server_of(handle);
        self.restarting.fetch_add(1, Ordering::SeqCst);
        if self.servers.lock().contains_key(&server) {
            self.dies(&server, true);
        }
        self.restart_gate.acquire().await.map(tokio::sync::SemaphorePermit::forget).expect("never closed");
        self.check()?;
        let row = self.store.server(&server).expect("readable").expect("the intent is written down first");
        self.rows_at_restart.lock().push(row);
        if let Some(sight) = self.restart_ends_in.lock().take() {
            if let Some((_, now)) = self.servers.lock().get_mut(&server) {
                *now = sight.clone();
            }
            return Ok(sight);
        }
        // An engine may give it another address.
        self.addresses.lock().remove(&server);
        self.moved.fetch_add(1, Ordering::SeqCst);
        self.start(handle).await
    }
    async fn remove(&self, handle: &Handle) -> Result<(), BackendError> {
        self.check()?;
        self.servers.lock().remove(&server_of(handle));
        self.disks.unmount(&server_of(handle));
        Ok(())
    }
    async fn inspect(&self, handle: &Handle) -> Result<Sight, BackendError> {
        self.check()?;
        Ok(self.sight(&server_of(handle)))
    }
    async fn log_tail(&self, _handle: &Handle, _lines: usize) -> Result<Vec<String>, BackendError> {
        self.check()?;
        Ok(vec!["last words".into()])
    }
    async fn find(&self, server: &ServerKey) -> Result<Option<Found>, BackendError> {
        self.check()?;
        Ok(self.servers.lock().get(server).map(|there| self.found(server, there)))
    }
    async fn list(&self) -> Result<Vec<Found>, BackendError> {
        self.check()?;
        Ok(self.servers.lock().iter().map(|(server, there)| self.found(server, there)).collect())
    }
    async fn events(&self) -> Result<BoxStream<'static, Notice>, BackendError> {
        self.check()?;
        let stream = futures_util::stream::unfold(self.notices.subscribe(), async |mut receiver| {
            receiver.recv().await.ok().map(|notice| (notice, receiver))
        });
        Ok(stream.boxed())
    }
    fn has_volume(&self, suffix: &str) -> bool {
        volumes::SUFFIXES.contains(&suffix)
    }
    async fn volumes(&self, stem: &crate::model::VolumeStem) -> Result<Vec<Volume>, BackendError> {
        self.check()?;
        Ok(self.disks.of(stem))
    }
    async fn remove_volume(&self, stem: &crate::model::VolumeStem, suffix: &str) -> Result<Removal, BackendError> {
        self.check()?;
        Ok(self.disks.remove(stem, suffix).await)
    }
    async fn volume_sizes(&self) -> Result<HashMap<String, u64>, BackendError> {
        self.check()?;
        Ok(self.disks.sizes())
    }
    async fn usage(&self, handle: &Handle) -> Result<Option<UsageReading>, BackendError> {
        self.check()?;
        self.meters.usage_of(&server_of(handle)).await
    }
    async fn layer_sizes(&self) -> Result<HashMap<ServerKey, LayerSize>, BackendError> {
        self.check()?;
        Ok(self.meters.layers.lock().clone())
    }
}

/// Tokens that look at the routes when they end.
#[derive(Default)]
struct Watched {
    store: Option<Store>,
    routes: Arc<Routes>,
    live: Mutex<Vec<ServerKey>>,
    forgotten: Mutex<Vec<ServerKey>>,
    ended_under_a_route: AtomicUsize,
}

#[async_trait::async_trait]
impl ServerTokens for Watched {
    async fn issue(&self, server: &ServerKey, also: Also) -> Result<Secret, StoreError> {
        self.store.as_ref().expect("a store").write(also)?;
        self.live.lock().push(server.clone());
        Ok(Secret::new("t"))
    }
    async fn end(&self, server: &ServerKey) -> Result<(), StoreError> {
        self.live.lock().retain(|live| live != server);
        if self.routes.current().get(&server.route_key(&root())).is_some() {
            self.ended_under_a_route.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
    async fn forget(&self, servers: &[ServerKey], also: Also) -> Result<(), StoreError> {
        self.forgotten.lock().extend_from_slice(servers);
        self.store.as_ref().expect("a store").write(also)
    }
    async fn rename(&self, _: &ServerKey, _: &ServerKey, also: Also) -> Result<(), StoreError> {
        self.store.as_ref().expect("a store").write(also)
    }
}

fn root() -> BasePath {
    BasePath::parse("/").expect("the root")
}

fn user(name: &str) -> ServerKey {
    ServerKey::default_of(UserName::parse(name).expect("a name"))
}

fn account(name: &str) -> store::UserRow {
    store::UserRow { authorised: true, ..store::UserRow::new(user(name).user, Timestamp(0)) }
}

struct World {
    spawner: Spawner,
    stage: Arc<Stage>,
    tokens: Arc<Watched>,
    clock: Arc<MovedClock>,
    tasks: Tasks,
    config: Config,
    folder: Arc<tempfile::TempDir>,
}

impl World {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { list_interval_s: 3_600, activity_look_ms: 5, ..Config::default() };
        change(&mut config);
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let store = Store::open(&store::Config { data_dir: folder.path().join("data") }).expect("a fresh store");
        let people = ["alice", "bob", "a", "b", "c", "first"].map(str::to_owned);
        let people: Vec<_> = people.into_iter().chain((0..7).map(|number| format!("u{number}"))).collect();
        store.write(|t| people.iter().try_for_each(|name| t.put_user(&account(name)))).expect("a commit");
        let stage = Arc::new(Stage {
            servers: Mutex::default(),
            notices: broadcast::channel(64).0,
            gate: Semaphore::new(1_000),
            creating: AtomicUsize::new(0),
            creating_at_most: AtomicUsize::new(0),
            created: Mutex::default(),
            orders: Mutex::default(),
            rows_at_create: Mutex::default(),
            store,
            port: answering().await,
            addresses: Mutex::default(),
            is_down: false.into(),
            disks: volumes::Disks::default(),
            restart_gate: Semaphore::new(1_000),
            restarting: AtomicUsize::new(0),
            rows_at_restart: Mutex::default(),
            restart_ends_in: Mutex::default(),
            moved: AtomicUsize::new(0),
            lender: Mutex::default(),
            meters: usage::Meters::default(),
        });
        Self::open(config, stage, Arc::new(MovedClock(AtomicI64::new(1_000_000))), folder).await
    }

    async fn open(config: Config, stage: Arc<Stage>, clock: Arc<MovedClock>, folder: Arc<tempfile::TempDir>) -> Self {
        let tokens = Arc::new(Watched { store: Some(stage.store.clone()), ..Watched::default() });
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let idle_rules = config.idle.rules;
        let parts = Parts {
            backend: stage.clone(),
            store: stage.store.clone(),
            routes: tokens.routes.clone(),
            tokens: tokens.clone(),
            groups: Arc::new(|user| if user.as_str() == "alice" { vec!["staff".into()] } else { vec![] }),
            grants: Arc::new(|_| crate::model::Effective::default()),
            gpus: stage.lender.lock().clone().unwrap_or_else(|| Arc::new(NoGpus)),
            idle_rules: Arc::new(move |_| GrantedIdle { rules: idle_rules, from: vec![] }),
            errands: None,
            base: root(),
            clock: clock.clone(),
            tasks: tasks.clone(),
        };
        let spawner = Spawner::open(config.clone(), parts).await.expect("rows can be read");
        Self { spawner, stage, tokens, clock, tasks, config, folder }
    }

    /// Slipway dies and comes again.
    async fn reopen(self) -> Self {
        self.tasks.drop_all();
        Self::open(self.config, self.stage, self.clock, self.folder).await
    }

    async fn until(&self, server: &ServerKey, is_so: impl Fn(&ServerState) -> bool) -> ServerStatus {
        let mut watch = self.spawner.watch(server);
        let waited = timeout(PATIENCE, watch.wait_for(|status| is_so(&status.state))).await;
        match waited {
            Ok(status) => status.expect("the spawner lives").clone(),
            Err(_) => panic!("still {:?}", self.spawner.status(server)),
        }
    }

    /// Waits until so many creates are under way.
    async fn creating(&self, count: usize) {
        let waited = timeout(PATIENCE, async {
            while self.stage.creating.load(Ordering::SeqCst) != count {
                tokio::task::yield_now().await;
            }
        });
        waited.await.expect("the engine is asked");
    }

    async fn ready(&self, server: &ServerKey) -> ServerStatus {
        self.spawner.start(server, Wish::of("test")).await.expect("the wish is taken");
        self.until(server, |state| *state == ServerState::Ready).await
    }

    /// Moves the clock, and writes a letter so that the loop looks at it.
    async fn pass(&self, time: Duration) {
        self.clock.0.fetch_add(i64::try_from(time.as_millis()).expect("short"), Ordering::SeqCst);
        self.spawner.stop(&user("nobody"), "test").await.expect("the wish is taken");
    }

    async fn nothing_is_left_of(&self, server: &ServerKey) {
        let is_left = || self.spawner.record(server).is_some() || !self.spawner.active().is_empty();
        timeout(PATIENCE, async {
            while is_left() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("it goes");
        assert!(self.stage.store.server(server).expect("readable").is_none());
    }

    fn has_route(&self, server: &ServerKey) -> bool {
        self.tokens.routes.current().get(&server.route_key(&root())).is_some()
    }
}

/// A port at which everything is answered with 200, on every loopback address.
async fn answering() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            });
        }
    });
    port
}

fn failure(status: &ServerStatus) -> &crate::model::Failure {
    match &status.state {
        ServerState::Failed(failure) => failure,
        other => panic!("not failed: {other:?}"),
    }
}

fn is_failed(state: &ServerState) -> bool {
    matches!(state, ServerState::Failed(failure) if !failure.log_tail.is_empty())
}

#[tokio::test]
async fn the_intent_is_durable_before_the_engine_hears_of_it() {
    let world = World::new(|_| {}).await;
    world.ready(&user("alice")).await;
    let row = world.stage.rows_at_create.lock().first().cloned().expect("created");
    assert_eq!((row.generation, row.wanted, row.handle), (Generation(1), true, None));
    world.spawner.stop(&user("alice"), "test").await.expect("the wish is taken");
    world.until(&user("alice"), |state| *state == ServerState::Stopped).await;
    assert_eq!(world.tokens.ended_under_a_route.load(Ordering::SeqCst), 0);
    assert!(world.tokens.live.lock().is_empty());
    assert_eq!(world.spawner.log_tail(&user("alice"), 50).await.expect("a log"), ["last words"]);
}

#[tokio::test]
async fn servers_start_so_many_at_once_in_the_order_of_their_wishes() {
    let world = World::new(|config| config.starts_at_once = 2).await;
    let users: Vec<ServerKey> = (0..7).map(|number| user(&format!("u{number}"))).collect();
    world.stage.gate.forget_permits(1_000);
    for server in &users {
        world.spawner.start(server, Wish::of("test")).await.expect("the wish is taken");
    }
    world.creating(2).await;
    world.stage.gate.add_permits(users.len());
    for server in &users {
        world.until(server, |state| *state == ServerState::Ready).await;
    }
    assert_eq!(world.stage.creating_at_most.load(Ordering::SeqCst), 2);
    let created = world.stage.created.lock().clone();
    assert_eq!(created.len(), users.len());
    // Two run side by side, so neighbours may overtake each other by one.
    for (place, server) in created.iter().enumerate() {
        let wished = users.iter().position(|user| user == server).expect("one of them");
        assert!(wished.abs_diff(place) <= 2, "{created:?}");
    }
}

#[tokio::test]
async fn more_starts_than_may_wait_are_asked_to_come_again() {
    let world = World::new(|config| {
        config.starts_at_once = 1;
        config.concurrent_starts = 3;
    })
    .await;
    world.stage.gate.forget_permits(1_000);
    world.spawner.start(&user("first"), Wish::of("test")).await.expect("the wish is taken");
    world.creating(1).await;
    world.spawner.start(&user("a"), Wish::of("test")).await.expect("one may wait");
    world.spawner.start(&user("b"), Wish::of("test")).await.expect("two may wait");
    let refused = world.spawner.start(&user("c"), Wish::of("test")).await;
    assert!(matches!(refused, Err(SpawnerError::TooMany { .. })), "{refused:?}");
    // Whoever waits already may wish again.
    world.spawner.start(&user("a"), Wish::of("test")).await.expect("the same wish");
    world.spawner.stop(&user("a"), "test").await.expect("the wish is taken");
    world.spawner.start(&user("c"), Wish::of("test")).await.expect("a place is free");
}

#[tokio::test]
async fn an_engine_that_hangs_in_create_costs_its_deadline_and_no_more() {
    let world = World::new(|_| {}).await;
    world.stage.gate.forget_permits(1_000);
    let alice = user("alice");
    world.spawner.start(&alice, Wish::of("test")).await.expect("the wish is taken");
    world.creating(1).await;
    world.pass(Duration::from_secs(59)).await;
    assert_eq!(world.spawner.status(&alice).state.pending(), Some("spawn"));
    world.pass(Duration::from_secs(2)).await;
    let status = world.until(&alice, |state| matches!(state, ServerState::Failed(_))).await;
    assert!(failure(&status).sentence.contains("60 seconds"), "{status:?}");
    world.stage.gate.add_permits(1_000);
    assert_eq!(world.ready(&alice).await.generation, Generation(2));
}

#[tokio::test]
async fn an_end_whose_event_was_lost_is_found_by_the_next_report_or_list() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    world.ready(&alice).await;
    world.stage.dies(&alice, false);
    world.spawner.report_unreachable(Unreachable { server: alice.clone(), generation: Generation(1) });
    let status = world.until(&alice, is_failed).await;
    assert_eq!(failure(&status).exit_code, Some(9));
    assert!(!world.has_route(&alice) && world.tokens.live.lock().is_empty());

    world.ready(&alice).await;
    world.stage.dies(&alice, false);
    let list = world.stage.list().await.expect("a list");
    world.spawner.mail.send(Mail::Listed(list)).await.map_err(|_| "closed").expect("taken");
    world.until(&alice, is_failed).await;

    world.ready(&alice).await;
    world.stage.servers.lock().clear();
    world.spawner.mail.send(Mail::Listed(vec![])).await.map_err(|_| "closed").expect("taken");
    world.until(&alice, |state| matches!(state, ServerState::Failed(_))).await;
}

#[tokio::test]
async fn a_crash_shows_with_its_code_and_the_next_wish_starts_again() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    let first = world.ready(&alice).await;
    world.stage.dies(&alice, true);
    world.until(&alice, is_failed).await;
    let again = world.ready(&alice).await;
    assert_eq!((first.generation, again.generation), (Generation(1), Generation(2)));
    // News of the first one, twice and late.
    world.spawner.report_unreachable(Unreachable { server: alice.clone(), generation: Generation(1) });
    let late = Notice { server: alice.clone(), generation: Generation(1), sight: Sight::Gone };
    world.stage.notices.send(late).expect("somebody listens");
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.spawner.status(&alice).state, ServerState::Ready);
}

#[tokio::test]
async fn a_slipway_that_comes_again_while_the_engine_is_down_adopts_once_it_is_back() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    let before = world.ready(&alice).await;
    world.spawner.note_activity(&alice, ActivitySource::Reported, Timestamp(3_000_000));
    timeout(PATIENCE, async {
        let saved = || world.stage.store.server(&alice).expect("readable").and_then(|row| row.last_activity);
        while saved() != Some(Timestamp(3_000_000)) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the activity is written down");
    world.stage.is_down.store(true, Ordering::SeqCst);
    let world = world.reopen().await;
    assert_eq!(world.spawner.status(&alice).state.pending(), Some("spawn"));
    assert_eq!(world.spawner.last_activity(&alice), Some(Timestamp(3_000_000)));
    // A person asks meanwhile; that is no reason for a second one.
    world.spawner.start(&alice, Wish::of("test")).await.expect("the wish is taken");
    world.pass(Duration::from_secs(11)).await;
    assert_eq!(world.spawner.status(&alice).state.pending(), Some("spawn"));
    world.stage.is_down.store(false, Ordering::SeqCst);
    let after = world.until(&alice, |state| *state == ServerState::Ready).await;
    assert_eq!((after.generation, after.started_at), (before.generation, before.started_at));
    assert_eq!(world.stage.created.lock().len(), 1);
    assert_eq!(world.spawner.last_activity(&alice), Some(Timestamp(3_000_000)), "to be found again is no activity");
}

#[tokio::test]
async fn a_user_who_leaves_takes_all_servers_along_and_starts_none_meanwhile() {
    let world = World::new(|config| config.named_servers_per_user = NamedServers::Unlimited).await;
    let alice = user("alice");
    let named = ServerKey { name: crate::model::ServerName::parse("gpu").expect("a name"), ..alice.clone() };
    world.ready(&alice).await;
    world.ready(&named).await;
    world.ready(&user("bob")).await;
    let (forgotten, refused) =
        tokio::join!(world.spawner.forget_user(&alice.user), world.spawner.start(&alice, Wish::of("test")));
    forgotten.expect("forgotten");
    assert!(matches!(refused, Err(SpawnerError::Stopping)), "{refused:?}");
    assert!(!world.has_route(&alice) && !world.has_route(&named) && world.has_route(&user("bob")));
    let rows: Vec<ServerKey> = world.stage.store.servers().expect("readable").into_iter().map(|row| row.key).collect();
    assert_eq!(rows, [user("bob")]);
    assert_eq!(world.spawner.active().len(), 1);
    // The next person of that name begins anew.
    assert_eq!(world.ready(&alice).await.generation, Generation(1));
}

/// Who asked looked for the account before it ended, and is heard after its servers have been forgotten.
#[tokio::test]
async fn what_is_wished_for_an_account_that_has_ended_leaves_nothing() {
    let world = World::new(|config| config.named_servers_per_user = NamedServers::Unlimited).await;
    let ghost = user("ghost");
    let named = ServerKey { name: crate::model::ServerName::parse("gpu").expect("a name"), ..ghost.clone() };
    let defined = world.spawner.define(&named, None, None).await;
    assert!(matches!(defined, Err(SpawnerError::NoSuchUser)), "{defined:?}");
    let started = world.spawner.start(&named, Wish::of("test")).await;
    assert!(matches!(started, Err(SpawnerError::NoSuchUser)), "{started:?}");
    world.nothing_is_left_of(&named).await;
    // A default server's first row is written with its start: this wish is taken.
    let started = world.spawner.start(&ghost, Wish::of("test")).await;
    assert!(matches!(started, Ok(_) | Err(SpawnerError::Stopping)), "{started:?}");
    world.nothing_is_left_of(&ghost).await;
    assert!(world.stage.created.lock().is_empty(), "the engine never heard of them");
    world.stage.store.write(|t| t.put_user(&account("ghost"))).expect("a commit");
    assert_eq!(world.ready(&ghost).await.generation, Generation(1), "the next one of that name begins anew");
}

#[tokio::test]
async fn a_server_that_outlives_its_account_goes_at_its_next_step() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    world.ready(&alice).await;
    world.stage.store.write(|t| t.delete_user(&alice.user)).expect("a commit");
    world.stage.dies(&alice, true);
    world.nothing_is_left_of(&alice).await;
    assert_eq!(world.stage.sight(&alice), Sight::Gone);
    assert!(!world.has_route(&alice));
}

#[tokio::test]
async fn a_spawner_that_is_stopped_leaves_servers_and_ends_soon() {
    let world = World::new(|_| {}).await;
    world.ready(&user("alice")).await;
    assert!(world.tasks.stop(Duration::from_secs(5)).await, "something kept us from stopping");
    assert!(matches!(world.spawner.start(&user("bob"), Wish::of("test")).await, Err(SpawnerError::Closed)));
    assert_eq!(world.stage.sight(&user("alice")), Sight::Running(world.stage.address_of(&user("alice"))));
    assert!(world.has_route(&user("alice")));
}

#[tokio::test]
async fn an_address_that_the_engine_gives_to_another_leads_nobody_there() {
    let world = World::new(|_| {}).await;
    let (alice, bob) = (user("alice"), user("bob"));
    world.ready(&alice).await;
    // Her server dies, no event comes, and the engine hands its address out again.
    world.stage.dies(&alice, false);
    let address = world.stage.address_of(&alice);
    world.stage.addresses.lock().insert(bob.clone(), address);
    world.ready(&bob).await;
    world.until(&alice, |state| matches!(state, ServerState::Failed(_))).await;
    assert!(!world.has_route(&alice) && world.has_route(&bob));
}
