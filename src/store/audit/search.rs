//! Reads the log newest first, a piece at a time.
//!
//! A filter that few rows fit must neither hold a thread over a million rows nor say that there is nothing: each call
//! looks at so many rows at most and tells where to go on.

use std::net::IpAddr;
use std::time::Duration;

use redb::{ReadOnlyTable, ReadableTable as _};

use super::super::seal::Sealer;
use super::{AUDIT, AuditEntry, AuditRow, ChainHash, LATENESS, Store, StoreError, number_of, unreadable};
use crate::model::{AuditKind, Timestamp};

/// Rows looked at in one call.
const LOOKED_AT_LIMIT: usize = 10_000;

type AuditTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Which rows are wanted. The empty filter wants all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this sort.
    pub kind: Option<AuditKind>,
    /// By this actor.
    pub actor: Option<String>,
    /// By this person or about them: the actor, or a word of the act or its object.
    pub person: Option<String>,
    /// With exactly these words for the act.
    pub act: Option<String>,
    /// With this text in actor, act or object, in whatever case.
    pub text: Option<String>,
    /// From this address.
    pub from: Option<IpAddr>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Above this number.
    pub after: Option<u64>,
}

/// A piece of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// What fits, newest first.
    pub entries: Vec<AuditEntry>,
    /// Rows from below this number on were not looked at yet; none: that was all.
    pub next_before: Option<u64>,
    /// The time of the oldest row that was looked at.
    pub looked_back_to: Option<Timestamp>,
}

impl AuditFilter {
    fn wants(&self, row: &AuditRow) -> bool {
        let at = row.placed_at();
        self.kind.is_none_or(|kind| kind == row.kind)
            && self.since.is_none_or(|since| since <= at)
            && self.until.is_none_or(|until| at < until)
            && self.from.is_none_or(|from| row.from == Some(from))
            && self.actor.as_ref().is_none_or(|actor| *actor == row.actor)
            && self.act.as_ref().is_none_or(|act| *act == row.act)
            && self.person.as_ref().is_none_or(|person| is_about(row, person))
            && self.text.as_ref().is_none_or(|text| holds(row, text))
    }
}

fn is_about(row: &AuditRow, person: &str) -> bool {
    let is_word = |text: &str| text.split([' ', '/', '!', '=', ',', ':', '(', ')']).any(|word| word == person);
    row.actor == person || row.object == person || is_word(&row.object) || is_word(&row.act)
}

fn holds(row: &AuditRow, text: &str) -> bool {
    let text = text.to_lowercase();
    [&row.actor, &row.act, &row.object].into_iter().any(|part| part.to_lowercase().contains(&text))
}

impl Store {
    /// At most `limit` rows that `filter` wants, below number `before`, newest first.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn audit_page(&self, filter: &AuditFilter, before: Option<u64>, limit: usize) -> Result<AuditPage, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(AUDIT).map_err(unreadable)?;
            let end = end_of(&table, &self.0.sealer, filter.until, before)?;
            let mut page = AuditPage { entries: Vec::new(), next_before: None, looked_back_to: None };
            let first = filter.after.map_or(0, |after| after.saturating_add(1));
            let (first, end) = (first.to_be_bytes(), end.max(first).to_be_bytes());
            for (looked_at, entry) in
                table.range(first.as_slice()..end.as_slice()).map_err(unreadable)?.rev().enumerate()
            {
                let (key, value) = entry.map_err(unreadable)?;
                let number = number_of(key.value())?;
                if looked_at >= LOOKED_AT_LIMIT || page.entries.len() >= limit {
                    page.next_before = Some(number + 1);
                    break;
                }
                let row = self.0.sealer.open::<AuditRow>("audit", key.value(), value.value())?.with_kind();
                if filter.since.is_some_and(|since| is_before(row.placed_at(), since)) {
                    break;
                }
                page.looked_back_to = Some(row.at);
                if filter.wants(&row) {
                    page.entries.push(AuditEntry { number, hash: ChainHash::of(number, value.value()), row });
                }
            }
            Ok(page)
        })
    }
}

/// Whether a row placed at `at` and all rows before it were placed before `since`: each row's place in time is at most
/// `LATENESS` behind the latest of the rows up to it.
fn is_before(at: Timestamp, since: Timestamp) -> bool {
    at.plus(LATENESS + Duration::from_millis(1)) <= since
}

/// The number from which on no row is wanted: found by halves, so that a day of last year is as near as yesterday.
fn end_of(
    table: &AuditTable,
    sealer: &Sealer,
    until: Option<Timestamp>,
    before: Option<u64>,
) -> Result<u64, StoreError> {
    let number = |entry: Option<(redb::AccessGuard<'_, &[u8]>, _)>| entry.map(|(key, _)| number_of(key.value()));
    let Some(last) = number(table.last().map_err(unreadable)?).transpose()? else { return Ok(0) };
    let mut end = before.map_or(last + 1, |before| before.min(last + 1));
    let Some(until) = until else { return Ok(end) };
    let mut first = number(table.first().map_err(unreadable)?).transpose()?.unwrap_or(0);
    while first < end {
        let middle = first + (end - first) / 2;
        let key = middle.to_be_bytes();
        let Some(value) = table.get(key.as_slice()).map_err(unreadable)? else {
            // A hole: the rows behind it are looked at one by one.
            return Ok(end);
        };
        let row: AuditRow = sealer.open("audit", &key, value.value())?;
        // So late that no later row can be placed before `until`.
        if is_before(until, row.placed_at()) { end = middle } else { first = middle + 1 }
    }
    Ok(end)
}
