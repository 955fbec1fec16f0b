//! Named servers, options and limits, with the stage of the other tests.

use serde_json::json;

use super::*;
use crate::model::{DisplayName, ServerName, ServerOptions};
use crate::spawner::{Change, Defined, NamedServers, Profile};

fn named(name: &str) -> ServerKey {
    ServerKey { name: ServerName::parse(name).expect("a name"), ..user("alice") }
}

fn options(value: serde_json::Value) -> Option<ServerOptions> {
    Some(ServerOptions::parse(value).expect("options"))
}

fn display(name: &str) -> Option<DisplayName> {
    Some(DisplayName::parse(name).expect("a display name"))
}

fn with_named(config: &mut Config) {
    config.named_servers_per_user = NamedServers::AtMost(3);
    config.profiles = vec![
        Profile {
            name: "big".into(),
            limits: ResourceLimits { memory_bytes: Some(8 << 30), cpu_cores: Some(4.0) },
            environment: [("SIZE".to_owned(), "big".to_owned())].into(),
            ..Profile::default()
        },
        Profile { name: "staff".into(), groups: vec!["staff".into()], ..Profile::default() },
    ];
}

impl World {
    fn names(&self) -> Vec<String> {
        self.spawner.servers_of(&user("alice").user).into_iter().map(|(key, _)| key.name.as_str().into()).collect()
    }

    fn stored(&self, server: &ServerKey) -> Option<store::ServerRow> {
        self.stage.store.server(server).expect("readable")
    }

    fn last_order(&self) -> Order {
        self.stage.orders.lock().last().cloned().expect("something was created")
    }
}

#[tokio::test]
async fn a_named_server_exists_once_defined_and_is_there_after_a_crash() {
    let world = World::new(with_named).await;
    let gpu = named("gpu");
    assert_eq!((world.names(), world.spawner.record(&gpu)), (vec![String::new()], None));
    let defined = world.spawner.define(&gpu, display("My GPU"), options(json!({ "profile": "big" }))).await;
    assert_eq!(defined.expect("written"), Defined::Created);
    assert!(world.stored(&gpu).is_some(), "durable before the answer");
    assert_eq!(world.spawner.define(&gpu, None, None).await.expect("known"), Defined::Exists);
    let world = world.reopen().await;
    assert_eq!(world.names(), ["", "gpu"]);
    let record = world.spawner.record(&gpu).expect("it exists");
    assert_eq!(record.display_name, display("My GPU"));
    assert_eq!(record.options, options(json!({ "profile": "big" })));
    assert_eq!(world.spawner.status(&gpu).state, ServerState::Stopped);
}

#[tokio::test]
async fn options_stay_for_the_next_starts_and_what_was_chosen_is_what_is_made() {
    let world = World::new(with_named).await;
    let alice = user("alice");
    let wish =
        Wish { options: options(json!({ "profile": "big", "cells": 3 })), display_name: None, by: "test".into() };
    world.spawner.start(&alice, wish).await.expect("taken");
    assert!(world.stored(&alice).is_some_and(|row| row.options.is_some()), "durable before the answer");
    world.until(&alice, |state| *state == ServerState::Ready).await;
    for _ in 0..2 {
        let order = world.last_order();
        assert_eq!(order.limits, ResourceLimits { memory_bytes: Some(8 << 30), cpu_cores: Some(4.0) });
        assert_eq!(order.environment.0.get("SIZE").map(String::as_str), Some("big"));
        assert_eq!(order.environment.0.get("MEM_LIMIT").map(String::as_str), Some("8589934592"));
        // One that runs takes no options; the next start has those of the one before.
        let other = Wish { options: options(json!({})), display_name: None, by: "test".into() };
        world.spawner.start(&alice, other).await.expect("taken");
        world.spawner.stop(&alice, "test").await.expect("taken");
        world.until(&alice, |state| *state == ServerState::Stopped).await;
        world.ready(&alice).await;
    }
    let world = world.reopen().await;
    let record = world.spawner.record(&alice).expect("known");
    assert_eq!((record.profile.as_deref(), record.limits.cpu_cores), (Some("big"), Some(4.0)));
    world.until(&alice, |state| *state == ServerState::Ready).await;
    world.spawner.stop(&alice, "test").await.expect("taken");
    world.until(&alice, |state| *state == ServerState::Stopped).await;
    let plain = Wish { options: options(json!({})), display_name: None, by: "test".into() };
    world.spawner.start(&alice, plain).await.expect("taken");
    world.until(&alice, |state| *state == ServerState::Ready).await;
    assert_eq!(world.last_order().limits, ResourceLimits::default());
}

