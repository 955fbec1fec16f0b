//! Containers that another hub made: a row of a takeover names them, and they run on without a label of ours.

use serde_json::json;
use slipway::model::{Generation, ServerKey, ServerState};
use slipway::spawner::docker;
use slipway::store::ServerRow;

use crate::world::{World, alice, docker as run, inspected, user};

const INSTANT: &str = "slipway-instant:test";

/// Starts a container as DockerSpawner would, on the engine's own network.
fn of_another_hub(name: &str, user: &str, options: &[&str]) -> String {
    let user = format!("JUPYTERHUB_USER={user}");
    let url = "JUPYTERHUB_SERVICE_URL=http://0.0.0.0:8888/user/alice/";
    let fixed = ["run", "-d", "--name", name, "-e", &user, "-e", url];
    run(&[&fixed[..], options, &[INSTANT]].concat())
}

fn row(server: ServerKey, container: &str, adopted_from: &str) -> ServerRow {
    ServerRow {
        handle: Some(json!({ "container": container, "adopted_from": adopted_from }).into()),
        wanted: true,
        generation: Generation(1),
        ..ServerRow::new(server)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_another_hub_runs_on_and_is_touched_for_its_own_user_alone() {
    let world = World::with(INSTANT, |_| {}).await;
    let name = format!("{}-old", world.container(&alice()));
    let volume = format!("{name}:/home/jovyan");
    let container = of_another_hub(&name, "Alice", &["-v", &volume]);
    let (bob, carol) = (user("bob"), user("carol"));
    let rows = [
        row(alice(), &container, "Alice"),
        // The same one, in the row of somebody else; and one that is not there any more.
        row(bob.clone(), &container, "bob"),
        row(carol.clone(), &"0".repeat(64), "carol"),
    ];
    world.store.write(|t| rows.iter().try_for_each(|row| t.put_server(row))).expect("a commit");
    let (world, _) = world.die().reopen().await;
    assert_eq!(world.settled(&alice()).await.state, ServerState::Ready);
    for other in [&bob, &carol] {
        assert_eq!(world.settled(other).await.state, ServerState::Stopped);
        assert!(!world.has_route(other));
    }
    assert!(world.has_route(&alice()));
    assert_eq!((world.backend.count("create"), world.backend.count("start")), (0, 0));
    assert_eq!(inspected(&container)["State"]["Running"], true);

    // No list has it, and it lives: it is looked for by its id.
    let (world, _) = world.die().reopen().await;
    assert_eq!(world.settled(&alice()).await.state, ServerState::Ready);

    assert_eq!(world.stop(&alice()).await.state, ServerState::Stopped);
    let all = run(&["ps", "-aq", "--no-trunc"]);
    assert!(!all.contains(&container), "its files are in a volume, so it goes");
    assert_eq!(world.start(&alice()).await.state, ServerState::Ready);
    assert_eq!(inspected(&world.container(&alice()))["Config"]["Labels"]["slipway.instance"], world.instance());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_with_files_that_are_nowhere_else_is_put_aside() {
    let world = World::with(INSTANT, |_| {}).await;
    // It has the very name that ours will have.
    let name = world.container(&alice());
    let container = of_another_hub(&name, "alice", &[]);
    world.store.write(|t| t.put_server(&row(alice(), &container, "alice"))).expect("a commit");
    let (world, _) = world.die().reopen().await;
    assert_eq!(world.settled(&alice()).await.state, ServerState::Ready);
    assert_eq!(world.stop(&alice()).await.state, ServerState::Stopped);
    let aside = inspected(&container);
    assert_eq!(
        (aside["State"]["Running"].as_bool(), aside["Name"].as_str()),
        (Some(false), Some(format!("/{name}.before-slipway").as_str()))
    );
    assert_eq!(world.start(&alice()).await.state, ServerState::Ready, "the name is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_runs_where_we_cannot_reach_it_is_left_alone() {
    let world = World::with(INSTANT, |plan| plan.docker = docker::Config { port: 8888, ..plan.docker.clone() }).await;
    let name = format!("{}-old", world.container(&alice()));
    let container = of_another_hub(&name, "alice", &["--network", "none"]);
    world.store.write(|t| t.put_server(&row(alice(), &container, "alice"))).expect("a commit");
    let (world, _) = world.die().reopen().await;
    // Looked at more than once, and never given up.
    crate::world::eventually(|| world.backend.count("inspect") >= 2).await;
    assert!(matches!(world.spawner.status(&alice()).state, ServerState::Starting(_)));
    assert_eq!((world.backend.count("stop"), world.backend.count("remove")), (0, 0));
    assert_eq!(inspected(&container)["State"]["Running"], true);
}
