//! Opens a JupyterHub's database without changing it or anything beside it, and says in one sentence why that cannot be.
//!
//! The files of a hub that ended in the middle of a write (or that writes ahead: `-wal`) can only be read by whoever
//! may mend them, so those are copied and the copy is read.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::model::{Random, percent_encode_keeping_slash};

/// How long a database that somebody writes to is waited for. 2 s: JupyterHub's own writes take milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// What a database of SQLite begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// How much of a file is looked at to say what it is instead.
const HEAD_BYTES: u64 = 4 * 1024;

/// The oldest revision that is read: JupyterHub 4.0.
const FOUR: &str = "0eee8c825d24";
/// Revisions since, and which JupyterHub writes them.
const KNOWN: [(&str, &str); 7] = [
    (FOUR, "4"),
    ("3c2384c5aae1", "5"),
    ("4621fec11365", "5"),
    ("be8ecf03ddac", "6"),
    ("afd65840b69e", "6"),
    ("ff1860e38070", "6"),
    ("f460b0348206", "6"),
];
/// Those before 4.0.
const TOO_OLD: [&str; 12] = [
    "19c0846f6344",
    "eeb276e51423",
    "af4cbdb2d13c",
    "3ec6993fe20c",
    "1cebaf56856c",
    "56cc5a70207e",
    "99a28a4418e1",
    "d68c98b66cd4",
    "896818069c98",
    "4dc2d5a8c53c",
    "833da8570507",
    "651f5419b74d",
];

/// Why a database cannot be taken over: a sentence with its cure. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such file.
    #[error("{} is no such file; say with --db where jupyterhub.sqlite lies (c.JupyterHub.db_url tells)", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("{} cannot be read: {cause}; run this as a user who may read it", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// No bytes in it.
    #[error("{} is empty: JupyterHub has never written to it; c.JupyterHub.db_url tells which file it uses", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// A dump, or an address, of another database.
    #[error(
        "{} is of {kind}, and only SQLite can be read here; copy its tables into a SQLite file first, and import that one",
        path.display()
    )]
    OtherDatabase {
        /// Which file.
        path: PathBuf,
        /// `PostgreSQL` or `MySQL`.
        kind: &'static str,
    },
    /// Something else altogether.
    #[error("{} is no SQLite database; say with --db where jupyterhub.sqlite lies", path.display())]
    NoDatabase {
        /// Which file.
        path: PathBuf,
    },
    /// SQLite, but another program's.
    #[error("{} is a SQLite database, but not JupyterHub's: {lacks}; say with --db where jupyterhub.sqlite lies", path.display())]
    NotJupyterHub {
        /// Which file.
        path: PathBuf,
        /// What it lacks.
        lacks: String,
    },
    /// Before 4.0.
    #[error(
        "{} is of a JupyterHub before 4.0 (revision {revision}); run `jupyterhub upgrade-db` of JupyterHub 4 or 5 on a copy, \
         and import that one",
        path.display()
    )]
    TooOld {
        /// Which file.
        path: PathBuf,
        /// Its revision.
        revision: String,
    },
    /// After those that we know.
    #[error(
        "{} is of a JupyterHub that is newer than known here (revision {revision}; known are 4.x, 5.x and 6.x); use a newer \
         Slipway",
        path.display()
    )]
    TooNew {
        /// Which file.
        path: PathBuf,
        /// Its revision.
        revision: String,
    },
    /// Somebody writes to it.
    #[error("{} is locked or being written to; stop JupyterHub first (its servers go on running)", path.display())]
    Locked {
        /// Which file.
        path: PathBuf,
    },
    /// Not what SQLite wrote.
    #[error("{} is damaged or incomplete ({what}); copy it anew while JupyterHub is stopped, or take a backup", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// More than is read.
    #[error("{}: the table {table} has more than {limit} rows, which is more than is read at once", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Which table.
        table: &'static str,
        /// The bound.
        limit: usize,
    },
}

/// An open database, with the copy that is being read if there is one.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) database: Connection,
    pub(super) revision: String,
    /// `4`, `5` or `6`.
    pub(super) version: &'static str,
    // After the connection, so that it is closed first.
    _copy: Option<Copied>,
}

