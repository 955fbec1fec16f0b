//! `GET/POST/PATCH /proxy`: what the edge forwards by. The proxy is part of this program, so there is nothing to
//! bring into line and nowhere else to find it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;

use super::body::any_json;
use super::model::error::ErrorModel;
use super::model::route::RouteModel;
use super::openapi::PageQuery;
use super::paging::{Listing, Page};
use super::scopes;
use crate::auth::Target;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::model::Route;

/// `GET /hub/api/proxy`
#[utoipa::path(
    get, path = "/proxy", operation_id = "get_routes", tag = "Hub",
    summary = "List what the proxy forwards by", description = "In order of the prefixes.",
    params(PageQuery),
    security(("token" = ["proxy"])),
    responses((status = 200, description = "Routes by prefix.", body = Listing<BTreeMap<String, RouteModel>>)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    page: Page,
) -> Result<Json<Listing<BTreeMap<String, RouteModel>>>, HubError> {
    scopes::require(&caller, &["proxy"], Target::All)?;
    let table = state.program.routes.current().clone();
    let base = &state.config.base;
    // Only the prefixes are sorted; the models of one page are made.
    let routes: BTreeMap<&str, Option<&Arc<Route>>> =
        table.iter().map(|route| (route.prefix(base), Some(route))).chain([(base.as_str(), None)]).collect();
    let total = routes.len();
    let shown = page.cut(routes).map(|(prefix, route)| {
        let model = route.map_or_else(|| RouteModel::of_hub(&state), |route| RouteModel::of(&state, route));
        (prefix.to_owned(), model)
    });
    Ok(page.answer(shown.collect(), total))
}

/// `POST /hub/api/proxy` → 200, empty: the spawner publishes routes itself, they cannot have gone astray.
#[utoipa::path(
    post, path = "/proxy", operation_id = "sync_routes", tag = "Hub",
    summary = "Bring the proxy into line", description = "Nothing needs it here: routes and servers are one program's.",
    security(("token" = ["proxy"])),
    responses((status = 200, description = "They are in line.")),
)]
pub(in crate::hub) async fn post(CallerOf(caller): CallerOf) -> Result<StatusCode, HubError> {
    scopes::require(&caller, &["proxy"], Target::All)?;
    Ok(StatusCode::OK)
}

/// `PATCH /hub/api/proxy` → 400: there is no other proxy to turn to.
#[utoipa::path(
    patch, path = "/proxy", operation_id = "move_proxy", tag = "Hub",
    summary = "Use another proxy", description = "Always refused: the proxy is part of the program.",
    security(("token" = ["proxy"])),
    request_body(content = Object),
    responses((status = 400, description = "The proxy is part of the program.", body = ErrorModel)),
)]
pub(in crate::hub) async fn patch(CallerOf(caller): CallerOf, body: Bytes) -> Result<StatusCode, HubError> {
    scopes::require(&caller, &["proxy"], Target::All)?;
    match any_json(&body)? {
        Some(Value::Object(_)) => {
            Err(HubError::bad("The proxy is part of this program: there is no other address to find it at."))
        }
        _ => Err(HubError::bad("Request body must be JSON dict")),
    }
}
