//! Issue and end of tokens: of servers, of the OAuth provider, and for a visit to somebody else's server.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::token::{Token, VISITING_TOKENS_LIMIT, Visitor};
use super::{Auth, Caller, Shared, may_access_server};
use crate::model::{Secret, ServerKey, StoredToken, Timestamp, UserName};
use crate::store::{StoreError, TokenKind, TokenRow};

/// What a server's own token may do (contract §1.3).
const SERVER_SCOPES: [&str; 2] = ["users:activity!user", "access:servers!server"];
/// OAuth tokens of one user for one client; the oldest ends when another is issued. 50: one a browser.
const OAUTH_TOKENS_LIMIT: usize = 50;
/// Tokens of one user in all: servers, clients and what people make. Beyond it nothing is issued.
const TOKENS_PER_USER_LIMIT: usize = 2_000;
/// How long a visiting token lives: as long as a server remembers who its holder is.
const VISIT: Duration = Duration::from_secs(300);
/// A visiting token is used again until it has less than this to live.
const VISIT_REST: Duration = Duration::from_secs(120);

impl Auth {
    /// The `JUPYTERHUB_API_TOKEN` of a server that is about to start (32 hex). Replaces an older one, and ends what
    /// was issued to the server's client before.
    ///
    /// # Errors
    /// `Gone` if its owner is no user (any more), or if it could not be stored.
    pub async fn issue_server_token(&self, server: &ServerKey) -> Result<Secret, StoreError> {
        let server = server.clone();
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let older = shared.tokens_of_server(&server);
            let secret = Secret::new(shared.random.hex::<16>());
            let row = TokenRow {
                kind: TokenKind::Server(server.clone()),
                scopes: SERVER_SCOPES.map(str::to_owned).to_vec(),
                note: format!("Server at {}", server.scope_name()),
                ..shared.new_row(&server.user, &secret)
            };
            shared.issue(row, &secret, &older)?;
            Ok(secret)
        })
        .await
    }

    /// Ends a server's token and all OAuth tokens of its client: it has stopped.
    ///
    /// # Errors
    /// If that could not be stored. In memory they have ended all the same.
    pub async fn end_server_token(&self, server: &ServerKey) -> Result<(), StoreError> {
        let server = server.clone();
        self.run(move |shared| {
            let _act = shared.acts.lock();
            shared.end_tokens(&shared.tokens_of_server(&server))
        })
        .await
    }

    /// A token (30 letters and digits) for the code grant. It lasts as long as a session at most, and ends with the
    /// session it was issued to.
    ///
    /// # Errors
    /// `Gone` if owner or session have ended meanwhile, or if it could not be stored.
    pub async fn issue_oauth_token(
        &self,
        owner: &UserName,
        client_id: &str,
        scopes: Vec<String>,
        session_id: Option<String>,
    ) -> Result<(Secret, Arc<Token>), StoreError> {
        let (owner, client_id) = (owner.clone(), client_id.to_owned());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let session_is_gone = session_id
                .as_ref()
                .is_some_and(|id| !shared.sessions.of_user(&owner).iter().any(|s| s.hub_session_id == *id));
            if session_is_gone {
                return Err(StoreError::Gone("the session"));
            }
            let mut older = shared.tokens.of_user(&owner);
            older.retain(|token| token.is_of_client(&client_id));
            let too_many = (older.len() + 1).saturating_sub(OAUTH_TOKENS_LIMIT);
            let secret = Secret::new(shared.random.alphanumeric(30));
            let row = shared.new_row(&owner, &secret);
            let row = TokenRow {
                expires_at: Some(row.created.plus(Duration::from_secs(shared.config.absolute_timeout_s))),
                kind: TokenKind::OAuth { client_id },
                scopes,
                session_id,
                ..row
            };
            let token = shared.issue(row, &secret, &older[..too_many])?;
            Ok((secret, token))
        })
        .await
    }

    /// In memory only, five minutes: what a caller's token is replaced by towards somebody else's server. None if the
    /// caller may not go there. Never blocks on the store.
    #[must_use]
    pub fn visiting_token(&self, caller: &Caller, server: &ServerKey) -> Option<Secret> {
        if !may_access_server(caller, server) {
            return None;
        }
        let (visitor, session_id) = match caller {
            Caller::Anonymous => return None,
            Caller::Session(session) => (Visitor::Session(session.key), Some(session.hub_session_id.clone())),
            Caller::Token(token) => (Visitor::Token(token.id?), token.session_id.clone()),
        };
        let (user, ended) = (caller.user()?, caller.ended()?);
        self.0.visiting_token((visitor, server.clone()), Arc::clone(user), session_id, ended)
    }

    /// True if the user holds stored tokens of that client already (no confirmation page then).
    #[must_use]
    pub fn has_consented(&self, user: &UserName, client_id: &str) -> bool {
        let now = self.0.now();
        self.0.tokens.of_user(user).iter().any(|token| token.is_of_client(client_id) && !token.is_expired(now))
    }

    /// True if `secret` is the token of `server` that runs now: its OAuth client secret.
    #[must_use]
    pub fn is_server_token(&self, server: &ServerKey, secret: &str) -> bool {
        self.0.tokens.find(secret, self.0.now()).is_some_and(|token| token.is_of_server(server))
    }
}

