//! A world around the edge for its tests: a real `Auth` with a real store, routes, and a hub that says what it was
//! handed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::repeat_with;
use http::header::{HOST, LOCATION};
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::runtime::Handle;

use super::{Arrival, Config, Edge, Hub, Parts};
use crate::auth::{self, Auth, Caller};
use crate::model::{
    BasePath, Door, Generation, Handshake, Protocol, Random, Route, Routes, Secret, Security, ServerKey, SystemClock,
    Timestamp, Unreachable, UpstreamAddress, UserName, Visit,
};
use crate::net::{BoxError, OnUpgrade, RequestBody, ResponseBody, UpgradeKind};
use crate::proxy::{self, Proxy};
use crate::routers::{Routers, Tools};
use crate::store::{self, Store};
use crate::tasks::Tasks;

pub(super) const COOKIE_NAME: &str = "__Host-Http-slipway-00112233";

pub(super) struct World {
    pub(super) edge: Edge,
    pub(super) auth: Auth,
    pub(super) routes: Arc<Routes>,
    pub(super) reports: Arc<Mutex<Vec<Unreachable>>>,
    pub(super) told: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

pub(super) fn arrival(security: Security, door: Door) -> Arrival {
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Arrival { peer: local(40_000), local: local(8443), security, door }
}

pub(super) fn public() -> Arrival {
    arrival(Security::Tls(Handshake::new(Protocol::Http2)), Door::Public)
}

/// Says who calls, from where, and by which path; panics or never answers when asked to.
pub(super) fn talking_hub() -> Hub {
    Arc::new(|request: Request<RequestBody>| -> BoxFuture<'static, Response<ResponseBody>> {
        Box::pin(async move {
            let (caller, visit) =
                (request.extensions().get::<Caller>().cloned(), request.extensions().get::<Visit>().cloned());
            let (caller, visit) = (caller.expect("the edge says who calls"), visit.expect("the edge says from where"));
            let path = request.uri().path().to_owned();
            if path.ends_with("/panic") {
                panic!("on purpose");
            }
            if path.ends_with("/endless") {
                let piece = Bytes::from(vec![b'x'; 64 * 1024]);
                let pieces = repeat_with(move || Ok::<_, BoxError>(Frame::data(piece.clone())));
                return Response::new(ResponseBody::stream(http_body_util::StreamBody::new(pieces)));
            }
            if path.ends_with("/never") {
                std::future::pending::<()>().await;
            }
            let body = match request.into_body().collect().await {
                Ok(body) => body.to_bytes().len().to_string(),
                Err(error) => error.to_string(),
            };
            let kind = match &caller {
                Caller::Anonymous => "anonymous".to_owned(),
                Caller::Session(session) => format!("session {}", session.user.name),
                Caller::Token(token) => format!("token {}", token.owner.as_str()),
            };
            Response::new(ResponseBody::from(format!(
                "{kind} | {} | {} | {path} | {body}",
                visit.address, visit.origin
            )))
        })
    })
}

