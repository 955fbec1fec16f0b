//! Whole requests against a real `Auth` and a real store; the hub says what it was handed.

use http::header::{AUTHORIZATION, ORIGIN, RETRY_AFTER};

use super::*;
use crate::edge::tests::*;
use crate::edge::{Config, Hsts};
use crate::model::{Generation, ServerName};

const PAGE: (&str, &str) = ("sec-fetch-mode", "navigate");

#[tokio::test]
async fn a_signed_out_browser_is_sent_to_sign_in_and_a_program_is_refused() {
    let world = World::new().await;
    world.user("alice", false).await;
    for target in ["/user/alice/lab/tree/a%20b?reset&x=1", "/user/nobody/lab"] {
        let page = world.ask(get(target, &[PAGE])).await;
        let next = percent_encode(target);
        assert_eq!((page.status, page.location()), (302, &*format!("/hub/login?next={next}")));
        let program = world.ask(get(target, &[])).await;
        assert_eq!(
            (program.status, program.text.as_str()),
            (403, r#"{"message":"Missing or invalid credentials.","status":403}"#)
        );
        assert_eq!(world.ask(websocket(target, &[(ORIGIN.as_str(), "https://localhost:8443")])).await.status, 403);
        assert_eq!(world.ask(request(Method::POST, target, &[PAGE])).await.status, 403);
    }
    let long = format!("/user/alice/lab?{}", "x".repeat(NEXT_LIMIT_BYTES));
    assert_eq!(world.ask(get(&long, &[PAGE])).await.location(), "/hub/login");
}

#[tokio::test]
async fn a_strangers_server_and_one_that_is_not_there_look_the_same() {
    let world = World::new().await;
    let alice = world.user("alice", false).await;
    world.user("bob", false).await;
    world.publish_dead(&ServerKey::default_of(user_name("bob")));
    let mut answers = Vec::new();
    for target in ["/user/bob/lab", "/user/nobody/lab", "/user/Bob/lab", "/user/bob/srv/lab", "/user/.../lab"] {
        let answer = world.ask(get(target, &[("cookie", &alice), PAGE, ("x-request-id", "the-same")])).await;
        answers.push((answer.status, answer.text));
    }
    assert_eq!(answers[0].0, 404);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn an_own_server_that_is_not_ready_is_the_hubs_matter() {
    let world = World::new().await;
    let alice = world.user("alice", false).await;
    let admin = world.user("root", true).await;
    let answer = world.ask(get("/user/alice/lab?x", &[("cookie", &alice)])).await;
    assert_eq!(answer.text, "session alice | 127.0.0.1 | https://localhost:8443 | /user/alice/lab | 0");
    let answer = world.ask(get("/user/alice/lab", &[("cookie", &admin)])).await;
    assert_eq!(answer.text, "session root | 127.0.0.1 | https://localhost:8443 | /user/alice/lab | 0");
    // No user of that name: also an administrator learns no more than that.
    assert_eq!(world.ask(get("/user/nobody/lab", &[("cookie", &admin)])).await.status, 404);
    // Jupyter's own token beside a session is not ours to judge.
    let answer = world.ask(get("/user/alice/lab?token=jupyters", &[("cookie", &alice)])).await;
    assert!(answer.text.starts_with("session alice"), "{answer:?}");
}

#[tokio::test]
async fn a_missing_slash_is_added() {
    let world = World::new().await;
    let answer = world.ask(get("/user/al%40ice?a=b", &[])).await;
    assert_eq!((answer.status, answer.location()), (301, "/user/al%40ice/?a=b"));
}

#[tokio::test]
async fn a_token_wins_over_a_cookie_and_an_unknown_one_is_nobody() {
    let world = World::new().await;
    let alice = world.user("alice", false).await;
    world.user("bob", false).await;
    let bobs = world.token("bob", &["inherit"]).await;
    let check = async |headers: &[(&str, &str)], target: &str, expected: &str| {
        let answer = world.ask(get(target, headers)).await;
        assert!(answer.text.starts_with(&format!("{expected} | ")), "{headers:?} {target} {answer:?}");
    };
    let authorization = AUTHORIZATION.as_str();
    check(&[], "/hub/home", "anonymous").await;
    check(&[("cookie", &alice)], "/hub/home", "session alice").await;
    check(&[("cookie", "a=b"), ("cookie", &alice)], "/hub/home", "session alice").await;
    check(&[("cookie", &alice), (authorization, &format!("token {bobs}"))], "/hub/api/user", "token bob").await;
    check(&[("cookie", &alice), (authorization, &format!("BEARER {bobs}"))], "/hub/api/user", "token bob").await;
    check(&[], &format!("/hub/api/user?token={bobs}"), "token bob").await;
    check(&[("cookie", &alice), (authorization, "token wrong")], "/hub/api/user", "anonymous").await;
    check(&[("cookie", &alice), (authorization, "Basic YTpi")], "/hub/api/user", "session alice").await;
    let forged = format!("{COOKIE_NAME}=forged");
    check(&[("cookie", &forged)], "/hub/home", "anonymous").await;
    check(&[("cookie", &forged), ("cookie", &alice)], "/hub/home", "session alice").await;
}

#[tokio::test]
async fn a_token_reaches_the_servers_of_its_scopes() {
    let world = World::new().await;
    world.user("alice", false).await;
    world.user("bob", false).await;
    let narrow = world.token("alice", &["access:servers!server=alice/srv"]).await;
    let empty = world.token("alice", &["read:users!user=alice"]).await;
    let status = async |token: &str, target: &str| {
        world.ask(get(target, &[(AUTHORIZATION.as_str(), &format!("token {token}"))])).await.status
    };
    assert_eq!(status(&narrow, "/user/alice/srv/api").await, 200);
    assert_eq!(status(&narrow, "/user/alice/api").await, 404);
    assert_eq!(status(&narrow, "/user/bob/api").await, 404);
    assert_eq!(status(&empty, "/user/alice/api").await, 404);
    assert_eq!(status("unknown", "/user/alice/api").await, 403);
}

#[tokio::test]
async fn another_sites_page_cannot_use_a_session() {
    let world = World::new().await;
    let alice = world.user("alice", false).await;
    let cookie = ("cookie", alice.as_str());
    let status = async |request: Request<RequestBody>| world.ask(request).await.status;
    for target in ["/hub/api/users", "/user/alice/api/contents"] {
        for site in ["cross-site", "same-site"] {
            let site = ("sec-fetch-site", site);
            assert_eq!(status(get(target, &[cookie, site, ("sec-fetch-mode", "cors")])).await, 403);
            assert_eq!(status(get(target, &[cookie, site, ("sec-fetch-mode", "no-cors")])).await, 403);
            assert_eq!(status(get(target, &[cookie, site, ("accept", "text/html")])).await, 403);
            assert_eq!(status(request(Method::POST, target, &[cookie, site, PAGE])).await, 403);
            assert_eq!(status(get(target, &[cookie, site, PAGE])).await, 200);
        }
        for site in ["same-origin", "none"] {
            assert_eq!(status(get(target, &[cookie, ("sec-fetch-site", site)])).await, 200);
        }
    }
    let bobs = ("authorization", "token unknown");
    assert_eq!(status(get("/hub/api/users", &[bobs, ("sec-fetch-site", "cross-site")])).await, 200);
}

#[tokio::test]
async fn a_websocket_with_a_session_must_come_from_our_own_pages() {
    let world = World::new().await;
    let alice = world.user("alice", false).await;
    world.publish_dead(&ServerKey::default_of(user_name("alice")));
    let token = world.token("alice", &["inherit"]).await;
    let target = "/user/alice/api/kernels/1/channels";
    let status = async |headers: &[(&str, &str)]| world.ask(websocket(target, headers)).await.status;
    let passes = 503; // as far as the server, which is dead
    let cookie = ("cookie", alice.as_str());
    assert_eq!(status(&[cookie, ("origin", "https://localhost:8443")]).await, passes);
    assert_eq!(status(&[cookie, ("origin", "https://LOCALHOST:8443")]).await, passes);
    for origin in ["https://localhost", "https://localhost:8444", "https://evil.example", "null", "", "localhost:8443"]
    {
        assert_eq!(status(&[cookie, ("origin", origin)]).await, 403, "{origin}");
    }
    assert_eq!(status(&[cookie]).await, 403);
    let authorization = format!("token {token}");
    assert_eq!(status(&[("authorization", &authorization)]).await, passes);
    assert_eq!(status(&[("authorization", &authorization), ("origin", "https://other.example")]).await, passes);
}

#[tokio::test]
async fn a_dead_server_is_reported_and_a_person_is_sent_to_its_start() {
    let world = World::new().await;
    let alice = world.user("alice", false).await;
    let named = ServerKey { user: user_name("alice"), name: ServerName::parse("gpu").expect("a name") };
    world.publish_dead(&named);
    let page = world.ask(get("/user/alice/gpu/lab?x=1", &[("cookie", &alice), PAGE])).await;
    assert_eq!(page.status, 303);
    assert_eq!(page.location(), "/hub/spawn-pending/alice/gpu?next=%2Fuser%2Falice%2Fgpu%2Flab%3Fx%3D1");
    let program = world.ask(get("/user/alice/gpu/api", &[("cookie", &alice)])).await;
    assert!(program.status == 503 && program.headers.contains_key(RETRY_AFTER));
    let expected = Unreachable { server: named, generation: Generation(7) };
    assert_eq!(world.reports.lock().as_slice(), [expected.clone(), expected]);
}

#[tokio::test]
async fn a_path_that_is_not_its_normal_form_is_refused() {
    let world = World::new().await;
    let alice = world.user("alice", false).await;
    for target in ["/user/alice/../bob/", "/user/alice/%2e%2e/bob/", "/user//alice/", "/user/a%2Fb/", "/hub/%5c", "/%"]
    {
        assert_eq!(world.ask(get(target, &[("cookie", &alice)])).await.status, 400, "{target}");
    }
    let answer = world.ask(request(Method::OPTIONS, "*", &[])).await;
    assert_eq!(answer.status, 400);
    assert_eq!(world.ask(request(Method::TRACE, "/hub/", &[])).await.status, 405);
}

#[tokio::test]
async fn a_host_that_is_not_ours_is_misdirected() {
    let world = World::new().await;
    assert_eq!(world.ask(get("/hub/", &[("host", "lab.example")])).await.status, 200);
    let answer = world.ask(get("/hub/", &[("host", "evil.example"), PAGE])).await;
    assert!(answer.status == 421 && answer.text.contains("<h1>Wrong address</h1>"), "{answer:?}");
    let two = request(Method::GET, "https://lab.example/hub/", &[("host", "localhost")]);
    assert_eq!(world.ask(two).await.status, 400);
}

#[tokio::test]
async fn a_panic_ends_one_request() {
    let world = World::new().await;
    assert_eq!(world.ask(get("/hub/panic", &[])).await.status, 500);
    assert_eq!(world.ask(get("/hub/", &[])).await.status, 200);
    assert_eq!(world.told.lock().as_slice(), ["500 - GET /hub/panic", "200 - GET /hub/"]);
}

#[tokio::test]
async fn more_than_the_hub_can_take_is_told_to_come_back() {
    let world = World::with(Config { requests_in_hub: 1, ..Config::default() }).await;
    let arrival = public();
    let waiting = world.edge.answer(&arrival, get("/hub/never", &[]));
    let mut waiting = std::pin::pin!(waiting);
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    let answer = world.ask(get("/hub/", &[])).await;
    assert!(answer.status == 503 && answer.headers[RETRY_AFTER] == "1");
}

#[tokio::test]
async fn a_hub_that_never_answers_is_a_504() {
    let world = World::with(Config { hub_timeout_s: 0, ..Config::default() }).await;
    assert_eq!(world.ask(get("/hub/never", &[])).await.status, 504);
}

#[tokio::test]
async fn a_body_for_the_hub_is_bounded() {
    let world = World::with(Config { hub_body_limit_bytes: 10, ..Config::default() }).await;
    let post = |length: usize, announced: bool| {
        let mut request = request(Method::POST, "/hub/login", &[]);
        if announced {
            request.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        *request.body_mut() = RequestBody::stream(http_body_util::Full::from("x".repeat(length)));
        request
    };
    assert_eq!(world.ask(post(11, true)).await.status, 413);
    assert!(world.ask(post(10, true)).await.text.ends_with("| 10"));
    assert!(world.ask(post(10, false)).await.text.ends_with("| 10"));
    assert_eq!(world.ask(post(11, false)).await.status, 413);
}

#[tokio::test]
async fn the_private_door_knows_the_api_and_tokens_alone() {
    let world = World::new().await;
    let alice = world.user("alice", false).await;
    let server = ServerKey::default_of(user_name("alice"));
    let token = world.auth.issue_server_token(&server).await.expect("issued");
    let authorization = format!("token {}", token.expose());
    let private = arrival(Security::Plain, Door::Private);
    let host = ("host", "slipway:8081");
    let answer = world.ask_by(&private, get("/hub/api", &[host, ("cookie", &alice)])).await;
    assert_eq!(answer.text, "anonymous | 127.0.0.1 | http://slipway:8081 | /hub/api | 0");
    let answer = world.ask_by(&private, get("/hub/api/user", &[host, ("authorization", &authorization)])).await;
    assert!(answer.text.starts_with("token alice |"), "{answer:?}");
    for target in ["/hub/home", "/user/alice/", "/", "/hub/apix"] {
        assert_eq!(world.ask_by(&private, get(target, &[host, ("authorization", &authorization)])).await.status, 404);
    }
}

#[tokio::test]
async fn plain_http_answers_with_a_redirect() {
    let world = World::with(Config { https_port: 8443, ..Config::default() }).await;
    let plain = arrival(Security::Plain, Door::Public);
    let answer = world.ask_by(&plain, get("/user/alice/lab?x=%20", &[("host", "localhost:8080")])).await;
    assert_eq!((answer.status, answer.location()), (301, "https://localhost:8443/user/alice/lab?x=%20"));
    let answer = world.ask_by(&plain, request(Method::POST, "/hub/login", &[("host", "lab.example")])).await;
    assert_eq!((answer.status, answer.location()), (308, "https://lab.example:8443/hub/login"));
    assert_eq!(world.ask_by(&plain, get("/", &[("host", "evil.example")])).await.status, 421);
    assert_eq!(world.ask_by(&plain, get("//evil.example/%2e%2e", &[])).await.status, 400);

    let typed = arrival(Security::PlainOnTlsPort, Door::Public);
    let answer = world.ask_by(&typed, get("/", &[("host", "localhost:9443")])).await;
    assert_eq!((answer.status, answer.location()), (301, "https://localhost:9443/"));
}

#[tokio::test]
async fn an_authority_that_checks_a_name_is_answered_before_the_redirect_and_only_over_plain_http() {
    let world = World::new().await;
    let plain = arrival(Security::Plain, Door::Public);
    let at = |token: &str| format!("/.well-known/acme-challenge/{token}");
    // Whatever the host: the certificate for it is not there yet.
    let answer = world.ask_by(&plain, get(&at("asked"), &[("host", "new.example")])).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "asked.thumb"));
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(world.ask_by(&plain, get(&at("other"), &[("host", "lab.example")])).await.status, 301);
    assert_eq!(world.ask_by(&plain, request(Method::POST, &at("asked"), &[("host", "lab.example")])).await.status, 308);
    assert_ne!(world.ask(get(&at("asked"), &[])).await.text, "asked.thumb");
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_nobody_else() {
    let forwarded = &[
        ("host", "inside:80"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "lab.example"),
    ];
    let plain = arrival(Security::Plain, Door::Public);
    let trusting = Config { trusted_proxies: vec!["127.0.0.1".parse().expect("a network")], ..Config::default() };
    let world = World::with(trusting).await;
    let answer = world.ask_by(&plain, get("/hub/", forwarded)).await;
    assert_eq!(answer.text, "anonymous | 203.0.113.9 | https://lab.example | /hub/ | 0");
    let by_http = [&forwarded[..2], &[("x-forwarded-proto", "http"), forwarded[3]]].concat();
    assert_eq!(world.ask_by(&plain, get("/hub/", &by_http)).await.location(), "https://lab.example/hub/");

    let world = World::new().await;
    assert_eq!(world.ask_by(&plain, get("/hub/", forwarded)).await.status, 421);
    let answer = world.ask(get("/hub/", &[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-host", "evil.example")]));
    assert_eq!(answer.await.text, "anonymous | 127.0.0.1 | https://localhost:8443 | /hub/ | 0");
}

#[tokio::test]
async fn strict_transport_is_for_the_public_name() {
    let public_url = Some("https://lab.example".parse().expect("an origin"));
    let world = World::with(Config { public_url, ..Config::default() }).await;
    let answer = world.ask(get("/hub/", &[("host", "lab.example")])).await;
    assert_eq!(answer.headers[STRICT_TRANSPORT_SECURITY], "max-age=15552000");
    assert!(answer.text.contains("| https://lab.example |"));
    let plain = arrival(Security::Plain, Door::Public);
    let redirect = world.ask_by(&plain, get("/hub/", &[("host", "lab.example")])).await;
    assert!(redirect.status == 301 && !redirect.headers.contains_key(STRICT_TRANSPORT_SECURITY));

    let hsts = Hsts { max_age_s: 31_536_000, include_subdomains: true, preload: true, without_public_url: true };
    let world = World::with(Config { hsts, ..Config::default() }).await;
    let answer = world.ask(get("/hub/", &[])).await;
    assert_eq!(answer.headers[STRICT_TRANSPORT_SECURITY], "max-age=31536000; includeSubDomains; preload");
    assert!(!World::new().await.ask(get("/hub/", &[])).await.headers.contains_key(STRICT_TRANSPORT_SECURITY));
}

#[tokio::test]
async fn what_happened_is_told_with_who_did_it() {
    let world = World::new().await;
    let alice = world.user("alice", false).await;
    world.ask(get("/hub/home?x", &[("cookie", &alice)])).await;
    world.ask(get("/user/alice", &[])).await;
    let arrival = public();
    drop(world.edge.answer(&arrival, get("/hub/never", &[])));
    assert_eq!(world.told.lock().as_slice(), ["200 alice GET /hub/home?x", "301 - GET /user/alice"]);
}
