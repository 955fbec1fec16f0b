//! `{base}hub/metrics` and `{base}hub/api/metrics`: the figures of the program, for Prometheus.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::scopes;
use crate::auth::Target;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;

/// The content type of the text form, as Prometheus asks for it.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET` → text. Figures tell how busy people are, so they want `read:metrics` unless `metrics.authenticate` is off.
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "Hub",
    summary = "Figures for Prometheus", description = "As text, one figure a line.",
    security(("token" = ["read:metrics"])),
    responses((
        status = 200, description = "Figures in Prometheus' text form.", content_type = "text/plain", body = String,
        example = "# TYPE jupyterhub_running_servers gauge\njupyterhub_running_servers 3\n"
    )),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Response, HubError> {
    if state.config.authenticate_metrics {
        scopes::require(&caller, &["read:metrics"], Target::All)?;
    }
    let page = state.metrics_page.clone();
    match tokio::task::spawn_blocking(move || page()).await {
        Ok(text) => Ok(([(CONTENT_TYPE, TEXT)], text).into_response()),
        // It panicked, and that has been logged.
        Err(_) => Err(HubError::Wiring("the figures")),
    }
}
