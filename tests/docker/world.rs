//! One installation of the spawner on the host's real engine, and a look at what is there from outside.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use slipway::model::{
    BasePath, Effective, Handle, InstanceId, Random, Routes, Secret, ServerKey, ServerState, ServerStatus, SystemClock,
    Timestamp, UserName, VolumeStem,
};
use slipway::spawner::docker::{self, DockerBackend, PullPolicy};
use slipway::spawner::{
    self, Also, Backend, BackendError, Config, Found, Notice, Order, Parts, ProgressSink, Removal, ServerTokens, Sight,
    Spawner, Volume, Wish,
};
use slipway::store::{self, Store, StoreError, UserRow};
use slipway::tasks::Tasks;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};

pub(crate) const SOCKET: &str = "/var/run/docker.sock";

/// What a test may set before its world begins.
pub(crate) struct Plan {
    pub(crate) spawner: Config,
    pub(crate) docker: docker::Config,
}

pub(crate) struct World {
    pub(crate) spawner: Spawner,
    pub(crate) routes: Arc<Routes>,
    pub(crate) backend: Arc<Timed>,
    pub(crate) tokens: Arc<Tokens>,
    /// What groups give everybody's next start.
    pub(crate) granted: Arc<Mutex<Effective>>,
    /// The graphics processors that every start gets.
    pub(crate) lent: Arc<Mutex<spawner::GpuRequest>>,
    plan: Plan,
    pub(crate) store: Store,
    tasks: Running,
    names: Names,
    _folder: Arc<tempfile::TempDir>,
}

/// Lends everybody the same.
struct Lent(Arc<Mutex<spawner::GpuRequest>>);

impl spawner::GpuLender for Lent {
    fn ask(&self, _: &ServerKey, _: Option<&slipway::model::GrantedGpu>) -> spawner::GpuAnswer {
        spawner::GpuAnswer::Given { request: self.0.lock().clone(), held: slipway::model::GpuHeld::default() }
    }
    fn adopt(&self, _: &ServerKey, _: &slipway::model::GpuHeld) {}
    fn release(&self, _: &ServerKey) {}
}

/// Ends with the world, before its containers are removed: a start under way would make new ones.
struct Running(Tasks);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.drop_all();
    }
}

/// What this test calls its own. Dropped last, it removes all of it.
#[derive(Clone)]
struct Names(Arc<Owned>);

struct Owned {
    instance: InstanceId,
    prefix: String,
}

pub(crate) fn alice() -> ServerKey {
    user("alice")
}

pub(crate) fn user(name: &str) -> ServerKey {
    ServerKey::default_of(UserName::parse(name).expect("a name"))
}

/// How many people there are beside those with names: `u0` and so on.
const CROWD: usize = 128;

impl World {
    pub(crate) async fn with(image: &str, change: impl FnOnce(&mut Plan)) -> Self {
        let instance = InstanceId(Random::from_system().hex::<8>());
        let prefix = format!("swt-{}", &instance.0[..8]);
        let docker = docker::Config {
            image: image.into(),
            pull_policy: PullPolicy::Never,
            network: prefix.clone(),
            name_prefix: prefix.clone(),
            ..docker::Config::default()
        };
        let mut plan = Plan { spawner: Config { stop_grace_s: 2, ..Config::default() }, docker };
        change(&mut plan);
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let store = Store::open(&store::Config { data_dir: folder.path().join("data") }).expect("a fresh store");
        // A server is nobody's without the account of its owner.
        let names = ["alice", "bob", "carol", "dave"].map(str::to_owned).into_iter();
        let mut people = names
            .chain((0..CROWD).map(|number| format!("u{number}")))
            .map(|name| UserRow { authorised: true, ..UserRow::new(user(&name).user, Timestamp(0)) });
        store.write(|t| people.try_for_each(|row| t.put_user(&row))).expect("a commit");
        Self::open(plan, store, Names(Arc::new(Owned { instance, prefix })), folder).await
    }

