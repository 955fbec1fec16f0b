//! What systemd is told of us where it wants to know (`Type=notify-reload`, `WatchdogSec=`). Elsewhere: nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// We serve.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload begins; `ready` ends it. The time tells systemd which of several it is.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "no monotonic time for systemd"),
    }
}

/// We stop.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Shows systemd at twice the pace it asks for that tasks still run here, until `stopped`.
pub(super) async fn keep_watchdog(stopped: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| *limit > Duration::ZERO) else { return };
    let mut ticks = tokio::time::interval(limit / 2);
    while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "systemd could not be told");
    }
}
