//! Serves HTTP/2 on one connection: hyper's codec within our limits, WebSockets by extended CONNECT (RFC 8441), and
//! an end for clients that hold streams without moving them.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, Stream as _};
use http::{Method, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::gather::gather;
use super::{Arrival, Edge, Http2Limits};
use crate::model::Live;
use crate::net::{BoxError, Io, OnUpgrade, RequestBody, ResponseBody, UpgradeKind};

/// Slower than this for a whole `stall_timeout_s`, a transfer counts as stalled. 256 bytes a second, as on HTTP/1.1.
const RATE_MIN_BYTES_S: u64 = 256;

/// What a client may say in frames without a stream, beside the rest of an upload. 64 KiB: a PING and its like have 17
/// bytes, and a browser sends one in many seconds.
const STREAMLESS_BYTES: usize = 64 * 1024;

/// Heads that a client may send more than it opens streams with. 8: h2 refuses them by itself (431, or a reset), so nobody
/// else sees them, and one of 1,500 fields costs more than a request that is answered. A browser whose cookies have grown
/// too large gets its 431, and another connection.
const REFUSED_HEADS_LIMIT: usize = 8;
/// After one of those nothing is read for so long: many connections that send nothing else would take their turns from
/// everybody. 100 ms: a person does not notice it once.
const REFUSED_HEAD_PAUSE: Duration = Duration::from_millis(100);

/// Serves HTTP/2 until either side ends it; after the soft stop it finishes the open streams.
pub(super) async fn serve<I: Io + 'static>(io: I, edge: Live<Edge>, arrival: Arrival, stopping: CancellationToken) {
    let limits = edge.read().parts.config.http2.clone();
    let stall_timeout = Duration::from_secs(limits.stall_timeout_s);
    let executor = NewStreams { opened: Arc::default(), stall_timeout };
    let opened = executor.opened.clone();
    let peer = arrival.peer.ip();
    let service = service_fn(move |request: Request<Incoming>| {
        let (edge, arrival) = (edge.snapshot(), arrival.clone());
        // Boxed here, because hyper and we would move its kilobytes half a dozen times before it is first polled.
        Box::pin(async move {
            let is_head = request.method() == Method::HEAD;
            let request = request_of(request, stall_timeout);
            let response = edge.answer(&arrival, request).await;
            let response = if is_head { without_body(response) } else { response };
            Ok::<_, Infallible>(response.map(Answer::new))
        })
    });
    let (io, turn) = gather(io);
    let connection = builder(executor, &limits).serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let mut streams = OpenStreams::new();

    let mut is_ending = stopping.is_cancelled();
    if is_ending {
        connection.as_mut().graceful_shutdown();
    }
    let mut stop = pin!(stopping.cancelled());
    // Looked at four times per timeout: a connection is ended at most a quarter late.
    let idle_timeout = Duration::from_secs(limits.idle_timeout_s.max(1));
    let mut looks = tokio::time::interval(idle_timeout / 4);
    let mut idle_since = Instant::now();
    // While no stream is open there is little to say. What is left of a refused upload may come, a connection's window
    // of it; more is a flood of frames that nobody has to answer.
    let (mut without_stream, without_stream_limit) = (0, limits.connection_window_bytes as usize + STREAMLESS_BYTES);
    let (mut refused_heads, mut opened_streams) = (0_usize, 0);
    let mut pause: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        let (heard, refused_before) = (turn.begin(), refused_heads);
        // Each stream that opens has one head, and makes up for one that was refused. What begins after the end was
        // announced is refused for that.
        refused_heads = if is_ending { 0 } else { (refused_heads + heard.heads).saturating_sub(2 * opened_streams) };
        if heard.is_all_seen && refused_heads > REFUSED_HEADS_LIMIT {
            debug!(address = %peer, heads = refused_heads, "connection ended: heads that cannot be taken");
            return Poll::Ready(());
        }
        if heard.is_all_seen && refused_heads > refused_before {
            pause = Some(Box::pin(tokio::time::sleep(REFUSED_HEAD_PAUSE)));
            turn.set_paused(true);
        }
        if pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_ready()) {
            pause = None;
            turn.set_paused(false);
        }
        without_stream += heard.bytes;
        if without_stream > without_stream_limit {
            debug!(address = %peer, bytes = without_stream, "connection ended: frames without a stream");
            return Poll::Ready(());
        }
        // Answers first, so that the connection sends them in this very turn; then what it has read begins at once.
        poll_streams(&mut streams, cx);
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            if let Err(error) = ended {
                debug!(address = %peer, error = &error as &dyn std::error::Error, "connection ended");
            }
            return Poll::Ready(());
        }
        if let Poll::Ready(Err(error)) = turn.poll_flush(cx) {
            debug!(address = %peer, %error, "connection broke");
            return Poll::Ready(());
        }
        let new = std::mem::take(&mut *opened.lock());
        opened_streams = new.len();
        if !streams.is_empty() || !new.is_empty() {
            without_stream = 0;
        }
        if !new.is_empty() {
            streams.extend(new);
            poll_streams(&mut streams, cx);
        }
        if !is_ending && stop.as_mut().poll(cx).is_ready() {
            is_ending = true;
            connection.as_mut().graceful_shutdown();
            cx.waker().wake_by_ref();
        }
        while looks.poll_tick(cx).is_ready() {
            let now = Instant::now();
            if !streams.is_empty() {
                idle_since = now;
            } else if now - idle_since >= idle_timeout + stall_timeout {
                // It was asked to end, and does not even take the frame that says so.
                return Poll::Ready(());
            } else if now - idle_since >= idle_timeout && !is_ending {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    })
    .await;
}

