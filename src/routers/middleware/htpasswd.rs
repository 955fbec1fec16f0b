//! Lines of an htpasswd file: bcrypt, MD5 (`$apr1$`, `$1$`) and SHA-1, as Traefik takes them.
//!
//! The last two are weak, and people have them. A check costs what it costs: call it off the data plane's threads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha1::Sha1;

use crate::model::{Secret, same_secret};

/// A bcrypt hash of this cost takes a second and more: nobody signs in with that, but one label would fill our processors.
const BCRYPT_COST_LIMIT: u32 = 14;
/// Longest password: what nobody types any more.
pub(super) const PASSWORD_LIMIT_BYTES: usize = 1024;

/// Somebody's password as it is kept.
#[derive(Clone)]
pub(super) struct PasswordHash(Kind);

#[derive(Clone)]
enum Kind {
    Bcrypt(Secret),
    /// `apr1` or `1`, the salt, and the hash in its own base64.
    Md5 {
        magic: &'static str,
        salt: String,
        hash: Secret,
    },
    /// The hash in base64.
    Sha1(Secret),
}

impl PasswordHash {
    /// Reads what stands behind the colon.
    ///
    /// # Errors
    /// We do not know the kind, or would have to compute for too long; the text holds nothing of the hash.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(hash) = text.strip_prefix("{SHA}") {
            return match STANDARD.decode(hash) {
                Ok(bytes) if bytes.len() == 20 => Ok(Self(Kind::Sha1(Secret::new(hash)))),
                _ => Err("its {SHA} hash is not 20 bytes in base64"),
            };
        }
        if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            let cost = text.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
            return match cost {
                Some(cost) if text.len() == 60 && text.is_ascii() && cost <= BCRYPT_COST_LIMIT => {
                    Ok(Self(Kind::Bcrypt(Secret::new(text))))
                }
                Some(cost) if cost > BCRYPT_COST_LIMIT => {
                    Err("its bcrypt cost is above 14: each sign-in would take seconds")
                }
                _ => Err("its bcrypt hash is malformed; in a compose file each $ is written $$"),
            };
        }
        for (prefix, magic) in [("$apr1$", "apr1"), ("$1$", "1")] {
            let Some(rest) = text.strip_prefix(prefix) else { continue };
            return match rest.split_once('$') {
                Some((salt, hash)) if hash.len() == 22 && salt.len() <= 8 && hash.is_ascii() => {
                    Ok(Self(Kind::Md5 { magic, salt: salt.to_owned(), hash: Secret::new(hash) }))
                }
                _ => Err("its MD5 hash is malformed; in a compose file each $ is written $$"),
            };
        }
        Err("its hash is none of bcrypt, apr1-MD5 and {SHA}; in a compose file each $ is written $$")
    }

    /// True if it is of this password.
    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        match &self.0 {
            Kind::Bcrypt(hash) => bcrypt::verify(password, hash.expose()).unwrap_or(false),
            Kind::Md5 { magic, salt, hash } => same_secret(&md5_crypt(password, magic, salt), hash.expose()),
            Kind::Sha1(hash) => same_secret(&STANDARD.encode(Sha1::digest(password)), hash.expose()),
        }
    }
}

/// Poul-Henning Kamp's MD5 hash of passwords, with Apache's magic or its own.
fn md5_crypt(password: &[u8], magic: &str, salt: &str) -> String {
    let salt = salt.as_bytes();
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut start = Md5::new().chain_update(password);
    for part in [b"$", magic.as_bytes(), b"$", salt] {
        start.update(part);
    }
    let mut left = password.len();
    while left > 0 {
        start.update(&inner[..left.min(16)]);
        left = left.saturating_sub(16);
    }
    let mut bits = password.len();
    while bits > 0 {
        match bits & 1 {
            1 => start.update([0]),
            _ => start.update(&password[..1]),
        }
        bits >>= 1;
    }
    let mut hash = start.finalize();
    for round in 0..1_000 {
        let mut next = Md5::new();
        if round % 2 == 1 {
            next.update(password)
        } else {
            next.update(hash)
        }
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        if round % 2 == 1 {
            next.update(hash)
        } else {
            next.update(password)
        }
        hash = next.finalize();
    }
    let mut text = String::with_capacity(22);
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        push_base64(&mut text, u32::from_be_bytes([0, hash[a], hash[b], hash[c]]), 4);
    }
    push_base64(&mut text, u32::from(hash[11]), 2);
    text
}

/// Six bits a character, the lowest first.
fn push_base64(text: &mut String, mut value: u32, characters: usize) {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..characters {
        text.push(char::from(ALPHABET[(value & 63) as usize]));
        value >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_hash_knows_its_password() {
        // From Traefik's documentation and Apache's page on password formats.
        let cases = [
            ("$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/", "test"),
            ("$apr1$d9hr9HBB$4HxwgUir3HP4EsggP/QNo0", "test2"),
            ("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "test"),
            ("$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC", "myPassword"),
        ];
        for (hash, password) in cases {
            let hash = PasswordHash::parse(hash).expect("a hash");
            assert!(hash.is_of(password.as_bytes()), "{password}");
            assert!(!hash.is_of(b"another") && !hash.is_of(b""));
        }
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_shown() {
        let long = format!("$2y$31${}", "a".repeat(53));
        for text in ["", "test", "$apr1$x", "{SHA}abc", "$2y$05$short", "$5$rounds", long.as_str()] {
            let error = PasswordHash::parse(text).err().expect("no hash");
            assert!(text.len() < 5 || !error.contains(text));
        }
    }
}
