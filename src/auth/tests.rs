//! Tests of accounts, sessions and tokens with a real store.

mod accounts;
mod errands;
mod faults;
mod grants;
mod model;
mod moved_in;
mod rbac;
mod rbac_acts;
mod rbac_model;
mod visits;

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::*;
use crate::model::{OAuthClient, ServerKey, ServerName, Timestamp};
use crate::store::tests::memory_folder;

/// A clock that stands until a test moves it.
struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

const GOOD: &str = "correct horse";
const HOUR: Duration = Duration::from_secs(3600);

/// An installation: folder, clock, and the running part, which can be stopped and started.
struct World {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    config: Config,
    auth: Auth,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = memory_folder();
        let clock = Arc::new(ManualClock(AtomicI64::new(1_800_000_000_000)));
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        change(&mut config);
        let auth = load(&config, &clock).await;
        Self { dir, clock, config, auth }
    }

    /// As after a kill and a new start.
    async fn restart(self) -> Self {
        let Self { dir, clock, config, auth } = self;
        drop(auth);
        let auth = load(&config, &clock).await;
        Self { dir, clock, config, auth }
    }

    fn pass(&self, time: Duration) {
        self.clock.0.fetch_add(i64::try_from(time.as_millis()).expect("a short time"), Ordering::Relaxed);
    }

    async fn user(&self, name: &str) -> UserName {
        self.auth.add_user("test", name, Some(&secret(GOOD)), false).await.expect("a new user")
    }

    async fn admin(&self, name: &str) -> UserName {
        self.auth.add_user("test", name, Some(&secret(GOOD)), true).await.expect("a new user")
    }

    async fn sign_in(&self, name: &str) -> (Secret, Arc<Session>) {
        self.auth.sign_in(name, &secret(GOOD), address(1)).await.expect("name and password are right")
    }

    fn is_live(&self, cookie: &Secret) -> bool {
        self.auth.session_of_cookie(cookie.expose()).is_some()
    }

    fn acts(&self) -> Vec<String> {
        let rows = self.auth.0.store.audit(100).expect("readable");
        rows.into_iter().map(|row| format!("{} {} {}", row.actor, row.act, row.object)).collect()
    }
}

async fn load(config: &Config, clock: &Arc<ManualClock>) -> Auth {
    let store = Store::open(&crate::store::Config { data_dir: config.data_dir.clone() }).expect("it opens");
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    Auth::load(config.clone(), store, clock, Random::from_system()).await.expect("it loads")
}

/// A real `Auth` on `data_dir`, for tests of the modules that stand on this one.
pub(crate) async fn open(data_dir: &std::path::Path) -> Auth {
    let config = Config { data_dir: data_dir.to_owned(), ..Config::default() };
    load(&config, &Arc::new(ManualClock(AtomicI64::new(1_800_000_000_000)))).await
}

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn name(text: &str) -> UserName {
    UserName::parse(text).expect("a name")
}

/// The OAuth client of somebody's server.
fn client(user: &str) -> OAuthClient {
    server_of(&name(user)).into()
}

fn server_of(user: &UserName) -> ServerKey {
    ServerKey::default_of(user.clone())
}

#[tokio::test]
async fn who_signs_in_is_known_by_the_cookie_until_sign_out() {
    let world = World::new().await;
    world.user("alice").await;
    let (cookie, session) = world.sign_in(" Alice ").await;
    let found = world.auth.session_of_cookie(cookie.expose()).expect("it is live");
    assert!(Arc::ptr_eq(&found, &session));
    assert_eq!(found.user.name, name("alice"));
    assert_eq!(found.hub_session_id.len(), 32);
    world.auth.sign_out(&session, None).await.expect("stored");
    assert!(session.ended.is_cancelled() && !world.is_live(&cookie));
    let world = world.restart().await;
    assert!(!world.is_live(&cookie));
    assert_eq!(world.acts()[..2], ["alice signed out ", "alice signed in "]);
}

