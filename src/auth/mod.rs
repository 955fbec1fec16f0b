//! Who is this, and what may they do: accounts, passwords, sessions, tokens and the one policy.
#![allow(missing_docs, clippy::unimplemented, dead_code, unused)]
// SKELETON: the faces other modules build on. Owner: foundation helper.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::model::{Clock, Random, Secret, ServerKey, SessionKey, Timestamp, TokenId, UserName};
use crate::store::{Store, StoreError, TokenKind};

#[derive(Clone, Debug)]
pub struct Config {
    pub admins: Vec<UserName>,
    pub signup: bool,
    pub bootstrap_with_code: bool,
    /// First administrator's password from SLIPWAY_ADMIN_PASSWORD.
    pub admin_password: Option<Secret>,
    pub password_length_min: usize,
    pub password_checks_at_once: usize,
    pub password_queue_limit: usize,
    pub idle_timeout_s: u64,
    pub absolute_timeout_s: u64,
    pub sessions_per_user: usize,
    pub tries_per_name: u32,
    pub tries_per_address: u32,
    pub tries_window_s: u64,
    pub data_dir: std::path::PathBuf,
}

/// A user as every request sees them: in memory, changed in place, shared by their sessions and tokens.
#[derive(Debug)]
pub struct User {
    pub name: UserName, /* + atomics */
}
impl User {
    pub fn is_admin(&self) -> bool {
        unimplemented!()
    }
    pub fn is_authorised(&self) -> bool {
        unimplemented!()
    }
}

#[derive(Debug)]
pub struct Session {
    pub key: SessionKey,
    pub user: Arc<User>,
    pub hub_session_id: String,
    pub created: Timestamp,
    /// Cancelled when the session ends: requests and sockets of it are cut within a second.
    pub ended: CancellationToken,
}

#[derive(Debug)]
pub struct Token {
    pub id: Option<TokenId>,
    pub user: Arc<User>,
    pub kind: TokenKind,
    /// raw scopes as granted
    pub scopes: Vec<String>,
    pub session_id: Option<String>,
    pub note: String,
    pub created: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub ended: CancellationToken,
}

/// Who sends this request. Travels from the edge to the hub in the request's extensions.
#[derive(Clone, Debug, Default)]
pub enum Caller {
    #[default]
    Anonymous,
    Session(Arc<Session>),
    Token(Arc<Token>),
}
impl Caller {
    pub fn user(&self) -> Option<&Arc<User>> {
        unimplemented!()
    }
    pub fn session(&self) -> Option<&Arc<Session>> {
        unimplemented!()
    }
    pub fn token(&self) -> Option<&Arc<Token>> {
        unimplemented!()
    }
    pub fn is_admin(&self) -> bool {
        unimplemented!()
    }
    /// Cancelled when this caller's right to be here ends.
    pub fn ended(&self) -> Option<&CancellationToken> {
        unimplemented!()
    }
}

/// policy.rs: every rule about who may do what, pure functions over Caller.
pub fn may_access_server(caller: &Caller, server: &ServerKey) -> bool {
    unimplemented!()
} // owner, or admin; a Token only if its scopes reach that server
pub fn may_start_server(caller: &Caller, server: &ServerKey) -> bool {
    unimplemented!()
}
pub fn may_administer(caller: &Caller) -> bool {
    unimplemented!()
}
/// Expanded concrete scopes for GET /hub/api/user (contract §1.3).
pub fn scopes_of(caller: &Caller) -> Vec<String> {
    unimplemented!()
}

