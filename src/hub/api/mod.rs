//! The part of JupyterHub's REST API (contract §2) that servers, our own pages and common clients need.
//!
//! One file a resource: `users`, `servers`, `progress`, `activity`; `scopes` decides 403 and 404 for all of them,
//! `model` writes users and servers as JSON.

pub(super) mod activity;
mod body;
pub(super) mod info;
pub(super) mod model;
pub(super) mod openapi;
mod paging;
pub(super) mod progress;
pub(super) mod proxy;
mod query;
mod scopes;
mod server_path;
pub(super) mod servers;
pub(super) mod shutdown;
pub(super) mod users;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use axum::response::IntoResponse;
use serde_json::json;

use super::HubState;

/// `GET /hub/api`: a server asks this first, without a token, and ends after five failures.
pub(super) async fn version(State(state): State<HubState>) -> impl IntoResponse {
    ([(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], Json(json!({ "version": state.config.jupyterhub_version })))
}

/// `OPTIONS` on every endpoint: 200, empty.
pub(super) async fn options() -> StatusCode {
    StatusCode::OK
}
