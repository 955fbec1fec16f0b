//! Disabled accounts, forced changes, many at once, and where somebody is signed in.

use super::*;
use crate::auth::{Creation, Device, NEW_PEOPLE_LIMIT, NewPerson, SessionId};
use crate::model::{GroupName, UserProfile};

fn person(text: &str, groups: &[&str]) -> NewPerson {
    NewPerson {
        name: name(text),
        profile: UserProfile::parse("Ada", "", "").expect("a profile"),
        groups: groups.iter().map(|group| GroupName::parse(group).expect("a name")).collect(),
        admin: false,
    }
}

fn creation(groups: &[&str]) -> Creation {
    let groups = groups.iter().map(|group| GroupName::parse(group).expect("a name")).collect();
    Creation { must_change: true, authorised: true, groups }
}

#[tokio::test]
async fn a_disabled_account_loses_sessions_and_tokens_at_once_and_gets_none_back() {
    let world = World::new().await;
    world.admin("root").await;
    world.user("alice").await;
    let (cookie, session) = world.sign_in("alice").await;
    world.auth.set_disabled("root", &name("alice"), true).await.expect("stored");
    assert!(session.ended.is_cancelled() && world.auth.session_of_cookie(cookie.expose()).is_none());
    let error = world.auth.sign_in("alice", &secret(GOOD), address(1)).await.expect_err("she is out");
    assert!(matches!(error, SignInError::Disabled));
    let error = world.auth.sign_in("alice", &secret("wrong"), address(1)).await.expect_err("it is wrong");
    assert!(matches!(error, SignInError::Wrong), "who does not know the password learns nothing");
    assert!(world.auth.objection_to_start(&name("alice")).is_some());
    assert_eq!(world.auth.figures().waiting_users, 0, "disabled is not waiting");
    let world = world.restart().await;
    assert!(world.auth.session_of_cookie(cookie.expose()).is_none());
    assert!(world.auth.user(&name("alice")).expect("a user").is_disabled());
    world.auth.set_disabled("root", &name("alice"), false).await.expect("stored");
    assert!(world.auth.session_of_cookie(cookie.expose()).is_none(), "an ended session stays ended");
    world.sign_in("alice").await;
}

#[tokio::test]
async fn neither_oneself_nor_the_last_administrator_is_disabled() {
    let world = World::new().await;
    world.admin("root").await;
    let last = world.auth.set_disabled("command", &name("root"), true).await;
    assert!(matches!(last, Err(AccountError::LastAdministrator)));
    world.admin("ruth").await;
    let oneself = world.auth.set_disabled("root", &name("root"), true).await;
    assert!(matches!(oneself, Err(AccountError::Oneself)));
    world.auth.set_disabled("root", &name("ruth"), true).await.expect("stored");
    // One who is disabled does not count.
    assert!(matches!(world.auth.set_admin("t", &name("root"), false).await, Err(AccountError::LastAdministrator)));
    assert!(matches!(world.auth.delete_user("t", &name("root")).await, Err(AccountError::LastAdministrator)));
    assert!(matches!(world.auth.authorise("t", &name("root"), false).await, Err(AccountError::LastAdministrator)));
    world.auth.set_admin("t", &name("ruth"), false).await.expect("a disabled one may be demoted");
}

#[tokio::test]
async fn any_change_of_the_password_ends_a_forced_one_and_the_same_password_is_no_change() {
    let world = World::new().await;
    world.user("alice").await;
    let (_, session) = world.sign_in("alice").await;
    let caller = Caller::Session(Arc::clone(&session));
    world.auth.require_password_change("root", &name("alice"), true).await.expect("stored");
    assert!(must_change_password(&caller) && world.auth.objection_to_start(&name("alice")).is_some());
    let same = world.auth.change_password(&session, &secret(GOOD), &secret(GOOD), address(1)).await;
    assert!(matches!(same, Err(AccountError::SamePassword)));
    assert!(must_change_password(&caller));
    world.auth.change_password(&session, &secret(GOOD), &secret("battery staple"), address(1)).await.expect("stored");
    assert!(!must_change_password(&caller) && world.auth.objection_to_start(&name("alice")).is_none());
    world.auth.set_password("root", &name("alice"), &secret(GOOD), true).await.expect("stored");
    let world = world.restart().await;
    let (_, session) = world.sign_in("alice").await;
    assert!(must_change_password(&Caller::Session(session)), "it outlives a restart");
}