#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("invalid username or password")]
    Wrong,
    #[error("not yet authorised by an administrator")]
    NotAuthorised,
    #[error("too many tries")]
    TooMany { retry_after: Duration },
    #[error("too many sign-ins at once")]
    Busy { retry_after: Duration },
    #[error("the store failed")]
    Store(#[from] StoreError),
}
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("sign-up is closed")]
    Closed,
    #[error(transparent)]
    Name(#[from] crate::model::NameError),
    #[error("the name is taken")]
    Taken,
    #[error("the password is too short: {min} characters or more")]
    TooShort { min: usize },
    #[error("the password is too long")]
    TooLong,
    #[error("the setup code is wrong")]
    WrongCode,
    #[error("no user {0}")]
    Unknown(UserName),
    #[error("wrong password")]
    WrongPassword,
    #[error("this is the last administrator")]
    LastAdministrator,
    #[error("busy")]
    Busy { retry_after: Duration },
    #[error("too many tries")]
    TooMany { retry_after: Duration },
    #[error("the store failed")]
    Store(#[from] StoreError),
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedUp {
    /// may sign in at once
    Authorised,
    /// waits for an administrator
    Waiting,
}
#[derive(Clone, Debug)]
pub struct UserListing {
    pub name: UserName,
    pub admin: bool,
    pub authorised: bool,
    pub created: Timestamp,
    pub last_activity: Option<Timestamp>,
    pub has_password: bool,
}

/// Everything about people. Cheap to clone (Arc inside). Async methods await a durable commit.
#[derive(Clone)]
pub struct Auth;
impl Auth {
    /// Loads users, sessions and tokens; makes the first administrator from `admin_password`; makes the setup code if the window is open.
    pub async fn load(config: Config, store: Store, clock: Arc<dyn Clock>, random: Random) -> Result<Self, StoreError> {
        unimplemented!()
    }
    // --- look-ups for the edge: memory only, never block ---
    pub fn session_of_cookie(&self, value: &str) -> Option<Arc<Session>> {
        unimplemented!()
    } // checks limits, notes last_seen (relaxed)
    pub fn token_of(&self, token: &str) -> Option<Arc<Token>> {
        unimplemented!()
    }
    // --- sign-up and sign-in ---
    pub async fn sign_up(
        &self,
        name: &str,
        password: &Secret,
        code: Option<&str>,
        from: IpAddr,
    ) -> Result<SignedUp, AccountError> {
        unimplemented!()
    }
    pub async fn sign_in(
        &self,
        name: &str,
        password: &Secret,
        from: IpAddr,
    ) -> Result<(Secret, Arc<Session>), SignInError> {
        unimplemented!()
    }
    pub async fn sign_out(&self, session: &Session) -> Result<(), StoreError> {
        unimplemented!()
    } // ends session, its OAuth tokens, its sockets
    pub async fn change_password(
        &self,
        session: &Session,
        old: &Secret,
        new: &Secret,
        from: IpAddr,
    ) -> Result<(), AccountError> {
        unimplemented!()
    } // ends all other sessions
    // --- administration (callers have been checked by policy) ---
    pub async fn add_user(
        &self,
        actor: &str,
        name: &str,
        password: Option<&Secret>,
        admin: bool,
    ) -> Result<UserName, AccountError> {
        unimplemented!()
    }
    pub async fn authorise(&self, actor: &str, name: &UserName, authorised: bool) -> Result<(), AccountError> {
        unimplemented!()
    } // withdrawing ends sessions and tokens
    pub async fn set_password(&self, actor: &str, name: &UserName, password: &Secret) -> Result<(), AccountError> {
        unimplemented!()
    } // ends all sessions of theirs
    pub async fn delete_user(&self, actor: &str, name: &UserName) -> Result<(), AccountError> {
        unimplemented!()
    }
    pub fn users(&self) -> Vec<UserListing> {
        unimplemented!()
    }
    pub fn user(&self, name: &UserName) -> Option<Arc<User>> {
        unimplemented!()
    }
    /// Some while no administrator exists: the configured name and (with bootstrap=code) the code; pages say that the window is open, never show the code.
    pub fn setup_window(&self) -> Option<SetupWindow> {
        unimplemented!()
    }
    // --- tokens ---
    pub async fn issue_server_token(&self, server: &ServerKey) -> Result<Secret, StoreError> {
        unimplemented!()
    } // 32 hex; replaces an older one of that server
    pub async fn end_server_token(&self, server: &ServerKey) -> Result<(), StoreError> {
        unimplemented!()
    } // also all OAuth tokens of its client
    pub async fn issue_oauth_token(
        &self,
        owner: &UserName,
        client_id: &str,
        scopes: Vec<String>,
        session_id: Option<String>,
    ) -> Result<(Secret, Arc<Token>), StoreError> {
        unimplemented!()
    }
    /// In memory only, five minutes: what an administrator's token is replaced by towards somebody else's server.
    pub fn visiting_token(&self, caller: &Caller, server: &ServerKey) -> Option<Secret> {
        unimplemented!()
    }
    /// True if the user holds stored tokens of that client already (no confirmation page then).
    pub fn has_consented(&self, user: &UserName, client_id: &str) -> bool {
        unimplemented!()
    }
}
#[derive(Clone, Debug)]
pub struct SetupWindow {
    pub administrator: UserName,
    pub code: Option<Secret>,
}
