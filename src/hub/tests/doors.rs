//! Who is let in at all: layers, headers, form tokens, the containers' door.

use axum::http::Method;

use super::world::{World, base};
use crate::model::Door;

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_it_apart() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    for path in ["/hub/home", "/hub/nothing", "/hub/api/user", "/hub/api/nothing", "/hub/static/slipway.css", "/x"] {
        let answer = alice.get(path).await;
        assert_eq!(answer.header("x-jupyterhub-version"), "6.1.1", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
    }
}

#[tokio::test]
async fn a_page_opens_for_a_person_and_not_for_a_script_or_a_frame() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    alice.get("/hub/home").await.is(200);
    alice.clone().navigating().get("/hub/home").await.is(200);
    for (mode, dest) in [
        ("cors", "empty"),
        ("no-cors", "empty"),
        ("same-origin", "empty"),
        ("navigate", "iframe"),
        ("navigate", "embed"),
    ] {
        let script = alice.clone().with("sec-fetch-mode", mode).with("sec-fetch-dest", dest);
        for path in ["/hub/home", "/hub/login", "/hub/spawn", "/hub/spawn-pending/alice", "/hub/logout", "/hub/"] {
            let answer = script.get(path).await.is(403);
            assert!(!answer.text.contains("data-server"), "{mode} {dest} {path}");
        }
    }
    assert!(!alice.caller.ended().expect("a session").is_cancelled());
    assert_eq!(world.spawner.active().len(), 0);
}

#[tokio::test]
async fn a_browser_that_guesses_ahead_changes_nothing() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let guessing = alice.clone().navigating().with("sec-purpose", "prefetch;prerender");
    for path in ["/hub/logout", "/hub/spawn", "/hub/spawn-pending/alice"] {
        guessing.get(path).await.is(503);
    }
    assert!(!alice.caller.ended().expect("a session").is_cancelled());
    assert_eq!(world.spawner.active().len(), 0);
}

#[tokio::test]
async fn nothing_is_posted_without_a_token_of_ones_own() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let bob = world.user("bob").await;
    let theirs = bob.get("/hub/home").await.form_token();
    let mine = alice.get("/hub/home").await.form_token();
    let paths =
        ["/hub/spawn", "/hub/stop/alice", "/hub/logout", "/hub/change-password", "/hub/authorize/bob", "/hub/nothing"];
    for path in paths {
        for token in ["", "x", theirs.as_str()] {
            let answer = alice.post_with(path, token, &[]).await.is(403);
            assert!(answer.text.contains("That form has expired"), "{path}");
        }
    }
    // A cookie that says the same as the field proves nothing.
    alice.clone().with("cookie", &format!("_xsrf={theirs}")).post_with("/hub/stop/alice", &theirs, &[]).await.is(403);
    alice.post_with("/hub/stop/alice", &mine, &[]).await.is(303);
    // From another site, even a right token does not help.
    let elsewhere = alice.clone().with("origin", "https://evil.test");
    elsewhere.post_with("/hub/stop/alice", &mine, &[]).await.is(403);
    let sibling = alice.clone().with("sec-fetch-site", "same-site");
    sibling.post_with("/hub/stop/alice", &mine, &[]).await.is(403);
    let own = alice.clone().with("origin", "https://lab.test:8443").with("sec-fetch-site", "same-origin");
    own.post_with("/hub/stop/alice", &mine, &[]).await.is(303);
}

#[tokio::test]
async fn a_script_reads_the_api_with_a_session_only_if_it_has_the_token() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let token = alice.get("/hub/home").await.form_token();
    for mode in ["cors", "no-cors", "same-origin"] {
        let script = alice.clone().with("sec-fetch-mode", mode).with("sec-fetch-site", "same-origin");
        script.get("/hub/api/user").await.is(403);
        script.get("/hub/api/users/alice/server/progress").await.is(403);
        script.clone().with("x-xsrftoken", &token).get("/hub/api/user").await.is(200);
        script.get(&format!("/hub/api/user?_xsrf={token}")).await.is(200);
    }
    let framed = alice.clone().with("sec-fetch-mode", "navigate").with("sec-fetch-dest", "iframe");
    framed.get("/hub/api/user").await.is(403);
    let elsewhere = alice.clone().with("sec-fetch-mode", "cors").with("sec-fetch-site", "cross-site");
    elsewhere.with("x-xsrftoken", &token).get("/hub/api/user").await.is(403);
    let answer = alice.json(Method::POST, "/hub/api/users/alice/server", "").await.is(403);
    assert_eq!(answer.json()["message"], "'_xsrf' argument missing from POST");
    let with_token = alice.clone().with("x-xsrftoken", &token);
    with_token.send(Method::POST, "/hub/api/users/alice/server", "text/plain", "").await.is(403);
}

