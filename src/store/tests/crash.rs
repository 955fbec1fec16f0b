//! Kills and full disks, in a child process that is this very test binary.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::super::*;
use super::{fresh, images, name, open, user};

/// A file that the parent puts into the child's working folder, beside the store: without it the `#[ignore]`d tests
/// below, which are children, do nothing.
const FOR_CHILD: &str = "for-child";

/// The folder to work in; None if no parent started us.
fn folder_from_parent() -> Option<std::path::PathBuf> {
    std::env::current_dir().ok().filter(|dir| dir.join(FOR_CHILD).exists())
}

/// This test binary, running one of the `#[ignore]`d tests below on `dir`.
fn child(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test binary"));
    command.args(["--exact", &format!("store::tests::crash::{test}"), "--ignored", "--nocapture", "-q"]);
    std::fs::write(dir.join(FOR_CHILD), b"").expect("it can be written");
    command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn kill(mut child: Child) {
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
}

/// Not a test: commits users one after another and tells of each on standard error, until it is killed.
#[test]
#[ignore = "a child of `no_acknowledged_commit_is_lost_by_a_kill`"]
fn commits_until_killed() {
    let Some(dir) = folder_from_parent() else { return };
    let store = open(&dir).expect("the parent closed it");
    let first = store.users().expect("readable").len();
    for n in first.. {
        let row = user(&format!("user{n}"));
        store
            .write(|t| {
                t.put_user(&row)?;
                t.audit(crate::model::Timestamp(0), &"child".into(), "added", row.name.as_str())
            })
            .expect("a commit");
        let _ = writeln!(std::io::stderr(), "acknowledged {n}");
    }
}

#[test]
fn no_acknowledged_commit_is_lost_by_a_kill() {
    let (dir, store) = fresh();
    drop(store);
    let mut acknowledged = 0;
    for round in 0..12 {
        let mut child = child("commits_until_killed", dir.path()).spawn().expect("a child");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut lines = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok());
        // A few commits more each round, so that kills fall on different places of the file.
        let last = lines.by_ref().nth(round).expect("it commits");
        kill(child);
        // It may have told of more before the signal came.
        acknowledged = lines.last().unwrap_or(last);
        let store = open(dir.path()).expect("a kill is no damage");
        let users = store.users().expect("readable").len();
        assert!(users > acknowledged && users <= acknowledged + 2, "round {round}: {users} of {acknowledged}");
        for n in 0..=acknowledged {
            assert!(store.user(&name(&format!("user{n}"))).expect("readable").is_some(), "user{n}");
        }
        assert_eq!(store.audit(usize::MAX).expect("readable").len(), users, "all of a commit or nothing");
    }
    assert!(acknowledged > 60);
}

#[test]
fn a_first_start_can_be_killed_anywhere() {
    for round in 0..8 {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut child = child("commits_until_killed", dir.path()).spawn().expect("a child");
        // Each round another file has to be there before the kill.
        let wanted = ["slipway.lock", "store.key", "slipway.redb.new", "slipway.witness"][round % 4];
        while !dir.path().join(wanted).exists() && !dir.path().join("instance").exists() {
            assert!(child.try_wait().expect("it is ours").is_none(), "the child ended by itself");
            std::thread::yield_now();
        }
        kill(child);
        let store = open(dir.path()).expect("a kill is no damage");
        store.write(|t| t.put_user(&user("alice"))).expect("a commit");
    }
}

