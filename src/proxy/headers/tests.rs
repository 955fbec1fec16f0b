//! What a server sees and what a browser sees, header by header.

use proptest::prelude::*;

use super::*;
use crate::model::Secret;
use crate::net::http1::head::storage;

const SESSION: &str = "__Host-Http-slipway-0123abcd";

fn facts(token: TokenRule<'_>) -> Forwarding<'_> {
    Forwarding {
        session_cookie: SESSION,
        prefix: "/user/alice/",
        client: "::ffff:192.0.2.7".parse().expect("an address"),
        scheme: "https",
        host: "hub.example:8443",
        port: 8443,
        token,
        ended: None,
        is_activity: true,
        socket: crate::proxy::Socket::Other,
        takes_lines: false,
        relay: None,
    }
}

fn forwarded(uri: &str, lines: &[(&str, &str)], token: TokenRule<'_>) -> Vec<String> {
    let headers: HeaderMap = lines
        .iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().expect("a name"), HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
        })
        .collect();
    let mut out = Vec::new();
    let uri = uri.parse().expect("an address");
    write_request_head(&mut out, &Method::GET, &uri, &headers, Framing::None, &facts(token));
    check_grammar(&out);
    let text = String::from_utf8_lossy(&out).into_owned();
    text.trim_end().split("\r\n").map(str::to_owned).collect()
}

/// An independent reading of RFC 9112: request line, header lines, empty line; nothing else.
fn check_grammar(head: &[u8]) {
    let body = head.strip_suffix(b"\r\n\r\n").expect("ends in an empty line");
    let is_token = |bytes: &[u8]| {
        !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
    };
    for (at, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)), "{:?}", String::from_utf8_lossy(head));
        if at == 0 {
            let parts: Vec<_> = line.split(|byte| *byte == b' ').collect();
            assert!(parts.len() == 3 && is_token(parts[0]) && parts[1].starts_with(b"/") && parts[2] == b"HTTP/1.1");
        } else {
            let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
            assert!(is_token(&line[..colon]), "{:?}", String::from_utf8_lossy(line));
        }
    }
    let lines = |byte: u8| body.iter().filter(|b| **b == byte).count();
    assert_eq!(lines(b'\r'), lines(b'\n'));
}

fn has(head: &[String], line: &str) -> bool {
    head.iter().any(|candidate| candidate == line)
}

#[test]
fn a_server_hears_of_the_client_from_us_alone() {
    let forged = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "evil"),
        ("X-Forwarded-Port", "1"),
        ("X-Forwarded-Server", "evil"),
        ("X-Forwarded-User", "root"),
        ("X-Forwarded-Prefix", "/evil"),
        ("X-Forwarded", "evil"),
        ("X-Real-IP", "6.6.6.6"),
        ("X-Scheme", "http"),
        ("Forwarded", "for=6.6.6.6"),
        ("X_Forwarded_For", "6.6.6.6"),
        ("X-Forwarded_For", "6.6.6.6"),
        ("X_Real-Ip", "6.6.6.6"),
        ("X_Scheme", "http"),
        ("X-Client-IP", "6.6.6.6"),
        ("True-Client-IP", "6.6.6.6"),
        ("CF-Connecting-IP", "6.6.6.6"),
        ("X-Original-URL", "/admin"),
        ("X-Rewrite-URL", "/admin"),
        ("Remote-User", "root"),
        ("X-Remote-User", "root"),
        ("X-URL-Scheme", "http"),
        ("Front-End-Https", "off"),
        ("Proxy", "http://evil"),
        ("Proxy-Authorization", "Basic eA=="),
        ("Proxy-Connection", "keep-alive"),
        ("Keep-Alive", "timeout=1"),
        ("TE", "trailers"),
        ("Trailer", "X"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "5"),
        ("Content_Length", "5"),
        ("Transfer_Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAA"),
        ("Expect", "100-continue"),
        ("Host", "evil"),
        ("X-Slipway-User", "root"),
        ("Connection", "keep-alive, X-Listed"),
        ("X-Listed", "evil"),
    ];
    let head = forwarded("/user/alice/lab?x=1", &forged, TokenRule::Pass);
    assert_eq!(
        head,
        [
            "GET /user/alice/lab?x=1 HTTP/1.1",
            "host: hub.example:8443",
            "x-forwarded-for: 192.0.2.7",
            "x-real-ip: 192.0.2.7",
            "x-forwarded-proto: https",
            "x-forwarded-host: hub.example:8443",
            "x-forwarded-port: 8443",
        ]
    );
    // Listed as belonging to the connection or not: ours are written after all that.
    let listed = [("Connection", "x-forwarded-for, host, x-real-ip, cookie"), ("Cookie", "a=b")];
    let head = forwarded("/", &listed, TokenRule::Pass);
    assert!(has(&head, "x-forwarded-for: 192.0.2.7") && has(&head, "host: hub.example:8443"));
}

