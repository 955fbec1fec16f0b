//! Shares: what an owner lets others do with one server. Each act is one commit with its audit row.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::directory::Share;
use super::rights::{Rights, Target};
use super::{ActError, Auth, Shared};
use crate::model::{Actor, Filter, GroupName, Scope, ServerKey, ShareWith, UserName};
use crate::store::{ShareRow, StoreError, Transaction};

/// Shares of one server. 1,000: more people are a group.
const SHARES_LIMIT: usize = 1_000;

impl Auth {
    /// Gives `with` some `scopes` on `server`, beside those that it has already; none named: access to it. Who may
    /// share and that the server exists has been checked.
    ///
    /// # Errors
    /// `BadShare` for a scope filtered to anything else, `NotYours` for one that who asks does not hold, `NoUser` and
    /// `NoGroup`.
    pub async fn share(
        &self,
        actor: impl Into<Actor>,
        server: &ServerKey,
        with: &ShareWith,
        scopes: Vec<Scope>,
        by: Arc<Rights>,
    ) -> Result<Arc<Share>, ActError> {
        let (actor, server, with) = (actor.into(), server.clone(), with.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let scopes = shared.check_shared_scopes(&server, scopes, &by)?;
            let share = shared.extended_share(&server, &with, scopes)?;
            let now = shared.now();
            let row = row_of(&share);
            let stored = shared.store.write(|t| {
                t.put_share(&row)?;
                t.audit(now, &actor, &format!("shared {}", server.scope_name()), &with.to_string())
            });
            shared.follow_directory::<ActError>(stored, |snapshot| snapshot.put_share(share.clone()))?;
            Ok(Arc::new(share))
        })
        .await
    }

    /// Takes `scopes` back, or all of it if none are named: what is left, if anything.
    ///
    /// # Errors
    /// If it could not be stored.
    pub async fn unshare(
        &self,
        actor: impl Into<Actor>,
        server: &ServerKey,
        with: &ShareWith,
        scopes: Option<Vec<Scope>>,
    ) -> Result<Option<Arc<Share>>, ActError> {
        let (actor, server, with) = (actor.into(), server.clone(), with.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let Some(share) = shared.directory.now().shares.get(&(server.clone(), with.clone())).cloned() else {
                return Ok(None);
            };
            let mut left = Share::clone(&share);
            match &scopes {
                Some(scopes) => left.scopes.retain(|scope| !scopes.contains(scope)),
                None => left.scopes.clear(),
            }
            if left.scopes.len() == share.scopes.len() {
                return Ok(Some(share));
            }
            let is_gone = left.scopes.is_empty();
            let now = shared.now();
            let stored = shared.store.write(|t| {
                if is_gone {
                    t.delete_share(&server, &with)?
                } else {
                    t.put_share(&row_of(&left))?
                }
                t.audit(now, &actor, &format!("unshared {}", server.scope_name()), &with.to_string())
            });
            shared.follow_directory::<ActError>(stored, |snapshot| {
                if is_gone { snapshot.remove_share(&server, &with) } else { snapshot.put_share(left.clone()) }
            })?;
            Ok((!is_gone).then(|| Arc::new(left)))
        })
        .await
    }

    /// Takes back all that was given of a server. Codes stay.
    ///
    /// # Errors
    /// If it could not be stored.
    pub async fn unshare_all(&self, actor: impl Into<Actor>, server: &ServerKey) -> Result<(), ActError> {
        let (actor, server) = (actor.into(), server.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let shares: Vec<_> = shared.directory.now().shares_of(&server).cloned().collect();
            if shares.is_empty() {
                return Ok(());
            }
            let now = shared.now();
            let stored = shared.store.write(|t| {
                shares.iter().try_for_each(|share| t.delete_share(&share.server, &share.with))?;
                t.audit(now, &actor, "unshared with all", &server.scope_name())
            });
            shared.follow_directory(stored, |snapshot| snapshot.remove_shares_of(&server))
        })
        .await
    }

    /// Servers are no more: their shares, codes and what was issued to their clients go with them, in one commit with
    /// `also`.
    ///
    /// # Errors
    /// If that could not be stored.
    pub async fn forget_servers(
        &self,
        servers: &[ServerKey],
        also: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let servers = servers.to_vec();
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let snapshot = shared.directory.now();
            let shares: Vec<_> = servers.iter().flat_map(|server| snapshot.shares_of(server)).cloned().collect();
            let codes = shared.codes_where(|code| servers.contains(&code.server));
            let tokens: Vec<_> = servers.iter().flat_map(|server| shared.tokens_of_server(server)).collect();
            shared.forget_codes(&codes);
            let stored = shared.end_tokens_with(&tokens, |t| {
                shares.iter().try_for_each(|share| t.delete_share(&share.server, &share.with))?;
                codes.iter().try_for_each(|code| t.delete_share_code(code.id))?;
                also(t)
            });
            if shares.is_empty() {
                return stored;
            }
            shared.follow_directory(stored, |snapshot| {
                servers.iter().for_each(|server| snapshot.remove_shares_of(server));
            })
        })
        .await
    }

    /// A server has another name: its shares and codes follow, in one commit with `also`. What was issued to its client
    /// ends, because it knows the old name.
    ///
    /// # Errors
    /// If that could not be stored.
    pub async fn rename_server(
        &self,
        from: &ServerKey,
        to: &ServerKey,
        also: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let (from, to) = (from.clone(), to.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let shares: Vec<_> = shared.directory.now().shares_of(&from).map(|share| share.on(&to)).collect();
            let codes = shared.codes_where(|code| code.server == from);
            let codes: Vec<_> = codes.iter().map(|code| code.on(&to)).collect();
            let tokens = shared.tokens_of_server(&from);
            let stored = shared.end_tokens_with(&tokens, |t| {
                for share in &shares {
                    t.delete_share(&from, &share.with)?;
                    t.put_share(&row_of(share))?;
                }
                codes.iter().try_for_each(|code| t.put_share_code(&code.row()))?;
                also(t)
            });
            if shares.is_empty() && codes.is_empty() {
                return stored;
            }
            shared.follow_directory::<StoreError>(stored, |snapshot| {
                snapshot.remove_shares_of(&from);
                shares.into_iter().for_each(|share| snapshot.put_share(share));
            })?;
            shared.codes.lock().extend(codes.into_iter().map(|code| (code.id, Arc::new(code))));
            Ok(())
        })
        .await
    }

    /// The shares of one server.
    #[must_use]
    pub fn shares_of_server(&self, server: &ServerKey) -> Vec<Arc<Share>> {
        self.0.directory.now().shares_of(server).cloned().collect()
    }

    /// The shares of all servers of a user, by server.
    #[must_use]
    pub fn shares_of_owner(&self, owner: &UserName) -> Vec<Arc<Share>> {
        self.0.directory.now().shares_of_owner(owner).cloned().collect()
    }

    /// What is shared with a user, also by way of their groups.
    #[must_use]
    pub fn shares_with_user(&self, user: &UserName) -> Vec<Arc<Share>> {
        let snapshot = self.0.directory.now();
        let groups = snapshot.groups_of(user).into_iter().map(ShareWith::Group);
        let with: Vec<_> = std::iter::once(ShareWith::User(user.clone())).chain(groups).collect();
        with.iter().flat_map(|with| snapshot.shares_with(with)).cloned().collect()
    }

    /// What is shared with a group.
    #[must_use]
    pub fn shares_with_group(&self, group: &GroupName) -> Vec<Arc<Share>> {
        self.0.directory.now().shares_with(&ShareWith::Group(group.clone())).cloned().collect()
    }

    /// What `with` was given of `server`.
    #[must_use]
    pub fn share_between(&self, server: &ServerKey, with: &ShareWith) -> Option<Arc<Share>> {
        self.0.directory.now().shares.get(&(server.clone(), with.clone())).cloned()
    }
}

