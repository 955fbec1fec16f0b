//! Roles, groups and custom scopes as the configuration has them, and what is wrong with that.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Config;
use super::effective::is_built_in;
use super::root::GRANT_ROOT;
use crate::model::{GrantsDraft, GroupName, RoleName, Scope, ScopeName, ServiceName, UserName};

/// One `[[roles]]` table (hub contract §4.5, `load_roles`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleConfig {
    /// Unique; `user`, `server` and `token` change the default roles of these names.
    pub name: RoleName,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// What it allows.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// Users who have it; made if missing.
    #[serde(default)]
    pub users: Vec<UserName>,
    /// Services that have it.
    #[serde(default)]
    pub services: Vec<ServiceName>,
    /// Groups whose members have it; made if missing.
    #[serde(default)]
    pub groups: Vec<GroupName>,
}

/// One `[[groups]]` table (`load_groups`): adds members, takes none away.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// Unique.
    pub name: GroupName,
    /// Members; made if missing.
    #[serde(default)]
    pub users: Vec<UserName>,
    /// Replaces the group's properties if given.
    #[serde(default)]
    pub properties: Option<serde_json::Map<String, serde_json::Value>>,
    /// Replaces the group's description if given.
    #[serde(default)]
    pub description: Option<String>,
    /// Replaces the group's priority if given: the higher one wins where groups say different things.
    #[serde(default)]
    pub priority: Option<i32>,
    /// Replaces what the group grants if given.
    #[serde(default)]
    pub grants: Option<GrantsDraft>,
}

/// One `[[custom_scopes]]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomScopeConfig {
    /// `custom:…`
    pub name: String,
    /// What it allows, for the page that asks people.
    pub description: String,
    /// Other custom scopes that it contains.
    #[serde(default)]
    pub subscopes: Vec<String>,
}

/// Something in the configuration that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMistake {
    /// The key: `roles`, `groups`, `services`, `custom_scopes`, `auth.extra_user_scopes`.
    pub key: &'static str,
    /// Which of its entries.
    pub entry: String,
    /// What is wrong, and the cure.
    pub problem: String,
}

/// What services' OAuth client ids begin with, so that none is taken for a server's.
pub(super) const SERVICE_CLIENT: &str = "service-";
/// Shortest and longest token that is given instead of made: JupyterHub's.
pub(super) const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

/// The rules that rights are worked out by. They stand from start to stop.
#[derive(Debug)]
pub(super) struct Rules {
    /// Roles of the configuration, with the default ones.
    pub(super) roles: BTreeMap<RoleName, Role>,
    /// Custom scopes with what they contain.
    custom: BTreeMap<ScopeName, CustomScope>,
    pub(super) user: RoleName,
    pub(super) admin: RoleName,
    pub(super) server: RoleName,
    pub(super) token: RoleName,
}

#[derive(Debug)]
struct CustomScope {
    description: String,
    contained: Vec<ScopeName>,
}

#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) scopes: Vec<Scope>,
}

impl Rules {
    pub(super) fn of(config: &Config) -> Self {
        let role = |name: &str| RoleName::parse(name).expect("the names of the default roles are role names");
        let [user, admin, server, token] = ["user", "admin", "server", "token"].map(role);
        let mut of_user = vec![Scope::known("self")];
        of_user.extend(config.extra_user_scopes.iter().cloned());
        let mut roles = BTreeMap::new();
        let mut put = |name: &RoleName, scopes: Vec<Scope>| roles.insert(name.clone(), Role { scopes });
        put(&user, of_user);
        put(&server, SERVER.iter().map(|scope| scope.parse().expect("sound")).collect());
        put(&token, vec![Scope::known("inherit")]);
        for role in &config.roles {
            put(&role.name, role.scopes.clone());
        }
        // Last: what an administrator may do cannot be changed.
        put(&admin, ADMIN.iter().map(|name| Scope::known(name)).collect());
        let mut custom = BTreeMap::new();
        for scope in &config.custom_scopes {
            let Ok(name) = scope.name.parse() else { continue };
            let contained = scope.subscopes.iter().filter_map(|scope| scope.parse().ok()).collect();
            custom.insert(name, CustomScope { description: scope.description.clone(), contained });
        }
        custom.entry(GRANT_ROOT.parse().expect("a custom scope's name")).or_insert_with(|| CustomScope {
            description: "Start servers that can become root on this host".to_owned(),
            contained: Vec::new(),
        });
        Self { roles, custom, user, admin, server, token }
    }

    pub(super) fn scopes_of(&self, role: &RoleName) -> &[Scope] {
        self.roles.get(role).map_or(&[], |role| &role.scopes)
    }

    /// True unless it is a custom scope that nobody has defined.
    pub(super) fn is_defined(&self, scope: &ScopeName) -> bool {
        !scope.is_custom() || self.custom.contains_key(scope)
    }

    pub(super) fn custom_description(&self, scope: &ScopeName) -> Option<&str> {
        self.custom.get(scope).map(|scope| scope.description.as_str())
    }

    /// `name` and all that it contains.
    pub(super) fn expanded(&self, name: &ScopeName) -> BTreeSet<ScopeName> {
        let mut all = BTreeSet::new();
        let mut open = vec![name.clone()];
        while let Some(name) = open.pop() {
            if !all.insert(name.clone()) {
                continue;
            }
            open.extend(self.custom.get(&name).into_iter().flat_map(|scope| &scope.contained).cloned());
            open.extend(name.contained());
        }
        all
    }
}

/// What a server's own token may do (contract §1.3).
const SERVER: [&str; 2] = ["users:activity!user", "access:servers!server"];

