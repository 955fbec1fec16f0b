//! Attacks on paths: whatever is asked, nobody reaches a server that is not theirs, and what a server is sent is what
//! was checked.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, TestRunner};

use crate::client::{ANSWER_LIMIT, Client};
use crate::world::World;

/// Pieces from which paths are made: names, the ways to spell a slash, a dot or a name, and what programs cut at.
const PIECES: &[&str] = &[
    "/",
    "/",
    "/",
    "//",
    "%2F",
    "%2f",
    "%252F",
    "\\",
    "%5c",
    ";",
    "%3B",
    "@",
    ":",
    "?",
    "%3F",
    "#",
    "&",
    "=",
    "+",
    ",",
    "%00",
    "%0a",
    "%20",
    "%ff",
    "%c0%af",
    "%e2%80%8b",
    "%EF%BC%8F",
    "..",
    ".",
    "%2e",
    "%2E%2e",
    ".%2e",
    "...",
    "~",
    "*",
    "user",
    "User",
    "%75ser",
    "us%65r",
    "user;x",
    "users",
    "hub",
    "hub/user",
    "%68ub",
    "api",
    "alice",
    "Alice",
    "ALICE",
    "%61lice",
    "alic%65",
    "alice.",
    "alice;",
    "alice@bob",
    "bob",
    "Bob",
    "%62ob",
    "b%6Fb",
    "bob.",
    "bob;x=1",
    "bob%20",
    "bob%00",
    "bob@alice",
    "bob:80",
    "j",
    "%6A",
    "lab",
    "gpu",
    "spawn",
    "spawn-pending",
    "user-redirect",
    "x.ipynb",
    "http://bob/",
    "https:",
    "localhost",
    "static",
    "oauth_callback",
];

fn paths(count: usize) -> Vec<String> {
    let mut runner = TestRunner::new(Config::default());
    let piece = proptest::sample::select(PIECES);
    let piece = || piece.clone();
    let loose = proptest::collection::vec(piece(), 1..9).prop_map(|pieces| format!("/{}", pieces.concat()));
    // Most random paths lead nowhere: these begin as a server's path does.
    let near = (
        proptest::sample::select(&["/user/", "/j/user/", "/%75ser/", "/hub/user/", "/user/alice/", "/user//"][..]),
        proptest::collection::vec(piece(), 1..6),
    )
        .prop_map(|(start, pieces)| format!("{start}{}", pieces.concat()));
    let path = proptest::prop_oneof![loose, near];
    (0..count).map(|_| path.new_tree(&mut runner).expect("a path").current()).collect()
}

/// Sends all of `paths` over one HTTP/2 connection; counts the answers that came.
async fn ask_all(client: &Client, paths: &[String], tasks: usize) -> Vec<(String, http::StatusCode, Bytes)> {
    let cookies: Vec<_> = client.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookies = cookies.join("; ");
    let mut work = tokio::task::JoinSet::new();
    for share in paths.chunks(paths.len().div_ceil(tasks)) {
        let (client, cookies, share) = (client.clone(), cookies.clone(), share.to_vec());
        work.spawn(async move {
            let io = TokioIo::new(client.tls(b"h2").await);
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
            tokio::spawn(connection);
            let mut answers = Vec::new();
            for path in share {
                // What `http` does not take for an address is sent as bytes by the other test.
                let Ok(uri) = format!("https://{}{path}", client.host()).parse::<http::Uri>() else { continue };
                let request = Request::builder().method(Method::GET).uri(uri).header("cookie", &cookies);
                let request = request.body(Full::<Bytes>::default()).expect("a request");
                let exchange = async {
                    let (parts, body) = sender.send_request(request).await.expect("an answer").into_parts();
                    (parts.status, body.collect().await.expect("a body").to_bytes())
                };
                // A limit for each: how long all of them take is a matter of how busy the machine is.
                let answer = tokio::time::timeout(ANSWER_LIMIT, exchange).await;
                let (status, body) = answer.unwrap_or_else(|_| panic!("no answer to {path} in {ANSWER_LIMIT:?}"));
                answers.push((path, status, body));
            }
            answers
        });
    }
    work.join_all().await.concat()
}

