//! Signing up, in and out: who is let in, and how everything of theirs ends.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Answer, Client, Wire};
use crate::world::{PASSWORD, World, sign_up_at, take_cookies, xsrf_of};

/// Ends are seen within this.
const WITHIN: Duration = Duration::from_secs(1);

async fn sign_up(world: &World, path: &str, name: &str, code: &str) -> Answer {
    sign_up_at(&world.client().navigating(), path, name, code).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_comes_in_with_the_setup_code_and_nobody_else_does() {
    let world = World::new().await;
    let code = world.app.auth.setup_window().expect("nobody administers yet").code.expect("a code");
    sign_up(&world, "/hub/signup", "admin", "wrong").await;
    assert!(world.app.auth.setup_window().is_some(), "a wrong code made an administrator");
    sign_up(&world, &format!("/hub/signup?code={}", code.expose()), "admin", code.expose()).await;
    assert!(world.app.auth.setup_window().is_none(), "the window is still open");
    world.sign_in("admin").await.get("/hub/admin").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_else_waits_for_approval() {
    let world = World::new().await;
    let admin = world.admin("root").await;
    sign_up(&world, "/hub/signup", "alice", "").await.is(200);
    let refused = {
        let browser = world.client().navigating();
        let page = browser.get("/hub/login").await.is(200);
        let xsrf = xsrf_of(&page.text());
        take_cookies(browser, &page)
            .post_form("/hub/login", &[("username", "alice"), ("password", PASSWORD), ("_xsrf", &xsrf)])
            .await
    };
    assert_eq!(refused.status, 403);
    let list = admin.get("/hub/admin").await.is(200).text();
    assert!(list.contains("alice"), "{list}");
    admin.post_form("/hub/authorize/alice", &[("_xsrf", &xsrf_of(&list))]).await.is(303);
    world.sign_in("alice").await.get("/hub/home").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_and_a_wrong_password_get_the_same_answer() {
    let world = World::new().await;
    world.add_user("alice", false).await;
    let mut answers = Vec::new();
    for (name, password) in [("alice", "wrong password"), ("nobody", "wrong password")] {
        let browser = world.client().navigating();
        let page = browser.get("/hub/login").await.is(200);
        let xsrf = xsrf_of(&page.text());
        let answer = take_cookies(browser, &page)
            .post_form("/hub/login", &[("username", name), ("password", password), ("_xsrf", &xsrf)])
            .await;
        let text = answer.text().replace(&xsrf_of(&answer.text()), "XSRF").replace(name, "NAME");
        answers.push((answer.status, text));
    }
    assert_eq!(answers[0].0, 403);
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_its_token_changes_nothing() {
    let world = World::new().await;
    world.add_user("alice", false).await;
    let browser = world.client().navigating();
    browser.post_form("/hub/login", &[("username", "alice"), ("password", PASSWORD)]).await.is(403);
    let alice = world.sign_in("alice").await;
    let fields = [
        ("old_password", PASSWORD),
        ("new_password", "another password"),
        ("new_password_confirmation", "another password"),
    ];
    alice.post_form("/hub/change-password", &fields).await.is(403);
    world.sign_in("alice").await;
}

/// Opens everything that a session can hold open: a streaming answer and a WebSocket over each protocol.
async fn everything_ends_when(world: &World, browser: &Client, deed: impl AsyncFnOnce()) {
    let mut socket = browser.open_websocket("/user/alice/ws").await.1.expect("a WebSocket");
    socket.write_all(b"echo").await.expect("written");
    let mut echo = [0; 4];
    socket.read_exact(&mut echo).await.expect("the server echoes");
    assert_eq!(&echo, b"echo");
    let (mut send, mut receive) = browser.open_websocket_over_http2("/user/alice/ws").await.1.expect("a WebSocket");
    send.send_data(Bytes::from_static(b"echo"), false).expect("sent");
    assert_eq!(receive.data().await.expect("data").expect("the server echoes"), "echo");
    let mut stream = browser.tls(b"http/1.1").await;
    let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let head = format!(
        "GET /user/alice/stream HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n",
        browser.host(),
        cookies.join("; ")
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut begun = Vec::new();
    while !begun.ends_with(b"data: hello\n\n\r\n") {
        begun.push(stream.read_u8().await.expect("the answer begins"));
    }

    deed().await;
    let mut rest = Vec::new();
    // An end without TLS's goodbye is an end as well: what matters is that nothing more comes.
    let _ = tokio::time::timeout(WITHIN, socket.read_to_end(&mut rest)).await.expect("the WebSocket ends");
    let _ = tokio::time::timeout(WITHIN, receive.data()).await.expect("the WebSocket over HTTP/2 ends");
    let _ = tokio::time::timeout(WITHIN, stream.read_to_end(&mut rest)).await.expect("the streaming answer ends");
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a cut answer must not look complete");
    let script = browser.scripting();
    let after = script.send(Wire::Http1, Method::GET, "/user/alice/x", Bytes::new()).await;
    assert_eq!(after.status, 403, "the session still works");
    let _ = world;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_every_open_request_of_the_session() {
    let world = World::new().await;
    let browser = world.user_with_server("alice").await;
    let other = world.sign_in("alice").await;
    everything_ends_when(&world, &browser, async || {
        browser.get("/hub/logout").await.is(302);
    })
    .await;
    other.get("/user/alice/x").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_all_other_sessions() {
    let world = World::new().await;
    let browser = world.user_with_server("alice").await;
    let other = world.sign_in("alice").await;
    everything_ends_when(&world, &browser, async || {
        let page = other.get("/hub/change-password").await.is(200);
        let fields = [
            ("old_password", PASSWORD),
            ("new_password", "another password"),
            ("new_password_confirmation", "another password"),
            ("_xsrf", &xsrf_of(&page.text())),
        ];
        let answer = other.post_form("/hub/change-password", &fields).await;
        assert!(answer.status.as_u16() < 400, "{}", answer.text());
    })
    .await;
    other.get("/user/alice/x").await.is(200);
    world.sign_in_with("alice", "another password").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_is_gone_everywhere_at_once() {
    let world = World::new().await;
    let admin = world.admin("root").await;
    let browser = world.user_with_server("alice").await;
    everything_ends_when(&world, &browser, async || {
        admin.administer("delete", &["alice"]).await.is(200);
    })
    .await;
    assert!(world.app.auth.users().iter().all(|user| user.name.as_str() != "alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_ends() {
    let world = World::new().await;
    let browser = world.user("alice").await;
    world.clock.advance(Duration::from_secs(86_400 - 60));
    browser.get("/hub/home").await.is(200);
    world.clock.advance(Duration::from_secs(86_400 + 60));
    browser.get("/hub/home").await.is(302);
}

#[tokio::test(flavor = "multi_thread")]
async fn next_brings_people_back_and_never_elsewhere() {
    let world = World::new().await;
    world.add_user("alice", false).await;
    let cases = [
        ("%2Fhub%2Fhome", "/hub/home"),
        ("%2Ffoo%3Fx%3D1", "/foo?x=1"),
        ("https%3A%2F%2Fevil.example%2F", ""),
        ("%2F%2Fevil.example", ""),
        ("%5C%5Cevil.example", ""),
        ("javascript%3Aalert(1)", ""),
    ];
    for (next, expected) in cases {
        let browser = world.client().navigating();
        let page = browser.get(&format!("/hub/login?next={next}")).await.is(200);
        let xsrf = xsrf_of(&page.text());
        let browser = take_cookies(browser, &page);
        let answer = browser
            .post_form(
                &format!("/hub/login?next={next}"),
                &[("username", "alice"), ("password", PASSWORD), ("_xsrf", &xsrf)],
            )
            .await
            .is(302);
        let place = answer.header("location");
        if expected.is_empty() {
            assert!(place.starts_with("/user/alice") || place.starts_with("/hub/"), "{next} led to {place}");
        } else {
            assert_eq!(place, expected);
        }
    }
}
