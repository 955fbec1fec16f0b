//! The log on real files: what a hand at the file does, what time does, and how long a million rows take.

use std::path::Path;
use std::time::Instant;

use redb::{ReadableDatabase as _, TableHandle as _, WriteTransaction};

use super::super::open::open_database;
use super::super::tests::memory_folder;
use super::super::{Config, OpenDatabase};
use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn open(dir: &Path) -> Store {
    Store::open(&Config { data_dir: dir.to_owned() }).expect("it opens")
}

fn fresh() -> (tempfile::TempDir, Store) {
    let dir = memory_folder();
    let store = open(dir.path());
    (dir, store)
}

fn note(store: &Store, at: i64, actor: &str, act: &str, object: &str) {
    store.write(|t| t.audit(Timestamp(at), &actor.into(), act, object)).expect("a commit");
}

/// `count` rows, one a second, in one commit.
fn fill(store: &Store, count: i64) {
    let rows = |t: &mut Transaction<'_>| {
        (0..count).try_for_each(|n| t.audit(Timestamp(n * 1000), &"root".into(), "made group", &format!("group{n}")))
    };
    store.write(rows).expect("a commit");
}

/// Does something to the closed database that no program of ours would.
fn tamper(dir: &Path, act: impl FnOnce(&WriteTransaction)) {
    let OpenDatabase { database, file } = open_database(&dir.join("slipway.redb")).expect("it is whole");
    file.release().expect("it can be written");
    let write = database.begin_write().expect("nobody else writes");
    act(&write);
    write.commit().expect("it can be written");
    database.close().expect("it can be written");
}

fn take_out(write: &WriteTransaction, number: u64) -> Vec<u8> {
    let mut table = write.open_table(AUDIT).expect("it is there");
    let row = table.remove(number.to_be_bytes().as_slice()).expect("it can be written").expect("it is there");
    row.value().to_vec()
}

fn put(write: &WriteTransaction, number: u64, value: &[u8]) {
    let mut table = write.open_table(AUDIT).expect("it is there");
    table.insert(number.to_be_bytes().as_slice(), value).expect("it can be written");
}

fn first_break(store: &Store) -> Option<ChainBreak> {
    store.verify_audit().expect("readable").first_break
}

fn numbers(page: &AuditPage) -> Vec<u64> {
    page.entries.iter().map(|entry| entry.number).collect()
}

fn page(store: &Store, filter: &AuditFilter, before: Option<u64>, limit: usize) -> AuditPage {
    store.audit_page(filter, before, limit).expect("readable")
}

#[test]
fn a_log_as_it_was_written_is_whole() {
    let (dir, store) = fresh();
    assert_eq!(store.verify_audit().expect("readable").rows, 0);
    fill(&store, 50);
    note(&store, 60_000, "alice", "signed in", "");
    drop(store);
    let store = open(dir.path());
    let report = store.verify_audit().expect("readable");
    assert_eq!((report.rows, report.unchained, report.first_break), (51, 0, None));
    let newest = &page(&store, &AuditFilter::default(), None, 1).entries[0];
    assert_eq!(report.head, Some((51, newest.hash)));
}

#[test]
fn a_row_taken_out_of_the_middle_or_off_either_end_is_missed() {
    for (number, first) in [(1, 1), (7, 7), (20, 20)] {
        let (dir, store) = fresh();
        fill(&store, 20);
        drop(store);
        tamper(dir.path(), |write| drop(take_out(write, number)));
        let store = open(dir.path());
        assert_eq!(first_break(&store), Some(ChainBreak::Missing { number: first, count: 1 }));
        note(&store, 30_000, "root", "made group", "after");
        assert!(first_break(&store).is_some(), "row {number}: a new row does not heal it");
    }
}

#[test]
fn a_row_of_an_older_copy_in_its_place_is_seen() {
    let (dir, store) = fresh();
    fill(&store, 5);
    drop(store);
    // What an administrator of a restored copy did under the same number: sealed with the same key, so it reads.
    let copy = memory_folder();
    for entry in std::fs::read_dir(dir.path()).expect("a folder") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("a copy");
    }
    let store = open(copy.path());
    note(&store, 9000, "root", "deleted user", "somebody");
    drop(store);
    let mut other = Vec::new();
    tamper(copy.path(), |write| other = take_out(write, 6));
    let store = open(dir.path());
    note(&store, 9000, "root", "set password of", "alice");
    drop(store);
    tamper(dir.path(), |write| put(write, 6, &other));
    let store = open(dir.path());
    assert_eq!(first_break(&store), Some(ChainBreak::Head { number: 6 }), "the newest");
    note(&store, 10_000, "root", "made group", "after");
    assert_eq!(first_break(&store), Some(ChainBreak::Replaced { number: 7 }), "an older one");
}

#[test]
fn rows_that_changed_places_do_not_open() {
    let (dir, store) = fresh();
    fill(&store, 5);
    drop(store);
    tamper(dir.path(), |write| {
        let (second, third) = (take_out(write, 2), take_out(write, 3));
        put(write, 2, &third);
        put(write, 3, &second);
    });
    let error = Store::open(&Config { data_dir: dir.path().to_owned() }).expect_err("the seal holds the place too");
    assert!(error.to_string().contains("audit was altered"), "{error}");
}

