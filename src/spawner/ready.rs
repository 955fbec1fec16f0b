//! Asks a started server until it answers: `GET {prefix}api`, any status below 500 (contract §1.5).
//!
//! The first questions follow each other quickly, because the wait between «it could answer» and «we asked» is our
//! own share of a start. What answers may be hostile: we read a bounded head and nothing else.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::model::UpstreamAddress;

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
    /// The most bytes of an answer that are read. 16 KiB: more head than any server sends.
    pub head_limit_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(2),
            longest_wait: Duration::from_millis(100),
            try_timeout: Duration::from_secs(5),
            tries_at_once: 256,
            head_limit_bytes: 16 * 1024,
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
        let status = timeout(config.try_timeout, ask(address, path, config.head_limit_bytes)).await;
        if matches!(status, Ok(Ok(Some(200..=499)))) {
            return;
        }
        drop(place);
        sleep(wait).await;
        wait = (wait * 2).min(config.longest_wait);
    }
}

/// One question: the status of the answer, or none if what came back is no HTTP/1 answer.
async fn ask(address: &UpstreamAddress, path: &str, head_limit_bytes: usize) -> std::io::Result<Option<u16>> {
    match address {
        UpstreamAddress::Tcp(socket) => {
            exchange(TcpStream::connect(socket).await?, &socket.to_string(), path, head_limit_bytes).await
        }
        UpstreamAddress::Unix(file) => {
            exchange(UnixStream::connect(file).await?, "localhost", path, head_limit_bytes).await
        }
    }
}

async fn exchange<I: AsyncRead + AsyncWrite + Unpin>(
    mut io: I,
    host: &str,
    path: &str,
    head_limit_bytes: usize,
) -> std::io::Result<Option<u16>> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: slipway\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    io.write_all(request.as_bytes()).await?;
    let mut head = Vec::with_capacity(1024);
    let mut limited = io.take(head_limit_bytes as u64);
    loop {
        match status_of(&head) {
            Some(status) => return Ok(status),
            None if limited.read_buf(&mut head).await? == 0 => return Ok(None),
            None => {}
        }
    }
}

/// The status that the first line gives, once it is complete: `None` = read on, `Some(None)` = no HTTP/1 answer.
fn status_of(head: &[u8]) -> Option<Option<u16>> {
    let mut headers = [];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(head) {
        // We bring no room for headers: too many of them means that the status line was read.
        Ok(httparse::Status::Complete(_)) | Err(httparse::Error::TooManyHeaders) => Some(response.code),
        Ok(httparse::Status::Partial) => response.code.map(Some),
        Err(_) => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn check(head: &[u8], expected: Option<Option<u16>>) {
        assert_eq!(status_of(head), expected, "{:?}", String::from_utf8_lossy(head));
    }

    #[test]
    fn a_status_is_read_from_the_first_line_alone() {
        check(b"", None);
        check(b"HTTP/1.1 20", None);
        check(b"HTTP/1.1 200 OK\r\nServer: x", Some(Some(200)));
        check(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n", Some(Some(405)));
        check(b"HTTP/1.0 503 Wait\r\n\r\n", Some(Some(503)));
        check(b"SSH-2.0-OpenSSH\r\n", Some(None));
        check(b"HTTP/1.1 abc\r\n\r\n", Some(None));
    }

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

    #[tokio::test]
    async fn a_server_is_asked_until_it_answers_below_500() {
        let endless = vec![b'x'; 64 * 1024];
        let answers =
            vec![vec![], b"HTTP/1.1 503 Wait\r\n\r\n".to_vec(), endless, b"HTTP/1.1 302 Found\r\n\r\n".to_vec()];
        let (address, task) = server(answers).await;
        timeout(Duration::from_secs(10), until_ready(&address, "/user/a/api", &Config::default(), &Semaphore::new(1)))
            .await
            .expect("ready");
        assert_eq!(task.await.expect("no panic"), 4);
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
