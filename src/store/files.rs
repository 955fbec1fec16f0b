//! The files of a store: their names, their modes, and how small ones are written so that a crash leaves old or new.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::StoreError;
use super::error::{MAKE_ROOM, PERMIT};

/// How long a locked folder is tried again. 500 ms: a killed process's lock lives on for a moment in a child that it
/// was just starting, and in the kernel until its memory is freed.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// Between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The folder, locked for this process.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    _lock: Lock,
}

/// A locked file. The kernel unlocks it when the process ends, however it ends.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: the lock belongs to the open file, and a child that some other thread is starting
        // shares it between `fork` and `exec`.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

impl DataDir {
    /// Makes the folder if it is missing, closes it to others, and locks it, if need be after `patience`. Blocks.
    pub(super) fn lock(path: &Path, patience: Duration) -> Result<Self, StoreError> {
        let refuse = |e: io::Error| refused_by_system(path, &e);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(refuse)?;
        close_to_others(path, 0o700).map_err(refuse)?;
        let lock_path = path.join("slipway.lock");
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|e| refused_by_system(&lock_path, &e))?;
        let deadline = Instant::now() + patience;
        loop {
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { path: path.to_owned(), _lock: Lock(lock) }),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::InUse { data_dir: path.to_owned() }),
                Err(e) => return Err(refused_by_system(&lock_path, &e.into())),
            }
        }
    }

    /// The locked file once more, as a child shares it.
    #[cfg(test)]
    pub(super) fn share_lock(&self) -> File {
        self._lock.0.try_clone().expect("a descriptor")
    }

    /// What is called `name` in the folder.
    pub(super) fn entry(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join("slipway.redb")
    }
    /// A database that is being made; only a whole one gets its real name.
    pub(super) fn unfinished_database(&self) -> PathBuf {
        self.path.join("slipway.redb.new")
    }
    pub(super) fn marker(&self) -> PathBuf {
        self.path.join("instance")
    }
    pub(super) fn key(&self) -> PathBuf {
        self.path.join("store.key")
    }
    pub(super) fn witness(&self) -> PathBuf {
        self.path.join("slipway.witness")
    }

    /// Makes the folder's entries durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Writes a small file whole: after a crash there is the old one or the new one.
    pub(super) fn write_whole(&self, file: &Path, content: &[u8]) -> Result<(), StoreError> {
        let write = || {
            let unfinished = file.with_extension("new");
            remove_if_there(&unfinished)?;
            let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            out.write_all(content)?;
            out.sync_all()?;
            fs::rename(&unfinished, file)?;
            self.sync()
        };
        write().map_err(|e| refused_by_system(file, &e))
    }
}

/// Takes away what group and others may do, if anything.
pub(super) fn close_to_others(path: &Path, mode: u32) -> io::Result<()> {
    if fs::metadata(path)?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// The content of a small file; None if there is none.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read(path) {
        // A damaged file need not be text; what it says is judged by the caller.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(refused_by_system(path, &e)),
    }
}

pub(super) fn refused_by_system(file: &Path, cause: &io::Error) -> StoreError {
    let what = format!("could not be used: {cause}");
    let cure = match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => MAKE_ROOM,
        _ => PERMIT,
    };
    StoreError::Refused { file: file.to_owned(), what, cure }
}
