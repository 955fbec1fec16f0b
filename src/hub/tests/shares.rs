//! Shares, share codes and services in the API.

use axum::http::Method;
use serde_json::json;

use super::world::{Client, World};

async fn scripting<'a>(person: &Client<'a>) -> Client<'a> {
    let page = person.get("/hub/error/404").await;
    let token = page.form_token();
    person.clone().keeping(&page).with("x-xsrftoken", &token)
}

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
    for body in [r#"{"expires_in": 59}"#, r#"{"expires_in": 31536001}"#, r#"{"expires_in": 1.5}"#, r#"{"user": "bob"}"#]
    {
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
