//! What the audit is told of servers: everything that was done, also what was done while the disk took nothing.

use super::*;

/// Waits until the audit holds just these acts, in any order.
async fn holds(world: &World, expected: &[(&str, &str)]) {
    let mut expected: Vec<_> = expected.iter().map(|(act, server)| ((*act).to_owned(), (*server).to_owned())).collect();
    expected.sort();
    let told = || {
        let rows = world.stage.store.audit(100).expect("readable");
        let mut acts: Vec<_> = rows.into_iter().map(|row| (row.act, row.object)).collect();
        acts.sort();
        acts
    };
    let waited = timeout(PATIENCE, async {
        while told() != expected {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "{:?}, and it should be {expected:?}", told());
}

#[tokio::test]
async fn stops_that_a_full_disk_kept_back_are_told_later_whatever_became_of_the_server() {
    let world = World::new(|_| {}).await;
    let (alice, bob, a) = (user("alice"), user("bob"), user("a"));
    for server in [&alice, &bob, &a] {
        world.ready(server).await;
    }
    world.stage.store.set_disk(false);
    for server in [&alice, &bob, &a] {
        world.spawner.stop(server, "test").await.expect("a full disk stops no stop");
        world.until(server, |state| *state == ServerState::Stopped).await;
    }
    // One is started again meanwhile, in vain, …
    world.spawner.start(&alice, Wish::of("test")).await.expect("the wish is taken");
    world.until(&alice, |state| matches!(state, ServerState::Failed(_))).await;
    world.stage.store.set_disk(true);
    // … one goes with its account, and one gets another name.
    world.spawner.forget_user(&bob.user).await.expect("it goes");
    world.spawner.hold(&a.user).await.expect("it is at rest").renamed(&user("b").user).await.expect("renamed");
    world.ready(&user("c")).await;
    let started = ["alice", "bob", "a", "c"].map(|server| ("started server", server));
    let stopped = ["alice", "bob", "a"].map(|server| ("stopped server", server));
    holds(&world, &[&started[..], &stopped[..]].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_a_full_disk_kept_back_is_told_with_the_row_that_says_so_and_not_before() {
    let world = World::new(|_| {}).await;
    let servers = ["alice", "bob", "a", "b", "first"].map(user);
    for server in &servers {
        world.ready(server).await;
    }
    world.stage.store.set_disk(false);
    for server in &servers {
        world.spawner.stop(server, "test").await.expect("a full disk stops no stop");
        world.until(server, |state| *state == ServerState::Stopped).await;
    }
    world.stage.store.set_disk(true);
    let store = world.stage.store.clone();
    let watch = tokio::task::spawn_blocking(move || {
        let begun = std::time::Instant::now();
        let mut told = 0;
        while told < servers.len() {
            assert!(begun.elapsed() < PATIENCE, "{told} stops are told");
            // First what is told, then the rows: these can only be newer.
            let acts = store.audit(100).expect("readable");
            let stopped: Vec<_> = acts.iter().filter(|row| row.act == "stopped server").collect();
            for row in &stopped {
                let server = servers.iter().find(|server| server.to_string() == row.object).expect("one of ours");
                assert!(!store.server(server).expect("readable").expect("a row").wanted, "{server} is told as stopped");
            }
            told = stopped.len();
        }
    });
    world.ready(&user("c")).await;
    watch.await.expect("no stop is told before its row says so");
}
