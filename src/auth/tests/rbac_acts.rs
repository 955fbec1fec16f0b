//! Groups, tokens, services, shares and renames, one story each.

use super::*;
use crate::model::{GroupName, OwnerName, RoleName, Scope, ServiceConfig, ServiceName, ShareWith};

fn group(text: &str) -> GroupName {
    GroupName::parse(text).expect("a name")
}

fn service(text: &str) -> ServiceName {
    ServiceName::parse(text).expect("a name")
}

fn scopes(texts: &[&str]) -> Vec<Scope> {
    texts.iter().map(|text| text.parse().expect("a scope")).collect()
}

fn asked(texts: &[&str], by: &Arc<Rights>) -> NewToken {
    asked_by("alice", texts, by)
}

fn asked_by(user: &str, texts: &[&str], by: &Arc<Rights>) -> NewToken {
    let by = Asker::Caller(OwnerName::from(name(user)), Arc::clone(by));
    NewToken { scopes: Some(scopes(texts)), note: "n".into(), expires_in: None, by }
}

fn rights(world: &World, user: &UserName) -> Arc<Rights> {
    world.auth.user(user).expect("a user").rights()
}

async fn plain(world: &World, name: &str) -> UserName {
    world.auth.add_user("test", name, None, false).await.expect("a new user")
}

fn with_roles(config: &mut Config, table: &str) {
    config.roles.push(toml::from_str(table).expect("a role"));
}

#[tokio::test]
async fn a_group_gives_rights_at_once_takes_them_at_once_and_outlives_a_restart() {
    let role = r#"name = "teach"
        scopes = ["access:servers!group=pupils"]
        groups = ["teachers"]"#;
    let world = World::with(|config| with_roles(config, role)).await;
    let (alice, bob) = (plain(&world, "alice").await, plain(&world, "bob").await);
    let may = |world: &World| rights(world, &alice).allows("access:servers", Target::Server(&server_of(&bob)));
    assert!(world.auth.group(&group("teachers")).is_some(), "the role names it");
    world.auth.create_groups("root", &[group("pupils")], std::slice::from_ref(&bob)).await.expect("stored");
    assert!(!may(&world));
    world.auth.add_to_group("root", &group("teachers"), std::slice::from_ref(&alice)).await.expect("stored");
    assert!(may(&world));
    let world = world.restart().await;
    assert!(may(&world));
    assert_eq!(world.auth.groups_of(&alice), [group("teachers")]);
    assert_eq!(world.auth.roles_of_group(&group("teachers")), [RoleName::parse("teach").expect("a name")]);
    world.auth.remove_from_group("root", &group("pupils"), std::slice::from_ref(&bob)).await.expect("stored");
    assert!(!may(&world));
    assert_eq!(world.acts()[0], "root removed bob from group pupils");
}

#[tokio::test]
async fn many_groups_are_made_all_or_none() {
    let world = World::new().await;
    let alice = plain(&world, "alice").await;
    let names = [group("a"), group("b")];
    let stranger = world.auth.create_groups("root", &names, &[name("nobody")]).await;
    assert!(matches!(stranger, Err(ActError::NoUser(_))) && world.auth.group(&names[0]).is_none());
    world.auth.create_groups("root", &names[..1], &[alice]).await.expect("stored");
    let again = world.auth.create_groups("root", &names, &[]).await;
    assert!(matches!(again, Err(ActError::GroupExists(_))) && world.auth.group(&names[1]).is_none());
}

#[tokio::test]
async fn a_token_is_asked_for_with_scopes_and_an_end() {
    let world = World::with(|config| config.token_expires_in_max_s = 3600).await;
    let (alice, root) = (plain(&world, "alice").await, world.admin("root").await);
    let (owner, by) = (OwnerName::from(alice.clone()), rights(&world, &alice));
    let make = |new| world.auth.create_token("test", &owner, new);
    assert!(matches!(make(asked(&["admin:users"], &by)).await, Err(ActError::NotHeld { .. })));
    assert!(matches!(make(asked(&["custom:none:such"], &by)).await, Err(ActError::UnknownScope(_))));
    let narrow = make(asked(&["tokens!user", "read:tokens!user"], &by)).await.expect("she holds it").1;
    assert!(matches!(make(asked(&["inherit"], &narrow.rights())).await, Err(ActError::NotYours(_))), "no way up");
    for s in [0, 3601] {
        let new = NewToken { expires_in: Some(Duration::from_secs(s)), ..asked(&["self"], &by) };
        assert!(matches!(make(new).await, Err(ActError::BadLife { least_s: 1, most_s: 3600 })), "{s}");
    }
    let (secret, token) = make(NewToken { scopes: None, ..asked(&[], &by) }).await.expect("the default is inherit");
    assert_eq!(token.rights().scopes(), by.scopes());
    assert!(matches!(
        world.auth.create_token("test", &OwnerName::from(root.clone()), asked(&["self"], &by)).await,
        Err(ActError::MayNot(_))
    ));
    make(asked_by("root", &["self"], &rights(&world, &root))).await.expect("an administrator may");
    assert_eq!(world.auth.tokens_of(&owner).len(), 3);
    world.pass(HOUR);
    assert!(world.auth.token_of(secret.expose()).is_none() && world.auth.tokens_of(&owner).is_empty());
}

