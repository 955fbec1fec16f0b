//! Counting without waiting: each thread adds to counts of its own, and whoever wants the sum adds them up.
//!
//! A count that all threads share makes its cache line travel between cores with every request. These do not: one
//! relaxed addition to a line that the thread already has, no lock, no allocation.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Sets of counts. 16: as many as threads that carry bytes on most machines; more threads share, and still lose nothing.
const SETS: usize = 16;

/// One `T` for each thread, more or less.
#[derive(Debug)]
pub struct PerThread<T>(Box<[Padded<T>]>);

/// Alone in its pair of cache lines (processors fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

static NEXT_NUMBER: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// A number that no other thread has: what belongs to a thread is told from others' by it.
pub fn thread_number() -> usize {
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(NEXT_NUMBER.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}

impl<T: Default> Default for PerThread<T> {
    fn default() -> Self {
        Self((0..SETS).map(|_| Padded::default()).collect())
    }
}

impl<T> PerThread<T> {
    /// The counts of the thread that asks.
    #[must_use]
    pub fn here(&self) -> &T {
        &self.0[thread_number() % SETS].0
    }

    /// Shows `look` the set of each.
    pub fn each(&self, look: impl FnMut(&T)) {
        self.0.iter().map(|set| &set.0).for_each(look);
    }

    /// What `count` says of all threads together.
    pub fn sum(&self, count: impl Fn(&T) -> u64) -> u64 {
        self.0.iter().map(|set| count(&set.0)).fold(0, u64::wrapping_add)
    }

    /// What `timing` says of all threads together.
    pub fn timing(&self, timing: impl Fn(&T) -> &Timing) -> Durations {
        self.0.iter().map(|set| timing(&set.0).durations()).fold(Durations::default(), Durations::plus)
    }
}

/// How often something happened.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Once more.
    pub fn one(&self) {
        self.more(1);
    }

    /// So many more.
    pub fn more(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// So far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the durations that are told apart, in milliseconds: from a page out of memory to a start that pulls
/// its image. JupyterHub's own bounds for starts (0.5 to 600 s) are among them, so that its boards' quantiles hold.
pub const BOUNDS_MS: [u64; 20] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 180_000, 300_000,
    600_000,
];

/// How long something took, each time.
#[derive(Debug, Default)]
pub struct Timing {
    /// The last is for what took longer than all bounds.
    counts: [Count; BOUNDS_MS.len() + 1],
    sum_us: Count,
}

impl Timing {
    /// It took so long once more.
    pub fn note(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MS.iter().position(|bound| us <= bound * 1000).unwrap_or(BOUNDS_MS.len());
        self.counts[bucket].one();
        self.sum_us.more(us);
    }

    /// So far.
    #[must_use]
    pub fn durations(&self) -> Durations {
        Durations { counts: self.counts.each_ref().map(Count::get), sum_us: self.sum_us.get() }
    }
}

/// What a `Timing` had seen at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// How many fell between each bound of `BOUNDS_MS` and the one before; the last is for longer ones.
    pub counts: [u64; BOUNDS_MS.len() + 1],
    /// All together, in microseconds.
    pub sum_us: u64,
}

impl Durations {
    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum_us += other.sum_us;
        self
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_count_is_lost_by_none() {
        let counts = PerThread::<Count>::default();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| (0..1000).for_each(|_| counts.here().one()));
            }
        });
        assert_eq!(counts.sum(Count::get), 40_000);
    }

    #[test]
    fn a_duration_falls_under_the_first_bound_that_holds_it() {
        let timing = Timing::default();
        for ms in [0, 1, 2, 3, 600_000, 600_001] {
            timing.note(Duration::from_millis(ms));
        }
        let seen = timing.durations();
        assert_eq!(seen.counts[..3], [2, 1, 1]);
        assert_eq!(seen.counts[BOUNDS_MS.len() - 1..], [1, 1]);
        assert_eq!((seen.count(), seen.sum_us), (6, 1_200_007_000));
    }

    #[test]
    fn two_threads_share_no_cache_line() {
        assert_eq!(align_of::<Padded<Count>>(), 128);
    }
}
