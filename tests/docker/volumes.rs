//! Volumes on the real engine: what goes is gone, what stays stays, and nobody finds somebody else's files.

use slipway::model::{ServerState, Timestamp, VolumeStem};
use slipway::spawner::docker::SharedVolume;
use slipway::spawner::{Backend as _, Outcome, Settlement};
use slipway::store::UserRow;

use crate::world::{World, alice, docker, failure, user};

const LAB: &str = "slipway-lab:local";

async fn lab(change: impl FnOnce(&mut crate::world::Plan)) -> World {
    World::with(LAB, |plan| {
        plan.docker.command = Some(["python3", "-m", "http.server", "8888"].map(String::from).to_vec());
        change(plan);
    })
    .await
}

fn suffixes(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn account(name: &str) -> UserRow {
    UserRow { authorised: true, ..UserRow::new(user(name).user, Timestamp(0)) }
}

fn has(container: &str, path: &str) -> bool {
    docker(&["exec", container, "sh", "-c", &format!("test -e {path} && echo yes || echo no")]) == "yes"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_deletes_the_chosen_files_alone_and_the_next_start_can_write_again() {
    let world = lab(|_| {}).await;
    let name = world.container(&alice());
    assert_eq!(world.start(&alice()).await.state, ServerState::Ready);
    let files = ["/home/jovyan/h", "/home/jovyan/work/w", "/home/jovyan/.cache/c"];
    for file in files {
        docker(&["exec", &name, "sh", "-c", &format!("echo mine > {file}")]);
    }
    let refused = world.spawner.reset_volumes(&alice().user, &suffixes(&["cache"]), "t").await;
    assert!(matches!(refused, Err(slipway::spawner::SpawnerError::Running)));
    world.stop(&alice()).await;
    let outcomes = world.spawner.reset_volumes(&alice().user, &suffixes(&["cache"]), "t").await.expect("asked");
    assert!(outcomes[0].is_reset(), "{outcomes:?}");
    let listed = world.spawner.volumes_of(&alice().user).await.expect("asked");
    assert_eq!(listed.iter().map(|each| each.suffix.as_str()).collect::<Vec<_>>(), ["home", "workspace"]);

    assert_eq!(world.start(&alice()).await.state, ServerState::Ready);
    assert_eq!(files.map(|file| has(&name, file)), [true, true, false]);
    assert_eq!(docker(&["exec", &name, "id", "-u"]), "1000");
    docker(&["exec", &name, "touch", "/home/jovyan/.cache/again"]);
    // The parent alone: what is nested in it stays.
    world.stop(&alice()).await;
    world.spawner.reset_volumes(&alice().user, &suffixes(&["home"]), "t").await.expect("asked");
    assert_eq!(world.start(&alice()).await.state, ServerState::Ready);
    assert_eq!(files.map(|file| has(&name, file)), [false, true, false]);
    assert!(has(&name, "/home/jovyan/.cache/again"));
    docker(&["exec", &name, "touch", "/home/jovyan/new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_use_stays_and_says_so_and_a_stopped_container_of_ours_does_not_keep_it() {
    let world = lab(|plan| plan.docker.remove_on_stop = false).await;
    let name = world.container(&alice());
    assert_eq!(world.start(&alice()).await.state, ServerState::Ready);
    world.stop(&alice()).await;
    assert_ne!(docker(&["ps", "-aq", "--filter", &format!("name=^/{name}$")]), "", "it is kept");
    let other = format!("{name}-other");
    docker(&["create", "--name", &other, "-v", &format!("{name}_home:/x"), LAB, "true"]);
    let outcomes = world.spawner.reset_volumes(&alice().user, &suffixes(&["home", "cache"]), "t").await;
    let outcomes = outcomes.expect("asked");
    let Outcome::Failed(reason) = &outcomes[0].outcome else { panic!("{outcomes:?}") };
    assert!(reason.contains(&other), "{reason}");
    assert!(outcomes[1].is_reset(), "{outcomes:?}");
    docker(&["rm", &other]);
    let outcomes = world.spawner.reset_volumes(&alice().user, &suffixes(&["home"]), "t").await.expect("asked");
    assert!(outcomes[0].is_reset(), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_account_finds_its_files_and_the_next_of_its_name_does_not() {
    let world = lab(|_| {}).await;
    assert_eq!(world.start(&alice()).await.state, ServerState::Ready);
    docker(&["exec", &world.container(&alice()), "touch", "/home/jovyan/work/secret"]);
    world.stop(&alice()).await;
    let (from, to) = (alice().user, user("first.last").user);
    let hold = world.spawner.hold(&from).await.expect("held");
    let renamed = world.store.write(|t| {
        t.rename_servers(&from, &to)?;
        t.delete_user(&from)?;
        t.put_user(&account("first.last"))
    });
    renamed.expect("a commit");
    hold.renamed(&to).await.expect("told");
    world.store.write(|t| t.put_user(&account("alice"))).expect("a commit");

    assert_eq!(world.start(&user("first.last")).await.state, ServerState::Ready);
    assert!(has(&world.container(&user("first.last")), "/home/jovyan/work/secret"));
    assert_eq!(world.start(&alice()).await.state, ServerState::Ready);
    assert!(!has(&world.container(&alice()), "/home/jovyan/work/secret"));
    docker(&["exec", &world.container(&alice()), "touch", "/home/jovyan/work/mine"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_up_under_a_deleted_name_gets_its_files_only_if_an_administrator_says_so() {
    let world = lab(|_| {}).await;
    assert_eq!(world.start(&alice()).await.state, ServerState::Ready);
    docker(&["exec", &world.container(&alice()), "touch", "/home/jovyan/work/secret"]);
    world.stop(&alice()).await;
    world.store.write(|t| t.delete_user(&alice().user)).expect("a commit");
    world.spawner.forget_user(&alice().user).await.expect("forgotten");
    world.store.write(|t| t.put_user(&account("alice"))).expect("a commit");

    let status = world.start(&alice()).await;
    assert!(failure(&status).sentence.contains("files of an earlier account"), "{status:?}");
    assert_eq!(docker(&["ps", "-aq", "--filter", &format!("name=^/{}$", world.container(&alice()))]), "");
    world.spawner.settle_volumes(&alice().user, Settlement::SetAside, "root").await.expect("settled");
    assert_eq!(world.start(&alice()).await.state, ServerState::Ready);
    assert!(!has(&world.container(&alice()), "/home/jovyan/work/secret"));
    world.stop(&alice()).await;
    world.spawner.settle_volumes(&alice().user, Settlement::Give, "root").await.expect("settled");
    assert_eq!(world.start(&alice()).await.state, ServerState::Ready);
    assert!(has(&world.container(&alice()), "/home/jovyan/work/secret"));
    world.stop(&alice()).await;

    let hold = world.spawner.hold(&alice().user).await.expect("held");
    world.spawner.delete_volumes(&hold, "root").await.expect("deleted");
    let left = docker(&["volume", "ls", "-q", "--filter", &format!("name={}_", world.container(&alice()))]);
    assert_eq!(left, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_says_how_large_volumes_are_and_a_shared_one_is_never_removed() {
    let world = lab(|plan| {
        let shared = format!("{}-everybody", plan.docker.name_prefix);
        plan.docker.shared_volumes.push(SharedVolume::new(shared, "/mnt/shared"));
    })
    .await;
    let name = world.container(&alice());
    assert_eq!(world.start(&alice()).await.state, ServerState::Ready);
    docker(&["exec", &name, "sh", "-c", "head -c 3000000 /dev/urandom > /home/jovyan/work/big"]);
    let sizes = world.backend.volume_sizes().await.expect("asked");
    let size = sizes[&format!("{name}_workspace")];
    assert!((3_000_000..4_000_000).contains(&size), "{size}");
    world.stop(&alice()).await;
    let listed = world.spawner.volumes_of(&alice().user).await.expect("asked");
    let last = listed.last().expect("four");
    assert_eq!((last.suffix.as_str(), last.resettable, listed.len()), ("shared", false, 4));
    assert!(!world.spawner.has_volume("shared"));
    let stem = VolumeStem::of(&alice().user);
    let removed = world.backend.remove_volume(&stem, "shared").await.expect("asked");
    assert_eq!(removed, slipway::spawner::Removal::Absent);
}
