//! Whole connections: both protocols, WebSockets to a real server, stops, and clients that stall.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::edge::tests::*;
use crate::edge::{Config, Http2Limits};
use crate::model::{Protocol, ServerKey};

/// What must happen at once has this long on a machine that is busy with other things.
const SOON: Duration = Duration::from_secs(20);

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.expect("within 20 s")
}

/// A server that echoes WebSocket messages, and answers other requests with the head it got.
async fn server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                let mut byte = [0; 4096];
                let length = stream.peek(&mut byte).await.unwrap_or(0);
                if String::from_utf8_lossy(&byte[..length]).to_ascii_lowercase().contains("upgrade: websocket") {
                    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                    while let Some(Ok(message)) = socket.next().await {
                        if message.is_text() && socket.send(message).await.is_err() {
                            return;
                        }
                    }
                    return;
                }
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut byte[..1]).await {
                        Ok(1) => head.push(byte[0]),
                        _ => return,
                    }
                }
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", head.len());
                let _ = stream.write_all(&[answer.into_bytes(), head].concat()).await;
            });
        }
    });
    address
}

async fn http2(io: DuplexStream) -> SendRequest<Empty<Bytes>> {
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}

fn ask(target: &str, headers: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut builder = Request::builder().uri(format!("https://localhost:8443{target}"));
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Empty::new()).expect("a request")
}

async fn http1_text(mut io: DuplexStream, target: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("GET {target} HTTP/1.1\r\nHost: localhost:8443\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    io.write_all((head + "\r\n").as_bytes()).await.expect("sent");
    let mut text = Vec::new();
    io.read_to_end(&mut text).await.expect("an answer");
    String::from_utf8_lossy(&text).into()
}

async fn http2_text(sender: &mut SendRequest<Empty<Bytes>>, target: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let answer = sender.send_request(ask(target, headers)).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a whole body").to_bytes();
    (status, String::from_utf8_lossy(&body).into())
}

#[tokio::test]
async fn both_protocols_live_the_same_life() {
    let world = World::new().await;
    let alice = world.user("alice", false).await;
    let server_key = ServerKey::default_of(user_name("alice"));
    world.publish(&server_key, server().await);
    let cookie = ("cookie", alice.as_str());
    let mut sender = http2(world.connect(Protocol::Http2)).await;
    for (target, status, expected) in [
        ("/hub/home", 200, "session alice | 127.0.0.1 | https://localhost:8443 | /hub/home | 0"),
        ("/user/bob/", 404, "No access to resources or resources not found."),
        ("/user/alice/lab?x=1", 200, "GET /user/alice/lab?x=1 HTTP/1.1\r\n"),
    ] {
        let text = soon(http1_text(world.connect(Protocol::Http1), target, &[cookie])).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")) && text.contains(expected), "{text}");
        let (got, text) = soon(http2_text(&mut sender, target, &[cookie])).await;
        assert!(got == status && text.contains(expected), "{text}");
    }
    for text in [
        soon(http1_text(world.connect(Protocol::Http1), "/user/alice/lab", &[cookie])).await,
        soon(http2_text(&mut sender, "/user/alice/lab", &[cookie])).await.1,
    ] {
        let text = text.to_ascii_lowercase();
        assert!(!text.contains(&COOKIE_NAME.to_ascii_lowercase()), "{text}");
        assert!(text.contains("cookie: a=b\r\n") && text.contains("host: localhost:8443\r\n"), "{text}");
        assert!(text.contains("x-forwarded-proto: https\r\n") && text.contains("x-forwarded-for: 127.0.0.1\r\n"));
    }
}

#[tokio::test]
async fn host_and_authority_must_be_one() {
    let world = World::new().await;
    let (sender, connection) = h2::client::handshake(world.connect(Protocol::Http2)).await.expect("a handshake");
    tokio::spawn(connection);
    let mut sender = sender.ready().await.expect("ready");
    let mut status = async |host: &str| {
        let request = Request::get("https://localhost:8443/hub/").header("host", host).body(()).expect("a request");
        let (answer, _) = sender.send_request(request, true).expect("sent");
        soon(answer).await.expect("an answer").status().as_u16()
    };
    assert_eq!(status("localhost:8443").await, 200);
    assert_eq!(status("lab.example").await, 400);
}

async fn websocket_over_http1(mut io: DuplexStream, target: &str, cookie: &str) -> WebSocketStream<DuplexStream> {
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost:8443\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Origin: https://localhost:8443\r\nCookie: {cookie}\r\n\r\n"
    );
    io.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(io.read_u8().await.expect("an answer"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    WebSocketStream::from_raw_socket(io, Role::Client, None).await
}

async fn websocket_over_http2(
    sender: &mut SendRequest<Empty<Bytes>>,
    target: &str,
    cookie: &str,
) -> WebSocketStream<TokioIo<hyper::upgrade::Upgraded>> {
    let headers = [("origin", "https://localhost:8443"), ("cookie", cookie), ("sec-websocket-version", "13")];
    let mut request = ask(target, &headers);
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    let answer = soon(sender.send_request(request)).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let io = soon(hyper::upgrade::on(answer)).await.expect("a tunnel");
    WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Client, None).await
}

async fn echoes<I: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<I>) {
    socket.send(Message::text("hello")).await.expect("sent");
    let message = soon(socket.next()).await.expect("a message").expect("sound");
    assert_eq!(message, Message::text("hello"));
}

