//! A backend whose servers are tasks in this process: each listens on a port of its own, answers with what it was
//! sent, and can be told to fail in every way that a container fails.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::json;
use sha1::{Digest as _, Sha1};
use slipway::model::{Generation, Handle, ServerKey, UpstreamAddress, VolumeStem};
use slipway::spawner::{Backend, BackendError, Exit, Found, Notice, Order, ProgressSink, Removal, Sight, Volume};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;

/// How a server of one user behaves when it is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Listens and answers.
    #[default]
    Answers,
    /// Its program ends at once with status 7.
    Exits,
    /// There is no image for it.
    ImageMissing,
    /// Waits in `create` until `let_go` is called.
    WaitsInCreate,
    /// Waits in `restart`, with its program ended, until `let_go` is called.
    WaitsInRestart,
    /// Says this to every connection, and closes it.
    Says(String),
    /// Answers every question, and a notice like this.
    Hears(Hearing),
}

/// What a server makes of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// Says this, and closes the connection; nothing at all is a connection closed.
    Says(String),
    /// Says nothing, and waits.
    Silence,
    /// Never comes to an end of its answer.
    Endless,
    /// Takes it, once `Ear::let_go` was called.
    Waits,
}

/// What servers that hear notices have heard.
pub struct Ear {
    /// Whole requests, as they came.
    pub heard: Mutex<Vec<String>>,
    /// How many are being answered, and the most that there were.
    busy: Mutex<(usize, usize)>,
    changed: Notify,
    gate: tokio::sync::Semaphore,
}

/// What the extension says when it has taken a notice.
pub const TAKEN: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 49\r\n\r\n{\"success\": true, \"notification_id\": \"notif_1_2\"}";

impl Default for Ear {
    fn default() -> Self {
        Self {
            heard: Mutex::default(),
            busy: Mutex::default(),
            changed: Notify::new(),
            gate: tokio::sync::Semaphore::new(0),
        }
    }
}

impl Ear {
    /// Lets one server that waits take its notice.
    pub fn let_go(&self) {
        self.gate.add_permits(1);
    }

    /// The most that were being told at one moment.
    pub fn most_at_once(&self) -> usize {
        self.busy.lock().1
    }

    /// Waits until so many are being told.
    pub async fn until_busy(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            if self.busy.lock().0 == count {
                return;
            }
            changed.await;
        }
    }

    fn note(&self, change: impl FnOnce(&mut usize)) {
        let mut busy = self.busy.lock();
        change(&mut busy.0);
        busy.1 = busy.1.max(busy.0);
        self.changed.notify_waiters();
    }

    async fn hear(&self, mut stream: tokio::net::TcpStream, hearing: Hearing) {
        let mut request = Vec::new();
        let is_whole = |request: &[u8]| {
            let text = String::from_utf8_lossy(request);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            body.len() >= length.unwrap_or(0_usize)
        };
        while !is_whole(&request) {
            if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
                return;
            }
        }
        let request = String::from_utf8_lossy(&request).into_owned();
        if !request.starts_with("POST ") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            return;
        }
        self.heard.lock().push(request);
        self.note(|busy| *busy += 1);
        match hearing {
            Hearing::Says(words) => drop(stream.write_all(words.as_bytes()).await),
            Hearing::Silence => drop(stream.read(&mut [0]).await),
            Hearing::Endless => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                while stream.write_all(&[b'x'; 64 << 10]).await.is_ok() {}
            }
            Hearing::Waits => {
                self.gate.acquire().await.expect("never closed").forget();
                // One place is free before the next can be taken, whatever the order of wake-ups.
                self.note(|busy| *busy -= 1);
                let _ = stream.write_all(TAKEN.as_bytes()).await;
                return;
            }
        }
        self.note(|busy| *busy -= 1);
    }
}

struct FakeServer {
    server: ServerKey,
    generation: Generation,
    environment: std::collections::BTreeMap<String, String>,
    sight: Sight,
    task: Option<JoinHandle<()>>,
}

/// One request as a server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub server: ServerKey,
    pub target: String,
    pub headers: http::HeaderMap,
}

/// The backend; the test keeps an `Arc` of it.
pub struct FakeBackend {
    servers: Mutex<HashMap<String, FakeServer>>,
    behaviours: Mutex<HashMap<String, Behaviour>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    notices: broadcast::Sender<Notice>,
    gate: Notify,
    creates: AtomicUsize,
    /// Names of volumes that exist.
    volumes: Mutex<BTreeSet<String>>,
    pub ear: Arc<Ear>,
    restarts: AtomicUsize,
}

