//! Many accounts at once, each with a password that is told once.

use std::collections::BTreeSet;
use std::time::Duration;

use super::groups::group_row;
use super::root::{RootGrants, RootLeave};
use super::{AccountError, Auth, mnemonic};
use crate::model::{Actor, GroupName, Secret, UserName, UserProfile};
use crate::store::UserRow;

/// How many are made in one go. 200: their hashes take some ten seconds beside the sign-ins of others.
pub const NEW_PEOPLE_LIMIT: usize = 200;

/// Somebody who is to have an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPerson {
    /// Unique.
    pub name: UserName,
    /// Names and address.
    pub profile: UserProfile,
    /// Groups to join; they must be there.
    pub groups: Vec<GroupName>,
    /// Whether to make an administrator.
    pub admin: bool,
}

/// What is the same for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// Whether they must change the password at the first sign-in.
    pub must_change: bool,
    /// Whether they may sign in at once; else they wait to be let in.
    pub authorised: bool,
    /// Groups that all of them join.
    pub groups: Vec<GroupName>,
}

/// Somebody who was made, with the password that nobody can read again.
#[derive(Clone, Debug)]
pub struct CreatedPerson {
    /// Who.
    pub name: UserName,
    /// To be handed over.
    pub password: Secret,
}

/// What became of a list.
#[derive(Clone, Debug, Default)]
pub struct CreatedPeople {
    /// New ones, in the order given.
    pub created: Vec<CreatedPerson>,
    /// Those who were there, in the order given; they stay as they were.
    pub existing: Vec<UserName>,
}

impl Auth {
    /// Makes accounts with passwords of words, all in one commit. Those who are there stay as they are. Dropping the
    /// future before the commit begins makes nobody.
    ///
    /// # Errors
    /// `TooManyAtOnce`, `NoGroup`, `Blocked`, `Busy`, or if it could not be stored: nobody is made then.
    pub async fn create_with_passwords(
        &self,
        by: impl Into<Actor>,
        people: &[NewPerson],
        creation: &Creation,
    ) -> Result<CreatedPeople, AccountError> {
        if people.len() > NEW_PEOPLE_LIMIT {
            return Err(AccountError::TooManyAtOnce { limit: NEW_PEOPLE_LIMIT });
        }
        let snapshot = self.0.directory.now();
        let groups = creation.groups.iter().chain(people.iter().flat_map(|person| &person.groups));
        for group in groups {
            if !snapshot.groups.contains_key(group) {
                return Err(AccountError::NoGroup(group.clone()));
            }
        }
        let mut seen = BTreeSet::new();
        let mut made = Vec::new();
        for person in people {
            self.0.check_not_blocked(&person.name)?;
            if !seen.insert(&person.name) || self.0.user(&person.name).is_some() {
                continue;
            }
            let password = self.generate_password();
            // One after the other: sign-ins of others take turns with them.
            let hash = self.hash(&password).await?;
            made.push((person.clone(), password, hash));
        }
        let wanted: Vec<_> = people.iter().map(|person| person.name.clone()).collect();
        let (by, creation) = (by.into(), creation.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            // Somebody else may have made one of them meanwhile.
            made.retain(|(person, ..)| shared.user(&person.name).is_none());
            let mut outcome = CreatedPeople::default();
            let mut seen = BTreeSet::new();
            let is_made = |name: &UserName| made.iter().any(|(person, ..)| person.name == *name);
            let is_existing = |name: &&UserName| seen.insert((*name).clone()) && !is_made(name);
            outcome.existing = wanted.iter().filter(is_existing).cloned().collect();
            if made.is_empty() {
                return Ok(outcome);
            }
            let (now, created) = (shared.now(), shared.next_creation());
            let rows: Vec<_> = made
                .iter()
                .zip(0_u64..)
                .map(|((person, _, hash), later_ms)| UserRow {
                    password: Some(hash.clone()),
                    authorised: creation.authorised,
                    must_change_password: creation.must_change,
                    profile: person.profile.clone(),
                    ..shared.new_user(&person.name, person.admin, created.plus(Duration::from_millis(later_ms)))
                })
                .collect();
            let snapshot = shared.directory.now();
            let mut groups = std::collections::BTreeMap::new();
            for (person, ..) in &made {
                for name in creation.groups.iter().chain(&person.groups) {
                    let group = snapshot.groups.get(name).ok_or_else(|| AccountError::NoGroup(name.clone()))?;
                    let group = groups.entry(name.clone()).or_insert_with(|| super::directory::Group::clone(group));
                    group.users = std::mem::take(&mut group.users).with([person.name.clone()]);
                }
            }
            let after = groups.iter();
            if let Err(super::ActError::RootLike(group)) = RootGrants::of(&snapshot, after).check(&RootLeave::NONE) {
                return Err(AccountError::RootLike(group));
            }
            if let Some((person, ..)) = made.iter().find(|(person, ..)| shared.is_named_for_root(&person.name)) {
                return Err(AccountError::NamedForRoot(person.name.clone()));
            }
            let stored = shared.store.write(|t| {
                for row in &rows {
                    t.put_user(row)?;
                    let act = if row.admin { "added administrator" } else { "added user" };
                    t.audit(now, &by, act, row.name.as_str())?;
                }
                groups.iter().try_for_each(|(name, group)| t.put_group(&group_row(name, group)))
            });
            rows.iter().for_each(|row| shared.follow_store(&row.name));
            if stored.is_err() {
                shared.read_directory()?;
            }
            stored?;
            shared.directory.change(|snapshot| {
                groups.into_iter().for_each(|(name, group)| snapshot.put_group(&name, group));
            });
            shared.follow_setup_window();
            outcome.created =
                made.into_iter().map(|(person, password, _)| CreatedPerson { name: person.name, password }).collect();
            Ok(outcome)
        })
        .await
    }

    /// A new password of words, for an administrator to hand over.
    #[must_use]
    pub fn generate_password(&self) -> Secret {
        mnemonic::password(self.0.config.read().mnemonic_words, &self.0.random)
    }
}
