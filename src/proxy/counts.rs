//! What the proxy counts: connections to servers and open WebSockets.

use std::sync::Arc;

use super::Proxy;
use crate::model::{Count, PerThread};

/// The counts of one proxy.
#[derive(Debug, Default)]
pub(super) struct Counts(PerThread<Set>);

#[derive(Debug, Default)]
pub(super) struct Set {
    pub(super) dialled: Count,
    pub(super) reused: Count,
    pub(super) unreachable: Count,
    websockets: Count,
    // Ended by another thread than it was begun by: only the sum means something.
    websockets_ended: Count,
}

impl Counts {
    pub(super) fn here(&self) -> &Set {
        self.0.here()
    }

    /// One more WebSocket, until what is returned is dropped.
    pub(super) fn websocket(self: &Arc<Self>) -> OpenWebSocket {
        self.here().websockets.one();
        OpenWebSocket(self.clone())
    }
}

/// Counts as one open WebSocket.
#[derive(Debug)]
pub(super) struct OpenWebSocket(Arc<Counts>);

impl Drop for OpenWebSocket {
    fn drop(&mut self) {
        self.0.here().websockets_ended.one();
    }
}

/// What the proxy has counted so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Connections made to servers.
    pub dialled: u64,
    /// Requests that took a connection that was there already.
    pub reused: u64,
    /// Connections that could not be made.
    pub unreachable: u64,
    /// Connections that wait for their next request now.
    pub idle: u64,
    /// WebSockets opened.
    pub websockets: u64,
    /// WebSockets open now.
    pub websockets_open: u64,
}

impl Proxy {
    /// What has been counted so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let counts = &self.inner.counts.0;
        let ended = counts.sum(|set| set.websockets_ended.get());
        let websockets = counts.sum(|set| set.websockets.get());
        Figures {
            dialled: counts.sum(|set| set.dialled.get()),
            reused: counts.sum(|set| set.reused.get()),
            unreachable: counts.sum(|set| set.unreachable.get()),
            idle: self.inner.pool.idle_count() as u64,
            websockets,
            websockets_open: websockets.saturating_sub(ended),
        }
    }
}
