//! What is true of every path of the API: its methods, HEAD, OPTIONS, and a slash too many (contract §2.0).

use axum::http::Method;
use serde_json::{Value, json};

use super::server_api::says;
use super::world::World;
use crate::hub::Config;
use crate::hub::api::openapi::Document;

/// The paths of the API as they are described, filled in, with their methods.
fn paths() -> Vec<(String, Vec<Method>)> {
    let document = Document::new(&Config::default());
    let described = document.value()["paths"].as_object().expect("paths").clone();
    let filled = described.into_iter().map(|(path, item)| {
        let path = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>();
        let methods = item.as_object().expect("operations").keys();
        let methods = methods.map(|method| method.to_uppercase().parse().expect("a method")).collect();
        (format!("/hub/api{}", path.join("/")), methods)
    });
    filled.collect()
}

#[tokio::test]
async fn a_method_that_there_is_not_is_405() {
    let world = World::new().await;
    for (path, methods) in paths() {
        let stranger = world.stranger();
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            // That one is a page, where the form token comes first.
            if methods.contains(&method) || path.contains("oauth2/authorize") {
                continue;
            }
            let refused = stranger.json(method, &path, "").await;
            assert_eq!(refused.status, 405, "{path}");
            assert_eq!(refused.header("content-type"), "application/json", "{path}");
            assert_eq!(refused.json(), json!({ "status": 405, "message": null }), "{path}");
        }
        // Those two are not the API's own: whoever watches us asks by HEAD, and browsers open the other.
        if !path.ends_with("/health") && !path.contains("/oauth2/") {
            stranger.send(Method::HEAD, &path, "", "").await.is(405);
            let options = stranger.send(Method::OPTIONS, &path, "", "").await.is(200);
            assert_eq!(options.text, "", "{path}");
            assert_eq!(options.header("access-control-allow-headers"), "accept, content-type, authorization");
        }
    }
}

#[tokio::test]
async fn a_path_with_a_slash_too_many_is_another() {
    let world = World::new().await;
    let known: Vec<_> = paths().into_iter().map(|(path, _)| path).collect();
    for path in &known {
        let longer = format!("{path}/");
        if path.ends_with('/') || path.contains("oauth2/authorize") || known.contains(&longer) {
            continue;
        }
        let missing = world.stranger().get(&longer).await.is(404);
        assert_eq!(missing.header("content-type"), "application/json", "{longer}");
        says(&missing, Value::Null);
    }
}
