//! A backup: one file with everything that a store needs to be opened on another machine.
//!
//! It is a database like ours with one table more, which holds the store's key: without the key no value could be
//! checked. So whoever reads the file reads every secret that the store keeps, and the file is 0600. `restore` brings
//! it back.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use redb::{
    Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableError, TableHandle as _,
    WriteTransaction,
};
use rustix::fs::{CWD, RenameFlags};
use serde::{Deserialize, Serialize};

use super::error::{ANOTHER_BACKUP, FREE_SPACE, UPDATE, unreadable};
use super::files::remove_if_there;
use super::open::{FORMAT, builder, checked_values, open_staged};
use super::seal::Sealer;
use super::staged::StagedFile;
use super::{LATER_TABLES, Store, StoreError, TABLES, Table};
use crate::model::{InstanceId, Random, Timestamp};

/// What a backup has beside the tables of a store.
const BACKUP: Table = Table::new("backup");
const KEY: &[u8] = b"key";
const MADE: &[u8] = b"made";
/// How every file of redb begins.
const MAGIC: &[u8; 9] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// A backup that has been written, read again and found whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Its size, in bytes.
    pub bytes: u64,
    /// How many values it holds.
    pub values: u64,
}

/// When and by what a backup was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// When.
    pub at: Timestamp,
    /// The version of the program.
    pub version: String,
}

/// A backup of which every page and every value has been checked. The file is only read.
#[derive(Debug)]
pub struct Backup {
    pub(super) database: Database,
    pub(super) key: [u8; 32],
    pub(super) sealer: Sealer,
    pub(super) file: PathBuf,
    values: u64,
    made: Made,
    instance: InstanceId,
}

impl Store {
    /// Writes everything that was committed before to `file`, while others go on reading and writing. `Ok` comes when
    /// the file has been read again and is durable under its name. Blocks as long as that takes.
    ///
    /// # Errors
    /// If there is such a file already (with `replace`: one that is no whole backup), if it cannot be written, or a
    /// value of ours is damaged. Then `file` is as it was.
    pub fn back_up(&self, file: &Path, replace: bool, now: Timestamp) -> Result<BackedUp, StoreError> {
        let _one_at_a_time = self.0.backing_up.lock();
        sweep(file)?;
        if exists(file)? {
            if !replace {
                return Err(refused(file, "is there already", "name another file, or say --overwrite"));
            }
            // It may be anything by mistake, our own database too.
            Backup::open(file)?;
        }
        // Another installation's backup into the same file must not write into ours.
        let unfinished = file.with_added_extension(format!("{}.unfinished", Random::from_system().hex::<4>()));
        let made = self.write_backup(&unfinished, now).and_then(|values| {
            let backup = Backup::open(&unfinished)?;
            if backup.values != values {
                return Err(refused(&unfinished, "does not hold what was written to it", FREE_SPACE));
            }
            let bytes = fs::metadata(&unfinished).map_err(|e| unwritable(file, &e))?.len();
            put_in_place(&unfinished, file, replace)?;
            Ok(BackedUp { bytes, values })
        });
        if made.is_err()
            && let Err(error) = remove_if_there(&unfinished)
        {
            tracing::warn!(file = %unfinished.display(), %error, "an unfinished backup is left, and has the store's secrets");
        }
        made
    }

    fn write_backup(&self, file: &Path, now: Timestamp) -> Result<u64, StoreError> {
        let sealer = &self.0.sealer;
        self.read(|read| {
            make_database(file, |write| {
                let values = copy_tables(read, write, sealer, file, |_| true)?;
                let made = Made { at: now, version: env!("CARGO_PKG_VERSION").to_owned() };
                let made = sealer.seal(BACKUP.name(), MADE, &made)?;
                let mut table = write.open_table(BACKUP).map_err(|e| unwritable(file, &e))?;
                table.insert(KEY, sealer.key().as_slice()).map_err(|e| unwritable(file, &e))?;
                table.insert(MADE, made.as_slice()).map_err(|e| unwritable(file, &e))?;
                Ok(values)
            })
        })
    }
}

impl Backup {
    /// Reads and checks all of `file`, and alters nothing.
    ///
    /// # Errors
    /// If it is not a whole backup, or one of a newer version.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let mut content = File::open(file).map_err(|e| unusable(file, &e))?;
        if !content.metadata().map_err(|e| unusable(file, &e))?.is_file() {
            return Err(refused(file, "is not a file", ANOTHER_BACKUP));
        }
        let mut magic = [0; MAGIC.len()];
        match content.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => {}
            Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => return Err(unusable(file, &e)),
            _ => return Err(refused(file, "is no backup of slipway, or is damaged", ANOTHER_BACKUP)),
        }
        let database = open_staged(file, content).map_err(as_backup)?.database;
        let key =
            read_key(&database).map_err(|_| refused(file, "is no backup of slipway, or is damaged", ANOTHER_BACKUP))?;
        let sealer = Sealer::new(key);
        let found = checked_values(file, &database, &sealer).map_err(as_backup)?;
        if found.format > FORMAT {
            return Err(refused(file, "was written by a newer version of slipway", UPDATE));
        }
        let made = read_made(&database, &sealer).map_err(|_| refused(file, "is damaged", ANOTHER_BACKUP))?;
        Ok(Self { database, key, sealer, file: file.to_owned(), values: found.values, made, instance: found.instance })
    }

    /// Of which installation it is.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// When and by what it was made.
    #[must_use]
    pub fn made(&self) -> &Made {
        &self.made
    }
}

