//! `/shares/{owner}`, `/shares/{owner}/{server}`: what an owner gives others of a server, and takes back.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{json_body, short, whole_seconds};
use super::model::share::{Nothing, RestOfShare, ShareModel};
use super::openapi::{PageQuery, UserPath};
use super::paging::{Listing, Page, Wrapped};
use super::scopes;
use super::server_path::ServerPath;
use super::servers::exists;
use super::users::reachable_user;
use crate::auth::{ActError, Caller, Target};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::model::{GroupName, Scope, ServerKey, ShareWith, UserName};

/// What is given if nothing is said.
const ACCESS: &str = "access:servers";

/// To whom something is given, and what.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = ShareWish, example = json!({ "user": "bob" }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ShareBody {
    /// A person; either this or `group`.
    user: Option<String>,
    /// A group; either this or `user`.
    group: Option<String>,
    /// What: access to the server if nothing is said. Taking back: all of it.
    scopes: Option<Vec<String>>,
}

/// What a code will give.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = ShareCodeWish, example = json!({ "expires_in": 86400 }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct CodeBody {
    /// What: access to the server if nothing is said.
    pub(super) scopes: Option<Vec<String>>,
    /// Seconds; a day if nothing is said.
    #[serde(default, deserialize_with = "whole_seconds")]
    #[schema(nullable = false, minimum = 60, maximum = 31_536_000)]
    pub(super) expires_in: Option<u64>,
}

/// `GET /hub/api/shares/{owner}`
#[utoipa::path(
    get, path = "/shares/{user}", operation_id = "list_shares_of_user", tag = "Shares",
    summary = "List what somebody shares", description = "Of all their servers.",
    params(UserPath, PageQuery),
    security(("token" = ["read:shares"])),
    responses((status = 200, description = "A page of shares.", body = inline(Wrapped<Vec<ShareModel>>))),
)]
pub(in crate::hub) async fn of_owner(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    page: Page,
) -> Result<Json<Listing<Vec<ShareModel>>>, HubError> {
    let owner = reachable_user(&state, &caller, &name, &["read:shares"])?;
    let shares = state.auth.shares_of_owner(&owner.name);
    let total = shares.len();
    let page = page.always_wrapped();
    let models = page.cut(shares).map(|share| ShareModel::of(&state, &share)).collect();
    Ok(page.answer(models, total))
}

/// `GET /hub/api/shares/{owner}/{server}`
#[utoipa::path(
    get, path = "/shares/{user}/{server}", operation_id = "list_shares_of_server", tag = "Shares",
    summary = "List the shares of a server", description = "The path of the default server ends with the slash.",
    params(ServerPath, PageQuery),
    security(("token" = ["read:shares"])),
    responses((status = 200, description = "A page of shares.", body = inline(Wrapped<Vec<ShareModel>>))),
)]
pub(in crate::hub) async fn of_server(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    path: ServerPath,
    page: Page,
) -> Result<Json<Listing<Vec<ShareModel>>>, HubError> {
    let server = reach(&state, &caller, &path, "read:shares")?;
    let shares = state.auth.shares_of_server(&server);
    let total = shares.len();
    let page = page.always_wrapped();
    let models = page.cut(shares).map(|share| ShareModel::of(&state, &share)).collect();
    Ok(page.answer(models, total))
}

/// `POST /hub/api/shares/{owner}/{server}`
#[utoipa::path(
    post, path = "/shares/{user}/{server}", operation_id = "grant_share", tag = "Shares",
    summary = "Share a server", description = "Only what the caller holds, and only with those whose names they may read.",
    params(ServerPath),
    security(("token" = ["shares"])),
    request_body = ShareBody,
    responses((status = 200, description = "The share as it is now.", body = ShareModel)),
)]
pub(in crate::hub) async fn grant(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    path: ServerPath,
    body: Bytes,
) -> Result<Json<ShareModel>, HubError> {
    let server = reach(&state, &caller, &path, "shares")?;
    let wanted = json_body::<ShareBody>(&body)?.unwrap_or_default();
    let scopes = read_scopes(wanted.scopes.as_deref())?.unwrap_or_default();
    let with = share_with(&wanted)?;
    let rights = caller.rights();
    check_scopes(&caller, &server, &scopes)?;
    let may_name = match &with {
        ShareWith::User(user) => rights.allows("read:users:name", Target::User(user)),
        ShareWith::Group(group) => rights.allows("read:groups:name", Target::Group(group)),
    };
    if !may_name {
        let (scope, whom) = match &with {
            ShareWith::User(_) => ("read:users:name", "users"),
            ShareWith::Group(_) => ("read:groups:name", "groups"),
        };
        return Err(HubError::forbidden(format!("Need scope '{scope}' to share with {whom} by name")));
    }
    let share = state.auth.share(&by, &server, &with, scopes, rights).await.map_err(in_words)?;
    Ok(Json(ShareModel::of(&state, &share)))
}

