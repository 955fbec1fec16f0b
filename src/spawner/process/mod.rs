//! Servers as processes of this host: for one person, or for people who trust each other.
//!
//! Each server has a folder, its home, and a process group. Beside the home stands what we must know to find the
//! process again after our own restart: a record with pid and time of start. Its log is a file that it writes itself.

mod account;
mod config;
mod homes;
mod log_file;

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep};
use tracing::warn;

pub use config::Config;

use super::backend::{
    Backend, BackendError, Environment, Exit, Found, Notice, Order, ProcessorReading, ProgressSink, Removal,
    ResourceLimits, Sight, UsageReading, Volume,
};
use super::log_lines;
use crate::host::account::{Account, PASSWD};
use crate::host::process::{self as table, ProcessId, signal_group};
use crate::model::{Generation, Handle, InstanceId, ServerKey, UpstreamAddress, VolumeStem, docker_escape};
use crate::tasks::Tasks;

const NAME: &str = "process";
/// Ends that nobody has read yet; one who reads too slowly asks for the list anyway.
const NOTICES_LENGTH: usize = 256;
/// Between two looks at a process that has been asked to end.
const STOP_POLL: Duration = Duration::from_millis(20);

/// Servers as processes of this host.
pub struct ProcessBackend {
    shared: Arc<Shared>,
    tasks: Tasks,
}

struct Shared {
    config: Config,
    instance: InstanceId,
    account: Option<Account>,
    notices: broadcast::Sender<Notice>,
    /// Servers created and not yet started; their variables hold a token and are written nowhere.
    orders: Mutex<Vec<Order>>,
    /// What the running ones were started with, to restart them with the same.
    running: Mutex<HashMap<ServerKey, Order>>,
    /// Our own children, of whose ends we are told, with the code: nobody else is to tell them first, without it.
    children: Mutex<HashSet<ProcessId>>,
    /// How processes that ended had ended.
    exits: Mutex<HashMap<ServerKey, (ProcessId, Exit)>>,
    /// The beginning of the clock that readings of processors are taken by.
    opened: std::time::Instant,
}

/// What is kept beside a server's home.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    instance: InstanceId,
    server: ServerKey,
    generation: Generation,
    listen: SocketAddr,
    /// Whose homes it sees; none in records of older versions: its owner's by name.
    #[serde(default)]
    volumes: Option<VolumeStem>,
    /// None until it has been started.
    process: Option<ProcessId>,
    /// What runs, if it is not what the settings say.
    #[serde(default)]
    command: Option<Vec<String>>,
}

