//! What can go wrong with the store, and the two ways redb's errors become ours.

use std::io;
use std::path::PathBuf;

use redb::{CommitError, StorageError, TableError, TransactionError};

/// Why rows could not be read or written, or the store not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A read failed.
    #[error("the database could not be read")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The commit failed: whether it is there is unknown; the store has been reopened and a read tells.
    #[error("the database could not be written; what was asked may or may not have happened")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A value is not what we wrote.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The store was not opened because what is there cannot be trusted. Nothing was altered.
    #[error("{} {what}; {cure}", file.display())]
    Refused {
        /// The file (or folder) in question.
        file: PathBuf,
        /// What is wrong with it, as a verb phrase.
        what: String,
        /// What the operator can do.
        cure: &'static str,
    },
    /// What was to be written hangs on something that has ended meanwhile (its owner, its session).
    #[error("{0} is gone")]
    Gone(&'static str),
    /// Another process has the store open.
    #[error("{} is in use: slipway is already running with it; stop that one first, or give this one another data_dir", .data_dir.display())]
    InUse {
        /// The folder of the store.
        data_dir: PathBuf,
    },
}

impl StoreError {
    /// True if what is there is damaged or incomplete, so that only a backup helps.
    #[must_use]
    pub fn wants_backup(&self) -> bool {
        matches!(self, Self::Refused { cure, .. } if *cure == RESTORE)
    }

    /// True if a write failed because its disk (or its quota) is full: it heals by itself when there is room again.
    #[must_use]
    pub fn is_without_room(&self) -> bool {
        let Self::Unknown(cause) = self else { return false };
        // redb's errors do not name their cause as `source`.
        let storage = match (cause.downcast_ref(), cause.downcast_ref(), cause.downcast_ref()) {
            (Some(CommitError::Storage(storage)), _, _)
            | (_, Some(TransactionError::Storage(storage)), _)
            | (_, _, Some(TableError::Storage(storage))) => Some(storage),
            _ => cause.downcast_ref::<StorageError>(),
        };
        let system = match storage {
            Some(StorageError::Io(system)) => Some(system),
            _ => cause.downcast_ref::<io::Error>(),
        };
        system.is_some_and(|e| matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// The cure for a damaged or missing file.
pub(super) const RESTORE: &str =
    "nothing was changed: keep a copy of the folder, then restore a backup: slipway restore FILE";
/// The cure for a file that is no backup.
pub(super) const ANOTHER_BACKUP: &str = "nothing was changed: name a file that slipway backup has made";
/// The cure for a backup of another installation.
pub(super) const ANOTHER_FOLDER: &str = "nothing was changed: set data_dir to an empty folder to bring it back there";
/// The cure for a file that cannot be written.
pub(super) const FREE_SPACE: &str = "the store is as it was: make room there, or name another place";
/// The cure for a disk that is full.
pub(super) const MAKE_ROOM: &str = "make room on its disk";
/// The cure for a folder that we may not use.
pub(super) const PERMIT: &str = "give the user that runs slipway the right to it, or set data_dir to another folder";
/// The cure for a database from the future.
pub(super) const UPDATE: &str = "run that version again, or restore a backup made by this one";

pub(super) fn unreadable(cause: impl Into<redb::Error>) -> StoreError {
    StoreError::Read(Box::new(cause.into()))
}

pub(super) fn unwritten(cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unknown(Box::new(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_faults_in_each_of_the_errors_that_carry_it() {
        let carriers: [fn(io::ErrorKind) -> StoreError; 5] = [
            |kind| unwritten(io::Error::from(kind)),
            |kind| unwritten(StorageError::Io(kind.into())),
            |kind| unwritten(CommitError::Storage(StorageError::Io(kind.into()))),
            |kind| unwritten(TransactionError::Storage(StorageError::Io(kind.into()))),
            |kind| unwritten(TableError::Storage(StorageError::Io(kind.into()))),
        ];
        for carrier in carriers {
            assert!(carrier(io::ErrorKind::StorageFull).is_without_room());
            assert!(!carrier(io::ErrorKind::Other).is_without_room());
        }
    }
}
