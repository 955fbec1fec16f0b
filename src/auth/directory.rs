//! Who belongs where: groups, roles and shares, in memory, as one snapshot that is exchanged as a whole.
//!
//! Rights are worked out from it and kept with whom they belong to. Each change counts the epoch up, and rights of an
//! older epoch are worked out anew when next asked for: a change is felt by the next request, and costs nobody else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::Auth;
use super::rules::Rules;
use crate::model::{Grants, GroupName, Live, RoleName, Scope, ServerKey, ServiceName, ShareWith, Timestamp, UserName};

/// The members of a group; none if it is not there. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Members(imbl::OrdSet<UserName>);

impl Members {
    pub(super) fn contains(&self, user: &UserName) -> bool {
        self.0.contains(user)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &UserName> {
        self.0.iter()
    }
}

/// The directory, shared by all whose rights follow from it.
#[derive(Debug)]
pub(super) struct Directory {
    /// Of the configuration; exchanged under `Shared::acts`, before the epoch is counted up.
    pub(super) rules: Live<Rules>,
    snapshot: ArcSwap<Snapshot>,
    epoch: AtomicU64,
    /// Told after each count.
    told: watch::Sender<()>,
}

impl Directory {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules: rules.into(),
            snapshot: ArcSwap::default(),
            epoch: AtomicU64::new(1),
            told: watch::Sender::default(),
        }
    }

    /// How often something has changed. Rights that carry it are the present ones.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Rights follow from something that has just changed elsewhere: an administrator, an account let in.
    pub(super) fn changed(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.told.send_replace(());
    }

    pub(super) fn now(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Changes it; only under `Shared::acts`.
    pub(super) fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut next = Snapshot::clone(&self.snapshot.load());
        change(&mut next);
        self.snapshot.store(Arc::new(next));
        // After the snapshot: rights worked out between the two carry the old epoch and are worked out again.
        self.changed();
    }
}

impl Auth {
    /// Changes whenever somebody's rights may have: whoever acts on a right for longer than a moment looks again.
    #[must_use]
    pub fn rights_changes(&self) -> watch::Receiver<()> {
        self.0.directory.told.subscribe()
    }
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Group {
    pub(super) users: Members,
    pub(super) properties: serde_json::Map<String, serde_json::Value>,
    pub(super) created: Timestamp,
    pub(super) description: String,
    pub(super) grants: Grants,
}

/// Who has a role beside those who have it by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Assigned {
    pub(super) users: imbl::OrdSet<UserName>,
    pub(super) groups: imbl::OrdSet<GroupName>,
    pub(super) services: imbl::OrdSet<ServiceName>,
}

/// What somebody was given of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose, and which.
    pub server: ServerKey,
    /// Who may.
    pub with: ShareWith,
    /// What: each limited to the server, sorted.
    pub scopes: Vec<Scope>,
    /// When it was first given.
    pub created: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) groups: imbl::OrdMap<GroupName, Arc<Group>>,
    pub(super) groups_of: imbl::HashMap<UserName, imbl::OrdSet<GroupName>>,
    /// Only roles of the configuration; the default ones follow from what somebody is.
    pub(super) roles: BTreeMap<RoleName, Assigned>,
    pub(super) shares: imbl::OrdMap<(ServerKey, ShareWith), Arc<Share>>,
    pub(super) shared_with: imbl::HashMap<ShareWith, imbl::OrdSet<ServerKey>>,
}

impl Snapshot {
    pub(super) fn members(&self, group: &GroupName) -> Members {
        self.groups.get(group).map_or_else(Members::default, |group| group.users.clone())
    }

    pub(super) fn groups_of(&self, user: &UserName) -> imbl::OrdSet<GroupName> {
        self.groups_of.get(user).cloned().unwrap_or_default()
    }

    pub(super) fn roles_of_user(&self, user: &UserName) -> impl Iterator<Item = &RoleName> {
        self.roles.iter().filter(|(_, assigned)| assigned.users.contains(user)).map(|(role, _)| role)
    }

    pub(super) fn roles_of_group(&self, group: &GroupName) -> impl Iterator<Item = &RoleName> {
        self.roles.iter().filter(|(_, assigned)| assigned.groups.contains(group)).map(|(role, _)| role)
    }

    pub(super) fn roles_of_service(&self, service: &ServiceName) -> impl Iterator<Item = &RoleName> {
        self.roles.iter().filter(|(_, assigned)| assigned.services.contains(service)).map(|(role, _)| role)
    }

