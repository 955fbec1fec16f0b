//! Tests of the whole store, on real files.

mod backup;
mod copies;
mod crash;
mod damage;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::model::{Failure, Generation, Random, SessionKey, StoredToken, Timestamp, TokenId};

fn open(dir: &Path) -> Result<Store, StoreError> {
    Store::open(&Config { data_dir: dir.to_owned() })
}

/// A folder in memory where there is such a place: for tests that ask what is in the files, not whether a disk has them.
/// A commit waits for the disk, and a disk that others are busy with too takes most of a test's time.
pub(crate) fn memory_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a temporary folder")
}

fn fresh() -> (tempfile::TempDir, Store) {
    let dir = memory_folder();
    let store = open(dir.path()).expect("a fresh folder");
    (dir, store)
}

/// How many images of a store a test looks at: `few`, or as many as `SLIPWAY_STORE_IMAGES` says.
fn images(few: usize) -> usize {
    std::env::var("SLIPWAY_STORE_IMAGES").ok().and_then(|images| images.parse().ok()).unwrap_or(few)
}

fn name(text: &str) -> UserName {
    UserName::parse(text).expect("a name")
}

fn user(text: &str) -> UserRow {
    UserRow { password: Some(format!("hash of {text}")), authorised: true, ..UserRow::new(name(text), Timestamp(1)) }
}

fn session(owner: &str, number: u8) -> SessionRow {
    SessionRow {
        key: SessionKey([number; 32]),
        user: name(owner),
        hub_session_id: "ab".repeat(16),
        created: Timestamp(1),
        last_seen: Timestamp(2),
        from: Some([192, 0, 2, 7].into()),
        agent: "a browser".into(),
    }
}

fn token(owner: &str, id: u64) -> TokenRow {
    TokenRow {
        id: TokenId(id),
        stored: StoredToken::of("abcdefgh", &Random::from_seed(id)),
        owner: name(owner).into(),
        kind: TokenKind::OAuth { client_id: "jupyterhub-user-x".into(), client: None },
        scopes: vec!["inherit".into()],
        session_id: None,
        note: "a note".into(),
        created: Timestamp(1),
        expires_at: Some(Timestamp(9)),
        last_activity: None,
    }
}

fn server(owner: &str, server: &str) -> ServerRow {
    let key = ServerKey { user: name(owner), name: crate::model::ServerName::parse(server).expect("a name") };
    ServerRow {
        generation: Generation(3),
        handle: Some(serde_json::json!({ "container": "c0ffee" }).into()),
        wanted: true,
        started_at: Some(Timestamp(5)),
        last_activity: None,
        failure: Some(Failure {
            sentence: "no".into(),
            exit_code: Some(1),
            log_tail: vec!["x".into()],
            at: Timestamp(4),
        }),
        ..ServerRow::new(key)
    }
}

/// Two users with everything a user can have.
fn fill(store: &Store) {
    let write = store.write(|t| {
        for (n, owner) in [(1, "al"), (2, "alice")] {
            t.put_user(&user(owner))?;
            t.put_session(&session(owner, n))?;
            let id = t.next_token_id()?;
            t.put_token(&token(owner, id.0))?;
            t.put_server(&server(owner, ""))?;
            t.put_server(&server(owner, "srv"))?;
            t.audit(Timestamp(7), &"test".into(), "made", owner)?;
        }
        Ok(())
    });
    write.expect("a commit");
}

/// All that can be read, as text, to compare.
fn everything(store: &Store) -> Result<String, StoreError> {
    let (users, sessions, tokens) = (store.users()?, store.sessions()?, store.tokens()?);
    Ok(format!("{users:?} {sessions:?} {tokens:?} {:?} {:?}", store.servers()?, store.audit(100)?))
}

#[test]
fn what_was_written_is_read_again_after_a_restart() {
    let (dir, store) = fresh();
    fill(&store);
    let before = everything(&store).expect("readable");
    let instance = store.instance();
    assert_eq!(store.user(&name("alice")).expect("readable"), Some(user("alice")));
    assert_eq!(store.server(&server("al", "srv").key).expect("readable"), Some(server("al", "srv")));
    assert_eq!(store.sessions().expect("readable"), [session("al", 1), session("alice", 2)]);
    drop(store);
    let store = open(dir.path()).expect("it opens again");
    assert_eq!(everything(&store).expect("readable"), before);
    assert_eq!(store.instance(), instance);
    assert_eq!(instance.0.len(), 16);
    assert_eq!(store.write(|t| t.next_token_id()).expect("a commit"), TokenId(3), "never used again");
}

