//! `/users/{u}/shared…`, `/groups/{g}/shared…`: what was shared with somebody, seen from their side.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use utoipa::IntoParams;

use super::body::short;
use super::groups::{GroupPath, reachable_group};
use super::model::share::ShareModel;
use super::openapi::{PageQuery, UserPath};
use super::paging::{Listing, Page, Wrapped};
use super::users::reachable_user;
use crate::auth::Share;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::model::{ServerKey, ServerName, ShareWith, UserName};

/// The server that a path names after the one it was shared with.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::hub) struct SharedPath {
    /// With whom: a user's or a group's name.
    #[param(ignore)]
    with: String,
    /// The server's owner.
    #[param(min_length = 1, max_length = 64, example = "alice")]
    owner: String,
    /// The server's name; the path of the default server ends with the slash.
    #[param(min_length = 1, max_length = 64, example = "gpu")]
    server: String,
}

impl FromRequestParts<HubState> for SharedPath {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, state: &HubState) -> Result<Self, HubError> {
        let segments = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Path(segments) = segments.map_err(|_| HubError::bad("The path is not UTF-8."))?;
        let find = |name: &str| segments.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let with = find("user").or_else(|| find("group")).unwrap_or_default();
        Ok(Self { with, owner: find("owner").unwrap_or_default(), server: find("server").unwrap_or_default() })
    }
}

impl SharedPath {
    /// What `with` was given of the server.
    fn share(&self, state: &HubState, kind: &str, with: &ShareWith) -> Result<std::sync::Arc<Share>, HubError> {
        let server = UserName::from_path(&self.owner).zip(ServerName::parse(&self.server).ok());
        let server = server.map(|(user, name)| ServerKey { user, name });
        let share = server.and_then(|server| state.auth.share_between(&server, with));
        share.ok_or_else(|| {
            let (with, owner, server) = (short(&self.with), short(&self.owner), short(&self.server));
            HubError::not_found(format!("No such share for {kind} {with} on {owner}/{server}"))
        })
    }
}

/// `GET /hub/api/users/{u}/shared`
#[utoipa::path(
    get, path = "/users/{user}/shared", operation_id = "list_shared_with_user", tag = "Shares",
    summary = "List what is shared with somebody", description = "Also by way of their groups.",
    params(UserPath, PageQuery),
    security(("token" = ["read:users:shares"])),
    responses((status = 200, description = "A page of shares.", body = inline(Wrapped<Vec<ShareModel>>))),
)]
pub(in crate::hub) async fn list_of_user(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    page: Page,
) -> Result<Json<Listing<Vec<ShareModel>>>, HubError> {
    let user = reachable_user(&state, &caller, &name, &["read:users:shares"])?;
    let shares = state.auth.shares_with_user(&user.name);
    let (total, page) = (shares.len(), page.always_wrapped());
    let models = page.cut(shares).map(|share| ShareModel::of(&state, &share)).collect();
    Ok(page.answer(models, total))
}

/// `GET /hub/api/users/{u}/shared/{owner}/{server}`
#[utoipa::path(
    get, path = "/users/{user}/shared/{owner}/{server}", operation_id = "get_share_of_user", tag = "Shares",
    summary = "Look at one share of a user", description = "One that was given to them, not to a group.",
    params(UserPath, SharedPath),
    security(("token" = ["read:users:shares"])),
    responses((status = 200, description = "The share.", body = ShareModel)),
)]
pub(in crate::hub) async fn of_user(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    path: SharedPath,
) -> Result<Json<ShareModel>, HubError> {
    let user = reachable_user(&state, &caller, &path.with, &["read:users:shares"])?;
    let share = path.share(&state, "user", &ShareWith::User(user.name.clone()))?;
    Ok(Json(ShareModel::of(&state, &share)))
}

/// `DELETE /hub/api/users/{u}/shared/{owner}/{server}` → 204
#[utoipa::path(
    delete, path = "/users/{user}/shared/{owner}/{server}", operation_id = "leave_share_of_user", tag = "Shares",
    summary = "Give a share back", description = "For a user.",
    params(UserPath, SharedPath),
    security(("token" = ["users:shares"])),
    responses((status = 204, description = "It is gone.")),
)]
pub(in crate::hub) async fn leave_user(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    path: SharedPath,
) -> Result<StatusCode, HubError> {
    let user = reachable_user(&state, &caller, &path.with, &["users:shares"])?;
    let share = path.share(&state, "user", &ShareWith::User(user.name.clone()))?;
    state.auth.unshare(&by, &share.server, &share.with, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /hub/api/groups/{g}/shared`
#[utoipa::path(
    get, path = "/groups/{group}/shared", operation_id = "list_shared_with_group", tag = "Shares",
    summary = "List what is shared with a group", description = "With the group itself.",
    params(GroupPath, PageQuery),
    security(("token" = ["read:groups:shares"])),
    responses((status = 200, description = "A page of shares.", body = inline(Wrapped<Vec<ShareModel>>))),
)]
pub(in crate::hub) async fn list_of_group(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    page: Page,
) -> Result<Json<Listing<Vec<ShareModel>>>, HubError> {
    let group = reachable_group(&state, &caller, &name, &["read:groups:shares"])?;
    let shares = state.auth.shares_with_group(&group.name);
    let (total, page) = (shares.len(), page.always_wrapped());
    let models = page.cut(shares).map(|share| ShareModel::of(&state, &share)).collect();
    Ok(page.answer(models, total))
}

/// `GET /hub/api/groups/{g}/shared/{owner}/{server}`
#[utoipa::path(
    get, path = "/groups/{group}/shared/{owner}/{server}", operation_id = "get_share_of_group", tag = "Shares",
    summary = "Look at one share of a group", description = "One that was given to the group itself.",
    params(GroupPath, SharedPath),
    security(("token" = ["read:groups:shares"])),
    responses((status = 200, description = "The share.", body = ShareModel)),
)]
pub(in crate::hub) async fn of_group(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    path: SharedPath,
) -> Result<Json<ShareModel>, HubError> {
    let group = reachable_group(&state, &caller, &path.with, &["read:groups:shares"])?;
    let share = path.share(&state, "group", &ShareWith::Group(group.name.clone()))?;
    Ok(Json(ShareModel::of(&state, &share)))
}

/// `DELETE /hub/api/groups/{g}/shared/{owner}/{server}` → 204
#[utoipa::path(
    delete, path = "/groups/{group}/shared/{owner}/{server}", operation_id = "leave_share_of_group", tag = "Shares",
    summary = "Give a group's share back", description = "For the group.",
    params(GroupPath, SharedPath),
    security(("token" = ["groups:shares"])),
    responses((status = 204, description = "It is gone.")),
)]
pub(in crate::hub) async fn leave_group(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    path: SharedPath,
) -> Result<StatusCode, HubError> {
    let group = reachable_group(&state, &caller, &path.with, &["groups:shares"])?;
    let share = path.share(&state, "group", &ShareWith::Group(group.name.clone()))?;
    state.auth.unshare(&by, &share.server, &share.with, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
