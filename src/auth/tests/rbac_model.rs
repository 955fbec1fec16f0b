//! What §4 of the contract says, as naively as it can be said: a right is a scope and one thing out of a small world.
//!
//! No filter is ever compared with a filter: each is written out as the things that it means, and two sets of rights
//! meet in the things that are in both. Shares no code with the real one.

use std::collections::{BTreeMap, BTreeSet};

/// The things of the small world. `all` stands for everything that there may be beside them.
pub(super) const USERS: [&str; 6] = ["root", "u0", "u1", "u2", "u3", "u4"];
pub(super) const SERVERS: [&str; 2] = ["", "x"];
pub(super) const GROUPS: [&str; 3] = ["g0", "g1", "g2"];
pub(super) const SERVICES: [&str; 2] = ["conf", "made"];

/// §4.1, as it stands there.
const CONTAINS: &str = "
admin:users > admin:auth_state users read:roles:users delete:users
users > read:users list:users users:activity
list:users > read:users:name
read:users > read:users:name read:users:groups read:users:activity
read:roles > read:roles:users read:roles:services read:roles:groups
users:activity > read:users:activity
admin:servers > admin:server_state servers
servers > read:servers start:servers delete:servers
read:servers > read:users:name
tokens > read:tokens
admin:groups > groups read:roles:groups delete:groups
groups > read:groups list:groups
list:groups > read:groups:name
read:groups > read:groups:name
admin:services > list:services read:services read:roles:services
list:services > read:services:name
read:services > read:services:name
users:shares > read:users:shares
groups:shares > read:groups:shares
shares > access:servers read:shares users:shares groups:shares
custom:app:write > custom:app:read
";

pub(super) const ADMIN: &str = "admin-ui admin:users admin:servers admin:services tokens admin:groups list:services \
     read:services read:hub proxy shutdown access:services access:servers read:roles read:metrics read:audit shares";

/// What somebody may do: by scope the things it reaches, one bit each (`all`, `user u0`, `server u0/x`, `group g0`,
/// `service conf`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RightSet(BTreeMap<String, u32>);

/// Its place in the small world.
fn bit(thing: &str) -> u32 {
    let place = |names: &[&str], name: &str| names.iter().position(|known| *known == name).expect("of the small world");
    let at = match thing.split_once(' ') {
        None => 0,
        Some(("user", user)) => 1 + place(&USERS, user),
        Some(("server", server)) => {
            let (user, server) = server.split_once('/').expect("user and server");
            7 + 2 * place(&USERS, user) + place(&SERVERS, server)
        }
        Some(("group", group)) => 19 + place(&GROUPS, group),
        Some((_, service)) => 22 + place(&SERVICES, service),
    };
    1 << at
}

impl RightSet {
    fn add(&mut self, scope: &str, things: u32) {
        if things != 0 {
            *self.0.entry(scope.to_owned()).or_default() |= things;
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        other.0.iter().for_each(|(scope, things)| self.add(scope, *things));
    }

    pub(super) fn has(&self, scope: &str, thing: &str) -> bool {
        self.0.get(scope).is_some_and(|things| things & bit(thing) != 0)
    }

    pub(super) fn has_any(&self, scope: &str) -> bool {
        self.0.contains_key(scope)
    }

    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|(scope, things)| other.0.get(scope).is_some_and(|others| things & !others == 0))
    }

    fn and(&self, other: &Self) -> Self {
        let mut both = Self::default();
        self.0.iter().for_each(|(scope, things)| both.add(scope, things & other.0.get(scope).unwrap_or(&0)));
        both
    }
}

impl FromIterator<RightSet> for RightSet {
    fn from_iter<T: IntoIterator<Item = Self>>(sets: T) -> Self {
        let mut all = Self::default();
        sets.into_iter().for_each(|set| all.extend(set));
        all
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) admin: bool,
    pub(super) authorised: bool,
}

