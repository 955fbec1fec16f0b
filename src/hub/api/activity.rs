//! `POST /users/{u}/activity`: a server says when its person last did something (contract §1.2).

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::body::{json_body, short};
use super::model::error::ErrorModel;
use super::openapi::UserPath;
use super::users::reachable;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::model::{ActivitySource, ServerKey, Timestamp, UserName};

/// A clock may be this far ahead of ours, as in JupyterHub.
const AHEAD_LIMIT: Duration = Duration::from_secs(59 * 60);

/// When somebody was last active, as a server says it. Keys that we do not know are let pass, as in JupyterHub.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({
    "servers": { "": { "last_activity": "2026-11-22T02:05:45.002875Z" } }, "last_activity": "2026-11-22T02:05:45.002875Z"
}))]
pub(in crate::hub) struct Activity {
    /// When the user was.
    #[schema(format = DateTime)]
    last_activity: Option<String>,
    /// When which of the user's servers was.
    #[schema(value_type = Option<BTreeMap<String, ServerActivity>>)]
    servers: Option<BTreeMap<String, Map<String, Value>>>,
}

/// When one server was last active.
#[derive(ToSchema)]
pub(in crate::hub) struct ServerActivity {
    #[schema(format = DateTime)]
    #[expect(dead_code, reason = "only its schema is used: serde would read a list into it, too")]
    last_activity: String,
}

/// `POST /hub/api/users/{u}/activity` → 200, empty. Times only move forward.
#[utoipa::path(
    post, path = "/users/{user}/activity", operation_id = "note_activity", tag = "Users",
    summary = "Say when somebody was active", description = "A server says it of its person. Times only move forward.",
    params(UserPath),
    security(("token" = ["users:activity"])),
    request_body = Activity,
    responses(
        (status = 200, description = "It is noted."),
        (status = 400, description = "Neither key is given, a time is none or far ahead, or there is no such server.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, HubError> {
    let user = reachable(&state, &caller, &name, &["users:activity"])?;
    let user = user.ok_or_else(|| HubError::not_found(format!("No such user: '{}'", short(&name))))?;
    let activity = json_body::<Activity>(&body)?.ok_or_else(|| HubError::bad("body must be a json dict"))?;
    let servers = state.spawner.servers_of(&user.name).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let seen = seen(&activity, &user.name, &servers, state.clock.now())?;
    if let Some(at) = seen.user {
        user.note_activity(at);
    }
    for (server, at) in seen.servers {
        state.spawner.note_activity(server, ActivitySource::Reported, at);
    }
    Ok(StatusCode::OK)
}

/// What was said, checked.
struct Seen<'a> {
    user: Option<Timestamp>,
    servers: Vec<(&'a ServerKey, Timestamp)>,
}

fn nothing_given() -> HubError {
    HubError::bad("body must contain at least one of `last_activity` or `servers`")
}

fn wrong_shape() -> HubError {
    HubError::bad("servers must be a dict of the form {server_name: {last_activity: timestamp}}")
}

/// Checks all of it before any of it is noted.
fn seen<'a>(
    activity: &Activity,
    user: &UserName,
    known: &'a [ServerKey],
    now: Timestamp,
) -> Result<Seen<'a>, HubError> {
    let of_user = activity.last_activity.as_deref().filter(|text| !text.is_empty());
    let of_servers = activity.servers.as_ref().filter(|servers| !servers.is_empty());
    if of_user.is_none() && of_servers.is_none() {
        return Err(nothing_given());
    }
    let servers = of_servers.into_iter().flatten().map(|(name, server)| {
        let key = known.iter().find(|key| key.name.as_str() == name);
        let key = key.ok_or_else(|| HubError::bad(format!("No such server '{name}' for user {user}")))?;
        let text = server.get("last_activity").and_then(Value::as_str).ok_or_else(wrong_shape)?;
        Ok((key, time_of(text, now)?))
    });
    Ok(Seen {
        servers: servers.collect::<Result<_, HubError>>()?,
        user: of_user.map(|text| time_of(text, now)).transpose()?,
    })
}

fn time_of(text: &str, now: Timestamp) -> Result<Timestamp, HubError> {
    let at = Timestamp::parse_iso(text).ok_or_else(|| HubError::bad(format!("Not a valid timestamp: '{text}'")))?;
    if at > now.plus(AHEAD_LIMIT) {
        let text = at.to_iso();
        return Err(HubError::bad(format!("Rejecting activity from more than an hour in the future: {text}")));
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(json: &str) -> Result<(Option<Timestamp>, Vec<Timestamp>), HubError> {
        let activity = json_body::<Activity>(&Bytes::from(json.to_owned()))?.ok_or_else(nothing_given)?;
        let alice = UserName::parse("alice").expect("a name");
        let known = [ServerKey::default_of(alice.clone())];
        let seen = seen(&activity, &alice, &known, Timestamp(1_795_313_227_732))?;
        Ok((seen.user, seen.servers.into_iter().map(|(_, at)| at).collect()))
    }

    #[test]
    fn a_servers_post_is_understood() {
        let at = "2026-11-22T02:05:45.002875Z";
        let parsed = Timestamp::parse_iso(at);
        let json = format!(r#"{{"servers": {{"": {{"last_activity": "{at}"}}}}, "last_activity": "{at}"}}"#);
        assert_eq!(times(&json).expect("it is sound"), (parsed, parsed.into_iter().collect()));
        let json = format!(r#"{{"servers": {{}}, "last_activity": "{at}", "other": 1}}"#);
        assert_eq!(times(&json).expect("it is sound"), (parsed, Vec::new()));
    }

    #[test]
    fn what_makes_no_sense_is_400() {
        for json in [
            "",
            "{}",
            "nonsense",
            "[]",
            r#"{"last_activity": null, "servers": null}"#,
            r#"{"last_activity": "", "servers": {}}"#,
            r#"{"last_activity": 7}"#,
            r#"{"last_activity": "yesterday"}"#,
            r#"{"last_activity": "2026-11-22T04:05:45Z"}"#,
            r#"{"servers": {"gpu": {"last_activity": "2026-11-22T02:00:00Z"}}}"#,
            r#"{"servers": {"": {}}}"#,
            r#"{"servers": {"": {"last_activity": null}}}"#,
            r#"{"servers": {"": ["2026-11-22T02:00:00Z"]}}"#,
            r#"{"servers": []}"#,
        ] {
            assert_eq!(times(json).map(|_| ()).map_err(|error| error.status().as_u16()), Err(400), "{json}");
        }
    }
}
