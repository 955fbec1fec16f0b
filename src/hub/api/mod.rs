//! The part of JupyterHub's REST API (contract §2) that servers, our own pages and common clients need.
//!
//! One file a resource, or a family of its methods; `scopes` decides 403 and 404 for all of them, `body`, `query` and
//! `paging` read what is asked, `model` says what is answered.

pub(super) mod accounts;
pub(super) mod activity;
mod allowed;
pub(super) mod audit;
mod body;
pub(super) mod gpus;
pub(super) mod grants;
pub(super) mod groups;
pub(super) mod idle;
pub(super) mod info;
pub(super) mod lab_ready;
pub(super) mod live;
pub(super) mod metrics;
pub(super) mod model;
pub(super) mod new_people;
pub(super) mod notices;
pub(super) mod openapi;
mod paging;
pub(super) mod people_activity;
pub(super) mod profiles;
pub(super) mod progress;
pub(super) mod proxy;
mod query;
mod refusals;
pub(super) mod restart;
pub(super) mod routes;
mod scopes;
pub(super) mod server_log;
mod server_path;
pub(super) mod servers;
pub(super) mod services;
pub(super) mod sessions;
pub(super) mod settings;
pub(super) mod share_codes;
pub(super) mod shared_with;
pub(super) mod shares;
pub(super) mod shutdown;
pub(super) mod tokens;
pub(super) mod user_acts;
pub(super) mod user_list;
pub(super) mod users;
pub(super) mod volumes;
pub(super) mod whoami;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::HubState;

/// The version of JupyterHub whose contract is kept.
#[derive(Serialize, ToSchema)]
#[schema(as = Version, example = json!({ "version": "6.1.1" }))]
pub(super) struct VersionModel {
    version: String,
}

/// `GET /hub/api`: a server asks this first, without a token, and ends after five failures.
#[utoipa::path(
    get, path = "/", operation_id = "get_version", tag = "Hub",
    summary = "Which version this is", description = "For everybody.",
    security(()),
    responses((status = 200, description = "The version.", body = VersionModel)),
)]
pub(super) async fn version(State(state): State<HubState>) -> impl IntoResponse {
    ([(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], Json(VersionModel { version: state.config.jupyterhub_version.clone() }))
}

/// `OPTIONS` on every endpoint: 200, empty.
pub(super) async fn options() -> StatusCode {
    StatusCode::OK
}
