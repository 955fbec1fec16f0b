//! A second run: it changes nothing, brings nothing back, and gives nobody what is somebody else's.

use proptest::prelude::*;

use super::hub::{BCRYPT, Hub, in_container};
use super::moving::{Here, NOW, name};
use crate::model::{ServerKey, Timestamp, TokenId};
use crate::store::UserRow;
use crate::takeover::jupyterhub::{Table, Tally, report};

#[test]
fn an_account_that_is_here_is_newer_and_gets_nothing_of_the_others() {
    let hub = Hub::of_version(5).with_native();
    let alice = hub.user("alice", true);
    hub.login("alice", true, false);
    hub.token(alice, "0123456789abcdef0123456789abcdef", "", "[\"inherit\"]");
    hub.group("physics", &[alice]);
    hub.running(alice, "/user/alice/", &in_container());
    let here = Here::new();
    let ours = UserRow { authorised: true, ..UserRow::new(name("alice"), Timestamp(5)) };
    here.store.write(|t| t.put_user(&ours)).expect("a commit");
    let plan = here.take_over(&hub);
    assert_eq!(here.store.user(&name("alice")).expect("read"), Some(ours));
    assert!(here.store.tokens().expect("read").is_empty() && here.store.servers().expect("read").is_empty());
    assert!(here.store.volumes().expect("read").is_empty());
    assert!(here.store.groups().expect("read")[0].users.is_empty());
    let kept = Tally { kept: 1, ..Tally::default() };
    for table in [Table::Users, Table::UsersInfo, Table::ApiTokens, Table::Spawners, Table::UserGroupMap] {
        assert_eq!(plan.tallies[&table], kept, "{table:?}");
    }
    assert!(report(&plan).contains("kept: users \"alice\": an account of that name is here"));
}

#[test]
fn what_was_changed_or_ended_here_since_stays_so() {
    let hub = Hub::of_version(5).with_native();
    let (alice, bob) = (hub.user("alice", true), hub.user("bob", false));
    hub.login("alice", true, false);
    let token = hub.token(alice, "0123456789abcdef0123456789abcdef", "", "[\"inherit\"]");
    hub.group("physics", &[alice, bob]);
    hub.server(alice, "gpu", "{}");
    hub.running(bob, "/user/bob/", &in_container());
    let here = Here::new();
    here.take_over(&hub);
    let mut alices = here.store.user(&name("alice")).expect("read").expect("hers");
    assert_eq!(alices.password.as_deref(), Some(BCRYPT));
    // She has signed in, and is no administrator any more; the rest is over.
    (alices.password, alices.admin) = (Some("$argon2id$new".into()), false);
    let mut group = here.store.groups().expect("read").remove(0);
    group.users.remove(&name("alice"));
    let gpu = here.store.servers().expect("read").into_iter().find(|row| row.key.user == name("alice")).expect("hers");
    here.store
        .write(|t| {
            t.put_user(&alices)?;
            t.delete_token(TokenId(token.unsigned_abs()))?;
            t.put_group(&group)?;
            t.delete_server(&gpu.key)?;
            t.delete_user(&name("bob"))
        })
        .expect("a commit");
    let plan = here.take_over(&hub);
    assert!(plan.is_empty(), "{}", report(&plan));
    assert_eq!(here.store.users().expect("read"), [alices]);
    assert!(here.store.tokens().expect("read").is_empty() && here.store.servers().expect("read").is_empty());
    assert_eq!(here.store.groups().expect("read"), [group]);
    assert!(
        report(&plan).contains("kept: users \"bob\": it came in before, and has been deleted or renamed here since")
    );
}

#[test]
fn whoever_has_the_name_of_a_deleted_account_next_gets_nothing_of_it() {
    let hub = Hub::of_version(5);
    let bob = hub.user("bob", false);
    let here = Here::new();
    here.take_over(&hub);
    let next = UserRow { authorised: true, ..UserRow::new(name("bob"), Timestamp(77)) };
    here.store.write(|t| t.delete_user(&name("bob")).and_then(|()| t.put_user(&next))).expect("a commit");
    hub.token(bob, "0123456789abcdef0123456789abcdef", "", "[\"inherit\"]");
    hub.server(bob, "", "{\"a\": 1}");
    let plan = here.take_over(&hub);
    assert!(plan.is_empty() && here.store.tokens().expect("read").is_empty(), "{}", report(&plan));
}

