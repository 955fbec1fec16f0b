//! Attacks on the wire: requests in which two programs would see different requests, servers that answer what nobody
//! asked, and clients that hold connections. One request, one answer, and every byte to the server is ours.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{ANSWER_LIMIT, Wire};
use crate::puppet::Puppet;
use crate::world::World;

const SMUGGLED: &str = "GET /user/alice/SMUGGLED HTTP/1.1\r\nHost: x\r\nX-Nonce: evil\r\n\r\n";

/// How many answers there are in what came back.
fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

/// Heads that say two things about where the request ends: refused with one answer, nothing behind them is a request,
/// and the server hears nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_two_lengths_is_refused_and_nothing_behind_it_is_heard() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let puppet = Puppet::of_alice(&world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let lengths = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length : 5",
        "Content-Length: -1",
        "Content-Length:\u{b}5",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:\u{b}chunked",
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: \0",
        "Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding, content-length\r\nContent-Length: 3",
        "Transfer_Encoding: chunked\r\nContent-Length: 99999999999999999999",
    ];
    for length in lengths {
        let request = format!(
            "POST /user/alice/x HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n{length}\r\n\r\n0\r\n\r\n{SMUGGLED}",
            alice.host(),
            alice.cookie_line()
        );
        let back = alice.send_bytes(request.as_bytes()).await;
        assert_eq!(answers(&back), 1, "{length:?}: {back}");
        assert!(back.starts_with("HTTP/1.1 400 "), "{length:?}: {back}");
        assert!(!puppet.heard().contains("SMUGGLED"), "{length:?} got through: {}", puppet.heard());
    }
}

/// What belongs to the connection, or claims to come from a proxy, never arrives, however it is spelt.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_hears_our_word_alone_about_where_a_request_comes_from() {
    let world = World::new().await;
    let mut alice = world.user("alice").await.scripting();
    let puppet = Puppet::of_alice(&world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let names = [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-user",
        "x-real-ip",
        "x-scheme",
        "forwarded",
        "x-original-url",
        "x-rewrite-url",
        "remote-user",
        "proxy-authorization",
        "proxy",
        "true-client-ip",
        "te",
        "trailer",
        "keep-alive",
        "http2-settings",
    ];
    for name in names {
        for spelt in [name.to_owned(), name.replace('-', "_"), name.to_uppercase()] {
            alice.headers.clear();
            if let Ok(header) = spelt.parse::<http::HeaderName>() {
                alice.headers.insert(header, "EVIL".parse().expect("a value"));
            }
            for wire in [Wire::Http1, Wire::Http2] {
                // HTTP/2 has no connection headers at all: the request is malformed there.
                if wire == Wire::Http2 && matches!(name, "te" | "keep-alive") {
                    continue;
                }
                alice.send(wire, Method::GET, "/user/alice/x", Bytes::new()).await.is(200);
            }
            assert!(!puppet.heard().contains("EVIL"), "{spelt} got through: {}", puppet.heard());
        }
    }
    // Named in `Connection`, a header is the connection's: it goes, and ours stay.
    let request = format!(
        "GET /user/alice/x HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nX-Private: EVIL\r\nConnection: close, x-private, \
         X-Forwarded-For, x-real-ip, host, cookie\r\n\r\n",
        alice.host(),
        alice.cookie_line()
    );
    puppet.forget();
    alice.send_bytes(request.as_bytes()).await;
    let heard = puppet.heard();
    assert!(!heard.contains("EVIL"), "{heard}");
    assert!(
        heard.contains("x-forwarded-for: 127.0.0.1\r\n") && heard.contains(&format!("host: {}", alice.host())),
        "{heard}"
    );
    // Trailers are nobody's headers.
    let request = format!(
        "POST /user/alice/x HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         1\r\nx\r\n0\r\nX-Forwarded-For: EVIL\r\nX-Other: EVIL\r\n\r\n",
        alice.host(),
        alice.cookie_line()
    );
    alice.send_bytes(request.as_bytes()).await;
    assert!(!puppet.heard().contains("EVIL"), "{}", puppet.heard());
}

