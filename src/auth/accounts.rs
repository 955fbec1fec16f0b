//! Acts on accounts: load, add, let in, change a password, delete. One audit row in the same commit as each.
//!
//! All of it runs on the blocking pool and under `Shared::acts`. What an act ends is ended in memory before the
//! store is written; what it grants is granted in memory after. If the commit fails, memory follows what the store
//! then says, except that what was ended stays so.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use super::directory::Directory;
use super::moved_in::Decoy;
use super::password::{self, Memory, PASSWORD_LIMIT_BYTES, PasswordGate};
use super::rules::Rules;
use super::session::SessionTable;
use super::throttle::{Limits, Standing, Throttle};
use super::token::TokenTable;
use super::{AccountError, Auth, Config, Owner, Session, Shared, Token, User, UserListing};
use crate::model::{Actor, Clock, OAuthClient, Random, Secret, UserName};
use crate::store::{Store, StoreError, TokenKind, TokenRow, Transaction, UserRow};

/// The actor of what nobody asked for.
pub(super) const OURSELVES: &str = "slipway";

impl Auth {
    /// Loads users, sessions and tokens; makes the first administrator from `admin_password` if there is none; makes
    /// the setup code if the window is open then.
    ///
    /// # Errors
    /// If the store cannot be read, or the administrator not be stored.
    pub async fn load(config: Config, store: Store, clock: Arc<dyn Clock>, random: Random) -> Result<Self, StoreError> {
        let loaded = tokio::task::spawn_blocking(move || Shared::load(config, store, clock, random)).await;
        match loaded {
            Ok(shared) => Ok(Self(Arc::new(shared?))),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(StoreError::Read(Box::new(error))),
        }
    }

