//! Alice's server, played by the test byte by byte: it can say what no HTTP library would.

use std::sync::Arc;

use parking_lot::Mutex;
use slipway::model::{Generation, Route, Timestamp, UpstreamAddress};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::world::{World, route_key, server};

/// A server played by the test.
pub struct Puppet {
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Puppet {
    /// From now on `alice`'s address leads to a server that says `answer` to each head that it hears. `{n}` in it is
    /// the `X-Nonce` of the request.
    pub fn of_alice(world: &World, answer: impl AsRef<[u8]>) -> Self {
        Self::with(world, answer, true)
    }

    /// The same; unless it `stays`, it closes each connection after one answer.
    pub fn with(world: &World, answer: impl AsRef<[u8]>, stays: bool) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket option");
        let address = UpstreamAddress::Tcp(listener.local_addr().expect("an address"));
        let listener = TcpListener::from_std(listener).expect("a listener");
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let (log, answer) = (heard.clone(), answer.as_ref().to_vec());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (log, answer) = (log.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut pending = Vec::new();
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        log.lock().extend_from_slice(&buffer[..count]);
                        pending.extend_from_slice(&buffer[..count]);
                        while let Some(end) = find(&pending, b"\r\n\r\n") {
                            let head: Vec<u8> = pending.drain(..end + 4).collect();
                            let head = String::from_utf8_lossy(&head).into_owned();
                            let nonce = head.lines().find_map(|line| line.strip_prefix("x-nonce: ")).unwrap_or("-");
                            let said = replace(&answer, b"{n}", nonce.as_bytes());
                            if stream.write_all(&said).await.is_err() || !stays {
                                return;
                            }
                        }
                    }
                });
            }
        });
        let route = Route::new(server("alice"), Generation(99), address, Timestamp(0));
        world.app.routes.publish(&route_key("alice"), Arc::new(route));
        Self { heard }
    }

    /// Forgets what it has heard.
    pub fn forget(&self) {
        self.heard.lock().clear();
    }

    /// All bytes that it has heard.
    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock()).into_owned()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn replace(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    match find(bytes, old) {
        Some(at) => [&bytes[..at], new, &replace(&bytes[at + old.len()..], old, new)].concat(),
        None => bytes.to_vec(),
    }
}
