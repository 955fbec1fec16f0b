//! Forged requests: nothing changes without the form token of that very session, whatever page a browser comes from;
//! and looking changes nothing, except where decisions.md says so.

use bytes::Bytes;
use http::Method;
use sha2::{Digest as _, Sha256};
use slipway::store::{ServerRow, Store, StoreError, TokenRow, UserRow};

use crate::client::{Client, Wire};
use crate::routes::{Route, routes};
use crate::world::{World, server, xsrf_of};

/// The files of the database itself, which are compared row by row.
const DATABASE: [&str; 2] = ["slipway.redb", "slipway.witness"];

/// All that must not change: every row but for when somebody was last seen, every other file, the accounts, and what the
/// engine was asked for.
async fn fingerprint(world: &World) -> String {
    let mut digest = Sha256::new();
    let mut files: Vec<_> = walk(&world.folder.path().join("data"));
    files.retain(|file| !DATABASE.iter().any(|name| file.ends_with(name)));
    files.sort();
    for file in files {
        digest.update(file.as_os_str().as_encoded_bytes());
        digest.update(std::fs::read(&file).unwrap_or_default());
    }
    let rows = rows_of(&world.app.store).expect("the store can be read");
    let users: Vec<_> =
        world.app.auth.users().into_iter().map(|user| (user.name, user.admin, user.authorised)).collect();
    let states: Vec<_> = ["alice", "bob", "waits"].map(|name| world.app.spawner.status(&server(name)).state).into();
    let bytes: Vec<String> = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} {users:?} {states:?} {} {rows}", bytes.concat(), world.backend.creates())
}

/// All tables as text. A visit is written down in the background as activity (decisions.md): that alone is left out.
fn rows_of(store: &Store) -> Result<String, StoreError> {
    let mut users = store.users()?;
    users.iter_mut().for_each(|row: &mut UserRow| row.last_activity = None);
    let mut tokens = store.tokens()?;
    tokens.iter_mut().for_each(|row: &mut TokenRow| row.last_activity = None);
    let mut servers = store.servers()?;
    servers.iter_mut().for_each(|row: &mut ServerRow| row.last_activity = None);
    let sessions = store.sessions()?.into_iter();
    let sessions: Vec<_> = sessions.map(|row| (row.key.0, row.user, row.hub_session_id, row.created)).collect();
    let groups = (store.groups()?, store.services()?, store.shares()?, store.share_codes()?);
    let audit = store.audit(usize::MAX)?;
    Ok(format!("{users:?} {sessions:?} {tokens:?} {servers:?} {groups:?} {audit:?}"))
}

/// The fingerprint once what was begun before is written down: a server is ready a moment before its row says so.
async fn settled(world: &World) -> String {
    let mut before = fingerprint(world).await;
    let mut equal = 0;
    let settling = async {
        while equal < 5 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            let now = fingerprint(world).await;
            equal = if now == before { equal + 1 } else { 0 };
            before = now;
        }
    };
    tokio::time::timeout(crate::client::ANSWER_LIMIT, settling).await.expect("the store falls silent");
    before
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { vec![entry.path()] }).collect()
}