    /// Changes one's own password and ends all other sessions of that user.
    ///
    /// # Errors
    /// `WrongPassword` if `old` is not it; what makes `new` unfit, `SamePassword` among it.
    pub async fn change_password(
        &self,
        session: &Session,
        old: &Secret,
        new: &Secret,
        from: IpAddr,
    ) -> Result<(), AccountError> {
        let shared = &self.0;
        shared.check_new_password(new)?;
        if old == new {
            return Err(AccountError::SamePassword);
        }
        if old.expose().len() > PASSWORD_LIMIT_BYTES {
            return Err(AccountError::WrongPassword);
        }
        let user = Arc::clone(&session.user);
        let stored = user.password();
        let random = shared.random.clone();
        let (old, new, against) = (old.clone(), new.clone(), stored.hash.clone());
        let work = move |memory: &mut Memory| {
            password::verify(&old, against.as_deref(), Decoy::default(), memory)
                .then(|| password::hash(&new, &random, memory))
        };
        let hash = shared.try_password(user.name.as_str(), from, Some(Standing::Known), work).await?;
        let hash = hash.ok_or(AccountError::WrongPassword)?;
        shared.throttle.lock().succeeded(user.name.as_str(), from, shared.now());
        let own = session.key;
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let row = shared.row(&user.name)?;
            if !user.still_has(&stored) || shared.sessions.get(&own).is_none() {
                return Err(AccountError::WrongPassword);
            }
            let others: Vec<_> = shared.sessions.of_user(&user.name).into_iter().filter(|s| s.key != own).collect();
            let row = UserRow { password: Some(hash), ..row };
            let by = Actor { from: Some(from), ..user.name.as_str().into() };
            let row = UserRow { must_change_password: false, ..row };
            shared.change(row, &by, "changed own password", "", &others, &[])
        })
        .await
    }

    /// Adds a user who may sign in at once. The caller has been checked by policy.
    ///
    /// # Errors
    /// `Taken`, or what makes name or password unfit.
    pub async fn add_user(
        &self,
        actor: impl Into<Actor>,
        name: &str,
        password: Option<&Secret>,
        admin: bool,
    ) -> Result<UserName, AccountError> {
        let name = UserName::parse(name)?;
        if let Some(password) = password {
            self.0.check_new_password(password)?;
        }
        let hash = match password {
            Some(password) => Some(self.hash(password).await?),
            None => None,
        };
        let actor = actor.into();
        self.run(move |shared| {
            let _act = shared.acts.lock();
            shared.check_not_blocked(&name)?;
            if shared.user(&name).is_some() {
                return Err(AccountError::Taken);
            }
            let row = UserRow { password: hash, ..shared.new_user(&name, admin, shared.next_creation()) };
            let act = if row.admin { "added administrator" } else { "added user" };
            shared.put_user(&row, &actor, act, name.as_str())?;
            shared.follow_setup_window();
            Ok(name)
        })
        .await
    }

    /// Lets a user in, or out: withdrawing ends all sessions and tokens of theirs.
    ///
    /// # Errors
    /// `Unknown`, or `LastAdministrator`.
    pub async fn authorise(
        &self,
        actor: impl Into<Actor>,
        name: &UserName,
        authorised: bool,
    ) -> Result<(), AccountError> {
        let (actor, name) = (actor.into(), name.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let row = shared.row(&name)?;
            if row.authorised == authorised {
                return Ok(());
            }
            if authorised {
                shared.check_not_blocked(&name)?;
                // A name that the configuration makes an administrator is one as soon as it is let in.
                let admin = row.admin || shared.config.read().admins.contains(&name);
                let row = UserRow { authorised, admin, ..row };
                shared.change(row, &actor, "authorised", name.as_str(), &[], &[])?;
                shared.follow_setup_window();
                return Ok(());
            }
            shared.check_not_last_administrator(&name)?;
            let (sessions, tokens) = (shared.sessions.of_user(&name), shared.tokens.of_user(&name));
            let row = UserRow { authorised, ..row };
            shared.change(row, &actor, "withdrew authorisation of", name.as_str(), &sessions, &tokens)
        })
        .await
    }

    /// Makes a user an administrator, or no longer one. The tokens of theirs lose the right at once.
    ///
    /// # Errors
    /// `Unknown`, or `LastAdministrator`.
    pub async fn set_admin(&self, actor: impl Into<Actor>, name: &UserName, admin: bool) -> Result<(), AccountError> {
        let (actor, name) = (actor.into(), name.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let row = shared.row(&name)?;
            if row.admin == admin {
                return Ok(());
            }
            if !admin {
                shared.check_not_last_administrator(&name)?;
            }
            let act = if admin { "made administrator" } else { "withdrew administration of" };
            shared.change(UserRow { admin, ..row }, &actor, act, name.as_str(), &[], &[])?;
            shared.follow_setup_window();
            Ok(())
        })
        .await
    }

    /// Sets somebody's password and ends all sessions of theirs; they may have to change it at the next sign-in.
    ///
    /// # Errors
    /// `Unknown`, or what makes the password unfit.
    pub async fn set_password(
        &self,
        actor: impl Into<Actor>,
        name: &UserName,
        password: &Secret,
        must_change: bool,
    ) -> Result<(), AccountError> {
        self.0.check_new_password(password)?;
        let hash = self.hash(password).await?;
        let (actor, name) = (actor.into(), name.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let row = UserRow { password: Some(hash), must_change_password: must_change, ..shared.row(&name)? };
            let sessions = shared.sessions.of_user(&name);
            let act = if must_change { "set password, to be changed, of" } else { "set password of" };
            shared.change(row, &actor, act, name.as_str(), &sessions, &[])
        })
        .await
    }

    /// A hash for an administrator's act; all of them together queue as one client.
    pub(super) async fn hash(&self, password: &Secret) -> Result<String, AccountError> {
        let (password, random) = (password.clone(), self.0.random.clone());
        let work = move |memory: &mut Memory| password::hash(&password, &random, memory);
        let hash = self.0.passwords.run(Ipv4Addr::LOCALHOST.into(), Standing::Known, work).await;
        hash.map_err(|busy| AccountError::Busy { retry_after: busy.retry_after })
    }

    /// Deletes a user with all sessions and tokens. A new account of the same name gets nothing of the old one.
    ///
    /// # Errors
    /// `Unknown`, or `LastAdministrator`.
    pub async fn delete_user(&self, actor: impl Into<Actor>, name: &UserName) -> Result<(), AccountError> {
        let (actor, name) = (actor.into(), name.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let user = shared.user(&name).ok_or_else(|| AccountError::Unknown(name.clone()))?;
            shared.check_not_last_administrator(&name)?;
            user.set_authorised(false);
            shared.users.pin().remove(&name);
            let sessions = shared.sessions.of_user(&name);
            let mut tokens = shared.tokens.of_user(&name);
            // Others may hold tokens of his servers' clients: the next server of that name is not theirs to enter.
            tokens.extend(shared.tokens_of_servers_of(&name));
            shared.cut(&sessions, &tokens);
            let codes = shared.codes_where(|code| code.server.user == name);
            shared.forget_codes(&codes);
            let (groups, shares) = shared.belongings_of(&name);
            let now = shared.now();
            let deleted = shared.store.write(|t| {
                t.delete_user(&name)?;
                tokens.iter().filter_map(|token| token.id).try_for_each(|id| t.delete_token(id))?;
                groups.iter().try_for_each(|row| t.put_group(row))?;
                shares.iter().try_for_each(|share| t.delete_share(&share.server, &share.with))?;
                codes.iter().try_for_each(|code| t.delete_share_code(code.id))?;
                t.audit(now, &actor, "deleted user", name.as_str())
            });
            shared.directory.change(|snapshot| snapshot.remove_user(&name));
            if deleted.is_err() {
                shared.unfinished.lock().note(&sessions, &tokens);
                shared.follow_store(&name);
                shared.read_directory()?;
            }
            Ok(deleted?)
        })
        .await
    }

    /// All users, by name.
    #[must_use]
    pub fn users(&self) -> Vec<UserListing> {
        let mut users: Vec<_> = self.0.users.pin().values().map(|user| user.listing()).collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users
    }

    /// All users, in no order.
    #[must_use]
    pub fn everybody(&self) -> Vec<Arc<User>> {
        self.0.users.pin().values().cloned().collect()
    }

    /// One user.
    #[must_use]
    pub fn user(&self, name: &UserName) -> Option<Arc<User>> {
        self.0.user(name)
    }
}

