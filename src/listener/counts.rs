//! What a listener counts: connections, handshakes, bytes.

use std::sync::Arc;

use rustls::HandshakeKind;

use super::stream::Bytes;
use crate::model::{Count, PerThread};

/// The counts of one listener; outlives it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<PerThread<Set>>);

#[derive(Debug, Default)]
pub(super) struct Set {
    pub(super) accepted: Count,
    // Ended by another thread than it was begun by: only the sum means something.
    ended: Count,
    pub(super) turned_away: Count,
    pub(super) received_bytes: Count,
    pub(super) sent_bytes: Count,
    pub(super) full_handshakes: Count,
    pub(super) resumed_handshakes: Count,
    pub(super) failed_handshakes: Count,
    pub(super) late_handshakes: Count,
}

/// What a listener has counted so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Connections taken.
    pub accepted: u64,
    /// Connections open now.
    pub open: u64,
    /// Connections closed because their address had its share.
    pub turned_away: u64,
    /// Bytes of requests and WebSockets, after TLS.
    pub received_bytes: u64,
    /// Bytes of answers and WebSockets, before TLS.
    pub sent_bytes: u64,
    /// TLS handshakes from scratch.
    pub full_handshakes: u64,
    /// TLS handshakes of a client that came back.
    pub resumed_handshakes: u64,
    /// Handshakes that failed.
    pub failed_handshakes: u64,
    /// Handshakes that took too long.
    pub late_handshakes: u64,
}

impl Counts {
    pub(super) fn here(&self) -> &Set {
        self.0.here()
    }

    /// One more connection, until what is returned is dropped.
    pub(super) fn connection(&self) -> Open {
        self.here().accepted.one();
        Open(self.clone())
    }

    /// A connection has been secured, or has turned out to be plain.
    pub(super) fn note_handshake(&self, bytes: &Bytes) {
        let Bytes::Tls(stream) = bytes else { return };
        match stream.get_ref().1.handshake_kind() {
            Some(HandshakeKind::Resumed) => self.here().resumed_handshakes.one(),
            _ => self.here().full_handshakes.one(),
        }
    }

    /// What has been counted so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let ended = self.0.sum(|set| set.ended.get());
        let accepted = self.0.sum(|set| set.accepted.get());
        Figures {
            accepted,
            open: accepted.saturating_sub(ended),
            turned_away: self.0.sum(|set| set.turned_away.get()),
            received_bytes: self.0.sum(|set| set.received_bytes.get()),
            sent_bytes: self.0.sum(|set| set.sent_bytes.get()),
            full_handshakes: self.0.sum(|set| set.full_handshakes.get()),
            resumed_handshakes: self.0.sum(|set| set.resumed_handshakes.get()),
            failed_handshakes: self.0.sum(|set| set.failed_handshakes.get()),
            late_handshakes: self.0.sum(|set| set.late_handshakes.get()),
        }
    }
}

/// Counts as one open connection.
#[derive(Debug)]
pub(super) struct Open(Counts);

impl Open {
    pub(super) fn received(&self, bytes: usize) {
        self.0.here().received_bytes.more(bytes as u64);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.0.here().sent_bytes.more(bytes as u64);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.here().ended.one();
    }
}
