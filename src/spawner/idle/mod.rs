//! Idle servers: when each ends, what its owner can do about it, and who stops it.
//!
//! `judge` decides and knows no time but what it is given; `keeper` looks at all servers again and again. What it finds
//! is only a reason to stop one: the driver judges once more when it takes the letter, so that whatever came in between
//! wins (`driver/idle`). Nobody is stopped by default.

mod config;
mod judge;
mod keeper;

use std::num::NonZeroU32;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, oneshot};
use tracing::warn;

pub use config::Config;
pub(super) use judge::{Facts, Kernels, Warned};
pub(super) use keeper::Parts as Keeper;

use super::Spawner;
use super::board::Board;
use super::driver::Mail;
use crate::model::{
    Actor, Clock, ClockReading, Count, GrantedIdle, IdleEnd, IdleSpan, IdleView, IdleWarning, IdleWhy, Live, Observed,
    ServerKey, Timestamp, UserName,
};
use crate::store::{StoreError, WatchRow};
use judge::{Moment, Reason, Verdict};

/// Given by `app`: when idle servers of somebody are stopped.
pub type IdleRulesOf = Arc<dyn Fn(&UserName) -> GrantedIdle + Send + Sync>;

/// Asks a server for its kernels, and notes on the board what it says (`Board::note_kernels`). Ends within its own limits.
pub(super) type AskKernels = Arc<dyn Fn(ServerKey) -> BoxFuture<'static, ()> + Send + Sync>;

/// Warnings that wait for whoever sends them on; older ones are dropped beyond that.
const WARNINGS_LIMIT: usize = 10_000;

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

/// What has been done about idle servers so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdleFigures {
    /// Servers stopped because nobody used them.
    pub stopped_idle: u64,
    /// Servers stopped because of their age.
    pub stopped_age: u64,
    /// Warnings.
    pub warned: u64,
    /// Extensions.
    pub extended: u64,
}

/// What is needed to say when servers end.
pub(super) struct Idle {
    config: Live<crate::spawner::Config>,
    rules: IdleRulesOf,
    clock: Arc<dyn Clock>,
    opened_at: Timestamp,
    watched: Mutex<Watch>,
    warnings: broadcast::Sender<IdleWarning>,
    /// Set once, when everything is put together.
    ask: RwLock<Option<AskKernels>>,
    counts: Counts,
}

/// The clocks as last read, and where they had jumped.
struct Watch {
    last: ClockReading,
    observed: Arc<Observed>,
    /// It has been set back since the keeper last asked.
    was_set_back: bool,
}

#[derive(Default)]
struct Counts {
    stopped_idle: Count,
    stopped_age: Count,
    warned: Count,
    extended: Count,
}

impl Idle {
    /// `before` is what an earlier run of ours wrote down last.
    pub(super) fn new(
        config: Live<crate::spawner::Config>,
        rules: IdleRulesOf,
        clock: Arc<dyn Clock>,
        before: Option<WatchRow>,
    ) -> Self {
        let last = ClockReading { wall: clock.now(), monotonic: clock.monotonic() };
        let (alive_at, mut observed) =
            before.map_or((None, Observed::default()), |row| (Some(row.alive_at), row.observed));
        observed.note_absence(alive_at, last.wall);
        Self {
            config,
            rules,
            clock,
            opened_at: last.wall,
            watched: Mutex::new(Watch { last, observed: Arc::new(observed), was_set_back: false }),
            warnings: broadcast::Sender::new(WARNINGS_LIMIT),
            ask: RwLock::default(),
            counts: Counts::default(),
        }
    }

    /// From here on servers are asked for their kernels before they are stopped.
    pub(super) fn ask_with(&self, ask: AskKernels) {
        *self.ask.write() = Some(ask);
    }

    /// The present, after a look whether the wall clock has jumped.
    fn present(&self) -> (Timestamp, Arc<Observed>) {
        let now = ClockReading { wall: self.clock.now(), monotonic: self.clock.monotonic() };
        let mut watched = self.watched.lock();
        let last = std::mem::replace(&mut watched.last, now);
        if let Some(jump_ms) = Arc::make_mut(&mut watched.observed).note_readings(last, now) {
            watched.was_set_back |= jump_ms < 0;
            warn!(jump_ms, "the clock has jumped, or this host slept: no server counts as idle for it");
        }
        (now.wall, watched.observed.clone())
    }

