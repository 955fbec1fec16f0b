//! What pages and notices say of the time that a server has left: the bar (platform.md §16), the words. Pure.

use std::time::Duration;

use crate::model::IdleView;

/// Below this share of the base, in percent, the time is called short.
const LOW_PERCENT: u128 = 30;
/// Below this it is nearly over.
const LAST_PERCENT: u128 = 10;
const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 86_400;

/// How urgent what is left is; the order is that of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    /// At most a tenth of the base.
    Last,
    /// At most three tenths.
    Low,
    /// More.
    Ample,
}

impl Tone {
    /// Of so much left of `base`.
    pub(super) fn of(remaining: Duration, base: Duration) -> Self {
        let (left, whole) = (remaining.as_millis() * 100, base.as_millis());
        match () {
            () if left <= whole * LAST_PERCENT => Self::Last,
            () if left <= whole * LOW_PERCENT => Self::Low,
            () => Self::Ample,
        }
    }

    /// The class of its bar.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Low => "low",
            Self::Ample => "ample",
        }
    }
}

/// What a server's time comes to.
pub(super) fn tone_of(view: &IdleView) -> Tone {
    Tone::of(view.remaining.unwrap_or(Duration::MAX), view.base.unwrap_or(view.high_water))
}

/// How full a bar is, in percent, that is drawn against `high_water`.
pub(super) fn bar_percent(remaining: Duration, high_water: Duration) -> u8 {
    if high_water.is_zero() {
        return 0;
    }
    u8::try_from((remaining.as_millis() * 100 / high_water.as_millis()).min(100)).unwrap_or(100)
}

/// `10 minutes`, `1 hour and 5 minutes`, `3 days`: right in every zone, and never more than it is.
pub(super) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let count = |number: u64, unit: &str| format!("{number} {unit}{}", if number == 1 { "" } else { "s" });
    match seconds {
        0..MINUTE_S => "less than a minute".to_owned(),
        MINUTE_S..HOUR_S => count(seconds / MINUTE_S, "minute"),
        HOUR_S..DAY_S => match seconds % HOUR_S / MINUTE_S {
            0 => count(seconds / HOUR_S, "hour"),
            minutes => format!("{} and {}", count(seconds / HOUR_S, "hour"), count(minutes, "minute")),
        },
        _ => match seconds % DAY_S / HOUR_S {
            0 => count(seconds / DAY_S, "day"),
            hours => format!("{} and {}", count(seconds / DAY_S, "day"), count(hours, "hour")),
        },
    }
}

/// The hours that a form offers, of `offered` whole ones: the small ones and all of it. Never many.
pub(super) fn hours_to_choose(offered: u32) -> Vec<u32> {
    const STEPS: [u32; 14] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 36, 48, 72, 120, 168];
    let mut hours: Vec<u32> = STEPS.into_iter().filter(|step| *step < offered).collect();
    if offered > 0 {
        hours.push(offered);
    }
    hours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * MINUTE_S)
    }

    #[test]
    fn the_bar_is_amber_at_three_tenths_of_the_base_and_red_at_one_whatever_it_is_drawn_against() {
        let check = |remaining: u64, high_water: u64, percent: u8, tone: Tone| {
            let (remaining, base) = (minutes(remaining), minutes(100));
            assert_eq!(bar_percent(remaining, minutes(high_water)), percent, "{remaining:?}");
            assert_eq!(Tone::of(remaining, base), tone, "{remaining:?}");
        };
        check(100, 100, 100, Tone::Ample);
        check(31, 100, 31, Tone::Ample);
        check(30, 100, 30, Tone::Low);
        check(11, 100, 11, Tone::Low);
        check(10, 100, 10, Tone::Last);
        check(0, 100, 0, Tone::Last);
        check(200, 400, 50, Tone::Ample);
        check(200, 150, 100, Tone::Ample);
        assert_eq!(bar_percent(Duration::ZERO, Duration::ZERO), 0);
        assert_eq!(bar_percent(Duration::MAX, Duration::MAX), 100);
    }

    #[test]
    fn a_time_is_said_in_words_and_never_longer_than_it_is() {
        let said =
            [59, 60, 119, 3599, 3600, 3660, 7325, 86_400, 90_000, 200_000].map(|s| in_words(Duration::from_secs(s)));
        let expected = [
            "less than a minute",
            "1 minute",
            "1 minute",
            "59 minutes",
            "1 hour",
            "1 hour and 1 minute",
            "2 hours and 2 minutes",
            "1 day",
            "1 day and 1 hour",
            "2 days and 7 hours",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_choice_holds_the_whole_offer_once_and_is_short() {
        assert_eq!(hours_to_choose(0), Vec::<u32>::new());
        assert_eq!(hours_to_choose(1), [1]);
        assert_eq!(hours_to_choose(3), [1, 2, 3]);
        assert_eq!(hours_to_choose(5), [1, 2, 3, 4, 5]);
        assert_eq!(hours_to_choose(u32::MAX).len(), 15);
    }
}
