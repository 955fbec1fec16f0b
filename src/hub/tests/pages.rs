//! Sign-in, sign-up, sign-out, password, and the administrators' list.

use std::time::Duration;

use super::world::{PASSWORD, World};

const SIGN_IN: [(&str, &str); 2] = [("username", " Alice "), ("password", PASSWORD)];

#[tokio::test]
async fn signing_in_makes_a_session_and_leads_to_where_the_person_wanted() {
    let world = World::new().await;
    world.user("alice").await;
    let stranger = world.stranger().navigating();
    let form = stranger.get("/hub/login?next=%2Fuser%2Falice%2Flab%3Fx%3D1").await.is(200);
    assert!(form.text.contains("login?next=%2Fuser%2Falice%2Flab%3Fx%3D1"), "{}", form.text);
    let answer = stranger
        .clone()
        .keeping(&form)
        .post_with("/hub/login?next=%2Fuser%2Falice%2Flab%3Fx%3D1", &form.form_token(), &SIGN_IN)
        .await
        .is(302);
    assert_eq!(answer.location(), "/user/alice/lab?x=1");
    let cookies = answer.set_cookies();
    let cookie = |name: &str| *cookies.iter().find(|cookie| cookie.starts_with(name)).expect(name);
    let session = cookie("__Host-Http-slipway-test=");
    assert!(session.ends_with("; Path=/; Max-Age=1209600; Secure; HttpOnly; SameSite=Lax"), "{session}");
    let value = session.split(['=', ';']).nth(1).expect("a value");
    let session = world.auth.session_of_cookie(value).expect("a session");
    assert_eq!(session.user.name.as_str(), "alice");
    assert!(cookie("jupyterhub-session-id=").contains(&format!("{}; Path=/; Secure", session.hub_session_id)));
    assert!(cookie("_xsrf=").contains("Path=/hub/;"));
    assert!(cookie("__Host-Http-slipway-test-visitor=;").contains("Max-Age=0"));
}

#[tokio::test]
async fn a_refused_sign_in_is_403_with_the_form() {
    let world = World::new().await;
    world.user("alice").await;
    let post = async |fields: &[(&str, &str)]| world.stranger().post("/hub/login", fields).await;
    let wrong = post(&[("username", "alice"), ("password", "no")]).await.is(403);
    assert!(wrong.text.contains("Invalid username or password") && wrong.text.contains("value=\"alice\""));
    let unknown = post(&[("username", "<b>bob"), ("password", "no")]).await.is(403);
    assert!(unknown.text.contains("Invalid username or password") && unknown.text.contains("&lt;b&gt;bob"));
    post(&[]).await.is(403);
    let no_token = world.stranger().post_with("/hub/login", "", &SIGN_IN).await.is(403);
    assert!(no_token.text.contains("Login form invalid or expired. Try again."), "{}", no_token.text);
    // A token alone, without the visitor's cookie that came with it, is nobody's.
    let token = world.stranger().get("/hub/login").await.form_token();
    let stolen = world.stranger().post_with("/hub/login", &token, &SIGN_IN).await.is(403);
    assert!(stolen.text.contains("Login form invalid or expired"));
}

#[tokio::test]
async fn too_many_tries_are_told_when_to_come_back() {
    let world = World::with(|_, auth| auth.tries_per_name = 2).await;
    world.user("alice").await;
    for _ in 0..2 {
        world.stranger().post("/hub/login", &[("username", "alice"), ("password", "no")]).await.is(403);
    }
    let answer = world.stranger().post("/hub/login", &SIGN_IN).await.is(429);
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    assert!(answer.text.contains("Too many tries"));
}

