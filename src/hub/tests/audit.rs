//! The audit log's page and export, and the settings.

use serde_json::Value;

use super::world::World;
use crate::model::Actor;

async fn note(world: &World, actor: &str, act: &'static str, object: &str) {
    world.auth.note_act(actor, act, object.to_owned()).await.expect("stored");
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

#[tokio::test]
async fn the_log_is_for_administrators_newest_first_and_text_stays_text() {
    let world = World::new().await;
    let root = world.admin("root").await;
    let alice = world.user("alice").await;
    let by = Actor { from: Some("192.0.2.7".parse().expect("an address")), ..Actor::from("<b>mallory</b>") };
    world.auth.note_act(by, "made group", "<script>alert(1)</script>".into()).await.expect("stored");
    alice.get("/hub/audit").await.is(403);
    alice.get("/hub/api/audit").await.is(403);
    let page = root.get("/hub/audit").await.is(200).text;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"), "{page}");
    assert!(!page.contains("<script>alert") && !page.contains("<b>mallory"), "{page}");
    assert!(page.contains("192.0.2.7"));
    let (script, sign_in) = (page.find("alert(1)").expect("it is there"), page.find("signed in").expect("so is this"));
    assert!(script < sign_in, "the newest first");
}

#[tokio::test]
async fn a_filter_shows_what_was_asked_for_and_leads_on() {
    let world = World::new().await;
    let root = world.admin("root").await;
    for n in 0..60 {
        note(&world, "root", "made group", &format!("group-{n:02}")).await;
    }
    note(&world, "carol", "signed out", "").await;
    let page = root.get("/hub/audit?kind=grant").await.is(200).text;
    assert!(page.contains("group-59") && page.contains("group-10") && !page.contains("group-09"));
    assert!(!page.contains("signed out"));
    let older = page.split("rel=\"next\"").next().and_then(|before| before.rsplit("href=\"").next()).expect("a link");
    let older = older.split('"').next().expect("an address").replace("&amp;", "&").replace("&#x2f;", "/");
    let page = root.get(&older).await.is(200).text;
    assert!(page.contains("group-09") && !page.contains("group-10"), "{older}");
    let page = root.get("/hub/audit?person=carol").await.is(200).text;
    assert!(page.contains("signed out") && !page.contains("group-59"));
    let page = root.get("/hub/audit?text=nothing+like+it").await.is(200).text;
    assert!(page.contains("Nothing like this"));
    root.get("/hub/audit?kind=magic").await.is(400);
    root.get("/hub/audit?since=tomorrow").await.is(400);
}

#[tokio::test]
async fn the_export_has_every_row_once_and_goes_on_after_a_number() {
    let world = World::new().await;
    let root = world.admin("root").await;
    for n in 0..1100 {
        note(&world, "root", "made group", &format!("group-{n}\n\u{2028}")).await;
    }
    let answer = root.get("/hub/api/audit").await.is(200);
    assert_eq!(answer.header("content-type"), "application/jsonl");
    let all = lines(&answer.text);
    let numbers: Vec<_> = all.iter().map(|row| row["number"].as_u64().expect("a number")).collect();
    let newest = numbers[0];
    assert_eq!(numbers, (1..=newest).rev().collect::<Vec<_>>());
    assert!(newest > 1100 && all[0]["act"] == "made group" && all[0]["kind"] == "grant");
    for pair in all.windows(2) {
        assert_eq!(pair[0]["previous"], pair[1]["hash"]);
    }
    let rest = lines(&root.get(&format!("/hub/api/audit?after={}", newest - 2)).await.is(200).text);
    assert_eq!(rest, all[..2]);
    let two = lines(&root.get("/hub/api/audit?actor=root&act=made+group&limit=2&before=1000").await.is(200).text);
    assert_eq!(two.iter().map(|row| row["number"].as_u64()).collect::<Vec<_>>(), [Some(999), Some(998)]);
    assert_eq!(root.get("/hub/api/audit?limit=0").await.is(200).text, "");
}

#[tokio::test]
async fn whether_the_log_is_whole_is_checked_when_asked() {
    let world = World::new().await;
    let root = world.admin("root").await;
    assert!(root.get("/hub/audit").await.is(200).text.contains("has not been checked"));
    assert_eq!(root.post("/hub/audit/check", &[]).await.is(303).location(), "/hub/audit");
    let is_whole = async || root.get("/hub/audit").await.is(200).text.contains("none is missing or altered");
    for _ in 0..1000 {
        if is_whole().await {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the check does not end");
}

#[tokio::test]
async fn settings_are_for_administrators_and_can_be_searched() {
    let world = World::new().await;
    let root = world.admin("root").await;
    let alice = world.user("alice").await;
    alice.get("/hub/settings").await.is(403);
    alice.get("/hub/api/settings").await.is(403);
    let page = root.get("/hub/settings").await.is(200).text;
    assert!(page.contains("hub.first") && page.contains("hub.second") && !page.contains("<b>\""));
    let found = root.get("/hub/settings?q=SECOND").await.is(200).text;
    assert!(!found.contains("hub.first") && found.contains("hub.second"));
    let settings = root.get("/hub/api/settings").await.is(200).json();
    assert_eq!(settings["settings"][0]["key"], "hub.first");
    assert_eq!(settings["settings"][0]["category"], "hub");
}