/// A WebSocket that is not agreed to: what the client sent ahead reaches nobody.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_ahead_of_a_101_reach_nobody() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let answers_of_servers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "",
    ];
    for answer in answers_of_servers {
        let puppet = Puppet::with(&world, answer, !answer.is_empty());
        for (is_early, key) in
            [(true, "dGhlIHNhbXBsZSBub25jZQ=="), (false, "dGhlIHNhbXBsZSBub25jZQ=="), (false, "short")]
        {
            let mut tls = alice.tls(b"http/1.1").await;
            let head = format!(
                "GET /user/alice/ws HTTP/1.1\r\nHost: {host}\r\nOrigin: https://{host}\r\nCookie: {}\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n",
                alice.cookie_line(),
                host = alice.host(),
            );
            let early = if is_early { SMUGGLED } else { "" };
            tls.write_all(format!("{head}{early}").as_bytes()).await.expect("sent");
            let mut back = Vec::new();
            let reading = tokio::time::timeout(ANSWER_LIMIT, tls.read_to_end(&mut back));
            let _ = reading.await.expect("a refused upgrade closes the connection");
            let back = String::from_utf8_lossy(&back).into_owned();
            assert!(!back.starts_with("HTTP/1.1 101"), "{answer:?}: {back}");
            assert!(answers(&back) <= 1, "{answer:?}: {back}");
            assert!(!puppet.heard().contains("SMUGGLED"), "{answer:?}: {}", puppet.heard());
        }
    }
    // Nor does a body turn into one.
    let puppet = Puppet::of_alice(&world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let head = format!(
        "GET /user/alice/ws HTTP/1.1\r\nHost: {host}\r\nOrigin: https://{host}\r\nCookie: {}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nContent-Length: {}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n{SMUGGLED}",
        alice.cookie_line(),
        SMUGGLED.len(),
        host = alice.host(),
    );
    let back = alice.send_bytes(head.as_bytes()).await;
    assert!(back.starts_with("HTTP/1.1 400 ") && answers(&back) == 1, "{back}");
    assert!(puppet.heard().is_empty(), "{}", puppet.heard());
}

