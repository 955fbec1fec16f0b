//! Paths and redirects.

use super::*;

/// What the target sees of `path`, or the status of the refusal.
async fn rewritten(kind: &str, pairs: &[(&str, &str)], path: &str) -> String {
    let world = World::of(kind, pairs);
    let answer = world.get(path).await;
    match world.seen_count() {
        0 => answer.status().as_str().to_owned(),
        _ => world.seen().uri().to_string(),
    }
}

#[tokio::test]
async fn a_prefix_goes_before_the_path_and_the_query_stays() {
    assert_eq!(rewritten("addPrefix", &[("prefix", "/a b")], "/x?y=/z").await, "/a%20b/x?y=/z");
    assert_eq!(rewritten("addPrefix", &[("prefix", "api/")], "/x").await, "/api//x");
}

#[tokio::test]
async fn the_first_prefix_that_fits_is_stripped_and_said() {
    let pairs: &[_] = &[("prefixes", "/api, /")];
    assert_eq!(rewritten("stripPrefix", pairs, "/api/x?y").await, "/x?y");
    assert_eq!(rewritten("stripPrefix", pairs, "/api").await, "/");
    assert_eq!(rewritten("stripPrefix", pairs, "/%61pi/x").await, "/x");
    let world = World::of("stripPrefix", &[("prefixes", "/api")]);
    world.get("/api/x").await;
    assert_eq!(world.seen().headers()["x-forwarded-prefix"], "/api");
    world.get("/other").await;
    assert_eq!(world.seen().uri(), "/other");
    assert!(!world.seen().headers().contains_key("x-forwarded-prefix"));
}

/// Seen beside Traefik 3.7: `/api` with `/api` stripped and `/v2` added is `/v2`, and `/api/` is `/v2/`.
#[tokio::test]
async fn where_nothing_is_left_what_is_added_ends_without_a_slash() {
    let after = async |strip: Arc<Middleware>, path: &str| {
        let world = World::of_chain(vec![strip, made("addPrefix", &[("prefix", "/v2")])]);
        world.get(path).await;
        world.seen().uri().to_string()
    };
    for (path, expected) in [("/api", "/v2"), ("/api/", "/v2/"), ("/api?x", "/v2?x"), ("/api/y", "/v2/y")] {
        assert_eq!(after(made("stripPrefix", &[("prefixes", "/api")]), path).await, expected);
        assert_eq!(after(made("stripPrefixRegex", &[("regex", "^/a.i")]), path).await, expected);
    }
    let forcing = made("stripPrefix", &[("prefixes", "/api"), ("forceSlash", "true")]);
    assert_eq!(after(forcing, "/api").await, "/v2/");
    // Another that strips finds nothing to strip, and one that replaces says what was there.
    let twice = || made("stripPrefix", &[("prefixes", "/api")]);
    let world = World::of_chain(vec![twice(), twice(), made("replacePath", &[("path", "/new")])]);
    world.get("/api").await;
    assert_eq!(
        (world.seen().uri().to_string().as_str(), &world.seen().headers()["x-replaced-path"]),
        ("/new", &http::HeaderValue::from_static(""))
    );
}

#[tokio::test]
async fn what_is_stripped_leaves_no_way_up_and_no_other_host() {
    assert_eq!(rewritten("stripPrefix", &[("prefixes", "/api")], "/api../admin").await, "400");
    assert_eq!(rewritten("stripPrefix", &[("prefixes", "/api")], "/api//evil.example/x").await, "/evil.example/x");
    assert_eq!(rewritten("stripPrefixRegex", &[("regex", "/a.i")], "/api%2e%2e/admin").await, "400");
}

#[tokio::test]
async fn a_pattern_is_stripped_from_the_beginning_only() {
    let pairs: &[_] = &[("regex", "/foo/[a-z0-9]+/[0-9]+/")];
    assert_eq!(rewritten("stripPrefixRegex", pairs, "/foo/abc/12/x").await, "/x");
    assert_eq!(rewritten("stripPrefixRegex", pairs, "/x/foo/abc/12/x").await, "/x/foo/abc/12/x");
}

#[tokio::test]
async fn a_path_is_replaced_and_the_old_one_said() {
    let world = World::of("replacePath", &[("path", "/new")]);
    world.get("/old%20one?x=1").await;
    assert_eq!(world.seen().uri(), "/new?x=1");
    assert_eq!(world.seen().headers()["x-replaced-path"], "/old%20one");

    let pairs: &[_] = &[("regex", "^/foo/(.*)"), ("replacement", "/bar/$1")];
    assert_eq!(rewritten("replacePathRegex", pairs, "/foo/x?y").await, "/bar/x?y");
    assert_eq!(rewritten("replacePathRegex", pairs, "/fox").await, "/fox");
    assert_eq!(
        rewritten("replacePathRegex", &[("regex", "^/(.*)"), ("replacement", "/$1?x=1")], "/a").await,
        "/a%3Fx=1"
    );
    assert_eq!(rewritten("replacePathRegex", &[("regex", "^/x(.*)"), ("replacement", "$1")], "/x//e/").await, "400");
    assert_eq!(rewritten("replacePathRegex", &[("regex", "^/x/(.*)"), ("replacement", "/$1/..")], "/x/a").await, "400");
}

#[tokio::test]
async fn a_scheme_is_redirected_once() {
    let mut world = World::of("redirectScheme", &[("scheme", "https"), ("permanent", "true")]);
    world.scheme = "http";
    let answer = world.get("/a?b").await;
    assert_eq!((answer.status().as_u16(), said(&answer, "location")), (301, Some("https://app.example/a?b")));
    let answer = world.send(request(Method::POST, "/a", &[])).await;
    assert_eq!(answer.status().as_u16(), 308);

    let mut world = World::of("redirectScheme", &[("scheme", "https"), ("port", "8443")]);
    assert_eq!(world.get("/a").await.status().as_u16(), 200);
    world.scheme = "http";
    let answer = world.get("/a").await;
    assert_eq!((answer.status().as_u16(), said(&answer, "location")), (302, Some("https://app.example:8443/a")));
}

#[tokio::test]
async fn an_address_is_redirected_by_its_pattern_and_never_breaks_a_line() {
    let world = World::of(
        "redirectRegex",
        &[("regex", "^https://app.example:8443/(.*)"), ("replacement", "https://new.example/$1")],
    );
    let answer = world.get("/a/b?c=d").await;
    assert_eq!((answer.status().as_u16(), said(&answer, "location")), (302, Some("https://new.example/a/b?c=d")));
    let same = World::of("redirectRegex", &[("regex", "(.*)"), ("replacement", "$1")]);
    assert_eq!(same.get("/a").await.status().as_u16(), 200);
    let broken = World::of("redirectRegex", &[("regex", ".*"), ("replacement", "https://x/\r\nset-cookie: a=b")]);
    assert_eq!(broken.get("/a").await.status().as_u16(), 400);
}

#[tokio::test]
async fn a_chain_runs_in_its_order_and_then_what_comes_after() {
    let inner = vec![made("addPrefix", &[("prefix", "/b")]), made("addPrefix", &[("prefix", "/a")])];
    let draft = Middleware::read("chain", fields("chain", &[("middlewares", "x,y")])).expect("a chain");
    let world = World::of_chain(vec![draft.finish(inner, None), made("stripPrefix", &[("prefixes", "/a")])]);
    world.get("/c").await;
    assert_eq!(world.seen().uri(), "/b/c");
}
