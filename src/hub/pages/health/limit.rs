//! How often one address may ask how we are: a rate with a reserve, and a table that cannot grow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::Timestamp;

/// A question a tenth of a second in the long run. The old one a second was an outage for whoever had three tabs open, or
/// sat behind one address with others.
const EACH: Duration = Duration::from_millis(100);
/// So many at once: a room of tabs that wake together.
const RESERVE: u32 = 50;
/// Addresses that are remembered. Beyond it, strangers are answered: an answer costs less than the table.
const ADDRESSES_LIMIT: usize = 4_096;

/// Who has asked, and when each has its whole reserve again.
#[derive(Debug, Default)]
pub(in crate::hub) struct HealthLimit(Mutex<HashMap<IpAddr, Timestamp>>);

impl HealthLimit {
    /// May this address ask now?
    pub(super) fn admits(&self, address: IpAddr, now: Timestamp) -> bool {
        let mut addresses = self.0.lock();
        if addresses.len() >= ADDRESSES_LIMIT && !addresses.contains_key(&address) {
            addresses.retain(|_, full_at| *full_at > now);
            if addresses.len() >= ADDRESSES_LIMIT {
                return true;
            }
        }
        let full_at = addresses.entry(address).or_insert(now);
        // A clock that was set back must shut nobody out for as long.
        let latest = now.plus(EACH * RESERVE);
        let spent = (*full_at).clamp(now, latest);
        if spent.plus(EACH) > latest {
            return false;
        }
        *full_at = spent.plus(EACH);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    /// Trap 50: several tabs behind one address saw an outage.
    #[test]
    fn tabs_that_wake_together_are_all_answered_and_a_flood_is_not() {
        let limit = HealthLimit::default();
        let answered = |now| (0..200).filter(|_| limit.admits(address(1), Timestamp(now))).count();
        assert_eq!(answered(0), 50);
        assert_eq!(answered(0), 0);
        assert!(limit.admits(address(2), Timestamp(0)), "another address");
        assert_eq!(answered(1_000), 10);
        assert_eq!(answered(3_600_000), 50);
        assert!(answered(0) <= 50, "the clock was set back");
    }

    #[test]
    fn the_table_does_not_grow() {
        let limit = HealthLimit::default();
        assert!((0..10_000).all(|number| limit.admits(address(number), Timestamp(0))));
        assert_eq!(limit.0.lock().len(), ADDRESSES_LIMIT);
        assert!(limit.admits(address(20_000), Timestamp(200)));
        assert_eq!(limit.0.lock().len(), 1, "those who have their reserve again are forgotten");
    }
}
