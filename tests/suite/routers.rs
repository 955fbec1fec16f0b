//! Routes beyond users through the whole program: who may use them, what their targets see, and what is said of those
//! that are wrong. The file of routes says them; a container's labels are read into the same table.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use slipway::model::{GroupName, UserName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, Wire};
use crate::fake::FakeService;
use crate::world::World;

/// Routers of each kind of access below `/r-…` on the hub's host, one on a host of its own, one in clear text, one
/// whose target is dead, and some that are wrong.
const ROUTES: &str = r#"
http:
  routers:
    public: {rule: "PathPrefix(`/r-public`)", service: target}
    user: {rule: "PathPrefix(`/r-user`)", service: target, access: user}
    admin: {rule: "PathPrefix(`/r-admin`)", service: target, access: admin}
    group: {rule: "PathPrefix(`/r-group`)", service: target, access: "group:team"}
    own: {rule: "Host(`app.test`)", service: target}
    clear: {rule: "PathPrefix(`/r-clear`)", service: target, entryPoints: [web]}
    clear-user: {rule: "PathPrefix(`/r-clear-user`)", service: target, entryPoints: [web], access: user}
    greedy: {rule: "PathPrefix(`/`)", service: target, priority: 1, middlewares: [strip]}
    dead: {rule: "PathPrefix(`/r-dead`)", service: dead}
  middlewares:
    strip: {stripPrefix: {prefixes: ["/cut"]}}
  services:
    target: {loadBalancer: {servers: [{url: "http://TARGET"}]}}
    dead: {loadBalancer: {servers: [{url: "http://127.0.0.1:1"}]}}
"#;

