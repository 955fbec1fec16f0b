//! A hub with everything behind it, and people who use it. Requests come in as the edge would hand them over.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::engine::{Engine, engine};
use crate::auth::{Auth, Caller};
use crate::gpu::{self, Gpus};
use crate::hub::{Config, HubState, Program, SettingShown, router};
use crate::model::{
    BasePath, Clock, Door, Random, Routes, Secret, ServerKey, ServerStatus, ServiceName, Timestamp, UserName, Visit,
};
use crate::net::BoxError;
use crate::services;
use crate::spawner::{self, ServerTokens, Spawner};
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;

pub(super) const PASSWORD: &str = "correct horse";
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// A clock that stands until a test moves it.
pub(super) struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

struct TokensOf(Auth);

#[async_trait::async_trait]
impl services::ServiceTokens for TokensOf {
    async fn issue(&self, service: &ServiceName) -> Result<Secret, BoxError> {
        Ok(self.0.issue_service_token(service).await?)
    }
}

#[async_trait::async_trait]
impl ServerTokens for TokensOf {
    async fn issue(&self, server: &ServerKey, also: spawner::Also) -> Result<Secret, StoreError> {
        self.0.issue_server_token_with(server, also).await
    }
    async fn end(&self, server: &ServerKey) -> Result<(), StoreError> {
        self.0.end_server_token(server).await
    }
    async fn forget(&self, servers: &[ServerKey], also: spawner::Also) -> Result<(), StoreError> {
        self.0.forget_servers(servers, also).await
    }
    async fn rename(&self, from: &ServerKey, to: &ServerKey, also: spawner::Also) -> Result<(), StoreError> {
        self.0.rename_server(from, to, also).await
    }

    fn objection(&self, user: &UserName) -> Option<String> {
        self.0.objection_to_start(user)
    }
}

pub(super) struct World {
    pub(super) gpus: Gpus,
    pub(super) auth: Auth,
    pub(super) spawner: Spawner,
    pub(super) engine: Arc<Engine>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Store,
    /// Cancelled when the API has been asked to stop the program.
    pub(super) stop: CancellationToken,
    pub(super) state: HubState,
    router: Router,
    _folder: tempfile::TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    /// A world with other settings of hub and accounts.
    pub(super) async fn with(change: impl FnOnce(&mut Config, &mut crate::auth::Config)) -> Self {
        Self::with_servers(spawner::Config::default(), change).await
    }

    /// The same with other settings of servers.
    pub(super) async fn with_servers(
        servers: spawner::Config,
        change: impl FnOnce(&mut Config, &mut crate::auth::Config),
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data_dir = folder.path().to_owned();
        let clock = Arc::new(ManualClock(AtomicI64::new(1_795_313_227_732)));
        let random = Random::from_seed(7);
        let mut config = Config { session_cookie: "__Host-Http-slipway-test".to_owned(), ..Config::default() };
        let mut auth_config = crate::auth::Config { data_dir: data_dir.clone(), ..crate::auth::Config::default() };
        change(&mut config, &mut auth_config);

        let store = Store::open(&crate::store::Config { data_dir }).expect("it opens");
        let now: Arc<dyn Clock> = clock.clone();
        let auth = Auth::load(auth_config, store.clone(), now.clone(), random.clone()).await.expect("it loads");
        let engine = engine();
        let routes = Arc::new(Routes::default());
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let parts = spawner::Parts {
            backend: engine.clone(),
            store: store.clone(),
            routes: routes.clone(),
            tokens: Arc::new(TokensOf(auth.clone())),
            groups: Arc::new(|_| vec![]),
            grants: Arc::new({
                let auth = auth.clone();
                move |user| auth.effective(user)
            }),
            gpus: Arc::new(spawner::NoGpus),
            idle_rules: Arc::new(|_| crate::model::GrantedIdle::default()),
            errands: None,
            base: config.base.clone(),
            clock: now.clone(),
            tasks: tasks.clone(),
        };
        let spawner = Spawner::open(servers, parts).await.expect("it opens");
        let service_parts = services::Parts {
            routes: routes.clone(),
            tokens: Arc::new(TokensOf(auth.clone())),
            base: config.base.clone(),
            hub_url: "http://127.0.0.1:8081".to_owned(),
            public_origin: None.into(),
            clock: now.clone(),
            tasks: tasks.clone(),
        };
        let services = services::Services::new(services::Config::default(), service_parts);
        let stop = CancellationToken::new();
        let setting = |key: &str, value: &str| SettingShown {
            key: key.into(),
            category: "hub".into(),
            value: value.into(),
            ..SettingShown::default()
        };
        let settings = [setting("hub.first", "1"), setting("hub.second", "\"<b>\"")].into();
        let hub_url = "http://127.0.0.1:8081".to_owned();
        let program = Program { routes, hub_url, stop: stop.clone(), tasks, settings, store: store.clone() };
        let gpus = Gpus::new(gpu::Config::default(), Arc::new(super::host::Recorded), now.clone());
        gpus.engine_says(Some(gpu::EngineGives::Each));
        program.tasks.spawn(gpus.clone().sample(stop.clone()));
        let state = HubState::new(config, auth.clone(), spawner.clone(), services, program, now, random);
        let state = state.with_host(Arc::new(|| Some(super::host::facts(true))), gpus.clone());
        let router = router(state.clone());
        Self { stop, auth, spawner, engine, clock, store, state, router, gpus, _folder: folder }
    }

    /// The same world with another state of the hub.
    pub(super) fn with_state(self, state: HubState) -> Self {
        Self { router: router(state.clone()), state, ..self }
    }

    pub(super) fn pass(&self, time: Duration) {
        self.clock.0.fetch_add(i64::try_from(time.as_millis()).expect("a short time"), Ordering::Relaxed);
    }

