//! What somebody may do now: concrete scopes, and the one decision over them.
//!
//! Built by `expand`; here it is only compared. Group filters know their members, so nobody needs a look-up to decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use super::directory::Members;
use crate::model::{GroupName, ScopeName, ServerKey, ServiceName, UserName};

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// Everything there is: only an unfiltered scope will do.
    All,
    /// A list, of which each item is asked about by itself: a filtered scope will do.
    Some,
    /// A user.
    User(&'a UserName),
    /// A user, for one of whose servers a scope is enough.
    ServersOf(&'a UserName),
    /// A server.
    Server(&'a ServerKey),
    /// A group.
    Group(&'a GroupName),
    /// A service.
    Service(&'a ServiceName),
}

/// The answer to "may I?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    Allowed,
    /// For others, but not for this one: 404, so that nobody learns whether it exists.
    Elsewhere,
    /// None of the scopes in any form: 403.
    Missing,
}

/// What somebody may do now: expanded and concrete. A snapshot: who keeps it keeps what was true then.
#[derive(Debug, Default)]
pub struct Rights {
    pub(super) held: Held,
    /// Whose rights these are is an administrator.
    pub(super) is_administrator: bool,
    /// Of the directory that they were worked out from.
    pub(super) epoch: u64,
    written: OnceLock<Vec<String>>,
}

impl Rights {
    pub(super) fn new(held: Held, is_administrator: bool, epoch: u64) -> Self {
        Self { held, is_administrator, epoch, written: OnceLock::new() }
    }

    /// All of it as written for `GET /hub/api/user`: expanded, concrete, sorted.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        self.written.get_or_init(|| self.held.written())
    }

    /// The one decision: does any of `wanted` reach `target`? Allocates nothing, waits for nothing.
    #[must_use]
    pub fn check(&self, wanted: &[&str], target: Target<'_>) -> Access {
        let mut is_held = false;
        for name in wanted {
            let Some(reach) = self.held.0.get(*name) else { continue };
            if reach.reaches(target) {
                return Access::Allowed;
            }
            is_held = true;
        }
        if is_held { Access::Elsewhere } else { Access::Missing }
    }

    /// True if `scope` reaches `target`.
    #[must_use]
    pub fn allows(&self, scope: &str, target: Target<'_>) -> bool {
        self.check(&[scope], target) == Access::Allowed
    }

    /// True if these are an administrator's: one who may change administrators.
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        self.is_administrator
    }
}

/// Concrete scopes by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(pub(super) BTreeMap<ScopeName, Reach>);

/// How far one scope reaches: a union of filters.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// Unfiltered: the rest is empty then.
    pub(super) all: bool,
    pub(super) users: BTreeSet<UserName>,
    pub(super) servers: BTreeSet<ServerKey>,
    pub(super) groups: BTreeMap<GroupName, Members>,
    pub(super) services: BTreeSet<ServiceName>,
}

impl Reach {
    fn reaches(&self, target: Target<'_>) -> bool {
        if self.all {
            return true;
        }
        match target {
            Target::All => false,
            Target::Some => true,
            Target::User(user) => self.reaches_user(user),
            Target::ServersOf(user) => {
                self.reaches_user(user) || self.servers.iter().any(|server| server.user == *user)
            }
            Target::Server(server) => self.reaches_server(server),
            Target::Group(group) => self.groups.contains_key(group),
            Target::Service(service) => self.services.contains(service),
        }
    }

    fn reaches_user(&self, user: &UserName) -> bool {
        self.all || self.users.contains(user) || self.groups.values().any(|members| members.contains(user))
    }

    fn reaches_server(&self, server: &ServerKey) -> bool {
        self.reaches_user(&server.user) || self.servers.contains(server)
    }

    fn is_empty(&self) -> bool {
        let has_names = !self.users.is_empty() || !self.servers.is_empty() || !self.services.is_empty();
        !self.all && !has_names && self.groups.is_empty()
    }

    /// Unfiltered beats filtered.
    fn make_all(&mut self) {
        *self = Self { all: true, ..Self::default() };
    }

    /// Adds what `other` reaches.
    fn add(&mut self, other: &Self) {
        if self.all {
            return;
        }
        if other.all {
            self.make_all();
            return;
        }
        self.users.extend(other.users.iter().cloned());
        self.servers.extend(other.servers.iter().cloned());
        self.groups.extend(other.groups.iter().map(|(group, members)| (group.clone(), members.clone())));
        self.services.extend(other.services.iter().cloned());
    }

    /// What both reach. `is_about_groups`: a group filter means the group, not its members.
    fn and(&self, other: &Self, is_about_groups: bool) -> Self {
        if self.all {
            return other.clone();
        }
        if other.all {
            return self.clone();
        }
        let mut both = Self::default();
        for (one, another) in [(self, other), (other, self)] {
            both.users.extend(one.users.iter().filter(|user| another.reaches_user(user)).cloned());
            both.servers.extend(one.servers.iter().filter(|server| another.reaches_server(server)).cloned());
        }
        both.services.extend(self.services.intersection(&other.services).cloned());
        for (group, members) in &self.groups {
            if other.groups.contains_key(group) {
                both.groups.insert(group.clone(), members.clone());
                continue;
            }
            if !is_about_groups {
                // Two groups that overlap: whoever is in both.
                both.users
                    .extend(members.iter().filter(|user| other.groups.values().any(|m| m.contains(user))).cloned());
            }
        }
        both
    }

    /// True if whoever holds `self` holds all of `narrower`. A group only by itself: its members change.
    fn covers(&self, narrower: &Self) -> bool {
        if self.all || narrower.all {
            return self.all;
        }
        narrower.users.iter().all(|user| self.reaches_user(user))
            && narrower.servers.iter().all(|server| self.reaches_server(server))
            && narrower.services.iter().all(|service| self.services.contains(service))
            && narrower.groups.keys().all(|group| self.groups.contains_key(group))
    }
}

impl Held {
    /// Adds `name` for what `reach` reaches.
    pub(super) fn add(&mut self, name: &ScopeName, reach: &Reach) {
        match self.0.get_mut(name) {
            Some(held) => held.add(reach),
            None => {
                self.0.insert(name.clone(), reach.clone());
            }
        }
    }

    /// What both hold.
    pub(super) fn and(&self, other: &Self) -> Self {
        let mut both = BTreeMap::new();
        for (name, reach) in &self.0 {
            let Some(others) = other.0.get(name) else { continue };
            let common = reach.and(others, name.is_about_groups());
            if !common.is_empty() {
                both.insert(name.clone(), common);
            }
        }
        Self(both)
    }

    /// The first scope of `narrower` that is not held here in full.
    pub(super) fn first_not_covered(&self, narrower: &Self) -> Option<ScopeName> {
        let is_covered =
            |(name, reach): &(&ScopeName, &Reach)| self.0.get(*name).is_some_and(|held| held.covers(reach));
        narrower.0.iter().find(|entry| !is_covered(entry)).map(|(name, _)| name.clone())
    }

    fn written(&self) -> Vec<String> {
        let mut scopes = Vec::new();
        for (name, reach) in &self.0 {
            if reach.all {
                scopes.push(name.to_string());
            }
            scopes.extend(reach.users.iter().map(|user| format!("{name}!user={user}")));
            scopes.extend(reach.servers.iter().map(|server| format!("{name}!server={}", server.scope_name())));
            scopes.extend(reach.groups.keys().map(|group| format!("{name}!group={group}")));
            scopes.extend(reach.services.iter().map(|service| format!("{name}!service={service}")));
        }
        scopes.sort_unstable();
        scopes
    }
}
