//! `POST /shutdown`: the program stops as at SIGTERM.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::body::any_json;
use super::scopes;
use crate::auth::Target;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};

/// What else stops.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = ShutdownWish, example = json!({ "servers": false }))]
#[allow(dead_code, reason = "its description; the parts are read one by one to say which is wrong")]
pub(in crate::hub) struct Wish {
    /// Users' servers stop as well. Without it they go on, and the next start takes them up again.
    servers: Option<bool>,
    /// JupyterHub's proxy. Here it is part of the program and stops with it whatever is said.
    proxy: Option<bool>,
}

/// That it is under way.
#[derive(Serialize, ToSchema)]
#[schema(as = ShutdownAnswer, example = json!({ "message": "Shutting down Hub" }))]
pub(in crate::hub) struct Answer {
    message: &'static str,
}

/// `POST /hub/api/shutdown` → 202; the program stops once it is answered.
#[utoipa::path(
    post, path = "/shutdown", operation_id = "shut_down", tag = "Hub",
    summary = "Stop the program", description = "Open requests are finished first.",
    security(("token" = ["shutdown"])),
    request_body(content = Option<Wish>),
    responses((status = 202, description = "It is stopping.", body = Answer)),
)]
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    body: Bytes,
) -> Result<(StatusCode, Json<Answer>), HubError> {
    scopes::require(&caller, &["shutdown"], Target::All)?;
    let body = any_json(&body)?.unwrap_or_else(|| json!({}));
    if !body.is_object() {
        return Err(HubError::bad("Request body must be JSON dict"));
    }
    let also_servers = flag(&body, "servers")?;
    flag(&body, "proxy")?;
    let limit = Duration::from_secs(state.config.stop_servers_timeout_s);
    state.program.stop(also_servers.then(|| (state.spawner.clone(), by)), limit);
    Ok((StatusCode::ACCEPTED, Json(Answer { message: "Shutting down Hub" })))
}

fn flag(body: &Value, name: &str) -> Result<bool, HubError> {
    match body.get(name) {
        None => Ok(false),
        Some(Value::Bool(wanted)) => Ok(*wanted),
        Some(other) => Err(HubError::bad(format!("{name} must be true or false, got {}", short(other)))),
    }
}

/// A value for an error's sentence; a long one is not repeated.
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= 40 { text } else { "something longer".to_owned() }
}
