//! What was ever taken over from another hub, so that nothing that has ended here since comes back with the next run; and
//! numbers that are spoken for because rows came in with them.

use std::collections::HashSet;

use super::{META, Store, StoreError, TAKEN_OVER, Transaction};
use crate::model::{ShareCodeId, TokenId};

/// In `meta`.
const LAST_TOKEN: &str = "last_token";
const LAST_SHARE_CODE: &str = "last_share_code";

/// A hash by which a row of another hub is known again.
pub type TakenKey = [u8; 16];

/// The highest numbers that were ever given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// To a token.
    pub token: u64,
    /// To a share code.
    pub share_code: u64,
}

impl Store {
    /// All rows that were ever taken over.
    ///
    /// # Errors
    /// If the file cannot be read or a key is damaged.
    pub fn taken_over(&self) -> Result<HashSet<TakenKey>, StoreError> {
        let keys = self.rows_with_keys::<bool>(TAKEN_OVER)?.into_iter().map(|(key, _)| key);
        keys.map(|key| key.try_into().map_err(|_| StoreError::Damaged("the key of a row taken over".into()))).collect()
    }

    /// What has been given out so far.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn numbers(&self) -> Result<Numbers, StoreError> {
        Ok(Numbers {
            token: self.row(META, LAST_TOKEN.as_bytes())?.unwrap_or(0),
            share_code: self.row(META, LAST_SHARE_CODE.as_bytes())?.unwrap_or(0),
        })
    }
}

impl Transaction<'_> {
    /// This row has come in, and never does again.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn note_taken_over(&mut self, key: &TakenKey) -> Result<(), StoreError> {
        self.put(TAKEN_OVER, key, &true)
    }

    /// No token that is made from here on has this number, or a lower one.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn keep_token_id(&mut self, id: TokenId) -> Result<(), StoreError> {
        self.keep_number(LAST_TOKEN, id.0)
    }

    /// No share code that is made from here on has this number, or a lower one.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn keep_share_code_id(&mut self, id: ShareCodeId) -> Result<(), StoreError> {
        self.keep_number(LAST_SHARE_CODE, id.0)
    }

    fn keep_number(&self, counter: &str, number: u64) -> Result<(), StoreError> {
        let last = self.get_meta::<u64>(counter)?.unwrap_or(0);
        self.put_meta(counter, &last.max(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Config;

    #[test]
    fn a_number_that_is_kept_is_given_to_nobody_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Config { data_dir: folder.path().join("data") }).expect("a store");
        assert_eq!(store.numbers().expect("read"), Numbers::default());
        let next = store.write(|t| {
            t.keep_token_id(TokenId(7))?;
            t.keep_token_id(TokenId(3))?;
            t.next_token_id()
        });
        assert_eq!(next.expect("a commit"), TokenId(8));
        assert_eq!(store.numbers().expect("read"), Numbers { token: 8, share_code: 0 });
    }

    #[test]
    fn what_was_taken_over_is_remembered() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Config { data_dir: folder.path().join("data") }).expect("a store");
        assert!(store.taken_over().expect("read").is_empty(), "before the table is there");
        store.write(|t| t.note_taken_over(&[7; 16])).expect("a commit");
        assert_eq!(store.taken_over().expect("read"), HashSet::from([[7; 16]]));
    }
}
