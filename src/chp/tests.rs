//! The whole program over real sockets: a hub that sets routes, clients, a server that tells what it has heard.
//!
//! What configurable-http-proxy itself does with the same calls is compared by `tests/clients/chp_compare.py`.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::Handle;

use super::*;
use crate::model::SystemClock;
use crate::tasks::Tasks;

fn config() -> Config {
    let place = Place::Port { host: "127.0.0.1".to_owned(), port: 0 };
    Config {
        public: place.clone(),
        public_tls: None,
        api: place.clone(),
        api_tls: None,
        metrics: Some(place),
        redirect: None,
        auth_token: Some(crate::model::Secret::new("s3cret")),
        default_target: None,
        errors: ErrorPages::BuiltIn,
        backend_tls: BackendTls { authorities: None, identity: None, verifies: true, versions: TlsVersions::All },
        host_routing: false,
        forwards: true,
        prepends_path: true,
        includes_prefix: true,
        auto_rewrite: false,
        protocol_rewrite: None,
        change_origin: false,
        custom_headers: Vec::new(),
        timeout: None,
        proxy_timeout: None,
        keep_alive_timeout: Duration::from_secs(5),
    }
}

struct World {
    running: Running,
    tasks: Tasks,
}

impl World {
    async fn start(config: Config) -> Self {
        let tasks = Tasks::new(Handle::current());
        let running = start(config, Arc::new(SystemClock), &Lanes::one(&tasks)).await.expect("it starts");
        Self { running, tasks }
    }

    async fn ask(&self, text: &str) -> String {
        ask(TcpStream::connect(self.running.public[0]).await.expect("connects"), text).await
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: hub.example:8000\r\nConnection: close\r\n\r\n")).await
    }

    async fn api(&self, call: &str, body: &str) -> String {
        let length = body.len();
        let text = format!(
            "{call} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: token s3cret\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        ask(TcpStream::connect(self.running.api[0]).await.expect("connects"), &text).await
    }

    async fn add(&self, key: &str, target: &str) {
        let said = self.api(&format!("POST /api/routes{key}"), &format!(r#"{{"target":"{target}","user":"x"}}"#)).await;
        assert!(said.starts_with("HTTP/1.1 201 Created"), "{said}");
    }

    async fn figures(&self) -> String {
        let text = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        ask(TcpStream::connect(self.running.metrics[0]).await.expect("connects"), text).await
    }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.expect("writes");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.expect("reads");
    String::from_utf8(said).expect("text")
}

/// Answers one request a connection with the request's head, after a head of its own.
async fn tell(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        heard.push(byte);
    }
    let head = format!("HTTP/1.1 {answer}Connection: close\r\nContent-Length: {}\r\n\r\n", heard.len());
    // Whoever asked may have gone.
    let _ = stream.write_all(&[head.as_bytes(), &heard].concat()).await;
}

async fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(tell(stream, answer));
        }
    });
    format!("http://{address}")
}

/// An address on which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

