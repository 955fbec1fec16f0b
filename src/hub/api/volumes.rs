//! `/users/{u}/manage-volumes`: which volumes a user has, and the end of chosen ones while no server of theirs runs.
//! Its addresses, fields and words are those of the platform that Slipway takes the place of.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{json_body, short};
use super::model::error::ErrorModel;
use super::openapi::UserPath;
use super::scopes;
use super::users::{reachable, target_of};
use crate::auth::Caller;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::model::UserName;
use crate::spawner::{Outcome, SpawnerError, VolumeListing, VolumeOutcome};

/// Volumes that one request may name: nobody has as many.
const SUFFIXES_LIMIT: usize = 100;

/// A volume that exists.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Volume)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct VolumeModel {
    /// The part of its name after the owner's: by this it is reset.
    suffix: String,
    /// Its real name.
    name: String,
    /// Where servers see it.
    mount: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    label: Option<String>,
    /// What it is for; may be empty.
    description: String,
    role: VolumeRole,
    /// How large it was at `size_at`; left out while nobody has looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    size_bytes: Option<u64>,
    /// When its size was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    size_at: Option<String>,
}

/// Whose a volume is.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::hub) enum VolumeRole {
    /// The user's own: it can be reset.
    Own,
    /// Everybody's: it cannot.
    Shared,
}

/// The volumes of a user.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct Volumes {
    /// Those that exist, in the order of the settings; what everybody shares comes last.
    volumes: Vec<VolumeModel>,
}

/// Which volumes are to be reset.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "volumes": ["cache"] }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct VolumesToReset {
    /// Their suffixes.
    #[serde(default)]
    #[schema(required, min_items = 1, max_items = 100)]
    volumes: Vec<String>,
}

/// What became of each.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ResetAnswer {
    /// The same in a sentence.
    message: String,
    /// Those that are gone; the next start makes empty ones.
    reset_volumes: Vec<String>,
    /// Those that are as they were.
    failed_volumes: Vec<FailedVolume>,
}

/// A volume that is as it was, and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct FailedVolume {
    /// Its suffix.
    volume: String,
    /// Why.
    reason: String,
}

impl From<VolumeListing> for VolumeModel {
    fn from(volume: VolumeListing) -> Self {
        let role = if volume.resettable { VolumeRole::Own } else { VolumeRole::Shared };
        let VolumeListing { suffix, name, mount, label, description, size, .. } = volume;
        let (size_bytes, size_at) = (size.map(|size| size.bytes), size.map(|size| size.at.to_iso()));
        Self { suffix, name, mount, label, description, role, size_bytes, size_at }
    }
}

/// `GET /hub/api/users/{u}/manage-volumes`
#[utoipa::path(
    get, path = "/users/{user}/manage-volumes", operation_id = "list_volumes", tag = "Servers",
    summary = "List a user's volumes", description = "Those that exist. Nobody has any before the first start.",
    params(UserPath),
    security(("token" = ["read:servers"])),
    responses((status = 200, description = "The volumes; none of a user who does not exist.", body = Volumes)),
)]
pub(in crate::hub) async fn list(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<Volumes>, HubError> {
    let volumes = match reachable(&state, &caller, &name, &["read:servers"])? {
        Some(user) => state.spawner.volumes_of(&user.name).await?,
        None => vec![],
    };
    Ok(Json(Volumes { volumes: volumes.into_iter().map(VolumeModel::from).collect() }))
}

/// `DELETE /hub/api/users/{u}/manage-volumes`
#[utoipa::path(
    delete, path = "/users/{user}/manage-volumes", operation_id = "reset_volumes", tag = "Servers",
    summary = "Reset volumes", description = "Removes them with all that is in them; the next start makes empty ones. No server of the user may run, and none starts meanwhile. One's own need `servers`, others' `admin:servers`.",
    params(UserPath),
    security(("token" = ["servers"]), ("token" = ["admin:servers"])),
    request_body = VolumesToReset,
    responses(
        (status = 200, description = "What became of each, also if none was reset.", body = ResetAnswer),
        (status = 400, description = "The body is not as it must be, there is no volume of such a suffix, or a server is not stopped.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn reset(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<ResetAnswer>, HubError> {
    let name = UserName::from_path(&name);
    scopes::require(&caller, wanted_to_reset(&caller, name.as_ref()), target_of(name.as_ref()))?;
    let suffixes = suffixes_of(&state, &body)?;
    let user = name.and_then(|name| state.auth.user(&name)).ok_or(HubError::Absent)?;
    let outcomes = state.spawner.reset_volumes(&user.name, &suffixes, by).await.map_err(|error| match error {
        SpawnerError::Running => HubError::bad("Server must be stopped before its volumes can be reset"),
        error => error.into(),
    })?;
    Ok(Json(answer_of(outcomes)))
}

/// What it takes to delete somebody's files. More than to stop their server: those who clean up behind others have that.
fn wanted_to_reset(caller: &Caller, name: Option<&UserName>) -> &'static [&'static str] {
    let is_own = caller.user().is_some_and(|user| Some(&user.name) == name);
    if is_own { &["servers"] } else { &["admin:servers"] }
}

fn suffixes_of(state: &HubState, body: &Bytes) -> Result<Vec<String>, HubError> {
    let wanted = json_body::<VolumesToReset>(body)?.unwrap_or_default().volumes;
    if wanted.is_empty() {
        return Err(HubError::bad("No volumes specified: name at least one in \"volumes\""));
    }
    if wanted.len() > SUFFIXES_LIMIT {
        return Err(HubError::bad(format!("At most {SUFFIXES_LIMIT} volumes in one request, please.")));
    }
    if let Some(unknown) = wanted.iter().find(|suffix| !state.spawner.has_volume(suffix)) {
        return Err(HubError::bad(format!("Invalid volume type: {}", short(unknown))));
    }
    let mut seen = BTreeSet::new();
    Ok(wanted.into_iter().filter(|suffix| seen.insert(suffix.clone())).collect())
}

fn answer_of(outcomes: Vec<VolumeOutcome>) -> ResetAnswer {
    let (mut reset_volumes, mut failed_volumes) = (Vec::new(), Vec::new());
    for VolumeOutcome { suffix, outcome } in outcomes {
        match outcome {
            Outcome::Reset => reset_volumes.push(suffix),
            Outcome::Failed(reason) => failed_volumes.push(FailedVolume { volume: suffix, reason }),
        }
    }
    let message = match (reset_volumes.len(), failed_volumes.len()) {
        (done, 0) => format!("Reset {done} volume(s)"),
        (done, failed) => format!("Reset {done} volume(s); {failed} failed"),
    };
    ResetAnswer { message, reset_volumes, failed_volumes }
}
