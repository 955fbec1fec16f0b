//! How busy a server was between two looks, and whose turn it is to be looked at: pure.

use std::cmp::Reverse;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{ServerKey, Timestamp};
use crate::spawner::backend::ProcessorReading;

/// Who was active within this is looked at more often, and first. 1 h, as pages say «active» of a person.
const IN_USE: Duration = Duration::from_secs(3_600);
/// How much seldomer servers that nobody uses are looked at.
const OTHERS: u32 = 6;
/// A sample is believed for so many turns of the seldom ones.
const BELIEVED_TURNS: u32 = 3;

/// Cores in use between two readings; None: they are not of one run, or too near to each other to tell.
pub(super) fn cores(before: ProcessorReading, after: ProcessorReading) -> Option<f64> {
    let used = after.used_ns.checked_sub(before.used_ns)?;
    let core = after.core_ns.checked_sub(before.core_ns)?;
    // The kernel counts in hundredths of a second: below a tenth the result is chance.
    if core < 100_000_000 {
        return None;
    }
    Some((used as f64 / core as f64).min(f64::from(after.cores)))
}

/// True of a server that somebody has used lately.
pub(super) fn is_in_use(active_at: Option<Timestamp>, now: Timestamp) -> bool {
    active_at.is_some_and(|at| now.since(at) < IN_USE)
}

/// How often servers are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Those in use; zero: nobody is ever looked at.
    pub(super) in_use: Duration,
}

impl Pace {
    /// Those whose turn it is, at most `limit`: in use first, among them who has waited longest. Each comes with whether it
    /// is in use and when it was last looked at.
    pub(super) fn turns(
        &self,
        all: impl Iterator<Item = (ServerKey, bool, Option<Instant>)>,
        now: Instant,
        limit: usize,
    ) -> Vec<ServerKey> {
        // Half a turn early is no harm, and a round that took a moment must not cost one a whole turn.
        let slack = self.in_use / 2;
        let mut due: Vec<_> = all
            .filter_map(|(server, is_in_use, looked_at)| {
                let interval = if is_in_use { self.in_use } else { self.in_use * OTHERS };
                let waited = looked_at.map(|at| now.saturating_duration_since(at));
                let is_due = waited.is_none_or(|waited| waited + slack >= interval);
                // One that has never been looked at has waited longest.
                let waited = waited.unwrap_or(Duration::MAX);
                // Nobody waits for ever: whoever waits thrice as long as may be comes first.
                let is_late = waited >= interval * 3 && waited != Duration::MAX;
                is_due.then_some((Reverse(is_late), Reverse(is_in_use), Reverse(waited), server))
            })
            .collect();
        due.sort_unstable();
        due.into_iter().take(limit).map(|(.., server)| server).collect()
    }

    /// How old a sample may be.
    pub(super) fn believed_for(&self) -> Duration {
        self.in_use * OTHERS * BELIEVED_TURNS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserName;

    fn reading(used_ns: u64, core_ns: u64) -> ProcessorReading {
        ProcessorReading { used_ns, core_ns, cores: 2 }
    }

    #[test]
    fn one_core_all_the_time_is_one() {
        let second = 1_000_000_000;
        assert_eq!(cores(reading(5, 7), reading(5 + 10 * second, 7 + 10 * second)), Some(1.0));
        assert_eq!(cores(reading(0, 0), reading(second / 2, second)), Some(0.5));
        assert_eq!(cores(reading(9, 0), reading(9, second)), Some(0.0), "idle is known to be idle");
        assert_eq!(cores(reading(0, 0), reading(9 * second, second)), Some(2.0), "never more than there are");
    }

    #[test]
    fn counters_of_another_run_and_of_no_time_tell_nothing() {
        assert_eq!(cores(reading(9, 0), reading(8, 1_000_000_000)), None, "it was restarted between");
        assert_eq!(cores(reading(0, 9), reading(1, 8)), None, "the host was");
        assert_eq!(cores(reading(0, 5), reading(1, 5)), None);
        assert_eq!(cores(reading(0, 0), reading(10_000_000, 20_000_000)), None);
    }

    #[test]
    fn those_in_use_come_first_and_nobody_waits_for_ever() {
        let key = |name: &str| ServerKey::default_of(UserName::parse(name).expect("a name"));
        let start = Instant::now();
        let now = start + Duration::from_secs(1_000);
        let ago = |seconds| Some(now - Duration::from_secs(seconds));
        let pace = Pace { in_use: Duration::from_secs(10) };
        let all = [
            (key("idle"), false, ago(61)),
            (key("idle-not-due"), false, ago(20)),
            (key("used"), true, ago(10)),
            (key("used-longer"), true, ago(11)),
            (key("used-not-due"), true, ago(4)),
            (key("newcomer"), true, None),
            (key("forgotten"), false, ago(200)),
        ];
        let turns =
            |limit| pace.turns(all.iter().cloned(), now, limit).iter().map(|key| key.user.to_string()).collect();
        let names: Vec<String> = turns(10);
        assert_eq!(names, ["forgotten", "newcomer", "used-longer", "used", "idle"]);
        let names: Vec<String> = turns(2);
        assert_eq!(names, ["forgotten", "newcomer"]);
    }
}