#[test]
fn a_log_whose_ends_were_taken_away_is_not_whole() {
    let forget_ends = |write: &WriteTransaction| {
        write.open_table(META).expect("it is there").remove(CHAIN.as_bytes()).expect("it can be written");
    };
    let (dir, store) = fresh();
    fill(&store, 20);
    drop(store);
    tamper(dir.path(), |write| {
        forget_ends(write);
        take_out(write, 20);
    });
    let store = open(dir.path());
    assert!(first_break(&store).is_some());
    note(&store, 30_000, "root", "made group", "after");
    assert_eq!(first_break(&store), Some(ChainBreak::Missing { number: 20, count: 1 }));
    drop(store);
    tamper(dir.path(), |write| {
        forget_ends(write);
        (1..20).chain([21]).for_each(|number| drop(take_out(write, number)));
    });
    let store = open(dir.path());
    note(&store, 40_000, "root", "made group", "after");
    assert_eq!(first_break(&store), Some(ChainBreak::Missing { number: 1, count: 21 }), "all of it");
}

#[test]
fn what_is_no_longer_kept_goes_a_few_rows_at_a_time_and_the_rest_stays_whole() {
    let (dir, store) = fresh();
    fill(&store, 500);
    store.keep_audit(AuditRetention { rows_limit: 100, ..AuditRetention::default() });
    let kept = |store: &Store| store.verify_audit().expect("readable").rows;
    note(&store, 600_000, "root", "made group", "one");
    assert_eq!(kept(&store), 501 - PRUNED_WITH_EACH as u64);
    for n in 0..20 {
        note(&store, 600_000 + n, "root", "made group", "more");
        assert_eq!(first_break(&store), None);
    }
    assert_eq!(kept(&store), 100);
    drop(store);
    let store = open(dir.path());
    let report = store.verify_audit().expect("readable");
    assert_eq!((report.rows, report.first_break), (100, None), "the anchor is stored");
    drop(store);
    tamper(dir.path(), |write| drop(take_out(write, 422)));
    assert_eq!(first_break(&open(dir.path())), Some(ChainBreak::Missing { number: 422, count: 1 }), "the oldest kept");
}

#[test]
fn rows_go_by_their_age_with_the_next_one() {
    let (_dir, store) = fresh();
    store.keep_audit(AuditRetention { age: DAY, ..AuditRetention::default() });
    fill(&store, 10);
    let tomorrow = i64::try_from(DAY.as_millis()).expect("short") + 4_500;
    note(&store, tomorrow, "root", "made group", "late");
    assert_eq!(numbers(&page(&store, &AuditFilter::default(), None, 99)), [11, 10, 9, 8, 7, 6]);
    assert_eq!(first_break(&store), None);
}

#[test]
fn rows_of_an_older_version_read_have_a_kind_and_are_followed_by_a_chain() {
    let (dir, store) = fresh();
    store
        .write(|t| {
            for n in 1..=3_u64 {
                let number = t.next_number(LAST_AUDIT)?;
                assert_eq!(number, n);
                let row = serde_json::json!({ "at": n, "actor": "alice", "act": "signed in", "object": "" });
                t.put(AUDIT, &number.to_be_bytes(), &row)?;
            }
            Ok(())
        })
        .expect("a commit");
    let report = store.verify_audit().expect("readable");
    assert_eq!((report.rows, report.unchained, report.first_break), (3, 3, None));
    note(&store, 10, "root", "made group", "x");
    note(&store, 11, "root", "made group", "y");
    let report = store.verify_audit().expect("readable");
    assert_eq!((report.rows, report.unchained, report.first_break), (5, 3, None));
    let sign_ins = AuditFilter { kind: Some(AuditKind::SignIn), ..AuditFilter::default() };
    assert_eq!(numbers(&page(&store, &sign_ins, None, 9)), [3, 2, 1]);
    drop(store);
    tamper(dir.path(), |write| drop(take_out(write, 3)));
    assert_eq!(first_break(&open(dir.path())), Some(ChainBreak::Missing { number: 3, count: 1 }), "the first link");
}

