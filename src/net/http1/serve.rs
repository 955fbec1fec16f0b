//! Serves HTTP/1.1 on one client's connection: one request after the other, all in one task.
//!
//! A connection is in one of three states: it waits for a head, it waits for the service's answer, or it writes the
//! answer. In the latter two it also reads the request's body as its reader asks for it, and otherwise listens whether
//! the client goes away. Waiting, it holds no buffers.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::answer::{Asked, Framing, framing_of, push_refusal, write_head};
use super::decode::{Decoder, Step};
use super::head::end_of_head;
use super::incoming::{Demand, Feed, IncomingError, incoming};
use super::lines::ReadyLines;
use super::outgoing::Outgoing;
use super::pace::Pace;
use super::request::{Head, parse_request};
use super::{Limits, Refusal};
use crate::net::buffer::ReadBuffer;
use crate::net::timer::Timer;
use crate::net::{BoxError, Io, OnUpgrade, RequestBody, ResponseBody, UpgradeKind, UpgradeSender};

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// Nothing was under way: the client closed it, it was idle, an answer said that it would close, or we stop.
    Clean,
    /// The client asked something that is not served; it was told.
    Refused(Refusal),
    /// The client went away in the middle of a request or of its answer.
    ClientLeft,
    /// The client was too slow.
    Slow,
    /// The connection failed.
    Failed(io::Error),
    /// An answer broke off in the middle and was left visibly unfinished.
    AnswerFailed(BoxError),
    /// It carries another protocol from here on.
    Upgraded,
}

/// Serves requests on `io` one after the other until either side ends it. Idle when `stopping` is cancelled, it closes;
/// an answer under way is finished first.
pub async fn serve<I, S, F>(io: I, limits: &Limits, mut service: S, stopping: CancellationToken) -> End
where
    I: Io + 'static,
    S: FnMut(Request<RequestBody>) -> F,
    F: Future<Output = Response<ResponseBody>>,
{
    let mut connection = Connection::new(io, limits, &stopping);
    let ended = connection.run(&mut service).await;
    match ended {
        Ended::Upgraded(sender) => {
            sender.send(Box::new(connection.io));
            End::Upgraded
        }
        Ended::Refused(refusal) => {
            connection.refuse(refusal).await;
            End::Refused(refusal)
        }
        Ended::Closing { may_hear_more } => {
            connection.close(may_hear_more).await;
            End::Clean
        }
        Ended::Other(end) => end,
    }
}

/// How the requests of a connection ended, and what is left to do.
enum Ended {
    Upgraded(UpgradeSender),
    Refused(Refusal),
    /// All that was to be said is written; the client may still be sending.
    Closing {
        may_hear_more: bool,
    },
    Other(End),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Other(End::Failed(error))
    }
}

const LEFT: Ended = Ended::Other(End::ClientLeft);

struct Connection<'l, I> {
    io: I,
    limits: &'l Limits,
    input: ReadBuffer,
    outgoing: Outgoing,
    timer: Timer,
    reading: Pace,
    writing: Pace,
    /// The body of the request under way, as long as it is not read to its end.
    body: Option<Incoming>,
    /// A child of the program's token: its own lock, not one that all connections share.
    stopping: CancellationToken,
    stop: Option<(Waker, Pin<Box<WaitForCancellationFutureOwned>>)>,
}

/// A request's body on its way in.
struct Incoming {
    decoder: Decoder,
    feed: Feed,
    /// The client waits for `100 Continue` before it sends.
    owes_continue: bool,
}

/// What came of looking after the client while something else is waited for.
enum Client {
    /// The service should be polled again.
    Progress,
    /// Nothing to do but to wait.
    Waits,
}

impl<'l, I: Io> Connection<'l, I> {
    fn new(io: I, limits: &'l Limits, stopping: &CancellationToken) -> Self {
        let pace = || Pace::new(Duration::from_secs(limits.patience_s), limits.rate_min_bytes_s);
        Self {
            io,
            limits,
            input: ReadBuffer::default(),
            outgoing: Outgoing::default(),
            timer: Timer::default(),
            reading: pace(),
            writing: pace(),
            body: None,
            stopping: stopping.child_token(),
            stop: None,
        }
    }

