//! `POST {base}hub/api/oauth2/token`: the half of the server or service. A code becomes a token by which it asks who
//! its visitor is.
//!
//! Statuses and bodies are oauthlib's, which JupyterHub's servers know. An `Authorization` header is tolerated: the
//! servers send one, and it says nothing here.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, PRAGMA, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::form::Fields;
use crate::model::OAuthClient;
use crate::store::{StoreError, TokenKind};

/// What a server is told its token's life is: 14 days, as JupyterHub says.
const EXPIRES_IN_S: u64 = 14 * 24 * 3600;

/// Why there is no token, in OAuth's words.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    InvalidClient,
    InvalidGrant,
    InvalidRequest(&'static str),
    UnauthorizedClient,
    UnsupportedGrantType,
}

/// What a code was exchanged for.
#[derive(Serialize, ToSchema)]
#[schema(as = OAuthToken, example = json!({
    "access_token": "vCbHhm2JwiSAj4rCyOMkXKi1LPdi6L", "expires_in": 1_209_600, "token_type": "Bearer",
    "scope": "access:servers!server=alice/"
}))]
pub(in crate::hub) struct TokenAnswer {
    access_token: String,
    /// Seconds.
    expires_in: u64,
    token_type: &'static str,
    /// What was granted, by spaces.
    scope: String,
}

/// Why there is no token, in OAuth's words.
#[derive(Serialize, ToSchema)]
#[schema(as = OAuthError, example = json!({ "error": "invalid_grant" }))]
pub(in crate::hub) struct OAuthError {
    error: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error_description: Option<&'static str>,
}

/// The form that a client posts.
#[derive(ToSchema)]
#[schema(as = OAuthExchange)]
#[allow(dead_code, reason = "it describes the fields that `post` reads")]
pub(in crate::hub) struct Exchange {
    /// `authorization_code`.
    grant_type: String,
    /// As given at the authorization.
    client_id: String,
    /// The client's API token.
    client_secret: String,
    /// The code that the browser brought.
    code: String,
    /// As given at the authorization.
    redirect_uri: String,
    /// Of PKCE, if the authorization had a challenge.
    #[schema(nullable = false)]
    code_verifier: Option<String>,
}

/// The exchange.
#[utoipa::path(
    post, path = "/oauth2/token", operation_id = "exchange_code", tag = "OAuth",
    summary = "Exchange a code for a token", description = "The client proves itself by its own API token.",
    security(()),
    request_body(content = Exchange, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A token of the visitor's, for this client.", body = TokenAnswer),
        (status = 400, description = "The request, or the code, is not right.", body = OAuthError),
        (status = 401, description = "The client is not the one that it says it is.", body = OAuthError),
    ),
)]
pub(in crate::hub) async fn post(State(state): State<HubState>, fields: Fields) -> Result<Response, HubError> {
    let client = match client_of(&state, &fields) {
        Ok(client) => client,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    let Some(grant) = state.codes.take(fields.get("code"), &client, state.clock.now()) else {
        return Ok(Refusal::InvalidGrant.into_response());
    };
    if let Some(challenge) = &grant.challenge {
        let Some(verifier) = fields.find("code_verifier") else {
            return Ok(Refusal::InvalidRequest("Code verifier required.").into_response());
        };
        if !challenge.is_met_by(verifier) {
            return Ok(Refusal::InvalidGrant.into_response());
        }
    }
    if fields.get("redirect_uri") != grant.redirect_uri {
        return Ok(Refusal::InvalidRequest("Mismatching redirect URI.").into_response());
    }
    let scope = told(&grant.scopes);
    let issued = state.auth.issue_oauth_token(&grant.user, &client, grant.scopes, Some(grant.session_id)).await;
    let secret = match issued {
        Ok((secret, _)) => secret,
        // The person signed out, or was shut out, while their server asked.
        Err(StoreError::Gone(_)) => return Ok(Refusal::InvalidGrant.into_response()),
        Err(error) => return Err(error.into()),
    };
    let body =
        TokenAnswer { access_token: secret.expose().to_owned(), expires_in: EXPIRES_IN_S, token_type: "Bearer", scope };
    Ok((StatusCode::OK, NOT_KEPT, Json(body)).into_response())
}

/// What the answer says of scopes: those that were granted, and what any token of ours is good for.
fn told(granted: &[String]) -> String {
    let mut scopes: BTreeSet<_> = granted.iter().map(String::as_str).collect();
    scopes.extend(["read:users:groups!user", "read:users:name!user"]);
    scopes.into_iter().collect::<Vec<_>>().join(" ")
}

/// A token is nobody else's: no cache keeps it.
const NOT_KEPT: [(axum::http::HeaderName, &str); 2] = [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];

/// The client that this request proves to be, if it asks for something that can be had.
fn client_of(state: &HubState, fields: &Fields) -> Result<OAuthClient, Refusal> {
    let grant_type = fields.get("grant_type");
    match grant_type {
        "authorization_code" if fields.get("code").is_empty() => {
            return Err(Refusal::InvalidRequest("Missing code parameter."));
        }
        "authorization_code" | "refresh_token" => {}
        _ => return Err(Refusal::UnsupportedGrantType),
    }
    // The client's secret is the server's or service's own API token.
    let token = state.auth.token_of(fields.get("client_secret")).ok_or(Refusal::InvalidClient)?;
    let (client, id) = match (&token.kind, token.owner.service()) {
        (TokenKind::Server(server), _) => (OAuthClient::Server(server.clone()), server.client_id()),
        (TokenKind::Service, Some(service)) => {
            let client = service.oauth_client.as_ref().ok_or(Refusal::InvalidClient)?;
            (OAuthClient::Service(service.name.clone()), client.id.clone())
        }
        _ => return Err(Refusal::InvalidClient),
    };
    if id != fields.get("client_id") {
        return Err(Refusal::InvalidClient);
    }
    if grant_type == "refresh_token" {
        return Err(Refusal::UnauthorizedClient);
    }
    Ok(client)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error, error_description) = match self {
            Self::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client", None),
            Self::InvalidGrant => (StatusCode::BAD_REQUEST, "invalid_grant", None),
            Self::InvalidRequest(description) => (StatusCode::BAD_REQUEST, "invalid_request", Some(description)),
            Self::UnauthorizedClient => (StatusCode::BAD_REQUEST, "unauthorized_client", None),
            Self::UnsupportedGrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type", None),
        };
        let body = OAuthError { error, error_description };
        let mut response = (status, NOT_KEPT, Json(body)).into_response();
        if self == Self::InvalidClient {
            let challenge = axum::http::HeaderValue::from_static("Bearer error=\"invalid_client\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
