//! The way from a request that asks for an upgrade to the raw connection behind it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use super::BoxError;

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// How the client asked for its tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeKind {
    /// `Upgrade: websocket` on HTTP/1.1: answered by 101.
    Http1,
    /// Extended CONNECT with `:protocol = websocket` on HTTP/2 (RFC 8441): answered by 200.
    ExtendedConnect,
}

type Opening = Pin<Box<dyn Future<Output = Result<Box<dyn Io>, BoxError>> + Send>>;

/// In a request's extensions when the client asked for a WebSocket. Whoever answers 101 (200 for extended CONNECT)
/// takes it and awaits `into_io`: the raw connection arrives once that answer's head is on the wire.
#[derive(Clone)]
pub struct OnUpgrade {
    kind: UpgradeKind,
    // Extensions must be `Clone`; only the first taker gets the connection.
    opening: Arc<Mutex<Option<Opening>>>,
}

/// The codec's end of an `OnUpgrade`.
pub struct UpgradeSender(oneshot::Sender<Box<dyn Io>>);

impl OnUpgrade {
    /// An upgrade that `opening` completes.
    pub fn new<F>(kind: UpgradeKind, opening: F) -> Self
    where
        F: Future<Output = Result<Box<dyn Io>, BoxError>> + Send + 'static,
    {
        Self { kind, opening: Arc::new(Mutex::new(Some(Box::pin(opening)))) }
    }

    /// An upgrade that is completed by handing a connection to the sender.
    #[must_use]
    pub fn pending(kind: UpgradeKind) -> (UpgradeSender, Self) {
        let (sender, receiver) = oneshot::channel();
        let opening =
            async move { receiver.await.map_err(|_| BoxError::from("the connection ended before its upgrade")) };
        (UpgradeSender(sender), Self::new(kind, opening))
    }

    /// How the client asked.
    #[must_use]
    pub fn kind(&self) -> UpgradeKind {
        self.kind
    }

    /// The raw connection, once the answer that accepts the upgrade has been written.
    ///
    /// # Errors
    /// The connection ended first, another answer was given, or somebody else took it already.
    pub async fn into_io(self) -> Result<Box<dyn Io>, BoxError> {
        let opening = self.opening.lock().take();
        match opening {
            Some(opening) => opening.await,
            None => Err("the upgrade was taken before".into()),
        }
    }
}

impl std::fmt::Debug for OnUpgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnUpgrade").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl UpgradeSender {
    /// Hands the connection over; it is dropped (closed) if nobody waits for it.
    pub fn send(self, io: Box<dyn Io>) {
        drop(self.0.send(io));
    }
}

impl std::fmt::Debug for UpgradeSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UpgradeSender")
    }
}
