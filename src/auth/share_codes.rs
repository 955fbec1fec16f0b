//! Share codes: whoever has one can exchange it for a share, until it expires.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::directory::Share;
use super::rights::Rights;
use super::shares::refiltered;
use super::{ActError, Auth, Shared};
use crate::model::{Actor, Scope, Secret, ServerKey, ShareCodeId, ShareWith, StoredToken, Timestamp, UserName};
use crate::store::{ShareCodeRow, StoreError};

/// Codes of one server that are alive.
const CODES_LIMIT: usize = 100;
/// Shortest and longest life, in seconds: JupyterHub's minute and year.
const LIFE_S: (u64, u64) = (60, 365 * 86_400);
/// JupyterHub's: a day.
const DEFAULT_LIFE: Duration = Duration::from_secs(86_400);
/// JupyterHub's codes are what Python's `secrets.token_urlsafe(32)` makes: 43 characters.
const CODE_LENGTH: usize = 43;

/// A code as lists show it; the code itself is known to whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareCode {
    /// Unique.
    pub id: ShareCodeId,
    /// Whose server, and which.
    pub server: ServerKey,
    /// What it gives.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How often it was exchanged.
    pub exchange_count: u64,
    /// When last.
    pub last_exchanged: Option<Timestamp>,
    pub(super) stored: StoredToken,
}

/// Which codes of a server to delete.
#[derive(Clone, Debug)]
pub enum WhichCodes {
    /// All of them.
    All,
    /// The one of this number.
    Id(ShareCodeId),
    /// The one that this is.
    Code(Secret),
}

/// The codes that there are.
pub(super) type CodeTable = BTreeMap<ShareCodeId, Arc<ShareCode>>;

impl ShareCode {
    pub(super) fn of(row: ShareCodeRow) -> Self {
        let ShareCodeRow { id, stored, server, scopes, created, expires_at, exchange_count, last_exchanged } = row;
        Self { id, server, scopes, created, expires_at, exchange_count, last_exchanged, stored }
    }

    pub(super) fn row(&self) -> ShareCodeRow {
        let Self { id, server, scopes, created, expires_at, exchange_count, last_exchanged, stored } = self.clone();
        ShareCodeRow { id, stored, server, scopes, created, expires_at, exchange_count, last_exchanged }
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

impl Auth {
    /// Makes a code for some `scopes` on `server`; none named: access to it. `expires_in`: a day if not named.
    ///
    /// # Errors
    /// As `share`; `BadLife`, `TooMany`.
    pub async fn create_share_code(
        &self,
        actor: impl Into<Actor>,
        server: &ServerKey,
        scopes: Vec<Scope>,
        expires_in: Option<Duration>,
        by: Arc<Rights>,
    ) -> Result<(Secret, Arc<ShareCode>), ActError> {
        let (actor, server) = (actor.into(), server.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let life = expires_in.unwrap_or(DEFAULT_LIFE);
            let (least_s, most_s) = LIFE_S;
            if !(least_s..=most_s).contains(&life.as_secs()) {
                return Err(ActError::BadLife { least_s, most_s });
            }
            let scopes = shared.check_shared_scopes(&server, scopes, &by)?;
            if shared.user(&server.user).is_none() {
                return Err(ActError::NoUser(server.user));
            }
            let now = shared.now();
            if shared.codes_where(|code| code.server == server && !code.is_expired(now)).len() >= CODES_LIMIT {
                return Err(ActError::TooMany { what: "codes of a server", limit: CODES_LIMIT });
            }
            let secret = Secret::new(shared.random.alphanumeric(CODE_LENGTH));
            let mut code = ShareCode {
                id: ShareCodeId(0),
                stored: StoredToken::of(secret.expose(), &shared.random),
                scopes: scopes.into_iter().collect(),
                created: now,
                expires_at: now.plus(life),
                exchange_count: 0,
                last_exchanged: None,
                server,
            };
            code.id = shared.store.write(|t| {
                code.id = t.next_share_code_id()?;
                t.put_share_code(&code.row())?;
                t.audit(now, &actor, "made share code for", &code.server.scope_name())?;
                Ok(code.id)
            })?;
            let code = Arc::new(code);
            shared.codes.lock().insert(code.id, Arc::clone(&code));
            Ok((secret, code))
        })
        .await
    }

    /// The live codes of one server.
    #[must_use]
    pub fn share_codes_of_server(&self, server: &ServerKey) -> Vec<Arc<ShareCode>> {
        let now = self.0.now();
        self.0.codes_where(|code| code.server == *server && !code.is_expired(now))
    }

    /// The live codes of all servers of a user.
    #[must_use]
    pub fn share_codes_of_owner(&self, owner: &UserName) -> Vec<Arc<ShareCode>> {
        let now = self.0.now();
        self.0.codes_where(|code| code.server.user == *owner && !code.is_expired(now))
    }

    /// Deletes codes of a server. What they were exchanged for stays.
    ///
    /// # Errors
    /// `NoCode` if there is none of that number or text.
    pub async fn delete_share_codes(
        &self,
        actor: impl Into<Actor>,
        server: &ServerKey,
        which: WhichCodes,
    ) -> Result<(), ActError> {
        let (actor, server) = (actor.into(), server.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let codes = shared.codes_where(|code| {
                let is_meant = match &which {
                    WhichCodes::All => true,
                    WhichCodes::Id(id) => code.id == *id,
                    WhichCodes::Code(secret) => code.stored.matches(secret.expose()),
                };
                code.server == server && is_meant
            });
            if codes.is_empty() {
                return if matches!(which, WhichCodes::All) { Ok(()) } else { Err(ActError::NoCode) };
            }
            shared.forget_codes(&codes);
            let now = shared.now();
            let deleted = shared.store.write(|t| {
                codes.iter().try_for_each(|code| t.delete_share_code(code.id))?;
                t.audit(now, &actor, "deleted share codes of", &server.scope_name())
            });
            Ok(deleted?)
        })
        .await
    }