#[tokio::test]
async fn sessions_and_tokens_outlive_a_restart() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let (cookie, session) = world.sign_in("alice").await;
    let server_token = world.auth.issue_server_token(&server_of(&alice)).await.expect("stored");
    let id = Some(session.hub_session_id.clone());
    let (oauth, _) =
        world.auth.issue_oauth_token(&alice, &client("client"), vec!["self".into()], id).await.expect("stored");
    let world = world.restart().await;
    assert!(world.is_live(&cookie));
    assert!(world.auth.token_of(server_token.expose()).is_some());
    assert!(world.auth.token_of(oauth.expose()).is_some());
    assert!(
        world.auth.has_consented(&alice, &client("client"), &[])
            && !world.auth.has_consented(&alice, &client("other"), &[])
    );
    let session = world.auth.session_of_cookie(cookie.expose()).expect("it is live");
    world.auth.sign_out(&session, None).await.expect("stored");
    assert!(world.auth.token_of(oauth.expose()).is_none(), "it was the session's");
    assert!(world.auth.token_of(server_token.expose()).is_some(), "it is the server's");
}

/// A browser and a program ask several things at once, and whoever comes first after a start of ours makes a token a known one.
#[tokio::test]
async fn a_token_is_known_to_all_who_come_with_it_at_one_moment_after_a_restart() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let mut tokens = Vec::new();
    for _ in 0..50 {
        let issued = world.auth.issue_oauth_token(&alice, &client("client"), vec!["self".into()], None).await;
        tokens.push(issued.expect("stored").0);
    }
    let world = world.restart().await;
    let together = std::sync::Barrier::new(8);
    let come = || {
        let found = tokens.iter().map(|token| {
            together.wait();
            world.auth.token_of(token.expose()).is_some()
        });
        found.filter(|is_known| !is_known).count()
    };
    let refused = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(come)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<usize>()
    });
    assert_eq!(refused, 0);
}

#[tokio::test]
async fn wrong_passwords_and_unknown_names_get_the_same_answer() {
    let world = World::new().await;
    world.user("alice").await;
    world.auth.add_user("test", "nopass", None, false).await.expect("a new user");
    let long = "x".repeat(2000);
    let cases = [("alice", "wrong"), ("nobody", GOOD), ("nopass", GOOD), ("nopass", ""), ("../..", GOOD), ("", "")];
    for (user, password) in cases.into_iter().chain([("alice", long.as_str())]) {
        let error = world.auth.sign_in(user, &secret(password), address(1)).await.expect_err("it is wrong");
        assert!(matches!(error, SignInError::Wrong), "{user}: {error:?}");
    }
}

#[tokio::test]
async fn who_waits_is_told_so_only_with_the_right_password() {
    let world = World::new().await;
    world.admin("admin").await;
    let signed_up = world.auth.sign_up("carol", &secret(GOOD), None, address(1)).await.expect("sign-up is open");
    assert_eq!(signed_up, SignedUp::Waiting);
    let error = world.auth.sign_in("carol", &secret(GOOD), address(1)).await.expect_err("she waits");
    assert!(matches!(error, SignInError::NotAuthorised));
    let error = world.auth.sign_in("carol", &secret("wrong"), address(1)).await.expect_err("it is wrong");
    assert!(matches!(error, SignInError::Wrong));
    world.auth.authorise("admin", &name("carol"), true).await.expect("stored");
    world.sign_in("carol").await;
}

#[tokio::test]
async fn guessing_locks_the_guesser_and_not_the_owner() {
    let world = World::with(|config| config.tries_per_name = 3).await;
    world.user("alice").await;
    for _ in 0..3 {
        let error = world.auth.sign_in("alice", &secret("guess"), address(66)).await.expect_err("it is wrong");
        assert!(matches!(error, SignInError::Wrong));
    }
    let error = world.auth.sign_in("alice", &secret(GOOD), address(66)).await.expect_err("it is locked");
    assert!(matches!(error, SignInError::TooMany { retry_after } if retry_after == Duration::from_secs(600)));
    world.sign_in("alice").await;
    world.pass(Duration::from_secs(600));
    world.auth.sign_in("alice", &secret(GOOD), address(66)).await.expect("the window has passed");
    world.auth.flush_activity().await.expect("stored");
    let failed = world.acts().into_iter().filter(|act| act.contains("failed to sign in")).count();
    assert_eq!(failed, 1, "one row a minute and name");
}

