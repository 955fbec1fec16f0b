//! Renders every page with sample values into `target/hub-samples`: proof that no template is broken, and something
//! to look at (serve the folder and take screenshots).

mod users;

use std::fs;
use std::path::Path;

use minijinja::context;
use minijinja::value::Value;

use crate::hub::api::openapi::Document;
use crate::hub::assets;
use crate::hub::config::Config;
use crate::hub::frame::section_of;
use crate::hub::pages::api_docs::{overview_of, tag_of};
use crate::hub::templates::{Views, moment};
use crate::model::Timestamp;

const NOW: Timestamp = Timestamp(1_795_313_227_732);

fn frame(person: Option<&str>, is_admin: bool, here: &str) -> Value {
    context! { person, is_admin, form_token => "0".repeat(56), section => section_of(here, "/hub/"), here, change_count => 3 }
}

fn server(state: &str, message: &str, progress: u8, failure: Option<Value>) -> Value {
    context! {
        owner => "alice", url => "/user/alice/", state, message, progress, failure,
        since => moment(NOW), spawn_url => "/hub/spawn/alice", stop_url => "/hub/stop/alice",
        pending_url => "/hub/spawn-pending/alice", api_url => "/hub/api/users/alice/server",
        id => "server", restart_url => "/hub/restart/alice", can_restart => true,
        image => "quay.io/jupyter/datascience-notebook:2026-11-03", memory => "4 GiB", cpu => "2 cores",
        name => "", title => "", kind => (), has_choice => false, must_choose => false, delete_url => "", active => (),
    }
}

fn named(name: &str, title: &str, kind: &str, state: &str) -> Value {
    context! {
        id => format!("named-{name}"), name, title, kind, has_choice => true, delete_url => format!("/hub/delete-server/alice/{name}"),
        active => (state == "ready").then(|| moment(NOW)), ..server(state, "", 40, None),
    }
}

/// The time that a server has left, in one of the states of the bar.
fn idle(id: &str, tone: &str, percent: u8, more: Value) -> Value {
    let offers =
        vec![context! { hours => 1, text => "1 hour" }, context! { hours => 4, text => "4 hours (all there is)" }];
    let idle = context! {
        id, tone, percent, deadline => moment(NOW), wait => context! { iso => NOW.to_iso(), text => "in 42 minutes" },
        is_for_idle => true, is_held => false, last => context! { what => "busy kernel", at => moment(NOW) }, is_extended => false, offers,
        no_offer => (), extend_url => "/hub/extend/alice", said => (), problem => (),
    };
    context! { ..more, ..idle }
}

/// Home of somebody whose server has so much time left.
fn idle_home(tone: &str, percent: u8, more: Value) -> Value {
    let with_idle = |id: &str, server: Value, idle: Value| context! { id, idle, ..server };
    let server = with_idle("server", server("ready", "", 100, None), idle("server", tone, percent, more.clone()));
    let named =
        with_idle("named-gpu", named("gpu", "GPU work", "GPU", "ready"), idle("named-gpu", tone, percent, more));
    context! {
        server, named => vec![named], may_have_named => true, has_idle => true, waiting => 0, first_name => "Alice",
        visitors => Vec::<Value>::new(), more_visitors => 0, typed => "", problem => (),
    }
}

/// A server that was stopped because nobody used it.
fn stopped_when_idle() -> Value {
    let ended = context! { at => moment(NOW), is_for_idle => true, unused_since => moment(NOW) };
    context! { ended, ..server("stopped", "", 0, None) }
}

