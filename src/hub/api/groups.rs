//! `/groups` and what is below: look at, make, fill, describe and delete groups (contract §2.2).

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::body::{json_body, present, short, user_names};
use super::model::error::ErrorModel;
use super::model::group::GroupModel;
use super::openapi::PageQuery;
use super::paging::{Listing, Page};
use super::scopes;
use crate::auth::{Caller, GroupListing, RootLeave, Target};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::model::{Actor, GroupName, UserName};

/// Any of these shows a group, each with fields of its own.
const READ_GROUP: [&str; 3] = ["read:groups", "read:groups:name", "read:roles:groups"];
/// How many groups one request may make.
const GROUPS_LIMIT: usize = 1000;

/// The group that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes the path; handlers read its parts themselves")]
pub(super) struct GroupPath {
    /// A group's name, percent-encoded.
    #[param(min_length = 1, max_length = 255, example = "physics")]
    group: String,
}

/// Groups to be made, all with the same members.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "groups": ["physics"], "users": ["alice"] }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct NewGroups {
    /// Their names.
    #[serde(default)]
    #[schema(required, min_items = 1, max_items = 1000)]
    groups: Vec<String>,
    /// Who is in all of them.
    #[serde(default)]
    #[schema(max_items = 10_000)]
    users: Vec<String>,
}

/// Users that are, or are to be, in a group.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "users": ["alice", "bob"] }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct Members {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 10_000)]
    users: Option<Vec<String>>,
}

