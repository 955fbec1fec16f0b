//! Tokens in memory: found by prefix and salted hash once, and by SHA-256 from then on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::directory::Directory;
use super::expand;
use super::owner::RightsCell;
use super::rights::Rights;
use super::user::NEVER;
use super::{Auth, Owner};
use crate::model::{
    OAuthClient, OwnerName, Scope, Secret, ServerKey, ServiceName, SessionKey, StoredToken, Timestamp, TokenId,
    UserName,
};
use crate::store::{TokenKind, TokenRow};

/// JupyterHub accepts tokens of 8 to 64 characters; longer ones are nobody's.
const TOKEN_LIMIT_BYTES: usize = 64;
/// Visiting tokens alive at once, in all. 10,000 visits in five minutes; later ones go without a token.
pub(super) const VISITING_TOKENS_LIMIT: usize = 10_000;

/// A programmatic key.
#[derive(Debug)]
pub struct Token {
    /// `None` for one that is only in memory.
    pub id: Option<TokenId>,
    /// Whose rights it has at most.
    pub owner: Owner,
    /// What it was made for.
    pub kind: TokenKind,
    /// As granted; what they amount to now, `rights` says.
    pub scopes: Vec<Scope>,
    /// `hub_session_id` of the session it ends with.
    pub session_id: Option<String>,
    /// For people.
    pub note: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends by itself; None: never.
    pub expires_at: Option<Timestamp>,
    /// Cancelled when the token ends.
    pub ended: Arc<CancellationToken>,
    /// The same as `ended` for a stored token, without the lock that asking that takes.
    is_over: AtomicBool,
    stored: Option<StoredToken>,
    /// SHA-256 of the token, once it has been seen.
    digest: OnceLock<[u8; 32]>,
    last_used: AtomicI64,
    /// What of `last_used` the store knows.
    pub(super) stored_use: AtomicI64,
    directory: Arc<Directory>,
    rights: RightsCell,
    /// Made by us for an errand of ours: its owner does not know of it.
    is_errand: bool,
}

impl Token {
    pub(super) fn of(row: &TokenRow, owner: Owner, directory: &Arc<Directory>) -> Self {
        let used = row.last_activity.map_or(NEVER, |at| at.0);
        Self {
            id: Some(row.id),
            owner,
            kind: row.kind.clone(),
            // One that we do not know (any more) allows nothing.
            scopes: row.scopes.iter().filter_map(|scope| scope.parse().ok()).collect(),
            session_id: row.session_id.clone(),
            note: row.note.clone(),
            created: row.created,
            expires_at: row.expires_at,
            ended: Arc::default(),
            is_over: AtomicBool::new(false),
            stored: Some(row.stored.clone()),
            digest: OnceLock::new(),
            last_used: AtomicI64::new(used),
            stored_use: AtomicI64::new(used),
            directory: Arc::clone(directory),
            rights: RightsCell::default(),
            is_errand: false,
        }
    }

    /// A token of `owner` for one server or service, only in memory, that ends with `ended`.
    pub(super) fn visiting(
        owner: Owner,
        (client, client_id): (&OAuthClient, String),
        session_id: Option<String>,
        (created, expires_at): (Timestamp, Timestamp),
        ended: CancellationToken,
        directory: &Arc<Directory>,
    ) -> Self {
        Self {
            id: None,
            owner,
            kind: TokenKind::OAuth { client_id, client: Some(client.clone()) },
            // Access to its client is what every OAuth token has.
            scopes: Vec::new(),
            session_id,
            note: "visit".into(),
            created,
            expires_at: Some(expires_at),
            ended: Arc::new(ended),
            is_over: AtomicBool::new(false),
            stored: None,
            digest: OnceLock::new(),
            last_used: AtomicI64::new(NEVER),
            stored_use: AtomicI64::new(NEVER),
            directory: Arc::clone(directory),
            rights: RightsCell::default(),
            is_errand: false,
        }
    }

    /// A token of `owner` for an errand of ours to one server, only in memory.
    pub(super) fn errand(
        owner: Owner,
        client: (&OAuthClient, String),
        times: (Timestamp, Timestamp),
        ended: CancellationToken,
        directory: &Arc<Directory>,
    ) -> Self {
        Self { is_errand: true, note: "errand".into(), ..Self::visiting(owner, client, None, times, ended, directory) }
    }

    /// What it allows now: its scopes, as far as its owner holds them at this moment.
    #[must_use]
    pub fn rights(&self) -> Arc<Rights> {
        self.with_rights(Arc::clone)
    }

