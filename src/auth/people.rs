//! Acts on users that the API asks for: many made at once, one renamed or made an administrator.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::directory::Share;
use super::groups::group_row;
use super::shares::row_of;
use super::{AccountError, Auth, Owner, Shared, Token, User};
use crate::model::{Actor, OAuthClient, OwnerName, ServerKey, ShareWith, Timestamp, UserName};
use crate::store::{GroupRow, ShareCodeRow, ShareRow, StoreError, TokenKind, Transaction, UserRow};

/// What became of names that were to be users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// New ones, in the order given.
    pub created: Vec<UserName>,
    /// Those who were there, in the order given.
    pub existing: Vec<UserName>,
}

/// What to change about a user; `None`: as it is.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// A new name.
    pub name: Option<UserName>,
    /// Administrator or not.
    pub admin: Option<bool>,
}

impl Auth {
    /// Makes users who may sign in once they have a password; those who are there stay as they are. One commit.
    ///
    /// # Errors
    /// If it could not be stored: nobody is made then.
    pub async fn create_users(
        &self,
        actor: impl Into<Actor>,
        names: &[UserName],
        admin: bool,
    ) -> Result<Created, AccountError> {
        let (actor, names) = (actor.into(), names.to_vec());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            names.iter().try_for_each(|name| shared.check_not_blocked(name))?;
            let mut outcome = Created::default();
            let mut seen = BTreeSet::new();
            for name in names {
                if !seen.insert(name.clone()) {
                    continue;
                }
                let is_there = shared.user(&name).is_some();
                if !is_there && shared.is_named_for_root(&name) {
                    return Err(AccountError::NamedForRoot(name));
                }
                if is_there { outcome.existing.push(name) } else { outcome.created.push(name) }
            }
            let now = shared.now();
            let created = shared.next_creation();
            let mut rows: Vec<_> = outcome.created.iter().map(|name| shared.new_user(name, admin, created)).collect();
            // In the order in which they were named, also in lists by age.
            for (row, later_ms) in rows.iter_mut().zip(0_u64..) {
                row.created = row.created.plus(Duration::from_millis(later_ms));
            }
            if rows.is_empty() {
                return Ok(outcome);
            }
            let stored = shared.store.write(|t| {
                rows.iter().try_for_each(|row| {
                    t.put_user(row)?;
                    let act = if row.admin { "added administrator" } else { "added user" };
                    t.audit(now, &actor, act, row.name.as_str())
                })
            });
            outcome.created.iter().for_each(|name| shared.follow_store(name));
            stored?;
            shared.follow_setup_window();
            Ok(outcome)
        })
        .await
    }

    /// Renames a user, or makes one an administrator or no longer one, in one commit. With the name go password,
    /// groups, roles, tokens and shares; sessions end, and so does what was issued to the clients of their servers.
    /// The caller has made sure that their servers are stopped: rows of servers move, what runs does not.
    ///
    /// # Errors
    /// `Unknown`, `Taken`, `LastAdministrator`.
    pub async fn update_user(
        &self,
        actor: impl Into<Actor>,
        name: &UserName,
        change: UserChange,
    ) -> Result<Arc<User>, AccountError> {
        let (actor, name) = (actor.into(), name.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let row = shared.row(&name)?;
            let admin = change.admin.unwrap_or(row.admin);
            if row.admin && !admin {
                shared.check_not_last_administrator(&name)?;
            }
            let is_same_admin = row.admin == admin;
            let row = UserRow { admin, ..row };
            let new = change.name.unwrap_or_else(|| name.clone());
            if new != name {
                shared.rename_user(&actor, &name, UserRow { name: new.clone(), ..row })?;
            } else if !is_same_admin {
                let act = if admin { "made administrator" } else { "withdrew administration of" };
                shared.change(row, &actor, act, name.as_str(), &[], &[])?;
            }
            shared.follow_setup_window();
            shared.user(&new).ok_or(AccountError::Unknown(new))
        })
        .await
    }
}

impl Shared {
    /// A user whom somebody with the right to do so has named: let in, and without a password yet.
    pub(super) fn new_user(&self, name: &UserName, admin: bool, created: Timestamp) -> UserRow {
        let admin = admin || self.config.read().admins.contains(name);
        UserRow { authorised: true, admin, ..UserRow::new(name.clone(), created) }
    }

    /// When the next account is made: later than any other, so that the time orders accounts as they were made.
    pub(super) fn next_creation(&self) -> Timestamp {
        let latest = self.users.pin().values().map(|user| user.created()).max();
        latest.map_or(self.now(), |latest| self.now().max(latest.plus(Duration::from_millis(1))))
    }

