//! The rows as other modules see them, and how their keys are written in the file.
//!
//! A row may gain fields: a new one carries `#[serde(default)]`, so that rows written before it still read.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::model::{
    DisplayName, Failure, Generation, GpuHeld, GrantNote, Handle, IdleEnd, IdleExtension, LastSeen, OAuthClient,
    OtpSecret, OwnerName, ServerKey, ServerOptions, SessionKey, StoredToken, Timestamp, TokenId, UserName, UserProfile,
};

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// Unique.
    pub name: UserName,
    /// argon2id PHC string, or bcrypt (`$2b$12$…`) until the first sign-in after a move; None: cannot sign in with a password.
    #[serde(default)]
    pub password: Option<String>,
    /// May sign in.
    #[serde(default)]
    pub authorised: bool,
    /// Administers this installation (once authorised).
    #[serde(default)]
    pub admin: bool,
    /// When the account was made.
    #[serde(default)]
    pub created: Timestamp,
    /// Last seen doing something; may lag by a minute.
    #[serde(default)]
    pub last_activity: Option<Timestamp>,
    /// Names and address.
    #[serde(default)]
    pub profile: UserProfile,
    /// Nothing but a change of the password is open to them until they have made one.
    #[serde(default)]
    pub must_change_password: bool,
    /// Shut out by an administrator, whether authorised or not.
    #[serde(default)]
    pub disabled: bool,
    /// The second factor that came along from a JupyterHub: a password alone does not let them in.
    #[serde(default)]
    pub otp_secret: Option<OtpSecret>,
}

impl UserRow {
    /// An account that nobody has let in yet, without a password.
    #[must_use]
    pub fn new(name: UserName, created: Timestamp) -> Self {
        Self {
            name,
            password: None,
            authorised: false,
            admin: false,
            created,
            last_activity: None,
            profile: UserProfile::default(),
            must_change_password: false,
            disabled: false,
            otp_secret: None,
        }
    }
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Hash of the cookie's value.
    pub key: SessionKey,
    /// Whose.
    pub user: UserName,
    /// value of the `jupyterhub-session-id` cookie, 32 hex
    pub hub_session_id: String,
    /// When the person signed in.
    pub created: Timestamp,
    /// Last request; may lag by a minute.
    pub last_seen: Timestamp,
    /// The address that signed in; rows of before do not tell.
    pub from: Option<IpAddr>,
    /// What the browser called itself then, made fit to be shown.
    pub agent: String,
}

/// What a token was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenKind {
    /// `JUPYTERHUB_API_TOKEN` of a server, also its OAuth client secret
    Server(ServerKey),
    /// issued through the OAuth code grant to this client
    OAuth {
        /// The client's id.
        client_id: String,
        /// What the client is; rows of before do not tell.
        #[serde(default)]
        client: Option<OAuthClient>,
    },
    /// made by a person or through the API
    Api,
    /// the `api_token` that a service was given, also its OAuth client secret
    Service,
}

/// A programmatic key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Unique, never used again.
    pub id: TokenId,
    /// Salted hash.
    pub stored: StoredToken,
    /// Whose rights it has at most.
    pub owner: OwnerName,
    /// What it was made for.
    pub kind: TokenKind,
    /// raw scopes
    #[serde(default)]
    pub scopes: Vec<String>,
    /// `hub_session_id` of the session it ends with.
    #[serde(default)]
    pub session_id: Option<String>,
    /// For people.
    #[serde(default)]
    pub note: String,
    /// When it was made.
    #[serde(default)]
    pub created: Timestamp,
    /// When it ends by itself; None: never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Last use; may lag by a minute.
    #[serde(default)]
    pub last_activity: Option<Timestamp>,
}

