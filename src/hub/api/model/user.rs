//! A user as JupyterHub's API writes it (contract §2.1): each scope shows fields of its own.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::server::ServerModel;
use crate::auth::User;
use crate::hub::HubState;
use crate::hub::api::scopes::holds;
use crate::model::{ServerKey, ServerState, Timestamp};

/// A user with the fields that the caller may see. The outer `Option` is whether a field is there, the inner one
/// whether it is `null`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = User, example = json!({
    "kind": "user", "name": "alice", "admin": false, "roles": ["user"], "groups": [],
    "server": "/user/alice/", "pending": null, "created": "2026-11-22T02:07:07.732000Z",
    "last_activity": "2026-11-22T02:09:12.004000Z", "servers": {}, "user_info": null
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct UserModel {
    pub(in crate::hub::api) kind: UserWord,
    /// Unique among users.
    pub(in crate::hub::api) name: String,
    /// Whether this is an administrator; with `read:users:name` or `read:roles:users`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::hub::api) admin: Option<bool>,
    /// Names and picture for other people, if the authenticator knows some: with us never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(in crate::hub::api) user_info: Option<Option<Map<String, Value>>>,
    /// The roles given to them by name; with `read:roles:users`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::hub::api) roles: Option<Vec<String>>,
    /// The groups they are in; with `read:users:groups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::hub::api) groups: Option<Vec<String>>,
    /// Where their default server is, if it is ready; with `read:users`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(in crate::hub::api) server: Option<Option<String>>,
    /// What is under way with their default server; with `read:users`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(in crate::hub::api) pending: Option<Option<&'static str>>,
    /// When the account was made; with `read:users`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(in crate::hub::api) created: Option<String>,
    /// When they were last seen to do something; with `read:users:activity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(in crate::hub::api) last_activity: Option<Option<String>>,
    /// Their servers by name, as far as the caller may see them; with `read:servers`. The default server has the
    /// empty name. Stopped ones only if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::hub::api) servers: Option<BTreeMap<String, ServerModel>>,
    /// What the authenticator keeps with the account; with `admin:auth_state`, and `null` in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(in crate::hub::api) auth_state: Option<Option<Map<String, Value>>>,
}

/// The kind of a user's model.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::hub) enum UserWord {
    /// The only one.
    User,
}

/// Who asks, as `GET /user` answers a user.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = WhoamiUser)]
pub(in crate::hub) struct Whoami<M> {
    /// Who they are.
    #[serde(flatten)]
    pub(in crate::hub::api) owner: M,
    /// The token they came with.
    #[schema(required)]
    pub(in crate::hub::api) token_id: Option<String>,
    /// The browser session that the token ends with.
    #[schema(required)]
    pub(in crate::hub::api) session_id: Option<String>,
    /// All that they may do, expanded and sorted.
    pub(in crate::hub::api) scopes: Vec<String>,
}

impl UserModel {
    /// `user` with the fields that `scopes` show.
    pub(in crate::hub) fn of(state: &HubState, user: &User, scopes: &[String]) -> Self {
        let key = ServerKey::default_of(user.name.clone());
        let status = state.spawner.status(&key);
        let may = |scope: &str| holds(scopes, scope, &user.name);
        let reads_user = may("read:users");
        let reads_name = reads_user || may("read:users:name");
        let reads_roles = reads_user || may("read:roles:users");
        let is_ready = status.state == ServerState::Ready;
        let last_activity = || user.last_activity().max(state.spawner.last_activity(&key)).map(Timestamp::to_iso);
        let servers = may("read:servers").then(|| {
            let is_active = is_ready || status.state.pending().is_some();
            let model = is_active.then(|| ServerModel::of(state, &key, &status, false));
            model.into_iter().map(|model| (String::new(), model)).collect()
        });
        Self {
            kind: UserWord::User,
            name: user.name.to_string(),
            admin: (reads_name || reads_roles).then(|| user.is_admin()),
            user_info: reads_name.then_some(None),
            roles: reads_roles.then(|| {
                let roles: &[&str] = if user.is_admin() { &["admin", "user"] } else { &["user"] };
                roles.iter().map(ToString::to_string).collect()
            }),
            groups: (reads_user || may("read:users:groups")).then(Vec::new),
            server: reads_user.then(|| is_ready.then(|| key.prefix(&state.config.base))),
            pending: reads_user.then(|| status.state.pending()),
            created: reads_user.then(|| user.created().to_iso()),
            last_activity: (reads_user || may("read:users:activity")).then(last_activity),
            servers,
            auth_state: may("admin:auth_state").then_some(None),
        }
    }
}