/// Polls those that have something to do, and forgets those that have ended.
fn poll_streams(streams: &mut OpenStreams, cx: &mut Context<'_>) {
    while let Poll::Ready(Some(())) = Pin::new(&mut *streams).poll_next(cx) {}
}

fn builder(executor: NewStreams, limits: &Http2Limits) -> http2::Builder<NewStreams> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_list_bytes)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_send_buf_size(limits.send_buffer_bytes)
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(Some(limits.faulty_streams))
        .keep_alive_interval(Duration::from_secs(limits.ping_interval_s))
        .keep_alive_timeout(Duration::from_secs(limits.ping_timeout_s));
    builder
}

/// The request as the edge knows requests: our body, and an `OnUpgrade` where a WebSocket is asked for.
fn request_of(mut request: Request<Incoming>, stall_timeout: Duration) -> Request<RequestBody> {
    let protocol = request.extensions().get::<hyper::ext::Protocol>();
    let is_websocket = protocol.is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"));
    if request.method() == Method::CONNECT && is_websocket {
        let opening = hyper::upgrade::on(&mut request);
        let upgrade = OnUpgrade::new(UpgradeKind::ExtendedConnect, async move {
            let opened = opening.await.map_err(BoxError::from)?;
            Ok(Box::new(TokioIo::new(opened)) as Box<dyn Io>)
        });
        request.extensions_mut().insert(upgrade);
        return request.map(|_| RequestBody::Empty);
    }
    request.map(|body| match body.is_end_stream() {
        true => RequestBody::Empty,
        false => RequestBody::stream(Upload::new(body, stall_timeout)),
    })
}

/// The answer to HEAD: the length that a GET would get, if it is known, and nothing of it. Whoever makes an answer need not
/// know for what; a client takes a DATA frame here for a broken protocol.
fn without_body(response: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        head.headers.entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    Response::from_parts(head, ResponseBody::Empty)
}

/// The client promised a body and does not send it.
#[derive(Debug, thiserror::Error)]
#[error("the client sent less than {RATE_MIN_BYTES_S} bytes a second")]
struct TooSlow;

/// A body on its way in, given up when it stalls while we wait for it.
struct Upload {
    body: Incoming,
    stall_timeout: Duration,
    /// Armed while we wait; with the bytes that had come when it was.
    patience: Option<(Pin<Box<Sleep>>, u64)>,
    bytes: u64,
}

