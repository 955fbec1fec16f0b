//! Start pages, stops, and addresses of servers that are not there.

use axum::http::Method;

use super::engine::Behaviour;
use super::world::{World, server};
use crate::model::{ServerKey, ServerName, ServerState};
use crate::spawner::{self, NamedServers, Profile, Wish};

fn reload_url(page: &str) -> String {
    let refresh = page.split("http-equiv=\"refresh\"").nth(1).and_then(|rest| rest.split("url=").nth(1));
    let url = refresh.and_then(|rest| rest.split('"').next()).expect("a page that reloads itself");
    url.replace("&#x2f;", "/").replace("&amp;", "&")
}

#[tokio::test]
async fn a_visit_to_ones_own_server_starts_it_and_goes_on_to_the_very_address() {
    let world = World::new().await;
    let alice = world.user("alice").await.navigating();
    world.engine.behave(Behaviour::Waits);
    let first = alice.get("/user/alice/lab/tree/a%20b?reset=1&x=%2F").await.is(303);
    assert_eq!(
        first.location(),
        "/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab%2Ftree%2Fa%2520b%3Freset%3D1%26x%3D%252F"
    );
    assert_eq!(world.spawner.active().len(), 0, "the redirect itself starts nothing");
    let page = alice.get(first.location()).await.is(200);
    assert!(page.text.contains("Starting your server") && page.text.contains("data-progress-url"));
    assert_eq!(world.spawner.active().len(), 1);
    let reload = reload_url(&page.text);
    assert!(reload.ends_with("&start=1"), "{reload}");
    world.engine.let_go();
    world.until("alice", |status| status.state == ServerState::Ready).await;
    assert_eq!(alice.get(&reload).await.is(302).location(), "/user/alice/lab/tree/a%20b?reset=1&x=%2F");
}

#[tokio::test]
async fn a_failed_start_says_why_and_a_button_tries_again() {
    let world = World::new().await;
    let alice = world.user("alice").await.navigating();
    world.engine.behave(Behaviour::Exits);
    let page = alice.get("/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Fx").await.is(200);
    let reload = reload_url(&page.text);
    world.until("alice", |status| matches!(status.state, ServerState::Failed(_))).await;
    let failed = alice.get(&reload).await.is(500);
    assert!(failed.text.contains("the last words &lt;b&gt;") && failed.text.contains("<dd>7</dd>"), "{}", failed.text);
    assert!(failed.text.contains("spawn&#x2f;alice?next=%2Fuser%2Falice%2Fx"), "{}", failed.text);
    // Looking again shows the same; only a fresh visit or the button tries again.
    alice.get(&reload).await.is(500);
    assert!(alice.get("/hub/home").await.text.contains("the last words"));
    world.engine.behave(Behaviour::Answers);
    let again = alice.post("/hub/spawn/alice?next=%2Fuser%2Falice%2Fx", &[]).await.is(303);
    assert_eq!(again.location(), "/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Fx");
    world.until("alice", |status| status.state == ServerState::Ready).await;
    assert_eq!(alice.get(again.location()).await.is(302).location(), "/user/alice/x");
}

#[tokio::test]
async fn without_lazy_start_a_button_starts() {
    let world = World::with(|config, _| config.lazy_start = false).await;
    let alice = world.user("alice").await.navigating();
    let page = alice.get("/user/alice/lab?x=1").await.is(424);
    assert!(page.text.contains("Start my server"));
    alice.get("/hub/spawn-pending/alice").await.is(200);
    assert_eq!(world.spawner.active().len(), 0);
    alice.post("/hub/spawn/alice?next=%2Fuser%2Falice%2Flab", &[]).await.is(303);
    assert_eq!(world.spawner.active().len(), 1);
}

