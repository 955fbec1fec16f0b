//! `POST /users`, `POST /users/{u}`, `PATCH /users/{u}`: make and change accounts (contract §2.2). Each request is one
//! commit: all of it is done, or nothing.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::body::{json_body, present, short, user_names};
use super::model::error::ErrorModel;
use super::model::user::{Shown, UserModel};
use super::openapi::UserPath;
use super::scopes;
use super::users::{reachable_user, target_of};
use crate::auth::{Rights, Target, User, UserChange};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::hub::to_its_end::to_its_end;
use crate::model::{Actor, UserName};
use crate::spawner::SpawnerError;

/// Accounts to be made.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "usernames": ["alice", "bob"], "admin": false }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct NewUsers {
    /// Their names. Names that are taken are skipped.
    #[serde(default)]
    #[schema(required, min_items = 1, max_items = 10_000)]
    usernames: Vec<String>,
    /// Whether all of them are administrators.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    admin: Option<bool>,
}

/// An account to be made under the name in the address.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "admin": false }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct NewUser {
    /// Whether it is an administrator.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    admin: Option<bool>,
}

/// What is to be changed of an account; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "admin": true }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct UserPatch {
    /// Another name. The account keeps its volumes, whose names do not change.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// Whether it is an administrator.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    admin: Option<bool>,
    /// What an authenticator keeps with the account: ours keeps nothing, so it is refused.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Object>)]
    auth_state: Option<Map<String, Value>>,
}

