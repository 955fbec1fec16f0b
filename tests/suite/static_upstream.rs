//! Servers that are started elsewhere: the configured backend over a real upstream.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use slipway::model::ServerState;
use slipway::spawner::Wish;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::world::{World, server};

/// Answers every request of one connection with its target.
fn serve(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let answer = service_fn(async |request: Request<Incoming>| {
        let text = format!("static upstream, asked for {}", request.uri());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
    });
    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), answer));
}

async fn on_tcp() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let upstream = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        loop {
            serve(listener.accept().await.expect("a connection").0);
        }
    });
    upstream
}

fn on_unix(folder: &std::path::Path) -> String {
    let path = folder.join("upstream.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    tokio::spawn(async move {
        loop {
            serve(listener.accept().await.expect("a connection").0);
        }
    });
    format!("unix:{}", path.display())
}

async fn world_of(upstream: &str) -> World {
    World::with(&[("SLIPWAY_SPAWNER_BACKEND", "static"), ("SLIPWAY_SPAWNER_STATIC_UPSTREAM", upstream)]).await
}

async fn check(upstream: &str) {
    let world = world_of(upstream).await;
    let alice = world.user_with_server("alice").await;
    let answer = alice.get("/user/alice/lab?x=1").await.is(200);
    assert_eq!(answer.text(), "static upstream, asked for /user/alice/lab?x=1");
    let bob = world.user("bob").await;
    bob.get("/user/alice/lab").await.is(404);
    // Two servers at one address are still two servers.
    world.start_server("bob").await;
    bob.get("/user/bob/lab").await.is(200);

    let world = world.restart().await;
    world.wait_until("alice", "ready again", |status| status.state == ServerState::Ready).await;
    let alice = world.sign_in("alice").await;
    alice.get("/user/alice/lab").await.is(200);
    world.app.spawner.stop(&server("alice"), "test").await.expect("a stop");
    world.wait_until("alice", "stopped", |status| status.state == ServerState::Stopped).await;
    alice.scripting().get("/user/alice/lab").await.is(424);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybodys_server_is_the_configured_address() {
    check(&on_tcp().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybodys_server_is_the_configured_socket() {
    let folder = tempfile::TempDir::new().expect("a folder");
    check(&on_unix(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_is_said_by_its_address() {
    let upstream = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    let world = world_of(&upstream).await;
    world.user("alice").await;
    world.app.spawner.start(&server("alice"), Wish::of("test")).await.expect("a start");
    let failed = |status: &slipway::model::ServerStatus| matches!(status.state, ServerState::Failed(_));
    world.wait_until("alice", "failed", failed).await;
    let ServerState::Failed(failure) = world.app.spawner.status(&server("alice")).state else { return };
    let address = upstream.trim_start_matches("http://");
    let expected = format!("Your server could not start because nothing answers at {address}");
    assert!(failure.sentence.starts_with(&expected), "{}", failure.sentence);
}
