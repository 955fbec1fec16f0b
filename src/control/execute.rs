//! Carries one request out against `auth`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Answer, Request, TokenEntry, TokenOwner, UserEntry, WireSecret};
use crate::auth::{Asker, Auth, NewToken, Token};
use crate::model::{NameError, OwnerName, Scope, Secret, ServiceName, TokenId, UserName, with_causes};

/// Stops all servers of a user: given by `app` where a spawner runs. The error is a sentence.
pub type StopServers = Arc<dyn Fn(UserName, Afterwards) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Takes up the configuration of the running instance: given by `app`.
pub type Reload = Arc<dyn Fn() -> BoxFuture<'static, Answer> + Send + Sync>;

/// What becomes of servers that have been stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// They are still there: their owner may come back.
    Kept,
    /// Nothing is left of them but their volumes.
    Forgotten,
}

/// Who did it, in the audit.
const ACTOR: &str = "command";

/// Does what is asked. Where no instance runs, `stop_servers` is one that has nothing to stop.
pub async fn execute(auth: &Auth, stop_servers: &StopServers, request: Request) -> Answer {
    match try_execute(auth, stop_servers, request).await {
        Ok(answer) => answer,
        Err(message) => Answer::Refused { message },
    }
}

async fn try_execute(auth: &Auth, stop_servers: &StopServers, request: Request) -> Result<Answer, String> {
    match request {
        Request::UserAdd { name, password, admin, generate } => {
            let made = generate.then(|| auth.generate_password());
            let password = made.as_ref().or(password.as_ref().map(|password| &password.0));
            let name = auth.add_user(ACTOR, &name, password, admin).await.map_err(|e| with_causes(&e))?;
            Ok(made.map_or_else(|| done(&name), |password| told(&name, password)))
        }
        Request::UserList => Ok(Answer::Users { users: auth.users().into_iter().map(entry).collect() }),
        Request::UserAuthorize { name, authorised } => {
            let name = parse(&name)?;
            auth.authorise(ACTOR, &name, authorised).await.map_err(|e| with_causes(&e))?;
            if !authorised {
                stop_servers(name.clone(), Afterwards::Kept).await?;
            }
            Ok(done(&name))
        }
        Request::UserPassword { name, password, must_change } => {
            let name = parse(&name)?;
            let is_made_here = password.is_none();
            let password = password.map_or_else(|| auth.generate_password(), |password| password.0);
            auth.set_password(ACTOR, &name, &password, must_change).await.map_err(|e| with_causes(&e))?;
            Ok(if is_made_here { told(&name, password) } else { done(&name) })
        }
        Request::UserDisable { name, disabled } => {
            let name = parse(&name)?;
            auth.set_disabled(ACTOR, &name, disabled).await.map_err(|e| with_causes(&e))?;
            if disabled {
                stop_servers(name.clone(), Afterwards::Kept).await?;
            }
            Ok(done(&name))
        }
        Request::UserClearSecondFactor { name } => {
            let name = parse(&name)?;
            auth.clear_second_factor(ACTOR, &name).await.map_err(|e| with_causes(&e))?;
            Ok(done(&name))
        }
        Request::UserDelete { name } => {
            let name = parse(&name)?;
            // First the account, so that nothing of the user can start a server again behind our back.
            auth.delete_user(ACTOR, &name).await.map_err(|e| with_causes(&e))?;
            stop_servers(name.clone(), Afterwards::Forgotten).await?;
            Ok(done(&name))
        }
        Request::TokenAdd { owner, scopes, note, expires_in_s } => {
            let scopes = scopes.iter().map(|scope| scope.parse().map_err(|e| with_causes(&e)));
            let scopes: Vec<Scope> = scopes.collect::<Result<_, String>>()?;
            let new = NewToken {
                scopes: Some(scopes).filter(|scopes| !scopes.is_empty()),
                note: if note.is_empty() { "Made by slipway token".to_owned() } else { note },
                expires_in: expires_in_s.map(Duration::from_secs),
                by: Asker::Operator,
            };
            let (secret, _) = auth.create_token(ACTOR, &owner_of(&owner)?, new).await.map_err(|e| with_causes(&e))?;
            Ok(Answer::Token { token: WireSecret(secret) })
        }
        Request::TokenList { owner } => {
            let owner = owner_of(&owner)?;
            if !auth.has_owner(&owner) {
                return Err(format!("there is no {owner}"));
            }
            Ok(Answer::Tokens { tokens: auth.tokens_of(&owner).iter().map(|token| token_entry(token)).collect() })
        }
        Request::TokenRevoke { id } => {
            let parsed: TokenId =
                id.parse().map_err(|()| format!("{id:?} is no token's id; `slipway token list` shows them"))?;
            auth.revoke_token(ACTOR, parsed).await.map_err(|e| with_causes(&e))?;
            Ok(Answer::Done { name: id })
        }
        Request::Backup { file, replace } => {
            let (bytes, values) = auth.back_up(file, replace).await.map_err(|e| with_causes(&e))?;
            Ok(Answer::BackedUp { bytes, values })
        }
        // A running instance answers this itself, by its `Reload`.
        Request::Reload => Err("nothing runs here; the next start reads the configuration".to_owned()),
        Request::Health => {
            Ok(Answer::Healthy { version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id() })
        }
    }
}

fn parse(name: &str) -> Result<UserName, String> {
    UserName::parse(name).map_err(|e: NameError| e.to_string())
}

fn done(name: &UserName) -> Answer {
    Answer::Done { name: name.to_string() }
}

fn told(name: &UserName, password: Secret) -> Answer {
    Answer::Password { name: name.to_string(), password: WireSecret(password) }
}

fn owner_of(owner: &TokenOwner) -> Result<OwnerName, String> {
    match owner {
        TokenOwner::User(name) => parse(name).map(OwnerName::from),
        TokenOwner::Service(name) => ServiceName::parse(name).map(OwnerName::from).map_err(|e| e.to_string()),
    }
}

fn token_entry(token: &Token) -> TokenEntry {
    TokenEntry {
        id: token.id.map(|id| id.to_string()).unwrap_or_default(),
        note: token.note.clone(),
        scopes: token.scopes.iter().map(Scope::to_string).collect(),
        created: token.created,
        last_activity: token.last_used(),
        expires_at: token.expires_at,
    }
}

fn entry(user: crate::auth::UserListing) -> UserEntry {
    UserEntry {
        name: user.name.to_string(),
        admin: user.admin,
        authorised: user.authorised,
        disabled: user.disabled,
        has_password: user.has_password,
        has_second_factor: user.has_second_factor,
        created: user.created,
        last_activity: user.last_activity,
    }
}