/// `POST /hub/api/users` → 201, those that are new.
#[utoipa::path(
    post, path = "/users", operation_id = "create_users", tag = "Users",
    summary = "Make accounts", description = "In one step: all of them, or none. They have no password yet.",
    security(("token" = ["admin:users"])),
    request_body = NewUsers,
    responses(
        (status = 201, description = "Those that are new.", body = Vec<UserModel>),
        (status = 400, description = "No name is given, or one cannot be one.", body = ErrorModel),
        (status = 403, description = "Only administrators make administrators.", body = ErrorModel),
        (status = 409, description = "All of them exist.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn create_many(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    body: Bytes,
) -> Result<(StatusCode, Json<Vec<UserModel>>), HubError> {
    let rights = scopes::require(&caller, &["admin:users"], Target::All)?;
    let wanted = json_body::<NewUsers>(&body)?.unwrap_or_default();
    if wanted.usernames.is_empty() {
        return Err(HubError::bad("Must specify at least one user to create"));
    }
    let admin = wanted.admin.unwrap_or_default();
    check_grant(&rights, admin)?;
    let names = user_names(&wanted.usernames)?;
    let made = state.auth.create_users(&by, &names, admin).await?;
    if made.created.is_empty() {
        return Err(HubError::conflict(format!("All {} users already exist", wanted.usernames.len())));
    }
    // The rights may reach the new users only now.
    let rights = caller.rights();
    let users = made.created.iter().filter_map(|name| state.auth.user(name));
    let models = users.map(|user| UserModel::of(&state, &rights, &user, Shown::Active)).collect();
    Ok((StatusCode::CREATED, Json(models)))
}

/// `POST /hub/api/users/{u}` → 201
#[utoipa::path(
    post, path = "/users/{user}", operation_id = "create_user", tag = "Users",
    summary = "Make an account", description = "It has no password yet.",
    params(UserPath),
    security(("token" = ["admin:users"])),
    request_body = Option<NewUser>,
    responses(
        (status = 201, description = "The new user.", body = UserModel),
        (status = 400, description = "The name cannot be one, or the body is not as it must be.", body = ErrorModel),
        (status = 409, description = "The name is taken.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn create(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<UserModel>), HubError> {
    let parsed = UserName::from_path(&name);
    let rights = scopes::require(&caller, &["admin:users"], target_of(parsed.as_ref()))?;
    let wanted = json_body::<NewUser>(&body)?.unwrap_or_default();
    let taken = || HubError::conflict(format!("User {name} already exists"));
    let Some(parsed) = parsed else {
        return Err(HubError::bad(format!("Invalid username: {}", short(&name))));
    };
    if state.auth.user(&parsed).is_some() {
        return Err(taken());
    }
    let admin = wanted.admin.unwrap_or_default();
    check_grant(&rights, admin)?;
    let made = state.auth.create_users(&by, &[parsed], admin).await?;
    let user = made.created.first().and_then(|name| state.auth.user(name)).ok_or_else(taken)?;
    let rights = caller.rights();
    Ok((StatusCode::CREATED, Json(UserModel::of(&state, &rights, &user, Shown::Active))))
}

/// `PATCH /hub/api/users/{u}`
#[utoipa::path(
    patch, path = "/users/{user}", operation_id = "change_user", tag = "Users",
    summary = "Change an account", description = "Only administrators change administrators. A user whose servers run is not renamed.",
    params(UserPath),
    security(("token" = ["admin:users"])),
    request_body = UserPatch,
    responses(
        (status = 200, description = "The user as they are now.", body = UserModel),
        (status = 400, description = "The name is taken or cannot be one, a server runs, or the body is not as it must be.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn change(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<UserModel>, HubError> {
    let user = reachable_user(&state, &caller, &name, &["admin:users"])?;
    let rights = caller.rights();
    let Some(wanted) = json_body::<UserPatch>(&body)? else {
        return Err(HubError::bad("Request body must be JSON dict"));
    };
    let new_name = wanted.name.as_deref().map(|text| new_name(&state, &user, text)).transpose()?.flatten();
    check_is_no_better(&rights, &user)?;
    check_grant(&rights, wanted.admin.unwrap_or_default())?;
    if wanted.auth_state.is_some() {
        return Err(HubError::bad("auth_state is not kept here: accounts have passwords, and nothing else"));
    }
    let now_called = new_name.clone().unwrap_or_else(|| user.name.clone());
    let (state_in, old) = (state.clone(), user.name.clone());
    let admin = wanted.admin;
    to_its_end(async move {
        match new_name {
            Some(new) => rename(&state_in, &by, &old, new, admin).await,
            None => Ok(state_in.auth.update_user(&by, &old, UserChange { name: None, admin }).await.map(drop)?),
        }
    })
    .await?;
    let user = state.auth.user(&now_called).ok_or(HubError::Absent)?;
    let rights = caller.rights();
    let mut model = UserModel::of(&state, &rights, &user, Shown::Active);
    model.auth_state = Some(None);
    Ok(Json(model))
}

/// Gives an account and its servers another name. Nothing of either name starts or changes meanwhile.
pub(in crate::hub) async fn rename(
    state: &HubState,
    by: &Actor,
    old: &UserName,
    new: UserName,
    admin: Option<bool>,
) -> Result<(), HubError> {
    let held = state.spawner.hold(old).await.map_err(|error| match error {
        SpawnerError::Running => HubError::bad(format!("{old}'s servers must be stopped before the name can change.")),
        error => error.into(),
    })?;
    let _held_too = state.spawner.hold(&new).await?;
    let change = UserChange { name: Some(new.clone()), admin };
    let changed = state.auth.update_user(by, old, change).await;
    // Asked of the accounts, not of the result: a commit whose end nobody saw may have been one.
    if state.auth.user(old).is_none() && state.auth.user(&new).is_some() {
        state.activity.renamed(old, &new);
        held.renamed(&new).await?;
    }
    Ok(changed.map(drop)?)
}

/// Who only keeps users changes no administrator: with his password they would be one.
///
/// # Errors
/// 403.
pub(super) fn check_is_no_better(rights: &Rights, user: &User) -> Result<(), HubError> {
    if !rights.is_administrator() && user.is_named_administrator() {
        return Err(HubError::forbidden("Only admins can modify other admins"));
    }
    Ok(())
}

fn check_grant(rights: &Rights, admin: bool) -> Result<(), HubError> {
    if admin && !rights.is_administrator() {
        return Err(HubError::forbidden("Only admins can grant admin permissions"));
    }
    Ok(())
}

/// The name that `user` is to have, if it is another one.
fn new_name(state: &HubState, user: &User, text: &str) -> Result<Option<UserName>, HubError> {
    let name = UserName::parse(text).map_err(|_| HubError::bad(format!("Invalid username: '{}'", short(text))))?;
    if name == user.name {
        return Ok(None);
    }
    if state.auth.user(&name).is_some() {
        return Err(HubError::bad(format!("User {name} already exists, username must be unique")));
    }
    Ok(Some(name))
}