#[tokio::test]
async fn options_that_may_not_be_chosen_start_nothing_and_change_nothing() {
    let world = World::new(with_named).await;
    let (alice, bob) = (user("alice"), user("bob"));
    for (server, value) in [(&alice, json!({ "profile": "tpu" })), (&bob, json!({ "profile": "staff" }))] {
        let wish = Wish { options: options(value), display_name: None, by: "test".into() };
        let refused = world.spawner.start(server, wish).await;
        assert!(matches!(&refused, Err(SpawnerError::BadOptions(text)) if text.contains("big")), "{refused:?}");
        assert_eq!((world.spawner.record(server), world.stored(server)), (None, None));
    }
    let wish = Wish { options: options(json!({ "profile": "staff" })), display_name: None, by: "test".into() };
    world.spawner.start(&alice, wish).await.expect("she is in that group");
    world.until(&alice, |state| *state == ServerState::Ready).await;
    let names =
        |user: &ServerKey| world.spawner.offer(&user.user).profiles.into_iter().map(|p| p.name).collect::<Vec<_>>();
    assert_eq!((names(&alice), names(&bob)), (vec!["big".into(), "staff".into()], vec!["big".to_owned()]));
}

#[tokio::test]
async fn two_who_come_for_the_last_place_do_not_both_get_it() {
    let world = World::new(with_named).await;
    let all: Vec<ServerKey> = (0..10).map(|number| named(&format!("s{number}"))).collect();
    let wishes = all.iter().enumerate().map(async |(number, server)| {
        if number % 2 == 0 {
            world.spawner.define(server, None, None).await.map(|_| ())
        } else {
            world.spawner.start(server, Wish::of("test")).await.map(|_| ())
        }
    });
    let results = futures_util::future::join_all(wishes).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3);
    let refused = |result: &&Result<(), SpawnerError>| matches!(result, Err(SpawnerError::TooManyNamed { limit: 3 }));
    assert_eq!(results.iter().filter(refused).count(), 7);
    assert_eq!(world.names().len(), 4);
    assert_eq!(world.stage.store.servers().expect("readable").len(), 3, "and nothing of the others is kept");
    let others = ServerKey { user: user("bob").user, ..named("gpu") };
    assert!(world.spawner.define(&others, None, None).await.is_ok(), "each user has a limit of his own");
}

#[tokio::test]
async fn names_and_the_switch_are_looked_at_for_new_servers() {
    let world = World::new(with_named).await;
    for bad in ["GPU", "my_gpu", "2x"] {
        let refused = world.spawner.start(&named(bad), Wish::of("test")).await;
        assert!(matches!(refused, Err(SpawnerError::BadName(_))), "{bad}: {refused:?}");
    }
    // One of an older hub, as an import writes it.
    let odd = store::ServerRow::new(named("My_GPU"));
    world.stage.store.write(|transaction| transaction.put_server(&odd)).expect("written");
    let mut world = world.reopen().await;
    world.ready(&named("My_GPU")).await;
    world.config.named_servers_per_user = NamedServers::Off;
    let world = world.reopen().await;
    world.until(&named("My_GPU"), |state| *state == ServerState::Ready).await;
    assert!(matches!(world.spawner.define(&named("x"), None, None).await, Err(SpawnerError::NamedServersOff)));
    world.spawner.stop(&named("My_GPU"), "test").await.expect("what runs can be stopped");
    world.until(&named("My_GPU"), |state| *state == ServerState::Stopped).await;
    let refused = world.spawner.start(&named("My_GPU"), Wish::of("test")).await;
    assert!(matches!(refused, Err(SpawnerError::NamedServersOff)), "{refused:?}");
    world.spawner.remove(&named("My_GPU"), "test").await.expect("and removed");
}

