//! The part of JupyterHub's REST API (contract §2) that servers, our own pages and common clients need.
//!
//! One file a resource, or a family of its methods; `scopes` decides 403 and 404 for all of them, `body`, `query` and
//! `paging` read what is asked, `model` says what is answered.

pub(super) mod activity;
mod body;
pub(super) mod groups;
pub(super) mod info;
pub(super) mod metrics;
pub(super) mod model;
pub(super) mod openapi;
mod paging;
pub(super) mod progress;
pub(super) mod proxy;
mod query;
mod scopes;
pub(super) mod servers;
pub(super) mod shutdown;
pub(super) mod tokens;
pub(super) mod user_acts;
pub(super) mod user_list;
pub(super) mod users;
pub(super) mod whoami;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use axum::response::IntoResponse;
use serde_json::json;

use super::HubState;
use crate::auth::Caller;

/// `GET /hub/api`: a server asks this first, without a token, and ends after five failures.
pub(super) async fn version(State(state): State<HubState>) -> impl IntoResponse {
    ([(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], Json(json!({ "version": state.config.jupyterhub_version })))
}

/// `OPTIONS` on every endpoint: 200, empty.
pub(super) async fn options() -> StatusCode {
    StatusCode::OK
}

/// Who did it, as the audit names them.
fn actor(caller: &Caller) -> String {
    caller.owner().map(|owner| owner.name().to_string()).unwrap_or_default()
}
