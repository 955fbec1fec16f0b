//! Scopes: what contains what, and which filtered scope covers which (hub contract §4.1–4.3).

use std::collections::BTreeSet;

use crate::model::{ServerKey, UserName};

/// Direct containment. `self` and `inherit` depend on the owner and are expanded by `policy`.
const CONTAINS: &[(&str, &[&str])] = &[
    ("admin:users", &["admin:auth_state", "users", "read:roles:users", "delete:users"]),
    ("users", &["read:users", "list:users", "users:activity"]),
    ("list:users", &["read:users:name"]),
    ("read:users", &["read:users:name", "read:users:groups", "read:users:activity"]),
    ("read:roles", &["read:roles:users", "read:roles:services", "read:roles:groups"]),
    ("users:activity", &["read:users:activity"]),
    ("admin:servers", &["admin:server_state", "servers"]),
    ("servers", &["read:servers", "start:servers", "delete:servers"]),
    ("read:servers", &["read:users:name"]),
    ("tokens", &["read:tokens"]),
    ("admin:groups", &["groups", "read:roles:groups", "delete:groups"]),
    ("groups", &["read:groups", "list:groups"]),
    ("list:groups", &["read:groups:name"]),
    ("read:groups", &["read:groups:name"]),
    ("admin:services", &["list:services", "read:services", "read:roles:services"]),
    ("list:services", &["read:services:name"]),
    ("read:services", &["read:services:name"]),
    ("users:shares", &["read:users:shares"]),
    ("groups:shares", &["read:groups:shares"]),
    ("shares", &["access:servers", "read:shares", "users:shares", "groups:shares"]),
];

/// What `self` stands for, with `!user=<me>`.
const OWN: &[&str] =
    &["read:users", "users:shares", "read:shares", "users:activity", "servers", "tokens", "access:servers"];

/// The role `admin` (contract §4.4).
const ADMIN: &[&str] = &[
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
    "shares",
];

/// Concrete scopes, sorted: no shorthand is left, and no filtered one beside the same unfiltered.
pub(super) type Scopes = BTreeSet<String>;

/// `access:servers!server=alice/`.
pub(super) fn access_to(server: &ServerKey) -> String {
    format!("access:servers!server={}", server.scope_name())
}

/// All that `user` may do: `self`, and the role `admin` for an administrator.
pub(super) fn of_user(user: &UserName, is_admin: bool) -> Scopes {
    let mut scopes = Scopes::new();
    for scope in OWN {
        add_expanded(&mut scopes, &format!("{scope}!user={user}"));
    }
    if is_admin {
        for scope in ADMIN {
            add_expanded(&mut scopes, scope);
        }
    }
    without_covered(scopes)
}

/// What a token with `raw` scopes may do when its owner may do `of_owner`. `server` is the one that an owner-relative
/// `!server` means.
pub(super) fn of_token(raw: &[String], owner: &UserName, of_owner: &Scopes, server: Option<&ServerKey>) -> Scopes {
    if raw.iter().any(|scope| scope == "inherit") {
        return of_owner.clone();
    }
    let mut wanted = Scopes::new();
    for scope in raw {
        match scope.as_str() {
            "self" => OWN.iter().for_each(|scope| add_expanded(&mut wanted, &format!("{scope}!user={owner}"))),
            scope => {
                if let Some(scope) = concrete(scope, owner, server) {
                    add_expanded(&mut wanted, &scope);
                }
            }
        }
    }
    // Every token may tell who its owner is.
    wanted.insert(format!("read:users:name!user={owner}"));
    wanted.insert(format!("read:users:groups!user={owner}"));
    without_covered(intersect(&wanted, of_owner))
}

/// `raw` with its owner-relative filter (`!user`, `!server`) filled in; None if there is nothing to fill in.
fn concrete(raw: &str, owner: &UserName, server: Option<&ServerKey>) -> Option<String> {
    match raw.split_once('!') {
        Some((name, "user")) => Some(format!("{name}!user={owner}")),
        Some((name, "server")) => server.map(|server| format!("{name}!server={}", server.scope_name())),
        Some((_, filter)) if !filter.contains('=') => None,
        _ => Some(raw.to_owned()),
    }
}

