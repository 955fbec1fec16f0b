//! Opens the store, or says in one line why not.
//!
//! A store is `instance` (the marker: "this host was initialised"), `store.key`, `slipway.redb` and
//! `slipway.witness`. The marker is written last, so where it stands all the others must stand, whole: a missing or
//! altered one is a refusal, never a new empty database. Where it is missing, a database can only be what a crash
//! during the very first start left, and is taken up if it passes the same checks.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageError, TableError,
    TableHandle as _,
};
use rustix::fs::Advice;
use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::error::{RESTORE, UPDATE, unreadable, unwritten};
use super::files::{DataDir, close_to_others, read_if_there, refused_by_system, remove_if_there};
use super::seal::Sealer;
use super::staged::StagedFile;
use super::transaction::Transaction;
use super::witness::{WITNESS_BYTES, Witness};
use super::{Inner, LATER_TABLES, META, StoreError, TABLES};
use crate::model::{InstanceId, Random};

/// What this program writes. A higher one on disk is a refusal, a lower one is brought forward.
pub(super) const FORMAT: u32 = 1;
/// 16 MiB: the whole database of a few thousand users; more would only stand in the resident memory.
const CACHE_BYTES: usize = 16 << 20;

/// The file `instance`.
#[derive(Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) instance: InstanceId,
    format: u32,
}

/// redb's handle, and the file under it.
#[derive(Debug)]
pub(super) struct OpenDatabase {
    pub(super) database: Database,
    pub(super) file: StagedFile,
}

/// True if something of a store is in `data_dir`.
pub(super) fn is_at(data_dir: &Path) -> bool {
    ["instance", "slipway.redb", "slipway.lock"].iter().any(|name| data_dir.join(name).exists())
}

/// Opens what is in `data_dir`, or makes it if nothing is. Waits up to `patience` for another process to be gone.
pub(super) fn open(data_dir: &Path, patience: Duration) -> Result<Inner, StoreError> {
    let dir = DataDir::lock(data_dir, patience)?;
    super::restore::finish(&dir)?;
    let marker = read_marker(&dir)?;
    let is_new = marker.is_none() && !exists(&dir.database())?;
    let sealer = read_or_make_key(&dir, is_new)?;
    if is_new {
        make(&dir, &sealer)?;
    }
    let witness = open_witness(&dir, &sealer)?;
    let database = open_database(&dir.database())?;
    let instance = check(&dir, &database.database, &sealer, &witness)?.instance;
    if marker.as_ref().is_some_and(|marker| marker.instance != instance) {
        return Err(refused(&dir.database(), "belongs to another installation", RESTORE));
    }
    // Until here nothing has been written to the database.
    database.file.release().map_err(|e| refused_by_system(&dir.database(), &e))?;
    if marker.is_none() {
        write_marker(&dir, &instance)?;
    }
    let (writer, backing_up) = (Mutex::new(witness), Mutex::default());
    let (database, audit_retention) = (RwLock::new(Some(database)), RwLock::default());
    let (counts, displaced) = (Counts::default(), Mutex::default());
    Ok(Inner { instance, sealer, database, writer, backing_up, counts, displaced, audit_retention, dir })
}

/// Opens the database after a failed commit, with all the checks of a first opening. If the disk is still full it
/// can be read all the same; the next write tries to release it. Also returns the number of the last commit.
pub(super) fn open_again(dir: &DataDir, sealer: &Sealer) -> Result<(OpenDatabase, u64), StoreError> {
    let witness = open_witness(dir, sealer)?;
    forget_cached(&dir.database());
    let database = open_database(&dir.database())?;
    let found = check(dir, &database.database, sealer, &witness)?;
    if let Err(error) = database.file.release() {
        tracing::error!(%error, "the database can be read but not written");
    }
    Ok((database, found.sequence))
}

/// Has the system read a file from its disk again. After a failed sync it may hold pages that the disk never took and
/// call them written.
fn forget_cached(path: &Path) {
    // Where it cannot, reading it fails, too, and says why.
    if let Ok(file) = File::open(path) {
        let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
    }
}

pub(super) fn read_marker(dir: &DataDir) -> Result<Option<Marker>, StoreError> {
    let path = dir.marker();
    let Some(text) = read_if_there(&path)? else { return Ok(None) };
    let marker: Marker = serde_json::from_str(&text).map_err(|_| refused(&path, "is damaged", RESTORE))?;
    if marker.format > FORMAT {
        return Err(refused(&path, "was written by a newer version of slipway", UPDATE));
    }
    Ok(Some(marker))
}