#[tokio::test]
async fn who_holds_tokens_for_others_gives_what_those_hold_and_never_an_administrators_rights() {
    let role = r#"name = "launcher"
        scopes = ["tokens"]
        users = ["bot"]"#;
    let world = World::with(|config| with_roles(config, role)).await;
    let (alice, root) = (plain(&world, "alice").await, world.admin("root").await);
    let by = rights(&world, &name("bot"));
    let make = |owner: UserName| {
        let new = asked_by("bot", &["inherit"], &by);
        async { world.auth.create_token("test", &OwnerName::from(owner), new).await }
    };
    let (_, token) = make(alice).await.expect("JupyterHub's launchers live by it");
    assert!(token.rights().allows("start:servers", Target::User(&name("alice"))));
    assert!(matches!(make(root).await, Err(ActError::NotYours(_))), "the way to everything");
}

#[tokio::test]
async fn a_revoked_token_is_gone_for_good() {
    let world = World::new().await;
    let alice = plain(&world, "alice").await;
    let owner = OwnerName::from(alice.clone());
    let (secret, token) =
        world.auth.create_token("test", &owner, asked(&["self"], &rights(&world, &alice))).await.expect("stored");
    let id = token.id.expect("it is stored");
    world.auth.revoke_token("alice", id).await.expect("stored");
    assert!(token.is_over() && world.auth.token_by_id(id).is_none());
    assert!(matches!(world.auth.revoke_token("alice", id).await, Err(ActError::NoToken(_))));
    let world = world.restart().await;
    assert!(world.auth.token_of(secret.expose()).is_none());
}

#[tokio::test]
async fn a_configured_service_comes_with_its_token_and_goes_with_it() {
    let conf = || ServiceConfig {
        api_token: Some(secret("configured-token")),
        admin: true,
        url: Some("http://127.0.0.1:1".into()),
        ..ServiceConfig::named(service("report"))
    };
    let world = World::with(|config| config.services.push(conf())).await;
    let token = world.auth.token_of("configured-token").expect("it is the service's");
    assert_eq!(token.owner.as_str(), "report");
    assert!(token.rights().allows("admin:users", Target::All));
    assert!(world.auth.is_service_token(&service("report"), "configured-token"));
    assert!(!world.auth.is_service_token(&service("report"), "configured-tokem"));
    assert_eq!(world.auth.service_of_client("service-report").expect("it has pages").name, service("report"));
    let id = token.id;
    let mut world = world.restart().await;
    assert_eq!(world.auth.token_of("configured-token").expect("still").id, id, "the same row");
    world.config.services.clear();
    let mut world = world.restart().await;
    assert!(world.auth.token_of("configured-token").is_none());
    world.config.services.push(conf());
    let world = world.restart().await;
    assert_ne!(world.auth.token_of("configured-token").expect("again").id, id, "another row");
}

#[tokio::test]
async fn a_rename_carries_what_hangs_on_the_name_and_leaves_nothing_behind() {
    let world = World::new().await;
    let (alice, bob) = (world.user("alice").await, plain(&world, "bob").await);
    let (cookie, _) = world.sign_in("alice").await;
    let by = rights(&world, &alice);
    let (api, _) =
        world.auth.create_token("test", &alice.clone().into(), asked(&["inherit"], &by)).await.expect("stored");
    world.auth.create_groups("root", &[group("g")], std::slice::from_ref(&alice)).await.expect("stored");
    let with = ShareWith::User(bob.clone());
    world.auth.share("alice", &server_of(&alice), &with, vec![], by).await.expect("stored");
    let visit = world.auth.issue_oauth_token(&bob, &client("alice"), vec![], None).await.expect("stored").0;

    let eve = name("eve");
    let change = UserChange { name: Some(eve.clone()), admin: None };
    world.auth.update_user("root", &alice, change).await.expect("stored");
    let check = |world: &World| {
        assert!(!world.is_live(&cookie) && world.auth.token_of(visit.expose()).is_none());
        let token = world.auth.token_of(api.expose()).expect("it goes with her");
        assert!(token.rights().allows("access:servers", Target::Server(&server_of(&eve))));
        assert!(!token.rights().allows("access:servers", Target::Server(&server_of(&alice))));
        assert_eq!(world.auth.groups_of(&eve), [group("g")]);
        assert!(rights(world, &bob).allows("access:servers", Target::Server(&server_of(&eve))));
        assert!(world.auth.user(&alice).is_none() && world.auth.groups_of(&alice).is_empty());
        assert!(world.auth.shares_of_owner(&alice).is_empty());
    };
    check(&world);
    let world = world.restart().await;
    check(&world);
    world.sign_in("eve").await;
    plain(&world, "alice").await;
    assert!(rights(&world, &alice).scopes().iter().all(|scope| scope.ends_with("!user=alice")));
    let taken = UserChange { name: Some(bob), admin: None };
    assert!(matches!(world.auth.update_user("root", &eve, taken).await, Err(AccountError::Taken)));
}

