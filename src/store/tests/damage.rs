//! Damaged, missing and foreign files: each is a refusal in one line, and nothing is altered or made anew.

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::super::*;
use super::{everything, fill, fresh, images, memory_folder, name, open, user};

const FILES: [&str; 4] = ["instance", "slipway.redb", "slipway.witness", "store.key"];

/// A folder with a filled store, closed.
fn filled() -> (tempfile::TempDir, String) {
    let (dir, store) = fresh();
    fill(&store);
    let rows = everything(&store).expect("readable");
    drop(store);
    (dir, rows)
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

/// Opening fails with one line that names `file`, and the database file stays as it is.
fn is_refused(dir: &Path, file: &str) -> String {
    let database = dir.join("slipway.redb");
    let before = fs::read(&database).ok();
    let error = open(dir).expect_err("it must not open").to_string();
    assert!(!error.contains('\n'), "{error}");
    assert!(error.contains(&dir.join(file).display().to_string()), "{error}");
    assert!(error.contains("restore a backup"), "{error}");
    assert!(fs::read(&database).ok() == before, "the file is kept");
    error
}

#[test]
fn a_missing_file_on_an_initialised_host_is_a_refusal_and_stays_missing() {
    for file in ["slipway.redb", "slipway.witness", "store.key"] {
        let (dir, _) = filled();
        fs::remove_file(dir.path().join(file)).expect("it was there");
        for _ in 0..2 {
            assert!(is_refused(dir.path(), file).contains("is missing"));
            assert!(!dir.path().join(file).exists());
        }
    }
}

#[test]
fn an_empty_file_is_a_refusal_and_stays_empty() {
    for file in FILES {
        let (dir, _) = filled();
        fs::write(dir.path().join(file), b"").expect("it can be written");
        is_refused(dir.path(), file);
        assert_eq!(fs::metadata(dir.path().join(file)).expect("it is there").len(), 0);
    }
}

#[test]
fn a_file_of_something_else_is_a_refusal() {
    for file in FILES {
        let (dir, _) = filled();
        fs::write(dir.path().join(file), "#!/bin/sh\necho no\n".repeat(1000)).expect("it can be written");
        is_refused(dir.path(), file);
    }
}

#[test]
fn marker_and_database_lost_together_are_noticed_by_the_witness() {
    let (dir, _) = filled();
    fs::remove_file(dir.path().join("instance")).expect("it was there");
    fs::remove_file(dir.path().join("slipway.redb")).expect("it was there");
    is_refused(dir.path(), "slipway.redb");
}

#[test]
fn a_lost_marker_is_written_again_beside_a_whole_database() {
    let (dir, rows) = filled();
    let marker = dir.path().join("instance");
    let before = fs::read_to_string(&marker).expect("it is there");
    fs::remove_file(&marker).expect("it was there");
    let store = open(dir.path()).expect("the database is whole");
    assert_eq!(everything(&store).expect("readable"), rows);
    assert_eq!(fs::read_to_string(&marker).expect("it is there"), before);
}

#[test]
fn a_first_start_that_was_cut_short_is_done_again() {
    let dir = memory_folder();
    fs::write(dir.path().join("slipway.redb.new"), b"half a database").expect("it can be written");
    open(dir.path()).expect("nothing was there yet");
    assert!(!dir.path().join("slipway.redb.new").exists());
}

#[test]
fn a_newer_format_is_a_refusal() {
    let (dir, _) = filled();
    let marker = dir.path().join("instance");
    let text = fs::read_to_string(&marker).expect("it is there").replace("\"format\":1", "\"format\":2");
    fs::write(&marker, text).expect("it can be written");
    let error = open(dir.path()).expect_err("it is from the future").to_string();
    assert!(error.contains("newer version"), "{error}");

    let (dir, store) = fresh();
    store.write(|t| t.put_meta("format", &2)).expect("a commit");
    drop(store);
    let error = open(dir.path()).expect_err("it is from the future").to_string();
    assert!(error.contains("newer version"), "{error}");
}

#[test]
fn a_database_of_another_installation_is_a_refusal() {
    let ((dir, _), (other, _)) = (filled(), filled());
    fs::copy(other.path().join("slipway.redb"), dir.path().join("slipway.redb")).expect("a copy");
    is_refused(dir.path(), "slipway.redb");
    // With its key and witness too it is whole, but the marker says that it is not this host's.
    fs::copy(other.path().join("store.key"), dir.path().join("store.key")).expect("a copy");
    fs::copy(other.path().join("slipway.witness"), dir.path().join("slipway.witness")).expect("a copy");
    assert!(is_refused(dir.path(), "slipway.redb").contains("another installation"));
}

#[test]
fn a_database_from_last_week_is_a_refusal() {
    let (dir, _) = filled();
    let old = fs::read(dir.path().join("slipway.redb")).expect("it is there");
    let store = open(dir.path()).expect("it is whole");
    store.write(|t| t.put_user(&user("carol"))).expect("a commit");
    drop(store);
    fs::write(dir.path().join("slipway.redb"), old).expect("it can be written");
    assert!(is_refused(dir.path(), "slipway.redb").contains("older than it was"));
}

#[test]
fn a_folder_that_may_not_be_used_is_named() {
    let dir = memory_folder();
    fs::write(dir.path().join("data"), b"a file").expect("it can be written");
    let error = open(&dir.path().join("data")).expect_err("it is no folder").to_string();
    assert!(error.contains("data_dir"), "{error}");
}

/// Of redb alone, 113 of 300 such files opened with wrong data and 8 panicked.
#[test]
fn of_damaged_images_none_opens_with_other_data_and_none_panics() {
    let (clean, _) = filled();
    // The other half: as a kill leaves it, where redb's recovery has most to say.
    let killed = memory_folder();
    let store = open(clean.path()).expect("it is whole");
    for n in 0..20 {
        store.write(|t| t.put_user(&user(&format!("late{n}")))).expect("a commit");
    }
    store.write(|t| t.delete_user(&name("late3"))).expect("a commit");
    let rows = everything(&store).expect("readable");
    copy(clean.path(), killed.path());
    drop(store);

    let mut rng = StdRng::seed_from_u64(2026);
    let (mut refused, mut harmless) = (0, 0);
    let images = images(300);
    for number in 0..images {
        let source = if number % 2 == 0 { clean.path() } else { killed.path() };
        let dir = memory_folder();
        copy(source, dir.path());
        let path = dir.path().join("slipway.redb");
        let mut image = fs::read(&path).expect("it is there");
        let used = image.iter().rposition(|byte| *byte != 0).map_or(image.len(), |last| last + 1);
        let change = damage(&mut image, used, number, &mut rng);
        fs::write(&path, &image).expect("it can be written");
        match open(dir.path()) {
            Ok(store) => {
                assert_eq!(everything(&store).expect("readable"), rows, "image {number}: {change}");
                store.write(|t| t.put_user(&user("after"))).expect("what opens can be written");
                harmless += 1;
            }
            Err(StoreError::Refused { .. }) => {
                assert!(fs::read(&path).expect("it is there") == image, "image {number}: {change}: it is kept");
                refused += 1;
            }
            Err(error) => panic!("image {number}: {change}: {error:?}"),
        }
    }
    assert!(refused > images / 3, "{refused} refused, {harmless} harmless");
}

fn damage(image: &mut Vec<u8>, used: usize, number: usize, rng: &mut StdRng) -> String {
    match number % 6 {
        0 | 1 => {
            let (byte, bit) = (rng.random_range(0..used), rng.random_range(0..8));
            image[byte] ^= 1 << bit;
            format!("bit {bit} of byte {byte}")
        }
        2 | 3 => {
            // The header decides which of two commits is the newer one: more than its share of tries.
            let (byte, bit) = (rng.random_range(0..320), rng.random_range(0..8));
            image[byte] ^= 1 << bit;
            format!("bit {bit} of byte {byte} in the header")
        }
        4 => {
            let length = rng.random_range(1..image.len());
            image.truncate(length);
            format!("cut to {length} bytes")
        }
        _ => {
            let page = rng.random_range(0..used.div_ceil(4096)) * 4096;
            let end = image.len().min(page + 4096);
            image[page..end].fill(0);
            format!("page at {page} zeroed")
        }
    }
}

#[test]
fn every_bit_of_the_commit_header_flipped_gives_the_same_data_or_a_refusal() {
    let (dir, store) = fresh();
    fill(&store);
    let rows = everything(&store).expect("readable");
    let image = fs::read(dir.path().join("slipway.redb")).expect("it is there");
    let killed = memory_folder();
    copy(dir.path(), killed.path());
    drop(store);
    // Every third bit in a debug build: each opening takes some milliseconds.
    for bit in (0..320 * 8).step_by(3) {
        let mut flipped = image.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(killed.path().join("slipway.redb"), flipped).expect("it can be written");
        match open(killed.path()) {
            Ok(store) => assert_eq!(everything(&store).expect("readable"), rows, "bit {bit}"),
            Err(StoreError::Refused { .. }) => {}
            Err(error) => panic!("bit {bit}: {error:?}"),
        }
    }
}
