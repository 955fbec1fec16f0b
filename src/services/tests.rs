//! Services with real programs: shells that say what happens to them through a pipe.

use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::*;
use crate::host::process::{self, ProcessId};
use crate::model::{NormalPath, SystemClock, UpstreamAddress};

const LIMIT: Duration = Duration::from_secs(20);

/// Tokens that count: `token-1`, `token-2` …
#[derive(Default)]
struct Tokens {
    issued: AtomicUsize,
}

#[async_trait::async_trait]
impl ServiceTokens for Tokens {
    async fn issue(&self, _: &ServiceName) -> Result<Secret, BoxError> {
        Ok(Secret::new(format!("token-{}", self.issued.fetch_add(1, Ordering::SeqCst) + 1)))
    }
}

struct World {
    folder: tempfile::TempDir,
    config: Config,
    tokens: Arc<Tokens>,
    routes: Arc<Routes>,
    tasks: Tasks,
    said: Lines<BufReader<Receiver>>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        // Open for both, so that it does not end between two programs.
        let said = OpenOptions::new().read_write(true).open_receiver(&pipe).expect("a pipe");
        let config = Config {
            folder: folder.path().join("services"),
            restart_pause: Duration::from_millis(1),
            stop_grace: Duration::from_millis(200),
            ..Config::default()
        };
        Self {
            folder,
            config,
            tokens: Arc::default(),
            routes: Arc::default(),
            tasks: Tasks::new(Handle::current()),
            said: BufReader::new(said).lines(),
        }
    }

    fn open(&self, specs: Vec<ServiceSpec>) -> Services {
        let parts = Parts {
            routes: self.routes.clone(),
            tokens: self.tokens.clone(),
            base: BasePath::parse("/").expect("the root"),
            hub_url: "http://127.0.0.1:8081".into(),
            public_origin: None.into(),
            clock: Arc::new(SystemClock),
            tasks: self.tasks.clone(),
        };
        let services = Services::new(self.config.clone(), parts);
        services.start(specs);
        services
    }

    /// A service whose program is a shell; descriptor 3 leads to the test.
    fn shell(&self, script: &str) -> ServiceSpec {
        let script = format!("exec 3>'{}'; {script}", self.folder.path().join("pipe").display());
        let command = ["sh", "-c", &script].map(String::from).to_vec();
        ServiceSpec { program: Some(Program { command, ..Program::default() }), ..spec("x", None) }
    }

    async fn hears(&mut self) -> String {
        let line = timeout(LIMIT, self.said.next_line()).await.expect("something is said");
        line.expect("the pipe is read").expect("the pipe stays open")
    }

    async fn hears_pid(&mut self) -> ProcessId {
        let pid = self.hears().await.parse().expect("a pid");
        process::of_pid(pid).expect("it lives")
    }
}

fn spec(name: &str, url: Option<&str>) -> ServiceSpec {
    ServiceSpec {
        name: service(name),
        url: url.map(|url| ServiceUrl::parse(url).expect("a URL")),
        program: None,
        client_id: format!("service-{name}"),
        redirect_uri: None,
        client_allowed_scopes: vec![],
    }
}

fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).expect("a name")
}

/// Waits until that process has ended.
async fn end_of(process: ProcessId) {
    let pid = Pid::from_raw(process.pid).expect("a pid");
    // None if it has ended and been waited for.
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // A descriptor that the runtime watches; that it is no pipe makes no difference to whether it is readable.
    let handle = Receiver::from_owned_fd_unchecked(handle).expect("a runtime");
    if process::is_alive(process) {
        timeout(LIMIT, handle.readable()).await.expect("it has ended").expect("a process");
    }
}

#[tokio::test]
async fn a_program_gets_its_variables_its_folder_and_nothing_of_ours() {
    let mut world = World::new();
    let mut spec =
        world.shell("echo \"$JUPYTERHUB_SERVICE_NAME $JUPYTERHUB_API_TOKEN $PWD $COLOUR ${CARGO_MANIFEST_DIR:-none}\" >&3; exec sleep 60");
    if let Some(program) = &mut spec.program {
        program.cwd = Some("/".into());
        program.environment.insert("COLOUR".into(), "blue".into());
    }
    let _services = world.open(vec![spec]);
    assert_eq!(world.hears().await, "x token-1 / blue none");
    world.tasks.stop(LIMIT).await;
}

#[tokio::test]
async fn a_program_that_dies_is_started_again_with_a_fresh_token() {
    let mut world = World::new();
    let spec = world.shell("echo $$ >&3; echo \"$JUPYTERHUB_API_TOKEN\" >&3; exec sleep 60");
    let services = world.open(vec![spec]);
    let first = world.hears_pid().await;
    assert_eq!(world.hears().await, "token-1");
    process::signal_group(first, Signal::KILL);
    let second = world.hears_pid().await;
    assert_eq!(world.hears().await, "token-2");
    assert_ne!(first, second);
    world.tasks.stop(LIMIT).await;
    assert!(!process::is_alive(second), "it was stopped with us");
    assert_eq!(services.pid(&service("x")), None);
    assert!(record::all(&world.config.folder).is_empty(), "nothing is left to be found");
}

