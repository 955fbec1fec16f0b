//! How large volumes are: looked at in the background, slowly and seldom, and remembered. Nobody who waits for a page
//! waits for this.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Keeper, VolumeSize};
use crate::model::{UserName, VolumeStem};

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

/// How large the volumes of one account are, as far as they were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedSizes {
    /// All of them together, in bytes.
    pub bytes: u64,
    /// Each by its suffix, in order.
    pub parts: BTreeMap<String, u64>,
}

/// What is known of sizes.
#[derive(Default)]
pub(in crate::spawner) struct Sizes {
    known: RwLock<HashMap<String, VolumeSize>>,
    of_owners: RwLock<HashMap<UserName, OwnedSizes>>,
    wanted: Notify,
}

impl Sizes {
    pub(super) fn of(&self, name: &str) -> Option<VolumeSize> {
        self.known.read().get(name).copied()
    }

    /// Of all accounts whose volumes were looked at.
    pub(super) fn totals(&self) -> Vec<(UserName, u64)> {
        self.of_owners.read().iter().map(|(owner, sizes)| (owner.clone(), sizes.bytes)).collect()
    }

    pub(super) fn of_owner(&self, owner: &UserName) -> Option<OwnedSizes> {
        self.of_owners.read().get(owner).cloned()
    }

    /// An account has another name, and its volumes with it.
    pub(in crate::spawner) fn renamed(&self, from: &UserName, to: &UserName) {
        let mut owners = self.of_owners.write();
        if let Some(sizes) = owners.remove(from) {
            owners.insert(to.clone(), sizes);
        }
    }

    /// An account has ended: the next one of its name has none of its volumes.
    pub(in crate::spawner) fn forget(&self, owner: &UserName) {
        self.of_owners.write().remove(owner);
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
                let sizes: HashMap<_, _> = sizes.into_iter().take(VOLUMES_LIMIT).collect();
                match self.rows.owners_by_stem().await {
                    Ok(owners) => *self.sizes.of_owners.write() = self.sum_up(&sizes, &owners),
                    Err(error) => {
                        warn!(error = &error as &dyn std::error::Error, "whose volumes these are could not be read");
                    }
                }
                let known = sizes.into_iter().map(|(name, bytes)| (name, VolumeSize { bytes, at }));
                *self.sizes.known.write() = known.collect();
            }
            Ok(Err(error)) => {
                warn!(error = &error as &dyn std::error::Error, "the engine does not say how large volumes are");
            }
            Err(_) => warn!(limit_s = limit.as_secs(), "the engine did not say in time how large volumes are"),
        }
    }

    fn sum_up(
        &self,
        sizes: &HashMap<String, u64>,
        owners: &HashMap<VolumeStem, UserName>,
    ) -> HashMap<UserName, OwnedSizes> {
        let mut sums: HashMap<UserName, OwnedSizes> = HashMap::new();
        for (name, bytes) in sizes {
            let Some((stem, suffix)) = self.backend.owner_of_volume(name) else { continue };
            let Some(owner) = owners.get(&stem) else { continue };
            let sum = sums.entry(owner.clone()).or_default();
            sum.bytes = sum.bytes.saturating_add(*bytes);
            sum.parts.insert(suffix, *bytes);
        }
        sums
    }
}
