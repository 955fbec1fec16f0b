//! Time as a value: `Timestamp`, and the `Clock` that hands it out.
//!
//! Nothing in the program reads the system's time except `SystemClock`, so a test moves time instead of waiting.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment plus `by`; saturates instead of wrapping.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies ahead (clocks are set back now and then).
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2026-11-22T02:07:07.732000Z`: the form that JupyterHub's API uses (UTC, microseconds, `Z`).
    #[must_use]
    pub fn to_iso(self) -> String {
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        format!("{moment:.6}")
    }

    /// Reads an ISO 8601 time with a zone, or without one (then UTC, as JupyterHub reads it).
    #[must_use]
    pub fn parse_iso(text: &str) -> Option<Self> {
        let moment = text.parse::<jiff::Timestamp>().or_else(|_| format!("{text}Z").parse::<jiff::Timestamp>()).ok()?;
        Some(Self(moment.as_millisecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_iso())
    }
}

/// Where the time comes from. `SystemClock` in the program; tests bring one that they move.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Time since whenever, that goes evenly: beside `now` it tells when the wall clock has jumped. A clock that is moved
    /// by hand does not jump unless it says so here.
    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now().0).unwrap_or(0))
    }
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        static FIRST: OnceLock<Instant> = OnceLock::new();
        FIRST.get_or_init(Instant::now).elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_jupyterhub_writes_it() {
        assert_eq!(Timestamp(1_795_313_227_732).to_iso(), "2026-11-22T02:07:07.732000Z");
    }

    #[test]
    fn a_time_without_a_zone_is_utc() {
        assert_eq!(Timestamp::parse_iso("2026-11-22T02:07:07.732"), Some(Timestamp(1_795_313_227_732)));
        assert_eq!(Timestamp::parse_iso("2026-11-22T03:07:07.732875+01:00"), Some(Timestamp(1_795_313_227_732)));
        assert_eq!(Timestamp::parse_iso("yesterday"), None);
    }

    #[test]
    fn a_clock_set_back_gives_no_negative_age() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
    }
}
