//! What a write may do. All of it becomes durable together, or none of it.

use redb::{ReadableTable as _, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::displaced::Moved;
use super::error::{unreadable, unwritten};
use super::rows::{ServerRow, SessionRecord, SessionRow, TokenRow, UserRow, server_key, server_key_prefix};
use super::seal::Sealer;
use super::{AuditRetention, META, SERVERS, SESSIONS, StoreError, TOKENS, Table, USERS};
use crate::model::{ServerKey, SessionKey, TokenId, UserName};

/// A write under way; made by `Store::write`.
pub struct Transaction<'a> {
    pub(super) write: &'a WriteTransaction,
    pub(super) sealer: &'a Sealer,
    pub(super) audit_retention: AuditRetention,
    /// Whose volumes are kept elsewhere once this is committed: `displaced` is told then.
    pub(super) moved_volumes: Vec<Moved>,
}

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transaction")
    }
}

impl<'a> Transaction<'a> {
    pub(super) fn new(write: &'a WriteTransaction, sealer: &'a Sealer) -> Self {
        Self { write, sealer, audit_retention: AuditRetention::default(), moved_volumes: Vec::new() }
    }

    /// The same, which keeps so much of the audit log.
    pub(super) fn keeping(self, audit_retention: AuditRetention) -> Self {
        Self { audit_retention, ..self }
    }

