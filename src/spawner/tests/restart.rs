//! Restarts with a real store and real routes: on an engine that tells everybody of the end in their middle.

use super::*;

impl World {
    fn address(&self, server: &ServerKey) -> Option<UpstreamAddress> {
        let table = self.tokens.routes.current();
        table.get(&server.route_key(&root())).map(|route| route.upstream.address.clone())
    }

    /// Waits until so many restarts have begun at the engine.
    async fn restarting(&self, count: usize) {
        let waited = timeout(PATIENCE, async {
            while self.stage.restarting.load(Ordering::SeqCst) != count {
                tokio::task::yield_now().await;
            }
        });
        waited.await.expect("the engine is asked");
    }

    async fn list_is_taken(&self, list: Vec<Found>) {
        self.spawner.mail.send(Mail::Listed(list)).await.map_err(|_| "closed").expect("taken");
        // A letter behind it has been answered: it has been read.
        self.spawner.stop(&user("nobody"), "test").await.expect("the wish is taken");
    }

    /// Who did what to a server, oldest first.
    fn audit(&self) -> Vec<(String, String, String)> {
        let rows = self.stage.store.audit(100).expect("readable");
        rows.into_iter().rev().map(|row| (row.actor, row.act, row.object)).collect()
    }

    fn row(&self, server: &ServerKey) -> store::ServerRow {
        self.stage.store.server(server).expect("readable").expect("there is one")
    }
}

fn told(actor: &str, act: &str) -> (String, String, String) {
    (actor.to_owned(), act.to_owned(), "alice".to_owned())
}

#[tokio::test]
async fn a_restart_keeps_generation_and_token_and_takes_the_new_address_up() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    let before = world.ready(&alice).await;
    let (old_address, old_list) = (world.address(&alice), world.stage.list().await.expect("a list"));
    let route = world.tokens.routes.current().get(&alice.route_key(&root())).cloned().expect("a route");
    world.stage.restart_gate.forget_permits(1_000);
    let status = world.spawner.restart(&alice, "root").await.expect("accepted");
    assert_eq!((&status.state, status.state.pending()), (&ServerState::Restarting, Some("spawn")));
    assert!(!world.has_route(&alice) && route.upstream.gone.is_cancelled(), "open sockets end before anything else");
    world.restarting(1).await;
    assert!(world.row(&alice).restarting && world.row(&alice).wanted);

    // Its end is an event already; now lists, an old report and impatient people come by.
    for list in [world.stage.list().await.expect("a list"), old_list.clone(), vec![]] {
        world.list_is_taken(list).await;
        world.spawner.report_unreachable(Unreachable { server: alice.clone(), generation: before.generation });
        world.spawner.start(&alice, Wish::of("test")).await.expect("the wish is taken");
        let again = world.spawner.restart(&alice, "bob").await.expect("it is the same restart");
        assert_eq!(again.state, ServerState::Restarting);
    }
    world.stage.restart_gate.add_permits(1_000);
    let after = world.until(&alice, |state| *state == ServerState::Ready).await;
    assert_eq!((after.generation, after.started_at), (before.generation, before.started_at));
    assert!(world.address(&alice).is_some() && world.address(&alice) != old_address, "the route has followed it");
    // What was listed before and in the middle of it is read only now.
    world.list_is_taken(old_list).await;
    let exited = Sight::Exited(Exit { code: Some(9), out_of_memory: false });
    let late = Notice { server: alice.clone(), generation: before.generation, sight: exited };
    world.stage.notices.send(late).expect("somebody listens");
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.spawner.status(&alice).state, ServerState::Ready);
    assert_eq!((world.stage.created.lock().len(), world.stage.restarting.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(*world.tokens.live.lock(), std::slice::from_ref(&alice), "its token is the same");
    let written = || {
        timeout(PATIENCE, async {
            while world.row(&alice).restarting {
                tokio::task::yield_now().await;
            }
        })
    };
    written().await.expect("it is written down that it is over");
    assert_eq!(world.audit(), [told("test", "started server"), told("root", "restarted server")]);
}

#[tokio::test]
async fn only_what_runs_is_restarted_and_a_refusal_changes_nothing() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    let refused = world.spawner.restart(&alice, "test").await;
    assert!(matches!(refused, Err(SpawnerError::NotRunning)), "{refused:?}");
    world.ready(&alice).await;
    world.stage.is_down.store(true, Ordering::SeqCst);
    let refused = world.spawner.restart(&alice, "test").await;
    assert!(matches!(&refused, Err(SpawnerError::Engine(error)) if error.is_silence()), "{refused:?}");
    assert!(world.has_route(&alice) && !world.row(&alice).restarting, "nobody's work was touched");
    world.stage.is_down.store(false, Ordering::SeqCst);
    world.stage.servers.lock().clear();
    let refused = world.spawner.restart(&alice, "test").await;
    assert!(matches!(refused, Err(SpawnerError::ContainerGone)), "{refused:?}");
    world.until(&alice, |state| matches!(state, ServerState::Failed(_))).await;
    let refused = world.spawner.restart(&alice, "test").await;
    assert!(matches!(refused, Err(SpawnerError::NotRunning)), "{refused:?}");
    assert_eq!(world.audit(), [told("test", "started server")]);
}

