//! Groups: who belongs together. Each act is one commit with its audit row; rights follow at once.

use std::collections::BTreeSet;
use std::time::Duration;

use super::directory::{Group, Snapshot};
use super::effective::is_built_in;
use super::{ActError, Auth, Shared};
use crate::model::{Actor, Grants, GroupName, RoleName, ServiceName, ShareWith, Timestamp, UserName};
use crate::store::{GroupRow, StoreError, Transaction};

/// Groups in all. 10,000: every course of a university for years.
const GROUPS_LIMIT: usize = 10_000;
/// Properties of one group, as JSON: they are kept in memory.
const PROPERTIES_LIMIT_BYTES: usize = 64 * 1024;

/// A group as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupListing {
    /// Unique.
    pub name: GroupName,
    /// Its members, by name.
    pub users: Vec<UserName>,
    /// For programs: kept and shown, never read.
    pub properties: serde_json::Map<String, serde_json::Value>,
    /// What its members may do beside what users may.
    pub roles: Vec<RoleName>,
    /// For people.
    pub description: String,
    /// What its members' servers get at their next start.
    pub grants: Grants,
    /// Made by the program itself: cannot be deleted, and grants what it grants.
    pub is_built_in: bool,
}

impl Auth {
    /// All groups, by name.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupListing> {
        let snapshot = self.0.directory.now();
        snapshot.groups.keys().filter_map(|name| listing(&snapshot, name)).collect()
    }

    /// The names of all groups in the order in which they were made: a page of a long list asks for its groups one by
    /// one.
    #[must_use]
    pub fn group_names(&self) -> Vec<GroupName> {
        let snapshot = self.0.directory.now();
        let mut groups: Vec<_> = snapshot.groups.iter().map(|(name, group)| (group.created, name)).collect();
        groups.sort_unstable();
        groups.into_iter().map(|(_, name)| name.clone()).collect()
    }

    /// One group.
    #[must_use]
    pub fn group(&self, name: &GroupName) -> Option<GroupListing> {
        listing(&self.0.directory.now(), name)
    }

    /// True if the user belongs to the group.
    #[must_use]
    pub fn is_member(&self, group: &GroupName, user: &UserName) -> bool {
        self.0.directory.now().members(group).contains(user)
    }

    /// The groups of a user, by name.
    #[must_use]
    pub fn groups_of(&self, user: &UserName) -> Vec<GroupName> {
        self.0.directory.now().groups_of(user).into_iter().collect()
    }

    /// The roles of a user: `user`, `admin` for an administrator, and those that the configuration gives them; not
    /// those of their groups.
    #[must_use]
    pub fn roles_of_user(&self, user: &UserName) -> Vec<RoleName> {
        let rules = &self.0.directory.rules;
        let snapshot = self.0.directory.now();
        let mut roles: BTreeSet<_> = snapshot.roles_of_user(user).cloned().collect();
        if let Some(user) = self.0.user(user) {
            roles.insert(rules.user.clone());
            if user.is_admin() {
                roles.insert(rules.admin.clone());
            }
        }
        roles.into_iter().collect()
    }

    /// The roles of a group's members.
    #[must_use]
    pub fn roles_of_group(&self, group: &GroupName) -> Vec<RoleName> {
        self.0.directory.now().roles_of_group(group).cloned().collect()
    }

    /// The roles of a service.
    #[must_use]
    pub fn roles_of_service(&self, service: &ServiceName) -> Vec<RoleName> {
        let snapshot = self.0.directory.now();
        let mut roles: BTreeSet<_> = snapshot.roles_of_service(service).cloned().collect();
        if self.0.service(service).is_some_and(|service| service.admin) {
            roles.insert(self.0.directory.rules.admin.clone());
        }
        roles.into_iter().collect()
    }

    /// Makes groups, each with the same members.
    ///
    /// # Errors
    /// `GroupExists` if one of them is there, `NoUser` if one of the users is not: nothing is made then.
    pub async fn create_groups(
        &self,
        actor: impl Into<Actor>,
        names: &[GroupName],
        users: &[UserName],
    ) -> Result<Vec<GroupListing>, ActError> {
        let (actor, names, users) = (actor.into(), names.to_vec(), users.to_vec());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let snapshot = shared.directory.now();
            let mut seen = BTreeSet::new();
            let names: Vec<_> = names.into_iter().filter(|name| seen.insert(name.clone())).collect();
            if let Some(there) = names.iter().find(|name| snapshot.groups.contains_key(*name)) {
                return Err(ActError::GroupExists(there.clone()));
            }
            if snapshot.groups.len() + names.len() > GROUPS_LIMIT {
                return Err(ActError::TooMany { what: "groups", limit: GROUPS_LIMIT });
            }
            shared.check_users(&users)?;
            let group = Group { users: users.into_iter().collect(), ..Group::default() };
            let groups = names.iter().zip(shared.group_creations());
            let groups = groups.map(|(name, created)| (name.clone(), Group { created, ..group.clone() }));
            shared.put_groups(groups.collect(), |t, now| {
                names.iter().try_for_each(|name| t.audit(now, &actor, "made group", name.as_str()))
            })?;
            let snapshot = shared.directory.now();
            Ok(names.iter().filter_map(|name| listing(&snapshot, name)).collect())
        })
        .await
    }

    /// Deletes a group; its members lose what they had by it, at once.
    ///
    /// # Errors
    /// `NoGroup`.
    pub async fn delete_group(&self, actor: impl Into<Actor>, name: &GroupName) -> Result<(), ActError> {
        let (actor, name) = (actor.into(), name.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let snapshot = shared.directory.now();
            if !snapshot.groups.contains_key(&name) {
                return Err(ActError::NoGroup(name));
            }
            let with = ShareWith::Group(name.clone());
            let shares: Vec<_> = snapshot.shares_with(&with).cloned().collect();
            let now = shared.now();
            let stored = shared.store.write(|t| {
                t.delete_group(&name)?;
                shares.iter().try_for_each(|share| t.delete_share(&share.server, &share.with))?;
                t.audit(now, &actor, "deleted group", name.as_str())
            });
            shared.follow_directory(stored, |snapshot| snapshot.remove_group(&name))
        })
        .await
    }

    /// Adds users to a group; those who belong to it already stay.
    ///
    /// # Errors
    /// `NoGroup`; `NoUser` if one is not there: nobody is added then.
    pub async fn add_to_group(
        &self,
        actor: impl Into<Actor>,
        name: &GroupName,
        users: &[UserName],
    ) -> Result<GroupListing, ActError> {
        let added = users.to_vec();
        let act = format!("added {} to group", names_of(users));
        self.change_group(&actor.into(), name, users, &act, move |group| group.users = group.users.clone().with(added))
            .await
    }

    /// Takes users out of a group; they lose what they had by it, at once.
    ///
    /// # Errors
    /// `NoGroup`; `NoUser` if one is not there: nobody is taken out then.
    pub async fn remove_from_group(
        &self,
        actor: impl Into<Actor>,
        name: &GroupName,
        users: &[UserName],
    ) -> Result<GroupListing, ActError> {
        let removed = users.to_vec();
        let act = format!("removed {} from group", names_of(users));
        self.change_group(&actor.into(), name, users, &act, move |group| {
            group.users = group.users.clone().without(&removed)
        })
        .await
    }

    /// Replaces a group's properties.
    ///
    /// # Errors
    /// `NoGroup`; `TooLong` beyond 64 KiB.
    pub async fn set_group_properties(
        &self,
        actor: impl Into<Actor>,
        name: &GroupName,
        properties: serde_json::Map<String, serde_json::Value>,
    ) -> Result<GroupListing, ActError> {
        if serde_json::to_string(&properties).map_or(0, |text| text.len()) > PROPERTIES_LIMIT_BYTES {
            return Err(ActError::TooLong { what: "properties", limit_bytes: PROPERTIES_LIMIT_BYTES });
        }
        self.change_group(&actor.into(), name, &[], "set properties of group", move |group| {
            group.properties = properties
        })
        .await
    }

    async fn change_group(
        &self,
        actor: &Actor,
        name: &GroupName,
        users: &[UserName],
        act: &str,
        change: impl FnOnce(&mut Group) + Send + 'static,
    ) -> Result<GroupListing, ActError> {
        let (actor, act, name, users) = (actor.clone(), act.to_owned(), name.clone(), users.to_vec());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let group = shared.directory.now().groups.get(&name).cloned();
            let mut group = Group::clone(&*group.ok_or_else(|| ActError::NoGroup(name.clone()))?);
            shared.check_users(&users)?;
            change(&mut group);
            shared.put_groups(vec![(name.clone(), group)], |t, now| t.audit(now, &actor, &act, name.as_str()))?;
            listing(&shared.directory.now(), &name).ok_or(ActError::NoGroup(name))
        })
        .await
    }
}

