//! A request's body that comes back if nobody has read of it, so that the request can be sent to another.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, Request};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use crate::net::{BoxError, RequestBody};

/// A request that may be sent several times.
pub(super) struct Repeated {
    parts: Parts,
    body: Kept,
}

enum Kept {
    /// There is none, or all of it is in memory.
    Whole(Bytes),
    /// Comes back if it was not read.
    Slot(Arc<Mutex<Option<RequestBody>>>),
}

impl Repeated {
    /// A request whose body is in memory, if it has any.
    pub(super) fn whole(parts: Parts, body: Bytes) -> Self {
        Self { parts, body: Kept::Whole(body) }
    }

    /// A request whose body streams: it can be sent again as long as nobody has read of it.
    pub(super) fn streamed(request: Request<RequestBody>) -> Self {
        let (parts, body) = request.into_parts();
        if body.is_end_stream() {
            return Self::whole(parts, Bytes::new());
        }
        Self { parts, body: Kept::Slot(Arc::new(Mutex::new(Some(body)))) }
    }

    /// True if its body is in memory, or it has none.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.body, Kept::Whole(_))
    }

    /// The request to be sent; none if its body has been read.
    pub(super) fn request(&self) -> Option<Request<RequestBody>> {
        let body = match &self.body {
            Kept::Whole(bytes) => whole_body(bytes.clone()),
            Kept::Slot(slot) => {
                let body = slot.lock().take()?;
                RequestBody::stream(Lent { body, was_read: false, slot: slot.clone() })
            }
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = self.parts.uri.clone();
        *request.version_mut() = self.parts.version;
        *request.headers_mut() = self.parts.headers.clone();
        *request.extensions_mut() = Extensions::clone(&self.parts.extensions);
        Some(request)
    }
}

/// A body that is all there.
pub(super) fn whole_body(bytes: Bytes) -> RequestBody {
    use http_body_util::{BodyExt as _, Full};
    RequestBody::stream(Full::new(bytes).map_err(|never| match never {}))
}

struct Lent {
    body: RequestBody,
    was_read: bool,
    slot: Arc<Mutex<Option<RequestBody>>>,
}

impl Body for Lent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        this.was_read |= polled.is_ready();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.was_read {
            *self.slot.lock() = Some(std::mem::take(&mut self.body));
        }
    }
}