/// Requests one behind the other on one connection, each with its number, to servers that answer too early, too much or
/// where no body may be: each answer is its request's.
#[tokio::test(flavor = "multi_thread")]
async fn answers_belong_to_their_requests_whatever_the_server_adds() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let servers: &[(&str, &str, &str)] = &[
        ("GET", "", "HTTP/1.1 200 OK\r\nX-Nonce: {n}\r\nContent-Length: 2\r\n\r\nok"),
        (
            "GET",
            "",
            "HTTP/1.1 200 OK\r\nX-Nonce: {n}\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nX-Nonce: EXTRA\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "GET",
            "",
            "HTTP/1.1 204 No Content\r\nX-Nonce: {n}\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nX-Nonce: EXTRA\r\n\r\n",
        ),
        ("GET", "", "HTTP/1.1 304 Not Modified\r\nX-Nonce: {n}\r\nContent-Length: 5\r\n\r\nEXTRA"),
        (
            "GET",
            "",
            "HTTP/1.1 304 Not Modified\r\nX-Nonce: {n}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nEXTRA\r\n0\r\n\r\n",
        ),
        ("HEAD", "", "HTTP/1.1 200 OK\r\nX-Nonce: {n}\r\nContent-Length: 5\r\n\r\nEXTRA"),
        ("HEAD", "", "HTTP/1.1 200 OK\r\nX-Nonce: {n}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nEXTRA\r\n0\r\n\r\n"),
        (
            "GET",
            "",
            "HTTP/1.1 103 Early Hints\r\nX-Nonce: EXTRA\r\nSet-Cookie: EXTRA=1\r\n\r\nHTTP/1.1 200 OK\r\nX-Nonce: {n}\r\nContent-Length: 0\r\n\r\n",
        ),
        ("POST", "12345", "HTTP/1.1 413 Too Large\r\nX-Nonce: {n}\r\nContent-Length: 0\r\n\r\n"),
        ("POST", "12345", "HTTP/1.1 200 OK\r\nX-Nonce: {n}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ];
    for (method, body, answer) in servers {
        let puppet = Puppet::of_alice(&world, answer);
        let mut requests = String::new();
        for number in 0..6 {
            let last = if number == 5 { "Connection: close\r\n" } else { "" };
            let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            requests.push_str(&format!(
                "{method} /user/alice/{number} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nX-Nonce: no{number}\r\n{length}{last}\r\n{body}",
                alice.host(),
                alice.cookie_line()
            ));
        }
        let back = alice.send_bytes(requests.as_bytes()).await;
        let nonces: Vec<_> = back.lines().filter_map(|line| line.strip_prefix("x-nonce: ")).collect();
        assert_eq!(nonces, ["no0", "no1", "no2", "no3", "no4", "no5"], "{answer:?}: {back}\n{}", puppet.heard());
        assert!(!back.contains("EXTRA"), "{answer:?}: {back}");
    }
}

/// Refusals of ours, with a body on its way and a request behind it: one answer each, in order, or the connection ends.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_early_answers_do_not_take_a_body_for_a_request() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    world.user("bob").await;
    let body = "GET /hub/SMUGGLED HTTP/1.1\r\nHost: x\r\n\r\n";
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let plain = format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let expecting = format!("Expect: 100-continue\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let too_long = "Content-Length: 99999999999\r\n\r\n".to_owned() + body;
    for path in [
        "/user/bob/x",
        "/user/nobody/x",
        "/user/alice/../x",
        "/hub/nothing",
        "/hub/login",
        "/hub/api/users",
        "/user/alice/x",
    ] {
        for framed in [&plain, &chunked, &expecting, &too_long] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n{framed}GET /hub/api HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
                host = alice.host(),
                cookie = alice.cookie_line(),
            );
            if path == "/user/alice/x" && *framed == too_long {
                continue;
            }
            let back = alice.send_bytes(request.as_bytes()).await;
            let finals = answers(&back) - back.matches("HTTP/1.1 100 ").count();
            assert!((1..=2).contains(&finals), "{path} {framed:?}: {back}");
            if finals == 2 {
                assert!(
                    back.rsplit("HTTP/1.1 ").next().is_some_and(|last| last.starts_with("200 ")),
                    "{path} {framed:?}: {back}"
                );
            }
        }
    }
    let targets: Vec<_> = world.backend.seen().into_iter().map(|seen| seen.target).collect();
    assert!(targets.iter().all(|target| target == "/user/alice/x"), "{targets:?}");
}

/// Answers that are no HTTP: the browser gets our own page for them, and none of the server's words.
#[tokio::test(flavor = "multi_thread")]
async fn a_servers_nonsense_becomes_our_own_error_page() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let endless = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &vec![b'E'; 200_000]].concat();
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-EVIL: <script>EVIL</script>\r\n".repeat(500)).into_bytes();
    let hints = "HTTP/1.1 103 EVIL\r\nX-EVIL: 1\r\n\r\n".repeat(10_000).into_bytes();
    let nonsense: Vec<Vec<u8>> = vec![
        b"EVIL\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n<script>EVIL".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n<script>EVIL".to_vec(),
        b"HTTP/1.1 200 OK\nContent-Length: 4\n\nEVIL".to_vec(),
        b"HTTP/1.1 200 OK\r\n EVIL: 1\r\nContent-Length: 4\r\n\r\nEVIL".to_vec(),
        b"HTTP/1.1 999 <script>EVIL</script>\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: EVIL\r\n\r\nEVIL".to_vec(),
        b"HTTP/2.0 200 OK\r\n\r\nEVIL".to_vec(),
        b"HTTP/1.1 200 OK\r\nX\0: EVIL\r\n\r\n".to_vec(),
        endless,
        many,
        hints,
    ];
    for answer in nonsense {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
        let _puppet = Puppet::of_alice(&world, &answer);
        for wire in [Wire::Http1, Wire::Http2] {
            let page = alice.send(wire, Method::GET, "/user/alice/x", Bytes::new()).await;
            assert_eq!(page.status, 502, "{shown:?}: {}", page.text());
            assert!(
                !page.text().contains("EVIL") && !format!("{:?}", page.headers).contains("EVIL"),
                "{shown:?}: {}",
                page.text()
            );
            assert!(page.header("content-security-policy").contains("default-src 'none'"), "{:?}", page.headers);
        }
        // Who asks for JSON is told in JSON.
        let told = alice.scripting().get("/user/alice/x").await.is(502).json();
        assert_eq!(told["status"], 502);
    }
}

