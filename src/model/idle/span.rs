//! The arithmetic of an idle deadline and its extension (platform.md §16). Pure: what has passed is an argument.
//!
//! With an idle limit (`base`) and a bound on extensions, what is left lies between nothing and the ceiling, which is both
//! together. Use brings it back up to the base, never down; the owner may add whole hours up to the ceiling.

use std::num::NonZeroU32;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

/// How much of a server's idle time is left, between what bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleSpan {
    base: Duration,
    ceiling: Duration,
    remaining: Duration,
}

/// What an extension comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// What is left from now on.
    pub remaining: Duration,
    /// More was asked for than could be given.
    pub truncated: bool,
}

impl IdleSpan {
    /// What is left of `base` after `idle_for` without use, or of an extension if that is longer. Never more than base and
    /// extension together, and never more than `at_most`, which is when the server ends in any case.
    #[must_use]
    pub fn new(
        base: Duration,
        extension_at_most: Duration,
        idle_for: Duration,
        extended: Option<Duration>,
        at_most: Option<Duration>,
    ) -> Self {
        let ceiling = base.saturating_add(extension_at_most).min(at_most.unwrap_or(Duration::MAX));
        let remaining = base.saturating_sub(idle_for).max(extended.unwrap_or_default()).min(ceiling);
        Self { base, ceiling, remaining }
    }

    /// The idle limit.
    #[must_use]
    pub fn base(&self) -> Duration {
        self.base
    }

    /// The most that can be left.
    #[must_use]
    pub fn ceiling(&self) -> Duration {
        self.ceiling
    }

