//! `GET/POST/PATCH /proxy`: what the edge forwards by. The proxy is part of this program, so there is nothing to
//! bring into line and nowhere else to find it.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;

use super::model::route::RouteModel;
use super::{json_body, scopes};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;

/// `GET /hub/api/proxy`
#[utoipa::path(
    get, path = "/proxy", operation_id = "get_routes", tag = "Hub",
    summary = "List what the proxy forwards by", description = "By prefix.",
    security(("token" = ["proxy"])),
    responses((status = 200, description = "The routes of this page, by prefix.", body = BTreeMap<String, RouteModel>)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Json<BTreeMap<String, RouteModel>>, HubError> {
    scopes::require(&caller, &["proxy"], None)?;
    let table = state.program.routes.current().clone();
    let routes = table.iter().map(|route| RouteModel::of(&state, route));
    let routes = routes.chain([RouteModel::of_hub(&state)]);
    Ok(Json(routes.map(|route| (route.routespec.clone(), route)).collect()))
}

/// `POST /hub/api/proxy` → 200, empty: the spawner publishes routes itself, they cannot have gone astray.
#[utoipa::path(
    post, path = "/proxy", operation_id = "sync_routes", tag = "Hub",
    summary = "Bring the proxy into line", description = "Nothing needs it here: routes and servers are one program's.",
    security(("token" = ["proxy"])),
    responses((status = 200, description = "They are in line.")),
)]
pub(in crate::hub) async fn post(CallerOf(caller): CallerOf) -> Result<StatusCode, HubError> {
    scopes::require(&caller, &["proxy"], None)?;
    Ok(StatusCode::OK)
}

/// `PATCH /hub/api/proxy` → 400: there is no other proxy to turn to.
#[utoipa::path(
    patch, path = "/proxy", operation_id = "move_proxy", tag = "Hub",
    summary = "Use another proxy", description = "Always refused: the proxy is part of the program.",
    security(("token" = ["proxy"])),
    request_body(content = Object),
    responses((status = 400, description = "The proxy is part of the program.", body = super::model::error::ErrorModel)),
)]
pub(in crate::hub) async fn patch(CallerOf(caller): CallerOf, body: Bytes) -> Result<StatusCode, HubError> {
    scopes::require(&caller, &["proxy"], None)?;
    match json_body::<Value>(&body)? {
        Some(Value::Object(_)) => {
            Err(HubError::bad("The proxy is part of this program: there is no other address to find it at."))
        }
        _ => Err(HubError::bad("Request body must be JSON dict")),
    }
}
