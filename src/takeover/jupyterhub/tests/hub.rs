//! A JupyterHub's database, with the tables and columns that each version's own `orm` makes (looked up in databases of
//! JupyterHub 4.1.6, 5.4.2 and 6.1.1 with NativeAuthenticator 1.3.0).

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ToSql};

use crate::model::{Random, StoredToken};
use crate::takeover::jupyterhub::{OldHub, ReadError, read};

pub(super) const CREATED: &str = "2024-02-03 04:05:06.789012";
/// What bcrypt makes of «correct horse».
pub(super) const BCRYPT: &str = "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW";
pub(super) const CONTAINER: &str = "abababababababababababababababababababababababababababababababab";

const TABLES_OF_ALL: &str = "
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
CREATE TABLE groups (id INTEGER PRIMARY KEY, name VARCHAR(255) UNIQUE, properties TEXT);
CREATE TABLE oauth_clients (id INTEGER PRIMARY KEY, identifier VARCHAR(255) UNIQUE, description VARCHAR(1023),
  secret VARCHAR(255), redirect_uri VARCHAR(1023), allowed_scopes TEXT);
CREATE TABLE oauth_codes (id INTEGER PRIMARY KEY, client_id VARCHAR(255), code VARCHAR(36), expires_at INTEGER);
CREATE TABLE servers (id INTEGER PRIMARY KEY, proto VARCHAR(15), ip VARCHAR(255), port INTEGER, base_url VARCHAR(255),
  cookie_name VARCHAR(255));
CREATE TABLE user_group_map (user_id INTEGER NOT NULL, group_id INTEGER NOT NULL, PRIMARY KEY (user_id, group_id));
CREATE TABLE api_tokens (user_id INTEGER, service_id INTEGER, id INTEGER PRIMARY KEY, hashed VARCHAR(255) UNIQUE,
  prefix VARCHAR(16), client_id VARCHAR(255), session_id VARCHAR(255), created DATETIME, expires_at DATETIME,
  last_activity DATETIME, note VARCHAR(1023), scopes TEXT);
";
const TABLES_OF_4: &str = "
INSERT INTO alembic_version VALUES ('0eee8c825d24');
CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(255) UNIQUE, admin BOOLEAN, created DATETIME,
  last_activity DATETIME, cookie_id VARCHAR(255), state TEXT, encrypted_auth_state BLOB);
CREATE TABLE roles (id INTEGER PRIMARY KEY, name VARCHAR(255) UNIQUE, description VARCHAR(1023), scopes TEXT);
CREATE TABLE user_role_map (user_id INTEGER NOT NULL, role_id INTEGER NOT NULL);
CREATE TABLE group_role_map (group_id INTEGER NOT NULL, role_id INTEGER NOT NULL);
CREATE TABLE service_role_map (service_id INTEGER NOT NULL, role_id INTEGER NOT NULL);
CREATE TABLE services (id INTEGER PRIMARY KEY, name VARCHAR(255) UNIQUE, admin BOOLEAN, _server_id INTEGER, pid INTEGER,
  oauth_client_id VARCHAR(255));
CREATE TABLE spawners (id INTEGER PRIMARY KEY, user_id INTEGER, server_id INTEGER, state TEXT, name VARCHAR(255),
  started DATETIME, last_activity DATETIME, user_options TEXT, oauth_client_id VARCHAR(255));
";
const TABLES_OF_5: &str = "
CREATE TABLE roles (id INTEGER PRIMARY KEY, name VARCHAR(255) UNIQUE, description VARCHAR(1023), scopes TEXT,
  managed_by_auth BOOLEAN NOT NULL DEFAULT 0);
