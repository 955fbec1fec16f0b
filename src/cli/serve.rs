//! `slipway serve`: runs the program until Ctrl-C or SIGTERM; SIGHUP takes up the configuration.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{fail, systemd};
use crate::app::{App, Parts};
use crate::config::Config;
use crate::listener;
use crate::model::{Random, SystemClock};
use crate::telemetry;

/// Threads for pages, password queues and the life of servers: little work, which may never slow a proxied byte.
const CONTROL_THREADS: usize = 2;

/// How long the end waits for the reader of our log.
const LOG_FLUSH_LIMIT: Duration = Duration::from_secs(1);

pub(super) fn run(config: Config) -> ExitCode {
    let has_no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let log = match telemetry::init(&config.log, has_no_color) {
        Ok(log) => log,
        Err(error) => return fail(&error),
    };
    for note in &config.notes {
        if note.is_warning {
            warn!("{}", note.text);
        } else {
            info!("{}", note.text);
        }
    }
    listener::adopt_sockets(&std::env::var("LISTEN_FDNAMES").unwrap_or_default());
    // Each connection is one of them; a shell's usual 1,024 would be the end long before our own limit.
    listener::raise_open_files_limit();
    let control = Builder::new_multi_thread().worker_threads(CONTROL_THREADS).thread_name("hub").enable_all().build();
    let control = match control {
        Ok(control) => control,
        Err(error) => return fail(&error),
    };
    let parts = Parts { clock: Arc::new(SystemClock), random: Random::from_system(), backend: None };
    let result = control.block_on(async move {
        let (mut signals, mut hang_up) = (Signals::new()?, signal(SignalKind::hangup())?);
        let app = Box::pin(App::start(config, parts)).await?;
        let stopped = CancellationToken::new();
        tokio::spawn(systemd::keep_watchdog(stopped.clone()));
        systemd::ready();
        let mut stop_wished = std::pin::pin!(app.stop_wished());
        loop {
            tokio::select! {
                () = signals.next() => break,
                () = &mut stop_wished => break,
                _ = hang_up.recv() => {
                    // Beside this loop, so that a stop need not wait for it. What comes of it is in the log.
                    let reloader = app.reloader.clone();
                    tokio::spawn(async move {
                        systemd::reloading();
                        let _ = reloader.reload("SIGHUP").await;
                        systemd::ready();
                    });
                }
            }
        }
        systemd::stopping();
        info!("stopping; a second Ctrl-C stops at once, and servers of users go on running");
        let hard_stop = app.hard_stop();
        tokio::select! {
            () = app.stop() => {}
            () = signals.next() => hard_stop(),
        }
        stopped.cancel();
        info!("stopped");
        Ok::<_, Box<dyn std::error::Error>>(())
    });
    // Blocking work that still runs (a password hash) is not worth waiting for.
    control.shutdown_background();
    log.flush(LOG_FLUSH_LIMIT);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        // logrotate's usual word to a proxy. A log that was moved away is begun anew without it, and left to itself it
        // would be the end of us.
        drop(signal(SignalKind::user_defined1())?);
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
