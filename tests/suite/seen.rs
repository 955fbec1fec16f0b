//! What can be seen of the program from outside, and what it lets through: request ids, traces, health, limits, and logs.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Client, Wire};
use crate::world::World;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_request_has_one_id_for_the_client_the_upstream_and_the_page() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await.scripting();
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = alice.send(wire, Method::GET, "/user/alice/lab", Bytes::new()).await.is(200);
        let id = answer.header("x-request-id").to_owned();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(answer.json()["headers"]["x-request-id"], id.as_str());

        let mine = alice.clone().with("x-request-id", "mine-1");
        let answer = mine.send(wire, Method::GET, "/user/alice/lab", Bytes::new()).await.is(200);
        assert_eq!(answer.header("x-request-id"), "mine-1");
        assert_eq!(answer.json()["headers"]["x-request-id"], "mine-1");

        let bad = alice.clone().with("x-request-id", "a b<script>");
        let answer = bad.send(wire, Method::GET, "/user/alice/lab", Bytes::new()).await.is(200);
        assert!(!answer.header("x-request-id").contains('<') && !answer.text().contains("<script>"));
    }
    let page = world.client().navigating().with("x-request-id", "seen-on-a-page").get("/user/alice/../x").await.is(400);
    assert!(page.text().contains("Request seen-on-a-page"), "{}", page.text());
    let hubs = alice.navigating().with("x-request-id", "seen-on-the-hubs-page").get("/hub/never").await.is(404);
    assert!(hubs.text().contains("Request <code>seen-on-the-hubs-page</code>"), "{}", hubs.text());
    assert_eq!(world.client().get("/hub/login").await.is(200).header("x-request-id").len(), 32);
}

#[tokio::test]
async fn without_traces_a_traceparent_passes_as_it_came() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await.scripting();
    let answer = alice.with("traceparent", TRACEPARENT).with("tracestate", "a=b").get("/user/alice/lab").await.is(200);
    assert_eq!(answer.json()["headers"]["traceparent"], TRACEPARENT);
    assert_eq!(answer.json()["headers"]["tracestate"], "a=b");
}

