//! Notices to running servers: the true reason of every failure, bounds, tokens that end, and a history that is kept.

use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client, Wire};
use crate::fake::{Behaviour, Hearing, TAKEN};
use crate::world::World;

const BROADCAST: &str = "/hub/api/notifications/broadcast";

/// A program of an administrator, with a token that holds these scopes.
async fn program(world: &World, scopes: &[&str]) -> Client {
    if world.app.auth.user(&crate::world::server("root").user).is_none() {
        world.add_user("root", true).await;
    }
    let root = world.sign_in("root").await.scripting();
    let body = json!({ "note": "notices", "scopes": scopes }).to_string();
    let xsrf = root.cookies.iter().find(|(name, _)| name == "_xsrf").map(|(_, value)| value.clone());
    let root = root.with("x-xsrftoken", &xsrf.expect("a form token")).with("content-type", "application/json");
    let made = root.send(Wire::Http1, Method::POST, "/hub/api/users/root/tokens", body.into()).await.is(201);
    let token = made.json()["token"].as_str().expect("a token").to_owned();
    world.client().with("authorization", &format!("token {token}"))
}

async fn send(client: &Client, wish: &Value) -> Answer {
    client.send(Wire::Http1, Method::POST, BROADCAST, wish.to_string().into()).await
}

/// A user whose server makes this of notices.
async fn hearer(world: &World, name: &str, hearing: Hearing) {
    world.backend.behave(name, Behaviour::Hears(hearing));
    world.add_user(name, false).await;
    world.start_server(name).await;
}

