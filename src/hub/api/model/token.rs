//! A token as JupyterHub's API writes it (contract §2.1).

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Token;
use crate::hub::HubState;
use crate::model::{OAuthClient, OwnerName, Timestamp};
use crate::store::TokenKind;

/// One token, without what would let anybody use it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Token, example = json!({
    "user": "alice", "id": "a7", "kind": "api_token", "roles": [], "scopes": ["read:users:name!user=alice"],
    "created": "2026-11-22T02:07:07.732000Z", "last_activity": null, "expires_at": null,
    "note": "nightly report", "session_id": null, "oauth_client": "JupyterHub"
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct TokenModel {
    /// Whose it is, if a user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::hub::api) user: Option<String>,
    /// Whose it is, if a service's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::hub::api) service: Option<String>,
    /// Its name in addresses: `a` and a number.
    #[schema(pattern = "^a[0-9]+$")]
    pub(in crate::hub::api) id: String,
    pub(in crate::hub::api) kind: TokenWord,
    /// Always empty: a token has scopes.
    pub(in crate::hub::api) roles: Vec<String>,
    /// What it may do now: expanded, and no more than its owner may.
    pub(in crate::hub::api) scopes: Vec<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub(in crate::hub::api) created: String,
    /// When it was last used.
    #[schema(required, format = DateTime)]
    pub(in crate::hub::api) last_activity: Option<String>,
    /// When it ends by itself.
    #[schema(required, format = DateTime)]
    pub(in crate::hub::api) expires_at: Option<String>,
    /// What it is for, in the words of who made it.
    pub(in crate::hub::api) note: String,
    /// The browser session that it ends with.
    #[schema(required)]
    pub(in crate::hub::api) session_id: Option<String>,
    /// For whom it was made: a server, a service, or `JupyterHub` for a plain one.
    pub(in crate::hub::api) oauth_client: String,
    /// The token itself, said once: in the answer to the request that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::hub::api) token: Option<String>,
}

/// The kind of a token's model.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::hub) enum TokenWord {
    /// The only one.
    ApiToken,
}

/// All tokens of somebody.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Tokens)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct TokensModel {
    /// Least recently used first; those that have expired are left out.
    pub(in crate::hub::api) api_tokens: Vec<TokenModel>,
}

impl TokenModel {
    /// `token`, without what would let anybody use it.
    pub(in crate::hub::api) fn of(state: &HubState, token: &Token) -> Self {
        let (user, service) = match token.owner.name() {
            OwnerName::User(user) => (Some(user.to_string()), None),
            OwnerName::Service { service } => (None, Some(service.to_string())),
        };
        Self {
            user,
            service,
            id: token.id.map(|id| id.to_string()).unwrap_or_default(),
            kind: TokenWord::ApiToken,
            roles: Vec::new(),
            scopes: token.rights().scopes().to_vec(),
            created: token.created.to_iso(),
            last_activity: token.last_used().map(Timestamp::to_iso),
            expires_at: token.expires_at.map(Timestamp::to_iso),
            note: token.note.clone(),
            session_id: token.session_id.clone(),
            oauth_client: client_of(state, token),
            token: None,
        }
    }
}

/// For whom it was made, in JupyterHub's words.
fn client_of(state: &HubState, token: &Token) -> String {
    match &token.kind {
        TokenKind::OAuth { client: Some(OAuthClient::Server(server)), .. } => {
            format!("Server at {}", server.prefix(&state.config.base))
        }
        TokenKind::OAuth { client: Some(OAuthClient::Service(service)), .. } => {
            format!("JupyterHub service {service}")
        }
        TokenKind::OAuth { client_id, .. } => client_id.clone(),
        TokenKind::Server(_) | TokenKind::Api | TokenKind::Service => "JupyterHub".to_owned(),
    }
}