pub(super) fn throttle_limits(config: &Config) -> Limits {
    Limits {
        per_name: config.tries_per_name,
        per_address: config.tries_per_address,
        window: std::time::Duration::from_secs(config.tries_window_s),
    }
}

impl Shared {
    fn load(config: Config, store: Store, clock: Arc<dyn Clock>, random: Random) -> Result<Self, StoreError> {
        let limits = throttle_limits(&config);
        let passwords = PasswordGate::new(config.password_checks_at_once, config.password_queue_limit);
        let directory = Arc::new(Directory::new(Rules::of(&config)));
        let shared = Self {
            config: config.into(),
            host_secret: store.derived_key("cookies of users' hosts"),
            directory,
            services: papaya::HashMap::default(),
            codes: Mutex::default(),
            store,
            clock,
            random,
            users: papaya::HashMap::default(),
            sessions: SessionTable::default(),
            tokens: TokenTable::default(),
            passwords,
            throttle: Mutex::new(Throttle::new(limits)),
            failures: Mutex::default(),
            visits: Mutex::default(),
            setup_code: Mutex::default(),
            acts: Mutex::default(),
            unfinished: Mutex::default(),
            counts: super::counts::Counts::default(),
        };
        for row in shared.store.users()? {
            shared.users.pin().insert(row.name.clone(), Arc::new(User::of(&row, &shared.directory)));
        }
        shared.read_directory()?;
        shared.follow_rules()?;
        shared.drop_orphans()?;
        shared.load_services()?;
        shared.load_sessions()?;
        shared.load_tokens()?;
        // What has no owner any more goes now: one of that name who comes later must not find it.
        if let Err(error) = shared.finish_ends() {
            tracing::warn!(error = &error as &dyn std::error::Error, "rows without an owner could not be deleted");
        }
        shared.follow_service_tokens()?;
        shared.follow_configuration()?;
        shared.follow_setup_window();
        Ok(shared)
    }

