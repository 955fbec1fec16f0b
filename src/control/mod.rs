//! Commands on a running instance: one line of JSON asked, one line answered, over `data_dir/control.sock`.
//!
//! `execute` carries a request out; it is the same function for the socket and for a command that has opened the
//! store itself because nothing runs. Whoever may open the socket (0600 in a folder of 0700) owns the installation.

mod client;
mod execute;
mod server;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Secret, Timestamp};

pub use client::{AskError, ask};
pub use execute::{Afterwards, Reload, StopServers, execute};
pub use server::{ListenError, Listener, serve};

/// The control socket and its bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that the socket is in: the store's.
    pub data_dir: PathBuf,
    /// Requests worked on at once; more wait in the kernel's queue.
    pub requests_at_once: usize,
    /// From connecting to the request's last byte. 5 s: the client is a program on this host.
    pub request_timeout_s: u64,
    /// From the request to the answer. 60 s: a delete waits for a server to stop.
    pub answer_timeout_s: u64,
}

impl Config {
    /// The socket in `data_dir`, with the usual bounds.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        Self { data_dir, requests_at_once: 8, request_timeout_s: 5, answer_timeout_s: 60 }
    }

    fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_s)
    }

    fn answer_timeout(&self) -> Duration {
        Duration::from_secs(self.answer_timeout_s)
    }
}

/// Longest request or answer, in bytes. 4 MiB: a list of 20,000 users.
const LINE_LIMIT_BYTES: usize = 4 << 20;

/// Where the socket is.
#[must_use]
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// What a command may ask. A name is as typed; it is parsed where it is carried out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Adds a user who may sign in at once.
    UserAdd {
        /// The new name.
        name: String,
        /// Without one the user cannot sign in with a password.
        password: Option<WireSecret>,
        /// Whether to make an administrator.
        admin: bool,
        /// Whether to make a password of words, and answer it.
        #[serde(default)]
        generate: bool,
    },
    /// Lists all users.
    UserList,
    /// Lets a user in, or out.
    UserAuthorize {
        /// Who.
        name: String,
        /// In, or out.
        authorised: bool,
    },
    /// Sets a user's password.
    UserPassword {
        /// Whose.
        name: String,
        /// The new one; None: one made of words, which is answered.
        password: Option<WireSecret>,
        /// Whether it must be changed at the next sign-in.
        #[serde(default)]
        must_change: bool,
    },
    /// Shuts a user out, or lets them in again.
    UserDisable {
        /// Who.
        name: String,
        /// Out, or in.
        disabled: bool,
    },
    /// Forgets a user's second factor.
    UserClearSecondFactor {
        /// Whose.
        name: String,
    },
    /// Deletes a user and stops his servers; volumes stay.
    UserDelete {
        /// Who.
        name: String,
    },
    /// Makes an API token.
    TokenAdd {
        /// Whose.
        owner: TokenOwner,
        /// What it may do; empty: what its owner may.
        scopes: Vec<String>,
        /// For people.
        note: String,
        /// How long it lives, in seconds; None: as long as it may.
        expires_in_s: Option<u64>,
    },
    /// Lists the live tokens of somebody.
    TokenList {
        /// Whose.
        owner: TokenOwner,
    },
    /// Ends a token.
    TokenRevoke {
        /// Its id, as in `a12`.
        id: String,
    },
    /// Whether the instance works.
    Health,
    /// Takes up the configuration as it is now.
    Reload,
    /// Writes all of the store to a file.
    Backup {
        /// Where, from the root.
        file: PathBuf,
        /// Whether an earlier backup there may go.
        replace: bool,
    },
}

/// Whose a token is, as typed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenOwner {
    /// A user's.
    User(String),
    /// A service's.
    Service(String),
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done {
        /// The user's name as stored.
        name: String,
    },
    /// A password that was just made for a user: seen here once and never again.
    Password {
        /// The user's name as stored.
        name: String,
        /// The password.
        password: WireSecret,
    },
    /// All users, by name.
    Users {
        /// One entry each.
        users: Vec<UserEntry>,
    },
    /// A token that was just made: seen here once and never again.
    Token {
        /// The token.
        token: WireSecret,
    },
    /// Tokens, those used longest ago first.
    Tokens {
        /// One entry each.
        tokens: Vec<TokenEntry>,
    },
    /// It works.
    Healthy {
        /// The version that runs.
        version: String,
        /// Its process id.
        pid: u32,
    },
    /// A backup is there, whole.
    BackedUp {
        /// Its size, in bytes.
        bytes: u64,
        /// How many values it holds.
        values: u64,
    },
    /// The configuration has been taken up.
    Reloaded {
        /// Keys with a new value.
        taken_up: Vec<String>,
        /// Keys whose new value waits for the next start.
        waiting: Vec<String>,
    },
    /// The configuration is wrong, and that of before holds on.
    Mistakes {
        /// Each with its key and a cure.
        mistakes: Vec<String>,
    },
    /// It was not done.
    Refused {
        /// A sentence for the person at the terminal.
        message: String,
    },
}

/// A user in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEntry {
    /// Unique.
    pub name: String,
    /// An administrator.
    pub admin: bool,
    /// May sign in.
    pub authorised: bool,
    /// Shut out by an administrator.
    #[serde(default)]
    pub disabled: bool,
    /// Has a password.
    pub has_password: bool,
    /// A password alone does not let them in.
    #[serde(default)]
    pub has_second_factor: bool,
    /// When the account was made.
    pub created: Timestamp,
    /// Last seen.
    pub last_activity: Option<Timestamp>,
}

/// A token in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEntry {
    /// Unique, as in `a12`.
    pub id: String,
    /// For people.
    pub note: String,
    /// What it may do, as it was asked for.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Last use.
    pub last_activity: Option<Timestamp>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A secret on the wire to ourselves; prints as `***` like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireSecret(pub Secret);

impl Serialize for WireSecret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for WireSecret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}
