//! The whole way over real sockets: client, our codec, the proxy, a server that does as a case tells it.

mod websocket;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::{SystemClock, Timestamp, UpstreamAddress};
use crate::net::OnUpgrade;
use crate::net::{BoxError, http1};

/// A server whose connections are each played by `script`, with their number.
struct Server {
    address: UpstreamAddress,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start<S, F>(script: S) -> Self
    where
        S: Fn(TcpStream, usize) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = UpstreamAddress::Tcp(listener.local_addr().expect("bound"));
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
                tokio::spawn(script(stream, number));
            }
        });
        Self { address, connections }
    }

    /// A server that says `answer` to each head it reads, whatever the head.
    async fn saying(answer: &'static str) -> Self {
        Self::start(move |mut stream, _| async move {
            while read_head(&mut stream).await.is_some() {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Reads a head; none at the end of the stream.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

fn proxy() -> Proxy {
    Proxy::new(Config::default(), Arc::new(SystemClock), Tasks::new(Handle::current()))
}

fn route_to(address: &UpstreamAddress) -> Arc<Upstream> {
    Arc::new(Upstream::new(address.clone(), Timestamp(0)))
}

fn facts(ended: Option<&Arc<CancellationToken>>) -> Forwarding<'_> {
    Forwarding {
        session_cookie: "__Host-Http-slipway-0123abcd",
        prefix: "/user/alice/",
        client: [192, 0, 2, 7].into(),
        scheme: "https",
        host: "hub.example",
        port: 443,
        token: TokenRule::Pass,
        ended,
        is_activity: true,
        socket: Socket::Other,
        takes_lines: false,
        relay: None,
    }
}

fn get(path: &str) -> Request<RequestBody> {
    Request::get(path).body(RequestBody::Empty).expect("a request")
}

fn post(body: RequestBody) -> Request<RequestBody> {
    Request::post("/").body(body).expect("a request")
}

async fn text(response: Response<ResponseBody>) -> String {
    let body = response.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

/// A body that is sent piece by piece.
fn streamed() -> (mpsc::Sender<Result<Bytes, BoxError>>, RequestBody) {
    let (sender, mut receiver) = mpsc::channel::<Result<Bytes, BoxError>>(1);
    let pieces = futures_util::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(http_body::Frame::data)))
    });
    (sender, RequestBody::stream(StreamBody::new(pieces)))
}

/// A client's connection to our codec, behind which is the proxy, behind which is `route`.
async fn client_of(proxy: &Proxy, route: &Arc<Upstream>) -> TcpStream {
    signed_in_client_of(proxy, route, CancellationToken::new()).await
}

/// The same, of somebody whose session is `ended` one day.
async fn signed_in_client_of(proxy: &Proxy, route: &Arc<Upstream>, ended: CancellationToken) -> TcpStream {
    client_with(proxy, route, ended, Socket::Other).await
}

/// The same, whose WebSockets are of this kind.
async fn client_with(proxy: &Proxy, route: &Arc<Upstream>, ended: CancellationToken, socket: Socket) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connects");
    let (stream, _) = listener.accept().await.expect("accepts");
    stream.set_nodelay(true).expect("a socket");
    let (proxy, route, ended) = (proxy.clone(), route.clone(), Arc::new(ended));
    tokio::spawn(async move {
        let service = |request| async {
            let answered = proxy.forward(request, &route, Forwarding { socket, ..facts(Some(&ended)) }).await;
            answered.unwrap_or_else(|error| {
                let mut response = Response::new(ResponseBody::from(error.to_string()));
                *response.status_mut() = error.status();
                response
            })
        };
        http1::serve(stream, &http1::Limits::default(), service, CancellationToken::new()).await
    });
    client
}

async fn hear_until(client: &mut TcpStream, part: &str) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(part.as_bytes()) {
        let byte = client.read_u8().await.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&heard)));
        heard.push(byte);
    }
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn a_thousand_requests_take_one_connection() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    for _ in 0..1000 {
        let response = proxy.forward(get("/"), &route, facts(None)).await.expect("an answer");
        assert_eq!(text(response).await, "hi");
    }
    assert_eq!((server.connections(), proxy.inner.pool.idle_count()), (1, 1));
    assert!(route.last_activity() > Timestamp(0));
}

