//! An answer's body that holds something as long as it is being sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{BoxError, ResponseBody};

/// A body with what it holds.
pub struct Guarded<T> {
    body: ResponseBody,
    _held: T,
}

impl<T: Send + Unpin + 'static> Guarded<T> {
    /// Holds `held` until the last byte of `body` is gone; not at all for one that is there in full.
    pub fn wrap(body: ResponseBody, held: T) -> ResponseBody {
        match body {
            ResponseBody::Empty | ResponseBody::Full(_) => body,
            ResponseBody::Boxed(_) | ResponseBody::Ending(_) => ResponseBody::stream(Self { body, _held: held }),
        }
    }
}

impl<T: Unpin> Body for Guarded<T> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
