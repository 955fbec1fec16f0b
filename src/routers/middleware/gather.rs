//! The beginning of a body in memory, with a bound; and a body that begins with what was gathered.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::net::BoxError;

/// What was gathered.
pub(super) enum Gathered<B> {
    /// All there is.
    Whole(Bytes),
    /// There is more than was wanted.
    More(Prefixed<B>),
}

/// Reads up to `limit_bytes` of `body`.
///
/// # Errors
/// The body failed.
pub(super) async fn gather<B>(mut body: B, limit_bytes: usize) -> Result<Gathered<B>, BoxError>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    let mut gathered = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers are dropped: nobody behind us was promised any.
        let Ok(piece) = frame?.into_data() else { continue };
        gathered.extend_from_slice(&piece);
        if gathered.len() > limit_bytes {
            return Ok(Gathered::More(Prefixed { first: gathered.freeze(), rest: body }));
        }
    }
    Ok(Gathered::Whole(gathered.freeze()))
}

/// A body that begins with what was gathered of it.
pub(super) struct Prefixed<B> {
    pub(super) first: Bytes,
    pub(super) rest: B,
}

impl<B> Body for Prefixed<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.first)))));
        }
        Pin::new(&mut this.rest).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + self.first.len() as u64),
            None => SizeHint::default(),
        }
    }
}