#[test]
fn what_jupyter_needs_passes_untouched() {
    let needed = [
        ("origin", "https://hub.example:8443"),
        ("referer", "https://hub.example:8443/user/alice/lab"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-origin"),
        ("x-xsrftoken", "2|abc"),
        ("authorization", "token abc"),
        ("accept-encoding", "gzip"),
        ("range", "bytes=0-1"),
        ("if-none-match", "\"x\""),
    ];
    let head = forwarded("/user/alice/api?token=abc&token", &needed, TokenRule::Pass);
    for (name, value) in needed {
        assert!(has(&head, &format!("{name}: {value}")), "{name}: {head:?}");
    }
    assert_eq!(head[0], "GET /user/alice/api?token=abc&token HTTP/1.1");
}

#[test]
fn our_session_cookie_never_reaches_a_server() {
    let check = |cookies: &[&str], expected: Option<&str>| {
        let lines: Vec<_> = cookies.iter().map(|value| ("Cookie", *value)).collect();
        let head = forwarded("/", &lines, TokenRule::Pass);
        let sent: Vec<_> = head.iter().filter(|line| line.starts_with("cookie")).collect();
        assert!(!head.concat().contains("SECRET"), "{head:?}");
        match expected {
            Some(expected) => assert_eq!(sent, [&format!("cookie: {expected}")]),
            None => assert!(sent.is_empty(), "{sent:?}"),
        }
    };
    check(&["__Host-Http-slipway-0123abcd=SECRET"], None);
    check(&["a=b; __Host-Http-slipway-0123abcd=SECRET; c=d"], Some("a=b; c=d"));
    check(&["a=b;__Host-Http-slipway-0123abcd=SECRET;c=d"], Some("a=b; c=d"));
    check(&["a=b", "__Host-Http-slipway-0123abcd=SECRET", "c=d"], Some("a=b; c=d"));
    check(&["a=b; \t__Host-Http-slipway-0123abcd \t= SECRET"], Some("a=b"));
    check(&["=__Host-Http-slipway-0123abcd=SECRET; a=b"], Some("a=b"));
    check(&["__Host-Http-slipway-0123abcd"], None);
    check(&["__Host-Http-slipway-0123abcd=SECRET; __Host-Http-slipway-0123abcd=SECRET"], None);
    check(&["_xsrf=1; _xsrf=2; jupyterhub-session-id=x"], Some("_xsrf=1; _xsrf=2; jupyterhub-session-id=x"));
    // Another Slipway on another port of this host: not our session, and not ours to remove.
    check(&["__Host-Http-slipway-ffffffff=SECRET; a=b"], Some("a=b"));
    check(&["__Host-Http-slipway-0123abcd-visitor=SECRET; a=b"], Some("a=b"));
}

#[test]
fn a_strangers_token_is_replaced_wherever_it_stands() {
    let visiting = Secret::new("visiting");
    let replace = TokenRule::Replace(&visiting);
    for sent in ["token SECRET", "Bearer SECRET", "bearer SECRET", "TOKEN  SECRET", "token=SECRET", " token SECRET"] {
        let head = forwarded("/x", &[("authorization", sent)], replace);
        assert!(has(&head, "authorization: token visiting") && !head.concat().contains("SECRET"), "{sent}: {head:?}");
        let head = forwarded("/x", &[("authorization", sent)], TokenRule::Remove);
        assert!(!head.concat().contains("authorization"), "{sent}: {head:?}");
    }
    assert!(has(&forwarded("/x", &[("authorization", "Basic eDp5")], replace), "authorization: Basic eDp5"));
    for (sent, replaced, removed) in [
        ("/x?token=SECRET", "/x?token=visiting", "/x?"),
        ("/x?a=1&token=SECRET&b=2", "/x?a=1&token=visiting&b=2", "/x?a=1&b=2"),
        ("/x?%74oken=SECRET", "/x?token=visiting", "/x?"),
        ("/x?tok%65n=SECRET&token=SECRET", "/x?token=visiting&token=visiting", "/x?"),
        ("/x?a=token&mytoken=1", "/x?a=token&mytoken=1", "/x?a=token&mytoken=1"),
        ("/x?token", "/x?token=visiting", "/x?"),
        ("/token=1?", "/token=1?", "/token=1?"),
    ] {
        assert_eq!(forwarded(sent, &[], replace)[0], format!("GET {replaced} HTTP/1.1"));
        assert_eq!(forwarded(sent, &[], TokenRule::Remove)[0], format!("GET {removed} HTTP/1.1"));
    }
}

fn confined(cookie: &str) -> String {
    match confine_cookie(cookie.as_bytes(), &facts(TokenRule::Pass)) {
        Cookie::AsItIs => cookie.to_owned(),
        Cookie::Confined(value) => String::from_utf8(value).expect("as it came"),
        Cookie::Refused => "refused".to_owned(),
    }
}

#[test]
fn a_servers_cookies_stay_at_its_prefix() {
    for (sent, seen) in [
        ("a=b", "a=b"),
        ("a=b; Path=/user/alice/; HttpOnly", "a=b; Path=/user/alice/; HttpOnly"),
        ("a=b; path=/user/alice/lab", "a=b; path=/user/alice/lab"),
        ("a=b; Path=/user/alice", "a=b; Path=/user/alice"),
        ("a=b; Path=/", "a=b; Path=/user/alice/"),
        ("a=b; HttpOnly; Path=/; Secure", "a=b; HttpOnly; Secure; Path=/user/alice/"),
        ("a=b; Path=/user/alicex", "a=b; Path=/user/alice/"),
        ("a=b; Path=/user/bob/", "a=b; Path=/user/alice/"),
        ("a=b; Path=", "a=b; Path=/user/alice/"),
        ("a=b; Path", "a=b; Path=/user/alice/"),
        ("a=b; Path=/user/alice/; Path=/", "a=b; Path=/user/alice/"),
        ("a=b; PATH = / ", "a=b; Path=/user/alice/"),
        ("a=b; Domain=hub.example", "a=b"),
        ("a=b; Domain=hub.example; Path=/hub/", "a=b; Path=/user/alice/"),
        ("a=b; domain", "a=b"),
        ("a=\"x; Path=/\"", "a=\"x; Path=/user/alice/"),
        ("jupyterhub-user-alice=x; Path=/user/alice/", "jupyterhub-user-alice=x; Path=/user/alice/"),
        ("jupyterhub-session-id=x; Path=/", "refused"),
        ("JupyterHub-Session-Id=x", "refused"),
        ("jupyterhub-hub-login=x; Path=/hub/", "refused"),
        ("__Host-Http-slipway-0123abcd=x; Path=/; Secure", "refused"),
        ("__host-anything=x", "refused"),
        ("__Secure-x=y", "refused"),
        (" __Host-x=y", "refused"),
        ("=__Host-x=y", "refused"),
        ("nameless", "refused"),
        ("", "refused"),
        ("; Path=/", "refused"),
    ] {
        assert_eq!(confined(sent), seen, "{sent}");
    }
}

fn relayed(lines: &str) -> HeaderMap {
    let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
    let mut storage = storage();
    let raw = crate::net::http1::response::parse_response(head.as_bytes(), &mut storage, &Method::GET);
    let raw = raw.expect("well-formed").expect("whole");
    let copy = Bytes::copy_from_slice(head.as_bytes());
    let headers = response_headers(&raw, head.as_bytes(), &copy, &facts(TokenRule::Pass)).expect("headers");
    let (mut both, lines) = response_lines(&raw, &Method::HEAD, &facts(TokenRule::Pass)).expect("lines");
    for line in std::str::from_utf8(lines.text()).expect("ASCII").split_terminator("\r\n") {
        let (name, value) = line.split_once(": ").expect("a header line");
        both.append(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value.parse().expect("a value"));
    }
    assert_eq!(both, headers, "lines and map say the same");
    headers
}

#[test]
fn a_server_cannot_speak_for_the_whole_origin() {
    let headers = relayed(
        "Service-Worker-Allowed: /\r\nClear-Site-Data: \"*\"\r\nAlt-Svc: h3=\":443\"\r\nStrict-Transport-Security: max-age=0\r\n\
         Public-Key-Pins: x\r\nPublic-Key-Pins-Report-Only: x\r\nReport-To: {}\r\nReporting-Endpoints: a=\"/\"\r\nNEL: {}\r\n\
         Connection: keep-alive, X-Listed, Content-Length\r\nX-Listed: x\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n\
         Upgrade: h2c\r\nTrailer: X\r\nSet-Cookie: a=b; Path=/\r\nSet-Cookie: __Host-x=y\r\nSet-Cookie: c=d\r\n\
         Content-Length: 5\r\nContent-Security-Policy: frame-ancestors 'none'\r\nX-JupyterHub-Version: 5.4.2\r\n",
    );
    let seen: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII"))).collect();
    assert_eq!(
        seen,
        [
            "set-cookie: a=b; Path=/user/alice/",
            "set-cookie: c=d",
            "content-length: 5",
            "content-security-policy: frame-ancestors 'none'",
            "x-jupyterhub-version: 5.4.2",
        ]
    );
}

proptest! {
    /// Whatever a client sends that our parser accepts, what goes on is well-formed and reads back as one request.
    #[test]
    fn what_is_forwarded_is_always_well_formed(
        target in "/[!-~]{0,20}",
        names in proptest::collection::vec("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", 0..6),
        values in proptest::collection::vec("[\\t -~\u{80}-\u{ff}]{0,20}", 6),
    ) {
        let mut request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n");
        for (name, value) in names.iter().zip(&values) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut storage = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut storage);
        prop_assume!(parsed.parse(request.as_bytes()).is_ok());
        let Ok(uri) = target.parse::<Uri>() else { return Ok(()) };
        prop_assume!(!target.contains('#'));
        let headers: HeaderMap = parsed.headers.iter().filter_map(|header| {
            Some((name_of(header).ok()?, HeaderValue::from_bytes(header.value).ok()?))
        }).collect();
        let secret = Secret::new("visiting");
        for rule in [TokenRule::Pass, TokenRule::Remove, TokenRule::Replace(&secret)] {
            let mut out = Vec::new();
            write_request_head(&mut out, &Method::GET, &uri, &headers, Framing::Chunked, &facts(rule));
            check_grammar(&out);
            let text = String::from_utf8_lossy(&out).to_lowercase();
            prop_assert_eq!(text.matches("\r\nhost:").count(), 1);
            prop_assert_eq!(text.matches("\r\ntransfer-encoding:").count(), 1);
            prop_assert_eq!(text.matches("\r\ncontent-length:").count(), 0);
            prop_assert!(!text.contains(SESSION));
        }
    }

    /// No `Set-Cookie` gets out of its prefix, read as RFC 6265 §5.2 reads it.
    #[test]
    fn no_cookie_escapes(cookie in "[a-zA-Z_=;/ .\\t-]{0,60}(; ?(P|p)ath ?=[/a-z]{0,12})?(; ?Domain=x)?") {
        let seen = confined(&cookie);
        if seen == "refused" { return Ok(()); }
        let mut parts = seen.split(';');
        let name = parts.next().and_then(|pair| pair.split_once('=')).map_or("", |(name, _)| name).trim();
        prop_assert!(!name.is_empty() && !name.to_lowercase().starts_with("__host-"));
        let mut path = "";
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            prop_assert!(!key.trim().eq_ignore_ascii_case("domain"));
            if key.trim().eq_ignore_ascii_case("path") { path = value.trim(); }
        }
        prop_assert!(path.is_empty() || path == "/user/alice" || path.starts_with("/user/alice/"), "{}", seen);
    }
}

