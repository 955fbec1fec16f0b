//! What happens to accounts when the disk does not take a write: a child process of this test binary whose files
//! may not grow, so that every commit fails until the limit is lifted.

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;
use crate::model::GroupName;

/// Every write beyond the first byte of a file fails from here on.
fn fill_disk() {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: Some(1), maximum }).expect("down is allowed");
}

fn free_disk() {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum }).expect("up to the hard limit");
}

#[tokio::test]
#[ignore = "a child of `what_was_ended_stays_ended_and_what_was_not_granted_is_not_there_when_the_disk_fails`"]
async fn in_a_process_whose_disk_fails() {
    // The parent marks the folder that it starts us in.
    if !std::path::Path::new("for-child").exists() {
        return;
    }
    let world = World::new().await;
    world.admin("root").await;
    let alice = world.user("alice").await;
    let (out, out_session) = world.sign_in("alice").await;
    let (kept, _) = world.sign_in("alice").await;
    let id = Some(out_session.hub_session_id.clone());
    let (oauth, _) = world.auth.issue_oauth_token(&alice, &client("c"), vec![], id).await.expect("stored");
    let server = world.auth.issue_server_token(&server_of(&alice)).await.expect("stored");

    let (_, root_session) = world.sign_in("root").await;

    fill_disk();
    // Granted things are not there.
    assert!(world.auth.sign_in("alice", &secret(GOOD), address(1)).await.is_err());
    assert!(world.auth.add_user("t", "bob", None, true).await.is_err());
    assert!(world.auth.issue_oauth_token(&alice, &client("d"), vec![], None).await.is_err());
    assert!(world.auth.set_admin("t", &alice, true).await.is_err());
    assert!(world.auth.user(&name("bob")).is_none());
    let built_in = GroupName::parse(BUILT_IN_GROUP).expect("a name");
    let by_password = world.auth.root_leave(&root_session, &secret(GOOD), address(1)).await.expect("it is right");
    assert!(world.auth.add_to_group_with("root", &built_in, std::slice::from_ref(&alice), &by_password).await.is_err());
    assert!(world.auth.effective(&alice).is_empty(), "what could not be stored is not granted");
    assert!(!world.auth.user(&alice).expect("she is").is_admin());
    assert_eq!(world.auth.0.sessions.of_user(&alice).len(), 2);
    // Ended things are.
    assert!(world.auth.sign_out(&out_session, None).await.is_err());
    assert!(world.auth.end_server_token(&server_of(&alice)).await.is_err());
    for token in [&oauth, &server] {
        assert!(world.auth.token_of(token.expose()).is_none());
    }
    assert!(!world.is_live(&out) && out_session.ended.is_cancelled());
    assert!(world.is_live(&kept), "who is signed in goes on working");
    // A delete that failed is told as failed, and the account is still there; its sessions are not.
    assert!(world.auth.delete_user("t", &alice).await.is_err());
    assert!(!world.is_live(&kept));
    assert!(world.auth.user(&alice).expect("she is still stored").is_authorised());
    assert!(world.auth.flush_activity().await.is_err());

    free_disk();
    world.auth.sign_out(&root_session, None).await.expect("the disk takes it again");
    world.auth.flush_activity().await.expect("there is room");
    let world = world.restart().await;
    for cookie in [&out, &kept] {
        assert!(!world.is_live(cookie));
    }
    for token in [&oauth, &server] {
        assert!(world.auth.token_of(token.expose()).is_none());
    }
    assert!(world.auth.user(&name("bob")).is_none());
    assert_eq!(world.auth.0.store.sessions().expect("readable"), []);
    assert_eq!(world.auth.0.store.tokens().expect("readable"), []);
    world.sign_in("alice").await;
}

#[test]
fn what_was_ended_stays_ended_and_what_was_not_granted_is_not_there_when_the_disk_fails() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("for-child"), b"").expect("it can be written");
    let mut shell = Command::new("sh");
    // Without the trap the kernel's signal for a file too large would end the child.
    shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    shell.arg(std::env::current_exe().expect("the test binary"));
    shell.args(["--exact", "auth::tests::faults::in_a_process_whose_disk_fails", "--ignored", "--nocapture"]);
    let output = shell.current_dir(dir.path()).output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout);
    let is_good = output.status.success() && text.contains("1 passed");
    assert!(is_good, "{text}{}", String::from_utf8_lossy(&output.stderr));
}