impl Shared {
    /// The scopes with the server's filter on each, if they can be shared and who asks holds them.
    pub(super) fn check_shared_scopes(
        &self,
        server: &ServerKey,
        scopes: Vec<Scope>,
        by: &Rights,
    ) -> Result<BTreeSet<Scope>, ActError> {
        if scopes.is_empty() {
            let access = Scope::access_to_server(server);
            return self.check_shared_scopes(server, vec![access], by);
        }
        let own = Filter::Server(server.clone());
        let mut shared = BTreeSet::new();
        for scope in scopes {
            let fits = scope.filter == Filter::None || scope.filter == own;
            if !fits || scope.is_inherit() || scope.is_self() {
                return Err(ActError::BadShare { scope, server: server.clone() });
            }
            if !self.directory.rules.read().is_defined(&scope.name) {
                return Err(ActError::UnknownScope(scope));
            }
            let scope = scope.with(own.clone());
            if !by.allows(scope.name.as_str(), Target::Server(server)) {
                return Err(ActError::NotYours(scope.to_string()));
            }
            shared.insert(scope);
        }
        Ok(shared)
    }

    /// The share as it will be: what there is of it, and `scopes`.
    pub(super) fn extended_share(
        &self,
        server: &ServerKey,
        with: &ShareWith,
        mut scopes: BTreeSet<Scope>,
    ) -> Result<Share, ActError> {
        let snapshot = self.directory.now();
        match with {
            ShareWith::User(user) if self.user(user).is_none() => return Err(ActError::NoUser(user.clone())),
            ShareWith::Group(group) if !snapshot.groups.contains_key(group) => {
                return Err(ActError::NoGroup(group.clone()));
            }
            _ => {}
        }
        if self.user(&server.user).is_none() {
            return Err(ActError::NoUser(server.user.clone()));
        }
        let before = snapshot.shares.get(&(server.clone(), with.clone()));
        if before.is_none() && snapshot.shares_of(server).count() >= SHARES_LIMIT {
            return Err(ActError::TooMany { what: "shares of a server", limit: SHARES_LIMIT });
        }
        scopes.extend(before.iter().flat_map(|share| share.scopes.iter().cloned()));
        Ok(Share {
            server: server.clone(),
            with: with.clone(),
            scopes: scopes.into_iter().collect(),
            created: before.map_or_else(|| self.now(), |share| share.created),
        })
    }
}

/// What is given of one server as it is given of another.
pub(super) fn refiltered(scopes: &[Scope], server: &ServerKey) -> Vec<Scope> {
    scopes.iter().map(|scope| scope.clone().with(Filter::Server(server.clone()))).collect()
}

impl Share {
    /// The same of the server under its new name.
    pub(super) fn on(&self, server: &ServerKey) -> Self {
        Self { server: server.clone(), scopes: refiltered(&self.scopes, server), ..self.clone() }
    }
}

pub(super) fn row_of(share: &Share) -> ShareRow {
    let Share { server, with, scopes, created } = share.clone();
    ShareRow { server, with, scopes, created }
}
