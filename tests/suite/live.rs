//! Pages that hear of changes: who may listen, that a change is told, and that listening ends with the session.

use std::time::Duration;

use slipway::model::UserName;
use slipway::spawner::Wish;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::client::TlsStream;

use crate::client::{ANSWER_LIMIT, Client};
use crate::fake::Behaviour;
use crate::world::{World, server, xsrf_of};

/// An open stream of events.
struct Stream {
    socket: TlsStream<tokio::net::TcpStream>,
    heard: String,
}

impl Stream {
    async fn open(client: &Client, path: &str) -> Self {
        let mut socket = client.tls(b"http/1.1").await;
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n", client.host(), client.cookie_line());
        socket.write_all(head.as_bytes()).await.expect("the head is sent");
        let mut stream = Self { socket, heard: String::new() };
        stream.until("text/event-stream").await;
        stream
    }

    /// Reads until `words` have come.
    async fn until(&mut self, words: &str) {
        while !self.heard.contains(words) {
            assert!(self.read().await, "it ended before {words:?}: {}", self.heard);
        }
    }

    /// Reads to the end.
    async fn end(&mut self) {
        while self.read().await {}
    }

    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read = tokio::time::timeout(ANSWER_LIMIT, self.socket.read(&mut bytes)).await;
        // A connection that is cut has ended, too.
        let length = read.unwrap_or_else(|_| panic!("nothing more came after {}", self.heard)).unwrap_or(0);
        self.heard.push_str(&String::from_utf8_lossy(&bytes[..length]));
        length > 0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_hears_that_its_server_has_changed_and_administrators_of_everybodys() {
    let world = World::new().await;
    let (alice, bob, root) = (world.user("alice").await, world.user("bob").await, world.admin("root").await);
    let mut own = Stream::open(&alice, "/hub/api/live?of=me").await;
    let mut all = Stream::open(&root, "/hub/api/live?of=users").await;
    let mut others = Stream::open(&bob, "/hub/api/live?of=me").await;
    world.start_server("alice").await;
    own.until("event: changed").await;
    all.until("event: changed").await;
    world.start_server("bob").await;
    others.until("event: changed").await;
    assert!(!others.heard.contains("alice") && !all.heard.contains("alice"), "nobody is named: {}", all.heard);
    // Who knows less than there is hears so at once.
    Stream::open(&alice, "/hub/api/live?of=me&since=0").await.until("event: changed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_all_servers_does_not_hear_of_them() {
    let world = World::new().await;
    let alice = world.user("alice").await.scripting();
    alice.get("/hub/api/live?of=users").await.is(403);
    alice.get("/hub/api/live?of=bob").await.is(400);
    world.client().get("/hub/api/live?of=me").await.is(403);
    // A script of somebody's page has no form token to show.
    let script = alice.clone().with("sec-fetch-mode", "cors").with("sec-fetch-site", "same-origin");
    script.get("/hub/api/live?of=me").await.is(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn hearing_ends_with_the_session_and_with_the_program() {
    let world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let mut own = Stream::open(&alice, "/hub/api/live?of=me").await;
    let mut others = Stream::open(&bob, "/hub/api/live?of=me").await;
    alice.get("/hub/logout").await.is(302);
    own.end().await;
    let began = std::time::Instant::now();
    let restarting = tokio::spawn(world.restart());
    others.end().await;
    let _world = restarting.await.expect("it starts again");
    // An open page keeps nobody waiting for the ten seconds that open requests have.
    assert!(began.elapsed() < Duration::from_secs(8), "stopping took {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn hearing_ends_with_the_right_to_it_though_nothing_happens_and_the_session_goes_on() {
    let world = World::new().await;
    let (root, helper) = (world.admin("root").await, world.admin("helper").await);
    world.user("alice").await;
    world.backend.behave("alice", Behaviour::WaitsInCreate);
    world.app.spawner.start(&server("alice"), Wish::of("test")).await.expect("a start");
    let mut all = Stream::open(&helper, "/hub/api/live?of=users").await;
    let mut start = Stream::open(&helper, "/hub/api/users/alice/server/progress").await;
    let mut of_own = Stream::open(&helper, "/hub/api/live?of=me").await;
    let mut of_others = Stream::open(&root, "/hub/api/live?of=users").await;
    start.until("Server requested").await;

    let helper_name = UserName::parse("helper").expect("a name");
    let began = std::time::Instant::now();
    world.app.auth.set_admin("test", &helper_name, false).await.expect("root is left");
    for stream in [&mut all, &mut start] {
        // The last chunk; the connection can be used again.
        stream.until("\r\n0\r\n\r\n").await;
    }
    assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
    assert!(!start.heard.contains("ready"), "{}", start.heard);
    // The session goes on, and whoever keeps their right hears on.
    world.start_server("helper").await;
    of_others.until("event: changed").await;
    of_own.until("event: changed").await;
    world.backend.let_go();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_page_of_ours_reads_a_page_by_script() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let token = xsrf_of(&alice.clone().navigating().get("/hub/home").await.is(200).text());
    let script = alice.scripting().with("sec-fetch-mode", "cors").with("sec-fetch-dest", "empty");
    let own = script.clone().with("sec-fetch-site", "same-origin");
    own.get("/hub/home").await.is(403);
    own.get(&format!("/hub/home?_xsrf={token}")).await.is(403);
    own.clone().with("x-xsrftoken", &"0".repeat(56)).get("/hub/home").await.is(403);
    own.clone().with("x-xsrftoken", &token).get("/hub/home").await.is(200);
    script.with("sec-fetch-site", "cross-site").with("x-xsrftoken", &token).get("/hub/home").await.is(403);
}
