//! Headers, cross-origin rules and security headers.

use super::*;

#[tokio::test]
async fn headers_are_set_and_an_empty_value_removes_one() {
    let world = World::of(
        "headers",
        &[
            ("customRequestHeaders.X-Script-Name", "test"),
            ("customRequestHeaders.X-Gone", ""),
            ("customRequestHeaders.Host", "inner.example"),
            ("customResponseHeaders.X-New", "yes"),
            ("customResponseHeaders.Server", ""),
        ],
    )
    .answering(|_, _| {
        let mut response = status(200);
        response.headers_mut().insert("server", "secret/1.0".parse().expect("a value"));
        response
    });
    let answer = world.send(request(Method::GET, "/", &[("x-gone", "1"), ("x-script-name", "client's")])).await;
    let seen = world.seen();
    assert_eq!(
        (&seen.headers()["x-script-name"], &seen.headers()["host"]),
        (&"test".parse().expect("a value"), &"inner.example".parse().expect("a value"))
    );
    assert!(!seen.headers().contains_key("x-gone"));
    assert_eq!((said(&answer, "x-new"), said(&answer, "server")), (Some("yes"), None));
}

#[tokio::test]
async fn security_headers_are_set_over_the_targets_own() {
    let pairs: &[_] = &[
        ("stsSeconds", "31536000"),
        ("stsIncludeSubdomains", "true"),
        ("stsPreload", "true"),
        ("frameDeny", "true"),
        ("contentTypeNosniff", "true"),
        ("browserXssFilter", "true"),
        ("contentSecurityPolicy", "default-src 'self'"),
        ("referrerPolicy", "no-referrer"),
        ("permissionsPolicy", "camera=()"),
    ];
    let mut world = World::of("headers", pairs).answering(|_, _| {
        let mut response = status(200);
        response.headers_mut().insert("referrer-policy", "unsafe-url".parse().expect("a value"));
        response
    });
    let answer = world.get("/").await;
    for (name, value) in [
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("x-xss-protection", "1; mode=block"),
        ("content-security-policy", "default-src 'self'"),
        ("referrer-policy", "no-referrer"),
        ("permissions-policy", "camera=()"),
    ] {
        assert_eq!(said(&answer, name), Some(value), "{name}");
    }
    world.scheme = "http";
    assert_eq!(said(&world.get("/").await, "strict-transport-security"), None);
    let mut forced = World::of(
        "headers",
        &[
            ("stsSeconds", "1"),
            ("forceSTSHeader", "true"),
            ("frameDeny", "true"),
            ("customFrameOptionsValue", "SAMEORIGIN"),
        ],
    );
    forced.scheme = "http";
    let answer = forced.get("/").await;
    assert_eq!(said(&answer, "strict-transport-security"), Some("max-age=1"));
    assert_eq!(said(&answer, "x-frame-options"), Some("SAMEORIGIN"));
}

#[tokio::test]
async fn a_preflight_is_answered_and_no_target_hears_of_it() {
    let pairs: &[_] = &[
        ("accessControlAllowMethods", "GET, PUT"),
        ("accessControlAllowHeaders", "X-A"),
        ("accessControlAllowOriginList", "https://a.example"),
        ("accessControlAllowOriginListRegex", r"^https://[a-z]+\.b\.example$"),
        ("accessControlAllowCredentials", "true"),
        ("accessControlMaxAge", "100"),
        ("accessControlExposeHeaders", "X-B"),
        ("addVaryHeader", "true"),
    ];
    let world = World::of("headers", pairs);
    let preflight = |origin| {
        world.send(request(Method::OPTIONS, "/", &[("origin", origin), ("access-control-request-method", "PUT")]))
    };
    let answer = preflight("https://x.b.example").await;
    assert_eq!(answer.status().as_u16(), 200);
    for (name, value) in [
        ("access-control-allow-origin", Some("https://x.b.example")),
        ("access-control-allow-methods", Some("GET,PUT")),
        ("access-control-allow-headers", Some("X-A")),
        ("access-control-allow-credentials", Some("true")),
        ("access-control-max-age", Some("100")),
    ] {
        assert_eq!(said(&answer, name), value, "{name}");
    }
    assert_eq!(said(&preflight("https://evil.example").await, "access-control-allow-origin"), None);
    assert_eq!(world.seen_count(), 0);

    let answer = world.send(request(Method::GET, "/", &[("origin", "https://a.example")])).await;
    assert_eq!(said(&answer, "access-control-allow-origin"), Some("https://a.example"));
    assert_eq!((said(&answer, "vary"), said(&answer, "access-control-expose-headers")), (Some("Origin"), Some("X-B")));
    // A plain OPTIONS is the target's.
    assert_eq!(body_of(world.send(request(Method::OPTIONS, "/", &[])).await).await.expect("a body"), "hello");
}

#[tokio::test]
async fn only_hosts_that_are_allowed_pass() {
    assert_eq!(World::of("headers", &[("allowedHosts", "App.example:8443")]).get("/").await.status().as_u16(), 200);
    let world = World::of("headers", &[("allowedHosts", "other.example")]);
    assert_eq!((world.get("/").await.status().as_u16(), world.seen_count()), (500, 0));
}
