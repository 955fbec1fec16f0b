//! Rows of notices that were sent: what was said, and what became of it at each server.

use redb::ReadableTableMetadata as _;
use serde::{Deserialize, Serialize};

use super::error::{unreadable, unwritten};
use super::{NOTICES, Store, StoreError, Transaction};
use crate::model::{AutoClose, NoticeKind, NoticeText, ServerKey, Timestamp, Undelivered};

/// Notices kept; the oldest goes with each new one.
const NOTICES_LIMIT: u64 = 500;

/// Which notice: counted up, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NoticeId(pub u64);

impl std::fmt::Display for NoticeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A notice that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeRow {
    /// Unique.
    pub id: NoticeId,
    /// What was said.
    pub message: NoticeText,
    /// How it looked.
    pub kind: NoticeKind,
    /// When it went by itself.
    #[serde(default)]
    pub auto_close: AutoClose,
    /// Who sent it.
    pub by: String,
    /// When the sending began.
    pub sent_at: Timestamp,
    /// To how many servers.
    pub total: usize,
    /// How many have got it.
    #[serde(default)]
    pub delivered: usize,
    /// False while it is on its way, and for good if the program ended meanwhile.
    #[serde(default)]
    pub is_over: bool,
    /// What became of it at each server, failures first; of very many servers only the first.
    #[serde(default)]
    pub deliveries: Vec<DeliveryRow>,
}

/// What became of a notice at one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRow {
    /// Whose, and which.
    pub server: ServerKey,
    /// Why it has not got it; None: it has.
    #[serde(default)]
    pub failure: Option<Undelivered>,
}

impl Store {
    /// The newest `limit` notices, newest first.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn notices(&self, limit: usize) -> Result<Vec<NoticeRow>, StoreError> {
        self.newest(NOTICES, limit)
    }

    /// One notice.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn notice(&self, id: NoticeId) -> Result<Option<NoticeRow>, StoreError> {
        self.row_if_table(NOTICES, &id.0.to_be_bytes())
    }
}

impl Transaction<'_> {
    /// A notice's id that was never used.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn next_notice_id(&mut self) -> Result<NoticeId, StoreError> {
        self.next_number("last_notice").map(NoticeId)
    }

    /// Adds a notice; the 500th before it goes.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add_notice(&mut self, row: &NoticeRow) -> Result<(), StoreError> {
        self.put(NOTICES, &row.id.0.to_be_bytes(), row)?;
        match row.id.0.checked_sub(NOTICES_LIMIT) {
            Some(old) => self.remove(NOTICES, &old.to_be_bytes()),
            None => Ok(()),
        }
    }

    /// Writes down what became of a notice, unless it was forgotten meanwhile.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn update_notice(&mut self, row: &NoticeRow) -> Result<(), StoreError> {
        let key = row.id.0.to_be_bytes();
        if self.get::<NoticeRow>(NOTICES, &key)?.is_none() {
            return Ok(());
        }
        self.put(NOTICES, &key, row)
    }

    /// Forgets all notices; says how many there were.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn clear_notices(&mut self) -> Result<u64, StoreError> {
        let mut rows = self.write.open_table(NOTICES).map_err(unreadable)?;
        let count = rows.len().map_err(unreadable)?;
        rows.retain(|_, _| false).map_err(unwritten)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Config;

    fn row(id: NoticeId) -> NoticeRow {
        NoticeRow {
            id,
            message: NoticeText::parse("hello").expect("short"),
            kind: NoticeKind::Info,
            auto_close: AutoClose::AfterMs(5),
            by: "root".into(),
            sent_at: Timestamp(7),
            total: 1,
            delivered: 0,
            is_over: false,
            deliveries: Vec::new(),
        }
    }

    #[test]
    fn the_newest_five_hundred_are_kept_and_a_forgotten_one_stays_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Config { data_dir: folder.path().to_owned() }).expect("opens");
        assert_eq!(store.notices(10).expect("readable"), [], "an older store has no such table");
        assert_eq!(store.notice(NoticeId(1)).expect("readable"), None);
        let add = |t: &mut Transaction<'_>| {
            let id = t.next_notice_id()?;
            t.add_notice(&row(id))
        };
        store.write(|t| (0..NOTICES_LIMIT + 3).try_for_each(|_| add(t))).expect("written");
        let newest: Vec<_> = store.notices(1000).expect("readable").iter().map(|row| row.id.0).collect();
        assert_eq!((newest.len(), newest[0], newest[499]), (500, 503, 4));
        assert_eq!(store.write(|t| t.clear_notices()).expect("written"), 500);
        store.write(|t| t.update_notice(&row(NoticeId(503)))).expect("written");
        assert_eq!(store.notices(10).expect("readable"), []);
    }
}
