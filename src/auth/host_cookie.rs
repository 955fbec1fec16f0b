//! What a browser shows on a user's own host (`isolation = "subdomain"`): it says which session of the hub it belongs to and
//! is good for that host alone.
//!
//! It is made from the session and a key of this installation, so nothing is stored for it: it lives through a restart as the
//! session does, and ends in the same moment. Neither the hub's cookie nor that of another host can be made from it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Auth, Session};
use crate::model::{Secret, SessionKey};

/// By which such a cookie finds its session: tells nothing of the key of the session.
pub(super) type SessionMark = [u8; 16];

const MARK_BYTES: usize = size_of::<SessionMark>();
const MAC_BYTES: usize = 32;
/// Of the whole value in base64url.
const VALUE_LENGTH: usize = (MARK_BYTES + MAC_BYTES) / 3 * 4;

/// The mark of the session with this key.
pub(super) fn mark_of(key: &SessionKey) -> SessionMark {
    let derived = blake3::derive_key("slipway 2026 mark of a session on users' hosts", &key.0);
    derived[..MARK_BYTES].try_into().expect("32 bytes have a beginning of 16")
}

fn mac_of(secret: &[u8; 32], key: &SessionKey, label: &str) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(&key.0);
    hasher.update(label.as_bytes());
    hasher.finalize()
}

impl Auth {
    /// The cookie's value for the user's host with this label.
    #[must_use]
    pub fn host_cookie(&self, session: &Session, label: &str) -> Secret {
        let mac = mac_of(&self.0.host_secret, &session.key, label);
        Secret::new(URL_SAFE_NO_PAD.encode([&mark_of(&session.key)[..], mac.as_bytes()].concat()))
    }

    /// The session that a cookie's value names on the host with this label, if it is live; notes the request. Never blocks.
    #[must_use]
    pub fn session_of_host_cookie(&self, value: &str, label: &str) -> Option<Arc<Session>> {
        if value.len() != VALUE_LENGTH {
            return None;
        }
        let mut bytes = [0; MARK_BYTES + MAC_BYTES];
        URL_SAFE_NO_PAD.decode_slice(value, &mut bytes).ok()?;
        let (mark, mac) = bytes.split_first_chunk::<MARK_BYTES>()?;
        let session = self.0.sessions.by_mark(mark)?;
        // Compares in a time that does not depend on the bytes.
        let is_ours = mac_of(&self.0.host_secret, &session.key, label) == *<&[u8; MAC_BYTES]>::try_from(mac).ok()?;
        if is_ours { self.if_live(session) } else { None }
    }

    /// The session with this key, if it is live. Never blocks.
    #[must_use]
    pub fn session_of_key(&self, key: &SessionKey) -> Option<Arc<Session>> {
        self.if_live(self.0.sessions.get(key)?)
    }
}
