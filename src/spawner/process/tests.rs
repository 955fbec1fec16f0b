//! With real processes: shells that write, wait and end.

use std::collections::BTreeMap;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Handle as Runtime;
use tokio::time::timeout;

use super::*;
use crate::model::UserName;

struct World {
    backend: ProcessBackend,
    config: Config,
    tasks: Tasks,
    folder: Arc<tempfile::TempDir>,
}

impl World {
    fn with(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // As root, servers run as somebody else, who must pass.
        make_folder(folder.path(), 0o755).expect("opened");
        let config = Config {
            folder: folder.path().join("servers"),
            command: ["sh", "-c", script].map(String::from).to_vec(),
            run_as: rustix::process::geteuid().is_root().then(|| "65534:65534".into()),
            poll_interval_ms: 20,
            ..Config::default()
        };
        Self::open(config, Arc::new(folder))
    }

    fn open(config: Config, folder: Arc<tempfile::TempDir>) -> Self {
        let tasks = Tasks::new(Runtime::current());
        let backend =
            ProcessBackend::open(config.clone(), InstanceId("0f".into()), tasks.clone()).expect("a folder to work in");
        Self { backend, config, tasks, folder }
    }

    async fn start(&self, generation: u64) -> (Handle, Sight) {
        let order = Order {
            server: alice(),
            generation: Generation(generation),
            listen: self.backend.listen_address().await.expect("a port"),
            environment: Environment(BTreeMap::from([("COLOUR".into(), "blue".into())])),
            limits: super::super::ResourceLimits::default(),
            image: None,
            extras: super::super::Extras::default(),
            command: None,
            volumes: VolumeStem::of(&alice().user),
        };
        let handle = self.backend.create(&order).await.expect("created");
        let sight = self.backend.start(&handle).await.expect("started");
        (handle, sight)
    }

    /// Waits until the log has this line.
    async fn says(&self, handle: &Handle, line: &str) {
        self.says_what(handle, line, |said| (said == line).then_some(())).await;
    }

    /// Waits until the log has a line of which `read` makes something.
    async fn says_what<T>(&self, handle: &Handle, line: &str, read: impl Fn(&str) -> Option<T>) -> T {
        let writes = watched(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("inotify"));
        let log = self.backend.shared.folder_of(&alice()).join("log");
        inotify::add_watch(&writes, log, WatchFlags::MODIFY).expect("a log");
        let said = async {
            loop {
                let lines = self.backend.log_tail(handle, 10).await.expect("a log");
                if let Some(found) = lines.iter().find_map(|said| read(said)) {
                    return found;
                }
                writes.readable().await.expect("inotify");
                while writes.try_read(&mut [0; 512]).is_ok() {}
            }
        };
        timeout(Duration::from_secs(10), said).await.unwrap_or_else(|_| panic!("it never said {line}"))
    }

    async fn sight(&self, handle: &Handle) -> Sight {
        self.backend.inspect(handle).await.expect("a look")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for record in self.backend.shared.records().unwrap_or_default() {
            if Arc::strong_count(&self.folder) == 1 {
                end_group(&record, Signal::KILL);
            }
        }
    }
}

/// A descriptor that the runtime watches. That it is no pipe makes no difference to whether it is readable.
fn watched(descriptor: std::os::fd::OwnedFd) -> Receiver {
    Receiver::from_owned_fd_unchecked(descriptor).expect("a runtime")
}

/// Waits until that process has ended.
async fn end_of(process: table::ProcessId) {
    let pid = Pid::from_raw(process.pid).expect("a pid");
    // None if it has ended and been waited for.
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let handle = watched(handle);
    if table::is_alive(process) {
        let ended = timeout(Duration::from_secs(10), handle.readable()).await;
        ended.expect("it has ended").expect("a process");
    }
}

fn alice() -> ServerKey {
    ServerKey::default_of(UserName::parse("alice").expect("a name"))
}

#[tokio::test]
async fn a_server_gets_its_variables_its_home_and_nothing_else_of_ours() {
    let world = World::with("echo \"$COLOUR $PWD $HOME ${CARGO_MANIFEST_DIR:-none}\"; id -u; sleep 60");
    let (handle, sight) = world.start(1).await;
    assert!(matches!(sight, Sight::Running(_)));
    let home = world.config.folder.join("server-alice/home").display().to_string();
    world.says(&handle, &format!("blue {home} {home} none")).await;
    if rustix::process::geteuid().is_root() {
        world.says(&handle, "65534").await;
    }
}

#[tokio::test]
async fn an_end_is_told_at_once_with_its_code() {
    let world = World::with("echo last words; until test -e go; do sleep 0.01; done; exit 7");
    let mut events = world.backend.events().await.expect("events");
    let (handle, _) = world.start(3).await;
    // It is seen to have ended before we are told how: this thread is kept busy meanwhile.
    let process = world.backend.shared.record_of(&alice()).expect("readable").and_then(|record| record.process);
    let pid = Pid::from_raw(process.expect("it runs").pid).expect("a pid");
    std::fs::write(world.config.folder.join("server-alice/home/go"), "").expect("written");
    let unreaped = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), unreaped).expect("our child").expect("it has ended");
    world.backend.shared.look_around().expect("a look");

    let notice = timeout(Duration::from_secs(10), events.next()).await.expect("told").expect("a notice");
    let exit = Exit { code: Some(7), out_of_memory: false };
    assert_eq!(notice, Notice { server: alice(), generation: Generation(3), sight: Sight::Exited(exit) });
    assert_eq!(world.sight(&handle).await, Sight::Exited(exit));
    world.says(&handle, "last words").await;
    world.backend.remove(&handle).await.expect("removed");
    assert_eq!(world.sight(&handle).await, Sight::Gone);
    assert!(world.config.folder.join("server-alice/home").is_dir());
}

