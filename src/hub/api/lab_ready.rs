//! `GET /users/{u}/lab-ready` and `…/server[s/{s}]/lab-ready`: does the server answer just now? For the «Open» button.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::model::error::ErrorModel;
use super::server_path::ServerPath;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::spawner::Answering;

/// Whether it answers.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LabReady, example = json!({ "ready": true, "status": 200 }))]
pub(in crate::hub) struct LabReady {
    /// True if it gave any answer in HTTP.
    ready: bool,
    /// The status of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status: Option<u16>,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<Reason>,
}

/// Why a server does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LabNotReady)]
pub(in crate::hub) enum Reason {
    /// There is no such user.
    UserNotFound,
    /// There is no such server, or it is not running, or on its way.
    NotActive,
    /// It takes no connection.
    NoConnection,
    /// It said nothing in time.
    NoAnswer,
    /// What it said is no HTTP.
    NotHttp,
}

/// Always 200 for those who may ask: the answer says the rest.
#[utoipa::path(
    get, path = "/users/{user}/servers/{server}/lab-ready", operation_id = "is_lab_ready", tag = "Servers",
    summary = "Does the server answer?",
    description = "Asks the server itself: 2 s for the connection, 5 s for all of it, redirects are not followed. The \
                   default server's is at `/users/{user}/lab-ready`.",
    params(ServerPath),
    security(("token" = ["read:servers"])),
    responses(
        (status = 200, description = "Whether it does, or why not.", body = LabReady),
        (status = 403, description = "Not one's own, and none that one may see.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    path: ServerPath,
) -> Result<Json<LabReady>, HubError> {
    let key = match path.reach_or_403(&state, &caller, &["read:servers"]) {
        Ok(key) => key,
        Err(HubError::Absent) => return Ok(no(Reason::UserNotFound)),
        // A name that no server can have.
        Err(error) if error.status() == axum::http::StatusCode::BAD_REQUEST => return Ok(no(Reason::NotActive)),
        Err(error) => return Err(error),
    };
    Ok(match state.spawner.is_answering(&key).await {
        Answering::Yes(status) => Json(LabReady { ready: true, status: Some(status), reason: None }),
        Answering::NotActive => no(Reason::NotActive),
        Answering::NoConnection => no(Reason::NoConnection),
        Answering::NoAnswer => no(Reason::NoAnswer),
        Answering::NotHttp => no(Reason::NotHttp),
    })
}

fn no(reason: Reason) -> Json<LabReady> {
    Json(LabReady { ready: false, status: None, reason: Some(reason) })
}