/// A server and what the backend needs to find it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerRow {
    /// Whose, and which.
    pub key: ServerKey,
    /// Its latest start.
    #[serde(default)]
    pub generation: Generation,
    /// what the backend needs to find it again (container id, pid …)
    #[serde(default)]
    pub handle: Option<Handle>,
    /// true while it is meant to run
    #[serde(default)]
    pub wanted: bool,
    /// True while its program is being restarted in the same container.
    #[serde(default)]
    pub restarting: bool,
    /// When the running one was started.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// Last traffic of a person.
    #[serde(default)]
    pub last_activity: Option<Timestamp>,
    /// Why the last start failed, if it did.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// Its name for people.
    #[serde(default)]
    pub display_name: Option<DisplayName>,
    /// The options of its latest start, or of its next one.
    #[serde(default)]
    pub options: Option<ServerOptions>,
    /// When it was defined or first started; none in rows of older versions.
    #[serde(default)]
    pub created: Option<Timestamp>,
    /// What its latest start was made from.
    #[serde(default)]
    pub made_from: MadeFrom,
    /// What its present start has of the graphics processors.
    #[serde(default)]
    pub gpus: GpuHeld,
    /// By what and when it was last used.
    #[serde(default)]
    pub last_seen: LastSeen,
    /// How its owner put the end of the running one off.
    #[serde(default)]
    pub extended: Option<IdleExtension>,
    /// That it was stopped as idle, when it last was.
    #[serde(default)]
    pub idle_end: Option<IdleEnd>,
}

impl ServerRow {
    /// The row of a server that has never been started.
    #[must_use]
    pub fn new(key: ServerKey) -> Self {
        Self {
            key,
            generation: Generation::default(),
            handle: None,
            wanted: false,
            restarting: false,
            started_at: None,
            last_activity: None,
            failure: None,
            display_name: None,
            options: None,
            created: None,
            made_from: MadeFrom::default(),
            gpus: GpuHeld::default(),
            last_seen: LastSeen::default(),
            extended: None,
            idle_end: None,
        }
    }
}

/// What a start was made from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MadeFrom {
    /// The chosen profile.
    #[serde(default)]
    pub profile: Option<String>,
    /// The image.
    #[serde(default)]
    pub image: Option<String>,
    /// Memory that it may use.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Processors that it may use, in cores.
    #[serde(default)]
    pub cpu_cores: Option<f64>,
    /// What groups gave, for people.
    #[serde(default)]
    pub granted: Vec<GrantNote>,
}

/// A session as stored: the key is the table's key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SessionRecord {
    user: UserName,
    hub_session_id: String,
    created: Timestamp,
    last_seen: Timestamp,
    #[serde(default)]
    from: Option<IpAddr>,
    #[serde(default)]
    agent: String,
}

impl SessionRecord {
    pub(super) fn of(row: &SessionRow) -> Self {
        Self {
            user: row.user.clone(),
            hub_session_id: row.hub_session_id.clone(),
            created: row.created,
            last_seen: row.last_seen,
            from: row.from,
            agent: row.agent.clone(),
        }
    }

    pub(super) fn into_row(self, key: &[u8]) -> Result<SessionRow, StoreError> {
        let key = key.try_into().map_err(|_| StoreError::Damaged("a session's key has a wrong length".into()))?;
        let Self { user, hub_session_id, created, last_seen, from, agent } = self;
        Ok(SessionRow { key: SessionKey(key), user, hub_session_id, created, last_seen, from, agent })
    }

    pub(super) fn belongs_to(&self, user: &UserName) -> bool {
        self.user == *user
    }
}

/// `alice\0srv`: a user's name holds no control character, so all servers of a user lie together.
pub(super) fn server_key(key: &ServerKey) -> Vec<u8> {
    let mut bytes = server_key_prefix(&key.user);
    bytes.extend_from_slice(key.name.as_str().as_bytes());
    bytes
}

pub(super) fn server_key_prefix(user: &UserName) -> Vec<u8> {
    let mut bytes = user.as_str().as_bytes().to_vec();
    bytes.push(0);
    bytes
}