impl Shared {
    fn check_users(&self, users: &[UserName]) -> Result<(), ActError> {
        match users.iter().find(|user| self.user(user).is_none()) {
            Some(missing) => Err(ActError::NoUser(missing.clone())),
            None => Ok(()),
        }
    }

    /// Stores groups in one commit with what `also` writes; then rights follow.
    pub(super) fn put_groups(
        &self,
        groups: Vec<(GroupName, Group)>,
        also: impl FnOnce(&mut Transaction<'_>, crate::model::Timestamp) -> Result<(), StoreError>,
    ) -> Result<(), ActError> {
        let now = self.now();
        let stored = self.store.write(|t| {
            groups.iter().try_for_each(|(name, group)| t.put_group(&group_row(name, group)))?;
            also(t, now)
        });
        self.follow_directory(stored, |snapshot| {
            groups.into_iter().for_each(|(name, group)| snapshot.put_group(&name, group));
        })
    }

    /// After a commit: lets the directory in memory follow. If it failed nobody knows what is stored, so it is read.
    pub(super) fn follow_directory<E: From<StoreError>>(
        &self,
        stored: Result<(), StoreError>,
        change: impl FnOnce(&mut Snapshot),
    ) -> Result<(), E> {
        if let Err(error) = stored {
            if let Err(unread) = self.read_directory() {
                // What memory says stays: it is what was stored before.
                let cause = &unread as &dyn std::error::Error;
                tracing::error!(error = cause, "what the store says of groups and shares is not known");
            }
            return Err(error.into());
        }
        self.directory.change(change);
        Ok(())
    }
}

impl Shared {
    /// When the next groups are made: each later than any other, so that the time orders them as they were made.
    pub(super) fn group_creations(&self) -> impl Iterator<Item = Timestamp> + use<> {
        let latest = self.directory.now().groups.values().map(|group| group.created).max();
        let later = |at: Timestamp| at.plus(Duration::from_millis(1));
        let first = latest.map_or(self.now(), |latest| self.now().max(later(latest)));
        std::iter::successors(Some(first), move |at| Some(later(*at)))
    }
}

pub(super) fn group_row(name: &GroupName, group: &Group) -> GroupRow {
    let users = group.users.iter().cloned().collect();
    let Group { properties, created, description, grants, .. } = group.clone();
    GroupRow { name: name.clone(), users, properties, created, description, grants }
}

fn listing(snapshot: &Snapshot, name: &GroupName) -> Option<GroupListing> {
    let group = snapshot.groups.get(name)?;
    Some(GroupListing {
        name: name.clone(),
        users: group.users.iter().cloned().collect(),
        properties: group.properties.clone(),
        roles: snapshot.roles_of_group(name).cloned().collect(),
        description: group.description.clone(),
        grants: group.grants.clone(),
        is_built_in: is_built_in(name),
    })
}

/// Names for an audit row, which shortens what is too long.
fn names_of(users: &[UserName]) -> String {
    match users {
        [user] => user.to_string(),
        users => format!("{} users", users.len()),
    }
}
