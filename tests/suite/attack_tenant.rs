//! A hostile server: what it can learn from the requests that it is sent, and what it can do to a browser, or to other
//! servers, with its answers.

use bytes::Bytes;
use http::{HeaderValue, Method};

use crate::client::{Client, Wire};
use crate::fake::Behaviour;
use crate::puppet::Puppet;
use crate::world::{World, server, xsrf_of};

/// Everything that servers were sent, as one text.
fn all_seen(world: &World) -> String {
    world.backend.seen().iter().map(|seen| format!("{} {:?}\n", seen.target, seen.headers)).collect()
}

fn session_of(browser: &Client) -> (String, String) {
    browser.cookies.iter().find(|(name, _)| name.starts_with("__Host-Http-slipway")).expect("a session").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_the_session_cookie_reaches_a_server() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    let (name, value) = session_of(&alice);
    let lines = [
        format!("{name}={value}"),
        format!("{name}=\"{value}\""),
        format!("a=b;{name}={value};c=d"),
        format!("a=b; {name} = {value} ; c=d"),
        format!("{name}={value}; {name}={value}"),
        format!("{name}=junk; {name}={value}"),
        format!("={name}={value}"),
        format!("{name}={value}; {name}-visitor={value}"),
        format!("x=\u{e9}; {name}={value}; y=\u{fc}"),
        format!("__Host-Http-slipway-00000000={value}; {name}={value}"),
    ];
    for line in &lines {
        for wire in [Wire::Http1, Wire::Http2, Wire::WebSocket, Wire::WebSocketOverHttp2] {
            let mut script = alice.scripting();
            script.cookies.clear();
            script.headers.insert("cookie", HeaderValue::from_bytes(line.as_bytes()).expect("a value"));
            if matches!(wire, Wire::WebSocket) && !line.is_ascii() {
                continue;
            }
            let status = script.send(wire, Method::GET, "/user/alice/x", Bytes::new()).await.status.as_u16();
            // With every other spelling it is a session; a nameless cookie is none.
            let is_session = !line.starts_with('=');
            assert_eq!(status < 300, is_session, "{line} over {wire:?}: {status}");
        }
    }
    // In crumbs, as HTTP/2 sends them.
    let mut crumbs = alice.scripting();
    crumbs.cookies.clear();
    for crumb in ["a=b", &format!("{name}={value}"), "c=d", &format!("{name}={value}")] {
        crumbs.headers.append("cookie", HeaderValue::from_str(crumb).expect("a value"));
    }
    crumbs.send(Wire::Http2, Method::GET, "/user/alice/x", Bytes::new()).await.is(200);
    let seen = all_seen(&world);
    assert!(!seen.contains(&value) && !seen.contains("__Host-Http-slipway"), "{seen}");
    assert!(seen.contains("a=b; c=d"), "other cookies pass: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitors_full_rights_never_reach_somebody_elses_server() {
    let world = World::new().await;
    world.user_with_server("alice").await;
    let admin = world.admin("root").await;
    world.start_server("root").await;
    let root = slipway::model::UserName::parse("root").expect("a name");
    let client = slipway::model::ServerKey::default_of(root.clone()).into();
    let (token, _) =
        world.app.auth.issue_oauth_token(&root, &client, vec!["inherit".into()], None).await.expect("a token");
    let token = token.expose();
    let script = admin.scripting();
    let with = |line: String| script.clone().with("authorization", &line);
    for wire in [Wire::Http1, Wire::Http2] {
        let ask = async |client: Client, path: &str| client.send(wire, Method::GET, path, Bytes::new()).await;
        for scheme in ["token", "Bearer", "TOKEN", "bearer", "token  "] {
            ask(with(format!("{scheme} {token}")), "/user/alice/x").await.is(200);
        }
        for query in [
            format!("token={token}"),
            format!("%74oken={token}"),
            format!("a=b&token={token}&c=d"),
            format!("token={token}&token={token}"),
            format!("token=junk&token={token}"),
            format!("token={token}&token=junk"),
            format!("tok%65n={}", token.replace('a', "%61")),
        ] {
            ask(script.clone(), &format!("/user/alice/x?{query}")).await.is(200);
            ask(with("token junk".into()), &format!("/user/alice/x?{query}")).await.is(200);
            ask(with(format!("Bearer {token}")), &format!("/user/alice/x?{query}")).await.is(200);
        }
        ask(script.clone(), &format!("/user/alice/x?{}token={token}", "token=x&".repeat(4))).await.is(400);
    }
    let mut twice = script.clone();
    for _ in 0..2 {
        twice.headers.append("authorization", HeaderValue::from_str(&format!("token {token}")).expect("a value"));
    }
    twice.get("/user/alice/x").await.is(400);
    let seen = all_seen(&world);
    assert!(!seen.contains(token), "{seen}");
    assert!(!percent_encoding::percent_decode_str(&seen).decode_utf8_lossy().contains(token), "{seen}");
    // What it got instead tells who visits, and opens that one server.
    let visiting = world.backend.seen().iter().find_map(|seen| {
        let line = seen.headers.get("authorization")?.to_str().ok()?;
        line.strip_prefix("token ").filter(|token| *token != "junk").map(str::to_owned)
    });
    let visiting = world.client().with("authorization", &format!("token {}", visiting.expect("a visiting token")));
    assert_eq!(visiting.get("/hub/api/user").await.is(200).json()["name"], "root");
    visiting.get("/user/alice/x").await.is(200);
    visiting.get("/user/root/x").await.is(404);
    visiting.get("/hub/api/users").await.is(403);
    visiting.send(Wire::Http1, Method::POST, "/hub/api/users/root/server", Bytes::new()).await.is(403);
    visiting.clone().navigating().get("/hub/authorize").await.is(302);
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_and_headers_of_a_server_stay_within_its_prefix_whatever_the_status() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let (session, _) = session_of(&alice);
    let evil = format!(
        "Set-Cookie: {session}=EVIL; Path=/; Secure; HttpOnly\r\n\
         Set-Cookie: {}=EVIL; Path=/\r\n\
         Set-Cookie: __host-http-slipway-x=EVIL; Path=/; Secure\r\n\
         Set-Cookie: __Secure-x=EVIL; Secure\r\n\
         Set-Cookie: ={session}=EVIL; Path=/\r\n\
         Set-Cookie: EVIL\r\n\
         Set-Cookie:  \t jupyterhub-session-id =EVIL; Path=/\r\n\
         Set-Cookie: JUPYTERHUB-HUB-LOGIN=EVIL; Path=/hub/\r\n\
         Set-Cookie: root=1; Path=/\r\n\
         Set-Cookie: bob=1; Path=/user/bob/\r\n\
         Set-Cookie: near=1; Path=/user/alicex\r\n\
         Set-Cookie: twice=1; Path=/user/alice/; Path=/\r\n\
         Set-Cookie: quoted=1; Path=\"/\"\r\n\
         Set-Cookie: bare=1; Path\r\n\
         Set-Cookie: _xsrf=1; path=/hub/; domain=localhost\r\n\
         Set-Cookie: mine=1; Path=/user/alice/deep\r\n\
         Service-Worker-Allowed: /\r\nClear-Site-Data: \"*\"\r\nAlt-Svc: h3=\":1\"\r\nStrict-Transport-Security: max-age=1\r\n\
         Public-Key-Pins: x\r\nReport-To: x\r\nReporting-Endpoints: x\r\nNEL: x\r\nExpect-CT: x\r\nSet-Cookie2: x\r\n\
         Sec-Session-Registration: x\r\nSecure-Session-Registration: x\r\nSet-Login: logged-out\r\n\
         Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nKeep-Alive: timeout=1\r\nX-Listed: x\r\nConnection: x-listed\r\n",
        session.replace("Host", "HOST"),
    );
    let dropped = [
        "service-worker-allowed",
        "clear-site-data",
        "alt-svc",
        "strict-transport-security",
        "public-key-pins",
        "report-to",
        "reporting-endpoints",
        "nel",
        "expect-ct",
        "set-cookie2",
        "sec-session-registration",
        "secure-session-registration",
        "set-login",
        "proxy-authenticate",
        "upgrade",
        "keep-alive",
        "x-listed",
    ];
    for status in [
        "200 OK",
        "201 Created",
        "204 No Content",
        "206 Partial Content",
        "302 Found",
        "304 Not Modified",
        "401 Unauthorized",
        "404 Not Found",
        "500 Internal Server Error",
        "503 Service Unavailable",
        "100 Continue",
        "103 Early Hints",
    ] {
        let is_interim = status.starts_with('1');
        let rest = if is_interim { "\r\nHTTP/1.1 200 OK\r\n" } else { "" };
        let answer = format!(
            "HTTP/1.1 {status}\r\n{evil}{rest}Location: https://elsewhere.example/?a=b#c\r\nContent-Length: 0\r\n\r\n"
        );
        Puppet::of_alice(&world, &answer);
        for wire in [Wire::Http1, Wire::Http2] {
            let answer = alice.send(wire, Method::GET, "/user/alice/x", Bytes::new()).await;
            let cookies: Vec<_> =
                answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().expect("text")).collect();
            assert!(
                !cookies.iter().any(|line| line.contains("EVIL") || line.to_lowercase().contains("domain")),
                "{status}: {cookies:?}"
            );
            for line in &cookies {
                let path = line.split(';').filter_map(|part| part.trim().strip_prefix("Path=")).next_back();
                assert!(path.is_none_or(|path| path.starts_with("/user/alice/")), "{status}: {line}");
            }
            assert_eq!(cookies.len(), if is_interim { 0 } else { 8 }, "{status}: {cookies:?}");
            for name in dropped {
                assert!(!answer.headers.contains_key(name), "{status}: {name} came through");
            }
            // Where it redirects to is its own business, and not rewritten.
            assert_eq!(answer.header("location"), "https://elsewhere.example/?a=b#c");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_answer_is_filtered_like_any_other() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let (session, _) = session_of(&alice);
    // The key that the client of these tests always sends.
    Puppet::of_alice(
        &world,
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: {session}=EVIL; Path=/\r\nSet-Cookie: a=1; Path=/\r\n\
             Clear-Site-Data: \"*\"\r\nAlt-Svc: h3=\":1\"\r\n\r\n"
        ),
    );
    let answer = alice.open_websocket("/user/alice/ws").await.0.is(101);
    assert!(!format!("{:?}", answer.headers).contains("EVIL"), "{:?}", answer.headers);
    assert_eq!(answer.header("set-cookie"), "a=1; Path=/user/alice/");
    assert!(!answer.headers.contains_key("clear-site-data") && !answer.headers.contains_key("alt-svc"));
}

/// What a page of a server, or of another site, can have a browser send to somebody's server.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_cannot_use_a_session() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    let script = alice.scripting();
    let host = alice.host();
    for site in ["cross-site", "same-site"] {
        for (method, mode) in [
            ("GET", "cors"),
            ("GET", "no-cors"),
            ("POST", "cors"),
            ("POST", "no-cors"),
            ("POST", "navigate"),
            ("DELETE", "cors"),
        ] {
            let client = script.clone().with("sec-fetch-site", site).with("sec-fetch-mode", mode);
            for path in ["/user/alice/x", "/hub/api/user"] {
                let answer = client.send(Wire::Http2, method.parse().expect("a method"), path, Bytes::new()).await;
                assert_eq!(answer.status, 403, "{method} {path} {mode} {site}");
            }
        }
    }
    let good = format!("https://{host}");
    for origin in [
        "null",
        "",
        "https://evil.example",
        "https://localhost",
        &format!("http://{host}"),
        &format!("{good}.evil.example"),
        &format!("https://evil.example/{host}"),
        &format!("https://alice@{host}"),
        &format!("{good}/"),
        &format!("wss://{host}"),
    ] {
        for wire in [Wire::WebSocket, Wire::WebSocketOverHttp2] {
            let answer =
                script.clone().with("origin", origin).send(wire, Method::GET, "/user/alice/ws", Bytes::new()).await;
            assert_eq!(answer.status, 403, "{origin:?} over {wire:?}");
        }
    }
    let targets: Vec<_> = world.backend.seen().into_iter().map(|seen| seen.target).collect();
    assert!(targets.is_empty(), "{targets:?}");
}

