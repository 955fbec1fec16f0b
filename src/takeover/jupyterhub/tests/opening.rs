//! Files that are none of JupyterHub's, or cannot be read: one clear sentence, and nothing is changed.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::hub::{Hub, content_of};
use crate::takeover::jupyterhub::{ReadError, read};

/// What is said of `bytes`.
fn said_of(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jupyterhub.sqlite");
    fs::write(&path, bytes).expect("a file");
    sentence(read(&path, folder.path()).expect_err("no JupyterHub's"), &path)
}

fn sentence(error: ReadError, path: &Path) -> String {
    let sentence = error.to_string().replace(&path.display().to_string(), "FILE");
    assert!(!sentence.contains('\n') && sentence.starts_with("FILE "), "{sentence}");
    assert!(std::error::Error::source(&error).is_none(), "one sentence is all there is");
    sentence
}

#[test]
fn what_is_no_database_of_jupyterhub_is_refused_with_its_cure() {
    assert!(said_of(b"").contains("is empty"));
    assert!(said_of(b"hello").contains("is no SQLite database"));
    for dump in
        [&b"PGDMP\x01\x0e"[..], b"--\n-- PostgreSQL database dump\n--\n", b"--\n-- PostgreSQL database cluster dump"]
    {
        assert!(said_of(dump).contains("is of PostgreSQL, and only SQLite can be read here; copy its tables"));
    }
    assert!(said_of(b"-- MySQL dump 10.13").contains("is of MySQL"));
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("none");
    assert!(sentence(read(&missing, folder.path()).expect_err("none"), &missing).contains("is no such file"));
    assert!(
        sentence(read(folder.path(), folder.path()).expect_err("none"), folder.path()).contains("no SQLite database")
    );
    let address = Path::new("postgresql://hub:secret@db/jupyterhub");
    let said = read(address, folder.path()).expect_err("an address").to_string();
    assert!(said.starts_with("--db is of PostgreSQL") && !said.contains("secret"), "{said}");
}

#[test]
fn another_programs_database_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grafana.db");
    let sql = Connection::open(&path).expect("a database");
    sql.execute_batch("CREATE TABLE users (id INTEGER, name TEXT)").expect("a table");
    let said = sentence(read(&path, folder.path()).expect_err("another's"), &path);
    assert!(said.contains("not JupyterHub's: it has no table alembic_version"), "{said}");
    // A table that is a program is none.
    let hub = Hub::of_version(5);
    hub.sql
        .execute_batch("ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT * FROM people")
        .expect("a view");
    assert!(sentence(hub.try_read().expect_err("a view"), &hub.path()).contains("it has no table users"));
}

#[test]
fn only_known_revisions_are_read() {
    for (version, revision) in [(4, "0eee8c825d24"), (5, "4621fec11365"), (6, "f460b0348206")] {
        let hub = Hub::of_version(version);
        hub.user("alice", true);
        let old = hub.read();
        assert_eq!((old.version.as_str(), old.revision.as_str()), (version.to_string().as_str(), revision));
        assert_eq!((old.users.len(), old.logins, old.odd), (1, None, vec![]));
    }
    let hub = Hub::of_version(6);
    let said = |revision: &str| {
        hub.run("UPDATE alembic_version SET version_num = ?1", &[&revision]);
        sentence(hub.try_read().expect_err("unknown"), &hub.path())
    };
    assert!(said("651f5419b74d").contains("before 4.0 (revision 651f5419b74d); run `jupyterhub upgrade-db`"));
    assert!(said("0123456789ab").contains("newer than known here (revision 0123456789ab;"));
    assert!(!said("\u{1b}[31mred").contains('\u{1b}'));
    hub.sql.execute_batch("DELETE FROM alembic_version").expect("gone");
    assert!(sentence(hub.try_read().expect_err("none"), &hub.path()).contains("which revision"));
}

#[test]
fn a_damaged_or_truncated_database_is_refused() {
    let hub = Hub::of_version(5);
    for number in 0..500 {
        hub.user(&format!("user{number}"), false);
    }
    let whole = fs::read(hub.path()).expect("a file");
    for length in [17, 100, 1024, whole.len() / 2, whole.len() - 1] {
        let said = said_of(&whole[..length]);
        assert!(said.contains("damaged or incomplete") || said.contains("not JupyterHub's"), "{length}: {said}");
    }
    let mut scratched = whole.clone();
    scratched[4096..].iter_mut().step_by(3).for_each(|byte| *byte ^= 0x55);
    assert!(said_of(&scratched).contains("damaged or incomplete"));
}

#[test]
fn a_locked_database_is_refused_and_a_running_hub_keeps_its_files() {
    let hub = Hub::of_version(5);
    hub.user("alice", false);
    hub.sql.execute_batch("BEGIN EXCLUSIVE; INSERT INTO users (name) VALUES ('bob')").expect("a lock");
    assert!(sentence(hub.try_read().expect_err("locked"), &hub.path()).contains("stop JupyterHub first"));
    hub.sql.execute_batch("ROLLBACK").expect("the lock is gone");
    assert_eq!(hub.read().users.len(), 1);
}

#[test]
fn what_a_killed_hub_had_begun_is_taken_back_in_a_copy() {
    let hub = Hub::of_version(5);
    hub.user("alice", false);
    hub.sql.execute_batch("PRAGMA cache_size = 1; BEGIN").expect("begun");
    for number in 0..2_000 {
        hub.user(&format!("user{number}"), false);
    }
    let other = tempfile::tempdir().expect("a folder");
    for name in ["jupyterhub.sqlite", "jupyterhub.sqlite-journal"] {
        fs::copy(hub.folder.path().join(name), other.path().join(name)).expect("a copy");
    }
    let before = content_of(other.path());
    let old = read(&other.path().join("jupyterhub.sqlite"), hub.folder.path()).expect("read");
    assert_eq!(old.users.len(), 1, "what was not committed has not happened");
    assert_eq!(content_of(other.path()), before);
}

#[test]
fn what_is_written_ahead_is_read_and_no_file_is_changed_or_left() {
    let hub = Hub::of_version(5);
    hub.user("alice", false);
    let before = content_of(hub.folder.path());
    hub.read();
    assert_eq!(content_of(hub.folder.path()), before);

    hub.sql.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").expect("writes ahead");
    hub.user("bob", false);
    let other = tempfile::tempdir().expect("a folder");
    // As after a crash: what is in the log is not in the database.
    for name in ["jupyterhub.sqlite", "jupyterhub.sqlite-wal"] {
        fs::copy(hub.folder.path().join(name), other.path().join(name)).expect("a copy");
    }
    let before = content_of(other.path());
    let old = read(&other.path().join("jupyterhub.sqlite"), hub.folder.path()).expect("read");
    assert_eq!(old.users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["alice", "bob"]);
    assert_eq!(content_of(other.path()), before);
    let left: Vec<_> = content_of(hub.folder.path()).into_iter().filter(|(path, _)| path.is_dir()).collect();
    assert!(left.is_empty(), "the copy is gone: {left:?}");

    // A hub that was stopped has nothing written ahead, and its folder may be read-only.
    drop(hub.sql);
    let before = content_of(hub.folder.path());
    assert_eq!(read(&hub.folder.path().join("jupyterhub.sqlite"), other.path()).expect("read").users.len(), 2);
    assert_eq!(content_of(hub.folder.path()), before);
}
