//! Samples of the administrators' pages about users.

use minijinja::context;
use minijinja::value::Value;

use super::{NOW, disks, frame, named, server};
use crate::hub::templates::moment;

/// File, template, frame, values.
type Sample = (&'static str, &'static str, Value, Value);

pub(super) fn pages() -> Vec<Sample> {
    lists().into_iter().chain(others()).collect()
}

/// The list of users, in every state that a row can have.
fn users() -> Value {
    let row = |name: &str, real_name: &str, server: &str, more: Value| {
        let row = context! {
            name, path => name, real_name, is_me => name == "admin", admin => name == "admin", is_waiting => false,
            is_disabled => false, server, active => (server != "stopped").then(|| moment(NOW)), created => moment(NOW),
            groups => vec![context! { name => "physics", query => "physics" }], more_groups => 0,
            cpu => (name == "alice").then_some("1.87"), memory => (name == "alice").then_some("13 GiB"),
            volumes => (name != "carl").then_some("4.2 GiB"), layer => (name == "alice").then_some("312 MiB"),
            activity => (server != "stopped").then_some(63), bars => (server != "stopped").then_some(4),
            above_memory => name == "alice", above_volumes => false, above_layer => false,
        };
        context! { ..more, ..row }
    };
    let many_groups: Vec<_> =
        ["chemistry", "course-2026-autumn", "gpu-users"].map(|name| context! { name, query => name }).into();
    let rows = vec![
        row("admin", "", "stopped", context! { groups => Vec::<Value>::new() }),
        row("alice", "Alice Liddell", "ready", context! {}),
        row("barbara", "Barbara Liskov", "starting", context! { groups => many_groups, more_groups => 4 }),
        row("carl", "", "failed", context! {}),
        row("dora", "Dora Richter", "stopping", context! {}),
        row("eve", "", "stopped", context! { is_disabled => true, groups => Vec::<Value>::new() }),
        row("a-person-with-a-rather-long-name@example.org", "", "stopped", context! { is_waiting => true }),
    ];
    let shows = [("", 128), ("waiting", 3), ("running", 17), ("administrators", 2), ("disabled", 1)];
    let shows = shows.map(
        |(word, count)| context! { word, count, address => format!("?show={word}"), is_chosen => word.is_empty() },
    );
    let columns = [
        "name", "access", "server", "cpu", "memory", "volumes", "layer", "activity", "active", "groups", "created",
    ]
    .map(|word| {
        context! { word, address => format!("?sort={word}"), direction => (word == "name").then_some("ascending") }
    });
    context! {
        users => rows, total => 128, found => 128, shows => shows.to_vec(), show => "", columns => columns.to_vec(), sort => (),
        text => "", group => (), groups => vec!["chemistry", "physics"], is_narrowed => false, everybody => "/hub/admin",
        sizes => [50, 100, 200].map(|size| context! { size, address => format!("?size={size}") }).to_vec(), size => 50,
        has_samples => true, warns => context! { memory => 25, volumes => "50 GiB", layer => "10 GiB" },
        wish => "", acts => crate::hub::pages::sample_acts(), problem => (), done => (), first => 1, last => 7, pages => 3, previous => (),
        next => "?page=2",
    }
}

/// The list when somebody looked for nobody, and after an act.
fn lists() -> Vec<Sample> {
    let admin = || frame(Some("admin"), true, "/hub/admin");
    let done = context! { name => "alice", url => "/hub/admin/users/alice", what => "approved", with_volumes => false };
    let empty = |more: Value| context! { ..more, ..context! { users => Vec::<Value>::new(), found => 0, pages => 1, ..users() } };
    vec![
        ("users", "users.html", admin(), users()),
        ("users-done", "users.html", admin(), context! { done, ..users() }),
        (
            "users-refused",
            "users.html",
            admin(),
            context! { problem => "Choose somebody first: tick the boxes beside the names.", ..users() },
        ),
        ("users-none-found", "users.html", admin(), empty(context! { is_narrowed => true, text => "nobody" })),
        ("users-none-waiting", "users.html", admin(), empty(context! { show => "waiting" })),
    ]
}

