//! Follows where WebSocket frames begin and end (RFC 6455 §5.2), without looking at what they carry.
//!
//! A frame of our own may only stand between two frames: that is all that a tunnel itself has to know. Whoever wants to
//! know what they carry listens (`messages`). 16 bytes of state a direction, no buffer, no copy.

const CLOSE_CODE: u8 = 8;

/// Hears what passes, in order and however it is cut.
pub(super) trait Listener {
    /// A frame begins; its first byte says what it is.
    fn begin(&mut self, first: u8);
    /// The next byte of its mask.
    fn mask(&mut self, byte: u8);
    /// The next bytes of its payload, still masked.
    fn payload(&mut self, bytes: &[u8]);
    /// It has ended.
    fn end(&mut self);
}

/// Nobody listens.
impl Listener for () {
    fn begin(&mut self, _: u8) {}
    fn mask(&mut self, _: u8) {}
    fn payload(&mut self, _: &[u8]) {}
    fn end(&mut self) {}
}

/// Where one direction of a WebSocket stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frames {
    /// What is left of the payload; while its length is being read, the length so far.
    payload: u64,
    next: Next,
    is_closed: bool,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// A frame's first: its kind.
    #[default]
    Kind,
    /// Its second: whether it is masked, and a short length or how long the length is.
    ShortLength,
    /// One of `left` bytes of a long length.
    Length {
        left: u8,
        is_masked: bool,
    },
    /// One of `left` bytes of the mask.
    Mask {
        left: u8,
    },
    Payload,
    /// Nobody knows: a length of 2^63 and more, which is no frame.
    Lost,
}

impl Frames {
    /// Takes note of `bytes`, the next ones of this direction.
    pub(super) fn follow(&mut self, mut bytes: &[u8], listener: &mut impl Listener) {
        while let Some((&byte, rest)) = bytes.split_first() {
            let mut used = 1;
            match self.next {
                Next::Lost => return,
                Next::Kind => {
                    self.is_closed |= byte & 0x0f == CLOSE_CODE;
                    self.next = Next::ShortLength;
                    listener.begin(byte);
                }
                Next::ShortLength => self.begin_length(byte, listener),
                Next::Length { left, is_masked } => {
                    self.payload = self.payload << 8 | u64::from(byte);
                    match left {
                        1 => self.end_length(is_masked, listener),
                        _ => self.next = Next::Length { left: left - 1, is_masked },
                    }
                }
                Next::Mask { left } => {
                    listener.mask(byte);
                    match left {
                        1 => self.begin_payload(listener),
                        _ => self.next = Next::Mask { left: left - 1 },
                    }
                }
                Next::Payload => {
                    used = usize::try_from(self.payload).map_or(bytes.len(), |payload| payload.min(bytes.len()));
                    listener.payload(&bytes[..used]);
                    self.payload -= used as u64;
                    if self.payload == 0 {
                        self.next = Next::Kind;
                        listener.end();
                    }
                }
            }
            bytes = if used == 1 { rest } else { &bytes[used..] };
        }
    }

    /// True if a close frame can come next: between two frames, and none has been before.
    pub(super) fn may_close(&self) -> bool {
        self.next == Next::Kind && !self.is_closed
    }

    /// True once a close frame has begun.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn begin_length(&mut self, byte: u8, listener: &mut impl Listener) {
        let is_masked = byte & 0x80 != 0;
        self.payload = 0;
        match byte & 0x7f {
            126 => self.next = Next::Length { left: 2, is_masked },
            127 => self.next = Next::Length { left: 8, is_masked },
            short => {
                self.payload = u64::from(short);
                self.end_length(is_masked, listener);
            }
        }
    }

    fn end_length(&mut self, is_masked: bool, listener: &mut impl Listener) {
        if self.payload >> 63 != 0 {
            self.next = Next::Lost;
        } else if is_masked {
            self.next = Next::Mask { left: 4 };
        } else {
            self.begin_payload(listener);
        }
    }

    fn begin_payload(&mut self, listener: &mut impl Listener) {
        if self.payload > 0 {
            self.next = Next::Payload;
        } else {
            self.next = Next::Kind;
            listener.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame of `kind` with `length` bytes of payload, its length written in the shortest way.
    fn frame(kind: u8, length: usize, is_masked: bool) -> Vec<u8> {
        let mask_bit = if is_masked { 0x80 } else { 0 };
        let mut frame = vec![kind];
        match length {
            0..126 => frame.push(mask_bit | u8::try_from(length).expect("short")),
            126..=0xffff => {
                frame.push(mask_bit | 126);
                frame.extend_from_slice(&u16::try_from(length).expect("two bytes").to_be_bytes());
            }
            _ => {
                frame.push(mask_bit | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        if is_masked {
            frame.extend_from_slice(&[0x88; 4]);
        }
        // Payload that looks like close frames.
        frame.resize(frame.len() + length, 0x88);
        frame
    }

    #[test]
    fn it_holds_no_more_than_sixteen_bytes() {
        assert_eq!(size_of::<Frames>(), 16);
    }

    #[test]
    fn nothing_comes_behind_a_close_frame_or_inside_a_frame() {
        let mut frames = Frames::default();
        assert!(frames.may_close());
        let text = frame(0x81, 70_000, true);
        frames.follow(&text[..40_000], &mut ());
        assert!(!frames.may_close());
        frames.follow(&text[40_000..], &mut ());
        assert!(frames.may_close());
        frames.follow(&frame(0x88, 2, false), &mut ());
        assert!(!frames.may_close());
    }

    #[test]
    fn a_length_that_cannot_be_is_never_followed_again() {
        let mut frames = Frames::default();
        frames.follow(&[0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0], &mut ());
        frames.follow(&frame(0x81, 3, false), &mut ());
        assert!(!frames.may_close());
    }

    proptest! {
        #[test]
        fn a_boundary_is_known_however_the_bytes_are_cut(
            frames in prop::collection::vec((0x80_u8..0x83, 0..70_000_usize, any::<bool>()), 1..6),
            cut in 1..5000_usize,
        ) {
            let mut followed = Frames::default();
            for (kind, length, is_masked) in frames {
                let bytes = frame(kind, length, is_masked);
                let (last, before) = bytes.split_last().expect("a frame");
                for piece in before.chunks(cut) {
                    followed.follow(piece, &mut ());
                    prop_assert!(!followed.may_close());
                }
                followed.follow(&[*last], &mut ());
                prop_assert!(followed.may_close());
            }
        }
    }
}
