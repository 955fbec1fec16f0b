//! Header lines of an answer that are ready for the wire: what a server said and nobody after the proxy looks at.
//!
//! They go along in the response's extensions, so that everybody in between sees an ordinary `Response` and may add
//! headers to it. A `HeaderMap` of the same lines costs a hash, a slice and a check for each, all for nothing.

use super::outgoing::push_header;
use crate::net::buffer::{give_vec, take_vec};

/// Lines as they are written, each with its CRLF; none of them is about framing or the connection.
#[derive(Clone, Debug)]
pub(crate) struct ReadyLines {
    text: Vec<u8>,
    has_date: bool,
}

impl ReadyLines {
    /// No lines yet.
    pub(crate) fn new() -> Self {
        Self { text: take_vec(), has_date: false }
    }

    /// One more line. Name and value come from a head that was parsed: they are a token, and free of control bytes.
    pub(crate) fn push(&mut self, name: &str, value: &[u8]) {
        let start = self.text.len();
        push_header(&mut self.text, name, value);
        // In lower case, as a `HeaderMap` would write it: an answer reads the same whichever way it took.
        let name = &mut self.text[start..start + name.len()];
        name.make_ascii_lowercase();
        self.has_date |= name == b"date";
    }

    /// All lines.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// True if one of them is `Date`.
    pub(super) fn has_date(&self) -> bool {
        self.has_date
    }
}

impl Drop for ReadyLines {
    fn drop(&mut self) {
        give_vec(std::mem::take(&mut self.text));
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method};

    use crate::net::http1::head::storage;
    use crate::net::http1::response::parse_response;

    /// Lines are not checked again on their way out, so the parser must be as strict as `http`'s types.
    #[test]
    fn a_parsed_line_has_no_byte_that_a_header_may_not_have() {
        for byte in 0..=u8::MAX {
            let accepts = |line: &[&[u8]]| {
                let head = [&b"HTTP/1.1 200 OK\r\n"[..], &line.concat(), b"\r\n\r\n"].concat();
                let mut storage = storage();
                matches!(parse_response(&head, &mut storage, &Method::GET), Ok(Some(raw)) if raw.headers.len() == 1)
            };
            let is_name_byte = HeaderName::from_bytes(&[b'a', byte]).is_ok();
            assert_eq!(accepts(&[b"a", &[byte], b": x"]), is_name_byte || byte == b':', "{byte} in a name");
            let is_value_byte = HeaderValue::from_bytes(&[b'a', byte, b'a']).is_ok();
            assert_eq!(accepts(&[b"a: a", &[byte], b"a"]), is_value_byte, "{byte} in a value");
        }
    }
}
