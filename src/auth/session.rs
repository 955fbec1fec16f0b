//! Sessions: browsers that are signed in, in memory, looked up on every request without waiting.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::host_cookie::{SessionMark, mark_of};
use super::{Auth, User};
use crate::model::{SessionKey, Timestamp, UserName};
use crate::store::SessionRow;

/// How far the clock may be set back without a session ending. 2 h: a wrong daylight-saving time, and some.
const CLOCK_SLACK: Duration = Duration::from_secs(2 * 3600);

/// A browser that is signed in.
#[derive(Debug)]
pub struct Session {
    /// Hash of the cookie's value.
    pub key: SessionKey,
    /// Who signed in.
    pub user: Arc<User>,
    /// Value of the `jupyterhub-session-id` cookie, 32 hex.
    pub hub_session_id: String,
    /// When they signed in.
    pub created: Timestamp,
    /// From where; None for one of before that was noted.
    pub from: Option<IpAddr>,
    /// What the browser called itself then.
    pub agent: String,
    /// Cancelled when the session ends: requests and sockets of it are cut within a second.
    pub ended: Arc<CancellationToken>,
    /// The same as `ended`, without the lock that asking that takes.
    is_over: AtomicBool,
    last_seen: AtomicI64,
    /// What of `last_seen` the store knows.
    pub(super) stored_seen: AtomicI64,
}

impl Session {
    pub(super) fn of(row: &SessionRow, user: Arc<User>) -> Self {
        Self {
            key: row.key,
            user,
            hub_session_id: row.hub_session_id.clone(),
            created: row.created,
            from: row.from,
            agent: row.agent.clone(),
            ended: Arc::default(),
            is_over: AtomicBool::new(false),
            last_seen: AtomicI64::new(row.last_seen.0),
            stored_seen: AtomicI64::new(row.last_seen.0),
        }
    }

    /// The last request of this session.
    #[must_use]
    pub fn last_seen(&self) -> Timestamp {
        Timestamp(self.last_seen.load(Ordering::Relaxed))
    }

    /// True once it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Ends it for everybody who holds it.
    fn cut(&self) {
        self.is_over.store(true, Ordering::Release);
        self.ended.cancel();
    }

    /// Notes a request, or traffic on an open socket; times only move forward.
    pub fn note_seen(&self, now: Timestamp) {
        // Reading first keeps the cache line shared between cores: most requests come within the same second.
        if now.since(self.last_seen()) >= Duration::from_secs(1) {
            self.last_seen.fetch_max(now.0, Ordering::Relaxed);
            self.user.note_activity(now);
        }
    }
}

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
}

impl Limits {
    /// Whether a session made at `created` and last used at `last_seen` is over. A clock set back a little ends none;
    /// one that stood far ahead leaves none behind that would never end.
    pub(super) fn is_over(self, created: Timestamp, last_seen: Timestamp, now: Timestamp) -> bool {
        let is_from_the_future = last_seen.since(now) > CLOCK_SLACK || created.since(now) > CLOCK_SLACK;
        is_from_the_future || now.since(last_seen) >= self.idle || now.since(created) >= self.absolute
    }
}

/// All live sessions.
#[derive(Default)]
pub(super) struct SessionTable {
    by_key: papaya::HashMap<SessionKey, Arc<Session>, ahash::RandomState>,
    /// The same by what the cookies of users' hosts say.
    by_mark: papaya::HashMap<SessionMark, Arc<Session>, ahash::RandomState>,
    of_user: Mutex<HashMap<UserName, Vec<Arc<Session>>>>,
}

impl SessionTable {
    pub(super) fn get(&self, key: &SessionKey) -> Option<Arc<Session>> {
        self.by_key.pin().get(key).filter(|session| !session.is_over()).cloned()
    }

    pub(super) fn by_mark(&self, mark: &SessionMark) -> Option<Arc<Session>> {
        self.by_mark.pin().get(mark).filter(|session| !session.is_over()).cloned()
    }

    pub(super) fn add(&self, session: Arc<Session>) {
        self.by_mark.pin().insert(mark_of(&session.key), Arc::clone(&session));
        self.of_user.lock().entry(session.user.name.clone()).or_default().push(Arc::clone(&session));
        self.by_key.pin().insert(session.key, session);
    }

    /// Cuts the session's requests and sockets, and forgets it.
    pub(super) fn end(&self, session: &Session) {
        session.cut();
        self.by_key.pin().remove(&session.key);
        self.by_mark.pin().remove(&mark_of(&session.key));
        let mut of_user = self.of_user.lock();
        let Some(sessions) = of_user.get_mut(&session.user.name) else { return };
        sessions.retain(|other| other.key != session.key);
        if sessions.is_empty() {
            of_user.remove(&session.user.name);
        }
    }

    /// The user's sessions, oldest first.
    pub(super) fn of_user(&self, user: &UserName) -> Vec<Arc<Session>> {
        self.of_user.lock().get(user).cloned().unwrap_or_default()
    }

    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.by_key.pin().values().cloned().collect()
    }
}

impl Auth {
    /// The session that a cookie's value names, if it is live; notes the request. Never blocks.
    #[must_use]
    pub fn session_of_cookie(&self, value: &str) -> Option<Arc<Session>> {
        if value.len() != SessionKey::COOKIE_LENGTH {
            return None;
        }
        self.if_live(self.0.sessions.get(&SessionKey::of_cookie(value))?)
    }

    /// The session if it may still be used; notes the request.
    pub(super) fn if_live(&self, session: Arc<Session>) -> Option<Arc<Session>> {
        let now = self.0.now();
        if self.0.config.read().session_limits().is_over(session.created, session.last_seen(), now) {
            // Its row, and the tokens that hang on it, go with the next sweep.
            session.cut();
            return None;
        }
        if !session.user.is_authorised() {
            return None;
        }
        session.note_seen(now);
        Some(session)
    }
}

impl super::Config {
    pub(super) fn session_limits(&self) -> Limits {
        Limits {
            idle: Duration::from_secs(self.idle_timeout_s),
            absolute: Duration::from_secs(self.absolute_timeout_s),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_idleness_or_by_age_and_not_by_a_clock_set_back() {
        let limits = Limits { idle: Duration::from_millis(10), absolute: Duration::from_millis(100) };
        let check = |created, seen, now, expected| {
            assert_eq!(limits.is_over(Timestamp(created), Timestamp(seen), Timestamp(now)), expected);
        };
        check(0, 50, 59, false);
        check(0, 50, 60, true);
        check(0, 99, 100, true);
        check(0, 95, 99, false);
        check(50, 50, 0, false);
        let hours = |h: i64| h * 3_600_000;
        check(hours(1), hours(1), 0, false);
        check(hours(3), hours(3), 0, true);
    }
}