#[test]
fn a_deleted_user_leaves_nothing_and_takes_nothing_of_a_namesake() {
    let (_dir, store) = fresh();
    fill(&store);
    store.write(|t| t.delete_user(&name("al"))).expect("a commit");
    assert_eq!(store.users().expect("readable"), [user("alice")]);
    assert_eq!(store.sessions().expect("readable"), [session("alice", 2)]);
    assert_eq!(store.tokens().expect("readable").iter().map(|t| t.id).collect::<Vec<_>>(), [TokenId(2)]);
    assert_eq!(store.servers().expect("readable"), [server("alice", ""), server("alice", "srv")]);
}

#[test]
fn an_act_that_fails_leaves_nothing() {
    let (_dir, store) = fresh();
    let result = store.write(|t| {
        t.put_user(&user("alice"))?;
        Err::<(), _>(StoreError::Gone("the reason"))
    });
    assert!(matches!(result, Err(StoreError::Gone(_))));
    assert_eq!(store.users().expect("readable"), []);
}

#[test]
fn folder_and_files_are_closed_to_others() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let data_dir = dir.path().join("deep/data");
    let store = open(&data_dir).expect("a fresh folder");
    fill(&store);
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&data_dir), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&data_dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().expect("a name").to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(names, ["instance", "slipway.lock", "slipway.redb", "slipway.witness", "store.key"]);
}

#[test]
fn a_second_process_is_told_that_one_runs() {
    let (dir, store) = fresh();
    let error = open::open(dir.path(), Duration::ZERO).expect_err("it is locked");
    assert!(matches!(error, StoreError::InUse { .. }));
    assert!(error.to_string().contains("already running"), "{error}");
    drop(store);
    open(dir.path()).expect("it is free again");
}

#[test]
fn a_child_that_is_being_started_does_not_keep_the_lock() {
    let (dir, store) = fresh();
    let lock = std::fs::File::open(dir.path().join("slipway.lock")).expect("it is there");
    assert!(rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared).is_err());
    // What a fork shares with its parent: the same open file under another number.
    let shared = store.0.dir.share_lock();
    drop(store);
    open::open(dir.path(), Duration::ZERO).expect("it is free at once");
    drop(shared);
}

#[test]
fn who_comes_while_another_process_ends_waits_for_it() {
    let (dir, store) = fresh();
    let ending = std::thread::spawn(move || drop(store));
    open(dir.path()).expect("it is free within half a second");
    ending.join().expect("no panic");
}

#[test]
fn a_row_of_an_older_version_reads_with_the_new_fields_empty() {
    let row: UserRow = serde_json::from_str(r#"{"name":"alice"}"#).expect("fields have defaults");
    assert!(!row.authorised && !row.admin && row.password.is_none());
    let row: ServerRow = serde_json::from_str(r#"{"key":{"user":"alice","name":""}}"#).expect("fields have defaults");
    assert_eq!(row.generation, Generation(0));
}

#[test]
fn audit_rows_come_newest_first_and_shortened() {
    let (_dir, store) = fresh();
    let long = "é".repeat(1000);
    for n in 0..5 {
        store.write(|t| t.audit(Timestamp(n), &"actor".into(), "act", &long)).expect("a commit");
    }
    let rows = store.audit(2).expect("readable");
    assert_eq!(rows.iter().map(|row| row.at).collect::<Vec<_>>(), [Timestamp(4), Timestamp(3)]);
    assert_eq!(rows[0].object, "é".repeat(128));
}

/// Measured: 125 ms in a debug build, 34 MB.
#[test]
fn a_hundred_thousand_rows_open_within_a_second() {
    let (dir, store) = fresh();
    for chunk in 0..10 {
        let write = store.write(|t| {
            for n in 0..10_000 {
                t.put_user(&user(&format!("user{chunk}-{n}")))?;
            }
            Ok(())
        });
        write.expect("a commit");
    }
    drop(store);
    let started = Instant::now();
    let store = open(dir.path()).expect("it opens");
    let opened = started.elapsed();
    assert_eq!(store.users().expect("readable").len(), 100_000);
    assert!(opened.as_secs_f64() < 1.0, "{opened:?}");
}
