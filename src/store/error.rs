//! What can go wrong with the store, and the two ways redb's errors become ours.

use std::path::PathBuf;

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

/// The cure for a damaged or missing file.
pub(super) const RESTORE: &str = "nothing was changed: keep a copy of the folder, then restore a backup";
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
