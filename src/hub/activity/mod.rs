//! Who works here how much: looked at every ten minutes, kept for a week, and told to administrators.
//!
//! `weeks` is what is known, in memory; here it is filled, written down and read back. A look costs nothing for those who
//! are away, and one row in a shared commit for each who was active.

mod using;
mod weeks;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::HubState;
use crate::auth::User;
use crate::model::{ActivityScore, Actor, SLOT_MS, Slot, Timestamp, UserName};
use crate::store::{ActivityRow, Store, StoreError};
pub(super) use using::Using;
use weeks::{Account, Scores, Weeks};

/// Before the first look: the servers that run since before us come first.
const FIRST_AFTER: Duration = Duration::from_secs(5);
/// The end of a slot is looked for so often: a clock that jumps is noticed within it.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// Rows of one commit: others wait for the store for some milliseconds, not for the whole table.
const ROWS_PER_COMMIT: usize = 500;

/// What counts as active, and what is worth a warning.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Whoever was seen within this is active. 60 min: one reads and thinks between two clicks.
    pub inactive_after: Duration,
    /// So many hours a day are a score of 100. 8.
    pub target: Duration,
    /// What a server has written beside its volumes, in bytes, from which on there is a warning; 0: never.
    pub warn_layer_bytes: u64,
    /// The volumes of one user together, in bytes, from which on there is a warning; 0: never.
    pub warn_volumes_bytes: u64,
    /// The memory of one user's servers, in percent of the host's, from which on there is a warning; 0: never.
    pub warn_memory_percent: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            inactive_after: Duration::from_secs(3_600),
            target: Duration::from_secs(8 * 3_600),
            warn_layer_bytes: 10 << 30,
            warn_volumes_bytes: 50 << 30,
            warn_memory_percent: 25,
        }
    }
}

/// What is known of everybody's activity.
#[derive(Default)]
pub(super) struct Activity {
    weeks: RwLock<Weeks>,
    /// Held by the one who changes the weeks together with their rows.
    acts: Mutex<()>,
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) at: Timestamp,
    /// Accounts looked at.
    pub(super) users: usize,
    /// Those of them that are active.
    pub(super) active: usize,
}

impl Activity {
    /// How much somebody works here; None without samples.
    pub(super) fn score_of(&self, name: &UserName, created: Timestamp) -> Option<ActivityScore> {
        self.weeks.read().score_of(name, created)
    }

    /// The same of everybody, in one go: by name, with when the account was made.
    pub(super) fn scores(&self) -> Arc<Scores> {
        self.weeks.read().scores()
    }

    /// In how much of each hour of the last week somebody was active, oldest first; None for hours in which nobody looked.
    pub(super) fn hours_of(&self, name: &UserName, created: Timestamp, now: Timestamp) -> Vec<Option<f64>> {
        self.weeks.read().hours_of(name, created, now)
    }

    /// When anybody looked last.
    pub(super) fn last_look(&self) -> Option<Timestamp> {
        self.weeks.read().last_look()
    }

    /// An account has another name; its row has followed in the commit.
    pub(super) fn renamed(&self, from: &UserName, to: &UserName) {
        self.weeks.write().renamed(from, to);
    }
}