    async fn run<S, F>(&mut self, service: &mut S) -> Ended
    where
        S: FnMut(Request<RequestBody>) -> F,
        F: Future<Output = Response<ResponseBody>>,
    {
        loop {
            let head = match self.next_head().await {
                Ok(head) => head,
                Err(ended) => return ended,
            };
            match self.exchange(head, service).await {
                Ok(()) => {}
                Err(ended) => return ended,
            }
        }
    }

    /// Waits for a request and reads its head.
    async fn next_head(&mut self) -> Result<Head, Ended> {
        let (mut looked_at, mut may_skip_line, mut waits_for_more) = (0, true, false);
        self.timer.set(Duration::from_secs(self.limits.idle_timeout_s));
        poll_fn(|cx| {
            loop {
                // RFC 9112 §2.2: old clients send an empty line behind a body. One is forgiven, no more.
                if may_skip_line && self.input.filled().starts_with(b"\r\n") {
                    self.input.consume(2);
                    may_skip_line = false;
                }
                let filled = self.input.filled();
                if !filled.is_empty()
                    && filled != b"\r"
                    && (looked_at == 0 || needs_parse(filled, looked_at, self.limits))
                {
                    match parse_request(filled, self.limits) {
                        Ok(Some(head)) => {
                            self.input.consume(head.head_bytes);
                            self.timer.clear();
                            return Poll::Ready(Ok(head));
                        }
                        Ok(None) => looked_at = filled.len(),
                        Err(refusal) => return Poll::Ready(Err(Ended::Refused(refusal))),
                    }
                } else {
                    looked_at = filled.len();
                }
                match self.input.poll_fill(&mut self.io, cx) {
                    Poll::Ready(Ok(0)) if self.input.is_empty() => {
                        return Poll::Ready(Err(Ended::Closing { may_hear_more: false }));
                    }
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(LEFT)),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                    Poll::Pending => break,
                }
            }
            let has_begun = !self.input.is_empty();
            if has_begun && !waits_for_more {
                // From the first byte on, for the whole head: not for each read.
                waits_for_more = true;
                self.timer.set(Duration::from_secs(self.limits.head_timeout_s));
            }
            if !has_begun && self.poll_stop(cx).is_ready() {
                return Poll::Ready(Err(Ended::Closing { may_hear_more: false }));
            }
            if self.timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
            if has_begun {
                let what = "a head that took too long";
                return Poll::Ready(Err(Ended::Refused(Refusal { status: StatusCode::REQUEST_TIMEOUT, what })));
            }
            Poll::Ready(Err(Ended::Closing { may_hear_more: false }))
        })
        .await
    }

    /// One request: hands it to the service, writes the answer, and leaves the connection ready for the next.
    async fn exchange<S, F>(&mut self, head: Head, service: &mut S) -> Result<(), Ended>
    where
        S: FnMut(Request<RequestBody>) -> F,
        F: Future<Output = Response<ResponseBody>>,
    {
        let mut asked = Asked::new(head.request.method(), head.is_1_1, head.keeps_alive);
        let mut request = head.request.map(|()| RequestBody::Empty);
        if !head.body.is_at_end() {
            let length = if let Decoder::Length(length) = head.body { Some(length) } else { None };
            let (feed, body) = incoming(length);
            *request.body_mut() = RequestBody::Wire(body);
            self.body = Some(Incoming { decoder: head.body, feed, owes_continue: head.expects_continue });
        }
        let mut upgrade = None;
        if head.wants_websocket {
            let (sender, on_upgrade) = OnUpgrade::pending(UpgradeKind::Http1);
            request.extensions_mut().insert(on_upgrade);
            upgrade = Some(sender);
        }

        // Boxed: kept in our own state, the largest future of the program would be the size of every idle connection.
        let mut answering = Box::pin(service(request));
        let mut response = poll_fn(|cx| {
            loop {
                if upgrade.is_some() && !self.input.is_empty() {
                    // What follows the head was written before anybody agreed to another protocol: it is either a
                    // smuggled request or a client that does not wait.
                    return Poll::Ready(Err(Ended::Refused(Refusal::bad("bytes behind a request to upgrade"))));
                }
                if let Poll::Ready(response) = answering.as_mut().poll(cx) {
                    return Poll::Ready(Ok(response));
                }
                match self.poll_client(cx)? {
                    Client::Progress => {}
                    Client::Waits => return Poll::Pending,
                }
            }
        })
        .await?;
        drop(answering);

        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS && upgrade.is_some();
        if response.status().is_informational() && !switches {
            response = Response::new(ResponseBody::Empty);
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        let unread_is_too_much =
            self.body.as_ref().is_some_and(|body| body.owes_continue || body.is_abandoned(self.limits));
        // A refused upgrade closes: what the client sends next may be meant for the other protocol.
        asked.keeps_alive &= !unread_is_too_much && upgrade.is_none() && !self.stopping.is_cancelled();
        let framing = self.write(response, asked).await?;
        if let Some(sender) = upgrade.filter(|_| switches) {
            if !self.input.is_empty() {
                return Err(LEFT);
            }
            return Err(Ended::Upgraded(sender));
        }
        if !asked.keeps_alive || framing == Framing::UntilClose {
            let may_hear_more = self.body.is_some() || !self.input.is_empty();
            return Err(Ended::Closing { may_hear_more });
        }
        self.drain().await
    }

    /// Writes a response, head and first piece of the body together.
    async fn write(&mut self, response: Response<ResponseBody>, asked: Asked) -> Result<Framing, Ended> {
        let (framing, length) = framing_of(&response, asked);
        let (mut parts, mut body) = response.into_parts();
        let lines = parts.extensions.remove::<ReadyLines>();
        write_head(self.outgoing.small(), parts.status, lines.as_ref(), &parts.headers, framing, length, asked);
        drop(lines);
        drop(parts);
        let mut left = framing;
        let mut is_complete = framing == Framing::None || framing == Framing::Length(0);
        let mut failure: Option<BoxError> = None;
        let mut is_blocked = false;
        poll_fn(|cx| {
            loop {
                let mut is_starved = false;
                // A client that takes nothing gets no more: what TLS below would still hold for it counts as taken.
                while !is_blocked && !is_complete && failure.is_none() && !self.outgoing.is_full() {
                    match Pin::new(&mut body).poll_frame(cx) {
                        Poll::Ready(Some(Ok(frame))) => {
                            // Trailers are dropped: HTTP/1.1 clients do not read them.
                            let Ok(piece) = frame.into_data() else { continue };
                            match queue(&mut self.outgoing, &mut left, piece) {
                                Ok(all) => is_complete = all,
                                Err(what) => failure = Some(what.into()),
                            }
                        }
                        Poll::Ready(Some(Err(error))) => failure = Some(error),
                        Poll::Ready(None) => match left {
                            Framing::Length(left) if left > 0 => {
                                failure = Some("the body is shorter than its length".into());
                            }
                            Framing::Chunked => {
                                self.outgoing.small().extend_from_slice(b"0\r\n\r\n");
                                is_complete = true;
                            }
                            _ => is_complete = true,
                        },
                        Poll::Pending => {
                            is_starved = true;
                            break;
                        }
                    }
                }
                let before = self.outgoing.written_bytes();
                let flushed = self.outgoing.poll_flush(&mut self.io, cx);
                is_blocked = flushed.is_pending();
                self.writing_went_on(self.outgoing.written_bytes() - before, is_blocked);
                match flushed {
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                    Poll::Ready(Ok(())) if is_complete => return Poll::Ready(Ok(framing)),
                    Poll::Ready(Ok(())) => {
                        if let Some(error) = failure.take() {
                            // No terminator, no rest: the client sees that something is missing.
                            return Poll::Ready(Err(Ended::Other(End::AnswerFailed(error))));
                        }
                        if !is_starved {
                            continue;
                        }
                    }
                    Poll::Pending => {}
                }
                if let Client::Progress = self.poll_client(cx)? {
                    continue;
                }
                if is_blocked {
                    self.wait_for_writing(cx)?;
                }
                return Poll::Pending;
            }
        })
        .await
    }

    fn writing_went_on(&mut self, bytes: u64, is_blocked: bool) {
        if bytes > 0 || !is_blocked {
            self.writing.go_on(bytes);
        }
    }

    fn wait_for_writing(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        loop {
            let Some(look_again) = self.writing.wait() else { return Err(Ended::Other(End::Slow)) };
            self.timer.set_at(look_again);
            if self.timer.poll(cx).is_pending() {
                return Ok(());
            }
        }
    }

    /// Looks after the client while the service or the answer's body is waited for: feeds the request's body to
    /// whoever wants it, and otherwise notices that the client has gone.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Result<Client, Ended> {
        let Some(body) = &mut self.body else { return self.listen(cx) };
        match body.feed.demand(cx) {
            // What is left is dealt with after the answer; nobody asks for it now.
            Demand::None | Demand::ReaderGone => return Ok(Client::Waits),
            Demand::Wanted => {}
        }
        if body.owes_continue {
            body.owes_continue = false;
            if self.input.is_empty() && !self.outgoing.is_full() {
                self.outgoing.small().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
        }
        if !self.outgoing.is_empty() && self.outgoing.poll_flush(&mut self.io, cx)?.is_pending() {
            return Ok(Client::Waits);
        }
        loop {
            let Some(body) = &mut self.body else { return Ok(Client::Progress) };
            match body.decoder.step(&mut self.input) {
                Ok(Step::Data(piece)) => {
                    self.reading.go_on(piece.len() as u64);
                    body.feed.give(piece, cx);
                    if body.decoder.is_at_end() {
                        self.end_body(Ok(()));
                    }
                    return Ok(Client::Progress);
                }
                Ok(Step::End) => {
                    self.end_body(Ok(()));
                    return Ok(Client::Progress);
                }
                Ok(Step::More) => {}
                Err(what) => return self.fail_body(IncomingError::Malformed { what }),
            }
            match self.input.poll_fill(&mut self.io, cx) {
                Poll::Ready(Ok(0)) => return Err(LEFT),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => break,
            }
        }
        let Some(look_again) = self.reading.wait() else { return self.fail_body(IncomingError::Slow) };
        self.timer.set_at(look_again);
        match self.timer.poll(cx) {
            Poll::Pending => Ok(Client::Waits),
            // Judged on the next look.
            Poll::Ready(()) => self.poll_client(cx),
        }
    }

    /// With no body to read: a client that closes is noticed, and what comes is kept for later, up to one read.
    fn listen(&mut self, cx: &mut Context<'_>) -> Result<Client, Ended> {
        if !self.input.is_empty() {
            return Ok(Client::Waits);
        }
        match self.input.poll_fill(&mut self.io, cx) {
            Poll::Ready(Ok(0)) => Err(LEFT),
            Poll::Ready(Ok(_)) => {
                // It may lie there for as long as the answer takes.
                self.input.shrink();
                Ok(Client::Progress)
            }
            Poll::Ready(Err(error)) => Err(error.into()),
            Poll::Pending => Ok(Client::Waits),
        }
    }

    fn end_body(&mut self, result: Result<(), IncomingError>) {
        if let Some(body) = self.body.take() {
            body.feed.end(result);
        }
    }

    /// The request's body is not to be had. The service hears of it and answers; the connection closes after that,
    /// since nobody knows where the next request begins.
    fn fail_body(&mut self, error: IncomingError) -> Result<Client, Ended> {
        if let Some(body) = &mut self.body {
            body.feed.end(Err(error));
            body.decoder = Decoder::UntilClose;
        }
        Ok(Client::Progress)
    }

    /// Reads what is left of a request's body so that the next request can follow, if that is little.
    async fn drain(&mut self) -> Result<(), Ended> {
        let Some(mut body) = self.body.take() else { return Ok(()) };
        if body.owes_continue || body.is_too_long(self.limits) {
            return Err(Ended::Closing { may_hear_more: true });
        }
        let mut budget = self.limits.drain_bytes;
        self.timer.set(Duration::from_secs(self.limits.linger_timeout_s));
        poll_fn(|cx| {
            loop {
                match body.decoder.step(&mut self.input) {
                    Ok(Step::End) => return Poll::Ready(Ok(())),
                    Ok(Step::Data(piece)) if piece.len() as u64 <= budget => budget -= piece.len() as u64,
                    Ok(Step::More) => match self.input.poll_fill(&mut self.io, cx) {
                        Poll::Ready(Ok(0)) => return Poll::Ready(Err(LEFT)),
                        Poll::Ready(Ok(_)) => {}
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                        Poll::Pending if self.timer.poll(cx).is_pending() => return Poll::Pending,
                        Poll::Pending => return Poll::Ready(Err(Ended::Closing { may_hear_more: true })),
                    },
                    Ok(Step::Data(_)) | Err(_) => {
                        return Poll::Ready(Err(Ended::Closing { may_hear_more: true }));
                    }
                }
            }
        })
        .await
    }

    fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Registered once a connection, not once a request: the registration takes a lock.
        if self.stop.as_ref().is_some_and(|(waker, _)| waker.will_wake(cx.waker())) {
            return if self.stopping.is_cancelled() { Poll::Ready(()) } else { Poll::Pending };
        }
        let mut wait = Box::pin(self.stopping.clone().cancelled_owned());
        let polled = wait.as_mut().poll(cx);
        self.stop = Some((cx.waker().clone(), wait));
        polled
    }

    async fn refuse(&mut self, refusal: Refusal) {
        self.outgoing.clear();
        push_refusal(&mut self.outgoing, refusal);
        self.close(true).await;
    }

    /// Flushes and closes. A client that is still sending would get a reset, and with it lose our last answer; so we
    /// listen for a moment longer.
    async fn close(&mut self, may_hear_more: bool) {
        self.input = ReadBuffer::default();
        self.end_body(Err(IncomingError::Closed));
        let closing = async {
            poll_fn(|cx| self.outgoing.poll_flush(&mut self.io, cx)).await?;
            poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await?;
            let mut budget = if may_hear_more { self.limits.drain_bytes.saturating_mul(16) } else { 0 };
            while budget > 0 {
                let count = poll_fn(|cx| self.input.poll_fill(&mut self.io, cx)).await?;
                self.input.consume(count);
                budget = if count == 0 { 0 } else { budget.saturating_sub(count as u64) };
            }
            io::Result::Ok(())
        };
        // Whatever goes wrong here, the connection ends.
        let _ = tokio::time::timeout(Duration::from_secs(self.limits.linger_timeout_s), closing).await;
    }
}

