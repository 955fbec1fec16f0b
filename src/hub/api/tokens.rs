//! `/users/{u}/tokens`: list, make, look at and revoke somebody's tokens (contract §2.2).

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Number, Value};
use utoipa::{IntoParams, ToSchema};

use super::body::{json_body, short};
use super::model::error::ErrorModel;
use super::model::token::{TokenModel, TokensModel};
use super::openapi::UserPath;
use super::users::reachable;
use crate::auth::{ActError, Asker, Caller, NewToken, Owner, SignInError, Target, Token, User};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf, VisitOf};
use crate::model::{Actor, OwnerName, RoleName, Scope, Secret, TokenId, UserName};

/// A user's token.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes the path; handlers read its parts themselves")]
pub(super) struct TokenPath {
    /// A user's name, percent-encoded.
    #[param(min_length = 1, max_length = 64, example = "alice")]
    user: String,
    /// The token's id.
    #[param(min_length = 1, example = "a7")]
    token: String,
}

/// A token to be made. All of it may be left out; a key that we do not know is refused, where JupyterHub lets it pass:
/// who mistypes `scopes` would get a token that may do everything.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = NewToken, example = json!({
    "note": "nightly report", "expires_in": 86400, "scopes": ["read:users!user"]
}))]
#[serde(default, deny_unknown_fields)]
pub(in crate::hub) struct TokenWish {
    /// What it is for.
    #[schema(max_length = 1024)]
    note: Option<String>,
    /// How many seconds it lives; for ever if left out and nothing limits it.
    #[schema(value_type = Option<i64>, minimum = 1)]
    expires_in: Option<Number>,
    /// What it may do; all that its owner may (`inherit`) if left out. No more than the owner may.
    #[schema(max_items = 256)]
    scopes: Option<Vec<String>>,
    /// Names of roles, for what they allow; not beside `scopes`.
    #[schema(max_items = 256)]
    roles: Option<Vec<String>>,
    /// The sign-in form's `username` and `password`, from one who has neither token nor session.
    #[schema(value_type = Option<Object>)]
    auth: Option<Map<String, Value>>,
}