/// Not a test: the shell has limited the size of files; at some commit the disk is full.
#[test]
#[ignore = "a child of `a_full_disk_fails_writes_and_heals_without_a_restart`"]
fn fills_the_disk() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(dir) = folder_from_parent() else { return };
    let store = open(&dir).expect("a fresh folder");
    let big = UserRow { password: Some("x".repeat(100_000)), ..user("x") };
    let mut stored = 0;
    let error = loop {
        let row = UserRow { name: name(&format!("user{stored}")), ..big.clone() };
        match store.write(|t| t.put_user(&row)) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "the limit must be reached");
    };
    assert!(matches!(error, StoreError::Unknown(_)), "{error:?}");
    assert!(stored > 0);
    // Reads go on and tell the truth; a further write fails again and alters nothing.
    assert_eq!(store.users().expect("readable").len(), stored);
    assert!(store.write(|t| t.put_user(&user("no"))).is_ok() || store.users().expect("readable").len() == stored);
    // The disk has room again.
    let hard = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: hard, maximum: hard }).expect("up to the hard limit");
    store.write(|t| t.put_user(&UserRow { name: name("late"), ..big.clone() })).expect("there is room");
    let users = store.users().expect("readable");
    assert!(users.len() > stored);
    let _ = writeln!(std::io::stderr(), "healed {}", users.len());
}

#[test]
fn a_full_disk_fails_writes_and_heals_without_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // 4,000 blocks of 512 bytes.
    let text = said_with_a_limit_of_files("fills_the_disk", dir.path(), "ulimit -S -f 4000");
    let healed: usize =
        text.lines().find_map(|line| line.strip_prefix("healed ")?.parse().ok()).expect("the child told");
    let store = open(dir.path()).expect("it is whole");
    assert_eq!(store.users().expect("readable").len(), healed);
}

/// What the child `test` says, which files cannot grow beyond a limit for.
fn said_with_a_limit_of_files(test: &str, dir: &Path, limit: &str) -> String {
    let child = child(test, dir);
    let mut shell = Command::new("sh");
    // Without the trap the kernel's signal would end the child.
    shell.args(["-c", &format!("trap '' XFSZ; {limit}; exec \"$@\""), "sh"]);
    shell.arg(child.get_program()).args(child.get_args()).current_dir(dir);
    let output = shell.output().expect("a child");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stdout));
    text
}

/// Not a test: no file takes anything while it looks what became of a commit.
#[test]
#[ignore = "a child of `a_commit_that_is_durable_has_succeeded_also_while_nothing_can_be_written`"]
fn settles_while_nothing_can_be_written() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(dir) = folder_from_parent() else { return };
    let store = open(&dir).expect("a fresh folder");
    store.write(|t| t.put_user(&user("alice"))).expect("a commit");
    let mut witness = store.0.writer.lock();
    let sequence = witness.sequence().expect("readable").expect("a commit is noted");
    let hard = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: Some(0), maximum: hard }).expect("below the hard limit");
    assert!(store.0.settle(failed(sequence), &mut witness).is_ok(), "a restart will find it");
    assert!(matches!(store.0.settle(failed(sequence + 1), &mut witness), Err(StoreError::Unknown(_))));
    drop(witness);
    let refused = store.write(|t| t.put_user(&user("bob")));
    assert!(matches!(refused, Err(StoreError::Unknown(_))), "the limit holds: {refused:?}");
    assert!(store.user(&name("alice")).expect("readable").is_some());
    let _ = writeln!(std::io::stderr(), "settled");
}

#[test]
fn a_commit_that_is_durable_has_succeeded_also_while_nothing_can_be_written() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let text = said_with_a_limit_of_files("settles_while_nothing_can_be_written", dir.path(), "true");
    assert!(text.contains("settled"), "{text}");
    let store = open(dir.path()).expect("it is whole");
    assert_eq!(store.users().expect("readable").len(), 1);
}

/// A write that failed as its commit `sequence` was made.
fn failed(sequence: u64) -> Failed<()> {
    Failed {
        error: StoreError::Unknown("its last sync failed".into()),
        written: Some(Written { sequence, value: (), moved: Vec::new() }),
    }
}

