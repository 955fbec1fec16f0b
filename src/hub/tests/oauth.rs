//! The dance by which a server signs its visitor in, step by step as jupyterhub-singleuser does it.

use std::time::Duration;

use axum::http::Method;
use serde_json::json;

use super::world::{Answer, Client, World, server};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn authorize(user: &str, more: &str) -> String {
    format!(
        "/hub/api/oauth2/authorize?client_id=jupyterhub-user-{user}&redirect_uri=%2Fuser%2F{user}%2Foauth_callback\
         &response_type=code&state=abc%3D%3D{more}"
    )
}

/// The code that a visitor is sent back with.
fn code_of(answer: &Answer) -> String {
    let rest = answer.location().split("code=").nth(1).unwrap_or_else(|| panic!("no code in {}", answer.location()));
    rest.split('&').next().expect("a value").to_owned()
}

/// What the server of `user` sends to exchange a code, with some fields changed.
async fn exchange(server: &Client<'_>, secret: &str, user: &str, code: &str, changes: &[(&str, &str)]) -> Answer {
    let (client_id, redirect_uri) = (format!("jupyterhub-user-{user}"), format!("/user/{user}/oauth_callback"));
    let usual = [
        ("client_id", client_id.as_str()),
        ("client_secret", secret),
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect_uri),
    ];
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(usual.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name)));
    form.extend_pairs(changes.iter().filter(|(_, value)| !value.is_empty()));
    let content_type = "application/x-www-form-urlencoded";
    server.send(Method::POST, "/hub/api/oauth2/token", content_type, &form.finish()).await
}

async fn secret_of(world: &World, user: &str) -> String {
    world.auth.issue_server_token(&server(user)).await.expect("a token").expose().to_owned()
}

#[tokio::test]
async fn a_servers_own_person_signs_in_silently() {
    let world = World::new().await;
    let alice = world.user("alice").await.navigating();
    let secret = secret_of(&world, "alice").await;
    let pkce = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
    let answer = alice.get(&authorize("alice", &pkce)).await.is(302);
    let code = code_of(&answer);
    assert_eq!(answer.location(), format!("/user/alice/oauth_callback?code={code}&state=abc%3D%3D"));
    assert_eq!(code.len(), 30);
    let session_id = alice.caller.session().expect("a session").hub_session_id.clone();
    assert_eq!(answer.cookies(), [("jupyterhub-session-id".to_owned(), session_id.clone())]);

    let program = world.program(&secret);
    let answer = exchange(&program, &secret, "alice", &code, &[("code_verifier", VERIFIER)]).await.is(200);
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let token = answer.json();
    assert_eq!(token["expires_in"], 1_209_600);
    let scope = "access:servers!server=alice/ read:users:groups!user read:users:name!user";
    assert_eq!((&token["token_type"], &token["scope"]), (&json!("Bearer"), &json!(scope)));
    let visitor = world.program(token["access_token"].as_str().expect("a token"));
    let whoami = visitor.get("/hub/api/user").await.is(200).json();
    let expected = json!({
        "name": "alice", "admin": false, "groups": [], "kind": "user", "user_info": null,
        "token_id": whoami["token_id"], "session_id": session_id,
        "scopes": ["access:servers!server=alice/", "read:users:groups!user=alice", "read:users:name!user=alice"],
    });
    assert_eq!(whoami, expected);
    // Used once.
    exchange(&program, &secret, "alice", &code, &[("code_verifier", VERIFIER)]).await.is(400);
    // It ends with the session it was issued to.
    world.auth.sign_out(alice.caller.session().expect("a session"), None).await.expect("stored");
    visitor.get("/hub/api/user").await;
    assert!(world.auth.token_of(token["access_token"].as_str().expect("a token")).is_none());
}

