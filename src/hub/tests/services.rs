//! Services as callers of the API, and people who hold an administrator's scopes without being one.

use axum::http::Method;
use serde_json::{Value, json};

use super::users::scripting;
use super::world::{Client, World};
use crate::auth::RoleConfig;
use crate::model::{RoleName, Secret, ServiceConfig, ServiceName, UserName};

const CULLER: &str = "0123456789abcdef-culler";
const SCRIPT: &str = "0123456789abcdef-script";

fn service(name: &str, token: &str, admin: bool) -> ServiceConfig {
    let described = json!({ "name": name, "admin": admin, "info": { "text": "about it" } });
    let config = serde_json::from_value::<ServiceConfig>(described).expect("a service");
    ServiceConfig { api_token: Some(Secret::new(token)), ..config }
}

fn role(name: &str, scopes: &[&str], users: &[&str], services: &[&str]) -> RoleConfig {
    RoleConfig {
        name: RoleName::parse(name).expect("a name"),
        description: String::new(),
        scopes: scopes.iter().map(|scope| scope.parse().expect("a scope")).collect(),
        users: users.iter().map(|name| UserName::parse(name).expect("a name")).collect(),
        services: services.iter().map(|name| ServiceName::parse(name).expect("a name")).collect(),
        groups: Vec::new(),
    }
}

/// A service that reads users, one that administers, and kim, who may keep users and is no administrator.
async fn world_of_services() -> World {
    let scopes = ["list:users", "read:users:activity", "tokens!user=alice", "read:users!user=alice"];
    World::with(|_, auth| {
        auth.services = vec![service("culler", CULLER, false), service("script", SCRIPT, true)];
        auth.roles = vec![role("culling", &scopes, &[], &["culler"]), role("keeping", &["admin:users"], &["kim"], &[])];
    })
    .await
}

async fn send(person: &Client<'_>, method: Method, path: &str, body: &str, status: u16) -> Value {
    let answer = person.json(method, &format!("/hub/api/{path}"), body).await.is(status);
    if answer.text.is_empty() { Value::Null } else { answer.json() }
}

#[tokio::test]
async fn a_service_is_told_who_it_is_and_what_it_may() {
    let world = world_of_services().await;
    let culler = world.program(CULLER);
    let who = send(&culler, Method::GET, "user", "", 200).await;
    assert_eq!((&who["kind"], &who["name"], &who["admin"]), (&json!("service"), &json!("culler"), &json!(false)));
    assert!(who["token_id"].as_str().is_some_and(|id| id.starts_with('a')), "{who}");
    assert_eq!((&who["session_id"], who.get("url"), who.get("servers")), (&json!(null), None, None));
    let scopes: Vec<_> = who["scopes"].as_array().expect("scopes").iter().filter_map(Value::as_str).collect();
    for scope in ["list:users", "read:users:activity", "read:users:name", "tokens!user=alice"] {
        assert!(scopes.contains(&scope), "{scope}: {scopes:?}");
    }
    let script = world.program(SCRIPT);
    let who = send(&script, Method::GET, "user", "", 200).await;
    assert_eq!((&who["roles"], &who["info"]), (&json!(["admin"]), &json!({ "text": "about it" })));
    // The deprecated way to ask it, of another's token.
    let told = send(&script, Method::GET, &format!("authorizations/token/{CULLER}"), "", 200).await;
    assert_eq!((&told["kind"], &told["name"], told.get("scopes")), (&json!("service"), &json!("culler"), None));
    send(&world.stranger(), Method::GET, &format!("authorizations/token/{CULLER}"), "", 403).await;
}

#[tokio::test]
async fn a_token_that_a_service_made_says_so() {
    let world = world_of_services().await;
    world.user("alice").await;
    world.user("bob").await;
    let culler = world.program(CULLER);
    let body = r#"{"scopes": ["read:users:name!user"]}"#;
    let made = send(&culler, Method::POST, "users/alice/tokens", body, 201).await;
    assert_eq!((&made["note"], &made["user"]), (&json!("Requested via api by service culler"), &json!("alice")));
    let refused = send(&culler, Method::POST, "users/bob/tokens", body, 403).await;
    assert_eq!(refused["message"], "Service bob not found or no permissions to generate tokens");
    let noted = send(&culler, Method::POST, "users/alice/tokens", r#"{"note": "x", "scopes": []}"#, 201).await;
    assert_eq!(noted["note"], "x");
}

#[tokio::test]
async fn who_keeps_users_makes_nobody_an_administrator() {
    let world = world_of_services().await;
    world.admin("root").await;
    world.user("alice").await;
    world
        .auth
        .set_password("test", &UserName::parse("kim").expect("a name"), &Secret::new(super::world::PASSWORD), false)
        .await
        .expect("kim is there");
    let kim = scripting(&world.signed_in("kim").await).await;
    let said = async |method: Method, path: &str, body: &str| {
        send(&kim, method, path, body, 403).await["message"].as_str().expect("a sentence").to_owned()
    };
    let grant = "Only admins can grant admin permissions";
    assert_eq!(said(Method::POST, "users", r#"{"usernames": ["eve"], "admin": true}"#).await, grant);
    assert_eq!(said(Method::POST, "users/eve", r#"{"admin": true}"#).await, grant);
    assert_eq!(said(Method::PATCH, "users/alice", r#"{"admin": true}"#).await, grant);
    let modify = "Only admins can modify other admins";
    for body in [r#"{"name": "eve"}"#, r#"{"admin": false}"#, r#"{"admin": true}"#, "{}"] {
        assert_eq!(said(Method::PATCH, "users/root", body).await, modify, "{body}");
    }
    send(&kim, Method::GET, "users/eve", "", 404).await;
    send(&kim, Method::POST, "users", r#"{"usernames": ["eve"], "admin": false}"#, 201).await;
    send(&kim, Method::PATCH, "users/alice", r#"{"name": "ada"}"#, 200).await;
    send(&kim, Method::DELETE, "users/eve", "", 204).await;
    let script = world.program(SCRIPT);
    assert_eq!(send(&script, Method::PATCH, "users/ada", r#"{"admin": true}"#, 200).await["admin"], true);
}