impl Upload {
    fn new(body: Incoming, stall_timeout: Duration) -> Self {
        Self { body, stall_timeout, patience: None, bytes: 0 }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some(Ok(frame)) = &frame {
                this.bytes += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let needed = RATE_MIN_BYTES_S * this.stall_timeout.as_secs();
        let (sleep, bytes_before) =
            this.patience.get_or_insert_with(|| (Box::pin(tokio::time::sleep(this.stall_timeout)), this.bytes));
        while sleep.as_mut().poll(cx).is_ready() {
            if this.bytes - *bytes_before < needed {
                return Poll::Ready(Some(Err(TooSlow.into())));
            }
            *bytes_before = this.bytes;
            sleep.as_mut().reset(Instant::now() + this.stall_timeout);
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How one stream's answer moves, as seen from both ends: the body that is asked for bytes, and the stream's work.
#[derive(Debug, Default)]
struct Progress {
    /// True from the answer's head until its last byte, except while the answer's source is slow: then it is the
    /// client that we wait for.
    waits_for_client: AtomicBool,
    bytes: AtomicU64,
}

tokio::task_local! {
    /// Of the stream that is being polled.
    static PROGRESS: Arc<Progress>;
}

/// Frames of an answer are cut to this size, so that no more than this lies in the connection for a client that
/// opens its window by single bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// An answer's body that tells its stream how it moves.
struct Answer {
    body: ResponseBody,
    rest: Bytes,
    progress: Option<Arc<Progress>>,
}

impl Answer {
    fn new(body: ResponseBody) -> Self {
        let progress = PROGRESS.try_with(Arc::clone).ok();
        if let Some(progress) = &progress {
            progress.waits_for_client.store(!body.is_end_stream(), Ordering::Relaxed);
        }
        Self { body, rest: Bytes::new(), progress }
    }

    fn tell(&self, waits_for_client: bool, bytes: usize) {
        if let Some(progress) = &self.progress {
            progress.waits_for_client.store(waits_for_client, Ordering::Relaxed);
            progress.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Pending => {
                    this.tell(false, 0);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => this.rest = bytes,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Ready(end) => {
                    this.tell(false, 0);
                    return Poll::Ready(end);
                }
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        this.tell(true, piece.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let inner = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// The streams of a connection, which run in its task: a request that comes, its upstream's answer and the frames that
/// carry it all wake the same task, on the same thread. With a task for each, half of the wake-ups went to another core.
type OpenStreams = FuturesUnordered<OneStream>;

type OneStream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes the streams that hyper opens, for the connection's task to run; those whose client stalls are reset.
#[derive(Clone)]
struct NewStreams {
    opened: Arc<Mutex<Vec<OneStream>>>,
    stall_timeout: Duration,
}

impl<F> Executor<F> for NewStreams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let progress = Arc::new(Progress::default());
        let stream = Unstalled {
            stream: PROGRESS.scope(progress.clone(), stream),
            progress,
            patience: None,
            stall_timeout: self.stall_timeout,
        };
        // A panic ends one request: the others of this connection are not to blame.
        let alone = AssertUnwindSafe(stream).catch_unwind().map(drop);
        self.opened.lock().push(Box::pin(alone));
    }
}

pin_project! {
    /// A stream's work, which ends (and so resets the stream) when its client takes next to nothing for too long.
    struct Unstalled<F> {
        #[pin]
        stream: F,
        progress: Arc<Progress>,
        // Armed while the client is waited for; with the bytes that it had taken when it was.
        patience: Option<(Pin<Box<Sleep>>, u64)>,
        stall_timeout: Duration,
    }
}

impl<F: Future<Output = ()>> Future for Unstalled<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !this.progress.waits_for_client.load(Ordering::Relaxed) {
            *this.patience = None;
            return Poll::Pending;
        }
        let bytes = this.progress.bytes.load(Ordering::Relaxed);
        let stall_timeout = *this.stall_timeout;
        let (sleep, bytes_before) =
            this.patience.get_or_insert_with(|| (Box::pin(tokio::time::sleep(stall_timeout)), bytes));
        while sleep.as_mut().poll(cx).is_ready() {
            if bytes - *bytes_before < RATE_MIN_BYTES_S * stall_timeout.as_secs() {
                debug!("a stream was reset because its client took nothing");
                return Poll::Ready(());
            }
            *bytes_before = bytes;
            sleep.as_mut().reset(Instant::now() + stall_timeout);
        }
        Poll::Pending
    }
}