impl ProcessBackend {
    /// Makes the folder of all servers and begins to watch processes.
    ///
    /// # Errors
    /// If we are root and `run_as` names nobody else, or the folder cannot be made.
    pub fn open(config: Config, instance: InstanceId, tasks: Tasks) -> Result<Self, BackendError> {
        let we_are_root = rustix::process::geteuid().is_root();
        let account = account::choose(config.run_as.as_deref(), we_are_root, Path::new(PASSWD))?;
        // Servers under another account must pass through to their own home.
        make_folder(&config.folder, 0o711).map_err(|error| refused("make the folder of all servers", &error))?;
        if account.is_some() {
            let folder = std::path::absolute(&config.folder).unwrap_or_else(|_| config.folder.clone());
            folder.ancestors().skip(1).try_for_each(let_pass)?;
        }
        let poll_interval = Duration::from_millis(config.poll_interval_ms.max(10));
        let (notices, _) = broadcast::channel(NOTICES_LENGTH);
        let shared = Arc::new(Shared {
            config,
            instance,
            account,
            notices,
            orders: Mutex::default(),
            running: Mutex::default(),
            children: Mutex::default(),
            exits: Mutex::default(),
            opened: std::time::Instant::now(),
        });
        let (watched, stopping) = (shared.clone(), tasks.stopping().clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = watched.watch(poll_interval) => {}
            }
        });
        Ok(Self { shared, tasks })
    }

    /// Runs the order's program and writes down which process it is.
    async fn begin(&self, order: Order) -> Result<Sight, BackendError> {
        let server = order.server.clone();
        let command = {
            let order = order.clone();
            self.blocking(move |shared| {
                let home = shared.home_of(&order.server, &order.volumes);
                shared.command_of(&order, &home)
            })
            .await?
        };
        let mut child = tokio::process::Command::from(command).spawn().map_err(|error| {
            let command = order.command.as_ref().unwrap_or(&self.shared.config.command);
            let program = command.first().map_or("", String::as_str);
            match error.kind() {
                ErrorKind::NotFound => BackendError::Settings(format!(
                    "spawner.process.command: there is no program {program:?} in PATH ({}). Install it, or name its \
                     full path",
                    self.shared.config.path
                )),
                _ => refused("run it", &error),
            }
        })?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let process = pid.and_then(table::of_pid);
        self.shared.children.lock().extend(process);
        let record = Record {
            instance: self.shared.instance.clone(),
            server: server.clone(),
            generation: order.generation,
            listen: order.listen,
            volumes: Some(order.volumes.clone()),
            process,
            command: order.command.clone(),
        };
        let (shared, generation, stopping) = (self.shared.clone(), order.generation, self.tasks.stopping().clone());
        self.tasks.spawn(async move {
            let ended = tokio::select! {
                // It lives on without us.
                () = stopping.cancelled() => return,
                ended = child.wait() => ended,
            };
            let exit = Exit { code: ended.ok().and_then(code_of), out_of_memory: false };
            if let Some(process) = process {
                shared.note_exit(&server, generation, process, exit);
                shared.children.lock().remove(&process);
            }
        });
        let listen = order.listen;
        self.blocking(move |shared| {
            shared.write_record(&record)?;
            shared.orders.lock().retain(|order| order.server != record.server);
            shared.running.lock().insert(record.server, order);
            Ok(())
        })
        .await?;
        Ok(Sight::Running(UpstreamAddress::Tcp(listen)))
    }

    /// Runs file work on the blocking pool.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let shared = self.shared.clone();
        match tokio::task::spawn_blocking(move || work(&shared)).await {
            Ok(result) => result,
            Err(panicked) => Err(refused("look at its folder", &panicked)),
        }
    }
}

impl Shared {
    fn folder_of(&self, server: &ServerKey) -> PathBuf {
        // The prefix keeps the escaped name from being a dot or empty.
        self.config.folder.join(server.docker_name("server"))
    }

    /// Where the server lives and what its owner keeps: a folder named by the owner's stem.
    fn home_of(&self, server: &ServerKey, stem: &VolumeStem) -> PathBuf {
        self.config
            .folder
            .join(homes::folder_name(stem, &docker_escape(&server.name.as_str().to_lowercase())))
            .join(homes::HOME)
    }

    fn record_of(&self, server: &ServerKey) -> Result<Option<Record>, BackendError> {
        self.read_record(&self.folder_of(server))
    }

