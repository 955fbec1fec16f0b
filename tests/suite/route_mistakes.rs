//! Mistakes in labels and in the file of routes, through the whole program: what is said of them, word for word, and that
//! the rest stands. The engine whose containers are read is one that this test leads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::Notify;

use crate::client::Client;
use crate::commands;
use crate::fake::FakeService;
use crate::world::World;

/// What takes two looks at the file, or a lost engine and its return.
const LIMIT: Duration = Duration::from_secs(20);

/// An engine, as far as its containers are read, started and stopped. Those that are lazy run when somebody has started them.
struct Engine {
    containers: Vec<Value>,
    is_awake: AtomicBool,
    has_news: Notify,
}

impl Engine {
    fn start(socket: &Path, containers: Vec<Value>) -> Arc<Self> {
        let engine = Arc::new(Self { containers, is_awake: AtomicBool::new(false), has_news: Notify::new() });
        let listener = UnixListener::bind(socket).expect("a socket");
        let answering = engine.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let engine = answering.clone();
                let answer = service_fn(move |request| answer(engine.clone(), request));
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        engine
    }

    fn list(&self) -> Value {
        let is_awake = self.is_awake.load(Ordering::SeqCst);
        let seen = |container: &Value| {
            let mut container = container.clone();
            if !is_awake && container["Labels"]["slipway.start"] == "on-request" {
                (container["State"], container["Status"]) = ("exited".into(), "Exited (0)".into());
            }
            container
        };
        self.containers.iter().map(seen).collect()
    }
}

async fn answer(
    engine: Arc<Engine>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let path = request.uri().path();
    let is_awake = engine.is_awake.load(Ordering::SeqCst);
    let (status, body) = match (request.method(), path.rsplit('/').next().unwrap_or_default()) {
        (&Method::GET, "version") => {
            (200, json!({"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"}))
        }
        (&Method::GET, "json") if path.ends_with("/containers/json") => (200, engine.list()),
        (&Method::GET, "json") if path.contains("/containers/lazy") => {
            (200, json!({"Id": "lazy", "State": {"Running": is_awake}}))
        }
        (&Method::GET, "events") => {
            engine.has_news.notified().await;
            (200, json!({"Type": "container", "Action": "start", "Actor": {"ID": "lazy", "Attributes": {}}}))
        }
        (&Method::POST, "start") => {
            engine.is_awake.store(true, Ordering::SeqCst);
            engine.has_news.notify_one();
            (204, Value::Null)
        }
        _ => (404, json!({"message": "there is no such thing"})),
    };
    let body = if body.is_null() { Full::default() } else { Full::from(format!("{body}\n")) };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response.headers_mut().insert("content-type", "application/json".parse().expect("a value"));
    Ok(response)
}

/// A running container with these labels and `traefik.enable`, at 127.0.0.1.
fn container(name: &str, labels: &[(&str, &str)]) -> Value {
    let mut all: serde_json::Map<_, _> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    all.insert("traefik.enable".to_owned(), "true".into());
    json!({
        "Id": name, "Names": [format!("/{name}")], "Image": "any", "State": "running", "Status": "Up 5 minutes", "Labels": all,
        "Ports": [{"PrivatePort": 8000, "Type": "tcp"}], "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "127.0.0.1"}}},
    })
}

fn socket_in(world: &tempfile::TempDir) -> PathBuf {
    world.path().join("engine.sock")
}

/// A world that reads the labels of the engine on this socket, whether it is there yet or not.
async fn world_of(socket: &Path) -> World {
    let host = format!("unix://{}", socket.display());
    World::with(&[("SLIPWAY_ROUTERS_DOCKER_ENABLE", "true"), ("SLIPWAY_SPAWNER_DOCKER_HOST", &host)]).await
}

async fn routes_of(root: &Client) -> Value {
    root.get("/hub/api/routes").await.is(200).json()
}

