//! A TCP connection as TLS reads and writes it: in as few system calls as the bytes allow.
//!
//! rustls reads 4 KiB at a time, which is right for a request and costs an upload a system call for each 4 KiB; and it
//! writes through lists of buffers, which mostly have one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::socket::Socket;
use crate::net::buffer::ReadBuffer;

/// The bytes under a TLS connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Socket,
    /// What was read ahead. Empty, it holds no memory.
    ahead: ReadBuffer,
    /// The last read filled all the room that it was given: more is on its way.
    is_streaming: bool,
}

impl Wire {
    pub(super) fn new(stream: Socket) -> Self {
        Self { stream, ahead: ReadBuffer::default(), is_streaming: false }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let room = buffer.remaining();
        if this.ahead.is_empty() {
            if !this.is_streaming {
                let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
                this.is_streaming = buffer.remaining() == 0;
                return polled;
            }
            let count = ready!(this.ahead.poll_fill(&mut this.stream, cx))?;
            this.is_streaming = count >= room;
        }
        let ahead = this.ahead.filled();
        let count = ahead.len().min(room);
        buffer.put_slice(&ahead[..count]);
        this.ahead.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.get_mut().stream);
        match slices {
            [one] => stream.poll_write(cx, one),
            _ => stream.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::socket::Transport;
    use super::*;

    #[tokio::test]
    async fn what_is_read_in_small_pieces_is_what_was_sent() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let sent: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
        let sending = async {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            stream.write_all(&sent).await.expect("sent");
        };
        let reading = async {
            let mut wire = Wire::new(Transport::Tcp(listener.accept().await.expect("accepted").0).into());
            let (mut all, mut piece, mut was_ahead) = (Vec::new(), [0; 4096], false);
            while let count @ 1.. = wire.read(&mut piece).await.expect("read") {
                all.extend_from_slice(&piece[..count]);
                was_ahead |= !wire.ahead.is_empty();
            }
            assert!(was_ahead, "a stream of 300 kB is read in larger pieces");
            all
        };
        let ((), all) = tokio::join!(sending, reading);
        assert!(all == sent);
    }
}
