//! Where connections come from: load balancers with a PROXY header, socket files, and sockets that systemd has opened.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::client::{ANSWER_LIMIT, Client, tls_over};
use crate::world::World;

const LAB: &str = "/user/alice/api/status";

/// Asks for `path` on a stream of our own, and hears all of the answer; None: the connection ends without one.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    client: &Client,
    path: &str,
    more: &str,
) -> Option<String> {
    let cookie = client.cookie_line();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\n{more}Connection: close\r\n\r\n",
        client.host()
    );
    let exchange = async {
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        // TLS that ends without a farewell is an error behind the last byte.
        let _ = stream.read_to_end(&mut answer).await;
        (!answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(ANSWER_LIMIT, exchange).await.expect("an answer or an end")
}

/// The same over TLS, behind `first` in the clear.
async fn ask_behind(world: &World, first: &[u8], client: &Client, more: &str) -> Option<String> {
    let mut tcp = TcpStream::connect(world.address()).await.expect("it listens");
    tcp.write_all(first).await.ok()?;
    let shaken = tokio::time::timeout(ANSWER_LIMIT, tls_over(tcp, b"http/1.1")).await.expect("TLS or an end");
    ask(shaken.ok()?, client, LAB, more).await
}

/// What the server was told of the client.
fn client_in(answer: Option<String>) -> String {
    let answer = answer.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let told = answer.split("\"x-forwarded-for\":\"").nth(1).and_then(|rest| rest.split('"').next());
    told.unwrap_or_else(|| panic!("nobody in {answer}")).to_owned()
}

/// Version 2 for TCP over IPv4, with a field that nobody knows.
fn version_2(source: [u8; 4]) -> Vec<u8> {
    let signature = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11";
    [&signature[..], &source, &[10, 0, 0, 1], &[0x30, 0x39, 1, 0xbb], &[0xee, 0, 2, 7, 7]].concat()
}

#[tokio::test]
async fn a_load_balancer_tells_who_comes_and_must() {
    // Who signs in does it before the balancer is there.
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    let told = |file: &'static str| {
        std::fs::write(crate::world::settings_file(world.folder.path()), file).expect("written");
        world.app.reloader.reload("test")
    };
    assert_eq!(client_in(ask_behind(&world, b"", &alice, "").await), "127.0.0.1");
    let spoofed = ask_behind(&world, b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n", &alice, "").await;
    // To us that is plain HTTP on the port of TLS, and no request: nobody has asked for a header.
    assert!(spoofed.is_none_or(|answer| !answer.contains("192.0.2.7")), "a header that nobody asked for is believed");

    told("[listener]\nproxy_protocol = [\"127.0.0.0/8\"]\n").await.expect("sound");
    let first = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n";
    assert_eq!(client_in(ask_behind(&world, first, &alice, "").await), "192.0.2.7");
    assert_eq!(client_in(ask_behind(&world, &version_2([192, 0, 2, 8]), &alice, "").await), "192.0.2.8");
    let six = b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n";
    assert_eq!(client_in(ask_behind(&world, six, &alice, "").await), "2001:db8::7");
    // A health check of the balancer's own.
    assert_eq!(client_in(ask_behind(&world, b"PROXY UNKNOWN\r\n", &alice, "").await), "127.0.0.1");
    // Whom it names is no proxy of ours, whatever he claims.
    let claims = "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\n";
    let answer = ask_behind(&world, first, &alice, claims).await;
    assert!(!answer.as_deref().unwrap_or_default().contains("203.0.113.9"), "{answer:?}");
    assert_eq!(client_in(answer), "192.0.2.7");

    for missing in [&b""[..], b"PROXY TCP4 192.0.2.7\r\n", b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443 \r\n"] {
        assert_eq!(ask_behind(&world, missing, &alice, "").await, None, "{missing:?}");
    }

    told("[listener]\nproxy_protocol = [\"10.0.0.0/8\"]\n").await.expect("sound");
    assert_eq!(client_in(ask_behind(&world, b"", &alice, "").await), "127.0.0.1", "others come as they are");
    told("[listener]\nproxy_protocol = [\"10.0.0.0/8\"]\nproxy_protocol_others = \"refuse\"\n").await.expect("sound");
    assert_eq!(ask_behind(&world, b"", &alice, "").await, None, "others do not come");
}

#[tokio::test]
async fn each_client_behind_a_balancer_has_its_own_share() {
    let world = World::with(&[
        ("SLIPWAY_LISTENER_PROXY_PROTOCOL", "127.0.0.0/8"),
        ("SLIPWAY_LISTENER_CONNECTIONS_PER_ADDRESS", "1"),
    ])
    .await;
    let connect = async |source: &str| {
        let mut tcp = TcpStream::connect(world.address()).await.expect("it listens");
        tcp.write_all(format!("PROXY TCP4 {source} 10.0.0.1 4711 443\r\n").as_bytes()).await.expect("written");
        tokio::time::timeout(ANSWER_LIMIT, tls_over(tcp, b"http/1.1")).await.expect("TLS or an end")
    };
    let first = connect("192.0.2.1").await.expect("his first");
    let _other = connect("192.0.2.2").await.expect("somebody else's first");
    assert!(connect("192.0.2.1").await.is_err(), "his second");
    drop(first);
    let until = Instant::now() + ANSWER_LIMIT;
    while connect("192.0.2.1").await.is_err() {
        assert!(Instant::now() < until, "his place is never given back");
    }
}

#[tokio::test]
async fn a_header_that_does_not_come_ends_within_the_time_of_a_handshake() {
    let world = World::with(&[
        ("SLIPWAY_LISTENER_PROXY_PROTOCOL", "127.0.0.0/8"),
        ("SLIPWAY_LISTENER_HANDSHAKE_TIMEOUT_S", "1"),
    ])
    .await;
    let mut tcp = TcpStream::connect(world.address()).await.expect("it listens");
    tcp.write_all(b"PROXY TCP4 192.0.2").await.expect("written");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(ANSWER_LIMIT, tcp.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() && rest.is_empty(), "it waits for ever, or says something");
}

#[tokio::test]
async fn a_socket_file_serves_tls_and_believes_its_peers_only_if_told() {
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (https, http) = (path("https.sock"), path("http.sock"));
    let world = World::with(&[
        ("SLIPWAY_LISTENER_HTTPS", &format!("127.0.0.1:0,unix:{}", https.display())),
        ("SLIPWAY_LISTENER_HTTP", &format!("unix:{}", http.display())),
    ])
    .await;
    let alice = world.user_with_server("alice").await;
    let claims = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";
    let over_tls = async || {
        let stream = UnixStream::connect(&https).await.expect("it listens");
        ask(tls_over(stream, b"http/1.1").await.expect("TLS"), &alice, LAB, claims).await
    };
    let plain = async || ask(UnixStream::connect(&http).await.expect("it listens"), &alice, LAB, claims).await;
    assert_eq!(client_in(over_tls().await), "0.0.0.0", "nobody has an address there");
    let redirected = plain().await.expect("an answer");
    assert!(redirected.starts_with("HTTP/1.1 301"), "{redirected}");

    std::fs::write(crate::world::settings_file(world.folder.path()), "[listener]\ntrusted_proxies = [\"unix\"]\n")
        .expect("written");
    world.app.reloader.reload("test").await.expect("sound");
    assert_eq!(client_in(over_tls().await), "203.0.113.9");
    assert_eq!(client_in(plain().await), "203.0.113.9");
    assert_eq!(client_in(ask_behind(&world, b"", &alice, claims).await), "127.0.0.1", "TCP peers are others");

    world.app.stop().await;
    assert!(!https.exists() && !http.exists(), "the files go with us");
}

/// Opens two sockets, as systemd does, and becomes slipway.
const AS_SYSTEMD: &str = "
import os, socket, sys
tcp = socket.socket()
tcp.bind(('127.0.0.1', 0))
tcp.listen()
unix = socket.socket(socket.AF_UNIX)
unix.bind(sys.argv[2])
unix.listen()
print(tcp.getsockname()[1], flush=True)
for number, each in ((3, tcp), (4, unix)):
    os.dup2(each.fileno(), number + 20)
for number in (3, 4):
    os.dup2(number + 20, number)
    os.close(number + 20)
os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='https:plain')
os.execv(sys.argv[1], [sys.argv[1], 'serve'])
";