/// A page of the audit log.
fn audit_log(is_broken: bool) -> Value {
    let row = |number: u64, actor: &str, act: &str, object: &str, kind: &str, from: Option<&str>| {
        context! {
            number, at => moment(NOW), noted => (number == 6).then(|| moment(NOW)), actor, actor_query => actor, act, object,
            kind, label => kind, from, token => (number == 5).then_some("a12"),
        }
    };
    let rows = vec![
        row(9, "root", "opened server of", "alice", "visit", Some("192.0.2.7")),
        row(8, "unknown", "failed to sign in as", "alice", "failure", Some("2001:db8::7:1:2")),
        row(7, "alice", "signed in", "", "sign-in", Some("192.0.2.12")),
        row(6, "slipway", "changed configuration", "auth.password_length, spawner.docker.image", "configuration", None),
        row(
            5,
            "service report",
            "made token",
            "a14 of a-person-with-a-rather-long-name@example.org",
            "token",
            Some("192.0.2.7"),
        ),
        row(4, "root", "added alice to group", "docker-privileged", "grant", Some("192.0.2.7")),
    ];
    let kinds = vec![context! { word => "sign-in", label => "Sign-ins", is_chosen => false }];
    let chain = context! {
        is_running => false, at => moment(NOW), is_read => true, rows => 12_345, unchained => (), head => (),
        problem => is_broken.then_some("3 rows from number 17 on are missing"),
    };
    context! {
        rows => if is_broken { vec![] } else { rows }, kinds, who => "", text => "", since => "", until => "",
        is_searched => is_broken, is_first => true, is_cut_short => is_broken, looked_back_to => moment(NOW),
        newest_url => "/hub/audit", older_url => "/hub/audit?before=4", export_url => "/hub/api/audit", chain,
    }
}

fn settings() -> Value {
    let one = |key: &str, value: &str, is_set: bool| {
        let description = "How long open requests may go on after the first Ctrl-C or SIGTERM. Servers go on running.";
        context! { key, value, default => "10", source => "/etc/slipway/slipway.toml:12", description, is_set }
    };
    let group = |name: &str, settings: Vec<Value>| context! { name, settings };
    let groups = vec![
        group("general", vec![one("base_url", "\"/\"", false), one("stop_timeout_s", "30", true)]),
        group(
            "spawner.docker",
            vec![one("spawner.docker.image", "\"quay.io/jupyter/minimal-notebook:2026-11-03\"", true)],
        ),
    ];
    context! { text => "", only_set => false, total => 3, count => 3, count_set => 2, groups }
}

fn disks() -> Vec<Value> {
    let disk = |suffix: &str, mount: &str, description: &str, size: Option<&str>| {
        context! { suffix, title => suffix, name => format!("jupyterlab-alice_{suffix}"), mount, description, size, resettable => true }
    };
    vec![
        disk("home", "/home/jovyan", "Home files and configuration", Some("1.5 GB")),
        disk("workspace", "/home/jovyan/work", "Project files, notebooks, code", Some("12 GB")),
        disk("cache", "/home/jovyan/.cache", "Temporary files, pip and conda cache", None),
    ]
}

fn volumes(more: Value) -> Value {
    let shared = context! {
        suffix => "shared", title => "shared", name => "jupyterhub_shared", mount => "/mnt/shared",
        description => "Files that everybody here shares", size => "88 GB", resettable => false,
    };
    let mut all = disks();
    all.push(shared);
    let page = context! {
        volumes => all, has_own => true, owner => "alice", is_own => true, measured => moment(NOW),
        reset_url => "/hub/volumes/alice/reset", settle_url => "/hub/volumes/alice/settle", back => "/hub/volumes",
    };
    context! { ..more, ..page }
}

/// The offer of a hub with three profiles.
fn offer() -> Value {
    let profile =
        |name: &str, title: &str, description: &str, memory: &str, cpu: &str, image: &str, is_chosen: bool| {
            context! { name, title, description, memory, cpu, image, is_chosen }
        };
    let profiles = vec![
        profile(
            "small",
            "Small",
            "For reading and light notebooks.",
            "2 GiB",
            "1 core",
            "quay.io/jupyter/minimal-notebook:2026-11-03",
            true,
        ),
        profile(
            "data",
            "Data science",
            "With pandas, scikit-learn and R. What most courses use.",
            "8 GiB",
            "4 cores",
            "quay.io/jupyter/datascience-notebook:2026-11-03",
            false,
        ),
        profile(
            "gpu",
            "GPU",
            "One GPU for training. Stop it when you are done: there are only four.",
            "32 GiB",
            "8 cores",
            "quay.io/jupyter/pytorch-notebook:cuda12-2026-11-03",
            false,
        ),
    ];
    context! { profiles, images => vec!["quay.io/jupyter/minimal-notebook:2026-11-03"], any_image => true, image => () }
}

