//! Rows in, rows out: opens, checks, reads and writes the one database file. Decides nothing.
//!
//! `open` says which files a store consists of and when one is refused; `staged` keeps a refused file as it
//! was; `backup` copies all of it into one file and `restore` brings that back; `copies` is a folder of such files; `seal`
//! is the form of a value; `witness` notices a database that has gone back in time; `transaction` is what a write may do;
//! `displaced` answers from memory whose volumes are kept under another name than their owner's.

mod acme;
mod audit;
mod backup;
mod copies;
mod counts;
mod displaced;
mod error;
mod files;
mod groups;
mod history;
mod notices;
mod open;
mod restore;
mod rows;
mod seal;
mod staged;
mod takeover;
mod transaction;
mod volumes;
mod watch;
mod witness;

#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};
use redb::{ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};
use serde::de::DeserializeOwned;

use crate::model::{InstanceId, ServerKey, UserName};

pub use acme::{AcmeAccountRow, AcmeCertificate, AcmeNameRow, AcmeOrder};
pub use audit::{AuditEntry, AuditFilter, AuditPage, AuditRetention, AuditRow, ChainBreak, ChainHash, ChainReport};
pub use backup::{BackedUp, Backup, Made};
pub use copies::{Copies, CopiesConfig, is_due as is_copy_due};
pub use counts::Figures;
pub use error::StoreError;
pub use groups::{GroupRow, ServiceRow, ShareCodeRow, ShareRow};
pub use history::{ActivityRow, HostHistoryRow};
pub use notices::{DeliveryRow, NoticeId, NoticeRow};
pub use restore::restore;
pub use rows::{MadeFrom, ServerRow, SessionRow, TokenKind, TokenRow, UserRow};
pub use takeover::{Numbers, TakenKey};
pub use transaction::Transaction;
pub use volumes::VolumesRow;
pub use watch::WatchRow;

use displaced::{Displaced, Moved};
use error::unreadable;
use files::{DataDir, LOCK_PATIENCE};
use open::OpenDatabase;
use rows::SessionRecord;
use seal::Sealer;
use witness::Witness;

/// Where the store is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder with the database, its keys and its marker. Made if missing, 0700.
    pub data_dir: PathBuf,
}

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

const USERS: Table = TableDefinition::new("users");
const SESSIONS: Table = TableDefinition::new("sessions");
const TOKENS: Table = TableDefinition::new("tokens");
const SERVERS: Table = TableDefinition::new("servers");
const AUDIT: Table = TableDefinition::new("audit");
const META: Table = TableDefinition::new("meta");
const GROUPS: Table = TableDefinition::new("groups");
const SERVICES: Table = TableDefinition::new("services");
const SHARES: Table = TableDefinition::new("shares");
const SHARE_CODES: Table = TableDefinition::new("share_codes");
const NOTICES: Table = TableDefinition::new("notices");
const VOLUMES: Table = TableDefinition::new("volumes");
const TAKEN_OVER: Table = TableDefinition::new("taken_over");
const ACTIVITY: Table = TableDefinition::new("activity");
const HISTORY: Table = TableDefinition::new("history");
const ACME_ACCOUNTS: Table = TableDefinition::new("acme_accounts");
const ACME_NAMES: Table = TableDefinition::new("acme_names");
/// Tables that every database has.
const TABLES: [Table; 6] = [USERS, SESSIONS, TOKENS, SERVERS, AUDIT, META];
/// Tables that came later: an older database has none of them until the first write to each.
const LATER_TABLES: [Table; 11] =
    [GROUPS, SERVICES, SHARES, SHARE_CODES, NOTICES, VOLUMES, TAKEN_OVER, ACTIVITY, HISTORY, ACME_ACCOUNTS, ACME_NAMES];

/// Everything that is kept. Cheap to clone. All methods block (redb is synchronous and a commit waits for the disk):
/// call them from the blocking pool or a plain thread.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    instance: InstanceId,
    sealer: Sealer,
    /// `None` after a failed commit whose reopening failed too; the next call tries again.
    database: RwLock<Option<OpenDatabase>>,
    /// Held by the one writer. The witness is written before the writer is told of success.
    writer: Mutex<Witness>,
    /// Held by who writes a backup: what is unfinished meanwhile is that one's, or nobody's.
    backing_up: Mutex<()>,
    counts: counts::Counts,
    /// Follows the volumes' rows commit by commit; locked after `writer`, and never while `database` is held.
    displaced: Mutex<Displaced>,
    audit_retention: RwLock<AuditRetention>,
    /// Last, so that it is unlocked last: redb writes when it is closed.
    dir: DataDir,
}