/// Opens `path`. A copy, if there has to be one, lies in a folder of its own below `scratch` for as long as it is read.
///
/// # Errors
/// If it is not the database of a JupyterHub that we know, in one sentence.
pub(super) fn open(path: &Path, scratch: &Path) -> Result<Opened, ReadError> {
    check_file(path)?;
    let has = |suffix| fs::metadata(side_file(path, suffix)).is_ok_and(|side| side.len() > 0);
    let (writes_ahead, has_journal) = (has("-wal"), has("-journal"));
    let in_place = if writes_ahead { None } else { Some(open_in_place(path).and_then(prepared)) };
    let (database, copy) = match in_place {
        Some(Ok(database)) => (database, None),
        Some(Err(cause)) if !has_journal || is_busy(&cause) => return Err(of_sqlite(path, &cause)),
        // A hub that was killed in the middle of a write: what it began has to be taken back first.
        None | Some(Err(_)) => {
            let copy = Copied::of(path, scratch)?;
            let database = Connection::open_with_flags(copy.database(), OpenFlags::SQLITE_OPEN_READ_WRITE);
            (database.and_then(prepared).map_err(|cause| of_sqlite(path, &cause))?, Some(copy))
        }
    };
    let (revision, version) = check_revision(&database, path)?;
    Ok(Opened { database, revision, version, _copy: copy })
}

/// What SQLite's errors mean for a person.
pub(super) fn of_sqlite(path: &Path, cause: &rusqlite::Error) -> ReadError {
    let path = path.to_owned();
    match cause.sqlite_error_code() {
        _ if is_busy(cause) => ReadError::Locked { path },
        Some(ErrorCode::PermissionDenied) => {
            ReadError::Unreadable { path, cause: io::ErrorKind::PermissionDenied.into() }
        }
        // What a text of the file says does not belong into a sentence of ours: the code does.
        Some(code) => ReadError::Damaged { path, what: format!("SQLite says {code:?}") },
        None => ReadError::Damaged { path, what: "SQLite cannot read it".into() },
    }
}

fn check_file(path: &Path) -> Result<(), ReadError> {
    let address = path.to_string_lossy();
    for (scheme, kind) in [("postgres", "PostgreSQL"), ("mysql", "MySQL"), ("mariadb", "MySQL")] {
        if address.starts_with(scheme) && address.contains("://") {
            // Addresses have passwords in them.
            return Err(ReadError::OtherDatabase { path: "--db".into(), kind });
        }
    }
    let refused = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound => ReadError::Missing { path: path.to_owned() },
        _ => ReadError::Unreadable { path: path.to_owned(), cause },
    };
    // Before it is opened: to open a pipe is to wait for its other end.
    let file = fs::metadata(path).map_err(refused)?;
    if !file.is_file() {
        return Err(ReadError::NoDatabase { path: path.to_owned() });
    }
    let length = file.len();
    let mut head = Vec::new();
    File::open(path).map_err(refused)?.take(HEAD_BYTES).read_to_end(&mut head).map_err(refused)?;
    let has = |words: &str| head.windows(words.len()).any(|window| window == words.as_bytes());
    let other = |kind| Err(ReadError::OtherDatabase { path: path.to_owned(), kind });
    match head {
        _ if head.is_empty() => Err(ReadError::Empty { path: path.to_owned() }),
        _ if head.starts_with(MAGIC) && is_cut_short(&head, length) => {
            Err(ReadError::Damaged { path: path.to_owned(), what: "its end is missing".into() })
        }
        _ if head.starts_with(MAGIC) => Ok(()),
        _ if head.starts_with(b"PGDMP") || has("PostgreSQL database") || has("toc.dat") => other("PostgreSQL"),
        _ if has("MySQL dump") || has("MariaDB dump") => other("MySQL"),
        _ => Err(ReadError::NoDatabase { path: path.to_owned() }),
    }
}