#[tokio::test]
async fn a_session_ends_by_idleness_and_by_age() {
    let world = World::new().await;
    world.user("alice").await;
    let (cookie, session) = world.sign_in("alice").await;
    for _ in 0..14 {
        world.pass(23 * HOUR);
        assert!(world.is_live(&cookie), "each use begins the idle time anew");
    }
    world.pass(24 * HOUR);
    assert!(!world.is_live(&cookie), "idle");
    assert!(session.ended.is_cancelled());

    let (cookie, session) = world.sign_in("alice").await;
    for _ in 0..16 {
        world.pass(20 * HOUR);
        assert!(world.is_live(&cookie));
    }
    world.pass(20 * HOUR);
    world.auth.flush_activity().await.expect("stored");
    assert!(session.ended.is_cancelled(), "swept at 14 days, used or not");
    assert_eq!(world.auth.0.store.sessions().expect("readable"), []);
}

#[tokio::test]
async fn activity_is_written_down_and_survives_a_restart() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let (cookie, _) = world.sign_in("alice").await;
    for _ in 0..3 {
        world.pass(20 * HOUR);
        assert!(world.is_live(&cookie));
        world.auth.flush_activity().await.expect("stored");
    }
    let now = world.clock.now();
    let world = world.restart().await;
    world.pass(20 * HOUR);
    assert!(world.is_live(&cookie), "without the flush it would have been idle for days");
    assert_eq!(world.auth.0.store.user(&alice).expect("readable").expect("she is").last_activity, Some(now));
}

#[tokio::test]
async fn the_oldest_session_ends_when_there_are_too_many() {
    let world = World::with(|config| config.sessions_per_user = 2).await;
    world.user("alice").await;
    let (first, session) = world.sign_in("alice").await;
    let (second, _) = world.sign_in("alice").await;
    let (third, _) = world.sign_in("alice").await;
    assert!(!world.is_live(&first) && session.ended.is_cancelled());
    assert!(world.is_live(&second) && world.is_live(&third));
    let world = world.restart().await;
    assert!(!world.is_live(&first) && world.is_live(&second) && world.is_live(&third));
}

#[tokio::test]
async fn a_password_change_ends_all_other_sessions() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let (own, session) = world.sign_in("alice").await;
    let (other, other_session) = world.sign_in("alice").await;
    let id = Some(other_session.hub_session_id.clone());
    let (oauth, token) = world.auth.issue_oauth_token(&alice, &client("c"), vec![], id).await.expect("stored");
    let change = |old: &'static str, new: &'static str| {
        let (auth, session) = (world.auth.clone(), Arc::clone(&session));
        async move { auth.change_password(&session, &secret(old), &secret(new), address(1)).await }
    };
    assert!(matches!(change("wrong", "battery staple").await, Err(AccountError::WrongPassword)));
    assert!(matches!(change(GOOD, "short").await, Err(AccountError::TooShort { min: 8 })));
    assert!(world.is_live(&other));
    change(GOOD, "battery staple").await.expect("stored");
    assert!(world.is_live(&own) && !world.is_live(&other) && other_session.ended.is_cancelled());
    assert!(world.auth.token_of(oauth.expose()).is_none() && token.ended.is_cancelled());
    let world = world.restart().await;
    assert!(world.is_live(&own) && !world.is_live(&other));
    assert!(world.auth.sign_in("alice", &secret(GOOD), address(1)).await.is_err());
    world.auth.sign_in("alice", &secret("battery staple"), address(1)).await.expect("the new one");
    world.auth.set_password("admin", &alice, &secret(GOOD), false).await.expect("stored");
    assert!(!world.is_live(&own), "an administrator's change ends them all");
}

