//! The built program as its users run it: a process, a real engine, unmodified jupyterhub-singleuser.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::client::{Answer, Client, Wire};

/// The administrator's password.
pub const PASSWORD: &str = "a long enough password";
/// A whole JupyterLab on a busy two-core machine.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at a condition.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// One running `slipway serve`; it is killed (-9) when dropped, and its containers are removed with `Program::clean`.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    pub folder: TempDir,
    environment: Vec<(String, String)>,
}

fn binary() -> PathBuf {
    std::env::var_os("SLIPWAY_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_slipway")), PathBuf::from)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

impl Program {
    /// Starts it with `image`, containers named after `prefix`, and an administrator `admin`.
    pub async fn start(prefix: &str, image: &str, overrides: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let port = free_port();
        let path = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_owned();
        let mut environment = vec![
            ("SLIPWAY_DATA_DIR".to_owned(), path("data")),
            ("SLIPWAY_CERTS_DIR".to_owned(), path("certs")),
            ("SLIPWAY_LISTENER_HTTPS".to_owned(), format!("127.0.0.1:{port}")),
            ("SLIPWAY_ADMIN_PASSWORD".to_owned(), PASSWORD.to_owned()),
            ("SLIPWAY_SPAWNER_BACKEND".to_owned(), "docker".to_owned()),
            ("SLIPWAY_SPAWNER_DOCKER_IMAGE".to_owned(), image.to_owned()),
            ("SLIPWAY_SPAWNER_DOCKER_NAME_PREFIX".to_owned(), prefix.to_owned()),
            ("SLIPWAY_SPAWNER_DOCKER_NETWORK".to_owned(), "slipway-test".to_owned()),
            // A port of its own: another Slipway on this machine may hold 8081 on the same gateway.
            ("SLIPWAY_HUB_BIND".to_owned(), format!("auto:{}", free_port())),
        ];
        environment.extend(overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let child = run(&environment, folder.path());
        let mut program = Self { child, address, folder, environment };
        program.wait_until_it_answers().await;
        program
    }

    /// Kills it at once (SIGKILL) and starts it again on the same data.
    pub async fn kill_and_start(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
        self.child = run(&self.environment, self.folder.path());
        self.wait_until_it_answers().await;
    }

    async fn wait_until_it_answers(&mut self) {
        let until = Instant::now() + START_LIMIT;
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            let ended = self.child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "slipway ended at once: {ended:?}\n{}", self.log());
            assert!(Instant::now() < until, "slipway does not listen\n{}", self.log());
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::File::open(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = BufReader::new(status)
            .lines()
            .map_while(Result::ok)
            .find(|line| line.starts_with("VmRSS:"))
            .expect("a VmRSS line");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Another tab of the same browser: the cookies as they are now.
    pub fn tab_of(&self, browser: &Browser) -> Browser {
        Browser { client: browser.client.clone(), cookies: browser.cookies.clone() }
    }

    pub fn browser(&self) -> Browser {
        Browser { client: Client::new(self.address), cookies: Vec::new() }
    }
}

fn run(environment: &[(String, String)], folder: &Path) -> Child {
    let log = std::fs::File::options().append(true).create(true).open(folder.join("log")).expect("a log file");
    Command::new(binary())
        .arg("serve")
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log file"))
        .stderr(log)
        .spawn()
        .expect("the program starts")
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- slipway's log ---\n{}", self.log());
        }
    }
}

/// A browser: keeps cookies with their paths and follows redirects.
pub struct Browser {
    client: Client,
    /// Name, path, value.
    pub cookies: Vec<(String, String, String)>,
}

impl Browser {
    /// The value of the cookie `name` set for exactly `path`.
    pub fn cookie(&self, name: &str, path: &str) -> Option<&str> {
        self.cookies.iter().find(|(n, p, _)| n == name && p == path).map(|(.., value)| value.as_str())
    }

