//! From scopes as written to what somebody may do now: expansion, and what is left of a token's scopes beside its
//! owner's (hub contract §4.1–4.3).

use super::directory::{Directory, Snapshot};
use super::rights::{Held, Reach, Rights};
use super::rules::Rules;
use super::{Service, User};
use crate::model::{Filter, OAuthClient, OwnerName, Scope, ServerKey, ServiceName, ShareWith, UserName};

/// What `self` stands for, with `!user=<me>`.
const OWN: [&str; 7] =
    ["read:users", "users:shares", "read:shares", "users:activity", "servers", "tokens", "access:servers"];

/// What the owner-relative filters mean, and what groups there are.
struct Expansion<'a> {
    rules: &'a Rules,
    snapshot: &'a Snapshot,
    user: Option<&'a UserName>,
    service: Option<&'a ServiceName>,
    server: Option<&'a ServerKey>,
}

impl Expansion<'_> {
    fn add_all<'s>(&self, held: &mut Held, scopes: impl IntoIterator<Item = &'s Scope>) {
        scopes.into_iter().for_each(|scope| self.add(held, scope));
    }

    fn add(&self, held: &mut Held, scope: &Scope) {
        if scope.is_inherit() {
            return;
        }
        if scope.is_self() {
            let Some(user) = self.user else { return };
            for name in OWN {
                self.add(held, &Scope::known(name).with(Filter::User(user.clone())));
            }
            return;
        }
        let Some(reach) = self.reach(&scope.filter) else { return };
        for name in self.rules.expanded(&scope.name) {
            // Who may do something with a server need not see its owner.
            let is_dropped = !reach.servers.is_empty() && name.as_str().starts_with("read:user");
            if !is_dropped {
                held.add(&name, &reach);
            }
        }
    }

    /// The filter with what it is relative to filled in; None if there is nothing to fill in.
    fn reach(&self, filter: &Filter) -> Option<Reach> {
        let mut reach = Reach::default();
        match filter {
            Filter::None => reach.all = true,
            Filter::OwnUser => drop(reach.users.insert(self.user?.clone())),
            Filter::OwnServer => drop(reach.servers.insert(self.server?.clone())),
            Filter::OwnService => drop(reach.services.insert(self.service?.clone())),
            Filter::User(user) => drop(reach.users.insert(user.clone())),
            Filter::Server(server) => drop(reach.servers.insert(server.clone())),
            Filter::Group(group) => drop(reach.groups.insert(group.clone(), self.snapshot.members(group))),
            Filter::Service(service) => drop(reach.services.insert(service.clone())),
        }
        Some(reach)
    }
}

/// All that `user` may do.
pub(super) fn rights_of_user(user: &User, directory: &Directory) -> Rights {
    // Before all that it stands for: what changes meanwhile makes the outcome one to be worked out again.
    let epoch = directory.epoch();
    let snapshot = directory.now();
    if !user.is_authorised() {
        return Rights::new(Held::default(), false, epoch);
    }
    let rules = &*directory.rules.read();
    let expansion = Expansion { rules, snapshot: &snapshot, user: Some(&user.name), service: None, server: None };
    let mut held = Held::default();
    expansion.add_all(&mut held, rules.scopes_of(&rules.user));
    let is_administrator = user.is_admin();
    if is_administrator {
        expansion.add_all(&mut held, rules.scopes_of(&rules.admin));
    }
    let groups = snapshot.groups_of(&user.name);
    for role in snapshot.roles_of_user(&user.name).chain(snapshot.roles_of_groups(&groups)) {
        expansion.add_all(&mut held, rules.scopes_of(role));
    }
    let directly = ShareWith::User(user.name.clone());
    for share in snapshot.shares_with(&directly) {
        expansion.add_all(&mut held, &share.scopes);
    }
    for group in groups {
        let with = ShareWith::Group(group);
        for share in snapshot.shares_with(&with) {
            expansion.add_all(&mut held, &share.scopes);
        }
    }
    Rights::new(held, is_administrator, epoch)
}

