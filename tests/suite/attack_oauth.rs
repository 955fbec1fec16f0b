//! Attacks on the OAuth provider: codes and tokens are worth something to the one server they were made for, once, and
//! only while the person's session lives.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use sha2::{Digest as _, Sha256};

use crate::client::{Answer, Client, Wire};
use crate::world::{IDENTIFY, World, xsrf_of};

fn authorize(user: &str, more: &str) -> String {
    format!(
        "/hub/api/oauth2/authorize?client_id=jupyterhub-user-{user}&redirect_uri=%2Fuser%2F{user}%2Foauth_callback&response_type=code{more}"
    )
}

/// The code in the address to which the browser is sent.
fn code_of(answer: &Answer) -> String {
    let location = answer.header("location");
    let code = location.split(['?', '&']).find_map(|pair| pair.strip_prefix("code="));
    code.unwrap_or_else(|| panic!("no code in {location}")).to_owned()
}

/// What a server posts to have its code exchanged, with `changes` made to it.
async fn exchange(world: &World, user: &str, code: &str, changes: &[(&str, &str)]) -> Answer {
    let secret = world.backend.environment_of(user)["JUPYTERHUB_API_TOKEN"].clone();
    exchange_with(world, user, &secret, code, changes).await
}

async fn exchange_with(world: &World, user: &str, secret: &str, code: &str, changes: &[(&str, &str)]) -> Answer {
    let (client_id, redirect_uri) = (format!("jupyterhub-user-{user}"), format!("/user/{user}/oauth_callback"));
    let mut fields = vec![
        ("client_id", client_id.as_str()),
        ("client_secret", secret),
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect_uri),
    ];
    fields.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    fields.extend(changes.iter().filter(|(_, value)| *value != "-"));
    world.client().post_form("/hub/api/oauth2/token", &fields).await
}

async fn code_for(browser: &Client, user: &str, more: &str) -> String {
    code_of(&browser.get(&authorize(user, more)).await.is(302))
}