#[tokio::test]
async fn no_more_servers_run_than_may() {
    let world = World::new(|config| config.active_servers = Some(2)).await;
    world.ready(&user("a")).await;
    world.ready(&user("b")).await;
    let refused = world.spawner.start(&user("c"), Wish::of("test")).await;
    assert!(matches!(refused, Err(SpawnerError::TooManyActive { .. })), "{refused:?}");
    assert!(world.spawner.start(&user("a"), Wish::of("test")).await.is_ok(), "it runs already");
    let world = world.reopen().await;
    let refused = world.spawner.start(&user("c"), Wish::of("test")).await;
    assert!(matches!(refused, Err(SpawnerError::TooManyActive { .. })), "those that run on count: {refused:?}");
    world.until(&user("a"), |state| *state == ServerState::Ready).await;
    world.spawner.stop(&user("a"), "test").await.expect("taken");
    world.until(&user("a"), |state| *state == ServerState::Stopped).await;
    world.ready(&user("c")).await;
}

#[tokio::test]
async fn a_stopped_server_can_be_changed_and_gets_another_name() {
    let world = World::new(with_named).await;
    let (gpu, cpu) = (named("gpu"), named("cpu"));
    world.ready(&gpu).await;
    let change = || Change { display_name: display("Big"), options: options(json!({ "profile": "big" })), name: None };
    assert!(matches!(world.spawner.change(&gpu, change()).await, Err(SpawnerError::Running)));
    assert!(matches!(world.spawner.change(&cpu, change()).await, Err(SpawnerError::NoSuchServer)));
    world.spawner.stop(&gpu, "test").await.expect("taken");
    world.until(&gpu, |state| *state == ServerState::Stopped).await;
    world.spawner.change(&gpu, change()).await.expect("it is stopped");
    let bad = Change { options: options(json!({ "profile": "tpu" })), ..Change::default() };
    assert!(matches!(world.spawner.change(&gpu, bad).await, Err(SpawnerError::BadOptions(_))));

    world.spawner.define(&named("taken"), None, None).await.expect("defined");
    let rename = |name: &str| Change { name: Some(ServerName::parse(name).expect("a name")), ..Change::default() };
    assert!(matches!(world.spawner.change(&gpu, rename("taken")).await, Err(SpawnerError::NameTaken)));
    assert!(matches!(
        world.spawner.change(&gpu, rename("My GPU".replace(' ', "_").as_str())).await,
        Err(SpawnerError::BadName(_))
    ));
    world.spawner.change(&gpu, rename("cpu")).await.expect("renamed");
    assert_eq!((world.stored(&gpu), world.stored(&cpu).map(|row| row.generation)), (None, Some(Generation(1))));
    let world = world.reopen().await;
    assert_eq!(world.names(), ["", "cpu", "taken"]);
    assert_eq!(world.spawner.record(&cpu).and_then(|record| record.display_name.clone()), display("Big"));
    assert_eq!(world.ready(&cpu).await.generation, Generation(2));
    assert!(world.has_route(&cpu) && !world.has_route(&gpu));
}

