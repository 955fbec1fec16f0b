//! Rows that say which volumes an account has. They stay with the account when it gets another name, and end with it:
//! whoever has its name next finds volumes that are nobody's.

use serde::{Deserialize, Serialize};

use super::displaced::Moved;
use super::{META, Store, StoreError, Transaction, VOLUMES};
use crate::model::{UserName, VolumeStem};

/// In `meta`: every account that had servers before there were such rows has one.
const ARE_OWNED: &str = "volumes_are_owned";

/// Which volumes an account has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesRow {
    /// Whose.
    pub owner: UserName,
    /// Under which name they are kept.
    pub stem: VolumeStem,
}

impl Store {
    /// Which volumes this account has; none before its first start.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn volumes_of(&self, owner: &UserName) -> Result<Option<VolumesRow>, StoreError> {
        self.row_if_table(VOLUMES, owner.as_str().as_bytes())
    }

    /// True if `note_volumes_are_owned` was ever called.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn volumes_are_owned(&self) -> Result<bool, StoreError> {
        Ok(self.row_if_table(META, ARE_OWNED.as_bytes())?.unwrap_or(false))
    }

    /// Those of all accounts.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn volumes(&self) -> Result<Vec<VolumesRow>, StoreError> {
        self.rows(VOLUMES)
    }
}

impl Transaction<'_> {
    /// Which volumes this account has as of this transaction.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn volumes_of(&mut self, owner: &UserName) -> Result<Option<VolumesRow>, StoreError> {
        self.get(VOLUMES, owner.as_str().as_bytes())
    }

    /// Says, or says anew, which volumes an account has.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_volumes(&mut self, row: &VolumesRow) -> Result<(), StoreError> {
        self.put(VOLUMES, row.owner.as_str().as_bytes(), row)?;
        self.moved_volumes.push(Moved { owner: row.owner.clone(), stem: Some(row.stem.clone()) });
        Ok(())
    }

    /// The account's volumes are nobody's from here on.
    pub(super) fn forget_volumes(&mut self, owner: &UserName) -> Result<(), StoreError> {
        self.remove(VOLUMES, owner.as_str().as_bytes())?;
        self.moved_volumes.push(Moved { owner: owner.clone(), stem: None });
        Ok(())
    }

    /// As a store of before volumes had owners.
    #[cfg(test)]
    pub(crate) fn forget_volumes_for_tests(&mut self, owner: &UserName) -> Result<(), StoreError> {
        self.forget_volumes(owner)?;
        self.put_meta(ARE_OWNED, &false)
    }

    pub(super) fn rename_volumes(&mut self, from: &UserName, to: &UserName) -> Result<(), StoreError> {
        let Some(row) = self.volumes_of(from)? else { return Ok(()) };
        self.forget_volumes(from)?;
        self.put_volumes(&VolumesRow { owner: to.clone(), ..row })
    }

    /// True if `note_volumes_are_owned` was ever called.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn volumes_are_owned(&mut self) -> Result<bool, StoreError> {
        Ok(self.get_meta::<bool>(ARE_OWNED)?.unwrap_or(false))
    }

    /// From here on an account without a row has no volumes.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn note_volumes_are_owned(&mut self) -> Result<(), StoreError> {
        self.put_meta(ARE_OWNED, &true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Config;

    fn name(text: &str) -> UserName {
        UserName::parse(text).expect("a name")
    }

    #[test]
    fn volumes_stay_with_a_renamed_account_and_end_with_a_deleted_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Config { data_dir: folder.path().join("data") }).expect("a store");
        assert_eq!(store.volumes_of(&name("alice")).expect("read"), None, "before the table is there");
        let row = VolumesRow { owner: name("alice"), stem: VolumeStem::of(&name("alice")) };
        store.write(|t| t.put_volumes(&row)).expect("a commit");
        store.write(|t| t.rename_servers(&name("alice"), &name("carol"))).expect("a commit");
        assert_eq!(store.volumes_of(&name("alice")).expect("read"), None);
        let carols = store.volumes_of(&name("carol")).expect("read").expect("hers");
        assert_eq!((carols.stem.as_str(), store.volumes().expect("read").len()), ("alice", 1));
        store.write(|t| t.delete_user(&name("carol"))).expect("a commit");
        assert!(store.volumes().expect("read").is_empty());
    }

    #[test]
    fn it_is_noted_once_that_volumes_have_owners() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Config { data_dir: folder.path().join("data") }).expect("a store");
        assert!(!store.write(|t| t.volumes_are_owned()).expect("a commit"));
        store.write(|t| t.note_volumes_are_owned()).expect("a commit");
        assert!(store.write(|t| t.volumes_are_owned()).expect("a commit"));
    }
}
