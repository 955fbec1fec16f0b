//! The API's own description.

use serde_json::{Map, Value, json};

use super::world::World;
use crate::hub::Config;
use crate::hub::api::openapi::Document;

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
    for status in ["201", "202", "400", "403", "404", "405", "413", "414", "421", "429", "431", "500", "503", "504"] {
        assert!(start["responses"][status].is_object(), "{status}: {start:#}");
    }
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Server"]["additionalProperties"], false);
    assert_eq!(schemas["Error"]["additionalProperties"], false);
}

#[tokio::test]
async fn people_read_it_a_tag_a_page_without_signing_in() {
    let world = World::new().await;
    let stranger = world.stranger().navigating();
    let overview = stranger.get("/hub/api-docs").await.is(200);
    assert!(overview.text.contains("api-docs?of=Users#get_user\""), "{}", overview.text);
    let users = stranger.get("/hub/api-docs?of=Users").await.is(200);
    assert!(users.text.contains("id=\"get_user\"") && users.text.contains("id=\"model-User\""), "{}", users.text);
    for address in ["/hub/api-docs?of=Nothing", "/hub/api-docs?of=", "/hub/api-docs?of=%FF%3Cb%3E"] {
        stranger.get(address).await.is(404);
    }
}

/// Where `examples` of the document are, and the schemas that they are examples of, as JSON pointers.
fn examples(value: &Value, at: &str, found: &mut Vec<(String, Value)>) {
    let Value::Object(fields) = value else {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            examples(item, &format!("{at}/{index}"), found);
        }
        return;
    };
    // Beside a schema, an example is one of it; within a schema, of itself.
    let schema = if fields.contains_key("schema") { format!("{at}/schema") } else { at.to_owned() };
    found.extend(fields.get("example").map(|example| (schema.clone(), example.clone())));
    let listed = fields.get("examples").and_then(Value::as_object).into_iter().flat_map(Map::values);
    found.extend(listed.filter_map(|named| Some((schema.clone(), named.get("value")?.clone()))));
    for (name, field) in fields.iter().filter(|(name, _)| !matches!(name.as_str(), "example" | "examples")) {
        examples(field, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
    }
}

#[test]
fn every_example_is_one() {
    const PLACE: &str = "https://slipway.test/openapi.json";
    let document = Document::new(&Config::default());
    let mut found = Vec::new();
    examples(document.value(), "", &mut found);
    assert!(found.len() > 50, "only {}", found.len());
    let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
    compiler.set_default_draft(boon::Draft::V2020_12);
    compiler.enable_format_assertions();
    compiler.add_resource(PLACE, document.value().clone()).expect("an address");
    for (pointer, example) in found {
        let pointer = pointer.replace('{', "%7B").replace('}', "%7D");
        let schema = compiler.compile(&format!("{PLACE}#{pointer}"), &mut schemas);
        let schema = schema.unwrap_or_else(|error| panic!("{pointer}: {error}"));
        if let Err(error) = schemas.validate(&example, schema) {
            panic!("{pointer}: {error}\n{example:#}");
        }
    }
}

#[test]
fn every_model_has_an_example() {
    let document = Document::new(&Config::default());
    let schemas = document.value()["components"]["schemas"].as_object().expect("schemas");
    let mut without = Vec::new();
    for (path, item) in document.value()["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let asked = operation["requestBody"]["content"].get("application/json");
            let told = operation["responses"].as_object().expect("responses").values();
            let told = told.filter_map(|answer| answer["content"].get("application/json"));
            for content in asked.into_iter().chain(told) {
                let name = content["schema"]["$ref"].as_str().and_then(|text| text.rsplit('/').next());
                // One that is made of others has theirs.
                let has_one = |schema: &Value| schema.get("example").is_some() || schema.to_string().contains("$ref");
                if name.is_some_and(|name| !has_one(&schemas[name])) && content.get("example").is_none() {
                    without.push(format!("{method} {path}: {}", name.unwrap_or_default()));
                }
            }
        }
    }
    assert!(without.is_empty(), "{without:#?}");
}