#[tokio::test]
async fn no_next_leads_off_the_site() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    for next in
        ["https%3A%2F%2Fevil.test", "%2F%2Fevil.test", "%2F%09%2Fevil.test", "%5C%5Cevil.test", "javascript%3Ax"]
    {
        for page in ["login", "", "spawn-pending/alice"] {
            let answer = alice.get(&format!("/hub/{page}?next={next}")).await;
            let location = answer.location();
            assert!(!location.contains("evil") || location.starts_with("/hub/"), "{page} {next} led to {location}");
        }
    }
    let own = alice.get("/hub/login?next=https%3A%2F%2Flab.test%3A8443%2Fx").await.is(302);
    assert_eq!(own.location(), "/x");
}

#[tokio::test]
async fn who_wants_nothing_in_particular_lands_at_their_server_or_where_the_setting_says() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    assert_eq!(alice.get("/hub/?a=1").await.is(302).location(), "/hub/spawn?a=1");
    assert_eq!(alice.get("/hub/?next=%2Fhub%2Fhome").await.is(302).location(), "/hub/home");
    alice.post("/hub/spawn", &[]).await.is(303);
    world.until("alice", |status| status.state == crate::model::ServerState::Ready).await;
    assert_eq!(alice.get("/hub/").await.is(302).location(), "/user/alice/");
    assert_eq!(alice.get("/hub/spawn").await.is(302).location(), "/user/alice/");

    let world = World::with(|config, _| config.default_url = Some("/hub/home".into())).await;
    let alice = world.user("alice").await;
    assert_eq!(alice.get("/hub/").await.is(302).location(), "/hub/home");
}

#[tokio::test]
async fn signing_in_again_ends_the_browsers_earlier_session() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    alice.post("/hub/login", &SIGN_IN).await.is(302);
    assert!(alice.caller.ended().expect("a session").is_cancelled());
}

#[tokio::test]
async fn signing_out_takes_everything_out_of_the_browser() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let answer = alice.clone().navigating().with("sec-fetch-site", "same-origin").get("/hub/logout").await.is(302);
    assert_eq!(answer.location(), "/hub/login");
    assert!(alice.caller.ended().expect("a session").is_cancelled());
    assert_eq!(answer.header("clear-site-data"), "\"cache\", \"storage\"");
    let gone = answer.set_cookies().into_iter().filter(|cookie| cookie.contains("Max-Age=0")).collect::<Vec<_>>();
    for name in ["__Host-Http-slipway-test=;", "jupyterhub-session-id=;", "jupyterhub-hub-login=;", "_xsrf=;"] {
        assert!(gone.iter().any(|cookie| cookie.starts_with(name)), "{name} stays");
    }
    world.stranger().get("/hub/logout").await.is(302);
}

#[tokio::test]
async fn a_link_on_another_site_signs_nobody_out_unasked() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let page = alice.clone().navigating().with("sec-fetch-site", "cross-site").get("/hub/logout").await.is(200);
    assert!(page.text.contains("Sign out?"));
    assert!(!alice.caller.ended().expect("a session").is_cancelled());
    alice.post("/hub/logout", &[]).await.is(303);
    assert!(alice.caller.ended().expect("a session").is_cancelled());
}

#[tokio::test]
async fn the_setup_link_makes_the_first_administrator_and_signs_them_in() {
    let world = World::new().await;
    let code = world.auth.setup_window().expect("it is open").code.expect("a code");
    let login = world.stranger().get("/hub/login").await.is(200);
    assert!(login.text.contains("no administrator yet") && !login.text.contains(code.expose()));
    let path = format!("/hub/signup?code={}", code.expose());
    let form = world.stranger().get(&path).await.is(200);
    assert!(form.text.contains("Set up Slipway") && form.text.contains("value=\"admin\""));
    let fields = |code: &'static str| {
        [
            ("username", "admin"),
            ("signup_password", PASSWORD),
            ("signup_password_confirmation", PASSWORD),
            ("code", code),
        ]
    };
    let refused = world.stranger().post("/hub/signup", &fields("wrong")).await.is(403);
    assert!(refused.text.contains("setup code"));
    let fields = fields(code.expose().to_owned().leak());
    let answer = world.stranger().post("/hub/signup", &fields).await.is(303);
    assert_eq!(answer.location(), "/hub/home");
    assert!(answer.cookies().iter().any(|(name, _)| name == "__Host-Http-slipway-test"));
    assert!(world.auth.setup_window().is_none());
    assert!(!world.stranger().get("/hub/login").await.text.contains("no administrator yet"));
}

