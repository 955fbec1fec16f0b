//! `{base}hub/health`: that we live, and a few numbers. Tells nothing about anybody.

mod limit;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

pub(in crate::hub) use limit::HealthLimit;

use crate::hub::HubState;
use crate::hub::extract::VisitOf;

/// That we live, and a few numbers.
#[derive(Serialize, ToSchema)]
#[schema(as = Health, example = json!({
    "status": "ok", "uptime_seconds": 93_784, "uptime": "1d 2h 3m", "version": { "slipway": "0.1.0", "jupyterhub": "6.1.1" },
    "users": { "total": 12, "active_servers": 3 }
}))]
pub(in crate::hub) struct Health {
    /// `ok`.
    status: &'static str,
    uptime_seconds: u64,
    /// The same for people.
    uptime: String,
    version: Versions,
    users: Numbers,
}

#[derive(Serialize, ToSchema)]
#[schema(as = HealthVersions)]
struct Versions {
    slipway: &'static str,
    /// The version of JupyterHub whose contract is kept.
    jupyterhub: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = HealthNumbers)]
struct Numbers {
    /// Accounts.
    total: usize,
    /// Servers that run, start or stop.
    active_servers: usize,
}

/// Too often.
#[derive(Serialize, ToSchema)]
#[schema(as = HealthTooOften, example = json!({ "error": "too many questions", "retry_after": 1 }))]
struct TooOften {
    error: &'static str,
    /// In seconds.
    retry_after: u64,
}

/// `GET` → JSON; `HEAD` has no body.
#[utoipa::path(
    get, path = "/health", operation_id = "get_health", tag = "Hub",
    summary = "Is it alive", description = "For everybody.",
    security(()),
    responses(
        (status = 200, description = "It is.", body = Health),
        (status = 429, description = "It is, and this address has asked too often: ten times a second on average.", body = TooOften),
    ),
)]
pub(in crate::hub) async fn get(State(state): State<HubState>, VisitOf(visit): VisitOf) -> Response {
    let now = state.clock.now();
    let no_cache = (CACHE_CONTROL, "no-cache, no-store, must-revalidate");
    if !state.health_limit.admits(visit.address, now) {
        let body = TooOften { error: "too many questions", retry_after: 1 };
        return (StatusCode::TOO_MANY_REQUESTS, [no_cache, (RETRY_AFTER, "1")], Json(body)).into_response();
    }
    let uptime = now.since(state.started_at).as_secs();
    let body = Health {
        status: "ok",
        uptime_seconds: uptime,
        uptime: uptime_text(uptime),
        version: Versions { slipway: env!("CARGO_PKG_VERSION"), jupyterhub: state.config.jupyterhub_version.clone() },
        users: Numbers { total: state.auth.users().len(), active_servers: state.spawner.active().len() },
    };
    ([no_cache], Json(body)).into_response()
}

fn uptime_text(seconds: u64) -> String {
    let minutes = seconds / 60;
    format!("{}d {}h {}m", minutes / 1440, minutes / 60 % 24, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_is_said_in_days_hours_and_minutes() {
        assert_eq!(uptime_text(59), "0d 0h 0m");
        assert_eq!(uptime_text(2 * 86_400 + 3 * 3600 + 4 * 60 + 5), "2d 3h 4m");
    }
}
