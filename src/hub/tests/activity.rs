//! Who works how much, on the pages and in the API of administrators.

use std::time::Duration;

use axum::http::Method;

use super::users::scripting;
use super::world::World;
use crate::model::UserName;

const TEN_MINUTES: Duration = Duration::from_secs(600);

fn person<'a>(json: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let users = json["users"].as_array().expect("a list");
    users.iter().find(|user| user["username"] == name).unwrap_or_else(|| panic!("{name} is not in {json}"))
}

#[tokio::test]
async fn activity_is_sampled_told_and_forgotten() {
    let world = World::new().await;
    let root = scripting(&world.admin("root").await).await;
    let before = root.get("/hub/api/activity").await.is(200).json();
    assert!(person(&before, "root")["activity_score"].is_null(), "nobody has looked yet");
    assert!(before["sampling_status"]["last_sample"].is_null());
    let alice = world.user("alice").await;
    world.auth.add_user("test", "bob", None, false).await.expect("a user who is never here");
    alice.get("/hub/home").await.is(200);
    let looked = root.json(Method::POST, "/hub/api/activity/sample", "").await.is(200).json();
    assert_eq!((&looked["users"], &looked["active"]), (&3.into(), &2.into()), "{looked}");
    let json = root.get("/hub/api/activity").await.is(200).json();
    let alice_is = person(&json, "alice");
    assert_eq!((&alice_is["sample_count"], &alice_is["recently_active"]), (&1.into(), &true.into()));
    assert!(alice_is["activity_score"].as_u64().is_some_and(|score| score < 20), "new, and no spike: {alice_is}");
    assert_eq!(
        (&person(&json, "bob")["activity_score"], &person(&json, "bob")["last_activity"]),
        (&0.into(), &().into())
    );
    for unknown in ["cpu_percent", "memory_mb", "volume_size_mb", "container_size_rw_mb", "lab_image_upgrade_available"]
    {
        assert!(alice_is[unknown].is_null(), "{unknown}: {alice_is}");
    }
    assert_eq!((&json["cpu_host_total"], &json["memory_host_total_mb"]), (&64.into(), &262_144.0.into()));
    assert_eq!(json["memory_max_usage_mb"], 65_536.0);

    let reset = root.json(Method::POST, "/hub/api/activity/reset", "").await.is(200).json();
    assert_eq!(reset["users"], 3);
    let json = root.get("/hub/api/activity").await.is(200).json();
    assert!(person(&json, "alice")["activity_score"].is_null() && !person(&json, "alice")["last_activity"].is_null());
    let audit = root.get("/hub/audit").await.is(200).text;
    assert!(audit.contains("forgot activity of"), "{audit}");
    alice.get("/hub/api/activity").await.is(403);
    scripting(&alice).await.json(Method::POST, "/hub/api/activity/reset", "").await.is(403);
}

#[tokio::test]
async fn a_renamed_user_keeps_their_week_and_a_new_one_of_an_old_name_has_none() {
    let world = World::new().await;
    let root = scripting(&world.admin("root").await).await;
    world.user("alice").await;
    for _ in 0..3 {
        world.state.look_at_activity().await.expect("stored");
        world.pass(TEN_MINUTES);
    }
    root.json(Method::PATCH, "/hub/api/users/alice", r#"{"name": "carol"}"#).await.is(200);
    let json = root.get("/hub/api/activity").await.is(200).json();
    assert_eq!(person(&json, "carol")["sample_count"], 3);
    world.user("alice").await;
    let json = root.get("/hub/api/activity").await.is(200).json();
    assert!(person(&json, "alice")["activity_score"].is_null(), "{json}");
    // As it is read again at the next start.
    world.state.load_activity().await.expect("read");
    let json = root.get("/hub/api/activity").await.is(200).json();
    assert_eq!(person(&json, "carol")["sample_count"], 3);
    assert!(person(&json, "carol")["activity_score"].as_u64().is_some_and(|score| score > 0));
    root.json(Method::DELETE, "/hub/api/users/carol", "").await.is(204);
    world.state.look_at_activity().await.expect("stored");
    let rows = world.state.program.store.activity().expect("read");
    assert!(rows.iter().all(|row| row.owner != UserName::parse("carol").expect("a name")), "{rows:?}");
}

#[tokio::test]
async fn the_active_come_first_then_the_busy_a_page_at_a_time() {
    let world = World::new().await;
    let root = scripting(&world.admin("root").await).await;
    world.user("zoe").await;
    for _ in 0..13 {
        world.signed_in("root").await;
        world.state.look_at_activity().await.expect("stored");
        world.pass(TEN_MINUTES);
    }
    world.user("bob").await;
    world.state.look_at_activity().await.expect("stored");
    let names = |json: &serde_json::Value| -> Vec<String> {
        let users = json["users"].as_array().expect("a list");
        users.iter().map(|user| user["username"].as_str().expect("a name").to_owned()).collect()
    };
    let all = root.get("/hub/api/activity").await.is(200).json();
    assert_eq!(names(&all), ["root", "bob", "zoe"], "{all}");
    let page = root.get("/hub/api/activity?limit=1&offset=1").await.is(200).json();
    assert_eq!((names(&page), &page["_pagination"]["total"]), (vec!["bob".to_owned()], &3.into()));
    assert_eq!(page["_pagination"]["next"]["offset"], 2);
    root.get("/hub/api/activity?limit=x").await.is(400);
}

#[tokio::test]
async fn pages_say_that_nothing_is_known_and_then_what_is() {
    let world = World::new().await;
    let root = world.admin("root").await;
    world.user("alice").await;
    let list = root.get("/hub/admin?sort=activity").await.is(200).text;
    assert!(list.contains("the first comes within ten minutes") && !list.contains("data-bars"));
    let page = root.get("/hub/admin/users/alice").await.is(200).text;
    assert!(page.contains("No samples yet") && page.contains("no samples yet") && page.contains("no server runs"));
    world.state.look_at_activity().await.expect("stored");
    let list = root.get("/hub/admin?sort=activity").await.is(200).text;
    assert!(list.contains("data-bars=1>") && !list.contains("the first comes"), "{list}");
    let page = root.get("/hub/admin/users/alice").await.is(200).text;
    assert!(page.contains("very low") && page.contains("<svg viewBox=\"0 0 168 40\""), "{page}");
    assert!(page.contains("Active for about 1 of the 1 hours"), "{page}");
}

#[tokio::test]
async fn the_host_page_has_plots_with_words_for_those_who_do_not_see_them() {
    let world = World::new().await;
    let root = world.admin("root").await;
    let page = root.get("/hub/host").await.is(200).text;
    for text in [
        "Memory in use, the last seven days",
        "half of the time below",
        "of 168 hours are known",
        "37 % in use",
        "Disk of Docker",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(page.contains("No server runs, or none has been looked at yet"));
    assert!(page.len() < 100 * 1024, "{} bytes", page.len());
}
