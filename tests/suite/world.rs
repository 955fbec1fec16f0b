//! The whole program in this process: real sockets, real TLS, a real store; the backend and the clock are the test's.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use slipway::app::{App, Parts};
use slipway::config;
use slipway::model::{BasePath, Clock, Random, Secret, ServerKey, SystemClock, Timestamp, UserName};
use slipway::spawner::Wish;
use tempfile::TempDir;

use crate::client::{ANSWER_LIMIT, Answer, Client};
pub use crate::client::{question_of, xsrf_of};
use crate::fake::FakeBackend;

/// What a client is told of everybody who comes to it by OAuth (contract §4): who they are.
pub const IDENTIFY: &str = "read:users:groups!user read:users:name!user";

/// The password of everybody here.
pub const PASSWORD: &str = "a long enough password";

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).expect("a short time"), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// One running program with all that belongs to it.
pub struct World {
    pub app: App,
    pub backend: Arc<FakeBackend>,
    pub clock: Arc<ManualClock>,
    pub folder: Arc<TempDir>,
    overrides: Vec<(String, String)>,
}

impl World {
    /// A fresh installation with the default settings on free ports.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// A fresh installation with these variables set.
    pub async fn with(overrides: &[(&str, &str)]) -> Self {
        let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let folder = Arc::new(TempDir::new().expect("a folder"));
        // Certificates are checked against this clock, so it begins with the real time.
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        Self::start(FakeBackend::new(), clock, folder, overrides).await
    }

    async fn start(
        backend: Arc<FakeBackend>,
        clock: Arc<ManualClock>,
        folder: Arc<TempDir>,
        overrides: Vec<(String, String)>,
    ) -> Self {
        let config = configuration(folder.path(), &overrides);
        // A test that names a backend has it; all others have the fake.
        let is_configured = overrides.iter().any(|(name, _)| name == "SLIPWAY_SPAWNER_BACKEND");
        let fake = (!is_configured).then(|| backend.clone() as Arc<dyn slipway::spawner::Backend>);
        let parts = Parts { clock: clock.clone(), random: Random::from_system(), backend: fake };
        let app = App::start(config, parts).await.expect("the program starts");
        Self { app, backend, clock, folder, overrides }
    }

    /// Stops the program and starts it again on the same data; servers go on running.
    pub async fn restart(self) -> Self {
        let Self { app, backend, clock, folder, overrides } = self;
        app.stop().await;
        Self::start(backend, clock, folder, overrides).await
    }

    /// The same with these variables set besides.
    pub async fn restart_with(mut self, more: &[(&str, &str)]) -> Self {
        self.overrides.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.restart().await
    }

    /// Where the deployment lives under its host.
    pub fn base(&self) -> BasePath {
        let base = self.overrides.iter().find(|(name, _)| name == "SLIPWAY_BASE_URL");
        BasePath::parse(base.map_or("/", |(_, value)| value)).expect("a base path")
    }

    /// The prefix of the default server of `name`, as it stands in an address.
    pub fn prefix(&self, name: &str) -> String {
        server(name).prefix(&self.base())
    }

    /// The TLS listener.
    pub fn address(&self) -> SocketAddr {
        self.app.https[0]
    }

    /// A client that nobody knows.
    pub fn client(&self) -> Client {
        Client::new(self.address())
    }

    /// Makes a user who may sign in.
    pub async fn add_user(&self, name: &str, admin: bool) {
        self.app.auth.add_user("test", name, Some(&Secret::new(PASSWORD)), admin).await.expect("a new user");
    }

    /// Signs `name` in through the page, as a browser does.
    pub async fn sign_in(&self, name: &str) -> Client {
        self.sign_in_with(name, PASSWORD).await
    }

    pub async fn sign_in_with(&self, name: &str, password: &str) -> Client {
        let browser = self.client().navigating();
        let login = format!("{}login", self.base().hub());
        let page = browser.get(&login).await.is(200);
        let mut browser = take_cookies(browser, &page);
        let xsrf = xsrf_of(&page.text());
        let answer =
            browser.post_form(&login, &[("username", name), ("password", password), ("_xsrf", &xsrf)]).await.is(302);
        browser = take_cookies(browser, &answer);
        browser
    }

    /// A new user, signed in.
    pub async fn user(&self, name: &str) -> Client {
        self.add_user(name, false).await;
        self.sign_in(name).await
    }

