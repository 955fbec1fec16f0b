//! What servers have written beside their volumes: measured seldom, since the engine walks through all files for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Usages;
use crate::model::ServerKey;
use crate::spawner::Config;
use crate::spawner::backend::LayerSize;

/// Before the first look: a host that starts has other things to do.
const FIRST_AFTER: Duration = Duration::from_secs(15);
/// Servers whose sizes are remembered.
const SERVERS_LIMIT: usize = 100_000;

/// What is known of sizes.
pub(super) struct Layers {
    interval: Duration,
    limit: Duration,
    /// None: never measured.
    known: RwLock<Option<HashMap<ServerKey, LayerSize>>>,
}

impl Layers {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            interval: Duration::from_secs(config.layer_sizes_interval_s),
            limit: Duration::from_secs(config.layer_sizes_timeout_s.max(1)),
            known: RwLock::default(),
        }
    }

    pub(super) fn of(&self, server: &ServerKey) -> Option<LayerSize> {
        self.known.read().as_ref()?.get(server).copied()
    }

    pub(super) fn total(&self) -> Option<u64> {
        self.known.read().as_ref().map(|known| known.values().map(|size| size.written_bytes).sum())
    }
}

impl Usages {
    /// Measures again and again, until the program stops.
    pub(in crate::spawner) async fn keep_layers(self: Arc<Self>, stopping: CancellationToken) {
        if self.layers.interval.is_zero() {
            return;
        }
        let look = async {
            sleep(FIRST_AFTER).await;
            loop {
                self.look_at_layers().await;
                sleep(self.layers.interval).await;
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = look => {}
        }
    }

    /// One look. What it says nothing of is unknown from then on: a server that is gone must not keep its size. A look
    /// that fails leaves what was known.
    pub(in crate::spawner) async fn look_at_layers(&self) {
        let limit = self.layers.limit;
        match timeout(limit, self.backend.layer_sizes()).await {
            Ok(Ok(sizes)) => *self.layers.known.write() = Some(sizes.into_iter().take(SERVERS_LIMIT).collect()),
            Ok(Err(error)) => {
                warn!(error = &error as &dyn std::error::Error, "the engine does not say how large servers are");
            }
            Err(_) => warn!(limit_s = limit.as_secs(), "the engine did not say in time how large servers are"),
        }
    }
}
