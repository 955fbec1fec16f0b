//! A client's connection that is dropped when nothing moves on it for too long (`--timeout`), unless it has become a
//! tunnel.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::Io;
use crate::net::timer::Timer;

/// A connection under that watch.
pub(super) struct Idle<I> {
    io: I,
    timer: Timer,
    limit: Duration,
    /// Watched only from a request's beginning on, and no longer once it is a tunnel.
    is_watched: Arc<AtomicBool>,
}

impl<I: Io> Idle<I> {
    pub(super) fn new(io: I, limit: Duration, is_watched: Arc<AtomicBool>) -> Self {
        Self { io, timer: Timer::default(), limit, is_watched }
    }

    fn watch<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() || !self.is_watched.load(Ordering::Relaxed) {
            self.timer.clear();
            return polled;
        }
        if !self.timer.is_set() {
            self.timer.set(self.limit);
        }
        self.timer.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: Io> AsyncRead for Idle<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_read(cx, buffer);
        this.watch(polled, cx)
    }
}

impl<I: Io> AsyncWrite for Idle<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.watch(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_moves_is_given_up_if_it_is_watched() {
        let (here, mut there) = tokio::io::duplex(64);
        let is_watched = Arc::new(AtomicBool::new(true));
        let mut idle = Idle::new(here, Duration::from_millis(500), is_watched.clone());
        there.write_all(b"x").await.expect("writes");
        assert_eq!(idle.read_u8().await.expect("reads"), b'x');
        assert_eq!(idle.read_u8().await.expect_err("silence").kind(), io::ErrorKind::TimedOut);
        is_watched.store(false, Ordering::Relaxed);
        assert!(tokio::time::timeout(Duration::from_secs(60), idle.read_u8()).await.is_err());
    }
}
