//! One loop that owns all lives: takes wishes and events from one mailbox, asks `life::next`, has the actions done.
//!
//! Whatever takes time runs in tasks and comes back as an event. The steps that speak to the engine run one after the
//! other for each server (its lane), so the engine never sees two of our wishes for one server at once. Routes and
//! statuses change in the loop itself: a route is published before anybody reads «ready», and is gone before anything
//! of the server ends.

mod idle;
mod leaving;
mod records;
mod restart;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Weak};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::idle::ExtendAnswer;
use self::leaving::Leaving;
use self::records::{Writing, Written};
use self::restart::RestartWritten;
use super::backend::{Found, Notice};
use super::board::Board;
use super::counts::Begun;
use super::idle::Idle;
use super::life::{self, Action, Came, Event, Fact, Life, State};
use super::limits::Load;
use super::profiles::Choice;
use super::reconcile::events_of_listing;
use super::record::{Change, Defined, ServerRecord, Wish};
use super::rows::Note;
use super::steps::Steps;
use super::trouble::Trouble;
use super::{GpuLender, GrantsOf, GroupsOf, SpawnerError};
use crate::model::{
    ActivitySource, Actor, Clock, DisplayName, Generation, GpuHeld, Handle, Phase, Route, Routes, ServerKey,
    ServerOptions, ServerState, ServerStatus, Timestamp, Unreachable, UpstreamAddress, UserName,
};
use crate::store::{ServerRow, StoreError};
use crate::tasks::Tasks;

/// Who starts and stops what nobody asked for.
const OURSELVES: &str = "slipway";

/// So far ahead may lie what servers report of themselves.
const AHEAD: Duration = Duration::from_secs(3_600);

/// So many acts wait for the audit while the disk takes nothing. 10,000: a day of a busy house.
const UNTOLD_LIMIT: usize = 10_000;

/// What the loop is told.
pub(super) enum Mail {
    Start(ServerKey, Wish, Answer),
    Stop(ServerKey, Actor, Answer),
    Restart(ServerKey, Actor, Answer),
    /// The wish to restart it has been written down, or could not be.
    RestartWritten(RestartWritten),
    Define(ServerKey, Option<DisplayName>, Option<ServerOptions>, oneshot::Sender<Result<Defined, SpawnerError>>),
    Change(ServerKey, Change, Changed),
    Remove(ServerKey, Actor, Changed),
    /// A record has been written, or could not be.
    Written(Written),
    Forget(UserName, oneshot::Sender<()>),
    Forgotten(UserName),
    /// No starts while the weak one can be upgraded.
    Hold(UserName, Weak<()>, Changed),
    Renamed(UserName, UserName, oneshot::Sender<()>),
    /// Its deadline has passed, as far as the keeper knows.
    StopIdle(ServerKey, Generation),
    /// Its deadline is to be put off by so many hours.
    Extend(ServerKey, NonZeroU32, Actor, ExtendAnswer),
    Unreachable(Unreachable),
    /// The engine's list.
    Listed(Vec<Found>),
    /// The engine's event.
    Noticed(Notice),
    /// How far a step is.
    Progress {
        server: ServerKey,
        generation: Generation,
        message: String,
        percent: Option<u8>,
    },
    /// A step has ended.
    Done(Done),
    /// The disk did not take these either.
    Untold(Vec<(ServerKey, Note)>),
}

pub(super) type Answer = oneshot::Sender<Result<ServerStatus, SpawnerError>>;

pub(super) type Changed = oneshot::Sender<Result<(), SpawnerError>>;

/// How a step ended.
pub(super) struct Done {
    server: ServerKey,
    generation: Generation,
    /// It was in the server's lane: the next one may begin.
    in_lane: bool,
    ended: Ended,
}

/// What a step has found.
#[derive(Default)]
struct Ended {
    fact: Option<Fact>,
    handle: Option<Handle>,
    /// The account has ended: its row is gone.
    is_orphan: bool,
    /// What the audit has not been told because it could not be written.
    untold: Vec<Note>,
    /// Whether how the server is could be written down, if that was the step.
    is_saved: Option<bool>,
}

/// What the loop stands among.
pub(super) struct Surroundings {
    pub(super) routes: Arc<Routes>,
    pub(super) board: Arc<Board>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: Tasks,
    pub(super) mail: mpsc::Sender<Mail>,
    pub(super) groups: GroupsOf,
    pub(super) grants: GrantsOf,
    pub(super) gpus: Arc<dyn GpuLender>,
    pub(super) idle: Arc<Idle>,
}