fn read_key(database: &Database) -> Result<[u8; 32], StoreError> {
    let missing = || StoreError::Damaged("its key is missing".to_owned());
    let read = database.begin_read().map_err(unreadable)?;
    let table = read.open_table(BACKUP).map_err(unreadable)?;
    let key = table.get(KEY).map_err(unreadable)?.ok_or_else(missing)?;
    key.value().try_into().map_err(|_| missing())
}

fn read_made(database: &Database, sealer: &Sealer) -> Result<Made, StoreError> {
    let read = database.begin_read().map_err(unreadable)?;
    let table = read.open_table(BACKUP).map_err(unreadable)?;
    let missing = || StoreError::Damaged("its date is missing".to_owned());
    let made = table.get(MADE).map_err(unreadable)?.ok_or_else(missing)?;
    sealer.open(BACKUP.name(), MADE, made.value())
}

/// A new database at `file`, 0600, with one durable commit.
pub(super) fn make_database<T>(
    file: &Path,
    fill: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(file);
    let staged = made.and_then(StagedFile::new).map_err(|e| unwritable(file, &e))?;
    staged.release().map_err(|e| unwritable(file, &e))?;
    let database = builder().create_with_backend(staged).map_err(|e| unwritable(file, &e))?;
    let write = database.begin_write().map_err(|e| unwritable(file, &e))?;
    let filled = fill(&write)?;
    write.commit().map_err(|e| unwritable(file, &e))?;
    database.close().map_err(|e| unwritable(file, &e))?;
    Ok(filled)
}

/// Copies the tables that `is_wanted`, value by value, each of them checked; how many values there were.
pub(super) fn copy_tables(
    read: &ReadTransaction,
    write: &WriteTransaction,
    sealer: &Sealer,
    file: &Path,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<u64, StoreError> {
    let mut values = 0;
    for table in TABLES.into_iter().chain(LATER_TABLES) {
        let mut to = write.open_table(table).map_err(|e| unwritable(file, &e))?;
        if !is_wanted(table.name()) {
            continue;
        }
        let from = match read.open_table(table) {
            Ok(from) => from,
            Err(TableError::TableDoesNotExist(_)) => continue,
            Err(error) => return Err(unreadable(error)),
        };
        for entry in from.iter().map_err(unreadable)? {
            let (key, value) = entry.map_err(unreadable)?;
            sealer.verify(table.name(), key.value(), value.value())?;
            to.insert(key.value(), value.value()).map_err(|e| unwritable(file, &e))?;
            values += 1;
        }
    }
    Ok(values)
}

/// Gives the whole file its name, durably.
fn put_in_place(unfinished: &Path, file: &Path, replace: bool) -> Result<(), StoreError> {
    let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    // Somebody may have made a file of this name since we looked.
    rustix::fs::renameat_with(CWD, unfinished, CWD, file, flags).map_err(|e| unwritable(file, &e))?;
    File::open(folder_of(file)).and_then(|folder| folder.sync_all()).map_err(|e| unwritable(file, &e))
}

/// Where `file` is.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// True if `name` is what a backup into a file called `file` is called until it is whole.
fn is_unfinished_of(file: &OsStr, name: &OsStr) -> bool {
    let rest = name.as_bytes().strip_prefix(file.as_bytes()).and_then(|rest| rest.strip_prefix(b"."));
    let random = rest.and_then(|rest| rest.strip_suffix(b".unfinished"));
    random.is_some_and(|random| random.len() == 8 && random.iter().all(u8::is_ascii_hexdigit))
}

/// Removes what a killed backup into `file` has left: it has the store's secrets.
fn sweep(file: &Path) -> Result<(), StoreError> {
    let Some(name) = file.file_name() else { return Ok(()) };
    let entries = fs::read_dir(folder_of(file)).map_err(|e| unwritable(file, &e))?;
    for entry in entries.filter_map(Result::ok) {
        if is_unfinished_of(name, &entry.file_name()) {
            remove_if_there(&entry.path()).map_err(|e| unwritable(file, &e))?;
        }
    }
    Ok(())
}

fn exists(file: &Path) -> Result<bool, StoreError> {
    file.try_exists().map_err(|e| unusable(file, &e))
}

/// What opening a store says of a file, said of a backup: the cure is another.
fn as_backup(error: StoreError) -> StoreError {
    match error {
        StoreError::Refused { file, what, .. } => StoreError::Refused { file, what, cure: ANOTHER_BACKUP },
        other => other,
    }
}

pub(super) fn refused(file: &Path, what: &str, cure: &'static str) -> StoreError {
    StoreError::Refused { file: file.to_owned(), what: what.to_owned(), cure }
}

fn unusable(file: &Path, cause: &io::Error) -> StoreError {
    refused(file, &format!("could not be read: {cause}"), ANOTHER_BACKUP)
}

pub(super) fn unwritable(file: &Path, cause: &dyn std::error::Error) -> StoreError {
    refused(file, &format!("could not be written: {cause}"), FREE_SPACE)
}
