//! How large volumes are: looked at in the background, slowly and seldom, and remembered. Nobody who waits for a page
//! waits for this.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Keeper, VolumeSize};

/// Volumes whose sizes are remembered. 100,000: three of 30,000 people.
const VOLUMES_LIMIT: usize = 100_000;

/// When sizes are looked at.
#[derive(Clone, Copy, Debug)]
pub(in crate::spawner) struct Pace {
    /// Between the end of one look and the next; zero: never.
    pub(in crate::spawner) interval: Duration,
    /// How long one look may take.
    pub(in crate::spawner) limit: Duration,
    /// The wait before a look that a change has asked for, and before the first one: a host that starts has other things
    /// to do, and several changes want one look.
    pub(in crate::spawner) soon: Duration,
}

/// What is known of sizes.
#[derive(Default)]
pub(in crate::spawner) struct Sizes {
    known: RwLock<HashMap<String, VolumeSize>>,
    wanted: Notify,
}

impl Sizes {
    pub(super) fn of(&self, name: &str) -> Option<VolumeSize> {
        self.known.read().get(name).copied()
    }

    /// Something has changed that people will look at.
    pub(super) fn look_soon(&self) {
        self.wanted.notify_one();
    }
}

impl Keeper {
    /// Looks again and again, until the program stops.
    pub(in crate::spawner) async fn keep_sizes(self: Arc<Self>, pace: Pace, stopping: CancellationToken) {
        if pace.interval.is_zero() {
            return;
        }
        let look = async {
            loop {
                sleep(pace.soon).await;
                self.look_at_sizes(pace.limit).await;
                tokio::select! {
                    () = sleep(pace.interval) => {}
                    () = self.sizes.wanted.notified() => {}
                }
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = look => {}
        }
    }

    /// One look. What it says nothing of stays unknown: a volume that is gone must not keep its size.
    pub(in crate::spawner) async fn look_at_sizes(&self, limit: Duration) {
        let at = self.clock.now();
        match timeout(limit, self.backend.volume_sizes()).await {
            Ok(Ok(sizes)) => {
                debug!(volumes = sizes.len(), "sizes of volumes were looked at");
                let sizes = sizes.into_iter().take(VOLUMES_LIMIT);
                *self.sizes.known.write() = sizes.map(|(name, bytes)| (name, VolumeSize { bytes, at })).collect();
            }
            Ok(Err(error)) => {
                warn!(error = &error as &dyn std::error::Error, "the engine does not say how large volumes are");
            }
            Err(_) => warn!(limit_s = limit.as_secs(), "the engine did not say in time how large volumes are"),
        }
    }
}