#[tokio::test]
async fn a_name_that_comes_back_inherits_no_group_share_token_or_code() {
    let world = World::new().await;
    let (alice, bob) = (plain(&world, "alice").await, plain(&world, "bob").await);
    world.auth.create_groups("root", &[group("g")], &[alice.clone(), bob.clone()]).await.expect("stored");
    let (of_alice, of_bob) = (rights(&world, &alice), rights(&world, &bob));
    let shared = [(&alice, &bob, &of_alice), (&bob, &alice, &of_bob)];
    for (owner, other, by) in shared {
        let with = ShareWith::User((*other).clone());
        world.auth.share("x", &server_of(owner), &with, vec![], Arc::clone(by)).await.expect("stored");
    }
    let (code, _) =
        world.auth.create_share_code("alice", &server_of(&alice), vec![], None, of_alice).await.expect("stored");
    world.auth.delete_user("root", &alice).await.expect("stored");
    for world in [world.restart().await] {
        plain(&world, "alice").await;
        assert!(world.auth.groups_of(&alice).is_empty() && world.auth.shares_with_user(&alice).is_empty());
        assert!(world.auth.shares_of_owner(&alice).is_empty());
        assert!(!rights(&world, &bob).allows("access:servers", Target::Server(&server_of(&alice))));
        assert!(matches!(world.auth.exchange_share_code("bob", &bob, &code).await, Err(ActError::NoCode)));
    }
}

/// All tables but the audit as text. It has a line for every table of the store.
fn tables(world: &World) -> String {
    let store = &world.auth.0.store;
    let (users, sessions) = (store.users().expect("readable"), store.sessions().expect("readable"));
    let (tokens, servers) = (store.tokens().expect("readable"), store.servers().expect("readable"));
    let (groups, services) = (store.groups().expect("readable"), store.services().expect("readable"));
    let (shares, codes) = (store.shares().expect("readable"), store.share_codes().expect("readable"));
    format!("{users:?}\n{sessions:?}\n{tokens:?}\n{servers:?}\n{groups:?}\n{services:?}\n{shares:?}\n{codes:?}")
}

#[tokio::test]
async fn a_deleted_user_leaves_every_table_as_it_was_before() {
    let world = World::new().await;
    let bob = world.user("bob").await;
    world.sign_in("bob").await;
    world.auth.create_groups("root", &[group("g")], std::slice::from_ref(&bob)).await.expect("stored");
    let of_bob = rights(&world, &bob);
    world.auth.share("bob", &server_of(&bob), &ShareWith::Group(group("g")), vec![], of_bob.clone()).await.expect("ok");
    world.auth.flush_activity().await.expect("stored");
    let before = tables(&world);

    let alice = world.user("alice").await;
    let (_, session) = world.sign_in("alice").await;
    let of_alice = rights(&world, &alice);
    let named = ServerKey { user: alice.clone(), name: ServerName::parse("gpu").expect("a name") };
    for server in [server_of(&alice), named] {
        world.auth.0.store.write(|t| t.put_server(&crate::store::ServerRow::new(server.clone()))).expect("a commit");
        world.auth.issue_server_token(&server).await.expect("stored");
        for (owner, session) in [(&alice, Some(session.hub_session_id.clone())), (&bob, None)] {
            let of_visitor = world.auth.issue_oauth_token(owner, &server.clone().into(), vec![], session).await;
            of_visitor.expect("stored");
        }
        for with in [ShareWith::User(bob.clone()), ShareWith::Group(group("g"))] {
            world.auth.share("alice", &server, &with, vec![], of_alice.clone()).await.expect("stored");
        }
        world.auth.create_share_code("alice", &server, vec![], None, of_alice.clone()).await.expect("stored");
    }
    world.auth.issue_oauth_token(&alice, &client("bob"), vec![], None).await.expect("stored");
    world.auth.create_token("test", &alice.clone().into(), asked(&["self"], &of_alice)).await.expect("stored");
    world.auth.share("bob", &server_of(&bob), &ShareWith::User(alice.clone()), vec![], of_bob).await.expect("stored");
    world.auth.add_to_group("root", &group("g"), std::slice::from_ref(&alice)).await.expect("stored");
    assert!(tables(&world).matches("alice").count() > 20, "every table knows of her");

    world.auth.delete_user("root", &alice).await.expect("stored");
    assert_eq!(tables(&world), before);
    world.auth.flush_activity().await.expect("stored");
    let world = world.restart().await;
    assert_eq!(tables(&world), before, "and nothing comes back");
}