    async fn open(plan: Plan, store: Store, names: Names, folder: Arc<tempfile::TempDir>) -> Self {
        let tasks = Running(Tasks::new(tokio::runtime::Handle::current()));
        let engine = DockerBackend::connect(plan.docker.clone(), names.0.instance.clone(), tasks.0.clone()).await;
        let engine = engine.expect("an engine answers");
        engine.network_gateway().await.expect("a network");
        let backend = Arc::new(Timed { inner: engine, times: Mutex::default(), made: Mutex::default() });
        let routes = Arc::new(Routes::default());
        let tokens = Arc::new(Tokens { store: store.clone(), random: Random::from_system(), live: Mutex::default() });
        let granted = Arc::<Mutex<Effective>>::default();
        let given = granted.clone();
        let lent = Arc::<Mutex<spawner::GpuRequest>>::default();
        let parts = Parts {
            backend: backend.clone(),
            store: store.clone(),
            routes: routes.clone(),
            tokens: tokens.clone(),
            groups: Arc::new(|_| vec![]),
            grants: Arc::new(move |_| given.lock().clone()),
            gpus: Arc::new(Lent(lent.clone())),
            idle_rules: Arc::new(|_| slipway::model::GrantedIdle::default()),
            errands: None,
            base: BasePath::parse("/").expect("the root"),
            clock: Arc::new(SystemClock),
            tasks: tasks.0.clone(),
        };
        let spawner = Spawner::open(plan.spawner.clone(), parts).await.expect("rows can be read");
        Self { spawner, routes, backend, tokens, granted, lent, plan, store, tasks, names, _folder: folder }
    }

    /// Slipway dies at once.
    pub(crate) fn die(self) -> Dead {
        self.tasks.0.drop_all();
        Dead(self)
    }

    pub(crate) fn instance(&self) -> &str {
        &self.names.0.instance.0
    }

    pub(crate) fn container(&self, server: &ServerKey) -> String {
        server.docker_name(&self.names.0.prefix)
    }

    /// Wishes a start and returns what the engine made of it, whether it can start that or not.
    pub(crate) async fn made(&self, server: &ServerKey) -> serde_json::Value {
        let (made, seen) = oneshot::channel();
        *self.backend.made.lock() = Some(made);
        self.spawner.start(server, Wish::of("test")).await.expect("the wish is taken");
        let seen = tokio::time::timeout(Duration::from_secs(30), seen).await.expect("it is made in time");
        self.settled(server).await;
        seen.expect("it is made")
    }

    pub(crate) fn has_route(&self, server: &ServerKey) -> bool {
        let key = server.route_key(&BasePath::parse("/").expect("the root"));
        self.routes.current().get(&key).is_some()
    }

    pub(crate) async fn start(&self, server: &ServerKey) -> ServerStatus {
        self.spawner.start(server, Wish::of("test")).await.expect("the wish is taken");
        self.settled(server).await
    }

    pub(crate) async fn stop(&self, server: &ServerKey) -> ServerStatus {
        self.spawner.stop(server, "test").await.expect("the wish is taken");
        self.settled(server).await
    }

    /// Waits until nothing is under way.
    pub(crate) async fn settled(&self, server: &ServerKey) -> ServerStatus {
        self.until(server, |status| status.state.pending().is_none()).await
    }

    pub(crate) async fn until(&self, server: &ServerKey, is_so: impl Fn(&ServerStatus) -> bool) -> ServerStatus {
        let mut watch = self.spawner.watch(server);
        let waited = tokio::time::timeout(Duration::from_secs(60), watch.wait_for(|status| is_so(status))).await;
        match waited {
            Ok(status) => status.expect("the spawner lives").clone(),
            Err(_) => panic!("still {:?}", self.spawner.status(server)),
        }
    }
}

/// A Slipway that has died; its servers run on.
pub(crate) struct Dead(World);

impl Dead {
    /// Begins anew; gives the time that it took to open.
    pub(crate) async fn reopen(self) -> (World, Duration) {
        let Self(World { plan, store, names, _folder, .. }) = self;
        let begun = Instant::now();
        let world = World::open(plan, store, names, _folder).await;
        (world, begun.elapsed())
    }
}

