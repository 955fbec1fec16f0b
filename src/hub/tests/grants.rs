//! Groups' pages and the platform's endpoints of them.

use axum::http::Method;
use serde_json::{Value, json};

use super::world::{Client, PASSWORD, World};
use crate::hub::tests::users::scripting;
use crate::model::{GroupName, UserName};

async fn sends(person: &Client<'_>, method: Method, path: &str, body: Value, status: u16) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    person.json(method, &format!("/hub/api/admin/groups{path}"), &body).await.is(status).json()
}

fn members(world: &World, group: &str) -> Vec<UserName> {
    world.auth.group(&GroupName::parse(group).expect("a name")).expect("a group").users
}

#[tokio::test]
async fn a_group_is_made_configured_ordered_and_deleted_through_the_api() {
    let world = World::new().await;
    world.admin("root").await;
    let root = scripting(&world.signed_in("root").await).await;
    let made = sends(&root, Method::POST, "/create", json!({ "name": "physics", "description": "d" }), 200).await;
    assert_eq!(made, json!({ "success": true, "name": "physics" }));
    sends(&root, Method::POST, "/create", json!({ "name": "physics" }), 409).await;
    for bad in ["new", "Export", "1st", "a b", "ä", ""] {
        sends(&root, Method::POST, "/create", json!({ "name": bad }), 400).await;
    }
    let config = json!({ "mem_limit_enabled": true, "mem_limit_gb": 8.04, "priority": 3 });
    let stored = sends(&root, Method::PUT, "/physics/config", config, 200).await;
    assert_eq!(
        (&stored["config"]["mem_limit_gb"], &stored["priority"], &stored["description"]),
        (&json!(8.0), &json!(3), &json!("d"))
    );
    let merged = sends(&root, Method::PUT, "/physics/config", json!({ "mem_swap_disabled": true }), 200).await;
    assert_eq!(
        (&merged["config"]["mem_limit_gb"], &merged["config"]["mem_swap_disabled"]),
        (&json!(8.0), &json!(true))
    );
    assert_eq!(sends(&root, Method::GET, "/physics/config", Value::Null, 200).await, merged);
    let refused = json!({ "env_vars": [{ "name": "NB_UID", "value": "0" }] });
    let refused = sends(&root, Method::PUT, "/physics/config", refused, 400).await;
    assert_eq!((&refused["error"], &refused["rejected"]), (&json!("reserved_env_var_names"), &json!(["NB_UID"])));
    sends(&root, Method::PUT, "/physics/config", json!({ "mem_limt_gb": 8 }), 400).await;
    sends(&root, Method::PUT, "/gone/config", json!({}), 404).await;
    sends(&root, Method::POST, "/reorder", json!({ "groups": [{ "name": "physics", "priority": 7 }] }), 200).await;
    sends(&root, Method::POST, "/reorder", json!({ "groups": [] }), 400).await;
    let listed = sends(&root, Method::GET, "", Value::Null, 200).await;
    assert_eq!((&listed["groups"][0]["name"], &listed["groups"][0]["priority"]), (&json!("physics"), &json!(7)));
    assert_eq!(listed["groups"][1]["built_in"], true);

    let alice = scripting(&world.user("alice").await).await;
    sends(&alice, Method::GET, "", Value::Null, 403).await;
    root.json(Method::POST, "/hub/api/groups/physics/users", r#"{"users": ["alice"]}"#).await.is(200);
    let effective = alice.get("/hub/api/users/alice/effective-grants").await.is(200).json();
    assert_eq!(effective["grants"][0]["value"], "8 GiB, no swap");
    assert_eq!(effective["grants"][0]["from"], json!(["physics"]));
    alice.get("/hub/api/users/root/effective-grants").await.is(404);
    sends(&root, Method::DELETE, "/physics/delete", Value::Null, 200).await;
    sends(&root, Method::DELETE, "/physics/delete", Value::Null, 404).await;
    let kept = sends(&root, Method::DELETE, "/docker-privileged/delete", Value::Null, 409).await;
    assert!(kept["message"].as_str().is_some_and(|text| text.contains("built in")), "{kept}");
    root.json(Method::DELETE, "/hub/api/groups/docker-privileged", "").await.is(409);
}

/// Trap 55: nothing of a bundle is lost on the way.
#[tokio::test]
async fn what_is_exported_is_imported_whole() {
    let world = World::new().await;
    world.admin("root").await;
    let root = scripting(&world.signed_in("root").await).await;
    let config = json!({
        "shared_mount_allow": true, "shared_mount_mode": "ro", "gpu_access": true, "gpu_all": true,
        "volume_mounts": [{ "volume": "data", "mountpoint": "/data", "mode": "rw" }],
    });
    sends(&root, Method::POST, "/create", json!({ "name": "physics" }), 200).await;
    sends(&root, Method::PUT, "/physics/config", config, 200).await;
    sends(&root, Method::POST, "/reorder", json!({ "groups": [{ "name": "physics", "priority": 2 }] }), 200).await;
    let exported = sends(&root, Method::GET, "", Value::Null, 200).await;
    sends(&root, Method::POST, "/import", exported.clone(), 409).await;
    sends(&root, Method::DELETE, "/physics/delete", Value::Null, 200).await;
    sends(&root, Method::POST, "/import", exported.clone(), 200).await;
    assert_eq!(sends(&root, Method::GET, "", Value::Null, 200).await, exported);
    let root_like = json!({ "groups": [{ "name": "evil", "config": { "docker_privileged": true } }] });
    sends(&root, Method::POST, "/import", root_like, 403).await;
}

#[tokio::test]
async fn a_session_does_not_make_root_through_the_api() {
    let world = World::new().await;
    world.admin("root").await;
    let root = scripting(&world.signed_in("root").await).await;
    world.user("alice").await;
    let added = root.json(Method::POST, "/hub/api/groups/docker-privileged/users", r#"{"users": ["alice"]}"#).await;
    let message = added.is(403).json()["message"].as_str().expect("a sentence").to_owned();
    assert!(message.contains("password") && message.contains("custom:grant-root"), "{message}");
    sends(&root, Method::POST, "/create", json!({ "name": "lab" }), 200).await;
    sends(&root, Method::PUT, "/lab/config", json!({ "docker_access": true }), 403).await;
    assert!(members(&world, "docker-privileged").is_empty());
}

#[tokio::test]
async fn the_page_asks_for_the_password_before_somebody_becomes_root() {
    let world = World::new().await;
    let root = world.admin("root").await;
    world.user("alice").await;
    let path = "/hub/groups/docker-privileged/members";
    let asked = root.post(path, &[("add", "alice")]).await.is(403);
    assert!(asked.text.contains("Type your own password"), "{}", asked.text);
    root.post(path, &[("add", "alice"), ("password", "wrong horse")]).await.is(403);
    assert!(members(&world, "docker-privileged").is_empty());
    root.post(path, &[("add", "alice"), ("password", PASSWORD)]).await.is(303);
    assert_eq!(members(&world, "docker-privileged").len(), 1);
    root.post(path, &[("remove", "alice")]).await.is(303);
    assert!(members(&world, "docker-privileged").is_empty());

    root.post("/hub/groups", &[("name", "lab")]).await.is(303);
    let grants = [("docker_privileged", "1"), ("mem_limit_enabled", "1"), ("mem_limit_gb", "2")];
    root.post("/hub/groups/lab", &grants).await.is(403);
    let with_password: Vec<_> = grants.into_iter().chain([("password", PASSWORD)]).collect();
    root.post("/hub/groups/lab", &with_password).await.is(303);
    // What it grants already is not asked for again.
    root.post("/hub/groups/lab", &[("docker_privileged", "1"), ("description", "d")]).await.is(303);
    let page = root.get("/hub/groups/lab").await.is(200);
    assert!(page.text.contains("root on this host"));
    root.post("/hub/groups/lab/members", &[("add", "alice, nobody")]).await.is(400);
    root.post("/hub/groups/lab/members", &[("add", "alice"), ("password", PASSWORD)]).await.is(303);
    let grants = root.get("/hub/grants/alice").await.is(200);
    assert!(grants.text.contains("Privileged container") && grants.text.contains("lab"), "{}", grants.text);
}

#[tokio::test]
async fn what_cannot_be_saved_is_said_beside_its_field_and_nothing_typed_is_lost() {
    let world = World::new().await;
    let root = world.admin("root").await;
    root.post("/hub/groups", &[("name", "Physics 101"), ("description", "Second year")]).await.is(303);
    let again = root.post("/hub/groups", &[("name", "Physics 101")]).await.is(409);
    assert!(again.text.contains("There is a group of that name already."));
    let form = [
        ("mem_limit_enabled", "1"),
        ("mem_limit_gb", "lots"),
        ("env_vars_active", "1"),
        ("env_name", "NB_UID"),
        ("env_value", "secret-value"),
        ("env_description", ""),
        ("volume", "data"),
        ("mountpoint", "/home/x"),
        ("mode", "rw"),
        ("password", "typed-password"),
    ];
    let refused = root.post("/hub/groups/Physics%20101", &form).await.is(400);
    for expected in
        ["This is no number.", "The platform sets these itself: NB_UID.", "secret-value", "own, and all below it"]
    {
        assert!(refused.text.contains(expected), "{expected}: {}", refused.text);
    }
    assert!(!refused.text.contains("typed-password"));
    root.get("/hub/groups/Physics%20101/delete").await.is(200);
    root.post("/hub/groups/Physics%20101/delete", &[]).await.is(303);
    root.get("/hub/groups/Physics%20101").await.is(404);
    root.post("/hub/groups/Physics%20101", &form[..1]).await.is(404);
    root.get("/hub/groups/docker-privileged/delete").await.is(409);
    root.post("/hub/groups/docker-privileged/delete", &[]).await.is(409);
}

/// Trap 5: the first group can be made where there is none to see.
#[tokio::test]
async fn the_list_always_has_the_form_for_a_new_group() {
    let world = World::new().await;
    let root = world.admin("root").await;
    for path in ["/hub/groups", "/hub/groups?q=nothing-like-it"] {
        let page = root.get(path).await.is(200);
        assert!(page.text.contains("Make group"), "{}", page.text);
    }
    let alice = world.user("alice").await;
    for path in ["/hub/groups", "/hub/groups/docker-privileged", "/hub/groups/docker-privileged/delete"] {
        alice.get(path).await.is(403);
    }
    alice.get("/hub/grants").await.is(200);
    alice.get("/hub/grants/alice").await.is(200);
    alice.get("/hub/grants/root").await.is(404);
}