#[tokio::test]
async fn withdrawal_ends_sessions_and_tokens_at_once_and_for_good() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let (cookie, session) = world.sign_in("alice").await;
    let token = world.auth.issue_server_token(&server_of(&alice)).await.expect("stored");
    let found = world.auth.token_of(token.expose()).expect("it is live");
    world.auth.authorise("admin", &alice, false).await.expect("stored");
    assert!(session.ended.is_cancelled() && found.ended.is_cancelled());
    assert!(!may_access_server(&Caller::Session(Arc::clone(&session)), &server_of(&alice)));
    world.auth.authorise("admin", &alice, true).await.expect("stored");
    assert!(!world.is_live(&cookie) && world.auth.token_of(token.expose()).is_none());
    let world = world.restart().await;
    assert!(!world.is_live(&cookie) && world.auth.token_of(token.expose()).is_none());
    world.sign_in("alice").await;
}

#[tokio::test]
async fn a_new_account_of_a_deleted_name_gets_nothing_of_the_old_one() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let (cookie, session) = world.sign_in("alice").await;
    let token = world.auth.issue_server_token(&server_of(&alice)).await.expect("stored");
    world.auth.delete_user("admin", &alice).await.expect("stored");
    assert!(session.ended.is_cancelled() && world.auth.user(&alice).is_none());
    assert!(world.auth.issue_server_token(&server_of(&alice)).await.is_err(), "nobody's server");
    world.user("alice").await;
    assert!(!world.is_live(&cookie) && world.auth.token_of(token.expose()).is_none());
    assert!(!may_access_server(&Caller::Session(session), &server_of(&alice)));
    let world = world.restart().await;
    assert!(!world.is_live(&cookie) && world.auth.token_of(token.expose()).is_none());
    assert!(matches!(world.auth.delete_user("x", &name("nobody")).await, Err(AccountError::Unknown(_))));
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let world = World::new().await;
    let root = world.admin("root").await;
    for result in [
        world.auth.delete_user("x", &root).await,
        world.auth.authorise("x", &root, false).await,
        world.auth.set_admin("x", &root, false).await,
    ] {
        assert!(matches!(result, Err(AccountError::LastAdministrator)));
    }
    world.admin("other").await;
    world.auth.set_admin("x", &root, false).await.expect("there is another");
    assert!(!world.auth.user(&root).expect("he is").is_admin());
    let world = world.restart().await;
    assert!(!world.auth.user(&root).expect("he is").is_admin());
}

#[tokio::test]
async fn the_first_administrator_needs_the_code_and_closes_the_window() {
    let world = World::new().await;
    let window = world.auth.setup_window().expect("nobody is here yet");
    assert_eq!(window.administrator, name("admin"));
    let code = window.code.expect("with a code");
    assert_eq!(code.expose().len(), 32);
    let file = world.dir.path().join("setup-code");
    assert_eq!(std::fs::metadata(&file).expect("it is kept").permissions().mode() & 0o777, 0o600);
    let world = world.restart().await;
    assert_eq!(world.auth.setup_window().expect("open").code, Some(code.clone()), "the printed link stays good");

    for wrong in [None, Some("0123456789abcdef0123456789abcdef"), Some("")] {
        let error = world.auth.sign_up("admin", &secret(GOOD), wrong, address(1)).await.expect_err("no code");
        assert!(matches!(error, AccountError::WrongCode));
    }
    let other = world.auth.sign_up("bob", &secret(GOOD), Some(code.expose()), address(1)).await.expect("open");
    assert_eq!(other, SignedUp::Waiting, "the code is good for one name");
    assert!(world.auth.setup_window().is_some());
    let first = world.auth.sign_up("Admin", &secret(GOOD), Some(code.expose()), address(1)).await.expect("the code");
    assert_eq!(first, SignedUp::Authorised);
    assert!(world.auth.setup_window().is_none() && !file.exists());
    assert!(may_administer(&Caller::Session(world.sign_in("admin").await.1)));
    let again = world.auth.sign_up("admin", &secret("battery staple"), Some(code.expose()), address(1)).await;
    assert!(matches!(again, Err(AccountError::Taken)));
}

