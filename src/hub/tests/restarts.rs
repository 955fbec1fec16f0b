//! Restarts, logs and readiness: the endpoints that JupyterHub does not have, and the page that asks.

use axum::http::Method;
use serde_json::{Value, json};

use super::engine::Behaviour;
use super::server_api::{ALICE, events_of, says, token};
use super::users::scripting;
use super::world::{World, server};
use crate::model::ServerState;

const RESTART: &str = "/hub/api/users/alice/restart-server";
const READY: &str = "/hub/api/users/alice/lab-ready";

async fn world() -> World {
    let world = World::new().await;
    world.admin("root").await;
    for name in ["alice", "bob"] {
        world.user(name).await;
    }
    world
}

#[tokio::test]
async fn a_restart_is_accepted_at_once_and_followed_like_a_start() {
    let world = world().await;
    let root = scripting(&world.signed_in("root").await).await;
    says(&root.json(Method::POST, RESTART, "").await.is(400), "alice is not running");
    root.json(Method::POST, ALICE, "").await.is(201);
    let before = world.engine.token_of("alice");
    world.engine.behave(Behaviour::Lingers);
    let accepted = root.json(Method::POST, RESTART, "").await.is(200);
    assert_eq!(accepted.json(), json!({ "message": "alice is being restarted" }));
    let model = root.get(ALICE).await.json();
    assert_eq!((&model["pending"], &model["ready"]), (&json!("spawn"), &json!(false)));
    assert_eq!(root.get(READY).await.is(200).json(), json!({ "ready": false, "reason": "not_active" }));
    let unavailable = root.get("/user/alice/api/kernels").await.is(503);
    assert_eq!(unavailable.header("retry-after"), "2");
    // A second click is the same restart; a start finds it on its way.
    root.json(Method::POST, &format!("{ALICE}/restart"), "").await.is(200);
    root.json(Method::POST, ALICE, "").await.is(202);

    let go_on = async {
        tokio::task::yield_now().await;
        world.engine.let_go();
    };
    let progress = format!("{ALICE}/progress");
    let (followed, ()) = tokio::join!(root.get(&progress), go_on);
    let events = events_of(&followed.is(200));
    assert_eq!(events[1]["message"], "Restarting your server", "{events:?}");
    assert_eq!((&events[1]["phase"], &events[1]["progress"]), (&json!("restart"), &json!(30)));
    assert_eq!(events.last().map(|event| &event["ready"]), Some(&json!(true)));
    assert_eq!(world.engine.token_of("alice"), before, "the same container with the same variables");
    assert_eq!(root.get(READY).await.is(200).json(), json!({ "ready": true, "status": 200 }));
}

#[tokio::test]
async fn a_restart_that_fails_says_why_where_a_start_does() {
    let world = world().await;
    let root = scripting(&world.signed_in("root").await).await;
    root.json(Method::POST, ALICE, "").await.is(201);
    world.engine.behave(Behaviour::Exits);
    root.json(Method::POST, RESTART, "").await.is(200);
    world.until("alice", |status| matches!(&status.state, ServerState::Failed(f) if !f.log_tail.is_empty())).await;
    let model = root.get(ALICE).await.json();
    assert_eq!(model["failure"]["exit_code"], 7, "{model}");
    let failed = events_of(&root.get(&format!("{ALICE}/progress")).await.is(200));
    assert_eq!(failed[0]["log_tail"], json!(["the last words <b>"]));
    let log = root.get(&format!("{ALICE}/logs")).await.is(200).json();
    assert_eq!(log, json!({ "lines": ["the last words <b>"] }), "also of one that is gone");
}

#[tokio::test]
async fn who_may_restart_and_look_is_said_with_403_for_everybody_else() {
    let world = world().await;
    let root = scripting(&world.signed_in("root").await).await;
    let alice = scripting(&world.signed_in("alice").await).await;
    let bob = scripting(&world.signed_in("bob").await).await;
    let logs = format!("{ALICE}/logs");
    says(&alice.get(&logs).await.is(404), "alice has no log: it has never been started");
    root.json(Method::POST, ALICE, "").await.is(201);
    for path in [logs.as_str(), READY] {
        alice.get(path).await.is(200);
        bob.get(path).await.is(403);
        world.stranger().get(path).await.is(403);
    }
    bob.json(Method::POST, RESTART, "").await.is(403);
    world.stranger().json(Method::POST, RESTART, "").await.is(403);
    assert_eq!(world.spawner.status(&server("alice")).state, ServerState::Ready);
    alice.json(Method::POST, RESTART, "").await.is(200);
    world.until("alice", |status| status.state == ServerState::Ready).await;

    // Whoever is let see that it runs reads no log and restarts nothing.
    let watching = token(&root, &["read:servers"]).await;
    let watching = world.program(&watching);
    watching.get(READY).await.is(200);
    watching.get(&logs).await.is(403);
    watching.json(Method::POST, RESTART, "").await.is(403);
    // And whoever may restart theirs, theirs alone.
    let of_alice = token(&root, &["servers!user=alice"]).await;
    let of_alice = world.program(&of_alice);
    of_alice.json(Method::POST, RESTART, "").await.is(200);
    of_alice.json(Method::POST, "/hub/api/users/bob/restart-server", "").await.is(403);

    for path in ["/hub/api/users/ghost/restart-server", "/hub/api/users/alice/servers/none/restart"] {
        root.json(Method::POST, path, "").await.is(404);
    }
    for path in ["/hub/api/users/ghost/server/logs", "/hub/api/users/alice/servers/none/logs"] {
        root.get(path).await.is(404);
    }
    let reason = |path: &'static str| {
        let root = &root;
        async move { root.get(path).await.is(200).json()["reason"].clone() }
    };
    assert_eq!(reason("/hub/api/users/ghost/lab-ready").await, Value::from("user_not_found"));
    assert_eq!(reason("/hub/api/users/bob/lab-ready").await, Value::from("not_active"));
    assert_eq!(reason("/hub/api/users/alice/servers/none/lab-ready").await, Value::from("not_active"));
}

#[tokio::test]
async fn the_page_asks_first_and_leads_to_the_start_page() {
    let world = world().await;
    let root = scripting(&world.signed_in("root").await).await;
    let alice = world.signed_in("alice").await;
    let page = alice.get("/hub/restart/alice").await.is(200);
    assert!(page.text.contains("nothing to restart") && !page.text.contains("Keep it running"), "{}", page.text);
    root.json(Method::POST, ALICE, "").await.is(201);
    let page = alice.get("/hub/restart/alice").await.is(200);
    assert!(page.text.contains("changes that are not saved") && page.text.contains("Keep it running"), "{}", page.text);
    world.engine.behave(Behaviour::Lingers);
    let sent = alice.post("/hub/restart/alice", &[]).await.is(303);
    assert_eq!(sent.header("location"), "/hub/home");
    let page = alice.get("/hub/spawn-pending/alice").await.is(200);
    for words in ["Restarting your server", "data-phase=\"restart\"", "Stop instead"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(!page.text.contains("Getting the image"), "{}", page.text);
    world.engine.let_go();
    world.until("alice", |status| status.state == ServerState::Ready).await;
    world.signed_in("bob").await.get("/hub/restart/alice").await.is(404);
}
