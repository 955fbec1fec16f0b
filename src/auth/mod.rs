//! Who is this, and what may they do: accounts, passwords, sessions, tokens and the one policy.
//!
//! Everything a request needs is in memory (`user`, `session`, `token`) and answered without waiting; the store is
//! written behind it. What ends, ends in memory first; what is granted, is stored first: a crash or a failed disk
//! can take a right away, never give one.

mod accounts;
mod activity;
mod api_tokens;
mod audit;
mod backup;
mod caller;
mod config;
mod configured;
mod counts;
mod devices;
mod directory;
mod effective;
mod errands;
mod error;
mod expand;
mod grants;
mod groups;
mod host_cookie;
mod mnemonic;
mod moved_in;
mod new_people;
mod owner;
mod password;
mod people;
mod policy;
mod profile;
mod reload;
mod rights;
mod root;
mod roster;
mod rules;
mod service;
mod services;
mod session;
mod setup;
mod share_codes;
mod shares;
mod sign_in;
mod throttle;
mod token;
mod tries;
mod user;
mod visits;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::{BasePath, Clock, Live, OwnerName, Random, SESSION_COOKIE_STEM, Secret, ServiceName, UserName};
use crate::store::{Store, StoreError};

pub use api_tokens::{Asker, NewToken};
pub use caller::Caller;
pub use config::Config;
pub use counts::Figures;
pub use devices::{Device, SessionId, SessionListing};
pub use directory::Share;
pub use effective::BUILT_IN_GROUP;
pub use errands::Errand;
pub use error::{AccountError, ActError, SignInError};
pub use groups::{GroupChange, GroupListing, NewGroup};
pub use mnemonic::{WORDS_MAX, WORDS_MIN};
pub use moved_in::{BcryptHash, BcryptMistake};
pub use new_people::{CreatedPeople, CreatedPerson, Creation, NEW_PEOPLE_LIMIT, NewPerson};
pub use owner::Owner;
pub use people::{Created, UserChange};
pub use policy::{
    may_access_server, may_access_service, may_administer, may_read_figures, may_start_server, may_use_routers,
    must_change_password, scopes_of,
};
pub use rights::{Access, Rights, Target};
pub use root::RootLeave;
pub use roster::{Roster, RosterMistake};
pub use rules::{CustomScopeConfig, GroupConfig, RoleConfig, RuleMistake};
pub use service::{Service, ServiceClient};
pub use session::Session;
pub use setup::SetupWindow;
pub use share_codes::{ShareCode, WhichCodes};
pub use token::Token;
pub use user::{User, UserListing};
pub use visits::Visitor;

use activity::Unfinished;
use directory::Directory;
use password::PasswordGate;
use session::SessionTable;
use sign_in::Failures;
use throttle::Throttle;
use token::TokenTable;

/// What a sign-up led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedUp {
    /// may sign in at once
    Authorised,
    /// waits for an administrator
    Waiting,
}

/// Everything about people. Cheap to clone. Async methods await a durable commit; once begun, they run to their end
/// even if the caller goes away.
#[derive(Clone)]
pub struct Auth(Arc<Shared>);

struct Shared {
    config: Live<Config>,
    store: Store,
    clock: Arc<dyn Clock>,
    random: Random,
    directory: Arc<Directory>,
    users: papaya::HashMap<UserName, Arc<User>, ahash::RandomState>,
    services: papaya::HashMap<ServiceName, Arc<Service>, ahash::RandomState>,
    sessions: SessionTable,
    /// What the cookies of users' hosts are signed with.
    host_secret: [u8; 32],
    tokens: TokenTable,
    passwords: PasswordGate,
    throttle: Mutex<Throttle>,
    failures: Mutex<Failures>,
    visits: Mutex<visits::Visits>,
    setup_code: Mutex<Option<Secret>>,
    codes: Mutex<share_codes::CodeTable>,
    /// Held through every act that changes accounts, sessions or tokens: what was checked is still so when written.
    acts: Mutex<()>,
    unfinished: Mutex<Unfinished>,
    counts: counts::Counts,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth")
    }
}

/// `__Host-Http-slipway-<8 hex>`: cookies ignore ports, so the name tells two Slipways on one host apart.
#[must_use]
pub fn session_cookie_name(port: u16, base: &BasePath) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(format!("{port}{base}"));
    let mark = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    format!("{SESSION_COOKIE_STEM}{mark:08x}")
}

impl Auth {
    /// Runs `act` on the blocking pool, to its end even if this future is dropped.
    async fn run<T, E>(&self, act: impl FnOnce(&Shared) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || act(&shared)).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(StoreError::Unknown(Box::new(error)).into()),
        }
    }
}

impl Shared {
    fn now(&self) -> crate::model::Timestamp {
        self.clock.now()
    }

    fn user(&self, name: &UserName) -> Option<Arc<User>> {
        self.users.pin().get(name).cloned()
    }

    fn service(&self, name: &ServiceName) -> Option<Arc<Service>> {
        self.services.pin().get(name).cloned()
    }

    fn owner(&self, name: &OwnerName) -> Option<Owner> {
        match name {
            OwnerName::User(name) => self.user(name).map(Owner::User),
            OwnerName::Service { service } => self.service(service).map(Owner::Service),
        }
    }
}