#[tokio::test]
async fn the_old_way_needs_no_code_and_is_closed_by_the_first() {
    let world = World::with(|config| config.bootstrap_with_code = false).await;
    assert!(world.auth.setup_window().expect("open").code.is_none());
    assert!(!world.dir.path().join("setup-code").exists());
    let first = world.auth.sign_up("admin", &secret(GOOD), None, address(1)).await.expect("open");
    assert_eq!(first, SignedUp::Authorised);
}

#[tokio::test]
async fn a_configured_password_makes_the_first_administrator_and_is_ignored_later() {
    let world = World::with(|config| config.admin_password = Some(secret(GOOD))).await;
    assert!(world.auth.setup_window().is_none());
    let (_, session) = world.sign_in("admin").await;
    world.auth.change_password(&session, &secret(GOOD), &secret("battery staple"), address(1)).await.expect("stored");
    let world = world.restart().await;
    assert!(world.auth.sign_in("admin", &secret(GOOD), address(1)).await.is_err(), "the environment's is old");
    world.auth.sign_in("admin", &secret("battery staple"), address(1)).await.expect("his own");
}

#[tokio::test]
async fn sign_up_is_bounded_and_can_be_closed() {
    let world = World::with(|config| config.waiting_users_limit = 2).await;
    world.admin("root").await;
    for n in 0..2 {
        world.auth.sign_up(&format!("u{n}"), &secret(GOOD), None, address(1)).await.expect("room");
    }
    let full = world.auth.sign_up("u2", &secret(GOOD), None, address(1)).await;
    assert!(matches!(full, Err(AccountError::TooManyWaiting)));
    let taken = world.auth.sign_up("U1", &secret(GOOD), None, address(1)).await;
    assert!(matches!(taken, Err(AccountError::Taken)));
    let closed = World::with(|config| config.signup = false).await;
    closed.admin("root").await;
    let refused = closed.auth.sign_up("u", &secret(GOOD), None, address(1)).await;
    assert!(matches!(refused, Err(AccountError::Closed)));
}

#[tokio::test]
async fn a_servers_token_does_what_a_server_needs_and_no_more() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    world.admin("root").await;
    let server = server_of(&alice);
    let other = ServerKey { user: alice.clone(), name: ServerName::parse("srv").expect("a name") };
    let secret = world.auth.issue_server_token(&server).await.expect("stored");
    assert!(secret.expose().len() == 32 && secret.expose().bytes().all(|b| b.is_ascii_hexdigit()));
    assert!(
        world.auth.is_server_token(&server, secret.expose()) && !world.auth.is_server_token(&other, secret.expose())
    );
    let token = world.auth.token_of(secret.expose()).expect("it is live");
    assert_eq!(token.note, "Server at alice/");
    let caller = Caller::Token(token);
    assert!(may_access_server(&caller, &server) && !may_access_server(&caller, &other));
    assert!(!may_start_server(&caller, &server) && !may_administer(&caller));
    assert_eq!(
        scopes_of(&caller),
        [
            "access:servers!server=alice/",
            "read:users:activity!user=alice",
            "read:users:groups!user=alice",
            "read:users:name!user=alice",
            "users:activity!user=alice"
        ]
    );
    // The next start has another; the stop ends it with all that was issued to its client.
    let (visitor, _) = world.sign_in("root").await;
    let root = world.auth.session_of_cookie(visitor.expose()).expect("it is live");
    let scopes = vec!["access:servers!server=alice/".to_owned()];
    let next = world.auth.issue_server_token(&server).await.expect("stored");
    assert!(world.auth.token_of(secret.expose()).is_none());
    let id = Some(root.hub_session_id.clone());
    let issued = world.auth.issue_oauth_token(&root.user.name, &server.clone().into(), scopes, id).await;
    let (oauth, token) = issued.expect("stored");
    assert!(may_access_server(&Caller::Token(token), &server));
    world.auth.end_server_token(&server).await.expect("stored");
    assert!(world.auth.token_of(next.expose()).is_none() && world.auth.token_of(oauth.expose()).is_none());
    let world = world.restart().await;
    assert!(world.auth.token_of(next.expose()).is_none() && world.auth.token_of(oauth.expose()).is_none());
}