impl Store {
    /// Opens (or on a fresh host makes) `data_dir/slipway.redb`.
    ///
    /// # Errors
    /// `Refused` if what is there cannot be trusted, `InUse` if another process has it for half a second on. Neither alters the files.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        open::open(&config.data_dir, LOCK_PATIENCE).map(|inner| Self(Arc::new(inner)))
    }

    /// A key of this installation for `purpose`. It outlives a restart, and whoever has the database alone cannot make it.
    #[must_use]
    pub fn derived_key(&self, purpose: &str) -> [u8; 32] {
        self.0.sealer.derived_key(purpose)
    }

    /// True if there is one already, whole or not: whoever must not make one asks first.
    #[must_use]
    pub fn is_at(config: &Config) -> bool {
        open::is_at(&config.data_dir)
    }

    /// Which installation this is.
    #[must_use]
    pub fn instance(&self) -> InstanceId {
        self.0.instance.clone()
    }

    /// All users.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn users(&self) -> Result<Vec<UserRow>, StoreError> {
        self.rows(USERS)
    }

    /// One user.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn user(&self, name: &UserName) -> Result<Option<UserRow>, StoreError> {
        self.row(USERS, name.as_str().as_bytes())
    }

    /// All sessions, expired ones too.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        let records = self.rows_with_keys::<SessionRecord>(SESSIONS)?;
        records.into_iter().map(|(key, record)| record.into_row(&key)).collect()
    }

    /// All tokens, expired ones too.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.rows(TOKENS)
    }

    /// All servers that were ever defined or started.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn servers(&self) -> Result<Vec<ServerRow>, StoreError> {
        self.rows(SERVERS)
    }

    /// One server.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn server(&self, key: &ServerKey) -> Result<Option<ServerRow>, StoreError> {
        self.row(SERVERS, &rows::server_key(key))
    }

    /// One durable transaction; `Ok` comes after the fsync. If `act` fails nothing has happened. `act` must use the
    /// transaction alone: a call to the store from inside it would wait for itself.
    ///
    /// # Errors
    /// What `act` returned; `Unknown` if the commit failed. The store has then been opened anew, so that the next
    /// read tells what is there; only where even that failed may what was asked have happened.
    pub fn write<T>(&self, act: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut witness = self.0.writer.lock();
        let begun = Instant::now();
        let written = self.write_once(&mut witness, act).or_else(|failed| self.0.settle(failed, &mut witness));
        let result = written.map(|done| {
            self.0.displaced.lock().follow(done.moved);
            done.value
        });
        let counts = &self.0.counts;
        if result.is_ok() { &counts.commits } else { &counts.refused }.note(begun.elapsed());
        result
    }

    fn write_once<T>(
        &self,
        witness: &mut Witness,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<Written<T>, Failed<T>> {
        let open = self.0.database()?;
        // Only after a failed commit there is something left to do: the disk had no room for the recovery either.
        open.file.release().map_err(error::unwritten)?;
        let write = open.database.begin_write().map_err(error::unwritten)?;
        let mut transaction = Transaction::new(&write, &self.0.sealer).keeping(*self.0.audit_retention.read());
        let value = act(&mut transaction)?;
        let sequence = transaction.count_commit()?;
        let written = Written { sequence, value, moved: transaction.moved_volumes };
        let committed = write.commit().map_err(error::unwritten);
        match committed.and_then(|()| witness.note(sequence).map_err(error::unwritten)) {
            Ok(()) => Ok(written),
            Err(error) => Err(Failed { error, written: Some(written) }),
        }
    }

    fn read<T>(&self, act: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let open = self.0.database()?;
        let transaction = open.database.begin_read().map_err(unreadable)?;
        act(&transaction)
    }

    fn row<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.read(|transaction| {
            let rows = transaction.open_table(table).map_err(unreadable)?;
            let Some(value) = rows.get(key).map_err(unreadable)? else { return Ok(None) };
            self.0.sealer.open(redb::TableHandle::name(&table), key, value.value()).map(Some)
        })
    }

    /// As `row`, in a table that came later.
    fn row_if_table<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.read(|transaction| {
            let rows = match transaction.open_table(table) {
                Ok(rows) => rows,
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                Err(error) => return Err(unreadable(error)),
            };
            let Some(value) = rows.get(key).map_err(unreadable)? else { return Ok(None) };
            self.0.sealer.open(redb::TableHandle::name(&table), key, value.value()).map(Some)
        })
    }

    /// The last `limit` rows of a table that came later, last first.
    fn newest<T: DeserializeOwned>(&self, table: Table, limit: usize) -> Result<Vec<T>, StoreError> {
        self.read(|transaction| {
            let rows = match transaction.open_table(table) {
                Ok(rows) => rows,
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(unreadable(error)),
            };
            let newest = rows.iter().map_err(unreadable)?.rev().take(limit);
            newest
                .map(|entry| {
                    let (key, value) = entry.map_err(unreadable)?;
                    self.0.sealer.open(redb::TableHandle::name(&table), key.value(), value.value())
                })
                .collect()
        })
    }

    fn rows<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<T>, StoreError> {
        Ok(self.rows_with_keys(table)?.into_iter().map(|(_, row)| row).collect())
    }

    fn rows_with_keys<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        self.read(|transaction| {
            let rows = match transaction.open_table(table) {
                Ok(rows) => rows,
                // `open` has seen that every table is there which must be.
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(unreadable(error)),
            };
            rows.iter()
                .map_err(unreadable)?
                .map(|entry| {
                    let (key, value) = entry.map_err(unreadable)?;
                    let row = self.0.sealer.open(redb::TableHandle::name(&table), key.value(), value.value())?;
                    Ok((key.value().to_vec(), row))
                })
                .collect()
        })
    }
}

