//! The background job: writes down who was seen when, and sweeps what has ended by itself.
//!
//! The edge notes activity in memory only; a crash loses a minute of it, which shortens no session noticeably.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Auth, Session, Shared, Token, User};
use crate::model::{SessionKey, Timestamp, TokenId};
use crate::store::{SessionRow, StoreError, Transaction, UserRow};

/// How often activity is written down.
const FLUSH_INTERVAL: Duration = Duration::from_secs(60);
/// Rows written in one commit: the store is held for a few milliseconds, not for a whole table.
const ROWS_PER_COMMIT: usize = 500;

impl Auth {
    /// Flushes once a minute until `stopping`, and once more then. Idempotent; for `Tasks`.
    pub async fn keep_activity(self, stopping: CancellationToken) {
        let mut is_stopping = false;
        while !is_stopping {
            is_stopping = tokio::time::timeout(FLUSH_INTERVAL, stopping.cancelled()).await.is_ok();
            if let Err(error) = self.flush_activity().await {
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
            shared.write_activity()
        })
        .await
    }
}

impl Shared {
    fn sweep(&self) -> Result<(), StoreError> {
        let now = self.now();
        self.tokens.sweep_visiting(now);
        let _act = self.acts.lock();
        let limits = self.config.session_limits();
        let is_over =
            |session: &Arc<Session>| session.is_over() || limits.is_over(session.created, session.last_seen(), now);
        let over: Vec<_> = self.sessions.all().into_iter().filter(is_over).collect();
        if !over.is_empty() {
            self.end_sessions(&over, |_, _| Ok(()))?;
        }
        self.finish_ends()?;
        let expired: Vec<_> = self.tokens.all().into_iter().filter(|token| token.is_expired(now)).collect();
        self.end_tokens(&expired)
    }

    /// Deletes the rows of what has ended in memory when the store could not be written.
    fn finish_ends(&self) -> Result<(), StoreError> {
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
            failures.iter().try_for_each(|row| t.audit(row.at, &row.from.to_string(), "failed sign-in", &row.object))
        })
    }

    fn write_activity(&self) -> Result<(), StoreError> {
        let mut changes = self.activity_changes();
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(ROWS_PER_COMMIT));
            self.store.write(|t| changes.iter().try_for_each(|change| change.write(t)))?;
            changes.iter().for_each(Change::is_stored);
            changes = rest;
        }
        Ok(())
    }

    fn activity_changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for session in self.sessions.all() {
            let at = session.last_seen();
            if at.0 != session.stored_seen.load(Ordering::Relaxed) {
                changes.push(Change::Session(session, at));
            }
        }
        for user in self.users.pin().values() {
            if let Some(at) = user.last_activity().filter(|at| at.0 != user.stored_activity.load(Ordering::Relaxed)) {
                changes.push(Change::User(Arc::clone(user), at));
            }
        }
        for token in self.tokens.all() {
            if let Some(at) = token.last_used().filter(|at| at.0 != token.stored_use.load(Ordering::Relaxed)) {
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
