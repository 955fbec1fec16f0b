//! Counts failed tries, so that guessing passwords is slow while the owner of a name can always sign in.
//!
//! What locks is the pair of name and address, and the address alone; never the name alone, or anybody could lock
//! anybody out. A name that is hammered from everywhere only gets fewer tries from addresses it has not signed in
//! from. Names are kept as hashes in tables of a fixed size: a million invented names take no more room than one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::Timestamp;

/// Entries per half of a table. All tables full, as under an attack from many networks, are some 13 MiB.
const ENTRIES_LIMIT: usize = 32_768;
/// A name is hammered once it has had so many times the tries of one pair.
const HAMMERED_FACTOR: u32 = 10;

/// A client as limits see it: an IPv4 address, or an IPv6 network of 64 bits, which one household has whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ClientNet(u128);

impl ClientNet {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().to_bits()),
            IpAddr::V6(v6) => Self(v6.to_bits() >> 64 << 64),
        }
    }
}

/// Who is let through first while more passwords are to be checked than there is time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Has signed in with this name from this address, or is signed in.
    Known,
    /// From an address of which no other try is held against it.
    Clean,
    /// From an address that has guessed, or is about to; or of somebody who has no account yet.
    Suspect,
}

/// Limits of a `Throttle`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) per_name: u32,
    pub(super) per_address: u32,
    pub(super) window: Duration,
}

/// Counts of failed tries.
pub(super) struct Throttle {
    limits: Limits,
    hasher: ahash::RandomState,
    by_pair: Counts,
    /// Tries that were begun and did not succeed; those that still wait for their turn are among them.
    by_address: Counts,
    /// Tries whose password was looked at and was not right. Only these lock an address: a class that signs in at nine
    /// has more under way than anybody may guess, and is right.
    wrong_by_address: Counts,
    by_name: Counts,
    /// Pairs that have signed in: they keep their tries while the name is hammered.
    known: Counts,
}

impl Throttle {
    pub(super) fn new(limits: Limits) -> Self {
        let hasher = ahash::RandomState::new();
        Self {
            limits,
            hasher,
            by_pair: Counts::new(limits.window),
            by_address: Counts::new(limits.window),
            wrong_by_address: Counts::new(limits.window),
            by_name: Counts::new(limits.window),
            // 30 days: who signs in once a month from the office is known there.
            known: Counts::new(Duration::from_secs(30 * 24 * 3600)),
        }
    }

    /// From now on these limits hold; what has been counted stays.
    pub(super) fn follow(&mut self, limits: Limits) {
        self.limits = limits;
        for counts in [&mut self.by_pair, &mut self.by_address, &mut self.wrong_by_address, &mut self.by_name] {
            counts.window = limits.window;
        }
    }

    /// Counts a try before it waits for its turn, so that a hundred at once at one name are a hundred. `Err` is the time
    /// to wait.
    pub(super) fn begin(&mut self, name: &str, address: IpAddr, now: Timestamp) -> Result<Standing, Duration> {
        let (pair, net, name) = self.keys(name, address);
        let is_hammered = self.by_name.of(name, now) >= self.limits.per_name.saturating_mul(HAMMERED_FACTOR);
        let is_known = self.known.of(pair, now) > 0;
        let per_pair = if is_hammered && !is_known { 1 } else { self.limits.per_name };
        self.may_be_wrong(net, now)?;
        if self.by_pair.of(pair, now) >= per_pair {
            return Err(self.by_pair.wait(pair, now));
        }
        let standing = match self.by_address.of(net, now) {
            _ if is_known => Standing::Known,
            0 => Standing::Clean,
            _ => Standing::Suspect,
        };
        self.by_address.count(net, now);
        self.by_pair.count(pair, now);
        self.by_name.count(name, now);
        Ok(standing)
    }

    /// Counts a try as wrong at its turn, before its password is looked at: `succeeded` takes that back. What is looked
    /// at meanwhile is counted, so however many an address begins at once, no more than its share is ever answered.
    /// `Err` is the time to wait.
    pub(super) fn take_turn(&mut self, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let net = self.hasher.hash_one(ClientNet::of(address));
        self.may_be_wrong(net, now)?;
        self.wrong_by_address.count(net, now);
        Ok(())
    }

