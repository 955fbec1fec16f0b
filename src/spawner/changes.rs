//! News of all servers in one place: who shows servers hears that one has changed, and looks.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

use crate::model::{ServerKey, ServerState, ServerStatus};

/// 256 changes (each some 100 bytes) are kept for a listener that is slow; after that it hears that it has missed some,
/// and looks at everything it shows.
const KEPT: usize = 256;

/// One server has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerChange {
    /// Which one.
    pub server: ServerKey,
    /// A start has gone on, in the same phase: nothing but its progress and message are new.
    pub is_only_progress: bool,
}

/// Tells what changes. Whoever tells never waits.
pub(super) struct Changes {
    sender: broadcast::Sender<ServerChange>,
    count: AtomicU64,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self { sender: broadcast::Sender::new(KEPT), count: AtomicU64::new(0) }
    }

    /// How many there have been, progress aside: two pages made at the same count show the same.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<ServerChange> {
        self.sender.subscribe()
    }

    pub(super) fn tell(&self, server: &ServerKey, is_only_progress: bool) {
        if !is_only_progress {
            self.count.fetch_add(1, Ordering::AcqRel);
        }
        // An error says that nobody listens.
        let _ = self.sender.send(ServerChange { server: server.clone(), is_only_progress });
    }
}

/// True if a start has gone on between these two and nothing else is different.
pub(super) fn is_only_progress(before: &ServerStatus, after: &ServerStatus) -> bool {
    let both_start = matches!((&before.state, &after.state), (ServerState::Starting(_), ServerState::Starting(_)));
    both_start && before.generation == after.generation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Phase, Timestamp, UserName};

    #[test]
    fn a_start_that_goes_on_is_only_progress() {
        let status = |state| ServerStatus { state, ..ServerStatus::stopped(Timestamp(0)) };
        let (image, ready) = (status(ServerState::Starting(Phase::Image)), status(ServerState::Ready));
        let further = ServerStatus { message: "40 %".into(), ..status(ServerState::Starting(Phase::Create)) };
        assert!(is_only_progress(&image, &further));
        assert!(!is_only_progress(&image, &ready) && !is_only_progress(&ready, &image));
    }

    #[test]
    fn progress_does_not_count_and_is_told_all_the_same() {
        let server = ServerKey::default_of(UserName::parse("alice").expect("a name"));
        let changes = Changes::new();
        changes.tell(&server, false);
        let mut listener = changes.subscribe();
        changes.tell(&server, true);
        assert_eq!(changes.count(), 1);
        assert_eq!(listener.try_recv(), Ok(ServerChange { server, is_only_progress: true }));
    }
}