/// All that the loop needs, and all that it owns.
pub(super) struct Driver {
    pub(super) steps: Arc<Steps>,
    pub(super) routes: Arc<Routes>,
    pub(super) board: Arc<Board>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: Tasks,
    pub(super) mail: mpsc::Sender<Mail>,
    groups: GroupsOf,
    grants: GrantsOf,
    gpus: Arc<dyn GpuLender>,
    idle: Arc<Idle>,
    /// In order, so that a user's servers lie together. Boxed, because half of a tree's places may be empty.
    slots: BTreeMap<ServerKey, Box<Slot>>,
    /// Every state's deadline, soonest first.
    alarms: BTreeSet<(Timestamp, ServerKey)>,
    /// Who waits for a turn, in order of arrival.
    queue: VecDeque<(ServerKey, Generation)>,
    turns_taken: usize,
    load: Load,
    leaving: HashMap<UserName, Leaving>,
    /// What could not be written down, since a full disk stops no stop. Tried again once another server could be, and with the
    /// engine's next list.
    unsaved: BTreeSet<ServerKey>,
    /// What the audit was not told for the same reason; the server it is of may have gone since, or have another name. Told when
    /// `unsaved` is tried again.
    untold: Vec<(ServerKey, Note)>,
    /// Users whose servers may not start while somebody holds on to this.
    held: HashMap<UserName, Weak<()>>,
}

/// What waits in a server's lane.
enum Job {
    Act(Action),
    Write(Box<Writing>),
    Restart(Actor),
}

/// One server. One that is ready and left alone, of which there may be 100,000, holds nothing for steps under way: no token
/// to cancel them, no choice, no task.
struct Slot {
    life: Life,
    since: Timestamp,
    /// When the present start was wished.
    started_at: Option<Timestamp>,
    /// It has not been ready since then.
    is_fresh: bool,
    /// By what the engine finds the present generation.
    handle: Option<Handle>,
    /// Drops the steps under way; none before the first of them.
    cancel: Option<CancellationToken>,
    lane: VecDeque<Job>,
    lane_is_busy: bool,
    /// What is known of it; none of a server that nobody has defined or started.
    record: Option<Arc<ServerRecord>>,
    /// What the present start is made from, until it is ready.
    choice: Option<Arc<Choice>>,
    /// What the present start has of the graphics processors.
    gpus: GpuHeld,
    /// Whose wish the start is that comes next, or is being prepared.
    wished_by: Option<Actor>,
    /// What the audit is told with the next `Save`.
    notes: Vec<Note>,
    /// Who waits for the wish to restart it to be written; one wish for all of them.
    restarts: Vec<Answer>,
    /// Who waits for its removal; it starts no more.
    removals: Vec<Changed>,
    /// Letters that are taken once it is quiet: it is stopped, but its last row is still on the way to the disk.
    later: Vec<Mail>,
    progress: Option<(String, Option<u8>)>,
    begun: Begun,
}

impl Slot {
    fn new(life: Life, now: Timestamp) -> Self {
        Self {
            life,
            since: now,
            started_at: None,
            is_fresh: false,
            handle: None,
            cancel: None,
            lane: VecDeque::new(),
            lane_is_busy: false,
            record: None,
            choice: None,
            gpus: GpuHeld::default(),
            wished_by: None,
            notes: Vec::new(),
            restarts: Vec::new(),
            removals: Vec::new(),
            later: Vec::new(),
            progress: None,
            begun: Begun(now),
        }
    }

    fn cancel_token(&mut self) -> CancellationToken {
        self.cancel.get_or_insert_default().clone()
    }

    /// Lets go of what only a start needs, once it is over and no step is under way.
    fn settle(&mut self) {
        if matches!(self.life.state, State::Ready { .. }) && self.lane.is_empty() && !self.lane_is_busy {
            (self.choice, self.cancel, self.lane) = (None, None, VecDeque::new());
        }
    }

    fn is_quiet(&self) -> bool {
        self.life.state.is_at_rest() && self.lane.is_empty() && !self.lane_is_busy
    }
}

