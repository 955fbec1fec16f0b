//! What is counted of people: sign-ins and how long they take, and who was here lately.

use std::time::Duration;

use super::{Auth, SignInError};
use crate::model::{Durations, Timing};

/// Results of a sign-in, as labels.
const RESULTS: [&str; 5] = ["ok", "wrong", "not_authorised", "throttled", "failed"];

/// The counts of one `Auth`: a few a second, so all threads share them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    sign_ins: [Timing; RESULTS.len()],
}

impl Counts {
    pub(super) fn note_sign_in<T>(&self, result: &Result<T, SignInError>, took: Duration) {
        let index = match result {
            Ok(_) => 0,
            Err(SignInError::Wrong) => 1,
            Err(SignInError::NotAuthorised | SignInError::Disabled | SignInError::SecondFactor) => 2,
            Err(SignInError::TooMany { .. } | SignInError::Busy { .. }) => 3,
            Err(SignInError::Store(_)) => 4,
        };
        self.sign_ins[index].note(took);
    }
}

/// What has been counted of people so far, and how many there are now.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Sign-ins with a password by result: `ok`, `wrong`, `not_authorised`, `throttled`, `failed`.
    pub sign_ins: Vec<(&'static str, Durations)>,
    /// Accounts.
    pub users: u64,
    /// Accounts that wait for an administrator.
    pub waiting_users: u64,
    /// Browser sign-ins that are alive.
    pub sessions: u64,
    /// Keys that are alive.
    pub tokens: u64,
    /// Who was here within each of these: 24 hours, 7 days, 30 days.
    pub active_users: [(&'static str, u64); 3],
}

/// JupyterHub's periods and its words for them.
const PERIODS: [(&str, Duration); 3] = [
    ("24h", Duration::from_secs(24 * 3600)),
    ("7d", Duration::from_secs(7 * 24 * 3600)),
    ("30d", Duration::from_secs(30 * 24 * 3600)),
];

impl Auth {
    /// What has been counted so far, and how many people there are. Looks at each: for the blocking pool.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let (shared, now) = (&*self.0, self.0.now());
        let (mut users, mut waiting_users) = (0, 0);
        let mut active_users = PERIODS.map(|(name, _)| (name, 0));
        for user in shared.users.pin().values() {
            users += 1;
            waiting_users += u64::from(user.is_waiting());
            let Some(seen) = user.last_activity() else { continue };
            for ((_, count), (_, period)) in active_users.iter_mut().zip(PERIODS) {
                *count += u64::from(now.since(seen) < period);
            }
        }
        let sign_ins = RESULTS.into_iter().zip(&shared.counts.sign_ins);
        Figures {
            sign_ins: sign_ins.map(|(result, timing)| (result, timing.durations())).collect(),
            users,
            waiting_users,
            sessions: shared.sessions.all().len() as u64,
            tokens: shared.tokens.all().len() as u64,
            active_users,
        }
    }
}
