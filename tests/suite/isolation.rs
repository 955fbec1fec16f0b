//! `isolation = "subdomain"`: the hub on its own host, each user's servers on theirs, and a ticket in between.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use slipway::model::{Secret, UserName};

use crate::client::{Answer, Client, Wire};
use crate::world::{World, take_cookies};

const HUB: &str = "lab.slipway.test";
const NAVIGATION: [Wire; 2] = [Wire::Http1, Wire::Http2];

async fn world() -> World {
    World::with(&[
        ("SLIPWAY_ISOLATION", "subdomain"),
        ("SLIPWAY_PUBLIC_URL", "https://lab.slipway.test"),
        // An account that is made anew has a server without an administrator's word.
        ("SLIPWAY_SPAWNER_LEFT_OVER_VOLUMES", "give"),
    ])
    .await
}

fn host_of(user: &str) -> String {
    format!("{user}.{HUB}")
}

/// A person in front of a browser: one jar for each host.
struct Browser {
    hub: Client,
    other: Vec<(String, Client)>,
}

impl Browser {
    async fn sign_in(world: &World, name: &str) -> Self {
        let visitor = world.client().at(HUB).navigating();
        let page = visitor.get("/hub/login").await.is(200);
        let visitor = take_cookies(visitor, &page);
        let xsrf = crate::world::xsrf_of(&page.text());
        let fields = [("username", name), ("password", crate::world::PASSWORD), ("_xsrf", &xsrf)];
        let answer = visitor.post_form("/hub/login?next=/hub/home", &fields).await.is(302);
        Self { hub: take_cookies(visitor, &answer), other: Vec::new() }
    }

    fn at(&mut self, host: &str) -> &mut Client {
        if host == HUB {
            return &mut self.hub;
        }
        let known = self.other.iter().position(|(name, _)| name == host);
        let index = known.unwrap_or_else(|| {
            self.other.push((host.to_owned(), self.hub.at(host)));
            self.other.len() - 1
        });
        &mut self.other[index].1
    }

    /// One step: asks, and keeps the cookies.
    async fn step(&mut self, wire: Wire, host: &str, path: &str) -> Answer {
        let client = self.at(host);
        let answer = client.send(wire, Method::GET, path, Bytes::new()).await;
        *client = take_cookies(client.clone(), &answer);
        answer
    }

    /// Opens an address and follows where it leads; all addresses on the way, and the last answer.
    async fn open(&mut self, wire: Wire, host: &str, path: &str) -> (Vec<String>, Answer) {
        let (mut host, mut path, mut way) = (host.to_owned(), path.to_owned(), Vec::new());
        loop {
            let answer = self.step(wire, &host, &path).await;
            way.push(format!("{host}{path}"));
            if !answer.status.is_redirection() || way.len() > 12 {
                return (way, answer);
            }
            (host, path) = next(&host, answer.header("location"));
        }
    }
}

/// Where a `Location` leads that was found on `host`.
fn next(host: &str, location: &str) -> (String, String) {
    match location.strip_prefix("https://") {
        Some(rest) => {
            let at = rest.find('/').unwrap_or(rest.len());
            (rest[..at].to_owned(), rest[at..].to_owned())
        }
        None => (host.to_owned(), location.to_owned()),
    }
}

async fn world_of_two() -> (World, Browser, Browser) {
    let world = world().await;
    world.user_with_server_at_hub("alice").await;
    world.user_with_server_at_hub("mallory").await;
    let (alice, mallory) = (Browser::sign_in(&world, "alice").await, Browser::sign_in(&world, "mallory").await);
    (world, alice, mallory)
}

