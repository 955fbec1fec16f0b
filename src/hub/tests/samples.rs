//! Renders every page with sample values into `target/hub-samples`: proof that no template is broken, and something
//! to look at (serve the folder and take screenshots).

use std::fs;
use std::path::Path;

use minijinja::context;
use minijinja::value::Value;

use crate::hub::api::openapi::Document;
use crate::hub::assets;
use crate::hub::config::Config;
use crate::hub::pages::api_docs::view_of;
use crate::hub::templates::{Views, moment};
use crate::model::Timestamp;

const NOW: Timestamp = Timestamp(1_795_313_227_732);

fn frame(person: Option<&str>, is_admin: bool, here: &str) -> Value {
    context! { person, is_admin, form_token => "0".repeat(56), here }
}

fn server(state: &str, message: &str, progress: u8, failure: Option<Value>) -> Value {
    context! {
        owner => "alice", url => "/user/alice/", state, message, progress, failure,
        since => moment(NOW), spawn_url => "/hub/spawn/alice", stop_url => "/hub/stop/alice",
        pending_url => "/hub/spawn-pending/alice", api_url => "/hub/api/users/alice/server",
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

fn user(name: &str, admin: bool, authorised: bool, is_me: bool, is_running: bool) -> Value {
    context! {
        name, path => name, url => format!("/user/{name}/"), admin, authorised, is_me, is_running,
        created => moment(NOW), last_activity => authorised.then(|| moment(NOW)), is_pending => false,
    }
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
fn pages() -> Vec<(&'static str, &'static str, Value, Value)> {
    let nobody = || frame(None, false, "/hub/login");
    let alice = |page: &str| frame(Some("alice"), false, page);
    let admin = |page: &str| frame(Some("admin"), true, page);
    let home = |state: Value, waiting: usize| context! { server => state, waiting };
    let people = Value::from(vec![
        user("grace.hopper@example.org", false, false, false, false),
        user("linus", false, false, false, false),
        user("ada", false, true, false, true),
        user("admin", true, true, true, true),
        user("barbara", false, true, false, false),
    ]);
    let person = context! { name => "ada", path => "ada", back => "/hub/authorize?at=ada#ada", is_running => true };
    let list = context! {
        users => people, waiting => 2, total => 120, found => 5, text => "a", first => 1, last => 5, page => 1, pages => 2,
        let_in => context! { name => "barbara", path => "barbara" }, previous_url => (), next_url => "/hub/authorize?q=a&page=2",
    };
    let nobody_found = context! {
        users => Vec::<Value>::new(), waiting => 2, total => 120, found => 0, text => "zz", first => 1, last => 0, page => 1, pages => 1,
        let_in => (), previous_url => (), next_url => (),
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
        ("password", "password.html", alice("/hub/change-password"), context! { error => "", is_done => false }),
        ("password-done", "password.html", alice("/hub/change-password"), context! { error => "", is_done => true }),
        ("home-ready", "home.html", alice("/hub/home"), home(server("ready", "", 100, None), 0)),
        ("home-stopped", "home.html", admin("/hub/home"), home(server("stopped", "", 0, None), 2)),
        (
            "home-starting",
            "home.html",
            alice("/hub/home"),
            home(server("starting", "Starting your server", 55, None), 0),
        ),
        ("home-stopping", "home.html", alice("/hub/home"), home(server("stopping", "", 0, None), 0)),
        ("home-failed", "home.html", alice("/hub/home"), home(server("failed", "", 0, Some(failure())), 0)),
        (
            "starting-image",
            "starting.html",
            alice(""),
            starting(0, "Pulling image quay.io/jupyter/base-notebook: 412 of 1,034 MB", 18),
        ),
        ("starting-ready", "starting.html", alice(""), starting(3, "Your server runs; waiting until it answers", 72)),
        ("stopping", "stopping.html", alice(""), around("stopping", None)),
        ("not-running", "not_running.html", alice(""), around("stopped", None)),
        ("failed", "failed.html", alice(""), around("failed", Some(failure()))),
        ("people", "authorize.html", admin("/hub/authorize"), list),
        ("people-none", "authorize.html", admin("/hub/authorize"), nobody_found),
        ("withdraw", "withdraw.html", admin(""), person.clone()),
        ("discard", "discard.html", admin(""), person),
        (
            "consent",
            "consent.html",
            admin(""),
            context! { owner => "alice", server => "", scopes => vec!["access:servers!server=alice/"] },
        ),
        ("api-docs", "api_docs.html", alice(""), view_of(Document::new(&Config::default()).value())),
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
        (
            "error-404",
            "error.html",
            alice(""),
            context! { status => 404, title => "There is nothing here", sentence => "The address may be mistyped, or the page is not yours to see." },
        ),
    ]
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
    for (file, template, frame, values) in pages() {
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
