//! `/users/{u}/profile` and `/user-profiles`: names and addresses of people.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::json_body;
use super::model::error::ErrorModel;
use super::openapi::{PageQuery, UserPath};
use super::paging::Page;
use super::scopes;
use super::user_acts::check_is_no_better;
use super::users::reachable_user;
use crate::auth::{Target, User};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::model::{ProfileError, UserProfile};

/// Who may make keys in somebody's name may do all that they may, and say what they are called, too.
const CHANGE_PROFILE: [&str; 2] = ["users", "tokens"];

/// What people tell of themselves.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Profile, example = json!({
    "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org", "must_change_password": false
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ProfileModel {
    /// May be empty.
    first_name: String,
    /// May be empty.
    last_name: String,
    /// May be empty.
    email: String,
    /// Whether nothing goes on before they have changed the password.
    must_change_password: bool,
}

impl ProfileModel {
    fn of(user: &User) -> Self {
        let profile = user.profile();
        Self {
            first_name: profile.first_name().to_owned(),
            last_name: profile.last_name().to_owned(),
            email: profile.email().to_owned(),
            must_change_password: user.must_change_password(),
        }
    }
}

/// What is to be changed of a profile; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "first_name": "Ada", "email": "ada@example.org" }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ProfilePatch {
    /// 100 characters at most.
    first_name: Option<String>,
    /// 100 characters at most.
    last_name: Option<String>,
    /// 254 bytes at most; loosely checked.
    email: Option<String>,
}

/// Profiles of a page of users.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Profiles, example = json!({ "profiles": { "ada": {
    "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org", "must_change_password": false
} }, "total": 1 }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ProfilesModel {
    /// By the user's name.
    profiles: BTreeMap<String, ProfileModel>,
    /// How many users there are in all.
    total: usize,
}

/// `GET /hub/api/users/{u}/profile`
#[utoipa::path(
    get, path = "/users/{user}/profile", operation_id = "get_profile", tag = "Users",
    summary = "Look at somebody's name and address", description = "One's own, or with the scope for them.",
    params(UserPath),
    security(("token" = ["read:users"])),
    responses((status = 200, description = "The profile.", body = ProfileModel)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<ProfileModel>, HubError> {
    let user = reachable_user(&state, &caller, &name, &["read:users"])?;
    Ok(Json(ProfileModel::of(&user)))
}

/// `PUT /hub/api/users/{u}/profile`
#[utoipa::path(
    put, path = "/users/{user}/profile", operation_id = "set_profile", tag = "Users",
    summary = "Change somebody's name and address", description = "One's own, or with a scope for them.",
    params(UserPath),
    security(("token" = ["users"]), ("token" = ["tokens"])),
    request_body = ProfilePatch,
    responses(
        (status = 200, description = "The profile as it is now.", body = ProfileModel),
        (status = 400, description = "A part is too long, cannot be shown, or is no address.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn put(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<ProfileModel>, HubError> {
    let user = reachable_user(&state, &caller, &name, &CHANGE_PROFILE)?;
    check_is_no_better(&caller.rights(), &user)?;
    let wanted = json_body::<ProfilePatch>(&body)?.unwrap_or_default();
    let old = user.profile();
    let profile = UserProfile::parse(
        wanted.first_name.as_deref().unwrap_or(old.first_name()),
        wanted.last_name.as_deref().unwrap_or(old.last_name()),
        wanted.email.as_deref().unwrap_or(old.email()),
    );
    let profile = profile.map_err(|error| HubError::bad(told(&error)))?;
    state.auth.set_profile(&by, &user.name, profile).await?;
    Ok(Json(ProfileModel::of(&user)))
}

/// `the first name is …` as a sentence.
fn told(error: &ProfileError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>() + ".").unwrap_or_default()
}

/// `GET /hub/api/user-profiles`
#[utoipa::path(
    get, path = "/user-profiles", operation_id = "list_profiles", tag = "Users",
    summary = "List names and addresses", description = "Of a page of those users whom the caller may read, by name.",
    params(PageQuery),
    security(("token" = ["list:users"])),
    responses((status = 200, description = "A page of profiles.", body = ProfilesModel)),
)]
pub(in crate::hub) async fn list(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    page: Page,
) -> Result<Json<ProfilesModel>, HubError> {
    let rights = scopes::require(&caller, &["list:users"], Target::Some)?;
    let mut users = state.auth.everybody();
    users.retain(|user| rights.allows("read:users", Target::User(&user.name)));
    users.sort_by(|a, b| a.name.cmp(&b.name));
    let total = users.len();
    let profiles = page.cut(users).map(|user| (user.name.to_string(), ProfileModel::of(&user))).collect();
    Ok(Json(ProfilesModel { profiles, total }))
}
