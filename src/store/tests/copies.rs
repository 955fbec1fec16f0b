//! The copies that are made without being asked for: when one is due, which may go, and which is the newest good one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::super::*;
use super::{fill, fresh, memory_folder};
use crate::model::Timestamp;

const HOUR: Duration = Duration::from_secs(3600);

fn at(hours: u32) -> Timestamp {
    Timestamp(1_795_313_227_000).plus(HOUR * hours)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[test]
fn so_many_are_kept_and_nothing_else_in_the_folder_is_touched() {
    let (_dir, store) = fresh();
    fill(&store);
    let folder = memory_folder();
    let path = folder.path().join("a").join("copies");
    let copies = Copies::in_folder(&path);
    assert_eq!(copies.all().expect("it is not there yet"), []);
    for hour in 0..4 {
        let made = copies.make(&store, at(hour), 2).expect("a copy");
        assert!(made.values > 0 && made.bytes > 0);
        if hour == 0 {
            fs::write(path.join("mine.backup"), "of somebody else").expect("written");
            fs::write(path.join("slipway-mine.backup"), "of somebody else").expect("written");
        }
    }
    let kept = ["slipway-2026-11-22T04-07-07.000000Z.backup", "slipway-2026-11-22T05-07-07.000000Z.backup"];
    assert_eq!(names(&path), ["mine.backup", kept[0], kept[1], "slipway-mine.backup"]);
    assert_eq!(copies.all().expect("readable"), [(at(3), path.join(kept[1])), (at(2), path.join(kept[0]))]);
    assert!(copies.make(&store, at(3), 2).is_err(), "one of this name is there");
    assert_eq!(names(&path).len(), 4);
}

#[test]
fn the_newest_good_one_is_found_behind_damaged_ones() {
    let (_dir, store) = fresh();
    fill(&store);
    let folder = memory_folder();
    let copies = Copies::in_folder(folder.path());
    assert_eq!(copies.newest_good(), None);
    for hour in 0..3 {
        copies.make(&store, at(hour), 9).expect("a copy");
    }
    let all = copies.all().expect("readable");
    let bytes = fs::read(&all[0].1).expect("readable");
    fs::write(&all[0].1, &bytes[..bytes.len() - 4096]).expect("cut");
    fs::write(&all[1].1, b"nothing of ours").expect("altered");
    let (file, made) = copies.newest_good().expect("one is left");
    assert_eq!((file, made.at), (all[2].1.clone(), at(0)));
}

#[test]
fn what_a_copy_that_was_cut_off_left_is_swept_and_nothing_else() {
    let folder = memory_folder();
    let left = "slipway-2026-11-22T04-07-07.000000Z.backup.0a1b2c3d.unfinished";
    for name in [left, "slipway-2026-11-22T04-07-07.000000Z.backup", "other.backup.0a1b2c3d.unfinished"] {
        fs::write(folder.path().join(name), "half").expect("written");
    }
    Copies::in_folder(folder.path()).sweep();
    assert_eq!(
        names(folder.path()),
        ["other.backup.0a1b2c3d.unfinished", "slipway-2026-11-22T04-07-07.000000Z.backup"]
    );
}

#[test]
fn one_is_due_when_the_last_is_old_enough_whatever_the_clock_has_done() {
    assert!(is_copy_due(&[], HOUR, at(5)));
    assert!(!is_copy_due(&[at(4), at(5)], HOUR, at(5)));
    assert!(!is_copy_due(&[at(5)], HOUR, at(5).plus(HOUR / 2)));
    assert!(is_copy_due(&[at(5)], HOUR, at(6)));
    assert!(is_copy_due(&[at(90_000), at(4)], HOUR, at(5)), "a date to come counts for nothing");
    assert!(!is_copy_due(&[at(90_000), at(5)], HOUR, at(5)), "and one is enough then");
}