fn write_marker(dir: &DataDir, instance: &InstanceId) -> Result<(), StoreError> {
    dir.write_whole(&dir.marker(), marker_text(instance).as_bytes())
}

/// What the marker of `instance` says.
pub(super) fn marker_text(instance: &InstanceId) -> String {
    let marker = Marker { instance: instance.clone(), format: FORMAT };
    serde_json::to_string(&marker).expect("two plain fields are JSON")
}

fn read_or_make_key(dir: &DataDir, is_new: bool) -> Result<Sealer, StoreError> {
    let path = dir.key();
    let Some(text) = read_if_there(&path)? else {
        if !is_new {
            return Err(refused(&path, "is missing, and the database cannot be read without it", RESTORE));
        }
        let key = Random::from_system().bytes::<32>();
        dir.write_whole(&path, blake3::Hash::from_bytes(key).to_hex().as_bytes())?;
        return Ok(Sealer::new(key));
    };
    close_to_others(&path, 0o600).map_err(|e| refused_by_system(&path, &e))?;
    let key = blake3::Hash::from_hex(text.trim()).map_err(|_| refused(&path, "is damaged", RESTORE))?;
    Ok(Sealer::new(*key.as_bytes()))
}

fn open_witness(dir: &DataDir, sealer: &Sealer) -> Result<Witness, StoreError> {
    let path = dir.witness();
    let file = OpenOptions::new().read(true).write(true).open(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => refused(&path, "is missing", RESTORE),
        _ => refused_by_system(&path, &e),
    })?;
    close_to_others(&path, 0o600).map_err(|e| refused_by_system(&path, &e))?;
    Ok(Witness::new(file, sealer.clone()))
}

/// Makes a database with its first commit under another name, and gives it its own name when it is whole.
fn make(dir: &DataDir, sealer: &Sealer) -> Result<(), StoreError> {
    let path = dir.database();
    // A crash during the first start leaves a witness of at most one commit. More means that there was a database.
    if exists(&dir.witness())? && open_witness(dir, sealer)?.sequence().is_ok_and(|n| n > Some(1)) {
        return Err(refused(&path, "is missing although this host was initialised", RESTORE));
    }
    let unfinished = dir.unfinished_database();
    let prepare = || -> io::Result<File> {
        remove_if_there(&unfinished)?;
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&unfinished)
    };
    let file = prepare().map_err(|e| refused_by_system(&unfinished, &e))?;
    let file = StagedFile::new(file).map_err(|e| refused_by_system(&unfinished, &e))?;
    file.release().map_err(|e| refused_by_system(&unfinished, &e))?;
    let database = builder().create_with_backend(file).map_err(unreadable)?;
    let write = database.begin_write().map_err(unwritten)?;
    for table in TABLES.into_iter().chain(LATER_TABLES) {
        write.open_table(table).map_err(unreadable)?;
    }
    let mut transaction = Transaction::new(&write, sealer);
    transaction.put_meta("instance", &InstanceId(Random::from_system().hex::<8>()))?;
    transaction.put_meta("format", &FORMAT)?;
    let sequence = transaction.count_commit()?;
    write.commit().map_err(unwritten)?;
    database.close().map_err(unreadable)?;

    dir.write_whole(&dir.witness(), &[0; WITNESS_BYTES])?;
    open_witness(dir, sealer)?.note(sequence).map_err(|e| refused_by_system(&dir.witness(), &e))?;
    fs::rename(&unfinished, &path).and_then(|()| dir.sync()).map_err(|e| refused_by_system(&path, &e))
}

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// redb's part: every page is checked against its checksum. Recovery after a kill passes; damage does not.
pub(super) fn open_database(path: &Path) -> Result<OpenDatabase, StoreError> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => refused(path, "is missing although this host was initialised", RESTORE),
        _ => refused_by_system(path, &e),
    })?;
    let metadata = file.metadata().map_err(|e| refused_by_system(path, &e))?;
    if !metadata.is_file() {
        return Err(refused(path, "is not a file", RESTORE));
    }
    // redb would make a new database of it.
    if metadata.len() == 0 {
        return Err(refused(path, "is empty although this host was initialised", RESTORE));
    }
    close_to_others(path, 0o600).map_err(|e| refused_by_system(path, &e))?;
    open_staged(path, file)
}

