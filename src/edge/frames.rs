//! Tells what kinds of frames a client sends, from the bytes as they pass: h2 answers a head that is too large by
//! itself, and whoever serves the connection never hears of it.

/// What every client says first (RFC 9113 §3.4), which is no frame.
const PREFACE_BYTES: usize = 24;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
/// Of either: no more of this head follows.
const END_HEADERS: u8 = 4;

/// Where in its frames a client is.
#[derive(Debug)]
pub(super) struct Frames {
    header: [u8; 9],
    /// How much of `header` has come.
    known: usize,
    /// What is still to come of the preface or of a frame's payload, in bytes.
    left: usize,
    /// The highest stream that a head has opened; another head on it is its trailers.
    highest: u32,
    /// True from the frame that begins a request's head until that head is whole.
    is_in_head: bool,
    /// True if the frame that passes makes it whole.
    ends_head: bool,
    /// Requests' heads that have passed whole.
    heads: usize,
}

impl Frames {
    /// Of a connection that has said nothing yet.
    pub(super) fn new() -> Self {
        Self {
            header: [0; 9],
            known: 0,
            left: PREFACE_BYTES,
            highest: 0,
            is_in_head: false,
            ends_head: false,
            heads: 0,
        }
    }

    /// The heads that have passed since this was last asked.
    pub(super) fn take_heads(&mut self) -> usize {
        std::mem::take(&mut self.heads)
    }

    /// The next bytes that the client has sent, in pieces of any size.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left == 0 {
                let count = bytes.len().min(self.header.len() - self.known);
                self.header[self.known..self.known + count].copy_from_slice(&bytes[..count]);
                bytes = &bytes[count..];
                self.known += count;
                if self.known < self.header.len() {
                    return;
                }
                self.begin();
            }
            let count = bytes.len().min(self.left);
            bytes = &bytes[count..];
            self.left -= count;
            if self.left == 0 && std::mem::take(&mut self.ends_head) {
                self.is_in_head = false;
                self.heads += 1;
            }
        }
    }

    /// A frame whose header is whole.
    fn begin(&mut self) {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = self.header;
        self.known = 0;
        self.left = u32::from_be_bytes([0, l2, l1, l0]) as usize;
        let stream = u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]);
        if kind == HEADERS && stream > self.highest {
            self.highest = stream;
            self.is_in_head = true;
        }
        self.ends_head = self.is_in_head && matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
        frame.extend(vec![kind; length.into()]);
        frame
    }

    #[test]
    fn heads_are_counted_once_they_are_whole_however_the_bytes_arrive() {
        const DATA: u8 = 0;
        const SETTINGS: u8 = 4;
        let said = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, 0),
            frame(HEADERS, END_HEADERS, 1, 40),
            // In two pieces.
            frame(HEADERS, 0, 3, 30),
            frame(CONTINUATION, END_HEADERS, 3, 7),
            frame(DATA, 0, 1, 200),
            // Trailers.
            frame(HEADERS, END_HEADERS, 1, 9),
            frame(SETTINGS, 1, 0, 0),
            frame(HEADERS, END_HEADERS, 5, 1),
        ]
        .concat();
        for step in [1, 2, 9, 10, 64, said.len()] {
            let mut frames = Frames::new();
            said.chunks(step).for_each(|piece| frames.pass(piece));
            assert_eq!(frames.take_heads(), 3, "in pieces of {step}");
            assert_eq!(frames.take_heads(), 0);
        }
        let mut frames = Frames::new();
        frames.pass(&said[..said.len() - 1]);
        assert_eq!(frames.take_heads(), 2, "the last octet of the third head is missing");
    }
}
