//! `/users/{u}`: look at and delete an account (contract §2.2). The list is `user_list`, new and changed accounts are
//! `user_acts`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use tokio::time::timeout;

use super::model::error::ErrorModel;
use super::model::user::{Shown, UserModel};
use super::openapi::UserPath;
use super::query::Query;
use super::scopes;
use crate::auth::{Caller, Target, User};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::hub::leave::end_account;
use crate::hub::to_its_end::to_its_end;
use crate::model::{ServerKey, ServerState, UserName};

/// Any of these shows a user, each with fields of its own.
const READ_USER: [&str; 6] =
    ["read:users", "read:users:name", "read:servers", "read:users:groups", "read:users:activity", "read:roles:users"];
/// `GET /hub/api/users/{u}`
#[utoipa::path(
    get, path = "/users/{user}", operation_id = "get_user", tag = "Users",
    summary = "Look at a user", description = "Each scope shows fields of its own.",
    params(UserPath, ("include_stopped_servers" = Option<String>, Query, description = "Stopped servers, too, unless this is `0` or `false`.")),
    security(
        ("token" = ["read:users"]), ("token" = ["read:users:name"]), ("token" = ["read:servers"]),
        ("token" = ["read:users:groups"]), ("token" = ["read:users:activity"]), ("token" = ["read:roles:users"]),
    ),
    responses((status = 200, description = "The user.", body = UserModel)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<UserModel>, HubError> {
    let user = reachable_user(&state, &caller, &name, &READ_USER)?;
    let rights = caller.rights();
    let shown = Shown::asked_for(&Query::parse(query.as_deref()));
    Ok(Json(UserModel::of(&state, &rights, &user, shown)))
}

/// `DELETE /hub/api/users/{u}` → 204
#[utoipa::path(
    delete, path = "/users/{user}", operation_id = "delete_user", tag = "Users",
    summary = "Delete an account", description = "Its servers are stopped first; their volumes stay unless they are to go with it, for which `admin:servers` is needed as well. Its tokens and sessions end.",
    params(UserPath, ("volumes" = Option<String>, Query, description = "`delete`: the user's own volumes go first, with all that is in them. `keep`: they stay, and are nobody's.")),
    security(("token" = ["delete:users"])),
    responses(
        (status = 204, description = "It is gone."),
        (status = 400, description = "It is one's own, or a server of it is still stopping.", body = ErrorModel),
        (status = 409, description = "A volume cannot be deleted; the account stays.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn delete(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, HubError> {
    let user = reachable_user(&state, &caller, &name, &["delete:users"])?;
    let with_volumes = match Query::parse(query.as_deref()).get("volumes") {
        None | Some("keep") => false,
        Some("delete") => true,
        Some(_) => return Err(HubError::bad("volumes must be \"keep\" or \"delete\"")),
    };
    if with_volumes {
        scopes::require(&caller, &["admin:servers"], Target::User(&user.name))?;
    }
    if caller.user().is_some_and(|own| own.name == user.name) {
        return Err(HubError::bad("Cannot delete yourself!"));
    }
    let name = user.name.clone();
    let stopping = || HubError::bad(format!("{name}'s server is in the process of stopping, please wait."));
    if state.spawner.status(&ServerKey::default_of(name.clone())).state == ServerState::Stopping {
        return Err(stopping());
    }
    let limit = Duration::from_secs(state.config.slow_stop_timeout_s);
    timeout(limit, state.spawner.stop_all_of(&name, &by)).await.map_err(|_| stopping())??;
    let state = state.clone();
    to_its_end(async move { end_account(&state, &by, &user.name, with_volumes).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /hub/api/users/{u}/admin-access` → 403: what it once gave, OAuth does.
#[utoipa::path(
    post, path = "/users/{user}/admin-access", operation_id = "request_admin_access", tag = "Users",
    summary = "Ask for access to a user's server", description = "Deprecated in JupyterHub 0.8 and off: administrators sign in to servers by OAuth.",
    params(UserPath),
    security(("token" = ["servers"])),
    responses((status = 403, description = "It is off.", body = ErrorModel)),
)]
pub(in crate::hub) async fn admin_access(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<StatusCode, HubError> {
    reachable_user(&state, &caller, &name, &["servers"])?;
    Err(HubError::forbidden("admin access to user servers disabled"))
}

/// The user that a path names, if the caller holds one of `wanted` for them.
///
/// # Errors
/// As `scopes::require`; 404 if there is no such user.
pub(super) fn reachable_user(
    state: &HubState,
    caller: &Caller,
    name: &str,
    wanted: &[&'static str],
) -> Result<Arc<User>, HubError> {
    reachable(state, caller, name, wanted)?.ok_or(HubError::Absent)
}

/// The same for those who have words of their own if there is no such user.
///
/// # Errors
/// As `scopes::require`.
pub(super) fn reachable(
    state: &HubState,
    caller: &Caller,
    name: &str,
    wanted: &[&'static str],
) -> Result<Option<Arc<User>>, HubError> {
    let name = UserName::from_path(name);
    scopes::require(caller, wanted, target_of(name.as_ref()))?;
    Ok(name.and_then(|name| state.auth.user(&name)))
}

/// Whom a path is about; what is no name is nobody's, so only a scope for all reaches it.
pub(super) fn target_of(name: Option<&UserName>) -> Target<'_> {
    name.map_or(Target::All, Target::User)
}
