//! What a hub's rows become in a fresh installation.

use std::collections::BTreeSet;

use serde_json::json;

use super::hub::{BCRYPT, CONTAINER, CREATED, Hub, in_container};
use crate::auth::{self, Auth};
use crate::model::{
    BasePath, Generation, OwnerName, Random, Scope, ServerKey, ServerName, ShareWith, SystemClock, Timestamp, TokenId,
    UserName,
};
use crate::store::{Config, Store, TokenKind};
use crate::takeover::jupyterhub::{Ours, Plan, Settings, Table, Tally, apply, plan, report};

pub(super) const NOW: Timestamp = Timestamp(1_800_000_000_000);

pub(super) fn settings() -> Settings {
    Settings {
        base: BasePath::parse("/").expect("a path"),
        has_containers: true,
        services: BTreeSet::new(),
        roles: BTreeSet::new(),
    }
}

pub(super) fn name(text: &str) -> UserName {
    UserName::parse(text).expect("a name")
}

/// An installation of ours.
pub(super) struct Here {
    folder: tempfile::TempDir,
    pub(super) store: Store,
}

impl Here {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Config { data_dir: folder.path().join("data") }).expect("a store");
        Self { folder, store }
    }

    pub(super) fn plan(&self, hub: &Hub) -> Plan {
        plan(&hub.read(), &Ours::of(&self.store, settings()).expect("read"), NOW)
    }

    pub(super) fn take_over(&self, hub: &Hub) -> Plan {
        let plan = self.plan(hub);
        self.store.write(|t| apply(t, &plan, NOW)).expect("a commit");
        plan
    }

    /// As the next start finds it.
    async fn auth(&self) -> Auth {
        let config = auth::Config { data_dir: self.folder.path().to_owned(), ..auth::Config::default() };
        Auth::load(config, self.store.clone(), std::sync::Arc::new(SystemClock), Random::from_seed(1))
            .await
            .expect("loaded")
    }
}

fn said(plan: &Plan, words: &str) -> bool {
    report(plan).lines().any(|line| line.contains(words))
}

#[test]
fn an_account_comes_with_its_password_and_all_that_is_known_of_it() {
    let hub = Hub::of_version(5).with_native();
    hub.user("alice", true);
    hub.user("bob", false);
    hub.user("carol", false);
    hub.login("alice", true, false);
    hub.login("bob", false, true);
    hub.login("dave", false, false);
    let here = Here::new();
    let plan = here.take_over(&hub);
    let row = |user: &str| here.store.user(&name(user)).expect("read").expect("an account");
    let alice = row("alice");
    assert_eq!((alice.password.as_deref(), alice.authorised, alice.admin), (Some(BCRYPT), true, true));
    assert_eq!(alice.created, Timestamp::parse_iso(&CREATED.replace(' ', "T")).expect("a time"));
    assert_eq!((alice.last_activity, alice.profile.email()), (Some(alice.created), "alice@example.org"));
    assert!(alice.otp_secret.is_none(), "everybody has a secret there; it counts once it is switched on");
    let bob = row("bob");
    assert_eq!((bob.authorised, bob.admin), (false, false));
    assert_eq!(bob.otp_secret.as_ref().map(|secret| secret.expose()), Some("JBSWY3DPEHPK3PXP"));
    // Signed in with another authenticator.
    assert_eq!((row("carol").password, row("carol").authorised), (None, true));
    // Signed up, and never let in.
    assert_eq!((row("dave").password.as_deref(), row("dave").authorised), (Some(BCRYPT), false));
    assert_eq!(plan.tallies[&Table::Users], Tally { taken: 3, ..Tally::default() });
    assert_eq!(plan.tallies[&Table::UsersInfo], Tally { taken: 3, ..Tally::default() });
    assert!(said(&plan, "1 of the new accounts have no password"));
    let acts: Vec<_> = here.store.audit(9).expect("read").into_iter().map(|row| (row.act, row.object)).collect();
    assert!(acts.contains(&("imported administrator".into(), "alice".into())), "{acts:?}");
    assert!(acts.iter().any(|(act, object)| act == "imported users of" && object.contains("4 accounts")), "{acts:?}");
    assert!(!report(&plan).contains("$2b$") && !report(&plan).contains("JBSWY"), "secrets stand in no report");
}

