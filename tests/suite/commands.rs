//! The command line, as a process: what it prints, what it leaves behind, and its exit status.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// No command takes longer.
const LIMIT: Duration = Duration::from_secs(20);

pub fn slipway(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("SLIPWAY_LISTENER_HTTPS", "127.0.0.1:0")
        .env("SLIPWAY_HUB_BIND", "127.0.0.1:0")
        .env("SLIPWAY_SPAWNER_BACKEND", "process")
        .env("SLIPWAY_SPAWNER_PROCESS_RUN_AS", "nobody")
        .stdin(Stdio::null());
    command
}

pub fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = slipway(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads its input");
    child.wait_with_output().expect("it ends")
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A running `slipway serve`, ended when dropped.
pub struct Serving(pub Child);

impl Serving {
    pub fn start(folder: &Path) -> Self {
        let child = slipway(folder, &["serve"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let serving = Self(child);
        let until = Instant::now() + LIMIT;
        while !run(folder, &["health"], "").status.success() {
            assert!(Instant::now() < until, "serve never became well");
            std::thread::sleep(Duration::from_millis(20));
        }
        serving
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn check_tells_every_mistake_at_once_and_ends_with_2() {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(
        folder.path().join("s.toml"),
        "[hub]\nconnect_url = \"ftp://x\"\n[auth]\nidle_timeout_s = 99999999\n",
    )
    .expect("written");
    let output = run(folder.path(), &["check", "--config", "s.toml"], "");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let said = text(&output);
    for part in ["2 mistakes", "s.toml:2: hub.connect_url", "\"ftp://x\"", "s.toml:4: auth.idle_timeout_s"] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
}

#[test]
fn check_shows_where_each_value_came_from() {
    let folder = TempDir::new().expect("a folder");
    let output = run(folder.path(), &["check"], "");
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    assert!(
        said.lines()
            .any(|line| line.starts_with("listener.https =") && line.ends_with("# environment SLIPWAY_LISTENER_HTTPS")),
        "{said}"
    );
    assert!(said.lines().any(|line| line.starts_with("certs_dir =") && line.ends_with("# default")), "{said}");
}

#[test]
fn the_settings_in_the_documentation_are_right() {
    let folder = TempDir::new().expect("a folder");
    let text_of = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/programs.md")).expect("the page");
    let blocks: Vec<_> = text_of.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 3, "{} blocks", blocks.len());
    for block in blocks {
        std::fs::write(folder.path().join("docs.toml"), block).expect("written");
        let mut check = slipway(folder.path(), &["--config", "docs.toml", "check"]);
        let checked = check.env("SLIPWAY_SPAWNER_BACKEND", "docker").output().expect("it runs");
        assert!(checked.status.success(), "{block}\n{}", text(&checked));
    }
}

#[test]
fn users_are_managed_with_and_without_a_running_instance() {
    let folder = TempDir::new().expect("a folder");
    let add = |name: &str, more: &[&str]| {
        run(folder.path(), &[&["user", "add", name, "--password-stdin"], more].concat(), "a long enough password\n")
    };
    // Nothing runs: the store is opened.
    assert!(add("root", &["--admin"]).status.success());
    let taken = add("root", &[]);
    assert_eq!(taken.status.code(), Some(1), "{}", text(&taken));

    // Something runs: it is asked.
    let serving = Serving::start(folder.path());
    assert!(add("alice", &[]).status.success());
    let list = text(&run(folder.path(), &["user", "list"], ""));
    assert!(list.contains("root") && list.contains("administrator") && list.contains("alice"), "{list}");
    assert!(run(folder.path(), &["user", "authorize", "alice", "--withdraw"], "").status.success());
    assert!(text(&run(folder.path(), &["user", "list"], "")).contains("wait"));
    let unasked = run(folder.path(), &["user", "delete", "alice"], "");
    assert_eq!(unasked.status.code(), Some(1), "without --yes and without a terminal nothing is deleted");
    assert!(run(folder.path(), &["user", "delete", "alice", "--yes"], "").status.success());
    let second = run(folder.path(), &["serve"], "");
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second).contains("running"), "{}", text(&second));
    drop(serving);

    let list = text(&run(folder.path(), &["user", "list"], ""));
    assert!(list.contains("root") && !list.contains("alice"), "{list}");
}

#[test]
fn tokens_are_made_listed_and_revoked_with_and_without_a_running_instance() {
    let folder = TempDir::new().expect("a folder");
    let token = |arguments: &[&str]| run(folder.path(), &[&["token"], arguments].concat(), "");
    let add = run(folder.path(), &["user", "add", "root", "--admin", "--password-stdin"], "a long enough password\n");
    assert!(add.status.success());
    let made = token(&["add", "root", "--scope", "list:users", "--note", "nightly\u{1b}[2J", "--expires-in", "30d"]);
    let secret = String::from_utf8(made.stdout).expect("text");
    assert!(made.status.success() && secret.trim().len() == 32 && made.stderr.is_empty(), "the token and nothing else");
    for (wrong, cure) in [
        (&["add", "nobody"][..], "nobody"),
        (&["add", "root", "--scope", "read:everything"], "read:everything"),
        (&["revoke", "12"], "slipway token list"),
        (&["list", "culler", "--service"], "culler"),
    ] {
        let refused = token(wrong);
        assert!(refused.status.code() == Some(1) && text(&refused).contains(cure), "{}", text(&refused));
    }

    let serving = Serving::start(folder.path());
    let list = text(&token(&["list", "root"]));
    assert!(list.contains("nightly") && list.contains("list:users") && !list.contains('\u{1b}'), "{list}");
    assert!(!list.contains(secret.trim()), "a token is shown once");
    let id = list.lines().nth(1).and_then(|line| line.split_whitespace().next()).expect("an id");
    assert!(token(&["revoke", id]).status.success());
    drop(serving);
    assert_eq!(text(&token(&["list", "root"])).lines().count(), 1, "the head alone");
}

#[test]
fn an_emptied_database_is_a_refusal_and_not_a_new_beginning() {
    let folder = TempDir::new().expect("a folder");
    assert!(
        run(folder.path(), &["user", "add", "root", "--admin", "--password-stdin"], "a long enough password\n")
            .status
            .success()
    );
    let database = folder.path().join("data/slipway.redb");
    std::fs::write(&database, "").expect("emptied");
    let refused = run(folder.path(), &["serve"], "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("slipway.redb"), "{}", text(&refused));
    assert_eq!(std::fs::metadata(&database).expect("the file is kept").len(), 0);
}

/// The least that is a JupyterHub 5's database.
const JUPYTERHUB: &str = "
CREATE TABLE alembic_version (version_num TEXT);
INSERT INTO alembic_version VALUES ('4621fec11365');
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, admin BOOLEAN, created DATETIME);
INSERT INTO users VALUES (1, 'alice', 1, '2024-01-02 03:04:05.000006'), (2, 'a/b', 0, NULL);
CREATE TABLE groups (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE roles (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE spawners (id INTEGER PRIMARY KEY, user_id INTEGER);
CREATE TABLE servers (id INTEGER PRIMARY KEY, base_url TEXT);
CREATE TABLE api_tokens (id INTEGER PRIMARY KEY, user_id INTEGER);
CREATE TABLE oauth_clients (id INTEGER PRIMARY KEY, identifier TEXT);
";

#[test]
fn a_jupyterhub_moves_in_once_and_never_beside_a_running_instance() {
    let folder = TempDir::new().expect("a folder");
    let database = rusqlite::Connection::open(folder.path().join("jupyterhub.sqlite")).expect("a database");
    database.execute_batch(JUPYTERHUB).expect("tables");
    drop(database);
    let import = |more: &[&str]| {
        run(folder.path(), &[&["import", "jupyterhub", "--db", "jupyterhub.sqlite"], more].concat(), "")
    };
    let before = std::fs::read_dir(folder.path()).expect("a folder").count();
    let dry = import(&["--dry-run"]);
    assert!(dry.status.success() && text(&dry).ends_with("\nDry run: nothing was changed.\n"), "{}", text(&dry));
    assert!(text(&dry).contains("not taken: users \"a/b\": the name contains '/'"), "{}", text(&dry));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), before, "not even a database is made");

    let serving = Serving::start(folder.path());
    for more in [&[][..], &["--dry-run"]] {
        let refused = import(more);
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            text(&refused).contains("slipway is already running with it; stop that one first"),
            "{}",
            text(&refused)
        );
    }
    drop(serving);

    let done = import(&[]);
    assert!(done.status.success() && text(&done).contains("All of it has come in"), "{}", text(&done));
    let report = |output: &Output| text(output).rsplit_once("\n\n").map(|(report, _)| report.to_owned());
    assert_eq!(report(&dry), report(&done), "a dry run says what the real one does");
    assert!(text(&run(folder.path(), &["user", "list"], "")).contains("alice"));
    let again = import(&[]);
    assert!(again.status.success() && text(&again).contains("nothing was changed"), "{}", text(&again));

    let secret = folder.path().join("secret");
    std::fs::write(&secret, "not hex\n").expect("a file");
    let refused = import(&["--cookie-secret", "secret"]);
    assert!(
        !refused.status.success() && text(&refused).contains("no cookie secret of JupyterHub"),
        "{}",
        text(&refused)
    );
    std::fs::write(&secret, "0123456789abcdef".repeat(4)).expect("a file");
    let told = import(&["--cookie-secret", "secret"]);
    assert!(text(&told).contains("Everybody signs in once more") && !text(&told).contains("0123456789abcdef"));
}

#[test]
fn a_backup_of_a_running_instance_is_restored_on_a_fresh_machine() {
    let (folder, fresh) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let [backup, broken] = ["all.backup", "broken.backup"].map(|name| folder.path().join(name));
    let [backup, broken] = [&backup, &broken].map(|path| path.to_str().expect("ASCII"));
    let serving = Serving::start(folder.path());
    let expect = |folder: &Path, arguments: &[&str], is_done: bool, said: &str| {
        let done = run(folder, arguments, "");
        assert_eq!(done.status.success(), is_done, "{arguments:?}: {}", text(&done));
        assert!(text(&done).contains(said), "{arguments:?}: {}", text(&done));
    };
    let added = run(folder.path(), &["user", "add", "alice", "--password-stdin"], "a long enough password\n");
    assert!(added.status.success(), "{}", text(&added));
    expect(folder.path(), &["backup", backup], true, "written and checked");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(backup).expect("it is there").permissions());
    assert_eq!(mode & 0o777, 0o600, "it holds every secret");
    expect(folder.path(), &["backup", backup], false, "--overwrite");
    expect(folder.path(), &["backup", "--overwrite", backup], true, "written and checked");
    // What came after the backup is not in it.
    let added = run(folder.path(), &["user", "add", "bob", "--generate"], "");
    assert!(added.status.success(), "{}", text(&added));
    expect(folder.path(), &["restore", "--yes", backup], false, "stop it first");

    let bytes = std::fs::read(backup).expect("it is there");
    std::fs::write(broken, &bytes[..bytes.len() / 2]).expect("written");
    expect(fresh.path(), &["restore", "--yes", broken], false, "broken.backup");
    expect(fresh.path(), &["restore", backup], false, "say --yes");
    assert!(!fresh.path().join("data/slipway.redb").exists(), "nothing was made by what was refused");
    expect(fresh.path(), &["restore", "--yes", backup], true, "restored");
    expect(fresh.path(), &["user", "list"], true, "alice");
    let there = Serving::start(fresh.path());
    expect(fresh.path(), &["user", "list"], true, "alice");
    drop(there);

    drop(serving);
    expect(folder.path(), &["restore", "--yes", backup], true, "before-restore-");
    let listed = text(&run(folder.path(), &["user", "list"], ""));
    assert!(listed.contains("alice") && !listed.contains("bob"), "{listed}");
}