    /// The roles that a user has through his groups.
    pub(super) fn roles_of_groups<'a>(
        &'a self,
        groups: &'a imbl::OrdSet<GroupName>,
    ) -> impl Iterator<Item = &'a RoleName> {
        let has_one = move |assigned: &Assigned| {
            let (few, many) = if assigned.groups.len() < groups.len() {
                (&assigned.groups, groups)
            } else {
                (groups, &assigned.groups)
            };
            few.iter().any(|group| many.contains(group))
        };
        self.roles.iter().filter(move |(_, assigned)| has_one(assigned)).map(|(role, _)| role)
    }

    /// What is shared with `with`.
    pub(super) fn shares_with<'a>(&'a self, with: &'a ShareWith) -> impl Iterator<Item = &'a Arc<Share>> {
        let servers = self.shared_with.get(with).into_iter().flatten();
        servers.filter_map(move |server| self.shares.get(&(server.clone(), with.clone())))
    }

    pub(super) fn put_group(&mut self, name: &GroupName, group: Group) {
        let before = self.members(name);
        for gone in before.iter().filter(|user| !group.users.contains(user)) {
            self.leave(gone, name);
        }
        for user in group.users.iter() {
            if !before.contains(user) {
                self.groups_of.entry(user.clone()).or_default().insert(name.clone());
            }
        }
        self.groups.insert(name.clone(), Arc::new(group));
    }

    fn leave(&mut self, user: &UserName, group: &GroupName) {
        let Some(mut groups) = self.groups_of.get(user).cloned() else { return };
        groups.remove(group);
        if groups.is_empty() {
            self.groups_of.remove(user);
        } else {
            self.groups_of.insert(user.clone(), groups);
        }
    }

    /// The group, its roles, and what was shared with it.
    pub(super) fn remove_group(&mut self, name: &GroupName) {
        for user in self.members(name).iter() {
            self.leave(user, name);
        }
        self.groups.remove(name);
        self.roles.values_mut().for_each(|assigned| {
            assigned.groups.remove(name);
        });
        self.remove_shares_with(&ShareWith::Group(name.clone()));
    }

    /// All that the directory knows of a user.
    pub(super) fn remove_user(&mut self, user: &UserName) {
        for group in self.groups_of(user) {
            let mut changed = self.groups.get(&group).map(|group| Group::clone(group)).unwrap_or_default();
            changed.users.0.remove(user);
            self.groups.insert(group, Arc::new(changed));
        }
        self.groups_of.remove(user);
        self.roles.values_mut().for_each(|assigned| {
            assigned.users.remove(user);
        });
        self.remove_shares_with(&ShareWith::User(user.clone()));
        for server in self.shared_servers_of(user) {
            self.remove_shares_of(&server);
        }
    }

    /// A user is called otherwise: what roles they have.
    pub(super) fn rename_in_roles(&mut self, old: &UserName, new: &UserName) {
        for assigned in self.roles.values_mut() {
            if assigned.users.remove(old).is_some() {
                assigned.users.insert(new.clone());
            }
        }
    }

    /// The servers of a user that are shared.
    pub(super) fn shared_servers_of(&self, user: &UserName) -> Vec<ServerKey> {
        let mut servers: Vec<_> = self.shares_of_owner(user).map(|share| share.server.clone()).collect();
        servers.dedup();
        servers
    }

    pub(super) fn shares_of_owner<'a>(&'a self, user: &'a UserName) -> impl Iterator<Item = &'a Arc<Share>> {
        let first = (ServerKey::default_of(user.clone()), FIRST_SHARE.clone());
        self.shares.range(first..).map(|(_, share)| share).take_while(move |share| share.server.user == *user)
    }

    pub(super) fn shares_of<'a>(&'a self, server: &'a ServerKey) -> impl Iterator<Item = &'a Arc<Share>> {
        let first = (server.clone(), FIRST_SHARE.clone());
        self.shares.range(first..).map(|(_, share)| share).take_while(move |share| share.server == *server)
    }

    pub(super) fn put_share(&mut self, share: Share) {
        self.shared_with.entry(share.with.clone()).or_default().insert(share.server.clone());
        self.shares.insert((share.server.clone(), share.with.clone()), Arc::new(share));
    }

    pub(super) fn remove_share(&mut self, server: &ServerKey, with: &ShareWith) {
        self.shares.remove(&(server.clone(), with.clone()));
        let Some(mut servers) = self.shared_with.get(with).cloned() else { return };
        servers.remove(server);
        if servers.is_empty() {
            self.shared_with.remove(with);
        } else {
            self.shared_with.insert(with.clone(), servers);
        }
    }

    pub(super) fn remove_shares_of(&mut self, server: &ServerKey) {
        let with: Vec<_> = self.shares_of(server).map(|share| share.with.clone()).collect();
        with.iter().for_each(|with| self.remove_share(server, with));
    }

    fn remove_shares_with(&mut self, with: &ShareWith) {
        let servers = self.shared_with.get(with).cloned().unwrap_or_default();
        servers.iter().for_each(|server| self.remove_share(server, with));
    }
}

/// Sorts before all others: no name is shorter than one character below all that names may hold.
static FIRST_SHARE: std::sync::LazyLock<ShareWith> =
    std::sync::LazyLock::new(|| ShareWith::User(UserName::parse("!").expect("a name of one character")));

impl FromIterator<UserName> for Members {
    fn from_iter<T: IntoIterator<Item = UserName>>(users: T) -> Self {
        Self(users.into_iter().collect())
    }
}

impl Members {
    pub(super) fn with(mut self, users: impl IntoIterator<Item = UserName>) -> Self {
        self.0.extend(users);
        self
    }

    pub(super) fn without(mut self, users: &[UserName]) -> Self {
        users.iter().for_each(|user| {
            self.0.remove(user);
        });
        self
    }
}
