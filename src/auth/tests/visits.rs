//! Visits to others' servers: rows for the log, words for the owner.

use super::super::Caller;
use super::super::visits::VISITS_LIMIT;
use super::*;

async fn visitor(world: &World, name: &str) -> Caller {
    Caller::Session(world.sign_in(name).await.1)
}

fn server(owner: &str) -> ServerKey {
    server_of(&name(owner))
}

async fn rows(world: &World) -> Vec<String> {
    world.auth.flush_activity().await.expect("stored");
    let rows = world.auth.0.store.audit(usize::MAX).expect("readable");
    let visits = rows.into_iter().filter(|row| row.act == "opened server of");
    visits.map(|row| format!("{} {} {:?}", row.actor, row.object, row.from.map(|from| from.to_string()))).collect()
}

#[tokio::test]
async fn a_visit_to_somebody_elses_server_is_a_row_an_hour_and_its_owner_is_told() {
    let world = World::new().await;
    world.admin("root").await;
    world.user("alice").await;
    let (root, alice) = (visitor(&world, "root").await, visitor(&world, "alice").await);
    world.auth.note_visit(&alice, &server("alice"), address(9));
    assert!(rows(&world).await.is_empty(), "her own");
    for _ in 0..3 {
        world.auth.note_visit(&root, &server("alice"), address(9));
        world.pass(Duration::from_secs(600));
    }
    assert_eq!(rows(&world).await, ["root alice Some(\"10.0.0.9\")"]);
    world.pass(HOUR);
    world.auth.note_visit(&root, &server("alice"), address(9));
    assert_eq!(rows(&world).await.len(), 2);
    let told = world.auth.visits_of(&name("alice"));
    assert_eq!((told.len(), told[0].name.as_str(), &told[0].server), (1, "root", &server("alice")));
    assert_eq!(world.auth.visits_of(&name("root")), []);
    world.pass(HOUR * 24);
    assert_eq!(world.auth.visits_of(&name("alice")), []);
}

#[tokio::test]
async fn a_crowd_of_visits_finds_an_end() {
    let world = World::new().await;
    world.admin("root").await;
    let root = visitor(&world, "root").await;
    for n in 0..VISITS_LIMIT + 5 {
        world.auth.note_visit(&root, &server(&format!("u{n}")), address(9));
    }
    assert_eq!(rows(&world).await.len(), VISITS_LIMIT);
    world.pass(HOUR * 24);
    assert_eq!(rows(&world).await.len(), VISITS_LIMIT);
    world.auth.note_visit(&root, &server("u0"), address(9));
    assert_eq!(rows(&world).await.len(), VISITS_LIMIT + 1, "there is room again");
}
