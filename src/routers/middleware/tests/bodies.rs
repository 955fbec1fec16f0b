//! Bodies: compressed, limited, held back.

use std::io::Read as _;

use futures_util::StreamExt as _;
use http_body_util::StreamBody;

use super::*;

const GZIP: &[(&str, &str)] = &[("accept-encoding", "br;q=1.0, gzip;q=0.8, *;q=0.1")];

fn page(content_type: &'static str, body: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(body.repeat(100)));
    response.headers_mut().insert("content-type", content_type.parse().expect("a value"));
    response.headers_mut().insert("etag", "\"abc\"".parse().expect("a value"));
    response.headers_mut().insert("content-length", (body.len() * 100).into());
    response
}

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).expect("gzip");
    text
}

#[tokio::test]
async fn a_long_answer_is_compressed_for_who_takes_it() {
    let world = World::of("compress", &[]).answering(|_, _| page("text/html; charset=utf-8", "hello, world! "));
    let answer = world.send(request(Method::GET, "/", GZIP)).await;
    assert_eq!((said(&answer, "content-encoding"), said(&answer, "vary")), (Some("gzip"), Some("Accept-Encoding")));
    assert_eq!((said(&answer, "etag"), said(&answer, "content-length")), (Some("W/\"abc\""), None));
    let body = body_of(answer).await.expect("a body");
    assert!(body.len() < 200);
    assert_eq!(unpacked(&body), "hello, world! ".repeat(100));

    for accepted in [
        &[][..],
        &[("accept-encoding", "br")],
        &[("accept-encoding", "gzip;q=0, *")],
        &[("accept-encoding", "identity")],
    ] {
        let answer = world.send(request(Method::GET, "/", accepted)).await;
        assert_eq!(
            (said(&answer, "content-encoding"), said(&answer, "vary")),
            (None, Some("Accept-Encoding")),
            "{accepted:?}"
        );
        assert_eq!(said(&answer, "content-length"), Some("1400"));
    }
    let head = world.send(request(Method::HEAD, "/", GZIP)).await;
    assert_eq!((said(&head, "content-encoding"), said(&head, "vary")), (None, Some("Accept-Encoding")));
}

#[tokio::test]
async fn what_must_stay_as_it_is_stays() {
    let check = async |pairs: &[(&str, &str)], response: fn() -> Response<ResponseBody>| {
        let world = World::of("compress", pairs).answering(move |_, _| response());
        let answer = world.send(request(Method::GET, "/", GZIP)).await;
        said(&answer, "content-encoding").map(str::to_owned)
    };
    assert_eq!(check(&[], || page("text/event-stream", "data: 1\n\n")).await, None);
    assert_eq!(check(&[], || page("application/grpc", "hello, world! ")).await, None);
    assert_eq!(
        check(&[("excludedContentTypes", "image/png, text/css")], || page("text/css;x", "hello, world! ")).await,
        None
    );
    assert_eq!(
        check(&[("includedContentTypes", "application/json")], || page("text/css", "hello, world! ")).await,
        None
    );
    assert_eq!(
        check(&[("includedContentTypes", "text/css")], || page("text/css", "hello, world! ")).await.as_deref(),
        Some("gzip")
    );
    assert_eq!(check(&[("minResponseBodyBytes", "1401")], || page("text/css", "hello, world! ")).await, None);
    assert_eq!(
        check(&[("minResponseBodyBytes", "1400")], || page("text/css", "hello, world! ")).await.as_deref(),
        Some("gzip")
    );
    let odd: [fn() -> Response<ResponseBody>; 4] = [
        || {
            let mut response = page("text/plain", "hello, world! ");
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            response
        },
        || {
            let mut response = page("text/plain", "hello, world! ");
            response.headers_mut().insert("content-range", "bytes 0-1/2".parse().expect("a value"));
            response
        },
        || {
            let mut response = page("text/plain", "hello, world! ");
            response.headers_mut().insert("cache-control", "private, no-transform".parse().expect("a value"));
            response
        },
        || status(304),
    ];
    for response in odd {
        assert_eq!(check(&[], response).await, None);
    }
    let twice = || {
        let mut response = page("text/plain", "hello, world! ");
        response.headers_mut().insert("content-encoding", "br".parse().expect("a value"));
        response
    };
    assert_eq!(check(&[], twice).await.as_deref(), Some("br"));
}

