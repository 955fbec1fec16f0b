//! Tokens that people and programs ask for: made with scopes, note and end; listed; revoked.

use std::sync::Arc;
use std::time::Duration;

use super::expand;
use super::rights::{Held, Rights, Target};
use super::{ActError, Auth, Owner, Shared, Token};
use crate::model::{Actor, OwnerName, RoleName, Scope, ScopeName, Secret, TokenId};
use crate::store::{TokenKind, TokenRow};

/// Scopes of one token. 256: several times all there are.
const SCOPES_LIMIT: usize = 256;
/// Longest note. It is shown in lists.
const NOTE_LIMIT_BYTES: usize = 1024;
/// Longest life of a token: JupyterHub has no such limit, and no program counts on more than 100 years.
const LIFE_MOST_S: u64 = 100 * 365 * 86_400;

/// A token that is asked for.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it shall be allowed; `None`: what the role `token` says, `inherit` by default.
    pub scopes: Option<Vec<Scope>>,
    /// For people.
    pub note: String,
    /// How long it shall live; `None`: as long as it may.
    pub expires_in: Option<Duration>,
    /// Who asks.
    pub by: Asker,
}

/// Who asks for a token.
#[derive(Clone, Debug)]
pub enum Asker {
    /// Whoever owns the installation: a command on this host.
    Operator,
    /// A caller, with the rights that they came with.
    Caller(OwnerName, Arc<Rights>),
}

impl Asker {
    fn may_make_for(&self, owner: &OwnerName) -> bool {
        match (self, owner) {
            (Self::Operator, _) => true,
            (Self::Caller(_, rights), OwnerName::User(user)) => rights.allows("tokens", Target::User(user)),
            (Self::Caller(_, rights), OwnerName::Service { .. }) => {
                rights.is_administrator() && rights.allows("tokens", Target::All)
            }
        }
    }

    /// The first scope of `given` that they may not give to `owner`, whose rights are `of_owner`. As in JupyterHub, who
    /// holds `tokens` for others can give all that those hold; but nobody rises above the token that they came with, or
    /// to an administrator, that way.
    fn may_not_give(&self, given: &Held, owner: &OwnerName, of_owner: &Rights) -> Option<ScopeName> {
        match self {
            Self::Caller(name, rights) if name == owner || of_owner.is_administrator() => {
                rights.held.first_not_covered(given)
            }
            Self::Caller(..) | Self::Operator => None,
        }
    }
}

impl Auth {
    /// Makes a token (32 hex) for a user or a service.
    ///
    /// # Errors
    /// `MayNot` without the scope `tokens` for that user (for a service: without being an administrator), `NotHeld`
    /// if the owner lacks a scope that is asked for, `NotYours` if who asks may not give it, `BadLife`, `UnknownScope`.
    pub async fn create_token(
        &self,
        actor: impl Into<Actor>,
        owner: &OwnerName,
        new: NewToken,
    ) -> Result<(Secret, Arc<Token>), ActError> {
        let (actor, owner) = (actor.into(), owner.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let scopes = shared.check_new_token(&owner, &new)?;
            let secret = Secret::new(shared.random.hex::<16>());
            let row = shared.new_row(&owner, &secret);
            let life = shared.life_of(new.expires_in)?;
            let row = TokenRow {
                kind: TokenKind::Api,
                scopes: scopes.iter().map(Scope::to_string).collect(),
                note: new.note,
                expires_at: life.map(|life| row.created.plus(life)),
                ..row
            };
            let now = shared.now();
            let token = shared.issue_with(row, &secret, &[], |t, row| {
                t.audit(now, &actor, "made token", &format!("{} of {}", row.id, row.owner))
            })?;
            Ok((secret, token))
        })
        .await
    }

    /// The live tokens of a user or service, those used longest ago first.
    #[must_use]
    pub fn tokens_of(&self, owner: &OwnerName) -> Vec<Arc<Token>> {
        let now = self.0.now();
        let mut tokens = self.0.tokens.of(owner);
        tokens.retain(|token| !token.is_expired(now) && !token.is_over());
        tokens.sort_by_key(|token| (token.last_used().unwrap_or(token.created), token.id));
        tokens
    }

    /// True if there is such a user or service.
    #[must_use]
    pub fn has_owner(&self, owner: &OwnerName) -> bool {
        self.0.owner(owner).is_some()
    }

    /// One live token.
    #[must_use]
    pub fn token_by_id(&self, id: TokenId) -> Option<Arc<Token>> {
        let now = self.0.now();
        self.0.tokens.all().into_iter().find(|token| token.id == Some(id) && !token.is_expired(now))
    }

    /// Ends a token; one of an OAuth client with all others that this client has of the same owner.
    ///
    /// # Errors
    /// `NoToken`, or if it could not be stored; in memory it has ended all the same.
    pub async fn revoke_token(&self, actor: impl Into<Actor>, id: TokenId) -> Result<(), ActError> {
        let actor = actor.into();
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let token = shared.tokens.all().into_iter().find(|token| token.id == Some(id));
            let token = token.ok_or(ActError::NoToken(id))?;
            let ended = match &token.kind {
                TokenKind::OAuth { client_id, .. } => {
                    let mut all = shared.tokens.of(&token.owner.name());
                    all.retain(|other| other.is_of_client(client_id));
                    all
                }
                _ => vec![Arc::clone(&token)],
            };
            let now = shared.now();
            let object = format!("{id} of {}", token.owner.name());
            Ok(shared.end_tokens_with(&ended, |t| t.audit(now, &actor, "revoked token", &object))?)
        })
        .await
    }

    /// What a role allows, as written: for requests that name roles. `None` if there is no such role.
    #[must_use]
    pub fn scopes_of_role(&self, role: &RoleName) -> Option<Vec<Scope>> {
        self.0.directory.rules.read().roles.get(role).map(|role| role.scopes.clone())
    }

    /// What a scope allows, for a page that asks: a custom scope's description.
    #[must_use]
    pub fn custom_scope_description(&self, scope: &Scope) -> Option<String> {
        self.0.directory.rules.read().custom_description(&scope.name).map(str::to_owned)
    }

    /// True if the scope is the contract's or has been defined.
    #[must_use]
    pub fn is_defined(&self, scope: &Scope) -> bool {
        self.0.directory.rules.read().is_defined(&scope.name)
    }
}

