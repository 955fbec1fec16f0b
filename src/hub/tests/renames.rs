//! Accounts and servers that get another name or end: what follows them, and what those who come after do not inherit.

use axum::http::Method;
use serde_json::{Value, json};

use super::engine::Behaviour;
use super::users::scripting;
use super::world::{Client, World, server};
use crate::model::ServerState;
use crate::spawner::{self, NamedServers};

/// root, alice, bob and carol, who may have servers with names.
async fn world_with_named_servers() -> World {
    let servers = spawner::Config { named_servers_per_user: NamedServers::Unlimited, ..spawner::Config::default() };
    let world = World::with_servers(servers, |_, _| {}).await;
    world.admin("root").await;
    for name in ["alice", "bob", "carol"] {
        world.user(name).await;
    }
    world
}

async fn send(person: &Client<'_>, method: Method, path: &str, body: &str, status: u16) -> Value {
    let answer = person.json(method, &format!("/hub/api/{path}"), body).await.is(status);
    if answer.text.is_empty() { Value::Null } else { answer.json() }
}

#[tokio::test]
async fn with_a_new_name_go_servers_tokens_groups_and_shares() {
    let world = world_with_named_servers().await;
    let root = scripting(&world.signed_in("root").await).await;
    let alice = world.signed_in("alice").await;
    send(&root, Method::PUT, "users/alice/servers/gpu", r#"{"display_name": "Mine", "user_options": {"a": 1}}"#, 201)
        .await;
    send(&root, Method::POST, "groups", r#"{"groups": ["crew"], "users": ["alice"]}"#, 201).await;
    send(&root, Method::POST, "shares/alice/gpu", r#"{"user": "bob"}"#, 200).await;
    send(&root, Method::POST, "shares/bob/", r#"{"user": "alice"}"#, 200).await;
    let made = send(&root, Method::POST, "users/alice/tokens", "{}", 201).await;
    let token = made["token"].as_str().expect("a token").to_owned();

    send(&root, Method::POST, "users/alice/servers/gpu", "", 201).await;
    let running = send(&root, Method::PATCH, "users/alice", r#"{"name": "dora"}"#, 400).await;
    assert_eq!(running["message"], "alice's servers must be stopped before the name can change.");
    send(&root, Method::DELETE, "users/alice/servers/gpu", "", 204).await;
    send(&root, Method::PATCH, "users/alice", r#"{"name": "dora"}"#, 200).await;

    assert!(alice.caller.ended().is_some_and(|ended| ended.is_cancelled()));
    let dora = send(&root, Method::GET, "users/dora?include_stopped_servers", "", 200).await;
    assert_eq!(dora["groups"], json!(["crew"]));
    let gpu = &dora["servers"]["gpu"];
    assert_eq!((&gpu["display_name"], &gpu["user_options"]), (&json!("Mine"), &json!({ "a": 1 })));
    assert_eq!(gpu["url"], "/user/dora/gpu/");
    let program = world.program(&token);
    let who = send(&program, Method::GET, "user", "", 200).await;
    assert_eq!((&who["name"], &who["token_id"]), (&json!("dora"), &made["id"]));
    let share = send(&root, Method::GET, "users/bob/shared/dora/gpu", "", 200).await;
    assert_eq!(share["scopes"], json!(["access:servers!server=dora/gpu"]));
    send(&root, Method::GET, "users/dora/shared/bob/", "", 200).await;
    send(&root, Method::POST, "users/dora/servers/gpu", "", 201).await;

    // Somebody new by the old name has nothing of it.
    send(&root, Method::GET, "users/alice", "", 404).await;
    send(&root, Method::POST, "users/alice", "", 201).await;
    let alice = send(&root, Method::GET, "users/alice?include_stopped_servers", "", 200).await;
    assert_eq!((&alice["groups"], &alice["last_activity"]), (&json!([]), &json!(null)));
    assert!(alice["servers"].as_object().is_some_and(|servers| servers.keys().eq([""])), "{alice}");
    assert_eq!(send(&root, Method::GET, "users/alice/tokens", "", 200).await["api_tokens"], json!([]));
    assert_eq!(send(&root, Method::GET, "users/alice/shared", "", 200).await["items"], json!([]));
    assert_eq!(send(&root, Method::GET, "shares/alice", "", 200).await["items"], json!([]));
    send(&root, Method::PUT, "users/alice/servers/gpu", "", 201).await;
    send(&root, Method::GET, "users/bob/shared/alice/gpu", "", 404).await;
    assert_eq!(send(&program, Method::GET, "user", "", 200).await["name"], "dora");
}

#[tokio::test]
async fn what_was_given_of_a_server_follows_its_new_name_and_ends_with_it() {
    let world = world_with_named_servers().await;
    let root = scripting(&world.signed_in("root").await).await;
    send(&root, Method::PUT, "users/alice/servers/gpu", "", 201).await;
    send(&root, Method::POST, "shares/alice/gpu", r#"{"user": "bob"}"#, 200).await;
    send(&root, Method::POST, "share-codes/alice/gpu", "", 200).await;
    send(&root, Method::PATCH, "users/alice/servers/gpu", r#"{"name": "big"}"#, 200).await;
    let share = send(&root, Method::GET, "users/bob/shared/alice/big", "", 200).await;
    assert_eq!(share["scopes"], json!(["access:servers!server=alice/big"]));
    let codes = send(&root, Method::GET, "share-codes/alice/big", "", 200).await;
    assert_eq!(codes["items"][0]["scopes"], json!(["access:servers!server=alice/big"]));
    send(&root, Method::PUT, "users/alice/servers/gpu", "", 201).await;
    assert_eq!(send(&root, Method::GET, "shares/alice/gpu", "", 200).await["items"], json!([]));
    assert_eq!(send(&root, Method::GET, "share-codes/alice/gpu", "", 200).await["items"], json!([]));

    send(&root, Method::DELETE, "users/alice/servers/big", r#"{"remove": true}"#, 204).await;
    send(&root, Method::PUT, "users/alice/servers/big", "", 201).await;
    assert_eq!(send(&root, Method::GET, "shares/alice", "", 200).await["items"], json!([]));
    assert_eq!(send(&root, Method::GET, "share-codes/alice", "", 200).await["items"], json!([]));
    send(&root, Method::GET, "users/bob/shared/alice/big", "", 404).await;
}

#[tokio::test]
async fn with_an_account_ends_all_that_was_given_of_it_and_to_it() {
    let world = world_with_named_servers().await;
    let root = scripting(&world.signed_in("root").await).await;
    send(&root, Method::PUT, "users/alice/servers/gpu", "", 201).await;
    send(&root, Method::POST, "shares/alice/gpu", r#"{"user": "bob"}"#, 200).await;
    send(&root, Method::POST, "shares/bob/", r#"{"user": "alice"}"#, 200).await;
    send(&root, Method::DELETE, "users/alice", "", 204).await;
    send(&root, Method::POST, "users/alice", "", 201).await;
    assert_eq!(send(&root, Method::GET, "shares/bob", "", 200).await["items"], json!([]));
    send(&root, Method::PUT, "users/alice/servers/gpu", "", 201).await;
    assert_eq!(send(&root, Method::GET, "shares/alice", "", 200).await["items"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn an_account_whose_server_is_slow_to_stop_stays_until_it_has() {
    let world = World::new().await;
    let root = scripting(&world.admin("root").await).await;
    world.user("alice").await;
    world.engine.behave(Behaviour::Waits);
    send(&root, Method::POST, "users/alice/server", "", 202).await;
    for _ in 0..2 {
        let told = send(&root, Method::DELETE, "users/alice", "", 400).await;
        assert_eq!(told["message"], "alice's server is in the process of stopping, please wait.");
    }
    send(&root, Method::GET, "users/alice", "", 200).await;
    world.engine.let_go();
    world.until("alice", |status| status.state == ServerState::Stopped).await;
    send(&root, Method::DELETE, "users/alice", "", 204).await;
    assert!(world.spawner.record(&server("alice")).is_none());
}

#[tokio::test]
async fn who_is_let_in_again_finds_their_servers() {
    let world = world_with_named_servers().await;
    let admin = world.signed_in("root").await;
    let root = scripting(&admin).await;
    send(&root, Method::PUT, "users/alice/servers/gpu", r#"{"display_name": "Mine", "user_options": {"a": 1}}"#, 201)
        .await;
    send(&root, Method::POST, "users/alice/servers/gpu", "", 201).await;
    admin.administer("disable", &["alice"], &[]).await.is(303);
    let gpu = send(&root, Method::GET, "users/alice/servers/gpu", "", 200).await;
    assert_eq!((&gpu["stopped"], &gpu["display_name"]), (&json!(true), &json!("Mine")));
    admin.administer("enable", &["alice"], &[]).await.is(303);
    let gpu = send(&root, Method::GET, "users/alice/servers/gpu", "", 200).await;
    assert_eq!(gpu["user_options"], json!({ "a": 1 }));
}