#[tokio::test]
async fn a_stop_asks_first_and_then_kills_the_whole_group() {
    let mut world = World::new();
    // The child minds no SIGTERM; the leader says that it has heard it, and stays.
    let script = "trap 'echo asked >&3' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $! >&3; echo $$ >&3; \
                  while :; do wait; done";
    let _services = world.open(vec![world.shell(script)]);
    let (child, leader) = (world.hears_pid().await, world.hears_pid().await);
    assert!(world.tasks.stop(LIMIT).await);
    assert_eq!(world.hears().await, "asked");
    end_of(child).await;
    end_of(leader).await;
}

#[tokio::test]
async fn a_second_signal_leaves_nothing_running() {
    let mut world = World::new();
    let _services = world.open(vec![world.shell("trap '' TERM; echo $$ >&3; while :; do sleep 1; done")]);
    let leader = world.hears_pid().await;
    world.tasks.drop_all();
    end_of(leader).await;
}

#[tokio::test]
async fn what_a_sudden_end_of_ours_has_left_is_ended_before_the_next_start() {
    for (is_recorded, name) in [(true, "x"), (false, "x"), (true, "gone")] {
        let mut world = World::new();
        let token = Secret::new(format!("{name}-{is_recorded}-{}", std::process::id()));
        let pipe = world.folder.path().join("pipe");
        let orphan = std::process::Command::new("sh")
            .args(["-c", &format!("echo $$ >'{}'; exec sleep 60", pipe.display())])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("JUPYTERHUB_SERVICE_NAME", name)
            .env("JUPYTERHUB_API_TOKEN", token.expose())
            .stdin(Stdio::null())
            .process_group(0)
            .spawn();
        let mut orphan = orphan.expect("a shell");
        let process = world.hears_pid().await;
        let recorded = is_recorded.then_some(process);
        record::write(&world.config.folder, &record::Record::of(service(name), &token, recorded)).expect("written");

        let pid = Pid::from_raw(process.pid).expect("a pid");
        let is_there = move || rustix::process::test_kill_process(pid).is_ok();
        assert!(is_there());
        let script = format!(
            "echo $$ >&3; cat /proc/{}/stat >&3 2>/dev/null || echo gone >&3; exec sleep 60",
            pid.as_raw_nonzero()
        );
        let _services = world.open(vec![world.shell(&script)]);
        let _new = world.hears_pid().await;
        let seen_by_the_new_one = world.hears().await;
        end_of(process).await;
        if name == "x" {
            // Our child here, so it is a zombie until we wait for it; init would have taken it.
            assert!(seen_by_the_new_one == "gone" || seen_by_the_new_one.contains(") Z "), "{seen_by_the_new_one}");
        }
        orphan.wait().expect("it has ended");
        world.tasks.stop(LIMIT).await;
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_run_holds_nobody_up() {
    let mut world = World::new();
    let broken = Program { command: vec!["no-such-program".into()], ..Program::default() };
    let empty = Program::default();
    let foreign = Program { command: vec!["true".into()], user: Some("no such account".into()), ..Program::default() };
    let mut specs: Vec<_> = [("a", broken), ("b", empty), ("c", foreign)]
        .map(|(name, program)| ServiceSpec { program: Some(program), ..spec(name, None) })
        .into();
    specs.push(world.shell("echo $$ >&3; exec sleep 60"));
    let services = world.open(specs);
    let running = world.hears_pid().await;
    assert_eq!(services.pid(&service("a")), None);
    services.remove(&service("x"));
    end_of(running).await;
    assert!(world.tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn a_url_has_its_route_at_once_and_loses_it_with_the_service() {
    let world = World::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let services = world.open(vec![spec("x", Some(&format!("http://localhost:{}/", address.port())))]);
    // It is asked where its name leads to, and whether it answers; the answer is nobody's business.
    drop(timeout(LIMIT, listener.accept()).await.expect("it is asked").expect("a connection"));
    let found = || {
        let table = world.routes.current();
        table.find(NormalPath::parse("/services/x/a").expect("normal")).map(|route| route.upstream.clone())
    };
    let upstream = found().expect("a route");
    assert_eq!(upstream.address, UpstreamAddress::Tcp(address));
    services.remove(&service("x"));
    timeout(LIMIT, upstream.gone.cancelled()).await.expect("the route goes");
    assert!(found().is_none());
    world.tasks.stop(LIMIT).await;
}
