//! Health checks over real sockets; the paused clock moves on by itself where everybody waits.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::*;
use crate::model::SystemClock;
use crate::proxy::Proxy;
use crate::tasks::Tasks;

/// A target that answers 200 at `/health` while it is well, else 500, and sends `/` there.
async fn target(is_well: Arc<AtomicBool>, heard: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (is_well, heard) = (is_well.clone(), heard.clone());
            tokio::spawn(async move {
                loop {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).expect("text");
                    let answer = match (head.contains(" /health "), is_well.load(Ordering::Relaxed)) {
                        (false, _) => "HTTP/1.1 302 Found\r\nlocation: /health\r\ncontent-length: 0\r\n\r\n",
                        (true, true) => "HTTP/1.1 204 No Content\r\n\r\n",
                        (true, false) => "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n",
                    };
                    heard.lock().push(head);
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    address
}

async fn until(is_true: impl Fn() -> bool) {
    let waiting = async {
        while !is_true() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.expect("it comes about");
}

#[tokio::test]
async fn a_target_is_down_while_its_check_fails_and_nobody_is_asked_for_a_balancer_that_is_gone() {
    let (is_well, heard) = (Arc::new(AtomicBool::new(true)), Arc::<Mutex<Vec<String>>>::default());
    let url = format!("http://{}", target(is_well.clone(), heard.clone()).await);
    let balancer = build(
        &[
            ("loadBalancer.servers[0].url", &url),
            ("loadBalancer.servers[1].url", "http://127.0.0.1:1"),
            ("loadBalancer.healthCheck.path", "/"),
            ("loadBalancer.healthCheck.interval", "100ms"),
            ("loadBalancer.healthCheck.timeout", "10s"),
            ("loadBalancer.healthCheck.hostname", "health.example"),
            ("loadBalancer.healthCheck.headers.X-Probe", "yes"),
        ],
        None,
    );
    let tasks = Tasks::new(Handle::current());
    let proxy = Proxy::new(crate::proxy::Config::default(), Arc::new(SystemClock), tasks.clone());
    let checks = HealthChecks::new(tasks, proxy, 1);
    checks.watch(&balancer);
    checks.watch(&balancer);
    let is_up = |index: usize| balancer.targets()[index].is_up();
    until(|| !is_up(1)).await;
    assert!(is_up(0));
    is_well.store(false, Ordering::Relaxed);
    until(|| !is_up(0)).await;
    assert_eq!(balancer.view()[0].trouble.as_deref(), Some("it answered 500"));
    is_well.store(true, Ordering::Relaxed);
    until(|| is_up(0)).await;
    let first = heard.lock()[0].clone();
    assert!(
        first.starts_with("GET / HTTP/1.1\r\nhost: health.example\r\n") && first.contains("\r\nx-probe: yes\r\n"),
        "{first}"
    );

    let kept = Arc::downgrade(&balancer);
    drop(balancer);
    until(|| kept.upgrade().is_none()).await;
}