#[tokio::test]
async fn a_token_goes_on_working_with_its_number_its_scopes_and_its_end() {
    let hub = Hub::of_version(4);
    let alice = hub.user("alice", false);
    hub.run("INSERT INTO oauth_codes (client_id, code) VALUES ('x', 'y')", &[]);
    hub.token(alice, "0123456789abcdef0123456789abcdef", "script", "[\"read:users!user=alice\"]");
    let inherits = hub.token(alice, "fedcba98765432100123456789abcdef", "", "[\"inherit\"]");
    hub.run("UPDATE api_tokens SET id = 17, expires_at = '2199-01-01 00:00:00.000000' WHERE id = ?1", &[&inherits]);
    let ended = hub.token(alice, "ffffffffffffffffffffffffffffffff", "", "[\"inherit\"]");
    hub.run("UPDATE api_tokens SET expires_at = '2001-01-01 00:00:00.000000' WHERE id = ?1", &[&ended]);
    let here = Here::new();
    let plan = here.take_over(&hub);
    let auth = here.auth().await;
    let token = auth.token_of("fedcba98765432100123456789abcdef").expect("a live token");
    assert_eq!((token.id, token.owner.name()), (Some(TokenId(17)), OwnerName::User(name("alice"))));
    assert_eq!(token.expires_at, Timestamp::parse_iso("2199-01-01T00:00:00"));
    let script = auth.token_of("0123456789abcdef0123456789abcdef").expect("a live token");
    assert_eq!((script.id, script.note.as_str()), (Some(TokenId(1)), "script"));
    assert_eq!(script.scopes, vec!["read:users!user=alice".parse::<Scope>().expect("a scope")]);
    assert!(auth.token_of("ffffffffffffffffffffffffffffffff").is_none());
    assert!(said(&plan, "not taken: api_tokens \"a18 of alice\": it has expired"), "{}", report(&plan));
    assert!(here.store.write(|t| t.next_token_id()).expect("a commit") > TokenId(17), "no number is given twice");
}

#[test]
fn a_running_container_runs_on_with_its_key() {
    let hub = Hub::of_version(6);
    let alice = hub.user("alice", false);
    hub.running(alice, "/user/alice/", &in_container());
    hub.token(alice, "0123456789abcdef0123456789abcdef", "Server at /user/alice/", "[\"users:activity!user=alice\"]");
    hub.token(alice, "1123456789abcdef0123456789abcdef", "Server at /user/alice/old/", "[\"inherit\"]");
    let here = Here::new();
    let plan = here.take_over(&hub);
    let key = ServerKey::default_of(name("alice"));
    let row = here.store.server(&key).expect("read").expect("a server");
    assert_eq!((row.wanted, row.generation, row.started_at), (true, Generation(1), row.last_activity));
    assert_eq!(row.handle, Some(json!({ "container": CONTAINER, "adopted_from": "alice" }).into()));
    assert_eq!(here.store.volumes_of(&name("alice")).expect("read").expect("hers").stem.as_str(), "alice");
    let kinds: Vec<_> = here.store.tokens().expect("read").into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds, [TokenKind::Server(key)]);
    assert!(said(&plan, "servers that run on: 1"));
    assert!(said(&plan, "not taken: api_tokens \"a2 of alice\": it is the key of a server that does not run on here"));
}

#[test]
fn what_cannot_run_on_is_defined_and_said() {
    let hub = Hub::of_version(5);
    for (user, path, state) in [
        ("alice", "/hub5/user/alice/", in_container()),
        ("bob", "/user/bob/", "{\"pid\": 7}".into()),
        ("carol", "/user/carol/", "{\"object_id\": \"postgres\"}".into()),
    ] {
        hub.running(hub.user(user, false), path, &state);
    }
    let here = Here::new();
    let plan = here.take_over(&hub);
    assert!(here.store.servers().expect("read").iter().all(|row| !row.wanted && row.handle.is_none()));
    assert!(said(&plan, "set hub.base_url to what c.JupyterHub.base_url was"), "{}", report(&plan));
    assert!(said(&plan, "remark: spawners \"bob/\": runs there, and does not run on here: it is no container"));
    assert!(said(&plan, "remark: spawners \"carol/\": runs there"));
}