/// The database in `file`, which is called `path`; what opening it writes stays in memory.
pub(super) fn open_staged(path: &Path, file: File) -> Result<OpenDatabase, StoreError> {
    let file = StagedFile::new(file).map_err(|e| refused_by_system(path, &e))?;
    // A library that meets bytes it never wrote may panic. That is damage too.
    match catch_unwind(AssertUnwindSafe(|| builder().create_with_backend(file.clone()))) {
        Ok(Ok(database)) => Ok(OpenDatabase { database, file }),
        Ok(Err(DatabaseError::Storage(StorageError::Io(e)))) => Err(match e.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => damaged(path, &e.to_string()),
            _ => refused_by_system(path, &e),
        }),
        Ok(Err(error)) => Err(damaged(path, &error.to_string())),
        Err(_) => Err(damaged(path, "reading it failed")),
    }
}

/// Our part: every value is verified, the format is known, and no acknowledged commit is missing.
fn check(dir: &DataDir, database: &Database, sealer: &Sealer, witness: &Witness) -> Result<Found, StoreError> {
    let path = dir.database();
    let found = checked_values(&path, database, sealer)?;
    if found.format > FORMAT {
        return Err(refused(&path, "was written by a newer version of slipway", UPDATE));
    }
    let witness_path = dir.witness();
    let acknowledged = witness.sequence().map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => refused(&witness_path, "is damaged", RESTORE),
        _ => refused_by_system(&witness_path, &e),
    })?;
    let Some(acknowledged) = acknowledged else { return Err(refused(&witness_path, "is damaged", RESTORE)) };
    if found.sequence < acknowledged {
        let what = format!("is older than it was: {} changes are missing", acknowledged - found.sequence);
        return Err(refused(&path, &what, RESTORE));
    }
    Ok(found)
}

/// What a database says of itself, once every value has been verified.
pub(super) struct Found {
    pub(super) instance: InstanceId,
    pub(super) format: u32,
    sequence: u64,
    /// How many there are.
    pub(super) values: u64,
}

/// Verifies every value of the database in the file `path`.
pub(super) fn checked_values(path: &Path, database: &Database, sealer: &Sealer) -> Result<Found, StoreError> {
    match catch_unwind(AssertUnwindSafe(|| check_values(database, sealer))) {
        Ok(Err(StoreError::Damaged(what))) => Err(damaged(path, &what)),
        Ok(found) => found,
        Err(_) => Err(damaged(path, "reading it failed")),
    }
}

fn check_values(database: &Database, sealer: &Sealer) -> Result<Found, StoreError> {
    let read = database.begin_read().map_err(unreadable)?;
    let mut values = 0;
    for table in TABLES.into_iter().chain(LATER_TABLES) {
        let rows = match read.open_table(table) {
            Ok(rows) => rows,
            Err(TableError::TableDoesNotExist(_)) if LATER_TABLES.iter().any(|t| t.name() == table.name()) => continue,
            Err(error) => return Err(StoreError::Damaged(error.to_string())),
        };
        for entry in rows.iter().map_err(unreadable)? {
            let (key, value) = entry.map_err(unreadable)?;
            sealer.verify(table.name(), key.value(), value.value())?;
            values += 1;
        }
    }
    let meta = read.open_table(META).map_err(|e| StoreError::Damaged(e.to_string()))?;
    let get = |key: &str| -> Result<serde_json::Value, StoreError> {
        let missing = || StoreError::Damaged(format!("its {key} is missing"));
        let value = meta.get(key.as_bytes()).map_err(unreadable)?.ok_or_else(missing)?;
        sealer.open(META.name(), key.as_bytes(), value.value())
    };
    let reads = |e: serde_json::Error| StoreError::Damaged(e.to_string());
    Ok(Found {
        instance: serde_json::from_value(get("instance")?).map_err(reads)?,
        format: serde_json::from_value(get("format")?).map_err(reads)?,
        sequence: serde_json::from_value(get("sequence")?).map_err(reads)?,
        values,
    })
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|e| refused_by_system(path, &e))
}

fn refused(file: &Path, what: &str, cure: &'static str) -> StoreError {
    StoreError::Refused { file: file.to_owned(), what: what.to_owned(), cure }
}

fn damaged(file: &Path, what: &str) -> StoreError {
    refused(file, &format!("is damaged ({})", what.replace(['\n', '\r'], " ")), RESTORE)
}
