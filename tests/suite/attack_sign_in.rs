//! Attacks on accounts: guessing, flooding, look-alikes, names that come back, and cookies that were there before.

use std::time::Duration;

use slipway::model::{ServerState, UserName};

use crate::client::{ANSWER_LIMIT, Answer, Client};
use crate::world::{PASSWORD, World, question_of, server, sign_up_at, take_cookies, xsrf_of};

/// A proxy in front of us, so that one machine can speak for many addresses.
const BEHIND_A_PROXY: [(&str, &str); 1] = [("SLIPWAY_LISTENER_TRUSTED_PROXIES", "127.0.0.1")];

async fn try_to_sign_in(browser: &Client, name: &str, password: &str) -> Answer {
    let page = browser.get("/hub/login").await.is(200);
    let browser = take_cookies(browser.clone(), &page);
    let fields = [("username", name), ("password", password), ("_xsrf", &xsrf_of(&page.text()))];
    browser.post_form("/hub/login", &fields).await
}

fn name(text: &str) -> UserName {
    UserName::parse(text).expect("a name")
}

fn from(world: &World, address: &str) -> Client {
    world.client().navigating().with("x-forwarded-for", address)
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slow_and_the_owner_comes_in_all_the_same() {
    let world = World::with(&BEHIND_A_PROXY).await;
    world.add_user("alice", false).await;
    let attacker = from(&world, "198.51.100.1");
    for _ in 0..10 {
        try_to_sign_in(&attacker, "alice", "a wrong password").await.is(403);
    }
    // The eleventh is not even looked at, though it is right; other spellings of the name are the same name.
    for spelt in ["alice", "ALICE", " alice "] {
        let answer = try_to_sign_in(&attacker, spelt, PASSWORD).await.is(429);
        assert!(!answer.header("retry-after").is_empty());
    }
    // A header that the attacker adds is behind what the proxy wrote: it is the last hop that counts.
    let forging = from(&world, "203.0.113.9, 198.51.100.1");
    try_to_sign_in(&forging, "alice", PASSWORD).await.is(429);
    try_to_sign_in(&from(&world, "203.0.113.9"), "alice", PASSWORD).await.is(302);
    world.clock.advance(Duration::from_secs(601));
    try_to_sign_in(&attacker, "alice", PASSWORD).await.is(302);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_behind_one_address_comes_in_at_once_and_guesses_made_at_once_are_no_more_than_one_by_one() {
    let world = World::with(&[BEHIND_A_PROXY[0], ("SLIPWAY_AUTH_TRIES_PER_ADDRESS", "5")]).await;
    let names: Vec<String> = (0..15).map(|number| format!("student{number}")).collect();
    for name in &names {
        world.add_user(name, false).await;
    }
    let all = async |address: &str, password: &str| {
        let browsers: Vec<_> = names.iter().map(|name| (from(&world, address), name)).collect();
        let tries = browsers.iter().map(|(browser, name)| try_to_sign_in(browser, name, password));
        let mut statuses: Vec<u16> =
            futures_util::future::join_all(tries).await.iter().map(|one| one.status.as_u16()).collect();
        statuses.sort_unstable();
        statuses
    };
    assert_eq!(all("198.51.100.7", PASSWORD).await, [302; 15]);
    let guesses = all("198.51.100.8", "a wrong password").await;
    assert_eq!(guesses, [[403; 5].as_slice(), &[429; 10]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_trusted_proxy_says_where_a_client_is() {
    let world = World::new().await;
    world.add_user("alice", false).await;
    for n in 0..10 {
        let forging = from(&world, &format!("203.0.113.{n}"))
            .with("forwarded", "for=203.0.113.9")
            .with("x-real-ip", "203.0.113.9");
        try_to_sign_in(&forging, "alice", "a wrong password").await.is(403);
    }
    try_to_sign_in(&from(&world, "203.0.113.77"), "alice", PASSWORD).await.is(429);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setup_code_cannot_be_guessed_by_trying() {
    let world = World::new().await;
    let browser = world.client().navigating();
    let page = browser.get("/hub/signup").await.is(200);
    let browser = take_cookies(browser, &page);
    let xsrf = xsrf_of(&page.text());
    let mut refused = 0;
    for n in 0..105 {
        let code = format!("{n:032x}");
        let fields = [
            ("username", "admin"),
            ("signup_password", PASSWORD),
            ("signup_password_confirmation", PASSWORD),
            ("code", &code),
            ("_xsrf", &xsrf),
        ];
        let answer = browser.post_form("/hub/signup", &fields).await;
        assert!(matches!(answer.status.as_u16(), 403 | 429), "{}", answer.status);
        refused += usize::from(answer.status == 429);
    }
    assert!(refused >= 5, "{refused}");
    assert!(world.app.auth.setup_window().is_some() && world.app.auth.users().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_reserved_invisible_or_too_long_are_nobodys() {
    let world = World::new().await;
    world.admin("root").await;
    let browser = world.client().navigating();
    let long = "x".repeat(65);
    let huge = "x".repeat(60_000);
    for wrong in [
        "new",
        "bulk",
        "NEW",
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a b",
        "a,b",
        "a\u{0}",
        "a\u{7f}b",
        "a\nb",
        "\u{202e}ecila",
        "ali\u{200b}ce",
        "alice\u{feff}",
        "root",
        "ROOT",
        &long,
        &huge,
    ] {
        let answer = sign_up_at(&browser, "/hub/signup", wrong, "").await;
        assert!(answer.status.is_client_error(), "{wrong:.40?}: {}", answer.status);
    }
    assert_eq!(world.app.auth.users().len(), 1);
    // What looks alike and is another name shares nothing.
    for different in ["jos\u{e9}", "jose\u{301}", "\u{430}lice", "alice", "\u{17f}ilas", "silas"] {
        sign_up_at(&browser, "/hub/signup", different, "").await.is(200);
    }
    let containers: std::collections::BTreeSet<_> =
        world.app.auth.users().iter().map(|user| server(user.name.as_str()).docker_name("jupyterlab")).collect();
    assert_eq!(containers.len(), 7, "{containers:?}");
    // Nobody of them is let in, or an administrator, by signing up.
    assert!(world.app.auth.users().iter().all(|user| user.name.as_str() == "root" || !user.authorised && !user.admin));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_megabyte_of_name_or_password_is_refused_and_kept_nowhere() {
    let world = World::new().await;
    world.add_user("alice", false).await;
    let browser = world.client().navigating();
    let huge = "x".repeat(1024 * 1024);
    for (user, password) in
        [("alice", huge.as_str()), (huge.as_str(), PASSWORD), (&huge[..60_000], PASSWORD), ("alice", &huge[..60_000])]
    {
        let answer = try_to_sign_in(&browser, user, password).await;
        assert!(matches!(answer.status.as_u16(), 403 | 413), "{}", answer.status);
        assert!(answer.body.len() < 100_000, "{} bytes come back", answer.body.len());
    }
    try_to_sign_in(&browser, "alice", PASSWORD).await.is(302);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_was_there_before_is_not_the_session_afterwards() {
    let world = World::new().await;
    world.add_user("alice", false).await;
    world.add_user("mallory", false).await;
    let mallory = world.sign_in("mallory").await;
    let planted =
        mallory.cookies.iter().find(|(name, _)| *name == world.app.session_cookie).expect("a session").1.clone();
    for value in [planted.as_str(), &"A".repeat(43), ""] {
        let mut browser = world.client().navigating();
        let page = browser.get("/hub/login").await.is(200);
        browser = take_cookies(browser, &page);
        let xsrf = xsrf_of(&page.text());
        browser.cookies.push((world.app.session_cookie.clone(), value.to_owned()));
        let fields = [("username", "alice"), ("password", PASSWORD), ("_xsrf", &xsrf)];
        let answer = browser.post_form("/hub/login", &fields).await;
        if value == planted {
            // With mallory's session the form token would have to be hers.
            answer.is(403);
            continue;
        }
        let answer = answer.is(302);
        let lines: Vec<_> =
            answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().expect("text")).collect();
        let line =
            lines.iter().find(|line| line.starts_with(&format!("{}=", world.app.session_cookie))).expect("a session");
        let (pair, attributes) = line.split_once("; ").expect("attributes");
        assert!(!pair.ends_with(value) || value.is_empty());
        assert_eq!(pair.len(), world.app.session_cookie.len() + 1 + 43);
        assert_eq!(attributes, "Path=/; Max-Age=1209600; Secure; HttpOnly; SameSite=Lax");
        for line in &lines {
            assert!(
                line.contains("Secure")
                    && line.contains("HttpOnly")
                    && line.contains("SameSite=Lax")
                    && !line.contains("Domain"),
                "{line}"
            );
        }
    }
}

/// What an account leaves behind must not be there for the next one of that name.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_comes_back_inherits_nothing() {
    let world = World::new().await;
    let admin = world.admin("root").await;
    let old = world.user_with_server("alice").await;
    let server_token = world.backend.environment_of("alice")["JUPYTERHUB_API_TOKEN"].clone();
    let client = slipway::model::ServerKey::default_of(name("alice")).into();
    let (token, _) =
        world.app.auth.issue_oauth_token(&name("alice"), &client, vec!["inherit".into()], None).await.expect("a token");
    admin.administer("delete", &["alice"]).await.is(200);
    world.add_user("alice", false).await;
    old.get("/hub/home").await.is(302);
    for token in [server_token.as_str(), token.expose()] {
        let client = world.client().with("authorization", &format!("token {token}"));
        client.get("/hub/api/user").await.is(403);
        client.get("/user/alice/x").await.is(403);
    }
    let new = world.sign_in("alice").await;
    assert_eq!(world.app.spawner.status(&server("alice")).state, ServerState::Stopped);
    new.scripting().get("/user/alice/x").await.is(424);
    assert!(world.app.spawner.last_activity(&server("alice")).is_none());
}

/// A crash between the end of an account and the end of its server leaves a container; the next start ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_an_account_is_ended_at_the_next_start() {
    let world = World::new().await;
    world.admin("root").await;
    world.user_with_server("alice").await;
    world.app.auth.delete_user("test", &name("alice")).await.expect("deleted");
    let world = world.restart().await;
    let ended = async {
        while !world.backend.servers().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(ANSWER_LIMIT, ended).await.expect("the container goes");
    world.add_user("alice", false).await;
    let alice = world.sign_in("alice").await;
    alice.scripting().get("/user/alice/x").await.is(424);
}

/// The administrator's browser goes away in the middle: the account goes with all that is its.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_nobody_waits_for_is_done_to_its_end() {
    let world = World::new().await;
    let admin = world.admin("root").await;
    let list = admin.get("/hub/admin").await.is(200).text();
    for n in 0..6 {
        let user = format!("user{n}");
        world.user_with_server(&user).await;
        let mut tls = admin.tls(b"http/1.1").await;
        let token = xsrf_of(&list);
        let fields = [("_xsrf", token.as_str()), ("act", "delete"), ("user", user.as_str())];
        let question = question_of(&admin.post_form("/hub/admin/ask", &fields).await.is(200).text());
        let body = format!("_xsrf={}&question={question}", xsrf_of(&list));
        let request = format!(
            "POST /hub/admin/do HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            admin.host(),
            admin.cookie_line(),
            body.len()
        );
        tokio::io::AsyncWriteExt::write_all(&mut tls, request.as_bytes()).await.expect("sent");
        // Gone as soon as the account is: before the server can be.
        while world.app.auth.user(&name(&user)).is_some() {
            tokio::task::yield_now().await;
        }
        drop(tls);
    }
    let ended = async {
        while !world.backend.servers().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(ANSWER_LIMIT, ended)
        .await
        .unwrap_or_else(|_| panic!("left running: {:?}", world.backend.servers()));
}

/// Shutting somebody out cuts what is open within a second and stops the server, whose token has ended too.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_shut_out_is_out_at_once() {
    let world = World::new().await;
    let admin = world.admin("root").await;
    let alice = world.user_with_server("alice").await;
    let token = world.backend.environment_of("alice")["JUPYTERHUB_API_TOKEN"].clone();
    let mut socket = alice.open_websocket("/user/alice/ws").await.1.expect("a WebSocket");
    let list = admin.get("/hub/admin").await.is(200).text();
    admin.administer("disable", &["alice"]).await.is(200);
    let mut rest = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest);
    let _ = tokio::time::timeout(Duration::from_secs(1), reading).await.expect("cut within a second");
    alice.get("/hub/home").await.is(302);
    let client = world.client().with("authorization", &format!("token {token}"));
    client.get("/hub/api/user").await.is(403);
    try_to_sign_in(&world.client().navigating(), "alice", PASSWORD).await.is(403);
    assert!(world.backend.servers().is_empty(), "{:?}", world.backend.servers());
    // Let in again, everything works as on the first day.
    admin.post_form("/hub/admin/ask", &[("_xsrf", &xsrf_of(&list)), ("just", "enable alice")]).await.is(303);
    world.start_server("alice").await;
    world.sign_in("alice").await.scripting().get("/user/alice/x").await.is(200);
}

/// Two administrators, each about to shut the other out: one of them stays.
#[tokio::test(flavor = "multi_thread")]
async fn two_administrators_cannot_both_go() {
    for _ in 0..5 {
        let world = World::new().await;
        let (one, two) = (world.admin("one").await, world.admin("two").await);
        // Both look at the question before either says yes.
        let ask = async |browser: &Client, other: &str| {
            let token = xsrf_of(&browser.get("/hub/admin").await.is(200).text());
            let fields = [("_xsrf", token.as_str()), ("act", "delete"), ("user", other)];
            let question = question_of(&browser.post_form("/hub/admin/ask", &fields).await.is(200).text());
            (token, question)
        };
        let (ones, twos) = (ask(&one, "two").await, ask(&two, "one").await);
        let act = async |browser: &Client, (token, question): &(String, String)| {
            browser.post_form("/hub/admin/do", &[("_xsrf", token), ("question", question)]).await.status
        };
        let _ = tokio::join!(act(&one, &ones), act(&two, &twos));
        assert_eq!(world.app.auth.users().iter().filter(|user| user.admin && user.authorised).count(), 1);
    }
}

/// A server's page can put its own server's token into an address, and have a browser post our forms there.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_address_stands_for_no_form_token() {
    let world = World::new().await;
    world.add_user("mallory", false).await;
    world.start_server("mallory").await;
    let token = world.backend.environment_of("mallory")["JUPYTERHUB_API_TOKEN"].clone();
    for client in
        [world.client().navigating(), world.client().navigating().with("authorization", &format!("token {token}"))]
    {
        for query in [format!("?token={token}"), "?token=junk".into(), String::new()] {
            let fields = [("username", "mallory"), ("password", PASSWORD)];
            let answer = client.post_form(&format!("/hub/login{query}"), &fields).await.is(403);
            assert!(
                answer
                    .headers
                    .get_all("set-cookie")
                    .iter()
                    .all(|line| !line.to_str().expect("text").starts_with(&format!("{}=", world.app.session_cookie)))
            );
        }
    }
}

/// Nobody starts servers by typing names.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_a_servers_name_starts_nothing() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    for n in 0..5 {
        alice.get(&format!("/hub/spawn/alice/n{n}")).await.is(404);
        alice.get(&format!("/hub/spawn-pending/alice/n{n}")).await.is(404);
    }
    assert_eq!(world.backend.creates(), 0);
}
