//! Looks at all running servers again and again, warns their owners, and has the idle ones stopped.
//!
//! A look goes through the board a few hundred servers at a time, so that nobody waits for its lock; servers whose time
//! has come are asked for their kernels a few at once, and only then.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::judge::{Moment, Verdict, Warning};
use super::{AskKernels, Idle};
use crate::model::{ActivitySource, Generation, GrantedIdle, IdleWarning, ServerKey, UserName};
use crate::spawner::GpuLender;
use crate::spawner::board::Board;
use crate::spawner::driver::Mail;
use crate::spawner::rows::Rows;
use crate::store::WatchRow;

/// How often the clocks are compared, and between two looks at least. 5 s: so late is a stop at most.
const TICK: Duration = Duration::from_secs(5);
/// How often it is written down that we watch. A crash makes every server younger by this much.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// Servers judged under one lock of the board.
const SERVERS_AT_ONCE: usize = 250;
/// Servers asked for their kernels in one look; the others are asked in the next.
const ASKED_PER_LOOK: usize = 400;
/// Of these at the same moment.
const ASKED_AT_ONCE: usize = 16;
/// How long one of them may take, with its wait for others. Whoever asks has shorter limits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What the keeper works with.
pub(in crate::spawner) struct Parts {
    pub(in crate::spawner) board: Arc<Board>,
    pub(in crate::spawner) rows: Rows,
    pub(in crate::spawner) mail: mpsc::Sender<Mail>,
    pub(in crate::spawner) gpus: Arc<dyn GpuLender>,
}

/// What a look has found.
#[derive(Debug, Default)]
pub(in crate::spawner) struct Look {
    pub(super) warnings: Vec<(ServerKey, Warning)>,
    pub(super) ask: Vec<(ServerKey, Generation)>,
    pub(super) stop: Vec<(ServerKey, Generation)>,
    /// When the first of the others wants to be looked at.
    pub(super) look_again: Option<Duration>,
    /// Somebody's servers are stopped when idle.
    pub(super) has_rules: bool,
}

impl Look {
    #[cfg(test)]
    pub(in crate::spawner) fn has_rules_and_keeps_all(&self) -> bool {
        self.has_rules && self.warnings.is_empty() && self.ask.is_empty() && self.stop.is_empty()
    }

    fn take(&mut self, server: &ServerKey, generation: Generation, verdict: Verdict) {
        match verdict {
            Verdict::Keep { look_again } => {
                self.look_again = Some(self.look_again.map_or(look_again, |soonest| soonest.min(look_again)));
            }
            Verdict::Ask => self.ask.push((server.clone(), generation)),
            Verdict::Warn(warning) => self.warnings.push((server.clone(), warning)),
            Verdict::Stop(_) => self.stop.push((server.clone(), generation)),
        }
    }
}

impl Idle {
    /// Judges all servers that are ready. The others are somebody's work under way.
    pub(in crate::spawner) fn look(&self, board: &Board) -> Look {
        let mut look = Look::default();
        self.with_moment(|moment| {
            let mut last: Option<ServerKey> = None;
            loop {
                let next = self.look_at_some(board, moment, last.as_ref(), &mut look);
                let Some(next) = next else { break };
                last = Some(next);
            }
        });
        look
    }

    /// Those after `last`; gives the last one of them, None at the end.
    fn look_at_some(
        &self,
        board: &Board,
        moment: &Moment<'_>,
        last: Option<&ServerKey>,
        look: &mut Look,
    ) -> Option<ServerKey> {
        // A user's servers lie together.
        let mut of_user: Option<(UserName, GrantedIdle)> = None;
        board.each_ready(last, SERVERS_AT_ONCE, |server, generation, facts| {
            let is_known = of_user.as_ref().is_some_and(|(user, _)| *user == server.user);
            if !is_known {
                of_user = Some((server.user.clone(), (self.rules)(&server.user)));
            }
            let Some((_, granted)) = &of_user else { return };
            look.has_rules |= !granted.rules.are_off();
            look.take(server, generation, moment.judge(facts, &granted.rules));
        })
    }

