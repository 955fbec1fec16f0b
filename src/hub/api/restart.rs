//! `POST /users/{u}/restart-server` and `…/server[s/{s}]/restart`: the server's program begins anew in the same container.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::model::error::ErrorModel;
use super::server_path::{ServerPath, told};
use super::servers::exists;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::spawner::SpawnerError;

/// That it is under way.
#[derive(Serialize, ToSchema)]
#[schema(as = ServerRestart, example = json!({ "message": "alice is being restarted" }))]
pub(in crate::hub) struct RestartAnswer {
    /// A sentence that names the server.
    message: String,
}

/// Answers once the wish is written down and nobody is let in any more; the server's progress tells when it is back.
#[utoipa::path(
    post, path = "/users/{user}/servers/{server}/restart", operation_id = "restart_server", tag = "Servers",
    summary = "Restart a server",
    description = "In the same container: volumes, what was installed in it and its variables stay; kernels, terminals \
                   and unsaved work end. It is accepted when this answers; the server's progress tells when it is back. \
                   The default server's is also at `/users/{user}/restart-server`.",
    params(ServerPath),
    security(("token" = ["servers"])),
    responses(
        (status = 200, description = "It is being restarted.", body = RestartAnswer),
        (status = 400, description = "It is not running, or servers cannot be restarted here.", body = ErrorModel),
        (status = 403, description = "Not one's own, and none that one may manage.", body = ErrorModel),
        (status = 404, description = "There is no such user, server or container.", body = ErrorModel),
        (status = 503, description = "The container engine does not answer; nothing has changed.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    path: ServerPath,
) -> Result<Json<RestartAnswer>, HubError> {
    let key = path.reach_or_403(&state, &caller, &["servers"])?;
    if !exists(&state, &key) {
        return Err(HubError::NoSuchPage);
    }
    let restarted = state.spawner.restart(&key, by).await;
    restarted.map_err(|error| match error {
        SpawnerError::NotRunning => HubError::bad(format!("{} is not running", told(&key))),
        error => error.into(),
    })?;
    Ok(Json(RestartAnswer { message: format!("{} is being restarted", told(&key)) }))
}
