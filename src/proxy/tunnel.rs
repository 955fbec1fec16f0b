//! An open WebSocket: bytes both ways until one side ends it, or its server or its caller does.
//!
//! The bytes are not ours: only where frames begin and end is followed, so that a browser whose WebSocket we end hears
//! why in a close frame, and the begin of each message of the client is looked at, so that somebody's work can be told
//! from what keeps a forgotten tab alive. A direction that has nothing to carry holds no buffer.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::counts::OpenWebSocket;
use super::frames::{Frames, Listener};
use super::messages::Messages;
use super::pool::Connection;
use super::{Activity, Forwarding, Guard, Inner};
use crate::model::{ActivitySource, Upstream};
use crate::net::buffer::ReadBuffer;
use crate::net::timer::Timer;
use crate::net::{Io, OnUpgrade};

/// From our answer to the raw connection: the answer has to reach the wire first. 10 s, as for a head.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// From the end of a tunnel to the close of its client's connection. 500 ms: a cut is due within a second, and a
/// client that has not even taken the close frame by then is dropped.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// One open WebSocket, or one about to open.
pub(super) struct Tunnel {
    server: Connection,
    up: Direction<Messages>,
    down: Direction<()>,
    upstream: Arc<Upstream>,
    activity: Activity,
    /// Whatever the client sends is activity: an open page is somebody's, as for configurable-http-proxy.
    counts_all: bool,
    ended: Arc<CancellationToken>,
    stopping: CancellationToken,
    half_close_timeout: Duration,
    _open: OpenWebSocket,
    _guard: Option<Guard>,
}

impl Tunnel {
    /// A tunnel over `connection`, on which `early` has arrived behind the server's 101.
    pub(super) fn new(
        connection: Connection,
        early: ReadBuffer,
        upstream: Arc<Upstream>,
        facts: &Forwarding<'_>,
        inner: &Inner,
    ) -> Self {
        let activity = inner.activity(facts, ActivitySource::WebSocket);
        let counts_all = facts.relay.is_some();
        if counts_all {
            activity.note(&upstream);
        }
        // A page that lost its connection opens its WebSockets anew by itself: that alone is nobody's work.
        if let Some(source) = facts.socket.source() {
            upstream.note_opened(source, inner.clock.now());
        }
        Self {
            server: connection,
            up: Direction { listener: Messages::of(facts.socket), ..Direction::default() },
            down: Direction { buffer: early, is_from_server: true, ..Direction::default() },
            upstream,
            activity,
            counts_all,
            ended: facts.ended.cloned().unwrap_or_default(),
            stopping: inner.tasks.stopping().clone(),
            half_close_timeout: Duration::from_secs(inner.config.half_close_timeout_s),
            _open: inner.counts.websocket(),
            _guard: facts.relay.and_then(|relay| relay.guard.cloned()),
        }
    }
}

/// Carries `tunnel` once the client's connection is there, to its end.
pub(super) async fn carry(mut tunnel: Tunnel, on_upgrade: OnUpgrade) {
    let Ok(Ok(mut client)) = tokio::time::timeout(OPEN_WITHIN, on_upgrade.into_io()).await else { return };
    let end = tunnel.run(&mut client).await;
    // The server's connection ends now: it has nothing to wait for.
    drop(tunnel);
    if let End::Leave(farewell) = end {
        // Whatever goes wrong here, the connection ends.
        let _ = tokio::time::timeout(CLOSE_WITHIN, leave(client, farewell)).await;
    }
}

/// How a tunnel ended, seen from the client.
enum End {
    /// The client's connection is not to be used any more.
    Lost,
    /// It is to be closed, and the client told why.
    Leave(Option<Farewell>),
}

/// What a client is told whose WebSocket we end. The codes are RFC 6455's and IANA's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// 1008, policy violation: session or token have ended; there is no use in trying again.
    SignedOut,
    /// 1001, going away: the server was stopped or has died.
    ServerGone,
    /// 1012, service restart: we stop ourselves; try again.
    Restart,
}

impl Farewell {
    /// The whole close frame: kind, length, code, reason.
    fn frame(self) -> &'static [u8] {
        match self {
            Self::SignedOut => b"\x88\x0c\x03\xf0signed out",
            Self::ServerGone => b"\x88\x10\x03\xe9server stopped",
            Self::Restart => b"\x88\x09\x03\xf4restart",
        }
    }
}