async fn nobody_reaches_bob(world: &World, paths: &[String]) -> usize {
    let alice = world.user_with_server("alice").await;
    world.user_with_server("bob").await;
    let mut reached = 0;
    for (path, status, body) in ask_all(&alice.scripting(), paths, 4).await {
        if status == 200 && body.starts_with(b"{") && body.windows(9).any(|window| window == b"secret_of") {
            let answer: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(answer["secret_of"], "alice", "{path} led to somebody else's server");
            reached += 1;
        }
    }
    for seen in world.backend.seen() {
        assert_eq!(seen.server.user.as_str(), "alice", "{} was sent to {}", seen.target, seen.server);
        // Decoded once, it is hers; and it holds nothing that another program would read as another path.
        let path = seen.target.split('?').next().unwrap_or_default();
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8().expect("UTF-8");
        let prefix = world.prefix("alice");
        assert!(decoded.starts_with(&prefix), "{path} is not below {prefix}");
        assert!(!decoded.contains('\\') && !decoded.contains('\0'), "{path}");
        let raw = path.to_ascii_lowercase().replace("%2e", ".");
        assert!(!raw.split('/').any(|segment| segment == "." || segment == ".."), "{path}");
    }
    reached
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_paths_lead_to_ones_own_server_or_nowhere() {
    let world = World::new().await;
    let reached = nobody_reaches_bob(&world, &paths(8_000)).await;
    assert!(reached > 100, "only {reached} paths led anywhere: they test nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_do_they_under_a_base_url() {
    let world = World::with(&[("SLIPWAY_BASE_URL", "/j")]).await;
    let mut paths: Vec<_> = paths(2_000).into_iter().map(|path| format!("/j{path}")).collect();
    paths.extend(
        [
            "/j/user/alice/x",
            "/%6a/user/alice/x",
            "/j/%75ser/%61lice/x",
            "/user/bob/x",
            "/j/../user/bob/x",
            "/j/user/alice/..;/bob/x",
            "/j/user/alice;/../bob/",
            "/j//user/bob/x",
            "/j%2Fuser/bob/x",
            "/j/j/user/bob/x",
        ]
        .map(str::to_owned),
    );
    let reached = nobody_reaches_bob(&world, &paths).await;
    assert!(reached > 2, "only {reached}");
}

/// What a URL library would not let through, as bytes over HTTP/1.1: answered and not forwarded.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_none_are_refused() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    world.user_with_server("bob").await;
    let cookie = alice.cookie_line();
    let host = alice.host();
    for target in [
        "user/alice/x",
        "alice",
        "*",
        "/user/alice/x y",
        "/user/alice/\tx",
        "/user/alice/#/../../bob/",
        "/user/alice/\u{fc}",
        "/user/alice\\..\\bob/",
        "/user/alice/%",
        "/user/alice/%0d%0aX:%20y",
        "http://bob/user/alice/x",
        "http:///user/bob/x",
        "file:///user/alice/x",
        "//user/alice/x",
        "https://localhost@bob/user/alice/",
        "/user/alice/../bob/x",
        "/user/./bob/x",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        let answer = alice.send_bytes(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 505 "), "{target}: {answer}");
    }
    // An absolute address for our own host is the same request.
    let request = format!(
        "GET https://{host}/user/alice/x HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    );
    assert!(alice.send_bytes(request.as_bytes()).await.contains("\"secret_of\":\"alice\""));
    assert!(
        world.backend.seen().iter().all(|seen| seen.server.user.as_str() == "alice" && seen.target == "/user/alice/x")
    );
}

/// Names of other users that contain a user's name, and the characters that URLs give a meaning.
#[tokio::test(flavor = "multi_thread")]
async fn odd_names_keep_apart() {
    let world = World::new().await;
    let names = ["a", "a@b", "a;b", "a.", "a%2fb", "a+b", "a?b", "a#b", "user", "hub", "a\u{e9}", "ae\u{301}", "a:80"];
    let mut browsers = Vec::new();
    for name in names {
        browsers.push((name, world.user_with_server(name).await));
    }
    for (name, browser) in &browsers {
        for (other, _) in &browsers {
            let path = format!("{}x", world.prefix(other));
            let answer = browser.scripting().get(&path).await;
            if name == other {
                assert_eq!(answer.is(200).json()["secret_of"], *name);
            } else {
                answer.is(404);
            }
        }
    }
    assert_eq!(world.backend.creates(), names.len(), "two names shared a container");
}

/// `Host` decides nothing but whether we answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_ours_gets_nothing() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    let (cookie, port) = (alice.cookie_line(), world.address().port());
    for host in [
        "evil.example",
        "localhost.",
        "localhost.evil.example",
        "bob.localhost.nip.io",
        "slipway",
        "127.0.0.1.nip.io",
        "0x7f.1",
        "localhost:443:443",
        "a@localhost",
        "localhost/x",
        "",
        "[::1",
        "loc\u{e0}lhost",
    ] {
        let request =
            format!("GET /user/alice/x HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        let answer = alice.send_bytes(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 421 ") || answer.starts_with("HTTP/1.1 400 "), "{host}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("location:"), "{host}: {answer}");
    }
    let host = format!("localhost:{port}");
    for extra in ["Host: evil.example\r\n", "Host: localhost\r\n"] {
        let request = format!("GET /hub/login HTTP/1.1\r\nHost: {host}\r\n{extra}Connection: close\r\n\r\n");
        assert!(alice.send_bytes(request.as_bytes()).await.starts_with("HTTP/1.1 400 "));
    }
}
