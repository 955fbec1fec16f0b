//! Asks running servers for their kernels and terminals: who computes without a tab is in use all the same.
//!
//! A server is asked past the edge, with a token for that errand and the mark that JupyterLab has for it, so that the
//! question makes nobody look busy. Whoever judges an idle server asks it right before (`Idle::ask_with`); beside, those
//! that have an idle limit and were not heard of for a while are asked now and then, so that pages tell the truth: the
//! more servers, and the longer their limits, the more seldom. What answers is whatever runs in the container: head,
//! body and time of an answer are bounded, and only lists as Jupyter gives them say anything. Other servers stay unknown.
//!
//! Here, too, computing containers are noted as in use, from the samples that `usage` has taken.

mod said;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::IdleRulesOf;
use super::board::Board;
use super::usage::UsageSample;
use crate::model::{ActivitySource, BasePath, Clock, Live, Route, Secret, ServerKey, Timestamp};
use crate::net::fetch;
use said::Said;

/// How long the question for kernels may take, from connecting to the end of its answer. 5 s: Jupyter takes milliseconds,
/// also while its kernels compute, and some more to ask us whose token that is.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The same for terminals, once it has answered.
const TERMINALS_LIMIT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read. 256 KiB: a thousand kernels.
const ANSWER_LIMIT_BYTES: usize = 256 << 10;
/// How often it is looked whom to ask, and who computes.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Nobody is asked more often than this, unless he is judged.
const SHORTEST: Duration = Duration::from_secs(60);
/// And whoever has an idle limit not more seldom, unless there is no answer.
const LONGEST: Duration = Duration::from_secs(600);
/// Servers asked in one look: the others are first in the next. 500: of 10,000 each is asked within ten minutes.
const PER_LOOK: usize = 500;
/// Who does not answer is asked up to this many times more seldom.
const PATIENCE: u32 = 8;

/// A token for one errand to a server; it ends when this is dropped.
pub trait Errand: Send + Sync + 'static {
    /// What the server is shown.
    fn secret(&self) -> &Secret;
}

/// Given by `app`: a token that opens this server alone, and makes nobody look busy. None if its owner may not enter it.
pub type Errands = Arc<dyn Fn(&ServerKey) -> Option<Box<dyn Errand>> + Send + Sync>;

/// What `usage` has seen of all servers lately.
type Samples = Box<dyn Fn() -> Vec<(ServerKey, UsageSample)> + Send + Sync>;

/// What is needed to ask.
pub(super) struct Parts {
    pub(super) board: Arc<Board>,
    pub(super) samples: Samples,
    pub(super) errands: Option<Errands>,
    pub(super) rules: IdleRulesOf,
    pub(super) base: BasePath,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: Live<super::Config>,
}

/// Asks servers, and remembers whom it has asked.
pub(super) struct Answers {
    parts: Parts,
    asked: Mutex<HashMap<ServerKey, Asked>>,
}

/// What came of the last question to a server.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Instant,
    is_busy: bool,
    /// How often there was no answer, one after the other.
    silences: u32,
}

