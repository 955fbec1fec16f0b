//! Gathers what hyper writes in one turn of an HTTP/2 connection, for one TLS record and one system call.
//!
//! h2 writes and flushes after each DATA frame: answers of several streams that are ready in the same turn cost a
//! record and a system call each. Here a flush waits until the turn is over (`Turn::poll_flush`).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::Io;
use crate::net::buffer::WriteBuffer;

/// More than this is not gathered but written at once. 32 KiB: two of the largest frames, or the answers of a page's icons.
const GATHER_BYTES: usize = 32 * 1024;
/// Slices that h2 writes at once: a frame's head and its payload.
const SLICES: usize = 2;

/// The connection as hyper writes to it.
#[derive(Debug)]
pub(super) struct Gather<I>(Arc<Mutex<Gathered<I>>>);

/// The connection as its task sees it, which knows when a turn is over.
#[derive(Debug)]
pub(super) struct Turn<I>(Arc<Mutex<Gathered<I>>>);

// One task has both halves: the lock is never waited for.
#[derive(Debug)]
struct Gathered<I> {
    io: I,
    out: WriteBuffer,
    needs_flush: bool,
}

/// Both halves of `io`.
pub(super) fn gather<I: Io>(io: I) -> (Gather<I>, Turn<I>) {
    let gathered = Arc::new(Mutex::new(Gathered { io, out: WriteBuffer::default(), needs_flush: false }));
    (Gather(gathered.clone()), Turn(gathered))
}

impl<I: Io> Turn<I> {
    /// Writes and flushes what was gathered.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_flush(cx)
    }
}

impl<I: Io> Gathered<I> {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.filled().is_empty() {
            self.needs_flush = true;
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, self.out.filled()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.consume(count);
        }
        if self.needs_flush {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, slices: &[&[u8]; SLICES], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        loop {
            if total == 0 || self.out.filled().len() + total <= GATHER_BYTES {
                slices.iter().filter(|slice| !slice.is_empty()).for_each(|slice| self.out.push(slice));
                return Poll::Ready(Ok(total));
            }
            self.needs_flush = true;
            let all = [self.out.filled(), slices[0], slices[1]].map(IoSlice::new);
            let count = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &all))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let from_out = count.min(self.out.filled().len());
            self.out.consume(from_out);
            if count > from_out {
                return Poll::Ready(Ok(count - from_out));
            }
        }
    }
}

impl<I: Io> AsyncRead for Gather<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().io).poll_read(cx, buffer)
    }
}

impl<I: Io> AsyncWrite for Gather<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(&[bytes, &[]], cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let slice = |number: usize| slices.get(number).map_or(&[][..], |slice| slice);
        self.0.lock().poll_write(&[slice(0), slice(1)], cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: the turn's end flushes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.0.lock();
        ready!(gathered.poll_flush(cx))?;
        Pin::new(&mut gathered.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// Writes all of `slices`, as h2 does.
    async fn write(io: &mut Gather<tokio::io::DuplexStream>, mut slices: [&[u8]; 2]) {
        while !slices.concat().is_empty() {
            let all = slices.map(IoSlice::new);
            let count = poll_fn(|cx| Pin::new(&mut *io).poll_write_vectored(cx, &all)).await.expect("written");
            let from_first = count.min(slices[0].len());
            slices = [&slices[0][from_first..], &slices[1][count - from_first..]];
        }
        poll_fn(|cx| Pin::new(&mut *io).poll_flush(cx)).await.expect("flushed");
    }

    #[tokio::test]
    async fn what_is_written_in_a_turn_leaves_at_its_end_in_one_piece() {
        let (here, mut there) = tokio::io::duplex(64 * 1024);
        let (mut io, turn) = gather(here);
        write(&mut io, [b"head", b"one"]).await;
        write(&mut io, [b"", b"two"]).await;
        let mut read = [0; 100];
        let early = poll_fn(|cx| Poll::Ready(Pin::new(&mut there).poll_read(cx, &mut ReadBuf::new(&mut read)))).await;
        assert!(early.is_pending(), "it left before the turn was over");
        poll_fn(|cx| turn.poll_flush(cx)).await.expect("flushed");
        let count = there.read(&mut read).await.expect("read");
        assert_eq!(read[..count], *b"headonetwo");
    }

    #[tokio::test]
    async fn whatever_the_sizes_all_of_it_arrives_in_order() {
        // Narrow, so that writes are cut at odd places.
        let (here, mut there) = tokio::io::duplex(1000);
        let (mut io, turn) = gather(here);
        let pieces: Vec<Vec<u8>> = [1, 100, GATHER_BYTES - 200, 5000, GATHER_BYTES, GATHER_BYTES + 1, 100_000, 7]
            .into_iter()
            .zip(b'a'..)
            .map(|(length, letter)| vec![letter; length])
            .collect();
        let writing = async {
            for piece in &pieces {
                write(&mut io, [b"#", piece]).await;
            }
            poll_fn(|cx| turn.poll_flush(cx)).await.expect("flushed");
            poll_fn(|cx| Pin::new(&mut io).poll_shutdown(cx)).await.expect("shut down");
        };
        let mut read = Vec::new();
        let (_, count) = tokio::join!(writing, there.read_to_end(&mut read));
        count.expect("read");
        let expected: Vec<u8> = pieces.iter().flat_map(|piece| [b"#", piece.as_slice()].concat()).collect();
        assert_eq!(read, expected);
    }
}
