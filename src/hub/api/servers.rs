//! `/users/{u}/server` and `/users/{u}/servers/{s}`: look at, make, start, change, stop and remove servers. The one
//! without a name is the default server; a handler serves both paths.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::any_json;
use super::model::error::ErrorModel;
use super::model::server::ServerModel;
use super::model::server_wish::{ChangeBody, WishBody, read_change, read_wish};
use super::scopes;
use super::server_path::{ServerPath, bad_name, told};
use crate::auth::{Caller, Target};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::model::{NameError, ServerKey, ServerState, ServerStatus};
use crate::spawner::{Defined, SpawnerError};

/// What becomes of a server that is stopped.
#[derive(ToSchema)]
#[schema(as = ServerStop, example = json!({ "remove": true }))]
#[allow(dead_code, reason = "its description; JupyterHub takes anything that is true for true")]
pub(in crate::hub) struct StopBody {
    /// It is also forgotten; its volumes stay. Not for the default server.
    #[schema(nullable = false)]
    remove: Option<bool>,
}

/// An answer without content. JupyterHub calls these plain text; 204 has nothing to have a type.
pub(in crate::hub) struct Done(StatusCode);

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        if self.0 == StatusCode::NO_CONTENT {
            return self.0.into_response();
        }
        (self.0, [(CONTENT_TYPE, "text/plain")]).into_response()
    }
}

/// `GET`: also for a stopped one.
#[utoipa::path(
    get, path = "/users/{user}/servers/{server}", operation_id = "get_server", tag = "Servers",
    summary = "Look at a server", description = "Running or not.",
    params(ServerPath),
    security(("token" = ["read:servers"])),
    responses((status = 200, description = "The server.", body = ServerModel)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    path: ServerPath,
) -> Result<Json<ServerModel>, HubError> {
    let key = path.reach(&state, &caller, &["read:servers"])?;
    if !exists(&state, &key) {
        return Err(HubError::NoSuchPage);
    }
    Ok(Json(model(&state, &caller, &key)))
}

/// `PUT`: makes a named server without starting it.
#[utoipa::path(
    put, path = "/users/{user}/servers/{server}", operation_id = "define_server", tag = "Servers",
    summary = "Make a server without starting it", description = "The default server is always there.",
    params(ServerPath),
    security(("token" = ["start:servers"])),
    request_body(content = Option<WishBody>),
    responses(
        (status = 201, description = "It is there.", body = ServerModel),
        (status = 409, description = "There was one of that name already.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn define(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    path: ServerPath,
    body: Bytes,
) -> Result<(StatusCode, Json<ServerModel>), HubError> {
    let key = path.reach(&state, &caller, &["start:servers"])?;
    if key.name.is_default() {
        return Err(HubError::conflict(format!("User {} already has a default server", key.user)));
    }
    let wish = read_wish(&body, by)?;
    let defined = state.spawner.define(&key, wish.display_name, wish.options).await;
    match defined.map_err(|error| in_words(error, &key))? {
        Defined::Created => Ok((StatusCode::CREATED, Json(model(&state, &caller, &key)))),
        Defined::Exists => {
            Err(HubError::conflict(format!("User {} already has server {}", key.user, key.name.as_str())))
        }
    }
}

/// `POST`: starts a server, and makes a named one if need be. 201 if it is ready within `slow_start_timeout_s`, else
/// 202.
#[utoipa::path(
    post, path = "/users/{user}/servers/{server}", operation_id = "start_server", tag = "Servers",
    summary = "Start a server", description = "A named one is made if there is none of that name.",
    params(ServerPath),
    security(("token" = ["start:servers"])),
    request_body(content = Option<WishBody>),
    responses(
        (status = 201, description = "It is ready."),
        (status = 202, description = "It is being started; its `progress_url` tells how it goes on."),
    ),
)]
pub(in crate::hub) async fn start(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    path: ServerPath,
    body: Bytes,
) -> Result<Done, HubError> {
    let key = path.reach(&state, &caller, &["start:servers"])?;
    let mut wish = read_wish(&body, by)?;
    require_named_servers(&state, &key)?;
    if key.name.is_default() {
        // As in JupyterHub: a start gives a name to named servers only.
        wish.display_name = None;
    }
    match state.spawner.status(&key).state {
        ServerState::Ready => return Err(HubError::bad(format!("{} is already running", told(&key)))),
        ServerState::Stopping => return Err(HubError::bad(format!("{} is pending stop", told(&key)))),
        ServerState::Starting(_) | ServerState::Restarting => return Ok(Done(StatusCode::ACCEPTED)),
        ServerState::Stopped | ServerState::Failed(_) => {}
    }
    state.spawner.start(&key, wish).await.map_err(|error| in_words(error, &key))?;
    let limit = Duration::from_secs(state.config.slow_start_timeout_s);
    match settled(&state, &key, limit).await.map(|status| status.state) {
        Some(ServerState::Ready) => Ok(Done(StatusCode::CREATED)),
        Some(ServerState::Failed(failure)) => Err(HubError::StartFailed(Box::new(failure))),
        Some(_) => Err(HubError::bad(format!("{} was stopped while it started", told(&key)))),
        None => Ok(Done(StatusCode::ACCEPTED)),
    }
}

