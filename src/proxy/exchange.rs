//! One request and its answer on one connection: both directions at once, in the request's own task.
//!
//! The answer may come before the request has been sent. So whoever waits for the answer's head, or later reads its
//! body, also sends what is left of the request; and when both are through, the connection waits for the next one.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::headers::{Framing, response_headers, response_lines};
use super::pool::Connection;
use super::watch::{Cut, Watch};
use super::{Activity, Config, Forwarding, ProxyError};
use crate::model::Upstream;
use crate::net::buffer::{READ_BYTES, ReadBuffer};
use crate::net::http1::decode::{Decoder, Step};
use crate::net::http1::head::{HEADER_STORAGE, end_of_head, storage};
use crate::net::http1::lines::ReadyLines;
use crate::net::http1::outgoing::Outgoing;
use crate::net::http1::response::parse_response;
use crate::net::{BoxError, RequestBody, ResponseBody};

/// Answers of status 1xx before the real one. Ten: Jupyter sends none, others one or two.
const INTERIM_LIMIT: usize = 10;

/// One exchange under way.
pub(super) struct Exchange {
    /// Taken when the exchange is over.
    connection: Option<Connection>,
    pub(super) outgoing: Outgoing,
    input: ReadBuffer,
    request: RequestBody,
    sending: Sending,
    /// True once a piece of the request's body has been taken: it cannot be sent a second time.
    has_consumed: bool,
    has_heard: bool,
    body: Decoder,
    keeps_alive: bool,
    wants_upgrade: bool,
    /// A piece of the answer that came with its head.
    first_piece: Bytes,
    watch: Watch,
    /// How far the request had got when `deadline` was set: any progress sets it anew.
    progress: (Sent, u64),
    deadline: Option<Instant>,
    upstream: Arc<Upstream>,
    activity: Activity,
    /// True if the answer's status is below 300. Redirects and 304 are none: JupyterHub's proxy does not count them.
    is_success: bool,
    ended: Option<Arc<CancellationToken>>,
    timeouts: Timeouts,
}

#[derive(Clone, Copy, Debug)]
struct Timeouts {
    head: Duration,
    body_idle: Duration,
    send: Duration,
    head_bytes: usize,
    header_count: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// So many bytes of the body are still to come from the client.
    Length(u64),
    /// Chunks are.
    Chunks,
    /// All has been queued.
    Done,
    /// The server takes no more; it may have answered all the same.
    Refused,
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// What of the headers is not in `headers`, for a caller who takes lines.
    pub(super) lines: Option<ReadyLines>,
}

