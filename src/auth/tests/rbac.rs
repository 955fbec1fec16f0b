//! Random sequences of changes to users, groups, roles, tokens, shares and services, against the naive model.

use std::collections::{BTreeMap, BTreeSet};

use super::rbac_model::{self as naive, GROUPS, Person, RightSet, RoleModel, SERVERS, SERVICES, TokenModel, USERS};
use super::*;
use crate::model::{GroupName, OwnerName, Scope, ServiceConfig, ServiceName, ShareWith};

/// Runs and their length: 12,000 steps. More by hand with `SLIPWAY_RBAC_RUNS`.
const RUNS: u64 = 24;
const STEPS: usize = 500;
/// Tokens that a run keeps, so that old ones are asked about too.
const TOKENS: usize = 12;

const SCOPES: [&str; 22] = [
    "inherit",
    "self",
    "access:servers",
    "access:servers!user",
    "access:servers!server",
    "servers!user=u1",
    "servers!server=u2/x",
    "read:users!group=g0",
    "access:servers!group=g1",
    "tokens!group=g2",
    "tokens!user=u3",
    "list:users",
    "read:users!user",
    "admin:groups!group=g0",
    "list:groups!group=g1",
    "access:services!service",
    "access:services!service=conf",
    "access:services",
    "shares!user",
    "custom:app:write",
    "custom:app:read!user",
    "admin:users",
];
const SHARED: [&str; 4] = ["access:servers", "read:servers", "servers", "tokens"];
/// Asked about in every step.
const ASKED: [&str; 22] = [
    "access:servers",
    "access:services",
    "start:servers",
    "read:servers",
    "delete:servers",
    "read:users",
    "read:users:name",
    "read:users:groups",
    "list:users",
    "users:activity",
    "admin:users",
    "tokens",
    "read:tokens",
    "groups",
    "list:groups",
    "read:groups:name",
    "shares",
    "read:shares",
    "users:shares",
    "read:roles:users",
    "custom:app:read",
    "custom:app:write",
];

/// xorshift: the same numbers for the same seed, everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
    fn some(&mut self, of: &[&str], limit: usize) -> Vec<String> {
        (0..self.below(limit + 1)).map(|_| self.pick(of).to_owned()).collect()
    }
}

/// Somebody who can be changed: the administrator `root` stays what he is.
fn person(dice: &mut Dice) -> &'static str {
    dice.pick(&USERS[1..])
}

/// Roles as the configuration may have them; another at each restart.
fn configured_roles(variant: usize) -> BTreeMap<String, RoleModel> {
    let role = |scopes: &[&'static str], users: &[&str], groups: &[&str], services: &[&str]| {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        RoleModel { scopes: scopes.to_vec(), users: set(users), groups: set(groups), services: set(services) }
    };
    let roles = match variant {
        0 => vec![],
        1 => vec![
            ("teach", role(&["access:servers!group=g1", "list:users!group=g1"], &["u1"], &["g0"], &[])),
            ("serve", role(&["list:users", "servers!user=u2", "access:services!service"], &[], &[], &["conf"])),
        ],
        2 => vec![
            ("user", role(&["self", "access:services!service=conf", "custom:app:write!user"], &[], &[], &[])),
            ("mint", role(&["tokens", "read:users:name", "admin:groups!group=g2"], &["u2"], &["g1", "g2"], &["conf"])),
        ],
        _ => vec![
            ("user", role(&["read:users!user", "access:servers!user"], &[], &[], &[])),
            ("wide", role(&["admin:users", "shares", "groups"], &["u3"], &["g2"], &[])),
        ],
    };
    roles.into_iter().map(|(name, role)| (name.to_owned(), role)).collect()
}

