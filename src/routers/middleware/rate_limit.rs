//! RateLimit: so many requests a period and source, with bursts; a token bucket for each source.
//!
//! A bucket is one number, the time at which it will be full again (GCRA), so its semantics are exactly Traefik's; an
//! estimator such as pingora-limits counts windows and knows no bursts. The table of buckets is bounded whatever the
//! number of addresses: a full bucket is as good as none and goes first, then those that are nearest to it.

use std::collections::HashMap;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use parking_lot::Mutex;

use super::Facts;
use super::answer::plain;
use super::source::{AddressStrategy, Source};
use crate::net::ResponseBody;
use crate::routers::{Fields, Problem};

/// Buckets in all, as with Traefik: 2 MiB a middleware at most.
const BUCKET_LIMIT: usize = 65_536;
const SHARDS: usize = 16;

/// So many requests a period and source.
pub struct RateLimit {
    source: Source,
    rate: Option<Rate>,
    hasher: ahash::RandomState,
    shards: Vec<Mutex<Shard>>,
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimit").field("source", &self.source).field("rate", &self.rate).finish_non_exhaustive()
    }
}

/// When a source's bucket will be full again, in nanoseconds of the clock.
type Shard = HashMap<u64, u64, ahash::RandomState>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    /// One request's share of time.
    interval_ns: u64,
    /// How far ahead of time a burst may run.
    burst_ns: u64,
    /// A request that would have to wait longer is refused.
    wait_limit_ns: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// After so long, which is nothing in the common case.
    Pass(Duration),
    /// There would be a place in so long.
    Refuse(Duration),
}

impl RateLimit {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let average = fields.take_u64("average")?.unwrap_or(0);
        let period = fields.take_duration("period")?.unwrap_or(Duration::from_secs(1));
        let burst = fields.take_u64("burst")?.unwrap_or(1).max(1);
        let source = Source::read(fields)?.unwrap_or_else(|| Source::Address(AddressStrategy::default()));
        if fields.has("redis") {
            return Err(fields.problem("redis is not supported: rates are counted in memory"));
        }
        if period.is_zero() {
            return Err(fields.problem("period = 0: must be longer; leave the line out for 1s"));
        }
        let rate = Rate::new(average, period, burst).map_err(|text| fields.problem(text))?;
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Ok(Self { source, rate, hasher: ahash::RandomState::new(), shards })
    }

    /// Whether a request may pass at `now`, which is any time that goes evenly.
    pub(super) fn judge(&self, headers: &HeaderMap, facts: &Facts<'_>, now: Duration) -> Verdict {
        let Some(rate) = self.rate else { return Verdict::Pass(Duration::ZERO) };
        let key = self.source.key(&self.hasher, headers, facts);
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let mut shard = self.shards[(key % SHARDS as u64) as usize].lock();
        let full_at = shard.get(&key).copied().unwrap_or(0);
        let (verdict, full_at) = rate.judge(full_at, now_ns);
        if let Some(full_at) = full_at {
            make_room(&mut shard, key, now_ns);
            shard.insert(key, full_at);
        }
        verdict
    }

    /// The answer to a request that is refused.
    pub(super) fn refusal(wait: Duration) -> Response<ResponseBody> {
        let mut answer = plain(StatusCode::TOO_MANY_REQUESTS);
        let whole_s = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_s));
        let exactly = HeaderValue::from_str(&format!("{wait:?}")).ok();
        if let Some(exactly) = exactly {
            answer.headers_mut().insert("x-retry-in", exactly);
        }
        answer
    }
}

impl Rate {
    /// None: no limit.
    fn new(average: u64, period: Duration, burst: u64) -> Result<Option<Self>, String> {
        if average == 0 {
            return Ok(None);
        }
        let period_ns = u64::try_from(period.as_nanos()).map_err(|_| format!("period = {period:?} is too long"))?;
        let interval_ns = (period_ns / average).max(1);
        let burst_ns = (burst - 1).checked_mul(interval_ns).ok_or("burst is too large for this rate")?;
        // Traefik's rule: half of one request's share, and half a second where that is more than a second.
        let wait_limit_ns = interval_ns.min(1_000_000_000) / 2;
        Ok(Some(Self { interval_ns, burst_ns, wait_limit_ns }))
    }

    fn judge(self, full_at: u64, now: u64) -> (Verdict, Option<u64>) {
        let full_at = full_at.max(now);
        let wait = full_at.saturating_sub(now).saturating_sub(self.burst_ns);
        if wait > self.wait_limit_ns {
            return (Verdict::Refuse(Duration::from_nanos(wait)), None);
        }
        (Verdict::Pass(Duration::from_nanos(wait)), Some(full_at.saturating_add(self.interval_ns)))
    }
}

/// Keeps a shard in its bounds: half of it goes at once, so that a flood of addresses does not cost a search each.
fn make_room(shard: &mut Shard, key: u64, now: u64) {
    if shard.len() < BUCKET_LIMIT / SHARDS || shard.contains_key(&key) {
        return;
    }
    shard.retain(|_, full_at| *full_at > now);
    if shard.len() < BUCKET_LIMIT / SHARDS {
        return;
    }
    let mut times: Vec<_> = shard.values().copied().collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    shard.retain(|_, full_at| *full_at > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn rate(average: u64, period_s: u64, burst: u64) -> Rate {
        Rate::new(average, Duration::from_secs(period_s), burst).expect("a rate").expect("a limit")
    }

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let rate = rate(10, 1, 3);
        let mut full_at = 0;
        let mut passes = |now_ms: u64| match rate.judge(full_at, 1_000_000 * MS + now_ms * MS) {
            (Verdict::Pass(wait), Some(next)) => {
                full_at = next;
                Ok(wait.as_millis())
            }
            (Verdict::Refuse(wait), _) => Err(wait.as_millis()),
            _ => panic!("one that passes is counted"),
        };
        assert_eq!([passes(0), passes(0), passes(0)], [Ok(0), Ok(0), Ok(0)]);
        assert_eq!(passes(0), Err(100));
        // Within half an interval of its place a request waits instead, as with Traefik.
        assert_eq!(passes(60), Ok(40));
        assert_eq!(passes(60), Err(140));
        assert_eq!(passes(10_000), Ok(0));
        assert_eq!([passes(10_000), passes(10_000), passes(10_000)], [Ok(0), Ok(0), Err(100)]);
    }

    #[test]
    fn a_slow_rate_makes_nobody_wait_longer_than_half_a_second() {
        let rate = rate(6, 60, 1);
        assert_eq!(rate.wait_limit_ns, 500 * MS);
        assert_eq!(rate.interval_ns, 10_000 * MS);
        assert!(Rate::new(0, Duration::from_secs(1), 1).expect("no limit").is_none());
        assert!(Rate::new(1, Duration::from_secs(3_600), u64::MAX).is_err());
    }

    #[test]
    fn buckets_are_bounded_and_the_fullest_go_first() {
        let mut shard = Shard::default();
        for key in 0..1_000_000_u64 {
            make_room(&mut shard, key, 0);
            shard.insert(key, 1_000 + key);
            assert!(shard.len() <= BUCKET_LIMIT / SHARDS);
        }
        // Whoever is furthest from a full bucket is still known: he cannot wash himself clean with other addresses.
        assert!(shard.contains_key(&999_999));
        make_room(&mut shard, 5_000_000, u64::MAX);
        assert!(shard.len() < BUCKET_LIMIT / SHARDS);
    }
}
