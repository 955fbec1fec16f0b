//! The token page: made, shown once, revoked by its owner and nobody else. And what a browser reports.

use axum::http::Method;

use super::world::World;

fn secret_of(page: &str) -> &str {
    let field = page.split("id=\"new-token\"").nth(1).expect("a new token is shown");
    field.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("it has a value")
}

#[tokio::test]
async fn a_token_is_shown_once_and_acts_until_its_owner_revokes_it() {
    let world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let fields = [("note", "report"), ("life", "30"), ("rights", "some"), ("scopes", "read:users!user")];
    let page = alice.post("/hub/token", &fields).await.is(200);
    let secret = secret_of(&page.text).to_owned();
    let token = world.auth.token_of(&secret).expect("it is one");
    assert_eq!(token.scopes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["read:users!user"]);
    assert!(token.expires_at.is_some() && token.note == "report");
    let list = alice.get("/hub/token").await.is(200);
    assert!(list.text.contains("report") && !list.text.contains(&secret));

    let question = format!("/hub/token/revoke/{}", token.id.expect("it is stored"));
    bob.get(&question).await.is(404);
    bob.post(&question, &[]).await.is(404);
    alice.get(&question).await.is(200);
    assert!(world.auth.token_of(&secret).is_some(), "looking changes nothing");
    assert_eq!(alice.post(&question, &[]).await.is(303).location(), "/hub/token");
    assert!(world.auth.token_of(&secret).is_none());
}

#[tokio::test]
async fn nobody_makes_a_token_with_rights_of_others() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    for scopes in ["admin:users", "access:servers!user=bob", "nonsense", ""] {
        let fields = [("note", "kept"), ("life", "30"), ("rights", "some"), ("more_scopes", scopes)];
        let page = alice.post("/hub/token", &fields).await.is(400);
        assert!(page.text.contains("role=\"alert\"") && page.text.contains("value=\"kept\""), "{scopes}");
    }
    alice.post("/hub/token", &[("life", "1000000")]).await.is(400);
    alice.post_with("/hub/token", "forged", &[("life", "30")]).await.is(403);
}

#[tokio::test]
async fn a_report_of_a_broken_policy_is_taken_from_people_only() {
    let world = World::new().await;
    let report =
        r#"{"csp-report":{"document-uri":"https://x/","blocked-uri":"inline","violated-directive":"script-src"}}"#;
    let send = async |client: super::world::Client<'_>, body: &str| {
        client.send(Method::POST, "/hub/security/csp-report", "application/csp-report", body).await.status.as_u16()
    };
    assert_eq!(send(world.stranger(), report).await, 403);
    let alice = world.user("alice").await;
    assert_eq!(send(alice.clone(), report).await, 200);
    assert_eq!(send(alice.clone(), "nonsense").await, 200);
    assert_eq!(send(alice, &"x".repeat(20_000)).await, 413);
}

#[tokio::test]
async fn a_share_code_that_is_not_valid_leads_nowhere() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    alice.get("/hub/accept-share?code=nothing").await.is(404);
    alice.post("/hub/accept-share", &[("code", "nothing")]).await.is(404);
}