/// Takes one message of OTLP over HTTP and answers it; returns its head and what is in it.
async fn collect(listener: &TcpListener) -> (String, Value) {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut bytes = Vec::new();
    let (head, length) = loop {
        stream.read_buf(&mut bytes).await.expect("read");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let length: usize = length.parse().expect("a number");
        if body.len() >= length {
            break (head.to_owned(), length);
        }
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.expect("answered");
    let message = serde_json::from_slice(&bytes[bytes.len() - length..]).expect("JSON");
    (head, message)
}

#[tokio::test]
async fn collected_requests_reach_a_collector_as_otlp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().expect("an address"));
    let world = World::with(&[
        ("SLIPWAY_TRACE_OTLP_ENDPOINT", &endpoint),
        ("SLIPWAY_TRACE_SAMPLE_RATIO", "1"),
        ("SLIPWAY_TRACE_OTLP_HEADERS", "authorization=Bearer%20abc"),
    ])
    .await;
    let alice = world.user_with_server("alice").await.scripting();
    let answer = alice.with("traceparent", TRACEPARENT).get("/user/alice/lab?token=hidden").await.is(200);
    let onward = answer.json()["headers"]["traceparent"].as_str().expect("passed on").to_owned();
    assert!(onward.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && onward != TRACEPARENT, "{onward}");

    let looking = async {
        loop {
            let (head, message) = collect(&listener).await;
            assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
            assert!(
                head.contains("authorization: Bearer abc") && head.contains("content-type: application/json"),
                "{head}"
            );
            assert!(!message.to_string().contains("hidden"), "a secret");
            let resource = &message["resourceSpans"][0];
            assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "slipway");
            let spans = resource["scopeSpans"][0]["spans"].as_array().expect("spans").clone();
            if let Some(ours) = spans.iter().find(|span| span["parentSpanId"] == "b7ad6b7169203331") {
                // What the proto of OpenTelemetry reads of it was compared with PyPI's opentelemetry-proto.
                if let Some(file) = std::env::var_os("SLIPWAY_KEEP_OTLP") {
                    std::fs::write(file, message.to_string()).expect("written");
                }
                return (ours.clone(), spans);
            }
        }
    };
    let (ours, spans) = tokio::time::timeout(Duration::from_secs(20), looking).await.expect("the span arrives");
    assert_eq!(ours["traceId"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(ours["name"], "GET server");
    let below = spans.iter().find(|span| span["parentSpanId"] == ours["spanId"]).expect("the upstream's");
    assert!(onward.contains(below["spanId"].as_str().expect("an id")), "the upstream's own span hangs below it");
}

#[tokio::test]
async fn whoever_watches_us_asks_at_paths_that_no_setting_moves() {
    let world = World::with(&[("SLIPWAY_BASE_URL", "/jupyterhub"), ("SLIPWAY_METRICS_LISTEN", "127.0.0.1:0")]).await;
    let client = world.client();
    for path in ["/healthz", "/readyz", "/ping"] {
        for wire in [Wire::Http1, Wire::Http2] {
            let answer = client.send(wire, Method::GET, path, Bytes::new()).await.is(200);
            assert_eq!(answer.text(), "OK\n", "{path}");
            let answer = client.send(wire, Method::HEAD, path, Bytes::new()).await.is(200);
            assert_eq!((answer.text(), answer.header("content-length")), (String::new(), "3"), "{wire:?} {path}");
        }
    }
    for path in ["/hub/health", "/hub/api/health", "/jupyterhub/hub/health", "/jupyterhub/hub/api/health"] {
        assert_eq!(client.get(path).await.is(200).json()["status"], "ok", "{path}");
    }
    assert!(asked(world.app.private, "/healthz", "slipway").await.starts_with("HTTP/1.1 200"));

    // Of their own address everybody who reaches it may read.
    let own = world.app.figures[0];
    assert!(asked(own, "/metrics", "x").await.contains("slipway_build_info"));
    assert!(asked(own, "/readyz", "x").await.starts_with("HTTP/1.1 200"));
    assert!(asked(own, "/hub/login", "x").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn why_it_is_not_ready_is_for_those_who_may_read_the_figures() {
    let world = World::new().await;
    world.admin("root").await;
    world.add_user("alice", false).await;
    // The generated certificate is good for some years; sessions are not.
    world.clock.advance(Duration::from_secs(10 * 365 * 24 * 3600));
    assert_eq!(world.client().get("/readyz").await.is(503).text(), "not ready\n");
    let alice = world.sign_in("alice").await.scripting();
    assert_eq!(alice.get("/readyz").await.is(503).text(), "not ready\n");
    assert_eq!(world.client().get("/healthz").await.is(200).text(), "OK\n", "it lives");
    let root = world.sign_in("root").await.scripting();
    let answer = root.get("/readyz").await.is(503).text();
    assert!(answer.contains("has ended"), "{answer}");
}

/// A plain request by itself.
async fn asked(address: SocketAddr, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer
}

async fn statuses(client: &Client, wire: Wire, path: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(client.send(wire, Method::GET, path, Bytes::new()).await.status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn a_user_who_asks_too_often_is_told_when_to_come_back_and_nobody_else_is() {
    // 60 at once. The window is a minute, so that few counts leave it while the test runs.
    let settings = [("SLIPWAY_LIMITS_REQUESTS_PER_USER_PER_S", "1"), ("SLIPWAY_LIMITS_WINDOW_S", "60")];
    let world = World::with(&settings).await;
    let alice = world.user_with_server("alice").await.scripting();
    let bob = world.user_with_server("bob").await.scripting();
    let passed = statuses(&alice, Wire::Http1, "/user/alice/lab", 70).await;
    assert!(passed.contains(&200) && passed.ends_with(&[429; 5]), "{passed:?}");
    for wire in Wire::ALL {
        let answer = alice.send(wire, Method::GET, "/user/alice/ws", Bytes::new()).await.is(429);
        let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    assert_eq!(alice.get("/hub/api/user").await.is(429).json()["status"], 429);
    let page = alice.clone().navigating().get("/hub/home").await.is(429);
    assert!(page.text().contains("Too many requests") && page.header("content-type").starts_with("text/html"));
    assert_eq!(statuses(&bob, Wire::Http2, "/user/bob/lab", 3).await, [200; 3]);
    assert_eq!(statuses(&alice, Wire::Http1, "/healthz", 3).await, [200; 3], "health is exempt");
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_slowed_whoever_signs_in_there() {
    let settings = [
        ("SLIPWAY_LIMITS_REQUESTS_PER_ADDRESS_PER_S", "1"),
        ("SLIPWAY_LIMITS_WINDOW_S", "60"),
        ("SLIPWAY_LISTENER_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let world = World::with(&settings).await;
    let from = |address: &str| world.client().with("x-forwarded-for", address).with("x-forwarded-proto", "https");
    let passed = statuses(&from("192.0.2.1"), Wire::Http1, "/hub/login", 70).await;
    assert!(passed.contains(&200) && passed.ends_with(&[429; 5]), "{passed:?}");
    assert_eq!(statuses(&from("192.0.2.2"), Wire::Http1, "/hub/login", 1).await, [200], "its proxy is the same");
    let passed = statuses(&from("2001:db8::1"), Wire::Http2, "/hub/login", 70).await;
    assert!(passed.ends_with(&[429; 5]), "{passed:?}");
    assert_eq!(statuses(&from("2001:db8::ffff:1"), Wire::Http2, "/hub/login", 1).await, [429], "the same /64");
    assert_eq!(statuses(&from("2001:db8:0:1::1"), Wire::Http2, "/hub/login", 1).await, [200]);
    // Servers report by the private door.
    for _ in 0..70 {
        let answer = asked(world.app.private, "/hub/api/", "slipway").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn no_more_than_so_many_requests_of_a_user_are_answered_at_once() {
    let world = World::with(&[("SLIPWAY_LIMITS_IN_FLIGHT_PER_USER", "2")]).await;
    let alice = world.user_with_server("alice").await.scripting();
    // An answer that goes on holds its place; an open WebSocket holds none.
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(alice.open_websocket("/user/alice/ws").await);
    }
    assert!(open.iter().all(|(answer, _)| answer.status == 101));
    assert_eq!(statuses(&alice, Wire::Http1, "/user/alice/lab", 10).await, [200; 10]);
    let held = [hold_events(&alice).await, hold_events(&alice).await];
    let answer = alice.get("/user/alice/lab").await.is(429);
    assert_eq!(answer.header("retry-after"), "1");
    drop(held);
    for _ in 0..100 {
        if alice.get("/user/alice/lab").await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the places were not given back");
}

/// Opens an endless answer and returns its connection once its head has come.
async fn hold_events(client: &Client) -> impl Sized + use<> {
    let mut stream = client.tls(b"http/1.1").await;
    let (host, cookies) = (client.host(), client.cookie_line());
    let request = format!("GET /hub/api/live?of=me HTTP/1.1\r\nhost: {host}\r\ncookie: {cookies}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("asked");
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        stream.read_buf(&mut head).await.expect("read");
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// The lines of the file, once there are so many.
async fn lines(path: &Path, count: usize) -> Vec<Value> {
    for _ in 0..200 {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') && text.lines().count() >= count {
            return text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no {count} lines in {}", path.display());
}

/// The line of the request with this id: those of requests before it may come later than it.
async fn line_of(path: &Path, id: &str) -> Value {
    for count in 1..1000 {
        if let Some(line) = lines(path, count).await.into_iter().find(|line| line["request_X-Request-Id"] == id) {
            return line;
        }
    }
    panic!("no line of {id} in {}", path.display());
}

#[tokio::test]
async fn the_access_log_tells_how_often_a_request_was_sent_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let file = path.to_str().expect("text");
    let routes = "http: {routers: {dead: {rule: \"PathPrefix(`/r-dead`)\", service: dead, middlewares: [again]}}, \
                  middlewares: {again: {retry: {attempts: 3}}}, \
                  services: {dead: {loadBalancer: {servers: [{url: \"http://127.0.0.1:1\"}]}}}}";
    let settings = [("SLIPWAY_LOG_ACCESS", "traefik"), ("SLIPWAY_LOG_ACCESS_FILE", file)];
    let (world, _target) = crate::routers::world_with(routes, &settings).await;
    world.client().with("x-request-id", "r-1").get("/r-dead/x").await.is(502);
    let line = line_of(&path, "r-1").await;
    assert_eq!((&line["RetryAttempts"], &line["RouterName"]), (&2.into(), &"dead@file".into()), "{line}");
}

#[tokio::test]
async fn the_access_log_tells_who_asked_what_and_which_server_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let file = path.to_str().expect("text");
    let world = World::with(&[("SLIPWAY_LOG_ACCESS", "traefik"), ("SLIPWAY_LOG_ACCESS_FILE", file)]).await;
    let alice = world.user_with_server("alice").await.scripting();
    let asking = alice.with("x-request-id", "r-1").with("referer", "https://x.example/?token=hidden");
    asking
        .with("user-agent", "test/1")
        .send(Wire::Http2, Method::POST, "/user/alice/lab?token=hidden", "hello".into())
        .await
        .is(200);
    let line = line_of(&path, "r-1").await;
    for (field, expected) in [
        ("ClientUsername", "alice"),
        ("RequestMethod", "POST"),
        ("RequestPath", "/user/alice/lab?token=***"),
        ("RequestProtocol", "HTTP/2.0"),
        ("RouterName", "slipway-servers@internal"),
        ("entryPointName", "websecure"),
        ("request_X-Request-Id", "r-1"),
        ("request_Referer", "https://x.example/?token=***"),
        ("request_User-Agent", "test/1"),
    ] {
        assert_eq!(line[field], expected, "{field} in {line}");
    }
    assert_eq!((&line["OriginStatus"], &line["RequestContentSize"]), (&200.into(), &5.into()));
    assert!(line["ServiceURL"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")), "{line}");
    assert!(!std::fs::read_to_string(&path).expect("the file").contains("hidden"));
}
