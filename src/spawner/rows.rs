//! The spawner's rows in the store, from async code: each call runs on the blocking pool and ends after the fsync.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::model::{Actor, LastSeen, ServerKey, Switches, Timestamp, UserName, VolumeStem};
use crate::store::{ServerRow, Store, StoreError, Transaction, VolumesRow, WatchRow};

/// The store as the spawner uses it.
#[derive(Clone)]
pub(super) struct Rows(pub(super) Store);

/// What somebody did to a server, for the audit: written with the row that says what comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) at: Timestamp,
    pub(super) by: Actor,
    pub(super) act: Cow<'static, str>,
}

impl Rows {
    pub(super) async fn all(&self) -> Result<Vec<ServerRow>, StoreError> {
        self.run(|store| store.servers()).await
    }

    pub(super) async fn put(&self, row: ServerRow, notes: Vec<Note>) -> Result<(), StoreError> {
        self.run(move |store| store.write(|transaction| put(transaction, row, &notes))).await
    }

    /// Tells the audit what was done to these servers.
    pub(super) async fn tell(&self, untold: Vec<(ServerKey, Note)>) -> Result<(), StoreError> {
        self.write(move |transaction| {
            untold
                .iter()
                .try_for_each(|(server, note)| transaction.audit(note.at, &note.by, &note.act, &server.to_string()))
        })
        .await
    }

    /// Writes down when these servers were last used. What has no row has been forgotten meanwhile, and stays so.
    pub(super) async fn note_activity(&self, seen: Vec<(ServerKey, LastSeen)>) -> Result<(), StoreError> {
        self.run(move |store| {
            store.write(|transaction| {
                seen.iter().try_for_each(|(server, seen)| {
                    let Some(row) = transaction.server(server)? else { return Ok(()) };
                    transaction.put_server(&with_seen(row, seen))
                })
            })
        })
        .await
    }

    pub(super) async fn idle_watch(&self) -> Result<Option<WatchRow>, StoreError> {
        self.run(|store| store.idle_watch()).await
    }

    pub(super) async fn volumes_of(&self, owner: &UserName) -> Result<Option<VolumesRow>, StoreError> {
        let owner = owner.clone();
        self.run(move |store| store.volumes_of(&owner)).await
    }

    /// Whose volumes are kept under which names.
    pub(super) async fn owners_by_stem(&self) -> Result<HashMap<VolumeStem, UserName>, StoreError> {
        self.run(|store| Ok(store.volumes()?.into_iter().map(|row| (row.stem, row.owner)).collect())).await
    }

    pub(super) async fn volumes_are_owned(&self) -> Result<bool, StoreError> {
        self.run(Store::volumes_are_owned).await
    }

    /// Whether the volumes under this stem, which is one of `name`, are somebody's.
    pub(super) async fn stem_is_owned(&self, name: &UserName, stem: &VolumeStem) -> Result<bool, StoreError> {
        let (name, stem) = (name.clone(), stem.clone());
        self.run(move |store| store.stem_is_owned(&name, &stem)).await
    }

    pub(super) async fn write(
        &self,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.run(move |store| store.write(act)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.0.clone();
        match tokio::task::spawn_blocking(move || act(&store)).await {
            Ok(result) => result,
            Err(panicked) => Err(StoreError::Unknown(panicked.into())),
        }
    }
}

/// Adds or replaces a row within a commit, and tells the audit what led to it. Here, and not before, it is certain that the account is still there: whoever
/// looked earlier may have been overtaken by its end, and the next person of that name must find nothing.
///
/// # Errors
/// `Gone` if there is no such user.
pub(super) fn put(transaction: &mut Transaction<'_>, mut row: ServerRow, notes: &[Note]) -> Result<(), StoreError> {
    check_owner(transaction, &row.key)?;
    let object = row.key.to_string();
    notes.iter().try_for_each(|note| transaction.audit(note.at, &note.by, &note.act, &object))?;
    // Activity is written beside the steps of a server; a step that began earlier must not take it back.
    if let Some(stored) = transaction.server(&row.key)? {
        row.last_activity = row.last_activity.max(stored.last_activity);
        row.last_seen = row.last_seen.and(&stored.last_seen);
    }
    transaction.put_server(&row)
}

/// The row with what has been seen beside what it holds; times only move forward.
fn with_seen(row: ServerRow, seen: &LastSeen) -> ServerRow {
    let latest = seen.latest(Switches::ALL).map(|(_, at)| at);
    ServerRow { last_activity: row.last_activity.max(latest), last_seen: row.last_seen.and(seen), ..row }
}

pub(super) fn check_owner(transaction: &mut Transaction<'_>, server: &ServerKey) -> Result<(), StoreError> {
    transaction.user(&server.user)?.map(|_| ()).ok_or(StoreError::Gone("the server's owner"))
}
