//! Named servers in the API: made, started, changed, removed, and who may reach which.

use axum::http::Method;
use serde_json::{Value, json};

use super::engine::Behaviour;
use super::server_api::{ALICE, events_of, says, token};
use super::users::scripting;
use super::world::World;
use crate::spawner::{self, NamedServers};

const GPU: &str = "/hub/api/users/alice/servers/gpu";

async fn world_of(named_servers_per_user: NamedServers) -> World {
    let servers = spawner::Config { named_servers_per_user, ..spawner::Config::default() };
    let world = World::with_servers(servers, |_, _| {}).await;
    world.admin("root").await;
    world.auth.add_user("test", "alice", None, false).await.expect("a new user");
    world
}

#[tokio::test]
async fn where_there_are_none_every_wish_is_told_so() {
    let world = world_of(NamedServers::Off).await;
    let root = scripting(&world.signed_in("root").await).await;
    for (method, body) in [
        (Method::PUT, ""),
        (Method::POST, ""),
        (Method::PATCH, r#"{"name": "other"}"#),
        (Method::PATCH, r#"{"display_name": "Other"}"#),
        (Method::DELETE, ""),
        (Method::DELETE, r#"{"remove": true}"#),
    ] {
        says(&root.json(method, GPU, body).await.is(400), "Named servers are not enabled.");
    }
    root.get(GPU).await.is(404);
    root.get(&format!("{GPU}/progress")).await.is(404);
    says(
        &root.json(Method::PATCH, ALICE, r#"{"display_name": "Mine"}"#).await.is(400),
        "Named servers are not enabled.",
    );
    root.json(Method::POST, ALICE, "").await.is(201);
}

#[tokio::test]
async fn one_is_made_without_being_started() {
    let world = world_of(NamedServers::AtMost(2)).await;
    let root = scripting(&world.signed_in("root").await).await;
    root.get(GPU).await.is(404);
    let body = r#"{"display_name": "GPU work", "user_options": {"n": 1}}"#;
    let made = root.json(Method::PUT, GPU, body).await.is(201).json();
    let expected = json!({
        "name": "gpu", "display_name": "GPU work", "full_name": "alice/gpu", "last_activity": null, "started": null,
        "pending": null, "ready": false, "stopped": true, "url": "/user/alice/gpu/", "user_options": { "n": 1 },
        "progress_url": "/hub/api/users/alice/servers/gpu/progress", "full_url": null, "full_progress_url": null, "state": {},
    });
    assert_eq!(made, expected);
    assert_eq!(root.get(GPU).await.is(200).json(), expected);
    says(&root.json(Method::PUT, GPU, "").await.is(409), "User alice already has server gpu");
    says(&root.json(Method::PUT, ALICE, "").await.is(409), "User alice already has a default server");
    for name in ["Lab", "a_b", "1st", "a--b", "-a", "a-", "a%20b", "%C3%A9", &"a".repeat(31)] {
        root.json(Method::PUT, &format!("/hub/api/users/alice/servers/{name}"), "").await.is(400);
        root.json(Method::POST, &format!("/hub/api/users/alice/servers/{name}"), "").await.is(400);
    }
    let other = "/hub/api/users/alice/servers/other";
    for body in ["{", "[1]", r#"{"user_options": []}"#, r#"{"display_name": " x"}"#, r#"{"image": "nobody/knows:it"}"#]
    {
        root.json(Method::PUT, other, body).await.is(400);
    }
    root.get(other).await.is(404);
    let plain = root.json(Method::PUT, other, "").await.is(201).json();
    assert_eq!((&plain["display_name"], &plain["user_options"]), (&json!("other"), &json!({})));
    let words = "User alice already has the maximum of 2 named servers.  One must be deleted before a new server can be created";
    for method in [Method::PUT, Method::POST] {
        says(&root.json(method, "/hub/api/users/alice/servers/third", "").await.is(400), words);
    }
    assert!(world.spawner.active().is_empty());
}

#[tokio::test]
async fn one_is_made_by_its_start_and_told_of_while_it_runs() {
    let world = world_of(NamedServers::Unlimited).await;
    let root = scripting(&world.signed_in("root").await).await;
    root.get(&format!("{GPU}/progress")).await.is(404);
    root.json(Method::POST, GPU, r#"{"user_options": {"n": 1}, "display_name": "GPU work"}"#).await.is(201);
    says(&root.json(Method::POST, GPU, "").await.is(400), "alice:gpu is already running");
    let events = events_of(&root.get(&format!("{GPU}/progress")).await.is(200));
    assert_eq!((events.len(), &events[0]["url"]), (1, &json!("/user/alice/gpu/")));
    let user = root.get("/hub/api/users/alice").await.json();
    assert_eq!((&user["server"], &user["servers"]["gpu"]["ready"]), (&json!(null), &json!(true)));
    assert_eq!(user["servers"].as_object().map(serde_json::Map::len), Some(1));
    for body in [r#"{"name": "other"}"#, r#"{"display_name": "Other"}"#, r#"{"user_options": {}}"#] {
        let refused = root.json(Method::PATCH, GPU, body).await.is(400);
        says(&refused, "alice:gpu is active. Please stop it before modifying it.");
    }
    root.json(Method::PUT, GPU, "").await.is(409);
    root.json(Method::DELETE, GPU, "").await.is(204);
    says(&root.get(&format!("{GPU}/progress")).await.is(400), "alice:gpu is not starting...");
    root.json(Method::POST, GPU, "").await.is(201);
    let model = root.get(GPU).await.json();
    assert_eq!((&model["user_options"], &model["display_name"]), (&json!({ "n": 1 }), &json!("GPU work")));
    assert_eq!(model["state"], json!({ "generation": 2 }));
}

#[tokio::test]
async fn a_stopped_one_is_changed_and_renamed() {
    let world = world_of(NamedServers::Unlimited).await;
    let root = scripting(&world.signed_in("root").await).await;
    root.json(Method::PUT, GPU, "").await.is(201);
    root.json(Method::PUT, "/hub/api/users/alice/servers/taken", "").await.is(201);
    for (body, status, message) in [
        ("", 400, "Must specify at least one field to modify."),
        ("{}", 400, "Must specify at least one field to modify."),
        ("[1]", 400, "Body must be a JSON object"),
        ("{", 400, "Invalid JSON in body of request"),
        (r#"{"colour": 1}"#, 400, "Unexpected field: colour, supported fields: name, display_name, user_options"),
        (r#"{"name": "Bad_Name"}"#, 400, "Invalid server_name: 'Bad_Name'"),
        (r#"{"name": "taken"}"#, 409, "User alice already has server 'taken'"),
        (r#"{"user_options": null}"#, 400, "user_options must be a dict"),
        (r#"{"name": 1}"#, 400, "name must be a string"),
        (r#"{"display_name": 1}"#, 400, "display_name must be a string"),
    ] {
        says(&root.json(Method::PATCH, GPU, body).await.is(status), message);
    }
    root.json(Method::PATCH, GPU, r#"{"name": "other", "user_options": {"image": "nobody/knows:it"}}"#).await.is(400);
    root.json(Method::PATCH, GPU, r#"{"name": "other", "display_name": " x"}"#).await.is(400);
    root.get("/hub/api/users/alice/servers/other").await.is(404);
    let absent = root.json(Method::PATCH, "/hub/api/users/alice/servers/nonsense", r#"{"name": "x"}"#).await.is(404);
    says(&absent, "User alice has no such server 'nonsense'");

    let changed = root.json(Method::PATCH, GPU, r#"{"display_name": "GPU work"}"#).await.is(200);
    assert_eq!(changed.header("content-type"), "application/json");
    assert_eq!(changed.json()["display_name"], "GPU work");
    let body = r#"{"name": "gpu-2", "user_options": {"n": 2}}"#;
    let renamed = root.json(Method::PATCH, GPU, body).await.is(200).json();
    assert_eq!((&renamed["name"], &renamed["user_options"]), (&json!("gpu-2"), &json!({ "n": 2 })));
    assert_eq!(renamed["display_name"], "GPU work", "the name for people is not the other's");
    root.get(GPU).await.is(404);
    assert_eq!(root.get("/hub/api/users/alice/servers/gpu-2").await.is(200).json(), renamed);
    // The default server has no other name.
    root.json(Method::PATCH, ALICE, r#"{"name": "first"}"#).await.is(409);
    let named = root.json(Method::PATCH, ALICE, r#"{"display_name": "Mine"}"#).await.is(200).json();
    assert_eq!((&named["name"], &named["display_name"]), (&json!(""), &json!("Mine")));
}

#[tokio::test]
async fn one_is_stopped_and_forgotten() {
    let world = world_of(NamedServers::Unlimited).await;
    let root = scripting(&world.signed_in("root").await).await;
    says(&root.json(Method::DELETE, GPU, "").await.is(404), "alice has no server named 'gpu'");
    root.json(Method::POST, GPU, "").await.is(201);
    root.json(Method::DELETE, GPU, r#"{"remove": false}"#).await.is(204);
    assert_eq!(root.get(GPU).await.is(200).json()["stopped"], true);
    root.json(Method::DELETE, GPU, "").await.is(204);
    root.json(Method::POST, GPU, "").await.is(201);
    let removed = root.json(Method::DELETE, GPU, r#"{"remove": true}"#).await.is(204);
    assert_eq!(removed.text, "");
    root.get(GPU).await.is(404);
    root.json(Method::DELETE, GPU, r#"{"remove": true}"#).await.is(404);
    assert!(world.spawner.active().is_empty());
}

#[tokio::test]
async fn one_that_stops_slowly_is_forgotten_once_it_has() {
    let servers = spawner::Config { named_servers_per_user: NamedServers::Unlimited, ..spawner::Config::default() };
    let world = World::with_servers(servers, |config, _| config.slow_stop_timeout_s = 0).await;
    let root = scripting(&world.admin("root").await).await;
    let path = "/hub/api/users/root/servers/gpu";
    root.json(Method::POST, path, "").await.is(201);
    world.engine.behave(Behaviour::Lingers);
    root.json(Method::DELETE, path, "").await.is(202);
    root.json(Method::DELETE, path, r#"{"remove": true}"#).await.is(202);
    world.engine.let_go();
    let name = crate::model::ServerName::parse("gpu").expect("a name");
    let gpu = crate::model::ServerKey { name, ..super::world::server("root") };
    let gone = async {
        while world.spawner.record(&gpu).is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("it goes");
    root.get(path).await.is(404);
}

#[tokio::test]
async fn a_token_for_one_server_sees_and_touches_that_one_alone() {
    let world = world_of(NamedServers::Unlimited).await;
    let root = scripting(&world.signed_in("root").await).await;
    for name in ["gpu", "other"] {
        root.json(Method::POST, &format!("/hub/api/users/alice/servers/{name}"), "").await.is(201);
    }
    let program = world.program(&token(&root, &["servers!server=alice/gpu", "read:users:name!user=alice"]).await);
    assert_eq!(program.get(GPU).await.is(200).json()["ready"], true);
    program.get(&format!("{GPU}/progress")).await.is(200);
    let seen = program.get("/hub/api/users/alice?include_stopped_servers").await.is(200).json();
    assert_eq!(
        seen["servers"].as_object().map(|servers| servers.keys().cloned().collect::<Vec<_>>()),
        Some(vec!["gpu".into()])
    );
    assert_eq!(seen["servers"]["gpu"].get("state"), None::<&Value>);
    for path in ["/hub/api/users/alice/servers/other", "/hub/api/users/alice/servers/nonsense", ALICE] {
        for method in [Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE] {
            let refused = program.json(method, path, r#"{"display_name": "x"}"#).await.is(404);
            says(&refused, "No access to resources or resources not found");
        }
    }
    program.json(Method::DELETE, GPU, "").await.is(204);
    program.json(Method::PATCH, GPU, r#"{"name": "gpu-2"}"#).await.is(404);
    program.json(Method::PATCH, GPU, r#"{"display_name": "Mine"}"#).await.is(200);
    program.json(Method::POST, GPU, "").await.is(201);
    program.json(Method::DELETE, GPU, r#"{"remove": true}"#).await.is(204);
    program.json(Method::PUT, GPU, "").await.is(201);
}