fn says(status: &str) -> Hearing {
    Hearing::Says(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"))
}

fn taken() -> Hearing {
    Hearing::Says(TAKEN.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_told_or_the_true_reason_is_said() {
    let world = World::new().await;
    let root = program(&world, &["admin:servers"]).await;
    let reasons = [
        ("alice", taken(), None),
        ("bare", says("404 Not Found"), Some("The notifications extension is not installed on this server (HTTP 404)")),
        ("closed", Hearing::Says(String::new()), Some("The server is not responding: no connection")),
        ("endless", Hearing::Endless, Some("The server's answer makes no sense")),
        ("failing", says("500 Oops"), Some("The server failed (HTTP 500)")),
        ("forbids", says("403 Forbidden"), Some("Authentication failed: the server refused our token (HTTP 403)")),
        ("moved", says("302 Found\r\nlocation: http://127.0.0.1:1/"), Some("The server did not take it (HTTP 302)")),
        ("odd", Hearing::Says("SSH-2.0-OpenSSH_9.2\r\n".into()), Some("The server's answer makes no sense")),
        ("other", says("200 OK"), Some("The server's answer makes no sense")),
        ("silent", Hearing::Silence, Some("The server did not answer within 5 s")),
        ("unsure", says("401 Who"), Some("Authentication failed: the server refused our token (HTTP 401)")),
    ];
    for (name, hearing, _) in &reasons {
        hearer(&world, name, hearing.clone()).await;
    }
    world.add_user("idle", false).await;
    let recipients: Vec<_> = reasons.iter().map(|(name, _, _)| *name).chain(["idle", "nobody", "no/name"]).collect();
    let wish = json!({ "message": " Save your work 🚢\r\n", "variant": "warning", "autoClose": 30_000, "recipients": recipients });
    let result = send(&root, &wish).await.is(200).json();
    assert_eq!((&result["total"], &result["successful"], &result["failed"]), (&json!(12), &json!(1), &json!(11)));
    for (name, _, reason) in reasons.iter().chain(&[("idle", taken(), Some("The server is not running"))]) {
        let expected = match reason {
            None => json!({ "username": name, "status": "success" }),
            Some(reason) => json!({ "username": name, "status": "failed", "error": reason }),
        };
        let details = result["details"].as_array().expect("a list");
        assert!(details.contains(&expected), "{expected} in {result}");
    }

    // What the server was sent, and nothing else of ours: its own address, its own kind of token, no cookie.
    let heard = world.backend.ear.heard.lock().iter().find(|request| request.contains("/user/alice/")).cloned();
    let heard = heard.expect("alice's server was told");
    let (head, body) = heard.split_once("\r\n\r\n").expect("a head and a body");
    assert!(
        head.starts_with("POST /user/alice/jupyterlab-notifications-extension/ingest?no_track_activity=1 HTTP/1.1")
    );
    assert!(!head.contains("cookie"), "{head}");
    let expected = json!({
        "message": "Save your work 🚢", "type": "warning", "autoClose": 30_000, "immediate": true,
        "actions": [{ "label": "Dismiss", "caption": "Close this notification", "displayType": "default" }],
    });
    assert_eq!(serde_json::from_str::<Value>(body).expect("JSON"), expected);

    // Trap 48: nothing of all this is left.
    let tokens: Vec<_> = world.backend.ear.heard.lock().iter().map(|request| token_in(request)).collect();
    assert_eq!(tokens.len(), 11);
    for token in &tokens {
        assert!(world.app.auth.token_of(token).is_none(), "a token outlives its notice");
    }
    assert!(world.app.store.tokens().expect("readable").iter().all(|row| row.note != "errand"));
    let sent = root.get("/hub/api/notifications/sent").await.is(200).json();
    let first = &sent["notifications"][0];
    assert_eq!((&first["delivered"], &first["total"], &first["type"]), (&json!(1), &json!(12), &json!("warning")));
    assert_eq!(first["message"], "Save your work 🚢");
    let audit = world.app.store.audit(50).expect("readable");
    let row = audit.iter().find(|row| row.act == "sent a notice").expect("it is in the audit log");
    assert_eq!((row.actor.as_str(), row.object.as_str()), ("root", "12 servers: Save your work 🚢"));
    assert!(row.token.is_some() && row.from.is_some());
}

fn token_in(request: &str) -> String {
    let line = request.split("authorization: Bearer ").nth(1).and_then(|rest| rest.split("\r\n").next());
    line.expect("a token").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_are_told_at_once_each_by_a_token_for_itself_and_one_notice_at_a_time() {
    let world = World::with(&[("SLIPWAY_NOTICES_CONCURRENCY", "3")]).await;
    let root = program(&world, &["admin:servers"]).await;
    for number in 0..8 {
        hearer(&world, &format!("user-{number}"), Hearing::Waits).await;
    }
    let ear = world.backend.ear.clone();
    let sender = root.clone();
    let sending = tokio::spawn(async move { send(&sender, &json!({ "message": "hello" })).await });
    ear.until_busy(3).await;

    // As the single-user server would: it asks who comes with this token.
    let (name, token) = {
        let heard = ear.heard.lock();
        let name = heard[0].split("/user/").nth(1).and_then(|rest| rest.split('/').next()).expect("a name").to_owned();
        (name, token_in(&heard[0]))
    };
    let bearer = world.client().with("authorization", &format!("token {token}"));
    let who = bearer.get("/hub/api/user").await.is(200).json();
    assert_eq!(who["name"], json!(name));
    let scopes = [
        format!("access:servers!server={name}/"),
        format!("read:users:groups!user={name}"),
        format!("read:users:name!user={name}"),
    ];
    assert_eq!(who["scopes"], json!(scopes));
    let other = if name == "user-0" { "user-1" } else { "user-0" };
    bearer.get(&format!("/user/{other}/api")).await.is(404);

    let second = send(&root, &json!({ "message": "me too" })).await.is(429);
    assert_eq!(second.header("retry-after"), "5");
    for left in (0..8).rev() {
        ear.let_go();
        ear.until_busy(left.min(3)).await;
    }
    let result = sending.await.expect("no panic").is(200).json();
    assert_eq!((&result["successful"], &result["failed"]), (&json!(8), &json!(0)), "{result}");
    assert_eq!(ear.most_at_once(), 3);
    bearer.get("/hub/api/user").await.is(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_notice_is_refused_and_nobody_is_told() {
    let world = World::new().await;
    let root = program(&world, &["admin:servers"]).await;
    let nobody = send(&root, &json!({ "message": "hello" })).await.is(200).json();
    assert_eq!((&nobody["total"], &nobody["details"]), (&json!(0), &json!([])));
    assert!(nobody["message"].is_string());
    hearer(&world, "alice", taken()).await;
    for wish in [
        json!({}),
        json!({ "message": " \u{feff}\n" }),
        json!({ "message": 7 }),
        json!({ "message": "🚢".repeat(141) }),
        json!({ "message": "hello", "variant": "loud" }),
        json!({ "message": "hello", "autoClose": -1 }),
        json!({ "message": "hello", "autoClose": 86_400_001 }),
        json!({ "message": "hello", "autoClose": "soon" }),
        json!({ "message": "hello", "recipients": [] }),
        json!({ "message": "hello", "recipients": "alice" }),
        json!({ "message": "hello", "recipients": vec!["x"; 10_001] }),
        json!({ "message": "hello", "evil": true }),
        json!([]),
    ] {
        send(&root, &wish).await.is(400);
    }
    root.send(Wire::Http1, Method::POST, BROADCAST, "{".into()).await.is(400);
    let strangers = send(&root, &json!({ "message": "hello", "recipients": ["nobody"] })).await.is(200).json();
    assert_eq!(strangers["total"], 0);
    assert!(world.backend.ear.heard.lock().is_empty());
    assert_eq!(root.get("/hub/api/notifications/sent").await.is(200).json()["notifications"], json!([]));
    // Trap 47: an administrator's token is not his whole power.
    let narrow = program(&world, &["admin:users", "admin:servers!user=alice"]).await;
    send(&narrow, &json!({ "message": "hello" })).await.is(404);
    let none = program(&world, &["admin:users"]).await;
    send(&none, &json!({ "message": "hello" })).await.is(403);
    let exact = send(&root, &json!({ "message": "🚢".repeat(140), "variant": "in-progress" })).await.is(200).json();
    assert_eq!(exact["successful"], 1);
    let active = root.get("/hub/api/notifications/active-servers").await.is(200).json();
    assert_eq!(active, json!({ "servers": [{ "username": "alice" }] }));
    let cleared = root.send(Wire::Http1, Method::DELETE, "/hub/api/notifications/sent", Default::default()).await;
    assert_eq!(cleared.is(200).json(), json!({ "cleared": 1 }));
    let audit = world.app.store.audit(5).expect("readable");
    assert_eq!((audit[0].act.as_str(), audit[0].object.as_str()), ("cleared the history of notices", "1 notices"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_goes_on_without_its_sender_and_the_page_tells_what_became_of_it() {
    let world = World::new().await;
    let mut root = world.admin("root").await;
    hearer(&world, "alice", taken()).await;
    hearer(&world, "bob", says("404 Not Found")).await;
    let page = root.get("/hub/notifications").await.is(200);
    root = crate::world::take_cookies(root, &page);
    let xsrf = crate::world::xsrf_of(&page.text());
    let form = |message: &'static str, more: &[(&'static str, &'static str)]| {
        let fields = [("_xsrf", xsrf.clone()), ("act", "send".into()), ("message", message.into())];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        fields.into_iter().chain(more).collect::<Vec<_>>()
    };
    let post = async |fields: Vec<(&'static str, String)>| {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        root.post_form("/hub/notifications", &fields).await
    };
    // Nothing typed is lost, and the reason stands beside the field.
    let refused = post(form("<b>kept</b>", &[("audience", "some"), ("kind", "error")])).await.is(400).text();
    assert!(
        refused.contains("&lt;b&gt;kept&lt;&#x2f;b&gt;") && refused.contains("id=\"audience-problem\""),
        "{refused}"
    );
    assert!(refused.contains("<option value=\"error\" selected>"));
    let found = post(form("x", &[("act", "find"), ("find", "BO"), ("to", "alice")])).await.is(200).text();
    assert!(found.contains("value=\"bob\">") && found.contains("value=\"alice\" checked>"), "{found}");
    let over = post(form("x", &[("audience", "all"), ("kind", "success"), ("auto_close", "60000")])).await.is(303);
    let result = root.get(over.header("location")).await.is(200).text();
    assert!(result.contains("Delivered to 1 of 2") && result.contains("extension is not installed"), "{result}");
    let list = root.get("/hub/notifications").await.is(200).text();
    assert!(list.contains("1 of 2") && list.contains("Who did not get it"));

    // A server that waits: the sender goes away, and the notice goes on.
    hearer(&world, "carol", Hearing::Waits).await;
    let program = program(&world, &["admin:servers"]).await;
    let sender =
        tokio::spawn(async move { send(&program, &json!({ "message": "later", "recipients": ["carol"] })).await });
    world.backend.ear.until_busy(1).await;
    sender.abort();
    let under_way = root.get("/hub/notifications/2").await.is(200).text();
    assert!(under_way.contains("On its way") && under_way.contains("data-under-way"), "{under_way}");
    world.backend.ear.let_go();
    loop {
        let rows = world.app.store.notices(1).expect("readable");
        if rows[0].is_over {
            assert_eq!(rows[0].delivered, 1);
            break;
        }
        tokio::task::yield_now().await;
    }
    let cleared = root.post_form("/hub/notifications/clear", &[("_xsrf", &xsrf)]).await.is(303);
    assert_eq!(cleared.header("location"), "/hub/notifications");
    assert!(root.get("/hub/notifications").await.is(200).text().contains("Nothing was sent yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_a_crash_cut_short_is_shown_as_interrupted() {
    let world = World::new().await;
    world.add_user("root", true).await;
    let row = slipway::store::NoticeRow {
        id: slipway::store::NoticeId(0),
        message: slipway::model::NoticeText::parse("half way").expect("short"),
        kind: slipway::model::NoticeKind::Info,
        auto_close: slipway::model::AutoClose::Never,
        by: "root".into(),
        sent_at: slipway::model::Timestamp(1_795_313_227_732),
        total: 3,
        delivered: 0,
        is_over: false,
        deliveries: Vec::new(),
    };
    let added = world.app.store.write(|t| {
        let id = t.next_notice_id()?;
        t.add_notice(&slipway::store::NoticeRow { id, ..row })
    });
    added.expect("written");
    let world = world.restart().await;
    let root = world.sign_in("root").await;
    assert!(root.get("/hub/notifications").await.is(200).text().contains("Interrupted"));
    assert!(root.get("/hub/notifications/1").await.is(200).text().contains("send it again if it still matters"));
}

/// The page of a thousand people stays below 100 KiB.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_lists_two_hundred_people_and_finds_the_others() {
    let world = World::new().await;
    let mut root = world.admin("root").await;
    for number in 0..210 {
        let name = format!("{}-{number:03}", "a-rather-long-name-of-a-person-who-works-here");
        hearer(&world, &name, taken()).await;
    }
    let page = root.get("/hub/notifications").await.is(200);
    root = crate::world::take_cookies(root, &page);
    let text = page.text();
    assert!(text.len() < 100 << 10, "{} bytes", text.len());
    assert_eq!(text.matches("name=\"to\"").count(), 200);
    assert!(text.contains("10 more: find them by name.") && text.contains("data-all="));
    let xsrf = crate::world::xsrf_of(&text);
    let fields = [("_xsrf", xsrf.as_str()), ("act", "find"), ("find", "-209"), ("message", "x")];
    let found = root.post_form("/hub/notifications", &fields).await.is(200).text();
    assert_eq!(found.matches("name=\"to\"").count(), 1);
}