/// The role `admin` (contract §4.4), and what only we have.
const ADMIN: [&str; 17] = [
    "admin-ui",
    "admin:users",
    "admin:servers",
    "admin:services",
    "tokens",
    "admin:groups",
    "list:services",
    "read:services",
    "read:hub",
    "proxy",
    "shutdown",
    "access:services",
    "access:servers",
    "read:roles",
    "read:metrics",
    "read:audit",
    "shares",
];

impl Config {
    /// What of roles, groups, services and custom scopes cannot be; `slipway check` and the start tell it.
    #[must_use]
    pub fn mistakes(&self) -> Vec<RuleMistake> {
        let mut mistakes = Vec::new();
        let rules = Rules::of(self);
        self.check_custom_scopes(&mut mistakes);
        let mut say = |key, entry: String, problem: String| mistakes.push(RuleMistake { key, entry, problem });
        let undefined = |scopes: &[Scope]| {
            let scope = scopes.iter().find(|scope| !rules.is_defined(&scope.name))?;
            Some(format!("scope {:?} is not defined; define it under [[custom_scopes]]", scope.to_string()))
        };
        let mut names = BTreeSet::new();
        for role in &self.roles {
            let entry = role.name.to_string();
            if !names.insert(role.name.clone()) {
                say("roles", entry.clone(), "the name is given twice; put both into one table".into());
            }
            if role.name == rules.admin && !role.scopes.is_empty() {
                say("roles", entry.clone(), "the scopes of the role admin cannot be changed; leave scopes out".into());
            }
            if let Some(problem) = undefined(&role.scopes) {
                say("roles", entry.clone(), problem);
            }
            let services = self.services.iter().map(|service| &service.name).collect::<BTreeSet<_>>();
            if let Some(service) = role.services.iter().find(|name| !services.contains(name)) {
                let problem = format!("there is no service {service:?}; describe it under [[services]]");
                say("roles", entry, problem);
            }
        }
        if let Some(problem) = undefined(&self.extra_user_scopes) {
            say("auth.extra_user_scopes", String::new(), problem);
        }
        let mut names = BTreeSet::new();
        for group in &self.groups {
            if !names.insert(&group.name) {
                let problem = "the name is given twice; put both into one table".to_owned();
                say("groups", group.name.to_string(), problem);
            }
            let checked = group.grants.as_ref().map(|draft| draft.check(0, &self.grant_rules));
            for problem in checked.and_then(Result::err).unwrap_or_default() {
                say("groups", group.name.to_string(), format!("grants.{}: {}", problem.field, problem.message));
            }
            if is_built_in(&group.name) && (group.grants.is_some() || group.priority.is_some()) {
                let problem = "what this group grants is built in; leave grants and priority out".to_owned();
                say("groups", group.name.to_string(), problem);
            }
        }
        self.check_services(&mut mistakes, undefined);
        mistakes
    }

    fn check_services(&self, mistakes: &mut Vec<RuleMistake>, undefined: impl Fn(&[Scope]) -> Option<String>) {
        let mut say = |entry: &ServiceName, problem: String| {
            mistakes.push(RuleMistake { key: "services", entry: entry.to_string(), problem });
        };
        let (mut names, mut clients) = (BTreeSet::new(), BTreeSet::new());
        for service in &self.services {
            if !names.insert(&service.name) {
                say(&service.name, "the name is given twice; choose another for one of them".into());
            }
            if let Some(client) = &service.oauth_client_id
                && !client.starts_with(SERVICE_CLIENT)
            {
                let problem = format!("oauth_client_id {client:?} must begin with \"service-\"; leave the line out");
                say(&service.name, problem);
            }
            let client = super::service::client_id_of(service);
            if !clients.insert(client.clone()) {
                say(&service.name, format!("oauth_client_id {client:?} is another service's; choose another"));
            }
            if service.api_token.as_ref().is_some_and(|token| !TOKEN_BYTES.contains(&token.expose().len())) {
                say(&service.name, "api_token must have 8 to 64 characters; `openssl rand -hex 32` makes one".into());
            }
            let is_same = |other: &crate::model::ServiceConfig| {
                other.name != service.name && other.api_token == service.api_token
            };
            if service.api_token.is_some() && self.services.iter().any(is_same) {
                say(&service.name, "api_token is another service's too; make one for each".into());
            }
            if let Some(problem) = undefined(&service.oauth_client_allowed_scopes) {
                say(&service.name, problem);
            }
        }
    }

    fn check_custom_scopes(&self, mistakes: &mut Vec<RuleMistake>) {
        let mut say = |entry: &str, problem: String| {
            mistakes.push(RuleMistake { key: "custom_scopes", entry: entry.to_owned(), problem });
        };
        let mut names = BTreeSet::new();
        for scope in &self.custom_scopes {
            if !scope.name.parse::<ScopeName>().is_ok_and(|name| name.is_custom()) {
                let problem = "a custom scope is \"custom:\" and 3 or more lower-case letters, digits, '-', '_', ':' or '*'; it begins with a letter or digit and does not end with '-' or ':'";
                say(&scope.name, problem.into());
            }
            if !names.insert(&scope.name) {
                say(&scope.name, "the name is given twice; leave one out".into());
            }
        }
        for scope in &self.custom_scopes {
            if let Some(inner) = scope.subscopes.iter().find(|inner| !names.contains(inner)) {
                let problem = format!(
                    "subscope {inner:?} is no custom scope of this configuration; roles put other scopes together"
                );
                say(&scope.name, problem);
            }
        }
    }
}
