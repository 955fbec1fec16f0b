//! Volumes: whose they are, which exist, how large they are, and their end.
//!
//! An account owns the volumes of one stem, from its first start on, by whatever name it goes later. What exists under
//! a name and is nobody's was there before the account: nothing of it is mounted, shown to the account or removed until
//! an administrator has said whose it is.

mod owners;
mod sizes;

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::{info, warn};

use super::backend::{Backend, BackendError, Removal, Volume};
use super::rows::Rows;
use super::{Hold, Spawner, SpawnerError};
use crate::model::{Actor, Clock, Timestamp, UserName, VolumeStem};
use crate::store::{StoreError, VolumesRow};
use crate::tasks::Tasks;
pub(super) use owners::{NoVolumes, claim, give_owners};
pub use sizes::OwnedSizes;
pub(super) use sizes::{Pace, Sizes};

/// A volume that a user has, or that all share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeListing {
    /// The part of its name after the owner's: `home`.
    pub suffix: String,
    /// Its real name.
    pub name: String,
    /// Where servers see it.
    pub mount: String,
    /// What people call it; none: the suffix.
    pub label: Option<String>,
    /// What it is for; may be empty.
    pub description: String,
    /// False for what everybody shares.
    pub resettable: bool,
    /// How large it is, as far as anybody has looked; never 0 for «unknown».
    pub size: Option<VolumeSize>,
}

/// How large a volume was when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeSize {
    /// In bytes.
    pub bytes: u64,
    /// When.
    pub at: Timestamp,
}

/// What became of one volume that was to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeOutcome {
    /// Which: `home`.
    pub suffix: String,
    /// What happened.
    pub outcome: Outcome,
}

/// What happened to a volume that was to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is gone; the next start makes an empty one.
    Reset,
    /// It is as it was, because of this: for people.
    Failed(String),
}

/// What an administrator decides on volumes that were there before the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// They are this account's.
    Give,
    /// They stay, nobody's; this account gets others.
    SetAside,
    /// They go.
    Delete,
}

impl VolumeOutcome {
    /// True if it is gone.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.outcome == Outcome::Reset
    }
}

/// All that is needed to look after volumes.
pub(super) struct Keeper {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) rows: Rows,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: Tasks,
    pub(super) sizes: Sizes,
    /// Volumes of an account's name that nobody owns are its own without a question.
    pub(super) gives_left_over: bool,
}

impl Spawner {
    /// Whether users can have a volume with this suffix that is theirs alone.
    #[must_use]
    pub fn has_volume(&self, suffix: &str) -> bool {
        self.volumes.backend.has_volume(suffix)
    }

    /// True if an account gets volumes of its name that were there before it, without a question.
    #[must_use]
    pub fn gives_left_over_volumes(&self) -> bool {
        self.volumes.gives_left_over
    }

    /// How many bytes the volumes of each account have, of those whose were looked at. Asks nobody.
    #[must_use]
    pub fn volume_totals(&self) -> Vec<(UserName, u64)> {
        self.volumes.sizes.totals()
    }

    /// How large one account's are; None: nobody has looked yet.
    #[must_use]
    pub fn volume_sizes_of(&self, user: &UserName) -> Option<OwnedSizes> {
        self.volumes.sizes.of_owner(user)
    }

    /// The user's volumes that exist, then those that all share, in the order of the settings.
    ///
    /// # Errors
    /// If the store fails or the engine does not answer.
    pub async fn volumes_of(&self, user: &UserName) -> Result<Vec<VolumeListing>, SpawnerError> {
        let owned = self.volumes.rows.volumes_of(user).await?;
        let is_owner = owned.is_some();
        let stem = owned.map_or_else(|| VolumeStem::of(user), |row| row.stem);
        let all = self.volumes.backend.volumes(&stem).await?;
        let theirs = all.into_iter().filter(|volume| is_owner || volume.is_shared);
        Ok(theirs.map(|volume| self.volumes.listing(volume)).collect())
    }

    /// Volumes of an earlier account of this name, or of none: they exist and are nobody's.
    ///
    /// # Errors
    /// If the store fails or the engine does not answer.
    pub async fn left_over_volumes(&self, user: &UserName) -> Result<Vec<VolumeListing>, SpawnerError> {
        let stem = VolumeStem::of(user);
        if self.volumes.rows.stem_is_owned(user, &stem).await? {
            return Ok(vec![]);
        }
        let all = self.volumes.backend.volumes(&stem).await?;
        let theirs = all.into_iter().filter(|volume| !volume.is_shared);
        Ok(theirs.map(|volume| self.volumes.listing(volume)).collect())
    }