impl Driver {
    pub(super) fn new(steps: Arc<Steps>, around: Surroundings, rows: Vec<ServerRow>) -> Self {
        let Surroundings { routes, board, clock, tasks, mail, groups, grants, gpus, idle } = around;
        let mut driver = Self {
            steps,
            routes,
            board,
            clock,
            tasks,
            mail,
            groups,
            grants,
            gpus,
            idle,
            slots: BTreeMap::new(),
            alarms: BTreeSet::new(),
            queue: VecDeque::new(),
            turns_taken: 0,
            load: Load::default(),
            leaving: HashMap::new(),
            unsaved: BTreeSet::new(),
            untold: Vec::new(),
            held: HashMap::new(),
        };
        rows.into_iter().for_each(|row| driver.take_up(row));
        driver
    }

    /// A server as the store knows it.
    fn take_up(&mut self, row: ServerRow) {
        let now = self.clock.now();
        let record = Arc::new(ServerRecord::of_row(&row, now));
        let life = if row.wanted {
            Life::recovering(row.generation, row.restarting, now, &self.steps.config.read().deadlines())
        } else {
            Life::at_rest(row.generation, row.failure)
        };
        self.board.set_record(&row.key, Some(record.clone()));
        let mut seen = row.last_seen;
        if let Some(at) = row.last_activity.filter(|at| seen.iter().all(|(_, seen)| seen < *at)) {
            // A row of before sources were told apart.
            seen.note(ActivitySource::Reported, at);
        }
        // The clock may have been set back while we were away.
        seen.not_after(now.plus(AHEAD));
        self.board.restore_seen(&row.key, seen);
        self.board.set_extended(&row.key, row.extended.filter(|_| row.wanted));
        self.board.set_idle_end(&row.key, row.idle_end);
        self.load.active += usize::from(!life.state.is_at_rest());
        let mut slot = Slot::new(life, now);
        if row.wanted && !row.gpus.is_empty() {
            self.gpus.adopt(&row.key, &row.gpus);
            slot.gpus = row.gpus;
        }
        slot.started_at = row.started_at.filter(|_| row.wanted);
        slot.handle = row.handle.filter(|_| row.wanted);
        slot.record = Some(record);
        if let Some(deadline) = slot.life.state.deadline() {
            self.alarms.insert((deadline, row.key.clone()));
        }
        self.slots.insert(row.key.clone(), Box::new(slot));
        self.publish_status(&row.key);
    }

    /// Runs until the program stops. Servers go on without us.
    pub(super) async fn run(mut self, mut mailbox: mpsc::Receiver<Mail>) {
        let stopping = self.tasks.stopping().clone();
        loop {
            let until_alarm = self.until_alarm();
            tokio::select! {
                () = stopping.cancelled() => return,
                letter = mailbox.recv() => match letter {
                    Some(letter) => self.take(letter),
                    None => return,
                },
                () = sleep(until_alarm) => {}
            }
            self.ring_alarms();
            self.give_turns();
        }
    }

    fn take(&mut self, letter: Mail) {
        match letter {
            Mail::Start(server, wish, answer) => self.start(&server, wish, answer),
            Mail::Define(server, display_name, options, answer) => self.define(&server, display_name, options, answer),
            Mail::Change(server, change, answer) => self.change(&server, change, answer),
            Mail::Remove(server, by, answer) => self.remove(&server, by, answer),
            Mail::Written(written) => self.written(written),
            Mail::Hold(user, hold, answer) => self.hold(user, hold, answer),
            Mail::Renamed(from, to, answer) => {
                self.renamed(&from, &to);
                let _ = answer.send(());
            }
            Mail::StopIdle(server, generation) => self.stop_idle(&server, generation),
            Mail::Extend(server, hours, by, answer) => self.extend(&server, hours, by, answer),
            Mail::Restart(server, by, answer) => self.restart(&server, by, answer),
            Mail::RestartWritten(written) => self.restart_written(written),
            Mail::Stop(server, by, answer) => {
                if self.slots.contains_key(&server) {
                    self.stop(&server, by);
                }
                let _ = answer.send(Ok(self.board.status(&server)));
            }
            Mail::Forget(user, answer) => self.forget(user, answer),
            Mail::Forgotten(user) => self.forgotten(&user),
            Mail::Unreachable(report) => {
                if self.slots.contains_key(&report.server) {
                    self.apply(&report.server, Event::Fact(report.generation, Fact::Unreachable));
                }
            }
            Mail::Listed(found) => self.take_list(&found),
            Mail::Noticed(notice) => {
                if self.slots.contains_key(&notice.server) {
                    self.apply(&notice.server, Event::Fact(notice.generation, Fact::Sighted(notice.sight)));
                }
            }
            Mail::Progress { server, generation, message, percent } => {
                if let Some(slot) = self.slots.get_mut(&server).filter(|slot| slot.life.generation == generation) {
                    slot.progress = Some((message, percent));
                    self.publish_status(&server);
                }
            }
            Mail::Done(done) => self.step_ended(done),
            Mail::Untold(untold) => self.untold.extend(untold),
        }
    }

