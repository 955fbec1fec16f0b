//! The form of a value: a version byte, a keyed MAC, and JSON.
//!
//! redb checks its pages with a plain checksum, and only when asked. The MAC is over table, key and value with a
//! key of this installation, so a value that was altered, or moved under another key, is noticed on every read.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// The one format of values so far.
const VALUE_VERSION: u8 = 1;
/// 128 bits: nobody can try values against us offline without the key.
const MAC_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + MAC_BYTES;

/// Seals and opens values with the installation's key.
#[derive(Clone)]
pub(super) struct Sealer {
    key: [u8; 32],
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The key itself: for a backup, which is useless without it.
    pub(super) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// `row` as a value for `key` in `table`.
    pub(super) fn seal(&self, table: &str, key: &[u8], row: &impl Serialize) -> Result<Vec<u8>, StoreError> {
        let mut value = vec![0; HEAD_BYTES];
        serde_json::to_writer(&mut value, row).map_err(|e| StoreError::Damaged(format!("a row of {table}: {e}")))?;
        value[0] = VALUE_VERSION;
        let mac = self.mac(table, key, VALUE_VERSION, &value[HEAD_BYTES..]);
        value[1..HEAD_BYTES].copy_from_slice(&mac);
        Ok(value)
    }

    /// The row in `value`, which was found under `key` in `table`.
    pub(super) fn open<T: DeserializeOwned>(&self, table: &str, key: &[u8], value: &[u8]) -> Result<T, StoreError> {
        let payload = self.verify(table, key, value)?;
        serde_json::from_slice(payload).map_err(|e| StoreError::Damaged(format!("a row of {table} does not read: {e}")))
    }

    /// The JSON in `value` if it is one of ours.
    pub(super) fn verify<'v>(&self, table: &str, key: &[u8], value: &'v [u8]) -> Result<&'v [u8], StoreError> {
        let Some((&[version, ref mac @ ..], payload)) = value.split_first_chunk::<HEAD_BYTES>() else {
            return Err(StoreError::Damaged(format!("a value of {table} is too short")));
        };
        if version != VALUE_VERSION {
            return Err(StoreError::Damaged(format!("a value of {table} has the unknown version {version}")));
        }
        if self.mac(table, key, version, payload) != mac[..] {
            return Err(StoreError::Damaged(format!("a value of {table} was altered, or the key is another's")));
        }
        Ok(payload)
    }

    /// MAC over `bytes` for the witness file.
    pub(super) fn mac_of_sequence(&self, sequence: u64) -> [u8; MAC_BYTES] {
        self.mac("witness", &[], VALUE_VERSION, &sequence.to_le_bytes())
    }

    /// A key for another purpose: it tells nothing of this one.
    pub(super) fn derived_key(&self, purpose: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(b"key for ");
        hasher.update(purpose.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// MAC over a setting of the configuration.
    pub(super) fn mac_of_setting(&self, key: &str, value: &str) -> [u8; MAC_BYTES] {
        self.mac("configuration", key.as_bytes(), VALUE_VERSION, value.as_bytes())
    }

    fn mac(&self, table: &str, key: &[u8], version: u8, payload: &[u8]) -> [u8; MAC_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [table.as_bytes(), key] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.update(&[version]);
        hasher.update(payload);
        let mut mac = [0; MAC_BYTES];
        hasher.finalize_xof().fill(&mut mac);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_only_where_it_was_written() {
        let sealer = Sealer::new([7; 32]);
        let value = sealer.seal("users", b"alice", &"a row").expect("it is JSON");
        assert_eq!(sealer.open::<String>("users", b"alice", &value).expect("unaltered"), "a row");
        assert!(sealer.open::<String>("users", b"bob", &value).is_err());
        assert!(sealer.open::<String>("tokens", b"alice", &value).is_err());
        assert!(Sealer::new([8; 32]).open::<String>("users", b"alice", &value).is_err());
        for byte in 0..value.len() {
            let mut flipped = value.clone();
            flipped[byte] ^= 1;
            assert!(sealer.open::<String>("users", b"alice", &flipped).is_err(), "byte {byte}");
        }
        assert!(sealer.open::<String>("users", b"alice", &value[..3]).is_err());
    }
}
