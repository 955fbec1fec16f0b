//! The contract's examples of expansion and intersection, word for word.

use std::sync::Arc;

use super::*;
use crate::auth::Config;
use crate::auth::directory::Group;
use crate::auth::rules::CustomScopeConfig;
use crate::model::{GroupName, Timestamp};
use crate::store::UserRow;

fn name(text: &str) -> UserName {
    UserName::parse(text).expect("a name")
}

fn directory() -> Arc<Directory> {
    let custom = |name: &str, subscopes: &[&str]| CustomScopeConfig {
        name: name.into(),
        description: String::new(),
        subscopes: subscopes.iter().map(ToString::to_string).collect(),
    };
    let config = Config {
        custom_scopes: vec![
            custom("custom:app:all", &["custom:app:read"]),
            custom("custom:app:read", &["custom:app:all"]),
        ],
        ..Config::default()
    };
    let directory = Directory::new(Rules::of(&config));
    directory.change(|snapshot| {
        let group = |users: &[&str]| Group { users: users.iter().map(|user| name(user)).collect(), ..Group::default() };
        snapshot.put_group(&GroupName::parse("g").expect("a name"), group(&["alice", "bob"]));
        snapshot.put_group(&GroupName::parse("h").expect("a name"), group(&["bob", "carol"]));
    });
    Arc::new(directory)
}

fn user(text: &str, admin: bool, directory: &Arc<Directory>) -> User {
    let row = UserRow { authorised: true, admin, ..UserRow::new(name(text), Timestamp(0)) };
    User::of(&row, directory)
}

/// What `raw` amounts to for somebody, whatever they hold.
fn expanded_for(owner: &str, raw: &[&str]) -> Held {
    let directory = directory();
    let scopes: Vec<_> = raw.iter().map(|scope| scope.parse().expect("a scope")).collect();
    expanded(&scopes, &OwnerName::User(name(owner)), None, &directory)
}

fn written(held: Held) -> Vec<String> {
    Rights::new(held, false, 0).scopes().to_vec()
}

fn token(raw: &[&str], owner: &str, is_admin: bool, client: Option<&str>) -> Vec<String> {
    let directory = directory();
    let raw: Vec<_> = raw.iter().map(|scope| scope.parse().expect("a scope")).collect();
    let client = client.map(|user| OAuthClient::Server(ServerKey::default_of(name(user))));
    let of_owner = user(owner, is_admin, &directory).rights();
    let owner = OwnerName::User(name(owner));
    rights_of_token(&raw, &owner, client.as_ref(), &of_owner, &directory).scopes().to_vec()
}

#[test]
fn the_contracts_examples_come_out_word_for_word() {
    assert_eq!(
        token(&["access:servers!server=alice/"], "alice", false, Some("alice")),
        ["access:servers!server=alice/", "read:users:groups!user=alice", "read:users:name!user=alice"]
    );
    assert_eq!(
        token(&["users:activity!user", "access:servers!server"], "alice", false, Some("alice")),
        [
            "access:servers!server=alice/",
            "read:users:activity!user=alice",
            "read:users:groups!user=alice",
            "read:users:name!user=alice",
            "users:activity!user=alice"
        ]
    );
    // An administrator who visits alice keeps his own name and gets that server.
    assert_eq!(
        token(&[], "root", true, Some("alice")),
        ["access:servers!server=alice/", "read:users:groups!user=root", "read:users:name!user=root"]
    );
}

#[test]
fn a_token_has_no_more_than_its_owner() {
    assert!(!token(&["access:servers!server=bob/"], "alice", false, None).iter().any(|s| s.starts_with("access")));
    assert!(!token(&[], "alice", false, Some("bob")).iter().any(|s| s.starts_with("access")));
    let narrowed = token(&["access:servers"], "alice", false, None);
    assert!(narrowed.contains(&"access:servers!user=alice".to_owned()), "{narrowed:?}");
    assert!(!narrowed.contains(&"access:servers".to_owned()));
    assert_eq!(token(&["inherit"], "alice", false, None), user("alice", false, &directory()).rights().scopes());
}

