//! A server as JupyterHub's API writes it (contract §2.1).

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::hub::HubState;
use crate::model::{BasePath, Failure, ServerKey, ServerState, ServerStatus, Timestamp, percent_encode};
use crate::spawner::ServerRecord;

/// One server of a user, running or not.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Server, example = json!({
    "name": "gpu", "display_name": "GPU work", "full_name": "alice/gpu",
    "last_activity": "2026-11-22T02:07:07.732000Z", "started": "2026-11-22T02:05:45.002000Z",
    "pending": null, "ready": true, "stopped": false, "url": "/user/alice/gpu/",
    "user_options": { "profile": "gpu" }, "progress_url": "/hub/api/users/alice/servers/gpu/progress",
    "full_url": null, "full_progress_url": null
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ServerModel {
    /// Its name among its owner's servers; empty for the default server.
    name: String,
    /// What its owner calls it; empty if they do not.
    display_name: String,
    /// `owner/name`, as scopes name it.
    #[schema(example = "alice/gpu")]
    full_name: String,
    /// When its person was last seen to do something with it.
    #[schema(required, format = DateTime)]
    last_activity: Option<String>,
    /// When it was asked for, if it runs or is on its way.
    #[schema(required, format = DateTime)]
    started: Option<String>,
    /// The change under way, if any.
    #[schema(required)]
    pending: Option<Pending>,
    /// True if it answers requests.
    ready: bool,
    /// True if it does not run and nobody has asked for it.
    stopped: bool,
    /// Where it is: a path under this host.
    url: String,
    /// What it was last started with.
    #[schema(required)]
    user_options: Option<Map<String, Value>>,
    /// Where its start is told as an event stream.
    progress_url: String,
    /// `url` with scheme and host, if a public address is configured.
    #[schema(required)]
    full_url: Option<String>,
    /// `progress_url` with scheme and host, if a public address is configured.
    #[schema(required)]
    full_progress_url: Option<String>,
    /// What the spawner keeps of it, `null` before it was first started or made; only with the scope
    /// `admin:server_state`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Map<String, Value>>)]
    state: Option<Option<Map<String, Value>>>,
    /// Why the last start failed (Slipway's own field: JupyterHub cannot say it after the fact).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failure: Option<FailureModel>,
}

/// A change that is under way.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "JupyterHub's own list, so that its models fit the schema, too")]
pub(in crate::hub) enum Pending {
    /// It is being started.
    Spawn,
    /// It is being stopped.
    Stop,
    /// It is being looked at.
    Check,
    /// It is being renamed.
    Rename,
}

/// Why a server failed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ServerFailure)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct FailureModel {
    /// What happened and what can be done.
    message: String,
    /// The exit status of its program, if that ended.
    #[schema(required)]
    exit_code: Option<i64>,
    /// Its last log lines, oldest first.
    log_tail: Vec<String>,
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
}

/// Where the start of `server` is told, without scheme and host.
pub(in crate::hub) fn progress_path(base: &BasePath, server: &ServerKey) -> String {
    let user = percent_encode(server.user.as_str());
    if server.name.is_default() {
        return format!("{base}hub/api/users/{user}/server/progress");
    }
    format!("{base}hub/api/users/{user}/servers/{}/progress", percent_encode(server.name.as_str()))
}

impl ServerModel {
    /// The model of `key` as it is now; `with_state` for those who hold `admin:server_state` on it.
    pub(in crate::hub) fn of(state: &HubState, key: &ServerKey, status: &ServerStatus, with_state: bool) -> Self {
        let base = &state.config.base;
        let failure = match &status.state {
            ServerState::Failed(failure) => Some(FailureModel::of(failure)),
            _ => None,
        };
        let record = state.spawner.record(key);
        let given = record.as_ref().and_then(|record| record.display_name.as_ref());
        // A named server that was given no other name is called by its own.
        let display_name = given.map_or_else(|| key.name.as_str().to_owned(), ToString::to_string);
        let options = record.as_ref().and_then(|record| record.options.as_ref());
        // `null`: it was never started nor told anything.
        let options = record.as_ref().map(|_| options.map(|options| options.as_map().clone()).unwrap_or_default());
        let (url, progress_url) = (state.config.address_of(key), progress_path(base, key));
        let absolute = |path: &String| state.config.public_origin.as_ref().map(|origin| format!("{origin}{path}"));
        Self {
            name: key.name.as_str().to_owned(),
            display_name,
            full_name: key.scope_name(),
            last_activity: state.spawner.last_activity(key).map(Timestamp::to_iso),
            started: status.started_at.map(Timestamp::to_iso),
            pending: pending_of(&status.state),
            ready: status.state == ServerState::Ready,
            stopped: status.state.is_down(),
            user_options: options,
            full_url: state.config.full_address_of(key),
            full_progress_url: absolute(&progress_url),
            url,
            progress_url,
            state: with_state.then(|| state_of(status, record.as_deref())),
            failure,
        }
    }
}

/// What is told of a server to those who hold `admin:server_state`: `None` of one that nobody has started or made,
/// nothing of one that does not run.
fn state_of(status: &ServerStatus, record: Option<&ServerRecord>) -> Option<Map<String, Value>> {
    let record = record?;
    let mut state = Map::new();
    if status.state.is_down() {
        return Some(state);
    }
    state.insert("generation".to_owned(), status.generation.0.into());
    for (name, value) in [("image", &record.image), ("profile", &record.profile)] {
        if let Some(value) = value {
            state.insert(name.to_owned(), value.clone().into());
        }
    }
    Some(state)
}

impl FailureModel {
    fn of(failure: &Failure) -> Self {
        Self {
            message: failure.sentence.clone(),
            exit_code: failure.exit_code,
            log_tail: failure.log_tail.clone(),
            at: failure.at.to_iso(),
        }
    }
}

fn pending_of(state: &ServerState) -> Option<Pending> {
    match state {
        ServerState::Starting(_) | ServerState::Restarting => Some(Pending::Spawn),
        ServerState::Stopping => Some(Pending::Stop),
        ServerState::Stopped | ServerState::Ready | ServerState::Failed(_) => None,
    }
}
