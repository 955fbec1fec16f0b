//! A labelled container of the real engine that starts on its first request, however many ask, and stops when nobody
//! has used it; its route stays.

use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request};
use slipway::model::{BasePath, Random, SystemClock};
use slipway::net::RequestBody;
use slipway::proxy::{self, Proxy};
use slipway::routers::sources::{Config, Constraint, DockerConfig, Sources};
use slipway::routers::{
    DockerEngine, EntryPoint, Facts, Lazy, LazyConfig, Published, Question, Router, Routers, ServeError, Surroundings,
    Tools,
};
use slipway::tasks::Tasks;
use tokio::runtime::Handle;

use crate::world::SOCKET;

/// Starts, stops and what the table hears of them.
const LIMIT: Duration = Duration::from_secs(30);

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("the docker client");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

struct World {
    routers: Routers,
    mark: String,
    tasks: Tasks,
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.drop_all();
        let _ = Command::new("docker").args(["rm", "-f", &self.mark]).output();
    }
}

impl World {
    /// A container of `image` that was never started, with a route to it.
    async fn new(image: &str) -> Self {
        let mark = format!("swl-{}", Random::from_system().hex::<6>());
        let docker_config = DockerConfig {
            host: format!("unix://{SOCKET}"),
            constraint: Constraint::read(&format!("mark={mark}")).ok(),
            ..DockerConfig::default()
        };
        let config = Config {
            docker: Some(docker_config),
            file: None,
            poll_every: Duration::from_secs(2),
            surroundings: Surroundings {
                base: BasePath::parse("/").expect("a path"),
                hub_host: None,
                default_entry_points: vec![EntryPoint::WebSecure],
            },
        };
        let labels = [
            format!("mark={mark}"),
            "traefik.enable=true".to_owned(),
            "traefik.http.routers.lazy.rule=PathPrefix(`/lazy`)".to_owned(),
            "traefik.http.services.lazy.loadbalancer.server.port=8888".to_owned(),
            "slipway.start=on-request".to_owned(),
            "slipway.idle-after=2s".to_owned(),
        ];
        let mut arguments = vec!["create", "--name", &mark];
        arguments.extend(labels.iter().flat_map(|label| ["--label", label]));
        arguments.push(image);
        docker(&arguments);
        let (tasks, clock) = (Tasks::new(Handle::current()), Arc::new(SystemClock));
        let published = Arc::<Published>::default();
        tasks.spawn(Sources::new(config, published.clone(), clock.clone()).watch(tasks.clone()));
        let engine = DockerEngine::new(format!("unix://{SOCKET}"));
        let lazy_config = LazyConfig { stop_timeout_s: 1, ..LazyConfig::default() };
        let lazy = Lazy::new(lazy_config, Arc::new(engine), clock.clone(), tasks.clone());
        let proxy = Proxy::new(proxy::Config::default(), clock.clone(), tasks.clone());
        let tools = Tools::new(clock, proxy.clone(), &Random::from_system());
        let routers = Routers::new(published, proxy, tools, Some(lazy.clone()));
        let running = routers.clone();
        tasks.spawn(lazy.stop_idle(move || running.running_lazy(), tasks.stopping().clone()));
        Self { routers, mark, tasks }
    }

    fn router(&self) -> Option<Arc<Router>> {
        self.routers.find(&Question {
            entry_point: EntryPoint::WebSecure,
            host: "localhost",
            path: "/lazy",
            query: "",
            method: &Method::GET,
            headers: &HeaderMap::new(),
            client: IpAddr::from([127, 0, 0, 1]),
        })
    }

    async fn ask(&self) -> (u16, Option<Arc<ServeError>>) {
        let facts = Facts {
            client: IpAddr::from([127, 0, 0, 1]),
            scheme: "https",
            host: "localhost",
            port: 443,
            is_websocket: false,
            session_cookie: "session",
        };
        let router = self.router().expect("the route is there");
        let request =
            Request::builder().uri("/lazy").header("host", "localhost").body(RequestBody::Empty).expect("one");
        let mut response = self.routers.answer(&router, request, &facts, None, true).await;
        (response.status().as_u16(), response.extensions_mut().remove())
    }

    fn state(&self) -> String {
        docker(&["inspect", "--format", "{{.State.Status}} {{.State.StartedAt}}", &self.mark])
    }
}

async fn until(words: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < LIMIT, "never: {words}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_once_however_many_ask_stops_when_idle_and_starts_again() {
    let world = World::new("slipway-instant:test").await;
    until("a stopped container has its route", || world.router().is_some()).await;
    assert!(world.state().starts_with("created"));
    let begun = Instant::now();
    let all = futures_util::future::join_all((0..20).map(|_| world.ask())).await;
    println!("20 requests to a stopped container: answered within {:?}", begun.elapsed());
    assert!(all.iter().all(|(status, _)| *status == 200), "{all:?}");
    let first = world.state();
    assert!(first.starts_with("running"), "{first}");
    until("it stops when nobody uses it", || world.state().starts_with("exited")).await;
    assert!(world.router().is_some(), "the route of a stopped container stays");
    until("the table knows", || world.routers.running_lazy().is_empty()).await;
    assert_eq!(world.ask().await.0, 200);
    assert_ne!(world.state(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_is_told_of_with_what_it_wrote_last() {
    let world = World::new("slipway-exits:test").await;
    until("a stopped container has its route", || world.router().is_some()).await;
    let (status, error) = world.ask().await;
    let error = error.expect("nobody else answers");
    assert_eq!(status, 502);
    let ServeError::StartFailed { failed } = &*error else { panic!("{error}") };
    assert_eq!((failed.reason.as_str(), failed.log.len()), ("it ended with exit code 7", 3));
}
