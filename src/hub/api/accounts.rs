//! What administrators do to one account: rename, set the password or ask for another, shut out, let in.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{json_body, short};
use super::model::error::ErrorModel;
use super::openapi::{PageQuery, UserPath};
use super::paging::Page;
use super::scopes;
use super::user_acts::{check_is_no_better, rename as rename_account};
use super::users::reachable_user;
use crate::auth::{Caller, Target, User};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::hub::to_its_end::to_its_end;
use crate::model::{Secret, UserName};

/// Whether the next thing somebody does must be another password.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "value": true }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ForceWish {
    /// True if it is left out.
    value: Option<bool>,
}

/// What is asked of somebody now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ForcedPasswordChange, example = json!({ "username": "ada", "must_change_password": true }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ForcedModel {
    username: String,
    must_change_password: bool,
}

/// Another name.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "name": "ada" }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct RenameWish {
    /// The new one.
    #[serde(default)]
    #[schema(required)]
    name: String,
}

/// The name as it is now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewName, example = json!({ "name": "ada" }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct NameModel {
    name: String,
}

/// A new password for somebody.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "must_change": true }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct PasswordWish {
    /// Made of words, and told once, if it is left out.
    password: Option<String>,
    /// Whether they must change it at the next sign-in; true if it is left out.
    must_change: Option<bool>,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = NewPassword, example = json!({
    "username": "ada", "must_change_password": true, "password": "maple-orbit-velvet-crane"
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct PasswordModel {
    username: String,
    must_change_password: bool,
    /// Only if it was made here: nobody can read it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    password: Option<String>,
}

/// Whether somebody is shut out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DisabledAccount, example = json!({ "username": "ada", "disabled": true }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct DisabledModel {
    username: String,
    disabled: bool,
}

/// An account as NativeAuthenticator lists it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NativeUser, example = json!({
    "username": "ada", "is_authorized": false, "is_hub_user": true, "is_disabled": false
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct NativeUserModel {
    username: String,
    /// Whether an administrator has let them in.
    is_authorized: bool,
    /// Always: accounts and users are one thing here.
    is_hub_user: bool,
    /// Whether an administrator has shut them out.
    is_disabled: bool,
}

/// A page of accounts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NativeUsers, example = json!({ "users": [], "total": 0 }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct NativeUsersModel {
    /// Those who wait come first.
    users: Vec<NativeUserModel>,
    /// How many there are in all.
    total: usize,
}

/// In, or out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "authorized": true }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct AuthorizationWish {
    /// True if it is left out.
    authorized: Option<bool>,
}

/// Whether somebody is in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Authorization, example = json!({ "username": "ada", "is_authorized": true }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct AuthorizationModel {
    username: String,
    is_authorized: bool,
}

