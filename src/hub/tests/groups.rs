//! Groups in the API: made, filled, described and deleted, by those who may.

use axum::http::Method;
use serde_json::json;

use super::world::{Client, World};
use crate::hub::tests::users::scripting;

/// An administrator, and alice, bob and carol.
async fn world_of_people() -> World {
    let world = World::new().await;
    world.admin("root").await;
    for name in ["alice", "bob", "carol"] {
        world.auth.add_user("test", name, None, false).await.expect("a new user");
    }
    world
}

async fn sends(person: &Client<'_>, method: Method, path: &str, body: &str, status: u16) -> serde_json::Value {
    let answer = person.json(method, &format!("/hub/api/groups{path}"), body).await.is(status);
    if answer.text.is_empty() { json!(null) } else { answer.json() }
}

#[tokio::test]
async fn groups_are_made_filled_and_deleted() {
    let world = world_of_people().await;
    let root = scripting(&world.signed_in("root").await).await;
    let made = sends(&root, Method::POST, "", r#"{"groups": ["deck", "crew"], "users": ["Alice", "bob"]}"#, 201).await;
    let deck = json!({ "kind": "group", "name": "deck", "users": ["alice", "bob"], "properties": {}, "roles": [] });
    assert_eq!((&made[0], &made[1]["name"]), (&deck, &json!("crew")));
    let again = sends(&root, Method::POST, "", r#"{"groups": ["new-one", "crew"]}"#, 409).await;
    assert_eq!(again["message"], "Group crew already exists");
    let missing = sends(&root, Method::GET, "/new-one", "", 404).await;
    assert_eq!(missing["message"], "No such group: new-one");
    sends(&root, Method::POST, "", r#"{"groups": ["twice", "twice"]}"#, 409).await;
    assert_eq!(sends(&root, Method::POST, "/hold", "", 201).await["users"], json!([]));
    sends(&root, Method::POST, "/hold", "{}", 409).await;
    assert_eq!(sends(&root, Method::POST, "/bridge", r#"{"users": ["carol"]}"#, 201).await["users"], json!(["carol"]));
    let unknown = sends(&root, Method::POST, "/bridge2", r#"{"users": ["nobody"]}"#, 400).await;
    assert_eq!(unknown["message"], "No such user: nobody");
    sends(&root, Method::GET, "/bridge2", "", 404).await;

    let filled = sends(&root, Method::POST, "/hold/users", r#"{"users": ["carol", "carol", "alice"]}"#, 200).await;
    assert_eq!(filled["users"], json!(["alice", "carol"]));
    sends(&root, Method::POST, "/hold/users", r#"{"users": ["bob", "nobody"]}"#, 400).await;
    let emptied = sends(&root, Method::DELETE, "/hold/users", r#"{"users": ["alice", "bob"]}"#, 200).await;
    assert_eq!(emptied["users"], json!(["carol"]));
    assert_eq!(sends(&root, Method::POST, "/hold/users", "{}", 400).await["message"], "Must specify users to add");
    assert_eq!(sends(&root, Method::DELETE, "/hold/users", "{}", 400).await["message"], "Must specify users to delete");

    let described = sends(&root, Method::PUT, "/hold/properties", r#"{"quota": {"gpu": 1}}"#, 200).await;
    assert_eq!(described["properties"], json!({ "quota": { "gpu": 1 } }));
    for wrong in ["", "[]", "7", "{"] {
        sends(&root, Method::PUT, "/hold/properties", wrong, 400).await;
    }
    let large = json!({ "large": "x".repeat(100_000) }).to_string();
    sends(&root, Method::PUT, "/hold/properties", &large, 400).await;
    let model = root.get("/hub/api/users/carol").await.is(200).json();
    assert_eq!(model["groups"], json!(["bridge", "hold"]));

    sends(&root, Method::DELETE, "/hold", "", 204).await;
    sends(&root, Method::DELETE, "/hold", "", 404).await;
    sends(&root, Method::POST, "/hold/users", r#"{"users": []}"#, 404).await;
    sends(&root, Method::PUT, "/hold/properties", "{}", 404).await;
    let listed = sends(&root, Method::GET, "", "", 200).await;
    let names: Vec<_> = listed.as_array().expect("a list").iter().map(|group| &group["name"]).collect();
    assert_eq!(names, ["docker-privileged", "deck", "crew", "bridge"], "in the order in which they were made");
    let page = root.clone().with("accept", "application/jupyterhub-pagination+json");
    let page = sends(&page, Method::GET, "?limit=1&offset=2", "", 200).await;
    assert_eq!((&page["items"][0]["name"], &page["_pagination"]["total"]), (&json!("crew"), &json!(4)));
    sends(&root, Method::GET, "?limit=x", "", 400).await;
}

#[tokio::test]
async fn what_cannot_be_a_group_is_400() {
    let world = world_of_people().await;
    let root = scripting(&world.signed_in("root").await).await;
    for none in ["", "{}", r#"{"groups": []}"#] {
        let told = sends(&root, Method::POST, "", none, 400).await;
        assert_eq!(told["message"], "Must specify at least one group to create", "{none}");
    }
    for wrong in [
        r#"{"groups": "crew"}"#,
        r#"{"groups": [1]}"#,
        r#"{"groups": ["a/b"]}"#,
        r#"{"groups": ["x"], "users": "alice"}"#,
        r#"{"groups": ["x"], "evil": 1}"#,
        "[]",
        "{",
    ] {
        sends(&root, Method::POST, "", wrong, 400).await;
    }
    for wrong in [r#"{"users": "alice"}"#, r#"{"users": null}"#, r#"{"evil": 1}"#, "[]"] {
        sends(&root, Method::POST, "/crew", wrong, 400).await;
    }
    let many: Vec<_> = (0..1001).map(|n| format!("g{n}")).collect();
    sends(&root, Method::POST, "", &json!({ "groups": many }).to_string(), 400).await;
}

#[tokio::test]
async fn groups_are_shown_to_those_who_may_see_them() {
    let world = world_of_people().await;
    let root = scripting(&world.signed_in("root").await).await;
    sends(&root, Method::POST, "", r#"{"groups": ["crew", "deck"], "users": ["alice"]}"#, 201).await;
    let mint = async |scopes: &[&str]| {
        let body = json!({ "scopes": scopes }).to_string();
        let made = root.json(Method::POST, "/hub/api/users/root/tokens", &body).await.is(201).json();
        world.program(made["token"].as_str().expect("a token"))
    };
    let some = mint(&["list:groups!group=crew", "read:groups!group=crew"]).await;
    let listed = sends(&some, Method::GET, "", "", 200).await;
    assert_eq!(listed, json!([{ "kind": "group", "name": "crew", "users": ["alice"], "properties": {} }]));
    let elsewhere = sends(&some, Method::GET, "/deck", "", 404).await;
    assert_eq!(elsewhere["message"], "No access to resources or resources not found");
    let keeper = mint(&["groups!group=crew", "delete:groups!group=deck"]).await;
    sends(&keeper, Method::POST, "/crew/users", r#"{"users": ["bob"]}"#, 200).await;
    sends(&keeper, Method::DELETE, "/crew/users", r#"{"users": ["bob"]}"#, 200).await;
    sends(&keeper, Method::PUT, "/deck/properties", "{}", 404).await;
    sends(&keeper, Method::DELETE, "/crew", "", 404).await;
    sends(&keeper, Method::POST, "/new", "", 403).await;
    let names = mint(&["read:groups:name"]).await;
    assert_eq!(sends(&names, Method::GET, "/deck", "", 200).await, json!({ "kind": "group", "name": "deck" }));
    let roles = mint(&["read:roles:groups"]).await;
    assert_eq!(
        sends(&roles, Method::GET, "/deck", "", 200).await,
        json!({ "kind": "group", "name": "deck", "roles": [] })
    );
    let members = mint(&["list:users!group=crew", "read:users!group=crew"]).await;
    let listed = members.get("/hub/api/users").await.is(200).json();
    assert_eq!((&listed[0]["name"], listed.as_array().map(Vec::len)), (&json!("alice"), Some(1)));
    for (method, path, body) in [
        (Method::GET, "", ""),
        (Method::POST, "", r#"{"groups": ["x"]}"#),
        (Method::GET, "/crew", ""),
        (Method::POST, "/crew", ""),
        (Method::DELETE, "/crew", ""),
        (Method::POST, "/crew/users", r#"{"users": []}"#),
        (Method::DELETE, "/crew/users", r#"{"users": []}"#),
        (Method::PUT, "/crew/properties", "{}"),
    ] {
        let nobody = sends(&world.stranger(), method.clone(), path, body, 403).await;
        assert_eq!(nobody["message"], "Missing or invalid credentials.", "{method} {path}");
        let refused = sends(&mint(&["read:hub"]).await, method.clone(), path, body, 403).await;
        assert!(refused["message"].as_str().is_some_and(|text| text.contains("requires any of")), "{method} {path}");
    }
}