/// The group that one of them is for.
const TEAM: (&str, &str) = ("SLIPWAY_GROUPS", r#"[{name="team"}]"#);

/// A world with these routes in force, and the program that all of them lead to.
pub async fn world_with(routes: &str, more: &[(&str, &str)]) -> (World, FakeService) {
    let target = FakeService::start("target").await;
    let world = World::with(more).await;
    publish(&world, &routes.replace("TARGET", &target.address.to_string())).await;
    (world, target)
}

/// Puts the file of routes there and waits until it is in force.
async fn publish(world: &World, routes: &str) {
    let mut changes = world.app.routers.changes();
    changes.mark_unchanged();
    std::fs::write(world.folder.path().join("routes.yml"), routes).expect("a file");
    let changed = tokio::time::timeout(Duration::from_secs(20), changes.changed()).await;
    assert!(matches!(changed, Ok(Ok(()))), "the file of routes was never read");
}

async fn member(world: &World, name: &str) -> Client {
    let browser = world.user(name).await;
    let (group, user) = (GroupName::parse("team").expect("a name"), UserName::parse(name).expect("a name"));
    world.app.auth.add_to_group("test", &group, &[user]).await.expect("a member");
    browser
}

/// One request as it stands, in clear text; the whole answer.
pub async fn in_clear(world: &World, head: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(world.app.http[0]).await.expect("the plain listener");
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_hears_who_it_is_from_us_alone_and_never_our_session() {
    let (world, _target) = world_with(ROUTES, &[TEAM]).await;
    let alice = member(&world, "alice").await.scripting();
    let forged = [
        "remote-user",
        "remote_user",
        "remote.user",
        "remote-groups",
        "x-forwarded-user",
        "x_forwarded_user",
        "x-forwarded-groups",
        "x-webauth-user",
        "x-slipway-user",
        "x_slipway_admin",
        "x-slipway-admin",
        "x-auth-request-user",
        "x-forwarded-for",
        "x_forwarded_for",
        "x-real-ip",
        "x-forwarded-host",
    ];
    let mut browser = forged.iter().fold(alice.clone(), |client, name| client.with(name, "root"));
    browser = browser.with("connection", "remote-user, x-slipway-user, close").with("x-mine", "stays");
    browser.cookies.push(("theme".into(), "dark".into()));
    let session = alice.cookies.iter().find(|(name, _)| name.starts_with("__Host-Http-slipway")).expect("a session");
    for path in ["/r-user/echo?q=1", "/r-group/echo?q=1"] {
        let seen = browser.get(path).await.is(200).json();
        let headers = &seen["headers"];
        assert!(!seen.to_string().contains(&session.1) && !seen.to_string().contains("root"), "{path}: {seen}");
        for name in ["remote-user", "x-forwarded-user", "x-slipway-user", "x-webauth-user"] {
            assert_eq!(headers[name], "alice", "{path} {name}");
        }
        assert_eq!((&headers["remote-groups"], &headers["x-slipway-admin"]), (&"team".into(), &"false".into()));
        assert_eq!((&headers["x-mine"], &headers["x-forwarded-for"]), (&"stays".into(), &"127.0.0.1".into()));
        assert_eq!((&headers["host"], &seen["target"]), (&alice.host().into(), &path.into()));
        assert!(headers["cookie"].as_str().is_some_and(|cookie| cookie.contains("theme=dark")));
    }
    // A public router is told of nobody, whoever asks.
    let headers = browser.get("/r-public/echo").await.is(200).json()["headers"].to_string();
    assert!(!headers.contains("alice") && !headers.contains("root"), "{headers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_ours_stays_behind_and_a_targets_own_passes() {
    let (world, _target) = world_with(ROUTES, &[]).await;
    world.user_with_server("alice").await;
    let token = world.backend.environment_of("alice")["JUPYTERHUB_API_TOKEN"].clone();
    let client = world.client().with("authorization", &format!("token {token}"));
    let seen = client.get(&format!("/r-public/echo?a=1&token={token}&b=2")).await.is(200).json();
    assert!(!seen.to_string().contains(&token), "{seen}");
    assert_eq!(seen["target"], "/r-public/echo?a=1&b=2");
    // A server's own token opens that server, and no route.
    client.get("/r-user/echo").await.is(403);
    let theirs = world.client().with("authorization", "Bearer of-the-target");
    let seen = theirs.get("/r-public/echo?token=x").await.is(200).json();
    assert_eq!(
        (&seen["headers"]["authorization"], &seen["target"]),
        (&"Bearer of-the-target".into(), &"/r-public/echo?token=x".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_is_sent_to_sign_in_or_told_no() {
    let (world, _target) = world_with(ROUTES, &[TEAM]).await;
    let (alice, root) = (member(&world, "alice").await, world.admin("root").await);
    let bob = world.user("bob").await;
    let nobody = world.client().navigating();
    let sent = nobody.get("/r-user/a%20b?x=1").await.is(302);
    assert_eq!(sent.header("location"), "/hub/login?next=%2Fr-user%2Fa%2520b%3Fx%3D1");
    world.client().get("/r-user/x").await.is(403);
    for (client, path, status) in [
        (&alice, "/r-group/x", 200),
        (&bob, "/r-group/x", 403),
        (&root, "/r-group/x", 200),
        (&alice, "/r-admin/x", 403),
        (&root, "/r-admin/x", 200),
        (&bob, "/r-user/x", 200),
    ] {
        client.get(path).await.is(status);
    }
    assert!(bob.get("/r-group/x").await.text().contains("You are signed in as bob"));
    // No other site's page may use a session there; what is public needs none.
    let elsewhere = alice.scripting().with("sec-fetch-site", "cross-site").with("origin", "https://evil.example");
    assert_eq!(elsewhere.send(Wire::Http1, Method::POST, "/r-user/x", Bytes::new()).await.status, 403);
    assert_eq!(elsewhere.send(Wire::WebSocket, Method::GET, "/r-user/x", Bytes::new()).await.status, 403);
    assert_eq!(elsewhere.send(Wire::Http1, Method::POST, "/r-public/x", Bytes::new()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_pass_by_both_protocols_and_end_with_the_session() {
    let (world, _target) = world_with(ROUTES, &[]).await;
    let alice = world.user("alice").await;
    for wire in [Wire::WebSocket, Wire::WebSocketOverHttp2] {
        let status = alice.scripting().send(wire, Method::GET, "/r-user/ws", Bytes::new()).await.status;
        assert!(matches!(status.as_u16(), 101 | 200), "{wire:?}: {status}");
        let status = world.client().send(wire, Method::GET, "/r-user/ws", Bytes::new()).await.status;
        assert_eq!(status, 403, "{wire:?}");
    }
    let (_, stream) = alice.scripting().open_websocket("/r-user/ws").await;
    let mut stream = stream.expect("a websocket");
    alice.get("/hub/logout").await.is(302);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "it goes on after the session's end");
    alice.scripting().get("/r-user/x").await.is(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hubs_own_paths_are_the_hubs_whatever_a_rule_says() {
    let (world, _target) = world_with(ROUTES, &[]).await;
    let nobody = world.client().navigating();
    assert_eq!(nobody.get("/cut/deep").await.is(200).json()["target"], "/deep");
    nobody.get("/hub/login").await.is(200);
    assert!(nobody.get("/user/alice/lab").await.is(302).header("location").starts_with("/hub/login"));
    assert!(world.client().get("/hub/api").await.is(200).text().contains("version"));
    assert!(!nobody.get("/").await.text().contains("secret_of"));
    assert!(!world.client().get("/%68ub/x").await.text().contains("secret_of"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_a_rule_names_is_ours_for_that_router_alone() {
    let (world, _target) = world_with(ROUTES, &[]).await;
    let at = |host: &str| world.client().with("host", host);
    for wire in [Wire::Http1, Wire::Http2] {
        let seen = at("APP.test:8443").send(wire, Method::GET, "/hub/login", Bytes::new()).await.is(200).json();
        assert_eq!((&seen["secret_of"], &seen["headers"]["host"]), (&"target".into(), &"APP.test:8443".into()));
        // A router that names no host answers under any; an unknown one gets no page of the hub.
        assert!(
            !at("other.test").send(wire, Method::GET, "/hub/login", Bytes::new()).await.text().contains("password")
        );
    }
    // A target of its own host may act on the whole of it, but not on our cookies.
    let hostile = at("app.test").get("/hostile").await.is(200);
    assert_eq!(hostile.header("alt-svc"), "h3=\":1\"");
    let hostile = world.client().get("/r-public/hostile").await.is(200);
    for name in ["alt-svc", "clear-site-data", "service-worker-allowed", "cross-origin-opener-policy"] {
        assert!(hostile.headers.get(name).is_none(), "{name} came through");
    }
    let cookies: Vec<_> =
        hostile.headers.get_all("set-cookie").iter().map(|line| line.to_str().expect("text")).collect();
    assert!(cookies.iter().all(|cookie| !cookie.contains("jupyterhub") && !cookie.contains("Domain")), "{cookies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_clear_text_only_routers_that_say_so_answer_and_none_behind_the_sign_in() {
    let (world, _target) = world_with(ROUTES, &[("SLIPWAY_LISTENER_HTTP", "127.0.0.1:0")]).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost");
    let answer = in_clear(&world, &get("/r-clear/x")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""x-forwarded-proto":"http""#), "{answer}");
    for path in ["/r-public/x", "/r-clear-user/x", "/hub/login", "/"] {
        let answer = in_clear(&world, &get(path)).await;
        assert!(
            answer.starts_with("HTTP/1.1 301") && answer.contains("location: https://localhost"),
            "{path}: {answer}"
        );
    }
    // What a stranger says of a proxy in front of us counts for nothing.
    let claims = format!("{}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 6.6.6.6", get("/r-clear/x"));
    let answer = in_clear(&world, &claims).await;
    assert!(!answer.contains("6.6.6.6") && answer.contains(r#""x-forwarded-proto":"http""#), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_target_is_told_of_as_a_page_to_people_and_as_json_to_programs() {
    let (world, _target) = world_with(ROUTES, &[]).await;
    let page = world.client().navigating().get("/r-dead/x").await.is(502);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text().contains("The program behind this page does not answer"), "{}", page.text());
    let json = world.client().get("/r-dead/x").await.is(502).json();
    assert_eq!(json["message"], "It is stopped, or it is starting.");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_routes_is_said_with_place_and_cure_and_the_rest_stands() {
    let routes = r#"
http:
  routers:
    good: {rule: "PathPrefix(`/good`)", service: target}
    lost: {rule: "PathPrefix(`/lost`)", service: target, middlewares: [auht]}
    taken: {rule: "PathPrefix(`/user/alice`)", service: target}
    odd: {rule: "PathPrefx(`/odd`)", service: target}
    nowhere: {rule: "PathPrefix(`/nowhere`)", service: missing}
  middlewares:
    auth: {basicAuth: {users: ["a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="]}}
  services:
    target: {loadBalancer: {servers: [{url: "http://TARGET"}]}}
"#;
    let (world, _target) = world_with(routes, &[]).await;
    let root = world.admin("root").await.scripting();
    root.get("/good/x").await.is(200);
    let told = root.get("/hub/api/routes").await.is(200).json();
    let problems: Vec<String> = told["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            format!("{}: {}", one["place"].as_str().unwrap_or_default(), one["text"].as_str().unwrap_or_default())
        })
        .collect();
    let said = |words: &str| {
        assert!(problems.iter().any(|problem| problem.contains(words)), "{words:?} is not said: {problems:#?}");
    };
    said("routes.yml:5");
    said("auht@file");
    said("did you mean auth@file?");
    said("the hub's own path");
    said("PathPrefx");
    said("missing@file");
    assert_eq!(told["routers"].as_array().map(Vec::len), Some(1), "{told}");
    let page = root.navigating().get("/hub/routes").await.is(200).text();
    assert!(page.contains("things are wrong") && page.contains("good@file"), "{page}");
}
