//! Who may give away what is root on the host: the one decision, asked by every act that changes a group.
//!
//! Administering is not enough, since a stolen session or token must not become root: an administrator types the
//! password again, or it stands in the configuration, or the token was made for it.

use std::net::IpAddr;

use super::directory::{Group, Snapshot};
use super::{AccountError, ActError, Auth, Caller, Session, Shared, Target};
use crate::model::{Actor, GroupName, Secret, Timestamp, UserName};
use crate::store::{StoreError, Transaction};

/// What a token must carry.
pub(super) const GRANT_ROOT: &str = "custom:grant-root";

/// Leave to give away what is root on the host. Only this file makes one that is given.
#[derive(Debug)]
pub struct RootLeave {
    is_given: bool,
}

impl RootLeave {
    /// None: what is root on the host is refused, everything else is as ever.
    pub const NONE: Self = Self { is_given: false };

    /// The same for an act that runs elsewhere; only acts copy it.
    pub(super) fn copied(&self) -> Self {
        Self { is_given: self.is_given }
    }

    /// What comes with the request itself: a token that was made for it has leave; a session has none, it asks for the
    /// password with `Auth::root_leave`.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        let is_given = caller.token().is_some() && caller.rights().allows(GRANT_ROOT, Target::All);
        Self { is_given }
    }
}

impl Auth {
    /// Leave for a signed-in administrator who has typed the password again.
    ///
    /// # Errors
    /// As `verify_password_again`.
    pub async fn root_leave(
        &self,
        session: &Session,
        password: &Secret,
        from: IpAddr,
    ) -> Result<RootLeave, AccountError> {
        self.verify_password_again(session, password, from).await?;
        Ok(RootLeave { is_given: session.user.is_admin() })
    }

    /// True if whoever joins this group becomes root on the host.
    #[must_use]
    pub fn is_root_like(&self, group: &GroupName) -> bool {
        self.0.directory.now().groups.get(group).is_some_and(|group| group.grants.is_root_like())
    }
}

/// What of a change to groups makes somebody root on the host.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RootGrants {
    /// Groups that grant it now and did not before.
    groups: Vec<GroupName>,
    /// Who joins a group that grants it.
    members: Vec<(GroupName, UserName)>,
}

impl RootGrants {
    /// Compares what is with what is to be. Pure.
    pub(super) fn of<'a>(before: &Snapshot, after: impl IntoIterator<Item = (&'a GroupName, &'a Group)>) -> Self {
        let mut grants = Self::default();
        for (name, after) in after {
            if !after.grants.is_root_like() {
                continue;
            }
            let before = before.groups.get(name);
            let had = |of: fn(&Group) -> bool| before.is_some_and(|group| of(group));
            let has_more = |of: fn(&Group) -> bool| of(after) && !had(of);
            let socket = |group: &Group| group.grants.docker.is_active && group.grants.docker.socket;
            let privileged = |group: &Group| group.grants.docker.is_active && group.grants.docker.privileged;
            if has_more(socket) || has_more(privileged) {
                grants.groups.push(name.clone());
            }
            let joins = |user: &&UserName| before.is_none_or(|group| !group.users.contains(user));
            grants.members.extend(after.users.iter().filter(joins).map(|user| (name.clone(), user.clone())));
        }
        grants
    }

    /// The decision.
    ///
    /// # Errors
    /// `RootLike` if somebody would become root on the host without leave.
    pub(super) fn check(&self, leave: &RootLeave) -> Result<(), ActError> {
        let first = self.groups.first().or(self.members.first().map(|(group, _)| group));
        match first {
            Some(group) if !leave.is_given => Err(ActError::RootLike(group.clone())),
            _ => Ok(()),
        }
    }

    /// A row for each.
    pub(super) fn audit(&self, t: &mut Transaction<'_>, now: Timestamp, by: &Actor) -> Result<(), StoreError> {
        for group in &self.groups {
            t.audit(now, by, "granted root on the host to members of group", group.as_str())?;
        }
        for (group, user) in &self.members {
            t.audit(now, by, &format!("gave root on the host through group {group} to"), user.as_str())?;
        }
        Ok(())
    }
}

impl Shared {
    /// Who is put into a group that is root on the host by the configuration. Nobody takes such a name: at the next
    /// start the configuration would put them in.
    pub(super) fn is_named_for_root(&self, name: &UserName) -> bool {
        let snapshot = self.directory.now();
        let is_root_like = |group: &GroupName| snapshot.groups.get(group).is_some_and(|g| g.grants.is_root_like());
        self.config.read().groups.iter().any(|group| group.users.contains(name) && is_root_like(&group.name))
    }
}
