//! Account: profile, devices, and the change of password that is asked for; and what home says of its person.

use std::net::IpAddr;

use super::world::{PASSWORD, World, server};

#[tokio::test]
async fn a_profile_is_saved_and_what_is_wrong_is_said_beside_the_field() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let wrong = [("first_name", " Ada "), ("last_name", "a\nb"), ("email", "ada@")];
    let refused = alice.post("/hub/account", &wrong).await.is(400);
    for words in ["id=\"last_name-error\"", "id=\"email-error\"", "value=\"ada@\"", "The e-mail address is none"] {
        assert!(refused.text.contains(words), "{words}: {}", refused.text);
    }
    assert!(!refused.text.contains("first_name-error"));
    assert!(alice.get("/hub/home").await.is(200).text.contains("Hello, alice"), "nothing is saved");
    let right = [("first_name", " Ada "), ("last_name", "Lovelace"), ("email", "ada@example.org")];
    let saved = alice.post("/hub/account", &right).await.is(303);
    assert_eq!(saved.location(), "/hub/account?done=profile");
    let page = alice.get(saved.location()).await.is(200);
    assert!(page.text.contains("Your profile is saved.") && page.text.contains("value=\"Lovelace\""));
    assert!(alice.get("/hub/home").await.is(200).text.contains("Hello, Ada"));
}

#[tokio::test]
async fn a_device_is_signed_out_after_a_question_and_all_others_too() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let (phone, work) = (world.signed_in("alice").await, world.signed_in("alice").await);
    let page = alice.get("/hub/account").await.is(200);
    assert_eq!(page.text.matches("An unknown device").count(), 3 + 2, "three in the list, two of them in a button");
    assert_eq!(page.text.matches("this device").count(), 1);
    let id = phone.caller.session().expect("a session").id();
    let address = format!("/hub/account/sign-out/{}", id.as_str());
    assert!(alice.get(&address).await.is(200).text.contains("Sign out An unknown device?"));
    assert!(!phone.caller.ended().expect("a session").is_cancelled(), "looking ends nothing");
    // Somebody else's is not there.
    let bob = world.user("bob").await;
    bob.get(&address).await.is(404);
    bob.post(&address, &[]).await.is(303);
    assert!(!phone.caller.ended().expect("a session").is_cancelled());
    alice.post(&address, &[]).await.is(303);
    assert!(phone.caller.ended().expect("a session").is_cancelled());
    assert!(alice.get("/hub/account/sign-out").await.is(200).text.contains("the other device?"));
    alice.post("/hub/account/sign-out", &[]).await.is(303);
    assert!(work.caller.ended().expect("a session").is_cancelled());
    assert!(!alice.caller.ended().expect("a session").is_cancelled());
    assert!(!bob.caller.ended().expect("a session").is_cancelled());
}

#[tokio::test]
async fn who_must_change_the_password_is_told_why_and_goes_on_where_they_wanted() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    world.auth.require_password_change("root", &server("alice").user, true).await.expect("it is stored");
    let led = alice.get("/hub/token").await.is(303);
    assert_eq!(led.location(), "/hub/change-password?next=%2Fhub%2Ftoken");
    let page = alice.get(led.location()).await.is(200);
    assert!(
        page.text.contains("Choose a password of your own first.")
            && page.text.contains("value=\"&#x2f;hub&#x2f;token\"")
    );
    let fields = [
        ("old_password", PASSWORD),
        ("new_password", "another horse"),
        ("new_password_confirmation", "another horse"),
        ("next", "/hub/token"),
    ];
    let browser = alice.clone().keeping(&page);
    let done = browser.post_with("/hub/change-password", &page.form_token(), &fields).await.is(303);
    assert_eq!(done.location(), "/hub/token");
    let elsewhere = alice.get("/hub/change-password?next=https%3A%2F%2Fevil.test").await.is(200);
    assert!(!elsewhere.text.contains("evil") && !elsewhere.text.contains("of your own first"));
}

#[tokio::test]
async fn home_says_who_opened_ones_server() {
    let world = World::new().await;
    let (alice, root) = (world.user("alice").await, world.admin("root").await);
    assert!(!alice.get("/hub/home").await.is(200).text.contains("opened your server"));
    world.auth.note_visit(&root.caller, &server("alice"), IpAddr::from([10, 0, 0, 2]));
    let page = alice.get("/hub/home").await.is(200);
    assert!(page.text.contains("<strong>root</strong> opened your server"), "{}", page.text);
    assert!(!root.get("/hub/home").await.is(200).text.contains("opened your server"));
}