/// A truncated answer must not look complete.
#[tokio::test(flavor = "multi_thread")]
async fn half_an_answer_is_not_told_as_a_whole() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nZZ\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhalf",
    ] {
        let _puppet = Puppet::with(&world, answer, false);
        let request =
            format!("GET /user/alice/x HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n", alice.host(), alice.cookie_line());
        let back = alice.send_bytes(request.as_bytes()).await;
        let is_visibly_cut =
            back.contains("content-length: 10") || back.contains("chunked") && !back.ends_with("0\r\n\r\n");
        assert!(is_visibly_cut || back.starts_with("HTTP/1.1 502"), "{answer:?}: {back}");
    }
}

/// Heads that never end, are too large or too many: the client is told or cut off, everybody else is served.
#[tokio::test(flavor = "multi_thread")]
async fn huge_heads_are_refused_at_once() {
    let world = World::new().await;
    let client = world.client();
    let host = client.host();
    let long = "x".repeat(64 * 1024);
    let cases = [
        (format!("GET /{long} HTTP/1.1\r\nHost: {host}\r\n\r\n"), "414"),
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {long}\r\n\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "a: b\r\n".repeat(20_000)), "431"),
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\nCookie: {}\r\n\r\n", "a=b; ".repeat(10_000)), "431"),
        (format!("{long} / HTTP/1.1\r\n"), "4"),
        (
            format!(
                "POST /hub/login HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n1;{long}\r\nx\r\n0\r\n\r\n"
            ),
            "400",
        ),
        ("\r\n".repeat(10_000), "400"),
        ("\0".repeat(10_000), "400"),
    ];
    for (request, status) in cases {
        let back = client.send_bytes(request.as_bytes()).await;
        assert!(back.is_empty() || back.starts_with(&format!("HTTP/1.1 {status}")), "{:.40}: {back}", request);
        assert!(answers(&back) <= 1, "{back}");
    }
    client.get("/hub/api").await.is(200);
}

/// Small versions of the floods of HTTP/2: the connection ends or goes on, and everybody else is served quickly.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_http2_frames_disturb_nobody_else() {
    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }
    let world = World::new().await;
    let client = world.client();
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, &[])].concat();
    // GET https / with :authority left out (index 1), as HPACK's static table spells it.
    let get = [0x82, 0x87, 0x84];
    let reset: Vec<u8> = (0..2_000_u32)
        .flat_map(|n| [frame(1, 5, 2 * n + 1, &get), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat())
        .collect();
    let continuation: Vec<u8> = std::iter::once(frame(1, 1, 1, &get))
        .chain((0..2_000).map(|_| frame(9, 0, 1, &[0x40, 1, b'a', 1, b'b'].repeat(100))))
        .flatten()
        .collect();
    let settings = frame(4, 0, 0, &[]).repeat(5_000);
    let pings = frame(6, 0, 0, &[0; 8]).repeat(5_000);
    let empty: Vec<u8> = [frame(1, 4, 1, &get), frame(0, 0, 1, &[]).repeat(5_000)].concat();
    let odd: Vec<u8> = [frame(1, 5, 1, &get), frame(8, 0, 1, &[0, 0, 0, 0]), frame(99, 255, 7, &[1; 100])].concat();
    let mut floods = tokio::task::JoinSet::new();
    for flood in [reset, continuation, settings, pings, empty, odd] {
        let (client, bytes) = (client.clone(), [preface.clone(), flood].concat());
        floods.spawn(async move {
            let tls = client.tls(b"h2").await;
            let (mut reads, mut writes) = tokio::io::split(tls);
            let _ = tokio::time::timeout(Duration::from_secs(3), writes.write_all(&bytes)).await;
            let mut buffer = [0; 4096];
            // Until the connection ends or falls silent.
            while let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_millis(200), reads.read(&mut buffer)).await {}
        });
    }
    let others = async {
        while !floods.is_empty() {
            for wire in [Wire::Http1, Wire::Http2] {
                client.send(wire, Method::GET, "/hub/api", Bytes::new()).await.is(200);
            }
            while floods.try_join_next().is_some() {}
        }
    };
    tokio::time::timeout(ANSWER_LIMIT, others).await.expect("everybody else is served");
}

