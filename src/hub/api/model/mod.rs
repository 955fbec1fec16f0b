//! What JupyterHub's API writes (contract §2.1), one resource a file.

pub(in crate::hub) mod error;
pub(in crate::hub) mod route;
pub(in crate::hub) mod server;

use serde_json::{Map, Value, json};

use super::scopes::holds;
use crate::auth::User;
use crate::hub::HubState;
use crate::model::{ServerKey, ServerState, Timestamp};

/// A time, or `null` for never.
fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| json!(at.to_iso()))
}

/// A user with the fields that these scopes show.
pub(super) fn user(state: &HubState, user: &User, scopes: &[String]) -> Value {
    let key = ServerKey::default_of(user.name.clone());
    let status = state.spawner.status(&key);
    let may = |scope: &str| holds(scopes, scope, &user.name);
    let reads_user = may("read:users");
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("kind", json!("user"));
    put("name", json!(user.name));
    if reads_user || may("read:users:name") {
        put("admin", json!(user.is_admin()));
        put("user_info", Value::Null);
    }
    if reads_user || may("read:roles:users") {
        let roles = if user.is_admin() { json!(["admin", "user"]) } else { json!(["user"]) };
        put("admin", json!(user.is_admin()));
        put("roles", roles);
    }
    if reads_user || may("read:users:groups") {
        put("groups", json!([]));
    }
    if reads_user || may("read:users:activity") {
        put("last_activity", time(user.last_activity().max(state.spawner.last_activity(&key))));
    }
    if reads_user {
        let is_ready = status.state == ServerState::Ready;
        put("server", if is_ready { json!(key.prefix(&state.config.base)) } else { Value::Null });
        put("pending", json!(status.state.pending()));
        put("created", json!(user.created().to_iso()));
    }
    if may("read:servers") {
        let is_active = status.state == ServerState::Ready || status.state.pending().is_some();
        put(
            "servers",
            if is_active { json!({ "": server::ServerModel::of(state, &key, &status, false) }) } else { json!({}) },
        );
    }
    Value::Object(fields)
}