#[tokio::test]
async fn sockets_of_systemd_are_found_by_their_names() {
    let folder = TempDir::new().expect("a folder");
    let socket = folder.path().join("plain.sock");
    let start = |https: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", AS_SYSTEMD, env!("CARGO_BIN_EXE_slipway")]).arg(&socket).current_dir(folder.path());
        command
            .env("SLIPWAY_LISTENER_HTTPS", https)
            .env("SLIPWAY_LISTENER_HTTP", "systemd:plain")
            .env("SLIPWAY_HUB_BIND", "127.0.0.1:0")
            .env("SLIPWAY_SPAWNER_BACKEND", "static")
            .env("SLIPWAY_SPAWNER_STATIC_UPSTREAM", "http://127.0.0.1:9")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("python3 is installed (./test.sh does that)")
    };
    let mut wrong = start("systemd:https,systemd:nothing");
    assert_eq!(wrong.wait().expect("it ends").code(), Some(1));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut wrong.stderr.take().expect("a pipe"), &mut said).expect("text");
    assert!(said.contains("systemd:nothing") && said.contains("it passed: https, plain"), "{said}");
    std::fs::remove_file(&socket).expect("left by its maker");

    let mut child = start("systemd:https");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().expect("a pipe")), &mut line)
        .expect("a port");
    let port: u16 = line.trim().parse().unwrap_or_else(|_| panic!("no port: {line:?}"));
    // The sockets take connections from the first moment on: they wait there until we serve.
    let client = Client::new(([127, 0, 0, 1], port).into());
    let answer = tokio::time::timeout(Duration::from_secs(20), client.get("/hub/health")).await.expect("an answer");
    answer.is(200);
    let plain = ask(UnixStream::connect(&socket).await.expect("it listens"), &client, "/hub/health", "").await;
    assert!(plain.expect("an answer").starts_with("HTTP/1.1 301"));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(socket.exists(), "systemd's own file is not ours to remove");
}