    /// Removes these volumes of a user whose servers are all stopped; no server of theirs starts meanwhile. What has
    /// begun goes on to its end, also if nobody waits for it. The intent is in the audit before the first one goes.
    ///
    /// # Errors
    /// `Running` if a server of the user is not stopped; if the user is being deleted or held otherwise, the store fails,
    /// or the engine does not answer before the first one goes.
    pub async fn reset_volumes(
        &self,
        user: &UserName,
        suffixes: &[String],
        by: impl Into<Actor>,
    ) -> Result<Vec<VolumeOutcome>, SpawnerError> {
        let hold = self.hold(user).await?;
        let (keeper, by, suffixes) = (self.volumes.clone(), by.into(), suffixes.to_vec());
        self.volumes
            .to_its_end(async move {
                let outcomes = keeper.remove(&hold.user, Some(&suffixes), &by, ["resets", "reset"]).await;
                drop(hold);
                outcomes
            })
            .await
    }

    /// Removes all volumes of a user's own: before the account goes, under the same `hold`.
    ///
    /// # Errors
    /// If the store fails, or the engine does not answer before the first one goes.
    pub async fn delete_volumes(&self, hold: &Hold, by: impl Into<Actor>) -> Result<Vec<VolumeOutcome>, SpawnerError> {
        let (keeper, by, hold) = (self.volumes.clone(), by.into(), hold.clone());
        self.volumes.to_its_end(async move { keeper.remove(&hold.user, None, &by, ["deletes", "deleted"]).await }).await
    }

    /// Carries out what an administrator decides on volumes that were there before the account.
    ///
    /// # Errors
    /// `NoLeftOver` if there are none (any more); `Running` if a server of the user is not stopped; if the store fails or
    /// the engine does not answer.
    pub async fn settle_volumes(
        &self,
        user: &UserName,
        settlement: Settlement,
        by: impl Into<Actor>,
    ) -> Result<Vec<VolumeOutcome>, SpawnerError> {
        let hold = self.hold(user).await?;
        let left_over = self.left_over_volumes(user).await?;
        if left_over.is_empty() {
            return Err(SpawnerError::NoLeftOver);
        }
        let (keeper, by) = (self.volumes.clone(), by.into());
        self.volumes
            .to_its_end(async move {
                let outcomes = keeper.settle(&hold.user, &left_over, settlement, &by).await;
                drop(hold);
                outcomes
            })
            .await
    }
}

impl Keeper {
    fn listing(&self, volume: Volume) -> VolumeListing {
        let Volume { suffix, name, mount, label, description, is_shared } = volume;
        let size = self.sizes.of(&name);
        VolumeListing { suffix, name, mount, label, description, resettable: !is_shared, size }
    }

