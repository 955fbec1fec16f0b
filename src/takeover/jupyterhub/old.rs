//! What a JupyterHub's database says, in types. Names and ids are still its own.

use serde_json::{Map, Value};

use crate::model::{Secret, StoredToken, Timestamp};

/// All that is taken over, and what could not even be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OldHub {
    /// The revision of its tables.
    pub revision: String,
    /// `4`, `5` or `6`.
    pub version: String,
    /// Accounts.
    pub users: Vec<OldUser>,
    /// NativeAuthenticator's; none: that authenticator was never used.
    pub logins: Option<Vec<OldLogin>>,
    /// Groups.
    pub groups: Vec<OldGroup>,
    /// User and group.
    pub members: Vec<(i64, i64)>,
    /// Roles.
    pub roles: Vec<OldRole>,
    /// Owner and role.
    pub user_roles: Vec<(i64, i64)>,
    /// Owner and role.
    pub group_roles: Vec<(i64, i64)>,
    /// Owner and role.
    pub service_roles: Vec<(i64, i64)>,
    /// Tokens.
    pub tokens: Vec<OldToken>,
    /// Servers, as JupyterHub's `spawners` keep them.
    pub servers: Vec<OldServer>,
    /// Services.
    pub services: Vec<OldService>,
    /// Shares.
    pub shares: Vec<OldShare>,
    /// Share codes.
    pub share_codes: Vec<OldShareCode>,
    /// How many OAuth clients there are; ours follow from servers and services.
    pub oauth_clients: u64,
    /// How many OAuth codes there are; each lives ten minutes.
    pub oauth_codes: u64,
    /// Rows that make no sense.
    pub odd: Vec<OddRow>,
}

/// A table of JupyterHub's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Accounts.
    Users,
    /// NativeAuthenticator's passwords.
    UsersInfo,
    /// Groups.
    Groups,
    /// Who is in which.
    UserGroupMap,
    /// Roles, with who has them.
    Roles,
    /// Tokens.
    ApiTokens,
    /// Servers.
    Spawners,
    /// Services.
    Services,
    /// Shares.
    Shares,
    /// Share codes.
    ShareCodes,
    /// OAuth clients.
    OAuthClients,
    /// OAuth codes.
    OAuthCodes,
}

impl Table {
    /// All, in the order of the report.
    pub const ALL: [Self; 12] = [
        Self::Users,
        Self::UsersInfo,
        Self::Groups,
        Self::UserGroupMap,
        Self::Roles,
        Self::ApiTokens,
        Self::Spawners,
        Self::Services,
        Self::Shares,
        Self::ShareCodes,
        Self::OAuthClients,
        Self::OAuthCodes,
    ];

    /// Its name in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::UsersInfo => "users_info",
            Self::Groups => "groups",
            Self::UserGroupMap => "user_group_map",
            Self::Roles => "roles",
            Self::ApiTokens => "api_tokens",
            Self::Spawners => "spawners",
            Self::Services => "services",
            Self::Shares => "shares",
            Self::ShareCodes => "share_codes",
            Self::OAuthClients => "oauth_clients",
            Self::OAuthCodes => "oauth_codes",
        }
    }
}

/// A row that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddRow {
    /// Of which table.
    pub table: Table,
    /// What it is about, as far as that can be read: a name, or `row 7`.
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldUser {
    /// By which other rows mean it.
    pub id: i64,
    /// As written.
    pub name: String,
    /// Administers.
    pub admin: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Last seen.
    pub last_activity: Option<Timestamp>,
}

/// What NativeAuthenticator knows of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldLogin {
    /// Whose.
    pub name: String,
    /// bcrypt's `$2b$…`; none: not of that form.
    pub password: Option<Secret>,
    /// May sign in.
    pub is_authorized: bool,
    /// As they typed it.
    pub email: String,
    /// What the codes of the second factor are made of, if they switched it on.
    pub second_factor: Option<Secret>,
}

/// A group.
#[derive(Clone, Debug, PartialEq)]
pub struct OldGroup {
    /// By which other rows mean it.
    pub id: i64,
    /// As written.
    pub name: String,
    /// For programs.
    pub properties: Map<String, Value>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldRole {
    /// By which other rows mean it.
    pub id: i64,
    /// As written.
    pub name: String,
    /// For people.
    pub description: String,
    /// Raw.
    pub scopes: Vec<String>,
}

/// Whose a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldOwner {
    /// A user's id.
    User(i64),
    /// A service's id.
    Service(i64),
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldToken {
    /// JupyterHub shows it as `a<id>`.
    pub id: i64,
    /// Whose.
    pub owner: OldOwner,
    /// As JupyterHub and we store it.
    pub stored: StoredToken,
    /// `jupyterhub`, or what it was issued to.
    pub client_id: Option<String>,
    /// The browser's session that it ends with.
    pub session_id: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Last use.
    pub last_activity: Option<Timestamp>,
    /// For people.
    pub note: String,
    /// Raw.
    pub scopes: Vec<String>,
}

/// A server.
#[derive(Clone, Debug, PartialEq)]
pub struct OldServer {
    /// By which shares mean it.
    pub id: i64,
    /// Whose.
    pub user_id: i64,
    /// Empty for the default one.
    pub name: String,
    /// For people.
    pub display_name: Option<String>,
    /// Where it runs, if it does.
    pub running: Option<OldRunning>,
    /// When the running one was started.
    pub started: Option<Timestamp>,
    /// Last use.
    pub last_activity: Option<Timestamp>,
    /// The options of its latest start; none of a server that never had any.
    pub options: Option<Value>,
}

/// A server that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldRunning {
    /// The path under which it answers: `/user/alice/`.
    pub base_url: String,
    /// What it is.
    pub what: OldProgram,
}

/// What JupyterHub's spawner says it has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldProgram {
    /// DockerSpawner's container, by its id.
    Container(String),
    /// A process of that host.
    Process,
    /// Something of another spawner.
    Other,
}

/// A service.
#[derive(Clone, Debug, PartialEq)]
pub struct OldService {
    /// By which tokens mean it.
    pub id: i64,
    /// As written.
    pub name: String,
    /// Administers.
    pub admin: bool,
    /// It stands in the configuration; 4.x knows no others.
    pub from_config: bool,
    /// Where it listens.
    pub url: Option<String>,
    /// For people and programs.
    pub info: Map<String, Value>,
    /// Whether pages name it.
    pub display: bool,
    /// Its OAuth client, if it has one.
    pub oauth_client_id: Option<String>,
    /// Where browsers come back to.
    pub oauth_redirect_uri: Option<String>,
    /// Nobody is asked before being signed in there.
    pub oauth_no_confirm: bool,
    /// What its visitors' tokens may hold.
    pub oauth_client_allowed_scopes: Vec<String>,
}

/// What somebody was given of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldShare {
    /// Only to tell it.
    pub id: i64,
    /// Which server.
    pub server_id: i64,
    /// With which user.
    pub user_id: Option<i64>,
    /// With which group.
    pub group_id: Option<i64>,
    /// Raw.
    pub scopes: Vec<String>,
    /// When it was given.
    pub created: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// A code for a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldShareCode {
    /// JupyterHub shows it as `sc_<id>`.
    pub id: i64,
    /// Which server.
    pub server_id: i64,
    /// As JupyterHub and we store it.
    pub stored: StoredToken,
    /// Raw.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it ends; ours all do.
    pub expires_at: Option<Timestamp>,
    /// How often it was exchanged.
    pub exchange_count: u64,
    /// When last.
    pub last_exchanged: Option<Timestamp>,
}
