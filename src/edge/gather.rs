//! Gathers what hyper writes in one turn of an HTTP/2 connection, for one TLS record and one system call.
//!
//! h2 writes and flushes after each DATA frame: answers of several streams that are ready in the same turn cost a
//! record and a system call each. Here a flush waits until the turn is over (`Turn::poll_flush`). What a turn reads is
//! bounded, too: a client that sends faster than we read would never let its connection's turn end, and everybody on
//! the same thread would wait for it. And what it reads is told (`Turn::begin`), for the connection to be judged by.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use crate::net::Io;
use crate::net::http1::outgoing::Outgoing;

/// What one turn reads before it is somebody else's. 16 KiB: one header block of the largest kind, or a record of an
/// upload, which pays one more turn for each and no system call.
const TURN_BYTES: usize = 16 * 1024;

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
    /// Bounded: full, it is written before more is taken, which is a frame at most.
    outgoing: Outgoing,
    /// What this turn has read, in bytes; the last read may take it beyond its share.
    read: usize,
    frames: Frames,
    is_paused: bool,
    /// True if a write had to wait in this turn: then h2 may not have looked yet at all that was read.
    is_held_up: bool,
}

/// What a turn has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) bytes: usize,
    /// Whole heads of requests.
    pub(super) heads: usize,
    /// False if h2 may have left some of it for the next turn.
    pub(super) is_all_seen: bool,
}

/// Both halves of `io`.
pub(super) fn gather<I: Io>(io: I) -> (Gather<I>, Turn<I>) {
    let gathered = Arc::new(Mutex::new(Gathered {
        io,
        outgoing: Outgoing::default(),
        read: 0,
        frames: Frames::new(),
        is_paused: false,
        is_held_up: false,
    }));
    (Gather(gathered.clone()), Turn(gathered))
}

impl<I: Io> Turn<I> {
    /// Begins a turn, and says what the one before has read.
    pub(super) fn begin(&self) -> Heard {
        let mut gathered = self.0.lock();
        Heard {
            bytes: std::mem::take(&mut gathered.read),
            heads: gathered.frames.take_heads(),
            is_all_seen: !std::mem::take(&mut gathered.is_held_up),
        }
    }

    /// From here on nothing is read, or again. Whoever pauses it wakes the connection afterwards.
    pub(super) fn set_paused(&self, is_paused: bool) {
        self.0.lock().is_paused = is_paused;
    }

    /// Writes and flushes what was gathered.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_flush(cx)
    }
}

impl<I: Io> Gathered<I> {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.poll_flush(&mut self.io, cx)
    }

    fn poll_write(&mut self, slices: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let total = slices.iter().map(|slice| slice.len()).sum();
        if total > 0 {
            if self.outgoing.is_full() {
                let flushed = self.poll_flush(cx);
                self.is_held_up |= flushed.is_pending();
                ready!(flushed)?;
            }
            slices.iter().for_each(|slice| self.outgoing.small().extend_from_slice(slice));
        }
        Poll::Ready(Ok(total))
    }
}

impl<I: Io> AsyncRead for Gather<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.0.lock();
        if gathered.is_paused {
            return Poll::Pending;
        }
        if gathered.read >= TURN_BYTES {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut gathered.io).poll_read(cx, buffer))?;
        let fresh = &buffer.filled()[before..];
        gathered.read += fresh.len();
        gathered.frames.pass(fresh);
        Poll::Ready(Ok(()))
    }
}

impl<I: Io> AsyncWrite for Gather<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(&[IoSlice::new(bytes)], cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(slices, cx)
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

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
    async fn a_client_that_takes_a_little_at_a_time_gets_all_of_it() {
        let (here, mut there) = tokio::io::duplex(900);
        let (mut io, turn) = gather(here);
        let sent: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
        let writing = async {
            for piece in sent.chunks(1000) {
                write(&mut io, [b"", piece]).await;
                // A turn that ends with the socket full: what is left waits, and more comes behind it.
                let _ = poll_fn(|cx| Poll::Ready(turn.poll_flush(cx))).await;
            }
            poll_fn(|cx| Pin::new(&mut io).poll_shutdown(cx)).await.expect("shut down");
        };
        let mut read = Vec::new();
        let ((), count) = tokio::join!(writing, there.read_to_end(&mut read));
        count.expect("read");
        assert!(read == sent);
    }

    #[tokio::test]
    async fn whatever_the_sizes_all_of_it_arrives_in_order() {
        // Narrow, so that writes are cut at odd places.
        let (here, mut there) = tokio::io::duplex(1000);
        let (mut io, turn) = gather(here);
        let pieces: Vec<Vec<u8>> = [1, 100, 32 * 1024 - 200, 5000, 32 * 1024, 32 * 1024 + 1, 100_000, 7]
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

    #[tokio::test]
    async fn one_turn_reads_so_much_and_comes_again_by_itself() {
        let (near, mut far) = tokio::io::duplex(4 * TURN_BYTES);
        let (mut io, turn) = gather(near);
        far.write_all(&vec![7; 3 * TURN_BYTES]).await.expect("room");
        let (mut taken, mut turns, mut block) = (0, 0, vec![0; 1024]);
        poll_fn(|cx| {
            turns += 1;
            turn.begin();
            let begun = taken;
            while taken < 3 * TURN_BYTES {
                let mut buffer = ReadBuf::new(&mut block);
                // Pending without more to come from the other side: the turn has woken itself, or this test would hang.
                ready!(Pin::new(&mut io).poll_read(cx, &mut buffer)).expect("read");
                taken += buffer.filled().len();
                assert!(taken - begun < TURN_BYTES + 1024, "a turn took {} bytes", taken - begun);
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(turns, 3);
    }
}