fn spawn(name: &str, is_own: bool, problem: &str) -> Value {
    context! {
        owner => "alice", name, title => (), is_own, is_new => false, offer => offer(), has_choice => true,
        action => "/hub/spawn/alice", problem => (!problem.is_empty()).then_some(problem),
    }
}

fn token(id: &str, note: &str, scopes: &[&str], is_used: bool) -> Value {
    context! {
        id, note, created => moment(NOW), used => is_used.then(|| moment(NOW)), expires => is_used.then(|| moment(NOW)),
        has_all => scopes.is_empty(), scopes => scopes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }
}

fn tokens(made: Option<Value>, problem: &str) -> Value {
    let choices = crate::hub::pages::sample_choices();
    let lives = vec![
        context! { key => "1", text => "1 day", is_chosen => false },
        context! { key => "30", text => "30 days", is_chosen => true },
    ];
    let own = vec![
        token("a12", "Nightly report", &["read:users!user", "access:servers!user"], true),
        token("a9", "laptop", &[], true),
        token(
            "a4",
            "A script with a very long note that somebody wrote to know it again in a year",
            &["a", "b", "c", "d"],
            false,
        ),
    ];
    let app = |name: &str, scope: &str| context! { name, since => moment(NOW), ..token("a20", "", &[scope], true) };
    let apps =
        vec![app("Server alice", "access:servers!server=alice/"), app("report", "access:services!service=report")];
    context! {
        tokens => own, is_cut => false, apps, choices, lives, note => "", more_scopes => "", some_rights => !problem.is_empty(),
        made, problem => (!problem.is_empty()).then_some(problem),
    }
}

fn device(name: &str, is_handheld: bool, is_this: bool) -> Value {
    let from = if is_handheld { "2001:db8:85a3:8d3:1319:8a2e:370:7348" } else { "192.0.2.17" };
    context! { id => "0123456789abcdef", name, is_handheld, is_this, from, created => moment(NOW), seen => moment(NOW) }
}

fn account(problem: Option<&str>) -> Value {
    let devices = vec![
        device("Firefox on Linux", false, true),
        device("Safari on iPhone", true, false),
        device("Edge on Windows", false, false),
    ];
    context! {
        first_name => "Ada", last_name => "Lovelace", email => if problem.is_some() { "ada@" } else { "ada@example.org" },
        first_name_error => (), last_name_error => (), email_error => problem,
        done => if problem.is_some() { "" } else { "Your profile is saved." }, devices, hidden_devices => 0, groups => vec!["physics", "gpu-users"],
    }
}

fn failure() -> Value {
    let log = "[I 2026-11-22 02:07:01.104 ServerApp] jupyterlab | extension was successfully linked.\n\
               [W 2026-11-22 02:07:01.371 ServerApp] <script>alert(1)</script>\n\
               [C 2026-11-22 02:07:01.802 ServerApp] Bad config encountered during initialization: The 'port' trait of \
               a ServerApp instance expected an int, not the str '88x8'.";
    context! {
        sentence => "Your server ended while it was starting. Its last words are below; if they tell you nothing, show them to an administrator.",
        exit_code => 1, log, at => moment(NOW),
    }
}

fn phases(now: usize) -> Value {
    let all = [
        ("image", "Getting the image"),
        ("create", "Setting up your space"),
        ("start", "Starting"),
        ("ready", "Waiting for the first answer"),
    ];
    let phases = all.into_iter().enumerate().map(|(index, (name, text))| {
        let state = match index.cmp(&now) {
            std::cmp::Ordering::Less => "done",
            std::cmp::Ordering::Equal => "now",
            std::cmp::Ordering::Greater => "next",
        };
        context! { name, text, state }
    });
    Value::from(phases.collect::<Vec<_>>())
}

fn login(username: &str, error: &str, setup_name: Option<&str>) -> Value {
    context! { query => "next=%2Fuser%2Falice%2Flab", username, error, may_sign_up => true, setup_name, setup_needs_code => true }
}

fn signup(code: &str, username: &str, error: &str, setup_name: Option<&str>) -> Value {
    context! { code, username, error, setup_name }
}

