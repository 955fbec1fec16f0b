//! The audit log: rows that are only ever added, each naming the one before it by its hash.
//!
//! A row's MAC shows that a value was altered or moved. The chain shows the rest: one that was taken out, one put back
//! from an older copy, an end that was cut off. Old rows go a few at a time, in the commit of a new one; where the
//! chain then begins is stored. `search` reads the log in pieces, `chain` checks it.

mod chain;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use redb::ReadableTable as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{unreadable, unwritten};
use super::{AUDIT, META, Store, StoreError, Transaction};
use crate::model::{Actor, AuditKind, Timestamp, TokenId};

pub use chain::{ChainBreak, ChainReport};
pub use search::{AuditFilter, AuditPage};

/// Longest text in an audit row, in bytes: names are shorter, and nobody fills our disk with one.
const AUDIT_TEXT_LIMIT_BYTES: usize = 256;
/// Rows that go at most with one new row. 32 catch up with a lowered limit soon, and cost a commit some 0.1 ms.
const PRUNED_WITH_EACH: usize = 32;
/// Rows may be written so much later than what they tell of: failed sign-ins and visits are written by the minute.
/// A row that comes later still (the clock was set back) says so, and is found by when it was noted.
const LATENESS: Duration = Duration::from_secs(600);
/// The counter of rows; also older versions count with it.
const LAST_AUDIT: &str = "last_audit";
/// Where in META the marks of the settings of the last start are.
const CONFIGURATION: &str = "configuration_marks";
/// Where in META the two ends of the chain are.
const CHAIN: &str = "audit_chain";

/// How much of the audit log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditRetention {
    /// Rows older than this go with the next ones that are written.
    pub age: Duration,
    /// So many rows at most: a new one takes the place of the oldest.
    pub rows_limit: u64,
}

impl Default for AuditRetention {
    /// 200,000 rows are 50 MB, two years of a busy place, and half a second of each start, which reads all of them.
    fn default() -> Self {
        Self { age: Duration::from_secs(365 * 86_400), rows_limit: 200_000 }
    }
}

/// Who did what to whom, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// A user's name, or where the act came from (`command`, `slipway`).
    pub actor: String,
    /// The client's address; none for what comes from this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// The token that was used, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
    /// What: a short verb phrase.
    pub act: String,
    /// To what or whom.
    pub object: String,
    /// The act's sort.
    #[serde(default)]
    pub kind: AuditKind,
    /// When it was noted, if that is much later than `at` says: the clock had been set back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noted: Option<Timestamp>,
    /// The hash of the row before; none in rows of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ChainHash>,
}

impl AuditRow {
    /// The row's place in time: `at`, unless the clock had been set back.
    #[must_use]
    pub fn placed_at(&self) -> Timestamp {
        self.noted.unwrap_or(self.at)
    }

    /// Rows of before kinds were kept tell theirs by their words.
    fn with_kind(mut self) -> Self {
        if self.kind == AuditKind::Other {
            self.kind = AuditKind::of(&self.act);
        }
        self
    }
}

/// A row with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Counts up by one.
    pub number: u64,
    /// What the next row names.
    pub hash: ChainHash,
    /// What it says.
    pub row: AuditRow,
}

/// The hash of a row of the log. The row holds that of the row before, so it stands for all rows up to this one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// Before the first row.
    const NOTHING: Self = Self([0; 32]);

    /// Of row `number`, whose sealed value this is.
    fn of(number: u64, value: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&number.to_be_bytes());
        hasher.update(value);
        Self(*hasher.finalize().as_bytes())
    }
}

impl std::fmt::Display for ChainHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl std::fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for ChainHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl<'de> Deserialize<'de> for ChainHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let hash = blake3::Hash::from_hex(text.as_bytes()).map_err(serde::de::Error::custom)?;
        Ok(Self(*hash.as_bytes()))
    }
}

/// The two ends of the chain, stored with every row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ends {
    /// The number of the oldest row that is kept.
    oldest: u64,
    /// What that row names as the one before it: the hash of the last row that went.
    anchor: ChainHash,
    /// The number of the newest row.
    newest: u64,
    /// Its hash.
    head: ChainHash,
    /// The latest time of any row so far: time in the log does not run backwards.
    latest: Timestamp,
}

impl Store {
    /// How much of the audit log is kept from now on.
    pub fn keep_audit(&self, retention: AuditRetention) {
        *self.0.audit_retention.write() = retention;
    }

    /// The newest `limit` audit rows, newest first.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn audit(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(AUDIT).map_err(unreadable)?;
            let newest = table.iter().map_err(unreadable)?.rev().take(limit);
            newest
                .map(|entry| {
                    let (key, value) = entry.map_err(unreadable)?;
                    let row: AuditRow = self.0.sealer.open("audit", key.value(), value.value())?;
                    Ok(row.with_kind())
                })
                .collect()
        })
    }
}

