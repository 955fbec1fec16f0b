//! Buffers for reading and writing: large, pooled per thread, and held only while there are bytes in them.
//!
//! A connection that waits holds nothing: a block is taken for the read and given back if the read finds nothing.
//! All blocks have one size: a pool that mixes sizes once doubled the CPU a request (`reference/performance.md`).

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};

/// How much one read takes in at most: what in four TLS records is still one piece of work for the system, which cuts
/// at 65,483 bytes on loopback. With 64 KiB a second segment of 141 bytes followed each, and 100 MiB down took 1.14 times
/// the CPU.
pub(crate) const READ_BYTES: usize = 64 * 1024 - 4 * 36;
/// Reads land at an odd distance from the page's start: glibc's `memmove` (`rep movsb`) is several times slower for a
/// page-aligned source on some processors (116 against 90 µs a 100 KiB body).
const OFFSET_BYTES: usize = 2048 + 64;
/// Blocks kept per thread: 32 are 2 MiB, enough for what is read at one moment.
const POOLED_BLOCKS: usize = 32;
/// Shorter pieces are copied out, so that a slow reader of a few bytes does not hold 64 KiB.
const COPY_BELOW_BYTES: usize = 8 * 1024;

thread_local! {
    static POOL: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
    static HEADS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// What a head and a short body mostly fit into.
const HEAD_BYTES: usize = 4 * 1024;

/// An empty vector with room for a head and a short body.
pub(crate) fn take_vec() -> Vec<u8> {
    let pooled = HEADS.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
    pooled.unwrap_or_else(|| Vec::with_capacity(HEAD_BYTES))
}

/// Gives a vector back that has been written out.
pub(crate) fn give_vec(mut vec: Vec<u8>) {
    let _ = HEADS.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < POOLED_BLOCKS && (HEAD_BYTES..=READ_BYTES).contains(&vec.capacity()) {
            vec.clear();
            pool.push(vec);
        }
    });
}

type Block = Box<[u8]>;

fn take_block() -> Block {
    // `try_with`: buffers may outlive the thread's locals when a runtime shuts down.
    let pooled = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
    pooled.unwrap_or_else(|| vec![0; OFFSET_BYTES + READ_BYTES].into_boxed_slice())
}

fn give_block(block: Block) {
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < POOLED_BLOCKS {
            pool.push(block);
        }
    });
}

/// A block that is shared as `Bytes` and goes back to the pool with its last reader.
struct Shared {
    block: Block,
    start: usize,
    end: usize,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        give_block(std::mem::take(&mut self.block));
    }
}

#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    /// A pooled block with bytes in `start..end`.
    Block { block: Block, start: usize, end: usize },
    /// What is left of a block that others read too, or a few bytes copied out of one.
    Bytes(Bytes),
}

/// Bytes that were read and not yet used. Empty, it holds no memory.
#[derive(Default)]
pub(crate) struct ReadBuffer {
    held: Held,
}

impl ReadBuffer {
    /// The bytes not yet used.
    pub(crate) fn filled(&self) -> &[u8] {
        match &self.held {
            Held::Nothing => &[],
            Held::Block { block, start, end } => &block[*start..*end],
            Held::Bytes(bytes) => bytes,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled().is_empty()
    }

    /// Reads once, behind what is there. Ready with 0 at the end of the stream. Holding `READ_BYTES` unused bytes
    /// already is an error: whoever parses must have a lower limit.
    pub(crate) fn poll_fill<I: AsyncRead + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let (mut block, start, end) = match std::mem::take(&mut self.held) {
            Held::Nothing => (take_block(), OFFSET_BYTES, OFFSET_BYTES),
            // Keep some room: a read of a few bytes at the block's end costs as much as a large one.
            Held::Block { block, start, end } if block.len() - end >= READ_BYTES / 2 || start == OFFSET_BYTES => {
                (block, start, end)
            }
            Held::Block { mut block, start, end } => {
                block.copy_within(start..end, OFFSET_BYTES);
                (block, OFFSET_BYTES, OFFSET_BYTES + end - start)
            }
            Held::Bytes(bytes) => {
                let mut block = take_block();
                block[OFFSET_BYTES..OFFSET_BYTES + bytes.len()].copy_from_slice(&bytes);
                (block, OFFSET_BYTES, OFFSET_BYTES + bytes.len())
            }
        };
        if end == block.len() {
            self.held = Held::Block { block, start, end };
            return Poll::Ready(Err(io::Error::other("the read buffer is full")));
        }
        let mut target = ReadBuf::new(&mut block[end..]);
        let polled = Pin::new(io).poll_read(cx, &mut target);
        let count = target.filled().len();
        self.hold(block, start, end + count);
        if polled.is_pending() {
            self.shrink();
        }
        ready!(polled)?;
        Poll::Ready(Ok(count))
    }

    /// The first `count` bytes, as their own piece of memory if they are few.
    pub(crate) fn take(&mut self, count: usize) -> Bytes {
        if count < COPY_BELOW_BYTES && !matches!(self.held, Held::Bytes(_)) {
            let piece = Bytes::copy_from_slice(&self.filled()[..count]);
            self.consume(count);
            return piece;
        }
        let mut shared = match std::mem::take(&mut self.held) {
            Held::Nothing => Bytes::new(),
            Held::Block { block, start, end } => Bytes::from_owner(Shared { block, start, end }),
            Held::Bytes(bytes) => bytes,
        };
        let piece = shared.split_to(count);
        if !shared.is_empty() {
            self.held = Held::Bytes(shared);
        }
        piece
    }

    /// Forgets the first `count` bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        match std::mem::take(&mut self.held) {
            Held::Nothing => debug_assert_eq!(count, 0),
            Held::Block { block, start, end } => self.hold(block, start + count, end),
            Held::Bytes(mut bytes) => {
                bytes::Buf::advance(&mut bytes, count);
                if !bytes.is_empty() {
                    self.held = Held::Bytes(bytes);
                }
            }
        }
    }

    fn hold(&mut self, block: Block, start: usize, end: usize) {
        if start == end {
            give_block(block);
        } else {
            self.held = Held::Block { block, start, end };
        }
    }

    /// Before a wait: a few bytes move to memory of their size, the block goes back.
    pub(crate) fn shrink(&mut self) {
        let filled = self.filled();
        if matches!(self.held, Held::Block { .. }) && filled.len() < COPY_BELOW_BYTES {
            let few = Bytes::copy_from_slice(filled);
            if let Held::Block { block, .. } = std::mem::replace(&mut self.held, Held::Bytes(few)) {
                give_block(block);
            }
        }
    }
}

impl std::fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReadBuffer({} bytes)", self.filled().len())
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if let Held::Block { block, .. } = std::mem::take(&mut self.held) {
            give_block(block);
        }
    }
}