#[tokio::test]
async fn a_share_code_works_until_it_expires_and_a_share_until_it_is_taken_back() {
    let world = World::new().await;
    let (alice, bob) = (plain(&world, "alice").await, plain(&world, "bob").await);
    let (server, by) = (server_of(&alice), rights(&world, &alice));
    let with = ShareWith::User(bob.clone());
    let foreign = world.auth.share("alice", &server, &with, scopes(&["access:servers!user=alice"]), by.clone()).await;
    assert!(matches!(foreign, Err(ActError::BadShare { .. })));
    let too_much = world.auth.share("alice", &server, &with, scopes(&["admin:servers"]), by.clone()).await;
    assert!(matches!(too_much, Err(ActError::NotYours(_))));
    let hour = Some(HOUR);
    let (code, made) =
        world.auth.create_share_code("alice", &server, scopes(&["servers"]), hour, by).await.expect("stored");
    assert_eq!(made.id.to_string(), "sc_1");
    let share = world.auth.exchange_share_code("bob", &bob, &code).await.expect("it is alive");
    assert_eq!(share.scopes, scopes(&["servers!server=alice/"]));
    assert!(rights(&world, &bob).allows("start:servers", Target::Server(&server)));
    assert_eq!(world.auth.share_codes_of_server(&server)[0].exchange_count, 1);
    world.pass(HOUR);
    assert!(matches!(world.auth.exchange_share_code("bob", &bob, &code).await, Err(ActError::NoCode)));
    world.auth.flush_activity().await.expect("stored");
    assert!(world.auth.0.store.share_codes().expect("readable").is_empty());
    let left = world.auth.unshare("alice", &server, &with, Some(scopes(&["servers!server=alice/"]))).await;
    assert!(left.expect("stored").is_none());
    assert!(!rights(&world, &bob).allows("start:servers", Target::Server(&server)));
}

#[tokio::test]
async fn a_blocked_user_is_shut_out_at_the_next_start_and_stays_out() {
    let mut world = World::new().await;
    let (mallory, _) = (world.user("mallory").await, world.admin("root").await);
    world.auth.create_groups("root", &[group("g")], std::slice::from_ref(&mallory)).await.expect("stored");
    let (cookie, _) = world.sign_in("mallory").await;
    world.config.blocked_users.push(mallory.clone());
    let world = world.restart().await;
    assert!(!world.is_live(&cookie) && world.auth.groups_of(&mallory).is_empty());
    let again = world.auth.authorise("root", &mallory, true).await;
    assert!(matches!(again, Err(AccountError::Blocked(_))));
}

#[test]
fn mistakes_in_rules_are_named_with_their_cure() {
    let mut config = Config::default();
    with_roles(&mut config, "name = \"teach\"\nscopes = [\"custom:not:there\"]\nservices = [\"ghost\"]");
    with_roles(&mut config, "name = \"admin\"\nscopes = [\"self\"]");
    config.services.push(ServiceConfig {
        api_token: Some(secret("short")),
        oauth_client_id: Some("report".into()),
        ..ServiceConfig::named(service("report"))
    });
    let told: Vec<_> = config.mistakes().into_iter().map(|m| format!("{} {}: {}", m.key, m.entry, m.problem)).collect();
    let expected = [
        "roles teach: scope \"custom:not:there\" is not defined",
        "roles teach: there is no service \"ghost\"",
        "roles admin: the scopes of the role admin cannot be changed",
        "services report: oauth_client_id \"report\" must begin with \"service-\"",
        "services report: api_token must have 8 to 64 characters",
    ];
    for expected in expected {
        assert!(told.iter().any(|mistake| mistake.starts_with(expected)), "{expected}: {told:?}");
    }
    assert_eq!(told.len(), expected.len(), "{told:?}");
    let unknown = toml::from_str::<RoleConfig>("name = \"teach\"\nscopes = [\"read:user\"]").expect_err("unknown");
    assert!(unknown.message().contains("\"read:user\" does not exist"), "{unknown}");
}
