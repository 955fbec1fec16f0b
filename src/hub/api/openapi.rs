//! `GET /openapi.json`: the API's own description (OpenAPI 3.1), collected from the handlers.
//!
//! A handler says what is particular to it (`#[utoipa::path]`); what is true of all of them (how one authenticates,
//! how errors look, that objects have no other fields) is added here, once.

use axum::extract::State;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, OpenApi};

use super::model::error::ErrorModel;
use super::{
    activity, groups, info, metrics, progress, proxy, servers, services, share_codes, shared_with, shares, shutdown,
    tokens, user_acts, user_list, users, whoami,
};
use crate::hub::HubState;
use crate::hub::config::Config;

/// The user whom a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "it describes the path; handlers read its parts themselves")]
pub(super) struct UserPath {
    /// A user's name, percent-encoded.
    #[param(min_length = 1, max_length = 64, example = "alice")]
    user: String,
}

/// Which part of a list is asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it describes what `paging::Page` reads")]
pub(super) struct PageQuery {
    /// How many items to leave out first.
    #[param(minimum = 0, example = 0)]
    offset: Option<u64>,
    /// How many items to show: 200 at most, 50 if `application/jupyterhub-pagination+json` is accepted.
    #[param(minimum = 1, example = 50)]
    limit: Option<u64>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Slipway: the hub's REST API",
        description = "JupyterHub's REST API as Slipway speaks it. Programs send a token \
                       (`Authorization: token …` or `Bearer …`); a browser's session needs the form token as well. \
                       Names in paths are percent-encoded. Times are UTC with microseconds and `Z`.",
    ),
    tags(
        (name = "Hub", description = "What this hub is, its proxy, and its end."),
        (name = "Users", description = "People, what they may see of each other, and their tokens."),
        (name = "Servers", description = "What people start: look, start, watch, stop."),
        (name = "Groups", description = "People together."),
        (name = "Services", description = "Programs beside the hub."),
        (name = "Shares", description = "Access to a server for others, and codes that give it."),
        (name = "OAuth", description = "How servers and services learn who visits them."),
    ),
    paths(
        super::version, info::get, get, proxy::get, proxy::post, proxy::patch, shutdown::post, metrics::get,
        whoami::get, whoami::of_token, whoami::of_cookie, whoami::request_token,
        user_list::list, user_acts::create_many, user_acts::create, user_acts::change, users::get, users::delete,
        users::admin_access, activity::post,
        tokens::list, tokens::create, tokens::get, tokens::revoke,
        servers::get, servers::define, servers::start, servers::change, servers::stop, progress::get,
        groups::list, groups::create_many, groups::get, groups::create, groups::delete, groups::add_users,
        groups::remove_users, groups::set_properties,
        services::list, services::get, services::create, services::delete,
        shares::of_owner, shares::of_server, shares::grant, shares::revoke, shares::revoke_all,
        shared_with::list_of_user, shared_with::of_user, shared_with::leave_user,
        shared_with::list_of_group, shared_with::of_group, shared_with::leave_group,
        share_codes::of_owner, share_codes::of_server, share_codes::create, share_codes::delete,
    ),
    components(schemas(ErrorModel)),
)]
struct Api;

/// The description as it goes out. Made once: it depends on the configuration alone.
pub(in crate::hub) struct Document {
    value: Value,
    json: Bytes,
}

impl Document {
    /// The description of the API under this configuration's base path.
    pub(in crate::hub) fn new(config: &Config) -> Self {
        let value = describe(config);
        let json = value.to_string().into();
        Self { value, json }
    }

    /// The description itself.
    pub(in crate::hub) fn value(&self) -> &Value {
        &self.value
    }
}

/// `GET /hub/api/openapi.json`: for anybody; it tells of nobody.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "get_openapi", tag = "Hub",
    summary = "This document", description = "It tells of nobody.",
    security(()),
    responses((status = 200, description = "This document.", body = Object)),
)]
pub(in crate::hub) async fn get(State(state): State<HubState>) -> impl IntoResponse {
    let head = [(CONTENT_TYPE, "application/json"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (CACHE_CONTROL, "no-cache")];
    (head, state.openapi.json.clone())
}

fn describe(config: &Config) -> Value {
    let mut api = serde_json::to_value(Api::openapi()).unwrap_or_default();
    api["servers"] = json!([{ "url": format!("{}hub/api", config.base), "description": "This hub" }]);
    close(&mut api["components"]["schemas"]);
    describe_default_servers(&mut api["paths"]);
    api["components"]["securitySchemes"] = security_schemes(config);
    api["components"]["responses"] =
        REFUSALS.iter().map(|refusal| (refusal.name.to_owned(), refusal.response())).collect::<Map<_, _>>().into();
    for (path, item) in api["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete(operation, path, method);
        }
    }
    api
}