/// `POST /hub/api/users/{u}/force-password-change`
#[utoipa::path(
    post, path = "/users/{user}/force-password-change", operation_id = "force_password_change", tag = "Users",
    summary = "Ask somebody for another password",
    description = "Until then they reach that page alone, and no server of theirs starts, whoever starts it.",
    params(UserPath),
    security(("token" = ["admin:users"])),
    request_body = Option<ForceWish>,
    responses((status = 200, description = "What is asked of them now.", body = ForcedModel)),
)]
pub(in crate::hub) async fn force_password_change(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<ForcedModel>, HubError> {
    let user = changeable(&state, &caller, &name)?;
    let must = json_body::<ForceWish>(&body)?.unwrap_or_default().value.unwrap_or(true);
    state.auth.require_password_change(&by, &user.name, must).await?;
    Ok(Json(ForcedModel { username: user.name.to_string(), must_change_password: must }))
}

/// `POST /hub/api/users/{u}/rename`
#[utoipa::path(
    post, path = "/users/{user}/rename", operation_id = "rename_user", tag = "Users",
    summary = "Give an account another name",
    description = "With it go password, groups, tokens, shares and volumes, which keep their own names. Sessions end.",
    params(UserPath),
    security(("token" = ["admin:users"])),
    request_body = RenameWish,
    responses(
        (status = 200, description = "The name as it is now.", body = NameModel),
        (status = 400, description = "The name is blank, the same, or none; or a server runs.", body = ErrorModel),
        (status = 409, description = "Somebody has it.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn rename(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<NameModel>, HubError> {
    let user = changeable(&state, &caller, &name)?;
    let wanted = json_body::<RenameWish>(&body)?.unwrap_or_default().name;
    if wanted.trim().is_empty() {
        return Err(HubError::bad("The new name is missing."));
    }
    let new = UserName::parse(&wanted)
        .map_err(|error| HubError::bad(format!("'{}' cannot be a name: {error}.", short(&wanted))))?;
    if new == user.name {
        return Err(HubError::bad("This is the name that the account has."));
    }
    if state.auth.user(&new).is_some() {
        return Err(HubError::conflict(format!("There is a user {new} already.")));
    }
    let (state_in, old, to) = (state.clone(), user.name.clone(), new.clone());
    to_its_end(async move { rename_account(&state_in, &by, &old, to, None).await }).await?;
    Ok(Json(NameModel { name: new.to_string() }))
}

/// `POST /hub/api/users/{u}/password`
#[utoipa::path(
    post, path = "/users/{user}/password", operation_id = "set_password", tag = "Users",
    summary = "Set somebody's password",
    description = "All their sessions end. Without one in the request it is made of words, and answered this once.",
    params(UserPath),
    security(("token" = ["admin:users"])),
    request_body = Option<PasswordWish>,
    responses(
        (status = 200, description = "It is set.", body = PasswordModel),
        (status = 400, description = "It is too short or too long, or the account is one's own.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn set_password(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<PasswordModel>, HubError> {
    let user = changeable(&state, &caller, &name)?;
    let wanted = json_body::<PasswordWish>(&body)?.unwrap_or_default();
    // Whoever finds a browser open must not take the account with it.
    if caller.user().is_some_and(|own| own.name == user.name) {
        return Err(HubError::bad("Change your own password on its page: that asks for the present one."));
    }
    let must_change = wanted.must_change.unwrap_or(true);
    let is_made_here = wanted.password.is_none();
    let password = wanted.password.map_or_else(|| state.auth.generate_password(), Secret::new);
    state.auth.set_password(&by, &user.name, &password, must_change).await?;
    Ok(Json(PasswordModel {
        username: user.name.to_string(),
        must_change_password: must_change,
        password: is_made_here.then(|| password.expose().to_owned()),
    }))
}

/// `POST /hub/api/users/{u}/disable`
#[utoipa::path(
    post, path = "/users/{user}/disable", operation_id = "disable_user", tag = "Users",
    summary = "Shut somebody out",
    description = "Sessions and tokens end at once and do not come back; servers are stopped, volumes stay.",
    params(UserPath),
    security(("token" = ["admin:users"])),
    responses(
        (status = 200, description = "They are out.", body = DisabledModel),
        (status = 400, description = "It is oneself, or the last administrator.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn disable(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<DisabledModel>, HubError> {
    let user = changeable(&state, &caller, &name)?;
    let (state_in, name) = (state.clone(), user.name.clone());
    to_its_end(async move {
        state_in.auth.set_disabled(&by, &name, true).await?;
        // Their tokens have ended: their servers could not ask us about anybody any more.
        Ok(state_in.spawner.stop_all_of(&name, &by).await?)
    })
    .await?;
    Ok(Json(DisabledModel { username: user.name.to_string(), disabled: true }))
}

/// `POST /hub/api/users/{u}/enable`
#[utoipa::path(
    post, path = "/users/{user}/enable", operation_id = "enable_user", tag = "Users",
    summary = "Let somebody in again who was shut out",
    description = "With the password, groups and servers that they had; sessions and tokens stay ended.",
    params(UserPath),
    security(("token" = ["admin:users"])),
    responses((status = 200, description = "They may sign in.", body = DisabledModel)),
)]
pub(in crate::hub) async fn enable(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<DisabledModel>, HubError> {
    let user = changeable(&state, &caller, &name)?;
    state.auth.set_disabled(&by, &user.name, false).await?;
    Ok(Json(DisabledModel { username: user.name.to_string(), disabled: false }))
}

/// `GET /hub/api/native-users`
#[utoipa::path(
    get, path = "/native-users", operation_id = "list_native_users", tag = "Users",
    summary = "List accounts and whether they are let in", description = "Those who wait come first.",
    params(PageQuery),
    security(("token" = ["admin:users"])),
    responses((status = 200, description = "A page of accounts.", body = NativeUsersModel)),
)]
pub(in crate::hub) async fn native_users(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    page: Page,
) -> Result<Json<NativeUsersModel>, HubError> {
    scopes::require(&caller, &["admin:users"], Target::All)?;
    let mut users = state.auth.users();
    users.sort_by(|a, b| (a.authorised, &a.name).cmp(&(b.authorised, &b.name)));
    let total = users.len();
    let users = page.cut(users).map(|user| NativeUserModel {
        username: user.name.to_string(),
        is_authorized: user.authorised,
        is_hub_user: true,
        is_disabled: user.disabled,
    });
    Ok(Json(NativeUsersModel { users: users.collect(), total }))
}

/// `POST /hub/api/native-users/{u}/authorization`
#[utoipa::path(
    post, path = "/native-users/{user}/authorization", operation_id = "authorize_native_user", tag = "Users",
    summary = "Let somebody in who has signed up, or out again",
    description = "The same twice is the same as once. Withdrawing ends sessions, tokens and servers.",
    params(UserPath),
    security(("token" = ["admin:users"])),
    request_body = Option<AuthorizationWish>,
    responses(
        (status = 200, description = "How it is now.", body = AuthorizationModel),
        (status = 400, description = "The body is no JSON, or it is oneself or the last administrator.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn authorization(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<AuthorizationModel>, HubError> {
    let user = changeable(&state, &caller, &name)?;
    let authorized = json_body::<AuthorizationWish>(&body)?.unwrap_or_default().authorized.unwrap_or(true);
    if !authorized && caller.user().is_some_and(|own| own.name == user.name) {
        return Err(HubError::bad("You cannot shut yourself out. Ask another administrator."));
    }
    let (state_in, name) = (state.clone(), user.name.clone());
    to_its_end(async move {
        state_in.auth.authorise(&by, &name, authorized).await?;
        if !authorized {
            state_in.spawner.stop_all_of(&name, &by).await?;
        }
        Ok(())
    })
    .await?;
    Ok(Json(AuthorizationModel { username: user.name.to_string(), is_authorized: authorized }))
}

/// The user that a path names, if the caller may change their account.
fn changeable(state: &HubState, caller: &Caller, name: &str) -> Result<Arc<User>, HubError> {
    let user = reachable_user(state, caller, name, &["admin:users"])?;
    check_is_no_better(&caller.rights(), &user)?;
    Ok(user)
}
