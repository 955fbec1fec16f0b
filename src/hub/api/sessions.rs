//! `/users/{u}/sessions`: where somebody is signed in, and the end of it.
//!
//! A session is a key like a token, so the scopes for tokens are those for sessions.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::openapi::UserPath;
use super::users::reachable_user;
use crate::auth::{SessionId, SessionListing};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};

/// A session of a user.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes the path; handlers read its parts themselves")]
pub(super) struct SessionPath {
    /// A user's name, percent-encoded.
    #[param(min_length = 1, max_length = 64, example = "alice")]
    user: String,
    /// The session's id, as the list tells it.
    #[param(pattern = "^[0-9a-f]{16}$", example = "0123456789abcdef")]
    session: String,
}

/// A browser that is signed in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session, example = json!({
    "id": "0123456789abcdef", "created": "2026-11-22T02:07:07.732000Z",
    "last_seen": "2026-11-22T02:09:12.004000Z", "from": "192.0.2.7", "agent": "Mozilla/5.0", "is_this": true
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct SessionModel {
    /// Names it; no cookie.
    id: String,
    /// When it began.
    #[schema(format = DateTime)]
    created: String,
    /// Its last request.
    #[schema(format = DateTime)]
    last_seen: String,
    /// The address that it began from, if that was noted.
    #[schema(required)]
    from: Option<String>,
    /// What the browser called itself; 200 characters at most.
    agent: String,
    /// Whether this request came with it.
    is_this: bool,
}

impl SessionModel {
    fn of(listing: SessionListing) -> Self {
        Self {
            id: listing.id.as_str().to_owned(),
            created: listing.created.to_string(),
            last_seen: listing.last_seen.to_string(),
            from: listing.from.map(|from| from.to_canonical().to_string()),
            agent: listing.agent,
            is_this: listing.is_this,
        }
    }
}

/// All of a user's.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sessions, example = json!({ "sessions": [] }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct SessionsModel {
    /// The one seen last comes first.
    sessions: Vec<SessionModel>,
}

/// How many have ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndedSessions, example = json!({ "ended": 2 }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct EndedModel {
    ended: usize,
}

/// `GET /hub/api/users/{u}/sessions`
#[utoipa::path(
    get, path = "/users/{user}/sessions", operation_id = "list_sessions", tag = "Users",
    summary = "List where somebody is signed in", description = "Browsers, not tokens.",
    params(UserPath),
    security(("token" = ["read:tokens"])),
    responses((status = 200, description = "Their sessions.", body = SessionsModel)),
)]
pub(in crate::hub) async fn list(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<SessionsModel>, HubError> {
    let user = reachable_user(&state, &caller, &name, &["read:tokens"])?;
    let asking = caller.session().map(AsRef::as_ref);
    let sessions = state.auth.sessions_of(&user.name, asking).into_iter().map(SessionModel::of).collect();
    Ok(Json(SessionsModel { sessions }))
}

/// `DELETE /hub/api/users/{u}/sessions`
#[utoipa::path(
    delete, path = "/users/{user}/sessions", operation_id = "end_sessions", tag = "Users",
    summary = "Sign somebody out everywhere", description = "But in the browser that asks, if it is one of theirs.",
    params(UserPath),
    security(("token" = ["tokens"])),
    responses((status = 200, description = "How many have ended.", body = EndedModel)),
)]
pub(in crate::hub) async fn end_all(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<EndedModel>, HubError> {
    let user = reachable_user(&state, &caller, &name, &["tokens"])?;
    let kept = caller.session().filter(|session| session.user.name == user.name).map(AsRef::as_ref);
    Ok(Json(EndedModel { ended: state.auth.end_other_sessions(&by, &user.name, kept).await? }))
}

/// `DELETE /hub/api/users/{u}/sessions/{id}` → 204
#[utoipa::path(
    delete, path = "/users/{user}/sessions/{session}", operation_id = "end_session", tag = "Users",
    summary = "Sign one browser out", description = "Its tokens and open connections end with it.",
    params(SessionPath),
    security(("token" = ["tokens"])),
    responses((status = 204, description = "It has ended.")),
)]
pub(in crate::hub) async fn end(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, HubError> {
    let user = reachable_user(&state, &caller, &name, &["tokens"])?;
    let id = SessionId::parse(&id).ok_or(HubError::NoSuchResource)?;
    state.auth.end_session(&by, &user.name, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