#[derive(Clone, Debug)]
pub(super) struct RoleModel {
    pub(super) scopes: Vec<&'static str>,
    pub(super) users: BTreeSet<String>,
    pub(super) groups: BTreeSet<String>,
    pub(super) services: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(super) struct TokenModel {
    /// `user u0` or `service conf`
    pub(super) owner: String,
    pub(super) scopes: Vec<String>,
    /// `u0/x`
    pub(super) client: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) people: BTreeMap<String, Person>,
    pub(super) groups: BTreeMap<String, BTreeSet<String>>,
    pub(super) roles: BTreeMap<String, RoleModel>,
    /// By name: has the role `admin`.
    pub(super) services: BTreeMap<String, bool>,
    pub(super) tokens: BTreeMap<usize, TokenModel>,
    /// Server and `user u0` or `group g0`: names of scopes.
    pub(super) shares: BTreeMap<(String, String), BTreeSet<String>>,
}

fn contained(scope: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::from([scope.to_owned()]);
    for line in CONTAINS.lines() {
        if let Some((_, inner)) = line.split_once(" > ").filter(|(outer, _)| *outer == scope) {
            all.extend(inner.split(' ').flat_map(contained));
        }
    }
    all
}

pub(super) fn is_about_groups(scope: &str) -> bool {
    scope.contains("groups") && scope != "read:users:groups"
}

impl World {
    fn things_of_user(user: &str) -> u32 {
        SERVERS.iter().fold(bit(&format!("user {user}")), |all, server| all | bit(&format!("server {user}/{server}")))
    }

    /// What a concrete scope means, thing by thing.
    pub(super) fn means(&self, scope: &str) -> RightSet {
        let (name, filter) = scope.split_once('!').unwrap_or((scope, ""));
        let things = match filter.split_once('=') {
            None => u32::MAX,
            Some(("user", user)) => Self::things_of_user(user),
            Some(("group", group)) if !is_about_groups(name) => {
                let members = self.groups.get(group).into_iter().flatten();
                members.fold(bit(&format!("group {group}")), |all, user| all | Self::things_of_user(user))
            }
            Some((kind, name)) => bit(&format!("{kind} {name}")),
        };
        let mut rights = RightSet::default();
        rights.add(name, things);
        rights
    }

    /// A scope as written by somebody, for `owner`: expanded.
    fn expand(&self, scope: &str, owner: &str, client: Option<&str>) -> RightSet {
        let (kind, owner_name) = owner.split_once(' ').expect("kind and name");
        if scope == "inherit" {
            return RightSet::default();
        }
        if scope == "self" {
            if kind != "user" {
                return RightSet::default();
            }
            let own = "read:users users:shares read:shares users:activity servers tokens access:servers";
            return own.split(' ').map(|s| self.expand(&format!("{s}!user={owner_name}"), owner, client)).collect();
        }
        let (name, filter) = scope.split_once('!').map_or((scope, None), |(name, filter)| (name, Some(filter)));
        let filter = match filter {
            Some("user") if kind == "user" => Some(format!("user={owner_name}")),
            Some("service") if kind == "service" => Some(format!("service={owner_name}")),
            Some("server") if client.is_some() => client.map(|client| format!("server={client}")),
            Some("user" | "service" | "server") => return RightSet::default(),
            other => other.map(str::to_owned),
        };
        let mut rights = RightSet::default();
        for name in contained(name) {
            match &filter {
                None => rights.extend(self.means(&name)),
                Some(filter) if filter.starts_with("server=") && name.starts_with("read:user") => {}
                Some(filter) => rights.extend(self.means(&format!("{name}!{filter}"))),
            }
        }
        rights
    }