fn with_token(world: &World, token: &str) -> Client {
    world.client().with("authorization", &format!("token {token}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_once_for_its_server_and_its_address() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    world.user_with_server("bob").await;
    let code = code_for(&alice, "alice", "").await;
    // Bob's server steals it: no use to it, whoever it says it is.
    assert_eq!(exchange(&world, "bob", &code, &[]).await.status, 400);
    let changed = [("client_id", "jupyterhub-user-alice"), ("redirect_uri", "/user/alice/oauth_callback")];
    assert_eq!(exchange(&world, "bob", &code, &changed).await.status, 401);
    for secret in ["", "-", "0123456789abcdef0123456789abcdef"] {
        assert_eq!(exchange(&world, "alice", &code, &[("client_secret", secret)]).await.status, 401, "{secret}");
    }
    let token = exchange(&world, "alice", &code, &[]).await.is(200).json();
    let token = token["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(with_token(&world, &token).get("/hub/api/user").await.is(200).json()["name"], "alice");
    assert_eq!(exchange(&world, "alice", &code, &[]).await.status, 400, "a code was good twice");
    for address in [
        "/user/alice/oauth_callback/",
        "/user/alice/oauth_callback?",
        "/user/bob/oauth_callback",
        "",
        "-",
        "/user/alice/oauth%5Fcallback",
        "https://localhost/user/alice/oauth_callback",
    ] {
        let code = code_for(&alice, "alice", "").await;
        assert_eq!(exchange(&world, "alice", &code, &[("redirect_uri", address)]).await.status, 400, "{address}");
        assert_eq!(exchange(&world, "alice", &code, &[]).await.status, 400, "it was used up by the wrong try");
    }
    let code = code_for(&alice, "alice", "").await;
    world.clock.advance(Duration::from_secs(301));
    assert_eq!(exchange(&world, "alice", &code, &[]).await.status, 400, "a code of yesterday");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_the_servers_own_is_never_gone_to() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    world.user_with_server("bob").await;
    for address in [
        "/user/bob/oauth_callback",
        "/user/alice/oauth_callback/x",
        "/user/alice/oauth_callback%3Fx",
        "/user/alice/oauth_callback%23",
        "/user/alice/../bob/oauth_callback",
        "%2F%2Fevil.example%2Fuser%2Falice%2Foauth_callback",
        "https://evil.example/",
        "/user/alice%252Foauth_callback",
        "/User/alice/oauth_callback",
        "/user/alice/OAUTH_CALLBACK",
        "user/alice/oauth_callback",
        "/user/alice/oauth_callback%0d%0aX:y",
        "/user/alice/oauth_callback%20",
        "javascript:alert(1)",
        "",
        "%00",
    ] {
        let path = format!(
            "/hub/api/oauth2/authorize?client_id=jupyterhub-user-alice&redirect_uri={address}&response_type=code&state=s"
        );
        let answer = alice.get(&path).await;
        assert_eq!(answer.status, 400, "{address}: {}", answer.header("location"));
        assert!(answer.header("location").is_empty());
        // Twice: whichever is read, it must be the one that is compared.
        let twice = format!("{path}&redirect_uri=%2Fuser%2Falice%2Foauth_callback");
        let location = alice.get(&twice).await.header("location").to_owned();
        assert!(location.is_empty() || location.starts_with("/user/alice/oauth_callback?code="), "{location}");
    }
    for client in [
        "jupyterhub-user-bob",
        "jupyterhub-user-ALICE",
        "jupyterhub-user-%2561lice",
        "service-x",
        "",
        "jupyterhub-user-alice-x",
    ] {
        let path = format!(
            "/hub/api/oauth2/authorize?client_id={client}&redirect_uri=%2Fuser%2Falice%2Foauth_callback&response_type=code"
        );
        assert_eq!(alice.get(&path).await.status, 400, "{client}");
    }
    // Bob's own client and address, and alice in front of the browser: not hers.
    assert_eq!(alice.get(&authorize("bob", "")).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_comes_back_as_it_was_sent() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    for state in [
        "abc",
        "a%3D%3D",
        "%26code%3DEVIL%26x%3D",
        "%0d%0aSet-Cookie:%20x%3D1",
        "%22%3E%3Cscript%3E",
        "%C3%A9%20%2B",
        "",
        "%2500",
    ] {
        let answer = alice.get(&authorize("alice", &format!("&state={state}"))).await.is(302);
        let location = answer.header("location");
        let (_, query) = location.split_once('?').expect("a query");
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let sent = form_urlencoded::parse(format!("state={state}").as_bytes()).next().expect("a pair").1.into_owned();
        assert_eq!(pairs.len(), 2, "{location}");
        assert_eq!(
            (pairs[0].0.as_ref(), pairs[1].0.as_ref(), pairs[1].1.as_ref()),
            ("code", "state", sent.as_str()),
            "{location}"
        );
        assert!(answer.headers.get_all("set-cookie").iter().all(|line| !line.as_bytes().starts_with(b"x=")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_once_given_is_not_taken_back() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let asked = format!("&code_challenge={challenge}&code_challenge_method=S256");
    for changes in [
        &[][..],
        &[("code_verifier", "")],
        &[("code_verifier", "wrong")],
        // The method cannot be played down: the challenge is no verifier of itself.
        &[("code_verifier", &challenge)],
        &[("code_verifier", &challenge), ("code_challenge_method", "plain")],
    ] {
        let code = code_for(&alice, "alice", &asked).await;
        assert_eq!(exchange(&world, "alice", &code, changes).await.status, 400, "{changes:?}");
        assert_eq!(exchange(&world, "alice", &code, &[("code_verifier", verifier)]).await.status, 400, "used up");
    }
    let code = code_for(&alice, "alice", &asked).await;
    exchange(&world, "alice", &code, &[("code_verifier", verifier)]).await.is(200);
    for wrong in [
        "&code_challenge=x&code_challenge_method=S512",
        "&code_challenge_method=S256",
        "&code_challenge=x&code_challenge_method=",
    ] {
        let answer = alice.get(&authorize("alice", wrong)).await.is(302);
        assert!(answer.header("location").contains("error=invalid_request"), "{wrong}: {}", answer.header("location"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_and_tokens_end_with_the_session_the_server_and_the_account() {
    let world = World::new().await;
    let admin = world.admin("root").await;
    let alice = world.user_with_server("alice").await;
    let token_by = async |browser: &Client| {
        let code = code_for(browser, "alice", "").await;
        let token = exchange(&world, "alice", &code, &[]).await.is(200).json();
        with_token(&world, token["access_token"].as_str().expect("a token"))
    };
    // Sign-out.
    let (code, token) = (code_for(&alice, "alice", "").await, token_by(&alice).await);
    token.get("/user/alice/x").await.is(200);
    alice.get("/hub/logout").await.is(302);
    assert_eq!(exchange(&world, "alice", &code, &[]).await.status, 400);
    token.get("/hub/api/user").await.is(403);
    token.get("/user/alice/x").await.is(403);
    // The server stops: its secret and what was issued to it end.
    let alice = world.sign_in("alice").await;
    let (code, token) = (code_for(&alice, "alice", "").await, token_by(&alice).await);
    let secret = world.backend.environment_of("alice")["JUPYTERHUB_API_TOKEN"].clone();
    world.stop_server("alice").await;
    assert_eq!(exchange_with(&world, "alice", &secret, &code, &[]).await.status, 401);
    token.get("/hub/api/user").await.is(403);
    with_token(&world, &secret).get("/hub/api/user").await.is(403);
    // The account goes.
    world.start_server("alice").await;
    let (code, token) = (code_for(&alice, "alice", "").await, token_by(&alice).await);
    let secret = world.backend.environment_of("alice")["JUPYTERHUB_API_TOKEN"].clone();
    admin.administer("delete", &["alice"]).await.is(200);
    assert_eq!(exchange_with(&world, "alice", &secret, &code, &[]).await.status, 401);
    token.get("/hub/api/user").await.is(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_is_asked_before_a_stranger_server_learns_the_name() {
    let world = World::new().await;
    let admin = world.admin("root").await;
    world.user_with_server("alice").await;
    let page = admin.get(&authorize("alice", "")).await.is(200).text();
    assert!(page.contains("alice"));
    // Neither without the form's token nor with another page's.
    admin.post_form(&authorize("alice", ""), &[("scopes", "access:servers!server=alice/")]).await.is(403);
    let stranger = world.client().navigating().get("/hub/login").await.text();
    admin.post_form(&authorize("alice", ""), &[("_xsrf", &xsrf_of(&stranger))]).await.is(403);
    // More than was asked for is not granted.
    let fields = [
        ("_xsrf", xsrf_of(&page)),
        ("scopes", "access:servers!server=alice/".into()),
        ("scopes", "admin:users".into()),
    ];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = admin.post_form(&authorize("alice", ""), &fields).await.is(302);
    let token = exchange(&world, "alice", &code_of(&answer), &[]).await.is(200).json();
    assert_eq!(token["scope"], format!("access:servers!server=alice/ {IDENTIFY}"));
    let visitor = with_token(&world, token["access_token"].as_str().expect("a token"));
    visitor.get("/user/alice/x").await.is(200);
    visitor.get("/hub/api/users").await.is(403);
    visitor.get("/hub/api/users/root").await.is(200);
    assert_eq!(visitor.get("/hub/api/users/alice").await.status, 404);
    visitor.send(Wire::Http1, Method::DELETE, "/hub/api/users/alice/server", bytes::Bytes::new()).await.is(403);
    // The hostile server takes the visitor's token back to the edge: it opens nothing else.
    world.start_server("root").await;
    visitor.get("/user/root/x").await.is(404);
    // The rights go with the office.
    world
        .app
        .auth
        .set_admin("test", &slipway::model::UserName::parse("root").expect("a name"), false)
        .await
        .expect_err("the last one");
    world.add_user("root2", true).await;
    world
        .app
        .auth
        .set_admin("test", &slipway::model::UserName::parse("root").expect("a name"), false)
        .await
        .expect("done");
    visitor.get("/user/alice/x").await.is(404);
}
