//! Backups: made beside writers, never over something else, and brought back whole, also when that is cut off.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::super::files::{DataDir, LOCK_PATIENCE};
use super::super::restore::{prepare, renames};
use super::super::*;
use super::{everything, fill, fresh, memory_folder, name, open, user};
use crate::model::Timestamp;

const NOW: Timestamp = Timestamp(1_000);

fn config(dir: &Path) -> Config {
    Config { data_dir: dir.to_owned() }
}

/// A filled store, closed, with a backup of it in another folder.
fn backed_up() -> (tempfile::TempDir, tempfile::TempDir, PathBuf) {
    let (dir, store) = fresh();
    fill(&store);
    let elsewhere = memory_folder();
    let file = elsewhere.path().join("backup");
    store.back_up(&file, false, NOW).expect("a backup");
    (dir, elsewhere, file)
}

fn names(store: &Store) -> Vec<String> {
    store.users().expect("readable").iter().map(|row| row.name.to_string()).collect()
}

#[test]
fn a_backup_is_restored_on_a_fresh_machine_with_all_but_the_sessions() {
    let (dir, _elsewhere, file) = backed_up();
    let before = open(dir.path()).expect("it is whole");
    let machine = memory_folder();
    let backup = Backup::open(&file).expect("it is whole");
    assert_eq!(restore(&config(machine.path()), &backup, NOW).expect("restored"), None);
    let after = open(machine.path()).expect("it opens");
    assert_eq!(after.instance(), before.instance());
    assert_eq!(after.users().expect("readable"), before.users().expect("readable"));
    assert_eq!(after.tokens().expect("readable"), before.tokens().expect("readable"));
    assert_eq!(after.servers().expect("readable"), before.servers().expect("readable"));
    assert_eq!(after.sessions().expect("readable"), []);
    assert_eq!(after.audit(1).expect("readable")[0].act, "restored a backup");
    after.write(|t| t.put_user(&user("late"))).expect("a commit");
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_store_of_before_is_kept_and_can_be_opened() {
    let (dir, _elsewhere, file) = backed_up();
    let store = open(dir.path()).expect("it is whole");
    store.write(|t| t.put_user(&user("late"))).expect("a commit");
    let before = everything(&store).expect("readable");
    let backup = Backup::open(&file).expect("it is whole");
    assert!(matches!(restore(&config(dir.path()), &backup, NOW), Err(StoreError::InUse { .. })), "one runs");
    drop(store);
    let kept = restore(&config(dir.path()), &backup, NOW).expect("restored").expect("there was one");
    assert_eq!(names(&open(dir.path()).expect("it opens")), ["al", "alice"]);
    assert_eq!(everything(&open(&kept).expect("it opens")).expect("readable"), before);
}

#[test]
fn a_restore_that_is_cut_off_anywhere_is_finished_by_the_next_opening() {
    let (origin, _elsewhere, file) = backed_up();
    let backup = Backup::open(&file).expect("it is whole");
    for cut in 0..=8 {
        let dir = memory_folder();
        for entry in fs::read_dir(origin.path()).expect("a folder") {
            let entry = entry.expect("an entry");
            fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("a copy");
        }
        open(dir.path()).expect("whole").write(|t| t.put_user(&user("late"))).expect("a commit");
        let locked = DataDir::lock(dir.path(), LOCK_PATIENCE).expect("it is free");
        prepare(&locked, &backup, "kept", NOW).expect("prepared");
        let (restoring, kept) = (dir.path().join("restoring"), dir.path().join("kept"));
        fs::create_dir(&kept).expect("a folder");
        let steps = renames(&locked, &restoring, &kept);
        assert_eq!(steps.len(), 8);
        for (from, to) in &steps[..cut] {
            fs::rename(from, to).expect("as a restore does");
        }
        drop(locked);
        assert_eq!(names(&open(dir.path()).expect("it opens")), ["al", "alice"], "cut after {cut}");
        assert_eq!(names(&open(&kept).expect("it opens")), ["al", "alice", "late"], "cut after {cut}");
        assert!(!restoring.exists());
    }
}

#[test]
fn no_file_is_overwritten_unless_told_and_never_one_that_is_no_backup() {
    let (dir, _elsewhere, file) = backed_up();
    let store = open(dir.path()).expect("it is whole");
    let before = fs::read(&file).expect("it is there");
    assert!(store.back_up(&file, false, NOW).is_err());
    assert!(fs::read(&file).expect("it is there") == before);
    store.back_up(&file, true, NOW).expect("told to");
    let other = file.with_extension("txt");
    fs::write(&other, "a letter").expect("it can be written");
    let own = dir.path().join("slipway.redb");
    for victim in [&other, &own] {
        let content = fs::read(victim).expect("it is there");
        assert!(store.back_up(victim, true, NOW).is_err());
        assert!(fs::read(victim).expect("it is there") == content, "{}", victim.display());
    }
    let left = fs::read_dir(file.parent().expect("a folder")).expect("a folder").count();
    assert_eq!(left, 2, "nothing unfinished is left");
}

#[test]
fn a_damaged_backup_is_a_refusal_that_names_it_and_leaves_the_store_alone() {
    let (dir, _elsewhere, file) = backed_up();
    let whole = fs::read(&file).expect("it is there");
    let mut images = vec![Vec::new(), b"a letter to somebody".to_vec(), whole[..whole.len() / 2].to_vec()];
    images.extend((0..60).map(|n| {
        let mut flipped = whole.clone();
        let at = whole.len() / 60 * n + n;
        flipped[at] ^= 1 << (n % 8);
        flipped
    }));
    let mut refused = 0;
    for image in images {
        fs::write(&file, &image).expect("it can be written");
        match Backup::open(&file) {
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(&file.display().to_string()) && text.contains("slipway backup"), "{text}");
                refused += 1;
            }
            // The bit lay where nothing is kept: then all of it must be right.
            Ok(backup) => {
                let machine = memory_folder();
                restore(&config(machine.path()), &backup, NOW).expect("restored");
                assert_eq!(names(&open(machine.path()).expect("it opens")), ["al", "alice"]);
            }
        }
        assert!(fs::read(&file).expect("it is there") == image, "it is only read");
    }
    assert!(refused > 3, "{refused}");
    assert_eq!(names(&open(dir.path()).expect("it is whole")), ["al", "alice"]);
}