/// A server that is a hostile one from its first answer on.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_ready_by_its_status_alone() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    for said in [
        "HTTP/1.1 200 OK\r\nSet-Cookie: __Host-x=1\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n".to_owned(),
        "HTTP/1.1 404 Not Found\r\nContent-Length: 99999999999999\r\n\r\n".to_owned(),
    ] {
        world.backend.behave("alice", Behaviour::Says(said.clone()));
        world.start_server("alice").await;
        world.stop_server("alice").await;
    }
    for said in [
        "garbage\r\n\r\n".to_owned(),
        "HTTP/1.1 103 Early\r\n\r\n".repeat(10_000),
        "HTTP/1.1 500 No\r\n\r\n".into(),
        format!("HTTP/1.1 401 No\r\n{}", "X: y\r\n".repeat(10_000)),
        "x".repeat(1_000_000),
        // No request could be carried to a server that speaks like this.
        format!("HTTP/1.1 401 No\r\n{}\r\n", "X: y\r\n".repeat(10_000)),
    ] {
        world.backend.behave("alice", Behaviour::Says(said));
        world.app.spawner.start(&server("alice"), slipway::spawner::Wish::of("test")).await.expect("a start");
        world
            .wait_until("alice", "asked", |status| {
                status.state == slipway::model::ServerState::Starting(slipway::model::Phase::Ready)
            })
            .await;
        // Others start meanwhile, and this one can be stopped.
        alice.scripting().get("/user/alice/x").await.is(503);
        world.stop_server("alice").await;
    }
    world.backend.behave("alice", Behaviour::Answers);
    world.start_server("alice").await;
    alice.scripting().get("/user/alice/x").await.is(200);
}