    pub(super) fn with_rights<T>(&self, ask: impl FnOnce(&Arc<Rights>) -> T) -> T {
        let work_out = || {
            let client = match &self.kind {
                TokenKind::Server(server) => Some(OAuthClient::Server(server.clone())),
                TokenKind::OAuth { client, .. } => client.clone(),
                TokenKind::Api | TokenKind::Service => None,
            };
            self.owner.with_rights(|of_owner| {
                expand::rights_of_token(&self.scopes, &self.owner.name(), client.as_ref(), of_owner, &self.directory)
            })
        };
        self.rights.with(&self.directory, work_out, ask)
    }

    /// True once it has ended by itself.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// True once it has been ended. A visiting token ends with what its holder came by, so it asks that.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire) || (self.id.is_none() && self.ended.is_cancelled())
    }

    /// Its last use.
    #[must_use]
    pub fn last_used(&self) -> Option<Timestamp> {
        let at = self.last_used.load(Ordering::Relaxed);
        (at != NEVER).then_some(Timestamp(at))
    }

    /// True if this is `secret`, told by the salted hash.
    #[must_use]
    pub fn is(&self, secret: &str) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.matches(secret))
    }

    /// True for a service's own tokens, and for those with which it asks who its visitors are: it knows them already.
    #[must_use]
    pub fn is_for_service(&self, service: &ServiceName) -> bool {
        let is_own = self.owner.service().is_some_and(|owner| owner.name == *service);
        is_own
            || matches!(&self.kind, TokenKind::OAuth { client: Some(OAuthClient::Service(name)), .. } if name == service)
    }

    pub(super) fn is_of_client(&self, client: &str) -> bool {
        matches!(&self.kind, TokenKind::OAuth { client_id, .. } if client_id == client)
    }

    /// True if it was issued to that client; rows of before know only its id.
    pub(super) fn is_of(&self, wanted: &OAuthClient) -> bool {
        match (&self.kind, wanted) {
            (TokenKind::OAuth { client: Some(client), .. }, wanted) => client == wanted,
            (TokenKind::OAuth { client_id, client: None }, OAuthClient::Server(server)) => {
                *client_id == server.client_id()
            }
            _ => false,
        }
    }

    /// True if it is the token that the service was given.
    pub(super) fn is_of_service(&self, service: &ServiceName) -> bool {
        let is_its_own = self.owner.service().is_some_and(|owner| owner.name == *service);
        matches!(self.kind, TokenKind::Service) && is_its_own
    }

    pub(super) fn is_of_server(&self, server: &ServerKey) -> bool {
        matches!(&self.kind, TokenKind::Server(key) if key == server)
    }
}

/// Who a visiting token was made for, and where to.
pub(super) type Visit = (Visitor, OAuthClient);

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Visitor {
    Session(SessionKey),
    Token(TokenId),
}

/// All live tokens.
#[derive(Default)]
pub(super) struct TokenTable {
    by_digest: papaya::HashMap<[u8; 32], Arc<Token>, ahash::RandomState>,
    by_prefix: RwLock<HashMap<String, Vec<Arc<Token>>>>,
    of_owner: Mutex<HashMap<OwnerName, Vec<Arc<Token>>>>,
    pub(super) visiting: Mutex<HashMap<Visit, (Secret, Arc<Token>)>>,
}

