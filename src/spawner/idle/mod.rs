//! Idle servers: when each ends, and what its owner can do about it.

mod config;

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::broadcast;

pub use config::Config;

use super::Spawner;
use super::board::{self, UseOf};
use crate::model::{
    Actor, Clock, GrantedIdle, IdleSpan, IdleView, IdleWarning, IdleWhy, ServerKey, ServerState, Timestamp, UserName,
};
use crate::store::StoreError;

/// Given by `app`: when idle servers of somebody are stopped.
pub type IdleRulesOf = Arc<dyn Fn(&UserName) -> GrantedIdle + Send + Sync>;

/// Warnings that wait for whoever sends them on; older ones are dropped beyond that.
const WARNINGS_LIMIT: usize = 1_024;

/// What an extension came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extended {
    /// How it is now.
    pub view: IdleView,
    /// More was asked for than could be given.
    pub truncated: bool,
}

/// Why a deadline was not put off.
#[derive(Debug, thiserror::Error)]
pub enum ExtendError {
    /// The server has no idle limit.
    #[error("the server is not stopped when idle")]
    Off,
    /// It does not run.
    #[error("the server is not running")]
    NotRunning,
    /// Less than an hour could be added.
    #[error("the deadline cannot be put off any further")]
    AtCeiling,
    /// It could not be written down; nothing has changed.
    #[error("the store failed")]
    Store(#[source] StoreError),
    /// The program is being stopped.
    #[error("Slipway is stopping")]
    Closed,
}

/// What is needed to say when servers end.
pub(super) struct Idle {
    config: Config,
    rules: IdleRulesOf,
    clock: Arc<dyn Clock>,
    warnings: broadcast::Sender<IdleWarning>,
}

impl Idle {
    pub(super) fn new(config: Config, rules: IdleRulesOf, clock: Arc<dyn Clock>) -> Self {
        Self { config, rules, clock, warnings: broadcast::Sender::new(WARNINGS_LIMIT) }
    }

    fn view(&self, server: &ServerKey, of: &UseOf, now: Timestamp) -> (IdleView, Option<IdleSpan>) {
        let GrantedIdle { rules, from } = (self.rules)(&server.user);
        let last = of.seen.latest(rules.counting(self.config.switches));
        let used_at = last.map(|(_, at)| at).or(of.status.started_at).unwrap_or(now);
        let busy = of.busy_kernels.unwrap_or_default();
        let protected = busy && !rules.stops_busy_kernels;
        let idle_for = if protected { std::time::Duration::ZERO } else { now.since(used_at) };
        let age_left = rules
            .max_age
            .map(|most| most.saturating_sub(of.status.started_at.map_or_else(Default::default, |at| now.since(at))));
        let extended = of.extended.map(|extended| extended.to.saturating_sub(now.since(extended.at)));
        let span =
            rules.idle_after.map(|base| IdleSpan::new(base, rules.extension_at_most, idle_for, extended, age_left));
        let remaining = span.map(|span| span.remaining()).or(age_left);
        let view = IdleView {
            deadline: remaining.map(|left| now.plus(left)),
            remaining,
            base: rules.idle_after,
            ceiling: span.map(|span| span.ceiling()),
            offered_hours: span.map_or(0, |span| span.offered_hours()),
            why: if remaining.is_some() && remaining == age_left { IdleWhy::Age } else { IdleWhy::Idle },
            last,
            busy_kernel: busy,
            high_water: span.map_or_else(Default::default, |span| span.high_water(of.extended.map(|e| e.to))),
            rules_from: from,
        };
        (view, span)
    }
}

impl Spawner {
    /// When a running server ends, and why; None: it does not run.
    #[must_use]
    pub fn idle_view(&self, server: &ServerKey) -> Option<IdleView> {
        let of = self.board.use_of(server).filter(|of| of.status.state == ServerState::Ready)?;
        Some(self.idle.view(server, &of, self.idle.clock.now()).0)
    }

    /// When idle servers of this user are stopped, and who says so.
    #[must_use]
    pub fn idle_rules(&self, user: &UserName) -> GrantedIdle {
        (self.idle.rules)(user)
    }

    /// Puts the deadline of a running server off by whole hours, up to what is offered.
    ///
    /// # Errors
    /// If it has no idle limit, does not run, nothing is offered, or it cannot be written down. Nothing has changed then.
    #[expect(clippy::unused_async, reason = "it is written down here")]
    pub async fn extend(
        &self,
        server: &ServerKey,
        hours: NonZeroU32,
        _by: impl Into<Actor>,
    ) -> Result<Extended, ExtendError> {
        let now = self.idle.clock.now();
        let of = self.board.use_of(server).filter(|of| of.status.state == ServerState::Ready);
        let of = of.ok_or(ExtendError::NotRunning)?;
        let span = self.idle.view(server, &of, now).1.ok_or(ExtendError::Off)?;
        let extension = span.extend(hours).ok_or(ExtendError::AtCeiling)?;
        self.board.set_extended(server, Some(board::Extended { at: now, to: extension.remaining }));
        let view = self.idle_view(server).ok_or(ExtendError::NotRunning)?;
        Ok(Extended { view, truncated: extension.truncated })
    }

    /// Hears from here on of every server that is going to be stopped, once for each deadline. Who is slow hears that some
    /// were missed.
    #[must_use]
    pub fn idle_warnings(&self) -> broadcast::Receiver<IdleWarning> {
        self.idle.warnings.subscribe()
    }
}
