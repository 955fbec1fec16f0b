//! Idle servers, for real: JupyterLabs behind the whole program, with the shortest limit that there is.
//!
//! One story, since each part waits for the same minutes: Slipway is killed after an extension and started again, and
//! from then on one server computes without a tab, one has a forgotten tab, and one was given more time.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::program::{Browser, PASSWORD, Program, execution_of, kernel_message};
use crate::story::Cleaner;
use crate::world::docker;

/// After how long without use a server is stopped here: a minute is the least that can be set.
const IDLE: Duration = Duration::from_secs(60);
/// How long the cell computes: longer than a server lives that nobody is known to use, looks and slow machines included.
const CELL: Duration = Duration::from_secs(110);
/// How much later than at its deadline a server may stop: looks at it, questions to it, its own end, a busy machine.
const SLACK: Duration = Duration::from_secs(60);
/// How often an untouched JupyterLab asks for its kernels, sessions, terminals and folder (measured: `edge/work.rs`).
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// Between two looks at a condition.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// What it asks then, and what more seldom.
const POLLS: [(Method, &str); 7] = [
    (Method::GET, "api/kernels?1"),
    (Method::GET, "api/sessions?1"),
    (Method::GET, "api/terminals?1"),
    (Method::GET, "api/contents?content=1&hash=0&1"),
    (Method::GET, "api/me?1"),
    (Method::GET, "api/kernelspecs?1"),
    (Method::GET, "lab/api/workspaces?1"),
];

const SETTINGS: [(&str, &str); 5] = [
    ("SLIPWAY_SPAWNER_NAMED_SERVERS_PER_USER", "3"),
    ("SLIPWAY_SPAWNER_IDLE_AFTER_MINUTES", "1"),
    ("SLIPWAY_SPAWNER_IDLE_WARN_BEFORE_MINUTES", "0"),
    ("SLIPWAY_SPAWNER_IDLE_CHECK_INTERVAL_S", "5"),
    ("SLIPWAY_SPAWNER_IDLE_EXTENSION_HOURS", "2"),
];

#[tokio::test(flavor = "multi_thread")]
async fn forgotten_servers_stop_and_those_that_compute_or_were_given_time_do_not() {
    let _cleaner = Cleaner::new("slipwaytestidle");
    let mut program = Program::start("slipwaytestidle", "slipway-lab:local", &SETTINGS).await;
    let mut browser = program.browser();
    browser.sign_in("admin", PASSWORD).await;
    let token = browser.hub_token().await;
    for name in ["held", "tab", "cell"] {
        browser.call(Method::POST, &api(name, ""), &token, "").await;
        browser.open_server(&format!("admin/{name}"), "/lab").await;
    }

    let extended = Instant::now();
    browser.call(Method::POST, &api("held", "/extend-session"), &token, "{\"hours\": 1}").await.is(200);
    program.kill_and_start().await;
    let left = left_of(&mut browser, &token, "held").await.expect("a deadline");
    // Nobody is idle while Slipway does not watch: of the minute before it was killed it knows nothing.
    let at_least = Duration::from_secs(3590).saturating_sub(extended.elapsed());
    assert!(left >= at_least && left < at_least + Duration::from_secs(100), "{left:?} are left, not {at_least:?}");

    let (tab, cell) = (program.tab_of(&browser), program.tab_of(&browser));
    tokio::join!(a_forgotten_tab_keeps_nothing(tab, &token), a_long_cell_keeps_its_server(cell, &token));

    assert!(runs(&mut browser, &token, "held").await, "it was stopped in spite of its extension\n{}", program.log());
    let rows = browser.call(Method::GET, "/hub/api/audit?limit=100", &token, "").await.is(200).text();
    for (name, last) in [("tab", "("), ("cell", "(busy kernel)")] {
        let mut rows = rows.lines().filter(|row| row.contains(&format!("\"admin/{name}\"")));
        let why = format!("stopped idle server: last used {last}");
        assert!(rows.any(|row| row.contains(&why)), "nobody can read why admin/{name} was stopped");
    }
}

/// The computer's clock is set six hours on and twelve back, as when it sleeps or its time is corrected: nobody is stopped
/// for that, and nobody stays for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_stops_nobody_and_keeps_nobody() {
    let _cleaner = Cleaner::new("slipwaytestclock");
    let wall = WallClock::new();
    let mut settings = SETTINGS.to_vec();
    settings.extend(wall.environment());
    let program = Program::start("slipwaytestclock", "slipway-lab:local", &settings).await;
    let mut browser = program.browser();
    browser.sign_in("admin", PASSWORD).await;
    let token = browser.hub_token().await;
    browser.call(Method::POST, &api("clock", ""), &token, "").await;
    browser.open_server("admin/clock", "/lab").await;
    let used = Instant::now();
    // Asked of the engine: a sign-in from the future counts for nothing.
    let is_there = || !docker(&["ps", "--quiet", "--filter", "name=^slipwaytestclock-"]).is_empty();
    let mut every = tokio::time::interval(LOOK_INTERVAL);
    for (offset, until) in [("+6h", 15), ("-6h", 30), ("+0", 45)] {
        wall.set(offset);
        // Several looks of Slipway's at its servers.
        while used.elapsed() < Duration::from_secs(until) {
            every.tick().await;
            assert!(is_there(), "stopped {:?} after its use, at {offset}", used.elapsed());
        }
    }
    let jumped = Instant::now();
    while is_there() {
        assert!(jumped.elapsed() < IDLE + SLACK, "still there {:?} after the last jump", jumped.elapsed());
        every.tick().await;
    }
    println!("over three jumps of the clock: stopped {:.0?} after its last use", used.elapsed());
    assert!(used.elapsed() + Duration::from_secs(2) > IDLE, "stopped after {:?} already", used.elapsed());
}

