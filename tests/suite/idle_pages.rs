//! What people see of idle servers, and what they can do about it: the home page, an administrator's page of a user, the
//! platform's endpoints, the notice before the end, and the words after it.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client, Wire, xsrf_of};
use crate::fake::{Behaviour, Hearing, TAKEN};
use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);
/// Servers here stop after an hour, and can be given three more.
const AN_HOUR: [(&str, &str); 2] =
    [("SLIPWAY_SPAWNER_IDLE_AFTER_MINUTES", "60"), ("SLIPWAY_SPAWNER_IDLE_EXTENSION_HOURS", "3")];

async fn call(client: &Client, method: Method, path: &str, body: &Value) -> Answer {
    let xsrf = client.cookies.iter().find(|(name, _)| name == "_xsrf").map(|(_, value)| value.clone());
    let client = client.scripting().with("x-xsrftoken", &xsrf.expect("a form token"));
    let client = client.with("content-type", "application/json");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    client.send(Wire::Http1, method, path, body.into()).await
}

async fn info(client: &Client, user: &str) -> Value {
    call(client, Method::GET, &format!("/hub/api/users/{user}/session-info"), &Value::Null).await.is(200).json()
}

async fn extend(client: &Client, user: &str, body: Value) -> Answer {
    call(client, Method::POST, &format!("/hub/api/users/{user}/extend-session"), &body).await
}