fn starting(phase: usize, message: &str, progress: u8) -> Value {
    context! {
        server => server("starting", message, progress, None), next => "/user/alice/lab?x=1",
        reload_url => "/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab&start=1",
        progress_url => "/hub/api/users/alice/server/progress?_xsrf=0", phases => phases(phase),
    }
}

fn around(state: &str, failure: Option<Value>) -> Value {
    context! { server => server(state, "", 0, failure), next => "/user/alice/lab", spawn_url => "/hub/spawn/alice?next=%2F" }
}

/// File name, template, whether the reader is signed in and an administrator, address, values.
/// A choice of the form of notices.
fn option(value: &str, text: &str, is_chosen: bool) -> Value {
    context! { value, text, is_chosen }
}

fn sent_notice(id: u64, message: &str, kind: &str, delivered: usize, total: usize, state: &str) -> Value {
    let failure = context! { user => "barbara", server => "gpu", reason => "The server did not answer within 5 s", cure => "It may be busy or stuck." };
    let failures = if state == "over" { vec![failure; (total - delivered).min(2)] } else { vec![] };
    context! {
        id, message, kind, kind_text => kind, by => "root", at => moment(NOW), total, delivered, state,
        more_failures => (total - delivered).saturating_sub(2), failures,
    }
}

/// The page of notices; `is_refused`: with what was wrong beside its fields.
fn notices(is_refused: bool) -> Value {
    let people: Vec<_> = (1..40)
        .map(|number| {
            let about = (number % 7 == 0).then_some(if number == 7 { "not ready" } else { "2 servers" });
            context! { name => format!("student-{number:03}"), about, is_chosen => number < 3 && is_refused }
        })
        .collect();
    context! {
        limit => 140,
        message => if is_refused { "x".repeat(150) } else { String::new() },
        message_problem => is_refused.then_some("This is 10 characters too long."),
        audience_problem => is_refused.then_some("Choose somebody, or send it to everybody."),
        problem => (),
        kinds => vec![option("info", "Information", true), option("warning", "Warning", false)],
        kind => "info",
        auto_closes => vec![option("never", "Stays until dismissed", true), option("30000", "After 30 seconds", false)],
        is_for_some => is_refused, find => "", people_count => 39, servers_count => 44, people, others_count => 0,
        active_url => "/hub/api/notifications/active-servers",
        history => vec![
            sent_notice(9, "Maintenance at 18:00. Save your work, please.", "warning", 12, 44, "under-way"),
            sent_notice(8, "The new image has PyTorch 2.9", "success", 39, 39, "over"),
            sent_notice(7, "The shared disk is nearly full: who can, delete what is old. Ask in the channel if you do not know what may go.", "error", 31, 39, "over"),
            sent_notice(6, "Hello", "default", 0, 3, "over"),
            sent_notice(5, "Copying the course material", "in-progress", 0, 3, "interrupted"),
        ],
        previous_url => (), next_url => "/hub/notifications?page=2#sent", page => 1, pages => 2,
    }
}

/// The page of notices where nobody works and nothing was sent.
fn no_notices() -> Value {
    let nobody = context! { people_count => 0, servers_count => 0, people => Vec::<Value>::new(), history => Vec::<Value>::new(), pages => 1, next_url => () };
    context! { ..nobody, ..notices(false) }
}

fn notice(state: &str) -> Value {
    let result = |user: &str, server: Option<&str>, reason: Option<&str>, cure: Option<&str>| context! { user, server, reason, cure };
    context! {
        sent => sent_notice(7, "The shared disk is nearly full: who can, delete what is old.\nThank you.", "warning", 31, 39, state),
        auto_close => "Stays until dismissed", done => 33, failed => 2, not_kept => 0,
        results => vec![
            result("barbara", Some("gpu"), Some("The server did not answer within 5 s"), Some("It may be busy or stuck.")),
            result("carl", None, Some("The notifications extension is not installed on this server (HTTP 404)"), Some("Install jupyterlab-notifications-extension in its image.")),
            result("alice", None, None, None),
            result("dora", None, None, None),
        ],
        progress_url => "/hub/api/notifications/sent/7", previous_url => (), next_url => (), page => 1, pages => 1,
    }
}

