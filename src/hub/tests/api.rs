//! The REST API as servers, scripts and our own pages use it.

use axum::http::Method;
use serde_json::json;

use super::engine::Behaviour;
use super::world::{Client, World, server};
use crate::model::{ServerState, Timestamp};

/// The same person as a script of our own pages.
async fn scripting<'a>(person: &Client<'a>) -> Client<'a> {
    let token = person.get("/hub/home").await.form_token();
    person.clone().with("x-xsrftoken", &token)
}

#[tokio::test]
async fn a_server_finds_the_version_without_a_token() {
    let world = World::new().await;
    for path in ["/hub/api", "/hub/api/"] {
        let answer = world.stranger().get(path).await.is(200);
        assert_eq!(answer.json(), json!({ "version": "6.1.1" }));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-headers"), "accept, content-type, authorization");
    }
}

#[tokio::test]
async fn who_am_i_is_answered_as_servers_expect() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let nobody = world.stranger().get("/hub/api/user").await.is(403);
    assert_eq!(nobody.json(), json!({ "status": 403, "message": null }));
    let token = world.auth.issue_server_token(&server("alice")).await.expect("a token");
    let own = world.program(token.expose()).get("/hub/api/user").await.is(200).json();
    assert_eq!(
        own["scopes"],
        json!([
            "access:servers!server=alice/",
            "read:users:activity!user=alice",
            "read:users:groups!user=alice",
            "read:users:name!user=alice",
            "users:activity!user=alice"
        ])
    );
    assert_eq!((&own["session_id"], &own["kind"]), (&json!(null), &json!("user")));
    let session = alice.get("/hub/api/user").await.is(200).json();
    assert_eq!((&session["token_id"], &session["session_id"]), (&json!(null), &json!(null)));
    assert_eq!(
        (&session["server"], &session["pending"], &session["servers"]),
        (&json!(null), &json!(null), &json!({}))
    );
    assert_eq!(session["created"], "2026-11-22T02:07:07.732000Z");
}

#[tokio::test]
async fn users_are_read_by_those_who_may() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let bob = world.user("bob").await;
    let root = world.admin("root").await;
    assert_eq!(alice.get("/hub/api/users/alice").await.is(200).json()["name"], "alice");
    let elsewhere = bob.get("/hub/api/users/alice").await.is(404);
    assert_eq!(elsewhere.json()["message"], "No access to resources or resources not found");
    bob.get("/hub/api/users/nobody").await.is(404);
    bob.get("/hub/api/users/Bob").await.is(404);
    let nobody = root.get("/hub/api/users/nobody").await.is(404).json();
    assert_eq!(nobody, json!({ "status": 404, "message": null }));
    assert_eq!(root.get("/hub/api/users/alice").await.is(200).json()["roles"], json!(["user"]));
    let refused = bob.get("/hub/api/users").await.is(403).json();
    let message = refused["message"].as_str().expect("a message");
    assert_eq!(message, "Action is not authorized with current scopes; requires any of [list:users]");
    assert_eq!(root.get("/hub/api/users").await.is(200).json().as_array().map(Vec::len), Some(3));
    let anonymous = world.stranger().get("/hub/api/users").await.is(403);
    assert_eq!(anonymous.json()["message"], "Missing or invalid credentials.");
    root.get("/hub/api/info").await.is(200);
    alice.get("/hub/api/info").await.is(403);
}

