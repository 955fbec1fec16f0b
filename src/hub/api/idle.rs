//! `GET /users/{u}/session-info` and `POST /users/{u}/extend-session`, and the same of named servers: the time that a
//! server has left before it is stopped (platform.md §8.2 and §16).

use std::num::NonZeroU32;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::any_json;
use super::model::error::ErrorModel;
use super::model::idle::{ExtendedModel, ExtensionFaultModel, ExtensionModel, ExtensionRefusalModel, SessionInfoModel};
use super::server_path::{ServerPath, told};
use super::servers::exists;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::hub::idle::in_words;
use crate::model::{ServerState, Timestamp};
use crate::spawner::{ExtendError, SpawnerError};

/// What an extension asks for; the handler reads it by itself, to tell in the platform's words what is wrong.
#[derive(ToSchema)]
#[schema(as = ExtensionWish, example = json!({ "hours": 2 }))]
#[allow(dead_code, reason = "it describes the body")]
pub(in crate::hub) struct ExtensionWish {
    /// Hours, 1 if left out; the part behind the point is dropped, and more than is offered is cut to the offer.
    #[schema(minimum = 1, default = 1, nullable = false)]
    hours: Option<f64>,
}

/// `GET /users/{u}/servers/{s}/session-info`
#[utoipa::path(
    get, path = "/users/{user}/servers/{server}/session-info", operation_id = "get_server_session_info", tag = "Servers",
    summary = "How long a server has left",
    description = "Before it is stopped because nobody uses it, or because it has run for long. The default server's is at \
                   `/users/{user}/session-info`.",
    params(ServerPath),
    security(("token" = ["read:servers"])),
    responses(
        (status = 200, description = "What there is to know.", body = SessionInfoModel),
        (status = 403, description = "Not one's own, and none that one may see.", body = ErrorModel),
        (status = 404, description = "There is no such user or server.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn info(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    path: ServerPath,
) -> Result<Json<SessionInfoModel>, HubError> {
    let key = path.reach_or_403(&state, &caller, &["read:servers"])?;
    if !exists(&state, &key) {
        return Err(HubError::NoSuchPage);
    }
    let rules = state.spawner.idle_rules(&key.user).rules;
    let view = state.spawner.idle_view(&key);
    let seconds = |time: Duration| time.as_secs();
    Ok(Json(SessionInfoModel {
        culler_enabled: !rules.are_off(),
        server_active: state.spawner.status(&key).state == ServerState::Ready,
        timeout_seconds: rules.idle_after.map(seconds),
        max_extension_hours: rules.extension_at_most.as_secs() / 3600,
        last_activity: state.spawner.last_activity(&key).map(Timestamp::to_iso),
        time_remaining_seconds: view.as_ref().and_then(|view| view.remaining).map(seconds),
        extensions_available_hours: view.as_ref().map_or(0, |view| view.offered_hours),
        display_ceiling_seconds: view.filter(|view| view.remaining.is_some()).map(|view| view.high_water.as_secs()),
    }))
}

/// `POST /users/{u}/servers/{s}/extend-session`
#[utoipa::path(
    post, path = "/users/{user}/servers/{server}/extend-session", operation_id = "extend_server_session", tag = "Servers",
    summary = "Give a server more time",
    description = "In whole hours. More than is offered is cut to the offer, which lands exactly on the ceiling. The \
                   default server's is at `/users/{user}/extend-session`.",
    params(ServerPath),
    security(("token" = ["servers"])),
    request_body(content = Option<ExtensionWish>),
    responses(
        (status = 200, description = "It has more time.", body = ExtensionModel),
        (status = 400, description = "No number of hours, not running, never stopped, or at its ceiling.", body = ExtensionFaultModel),
        (status = 403, description = "Not one's own, and none that one may manage.", body = ErrorModel),
        (status = 404, description = "There is no such user or server.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn extend(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    path: ServerPath,
    body: Bytes,
) -> Result<Response, HubError> {
    let key = path.reach_or_403(&state, &caller, &["servers"])?;
    if !exists(&state, &key) {
        return Err(HubError::NoSuchPage);
    }
    let hours = match hours_of(&body) {
        Ok(hours) => hours,
        Err(sentence) => return Ok(refused(sentence)),
    };
    let name = told(&key);
    let extended = match state.spawner.extend(&key, hours, by).await {
        Ok(extended) => extended,
        Err(ExtendError::Store(error)) => return Err(error.into()),
        Err(ExtendError::Closed) => return Err(SpawnerError::Closed.into()),
        Err(ExtendError::Off) => return Ok(refused(format!("{name} is never stopped for being idle"))),
        Err(ExtendError::NotRunning) => return Ok(refused(format!("{name} is not running"))),
        Err(ExtendError::AtCeiling) => return Ok(refused(format!("{name} has all the time that can be given"))),
    };
    let remaining = extended.view.remaining;
    let left = remaining.map_or_else(|| "all the time".to_owned(), in_words);
    let all = if extended.truncated { ", which is all that can be given" } else { "" };
    let model = ExtensionModel {
        success: true,
        message: format!("{name} has {left} from now{all}"),
        truncated: extended.truncated,
        session_info: ExtendedModel {
            time_remaining_seconds: remaining.map(|time| time.as_secs()),
            extensions_available_hours: extended.view.offered_hours,
        },
    };
    Ok(Json(model).into_response())
}

fn refused(error: String) -> Response {
    (StatusCode::BAD_REQUEST, Json(ExtensionRefusalModel { success: false, error })).into_response()
}

/// The hours that a body asks for: 1 if it names none, else the whole hours of a number of at least 1.
fn hours_of(body: &Bytes) -> Result<NonZeroU32, String> {
    let wish = any_json(body).map_err(|error| error.message().unwrap_or_default())?;
    let hours = match wish {
        None => return Ok(NonZeroU32::MIN),
        Some(Value::Object(mut wish)) => {
            let hours = wish.remove("hours");
            if !wish.is_empty() {
                return Err("the body holds nothing but hours".to_owned());
            }
            hours
        }
        Some(_) => return Err("the body must be a JSON object".to_owned()),
    };
    let Some(hours) = hours else { return Ok(NonZeroU32::MIN) };
    // A number beyond all offers is cut to the offer, as 99 is.
    let whole = hours.as_f64().filter(|hours| *hours > 0.0).map(|hours| hours.min(f64::from(u32::MAX)) as u32);
    whole.and_then(NonZeroU32::new).ok_or_else(|| "hours must be a number, 1 or more".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_cut_to_whole_ones_and_what_is_no_time_is_refused() {
        let hours = |body: &str| hours_of(&Bytes::from(body.to_owned())).map(NonZeroU32::get).ok();
        for (body, expected) in [
            ("", 1),
            ("{}", 1),
            (r#"{"hours": 3}"#, 3),
            (r#"{"hours": 2.9}"#, 2),
            (r#"{"hours": 1e300}"#, u32::MAX),
            (r#"{"hours": 99999999999999999999}"#, u32::MAX),
        ] {
            assert_eq!(hours(body), Some(expected), "{body}");
        }
        for body in [
            "{",
            "[]",
            "7",
            "null",
            r#"{"hours": 0}"#,
            r#"{"hours": 0.5}"#,
            r#"{"hours": -1}"#,
            r#"{"hours": "2"}"#,
            r#"{"hours": null}"#,
            r#"{"hours": true}"#,
            r#"{"hours": [1]}"#,
            r#"{"hours": 1, "evil": 2}"#,
            r#"{"hours": 1e999}"#,
        ] {
            assert_eq!(hours(body), None, "{body}");
        }
    }
}
