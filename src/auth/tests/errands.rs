//! Tokens for errands of ours.

use super::{World, name};
use crate::auth::{Caller, may_access_server, may_start_server, scopes_of};
use crate::model::ServerKey;

/// Trap 48: each broadcast left one token with all rights a recipient for five minutes.
#[tokio::test]
async fn an_errands_token_opens_one_server_and_ends_with_the_errand() {
    let world = World::new().await;
    world.user("alice").await;
    let server = ServerKey::default_of(name("alice"));
    let errand = world.auth.errand_to(&server).expect("her own server");
    let secret = errand.secret().clone();
    let token = world.auth.token_of(secret.expose()).expect("it is live");
    let caller = Caller::Token(token);
    assert_eq!(
        scopes_of(&caller),
        ["access:servers!server=alice/", "read:users:groups!user=alice", "read:users:name!user=alice"]
    );
    assert!(may_access_server(&caller, &server) && !may_start_server(&caller, &server));
    assert_eq!(world.auth.0.store.tokens().expect("readable"), [], "in memory only");
    drop(errand);
    assert!(world.auth.token_of(secret.expose()).is_none());
    assert!(world.auth.0.tokens.of_user(&name("alice")).is_empty());
}

#[tokio::test]
async fn an_errand_makes_nobody_look_busy_and_goes_to_nobody_who_may_not_enter() {
    let world = World::new().await;
    world.user("alice").await;
    let alice = world.auth.user(&name("alice")).expect("made");
    let seen = alice.last_activity();
    let errand = world.auth.errand_to(&ServerKey::default_of(name("alice"))).expect("her own server");
    world.pass(std::time::Duration::from_secs(10));
    assert!(world.auth.token_of(errand.secret().expose()).is_some());
    assert_eq!(alice.last_activity(), seen);
    world.pass(std::time::Duration::from_secs(30));
    assert!(world.auth.token_of(errand.secret().expose()).is_none(), "it ends by itself, too");
    assert!(world.auth.errand_to(&ServerKey::default_of(name("nobody"))).is_none());
    world.auth.authorise("root", &name("alice"), false).await.expect("stored");
    assert!(world.auth.errand_to(&ServerKey::default_of(name("alice"))).is_none());
}
