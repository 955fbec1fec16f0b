//! Accounts that came along from a JupyterHub, as people meet them on the pages.

use super::world::{Client, PASSWORD, World};
use crate::model::{OtpSecret, UserName, UserProfile};
use crate::store::UserRow;

/// Gives `user` a second factor, as an import does.
async fn with_second_factor(world: &World, user: &str) {
    let name = UserName::parse(user).expect("a name");
    let row = world.store.user(&name).expect("readable").expect("an account");
    let otp_secret = OtpSecret::parse("JBSWY3DPEHPK3PXP");
    world.store.write(|t| t.put_user(&UserRow { otp_secret, ..row })).expect("stored");
    // Memory follows the store with any act.
    let profile = UserProfile::parse("Fay", "", "").expect("a name");
    world.auth.set_profile("test", &name, profile).await.expect("stored");
}

async fn refusal(browser: &Client<'_>, name: &str, password: &str) -> String {
    let page = browser.post("/hub/login", &[("username", name), ("password", password)]).await.is(403);
    assert!(page.cookies().iter().all(|(name, _)| !name.contains("slipway-test")), "nobody is let in");
    // What differs from page to page.
    page.text.replace(&page.form_token(), "").replace(name, "somebody")
}

#[tokio::test]
async fn the_right_password_is_told_of_the_second_factor_and_a_wrong_one_is_not() {
    let world = World::new().await;
    for name in ["faye", "anna"] {
        world.user(name).await;
    }
    with_second_factor(&world, "faye").await;
    let stranger = world.stranger();
    let right = refusal(&stranger, "faye", PASSWORD).await;
    assert!(right.contains("also has a second factor") && right.contains("Ask an administrator"), "{right}");
    let wrong = refusal(&stranger, "faye", "something else").await;
    assert!(wrong.contains("Invalid username or password"), "{wrong}");
    assert_eq!(wrong, refusal(&stranger, "anna", "something else").await);
    assert_eq!(wrong, refusal(&stranger, "nobody", "something else").await);
}

#[tokio::test]
async fn an_administrator_clears_a_second_factor_after_a_question_and_it_is_noted() {
    let world = World::new().await;
    let root = world.admin("root").await;
    let plain = root.get("/hub/admin").await.is(200);
    assert!(!plain.text.contains("clear-second-factor"), "where nobody has one, nobody is offered it");
    for name in ["faye", "anna"] {
        world.user(name).await;
    }
    with_second_factor(&world, "faye").await;
    let page = root.get("/hub/admin/users/faye").await.is(200);
    assert!(page.text.contains("Second factor</dt>") && page.text.contains("Clear second factor…"), "{}", page.text);
    assert!(!root.get("/hub/admin/users/anna").await.text.contains("econd factor"));
    assert!(page.text.contains("Needs the second factor") && !page.text.contains("Can sign in"), "{}", page.text);
    assert!(root.get("/hub/admin").await.text.contains("Second factor</b>"), "the list says it too");
    assert!(!page.text.contains("JBSWY"), "the secret is on no page");

    let asked = root.post("/hub/admin/ask", &[("just", "clear-second-factor faye"), ("from", "user")]).await.is(200);
    assert!(asked.text.contains("Be sure that it is them who ask for it"), "{}", asked.text);
    let still = world.stranger().post("/hub/login", &[("username", "faye"), ("password", PASSWORD)]).await;
    assert_eq!(still.status, 403, "a question changes nothing");
    root.administer("clear-second-factor", &["faye"], &[]).await.is(303);
    world.stranger().post("/hub/login", &[("username", "faye"), ("password", PASSWORD)]).await.is(302);
    let page = root.get("/hub/admin/users/faye").await.is(200);
    assert!(page.text.contains("cleared the second factor of"), "{}", page.text);
    assert!(!page.text.contains("Clear second factor"));
}