    fn may_be_wrong(&self, net: u64, now: Timestamp) -> Result<(), Duration> {
        if self.wrong_by_address.of(net, now) >= self.limits.per_address {
            return Err(self.wrong_by_address.wait(net, now));
        }
        Ok(())
    }

    /// Counts a sign-up; they have only their address in common, so only that is limited.
    pub(super) fn begin_sign_up(&mut self, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let key = self.hasher.hash_one(("sign-up", ClientNet::of(address)));
        if self.by_address.of(key, now) >= self.limits.per_address {
            return Err(self.by_address.wait(key, now));
        }
        self.by_address.count(key, now);
        Ok(())
    }

    /// The try was no guess: it is not held against anybody.
    pub(super) fn succeeded(&mut self, name: &str, address: IpAddr, now: Timestamp) {
        let (pair, net, name) = self.keys(name, address);
        self.by_pair.forget(pair);
        self.by_address.uncount(net);
        self.wrong_by_address.uncount(net);
        self.by_name.uncount(name);
        self.known.forget(pair);
        self.known.count(pair, now);
    }

    /// The try was never made: there was no room, or at its turn its address had guessed enough.
    pub(super) fn withdrawn(&mut self, name: &str, address: IpAddr) {
        let (pair, net, name) = self.keys(name, address);
        self.by_pair.uncount(pair);
        self.by_address.uncount(net);
        self.by_name.uncount(name);
    }

    fn keys(&self, name: &str, address: IpAddr) -> (u64, u64, u64) {
        let net = ClientNet::of(address);
        (self.hasher.hash_one((name, net)), self.hasher.hash_one(net), self.hasher.hash_one(name))
    }
}

/// Counters that forget after a window, in a bounded table.
///
/// Two halves: when the newer is full it becomes the older, and the older goes. A flood of keys thus forgets what
/// was counted longest ago first, and an address is stopped by its own counter long before it can flood.
struct Counts {
    window: Duration,
    newer: HashMap<u64, Tries>,
    older: HashMap<u64, Tries>,
}

#[derive(Clone, Copy)]
struct Tries {
    count: u32,
    first_at: Timestamp,
}

impl Counts {
    fn new(window: Duration) -> Self {
        Self { window, newer: HashMap::new(), older: HashMap::new() }
    }

    fn get(&self, key: u64, now: Timestamp) -> Option<Tries> {
        let tries = self.newer.get(&key).or_else(|| self.older.get(&key))?;
        // A clock set back must not lock anybody for longer than the window.
        let is_within = tries.first_at <= now && now.since(tries.first_at) < self.window;
        is_within.then_some(*tries)
    }

    fn of(&self, key: u64, now: Timestamp) -> u32 {
        self.get(key, now).map_or(0, |tries| tries.count)
    }

    fn wait(&self, key: u64, now: Timestamp) -> Duration {
        let left = self.get(key, now).map_or(Duration::ZERO, |tries| self.window - now.since(tries.first_at));
        left.max(Duration::from_secs(1))
    }

    fn count(&mut self, key: u64, now: Timestamp) {
        let mut tries = self.get(key, now).unwrap_or(Tries { count: 0, first_at: now });
        tries.count = tries.count.saturating_add(1);
        if self.newer.len() >= ENTRIES_LIMIT && !self.newer.contains_key(&key) {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key, tries);
    }

    fn uncount(&mut self, key: u64) {
        for half in [&mut self.newer, &mut self.older] {
            if let Some(tries) = half.get_mut(&key) {
                tries.count = tries.count.saturating_sub(1);
            }
        }
    }