    /// The present, if the clock has been set back since this was last asked.
    fn set_back_to(&self) -> Option<Timestamp> {
        let (now, _) = self.present();
        std::mem::take(&mut self.watched.lock().was_set_back).then_some(now)
    }

    fn with_moment<T>(&self, act: impl FnOnce(&Moment<'_>) -> T) -> T {
        let (now, observed) = self.present();
        let can_ask = self.ask.read().is_some();
        let config = self.config.read();
        act(&Moment { now, opened_at: self.opened_at, observed: &observed, config: &config.idle, can_ask })
    }

    /// What is to be done with this server now.
    fn judge(&self, board: &Board, server: &ServerKey) -> Option<Verdict> {
        let facts = board.facts(server)?;
        let GrantedIdle { rules, .. } = (self.rules)(&server.user);
        Some(self.with_moment(|moment| moment.judge(&facts, &rules)))
    }

    /// Why this server is to be stopped at this very moment; None: it is not.
    pub(super) fn reason_to_stop(&self, board: &Board, server: &ServerKey) -> Option<Reason> {
        match self.judge(board, server)? {
            Verdict::Stop(reason) => Some(reason),
            _ => None,
        }
    }

    /// It is being stopped for this; the audit's words for it.
    pub(super) fn note_stop(&self, reason: &Reason) -> String {
        match reason.why {
            IdleWhy::Idle => self.counts.stopped_idle.one(),
            IdleWhy::Age => self.counts.stopped_age.one(),
        }
        reason.act()
    }

    pub(super) fn note_extension(&self) {
        self.counts.extended.one();
    }

    /// None: it does not run.
    pub(super) fn view(&self, board: &Board, server: &ServerKey) -> Option<(IdleView, Option<IdleSpan>)> {
        let facts = board.facts(server)?;
        let GrantedIdle { rules, from } = (self.rules)(&server.user);
        let (view, span) = self.with_moment(|moment| moment.view(&facts, &rules));
        Some((IdleView { rules_from: from, ..view }, span))
    }
}

impl Spawner {
    /// When a running server ends, and why; None: it does not run.
    #[must_use]
    pub fn idle_view(&self, server: &ServerKey) -> Option<IdleView> {
        self.idle.view(&self.board, server).map(|(view, _)| view)
    }

    /// When idle servers of this user are stopped, and who says so.
    #[must_use]
    pub fn idle_rules(&self, user: &UserName) -> GrantedIdle {
        (self.idle.rules)(user)
    }

    /// That Slipway stopped this server as idle, or for its age, when it last did: of whichever start of it.
    #[must_use]
    pub fn idle_end(&self, server: &ServerKey) -> Option<IdleEnd> {
        self.board.idle_end(server)
    }

    /// Puts the deadline of a running server off by whole hours, up to what is offered. Durable when it returns. It is
    /// gone when the server is stopped; a restart in the same container keeps it.
    ///
    /// # Errors
    /// If it has no idle limit, does not run, nothing is offered, it cannot be written down, or the program stops. Nothing
    /// has changed then.
    pub async fn extend(
        &self,
        server: &ServerKey,
        hours: NonZeroU32,
        by: impl Into<Actor>,
    ) -> Result<Extended, ExtendError> {
        let (answer, answered) = oneshot::channel();
        let letter = Mail::Extend(server.clone(), hours, by.into(), answer);
        self.mail.send(letter).await.map_err(|_| ExtendError::Closed)?;
        answered.await.unwrap_or(Err(ExtendError::Closed))
    }

    /// Hears from here on of every server that is going to be stopped, once for each deadline. Who is slow hears that some
    /// were missed.
    #[must_use]
    pub fn idle_warnings(&self) -> broadcast::Receiver<IdleWarning> {
        self.idle.warnings.subscribe()
    }

    /// What has been done about idle servers since the start of the program.
    #[must_use]
    pub fn idle_figures(&self) -> IdleFigures {
        let counts = &self.idle.counts;
        IdleFigures {
            stopped_idle: counts.stopped_idle.get(),
            stopped_age: counts.stopped_age.get(),
            warned: counts.warned.get(),
            extended: counts.extended.get(),
        }
    }
}