/// Somebody who works by day, uses much memory, and whose hub was down for a while.
fn using() -> Value {
    let hour = |hour: usize| {
        let is_work = (9..17).contains(&(hour % 24)) && hour / 24 != 3;
        (!(50..60).contains(&hour)).then_some(if is_work { 0.5 + (hour * 31 % 6) as f64 / 12.0 } else { 0.0 })
    };
    let hours: Vec<_> = (0..168).map(hour).collect();
    context! {
        plot => crate::hub::pages::plot::bars(&hours), sampled => moment(NOW), is_up => true,
        volume_parts => [("cache", "1.1 GiB"), ("home", "3.1 GiB")].map(|(suffix, size)| context! { suffix, size }).to_vec(),
        above_memory => true, above_volumes => false, above_layer => false,
        warns => context! { memory => 25, volumes => "50 GiB", layer => "10 GiB" },
        cpu => "1.87", cpu_limit => "4", memory => "70 GiB", memory_limit => (), host_memory => "256 GiB", layer => "312 MiB",
        volumes => "4.2 GiB",
        activity => context! { score => 63, bars => 4, level => "high", hours => "5.1", samples => 940 },
    }
}

/// Somebody of whom nothing is known.
fn using_nothing() -> Value {
    context! {
        plot => (), sampled => (), is_up => false, volume_parts => Vec::<Value>::new(), above_memory => false,
        above_volumes => false, above_layer => false, warns => context! { memory => 25, volumes => (), layer => () },
        cpu => (), cpu_limit => (), memory => (), memory_limit => (), host_memory => (), layer => (), volumes => (),
        activity => (),
    }
}

fn user_page(more: Value) -> Value {
    let grant = |label: &str, value: &str, from: &[&str], is_root_like: bool| {
        let from: Vec<_> = from.iter().map(|name| context! { name => *name, path => *name }).collect();
        context! { label, value, from, is_available => true, is_root_like }
    };
    let session = |from: &str, agent: &str| context! { from, agent, created => moment(NOW), last_seen => moment(NOW) };
    let row = |actor: &str, act: &str, object: &str| context! { at => moment(NOW), actor, act, object };
    let page = context! {
        name => "alice", path => "alice", is_me => false, is_waiting => false, is_disabled => false, admin => true,
        must_change_password => true, has_second_factor => true, real_name => "Alice Liddell", email => "alice@example.org", created => moment(NOW),
        active => moment(NOW), servers => vec![server("ready", "", 100, None), named("thesis", "Thesis", "Small", "stopped")],
        log => "[I 2026-11-22 ServerApp] Jupyter Server is running at:\n[W 2026-11-22 ServerApp] <script>alert(1)</script>",
        groups => vec![context! { name => "physics", url => "/hub/admin?group=physics" }],
        grants => vec![
            grant("Memory", "8 GiB, no swap", &["physics", "gpu-users"], false),
            grant("Docker socket", "read and write", &["docker-privileged"], true),
            grant("Processors", "no limit", &[], false),
        ],
        volumes => disks(), left_over => false, volumes_url => "/hub/volumes/alice",
        sessions => vec![session("192.0.2.17", "Firefox on Linux"), session("2001:db8:85a3:8d3:1319:8a2e:370:7348", "")],
        session_count => 2, tokens => 3,
        audit => vec![row("root", "opened server of", "alice"), row("alice", "signed in", "")],
        audit_url => "/hub/audit?person=alice", acts => crate::hub::pages::sample_acts(), back => "/hub/admin?at=alice", done => (),
        problem => (), typed => "", using => using(),
    };
    context! { ..more, ..page }
}

fn question(act: &str, label: &str, is_destructive: bool, more: Value) -> Value {
    let names = vec!["alice", "barbara", "a-person-with-a-rather-long-name@example.org"];
    let page = context! {
        question => "0123456789abcdef", act, label, consequence => "What runs in them ends.", is_destructive, count => 3,
        names, more => 0, unfit => vec![context! { name => "admin", why => "is you; ask another administrator" }],
        unfit_count => 1, unfit_more => 0, wants_group => act == "add-to-group", back => "/hub/admin", group => "",
        group_problem => (), password_problem => (),
        groups => vec![
            context! { name => "docker-privileged", is_root_like => true },
            context! { name => "physics", is_root_like => false },
        ],
    };
    context! { ..more, ..page }
}