    fn read_record(&self, folder: &Path) -> Result<Option<Record>, BackendError> {
        let text = match std::fs::read(folder.join("record.json")) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused("read its record", &error)),
        };
        // A record that a crash has cut names no process that we would know.
        let record: Option<Record> = serde_json::from_slice(&text).ok();
        let Some(mut record) = record.filter(|record| record.instance == self.instance) else { return Ok(None) };
        let is_ours_to_start = || self.orders.lock().iter().any(|order| order.server == record.server);
        if record.process.is_none() && !is_ours_to_start() {
            // We have died between its start and the record of it: it is the one that lives in that home.
            let natural = || VolumeStem::of(&record.server.user);
            let stem = record.volumes.clone().unwrap_or_else(natural);
            record.process = table::leader_in(&self.home_of(&record.server, &stem));
        }
        Ok(Some(record))
    }

    fn write_record(&self, record: &Record) -> Result<(), BackendError> {
        let folder = self.folder_of(&record.server);
        let text = serde_json::to_vec(record).map_err(|error| refused("write its record", &error))?;
        let write = || {
            std::fs::write(folder.join("record.new"), &text)?;
            std::fs::rename(folder.join("record.new"), folder.join("record.json"))
        };
        write().map_err(|error| refused("write its record", &error))
    }

    /// The folder (ours) with the home in it (the server's).
    fn make_home(&self, server: &ServerKey, stem: &VolumeStem) -> std::io::Result<PathBuf> {
        make_folder(&self.folder_of(server), 0o711)?;
        let home = self.home_of(server, stem);
        if let Some(folder) = home.parent() {
            make_folder(folder, 0o711)?;
        }
        make_folder(&home, 0o700)?;
        if let Some(account) = self.account {
            std::os::unix::fs::lchown(&home, Some(account.uid), Some(account.gid))?;
        }
        Ok(home)
    }

    fn create(&self, order: &Order) -> Result<Handle, BackendError> {
        if let Some(record) = self.record_of(&order.server)? {
            // Ours, of an earlier start: it must not live beside the new one.
            end_group(&record, Signal::KILL);
        }
        self.make_home(&order.server, &order.volumes).map_err(|error| refused("make its folder", &error))?;
        let record = Record {
            instance: self.instance.clone(),
            server: order.server.clone(),
            generation: order.generation,
            listen: order.listen,
            volumes: Some(order.volumes.clone()),
            process: None,
            command: order.command.clone(),
        };
        self.write_record(&record)?;
        self.exits.lock().remove(&order.server);
        let mut orders = self.orders.lock();
        orders.retain(|waiting| waiting.server != order.server);
        orders.push(order.clone());
        Ok(handle_of(&order.server))
    }

    /// With what the server's program was started: as we remember it, or after a restart of ours as the process itself
    /// shows it. None: there is no such process any more.
    fn order_of_running(&self, server: &ServerKey) -> Result<Option<Order>, BackendError> {
        let Some(record) = self.record_of(server)? else { return Ok(None) };
        let Some(process) = record.process.filter(|process| table::is_alive(*process)) else { return Ok(None) };
        if let Some(order) = self.running.lock().get(server) {
            return Ok(Some(order.clone()));
        }
        let environment = table::environment_of(process).map_err(|error| refused("read its variables", &error))?;
        Ok(Some(Order {
            server: server.clone(),
            generation: record.generation,
            listen: record.listen,
            image: None,
            command: record.command,
            // What it is not given by an order: `command_of` says that anew.
            environment: Environment(
                environment
                    .into_iter()
                    .filter(|(name, _)| !["PATH", "LANG", "HOME"].contains(&name.as_str()))
                    .collect(),
            ),
            limits: ResourceLimits::default(),
            extras: crate::spawner::Extras::default(),
            volumes: record.volumes.unwrap_or_else(|| VolumeStem::of(&server.user)),
        }))
    }

    fn command_of(&self, order: &Order, home: &Path) -> Result<Command, BackendError> {
        let command = order.command.as_ref().unwrap_or(&self.config.command);
        let Some((program, arguments)) = command.split_first() else {
            return Err(BackendError::Settings("spawner.process.command is empty: name the program to run".into()));
        };
        let log = log_file::create(&self.folder_of(&order.server).join("log"))
            .map_err(|error| refused("make its log", &error))?;
        let errors = log.try_clone().map_err(|error| refused("make its log", &error))?;
        let Environment(variables) = &order.environment;
        let mut command = Command::new(find_program(program, &self.config.path));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", &self.config.path)
            .env("LANG", &self.config.lang)
            .env("HOME", home)
            .envs(variables)
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // Its own group: a signal to our terminal is not for it, and one signal ends it with all its kernels.
            .process_group(0);
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        Ok(command)
    }

    /// How the server is by its record and `/proc`.
    fn sight_of(&self, record: &Record) -> Sight {
        let Some(process) = record.process else { return Sight::Created };
        if table::is_alive(process) {
            return Sight::Running(UpstreamAddress::Tcp(record.listen));
        }
        let exits = self.exits.lock();
        let known = exits.get(&record.server).filter(|(ended, _)| *ended == process);
        Sight::Exited(known.map(|(_, exit)| *exit).unwrap_or_default())
    }

    fn records(&self) -> Result<Vec<Record>, BackendError> {
        let entries = std::fs::read_dir(&self.config.folder).map_err(|error| refused("list its folders", &error))?;
        let mut records = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| refused("list its folders", &error))?;
            records.extend(self.read_record(&entry.path())?);
        }
        Ok(records)
    }

    fn reading_of(&self, usage: table::TreeUsage) -> UsageReading {
        let core_ns = u64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        let processor = ProcessorReading { used_ns: usage.cpu_ns, core_ns, cores };
        UsageReading { processor: Some(processor), memory_bytes: Some(usage.memory_bytes) }
    }

    fn remove_home(&self, stem: &VolumeStem, suffix: &str) -> Result<Removal, BackendError> {
        let Some(home) = homes::path_of(&self.config.folder, stem, suffix) else { return Ok(Removal::Absent) };
        let lives_there = |record: &Record| {
            let of = record.volumes.clone().unwrap_or_else(|| VolumeStem::of(&record.server.user));
            self.home_of(&record.server, &of) == home && record.process.is_some_and(table::is_alive)
        };
        if self.records()?.iter().any(lives_there) {
            return Ok(Removal::InUse("a process of this server".into()));
        }
        let removed = homes::remove(&home).map_err(|error| refused("delete a home", &error))?;
        Ok(if removed { Removal::Removed } else { Removal::Absent })
    }

    fn note_exit(&self, server: &ServerKey, generation: Generation, process: ProcessId, exit: Exit) {
        self.exits.lock().insert(server.clone(), (process, exit));
        // Nobody may be listening yet: the list says it as well.
        let _ = self.notices.send(Notice { server: server.clone(), generation, sight: Sight::Exited(exit) });
    }

    /// Looks at processes that are not our children, and cuts logs.
    async fn watch(self: Arc<Self>, poll_interval: Duration) {
        loop {
            sleep(poll_interval).await;
            let shared = self.clone();
            let looked = tokio::task::spawn_blocking(move || shared.look_around()).await;
            if let Ok(Err(error)) = looked {
                warn!(error = &error as &dyn std::error::Error, "the folders of servers could not be read");
            }
        }
    }

    fn look_around(&self) -> Result<(), BackendError> {
        for record in self.records()? {
            let Some(process) = record.process else { continue };
            let log = self.folder_of(&record.server).join("log");
            if let Err(error) = log_file::cut(&log, self.config.log_limit_bytes) {
                warn!(server = %record.server, error = &error as &dyn std::error::Error, "a log could not be cut");
            }
            // Asked before what was told: one that is no child any more has been told of.
            if self.children.lock().contains(&process) {
                continue;
            }
            let is_told = self.exits.lock().get(&record.server).is_some_and(|(told, _)| *told == process);
            if !is_told && !table::is_alive(process) {
                self.note_exit(&record.server, record.generation, process, Exit::default());
            }
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Backend for ProcessBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn image(&self) -> Option<String> {
        None
    }

    async fn prepare(&self, _: &ServerKey, _: Option<&str>, _: &ProgressSink) -> Result<(), BackendError> {
        Ok(())
    }

    async fn listen_address(&self) -> Result<SocketAddr, BackendError> {
        // The kernel goes round its range, so the port is not given away again in the moment until it is used.
        let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        bound.map_err(|error| refused("find a free port", &error))
    }

    async fn create(&self, order: &Order) -> Result<Handle, BackendError> {
        let order = order.clone();
        self.blocking(move |shared| shared.create(&order)).await
    }

    async fn start(&self, handle: &Handle) -> Result<Sight, BackendError> {
        let server = server_of(handle)?;
        let order = self.shared.orders.lock().iter().find(|order| order.server == server).cloned();
        let Some(order) = order else { return Ok(Sight::Gone) };
        self.begin(order).await
    }

    async fn restart(&self, handle: &Handle, grace: Duration) -> Result<Sight, BackendError> {
        let server = server_of(handle)?;
        let order = self.blocking(move |shared| shared.order_of_running(&server)).await?;
        let Some(order) = order else { return self.inspect(handle).await };
        self.stop(handle, grace).await?;
        self.begin(order).await
    }

    async fn stop(&self, handle: &Handle, grace: Duration) -> Result<(), BackendError> {
        let server = server_of(handle)?;
        let Some(record) = self.blocking(move |shared| shared.record_of(&server)).await? else { return Ok(()) };
        let Some(process) = record.process else { return Ok(()) };
        if table::is_alive(process) {
            end_group(&record, Signal::TERM);
        }
        let deadline = Instant::now() + grace;
        while table::is_alive(process) && Instant::now() < deadline {
            sleep(STOP_POLL).await;
        }
        // Also what the server has left behind in its group: kernels, terminals.
        end_group(&record, Signal::KILL);
        while table::is_alive(process) {
            sleep(STOP_POLL).await;
        }
        Ok(())
    }

    async fn remove(&self, handle: &Handle) -> Result<(), BackendError> {
        let server = server_of(handle)?;
        self.blocking(move |shared| {
            shared.orders.lock().retain(|order| order.server != server);
            shared.running.lock().remove(&server);
            shared.exits.lock().remove(&server);
            // The home stays, and the log, which the next start replaces.
            match std::fs::remove_file(shared.folder_of(&server).join("record.json")) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(refused("remove its record", &error)),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn inspect(&self, handle: &Handle) -> Result<Sight, BackendError> {
        let server = server_of(handle)?;
        self.blocking(move |shared| {
            Ok(shared.record_of(&server)?.map_or(Sight::Gone, |record| shared.sight_of(&record)))
        })
        .await
    }

    async fn log_tail(&self, handle: &Handle, lines: usize) -> Result<Vec<String>, BackendError> {
        let server = server_of(handle)?;
        self.blocking(move |shared| match log_file::tail(&shared.folder_of(&server).join("log")) {
            Ok(text) => Ok(log_lines::last(&text, lines)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(vec![]),
            Err(error) => Err(refused("read its log", &error)),
        })
        .await
    }

    async fn find(&self, server: &ServerKey) -> Result<Option<Found>, BackendError> {
        let server = server.clone();
        self.blocking(move |shared| Ok(shared.record_of(&server)?.map(|record| found_of(shared, record)))).await
    }

    async fn list(&self) -> Result<Vec<Found>, BackendError> {
        self.blocking(|shared| Ok(shared.records()?.into_iter().map(|record| found_of(shared, record)).collect())).await
    }

    async fn events(&self) -> Result<BoxStream<'static, Notice>, BackendError> {
        let receiver = self.shared.notices.subscribe();
        let stream = futures_util::stream::unfold(receiver, async |mut receiver| match receiver.recv().await {
            Ok(notice) => Some((notice, receiver)),
            // Too slow, or closed: the stream ends, and whoever follows it lists and subscribes again.
            Err(_) => None,
        });
        Ok(stream.boxed())
    }

    fn has_volume(&self, suffix: &str) -> bool {
        homes::is_suffix(suffix)
    }

    async fn volumes(&self, stem: &VolumeStem) -> Result<Vec<Volume>, BackendError> {
        let stem = stem.clone();
        self.blocking(move |shared| {
            let homes = homes::of(&shared.config.folder, &stem).map_err(|error| refused("list homes", &error))?;
            Ok(homes.into_iter().map(volume_of).collect())
        })
        .await
    }

    async fn remove_volume(&self, stem: &VolumeStem, suffix: &str) -> Result<Removal, BackendError> {
        let (stem, suffix) = (stem.clone(), suffix.to_owned());
        self.blocking(move |shared| shared.remove_home(&stem, &suffix)).await
    }

    async fn volume_sizes(&self) -> Result<HashMap<String, u64>, BackendError> {
        self.blocking(|shared| homes::sizes(&shared.config.folder).map_err(|error| refused("measure homes", &error)))
            .await
    }

    fn owner_of_volume(&self, name: &str) -> Option<(VolumeStem, String)> {
        homes::owner_of(Path::new(name))
    }

    async fn usage(&self, handle: &Handle) -> Result<Option<UsageReading>, BackendError> {
        let server = server_of(handle)?;
        self.blocking(move |shared| {
            let Some(process) = shared.record_of(&server)?.and_then(|record| record.process) else { return Ok(None) };
            Ok(table::usage_of_tree(process).map(|usage| shared.reading_of(usage)))
        })
        .await
    }
}

fn volume_of(home: homes::Home) -> Volume {
    let of = home.suffix.strip_prefix("home--").map(|server| format!(" of the server {server}")).unwrap_or_default();
    Volume {
        description: format!("The home folder{of}: all files there"),
        name: home.path.display().to_string(),
        mount: home.path.display().to_string(),
        label: None,
        suffix: home.suffix,
        is_shared: false,
    }
}

fn found_of(shared: &Shared, record: Record) -> Found {
    let (handle, sight) = (handle_of(&record.server), shared.sight_of(&record));
    Found { server: record.server, generation: record.generation, handle, sight }
}

fn handle_of(server: &ServerKey) -> Handle {
    serde_json::json!({ "process": server }).into()
}

/// What a handle of this backend says.
#[derive(Deserialize)]
struct Kept {
    process: ServerKey,
}

fn server_of(handle: &Handle) -> Result<ServerKey, BackendError> {
    let kept: Option<Kept> = handle.read();
    kept.map(|kept| kept.process)
        .ok_or_else(|| BackendError::Settings("a server of another backend cannot be reached as a process".into()))
}

/// Signals the whole group, if there is one.
fn end_group(record: &Record, signal: Signal) {
    if let Some(process) = record.process {
        signal_group(process, signal);
    }
}

/// The status as a shell tells it: 128 and the signal's number for one that was ended by a signal.
fn code_of(status: std::process::ExitStatus) -> Option<i64> {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).map(i64::from)
}

fn make_folder(path: &Path, mode: u32) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path)?;
    let there = std::fs::symlink_metadata(path)?;
    if !there.is_dir() {
        return Err(std::io::Error::new(ErrorKind::NotADirectory, format!("{} is no folder", path.display())));
    }
    if there.permissions().mode() & 0o777 != mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Servers under another account must pass through `folder` on their way home. Our own data folder, which the store
/// makes for us alone, is opened for passing (not for listing; the files in it have modes of their own). Whatever
/// else is in the way is the operator's.
fn let_pass(folder: &Path) -> Result<(), BackendError> {
    let there = std::fs::metadata(folder).map_err(|error| refused("look at the folders above", &error))?;
    let mode = there.permissions().mode();
    if mode & 0o001 != 0 {
        return Ok(());
    }
    let is_data_dir = folder.join("slipway.redb").exists();
    if is_data_dir {
        let opened = std::fs::Permissions::from_mode(mode | 0o011);
        return std::fs::set_permissions(folder, opened).map_err(|error| refused("open the data folder", &error));
    }
    let (path, cure) =
        (folder.display(), "let others pass (chmod o+x), set data_dir elsewhere, or run Slipway as that account");
    Err(BackendError::Settings(format!(
        "spawner.process.run_as: that account cannot reach its servers' folders through {path}: {cure}"
    )))
}

/// The program in the servers' `PATH`, which is not ours to search by.
fn find_program(program: &str, path: &str) -> PathBuf {
    if program.contains('/') {
        return program.into();
    }
    path.split(':').map(|folder| Path::new(folder).join(program)).find(|file| file.is_file()).unwrap_or(program.into())
}

fn refused(act: &'static str, error: &dyn std::error::Error) -> BackendError {
    BackendError::Refused { engine: NAME, act, reason: error.to_string() }
}

#[cfg(test)]
mod tests;