fn pages() -> Vec<(&'static str, &'static str, Value, Value)> {
    let nobody = || frame(None, false, "/hub/login");
    let alice = |page: &str| frame(Some("alice"), false, page);
    let admin = |page: &str| frame(Some("admin"), true, page);
    let home = |state: Value, waiting: usize| {
        context! {
            server => state, waiting, named => Vec::<Value>::new(), may_have_named => false,
            first_name => "Alice", visitors => vec![context! { name => "root", server => (), at => moment(NOW) }], more_visitors => 0, typed => "", problem => (),
        }
    };
    let several = |problem: Option<&str>| {
        let named = vec![
            named("gpu-work", "GPU work", "GPU", "ready"),
            named("thesis", "Thesis", "Data science", "starting"),
            named("old-course", "Old course 2024", "Small", "stopped"),
        ];
        context! { named, may_have_named => true, typed => problem.map_or("", |_| "42"), problem, ..home(server("ready", "", 100, None), 0) }
    };
    vec![
        ("login", "login.html", nobody(), login("", "", None)),
        ("login-refused", "login.html", nobody(), login("alice", "Invalid username or password", None)),
        ("login-setup", "login.html", nobody(), login("", "", Some("admin"))),
        ("signup", "signup.html", nobody(), signup("", "", "", None)),
        ("signup-setup", "signup.html", nobody(), signup("c0de", "admin", "", Some("admin"))),
        (
            "signup-refused",
            "signup.html",
            nobody(),
            signup("", "alice", "That name is taken. Choose another.", Some("admin")),
        ),
        ("waiting", "waiting.html", nobody(), context! { username => "alice" }),
        ("logout", "logout.html", alice(""), context! {}),
        (
            "password",
            "password.html",
            alice("/hub/change-password"),
            context! { error => "", is_done => false, is_required => false, next => () },
        ),
        (
            "password-required",
            "password.html",
            alice("/hub/change-password"),
            context! { error => "", is_done => false, is_required => true, next => "/user/alice/lab" },
        ),
        ("account", "account.html", alice("/hub/account"), account(None)),
        (
            "account-refused",
            "account.html",
            admin("/hub/account"),
            account(Some("The e-mail address is none: it needs a name, an @ and a host, as in ada@example.org.")),
        ),
        (
            "end-session",
            "end_session.html",
            alice("/hub/account/sign-out/0"),
            context! { device => device("Chrome on Android", true, false), others => 0 },
        ),
        ("end-sessions", "end_session.html", alice("/hub/account/sign-out"), context! { device => (), others => 3 }),
        (
            "password-done",
            "password.html",
            alice("/hub/change-password"),
            context! { error => "", is_done => true, is_required => false, next => () },
        ),
        (
            "set-password",
            "set_password.html",
            admin("/hub/change-password/bob"),
            context! { name => "bob", path => "bob", error => "", is_done => false, must_change => true },
        ),
        (
            "set-password-done",
            "set_password.html",
            admin("/hub/change-password/bob"),
            context! { name => "bob", path => "bob", error => "", is_done => true, must_change => true, password => "maple-orbit-velvet-crane" },
        ),
        ("home-ready", "home.html", alice("/hub/home"), home(server("ready", "", 100, None), 0)),
        ("home-stopped", "home.html", admin("/hub/home"), home(server("stopped", "", 0, None), 2)),
        (
            "home-starting",
            "home.html",
            alice("/hub/home"),
            home(server("starting", "Starting your server", 55, None), 0),
        ),
        ("home-idle", "home.html", alice("/hub/home"), idle_home("ample", 70, context! {})),
        ("home-idle-low", "home.html", alice("/hub/home"), idle_home("low", 22, context! { said => "Extended." })),
        (
            "home-idle-last",
            "home.html",
            alice("/hub/home"),
            idle_home("last", 4, context! { problem => "Choose a whole number of hours, 1 or more." }),
        ),
        (
            "home-idle-full",
            "home.html",
            alice("/hub/home"),
            idle_home(
                "ample",
                100,
                context! { offers => Vec::<Value>::new(), is_extended => true, no_offer => "It has as much time as can be given." },
            ),
        ),
        (
            "home-idle-stopped",
            "home.html",
            alice("/hub/home"),
            context! { has_idle => true, ..home(stopped_when_idle(), 0) },
        ),
        ("home-restarting", "home.html", alice("/hub/home"), home(server("restarting", "", 0, None), 0)),
        ("home-stopping", "home.html", alice("/hub/home"), home(server("stopping", "", 0, None), 0)),
        ("home-failed", "home.html", alice("/hub/home"), home(server("failed", "", 0, Some(failure())), 0)),
        (
            "starting-image",
            "starting.html",
            alice(""),
            starting(0, "Pulling image quay.io/jupyter/base-notebook: 412 of 1,034 MB", 18),
        ),
        ("starting-ready", "starting.html", alice(""), starting(3, "Your server runs; waiting until it answers", 72)),
        ("home-named", "home.html", alice("/hub/home"), several(None)),
        (
            "home-named-refused",
            "home.html",
            alice("/hub/home"),
            several(Some("Give it a name that begins with a letter, as in “GPU work”.")),
        ),
        (
            "home-choice",
            "home.html",
            alice("/hub/home"),
            context! { server => context! { id => "server", kind => "Small", ..named("", "", "Small", "stopped") }, ..home(Value::from(()), 0) },
        ),
        ("spawn", "spawn.html", alice("/hub/spawn"), spawn("", true, "")),
        (
            "spawn-refused",
            "spawn.html",
            alice("/hub/spawn"),
            spawn("gpu-work", true, "As many servers are running as may run here. Try again in a few minutes."),
        ),
        ("spawn-other", "spawn.html", admin("/hub/spawn/alice"), spawn("", false, "")),
        (
            "spawn-new",
            "spawn.html",
            alice("/hub/spawn"),
            context! {
                owner => "alice", name => "gpu", title => (), is_own => true, is_new => true, has_choice => false,
                offer => context! { profiles => Vec::<Value>::new(), images => Vec::<Value>::new(), any_image => false, image => () },
                action => "/hub/spawn/alice/gpu", problem => (),
            },
        ),
        (
            "delete-server",
            "delete_server.html",
            alice(""),
            context! { title => "GPU work", is_own => true, owner => "alice", is_running => true, action => "/hub/delete-server/alice/gpu" },
        ),
        (
            "restart",
            "restart.html",
            alice(""),
            context! {
                title => (), is_own => true, owner => "alice", is_running => true, can_restart => true,
                action => "/hub/restart/alice", back => "/hub/home",
            },
        ),
        ("token", "token.html", admin("/hub/token"), tokens(None, "")),
        (
            "token-made",
            "token.html",
            alice("/hub/token"),
            tokens(
                Some(context! { secret => "8f2b93897ac0e6b2601f11e92dca39bea57", ..token("a30", "laptop", &[], true) }),
                "",
            ),
        ),
        (
            "token-refused",
            "token.html",
            alice("/hub/token"),
            tokens(None, "Choose at least one right, or let the token do all that you may do."),
        ),
        (
            "revoke",
            "revoke.html",
            alice(""),
            context! { token => token("a12", "Nightly report", &[], true), app => () },
        ),
        ("revoke-app", "revoke.html", alice(""), context! { token => token("a12", "", &[], true), app => "report" }),
        (
            "accept-share",
            "accept_share.html",
            alice(""),
            context! { code => "c0de", next => (), owner => "barbara", name => "gpu", is_own => false, url => "/user/barbara/gpu/", expires => moment(NOW), scopes => vec!["access:servers!server=barbara/gpu"] },
        ),
        (
            "accept-share-own",
            "accept_share.html",
            alice(""),
            context! { code => "c0de", next => (), owner => "alice", name => "", is_own => true, url => "/user/alice/", expires => moment(NOW), scopes => Vec::<String>::new() },
        ),
        ("stopping", "stopping.html", alice(""), around("stopping", None)),
        ("not-running", "not_running.html", alice(""), around("stopped", None)),
        ("failed", "failed.html", alice(""), around("failed", Some(failure()))),
        ("audit", "audit.html", admin("/hub/audit"), audit_log(false)),
        ("audit-broken", "audit.html", admin("/hub/audit"), audit_log(true)),
        ("host", "host.html", admin("/hub/host"), super::host::page(true)),
        ("host-trouble", "host.html", admin("/hub/host"), super::host::page(false)),
        ("routes", "routes.html", admin("/hub/routes"), super::routes::page("full")),
        ("routes-many", "routes.html", admin("/hub/routes"), super::routes::page("many")),
        ("routes-trouble", "routes.html", admin("/hub/routes"), super::routes::page("trouble")),
        ("routes-none", "routes.html", admin("/hub/routes"), super::routes::page("none")),
        ("settings", "settings.html", admin("/hub/settings"), settings()),
        ("notices", "notices.html", admin("/hub/notifications"), notices(false)),
        ("notices-refused", "notices.html", admin("/hub/notifications"), notices(true)),
        ("notices-nobody", "notices.html", admin("/hub/notifications"), no_notices()),
        ("notice", "notice.html", admin("/hub/notifications/7"), notice("over")),
        ("notice-under-way", "notice.html", admin("/hub/notifications/7"), notice("under-way")),
        ("clear-notices", "clear_notices.html", admin("/hub/notifications/clear"), context! { count => 12 }),
        (
            "consent",
            "consent.html",
            admin(""),
            context! { owner => "alice", server => "", scopes => vec!["access:servers!server=alice/"] },
        ),
        ("api-docs", "api_docs.html", alice("api-docs"), overview_of(Document::new(&Config::default()).value())),
        (
            "api-docs-users",
            "api_docs_tag.html",
            alice("api-docs"),
            tag_of(Document::new(&Config::default()).value(), "Users").expect("a tag of the document"),
        ),
        (
            "consent-service",
            "consent_service.html",
            alice(""),
            context! {
                service => "announcements",
                elsewhere => "https://news.example.org",
                rights => vec!["See which groups people are in (only yours)"],
                scopes => vec!["access:services!service=announcements", "read:users:groups!user"],
            },
        ),
        ("groups", "groups.html", root("groups"), groups()),
        ("groups-none", "groups.html", root("groups"), context! { groups => (), total => 0, text => "", ..groups() }),
        ("group", "group.html", root("groups/physics"), group()),
        (
            "group-wrong",
            "group.html",
            root("groups/physics"),
            context! {
                error => "Nothing is saved yet: see below.",
                problems => context! { mem_limit_gb => "This is no number.", env_vars => "The platform sets these itself: NB_UID." },
                password_error => "The present password is not right.", ..group(),
            },
        ),
        (
            "group-built-in",
            "group.html",
            root("groups/docker-privileged"),
            context! { name => "docker-privileged", is_built_in => true, is_root_like => true, ..group() },
        ),
        (
            "group-delete",
            "delete_group.html",
            root("groups/physics"),
            context! { name => "physics", path => "physics", members => 3, roles => vec!["teach"], grants => grants() },
        ),
        (
            "grants",
            "grants.html",
            root("grants"),
            context! { name => "root", is_me => true, groups => vec!["physics"], grants => grants() },
        ),
        ("volumes", "volumes.html", alice("volumes"), volumes(context! { reset => vec!["cache"] })),
        (
            "volumes-running",
            "volumes.html",
            alice("volumes"),
            volumes(context! { running => vec![context! { title => "", stop_url => "/hub/stop/alice" }] }),
        ),
        (
            "volumes-left-over",
            "volumes.html",
            admin("volumes/alice"),
            context! {
                left_over => disks(), may_settle => true, owner => "alice", is_own => false, has_own => false,
                settle_url => "/hub/volumes/alice/settle", back => "/hub/volumes/alice",
            },
        ),
        ("volumes-none", "volumes.html", alice("volumes"), context! { owner => "alice", is_own => true }),
        (
            "volumes-failed",
            "volumes.html",
            alice("volumes"),
            volumes(context! { outcomes => vec![
                context! { suffix => "home", reason => "still used by the container backup; try again in a moment" },
                context! { suffix => "cache", reason => () },
            ] }),
        ),
        ("volumes-reset", "reset_volumes.html", alice("volumes"), volumes(context! { volumes => disks() })),
        (
            "volumes-settle",
            "settle_volumes.html",
            admin("volumes/alice"),
            context! {
                volumes => disks(), word => "delete", owner => "alice", settle_url => "/x", back => "/hub/volumes/alice",
            },
        ),
        (
            "error-404",
            "error.html",
            alice(""),
            context! { status => 404, title => "There is nothing here", sentence => "The address may be mistyped, or the page is not yours to see." },
        ),
    ]
}