/// `PATCH /hub/api/shares/{owner}/{server}`
#[utoipa::path(
    patch, path = "/shares/{user}/{server}", operation_id = "revoke_share", tag = "Shares",
    summary = "Take back from one", description = "All of it, or the scopes that are named.",
    params(ServerPath),
    security(("token" = ["shares"])),
    request_body = ShareBody,
    responses((status = 200, description = "What is left: a share, or an empty object.", body = RestOfShare)),
)]
pub(in crate::hub) async fn revoke(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    path: ServerPath,
    body: Bytes,
) -> Result<Json<RestOfShare>, HubError> {
    let server = reach(&state, &caller, &path, "shares")?;
    let wanted = json_body::<ShareBody>(&body)?.unwrap_or_default();
    let scopes = read_scopes(wanted.scopes.as_deref())?;
    let with = match share_with(&wanted) {
        // Whom there cannot be has nothing left, as JupyterHub says of those whom there is not.
        Err(HubError::Bad(_)) if wanted.user.is_some() != wanted.group.is_some() => {
            return Ok(Json(RestOfShare::Nothing(Nothing {})));
        }
        with => with?,
    };
    let left = state.auth.unshare(&by, &server, &with, scopes).await?;
    Ok(Json(match left {
        Some(share) => RestOfShare::Some(Box::new(ShareModel::of(&state, &share))),
        None => RestOfShare::Nothing(Nothing {}),
    }))
}

/// `DELETE /hub/api/shares/{owner}/{server}` → 204
#[utoipa::path(
    delete, path = "/shares/{user}/{server}", operation_id = "revoke_all_shares", tag = "Shares",
    summary = "Take back from all", description = "Codes stay.",
    params(ServerPath),
    security(("token" = ["shares"])),
    responses((status = 204, description = "The server is shared with nobody.")),
)]
pub(in crate::hub) async fn revoke_all(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    path: ServerPath,
) -> Result<StatusCode, HubError> {
    let server = reach(&state, &caller, &path, "shares")?;
    state.auth.unshare_all(&by, &server).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The server of a path under `/shares` or `/share-codes`, if it is there and the caller holds `wanted` for it.
pub(super) fn reach(
    state: &HubState,
    caller: &Caller,
    path: &ServerPath,
    wanted: &'static str,
) -> Result<ServerKey, HubError> {
    let missing = || HubError::not_found(format!("No such server: {}/{}", short(&path.user), short(&path.server)));
    if UserName::from_path(&path.user).is_none() {
        scopes::require(caller, &[wanted], Target::All)?;
        return Err(missing());
    }
    let server = match path.reach(state, caller, &[wanted]) {
        Ok(server) => server,
        // Somebody who may share everybody's servers is told what is missing.
        Err(HubError::Absent | HubError::Bad(_)) => return Err(missing()),
        Err(error) => return Err(error),
    };
    if exists(state, &server) { Ok(server) } else { Err(missing()) }
}

fn share_with(wanted: &ShareBody) -> Result<ShareWith, HubError> {
    match (&wanted.user, &wanted.group) {
        (Some(user), None) => UserName::from_path(user)
            .map(ShareWith::User)
            .ok_or_else(|| HubError::bad(format!("No such user: {}", short(user)))),
        (None, Some(group)) => GroupName::parse(group)
            .map(ShareWith::Group)
            .map_err(|_| HubError::bad(format!("No such group: {}", short(group)))),
        (Some(_), Some(_)) => Err(HubError::bad("Expected exactly one of `user` or `group`, not both.")),
        (None, None) => Err(HubError::bad("Specify exactly one of `user` or `group`")),
    }
}

pub(super) fn read_scopes(texts: Option<&[String]>) -> Result<Option<Vec<Scope>>, HubError> {
    let Some(texts) = texts.filter(|texts| !texts.is_empty()) else { return Ok(None) };
    let scopes = texts.iter().map(|text| text.parse::<Scope>());
    scopes.collect::<Result<_, _>>().map(Some).map_err(|error| HubError::bad(error.to_string()))
}

/// 403 in JupyterHub's words for a scope that the caller does not hold on the server; what cannot be shared at all is
/// for `auth` to say.
pub(super) fn check_scopes(caller: &Caller, server: &ServerKey, wanted: &[Scope]) -> Result<(), HubError> {
    let rights = caller.rights();
    let refused =
        |told: String| HubError::forbidden(format!("Do not have permission to grant share with scope {told}"));
    if wanted.is_empty() && !rights.allows(ACCESS, Target::Server(server)) {
        return Err(refused(format!("{ACCESS}!server={}", server.scope_name())));
    }
    for scope in wanted {
        let fits = matches!(&scope.filter, crate::model::Filter::None)
            || matches!(&scope.filter, crate::model::Filter::Server(own) if own == server);
        if fits && !rights.allows(scope.name.as_str(), Target::Server(server)) {
            let name = scope.name.as_str();
            return Err(refused(format!("{name}!server={}", server.scope_name())));
        }
    }
    Ok(())
}

/// Whom one cannot share with is a fault of the body, not of the path.
pub(super) fn in_words(error: ActError) -> HubError {
    match error {
        ActError::NoUser(user) => HubError::bad(format!("No such user: {user}")),
        ActError::NoGroup(group) => HubError::bad(format!("No such group: {group}")),
        ActError::NotYours(scope) => {
            HubError::forbidden(format!("Do not have permission to grant share with scope {scope}"))
        }
        error => error.into(),
    }
}
