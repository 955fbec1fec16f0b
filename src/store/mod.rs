//! Rows in, rows out: opens, checks, reads and writes the one database file. Decides nothing.
#![allow(missing_docs, clippy::unimplemented, dead_code, unused)]
// SKELETON: the faces other modules build on. Owner: foundation helper.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{Failure, Generation, InstanceId, ServerKey, SessionKey, StoredToken, Timestamp, TokenId, UserName};

#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    pub name: UserName,
    /// argon2id PHC string; None: cannot sign in with a password.
    pub password: Option<String>,
    pub authorised: bool,
    pub admin: bool,
    pub created: Timestamp,
    pub last_activity: Option<Timestamp>,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub key: SessionKey,
    pub user: UserName,
    /// value of the `jupyterhub-session-id` cookie, 32 hex
    pub hub_session_id: String,
    pub created: Timestamp,
    pub last_seen: Timestamp,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenKind {
    /// JUPYTERHUB_API_TOKEN of a server, also its OAuth client secret
    Server(ServerKey),
    /// issued through the OAuth code grant to this client
    OAuth { client_id: String },
    /// made by a person or through the API
    Api,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    pub id: TokenId,
    pub stored: StoredToken,
    pub owner: UserName,
    pub kind: TokenKind,
    /// raw scopes
    pub scopes: Vec<String>,
    pub session_id: Option<String>,
    pub note: String,
    pub created: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_activity: Option<Timestamp>,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRow {
    pub key: ServerKey,
    pub generation: Generation,
    /// what the backend needs to find it again (container id, pid …)
    pub handle: Option<serde_json::Value>,
    /// true while it is meant to run
    pub wanted: bool,
    pub started_at: Option<Timestamp>,
    pub last_activity: Option<Timestamp>,
    pub failure: Option<Failure>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database could not be read")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The commit failed: whether it is there is unknown; the store has been reopened and a read tells.
    #[error("the database could not be written; what was asked may or may not have happened")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the database is damaged: {0}")]
    Damaged(String),
}

/// Cheap to clone. All methods are synchronous (redb); call them from `spawn_blocking` or a plain thread.
#[derive(Clone)]
pub struct Store;

impl Store {
    /// Opens (or on a fresh host makes) `data_dir/slipway.redb`.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        unimplemented!()
    }
    pub fn instance(&self) -> InstanceId {
        unimplemented!()
    }
    pub fn users(&self) -> Result<Vec<UserRow>, StoreError> {
        unimplemented!()
    }
    pub fn user(&self, name: &UserName) -> Result<Option<UserRow>, StoreError> {
        unimplemented!()
    }
    pub fn sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        unimplemented!()
    }
    pub fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        unimplemented!()
    }
    pub fn servers(&self) -> Result<Vec<ServerRow>, StoreError> {
        unimplemented!()
    }
    pub fn server(&self, key: &ServerKey) -> Result<Option<ServerRow>, StoreError> {
        unimplemented!()
    }
    /// One durable transaction; `Ok` comes after the fsync.
    pub fn write<T>(&self, act: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        unimplemented!()
    }
}
pub struct Transaction<'a>(std::marker::PhantomData<&'a ()>);
impl Transaction<'_> {
    pub fn user(&mut self, name: &UserName) -> Result<Option<UserRow>, StoreError> {
        unimplemented!()
    }
    pub fn put_user(&mut self, row: &UserRow) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Removes the user with all sessions, tokens and server rows of his.
    pub fn delete_user(&mut self, name: &UserName) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn put_session(&mut self, row: &SessionRow) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn delete_session(&mut self, key: &SessionKey) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn next_token_id(&mut self) -> Result<TokenId, StoreError> {
        unimplemented!()
    }
    pub fn put_token(&mut self, row: &TokenRow) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn delete_token(&mut self, id: TokenId) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn put_server(&mut self, row: &ServerRow) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn delete_server(&mut self, key: &ServerKey) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// One audit row, in the same commit as the act.
    pub fn audit(&mut self, at: Timestamp, actor: &str, act: &str, object: &str) -> Result<(), StoreError> {
        unimplemented!()
    }
}
