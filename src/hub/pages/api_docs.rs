//! `GET {base}hub/api-docs`: the API's description for people, made from the very document that programs read.
//!
//! All of it is 400 KB, so the address alone shows what there is, a line an operation, and `?of=<tag>` shows the
//! operations of one tag with the models that they speak of.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value as View;
use serde_json::{Map, Value};

use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::form::{query_encode, query_value};
use crate::hub::frame::Frame;

/// The methods in the order in which one meets them.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// The model of every error. Operations speak of it by way of the shared answers.
const ERROR_MODEL: &str = "Error";
const MODELS: &str = "#/components/schemas/";

/// `GET {base}hub/api-docs` with `of`: for everybody, as the document is.
pub(in crate::hub) async fn get(State(state): State<HubState>, uri: Uri, frame: Frame) -> Result<Response, HubError> {
    let document = state.openapi.value();
    let Some(tag) = query_value(uri.query(), "of") else {
        return frame.show(StatusCode::OK, "api_docs.html", overview_of(document));
    };
    let view = tag_of(document, &tag).ok_or(HubError::NoSuchPage)?;
    frame.show(StatusCode::OK, "api_docs_tag.html", view)
}

/// What the API is, and its operations by tag, a line each.
pub(in crate::hub) fn overview_of(document: &Value) -> View {
    let tags = tags_of(document).map(|tag| {
        let name = text(&tag["name"]);
        let lines = operations_of(document, name).map(|(path, method, operation)| {
            let id = text(&operation["operationId"]);
            context! { path, method => method.to_uppercase(), id, summary => prose(&operation["summary"]) }
        });
        let operations: Vec<_> = lines.collect();
        context! { description => prose(&tag["description"]), operations, ..link_to(name) }
    });
    context! {
        description => prose(&document["info"]["description"]),
        version => text(&document["info"]["version"]),
        address => text(&document["servers"][0]["url"]),
        tags => tags.collect::<Vec<_>>(),
    }
}

/// The operations of the tag `name` and all models that they speak of; `None` if no operation has it.
pub(in crate::hub) fn tag_of(document: &Value, name: &str) -> Option<View> {
    let tag = tags_of(document).find(|tag| tag["name"] == name)?;
    let operations: Vec<_> = operations_of(document, name).collect();
    let refusals: BTreeMap<_, _> = operations.iter().flat_map(|(_, _, operation)| shared_refusals(operation)).collect();
    let refusals = refusals.into_iter().map(|(status, answer)| {
        context! { status, description => prose(&resolved(document, answer)["description"]) }
    });
    let mut names = models_of(document, operations.iter().map(|(_, _, operation)| *operation));
    if tags_of(document).next() == Some(tag) {
        // Some are written out where they are used, so that nothing refers to them: they are told here.
        let known = models_of(document, [&document["paths"]]);
        let all = fields(&document["components"]["schemas"]).map(|(name, _)| name);
        all.filter(|name| !known.contains(name)).for_each(|name| gather_model(document, name, &mut names));
    }
    let models = names.iter().map(|name| model_of(name, &document["components"]["schemas"][*name]));
    let shown = operations.iter().map(|(path, method, operation)| operation_of(document, path, method, operation));
    Some(context! {
        description => prose(&tag["description"]),
        operations => shown.collect::<Vec<_>>(),
        refusals => refusals.collect::<Vec<_>>(),
        models => models.collect::<Vec<_>>(),
        tags => tags_of(document).map(|tag| link_to(text(&tag["name"]))).collect::<Vec<_>>(),
        ..link_to(name)
    })
}

/// A tag's name, its place on the first page, and the query of its own page.
fn link_to(name: &str) -> View {
    context! { name, id => format!("tag-{}", name.to_lowercase()), query => format!("?of={}", query_encode(name)) }
}

/// The tags that have operations.
fn tags_of(document: &Value) -> impl Iterator<Item = &Value> {
    list(&document["tags"]).filter(|tag| operations_of(document, text(&tag["name"])).next().is_some())
}

/// Path, method and operation of each that has the tag.
fn operations_of<'a>(
    document: &'a Value,
    tag: &'a str,
) -> impl Iterator<Item = (&'a str, &'static str, &'a Value)> + 'a {
    let all = fields(&document["paths"])
        .flat_map(|(path, item)| METHODS.iter().filter_map(move |method| Some((path, *method, item.get(method)?))));
    all.filter(move |(_, _, operation)| list(&operation["tags"]).any(|name| name == tag))
}

/// The answers that many operations share, with their statuses: a page tells them once.
fn shared_refusals(operation: &Value) -> impl Iterator<Item = (&str, &Value)> {
    fields(&operation["responses"]).filter(|(_, answer)| is_shared(answer))
}

fn is_shared(answer: &Value) -> bool {
    answer.get("$ref").is_some()
}

/// The models that these speak of, and that of every error.
fn models_of<'a>(document: &'a Value, parts: impl IntoIterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    gather_model(document, ERROR_MODEL, &mut found);
    parts.into_iter().for_each(|part| gather_models(document, part, &mut found));
    found
}