#[test]
fn a_commit_that_failed_has_succeeded_if_it_is_there_and_only_then() {
    let (_dir, store) = fresh();
    store.write(|t| t.put_user(&user("alice"))).expect("a commit");
    let mut witness = store.0.writer.lock();
    let sequence = witness.sequence().expect("readable").expect("a commit is noted");
    assert!(store.0.settle(failed(sequence), &mut witness).is_ok());
    assert!(matches!(store.0.settle(failed(sequence + 1), &mut witness), Err(StoreError::Unknown(_))));
    assert_eq!(witness.sequence().expect("readable"), Some(sequence), "what did not happen is not noted");
    drop(witness);
    store.write(|t| t.put_user(&user("bob"))).expect("it goes on");
}

/// A power cut keeps all that was synced before it and any part of what was written since.
#[test]
fn no_acknowledged_commit_is_lost_by_a_power_cut() {
    use std::os::unix::fs::FileExt as _;

    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::super::open::open_database;
    use super::super::staged::Step;

    let (dir, store) = fresh();
    let sealer = store.0.sealer.clone();
    drop(store);
    let path = dir.path().join("slipway.redb");
    let image = std::fs::read(&path).expect("it is there");
    let witness_path = dir.path().join("slipway.witness");
    let witness_before = std::fs::read(&witness_path).expect("it is there");
    // Commits into memory; what each asked of the file is on record.
    let database = open_database(&path).expect("it is whole");
    let mut acknowledged_at = Vec::new();
    for n in 0..30 {
        let write = database.database.begin_write().expect("no other writes");
        let mut transaction = Transaction::new(&write, &sealer);
        transaction.put_user(&user(&format!("user{n}"))).expect("memory");
        let sequence = transaction.count_commit().expect("memory");
        write.commit().expect("memory");
        acknowledged_at.push((database.file.steps().len(), sequence));
    }
    let steps = database.file.steps();
    drop(database);

    let mut rng = StdRng::seed_from_u64(12);
    for round in 0..images(5_000) {
        let cut = rng.random_range(1..steps.len());
        let synced = steps[..cut].iter().rposition(|step| matches!(step, Step::Sync)).unwrap_or(0);
        std::fs::write(&path, &image).expect("it can be written");
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).expect("it is there");
        for step in &steps[..synced] {
            step.take(&file).expect("it can be written");
        }
        for step in &steps[synced..cut] {
            match step {
                // A disk writes sectors whole, each or none, in any order.
                Step::Write { offset, bytes } => {
                    for (n, sector) in bytes.chunks(512).enumerate().filter(|_| rng.random()) {
                        file.write_all_at(sector, offset + 512 * n as u64).expect("it can be written");
                    }
                }
                step => step.take(&file).expect("it can be written"),
            }
        }
        let commits = acknowledged_at.iter().filter(|(steps, _)| *steps <= cut).count();
        std::fs::write(&witness_path, &witness_before).expect("it can be written");
        if let Some((_, sequence)) = acknowledged_at[..commits].last() {
            let file = std::fs::OpenOptions::new().read(true).write(true).open(&witness_path).expect("it is there");
            Witness::new(file, sealer.clone()).note(*sequence).expect("it can be written");
        }
        let store = open(dir.path()).unwrap_or_else(|error| panic!("round {round}, cut at {cut}: {error}"));
        let users = store.users().expect("readable").len();
        assert!(users == commits || users == commits + 1, "round {round}: {users} users of {commits} commits");
    }
}

#[test]
fn a_commit_that_is_durable_has_succeeded_also_when_its_witness_cannot_be_written() {
    let (dir, store) = fresh();
    // A file that is open for reading takes nothing, as a disk that fails there.
    let path = dir.path().join("slipway.witness");
    let blind = std::fs::File::open(&path).expect("it is there");
    *store.0.writer.lock() = super::super::witness::Witness::new(blind, store.0.sealer.clone());
    store.write(|transaction| transaction.put_user(&user("alice"))).expect("it is in the file");
    assert!(store.user(&name("alice")).expect("readable").is_some());
    drop(store);
    let store = open(dir.path()).expect("behind its database by one commit, as after a crash");
    assert!(store.user(&name("alice")).expect("readable").is_some());
}
