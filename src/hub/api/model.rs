//! Users and servers as JupyterHub's API writes them (contract §2.1).

use serde_json::{Map, Value, json};

use super::scopes::holds;
use crate::auth::User;
use crate::hub::HubState;
use crate::model::{ServerKey, ServerState, ServerStatus, Timestamp};

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
        put("servers", if is_active { json!({ "": server(state, &key, &status) }) } else { json!({}) });
    }
    Value::Object(fields)
}

/// A server, running or not.
pub(super) fn server(state: &HubState, key: &ServerKey, status: &ServerStatus) -> Value {
    let base = &state.config.base;
    let user = crate::model::percent_encode(key.user.as_str());
    let progress_url = format!("{base}hub/api/users/{user}/server/progress");
    let mut model = json!({
        "name": key.name,
        "display_name": "",
        "full_name": key.scope_name(),
        "last_activity": time(state.spawner.last_activity(key)),
        "started": time(status.started_at),
        "pending": status.state.pending(),
        "ready": status.state == ServerState::Ready,
        "stopped": matches!(status.state, ServerState::Stopped | ServerState::Failed(_)),
        "url": key.prefix(base),
        "user_options": {},
        "progress_url": progress_url,
        "full_url": null,
        "full_progress_url": null,
    });
    if let ServerState::Failed(failure) = &status.state {
        // Not JupyterHub's: it has no way to say why a start failed after the fact.
        model["failure"] = json!({
            "message": failure.sentence,
            "exit_code": failure.exit_code,
            "log_tail": failure.log_tail,
            "at": failure.at.to_iso(),
        });
    }
    model
}
