//! Issue and end of tokens: of servers, of the OAuth provider, and for a visit to somebody else's server.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::token::{Token, VISITING_TOKENS_LIMIT, Visitor};
use super::{Auth, Caller, Owner, Shared, User, expand, may_access_server, may_access_service};
use crate::model::{
    Actor, OAuthClient, OwnerName, Scope, ScopeName, Secret, ServerKey, ServiceName, StoredToken, Timestamp, UserName,
};
use crate::store::{StoreError, TokenKind, TokenRow, Transaction};

/// What every server's own token may do: without it no server could report what its user does (contract §1.3).
const ACTIVITY: &str = "users:activity!user";
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
        self.issue_server_token_with(server, |_| Ok(())).await
    }

    /// The same with `also` in the commit: what must be durable together with the token.
    ///
    /// # Errors
    /// As `issue_server_token`, and those of `also`; then nothing has been stored.
    pub async fn issue_server_token_with(
        &self,
        server: &ServerKey,
        also: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Secret, StoreError> {
        let server = server.clone();
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let older = shared.tokens_of_server(&server);
            let secret = Secret::new(shared.random.hex::<16>());
            let rules = &*shared.directory.rules.read();
            let mut scopes: Vec<_> = rules.scopes_of(&rules.server).iter().map(Scope::to_string).collect();
            if !scopes.iter().any(|scope| scope == ACTIVITY) {
                scopes.push(ACTIVITY.to_owned());
            }
            let row = TokenRow {
                kind: TokenKind::Server(server.clone()),
                scopes,
                note: format!("Server at {}", server.scope_name()),
                ..shared.new_row(&OwnerName::User(server.user.clone()), &secret)
            };
            shared.issue_with(row, &secret, &older, |t, _| also(t))?;
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
        client: &OAuthClient,
        scopes: Vec<String>,
        session_id: Option<String>,
    ) -> Result<(Secret, Arc<Token>), StoreError> {
        let (owner, client) = (owner.clone(), client.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let client_id = shared.client_id(&client).ok_or(StoreError::Gone("the client"))?;
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
            let row = shared.new_row(&OwnerName::User(owner.clone()), &secret);
            let row = TokenRow {
                expires_at: Some(row.created.plus(Duration::from_secs(shared.config.read().absolute_timeout_s))),
                kind: TokenKind::OAuth { client_id, client: Some(client.clone()) },
                scopes,
                session_id: session_id.clone(),
                ..row
            };
            let place = place_of(&client, &owner);
            let from = session_id.as_ref().and_then(|id| shared.address_of_session(&owner, id));
            let (now, by) = (row.created, Actor { from, ..owner.as_str().into() });
            let token = shared.issue_with(row, &secret, &older[..too_many], |t, _| match place {
                Some(place) => t.audit(now, &by, "signed in to", &place),
                None => Ok(()),
            })?;
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
        self.visit(caller, OAuthClient::Server(server.clone()))
    }

    /// The same towards a service.
    #[must_use]
    pub fn visiting_service_token(&self, caller: &Caller, service: &ServiceName) -> Option<Secret> {
        if !may_access_service(caller, service) {
            return None;
        }
        self.visit(caller, OAuthClient::Service(service.clone()))
    }

    fn visit(&self, caller: &Caller, client: OAuthClient) -> Option<Secret> {
        let (visitor, session_id) = match caller {
            Caller::Anonymous => return None,
            Caller::Session(session) => (Visitor::Session(session.key), Some(session.hub_session_id.clone())),
            Caller::Token(token) => (Visitor::Token(token.id?), token.session_id.clone()),
        };
        self.0.visiting_token((visitor, client), caller.owner()?, session_id, caller.ended()?)
    }

    /// True if the user holds stored tokens of that client already that cover `scopes` (no confirmation page then).
    #[must_use]
    pub fn has_consented(&self, user: &UserName, client: &OAuthClient, scopes: &[String]) -> bool {
        let now = self.0.now();
        let mut tokens = self.0.tokens.of_user(user);
        tokens.retain(|token| token.is_of(client) && !token.is_expired(now));
        let is_granted = |scope: &String| {
            let scope = scope.parse::<Scope>().ok();
            tokens.iter().any(|token| scope.as_ref().is_some_and(|scope| token.scopes.contains(scope)))
        };
        !tokens.is_empty() && scopes.iter().all(is_granted)
    }

    /// Those of `scopes` that `user` holds, if only for some of those whom they are about: what a client can be granted.
    /// The rest does no harm: a token is cut to its owner's rights at each use.
    #[must_use]
    pub fn grantable(&self, user: &User, client: &OAuthClient, scopes: &[Scope]) -> Vec<Scope> {
        let directory = &self.0.directory;
        user.with_rights(|rights| {
            let is_held = |scope: &&Scope| expand::holds_some_of(scope, &user.name, client, rights, directory);
            scopes.iter().filter(is_held).cloned().collect()
        })
    }

    /// What a scope of this installation's own means, in the words of who defined it.
    #[must_use]
    pub fn custom_description(&self, scope: &ScopeName) -> Option<String> {
        self.0.directory.rules.read().custom_description(scope).map(str::to_owned)
    }

    /// True if `secret` is the token of `server` that runs now: its OAuth client secret.
    #[must_use]
    pub fn is_server_token(&self, server: &ServerKey, secret: &str) -> bool {
        self.0.tokens.find(secret, self.0.now()).is_some_and(|token| token.is_of_server(server))
    }
}

impl Shared {
    /// From where this browser came, if it says.
    fn address_of_session(&self, owner: &UserName, id: &str) -> Option<std::net::IpAddr> {
        let sessions = self.sessions.of_user(owner);
        sessions.iter().find(|session| session.hub_session_id == id).and_then(|session| session.from)
    }

    /// The OAuth client id; None for a service that is not there or has no pages.
    fn client_id(&self, client: &OAuthClient) -> Option<String> {
        match client {
            OAuthClient::Server(server) => Some(server.client_id()),
            OAuthClient::Service(service) => Some(self.service(service)?.oauth_client.as_ref()?.id.clone()),
        }
    }

    pub(super) fn new_row(&self, owner: &OwnerName, secret: &Secret) -> TokenRow {
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
    pub(super) fn issue(&self, row: TokenRow, secret: &Secret, older: &[Arc<Token>]) -> Result<Arc<Token>, StoreError> {
        self.issue_with(row, secret, older, |_, _| Ok(()))
    }

    /// The same with something else in the commit.
    pub(super) fn issue_with(
        &self,
        mut row: TokenRow,
        secret: &Secret,
        older: &[Arc<Token>],
        also: impl FnOnce(&mut Transaction<'_>, &TokenRow) -> Result<(), StoreError>,
    ) -> Result<Arc<Token>, StoreError> {
        let owner = self.owner(&row.owner).filter(Owner::is_active).ok_or(StoreError::Gone("the owner"))?;
        if self.tokens.of(&row.owner).len() >= TOKENS_PER_USER_LIMIT + older.len() {
            return Err(StoreError::Gone("room for another token of this owner"));
        }
        older.iter().for_each(|token| self.tokens.end(token));
        let stored = self.store.write(|t| {
            older.iter().filter_map(|token| token.id).try_for_each(|id| t.delete_token(id))?;
            row.id = t.next_token_id()?;
            t.put_token(&row)?;
            also(t, &row)?;
            Ok(row)
        });
        if stored.is_err() {
            self.unfinished.lock().note(&[], older);
        }
        let row = stored?;
        let token = Arc::new(Token::of(&row, owner, &self.directory));
        self.tokens.add_known(Arc::clone(&token), secret.expose());
        Ok(token)
    }

    pub(super) fn end_tokens(&self, tokens: &[Arc<Token>]) -> Result<(), StoreError> {
        if tokens.is_empty() {
            return Ok(());
        }
        self.end_tokens_with(tokens, |_| Ok(()))
    }

    /// Ends tokens in memory at once, then in the store together with what `also` writes.
    pub(super) fn end_tokens_with(
        &self,
        tokens: &[Arc<Token>],
        also: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        tokens.iter().for_each(|token| self.tokens.end(token));
        let deleted = self.store.write(|t| {
            tokens.iter().filter_map(|token| token.id).try_for_each(|id| t.delete_token(id))?;
            also(t)
        });
        if deleted.is_err() {
            self.unfinished.lock().note(&[], tokens);
        }
        deleted
    }

    /// The server's own token, and all that were issued to its client, whoever holds them.
    pub(super) fn tokens_of_server(&self, server: &ServerKey) -> Vec<Arc<Token>> {
        let client_id = server.client_id();
        let mut tokens = self.tokens.all();
        tokens.retain(|token| token.is_of_server(server) || token.is_of_client(&client_id));
        tokens
    }

    fn visiting_token(
        &self,
        visit: super::token::Visit,
        owner: Owner,
        session_id: Option<String>,
        ended: &CancellationToken,
    ) -> Option<Secret> {
        // One made for a service without pages names it by what its client would be called.
        let client_id = self.client_id(&visit.1).unwrap_or_else(|| "service".to_owned());
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
        let times = (now, expires_at);
        let token =
            Token::visiting(owner, (&visit.1, client_id), session_id, times, ended.child_token(), &self.directory);
        let token = Arc::new(token);
        self.tokens.add_visiting(&token, secret.expose());
        visiting.insert(visit, (secret.clone(), token));
        Some(secret)
    }
}

/// Where a token of this client lets `owner` in, for the log. Their own server is nothing to tell of.
fn place_of(client: &OAuthClient, owner: &UserName) -> Option<String> {
    match client {
        OAuthClient::Server(server) if server.user == *owner => None,
        OAuthClient::Server(server) => Some(format!("server {}", server.scope_name())),
        OAuthClient::Service(service) => Some(format!("service {service}")),
    }
}