#[test]
fn a_server_that_could_not_run_on_does_once_the_settings_are_right() {
    let hub = Hub::of_version(5);
    hub.running(hub.user("alice", false), "/hub5/user/alice/", &in_container());
    let here = Here::new();
    here.take_over(&hub);
    let right = Settings { base: BasePath::parse("/hub5/").expect("a path"), ..settings() };
    let again = plan(&hub.read(), &Ours::of(&here.store, right).expect("read"), NOW);
    assert_eq!(again.servers.iter().map(|row| row.wanted).collect::<Vec<_>>(), [true]);
}

#[test]
fn named_servers_come_with_their_options() {
    let hub = Hub::of_version(6);
    let alice = hub.user("alice", false);
    let gpu = hub.server(alice, "gpu", "{\"image\": \"lab:4\", \"cells\": 3}");
    hub.run("UPDATE spawners SET display_name = 'My GPU' WHERE id = ?1", &[&gpu]);
    hub.server(alice, "odd", "[1]");
    let here = Here::new();
    let plan = here.take_over(&hub);
    let key = ServerKey { user: name("alice"), name: ServerName::parse("gpu").expect("a name") };
    let row = here.store.server(&key).expect("read").expect("a server");
    assert_eq!(row.display_name.expect("one").as_str(), "My GPU");
    assert_eq!(row.options.expect("some").as_map().get("cells"), Some(&json!(3)));
    assert_eq!((row.wanted, row.generation), (false, Generation(0)));
    assert!(said(&plan, "Servers chose the image \"lab:4\" (1): allow them with spawner.allowed_images"));
    assert!(said(&plan, "remark: spawners \"alice/odd\": comes in without its options"));
}

#[test]
fn groups_come_with_properties_and_members_but_nobody_becomes_root_by_one() {
    let hub = Hub::of_version(5);
    let (alice, bob) = (hub.user("alice", false), hub.user("bob", false));
    hub.group("physics", &[alice, bob, 99]);
    hub.group("docker-privileged", &[bob]);
    let here = Here::new();
    let plan = here.take_over(&hub);
    let groups = here.store.groups().expect("read");
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].users, BTreeSet::from([name("alice"), name("bob")]));
    assert_eq!(groups[0].properties.get("room"), Some(&json!(7)));
    assert!(said(&plan, "kept: groups \"docker-privileged\": it is built in here"));
    assert!(said(
        &plan,
        "not taken: user_group_map \"user 99 in physics\": it is of user 99, whom that database does not have"
    ));
}

#[test]
fn roles_and_services_of_the_configuration_are_told_as_toml() {
    let hub = Hub::of_version(5);
    let alice = hub.user("alice", false);
    hub.run(
        "INSERT INTO roles (id, name, description, scopes) VALUES (9, 'teacher', 'Says \"hi\"', '[\"list:users\"]')",
        &[],
    );
    hub.run("INSERT INTO user_role_map (user_id, role_id) VALUES (?1, 9)", &[&alice]);
    hub.run("INSERT INTO services (id, name, admin, from_config, url) VALUES (1, 'culler', 0, 1, NULL)", &[]);
    hub.run("INSERT INTO services (id, name, admin, from_config, info) VALUES (2, 'made', 0, 0, '{}')", &[]);
    let here = Here::new();
    let plan = here.take_over(&hub);
    let text = plan.to_set.join("\n");
    let read: toml::Table = text.parse().expect("it is TOML");
    assert_eq!(read["roles"][0]["users"][0].as_str(), Some("alice"));
    assert_eq!(read["roles"][0]["description"].as_str(), Some("Says \"hi\""));
    assert_eq!(read["services"][0]["name"].as_str(), Some("culler"));
    let services = here.store.services().expect("read");
    assert_eq!(services.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["made"]);
}