/// Pseudo-headers of HTTP/2 that say two things.
#[tokio::test(flavor = "multi_thread")]
async fn pseudo_headers_cannot_be_played_against_each_other() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    let send = async |headers: &[(&'static str, String)], authority: &str, path: &str| {
        let (sender, connection) = h2::client::handshake(alice.tls(b"h2").await).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("ready");
        let mut request =
            http::Request::get(format!("https://{authority}{path}")).header("cookie", alice.cookie_line());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let Ok((answer, _)) = sender.send_request(request.body(()).expect("a request"), true) else { return 0 };
        tokio::time::timeout(ANSWER_LIMIT, answer).await.expect("in time").map_or(0, |answer| answer.status().as_u16())
    };
    let host = alice.host();
    assert_eq!(send(&[], &host, "/user/alice/x").await, 200);
    for (headers, authority, expected) in [
        (vec![("host", "evil.example".to_owned())], host.as_str(), &[400][..]),
        (vec![("host", host.clone())], "evil.example", &[400]),
        (vec![], "evil.example", &[421]),
        (vec![], "alice@localhost", &[400]),
        (vec![("host", host.clone()), ("host", "evil.example".to_owned())], &host, &[400]),
        (vec![("content-length", "5".to_owned())], &host, &[0, 400]),
        (vec![("transfer-encoding", "chunked".to_owned())], &host, &[0, 400]),
        (vec![("upgrade", "websocket".to_owned())], &host, &[0, 400]),
    ] {
        let status = send(&headers, authority, "/user/alice/x").await;
        assert!(expected.contains(&status), "{headers:?} at {authority}: {status}");
    }
    assert_eq!(world.backend.seen().len(), 1, "one request was sound");
}

/// Bodies that trickle in hold no place in the hub: two connections were enough to shut everybody out.
#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_do_not_keep_others_out_of_the_hub() {
    let world = World::new().await;
    world.add_user("alice", false).await;
    let client = world.client();
    let mut held = Vec::new();
    for _ in 0..3 {
        let (sender, connection) = h2::client::handshake(client.tls(b"h2").await).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("ready");
        for _ in 0..110 {
            let request = http::Request::post(format!("https://{}/hub/login", client.host()))
                .header("content-type", "application/x-www-form-urlencoded")
                .body(())
                .expect("a request");
            sender = sender.ready().await.expect("ready");
            let (answer, mut body) = sender.send_request(request, false).expect("sent");
            // One that has been answered meanwhile takes nothing more, and holds nothing.
            if body.send_data(Bytes::from_static(b"username="), false).is_ok() {
                held.push((answer, body));
            }
        }
        held.push({
            // Comes back once all before it have been taken up.
            let request = http::Request::get(format!("https://{}/hub/api", client.host())).body(()).expect("a request");
            let (answer, body) = sender.send_request(request, true).expect("sent");
            (answer, body)
        });
        let (answer, _) = held.pop().expect("just pushed");
        assert_eq!(answer.await.expect("an answer").status(), 200, "the hub is full");
    }
    client.get("/hub/api/health").await.is(200);
    client.clone().navigating().get("/hub/login").await.is(200);
}