#[test]
fn what_came_up_there_meanwhile_comes_in() {
    let hub = Hub::of_version(5);
    let alice = hub.user("alice", false);
    let group = hub.group("physics", &[alice]);
    let here = Here::new();
    here.take_over(&hub);
    let bob = hub.user("bob", false);
    hub.run("INSERT INTO user_group_map VALUES (?1, ?2)", &[&bob, &group]);
    hub.token(alice, "0123456789abcdef0123456789abcdef", "", "[\"inherit\"]");
    let plan = here.take_over(&hub);
    assert_eq!((plan.accounts.len(), plan.tokens.len(), plan.groups[0].users.len()), (1, 1, 2));
    assert!(here.plan(&hub).is_empty());
}

#[test]
fn a_container_that_ended_here_is_not_run_again() {
    let hub = Hub::of_version(5);
    hub.running(hub.user("alice", false), "/user/alice/", &in_container());
    let here = Here::new();
    here.take_over(&hub);
    let key = ServerKey::default_of(name("alice"));
    let stopped = here.store.write(|t| {
        let row = t.server(&key)?.expect("hers");
        t.put_server(&crate::store::ServerRow { wanted: false, handle: None, ..row })
    });
    stopped.expect("a commit");
    assert!(here.plan(&hub).is_empty());
}

/// A hub with rows of every sort that point to each other, or past each other.
fn fill(hub: &Hub, rows: &[(u8, u8, u8, bool)]) {
    let names = ["alice", "Alice", "bob", "a/b", "carol", "dave", ".", "eve"];
    for (number, (kind, a, b, flag)) in rows.iter().enumerate() {
        let (user, other, name) = (i64::from(a % 9), i64::from(b % 9), names[usize::from(*a) % names.len()]);
        // What may be there once only and is there already does not come a second time.
        let _ = match kind % 8 {
            0 => hub.sql.execute("INSERT OR IGNORE INTO users (name, admin, created) VALUES (?1, ?2, '2024-01-02 03:04:05')", (name, flag)),
            1 => hub.sql.execute("INSERT INTO users_info (username, password, is_authorized, has_2fa, otp_secret) VALUES (?1, ?2, ?3, ?3, 'ABCD')", (name, BCRYPT, flag)),
            2 => hub.sql.execute("INSERT OR IGNORE INTO groups (name) VALUES (?1)", [format!("g{}", b % 4)]),
            3 => hub.sql.execute("INSERT OR IGNORE INTO user_group_map VALUES (?1, ?2)", (user, other)),
            4 => hub.sql.execute("INSERT INTO spawners (user_id, name, server_id, state) VALUES (?1, ?2, ?3, ?4)", (user, if *flag { "" } else { "srv" }, other, in_container())),
            5 => hub.sql.execute("INSERT INTO servers (base_url) VALUES (?1)", [format!("/user/{name}/")]),
            6 => Ok(usize::from(hub.token(user, &format!("{number:032}"), if *flag { "Server at /user/alice/" } else { "" }, "[\"inherit\"]") > 0)),
            _ => hub.sql.execute("INSERT INTO shares (user_id, created_at, scopes, spawner_id) VALUES (?1, 'never', '[]', ?2)", (user, other)),
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn after_a_run_there_is_nothing_left_to_do(rows in proptest::collection::vec(any::<(u8, u8, u8, bool)>(), 1..60)) {
        let hub = Hub::of_version(5).with_native();
        fill(&hub, &rows);
        let here = Here::new();
        let plan = here.take_over(&hub);
        let old = hub.read();
        for (table, rows) in [
            (Table::Users, old.users.len()),
            (Table::Groups, old.groups.len()),
            (Table::UserGroupMap, old.members.len()),
            (Table::ApiTokens, old.tokens.len()),
            (Table::Spawners, old.servers.len()),
            (Table::Shares, old.shares.len()),
        ] {
            let found = plan.tallies.get(&table).map_or(0, Tally::found);
            prop_assert_eq!(usize::try_from(found).expect("few"), rows, "every row becomes something: {:?}", table);
        }
        let again = here.plan(&hub);
        prop_assert!(again.is_empty(), "{}", report(&again));
        let before = here.store.audit(100).expect("read").len();
        here.store.write(|t| crate::takeover::jupyterhub::apply(t, &again, NOW)).expect("a commit");
        prop_assert_eq!(here.store.audit(100).expect("read").len(), before, "and none is told");
    }
}
