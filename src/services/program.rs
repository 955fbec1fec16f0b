//! Keeps one program running: start, log, restart with ever longer waits, stop with its whole process group.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::backoff::Backoff;
use super::environment::{self, environment};
use super::{Config, Inner, Program, Service, output, record};
use crate::host::account::{self, Account, PASSWD};
use crate::host::process::{self, ProcessId, signal_group};
use crate::model::{Secret, ServiceName};
use crate::net::BoxError;

/// Between two looks at a process of an earlier run that has been asked to end.
const STOP_POLL: Duration = Duration::from_millis(20);

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("its token could not be made")]
    Token(#[source] BoxError),
    #[error("its command is empty; name the program to run")]
    NoCommand,
    #[error("there is no program {program:?} in PATH; install it, or name its full path")]
    NoProgram { program: String },
    #[error("there is no account {user:?} on this host; give a name or uid:gid")]
    NoAccount { user: String },
    #[error("only root can run it as {user:?}; leave `user` out")]
    NotRoot { user: String },
    #[error("what is needed to find it again could not be written")]
    Record(#[source] std::io::Error),
    #[error("the system did not run it")]
    System(#[source] std::io::Error),
}

/// Runs the program until the service is removed or we stop; then it has ended.
pub(super) async fn keep(inner: Arc<Inner>, service: Arc<Service>, program: Program) {
    let name = &service.spec.name;
    let mut backoff = Backoff::new(&inner.config);
    // It may still listen where the new one wants to, and it holds a token that is about to end.
    if end_leftover(&inner.config, name).await {
        info!(service = %name, "a service of the last run still ran and has been ended");
    }
    loop {
        let started_at = Instant::now();
        let is_over = match start(&inner, &service, &program).await {
            Ok(running) => run(&inner, &service, running).await,
            Err(error) => {
                warn!(service = %name, error = &error as &dyn std::error::Error, "a service did not start");
                false
            }
        };
        let pause = backoff.after(started_at.elapsed());
        if is_over {
            break;
        }
        info!(service = %name, wait_s = pause.as_secs_f64(), "a service is started again after a wait");
        tokio::select! {
            () = service.is_over(&inner.parts.tasks) => break,
            () = sleep(pause) => {}
        }
    }
    forget(&inner.config, name).await;
}

/// A program that runs. Dropped, it is killed with all its group: nothing of ours outlives us by accident.
struct Running {
    child: Child,
    process: Option<ProcessId>,
    token: Arc<Secret>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        if let Some(process) = self.process {
            signal_group(process, signal);
        }
    }
}

async fn start(inner: &Inner, service: &Service, program: &Program) -> Result<Running, StartError> {
    let (spec, parts) = (&service.spec, &inner.parts);
    let token = parts.tokens.issue(&spec.name).await.map_err(StartError::Token)?;
    let public_origin = parts.public_origin.snapshot();
    let variables = environment(&environment::Facts {
        base: &parts.base,
        spec,
        program,
        token: &token,
        hub_url: &parts.hub_url,
        public_origin: public_origin.as_deref(),
    });
    let account = choose_account(program.user.as_deref(), &account::read(Path::new(PASSWD)))?;
    let mut command = command_of(&inner.config, program, account)?;
    command.envs(variables);
    write(&inner.config, record::Record::of(spec.name.clone(), &token, None)).await?;
    let child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => StartError::NoProgram { program: program.command.first().cloned().unwrap_or_default() },
        _ => StartError::System(error),
    })?;
    let pid = child.id();
    let process = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(process::of_pid);
    let running = Running { child, process, token: Arc::new(token) };
    write(&inner.config, record::Record::of(spec.name.clone(), &running.token, process)).await?;
    service.pid.store(pid.unwrap_or_default(), Ordering::Release);
    info!(service = %spec.name, pid, "a service was started");
    Ok(running)
}

fn command_of(config: &Config, program: &Program, account: Option<Account>) -> Result<Command, StartError> {
    let (file, arguments) = program.command.split_first().ok_or(StartError::NoCommand)?;
    let path = program.environment.get("PATH").unwrap_or(&config.path);
    let mut command = std::process::Command::new(find_program(file, path));
    command
        .args(arguments)
        // Ours holds our secrets.
        .env_clear()
        .env("PATH", &config.path)
        .env("LANG", &config.lang)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Its own group: a signal to our terminal is not for it, and one signal ends it with all its children.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let uid = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
    if let Some((name, home)) = account::name_and_home(uid, &account::read(Path::new(PASSWD))) {
        command.env("USER", name).env("HOME", home);
    }
    if let Some(cwd) = &program.cwd {
        command.current_dir(cwd);
    }
    if let Some(account) = account {
        use std::os::unix::process::CommandExt as _;
        command.uid(account.uid).gid(account.gid);
    }
    Ok(Command::from(command))
}

