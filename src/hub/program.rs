//! What the API may see and ask of the program around the hub. Filled in by `app`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::model::{Actor, Routes};
use crate::spawner::Spawner;
use crate::store::Store;
use crate::tasks::Tasks;

/// The program around the hub. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    /// What the edge forwards by.
    pub routes: Arc<Routes>,
    /// Where servers reach the hub, without a path.
    pub hub_url: String,
    /// Cancelled to stop the program as SIGTERM does.
    pub stop: CancellationToken,
    /// Where tasks run.
    pub tasks: Tasks,
    /// The configuration in force, as it may be shown.
    pub settings: Arc<[SettingShown]>,
    /// What is kept of the hub's own doings.
    pub store: Store,
}

/// One setting as administrators see it: without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingShown {
    /// Its dotted name.
    pub key: String,
    /// The part of the name before the last dot; `general` if there is none.
    pub category: String,
    /// As TOML; a secret is `set` or `not set`, and `***` within others.
    pub value: String,
    /// Its default, as TOML.
    pub default: String,
    /// Where the value comes from.
    pub source: String,
    /// What it does.
    pub description: String,
    /// Whether somebody set it.
    pub is_set: bool,
}

impl Program {
    /// Stops the program in a task of its own, so that whoever asks still gets an answer; first all users' servers if
    /// `servers` is given, for `limit` at most.
    pub(super) fn stop(&self, servers: Option<(Spawner, Actor)>, limit: Duration) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            if let Some((spawner, by)) = servers
                && timeout(limit, stop_servers(&spawner, &by)).await.is_err()
            {
                warn!(limit_s = limit.as_secs(), "some servers have not stopped in time and go on");
            }
            stop.cancel();
        });
    }
}

async fn stop_servers(spawner: &Spawner, by: &Actor) {
    let active: Vec<_> = spawner.active().into_iter().map(|(server, _)| server).collect();
    info!(servers = active.len(), "stopping all servers");
    if let Err(error) = spawner.stop_all(&active, by).await {
        warn!(%error, "servers could not be stopped");
    }
}