/// All that `service` may do.
pub(super) fn rights_of_service(service: &Service, directory: &Directory) -> Rights {
    let epoch = directory.epoch();
    let snapshot = directory.now();
    if service.is_gone() {
        return Rights::new(Held::default(), false, epoch);
    }
    let rules = &*directory.rules.read();
    let expansion = Expansion { rules, snapshot: &snapshot, user: None, service: Some(&service.name), server: None };
    let mut held = Held::default();
    if service.admin {
        expansion.add_all(&mut held, rules.scopes_of(&rules.admin));
    }
    for role in snapshot.roles_of_service(&service.name) {
        expansion.add_all(&mut held, rules.scopes_of(role));
    }
    Rights::new(held, service.admin, epoch)
}

/// What a token with `raw` scopes may do when its owner may do `of_owner`. `client` is the server or service that it
/// was made for.
pub(super) fn rights_of_token(
    raw: &[Scope],
    owner: &OwnerName,
    client: Option<&OAuthClient>,
    of_owner: &Rights,
    directory: &Directory,
) -> Rights {
    let mut held = if raw.iter().any(Scope::is_inherit) {
        of_owner.held.clone()
    } else {
        wanted(raw, owner, client, directory).and(&of_owner.held)
    };
    // Servers know no groups: who may enter by one must be told so by the server's name.
    if let Some(OAuthClient::Server(server)) = client
        && of_owner.allows("access:servers", super::Target::Server(server))
    {
        let mut reach = Reach::default();
        reach.servers.insert(server.clone());
        held.add(&Scope::known("access:servers").name, &reach);
    }
    Rights::new(held, of_owner.is_administrator, of_owner.epoch)
}

/// True if `of_owner` holds `scope` itself for somebody or something; that they hold what it contains is not enough.
pub(super) fn holds_some_of(
    scope: &Scope,
    user: &UserName,
    client: &OAuthClient,
    of_owner: &Rights,
    directory: &Directory,
) -> bool {
    if scope.is_inherit() || scope.is_self() {
        return true;
    }
    let snapshot = directory.now();
    let (server, service) = match client {
        OAuthClient::Server(server) => (Some(server), None),
        OAuthClient::Service(service) => (None, Some(service)),
    };
    let expansion =
        Expansion { rules: &directory.rules.read(), snapshot: &snapshot, user: Some(user), service, server };
    let mut held = Held::default();
    expansion.add(&mut held, scope);
    held.and(&of_owner.held).0.contains_key(&scope.name)
}

/// What a token asks for, whatever its owner holds: its scopes, access to its client, and who its owner is.
fn wanted(raw: &[Scope], owner: &OwnerName, client: Option<&OAuthClient>, directory: &Directory) -> Held {
    let mut scopes = match owner {
        OwnerName::User(user) => ["read:users:name", "read:users:groups"]
            .map(|name| Scope::known(name).with(Filter::User(user.clone())))
            .to_vec(),
        OwnerName::Service { service } => {
            vec![Scope::known("read:services:name").with(Filter::Service(service.clone()))]
        }
    };
    match client {
        Some(OAuthClient::Server(server)) => scopes.push(Scope::access_to_server(server)),
        Some(OAuthClient::Service(service)) => scopes.push(Scope::access_to_service(service)),
        None => {}
    }
    scopes.extend_from_slice(raw);
    expanded(&scopes, owner, client, directory)
}

/// What the scopes of a token that is asked for amount to; `inherit` and `self` of a service to nothing.
pub(super) fn asked(raw: &[Scope], owner: &OwnerName, directory: &Directory) -> Held {
    expanded(raw, owner, None, directory)
}

fn expanded(raw: &[Scope], owner: &OwnerName, client: Option<&OAuthClient>, directory: &Directory) -> Held {
    let snapshot = directory.now();
    let (server, of_client) = match client {
        Some(OAuthClient::Server(server)) => (Some(server), None),
        Some(OAuthClient::Service(service)) => (None, Some(service)),
        None => (None, None),
    };
    let service = of_client.or(owner.service());
    let expansion =
        Expansion { rules: &directory.rules.read(), snapshot: &snapshot, user: owner.user(), service, server };
    let mut held = Held::default();
    expansion.add_all(&mut held, raw);
    held
}

#[cfg(test)]
mod tests;