async fn is_cut<I: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<I>) {
    while let Some(Ok(_)) = soon(socket.next()).await {}
}

#[tokio::test]
async fn a_websocket_is_cut_with_its_session_and_with_its_route() {
    let world = World::new().await;
    let server_key = ServerKey::default_of(user_name("alice"));
    let target = "/user/alice/api/kernels/1/channels";
    let alice = world.user("alice", false).await;
    let address = server().await;
    let mut sender = http2(world.connect(Protocol::Http2)).await;
    for ends_by_session in [false, true] {
        world.publish(&server_key, address);
        let mut first = websocket_over_http1(world.connect(Protocol::Http1), target, &alice).await;
        let mut second = websocket_over_http2(&mut sender, target, &alice).await;
        echoes(&mut first).await;
        echoes(&mut second).await;
        if ends_by_session {
            let value = alice.rsplit_once('=').expect("a cookie").1;
            let session = world.auth.session_of_cookie(value).expect("a session");
            world.auth.sign_out(&session, None).await.expect("signed out");
        } else {
            world.routes.withdraw(&server_key.route_key(&world.edge.parts.base));
        }
        is_cut(&mut first).await;
        is_cut(&mut second).await;
    }
    let (status, _) = soon(http2_text(&mut sender, "/user/alice/", &[("cookie", &alice)])).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn a_websocket_of_another_site_is_refused_over_http2_too() {
    let world = World::new().await;
    let alice = world.user("alice", false).await;
    world.publish(&ServerKey::default_of(user_name("alice")), server().await);
    let mut sender = http2(world.connect(Protocol::Http2)).await;
    let mut request = ask("/user/alice/ws", &[("origin", "https://evil.example"), ("cookie", &alice)]);
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    assert_eq!(soon(sender.send_request(request)).await.expect("an answer").status(), 403);
    let mut request = ask("/user/alice/ws", &[("cookie", &alice)]);
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(hyper::ext::Protocol::from_static("gopher"));
    assert_eq!(soon(sender.send_request(request)).await.expect("an answer").status(), 405);
}

#[tokio::test]
async fn a_stop_ends_idle_connections_of_both_kinds() {
    let world = World::new().await;
    let mut first = world.connect(Protocol::Http1);
    let sender = http2(world.connect(Protocol::Http2)).await;
    let mut asked = sender.clone();
    assert_eq!(soon(http2_text(&mut asked, "/hub/", &[])).await.0, 200);
    assert!(soon(world.edge.parts.tasks.stop(SOON)).await);
    assert_eq!(soon(first.read(&mut [0; 8])).await.expect("the end"), 0);
    drop(sender);
}

fn impatient() -> Config {
    Config {
        http2: Http2Limits { stall_timeout_s: 1, idle_timeout_s: 1, ..Http2Limits::default() },
        ..Config::default()
    }
}

#[tokio::test]
async fn a_stream_whose_client_takes_nothing_is_reset_alone() {
    let world = World::with(impatient()).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1);
    let handshake = builder.handshake::<_, Bytes>(world.connect(Protocol::Http2)).await;
    let (sender, connection) = handshake.expect("a handshake");
    tokio::spawn(connection);
    let mut sender = sender.ready().await.expect("ready");
    for target in ["/hub/endless", "/hub/"] {
        let request = Request::get(format!("https://localhost:8443{target}")).body(()).expect("a request");
        let (answer, _) = sender.send_request(request, true).expect("sent");
        let mut body = soon(answer).await.expect("an answer").into_body();
        let first = soon(body.data()).await.expect("a byte").expect("sound");
        assert_eq!(first.len(), 1);
        if target == "/hub/endless" {
            let reset = soon(body.data()).await.expect("an end").expect_err("reset");
            assert!(reset.is_reset(), "{reset:?}");
        }
    }
}

