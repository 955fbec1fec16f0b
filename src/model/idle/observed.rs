//! How much time has passed of the time that we have watched. What nobody watched counts as unknown, and unknown time
//! makes no server idle: while Slipway was down, while the host slept, and what a clock only jumped over.
//!
//! Times are kept as the wall clock said them. A *gap* says where that clock went on without us: a forward jump leaves
//! out times, a backward jump repeats them. A time may fit before and after a gap; then the later one is meant, since
//! that can only keep a server longer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// A wall clock that goes this much faster or slower between two looks has jumped. Slewing is 500 ppm at most.
const JUMP_MS: i64 = 1_000;
/// So much may have been watched beyond what was written down last.
const UNSAID: Duration = Duration::from_secs(120);
/// Gaps that are remembered; the oldest ones become one beyond that.
const GAPS_LIMIT: usize = 64;

/// What is known of the wall clock's past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// In the order in which they happened.
    gaps: Vec<Gap>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gap {
    /// No time of before is later than this …
    before: Timestamp,
    /// … and none of afterwards is earlier than this.
    after: Timestamp,
    /// How far the clock went on without us. None: nobody knows, and all before counts as having been just then.
    by_ms: Option<i64>,
}

/// The two clocks, read at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// What people call the time.
    pub wall: Timestamp,
    /// Since whenever: goes evenly, and not while the host sleeps.
    pub monotonic: Duration,
}

impl Observed {
    /// Takes note if the wall clock has jumped between two readings, and says how far, in milliseconds.
    pub fn note_readings(&mut self, before: ClockReading, now: ClockReading) -> Option<i64> {
        let went_ms = milliseconds(now.monotonic).saturating_sub(milliseconds(before.monotonic));
        let jump_ms = now.wall.0.saturating_sub(before.wall.0).saturating_sub(went_ms);
        if jump_ms.abs() < JUMP_MS {
            return None;
        }
        // Nobody knows when in between it jumped.
        self.push(Gap {
            before: Timestamp(before.wall.0.saturating_add(went_ms)),
            after: Timestamp(now.wall.0.saturating_sub(went_ms)),
            by_ms: Some(jump_ms),
        });
        Some(jump_ms)
    }

    /// Takes note that nobody watched from `alive_at` (None: nobody knows since when) to `now`.
    pub fn note_absence(&mut self, alive_at: Option<Timestamp>, now: Timestamp) {
        let by_ms = alive_at.map(|at| now.0.saturating_sub(at.0));
        let before = alive_at.map_or(now, |at| at.plus(UNSAID));
        self.push(Gap { before, after: now, by_ms });
    }

    fn push(&mut self, gap: Gap) {
        self.gaps.push(gap);
        if self.gaps.len() > GAPS_LIMIT {
            let (first, second) = (self.gaps.remove(0), self.gaps[0]);
            // Whatever lies before both counts as younger than it is, never as older.
            let by_ms = first.by_ms.zip(second.by_ms).map(|(a, b)| a.max(0).saturating_add(b));
            self.gaps[0] = Gap { before: first.before.max(second.before), after: second.after, by_ms };
        }
    }

