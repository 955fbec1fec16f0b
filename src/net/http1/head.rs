//! What the heads of requests and responses have in common, and the checks that httparse leaves out.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use httparse::Header;

/// Header lines that fit into a parse, whatever limit is configured.
pub(crate) const HEADER_STORAGE: usize = 128;

/// Room for the header lines of one parse. It is left as it is found: to clear it is 4 KiB of writing for each head.
pub(crate) const fn storage<'b>() -> [MaybeUninit<Header<'b>>; HEADER_STORAGE] {
    [const { MaybeUninit::uninit() }; HEADER_STORAGE]
}

/// Bytes up to and with the empty line that ends a head; looks at `bytes[from..]` and what may reach into it. A head
/// whose lines end in bare LF is found too: it shall be refused, not waited for.
pub(crate) fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let begin = from.saturating_sub(3);
    let mut last_line_end = None;
    for (at, _) in bytes[begin..].iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        let at = begin + at;
        let is_empty_line = |end: usize| at == end + 1 || (at == end + 2 && bytes[end + 1] == b'\r');
        if last_line_end.is_some_and(is_empty_line) {
            return Some(at + 1);
        }
        last_line_end = Some(at);
    }
    None
}

/// True if every line of a head that httparse accepted ends in CRLF. It refuses a CR without LF, but not an LF
/// without CR.
pub(crate) fn all_lines_end_in_crlf(head: &[u8]) -> bool {
    // Every pair is looked at, without leaving early: so the compiler compares sixteen at a time.
    let pairs = head.iter().zip(head.get(1..).unwrap_or_default());
    let bare = pairs.fold(false, |bare, (before, byte)| bare | ((*byte == b'\n') & (*before != b'\r')));
    !bare && head.first() != Some(&b'\n')
}

/// A length as digits and nothing else: no sign, no list, no leading zero.
pub(crate) fn content_length(value: &[u8]) -> Option<u64> {
    let is_plain = matches!(value, [b'0'] | [b'1'..=b'9', ..]) && value.len() <= 19;
    if !is_plain || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// What stands between the separators, empty parts included: `split` by sixteen bytes at a time.
pub(crate) fn parts(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let value = rest?;
        let end = memchr::memchr(separator, value);
        rest = end.map(|end| &value[end + 1..]);
        Some(&value[..end.unwrap_or(value.len())])
    })
}

/// The names in a comma-separated list.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// True if `token` is in the comma-separated list, in any case.
pub(crate) fn list_has(value: &[u8], token: &str) -> bool {
    list(value).any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
}

/// Adds a header whose value stays where it is: a slice of `head`, which is a copy of `parsed`.
pub(crate) fn append(
    headers: &mut HeaderMap,
    name: HeaderName,
    value: &[u8],
    parsed: &[u8],
    head: &Bytes,
) -> Result<(), &'static str> {
    // The distance between the two is where the value stands; both come from the same buffer.
    let start = (value.as_ptr() as usize).wrapping_sub(parsed.as_ptr() as usize);
    let value = match start.checked_add(value.len()) {
        Some(end) if end <= head.len() && !value.is_empty() => HeaderValue::from_maybe_shared(head.slice(start..end)),
        _ => HeaderValue::from_bytes(value),
    };
    let value = value.map_err(|_| "a header's value has bytes that are not allowed")?;
    headers.try_append(name, value).map_err(|_| "too many headers")?;
    Ok(())
}

/// The name of a parsed header.
pub(crate) fn name_of(header: &Header<'_>) -> Result<HeaderName, &'static str> {
    HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| "a header's name is not a token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_and_nothing_else() {
        assert_eq!(content_length(b"0"), Some(0));
        assert_eq!(content_length(b"9223372036854775807"), Some(9_223_372_036_854_775_807));
        for wrong in ["", "+5", "-1", "06", "00", "5,5", "5 5", "0x5", "5.0", "99999999999999999999", "\u{0665}"] {
            assert_eq!(content_length(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn parts_are_what_split_gives() {
        for value in ["", ";", "a", "a;b", ";a;;b;", "0123456789abcdef0123456789;abcdef"] {
            let expected: Vec<_> = value.split(';').map(str::as_bytes).collect();
            assert_eq!(parts(value.as_bytes(), b';').collect::<Vec<_>>(), expected, "{value}");
        }
    }

    #[test]
    fn a_line_end_of_one_byte_is_refused_wherever_it_stands() {
        let head = b"GET /x HTTP/1.1\r\nHost: a\r\nB: c d\r\n\r\n";
        let is_accepted = |head: &[u8]| {
            let (mut storage, mut request) = (storage(), httparse::Request::new(&mut []));
            match request.parse_with_uninit_headers(head, &mut storage) {
                Ok(httparse::Status::Complete(count)) => all_lines_end_in_crlf(&head[..count]),
                _ => false,
            }
        };
        assert!(is_accepted(head));
        // What follows the last byte belongs to the next request.
        for at in 0..head.len() - 1 {
            for wrong in [&b"\r"[..], b"\n", b"\r\r", b"\n\n"] {
                let inserted = [&head[..at], wrong, &head[at..]].concat();
                assert!(!is_accepted(&inserted), "{:?}", String::from_utf8_lossy(&inserted));
                let replaced = [&head[..at], wrong, &head[at + 1..]].concat();
                assert!(replaced == head || !is_accepted(&replaced), "{:?}", String::from_utf8_lossy(&replaced));
            }
        }
    }

    #[test]
    fn the_end_of_a_head_is_found_wherever_a_read_cut_it() {
        for head in ["GET / HTTP/1.1\r\nA: b\r\n\r\nrest", "GET / HTTP/1.1\nA: b\n\nrest", "G\r\n\nrest", "G\n\r\nrest"]
        {
            let end = head.len() - 4;
            for cut in 0..=end {
                let early = end_of_head(&head.as_bytes()[..cut], 0);
                assert_eq!(early, (cut == end).then_some(end), "{head:?} cut at {cut}");
                if cut < end {
                    assert_eq!(end_of_head(head.as_bytes(), cut), Some(end), "{head:?} continued at {cut}");
                }
            }
        }
    }
}