#[tokio::test]
async fn chunked_answers_keep_their_connection_too() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n").await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    for _ in 0..20 {
        let response = proxy.forward(get("/"), &route, facts(None)).await.expect("an answer");
        assert_eq!(text(response).await, "hi");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn connections_are_kept_by_start_and_not_by_address() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let proxy = proxy();
    let (first, second) = (route_to(&server.address), route_to(&server.address));
    for route in [&first, &second, &first, &second] {
        text(proxy.forward(get("/"), route, facts(None)).await.expect("an answer")).await;
    }
    assert_eq!(server.connections(), 2);
    first.gone.cancel();
    assert!(matches!(proxy.forward(get("/"), &first, facts(None)).await, Err(ProxyError::Gone { .. })));
    while proxy.inner.pool.idle_count() > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_route_that_ends_closes_its_waiting_connections_before_its_server_does() {
    let (heard, mut ends) = mpsc::channel(1);
    let server = Server::start(move |mut stream, _| {
        let heard = heard.clone();
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
            let end = stream.read(&mut [0]).await;
            let _ = heard.send((end, std::time::Instant::now())).await;
        }
    })
    .await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    text(proxy.forward(get("/"), &route, facts(None)).await.expect("an answer")).await;
    assert_eq!(proxy.inner.pool.idle_count(), 1);
    let begin = std::time::Instant::now();
    route.gone.cancel();
    let (end, at) = ends.recv().await.expect("the server sees the end");
    // A reset: had the server died, a farewell would be repeated to nobody.
    assert_eq!(end.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
    assert!(at - begin < Duration::from_millis(500), "the engine's stop does not wait for us");
    assert_eq!(proxy.inner.pool.idle_count(), 0);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_not_used_again() {
    let server = Server::start(|mut stream, number| async move {
        read_head(&mut stream).await;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}");
        stream.write_all(answer.as_bytes()).await.expect("writes");
    })
    .await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    for number in 1..10 {
        let (sender, body) = streamed();
        sender.try_send(Ok(Bytes::from_static(b"x"))).expect("room");
        drop(sender);
        // The first is a GET, the others carry bodies that cannot be sent twice.
        let request = if number == 1 { get("/") } else { post(body) };
        let response = proxy.forward(request, &route, facts(None)).await;
        assert_eq!(text(response.expect("an answer")).await, number.to_string());
        while !proxy.inner.pool.all_idle_are_closed() {
            tokio::task::yield_now().await; // until the close has arrived
        }
    }
}

#[tokio::test]
async fn answers_that_are_not_http_are_refused_and_their_connection_is_dropped() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(70_000));
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(11);
    for answer in [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA b\r\n\r\n",
        Box::leak(long.into_boxed_str()),
        Box::leak(interim.into_boxed_str()),
    ] {
        let server = Server::saying(answer).await;
        let (proxy, route) = (proxy(), route_to(&server.address));
        let error = proxy.forward(get("/"), &route, facts(None)).await.expect_err(answer);
        assert_eq!(error.status(), StatusCode::BAD_GATEWAY, "{error}");
        assert_eq!(proxy.inner.pool.idle_count(), 0);
    }
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let server = Server::saying(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    )
    .await;
    let response = proxy().forward(get("/"), &route_to(&server.address), facts(None)).await.expect("an answer");
    assert!(!response.headers().contains_key("link"));
    assert_eq!(text(response).await, "hi");
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_do_not_answer_the_next_request() {
    let server = Server::saying(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    )
    .await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    for _ in 0..5 {
        assert_eq!(text(proxy.forward(get("/"), &route, facts(None)).await.expect("an answer")).await, "hi");
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn a_server_that_dies_in_its_answer_leaves_it_visibly_unfinished() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n",
    ] {
        let server = Server::start(move |mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.expect("writes");
        })
        .await;
        let (proxy, route) = (proxy(), route_to(&server.address));
        let mut client = client_of(&proxy, &route).await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("writes");
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.expect("closes");
        assert!(heard.contains("part") && !heard.ends_with("0\r\n\r\n"), "{heard}");
        assert_eq!(proxy.inner.pool.idle_count(), 0);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let route = route_to(&UpstreamAddress::Tcp(listener.local_addr().expect("bound")));
    drop(listener);
    let error = proxy().forward(get("/"), &route, facts(None)).await.expect_err("nobody listens");
    assert!(matches!(error, ProxyError::Unreachable { .. }), "{error}");
    let folder = tempfile::tempdir().expect("a folder");
    let route = route_to(&UpstreamAddress::Unix(folder.path().join("none.sock")));
    assert!(matches!(proxy().forward(get("/"), &route, facts(None)).await, Err(ProxyError::Unreachable { .. })));
}

