//! Which names an administrator should hear of: what is tried again by itself is no news until it goes on for long. Pure.

use super::AcmeFigures;
use crate::model::Timestamp;

/// Tries in a row that fail before it is told. 3: by then a refusal is a quarter of an hour old, and whatever was a hiccup
/// is over.
const KEEPS_FAILING: u32 = 3;

impl AcmeFigures {
    /// True if somebody should look after this name at `now`: its order keeps failing, or the time in which its
    /// certificate should have been renewed is half over (for one that lives for 90 days: 15 days before its end).
    #[must_use]
    pub fn is_in_trouble(&self, now: Timestamp) -> bool {
        let is_near_its_end = self.renew_at.zip(self.ends_at).is_some_and(|(renew_at, ends_at)| {
            let half = ends_at.since(renew_at) / 2;
            now >= renew_at.plus(half)
        });
        self.failures >= KEEPS_FAILING || is_near_its_end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3600 * 1000;

    #[test]
    fn what_keeps_failing_or_nears_its_end_without_a_new_one_is_told() {
        // 90 days, of which the renewal takes the last 30.
        let figures = |failures, has_one: bool| AcmeFigures {
            name: "lab.example".into(),
            ends_at: has_one.then_some(Timestamp(90 * DAY_MS)),
            renew_at: has_one.then_some(Timestamp(60 * DAY_MS)),
            problem: None,
            failures,
            next_try: Timestamp(0),
        };
        let is_told = |failures, has_one, day: i64| figures(failures, has_one).is_in_trouble(Timestamp(day * DAY_MS));
        assert!(!is_told(0, true, 1) && !is_told(2, true, 61), "that happens");
        assert!(is_told(3, true, 61), "it keeps failing");
        assert!(!is_told(0, true, 74) && is_told(0, true, 75), "half of the time for it is over");
        assert!(is_told(0, true, 91), "it has ended");
        assert!(!is_told(2, false, 1) && is_told(3, false, 1), "the first one");
    }
}