/// What each user has, and what everybody shares.
const VOLUMES: [(&str, &str, &str); 4] = [
    ("home", "/home/jovyan", "Home files and configuration"),
    ("workspace", "/home/jovyan/work", "Project files, notebooks, code"),
    ("cache", "/home/jovyan/.cache", "Temporary files, pip and conda cache"),
    ("shared", "/mnt/shared", "Files that everybody here shares"),
];

/// What happens to servers may wait here; tests are short.
const NOTICES: usize = 256;

impl FakeBackend {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            servers: Mutex::default(),
            behaviours: Mutex::default(),
            seen: Arc::default(),
            notices: broadcast::channel(NOTICES).0,
            gate: Notify::new(),
            creates: AtomicUsize::new(0),
            volumes: Mutex::new(BTreeSet::from(["fake_shared".to_owned()])),
            ear: Arc::default(),
            restarts: AtomicUsize::new(0),
        })
    }

    /// The names of all volumes.
    pub fn volumes(&self) -> Vec<String> {
        self.volumes.lock().iter().cloned().collect()
    }

    /// A volume that somebody has made beside us.
    pub fn add_volume(&self, name: &str) {
        self.volumes.lock().insert(name.to_owned());
    }

    /// From now on servers of `user` behave like this.
    pub fn behave(&self, user: &str, behaviour: Behaviour) {
        self.behaviours.lock().insert(user.to_owned(), behaviour);
    }

    /// Lets one server go on that waits in `create` or `restart`.
    pub fn let_go(&self) {
        self.gate.notify_one();
    }

    /// How many servers have been created since the beginning.
    pub fn creates(&self) -> usize {
        self.creates.load(Ordering::SeqCst)
    }

    /// How many servers have been restarted since the beginning.
    pub fn restarts(&self) -> usize {
        self.restarts.load(Ordering::SeqCst)
    }

    /// Everything that servers were sent, without the probes for readiness.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().iter().filter(|seen| !seen.target.ends_with("/api")).cloned().collect()
    }

    /// The names of all servers that exist.
    pub fn servers(&self) -> Vec<String> {
        self.servers.lock().keys().cloned().collect()
    }

    /// The variables of the running server of `user`.
    pub fn environment_of(&self, user: &str) -> std::collections::BTreeMap<String, String> {
        let servers = self.servers.lock();
        let server =
            servers.values().find(|server| server.server.user.as_str() == user).expect("a server of that user");
        server.environment.clone()
    }

    /// The server's program ends with `code`, and the engine says so.
    pub fn die(&self, user: &str, code: i64) {
        let mut servers = self.servers.lock();
        let server =
            servers.values_mut().find(|server| server.server.user.as_str() == user).expect("a server of that user");
        end(server, code);
        let notice =
            Notice { server: server.server.clone(), generation: server.generation, sight: server.sight.clone() };
        let _ = self.notices.send(notice);
    }

    /// The same, but nobody is told: the engine's event got lost.
    pub fn die_silently(&self, user: &str) {
        let mut servers = self.servers.lock();
        end(
            servers.values_mut().find(|server| server.server.user.as_str() == user).expect("a server of that user"),
            137,
        );
    }

    fn user_of(&self, name: &str) -> String {
        self.servers.lock().get(name).map(|server| server.server.user.to_string()).unwrap_or_default()
    }

    fn behaviour_of(&self, server: &ServerKey) -> Behaviour {
        self.behaviours.lock().get(server.user.as_str()).cloned().unwrap_or_default()
    }
}

fn end(server: &mut FakeServer, code: i64) {
    if let Some(task) = server.task.take() {
        task.abort();
    }
    server.sight = Sight::Exited(Exit { code: Some(code), out_of_memory: false });
}

fn name_of(handle: &Handle) -> String {
    handle.read().expect("our own handle")
}

#[async_trait::async_trait]
impl Backend for FakeBackend {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn image(&self) -> Option<String> {
        Some("fake:1".to_owned())
    }

    async fn prepare(
        &self,
        server: &ServerKey,
        _image: Option<&str>,
        progress: &ProgressSink,
    ) -> Result<(), BackendError> {
        progress("Pulling image fake:1".into(), Some(50));
        if self.behaviour_of(server) == Behaviour::ImageMissing {
            return Err(BackendError::ImageMissing { image: "fake:1".into() });
        }
        Ok(())
    }

