//! Where a body ends: by length, by chunks, or with the connection. Nothing is repaired.

use bytes::Bytes;

use crate::net::buffer::ReadBuffer;

/// A line that announces a chunk, extension included. 256: nobody uses extensions, the longest seen is 80.
const CHUNK_LINE_BYTES: usize = 256;
/// Digits of a chunk's size: 15 fit into 60 bits.
const CHUNK_DIGITS: usize = 15;
/// All trailers of one body. They are dropped, so what matters is only that they end.
const TRAILER_BYTES: usize = 8 * 1024;

/// Reads one body out of the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoder {
    /// So many bytes follow.
    Length(u64),
    /// Chunks follow.
    Chunked(Chunk),
    /// Everything up to the end of the stream.
    UntilClose,
}

/// Where in a chunked body we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Before a chunk's size.
    Size,
    /// In a chunk's data.
    Data { left: u64 },
    /// Before the line end that closes a chunk.
    DataEnd,
    /// In the trailers, after so many bytes of them.
    Trailer { seen: usize },
    /// After the last byte.
    End,
}

/// What came out of one step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A piece of the body.
    Data(Bytes),
    /// The buffer holds too little.
    More,
    /// The body is complete.
    End,
}

impl Decoder {
    /// A decoder of chunks.
    pub(crate) const CHUNKED: Self = Self::Chunked(Chunk::Size);

    /// True if nothing more belongs to the body.
    pub(crate) fn is_at_end(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::End))
    }

    /// True if the stream may end here without the body being cut short.
    pub(crate) fn may_close(self) -> bool {
        self.is_at_end() || self == Self::UntilClose
    }

    /// The next piece of the body out of `buffer`.
    ///
    /// # Errors
    /// What is wrong with the chunks.
    pub(crate) fn step(&mut self, buffer: &mut ReadBuffer) -> Result<Step, &'static str> {
        match self {
            Self::Length(0) => Ok(Step::End),
            Self::Length(left) => Ok(take_up_to(left, buffer).map_or(Step::More, Step::Data)),
            Self::UntilClose if buffer.is_empty() => Ok(Step::More),
            Self::UntilClose => Ok(Step::Data(buffer.take(buffer.filled().len()))),
            Self::Chunked(chunk) => chunk.step(buffer),
        }
    }
}

fn take_up_to(left: &mut u64, buffer: &mut ReadBuffer) -> Option<Bytes> {
    let count = buffer.filled().len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    if count == 0 {
        return None;
    }
    *left -= count as u64;
    Some(buffer.take(count))
}

impl Chunk {
    fn step(&mut self, buffer: &mut ReadBuffer) -> Result<Step, &'static str> {
        loop {
            match self {
                Self::Size => {
                    let Some(line) = line(buffer.filled(), CHUNK_LINE_BYTES)? else { return Ok(Step::More) };
                    let size = chunk_size(line)?;
                    buffer.consume(line.len() + 2);
                    *self = if size == 0 { Self::Trailer { seen: 0 } } else { Self::Data { left: size } };
                }
                Self::Data { left } => {
                    let Some(piece) = take_up_to(left, buffer) else { return Ok(Step::More) };
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    return Ok(Step::Data(piece));
                }
                Self::DataEnd => match buffer.filled() {
                    [b'\r', b'\n', ..] => {
                        buffer.consume(2);
                        *self = Self::Size;
                    }
                    [] | [b'\r'] => return Ok(Step::More),
                    _ => return Err("a chunk is longer than its size"),
                },
                Self::Trailer { seen } => {
                    let Some(line) = line(buffer.filled(), TRAILER_BYTES - *seen)? else { return Ok(Step::More) };
                    let count = line.len() + 2;
                    if line.is_empty() {
                        *self = Self::End;
                    } else {
                        check_trailer(line)?;
                        *seen += count;
                    }
                    buffer.consume(count);
                }
                Self::End => return Ok(Step::End),
            }
        }
    }
}

/// The first line without its CRLF; none if it is not whole yet.
fn line(bytes: &[u8], limit: usize) -> Result<Option<&[u8]>, &'static str> {
    let window = &bytes[..bytes.len().min(limit)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() >= limit { Err("a line among the chunks is too long") } else { Ok(None) };
    };
    match window[..end].split_last() {
        Some((b'\r', line)) if !line.contains(&b'\r') => Ok(Some(line)),
        _ => Err("a line among the chunks ends without CRLF"),
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, &'static str> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits == 0 || digits > CHUNK_DIGITS {
        return Err("a chunk's size is not a number");
    }
    let extension = &line[digits..];
    if !extension.is_empty() && (extension[0] != b';' || !extension.iter().all(|byte| is_field_byte(*byte))) {
        return Err("a chunk's size is followed by something else than an extension");
    }
    Ok(line[..digits].iter().fold(0, |size, digit| size << 4 | u64::from(hex(*digit))))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Fields that would change what was already decided: RFC 9110 §6.5.1 forbids them in trailers.
const NEVER_IN_TRAILERS: [&str; 14] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "host",
    "proxy-authorization",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
];

fn check_trailer(line: &[u8]) -> Result<(), &'static str> {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Err("a trailer has no colon") };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if http::HeaderName::from_bytes(name).is_err() || !value.iter().all(|byte| is_field_byte(*byte)) {
        return Err("a trailer is malformed");
    }
    if NEVER_IN_TRAILERS.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes())) {
        return Err("a trailer carries a field that is forbidden there");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