#[tokio::test]
async fn a_stop_ends_it_and_the_watching_page_does_not_start_it_again() {
    let world = World::new().await;
    let alice = world.user("alice").await.navigating();
    world.engine.behave(Behaviour::Waits);
    let page = alice.get("/hub/spawn-pending/alice").await.is(200);
    let reload = reload_url(&page.text);
    assert_eq!(alice.post("/hub/stop/alice", &[]).await.is(303).location(), "/hub/home");
    world.engine.let_go();
    world.until("alice", |status| status.state == ServerState::Stopped).await;
    let stopped = alice.get(&reload).await.is(200);
    assert!(stopped.text.contains("is not running") && stopped.text.contains("Start my server"));
}

#[tokio::test]
async fn a_program_is_told_and_starts_nothing() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    for accept in ["application/json", "*/*"] {
        let answer = alice.clone().with("accept", accept).get("/user/alice/api/contents?x=1").await.is(424);
        let message = answer.json()["message"].as_str().expect("a message").to_owned();
        assert_eq!(
            message,
            "JupyterHub server no longer running at /user/alice/api/contents. \
             Restart the server at https://lab.test:8443/hub/spawn/alice"
        );
    }
    // A page's address with `api` in it is a program's, too; and no form token is asked for what changes nothing.
    alice.clone().navigating().get("/user/alice/api/kernels").await.is(424);
    alice.send(Method::POST, "/user/alice/api/sessions", "application/json", "{}").await.is(424);
    assert_eq!(world.spawner.active().len(), 0);
    world.engine.behave(Behaviour::Waits);
    world.spawner.start(&server("alice"), Wish::of("test")).await.expect("a start");
    let answer = alice.get("/user/alice/api/contents").await.is(503);
    assert_eq!(answer.header("retry-after"), "2");
}

#[tokio::test]
async fn somebody_elses_server_and_nobodys_are_not_there_in_the_same_words() {
    let world = World::new().await;
    world.user("alice").await;
    let bob = world.user("bob").await.navigating();
    for path in ["/user/{}/lab", "/hub/spawn/{}", "/hub/spawn-pending/{}", "/hub/user/{}/lab"] {
        let theirs = bob.get(&path.replace("{}", "alice")).await.is(404);
        let nobodys = bob.get(&path.replace("{}", "nobody")).await.is(404);
        let without_token = |text: &str| text.replace(&theirs.form_token(), "").replace(&nobodys.form_token(), "");
        assert_eq!(without_token(&theirs.text), without_token(&nobodys.text), "{path}");
    }
    bob.get("/user/Alice/lab").await.is(404);
    bob.post("/hub/stop/alice", &[]).await.is(404);
    bob.post("/hub/spawn/alice", &[]).await.is(404);
    let script = world.signed_in("bob").await.get("/user/alice/api/x").await.is(404);
    assert_eq!(script.json()["message"], "No access to resources or resources not found");
}

#[tokio::test]
async fn a_stranger_is_sent_to_sign_in_and_a_program_is_refused() {
    let world = World::new().await;
    world.user("alice").await;
    let answer = world.stranger().navigating().get("/user/alice/lab?x=1").await.is(302);
    assert_eq!(answer.location(), "/hub/login?next=%2Fuser%2Falice%2Flab%3Fx%3D1");
    let answer = world.stranger().get("/user/alice/api/contents").await.is(403);
    assert_eq!(answer.json()["message"], "Missing or invalid credentials.");
    let answer = world.stranger().navigating().get("/hub/spawn-pending/alice?next=%2Fx").await.is(302);
    assert_eq!(answer.location(), "/hub/login?next=%2Fhub%2Fspawn-pending%2Falice%3Fnext%3D%252Fx");
}

#[tokio::test]
async fn an_administrators_visit_starts_nobodys_server() {
    let world = World::new().await;
    world.user("alice").await;
    let root = world.admin("root").await.navigating();
    let first = root.get("/user/alice/lab").await.is(303);
    let page = root.get(first.location()).await.is(200);
    assert!(page.text.contains("alice’s server is not running"), "{}", page.text);
    assert_eq!(world.spawner.active().len(), 0);
    root.post("/hub/spawn/alice", &[]).await.is(303);
    assert_eq!(world.spawner.active().len(), 1);
}

