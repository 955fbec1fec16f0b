//! The life of every server: start, watch, stop, reconcile. Publishes routes; knows no HTTP pages.
#![allow(missing_docs, clippy::unimplemented, dead_code, unused)]
// SKELETON: the faces other modules build on. Owner: spawner helper.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::model::*;
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;

/// Given by `app`: how a server's API token is made and ended (the real one is `auth`).
#[async_trait::async_trait]
pub trait ServerTokens: Send + Sync + 'static {
    async fn issue(&self, server: &ServerKey) -> Result<Secret, StoreError>;
    async fn end(&self, server: &ServerKey) -> Result<(), StoreError>;
}

#[derive(Debug, thiserror::Error)]
pub enum SpawnerError {
    #[error("too many servers are starting; try again")]
    TooMany { retry_after: std::time::Duration },
    #[error("the server is stopping; try again in a moment")]
    Stopping,
    #[error("Slipway is stopping")]
    Closed,
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Spawner;
impl Spawner {
    /// Wishes a start (idempotent, coalesced: many wishes, one start) and returns the status right after the wish was taken.
    pub async fn start(&self, server: &ServerKey) -> Result<ServerStatus, SpawnerError> {
        unimplemented!()
    }
    /// Wishes a stop; returns the status right after.
    pub async fn stop(&self, server: &ServerKey) -> Result<ServerStatus, SpawnerError> {
        unimplemented!()
    }
    /// Snapshot.
    pub fn status(&self, server: &ServerKey) -> ServerStatus {
        unimplemented!()
    }
    /// Follows a server's status; the present one is seen at once.
    pub fn watch(&self, server: &ServerKey) -> watch::Receiver<ServerStatus> {
        unimplemented!()
    }
    /// All servers that are not plainly stopped.
    pub fn active(&self) -> Vec<(ServerKey, ServerStatus)> {
        unimplemented!()
    }
    /// Stops and forgets all servers of a user that is being deleted (volumes stay).
    pub async fn forget_user(&self, user: &UserName) -> Result<(), SpawnerError> {
        unimplemented!()
    }
    /// The edge's report; never blocks, may be dropped when the queue is full.
    pub fn report_unreachable(&self, report: Unreachable) {
        unimplemented!()
    }
    /// What a server posted about its own last activity (contract §1.2.2); times only move forward.
    pub fn note_activity(&self, server: &ServerKey, at: Timestamp) {
        unimplemented!()
    }
    pub fn last_activity(&self, server: &ServerKey) -> Option<Timestamp> {
        unimplemented!()
    }
}