    fn rename_user(&self, actor: &Actor, old: &UserName, row: UserRow) -> Result<(), AccountError> {
        self.check_not_blocked(&row.name)?;
        if self.user(&row.name).is_some() {
            return Err(AccountError::Taken);
        }
        if self.is_named_for_root(&row.name) {
            return Err(AccountError::NamedForRoot(row.name));
        }
        let user = self.user(old).ok_or_else(|| AccountError::Unknown(old.clone()))?;
        let row = UserRow { last_activity: user.last_activity(), ..row };
        let new = row.name.clone();
        let sessions = self.sessions.of_user(old);
        // What was issued to a server knows the old name, whoever holds it; what belongs to a session ends with it.
        let issued_to_servers = self.tokens_of_servers_of(old);
        let mut carried = self.tokens.of_user(old);
        carried.retain(|token| token.session_id.is_none() && !issued_to_servers.iter().any(|t| Arc::ptr_eq(t, token)));
        let moves = Moves::of(self, old, &new);
        let now = self.now();
        self.cut(&sessions, &issued_to_servers);
        let carried_ids: Vec<_> = carried.iter().filter_map(|token| token.id).collect();
        let stored = self.end_sessions(&sessions, |t, _| {
            issued_to_servers.iter().filter_map(|token| token.id).try_for_each(|id| t.delete_token(id))?;
            let mut tokens = Vec::new();
            for id in &carried_ids {
                let Some(token) = t.token(*id)? else { continue };
                tokens.push(crate::store::TokenRow { owner: OwnerName::User(new.clone()), ..token });
            }
            t.rename_servers(old, &new)?;
            t.delete_user(old)?;
            t.put_user(&row)?;
            tokens.iter().try_for_each(|token| t.put_token(token))?;
            moves.write(t)?;
            t.audit(now, actor, &format!("renamed {old} to"), new.as_str())
        });
        if stored.is_err() {
            self.unfinished.lock().note(&sessions, &issued_to_servers);
            self.follow_store(old);
            if self.user(old).is_some() {
                self.follow_store(&new);
                return Ok(stored?);
            }
            // It is there all the same, though nobody knows whether it will last: memory says what the store says.
        }
        user.set_authorised(false);
        self.users.pin().remove(old);
        self.follow_store(&new);
        self.directory.change(|snapshot| {
            snapshot.rename_in_roles(old, &new);
            snapshot.remove_user(old);
        });
        self.move_tokens(&carried, &new)?;
        self.read_directory()?;
        Ok(stored?)
    }

    /// Gives tokens in memory their owner's new object; they are found by the same secrets as before.
    fn move_tokens(&self, tokens: &[Arc<Token>], new: &UserName) -> Result<(), StoreError> {
        let Some(user) = self.user(new) else { return Ok(()) };
        tokens.iter().for_each(|token| self.tokens.end(token));
        let ids: BTreeSet<_> = tokens.iter().filter_map(|token| token.id).collect();
        for row in self.store.tokens()?.into_iter().filter(|row| ids.contains(&row.id)) {
            let token = Arc::new(Token::of(&row, Owner::User(Arc::clone(&user)), &self.directory));
            self.tokens.add(token);
        }
        Ok(())
    }

    /// The own tokens of a user's servers, and those issued to the servers' clients, whoever holds them.
    pub(super) fn tokens_of_servers_of(&self, user: &UserName) -> Vec<Arc<Token>> {
        let mut tokens = self.tokens.all();
        tokens.retain(|token| match &token.kind {
            TokenKind::Server(server) => server.user == *user,
            TokenKind::OAuth { client: Some(OAuthClient::Server(server)), .. } => server.user == *user,
            TokenKind::OAuth { .. } | TokenKind::Api | TokenKind::Service => false,
        });
        tokens
    }
}

impl Shared {
    /// A user's groups without him, and the shares that go with him.
    pub(super) fn belongings_of(&self, user: &UserName) -> (Vec<GroupRow>, Vec<Arc<Share>>) {
        let snapshot = self.directory.now();
        let groups = snapshot.groups_of(user).into_iter().filter_map(|name| {
            let mut row = group_row(&name, snapshot.groups.get(&name)?);
            row.users.remove(user);
            Some(row)
        });
        let with = ShareWith::User(user.clone());
        let shares = snapshot.shares_of_owner(user).chain(snapshot.shares_with(&with)).cloned();
        (groups.collect(), shares.collect())
    }
}

/// The rows beside the account that name a user, as they will be.
struct Moves {
    groups: Vec<GroupRow>,
    shares: Vec<(ShareRow, ShareRow)>,
    codes: Vec<ShareCodeRow>,
}

impl Moves {
    fn of(shared: &Shared, old: &UserName, new: &UserName) -> Self {
        let snapshot = shared.directory.now();
        let groups = snapshot.groups_of(old).into_iter().filter_map(|name| {
            let mut row = group_row(&name, snapshot.groups.get(&name)?);
            row.users.remove(old);
            row.users.insert(new.clone());
            Some(row)
        });
        let with = ShareWith::User(old.clone());
        let shares = snapshot.shares_of_owner(old).chain(snapshot.shares_with(&with)).map(|share| {
            let mut after = Share::clone(share);
            if share.server.user == *old {
                after = after.on(&ServerKey { user: new.clone(), ..share.server.clone() });
            }
            if share.with == with {
                after.with = ShareWith::User(new.clone());
            }
            (row_of(share), row_of(&after))
        });
        let codes = shared.codes_where(|code| code.server.user == *old);
        let codes = codes.iter().map(|code| {
            let server = ServerKey { user: new.clone(), ..code.server.clone() };
            code.on(&server).row()
        });
        Self { groups: groups.collect(), shares: shares.collect(), codes: codes.collect() }
    }

    fn write(&self, t: &mut Transaction<'_>) -> Result<(), StoreError> {
        self.groups.iter().try_for_each(|row| t.put_group(row))?;
        for (before, after) in &self.shares {
            t.delete_share(&before.server, &before.with)?;
            t.put_share(after)?;
        }
        self.codes.iter().try_for_each(|row| t.put_share_code(row))
    }
}