    fn client_for(&self, path: &str) -> Client {
        let mut client = self.client.clone();
        let fitting = self.cookies.iter().filter(|(_, prefix, _)| path.starts_with(prefix.as_str()));
        client.cookies = fitting.map(|(name, _, value)| (name.clone(), value.clone())).collect();
        client
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for line in answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().expect("text")) {
            let mut parts = line.split(';').map(str::trim);
            let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            let attribute = |key: &str| {
                line.split(';')
                    .map(str::trim)
                    .find_map(|part| part.to_ascii_lowercase().strip_prefix(key).map(|_| part[key.len()..].to_owned()))
            };
            let path = attribute("path=").unwrap_or_else(|| "/".into());
            self.cookies.retain(|(n, p, _)| n != name || *p != path);
            let is_dropped = attribute("max-age=").is_some_and(|age| age.starts_with('-') || age == "0")
                || attribute("expires=").is_some_and(|at| at.contains("19") && !at.contains("20"));
            if !is_dropped && !value.is_empty() {
                self.cookies.push((name.to_owned(), path, value.trim_matches('"').to_owned()));
            }
        }
    }

    /// One request without following.
    pub async fn send(&mut self, method: Method, path: &str, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let mut client = self.client_for(path);
        for (name, value) in headers {
            client.headers.insert(*name, HeaderValue::from_str(value).expect("a header value"));
        }
        let answer = client.send(Wire::Http1, method, path, Bytes::copy_from_slice(body.as_bytes())).await;
        self.keep_cookies(&answer);
        answer
    }

    /// Goes to `path` as a person does, following redirects; returns the last answer and where it was.
    pub async fn go(&mut self, path: &str) -> (Answer, String) {
        let mut path = path.to_owned();
        for _ in 0..12 {
            let answer = self.send(Method::GET, &path, &NAVIGATION, "").await;
            if !answer.status.is_redirection() {
                return (answer, path);
            }
            path = answer.header("location").split('#').next().unwrap_or_default().to_owned();
            let origin = format!("https://{}", self.client.host());
            path = path.strip_prefix(&origin).unwrap_or(&path).to_owned();
        }
        panic!("too many redirects, the last to {path}");
    }

    pub async fn sign_in(&mut self, name: &str, password: &str) {
        let (page, _) = self.go("/hub/login").await;
        let xsrf = hidden_field(&page.is(200).text(), "_xsrf");
        let fields = [("username", name), ("password", password), ("_xsrf", &xsrf)];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(
            Method::POST,
            "/hub/login",
            &[NAVIGATION[0], NAVIGATION[1], ("content-type", "application/x-www-form-urlencoded")],
            &form,
        )
        .await
        .is(302);
    }

    /// Opens a page of the server of `name` and waits, as the start page does, until it is there.
    pub async fn open_server(&mut self, name: &str, rest: &str) -> Answer {
        let target = format!("/user/{name}{rest}");
        let until = Instant::now() + START_LIMIT;
        loop {
            let (answer, place) = self.go(&target).await;
            if place.starts_with("/user/") && answer.status == 200 {
                return answer;
            }
            assert!(answer.status == 200, "{place}: {} {}", answer.status, answer.text());
            assert!(Instant::now() < until, "{target} never came; the last page was {place}:\n{}", answer.text());
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// A request of a page's script, with the form token of that page.
    pub async fn call(&mut self, method: Method, path: &str, form_token: &str, body: &str) -> Answer {
        let headers = [
            ("x-xsrftoken", form_token),
            ("content-type", "application/json"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-site", "same-origin"),
        ];
        self.send(method, path, &headers, body).await
    }

    /// The form token of the hub's pages.
    pub async fn hub_token(&mut self) -> String {
        let (page, _) = self.go("/hub/token").await;
        hidden_field(&page.is(200).text(), "_xsrf")
    }

    /// The form token of the pages of the server of `name`.
    pub fn server_token(&self, name: &str) -> String {
        self.cookie("_xsrf", &format!("/user/{name}/")).expect("the server's _xsrf cookie").to_owned()
    }

    /// Starts a kernel of the server of `name` and returns its id.
    pub async fn start_kernel(&mut self, name: &str) -> String {
        let token = self.server_token(name);
        let path = format!("/user/{name}/api/kernels");
        let kernel = self.call(Method::POST, &path, &token, "{\"name\":\"python3\"}").await.is(201).json();
        kernel["id"].as_str().expect("a kernel's id").to_owned()
    }

    /// Opens the WebSocket of a kernel.
    pub async fn open_kernel(
        &self,
        name: &str,
        id: &str,
    ) -> WebSocketStream<impl AsyncRead + AsyncWrite + Unpin + use<>> {
        let path = format!("/user/{name}/api/kernels/{id}/channels");
        let (answer, stream) = self.client_for(&path).open_websocket(&path).await;
        let stream = stream.unwrap_or_else(|| panic!("no WebSocket: {} {}", answer.status, answer.text()));
        WebSocketStream::from_raw_socket(stream, Role::Client, None).await
    }

    /// Runs `code` in a new kernel of the server of `name` and returns what it printed.
    pub async fn run_in_kernel(&mut self, name: &str, code: &str) -> String {
        let id = self.start_kernel(name).await;
        let mut socket = self.open_kernel(name, &id).await;
        socket.send(kernel_message("execute_request", execution_of(code))).await.expect("a message is sent");
        let printed = async {
            while let Some(message) = socket.next().await {
                let Ok(Message::Text(text)) = message else { continue };
                let message: Value = serde_json::from_str(&text).expect("JSON");
                match message["msg_type"].as_str() {
                    Some("stream") => return message["content"]["text"].as_str().unwrap_or_default().to_owned(),
                    Some("error") => panic!("the cell failed: {}", message["content"]),
                    _ => {}
                }
            }
            panic!("the WebSocket closed before anything was printed");
        };
        tokio::time::timeout(START_LIMIT, printed).await.expect("the cell prints")
    }
}

/// What a client of Jupyter sends through a kernel's WebSocket.
pub fn kernel_message(kind: &str, content: Value) -> Message {
    let header = json!({ "msg_id": kind, "username": "admin", "session": "s", "date": "2026-11-22T00:00:00Z", "msg_type": kind, "version": "5.3" });
    let message = json!({ "header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": [] });
    Message::text(message.to_string())
}

/// What a cell with `code` asks for.
pub fn execution_of(code: &str) -> Value {
    json!({ "code": code, "silent": false, "store_history": false, "user_expressions": {}, "allow_stdin": false })
}

const NAVIGATION: [(&str, &str); 3] =
    [("sec-fetch-mode", "navigate"), ("sec-fetch-site", "same-origin"), ("accept", "text/html,*/*;q=0.8")];

pub fn hidden_field(page: &str, name: &str) -> String {
    let mark = format!("name=\"{name}\"");
    let field =
        page.split("<input").find(|input| input.contains(&mark)).unwrap_or_else(|| panic!("no {name} in {page}"));
    field.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a value").to_owned()
}
