//! People and programs manage volumes: over the API and on the pages, with what the audit says of it.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::client::{Answer, Client, Wire};
use crate::world::{World, xsrf_of};

const ALICE: &str = "/hub/api/users/alice/manage-volumes";

async fn token(world: &World, name: &str) -> Client {
    let browser = world.sign_in(name).await;
    let page = browser.get("/hub/token").await.is(200).text();
    let fields = [("note", "t"), ("life", "1"), ("rights", "all"), ("_xsrf", &xsrf_of(&page))];
    let made = browser.post_form("/hub/token", &fields).await.is(200).text();
    let secret = made.split("id=\"new-token\"").nth(1).and_then(|rest| rest.split("value=\"").nth(1));
    let secret = secret.and_then(|rest| rest.split('"').next()).expect("a token").to_owned();
    world.client().with("authorization", &format!("token {secret}"))
}

async fn delete(client: &Client, path: &str, body: &str) -> Answer {
    client.send(Wire::Http1, Method::DELETE, path, Bytes::copy_from_slice(body.as_bytes())).await
}

fn names(answer: &Answer) -> Vec<String> {
    let volumes = answer.json()["volumes"].as_array().expect("a list").clone();
    volumes.iter().map(|volume| volume["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_lists_and_resets_with_the_platforms_statuses() {
    let world = World::new().await;
    world.user_with_server("alice").await;
    world.add_user("root", true).await;
    world.add_user("mallory", false).await;
    let (alice, root, mallory) =
        (token(&world, "alice").await, token(&world, "root").await, token(&world, "mallory").await);
    let listed = alice.get(ALICE).await.is(200);
    assert_eq!(names(&listed), ["fake-alice_home", "fake-alice_workspace", "fake-alice_cache", "fake_shared"]);
    let first = &listed.json()["volumes"][0];
    assert_eq!(first["role"], "own");
    assert_eq!(first["mount"], "/home/jovyan");
    assert!(first.get("size_bytes").is_none(), "unknown is not 0");
    assert_eq!(listed.json()["volumes"][3]["role"], "shared");
    assert_eq!(names(&root.get("/hub/api/users/nobody/manage-volumes").await.is(200)), Vec::<String>::new());

    // auth, parse, suffix, user, stopped: in this order.
    let cache = r#"{"volumes":["cache"]}"#;
    delete(&world.client(), ALICE, "no").await.is(403);
    delete(&mallory, ALICE, "no").await.is(403);
    for bad in [
        "no",
        "",
        "{}",
        r#"{"volumes":[]}"#,
        r#"{"volumes":"cache"}"#,
        r#"{"volumes":[1]}"#,
        r#"["cache"]"#,
        r#"{"volumes":["shared"]}"#,
        r#"{"volumes":["cache","../x"]}"#,
    ] {
        delete(&root, "/hub/api/users/nobody/manage-volumes", bad).await.is(400);
    }
    delete(&root, "/hub/api/users/nobody/manage-volumes", cache).await.is(404);
    delete(&alice, ALICE, cache).await.is(400);
    assert_eq!(world.backend.volumes().len(), 4);

    world.stop_server("alice").await;
    let done = delete(&alice, ALICE, r#"{"volumes":["cache","cache","home"]}"#).await.is(200).json();
    assert_eq!(done["reset_volumes"], json!(["cache", "home"]));
    let again = delete(&root, ALICE, cache).await.is(200).json();
    assert_eq!(again["failed_volumes"], json!([{ "volume": "cache", "reason": "not found" }]));
    assert_eq!(world.backend.volumes(), ["fake-alice_workspace", "fake_shared"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asks_before_it_deletes_and_names_what_goes() {
    let world = World::new().await;
    let alice = world.user("first.last").await;
    assert!(alice.get("/hub/volumes").await.is(200).text().contains("No volumes yet"));
    world.start_server("first.last").await;
    let page = alice.get("/hub/volumes").await.is(200).text();
    assert!(page.contains("Stop my server") && page.contains("disabled") && page.contains("Project files"), "{page}");
    world.stop_server("first.last").await;
    alice.get("/hub/volumes/first.last/reset").await.is(400);
    let question = alice.get("/hub/volumes/first.last/reset?volume=cache&volume=shared&volume=x").await.is(200).text();
    assert!(question.contains("value=\"cache\"") && !question.contains("value=\"shared\""), "{question}");
    assert!(question.contains("gone for good"));
    let fields = [("volume", "cache"), ("_xsrf", &xsrf_of(&question))];
    let done = alice.post_form("/hub/volumes/first.last/reset", &fields).await.is(303);
    assert_eq!(done.header("location"), "/hub/volumes?reset=cache");
    assert!(alice.get("/hub/volumes?reset=cache").await.is(200).text().contains("The volume cache was reset"));
    assert!(!alice.get("/hub/volumes?reset=%3Cb%3E").await.is(200).text().contains("was reset"));
    assert!(!world.backend.volumes().contains(&"fake-first-2elast_cache".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_goes_with_its_volumes_if_that_is_asked_for_and_else_they_are_nobodys() {
    let world = World::new().await;
    world.user_with_server("alice").await;
    let admin = world.admin("root").await;
    let root = token(&world, "root").await;
    delete(&root, "/hub/api/users/alice?volumes=maybe", "").await.is(400);
    delete(&root, "/hub/api/users/alice", "").await.is(204);
    assert_eq!(world.backend.volumes().len(), 4, "they stay");

    // The next of this name does not get them.
    let alice = world.user("alice").await;
    let page = alice.get("/hub/volumes").await.is(200).text();
    assert!(page.contains("Files of an earlier account") && !page.contains("fake-alice_home"), "{page}");
    let page = admin.get("/hub/volumes/alice").await.is(200).text();
    assert!(page.contains("fake-alice_home") && page.contains("settle?do=aside"), "{page}");
    alice.get("/hub/volumes/alice/settle?do=give").await.is(403);
    let question = admin.get("/hub/volumes/alice/settle?do=give").await.is(200).text();
    let fields = [("do", "give"), ("_xsrf", &xsrf_of(&question))];
    admin.post_form("/hub/volumes/alice/settle", &fields).await.is(303);
    world.start_server("alice").await;
    assert_eq!(world.backend.volumes().len(), 4);

    delete(&root, "/hub/api/users/alice?volumes=delete", "").await.is(204);
    assert_eq!(world.backend.volumes(), ["fake_shared"]);
}