/// The failure of a status, or a panic that shows it.
pub(crate) fn failure(status: &ServerStatus) -> &slipway::model::Failure {
    match &status.state {
        ServerState::Failed(failure) => failure,
        other => panic!("not failed: {other:?}"),
    }
}

/// Waits until it is so, for what shows outside alone.
pub(crate) async fn eventually(is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("it becomes so in time");
}

/// The `docker` command, for a look from outside.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("the docker command runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// All that the engine says of a container.
pub(crate) fn inspected(container: &str) -> serde_json::Value {
    serde_json::from_str(&docker(&["inspect", "--format", "{{json .}}", container])).expect("JSON")
}

impl Drop for Owned {
    fn drop(&mut self) {
        let all = |list: &[&str], remove: &[&str]| {
            let Ok(output) = Command::new("docker").args(list).output() else { return };
            let ids = String::from_utf8_lossy(&output.stdout).into_owned();
            let ids: Vec<&str> = ids.split_whitespace().collect();
            if !ids.is_empty() {
                let _ = Command::new("docker").args(remove).args(ids).output();
            }
        };
        let (label, name) = (format!("label=slipway.instance={}", self.instance), format!("name=^{}", self.prefix));
        all(&["ps", "-aq", "--filter", &label], &["rm", "-fv"]);
        all(&["ps", "-aq", "--filter", &format!("name=^/{}", self.prefix)], &["rm", "-fv"]);
        all(&["volume", "ls", "-q", "--filter", &name], &["volume", "rm", "-f"]);
        all(&["network", "ls", "-q", "--filter", &name], &["network", "rm"]);
    }
}

/// Tokens that only this test knows.
pub(crate) struct Tokens {
    store: Store,
    random: Random,
    pub(crate) live: Mutex<Vec<ServerKey>>,
}

#[async_trait::async_trait]
impl ServerTokens for Tokens {
    async fn issue(&self, server: &ServerKey, also: Also) -> Result<Secret, StoreError> {
        // On the blocking pool, as the real one does.
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.write(also)).await.expect("no panic")?;
        self.live.lock().push(server.clone());
        Ok(Secret::new(self.random.hex::<16>()))
    }

    async fn end(&self, server: &ServerKey) -> Result<(), StoreError> {
        self.live.lock().retain(|live| live != server);
        Ok(())
    }

    async fn forget(&self, _: &[ServerKey], also: Also) -> Result<(), StoreError> {
        self.store.write(also)
    }

    async fn rename(&self, _: &ServerKey, _: &ServerKey, also: Also) -> Result<(), StoreError> {
        self.store.write(also)
    }
}

/// The Docker backend with a stop-watch on create and start.
pub(crate) struct Timed {
    inner: DockerBackend,
    pub(crate) times: Mutex<Vec<(&'static str, Duration)>>,
    /// Where `docker inspect` of the next container goes, before it is started: one that cannot start is gone at once.
    pub(crate) made: Mutex<Option<oneshot::Sender<serde_json::Value>>>,
}

impl Timed {
    async fn timed<T>(&self, act: &'static str, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let result = work.await;
        self.times.lock().push((act, begun.elapsed()));
        result
    }