/// Tells the client why and closes its connection. Unread bytes of the client would turn the close into a reset,
/// which takes the frame away before it is read; so it is heard until it closes too.
async fn leave(mut client: Box<dyn Io>, farewell: Option<Farewell>) -> io::Result<()> {
    if let Some(farewell) = farewell {
        client.write_all(farewell.frame()).await?;
        client.flush().await?;
    }
    client.shutdown().await?;
    let mut unheard = ReadBuffer::default();
    loop {
        match poll_fn(|cx| unheard.poll_fill(&mut client, cx)).await? {
            0 => return Ok(()),
            count => unheard.consume(count),
        }
    }
}

/// One direction of a tunnel.
#[derive(Debug, Default)]
struct Direction<L> {
    buffer: ReadBuffer,
    /// Of what was written.
    frames: Frames,
    /// Hears what was written.
    listener: L,
    is_from_server: bool,
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

/// The connection that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Source,
    Sink,
}

impl<L: Listener> Direction<L> {
    /// Carries what there is. Ready once this direction has ended; `has_passed` is set if anything was written.
    fn poll(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        has_passed: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        loop {
            while !self.buffer.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, self.buffer.filled()));
                let Ok(count @ 1..) = written else { return Poll::Ready(Err(Fault::Sink)) };
                // It is written already: who listens keeps nobody waiting for it.
                self.frames.follow(&self.buffer.filled()[..count], &mut self.listener);
                *has_passed = true;
                self.buffer.consume(count);
                self.needs_flush = true;
            }
            match self.state {
                State::Open => match self.buffer.poll_fill(from, cx) {
                    // Without a word: it has died, and its browser shall hear so.
                    Poll::Ready(Ok(0)) if self.is_from_server && self.frames.may_close() => {
                        return Poll::Ready(Err(Fault::Source));
                    }
                    Poll::Ready(Ok(0)) => self.state = State::Ending,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::Source)),
                    Poll::Pending => {
                        if self.needs_flush {
                            ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| Fault::Sink)?;
                            self.needs_flush = false;
                        }
                        return Poll::Pending;
                    }
                },
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_| Fault::Sink)?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl Tunnel {
    async fn run(&mut self, client: &mut Box<dyn Io>) -> End {
        let Self { server, up, down, upstream, activity, counts_all, ended, stopping, half_close_timeout, .. } = self;
        let mut gone = pin!(upstream.gone.cancelled());
        let mut ended = pin!(ended.cancelled());
        let mut stopping = pin!(stopping.cancelled());
        let mut closing = Timer::default();
        let end = poll_fn(|cx| {
            // Looked at first: a busy tunnel shall end as soon as an idle one.
            if ended.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Leave(Some(Farewell::SignedOut)));
            }
            if gone.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Leave(Some(Farewell::ServerGone)));
            }
            // An open WebSocket never ends by itself: a stop that waited for it would always wait its whole time.
            if stopping.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Leave(Some(Farewell::Restart)));
            }
            let mut has_passed = false;
            let upwards = up.poll(client, &mut server.stream, &mut has_passed, cx);
            if up.listener.take_work() || *counts_all && has_passed {
                activity.note(upstream);
            }
            let downwards = down.poll(&mut server.stream, client, &mut false, cx);
            match (upwards, downwards) {
                (Poll::Ready(Err(Fault::Source)), _) | (_, Poll::Ready(Err(Fault::Sink))) => {
                    return Poll::Ready(End::Lost);
                }
                // The client was the first to end, by a close frame or by its connection: its server's end is the answer
                // to that, and no news.
                (_, Poll::Ready(Err(Fault::Source))) if up.state != State::Open || up.frames.is_closed() => {
                    return Poll::Ready(End::Leave(None));
                }
                (Poll::Ready(Err(Fault::Sink)), _) | (_, Poll::Ready(Err(Fault::Source))) => {
                    return Poll::Ready(End::Leave(Some(Farewell::ServerGone)));
                }
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Lost),
                _ => {}
            }
            if (up.state != State::Open || down.state != State::Open) && !closing.is_set() {
                closing.set(*half_close_timeout);
            }
            closing.poll(cx).map(|()| End::Leave(None))
        })
        .await;
        match end {
            End::Leave(_) if !down.frames.may_close() => End::Leave(None),
            end => end,
        }
    }
}
