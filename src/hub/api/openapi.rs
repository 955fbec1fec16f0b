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
    accounts, activity, gpus, grants, groups, idle, info, lab_ready, live, metrics, new_people, notices,
    people_activity, profiles, progress, proxy, refusals, restart, routes, server_log, servers, services, sessions,
    share_codes, shared_with, shares, shutdown, tokens, user_acts, user_list, users, whoami,
};
use crate::hub::HubState;
use crate::hub::config::Config;
use crate::hub::oauth::{authorize, token};
use crate::hub::pages::health;

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
        (name = "Activity", description = "What people use, and how much they work here."),
        (name = "Servers", description = "What people start: look, start, watch, stop."),
        (name = "Groups", description = "People together."),
        (name = "Services", description = "Programs beside the hub."),
        (name = "Notices", description = "What administrators tell everybody whose server runs."),
        (name = "Shares", description = "Access to a server for others, and codes that give it."),
        (name = "OAuth", description = "How servers and services learn who visits them."),
    ),
    paths(
        super::version, health::get, info::get, get, proxy::get, proxy::post, proxy::patch, shutdown::post, metrics::get,
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
        super::audit::get, super::settings::get,
        restart::post, server_log::get, lab_ready::get,
        live::get,
        profiles::get, profiles::put, profiles::list, accounts::force_password_change, accounts::rename,
        accounts::set_password, accounts::disable, accounts::enable, accounts::native_users, accounts::authorization,
        sessions::list, sessions::end_all, sessions::end, new_people::create,
        crate::hub::api::volumes::list, crate::hub::api::volumes::reset,
        grants::effective, grants::list, grants::create, grants::import, grants::reorder, grants::delete, grants::get,
        grants::put,
        notices::broadcast, notices::active_servers, notices::sent, notices::progress, notices::clear,
        gpus::get, routes::get,
        idle::info, idle::extend,
        people_activity::get, people_activity::sample, people_activity::reset,
        authorize::get, authorize::post, token::post,
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
    if let Some(schemas) = api["components"]["schemas"].as_object_mut() {
        // What generic models leave behind: the names of their arguments, which nothing refers to.
        schemas.retain(|name, _| !matches!(name.as_str(), "Vec" | "BTreeMap"));
    }
    close(&mut api["components"]["schemas"]);
    close(&mut api["paths"]);
    describe_secrets(&mut api);
    describe_default_servers(&mut api["paths"]);
    describe_streams(&mut api["paths"]);
    api["components"]["securitySchemes"] = security_schemes(config);
    api["components"]["responses"] = refusals::shared().into();
    for (path, item) in api["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            refusals::complete(operation, path, method);
        }
    }
    api
}

/// OpenAPI 3.1 has no words for streams of events: what a schema says, readers of it say of each event.
fn describe_streams(paths: &mut Value) {
    let operations = paths.as_object_mut().into_iter().flatten().flat_map(|(_, item)| item.as_object_mut());
    for (_, operation) in operations.flatten() {
        for (_, response) in operation["responses"].as_object_mut().into_iter().flatten() {
            if let Some(stream) = response.pointer_mut("/content/text~1event-stream") {
                *stream = json!({});
            }
        }
    }
}

/// Models with what is told once, and the answers that tell it: those have all of it, and no other has any.
const TOLD_ONCE: [(&str, &str, &[&str], &str, &str); 2] = [
    ("Token", "MintedToken", &["token"], "/users/{user}/tokens", "201"),
    ("ShareCode", "MintedShareCode", &["code", "accept_url", "full_accept_url"], "/share-codes/{user}/{server}", "200"),
];

fn describe_secrets(api: &mut Value) {
    // A token is a user's or a service's, never nobody's.
    api["components"]["schemas"]["Token"]["oneOf"] = json!([{ "required": ["user"] }, { "required": ["service"] }]);
    for (model, minted, secrets, path, status) in TOLD_ONCE {
        let mut whole = api["components"]["schemas"][model].clone();
        for secret in secrets {
            if let Some(required) = whole["required"].as_array_mut() {
                required.push((*secret).into());
            }
            whole["example"][*secret] = if *secret == "full_accept_url" { Value::Null } else { "…".into() };
            if let Some(properties) = api["components"]["schemas"][model]["properties"].as_object_mut() {
                properties.remove(*secret);
            }
        }
        api["components"]["schemas"][minted] = whole;
        let content = &mut api["paths"][path]["post"]["responses"][status]["content"]["application/json"];
        content["schema"] = json!({ "$ref": format!("#/components/schemas/{minted}") });
    }
}

/// The paths of named servers, and where the default one is found: by a path of its own, or by that of a named server
/// without the name.
const DEFAULT_SERVERS: [(&str, &str, &str); 14] = [
    ("/users/{user}/servers/{server}", "/users/{user}/server", "default_server"),
    ("/users/{user}/servers/{server}/progress", "/users/{user}/server/progress", "default_server"),
    ("/users/{user}/servers/{server}/restart", "/users/{user}/server/restart", "default_server"),
    ("/users/{user}/servers/{server}/restart", "/users/{user}/restart-server", "platform"),
    ("/users/{user}/servers/{server}/logs", "/users/{user}/server/logs", "default_server"),
    ("/users/{user}/servers/{server}/lab-ready", "/users/{user}/server/lab-ready", "default_server"),
    ("/users/{user}/servers/{server}/lab-ready", "/users/{user}/lab-ready", "platform"),
    ("/users/{user}/servers/{server}/session-info", "/users/{user}/session-info", "platform"),
    ("/users/{user}/servers/{server}/extend-session", "/users/{user}/extend-session", "platform"),
    ("/users/{user}/servers/{server}", "/users/{user}/servers/", "server_without_name"),
    ("/shares/{user}/{server}", "/shares/{user}/", "of_default_server"),
    ("/share-codes/{user}/{server}", "/share-codes/{user}/", "of_default_server"),
    ("/users/{user}/shared/{owner}/{server}", "/users/{user}/shared/{owner}/", "of_default_server"),
    ("/groups/{group}/shared/{owner}/{server}", "/groups/{group}/shared/{owner}/", "of_default_server"),
];

/// What is true of a named server is true of the default one, and the same handlers serve it.
fn describe_default_servers(paths: &mut Value) {
    for (named, default, word) in DEFAULT_SERVERS {
        let mut item = paths[named].clone();
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let id = operation["operationId"].as_str().unwrap_or_default();
            let id = match (id.strip_suffix("_of_server"), id.contains("_server")) {
                (Some(before), _) => format!("{before}_{word}"),
                (None, true) => id.replace("server", word),
                (None, false) => format!("{id}_{word}"),
            };
            operation["operationId"] = id.into();
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