impl Shared {
    fn new_row(&self, owner: &UserName, secret: &Secret) -> TokenRow {
        TokenRow {
            // Given in the transaction that stores it.
            id: crate::model::TokenId(0),
            stored: StoredToken::of(secret.expose(), &self.random),
            owner: owner.clone(),
            kind: TokenKind::Api,
            scopes: Vec::new(),
            session_id: None,
            note: String::new(),
            created: self.now(),
            expires_at: None,
            last_activity: None,
        }
    }

    /// Ends `older`, stores the new token and their end in one commit, and only then lets the new one be found.
    fn issue(&self, mut row: TokenRow, secret: &Secret, older: &[Arc<Token>]) -> Result<Arc<Token>, StoreError> {
        let user = self.user(&row.owner).filter(|user| user.is_authorised()).ok_or(StoreError::Gone("the user"))?;
        if self.tokens.of_user(&row.owner).len() >= TOKENS_PER_USER_LIMIT + older.len() {
            return Err(StoreError::Gone("room for another token of this user"));
        }
        older.iter().for_each(|token| self.tokens.end(token));
        let stored = self.store.write(|t| {
            older.iter().filter_map(|token| token.id).try_for_each(|id| t.delete_token(id))?;
            row.id = t.next_token_id()?;
            t.put_token(&row)?;
            Ok(row)
        });
        if stored.is_err() {
            self.unfinished.lock().note(&[], older);
        }
        let row = stored?;
        let token = Arc::new(Token::of(&row, user));
        self.tokens.add_known(Arc::clone(&token), secret.expose());
        Ok(token)
    }

    pub(super) fn end_tokens(&self, tokens: &[Arc<Token>]) -> Result<(), StoreError> {
        if tokens.is_empty() {
            return Ok(());
        }
        tokens.iter().for_each(|token| self.tokens.end(token));
        let deleted =
            self.store.write(|t| tokens.iter().filter_map(|token| token.id).try_for_each(|id| t.delete_token(id)));
        if deleted.is_err() {
            self.unfinished.lock().note(&[], tokens);
        }
        deleted
    }

    /// The server's own token, and all that were issued to its client, whoever holds them.
    fn tokens_of_server(&self, server: &ServerKey) -> Vec<Arc<Token>> {
        let client_id = server.client_id();
        let mut tokens = self.tokens.all();
        tokens.retain(|token| token.is_of_server(server) || token.is_of_client(&client_id));
        tokens
    }

    fn visiting_token(
        &self,
        visit: super::token::Visit,
        user: Arc<super::User>,
        session_id: Option<String>,
        ended: &CancellationToken,
    ) -> Option<Secret> {
        let now = self.now();
        let mut visiting = self.tokens.visiting.lock();
        let is_fresh =
            |token: &Token| !token.is_over() && token.expires_at.is_some_and(|end| end > now.plus(VISIT_REST));
        if let Some((secret, _)) = visiting.get(&visit).filter(|(_, token)| is_fresh(token)) {
            return Some(secret.clone());
        }
        if visiting.len() >= VISITING_TOKENS_LIMIT && !visiting.contains_key(&visit) {
            return None;
        }
        let secret = Secret::new(self.random.alphanumeric(30));
        let expires_at: Timestamp = now.plus(VISIT);
        let token = Token::visiting(user, &visit.1, session_id, now, expires_at, ended.child_token());
        let token = Arc::new(token);
        self.tokens.add_visiting(&token, secret.expose());
        visiting.insert(visit, (secret.clone(), token));
        Some(secret)
    }
}