    /// Does all of `work`, whether or not somebody waits for it.
    async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, SpawnerError>> + Send + 'static,
    ) -> Result<T, SpawnerError> {
        let (answer, answered) = oneshot::channel();
        self.tasks.spawn(async move {
            // Whoever asked may have gone.
            let _ = answer.send(work.await);
        });
        answered.await.unwrap_or(Err(SpawnerError::Closed))
    }

    /// Removes those of the user's own volumes that are wanted (none: all there are). `words` say what is done: before
    /// and after.
    async fn remove(
        &self,
        user: &UserName,
        wanted: Option<&[String]>,
        by: &Actor,
        words: [&str; 2],
    ) -> Result<Vec<VolumeOutcome>, SpawnerError> {
        let Some(row) = self.rows.volumes_of(user).await? else {
            return Ok(wanted.unwrap_or_default().iter().map(|suffix| not_found(suffix)).collect());
        };
        let there = self.backend.volumes(&row.stem).await?;
        let there: Vec<_> = there.into_iter().filter(|volume| !volume.is_shared).collect();
        let wanted = match wanted {
            Some(wanted) => wanted.to_vec(),
            None => there.iter().map(|volume| volume.suffix.clone()).collect(),
        };
        let exists = |suffix: &str| there.iter().any(|volume| volume.suffix == suffix);
        if !wanted.iter().any(|suffix| exists(suffix)) {
            return Ok(wanted.iter().map(|suffix| not_found(suffix)).collect());
        }
        self.remove_of(&row.stem, user, &wanted, by, words).await
    }

    async fn remove_of(
        &self,
        stem: &VolumeStem,
        user: &UserName,
        wanted: &[String],
        by: &Actor,
        [begins, has_done]: [&str; 2],
    ) -> Result<Vec<VolumeOutcome>, SpawnerError> {
        // First the intent: whatever ends us in between, either somebody reads who did it or nothing has gone.
        let now = self.clock.now();
        let object = format!("{user}: {}", wanted.join(", "));
        self.audit(now, by, format!("{begins} volumes of"), object).await?;
        let mut outcomes = Vec::with_capacity(wanted.len());
        for suffix in wanted {
            let outcome = match self.backend.remove_volume(stem, suffix).await {
                Ok(Removal::Removed) => Outcome::Reset,
                Ok(Removal::Absent) => Outcome::Failed("not found".into()),
                Ok(Removal::InUse(by)) => Outcome::Failed(format!("still used by {by}; try again in a moment")),
                Err(error) => {
                    warn!(user = %user, suffix, error = &error as &dyn std::error::Error, "a volume could not be removed");
                    Outcome::Failed(reason_of(&error))
                }
            };
            outcomes.push(VolumeOutcome { suffix: suffix.clone(), outcome });
        }
        let gone: Vec<_> = outcomes.iter().filter(|each| each.is_reset()).map(|each| each.suffix.as_str()).collect();
        info!(user = %user, by = by.name, volumes = gone.join(","), "volumes were removed");
        self.sizes.look_soon();
        let said = self.audit(self.clock.now(), by, format!("{has_done} volumes of"), said_of(user, &outcomes)).await;
        if let Err(error) = said {
            // The intent is there; what came of it is seen on the volumes.
            warn!(user = %user, error = &error as &dyn std::error::Error, "what became of a reset could not be written down");
        }
        Ok(outcomes)
    }

    async fn settle(
        &self,
        user: &UserName,
        left_over: &[VolumeListing],
        settlement: Settlement,
        by: &Actor,
    ) -> Result<Vec<VolumeOutcome>, SpawnerError> {
        let stem = VolumeStem::of(user);
        let act = match settlement {
            Settlement::Delete => {
                let all: Vec<_> = left_over.iter().map(|volume| volume.suffix.clone()).collect();
                return self.remove_of(&stem, user, &all, by, ["deletes left-over", "deleted left-over"]).await;
            }
            Settlement::Give => "gave left-over volumes to",
            Settlement::SetAside => "set left-over volumes aside for",
        };
        let stem = match settlement {
            Settlement::SetAside => owners::free_stem(self, user).await?,
            Settlement::Give | Settlement::Delete => stem,
        };
        let (now, by, row) = (self.clock.now(), by.clone(), VolumesRow { owner: user.clone(), stem });
        let object = user.clone();
        self.rows
            .write(move |t| {
                t.user(&row.owner)?.ok_or(StoreError::Gone("the volumes' owner"))?;
                t.put_volumes(&row)?;
                t.audit(now, &by, act, object.as_str())
            })
            .await?;
        Ok(vec![])
    }

    async fn audit(&self, now: Timestamp, by: &Actor, act: String, object: String) -> Result<(), StoreError> {
        let by = by.clone();
        self.rows.write(move |t| t.audit(now, &by, &act, &object)).await
    }
}

fn not_found(suffix: &str) -> VolumeOutcome {
    VolumeOutcome { suffix: suffix.to_owned(), outcome: Outcome::Failed("not found".into()) }
}

/// What an engine's refusal is for the one who asked: its own words, where it has some.
fn reason_of(error: &BackendError) -> String {
    match error {
        BackendError::Refused { reason, .. } => reason.clone(),
        error => error.to_string(),
    }
}

/// `alice: home, cache; not workspace (in use)`
fn said_of(user: &UserName, outcomes: &[VolumeOutcome]) -> String {
    let mut gone = Vec::new();
    let mut stayed = Vec::new();
    for VolumeOutcome { suffix, outcome } in outcomes {
        match outcome {
            Outcome::Reset => gone.push(suffix.clone()),
            Outcome::Failed(reason) => stayed.push(format!("{suffix} ({reason})")),
        }
    }
    let gone = if gone.is_empty() { "none".to_owned() } else { gone.join(", ") };
    if stayed.is_empty() { format!("{user}: {gone}") } else { format!("{user}: {gone}; not {}", stayed.join(", ")) }
}