/// `GET /hub/api/users/{u}/tokens`
#[utoipa::path(
    get, path = "/users/{user}/tokens", operation_id = "list_tokens", tag = "Users",
    summary = "List a user's tokens", description = "Those that have not expired, least recently used first.",
    params(UserPath),
    security(("token" = ["read:tokens"])),
    responses((status = 200, description = "The tokens, without what would let anybody use them.", body = TokensModel)),
)]
pub(in crate::hub) async fn list(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<TokensModel>, HubError> {
    let user = owner_at(&state, &caller, &name, "read:tokens")?;
    let tokens = state.auth.tokens_of(&OwnerName::User(user.name.clone()));
    Ok(Json(TokensModel { api_tokens: tokens.iter().map(|token| TokenModel::of(&state, token)).collect() }))
}

/// `POST /hub/api/users/{u}/tokens` → 201, with the token itself.
#[utoipa::path(
    post, path = "/users/{user}/tokens", operation_id = "create_token", tag = "Users",
    summary = "Make a token", description = "With no credentials but a valid `auth`: for oneself. The token is said once, in this answer.",
    params(UserPath),
    security(("token" = ["tokens"])),
    request_body = Option<TokenWish>,
    responses(
        (status = 201, description = "The new token.", body = TokenModel),
        (status = 400, description = "The owner does not hold a scope that is asked for, or the body is not as it must be.", body = ErrorModel),
        (status = 403, description = "No such user, or no right to make tokens for them, or `auth` is wrong.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn create(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    VisitOf(visit): VisitOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<TokenModel>), HubError> {
    let wish = json_body::<TokenWish>(&body)?.unwrap_or_default();
    let token = caller.token().and_then(|token| token.id);
    let (requester, rights) = match caller.owner() {
        Some(requester) => (requester, caller.rights()),
        None => {
            let user = signed_in(&state, wish.auth.as_ref(), visit.address).await?;
            let rights = user.rights();
            (Owner::User(user), rights)
        }
    };
    let kind = if requester.user().is_some() { "User" } else { "Service" };
    let refused =
        || HubError::forbidden(format!("{kind} {} not found or no permissions to generate tokens", short(&name)));
    let owner = UserName::from_path(&name).filter(|name| rights.allows("tokens", Target::User(name)));
    let owner = owner.filter(|name| state.auth.user(name).is_some()).ok_or_else(refused)?;
    let note = note_of(&wish, &requester, &owner);
    let scopes = scopes_of(&state, &wish)?;
    let expires_in = wish.expires_in.as_ref().map(lifetime).transpose()?;
    let by = Actor { name: requester.as_str().to_owned(), from: Some(visit.address), token };
    let new = NewToken { scopes, note, expires_in, by: Asker::Caller(requester.name(), rights) };
    let made = state.auth.create_token(by, &OwnerName::User(owner), new).await;
    let (secret, token) = made.map_err(|error| match error {
        ActError::MayNot(_) | ActError::NoUser(_) => refused(),
        error => error.into(),
    })?;
    let model = TokenModel { token: Some(secret.expose().to_owned()), ..TokenModel::of(&state, &token) };
    Ok((StatusCode::CREATED, Json(model)))
}

/// `GET /hub/api/users/{u}/tokens/{id}`
#[utoipa::path(
    get, path = "/users/{user}/tokens/{token}", operation_id = "get_token", tag = "Users",
    summary = "Look at a token", description = "Without what would let anybody use it.",
    params(TokenPath),
    security(("token" = ["read:tokens"])),
    responses((status = 200, description = "The token.", body = TokenModel)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<TokenModel>, HubError> {
    let user = owner_at(&state, &caller, &name, "read:tokens")?;
    let token = token_at(&state, &user, &id)?;
    Ok(Json(TokenModel::of(&state, &token)))
}

/// `DELETE /hub/api/users/{u}/tokens/{id}` → 204
#[utoipa::path(
    delete, path = "/users/{user}/tokens/{token}", operation_id = "revoke_token", tag = "Users",
    summary = "Revoke a token", description = "At once. One that a server or service was given ends with all others that it was given by this user.",
    params(TokenPath),
    security(("token" = ["tokens"])),
    responses((status = 204, description = "It is revoked.")),
)]
pub(in crate::hub) async fn revoke(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, HubError> {
    let user = owner_at(&state, &caller, &name, "tokens")?;
    let token = token_at(&state, &user, &id)?;
    let Some(number) = token.id else { return Err(no_such_token(&user, &id)) };
    match state.auth.revoke_token(&by, number).await {
        Err(ActError::NoToken(_)) => Err(no_such_token(&user, &id)),
        done => Ok(done.map(|()| StatusCode::NO_CONTENT)?),
    }
}

/// The user that a path names, if the caller holds `scope` for them.
fn owner_at(state: &HubState, caller: &Caller, name: &str, scope: &'static str) -> Result<Arc<User>, HubError> {
    reachable(state, caller, name, &[scope])?
        .ok_or_else(|| HubError::not_found(format!("No such user: {}", short(name))))
}

fn token_at(state: &HubState, user: &User, id: &str) -> Result<Arc<Token>, HubError> {
    let token = id.parse::<TokenId>().ok().and_then(|id| state.auth.token_by_id(id));
    let own = token.filter(|token| token.owner.user().is_some_and(|owner| owner.name == user.name));
    own.ok_or_else(|| no_such_token(user, id))
}

fn no_such_token(user: &User, id: &str) -> HubError {
    HubError::not_found(format!("No such token {} for user {}", short(id), user.name))
}

/// Who sends the sign-in form instead of credentials. It is checked as the form is, and counted as the form is; the
/// session that comes of it is ended at once, because nobody has its cookie.
async fn signed_in(
    state: &HubState,
    auth: Option<&Map<String, Value>>,
    from: std::net::IpAddr,
) -> Result<Arc<User>, HubError> {
    let text = |key: &str| auth?.get(key)?.as_str();
    let (Some(name), Some(password)) = (text("username"), text("password")) else { return Err(HubError::Nobody) };
    let sign_in = state.auth.sign_in(name.trim(), &Secret::new(password), from).await;
    let (_, session) = sign_in.map_err(|error| match error {
        SignInError::Wrong | SignInError::NotAuthorised | SignInError::Disabled | SignInError::SecondFactor => {
            HubError::Nobody
        }
        SignInError::TooMany { retry_after } => {
            HubError::TooMany { sentence: "Too many tries. Wait a while and try again.".to_owned(), retry_after }
        }
        SignInError::Busy { retry_after } => HubError::Busy {
            sentence: "Many people are signing in just now. Try again in a moment.".to_owned(),
            retry_after,
        },
        SignInError::Store(error) => HubError::Store(error),
    })?;
    state.auth.sign_out(&session, Some(from)).await?;
    // A key made now would outlive the change.
    if session.user.must_change_password() {
        return Err(HubError::PasswordFirst);
    }
    Ok(Arc::clone(&session.user))
}

fn note_of(wish: &TokenWish, requester: &Owner, owner: &UserName) -> String {
    if let Some(note) = wish.note.as_deref().filter(|note| !note.is_empty()) {
        return note.to_owned();
    }
    match requester {
        Owner::User(user) if user.name == *owner => "Requested via api".to_owned(),
        Owner::User(user) => format!("Requested via api by user {}", user.name),
        Owner::Service(service) => format!("Requested via api by service {}", service.name),
    }
}

/// The scopes that are asked for, by themselves or by roles; `None` for the usual ones.
fn scopes_of(state: &HubState, wish: &TokenWish) -> Result<Option<Vec<Scope>>, HubError> {
    match (&wish.scopes, &wish.roles) {
        (Some(_), Some(_)) => Err(HubError::bad("Can only assign one of scopes or roles when creating tokens.")),
        (None, None) => Ok(None),
        (Some(scopes), None) => {
            let scopes = scopes.iter().map(|text| text.parse::<Scope>());
            let scopes = scopes.collect::<Result<_, _>>().map_err(|error| HubError::bad(error.to_string()))?;
            Ok(Some(scopes))
        }
        (None, Some(roles)) => {
            let mut scopes = Vec::new();
            for name in roles {
                let of_role = RoleName::parse(name).ok().and_then(|role| state.auth.scopes_of_role(&role));
                scopes.extend(of_role.ok_or_else(|| HubError::bad(format!("No such role: {}", short(name))))?);
            }
            Ok(Some(scopes))
        }
    }
}

fn lifetime(seconds: &Number) -> Result<Duration, HubError> {
    if seconds.is_f64() {
        return Err(HubError::bad(format!("token expires_in must be null or integer, not {seconds}")));
    }
    match seconds.as_u64() {
        None | Some(0) => Err(HubError::bad(format!("expires_in must be a positive integer or null, not {seconds}"))),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}
