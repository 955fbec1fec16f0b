//! A labelled container behind the sign-in, as compose.yml has MLflow, through the whole program and on the real engine:
//! strangers neither reach nor start it, its target hears who asks, and it stops when nobody uses it.

use std::process::Command;
use std::time::{Duration, Instant};

use http::Method;
use slipway::model::Random;

use crate::client::Answer;
use crate::program::{Browser, PASSWORD, Program};

/// A start, a stop, and what the table hears of them.
const LIMIT: Duration = Duration::from_secs(30);

/// Tells what it was sent.
const ECHO: &str = r#"
import json, http.server
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("0.0.0.0", 5000), Echo).serve_forever()
"#;

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("the docker client");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A container that is removed in the end.
struct Labelled(String);

impl Labelled {
    fn create(mark: &str, labels: &[&str]) -> Self {
        let mut arguments = vec!["create", "--name", mark, "--label", mark];
        arguments.extend(labels.iter().flat_map(|label| ["--label", label]));
        arguments.extend(["--user", "65534", "--entrypoint", "python3", "slipway-lab:local", "-c", ECHO]);
        docker(&arguments);
        Self(mark.to_owned())
    }

    fn status(&self) -> String {
        docker(&["inspect", "--format", "{{.State.Status}}", &self.0])
    }
}

impl Drop for Labelled {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.0]).output();
    }
}

/// Goes there as a person does, without following.
async fn visit(browser: &mut Browser, path: &str) -> Answer {
    browser.send(Method::GET, path, &[("sec-fetch-mode", "navigate"), ("accept", "text/html")], "").await
}

async fn until(words: &str, mut is: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is().await {
        assert!(begun.elapsed() < LIMIT, "never: {words}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_labelled_service_is_reached_behind_the_sign_in_alone_starts_for_whoever_may_and_stops_when_idle() {
    let mark = format!("swl-{}", Random::from_system().hex::<6>());
    let labels = [
        "traefik.enable=true",
        "traefik.http.routers.mlflow.rule=PathPrefix(`/mlflow`)",
        "traefik.http.routers.mlflow.entrypoints=websecure",
        "traefik.http.routers.mlflow.tls=true",
        "traefik.http.services.mlflow.loadbalancer.server.port=5000",
        "slipway.access=user",
        "slipway.start=on-request",
        "slipway.idle-after=3s",
    ];
    let service = Labelled::create(&mark, &labels);
    let settings = [("SLIPWAY_ROUTERS_DOCKER_ENABLE", "true"), ("SLIPWAY_ROUTERS_DOCKER_CONSTRAINT", mark.as_str())];
    let program = Program::start(&mark, "slipway-instant:test", &settings).await;

    let mut stranger = program.browser();
    until("its route is there", async || visit(&mut stranger, "/mlflow/").await.status == 302).await;
    let sent = visit(&mut stranger, "/mlflow/?a=b").await;
    assert_eq!(sent.header("location"), "/hub/login?next=%2Fmlflow%2F%3Fa%3Db");
    let told =
        stranger.send(Method::GET, "/mlflow/", &[("remote-user", "admin"), ("x-webauth-user", "admin")], "").await;
    assert_eq!(told.status, 403, "whoever calls himself somebody is still nobody");
    assert_eq!(service.status(), "created", "a stranger starts nothing");

    let mut admin = program.browser();
    admin.sign_in("admin", PASSWORD).await;
    let begun = Instant::now();
    let mut page = visit(&mut admin, "/mlflow/?a=b").await;
    assert_eq!(page.status, 503, "a person sees a page that waits");
    until("it has started", async || {
        page = visit(&mut admin, "/mlflow/?a=b").await;
        page.status == 200
    })
    .await;
    println!("the first answer of a stopped service: after {:?}", begun.elapsed());
    let seen = page.json();
    assert_eq!(seen["path"], "/mlflow/?a=b");
    for (name, expected) in [
        ("remote-user", "admin"),
        ("x-webauth-user", "admin"),
        ("x-slipway-admin", "true"),
        ("x-forwarded-proto", "https"),
    ] {
        assert_eq!(seen["headers"][name], expected, "{name} in {seen}");
    }
    assert!(!seen["headers"].to_string().contains("slipway-session"), "{seen}");

    let idle = until("it stops when nobody uses it", async || service.status() == "exited").await;
    println!("stopped {idle:?} after its last answer");
    assert_eq!(visit(&mut stranger, "/mlflow/").await.status, 302, "its route stays");
    assert_eq!(service.status(), "exited");
}