    /// What a code would give, for a page that asks whether to accept.
    #[must_use]
    pub fn share_code(&self, code: &Secret) -> Option<Arc<ShareCode>> {
        self.0.live_code(code)
    }

    /// Exchanges a code for a share with `user`.
    ///
    /// # Errors
    /// `NoCode` if it is unknown or expired; as `share`.
    pub async fn exchange_share_code(
        &self,
        actor: impl Into<Actor>,
        user: &UserName,
        code: &Secret,
    ) -> Result<Arc<Share>, ActError> {
        let (by, user, code) = (actor.into(), user.clone(), code.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let code = shared.live_code(&code).ok_or(ActError::NoCode)?;
            let with = ShareWith::User(user.clone());
            let share = shared.extended_share(&code.server, &with, code.scopes.iter().cloned().collect())?;
            let now = shared.now();
            let mut counted = ShareCode::clone(&code);
            counted.exchange_count += 1;
            counted.last_exchanged = Some(now);
            let stored = shared.store.write(|t| {
                t.put_share_code(&counted.row())?;
                t.put_share(&super::shares::row_of(&share))?;
                t.audit(now, &by, "accepted share of", &code.server.scope_name())
            });
            shared.follow_directory::<ActError>(stored, |snapshot| snapshot.put_share(share.clone()))?;
            shared.codes.lock().insert(counted.id, Arc::new(counted));
            Ok(Arc::new(share))
        })
        .await
    }
}

impl ShareCode {
    /// The same for the server under its new name.
    pub(super) fn on(&self, server: &ServerKey) -> Self {
        Self { server: server.clone(), scopes: refiltered(&self.scopes, server), ..self.clone() }
    }
}

impl Shared {
    fn live_code(&self, code: &Secret) -> Option<Arc<ShareCode>> {
        let (now, prefix) = (self.now(), StoredToken::prefix_of(code.expose()));
        let candidates = self.codes_where(|known| known.stored.prefix == prefix && !known.is_expired(now));
        candidates.into_iter().find(|known| known.stored.matches(code.expose()))
    }

    pub(super) fn codes_where(&self, is_meant: impl Fn(&ShareCode) -> bool) -> Vec<Arc<ShareCode>> {
        self.codes.lock().values().filter(|code| is_meant(code)).cloned().collect()
    }

    pub(super) fn forget_codes(&self, codes: &[Arc<ShareCode>]) {
        let mut table = self.codes.lock();
        codes.iter().for_each(|code| drop(table.remove(&code.id)));
    }

    /// Deletes codes that have expired.
    pub(super) fn sweep_codes(&self, now: Timestamp) -> Result<(), StoreError> {
        let expired = self.codes_where(|code| code.is_expired(now));
        if expired.is_empty() {
            return Ok(());
        }
        self.store.write(|t| expired.iter().try_for_each(|code| t.delete_share_code(code.id)))?;
        self.forget_codes(&expired);
        Ok(())
    }
}