    fn load_sessions(&self) -> Result<(), StoreError> {
        let (now, limits) = (self.now(), self.config.read().session_limits());
        let mut rows = self.store.sessions()?;
        rows.sort_by_key(|row| row.created);
        for row in rows {
            let user = self.user(&row.user).filter(|user| user.is_authorised());
            match user {
                Some(user) if !limits.is_over(row.created, row.last_seen, now) => {
                    self.sessions.add(Arc::new(Session::of(&row, user)));
                }
                _ => self.unfinished.lock().sessions.push(row.key),
            }
        }
        Ok(())
    }

    fn load_tokens(&self) -> Result<(), StoreError> {
        for row in self.store.tokens()? {
            let owner = self.owner(&row.owner).filter(Owner::is_active);
            let has_its_session = |id: &String| {
                let user = row.owner.user();
                user.is_some_and(|user| self.sessions.of_user(user).iter().any(|s| s.hub_session_id == *id))
            };
            match owner {
                // An expired one is loaded too: the sweep finds it and deletes its row.
                Some(owner) if row.session_id.as_ref().is_none_or(has_its_session) && self.has_its_client(&row) => {
                    self.tokens.add(Arc::new(Token::of(&row, owner, &self.directory)));
                }
                _ => self.unfinished.lock().tokens.push(row.id),
            }
        }
        Ok(())
    }

    /// False for a token that was issued to a service that is gone.
    fn has_its_client(&self, row: &TokenRow) -> bool {
        match &row.kind {
            TokenKind::OAuth { client: Some(OAuthClient::Service(service)), .. } => self.service(service).is_some(),
            _ => true,
        }
    }

    /// What the configuration says of administrators, as far as the store does not say it yet.
    pub(super) fn follow_configuration(&self) -> Result<(), StoreError> {
        for name in self.config.read().admins.iter().filter(|name| !self.config.read().blocked_users.contains(name)) {
            let Some(row) = self.store.user(name)? else { continue };
            if row.authorised && !row.admin {
                self.put_user(&UserRow { admin: true, ..row }, &OURSELVES.into(), "made administrator", name.as_str())?;
            }
        }
        let (Some(password), Some(window)) = (&self.config.read().admin_password, self.setup_window()) else {
            return Ok(());
        };
        if password.expose().len() > PASSWORD_LIMIT_BYTES || password.expose().is_empty() {
            tracing::warn!("SLIPWAY_ADMIN_PASSWORD is empty or longer than 1024 bytes: no administrator was made");
            return Ok(());
        }
        let name = window.administrator;
        let created = self.store.user(&name)?.map_or_else(|| self.now(), |row| row.created);
        let row = UserRow {
            password: Some(password::hash(password, &self.random, &mut Memory::default())),
            authorised: true,
            admin: true,
            ..UserRow::new(name.clone(), created)
        };
        self.put_user(&row, &OURSELVES.into(), "made administrator by SLIPWAY_ADMIN_PASSWORD", name.as_str())
    }

    pub(super) fn check_new_password(&self, password: &Secret) -> Result<(), AccountError> {
        let min = self.config.read().password_length_min;
        if password.expose().len() > PASSWORD_LIMIT_BYTES {
            return Err(AccountError::TooLong);
        }
        if password.expose().chars().count() < min.max(1) {
            return Err(AccountError::TooShort { min });
        }
        Ok(())
    }

    pub(super) fn check_not_blocked(&self, name: &UserName) -> Result<(), AccountError> {
        if self.config.read().blocked_users.contains(name) { Err(AccountError::Blocked(name.clone())) } else { Ok(()) }
    }

