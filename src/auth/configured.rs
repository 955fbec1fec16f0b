//! What the configuration says of users, groups and roles, brought together with what is stored: at each start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Shared;
use super::accounts::OURSELVES;
use super::directory::{Assigned, Group, Share, Snapshot};
use super::effective::{BUILT_IN_DESCRIPTION, BUILT_IN_GROUP, built_in_grants};
use super::groups::group_row;
use super::root::RootGrants;
use super::share_codes::{CodeTable, ShareCode};
use crate::model::{GroupName, ShareWith, UserName};
use crate::store::{GroupRow, StoreError, UserRow};

impl Shared {
    /// Reads groups, shares and codes as they are stored. Roles stay as they are: they are not stored.
    pub(super) fn read_directory(&self) -> Result<(), StoreError> {
        let (groups, shares, codes) = (self.store.groups()?, self.store.shares()?, self.store.share_codes()?);
        self.directory.change(|snapshot| {
            *snapshot = Snapshot { roles: std::mem::take(&mut snapshot.roles), ..Snapshot::default() };
            for row in groups {
                let users = row.users.into_iter().collect();
                let GroupRow { name, properties, created, description, grants, .. } = row;
                snapshot.put_group(&name, Group { users, properties, created, description, grants });
            }
            for row in shares {
                let (server, with) = (row.server, row.with);
                snapshot.put_share(Share { server, with, scopes: row.scopes, created: row.created });
            }
        });
        *self.codes.lock() = codes.into_iter().map(|row| (row.id, Arc::new(ShareCode::of(row)))).collect::<CodeTable>();
        Ok(())
    }

    /// Makes the users and groups that the configuration names, shuts out whom it blocks, and gives out its roles.
    pub(super) fn follow_rules(&self) -> Result<(), StoreError> {
        let config = self.config.snapshot();
        self.block_users()?;
        self.make_configured_users()?;
        self.make_configured_groups()?;
        let blocked: BTreeSet<_> = config.blocked_users.iter().collect();
        let mut roles = BTreeMap::new();
        for role in &config.roles {
            let assigned: &mut Assigned = roles.entry(role.name.clone()).or_default();
            assigned.users.extend(role.users.iter().filter(|user| !blocked.contains(user)).cloned());
            assigned.groups.extend(role.groups.iter().cloned());
            assigned.services.extend(role.services.iter().cloned());
        }
        self.directory.change(|snapshot| snapshot.roles = roles);
        Ok(())
    }

    /// A blocked user is let in no more and belongs to nothing.
    fn block_users(&self) -> Result<(), StoreError> {
        let config = self.config.snapshot();
        let mut rows = Vec::new();
        for name in &config.blocked_users {
            let Some(row) = self.store.user(name)? else { continue };
            if row.authorised || row.admin {
                rows.push(UserRow { authorised: false, admin: false, ..row });
            }
        }
        let blocked = &config.blocked_users;
        let snapshot = self.directory.now();
        let names: BTreeSet<_> = blocked.iter().flat_map(|user| snapshot.groups_of(user)).collect();
        let without_them = |name: GroupName| {
            let mut group = Group::clone(snapshot.groups.get(&name)?);
            group.users = group.users.clone().without(blocked);
            Some((name, group))
        };
        let groups: Vec<_> = names.into_iter().filter_map(without_them).collect();
        if rows.is_empty() && groups.is_empty() {
            return Ok(());
        }
        let now = self.now();
        self.store.write(|t| {
            for row in &rows {
                t.put_user(row)?;
                t.audit(now, &OURSELVES.into(), "blocked user", row.name.as_str())?;
            }
            groups.iter().try_for_each(|(name, group)| t.put_group(&group_row(name, group)))
        })?;
        rows.iter().for_each(|row| self.follow_store(&row.name));
        self.directory.change(|snapshot| groups.into_iter().for_each(|(name, group)| snapshot.put_group(&name, group)));
        Ok(())
    }