fn outcomes(more: Value) -> Value {
    let result =
        |name: &str, word: &str, text: &str| context! { name, url => format!("/hub/admin/users/{name}"), word, text };
    let results = vec![
        result("barbara", "failed", "As many servers are running as may run here. Try again in a few minutes."),
        result("carl", "starting", "Under way"),
        result("dora", "waiting", "Not yet"),
        result("alice", "ready", "Done"),
    ];
    let page = context! {
        label => "Start server", what => "server started", with_volumes => false, group => (), count => 4, done => 1,
        failed => 1, open => 2, is_finished => false, results, back => "/hub/admin", page => 1, pages => 1,
        previous => (), next => (),
    };
    context! { ..more, ..page }
}

fn new_users(more: Value) -> Value {
    let line = |number: usize, name: &str, real_name: &str, email: &str| {
        context! { number, name, real_name, email, groups => vec!["physics"], problem => () }
    };
    let page = context! {
        form => "0123456789abcdef", people => "", must_change => true, admin => false,
        groups => ["chemistry", "physics"].map(|name| context! { name, is_chosen => name == "physics" }).to_vec(),
        lines => vec![line(1, "ann", "Ann Lee", "ann@example.org"), line(2, "bea", "", "")], count => 0, wrong => 0,
        is_empty => false, limit => 1000, problem => (),
    };
    context! { ..more, ..page }
}

/// One user, questions, outcomes, new users.
fn others() -> Vec<Sample> {
    let admin = |page: &str| frame(Some("admin"), true, page);
    let (one, asks, made) =
        (|| admin("/hub/admin/users/alice"), || admin("/hub/admin/ask"), || admin("/hub/admin/new"));
    let volumes = |owners: Vec<Value>| {
        context! { volumes => context! { owners, is_whole => true, others => 0, next_gets_them => false } }
    };
    let owners = ["alice", "barbara"].map(|name| context! { name, volumes => disks() }).to_vec();
    let wrong = context! { number => 3, name => "b/c", problem => "is no name: it holds a /" };
    let people = ["ann", "bea"].map(|name| context! { name, password => "maple-orbit-velvet-crane" }).to_vec();
    let problem = "There is a user of this name already.";
    let nobody = context! { count => 0, names => Vec::<Value>::new(), unfit_count => 1 };
    vec![
        ("user", "user.html", one(), user_page(context! {})),
        (
            "user-waiting",
            "user.html",
            one(),
            user_page(context! {
                is_waiting => true, admin => false, real_name => "", email => "", servers => vec![server("stopped", "", 0, None)],
                using => using_nothing(), log => "", groups => Vec::<Value>::new(), volumes => Vec::<Value>::new(), left_over => true,
                sessions => Vec::<Value>::new(), session_count => 0, active => (), audit => Vec::<Value>::new(),
            }),
        ),
        ("user-rename-refused", "user.html", one(), user_page(context! { problem, typed => "bob", volumes => () })),
        ("users-ask", "users_ask.html", asks(), question("stop", "Stop server", true, context! {})),
        ("users-ask-nobody", "users_ask.html", asks(), question("stop", "Stop server", true, nobody)),
        ("users-ask-delete", "users_ask.html", asks(), question("delete", "Delete account", true, volumes(owners))),
        (
            "users-ask-delete-none",
            "users_ask.html",
            asks(),
            question("delete", "Delete account", true, volumes(vec![])),
        ),
        ("users-ask-group", "users_ask.html", asks(), question("add-to-group", "Add to group", false, context! {})),
        (
            "users-ask-password",
            "users_ask.html",
            asks(),
            question(
                "add-to-group",
                "Add to group",
                false,
                context! { group => "docker-privileged", password_problem => "The password is not right." },
            ),
        ),
        ("users-doing", "users_done.html", asks(), outcomes(context! {})),
        (
            "users-done-all",
            "users_done.html",
            asks(),
            outcomes(
                context! { is_finished => true, done => 3, failed => 1, open => 0, pages => 2, next => "?page=2" },
            ),
        ),
        ("users-new", "users_new.html", made(), new_users(context! {})),
        ("users-new-preview", "users_new.html", made(), new_users(context! { people => "ann\nbea", count => 2 })),
        (
            "users-new-refused",
            "users_new.html",
            made(),
            new_users(context! { people => "ann\nb/c", count => 2, wrong => 1, lines => vec![wrong] }),
        ),
        (
            "users-new-problem",
            "users_new.html",
            made(),
            new_users(
                context! { people => "ann", count => 1, problem => "Group lab makes its members root on this host." },
            ),
        ),
        ("users-made", "users_made.html", made(), context! { people, existing => vec!["carl"], must_change => true }),
    ]
}