    /// The wish to stop it. The audit hears of it with the row that says that it ends.
    fn stop(&mut self, server: &ServerKey, by: Actor) {
        let at = self.clock.now();
        if let Some(slot) = self.slots.get_mut(server).filter(|slot| slot.life.state.is_wanted()) {
            slot.notes.push(Note { at, by, act: "stopped server".into() });
        }
        self.apply(server, Event::Stop);
    }

    fn take_list(&mut self, found: &[Found]) {
        let lives = self.slots.iter().map(|(server, slot)| (server, &slot.life));
        let events = events_of_listing(lives, |server| self.slots.get(server).map(|slot| &slot.life), found);
        for found in found {
            // What a crash of ours kept from being written down.
            if let Some(slot) =
                self.slots.get_mut(&found.server).filter(|slot| slot.life.generation == found.generation)
            {
                slot.handle.get_or_insert_with(|| found.handle.clone());
            }
        }
        for (server, event) in events {
            self.apply(&server, event);
        }
        self.save_again();
    }

    /// What is owed of a row that could not be written goes with it in one commit; whatever has no row is told alone.
    fn save_again(&mut self) {
        for server in std::mem::take(&mut self.unsaved) {
            if let Some(slot) = self.slots.get_mut(&server) {
                let owed = self.untold.extract_if(.., |(of, _)| *of == server);
                slot.notes.extend(owed.map(|(_, note)| note));
            }
            self.act(&server, Action::Save);
        }
        self.tell_untold();
    }

    /// Keeps what the audit has still to be told.
    fn owe(&mut self, server: &ServerKey, notes: Vec<Note>) {
        for note in notes {
            if self.untold.len() >= UNTOLD_LIMIT {
                warn!(server = %server, act = &*note.act, by = note.by.name, "too much could not be told to the audit; this never will be");
                continue;
            }
            self.untold.push((server.clone(), note));
        }
    }

    fn tell_untold(&mut self) {
        if self.untold.is_empty() {
            return;
        }
        let (untold, rows, mail) = (std::mem::take(&mut self.untold), self.steps.rows.clone(), self.mail.clone());
        self.tasks.spawn(async move {
            if let Err(error) = rows.tell(untold.clone()).await {
                warn!(
                    acts = untold.len(),
                    error = &error as &dyn std::error::Error,
                    "the audit could not be told; it will be"
                );
                let _ = mail.send(Mail::Untold(untold)).await;
            }
        });
    }

    /// The heart: one event, the table, the actions.
    fn apply(&mut self, server: &ServerKey, event: Event) {
        let now = self.clock.now();
        let slot = self
            .slots
            .entry(server.clone())
            .or_insert_with(|| Box::new(Slot::new(Life::at_rest(Generation(0), None), now)));
        let before = slot.life.clone();
        let (after, actions) = life::next(before.clone(), event, now, &self.steps.config.read().deadlines());
        if before == after && actions.is_empty() {
            return;
        }
        slot.life = after.clone();
        if before.state != after.state {
            slot.since = now;
            slot.progress = None;
            slot.begun.step(&self.steps.counts, &before.state, &after.state, now);
        }
        if before.generation != after.generation {
            let begins = !after.state.is_at_rest();
            slot.handle = None;
            (slot.started_at, slot.is_fresh) = (begins.then_some(now), begins);
            self.board.begin_anew(server);
            if begins {
                // To start it is to use it: no culler ends a server on its way because it was last used a month ago.
                self.board.note_activity(server, ActivitySource::Start, now);
            }
        }
        if after.state.is_at_rest() && !before.state.is_at_rest() {
            slot.gpus = GpuHeld::default();
            self.gpus.release(server);
            self.board.begin_anew(server);
        }
        self.keep_books(server, &before, &after);
        for action in actions {
            self.act(server, action);
        }
        self.publish_status(server);
        log(server, &before.state, &after);
    }

