//! How the host was over the last week: means of ten minutes, gathered from the looks at it. Pure.

use crate::model::{Slot, Timestamp};
use crate::store::HostHistoryRow;

/// What one look says, each between 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostShares {
    /// Processors in use.
    pub processor: Option<f64>,
    /// Memory in use.
    pub memory: Option<f64>,
    /// The disk of `data_dir`.
    pub disk: Option<f64>,
    /// The disk of the container engine.
    pub engine_disk: Option<f64>,
    /// How busy the graphics processors are.
    pub gpu: Option<f64>,
}

/// What is kept, and the slot that is being gathered.
#[derive(Debug, Default)]
pub struct HostHistory {
    row: HostHistoryRow,
    slot: Option<Slot>,
    sums: [(f64, u32); 5],
}

impl HostHistory {
    /// Goes on from what is kept.
    #[must_use]
    pub fn of(row: HostHistoryRow) -> Self {
        Self { row, ..Self::default() }
    }

    /// What is kept so far.
    #[must_use]
    pub fn row(&self) -> &HostHistoryRow {
        &self.row
    }

    /// Takes a look in; true if a slot is complete with it, so that the row is to be written.
    pub fn note(&mut self, now: Timestamp, shares: &HostShares) -> bool {
        let slot = Slot::of(now);
        let before = self.slot.filter(|before| *before != slot);
        if let Some(before) = before {
            self.complete(before);
        }
        self.slot = Some(slot);
        let HostShares { processor, memory, disk, engine_disk, gpu } = *shares;
        for (sum, share) in self.sums.iter_mut().zip([processor, memory, disk, engine_disk, gpu]) {
            if let Some(share) = share {
                *sum = (sum.0 + share, sum.1 + 1);
            }
        }
        before.is_some()
    }

    fn complete(&mut self, slot: Slot) {
        let HostHistoryRow { processor, memory, disk, engine_disk, gpu } = &mut self.row;
        let series = [processor, memory, disk, engine_disk, gpu];
        for (series, (sum, count)) in series.into_iter().zip(std::mem::take(&mut self.sums)) {
            series.set(slot, (count > 0).then(|| sum / f64::from(count)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(slot: i64, seconds: i64) -> Timestamp {
        Timestamp(Slot(slot).begins().0 + seconds * 1_000)
    }

    #[test]
    fn a_slot_holds_the_mean_of_its_looks_and_is_written_when_it_is_over() {
        let mut history = HostHistory::default();
        let look = |processor, gpu| HostShares { processor: Some(processor), gpu, ..HostShares::default() };
        assert!(!history.note(at(7, 0), &look(0.2, None)));
        assert!(!history.note(at(7, 30), &look(0.4, Some(0.5))));
        assert_eq!(history.row().processor.get(Slot(7)), None, "not before it is over");
        assert!(history.note(at(8, 0), &look(0.9, None)));
        let row = history.row();
        assert_eq!((row.processor.get(Slot(7)), row.gpu.get(Slot(7))), (Some(0.3), Some(0.5)));
        assert_eq!((row.memory.get(Slot(7)), row.processor.get(Slot(8))), (None, None));
        let mut read = HostHistory::of(row.clone());
        read.note(at(12, 0), &look(0.1, None));
        read.note(at(13, 0), &look(0.1, None));
        let known: Vec<_> = (7..14).filter(|slot| read.row().processor.get(Slot(*slot)).is_some()).collect();
        assert_eq!(known, [7, 12], "what nobody looked at stays unknown");
    }
}
