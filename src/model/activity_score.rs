//! How much somebody works here, as one number for administrators: pure.
//!
//! What counts is in how many slots of the last week they were active, the later ones more: a slot's weight halves every
//! 72 hours. The denominator is a full week, whatever has been seen of it. So somebody who has been here for an hour has
//! worked for an hour, and not «all the time» (a platform before us showed new people at 300 %).
//!
//! Slots in which nobody looked, since the program did not run, are unknown and not inactive. Where they lie between
//! slots that were seen they are left out of the denominator, but never more than half of it: an outage takes nothing
//! from anybody, and cannot make much of little. What lies before the first look of the week counts as inactive.

use std::sync::LazyLock;
use std::time::Duration;

use super::{Slot, SlotBits, Timestamp};
use crate::model::slots::{SLOT_MS, SLOTS};

/// After so many hours a slot counts half.
const HALF_LIFE_HOURS: f64 = 72.0;
/// So much of the denominator stays, whatever was not seen.
const LEAST_DENOMINATOR: f64 = 0.5;
/// Bars of the meter.
const BARS: u8 = 5;

/// Weights by age in slots; their sum is a full week.
static WEIGHTS: LazyLock<([f64; SLOTS], f64)> = LazyLock::new(|| {
    let hours_of = |slots: usize| slots as f64 * SLOT_MS as f64 / 3_600_000.0;
    let weights = std::array::from_fn(|age| (-std::f64::consts::LN_2 / HALF_LIFE_HOURS * hours_of(age)).exp());
    let sum = weights.iter().sum();
    (weights, sum)
});

/// How much somebody works here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActivityScore {
    /// 0 to 100; 100: as many hours a day as the target, or more.
    pub score: u8,
    /// Hours a day, the later days more: 0 to 24.
    pub hours_per_day: f64,
    /// In how many slots of the week somebody looked.
    pub samples: u32,
}

/// A score in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActivityLevel {
    /// 0.
    None,
    /// Above 0.
    VeryLow,
    /// 20 and more.
    Low,
    /// 40 and more.
    Medium,
    /// 60 and more.
    High,
    /// 80 and more.
    VeryHigh,
}

impl ActivityScore {
    /// The score of somebody who was active in the slots of `active`, where `seen` are those in which anybody looked, and
    /// whose account is there `since`. None if nobody has looked since then.
    #[must_use]
    pub fn of(active: &SlotBits, seen: &SlotBits, since: Timestamp, now: Timestamp, target: Duration) -> Option<Self> {
        let (weights, full) = &*WEIGHTS;
        let (now, since) = (Slot::of(now), Slot::of(since));
        let (mut samples, mut worked, mut gaps) = (0, 0.0, 0.0);
        let mut has_begun = false;
        for (slot, weight) in now.week().zip(weights.iter().rev()) {
            let is_seen = seen.get(slot);
            has_begun |= is_seen;
            match (is_seen, has_begun) {
                (true, _) => {
                    samples += u32::from(slot >= since);
                    worked += if active.get(slot) { *weight } else { 0.0 };
                }
                (false, true) => gaps += weight,
                (false, false) => {}
            }
        }
        if samples == 0 {
            return None;
        }
        let denominator = (full - gaps).max(full * LEAST_DENOMINATOR);
        let hours_per_day = (worked / denominator).clamp(0.0, 1.0) * 24.0;
        let target = (target.as_secs_f64() / 3_600.0).max(1.0);
        // At most 100 by the clamp.
        let score = ((hours_per_day / target).clamp(0.0, 1.0) * 100.0).round() as u8;
        Some(Self { score, hours_per_day, samples })
    }

    /// The score in a word.
    #[must_use]
    pub fn level(&self) -> ActivityLevel {
        match self.score {
            80.. => ActivityLevel::VeryHigh,
            60.. => ActivityLevel::High,
            40.. => ActivityLevel::Medium,
            20.. => ActivityLevel::Low,
            1.. => ActivityLevel::VeryLow,
            0 => ActivityLevel::None,
        }
    }

    /// How many of the meter's five bars are lit; none for 0 alone.
    #[must_use]
    pub fn bars(&self) -> u8 {
        self.score.div_ceil(100 / BARS)
    }
}

impl ActivityLevel {
    /// For people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::VeryLow => "very low",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::VeryHigh => "very high",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 3_000_000;
    const EIGHT_HOURS: Duration = Duration::from_secs(8 * 3_600);

    /// Bits of the slots so long ago, of which all are in the week.
    fn bits(ages: impl IntoIterator<Item = i64>) -> SlotBits {
        let mut slots: Vec<_> = ages.into_iter().map(|age| NOW - age).collect();
        slots.sort_unstable();
        let mut bits = SlotBits::default();
        slots.into_iter().for_each(|slot| bits.set(Slot(slot)));
        bits.move_to(Slot(NOW));
        bits
    }

    fn score(active: &SlotBits, seen: &SlotBits) -> Option<ActivityScore> {
        ActivityScore::of(active, seen, Timestamp(0), Slot(NOW).begins(), EIGHT_HOURS)
    }