    /// One look with all that comes of it. Gives when the next is due.
    pub(in crate::spawner) async fn look_round(&self, parts: &Parts) -> (Duration, bool) {
        if self.config.read().idle.switches.counts(ActivitySource::Gpu) {
            for server in parts.gpus.at_work(self.config.read().idle.gpu_percent) {
                parts.board.note_activity(&server, ActivitySource::Gpu, self.clock.now());
            }
        }
        let mut look = self.look(&parts.board);
        let mut next = look.look_again.unwrap_or(Duration::MAX);
        if look.ask.len() > ASKED_PER_LOOK {
            look.ask.truncate(ASKED_PER_LOOK);
            next = TICK;
        }
        let ask = self.ask.read().clone();
        if let Some(ask) = &ask {
            let questions = look.ask.drain(..).map(|of| self.ask_one(parts, ask, of)).collect::<Vec<_>>();
            let mut answered = futures_util::stream::iter(questions).buffer_unordered(ASKED_AT_ONCE);
            while let Some((server, generation)) = answered.next().await {
                let mut after = Look::default();
                if let Some(verdict) = self.judge(&parts.board, &server) {
                    after.take(&server, generation, verdict);
                }
                next = next.min(after.look_again.unwrap_or(Duration::MAX));
                self.carry_out(parts, after).await;
            }
        }
        let has_rules = look.has_rules;
        if !look.warnings.is_empty() {
            next = TICK;
        }
        self.carry_out(parts, look).await;
        (next, has_rules)
    }

    async fn ask_one(&self, parts: &Parts, ask: &AskKernels, of: (ServerKey, Generation)) -> (ServerKey, Generation) {
        let began = self.clock.now();
        // Whether in time or not: what it said is on the board.
        let _ = timeout(ANSWER_TIMEOUT, ask(of.0.clone())).await;
        parts.board.kernels_were_asked(&of.0, began, self.clock.now());
        of
    }

    async fn carry_out(&self, parts: &Parts, look: Look) {
        for (server, Warning { deadline, why, warned }) in look.warnings {
            parts.board.set_warned(&server, warned);
            self.counts.warned.one();
            info!(user = %server.user, server = %server, deadline = %deadline, "an idle server is going to be stopped");
            // Nobody may listen: then nobody sends notices here.
            let _ = self.warnings.send(IdleWarning { server, deadline, why });
        }
        for (server, generation) in look.stop {
            // Only fails when the program stops.
            let _ = parts.mail.send(Mail::StopIdle(server, generation)).await;
        }
    }

    /// Runs until `stopping`.
    pub(in crate::spawner) async fn keep(self: Arc<Self>, parts: Parts, stopping: CancellationToken) {
        let (mut next_look, mut next_note) = (Instant::now(), Instant::now());
        let mut has_rules = false;
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                () = sleep(TICK) => {}
            }
            if let Some(now) = self.set_back_to() {
                parts.board.nothing_seen_after(now);
            }
            if next_look <= Instant::now() {
                let next = tokio::select! {
                    () = stopping.cancelled() => break,
                    next = self.look_round(&parts) => next,
                };
                has_rules = next.1;
                next_look = Instant::now() + next.0.clamp(TICK, self.config.read().idle.check_interval.max(TICK));
            }
            if has_rules && next_note <= Instant::now() {
                self.note_watch(&parts.rows).await;
                next_note = Instant::now() + NOTE_EVERY;
            }
        }
        if has_rules {
            self.note_watch(&parts.rows).await;
        }
    }

    /// Writes down that we have watched until now.
    pub(in crate::spawner) async fn note_watch(&self, rows: &Rows) {
        let (alive_at, observed) = self.present();
        let row = WatchRow { alive_at, observed: (*observed).clone() };
        if let Err(error) = rows.write(move |transaction| transaction.put_idle_watch(&row)).await {
            warn!(
                error = &error as &dyn std::error::Error,
                "it could not be written down that idle servers are watched"
            );
        }
    }
}