    /// Alarms, turns and the queue follow from the state.
    fn keep_books(&mut self, server: &ServerKey, before: &Life, after: &Life) {
        if before.state.deadline() != after.state.deadline() {
            if let Some(deadline) = before.state.deadline() {
                self.alarms.remove(&(deadline, server.clone()));
            }
            if let Some(deadline) = after.state.deadline() {
                self.alarms.insert((deadline, server.clone()));
            }
        }
        self.turns_taken =
            self.turns_taken + usize::from(after.state.has_turn()) - usize::from(before.state.has_turn());
        let pending = |state: &State| usize::from(state.waits() || state.has_turn());
        self.load.pending = self.load.pending + pending(&after.state) - pending(&before.state);
        let active = |state: &State| usize::from(!state.is_at_rest());
        self.load.active = self.load.active + active(&after.state) - active(&before.state);
        if matches!(after.state, State::Queued { .. }) && !matches!(before.state, State::Queued { .. }) {
            self.queue.push_back((server.clone(), after.generation));
        }
    }

    fn give_turns(&mut self) {
        let mut without_gpu = VecDeque::new();
        while self.turns_taken < self.steps.config.read().starts_at_once {
            let Some((server, generation)) = self.queue.pop_front() else { break };
            if self.waits_for_gpu(&server, generation) {
                // It keeps its place, and nobody else's turn.
                without_gpu.push_back((server, generation));
                continue;
            }
            // One that waits no longer has left the queue in its heart: the event changes nothing.
            self.apply(&server, Event::Fact(generation, Fact::Turn));
        }
        while let Some(waiting) = without_gpu.pop_back() {
            self.queue.push_front(waiting);
        }
    }

    fn until_alarm(&self) -> Duration {
        // At most a second, so that a clock set forward is noticed.
        const LONGEST: Duration = Duration::from_secs(1);
        let Some((soonest, _)) = self.alarms.first() else { return Duration::from_secs(60) };
        soonest.since(self.clock.now()).clamp(Duration::from_millis(1), LONGEST)
    }

    fn ring_alarms(&mut self) {
        let now = self.clock.now();
        while let Some((deadline, server)) = self.alarms.first().cloned() {
            if deadline > now {
                return;
            }
            self.alarms.pop_first();
            self.apply(&server, Event::Deadline);
        }
    }

    // --- actions ---

    fn act(&mut self, server: &ServerKey, action: Action) {
        match action {
            Action::Cancel => {
                if let Some(slot) = self.slots.get_mut(server) {
                    if let Some(under_way) = slot.cancel.take() {
                        under_way.cancel();
                    }
                    slot.lane.retain(|job| !matches!(job, Job::Act(action) if *action != Action::Save));
                }
            }
            Action::Prepare => self.prepare(server),
            Action::Probe(address) => {
                self.displace_others(server, &address);
                self.probe(server, address);
            }
            Action::Publish(address) => self.publish_route(server, address),
            Action::Withdraw => {
                self.board.set_route(server, None);
                self.routes.withdraw(&server.route_key(&self.steps.base));
            }
            Action::Create
            | Action::Start
            | Action::Inspect
            | Action::Restart
            | Action::CleanUp
            | Action::RemoveLeftover
            | Action::Save => {
                let Some(slot) = self.slots.get_mut(server) else { return };
                // Two of these say no more than one; a list every 30 s must not fill the lane of a slow engine.
                let is_there = matches!(action, Action::Inspect | Action::RemoveLeftover | Action::Save)
                    && slot.lane.iter().any(|job| matches!(job, Job::Act(waiting) if *waiting == action));
                if !is_there {
                    slot.lane.push_back(Job::Act(action));
                }
                self.next_in_lane(server);
            }
        }
    }

    /// An engine gives an address to one server at a time. Whoever had it before is gone or elsewhere, even if no event
    /// has said so yet: its owner's requests must not reach the new one.
    fn displace_others(&mut self, server: &ServerKey, address: &UpstreamAddress) {
        if !self.steps.backend.gives_own_addresses() {
            return;
        }
        let others = self.slots.iter().filter(|(other, slot)| *other != server && slot.life.state.is_at(address));
        let others: Vec<_> = others.map(|(other, slot)| (other.clone(), slot.life.generation)).collect();
        for (other, generation) in others {
            warn!(server = %other, address = %address, "its address belongs to another server now");
            self.apply(&other, Event::Fact(generation, Fact::Displaced));
        }
    }

