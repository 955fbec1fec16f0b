//! What a server has of the host's graphics processors.

use serde::{Deserialize, Serialize};

/// What one server has, kept with its row: whoever comes after us must not give it away again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuHeld {
    /// By UUID, in order of index.
    pub uuids: Vec<String>,
    /// Nobody else has them.
    pub is_exclusive: bool,
    /// It was given all when nobody could tell which there were.
    pub is_unseen: bool,
}

impl GpuHeld {
    /// True if it is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.uuids.is_empty() && !self.is_unseen
    }
}
