//! The last check of the audit log's chain: asked for, done in the background, looked at by the page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::HubState;
use crate::model::Timestamp;
use crate::store::ChainReport;

/// One check at a time, and what the last one found.
#[derive(Debug, Default)]
pub(super) struct AuditCheck {
    is_running: AtomicBool,
    last: Mutex<Option<Checked>>,
}

/// What a check found.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    /// When it was done.
    pub(super) at: Timestamp,
    /// None: the log could not be read.
    pub(super) report: Option<ChainReport>,
}

impl AuditCheck {
    pub(super) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Acquire)
    }

    pub(super) fn last(&self) -> Option<Checked> {
        self.last.lock().clone()
    }
}

impl HubState {
    /// Begins a check of the audit log in the background, unless one is under way.
    pub fn check_audit(&self) {
        let check = Arc::clone(&self.audit_check);
        if check.is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        let (auth, clock) = (self.auth.clone(), Arc::clone(&self.clock));
        self.program.tasks.spawn(async move {
            let report = match auth.verify_audit().await {
                Ok(report) => Some(report),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the audit log could not be checked");
                    None
                }
            };
            if let Some(first_break) = report.as_ref().and_then(|report| report.first_break.as_ref()) {
                tracing::error!(%first_break, "the audit log is not what was written");
            }
            *check.last.lock() = Some(Checked { at: clock.now(), report });
            check.is_running.store(false, Ordering::Release);
        });
    }
}