#[tokio::test]
async fn a_link_for_everybody_leads_to_ones_own_server() {
    let world = World::new().await;
    let alice = world.user("alice").await.navigating();
    let answer = alice.get("/hub/user-redirect/git-pull?repo=a%2Fb").await.is(302);
    assert_eq!(answer.location(), "/hub/spawn/alice?next=%2Fuser%2Falice%2Fgit-pull%3Frepo%3Da%252Fb");
    let answer = alice.get("/hub/user/alice/lab").await.is(303);
    assert_eq!(answer.location(), "/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab");
}

#[tokio::test]
async fn a_named_server_is_found_by_its_name_and_made_by_the_button_alone() {
    let servers = spawner::Config {
        named_servers_per_user: NamedServers::AtMost(1),
        profiles: vec![Profile { name: "small".into(), ..Profile::default() }],
        ..spawner::Config::default()
    };
    let world = World::with_servers(servers, |_, _| {}).await;
    let alice = world.user("alice").await.navigating();
    let default_pending = "/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Fgpu%2Flab";
    // No server of that name yet: the address is the default one's, and a link makes none.
    assert_eq!(alice.get("/user/alice/gpu/lab").await.is(303).location(), default_pending);
    alice.get("/hub/spawn-pending/alice/gpu").await.is(404);
    let question = alice.get("/hub/spawn/alice/gpu").await.is(200);
    assert!(question.text.contains("Start a new server “gpu”?"), "{}", question.text);
    alice.post("/hub/stop/alice/gpu", &[]).await.is(404);
    let refused = alice.post("/hub/spawn/alice/gpu", &[("profile", "huge")]).await.is(400);
    assert!(refused.text.contains("not in allowed list: small"), "{}", refused.text);
    assert_eq!(world.spawner.servers_of(&server("alice").user).len(), 1);

    let made = alice.post("/hub/spawn/alice/gpu", &[("profile", "small")]).await.is(303);
    assert_eq!(made.location(), "/hub/spawn-pending/alice/gpu");
    let gpu = ServerKey { name: ServerName::parse("gpu").expect("a name"), ..server("alice") };
    let mut watch = world.spawner.watch(&gpu);
    let ready = watch.wait_for(|status| status.state == ServerState::Ready);
    tokio::time::timeout(std::time::Duration::from_secs(20), ready).await.expect("soon").expect("the spawner lives");
    assert_eq!(world.spawner.record(&gpu).and_then(|record| record.profile.clone()).as_deref(), Some("small"));
    assert_eq!(alice.get("/hub/spawn-pending/alice/gpu").await.is(302).location(), "/user/alice/gpu/");
    alice.post("/hub/spawn/alice/other", &[]).await.is(400);

    alice.post("/hub/stop/alice/gpu", &[]).await.is(303);
    let stopped = watch.wait_for(|status| status.state == ServerState::Stopped);
    tokio::time::timeout(std::time::Duration::from_secs(20), stopped).await.expect("soon").expect("the spawner lives");
    let pending = alice.get("/user/alice/gpu/lab").await.is(303);
    assert_eq!(pending.location(), "/hub/spawn-pending/alice/gpu?next=%2Fuser%2Falice%2Fgpu%2Flab");
    let program = world.signed_in("alice").await.get("/user/alice/gpu/api/contents").await.is(424);
    assert!(program.json()["message"].as_str().is_some_and(|text| text.ends_with("/hub/spawn/alice/gpu")));
    let bob = world.user("bob").await.navigating();
    for path in ["/user/alice/gpu/lab", "/hub/spawn-pending/alice/gpu", "/hub/spawn/alice/gpu"] {
        bob.get(path).await.is(404);
    }
}