fn root(page: &str) -> Value {
    frame(Some("root"), true, &format!("/hub/{page}"))
}

fn grants() -> Vec<Value> {
    let from = vec![context! { name => "physics", path => "physics" }];
    let row = |key: &str, label: &str, value: &str, is_root_like: bool| {
        context! { key, label, value, is_root_like, from => from.clone(), is_available => key != "box" }
    };
    vec![
        row("shield", "Docker socket", "read and write", true),
        row("memory", "Memory", "8 GiB, no swap", false),
        row("box", "Volume /data", "datasets, read only", false),
        row("code", "Variable HF_TOKEN", "is set", false),
    ]
}

fn groups() -> Value {
    let row = |name: &str, description: &str, grants: Vec<Value>| {
        context! {
            name, path => name, description, members => 3, priority => 0, is_built_in => name.contains('-'),
            is_root_like => name.contains('-'), grants,
        }
    };
    let groups = vec![
        row(
            "docker-privileged",
            "Servers of its members can use the Docker engine of this host.",
            grants()[..1].to_vec(),
        ),
        row("physics", "Second year, with the big data sets", grants()),
        row("waiting-list", "", vec![]),
    ];
    context! {
        groups, total => 3, found => 3, text => "", name => "", description => "", error => "", deleted => (),
        page => 1, pages => 1, first => 1, last => 3, previous_url => (), next_url => (),
    }
}

