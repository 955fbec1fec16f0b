//! Tickets: by one of them a session of the hub becomes a cookie on a user's own host.
//!
//! A ticket is random, lives for seconds, and is taken out of the table by the first who shows it, whatever comes of it. It
//! is good on one host, for one browser (`state` is the hash of what that browser holds in a cookie there), one session
//! and one address. Tickets live in memory alone: none outlives us, so none can be used twice.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::model::{Random, Secret, SessionKey, Timestamp};

/// How long a ticket is good. 30 s: two redirects over a bad line.
const LIFE: Duration = Duration::from_secs(30);
/// Tickets alive at once, some 300 bytes each: as many people who open their servers within 30 s.
const LIMIT: usize = 8192;
/// Of one session: as many tabs opened within 30 s. One more takes the oldest's place.
const LIMIT_PER_SESSION: usize = 64;

/// What a ticket is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Whose browser.
    pub(super) session: SessionKey,
    /// The label of the host.
    pub(super) label: String,
    /// Hash of the nonce that the browser holds there.
    pub(super) state: String,
    /// Path and query to go on to.
    pub(super) target: String,
}

/// The tickets that have been given out and not been shown yet.
pub(super) struct Tickets {
    random: Random,
    alive: Mutex<HashMap<[u8; 32], (Ticket, Timestamp)>>,
}

/// As what a nonce travels: whoever sees it cannot make the cookie from it.
pub(super) fn state_of(nonce: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(nonce.as_bytes()))
}

impl Tickets {
    pub(super) fn new(random: Random) -> Self {
        Self { random, alive: Mutex::default() }
    }

    /// Something for a browser to hold on a host while it fetches a ticket.
    pub(super) fn nonce(&self) -> String {
        self.random.hex::<32>()
    }

    /// A new ticket, or none if too many people are on their way.
    pub(super) fn issue(&self, ticket: Ticket, now: Timestamp) -> Option<Secret> {
        let text = self.random.hex::<32>();
        let mut alive = self.alive.lock();
        alive.retain(|_, (_, issued)| is_alive(*issued, now));
        let own = || alive.iter().filter(|(_, (other, _))| other.session == ticket.session);
        if own().count() >= LIMIT_PER_SESSION {
            let oldest = own().min_by_key(|(_, (_, issued))| *issued).map(|(key, _)| *key);
            oldest.and_then(|key| alive.remove(&key));
        }
        if alive.len() >= LIMIT {
            return None;
        }
        alive.insert(Sha256::digest(text.as_bytes()).into(), (ticket, now));
        Some(Secret::new(text))
    }

    /// What the ticket `text` is good for, if it is good on this host for one of these browsers. It is used up in any case.
    pub(super) fn redeem(&self, text: &str, label: &str, states: &[String], now: Timestamp) -> Option<Ticket> {
        let key: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let (ticket, issued) = self.alive.lock().remove(&key)?;
        let is_good = is_alive(issued, now) && ticket.label == label && states.contains(&ticket.state);
        is_good.then_some(ticket)
    }
}

/// A clock that was set back ends them, too.
fn is_alive(issued: Timestamp, now: Timestamp) -> bool {
    now >= issued && now.since(issued) < LIFE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(session: u8) -> Ticket {
        let (label, target) = ("alice".to_owned(), "/user/alice/lab".to_owned());
        Ticket { session: SessionKey([session; 32]), label, state: state_of("nonce"), target }
    }

    #[test]
    fn a_ticket_is_good_once_and_only_where_it_was_meant_for() {
        let tickets = Tickets::new(Random::from_seed(1));
        let (mine, others) = ([state_of("nonce")], [state_of("another")]);
        let check = |label: &str, states: &[String], at: i64, expected: bool| {
            let text = tickets.issue(ticket(1), Timestamp(1000)).expect("a ticket");
            let got = tickets.redeem(text.expose(), label, states, Timestamp(at));
            assert_eq!(got.is_some(), expected, "{label} {states:?} {at}");
            assert_eq!(tickets.redeem(text.expose(), "alice", &mine, Timestamp(1000)), None, "it is used up");
        };
        check("alice", &mine, 1000, true);
        check("alice", &mine, 30_999, true);
        check("alice", &mine, 31_000, false);
        check("alice", &mine, 999, false);
        check("mallory", &mine, 1000, false);
        check("alice", &others, 1000, false);
        check("alice", &[], 1000, false);
        assert_eq!(tickets.redeem("no ticket", "alice", &mine, Timestamp(1000)), None);
    }

    #[test]
    fn one_person_cannot_keep_others_from_having_tickets() {
        let tickets = Tickets::new(Random::from_seed(1));
        let first = tickets.issue(ticket(1), Timestamp(1)).expect("a ticket");
        for at in 0..2 * LIMIT_PER_SESSION {
            assert!(tickets.issue(ticket(1), Timestamp(2 + at as i64)).is_some());
        }
        assert_eq!(tickets.alive.lock().len(), LIMIT_PER_SESSION);
        assert_eq!(tickets.redeem(first.expose(), "alice", &[state_of("nonce")], Timestamp(300)), None);
        assert!(tickets.issue(ticket(2), Timestamp(300)).is_some());
        tickets.issue(ticket(2), Timestamp(100_000));
        assert_eq!(tickets.alive.lock().len(), 1, "what is over goes with the next one");
    }
}
