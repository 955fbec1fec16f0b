//! The body of a request while it is still on the wire.
//!
//! The connection's own task does all reading. The body and the connection share one chunk behind a mutex that
//! nobody waits for: in the usual case both run in one task; a service on another runtime (the hub) wakes across.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use crate::net::BoxError;

/// Why a request's body ended before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IncomingError {
    /// The client went away, or the exchange was given up.
    #[error("the client's connection ended before its request did")]
    Closed,
    /// A chunk, or what should have been one, was malformed.
    #[error("the request's chunks are malformed: {what}")]
    Malformed {
        /// What was wrong.
        what: &'static str,
    },
    /// The client sent too slowly.
    #[error("the client sent its body too slowly")]
    Slow,
}

#[derive(Debug, Default)]
struct State {
    /// One piece on its way from the connection to the reader.
    chunk: Option<Bytes>,
    end: Option<Result<(), IncomingError>>,
    /// The reader waits for a piece: only then does the connection read.
    wants: bool,
    /// Bytes that the reader has not been given, if the client said how many.
    remaining: Option<u64>,
    reader: Option<Waker>,
    connection: Option<Waker>,
    reader_gone: bool,
}

/// A request's body, read from the wire piece by piece as its reader asks.
#[derive(Debug)]
pub struct IncomingBody(Arc<Mutex<State>>);

/// The connection's end of an `IncomingBody`.
#[derive(Debug)]
pub(super) struct Feed(Arc<Mutex<State>>);

/// What the connection should do for the body at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// Nothing: the last piece is not used yet, or nobody asked.
    None,
    /// Read the next piece.
    Wanted,
    /// Nobody will read the rest.
    ReaderGone,
}

/// A body of `length` bytes (unknown when chunked) and the end that feeds it.
pub(super) fn incoming(length: Option<u64>) -> (Feed, IncomingBody) {
    let state = Arc::new(Mutex::new(State { remaining: length, ..State::default() }));
    (Feed(state.clone()), IncomingBody(state))
}

impl Feed {
    /// What the reader wants; its later wishes wake the task of `cx`.
    pub(super) fn demand(&self, cx: &Context<'_>) -> Demand {
        let mut state = self.0.lock();
        if state.reader_gone {
            return Demand::ReaderGone;
        }
        if !state.connection.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.connection = Some(cx.waker().clone());
        }
        if state.wants && state.chunk.is_none() && state.end.is_none() { Demand::Wanted } else { Demand::None }
    }

    /// True once the reader has dropped the body.
    pub(super) fn reader_is_gone(&self) -> bool {
        self.0.lock().reader_gone
    }

    /// Gives the reader a piece. A reader in the task of `cx` is not woken: the caller polls it next.
    pub(super) fn give(&self, chunk: Bytes, cx: &Context<'_>) {
        let mut state = self.0.lock();
        debug_assert!(state.chunk.is_none(), "one piece at a time");
        state.chunk = Some(chunk);
        state.wants = false;
        if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            wake(state.reader.take());
        }
    }

    /// Tells the reader that nothing follows.
    pub(super) fn end(&self, result: Result<(), IncomingError>) {
        let mut state = self.0.lock();
        if state.end.is_none() {
            state.end = Some(result);
            wake(state.reader.take());
        }
        state.wants = false;
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.end(Err(IncomingError::Closed));
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.0.lock();
        if let Some(chunk) = state.chunk.take() {
            if let Some(remaining) = &mut state.remaining {
                *remaining = remaining.saturating_sub(chunk.len() as u64);
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match &state.end {
            Some(Ok(())) => return Poll::Ready(None),
            Some(Err(error)) => {
                let error = error.clone();
                state.end = Some(Ok(()));
                return Poll::Ready(Some(Err(error.into())));
            }
            None => {}
        }
        if !state.reader.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.reader = Some(cx.waker().clone());
        }
        if !state.wants {
            state.wants = true;
            // In the same task the connection looks at `wants` right after it has polled us.
            if state.connection.as_ref().is_some_and(|waker| !waker.will_wake(cx.waker())) {
                wake(state.connection.take());
            }
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let state = self.0.lock();
        state.chunk.is_none() && matches!(state.end, Some(Ok(())))
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.0.lock();
        state.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.reader_gone = true;
        state.chunk = None;
        wake(state.connection.take());
    }
}