#[tokio::test]
async fn a_restart_that_does_not_come_back_is_told_like_a_start() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    world.ready(&alice).await;
    let exit = Exit { code: Some(7), out_of_memory: false };
    *world.stage.restart_ends_in.lock() = Some(Sight::Exited(exit));
    world.spawner.restart(&alice, "test").await.expect("accepted");
    let status = world.until(&alice, is_failed).await;
    assert_eq!((failure(&status).exit_code, &failure(&status).log_tail), (Some(7), &vec!["last words".to_owned()]));
    assert!(world.tokens.live.lock().is_empty() && !world.has_route(&alice));
    assert_eq!(world.ready(&alice).await.generation, Generation(2));
}

#[tokio::test]
async fn an_engine_that_falls_silent_in_the_middle_costs_nobody_a_server() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    world.ready(&alice).await;
    world.stage.restart_gate.forget_permits(1_000);
    world.spawner.restart(&alice, "test").await.expect("accepted");
    world.restarting(1).await;
    world.stage.is_down.store(true, Ordering::SeqCst);
    world.stage.restart_gate.add_permits(1_000);
    world.until(&alice, |state| matches!(state, ServerState::Starting(_))).await;
    // It had come so far as to start it.
    world.stage.is_down.store(false, Ordering::SeqCst);
    world.stage.start(&handle_of(&alice)).await.expect("it runs");
    world.pass(Duration::from_secs(11)).await;
    assert_eq!(world.until(&alice, |state| *state == ServerState::Ready).await.generation, Generation(1));
    assert_eq!(world.stage.restarting.load(Ordering::SeqCst), 1, "once was wished");
    assert!(!world.row(&alice).restarting);
}

#[tokio::test]
async fn a_stop_during_a_restart_comes_after_it_and_leaves_nothing() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    world.ready(&alice).await;
    world.stage.restart_gate.forget_permits(1_000);
    world.spawner.restart(&alice, "test").await.expect("accepted");
    world.restarting(1).await;
    let status = world.spawner.stop(&alice, "culler").await.expect("taken");
    assert_eq!(status.state, ServerState::Stopping);
    world.stage.restart_gate.add_permits(1_000);
    world.until(&alice, |state| *state == ServerState::Stopped).await;
    assert_eq!(world.stage.sight(&alice), Sight::Gone);
    assert!(!world.has_route(&alice) && world.tokens.live.lock().is_empty());
    let acts = ["started server", "restarted server", "stopped server"];
    let written = timeout(PATIENCE, async {
        while world.audit().len() < acts.len() {
            tokio::task::yield_now().await;
        }
    });
    written.await.expect("all of it is told");
    assert_eq!(world.audit(), [told("test", acts[0]), told("test", acts[1]), told("culler", acts[2])]);
}

