//! The static backend over real sockets.

use super::*;
use crate::model::UserName;
use crate::spawner::backend::{Environment, ResourceLimits};

fn server(user: &str) -> ServerKey {
    ServerKey::default_of(UserName::parse(user).expect("a name"))
}

fn order(user: &str, generation: u64) -> Order {
    Order {
        server: server(user),
        generation: Generation(generation),
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        environment: Environment::default(),
        limits: ResourceLimits::default(),
        image: None,
        extras: super::super::Extras::default(),
        command: None,
        volumes: crate::model::VolumeStem::of(&server(user).user),
    }
}

fn row(user: &str, wanted: bool, handle: Option<Handle>) -> ServerRow {
    ServerRow { generation: Generation(3), handle, wanted, ..ServerRow::new(server(user)) }
}

async fn open(upstream: &str, rows: &[ServerRow]) -> StaticBackend {
    let config = Config { upstream: upstream.parse().expect("an upstream"), connect_timeout_s: 3 };
    StaticBackend::open(config, rows).await.expect("open")
}

#[test]
fn an_upstream_is_an_address_a_name_or_a_socket() {
    let check = |text: &str, expected: Option<Upstream>| assert_eq!(text.parse::<Upstream>().ok(), expected, "{text}");
    let tcp = |host: &str, port| Some(Upstream::Tcp { host: host.into(), port });
    check("http://127.0.0.1:9000", tcp("127.0.0.1", 9000));
    check("http://[::1]:9000/", tcp("::1", 9000));
    check("http://lab", tcp("lab", 80));
    check("unix:/run/lab.sock", Some(Upstream::Unix("/run/lab.sock".into())));
    check("unix:///run/lab.sock", Some(Upstream::Unix("/run/lab.sock".into())));
    let wrong =
        ["", "lab:80", "https://lab", "http://", "http://a@lab:1", "http://lab:70000", "http://lab:1/x", "unix:run"];
    for text in wrong {
        check(text, None);
    }
}

#[tokio::test]
async fn everybody_gets_the_one_address() {
    let backend = open("http://[::1]:9000", &[]).await;
    let running = Sight::Running(UpstreamAddress::Tcp("[::1]:9000".parse().expect("an address")));
    let handle = backend.create(&order("alice", 1)).await.expect("created");
    assert_eq!(backend.start(&handle).await.expect("started"), running);
    assert_eq!(backend.find(&server("bob")).await.expect("an answer"), None);
    backend.create(&order("bob", 7)).await.expect("created");
    assert_eq!(backend.list().await.expect("a list").len(), 2);
    backend.remove(&handle).await.expect("removed");
    assert_eq!(backend.inspect(&handle).await.expect("an answer"), Sight::Gone);
    let found = backend.find(&server("bob")).await.expect("an answer").expect("bob's");
    assert_eq!((found.generation, found.sight), (Generation(7), running));
}

#[tokio::test]
async fn after_a_restart_only_our_own_running_ones_are_there() {
    let foreign = Handle::from(serde_json::json!({ "process": server("carol") }));
    let rows = [
        row("alice", true, Some(handle_of(&server("alice")))),
        row("bob", false, Some(handle_of(&server("bob")))),
        row("carol", true, Some(foreign.clone())),
        row("dave", true, None),
    ];
    let backend = open("unix:/run/lab.sock", &rows).await;
    let mut list = backend.list().await.expect("a list");
    let running = Sight::Running(UpstreamAddress::Unix("/run/lab.sock".into()));
    let expected = |user: &str| Found {
        server: server(user),
        generation: Generation(3),
        handle: handle_of(&server(user)),
        sight: running.clone(),
    };
    list.sort_by(|one, other| one.server.cmp(&other.server));
    assert_eq!(list, [expected("alice"), expected("dave")], "a full disk may have kept dave's handle back");
    assert_eq!(backend.inspect(&foreign).await.expect("an answer"), Sight::Gone);
}

#[tokio::test]
async fn one_that_is_down_is_said_by_its_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let backend = open(&format!("http://{address}"), &[]).await;
    backend.prepare(&server("alice"), None, &|_, _| {}).await.expect("it listens");
    drop(listener);
    let error = backend.prepare(&server("alice"), None, &|_, _| {}).await.expect_err("it is down");
    let sentence = error.for_person();
    assert!(sentence.starts_with(&format!("nothing answers at {address}")), "{sentence}");
}
