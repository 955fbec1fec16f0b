//! `GET /settings`: the configuration in force.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::scopes;
use crate::auth::Target;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::hub::program::SettingShown;

/// The configuration in force.
#[derive(Serialize, ToSchema)]
#[schema(as = Settings)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct SettingsModel {
    /// Every setting, in the order of the file.
    settings: Vec<SettingModel>,
}

/// One setting.
#[derive(Serialize, ToSchema)]
#[schema(as = Setting, example = json!({
    "key": "audit.retention_days", "category": "audit", "value": "365", "default": "365", "source": "default",
    "description": "How many days the audit log keeps a row."
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct SettingModel {
    /// Its dotted name.
    key: String,
    /// The part of the name before the last dot; `general` if there is none.
    category: String,
    /// As TOML. A secret is `set` or `not set`, and `***` within others.
    value: String,
    /// What it is if nobody sets it, as TOML.
    default: String,
    /// `default`, `FILE:LINE`, or `environment VARIABLE`.
    source: String,
    /// What it does, with its unit.
    description: String,
}

impl SettingModel {
    fn of(setting: &SettingShown) -> Self {
        let SettingShown { key, category, value, default, source, description, .. } = setting.clone();
        Self { key, category, value, default, source, description }
    }
}

/// `GET /hub/api/settings`
#[utoipa::path(
    get, path = "/settings", operation_id = "get_settings", tag = "Hub",
    summary = "The configuration in force", description = "With where each value came from, and without secrets.",
    security(("token" = ["read:hub"])),
    responses((status = 200, description = "The settings.", body = SettingsModel)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Json<SettingsModel>, HubError> {
    scopes::require(&caller, &["read:hub"], Target::All)?;
    Ok(Json(SettingsModel { settings: state.program.settings.iter().map(SettingModel::of).collect() }))
}