impl Store {
    /// A hash of a setting by which two values can be told apart, and nothing be learnt without this store's key.
    #[must_use]
    pub fn mark_of(&self, key: &str, value: &str) -> String {
        let mark = self.0.sealer.mac_of_setting(key, value);
        mark.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Transaction<'_> {
    /// The marks of the settings of the last start, by key; none before the first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn configuration_marks(&mut self) -> Result<Option<BTreeMap<String, String>>, StoreError> {
        self.get_meta(CONFIGURATION)
    }

    /// Keeps the marks of this start's settings.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_configuration_marks(&mut self, marks: &BTreeMap<String, String>) -> Result<(), StoreError> {
        self.put_meta(CONFIGURATION, marks)
    }

    /// One audit row, in the same commit as the act. What the retention no longer keeps goes with it, a few rows at a time.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn audit(&mut self, at: Timestamp, actor: &Actor, act: &str, object: &str) -> Result<(), StoreError> {
        let number = self.next_number(LAST_AUDIT)?;
        let mut ends = self.ends_before(number)?;
        let latest = ends.latest.max(at);
        let row = AuditRow {
            at,
            actor: shortened(&actor.name),
            from: actor.from,
            token: actor.token,
            act: shortened(act),
            object: shortened(object),
            kind: AuditKind::of(act),
            noted: Some(latest).filter(|latest| latest.since(at) > LATENESS),
            previous: Some(ends.head),
        };
        let key = number.to_be_bytes();
        let value = self.sealer.seal("audit", &key, &row)?;
        let mut table = self.write.open_table(AUDIT).map_err(unreadable)?;
        table.insert(key.as_slice(), value.as_slice()).map_err(unwritten)?;
        ends = Ends { newest: number, head: ChainHash::of(number, &value), latest, ..ends };
        for _ in 0..PRUNED_WITH_EACH {
            let Some(anchor) = self.outlived(&table, &ends)? else { break };
            table.remove(ends.oldest.to_be_bytes().as_slice()).map_err(unwritten)?;
            ends = Ends { oldest: ends.oldest + 1, anchor, ..ends };
        }
        drop(table);
        self.put_meta(CHAIN, &ends)
    }

    /// The ends of the chain before row `number` is added; in a log of an older version, from what is there.
    fn ends_before(&self, number: u64) -> Result<Ends, StoreError> {
        let known = self.get_meta::<Ends>(CHAIN)?.filter(|ends| ends.newest + 1 == number);
        if let Some(ends) = known {
            return Ok(ends);
        }
        let table = self.write.open_table(AUDIT).map_err(unreadable)?;
        let (Some(first), Some(last)) = (table.first().map_err(unreadable)?, table.last().map_err(unreadable)?) else {
            // From the very first row on: if there were rows and all of them are gone, the log is to say so.
            let (nothing, latest) = (ChainHash::NOTHING, Timestamp(i64::MIN));
            return Ok(Ends { oldest: 1, anchor: nothing, newest: number - 1, head: nothing, latest });
        };
        let oldest = number_of(first.0.value())?;
        let (newest, value) = (number_of(last.0.value())?, last.1.value());
        let row: AuditRow = self.sealer.open("audit", last.0.value(), value)?;
        let head = ChainHash::of(newest, value);
        Ok(Ends { oldest, anchor: ChainHash::NOTHING, newest, head, latest: row.placed_at() })
    }

    /// The hash of the oldest row if its time is over.
    fn outlived(
        &self,
        table: &redb::Table<'_, &'static [u8], &'static [u8]>,
        ends: &Ends,
    ) -> Result<Option<ChainHash>, StoreError> {
        if ends.oldest >= ends.newest {
            return Ok(None);
        }
        let key = ends.oldest.to_be_bytes();
        let Some(value) = table.get(key.as_slice()).map_err(unreadable)? else {
            // Somebody took it out. The chain shows it for as long as its place is kept.
            return Ok(self.is_over_limit(ends).then_some(ChainHash::NOTHING));
        };
        let row: AuditRow = self.sealer.open("audit", &key, value.value())?;
        let is_over = self.is_over_limit(ends) || ends.latest.since(row.placed_at()) > self.audit_retention.age;
        Ok(is_over.then(|| ChainHash::of(ends.oldest, value.value())))
    }

    fn is_over_limit(&self, ends: &Ends) -> bool {
        ends.newest - ends.oldest >= self.audit_retention.rows_limit
    }
}

fn number_of(key: &[u8]) -> Result<u64, StoreError> {
    let bytes = key.try_into().map_err(|_| StoreError::Damaged("the key of an audit row has a wrong length".into()))?;
    Ok(u64::from_be_bytes(bytes))
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(AUDIT_TEXT_LIMIT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
