//! Whole connections, over a pipe and with a clock that is moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, StreamBody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;

/// Serves `service` on one end of a pipe; the other end is the client's.
fn connect<S, F>(service: S) -> (DuplexStream, JoinHandle<End>, CancellationToken)
where
    S: FnMut(Request<RequestBody>) -> F + Send + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let (client, server) = tokio::io::duplex(16 * 1024);
    let stopping = CancellationToken::new();
    let token = stopping.clone();
    let serving = tokio::spawn(async move { serve(server, &Limits::default(), service, token).await });
    (client, serving, stopping)
}

/// Says `input`, then listens until the server closes.
async fn say<S, F>(service: S, input: &str) -> (String, End)
where
    S: FnMut(Request<RequestBody>) -> F + Send + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let (mut client, serving, _) = connect(service);
    client.write_all(input.as_bytes()).await.expect("the pipe is large enough");
    let heard = hear(&mut client).await;
    (heard, serving.await.expect("no panic"))
}

/// Everything up to the end of the stream, dates left out.
async fn hear(client: &mut DuplexStream) -> String {
    let mut heard = Vec::new();
    let _ = client.read_to_end(&mut heard).await;
    let heard = String::from_utf8(heard).expect("text");
    heard.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect()
}

/// Reads until `part` has come.
async fn hear_until(client: &mut DuplexStream, part: &str) -> String {
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(part) {
        let byte = client.read_u8().await.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&heard)));
        heard.push(byte);
    }
    String::from_utf8(heard).expect("text")
}

/// Answers `METHOD path body`.
async fn echo(request: Request<RequestBody>) -> Response<ResponseBody> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return status(400) };
    let text = format!("{} {} {}", parts.method, parts.uri, String::from_utf8_lossy(&body.to_bytes()));
    Response::new(ResponseBody::from(text))
}

/// Answers at once and reads nothing.
async fn deaf(_: Request<RequestBody>) -> Response<ResponseBody> {
    Response::new(ResponseBody::from("deaf"))
}

fn status(code: u16) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = StatusCode::from_u16(code).expect("a status");
    response
}

type Pieces = mpsc::Sender<Result<&'static str, BoxError>>;