impl Answers {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts, asked: Mutex::default() })
    }

    /// Asks a server now, and notes what it says. Ends within `ANSWER_LIMIT` and `TERMINALS_LIMIT`.
    pub(super) async fn ask(&self, server: &ServerKey) {
        let Some(route) = self.parts.board.route(server) else { return };
        let is_busy = tokio::select! {
            // The address may be somebody else's by now.
            () = route.upstream.gone.cancelled() => return,
            is_busy = self.ask_both(server, &route) => is_busy,
        };
        let mut asked = self.asked.lock();
        let silences = asked.get(server).map_or(0, |asked| asked.silences);
        let silences = if is_busy.is_none() { silences.saturating_add(1) } else { 0 };
        let is_busy = is_busy.unwrap_or_default();
        asked.insert(server.clone(), Asked { at: Instant::now(), is_busy, silences });
    }

    /// Whether a kernel is busy; None: it is no Jupyter server, or does not answer.
    async fn ask_both(&self, server: &ServerKey, route: &Route) -> Option<bool> {
        let Parts { board, errands, base, clock, .. } = &self.parts;
        let prefix = server.prefix(base);
        // Ends when it is dropped.
        let errand = errands.as_ref().and_then(|errands| errands(server));
        let one = async |what: &str, limit: Duration| {
            let target = format!("{prefix}api/{what}?no_track_activity=1");
            let token = errand.as_ref()?.secret();
            let answer = fetch(&route.upstream.address, &target, token, ANSWER_LIMIT_BYTES, limit).await.ok()?;
            Said::read(&answer.body.filter(|_| answer.status == StatusCode::OK)?)
        };
        let used_at = |said: Said, source| said.used_at(route.upstream.last_opened(source), clock.now());

        let kernels = one("kernels", ANSWER_LIMIT).await;
        let is_busy = kernels.map(|kernels| kernels.is_busy);
        board.note_kernels(server, is_busy, clock.now());
        note(board, server, ActivitySource::Kernel, used_at(kernels?, ActivitySource::Kernel));

        // Not at the same time: a new token costs the server a question to us, and now it knows the answer.
        let terminals = one("terminals", TERMINALS_LIMIT).await;
        let at = terminals.and_then(|terminals| used_at(terminals, ActivitySource::Terminal));
        note(board, server, ActivitySource::Terminal, at);
        is_busy
    }

    /// Asks those whose turn it is, and notes who computes.
    pub(super) async fn look(&self) {
        self.note_computing();
        let switches = self.parts.config.read().idle.switches;
        let wants_to_know = switches.counts(ActivitySource::Kernel) || switches.counts(ActivitySource::Terminal);
        if !wants_to_know || self.parts.errands.is_none() {
            return;
        }
        let turns = self.turns();
        let at_once = self.parts.config.read().idle.questions_at_once.max(1);
        futures_util::stream::iter(&turns).for_each_concurrent(at_once, |server| self.ask(server)).await;
    }

    /// Those to be asked now, who have waited longest first.
    fn turns(&self) -> Vec<ServerKey> {
        let (now, present) = (self.parts.clock.now(), Instant::now());
        let ready = self.parts.board.ready();
        let mut asked = self.asked.lock();
        if asked.len() > ready.len() {
            let known: std::collections::HashSet<&ServerKey> = ready.iter().map(|(server, _)| server).collect();
            asked.retain(|server, _| known.contains(server));
        }
        let mut turns = Vec::new();
        for (server, _) in ready {
            let Some(pace) = pace((self.parts.rules)(&server.user).rules.idle_after) else { continue };
            let last = asked.get(&server).map(|asked| (present.saturating_duration_since(asked.at), *asked));
            let quiet_for = self.parts.board.route(&server).and_then(|route| quiet_for(&route, now));
            if is_due(pace, quiet_for, last) {
                turns.push((Reverse(last.map_or(Duration::MAX, |(ago, _)| ago)), server));
            }
        }
        turns.sort_unstable();
        turns.truncate(PER_LOOK);
        turns.into_iter().map(|(_, server)| server).collect()
    }

    fn note_computing(&self) {
        let config = self.parts.config.read();
        let config = &config.idle;
        if !config.switches.counts(ActivitySource::Processor) {
            return;
        }
        for (server, sample) in (self.parts.samples)() {
            if sample.cpu_cores.is_some_and(|cores| cores >= config.processor_cores) {
                self.parts.board.note_activity(&server, ActivitySource::Processor, sample.at);
            }
        }
    }

    /// Runs until `stopping`.
    pub(super) async fn keep(self: Arc<Self>, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = async { sleep(LOOK_EVERY).await; self.look().await } => {}
            }
        }
    }
}

/// How often a server with this idle limit is asked; None: there is none, and nobody wants to know.
fn pace(idle_after: Option<Duration>) -> Option<Duration> {
    idle_after.map(|idle_after| (idle_after / 4).clamp(SHORTEST, LONGEST))
}

/// How long ago the edge last saw it in use; None: not since its route is there.
fn quiet_for(route: &Route, now: Timestamp) -> Option<Duration> {
    let last = |source| route.upstream.last_seen(source);
    last(ActivitySource::Request).max(last(ActivitySource::WebSocket)).map(|at| now.since(at))
}

/// Whether it is a server's turn: nobody asks one that is in use plainly, unless a page says that its kernels are busy.
fn is_due(pace: Duration, quiet_for: Option<Duration>, last: Option<(Duration, Asked)>) -> bool {
    let is_in_use = quiet_for.is_some_and(|quiet_for| quiet_for < pace);
    match last {
        None => !is_in_use,
        Some((ago, asked)) => {
            let patience = 2_u32.saturating_pow(asked.silences).min(PATIENCE);
            ago >= pace * patience && (!is_in_use || asked.is_busy)
        }
    }
}

fn note(board: &Board, server: &ServerKey, source: ActivitySource, at: Option<Timestamp>) {
    if let Some(at) = at {
        board.note_activity(server, source, at);
    }
}

#[cfg(test)]
mod tests;