    /// §4.3: what an owner may do now.
    pub(super) fn of_owner(&self, owner: &str) -> RightSet {
        let (kind, name) = owner.split_once(' ').expect("kind and name");
        let mut scopes: Vec<String> = Vec::new();
        let mut add = |list: &str| scopes.extend(list.split_whitespace().map(str::to_owned));
        let mut groups = BTreeSet::new();
        if kind == "user" {
            let Some(person) = self.people.get(name).filter(|person| person.authorised) else {
                return RightSet::default();
            };
            add(&self.roles.get("user").map_or_else(|| "self".to_owned(), |role| role.scopes.join(" ")));
            if person.admin {
                add(ADMIN);
            }
            groups.extend(self.groups.iter().filter(|(_, users)| users.contains(name)).map(|(group, _)| group.clone()));
        } else if *self.services.get(name).unwrap_or(&false) {
            add(ADMIN);
        }
        for role in self.roles.values() {
            let members = if kind == "user" { &role.users } else { &role.services };
            if members.contains(name) || role.groups.iter().any(|group| groups.contains(group)) {
                add(&role.scopes.join(" "));
            }
        }
        for ((server, with), shared) in &self.shares {
            if with == owner || with.strip_prefix("group ").is_some_and(|group| groups.contains(group)) {
                shared.iter().for_each(|scope| add(&format!("{scope}!server={server}")));
            }
        }
        scopes.iter().map(|scope| self.expand(scope, owner, None)).collect()
    }

    /// §4.3: what a token may do now.
    pub(super) fn of_token(&self, token: &TokenModel) -> RightSet {
        let of_owner = self.of_owner(&token.owner);
        if token.scopes.iter().any(|scope| scope == "inherit") {
            return of_owner;
        }
        let mut wanted = self.asked(&token.scopes, &token.owner, token.client.as_deref());
        match token.owner.split_once(' ') {
            Some(("user", user)) => {
                wanted.extend(self.means(&format!("read:users:name!user={user}")));
                wanted.extend(self.means(&format!("read:users:groups!user={user}")));
            }
            Some((_, service)) => wanted.extend(self.means(&format!("read:services:name!service={service}"))),
            None => {}
        }
        if let Some(server) = &token.client {
            wanted.extend(self.means(&format!("access:servers!server={server}")));
        }
        wanted.and(&of_owner)
    }

    pub(super) fn asked(&self, scopes: &[String], owner: &str, client: Option<&str>) -> RightSet {
        scopes.iter().map(|scope| self.expand(scope, owner, client)).collect()
    }

    pub(super) fn remove_user(&mut self, user: &str) {
        self.people.remove(user);
        self.groups.values_mut().for_each(|users| {
            users.remove(user);
        });
        self.roles.values_mut().for_each(|role| {
            role.users.remove(user);
        });
        self.end_tokens_of(user);
        let is_theirs = |server: &str| server.split('/').next() == Some(user);
        self.tokens.retain(|_, token| !token.client.as_deref().is_some_and(is_theirs));
        self.shares.retain(|(server, with), _| !is_theirs(server) && *with != format!("user {user}"));
    }

    pub(super) fn end_tokens_of(&mut self, user: &str) {
        self.tokens.retain(|_, token| token.owner != format!("user {user}"));
    }

    pub(super) fn remove_group(&mut self, group: &str) {
        self.groups.remove(group);
        self.roles.values_mut().for_each(|role| {
            role.groups.remove(group);
        });
        self.shares.retain(|(_, with), _| *with != format!("group {group}"));
    }

    pub(super) fn rename(&mut self, old: &str, new: &str) {
        let to_new = |users: &mut BTreeSet<String>| {
            if users.remove(old) {
                users.insert(new.to_owned());
            }
        };
        if let Some(person) = self.people.remove(old) {
            self.people.insert(new.to_owned(), person);
        }
        self.groups.values_mut().for_each(to_new);
        self.roles.values_mut().for_each(|role| to_new(&mut role.users));
        let is_theirs = |server: &str| server.split('/').next() == Some(old);
        self.tokens.retain(|_, token| !token.client.as_deref().is_some_and(is_theirs));
        for token in self.tokens.values_mut().filter(|token| token.owner == format!("user {old}")) {
            token.owner = format!("user {new}");
        }
        let shares = std::mem::take(&mut self.shares);
        self.shares = shares
            .into_iter()
            .map(|((server, with), scopes)| {
                let server = if is_theirs(&server) { server.replacen(old, new, 1) } else { server };
                let with = if with == format!("user {old}") { format!("user {new}") } else { with };
                ((server, with), scopes)
            })
            .collect();
    }
}