/// No routers: what they do is told with the whole program around them.
fn routers(tasks: &Tasks) -> Routers {
    let clock = Arc::new(SystemClock);
    let proxy = Proxy::new(proxy::Config::default(), clock.clone(), tasks.clone());
    let tools = Tools::new(clock, proxy.clone(), &Random::from_seed(2));
    Routers::new(Arc::default(), proxy, tools, None)
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(super) async fn with(config: Config) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&store::Config { data_dir: folder.path().into() }).expect("a store");
        let auth_config = auth::Config { data_dir: folder.path().into(), ..auth::Config::default() };
        let auth = Auth::load(auth_config, store, Arc::new(SystemClock), Random::from_seed(1)).await.expect("loaded");
        let tasks = Tasks::new(Handle::current());
        let (reports, told) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let routes = Arc::new(Routes::default());
        let parts = Parts {
            config,
            auth: auth.clone(),
            proxy: Proxy::new(proxy::Config::default(), Arc::new(SystemClock), tasks.clone()),
            routes: routes.clone(),
            routers: routers(&tasks),
            hub: talking_hub(),
            report: {
                let reports = reports.clone();
                Arc::new(move |report| reports.lock().push(report))
            },
            base: BasePath::parse("/").expect("root"),
            session_cookie: COOKIE_NAME.to_owned(),
            is_certified: Arc::new(|host| host == "lab.example"),
            challenge: Arc::new(|token| (token == "asked").then(|| "asked.thumb".to_owned())),
            tell: Some({
                let told = told.clone();
                Arc::new(move |exchange| {
                    let user = exchange.trail.user.as_ref().map_or("-", UserName::as_str);
                    told.lock().push(format!("{} {user} {} {}", exchange.status, exchange.method, exchange.target));
                })
            }),
            unready: Arc::new(Vec::new),
            clock: Arc::new(SystemClock),
            tasks,
        };
        Self { edge: Edge::new(parts), auth, routes, reports, told, _folder: folder }
    }

    /// A user who is signed in: the value of their `Cookie` header.
    pub(super) async fn user(&self, name: &str, admin: bool) -> String {
        let password = Secret::new("correct horse");
        self.auth.add_user("test", name, Some(&password), admin).await.expect("added");
        let (cookie, _) = self.auth.sign_in(name, &password, IpAddr::from([127, 0, 0, 1])).await.expect("signed in");
        format!("a=b; {COOKIE_NAME}={}", cookie.expose())
    }

    pub(super) async fn token(&self, name: &str, scopes: &[&str]) -> String {
        let scopes = scopes.iter().map(ToString::to_string).collect();
        // Of a client that gives its tokens no access by itself.
        let elsewhere = ServerKey::default_of(user_name("elsewhere")).into();
        let (secret, _) =
            self.auth.issue_oauth_token(&user_name(name), &elsewhere, scopes, None).await.expect("issued");
        secret.expose().to_owned()
    }

    /// A route to a port on which nobody listens.
    pub(super) fn publish_dead(&self, server: &ServerKey) {
        self.publish(server, ([127, 0, 0, 1], 1).into());
    }

    pub(super) fn publish(&self, server: &ServerKey, address: SocketAddr) {
        let route = Route::new(server.clone(), Generation(7), UpstreamAddress::Tcp(address), Timestamp(0));
        self.routes.publish(&server.route_key(&self.edge.parts.base), Arc::new(route));
    }

    /// A connection of this kind to the edge: the client's end of it.
    pub(super) fn connect(&self, protocol: Protocol) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (edge, tasks) = (self.edge.clone(), self.edge.parts.tasks.clone());
        let stopping = tasks.stopping().clone();
        tasks.spawn(async move {
            edge.serve_connection(theirs, arrival(Security::Tls(Handshake::new(protocol)), Door::Public), stopping)
                .await;
        });
        ours
    }

    pub(super) async fn ask(&self, request: Request<RequestBody>) -> Answer {
        self.ask_by(&public(), request).await
    }

    pub(super) async fn ask_by(&self, arrival: &Arrival, request: Request<RequestBody>) -> Answer {
        let response = self.edge.answer(arrival, request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, text: String::from_utf8_lossy(&body).into() }
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn location(&self) -> &str {
        self.headers.get(LOCATION).and_then(|location| location.to_str().ok()).unwrap_or_default()
    }
}

pub(super) fn user_name(name: &str) -> UserName {
    UserName::parse(name).expect("a name")
}

pub(super) fn get(target: &str, headers: &[(&str, &str)]) -> Request<RequestBody> {
    request(Method::GET, target, headers)
}

pub(super) fn request(method: Method, target: &str, headers: &[(&str, &str)]) -> Request<RequestBody> {
    let mut builder = Request::builder().method(method).uri(target);
    if !headers.iter().any(|(name, _)| *name == "host") {
        builder = builder.header(HOST, "localhost:8443");
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(RequestBody::Empty).expect("a request")
}

pub(super) fn websocket(target: &str, headers: &[(&str, &str)]) -> Request<RequestBody> {
    let handshake = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut request = get(target, &[headers, &handshake].concat());
    let (_, upgrade) = OnUpgrade::pending(UpgradeKind::Http1);
    request.extensions_mut().insert(upgrade);
    request
}