    /// A new administrator, signed in.
    pub async fn admin(&self, name: &str) -> Client {
        self.add_user(name, true).await;
        self.sign_in(name).await
    }

    /// A new user whose server is ready.
    pub async fn user_with_server(&self, name: &str) -> Client {
        let browser = self.user(name).await;
        self.start_server(name).await;
        browser
    }

    /// Starts the server of `name` and waits until it is ready.
    pub async fn start_server(&self, name: &str) {
        let server = server(name);
        self.app.spawner.start(&server, Wish::of("test")).await.expect("a start");
        self.wait_until(name, "ready", |status| status.state == slipway::model::ServerState::Ready).await;
    }

    /// Stops the server of `name` and waits until it has stopped.
    pub async fn stop_server(&self, name: &str) {
        self.app.spawner.stop(&server(name), "test").await.expect("a stop");
        self.wait_until(name, "stopped", |status| status.state == slipway::model::ServerState::Stopped).await;
    }

    /// Waits until the status of the server of `name` is as `wanted` says.
    pub async fn wait_until(&self, name: &str, words: &str, wanted: impl Fn(&slipway::model::ServerStatus) -> bool) {
        let mut watch = self.app.spawner.watch(&server(name));
        let waiting = watch.wait_for(|status| wanted(status));
        let result = tokio::time::timeout(ANSWER_LIMIT, waiting).await.map(|status| status.map(|_| ()));
        let status = self.app.spawner.status(&server(name));
        assert!(matches!(result, Ok(Ok(()))), "the server of {name} never was {words}: {status:?}");
    }
}

/// The default server of `name`.
pub fn server(name: &str) -> ServerKey {
    ServerKey::default_of(UserName::parse(name).expect("a name"))
}

/// The route key of the default server of `name`.
pub fn route_key(name: &str) -> String {
    server(name).route_key(&BasePath::parse("/").expect("the root"))
}

/// What a browser keeps of an answer.
pub fn take_cookies(mut browser: Client, answer: &crate::client::Answer) -> Client {
    for line in answer.headers.get_all("set-cookie") {
        let line = line.to_str().expect("a cookie is text");
        let (name, rest) = line.split_once('=').expect("a cookie has a name");
        let value = rest.split(';').next().unwrap_or_default();
        browser.cookies.retain(|(known, _)| known != name);
        if !value.is_empty() {
            browser.cookies.push((name.to_owned(), value.to_owned()));
        }
    }
    browser
}

/// Fills in the sign-up form at `path` as a person does, with everybody's password.
pub async fn sign_up_at(browser: &Client, path: &str, name: &str, code: &str) -> Answer {
    let page = browser.get(path).await.is(200);
    let browser = take_cookies(browser.clone(), &page);
    let fields = [
        ("username", name),
        ("signup_password", PASSWORD),
        ("signup_password_confirmation", PASSWORD),
        ("code", code),
        ("_xsrf", &xsrf_of(&page.text())),
    ];
    browser.post_form("/hub/signup", &fields).await
}

fn configuration(folder: &Path, overrides: &[(String, String)]) -> config::Config {
    let path = |name: &str| folder.join(name).to_str().expect("a plain path").to_owned();
    let mut environment = vec![
        ("SLIPWAY_DATA_DIR".to_owned(), path("data")),
        ("SLIPWAY_CERTS_DIR".to_owned(), path("certs")),
        ("SLIPWAY_LISTENER_HTTPS".to_owned(), "127.0.0.1:0".to_owned()),
        ("SLIPWAY_HUB_BIND".to_owned(), "127.0.0.1:0".to_owned()),
        // Whatever containers are here, they are others'.
        ("SLIPWAY_ROUTERS_DOCKER_ENABLE".to_owned(), "false".to_owned()),
        ("SLIPWAY_ROUTERS_FILE".to_owned(), path("routes.yml")),
    ];
    environment.extend(overrides.iter().cloned());
    let file = settings_file(folder);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    std::fs::write(&file, &text).expect("written");
    config::load(Some((&file, &text)), environment).expect("a sound configuration").1
}

/// The configuration file: empty at first, and weaker than the variables.
pub fn settings_file(folder: &Path) -> std::path::PathBuf {
    folder.join("slipway.toml")
}