impl Shared {
    /// The scopes that the token gets, if all may have them and give them.
    fn check_new_token(&self, owner: &OwnerName, new: &NewToken) -> Result<Vec<Scope>, ActError> {
        let found = self.owner(owner).filter(Owner::is_active);
        let found = found.ok_or_else(|| match owner {
            OwnerName::User(user) => ActError::NoUser(user.clone()),
            OwnerName::Service { service } => ActError::NoService(service.clone()),
        })?;
        if !new.by.may_make_for(owner) {
            return Err(ActError::MayNot(owner.clone()));
        }
        if new.note.len() > NOTE_LIMIT_BYTES {
            return Err(ActError::TooLong { what: "the note", limit_bytes: NOTE_LIMIT_BYTES });
        }
        let rules = &*self.directory.rules.read();
        let scopes = new.scopes.clone().unwrap_or_else(|| rules.scopes_of(&rules.token).to_vec());
        if scopes.len() > SCOPES_LIMIT {
            return Err(ActError::TooMany { what: "scopes of a token", limit: SCOPES_LIMIT });
        }
        if let Some(unknown) = scopes.iter().find(|scope| !rules.is_defined(&scope.name)) {
            return Err(ActError::UnknownScope(unknown.clone()));
        }
        let of_owner = found.rights();
        let asked = expand::asked(&scopes, owner, &self.directory);
        if let Some(scope) = of_owner.held.first_not_covered(&asked) {
            return Err(ActError::NotHeld { scope, owner: owner.clone() });
        }
        let given: &Held = if scopes.iter().any(Scope::is_inherit) { &of_owner.held } else { &asked };
        if let Some(scope) = new.by.may_not_give(given, owner, &of_owner) {
            return Err(ActError::NotYours(scope.to_string()));
        }
        Ok(scopes)
    }

    fn life_of(&self, asked: Option<Duration>) -> Result<Option<Duration>, ActError> {
        let most_s = match self.config.read().token_expires_in_max_s {
            0 => LIFE_MOST_S,
            most_s => most_s.min(LIFE_MOST_S),
        };
        match asked {
            Some(life) if life.as_secs() < 1 || life.as_secs() > most_s => {
                Err(ActError::BadLife { least_s: 1, most_s })
            }
            Some(life) => Ok(Some(life)),
            None if self.config.read().token_expires_in_max_s > 0 => Ok(Some(Duration::from_secs(most_s))),
            None => Ok(None),
        }
    }
}
