//! `GET /user`: who am I; and the deprecated ways to ask it of somebody else's token (contract §2.2).

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use utoipa::IntoParams;

use super::model::error::ErrorModel;
use super::model::service::ServiceModel;
use super::model::user::{Shown, UserModel};
use super::model::whoami::{CameWith, OwnerModel, Whoami, WhoamiModel};
use crate::auth::Owner;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;

/// The token that a path holds.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes the path; handlers read its parts themselves")]
struct SecretPath {
    /// The token itself.
    #[param(min_length = 1, example = "0123456789abcdef0123456789abcdef")]
    token: String,
}

/// A cookie that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes the path; nothing of it is read")]
struct CookiePath {
    /// The cookie's name.
    #[param(min_length = 1, example = "jupyterhub-hub-login")]
    cookie: String,
    /// The cookie's value.
    #[param(min_length = 1, example = "x")]
    value: String,
}

/// `GET /hub/api/user`: a server asks this of each new visitor's token, and for its own.
#[utoipa::path(
    get, path = "/user", operation_id = "get_current_user", tag = "Users",
    summary = "Who am I?", description = "The caller's model, the token they came with, and all that they may do.",
    security(("token" = [])),
    responses((status = 200, description = "The caller.", body = WhoamiModel)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Json<WhoamiModel>, HubError> {
    let owner = caller.owner().ok_or(HubError::Nobody)?;
    let rights = caller.rights();
    let token = caller.token();
    let came_with = CameWith {
        token_id: token.and_then(|token| token.id).map(|id| id.to_string()),
        session_id: token.and_then(|token| token.session_id.clone()),
        scopes: rights.scopes().to_vec(),
    };
    Ok(Json(match owner {
        Owner::User(user) => {
            let owner = UserModel::of_oneself(&state, &rights, &user, Shown::Active);
            WhoamiModel::User(Box::new(Whoami { owner, came_with }))
        }
        Owner::Service(service) => {
            let owner = ServiceModel::of(&state, &rights, &service);
            WhoamiModel::Service(Box::new(Whoami { owner, came_with }))
        }
    }))
}

/// `GET /hub/api/authorizations/token/{t}`: who is this, asked by a program that was sent the token `t`.
#[utoipa::path(
    get, path = "/authorizations/token/{token}", operation_id = "identify_token", tag = "OAuth",
    summary = "Whose token is this?", description = "Deprecated in JupyterHub 2.0: `GET /user` with that token says it. For programs with a token of their own.",
    params(SecretPath),
    security(("token" = [])),
    responses((status = 200, description = "Its owner, with the fields that the caller may see.", body = OwnerModel)),
)]
pub(in crate::hub) async fn of_token(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(secret): Path<String>,
) -> Result<Json<OwnerModel>, HubError> {
    if caller.token().is_none() {
        return Err(HubError::Nobody);
    }
    let token = state.auth.token_of(&secret).ok_or(HubError::Absent)?;
    let rights = caller.rights();
    // Who has the token may know whose it is: that is all that this address is for.
    Ok(Json(match &token.owner {
        Owner::User(user) => OwnerModel::User(Box::new(UserModel::of_oneself(&state, &rights, user, Shown::Active))),
        Owner::Service(service) => OwnerModel::Service(Box::new(ServiceModel::of(&state, &rights, service))),
    }))
}

/// `GET /hub/api/authorizations/cookie/{name}/{value}` → 404: our session cookie is given to no program.
#[utoipa::path(
    get, path = "/authorizations/cookie/{cookie}/{value}", operation_id = "identify_cookie", tag = "OAuth",
    summary = "Whose cookie is this?", description = "Deprecated in JupyterHub 2.0. No program is given a session cookie here, so nobody's it is.",
    params(CookiePath),
    security(("token" = [])),
    responses((status = 404, description = "Nobody's.", body = ErrorModel)),
)]
pub(in crate::hub) async fn of_cookie(CallerOf(caller): CallerOf) -> Result<StatusCode, HubError> {
    if caller.token().is_none() {
        return Err(HubError::Nobody);
    }
    Err(HubError::Absent)
}

/// `POST /hub/api/authorizations/token` → 404, and where to go instead.
#[utoipa::path(
    post, path = "/authorizations/token", operation_id = "request_token", tag = "OAuth",
    summary = "Ask for a token", description = "Removed in JupyterHub 2.0: tokens are made at `/users/{user}/tokens`.",
    security(()),
    responses((status = 404, description = "It is elsewhere.", body = ErrorModel)),
)]
pub(in crate::hub) async fn request_token(State(state): State<HubState>) -> HubError {
    let (old, new) = (state.config.hub("api/authorizations/token"), state.config.hub("api/users/:user/tokens"));
    HubError::Answer {
        status: StatusCode::NOT_FOUND,
        message: format!("Deprecated endpoint {old} is removed in JupyterHub 2.0. Use {new} instead."),
    }
}
