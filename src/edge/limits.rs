//! How often somebody may ask, and how much of it at once: by address, and by user.
//!
//! Counts are estimates in tables of a fixed size (count-min sketches of `pingora-limits`): a million addresses cost what
//! one costs. An estimate is never too low; it is too high for somebody whose four places in the table are all shared
//! with others who ask a lot. Time is an argument.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pingora_limits::estimator::Estimator;
use pingora_limits::inflight::{Guard, Inflight};

/// Rows of a table. 4: for somebody innocent to be refused, all four places must be somebody else's as well.
const ROWS: usize = 4;
/// Places of a row. 64 Ki: 2 MiB a table, and of a flood of 10 million addresses within one window each place
/// holds 153.
const PLACES: usize = 64 * 1024;

/// Bounds of what one address and one user may ask. 0: no bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests a second from one IPv4 address or IPv6 /64, on average over the window. Off by default: a lecture hall of
    /// 300 sits behind one address, and each JupyterLab loads 300 files.
    pub requests_per_address_per_s: u32,
    /// The same of one user, by whatever way they come. Off by default: only an operator knows what is usual.
    pub requests_per_user_per_s: u32,
    /// What the average is taken over, in seconds. 10: a page with its 300 files passes at 30 requests a second.
    pub window_s: u64,
    /// Requests from one address that are being answered at one moment. An open WebSocket is none.
    pub in_flight_per_address: u32,
    /// The same of one user.
    pub in_flight_per_user: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_address_per_s: 0,
            requests_per_user_per_s: 0,
            window_s: 10,
            in_flight_per_address: 0,
            in_flight_per_user: 0,
        }
    }
}

/// Somebody has had their share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany {
    /// When it is worth trying again, in seconds, 1 or more.
    pub(super) retry_after_s: u32,
}

/// What is given back when a request has been answered.
pub(super) type Place = Guard;

/// One kind of somebody: addresses, or users.
pub(super) struct Limiter {
    rate: Option<Rate>,
    in_flight: Option<(Inflight, isize)>,
    hasher: RandomState,
}

impl Limiter {
    /// One for addresses and one for users.
    pub(super) fn by_address_and_user(limits: &Limits) -> [Arc<Self>; 2] {
        let Limits { window_s, requests_per_address_per_s, requests_per_user_per_s, .. } = *limits;
        [
            Arc::new(Self::new(requests_per_address_per_s, window_s, limits.in_flight_per_address)),
            Arc::new(Self::new(requests_per_user_per_s, window_s, limits.in_flight_per_user)),
        ]
    }

    pub(super) fn new(requests_per_s: u32, window_s: u64, in_flight: u32) -> Self {
        Self {
            rate: (requests_per_s > 0).then(|| Rate::new(requests_per_s, Duration::from_secs(window_s.max(1)))),
            in_flight: (in_flight > 0).then(|| (Inflight::new(), isize::try_from(in_flight).unwrap_or(isize::MAX))),
            hasher: RandomState::new(),
        }
    }

    /// True if it bounds anything: nobody needs to be found out where it does not.
    pub(super) fn is_on(&self) -> bool {
        self.rate.is_some() || self.in_flight.is_some()
    }

    /// Lets one request of `who` pass, `now` counted from any fixed moment. What is refused counts as nothing: who
    /// goes on asking is let in again as soon as who waits.
    ///
    /// # Errors
    /// They have had their share.
    pub(super) fn admit(&self, who: impl Hash, now: Duration) -> Result<Option<Place>, TooMany> {
        // Once here; the tables hash only this.
        let who = self.hasher.hash_one(who);
        let place = match &self.in_flight {
            Some((in_flight, limit)) => {
                let (place, count) = in_flight.incr(who, 1);
                if count > *limit {
                    return Err(TooMany { retry_after_s: 1 });
                }
                Some(place)
            }
            None => None,
        };
        match &self.rate {
            Some(rate) => rate.admit(who, now).map(|()| place),
            None => Ok(place),
        }
    }
}

