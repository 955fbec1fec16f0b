//! `GET /user` (who am I), `GET /users`, `GET /users/{u}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::model::user::{UserModel, Whoami};
use super::paging::{Listing, Page};
use super::scopes;
use crate::auth::{Caller, User, scopes_of};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::model::UserName;

/// Any of these shows a user, each with fields of its own.
const READ_USER: [&str; 6] =
    ["read:users", "read:users:name", "read:servers", "read:users:groups", "read:users:activity", "read:roles:users"];

/// `GET /hub/api/user`: a server asks this of each new visitor's token, and for its own.
pub(in crate::hub) async fn whoami(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Json<Whoami<UserModel>>, HubError> {
    let user = caller.user().ok_or(HubError::Nobody)?;
    let scopes = scopes_of(&caller);
    // Every token may see its owner's name, role and groups here.
    let mut owner = UserModel::of(&state, user, &scopes);
    owner.admin = Some(user.is_admin());
    owner.user_info = Some(None);
    owner.groups = Some(Vec::new());
    let token = caller.token();
    Ok(Json(Whoami {
        owner,
        token_id: token.and_then(|token| token.id).map(|id| id.to_string()),
        session_id: token.and_then(|token| token.session_id.clone()),
        scopes,
    }))
}

/// `GET /hub/api/users`
pub(in crate::hub) async fn list(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    page: Page,
) -> Result<Json<Listing<Vec<UserModel>>>, HubError> {
    scopes::require(&caller, &["list:users"], None)?;
    let scopes = scopes_of(&caller);
    let all = state.auth.users();
    let total = all.len();
    let users = page.cut(all).filter_map(|listing| state.auth.user(&listing.name));
    let users = users.map(|user| UserModel::of(&state, &user, &scopes)).collect();
    Ok(page.answer(users, total))
}

/// `GET /hub/api/users/{u}`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<UserModel>, HubError> {
    let user = reachable_user(&state, &caller, &name, &READ_USER)?;
    Ok(Json(UserModel::of(&state, &user, &scopes_of(&caller))))
}

/// The user that a path names, if the caller holds one of `wanted` for them.
///
/// # Errors
/// As `scopes::require`; 404 in the same words if there is no such user.
pub(super) fn reachable_user(
    state: &HubState,
    caller: &Caller,
    name: &str,
    wanted: &[&'static str],
) -> Result<Arc<User>, HubError> {
    let Some(name) = UserName::from_path(name) else {
        scopes::require(caller, wanted, None)?;
        return Err(HubError::NoSuchResource);
    };
    scopes::require(caller, wanted, Some(&name))?;
    state.auth.user(&name).ok_or(HubError::NoSuchResource)
}