    async fn listen_address(&self) -> Result<SocketAddr, BackendError> {
        Ok(([0, 0, 0, 0], 8888).into())
    }

    async fn create(&self, order: &Order) -> Result<Handle, BackendError> {
        self.creates.fetch_add(1, Ordering::SeqCst);
        if self.behaviour_of(&order.server) == Behaviour::WaitsInCreate {
            self.gate.notified().await;
        }
        let own = VOLUMES[..3].iter().map(|(suffix, ..)| volume_name(&order.volumes, suffix));
        self.volumes.lock().extend(own);
        let name = order.server.docker_name("fake");
        let server = FakeServer {
            server: order.server.clone(),
            generation: order.generation,
            environment: order.environment.0.clone(),
            sight: Sight::Created,
            task: None,
        };
        if let Some(mut leftover) = self.servers.lock().insert(name.clone(), server) {
            end(&mut leftover, 137);
        }
        Ok(json!(name).into())
    }

    async fn start(&self, handle: &Handle) -> Result<Sight, BackendError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = UpstreamAddress::Tcp(listener.local_addr().expect("an address"));
        let mut servers = self.servers.lock();
        let server = servers.get_mut(&name_of(handle)).expect("created before");
        if self.behaviour_of(&server.server) == Behaviour::Exits {
            end(server, 7);
            let notice =
                Notice { server: server.server.clone(), generation: server.generation, sight: server.sight.clone() };
            let _ = self.notices.send(notice);
            return Ok(server.sight.clone());
        }
        server.sight = Sight::Running(address);
        server.task = Some(match self.behaviour_of(&server.server) {
            Behaviour::Says(words) => tokio::spawn(say(listener, words)),
            Behaviour::Hears(hearing) => tokio::spawn(hear(listener, hearing, self.ear.clone())),
            _ => tokio::spawn(serve(listener, server.server.clone(), self.seen.clone())),
        });
        Ok(server.sight.clone())
    }

    async fn stop(&self, handle: &Handle, _grace: Duration) -> Result<(), BackendError> {
        if let Some(server) = self.servers.lock().get_mut(&name_of(handle)) {
            end(server, 0);
        }
        Ok(())
    }

    async fn restart(&self, handle: &Handle, grace: Duration) -> Result<Sight, BackendError> {
        // As an engine does: everybody is told that it ends, and its address is another one afterwards.
        let name = name_of(handle);
        self.stop(handle, grace).await?;
        let ended = self.servers.lock().get(&name).map(|server| Notice {
            server: server.server.clone(),
            generation: server.generation,
            sight: server.sight.clone(),
        });
        let Some(ended) = ended else { return Ok(Sight::Gone) };
        let _ = self.notices.send(ended);
        self.restarts.fetch_add(1, Ordering::SeqCst);
        if self.behaviours.lock().get(&self.user_of(&name)) == Some(&Behaviour::WaitsInRestart) {
            self.gate.notified().await;
        }
        self.start(handle).await
    }

    async fn remove(&self, handle: &Handle) -> Result<(), BackendError> {
        self.servers.lock().remove(&name_of(handle));
        Ok(())
    }

    async fn inspect(&self, handle: &Handle) -> Result<Sight, BackendError> {
        Ok(self.servers.lock().get(&name_of(handle)).map_or(Sight::Gone, |server| server.sight.clone()))
    }

    async fn log_tail(&self, _handle: &Handle, _lines: usize) -> Result<Vec<String>, BackendError> {
        Ok(vec!["first line".into(), "the last words".into()])
    }

    async fn find(&self, server: &ServerKey) -> Result<Option<Found>, BackendError> {
        Ok(self.list().await?.into_iter().find(|found| found.server == *server))
    }

    async fn list(&self) -> Result<Vec<Found>, BackendError> {
        let servers = self.servers.lock();
        let found = servers.iter().map(|(name, server)| Found {
            server: server.server.clone(),
            generation: server.generation,
            handle: json!(name).into(),
            sight: server.sight.clone(),
        });
        Ok(found.collect())
    }

    async fn events(&self) -> Result<BoxStream<'static, Notice>, BackendError> {
        let receiver = self.notices.subscribe();
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await.ok()?, receiver))
        });
        Ok(stream.boxed())
    }

    fn has_volume(&self, suffix: &str) -> bool {
        VOLUMES[..3].iter().any(|(own, ..)| *own == suffix)
    }

    async fn volumes(&self, stem: &VolumeStem) -> Result<Vec<Volume>, BackendError> {
        let there = self.volumes.lock();
        let volumes = VOLUMES.iter().map(|(suffix, mount, description)| Volume {
            suffix: (*suffix).to_owned(),
            name: volume_name(stem, suffix),
            mount: (*mount).to_owned(),
            label: None,
            description: (*description).to_owned(),
            is_shared: *suffix == "shared",
        });
        Ok(volumes.filter(|volume| there.contains(&volume.name)).collect())
    }

    async fn remove_volume(&self, stem: &VolumeStem, suffix: &str) -> Result<Removal, BackendError> {
        let is_gone = self.volumes.lock().remove(&volume_name(stem, suffix));
        Ok(if is_gone { Removal::Removed } else { Removal::Absent })
    }
}