fn body_of(said: &str) -> &str {
    said.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[tokio::test]
async fn a_route_is_set_used_and_removed() {
    let world = World::start(config()).await;
    assert!(world.get("/user/x/lab").await.contains("404: Not Found"));
    world.add("/user/x/", &server("200 OK\r\n").await).await;
    let said = world.get("/user/x/lab?a=b").await;
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    for line in [
        "GET /user/x/lab?a=b HTTP/1.1",
        "host: hub.example:8000",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-port: 8000",
        "x-forwarded-proto: http",
        "x-forwarded-host: hub.example:8000",
    ] {
        assert!(body_of(&said).contains(line), "no {line} in {said}");
    }
    let listing = world.api("GET /api/routes", "").await;
    assert!(
        listing.contains(r#"{"/user/x":{"target":"http://127.0.0.1:"#) && listing.contains("application/json"),
        "{listing}"
    );
    assert!(world.api("DELETE /api/routes/user/x", "").await.starts_with("HTTP/1.1 204"));
    assert!(world.api("DELETE /api/routes/user/x", "").await.starts_with("HTTP/1.1 404"));
    assert!(world.get("/user/x/lab").await.starts_with("HTTP/1.1 404"));
    let figures = world.figures().await;
    for line in
        ["requests_web 3", "requests_proxy{status=\"404\"} 2", "api_route_add 1", "requests_api{status=\"204\"} 1"]
    {
        assert!(figures.lines().any(|known| known == line), "no {line} in {figures}");
    }
    assert!(world.tasks.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn the_api_is_for_those_who_know_the_token() {
    let world = World::start(config()).await;
    let ask_api = async |text: &str| ask(TcpStream::connect(world.running.api[0]).await.expect("connects"), text).await;
    let stranger = ask_api("GET /api/routes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(stranger.starts_with("HTTP/1.1 403") && body_of(&stranger).is_empty(), "{stranger}");
    let nonsense = "POST /api/routes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n{";
    let nonsense = ask_api(nonsense).await;
    assert!(
        nonsense.starts_with("HTTP/1.1 400") && body_of(&nonsense).starts_with("Body not valid JSON: "),
        "{nonsense}"
    );
    let check = async |call: &str, body: &str, status: &str, text: &str| {
        let said = world.api(call, body).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")) && body_of(&said) == text, "{call}: {said}");
    };
    check("POST /api/routes/x", "{}", "400", "Must specify 'target' as string").await;
    check("POST /api/routes/x", "[1]", "400", "Must specify 'target' as string").await;
    check("POST /api/routes/x", "", "400", "Body not valid JSON: SyntaxError: Unexpected end of JSON input").await;
    check("PUT /api/routes/x", "{}", "405", "Method not supported").await;
    check("DELETE /api/routes", "", "405", "Method not supported").await;
    check("GET /api/other", "", "404", "Not Found").await;
    check("GET /api/routes/x", "", "404", "").await;
    check("GET /api/routes", "", "200", "{}").await;
    check("GET /api/routes?inactive_since=x+y", "", "400", "Invalid datestamp 'x y' must be ISO8601.").await;
    let long = format!(r#"{{"target":"{}"}}"#, "x".repeat(1024 * 1024));
    assert!(world.api("POST /api/routes/x", &long).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_target_that_is_not_there_or_no_target_has_an_error_page() {
    let world = World::start(config()).await;
    world.add("/dead", &nobody().await).await;
    world.add("/bad", "nonsense").await;
    let dead = world.get("/dead").await;
    assert!(dead.starts_with("HTTP/1.1 503") && dead.contains("503: Proxy Target Missing"), "{dead}");
    let bad = world.get("/bad").await;
    assert!(bad.starts_with("HTTP/1.1 500") && bad.contains("Proxy Error"), "{bad}");
    assert!(world.get("/dead/../bad").await.starts_with("HTTP/1.1 400"));
    let websocket = "GET /dead HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let refused = world.ask(websocket).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("content-length: 0"), "{refused}");
}

#[tokio::test]
async fn error_pages_come_from_where_the_operator_says() {
    let page = server("200 OK\r\nContent-Type: text/x\r\nX-Other: y\r\n").await;
    let errors = ErrorPages::Target(format!("{page}/hub/error"));
    let world = World::start(Config { errors, ..config() }).await;
    let said = world.get("/x?y=z").await;
    assert!(
        said.starts_with("HTTP/1.1 404") && said.contains("content-type: text/x") && !said.contains("x-other"),
        "{said}"
    );
    assert!(body_of(&said).starts_with("GET /hub/error/404?url=%2Fx%3Fy%3Dz HTTP/1.1"), "{said}");

    let errors = ErrorPages::Target(nobody().await);
    let said = World::start(Config { errors, ..config() }).await.get("/x").await;
    assert!(said.starts_with("HTTP/1.1 404") && body_of(&said) == "Not Found", "{said}");

    let folder = tempfile::TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("error.html"), "mine").expect("written");
    let errors = ErrorPages::Folder(folder.path().to_owned());
    let said = World::start(Config { errors, ..config() }).await.get("/x").await;
    assert!(said.starts_with("HTTP/1.1 404") && body_of(&said) == "mine" && said.contains("text/html"), "{said}");
}

#[tokio::test]
async fn answers_pass_with_all_that_the_edge_would_strip() {
    let world = World::start(config()).await;
    let answer =
        "200 Fine\r\nSet-Cookie: a=1; Path=/; Domain=x\r\nSet-Cookie: __Host-b=2\r\nClear-Site-Data: \"cookies\"\r\n";
    world.add("/", &server(answer).await).await;
    let said = world.ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close, x-listed\r\nX-Listed: 1\r\nX-Real-Ip: 9.9.9.9\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n").await;
    for line in [
        "set-cookie: a=1; Path=/; Domain=x",
        "set-cookie: __Host-b=2",
        "clear-site-data: \"cookies\"",
        "x-listed: 1",
        "x-real-ip: 9.9.9.9",
        "x-forwarded-for: 1.1.1.1,127.0.0.1",
    ] {
        assert!(said.contains(&format!("{line}\r\n")), "no {line} in {said}");
    }
}

#[tokio::test]
async fn a_silent_target_and_a_silent_client_have_their_limits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = Some(format!("http://{}", listener.local_addr().expect("bound")));
    let limit = Some(Duration::from_millis(50));
    let world = World::start(Config { proxy_timeout: limit, default_target: target.clone(), ..config() }).await;
    assert!(world.get("/").await.starts_with("HTTP/1.1 503"));
    let world = World::start(Config { timeout: limit, default_target: target, ..config() }).await;
    assert_eq!(world.get("/").await, "");
}

#[tokio::test]
async fn unix_sockets_do_on_both_sides() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let lab = UnixListener::bind(path("lab")).expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = lab.accept().await {
            tokio::spawn(tell(stream, "200 OK\r\n"));
        }
    });
    let target = format!("http+unix://{}", path("lab").to_str().expect("text").replace('/', "%2F"));
    let sockets = Config {
        public: Place::Socket(path("public")),
        api: Place::Socket(path("api")),
        default_target: Some(target),
        ..config()
    };
    let world = World::start(sockets).await;
    let client = UnixStream::connect(path("public")).await.expect("connects");
    let said = ask(client, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(body_of(&said).starts_with("GET /x HTTP/1.1") && !said.contains("x-forwarded-for"), "{said}");
    assert!(world.tasks.stop(Duration::from_secs(5)).await);
    assert!(!path("public").exists() && !path("api").exists());
}

#[tokio::test]
async fn whoever_asks_for_health_is_no_request_of_anybodys() {
    let world = World::start(config()).await;
    let said = world.get("/_chp_healthz").await;
    assert!(said.starts_with("HTTP/1.1 200") && body_of(&said) == r#"{"status":"OK"}"#, "{said}");
    assert!(world.figures().await.contains("requests_web 0\n"));
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_reason_not_to_start() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let public = Place::Port { host: "127.0.0.1".to_owned(), port };
    let tasks = Tasks::new(Handle::current());
    let error =
        start(Config { public, ..config() }, Arc::new(SystemClock), &Lanes::one(&tasks)).await.expect_err("taken");
    assert!(matches!(error, StartError::Bind(_)), "{error}");
}