#[tokio::test]
async fn an_oauth_token_needs_its_session_and_ends_by_itself() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let (_, session) = world.sign_in("alice").await;
    let id = Some(session.hub_session_id.clone());
    let (oauth, token) = world
        .auth
        .issue_oauth_token(&alice, &client("c"), vec!["access:servers!server=alice/".into()], id.clone())
        .await
        .expect("stored");
    assert!(oauth.expose().len() == 30 && oauth.expose().bytes().all(|b| b.is_ascii_alphanumeric()));
    assert_eq!(
        scopes_of(&Caller::Token(Arc::clone(&token))),
        ["access:servers!server=alice/", "read:users:groups!user=alice", "read:users:name!user=alice"]
    );
    world.auth.sign_out(&session, None).await.expect("stored");
    assert!(token.ended.is_cancelled());
    let late = world.auth.issue_oauth_token(&alice, &client("c"), vec![], id).await;
    assert!(matches!(late, Err(StoreError::Gone("the session"))), "a code redeemed after sign-out");

    let (lasting, _) = world.auth.issue_oauth_token(&alice, &client("c"), vec![], None).await.expect("stored");
    world.pass(14 * 24 * HOUR);
    assert!(world.auth.token_of(lasting.expose()).is_none());
    world.auth.flush_activity().await.expect("stored");
    assert_eq!(world.auth.0.store.tokens().expect("readable"), []);
}

#[tokio::test]
async fn a_visiting_token_reaches_one_server_for_five_minutes_and_ends_with_the_visitor() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    world.user("bob").await;
    world.admin("root").await;
    let server = server_of(&alice);
    let (_, bob) = world.sign_in("bob").await;
    assert!(world.auth.visiting_token(&Caller::Session(bob), &server).is_none());
    assert!(world.auth.visiting_token(&Caller::Anonymous, &server).is_none());
    let (_, root) = world.sign_in("root").await;
    let caller = Caller::Session(Arc::clone(&root));
    let visiting = world.auth.visiting_token(&caller, &server).expect("an administrator may");
    assert_eq!(world.auth.visiting_token(&caller, &server), Some(visiting.clone()), "one a visit");
    let token = world.auth.token_of(visiting.expose()).expect("it is live");
    let as_visitor = Caller::Token(Arc::clone(&token));
    assert!(may_access_server(&as_visitor, &server) && !may_access_server(&as_visitor, &server_of(&name("bob"))));
    assert!(!may_start_server(&as_visitor, &server) && !may_administer(&as_visitor));
    assert!(scopes_of(&as_visitor).contains(&"access:servers!server=alice/".to_owned()));
    assert_eq!(world.auth.0.store.tokens().expect("readable"), [], "in memory only");
    world.pass(Duration::from_secs(200));
    let next = world.auth.visiting_token(&caller, &server).expect("an administrator may");
    assert_ne!(next, visiting, "renewed before it ends");
    world.pass(Duration::from_secs(100));
    assert!(world.auth.token_of(visiting.expose()).is_none() && world.auth.token_of(next.expose()).is_some());
    world.auth.sign_out(&root, None).await.expect("stored");
    assert!(world.auth.token_of(next.expose()).is_none());
    world.auth.flush_activity().await.expect("stored");
    assert!(world.auth.0.tokens.visiting.lock().is_empty());
}

#[tokio::test]
async fn tokens_that_are_not_ours_cost_little_and_find_nothing() {
    let world = World::new().await;
    for text in ["", "x", "ütf", &"a".repeat(10_000), "0123456789abcdef0123456789abcdef"] {
        assert!(world.auth.token_of(text).is_none());
        assert!(world.auth.session_of_cookie(text).is_none());
    }
}

#[test]
fn the_cookies_name_tells_ports_and_bases_apart() {
    let base = |text| BasePath::parse(text).expect("a base");
    let names = [(8443, "/"), (8444, "/"), (8443, "/jupyterhub/")].map(|(p, b)| session_cookie_name(p, &base(b)));
    assert!(names[0] != names[1] && names[0] != names[2]);
    let hash = names[0].strip_prefix("__Host-Http-slipway-").expect("the prefix");
    assert!(hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
}