#[test]
fn an_administrator_holds_the_role_unfiltered() {
    let rights = user("root", true, &directory()).rights();
    for scope in ["admin:users", "access:servers", "start:servers", "read:users:name", "shutdown", "list:users"] {
        assert!(rights.scopes().iter().any(|held| held == scope), "{scope}");
    }
    assert!(!rights.scopes().iter().any(|s| s == "access:servers!user=root"), "the unfiltered one says it all");
    let alice = user("alice", false, &directory()).rights();
    assert!(alice.scopes().iter().all(|scope| scope.ends_with("!user=alice")), "{:?}", alice.scopes());
}

#[test]
fn who_may_do_something_with_a_server_need_not_see_its_owner() {
    let servers = ["delete:servers", "read:servers", "servers", "start:servers"].map(|s| format!("{s}!server=alice/x"));
    assert_eq!(written(expanded_for("bob", &["servers!server=alice/x"])), servers);
    assert!(written(expanded_for("bob", &["read:users!server=alice/x"])).is_empty());
    assert!(written(expanded_for("bob", &["read:users:name!server"])).is_empty(), "there is no server to mean");
}

#[test]
fn filters_that_overlap_meet_in_what_both_mean() {
    let meet = |one: &[&str], other: &[&str]| written(expanded_for("root", one).and(&expanded_for("root", other)));
    let check = |one, other, expected: &[&str]| {
        assert_eq!(meet(&[one], &[other]), expected, "{one} and {other}");
        assert_eq!(meet(&[other], &[one]), expected, "{other} and {one}");
    };
    check("tokens", "read:tokens!user=alice", &["read:tokens!user=alice"]);
    check("read:tokens!user=alice", "read:tokens!group=g", &["read:tokens!user=alice"]);
    check("read:tokens!user=carol", "read:tokens!group=g", &[]);
    check("access:servers!server=alice/x", "access:servers!group=g", &["access:servers!server=alice/x"]);
    check("access:servers!server=alice/x", "access:servers!user=alice", &["access:servers!server=alice/x"]);
    check("access:servers!server=alice/x", "access:servers!server=alice/", &[]);
    check("access:servers!group=g", "access:servers!group=g", &["access:servers!group=g"]);
    check("access:servers!group=g", "access:servers!group=h", &["access:servers!user=bob"]);
    check("read:groups:name!group=g", "read:groups:name!group=h", &[]);
    check("access:services!service=x", "access:services", &["access:services!service=x"]);
    check("read:hub", "read:metrics", &[]);
}

#[test]
fn custom_scopes_contain_what_was_said_even_in_a_ring() {
    let both = ["custom:app:all!user=alice", "custom:app:read!user=alice"];
    assert_eq!(written(expanded_for("alice", &["custom:app:read!user"])), both);
}

#[test]
fn a_filter_reaches_what_it_names_and_no_namesake() {
    let rights = Rights::new(expanded_for("x", &["servers!user=al", "tokens!server=al/", "groups!group=g"]), false, 0);
    let (al, alice) = (name("al"), name("alice"));
    let server = |user: &UserName| ServerKey::default_of(user.clone());
    use crate::auth::{Access, Target};
    assert!(rights.allows("start:servers", Target::Server(&server(&al))));
    assert_eq!(rights.check(&["start:servers"], Target::Server(&server(&alice))), Access::Elsewhere);
    assert_eq!(rights.check(&["start:servers"], Target::All), Access::Elsewhere);
    assert_eq!(rights.check(&["start:servers"], Target::Some), Access::Allowed);
    assert_eq!(rights.check(&["proxy"], Target::Some), Access::Missing);
    assert_eq!(rights.check(&["tokens"], Target::User(&al)), Access::Elsewhere, "a server is not its owner");
    assert!(rights.allows("tokens", Target::ServersOf(&al)) && !rights.allows("tokens", Target::ServersOf(&alice)));
    assert!(rights.allows("list:groups", Target::Group(&GroupName::parse("g").expect("a name"))));
    assert!(!rights.allows("list:groups", Target::Group(&GroupName::parse("h").expect("a name"))));
}
