//! The bodies of requests and responses as modules hand them to each other.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::http1::IncomingBody;

/// Any error of a body; it ends the exchange, nobody looks inside except the log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request on its way in. An empty one allocates nothing.
#[derive(Default)]
pub enum RequestBody {
    /// There is none.
    #[default]
    Empty,
    /// Read from one of our own HTTP/1.1 connections.
    Wire(IncomingBody),
    /// Anything else: HTTP/2, tests.
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

impl RequestBody {
    /// Boxes `body`, unless it has ended already.
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() { Self::Empty } else { Self::Stream(body.map_err(Into::into).boxed_unsync()) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Wire(body) => Pin::new(body).poll_frame(cx),
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Wire(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Wire(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Wire(_) => "Wire",
            Self::Stream(_) => "Stream",
        })
    }
}

/// The body of a response on its way out. Small ones that are there in full allocate nothing more.
#[derive(Default)]
pub enum ResponseBody {
    /// There is none.
    #[default]
    Empty,
    /// All of it.
    Full(Bytes),
    /// A stream: the rest of an upstream's answer, a page of the hub, events.
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
    /// A stream that is cut when a token is cancelled.
    Ending(Box<Ending>),
}

impl ResponseBody {
    /// Boxes `body`, unless it has ended already.
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() { Self::Empty } else { Self::Boxed(body.map_err(Into::into).boxed_unsync()) }
    }

    /// Cuts this body with an error when one of `tokens` is cancelled. Bodies that are there in full pass as they
    /// are; a stream pays for the watch only once it has to wait.
    #[must_use]
    pub fn ending_with(self, tokens: impl IntoIterator<Item = CancellationToken>) -> Self {
        match self {
            Self::Empty | Self::Full(_) => self,
            Self::Boxed(_) | Self::Ending(_) => Self::Ending(Box::new(Ending::new(self, tokens))),
        }
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl From<&'static str> for ResponseBody {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Boxed(body) => Pin::new(body).poll_frame(cx),
            Self::Ending(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Boxed(body) => body.is_end_stream(),
            Self::Ending(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Boxed(body) => body.size_hint(),
            Self::Ending(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Boxed(_) => f.write_str("Boxed"),
            Self::Ending(_) => f.write_str("Ending"),
        }
    }
}

/// A body that ends with an error, never with a clean end, once one of its tokens is cancelled.
pub struct Ending {
    body: ResponseBody,
    tokens: Vec<CancellationToken>,
    // Made when the body first has to wait: most never do.
    watches: Vec<Pin<Box<WaitForCancellationFutureOwned>>>,
}

/// The right to this stream, or its source, ended before the stream did.
#[derive(Debug, thiserror::Error)]
#[error("the stream was cut because its session or its server ended")]
struct Cut;

impl Ending {
    fn new(body: ResponseBody, tokens: impl IntoIterator<Item = CancellationToken>) -> Self {
        Self { body, tokens: tokens.into_iter().collect(), watches: Vec::new() }
    }
}

impl Body for Ending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.tokens.iter().any(CancellationToken::is_cancelled) {
            // Let go of the source now: what it holds (a connection, a place in a queue) is free from here on.
            this.body = ResponseBody::Empty;
            return Poll::Ready(Some(Err(Cut.into())));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if this.watches.is_empty() {
            this.watches.extend(this.tokens.iter().map(|token| Box::pin(token.clone().cancelled_owned())));
        }
        for watch in &mut this.watches {
            if watch.as_mut().poll(cx).is_ready() {
                this.body = ResponseBody::Empty;
                return Poll::Ready(Some(Err(Cut.into())));
            }
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && !self.tokens.iter().any(CancellationToken::is_cancelled)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
