//! Shares and share codes as JupyterHub's API writes them (contract §2.2).

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Share, ShareCode};
use crate::hub::HubState;
use crate::model::{Scope, Secret, ServerKey, ServerState, ShareWith, Timestamp, percent_encode};

/// What somebody was given of a server.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Share, example = json!({
    "server": { "user": { "name": "alice" }, "name": "", "url": "/user/alice/", "full_url": null, "ready": true },
    "scopes": ["access:servers!server=alice/"], "user": { "name": "bob" }, "group": null, "kind": "user",
    "created_at": "2026-11-22T02:07:07.732000Z"
}))]
pub(in crate::hub) struct ShareModel {
    server: SharedServer,
    /// What: each limited to the server.
    scopes: Vec<String>,
    /// The person who was given it, if it is one.
    #[schema(required)]
    user: Option<NameModel>,
    /// The group that was given it, if it is one.
    #[schema(required)]
    group: Option<NameModel>,
    kind: ShareKind,
    /// When it was first given.
    #[schema(format = DateTime)]
    created_at: String,
}

/// Who was given a share.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ShareKind {
    /// A person.
    User,
    /// The members of a group.
    Group,
}

/// Somebody by name.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Name)]
struct NameModel {
    /// The name.
    name: String,
}

/// What is told of a shared server.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct SharedServer {
    user: NameModel,
    /// Its name among its owner's servers; empty for the default server.
    name: String,
    /// Where it is: a path under this host.
    url: String,
    /// `url` with scheme and host, if a public address is configured.
    #[schema(required)]
    full_url: Option<String>,
    /// True if it answers requests.
    ready: bool,
}

/// What is left of a share: a share, or an empty object.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::hub) enum RestOfShare {
    /// There is something left.
    Some(Box<ShareModel>),
    /// There is nothing left.
    Nothing(Nothing),
}

/// An empty object.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
#[schema(max_properties = 0)]
pub(in crate::hub) struct Nothing {}

/// A code that can be exchanged for a share.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ShareCode, example = json!({
    "server": { "user": { "name": "alice" }, "name": "", "url": "/user/alice/", "full_url": null, "ready": true },
    "scopes": ["access:servers!server=alice/"], "id": "sc_1", "created_at": "2026-11-22T02:07:07.732000Z",
    "expires_at": "2026-11-23T02:07:07.732000Z", "exchange_count": 0, "last_exchanged_at": null
}))]
pub(in crate::hub) struct ShareCodeModel {
    server: SharedServer,
    /// What it gives.
    scopes: Vec<String>,
    /// Unique among codes.
    #[schema(pattern = "^sc_[0-9]+$")]
    id: String,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it ends.
    #[schema(format = DateTime)]
    expires_at: String,
    /// How often it was exchanged.
    exchange_count: u64,
    /// When last.
    #[schema(required, format = DateTime)]
    last_exchanged_at: Option<String>,
    /// The code itself; only when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<String>,
    /// Where a person accepts it; only when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    accept_url: Option<String>,
    /// The same with scheme and host, `null` without a public address; only when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    full_accept_url: Option<Option<String>>,
}

impl SharedServer {
    fn of(state: &HubState, server: &ServerKey) -> Self {
        let url = state.config.address_of(server);
        Self {
            user: NameModel { name: server.user.to_string() },
            name: server.name.as_str().to_owned(),
            full_url: state.config.full_address_of(server),
            url,
            ready: state.spawner.status(server).state == ServerState::Ready,
        }
    }
}

fn texts(scopes: &[Scope]) -> Vec<String> {
    scopes.iter().map(ToString::to_string).collect()
}

impl ShareModel {
    /// The model of `share`.
    pub(in crate::hub) fn of(state: &HubState, share: &Share) -> Self {
        let (user, group, kind) = match &share.with {
            ShareWith::User(user) => (Some(NameModel { name: user.to_string() }), None, ShareKind::User),
            ShareWith::Group(group) => (None, Some(NameModel { name: group.to_string() }), ShareKind::Group),
        };
        Self {
            server: SharedServer::of(state, &share.server),
            scopes: texts(&share.scopes),
            user,
            group,
            kind,
            created_at: share.created.to_iso(),
        }
    }
}

impl ShareCodeModel {
    /// The model of `code`; with the code itself for whoever has just made it.
    pub(in crate::hub) fn of(state: &HubState, code: &ShareCode, secret: Option<&Secret>) -> Self {
        let accept_url = secret
            .map(|secret| format!("{}?code={}", state.config.hub("accept-share"), percent_encode(secret.expose())));
        let full = |url: &String| state.config.public_origin.as_ref().map(|origin| format!("{origin}{url}"));
        Self {
            server: SharedServer::of(state, &code.server),
            scopes: texts(&code.scopes),
            id: code.id.to_string(),
            created_at: code.created.to_iso(),
            expires_at: code.expires_at.to_iso(),
            exchange_count: code.exchange_count,
            last_exchanged_at: code.last_exchanged.map(Timestamp::to_iso),
            code: secret.map(|secret| secret.expose().to_owned()),
            full_accept_url: accept_url.as_ref().map(full),
            accept_url,
        }
    }
}
