//! Checks the whole log: every number is there, every row is ours, and each names the one before it.

use redb::ReadTransaction;

use super::{AUDIT, AuditRow, CHAIN, ChainHash, Ends, META, Store, StoreError, number_of, unreadable};

/// Rows checked in one reading: the database is let go between them.
const PIECE_ROWS: usize = 10_000;

/// What a check of the whole log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// Rows that were checked.
    pub rows: u64,
    /// The hash of the newest: whoever notes it elsewhere can tell later that nothing up to it was altered since.
    pub head: Option<(u64, ChainHash)>,
    /// Rows of older versions, which name none before them.
    pub unchained: u64,
    /// The first place where the chain is not whole.
    pub first_break: Option<ChainBreak>,
}

/// Where the log is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainBreak {
    /// Rows are not there.
    #[error("{count} rows from number {number} on are missing")]
    Missing {
        /// The first.
        number: u64,
        /// How many.
        count: u64,
    },
    /// A row's value was altered.
    #[error("row {number} was altered")]
    Altered {
        /// Which.
        number: u64,
    },
    /// A row is another one than it was when the next was written.
    #[error("row {number} does not follow from the one before it")]
    Replaced {
        /// The one that shows it.
        number: u64,
    },
    /// The newest row is another one than it was when it was written.
    #[error("row {number}, the newest, is not the one that was written last")]
    Head {
        /// Which.
        number: u64,
    },
}

/// How far a check has come.
struct Progress {
    report: ChainReport,
    /// The next row, and the hash that it must name. None: nothing was read yet.
    next: Option<(u64, ChainHash)>,
}

impl Store {
    /// Checks the log from its oldest row to its newest, in pieces. Takes about a second for a million rows.
    ///
    /// # Errors
    /// If the file cannot be read. What is wrong with the log is in the report.
    pub fn verify_audit(&self) -> Result<ChainReport, StoreError> {
        let report = ChainReport { rows: 0, head: None, unchained: 0, first_break: None };
        let mut progress = Progress { report, next: None };
        while !self.read(|transaction| self.verify_piece(transaction, &mut progress))? {}
        Ok(progress.report)
    }

    /// Goes on for a piece; true at the end, or at the first break.
    fn verify_piece(&self, transaction: &ReadTransaction, progress: &mut Progress) -> Result<bool, StoreError> {
        let table = transaction.open_table(AUDIT).map_err(unreadable)?;
        let ends = self.ends(transaction)?;
        let report = &mut progress.report;
        let (mut next, mut named) = match (&ends, progress.next) {
            // What was next has gone meanwhile: its time was over.
            (Some(ends), Some((next, _))) if next < ends.oldest => (ends.oldest, ends.anchor),
            (Some(ends), None) => (ends.oldest, ends.anchor),
            (_, Some(next)) => next,
            (None, None) => (0, ChainHash::NOTHING),
        };
        let first = next.to_be_bytes();
        for (count, entry) in table.range(first.as_slice()..).map_err(unreadable)?.enumerate() {
            if count >= PIECE_ROWS {
                progress.next = Some((next, named));
                return Ok(false);
            }
            let (key, value) = entry.map_err(unreadable)?;
            let number = number_of(key.value())?;
            // A log of an older version says nowhere where it begins.
            let is_unanchored = ends.is_none() && report.rows == 0;
            if number != next && !is_unanchored {
                report.first_break = Some(ChainBreak::Missing { number: next, count: number - next });
                return Ok(true);
            }
            let Ok(row) = self.0.sealer.open::<AuditRow>("audit", key.value(), value.value()) else {
                report.first_break = Some(ChainBreak::Altered { number });
                return Ok(true);
            };
            match row.previous {
                None => report.unchained += 1,
                Some(previous) if previous == named => {}
                Some(_) => {
                    report.first_break = Some(ChainBreak::Replaced { number });
                    return Ok(true);
                }
            }
            report.rows += 1;
            named = ChainHash::of(number, value.value());
            report.head = Some((number, named));
            next = number + 1;
        }
        report.first_break = match ends {
            Some(ends) => broken_end(&ends, next, named),
            // Rows that name others were written together with the ends.
            None if report.unchained < report.rows => Some(ChainBreak::Head { number: next - 1 }),
            None => None,
        };
        Ok(true)
    }

    fn ends(&self, transaction: &ReadTransaction) -> Result<Option<Ends>, StoreError> {
        let meta = transaction.open_table(META).map_err(unreadable)?;
        let Some(value) = meta.get(CHAIN.as_bytes()).map_err(unreadable)? else { return Ok(None) };
        self.0.sealer.open("meta", CHAIN.as_bytes(), value.value()).map(Some)
    }
}

/// What is wrong with the end: the chain itself would not miss what was cut off there.
fn broken_end(ends: &Ends, next: u64, head: ChainHash) -> Option<ChainBreak> {
    if next <= ends.newest {
        return Some(ChainBreak::Missing { number: next, count: ends.newest + 1 - next });
    }
    (next == ends.newest + 1 && head != ends.head).then_some(ChainBreak::Head { number: ends.newest })
}
