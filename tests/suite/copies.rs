//! The copies that a running instance makes of its store, and what a start that is refused says of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use slipway::store::Backup;
use tempfile::TempDir;

use crate::commands::{Serving, run, slipway, text};

/// No copy and no refusal takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// An installation with somebody in it and copies of it, each second one.
fn copied() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    fs::create_dir(folder.path().join("config")).expect("a folder");
    fs::write(folder.path().join("config/slipway.toml"), "[backup]\nevery_s = 1\nkeep = 2\n").expect("written");
    let serving = Serving::start(folder.path());
    let added = run(folder.path(), &["user", "add", "alice", "--generate"], "");
    assert!(added.status.success(), "{}", text(&added));
    let until = Instant::now() + LIMIT;
    let mut seen = BTreeSet::new();
    while seen.len() < 4 {
        assert!(Instant::now() < until, "only {seen:?} were made");
        seen.extend(copies(folder.path()));
        std::thread::yield_now();
    }
    drop(serving);
    folder
}

/// By their names, the oldest first.
fn copies(folder: &Path) -> BTreeSet<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.join("data/backups")) else { return BTreeSet::new() };
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|file| file.extension().is_some_and(|extension| extension == "backup")).collect()
}

/// What a start says that must be refused.
fn refusal(folder: &Path) -> String {
    let mut refused =
        slipway(folder, &["serve"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let until = Instant::now() + LIMIT;
    while refused.try_wait().expect("ours").is_none() {
        if Instant::now() > until {
            let _ = refused.kill();
            panic!("a damaged store is served");
        }
        std::thread::yield_now();
    }
    let output = refused.wait_with_output().expect("it has ended");
    assert!(!output.status.success());
    let said = text(&output);
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_running_instance_copies_its_store_and_a_damaged_one_is_brought_back_by_what_the_refusal_says() {
    let folder = copied();
    let database = folder.path().join("data/slipway.redb");
    let whole = fs::read(&database).expect("readable");
    let kept = copies(folder.path());
    // A third is there for the moment before the oldest goes, in which we may have ended it.
    assert!(matches!(kept.len(), 2 | 3), "{kept:?}");
    let newest = kept.last().expect("two").clone();
    for copy in &kept {
        Backup::open(copy).expect("whoever has the name is whole");
    }

    let middle = whole.len() / 2;
    let mut altered = whole.clone();
    altered[4096..].fill(0xa5);
    let damages: [(&str, &[u8]); 4] = [
        ("empty", b""),
        ("cut", &whole[..middle]),
        ("something else", b"not a database at all"),
        ("altered", &altered),
    ];
    for (damage, content) in damages {
        fs::write(&database, content).expect("written");
        let said = refusal(folder.path());
        assert!(said.contains("slipway.redb"), "{damage}: {said}");
        assert!(said.contains(&format!("slipway restore {}", newest.display())), "{damage}: {said}");
        assert_eq!(fs::read(&database).expect("readable"), content, "{damage}: the file stays as it is");
    }
    fs::remove_file(&database).expect("it was there");
    assert!(refusal(folder.path()).contains("its newest good copy is of 20"), "a file that is missing");
    assert!(!database.exists(), "no new one is made in its place");

    // The newest copy is damaged as well.
    let mut half = fs::read(&newest).expect("readable");
    half.truncate(half.len() / 2);
    fs::write(&newest, half).expect("written");
    let second = kept.iter().rev().nth(1).expect("two");
    let said = refusal(folder.path());
    let command = format!("slipway restore {}", second.display());
    assert!(said.contains(&command), "{said}");
    let restored = run(folder.path(), &["restore", "--yes", &second.display().to_string()], "");
    assert!(restored.status.success(), "{}", text(&restored));
    let there = Serving::start(folder.path());
    assert!(text(&run(folder.path(), &["user", "list"], "")).contains("alice"));
    drop(there);
}

#[test]
fn without_a_good_copy_a_refusal_says_so_and_a_store_in_use_is_no_damaged_one() {
    let folder = TempDir::new().expect("a folder");
    let serving = Serving::start(folder.path());
    let said = refusal(folder.path());
    assert!(said.contains("already running") && !said.contains("copy"), "{said}");
    drop(serving);
    fs::create_dir_all(folder.path().join("data/backups/slipway-2026-11-22T02-07-07.000000Z.backup")).expect("made");
    fs::write(folder.path().join("data/store.key"), "nonsense").expect("written");
    let said = refusal(folder.path());
    assert!(said.contains("there is no good copy of it in") && said.contains("store.key is damaged"), "{said}");
}