#[tokio::test]
async fn a_stalled_upload_is_given_up() {
    let world = World::with(impatient()).await;
    let (sender, connection) = h2::client::handshake(world.connect(Protocol::Http2)).await.expect("a handshake");
    tokio::spawn(connection);
    let mut sender = sender.ready().await.expect("ready");
    let request = Request::post("https://localhost:8443/hub/login").body(()).expect("a request");
    let (answer, mut upload) = sender.send_request(request, false).expect("sent");
    upload.send_data(Bytes::from_static(b"username="), false).expect("sent");
    let mut body = soon(answer).await.expect("an answer").into_body();
    let text = soon(body.data()).await.expect("a body").expect("sound");
    assert!(text.windows(9).any(|words| words == b"broke off"), "{text:?}");
}

#[tokio::test]
async fn an_idle_http2_connection_is_ended() {
    let world = World::with(impatient()).await;
    let (sender, connection) = h2::client::handshake(world.connect(Protocol::Http2)).await.expect("a handshake");
    let ended = tokio::spawn(connection);
    assert!(soon(ended).await.expect("no panic").is_ok());
    drop::<h2::client::SendRequest<Bytes>>(sender);
}

#[tokio::test]
async fn a_header_list_over_the_limit_is_refused() {
    let world = World::new().await;
    let mut sender = http2(world.connect(Protocol::Http2)).await;
    let large = "x".repeat(40 * 1024);
    let refused = soon(sender.send_request(ask("/hub/", &[("x-large", &large)]))).await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 431));
}

#[tokio::test(start_paused = true)]
async fn refused_heads_slow_their_connection_and_end_it_unless_good_ones_come_between_them() {
    let world = World::new().await;
    let mut sender = http2(world.connect(Protocol::Http2)).await;
    // As a list they are 35,000 bytes; on the wire one frame, which h2 refuses without ending the connection.
    let fields = [("x-a", ""); 1000];
    let refusals = async |sender: &mut SendRequest<Empty<Bytes>>, most: usize| {
        for count in 0..most {
            match soon(sender.send_request(ask("/hub/", &fields))).await {
                Ok(answer) => assert_eq!(answer.status(), 431),
                Err(_) => return count,
            }
        }
        most
    };
    for _ in 0..15 {
        assert_eq!(refusals(&mut sender, 1).await, 1);
        assert_eq!(http2_text(&mut sender, "/hub/login", &[]).await.0, 200);
    }
    let begun = tokio::time::Instant::now();
    let borne = refusals(&mut sender, 30).await;
    assert!((8..=10).contains(&borne), "{borne} refused ones were borne");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(700), "nothing is read for a while after each: {took:?}");
}