fn volume_name(stem: &VolumeStem, suffix: &str) -> String {
    if suffix == "shared" { "fake_shared".to_owned() } else { format!("fake-{stem}_{suffix}") }
}

/// A program of its own that answers as servers do, under this name.
pub struct FakeService {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl FakeService {
    pub async fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        tokio::spawn(serve(listener, crate::world::server(name), seen.clone()));
        Self { address, seen }
    }

    /// The last request that it was sent, without our own questions whether it is there.
    pub fn last(&self) -> Seen {
        let seen = self.seen.lock();
        let asked = seen.iter().rev().find(|seen| seen.headers.contains_key("x-forwarded-for"));
        asked.expect("a request").clone()
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

async fn say(listener: TcpListener, words: String) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(words.as_bytes()).await;
    }
}

async fn hear(listener: TcpListener, hearing: Hearing, ear: Arc<Ear>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (hearing, ear) = (hearing.clone(), ear.clone());
        connections.spawn(async move { ear.hear(stream, hearing).await });
    }
}

async fn serve(listener: TcpListener, server: ServerKey, seen: Arc<Mutex<Vec<Seen>>>) {
    // Dropped with this task, so that a server that dies takes its open connections along.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (server, seen) = (server.clone(), seen.clone());
        connections.spawn(async move {
            let answer = service_fn(move |request| answer(request, server.clone(), seen.clone()));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .with_upgrades()
                .await;
        });
    }
}

async fn answer(
    mut request: Request<Incoming>,
    server: ServerKey,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Body>, Infallible> {
    let target = request.uri().to_string();
    seen.lock().push(Seen { server: server.clone(), target: target.clone(), headers: request.headers().clone() });
    let path = request.uri().path().to_owned();
    if let Some(key) = request.headers().get("sec-websocket-key").cloned() {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgrade.await.expect("an upgrade"));
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = io.read(&mut buffer).await {
                if io.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
        });
        let digest = Sha1::digest([key.as_bytes(), b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat());
        let accept = base64::engine::general_purpose::STANDARD.encode(digest);
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let response = response
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", accept);
        return Ok(response.body(Full::default().boxed_unsync()).expect("a response"));
    }
    let headers: serde_json::Map<_, _> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let (status, streams) = match path.rsplit('/').next().unwrap_or_default() {
        "teapot" => (StatusCode::IM_A_TEAPOT, false),
        "stream" => (StatusCode::OK, true),
        _ => (StatusCode::OK, false),
    };
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = json!({ "secret_of": server.to_string(), "target": target, "headers": headers, "body": String::from_utf8_lossy(&body) });
    let body = if streams { endless() } else { Full::from(text.to_string()).boxed_unsync() };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if path.ends_with("/hostile") {
        let lines = [
            ("set-cookie", "a=1; Path=/; Domain=example.org"),
            ("set-cookie", "b=2; Path=/user/alice/deep"),
            ("set-cookie", "jupyterhub-session-id=stolen; Path=/"),
            ("set-cookie", "__Host-x=1; Secure; Path=/"),
            ("service-worker-allowed", "/"),
            ("clear-site-data", "\"*\""),
            ("alt-svc", "h3=\":1\""),
            ("cross-origin-opener-policy", "same-origin"),
            ("strict-transport-security", "max-age=1"),
        ];
        for (name, value) in lines {
            response.headers_mut().append(name, HeaderValue::from_static(value));
        }
    }
    Ok(response)
}

/// A first chunk, and then silence.
fn endless() -> Body {
    let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"data: hello\n\n")))]);
    StreamBody::new(first.chain(futures_util::stream::pending())).boxed_unsync()
}
