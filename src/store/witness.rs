//! Remembers, outside the database, how many commits have been acknowledged.
//!
//! redb's file has two commit slots. If the newer one is damaged, redb goes back to the older one without a word:
//! right after a crash in the middle of a commit, wrong if the commit had been acknowledged. The witness is two
//! slots of 32 bytes in a file of its own, written in turn after each commit and before its success is told.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::seal::Sealer;

const SLOT_BYTES: usize = 32;
pub(super) const WITNESS_BYTES: usize = 2 * SLOT_BYTES;

/// The open witness file.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    sealer: Sealer,
}

impl Witness {
    pub(super) fn new(file: File, sealer: Sealer) -> Self {
        Self { file, sealer }
    }

    /// The highest number of an acknowledged commit; None if neither slot is ours.
    pub(super) fn sequence(&self) -> io::Result<Option<u64>> {
        let mut bytes = [0; WITNESS_BYTES];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes.chunks_exact(SLOT_BYTES).filter_map(|slot| self.read_slot(slot)).max())
    }

    fn read_slot(&self, slot: &[u8]) -> Option<u64> {
        let (sequence, mac) = slot.split_first_chunk::<8>()?;
        let sequence = u64::from_le_bytes(*sequence);
        let expected = self.sealer.mac_of_sequence(sequence);
        mac.starts_with(&expected).then_some(sequence)
    }

    /// Notes that commit `sequence` is durable; durable itself when this returns.
    pub(super) fn note(&mut self, sequence: u64) -> io::Result<()> {
        let mut slot = [0; SLOT_BYTES];
        let mac = self.sealer.mac_of_sequence(sequence);
        slot[..8].copy_from_slice(&sequence.to_le_bytes());
        slot[8..8 + mac.len()].copy_from_slice(&mac);
        self.file.write_all_at(&slot, sequence % 2 * SLOT_BYTES as u64)?;
        self.file.sync_data()
    }
}