/// `GET /hub/api/groups`
#[utoipa::path(
    get, path = "/groups", operation_id = "list_groups", tag = "Groups",
    summary = "List groups", description = "Those which the caller may list, in the order in which they were made.",
    params(PageQuery),
    security(("token" = ["list:groups"])),
    responses(
        (status = 200, description = "A page of groups.", body = Listing<Vec<GroupModel>>),
        (status = 400, description = "A parameter is not as it must be.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn list(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    page: Page,
) -> Result<Json<Listing<Vec<GroupModel>>>, HubError> {
    let rights = scopes::require(&caller, &["list:groups"], Target::Some)?;
    let mut names = state.auth.group_names();
    names.retain(|name| rights.allows("list:groups", Target::Group(name)));
    let total = names.len();
    let groups = page.cut(names).filter_map(|name| state.auth.group(&name));
    let models = groups.map(|group| GroupModel::of(&rights, group)).collect();
    Ok(page.answer(models, total))
}

/// `POST /hub/api/groups` → 201
#[utoipa::path(
    post, path = "/groups", operation_id = "create_groups", tag = "Groups",
    summary = "Make groups", description = "In one step: all of them, or none.",
    security(("token" = ["admin:groups"])),
    request_body = NewGroups,
    responses(
        (status = 201, description = "The new groups.", body = Vec<GroupModel>),
        (status = 400, description = "No name is given, one cannot be one, or a user does not exist.", body = ErrorModel),
        (status = 409, description = "One of them exists.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn create_many(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    body: Bytes,
) -> Result<(StatusCode, Json<Vec<GroupModel>>), HubError> {
    scopes::require(&caller, &["admin:groups"], Target::All)?;
    let wanted = json_body::<NewGroups>(&body)?.unwrap_or_default();
    if wanted.groups.is_empty() {
        return Err(HubError::bad("Must specify at least one group to create"));
    }
    let names = group_names(&wanted.groups)?;
    let models = make(&state, by, &caller, names, &wanted.users).await?;
    Ok((StatusCode::CREATED, Json(models)))
}

/// `GET /hub/api/groups/{g}`
#[utoipa::path(
    get, path = "/groups/{group}", operation_id = "get_group", tag = "Groups",
    summary = "Look at a group", description = "Each scope shows fields of its own.",
    params(GroupPath),
    security(("token" = ["read:groups"]), ("token" = ["read:groups:name"]), ("token" = ["read:roles:groups"])),
    responses((status = 200, description = "The group.", body = GroupModel)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<GroupModel>, HubError> {
    let group = reachable_group(&state, &caller, &name, &READ_GROUP)?;
    Ok(Json(GroupModel::of(&caller.rights(), group)))
}

/// `POST /hub/api/groups/{g}` → 201
#[utoipa::path(
    post, path = "/groups/{group}", operation_id = "create_group", tag = "Groups",
    summary = "Make a group", description = "With these members, if any.",
    params(GroupPath),
    security(("token" = ["admin:groups"])),
    request_body = Option<Members>,
    responses(
        (status = 201, description = "The new group.", body = GroupModel),
        (status = 400, description = "The name cannot be one, or a user does not exist.", body = ErrorModel),
        (status = 409, description = "It exists.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn create(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<GroupModel>), HubError> {
    let parsed = GroupName::parse(&name);
    scopes::require(&caller, &["admin:groups"], target_of(parsed.as_ref().ok()))?;
    let wanted = json_body::<Members>(&body)?.unwrap_or_default();
    let parsed = parsed.map_err(|error| HubError::bad(format!("Invalid group name: {error}")))?;
    let models = make(&state, by, &caller, vec![parsed], &wanted.users.unwrap_or_default()).await?;
    let model = models.into_iter().next().ok_or(HubError::Absent)?;
    Ok((StatusCode::CREATED, Json(model)))
}

/// `DELETE /hub/api/groups/{g}` → 204
#[utoipa::path(
    delete, path = "/groups/{group}", operation_id = "delete_group", tag = "Groups",
    summary = "Delete a group", description = "Its members lose what they had through it, at once.",
    params(GroupPath),
    security(("token" = ["delete:groups"])),
    responses(
        (status = 204, description = "It is gone."),
        (status = 409, description = "It is built in.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn delete(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<StatusCode, HubError> {
    let group = reachable_group(&state, &caller, &name, &["delete:groups"])?;
    state.auth.delete_group(&by, &group.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /hub/api/groups/{g}/users`
#[utoipa::path(
    post, path = "/groups/{group}/users", operation_id = "add_to_group", tag = "Groups",
    summary = "Add users to a group", description = "In one step. Who is in it already stays.",
    params(GroupPath),
    security(("token" = ["groups"])),
    request_body = Members,
    responses(
        (status = 200, description = "The group as it is now.", body = GroupModel),
        (status = 400, description = "No users are given, or one does not exist.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn add_users(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<GroupModel>, HubError> {
    let group = reachable_group(&state, &caller, &name, &["groups"])?;
    let users = members_of(&state, &body, "Must specify users to add")?;
    state.auth.add_to_group_with(&by, &group.name, &users, &RootLeave::of(&caller)).await?;
    shown(&state, &caller, &group.name)
}

/// `DELETE /hub/api/groups/{g}/users`
#[utoipa::path(
    delete, path = "/groups/{group}/users", operation_id = "remove_from_group", tag = "Groups",
    summary = "Take users out of a group", description = "In one step. Who is not in it stays out.",
    params(GroupPath),
    security(("token" = ["groups"])),
    request_body = Members,
    responses(
        (status = 200, description = "The group as it is now.", body = GroupModel),
        (status = 400, description = "No users are given, or one does not exist.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn remove_users(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<GroupModel>, HubError> {
    let group = reachable_group(&state, &caller, &name, &["groups"])?;
    let users = members_of(&state, &body, "Must specify users to delete")?;
    state.auth.remove_from_group(&by, &group.name, &users).await?;
    shown(&state, &caller, &group.name)
}

/// `PUT /hub/api/groups/{g}/properties`
#[utoipa::path(
    put, path = "/groups/{group}/properties", operation_id = "set_group_properties", tag = "Groups",
    summary = "Say what is kept with a group", description = "Takes the place of what was kept: 64 KiB at most.",
    params(GroupPath),
    security(("token" = ["groups"])),
    request_body(content = Object, example = json!({ "quota": 3 })),
    responses(
        (status = 200, description = "The group as it is now.", body = GroupModel),
        (status = 400, description = "The body is no object, or too long.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn set_properties(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<GroupModel>, HubError> {
    let group = reachable_group(&state, &caller, &name, &["groups"])?;
    let Some(properties) = json_body::<Map<String, Value>>(&body)? else {
        return Err(HubError::bad("Must specify properties"));
    };
    state.auth.set_group_properties(&by, &group.name, properties).await?;
    shown(&state, &caller, &group.name)
}

/// The group that a path names, if the caller holds one of `wanted` for it.
///
/// # Errors
/// As `scopes::require`; 404 in JupyterHub's sentence if there is no such group.
pub(super) fn reachable_group(
    state: &HubState,
    caller: &Caller,
    name: &str,
    wanted: &[&'static str],
) -> Result<GroupListing, HubError> {
    let parsed = GroupName::parse(name).ok();
    scopes::require(caller, wanted, target_of(parsed.as_ref()))?;
    let group = parsed.and_then(|name| state.auth.group(&name));
    group.ok_or_else(|| no_such_group(name))
}

fn no_such_group(name: &str) -> HubError {
    HubError::not_found(format!("No such group: {}", short(name)))
}

fn target_of(name: Option<&GroupName>) -> Target<'_> {
    name.map_or(Target::All, Target::Group)
}

async fn make(
    state: &HubState,
    by: Actor,
    caller: &Caller,
    names: Vec<GroupName>,
    users: &[String],
) -> Result<Vec<GroupModel>, HubError> {
    if let Some(taken) = names.iter().find(|name| state.auth.group(name).is_some()) {
        return Err(HubError::conflict(format!("Group {taken} already exists")));
    }
    let users = existing_users(state, users)?;
    state.auth.create_groups(&by, &names, &users).await?;
    // Asked one by one: in the order in which they were named.
    let rights = caller.rights();
    let groups = names.iter().filter_map(|name| state.auth.group(name));
    Ok(groups.map(|group| GroupModel::of(&rights, group)).collect())
}

fn group_names(names: &[String]) -> Result<Vec<GroupName>, HubError> {
    if names.len() > GROUPS_LIMIT {
        return Err(HubError::bad(format!("At most {GROUPS_LIMIT} groups in one request, please.")));
    }
    let mut parsed = Vec::with_capacity(names.len());
    for name in names {
        let name = GroupName::parse(name).map_err(|error| HubError::bad(format!("Invalid group name: {error}")))?;
        parsed.push(name);
    }
    let mut seen = std::collections::HashSet::new();
    match parsed.iter().find(|name| !seen.insert(*name)) {
        Some(twice) => Err(HubError::conflict(format!("Group {twice} already exists"))),
        None => Ok(parsed),
    }
}

fn members_of(state: &HubState, body: &Bytes, if_none: &str) -> Result<Vec<UserName>, HubError> {
    let named = json_body::<Members>(body)?.and_then(|members| members.users);
    existing_users(state, &named.ok_or_else(|| HubError::bad(if_none))?)
}

fn existing_users(state: &HubState, names: &[String]) -> Result<Vec<UserName>, HubError> {
    let names = user_names(names)?;
    match names.iter().find(|name| state.auth.user(name).is_none()) {
        Some(unknown) => Err(HubError::bad(format!("No such user: {unknown}"))),
        None => Ok(names),
    }
}

fn shown(state: &HubState, caller: &Caller, name: &GroupName) -> Result<Json<GroupModel>, HubError> {
    let group = state.auth.group(name).ok_or_else(|| no_such_group(name.as_str()))?;
    Ok(Json(GroupModel::of(&caller.rights(), group)))
}
