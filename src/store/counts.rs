//! What the store counts: commits, and how long each took with its wait for the disk.

use super::Store;
use crate::model::{Durations, Timing};

/// The counts of one store: a few a second, so all threads share them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) commits: Timing,
    pub(super) refused: Timing,
}

/// What the store has counted so far.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Commits that are on the disk, from having the one writer's place to the disk's word.
    pub commits: Durations,
    /// Writes that were given up: by who wrote, or by the disk.
    pub refused: Durations,
}

impl Store {
    /// What has been counted so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures { commits: self.0.counts.commits.durations(), refused: self.0.counts.refused.durations() }
    }
}
