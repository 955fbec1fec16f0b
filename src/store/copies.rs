//! The copies that the program makes by itself: a folder of backups, named by their dates. Which of them is the newest
//! good one, when the next is due, and which may go.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::backup::{BackedUp, Backup, Made, refused, unwritable};
use super::error::FREE_SPACE;
use super::files::remove_if_there;
use super::{Store, StoreError};
use crate::model::Timestamp;

const BEGIN: &str = "slipway-";
const END: &str = ".backup";
const UNFINISHED: &str = ".unfinished";
/// What a copy leaves free on its disk: a copy must never be what fills the disk of the database. 64 MiB: the growth of
/// hours.
const LEFT_FREE_BYTES: u64 = 64 << 20;

/// When copies are made, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiesConfig {
    /// The folder, made 0700 if it is missing.
    pub folder: PathBuf,
    /// From one to the next; `None`: none are made.
    pub every: Option<Duration>,
    /// How many are kept, 1 or more.
    pub keep: usize,
}

/// A folder of copies. Files of other names in it are nobody's business here.
#[derive(Clone, Debug)]
pub struct Copies {
    folder: PathBuf,
}

impl Copies {
    /// Those in `folder`, which need not be there.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// By their names alone: when and which, the newest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn all(&self) -> Result<Vec<(Timestamp, PathBuf)>, StoreError> {
        let mut found: Vec<_> =
            self.names()?.iter().filter_map(|name| Some((made_at(name)?, self.folder.join(name)))).collect();
        found.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Ok(found)
    }

    /// The newest that is whole, which is found out by reading it, and when it was made. Blocks.
    #[must_use]
    pub fn newest_good(&self) -> Option<(PathBuf, Made)> {
        let all = self.all().unwrap_or_default();
        all.into_iter().find_map(|(_, file)| Backup::open(&file).ok().map(|backup| (file, backup.made().clone())))
    }

    /// Copies `store`, and removes what is then more than `keep`, the oldest first. Blocks.
    ///
    /// # Errors
    /// There is no room for it, or it could not be written and read again. The copies of before are all there then.
    pub fn make(&self, store: &Store, now: Timestamp, keep: usize) -> Result<BackedUp, StoreError> {
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&self.folder).map_err(|e| unwritable(&self.folder, &e))?;
        self.make_sure_of_room(store)?;
        let file = self.folder.join(format!("{BEGIN}{}{END}", now.to_string().replace(':', "-")));
        let made = store.back_up(&file, false, now)?;
        let others = self.all()?.into_iter().map(|(_, other)| other).filter(|other| *other != file);
        for old in others.skip(keep.saturating_sub(1)) {
            if let Err(error) = remove_if_there(&old) {
                tracing::warn!(file = %old.display(), %error, "an old copy of the store could not be removed");
            }
        }
        Ok(made)
    }

    /// Removes what copies that were cut off have left. Only while none is being made.
    pub fn sweep(&self) {
        let left = |name: &&String| name.starts_with(BEGIN) && name.contains(END) && name.ends_with(UNFINISHED);
        for name in self.names().unwrap_or_default().iter().filter(left) {
            if let Err(error) = remove_if_there(&self.folder.join(name)) {
                tracing::warn!(file = name, %error, "an unfinished copy is left, and has the store's secrets");
            }
        }
    }

    fn make_sure_of_room(&self, store: &Store) -> Result<(), StoreError> {
        let needed = fs::metadata(store.0.dir.database()).map_or(0, |database| database.len()) + LEFT_FREE_BYTES;
        // Where the system does not say, the writing does.
        let Ok(disk) = rustix::fs::statvfs(&self.folder) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= needed {
            return Ok(());
        }
        let what = format!("has {} MiB left, and a copy of the store wants {}", free >> 20, needed.div_ceil(1 << 20));
        Err(refused(&self.folder, &what, FREE_SPACE))
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| refused(&self.folder, &format!("could not be read: {e}"), FREE_SPACE))?,
        };
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }
}

/// When the next copy is due, after those that were made at `made_at`. One whose date is still to come, as a clock that
/// was wrong leaves it, counts for nothing.
#[must_use]
pub fn is_due(made_at: &[Timestamp], every: Duration, now: Timestamp) -> bool {
    made_at.iter().filter(|at| **at <= now).max().is_none_or(|last| now.since(*last) >= every)
}

fn made_at(name: &str) -> Option<Timestamp> {
    let (day, time) = name.strip_prefix(BEGIN)?.strip_suffix(END)?.split_once('T')?;
    Timestamp::parse_iso(&format!("{day}T{}", time.replace('-', ":")))
}