#[test]
fn shares_and_their_codes_come_in() {
    let hub = Hub::of_version(5);
    let (alice, bob) = (hub.user("alice", false), hub.user("bob", false));
    let server = hub.server(alice, "", "{}");
    let scopes = "[\"access:servers!server=alice/\"]";
    let share = "INSERT INTO shares (user_id, created_at, scopes, expires_at, spawner_id) VALUES (?1, ?2, ?3, ?4, ?5)";
    hub.run(share, &[&bob, &CREATED, &scopes, &rusqlite::types::Null, &server]);
    hub.run(share, &[&bob, &CREATED, &scopes, &"2199-01-01 00:00:00", &server]);
    let stored = crate::model::StoredToken::of("a code of somebody", &Random::from_system());
    hub.run(
        "INSERT INTO share_codes (id, hashed, prefix, created_at, scopes, expires_at, spawner_id, exchange_count)
         VALUES (5, ?1, ?2, ?3, ?4, '2199-01-01 00:00:00', ?5, 3)",
        &[&stored.hashed, &stored.prefix, &CREATED, &scopes, &server],
    );
    let here = Here::new();
    let plan = here.take_over(&hub);
    let shares = here.store.shares().expect("read");
    assert_eq!(shares.iter().map(|row| row.with.clone()).collect::<Vec<_>>(), [ShareWith::User(name("bob"))]);
    let codes = here.store.share_codes().expect("read");
    assert_eq!((codes.len(), codes[0].id.0, codes[0].exchange_count), (1, 5, 3));
    assert!(codes[0].stored.matches("a code of somebody"));
    assert!(said(&plan, "not taken: shares \"share 2\": it has an end"));
}

#[test]
fn names_that_cannot_be_or_become_the_same_are_told() {
    let hub = Hub::of_version(5);
    for user in ["alice", "Alice", "Bob", "BOB", "a/b", "new", "with space", "ok"] {
        hub.user(user, false);
    }
    let here = Here::new();
    let plan = here.take_over(&hub);
    let names: Vec<_> = here.store.users().expect("read").into_iter().map(|row| row.name.to_string()).collect();
    assert_eq!(names, ["alice", "ok"]);
    assert_eq!(plan.tallies[&Table::Users], Tally { taken: 2, not_taken: 6, ..Tally::default() });
    assert!(said(&plan, "remark: users \"alice\": comes in; \"Alice\", which becomes the same name here, does not"));
    assert!(said(&plan, "not taken: users \"Bob\": becomes \"bob\" here, and so does \"BOB\""), "{}", report(&plan));
    assert!(said(&plan, "not taken: users \"a/b\": the name contains '/'"));
}

#[test]
fn the_report_is_the_same_text_every_time() {
    let hub = Hub::of_version(4);
    hub.user("alice", false);
    hub.user("a,b", false);
    let here = Here::new();
    let expected = "\
JupyterHub 4, revision 0eee8c825d24

table                  found       taken        here        kept   not taken  configured
users                      2           1           0           0           1           0
users_info                 0           0           0           0           0           0
groups                     0           0           0           0           0           0
user_group_map             0           0           0           0           0           0
roles                      4           0           4           0           0           0
api_tokens                 0           0           0           0           0           0
spawners                   0           0           0           0           0           0
services                   0           0           0           0           0           0
shares                     0           0           0           0           0           0
share_codes                0           0           0           0           0           0
oauth_clients              1           0           0           0           0           1
oauth_codes                0           0           0           0           0           0

servers that run on: 0
not taken: users \"a,b\": the name contains ','; leave out spaces, commas, slashes, backslashes and control characters
note: 1 of the new accounts have no password: that database has none for them. Give each one with `slipway user password NAME`.
";
    assert_eq!(report(&here.plan(&hub)), expected);
    assert_eq!(report(&here.take_over(&hub)), expected, "a dry run says what the real one does");
}