#[test]
fn a_backup_of_another_installation_is_refused() {
    let (_dir, _elsewhere, file) = backed_up();
    let (other, store) = fresh();
    store.write(|t| t.put_user(&user("mine"))).expect("a commit");
    drop(store);
    let error = restore(&config(other.path()), &Backup::open(&file).expect("whole"), NOW).expect_err("another's");
    assert!(error.to_string().contains("belongs to another"), "{error}");
    assert!(open(other.path()).expect("whole").user(&name("mine")).expect("readable").is_some());
}

#[test]
fn a_backup_beside_a_writer_has_whole_commits_only() {
    let (_dir, store) = fresh();
    let elsewhere = memory_folder();
    let writer = store.clone();
    let writing = std::thread::spawn(move || {
        for n in 0..200 {
            let write = writer.write(|t| {
                t.put_user(&user(&format!("a{n}")))?;
                t.put_user(&user(&format!("b{n}")))
            });
            write.expect("a commit");
        }
    });
    for n in 0..6 {
        let file = elsewhere.path().join(n.to_string());
        let acknowledged = store.users().expect("readable").len();
        store.back_up(&file, false, NOW).expect("a backup");
        let machine = memory_folder();
        restore(&config(machine.path()), &Backup::open(&file).expect("whole"), NOW).expect("restored");
        let names = names(&open(machine.path()).expect("it opens"));
        let firsts = names.iter().filter(|name| name.starts_with('a')).count();
        assert!(firsts * 2 == names.len() && names.len() >= acknowledged, "{firsts} of {}", names.len());
    }
    writing.join().expect("no panic");
}
