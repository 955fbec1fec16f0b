//! An error as JupyterHub's API writes it: `{"status", "message"}`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::hub::error::HubError;

/// Why a request was not done.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Error, example = json!({ "status": 404, "message": "No such group: physics" }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ErrorModel {
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was wrong, for a person; `null` where JupyterHub says nothing either.
    #[schema(required)]
    message: Option<String>,
    /// The exit status of a server that failed to start, if it ended (Slipway's own).
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
    /// The last log lines of a server that failed to start (Slipway's own).
    #[serde(skip_serializing_if = "Option::is_none")]
    log_tail: Option<Vec<String>>,
}

impl ErrorModel {
    /// What a program reads of `error`.
    pub(in crate::hub) fn of(error: &HubError) -> Self {
        let failure = match error {
            HubError::StartFailed(failure) => Some(failure),
            _ => None,
        };
        Self {
            status: error.status().as_u16(),
            message: error.message(),
            exit_code: failure.and_then(|failure| failure.exit_code),
            log_tail: failure.map(|failure| failure.log_tail.clone()),
        }
    }
}
