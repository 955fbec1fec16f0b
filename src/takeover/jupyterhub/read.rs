//! Reads every table into typed rows. The one file that knows JupyterHub's columns.

use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use super::old::{
    OddRow, OldGroup, OldHub, OldLogin, OldOwner, OldProgram, OldRole, OldRunning, OldServer, OldService, OldShare,
    OldShareCode, OldToken, OldUser, Table,
};
use super::open::{self, ReadError, of_sqlite};
use super::row::{Cells, Odd, bounded, is_bcrypt};
use crate::model::Secret;

/// Rows of one table. 2,000,000: the largest hubs have some 100,000 accounts.
const ROWS_LIMIT: usize = 2_000_000;

/// Reads a JupyterHub's database. Neither it nor anything beside it is changed.
///
/// # Errors
/// One sentence: if it is not a JupyterHub's of a version that we know, or cannot be read.
pub fn read(path: &Path, scratch: &Path) -> Result<OldHub, ReadError> {
    let opened = open::open(path, scratch)?;
    let mut reader = Reader { database: &opened.database, path, odd: Vec::new() };
    let logins = reader.has_table("users_info")?.then(|| reader.logins()).transpose()?;
    Ok(OldHub {
        revision: opened.revision.clone(),
        version: opened.version.into(),
        users: reader.users()?,
        logins,
        groups: reader.groups()?,
        members: reader.pairs("user_group_map", ["user_id", "group_id"], Table::UserGroupMap)?,
        roles: reader.roles()?,
        user_roles: reader.pairs("user_role_map", ["user_id", "role_id"], Table::Roles)?,
        group_roles: reader.pairs("group_role_map", ["group_id", "role_id"], Table::Roles)?,
        service_roles: reader.pairs("service_role_map", ["service_id", "role_id"], Table::Roles)?,
        tokens: reader.tokens()?,
        servers: reader.servers()?,
        services: reader.services()?,
        shares: reader.shares()?,
        share_codes: reader.share_codes()?,
        oauth_clients: reader.count("oauth_clients")?,
        oauth_codes: reader.count("oauth_codes")?,
        odd: reader.odd,
    })
}

struct Reader<'a> {
    database: &'a Connection,
    path: &'a Path,
    odd: Vec<OddRow>,
}

