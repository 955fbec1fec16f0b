//! One accepted connection's bytes, plain or through TLS. It carries the connection's permit and its seat, so that a
//! tunnel that outlives its HTTP connection still counts.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::counts::Open;
use super::permits::Permit;
use super::socket::Socket;
use super::wire::Wire;
use crate::tasks::Seat;

/// A connection's bytes.
#[derive(Debug)]
pub struct Stream {
    pub(super) bytes: Bytes,
    pub(super) open: Open,
    pub(super) _permit: Permit,
    pub(super) _seat: Seat,
}

#[derive(Debug)]
pub(super) enum Bytes {
    Plain(Socket),
    // Boxed: it is 1 KiB and more, and plain connections should not pay for it.
    Tls(Box<TlsStream<Wire>>),
}

impl Stream {
    fn note_sent(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = &polled {
            self.open.sent(*count);
        }
        polled
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (this, before) = (self.get_mut(), buffer.filled().len());
        let polled = match &mut this.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Bytes::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        };
        if polled.is_ready() {
            this.open.received(buffer.filled().len() - before);
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = match &mut this.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Bytes::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        };
        this.note_sent(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = match &mut this.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Bytes::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        };
        this.note_sent(polled)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(stream) => stream.is_write_vectored(),
            Bytes::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Bytes::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Bytes::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
