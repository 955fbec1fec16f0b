//! Shares, share codes and services in the API.

use axum::http::Method;
use serde_json::{Value, json};

use super::server_api::{says, token};
use super::users::scripting;
use super::world::World;
use crate::model::{Secret, ServiceConfig, ServiceName};

#[tokio::test]
async fn a_server_is_shared_looked_at_and_taken_back() {
    let world = World::new().await;
    world.user("alice").await;
    let bob = scripting(&world.user("bob").await).await;
    let root = scripting(&world.admin("root").await).await;
    let path = "/hub/api/shares/alice/";
    let share = root.json(Method::POST, path, r#"{"user": "bob"}"#).await.is(200).json();
    assert_eq!(share["scopes"], json!(["access:servers!server=alice/"]));
    assert_eq!(
        (&share["user"], &share["group"], &share["kind"]),
        (&json!({ "name": "bob" }), &json!(null), &json!("user"))
    );
    assert_eq!(share["server"]["url"], "/user/alice/");
    let list = root.get("/hub/api/shares/alice").await.is(200).json();
    assert_eq!((&list["items"][0], &list["_pagination"]["total"]), (&share, &json!(1)));
    assert_eq!(root.get(path).await.is(200).json()["items"][0], share);
    assert_eq!(bob.get("/hub/api/users/bob/shared").await.is(200).json()["items"][0], share);
    assert_eq!(bob.get("/hub/api/users/bob/shared/alice/").await.is(200).json(), share);
    for (body, status) in [
        ("{}", 400),
        (r#"{"user": "bob", "group": "g"}"#, 400),
        (r#"{"user": "nobody"}"#, 400),
        (r#"{"group": "nobodies"}"#, 400),
        (r#"{"user": "bob", "scopes": ["nonsense"]}"#, 400),
        (r#"{"user": "bob", "scopes": ["access:servers!server=bob/"]}"#, 400),
        (r#"{"user": "bob", "colour": 1}"#, 400),
        ("{", 400),
    ] {
        root.json(Method::POST, path, body).await.is(status);
    }
    root.json(Method::POST, "/hub/api/shares/alice", r#"{"user": "bob"}"#).await.is(405);
    root.json(Method::POST, "/hub/api/shares/nobody/", r#"{"user": "bob"}"#).await.is(404);
    let missing = root.json(Method::POST, "/hub/api/shares/alice/gpu", r#"{"user": "bob"}"#).await.is(404);
    assert_eq!(missing.json()["message"], "No such server: alice/gpu");
    bob.json(Method::POST, path, r#"{"user": "bob"}"#).await.is(403);
    bob.get("/hub/api/shares/alice").await.is(404);
    assert_eq!(root.json(Method::PATCH, path, r#"{"user": "bob"}"#).await.is(200).json(), json!({}));
    bob.json(Method::DELETE, "/hub/api/users/bob/shared/alice/", "").await.is(404);
    root.json(Method::POST, path, r#"{"user": "bob"}"#).await.is(200);
    bob.json(Method::DELETE, "/hub/api/users/bob/shared/alice/", "").await.is(204);
    root.json(Method::DELETE, path, "").await.is(204);
    root.get("/hub/api/groups/nobodies/shared").await.is(404);
}

#[tokio::test]
async fn a_code_is_told_once_and_deleted_by_its_id() {
    let world = World::new().await;
    world.user("alice").await;
    let root = scripting(&world.admin("root").await).await;
    let path = "/hub/api/share-codes/alice/";
    let code = root.json(Method::POST, path, r#"{"expires_in": 600}"#).await.is(200).json();
    let text = code["code"].as_str().expect("a code");
    assert_eq!(code["accept_url"], format!("/hub/accept-share?code={text}"));
    assert_eq!((&code["full_accept_url"], &code["exchange_count"]), (&json!(null), &json!(0)));
    let listed = root.get("/hub/api/share-codes/alice").await.is(200).json()["items"][0].clone();
    assert!(listed["code"].is_null() && listed["id"] == code["id"], "{listed}");
    for body in [r#"{"expires_in": "600"}"#, r#"{"expires_in": 600.0}"#, "", "{}"] {
        root.json(Method::POST, path, body).await.is(200);
    }
    for body in [
        r#"{"expires_in": "soon"}"#,
        r#"{"expires_in": null}"#,
        r#"{"expires_in": 59}"#,
        r#"{"expires_in": 31536001}"#,
        r#"{"expires_in": 1.5}"#,
        r#"{"user": "bob"}"#,
    ] {
        root.json(Method::POST, path, body).await.is(400);
    }
    root.json(Method::DELETE, &format!("{path}?id=sc_999"), "").await.is(404);
    root.json(Method::DELETE, &format!("{path}?id=nonsense"), "").await.is(404);
    root.json(Method::DELETE, &format!("{path}?code=nonsense"), "").await.is(404);
    let id = code["id"].as_str().expect("an id");
    root.json(Method::DELETE, &format!("{path}?id={id}"), "").await.is(204);
    root.json(Method::DELETE, path, "").await.is(204);
    root.json(Method::DELETE, "/hub/api/share-codes/alice", "").await.is(405);
    world.user("bob").await.get("/hub/api/share-codes/alice").await.is(404);
}

#[tokio::test]
async fn a_service_is_made_shown_and_deleted() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let root = scripting(&world.admin("root").await).await;
    let path = "/hub/api/services/report";
    assert_eq!(root.get("/hub/api/services").await.is(200).json(), json!({}));
    alice.get("/hub/api/services").await.is(403);
    alice.get(path).await.is(403);
    let made = root.json(Method::POST, path, r#"{"info": {"a": 1}, "url": "http://127.0.0.1:9"}"#).await.is(201).json();
    let expected = json!({
        "kind": "service", "name": "report", "admin": false, "roles": [], "url": "http://127.0.0.1:9",
        "prefix": "/services/report/", "command": [], "pid": 0, "info": { "a": 1 }, "display": true,
    });
    assert_eq!(made, expected);
    assert_eq!(root.get(path).await.is(200).json(), expected);
    assert_eq!(root.get("/hub/api/services").await.is(200).json()["report"], expected);
    root.json(Method::POST, path, "{}").await.is(409);
    for body in
        [r#"{"command": ["x"]}"#, r#"{"colour": 1}"#, "{", "", r#"{"oauth_client_id": "other"}"#, r#"{"url": 1}"#]
    {
        root.json(Method::POST, "/hub/api/services/odd", body).await.is(400);
    }
    assert_eq!(root.get("/hub/api/services/odd").await.is(404).json()["message"], "No such service: odd");
    assert_eq!(root.json(Method::DELETE, path, "").await.is(200).text, "");
    root.json(Method::DELETE, path, "").await.is(404);
}

#[tokio::test]
async fn sharing_wants_its_scopes_and_says_which() {
    let world = World::new().await;
    let bob = scripting(&world.user("bob").await).await;
    world.user("alice").await;
    let root = scripting(&world.admin("root").await).await;
    let calls = [
        (Method::GET, "shares/alice", "read:shares"),
        (Method::GET, "shares/alice/", "read:shares"),
        (Method::POST, "shares/alice/", "shares"),
        (Method::PATCH, "shares/alice/", "shares"),
        (Method::DELETE, "shares/alice/", "shares"),
        (Method::GET, "share-codes/alice", "read:shares"),
        (Method::GET, "share-codes/alice/", "read:shares"),
        (Method::POST, "share-codes/alice/", "shares"),
        (Method::DELETE, "share-codes/alice/", "shares"),
        (Method::GET, "users/alice/shared", "read:users:shares"),
        (Method::GET, "users/alice/shared/bob/", "read:users:shares"),
        (Method::DELETE, "users/alice/shared/bob/", "users:shares"),
        (Method::GET, "groups/crew/shared", "read:groups:shares"),
        (Method::GET, "groups/crew/shared/bob/", "read:groups:shares"),
        (Method::DELETE, "groups/crew/shared/bob/", "groups:shares"),
    ];
    let nothing = token(&root, &["read:hub"]).await;
    let elsewhere = ["shares!user=bob", "users:shares!user=bob", "groups:shares!group=deck"];
    let elsewhere = token(&root, &elsewhere).await;
    for (method, path, scope) in calls {
        let path = format!("/hub/api/{path}");
        let body = r#"{"user": "bob"}"#;
        let stranger = world.stranger().json(method.clone(), &path, body).await.is(403);
        says(&stranger, "Missing or invalid credentials.");
        let refused = world.program(&nothing).json(method.clone(), &path, body).await.is(403);
        says(&refused, format!("Action is not authorized with current scopes; requires any of [{scope}]"));
        let absent = world.program(&elsewhere).json(method, &path, body).await.is(404);
        says(&absent, "No access to resources or resources not found");
    }
    // Who shares names whom, and gives only what they hold.
    let shares = token(&root, &["shares"]).await;
    let more = r#"{"user": "bob", "scopes": ["read:servers"]}"#;
    let beyond = world.program(&shares).json(Method::POST, "/hub/api/shares/alice/", more).await.is(403);
    says(&beyond, "Do not have permission to grant share with scope read:servers!server=alice/");
    for (body, words) in [
        (r#"{"user": "bob"}"#, "Need scope 'read:users:name' to share with users by name"),
        (r#"{"group": "crew"}"#, "Need scope 'read:groups:name' to share with groups by name"),
    ] {
        says(&world.program(&shares).json(Method::POST, "/hub/api/shares/alice/", body).await.is(403), words);
    }
    assert_eq!(bob.get("/hub/api/users/bob/shared").await.is(200).json()["items"], json!([]));
}

#[tokio::test]
async fn what_is_taken_back_is_answered_with_what_is_left() {
    let world = World::new().await;
    world.user("alice").await;
    world.user("bob").await;
    let root = scripting(&world.admin("root").await).await;
    root.json(Method::POST, "/hub/api/groups", r#"{"groups": ["crew"], "users": ["bob"]}"#).await.is(201);
    let path = "/hub/api/shares/alice/";
    let both = r#"{"user": "bob", "scopes": ["access:servers", "read:servers!server=alice/"]}"#;
    let share = root.json(Method::POST, path, both).await.is(200).json();
    assert_eq!(share["scopes"].as_array().map(Vec::len), Some(2), "{share}");
    let less = root.json(Method::PATCH, path, r#"{"user": "bob", "scopes": ["read:servers!server=alice/"]}"#).await;
    assert_eq!(less.is(200).json()["scopes"], json!(["access:servers!server=alice/"]));
    for body in [r#"{"user": "nobody"}"#, r#"{"user": "a/b"}"#, r#"{"group": "nobodies"}"#, r#"{"user": "bob"}"#] {
        assert_eq!(root.json(Method::PATCH, path, body).await.is(200).json(), json!({}), "{body}");
    }
    for body in ["", "{", "[]", "{}", r#"{"user": "bob", "group": "crew"}"#, r#"{"user": "bob", "colour": 1}"#] {
        root.json(Method::PATCH, path, body).await.is(400);
    }
    let share = root.json(Method::POST, path, r#"{"group": "crew"}"#).await.is(200).json();
    assert_eq!((&share["kind"], &share["group"]["name"]), (&json!("group"), &json!("crew")));
    assert_eq!(root.get("/hub/api/groups/crew/shared").await.is(200).json()["items"][0], share);
    assert_eq!(root.get("/hub/api/groups/crew/shared/alice/").await.is(200).json(), share);
    assert_eq!(root.get("/hub/api/users/bob/shared").await.is(200).json()["items"][0], share, "by way of the group");
    let own = root.get("/hub/api/users/bob/shared/alice/").await.is(404);
    says(&own, "No such share for user bob on alice/");
    root.json(Method::DELETE, "/hub/api/groups/crew/shared/alice/", "").await.is(204);
    let gone = root.json(Method::DELETE, "/hub/api/groups/crew/shared/alice/", "").await.is(404);
    says(&gone, "No such share for group crew on alice/");
    for _ in 0..2 {
        assert_eq!(root.json(Method::DELETE, path, "").await.is(204).text, "");
    }
    for path in ["shares/nobody", "share-codes/nobody"] {
        says(&root.get(&format!("/hub/api/{path}")).await.is(404), Value::Null);
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
            if method == Method::PATCH && path.starts_with("share-codes") {
                continue;
            }
            let missing = root.json(method, &format!("/hub/api/{path}/"), r#"{"user": "bob"}"#).await;
            // A code is for nobody by name.
            let is_body = missing.status == 400 && path.starts_with("share-codes");
            if !is_body {
                says(&missing.is(404), "No such server: nobody/");
            }
        }
    }
}

#[tokio::test]
async fn lists_of_shares_have_pages_always() {
    let world = World::new().await;
    world.user("alice").await;
    let root = scripting(&world.admin("root").await).await;
    world.seed_users(3).await;
    for n in 0..3 {
        root.json(Method::POST, "/hub/api/shares/alice/", &format!(r#"{{"user": "user-{n}"}}"#)).await.is(200);
        root.json(Method::POST, "/hub/api/share-codes/alice/", "").await.is(200);
    }
    for path in ["shares/alice", "shares/alice/", "share-codes/alice", "share-codes/alice/"] {
        let page = root.get(&format!("/hub/api/{path}?limit=2&offset=1")).await.is(200).json();
        assert_eq!(page["items"].as_array().map(Vec::len), Some(2), "{path}");
        assert_eq!(page["_pagination"], json!({ "offset": 1, "limit": 2, "total": 3, "next": null }), "{path}");
        let first = root.get(&format!("/hub/api/{path}?limit=1")).await.is(200).json();
        let url = format!("https://lab.test:8443/hub/api/{path}?limit=1&offset=1");
        assert_eq!(first["_pagination"]["next"], json!({ "offset": 1, "limit": 1, "url": url }));
        root.get(&format!("/hub/api/{path}?limit=x")).await.is(400);
    }
}

#[tokio::test]
async fn services_are_for_those_who_may_and_the_configurations_stay() {
    let world = World::with(|_, auth| {
        let named = |name: &str| ServiceConfig::named(ServiceName::parse(name).expect("a name"));
        let site = ServiceConfig { api_token: Some(Secret::new("0123456789abcdef-site")), ..named("site") };
        auth.services = vec![site, named("other")];
    })
    .await;
    let alice = scripting(&world.user("alice").await).await;
    let root = scripting(&world.admin("root").await).await;
    let kept = root.json(Method::DELETE, "/hub/api/services/site", "").await.is(405);
    says(&kept, "Service site is not modifiable at runtime");
    says(&root.json(Method::POST, "/hub/api/services/site", "{}").await.is(409), "Service site already exists");
    says(&root.json(Method::DELETE, "/hub/api/services/nonsense", "").await.is(404), "Service nonsense does not exist");
    let managed = root.json(Method::POST, "/hub/api/services/run", r#"{"command": ["true"]}"#).await.is(400);
    says(&managed, "Can not create managed service run at runtime");
    for (method, path, scope) in [
        (Method::GET, "", "list:services"),
        (Method::GET, "/site", "read:services, read:services:name, read:roles:services"),
        (Method::POST, "/made", "admin:services"),
        (Method::DELETE, "/site", "admin:services"),
    ] {
        let path = format!("/hub/api/services{path}");
        says(&world.stranger().json(method.clone(), &path, "{}").await.is(403), "Missing or invalid credentials.");
        let refused = alice.json(method, &path, "{}").await.is(403);
        says(&refused, format!("Action is not authorized with current scopes; requires any of [{scope}]"));
    }
    let one = world.program(&token(&root, &["list:services!service=site", "read:services:name!service=site"]).await);
    assert_eq!(one.get("/hub/api/services").await.is(200).json()["site"]["name"], "site");
    assert!(one.get("/hub/api/services").await.json().get("other").is_none());
    let named = one.get("/hub/api/services/site").await.is(200).json();
    assert_eq!(named, json!({ "kind": "service", "name": "site", "admin": false }));
    one.get("/hub/api/services/other").await.is(404);
    let maker = world.program(&token(&root, &["admin:services"]).await);
    maker
        .json(Method::POST, "/hub/api/services/made", r#"{"oauth_client_allowed_scopes": ["nonsense"]}"#)
        .await
        .is(400);
    maker.json(Method::POST, "/hub/api/services/made", r#"{"admin": true}"#).await.is(403);
    maker.json(Method::POST, "/hub/api/services/made", r#"{"api_token": "0123456789abcdef-made"}"#).await.is(201);
    assert_eq!(world.program("0123456789abcdef-made").get("/hub/api/user").await.is(200).json()["name"], "made");
    maker.json(Method::DELETE, "/hub/api/services/made", "").await.is(200);
    world.program("0123456789abcdef-made").get("/hub/api/user").await.is(403);
}
