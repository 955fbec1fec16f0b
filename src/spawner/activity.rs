//! Writes down when servers were last used, so that an idle culler is right after a restart of ours, even a sudden one.
//!
//! A server in constant use costs one row in `activity_resolution_s`, in a commit shared with all others. One that
//! was idle and is used again is due at once: a culler that reads the store's old time after a crash would end it under
//! its user's hands. So a crash loses `activity_resolution_s` of work in progress, and `activity_look_ms` of a return.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Config;
use super::board::Board;
use super::rows::Rows;

/// Rows of one commit: others wait for the store for some milliseconds, not for the whole table.
const ROWS_PER_COMMIT: usize = 500;

/// Runs until `stopping`, and writes everything once more then.
pub(super) async fn keep(board: Arc<Board>, rows: Rows, config: Config, stopping: CancellationToken) {
    let look_every = Duration::from_millis(config.activity_look_ms.max(1));
    let resolution = Duration::from_secs(config.activity_resolution_s);
    let mut is_stopping = false;
    while !is_stopping {
        is_stopping = tokio::time::timeout(look_every, stopping.cancelled()).await.is_ok();
        let resolution = if is_stopping { Duration::ZERO } else { resolution };
        for seen in board.unstored_activity(resolution).chunks(ROWS_PER_COMMIT) {
            match rows.note_activity(seen.to_vec()).await {
                Ok(()) => board.activity_is_stored(seen),
                // The next look tries again.
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "the activity of servers could not be stored");
                    break;
                }
            }
        }
    }
}
