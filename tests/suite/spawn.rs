//! The life of a server as people meet it: the first visit starts it, once; what fails says why.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use slipway::model::ServerState;
use slipway::spawner::Wish;
use tokio::io::AsyncReadExt as _;

use crate::client::{ANSWER_LIMIT, Answer, Client, Wire};
use crate::fake::Behaviour;
use crate::world::{World, server, xsrf_of};

/// Follows redirects and the start page until the address of a server answers.
async fn follow(browser: &Client, path: &str) -> Answer {
    let mut path = path.to_owned();
    let following = async {
        loop {
            let answer = browser.get(&path).await;
            if answer.status.is_redirection() {
                path = answer.header("location").to_owned();
                continue;
            }
            // Without JavaScript the start page reloads itself from an address of its own.
            let Some(url) = answer.reload_url() else { return answer };
            path = url;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(ANSWER_LIMIT, following).await.expect("the server comes")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_visit_starts_the_server_and_ends_at_the_very_address() {
    let world = World::new().await;
    let browser = world.user("alice").await;
    let first = browser.get("/user/alice/lab/tree/a%20b.ipynb?reset=1&x=%2F").await.is(303);
    assert!(first.header("location").starts_with("/hub/spawn-pending/alice?next="), "{}", first.header("location"));
    let there = follow(&browser, first.header("location")).await.is(200).json();
    assert_eq!(there["target"], "/user/alice/lab/tree/a%20b.ipynb?reset=1&x=%2F");
    assert_eq!(world.backend.creates(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_visits_make_one_container() {
    let world = World::new().await;
    let browser = world.user("alice").await;
    world.backend.behave("alice", Behaviour::WaitsInCreate);
    let mut visits = tokio::task::JoinSet::new();
    for _ in 0..100 {
        // Ten requests on each of a hundred tasks: a thousand, without a thousand handshakes at once.
        let browser = browser.clone();
        visits.spawn(async move {
            for _ in 0..10 {
                browser.get("/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab").await.is(200);
            }
        });
    }
    visits.join_all().await;
    world.backend.let_go();
    world.wait_until("alice", "ready", |status| status.state == ServerState::Ready).await;
    assert_eq!(world.backend.creates(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_told_that_the_server_is_stopped_and_starts_nothing() {
    let world = World::new().await;
    let browser = world.user("alice").await;
    let script = browser.scripting();
    let answer = script.get("/user/alice/api/contents").await.is(424);
    assert!(answer.json()["message"].as_str().expect("a message").contains("/hub/spawn/alice"), "{}", answer.text());
    assert_eq!(script.send(Wire::WebSocket, Method::GET, "/user/alice/ws", Bytes::new()).await.status, 424);
    world.backend.behave("alice", Behaviour::WaitsInCreate);
    world.app.spawner.start(&server("alice"), Wish::of("test")).await.expect("a start");
    let answer = script.get("/user/alice/api/contents").await.is(503);
    assert!(!answer.header("retry-after").is_empty());
    world.backend.let_go();
    world.wait_until("alice", "ready", |status| status.state == ServerState::Ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_shows_the_reason_the_status_and_the_last_words() {
    let world = World::new().await;
    let browser = world.user("alice").await;
    world.backend.behave("alice", Behaviour::Exits);
    let page = follow(&browser, "/user/alice/lab").await;
    let text = page.text();
    assert!(text.contains("the last words") && text.contains('7'), "{text}");
    let script = browser.scripting();
    let model = script.get("/hub/api/users/alice").await.is(200).json();
    assert_eq!(model["server"], serde_json::Value::Null);

    // Trying again is a post, and it works once the cause is gone.
    world.backend.behave("alice", Behaviour::Answers);
    browser.post_form("/hub/spawn/alice?next=%2Fuser%2Falice%2Fx", &[("_xsrf", &xsrf_of(&text))]).await.is(303);
    assert_eq!(follow(&browser, "/user/alice/x").await.is(200).json()["secret_of"], "alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_is_said_in_a_sentence() {
    let world = World::new().await;
    let browser = world.user("alice").await;
    world.backend.behave("alice", Behaviour::ImageMissing);
    let text = follow(&browser, "/user/alice/lab").await.text();
    assert!(text.contains("fake:1") && text.contains("not on this host"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_died_unseen_is_started_again_by_the_next_visit() {
    let world = World::new().await;
    let browser = world.user_with_server("alice").await;
    browser.get("/user/alice/x").await.is(200);
    world.backend.die_silently("alice");
    // No event came: the request itself finds out, and does not loop on 503.
    assert_eq!(follow(&browser, "/user/alice/x").await.is(200).json()["secret_of"], "alice");
    assert_eq!(world.backend.creates(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_takes_its_route_and_its_token_along() {
    let world = World::new().await;
    let browser = world.user_with_server("alice").await;
    let token = world.backend.environment_of("alice")["JUPYTERHUB_API_TOKEN"].clone();
    let with_token = world.client().with("authorization", &format!("token {token}"));
    with_token.get("/hub/api/user").await.is(200);
    world.backend.die("alice", 137);
    world.wait_until("alice", "over", |status| !matches!(status.state, ServerState::Ready)).await;
    let script = browser.scripting();
    script.get("/user/alice/x").await.is(424);
    let ended = async {
        while with_token.get("/hub/api/user").await.status != 403 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(ANSWER_LIMIT, ended).await.expect("the token of a dead server ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_outlive_the_program_and_sessions_too() {
    let world = World::new().await;
    let browser = world.user_with_server("alice").await;
    let environment = world.backend.environment_of("alice");
    let world = world.restart().await;
    let mut again = world.client();
    again.cookies.clone_from(&browser.cookies);
    // The port is another one, and the cookie's name says which; a browser would have kept the port.
    let name = again.cookies.iter().position(|(name, _)| name.starts_with("__Host-Http-slipway")).expect("a session");
    again.cookies[name].0 = world.app.session_cookie.clone();
    world.wait_until("alice", "adopted", |status| status.state == ServerState::Ready).await;
    assert_eq!(again.get("/user/alice/x").await.is(200).json()["secret_of"], "alice");
    assert_eq!((world.backend.creates(), world.backend.environment_of("alice")), (1, environment));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_a_server_cuts_its_open_answers() {
    let world = World::new().await;
    let browser = world.user_with_server("alice").await;
    let mut socket = browser.open_websocket("/user/alice/ws").await.1.expect("a WebSocket");
    world.app.spawner.stop(&server("alice"), "test").await.expect("a stop");
    world.wait_until("alice", "stopped", |status| status.state == ServerState::Stopped).await;
    let mut rest = Vec::new();
    // An end without TLS's goodbye is an end as well.
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.read_to_end(&mut rest))
        .await
        .expect("the socket ends within a second");
}
