//! The homes that servers as processes have: where each is, how large, and its end. Blocking file work.
//!
//! A home is a volume as far as people can tell: `home` of the default server, `home--gpu` of a named one. What is in it
//! may be hostile: links are never followed, and a walk through it ends at a limit.

use std::collections::HashMap;
use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::model::VolumeStem;

/// The folder within a server's folder that is the server's own.
pub(super) const HOME: &str = "home";
/// What a home is called while it is being deleted.
const GONE: &str = "home.gone";
/// Files of one home that are looked at; a larger home has an unknown size. A million takes some seconds.
const FILES_LIMIT: usize = 1_000_000;
/// How long a walk through all homes may take; those it does not come to have an unknown size.
const WALK_LIMIT: Duration = Duration::from_secs(120);
/// Blocks of `st_blocks`, whatever the file system's own are.
const BLOCK_BYTES: u64 = 512;

/// One home that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home {
    /// `home`, `home--gpu`.
    pub(super) suffix: String,
    pub(super) path: PathBuf,
}

/// The folder of a server of whoever has `stem`. `server` is its escaped name, empty for the default one. An escaped name
/// never has two dashes together, so no two servers share a folder.
pub(super) fn folder_name(stem: &VolumeStem, server: &str) -> String {
    if server.is_empty() { format!("server-{stem}") } else { format!("server-{stem}--{server}") }
}

/// Whether a home can be called this.
pub(super) fn is_suffix(suffix: &str) -> bool {
    let is_escaped = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    suffix == HOME
        || suffix.strip_prefix("home--").is_some_and(|server| !server.is_empty() && server.chars().all(is_escaped))
}

/// Where the home of this suffix is, if it can be one.
pub(super) fn path_of(servers: &Path, stem: &VolumeStem, suffix: &str) -> Option<PathBuf> {
    let server = if suffix == HOME { "" } else { suffix.strip_prefix("home--")? };
    is_suffix(suffix).then(|| servers.join(folder_name(stem, server)).join(HOME))
}

/// Whose home is at this path, and its suffix: the other way round.
pub(super) fn owner_of(path: &Path) -> Option<(VolumeStem, String)> {
    let name = path.parent()?.file_name()?.to_str()?.strip_prefix("server-")?;
    // An escaped name never has two dashes together.
    let (stem, suffix) = match name.split_once("--") {
        Some((stem, server)) => (stem, format!("home--{server}")),
        None => (name, HOME.to_owned()),
    };
    is_suffix(&suffix).then_some(())?;
    Some((VolumeStem::try_from(stem.to_owned()).ok()?, suffix))
}

/// The homes of whoever has `stem`: that of the default server, then those of named ones by name.
pub(super) fn of(servers: &Path, stem: &VolumeStem) -> io::Result<Vec<Home>> {
    let (default, named) = (folder_name(stem, ""), format!("{}--", folder_name(stem, "")));
    let mut homes = Vec::new();
    for entry in fs::read_dir(servers)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let suffix = match name.strip_prefix(&named) {
            Some(server) => format!("home--{server}"),
            None if name == default => HOME.to_owned(),
            None => continue,
        };
        let path = entry.path().join(HOME);
        if is_suffix(&suffix) && is_folder(&path) {
            homes.push(Home { suffix, path });
        }
    }
    homes.sort_by(|a, b| a.suffix.cmp(&b.suffix));
    Ok(homes)
}

/// Deletes a home; false if there was none. It is out of the way in one step, so that no server finds half of it.
pub(super) fn remove(home: &Path) -> io::Result<bool> {
    let gone = home.with_file_name(GONE);
    // What a crash has left of an earlier time.
    delete(&gone)?;
    match fs::rename(home, &gone) {
        Ok(()) => delete(&gone).map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn delete(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            // Folders in it that their owner, who is we, may not write to.
            unlock(folder)?;
            fs::remove_dir_all(folder)
        }
        result => result,
    }
}

