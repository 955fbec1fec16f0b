//! What groups grant, and who may make somebody root on the host by it.

use super::*;
use crate::model::{DockerGrant, Grants, GroupName, MemoryGrant, OwnerName, Scope, UserProfile};

fn group(text: &str) -> GroupName {
    GroupName::parse(text).expect("a name")
}

fn built_in() -> GroupName {
    group(BUILT_IN_GROUP)
}

fn new_group(text: &str, grants: Grants) -> NewGroup {
    NewGroup { name: group(text), description: String::new(), grants }
}

fn memory(gib: u64) -> Grants {
    let memory = MemoryGrant { is_active: true, bytes: gib << 30, swap_off: false };
    Grants { memory, ..Grants::default() }
}

fn privileged() -> Grants {
    let docker = DockerGrant { is_active: true, socket: false, privileged: true };
    Grants { docker, ..Grants::default() }
}

fn grants(grants: Grants) -> GroupChange {
    GroupChange { grants: Some(grants), ..GroupChange::default() }
}

#[tokio::test]
async fn the_built_in_group_is_there_again_and_always_means_the_same() {
    let world = World::new().await;
    let there = world.auth.group(&built_in()).expect("it is made at start");
    assert!(there.is_built_in && there.grants.docker.socket && there.users.is_empty());
    assert!(matches!(world.auth.delete_group("root", &built_in()).await, Err(ActError::BuiltIn(_))));
    let other = world.auth.configure_group("root", &built_in(), grants(memory(1)), &RootLeave::NONE).await;
    assert!(matches!(other, Err(ActError::BuiltIn(_))));
    let order = world.auth.reorder_groups("root", vec![(built_in(), 7)]).await;
    assert!(matches!(order, Err(ActError::BuiltIn(_))));
    let world = world.restart().await;
    assert_eq!(world.auth.group(&built_in()), Some(there));
}

#[tokio::test]
async fn nobody_becomes_root_on_the_host_without_leave() {
    let world = World::new().await;
    world.admin("root").await;
    let alice = world.user("alice").await;
    let users = [alice.clone()];
    let refused =
        |result: Result<GroupListing, ActError>| assert!(matches!(result, Err(ActError::RootLike(_))), "{result:?}");
    refused(world.auth.add_to_group("root", &built_in(), &users).await);
    world.auth.create_groups("root", &[group("lab")], &users).await.expect("it grants nothing");
    refused(world.auth.configure_group("root", &group("lab"), grants(privileged()), &RootLeave::NONE).await);
    let made = vec![new_group("new", privileged())];
    let made = world.auth.create_groups_with("root", made, &[], &RootLeave::NONE).await;
    assert!(matches!(made, Err(ActError::RootLike(_))) && world.auth.group(&group("new")).is_none());
    let person =
        NewPerson { name: name("mallory"), profile: UserProfile::default(), groups: vec![built_in()], admin: false };
    let creation = Creation { must_change: false, authorised: true, groups: vec![] };
    let many = world.auth.create_with_passwords("root", &[person], &creation).await;
    assert!(matches!(many, Err(AccountError::RootLike(_))) && world.auth.user(&name("mallory")).is_none());
    assert!(world.auth.effective(&alice).is_empty());
    assert!(world.acts().iter().all(|act| !act.contains("root on the host through")));
}

#[tokio::test]
async fn the_password_typed_again_gives_leave_and_each_who_gets_it_is_in_the_audit() {
    let world = World::new().await;
    world.admin("root").await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let (_, session) = world.sign_in("root").await;
    let wrong = world.auth.root_leave(&session, &secret("wrong horse"), address(1)).await;
    assert!(matches!(wrong, Err(AccountError::WrongPassword)));
    let leave = world.auth.root_leave(&session, &secret(GOOD), address(1)).await.expect("it is right");
    world.auth.add_to_group_with("root", &built_in(), &[alice.clone(), bob], &leave).await.expect("with leave");
    assert_eq!(
        world.acts()[..2],
        [
            "root gave root on the host through group docker-privileged to bob",
            "root gave root on the host through group docker-privileged to alice"
        ]
    );
    assert_eq!(world.auth.effective(&alice).docker_socket, [built_in()]);
    // Who belongs to it already is given nothing new.
    world.auth.add_to_group("root", &built_in(), std::slice::from_ref(&alice)).await.expect("nothing changes");
    world
        .auth
        .remove_from_group("root", &built_in(), std::slice::from_ref(&alice))
        .await
        .expect("taking away needs no leave");
    assert!(world.auth.effective(&alice).is_empty());
    let (_, session) = world.sign_in("alice").await;
    let leave = world.auth.root_leave(&session, &secret(GOOD), address(1)).await.expect("it is her password");
    let by_alice = world.auth.add_to_group_with("alice", &built_in(), &[alice], &leave).await;
    assert!(matches!(by_alice, Err(ActError::RootLike(_))), "it is no administrator's");
}