/// The models that `value` refers to, and those that these refer to.
fn gather_models<'a>(document: &'a Value, value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(|reference| text(reference).strip_prefix(MODELS)) {
                gather_model(document, name, found);
            }
            // An example is data, whatever its fields are called.
            let parts = fields.iter().filter(|(name, _)| *name != "example");
            parts.for_each(|(_, part)| gather_models(document, part, found));
        }
        Value::Array(items) => items.iter().for_each(|item| gather_models(document, item, found)),
        _ => {}
    }
}

fn gather_model<'a>(document: &'a Value, name: &'a str, found: &mut BTreeSet<&'a str>) {
    if found.insert(name) {
        gather_models(document, &document["components"]["schemas"][name], found);
    }
}

fn operation_of(document: &Value, path: &str, method: &str, operation: &Value) -> View {
    let scopes = list(&operation["security"]).filter_map(|way| way.get("token"));
    let scopes: Vec<_> = scopes.flat_map(list).map(|scope| text(scope).to_owned()).collect();
    let parameters = list(&operation["parameters"]).map(|parameter| {
        let place = if parameter["in"] == "path" { "in the path" } else { "in the query" };
        context! { name => text(&parameter["name"]), place, description => prose(&parameter["description"]) }
    });
    let body = &operation["requestBody"]["content"]["application/json"];
    let own_answers = fields(&operation["responses"]).filter(|(_, answer)| !is_shared(answer));
    let answers = own_answers.map(|(status, answer)| {
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
        refusals => shared_refusals(operation).map(|(status, _)| status.to_owned()).collect::<Vec<_>>(),
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
            Some(reference) => text(reference).strip_prefix(MODELS).map(str::to_owned),
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
    let name = text(reference?).strip_prefix(MODELS)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::api::openapi::Document;
    use crate::hub::config::Config;
    use crate::hub::templates::Views;

    /// No page is larger, before compression.
    const PAGE_LIMIT_BYTES: usize = 100 * 1024;

    /// The document, its first page and each tag's, as an administrator with a long name sees them.
    fn pages() -> (Value, String, Vec<(String, String)>) {
        let config = Config::default();
        let document = Document::new(&config).value().clone();
        let views = Views::new(&config);
        let frame = context! {
            person => "w".repeat(64), is_admin => true, form_token => "0".repeat(56), section => "api-docs",
            here => "/hub/api-docs", change_count => u64::MAX,
        };
        let render = |template, view| views.render(template, context! { ..view, ..frame.clone() }).expect(template);
        let tags = tags_of(&document).map(|tag| {
            let name = text(&tag["name"]);
            (name.to_owned(), render("api_docs_tag.html", tag_of(&document, name).expect(name)))
        });
        let tags = tags.collect();
        (document.clone(), render("api_docs.html", overview_of(&document)), tags)
    }

    /// What stands between `before` and the next quotation mark, wherever `before` stands.
    fn quoted<'a>(html: &'a str, before: &str) -> Vec<&'a str> {
        html.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn no_page_is_too_large() {
        let (_, overview, tags) = pages();
        for (name, html) in [("overview".to_owned(), overview)].iter().chain(&tags) {
            assert!(html.len() < PAGE_LIMIT_BYTES, "{name}: {} bytes", html.len());
        }
    }

    #[test]
    fn every_operation_is_in_the_overview_and_on_the_page_that_its_line_leads_to() {
        let (document, overview, tags) = pages();
        let links = quoted(&overview, "href=\"&#x2f;hub&#x2f;api-docs?of=");
        let mut count = 0;
        for (_, item) in fields(&document["paths"]) {
            for operation in METHODS.iter().filter_map(|method| item.get(method)) {
                let id = text(&operation["operationId"]);
                let place = |html: &str| html.contains(&format!(" id=\"{id}\""));
                // Addresses of the time when all was one page lead to the line.
                assert!(place(&overview), "{id}");
                let found: Vec<_> = tags.iter().filter(|(_, html)| place(html)).map(|(name, _)| name).collect();
                assert_eq!(found.len(), 1, "{id}: {found:?}");
                assert!(links.contains(&format!("{}#{id}", found[0]).as_str()), "{id}");
                count += 1;
            }
        }
        assert!(count > 100, "{count}");
    }

    #[test]
    fn every_link_inside_a_page_leads_to_one_place_and_every_model_has_one() {
        let (document, overview, tags) = pages();
        for (name, html) in [("overview".to_owned(), overview)].iter().chain(&tags) {
            let ids = quoted(html, " id=\"");
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{name}");
            for link in quoted(html, "href=\"#") {
                assert!(ids.contains(&link), "{name}: #{link}");
            }
        }
        let is_shown = |model: &str| tags.iter().any(|(_, html)| html.contains(&format!(" id=\"model-{model}\"")));
        let models = fields(&document["components"]["schemas"]).map(|(model, _)| model);
        assert_eq!(models.filter(|model| !is_shown(model)).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn a_tag_that_is_not_there_has_no_page() {
        let (document, ..) = pages();
        for name in ["", "users", "Nothing", "<b>"] {
            assert!(tag_of(&document, name).is_none(), "{name}");
        }
    }

    #[test]
    fn what_many_operations_refuse_alike_is_told_once() {
        let (_, _, tags) = pages();
        for (name, html) in tags {
            assert_eq!(html.matches("A limit is reached; try again later.").count(), 1, "{name}");
        }
    }
}
