//! The configuration is taken up while everything runs: all of it or nothing, and nobody who is connected notices.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use slipway::app::{ReloadRefused, Reloaded};
use slipway::model::Secret;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{ANSWER_LIMIT, Client, Wire};
use crate::commands::{Serving, run, text};
use crate::world::{World, settings_file};

impl World {
    /// Writes the configuration file and has it taken up.
    async fn reload(&self, file: &str) -> Result<Reloaded, ReloadRefused> {
        std::fs::write(settings_file(self.folder.path()), file).expect("written");
        self.app.reloader.reload("test").await
    }

    async fn audit(&self) -> Vec<String> {
        let rows = self.app.store.audit(1000).expect("the log");
        rows.into_iter().rev().map(|row| format!("{} {} {}", row.actor, row.act, row.object)).collect()
    }
}

fn mistakes(refused: Result<Reloaded, ReloadRefused>) -> Vec<String> {
    match refused {
        Err(ReloadRefused::Mistakes(mistakes)) => mistakes.iter().map(ToString::to_string).collect(),
        other => panic!("no mistakes: {other:?}"),
    }
}

/// Twenty files in turn: sound ones that change something everywhere, and broken ones.
fn file_of(round: usize) -> String {
    if round % 5 == 4 {
        return ["[auth]\nsignup = 3", "not toml", "[listener]\ntrusted_proxies = [\"x\"]"][round / 5 % 3].to_owned();
    }
    format!(
        "[[groups]]\nname = \"g{round}\"\nusers = [\"alice\"]\n\
         [[services]]\nname = \"s{}\"\nurl = \"http://127.0.0.1:9\"\napi_token = \"a-token-{round}\"\n\
         [listener]\nconnections_per_address = {}\ntrusted_proxies = [\"10.{round}.0.0/16\"]\n\
         [proxy]\nanswer_timeout_s = {}\nconnections_per_server = {}\n\
         [hub]\nrequests = {}\n\
         [log]\nlevel = \"{}\"\n",
        round % 3,
        500 + round,
        100 + round,
        900 + round,
        100 + round,
        if round.is_multiple_of(2) { "warn" } else { "info" },
    )
}