#[tokio::test]
async fn a_token_gives_leave_if_it_was_made_for_it() {
    let role = r#"name = "installer"
        scopes = ["custom:grant-root"]
        users = ["root"]"#;
    let world = World::with(|config| config.roles.push(toml::from_str(role).expect("a role"))).await;
    world.auth.set_admin("test", &name("root"), true).await.expect("the role has made the account");
    let by = world.auth.user(&name("root")).expect("a user").rights();
    let owner = OwnerName::from(name("root"));
    let token = async |scopes: &[&str]| {
        let scopes: Vec<Scope> = scopes.iter().map(|scope| scope.parse().expect("a scope")).collect();
        let by = Asker::Caller(owner.clone(), Arc::clone(&by));
        let new = NewToken { scopes: Some(scopes), note: String::new(), expires_in: None, by };
        Caller::Token(world.auth.create_token("root", &owner, new).await.expect("it is held").1)
    };
    let alice = [world.user("alice").await];
    for plain in [["admin:groups", "groups"], ["admin:users", "self"]] {
        let leave = RootLeave::of(&token(&plain).await);
        assert!(world.auth.add_to_group_with("root", &built_in(), &alice, &leave).await.is_err(), "{plain:?}");
    }
    let leave = RootLeave::of(&token(&["groups", "custom:grant-root"]).await);
    world.auth.add_to_group_with("root", &built_in(), &alice, &leave).await.expect("it was made for it");
}

#[tokio::test]
async fn the_configuration_grants_describes_and_makes_root() {
    let table = r#"name = "physics"
        users = ["alice"]
        description = "Second year"
        priority = 5
        grants = { mem_limit_gb = 8, docker_access = true, env_vars = [{ name = "COURSE", value = "1" }] }"#;
    let world = World::with(|config| config.groups.push(toml::from_str(table).expect("a group"))).await;
    let physics = world.auth.group(&group("physics")).expect("it is made");
    assert_eq!((physics.description.as_str(), physics.grants.priority), ("Second year", 5));
    let effective = world.auth.effective(&name("alice"));
    assert_eq!(effective.memory.expect("a limit").value.bytes, 8 << 30);
    assert_eq!(effective.environment[0].value.name.as_str(), "COURSE");
    assert!(world.acts().iter().any(|act| act == "slipway gave root on the host through group physics to alice"));
    // The name is the configuration's to fill: whoever took it would be root after the next start.
    world.admin("root").await;
    world.auth.delete_user("root", &name("alice")).await.expect("stored");
    let bob = world.user("bob").await;
    let renamed = UserChange { name: Some(name("alice")), admin: None };
    assert!(matches!(world.auth.update_user("root", &bob, renamed).await, Err(AccountError::NamedForRoot(_))));
    let made = world.auth.create_users("root", &[name("alice")], false).await;
    assert!(matches!(made, Err(AccountError::NamedForRoot(_))));
}

#[test]
fn what_the_configuration_cannot_grant_is_told() {
    let tables = [
        (
            r#"name = "a"
            grants = { env_vars = [{ name = "NB_UID", value = "0" }] }"#,
            "grants.env_vars",
        ),
        (
            r#"name = "docker-privileged"
            grants = { mem_limit_gb = 1 }"#,
            "built in",
        ),
    ];
    for (table, expected) in tables {
        let config = Config { groups: vec![toml::from_str(table).expect("a group")], ..Config::default() };
        let mistakes = config.mistakes();
        assert!(mistakes.len() == 1 && mistakes[0].problem.contains(expected), "{mistakes:?}");
    }
}

/// Traps 41 and 42: what is not named keeps its place, and a group that is gone is not made again.
#[tokio::test]
async fn an_order_of_some_groups_leaves_the_others_and_a_deleted_group_stays_deleted() {
    let world = World::new().await;
    let groups = ["a", "b", "c"].map(|name| new_group(name, memory(1)));
    world.auth.create_groups_with("root", groups.to_vec(), &[], &RootLeave::NONE).await.expect("stored");
    world.auth.reorder_groups("root", vec![(group("a"), 3), (group("b"), 4)]).await.expect("stored");
    let priority = |world: &World, name: &str| world.auth.group(&group(name)).expect("it is there").grants.priority;
    assert_eq!((priority(&world, "a"), priority(&world, "b"), priority(&world, "c")), (3, 4, 0));
    let one_is_gone = world.auth.reorder_groups("root", vec![(group("a"), 9), (group("x"), 1)]).await;
    assert!(matches!(one_is_gone, Err(ActError::NoGroup(_))) && priority(&world, "a") == 3);
    world.auth.delete_group("root", &group("c")).await.expect("stored");
    let gone = world.auth.configure_group("root", &group("c"), grants(memory(2)), &RootLeave::NONE).await;
    assert!(matches!(gone, Err(ActError::NoGroup(_))) && world.auth.group(&group("c")).is_none());
    let world = world.restart().await;
    assert_eq!((priority(&world, "a"), world.auth.group(&group("c"))), (3, None));
}

#[tokio::test]
async fn a_renamed_member_keeps_what_is_granted_and_a_deleted_ones_successor_has_nothing() {
    let world = World::new().await;
    world.admin("root").await;
    let alice = world.user("alice").await;
    let made = vec![new_group("lab", memory(2))];
    world.auth.create_groups_with("root", made, std::slice::from_ref(&alice), &RootLeave::NONE).await.expect("stored");
    let renamed = UserChange { name: Some(name("alicia")), admin: None };
    world.auth.update_user("root", &alice, renamed).await.expect("stored");
    assert!(world.auth.effective(&alice).is_empty() && !world.auth.effective(&name("alicia")).is_empty());
    world.auth.delete_user("root", &name("alicia")).await.expect("stored");
    world.user("alicia").await;
    assert!(world.auth.effective(&name("alicia")).is_empty());
}