    pub(crate) fn count(&self, act: &str) -> usize {
        self.times.lock().iter().filter(|(name, _)| *name == act).count()
    }
}

#[async_trait::async_trait]
impl Backend for Timed {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn image(&self) -> Option<String> {
        self.inner.image()
    }
    fn gives_extras(&self) -> bool {
        self.inner.gives_extras()
    }
    fn shared_volume(&self) -> Option<String> {
        self.inner.shared_volume()
    }
    async fn prepare(
        &self,
        server: &ServerKey,
        image: Option<&str>,
        progress: &ProgressSink,
    ) -> Result<(), BackendError> {
        self.timed("prepare", self.inner.prepare(server, image, progress)).await
    }
    async fn facts(&self) -> Result<spawner::EngineFacts, BackendError> {
        self.inner.facts().await
    }
    async fn usage(&self, handle: &Handle) -> Result<Option<spawner::UsageReading>, BackendError> {
        self.timed("usage", self.inner.usage(handle)).await
    }
    async fn layer_sizes(&self) -> Result<HashMap<ServerKey, spawner::LayerSize>, BackendError> {
        self.inner.layer_sizes().await
    }
    async fn listen_address(&self) -> Result<std::net::SocketAddr, BackendError> {
        self.inner.listen_address().await
    }
    async fn create(&self, order: &Order) -> Result<Handle, BackendError> {
        let handle = self.timed("create", self.inner.create(order)).await?;
        if let Some(made) = self.made.lock().take() {
            let kept: serde_json::Value = handle.read().expect("our own handle");
            let _ = made.send(inspected(kept["container"].as_str().expect("a container's id")));
        }
        Ok(handle)
    }
    async fn start(&self, handle: &Handle) -> Result<Sight, BackendError> {
        self.timed("start", self.inner.start(handle)).await
    }
    async fn stop(&self, handle: &Handle, grace: Duration) -> Result<(), BackendError> {
        self.timed("stop", self.inner.stop(handle, grace)).await
    }
    async fn restart(&self, handle: &Handle, grace: Duration) -> Result<Sight, BackendError> {
        self.timed("restart", self.inner.restart(handle, grace)).await
    }
    async fn remove(&self, handle: &Handle) -> Result<(), BackendError> {
        self.timed("remove", self.inner.remove(handle)).await
    }
    async fn inspect(&self, handle: &Handle) -> Result<Sight, BackendError> {
        self.timed("inspect", self.inner.inspect(handle)).await
    }
    async fn log_tail(&self, handle: &Handle, lines: usize) -> Result<Vec<String>, BackendError> {
        self.timed("log", self.inner.log_tail(handle, lines)).await
    }
    async fn find(&self, server: &ServerKey) -> Result<Option<Found>, BackendError> {
        self.timed("find", self.inner.find(server)).await
    }
    async fn list(&self) -> Result<Vec<Found>, BackendError> {
        self.timed("list", self.inner.list()).await
    }
    async fn events(&self) -> Result<BoxStream<'static, Notice>, BackendError> {
        self.inner.events().await
    }

    fn has_volume(&self, suffix: &str) -> bool {
        self.inner.has_volume(suffix)
    }
    async fn volumes(&self, stem: &VolumeStem) -> Result<Vec<Volume>, BackendError> {
        self.inner.volumes(stem).await
    }
    async fn remove_volume(&self, stem: &VolumeStem, suffix: &str) -> Result<Removal, BackendError> {
        self.inner.remove_volume(stem, suffix).await
    }
    async fn volume_sizes(&self) -> Result<HashMap<String, u64>, BackendError> {
        self.inner.volume_sizes().await
    }
}

/// A door to the engine that can be closed or stuck: for an engine that is down or hung, without touching the real
/// one, which others use.
pub(crate) struct Door {
    state: watch::Sender<DoorState>,
    pub(crate) host: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DoorState {
    Open,
    /// Connections break and new ones are closed at once.
    Closed,
    /// Connections are taken and nothing is ever said.
    Stuck,
}

impl Door {
    pub(crate) fn open(folder: &Path) -> Self {
        let path = folder.join("docker.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let (state, seen) = watch::channel(DoorState::Open);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut seen = seen.clone();
                tokio::spawn(async move {
                    if *seen.borrow() == DoorState::Stuck {
                        let _ = seen.wait_for(|state| *state == DoorState::Closed).await;
                        return;
                    }
                    if *seen.borrow() == DoorState::Closed {
                        return;
                    }
                    let Ok(mut engine) = UnixStream::connect(SOCKET).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut engine) => {}
                        _ = seen.wait_for(|state| *state == DoorState::Closed) => {}
                    }
                });
            }
        });
        Self { state, host: format!("unix://{}", path.display()) }
    }

    pub(crate) fn set(&self, state: DoorState) {
        self.state.send_replace(state);
    }
}