fn group() -> Value {
    let people = ["alice", "bob", "carol"].map(|name| context! { name, path => name }).to_vec();
    let draft = context! {
        env_vars_active => true, env_vars => vec![context! { name => "HF_TOKEN", value => "hf_…", description => "Models" }],
        gpu_access => true, gpu_all => false, gpu_device_ids => vec!["GPU-8f4e"], gpu_exclusive => true,
        docker_access => false, docker_privileged => false, cpu_limit_enabled => true, cpu_limit_cores => 4.0,
        mem_limit_enabled => true, mem_limit_gb => 8.0, mem_swap_disabled => true, volume_mounts_active => true,
        shared_mount_allow => true, shared_mount_mode => "ro",
        volume_mounts => vec![context! { volume => "datasets", mountpoint => "/data", mode => "ro" }],
        idle_active => true, idle_after_minutes => 480, idle_max_age_hours => 0, idle_extension_hours => 12,
        idle_stops_busy_kernels => false,
    };
    context! {
        name => "physics", path => "physics", is_built_in => false, is_root_like => false, has_extras => true,
        roles => vec!["teach"], grants => grants(), description => "Second year", priority => 5, draft,
        spare => vec![0, 1], said => "", error => "", problems => context! {}, password_error => "", new_members => "",
        members_error => "", members_password_error => "", members => people, member_count => 3, found => 3,
        text => "", page => 1, pages => 1, previous_url => (), next_url => (), others => vec!["dora", "eve"],
    }
}

#[test]
fn every_page_renders_and_none_has_inline_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/hub-samples");
    let config = Config::default();
    let views = Views::new(&config);
    for name in assets::names() {
        let address = assets::address_of(&config.base, &name);
        let path = folder.join(address.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("target/ can be written");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hub/assets").join(&name);
        fs::copy(source, path).expect("target/ can be written");
    }
    for (file, template, frame, values) in pages().into_iter().chain(users::pages()) {
        let html = views.render(template, context! { ..values, ..frame }).expect(file);
        for forbidden in
            ["style=", "onclick", "onload", "onsubmit", "<style", "javascript:", "<script>", "http://", "https://"]
        {
            assert!(!html.contains(forbidden), "{file} contains {forbidden}");
        }
        assert!(html.contains("<main id=\"content\"") && html.matches("<h1>").count() == 1, "{file}");
        fs::write(folder.join(format!("{file}.html")), html).expect("target/ can be written");
    }
}