#[test]
fn every_filter_finds_what_it_names_and_nothing_else() {
    let (_dir, store) = fresh();
    let root = Actor { from: Some("192.0.2.7".parse().expect("an address")), ..Actor::from("root") };
    let acts: [(&Actor, &str, &str); 6] = [
        (&"alice".into(), "signed in", ""),
        (&root, "made group", "physics"),
        (&root, "added alice to group", "physics"),
        (&root, "revoked token", "3 of alice"),
        (&"alicex".into(), "shared alicex/gpu", "bob"),
        (&root, "renamed Alice to", "alice2"),
    ];
    for (n, (actor, act, object)) in (1_i64..).zip(acts) {
        store.write(|t| t.audit(Timestamp(n * 3_600_000), actor, act, object)).expect("a commit");
    }
    let check = |filter: AuditFilter, expected: &[u64]| {
        assert_eq!(numbers(&page(&store, &filter, None, 99)), expected, "{filter:?}");
    };
    let all = AuditFilter::default();
    check(all.clone(), &[6, 5, 4, 3, 2, 1]);
    check(AuditFilter { kind: Some(AuditKind::Grant), ..all.clone() }, &[3, 2]);
    check(AuditFilter { actor: Some("root".into()), ..all.clone() }, &[6, 4, 3, 2]);
    check(AuditFilter { person: Some("alice".into()), ..all.clone() }, &[4, 3, 1]);
    check(AuditFilter { act: Some("made group".into()), ..all.clone() }, &[2]);
    check(AuditFilter { text: Some("PHYS".into()), ..all.clone() }, &[3, 2]);
    check(AuditFilter { from: root.from, ..all.clone() }, &[6, 4, 3, 2]);
    check(AuditFilter { since: Some(Timestamp(3 * 3_600_000)), ..all.clone() }, &[6, 5, 4, 3]);
    check(AuditFilter { until: Some(Timestamp(3 * 3_600_000)), ..all.clone() }, &[2, 1]);
    check(AuditFilter { after: Some(4), ..all.clone() }, &[6, 5]);
    check(AuditFilter { after: Some(u64::MAX), ..all.clone() }, &[]);
    let second = page(&store, &all, Some(4), 2);
    assert_eq!((numbers(&second), second.next_before), (vec![3, 2], Some(2)));
    assert_eq!(page(&store, &all, Some(2), 2).next_before, None);
}

#[test]
fn a_rare_filter_goes_on_where_it_stopped_and_finds_all() {
    let (_dir, store) = fresh();
    note(&store, 0, "alice", "signed in", "");
    fill(&store, 25_000);
    let filter = AuditFilter { actor: Some("alice".into()), ..AuditFilter::default() };
    let (mut before, mut found, mut calls) = (None, Vec::new(), 0);
    loop {
        let page = page(&store, &filter, before, 10);
        found.extend(numbers(&page));
        calls += 1;
        before = page.next_before;
        if before.is_none() {
            break;
        }
    }
    assert_eq!((found, calls), (vec![1], 3));
    // A time range needs no such walk.
    let early = AuditFilter { until: Some(Timestamp(2000)), ..AuditFilter::default() };
    let page = page(&store, &early, None, 10);
    assert_eq!((numbers(&page), page.next_before), (vec![3, 2, 1], None));
}

#[test]
fn rows_of_a_clock_that_was_set_back_are_found_where_they_were_noted() {
    let (_dir, store) = fresh();
    let hour = 3_600_000;
    note(&store, 10 * hour, "root", "made group", "a");
    note(&store, 2 * hour, "root", "made group", "b");
    note(&store, 11 * hour, "root", "made group", "c");
    let filter = AuditFilter { since: Some(Timestamp(9 * hour)), ..AuditFilter::default() };
    let found = page(&store, &filter, None, 9);
    assert_eq!(numbers(&found), [3, 2, 1]);
    assert_eq!(
        (found.entries[1].row.at, found.entries[1].row.noted),
        (Timestamp(2 * hour), Some(Timestamp(10 * hour)))
    );
}

/// Measures: `cargo test --lib a_million_audit_rows -- --ignored --nocapture`; add `--release` for what users get.
#[test]
#[ignore = "takes a minute"]
fn a_million_audit_rows() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = open(dir.path());
    store.keep_audit(AuditRetention { rows_limit: 1_000_000, ..AuditRetention::default() });
    let say = |what: &str, begun: Instant| {
        let _ = writeln!(std::io::stderr(), "{what}: {:.3} ms", begun.elapsed().as_secs_f64() * 1000.0);
    };
    for _ in 0..100 {
        fill(&store, 10_000);
    }
    let bytes = std::fs::metadata(dir.path().join("slipway.redb")).expect("it is there").len();
    let _ = writeln!(std::io::stderr(), "file: {} MiB", bytes >> 20);
    let begun = Instant::now();
    (0..100).for_each(|n| note(&store, 20_000_000 + n, "root", "made group", "x"));
    say("100 commits of one row, pruning", begun);
    let begun = Instant::now();
    let newest = page(&store, &AuditFilter::default(), None, 100);
    say("newest 100", begun);
    assert_eq!(newest.entries.len(), 100);
    let rare = AuditFilter { actor: Some("nobody".into()), ..AuditFilter::default() };
    let begun = Instant::now();
    assert!(page(&store, &rare, None, 100).next_before.is_some());
    say("one piece of a filter that fits nothing", begun);
    let begun = Instant::now();
    assert_eq!(first_break(&store), None);
    say("verify", begun);
    drop(store);
    let begun = Instant::now();
    let store = open(dir.path());
    say("open", begun);
    let read = store.0.database().expect("open").database.begin_read().expect("readable");
    assert_eq!(read.open_table(AUDIT).expect("it is there").name(), "audit");
}
