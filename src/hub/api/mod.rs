//! The part of JupyterHub's REST API (contract §2) that servers, our own pages and common clients need.
//!
//! One file a resource: `users`, `servers`, `progress`, `activity`; `scopes` decides 403 and 404 for all of them,
//! `model` writes users and servers as JSON.

pub(super) mod activity;
pub(super) mod metrics;
pub(super) mod model;
mod paging;
pub(super) mod progress;
mod query;
mod scopes;
pub(super) mod servers;
pub(super) mod users;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::HubState;
use super::error::HubError;
use super::extract::CallerOf;

/// `GET /hub/api`: a server asks this first, without a token, and ends after five failures.
pub(super) async fn version(State(state): State<HubState>) -> impl IntoResponse {
    ([(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], Json(json!({ "version": state.config.jupyterhub_version })))
}

/// `GET /hub/api/info`
pub(super) async fn info(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<impl IntoResponse, HubError> {
    scopes::require(&caller, &["read:hub"], None)?;
    Ok(Json(json!({
        "version": state.config.jupyterhub_version,
        "slipway": env!("CARGO_PKG_VERSION"),
        "python": "",
        "sys_executable": "",
        "spawner": { "class": "slipway", "version": env!("CARGO_PKG_VERSION") },
        "authenticator": { "class": "slipway", "version": env!("CARGO_PKG_VERSION") },
    })))
}

/// `OPTIONS` on every endpoint: 200, empty.
pub(super) async fn options() -> StatusCode {
    StatusCode::OK
}

/// A JSON body, or `None` if it is empty.
fn json_body<T: DeserializeOwned>(body: &Bytes) -> Result<Option<T>, HubError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    serde_json::from_slice(body).map(Some).map_err(|_| HubError::bad("Invalid JSON in body of request"))
}
