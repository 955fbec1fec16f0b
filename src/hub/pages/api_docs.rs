//! `GET {base}hub/api-docs`: the API's description for people, made from the very document that programs read.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value as View;
use serde_json::{Map, Value};

use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::frame::Frame;

/// The methods in the order in which one meets them.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// `GET {base}hub/api-docs`: for everybody, as the document is.
pub(in crate::hub) async fn get(State(state): State<HubState>, frame: Frame) -> Result<Response, HubError> {
    frame.show(StatusCode::OK, "api_docs.html", view_of(state.openapi.value()))
}

/// The document as the template shows it: operations by tag, then the models that they speak of.
pub(in crate::hub) fn view_of(document: &Value) -> View {
    let tags = list(&document["tags"]).map(|tag| {
        let name = text(&tag["name"]);
        let operations: Vec<_> = operations_of(document, name).collect();
        context! { name, id => format!("tag-{}", name.to_lowercase()), description => prose(&tag["description"]), operations }
    });
    let tags: Vec<_> = tags.collect();
    let models = fields(&document["components"]["schemas"]).map(|(name, schema)| model_of(name, schema));
    context! {
        description => prose(&document["info"]["description"]),
        version => text(&document["info"]["version"]),
        address => text(&document["servers"][0]["url"]),
        tags, models => models.collect::<Vec<_>>(),
    }
}

fn operations_of<'a>(document: &'a Value, tag: &'a str) -> impl Iterator<Item = View> + 'a {
    let all = fields(&document["paths"])
        .flat_map(|(path, item)| METHODS.iter().filter_map(move |method| Some((path, *method, item.get(method)?))));
    let of_tag = all.filter(move |(_, _, operation)| list(&operation["tags"]).any(|name| name == tag));
    of_tag.map(|(path, method, operation)| operation_of(document, path, method, operation))
}

fn operation_of(document: &Value, path: &str, method: &str, operation: &Value) -> View {
    let scopes = list(&operation["security"]).filter_map(|way| way.get("token"));
    let scopes: Vec<_> = scopes.flat_map(list).map(|scope| text(scope).to_owned()).collect();
    let parameters = list(&operation["parameters"]).map(|parameter| {
        let place = if parameter["in"] == "path" { "in the path" } else { "in the query" };
        context! { name => text(&parameter["name"]), place, description => prose(&parameter["description"]) }
    });
    let body = &operation["requestBody"]["content"]["application/json"];
    let answers = fields(&operation["responses"]).map(|(status, answer)| {
        let answer = resolved(document, answer);
        let content = fields(&answer["content"]).next();
        let schema = content.map_or(&Value::Null, |(_, content)| &content["schema"]);
        context! {
            status, description => prose(&answer["description"]), model => model_in(schema),
            is_refusal => !status.starts_with('2'),
        }
    });
    let example = [body, &operation["responses"]["200"]["content"]["application/json"]];
    let success = &operation["responses"]["201"]["content"]["application/json"];
    context! {
        path, method => method.to_uppercase(), id => text(&operation["operationId"]),
        summary => prose(&operation["summary"]), description => prose(&operation["description"]), scopes,
        is_open => operation["security"].as_array().is_none_or(|ways| ways.iter().all(|way| way.get("token").is_none())),
        parameters => parameters.collect::<Vec<_>>(),
        body => model_in(&body["schema"]), body_example => example_in(document, example[0]),
        answers => answers.collect::<Vec<_>>(),
        answer_example => example_in(document, example[1]).or_else(|| example_in(document, success)),
    }
}

fn model_of(name: &str, schema: &Value) -> View {
    let required: Vec<_> = list(&schema["required"]).map(text).collect();
    let properties = fields(&schema["properties"]).map(|(name, property)| {
        context! {
            name, kind => kind_of(property), model => model_in(property), description => prose(&property["description"]),
            is_optional => !required.contains(&name),
        }
    });
    let words = list(&schema["enum"]).map(ToString::to_string);
    let example = schema.get("example").map(pretty);
    context! {
        name, id => format!("model-{name}"), description => prose(&schema["description"]), example,
        properties => properties.collect::<Vec<_>>(), words => words.collect::<Vec<_>>(),
    }
}

/// What a value is, in a word or two.
fn kind_of(schema: &Value) -> String {
    let named = |kind: &Value| match (text(kind), text(&schema["format"])) {
        ("string", "date-time") => "time".to_owned(),
        ("array", _) => format!("list of {}", kind_of(&schema["items"])),
        (kind, _) => kind.to_owned(),
    };
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(named).collect::<Vec<_>>().join(" or "),
        Value::Null if model_in(schema).is_some() && schema.get("oneOf").is_some() => "null or".to_owned(),
        Value::Null => String::new(),
        kind => named(kind),
    }
}

/// The name of the first model that a schema speaks of.
fn model_in(schema: &Value) -> Option<String> {
    match schema {
        Value::Object(fields) => match fields.get("$ref") {
            Some(reference) => text(reference).strip_prefix("#/components/schemas/").map(str::to_owned),
            None => fields.iter().filter(|(name, _)| *name != "example").find_map(|(_, value)| model_in(value)),
        },
        Value::Array(items) => items.iter().find_map(model_in),
        _ => None,
    }
}

/// The example of a content: its own, or that of its model.
fn example_in(document: &Value, content: &Value) -> Option<String> {
    if let Some(example) = content.get("example") {
        return Some(pretty(example));
    }
    let reference = content["schema"]
        .get("$ref")
        .or_else(|| list(&content["schema"]["oneOf"]).find_map(|schema| schema.get("$ref")));
    let name = text(reference?).strip_prefix("#/components/schemas/")?;
    document["components"]["schemas"][name].get("example").map(pretty)
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value.get("$ref").and_then(|reference| text(reference).strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A sentence without the marks of code, which a page cannot show.
fn prose(value: &Value) -> String {
    text(value).replace('`', "")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}