#[tokio::test]
async fn a_removed_server_is_stopped_and_forgotten_and_starts_none_meanwhile() {
    let world = World::new(with_named).await;
    let gpu = named("gpu");
    assert!(matches!(world.spawner.remove(&gpu, "test").await, Err(SpawnerError::NoSuchServer)));
    world.ready(&gpu).await;
    world.ready(&user("alice")).await;
    let (removed, again, refused) = tokio::join!(
        world.spawner.remove(&gpu, "test"),
        world.spawner.remove(&gpu, "test"),
        world.spawner.start(&gpu, Wish::of("test"))
    );
    removed.expect("removed");
    again.expect("the same");
    assert!(matches!(refused, Err(SpawnerError::Stopping)), "{refused:?}");
    assert_eq!((world.names(), world.stored(&gpu)), (vec![String::new()], None));
    assert!(!world.has_route(&gpu) && world.has_route(&user("alice")));
    assert_eq!(world.stage.sight(&gpu), Sight::Gone);
    assert_eq!(*world.tokens.live.lock(), [user("alice")]);
    assert_eq!(world.ready(&gpu).await.generation, Generation(1));
}

#[tokio::test]
async fn servers_go_with_the_account_that_gets_another_name() {
    let world = World::new(with_named).await;
    let (alice, gpu) = (user("alice"), named("gpu"));
    let to = UserName::parse("alicia").expect("a name");
    let wish = Wish { options: options(json!({ "profile": "big" })), display_name: display("Mine"), by: "test".into() };
    world.spawner.start(&gpu, wish).await.expect("taken");
    world.until(&gpu, |state| *state == ServerState::Ready).await;
    assert!(matches!(world.spawner.hold(&alice.user).await, Err(SpawnerError::Running)));
    world.spawner.stop(&gpu, "test").await.expect("taken");
    world.until(&gpu, |state| *state == ServerState::Stopped).await;
    let hold = world.spawner.hold(&alice.user).await.expect("all is stopped");
    assert!(matches!(world.spawner.start(&alice, Wish::of("test")).await, Err(SpawnerError::Stopping)));
    let renamed = world.stage.store.write(|transaction| {
        transaction.rename_servers(&alice.user, &to)?;
        transaction.put_user(&account(to.as_str()))
    });
    renamed.expect("written");
    hold.renamed(&to).await.expect("told");
    let theirs = ServerKey { user: to.clone(), ..gpu.clone() };
    assert_eq!((world.spawner.record(&gpu), world.names().len()), (None, 1));
    let world = world.reopen().await;
    assert_eq!(world.spawner.servers_of(&to).len(), 2);
    assert_eq!(world.spawner.record(&theirs).and_then(|record| record.display_name.clone()), display("Mine"));
    assert_eq!(world.ready(&theirs).await.generation, Generation(2));
    world.ready(&alice).await;
}

#[tokio::test]
async fn a_hold_that_is_dropped_lets_servers_start() {
    let world = World::new(|_| {}).await;
    drop(world.spawner.hold(&user("alice").user).await.expect("nothing runs"));
    world.ready(&user("alice")).await;
}

#[tokio::test]
async fn a_start_that_waits_can_be_taken_back_and_the_named_server_stays_defined() {
    let world = World::new(|config| {
        with_named(config);
        config.starts_at_once = 1;
    })
    .await;
    world.stage.gate.forget_permits(1_000);
    world.spawner.start(&user("first"), Wish::of("test")).await.expect("taken");
    world.creating(1).await;
    let wish = Wish { options: options(json!({ "profile": "big" })), display_name: None, by: "test".into() };
    world.spawner.start(&named("gpu"), wish).await.expect("taken");
    assert_eq!(world.spawner.status(&named("gpu")).state.pending(), Some("spawn"));
    let status = world.spawner.stop(&named("gpu"), "test").await.expect("taken");
    assert_eq!(status.state, ServerState::Stopped);
    world.stage.gate.add_permits(1_000);
    world.until(&user("first"), |state| *state == ServerState::Ready).await;
    let world = world.reopen().await;
    assert_eq!(world.names(), ["", "gpu"]);
    assert_eq!(world.stage.created.lock().len(), 1);
}