impl World {
    async fn user_with_server_at_hub(&self, name: &str) {
        self.add_user(name, false).await;
        self.start_server(name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_comes_to_their_own_host_by_a_ticket_and_stays() {
    let (_world, mut alice, _) = world_of_two().await;
    for wire in NAVIGATION {
        alice.other.clear();
        let (way, answer) = alice.open(wire, HUB, "/user/alice/lab?x=1&y=%2F").await;
        answer.is(200);
        assert_eq!(way.len(), 5, "{way:?}");
        assert!(way[1].starts_with("alice.lab.slipway.test/user/alice/lab?x=1"), "{way:?}");
        assert!(way[2].starts_with("lab.slipway.test/hub/enter?next="), "{way:?}");
        assert!(way[3].starts_with("alice.lab.slipway.test/hub/enter?ticket="), "{way:?}");
        assert_eq!(way[4], "alice.lab.slipway.test/user/alice/lab?x=1&y=%2F");
        let (way, answer) = alice.open(wire, &host_of("alice"), "/user/alice/tree").await;
        answer.is(200);
        assert_eq!(way.len(), 1, "the host's cookie is enough: {way:?}");
        // And so is every other way to send.
        let script = alice.at(&host_of("alice")).scripting();
        for wire in Wire::ALL {
            let status = script.send(wire, Method::GET, "/user/alice/x", Bytes::new()).await.status.as_u16();
            assert!(status == 200 || status == 101, "{wire:?}: {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_of_one_host_is_worth_nothing_on_another() {
    let (_world, mut alice, mut mallory) = world_of_two().await;
    alice.open(Wire::Http1, HUB, "/user/alice/lab").await.1.is(200);
    mallory.open(Wire::Http1, HUB, "/user/mallory/lab").await.1.is(200);
    let cookie_of = |client: &Client| client.cookies.clone();
    let (hubs, hosts) = (cookie_of(&alice.hub), cookie_of(alice.at(&host_of("alice"))));
    let mallorys = cookie_of(mallory.at(&host_of("mallory")));
    let with = |host: &str, cookies: &[(String, String)]| {
        let mut client = alice.hub.at(host).scripting();
        client.cookies = cookies.to_vec();
        client
    };
    for wire in Wire::ALL {
        let ask = async |client: Client, path: &str| client.send(wire, Method::GET, path, Bytes::new()).await.status;
        // The hub's on a user's host, a host's on the hub's, one host's on another.
        assert_eq!(ask(with(&host_of("alice"), &hubs), "/user/alice/x").await, 403, "{wire:?}");
        assert_eq!(ask(with(&host_of("alice"), &mallorys), "/user/alice/x").await, 403, "{wire:?}");
        assert_eq!(ask(with(&host_of("mallory"), &hosts), "/user/mallory/x").await, 403, "{wire:?}");
        assert!(matches!(ask(with(HUB, &hosts), "/hub/api/user").await.as_u16(), 403 | 400 | 404 | 405), "{wire:?}");
        // A right cookie opens its owner's paths and nothing of the hub.
        for path in [
            "/user/mallory/x",
            "/hub/api/user",
            "/hub/api/users",
            "/hub/home",
            "/services/x/",
            "/hub/enter",
            "/hub/static/x",
        ] {
            let status = ask(with(&host_of("alice"), &hosts), path).await.as_u16();
            assert!(matches!(status, 403..=405), "{path} over {wire:?}: {status}");
        }
        // The hub's host has nobody's server, whoever asks.
        assert_eq!(ask(with(HUB, &hubs), "/user/alice/x").await, 404, "{wire:?}");
    }
    // Somebody else's way in ends at the hub.
    let (way, answer) = mallory.open(Wire::Http1, &host_of("alice"), "/user/alice/lab").await;
    answer.is(404);
    assert!(way.last().expect("a way").starts_with("lab.slipway.test/hub/enter"), "{way:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_once_for_one_browser_on_one_host() {
    let (world, mut alice, mut mallory) = world_of_two().await;
    let ticket = async |browser: &mut Browser, user: &str| {
        let host = host_of(user);
        let to_hub = browser.step(Wire::Http1, &host, &format!("/user/{user}/lab")).await.is(303);
        let (at, path) = next(&host, to_hub.header("location"));
        let with_ticket = browser.step(Wire::Http1, &at, &path).await.is(303);
        assert_eq!(with_ticket.header("cache-control"), "no-store");
        next(HUB, with_ticket.header("location")).1
    };
    let is_entered = |answer: &Answer| answer.header("location").starts_with("/user/");

    // By a race of many, one comes in.
    let path = ticket(&mut alice, "alice").await;
    let client = alice.at(&host_of("alice")).clone();
    let racing = (0..16).map(|_| {
        let (client, path) = (client.clone(), path.clone());
        tokio::spawn(async move { client.get(&path).await.is(303) })
    });
    let mut entered = 0;
    for race in racing.collect::<Vec<_>>() {
        entered += usize::from(is_entered(&race.await.expect("an answer")));
    }
    assert_eq!(entered, 1);

    // Not by a script or in a frame, not on another host, not by another browser, not when it is old, not after signing out.
    let client = alice.at(&host_of("alice")).clone();
    let path = ticket(&mut alice, "alice").await;
    client.scripting().get(&path).await.is(403);
    client.clone().with("sec-fetch-dest", "iframe").get(&path).await.is(403);
    let mut wrong = client.at(&host_of("mallory"));
    wrong.cookies = client.cookies.clone();
    assert!(!is_entered(&wrong.get(&path).await.is(303)));
    assert!(!is_entered(&client.get(&path).await.is(303)), "whoever shows it uses it up");
    let path = ticket(&mut mallory, "mallory").await;
    let victim = alice.at(&host_of("mallory")).clone();
    let answer = victim.get(&path).await.is(303);
    assert!(
        !is_entered(&answer) && !answer.header("set-cookie").contains("slipway"),
        "nobody is signed in as somebody else"
    );
    let path = ticket(&mut alice, "alice").await;
    world.clock.advance(Duration::from_secs(31));
    assert!(!is_entered(&alice.at(&host_of("alice")).get(&path).await.is(303)));
    let path = ticket(&mut alice, "alice").await;
    alice.hub.get("/hub/logout").await.is(302);
    assert!(!is_entered(&alice.at(&host_of("alice")).get(&path).await.is(303)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_in_leads_nowhere_else() {
    let (_world, mut alice, _) = world_of_two().await;
    for target in [
        "",
        "https://evil.example/",
        "//evil.example/user/alice/",
        "/\\evil.example",
        "/hub/home",
        "/services/x/",
        "/",
        "/user/",
        "user/alice/",
        "/user//alice/",
        "/user/alice%2F..%2Fx/",
        "/user/Alice/lab",
        "/user/@evil.example/",
    ] {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("next", target)
            .append_pair("state", &"a".repeat(43))
            .finish();
        let answer = alice.hub.get(&format!("/hub/enter?{query}")).await;
        assert!(
            matches!(answer.status.as_u16(), 400 | 404),
            "{target}: {} {}",
            answer.status,
            answer.header("location")
        );
    }
    alice.hub.get("/hub/enter").await.is(404);
    alice.hub.scripting().get("/hub/enter?next=/user/alice/").await.is(403);
    // A stranger signs in on the way, and comes back to it.
    let stranger = alice.hub.at(HUB);
    let answer = stranger.get("/hub/enter?next=/user/alice/lab&state=x").await.is(302);
    assert!(
        answer.header("location").starts_with("/hub/login?next=%2Fhub%2Fenter%3Fnext%3D"),
        "{}",
        answer.header("location")
    );
    // Without a state the host is asked to begin.
    let answer = alice.hub.get("/hub/enter?next=/user/alice/lab").await.is(303);
    assert_eq!(answer.header("location"), "https://alice.lab.slipway.test/user/alice/lab");
    let (_, end) = alice.open(Wire::Http1, &host_of("alice"), "/hub/enter?ticket=0123").await;
    end.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_of_the_site_is_not_the_same_origin() {
    let (_world, mut alice, _) = world_of_two().await;
    alice.open(Wire::Http1, HUB, "/user/alice/lab").await.1.is(200);
    let page = alice.at(&host_of("alice")).clone();
    let script = page.scripting();
    let evil = format!("https://{}", host_of("mallory"));
    for (mode, dest) in
        [("cors", "empty"), ("no-cors", "image"), ("navigate", "iframe"), ("navigate", "object"), ("navigate", "embed")]
    {
        let foreign = script
            .clone()
            .with("sec-fetch-site", "same-site")
            .with("sec-fetch-mode", mode)
            .with("sec-fetch-dest", dest);
        for wire in NAVIGATION {
            let answer = foreign.send(wire, Method::GET, "/user/alice/x", Bytes::new()).await.is(403);
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
        foreign
            .clone()
            .with("origin", &evil)
            .send(Wire::Http2, Method::POST, "/user/alice/x", Bytes::new())
            .await
            .is(403);
    }
    let link = page.clone().with("sec-fetch-site", "same-site");
    link.get("/user/alice/lab").await.is(200);
    link.send(Wire::Http1, Method::POST, "/user/alice/x", Bytes::new()).await.is(403);
    for wire in [Wire::WebSocket, Wire::WebSocketOverHttp2] {
        for origin in [evil.as_str(), "https://lab.slipway.test", "http://alice.lab.slipway.test", "null"] {
            script.clone().with("origin", origin).send(wire, Method::GET, "/user/alice/x", Bytes::new()).await.is(403);
        }
    }
    // At the hub as well: its own pages only.
    let at_hub = alice.hub.scripting().with("sec-fetch-site", "same-site").with("origin", &evil);
    at_hub.get("/hub/api/user").await.is(403);
    let signed_out = alice.hub.clone().with("sec-fetch-site", "same-site").get("/hub/logout").await.is(200);
    assert!(signed_out.text().contains("<form"), "a link only asks");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_work_on_the_owners_host_and_not_on_the_hubs() {
    let (world, ..) = world_of_two().await;
    let token = world.backend.environment_of("alice")["JUPYTERHUB_API_TOKEN"].clone();
    let at = |host: &str| world.client().at(host).with("authorization", &format!("token {token}"));
    for wire in Wire::ALL {
        let status = at(&host_of("alice")).send(wire, Method::GET, "/user/alice/x", Bytes::new()).await.status.as_u16();
        assert!(status == 200 || status == 101, "{wire:?}: {status}");
        at(HUB).send(wire, Method::GET, "/user/alice/x", Bytes::new()).await.is(404);
        at(&host_of("mallory")).send(wire, Method::GET, "/user/alice/x", Bytes::new()).await.is(404);
    }
    let model = at(HUB).get("/hub/api/user").await.is(200).json();
    assert_eq!(model["name"], "alice");
    let environment = world.backend.environment_of("alice");
    assert_eq!(environment["JUPYTERHUB_HOST"], "https://lab.slipway.test");
    assert_eq!(
        environment["JUPYTERHUB_OAUTH_CALLBACK_URL"],
        "https://alice.lab.slipway.test/user/alice/oauth_callback"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_signs_its_visitor_in_through_the_hubs_host() {
    let (_world, mut alice, _) = world_of_two().await;
    for callback in ["https://alice.lab.slipway.test/user/alice/oauth_callback", "/user/alice/oauth_callback"] {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", "jupyterhub-user-alice")
            .append_pair("redirect_uri", callback)
            .append_pair("response_type", "code")
            .append_pair("state", "abc")
            .finish();
        let path = format!("/hub/api/oauth2/authorize?{query}");
        let answer = alice.step(Wire::Http1, HUB, &path).await.is(302);
        let location = answer.header("location");
        assert!(location.starts_with(&format!("{callback}?code=")), "{location}");
    }
    for wrong in [
        "https://mallory.lab.slipway.test/user/alice/oauth_callback",
        "https://alice.lab.slipway.test/user/mallory/oauth_callback",
    ] {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("redirect_uri", wrong).finish();
        let path = format!("/hub/api/oauth2/authorize?client_id=jupyterhub-user-alice&response_type=code&{query}");
        alice.hub.get(&path).await.is(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_session_at_the_hub_ends_it_on_every_host_at_once() {
    let (world, mut alice, _) = world_of_two().await;
    alice.open(Wire::Http1, HUB, "/user/alice/lab").await.1.is(200);
    let page = alice.at(&host_of("alice")).clone();
    let script = page.scripting();
    let (answer, socket) = script.open_websocket("/user/alice/socket").await;
    answer.is(101);
    let mut socket = socket.expect("an open socket");
    let before = std::time::Instant::now();
    alice.hub.get("/hub/logout").await.is(302);
    let mut rest = Vec::new();
    let ending = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest);
    let _ = tokio::time::timeout(Duration::from_secs(5), ending).await.expect("the socket ends");
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    script.get("/user/alice/x").await.is(403);
    page.get("/user/alice/lab").await.is(303);
    // The same person signs in anew: the old cookie stays dead.
    let mut again = Browser::sign_in(&world, "alice").await;
    script.get("/user/alice/x").await.is(403);
    again.open(Wire::Http1, HUB, "/user/alice/lab").await.1.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_of_a_host_lives_through_a_restart() {
    let (world, mut alice, _) = world_of_two().await;
    alice.open(Wire::Http1, HUB, "/user/alice/lab").await.1.is(200);
    let cookies = alice.at(&host_of("alice")).cookies.clone();
    let (_, value) = cookies
        .iter()
        .find(|(name, _)| name.starts_with("__Host-Http-slipway") && !name.ends_with("-enter"))
        .expect("a cookie")
        .clone();
    let world = world.restart().await;
    let mut client = world.client().at(&host_of("alice"));
    // The port has changed, and the cookie's name tells ports apart.
    let name = world.app.session_cookie.clone();
    client.cookies = vec![(name.clone(), value.clone())];
    world.wait_until("alice", "ready", |status| status.state == slipway::model::ServerState::Ready).await;
    client.get("/user/alice/x").await.is(200);
    for at in [0, 20, 30, 63] {
        let mut altered = value.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        client.cookies = vec![(name.clone(), String::from_utf8(altered).expect("ascii"))];
        client.get("/user/alice/x").await.is(403);
    }
}

/// What a browser keeps under our names, as the program calls it after it has come back at another port.
fn renamed(cookies: &[(String, String)], before: &str, after: &str) -> Vec<(String, String)> {
    cookies.iter().map(|(name, value)| (name.replace(before, after), value.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_does_not_live_through_a_restart_and_the_way_in_begins_anew() {
    let (world, mut alice, _) = world_of_two().await;
    let host = host_of("alice");
    let to_hub = alice.step(Wire::Http1, &host, "/user/alice/lab").await.is(303);
    let (at, path) = next(&host, to_hub.header("location"));
    let with_ticket = alice.step(Wire::Http1, &at, &path).await.is(303);
    let (at, path) = next(HUB, with_ticket.header("location"));
    assert!(at == host && path.starts_with("/hub/enter?ticket="), "{at}{path}");

    let before = world.app.session_cookie.clone();
    let world = world.restart().await;
    world.wait_until("alice", "ready", |status| status.state == slipway::model::ServerState::Ready).await;
    let moved = |client: &Client, host: &str| {
        let mut moved = world.client().at(host).navigating();
        moved.cookies = renamed(&client.cookies, &before, &world.app.session_cookie);
        moved
    };
    let hub = moved(&alice.hub, HUB);
    let own = moved(alice.at(&host), &host);
    let mut alice = Browser { hub, other: vec![(host.clone(), own)] };
    let answer = alice.step(Wire::Http1, &host, &path).await.is(303);
    assert_eq!(answer.header("location"), "https://lab.slipway.test/hub/home");
    assert_eq!(answer.header("set-cookie"), "");
    let (way, answer) = alice.open(Wire::Http1, &host, "/user/alice/lab").await;
    answer.is(200);
    assert_eq!(way.len(), 4, "the session and the nonce are as they were: {way:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_and_the_end_of_an_account_end_its_cookies_on_every_host() {
    let (world, ..) = world_of_two().await;
    let name = UserName::parse("alice").expect("a name");
    let auth = &world.app.auth;
    for end in ["another password", "disabled", "deleted and made anew"] {
        let mut alice = Browser::sign_in(&world, "alice").await;
        alice.open(Wire::Http1, HUB, "/user/alice/lab").await.1.is(200);
        let page = alice.at(&host_of("alice")).clone();
        let script = page.scripting();
        script.get("/user/alice/x").await.is(200);
        match end {
            "another password" => {
                let password = Secret::new(crate::world::PASSWORD);
                auth.set_password("test", &name, &password, false).await.expect("set");
            }
            "disabled" => {
                auth.set_disabled("test", &name, true).await.expect("disabled");
                auth.set_disabled("test", &name, false).await.expect("enabled");
            }
            _ => {
                auth.delete_user("test", &name).await.expect("deleted");
                world.app.spawner.forget_user(&name).await.expect("its server goes");
                world.user_with_server_at_hub("alice").await;
            }
        }
        for wire in Wire::ALL {
            let status = script.send(wire, Method::GET, "/user/alice/x", Bytes::new()).await.status;
            assert_eq!(status, 403, "{end}, over {wire:?}");
        }
        let (way, _) = alice.open(Wire::Http1, &host_of("alice"), "/user/alice/lab").await;
        assert!(way.last().expect("a way").starts_with("lab.slipway.test/hub/login"), "{end}: {way:?}");
        // And who signs in now has a way.
        let mut anew = Browser::sign_in(&world, "alice").await;
        anew.open(Wire::Http1, HUB, "/user/alice/lab").await.1.is(200);
        script.get("/user/alice/x").await.is(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_mode_keeps_servers_and_sessions_and_no_cookie_counts_where_it_was_not_given() {
    let world = World::with(&[("SLIPWAY_PUBLIC_URL", "https://lab.slipway.test")]).await;
    world.user_with_server_at_hub("alice").await;
    let host = host_of("alice");
    let generation = |world: &World| world.app.spawner.status(&crate::world::server("alice")).generation;
    let started = generation(&world);
    let path_cookies = Browser::sign_in(&world, "alice").await.hub.cookies;
    let path_name = world.app.session_cookie.clone();

    // The hub's cookie is the same one; on the user's host it is nobody's, and a ticket leads there.
    let world = world.restart_with(&[("SLIPWAY_ISOLATION", "subdomain")]).await;
    world.wait_until("alice", "ready", |status| status.state == slipway::model::ServerState::Ready).await;
    assert_eq!(generation(&world), started, "it is the same server");
    let cookies = renamed(&path_cookies, &path_name, &world.app.session_cookie);
    let with = |client: Client, cookies: &[(String, String)]| {
        let mut client = client;
        client.cookies = cookies.to_vec();
        client
    };
    let hub = with(world.client().at(HUB).navigating(), &cookies);
    with(world.client().at(&host), &cookies).get("/user/alice/x").await.is(403);
    let mut alice = Browser { hub, other: Vec::new() };
    let (way, answer) = alice.open(Wire::Http1, HUB, "/user/alice/lab").await;
    answer.is(200);
    assert_eq!(way.last(), Some(&format!("{host}/user/alice/lab")));
    let (hosts_cookies, hosts_name) = (alice.at(&host).cookies.clone(), world.app.session_cookie.clone());
    alice.at(&host).scripting().get("/user/alice/x").await.is(200);

    // And back: the user's host is nobody's, and its cookie opens nothing.
    let world = world.restart_with(&[("SLIPWAY_ISOLATION", "path")]).await;
    world.wait_until("alice", "ready", |status| status.state == slipway::model::ServerState::Ready).await;
    assert_eq!(generation(&world), started, "it is the same server");
    let name = &world.app.session_cookie;
    let foreign = renamed(&hosts_cookies, &hosts_name, name);
    with(world.client().at(HUB), &foreign).get("/user/alice/x").await.is(403);
    with(world.client().at(HUB), &foreign).get("/hub/api/user").await.is(403);
    with(world.client().at(HUB), &renamed(&path_cookies, &path_name, name)).get("/user/alice/x").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_is_started_on_the_hubs_host() {
    let (world, mut alice, _) = world_of_two().await;
    alice.open(Wire::Http1, HUB, "/user/alice/lab").await.1.is(200);
    world.stop_server("alice").await;
    let script = alice.at(&host_of("alice")).scripting();
    script.get("/user/alice/api/kernels").await.is(424);
    let answer = alice.step(Wire::Http1, &host_of("alice"), "/user/alice/lab?a=b").await.is(303);
    assert_eq!(
        answer.header("location"),
        "https://lab.slipway.test/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab%3Fa%3Db"
    );
    alice.step(Wire::Http1, HUB, "/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab").await;
    world.wait_until("alice", "ready", |status| status.state == slipway::model::ServerState::Ready).await;
    let (way, answer) = alice.open(Wire::Http1, HUB, "/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab").await;
    answer.is(200);
    assert_eq!(way.last().map(String::as_str), Some("alice.lab.slipway.test/user/alice/lab"));
    let home = alice.hub.get("/hub/home").await.is(200);
    assert!(home.header("content-security-policy").contains("form-action 'self' https://*.lab.slipway.test;"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_is_somebody_else_on_each_host() {
    let (world, _, mut mallory) = world_of_two().await;
    world.add_user("root", true).await;
    let mut root = Browser::sign_in(&world, "root").await;
    root.open(Wire::Http1, HUB, "/user/mallory/lab").await.1.is(200);
    mallory.open(Wire::Http1, HUB, "/user/mallory/lab").await.1.is(200);
    let visiting = root.at(&host_of("mallory")).scripting();
    visiting.get("/user/mallory/x").await.is(200);
    let cookies = visiting.cookies.clone();
    for (host, path) in [
        (HUB, "/hub/api/users"),
        (HUB, "/hub/admin"),
        ("alice.lab.slipway.test", "/user/alice/x"),
        ("root.lab.slipway.test", "/user/root/x"),
    ] {
        let mut client = visiting.at(host);
        client.cookies = cookies.clone();
        let status = client.get(path).await.status.as_u16();
        assert!(matches!(status, 302 | 403), "{host}{path}: {status}");
    }
    let seen: String = world.backend.seen().iter().map(|seen| format!("{:?}", seen.headers)).collect();
    assert!(!seen.contains("__Host-Http-slipway"), "no server sees a cookie of ours: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_are_nobodys_are_refused() {
    let (world, ..) = world_of_two().await;
    for host in [
        "alice.lab.slipway.test:8443",
        "a.alice.lab.slipway.test",
        "lab.slipway.test.",
        "alice.lab.slipway.test.",
        "alicelab.slipway.test",
        "slipway.test",
    ] {
        for wire in NAVIGATION {
            let status = world
                .client()
                .at(host)
                .navigating()
                .send(wire, Method::GET, "/user/alice/lab", Bytes::new())
                .await
                .status;
            assert!(matches!(status.as_u16(), 400 | 421), "{host} over {wire:?}: {status}");
        }
    }
    // Nobody's label is answered like everybody's: who there is, strangers do not learn.
    let (known, unknown) = ("/user/alice/lab", "/user/nobody/lab");
    for (host, path) in
        [("alice.lab.slipway.test", known), ("nobody.lab.slipway.test", unknown), ("ALICE.lab.slipway.test", known)]
    {
        let answer = world.client().at(host).navigating().get(path).await.is(303);
        assert!(answer.header("location").starts_with("https://lab.slipway.test/hub/enter?next="), "{host}");
        world.client().at(host).get(path).await.is(403);
    }
}
