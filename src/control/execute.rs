//! Carries one request out against `auth`.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Answer, Request, UserEntry};
use crate::auth::{AccountError, Auth};
use crate::model::{NameError, UserName};

/// Stops and forgets all servers of a user: given by `app` where a spawner runs. The error is a sentence.
pub type StopServers = Arc<dyn Fn(UserName) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

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
        Request::UserAdd { name, password, admin } => {
            let password = password.as_ref().map(|password| &password.0);
            let name = auth.add_user(ACTOR, &name, password, admin).await.map_err(|e| sentence(&e))?;
            Ok(done(&name))
        }
        Request::UserList => Ok(Answer::Users { users: auth.users().into_iter().map(entry).collect() }),
        Request::UserAuthorize { name, authorised } => {
            let name = parse(&name)?;
            auth.authorise(ACTOR, &name, authorised).await.map_err(|e| sentence(&e))?;
            if !authorised {
                stop_servers(name.clone()).await?;
            }
            Ok(done(&name))
        }
        Request::UserPassword { name, password } => {
            let name = parse(&name)?;
            auth.set_password(ACTOR, &name, &password.0).await.map_err(|e| sentence(&e))?;
            Ok(done(&name))
        }
        Request::UserDelete { name } => {
            let name = parse(&name)?;
            // First the account, so that nothing of the user can start a server again behind our back.
            auth.delete_user(ACTOR, &name).await.map_err(|e| sentence(&e))?;
            stop_servers(name.clone()).await?;
            Ok(done(&name))
        }
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

fn entry(user: crate::auth::UserListing) -> UserEntry {
    UserEntry {
        name: user.name.to_string(),
        admin: user.admin,
        authorised: user.authorised,
        has_password: user.has_password,
        created: user.created,
        last_activity: user.last_activity,
    }
}

/// The error with its causes in one line: the person at the terminal is the operator.
fn sentence(error: &AccountError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