#[tokio::test]
async fn what_is_wrong_with_an_exchange_is_said_in_oauths_words() {
    let world = World::new().await;
    let alice = world.user("alice").await.navigating();
    world.user("bob").await;
    let secret = secret_of(&world, "alice").await;
    let bobs = secret_of(&world, "bob").await;
    let program = world.stranger();
    let code = code_of(&alice.get(&authorize("alice", "")).await);
    let check = async |changes: &[(&str, &str)], status: u16, body: serde_json::Value| {
        let answer = exchange(&program, &secret, "alice", &code, changes).await.is(status);
        assert_eq!(answer.json(), body, "{changes:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        answer
    };
    let unauthorised = check(&[("client_secret", "wrong")], 401, json!({ "error": "invalid_client" })).await;
    assert_eq!(unauthorised.header("www-authenticate"), "Bearer error=\"invalid_client\"");
    check(&[("client_secret", "")], 401, json!({ "error": "invalid_client" })).await;
    check(&[("client_secret", &bobs)], 401, json!({ "error": "invalid_client" })).await;
    check(&[("client_id", "jupyterhub-user-bob")], 401, json!({ "error": "invalid_client" })).await;
    check(&[("grant_type", "")], 400, json!({ "error": "unsupported_grant_type" })).await;
    check(&[("grant_type", "password")], 400, json!({ "error": "unsupported_grant_type" })).await;
    check(&[("grant_type", "refresh_token")], 400, json!({ "error": "unauthorized_client" })).await;
    check(&[("code", "x")], 400, json!({ "error": "invalid_grant" })).await;
    let missing = json!({ "error": "invalid_request", "error_description": "Missing code parameter." });
    check(&[("code", "")], 400, missing).await;
    // Another client does not use the code up.
    let answer = exchange(&program, &bobs, "bob", &code, &[]).await.is(400);
    assert_eq!(answer.json(), json!({ "error": "invalid_grant" }));
    check(
        &[("redirect_uri", "/elsewhere")],
        400,
        json!({ "error": "invalid_request", "error_description": "Mismatching redirect URI." }),
    )
    .await;
    check(&[], 400, json!({ "error": "invalid_grant" })).await;
    program.get("/hub/api/oauth2/token").await.is(405);
}

#[tokio::test]
async fn a_challenge_once_given_is_enforced() {
    let world = World::new().await;
    let alice = world.user("alice").await.navigating();
    let secret = secret_of(&world, "alice").await;
    let program = world.program(&secret);
    let pkce = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
    for (verifier, body) in [
        ("", json!({ "error": "invalid_request", "error_description": "Code verifier required." })),
        ("wrong", json!({ "error": "invalid_grant" })),
        (CHALLENGE, json!({ "error": "invalid_grant" })),
    ] {
        let code = code_of(&alice.get(&authorize("alice", &pkce)).await);
        let answer = exchange(&program, &secret, "alice", &code, &[("code_verifier", verifier)]).await.is(400);
        assert_eq!(answer.json(), body, "{verifier}");
    }
}

#[tokio::test]
async fn a_code_is_gone_after_five_minutes_and_with_its_session() {
    let world = World::new().await;
    let alice = world.user("alice").await.navigating();
    let secret = secret_of(&world, "alice").await;
    let program = world.program(&secret);
    let late = code_of(&alice.get(&authorize("alice", "")).await);
    world.pass(Duration::from_secs(300));
    exchange(&program, &secret, "alice", &late, &[]).await.is(400);
    let orphan = code_of(&alice.get(&authorize("alice", "")).await);
    world.auth.sign_out(alice.caller.session().expect("a session"), None).await.expect("stored");
    exchange(&program, &secret, "alice", &orphan, &[]).await.is(400);
}

#[tokio::test]
async fn an_administrator_is_asked_before_somebody_elses_server_learns_who_they_are() {
    let world = World::new().await;
    world.user("alice").await;
    let root = world.admin("root").await.navigating();
    let secret = secret_of(&world, "alice").await;
    let program = world.program(&secret);
    let page = root.get(&authorize("alice", "")).await.is(200);
    assert!(page.text.contains("Open alice’s server"), "{}", page.text);
    root.post_with(&authorize("alice", ""), "", &[]).await.is(403);

    let (scope, identity) = ("access:servers!server=alice/", "read:users:groups!user read:users:name!user");
    let asked = root.post(&authorize("alice", ""), &[("scopes", scope), ("scopes", "admin:users")]).await.is(302);
    let token = exchange(&program, &secret, "alice", &code_of(&asked), &[]).await.is(200).json();
    assert_eq!(token["scope"], format!("{scope} {identity}"));
    let visitor = world.program(token["access_token"].as_str().expect("a token"));
    let whoami = visitor.get("/hub/api/user").await.is(200).json();
    assert_eq!((&whoami["name"], &whoami["admin"]), (&json!("root"), &json!(true)));
    assert_eq!(whoami["scopes"], json!([scope, "read:users:groups!user=root", "read:users:name!user=root"]));
    // Asked once.
    root.get(&authorize("alice", "")).await.is(302);
    // Nothing ticked: identity, and no way in.
    let bare = root.post(&authorize("alice", ""), &[]).await.is(302);
    let token = exchange(&program, &secret, "alice", &code_of(&bare), &[]).await.is(200).json();
    assert_eq!(token["scope"], identity);
}

#[tokio::test]
async fn who_may_not_go_there_is_told_on_a_page() {
    let world = World::new().await;
    world.user("alice").await;
    let bob = world.user("bob").await.navigating();
    let answer = bob.get(&authorize("alice", "")).await.is(403);
    assert!(answer.location().is_empty() && answer.text.contains("permission"));
    bob.post(&authorize("alice", ""), &[]).await.is(403);
    bob.get(&authorize("nobody", "")).await.is(400);
    let wrong = authorize("bob", "").replace("bob%2Foauth", "alice%2Foauth");
    assert!(bob.get(&wrong).await.is(400).location().is_empty());
}

#[tokio::test]
async fn a_stranger_signs_in_first_and_comes_back_with_everything() {
    let world = World::new().await;
    world.user("alice").await;
    let path = authorize("alice", "");
    let answer = world.stranger().navigating().get(&path).await.is(302);
    let next = form_urlencoded::parse(answer.location().split_once('?').expect("a query").1.as_bytes())
        .find_map(|(name, value)| (name == "next").then(|| value.into_owned()));
    assert_eq!(next.as_deref(), Some(path.as_str()));
}

#[tokio::test]
async fn what_the_client_did_wrong_goes_back_to_it() {
    let world = World::new().await;
    let alice = world.user("alice").await.navigating();
    let answer = alice.get(&authorize("alice", "&scope=admin%3Ausers")).await.is(302);
    assert_eq!(answer.location(), "/user/alice/oauth_callback?error=invalid_scope&state=abc%3D%3D");
}
