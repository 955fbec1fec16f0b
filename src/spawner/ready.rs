//! Asks a started server until it answers: `GET {prefix}api`, any status below 500 (contract §1.5).
//!
//! The first questions follow each other quickly, because the wait between «it could answer» and «we asked» is our
//! own share of a start. What answers may be hostile: a bounded head of it is read.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::model::UpstreamAddress;
use crate::net::ask;

/// Bounds of one probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config {
    /// The wait after the first failed try; doubles with each. 2 ms: a small server listens a few milliseconds after
    /// its engine says so.
    pub first_wait: Duration,
    /// The longest wait between two tries. 100 ms: ten small questions a second do not slow a starting JupyterLab.
    pub longest_wait: Duration,
    /// How long one try may take. 5 s: a loaded server that has accepted may need a while.
    pub try_timeout: Duration,
    /// Tries under way at one moment, of all servers together; others wait in order. 256: after a restart with 100,000
    /// running servers all of them at once kept the hub from answering anybody for ten seconds.
    pub tries_at_once: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(2),
            longest_wait: Duration::from_millis(100),
            try_timeout: Duration::from_secs(5),
            tries_at_once: 256,
        }
    }
}

/// Returns once the server at `address` answers `GET path` with a status below 500; each try takes one of `places`.
/// Waits as long as it takes: the caller has the deadline. Cancel-safe: nothing is kept between tries.
pub(super) async fn until_ready(address: &UpstreamAddress, path: &str, config: &Config, places: &Semaphore) {
    let mut wait = config.first_wait;
    loop {
        // Never closed; if it were, nothing would be gained by waiting.
        let place = places.acquire().await.ok();
        // On the heap, so that only who has a place holds a connection's state: after a restart 100,000 servers wait here
        // at once, and with it in each of their tasks they took 17 KiB each, much of it for good.
        let answer = Box::pin(ask(address, path, config.try_timeout)).await;
        if answer.is_ok_and(|status| status.as_u16() < 500) {
            return;
        }
        drop(place);
        sleep(wait).await;
        wait = (wait * 2).min(config.longest_wait);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// Answers each connection with the next of `answers`; an empty one is a connection closed at once.
    async fn server(answers: Vec<Vec<u8>>) -> (UpstreamAddress, tokio::task::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = UpstreamAddress::Tcp(listener.local_addr().expect("bound"));
        let task = tokio::spawn(async move {
            let mut served = 0;
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let _ = stream.write_all(&answer).await;
                served += 1;
            }
            served
        });
        (address, task)
    }

    #[test]
    fn who_waits_for_a_place_holds_little() {
        let (address, config, places) =
            (UpstreamAddress::Tcp(([127, 0, 0, 1], 1).into()), Config::default(), Semaphore::new(0));
        assert!(size_of_val(&until_ready(&address, "/", &config, &places)) <= 400);
    }

    #[tokio::test]
    async fn a_server_is_asked_until_it_answers_below_500() {
        let endless = vec![b'x'; 64 * 1024];
        let answers = vec![
            vec![],
            b"HTTP/1.1 503 Wait\r\n\r\n".to_vec(),
            endless,
            b"SSH-2.0-OpenSSH\r\n".to_vec(),
            b"HTTP/1.1 302 Found\r\n\r\n".to_vec(),
        ];
        let (address, task) = server(answers).await;
        timeout(Duration::from_secs(10), until_ready(&address, "/user/a/api", &Config::default(), &Semaphore::new(1)))
            .await
            .expect("ready");
        assert_eq!(task.await.expect("no panic"), 5);
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_costs_one_try() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = UpstreamAddress::Tcp(listener.local_addr().expect("bound"));
        let config = Config { try_timeout: Duration::from_millis(20), ..Config::default() };
        let silent = async {
            let held = listener.accept().await.expect("a connection");
            let (mut second, _) = listener.accept().await.expect("a second one, since the first said nothing");
            second.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("the asker reads");
            drop(held);
        };
        let places = Semaphore::new(1);
        let asked = timeout(Duration::from_secs(10), async {
            tokio::join!(until_ready(&address, "/", &config, &places), silent)
        });
        asked.await.expect("ready");
    }
}
