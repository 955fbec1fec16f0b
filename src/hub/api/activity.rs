//! `POST /users/{u}/activity`: a server says when its person last did something (contract §1.2).

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::body::json_body;
use super::users::reachable_user;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::model::{ServerKey, ServerName, Timestamp, UserName};

/// A clock may be this far ahead of ours, as in JupyterHub.
const AHEAD_LIMIT: Duration = Duration::from_secs(59 * 60);

#[derive(Deserialize)]
struct Activity {
    last_activity: Option<String>,
    servers: Option<BTreeMap<String, ServerActivity>>,
}

#[derive(Deserialize)]
struct ServerActivity {
    last_activity: String,
}

/// `POST /hub/api/users/{u}/activity` → 200, empty. Times only move forward.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, HubError> {
    let user = reachable_user(&state, &caller, &name, &["users:activity"])?;
    let activity = json_body::<Activity>(&body)?.ok_or_else(nothing_given)?;
    let now = state.clock.now();
    let times = times_of(&activity, &user.name, now)?;
    if let Some(text) = &activity.last_activity {
        user.note_activity(time_of(text, now)?);
    }
    for (server, at) in times {
        state.spawner.note_activity(&server, at);
    }
    Ok(StatusCode::OK)
}

fn nothing_given() -> HubError {
    HubError::bad("body must contain at least one of `last_activity` or `servers`")
}

/// What was said, checked: which server was active when.
fn times_of(activity: &Activity, user: &UserName, now: Timestamp) -> Result<Vec<(ServerKey, Timestamp)>, HubError> {
    if activity.last_activity.is_none() && activity.servers.is_none() {
        return Err(nothing_given());
    }
    if let Some(text) = &activity.last_activity {
        time_of(text, now)?;
    }
    let servers = activity.servers.iter().flatten();
    let times = servers.map(|(name, server)| {
        let server_name = ServerName::parse(name).ok().filter(ServerName::is_default);
        let server_name =
            server_name.ok_or_else(|| HubError::bad(format!("No such server '{name}' for user {user}")))?;
        Ok((ServerKey { user: user.clone(), name: server_name }, time_of(&server.last_activity, now)?))
    });
    times.collect()
}

fn time_of(text: &str, now: Timestamp) -> Result<Timestamp, HubError> {
    let at =
        Timestamp::parse_iso(text).ok_or_else(|| HubError::bad(format!("Not a valid ISO-8601 timestamp: {text:?}")))?;
    if at > now.plus(AHEAD_LIMIT) {
        return Err(HubError::bad(format!("Rejecting activity from more than 1 hour in the future: {text}")));
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(json: &str) -> Result<Vec<(ServerKey, Timestamp)>, HubError> {
        let activity = json_body::<Activity>(&Bytes::from(json.to_owned()))?.ok_or_else(nothing_given)?;
        times_of(&activity, &UserName::parse("alice").expect("a name"), Timestamp(1_795_313_227_732))
    }

    #[test]
    fn a_servers_post_is_understood() {
        let at = "2026-11-22T02:05:45.002875Z";
        let json = format!(r#"{{"servers": {{"": {{"last_activity": "{at}"}}}}, "last_activity": "{at}"}}"#);
        let times = times(&json).expect("it is sound");
        assert_eq!(times.len(), 1);
        assert_eq!(Some(times[0].1), Timestamp::parse_iso(at));
    }

    #[test]
    fn what_makes_no_sense_is_400() {
        for json in [
            "",
            "{}",
            "nonsense",
            "[]",
            r#"{"last_activity": "yesterday"}"#,
            r#"{"last_activity": "2026-11-22T04:05:45Z"}"#,
            r#"{"servers": {"gpu": {"last_activity": "2026-11-22T02:00:00Z"}}}"#,
            r#"{"servers": {"": {}}}"#,
            r#"{"servers": []}"#,
        ] {
            assert_eq!(times(json).map(|_| ()).map_err(|error| error.status().as_u16()), Err(400), "{json}");
        }
    }
}
