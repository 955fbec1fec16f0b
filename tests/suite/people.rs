//! An administrator's day with several people, through the forms of the pages alone.

use slipway::model::{GroupName, ServerState, UserName};

use crate::client::{Answer, Client};
use crate::world::{PASSWORD, World, server, sign_up_at, xsrf_of};

const CLASS: [&str; 3] = ["ann", "bea", "cleo"];

#[track_caller]
fn all_done(answer: &Answer) {
    assert!(answer.text().contains("All 3 done."), "{}", answer.text());
}

fn states(world: &World) -> Vec<ServerState> {
    CLASS.iter().map(|name| world.app.spawner.status(&server(name)).state).collect()
}

async fn audit_of(root: &Client) -> String {
    root.scripting().get("/hub/api/audit").await.is(200).text()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_people_are_approved_started_stopped_disabled_enabled_and_deleted() {
    let world = World::new().await;
    let root = world.admin("root").await;
    for name in CLASS {
        sign_up_at(&world.client().navigating(), "/hub/signup", name, "").await.is(200);
    }
    let waiting = root.get("/hub/admin?show=waiting").await.is(200).text();
    assert!(CLASS.iter().all(|name| waiting.contains(&format!("value=\"{name}\""))), "{waiting}");
    all_done(&root.administer("approve", &CLASS).await);
    let ann = world.sign_in("ann").await;
    ann.get("/hub/home").await.is(200);

    all_done(&root.administer("start", &CLASS).await);
    assert!(states(&world).iter().all(|state| *state == ServerState::Ready));
    assert_eq!(world.backend.volumes().len(), 10);
    all_done(&root.administer("stop", &CLASS).await);
    assert!(states(&world).iter().all(|state| *state == ServerState::Stopped));

    // Who is disabled is signed out and stopped, and comes back with the same password.
    all_done(&root.administer("start", &CLASS).await);
    all_done(&root.administer("disable", &CLASS).await);
    assert!(states(&world).iter().all(|state| *state == ServerState::Stopped));
    ann.get("/hub/home").await.is(302);
    let login = world.client().navigating();
    let fields = [("username", "ann"), ("password", PASSWORD)];
    assert_ne!(login.post_form("/hub/login", &fields).await.status, 302);
    all_done(&root.administer("enable", &CLASS).await);
    world.sign_in("ann").await.get("/hub/home").await.is(200);

    // One goes without the volumes, which are nobody's then; the others, one of them with a running server, with them.
    let gone = root.administer("delete", &["ann"]).await;
    assert!(gone.text().contains("ann</strong>: account deleted."), "{}", gone.text());
    world.start_server("bea").await;
    let gone = root.administer_with("delete", &["bea", "cleo"], &[("volumes", "delete")]).await;
    assert!(gone.text().contains("All 2 done.") && gone.text().contains("with volumes"), "{}", gone.text());
    assert_eq!(world.backend.volumes(), ["fake-ann_cache", "fake-ann_home", "fake-ann_workspace", "fake_shared"]);
    let log = audit_of(&root).await;
    for act in ["deletes volumes of", "deleted volumes of", "deleted user"] {
        assert!(log.contains(act), "no {act} in {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_question_before_a_deletion_names_the_volumes_and_the_page_of_a_user_lists_them() {
    let world = World::new().await;
    let root = world.admin("root").await;
    world.user_with_server("ann").await;
    world.add_user("bea", false).await;
    let list = root.get("/hub/admin").await.is(200).text();
    let token = xsrf_of(&list);
    let ask = async |names: &[&str]| {
        let mut fields = vec![("_xsrf", token.as_str()), ("act", "delete")];
        fields.extend(names.iter().map(|name| ("user", *name)));
        root.post_form("/hub/admin/ask", &fields).await.is(200).text()
    };
    let question = ask(&["ann", "bea"]).await;
    for told in ["<code>fake-ann_home</code>", "name=\"volumes\" value=\"delete\"", "belong to nobody"] {
        assert!(question.contains(told), "no {told} in {question}");
    }
    assert!(!question.contains("fake_shared") && !question.contains("checked"), "{question}");
    let question = ask(&["bea"]).await;
    assert!(question.contains("bea has none.") && !question.contains("name=\"volumes\""), "{question}");
    let page = root.get("/hub/admin/users/ann").await.is(200).text().replace("&#x2f;", "/");
    for told in ["fake-ann_workspace", "/hub/volumes/ann", "What the next start gets"] {
        assert!(page.contains(told), "no {told} in {page}");
    }
    assert!(root.get("/hub/admin/users/bea").await.is(200).text().contains("None yet."));
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_server_was_opened_reads_it_at_home_and_the_log_tells_it() {
    let world = World::new().await;
    let ann = world.user_with_server("ann").await;
    let root = world.admin("root").await;
    let page = root.get("/hub/admin/users/ann").await.is(200).text();
    let link = page.split("Open as administrator").next().and_then(|text| text.rsplit("href=\"").next());
    let address = link.and_then(|text| text.split('"').next()).expect("a link").replace("&#x2f;", "/");
    root.get(&address).await.is(200);
    world.app.auth.flush_activity().await.expect("stored");
    let log = audit_of(&root).await;
    assert!(log.lines().any(|row| row.contains("opened server of") && row.contains("\"root\"")), "{log}");
    let home = ann.get("/hub/home").await.is(200).text();
    assert!(home.contains("<strong>root</strong> opened your server"), "{home}");
}

#[tokio::test(flavor = "multi_thread")]
async fn root_on_the_host_is_given_with_the_password_alone_and_to_no_new_user_on_the_way() {
    let world = World::new().await;
    let root = world.admin("root").await;
    for name in CLASS {
        world.add_user(name, false).await;
    }
    let group = GroupName::parse("docker-privileged").expect("a name");
    let members = || world.app.auth.group(&group).expect("it is built in").users;
    let token = xsrf_of(&root.get("/hub/admin").await.is(200).text());
    let fields = [("_xsrf", &*token), ("act", "add-to-group"), ("user", "ann"), ("user", "bea")];
    let question = root.post_form("/hub/admin/ask", &fields).await.is(200).text();
    let question = crate::client::question_of(&question);
    let answer = async |password: &str| {
        let fields =
            [("_xsrf", &*token), ("question", &*question), ("group", "docker-privileged"), ("password", password)];
        root.post_form("/hub/admin/do", &fields).await
    };
    let asked = answer("").await.is(403).text();
    assert!(asked.contains("Type your own password") && asked.contains("id=\"password-problem\""), "{asked}");
    answer("not the password").await.is(403);
    assert_eq!(members(), []);
    answer(PASSWORD).await.is(303);
    assert_eq!(members(), ["ann", "bea"].map(|name| UserName::parse(name).expect("a name")));
    // The same answer again leads to what became of it, whatever is typed.
    answer("").await.is(303);
    assert!(audit_of(&root).await.contains("gave root on the host through group docker-privileged to"));

    let new = root.get("/hub/admin/new").await.is(200).text();
    assert!(!new.contains("value=\"docker-privileged\""), "{new}");
    for fields in [
        [("people", "dora"), ("group", "docker-privileged"), ("step", "create"), ("form", "f"), ("_xsrf", &token)],
        [("people", "dora,,,,docker-privileged"), ("group", ""), ("step", "create"), ("form", "f"), ("_xsrf", &token)],
    ] {
        let refused = root.post_form("/hub/admin/new", &fields).await.is(400).text();
        assert!(refused.contains("makes its members root on this host"), "{refused}");
    }
    assert!(world.app.auth.user(&UserName::parse("dora").expect("a name")).is_none());
}