CREATE TABLE user_role_map (user_id INTEGER NOT NULL, role_id INTEGER NOT NULL, managed_by_auth BOOLEAN NOT NULL DEFAULT 0);
CREATE TABLE group_role_map (group_id INTEGER NOT NULL, role_id INTEGER NOT NULL, managed_by_auth BOOLEAN NOT NULL DEFAULT 0);
CREATE TABLE service_role_map (service_id INTEGER NOT NULL, role_id INTEGER NOT NULL, managed_by_auth BOOLEAN NOT NULL DEFAULT 0);
CREATE TABLE services (id INTEGER PRIMARY KEY, name VARCHAR(255) UNIQUE, admin BOOLEAN, url VARCHAR(2047),
  oauth_client_allowed_scopes TEXT, info TEXT, display BOOLEAN, oauth_no_confirm BOOLEAN, command TEXT, cwd VARCHAR(4095),
  environment TEXT, user VARCHAR(255), from_config BOOLEAN, _server_id INTEGER, pid INTEGER, oauth_client_id VARCHAR(255));
CREATE TABLE shares (user_id INTEGER, group_id INTEGER, id INTEGER PRIMARY KEY, created_at DATETIME NOT NULL, scopes TEXT,
  expires_at DATETIME, owner_id INTEGER, spawner_id INTEGER);
CREATE TABLE share_codes (hashed VARCHAR(255) UNIQUE, prefix VARCHAR(16), exchange_count INTEGER,
  last_exchanged_at DATETIME, id INTEGER PRIMARY KEY, created_at DATETIME NOT NULL, scopes TEXT, expires_at DATETIME,
  owner_id INTEGER, spawner_id INTEGER);
";
const ONLY_OF_5: &str = "
INSERT INTO alembic_version VALUES ('4621fec11365');
CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(255) UNIQUE, admin BOOLEAN, created DATETIME,
  last_activity DATETIME, cookie_id VARCHAR(255), state TEXT, encrypted_auth_state BLOB);
CREATE TABLE spawners (id INTEGER PRIMARY KEY, user_id INTEGER, server_id INTEGER, state TEXT, name VARCHAR(255),
  started DATETIME, last_activity DATETIME, user_options TEXT, oauth_client_id VARCHAR(255));
";
const ONLY_OF_6: &str = "
INSERT INTO alembic_version VALUES ('f460b0348206');
ALTER TABLE services ADD COLUMN timeout INTEGER NOT NULL DEFAULT 30;
CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(255) UNIQUE, user_info TEXT, admin BOOLEAN, created DATETIME,
  last_activity DATETIME, cookie_id VARCHAR(255), state TEXT, encrypted_auth_state BLOB);
CREATE TABLE spawners (id INTEGER PRIMARY KEY, user_id INTEGER, server_id INTEGER, state TEXT, name VARCHAR(255),
  display_name VARCHAR(255), started DATETIME, last_activity DATETIME, user_options TEXT, oauth_client_id VARCHAR(255));
";
const DEFAULT_ROLES: &str = r#"
INSERT INTO roles (id, name, description, scopes) VALUES (1, 'user', 'Standard user privileges', '["self"]'),
  (2, 'admin', 'Elevated privileges (can do anything)', '["admin-ui", "admin:users"]'),
  (3, 'server', 'Post activity only', '["users:activity!user", "access:servers!server"]'),
  (4, 'token', 'Token with same permissions as its owner', '["inherit"]');
INSERT INTO oauth_clients (id, identifier) VALUES (1, 'jupyterhub');
"#;
const NATIVE: &str = "
CREATE TABLE users_info (id INTEGER PRIMARY KEY, username VARCHAR(128) NOT NULL, password BLOB NOT NULL,
  is_authorized BOOLEAN, login_email_sent BOOLEAN, email VARCHAR(128), has_2fa BOOLEAN, otp_secret VARCHAR(16));
";

/// A database in a folder of its own.
pub(super) struct Hub {
    pub(super) folder: tempfile::TempDir,
    pub(super) sql: Connection,
}