    fn publish_route(&mut self, server: &ServerKey, address: UpstreamAddress) {
        let now = self.clock.now();
        let Some(slot) = self.slots.get_mut(server) else { return };
        // A fresh start is somebody's wish. One that is only found again, after a restart of ours or a moment of
        // silence, is as idle as it was: else a Slipway that restarts every night would keep every server for ever.
        let is_fresh = std::mem::take(&mut slot.is_fresh);
        let active_at = self.board.last_activity(server).filter(|_| !is_fresh).unwrap_or(now);
        slot.started_at.get_or_insert(now);
        let route = Arc::new(Route::new(server.clone(), slot.life.generation, address, active_at));
        self.board.set_route(server, Some(route.clone()));
        self.routes.publish(&server.route_key(&self.steps.base), route);
    }

    fn prepare(&mut self, server: &ServerKey) {
        let (mail, steps, key) = (self.mail.clone(), self.steps.clone(), server.clone());
        let Some(slot) = self.slots.get(server) else { return };
        let generation = slot.life.generation;
        // Asked again although the wish has been looked at: it may have waited for the end of the one before.
        let choice = self.choose(server, slot.record.as_ref().and_then(|record| record.options.as_ref()));
        let choice = match choice {
            Ok(choice) => Arc::new(self.granted(server, choice)),
            Err(sentence) => {
                let text = format!("of its options: {sentence}. Choose others, and start it again.");
                return self.beside(server, async move { Fact::Troubled(Trouble::Because(text)) });
            }
        };
        self.note_choice(server, choice.clone());
        self.beside(server, async move {
            let (sink, of) = (mail, key.clone());
            let progress = move |message: String, percent: Option<u8>| {
                // News for the eye: dropped when the loop is busy.
                let _ = sink.try_send(Mail::Progress { server: of.clone(), generation, message, percent });
            };
            steps.prepare(&key, choice.image.as_deref(), &progress).await
        });
    }

    fn probe(&mut self, server: &ServerKey, address: UpstreamAddress) {
        let (steps, key) = (self.steps.clone(), server.clone());
        self.beside(server, async move { steps.probe(&key, &address).await });
    }

    /// Runs a step beside the lane, until it ends or is cancelled.
    fn beside(&mut self, server: &ServerKey, step: impl Future<Output = Fact> + Send + 'static) {
        let Some(slot) = self.slots.get_mut(server) else { return };
        let (mail, cancel, stopping) = (self.mail.clone(), slot.cancel_token(), self.tasks.stopping().clone());
        let (server, generation) = (server.clone(), slot.life.generation);
        // On the heap once: a task of so many layers would hold it several times over.
        let step = Box::pin(step);
        self.tasks.spawn(async move {
            let fact = tokio::select! {
                () = cancel.cancelled() => return,
                // Waiting for an image or an answer is no step that one would finish before going.
                () = stopping.cancelled() => return,
                fact = step => fact,
            };
            // Only fails when the loop is gone, and then nobody wants to know. A place first: while 100,000 servers wait
            // for their answers after a restart, none of their tasks has room for a letter.
            let Ok(place) = mail.reserve().await else { return };
            let ended = Ended { fact: Some(fact), ..Ended::default() };
            place.send(Mail::Done(Done { server, generation, in_lane: false, ended }));
        });
    }

