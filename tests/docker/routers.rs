//! Labelled containers on a real engine become routers, change, and go.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway::model::{BasePath, Random, SystemClock};
use slipway::routers::sources::{Config, Constraint, DockerConfig, Sources};
use slipway::routers::{EntryPoint, IdleAfter, Published, Surroundings, Table};
use slipway::tasks::Tasks;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::world::SOCKET;

/// How soon what the engine did must be in the table.
const LIMIT: Duration = Duration::from_secs(2);
/// Listens on 8888 at once, and says so with `EXPOSE`.
const IMAGE: &str = "slipway-instant:test";

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("the docker client");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Containers of this test, and the table that is made of their labels.
struct World {
    mark: String,
    published: Arc<Published>,
    tasks: Tasks,
    networks: Vec<String>,
}

impl World {
    fn begin(change: impl FnOnce(&mut DockerConfig)) -> Self {
        let mark = format!("swt-{}", Random::from_system().hex::<6>());
        let mut docker =
            DockerConfig { constraint: Constraint::read(&format!("mark={mark}")).ok(), ..DockerConfig::default() };
        change(&mut docker);
        let config = Config {
            docker: Some(docker),
            file: None,
            poll_every: Duration::from_secs(2),
            surroundings: Surroundings {
                base: BasePath::parse("/").expect("a path"),
                hub_host: None,
                default_entry_points: vec![EntryPoint::WebSecure],
            },
        };
        let (published, tasks) = (Arc::new(Published::default()), Tasks::new(Handle::current()));
        let sources = Sources::new(config, published.clone(), Arc::new(SystemClock));
        tasks.spawn(sources.watch(tasks.clone()));
        Self { mark, published, tasks, networks: Vec::new() }
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.mark)
    }

    /// Runs a container with these labels and the test's own.
    fn run(&self, name: &str, labels: &[&str], more: &[&str]) {
        let (name, mark) = (self.name(name), format!("mark={}", self.mark));
        let mut arguments = vec!["run", "-d", "--name", &name, "--label", &mark, "--label", "traefik.enable=true"];
        arguments.extend(labels.iter().flat_map(|label| ["--label", label]));
        arguments.extend(more);
        arguments.push(IMAGE);
        docker(&arguments);
    }

    fn network(&mut self, name: &str) -> String {
        let name = self.name(name);
        docker(&["network", "create", "--label", &format!("mark={}", self.mark), &name]);
        self.networks.push(name.clone());
        name
    }

    /// Waits until the table is as it should be, and says how long that took.
    async fn until(&self, what: &str, is_so: impl Fn(&Table) -> bool) -> Duration {
        let begun = Instant::now();
        let mut changes = self.published.changes();
        while !is_so(&self.published.current()) {
            let left = LIMIT.saturating_sub(begun.elapsed());
            let changed = tokio::time::timeout(left, changes.changed()).await;
            let table = self.published.current();
            assert!(changed.is_ok(), "{what}: not within {LIMIT:?}; {:?}, {:?}", names(&table), table.problems());
        }
        println!("{what}: after {:?}", begun.elapsed());
        begun.elapsed()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.drop_all();
        let mine = docker(&["ps", "-aq", "--filter", &format!("label=mark={}", self.mark)]);
        for id in mine.lines() {
            let _ = Command::new("docker").args(["rm", "-f", id]).output();
        }
        for network in &self.networks {
            let _ = Command::new("docker").args(["network", "rm", network]).output();
        }
    }
}

fn names(table: &Table) -> Vec<String> {
    table.routers().iter().map(|router| router.name.to_string()).collect()
}

/// The targets of the first router.
fn targets(table: &Table) -> Vec<String> {
    let balancer = table.routers().first().and_then(|router| router.balancer.clone());
    balancer.map_or_else(Vec::new, |balancer| balancer.targets().iter().map(|target| target.url.clone()).collect())
}

fn address(name: &str, network: &str) -> String {
    let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
    docker(&["inspect", "--format", &format, name])
}

