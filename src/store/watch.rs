//! When somebody last watched over idle servers, and where the wall clock has jumped: so that time in which nobody
//! watched makes no server idle.

use serde::{Deserialize, Serialize};

use super::{META, Store, StoreError, Transaction};
use crate::model::{Observed, Timestamp};

/// Where in `meta` it is.
const WATCH: &str = "idle_watch";

/// What is known of the time in which idle servers were watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRow {
    /// Watched until then at least.
    pub alive_at: Timestamp,
    /// And not in these gaps.
    pub observed: Observed,
}

impl Store {
    /// What was last written down; None: nothing ever.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn idle_watch(&self) -> Result<Option<WatchRow>, StoreError> {
        self.row_if_table(META, WATCH.as_bytes())
    }
}

impl Transaction<'_> {
    /// Writes down until when idle servers are watched.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_idle_watch(&mut self, row: &WatchRow) -> Result<(), StoreError> {
        self.put_meta(WATCH, row)
    }
}