    #[test]
    fn without_samples_there_is_no_score() {
        assert_eq!(score(&bits([]), &bits([])), None);
        let seen = bits(0..1008);
        let young = Slot(NOW).begins().plus(Duration::from_secs(1));
        let of_young = |now| ActivityScore::of(&bits([]), &seen, young, now, EIGHT_HOURS);
        assert_eq!(of_young(Slot(NOW).begins()).map(|score| score.samples), Some(1));
        let next = Timestamp(young.0 + SLOT_MS);
        assert_eq!(ActivityScore::of(&bits([]), &seen, next, Slot(NOW).begins(), EIGHT_HOURS), None);
    }

    #[test]
    fn who_is_active_all_week_has_24_hours_a_day_and_who_is_never_has_none() {
        let always = score(&bits(0..1008), &bits(0..1008)).expect("seen");
        assert_eq!(
            (always.score, always.samples, always.level(), always.bars()),
            (100, 1008, ActivityLevel::VeryHigh, 5)
        );
        assert!((always.hours_per_day - 24.0).abs() < 1e-9);
        let never = score(&bits([]), &bits(0..1008)).expect("seen");
        assert_eq!((never.score, never.hours_per_day, never.level(), never.bars()), (0, 0.0, ActivityLevel::None, 0));
    }

    #[test]
    fn a_working_week_of_eight_hours_a_day_is_nearly_100() {
        // 48 slots of each of the seven days, the last ones just over.
        let active = bits((0..7).flat_map(|day| (0..48).map(move |slot| day * 144 + slot)));
        let worked = score(&active, &bits(0..1008)).expect("seen");
        assert!(worked.score >= 98, "{worked:?}");
        // A little more than eight: the last eight hours count most.
        assert!((8.0..9.0).contains(&worked.hours_per_day), "{worked:?}");
    }

    /// Trap 25 of the platform before us: new users had 300 %.
    #[test]
    fn an_hour_of_a_new_user_is_an_hour() {
        let new = score(&bits(0..6), &bits(0..6)).expect("seen");
        // An hour of one day in seven, that counts about double since it is the last one.
        assert!(new.hours_per_day < 0.35, "{new:?}");
        assert_eq!((new.level(), new.bars(), new.samples), (ActivityLevel::VeryLow, 1, 6));
        // The same where the program has been running all week.
        let in_old_house = score(&bits(0..6), &bits(0..1008)).expect("seen");
        assert!((new.hours_per_day - in_old_house.hours_per_day).abs() < 1e-9);
    }

    #[test]
    fn an_outage_takes_nothing_from_anybody_and_makes_not_much_of_little() {
        // Active all the time, and the program was down for three days.
        let seen = bits((0..300).chain(732..1008));
        let always = score(&seen, &seen).expect("seen");
        assert!((always.hours_per_day - 24.0).abs() < 1e-9, "{always:?}");
        // Down all week but for its first and its last hour.
        let seen = bits((0..6).chain(1002..1008));
        let little = score(&seen, &seen).expect("seen");
        assert!(little.hours_per_day < 1.0, "{little:?}");
    }

    #[test]
    fn levels_begin_where_they_say() {
        let at = |score| ActivityScore { score, hours_per_day: 0.0, samples: 1 };
        let words =
            [0, 1, 19, 20, 39, 40, 59, 60, 79, 80, 100].map(|score| (at(score).level().word(), at(score).bars()));
        let expected = [
            ("none", 0),
            ("very low", 1),
            ("very low", 1),
            ("low", 1),
            ("low", 2),
            ("medium", 2),
            ("medium", 3),
            ("high", 3),
            ("high", 4),
            ("very high", 4),
            ("very high", 5),
        ];
        assert_eq!(words, expected);
    }

    proptest! {
        #[test]
        fn a_score_is_between_0_and_100_and_one_more_active_slot_never_lowers_it(
            active in proptest::collection::vec(0_i64..1008, 0..60),
            seen in proptest::collection::vec(0_i64..1008, 1..300),
            more in 0_i64..1008,
        ) {
            let seen = bits(seen);
            let before = score(&bits(active.clone()), &seen).expect("seen");
            let after = score(&bits(active.into_iter().chain([more])), &seen).expect("seen");
            prop_assert!(before.score <= 100 && (0.0..=24.0).contains(&before.hours_per_day));
            prop_assert!(after.hours_per_day + 1e-12 >= before.hours_per_day);
            prop_assert_eq!(before.bars() == 0, before.score == 0);
        }

        /// Never more than double of what the plain formula (a full week) says.
        #[test]
        fn gaps_at_most_double(active in proptest::collection::vec(0_i64..1008, 1..60), others in proptest::collection::vec(0_i64..1008, 0..60)) {
            let seen = bits(active.iter().copied().chain(others));
            let active = bits(active);
            let plain = score(&active, &bits(0..1008)).expect("seen");
            let with_gaps = score(&active, &seen).expect("seen");
            prop_assert!(with_gaps.hours_per_day <= plain.hours_per_day * 2.0 + 1e-9);
            prop_assert!(with_gaps.hours_per_day + 1e-9 >= plain.hours_per_day);
        }

        /// The same slots a day later count less.
        #[test]
        fn what_is_longer_ago_counts_less(active in proptest::collection::vec(0_i64..800, 1..60)) {
            let seen = bits(0..1008);
            let now = score(&bits(active.clone()), &seen).expect("seen");
            let later = score(&bits(active.into_iter().map(|age| age + 144)), &seen).expect("seen");
            prop_assert!(later.hours_per_day < now.hours_per_day);
        }
    }
}