    /// The user as of this transaction.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn user(&mut self, name: &UserName) -> Result<Option<UserRow>, StoreError> {
        self.get(USERS, name.as_str().as_bytes())
    }

    /// Adds or replaces a user.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_user(&mut self, row: &UserRow) -> Result<(), StoreError> {
        self.put(USERS, row.name.as_str().as_bytes(), row)
    }

    /// Removes the user with all sessions, tokens and server rows of his, what says which volumes are his, and when he was active.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn delete_user(&mut self, name: &UserName) -> Result<(), StoreError> {
        self.remove(USERS, name.as_str().as_bytes())?;
        self.remove_where(SESSIONS, |row: &SessionRecord| row.belongs_to(name))?;
        self.remove_where(TOKENS, |row: &TokenRow| row.owner.user() == Some(name))?;
        self.forget_volumes(name)?;
        self.forget_activity(name)?;
        let (first, end) = servers_range(name);
        let mut table = self.write.open_table(SERVERS).map_err(unreadable)?;
        table.retain_in(first.as_slice()..end.as_slice(), |_, _| false).map_err(unwritten)
    }

    /// The session as of this transaction.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn session(&mut self, key: &SessionKey) -> Result<Option<SessionRow>, StoreError> {
        let record = self.get::<SessionRecord>(SESSIONS, &key.0)?;
        record.map(|record| record.into_row(&key.0)).transpose()
    }

    /// Adds or replaces a session.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_session(&mut self, row: &SessionRow) -> Result<(), StoreError> {
        self.put(SESSIONS, &row.key.0, &SessionRecord::of(row))
    }

    /// Removes a session, if it is there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn delete_session(&mut self, key: &SessionKey) -> Result<(), StoreError> {
        self.remove(SESSIONS, &key.0)
    }

    /// A token id that was never used.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn next_token_id(&mut self) -> Result<TokenId, StoreError> {
        self.next_number("last_token").map(TokenId)
    }

    /// The token as of this transaction.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn token(&mut self, id: TokenId) -> Result<Option<TokenRow>, StoreError> {
        self.get(TOKENS, &id.0.to_be_bytes())
    }

    /// Adds or replaces a token.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_token(&mut self, row: &TokenRow) -> Result<(), StoreError> {
        self.put(TOKENS, &row.id.0.to_be_bytes(), row)
    }

    /// Removes a token, if it is there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn delete_token(&mut self, id: TokenId) -> Result<(), StoreError> {
        self.remove(TOKENS, &id.0.to_be_bytes())
    }

    /// The server as of this transaction.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn server(&mut self, key: &ServerKey) -> Result<Option<ServerRow>, StoreError> {
        self.get(SERVERS, &server_key(key))
    }

    /// Adds or replaces a server.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_server(&mut self, row: &ServerRow) -> Result<(), StoreError> {
        self.put(SERVERS, &server_key(&row.key), row)
    }

    /// Removes a server, if it is there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn delete_server(&mut self, key: &ServerKey) -> Result<(), StoreError> {
        self.remove(SERVERS, &server_key(key))
    }

    /// Gives all servers of `from` to `to`, who has none, and the volumes and the activity with them: a part of renaming a user.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn rename_servers(&mut self, from: &UserName, to: &UserName) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        {
            let table = self.write.open_table(SERVERS).map_err(unreadable)?;
            let prefix = server_key_prefix(from);
            for entry in table.range(prefix.as_slice()..).map_err(unreadable)? {
                let (key, value) = entry.map_err(unreadable)?;
                if !key.value().starts_with(&prefix) {
                    break;
                }
                rows.push(self.sealer.open::<ServerRow>("servers", key.value(), value.value())?);
            }
        }
        for row in rows {
            self.delete_server(&row.key)?;
            let key = ServerKey { user: to.clone(), name: row.key.name.clone() };
            self.put_server(&ServerRow { key, ..row })?;
        }
        self.rename_volumes(from, to)?;
        self.rename_activity(from, to)
    }

    /// Counts this commit; the witness is told the number.
    pub(super) fn count_commit(&mut self) -> Result<u64, StoreError> {
        self.next_number("sequence")
    }

    pub(super) fn next_number(&mut self, counter: &str) -> Result<u64, StoreError> {
        let next = self.get_meta::<u64>(counter)?.unwrap_or(0) + 1;
        self.put_meta(counter, &next)?;
        Ok(next)
    }

    pub(super) fn get_meta<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        self.get(META, key.as_bytes())
    }

    pub(super) fn put_meta(&self, key: &str, row: &impl Serialize) -> Result<(), StoreError> {
        self.put(META, key.as_bytes(), row)
    }

    pub(super) fn get<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
        let rows = self.write.open_table(table).map_err(unreadable)?;
        let Some(value) = rows.get(key).map_err(unreadable)? else { return Ok(None) };
        self.sealer.open(redb::TableHandle::name(&table), key, value.value()).map(Some)
    }

    pub(super) fn put(&self, table: Table, key: &[u8], row: &impl Serialize) -> Result<(), StoreError> {
        let value = self.sealer.seal(redb::TableHandle::name(&table), key, row)?;
        let mut rows = self.write.open_table(table).map_err(unreadable)?;
        rows.insert(key, value.as_slice()).map_err(unwritten)?;
        Ok(())
    }

    pub(super) fn remove(&self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        let mut rows = self.write.open_table(table).map_err(unreadable)?;
        rows.remove(key).map_err(unwritten)?;
        Ok(())
    }

    fn remove_where<T: DeserializeOwned>(&self, table: Table, goes: impl Fn(&T) -> bool) -> Result<(), StoreError> {
        let mut rows = self.write.open_table(table).map_err(unreadable)?;
        let mut gone = Vec::new();
        for entry in rows.iter().map_err(unreadable)? {
            let (key, value) = entry.map_err(unreadable)?;
            let row = self.sealer.open(redb::TableHandle::name(&table), key.value(), value.value())?;
            if goes(&row) {
                gone.push(key.value().to_vec());
            }
        }
        for key in gone {
            rows.remove(key.as_slice()).map_err(unwritten)?;
        }
        Ok(())
    }
}

/// The keys of all servers of a user.
fn servers_range(user: &UserName) -> (Vec<u8>, Vec<u8>) {
    let first = server_key_prefix(user);
    let mut end = first.clone();
    // The separator is 0, so 1 ends the range of this user's keys and begins nobody else's.
    end.pop();
    end.push(1);
    (first, end)
}