#[tokio::test]
async fn a_stream_is_compressed_piece_by_piece() {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let receiver = Mutex::new(Some(receiver));
    let world = World::of("compress", &[]).answering(move |_, _| {
        let mut receiver = receiver.lock().take().expect("asked once");
        let pieces = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx))
            .map(|piece| Ok::<_, BoxError>(http_body::Frame::data(piece)));
        Response::new(ResponseBody::stream(StreamBody::new(pieces)))
    });
    let answer = world.send(request(Method::GET, "/", GZIP)).await;
    assert_eq!(said(&answer, "content-encoding"), Some("gzip"));
    let mut body = answer.into_body();
    let mut unpacker = flate2::write::GzDecoder::new(Vec::new());
    for piece in ["one ", "two ", "three"] {
        sender.send(piece.into()).await.expect("it waits");
        let before = unpacker.get_ref().len();
        // What was sent arrives although nothing follows it yet.
        while unpacker.get_ref().len() < before + piece.len() {
            let frame = body.frame().await.expect("a piece").expect("sound").into_data().expect("data");
            std::io::Write::write_all(&mut unpacker, &frame).expect("gzip");
            std::io::Write::flush(&mut unpacker).expect("gzip");
        }
    }
    drop(sender);
    while let Some(frame) = body.frame().await {
        let frame = frame.expect("sound").into_data().expect("data");
        std::io::Write::write_all(&mut unpacker, &frame).expect("gzip");
    }
    assert_eq!(unpacker.finish().expect("a whole stream"), b"one two three");
}

fn posted(body: &'static str) -> Request<RequestBody> {
    request(Method::POST, "/", &[]).map(|_| super::super::lent::whole_body(Bytes::from_static(body.as_bytes())))
}

/// A body that says no length.
fn streamed(pieces: &'static [&'static str]) -> Request<RequestBody> {
    let pieces = futures_util::stream::iter(
        pieces.iter().map(|piece| Ok::<_, BoxError>(http_body::Frame::data(Bytes::from(*piece)))),
    );
    request(Method::POST, "/", &[]).map(|_| RequestBody::stream(StreamBody::new(pieces)))
}

#[tokio::test]
async fn a_request_that_is_too_long_reaches_nobody() {
    let world = World::of("buffering", &[("maxRequestBodyBytes", "5")]);
    assert_eq!(world.send(posted("123456")).await.status().as_u16(), 413);
    assert_eq!(world.send(streamed(&["123", "456"])).await.status().as_u16(), 413);
    assert_eq!(world.seen_count(), 0);
    assert_eq!(world.send(streamed(&["12", "345"])).await.status().as_u16(), 200);
    assert_eq!(world.behind.seen.lock()[0].1, "12345");
}

#[tokio::test]
async fn what_does_not_fit_into_memory_streams_on_and_stays_limited() {
    let world = World::of("buffering", &[("maxRequestBodyBytes", "8"), ("memRequestBodyBytes", "4")]);
    assert_eq!(world.send(streamed(&["123", "456", "78"])).await.status().as_u16(), 200);
    assert_eq!(world.behind.seen.lock()[0].1, "12345678");
    assert_eq!(world.send(streamed(&["123", "456", "789"])).await.status().as_u16(), 413);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_none() {
    let world = World::of("buffering", &[("maxResponseBodyBytes", "5")]);
    assert_eq!(body_of(world.get("/").await).await.expect("a body"), "hello");
    let world = World::of("buffering", &[("maxResponseBodyBytes", "4")]);
    assert_eq!(world.get("/").await.status().as_u16(), 500);
    let world = World::of("buffering", &[("maxResponseBodyBytes", "4")]).answering(|_, _| {
        Response::new(ResponseBody::stream(StreamBody::new(futures_util::stream::iter(
            ["hel", "lo"].map(|piece| Ok::<_, BoxError>(http_body::Frame::data(Bytes::from(piece)))),
        ))))
    });
    assert_eq!(world.get("/").await.status().as_u16(), 500);
}

#[tokio::test]
async fn a_buffered_request_is_tried_again_by_its_expression() {
    let world = World::of("buffering", &[("retryExpression", "IsNetworkError() && Attempts() <= 2")])
        .answering(|_, _| no_answer(true));
    assert_eq!(world.send(posted("again")).await.status().as_u16(), 502);
    let bodies: Vec<_> = world.behind.seen.lock().iter().map(|(_, body)| body.clone()).collect();
    assert_eq!(bodies, ["again", "again", "again"]);
    let endless = World::of("buffering", &[("retryExpression", "ResponseCode() == 500 || RequestMethod() == \"PUT\"")])
        .answering(|_, _| status(500));
    endless.get("/").await;
    assert_eq!(endless.seen_count(), 11);
}
