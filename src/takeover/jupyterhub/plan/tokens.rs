//! Tokens, in their hashed form: who holds one goes on using it.

use std::collections::HashSet;

use super::{Planner, key};
use crate::model::{OAuthClient, OwnerName, ServerKey, TokenId, UserName};
use crate::store::{TokenKind, TokenRow};
use crate::takeover::jupyterhub::old::{OldOwner, OldToken, Table};

/// JupyterHub's client of tokens that people and programs made.
const PLAIN_CLIENT: &str = "jupyterhub";
/// What it notes of tokens that the configuration gave.
const CONFIGURED: &str = "from config";
/// Numbers that are kept: what lies above is a mistake, and would leave us few.
const NUMBERS: std::ops::RangeInclusive<i64> = 1..=1 << 40;

impl Planner<'_> {
    pub(super) fn tokens(&mut self) {
        let old = self.old;
        let mut highest = self.ours.numbers.token;
        let mut used = HashSet::new();
        let mut without_number = Vec::new();
        let mut seen = HashSet::new();
        for token in &old.tokens {
            let subject = self.token_shown(token);
            let taken_key = key(Table::ApiTokens, &[&token.stored.hashed]);
            if self.came_before(&taken_key) || self.ours.tokens.contains(&token.stored.hashed) {
                self.tally(Table::ApiTokens).there += 1;
                continue;
            }
            if !seen.insert(&token.stored.hashed) {
                self.not_taken(Table::ApiTokens, &subject, "there is another one of that hash");
                continue;
            }
            if token.expires_at.is_some_and(|end| end <= self.now) {
                self.not_taken(Table::ApiTokens, &subject, "it has expired");
                continue;
            }
            let owner = match token.owner {
                OldOwner::User(id) => match self.owner(id) {
                    Ok(user) if !self.is_let_in(&user) => {
                        self.not_taken(
                            Table::ApiTokens,
                            &subject,
                            "its account waits for approval; tokens of such work nowhere here",
                        );
                        continue;
                    }
                    Ok(user) => OwnerName::User(user),
                    Err(reason) => {
                        self.give_way(Table::ApiTokens, id, &subject, reason);
                        continue;
                    }
                },
                OldOwner::Service(id) => match self.services.get(&id) {
                    Some(service) => OwnerName::from(service.clone()),
                    None => {
                        self.not_taken(
                            Table::ApiTokens,
                            &subject,
                            "its service is not here; set it in slipway.toml, and run this again",
                        );
                        continue;
                    }
                },
            };
            let kind = match self.kind(token, &owner) {
                Ok(kind) => kind,
                Err(Left::Configured) => {
                    self.tally(Table::ApiTokens).configured += 1;
                    continue;
                }
                Err(Left::Because(reason)) => {
                    self.not_taken(Table::ApiTokens, &subject, reason);
                    continue;
                }
            };
            // Numbers are never used again, also those of tokens that are gone.
            let id =
                u64::try_from(token.id).ok().filter(|id| NUMBERS.contains(&token.id) && *id > self.ours.numbers.token);
            let id = id.filter(|id| used.insert(*id));
            highest = highest.max(id.unwrap_or(0));
            self.taken(Table::ApiTokens, taken_key);
            let row = TokenRow {
                id: TokenId(id.unwrap_or(0)),
                stored: token.stored.clone(),
                owner,
                kind,
                scopes: token.scopes.clone(),
                session_id: None,
                note: token.note.clone(),
                created: self.past(token.created).unwrap_or(self.now),
                expires_at: token.expires_at,
                last_activity: self.past(token.last_activity),
            };
            if id.is_none() {
                without_number.push(self.plan.tokens.len());
            }
            self.plan.tokens.push(row);
        }
        for at in without_number {
            highest += 1;
            self.plan.tokens[at].id = TokenId(highest);
        }
    }

    fn token_shown(&self, token: &OldToken) -> String {
        let owner = match token.owner {
            OldOwner::User(id) => self.name_there(id),
            OldOwner::Service(id) => {
                let service = self.old.services.iter().find(|service| service.id == id);
                format!("service {}", service.map_or("?", |service| &service.name))
            }
        };
        format!("a{} of {owner}", token.id)
    }

    fn kind(&self, token: &OldToken, owner: &OwnerName) -> Result<TokenKind, Left> {
        match token.client_id.as_deref() {
            Some(client) if client != PLAIN_CLIENT => self.issued_to(token, client),
            _ => match owner {
                // The service's token comes from our own configuration.
                OwnerName::Service { service } if self.ours.settings.services.contains(service) => {
                    if token.note == CONFIGURED { Err(Left::Configured) } else { Ok(TokenKind::Api) }
                }
                OwnerName::Service { .. } => Ok(TokenKind::Service),
                OwnerName::User(user) => self.servers_own(token, user),
            },
        }
    }

    /// A server's own key says so in its note. Somebody may have written the like: then no server of theirs has the path.
    fn servers_own(&self, token: &OldToken, user: &UserName) -> Result<TokenKind, Left> {
        let theirs = self.adopted.get(user).map(Vec::as_slice).unwrap_or_default();
        if let Some((server, _)) = theirs.iter().find(|(server, path)| is_of(token, server, path)) {
            return Ok(TokenKind::Server(server.clone()));
        }
        let prefix = "Server at /";
        let is_a_servers = token.note.starts_with(prefix) && token.note.ends_with('/') && token.note.contains("/user/");
        if is_a_servers || token.note.starts_with("retrieved from spawner ") {
            return Err(Left::Because("it is the key of a server that does not run on here".into()));
        }
        Ok(TokenKind::Api)
    }

    fn issued_to(&self, token: &OldToken, client_id: &str) -> Result<TokenKind, Left> {
        if token.session_id.is_some() {
            return Err(Left::Because(
                "it ends with a browser's session, and those do not come in; signing in makes another".into(),
            ));
        }
        let client = match self.clients.get(client_id) {
            Some(server) => OAuthClient::Server(server.clone()),
            None => {
                let service = self.services.values().find(|service| client_id == format!("service-{service}"));
                OAuthClient::Service(
                    service.ok_or_else(|| Left::Because("what it was issued to is not here".into()))?.clone(),
                )
            }
        };
        Ok(TokenKind::OAuth { client_id: client_id.to_owned(), client: Some(client) })
    }
}

/// Why a token stays there.
enum Left {
    Configured,
    Because(String),
}

fn is_of(token: &OldToken, server: &ServerKey, path: &str) -> bool {
    token.note == format!("Server at {path}")
        || token.note == format!("retrieved from spawner {}", server.name.as_str())
}