/// The time of day as one program sees it (Debian's libfaketime), its other clocks untouched.
struct WallClock {
    folder: tempfile::TempDir,
    library: String,
    offset: String,
}

impl WallClock {
    fn new() -> Self {
        let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
        assert!(std::path::Path::new(&library).exists(), "no {library}: apt-get install libfaketime");
        let folder = tempfile::tempdir().expect("a folder");
        let offset = folder.path().join("offset").to_str().expect("a plain path").to_owned();
        let clock = Self { folder, library, offset };
        clock.set("+0");
        clock
    }

    fn environment(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", &self.library),
            ("FAKETIME_TIMESTAMP_FILE", &self.offset),
            ("FAKETIME_NO_CACHE", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ]
    }

    /// So far from the true time, from now on.
    fn set(&self, offset: &str) {
        let new = self.folder.path().join("new");
        // At once: half a line would be another time.
        let written = std::fs::write(&new, format!("{offset}\n")).and_then(|()| std::fs::rename(&new, &self.offset));
        written.expect("a file");
    }
}

/// An open page that nobody touches: it polls, its kernel's socket answers pings, and is opened anew once with the
/// questions that go with it, as after a lost connection. Its server stops in time, and not before.
async fn a_forgotten_tab_keeps_nothing(mut browser: Browser, token: &str) {
    const NAME: &str = "admin/tab";
    let kernel = browser.start_kernel(NAME).await;
    let forgotten = Instant::now();
    let mut every = tokio::time::interval(POLL_INTERVAL);
    let mut socket = browser.open_kernel(NAME, &kernel).await;
    for round in 0.. {
        every.tick().await;
        if !runs(&mut browser, token, "tab").await {
            break;
        }
        assert!(forgotten.elapsed() < IDLE + SLACK, "still there after {:?}", forgotten.elapsed());
        if round == 2 {
            socket = browser.open_kernel(NAME, &kernel).await;
            socket.send(kernel_message("kernel_info_request", json!({}))).await.expect("a message is sent");
            let answered = async {
                while let Some(Ok(message)) = socket.next().await {
                    if message.to_text().is_ok_and(|text| text.contains("kernel_info_reply")) {
                        return;
                    }
                }
                panic!("the socket closed");
            };
            tokio::time::timeout(Duration::from_secs(30), answered).await.expect("the kernel answers");
        }
        // A server that is just being stopped refuses them.
        let _ = socket.send(Message::Ping("still here".into())).await;
        for (method, path) in POLLS {
            browser.send(method, &format!("/user/{NAME}/{path}"), &POLLING, "").await;
        }
    }
    let lived = forgotten.elapsed();
    println!("an open, untouched tab: stopped after {lived:.0?} (limit {IDLE:?})");
    assert!(lived + Duration::from_secs(2) > IDLE, "stopped after {lived:?} already");
}

/// A cell that computes for long, without taking the processor, and without any page that shows it.
async fn a_long_cell_keeps_its_server(mut browser: Browser, token: &str) {
    const NAME: &str = "admin/cell";
    let kernel = browser.start_kernel(NAME).await;
    let mut socket = browser.open_kernel(NAME, &kernel).await;
    let code = format!("print('begun'); import time; time.sleep({})", CELL.as_secs());
    socket.send(kernel_message("execute_request", execution_of(&code))).await.expect("a message is sent");
    let begun = async {
        while let Some(Ok(message)) = socket.next().await {
            let text = message.to_text().unwrap_or_default();
            let message: Value = serde_json::from_str(text).unwrap_or_default();
            if message["content"]["text"] == "begun\n" {
                return Instant::now();
            }
        }
        panic!("the socket closed");
    };
    let begun = tokio::time::timeout(Duration::from_secs(60), begun).await.expect("the cell begins");
    socket.close(None).await.expect("the tab closes");

    let mut every = tokio::time::interval(LOOK_INTERVAL);
    while runs(&mut browser, token, "cell").await {
        assert!(begun.elapsed() < CELL + IDLE + SLACK, "still there after {:?}", begun.elapsed());
        every.tick().await;
    }
    let lived = begun.elapsed();
    println!("a cell of {CELL:?} without a tab: its server stopped after {lived:.0?} (limit {IDLE:?})");
    assert!(lived + Duration::from_secs(2) > CELL + IDLE, "stopped after {lived:?} already");
}

const POLLING: [(&str, &str); 2] = [("sec-fetch-mode", "cors"), ("sec-fetch-site", "same-origin")];

/// The address of the administrator's server `name` in the API.
fn api(name: &str, rest: &str) -> String {
    format!("/hub/api/users/admin/servers/{name}{rest}")
}

async fn session_of(browser: &mut Browser, token: &str, name: &str) -> Value {
    browser.call(Method::GET, &api(name, "/session-info"), token, "").await.is(200).json()
}

/// Whether it is ready: it is stopping already, or gone, if not.
async fn runs(browser: &mut Browser, token: &str, name: &str) -> bool {
    session_of(browser, token, name).await["server_active"] == true
}

async fn left_of(browser: &mut Browser, token: &str, name: &str) -> Option<Duration> {
    session_of(browser, token, name).await["time_remaining_seconds"].as_u64().map(Duration::from_secs)
}