    /// Begins the next step of the lane if none runs.
    fn next_in_lane(&mut self, server: &ServerKey) {
        let Some(slot) = self.slots.get_mut(server) else { return };
        if slot.lane_is_busy {
            return;
        }
        let Some(job) = slot.lane.pop_front() else { return };
        slot.lane_is_busy = true;
        let action = match job {
            Job::Act(action) => action,
            Job::Write(writing) => return self.begin_writing(server, *writing),
            Job::Restart(by) => return self.begin_restart(server, by),
        };
        let notes = match action {
            // What else is to be told waits for a `Save`: a start that cannot be written down loses its own note alone.
            Action::Create => {
                let by = slot.wished_by.take().unwrap_or_else(|| OURSELVES.into());
                vec![Note { at: self.clock.now(), by, act: "started server".into() }]
            }
            Action::Save => std::mem::take(&mut slot.notes),
            _ => vec![],
        };
        let (generation, handle) = (slot.life.generation, slot.handle.clone());
        let cancel = match action {
            // What is begun is written down.
            Action::Save => CancellationToken::new(),
            _ => slot.cancel_token(),
        };
        let choice = slot.choice.clone().unwrap_or_default();
        let (steps, mail, row, key) = (self.steps.clone(), self.mail.clone(), self.row(server), server.clone());
        let Some(row) = row else { return };
        self.tasks.spawn(async move {
            let step = step_of(&steps, action, &key, generation, handle, (row, notes), &choice);
            let ended = tokio::select! {
                () = cancel.cancelled() => Ended::default(),
                ended = step => ended,
            };
            let _ = mail.send(Mail::Done(Done { server: key, generation, in_lane: true, ended })).await;
        });
    }

    fn step_ended(&mut self, done: Done) {
        let Done { server, generation, in_lane, ended } = done;
        let Ended { fact, handle, is_orphan, untold, is_saved } = ended;
        self.owe(&server, untold);
        let Some(slot) = self.slots.get_mut(&server) else { return };
        if slot.life.generation == generation && handle.is_some() {
            slot.handle = handle;
        }
        if in_lane {
            slot.lane_is_busy = false;
        }
        match is_saved {
            Some(true) => self.save_again(),
            Some(false) => {
                self.unsaved.insert(server.clone());
            }
            None => {}
        }
        if let Some(Fact::CleanedUp { log_tail, .. }) = &fact
            && !log_tail.is_empty()
        {
            self.board.set_log_tail(&server, log_tail.clone());
        }
        if let Some(fact) = fact {
            self.apply(&server, Event::Fact(generation, fact));
        }
        if is_orphan {
            self.forget_orphan(&server.user);
        }
        self.go_on(&server);
    }

    /// After a step: the next one, or what waits for the server to be quiet.
    fn go_on(&mut self, server: &ServerKey) {
        self.next_in_lane(server);
        if let Some(slot) = self.slots.get_mut(server) {
            slot.settle();
        }
        // One that has been started meanwhile is not quiet for a long time: whoever waited is told so.
        let is_time = |slot: &&mut Box<Slot>| slot.is_quiet() || !slot.life.state.is_at_rest();
        if let Some(slot) = self.slots.get_mut(server).filter(is_time).filter(|slot| !slot.later.is_empty()) {
            std::mem::take(&mut slot.later).into_iter().for_each(|letter| self.take(letter));
        }
        self.finish_removal(server);
        self.finish_leaving(&server.user);
    }

    // --- rows and statuses ---

    fn row(&self, server: &ServerKey) -> Option<ServerRow> {
        let slot = self.slots.get(server)?;
        let failure = match slot.life.state.public() {
            ServerState::Failed(failure) => Some(failure),
            _ => None,
        };
        let (last_seen, extended) = self.board.kept(server);
        let mut row = ServerRow {
            generation: slot.life.generation,
            handle: slot.handle.clone(),
            wanted: slot.life.state.is_wanted(),
            restarting: slot.life.state.is_restarting(),
            started_at: slot.started_at,
            last_activity: self.board.last_activity(server),
            last_seen,
            extended,
            idle_end: self.board.idle_end(server),
            failure,
            gpus: slot.gpus.clone(),
            ..ServerRow::new(server.clone())
        };
        if let Some(record) = &slot.record {
            record.write_to(&mut row);
        }
        Some(row)
    }

    fn publish_status(&self, server: &ServerKey) {
        let Some(slot) = self.slots.get(server) else { return };
        let state = slot.life.state.public();
        let message =
            slot.progress.as_ref().map_or_else(|| slot.life.state.message().to_owned(), |(text, _)| text.clone());
        let progress_percent = match &state {
            ServerState::Ready => 100,
            ServerState::Starting(phase) => {
                let done = slot.progress.as_ref().and_then(|(_, percent)| *percent);
                percent_of(*phase, done)
            }
            ServerState::Restarting if matches!(slot.life.state, State::Awaiting { .. }) => {
                Phase::Ready.progress_percent()
            }
            ServerState::Restarting => Phase::Create.progress_percent(),
            ServerState::Stopped | ServerState::Stopping | ServerState::Failed(_) => 0,
        };
        let started_at = slot.started_at.filter(|_| slot.life.state.is_wanted());
        let generation = slot.life.generation;
        self.board.publish(
            server,
            ServerStatus { state, since: slot.since, started_at, generation, message, progress_percent },
        );
    }
}

