//! The administrators' pages about users: list, acts, results.

use std::time::Instant;

use axum::http::StatusCode;

use super::world::{Answer, Client, PASSWORD, World, server};
use crate::model::{GroupName, ServerState, UserName};

fn name(text: &str) -> UserName {
    UserName::parse(text).expect("a name")
}

async fn sign_up(world: &World, name: &str) {
    let fields = [("username", name), ("signup_password", PASSWORD), ("signup_password_confirmation", PASSWORD)];
    world.stranger().post("/hub/signup", &fields).await.is(200);
}

fn is_let_in(world: &World, user: &str) -> bool {
    world.auth.user(&name(user)).is_some_and(|user| user.is_authorised())
}

/// The page of what became of an act, once it is done.
async fn results(root: &Client<'_>, answer: Answer) -> Answer {
    let address = answer.is(303).location().to_owned();
    loop {
        let page = root.get(&address).await.is(200);
        if !page.text.contains("so far") {
            return page;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_list_is_for_administrators_and_looking_changes_nothing() {
    let world = World::new().await;
    let root = world.admin("root").await;
    sign_up(&world, "alice").await;
    for path in ["/hub/admin", "/hub/authorize", "/hub/authorize/alice", "/hub/admin/done/x"] {
        world.user("bob-").await.get(path).await.is(403);
        world.auth.delete_user("test", &name("bob-")).await.expect("he goes");
        world.stranger().get(path).await.is(302);
    }
    assert_eq!(root.get("/hub/authorize").await.is(302).location(), "/hub/admin?waiting=1");
    let list = root.get("/hub/admin?waiting=1").await.is(200);
    assert!(list.text.contains("alice") && !list.text.contains(">root</a>"), "{}", list.text);
    assert_eq!(root.get("/hub/authorize/alice").await.is(302).location(), "/hub/admin/users/alice");
    root.get("/hub/authorize/nobody").await.is(404);
    root.post("/hub/admin/ask", &[("act", "discard"), ("user", "alice")]).await.is(200);
    assert!(!is_let_in(&world, "alice"));
}

#[tokio::test]
async fn one_harmless_act_is_done_at_once_and_the_list_says_so() {
    let world = World::new().await;
    let root = world.admin("root").await;
    for (alice, path, fields) in
        [("alice", "/hub/admin/ask", vec![("just", "approve alice")]), ("ann", "/hub/authorize/ann", vec![])]
    {
        sign_up(&world, alice).await;
        let answer = root.post(path, &fields).await.is(303);
        assert!(is_let_in(&world, alice));
        let list = root.get(answer.location()).await.is(200);
        assert!(list.text.contains(": approved."), "{}", list.text);
    }
    // What an address claims, the page says only of an act of this administrator.
    let other = world.admin("other").await;
    let again = root.post("/hub/authorize/ann", &[]).await.is(303);
    assert!(!other.get(again.location()).await.is(200).text.contains(": approved."));
}

#[tokio::test]
async fn several_are_named_before_anything_happens_and_those_it_does_not_fit_are_left_out() {
    let world = World::new().await;
    let root = world.admin("root").await;
    for user in ["ann", "bea", "cleo"] {
        world.user(user).await;
    }
    let question =
        root.post("/hub/admin/ask", &[("act", "delete"), ("user", "ann"), ("user", "root"), ("user", "bea")]);
    let question = question.await.is(200);
    assert!(question.text.contains("Delete account: 2 users?") && question.text.contains("They have none."));
    assert!(question.text.contains("<strong>root</strong> is you"), "{}", question.text);
    assert!(world.auth.user(&name("ann")).is_some());
    let id = question.field("question").expect("a question");
    let page = results(&root, root.post("/hub/admin/do", &[("question", &id)]).await).await;
    assert!(page.text.contains("All 2 done."), "{}", page.text);
    let left: Vec<_> = world.auth.users().into_iter().map(|user| user.name.to_string()).collect();
    assert_eq!(left, ["cleo", "root"]);
    // Sent again, it is the same deed: somebody of that name who came later stays.
    world.user("ann").await;
    results(&root, root.post("/hub/admin/do", &[("question", &id)]).await).await;
    assert!(world.auth.user(&name("ann")).is_some());
    // Nobody else can say yes to it, and nothing can be said to no question.
    world.admin("other").await.post("/hub/admin/do", &[("question", &id)]).await.is(404);
    root.post("/hub/admin/do", &[]).await.is(404);
}

#[tokio::test]
async fn each_outcome_is_told_and_one_failure_keeps_nothing_from_the_others() {
    let world = World::new().await;
    let root = world.admin("root").await;
    for user in ["ann", "bea", "cleo"] {
        world.user(user).await;
    }
    let fields = [("act", "delete"), ("user", "ann"), ("user", "bea"), ("user", "cleo")];
    let id = root.post("/hub/admin/ask", &fields).await.is(200).field("question").expect("a question");
    world.auth.delete_user("test", &name("bea")).await.expect("she goes");
    let page = results(&root, root.post("/hub/admin/do", &[("question", &id)]).await).await;
    assert!(page.text.contains("2 of 3 done, 1 did not work."), "{}", page.text);
    assert!(page.text.contains("This user is no longer there."));
    let failed = page.text.find("no longer there").expect("the failure");
    assert!(failed < page.text.find(">Done<").expect("a success"), "failures stand first");
}

#[tokio::test]
async fn servers_of_several_start_and_stop() {
    let world = World::new().await;
    let root = world.admin("root").await;
    for user in ["ann", "bea"] {
        world.user(user).await;
    }
    let page = results(&root, root.administer("start", &["ann", "bea"], &[]).await).await;
    assert!(page.text.contains("All 2 done."), "{}", page.text);
    for user in ["ann", "bea"] {
        assert_eq!(world.spawner.status(&server(user)).state, ServerState::Ready);
    }
    let list = root.get("/hub/admin?show=running").await.is(200);
    assert!(list.text.contains(">ann</a>") && list.text.contains(">bea</a>") && !list.text.contains(">root</a>"));
    let page = results(&root, root.administer("stop", &["ann", "bea"], &[]).await).await;
    assert!(page.text.contains("All 2 done."), "{}", page.text);
    assert_eq!(world.spawner.status(&server("ann")).state, ServerState::Stopped);
}

#[tokio::test]
async fn everybody_who_matches_can_be_approved_but_not_deleted() {
    let world = World::new().await;
    let root = world.admin("root").await;
    for user in ["ann", "bea", "cleo"] {
        sign_up(&world, user).await;
    }
    let all = |act: &'static str| [("act", act), ("all", "1"), ("wish", "?q=e&show=waiting")];
    root.post("/hub/admin/ask", &all("delete")).await.is(400);
    root.post("/hub/admin/ask", &all("make-administrator")).await.is(400);
    let id = root.post("/hub/admin/ask", &all("approve")).await.is(200).field("question").expect("a question");
    results(&root, root.post("/hub/admin/do", &[("question", &id)]).await).await;
    assert_eq!(["ann", "bea", "cleo"].map(|user| is_let_in(&world, user)), [false, true, true]);
}

#[tokio::test]
async fn groups_are_joined_and_left_from_the_users_side() {
    let world = World::new().await;
    let root = world.admin("root").await;
    world.user("ann").await;
    world.user("bea").await;
    let group = GroupName::parse("physics").expect("a name");
    world.auth.create_groups("test", std::slice::from_ref(&group), &[]).await.expect("a group");
    let missing = root.administer("add-to-group", &["ann", "bea"], &[]).await.is(400);
    assert!(missing.text.contains("Choose a group."));
    let unknown = root.administer("add-to-group", &["ann"], &[("group", "nothing")]).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    results(&root, root.administer("add-to-group", &["ann", "bea"], &[("group", "physics")]).await).await;
    assert_eq!(world.auth.group(&group).expect("it is there").users, [name("ann"), name("bea")]);
    let list = root.get("/hub/admin?group=physics").await.is(200);
    assert!(list.text.contains(">ann</a>") && !list.text.contains(">root</a>"));
    root.administer("remove-from-group", &["ann"], &[("group", "physics")]).await.is(303);
    assert_eq!(world.auth.group(&group).expect("it is there").users, [name("bea")]);
}

#[tokio::test]
async fn no_administrator_ends_their_own_account_and_the_last_one_stays() {
    let world = World::new().await;
    let root = world.admin("root").await;
    let second = world.admin("second").await;
    for act in ["take-administration", "disable", "delete"] {
        let question = root.post("/hub/admin/ask", &[("act", act), ("user", "root")]).await.is(200);
        assert!(question.text.contains("nobody to do it to") && question.text.contains("is you"), "{act}");
        // Even if somebody says yes to that, nothing happens.
        let id = question.field("question").expect("a question");
        root.post("/hub/admin/do", &[("question", &id)]).await.is(303);
    }
    let ask = async |browser: &Client<'_>, other: &str| {
        let fields = [("act", "take-administration"), ("user", other)];
        browser.post("/hub/admin/ask", &fields).await.field("question").expect("a question")
    };
    let (ones, twos) = (ask(&root, "second").await, ask(&second, "root").await);
    root.post("/hub/admin/do", &[("question", &ones)]).await.is(303);
    // The second is no administrator any more, so nothing is theirs to do.
    second.post("/hub/admin/do", &[("question", &twos)]).await.is(403);
    assert!(world.auth.user(&name("root")).is_some_and(|user| user.is_admin()));
}

#[tokio::test]
async fn nobody_chosen_is_said_on_the_list_and_an_unknown_act_is_refused() {
    let world = World::new().await;
    let root = world.admin("root").await;
    let page = root.post("/hub/admin/ask", &[("act", "stop")]).await.is(400);
    assert!(page.text.contains("Choose somebody first") && page.text.contains(">root</a>"));
    root.post("/hub/admin/ask", &[("act", "explode"), ("user", "root")]).await.is(400);
    root.post("/hub/admin/ask", &[("act", "stop"), ("user", "no such/name")]).await.is(400);
    root.post_with("/hub/admin/ask", "", &[("act", "stop"), ("user", "root")]).await.is(403);
    root.post_with("/hub/admin/do", "", &[]).await.is(403);
}

#[tokio::test]
async fn what_somebody_is_called_is_never_markup() {
    let world = World::new().await;
    let root = world.admin("root").await;
    let evil = "<b>x&\"'";
    world.auth.create_users("test", &[name(evil)], false).await.expect("a user");
    for page in [
        root.get("/hub/admin?q=%3Cb%3E").await.is(200),
        root.get("/hub/admin?q=%3Cb%3Enobody").await.is(200),
        root.post("/hub/admin/ask", &[("act", "delete"), ("user", evil)]).await.is(200),
    ] {
        assert!(!page.text.contains("<b>x") && page.text.contains("&lt;b&gt;"), "{}", page.text);
    }
}

#[tokio::test]
async fn many_new_users_are_looked_at_made_once_and_their_passwords_shown() {
    let world = World::new().await;
    let root = world.admin("root").await;
    let group = GroupName::parse("physics").expect("a name");
    world.auth.create_groups("test", std::slice::from_ref(&group), &[]).await.expect("a group");
    let list = "username,first name,last name,email\nAnn,Ann,<b>Lee,ann@x.org\nbea";
    let look = [("people", list), ("group", "physics"), ("must_change", "1"), ("step", "check")];
    let preview = root.post("/hub/admin/new", &look).await.is(200);
    assert!(preview.text.contains("2 new users") && preview.text.contains("&lt;b&gt;Lee"), "{}", preview.text);
    assert!(world.auth.user(&name("ann")).is_none());
    let form = preview.field("form").expect("a form");
    let create = [("people", list), ("group", "physics"), ("must_change", "1"), ("step", "create"), ("form", &form)];
    let (made, again) = tokio::join!(root.post("/hub/admin/new", &create), root.post("/hub/admin/new", &create));
    let made = made.is(200);
    assert!(made.header("cache-control").contains("no-store"));
    let passwords: Vec<_> = made.text.split("<code>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
    assert_eq!(passwords.len(), 2, "{}", made.text);
    assert!(again.is(200).text.contains(passwords[0]), "sent twice, made once");
    let address = std::net::IpAddr::from([10, 0, 0, 9]);
    world.auth.sign_in("ann", &crate::model::Secret::new(passwords[0]), address).await.expect("the password is hers");
    assert!(world.auth.user(&name("ann")).is_some_and(|ann| ann.must_change_password() && !ann.is_admin()));
    assert_eq!(world.auth.group(&group).expect("it is there").users, [name("ann"), name("bea")]);
    // The same form of somebody else shows nothing, and the names are taken.
    let other = world.admin("other").await.post("/hub/admin/new", &create).await.is(400);
    assert!(!other.text.contains(passwords[0]) && other.text.contains("is taken"));
}

#[tokio::test]
async fn what_is_wrong_with_a_list_is_said_beside_it_and_nobody_is_made() {
    let world = World::new().await;
    let root = world.admin("root").await;
    let list = "ann\nroot\n<i>/x";
    for step in ["check", "create"] {
        let page = root.post("/hub/admin/new", &[("people", list), ("step", step), ("form", "f")]).await.is(400);
        assert!(page.text.contains("2 lines cannot be used yet") && page.text.contains("Line 2: "), "{}", page.text);
        assert!(!page.text.contains("<i>") && page.text.contains("aria-invalid"));
    }
    assert!(root.post("/hub/admin/new", &[("step", "create")]).await.is(400).text.contains("at least one name"));
    assert!(world.auth.user(&name("ann")).is_none());
    world.user("bob").await.post("/hub/admin/new", &[("people", "eve")]).await.is(403);
}

#[tokio::test]
async fn the_page_of_one_user_tells_all_and_acts_lead_back_to_it() {
    let world = World::new().await;
    let root = world.admin("root").await;
    let ann = world.user("ann").await;
    ann.get("/hub/admin/users/ann").await.is(403);
    let fields = [("just", "start ann"), ("from", "user")];
    let started = root.post("/hub/admin/ask", &fields).await.is(303);
    assert!(started.location().starts_with("/hub/admin/users/ann?done="), "{}", started.location());
    let page = root.get(started.location()).await.is(200);
    for told in ["ann: server started.", "Open as administrator", "Signed in on 1 device", "10.0.0.1", "added user"] {
        assert!(page.text.contains(told), "no {told} in {}", page.text);
    }
    // A running server keeps the name.
    let refused = root.post("/hub/admin/users/ann/rename", &[("name", "anna")]).await.is(400);
    assert!(refused.text.contains("must be stopped") && refused.text.contains("value=\"anna\""));
    root.administer("stop", &["ann"], &[]).await.is(303);
    root.post("/hub/admin/users/ann/rename", &[("name", "a/b")]).await.is(400);
    root.post("/hub/admin/users/ann/rename", &[("name", "root")]).await.is(400);
    let renamed = root.post("/hub/admin/users/ann/rename", &[("name", "Anna")]).await.is(303);
    assert_eq!(renamed.location(), "/hub/admin/users/anna");
    root.get("/hub/admin/users/ann").await.is(404);
    root.get("/hub/admin/users/anna").await.is(200);
    assert!(!root.get("/hub/admin/users/root").await.is(200).text.contains("delete root"));
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "docs/figures.md quotes what an optimised build of this says")]
async fn the_list_of_ten_thousand_users_takes_milliseconds() {
    // The goal is the optimised build's; the other one shares its machine with all other tests, and is not held to any.
    let rounds = if cfg!(debug_assertions) { 1 } else { 31 };
    let world = World::new().await;
    let root = world.admin("root").await;
    world.seed_users(10_000).await;
    let groups: Vec<_> = (0..20).map(|n| GroupName::parse(&format!("course-{n}")).expect("a name")).collect();
    for (index, group) in groups.iter().enumerate() {
        let members: Vec<_> = (0..10_000).filter(|n| n % 20 == index).map(|n| name(&format!("user-{n}"))).collect();
        world.auth.create_groups("test", std::slice::from_ref(group), &members).await.expect("a group");
    }
    root.get("/hub/admin").await.is(200);
    // As with a hub that has looked at everybody.
    world.state.look_at_activity().await.expect("stored");
    for query in [
        "",
        "sort=activity&size=200",
        "sort=memory",
        "page=150",
        "size=200",
        "sort=-name",
        "sort=access",
        "sort=server",
        "sort=active",
        "sort=groups",
        "sort=-created&size=200",
        "show=running",
        "show=waiting",
        "show=administrators",
        "group=course-7",
        "q=7",
        "q=course-1",
        "q=nobody&sort=groups",
    ] {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..rounds {
            let begun = Instant::now();
            let answer = root.get(&format!("/hub/admin?{query}")).await.is(200);
            times.push(begun.elapsed());
            bytes = answer.text.len();
        }
        times.sort_unstable();
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        eprintln!("{query}: {median:.1?} ({:.1?}..{most:.1?}), {} KiB", times[0], bytes / 1024);
        assert!(bytes <= 100 * 1024, "{query}: {bytes} bytes");
    }
}