impl TokenTable {
    /// The live token that `secret` is.
    pub(super) fn find(&self, secret: &str, now: Timestamp) -> Option<Arc<Token>> {
        if secret.len() > TOKEN_LIMIT_BYTES || secret.is_empty() {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let remembered = || self.by_digest.pin().get(&digest).cloned();
        // Asked again at the end: after a start of ours a page's requests come at once, and whoever was slower finds a token
        // that is no unseen one any more.
        let token = remembered().or_else(|| self.find_by_hash(secret, digest)).or_else(remembered)?;
        let is_live = !token.is_over() && !token.is_expired(now) && token.owner.is_active();
        is_live.then_some(token)
    }

    fn find_by_hash(&self, secret: &str, digest: [u8; 32]) -> Option<Arc<Token>> {
        let token = {
            let by_prefix = self.by_prefix.read();
            let candidates = by_prefix.get(StoredToken::prefix_of(secret))?;
            // One that has been seen would have been found by its digest; and a hash of 16,384 rounds is nothing to
            // compute for every stranger who guesses four characters.
            let unseen = |token: &&Arc<Token>| token.digest.get().is_none();
            Arc::clone(candidates.iter().filter(unseen).find(|token| token.is(secret))?)
        };
        self.remember(&token, digest);
        Some(token)
    }

    fn remember(&self, token: &Arc<Token>, digest: [u8; 32]) {
        self.by_digest.pin().insert(digest, Arc::clone(token));
        // Only now: whoever sees this looks for it there.
        let _ = token.digest.set(digest);
        // It may have ended between the look-up and here; then `end` has found nothing to forget.
        if token.is_over() {
            self.by_digest.pin().remove(&digest);
        }
    }

    pub(super) fn add(&self, token: Arc<Token>) {
        if let Some(stored) = &token.stored {
            self.by_prefix.write().entry(stored.prefix.clone()).or_default().push(Arc::clone(&token));
        }
        self.of_owner.lock().entry(token.owner.name()).or_default().push(token);
    }

    /// Takes note of the secret of a token that is there, so that no slow hash is ever computed for it.
    pub(super) fn know(&self, token: &Arc<Token>, secret: &str) {
        self.remember(token, Sha256::digest(secret.as_bytes()).into());
    }

    /// Adds a token whose secret is at hand, so that its first use is quick too.
    pub(super) fn add_known(&self, token: Arc<Token>, secret: &str) {
        self.remember(&token, Sha256::digest(secret.as_bytes()).into());
        self.add(token);
    }

    /// Makes a token that is nowhere else findable by its secret.
    pub(super) fn add_visiting(&self, token: &Arc<Token>, secret: &str) {
        self.remember(token, Sha256::digest(secret.as_bytes()).into());
    }

    /// Cuts the token's requests and sockets, and forgets it.
    pub(super) fn end(&self, token: &Arc<Token>) {
        token.is_over.store(true, Ordering::Release);
        token.ended.cancel();
        if let Some(digest) = token.digest.get() {
            self.by_digest.pin().remove(digest);
        }
        if let Some(stored) = &token.stored {
            let mut by_prefix = self.by_prefix.write();
            if let Some(candidates) = by_prefix.get_mut(&stored.prefix) {
                candidates.retain(|other| !Arc::ptr_eq(other, token));
                if candidates.is_empty() {
                    by_prefix.remove(&stored.prefix);
                }
            }
        }
        let owner = token.owner.name();
        let mut of_owner = self.of_owner.lock();
        if let Some(tokens) = of_owner.get_mut(&owner) {
            tokens.retain(|other| !Arc::ptr_eq(other, token));
            if tokens.is_empty() {
                of_owner.remove(&owner);
            }
        }
    }

    /// The user's tokens, oldest first.
    pub(super) fn of_user(&self, user: &UserName) -> Vec<Arc<Token>> {
        self.of(&OwnerName::User(user.clone()))
    }

    /// The tokens of a user or a service, oldest first.
    pub(super) fn of(&self, owner: &OwnerName) -> Vec<Arc<Token>> {
        self.of_owner.lock().get(owner).cloned().unwrap_or_default()
    }

    pub(super) fn all(&self) -> Vec<Arc<Token>> {
        self.of_owner.lock().values().flatten().cloned().collect()
    }

    /// Forgets visiting tokens that are over.
    pub(super) fn sweep_visiting(&self, now: Timestamp) {
        let mut visiting = self.visiting.lock();
        visiting.retain(|_, (_, token)| {
            let is_over = token.is_expired(now) || token.is_over();
            if is_over {
                self.end(token);
            }
            !is_over
        });
        drop(visiting);
        // One that was followed by a fresh one is in this table alone.
        self.by_digest.pin().retain(|_, token| token.id.is_some() || !(token.is_expired(now) || token.is_over()));
    }
}

impl Token {
    /// True for the key that a server got at its start: its use says that the server runs, not that anybody uses it.
    #[must_use]
    pub fn is_a_servers_own(&self) -> bool {
        matches!(self.kind, TokenKind::Server(_))
    }
}

impl Auth {
    /// The live token that a request carries; notes its use. Never blocks.
    #[must_use]
    pub fn token_of(&self, token: &str) -> Option<Arc<Token>> {
        let now = self.0.now();
        let token = self.0.tokens.find(token, now)?;
        token.last_used.fetch_max(now.0, Ordering::Relaxed);
        // A server that reports its own activity is not its owner doing something, and neither is an errand of ours.
        if let Some(user) = token.owner.user().filter(|_| !token.is_a_servers_own() && !token.is_errand) {
            user.note_activity(now);
        }
        Some(token)
    }
}
