//! What is refused and what is read, case by case.

use proptest::prelude::*;

use super::*;

fn parse(head: &[u8]) -> Result<Option<Head>, Refusal> {
    parse_request(head, &Limits::default())
}

fn refused(head: impl AsRef<[u8]>, status: u16, part: &str) {
    let head = head.as_ref();
    match parse(head) {
        Err(refusal) => {
            let shown = String::from_utf8_lossy(head);
            assert_eq!(refusal.status.as_u16(), status, "{shown:?}: {refusal}");
            assert!(refusal.what.contains(part), "{shown:?}: {refusal}");
        }
        other => panic!("{:?}: {other:?}", String::from_utf8_lossy(head)),
    }
}

fn accepted(head: &str) -> Head {
    match parse(head.as_bytes()) {
        Ok(Some(parsed)) => {
            assert_eq!(parsed.head_bytes, head.len());
            parsed
        }
        other => panic!("{head:?}: {other:?}"),
    }
}

/// A GET with these header lines beside its Host.
fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn framing_that_two_programs_could_read_differently_is_refused() {
    for (lines, part) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "both"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "both"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "more than one"),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", "more than one"),
        ("Content-Length: 5, 5\r\n", "not a number"),
        ("Content-Length: +5\r\n", "not a number"),
        ("Content-Length: -5\r\n", "not a number"),
        ("Content-Length: 06\r\n", "not a number"),
        ("Content-Length: 0x6\r\n", "not a number"),
        ("Content-Length: \r\n", "not a number"),
        ("Content-Length: 5 5\r\n", "not a number"),
        ("Content-Length: 18446744073709551616\r\n", "not a number"),
        ("Transfer-Encoding: gzip, chunked\r\n", "other than chunked"),
        ("Transfer-Encoding: chunked, chunked\r\n", "other than chunked"),
        ("Transfer-Encoding: chunked,\r\n", "other than chunked"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "other than chunked"),
        ("Transfer-Encoding: identity\r\n", "other than chunked"),
        ("Transfer-Encoding: xchunked\r\n", "other than chunked"),
        ("Transfer-Encoding: \"chunked\"\r\n", "other than chunked"),
        ("Transfer-Encoding:\r\n", "other than chunked"),
        ("Transfer-Encoding: \x0bchunked\r\n", "malformed"),
        ("Transfer-Encoding:\r\nContent-Length: 5\r\n", "other than chunked"),
        ("Transfer-Encoding : chunked\r\n", "malformed"),
        ("Transfer_Encoding: chunked\r\nContent-Length : 5\r\n", "malformed"),
    ] {
        refused(get(lines), 400, part);
    }
    refused("GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0");
}

#[test]
fn lines_that_are_not_lines_are_refused() {
    for head in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n X: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\tX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: b\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / \r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\x0c\x03\x03",
    ] {
        assert!(parse(head.as_bytes()).is_err(), "{head:?}");
    }
    for version in ["HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "http/1.1", "HTTP/1.10", "HTTP/11"] {
        assert!(parse(format!("GET / {version}\r\nHost: a\r\n\r\n").as_bytes()).is_err(), "{version}");
    }
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version");
}