    fn make_configured_users(&self) -> Result<(), StoreError> {
        let config = self.config.snapshot();
        let of_roles = config.roles.iter().flat_map(|role| &role.users);
        let of_groups = config.groups.iter().flat_map(|group| &group.users);
        let named: BTreeSet<_> = of_roles.chain(of_groups).collect();
        let is_new = |name: &&&UserName| self.user(name).is_none() && !config.blocked_users.contains(name);
        let rows = named.iter().filter(is_new).map(|name| {
            // An administrator to be still comes in by the setup code, or is let in by another one.
            let authorised = !config.admins.contains(name);
            UserRow { authorised, admin: false, ..self.new_user(name, false, self.next_creation()) }
        });
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            return Ok(());
        }
        let now = self.now();
        self.store.write(|t| {
            rows.iter().try_for_each(|row| {
                t.put_user(row)?;
                t.audit(now, &OURSELVES.into(), "added user of the configuration", row.name.as_str())
            })
        })?;
        rows.iter().for_each(|row| self.follow_store(&row.name));
        Ok(())
    }

    fn make_configured_groups(&self) -> Result<(), StoreError> {
        let config = self.config.snapshot();
        let snapshot = self.directory.now();
        let blocked: BTreeSet<_> = config.blocked_users.iter().collect();
        let mut wanted: BTreeMap<GroupName, Group> = BTreeMap::new();
        let present = |name: &GroupName| snapshot.groups.get(name).map(|group| Group::clone(group)).unwrap_or_default();
        for name in config.roles.iter().flat_map(|role| &role.groups) {
            wanted.entry(name.clone()).or_insert_with(|| present(name));
        }
        for group in &config.groups {
            let entry = wanted.entry(group.name.clone()).or_insert_with(|| present(&group.name));
            let users = group.users.iter().filter(|user| !blocked.contains(user)).cloned();
            entry.users = std::mem::take(&mut entry.users).with(users);
            if let Some(properties) = &group.properties {
                entry.properties = properties.clone();
            }
            if let Some(description) = &group.description {
                entry.description = description.clone();
            }
            entry.grants.priority = group.priority.unwrap_or(entry.grants.priority);
            // What cannot be has been told by `mistakes`, before anything started.
            let said =
                group.grants.as_ref().and_then(|draft| draft.check(entry.grants.priority, &config.grant_rules).ok());
            entry.grants = said.unwrap_or(std::mem::take(&mut entry.grants));
        }
        let built_in = GroupName::parse(BUILT_IN_GROUP).expect("the word is a group's name");
        let entry = wanted.entry(built_in.clone()).or_insert_with(|| present(&built_in));
        entry.grants = built_in_grants();
        if entry.description.is_empty() {
            BUILT_IN_DESCRIPTION.clone_into(&mut entry.description);
        }
        wanted.retain(|name, group| snapshot.groups.get(name).is_none_or(|there| **there != *group));
        if wanted.is_empty() {
            return Ok(());
        }
        let new = wanted.iter_mut().filter(|(name, _)| !snapshot.groups.contains_key(*name));
        for ((_, group), created) in new.zip(self.group_creations()) {
            group.created = created;
        }
        // The configuration is leave enough.
        let root_grants = RootGrants::of(&snapshot, &wanted);
        let now = self.now();
        self.store.write(|t| {
            wanted.iter().try_for_each(|(name, group)| {
                t.put_group(&group_row(name, group))?;
                t.audit(now, &OURSELVES.into(), "set group as configured", name.as_str())
            })?;
            root_grants.audit(t, now, &OURSELVES.into())
        })?;
        self.directory.change(|snapshot| wanted.into_iter().for_each(|(name, group)| snapshot.put_group(&name, group)));
        Ok(())
    }

    /// Shares and codes of users, groups and servers' owners that are not there (any more) are not kept.
    pub(super) fn drop_orphans(&self) -> Result<(), StoreError> {
        let snapshot = self.directory.now();
        let is_orphan = |share: &&Arc<Share>| {
            let has_other = match &share.with {
                ShareWith::User(user) => self.user(user).is_some(),
                ShareWith::Group(group) => snapshot.groups.contains_key(group),
            };
            !has_other || self.user(&share.server.user).is_none()
        };
        let shares: Vec<_> = snapshot.shares.values().filter(is_orphan).cloned().collect();
        let codes = self.codes_where(|code| self.user(&code.server.user).is_none());
        if shares.is_empty() && codes.is_empty() {
            return Ok(());
        }
        self.store.write(|t| {
            shares.iter().try_for_each(|share| t.delete_share(&share.server, &share.with))?;
            codes.iter().try_for_each(|code| t.delete_share_code(code.id))
        })?;
        self.forget_codes(&codes);
        self.directory.change(|snapshot| {
            shares.iter().for_each(|share| snapshot.remove_share(&share.server, &share.with));
        });
        Ok(())
    }
}
