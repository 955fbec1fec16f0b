//! `slipway chp` as a process: what its callers wait for on its output, its exit status, what it leaves behind.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

fn chp(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
    command.arg("chp").args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

fn refused(arguments: &[&str]) -> Output {
    let folder = TempDir::new().expect("a folder");
    chp(folder.path(), arguments).output().expect("it ends")
}

/// A port that was free a moment ago, and the next one too.
fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = first.local_addr().expect("bound").port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// A running one, ended when dropped.
struct Running {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, output }
    }

    /// Reads up to a line with `part` in it.
    fn wait_for(&mut self, part: &str) -> String {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(self.output.read_line(&mut line).expect("reads") > 0, "it ended before it said {part}");
        }
        line
    }

    fn signal(&mut self, signal: Signal) -> (Option<i32>, String) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("not 0");
        kill_process(pid, signal).expect("it runs");
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("reads");
        (self.child.wait().expect("it ends").code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(port: u16, text: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    stream.write_all(text.as_bytes()).expect("writes");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("reads");
    said
}

#[test]
fn its_callers_find_their_lines_and_its_doors_and_it_ends_with_2() {
    let folder = TempDir::new().expect("a folder");
    let port = free_ports();
    let text = port.to_string();
    let mut command = chp(
        folder.path(),
        &["--ip=127.0.0.1", "--port", &text, "--default-target=http://127.0.0.1:1", "--pid-file", "pid"],
    );
    command.env("CONFIGPROXY_AUTH_TOKEN", "s3cret");
    let mut running = Running::start(command);
    let line = running.wait_for("Route added / -> http://127.0.0.1:1");
    assert!(line.contains(" [ConfigProxy] info: "), "{line}");
    running.wait_for("Writing pid");
    let health = ask(port, "GET /_chp_healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(health.ends_with(r#"{"status":"OK"}"#), "{health}");
    let routes = "GET /api/routes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: token s3cret\r\n\r\n";
    assert!(ask(port + 1, routes).contains(r#"{"/":{"target":"http://127.0.0.1:1","last_activity":""#));
    assert!(ask(port + 1, &routes.replace("s3cret", "other")).starts_with("HTTP/1.1 403"));
    let pid_file = folder.path().join("pid");
    assert_eq!(std::fs::read_to_string(&pid_file).expect("a file"), running.child.id().to_string());
    let (status, said) = running.signal(Signal::TERM);
    assert_eq!(status, Some(2));
    assert!(said.contains("warn: Terminated") && !pid_file.exists(), "{said}");
}

#[test]
fn an_interrupt_ends_it_with_2_and_its_sockets_go() {
    let folder = TempDir::new().expect("a folder");
    let mut running = Running::start(chp(folder.path(), &["--socket", "public", "--api-socket", "api"]));
    running.wait_for("REST API is not authenticated.");
    running.wait_for("Proxy API at http://api/api/routes");
    let (status, said) = running.signal(Signal::INT);
    assert_eq!(status, Some(2));
    assert!(said.contains("warn: Interrupted"), "{said}");
    assert!(!folder.path().join("public").exists() && !folder.path().join("api").exists());
}

#[test]
fn a_wrong_command_line_ends_it_with_1_and_says_why() {
    let check = |arguments: &[&str], part: &str| {
        let output = refused(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    };
    check(&["--nonsense"], "--nonsense");
    check(&["--port"], "--port");
    check(&["extra"], "extra");
    check(&["--custom-header", "x"], "A colon was expected in custom header: x");
    check(&["--redirect-port", "8080"], "certificates not provided");
    check(&["--ssl-key", "missing", "--ssl-cert", "missing"], "missing cannot be read");
    check(&["--error-target", "ftp://h"], "--error-target ftp://h");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    check(&["--ip", "127.0.0.1", "--port", &port], "another program");
}

#[test]
fn its_version_is_that_of_the_program_it_stands_for() {
    for flag in ["--version", "-V"] {
        let output = refused(&[flag]);
        assert_eq!(output.status.code(), Some(0));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("5.3.0+slipway."), "{said}");
    }
}
