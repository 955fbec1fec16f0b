//! What a user's groups come to together, and the group that is built in.

use super::directory::Snapshot;
use super::{Auth, GroupListing};
use crate::model::{
    DockerGrant, Effective, GrantNote, GrantRules, Granted, Grants, GroupGrants, GroupName, IdleGrant, UserName, merge,
    merge_idle,
};

/// Its members' servers have the engine's socket: root on the host. Always there, and always means this.
pub const BUILT_IN_GROUP: &str = "docker-privileged";

/// What lists say of it, until somebody says it better.
pub(super) const BUILT_IN_DESCRIPTION: &str = "Servers of its members can use the Docker engine of this host.";

/// True for the group that the program makes itself.
pub(super) fn is_built_in(name: &GroupName) -> bool {
    name.as_str() == BUILT_IN_GROUP
}

/// What the built-in group grants, whatever is stored.
pub(super) fn built_in_grants() -> Grants {
    let docker = DockerGrant { is_active: true, socket: true, privileged: false };
    Grants { docker, ..Grants::default() }
}

impl Auth {
    /// What no group of this installation may give.
    #[must_use]
    pub fn grant_rules(&self) -> GrantRules {
        self.0.config.read().grant_rules.clone()
    }

    /// What the next start of the user's servers gets through groups, and which group gives it.
    #[must_use]
    pub fn effective(&self, user: &UserName) -> Effective {
        self.0.directory.now().effective(user)
    }
}

impl Auth {
    /// When idle servers of this user are stopped as far as groups say; None: none says.
    #[must_use]
    pub fn idle_grant(&self, user: &UserName) -> Option<Granted<IdleGrant>> {
        let snapshot = self.0.directory.now();
        let names = snapshot.groups_of(user);
        let said = names.iter().filter_map(|name| Some((name, &snapshot.groups.get(name)?.grants)));
        let active: Vec<_> = said
            .filter(|(_, grants)| grants.idle.is_active)
            .map(|(name, grants)| GroupGrants { name, grants })
            .collect();
        merge_idle(&active)
    }
}

impl Snapshot {
    fn effective(&self, user: &UserName) -> Effective {
        let names = self.groups_of(user);
        let groups = names.iter().filter_map(|name| {
            let group = self.groups.get(name)?;
            Some(GroupGrants { name, grants: &group.grants })
        });
        merge(&groups.collect::<Vec<_>>())
    }
}

impl GroupListing {
    /// What the group gives by itself, in words.
    #[must_use]
    pub fn notes(&self) -> Vec<GrantNote> {
        merge(&[GroupGrants { name: &self.name, grants: &self.grants }]).notes()
    }
}