fn unlock(folder: &Path) -> io::Result<()> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

/// How much room each home takes, by path; those that are too large to be looked through are left out.
pub(super) fn sizes(servers: &Path) -> io::Result<HashMap<String, u64>> {
    let end = Instant::now() + WALK_LIMIT;
    let mut sizes = HashMap::new();
    for entry in fs::read_dir(servers)? {
        let home = entry?.path().join(HOME);
        if !is_folder(&home) {
            continue;
        }
        if let Some(bytes) = size_of(&home, FILES_LIMIT, end) {
            sizes.insert(home.display().to_string(), bytes);
        }
    }
    Ok(sizes)
}

/// None if there are more files than `limit`, it takes until `end`, or something cannot be read.
fn size_of(home: &Path, limit: usize, end: Instant) -> Option<u64> {
    let mut folders = vec![home.to_path_buf()];
    let (mut bytes, mut files) = (0_u64, 0_usize);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).ok()? {
            let entry: DirEntry = entry.ok()?;
            files += 1;
            if files > limit || Instant::now() > end {
                return None;
            }
            // Does not follow links.
            let there = entry.metadata().ok()?;
            bytes = bytes.saturating_add(there.blocks().saturating_mul(BLOCK_BYTES));
            if there.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Some(bytes)
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserName;

    fn alice() -> VolumeStem {
        VolumeStem::of(&UserName::parse("alice").expect("a name"))
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn a_users_homes_are_found_and_nobody_elses() {
        let servers = tempfile::tempdir().expect("a folder");
        for name in ["server-alice", "server-alice--gpu", "server-alice-2db", "server-alice.2", "server-bob"] {
            fs::create_dir_all(servers.path().join(name).join(HOME)).expect("made");
        }
        fs::create_dir_all(servers.path().join("server-alice--empty")).expect("made");
        let homes = of(servers.path(), &alice()).expect("listed");
        let suffixes: Vec<_> = homes.iter().map(|home| home.suffix.as_str()).collect();
        assert_eq!(suffixes, ["home", "home--gpu"]);
        for home in &homes {
            assert_eq!(path_of(servers.path(), &alice(), &home.suffix).as_ref(), Some(&home.path));
            assert_eq!(owner_of(&home.path), Some((alice(), home.suffix.clone())));
        }
        for odd in ["", "cache", "home--", "home--../x", "home--A", "home/x"] {
            assert_eq!(path_of(servers.path(), &alice(), odd), None, "{odd}");
        }
    }

    #[test]
    fn a_home_is_deleted_with_locked_folders_and_no_link_is_followed() {
        let servers = tempfile::tempdir().expect("a folder");
        let (outside, home) = (servers.path().join("outside"), servers.path().join("server-alice").join(HOME));
        fs::create_dir_all(&outside).expect("made");
        fs::write(outside.join("kept"), "x").expect("written");
        fs::create_dir_all(home.join("locked/in")).expect("made");
        fs::write(home.join("locked/in/file"), "x").expect("written");
        std::os::unix::fs::symlink(&outside, home.join("link")).expect("linked");
        fs::set_permissions(home.join("locked"), fs::Permissions::from_mode(0o500)).expect("locked");
        assert!(remove(&home).expect("removed"));
        assert!(!home.exists() && !home.with_file_name(GONE).exists() && outside.join("kept").exists());
        assert!(!remove(&home).expect("nothing there"));
    }

    #[test]
    fn a_home_is_measured_to_a_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join(HOME);
        fs::create_dir_all(home.join("a")).expect("made");
        fs::write(home.join("a/file"), vec![1_u8; 100_000]).expect("written");
        std::os::unix::fs::symlink("/", home.join("link")).expect("linked");
        let bytes = size_of(&home, 10, far()).expect("small enough");
        assert!((100_000..300_000).contains(&bytes), "{bytes}");
        assert_eq!(size_of(&home, 2, far()), None);
    }
}