    /// Somebody nobody knows.
    pub(super) fn stranger(&self) -> Client<'_> {
        Client { world: self, caller: Caller::Anonymous, door: Door::Public, headers: HeaderMap::new() }
    }

    /// A person in their browser.
    pub(super) async fn user(&self, name: &str) -> Client<'_> {
        self.person(name, false).await
    }

    pub(super) async fn admin(&self, name: &str) -> Client<'_> {
        self.person(name, true).await
    }

    async fn person(&self, name: &str, admin: bool) -> Client<'_> {
        self.auth.add_user("test", name, Some(&Secret::new(PASSWORD)), admin).await.expect("a new user");
        self.signed_in(name).await
    }

    /// So many users without passwords, named `user-0` and on.
    pub(super) async fn seed_users(&self, count: usize) {
        let names: Vec<_> = (0..count).map(|n| UserName::parse(&format!("user-{n}")).expect("a name")).collect();
        self.auth.create_users("test", &names, false).await.expect("new users");
    }

    pub(super) async fn signed_in(&self, name: &str) -> Client<'_> {
        let address = IpAddr::from([10, 0, 0, 1]);
        let (_, session) = self.auth.sign_in(name, &Secret::new(PASSWORD), address).await.expect("they are right");
        Client { caller: Caller::Session(session), ..self.stranger() }
    }

    /// A program with a token, at the containers' door.
    pub(super) fn program(&self, token: &str) -> Client<'_> {
        let caller = self.auth.token_of(token).map_or(Caller::Anonymous, Caller::Token);
        Client { caller, door: Door::Private, ..self.stranger() }
    }

    /// Waits until the server of `user` is as `is` says.
    pub(super) async fn until(&self, user: &str, is: impl FnMut(&ServerStatus) -> bool) {
        let mut watch = self.spawner.watch(&server(user));
        let reached = watch.wait_for(is);
        tokio::time::timeout(WAIT_LIMIT, reached).await.expect("it comes").expect("the spawner lives");
    }
}

pub(super) fn server(user: &str) -> ServerKey {
    ServerKey::default_of(UserName::parse(user).expect("a name"))
}

/// The base path of a world.
pub(super) fn base(path: &str) -> BasePath {
    BasePath::parse(path).expect("a base path")
}

/// One who sends requests, as the edge knows them.
#[derive(Clone)]
pub(super) struct Client<'a> {
    world: &'a World,
    pub(super) caller: Caller,
    pub(super) door: Door,
    headers: HeaderMap,
}

impl Client<'_> {
    /// The same, with a header on every request.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().expect("a header value"));
        self
    }

    /// The same, as a browser goes to pages.
    pub(super) fn navigating(self) -> Self {
        self.with("sec-fetch-mode", "navigate").with("sec-fetch-dest", "document").with("accept", "text/html")
    }

    /// The same, keeping the cookies that `answer` sets.
    pub(super) fn keeping(self, answer: &Answer) -> Self {
        answer.cookies().iter().fold(self, |client, (name, value)| client.with("cookie", &format!("{name}={value}")))
    }

    pub(super) async fn send(&self, method: Method, path: &str, content_type: &str, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let mut request = request.body(Body::from(body.to_owned())).expect("a request");
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        let visit =
            Visit { address: IpAddr::from([10, 0, 0, 1]), origin: "https://lab.test:8443".to_owned(), door: self.door };
        request.extensions_mut().insert(visit);
        request.extensions_mut().insert(self.caller.clone());
        let response = self.world.router.clone().oneshot(request).await.expect("a router does not fail");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("the body is whole");
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&body).into_owned() }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", "").await
    }

    /// Posts a form; the form token of a page that this client sees is put in.
    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.get("/hub/error/404").await;
        let token = page.form_token();
        self.clone().keeping(&page).post_with(path, &token, fields).await
    }

    /// Posts a form with this form token.
    pub(super) async fn post_with(&self, path: &str, token: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("_xsrf", token).extend_pairs(fields);
        self.send(Method::POST, path, "application/x-www-form-urlencoded", &form.finish()).await
    }

    /// Has an administrator's act done to these users: asks, and says yes to the question if there is one.
    pub(super) async fn administer(&self, act: &str, names: &[&str], more: &[(&str, &str)]) -> Answer {
        let mut fields = vec![("act", act)];
        fields.extend(names.iter().map(|name| ("user", *name)));
        let asked = self.post("/hub/admin/ask", &fields).await;
        let Some(question) = asked.field("question") else { return asked };
        let mut fields = vec![("question", question.as_str())];
        fields.extend(more);
        self.post("/hub/admin/do", &fields).await
    }

    pub(super) async fn json(&self, method: Method, path: &str, body: &str) -> Answer {
        self.send(method, path, "application/json", body).await
    }
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    /// The answer, if it has this status.
    #[track_caller]
    pub(super) fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?}\n{}", self.headers, self.text);
        self
    }

    pub(super) fn location(&self) -> &str {
        self.header(LOCATION.as_str())
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(super) fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()).collect()
    }

    /// Name and value of each cookie that is set.
    pub(super) fn cookies(&self) -> Vec<(String, String)> {
        let pairs = self.set_cookies().into_iter().filter_map(|cookie| cookie.split(';').next()?.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The value of the page's first hidden field of that name.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let rest = self.text.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
        rest.split('"').next().map(str::to_owned)
    }

    /// The form token of the page.
    #[track_caller]
    pub(super) fn form_token(&self) -> String {
        match self.field("_xsrf") {
            Some(token) => token,
            // A page without a form: the cookie has it, too.
            None => self.cookies().into_iter().find(|(name, _)| name == "_xsrf").expect("a form token").1,
        }
    }
}