/// `PATCH`: renames a stopped server or changes its options.
#[utoipa::path(
    patch, path = "/users/{user}/servers/{server}", operation_id = "change_server", tag = "Servers",
    summary = "Change a stopped server", description = "All of it or nothing.",
    params(ServerPath),
    security(("token" = ["start:servers"])),
    request_body(content = ChangeBody),
    responses(
        (status = 200, description = "The server as it is now.", body = ServerModel),
        (status = 409, description = "There is another of that name.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn change(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    path: ServerPath,
    body: Bytes,
) -> Result<Json<ServerModel>, HubError> {
    let key = path.reach(&state, &caller, &["start:servers"])?;
    let change = read_change(&body)?;
    if change.name.is_some() || change.display_name.is_some() {
        require_named_servers_on(&state)?;
    }
    if !exists(&state, &key) {
        let sentence = format!("User {} has no such server '{}'", key.user, key.name.as_str());
        return Err(HubError::not_found(sentence));
    }
    let mut after = key.clone();
    if let Some(name) = change.name.as_ref().filter(|name| **name != key.name) {
        name.check_new().map_err(|_| bad_name(name.as_str()))?;
        after.name = name.clone();
        // Who may do this to the one must be let do it to the other: a token for `gpu` makes no `gpu-2`.
        scopes::require(&caller, &["start:servers"], Target::Server(&after))?;
        if state.spawner.record(&after).is_some() {
            let sentence = format!("User {} already has server '{}'", key.user, after.name.as_str());
            return Err(HubError::conflict(sentence));
        }
    }
    if !state.spawner.status(&key).state.is_down() {
        return Err(HubError::bad(format!("{} is active. Please stop it before modifying it.", told(&key))));
    }
    state.spawner.change(&key, change).await.map_err(|error| in_words(error, &key))?;
    Ok(Json(model(&state, &caller, &after)))
}

/// `DELETE`: stops a server, and forgets a named one with `{"remove": true}`. 204 if that is done within
/// `slow_stop_timeout_s`, else 202.
#[utoipa::path(
    delete, path = "/users/{user}/servers/{server}", operation_id = "stop_server", tag = "Servers",
    summary = "Stop a server", description = "A start under way is cancelled.",
    params(ServerPath),
    security(("token" = ["delete:servers"])),
    request_body(content = Option<StopBody>),
    responses(
        (status = 202, description = "It is being stopped."),
        (status = 204, description = "It does not run, and is gone if that was wished."),
    ),
)]
pub(in crate::hub) async fn stop(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    path: ServerPath,
    body: Bytes,
) -> Result<Done, HubError> {
    let key = path.reach(&state, &caller, &["delete:servers"])?;
    let removes = any_json(&body)?.is_some_and(|body| is_true(&body["remove"]));
    if removes && key.name.is_default() {
        return Err(HubError::bad("Cannot delete the default server"));
    }
    require_named_servers(&state, &key)?;
    if !exists(&state, &key) {
        let sentence = format!("{} has no server named '{}'", key.user, key.name.as_str());
        return Err(HubError::not_found(sentence));
    }
    let limit = Duration::from_secs(state.config.slow_stop_timeout_s);
    if removes {
        return match tokio::time::timeout(limit, state.spawner.remove(&key, by)).await {
            Ok(removed) => removed.map(|()| Done(StatusCode::NO_CONTENT)).map_err(HubError::from),
            Err(_) => Ok(Done(StatusCode::ACCEPTED)),
        };
    }
    match state.spawner.status(&key).state {
        ServerState::Stopped | ServerState::Failed(_) => return Ok(Done(StatusCode::NO_CONTENT)),
        ServerState::Stopping => return Ok(Done(StatusCode::ACCEPTED)),
        ServerState::Starting(_) | ServerState::Restarting | ServerState::Ready => {}
    }
    state.spawner.stop(&key, by).await?;
    let is_settled = settled(&state, &key, limit).await.is_some();
    Ok(Done(if is_settled { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED }))
}

fn model(state: &HubState, caller: &Caller, key: &ServerKey) -> ServerModel {
    let with_state = caller.rights().allows("admin:server_state", Target::Server(key));
    ServerModel::of(state, key, &state.spawner.status(key), with_state)
}

/// The default server is always there; a named one once somebody has made or started it.
pub(super) fn exists(state: &HubState, key: &ServerKey) -> bool {
    key.name.is_default() || state.spawner.record(key).is_some()
}

/// Python's truth, by which JupyterHub reads `remove`.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// What the spawner refuses, in JupyterHub's words where it has some.
fn in_words(error: SpawnerError, key: &ServerKey) -> HubError {
    match error {
        SpawnerError::TooManyNamed { limit } => HubError::bad(format!(
            "User {} already has the maximum of {limit} named servers.  One must be deleted before a new server can be \
             created",
            key.user
        )),
        SpawnerError::TooManyActive { retry_after } => HubError::TooMany {
            sentence: "Active user limit exceeded. Try again in a few minutes.".to_owned(),
            retry_after,
        },
        SpawnerError::BadName(NameError::NotAServerName(name)) => bad_name(&name),
        SpawnerError::Running => HubError::bad(format!("{} is active. Please stop it before modifying it.", told(key))),
        SpawnerError::Stopping => HubError::bad(format!("{} is pending stop", told(key))),
        error => error.into(),
    }
}

fn require_named_servers(state: &HubState, key: &ServerKey) -> Result<(), HubError> {
    if key.name.is_default() {
        return Ok(());
    }
    require_named_servers_on(state)
}

fn require_named_servers_on(state: &HubState) -> Result<(), HubError> {
    if state.spawner.has_named_servers() {
        return Ok(());
    }
    Err(HubError::bad("Named servers are not enabled."))
}

/// The server's status once nothing is pending, if that comes within `limit`.
async fn settled(state: &HubState, key: &ServerKey, limit: Duration) -> Option<ServerStatus> {
    let mut watch = state.spawner.watch(key);
    let settled = watch.wait_for(|status| status.state.pending().is_none());
    tokio::time::timeout(limit, settled).await.ok()?.ok().map(|status| status.clone())
}