    pub(super) fn check_not_last_administrator(&self, name: &UserName) -> Result<(), AccountError> {
        let users = self.users.pin();
        let is_administrator = users.get(name).is_some_and(|user| user.is_admin());
        if is_administrator && !users.values().any(|user| user.is_admin() && user.name != *name) {
            return Err(AccountError::LastAdministrator);
        }
        Ok(())
    }

    pub(super) fn row(&self, name: &UserName) -> Result<UserRow, AccountError> {
        self.store.user(name)?.ok_or_else(|| AccountError::Unknown(name.clone()))
    }

    /// Stores a user (new, or with more rights than before) and then lets memory follow.
    pub(super) fn put_user(&self, row: &UserRow, actor: &Actor, act: &str, object: &str) -> Result<(), StoreError> {
        let now = self.now();
        let stored = self.store.write(|t| {
            t.put_user(row)?;
            t.audit(now, actor, act, object)
        });
        self.follow_store(&row.name);
        stored
    }

    /// Ends `sessions` and `tokens`, stores `row` and their end in one commit, and lets memory follow.
    pub(super) fn change(
        &self,
        row: UserRow,
        actor: &Actor,
        act: &str,
        object: &str,
        sessions: &[Arc<Session>],
        tokens: &[Arc<Token>],
    ) -> Result<(), AccountError> {
        if let Some(user) = self.user(&row.name) {
            user.end_rights(&row);
        }
        self.cut(&[], tokens);
        let now = self.now();
        let stored = self.end_sessions(sessions, |t, _| {
            tokens.iter().filter_map(|token| token.id).try_for_each(|id| t.delete_token(id))?;
            t.put_user(&row)?;
            t.audit(now, actor, act, object)
        });
        if stored.is_err() {
            self.unfinished.lock().note(&[], tokens);
        }
        self.follow_store(&row.name);
        Ok(stored?)
    }

    /// Ends `sessions` with the OAuth tokens issued to them: in memory at once, then in the store together with
    /// what `also` writes.
    pub(super) fn end_sessions(
        &self,
        sessions: &[Arc<Session>],
        also: impl FnOnce(&mut Transaction<'_>, &[Arc<Session>]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let tokens: Vec<_> = sessions.iter().flat_map(|session| self.tokens_of_session(session)).collect();
        self.cut(sessions, &tokens);
        let stored = self.store.write(|t| {
            sessions.iter().try_for_each(|session| t.delete_session(&session.key))?;
            tokens.iter().filter_map(|token| token.id).try_for_each(|id| t.delete_token(id))?;
            also(t, sessions)
        });
        if stored.is_err() {
            self.unfinished.lock().note(sessions, &tokens);
        }
        stored
    }

    fn tokens_of_session(&self, session: &Session) -> Vec<Arc<Token>> {
        let mut tokens = self.tokens.of_user(&session.user.name);
        tokens.retain(|token| token.session_id.as_ref() == Some(&session.hub_session_id));
        tokens
    }

    /// Ends sessions and tokens in memory: their requests and sockets are cut.
    pub(super) fn cut(&self, sessions: &[Arc<Session>], tokens: &[Arc<Token>]) {
        sessions.iter().for_each(|session| self.sessions.end(session));
        tokens.iter().for_each(|token| self.tokens.end(token));
    }

    /// Makes the user in memory what the store says, after a commit of which the outcome may be unknown.
    pub(super) fn follow_store(&self, name: &UserName) {
        match self.store.user(name) {
            Ok(Some(row)) => match self.user(name) {
                Some(user) => user.follow(&row),
                None => {
                    self.users.pin().insert(name.clone(), Arc::new(User::of(&row, &self.directory)));
                }
            },
            Ok(None) => {
                if let Some(user) = self.user(name) {
                    user.set_authorised(false);
                    self.users.pin().remove(name);
                }
            }
            // Nothing is known: what memory says stays, which is never more than was stored before.
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::error!(user = %name, error = cause, "what the store says of this user is not known");
            }
        }
    }
}
