//! Rows that remember the last week: who was active when, when anybody looked, and how the host was.
//!
//! One small row a user who was active, under the account's name: it follows the name and ends with the account. The
//! others are one row each.

use serde::{Deserialize, Serialize};

use super::error::{unreadable, unwritten};
use super::{ACTIVITY, HISTORY, Store, StoreError, Transaction};
use crate::model::{SlotBits, SlotSeries, Timestamp, UserName};

const SEEN: &[u8] = b"seen";
const HOST: &[u8] = b"host";

/// When somebody was active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityRow {
    /// Who.
    pub owner: UserName,
    /// When the account was made: nobody inherits the activity of an earlier one of their name.
    pub created: Timestamp,
    /// The slots of the week.
    pub active: SlotBits,
}

/// How the host was, as shares of what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostHistoryRow {
    /// Processors in use.
    #[serde(default)]
    pub processor: SlotSeries,
    /// Memory in use.
    #[serde(default)]
    pub memory: SlotSeries,
    /// The disk of `data_dir`.
    #[serde(default)]
    pub disk: SlotSeries,
    /// The disk of the container engine.
    #[serde(default)]
    pub engine_disk: SlotSeries,
    /// How busy the graphics processors were.
    #[serde(default)]
    pub gpu: SlotSeries,
}

impl Store {
    /// Who was active when, of all who were.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn activity(&self) -> Result<Vec<ActivityRow>, StoreError> {
        self.rows(ACTIVITY)
    }

    /// In which slots anybody looked.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn seen_slots(&self) -> Result<SlotBits, StoreError> {
        Ok(self.row_if_table(HISTORY, SEEN)?.unwrap_or_default())
    }

    /// How the host was.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn host_history(&self) -> Result<HostHistoryRow, StoreError> {
        Ok(self.row_if_table(HISTORY, HOST)?.unwrap_or_default())
    }
}

impl Transaction<'_> {
    /// Adds or replaces when somebody was active.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_activity(&mut self, row: &ActivityRow) -> Result<(), StoreError> {
        self.put(ACTIVITY, row.owner.as_str().as_bytes(), row)
    }

    /// Nothing is known any more of when this user was active.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn forget_activity(&mut self, owner: &UserName) -> Result<(), StoreError> {
        self.remove(ACTIVITY, owner.as_str().as_bytes())
    }

    /// The same of everybody, and of when anybody looked.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn forget_all_activity(&mut self) -> Result<(), StoreError> {
        let mut rows = self.write.open_table(ACTIVITY).map_err(unreadable)?;
        rows.retain(|_, _| false).map_err(unwritten)?;
        drop(rows);
        self.remove(HISTORY, SEEN)
    }

    pub(super) fn rename_activity(&mut self, from: &UserName, to: &UserName) -> Result<(), StoreError> {
        let Some(row) = self.get::<ActivityRow>(ACTIVITY, from.as_str().as_bytes())? else { return Ok(()) };
        self.forget_activity(from)?;
        self.put_activity(&ActivityRow { owner: to.clone(), ..row })
    }

    /// In which slots anybody looked.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_seen_slots(&mut self, seen: &SlotBits) -> Result<(), StoreError> {
        self.put(HISTORY, SEEN, seen)
    }

    /// How the host was.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_host_history(&mut self, row: &HostHistoryRow) -> Result<(), StoreError> {
        self.put(HISTORY, HOST, row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Slot;
    use crate::store::Config;

    fn name(text: &str) -> UserName {
        UserName::parse(text).expect("a name")
    }

    fn row(owner: &str) -> ActivityRow {
        let mut active = SlotBits::default();
        active.set(Slot(7));
        ActivityRow { owner: name(owner), created: Timestamp(5), active }
    }

    #[test]
    fn activity_follows_a_renamed_account_and_ends_with_a_deleted_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Config { data_dir: folder.path().join("data") }).expect("a store");
        assert!(store.activity().expect("read").is_empty(), "before the table is there");
        store.write(|t| [row("alice"), row("bob")].iter().try_for_each(|row| t.put_activity(row))).expect("a commit");
        store.write(|t| t.rename_servers(&name("alice"), &name("carol"))).expect("a commit");
        assert_eq!(store.activity().expect("read"), [row("bob"), row("carol")]);
        store.write(|t| t.delete_user(&name("carol"))).expect("a commit");
        assert_eq!(store.activity().expect("read"), [row("bob")]);
    }

    #[test]
    fn a_reset_leaves_what_is_known_of_the_host() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Config { data_dir: folder.path().join("data") }).expect("a store");
        assert_eq!(store.seen_slots().expect("read"), SlotBits::default());
        let mut host = HostHistoryRow::default();
        host.memory.set(Slot(9), Some(0.5));
        let seen = row("x").active;
        store
            .write(|t| {
                t.put_activity(&row("alice"))?;
                t.put_seen_slots(&seen)?;
                t.put_host_history(&host)
            })
            .expect("a commit");
        assert_eq!((store.seen_slots().expect("read"), store.host_history().expect("read")), (seen, host.clone()));
        store.write(|t| t.forget_all_activity()).expect("a commit");
        assert!(store.activity().expect("read").is_empty());
        assert_eq!(
            (store.seen_slots().expect("read"), store.host_history().expect("read")),
            (SlotBits::default(), host)
        );
    }
}
