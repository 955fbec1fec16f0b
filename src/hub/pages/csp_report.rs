//! `POST {base}hub/security/csp-report`: a browser tells that a page broke its content policy. It is logged, and that is
//! all: whoever is signed in may send anything here.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tracing::warn;

use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::model::Timestamp;

/// Between two lines: one broken page makes a dozen reports, and they say the same.
const QUIET: Duration = Duration::from_secs(1);
/// Of an address in a report. The log's lines are bounded too; this keeps the interesting part within.
const TEXT_LIMIT: usize = 256;

/// When the last line was written, of all hubs of this process.
static LAST: AtomicI64 = AtomicI64::new(0);

#[derive(Deserialize)]
struct Report {
    #[serde(rename = "csp-report")]
    report: Violation,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Violation {
    #[serde(default)]
    document_uri: String,
    #[serde(default)]
    blocked_uri: String,
    #[serde(default)]
    violated_directive: String,
}

/// 200, whatever it says; 403 for strangers.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    body: Bytes,
) -> Result<StatusCode, HubError> {
    let session = caller.session().ok_or(HubError::Anonymous)?;
    if let Ok(Report { report }) = serde_json::from_slice(&body)
        && is_time(state.clock.now())
    {
        let (page, blocked) = (shown(&report.document_uri), shown(&report.blocked_uri));
        let directive = shown(&report.violated_directive);
        warn!(user = %session.user.name, page, blocked, directive, "a page broke its content policy");
    }
    Ok(StatusCode::OK)
}

fn is_time(now: Timestamp) -> bool {
    let last = Timestamp(LAST.load(Ordering::Relaxed));
    let is_time = now < last || now.since(last) >= QUIET;
    is_time && LAST.compare_exchange(last.0, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// Without its query, which may carry a token.
fn shown(text: &str) -> &str {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let end = text.char_indices().nth(TEXT_LIMIT).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_short_and_without_secrets() {
        assert_eq!(shown("https://x/lab?token=abc#d"), "https://x/lab");
        assert_eq!(shown(&"ü".repeat(300)).chars().count(), TEXT_LIMIT);
    }
}
