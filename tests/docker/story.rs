//! The main job with real parts: sign in, be brought to one's own Jupyter server, run a cell; and what happens when
//! Slipway, a container or the engine dies on the way.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use http::Method;

use crate::program::{PASSWORD, Program};

/// Runs `docker` and returns what it printed.
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("the docker client");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Removes containers and volumes that begin with `prefix`: only tests name theirs so.
pub(crate) struct Cleaner(String);

impl Cleaner {
    pub(crate) fn new(prefix: &str) -> Self {
        let cleaner = Self(prefix.to_owned());
        cleaner.clean();
        cleaner
    }

    fn clean(&self) {
        let name = format!("name=^{}-", self.0);
        for container in docker(&["ps", "-aq", "--filter", &name]).lines() {
            let _ = Command::new("docker").args(["rm", "-f", container]).output();
        }
        for volume in docker(&["volume", "ls", "-q", "--filter", &format!("name=^{}-", self.0)]).lines() {
            let _ = Command::new("docker").args(["volume", "rm", volume]).output();
        }
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        self.clean();
    }
}

async fn a_cell_prints_behind(version: &str) {
    let prefix = format!("slipwaytest{}", version.replace('.', ""));
    let _cleaner = Cleaner::new(&prefix);
    let program = Program::start(&prefix, &format!("slipway-lab:{version}"), &[]).await;
    let mut browser = program.browser();
    browser.sign_in("admin", PASSWORD).await;
    let begun = Instant::now();
    let page = browser.open_server("admin", "/lab").await;
    println!(
        "jupyterhub-singleuser {version}: {:.1} s from the first request to JupyterLab's page",
        begun.elapsed().as_secs_f64()
    );
    assert!(page.text().contains("jupyter-config-data"), "this is not JupyterLab: {}", page.text());
    assert_eq!(browser.run_in_kernel("admin", "print(6 * 7)").await, "42\n");
    // Home and nested volumes belong to the person who works there.
    let code = "import os; [open(os.path.expanduser(p + '/x'), 'w').close() for p in ('~', '~/work', '~/.cache')]; print('written')";
    assert_eq!(browser.run_in_kernel("admin", code).await, "written\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_prints_behind_jupyterhub_singleuser_4_1() {
    a_cell_prints_behind("4.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_prints_behind_jupyterhub_singleuser_5_4() {
    a_cell_prints_behind("5.4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_prints_behind_jupyterhub_singleuser_6_1() {
    a_cell_prints_behind("6.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_slipway_finds_its_servers_again() {
    let _cleaner = Cleaner::new("slipwaytestkill");
    let mut program = Program::start("slipwaytestkill", "slipway-lab:6.1", &[]).await;
    let mut browser = program.browser();
    browser.sign_in("admin", PASSWORD).await;
    browser.open_server("admin", "/lab").await;
    let container = docker(&["inspect", "-f", "{{.Id}}", "slipwaytestkill-admin"]);
    program.kill_and_start().await;
    // The same session, the same container, the same server's own sign-in.
    let begun = Instant::now();
    browser.open_server("admin", "/lab").await.is(200);
    println!("adoption after kill -9: {} ms to the first page", begun.elapsed().as_millis());
    assert_eq!(browser.run_in_kernel("admin", "print('still here')").await, "still here\n");
    assert_eq!(docker(&["inspect", "-f", "{{.Id}}", "slipwaytestkill-admin"]), container);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_killed_under_a_request_is_noticed_and_started_again() {
    let _cleaner = Cleaner::new("slipwaytestdies");
    let program = Program::start("slipwaytestdies", "slipway-instant:test", &[]).await;
    let mut browser = program.browser();
    browser.sign_in("admin", PASSWORD).await;
    browser.open_server("admin", "/x").await;
    let before = docker(&["inspect", "-f", "{{.Id}}", "slipwaytestdies-admin"]);
    docker(&["kill", "-s", "KILL", "slipwaytestdies-admin"]);
    let begun = Instant::now();
    browser.open_server("admin", "/x").await.is(200);
    assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
    assert_ne!(docker(&["inspect", "-f", "{{.Id}}", "slipwaytestdies-admin"]), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_herd_of_visits_makes_one_container() {
    let _cleaner = Cleaner::new("slipwaytestherd");
    let program = Program::start("slipwaytestherd", "slipway-instant:test", &[]).await;
    let mut browser = program.browser();
    browser.sign_in("admin", PASSWORD).await;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs().to_string();
    let visits = futures_util::stream::iter(0..200).for_each_concurrent(50, |_| {
        let mut visitor = program.tab_of(&browser);
        async move {
            let answer =
                visitor.send(Method::GET, "/hub/spawn-pending/admin", &[("sec-fetch-mode", "navigate")], "").await;
            assert!(answer.status == 200 || answer.status.is_redirection(), "{} {}", answer.status, answer.text());
        }
    });
    visits.await;
    browser.open_server("admin", "/x").await.is(200);
    let until = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 1;
    let arguments = ["events", "--since", &since, "--until", &until.to_string(), "--filter", "event=create"];
    let creates = docker(&[&arguments[..], &["--format", "{{.Actor.Attributes.name}}"]].concat());
    let creates = creates.lines().filter(|name| *name == "slipwaytestherd-admin").count();
    assert_eq!(creates, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_at_once_says_why() {
    let _cleaner = Cleaner::new("slipwaytestexits");
    let program = Program::start("slipwaytestexits", "slipway-exits:test", &[]).await;
    let mut browser = program.browser();
    browser.sign_in("admin", PASSWORD).await;
    let until = Instant::now() + Duration::from_secs(60);
    let mut place = "/user/admin/lab".to_owned();
    let page = loop {
        let (answer, _) = browser.go(&place).await;
        // While it starts, the page goes on by itself; the last one stays.
        let Some(url) = answer.reload_url() else { break answer };
        place = url;
        assert!(Instant::now() < until, "the failure never showed: {}", answer.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let text = page.is(500).text();
    assert!(text.contains("exit code 7"), "{text}");
}
