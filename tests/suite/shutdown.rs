//! `POST /shutdown` at the program as it is run: it ends as by SIGTERM, and takes users' servers along if that was wished.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A whole program on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
const TOKEN: &str = "0123456789abcdef-stopper";

/// A running program with an administrating service, whose users' servers do nothing but be there.
struct Running {
    child: Child,
    port: u16,
    /// Tells its servers from all other processes.
    mark: String,
    _folder: TempDir,
}

impl Running {
    fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        // Servers run as somebody else.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let mark = format!("{}{port}", std::process::id());
        let account = if rustix::process::geteuid().is_root() { "run_as = \"nobody\"\n" } else { "" };
        let config = format!(
            "[listener]\nhttps = [\"127.0.0.1:0\"]\n[hub]\nbind = \"127.0.0.1:{port}\"\n\
             [spawner]\nbackend = \"process\"\n[spawner.process]\ncommand = [\"sleep\", \"{mark}\"]\n{account}\
             [[services]]\nname = \"stopper\"\napi_token = \"{TOKEN}\"\nadmin = true\n"
        );
        let file = folder.path().join("slipway.toml");
        fs::write(&file, config).expect("written");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("it is ours");
        let child = Command::new(env!("CARGO_BIN_EXE_slipway"))
            .args(["serve", "--config", "slipway.toml"])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).expect("a log"))
            .spawn()
            .expect("it starts");
        let mut running = Self { child, port, mark, _folder: folder };
        running.wait("it listens", |running| {
            let ended = running.child.try_wait().expect("it is ours");
            let log = || fs::read_to_string(running._folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none(), "{}", log());
            TcpStream::connect((Ipv4Addr::LOCALHOST, running.port)).is_ok()
        });
        running
    }

    fn wait(&mut self, what: &str, mut is: impl FnMut(&mut Self) -> bool) {
        let until = Instant::now() + LIMIT;
        while !is(self) {
            assert!(Instant::now() < until, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Posts to the API and does not wait.
    fn send(&self, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let (length, port) = (body.len(), self.port);
        let request = format!(
            "POST /hub/api{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: token {TOKEN}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        stream
    }

    /// Posts to the API and gives the status line and what follows.
    fn post(&self, path: &str, body: &str) -> String {
        let mut stream = self.send(path, body);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// The process of the only server, if it runs.
    fn server(&self) -> Option<Pid> {
        let processes = fs::read_dir("/proc").expect("Linux").flatten();
        let ours = processes.filter(|entry| {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            line.ends_with(format!("/sleep\0{}\0", self.mark).as_bytes())
        });
        ours.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).next()
    }

    fn end(&mut self) -> ExitStatus {
        let mut status = None;
        self.wait("it ends", |running| {
            status = running.child.try_wait().expect("it is ours");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(server) = self.server() {
            let _ = kill_process(server, Signal::KILL);
        }
    }
}

fn check(body: &str, servers_go_on: bool) {
    let mut running = Running::start();
    assert!(running.post("/users/alice", "").starts_with("HTTP/1.1 201"));
    // It never answers, so the wish is not waited for: it stands.
    let start = running.send("/users/alice/server", "");
    running.wait("alice's server runs", |running| running.server().is_some());
    drop(start);
    let answer = running.post("/shutdown", body);
    assert!(answer.starts_with("HTTP/1.1 202") && answer.contains("Shutting down Hub"), "{answer}");
    assert_eq!(running.end().code(), Some(0), "{body}");
    assert_eq!(running.server().is_some(), servers_go_on, "{body}");
}

#[test]
fn a_shutdown_ends_the_program_and_leaves_servers_alone() {
    check("", true);
}

#[test]
fn a_shutdown_with_servers_ends_those_first() {
    check(r#"{"servers": true}"#, false);
}
