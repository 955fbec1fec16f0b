//! `GET/POST/DELETE /users/{u}/server`: look at, start and stop somebody's default server.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::Value;

use super::body::json_body;
use super::model::server::ServerModel;
use super::openapi::UserPath;
use super::users::reachable_user;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::model::{ServerKey, ServerState, ServerStatus};
use crate::spawner::Wish;

/// `GET /hub/api/users/{u}/server`: also for a stopped one.
#[utoipa::path(
    get, path = "/users/{user}/server", operation_id = "get_server", tag = "Servers",
    params(UserPath),
    security(("token" = ["read:servers"])),
    responses((status = 200, description = "The server, running or not.", body = ServerModel)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<ServerModel>, HubError> {
    let owner = reachable_user(&state, &caller, &name, &["read:servers"])?;
    let key = ServerKey::default_of(owner.name.clone());
    let status = state.spawner.status(&key);
    Ok(Json(ServerModel::of(&state, &key, &status, false)))
}

/// `POST /hub/api/users/{u}/server`: 201 if it is ready within `slow_start_timeout_s`, else 202.
#[utoipa::path(
    post, path = "/users/{user}/server", operation_id = "start_server", tag = "Servers",
    params(UserPath),
    security(("token" = ["start:servers"])),
    responses(
        (status = 201, description = "It is ready."),
        (status = 202, description = "It is being started; `progress` tells how it goes on."),
    ),
)]
pub(in crate::hub) async fn start(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, HubError> {
    let owner = reachable_user(&state, &caller, &name, &["start:servers"])?;
    // Options of a start are taken (clients send them) and have no meaning yet.
    let _options = json_body::<Value>(&body)?;
    let key = ServerKey::default_of(owner.name.clone());
    match state.spawner.status(&key).state {
        ServerState::Ready => return Err(HubError::bad(format!("{key} is already running"))),
        ServerState::Stopping => return Err(HubError::bad(format!("{key} is pending stop, please wait"))),
        ServerState::Starting(_) => return Ok(StatusCode::ACCEPTED),
        ServerState::Stopped | ServerState::Failed(_) => {}
    }
    state.spawner.start(&key, Wish::default()).await?;
    let limit = Duration::from_secs(state.config.slow_start_timeout_s);
    match settled(&state, &key, limit).await.map(|status| status.state) {
        Some(ServerState::Ready) => Ok(StatusCode::CREATED),
        Some(ServerState::Failed(failure)) => Err(HubError::StartFailed(Box::new(failure))),
        Some(_) => Err(HubError::bad(format!("{key} was stopped while it started"))),
        None => Ok(StatusCode::ACCEPTED),
    }
}

/// `DELETE /hub/api/users/{u}/server`: 204 if it is stopped within `slow_stop_timeout_s`, else 202.
#[utoipa::path(
    delete, path = "/users/{user}/server", operation_id = "stop_server", tag = "Servers",
    params(UserPath),
    security(("token" = ["delete:servers"])),
    responses(
        (status = 202, description = "It is being stopped."),
        (status = 204, description = "It does not run."),
    ),
)]
pub(in crate::hub) async fn stop(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, HubError> {
    let owner = reachable_user(&state, &caller, &name, &["delete:servers"])?;
    let wants_removal = json_body::<Value>(&body)?.is_some_and(|body| body["remove"] == true);
    if wants_removal {
        return Err(HubError::bad("Cannot delete the default server"));
    }
    let key = ServerKey::default_of(owner.name.clone());
    match state.spawner.status(&key).state {
        ServerState::Stopped | ServerState::Failed(_) => return Ok(StatusCode::NO_CONTENT),
        ServerState::Stopping => return Ok(StatusCode::ACCEPTED),
        ServerState::Starting(_) | ServerState::Ready => {}
    }
    state.spawner.stop(&key).await?;
    let limit = Duration::from_secs(state.config.slow_stop_timeout_s);
    let is_settled = settled(&state, &key, limit).await.is_some();
    Ok(if is_settled { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED })
}

/// The server's status once nothing is pending, if that comes within `limit`.
async fn settled(state: &HubState, key: &ServerKey, limit: Duration) -> Option<ServerStatus> {
    let mut watch = state.spawner.watch(key);
    let settled = watch.wait_for(|status| status.state.pending().is_none());
    tokio::time::timeout(limit, settled).await.ok()?.ok().map(|status| status.clone())
}
