//! An open WebSocket: bytes both ways until one side ends it, or its server or its caller does.
//!
//! The bytes are not ours: nothing is parsed except where frames end, so that a cut can be told to the browser
//! properly. A direction that has nothing to carry holds no buffer.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::pool::Connection;
use super::{Forwarding, Inner};
use crate::model::{Clock, Route};
use crate::net::buffer::ReadBuffer;
use crate::net::timer::Timer;
use crate::net::{Io, OnUpgrade};

/// From our answer to the raw connection: the answer has to reach the wire first. 10 s, as for a head.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

/// One open WebSocket, or one about to open.
pub(super) struct Tunnel {
    server: Connection,
    up: Direction,
    down: Direction,
    route: Arc<Route>,
    ended: Option<CancellationToken>,
    stopping: CancellationToken,
    clock: Arc<dyn Clock>,
    is_activity: bool,
    half_close_timeout: Duration,
}

impl Tunnel {
    /// A tunnel over `connection`, on which `early` has arrived behind the server's 101.
    pub(super) fn new(
        connection: Connection,
        early: ReadBuffer,
        route: Arc<Route>,
        facts: &Forwarding<'_>,
        inner: &Inner,
    ) -> Self {
        Self {
            server: connection,
            up: Direction::default(),
            down: Direction { buffer: early, ..Direction::default() },
            route,
            ended: facts.ended.cloned(),
            stopping: inner.tasks.stopping().clone(),
            clock: inner.clock.clone(),
            is_activity: facts.is_activity,
            half_close_timeout: Duration::from_secs(inner.config.half_close_timeout_s),
        }
    }
}

/// Carries `tunnel` once the client's connection is there, to its end.
pub(super) async fn carry(mut tunnel: Tunnel, on_upgrade: OnUpgrade) {
    let Ok(Ok(mut client)) = tokio::time::timeout(OPEN_WITHIN, on_upgrade.into_io()).await else { return };
    tunnel.run(&mut client).await;
}

/// One direction of a tunnel.
#[derive(Debug, Default)]
struct Direction {
    buffer: ReadBuffer,
    needs_flush: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The reader's end was seen; the writer has not been told yet.
    Ending,
    Ended,
}

impl Direction {
    /// Carries what there is. Ready once this direction has ended; `carried` is set if bytes came in.
    fn poll(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        carried: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.buffer.is_empty() {
                let count = ready!(Pin::new(&mut *to).poll_write(cx, self.buffer.filled()))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.buffer.consume(count);
                self.needs_flush = true;
            }
            match self.state {
                State::Open => match self.buffer.poll_fill(from, cx)? {
                    Poll::Ready(0) => self.state = State::Ending,
                    Poll::Ready(_) => *carried = true,
                    Poll::Pending => {
                        if self.needs_flush {
                            ready!(Pin::new(&mut *to).poll_flush(cx))?;
                            self.needs_flush = false;
                        }
                        return Poll::Pending;
                    }
                },
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl Tunnel {
    async fn run(&mut self, client: &mut Box<dyn Io>) {
        let gone = self.route.upstream.gone.clone();
        let ended = self.ended.take().unwrap_or_default();
        let stopping = self.stopping.clone();
        let (mut gone, mut ended) = (Box::pin(gone.cancelled_owned()), Box::pin(ended.cancelled_owned()));
        let mut stopping = Box::pin(stopping.cancelled_owned());
        let mut closing = Timer::default();
        poll_fn(|cx| {
            let mut has_spoken = false;
            let up = self.up.poll(client, &mut self.server.stream, &mut has_spoken, cx);
            if has_spoken && self.is_activity {
                self.route.touch(self.clock.now());
            }
            let down = self.down.poll(&mut self.server.stream, client, &mut false, cx);
            let is_over = match (&up, &down) {
                (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => true,
                (up, down) => up.is_ready() && down.is_ready(),
            };
            if is_over || gone.as_mut().poll(cx).is_ready() || ended.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // An open WebSocket never ends by itself: a stop that waited for it would always wait its whole time.
            if stopping.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if (self.up.state != State::Open || self.down.state != State::Open) && !closing.is_set() {
                closing.set(self.half_close_timeout);
            }
            closing.poll(cx)
        })
        .await;
    }
}
