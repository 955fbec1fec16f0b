//! The API's words about the program itself: its parts, its proxy, its end.

use axum::http::Method;
use serde_json::json;

use super::world::{Client, World, server};
use crate::model::ServerState;

/// An administrator's script: a session with the form token on every request.
async fn administrator(world: &World) -> Client<'_> {
    let root = world.admin("root").await;
    let page = root.get("/hub/error/404").await;
    let token = page.form_token();
    root.keeping(&page).with("x-xsrftoken", &token)
}

#[tokio::test]
async fn the_proxys_routes_are_those_that_are_published() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let root = administrator(&world).await;
    alice.get("/hub/api/proxy").await.is(403);
    world.stranger().get("/hub/api/proxy").await.is(403);
    let routes = root.get("/hub/api/proxy").await.is(200).json();
    let hub = &routes["/"];
    assert_eq!((&hub["routespec"], &hub["target"]), (&json!("/"), &json!("http://127.0.0.1:8081")));
    assert_eq!((&hub["data"]["hub"], &hub["data"]["jupyterhub"]), (&json!(true), &json!(true)));
    assert_eq!(routes.as_object().map(serde_json::Map::len), Some(1));
    root.json(Method::POST, "/hub/api/users/alice/server", "").await.is(201);
    let routes = root.get("/hub/api/proxy").await.is(200).json();
    let route = &routes["/user/alice/"];
    assert!(route["target"].as_str().is_some_and(|target| target.starts_with("http://127.0.0.1:")), "{route}");
    assert_eq!((&route["data"]["user"], &route["data"]["server_name"]), (&json!("alice"), &json!("")));
    assert!(route["data"]["last_activity"].is_string() && route["data"]["hub"].is_null());
}

#[tokio::test]
async fn the_proxy_is_in_line_and_nowhere_else() {
    let world = World::new().await;
    let root = administrator(&world).await;
    assert_eq!(root.json(Method::POST, "/hub/api/proxy", "").await.is(200).text, "");
    root.json(Method::PATCH, "/hub/api/proxy", r#"{"api_url": "http://127.0.0.1:1"}"#).await.is(400);
    let refused = root.json(Method::PATCH, "/hub/api/proxy", "[]").await.is(400);
    assert_eq!(refused.json()["message"], "Request body must be JSON dict");
    let alice = world.user("alice").await;
    alice.json(Method::POST, "/hub/api/proxy", "").await.is(403);
}

#[tokio::test]
async fn a_shutdown_stops_the_program_and_leaves_servers_alone() {
    let world = World::new().await;
    let root = administrator(&world).await;
    root.json(Method::POST, "/hub/api/users/root/server", "").await.is(201);
    for (body, message) in [
        (r#"{"servers": "yes"}"#, "servers must be true or false, got \"yes\""),
        (r#"{"proxy": 1}"#, "proxy must be true or false, got 1"),
        ("[true]", "Request body must be JSON dict"),
        ("{", "Invalid JSON in body of request"),
    ] {
        let refused = root.json(Method::POST, "/hub/api/shutdown", body).await.is(400);
        assert_eq!(refused.json()["message"], message);
    }
    let alice = world.user("alice").await;
    alice.json(Method::POST, "/hub/api/shutdown", "").await.is(403);
    assert!(!world.stop.is_cancelled());
    let answer = root.json(Method::POST, "/hub/api/shutdown", "").await.is(202);
    assert_eq!(answer.json(), json!({ "message": "Shutting down Hub" }));
    world.stop.cancelled().await;
    assert_eq!(world.spawner.status(&server("root")).state, ServerState::Ready);
}

#[tokio::test]
async fn a_shutdown_with_servers_stops_them_first() {
    let world = World::new().await;
    let root = administrator(&world).await;
    root.json(Method::POST, "/hub/api/users/root/server", "").await.is(201);
    root.json(Method::POST, "/hub/api/shutdown", r#"{"servers": true, "proxy": true}"#).await.is(202);
    world.stop.cancelled().await;
    assert_eq!(world.spawner.status(&server("root")).state, ServerState::Stopped);
}
