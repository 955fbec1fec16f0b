//! The time that a server has left, as the platform's endpoints write it (platform.md §8.2 and §16).

use serde::Serialize;
use utoipa::ToSchema;

use super::error::ErrorModel;

/// What there is to know of the time that a server has left.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SessionInfo, example = json!({
    "culler_enabled": true, "server_active": true, "timeout_seconds": 3600, "max_extension_hours": 8,
    "last_activity": "2026-11-22T02:07:07.732000Z", "time_remaining_seconds": 2520,
    "extensions_available_hours": 8, "display_ceiling_seconds": 3600
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct SessionInfoModel {
    /// True if this server is stopped when nobody uses it, or when it has run for long.
    pub(in crate::hub::api) culler_enabled: bool,
    /// True if it runs.
    pub(in crate::hub::api) server_active: bool,
    /// After how long without use it is stopped; `null`: never for that.
    #[schema(required)]
    pub(in crate::hub::api) timeout_seconds: Option<u64>,
    /// How many hours beyond that it can be given.
    pub(in crate::hub::api) max_extension_hours: u64,
    /// When it was last seen to be used.
    #[schema(required, format = DateTime)]
    pub(in crate::hub::api) last_activity: Option<String>,
    /// How long it has from now; `null` if nothing stops it now.
    #[schema(required)]
    pub(in crate::hub::api) time_remaining_seconds: Option<u64>,
    /// How many whole hours can be added now.
    pub(in crate::hub::api) extensions_available_hours: u32,
    /// What a bar of the time left is drawn against; `null` if nothing stops it now.
    #[schema(required)]
    pub(in crate::hub::api) display_ceiling_seconds: Option<u64>,
}

/// What an extension came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Extension, example = json!({
    "success": true, "message": "alice has 3 hours from now", "truncated": false,
    "session_info": { "time_remaining_seconds": 10800, "extensions_available_hours": 6 }
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ExtensionModel {
    /// Always true; refusals have another status.
    pub(in crate::hub::api) success: bool,
    /// A sentence.
    pub(in crate::hub::api) message: String,
    /// True if fewer hours were left to give than asked for.
    pub(in crate::hub::api) truncated: bool,
    /// How it stands now.
    pub(in crate::hub::api) session_info: ExtendedModel,
}

/// How it stands after an extension.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExtendedSession)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ExtendedModel {
    /// How long it has from now.
    #[schema(required)]
    pub(in crate::hub::api) time_remaining_seconds: Option<u64>,
    /// How many whole hours can be added still.
    pub(in crate::hub::api) extensions_available_hours: u32,
}

/// Why a server got no more time.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExtensionRefusal, example = json!({ "success": false, "error": "alice is not running" }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ExtensionRefusalModel {
    /// Always false.
    pub(in crate::hub::api) success: bool,
    /// A sentence.
    pub(in crate::hub::api) error: String,
}

/// What a 400 holds: a refusal, or what every endpoint says of a path or a name that is none.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExtensionFault)]
#[serde(untagged)]
#[allow(dead_code, reason = "it describes the answer")]
pub(in crate::hub) enum ExtensionFaultModel {
    /// It got no more time.
    Refused(ExtensionRefusalModel),
    /// The request is none.
    Bad(ErrorModel),
}