/// What is true of a named server is true of the default one, and the same handlers serve it: its paths are those of a
/// named server, without the name.
fn describe_default_servers(paths: &mut Value) {
    for (named, default) in [
        ("/users/{user}/servers/{server}", "/users/{user}/server"),
        ("/users/{user}/servers/{server}/progress", "/users/{user}/server/progress"),
    ] {
        let mut item = paths[named].clone();
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let id = operation["operationId"].as_str().unwrap_or_default();
            operation["operationId"] = id.replace("server", "default_server").into();
            if let Some(parameters) = operation["parameters"].as_array_mut() {
                parameters.retain(|parameter| parameter["name"] != "server");
            }
        }
        paths[default] = item;
    }
}

fn security_schemes(config: &Config) -> Value {
    json!({
        "token": {
            "type": "apiKey", "in": "header", "name": "Authorization",
            "description": "`Authorization: token <secret>`, as JupyterHub's own clients send it.",
        },
        "bearer": { "type": "http", "scheme": "bearer", "description": "`Authorization: Bearer <secret>`." },
        "session": {
            "type": "apiKey", "in": "cookie", "name": config.session_cookie,
            "description": "A browser's sign-in. Whatever is not a plain GET needs `form_token` beside it.",
        },
        "form_token": {
            "type": "apiKey", "in": "header", "name": "X-XSRFToken",
            "description": "The value of the `_xsrf` cookie, for callers with a session.",
        },
    })
}

/// An error that many operations share.
struct Refusal {
    status: &'static str,
    name: &'static str,
    description: &'static str,
    waits: bool,
}

const REFUSALS: [Refusal; 7] = [
    Refusal { status: "400", name: "BadRequest", description: "The request is not as it must be.", waits: false },
    Refusal {
        status: "403",
        name: "Forbidden",
        description: "Nobody's credentials, or none of the scopes is held in any form.",
        waits: false,
    },
    Refusal {
        status: "404",
        name: "NotFound",
        description: "No such resource, or the scopes are held for others: the words are the same.",
        waits: false,
    },
    Refusal { status: "413", name: "TooLarge", description: "The body is over its limit.", waits: false },
    Refusal { status: "429", name: "TooMany", description: "A limit is reached; try again later.", waits: true },
    Refusal { status: "500", name: "Broken", description: "Something went wrong on our side.", waits: false },
    Refusal { status: "503", name: "Busy", description: "Busy, or being restarted; try again.", waits: true },
];

impl Refusal {
    fn response(&self) -> Value {
        let mut response = json!({
            "description": self.description,
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
        });
        if self.waits {
            let seconds = json!({ "type": "integer", "minimum": 1 });
            response["headers"] = json!({ "Retry-After": { "description": "Seconds to wait.", "schema": seconds } });
        }
        response
    }
}

/// Adds what is true of any operation of its kind, where it does not say so itself: the other ways to authenticate
/// (a handler names the one of a `token`, with its scopes), and the errors.
fn complete(operation: &mut Value, path: &str, method: &str) {
    let is_read = method == "get";
    // One of them is enough: each is a way of its own.
    let scopes: Vec<_> =
        operation["security"].as_array().into_iter().flatten().filter_map(|way| way.get("token")).collect();
    let is_open = scopes.is_empty();
    if !is_open {
        let session = if is_read { json!({ "session": [] }) } else { json!({ "session": [], "form_token": [] }) };
        let tokens = scopes.iter().map(|scopes| json!({ "token": scopes }));
        let bearers = scopes.iter().map(|scopes| json!({ "bearer": scopes }));
        operation["security"] = tokens.chain(bearers).chain([session]).collect();
    }
    let is_possible = |status: &str| match status {
        "403" => !is_open,
        "404" => path.contains('{'),
        "413" => !is_read,
        _ => true,
    };
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for refusal in REFUSALS.iter().filter(|refusal| is_possible(refusal.status)) {
        let reference = json!({ "$ref": format!("#/components/responses/{}", refusal.name) });
        responses.entry(refusal.status).or_insert(reference);
    }
}

/// Objects have the fields that they name and no others.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // An example is data, whatever its fields are called.
            fields.iter_mut().filter(|(name, _)| *name != "example").for_each(|(_, value)| close(value));
            if fields.get("properties").is_some_and(Value::is_object) {
                fields.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
