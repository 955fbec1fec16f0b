//! The default server in the API: looked at, started, followed, changed and stopped, with every status there is.

use axum::http::Method;
use serde_json::{Value, json};

use super::engine::Behaviour;
use super::users::scripting;
use super::world::{Answer, Client, World, server};
use crate::hub::Config;
use crate::model::{Phase, ServerState};
use crate::spawner;

pub(super) const ALICE: &str = "/hub/api/users/alice/server";

/// alice, bob, and an administrator's script.
async fn world_of(servers: spawner::Config, change: impl FnOnce(&mut Config)) -> World {
    let world = World::with_servers(servers, |config, _| change(config)).await;
    world.admin("root").await;
    for name in ["alice", "bob"] {
        world.auth.add_user("test", name, None, false).await.expect("a new user");
    }
    world
}

/// A token with these scopes, minted by the administrator.
pub(super) async fn token(root: &Client<'_>, scopes: &[&str]) -> String {
    let body = json!({ "scopes": scopes }).to_string();
    let made = root.json(Method::POST, "/hub/api/users/root/tokens", &body).await.is(201).json();
    made["token"].as_str().expect("a token").to_owned()
}

#[track_caller]
pub(super) fn says(answer: &Answer, message: impl Into<Value>) {
    assert_eq!(answer.json()["message"], message.into());
}

#[tokio::test]
async fn a_server_that_was_never_started_is_there_and_nothing_is_known_of_it() {
    let world = world_of(spawner::Config::default(), |_| {}).await;
    let root = scripting(&world.signed_in("root").await).await;
    let plain = world.program(&token(&root, &["read:servers"]).await).get(ALICE).await.is(200).json();
    let expected = json!({
        "name": "", "display_name": "", "full_name": "alice/", "last_activity": null, "started": null, "pending": null,
        "ready": false, "stopped": true, "url": "/user/alice/", "user_options": null,
        "progress_url": "/hub/api/users/alice/server/progress", "full_url": null, "full_progress_url": null,
    });
    assert_eq!(plain, expected);
    let whole = root.get(ALICE).await.is(200).json();
    assert!(whole.get("state").is_some_and(Value::is_null), "{whole}");
    assert_eq!(root.get("/hub/api/users/alice/servers/").await.is(200).json(), whole, "the same by its other path");
    let user = root.get("/hub/api/users/alice?include_stopped_servers").await.is(200).json();
    assert_eq!(user["servers"], json!({ "": whole }));
    assert_eq!(root.get("/hub/api/users/alice").await.is(200).json()["servers"], json!({}));
}

#[tokio::test]
async fn who_may_do_what_to_a_server_is_said_in_jupyterhubs_words() {
    let world = world_of(spawner::Config::default(), |_| {}).await;
    let root = scripting(&world.signed_in("root").await).await;
    let of_bob = token(&root, &["servers!user=bob"]).await;
    let of_all = token(&root, &["servers"]).await;
    let calls = [
        (Method::GET, "", "read:servers"),
        (Method::PUT, "", "start:servers"),
        (Method::POST, "", "start:servers"),
        (Method::PATCH, "", "start:servers"),
        (Method::DELETE, "", "delete:servers"),
        (Method::GET, "/progress", "read:servers"),
    ];
    for (method, path, scope) in calls {
        let send = async |who: &Client<'_>, user: &str, status| {
            who.json(method.clone(), &format!("/hub/api/users/{user}/server{path}"), "").await.is(status)
        };
        says(&send(&world.stranger(), "alice", 403).await, "Missing or invalid credentials.");
        let nothing = world.program(&token(&root, &["read:hub"]).await).clone();
        let words = format!("Action is not authorized with current scopes; requires any of [{scope}]");
        says(&send(&nothing, "alice", 403).await, words);
        for user in ["alice", "nobody"] {
            let refused = send(&world.program(&of_bob), user, 404).await;
            says(&refused, "No access to resources or resources not found");
        }
        says(&send(&world.program(&of_all), "nobody", 404).await, Value::Null);
    }
    assert!(world.spawner.active().is_empty());
}

