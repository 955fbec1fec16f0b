//! How the last ten seconds of answers were: statuses, network errors and times. Fixed in size.

use std::time::Duration;

use http::StatusCode;

/// What is looked back at, in slots of a second.
const SLOTS: usize = 10;
const SLOT: Duration = Duration::from_secs(1);
/// A status is three digits.
const STATUSES: usize = 1_000;
/// Times by powers of two, each in 16 parts: 6 % exact, from a microsecond to an hour and more.
const PARTS: u64 = 16;
const TIMES: usize = 16 * 36;

/// The last ten seconds.
#[derive(Debug)]
pub(super) struct Measures {
    slots: Vec<Slot>,
    /// Which second the newest slot is.
    newest: u64,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    second: u64,
    total: u32,
    network_errors: u32,
    /// By status and by time; made when the slot is first used.
    statuses: Vec<u32>,
    times: Vec<u32>,
}

impl Default for Measures {
    fn default() -> Self {
        Self { slots: vec![Slot::default(); SLOTS], newest: 0 }
    }
}

impl Measures {
    pub(super) fn note(&mut self, status: StatusCode, is_network_error: bool, took: Duration, now: Duration) {
        self.forget_old(now);
        let slot = &mut self.slots[(self.newest % SLOTS as u64) as usize];
        if slot.statuses.is_empty() {
            slot.statuses = vec![0; STATUSES];
            slot.times = vec![0; TIMES];
        }
        slot.total += 1;
        slot.network_errors += u32::from(is_network_error);
        slot.statuses[usize::from(status.as_u16()) % STATUSES] += 1;
        slot.times[time_slot(took)] += 1;
    }

    /// Drops what is older than is looked back at.
    pub(super) fn forget_old(&mut self, now: Duration) {
        self.newest = self.newest.max(now.as_secs() / SLOT.as_secs());
        let newest = self.newest;
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let is_current = newest % SLOTS as u64 == at as u64;
            let is_old = slot.second + SLOTS as u64 <= newest;
            if is_old && slot.total > 0 {
                *slot = Slot::default();
            }
            if is_current {
                slot.second = newest;
            }
        }
    }

    pub(super) fn network_error_ratio(&self) -> f64 {
        ratio(self.sum(|slot| slot.network_errors), self.sum(|slot| slot.total))
    }

    /// How many answers of statuses `of.0..of.1` there are to each of `to.0..to.1`.
    pub(super) fn response_code_ratio(&self, of: (f64, f64), to: (f64, f64)) -> f64 {
        let count = |(first, end): (f64, f64)| {
            self.sum(|slot| {
                let statuses = slot.statuses.iter().enumerate();
                statuses.filter(|(status, _)| (first..end).contains(&(*status as f64))).map(|(_, count)| count).sum()
            })
        };
        ratio(count(of), count(to))
    }

    pub(super) fn latency_at_quantile_ms(&self, quantile: f64) -> f64 {
        let total = self.sum(|slot| slot.total);
        let wanted = ((quantile / 100.0) * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for at in 0..TIMES {
            seen += self.sum(|slot| slot.times.get(at).copied().unwrap_or(0));
            if total > 0 && seen >= wanted {
                return upper_bound_us(at) as f64 / 1_000.0;
            }
        }
        0.0
    }

    fn sum(&self, of: impl Fn(&Slot) -> u32) -> u64 {
        self.slots.iter().map(|slot| u64::from(of(slot))).sum()
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn time_slot(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if micros < PARTS {
        return micros as usize;
    }
    let power = u64::from(micros.ilog2()) - 4;
    let part = (micros >> power) - PARTS;
    usize::try_from((power + 1) * PARTS + part).unwrap_or(usize::MAX).min(TIMES - 1)
}

/// The longest time that falls into this slot, in microseconds.
fn upper_bound_us(at: usize) -> u64 {
    let at = at as u64;
    if at < PARTS {
        return at;
    }
    let (power, part) = (at / PARTS - 1, at % PARTS);
    ((PARTS + part + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000_000);

    #[test]
    fn ratios_are_of_the_last_ten_seconds() {
        let mut measures = Measures::default();
        assert_eq!(measures.network_error_ratio(), 0.0);
        for (status, is_error) in [(200, false), (404, false), (502, true), (500, false)] {
            measures.note(StatusCode::from_u16(status).expect("a status"), is_error, Duration::ZERO, NOW);
        }
        assert_eq!(measures.network_error_ratio(), 0.25);
        assert_eq!(measures.response_code_ratio((500.0, 600.0), (0.0, 600.0)), 0.5);
        assert_eq!(measures.response_code_ratio((500.0, 502.0), (400.0, 500.0)), 1.0);
        measures.forget_old(NOW + Duration::from_secs(9));
        assert_eq!(measures.network_error_ratio(), 0.25);
        measures.forget_old(NOW + Duration::from_secs(10));
        assert_eq!(measures.network_error_ratio(), 0.0);
        assert_eq!(measures.response_code_ratio((500.0, 600.0), (0.0, 600.0)), 0.0);
    }

    #[test]
    fn a_quantile_is_within_six_percent() {
        let mut measures = Measures::default();
        for ms in 1..=1_000 {
            measures.note(StatusCode::OK, false, Duration::from_millis(ms), NOW);
        }
        for (quantile, expected) in [(50.0, 500.0), (99.0, 990.0), (100.0, 1_000.0)] {
            let found = measures.latency_at_quantile_ms(quantile);
            assert!((found / expected - 1.0).abs() < 0.07, "{quantile}: {found}");
        }
        assert_eq!(time_slot(Duration::MAX), TIMES - 1);
    }
}
