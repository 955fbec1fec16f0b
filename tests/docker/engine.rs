//! An engine of the test's own that can be killed and started again without hurting anybody else's containers.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::Method;
use tempfile::TempDir;

use crate::program::{PASSWORD, Program};

/// A cold engine with a containerd of its own.
const ENGINE_LIMIT: Duration = Duration::from_secs(60);

/// The engine's own default bridge.
const BRIDGE: &str = "slipwaytest0";

/// Runs `ip`; a bridge that is there already, or gone already, is as good.
fn ip(arguments: &[&str]) {
    let _ = Command::new("ip").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

struct Engine {
    folder: TempDir,
    /// As on a host with systemd it is a service of its own, and outlives a killed dockerd.
    containerd: Child,
    dockerd: Option<Child>,
}

impl Engine {
    fn start() -> Self {
        ip(&["link", "add", "name", BRIDGE, "type", "bridge"]);
        ip(&["address", "add", "10.213.77.1/24", "dev", BRIDGE]);
        ip(&["link", "set", BRIDGE, "up"]);
        let folder = TempDir::new().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let log = std::fs::File::create(path("containerd.log")).expect("a log file");
        let containerd = Command::new("containerd")
            .arg("--address")
            .arg(path("containerd.sock"))
            .arg("--root")
            .arg(path("containerd"))
            .arg("--state")
            .arg(path("containerd-state"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("containerd is installed");
        let mut engine = Self { folder, containerd, dockerd: None };
        engine.run();
        engine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    fn run(&mut self) {
        let log = std::fs::File::options().append(true).create(true).open(self.path("log")).expect("a log file");
        let child = Command::new("dockerd")
            .arg("--host")
            .arg(self.host())
            .arg("--containerd")
            .arg(self.path("containerd.sock"))
            .arg("--data-root")
            .arg(self.path("data"))
            .arg("--exec-root")
            .arg(self.path("exec"))
            .arg("--pidfile")
            .arg(self.path("pid"))
            // Not `none`: that removes docker0, which is another engine's.
            .args(["--bridge", BRIDGE, "--iptables=false", "--ip6tables=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("dockerd is installed");
        self.dockerd = Some(child);
        let until = Instant::now() + ENGINE_LIMIT;
        while !self.docker(&["version"]).status().expect("the docker client").success() {
            let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
            let last = log.lines().rev().take(8).collect::<Vec<_>>();
            assert!(Instant::now() < until, "the engine does not answer; its log, last line first: {last:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(self.host()).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// SIGKILL: its containers go on under their shims until it comes back.
    fn kill(&mut self) {
        let mut child = self.dockerd.take().expect("it runs");
        child.kill().expect("it runs");
        child.wait().expect("it ended");
        // The next one refuses to start beside the pid file of a dead one whose number is in use again.
        let _ = std::fs::remove_file(self.path("pid"));
    }

    fn load(&self, image: &str) {
        let mut save =
            Command::new("docker").args(["save", image]).stdout(Stdio::piped()).spawn().expect("docker save");
        let image = save.stdout.take().expect("a pipe");
        assert!(self.docker(&["load"]).stdin(image).status().expect("docker load").success());
        assert!(save.wait().expect("docker save ends").success());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let ids = Command::new("docker").args(["--host", &self.host(), "ps", "-aq"]).output();
        for id in ids
            .iter()
            .flat_map(|output| String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>())
        {
            let _ = self.docker(&["rm", "-f", &id]).status();
        }
        // The engine that was killed may still count an endpoint there, and would keep the network's bridge.
        let networks = ["--host", &self.host(), "network", "ls", "-q", "--filter", "name=slipway-own"];
        let networks = Command::new("docker").args(networks).output().map(|output| output.stdout).unwrap_or_default();
        for network in String::from_utf8_lossy(&networks).lines() {
            let _ = self.docker(&["network", "rm", network]).status();
            ip(&["link", "delete", &format!("br-{network}")]);
        }
        for child in self.dockerd.iter_mut().chain([&mut self.containerd]) {
            // SIGTERM, so that it lets go of its mounts.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
        ip(&["link", "delete", BRIDGE]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_and_comes_back_costs_nobody_more_than_a_new_start() {
    let mut engine = Engine::start();
    engine.load("slipway-instant:test");
    let host = engine.host();
    let overrides = [("SLIPWAY_SPAWNER_DOCKER_HOST", host.as_str()), ("SLIPWAY_SPAWNER_DOCKER_NETWORK", "slipway-own")];
    let program = Program::start("slipwaytestengine", "slipway-instant:test", &overrides).await;
    let mut browser = program.browser();
    browser.sign_in("admin", PASSWORD).await;
    browser.open_server("admin", "/x").await.is(200);

    engine.kill();
    // What runs is reached without the engine.
    browser.send(Method::GET, "/user/admin/x", &[("sec-fetch-mode", "navigate")], "").await.is(200);
    program.browser().send(Method::GET, "/hub/health", &[], "").await.is(200);

    // Without live restore the engine ends its old containers when it comes back; the visit then starts a new one.
    engine.run();
    browser.open_server("admin", "/x").await.is(200);
    // The visit may have met the old container in its last moments: what counts is that it ends well.
    browser.open_server("admin", "/x").await.is(200);
}