#[tokio::test]
async fn an_early_answer_comes_through_while_the_body_is_pending() {
    let server = Server::saying("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig").await;
    let (_pending, body) = streamed();
    let response = proxy().forward(post(body), &route_to(&server.address), facts(None)).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(text(response).await, "big");
}

#[tokio::test]
async fn a_pipelined_request_behind_an_early_answer_gets_its_own() {
    let server = Server::start(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            let nonce = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{nonce}", nonce.len());
            stream.write_all(answer.as_bytes()).await.expect("writes");
        }
    })
    .await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    let mut client = client_of(&proxy, &route).await;
    // The body looks like a request, and the server answers before it has read any of it.
    let body = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let first = format!("POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    client.write_all(first.as_bytes()).await.expect("writes");
    hear_until(&mut client, "/one").await;
    client.write_all(body.as_bytes()).await.expect("writes");
    client.write_all(b"GET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("writes");
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.expect("closes");
    assert!(!heard.contains("/smuggled"), "{heard}");
    assert!(heard.ends_with("/two"), "{heard}");
}

#[tokio::test]
async fn events_stream_through_one_by_one() {
    let (events, receiver) = mpsc::channel::<&'static str>(1);
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let server = Server::start(move |mut stream, _| {
        let receiver = receiver.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await.expect("writes");
            while let Some(event) = receiver.lock().await.recv().await {
                stream.write_all(event.as_bytes()).await.expect("writes");
            }
        }
    })
    .await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    let mut client = client_of(&proxy, &route).await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("writes");
    hear_until(&mut client, "\r\n\r\n").await;
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        events.send(event).await.expect("taken");
        assert_eq!(hear_until(&mut client, "\n\n\r\n").await, format!("9\r\n{event}\r\n"));
    }
    drop(events);
    hear_until(&mut client, "0\r\n\r\n").await;
}

#[tokio::test]
async fn an_end_of_caller_or_route_cuts_what_is_open_within_a_second() {
    for cuts_route in [false, true] {
        for answer in ["", "HTTP/1.1 200 OK\r\n\r\nsome"] {
            let (heard, mut hears) = mpsc::channel::<()>(1);
            let server = Server::start(move |mut stream, _| {
                let heard = heard.clone();
                async move {
                    read_head(&mut stream).await;
                    stream.write_all(answer.as_bytes()).await.expect("writes");
                    let _ = heard.send(()).await;
                    read_head(&mut stream).await;
                }
            })
            .await;
            let (proxy, route, ended) = (proxy(), route_to(&server.address), Arc::<CancellationToken>::default());
            let cut = if cuts_route { route.gone.clone() } else { (*ended).clone() };
            let exchange = async {
                let response = proxy.forward(get("/"), &route, facts(Some(&ended))).await?;
                let mut body = response.into_body();
                assert_eq!(body.frame().await.expect("a piece").expect("whole").into_data().expect("data"), "some");
                cut.cancel();
                let begin = std::time::Instant::now();
                body.frame().await.expect("no end").expect_err("cut");
                Ok::<_, ProxyError>(begin)
            };
            let cutting = async {
                hears.recv().await;
                let begin = std::time::Instant::now();
                if answer.is_empty() {
                    cut.cancel();
                }
                begin
            };
            let (exchanged, begin) = tokio::join!(exchange, cutting);
            let begin = match exchanged {
                Ok(begin) => begin,
                Err(ProxyError::Gone { .. }) if cuts_route => begin,
                Err(ProxyError::CallerEnded) if !cuts_route => begin,
                Err(error) => panic!("{error}"),
            };
            assert!(begin.elapsed() < Duration::from_secs(1));
        }
    }
}

