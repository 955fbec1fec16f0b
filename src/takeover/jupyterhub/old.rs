//! Opens a JupyterHub's database, and refuses what is none in one sentence.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

/// What a JupyterHub's database says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldHub {
    /// The revision of its tables.
    pub revision: String,
}

/// Why a database cannot be taken over. Each is a sentence with a cure.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened.
    #[error("{path}: this file cannot be read as a JupyterHub database; say where jupyterhub.sqlite lies with --db")]
    NotJupyterHub {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        cause: rusqlite::Error,
    },
}

/// Reads a database, and changes nothing.
///
/// # Errors
/// If it is not a JupyterHub's.
pub fn read(path: &Path) -> Result<OldHub, ReadError> {
    let refused = |cause| ReadError::NotJupyterHub { path: path.to_owned(), cause };
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(refused)?;
    let revision = database.query_row("SELECT version_num FROM alembic_version", [], |row| row.get(0));
    Ok(OldHub { revision: revision.map_err(refused)? })
}