#[tokio::test]
async fn others_ask_for_an_account_and_wait() {
    let world = World::new().await;
    world.admin("root").await;
    let sign_up = async |name: &'static str, first: &'static str, second: &'static str| {
        let fields = [("username", name), ("signup_password", first), ("signup_password_confirmation", second)];
        world.stranger().post("/hub/signup", &fields).await
    };
    assert!(sign_up("alice", PASSWORD, "another").await.is(400).text.contains("not the same"));
    assert!(sign_up("alice", "short", "short").await.is(400).text.contains("8 characters"));
    assert!(sign_up("a b", PASSWORD, PASSWORD).await.is(400).text.contains("spaces"));
    assert!(sign_up("alice", PASSWORD, PASSWORD).await.is(200).text.contains("sent to the admin"));
    assert!(sign_up("alice", PASSWORD, PASSWORD).await.is(409).text.contains("taken"));
    let waiting = world.stranger().post("/hub/login", &SIGN_IN).await.is(403);
    assert!(waiting.text.contains("has not been authorized by an administrator yet"));
}

#[tokio::test]
async fn a_closed_sign_up_is_not_there_unless_nobody_is() {
    let world = World::with(|config, auth| {
        config.signup = false;
        auth.signup = false;
    })
    .await;
    world.stranger().get("/hub/signup").await.is(200);
    world.admin("root").await;
    world.stranger().get("/hub/signup").await.is(404);
    world.stranger().post("/hub/signup", &[]).await.is(404);
    assert!(!world.stranger().get("/hub/login").await.text.contains("signup"));
}

#[tokio::test]
async fn a_change_of_password_keeps_this_session_and_ends_the_others() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let elsewhere = world.signed_in("alice").await;
    let change = async |old: &'static str, new: &'static str, again: &'static str| {
        let fields = [("old_password", old), ("new_password", new), ("new_password_confirmation", again)];
        alice.post("/hub/change-password", &fields).await
    };
    change(PASSWORD, "another horse", "another hors").await.is(400);
    change("wrong", "another horse", "another horse").await.is(403);
    change(PASSWORD, "short", "short").await.is(400);
    let done = change(PASSWORD, "another horse", "another horse").await.is(200);
    assert!(done.text.contains("has been changed"));
    assert!(elsewhere.caller.ended().expect("a session").is_cancelled());
    assert!(!alice.caller.ended().expect("a session").is_cancelled());
    world.stranger().get("/hub/change-password").await.is(302);
}

#[tokio::test]
async fn health_is_for_everybody_and_tells_of_nobody() {
    let world = World::new().await;
    world.user("alice").await;
    world.pass(Duration::from_secs(3725));
    let answer = world.stranger().with("sec-fetch-mode", "cors").get("/hub/health").await.is(200);
    let json = answer.json();
    assert_eq!((&json["status"], &json["uptime"]), (&"ok".into(), &"0d 1h 2m".into()));
    assert_eq!(json["users"], serde_json::json!({ "total": 1, "active_servers": 0 }));
    assert!(!answer.text.contains("alice"));
    let head = world.stranger().send(axum::http::Method::HEAD, "/hub/health", "", "").await.is(200);
    assert_eq!(head.text, "");
}

#[tokio::test]
async fn a_token_is_nobody_at_a_page() {
    let world = World::new().await;
    world.user("alice").await;
    let token = world.auth.issue_server_token(&super::world::server("alice")).await.expect("a token");
    let mut program = world.program(token.expose());
    program.door = crate::model::Door::Public;
    program.get("/hub/home").await.is(302);
    program.get("/hub/authorize").await.is(302);
    program.post_with("/hub/change-password", "", &[]).await.is(403);
}