#[cfg(test)]
impl Store {
    /// Takes the database away from under it, or brings it back.
    pub(crate) fn set_disk(&self, is_there: bool) {
        let (database, away) = (self.0.dir.database(), self.0.dir.database().with_extension("away"));
        *self.0.database.write() = None;
        let (from, to) = if is_there { (away, database) } else { (database, away) };
        std::fs::rename(from, to).expect("renamed");
    }
}

/// A transaction that is committed, or was about to be.
struct Written<T> {
    sequence: u64,
    value: T,
    moved: Vec<Moved>,
}

/// A write that failed, and what it was, if it got as far as its commit.
struct Failed<T> {
    error: StoreError,
    written: Option<Written<T>>,
}

impl<T> From<StoreError> for Failed<T> {
    fn from(error: StoreError) -> Self {
        Self { error, written: None }
    }
}

impl Inner {
    /// The open database; opens it again if that failed before, so that a full disk heals without a restart.
    fn database(&self) -> Result<MappedRwLockReadGuard<'_, OpenDatabase>, StoreError> {
        if let Ok(database) = RwLockReadGuard::try_map(self.database.read(), Option::as_ref) {
            return Ok(database);
        }
        self.reopen()?;
        RwLockReadGuard::try_map(self.database.read(), Option::as_ref)
            .map_err(|_| StoreError::Read("the database is being opened again".into()))
    }

    /// Opens the database anew after a write that failed, and finds out whether that is there after all: a commit whose last
    /// sync failed can be. If it is, and is durable now, it has succeeded; nobody is told of a refusal that a restart undoes.
    fn settle<T>(&self, failed: Failed<T>, witness: &mut Witness) -> Result<Written<T>, StoreError> {
        let Failed { error, written } = failed;
        if !matches!(error, StoreError::Unknown(_) | StoreError::Read(_)) {
            return Err(error);
        }
        *self.displaced.lock() = Displaced::default();
        // redb refuses all further work after an error of the disk: only a new handle reads what is there.
        let settled = self.reopen().and_then(|sequence| {
            let Some(written) = written.filter(|written| sequence >= written.sequence) else { return Ok(None) };
            self.database()?.file.sync().map_err(error::unwritten)?;
            // It is durable, and a restart finds it, whatever else cannot be written: to refuse it would be untrue.
            if let Err(error) = witness.note(written.sequence) {
                tracing::error!(%error, "the witness of commits could not be written; until it can, damage to the database may go unseen");
            }
            Ok(Some(written))
        });
        match settled {
            Ok(Some(written)) => Ok(written),
            Ok(None) => Err(error),
            Err(again) => {
                tracing::error!(error = &again as &dyn std::error::Error, "the database could not be opened again");
                Err(error)
            }
        }
    }

    /// Returns the number of the last commit that is there.
    fn reopen(&self) -> Result<u64, StoreError> {
        let mut database = self.database.write();
        *database = None;
        let (opened, sequence) = open::open_again(&self.dir, &self.sealer)?;
        *database = Some(opened);
        Ok(sequence)
    }
}