#[test]
fn a_request_has_one_host_and_says_it_in_one_way() {
    refused("GET / HTTP/1.1\r\n\r\n", 400, "one Host");
    refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "one Host");
    refused("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, "one Host");
    for host in [
        "", "a b", "a/b", "a@b", "a:", "a:b", "a:+8", "a:65536", ":80", "[::1", "[]", "[::1]x", "a,b", "a\u{e9}",
        "%61", "a#", "a?",
    ] {
        refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400, "Host");
    }
    for host in ["a", "a.b-c_d:8443", "127.0.0.1", "[::1]:80", "A.", "xn--e1a"] {
        accepted(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    }
    refused("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not the Host");
    refused("GET http://a:80/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not the Host");
    refused("GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not the Host");
    refused("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not the Host");
    refused("GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "neither");
    refused("GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "neither");
    refused("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "neither");
    refused("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "neither");
    for (target, uri) in [
        ("http://A/x?y=/z", "/x?y=/z"),
        ("https://a", "/"),
        ("http://a?b", "/?b"),
        ("//x/y", "//x/y"),
        ("/a%2Fb|c?[d]={e}", "/a%2Fb|c?[d]={e}"),
    ] {
        let head = accepted(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(head.request.uri().to_string(), uri);
    }
    assert_eq!(accepted("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").request.uri(), "*");
}

#[test]
fn addresses_with_raw_bytes_are_refused() {
    for target in ["/a#b", "/\u{e9}", "/a\x7f", "/<", "/>", "/\"", "/a\x01"] {
        assert!(parse(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).is_err(), "{target:?}");
    }
}

#[test]
fn methods_that_are_not_ours_are_refused() {
    refused("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method");
    refused("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method");
    refused(format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "X".repeat(33)), 400, "method");
    accepted("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn expectations_and_upgrades_are_understood_or_refused() {
    refused(get("Expect: 200-ok\r\n"), 417, "expectation");
    refused(get("Expect: 100-continue\r\nExpect: 100-continue\r\n"), 417, "expectation");
    assert!(accepted(&get("Content-Length: 1\r\nexpect: 100-Continue\r\n")).expects_continue);
    assert!(!accepted(&get("Expect: 100-continue\r\n")).expects_continue, "there is nothing to wait for");
    let upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    assert!(accepted(&get(upgrade)).wants_websocket);
    assert!(!accepted(&get("Upgrade: websocket\r\n")).wants_websocket);
    assert!(!accepted(&get("Connection: Upgrade\r\nUpgrade: h2c\r\n")).wants_websocket);
    assert!(!accepted(&format!("GET / HTTP/1.0\r\nHost: a\r\n{upgrade}\r\n")).wants_websocket);
    refused(get(&format!("{upgrade}Content-Length: 1\r\n")), 400, "upgrade with a body");
    refused(get(&format!("{upgrade}Transfer-Encoding: chunked\r\n")), 400, "upgrade with a body");
}

#[test]
fn a_connection_is_kept_as_the_versions_have_it() {
    assert!(accepted(&get("")).keeps_alive);
    assert!(!accepted(&get("Connection: foo, Close\r\n")).keeps_alive);
    assert!(!accepted("GET / HTTP/1.0\r\n\r\n").keeps_alive);
    assert!(accepted("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keeps_alive);
    assert!(!accepted("GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n").keeps_alive);
}

#[test]
fn a_head_has_its_limits() {
    let long = "a".repeat(8 * 1024);
    refused(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414, "address");
    refused(format!("GET /{long}{long}"), 414, "address");
    refused(get(&format!("X: {}\r\n", "a".repeat(32 * 1024))), 431, "large");
    refused(get(&format!("X: {}", "a".repeat(32 * 1024))).trim_end(), 431, "large");
    refused(get(&"X: a\r\n".repeat(100)), 431, "many");
    accepted(&get(&"X: a\r\n".repeat(99)));
    assert!(matches!(parse(b"GET / HTTP/1.1\r\nHos"), Ok(None)));
}

#[test]
fn header_values_are_slices_that_say_what_was_sent() {
    let head = accepted(&get("X:  a b\t \r\nY:\r\nZ: caf\u{e9}\r\n"));
    let headers = head.request.headers();
    assert_eq!(headers["x"], "a b");
    assert_eq!(headers["y"], "");
    assert_eq!(headers["z"].as_bytes(), "caf\u{e9}".as_bytes());
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
        let mut head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
        head.extend_from_slice(&bytes);
        head.extend_from_slice(b"\r\n\r\n");
        let _ = parse(&head);
    }

    /// Wherever a read cuts a head, the verdict is the same as for the whole.
    #[test]
    fn a_head_in_pieces_is_the_same_head(lines in "([A-Za-z-]{1,9}:[ -~\\t]{0,9}(\r\n|\n|\r)){0,4}", cut in 0_usize..80) {
        let head = get(&lines);
        let cut = cut.min(head.len());
        let early = parse(&head.as_bytes()[..cut]);
        let whole = parse(head.as_bytes());
        match early {
            // A refusal of the beginning is final: the rest cannot make it good.
            Err(_) => prop_assert!(whole.is_err()),
            Ok(Some(parsed)) => prop_assert_eq!(whole.expect("as its beginning").expect("whole").head_bytes, parsed.head_bytes),
            Ok(None) => {}
        }
    }
}

#[test]
fn fuzzed_heads_mean_the_same_however_they_arrive() {
    let words = [
        "\r\n",
        "\r\n\r\n",
        "HTTP/1.1",
        "HTTP/1.0",
        "Host: a",
        "Content-Length: ",
        "Transfer-Encoding: chunked",
        "Connection: ",
        "Upgrade: websocket",
        "Expect: 100-continue",
        "close",
        "keep-alive",
        "GET ",
        "POST ",
        "CONNECT ",
        "OPTIONS * ",
        "http://a/",
        ", ",
        "18446744073709551616",
        "Sec-WebSocket-Version: 13",
    ];
    crate::fuzz::fuzz!("request_head", &words, |bytes| {
        let whole = parse(bytes);
        for cut in [bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            match (parse(&bytes[..cut]), &whole) {
                (Err(_), Ok(_)) => panic!("refused by its first {cut} bytes, and not as a whole"),
                (Ok(Some(head)), Ok(Some(all))) => {
                    assert_eq!(head.head_bytes, all.head_bytes, "by its first {cut} bytes")
                }
                (Ok(Some(_)), other) => panic!("whole by its first {cut} bytes, then {other:?}"),
                _ => {}
            }
        }
        match whole {
            Ok(None) => crate::fuzz::outcome(0),
            Err(refusal) => crate::fuzz::outcome(refusal.what),
            Ok(Some(head)) => {
                for (name, value) in head.request.headers() {
                    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
                    assert!(name.as_str().bytes().all(is_token), "{name:?}");
                    assert!(value.as_bytes().iter().all(|b| *b == b'\t' || *b >= b' ' && *b != 127), "{value:?}");
                }
                let kind = std::mem::discriminant(&head.body);
                crate::fuzz::outcome((kind, head.keeps_alive, head.expects_continue, head.wants_websocket, head.is_1_1))
            }
        }
    });
}