impl Reader<'_> {
    fn users(&mut self) -> Result<Vec<OldUser>, ReadError> {
        self.rows("users", ["id", "name", "admin", "created", "last_activity"], Table::Users, |cells| {
            Ok(OldUser {
                id: cells.number(0, "id")?,
                name: cells.text(1, "name")?,
                admin: cells.flag(2),
                created: cells.about(3),
                last_activity: cells.about(4),
            })
        })
    }

    fn logins(&mut self) -> Result<Vec<OldLogin>, ReadError> {
        let columns = ["id", "username", "password", "is_authorized", "email", "has_2fa", "otp_secret"];
        self.rows("users_info", columns, Table::UsersInfo, |cells| {
            let password = cells.text_or_none(2, "password")?.filter(|text| is_bcrypt(text));
            // Everybody has a secret; it counts once they have switched the second factor on. One that cannot be read
            // must not become none: then the password alone would let them in.
            let second_factor = if cells.flag(5) { Some(cells.text(6, "second factor")?) } else { None };
            Ok(OldLogin {
                name: cells.text(1, "name")?,
                password: password.map(Secret::new),
                is_authorized: cells.flag(3),
                email: cells.text_or_none(4, "e-mail address")?.unwrap_or_default(),
                second_factor: second_factor.map(Secret::new),
            })
        })
    }

    fn groups(&mut self) -> Result<Vec<OldGroup>, ReadError> {
        self.rows("groups", ["id", "name", "properties"], Table::Groups, |cells| {
            let (id, name) = (cells.number(0, "id")?, cells.text(1, "name")?);
            Ok(OldGroup { id, name, properties: cells.object(2, "properties")? })
        })
    }

    fn roles(&mut self) -> Result<Vec<OldRole>, ReadError> {
        self.rows("roles", ["id", "name", "description", "scopes"], Table::Roles, |cells| {
            Ok(OldRole {
                id: cells.number(0, "id")?,
                name: cells.text(1, "name")?,
                description: cells.text_or_none(2, "description")?.unwrap_or_default(),
                scopes: cells.texts(3, "scopes")?,
            })
        })
    }

    fn tokens(&mut self) -> Result<Vec<OldToken>, ReadError> {
        let columns = [
            "id",
            "note",
            "user_id",
            "service_id",
            "hashed",
            "prefix",
            "client_id",
            "session_id",
            "created",
            "expires_at",
            "last_activity",
            "scopes",
        ];
        self.rows("api_tokens", columns, Table::ApiTokens, |cells| {
            let owner = match (cells.number_or_none(2, "user")?, cells.number_or_none(3, "service")?) {
                (Some(user), None) => OldOwner::User(user),
                (None, Some(service)) => OldOwner::Service(service),
                _ => return Err("it does not say whose it is".into()),
            };
            Ok(OldToken {
                id: cells.number(0, "id")?,
                owner,
                stored: cells.stored_token(4, 5)?,
                client_id: cells.text_or_none(6, "client")?,
                session_id: cells.text_or_none(7, "session")?,
                created: cells.about(8),
                // One that is to end must not live for ever because we cannot read when.
                expires_at: cells.time(9, "end")?,
                last_activity: cells.about(10),
                note: cells.text_or_none(1, "note")?.unwrap_or_default(),
                scopes: cells.texts(11, "scopes")?,
            })
        })
    }

    fn servers(&mut self) -> Result<Vec<OldServer>, ReadError> {
        let places = self.rows("servers", ["id", "base_url"], Table::Spawners, |cells| {
            Ok((cells.number(0, "id")?, cells.text(1, "path")?))
        })?;
        let places: std::collections::HashMap<i64, String> = places.into_iter().collect();
        let columns =
            ["id", "name", "user_id", "server_id", "state", "display_name", "started", "last_activity", "user_options"];
        self.rows("spawners", columns, Table::Spawners, |cells| {
            let state = cells.json(4, "state")?;
            let place = cells.number_or_none(3, "place")?.and_then(|id| places.get(&id));
            let running = place.map(|base_url| OldRunning { base_url: base_url.clone(), what: program_of(state) });
            Ok(OldServer {
                id: cells.number(0, "id")?,
                user_id: cells.number(2, "user")?,
                name: cells.text_or_none(1, "name")?.unwrap_or_default(),
                display_name: cells.text_or_none(5, "display name")?.filter(|name| !name.is_empty()),
                running,
                started: cells.about(6),
                last_activity: cells.about(7),
                options: cells.json(8, "options")?.filter(|options| !options.as_object().is_some_and(|o| o.is_empty())),
            })
        })
    }

    fn services(&mut self) -> Result<Vec<OldService>, ReadError> {
        let clients =
            self.rows("oauth_clients", ["id", "identifier", "redirect_uri"], Table::OAuthClients, |cells| {
                Ok((cells.text_or_none(1, "identifier")?.unwrap_or_default(), cells.text_or_none(2, "address")?))
            })?;
        let clients: std::collections::HashMap<String, Option<String>> = clients.into_iter().collect();
        let is_four = !self.columns_of("services")?.contains(&"from_config".to_owned());
        let columns = [
            "id",
            "name",
            "admin",
            "from_config",
            "url",
            "info",
            "display",
            "oauth_client_id",
            "oauth_no_confirm",
            "oauth_client_allowed_scopes",
        ];
        self.rows("services", columns, Table::Services, |cells| {
            let oauth_client_id = cells.text_or_none(7, "OAuth client")?;
            let redirect_uri = oauth_client_id.as_ref().and_then(|id| clients.get(id).cloned().flatten());
            Ok(OldService {
                id: cells.number(0, "id")?,
                name: cells.text(1, "name")?,
                admin: cells.flag(2),
                from_config: is_four || cells.flag(3),
                url: cells.text_or_none(4, "address")?,
                info: cells.object(5, "info")?,
                display: cells.flag(6),
                oauth_client_id,
                oauth_redirect_uri: redirect_uri,
                oauth_no_confirm: cells.flag(8),
                oauth_client_allowed_scopes: cells.texts(9, "scopes")?,
            })
        })
    }

    fn shares(&mut self) -> Result<Vec<OldShare>, ReadError> {
        let columns = ["id", "spawner_id", "user_id", "group_id", "scopes", "created_at", "expires_at"];
        self.rows("shares", columns, Table::Shares, |cells| {
            Ok(OldShare {
                id: cells.number(0, "id")?,
                server_id: cells.number(1, "server")?,
                user_id: cells.number_or_none(2, "user")?,
                group_id: cells.number_or_none(3, "group")?,
                scopes: cells.texts(4, "scopes")?,
                created: cells.about(5),
                expires_at: cells.time(6, "end")?,
            })
        })
    }

    fn share_codes(&mut self) -> Result<Vec<OldShareCode>, ReadError> {
        let columns = [
            "id",
            "spawner_id",
            "hashed",
            "prefix",
            "scopes",
            "created_at",
            "expires_at",
            "exchange_count",
            "last_exchanged_at",
        ];
        self.rows("share_codes", columns, Table::ShareCodes, |cells| {
            Ok(OldShareCode {
                id: cells.number(0, "id")?,
                server_id: cells.number(1, "server")?,
                stored: cells.stored_token(2, 3)?,
                scopes: cells.texts(4, "scopes")?,
                created: cells.about(5),
                expires_at: cells.time(6, "end")?,
                exchange_count: cells.number_or_none(7, "count")?.and_then(|n| n.try_into().ok()).unwrap_or(0),
                last_exchanged: cells.about(8),
            })
        })
    }

    fn pairs(
        &mut self,
        table: &'static str,
        columns: [&'static str; 2],
        of: Table,
    ) -> Result<Vec<(i64, i64)>, ReadError> {
        self.rows(table, columns, of, |cells| Ok((cells.number(0, "first id")?, cells.number(1, "second id")?)))
    }

    /// The rows of a table in the order in which they were made. A column that this version lacks is empty; a table that
    /// it lacks has no rows. The second column is the one by which people know a row.
    fn rows<T, const N: usize>(
        &mut self,
        table: &'static str,
        columns: [&'static str; N],
        of: Table,
        read: impl Fn(&Cells<'_, '_>) -> Result<T, Odd>,
    ) -> Result<Vec<T>, ReadError> {
        let refused = |cause: rusqlite::Error| of_sqlite(self.path, &cause);
        let there = self.columns_of(table)?;
        if there.is_empty() || !self.has_table(table)? {
            return Ok(Vec::new());
        }
        let cells: Vec<String> = columns
            .iter()
            .map(|column| if there.iter().any(|name| name == column) { bounded(column) } else { "NULL".into() })
            .collect();
        let query = format!("SELECT {} FROM \"{table}\" ORDER BY rowid LIMIT {}", cells.join(", "), ROWS_LIMIT + 1);
        let mut statement = self.database.prepare(&query).map_err(refused)?;
        let mut rows = statement.query([]).map_err(refused)?;
        let (mut read_rows, mut count) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(refused)? {
            count += 1;
            if count > ROWS_LIMIT {
                return Err(ReadError::TooLarge { path: self.path.to_owned(), table, limit: ROWS_LIMIT });
            }
            let cells = Cells::of(row);
            match read(&cells) {
                Ok(row) => read_rows.push(row),
                Err(reason) => {
                    let name = cells.text_or_none(1, "name").ok().flatten().filter(|_| N > 2);
                    let subject = match (name, cells.number(0, "id")) {
                        (Some(name), _) => name,
                        (None, Ok(id)) => format!("row {id}"),
                        (None, Err(_)) => format!("row {count}"),
                    };
                    self.odd.push(OddRow { table: of, subject, reason });
                }
            }
        }
        Ok(read_rows)
    }

    fn columns_of(&self, table: &str) -> Result<Vec<String>, ReadError> {
        self.database
            .prepare("SELECT name FROM pragma_table_info(?1) LIMIT 100")
            .and_then(|mut names| names.query_map([table], |row| row.get(0))?.collect())
            .map_err(|cause| of_sqlite(self.path, &cause))
    }

    /// Views and virtual tables are programs; JupyterHub has none.
    fn has_table(&self, table: &str) -> Result<bool, ReadError> {
        let is_table =
            "SELECT count(*) FROM sqlite_master WHERE name = ?1 AND type = 'table' AND sql NOT LIKE '%VIRTUAL%'";
        let count: Result<i64, _> = self.database.query_row(is_table, [table], |row| row.get(0));
        count.map(|count| count == 1).map_err(|cause| of_sqlite(self.path, &cause))
    }

    fn count(&self, table: &'static str) -> Result<u64, ReadError> {
        if !self.has_table(table)? {
            return Ok(0);
        }
        let count: Result<i64, _> =
            self.database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
        count.map(i64::unsigned_abs).map_err(|cause| of_sqlite(self.path, &cause))
    }
}

/// What a spawner says it has started. A container's id is 64 hex characters; anything else is none.
fn program_of(state: Option<Value>) -> OldProgram {
    let Some(state) = state else { return OldProgram::Other };
    let is_id = |id: &&str| id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match (state.get("object_id").and_then(Value::as_str).filter(is_id), state.get("pid")) {
        (Some(id), _) => OldProgram::Container(id.to_owned()),
        (None, Some(_)) => OldProgram::Process,
        (None, None) => OldProgram::Other,
    }
}