/// Counts of the window that is running and of the one before it.
struct Rate {
    tables: [Estimator; 2],
    /// Which window is running: their number since the fixed moment.
    window: AtomicU64,
    window_ms: u64,
    most: f64,
}

impl Rate {
    fn new(requests_per_s: u32, window: Duration) -> Self {
        Self {
            tables: [Estimator::new(ROWS, PLACES), Estimator::new(ROWS, PLACES)],
            window: AtomicU64::new(0),
            window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
            most: f64::from(requests_per_s) * window.as_secs_f64(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of one window is far below 2^53")]
    fn admit(&self, who: u64, now: Duration) -> Result<(), TooMany> {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let (window, in_window_ms) = (now_ms / self.window_ms, now_ms % self.window_ms);
        self.turn_to(window);
        let [before, running] = self.tables_of(window);
        // As if what was asked in the window before had come evenly.
        let left_of_before = 1.0 - in_window_ms as f64 / self.window_ms as f64;
        let old = before.get(who) as f64;
        let weighted = old * left_of_before + running.get(who) as f64;
        if weighted + 1.0 > self.most {
            let rest_ms = self.window_ms - in_window_ms;
            return Err(TooMany { retry_after_s: u32::try_from(rest_ms.div_ceil(1000)).unwrap_or(u32::MAX).max(1) });
        }
        running.incr(who, 1);
        Ok(())
    }

    /// The window before this one, and this one.
    fn tables_of(&self, window: u64) -> [&Estimator; 2] {
        let running = usize::from(window % 2 == 1);
        [&self.tables[1 - running], &self.tables[running]]
    }

    /// Empties what a new window begins with. Once: who comes second counts on.
    fn turn_to(&self, window: u64) {
        let last = self.window.load(Ordering::Relaxed);
        if window <= last || self.window.compare_exchange(last, window, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return;
        }
        let [before, running] = self.tables_of(window);
        running.reset();
        if window > last + 1 {
            before.reset();
        }
    }
}

/// What one customer of a provider has: an IPv4 address, or the /64 of an IPv6 one.
pub(super) fn shared_by(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_passes_and_what_goes_on_is_slowed_to_the_rate() {
        let limiter = Limiter::new(10, 10, 0);
        let passed =
            |from_ms: u64, tries: usize| (0..tries).filter(|_| limiter.admit("a", at(from_ms)).is_ok()).count();
        assert_eq!(passed(50_000, 200), 100, "a window's worth at once");
        assert_eq!(limiter.admit("a", at(52_500)).err(), Some(TooMany { retry_after_s: 8 }));
        assert!(limiter.admit("b", at(52_500)).is_ok(), "others do not pay for it");
        assert_eq!(passed(62_000, 200), 20, "two of ten seconds have left the window");
        assert_eq!(passed(85_000, 200), 100, "after two windows nothing is left");
    }

    #[test]
    fn who_is_refused_is_not_punished_for_asking_on() {
        let limiter = Limiter::new(1, 10, 0);
        let passed = (0..20_000).filter(|ms| limiter.admit("a", at(*ms * 10)).is_ok()).count();
        // 200 seconds at one a second; the weighting is an estimate.
        assert!((150..=210).contains(&passed), "{passed}");
    }

    #[test]
    fn no_more_than_so_many_are_answered_at_once() {
        let limiter = Limiter::new(0, 10, 2);
        let held = [limiter.admit("a", at(0)).expect("one"), limiter.admit("a", at(0)).expect("two")];
        assert_eq!(limiter.admit("a", at(0)).err(), Some(TooMany { retry_after_s: 1 }));
        assert!(limiter.admit("b", at(0)).is_ok());
        drop(held);
        assert!(limiter.admit("a", at(0)).is_ok());
    }

    #[test]
    fn an_address_of_ipv6_stands_for_its_network() {
        let of = |text: &str| shared_by(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        assert!(!Limiter::new(0, 10, 0).is_on());
    }
}
