//! What can be set about people: `auth.*` of the configuration.

use std::path::PathBuf;

use super::rules::{CustomScopeConfig, GroupConfig, RoleConfig};
use crate::model::{GrantRules, Scope, Secret, ServiceConfig, UserName};

/// Limits and rules of accounts, sign-in and sessions.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names whose owners are administrators. The first is the one that the setup window is for.
    pub admins: Vec<UserName>,
    /// Whether strangers may make an account (which then waits for an administrator).
    pub signup: bool,
    /// Whether the first administrator's sign-up needs the setup code. `false` is the old way: first come, first served.
    pub bootstrap_with_code: bool,
    /// First administrator's password from `SLIPWAY_ADMIN_PASSWORD`; ignored once there is an administrator.
    pub admin_password: Option<Secret>,
    /// Shortest new password, in characters. 8: the least that NIST SP 800-63B allows.
    pub password_length_min: usize,
    /// Words of a password that is made for somebody, 3 to 8. 4: 44 bits, and it fits on a note.
    pub mnemonic_words: usize,
    /// Password checks that run together; each takes a core for some 30 ms and 19 MiB. 2: never the whole machine.
    pub password_checks_at_once: usize,
    /// Password checks that wait. 256: some four seconds' worth on two cores; later ones are told to come back.
    pub password_queue_limit: usize,
    /// A session that was not used for so long ends. 24 h: a laptop lid closed overnight stays signed in.
    pub idle_timeout_s: u64,
    /// A session ends so long after sign-in, used or not. 14 days, as JupyterHub's cookie.
    pub absolute_timeout_s: u64,
    /// Sessions of one user; the oldest ends when another begins. 50: no person has more browsers.
    pub sessions_per_user: usize,
    /// Failed tries for one name from one address in `tries_window_s`.
    pub tries_per_name: u32,
    /// Failed tries from one address (IPv6: one /64) in `tries_window_s`. 100: a whole class behind one router.
    pub tries_per_address: u32,
    /// After so long a failed try is forgotten.
    pub tries_window_s: u64,
    /// Accounts that wait for an administrator, in all. 1,000: a stranger cannot fill the disk with sign-ups.
    pub waiting_users_limit: usize,
    /// Names that are let in no more: at each start they lose administration, roles and groups.
    pub blocked_users: Vec<UserName>,
    /// Roles beside the default ones, and changes to these.
    pub roles: Vec<RoleConfig>,
    /// Groups that there shall be, with members.
    pub groups: Vec<GroupConfig>,
    /// What no group may give: this installation needs it for itself.
    pub grant_rules: GrantRules,
    /// Services.
    pub services: Vec<ServiceConfig>,
    /// Scopes that only this installation knows.
    pub custom_scopes: Vec<CustomScopeConfig>,
    /// What every user may do beside `self`.
    pub extra_user_scopes: Vec<Scope>,
    /// Longest life of a token that is asked for; 0: none. One asked for without an end then ends after it.
    pub token_expires_in_max_s: u64,
    /// Where the setup code is kept: the store's folder.
    pub data_dir: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            admins: vec![UserName::parse("admin").expect("the word is a name")],
            signup: true,
            bootstrap_with_code: true,
            admin_password: None,
            password_length_min: 8,
            mnemonic_words: 4,
            password_checks_at_once: 2,
            password_queue_limit: 256,
            idle_timeout_s: 24 * 3600,
            absolute_timeout_s: 14 * 24 * 3600,
            sessions_per_user: 50,
            tries_per_name: 10,
            tries_per_address: 100,
            tries_window_s: 600,
            waiting_users_limit: 1000,
            blocked_users: Vec::new(),
            roles: Vec::new(),
            groups: Vec::new(),
            grant_rules: GrantRules::default(),
            services: Vec::new(),
            custom_scopes: Vec::new(),
            extra_user_scopes: Vec::new(),
            token_expires_in_max_s: 0,
            data_dir: PathBuf::from("data"),
        }
    }
}