    /// How much watched time has passed from `from` to `now`; zero if `from` lies ahead.
    #[must_use]
    pub fn since(&self, from: Timestamp, now: Timestamp) -> Duration {
        let passed = |at: Timestamp, unwatched_ms: i64, at_most_ms: i64| {
            now.0.saturating_sub(at.0).saturating_sub(unwatched_ms).min(at_most_ms).max(0)
        };
        let (mut least_ms, mut until) = (None, now);
        // What the gaps after the stretch that is looked at come to.
        let (mut unwatched_ms, mut at_most_ms) = (0_i64, i64::MAX);
        let mut take = |ms: i64| least_ms = Some(least_ms.map_or(ms, |least: i64| least.min(ms)));
        for gap in self.gaps.iter().rev() {
            let at = from.max(gap.after);
            // After the gap, or at a time that the clock left out.
            if (from >= gap.after || from > gap.before) && at <= until {
                take(passed(at, unwatched_ms, at_most_ms));
            }
            match gap.by_ms {
                Some(by_ms) => unwatched_ms = unwatched_ms.saturating_add(by_ms),
                None => at_most_ms = at_most_ms.min(passed(gap.after, unwatched_ms, i64::MAX)),
            }
            until = gap.before;
        }
        if from <= until {
            take(passed(from, unwatched_ms, at_most_ms));
        }
        Duration::from_millis(u64::try_from(least_ms.unwrap_or(0)).unwrap_or(0))
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const YEAR: i64 = 31_536_000_000;
    const HOUR: i64 = 3_600_000;
    const MINUTE: i64 = 60_000;

    /// Both clocks, moved by hand.
    struct Clocks {
        wall: i64,
        monotonic: i64,
        last: ClockReading,
        observed: Observed,
    }

    impl Clocks {
        fn at(wall: i64) -> Self {
            let last = ClockReading { wall: Timestamp(wall), monotonic: Duration::ZERO };
            Self { wall, monotonic: 0, last, observed: Observed::default() }
        }

        fn look(&mut self) {
            let monotonic = Duration::from_millis(u64::try_from(self.monotonic).expect("it goes forward"));
            let now = ClockReading { wall: Timestamp(self.wall), monotonic };
            self.observed.note_readings(self.last, now);
            self.last = now;
        }

        fn go(&mut self, ms: i64) {
            (self.wall, self.monotonic) = (self.wall + ms, self.monotonic + ms);
            self.look();
        }

        fn jump(&mut self, ms: i64) {
            self.wall += ms;
            self.look();
        }

        fn now(&self) -> Timestamp {
            Timestamp(self.wall)
        }

        fn since(&self, from: Timestamp) -> i64 {
            i64::try_from(self.observed.since(from, self.now()).as_millis()).expect("short")
        }
    }

    #[test]
    fn a_jump_of_a_year_makes_nothing_older_whichever_way() {
        for jump in [YEAR, -YEAR, 8 * HOUR, -8 * HOUR, 2_000, -2_000] {
            let mut clocks = Clocks::at(50 * YEAR);
            let before = clocks.now();
            clocks.go(30 * MINUTE);
            clocks.jump(jump);
            let age = clocks.since(before);
            assert!((0..=30 * MINUTE).contains(&age), "{jump}: {age}");
            clocks.go(10 * MINUTE);
            let after = clocks.now();
            clocks.go(5 * MINUTE);
            assert_eq!(clocks.since(after), 5 * MINUTE, "{jump}");
            assert!(clocks.since(before) <= 45 * MINUTE, "{jump}");
            if jump.abs() >= YEAR {
                assert_eq!(clocks.since(before), 45 * MINUTE, "{jump}: nothing is lost either");
            }
        }
    }

    #[test]
    fn a_clock_that_was_wrong_for_a_while_spoils_nothing_of_before_or_after() {
        let mut clocks = Clocks::at(50 * YEAR);
        let before = clocks.now();
        clocks.go(MINUTE);
        clocks.jump(YEAR);
        clocks.go(MINUTE);
        let meanwhile = clocks.now();
        clocks.go(MINUTE);
        clocks.jump(-YEAR);
        clocks.go(MINUTE);
        assert_eq!((clocks.since(before), clocks.since(meanwhile)), (4 * MINUTE, 2 * MINUTE));
        assert_eq!(clocks.since(clocks.now()), 0);
    }

    #[test]
    fn time_that_we_were_away_counts_for_nobody() {
        let mut observed = Observed::default();
        let (friday, monday) = (Timestamp(100 * HOUR), Timestamp(160 * HOUR));
        observed.note_absence(Some(friday), monday);
        let since = |from: i64, now: i64| observed.since(Timestamp(from), Timestamp(now));
        assert_eq!(since(99 * HOUR, 161 * HOUR), Duration::from_secs(2 * 3_600));
        assert_eq!(since(160 * HOUR, 161 * HOUR), Duration::from_secs(3_600));
        // A kernel's own word of the time meanwhile.
        assert_eq!(since(120 * HOUR, 161 * HOUR), Duration::from_secs(3_600));
    }

    #[test]
    fn all_that_was_before_anybody_watched_counts_from_then() {
        let mut observed = Observed::default();
        observed.note_absence(None, Timestamp(10 * HOUR));
        for from in [0, 9 * HOUR, 10 * HOUR] {
            let passed = observed.since(Timestamp(from), Timestamp(11 * HOUR));
            assert!(passed <= Duration::from_secs(3_600), "{from}");
        }
        assert_eq!(observed.since(Timestamp(0), Timestamp(11 * HOUR)), Duration::from_secs(3_600));
        assert_eq!(observed.since(Timestamp(11 * HOUR), Timestamp(11 * HOUR)), Duration::ZERO);
        // And a weekend later nothing of before makes anybody younger than he is.
        observed.note_absence(Some(Timestamp(12 * HOUR)), Timestamp(80 * HOUR));
        for (from, passed) in [(0, 3), (10 * HOUR, 3), (11 * HOUR, 2), (40 * HOUR, 1), (80 * HOUR, 1)] {
            let since = observed.since(Timestamp(from), Timestamp(81 * HOUR));
            assert_eq!(since, Duration::from_secs(passed * 3_600), "{from}");
        }
    }

    #[test]
    fn what_lies_ahead_is_now() {
        assert_eq!(Observed::default().since(Timestamp(HOUR), Timestamp(0)), Duration::ZERO);
    }

    proptest! {
        /// Whatever the clock does, nothing is ever older than the time that was truly watched since.
        #[test]
        fn nothing_is_ever_older_than_it_is(
            steps in proptest::collection::vec((0..HOUR, prop_oneof![Just(0), -2 * YEAR..2 * YEAR, -HOUR..HOUR]), 1..90),
        ) {
            let mut clocks = Clocks::at(100 * YEAR);
            let mut marks = vec![];
            for (pass, jump) in steps {
                clocks.go(pass);
                // Also what is noted after a jump, before anybody has seen it.
                clocks.wall += if jump.abs() < JUMP_MS { 0 } else { jump };
                marks.push((clocks.now(), clocks.monotonic));
                clocks.look();
                for (mark, monotonic) in &marks {
                    prop_assert!(clocks.since(*mark) <= clocks.monotonic - monotonic);
                }
            }
        }
    }
}
