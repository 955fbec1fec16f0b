//! Open WebSockets: what passes, what counts as activity, and how they end.

use tokio::sync::mpsc::UnboundedReceiver;

use super::*;

/// What a server's side of a WebSocket saw, a piece at a time; closed when its connection is.
type Seen = UnboundedReceiver<Vec<u8>>;

/// A server of WebSockets that says `greeting` behind its 101 and tells what it hears.
async fn listening_server(greeting: &'static [u8]) -> (Server, Seen) {
    let (tell, seen) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            let head = read_head(&mut stream).await.expect("a head");
            assert!(head.contains("connection: upgrade\r\nupgrade: websocket\r\n"), "{head}");
            stream.write_all(&[SWITCHED.as_bytes(), greeting].concat()).await.expect("writes");
            let mut heard = [0; 1024];
            while let Ok(count @ 1..) = stream.read(&mut heard).await {
                let _ = tell.send(heard[..count].to_vec());
            }
            let _ = tell.send(b"end".to_vec());
        }
    })
    .await;
    (server, seen)
}

/// A frame of `kind` from a client: masked, with zeros.
fn masked(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    [&[kind, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

async fn open(client: &mut TcpStream) {
    client.write_all(UPGRADE.as_bytes()).await.expect("writes");
    let head = hear_until(client, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

/// All that comes until the connection is closed, which must be within a second.
async fn rest_of(client: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(1), client.read_to_end(&mut rest)).await;
    closed.expect("closed within a second").expect("closed and not reset");
    rest
}

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways_and_ends_half_by_half() {
    let server = Server::start(|mut stream, _| async move {
        read_head(&mut stream).await.expect("a head");
        stream.write_all(SWITCHED.as_bytes()).await.expect("writes");
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
        let _ = to.write_all(b"\x88\x02\x03\xe8").await;
    })
    .await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    let mut client = client_of(&proxy, &route).await;
    open(&mut client).await;
    for word in ["one", "two"] {
        client.write_all(&masked(0x81, word.as_bytes())).await.expect("writes");
        hear_until(&mut client, word).await;
    }
    client.shutdown().await.expect("half closes");
    assert_eq!(rest_of(&mut client).await, b"\x88\x02\x03\xe8");
}

#[tokio::test]
async fn who_signs_out_is_told_1008_and_both_sides_close() {
    let (server, mut seen) = listening_server(b"\x81\x02hi").await;
    let (proxy, route, ended) = (proxy(), route_to(&server.address), CancellationToken::new());
    let mut client = signed_in_client_of(&proxy, &route, ended.clone()).await;
    open(&mut client).await;
    hear_until(&mut client, "hi").await;
    // Something is on its way up that nobody will read: it must not turn the close into a reset.
    client.write_all(&masked(0x81, b"work")).await.expect("writes");
    seen.recv().await.expect("it is heard");
    ended.cancel();
    client.write_all(&masked(0x81, b"more")).await.expect("writes");
    assert_eq!(rest_of(&mut client).await, b"\x88\x0c\x03\xf0signed out");
    let end = async { while seen.recv().await.is_some_and(|heard| heard != b"end") {} };
    tokio::time::timeout(Duration::from_secs(1), end).await.expect("the server's side is closed");
}

#[tokio::test]
async fn a_server_that_is_stopped_is_told_as_1001() {
    let (server, _seen) = listening_server(b"\x82\x01x").await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    let mut client = client_of(&proxy, &route).await;
    open(&mut client).await;
    hear_until(&mut client, "x").await;
    route.gone.cancel();
    assert_eq!(rest_of(&mut client).await, b"\x88\x10\x03\xe9server stopped");
}

#[tokio::test]
async fn a_server_that_dies_is_told_as_1001_before_its_route_goes() {
    let server = Server::start(|mut stream, _| async move {
        read_head(&mut stream).await.expect("a head");
        stream.write_all(&[SWITCHED.as_bytes(), b"\x81\x02hi"].concat()).await.expect("writes");
    })
    .await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    let mut client = client_of(&proxy, &route).await;
    open(&mut client).await;
    assert_eq!(rest_of(&mut client).await, b"\x81\x02hi\x88\x10\x03\xe9server stopped");
}

/// A strict server fails a connection whose close frame it cannot take, without one of its own (RFC 6455 §7.1.7).
#[tokio::test]
async fn a_server_that_drops_who_has_closed_is_not_called_stopped() {
    let no_close_code = masked(0x88, b"\0");
    let whole = no_close_code.len();
    let server = Server::start(move |mut stream, _| async move {
        read_head(&mut stream).await.expect("a head");
        stream.write_all(SWITCHED.as_bytes()).await.expect("writes");
        stream.read_exact(&mut vec![0; whole]).await.expect("the close frame");
    })
    .await;
    let (proxy, route) = (proxy(), route_to(&server.address));
    let mut client = client_of(&proxy, &route).await;
    open(&mut client).await;
    client.write_all(&no_close_code).await.expect("writes");
    assert_eq!(rest_of(&mut client).await, b"");
}

#[tokio::test]
async fn our_own_stop_is_told_as_1012() {
    let (server, _seen) = listening_server(b"\x81\x02hi").await;
    let tasks = Tasks::new(Handle::current());
    let proxy = Proxy::new(Config::default(), Arc::new(SystemClock), tasks.clone());
    let mut client = client_of(&proxy, &route_to(&server.address)).await;
    open(&mut client).await;
    hear_until(&mut client, "hi").await;
    let (stopped, rest) = tokio::join!(tasks.stop(Duration::from_secs(5)), async {
        let rest = rest_of(&mut client).await;
        drop(client);
        rest
    });
    assert_eq!(rest, b"\x88\x09\x03\xf4restart");
    assert!(stopped);
}

#[tokio::test]
async fn no_close_frame_is_put_into_a_frame_or_behind_another() {
    for greeting in [&b"\x81\x05hi"[..], b"\x88\x02\x03\xe8"] {
        let (server, _seen) = listening_server(greeting).await;
        let (proxy, route) = (proxy(), route_to(&server.address));
        let mut client = client_of(&proxy, &route).await;
        open(&mut client).await;
        let mut heard = vec![0; greeting.len()];
        client.read_exact(&mut heard).await.expect("reads");
        assert_eq!(heard, greeting);
        route.gone.cancel();
        assert_eq!(rest_of(&mut client).await, b"");
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_dropped_within_a_second_all_the_same() {
    let server = Server::start(|mut stream, _| async move {
        read_head(&mut stream).await.expect("a head");
        stream.write_all(SWITCHED.as_bytes()).await.expect("writes");
        // Frames of 64 KiB without an end.
        let frame = [&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &[0; 65_536]].concat();
        while stream.write_all(&frame).await.is_ok() {}
    })
    .await;
    let tasks = Tasks::new(Handle::current());
    let proxy = Proxy::new(Config::default(), Arc::new(SystemClock), tasks.clone());
    let (route, ended) = (route_to(&server.address), CancellationToken::new());
    let mut client = signed_in_client_of(&proxy, &route, ended.clone()).await;
    open(&mut client).await;
    ended.cancel();
    let begin = std::time::Instant::now();
    assert!(tasks.stop(Duration::from_secs(5)).await);
    assert!(begin.elapsed() < Duration::from_secs(1));
}

/// What the route has seen after each of these frames of a client, on a WebSocket of this kind.
async fn check_frames(socket: Socket, frames: &[(Vec<u8>, bool)]) {
    let (server, mut seen) = listening_server(b"\x81\x02hi").await;
    let proxy = Proxy::new(Config::default(), Arc::new(Standing(7)), Tasks::new(Handle::current()));
    let route = route_to(&server.address);
    let mut client = client_with(&proxy, &route, CancellationToken::new(), socket).await;
    open(&mut client).await;
    hear_until(&mut client, "hi").await;
    let opened = route.last_opened(ActivitySource::Terminal);
    assert_eq!(opened.is_some(), socket == Socket::Terminal, "the server takes it for use of the terminal");
    assert_eq!(route.last_seen(ActivitySource::WebSocket), None, "a lost page opens it by itself");
    for (frame, is_work) in frames {
        route.touch(ActivitySource::WebSocket, Timestamp(0));
        client.write_all(frame).await.expect("writes");
        assert_eq!(&seen.recv().await.expect("it is heard"), frame, "not a byte is another");
        let expected = Timestamp(if *is_work { 7 } else { 0 });
        assert_eq!(route.last_seen(ActivitySource::WebSocket), Some(expected), "{socket:?} {frame:?}");
    }
    assert_eq!(route.last_seen(ActivitySource::Request), None, "none of that is a request");
}

#[tokio::test]
async fn data_of_the_client_is_work_and_pings_are_not() {
    let frames = [(0x89, false), (0x8a, false), (0x81, true), (0x82, true), (0x80, false)];
    check_frames(Socket::Other, &frames.map(|(kind, is_work)| (masked(kind, b"x"), is_work))).await;
}

#[tokio::test]
async fn a_terminals_window_is_no_work_and_what_is_typed_is() {
    let frames = [(&br#"["set_size",24,80,703,950]"#[..], false), (br#"["stdin","l"]"#, true)];
    check_frames(Socket::Terminal, &frames.map(|(message, is_work)| (masked(0x81, message), is_work))).await;
}

#[tokio::test]
async fn for_a_plain_proxy_a_pong_of_an_open_page_is_activity() {
    let (server, mut seen) = listening_server(b"\x81\x02hi").await;
    let proxy = Proxy::new(Config::default(), Arc::new(Standing(7)), Tasks::new(Handle::current()));
    let route = route_to(&server.address);
    let (here, there) = tokio::io::duplex(64 * 1024);
    let (relayed, stopping) = (route.clone(), CancellationToken::new());
    tokio::spawn(async move {
        let serve = |request: Request<RequestBody>| async {
            let facts = Forwarding::relayed("hub.example", Relay::default());
            proxy.forward(request, &relayed, facts).await.expect("an answer")
        };
        http1::serve(there, &http1::Limits::default(), serve, stopping).await
    });
    let mut client = here;
    client.write_all(UPGRADE.as_bytes()).await.expect("writes");
    let mut heard = Vec::new();
    while !heard.ends_with(b"hi") {
        heard.push(client.read_u8().await.expect("reads"));
    }
    route.touch(ActivitySource::WebSocket, Timestamp(0));
    client.write_all(&masked(0x8a, b"x")).await.expect("writes");
    seen.recv().await.expect("it is heard");
    assert_eq!(route.last_activity(), Timestamp(7));
}
