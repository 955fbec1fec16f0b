//! `GET /info`: what this hub is made of.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::scopes;
use crate::auth::Target;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;

const OUR_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What this hub is made of.
#[derive(Serialize, ToSchema)]
#[schema(as = HubInfo, example = json!({
    "version": "6.1.1", "slipway": "0.1.0", "python": "", "sys_executable": "",
    "spawner": { "class": "slipway", "version": "0.1.0" },
    "authenticator": { "class": "slipway", "version": "0.1.0" }
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct Info {
    /// The version of JupyterHub whose contract is kept.
    version: String,
    /// The version of Slipway.
    slipway: &'static str,
    /// Empty: there is no Python here.
    python: &'static str,
    /// Empty: there is no Python here.
    sys_executable: &'static str,
    /// What starts servers.
    spawner: Part,
    /// What signs people in.
    authenticator: Part,
}

/// One part of the hub.
#[derive(Serialize, ToSchema)]
#[schema(as = HubPart)]
#[serde(deny_unknown_fields)]
struct Part {
    /// Its name.
    class: &'static str,
    /// Its version.
    version: &'static str,
}

/// `GET /hub/api/info`
#[utoipa::path(
    get, path = "/info", operation_id = "get_info", tag = "Hub",
    summary = "What this hub is made of", description = "Versions and parts.",
    security(("token" = ["read:hub"])),
    responses((status = 200, description = "Versions and parts.", body = Info)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Json<Info>, HubError> {
    scopes::require(&caller, &["read:hub"], Target::All)?;
    let part = || Part { class: "slipway", version: OUR_VERSION };
    Ok(Json(Info {
        version: state.config.jupyterhub_version.clone(),
        slipway: OUR_VERSION,
        python: "",
        sys_executable: "",
        spawner: part(),
        authenticator: part(),
    }))
}