/// A clock that stands where it was put.
struct Standing(i64);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp(self.0)
    }
}

#[tokio::test]
async fn a_success_is_activity_and_other_answers_are_not() {
    let tasks = Tasks::new(Handle::current());
    let proxy = Proxy::new(Config::default(), Arc::new(Standing(7)), tasks);
    for (answer, is_activity) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", true),
        ("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n", false),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", false),
    ] {
        let server = Server::saying(answer).await;
        let route = route_to(&server.address);
        proxy.forward(get("/"), &route, facts(None)).await.expect("an answer");
        assert_eq!(route.last_activity(), Timestamp(if is_activity { 7 } else { 0 }), "{answer}");
        let nobodys = Forwarding { is_activity: false, ..facts(None) };
        let route = route_to(&server.address);
        proxy.forward(get("/"), &route, nobodys).await.expect("an answer");
        assert_eq!(route.last_activity(), Timestamp(0), "{answer}");
    }
}

#[tokio::test]
async fn what_a_client_sends_is_activity_whatever_the_answer() {
    let server = Server::saying("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").await;
    let proxy = Proxy::new(Config::default(), Arc::new(Standing(7)), Tasks::new(Handle::current()));
    let route = route_to(&server.address);
    let (sender, body) = streamed();
    sender.try_send(Ok(Bytes::from_static(b"x"))).expect("room");
    proxy.forward(post(body), &route, facts(None)).await.expect("an answer");
    assert_eq!(route.last_activity(), Timestamp(7));
}