#[tokio::test]
async fn a_slipway_that_dies_in_the_middle_of_a_restart_ends_it() {
    for is_there in [true, false] {
        let world = World::new(|_| {}).await;
        let alice = user("alice");
        world.ready(&alice).await;
        world.stage.restart_gate.forget_permits(1_000);
        world.spawner.restart(&alice, "test").await.expect("accepted");
        world.restarting(1).await;
        let stage = world.stage.clone();
        if !is_there {
            stage.servers.lock().clear();
        }
        let world = world.reopen().await;
        assert_eq!(world.spawner.status(&alice).state, ServerState::Restarting, "whoever looks waits for it");
        stage.restart_gate.add_permits(1_000);
        let after = world.until(&alice, |state| *state == ServerState::Ready).await;
        // What is there is restarted once more; what is gone begins anew, as its owner expects to find it.
        assert_eq!(after.generation, Generation(if is_there { 1 } else { 2 }));
        if !is_there {
            assert_eq!(world.audit().last(), Some(&told("slipway", "started server")), "nobody asked for this one");
        }
    }
}

#[tokio::test]
async fn a_restart_that_was_accepted_is_not_done_a_second_time_by_the_next_run() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    world.ready(&alice).await;
    world.spawner.restart(&alice, "test").await.expect("accepted");
    world.until(&alice, |state| *state == ServerState::Ready).await;
    timeout(PATIENCE, async {
        while world.row(&alice).restarting {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is written down that it is over");
    let world = world.reopen().await;
    world.until(&alice, |state| *state == ServerState::Ready).await;
    assert_eq!(world.stage.restarting.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn whatever_comes_between_restarts_ends_in_a_legal_state() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    world.ready(&alice).await;
    let wishes = (0..60).map(|number| {
        let (spawner, alice) = (world.spawner.clone(), alice.clone());
        async move {
            for _ in 0..number % 7 {
                tokio::task::yield_now().await;
            }
            match number % 3 {
                0 => spawner.restart(&alice, "test").await.map(|_| ()).or_else(|error| match error {
                    SpawnerError::NotRunning | SpawnerError::ContainerGone => Ok(()),
                    error => Err(error),
                }),
                1 => spawner.stop(&alice, "test").await.map(|_| ()),
                _ => spawner.start(&alice, Wish::of("test")).await.map(|_| ()),
            }
        }
    });
    for wish in futures_util::future::join_all(wishes).await {
        wish.expect("taken or refused");
    }
    world.until(&alice, |state| state.pending().is_none()).await;
    let is_ready = world.spawner.status(&alice).state == ServerState::Ready;
    assert_eq!(world.has_route(&alice), is_ready);
    let after = world.ready(&alice).await;
    assert_eq!(world.stage.servers.lock().get(&alice).map(|(generation, _)| *generation), Some(after.generation));
    assert!(world.has_route(&alice) && world.tokens.live.lock().iter().filter(|live| **live == alice).count() == 1);
}

#[tokio::test]
async fn starts_and_stops_are_told_with_their_actors_in_the_commits_they_need_anyway() {
    let world = World::new(|_| {}).await;
    let alice = user("alice");
    let token = crate::model::TokenId(7);
    let culler = Actor { name: "idle-culler".into(), from: None, token: Some(token) };
    world.spawner.start(&alice, Wish::of("alice")).await.expect("taken");
    // Whoever finds a start under way has started nothing.
    world.spawner.start(&alice, Wish::of("bob")).await.expect("taken");
    world.until(&alice, |state| *state == ServerState::Ready).await;
    world.spawner.stop(&alice, &culler).await.expect("taken");
    world.spawner.stop(&alice, "bob").await.expect("taken");
    world.until(&alice, |state| *state == ServerState::Stopped).await;
    // Nothing is left to stop.
    world.spawner.stop(&alice, "bob").await.expect("taken");
    let rows: Vec<_> = world.stage.store.audit(100).expect("readable").into_iter().rev().collect();
    let told: Vec<_> = rows.iter().map(|row| (row.actor.as_str(), row.act.as_str(), row.token)).collect();
    assert_eq!(told, [("alice", "started server", None), ("idle-culler", "stopped server", Some(token))]);
}
