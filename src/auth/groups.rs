//! Groups: who belongs together. Each act is one commit with its audit row; rights follow at once.

use std::collections::BTreeSet;
use std::time::Duration;

use super::directory::{Group, Snapshot};
use super::effective::{built_in_grants, is_built_in};
use super::root::{RootGrants, RootLeave};
use super::{ActError, Auth, Shared};
use crate::model::{Actor, Grants, GroupName, RoleName, ServiceName, ShareWith, Timestamp, UserName};
use crate::store::{GroupRow, StoreError, Transaction};

/// Groups in all. 10,000: every course of a university for years.
const GROUPS_LIMIT: usize = 10_000;
/// A group's description: a sentence or two.
const DESCRIPTION_LIMIT_BYTES: usize = 1_000;
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

/// A group to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewGroup {
    /// Unique.
    pub name: GroupName,
    /// For people.
    pub description: String,
    /// What its members' servers get.
    pub grants: Grants,
}

/// What to change of a group; `None`: as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupChange {
    /// For people.
    pub description: Option<String>,
    /// What its members' servers get, priority included.
    pub grants: Option<Grants>,
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
        let rules = &*self.0.directory.rules.read();
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
            roles.insert(self.0.directory.rules.read().admin.clone());
        }
        roles.into_iter().collect()
    }

    /// Makes groups, each with the same members. They grant nothing.
    ///
    /// # Errors
    /// `GroupExists` if one of them is there, `NoUser` if one of the users is not: nothing is made then.
    pub async fn create_groups(
        &self,
        actor: impl Into<Actor>,
        names: &[GroupName],
        users: &[UserName],
    ) -> Result<Vec<GroupListing>, ActError> {
        let mut seen = BTreeSet::new();
        let names = names.iter().filter(|name| seen.insert(*name));
        let plain =
            |name: &GroupName| NewGroup { name: name.clone(), description: String::new(), grants: Grants::default() };
        self.create_groups_with(actor, names.map(plain).collect(), users, &RootLeave::NONE).await
    }

    /// Makes groups of different names with what they grant, each with the same members.
    ///
    /// # Errors
    /// `GroupExists`, `NoUser`, `TooLong`, `RootLike`, `TooMany`: nothing is made then.
    pub async fn create_groups_with(
        &self,
        actor: impl Into<Actor>,
        groups: Vec<NewGroup>,
        users: &[UserName],
        leave: &RootLeave,
    ) -> Result<Vec<GroupListing>, ActError> {
        let (actor, users, leave) = (actor.into(), users.to_vec(), leave.copied());
        groups.iter().try_for_each(|group| check_description(&group.description))?;
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let snapshot = shared.directory.now();
            let names: Vec<_> = groups.iter().map(|group| group.name.clone()).collect();
            if let Some(there) = names.iter().find(|name| snapshot.groups.contains_key(*name)) {
                return Err(ActError::GroupExists(there.clone()));
            }
            if snapshot.groups.len() + names.len() > GROUPS_LIMIT {
                return Err(ActError::TooMany { what: "groups", limit: GROUPS_LIMIT });
            }
            shared.check_users(&users)?;
            let members: super::directory::Members = users.into_iter().collect();
            let groups = groups.into_iter().zip(shared.group_creations()).map(|(new, created)| {
                let NewGroup { name, description, grants } = new;
                let users = members.clone();
                (name, Group { users, created, description, grants, ..Group::default() })
            });
            shared.put_groups(groups.collect(), &actor, &leave, |t, now| {
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
    /// `NoGroup`; `BuiltIn`.
    pub async fn delete_group(&self, actor: impl Into<Actor>, name: &GroupName) -> Result<(), ActError> {
        let (actor, name) = (actor.into(), name.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let snapshot = shared.directory.now();
            if !snapshot.groups.contains_key(&name) {
                return Err(ActError::NoGroup(name));
            }
            if is_built_in(&name) {
                return Err(ActError::BuiltIn(name));
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
    /// `NoGroup`; `NoUser` if one is not there; `RootLike`: nobody is added then.
    pub async fn add_to_group(
        &self,
        actor: impl Into<Actor>,
        name: &GroupName,
        users: &[UserName],
    ) -> Result<GroupListing, ActError> {
        self.add_to_group_with(actor, name, users, &RootLeave::NONE).await
    }

    /// The same, with leave to make somebody root on the host.
    ///
    /// # Errors
    /// As `add_to_group`; `RootLike` without leave.
    pub async fn add_to_group_with(
        &self,
        actor: impl Into<Actor>,
        name: &GroupName,
        users: &[UserName],
        leave: &RootLeave,
    ) -> Result<GroupListing, ActError> {
        let added = users.to_vec();
        let act = format!("added {} to group", names_of(users));
        self.change_group(&actor.into(), name, users, &act, leave, move |group| {
            group.users = group.users.clone().with(added);
        })
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
        self.change_group(&actor.into(), name, users, &act, &RootLeave::NONE, move |group| {
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
        self.change_group(&actor.into(), name, &[], "set properties of group", &RootLeave::NONE, move |group| {
            group.properties = properties
        })
        .await
    }

    /// Changes what a group is for and what it grants; its members' next starts get it.
    ///
    /// # Errors
    /// `NoGroup`: a group that is gone is not made again; `BuiltIn` if its grants were to change; `RootLike` without
    /// leave; `TooLong`.
    pub async fn configure_group(
        &self,
        actor: impl Into<Actor>,
        name: &GroupName,
        change: GroupChange,
        leave: &RootLeave,
    ) -> Result<GroupListing, ActError> {
        let GroupChange { description, grants } = change;
        description.as_deref().map_or(Ok(()), check_description)?;
        if is_built_in(name) && grants.as_ref().is_some_and(|grants| *grants != built_in_grants()) {
            return Err(ActError::BuiltIn(name.clone()));
        }
        self.change_group(&actor.into(), name, &[], "set grants of group", leave, move |group| {
            group.description = description.unwrap_or(std::mem::take(&mut group.description));
            group.grants = grants.unwrap_or(std::mem::take(&mut group.grants));
        })
        .await
    }

    /// Says which group wins over which, where they say different things. Groups that are not named stay as they are.
    ///
    /// # Errors
    /// `NoGroup`, `BuiltIn`: nothing changes then.
    pub async fn reorder_groups(
        &self,
        actor: impl Into<Actor>,
        priorities: Vec<(GroupName, i32)>,
    ) -> Result<(), ActError> {
        let actor = actor.into();
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let snapshot = shared.directory.now();
            let mut changed = Vec::new();
            for (name, priority) in priorities {
                let there = snapshot.groups.get(&name).ok_or_else(|| ActError::NoGroup(name.clone()))?;
                if there.grants.priority == priority {
                    continue;
                }
                if is_built_in(&name) {
                    return Err(ActError::BuiltIn(name));
                }
                let mut group = Group::clone(there);
                group.grants.priority = priority;
                changed.push((name, group));
            }
            if changed.is_empty() {
                return Ok(());
            }
            let names: Vec<_> = changed.iter().map(|(name, _)| name.clone()).collect();
            shared.put_groups(changed, &actor, &RootLeave::NONE, |t, now| {
                names.iter().try_for_each(|name| t.audit(now, &actor, "set priority of group", name.as_str()))
            })
        })
        .await
    }

    async fn change_group(
        &self,
        actor: &Actor,
        name: &GroupName,
        users: &[UserName],
        act: &str,
        leave: &RootLeave,
        change: impl FnOnce(&mut Group) + Send + 'static,
    ) -> Result<GroupListing, ActError> {
        let (actor, act, name, users) = (actor.clone(), act.to_owned(), name.clone(), users.to_vec());
        let leave = leave.copied();
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let group = shared.directory.now().groups.get(&name).cloned();
            let mut group = Group::clone(&*group.ok_or_else(|| ActError::NoGroup(name.clone()))?);
            shared.check_users(&users)?;
            change(&mut group);
            shared.put_groups(vec![(name.clone(), group)], &actor, &leave, |t, now| {
                t.audit(now, &actor, &act, name.as_str())
            })?;
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

    /// Stores groups in one commit with what `also` writes; then rights follow. Nobody becomes root on the host by it
    /// without `leave`, and who does has an audit row of his own.
    pub(super) fn put_groups(
        &self,
        groups: Vec<(GroupName, Group)>,
        actor: &Actor,
        leave: &RootLeave,
        also: impl FnOnce(&mut Transaction<'_>, crate::model::Timestamp) -> Result<(), StoreError>,
    ) -> Result<(), ActError> {
        let after = groups.iter().map(|(name, group)| (name, group));
        let root_grants = RootGrants::of(&self.directory.now(), after);
        root_grants.check(leave)?;
        let now = self.now();
        let stored = self.store.write(|t| {
            groups.iter().try_for_each(|(name, group)| t.put_group(&group_row(name, group)))?;
            also(t, now)?;
            root_grants.audit(t, now, actor)
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

fn check_description(text: &str) -> Result<(), ActError> {
    if text.len() > DESCRIPTION_LIMIT_BYTES {
        return Err(ActError::TooLong { what: "description", limit_bytes: DESCRIPTION_LIMIT_BYTES });
    }
    Ok(())
}

/// Names for an audit row, which shortens what is too long.
fn names_of(users: &[UserName]) -> String {
    match users {
        [user] => user.to_string(),
        users => format!("{} users", users.len()),
    }
}