/// The account that a program runs as; none if it is ours.
fn choose_account(user: Option<&str>, passwd: &str) -> Result<Option<Account>, StartError> {
    let Some(user) = user.filter(|user| !user.is_empty()) else { return Ok(None) };
    let account = account::look_up(user, passwd).ok_or_else(|| StartError::NoAccount { user: user.to_owned() })?;
    let own = rustix::process::geteuid();
    if own.as_raw() == account.uid {
        return Ok(None);
    }
    if own.is_root() { Ok(Some(account)) } else { Err(StartError::NotRoot { user: user.to_owned() }) }
}

/// The program in `path`, which is not ours to search by.
fn find_program(program: &str, path: &str) -> std::path::PathBuf {
    if program.contains('/') {
        return program.into();
    }
    path.split(':').map(|folder| Path::new(folder).join(program)).find(|file| file.is_file()).unwrap_or(program.into())
}

/// Logs what it writes until it ends, or ends it when it is over. True if it is over.
async fn run(inner: &Inner, service: &Service, mut running: Running) -> bool {
    let (config, name) = (&inner.config, &service.spec.name);
    let streams = (running.child.stdout.take(), running.child.stderr.take());
    let follow = |token: &Arc<Secret>| (name.clone(), token.clone(), config.log_lines_per_second);
    let (ours, theirs) = (follow(&running.token), follow(&running.token));
    let mut lines = std::pin::pin!(async move {
        let stdout = async {
            if let Some(stream) = streams.0 {
                output::follow(ours.0, ours.1, stream, ours.2).await;
            }
        };
        let stderr = async {
            if let Some(stream) = streams.1 {
                output::follow(theirs.0, theirs.1, stream, theirs.2).await;
            }
        };
        tokio::join!(stdout, stderr);
    });
    let mut is_over = false;
    let mut has_closed = false;
    let ended = loop {
        tokio::select! {
            ended = running.child.wait() => break ended,
            () = service.is_over(&inner.parts.tasks), if !is_over => {
                is_over = true;
                running.signal(Signal::TERM);
                break tokio::select! {
                    ended = running.child.wait() => ended,
                    // What it says while it ends is logged too; it may go on after its output has ended.
                    never = async {
                        if !has_closed {
                            (&mut lines).await;
                            has_closed = true;
                        }
                        std::future::pending().await
                    } => never,
                    () = sleep(config.stop_grace) => {
                        warn!(service = %name, limit = ?config.stop_grace, "a service did not end in time and is killed");
                        running.signal(Signal::KILL);
                        running.child.wait().await
                    }
                };
            }
            () = &mut lines, if !has_closed => has_closed = true,
        }
    };
    service.pid.store(0, Ordering::Release);
    // Also what it has left behind in its group: it would hold the port.
    running.signal(Signal::KILL);
    running.process = None;
    if !has_closed {
        let _ = timeout(config.last_lines_wait, lines).await;
    }
    match ended {
        _ if is_over => info!(service = %name, "a service was stopped"),
        Ok(status) => warn!(service = %name, status = %words_of(status), "a service ended"),
        Err(error) => warn!(service = %name, error = &error as &dyn std::error::Error, "a service is lost"),
    }
    is_over
}

fn words_of(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

/// Ends what an earlier run of ours has left of `service`, and forgets it. True if something ran.
pub(super) async fn end_leftover(config: &Config, service: &ServiceName) -> bool {
    let (folder, name) = (config.folder.clone(), service.clone());
    let look = move || record::read(&folder, &name).and_then(|record| record.find());
    let found = tokio::task::spawn_blocking(look).await.unwrap_or_default();
    let mut was_alive = false;
    if let Some(process) = found {
        was_alive = process::is_alive(process);
        if was_alive {
            signal_group(process, Signal::TERM);
        }
        let deadline = Instant::now() + config.stop_grace;
        while process::is_alive(process) && Instant::now() < deadline {
            sleep(STOP_POLL).await;
        }
        signal_group(process, Signal::KILL);
        // Killed, it is gone at once, unless the disk holds it: then the new one shows what that means.
        let deadline = Instant::now() + config.stop_grace;
        while process::is_alive(process) && Instant::now() < deadline {
            sleep(STOP_POLL).await;
        }
    }
    forget(config, service).await;
    was_alive
}

async fn write(config: &Config, record: record::Record) -> Result<(), StartError> {
    let folder = config.folder.clone();
    let written = tokio::task::spawn_blocking(move || record::write(&folder, &record)).await;
    written.map_err(std::io::Error::other).and_then(|written| written).map_err(StartError::Record)
}

async fn forget(config: &Config, service: &ServiceName) {
    let (folder, name) = (config.folder.clone(), service.clone());
    let removed = tokio::task::spawn_blocking(move || record::remove(&folder, &name)).await;
    if let Ok(Err(error)) = removed {
        warn!(service = %service, error = &error as &dyn std::error::Error, "a service's record could not be removed");
    }
}
