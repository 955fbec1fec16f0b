//! Chunked bodies, right and wrong, in one piece and in many.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;

/// Decodes `bytes`, which arrive in pieces of `step` bytes. Returns the body and what was left behind it.
fn decode(mut decoder: Decoder, bytes: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    let mut buffer = ReadBuffer::default();
    let mut body = Vec::new();
    let mut pieces = bytes.chunks(step.max(1));
    let mut piece: &[u8] = &[];
    loop {
        match decoder.step(&mut buffer)? {
            Step::Data(piece) => {
                assert!(!piece.is_empty());
                body.extend_from_slice(&piece);
            }
            Step::End => break,
            Step::More => {
                if piece.is_empty() {
                    piece = pieces.next().ok_or("cut short")?;
                }
                let mut context = Context::from_waker(Waker::noop());
                let filled = buffer.poll_fill(&mut Reading(&mut piece), &mut context);
                assert!(matches!(filled, Poll::Ready(Ok(1..))));
            }
        }
    }
    let mut rest = [buffer.filled(), piece].concat();
    rest.extend(pieces.flatten());
    Ok((body, rest))
}

struct Reading<'a, 'b>(&'a mut &'b [u8]);

impl tokio::io::AsyncRead for Reading<'_, '_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_read(cx, buffer)
    }
}

#[test]
fn chunks_are_joined_and_what_follows_is_left() {
    let wire = b"5\r\nhello\r\n06;name=\"value\"\r\n world\r\n0\r\nX-Checksum: 1\r\n\r\nGET / HTTP/1.1";
    for step in 1..wire.len() + 1 {
        let (body, rest) = decode(Decoder::CHUNKED, wire, step).expect("well-formed");
        assert_eq!(body, b"hello world");
        assert_eq!(rest, b"GET / HTTP/1.1");
    }
}

#[test]
fn malformed_chunks_are_refused() {
    for wire in [
        "\r\n",
        "x\r\n",
        "-5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\nhello\r\n",
        "5\r\nhello\n",
        "5\r\nhelloX\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "10000000000000000\r\n",
        "5,5\r\nhello\r\n",
        ";a\r\n",
        "0\r\n: x\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\ntransfer-encoding: chunked\r\n\r\n",
        "0\r\nHost: b\r\n\r\n",
        "0\r\nCookie: a=b\r\n\r\n",
        "0\r\nX: a\0\r\n\r\n",
    ] {
        for step in [1, 2, 1000] {
            let error = decode(Decoder::CHUNKED, wire.as_bytes(), step).expect_err(wire);
            assert_ne!(error, "cut short", "{wire:?}");
        }
    }
    let long_extension = format!("5;{}\r\nhello\r\n", "a".repeat(300));
    let endless_trailers = format!("0\r\n{}\r\n", "X: a\r\n".repeat(2000));
    for wire in [long_extension, endless_trailers] {
        assert!(decode(Decoder::CHUNKED, wire.as_bytes(), 100).expect_err("too long").contains("too long"));
    }
}

#[test]
fn a_length_is_kept_to_the_byte() {
    for step in 1..8 {
        assert_eq!(decode(Decoder::Length(5), b"helloGET", step), Ok((b"hello".to_vec(), b"GET".to_vec())));
    }
    assert_eq!(decode(Decoder::Length(6), b"hello", 2), Err("cut short"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1_usize..50) {
        let _ = decode(Decoder::CHUNKED, &bytes, step);
    }

    /// Our own chunks, read back, are what was written, whatever the sizes of pieces and reads.
    #[test]
    fn what_we_chunk_we_can_read(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20_000), 0..5),
        step in 1_usize..70_000,
    ) {
        let mut outgoing = crate::net::http1::outgoing::Outgoing::default();
        let mut wire = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        for piece in &pieces {
            outgoing.push_chunk(Bytes::copy_from_slice(piece));
            prop_assert!(outgoing.poll_flush(&mut wire, &mut context).is_ready());
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        prop_assert_eq!(decode(Decoder::CHUNKED, &wire, step), Ok((pieces.concat(), Vec::new())));
    }
}

#[test]
fn fuzzed_bodies_are_the_same_however_they_arrive() {
    let words =
        ["\r\n", "0\r\n\r\n", "0\r\n", "5\r\nhello\r\n", ";name=\"value\"", "ffffffffffffffff", "X: y\r\n", "0x", "+5"];
    crate::fuzz::fuzz!("body_framing", &words, |bytes| {
        let whole = decode(Decoder::CHUNKED, bytes, bytes.len());
        for step in [1, 2, 7] {
            assert_eq!(decode(Decoder::CHUNKED, bytes, step), whole, "in pieces of {step}");
        }
        match &whole {
            Ok((body, rest)) => crate::fuzz::outcome((body.len().min(32), rest.is_empty())),
            Err(what) => crate::fuzz::outcome(what),
        }
    });
}