/// Sends the form of the page at `from` that extends the server at `path`.
async fn send_form(browser: &Client, from: &str, path: &str, hours: &str) -> Answer {
    let xsrf = xsrf_of(&browser.get(from).await.is(200).text());
    browser.post_form(&format!("/hub/extend/{path}"), &[("_xsrf", &xsrf), ("hours", hours)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_stopped_nothing_is_shown() {
    let world = World::new().await;
    let (alice, root) = (world.user_with_server("alice").await, world.admin("root").await);
    let off = info(&alice, "alice").await;
    assert_eq!((&off["culler_enabled"], &off["server_active"]), (&json!(false), &json!(true)));
    assert_eq!((&off["timeout_seconds"], &off["time_remaining_seconds"]), (&Value::Null, &Value::Null));
    assert_eq!(off["extensions_available_hours"], 0);
    let refused = extend(&alice, "alice", Value::Null).await.is(400).json();
    assert_eq!(refused, json!({ "success": false, "error": "alice is never stopped for being idle" }));
    for page in [
        alice.get("/hub/home").await.is(200).text(),
        root.get("/hub/admin/users/alice").await.is(200).text(),
        root.get("/hub/admin").await.is(200).text(),
    ] {
        assert!(!page.contains("idle") && !page.contains("if nobody uses it"), "{page}");
    }
    send_form(&alice, "/hub/home", "alice", "1").await.is(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_is_in_whole_hours_and_what_is_more_than_offered_is_cut_and_said() {
    let world = World::with(&AN_HOUR).await;
    let alice = world.user("alice").await;
    let before = info(&alice, "alice").await;
    assert_eq!((&before["culler_enabled"], &before["server_active"]), (&json!(true), &json!(false)));
    assert_eq!((&before["timeout_seconds"], &before["max_extension_hours"]), (&json!(3600), &json!(3)));
    assert_eq!(extend(&alice, "alice", Value::Null).await.is(400).json()["error"], "alice is not running");
    world.start_server("alice").await;
    world.clock.advance(30 * MINUTE);

    let half = info(&alice, "alice").await;
    assert_eq!((&half["time_remaining_seconds"], &half["extensions_available_hours"]), (&json!(1800), &json!(3)));
    assert_eq!(half["display_ceiling_seconds"], 3600);
    for bad in [json!({ "hours": 0 }), json!({ "hours": -2 }), json!({ "hours": "2" }), json!([]), json!({ "evil": 1 })]
    {
        let refused = extend(&alice, "alice", bad.clone()).await.is(400).json();
        assert_eq!(refused["success"], false, "{bad}");
    }
    let one = extend(&alice, "alice", json!({ "hours": 1.9 })).await.is(200).json();
    assert_eq!((&one["success"], &one["truncated"]), (&json!(true), &json!(false)));
    assert_eq!(one["session_info"], json!({ "time_remaining_seconds": 5400, "extensions_available_hours": 2 }));
    let all = extend(&alice, "alice", json!({ "hours": 99 })).await.is(200).json();
    assert_eq!(all["truncated"], true);
    assert_eq!(all["session_info"], json!({ "time_remaining_seconds": 14_400, "extensions_available_hours": 0 }));
    let refused = extend(&alice, "alice", Value::Null).await.is(400).json();
    assert_eq!(refused["error"], "alice has all the time that can be given");

    // Nobody else's business, and the audit log has it.
    let bob = world.user("bob").await;
    call(&bob, Method::GET, "/hub/api/users/alice/session-info", &Value::Null).await.is(403);
    extend(&bob, "alice", Value::Null).await.is(403);
    let root = world.admin("root").await;
    extend(&root, "nobody", Value::Null).await.is(404);
    call(&root, Method::GET, "/hub/api/users/nobody/session-info", &Value::Null).await.is(404);
    call(&root, Method::GET, "/hub/api/users/alice/servers/gpu/session-info", &Value::Null).await.is(404);
    let rows = world.app.store.audit(50).expect("readable");
    assert_eq!(
        rows.iter().filter(|row| row.act.starts_with("extended") && row.actor == "alice").count(),
        2,
        "{rows:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_reads_and_extends_on_the_home_page_without_a_script() {
    let world = World::with(&AN_HOUR).await;
    let alice = world.user_with_server("alice").await;
    world.clock.advance(45 * MINUTE);
    let home = alice.get("/hub/home").await.is(200).text();
    for words in
        ["if nobody uses it", "in 15 minutes", "Stops soon", "it was started", "value=\"25\"", "3 hours (all there is)"]
    {
        assert!(home.contains(words), "{words}: {home}");
    }
    for bad in ["", "x", "0", "-1", "1.5"] {
        let again = send_form(&alice, "/hub/home", "alice", bad).await.is(400).text();
        assert!(again.contains("Choose a whole number of hours"), "{bad}: {again}");
    }
    let done = send_form(&alice, "/hub/home", "alice", "1").await.is(303);
    assert_eq!(done.header("location"), "/hub/home?extended=");
    let home = alice.get(done.header("location")).await.is(200).text();
    assert!(home.contains("Extended.") && home.contains("in 1 hour and 15 minutes"), "{home}");
    let cut = send_form(&alice, "/hub/home", "alice", "48").await.is(303);
    assert_eq!(cut.header("location"), "/hub/home?extended=&cut=1");
    let home = alice.get(cut.header("location")).await.is(200).text();
    assert!(home.contains("less than you asked for") && home.contains("in 4 hours"), "{home}");
    assert!(home.contains("as much time as can be given") && !home.contains("name=\"hours\""), "{home}");
    let full = send_form(&alice, "/hub/home", "alice", "1").await.is(400).text();
    assert!(full.contains("all the time that can be given"), "{full}");

    let bob = world.user("bob").await;
    send_form(&bob, "/hub/home", "alice", "1").await.is(404);
    send_form(&alice, "/hub/home", "nobody", "1").await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_extends_on_the_page_of_a_user_and_it_is_audited_as_theirs() {
    let world = World::with(&AN_HOUR).await;
    let _alice = world.user_with_server("alice").await;
    let root = world.admin("root").await;
    world.clock.advance(50 * MINUTE);
    let list = root.get("/hub/admin?show=idle").await.is(200).text();
    assert!(list.contains("stops in 10 minutes · it was started") && !list.contains(">root</a>"), "{list}");
    let done = send_form(&root, "/hub/admin/users/alice", "alice", "2").await.is(303);
    let page = root.get(done.header("location")).await.is(200).text();
    assert!(page.contains("Extended.") && page.contains("in 2 hours and 10 minutes"), "{page}");
    let refused = send_form(&root, "/hub/admin/users/alice", "alice", "none").await.is(400).text();
    assert!(
        refused.contains("Choose a whole number of hours") && refused.contains("admin/users/alice/rename"),
        "{refused}"
    );
    let list = root.get("/hub/admin?show=idle").await.is(200).text();
    assert!(list.contains("No server is about to be stopped"), "{list}");
    let rows = world.app.store.audit(50).expect("readable");
    assert!(
        rows.iter().any(|row| row.act.starts_with("extended") && row.actor == "root" && row.from.is_some()),
        "{rows:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn named_servers_have_their_own_time() {
    let mut settings = AN_HOUR.to_vec();
    settings.push(("SLIPWAY_SPAWNER_NAMED_SERVERS_PER_USER", "2"));
    let world = World::with(&settings).await;
    let alice = world.user_with_server("alice").await;
    let xsrf = xsrf_of(&alice.get("/hub/home").await.is(200).text());
    alice.post_form("/hub/home", &[("_xsrf", &xsrf), ("name", "gpu")]).await.is(303);
    let gpu = slipway::model::ServerKey {
        name: slipway::model::ServerName::parse("gpu").expect("a name"),
        ..crate::world::server("alice")
    };
    let mut watch = world.app.spawner.watch(&gpu);
    let ready = watch.wait_for(|status| status.state == slipway::model::ServerState::Ready);
    tokio::time::timeout(crate::client::ANSWER_LIMIT, ready).await.expect("in time").expect("it is ready");
    world.clock.advance(20 * MINUTE);
    let path = "/hub/api/users/alice/servers/gpu";
    let done =
        call(&alice, Method::POST, &format!("{path}/extend-session"), &json!({ "hours": 2 })).await.is(200).json();
    assert_eq!(done["session_info"]["time_remaining_seconds"], 9600);
    let gpu = call(&alice, Method::GET, &format!("{path}/session-info"), &Value::Null).await.is(200).json();
    assert_eq!(gpu["time_remaining_seconds"], 9600);
    assert_eq!(info(&alice, "alice").await["time_remaining_seconds"], 2400);
    // All that is left to give: exactly to the ceiling.
    let back = send_form(&alice, "/hub/home", "alice/gpu", "1").await.is(303);
    assert_eq!(back.header("location"), "/hub/home?extended=gpu");
    let home = alice.get("/hub/home?extended=gpu").await.is(200).text();
    assert!(home.contains("in 40 minutes") && home.contains("in 4 hours"), "{home}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_says_when_its_members_servers_are_stopped_at_once_and_all_of_it_is_exported() {
    let world = World::with(&AN_HOUR).await;
    let (alice, root) = (world.user_with_server("alice").await, world.admin("root").await);
    let xsrf = xsrf_of(&root.get("/hub/groups").await.is(200).text());
    root.post_form("/hub/groups", &[("_xsrf", &xsrf), ("name", "night")]).await.is(303);
    let xsrf = xsrf_of(&root.get("/hub/groups/night").await.is(200).text());
    let save = |fields: Vec<(&'static str, &'static str)>| {
        let (root, xsrf) = (root.clone(), xsrf.clone());
        async move {
            let fields: Vec<_> = std::iter::once(("_xsrf", xsrf.as_str())).chain(fields).collect();
            root.post_form("/hub/groups/night", &fields).await
        }
    };
    let refused = save(vec![("idle_active", "1"), ("idle_after_minutes", "two"), ("idle_max_age_hours", "-1")]).await;
    let refused = refused.is(400).text();
    assert!(refused.contains("This is no whole number.") && refused.contains("not -1"), "{refused}");
    let wished = [
        ("idle_active", "1"),
        ("idle_after_minutes", "120"),
        ("idle_max_age_hours", "48"),
        ("idle_extension_hours", "5"),
        ("idle_stops_busy_kernels", "1"),
    ];
    save(wished.to_vec()).await.is(303);
    let page = root.get("/hub/groups/night").await.is(200).text();
    assert!(page.contains("value=\"120\"") && page.contains("value=\"48\"") && page.contains("value=\"5\""), "{page}");
    assert!(root.get("/hub/groups").await.is(200).text().contains("Stopped when idle"), "the list has its badge");

    assert_eq!(info(&alice, "alice").await["timeout_seconds"], 3600);
    let names = json!({ "users": ["alice"] });
    call(&root, Method::POST, "/hub/api/groups/night/users", &names).await.is(200);
    let now = info(&alice, "alice").await;
    assert_eq!((&now["timeout_seconds"], &now["max_extension_hours"]), (&json!(7200), &json!(5)), "it holds at once");
    let grants = alice.get("/hub/grants").await.is(200).text();
    assert!(grants.contains("holds at once") && grants.contains("night"), "{grants}");

    let config = call(&root, Method::GET, "/hub/api/admin/groups/night/config", &Value::Null).await.is(200).json();
    assert_eq!(
        (&config["config"]["idle_after_minutes"], &config["config"]["idle_extension_hours"]),
        (&json!(120), &json!(5))
    );
    let exported = call(&root, Method::GET, "/hub/api/admin/groups", &Value::Null).await.is(200).json();
    call(&root, Method::DELETE, "/hub/api/admin/groups/night/delete", &Value::Null).await.is(200);
    call(&root, Method::POST, "/hub/api/admin/groups/import", &exported).await.is(200);
    let again = call(&root, Method::GET, "/hub/api/admin/groups/night/config", &Value::Null).await.is(200).json();
    assert_eq!(again["config"], config["config"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_works_in_it_is_told_before_the_end_and_everybody_why_after_it() {
    let mut settings = AN_HOUR.to_vec();
    settings.push(("SLIPWAY_SPAWNER_IDLE_CHECK_INTERVAL_S", "5"));
    settings.push(("SLIPWAY_SPAWNER_IDLE_WARN_BEFORE_MINUTES", "10"));
    let world = World::with(&settings).await;
    world.backend.behave("alice", Behaviour::Hears(Hearing::Waits));
    let alice = world.user_with_server("alice").await;
    let ear = world.backend.ear.clone();
    world.clock.advance(51 * MINUTE);
    tokio::time::timeout(crate::client::ANSWER_LIMIT, ear.until_busy(1)).await.expect("alice's server is told");
    let heard = ear.heard.lock()[0].clone();
    let (head, body) = heard.split_once("\r\n\r\n").expect("a head and a body");
    assert!(
        head.starts_with("POST /user/alice/jupyterlab-notifications-extension/ingest?no_track_activity=1"),
        "{head}"
    );
    let notice: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((&notice["type"], &notice["autoClose"]), (&json!("warning"), &json!(false)));
    let message = notice["message"].as_str().expect("a text");
    assert_eq!(
        message,
        "This server stops in 9 minutes because nobody uses it. Extend it on the home page or run something."
    );
    assert!(message.chars().count() <= 140);
    ear.let_go();
    // It is nobody's broadcast.
    let root = world.admin("root").await;
    let sent = call(&root, Method::GET, "/hub/api/notifications/sent", &Value::Null).await.is(200).json();
    assert_eq!(sent, json!({ "notifications": [] }));
    assert!(world.app.store.audit(50).expect("readable").iter().all(|row| row.act != "sent a notice"));

    world.clock.advance(30 * MINUTE);
    world.wait_until("alice", "stopped", |status| status.state == slipway::model::ServerState::Stopped).await;
    let why = ["Slipway stopped it at ", "because nobody used it since ", "Files are kept."];
    let home = alice.get("/hub/home").await.is(200).text();
    assert!(why.iter().all(|words| home.contains(words)), "{home}");
    let page = root.get("/hub/admin/users/alice").await.is(200).text();
    assert!(why.iter().all(|words| page.contains(words)), "{page}");
    world.backend.behave("alice", Behaviour::WaitsInCreate);
    let world = world.restart().await;
    let alice = world.sign_in("alice").await;
    let start = alice.get("/hub/spawn-pending/alice").await.is(200).text();
    assert!(why.iter().all(|words| start.contains(words)), "the start page says so, also after a restart: {start}");
    world.backend.let_go();
    world.wait_until("alice", "ready", |status| status.state == slipway::model::ServerState::Ready).await;
    world.stop_server("alice").await;
    let home = alice.get("/hub/home").await.is(200).text();
    assert!(!home.contains("Slipway stopped it"), "who stops it knows why: {home}");
}

/// A server whose program knows no notices is stopped all the same; the log says so, and nothing else is disturbed.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_told_is_stopped_all_the_same() {
    let mut settings = AN_HOUR.to_vec();
    settings.push(("SLIPWAY_SPAWNER_IDLE_CHECK_INTERVAL_S", "5"));
    let world = World::with(&settings).await;
    world
        .backend
        .behave("bob", Behaviour::Hears(Hearing::Says("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".into())));
    world.backend.behave("carol", Behaviour::Hears(Hearing::Says(TAKEN.to_owned())));
    world.user_with_server("bob").await;
    world.user_with_server("carol").await;
    world.clock.advance(55 * MINUTE);
    let told = async {
        while world.backend.ear.heard.lock().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::client::ANSWER_LIMIT, told).await.expect("both are told");
    world.clock.advance(30 * MINUTE);
    for name in ["bob", "carol"] {
        world.wait_until(name, "stopped", |status| status.state == slipway::model::ServerState::Stopped).await;
    }
}
