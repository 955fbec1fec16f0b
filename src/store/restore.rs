//! Brings a backup back. A crash at any point leaves the old store or the new one, never parts of both.
//!
//! The new store is made whole in a folder of its own. When that folder gets the name `restoring`, the restore has
//! happened: what is left to do is a few renames, and whoever opens the store next does those that are missing.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use redb::{ReadableDatabase as _, TableHandle as _};

use super::backup::{Backup, copy_tables, make_database, refused, unwritable};
use super::error::{ANOTHER_FOLDER, unreadable};
use super::files::{DataDir, LOCK_PATIENCE, read_if_there, refused_by_system};
use super::open::{marker_text, read_marker};
use super::transaction::Transaction;
use super::witness::{WITNESS_BYTES, Witness};
use super::{AuditRetention, Config, SESSIONS, StoreError};
use crate::model::Timestamp;

/// The files of a store, in the order in which they change places.
const FILES: [&str; 4] = ["slipway.redb", "slipway.witness", "store.key", "instance"];
/// In `restoring`: the name of the folder that takes the old store.
const KEPT_IN: &str = "kept-in";

/// Makes the store in `data_dir` what `backup` holds, without its sessions: one that was ended since then must not come
/// back. Answers where the files of the store before are, if there were any. Blocks.
///
/// # Errors
/// `InUse` while an instance runs; `Refused` if another installation's store is there, or the disk refuses.
pub fn restore(config: &Config, backup: &Backup, now: Timestamp) -> Result<Option<PathBuf>, StoreError> {
    let dir = DataDir::lock(&config.data_dir, LOCK_PATIENCE)?;
    finish(&dir)?;
    // A marker that does not read is what a backup is for.
    if let Ok(Some(marker)) = read_marker(&dir)
        && marker.instance != *backup.instance()
    {
        let what =
            format!("is of installation {}, and {} belongs to another", backup.instance().0, config.data_dir.display());
        return Err(refused(&backup.file, &what, ANOTHER_FOLDER));
    }
    let kept = kept_in(&dir, now);
    let had_any = FILES.iter().any(|name| dir.entry(name).exists());
    prepare(&dir, backup, &kept, now)?;
    finish(&dir)?;
    Ok(had_any.then(|| dir.entry(&kept)))
}

/// A name that is not taken yet.
fn kept_in(dir: &DataDir, now: Timestamp) -> String {
    let dated = format!("before-restore-{}", now.to_string().replace(':', "-"));
    let numbered = (2..).map(|n: u32| format!("{dated}-{n}"));
    std::iter::once(dated.clone()).chain(numbered).find(|name| !dir.entry(name).exists()).unwrap_or(dated)
}

/// Makes `restoring`, whole and durable.
pub(super) fn prepare(dir: &DataDir, backup: &Backup, kept: &str, now: Timestamp) -> Result<(), StoreError> {
    let folder = dir.entry("restoring.new");
    let in_folder = |e: io::Error| unwritable(&folder, &e);
    remove_folder_if_there(&folder).map_err(in_folder)?;
    DirBuilder::new().mode(0o700).create(&folder).map_err(in_folder)?;
    let database = folder.join("slipway.redb");
    let read = backup.database.begin_read().map_err(unreadable)?;
    let sequence = make_database(&database, |write| {
        copy_tables(&read, write, &backup.sealer, &database, |table| table != SESSIONS.name())?;
        let mut transaction = Transaction::new(write, &backup.sealer).keeping(AuditRetention::default());
        transaction.audit(now, &"command".into(), "restored a backup", &format!("of {}", backup.made().at))?;
        transaction.count_commit()
    })?;
    let write = |name: &str, content: &[u8]| -> Result<File, StoreError> {
        let path = folder.join(name);
        let written = || -> io::Result<File> {
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            std::os::unix::fs::FileExt::write_all_at(&file, content, 0)?;
            file.sync_all()?;
            Ok(file)
        };
        written().map_err(|e| unwritable(&path, &e))
    };
    write("store.key", blake3::Hash::from_bytes(backup.key).to_hex().as_bytes())?;
    write("instance", marker_text(backup.instance()).as_bytes())?;
    write(KEPT_IN, kept.as_bytes())?;
    let witness = write("slipway.witness", &[0; WITNESS_BYTES])?;
    Witness::new(witness, backup.sealer.clone()).note(sequence).map_err(in_folder)?;
    sync(&folder).map_err(in_folder)?;
    fs::rename(&folder, dir.entry("restoring")).and_then(|()| dir.sync()).map_err(in_folder)
}

/// Ends a restore that has happened, if there is one. May be cut off anywhere and done again.
pub(super) fn finish(dir: &DataDir) -> Result<(), StoreError> {
    let restoring = dir.entry("restoring");
    let Some(kept) = read_if_there(&restoring.join(KEPT_IN))? else { return Ok(()) };
    let kept = dir.entry(&kept);
    let refuse = |e: io::Error| refused_by_system(&restoring, &e);
    DirBuilder::new().recursive(true).mode(0o700).create(&kept).map_err(refuse)?;
    for (from, to) in renames(dir, &restoring, &kept) {
        fs::rename(from, to).map_err(refuse)?;
    }
    let leave = || -> io::Result<()> {
        sync(&kept)?;
        sync(&restoring)?;
        dir.sync()?;
        // Gone in one step: half a folder would look like a restore.
        let over = dir.entry("restoring.new");
        fs::rename(&restoring, &over)?;
        dir.sync()?;
        remove_folder_if_there(&over)?;
        // Nothing was kept on a fresh host.
        match fs::remove_dir(&kept) {
            Err(e) if e.kind() != io::ErrorKind::DirectoryNotEmpty => Err(e),
            _ => Ok(()),
        }
    };
    leave().map_err(refuse)
}

/// The renames that are still to do, in order: each old file makes room for its new one.
pub(super) fn renames(dir: &DataDir, restoring: &Path, kept: &Path) -> Vec<(PathBuf, PathBuf)> {
    let waiting = FILES.into_iter().filter(|name| restoring.join(name).exists());
    let pairs = waiting.flat_map(|name| {
        let place = dir.entry(name);
        let old = place.exists().then(|| (place.clone(), kept.join(name)));
        old.into_iter().chain([(restoring.join(name), place)])
    });
    pairs.collect()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn remove_folder_if_there(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
