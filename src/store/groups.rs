//! Rows of groups, of services made through the API, of shares and of share codes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::rows::server_key;
use super::{GROUPS, SERVICES, SHARE_CODES, SHARES, Store, StoreError, Transaction};
use crate::model::{
    Grants, GroupName, Scope, ServerKey, ServiceName, ShareCodeId, ShareWith, StoredToken, Timestamp, UserName,
};

/// A group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Unique.
    pub name: GroupName,
    /// Its members.
    #[serde(default)]
    pub users: BTreeSet<UserName>,
    /// For programs: kept and shown, never read.
    #[serde(default)]
    pub properties: serde_json::Map<String, serde_json::Value>,
    /// When it was made; later than any other before it, so that lists are in this order.
    #[serde(default)]
    pub created: Timestamp,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// What its members' servers get.
    #[serde(default)]
    pub grants: Grants,
}

/// A service that was made through the API. Its token is a row of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRow {
    /// Unique.
    pub name: ServiceName,
    /// Where it listens.
    #[serde(default)]
    pub url: Option<String>,
    /// Has the role `admin`.
    #[serde(default)]
    pub admin: bool,
    /// For people and programs.
    #[serde(default)]
    pub info: serde_json::Map<String, serde_json::Value>,
    /// Whether pages name it.
    #[serde(default)]
    pub display: bool,
    /// Begins with `service-`.
    #[serde(default)]
    pub oauth_client_id: Option<String>,
    /// Where browsers come back to.
    #[serde(default)]
    pub oauth_redirect_uri: Option<String>,
    /// Whether people are signed in there without being asked.
    #[serde(default)]
    pub oauth_no_confirm: bool,
    /// What its visitors' tokens may hold.
    #[serde(default)]
    pub oauth_client_allowed_scopes: Vec<String>,
}

/// What somebody was given of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareRow {
    /// Whose, and which.
    pub server: ServerKey,
    /// Who may.
    pub with: ShareWith,
    /// What.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// When it was first given.
    #[serde(default)]
    pub created: Timestamp,
}

/// A code that whoever has it can exchange for a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareCodeRow {
    /// Unique, never used again.
    pub id: ShareCodeId,
    /// Salted hash of the code.
    pub stored: StoredToken,
    /// Whose server, and which.
    pub server: ServerKey,
    /// What it gives.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// When it was made.
    #[serde(default)]
    pub created: Timestamp,
    /// When it ends by itself.
    #[serde(default)]
    pub expires_at: Timestamp,
    /// How often it was exchanged.
    #[serde(default)]
    pub exchange_count: u64,
    /// When last.
    #[serde(default)]
    pub last_exchanged: Option<Timestamp>,
}

impl Store {
    /// All groups.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn groups(&self) -> Result<Vec<GroupRow>, StoreError> {
        self.rows(GROUPS)
    }

    /// All services that were made through the API.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn services(&self) -> Result<Vec<ServiceRow>, StoreError> {
        self.rows(SERVICES)
    }

    /// All shares.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn shares(&self) -> Result<Vec<ShareRow>, StoreError> {
        self.rows(SHARES)
    }

    /// All share codes, expired ones too.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn share_codes(&self) -> Result<Vec<ShareCodeRow>, StoreError> {
        self.rows(SHARE_CODES)
    }
}

impl Transaction<'_> {
    /// Adds or replaces a group.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_group(&mut self, row: &GroupRow) -> Result<(), StoreError> {
        self.put(GROUPS, row.name.as_str().as_bytes(), row)
    }

    /// Removes a group, if it is there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn delete_group(&mut self, name: &GroupName) -> Result<(), StoreError> {
        self.remove(GROUPS, name.as_str().as_bytes())
    }

    /// Adds or replaces a service.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_service(&mut self, row: &ServiceRow) -> Result<(), StoreError> {
        self.put(SERVICES, row.name.as_str().as_bytes(), row)
    }

    /// Removes a service, if it is there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn delete_service(&mut self, name: &ServiceName) -> Result<(), StoreError> {
        self.remove(SERVICES, name.as_str().as_bytes())
    }

    /// Adds or replaces a share.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_share(&mut self, row: &ShareRow) -> Result<(), StoreError> {
        self.put(SHARES, &share_key(&row.server, &row.with), row)
    }

    /// Removes a share, if it is there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn delete_share(&mut self, server: &ServerKey, with: &ShareWith) -> Result<(), StoreError> {
        self.remove(SHARES, &share_key(server, with))
    }

    /// A share code's id that was never used.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn next_share_code_id(&mut self) -> Result<ShareCodeId, StoreError> {
        self.next_number("last_share_code").map(ShareCodeId)
    }

    /// Adds or replaces a share code.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_share_code(&mut self, row: &ShareCodeRow) -> Result<(), StoreError> {
        self.put(SHARE_CODES, &row.id.0.to_be_bytes(), row)
    }

    /// Removes a share code, if it is there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn delete_share_code(&mut self, id: ShareCodeId) -> Result<(), StoreError> {
        self.remove(SHARE_CODES, &id.0.to_be_bytes())
    }
}

/// `alice\0srv\0ubob`, `alice\0srv\0gphysics`
fn share_key(server: &ServerKey, with: &ShareWith) -> Vec<u8> {
    let mut key = server_key(server);
    let (kind, name) = match with {
        ShareWith::User(user) => (b'u', user.as_str()),
        ShareWith::Group(group) => (b'g', group.as_str()),
    };
    key.extend_from_slice(&[0, kind]);
    key.extend_from_slice(name.as_bytes());
    key
}
