//! When an authority is asked: renewal at two thirds of a certificate's life, and how long we wait after each failure.
//! Pure: time and luck (0 to 1) come in.

use std::time::Duration;

use crate::model::Timestamp;
use crate::store::AcmeNameRow;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The longest wait whatever an authority says. A week: the longest window of any limit of Let's Encrypt. A moment that
/// lies further ahead was written by a clock that was wrong.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why a try has failed, as far as the next one depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No answer of the authority, or one that is no answer: it is soon there again; with what it says when.
    Unreachable(Option<Duration>),
    /// The authority said no: for this name, now. Somebody must do something first.
    Refused,
    /// We ask too often; with what it says when to come back.
    Limited(Option<Duration>),
}

/// How long to wait after a failure, which was number `failures` in a row (from 1).
///
/// A refusal waits 5 minutes and twice as long each time, up to 12 hours: four tries in the first hour, where Let's
/// Encrypt allows five failed checks of a name. An authority that is away is looked for after a minute, up to an hour.
pub(super) fn wait_after(failure: Failure, failures: u32, luck: f64) -> Duration {
    let doubled = |first: Duration, ceiling: Duration| {
        let times = 1_u32 << failures.saturating_sub(1).min(16);
        first.saturating_mul(times).min(ceiling)
    };
    let wait = match failure {
        Failure::Unreachable(wanted) => wanted.unwrap_or_default().max(doubled(MINUTE, HOUR)).min(LONGEST_WAIT),
        Failure::Refused => doubled(5 * MINUTE, 12 * HOUR),
        Failure::Limited(wanted) => wanted.unwrap_or_default().max(doubled(HOUR, 12 * HOUR)).min(LONGEST_WAIT),
    };
    // Later only, and by a tenth: what many installations began together they shall not repeat together.
    wait + wait.mul_f64(luck.clamp(0.0, 1.0) / 10.0)
}

/// How long a try is left alone if we end in the middle of it, `unfinished` times in a row. A restart goes on at once; a
/// program that is restarted every second must not ask every second.
pub(super) fn wait_if_cut_off(unfinished: u32) -> Duration {
    match unfinished {
        0 | 1 => Duration::ZERO,
        more => MINUTE.saturating_mul(1_u32 << (more - 2).min(6)).min(HOUR),
    }
}

/// When a certificate is renewed: after two thirds of its life, or up to a thirtieth of it before.
pub(super) fn renew_at(starts_at: Timestamp, ends_at: Timestamp, luck: f64) -> Timestamp {
    let life = ends_at.since(starts_at);
    starts_at.plus(life.mul_f64(2.0 / 3.0 - luck.clamp(0.0, 1.0) / 30.0))
}

/// The same once the authority has said between when it wants to see us: sooner if it says so, never later. A moment
/// that fits already is kept, so that asking often does not move it.
pub(super) fn within(renew_at: Timestamp, start: Timestamp, end: Timestamp, luck: f64) -> Timestamp {
    if renew_at <= end {
        return renew_at;
    }
    start.plus(end.since(start).mul_f64(luck.clamp(0.0, 1.0))).min(renew_at)
}

/// True if something is to be done for this name now.
pub(super) fn is_due(row: &AcmeNameRow, directory: &str, now: Timestamp) -> bool {
    if row.next_try > now && row.next_try <= now.plus(LONGEST_WAIT + LONGEST_WAIT / 10) {
        return false;
    }
    match &row.certificate {
        None => true,
        // Another authority was chosen: what the old one gave is served until its time.
        Some(certificate) => certificate.renew_at <= now || certificate.directory != directory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;
    use crate::store::AcmeCertificate;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn row(next_try: i64, renew_at: Option<i64>) -> AcmeNameRow {
        let certificate = renew_at.map(|renew_at| AcmeCertificate {
            directory: "ca".to_owned(),
            chain: String::new(),
            key: Secret::new(""),
            renew_at: Timestamp(renew_at),
            ask_at: Timestamp(0),
        });
        AcmeNameRow { certificate, next_try: Timestamp(next_try), ..AcmeNameRow::new("lab.example") }
    }

    #[test]
    fn waits_double_up_to_a_ceiling() {
        let minutes = |failure, failures| wait_after(failure, failures, 0.0).as_secs() / 60;
        let refused: Vec<_> = (1..=9).map(|n| minutes(Failure::Refused, n)).collect();
        assert_eq!(refused, [5, 10, 20, 40, 80, 160, 320, 640, 720]);
        let away: Vec<_> = [1, 2, 6, 7, 40].map(|n| minutes(Failure::Unreachable(None), n)).to_vec();
        assert_eq!(away, [1, 2, 32, 60, 60]);
        assert_eq!(wait_after(Failure::Refused, u32::MAX, 1.0).as_secs(), 12 * 3600 * 11 / 10);
        assert_eq!([1, 2, 3, 8, 99].map(|n| wait_if_cut_off(n).as_secs() / 60), [0, 1, 2, 60, 60]);
    }

    #[test]
    fn an_authority_that_says_when_to_come_back_is_heard_within_reason() {
        let limited = |wanted| wait_after(Failure::Limited(wanted), 1, 0.0);
        assert_eq!(limited(None), HOUR);
        assert_eq!(limited(Some(Duration::ZERO)), HOUR);
        assert_eq!(limited(Some(30 * HOUR)), 30 * HOUR);
        assert_eq!(limited(Some(Duration::MAX)), LONGEST_WAIT);
        assert_eq!(wait_after(Failure::Unreachable(Some(2 * HOUR)), 1, 0.0), 2 * HOUR);
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life() {
        let end = Timestamp(0).plus(90 * DAY);
        assert_eq!(renew_at(Timestamp(0), end, 0.0), Timestamp(0).plus(60 * DAY));
        assert_eq!(renew_at(Timestamp(0), end, 1.0), Timestamp(0).plus(57 * DAY));
        assert_eq!(renew_at(end, Timestamp(0), 0.5), end, "a certificate that ends before it begins");
    }

    #[test]
    fn an_authority_may_ask_for_an_earlier_renewal_but_not_for_a_later_one() {
        let at = |n| Timestamp(n);
        assert_eq!(within(at(50), at(40), at(60), 0.5), at(50));
        assert_eq!(within(at(70), at(40), at(60), 0.5), at(50));
        assert_eq!(within(at(70), at(80), at(60), 0.5), at(70), "a window that ends before it begins");
        assert_eq!(within(at(70), at(-90), at(-80), 0.0), at(-90), "at once");
        assert_eq!(within(at(70), at(80), at(90), 0.5), at(70));
    }

    #[test]
    fn a_name_is_due_without_a_certificate_and_after_two_thirds_but_never_before_the_next_try() {
        let is_due = |row: &AcmeNameRow| is_due(row, "ca", Timestamp(100));
        assert!(is_due(&row(0, None)) && is_due(&row(100, None)) && !is_due(&row(101, None)));
        assert!(is_due(&row(0, Some(100))) && !is_due(&row(0, Some(101))) && !is_due(&row(101, Some(1))));
        assert!(super::is_due(&row(0, Some(101)), "another ca", Timestamp(100)));
        // A clock that was in the year 2099 for a moment must not silence us until then.
        assert!(is_due(&row(i64::MAX, None)));
    }
}