#[tokio::test]
async fn many_are_made_in_one_commit_and_sign_in_with_the_words_they_were_given() {
    let world = World::new().await;
    world.user("alice").await;
    let math = GroupName::parse("math").expect("a name");
    world.auth.create_groups("t", std::slice::from_ref(&math), &[]).await.expect("stored");
    let people = [person("bob", &["math"]), person("alice", &["math"]), person("carol", &[]), person("bob", &[])];
    let made = world.auth.create_with_passwords("root", &people, &creation(&[])).await.expect("stored");
    assert_eq!(made.existing, [name("alice")]);
    let names: Vec<_> = made.created.iter().map(|created| created.name.as_str()).collect();
    assert_eq!(names, ["bob", "carol"]);
    let bob = &made.created[0];
    let (_, session) = world.auth.sign_in("bob", &bob.password, address(1)).await.expect("the words are right");
    assert!(session.user.must_change_password() && session.user.profile().first_name() == "Ada");
    assert!(world.auth.sign_in("carol", &bob.password, address(1)).await.is_err());
    assert_eq!(world.auth.groups_of(&name("bob")), [math]);
    assert!(world.auth.groups_of(&name("alice")).is_empty(), "who was there stays as they were");
    world.sign_in("alice").await;
}

#[tokio::test]
async fn of_many_nobody_is_made_if_one_cannot_be() {
    let world = World::new().await;
    let people = [person("bob", &[]), person("carol", &["nobody"])];
    let error = world.auth.create_with_passwords("root", &people, &creation(&[])).await.expect_err("no such group");
    assert!(matches!(error, AccountError::NoGroup(_)));
    let many: Vec<_> = (0..=NEW_PEOPLE_LIMIT).map(|number| person(&format!("u{number}"), &[])).collect();
    let error = world.auth.create_with_passwords("root", &many, &creation(&[])).await.expect_err("too many");
    assert!(matches!(error, AccountError::TooManyAtOnce { .. }));
    assert_eq!(world.auth.users().len(), 0);
}

#[tokio::test]
async fn somebody_sees_where_they_are_signed_in_and_ends_it_there() {
    let world = World::new().await;
    world.user("alice").await;
    world.user("bob").await;
    let device = Device::new(address(7), "A browser\u{1b}");
    let (first, here) = world.auth.sign_in("alice", &secret(GOOD), device).await.expect("signed in");
    let (second, _) = world.sign_in("alice").await;
    let (third, _) = world.sign_in("alice").await;
    let sessions = world.auth.sessions_of(&name("alice"), Some(&here));
    assert_eq!(sessions.len(), 3);
    let this = sessions.iter().find(|session| session.is_this).expect("the one that asks");
    assert_eq!((this.from, this.agent.as_str()), (Some(address(7)), "A browser"));
    let other = sessions.iter().find(|session| !session.is_this).expect("another").id.clone();
    let foreign = world.auth.end_session("bob", &name("bob"), &other).await;
    assert!(matches!(foreign, Err(AccountError::NoSession)), "nobody ends another's under his own name");
    world.auth.end_session("alice", &name("alice"), &other).await.expect("stored");
    let ended = [&second, &third].into_iter().filter(|cookie| world.auth.session_of_cookie(cookie.expose()).is_none());
    assert_eq!(ended.count(), 1);
    assert!(matches!(world.auth.end_session("alice", &name("alice"), &other).await, Err(AccountError::NoSession)));
    assert_eq!(world.auth.end_other_sessions("alice", &name("alice"), Some(&here)).await.expect("stored"), 1);
    assert!(world.auth.session_of_cookie(first.expose()).is_some());
    assert!(world.auth.session_of_cookie(third.expose()).is_none());
    let world = world.restart().await;
    let sessions = world.auth.sessions_of(&name("alice"), None);
    assert_eq!((sessions.len(), sessions[0].agent.as_str()), (1, "A browser"));
    assert_eq!(SessionId::parse(sessions[0].id.as_str()).as_ref(), Some(&sessions[0].id));
}

#[tokio::test]
async fn the_password_is_asked_again_and_guessing_is_as_slow_as_at_sign_in() {
    let world = World::new().await;
    world.user("alice").await;
    let (_, session) = world.sign_in("alice").await;
    world.auth.verify_password_again(&session, &secret(GOOD), address(1)).await.expect("it is right");
    let mut refused = false;
    for _ in 0..30 {
        match world.auth.verify_password_again(&session, &secret("guess"), address(1)).await {
            Err(AccountError::WrongPassword) => {}
            Err(AccountError::TooMany { .. }) => refused = true,
            other => panic!("{other:?}"),
        }
    }
    assert!(refused);
    assert!(world.auth.verify_password_again(&session, &secret(GOOD), address(1)).await.is_err(), "locked for now");
}
