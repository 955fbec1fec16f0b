//! A user as JupyterHub's API writes it (contract §2.1): each scope shows fields of its own.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::server::ServerModel;
use crate::auth::{Rights, Target, User};
use crate::hub::HubState;
use crate::hub::api::query::Query;
use crate::model::{ServerKey, ServerState, ServerStatus, Timestamp};

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

/// Which of a user's servers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub) enum Shown {
    /// Those that are ready, or of which something is pending.
    Active,
    /// All.
    WithStopped,
}

impl Shown {
    /// As the query `include_stopped_servers` says.
    pub(in crate::hub::api) fn asked_for(query: &Query) -> Self {
        if query.is_set("include_stopped_servers") { Self::WithStopped } else { Self::Active }
    }
}

/// When a user was last seen to do something, with any server of theirs or without.
pub(in crate::hub::api) fn last_activity(state: &HubState, user: &User) -> Option<Timestamp> {
    let servers = state.spawner.servers_of(&user.name).into_iter();
    servers.map(|(key, _)| state.spawner.last_activity(&key)).fold(user.last_activity(), Option::max)
}

impl UserModel {
    /// `user` with the fields that somebody with these rights may see.
    pub(in crate::hub) fn of(state: &HubState, rights: &Rights, user: &User, shown: Shown) -> Self {
        let may = |scope: &str| rights.allows(scope, Target::User(&user.name));
        let reads_user = may("read:users");
        let reads_name = reads_user || may("read:users:name");
        let reads_roles = reads_user || may("read:roles:users");
        let reads_groups = reads_user || may("read:users:groups");
        let reads_activity = reads_user || may("read:users:activity");
        let default = ServerKey::default_of(user.name.clone());
        let status = reads_user.then(|| state.spawner.status(&default).state);
        let is_ready = status == Some(ServerState::Ready);
        Self {
            kind: UserWord::User,
            name: user.name.to_string(),
            admin: (reads_name || reads_roles).then(|| user.is_admin()),
            user_info: reads_name.then_some(None),
            roles: reads_roles.then(|| roles_of(state, user)),
            groups: reads_groups.then(|| groups_of(state, user)),
            server: reads_user.then(|| is_ready.then(|| state.config.address_of(&default))),
            pending: status.as_ref().map(ServerState::pending),
            created: reads_user.then(|| user.created().to_iso()),
            last_activity: reads_activity.then(|| last_activity(state, user).map(Timestamp::to_iso)),
            servers: servers_of(state, rights, user, shown),
            auth_state: may("admin:auth_state").then_some(None),
        }
    }

    /// The same with what every caller may know of themselves.
    pub(in crate::hub::api) fn of_oneself(state: &HubState, rights: &Rights, user: &User, shown: Shown) -> Self {
        let mut model = Self::of(state, rights, user, shown);
        model.admin = Some(user.is_admin());
        model.user_info = Some(None);
        model.groups.get_or_insert_with(|| groups_of(state, user));
        model
    }
}

/// In JupyterHub's order: what everybody has, what administrators have, then the rest.
fn roles_of(state: &HubState, user: &User) -> Vec<String> {
    let mut roles: Vec<_> = state.auth.roles_of_user(&user.name).iter().map(ToString::to_string).collect();
    roles.sort_by_key(|role| match role.as_str() {
        "user" => 0,
        "admin" => 1,
        _ => 2,
    });
    roles
}

fn groups_of(state: &HubState, user: &User) -> Vec<String> {
    state.auth.groups_of(&user.name).iter().map(ToString::to_string).collect()
}

/// The servers that these rights show; `None` if they show none of this user's, and there is none to show.
fn servers_of(state: &HubState, rights: &Rights, user: &User, shown: Shown) -> Option<BTreeMap<String, ServerModel>> {
    if !rights.allows("read:servers", Target::ServersOf(&user.name)) {
        return None;
    }
    let is_shown = |key: &ServerKey, status: &ServerStatus| {
        let is_active = status.state == ServerState::Ready || status.state.pending().is_some();
        (is_active || shown == Shown::WithStopped) && rights.allows("read:servers", Target::Server(key))
    };
    let mut models = BTreeMap::new();
    for (key, status) in state.spawner.servers_of(&user.name) {
        if is_shown(&key, &status) {
            let with_state = rights.allows("admin:server_state", Target::Server(&key));
            models.insert(key.name.as_str().to_owned(), ServerModel::of(state, &key, &status, with_state));
        }
    }
    (!models.is_empty() || rights.allows("read:servers", Target::User(&user.name))).then_some(models)
}