/// A body that is sent piece by piece.
fn streamed() -> (Pieces, ResponseBody) {
    let (sender, mut receiver) = mpsc::channel::<Result<&'static str, BoxError>>(1);
    let stream = futures_util::stream::poll_fn(move |cx| {
        let to_frame = |piece: &'static str| http_body::Frame::data(Bytes::from_static(piece.as_bytes()));
        receiver.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(to_frame)))
    });
    (sender, ResponseBody::stream(StreamBody::new(stream)))
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    let requests = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
                    POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
                    \r\nPUT /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nho\r\n1\r\n!\r\n0\r\n\r\n\
                    GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /5 HTTP/1.1\r\nHost: a\r\n\r\n";
    let (heard, end) = say(echo, requests).await;
    assert_eq!(
        heard,
        format!(
            "{OK}content-length: 7\r\n\r\nGET /1 {OK}content-length: 10\r\n\r\nPOST /2 hi\
             {OK}content-length: 10\r\n\r\nPUT /3 ho!{OK}content-length: 7\r\nconnection: close\r\n\r\nGET /4 "
        )
    );
    assert!(matches!(end, End::Clean), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_ends_the_connection() {
    let requests = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n";
    let (heard, end) = say(echo, requests).await;
    let (first, second) = heard.split_once("GET /1 ").expect("the first is answered");
    assert!(first.starts_with(OK));
    assert!(second.starts_with("HTTP/1.1 400 Bad Request\r\n") && second.contains("connection: close\r\n"));
    assert!(second.ends_with("\r\n\r\nBad Request: not exactly one Host.\n"), "{second}");
    assert!(matches!(end, End::Refused(refusal) if refusal.status == 400));
}

#[tokio::test(start_paused = true)]
async fn a_head_has_one_deadline_however_busily_it_drips() {
    let (mut client, serving, _) = connect(echo);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let begin = tokio::time::Instant::now();
    let dripping = async {
        for byte in "GET / HTTP/1.1\r\nHost: a\r\nX: aaaaaaaaaaaaaaaaaaaaaaaa".bytes() {
            if client.write_u8(byte).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        hear(&mut client).await
    };
    let (heard, end) = tokio::join!(dripping, serving);
    assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    assert!(matches!(end, Ok(End::Refused(_))));
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_closes_without_a_word() {
    let begin = tokio::time::Instant::now();
    let (heard, end) = say(echo, "").await;
    assert!(heard.is_empty() && matches!(end, End::Clean));
    assert_eq!(begin.elapsed().as_secs(), Limits::default().idle_timeout_s);
}

#[tokio::test(start_paused = true)]
async fn continue_is_said_when_the_body_is_wanted_and_not_before() {
    let head = "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let (mut client, _serving, _) = connect(echo);
    client.write_all(head.as_bytes()).await.expect("writes");
    assert_eq!(hear_until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"hi").await.expect("writes");
    hear_until(&mut client, "POST /x hi").await;

    // Nobody wants it: no 100, and no guess whether the client sends the body all the same.
    let (heard, end) = say(deaf, head).await;
    assert_eq!(heard, format!("{OK}content-length: 4\r\nconnection: close\r\n\r\ndeaf"));
    assert!(matches!(end, End::Clean));
}

#[tokio::test(start_paused = true)]
async fn an_unread_body_is_drained_if_short_and_never_read_as_a_request() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let request = |length: usize, body: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}{}",
            "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
        )
    };
    let (heard, _) = say(deaf, &request(smuggled.len(), smuggled)).await;
    assert_eq!(heard.matches(OK).count(), 2, "{heard}");
    // Longer than is drained: the connection closes after the answer.
    let (heard, _) = say(deaf, &request(1 << 30, smuggled)).await;
    assert_eq!(heard.matches(OK).count(), 1, "{heard}");
    assert!(heard.contains("connection: close"));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_chunk_reaches_the_service_as_an_error_and_closes() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhoGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let (heard, _) = say(echo, request).await;
    assert_eq!(heard, "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn answers_without_a_body_have_none() {
    let answer = |request: Request<RequestBody>| async move {
        let mut response = Response::new(ResponseBody::from("body"));
        *response.status_mut() = request.uri().path()[1..].parse().expect("a status");
        response
    };
    for (method, code, expected) in [
        ("HEAD", 200, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"),
        ("GET", 204, "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", 304, "HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n"),
        ("GET", 103, "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"),
        ("GET", 101, "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let (heard, _) = say(answer, &format!("{method} /{code} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(heard, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_leaves_piece_by_piece_and_a_failure_shows() {
    let (pieces, body) = streamed();
    let mut body = Some(body);
    let (mut client, serving, _) = connect(move |_| std::future::ready(Response::new(body.take().unwrap_or_default())));
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("writes");
    hear_until(&mut client, "transfer-encoding: chunked\r\n\r\n").await;
    for piece in ["data: 1\n\n", "data: 2\n\n"] {
        pieces.send(Ok(piece)).await.expect("read");
        assert_eq!(hear_until(&mut client, "\n\n\r\n").await, format!("9\r\n{piece}\r\n"));
    }
    pieces.send(Err("broke".into())).await.expect("read");
    assert_eq!(hear(&mut client).await, "", "an unfinished body has no last chunk");
    assert!(matches!(serving.await, Ok(End::AnswerFailed(_))));
}

#[tokio::test(start_paused = true)]
async fn http_1_0_is_kept_only_if_asked_and_gets_no_chunks() {
    let (heard, _) = say(echo, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(
        heard,
        format!(
            "{OK}content-length: 6\r\nconnection: keep-alive\r\n\r\nGET / {OK}content-length: 6\r\nconnection: close\r\n\r\nGET / "
        )
    );
    let streaming = |_| async {
        let (pieces, body) = streamed();
        tokio::spawn(async move { drop(pieces.send(Ok("all")).await) });
        Response::new(body)
    };
    let (heard, _) = say(streaming, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    assert_eq!(heard, format!("{OK}connection: close\r\n\r\nall"));
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn an_upgrade_hands_the_connection_over_after_its_101() {
    let (mut client, serving, _) = connect(|mut request: Request<RequestBody>| async move {
        let on_upgrade = request.extensions_mut().remove::<OnUpgrade>().expect("asked for");
        tokio::spawn(async move {
            let mut io = on_upgrade.into_io().await.expect("comes");
            let word = io.read_u8().await.expect("reads");
            io.write_all(&[word, b'!']).await.expect("writes");
        });
        let mut response = status(101);
        response.headers_mut().insert("upgrade", "websocket".parse().expect("a value"));
        response
    });
    client.write_all(UPGRADE.as_bytes()).await.expect("writes");
    let head = hear_until(&mut client, "\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n")
            && head.contains("connection: upgrade")
    );
    client.write_all(b"x").await.expect("writes");
    assert_eq!(hear(&mut client).await, "x!");
    assert!(matches!(serving.await, Ok(End::Upgraded)));
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_an_upgrade_reach_nobody() {
    let smuggled = format!("{UPGRADE}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let service = move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        echo(request)
    };
    let (heard, end) = say(service, &smuggled).await;
    assert!(heard.starts_with("HTTP/1.1 400 ") && matches!(end, End::Refused(_)), "{heard}");
    // An upgrade that is answered otherwise closes the connection: what follows was meant for the other protocol.
    let (heard, _) = say(echo, UPGRADE).await;
    assert_eq!(heard, format!("{OK}content-length: 8\r\nconnection: close\r\n\r\nGET /ws "));
    assert_eq!(calls.load(Ordering::Relaxed), 1, "the smuggled request was served");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_the_service() {
    let (dropped, mut is_dropped) = mpsc::channel::<()>(1);
    let (mut client, serving, _) = connect(move |_| {
        let dropped = dropped.clone();
        async move {
            std::future::pending::<()>().await;
            drop(dropped);
            status(200)
        }
    });
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("writes");
    tokio::task::yield_now().await;
    drop(client);
    assert_eq!(is_dropped.recv().await, None);
    assert!(matches!(serving.await, Ok(End::ClientLeft)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_closes_idle_connections_and_finishes_answers() {
    let (mut client, serving, stopping) = connect(echo);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("writes");
    hear_until(&mut client, "GET / ").await;
    stopping.cancel();
    assert_eq!(hear(&mut client).await, "");
    assert!(matches!(serving.await, Ok(End::Clean)));

    let (go, going) = tokio::sync::oneshot::channel::<()>();
    let mut going = Some(going);
    let (mut client, _serving, stopping) = connect(move |_| {
        let going = going.take();
        async move {
            let _ = going.expect("one request").await;
            status(204)
        }
    });
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("writes");
    tokio::task::yield_now().await;
    stopping.cancel();
    go.send(()).expect("waits");
    assert_eq!(hear(&mut client).await, "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_cut() {
    let (mut client, _serving, _) = connect(echo);
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").await.expect("writes");
    let begin = tokio::time::Instant::now();
    let dripping = async {
        while client.write_u8(b'x').await.is_ok() && begin.elapsed().as_secs() < 40 {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        hear(&mut client).await
    };
    assert!(dripping.await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_is_cut() {
    let service = |_| std::future::ready(Response::new(ResponseBody::from(Bytes::from(vec![b'x'; 1 << 20]))));
    let (mut client, serving, _) = connect(service);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("writes");
    assert!(matches!(serving.await, Ok(End::Slow)));
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_below_us_holds_buys_a_reader_no_time() {
    let (mut client, server) = tokio::io::duplex(1024);
    // As TLS does: it takes what finds room in its own buffer and says that it was written.
    let server = tokio::io::BufWriter::with_capacity(256 * 1024, server);
    let service = |_| {
        let piece = || Ok::<_, BoxError>(http_body::Frame::data(Bytes::from(vec![b'x'; 64 * 1024])));
        let body = StreamBody::new(futures_util::stream::iter(std::iter::repeat_with(piece).take(100)));
        std::future::ready(Response::new(ResponseBody::stream(body)))
    };
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("writes");
    let begin = tokio::time::Instant::now();
    assert!(matches!(serve(server, &Limits::default(), service, CancellationToken::new()).await, End::Slow));
    assert_eq!(begin.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn a_body_can_be_read_on_another_thread() {
    let service = |request: Request<RequestBody>| async move {
        let reading = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(echo(request))
        });
        reading.await.expect("no panic")
    };
    let (mut client, _serving, _) = connect(service);
    let body = "x".repeat(300_000);
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let (mut from, mut to) = tokio::io::split(&mut client);
    let (_, heard) = tokio::join!(
        async {
            to.write_all(head.as_bytes()).await.expect("writes");
            to.write_all(body.as_bytes()).await.expect("writes");
        },
        async {
            let mut heard = String::new();
            from.read_to_string(&mut heard).await.expect("reads");
            heard
        }
    );
    assert!(heard.ends_with(&body), "{} bytes", heard.len());
}

/// Counts the writes on a pipe.
struct Counting(DuplexStream, Arc<AtomicUsize>);

impl tokio::io::AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl tokio::io::AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn head_and_body_leave_in_one_write() {
    let (mut client, server) = tokio::io::duplex(16 * 1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let server = Counting(server, writes.clone());
    let service = |_| async {
        let (pieces, body) = streamed();
        pieces.try_send(Ok("there at once")).expect("room");
        Response::new(body)
    };
    tokio::spawn(async move { serve(server, &Limits::default(), service, CancellationToken::new()).await });
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("writes");
    assert!(hear(&mut client).await.ends_with("d\r\nthere at once\r\n0\r\n\r\n"));
    assert_eq!(writes.load(Ordering::Relaxed), 1);
}