/// Found by tests/browser/tenant.mjs: the page that refuses a script carried the person's form token, and with that the script
/// could do at the API whatever the person may.
#[tokio::test(flavor = "multi_thread")]
async fn no_error_tells_a_script_who_is_signed_in_or_gives_it_a_form_token() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let page = alice.get("/hub/home").await.is(200).text();
    let token = xsrf_of(&page);
    assert!(page.contains(&token) && page.contains("alice"), "a person's own page has both");
    for (mode, dest) in [("cors", "empty"), ("no-cors", "script"), ("same-origin", "empty"), ("navigate", "iframe")] {
        let script = alice
            .scripting()
            .with("sec-fetch-site", "same-origin")
            .with("sec-fetch-mode", mode)
            .with("sec-fetch-dest", dest)
            .with("accept", "text/html");
        for path in [
            "/hub/home",
            "/hub/token",
            "/hub/admin",
            "/hub/nothing",
            "/hub/login",
            "/user/alice/x",
            "/user/bob/x",
            "/hub/user/x",
        ] {
            for method in [Method::GET, Method::POST, Method::PUT, Method::OPTIONS] {
                for wire in [Wire::Http1, Wire::Http2] {
                    let answer = script.send(wire, method.clone(), path, Bytes::new()).await;
                    let text = answer.text();
                    let is_told = text.contains(&token) || text.contains("data-form-token") || text.contains(">alice<");
                    assert!(!is_told, "{method} {path} by {mode} over {wire:?}: {text}");
                    assert!(
                        !answer.headers.contains_key("set-cookie"),
                        "{method} {path} by {mode}: {:?}",
                        answer.headers
                    );
                }
            }
        }
    }
}