impl Incoming {
    /// True if so much is left that the connection closes rather than read it.
    fn is_too_long(&self, limits: &Limits) -> bool {
        match self.decoder {
            Decoder::Length(left) => left > limits.drain_bytes,
            Decoder::Chunked(_) => false,
            Decoder::UntilClose => true,
        }
    }

    /// True if nobody reads the rest, and it is too long to be drained.
    fn is_abandoned(&self, limits: &Limits) -> bool {
        self.feed.reader_is_gone() && self.is_too_long(limits) || self.decoder == Decoder::UntilClose
    }
}

/// A head that came in pieces is looked at again only when its end may be there, or when it has grown too large.
fn needs_parse(filled: &[u8], looked_at: usize, limits: &Limits) -> bool {
    filled.len() >= limits.target_bytes || end_of_head(filled, looked_at).is_some()
}

/// Queues a piece of a response; true if the body is complete with it.
fn queue(outgoing: &mut Outgoing, left: &mut Framing, piece: Bytes) -> Result<bool, &'static str> {
    match left {
        Framing::None => {}
        Framing::Chunked => outgoing.push_chunk(piece),
        Framing::UntilClose => outgoing.push(piece),
        Framing::Length(bytes) => {
            *bytes = bytes.checked_sub(piece.len() as u64).ok_or("the body is longer than its length")?;
            outgoing.push(piece);
        }
    }
    Ok(*left == Framing::Length(0))
}

#[cfg(test)]
mod tests;