/// Asks again and again on one HTTP/2 connection that stays open all the while.
async fn keep_asking_on_one_connection(client: Client, is_over: Arc<AtomicBool>, count: Arc<AtomicU64>) {
    let io = TokioIo::new(client.tls(b"h2").await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    tokio::spawn(connection);
    while !is_over.load(Ordering::Relaxed) {
        let uri = format!("https://{}/user/alice/api/status", client.host());
        let request = http::Request::get(uri).header("cookie", client.cookie_line()).body(Full::<Bytes>::default());
        let answer = sender.send_request(request.expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.expect("the whole answer");
        count.fetch_add(1, Ordering::Relaxed);
    }
}

async fn keep_asking(client: Client, wire: Wire, path: &str, is_over: Arc<AtomicBool>, count: Arc<AtomicU64>) {
    while !is_over.load(Ordering::Relaxed) {
        client.send(wire, Method::GET, path, Bytes::new()).await.is(200);
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_reloads_end_no_request_and_no_websocket() {
    let world = World::with(&[("SLIPWAY_METRICS_AUTHENTICATE", "false")]).await;
    let alice = world.user_with_server("alice").await;
    let (_, socket) = alice.open_websocket("/user/alice/api/kernels/1/channels").await;
    let mut socket = socket.expect("a WebSocket");
    let (_, stream) = alice.open_websocket_over_http2("/user/alice/api/kernels/2/channels").await;
    let (mut send, mut receive) = stream.expect("a WebSocket over HTTP/2");

    let (is_over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut load = tokio::task::JoinSet::new();
    for (wire, path) in [
        (Wire::Http1, "/user/alice/api/status"),
        (Wire::Http2, "/user/alice/api/status"),
        (Wire::Http1, "/hub/home"),
        (Wire::Http2, "/hub/token"),
    ] {
        load.spawn(keep_asking(alice.clone(), wire, path, is_over.clone(), count.clone()));
    }
    load.spawn(keep_asking_on_one_connection(alice.clone(), is_over.clone(), count.clone()));

    for round in 0..50 {
        let (before, outcome) = (count.load(Ordering::Relaxed), world.reload(&file_of(round)).await);
        match round % 5 {
            4 => assert!(!mistakes(outcome).is_empty()),
            _ => assert!(!outcome.expect("a sound file").taken_up.is_empty(), "round {round}"),
        }
        let word = format!("round {round:02}");
        socket.write_all(word.as_bytes()).await.expect("the WebSocket is open");
        let mut echo = [0; 8];
        tokio::time::timeout(ANSWER_LIMIT, socket.read_exact(&mut echo)).await.expect("in time").expect("an echo");
        assert_eq!(echo, word.as_bytes());
        send.send_data(Bytes::from(word.clone()), false).expect("the stream is open");
        let echo = tokio::time::timeout(ANSWER_LIMIT, receive.data()).await.expect("in time");
        assert_eq!(echo.expect("data").expect("no reset"), word);
        // Each reload has requests before, during and after it.
        let until = Instant::now() + ANSWER_LIMIT;
        while count.load(Ordering::Relaxed) < before + 3 {
            assert!(Instant::now() < until && load.try_join_next().is_none(), "nobody asks any more in round {round}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.expect("every answer was 200");
    }
    let figures = world.app.reloader.figures();
    assert_eq!((figures.done, figures.mistaken, figures.failed), (40, 10, 0));
    assert!(!figures.last_was_done, "the last one was broken");
    let metrics = world.client().get("/hub/metrics").await.is(200).text();
    for line in ["{result=\"ok\"} 40", "{result=\"mistakes\"} 10", "{result=\"failed\"} 0"] {
        assert!(metrics.contains(&format!("slipway_config_reloads_total{line}\n")), "no {line}");
    }
}

#[tokio::test]
async fn traefiks_board_sees_each_reload_that_was_taken_up_and_when() {
    let world = World::with(&[("SLIPWAY_METRICS_AUTHENTICATE", "false")]).await;
    let shown = async || {
        let page = world.client().get("/hub/metrics").await.is(200).text();
        let value = |family: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(&format!("{family} "))).expect(family);
            line.parse::<f64>().expect("a number")
        };
        (value("traefik_config_reloads_total"), value("traefik_config_last_reload_success"))
    };
    let (count, started_at_s) = shown().await;
    assert!((count, started_at_s > 1e9) == (1.0, true), "the start is the first: {count} {started_at_s}");
    world.clock.advance(Duration::from_secs(1));
    world.reload("[auth]\npassword_length = 12\n").await.expect("a sound file");
    let (count, taken_up_at_s) = shown().await;
    assert!(count == 2.0 && taken_up_at_s > started_at_s, "{count}: {started_at_s} and {taken_up_at_s}");
    world.clock.advance(Duration::from_secs(1));
    mistakes(world.reload("[auth]\nsignup = 3\n").await);
    assert_eq!(shown().await, (2.0, taken_up_at_s), "a broken one is none");
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_every_mistake_is_told() {
    let world = World::new().await;
    let before = world.audit().await.len();
    let file = "[auth]\npassword_length = 12\nsignup = 3\n[listner]\nhttps = []\n[hub]\nconnect_url = \"ftp://x\"\n";
    let told = mistakes(world.reload(file).await);
    for part in ["auth.signup = 3: must be true or false", "did you mean listener.https?", "hub.connect_url"] {
        assert!(told.iter().any(|mistake| mistake.contains(part)), "no {part} in {told:?}");
    }
    assert!(told.iter().all(|mistake| mistake.contains("slipway.toml:")), "{told:?}");
    world.app.auth.add_user("test", "bob", Some(&Secret::new("eight ch")), false).await.expect("8 are enough still");
    let after = world.audit().await;
    assert_eq!(after.len(), before + 1, "only bob: {after:?}");
    // The file itself can be missing, too.
    std::fs::remove_file(settings_file(world.folder.path())).expect("removed");
    let told = mistakes(world.app.reloader.reload("test").await);
    assert!(told[0].contains("cannot be read"), "{told:?}");
}

#[tokio::test]
async fn what_waits_for_a_start_is_named_and_not_half_in_force() {
    let world = World::new().await;
    let file =
        "base_url = \"/other/\"\n[auth]\npassword_length = 12\n[spawner.docker]\nnetwork = \"n\"\nimage = \"i\"\n";
    let told = world.reload(file).await.expect("a sound file");
    assert_eq!(told.taken_up, ["auth.password_length", "spawner.docker.image"]);
    assert_eq!(told.waiting, ["base_url", "spawner.docker.network"]);
    world.client().navigating().get("/hub/login").await.is(200);
    let short = world.app.auth.add_user("test", "bob", Some(&Secret::new("eight ch")), false).await;
    assert!(short.expect_err("too short now").to_string().contains("12"));

    let rows = world.audit().await;
    assert!(rows.iter().any(|row| row.starts_with("test reloaded configuration")), "{rows:?}");
    assert!(rows.contains(&"test changed configuration auth.password_length, spawner.docker.image".into()), "{rows:?}");
    // What is in force is what the page of settings shows.
    let page = world.admin("root").await.get("/hub/api/settings").await.is(200).text();
    assert!(!page.contains("/other/"), "{page}");
    let again = world.reload(file).await.expect("the same file");
    assert_eq!((again.taken_up.len(), again.waiting.len()), (0, 2));
}

#[tokio::test]
async fn people_roles_and_services_follow_the_file_at_once() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    let bob = world.user("bob").await;
    let token = |secret: &str| world.client().with("authorization", &format!("token {secret}"));
    alice.get("/hub/api/users").await.is(403);
    let service = "[[services]]\nname = \"report\"\napi_token = \"report-token-1\"\n";
    let role =
        "[[roles]]\nname = \"reader\"\nscopes = [\"list:users\"]\nusers = [\"alice\"]\nservices = [\"report\"]\n";
    world.reload(&format!("{service}{role}")).await.expect("sound");
    alice.get("/hub/api/users").await.is(200);
    token("report-token-1").get("/hub/api/users").await.is(200);
    let open = world.client().navigating().get("/hub/signup").await;

    // A role that is taken back, an administrator's service, another token, a name that is blocked, closed sign-up.
    let file = "[auth]\nblocked_users = [\"bob\"]\nsignup = false\n\
                [[services]]\nname = \"report\"\napi_token = \"report-token-2\"\nadmin = true\n";
    world.reload(file).await.expect("sound");
    alice.get("/hub/api/users").await.is(403);
    token("report-token-1").get("/hub/api/users").await.is(403);
    token("report-token-2").get("/hub/api/users").await.is(200);
    assert_ne!(bob.get("/hub/api/user").await.status, 200, "his session has ended");
    let closed = world.client().navigating().get("/hub/signup").await;
    assert_ne!((open.status, open.text()), (closed.status, closed.text()));

    // The service is no administrator any more, under the token that it has.
    let file = "[[services]]\nname = \"report\"\napi_token = \"report-token-2\"\n";
    world.reload(file).await.expect("sound");
    token("report-token-2").get("/hub/api/users").await.is(403);
    token("report-token-2").get("/hub/api/user").await.is(200);
    world.reload("").await.expect("sound");
    token("report-token-2").get("/hub/api/user").await.is(403);
    assert!(world.app.auth.services().is_empty());
}

#[tokio::test]
async fn new_starts_and_new_requests_go_by_the_new_file() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await;
    let host = world.client().with("host", "lab.example.org");
    host.get("/hub/health").await.is(421);
    let forwarded = || alice.clone().with("x-forwarded-for", "192.0.2.7").with("forwarded", "for=192.0.2.8");
    let client_of = async || {
        let seen = forwarded().get("/user/alice/api/status").await.is(200).json();
        seen["headers"]["x-forwarded-for"].as_str().expect("who asks").to_owned()
    };
    assert_eq!(client_of().await, "127.0.0.1");

    let file = "public_url = \"https://lab.example.org\"\n[listener]\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
                [spawner]\nenvironment = { TZ = \"Europe/Berlin\" }\nnamed_servers_per_user = 1\n";
    world.reload(file).await.expect("sound");
    let answer = host.get("/hub/health").await.is(200);
    assert!(answer.header("strict-transport-security").starts_with("max-age="), "{:?}", answer.headers);
    assert_eq!(client_of().await, "192.0.2.7");
    let other = file.replace("[listener]\n", "[listener]\nforwarded_by = \"forwarded\"\n");
    world.reload(&other).await.expect("sound");
    assert_eq!(client_of().await, "192.0.2.8");

    world.stop_server("alice").await;
    world.start_server("alice").await;
    assert_eq!(world.backend.environment_of("alice").get("TZ").map(String::as_str), Some("Europe/Berlin"));
}

#[tokio::test]
async fn limits_come_and_go_with_the_file() {
    let world = World::new().await;
    let ask = async || world.client().get("/hub/api/").await.status;
    let passed = async || {
        let mut passed = 0;
        while passed < 50 && ask().await == 200 {
            passed += 1;
        }
        passed
    };
    assert_eq!(passed().await, 50);
    let limit = "[limits]\nrequests_per_address_per_s = 1\nwindow_s = 10\n";
    world.reload(limit).await.expect("sound");
    let share = passed().await;
    assert!((10..30).contains(&share), "what was asked before counts as nothing, and {share} passed");
    // Another setting gives nobody a new share.
    world.reload(&format!("{limit}[auth]\npassword_length = 9\n")).await.expect("sound");
    let rest = passed().await;
    assert!(rest < 10, "{rest} passed");
    world.reload("").await.expect("sound");
    assert_eq!(passed().await, 50);
}

#[test]
fn the_command_and_the_signal_take_the_file_up() {
    let folder = TempDir::new().expect("a folder");
    let write = |file: &str| std::fs::write(folder.path().join("config/slipway.toml"), file).expect("written");
    std::fs::create_dir(folder.path().join("config")).expect("a folder");
    let nobody = run(folder.path(), &["reload"], "");
    assert!(nobody.status.code() == Some(1) && text(&nobody).contains("no slipway is running"), "{}", text(&nobody));

    let serving = Serving::start(folder.path());
    write("stop_timeout_s = 3\n[auth]\npassword_length = 20\n");
    let done = run(folder.path(), &["reload"], "");
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(text(&done), "taken up: auth.password_length\nstop_timeout_s: takes effect at the next start\n");
    let add = |name: &str| run(folder.path(), &["user", "add", name, "--password-stdin"], "fifteen letters\n");
    assert!(text(&add("alice")).contains("20"), "the running instance wants twenty");

    write("[auth]\npassword_length = 0\nsignup = 1\n");
    let refused = run(folder.path(), &["reload"], "");
    assert_eq!(refused.status.code(), Some(2));
    for part in ["2 mistakes", "slipway.toml:2: auth.password_length = 0: must be", "slipway.toml:3: auth.signup"] {
        assert!(text(&refused).contains(part), "{}", text(&refused));
    }

    write("");
    hang_up(serving.0.id());
    let until = Instant::now() + Duration::from_secs(20);
    while !add("alice").status.success() {
        assert!(Instant::now() < until, "SIGHUP was not heard");
    }
}

fn hang_up(process: u32) {
    let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(process, rustix::process::Signal::HUP).expect("it runs");
}

/// What systemd hears from a program that it has started with `NOTIFY_SOCKET`.
#[test]
fn systemd_hears_when_we_are_ready_reload_and_stop() {
    let folder = TempDir::new().expect("a folder");
    let socket = folder.path().join("notify.sock");
    let heard = std::os::unix::net::UnixDatagram::bind(&socket).expect("a socket");
    heard.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    let next = || {
        let mut bytes = [0; 512];
        let count = heard.recv(&mut bytes).expect("it says something");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let mut command = crate::commands::slipway(folder.path(), &["serve"]);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "200000");
    let mut child =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("it starts");
    let wanted = |wanted: &str| {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let said = next();
            if said.contains(wanted) {
                return said;
            }
            assert!(Instant::now() < until, "never said {wanted}");
        }
    };
    wanted("READY=1");
    wanted("WATCHDOG=1");
    hang_up(child.id());
    assert!(wanted("RELOADING=1").contains("MONOTONIC_USEC="));
    wanted("READY=1");
    let process = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it runs");
    wanted("STOPPING=1");
    assert!(child.wait().expect("it ends").success());
}

/// Every shell and `man` can read what we write for them; those that are not installed here are left out, but bash.
#[test]
fn completions_and_manual_pages_are_well_formed() {
    let folder = TempDir::new().expect("a folder");
    let is_here = |program: &str| {
        Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output()
            .is_ok_and(|found| found.status.success())
    };
    for (shell, syntax) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = run(folder.path(), &["completions", shell], "");
        assert!(script.status.success() && script.stdout.len() > 1000, "{shell}");
        let path = folder.path().join(shell);
        std::fs::write(&path, &script.stdout).expect("written");
        if shell == "bash" || is_here(shell) {
            let read = Command::new(shell).arg(syntax).arg(&path).output().expect("it runs");
            assert!(read.status.success() && read.stderr.is_empty(), "{shell}: {}", text(&read));
        }
    }
    let pages = folder.path().join("man");
    let written = run(folder.path(), &["man", "man"], "");
    assert!(written.status.success(), "{}", text(&written));
    let names = pages_in(&pages);
    for page in ["slipway.1", "slipway-serve.1", "slipway-reload.1", "slipway-user-add.1"] {
        assert!(names.iter().any(|name| name == page), "no {page} in {names:?}");
    }
    if is_here("groff") {
        for name in names {
            let read =
                Command::new("groff").args(["-k", "-man", "-Tutf8", "-ww", "-z"]).arg(pages.join(&name)).output();
            let read = read.expect("groff runs");
            assert!(read.status.success() && read.stderr.is_empty(), "{name}: {}", text(&read));
        }
    }
    let one = run(folder.path(), &["man"], "");
    assert!(String::from_utf8_lossy(&one.stdout).contains(".TH"), "{}", text(&one));
}

fn pages_in(folder: &Path) -> Vec<String> {
    let pages = std::fs::read_dir(folder).expect("the folder was made");
    pages.map(|page| page.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_cookie_stays_good_across_a_reload() {
    let world = World::new().await;
    let alice = world.user("alice").await;
    world.reload("[hub]\ndefault_url = \"/hub/token\"\n").await.expect("sound");
    let answer = alice.navigating().get("/hub/").await;
    assert!(answer.header("location").ends_with("/hub/token"), "{:?}", answer.headers);
}
