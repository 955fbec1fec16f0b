//! What a proxied request costs in socket calls, so that it cannot grow unseen: four are the least (a read and a write
//! on either side), and each more is 2 to 4 µs of CPU of every request.
//!
//! The built program runs under strace, twice: once for few requests, once for many. What the second has more is the
//! requests' alone; starts, handshakes and first connections to the upstream are in both. How fast it all goes has no
//! part in it: each connection asks, reads the whole answer and asks again.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, Wire};
use crate::world::{PASSWORD, take_cookies, xsrf_of};

/// Issue 3's goal. Measured 4.00 over HTTP/1.1 and 4.01 over HTTP/2, where each request waits for the one before; what
/// the program does by itself meanwhile is within the rest.
const MOST_PER_REQUEST: f64 = 4.2;
/// Less than a read and a write on either side cannot be: then they were not counted.
const LEAST_PER_REQUEST: f64 = 3.9;

/// All that move bytes: wake-ups between threads (an eventfd's `write`) are among them.
const SOCKET_CALLS: &str = "read,readv,write,writev,recvfrom,recvmsg,sendto,sendmsg,sendfile,splice";

const CONNECTIONS: usize = 24;
const FEW: usize = 10;
const MANY: usize = 110;

/// A debug build under strace on a machine that does other things too.
const START_LIMIT: Duration = Duration::from_secs(30);

/// 1 KiB, as the benchmark has it: head and body fit into one TLS record.
async fn upstream() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.expect("a connection");
            tcp.set_nodelay(true).expect("a TCP option");
            let answer =
                service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(&[b'x'; 1024])))));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), answer));
        }
    });
    address
}

/// `slipway serve` under strace; both are killed when dropped.
struct Traced {
    strace: Child,
    folder: TempDir,
    address: SocketAddr,
}

impl Traced {
    fn start(upstream: SocketAddr) -> Self {
        let folder = TempDir::new().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let strace = Command::new("strace")
            .args(["-f", "-qq", "--seccomp-bpf", "-c", "-o"])
            .arg(folder.path().join("calls"))
            .args(["-e", &format!("trace={SOCKET_CALLS}"), env!("CARGO_BIN_EXE_slipway"), "serve"])
            .current_dir(folder.path())
            .env_clear()
            .env("SLIPWAY_LISTENER_HTTPS", address.to_string())
            .env("SLIPWAY_HUB_BIND", "127.0.0.1:0")
            .env("SLIPWAY_ADMIN_PASSWORD", PASSWORD)
            .env("SLIPWAY_SPAWNER_BACKEND", "static")
            .env("SLIPWAY_SPAWNER_STATIC_UPSTREAM", format!("http://{upstream}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).expect("a log file"))
            .spawn()
            .expect("strace is installed (./test.sh does that)");
        Self { strace, folder, address }
    }

    fn kill_slipway(&self) {
        let strace = self.strace.id();
        let children = std::fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)) {
            let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
        }
    }

    /// Socket calls from the start until now, when it ends.
    fn end(mut self) -> f64 {
        self.kill_slipway();
        self.strace.wait().expect("a child of ours");
        let table = std::fs::read_to_string(self.folder.path().join("calls")).expect("strace has written");
        // % time, seconds, µs per call, calls, perhaps errors, name
        let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let calls = rows.filter(|row| row.last().is_some_and(|name| SOCKET_CALLS.split(',').any(|call| call == *name)));
        let calls = calls.map(|row| row[3].parse::<f64>().unwrap_or_else(|_| panic!("no number in\n{table}"))).sum();
        assert!(calls > 0.0, "no calls in\n{table}");
        calls
    }

    /// The administrator, signed in, whose server is ready.
    async fn admin(&self) -> Client {
        let until = Instant::now() + START_LIMIT;
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            assert!(Instant::now() < until, "it does not listen\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let browser = Client::new(self.address).navigating();
        let page = browser.get("/hub/login").await.is(200);
        let browser = take_cookies(browser, &page);
        let fields = [("username", "admin"), ("password", PASSWORD), ("_xsrf", &xsrf_of(&page.text()))];
        let answer = browser.post_form("/hub/login", &fields).await.is(302);
        let browser = take_cookies(browser, &answer);
        browser.get("/hub/spawn").await;
        while browser.scripting().get("/user/admin/1k").await.status != 200 {
            assert!(Instant::now() < until, "the server does not become ready\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        browser.scripting()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.kill_slipway();
        let _ = self.strace.wait();
    }
}

/// Asks `count` times, one after the other, over one connection.
async fn ask_over_http1(client: &Client, count: usize) {
    let mut tls = client.tls(b"http/1.1").await;
    let (host, cookie) = (client.host(), client.cookie_line());
    let request = format!("GET /user/admin/1k HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\n\r\n");
    let mut buffer = vec![0; 16 * 1024];
    for _ in 0..count {
        tls.write_all(request.as_bytes()).await.expect("it reads");
        let mut length = 0;
        while !buffer[..length].ends_with(&[b'x'; 1024]) {
            let more = tls.read(&mut buffer[length..]).await.expect("it answers");
            assert!(more > 0, "it closed after {}", String::from_utf8_lossy(&buffer[..length]));
            length += more;
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&buffer[..length]));
    }
}

async fn ask_over_http2(client: &Client, count: usize) {
    let io = TokioIo::new(client.tls(b"h2").await);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
    let (mut sender, connection) = handshake.expect("HTTP/2");
    tokio::spawn(connection);
    for _ in 0..count {
        let uri = format!("https://{}/user/admin/1k", client.host());
        let request = Request::builder().method(Method::GET).uri(uri).header("cookie", client.cookie_line());
        let request = request.body(Full::new(Bytes::new())).expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes().len(), 1024);
    }
}

/// Socket calls of a program that answers `count` requests on each connection.
async fn calls_of(wire: Wire, count: usize, upstream: SocketAddr) -> f64 {
    let program = Traced::start(upstream);
    let client = program.admin().await;
    let asking = (0..CONNECTIONS).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            match wire {
                Wire::Http1 => ask_over_http1(&client, count).await,
                _ => ask_over_http2(&client, count).await,
            }
        })
    });
    futures_util::future::try_join_all(asking).await.expect("all were answered");
    tokio::task::spawn_blocking(|| program.end()).await.expect("it ended")
}

async fn calls_per_request(wire: Wire) -> f64 {
    let upstream = upstream().await;
    let (few, many) = tokio::join!(calls_of(wire, FEW, upstream), calls_of(wire, MANY, upstream));
    (many - few) / (CONNECTIONS * (MANY - FEW)) as f64
}

async fn check(wire: Wire) {
    let each = calls_per_request(wire).await;
    assert!((LEAST_PER_REQUEST..=MOST_PER_REQUEST).contains(&each), "{each:.2} socket calls per request over {wire:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_http1_takes_four_socket_calls() {
    check(Wire::Http1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_http2_takes_four_socket_calls() {
    check(Wire::Http2).await;
}
