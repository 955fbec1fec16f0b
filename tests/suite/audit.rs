//! The audit log of the whole program: what people, programs and the program itself do stands in it.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use slipway::model::{AuditKind, UserName};

use crate::client::{Client, Wire};
use crate::world::World;

async fn log_of(client: &Client, query: &str) -> Vec<Value> {
    let text = client.get(&format!("/hub/api/audit{query}")).await.is(200).text();
    text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

fn has(log: &[Value], actor: &str, act: &str, object: &str) -> bool {
    log.iter().any(|row| row["actor"] == actor && row["act"] == act && row["object"] == object)
}

#[tokio::test]
async fn a_start_a_sign_in_a_grant_and_a_visit_stand_in_the_log_with_address_and_token() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    let root = world.admin("root").await.scripting();
    root.get("/user/alice/lab").await.is(200);
    alice.scripting().get("/user/alice/lab").await.is(200);
    world.app.auth.flush_activity().await.expect("stored");
    let owner = slipway::model::OwnerName::User(UserName::parse("root").expect("a name"));
    let wish = slipway::auth::NewToken {
        scopes: None,
        note: String::new(),
        expires_in: None,
        by: slipway::auth::Asker::Operator,
    };
    let (secret, token) = world.app.auth.create_token("test", &owner, wish).await.expect("a token");
    let program = world.client().with("authorization", &format!("token {}", secret.expose()));
    program.send(Wire::Http1, Method::POST, "/hub/api/groups/physics", Bytes::new()).await.is(201);

    let log = log_of(&root, "").await;
    assert!(has(&log, "slipway", "started slipway", env!("CARGO_PKG_VERSION")), "{log:#?}");
    assert!(has(&log, "root", "opened server of", "alice"), "{log:#?}");
    assert!(!has(&log, "alice", "opened server of", "alice"), "{log:#?}");
    let sign_in = log.iter().find(|row| row["actor"] == "alice" && row["act"] == "signed in").expect("it is there");
    assert_eq!((&sign_in["from"], &sign_in["kind"]), (&"127.0.0.1".into(), &"sign-in".into()));
    let group = log.iter().find(|row| row["object"] == "physics").expect("it is there");
    assert_eq!(group["token"], token.id.expect("stored").to_string());
    assert_eq!((&group["actor"], &group["from"]), (&"root".into(), &"127.0.0.1".into()));
    assert_eq!(log_of(&program, "?kind=visit").await.len(), 1, "a token that holds all may read it too");
}

#[tokio::test]
async fn a_changed_setting_is_named_at_the_next_start_and_the_chain_goes_on() {
    let world = World::new().await.restart().await;
    let world = world.restart_with(&[("SLIPWAY_AUTH_PASSWORD_LENGTH", "9")]).await;
    let root = world.admin("root").await.scripting();
    let log = log_of(&root, "?kind=configuration").await;
    let starts = log.iter().filter(|row| row["act"] == "started slipway").count();
    let changes: Vec<_> = log.iter().filter(|row| row["act"] == "changed configuration").collect();
    assert_eq!((starts, changes.len()), (3, 1), "{log:#?}");
    assert_eq!(changes[0]["object"], "auth.password_length");
    assert_eq!(world.app.store.verify_audit().expect("readable").first_break, None);
}

#[tokio::test]
async fn the_settings_page_shows_every_key_within_100_kib_and_no_secret() {
    let world = World::with(&[("SLIPWAY_ADMIN_PASSWORD", "hunter2-hunter2"), ("SLIPWAY_AUTH_ADMINS", "root")]).await;
    let root = world.sign_in_with("root", "hunter2-hunter2").await;
    let page = root.get("/hub/settings").await.is(200).text();
    assert!(page.len() < 100 * 1024, "{} bytes", page.len());
    for key in slipway::config::KEYS {
        assert!(page.contains(key.name), "{}", key.name);
    }
    assert!(!page.contains("hunter2"));
    assert!(page.contains("environment SLIPWAY_ADMIN_PASSWORD"));
}

/// Every act that the source writes has a kind, so that the page's filter finds it.
#[test]
fn every_act_in_the_source_is_of_some_kind() {
    let mut acts = Vec::new();
    collect(Path::new("src"), &mut acts);
    assert!(acts.len() > 25, "acts are written in another way now: {acts:?}");
    let unknown: Vec<_> = acts.iter().filter(|act| AuditKind::of(act) == AuditKind::Other).collect();
    assert!(unknown.is_empty(), "add a line to SIGNS in model/audit_kind.rs for {unknown:?}");
}

/// The texts that begin like an act in every file that writes to the audit: a past tense, and what it is about.
fn collect(folder: &Path, acts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, acts);
            continue;
        }
        let is_test = path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("tests"));
        if is_test || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("it reads");
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        for call in ["t.audit(", ".audit(", "note_act(", "let act =", ".change(", "put_user(", "change_group("] {
            for (at, _) in code.match_indices(call) {
                let rest = &code[at..];
                let statement = &rest[..rest.find(';').unwrap_or(rest.len()).min(400)];
                acts.extend(statement.split('"').skip(1).step_by(2).filter(|text| is_act(text)).map(filled));
            }
        }
    }
}

fn is_act(text: &str) -> bool {
    let first = text.split(' ').next().unwrap_or_default();
    let irregular = ["made", "set", "withdrew", "let", "sent", "took", "put"].contains(&first);
    (first.ends_with("ed") || irregular)
        && text.is_ascii()
        && text.chars().next().is_some_and(|c| c.is_ascii_lowercase())
}

/// An act with a name in the place of what is filled in.
fn filled(text: &str) -> String {
    let mut parts = text.split('{');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        whole.push_str("alice");
        whole.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    whole
}
