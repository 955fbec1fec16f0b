//! Holds something as long as an answer's body, or the WebSocket behind it, lasts.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::{BoxError, Io, OnUpgrade, ResponseBody};

/// A body that drops `held` with itself.
pub(super) struct Held<T> {
    body: ResponseBody,
    held: Option<T>,
}

/// `body`, which holds `held` until its end; what is there in full holds nothing.
pub(super) fn hold<T: Send + Unpin + 'static>(body: ResponseBody, held: T) -> ResponseBody {
    match body {
        ResponseBody::Empty | ResponseBody::Full(_) => body,
        ResponseBody::Boxed(_) | ResponseBody::Ending(_) => ResponseBody::stream(Held { body, held: Some(held) }),
    }
}

impl<T: Send + Unpin> Body for Held<T> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            this.held = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The same upgrade; the connection that it gives holds `held`.
pub(super) fn hold_upgrade<T: Send + Sync + Unpin + 'static>(upgrade: OnUpgrade, held: Arc<T>) -> OnUpgrade {
    let kind = upgrade.kind();
    OnUpgrade::new(kind, async move {
        let io = upgrade.into_io().await?;
        Ok(Box::new(HeldIo { io, _held: held }) as Box<dyn Io>)
    })
}

struct HeldIo<T> {
    io: Box<dyn Io>,
    _held: Arc<T>,
}

impl<T: Unpin> AsyncRead for HeldIo<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: Unpin> AsyncWrite for HeldIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
