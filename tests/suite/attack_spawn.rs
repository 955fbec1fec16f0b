//! Attacks on the life of servers: wishes that cross each other, accounts that end in the middle of a start, and a
//! store that fails there. At most one container, and none without an owner.

use std::time::Duration;

use slipway::model::{ServerState, UserName};

use crate::client::ANSWER_LIMIT;
use crate::fake::Behaviour;
use crate::world::{World, server, xsrf_of};

async fn until(words: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(ANSWER_LIMIT, waiting).await.unwrap_or_else(|_| panic!("never: {words}"));
}

/// Start, stop, look, by page, by many tabs at once, in an order that nobody foresees.
#[tokio::test(flavor = "multi_thread")]
async fn wishes_that_cross_each_other_keep_one_container_at_most() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let token = xsrf_of(&alice.get("/hub/home").await.is(200).text());
    let mut tabs = tokio::task::JoinSet::new();
    for tab in 0..8_u32 {
        let (alice, token) = (alice.clone(), token.clone());
        tabs.spawn(async move {
            for turn in 0..12_u32 {
                // A fixed mixture: every tab its own order.
                let answer = match (tab * 7 + turn * 5) % 6 {
                    0 => alice.post_form("/hub/stop/alice", &[("_xsrf", &token)]).await,
                    1 => alice.post_form("/hub/spawn/alice", &[("_xsrf", &token)]).await,
                    2 => alice.get("/hub/spawn-pending/alice").await,
                    3 => alice.get("/hub/spawn").await,
                    4 => alice.get("/user/alice/x").await,
                    _ => alice.get("/hub/home").await,
                };
                assert_ne!(answer.status.as_u16() / 100, 4, "{}", answer.text());
                assert!(answer.status != 500 && answer.status != 502, "{}", answer.text());
            }
        });
    }
    while !tabs.is_empty() {
        let count = world.backend.servers().len();
        assert!(count <= 1, "{:?}", world.backend.servers());
        while let Some(tab) = tabs.try_join_next() {
            tab.expect("no panic");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.stop_server("alice").await;
    assert!(world.backend.servers().is_empty(), "{:?}", world.backend.servers());
    world.start_server("alice").await;
    alice.scripting().get("/user/alice/x").await.is(200);
    assert_eq!(world.backend.servers().len(), 1);
}

/// The account ends while its server is being made.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_ends_during_a_start_leaves_no_container() {
    // The next account of the name has the volumes of the one before: without a word it would not start.
    let world = World::with(&[("SLIPWAY_SPAWNER_LEFT_OVER_VOLUMES", "give")]).await;
    let admin = world.admin("root").await;
    for round in 0..3 {
        world.add_user("alice", false).await;
        let alice = world.sign_in("alice").await;
        world.backend.behave("alice", Behaviour::WaitsInCreate);
        let creates = world.backend.creates();
        alice.get("/hub/spawn-pending/alice").await.is(200);
        until("the engine is asked", || world.backend.creates() > creates).await;
        let deleting = tokio::spawn({
            let admin = admin.clone();
            async move { admin.administer("delete", &["alice"]).await.status }
        });
        let name = UserName::parse("alice").expect("a name");
        until("the account has ended", || world.app.auth.user(&name).is_none()).await;
        // Nobody starts it again in between, whoever still has the page open.
        alice.get("/hub/spawn-pending/alice").await.is(302);
        world.backend.let_go();
        assert_eq!(deleting.await.expect("no panic"), 200, "round {round}");
        until("the container has gone", || world.backend.servers().is_empty()).await;
        world.backend.behave("alice", Behaviour::Answers);
        assert_eq!(world.app.spawner.status(&server("alice")).state, ServerState::Stopped);
    }
}

/// A server whose program ends, over and over, while its owner asks for it: no loop, no second container.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_again_and_again_is_started_by_its_owner_alone() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    for round in 1..=5 {
        world.start_server("alice").await;
        assert_eq!(world.backend.creates(), round);
        world.backend.die("alice", 1);
        world.wait_until("alice", "over", |status| !matches!(status.state, ServerState::Ready)).await;
        // A script that goes on asking starts nothing.
        for _ in 0..5 {
            let status = alice.scripting().get("/user/alice/api/contents").await.status.as_u16();
            assert!(matches!(status, 424 | 503), "{status}");
        }
        assert_eq!(world.backend.creates(), round);
    }
}