#[test]
fn a_plain_proxy_passes_all_but_what_is_the_connections() {
    let lines = [
        ("host", "theirs"),
        ("cookie", "__Host-Http-slipway-0123abcd=x"),
        ("cookie", "a=b"),
        ("authorization", "token abc"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-real-ip", "1.1.1.1"),
        ("forwarded", "for=1.1.1.1"),
        ("x-listed", "1"),
        ("connection", "close, x-listed"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("content-length", "7"),
        ("expect", "100-continue"),
        ("trailer", "x"),
        ("upgrade", "h2c"),
    ];
    let mut all = HeaderMap::new();
    for (name, value) in lines {
        all.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let relay = Relay { target: Some("/base/x?token=abc"), silence_limit: None, guard: None };
    let facts = Forwarding::relayed("hub.example", relay);
    let mut out = Vec::new();
    let uri = "/x".parse().expect("an address");
    write_request_head(&mut out, &Method::PUT, &uri, &all, Framing::Length(7), &facts);
    check_grammar(&out);
    let head = String::from_utf8(out).expect("text");
    let expected = "PUT /base/x?token=abc HTTP/1.1\r\nhost: hub.example\r\ncookie: __Host-Http-slipway-0123abcd=x\r\n\
                    cookie: a=b\r\nauthorization: token abc\r\nx-forwarded-for: 1.1.1.1\r\nx-real-ip: 1.1.1.1\r\n\
                    forwarded: for=1.1.1.1\r\nx-listed: 1\r\ncontent-length: 7\r\n\r\n";
    assert_eq!(head, expected);
}

#[test]
fn fuzzed_cookies_never_carry_our_session() {
    let words = [
        SESSION,
        "__Host-Http-slipway-",
        "; ",
        ";",
        "=",
        " ",
        "\t",
        "\n",
        ",",
        "\"",
        "_xsrf=1",
        "jupyterhub-user-alice=2",
    ];
    crate::fuzz::fuzz!("cookies", &words, |bytes| {
        let mut headers = HeaderMap::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append(header::COOKIE, value);
            }
        }
        let mut out = Vec::new();
        push_cookies(&mut out, &headers, SESSION);
        let is_ours = |pair: &[u8]| pair.trim_ascii().starts_with(b"__Host-Http-slipway-");
        let pairs =
            |line: &[u8]| line.split(|byte| *byte == b';').map(|pair| pair.trim_ascii().to_vec()).collect::<Vec<_>>();
        // A browser's cookie, and one without a name, as lenient parsers read them.
        assert!(!pairs(&out).iter().any(|pair| is_ours(pair) || is_ours(pair.strip_prefix(b"=").unwrap_or(b""))));
        let had: Vec<_> =
            headers.values().flat_map(|value| pairs(value.as_bytes())).filter(|pair| !pair.is_empty()).collect();
        let harmless = had.iter().filter(|pair| !pair.windows(7).any(|word| word == b"slipway")).count();
        let kept = pairs(&out).into_iter().filter(|pair| !pair.is_empty()).count();
        assert!((harmless..=had.len()).contains(&kept), "{kept} of {} with {harmless} harmless", had.len());
        crate::fuzz::outcome((kept, had.len()))
    });
}

#[test]
fn fuzzed_set_cookies_stay_within_their_server() {
    let words = [
        "; Path=",
        "; Domain=",
        "/user/alice/",
        "/user/alice",
        "/user/bob/",
        "/",
        "Path",
        "; HttpOnly",
        "; Secure",
        "__Host-",
        "__Secure-",
        "__Http-",
        SESSION,
        "jupyterhub-session-id",
        "=",
        ";",
        "; Max-Age=1",
        "../",
        "%2f",
    ];
    crate::fuzz::fuzz!("set_cookie", &words, |bytes| {
        let (confined, kind) = match confine_cookie(bytes, &facts(TokenRule::Pass)) {
            Cookie::Refused => return crate::fuzz::outcome(0),
            Cookie::AsItIs => (bytes.to_vec(), 1),
            Cookie::Confined(confined) => (confined, 2),
        };
        // RFC 6265 §5.2 and §5.3, read once more.
        let mut parts = confined.split(|byte| *byte == b';');
        let pair = parts.next().unwrap_or_default();
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        for forbidden in [&b"__host-"[..], b"__secure-", b"__http-"] {
            assert!(!name.starts_with(forbidden), "{:?}", confined.escape_ascii().to_string());
        }
        assert!(!hubs_cookie(&name) && name != SESSION.to_ascii_lowercase().as_bytes());
        let mut path = None;
        for part in parts {
            let (attribute, value) = match part.iter().position(|byte| *byte == b'=') {
                Some(at) => (&part[..at], part[at + 1..].trim_ascii()),
                None => (part, &b""[..]),
            };
            match attribute.trim_ascii().to_ascii_lowercase().as_slice() {
                b"domain" => panic!("a domain: {:?}", confined.escape_ascii().to_string()),
                b"path" => path = Some(value),
                _ => {}
            }
        }
        // A path that is none means the folder of the request, which is inside.
        let path = path.filter(|path| path.starts_with(b"/"));
        assert!(
            path.is_none_or(|path| path == b"/user/alice" || path.starts_with(b"/user/alice/")),
            "{:?}",
            confined.escape_ascii().to_string()
        );
        crate::fuzz::outcome((kind, path.is_some(), confined.len() > bytes.len()))
    });
}
