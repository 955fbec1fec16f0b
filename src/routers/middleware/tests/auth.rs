//! Names, passwords, and services that decide.

use std::time::Duration;

use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const USERS: &str = "test:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/,test2:$apr1$d9hr9HBB$4HxwgUir3HP4EsggP/QNo0";

fn with(name_and_password: &str) -> Request<RequestBody> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(name_and_password);
    request(Method::GET, "/", &[("authorization", &format!("Basic {encoded}"))])
}

#[tokio::test]
async fn a_right_pair_passes_and_the_target_hears_the_name() {
    let world =
        World::of("basicAuth", &[("users", USERS), ("headerField", "X-WebAuth-User"), ("removeHeader", "true")]);
    // Twice: the second is remembered.
    for _ in 0..2 {
        assert_eq!(world.send(with("test2:test2")).await.status().as_u16(), 200);
        assert_eq!(world.seen().headers()["x-webauth-user"], "test2");
        assert!(!world.seen().headers().contains_key("authorization"));
    }
    world.clock.move_by(Duration::from_secs(3_600));
    assert_eq!(world.send(with("test2:test2")).await.status().as_u16(), 200);
}

#[tokio::test]
async fn anything_else_is_asked_again() {
    let world = World::of("basicAuth", &[("users", USERS), ("realm", "a \"b\"")]);
    let answer = world.get("/").await;
    assert_eq!(
        (answer.status().as_u16(), said(&answer, "www-authenticate")),
        (401, Some("Basic realm=\"a \\\"b\\\"\""))
    );
    for pair in ["test:wrong", "nobody:test", "test", ":", "test:", "test2:test"] {
        assert_eq!(world.send(with(pair)).await.status().as_u16(), 401, "{pair}");
    }
    let twice = request(Method::GET, "/", &[("authorization", "Basic dGVzdDp0ZXN0"), ("authorization", "Basic eA==")]);
    assert_eq!(world.send(twice).await.status().as_u16(), 401);
    assert_eq!(world.seen_count(), 0);
    assert_eq!(World::of("basicAuth", &[]).send(with("a:b")).await.status().as_u16(), 401);
}

#[tokio::test]
async fn users_come_from_a_file_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users");
    std::fs::write(&path, "# people\n\ntest:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n").expect("written");
    let path = path.to_str().expect("text");
    assert_eq!(World::of("basicAuth", &[("usersFile", path)]).send(with("test:test")).await.status().as_u16(), 200);
    std::fs::write(path, "root:*:0:secret\n").expect("written");
    let text = refused("basicAuth", &[("usersFile", path)]);
    assert!(text.contains("line 1") && !text.contains("secret"), "{text}");
    assert!(refused("basicAuth", &[("usersFile", "/dev/zero")]).contains("is no file"));
}

/// A service that says `answer` to everything, and what it heard.
async fn service(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/verify?x=1", listener.local_addr().expect("bound"));
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            notes.lock().push(String::from_utf8(head).expect("text"));
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, heard)
}

#[tokio::test]
async fn a_service_is_asked_and_what_it_says_of_the_caller_passes() {
    let (address, heard) =
        service("HTTP/1.1 200 OK\r\nx-user: alice\r\nx-auth-mail: a@b\r\nx-not: x\r\nset-cookie: s=1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let world = World::of(
        "forwardAuth",
        &[
            ("address", &address),
            ("authResponseHeaders", "X-User"),
            ("authResponseHeadersRegex", "^X-Auth-"),
            ("addAuthCookiesToResponse", "s"),
        ],
    );
    let asked = request(
        Method::POST,
        "/path?q=1",
        &[
            ("cookie", "a=1; __Host-Http-slipway-0123=secret"),
            ("x-user", "forged"),
            ("x-auth-forged", "1"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
        ],
    );
    let answer = world.send(asked).await;
    assert_eq!((answer.status().as_u16(), said(&answer, "set-cookie")), (200, Some("s=1")));
    let seen = world.seen();
    assert_eq!(
        (&seen.headers()["x-user"], &seen.headers()["x-auth-mail"]),
        (&"alice".parse().expect("a value"), &"a@b".parse().expect("a value"))
    );
    assert!(!seen.headers().contains_key("x-auth-forged") && !seen.headers().contains_key("x-not"));

    let heard = heard.lock()[0].clone();
    assert!(heard.starts_with("GET /verify?x=1 HTTP/1.1\r\n"), "{heard}");
    for line in [
        "x-forwarded-for: 192.0.2.1",
        "x-forwarded-method: POST",
        "x-forwarded-proto: https",
        "x-forwarded-host: app.example:8443",
        "x-forwarded-uri: /path?q=1",
        "cookie: a=1",
    ] {
        assert!(heard.contains(&format!("\r\n{line}\r\n")), "{line}: {heard}");
    }
    assert!(!heard.contains("secret") && !heard.contains("x-hop") && !heard.contains("\r\nte:"), "{heard}");
}

#[tokio::test]
async fn its_refusal_is_the_answer() {
    let (address, _) = service(
        "HTTP/1.1 302 Found\r\nlocation: /login\r\nset-cookie: n=1\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno",
    )
    .await;
    let world = World::of("forwardAuth", &[("address", &address)]);
    let answer = world.get("/").await;
    let expected = address.replace("/verify?x=1", "/login");
    assert_eq!((answer.status().as_u16(), said(&answer, "location")), (302, Some(expected.as_str())));
    assert_eq!((said(&answer, "set-cookie"), world.seen_count()), (Some("n=1"), 0));
    assert_eq!(body_of(answer).await.expect("a body"), "no");
    let kept = World::of("forwardAuth", &[("address", &address), ("preserveLocationHeader", "true")]);
    assert_eq!(said(&kept.get("/").await, "location"), Some("/login"));
}

#[tokio::test]
async fn without_a_sound_answer_nobody_passes() {
    let world = World::of("forwardAuth", &[("address", "http://127.0.0.1:1/")]);
    assert_eq!((world.get("/").await.status().as_u16(), world.seen_count()), (500, 0));
    let (address, _) = service("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    let world = World::of("forwardAuth", &[("address", &address), ("maxResponseBodySize", "4")]);
    assert_eq!((world.get("/").await.status().as_u16(), world.seen_count()), (401, 0));
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_sent_there() {
    let (address, _) = service("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    let world = World::of("forwardAuth", &[("address", &address), ("authSigninURL", "https://login.example/")]);
    let answer = world.get("/").await;
    assert_eq!((answer.status().as_u16(), said(&answer, "location")), (302, Some("https://login.example/")));
}