#[tokio::test(flavor = "multi_thread")]
async fn labelled_containers_come_change_and_go() {
    let world = World::begin(|_| {});
    let rule = "traefik.http.routers.web.rule=Host(`a.example`)";
    world.run("one", &[rule], &[]);
    world.until("a container came", |table| names(table) == ["web@docker"]).await;
    let expected = format!("http://{}:8888", address(&world.name("one"), "bridge"));
    assert_eq!(targets(&world.published.current()), [expected]);
    let first = world.published.current().routers()[0].clone();

    // The same service by another name is a replica only if it says the same service.
    let service = "traefik.http.services.web.loadbalancer.server.port=8888";
    world.run("two", &["traefik.http.routers.other.rule=Host(`b.example`)", service], &[]);
    world.until("another came", |table| names(table).len() == 2).await;
    let kept = world.published.current().routers().iter().any(|router| Arc::ptr_eq(router, &first));
    assert!(kept, "what did not change is the same value");

    world.run("three", &["traefik.http.routers.other.rule=Host(`b.example`)", service], &[]);
    let other = |table: &Table| {
        let router = table.routers().iter().find(|router| &*router.name.name == "other").cloned();
        router.and_then(|router| router.balancer.clone()).map_or(0, |balancer| balancer.targets().len())
    };
    world.until("a replica came", |table| other(table) == 2).await;
    docker(&["stop", "-t", "0", &world.name("three")]);
    world.until("a replica stopped", |table| other(table) == 1).await;
    docker(&["start", &world.name("three")]);
    world.until("it came back", |table| other(table) == 2).await;

    docker(&["rm", "-f", &world.name("one")]);
    world.until("a container went", |table| names(table) == ["other@docker"]).await;

    let wrong = "traefik.http.routers.bad.rule=Host(`a`";
    world.run("bad", &[wrong], &[]);
    world.until("a mistake was told", |table| table.problems().len() == 1).await;
    let told = world.published.current().problems()[0].to_string();
    let place = format!("container {}, label traefik.http.routers.bad.rule: rule, column 9: ", world.name("bad"));
    assert!(told.starts_with(&place), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_servers_and_containers_outside_the_constraint_say_nothing() {
    let world = World::begin(|_| {});
    let rule = "traefik.http.routers.evil.rule=PathPrefix(`/`)";
    world.run("user", &[rule, "slipway.instance=0011", "slipway.user=mallory"], &[]);
    let outside = world.name("outside");
    docker(&["run", "-d", "--name", &outside, "--label", "traefik.enable=true", "--label", rule, IMAGE]);
    world.run("off", &[rule, "traefik.enable=false"], &[]);
    world.run("last", &["traefik.http.routers.last.rule=Host(`last`)"], &[]);
    world.until("the last came", |table| !table.routers().is_empty()).await;
    assert_eq!(names(&world.published.current()), ["last@docker"]);
    docker(&["rm", "-f", &outside]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_on_several_networks_is_reached_over_the_one_it_names() {
    let mut world = World::begin(|_| {});
    let (front, back) = (world.network("front"), world.network("back"));
    let label = format!("traefik.docker.network={front}");
    world.run("web", &["traefik.http.routers.web.rule=Host(`a`)", &label], &["--network", &back]);
    world.until("it is told that the network is missing", |table| table.problems().len() == 1).await;
    docker(&["network", "connect", &front, &world.name("web")]);
    world.until("it is connected", |table| table.problems().is_empty() && !table.routers().is_empty()).await;
    let expected = format!("http://{}:8888", address(&world.name("web"), &front));
    assert_eq!(targets(&world.published.current()), [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_starts_on_request_keeps_its_router_while_it_is_stopped() {
    let world = World::begin(|_| {});
    let labels = ["traefik.http.routers.web.rule=Host(`a`)", "slipway.start=on-request", "slipway.idle-after=90s"];
    world.run("web", &labels, &[]);
    world.until("it came", |table| targets(table).len() == 1).await;
    docker(&["stop", "-t", "0", &world.name("web")]);
    world.until("it stopped", |table| targets(table).is_empty() && names(table) == ["web@docker"]).await;
    let router = world.published.current().routers()[0].clone();
    let lazy = router.lazy.as_ref().expect("it starts on request");
    assert_eq!((&*lazy.name, lazy.idle_after), (&*world.name("web"), IdleAfter::Time(Duration::from_secs(90))));
    docker(&["start", &lazy.id]);
    world.until("it runs again", |table| targets(table).len() == 1).await;
}

/// A door to the engine that can be shut.
async fn door(path: std::path::PathBuf, shut: CancellationToken) {
    let listener = UnixListener::bind(&path).expect("a socket");
    while let Some(Ok((mut client, _))) = shut.run_until_cancelled(listener.accept()).await {
        let shut = shut.clone();
        tokio::spawn(async move {
            let mut engine = UnixStream::connect(SOCKET).await.expect("an engine");
            let _ = shut.run_until_cancelled(copy_bidirectional(&mut client, &mut engine)).await;
        });
    }
    let _ = std::fs::remove_file(path);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_takes_nothing_along_and_is_read_anew_when_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("docker.sock");
    let shut = CancellationToken::new();
    let first = tokio::spawn(door(path.clone(), shut.clone()));
    let world = World::begin(|config| config.host = format!("unix://{}", path.display()));
    world.run("one", &["traefik.http.routers.one.rule=Host(`a`)"], &[]);
    world.until("it came", |table| names(table) == ["one@docker"]).await;

    shut.cancel();
    first.await.expect("the door is shut");
    world.run("two", &["traefik.http.routers.two.rule=Host(`b`)"], &[]);
    let begun = Instant::now();
    while world.published.sources().iter().all(|source| source.is_well) {
        assert!(begun.elapsed() < LIMIT, "the loss is told: {:?}", world.published.sources());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(names(&world.published.current()), ["one@docker"], "what was said last stays");

    tokio::spawn(door(path, CancellationToken::new()));
    world.until("the engine is back", |table| names(table) == ["one@docker", "two@docker"]).await;
}