/// How far a start is: the phase's own beginning, and its share of the way to the next.
fn percent_of(phase: Phase, done: Option<u8>) -> u8 {
    let begin = phase.progress_percent();
    let end = Phase::ALL.iter().find(|later| **later > phase).map_or(100, |later| later.progress_percent());
    let share = u16::from(end - begin) * u16::from(done.unwrap_or(0).min(100)) / 100;
    begin + u8::try_from(share).unwrap_or(0)
}

async fn step_of(
    steps: &Steps,
    action: Action,
    server: &ServerKey,
    generation: Generation,
    handle: Option<Handle>,
    (row, notes): (ServerRow, Vec<Note>),
    choice: &Choice,
) -> Ended {
    let found = |fact: Fact| Ended { fact: Some(fact), ..Ended::default() };
    match (action, handle) {
        (Action::Create, _) => {
            let (fact, handle) = steps.create(row, notes, choice).await;
            Ended { handle, ..found(fact) }
        }
        (Action::Start, Some(handle)) => found(steps.start(&handle, row).await),
        (Action::Inspect, handle) => match steps.inspect(server, handle.as_ref()).await {
            Some((fact, handle)) => Ended { handle, ..found(fact) },
            None => Ended::default(),
        },
        (Action::Restart, handle) => {
            let (fact, handle) = steps.restart(server, handle).await;
            Ended { handle, ..found(fact) }
        }
        (Action::CleanUp, handle) => found(steps.clean_up(server, handle).await),
        (Action::RemoveLeftover, _) => {
            steps.remove_leftover(server, generation).await;
            Ended::default()
        }
        (Action::Save, _) => match steps.save(row, notes.clone()).await {
            Ok(()) => Ended { is_saved: Some(true), ..Ended::default() },
            Err(StoreError::Gone(_)) => Ended { untold: notes, is_orphan: true, ..Ended::default() },
            Err(_) => Ended { untold: notes, is_saved: Some(false), ..Ended::default() },
        },
        // The others do not run in the lane, and nothing is started that has not been created.
        _ => Ended::default(),
    }
}

fn log(server: &ServerKey, before: &State, after: &Life) {
    let generation = after.generation;
    if before.public() == after.state.public() {
        return;
    }
    match (&after.state, before) {
        (State::Ready { .. }, State::Awaiting { came: Came::Restarted, .. }) => {
            info!(user = %server.user, server = %server, generation = %generation, "server restarted");
        }
        (State::Ready { .. }, State::Awaiting { came: Came::Found, .. }) => {
            info!(user = %server.user, server = %server, generation = %generation, "running server adopted");
        }
        (State::Ready { .. }, State::Checking { .. }) => {
            info!(user = %server.user, server = %server, generation = %generation, "server answers again");
        }
        (State::Ready { .. }, _) => {
            info!(user = %server.user, server = %server, generation = %generation, "server started");
        }
        (State::Stopped, _) => {
            info!(user = %server.user, server = %server, generation = %generation, "server stopped");
        }
        (State::Failed(failure), _) => {
            warn!(user = %server.user, server = %server, generation = %generation, exit_code = failure.exit_code, reason = failure.sentence, "server failed");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UpstreamAddress;

    #[test]
    fn a_ready_server_left_alone_holds_nothing_for_steps() {
        let address = UpstreamAddress::Tcp(([127, 0, 0, 1], 1).into());
        let life = Life { generation: Generation(1), state: State::Ready { address } };
        let mut slot = Slot::new(life, Timestamp(0));
        let token = slot.cancel_token();
        (slot.choice, slot.lane_is_busy) = (Some(Arc::default()), true);
        slot.settle();
        assert!(slot.cancel.is_some(), "a step is under way that may have to be dropped");
        slot.lane_is_busy = false;
        slot.settle();
        assert!(slot.cancel.is_none() && slot.choice.is_none() && slot.lane.capacity() == 0);
        assert!(!token.is_cancelled());
        assert!(size_of::<Slot>() <= 432);
    }
}
