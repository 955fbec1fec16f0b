//! `X-Request-Id`: one name for a request in our logs, in those of whoever is in front of us, and in the upstream's.
//!
//! One that comes in is kept if it is of a form that no log and no header can be hurt by; else there is a new one of
//! 128 random bits. It is random for no secret's sake: nobody shall meet the same twice.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header, in and out.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Hex digits of an id of ours.
const ID_LENGTH: usize = 32;
/// An id of somebody else's may be a little longer: a UUID has 36, an id of AWS' balancers 35 and a few more.
const FOREIGN_LENGTH_LIMIT: usize = 64;
/// Ids that one allocation holds: a WebSocket that lives for a day keeps half a kilobyte of it.
const IDS_AT_ONCE: usize = 16;

/// The id of this request, which stands in `headers` from now on, once.
pub(super) fn settle(headers: &mut HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(X_REQUEST_ID).into_iter();
    if let (Some(id), None) = (given.next(), given.next())
        && is_harmless(id.as_bytes())
    {
        return id.clone();
    }
    let id = fresh();
    headers.insert(X_REQUEST_ID, id.clone());
    id
}

/// Letters, digits and `-_.:=+/@`, and not too many: what ids are made of elsewhere (UUIDs, base64, AWS' `Root=1-…`).
fn is_harmless(id: &[u8]) -> bool {
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(byte);
    (1..=FOREIGN_LENGTH_LIMIT).contains(&id.len()) && id.iter().all(is_usual)
}

/// A new id.
fn fresh() -> HeaderValue {
    SUPPLY.with_borrow_mut(|supply| {
        if supply.ready.is_empty() {
            supply.refill();
        }
        let id = supply.ready.split_to(ID_LENGTH);
        HeaderValue::from_maybe_shared(id).expect("hex digits make a header value")
    })
}

/// A random number, no secret.
pub(super) fn random() -> u64 {
    SUPPLY.with_borrow_mut(|supply| split_mix(&mut supply.state[0]))
}

thread_local! {
    static SUPPLY: RefCell<Supply> = RefCell::new(Supply::new());
}

/// Ids of one thread, made a few at a time: slices of one allocation.
struct Supply {
    ready: Bytes,
    /// Two generators that start anywhere: together 128 bits.
    state: [u64; 2],
}

impl Supply {
    fn new() -> Self {
        // Each `RandomState` brings keys of its own, which the system's randomness has made.
        Self { ready: Bytes::new(), state: [RandomState::new().hash_one(1), RandomState::new().hash_one(2)] }
    }

    fn refill(&mut self) {
        let mut text = Vec::with_capacity(IDS_AT_ONCE * ID_LENGTH);
        for _ in 0..IDS_AT_ONCE {
            for state in &mut self.state {
                push_hex(&mut text, split_mix(state));
            }
        }
        self.ready = text.into();
    }
}

/// The next number of SplitMix64 (Steele, Lea, Flood 2014): each 64-bit number once in a period of 2^64.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn push_hex(text: &mut Vec<u8>, number: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in number.to_be_bytes() {
        text.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_harmless_id_is_kept_and_any_other_replaced() {
        let settled = |lines: &[&'static [u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(X_REQUEST_ID, HeaderValue::from_bytes(line).expect("a value"));
            }
            let id = settle(&mut headers);
            assert_eq!(headers.get_all(X_REQUEST_ID).into_iter().collect::<Vec<_>>(), [&id], "one, and the same");
            id.to_str().expect("text").to_owned()
        };
        for kept in ["a", "2f1e9d0c-6a41-4f0e-9a3b-1b2c3d4e5f60", "Root=1-67891233-abcdef012345678912345678"] {
            assert_eq!(settled(&[kept.as_bytes()]), kept);
        }
        for replaced in [&b""[..], b"a b", b"a\"b", b"<b>", b"a\xc3\xa9", b"a;b", b"a,b", &[b'a'; 65]] {
            let id = settled(&[replaced]);
            assert!(id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        }
        assert_ne!(settled(&[b"a", b"b"]), "a", "which of two would the upstream read?");
        assert_ne!(settled(&[]), settled(&[]));
    }

    #[test]
    fn ids_of_many_threads_are_all_different() {
        let threads: Vec<_> =
            (0..8).map(|_| std::thread::spawn(|| (0..10_000).map(|_| fresh()).collect::<Vec<HeaderValue>>())).collect();
        let mut seen = HashSet::new();
        for thread in threads {
            for id in thread.join().expect("ids") {
                assert!(seen.insert(id));
            }
        }
    }
}
