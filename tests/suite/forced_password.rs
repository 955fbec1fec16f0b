//! Who must change the password reaches that page and nothing else, by every way in, on both protocols.

use bytes::Bytes;
use http::Method;
use slipway::model::UserName;
use slipway::spawner::{SpawnerError, Wish};

use crate::client::Wire;
use crate::world::{PASSWORD, World, server, take_cookies, xsrf_of};

const NEW_PASSWORD: &str = "another long password";

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_change_stands_before_everything_and_leads_on_to_where_one_was_going() {
    let world = World::new().await;
    let browser = world.user_with_server("alice").await;
    let elsewhere = world.sign_in("alice").await;
    let alice = UserName::parse("alice").expect("a name");
    let token = world.backend.environment_of("alice")["JUPYTERHUB_API_TOKEN"].clone();
    world.app.auth.require_password_change("root", &alice, true).await.expect("stored");

    for wire in [Wire::Http1, Wire::Http2] {
        for path in ["/hub/home", "/hub/token", "/hub/spawn", "/user/alice/lab?a=b", "/hub/user-redirect/x"] {
            let answer = browser.send(wire, Method::GET, path, Bytes::new()).await.is(303);
            let next = form_urlencoded::byte_serialize(path.as_bytes()).collect::<String>();
            let place = answer.header("location").to_ascii_lowercase();
            assert_eq!(place, format!("/hub/change-password?next={next}").to_ascii_lowercase(), "{path} over {wire:?}");
        }
        let script = browser.scripting();
        for path in ["/hub/api/user", "/hub/api/users/alice/tokens", "/user/alice/api/kernels"] {
            let answer = script.send(wire, Method::GET, path, Bytes::new()).await.is(403);
            assert!(answer.json()["message"].as_str().is_some_and(|text| text.contains("password")), "{path}");
        }
        browser.send(wire, Method::GET, "/hub/change-password", Bytes::new()).await.is(200);
        // A key goes on: what runs by itself has no password to change.
        let keyed = world.client().with("authorization", &format!("token {token}"));
        keyed.send(wire, Method::GET, "/hub/api/user", Bytes::new()).await.is(200);
    }

    let page = browser.get("/hub/change-password?next=%2Fuser%2Falice%2Flab").await.is(200);
    let xsrf = xsrf_of(&page.text());
    let browser = take_cookies(browser, &page);
    let fields = |new: &'static str| {
        [("old_password", PASSWORD), ("new_password", new), ("new_password_confirmation", new), ("_xsrf", &xsrf)]
    };
    let address = "/hub/change-password?next=%2Fuser%2Falice%2Flab";
    browser.post_form(address, &fields(PASSWORD)).await.is(400);
    let answer = browser.post_form(address, &fields(NEW_PASSWORD)).await.is(303);
    assert_eq!(answer.header("location"), "/user/alice/lab");
    browser.get("/user/alice/lab").await.is(200);
    browser.get("/hub/token").await.is(200);
    elsewhere.get("/hub/home").await.is(302);
    world.sign_in_with("alice", NEW_PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_starts_before_the_change_whoever_starts_it() {
    let world = World::new().await;
    world.add_user("alice", false).await;
    let admin = world.admin("root").await;
    let alice = UserName::parse("alice").expect("a name");
    world.app.auth.require_password_change("root", &alice, true).await.expect("stored");
    let started = world.app.spawner.start(&server("alice"), Wish::of("root")).await;
    assert!(matches!(started, Err(SpawnerError::MayNotStart(_))), "{started:?}");
    let page = admin.get("/hub/spawn-pending/alice").await.is(200);
    let xsrf = xsrf_of(&page.text());
    let refused = take_cookies(admin, &page).post_form("/hub/spawn/alice", &[("_xsrf", &xsrf)]).await.is(403);
    assert!(refused.text().contains("must change the password"), "{}", refused.text());
    world.app.auth.require_password_change("root", &alice, false).await.expect("stored");
    world.start_server("alice").await;
}
