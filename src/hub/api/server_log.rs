//! `GET /users/{u}/server[s/{s}]/logs?tail=N`: the last lines of a server's container, both streams.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::model::error::ErrorModel;
use super::query::Query;
use super::server_path::{ServerPath, told};
use super::servers::exists;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;

/// Lines if nobody says how many.
const LINES: usize = 15;
/// Lines at most.
const LINES_LIMIT: usize = 200;

/// How much of the log is asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it describes what `lines_of` reads")]
pub(in crate::hub) struct LogQuery {
    /// How many lines: 1 to 200, 15 if left out or no number.
    #[param(minimum = 1, maximum = 200, example = 15)]
    tail: Option<u64>,
}

/// The last lines.
#[derive(Serialize, ToSchema)]
#[schema(as = ServerLog, example = json!({ "lines": ["[I 10:00:00 ServerApp] Jupyter Server is running"] }))]
pub(in crate::hub) struct ServerLog {
    /// Oldest first, without colours and control characters; a line of more than 1000 characters is cut.
    lines: Vec<String>,
}

/// Also of a server that has stopped, as far as its last lines were kept.
#[utoipa::path(
    get, path = "/users/{user}/servers/{server}/logs", operation_id = "get_server_log", tag = "Servers",
    summary = "Read the last lines of a server's log", description = "Both streams, as text fit for a page.",
    params(ServerPath, LogQuery),
    security(("token" = ["servers"])),
    responses(
        (status = 200, description = "The lines.", body = ServerLog),
        (status = 403, description = "Not one's own, and none that one may manage.", body = ErrorModel),
        (status = 404, description = "There is no such user or server, or it has never been started.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    path: ServerPath,
    uri: Uri,
) -> Result<Json<ServerLog>, HubError> {
    // What a server writes may hold secrets, so to see that it runs is not enough.
    let key = path.reach_or_403(&state, &caller, &["servers"])?;
    if !exists(&state, &key) {
        return Err(HubError::NoSuchPage);
    }
    if state.spawner.status(&key).generation.0 == 0 {
        return Err(HubError::not_found(format!("{} has no log: it has never been started", told(&key))));
    }
    let lines = state.spawner.log_tail(&key, lines_of(uri.query())).await?;
    Ok(Json(ServerLog { lines }))
}

fn lines_of(query: Option<&str>) -> usize {
    let asked = Query::parse(query).get("tail").and_then(|text| text.parse::<i64>().ok());
    asked.map_or(LINES, |lines| usize::try_from(lines).unwrap_or(0).clamp(1, LINES_LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_lines_is_kept_in_its_bounds() {
        for (query, expected) in [
            ("", 15),
            ("tail=40", 40),
            ("tail=0", 1),
            ("tail=-5", 1),
            ("tail=100000", 200),
            ("tail=99999999999999999999", 15),
            ("tail=all", 15),
        ] {
            assert_eq!(lines_of(Some(query)), expected, "{query}");
        }
    }
}
