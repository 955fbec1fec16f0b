//! `{base}hub/health`: that we live, and a few numbers. Tells nothing about anybody.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::hub::HubState;

/// `GET` → JSON; `HEAD` has no body.
pub(in crate::hub) async fn get(State(state): State<HubState>) -> Response {
    let uptime = state.clock.now().since(state.started_at).as_secs();
    let body = json!({
        "status": "ok",
        "uptime_seconds": uptime,
        "uptime": uptime_text(uptime),
        "version": { "slipway": env!("CARGO_PKG_VERSION"), "jupyterhub": state.config.jupyterhub_version },
        "users": { "total": state.auth.users().len(), "active_servers": state.spawner.active().len() },
    });
    ([(CACHE_CONTROL, "no-cache, no-store, must-revalidate")], Json(body)).into_response()
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