    fn forget(&mut self, key: u64) {
        self.newer.remove(&key);
        self.older.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { per_name: 3, per_address: 20, window: Duration::from_secs(60) };

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn seconds(s: i64) -> Timestamp {
        Timestamp(s * 1000)
    }

    #[test]
    fn a_name_is_locked_for_the_address_that_guesses_and_for_no_other() {
        let mut throttle = Throttle::new(LIMITS);
        for _ in 0..3 {
            assert!(throttle.begin("alice", address(1), seconds(0)).is_ok());
        }
        assert_eq!(throttle.begin("alice", address(1), seconds(20)), Err(Duration::from_secs(40)));
        assert!(throttle.begin("bob", address(1), seconds(20)).is_ok());
        assert!(throttle.begin("alice", address(2), seconds(20)).is_ok());
        assert!(throttle.begin("alice", address(1), seconds(60)).is_ok());
    }

    #[test]
    fn whoever_has_signed_in_stands_before_strangers_and_these_before_those_who_guess() {
        let mut throttle = Throttle::new(LIMITS);
        assert_eq!(throttle.begin("alice", address(1), seconds(0)), Ok(Standing::Clean));
        assert_eq!(throttle.begin("alice", address(1), seconds(1)), Ok(Standing::Suspect));
        throttle.succeeded("alice", address(1), seconds(1));
        assert_eq!(throttle.begin("alice", address(1), seconds(2)), Ok(Standing::Known));
        assert_eq!(throttle.begin("bob", address(1), seconds(2)), Ok(Standing::Suspect));
        assert_eq!(throttle.begin("bob", address(2), seconds(2)), Ok(Standing::Clean));
    }

    #[test]
    fn an_address_is_locked_whatever_names_it_tries() {
        let mut throttle = Throttle::new(LIMITS);
        let tried = (0..50).filter(|n| guess(&mut throttle, &format!("user{n}"), 1).is_ok()).count();
        assert_eq!(tried, 20);
        assert_eq!(throttle.begin("alice", address(1), seconds(20)), Err(Duration::from_secs(40)));
        assert!(guess(&mut throttle, "alice", 2).is_ok());
    }

    /// A wrong password, from its beginning to its turn.
    fn guess(throttle: &mut Throttle, name: &str, from: u8) -> Result<(), Duration> {
        throttle.begin(name, address(from), seconds(0))?;
        throttle.take_turn(address(from), seconds(0))
    }

    #[test]
    fn a_class_that_signs_in_at_once_is_not_taken_for_guessers_and_guesses_begun_at_once_gain_nothing() {
        let mut throttle = Throttle::new(LIMITS);
        let names: Vec<_> = (0..150).map(|n| format!("student{n}")).collect();
        for name in &names {
            assert!(throttle.begin(name, address(1), seconds(0)).is_ok(), "all of them are under way");
            assert!(throttle.begin(name, address(2), seconds(0)).is_ok());
        }
        for name in &names {
            assert!(throttle.take_turn(address(1), seconds(1)).is_ok(), "{name}");
            throttle.succeeded(name, address(1), seconds(1));
        }
        let looked_at = names.iter().filter(|_| throttle.take_turn(address(2), seconds(1)).is_ok()).count();
        assert_eq!(looked_at, 20, "guesses of one address");
    }

    #[test]
    fn a_success_clears_the_name_for_that_address() {
        let mut throttle = Throttle::new(LIMITS);
        for _ in 0..30 {
            assert!(throttle.begin("alice", address(1), seconds(0)).is_ok());
            throttle.succeeded("alice", address(1), seconds(0));
        }
    }

    #[test]
    fn a_hammered_name_keeps_its_tries_where_it_has_signed_in_and_one_elsewhere() {
        let mut throttle = Throttle::new(LIMITS);
        assert!(throttle.begin("alice", address(1), seconds(0)).is_ok());
        throttle.succeeded("alice", address(1), seconds(0));
        for n in 10..60 {
            let _ = throttle.begin("alice", address(n), seconds(1));
        }
        let tries = |throttle: &mut Throttle, n| {
            (0..5).filter(|_| throttle.begin("alice", address(n), seconds(2)).is_ok()).count()
        };
        assert_eq!(tries(&mut throttle, 1), 3, "home");
        assert_eq!(tries(&mut throttle, 2), 1, "a clean address");
    }

    #[test]
    fn a_million_names_take_no_more_room_than_the_tables_have() {
        let mut counts = Counts::new(Duration::from_secs(60));
        for key in 0..1_000_000 {
            counts.count(key, seconds(0));
        }
        assert!(counts.newer.len() + counts.older.len() <= 2 * ENTRIES_LIMIT);
        assert_eq!(counts.of(999_999, seconds(0)), 1);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_client() {
        let net = |text: &str| ClientNet::of(text.parse().expect("an address"));
        assert_eq!(net("2001:db8::1"), net("2001:db8::ffff:1"));
        assert_ne!(net("2001:db8::1"), net("2001:db8:0:1::1"));
        assert_eq!(net("::ffff:10.0.0.1"), net("10.0.0.1"));
        assert_ne!(net("10.0.0.1"), net("10.0.0.2"));
    }
}