fn add_expanded(scopes: &mut Scopes, scope: &str) {
    if !scopes.insert(scope.to_owned()) {
        return;
    }
    let (name, filter) = scope.split_once('!').map_or((scope, None), |(name, filter)| (name, Some(filter)));
    let contained = CONTAINS.iter().find(|(container, _)| *container == name).map_or(&[][..], |(_, list)| list);
    for name in contained {
        match filter {
            // Who may see a server need not see its owner.
            Some(filter) if filter.starts_with("server=") && name.starts_with("read:user") => {}
            Some(filter) => add_expanded(scopes, &format!("{name}!{filter}")),
            None => add_expanded(scopes, name),
        }
    }
}

fn intersect(wanted: &Scopes, held: &Scopes) -> Scopes {
    let mut both = Scopes::new();
    for scope in wanted {
        if covers_any(held, scope) {
            both.insert(scope.clone());
            continue;
        }
        both.extend(held.iter().filter(|narrower| covers(scope, narrower)).cloned());
    }
    both
}

/// True if one of `held` covers `scope`.
pub(super) fn covers_any(held: &Scopes, scope: &str) -> bool {
    held.iter().any(|holder| covers(holder, scope))
}

/// True if who holds `holder` holds `scope`: same name, and the same or a wider filter.
fn covers(holder: &str, scope: &str) -> bool {
    if holder == scope {
        return true;
    }
    let (holder_name, holder_filter) = holder.split_once('!').unwrap_or((holder, ""));
    let (name, filter) = scope.split_once('!').unwrap_or((scope, ""));
    if holder_name != name {
        return false;
    }
    if holder_filter.is_empty() {
        return true;
    }
    let (Some(user), Some(server)) = (holder_filter.strip_prefix("user="), filter.strip_prefix("server=")) else {
        return false;
    };
    server.split_once('/').is_some_and(|(owner, _)| owner == user)
}

fn without_covered(scopes: Scopes) -> Scopes {
    scopes.iter().filter(|scope| !scopes.iter().any(|other| other != *scope && covers(other, scope))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::parse(text).expect("a name")
    }

    fn scopes(raw: &[&str], owner: &str, is_admin: bool) -> Vec<String> {
        let owner = name(owner);
        let raw: Vec<String> = raw.iter().map(|s| (*s).to_owned()).collect();
        let server = ServerKey::default_of(owner.clone());
        of_token(&raw, &owner, &of_user(&owner, is_admin), Some(&server)).into_iter().collect()
    }

    #[test]
    fn the_contracts_examples_come_out_word_for_word() {
        assert_eq!(
            scopes(&["access:servers!server=alice/"], "alice", false),
            ["access:servers!server=alice/", "read:users:groups!user=alice", "read:users:name!user=alice"]
        );
        assert_eq!(
            scopes(&["users:activity!user", "access:servers!server"], "alice", false),
            [
                "access:servers!server=alice/",
                "read:users:activity!user=alice",
                "read:users:groups!user=alice",
                "read:users:name!user=alice",
                "users:activity!user=alice"
            ]
        );
        assert_eq!(
            scopes(&["access:servers!server=alice/"], "root", true),
            ["access:servers!server=alice/", "read:users:groups", "read:users:name"]
                .map(|s| if s.starts_with("read") { format!("{s}!user=root") } else { s.to_owned() })
        );
    }

    #[test]
    fn a_token_has_no_more_than_its_owner() {
        assert!(!scopes(&["access:servers!server=bob/"], "alice", false).iter().any(|s| s.starts_with("access")));
        let narrowed = scopes(&["access:servers"], "alice", false);
        assert!(narrowed.contains(&"access:servers!user=alice".to_owned()), "{narrowed:?}");
        assert!(!narrowed.contains(&"access:servers".to_owned()));
        assert_eq!(
            scopes(&["inherit"], "alice", false),
            of_user(&name("alice"), false).into_iter().collect::<Vec<_>>()
        );
    }

    #[test]
    fn an_administrator_holds_the_role_unfiltered() {
        let held = of_user(&name("root"), true);
        for scope in ["admin:users", "access:servers", "start:servers", "read:users:name", "shutdown", "list:users"] {
            assert!(held.contains(scope), "{scope}");
        }
        assert!(!held.contains("access:servers!user=root"), "the unfiltered one says it all");
        assert!(!of_user(&name("alice"), false).iter().any(|scope| !scope.ends_with("!user=alice")));
    }

    #[test]
    fn a_user_covers_his_servers_and_no_namesakes() {
        assert!(covers("servers!user=al", "servers!server=al/x"));
        assert!(!covers("servers!user=al", "servers!server=alice/"));
        assert!(!covers("servers!server=al/", "servers!server=al/x"));
        assert!(!covers("servers!user=al", "servers"));
    }
}