    /// What is left; zero: its time has come.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.remaining
    }

    /// How many hours can be added now.
    #[must_use]
    pub fn offered_hours(&self) -> u32 {
        let hours = (self.ceiling - self.remaining).as_secs() / HOUR.as_secs();
        u32::try_from(hours).unwrap_or(u32::MAX)
    }

    /// Adds hours. More than offered is cut to the offer, and the whole offer lands exactly on the ceiling. None: nothing
    /// is offered.
    #[must_use]
    pub fn extend(&self, hours: NonZeroU32) -> Option<Extension> {
        let offered = self.offered_hours();
        if offered == 0 {
            return None;
        }
        let truncated = hours.get() > offered;
        let remaining =
            if hours.get() >= offered { self.ceiling } else { self.remaining + HOUR.saturating_mul(hours.get()) };
        Some(Extension { remaining, truncated })
    }

    /// What a bar of `remaining` is measured against: the base, or above it the mark that was last extended to.
    #[must_use]
    pub fn high_water(&self, extended_to: Option<Duration>) -> Duration {
        if self.remaining <= self.base {
            return self.base.min(self.ceiling.max(self.remaining));
        }
        extended_to.unwrap_or_default().max(self.remaining).min(self.ceiling)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn minutes(count: u64) -> Duration {
        MINUTE * u32::try_from(count).expect("few")
    }

    fn span(base: u64, extension: u64, idle_for: u64, extended: Option<u64>) -> IdleSpan {
        IdleSpan::new(minutes(base), minutes(extension), minutes(idle_for), extended.map(minutes), None)
    }

    fn hours(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).expect("some")
    }

    #[test]
    fn what_is_left_shrinks_to_nothing_and_not_below() {
        for (idle_for, left) in [(0, 60), (1, 59), (59, 1), (60, 0), (61, 0), (10_000, 0)] {
            assert_eq!(span(60, 120, idle_for, None).remaining(), minutes(left), "{idle_for}");
        }
    }

    #[test]
    fn an_offer_is_of_whole_hours_below_the_ceiling() {
        // 60 + 120 minutes at most; the offer changes exactly on the minute.
        for (idle_for, offered) in [(0, 2), (59, 2), (60, 3), (61, 3)] {
            assert_eq!(span(60, 120, idle_for, None).offered_hours(), offered, "{idle_for}");
        }
        for (extended, offered) in [(180, 0), (121, 0), (120, 1), (119, 1), (61, 1), (60, 2)] {
            assert_eq!(span(60, 120, 60, Some(extended)).offered_hours(), offered, "{extended}");
        }
        assert_eq!(span(60, 59, 0, None).offered_hours(), 0);
    }

    #[test]
    fn the_whole_offer_lands_exactly_on_the_ceiling_and_more_is_cut_to_it() {
        let left = span(60, 150, 20, None);
        assert_eq!(left.offered_hours(), 2);
        assert_eq!(left.extend(hours(1)), Some(Extension { remaining: minutes(100), truncated: false }));
        assert_eq!(left.extend(hours(2)), Some(Extension { remaining: minutes(210), truncated: false }));
        assert_eq!(left.extend(hours(3)), Some(Extension { remaining: minutes(210), truncated: true }));
        assert_eq!(left.extend(hours(u32::MAX)), Some(Extension { remaining: minutes(210), truncated: true }));
        assert_eq!(span(60, 150, 20, Some(210)).extend(hours(1)), None, "at the ceiling nothing is given");
    }

    #[test]
    fn nothing_is_offered_beyond_the_end_that_comes_in_any_case() {
        let left = IdleSpan::new(minutes(60), minutes(600), minutes(0), None, Some(minutes(150)));
        assert_eq!((left.ceiling(), left.remaining(), left.offered_hours()), (minutes(150), minutes(60), 1));
        let old = IdleSpan::new(minutes(60), minutes(600), minutes(0), None, Some(minutes(10)));
        assert_eq!((old.remaining(), old.offered_hours(), old.extend(hours(1))), (minutes(10), 0, None));
    }

    #[test]
    fn a_bar_is_measured_against_the_base_or_above_it_the_last_mark() {
        assert_eq!(span(60, 120, 30, None).high_water(None), minutes(60));
        assert_eq!(span(60, 120, 30, Some(100)).high_water(Some(minutes(150))), minutes(150));
        assert_eq!(span(60, 120, 30, Some(20)).high_water(Some(minutes(150))), minutes(60));
        assert_eq!(span(60, 120, 30, Some(170)).high_water(Some(minutes(500))), minutes(180), "rules have shrunk");
    }

    proptest! {
        #[test]
        fn what_is_left_is_between_nothing_and_the_ceiling(
            base in 1..2_000_u64, extension in 0..5_000_u64, idle_for in 0..10_000_u64,
            extended in proptest::option::of(0..20_000_u64), at_most in proptest::option::of(0..20_000_u64),
        ) {
            let left = IdleSpan::new(
                minutes(base), minutes(extension), minutes(idle_for), extended.map(minutes), at_most.map(minutes),
            );
            prop_assert!(left.remaining() <= left.ceiling());
            prop_assert!(left.ceiling() <= minutes(base + extension));
            prop_assert!(left.remaining() + HOUR * left.offered_hours() <= left.ceiling());
            let mark = left.high_water(extended.map(minutes));
            prop_assert!(mark >= left.remaining() && mark <= left.ceiling().max(left.base()));
        }

        #[test]
        fn an_extension_adds_and_never_passes_the_ceiling(
            base in 1..2_000_u64, extension in 0..5_000_u64, idle_for in 0..3_000_u64,
            extended in proptest::option::of(0..7_000_u64), wished in 1..200_u32,
        ) {
            let left = span(base, extension, idle_for, extended);
            match left.extend(hours(wished)) {
                None => prop_assert_eq!(left.offered_hours(), 0),
                Some(Extension { remaining, truncated }) => {
                    prop_assert!(remaining > left.remaining() && remaining <= left.ceiling());
                    prop_assert_eq!(truncated, wished > left.offered_hours());
                    if wished < left.offered_hours() {
                        prop_assert_eq!(remaining, left.remaining() + HOUR * wished);
                    } else {
                        prop_assert_eq!(remaining, left.ceiling());
                    }
                    let after = IdleSpan::new(
                        minutes(base), minutes(extension), minutes(idle_for), Some(remaining), None,
                    );
                    prop_assert_eq!(after.remaining(), remaining);
                }
            }
        }

        #[test]
        fn use_never_brings_a_deadline_nearer(
            base in 1..2_000_u64, extension in 0..5_000_u64, idle_for in 1..3_000_u64,
            extended in proptest::option::of(0..7_000_u64),
        ) {
            let (used, unused) = (span(base, extension, 0, extended), span(base, extension, idle_for, extended));
            prop_assert!(used.remaining() >= unused.remaining());
        }
    }
}
