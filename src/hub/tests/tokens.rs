//! Tokens in the API: made with scopes, note and end; listed, looked at and revoked.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::world::{Client, PASSWORD, World};
use crate::hub::tests::users::scripting;

async fn mint(person: &Client<'_>, user: &str, body: &str, status: u16) -> Value {
    person.json(Method::POST, &format!("/hub/api/users/{user}/tokens"), body).await.is(status).json()
}

#[tokio::test]
async fn a_token_is_made_used_listed_and_revoked() {
    let world = World::new().await;
    let alice = scripting(&world.user("alice").await).await;
    let made =
        mint(&alice, "alice", r#"{"note": "report", "expires_in": 3600, "scopes": ["read:users:name!user"]}"#, 201)
            .await;
    assert_eq!(made["expires_at"], "2026-11-22T03:07:07.732000Z");
    assert_eq!((&made["note"], &made["kind"], &made["user"]), (&json!("report"), &json!("api_token"), &json!("alice")));
    assert_eq!(made["scopes"], json!(["read:users:groups!user=alice", "read:users:name!user=alice"]));
    assert_eq!(
        (&made["oauth_client"], &made["roles"], &made["session_id"]),
        (&json!("JupyterHub"), &json!([]), &json!(null))
    );
    let secret = made["token"].as_str().expect("the token").to_owned();
    assert_eq!(secret.len(), 32);
    let who = world.program(&secret).get("/hub/api/user").await.is(200).json();
    assert_eq!((&who["name"], &who["token_id"]), (&json!("alice"), &made["id"]));
    world.program(&secret).get("/hub/api/users/alice/tokens").await.is(403);

    let other = mint(&alice, "alice", "", 201).await;
    assert_eq!((&other["note"], &other["expires_at"]), (&json!("Requested via api"), &json!(null)));
    let listed = alice.get("/hub/api/users/alice/tokens").await.is(200);
    assert!(!listed.text.contains(&secret) && !listed.text.contains("\"token\""), "{}", listed.text);
    assert_eq!(listed.json()["api_tokens"].as_array().map(Vec::len), Some(2));
    let path = format!("/hub/api/users/alice/tokens/{}", made["id"].as_str().expect("an id"));
    assert_eq!(alice.get(&path).await.is(200).json()["note"], "report");
    assert_eq!(alice.json(Method::DELETE, &path, "").await.is(204).text, "");
    let gone = alice.get(&path).await.is(404).json();
    assert_eq!(gone["message"], format!("No such token {} for user alice", made["id"].as_str().expect("an id")));
    alice.json(Method::DELETE, &path, "").await.is(404);
    world.program(&secret).get("/hub/api/user").await.is(403);
    alice.get("/hub/api/users/alice/tokens/nonsense").await.is(404);

    let brief = mint(&alice, "alice", r#"{"expires_in": 1}"#, 201).await;
    world.pass(Duration::from_secs(2));
    world.program(brief["token"].as_str().expect("a token")).get("/hub/api/user").await.is(403);
    assert_eq!(alice.get("/hub/api/users/alice/tokens").await.json()["api_tokens"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_token_has_no_more_than_its_owner() {
    let world = World::new().await;
    let alice = scripting(&world.user("alice").await).await;
    world.user("bob").await;
    mint(&alice, "alice", r#"{"roles": ["user"]}"#, 201).await;
    mint(&alice, "alice", r#"{"scopes": ["self"]}"#, 201).await;
    mint(&alice, "alice", r#"{"scopes": []}"#, 201).await;
    mint(&alice, "alice", r#"{"scopes": null, "roles": null, "note": null, "expires_in": null}"#, 201).await;
    let unknown = mint(&alice, "alice", r#"{"roles": ["nonsense"]}"#, 400).await;
    assert_eq!(unknown["message"], "No such role: nonsense");
    let both = mint(&alice, "alice", r#"{"roles": ["user"], "scopes": ["self"]}"#, 400).await;
    assert_eq!(both["message"], "Can only assign one of scopes or roles when creating tokens.");
    for wrong in [
        r#"{"roles": ["admin"]}"#,
        r#"{"scopes": ["admin:users"]}"#,
        r#"{"scopes": ["read:users"]}"#,
        r#"{"scopes": ["nonsense"]}"#,
        r#"{"scopes": ["read:users!nonsense=x"]}"#,
        r#"{"scopes": ["custom:nonsense"]}"#,
        r#"{"scopes": "self"}"#,
        r#"{"scopes": [1]}"#,
        r#"{"scope": ["self"]}"#,
        r#"{"expires_in": 0}"#,
        r#"{"expires_in": -1}"#,
        r#"{"expires_in": "60"}"#,
        r#"{"expires_in": 1.5}"#,
        r#"{"expires_in": 99999999999999999999}"#,
        r#"{"note": {}}"#,
        "[]",
        "{",
    ] {
        mint(&alice, "alice", wrong, 400).await;
    }
    let refused = mint(&alice, "bob", "{}", 403).await;
    assert_eq!(refused["message"], "User bob not found or no permissions to generate tokens");
    mint(&alice, "nobody", "{}", 403).await;
    let elsewhere = alice.get("/hub/api/users/bob/tokens").await.is(404).json();
    assert_eq!(elsewhere["message"], "No access to resources or resources not found");
}

#[tokio::test]
async fn an_administrator_makes_tokens_for_others() {
    let world = World::new().await;
    let alice = scripting(&world.user("alice").await).await;
    let root = scripting(&world.admin("root").await).await;
    let made = mint(&root, "alice", "{}", 201).await;
    assert_eq!(made["note"], "Requested via api by user root");
    let nobody = root.get("/hub/api/users/nobody/tokens").await.is(404).json();
    assert_eq!(nobody["message"], "No such user: nobody");
    let id = made["id"].as_str().expect("an id");
    root.get(&format!("/hub/api/users/root/tokens/{id}")).await.is(404);
    let asked = format!("/hub/api/authorizations/token/{}", made["token"].as_str().expect("a token"));
    alice.get(&asked).await.is(403);
    let own = mint(&root, "root", "{}", 201).await;
    let program = world.program(own["token"].as_str().expect("a token"));
    assert_eq!(program.get(&asked).await.is(200).json()["name"], "alice");
    program.get("/hub/api/authorizations/token/nonsense").await.is(404);
    program.get("/hub/api/authorizations/cookie/name/value").await.is(404);
    let elsewhere = program.json(Method::POST, "/hub/api/authorizations/token", "").await.is(404).json();
    assert!(elsewhere["message"].as_str().is_some_and(|text| text.starts_with("Deprecated endpoint")));
    world.stranger().json(Method::POST, "/hub/api/authorizations/token", "").await.is(404);
}

#[tokio::test]
async fn a_password_is_enough_for_a_token_of_ones_own_and_is_counted_as_at_the_form() {
    let world = World::new().await;
    world.user("alice").await;
    world.user("bob").await;
    let form = |user: &str, password: &str| json!({ "auth": { "username": user, "password": password } }).to_string();
    let stranger = world.stranger();
    let made = mint(&stranger, "alice", &form("alice", PASSWORD), 201).await;
    let token = made["token"].as_str().expect("a token");
    world.program(token).get("/hub/api/user").await.is(200);
    mint(&stranger, "bob", &form("alice", PASSWORD), 403).await;
    for body in ["", "{}", r#"{"auth": {}}"#, &form("nobody", PASSWORD)] {
        assert_eq!(mint(&stranger, "alice", body, 403).await["message"], json!(null), "{body}");
    }
    let page = stranger.clone().with("origin", "https://lab.test:8443");
    mint(&page, "alice", &form("alice", PASSWORD), 201).await;
    let mut last = 403;
    for _ in 0..20 {
        let answer = stranger.json(Method::POST, "/hub/api/users/alice/tokens", &form("alice", "wrong")).await;
        last = answer.status.as_u16();
        if last == 429 {
            assert!(!answer.header("retry-after").is_empty());
            break;
        }
    }
    assert_eq!(last, 429);
}