#[tokio::test]
async fn a_hundred_mebibytes_pass_both_ways_at_once() {
    const PIECES: usize = 1600;
    const PIECE: usize = 64 * 1024;
    let server = Server::start(|mut stream, _| async move {
        let head = read_head(&mut stream).await.expect("a head");
        assert!(head.contains(&format!("content-length: {}\r\n", PIECES * PIECE)), "{head}");
        // Sends back what it reads while it reads it.
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.expect("writes");
        let (mut from, mut to) = stream.split();
        let (mut buffer, mut left) = (vec![0; PIECE], PIECES * PIECE);
        while left > 0 {
            let count = from.read(&mut buffer).await.expect("reads");
            left -= count;
            to.write_all(format!("{count:x}\r\n").as_bytes()).await.expect("writes");
            to.write_all(&buffer[..count]).await.expect("writes");
            to.write_all(b"\r\n").await.expect("writes");
        }
        to.write_all(b"0\r\n\r\n").await.expect("writes");
    })
    .await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    let mut client = client_of(&proxy, &route).await;
    let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", PIECES * PIECE);
    let (mut from, mut to) = client.split();
    let sending = async {
        to.write_all(head.as_bytes()).await.expect("writes");
        for number in 0..PIECES {
            to.write_all(&vec![u8::try_from(number % 251).expect("below 251"); PIECE]).await.expect("writes");
        }
    };
    let hearing = async {
        let (mut buffer, mut count) = (vec![0; PIECE], 0);
        loop {
            let read = from.read(&mut buffer).await.expect("reads");
            if read == 0 {
                return count;
            }
            count += read;
        }
    };
    let ((), count) = tokio::join!(sending, hearing);
    assert!(count > PIECES * PIECE, "{count} bytes came back");
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_server() {
    let written = Arc::new(AtomicUsize::new(0));
    let counted = written.clone();
    let server = Server::start(move |mut stream, _| {
        let written = counted.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("writes");
            while stream.write_all(&[b'x'; 64 * 1024]).await.is_ok() {
                written.fetch_add(64 * 1024, Ordering::Relaxed);
            }
        }
    })
    .await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    let mut client = client_of(&proxy, &route).await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("writes");
    // Time that stands goes on only when nothing is left to do: then everybody waits for the client.
    tokio::time::pause();
    let mut before = usize::MAX;
    while before != written.load(Ordering::Relaxed) {
        before = written.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(before > 0);
    // What the kernel's four socket buffers hold, and our one piece.
    assert!(before < 32 << 20, "{before} bytes on their way to nobody");
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[tokio::test]
async fn a_websocket_that_is_refused_is_answered_like_any_request() {
    let server = Server::saying("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    let mut client = client_of(&proxy, &route).await;
    client.write_all(UPGRADE.as_bytes()).await.expect("writes");
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.expect("closes");
    assert!(heard.starts_with("HTTP/1.1 403 Forbidden\r\n") && heard.ends_with("\r\n\r\nno"), "{heard}");

    for (spoilt, status) in [
        (UPGRADE.replace("Version: 13", "Version: 8"), "400"),
        (UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400"),
        (UPGRADE.replace("GET", "POST"), "400"),
    ] {
        let mut client = client_of(&proxy, &route).await;
        client.write_all(spoilt.as_bytes()).await.expect("writes");
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.expect("closes");
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{heard}");
    }
    // An accept value that does not fit the key: the server did not understand what it agreed to.
    let server = Server::saying(
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
    )
    .await;
    let mut client = client_of(&proxy, &route_to(&server.address)).await;
    client.write_all(UPGRADE.as_bytes()).await.expect("writes");
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.expect("closes");
    assert!(heard.starts_with("HTTP/1.1 502 "), "{heard}");
}

#[tokio::test]
async fn nothing_behind_an_upgrade_reaches_the_server_before_it_agrees() {
    let (seen, mut sees) = mpsc::channel::<String>(8);
    let server = Server::start(move |mut stream, _| {
        let seen = seen.clone();
        async move {
            let _ = seen.send(read_head(&mut stream).await.expect("a head")).await;
            let mut rest = String::new();
            let _ = stream.read_to_string(&mut rest).await;
            let _ = seen.send(rest).await;
        }
    })
    .await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    let mut client = client_of(&proxy, &route).await;
    client.write_all(UPGRADE.as_bytes()).await.expect("writes");
    let head = sees.recv().await.expect("it has gone up");
    assert!(head.starts_with("GET /ws "), "{head}");
    client.write_all(b"GET /SMUGGLED HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("writes");
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.expect("closes");
    assert!(heard.starts_with("HTTP/1.1 400 "), "{heard}");
    assert_eq!(sees.recv().await.expect("the exchange ended"), "");
}

#[tokio::test]
async fn an_extended_connect_opens_the_same_websocket() {
    let server = Server::start(|mut stream, _| async move {
        let head = read_head(&mut stream).await.expect("a head");
        assert!(head.starts_with("GET /ws HTTP/1.1\r\n"), "{head}");
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = format!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\nhello");
        stream.write_all(answer.as_bytes()).await.expect("writes");
        read_head(&mut stream).await;
    })
    .await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    let (sender, on_upgrade) = OnUpgrade::pending(crate::net::UpgradeKind::ExtendedConnect);
    let mut request = Request::builder().method("CONNECT").uri("/ws").header("sec-websocket-version", "13");
    request.extensions_mut().expect("a request").insert(on_upgrade);
    let request = request.body(RequestBody::Empty).expect("a request");
    let response = proxy.forward(request, &route, facts(None)).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().is_empty(), "{:?}", response.headers());
    let (mut client, ours) = tokio::io::duplex(64);
    sender.send(Box::new(ours));
    let mut greeting = [0; 5];
    client.read_exact(&mut greeting).await.expect("reads");
    assert_eq!(&greeting, b"hello");
}
