//! The background job: writes down who was seen when, and sweeps what has ended by itself.
//!
//! The edge notes activity in memory only. A row is written when it lags behind by `RESOLUTION`: somebody who comes back
//! after a while is in the store within two seconds, somebody who is busy costs a row in half a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Auth, Session, Shared, Token, User};
use crate::model::{Actor, SessionKey, Timestamp, TokenId};
use crate::store::{SessionRow, StoreError, Transaction, UserRow};

/// How often what has ended by itself is swept.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often activity in memory is compared with what is stored. 2 s: it takes a millisecond for 10,000 sessions.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The stored time of somebody who is busy lags behind by at most this: JupyterHub's `activity_resolution`.
const RESOLUTION: Duration = Duration::from_secs(30);
/// Rows written in one commit: the store is held for a few milliseconds, not for a whole table.
const ROWS_PER_COMMIT: usize = 500;

impl Auth {
    /// Sweeps once a minute and writes activity when it is due until `stopping`, and everything once more then.
    /// Idempotent; for `Tasks`.
    pub async fn keep_activity(self, stopping: CancellationToken) {
        let mut swept_at = Instant::now();
        let mut is_stopping = false;
        while !is_stopping {
            is_stopping = tokio::time::timeout(LOOK_EVERY, stopping.cancelled()).await.is_ok();
            let done = if is_stopping || swept_at.elapsed() >= SWEEP_EVERY {
                swept_at = Instant::now();
                self.flush_activity().await
            } else {
                self.run(|shared| {
                    shared.write_visits()?;
                    shared.write_activity(RESOLUTION)
                })
                .await
            };
            if let Err(error) = done {
                tracing::warn!(error = &error as &dyn std::error::Error, "activity could not be written down");
            }
        }
    }

    /// Ends sessions and tokens that are over, and writes down who was seen, and who failed to sign in, since the last
    /// time.
    ///
    /// # Errors
    /// If the store could not be written; the next call does what this one could not.
    pub async fn flush_activity(&self) -> Result<(), StoreError> {
        self.run(|shared| {
            shared.sweep()?;
            shared.write_failures()?;
            shared.write_visits()?;
            shared.write_activity(Duration::ZERO)
        })
        .await
    }
}

impl Shared {
    fn sweep(&self) -> Result<(), StoreError> {
        let now = self.now();
        self.tokens.sweep_visiting(now);
        let _act = self.acts.lock();
        let limits = self.config.read().session_limits();
        let is_over =
            |session: &Arc<Session>| session.is_over() || limits.is_over(session.created, session.last_seen(), now);
        let over: Vec<_> = self.sessions.all().into_iter().filter(is_over).collect();
        if !over.is_empty() {
            self.end_sessions(&over, |_, _| Ok(()))?;
        }
        self.finish_ends()?;
        let expired: Vec<_> = self.tokens.all().into_iter().filter(|token| token.is_expired(now)).collect();
        self.end_tokens(&expired)?;
        self.sweep_codes(now)
    }

    /// Deletes the rows of what has ended in memory when the store could not be written.
    pub(super) fn finish_ends(&self) -> Result<(), StoreError> {
        let unfinished = std::mem::take(&mut *self.unfinished.lock());
        if unfinished.sessions.is_empty() && unfinished.tokens.is_empty() {
            return Ok(());
        }
        let deleted = self.store.write(|t| {
            unfinished.sessions.iter().try_for_each(|key| t.delete_session(key))?;
            unfinished.tokens.iter().try_for_each(|id| t.delete_token(*id))
        });
        if deleted.is_err() {
            *self.unfinished.lock() = unfinished;
        }
        deleted
    }

    fn write_failures(&self) -> Result<(), StoreError> {
        let failures = self.failures.lock().take_rows();
        if failures.is_empty() {
            return Ok(());
        }
        self.store.write(|t| {
            failures.iter().try_for_each(|row| {
                // Nobody knows who it was: the name is the one that was tried.
                let by = Actor { from: Some(row.from), .."unknown".into() };
                t.audit(row.at, &by, "failed to sign in as", &row.object)
            })
        })
    }

    fn write_activity(&self, resolution: Duration) -> Result<(), StoreError> {
        let mut changes = self.activity_changes(resolution);
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(ROWS_PER_COMMIT));
            self.store.write(|t| changes.iter().try_for_each(|change| change.write(t)))?;
            changes.iter().for_each(Change::is_stored);
            changes = rest;
        }
        Ok(())
    }

    /// Whose stored time lags behind by `resolution` at least.
    fn activity_changes(&self, resolution: Duration) -> Vec<Change> {
        let is_due = |at: Timestamp, stored: &AtomicI64| {
            let stored = Timestamp(stored.load(Ordering::Relaxed));
            at != stored && at.since(stored) >= resolution
        };
        let mut changes = Vec::new();
        for session in self.sessions.all() {
            let at = session.last_seen();
            if is_due(at, &session.stored_seen) {
                changes.push(Change::Session(session, at));
            }
        }
        for user in self.users.pin().values() {
            if let Some(at) = user.last_activity().filter(|at| is_due(*at, &user.stored_activity)) {
                changes.push(Change::User(Arc::clone(user), at));
            }
        }
        for token in self.tokens.all() {
            if let Some(at) = token.last_used().filter(|at| is_due(*at, &token.stored_use)) {
                changes.push(Change::Token(token, at));
            }
        }
        changes
    }
}

/// What has ended in memory while the store could not be written. Its rows would bring it back at the next start.
#[derive(Default)]
pub(super) struct Unfinished {
    pub(super) sessions: Vec<SessionKey>,
    pub(super) tokens: Vec<TokenId>,
}

impl Unfinished {
    pub(super) fn note(&mut self, sessions: &[Arc<Session>], tokens: &[Arc<Token>]) {
        self.sessions.extend(sessions.iter().map(|session| session.key));
        self.tokens.extend(tokens.iter().filter_map(|token| token.id));
    }
}

/// One row that is behind. What was deleted meanwhile is not brought back.
enum Change {
    Session(Arc<Session>, Timestamp),
    User(Arc<User>, Timestamp),
    Token(Arc<Token>, Timestamp),
}

impl Change {
    fn write(&self, t: &mut Transaction<'_>) -> Result<(), StoreError> {
        match self {
            Self::Session(session, at) => {
                let key: SessionKey = session.key;
                let Some(row) = t.session(&key)? else { return Ok(()) };
                t.put_session(&SessionRow { last_seen: *at, ..row })
            }
            Self::User(user, at) => {
                let Some(row) = t.user(&user.name)? else { return Ok(()) };
                t.put_user(&UserRow { last_activity: Some(*at), ..row })
            }
            Self::Token(token, at) => {
                let Some(id) = token.id else { return Ok(()) };
                let Some(row) = t.token(id)? else { return Ok(()) };
                t.put_token(&crate::store::TokenRow { last_activity: Some(*at), ..row })
            }
        }
    }

    fn is_stored(&self) {
        match self {
            Self::Session(session, at) => session.stored_seen.store(at.0, Ordering::Relaxed),
            Self::User(user, at) => user.stored_activity.store(at.0, Ordering::Relaxed),
            Self::Token(token, at) => token.stored_use.store(at.0, Ordering::Relaxed),
        }
    }
}
