//! Which accounts' volumes are kept under another name than their own, in memory: who was renamed since the first start, and
//! who was given a number because somebody else has the name's volumes.
//!
//! Every first start of an account asks whether somebody has the volumes of its name already. The rows of the table are found
//! by owner, so the file could only answer by all of them. But whoever keeps volumes under the own name is found by that name,
//! and everybody else is here: few, however many accounts there are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Store, StoreError, VolumesRow};
use crate::model::{UserName, VolumeStem};

/// One account's volumes are kept there from now on; None: it has none.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) owner: UserName,
    pub(super) stem: Option<VolumeStem>,
}

/// What has been read of the table; nothing before the first question.
#[derive(Debug, Default)]
pub(super) struct Displaced(Option<Known>);

#[derive(Debug, Default)]
struct Known {
    /// How many accounts: one, as long as nothing is wrong with the rows.
    by_stem: HashMap<VolumeStem, usize>,
    by_owner: HashMap<UserName, VolumeStem>,
}

impl Displaced {
    /// A commit has said so. Saying it again changes nothing: whoever reads the table may have seen it there.
    pub(super) fn follow(&mut self, moved: Vec<Moved>) {
        if let Some(known) = &mut self.0 {
            moved.into_iter().for_each(|moved| known.follow(moved));
        }
    }
}

impl Known {
    fn of(rows: Vec<VolumesRow>) -> Self {
        let mut known = Self::default();
        rows.into_iter().for_each(|row| known.follow(Moved { owner: row.owner, stem: Some(row.stem) }));
        known
    }

    fn follow(&mut self, Moved { owner, stem }: Moved) {
        if let Some(before) = self.by_owner.remove(&owner)
            && let Entry::Occupied(mut count) = self.by_stem.entry(before)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if let Some(stem) = stem.filter(|stem| *stem != VolumeStem::of(&owner)) {
            *self.by_stem.entry(stem.clone()).or_default() += 1;
            self.by_owner.insert(owner, stem);
        }
    }
}

impl Store {
    /// True if volumes under this stem, which is one of `name`, are somebody's. After the first question this reads one row at
    /// most, however many there are.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn stem_is_owned(&self, name: &UserName, stem: &VolumeStem) -> Result<bool, StoreError> {
        let is_displaced = {
            // Held while the rows are read: a commit that is not among them comes after us.
            let mut displaced = self.0.displaced.lock();
            let known = match displaced.0.take() {
                Some(known) => known,
                None => Known::of(self.volumes()?),
            };
            displaced.0.insert(known).by_stem.contains_key(stem)
        };
        // The escape is injective: nobody else's own name leads to this stem.
        Ok(is_displaced || self.volumes_of(name)?.is_some_and(|row| row.stem == *stem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Config;

    fn name(text: &str) -> UserName {
        UserName::parse(text).expect("a name")
    }

    fn row(owner: &str, stem: VolumeStem) -> VolumesRow {
        VolumesRow { owner: name(owner), stem }
    }

    #[test]
    fn whose_a_stem_is_follows_the_commits_and_is_the_same_after_a_restart() {
        let folder = crate::store::tests::memory_folder();
        let config = Config { data_dir: folder.path().join("data") };
        let store = Store::open(&config).expect("a store");
        let alices = VolumeStem::of(&name("alice"));
        let second = VolumeStem::numbered(&name("alice"), 2);
        let owned = |store: &Store, stem: &VolumeStem| store.stem_is_owned(&name("alice"), stem).expect("read");
        assert!(!owned(&store, &alices), "before anybody has any");
        store.write(|t| t.put_volumes(&row("alice", alices.clone()))).expect("a commit");
        assert!(owned(&store, &alices) && !owned(&store, &second));
        store.write(|t| t.rename_servers(&name("alice"), &name("carol"))).expect("a commit");
        assert!(owned(&store, &alices), "carol has them");
        store.write(|t| t.put_volumes(&row("alice", second.clone()))).expect("a commit");
        assert!(owned(&store, &alices) && owned(&store, &second));
        let undone = store.write(|t| {
            t.delete_user(&name("carol"))?;
            Err::<(), _>(StoreError::Gone("nothing"))
        });
        assert!(undone.is_err() && owned(&store, &alices), "what was not committed changes nothing");
        drop(store);
        let store = Store::open(&config).expect("the same");
        assert!(owned(&store, &alices) && owned(&store, &second));
        store.write(|t| t.delete_user(&name("carol"))).expect("a commit");
        store.write(|t| t.delete_user(&name("alice"))).expect("a commit");
        assert!(!owned(&store, &alices) && !owned(&store, &second));
    }

    #[test]
    fn accounts_that_keep_their_own_name_take_no_room() {
        let rows = ["alice", "bob", "c.d"].map(|owner| row(owner, VolumeStem::of(&name(owner)))).to_vec();
        let mut known = Known::of(rows);
        assert!(known.by_stem.is_empty() && known.by_owner.is_empty());
        for _ in 0..2 {
            known.follow(Moved { owner: name("carol"), stem: Some(VolumeStem::of(&name("alice"))) });
            assert_eq!((known.by_stem.len(), known.by_owner.len()), (1, 1));
        }
        known.follow(Moved { owner: name("carol"), stem: None });
        assert!(known.by_stem.is_empty() && known.by_owner.is_empty());
    }
}
