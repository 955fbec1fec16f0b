//! The API's own description.

use serde_json::json;

use super::world::World;

#[tokio::test]
async fn the_description_is_for_everybody_and_says_how_to_authenticate() {
    let world = World::new().await;
    let answer = world.stranger().get("/hub/api/openapi.json").await.is(200);
    assert_eq!(answer.header("content-type"), "application/json");
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "/hub/api");
    let start = &document["paths"]["/users/{user}/server"]["post"];
    assert_eq!(
        start["security"],
        json!([{ "token": ["start:servers"] }, { "bearer": ["start:servers"] }, { "form_token": [], "session": [] }])
    );
    for status in ["201", "202", "400", "403", "404", "413", "429", "500", "503"] {
        assert!(start["responses"][status].is_object(), "{status}: {start:#}");
    }
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Server"]["additionalProperties"], false);
    assert_eq!(schemas["Error"]["additionalProperties"], false);
}
