//! Secrets that cannot be printed, the randomness they are made of, and the forms in which they are stored.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize;

/// What the names of all our session cookies, and of those that belong to them, begin with.
///
/// Browsers that know `__Host-Http-` (Chromium since 140) take such a cookie from a response of the whole host alone,
/// never from a script: a server's page can neither set one nor push ours out of a full jar and put its own in its
/// place. For others it begins with `__Host-`, as such names did before.
pub const SESSION_COOKIE_STEM: &str = "__Host-Http-slipway-";

/// A text that must not reach a log, an error or a page: `Debug` shows `***`, memory is cleared on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; the name makes each use easy to find.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// True if both are the same; takes as long for a near miss as for a far one.
#[must_use]
pub fn same_secret(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// What the codes of a second factor are made of (RFC 6238), in base32 as NativeAuthenticator stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtpSecret(Secret);

impl OtpSecret {
    /// NativeAuthenticator's have 16 characters; authenticator apps take up to twice a SHA-1 block.
    const CHARACTERS_MAX: usize = 128;

    /// Reads base32, with or without its padding.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches('=');
        let is_base32 = digits.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
        (is_base32 && (1..=Self::CHARACTERS_MAX).contains(&digits.len())).then(|| Self(Secret::new(digits)))
    }

    /// The text itself; the name makes each use easy to find.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// For the store alone.
impl Serialize for OtpSecret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for OtpSecret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Secret::new(String::deserialize(deserializer)?);
        Self::parse(text.expose()).ok_or_else(|| serde::de::Error::custom("a second factor is not in base32"))
    }
}

/// Where randomness comes from: the operating system in the program, a seed in tests.
#[derive(Clone)]
pub struct Random(Arc<Mutex<StdRng>>);

impl Random {
    /// A generator (ChaCha) seeded by the operating system.
    #[must_use]
    pub fn from_system() -> Self {
        Self(Arc::new(Mutex::new(rand::make_rng())))
    }

    /// A generator that always gives the same values: for tests.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// `n` bytes as `2 n` lower-case hex characters.
    #[must_use]
    pub fn hex<const N: usize>(&self) -> String {
        to_hex(&self.bytes::<N>())
    }

    /// `length` characters of `a-zA-Z0-9`, as JupyterHub makes OAuth codes and tokens.
    #[must_use]
    pub fn alphanumeric(&self, length: usize) -> String {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let mut rng = self.0.lock();
        (0..length).map(|_| char::from(LETTERS[rng.next_u32() as usize % LETTERS.len()])).collect()
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

/// What a session is stored and looked up under: the SHA-256 of the cookie's value. Whoever reads the store gets
/// no cookie from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub [u8; 32]);

impl SessionKey {
    /// Length of a cookie's value: 32 bytes in unpadded base64url.
    pub const COOKIE_LENGTH: usize = 43;

    /// A new session: the value for the cookie, and the key that is kept.
    #[must_use]
    pub fn generate(random: &Random) -> (Secret, Self) {
        let value = URL_SAFE_NO_PAD.encode(random.bytes::<32>());
        let key = Self::of_cookie(&value);
        (Secret::new(value), key)
    }

    /// The key for a cookie's value, whatever it is: a forged one finds nothing.
    #[must_use]
    pub fn of_cookie(value: &str) -> Self {
        Self(Sha256::digest(value.as_bytes()).into())
    }
}

/// Names a stored token: JupyterHub shows it as `a17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenId(pub u64);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a{}", self.0)
    }
}

impl std::str::FromStr for TokenId {
    type Err = ();
    /// Reads `a12`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix('a').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).map(Self).ok_or(())
    }
}

/// A token as JupyterHub stores it: the first four characters for the look-up, and
/// `sha512:<rounds>:<salt>:<hex digest>`, the digest being over the salt's text and then the token `rounds` times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredToken {
    /// The token's first four characters.
    pub prefix: String,
    /// `sha512:<rounds>:<16 hex salt>:<128 hex digest>`.
    pub hashed: String,
}

/// JupyterHub's figure for tokens that it did not make itself; about a millisecond.
const CHOSEN_ROUNDS: u32 = 16_384;

impl StoredToken {
    /// Stores `token`. One round is enough: our tokens are random, not chosen by people.
    #[must_use]
    pub fn of(token: &str, random: &Random) -> Self {
        let salt = random.hex::<8>();
        let digest = digest_of(token, &salt, 1);
        Self { prefix: Self::prefix_of(token).to_owned(), hashed: format!("sha512:1:{salt}:{digest}") }
    }

    /// Stores a token that somebody chose. With many rounds, as JupyterHub does, since it may be a poor one.
    #[must_use]
    pub fn of_chosen(token: &str, random: &Random) -> Self {
        let salt = random.hex::<8>();
        let digest = digest_of(token, &salt, CHOSEN_ROUNDS);
        Self { prefix: Self::prefix_of(token).to_owned(), hashed: format!("sha512:{CHOSEN_ROUNDS}:{salt}:{digest}") }
    }

    /// The part of `token` it is looked up by.
    #[must_use]
    pub fn prefix_of(token: &str) -> &str {
        token.char_indices().nth(4).map_or(token, |(end, _)| &token[..end])
    }

    /// True if `token` is the one stored here.
    #[must_use]
    pub fn matches(&self, token: &str) -> bool {
        let mut parts = self.hashed.split(':');
        let (Some("sha512"), Some(rounds), Some(salt), Some(digest)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let Ok(rounds) = rounds.parse::<u32>() else { return false };
        same_secret(&digest_of(token, salt, rounds), digest)
    }
}

fn digest_of(token: &str, salt: &str, rounds: u32) -> String {
    let mut hasher = Sha512::new();
    hasher.update(salt.as_bytes());
    for _ in 0..rounds {
        hasher.update(token.as_bytes());
    }
    to_hex(&hasher.finalize())
}

fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }

    #[test]
    fn a_token_is_stored_in_jupyterhubs_form() {
        // Made with JupyterHub's `hash_token("abcdef", salt=…, rounds=1)` rule: sha512("00ff" * 4 + "abcdef").
        let stored = StoredToken {
            prefix: "abcd".into(),
            hashed: format!("sha512:1:00ff00ff00ff00ff:{}", to_hex(&Sha512::digest(b"00ff00ff00ff00ffabcdef"))),
        };
        assert!(stored.matches("abcdef"));
        assert!(!stored.matches("abcdeg"));
        let ours = StoredToken::of("abcdef", &Random::from_seed(1));
        assert!(ours.matches("abcdef") && ours.prefix == "abcd" && ours.hashed.starts_with("sha512:1:"));
        let chosen = StoredToken::of_chosen("abcdefgh", &Random::from_seed(1));
        assert!(chosen.matches("abcdefgh") && !chosen.matches("abcdefgi"));
        assert!(chosen.hashed.starts_with("sha512:16384:"));
    }

    #[test]
    fn a_session_cookie_has_256_bits() {
        let (cookie, key) = SessionKey::generate(&Random::from_seed(7));
        assert_eq!(cookie.expose().len(), SessionKey::COOKIE_LENGTH);
        assert_eq!(SessionKey::of_cookie(cookie.expose()), key);
    }
}