impl HubState {
    /// Looks at everybody every ten minutes, until the program stops. For `Tasks`.
    pub async fn keep_activity_samples(self, stopping: CancellationToken) {
        let look = async {
            while let Err(error) = self.load_activity().await {
                warn!(error = &error as &dyn std::error::Error, "what is known of activity could not be read");
                sleep(CHECK_EVERY).await;
            }
            sleep(FIRST_AFTER).await;
            let mut looked_in = None;
            loop {
                let slot = Slot::of(self.clock.now());
                if looked_in != Some(slot) {
                    match self.look_at_activity().await {
                        Ok(_) => looked_in = Some(slot),
                        Err(error) => {
                            warn!(error = &error as &dyn std::error::Error, "who was active could not be written down");
                        }
                    }
                }
                sleep(CHECK_EVERY).await;
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = look => {}
        }
    }

    /// Reads what is kept.
    pub(super) async fn load_activity(&self) -> Result<(), StoreError> {
        let state = self.clone();
        blocking(move || {
            let (rows, seen) = (state.program.store.activity()?, state.program.store.seen_slots()?);
            let mut weeks = Weeks::of(rows, seen);
            weeks.set_scores(weeks.work_out(&state.accounts(), state.clock.now(), state.newest.read().activity.target));
            *state.activity.weeks.write() = weeks;
            Ok(())
        })
        .await
    }

    /// Looks at everybody now: adds to what is known of the present ten minutes.
    ///
    /// # Errors
    /// If the store could not be written; what was seen is kept in memory and written with the next look.
    pub(super) async fn look_at_activity(&self) -> Result<Looked, StoreError> {
        let _act = self.activity.acts.lock().await;
        let state = self.clone();
        blocking(move || state.look_and_write()).await
    }

    /// Forgets when anybody was active, and says so in the audit log in the same commit.
    pub(super) async fn forget_activity(&self, by: &Actor) -> Result<usize, StoreError> {
        let _act = self.activity.acts.lock().await;
        let (state, by) = (self.clone(), by.clone());
        blocking(move || {
            let now = state.clock.now();
            state.program.store.write(|t| {
                t.forget_all_activity()?;
                t.audit(now, &by, "forgot activity of", "all users")
            })?;
            let count = state.activity.weeks.read().scores().len();
            *state.activity.weeks.write() = Weeks::default();
            Ok(count)
        })
        .await
    }

    /// Blocks on the store.
    fn look_and_write(&self) -> Result<Looked, StoreError> {
        let now = self.clock.now();
        let accounts = self.accounts();
        let active: Vec<_> = accounts.iter().filter(|account| self.is_active(account, now)).collect();
        let (rows, gone, seen) = {
            let mut weeks = self.activity.weeks.write();
            weeks.look(&accounts, &active, now);
            weeks.unwritten()
        };
        // Beside the lock that pages wait for: ten thousand take some milliseconds.
        let scores = self.activity.weeks.read().work_out(&accounts, now, self.newest.read().activity.target);
        self.activity.weeks.write().set_scores(scores);
        let looked = Looked { at: now, users: accounts.len(), active: active.len() };
        self.program.store.write(|t| t.put_seen_slots(&seen))?;
        for gone in gone.chunks(ROWS_PER_COMMIT) {
            self.program.store.write(|t| gone.iter().try_for_each(|name| t.forget_activity(name)))?;
        }
        for rows in rows.chunks(ROWS_PER_COMMIT) {
            write_rows(&self.program.store, rows)?;
            self.activity.weeks.write().are_written(rows);
        }
        Ok(looked)
    }

    /// Everybody, with when they last did something.
    fn accounts(&self) -> Vec<Account> {
        let used = self.servers_used_at();
        let account = |user: Arc<User>| Account {
            name: user.name.clone(),
            created: user.created(),
            last_seen: last_seen(&user, &used),
        };
        self.auth.everybody().into_iter().map(account).collect()
    }

    /// When the running servers of each user were last used, by what counts as use for idle servers as well: the polling
    /// of a forgotten tab does not. Whoever has no running server is not here.
    pub(super) fn servers_used_at(&self) -> HashMap<UserName, Option<Timestamp>> {
        let mut used: HashMap<UserName, Option<Timestamp>> = HashMap::new();
        for (server, _) in self.spawner.active() {
            let Some(view) = self.spawner.idle_view(&server) else { continue };
            let latest = used.entry(server.user).or_default();
            *latest = (*latest).max(view.last.map(|(_, at)| at));
        }
        used
    }

    fn is_active(&self, account: &Account, now: Timestamp) -> bool {
        is_active(account.last_seen, now, self.newest.read().activity.inactive_after)
    }
}

/// When somebody last did something: at a server of theirs that runs, else here in person. The account's own time is
/// moved by every request and by what servers report of themselves, a forgotten tab's too.
pub(super) fn last_seen(user: &User, used: &HashMap<UserName, Option<Timestamp>>) -> Option<Timestamp> {
    used.get(&user.name).copied().unwrap_or_else(|| user.last_activity())
}

/// Whether somebody who was last seen then is active now. A time that has not come is none: the clock was ahead once.
pub(super) fn is_active(last_seen: Option<Timestamp>, now: Timestamp, inactive_after: Duration) -> bool {
    let slack = Duration::from_millis(SLOT_MS.unsigned_abs());
    last_seen.is_some_and(|at| now.since(at) <= inactive_after && at.since(now) <= slack)
}

/// What belongs to accounts that have ended meanwhile, or are somebody else's now, is not brought back.
fn write_rows(store: &Store, rows: &[ActivityRow]) -> Result<(), StoreError> {
    store.write(|t| {
        rows.iter().try_for_each(|row| {
            let is_theirs = t.user(&row.owner)?.is_some_and(|user| user.created == row.created);
            if is_theirs { t.put_activity(row) } else { Ok(()) }
        })
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panicked) => Err(StoreError::Unknown(panicked.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_seen_within_the_hour_is_active_and_nobody_of_the_future() {
        let (now, hour) = (Timestamp(100_000_000), Duration::from_secs(3_600));
        let minutes = |minutes: i64| Some(Timestamp(now.0 - minutes * 60_000));
        for (last_seen, expected) in [(None, false), (minutes(0), true), (minutes(60), true), (minutes(61), false)] {
            assert_eq!(is_active(last_seen, now, hour), expected, "{last_seen:?}");
        }
        assert!(is_active(minutes(-5), now, hour), "two clocks of one host differ a little");
        assert!(!is_active(minutes(-600), now, hour), "the clock was ahead for a while");
    }
}