/// What each form or endpoint would need to do its worst, form token aside.
fn body_of(route: &Route) -> (&'static str, String) {
    if route.path.starts_with("/hub/api/") && !route.path.contains("oauth2") {
        return ("application/json", r#"{"last_activity": "2026-11-22T00:00:00Z"}"#.into());
    }
    let fields = [
        ("username", "mallory"),
        ("password", crate::world::PASSWORD),
        ("signup_password", crate::world::PASSWORD),
        ("signup_password_confirmation", crate::world::PASSWORD),
        ("old_password", crate::world::PASSWORD),
        ("new_password", "a new password"),
        ("new_password_confirmation", "a new password"),
        ("scopes", "access:servers!server=alice/"),
    ];
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    ("application/x-www-form-urlencoded", form)
}

async fn send(client: &Client, method: &str, route: &Route, token: &str, query: &str) -> crate::client::Answer {
    let (kind, mut body) = body_of(route);
    let client = client.clone().with("content-type", kind);
    let mut path = format!("{}{query}", route.path);
    if !token.is_empty() && kind.ends_with("urlencoded") {
        body.push_str(&format!("&_xsrf={token}"));
    } else if !token.is_empty() {
        path = format!("{path}{}_xsrf={token}", if path.contains('?') { '&' } else { '?' });
    }
    client.send(Wire::Http1, method.parse().expect("a method"), &path, Bytes::from(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_by_a_request_that_is_not_from_a_page_of_ours() {
    let world = World::new().await;
    world.add_user("mallory", false).await;
    let alice = world.user_with_server("alice").await;
    let admin = world.admin("root").await;
    world.user_with_server("bob").await;
    let stranger = world.client().navigating().get("/hub/login").await;
    let tokens_of = async |browser: &Client| xsrf_of(&browser.get("/hub/change-password").await.is(200).text());
    let (alices, admins, visitors) = (tokens_of(&alice).await, tokens_of(&admin).await, xsrf_of(&stranger.text()));
    let before = settled(&world).await;
    let origin = format!("https://{}", alice.host());

    for route in routes() {
        for method in route.methods.iter().filter(|method| !matches!(method.as_str(), "GET" | "OPTIONS")) {
            if route.path == "/hub/api/oauth2/token" || route.path.contains("/x") && route.path != "/hub/api/x" {
                // A server's endpoint, which looks at no session; and addresses of servers, which are not the hub's.
                continue;
            }
            for (browser, own, others) in [(&alice, &alices, &admins), (&admin, &admins, &alices)] {
                let script = browser.scripting();
                let with = |pairs: &[(&'static str, &str)]| {
                    pairs.iter().fold(script.clone(), |client, (name, value)| client.with(name, value))
                };
                let person =
                    [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-fetch-site", "same-origin")];
                let cases = [
                    ("no token", with(&person), "", ""),
                    ("no token, by script", script.clone(), "", ""),
                    ("another's token", with(&person), others.as_str(), ""),
                    ("a visitor's token", with(&person), visitors.as_str(), ""),
                    ("a made-up token", with(&person), "000000000000000000000000000000000000000000000000000000000", ""),
                    ("a token pushes the session aside", with(&person), visitors.as_str(), "?token=junk"),
                    (
                        "from another site",
                        with(&[
                            ("sec-fetch-mode", "navigate"),
                            ("sec-fetch-dest", "document"),
                            ("sec-fetch-site", "cross-site"),
                        ]),
                        own.as_str(),
                        "",
                    ),
                    (
                        "from a sister site",
                        with(&[
                            ("sec-fetch-mode", "navigate"),
                            ("sec-fetch-dest", "document"),
                            ("sec-fetch-site", "same-site"),
                        ]),
                        own.as_str(),
                        "",
                    ),
                    ("from nowhere", with(&[("origin", "null")]), own.as_str(), ""),
                    ("from another origin", with(&[("origin", "https://evil.example")]), own.as_str(), ""),
                    (
                        "from the clear-text twin",
                        with(&[("origin", &origin.replace("https", "http"))]),
                        own.as_str(),
                        "",
                    ),
                    (
                        "in a frame",
                        with(&[
                            ("sec-fetch-mode", "navigate"),
                            ("sec-fetch-dest", "iframe"),
                            ("sec-fetch-site", "same-origin"),
                        ]),
                        own.as_str(),
                        "",
                    ),
                    (
                        "a server's page, by script",
                        with(&[
                            ("sec-fetch-mode", "cors"),
                            ("sec-fetch-dest", "empty"),
                            ("sec-fetch-site", "same-origin"),
                            ("origin", &origin),
                        ]),
                        "",
                        "",
                    ),
                    (
                        "a server's page, by no-cors",
                        with(&[
                            ("sec-fetch-mode", "no-cors"),
                            ("sec-fetch-dest", "empty"),
                            ("sec-fetch-site", "same-origin"),
                        ]),
                        others.as_str(),
                        "",
                    ),
                ];
                for (what, client, token, query) in cases {
                    let answer = send(&client, method, &route, token, query).await;
                    let status = answer.status.as_u16();
                    // An unknown address, or one that JupyterHub has given up, answers 404 before it looks at anything.
                    // A browser's report is taken from anybody, and kept nowhere.
                    let is_refused = matches!(status, 400 | 403)
                        || status == 404
                            && ["/hub/api/x", "/hub/api/authorizations/token"].contains(&route.path.as_str())
                        || status == 200 && route.path == "/hub/security/csp-report";
                    assert!(
                        is_refused,
                        "{what}: {method} {} was answered {status}: {:.200}",
                        route.path,
                        answer.text()
                    );
                    assert!(
                        answer.headers.get("set-cookie").is_none_or(|line| !line
                            .to_str()
                            .unwrap_or("")
                            .starts_with("__Host-Http-slipway")
                            || line.to_str().unwrap_or("").contains("-visitor=")),
                        "{what}: {method} {}",
                        route.path
                    );
                }
            }
        }
    }
    assert_eq!(settled(&world).await, before);
    for browser in [alice, admin] {
        browser.get("/hub/home").await.is(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_changes_nothing() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let admin = world.admin("root").await;
    world.user_with_server("bob").await;
    let token = world.backend.environment_of("bob")["JUPYTERHUB_API_TOKEN"].clone();
    let with_token = world.client().with("authorization", &format!("token {token}"));
    let callers = [
        ("anonymous", world.client()),
        ("owner", alice.clone()),
        ("administrator", admin.clone()),
        ("token", with_token),
    ];
    let before = settled(&world).await;
    for route in routes() {
        for (who, client) in &callers {
            let is_own_start =
                route.path.starts_with("/hub/spawn") && (*who == "owner" || !route.path.contains("alice"));
            for method in ["GET", "HEAD", "OPTIONS", "PUT", "PATCH"] {
                if method == "GET" && (route.path == "/hub/logout" || is_own_start) {
                    continue;
                }
                let method: Method = method.parse().expect("a method");
                for client in [client.scripting(), client.clone().navigating()] {
                    let client =
                        if *who == "token" { client.with("authorization", &format!("token {token}")) } else { client };
                    client.send(Wire::Http1, method.clone(), &route.path, Bytes::new()).await;
                }
                let after = fingerprint(&world).await;
                assert_eq!(after, before, "{method} {} as {who} changed something", route.path);
            }
        }
    }
    for browser in [alice, admin] {
        browser.get("/hub/home").await.is(200);
    }
}

/// A browser that only guesses, and a page that only frames, start and end nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_guess_or_a_frame_starts_and_ends_nothing() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let before = settled(&world).await;
    for path in ["/hub/logout", "/hub/spawn", "/hub/spawn/alice", "/hub/spawn-pending/alice", "/hub/user-redirect/lab"]
    {
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "prefetch"),
            ("sec-fetch-dest", "iframe"),
            ("sec-fetch-dest", "embed"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-mode", "no-cors"),
        ] {
            alice.clone().with(name, value).get(path).await;
            assert_eq!(fingerprint(&world).await, before, "{path} with {name}: {value}");
        }
        // A link on another site may lead to a sign-out page, and does not sign out.
        if path == "/hub/logout" {
            alice.clone().with("sec-fetch-site", "cross-site").get(path).await.is(200);
            assert_eq!(fingerprint(&world).await, before);
        }
    }
    alice.get("/hub/home").await.is(200);
}