/// Why an answer's body ended before its end.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("the server closed the connection in the middle of its answer")]
    Truncated,
    #[error("the connection to the server failed")]
    Broken(#[source] io::Error),
    #[error("the server's answer is malformed: {0}")]
    Malformed(&'static str),
    #[error("the server was silent for too long in the middle of its answer")]
    Silent,
    #[error("the server was stopped")]
    Gone,
    #[error("the caller's session ended")]
    CallerEnded,
}

impl Exchange {
    /// An exchange of `request`, framed as `framing`, whose head the caller writes into `outgoing`.
    pub(super) fn new(
        connection: Connection,
        request: RequestBody,
        framing: Framing,
        upstream: &Arc<Upstream>,
        activity: Activity,
        config: &Config,
    ) -> Self {
        Self {
            connection: Some(connection),
            outgoing: Outgoing::default(),
            input: ReadBuffer::default(),
            request,
            sending: match framing {
                Framing::None | Framing::WebSocket | Framing::Length(0) => Sending::Done,
                Framing::Length(length) => Sending::Length(length),
                Framing::Chunked => Sending::Chunks,
            },
            has_consumed: false,
            has_heard: false,
            body: Decoder::Length(0),
            keeps_alive: false,
            wants_upgrade: framing == Framing::WebSocket,
            first_piece: Bytes::new(),
            watch: Watch::default(),
            progress: (Sent::Starved, 0),
            deadline: None,
            upstream: upstream.clone(),
            activity,
            is_success: false,
            ended: None,
            timeouts: Timeouts {
                head: Duration::from_secs(config.response_head_timeout_s),
                body_idle: Duration::from_secs(config.body_idle_timeout_s),
                send: Duration::from_secs(config.send_timeout_s),
                head_bytes: config.response_head_bytes.min(READ_BYTES),
                header_count: config.response_header_count.min(HEADER_STORAGE),
            },
        }
    }

    /// A server that says nothing for `limit` is given up, whatever the configuration says.
    pub(super) fn limit_silence(&mut self, limit: Duration) {
        self.timeouts.head = limit;
        self.timeouts.body_idle = limit;
    }

    /// Sends the request, or as much of it as the server takes, and reads the answer's head.
    pub(super) async fn head(&mut self, method: &Method, facts: &Forwarding<'_>) -> Result<Head, ProxyError> {
        let (mut looked_at, mut interim) = (0, 0);
        poll_fn(|cx| {
            let sent = self.poll_send(cx).map_err(|cause| ProxyError::Request { cause })?;
            loop {
                let filled = self.input.filled();
                if !filled.is_empty() && (looked_at == 0 || end_of_head(filled, looked_at).is_some()) {
                    match self.take_head(method, facts).map_err(|what| self.malformed(what))? {
                        Some(head)
                            if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS =>
                        {
                            interim += 1;
                            looked_at = 0;
                            if interim > INTERIM_LIMIT {
                                return Poll::Ready(Err(self.malformed("too many interim answers")));
                            }
                            continue;
                        }
                        Some(head) if head.status == StatusCode::SWITCHING_PROTOCOLS && !self.wants_upgrade => {
                            return Poll::Ready(Err(self.malformed("it switches protocols unasked")));
                        }
                        Some(head) => return Poll::Ready(Ok(head)),
                        None => {}
                    }
                }
                looked_at = self.input.filled().len();
                if looked_at >= self.timeouts.head_bytes {
                    return Poll::Ready(Err(self.malformed("its head is too long")));
                }
                let Some(connection) = &mut self.connection else { return Poll::Pending };
                match self.input.poll_fill(&mut connection.stream, cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.broken(io::ErrorKind::UnexpectedEof.into()))),
                    Poll::Ready(Ok(_)) => self.has_heard = true,
                    Poll::Ready(Err(cause)) => return Poll::Ready(Err(self.broken(cause))),
                    Poll::Pending => break,
                }
            }
            let limit = match sent {
                Sent::All => Some(self.timeouts.head),
                Sent::Blocked => Some(self.timeouts.send),
                // The client is the slow one; its own limits watch over it.
                Sent::Starved => None,
            };
            self.poll_watch(sent, limit, facts.ended.map(Arc::as_ref), cx).map(|cut| Err(self.cut(cut, limit)))
        })
        .await
    }

    /// Turns this exchange into the answer's body: all of it if it came with the head, a stream otherwise.
    pub(super) fn into_body(mut self, ended: Option<&Arc<CancellationToken>>) -> ResponseBody {
        if self.take_whole_body() {
            let body = std::mem::take(&mut self.first_piece);
            self.finish();
            return ResponseBody::from(body);
        }
        if self.is_success {
            // At its head and at its end: a download of an hour is somebody's at both.
            self.activity.note(&self.upstream);
        }
        self.ended = ended.cloned();
        self.deadline = None;
        ResponseBody::stream(self)
    }

    /// True if the request can be sent again on a fresh connection without being done twice.
    pub(super) fn may_retry(&self, error: &ProxyError, method: &Method) -> bool {
        let was_reused = self.connection.as_ref().is_some_and(|connection| connection.is_reused);
        let broke = matches!(error, ProxyError::Broken { .. });
        broke
            && was_reused
            && !self.has_heard
            && !self.has_consumed
            && (method.is_safe() || self.outgoing.written_bytes() == 0)
    }

    /// The request's body, untouched if `may_retry` said so.
    pub(super) fn into_request_body(mut self) -> RequestBody {
        std::mem::take(&mut self.request)
    }

    /// The connection and what was read after the head: for a tunnel.
    pub(super) fn into_tunnel(mut self) -> Option<(Connection, ReadBuffer)> {
        Some((self.connection.take()?, std::mem::take(&mut self.input)))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<Sent, BoxError> {
        loop {
            let mut is_starved = false;
            while matches!(self.sending, Sending::Length(_) | Sending::Chunks) && !self.outgoing.is_full() {
                match Pin::new(&mut self.request).poll_frame(cx) {
                    Poll::Ready(Some(frame)) => {
                        self.has_consumed = true;
                        // Trailers are dropped: nobody behind us was promised any.
                        if let Ok(piece) = frame?.into_data() {
                            self.queue(piece)?;
                        }
                    }
                    Poll::Ready(None) => self.queue_end()?,
                    Poll::Pending => {
                        is_starved = true;
                        break;
                    }
                }
            }
            let Some(connection) = &mut self.connection else { return Ok(Sent::All) };
            match self.outgoing.poll_flush(&mut connection.stream, cx) {
                Poll::Ready(Ok(())) if is_starved => return Ok(Sent::Starved),
                Poll::Ready(Ok(())) if matches!(self.sending, Sending::Length(_) | Sending::Chunks) => {}
                Poll::Ready(Ok(())) => return Ok(Sent::All),
                Poll::Ready(Err(_)) => {
                    // The server closed its ear; what it said before that is still worth reading. If it said
                    // nothing, the read fails too and says so.
                    self.outgoing.clear();
                    self.sending = Sending::Refused;
                    return Ok(Sent::All);
                }
                Poll::Pending => return Ok(Sent::Blocked),
            }
        }
    }

    fn queue(&mut self, piece: Bytes) -> Result<(), BoxError> {
        if !piece.is_empty() {
            self.activity.note(&self.upstream);
        }
        match &mut self.sending {
            Sending::Length(left) => {
                *left = left.checked_sub(piece.len() as u64).ok_or("the body is longer than its length")?;
                self.outgoing.push(piece);
            }
            _ => self.outgoing.push_chunk(piece),
        }
        if self.sending == Sending::Length(0) {
            self.sending = Sending::Done;
        }
        Ok(())
    }

    fn queue_end(&mut self) -> Result<(), BoxError> {
        if let Sending::Length(_) = self.sending {
            return Err("the body is shorter than its length".into());
        }
        self.outgoing.small().extend_from_slice(b"0\r\n\r\n");
        self.sending = Sending::Done;
        Ok(())
    }

    fn take_head(&mut self, method: &Method, facts: &Forwarding<'_>) -> Result<Option<Head>, &'static str> {
        let mut storage = storage();
        let filled = self.input.filled();
        let Some(raw) = parse_response(filled, &mut storage[..self.timeouts.header_count], method)? else {
            return Ok(None);
        };
        let head_bytes = raw.head_bytes;
        if head_bytes > self.timeouts.head_bytes {
            return Err("its head is too long");
        }
        self.body = raw.body;
        self.keeps_alive = raw.keeps_alive;
        let (headers, lines) = if facts.takes_lines && !self.wants_upgrade {
            let (headers, lines) = response_lines(&raw, method, facts)?;
            (headers, Some(lines))
        } else {
            // One copy of the head, and every value is a slice of it: the block it was read into is free again.
            let head = Bytes::copy_from_slice(&filled[..head_bytes]);
            (response_headers(&raw, filled, &head, facts)?, None)
        };
        let status = raw.status;
        self.is_success = status.as_u16() < 300;
        self.input.consume(head_bytes);
        Ok(Some(Head { status, headers, lines }))
    }

    /// Takes the answer's body if it is there already.
    fn take_whole_body(&mut self) -> bool {
        if self.body.is_at_end() {
            return true;
        }
        if let Ok(Step::Data(piece)) = self.peek_step() {
            self.first_piece = piece;
        }
        if self.input.filled() == b"\r\n0\r\n\r\n" {
            // A chunked body of one chunk: most pages of Jupyter that know no length.
            let ended = matches!(self.body.step(&mut self.input), Ok(Step::End));
            debug_assert!(ended, "what was looked at is a chunk's end and the last chunk");
        }
        self.body.is_at_end()
    }

    /// The first step of the body, unless it would fail: then the stream shall report it.
    fn peek_step(&mut self) -> Result<Step, &'static str> {
        let before = self.body;
        let step = self.body.step(&mut self.input);
        if step.is_err() {
            self.body = before;
        }
        step
    }

    fn poll_watch(
        &mut self,
        sent: Sent,
        limit: Option<Duration>,
        ended: Option<&CancellationToken>,
        cx: &mut Context<'_>,
    ) -> Poll<Cut> {
        let Some(connection) = &mut self.connection else { return Poll::Pending };
        let progress = (sent, self.outgoing.written_bytes());
        if progress != self.progress {
            self.progress = progress;
            self.deadline = None;
        }
        let deadline = limit.map(|limit| *self.deadline.get_or_insert_with(|| Instant::now() + limit));
        self.watch.poll(&self.upstream.gone, ended, &mut connection.timer, deadline, cx)
    }

    /// The exchange is over: the connection waits for the next one, if it is in a state that is beyond doubt.
    fn finish(&mut self) {
        let is_sent = self.sending == Sending::Done && self.outgoing.is_empty();
        let Some(connection) = self.connection.take() else { return };
        if self.is_success {
            self.activity.note(&self.upstream);
        }
        if is_sent && self.keeps_alive && self.body.is_at_end() && self.input.is_empty() {
            connection.recycle();
        }
        self.request = RequestBody::Empty;
    }

    fn malformed(&self, what: &'static str) -> ProxyError {
        ProxyError::Malformed { address: self.upstream.address.clone(), what }
    }

    fn broken(&self, cause: io::Error) -> ProxyError {
        ProxyError::Broken { address: self.upstream.address.clone(), cause }
    }

    fn cut(&self, cut: Cut, limit: Option<Duration>) -> ProxyError {
        let address = self.upstream.address.clone();
        match cut {
            Cut::Gone => ProxyError::Gone { address },
            Cut::Ended => ProxyError::CallerEnded,
            Cut::Late => ProxyError::Slow { address, limit: limit.unwrap_or_default() },
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BoxError>> {
        if self.connection.is_none() {
            return Poll::Ready(Ok(None));
        }
        if let Some(cut) = Watch::is_cut(&self.upstream.gone, self.ended.as_deref()) {
            return Poll::Ready(Err(body_cut(cut).into()));
        }
        if !self.first_piece.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.first_piece))));
        }
        let sent = self.poll_send(cx)?;
        loop {
            match self.body.step(&mut self.input).map_err(BodyError::Malformed)? {
                Step::Data(piece) => {
                    self.deadline = None;
                    if self.body.is_at_end() {
                        self.finish();
                    }
                    return Poll::Ready(Ok(Some(piece)));
                }
                Step::End => {
                    self.finish();
                    return Poll::Ready(Ok(None));
                }
                Step::More => {}
            }
            let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(None)) };
            match self.input.poll_fill(&mut connection.stream, cx) {
                Poll::Ready(Ok(0)) if self.body.may_close() => {
                    self.finish();
                    return Poll::Ready(Ok(None));
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(BodyError::Truncated.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(cause)) => return Poll::Ready(Err(BodyError::Broken(cause).into())),
                Poll::Pending => break,
            }
        }
        let ended = self.ended.take();
        let limit = if sent == Sent::Blocked { self.timeouts.send } else { self.timeouts.body_idle };
        let cut = self.poll_watch(sent, Some(limit), ended.as_deref(), cx);
        self.ended = ended;
        cut.map(|cut| Err(body_cut(cut).into()))
    }
}

/// How far the request has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    All,
    /// The server takes no more at the moment.
    Blocked,
    /// The client has sent no more so far.
    Starved,
}

fn body_cut(cut: Cut) -> BodyError {
    match cut {
        Cut::Gone => BodyError::Gone,
        Cut::Ended => BodyError::CallerEnded,
        Cut::Late => BodyError::Silent,
    }
}

impl Body for Exchange {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = this.poll_body(cx);
        if let Poll::Ready(Err(_)) = &polled {
            // Closes the connection and lets go of the request now, not when somebody drops us.
            this.connection = None;
            this.request = RequestBody::Empty;
        }
        polled.map(|result| result.map(|piece| piece.map(Frame::data)).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none() && self.first_piece.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.body {
            Decoder::Length(left) => SizeHint::with_exact(left + self.first_piece.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