#[tokio::test]
async fn a_start_and_a_stop_within_the_limit_are_done_when_they_are_answered() {
    let world = world_of(spawner::Config::default(), |_| {}).await;
    let root = scripting(&world.signed_in("root").await).await;
    let started = root.json(Method::POST, ALICE, "").await.is(201);
    assert_eq!((started.text.as_str(), started.header("content-type")), ("", "text/plain"));
    let model = root.get(ALICE).await.is(200).json();
    assert_eq!((&model["ready"], &model["stopped"], &model["pending"]), (&json!(true), &json!(false), &json!(null)));
    assert_eq!(model["user_options"], json!({}));
    assert_eq!(model["state"], json!({ "generation": 1 }));
    assert!(model["started"].is_string() && model["last_activity"].is_string(), "{model}");
    says(&root.json(Method::POST, ALICE, "").await.is(400), "alice is already running");
    says(
        &root.json(Method::PATCH, ALICE, r#"{"user_options": {}}"#).await.is(400),
        "alice is active. Please stop it before modifying it.",
    );
    says(&root.json(Method::DELETE, ALICE, r#"{"remove": true}"#).await.is(400), "Cannot delete the default server");
    says(&root.json(Method::DELETE, ALICE, "{").await.is(400), "Invalid JSON in body of request");
    assert_eq!(world.spawner.status(&server("alice")).state, ServerState::Ready);
    for _ in 0..2 {
        let stopped = root.json(Method::DELETE, ALICE, "").await.is(204);
        assert_eq!((stopped.text.as_str(), stopped.header("content-type")), ("", ""));
    }
    let model = root.get(ALICE).await.is(200).json();
    assert_eq!((&model["stopped"], &model["started"], &model["state"]), (&json!(true), &json!(null), &json!({})));
    assert!(model["last_activity"].is_string());
}

#[tokio::test]
async fn what_takes_longer_is_answered_before_it_is_done() {
    let limits = |config: &mut Config| (config.slow_start_timeout_s, config.slow_stop_timeout_s) = (0, 0);
    let world = world_of(spawner::Config::default(), limits).await;
    let root = scripting(&world.signed_in("root").await).await;
    world.engine.behave(Behaviour::Waits);
    for _ in 0..2 {
        let started = root.json(Method::POST, ALICE, "").await.is(202);
        assert_eq!((started.text.as_str(), started.header("content-type")), ("", "text/plain"));
    }
    let model = root.get(ALICE).await.is(200).json();
    assert_eq!(
        (&model["ready"], &model["stopped"], &model["pending"]),
        (&json!(false), &json!(false), &json!("spawn"))
    );
    assert!(model["started"].is_string() && model["last_activity"].is_string(), "{model}");
    assert!(root.get("/hub/api/users/alice").await.json()["servers"][""].is_object(), "it is active");
    root.json(Method::PATCH, ALICE, r#"{"user_options": {}}"#).await.is(400);
    world.engine.let_go();
    world.until("alice", |status| status.state == ServerState::Ready).await;

    world.engine.behave(Behaviour::Lingers);
    for _ in 0..2 {
        let stopped = root.json(Method::DELETE, ALICE, "").await.is(202);
        assert_eq!((stopped.text.as_str(), stopped.header("content-type")), ("", "text/plain"));
    }
    says(&root.json(Method::POST, ALICE, "").await.is(400), "alice is pending stop");
    assert_eq!(root.get(ALICE).await.json()["pending"], "stop");
    says(&root.get(&format!("{ALICE}/progress")).await.is(400), "alice is not starting...");
    world.engine.let_go();
    world.until("alice", |status| status.state == ServerState::Stopped).await;
}

#[tokio::test]
async fn a_start_that_is_stopped_is_no_start() {
    let world = world_of(spawner::Config::default(), |_| {}).await;
    let root = scripting(&world.signed_in("root").await).await;
    world.engine.behave(Behaviour::Waits);
    let start = root.json(Method::POST, ALICE, "");
    let stop = async {
        world.until("alice", |status| matches!(status.state, ServerState::Starting(Phase::Create))).await;
        root.json(Method::DELETE, ALICE, "").await
    };
    let end = async {
        world.until("alice", |status| status.state == ServerState::Stopping).await;
        // What the engine has begun it ends; then it is taken away.
        world.engine.let_go();
    };
    let (started, stopped, ()) = tokio::join!(start, stop, end);
    stopped.is(204);
    says(&started.is(400), "alice was stopped while it started");
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let world = world_of(spawner::Config::default(), |_| {}).await;
    let root = scripting(&world.signed_in("root").await).await;
    world.engine.behave(Behaviour::Exits);
    let failed = root.json(Method::POST, ALICE, "").await.is(500).json();
    assert_eq!((&failed["status"], &failed["exit_code"]), (&json!(500), &json!(7)));
    assert_eq!(failed["log_tail"], json!(["the last words <b>"]));
    let model = root.get(ALICE).await.is(200).json();
    assert_eq!((&model["stopped"], &model["started"]), (&json!(true), &json!(null)));
    assert_eq!(model["failure"]["message"], failed["message"]);
    root.json(Method::DELETE, ALICE, "").await.is(204);
    world.engine.behave(Behaviour::Answers);
    root.json(Method::POST, ALICE, "").await.is(201);
    assert!(root.get(ALICE).await.json().get("failure").is_none());
}

#[tokio::test]
async fn limits_are_429_and_say_when_to_come_back() {
    let servers = spawner::Config { active_servers: Some(1), ..spawner::Config::default() };
    let world = world_of(servers, |_| {}).await;
    let root = scripting(&world.signed_in("root").await).await;
    root.json(Method::POST, ALICE, "").await.is(201);
    let refused = root.json(Method::POST, "/hub/api/users/bob/server", "").await.is(429);
    says(&refused, "Active user limit exceeded. Try again in a few minutes.");
    assert!((30..=60).contains(&refused.header("retry-after").parse().expect("seconds")), "{:?}", refused.headers);

    let servers = spawner::Config { concurrent_starts: 1, ..spawner::Config::default() };
    let world = world_of(servers, |config| config.slow_start_timeout_s = 0).await;
    let root = scripting(&world.signed_in("root").await).await;
    world.engine.behave(Behaviour::Waits);
    root.json(Method::POST, ALICE, "").await.is(202);
    let refused = root.json(Method::POST, "/hub/api/users/bob/server", "").await.is(429);
    assert!((30..=60).contains(&refused.header("retry-after").parse().expect("seconds")), "{:?}", refused.headers);
    root.json(Method::POST, ALICE, "").await.is(202);
    assert!(world.spawner.record(&server("bob")).is_none(), "nothing is left of what was refused");
}

#[tokio::test]
async fn options_come_in_both_forms_and_are_used_again() {
    let world = world_of(spawner::Config::default(), |_| {}).await;
    let root = scripting(&world.signed_in("root").await).await;
    for (body, expected) in [
        (r#"{"colour": "blue", "n": [1]}"#, json!({ "colour": "blue", "n": [1] })),
        ("", json!({ "colour": "blue", "n": [1] })),
        ("{}", json!({ "colour": "blue", "n": [1] })),
        (r#"{"user_options": null}"#, json!({ "colour": "blue", "n": [1] })),
        (r#"{"display_name": "Mine"}"#, json!({ "colour": "blue", "n": [1] })),
        (r#"{"user_options": {"colour": "red"}, "display_name": "Mine"}"#, json!({ "colour": "red" })),
        (r#"{"user_options": {}}"#, json!({})),
    ] {
        root.json(Method::POST, ALICE, body).await.is(201);
        let model = root.get(ALICE).await.json();
        assert_eq!((&model["user_options"], &model["display_name"]), (&expected, &json!("")), "{body}");
        root.json(Method::DELETE, ALICE, "").await.is(204);
        assert_eq!(root.get(ALICE).await.json()["user_options"], expected, "{body}");
    }
    for (body, message) in [
        ("{", "Invalid JSON in body of request"),
        ("[1]", "Body must be a JSON object"),
        (r#"{"user_options": 1}"#, "user_options must be an object or null"),
        (r#"{"display_name": 1}"#, "display_name must be a string"),
    ] {
        says(&root.json(Method::POST, ALICE, body).await.is(400), message);
    }
    root.json(Method::POST, ALICE, r#"{"image": "nobody/knows:it"}"#).await.is(400);
    root.json(Method::POST, ALICE, r#"{"profile": "nonsense"}"#).await.is(400);
    let changed = root.json(Method::PATCH, ALICE, r#"{"user_options": {"colour": "green"}}"#).await.is(200).json();
    assert_eq!(changed["user_options"], json!({ "colour": "green" }));
    assert!(world.spawner.active().is_empty());
}

#[tokio::test]
async fn progress_is_told_to_its_end() {
    let world = world_of(spawner::Config::default(), |config| config.slow_start_timeout_s = 0).await;
    let root = scripting(&world.signed_in("root").await).await;
    let progress = format!("{ALICE}/progress");
    says(&root.get(&progress).await.is(400), "alice is not starting...");
    world.engine.behave(Behaviour::Waits);
    root.json(Method::POST, ALICE, "").await.is(202);
    let go_on = async {
        tokio::task::yield_now().await;
        world.engine.let_go();
    };
    let (followed, ()) = tokio::join!(root.get(&progress), go_on);
    let followed = followed.is(200);
    assert_eq!(followed.header("content-type"), "text/event-stream");
    assert_eq!(followed.header("cache-control"), "no-cache");
    let events = events_of(&followed);
    assert_eq!(events.first(), Some(&json!({ "progress": 0, "message": "Server requested" })));
    let ready = json!({
        "progress": 100, "ready": true, "message": "Server ready at /user/alice/",
        "html_message": "Server ready at <a href=\"/user/alice/\">/user/alice/</a>", "url": "/user/alice/",
    });
    assert_eq!(events.last(), Some(&ready));
    assert_eq!(events_of(&root.get(&progress).await.is(200)), [ready], "once it is ready that is all");

    root.json(Method::DELETE, ALICE, "").await.is(204);
    world.engine.behave(Behaviour::Exits);
    root.json(Method::POST, ALICE, "").await;
    world.until("alice", |status| matches!(status.state, ServerState::Failed(_))).await;
    let failed = events_of(&root.get(&progress).await.is(200));
    assert_eq!((failed.len(), &failed[0]["failed"], &failed[0]["progress"]), (1, &json!(true), &json!(100)));
    assert!(failed[0]["message"].as_str().is_some_and(|text| text.starts_with("Spawn failed: ")), "{failed:?}");
}

pub(super) fn events_of(answer: &Answer) -> Vec<Value> {
    let lines = answer.text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|line| serde_json::from_str(line).expect("an event is JSON")).collect()
}