#[tokio::test]
async fn a_stop_ends_the_whole_group_even_a_stubborn_one() {
    // The child writes its pid; neither of the two minds SIGTERM.
    let world = World::with(
        "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo child $!; while :; do sleep 1; done",
    );
    let (handle, _) = world.start(1).await;
    let child = world.says_what(&handle, "its child", |said| said.strip_prefix("child ")?.parse().ok()).await;
    let child = table::of_pid(child).expect("the child lives");
    world.backend.stop(&handle, Duration::from_millis(50)).await.expect("stopped");
    assert!(matches!(world.sight(&handle).await, Sight::Exited(_)));
    // Its end may take a moment after the signal.
    end_of(child).await;
}

#[tokio::test]
async fn a_server_outlives_us_is_found_again_and_its_end_is_noticed() {
    let world = World::with("echo up; sleep 60");
    let (handle, sight) = world.start(5).await;
    world.says(&handle, "up").await;
    // Slipway ends: what watched the child is gone.
    assert!(world.tasks.stop(Duration::from_secs(5)).await, "a running server kept us from stopping");
    let next = World::open(world.config.clone(), world.folder.clone());
    let found = next.backend.list().await.expect("a list");
    assert_eq!(found, [Found { server: alice(), generation: Generation(5), handle: handle.clone(), sight }]);
    let mut events = next.backend.events().await.expect("events");
    next.backend.stop(&handle, Duration::from_secs(5)).await.expect("stopped");
    let notice = timeout(Duration::from_secs(10), events.next()).await.expect("told").expect("a notice");
    assert!(matches!(notice.sight, Sight::Exited(_)));
    drop(world);
}

#[tokio::test]
async fn a_server_whose_start_was_not_written_down_is_found_by_its_home() {
    let world = World::with("echo up; sleep 60");
    let (handle, sight) = world.start(2).await;
    world.says(&handle, "up").await;
    let record = world.backend.shared.record_of(&alice()).expect("readable").expect("there");
    world.backend.shared.write_record(&Record { process: None, ..record.clone() }).expect("written");
    assert_eq!(world.sight(&handle).await, sight);
    let again = world.backend.shared.record_of(&alice()).expect("readable").expect("there");
    assert_eq!(again.process, record.process);
}

#[tokio::test]
async fn a_new_start_ends_what_was_left_of_the_last() {
    let world = World::with("echo up; sleep 60");
    let (handle, _) = world.start(1).await;
    world.says(&handle, "up").await;
    let first = world.backend.shared.record_of(&alice()).expect("readable").and_then(|record| record.process);
    world.start(2).await;
    end_of(first.expect("it ran")).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let mut world = World::with("true");
    world.config.command = vec!["jupyterhub-nowhere".into()];
    let world = World::open(world.config.clone(), world.folder.clone());
    let order = Order {
        server: alice(),
        generation: Generation(1),
        listen: ([127, 0, 0, 1], 1).into(),
        environment: Environment::default(),
        limits: super::super::ResourceLimits::default(),
        image: None,
        extras: super::super::Extras::default(),
        command: None,
        volumes: VolumeStem::of(&alice().user),
    };
    let handle = world.backend.create(&order).await.expect("created");
    let error = world.backend.start(&handle).await.expect_err("nothing to run").to_string();
    assert!(error.contains("\"jupyterhub-nowhere\"") && error.contains("PATH"), "{error}");
}

#[tokio::test]
async fn a_restart_is_a_new_process_in_the_same_folder_at_the_same_port_with_the_same_variables() {
    let world = World::with("said=\"$$ $COLOUR $(cat kept 2>/dev/null)\"; echo kept > kept; echo $said; sleep 60");
    let (handle, sight) = world.start(3).await;
    let says = async |backend: &World, rest: &'static str| {
        let read = |said: &str| said.strip_suffix(rest)?.trim().parse::<i32>().ok();
        backend.says_what(&handle, rest, read).await
    };
    let first = says(&world, " blue").await;
    let gone =
        end_of(world.backend.shared.record_of(&alice()).expect("readable").and_then(|r| r.process).expect("it runs"));
    assert_eq!(world.backend.restart(&handle, Duration::from_secs(5)).await.expect("restarted"), sight);
    gone.await;
    let second = says(&world, " blue kept").await;
    assert_ne!(first, second);
    assert_eq!(world.sight(&handle).await, sight, "the end of the first one is no news of the second");

    // Slipway ends and comes again: the process itself shows what it was started with.
    assert!(world.tasks.stop(Duration::from_secs(5)).await, "a running server kept us from stopping");
    let next = World::open(world.config.clone(), world.folder.clone());
    assert_eq!(next.backend.restart(&handle, Duration::from_secs(5)).await.expect("restarted"), sight);
    let third = says(&next, " blue kept").await;
    assert_ne!(second, third);
    assert_eq!(next.backend.list().await.expect("a list")[0].generation, Generation(3));
    next.backend.stop(&handle, Duration::from_secs(5)).await.expect("stopped");
    let ended = next.backend.restart(&handle, Duration::from_secs(5)).await.expect("looked at");
    assert!(matches!(ended, Sight::Exited(_)), "{ended:?}");
    drop(world);
}