/// True if the file has fewer bytes than its header says; SQLite itself reads zeros there.
fn is_cut_short(head: &[u8], length: u64) -> bool {
    let number = |at: usize, bytes: usize| {
        head.get(at..at + bytes).map(|bytes| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (Some(page), Some(pages)) = (number(16, 2), number(28, 4)) else { return true };
    // 1 stands for 65,536. The count holds only if these two agree: old writers left it alone.
    let page = if page == 1 { 65_536 } else { page };
    number(24, 4) == number(92, 4) && length < page * pages
}

/// A database that says that it writes ahead, and has nothing written ahead, is whole as it is: «immutable», so that
/// SQLite makes no files beside it. Any other is locked against writers while we read.
fn open_in_place(path: &Path) -> Result<Connection, rusqlite::Error> {
    let mut header = [0; 20];
    let writes_ahead = File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok() && header[18] == 2;
    if !writes_ahead {
        return Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let address = format!("file:{}?mode=ro&immutable=1", percent_encode_keeping_slash(&absolute.to_string_lossy()));
    Connection::open_with_flags(address, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
}

/// Nothing that the file brings along is run, and what is read is read from one state of it.
fn prepared(database: Connection) -> Result<Connection, rusqlite::Error> {
    database.busy_timeout(BUSY_TIMEOUT)?;
    database.pragma_update(None, "trusted_schema", false)?;
    database.pragma_update(None, "query_only", true)?;
    database.pragma_update(None, "cell_size_check", true)?;
    // The first read takes the lock that keeps this state.
    database.execute_batch("BEGIN; SELECT count(*) FROM sqlite_master")?;
    Ok(database)
}

fn is_busy(cause: &rusqlite::Error) -> bool {
    matches!(cause.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn check_revision(database: &Connection, path: &Path) -> Result<(String, &'static str), ReadError> {
    let refused = |cause: rusqlite::Error| of_sqlite(path, &cause);
    let not = |lacks: String| ReadError::NotJupyterHub { path: path.to_owned(), lacks };
    // Views and virtual tables are programs; JupyterHub has none.
    let is_table = "SELECT count(*) FROM sqlite_master WHERE name = ?1 AND type = 'table' AND sql NOT LIKE '%VIRTUAL%'";
    for table in ["alembic_version", "users", "groups", "roles", "spawners", "servers", "api_tokens", "oauth_clients"] {
        let count: i64 = database.query_row(is_table, [table], |row| row.get(0)).map_err(refused)?;
        if count != 1 {
            return Err(not(format!("it has no table {table}")));
        }
    }
    let damage: String = database.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(refused)?;
    if damage != "ok" {
        return Err(ReadError::Damaged { path: path.to_owned(), what: "its pages do not fit together".into() });
    }
    let revisions = database
        .prepare("SELECT substr(CAST(version_num AS TEXT), 1, 64) FROM alembic_version LIMIT 2")
        .and_then(|mut rows| rows.query_map([], |row| row.get::<_, Option<String>>(0))?.collect::<Result<Vec<_>, _>>())
        .map_err(refused)?;
    let [Some(revision)] = revisions.as_slice() else {
        return Err(not("it does not say which revision it is".into()));
    };
    let shown: String = revision.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    if let Some((_, version)) = KNOWN.iter().find(|(known, _)| known == revision) {
        return Ok((shown, version));
    }
    if TOO_OLD.contains(&revision.as_str()) {
        return Err(ReadError::TooOld { path: path.to_owned(), revision: shown });
    }
    Err(ReadError::TooNew { path: path.to_owned(), revision: shown })
}

fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A copy of a database and of what belongs to it, in a folder that goes with this value.
#[derive(Debug)]
struct Copied(PathBuf);

impl Copied {
    fn of(path: &Path, scratch: &Path) -> Result<Self, ReadError> {
        let refused = |cause| ReadError::Unreadable { path: path.to_owned(), cause };
        let copied = Self::in_new_folder(scratch).map_err(refused)?;
        let sides = ["", "-wal", "-journal"].map(|suffix| (side_file(path, suffix), suffix));
        let look = || sides.each_ref().map(|(side, _)| fs::metadata(side).ok().as_ref().map(mark_of));
        let before = look();
        for (side, suffix) in &sides {
            match fs::copy(side, side_file(&copied.database(), suffix)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => {}
                result => drop(result.map_err(refused)?),
            }
        }
        // A hub that goes on writing would leave us with parts of two states.
        if before == look() { Ok(copied) } else { Err(ReadError::Locked { path: path.to_owned() }) }
    }

    fn in_new_folder(scratch: &Path) -> io::Result<Self> {
        let number = Random::from_system().hex::<8>();
        let folder = scratch.join(format!("slipway-import-{number}"));
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }

    fn database(&self) -> PathBuf {
        self.0.join("jupyterhub.sqlite")
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        // What cannot be removed is in a folder for temporary files, closed to others.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mark_of(file: &Metadata) -> (u64, u64, i64, i64) {
    (file.ino(), file.len(), file.mtime(), file.mtime_nsec())
}
