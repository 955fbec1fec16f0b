//! Whose volumes are whose: an account claims a stem with its first start, in the very commit that says that it starts.

use std::collections::HashSet;

use super::Keeper;
use crate::model::{UserName, VolumeStem};
use crate::spawner::backend::{BackendError, Volume};
use crate::spawner::rows::Rows;
use crate::store::{StoreError, Transaction, VolumesRow};

/// Others of the same name whose volumes are kept under it: more is a mistake of ours.
const STEMS_LIMIT: u32 = 1_000;

/// Why a start gets no volumes.
#[derive(Debug, thiserror::Error)]
pub(in crate::spawner) enum NoVolumes {
    /// Somebody's files are there, and nobody has said whose.
    #[error("volumes of this name are nobody's: {names}")]
    LeftOver {
        /// Which: real names.
        names: String,
    },
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("too many accounts had this name")]
    TooMany,
}

impl NoVolumes {
    /// The second half of a sentence that begins «Your server could not start because».
    pub(in crate::spawner) fn for_person(&self) -> String {
        match self {
            Self::LeftOver { names } => format!(
                "files of an earlier account with your name are still here ({names}). Ask an administrator to decide on \
                 your volumes page whose they are: they can be given to you, set aside, or deleted."
            ),
            Self::Backend(error) => error.for_person(),
            Self::Store(_) => "the hub's database could not be read. Tell an administrator.".into(),
            Self::TooMany => "too many accounts had your name. Tell an administrator.".into(),
        }
    }
}

impl Keeper {
    /// Under which name the volumes of `user` are kept, or are to be kept: `claim`, in the commit of the start, decides.
    pub(in crate::spawner) async fn stem_for(&self, user: &UserName) -> Result<VolumeStem, NoVolumes> {
        if let Some(row) = self.rows.volumes_of(user).await? {
            return Ok(row.stem);
        }
        let natural = VolumeStem::of(user);
        if self.rows.stem_is_owned(user, &natural).await? {
            // One who had this name has another one now, and kept the volumes.
            return free_stem(self, user).await;
        }
        let there = own_volumes(self, &natural).await?;
        if there.is_empty() || self.gives_left_over {
            return Ok(natural);
        }
        // Another server of theirs may have made them just now; then it has claimed them before.
        if let Some(row) = self.rows.volumes_of(user).await? {
            return Ok(row.stem);
        }
        let names: Vec<_> = there.into_iter().map(|volume| volume.name).collect();
        Err(NoVolumes::LeftOver { names: names.join(", ") })
    }
}

async fn own_volumes(keeper: &Keeper, stem: &VolumeStem) -> Result<Vec<Volume>, BackendError> {
    let mut there = keeper.backend.volumes(stem).await?;
    there.retain(|volume| !volume.is_shared);
    Ok(there)
}

/// A stem of this name beside the natural one under which nothing is kept.
pub(super) async fn free_stem(keeper: &Keeper, user: &UserName) -> Result<VolumeStem, NoVolumes> {
    for number in 2..STEMS_LIMIT {
        let stem = VolumeStem::numbered(user, number);
        if !keeper.rows.stem_is_owned(user, &stem).await? && own_volumes(keeper, &stem).await?.is_empty() {
            return Ok(stem);
        }
    }
    Err(NoVolumes::TooMany)
}

/// Part of the commit that says that a server of `owner` starts: these volumes are theirs from here on. Gives those that
/// the account has: another server of theirs, started at the same moment, may have claimed some first.
///
/// # Errors
/// If the file cannot be read or written.
pub(in crate::spawner) fn claim(
    transaction: &mut Transaction<'_>,
    owner: &UserName,
    stem: VolumeStem,
) -> Result<VolumeStem, StoreError> {
    if let Some(row) = transaction.volumes_of(owner)? {
        return Ok(row.stem);
    }
    transaction.put_volumes(&VolumesRow { owner: owner.clone(), stem: stem.clone() })?;
    Ok(stem)
}

/// Once in the life of a store: accounts that had servers before volumes had owners own those of their name.
pub(in crate::spawner) async fn give_owners(rows: &Rows) -> Result<(), StoreError> {
    if rows.volumes_are_owned().await? {
        return Ok(());
    }
    let known = rows.all().await?;
    let owners: HashSet<UserName> =
        known.into_iter().filter(|row| row.generation.0 > 0).map(|row| row.key.user).collect();
    rows.write(move |t| {
        if t.volumes_are_owned()? {
            return Ok(());
        }
        owners.iter().try_for_each(|owner| claim(t, owner, VolumeStem::of(owner)).map(drop))?;
        t.note_volumes_are_owned()
    })
    .await
}