/// Waits until the API tells what is wanted of the routes.
async fn until(root: &Client, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = tokio::time::Instant::now();
    loop {
        let told = routes_of(root).await;
        if is_so(&told) {
            return told;
        }
        assert!(begun.elapsed() < LIMIT, "never: {what}: {told:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn problems_of(told: &Value) -> Vec<String> {
    let text = |one: &Value, part: &str| one[part].as_str().unwrap_or_default().to_owned();
    let all = told["problems"].as_array().expect("a list");
    all.iter().map(|one| format!("{}: {}", text(one, "place"), text(one, "text"))).collect()
}

fn routers_of(told: &Value) -> Vec<&str> {
    told["routers"].as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_in_a_label_is_told_with_its_container_and_its_cure_and_the_rest_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = FakeService::start("target").await;
    let port = target.address.port().to_string();
    let containers = vec![
        container(
            "good",
            &[
                ("traefik.http.routers.good.rule", "PathPrefix(`/good`)"),
                ("traefik.http.services.good.loadbalancer.server.port", &port),
            ],
        ),
        container("odd", &[("traefik.http.routers.odd.rule", "PathPrefx(`/odd`)")]),
        container("taken", &[("traefik.http.routers.taken.rule", "PathPrefix(`/hub/login`)")]),
        container(
            "lost",
            &[
                ("traefik.http.routers.lost.rule", "PathPrefix(`/lost`)"),
                ("traefik.http.routers.lost.middlewares", "lost-auht"),
                ("traefik.http.middlewares.lost-auth.basicauth.users", "a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="),
            ],
        ),
        container(
            "plugged",
            &[
                ("traefik.http.routers.plugged.rule", "PathPrefix(`/plugged`)"),
                ("traefik.http.routers.plugged.middlewares", "digest"),
                ("traefik.http.middlewares.digest.digestauth.users", "a:b:c"),
            ],
        ),
        container("first", &[("traefik.http.routers.same.rule", "PathPrefix(`/one`)")]),
        container("second", &[("traefik.http.routers.same.rule", "PathPrefix(`/two`)")]),
        container("open", &[("traefik.http.routers.open.rule", "PathPrefix(`/open`)"), ("slipway.access", "staff")]),
        container("old", &[("traefik.frontend.rule", "Host:a")]),
        container("raw", &[("traefik.tcp.routers.raw.rule", "HostSNI(`*`)")]),
        container(
            "mutual",
            &[
                ("traefik.http.routers.mutual.rule", "PathPrefix(`/mutual`)"),
                ("traefik.http.routers.mutual.tls.options", "mtls@file"),
            ],
        ),
    ];
    let _engine = Engine::start(&socket_in(&folder), containers);
    let world = world_of(&socket_in(&folder)).await;
    let root = world.admin("root").await.scripting();
    let told = until(&root, "the good one is there", |told| routers_of(told) == ["good@docker"]).await;
    root.get("/good/x").await.is(200);
    let expected = [
        "container first, label traefik.http.routers.same.rule: router same@docker is said differently here and by container \
         second, label traefik.http.routers.same.rule; neither is published",
        "container lost, label traefik.http.routers.lost.middlewares: router lost@docker is not published: there is no \
         middleware lost-auht@docker; did you mean lost-auth@docker?",
        "container mutual, label traefik.http.routers.mutual.tls.options: tls.options = mtls@file: TLS options are set for \
         the whole listener (listener.tls.*); leave it out, and for a client's certificate write \
         slipway.client-certificate = required",
        "container odd, label traefik.http.routers.odd.rule: rule, column 1: there is no matcher PathPrefx; did you mean \
         PathPrefix?",
        "container old, label traefik.frontend.rule: traefik.frontend is of Traefik v1; write \
         traefik.http.routers.NAME.rule",
        "container open, label slipway.access: access = staff: must be public, user, admin or group:NAME",
        "container plugged, label traefik.http.middlewares.digest.digestauth.users: the middleware digestAuth is not \
         supported: use basicAuth over HTTPS, or slipway.access",
        "container plugged, label traefik.http.routers.plugged.middlewares: router plugged@docker is not published: \
         middleware digest@docker is wrong itself: see there",
        "container raw, label traefik.tcp.routers.raw.rule: TCP routers are not supported, only HTTP; the container's other \
         routers stand",
        "container second, label traefik.http.routers.same.rule: router same@docker is said differently here and by \
         container first, label traefik.http.routers.same.rule; neither is published",
        "container taken, label traefik.http.routers.taken.rule: router taken@docker: /hub/login is the hub's own path, \
         which always goes to the hub; choose another path, or add Host(`…`) of another name",
    ];
    assert_eq!(problems_of(&told), expected);
    // None of them leads anywhere: what no router takes goes to the hub.
    for path in ["/odd", "/lost", "/plugged", "/one", "/two", "/open", "/mutual"] {
        let answer = root.get(path).await.is(302);
        assert_eq!(answer.header("location"), format!("/hub{path}"));
    }
}

/// Nothing is switched off for good because the engine was slower than we.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_comes_up_after_us_is_read_and_starts_containers_on_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = FakeService::start("target").await;
    let world = world_of(&socket_in(&folder)).await;
    let root = world.admin("root").await.scripting();
    let told = until(&root, "the engine is missed", |told| told["sources"][0]["is_well"] == false).await;
    let state = told["sources"][0]["state"].as_str().unwrap_or_default();
    assert!(state.starts_with("not there: connect to the engine: "), "{state}");
    let labels = [
        ("traefik.http.routers.lazy.rule", "PathPrefix(`/lazy`)"),
        ("traefik.http.services.lazy.loadbalancer.server.port", &*target.address.port().to_string()),
        ("slipway.start", "on-request"),
        ("slipway.access", "user"),
    ];
    let engine = Engine::start(&socket_in(&folder), vec![container("lazy", &labels)]);
    until(&root, "its router is there, asleep", |told| told["routers"][0]["health"] == "asleep").await;
    // Strangers start nothing.
    world.client().get("/lazy/x").await.is(403);
    assert!(!engine.is_awake.load(Ordering::SeqCst));
    let seen = root.get("/lazy/echo").await.is(200).json();
    assert_eq!((&seen["target"], &seen["headers"]["remote-user"]), (&json!("/lazy/echo"), &json!("root")));
    assert!(engine.is_awake.load(Ordering::SeqCst));
}

const WRONG: &str = "http:
  routers:
    good: {rule: \"PathPrefix(`/good`)\", service: target}
    lost: {rule: \"PathPrefix(`/lost`)\", service: target, middlewares: [auht]}
    odd: {rule: \"PathPrefx(`/odd`)\", service: target}
  middlewares:
    auth: {basicAuth: {users: [\"a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\"]}}
  services:
    target: {loadBalancer: {servers: [{url: \"http://TARGET\"}]}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_never_good_serves_what_is_right_of_it_and_once_good_a_bad_edit_changes_nothing() {
    let target = FakeService::start("target").await;
    let wrong = WRONG.replace("TARGET", &target.address.to_string());
    let world = World::new().await;
    let root = world.admin("root").await.scripting();
    let write = |text: &str| std::fs::write(world.folder.path().join("routes.yml"), text).expect("a file");
    let file = world.folder.path().join("routes.yml").display().to_string();
    let state = |told: &Value| told["sources"][0]["state"].as_str().unwrap_or_default().to_owned();

    write("http: [");
    let told = until(&root, "no YAML", |told| !problems_of(told).is_empty()).await;
    assert_eq!(state(&told), "watched; one mistake in it: nothing of it is in force");
    assert!(problems_of(&told)[0].starts_with(&format!("{file}:1: is no YAML")), "{told:#}");

    write(&wrong);
    let told = until(&root, "what is right of it", |told| routers_of(told) == ["good@file"]).await;
    assert_eq!(
        problems_of(&told),
        [
            format!(
                "{file}:4: router lost@file is not published: there is no middleware auht@file; did you mean auth@file?"
            ),
            format!("{file}:5: rule, column 1: there is no matcher PathPrefx; did you mean PathPrefix?"),
        ]
    );
    let never = "watched; 2 mistakes in it: it has not been without one yet, so what is right of it is in force";
    assert_eq!(state(&told), never);
    root.get("/good/x").await.is(200);
    assert_ne!(root.get("/lost/x").await.status, 200, "without its middleware it is not served");

    let good = wrong.replace("auht", "auth").replace("PathPrefx", "PathPrefix");
    write(&good);
    let told = until(&root, "all of it", |told| routers_of(told).len() == 3).await;
    assert_eq!((problems_of(&told).len(), state(&told).as_str()), (0, "watched"));

    write(&good.replace("/good", "/better").replace("loadBalancer", "loadBalance"));
    let told = until(&root, "the bad edit is told", |told| !problems_of(told).is_empty()).await;
    let mistake = format!("{file}:9: unknown field loadBalance of target; did you mean loadBalancer?");
    assert!(problems_of(&told).contains(&mistake), "{told:#}");
    assert_eq!(routers_of(&told).len(), 3);
    let kept = "in it: what it said before stays in force";
    assert!(state(&told).ends_with(kept), "{}", state(&told));
    root.get("/good/x").await.is(200);
    let page = root.navigating().get("/hub/routes").await.is(200).text();
    assert!(page.contains(kept), "{page}");
}

#[test]
fn check_reads_the_file_of_routes_and_tells_every_mistake_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |text: &str| {
        std::fs::create_dir_all(folder.path().join("config")).expect("a folder");
        std::fs::write(folder.path().join("config/routes.yml"), text).expect("a file");
    };
    write(&WRONG.replace("TARGET", "127.0.0.1:1"));
    let output = commands::run(folder.path(), &["check"], "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(
        said,
        "slipway: 2 mistakes in the file of routes:\n  config/routes.yml:4: router lost@file is not published: there is no \
         middleware auht@file; did you mean auth@file?\n  config/routes.yml:5: rule, column 1: there is no matcher \
         PathPrefx; did you mean PathPrefix?\n"
    );
    assert!(!commands::text(&output).contains("sound"));
    write(&WRONG.replace("TARGET", "127.0.0.1:1").replace("auht", "auth").replace("PathPrefx", "PathPrefix"));
    let output = commands::run(folder.path(), &["check"], "");
    assert!(output.status.success() && commands::text(&output).ends_with("# The configuration is sound.\n"));
}