fn set_config(config: &mut Config, variant: usize) {
    config.admins = vec![name("u0")];
    config.roles = configured_roles(variant)
        .into_iter()
        .map(|(name, role)| RoleConfig {
            name: crate::model::RoleName::parse(&name).expect("a role's name"),
            description: String::new(),
            scopes: role.scopes.iter().map(|scope| scope.parse().expect("a scope")).collect(),
            users: role.users.iter().map(|user| super::name(user)).collect(),
            services: role.services.iter().map(|name| service(name)).collect(),
            groups: role.groups.iter().map(|name| group(name)).collect(),
        })
        .collect();
    let custom = |name: &str, inner: &[&str]| CustomScopeConfig {
        name: name.into(),
        description: "a test's".into(),
        subscopes: inner.iter().map(ToString::to_string).collect(),
    };
    config.custom_scopes = vec![custom("custom:app:write", &["custom:app:read"]), custom("custom:app:read", &[])];
    config.services = vec![ServiceConfig {
        api_token: Some(secret("the-configured-token")),
        url: Some("http://127.0.0.1:1".into()),
        ..ServiceConfig::named(service("conf"))
    }];
}

fn group(text: &str) -> GroupName {
    GroupName::parse(text).expect("a name")
}

fn service(text: &str) -> ServiceName {
    ServiceName::parse(text).expect("a name")
}

fn server(text: &str) -> ServerKey {
    let (user, server) = text.split_once('/').expect("user and server");
    ServerKey { user: name(user), name: ServerName::parse(server).expect("a name") }
}

fn owner_name(text: &str) -> OwnerName {
    match text.split_once(' ').expect("kind and name") {
        ("user", user) => name(user).into(),
        (_, name) => service(name).into(),
    }
}

fn with_of(text: &str) -> ShareWith {
    match text.split_once(' ').expect("kind and name") {
        ("user", user) => ShareWith::User(name(user)),
        (_, name) => ShareWith::Group(group(name)),
    }
}

