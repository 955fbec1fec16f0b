//! Bytes on their way out: small ones are gathered, large ones are written from where they lie.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWrite;

use crate::net::buffer::{give_vec, take_vec};

/// Pieces up to this size are copied behind the head: one write, one TLS record.
const COPY_UP_TO_BYTES: usize = 8 * 1024;
/// Gathered bytes beyond this are written before more is taken.
const GATHER_BYTES: usize = 32 * 1024;

/// What is to be written to one connection. Bounded: it takes no more while `is_full`. Empty, it holds no memory.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    gathered: Vec<u8>,
    written: usize,
    /// A large piece, written after what is gathered …
    piece: Bytes,
    /// … and what follows it.
    after: &'static [u8],
    needs_flush: bool,
    written_bytes: u64,
}

impl Outgoing {
    /// For heads and other small things; only while not full.
    pub(crate) fn small(&mut self) -> &mut Vec<u8> {
        debug_assert!(!self.is_full(), "what is queued behind a large piece would overtake it");
        self.gathered()
    }

    fn gathered(&mut self) -> &mut Vec<u8> {
        if self.gathered.capacity() == 0 {
            self.gathered = take_vec();
        }
        &mut self.gathered
    }

    /// True if nothing more should be queued before a write.
    pub(crate) fn is_full(&self) -> bool {
        !self.piece.is_empty() || !self.after.is_empty() || self.gathered.len() >= GATHER_BYTES
    }

    /// True if there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.gathered.is_empty() && self.piece.is_empty() && self.after.is_empty()
    }

    /// Queues a piece of a body.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.len() <= COPY_UP_TO_BYTES {
            self.gathered().extend_from_slice(&piece);
        } else {
            debug_assert!(self.piece.is_empty(), "one large piece at a time");
            self.piece = piece;
        }
    }

    /// Queues a piece of a body as a chunk; an empty piece is nothing, since an empty chunk would end the body.
    pub(crate) fn push_chunk(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        push_hex(self.small(), piece.len());
        self.gathered.extend_from_slice(b"\r\n");
        self.push(piece);
        if self.piece.is_empty() {
            self.gathered.extend_from_slice(b"\r\n");
        } else {
            self.after = b"\r\n";
        }
    }

    /// How many bytes have left in all.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Forgets what is queued: nobody will read it.
    pub(crate) fn clear(&mut self) {
        *self = Self { written_bytes: self.written_bytes, ..Self::default() };
    }

    /// Writes and flushes all of it.
    pub(crate) fn poll_flush<I: AsyncWrite + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let count = ready!(self.poll_write(io, cx))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(count);
        }
        if self.needs_flush {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write<I: AsyncWrite + Unpin>(&mut self, io: &mut I, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.needs_flush = true;
        let gathered = &self.gathered[self.written..];
        let io = Pin::new(io);
        if self.piece.is_empty() && self.after.is_empty() {
            return io.poll_write(cx, gathered);
        }
        if io.is_write_vectored() {
            return io.poll_write_vectored(
                cx,
                &[IoSlice::new(gathered), IoSlice::new(&self.piece), IoSlice::new(self.after)],
            );
        }
        let first = [gathered, &self.piece, self.after].into_iter().find(|part| !part.is_empty());
        io.poll_write(cx, first.unwrap_or_default())
    }

    fn advance(&mut self, mut count: usize) {
        self.written_bytes += count as u64;
        let from_gathered = count.min(self.gathered.len() - self.written);
        self.written += from_gathered;
        count -= from_gathered;
        if self.written == self.gathered.len() {
            // A connection that waits holds no memory.
            give_vec(std::mem::take(&mut self.gathered));
            self.written = 0;
        }
        let from_piece = count.min(self.piece.len());
        self.piece.advance(from_piece);
        if self.piece.is_empty() {
            self.piece = Bytes::new(); // lets go of the block behind it
        }
        self.after = &self.after[count - from_piece..];
    }
}

/// Writes a length in hex, as chunks announce theirs.
fn push_hex(out: &mut Vec<u8>, number: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|at| DIGITS[number >> (4 * at) & 15]));
}

/// Writes a number in decimal without the machinery of formatting.
pub(crate) fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes an address without the machinery of formatting, which costs more than the rest of a forwarded head.
pub(crate) fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            for (index, part) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                push_decimal(out, u64::from(part));
            }
        }
        // Its short form has rules of its own.
        IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}

/// Writes a header line.
pub(crate) fn push_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_format_would() {
        for number in [0, 1, 9, 10, 15, 16, 255, 256, 65_536, usize::MAX] {
            let (mut hex, mut decimal) = (Vec::new(), Vec::new());
            push_hex(&mut hex, number);
            push_decimal(&mut decimal, number as u64);
            assert_eq!(hex, format!("{number:x}").into_bytes());
            assert_eq!(decimal, number.to_string().into_bytes());
        }
    }

    #[test]
    fn addresses_are_written_as_format_would() {
        for address in ["0.0.0.0", "127.0.0.1", "192.168.100.255", "::1", "2001:db8::8:0:1"] {
            let mut written = Vec::new();
            push_address(&mut written, address.parse().expect("an address"));
            assert_eq!(written, address.as_bytes());
        }
        let mut written = Vec::new();
        push_address(&mut written, "::ffff:10.1.2.3".parse().expect("an address"));
        assert_eq!(written, b"10.1.2.3");
    }

    #[tokio::test]
    async fn pieces_leave_in_order_whatever_their_size() {
        for size in [1, 100, COPY_UP_TO_BYTES, COPY_UP_TO_BYTES + 1, 100_000] {
            let mut outgoing = Outgoing::default();
            outgoing.small().extend_from_slice(b"head;");
            outgoing.push_chunk(Bytes::from(vec![b'x'; size]));
            let (mut here, mut there) = tokio::io::duplex(1000);
            let reading = async {
                let mut all = Vec::new();
                tokio::io::AsyncReadExt::read_to_end(&mut there, &mut all).await.expect("reads");
                all
            };
            let writing = async {
                std::future::poll_fn(|cx| outgoing.poll_flush(&mut here, cx)).await.expect("writes");
                drop(here);
            };
            let (all, ()) = tokio::join!(reading, writing);
            assert_eq!(all, format!("head;{size:x}\r\n{}\r\n", "x".repeat(size)).into_bytes());
            assert!(outgoing.is_empty() && outgoing.gathered.capacity() == 0);
        }
    }
}