#[tokio::test]
async fn the_containers_door_leads_to_the_api_and_knows_no_session() {
    let world = World::new().await;
    let mut alice = world.user("alice").await;
    alice.door = Door::Private;
    for path in
        ["/hub/home", "/hub/login", "/hub/health", "/hub/apix", "/", "/user/alice/lab", "/hub/static/slipway.css"]
    {
        alice.get(path).await.is(404);
    }
    alice.get("/hub/api").await.is(200);
    alice.get("/hub/api/user").await.is(403);
    let token = world.auth.issue_server_token(&super::world::server("alice")).await.expect("a token");
    world.program(token.expose()).get("/hub/api/user").await.is(200);
    world.program("wrong").get("/hub/api/user").await.is(403);
}

#[tokio::test]
async fn what_lies_outside_leads_inside_and_keeps_its_query() {
    let world = World::with(|config, _| config.base = base("/j/")).await;
    let stranger = world.stranger();
    let check = async |path: &str, status: u16, location: &str| {
        assert_eq!(stranger.get(path).await.is(status).location(), location, "{path}");
    };
    check("/j/foo?x=1", 302, "/j/hub/foo?x=1").await;
    check("/j/", 302, "/j/hub/").await;
    check("/", 302, "/j/hub/").await;
    check("/foo", 302, "/j/hub/").await;
    check("/j/hub", 301, "/j/hub/").await;
    check("/j/hub/", 302, "/j/hub/login?next=%2Fj%2Fhub%2F").await;
    check("/j/hub/nothing", 404, "").await;
    check("/j//evil.test/x", 400, "").await;
    check("/j/hub/home?x=1", 302, "/j/hub/login?next=%2Fj%2Fhub%2Fhome%3Fx%3D1").await;
}

#[tokio::test]
async fn errors_are_pages_for_people_and_json_for_programs() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let page = alice.get("/hub/nothing").await.is(404);
    assert!(page.text.contains("There is nothing here") && page.header("content-type").starts_with("text/html"));
    let answer = alice.get("/hub/api/nothing").await.is(404);
    assert_eq!(answer.json(), serde_json::json!({ "status": 404, "message": null }));
    let answer = alice.send(Method::PUT, "/hub/api/user", "", "").await;
    assert!([403, 405].contains(&answer.status.as_u16()));
    world.stranger().send(Method::PUT, "/hub/api/user", "", "").await.is(405);
    world.stranger().send(Method::OPTIONS, "/hub/api/user", "", "").await.is(200);
    let long = format!("username={}", "x".repeat(70_000));
    let answer = alice.send(Method::POST, "/hub/login", "application/x-www-form-urlencoded", &long).await.is(413);
    assert!(answer.text.contains("65536"), "{}", answer.text);
}

#[tokio::test]
async fn a_page_of_a_server_finds_an_icon() {
    let world = World::new().await;
    let image = world.stranger().with("sec-fetch-mode", "no-cors").with("sec-fetch-dest", "image");
    assert_eq!(image.get("/favicon.ico").await.is(200).header("content-type"), "image/svg+xml");
}

#[tokio::test]
async fn the_error_page_by_number_is_200_and_knows_only_errors() {
    let world = World::new().await;
    let page = world.stranger().get("/hub/error/503").await.is(200);
    assert!(page.text.contains("does not answer"));
    for wrong in ["/hub/error/200", "/hub/error/x", "/hub/error/99999"] {
        world.stranger().get(wrong).await.is(404);
    }
}