struct Run {
    world: World,
    model: naive::World,
    dice: Dice,
    /// Token secrets by the model's number.
    secrets: Vec<Secret>,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let dir = memory_folder();
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        set_config(&mut config, 0);
        let clock = Arc::new(ManualClock(AtomicI64::new(1_800_000_000_000)));
        let auth = load(&config, &clock).await;
        let mut model = naive::World::default();
        auth.add_user("test", "root", None, true).await.expect("a new user");
        model.people.insert("root".into(), Person { admin: true, authorised: true });
        model.services.insert("conf".into(), false);
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut run = Self { world: World { dir, clock, config, auth }, model, dice, secrets: Vec::new() };
        run.secrets.push(secret("the-configured-token"));
        run.model
            .tokens
            .insert(0, TokenModel { owner: "service conf".into(), scopes: vec!["inherit".into()], client: None });
        run
    }

    fn keep(&mut self, secret: Secret, owner: String, scopes: Vec<String>, client: Option<String>) {
        self.model.tokens.insert(self.secrets.len(), TokenModel { owner, scopes, client });
        self.secrets.push(secret);
    }

    /// Does one thing to both, and says what.
    async fn step(mut self) -> (Self, String) {
        let auth = self.world.auth.clone();
        let act = self.dice.below(100);
        let who = person(&mut self.dice);
        let what = match act {
            0..8 => self.add_user(&auth, who).await,
            8..11 => self.delete_user(&auth, who).await,
            11..16 => self.set_admin(&auth, who).await,
            16..22 => self.authorise(&auth, who).await,
            22..25 => self.rename(&auth, who).await,
            25..32 => self.make_group(&auth).await,
            32..34 => self.delete_group(&auth).await,
            34..48 => self.change_group(&auth).await,
            48..66 => self.make_token(&auth).await,
            66..70 => self.end_token(&auth).await,
            70..76 => self.issue(&auth, who).await,
            76..90 => self.share(&auth, who).await,
            90..95 => self.change_service(&auth).await,
            95..98 => self.make_users(&auth).await,
            _ => return self.restart(auth).await,
        };
        (self, what)
    }

    async fn add_user(&mut self, auth: &Auth, who: &str) -> String {
        let admin = self.dice.below(4) == 0;
        let result = auth.add_user("t", who, None, admin).await;
        assert_eq!(result.is_ok(), !self.model.people.contains_key(who), "{result:?}");
        let admin = admin || who == "u0";
        self.model.people.entry(who.to_owned()).or_insert(Person { admin, authorised: true });
        format!("add {who}, admin: {admin}")
    }

    async fn make_users(&mut self, auth: &Auth) -> String {
        let names = self.dice.some(&USERS, 3);
        let made = auth.create_users("t", &names.iter().map(|n| name(n)).collect::<Vec<_>>(), false).await;
        let made = made.expect("stored").created;
        let new: BTreeSet<_> = names.iter().filter(|n| !self.model.people.contains_key(*n)).cloned().collect();
        assert_eq!(made.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), new);
        for user in new {
            let admin = user == "u0";
            self.model.people.insert(user, Person { admin, authorised: true });
        }
        format!("make {names:?}")
    }

    async fn delete_user(&mut self, auth: &Auth, who: &str) -> String {
        let result = auth.delete_user("t", &name(who)).await;
        assert_eq!(result.is_ok(), self.model.people.contains_key(who), "{result:?}");
        if result.is_ok() {
            self.model.remove_user(who);
        }
        format!("delete {who}")
    }

    async fn set_admin(&mut self, auth: &Auth, who: &str) -> String {
        let admin = self.dice.coin();
        let change = UserChange { admin: Some(admin), name: None };
        let result = auth.update_user("t", &name(who), change).await;
        assert_eq!(result.is_ok(), self.model.people.contains_key(who), "{result:?}");
        if let Some(person) = self.model.people.get_mut(who) {
            person.admin = admin;
        }
        format!("{who} admin: {admin}")
    }

    async fn authorise(&mut self, auth: &Auth, who: &str) -> String {
        let authorised = self.dice.below(3) != 0;
        let result = auth.authorise("t", &name(who), authorised).await;
        assert_eq!(result.is_ok(), self.model.people.contains_key(who), "{result:?}");
        if let Some(person) = self.model.people.get_mut(who) {
            person.admin |= authorised && !person.authorised && who == "u0";
            person.authorised = authorised;
            if !authorised {
                self.model.end_tokens_of(who);
            }
        }
        format!("authorise {who}: {authorised}")
    }

    async fn rename(&mut self, auth: &Auth, who: &str) -> String {
        let new = person(&mut self.dice);
        let change = UserChange { name: Some(name(new)), admin: None };
        let result = auth.update_user("t", &name(who), change).await;
        let may = self.model.people.contains_key(who) && (new == who || !self.model.people.contains_key(new));
        assert_eq!(result.is_ok(), may, "{result:?}");
        if may && new != who {
            self.model.rename(who, new);
        }
        format!("rename {who} to {new}")
    }

    async fn make_group(&mut self, auth: &Auth) -> String {
        let (which, users) = (self.dice.pick(&GROUPS), self.dice.some(&USERS, 3));
        let names: Vec<_> = users.iter().map(|user| name(user)).collect();
        let result = auth.create_groups("t", &[group(which)], &names).await;
        let are_there = users.iter().all(|user| self.model.people.contains_key(user));
        let may = are_there && !self.model.groups.contains_key(which);
        assert_eq!(result.is_ok(), may, "{result:?}");
        if may {
            self.model.groups.insert(which.to_owned(), users.iter().cloned().collect());
        }
        format!("make {which} of {users:?}")
    }

    async fn delete_group(&mut self, auth: &Auth) -> String {
        let which = self.dice.pick(&GROUPS);
        let result = auth.delete_group("t", &group(which)).await;
        assert_eq!(result.is_ok(), self.model.groups.contains_key(which), "{result:?}");
        self.model.remove_group(which);
        format!("delete {which}")
    }

    async fn change_group(&mut self, auth: &Auth) -> String {
        let (which, users, adds) = (self.dice.pick(&GROUPS), self.dice.some(&USERS, 2), self.dice.coin());
        let names: Vec<_> = users.iter().map(|user| name(user)).collect();
        let result = match adds {
            true => auth.add_to_group("t", &group(which), &names).await,
            false => auth.remove_from_group("t", &group(which), &names).await,
        };
        let are_there = users.iter().all(|user| self.model.people.contains_key(user));
        assert_eq!(result.is_ok(), are_there && self.model.groups.contains_key(which), "{result:?}");
        if let Some(members) = self.model.groups.get_mut(which).filter(|_| are_there) {
            for user in &users {
                if adds {
                    members.insert(user.clone())
                } else {
                    members.remove(user)
                };
            }
        }
        format!("{} {users:?} in {which}", if adds { "put" } else { "drop" })
    }

    fn some_owner(&mut self) -> String {
        match self.dice.below(5) {
            0 => format!("service {}", self.dice.pick(&SERVICES)),
            _ => format!("user {}", self.dice.pick(&USERS)),
        }
    }

    async fn make_token(&mut self, auth: &Auth) -> String {
        let owner = self.some_owner();
        let by = if self.dice.coin() { owner.clone() } else { format!("user {}", self.dice.pick(&USERS)) };
        let scopes = self.dice.some(&SCOPES, 3);
        let rights = self.world.auth.0.owner(&owner_name(&by)).map(|by| by.rights()).unwrap_or_default();
        let parsed: Vec<Scope> = scopes.iter().map(|scope| scope.parse().expect("a scope")).collect();
        let new = NewToken {
            scopes: Some(parsed),
            note: String::new(),
            expires_in: None,
            by: Asker::Caller(owner_name(&by), rights),
        };
        let result = auth.create_token("test", &owner_name(&owner), new).await;
        let (kind, owner_text) = owner.split_once(' ').expect("kind and name");
        let held = self.model.of_owner(&owner);
        let of_by = self.model.of_owner(&by);
        let is_there = match kind {
            "user" => self.model.people.get(owner_text).is_some_and(|person| person.authorised),
            _ => self.model.services.contains_key(owner_text),
        };
        let is_admin = by
            .strip_prefix("user ")
            .is_some_and(|by| self.model.people.get(by).is_some_and(|person| person.admin && person.authorised))
            || by.strip_prefix("service ").is_some_and(|by| self.model.services.get(by) == Some(&true));
        let may_act = match kind {
            "user" => of_by.has("tokens", &owner),
            _ => is_admin,
        };
        let asked = self.model.asked(&scopes, &owner, None);
        let given = if scopes.iter().any(|scope| scope == "inherit") { &held } else { &asked };
        let is_of_admin = match kind {
            "user" => self.model.people.get(owner_text).is_some_and(|person| person.admin && person.authorised),
            _ => self.model.services.get(owner_text) == Some(&true),
        };
        let may_give = (by != owner && !is_of_admin) || given.is_within(&of_by);
        let may = is_there && may_act && asked.is_within(&held) && may_give;
        assert_eq!(result.is_ok(), may, "{by} makes a token of {owner} with {scopes:?}: {result:?}");
        let text = format!("{by} makes a token of {owner} with {scopes:?}");
        if let Ok((secret, _)) = result {
            self.keep(secret, owner, scopes, None);
        }
        text
    }

    async fn end_token(&mut self, auth: &Auth) -> String {
        let alive: Vec<_> = self.model.tokens.keys().copied().filter(|number| *number != 0).collect();
        let Some(number) = alive.get(self.dice.below(alive.len().max(1))) else { return "nothing".into() };
        let token = auth.token_of(self.secrets[*number].expose()).expect("the model says that it lives");
        auth.revoke_token("t", token.id.expect("it is stored")).await.expect("stored");
        // Of an OAuth client's tokens all of the same owner go.
        let gone = self.model.tokens[number].clone();
        self.model.tokens.retain(|other, token| {
            let is_sibling = gone.client.is_some() && !is_server_token(&gone) && !is_server_token(token);
            other != number && !(is_sibling && token.client == gone.client && token.owner == gone.owner)
        });
        format!("revoke token {number}")
    }

    /// A token for a server itself, or for its visitor.
    async fn issue(&mut self, auth: &Auth, who: &str) -> String {
        let key = format!("{}/{}", person(&mut self.dice), self.dice.pick(&SERVERS));
        if self.dice.coin() {
            let result = auth.issue_server_token(&server(&key)).await;
            let owner = key.split('/').next().expect("a user").to_owned();
            let is_there = self.model.people.get(&owner).is_some_and(|person| person.authorised);
            assert_eq!(result.is_ok(), is_there, "{result:?}");
            if let Ok(secret) = result {
                self.model.tokens.retain(|_, token| token.client.as_ref() != Some(&key));
                let scopes = SERVER_SCOPES.map(str::to_owned).to_vec();
                self.keep(secret, format!("user {owner}"), scopes, Some(key.clone()));
            }
            return format!("server token of {key}");
        }
        let scopes = self.dice.some(&SCOPES, 2);
        let result = auth.issue_oauth_token(&name(who), &server(&key).into(), scopes.clone(), None).await;
        let is_there = self.model.people.get(who).is_some_and(|person| person.authorised);
        assert_eq!(result.is_ok(), is_there, "{result:?}");
        if let Ok((secret, _)) = result {
            self.keep(secret, format!("user {who}"), scopes.clone(), Some(key.clone()));
        }
        format!("{who} visits {key} with {scopes:?}")
    }

    async fn share(&mut self, auth: &Auth, who: &str) -> String {
        let key = format!("{who}/{}", self.dice.pick(&SERVERS));
        let with = match self.dice.coin() {
            true => format!("user {}", self.dice.pick(&USERS)),
            false => format!("group {}", self.dice.pick(&GROUPS)),
        };
        if self.dice.below(4) == 0 {
            auth.unshare("t", &server(&key), &with_of(&with), None).await.expect("stored");
            self.model.shares.remove(&(key.clone(), with.clone()));
            return format!("unshare {key} with {with}");
        }
        let scope = self.dice.pick(&SHARED);
        let by = auth.user(&name(who)).map(|user| user.rights()).unwrap_or_default();
        let scopes = vec![scope.parse().expect("a scope")];
        let has_it = self.model.of_owner(&format!("user {who}")).has(scope, &format!("server {key}"));
        let is_there = match with.split_once(' ') {
            Some(("user", user)) => self.model.people.contains_key(user),
            Some((_, group)) => self.model.groups.contains_key(group),
            None => false,
        };
        let may_make = has_it && self.model.people.contains_key(who);
        let done = if with.starts_with("user") && self.dice.coin() {
            let code = auth.create_share_code("t", &server(&key), scopes, None, by).await;
            assert_eq!(code.is_ok(), may_make, "{code:?}");
            match code {
                Ok((code, _)) => {
                    let user = name(with.trim_start_matches("user "));
                    let exchanged = auth.exchange_share_code(user.as_str(), &user, &code).await;
                    auth.delete_share_codes("t", &server(&key), WhichCodes::Code(code)).await.expect("it is there");
                    exchanged.is_ok()
                }
                Err(_) => false,
            }
        } else {
            auth.share("t", &server(&key), &with_of(&with), scopes, by).await.is_ok()
        };
        assert_eq!(done, may_make && is_there, "share {scope} of {key} with {with}");
        if done {
            self.model.shares.entry((key.clone(), with.clone())).or_default().insert(scope.to_owned());
        }
        format!("share {scope} of {key} with {with}")
    }

    async fn change_service(&mut self, auth: &Auth) -> String {
        if self.model.services.contains_key("made") {
            auth.delete_service("t", &service("made")).await.expect("stored");
            self.model.services.remove("made");
            self.model.tokens.retain(|_, token| token.owner != "service made");
            return "delete service".into();
        }
        let admin = self.dice.coin();
        let text = format!("made-token-{}", self.secrets.len());
        let config = ServiceConfig { admin, api_token: Some(secret(&text)), ..ServiceConfig::named(service("made")) };
        auth.create_service("t", config).await.expect("there is none");
        self.model.services.insert("made".into(), admin);
        self.keep(secret(&text), "service made".into(), vec!["inherit".into()], None);
        format!("make service, admin: {admin}")
    }

    async fn restart(mut self, auth: Auth) -> (Self, String) {
        drop(auth);
        let variant = self.dice.below(4);
        set_config(&mut self.world.config, variant);
        self.world = self.world.restart().await;
        let roles = configured_roles(variant);
        for role in roles.values() {
            for user in &role.users {
                self.model.people.entry(user.clone()).or_insert(Person { admin: false, authorised: true });
            }
            for group in &role.groups {
                self.model.groups.entry(group.clone()).or_default();
            }
        }
        self.model.roles = roles;
        if let Some(person) = self.model.people.get_mut("u0").filter(|person| person.authorised) {
            person.admin = true;
        }
        (self, format!("restart with roles {variant}"))
    }

    /// Asks both about some callers.
    fn compare(&mut self) {
        for _ in 0..2 {
            let owner = self.some_owner();
            let expected = self.model.of_owner(&owner);
            let real = self.world.auth.0.owner(&owner_name(&owner)).map(|owner| owner.rights()).unwrap_or_default();
            self.same(&real, &expected, &owner);
        }
        let newest = self.secrets.len().saturating_sub(TOKENS);
        let number = newest + self.dice.below(self.secrets.len() - newest);
        let token = self.world.auth.token_of(self.secrets[number].expose());
        let expected = self.model.tokens.get(&number);
        assert_eq!(token.is_some(), expected.is_some(), "token {number}");
        let (Some(token), Some(expected)) = (token, expected) else { return };
        let rights = self.model.of_token(expected);
        let described = format!("token {number}: {expected:?}");
        if let Some(client) = &expected.client {
            // Servers do not know groups: access is told by the server's name.
            let concrete = format!("access:servers!server={client}");
            let may = rights.has("access:servers", &format!("server {client}"));
            let scopes = token.rights().scopes().to_vec();
            let is_told = scopes.iter().any(|scope| *scope == concrete || scope == "access:servers");
            assert_eq!(is_told, may, "{described}: {scopes:?}");
        }
        self.same(&token.rights(), &rights, &described);
    }

    fn same(&mut self, real: &Rights, expected: &RightSet, who: &str) {
        let scopes = real.scopes();
        assert!(scopes.is_sorted(), "{who}: {scopes:?}");
        let told: RightSet = scopes.iter().map(|scope| self.model.means(scope)).collect();
        assert_eq!(&told, expected, "{who}: {scopes:?}");
        for _ in 0..6 {
            let scope = self.dice.pick(&ASKED);
            let (user, kind) = (self.dice.pick(&USERS), self.dice.below(5));
            let key = format!("{user}/{}", self.dice.pick(&SERVERS));
            let (which, of_service) = (self.dice.pick(&GROUPS), self.dice.pick(&SERVICES));
            let (user_name, server, group, of) = (name(user), server(&key), group(which), service(of_service));
            let (target, thing) = match kind {
                // Nobody asks whether a right over groups reaches a user.
                _ if naive::is_about_groups(scope) && kind != 0 => (Target::Group(&group), format!("group {which}")),
                0 => (Target::All, "all".to_owned()),
                1 => (Target::User(&user_name), format!("user {user}")),
                2 => (Target::Server(&server), format!("server {key}")),
                3 => (Target::Service(&of), format!("service {of_service}")),
                _ => (Target::Group(&group), format!("group {which}")),
            };
            let access = match (expected.has(scope, &thing), expected.has_any(scope)) {
                (true, _) => Access::Allowed,
                (false, true) => Access::Elsewhere,
                (false, false) => Access::Missing,
            };
            assert_eq!(real.check(&[scope], target), access, "{who}: {scope} for {target:?}");
        }
    }
}

const SERVER_SCOPES: [&str; 2] = ["users:activity!user", "access:servers!server"];

fn is_server_token(token: &TokenModel) -> bool {
    token.scopes == SERVER_SCOPES
}

#[test]
fn rights_are_what_the_naive_model_says_after_any_sequence_of_changes() {
    let runs = std::env::var("SLIPWAY_RBAC_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for seed in 1..=runs {
        let mut acts: Vec<String> = Vec::new();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                let mut run = Run::new(seed).await;
                for _ in 0..STEPS {
                    let (after, act) = run.step().await;
                    run = after;
                    acts.push(act);
                    run.compare();
                }
            });
        }));
        if let Err(panic) = outcome {
            let last = acts.iter().rev().take(12).rev().cloned().collect::<Vec<_>>().join("\n  ");
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("seed {seed}, step {}: {text}\nthe acts before:\n  {last}", acts.len());
        }
    }
}