impl Hub {
    pub(super) fn of_version(version: u8) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sql = Connection::open(folder.path().join("jupyterhub.sqlite")).expect("a database");
        let tables = match version {
            4 => TABLES_OF_4.to_owned(),
            5 => format!("{TABLES_OF_5}{ONLY_OF_5}"),
            _ => format!("{TABLES_OF_5}{ONLY_OF_6}"),
        };
        sql.execute_batch(&format!("{TABLES_OF_ALL}{tables}{DEFAULT_ROLES}")).expect("tables");
        Self { folder, sql }
    }

    pub(super) fn with_native(self) -> Self {
        self.sql.execute_batch(NATIVE).expect("a table");
        self
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("jupyterhub.sqlite")
    }

    pub(super) fn read(&self) -> OldHub {
        self.try_read().expect("a JupyterHub's database")
    }

    pub(super) fn try_read(&self) -> Result<OldHub, ReadError> {
        read(&self.path(), self.folder.path())
    }

    pub(super) fn run(&self, sql: &str, values: &[&dyn ToSql]) -> i64 {
        self.sql.execute(sql, values).expect("a statement");
        self.sql.last_insert_rowid()
    }

    pub(super) fn user(&self, name: &str, admin: bool) -> i64 {
        let cookie = format!("cookie of {name}");
        self.run(
            "INSERT INTO users (name, admin, created, last_activity, cookie_id) VALUES (?1, ?2, ?3, ?3, ?4)",
            &[&name, &admin, &CREATED, &cookie],
        )
    }

    pub(super) fn login(&self, name: &str, is_authorized: bool, has_2fa: bool) -> i64 {
        self.run(
            "INSERT INTO users_info (username, password, is_authorized, email, has_2fa, otp_secret)
             VALUES (?1, ?2, ?3, ?4, ?5, 'JBSWY3DPEHPK3PXP')",
            &[&name, &BCRYPT.as_bytes(), &is_authorized, &format!("{name}@example.org"), &has_2fa],
        )
    }

    pub(super) fn group(&self, name: &str, members: &[i64]) -> i64 {
        let group = self.run("INSERT INTO groups (name, properties) VALUES (?1, '{\"room\": 7}')", &[&name]);
        for member in members {
            self.run("INSERT INTO user_group_map VALUES (?1, ?2)", &[member, &group]);
        }
        group
    }

    pub(super) fn token(&self, user: i64, secret: &str, note: &str, scopes: &str) -> i64 {
        let stored = StoredToken::of(secret, &Random::from_system());
        self.run(
            "INSERT INTO api_tokens (user_id, hashed, prefix, client_id, created, note, scopes)
             VALUES (?1, ?2, ?3, 'jupyterhub', ?4, ?5, ?6)",
            &[&user, &stored.hashed, &stored.prefix, &CREATED, &note, &scopes],
        )
    }

    /// A server that does not run.
    pub(super) fn server(&self, user: i64, name: &str, options: &str) -> i64 {
        self.run(
            "INSERT INTO spawners (user_id, name, state, last_activity, user_options) VALUES (?1, ?2, '{}', ?3, ?4)",
            &[&user, &name, &CREATED, &options],
        )
    }

    /// A server that runs in DockerSpawner's container, or as `state` says.
    pub(super) fn running(&self, user: i64, path: &str, state: &str) -> i64 {
        let place = self
            .run("INSERT INTO servers (proto, ip, port, base_url) VALUES ('http', '172.17.0.9', 8888, ?1)", &[&path]);
        self.run(
            "INSERT INTO spawners (user_id, server_id, name, state, started, last_activity) VALUES (?1, ?2, '', ?3, ?4, ?4)",
            &[&user, &place, &state, &CREATED],
        )
    }
}

pub(super) fn in_container() -> String {
    format!("{{\"object_id\": \"{CONTAINER}\", \"object_name\": \"jupyter-alice\"}}")
}

/// What lies beside a file, and what is in it: nothing of that may change.
pub(super) fn content_of(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut content: Vec<_> = entries.map(|path| (path.clone(), std::fs::read(&path).unwrap_or_default())).collect();
    content.sort();
    content
}