#[tokio::test]
async fn a_server_is_started_looked_at_and_stopped() {
    let world = World::new().await;
    let alice = scripting(&world.user("alice").await).await;
    let path = "/hub/api/users/alice/server";
    let stopped = alice.get(path).await.is(200).json();
    assert_eq!(
        (&stopped["ready"], &stopped["stopped"], &stopped["pending"]),
        (&json!(false), &json!(true), &json!(null))
    );
    alice.json(Method::POST, path, "").await.is(201);
    alice.json(Method::POST, path, "{}").await.is(400);
    let model = alice.get("/hub/api/users/alice").await.is(200).json();
    assert_eq!(model["server"], "/user/alice/");
    assert_eq!(model["servers"][""]["url"], "/user/alice/");
    assert_eq!(model["servers"][""]["ready"], true);
    assert_eq!(model["servers"][""]["progress_url"], "/hub/api/users/alice/server/progress");
    let events = alice.get("/hub/api/users/alice/server/progress").await.is(200);
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert!(events.text.starts_with("\n\ndata: {") && events.text.ends_with("}\n\n"), "{}", events.text);
    let event: serde_json::Value =
        serde_json::from_str(events.text.trim_start().trim_start_matches("data: ")).expect("json");
    assert_eq!(
        (&event["ready"], &event["progress"], &event["url"]),
        (&json!(true), &json!(100), &json!("/user/alice/"))
    );
    alice.json(Method::DELETE, path, r#"{"remove": true}"#).await.is(400);
    alice.json(Method::DELETE, path, "").await.is(204);
    alice.json(Method::DELETE, path, "").await.is(204);
    alice.get("/hub/api/users/alice/server/progress").await.is(400);
    let bob = scripting(&world.user("bob").await).await;
    bob.json(Method::POST, path, "").await.is(404);
    bob.json(Method::DELETE, path, "").await.is(404);
    bob.get("/hub/api/users/alice/server/progress").await.is(404);
}

#[tokio::test(start_paused = true)]
async fn a_slow_start_is_202_and_can_be_cancelled() {
    let world = World::new().await;
    let alice = scripting(&world.user("alice").await).await;
    let path = "/hub/api/users/alice/server";
    world.engine.behave(Behaviour::Waits);
    alice.json(Method::POST, path, "").await.is(202);
    alice.json(Method::POST, path, "").await.is(202);
    assert_eq!(alice.get(path).await.json()["pending"], "spawn");
    assert_eq!(alice.json(Method::POST, path, "{").await.is(400).json()["message"], "Invalid JSON in body of request");
    alice.json(Method::DELETE, path, "").await.is(202);
    world.engine.let_go();
    world.until("alice", |status| status.state == ServerState::Stopped).await;
}

#[tokio::test]
async fn a_failed_start_says_why_in_the_api_too() {
    let world = World::new().await;
    let alice = scripting(&world.user("alice").await).await;
    world.engine.behave(Behaviour::Exits);
    let failed = alice.json(Method::POST, "/hub/api/users/alice/server", "").await.is(500).json();
    assert!(failed["message"].as_str().is_some_and(|sentence| !sentence.is_empty()), "{failed}");
    world.until("alice", |status| matches!(&status.state, ServerState::Failed(f) if !f.log_tail.is_empty())).await;
    let model = alice.get("/hub/api/users/alice/server").await.is(200).json();
    assert_eq!(model["failure"]["exit_code"], 7);
    assert_eq!(model["failure"]["log_tail"], json!(["the last words <b>"]));
    let answer = alice.get("/user/alice/api/contents").await.is(424).json();
    assert_eq!(answer["exit_code"], 7);
}

#[tokio::test]
async fn a_server_posts_its_activity_and_nobody_elses() {
    let world = World::new().await;
    world.user("alice").await;
    world.user("bob").await;
    let token = world.auth.issue_server_token(&server("alice")).await.expect("a token");
    let program = world.program(token.expose());
    let at = "2026-11-22T02:05:45.002875Z";
    let body = format!(r#"{{"servers": {{"": {{"last_activity": "{at}"}}}}, "last_activity": "{at}"}}"#);
    let answer = program.json(Method::POST, "/hub/api/users/alice/activity", &body).await.is(200);
    assert_eq!(answer.text, "");
    assert_eq!(world.spawner.last_activity(&server("alice")), Timestamp::parse_iso(at));
    program.json(Method::POST, "/hub/api/users/bob/activity", &body).await.is(404);
    program.json(Method::POST, "/hub/api/users/alice/activity", "{}").await.is(400);
    // The token of a server is no key to anything else.
    program.json(Method::POST, "/hub/api/users/alice/server", "").await.is(403);
    program.json(Method::DELETE, "/hub/api/users/alice/server", "").await.is(403);
    program.get("/hub/api/users").await.is(403);
}

#[tokio::test]
async fn the_servers_environment_carries_the_secret_that_the_hub_knows() {
    let world = World::new().await;
    let alice = scripting(&world.user("alice").await).await;
    alice.json(Method::POST, "/hub/api/users/alice/server", "").await.is(201);
    world.program(&world.engine.token_of("alice")).get("/hub/api/user").await.is(200);
}
