//! The life of one server as a pure table: `next(life, event, now)` gives the next life and what is to be done.
//!
//! No clock, no I/O. The same table serves a happy start, a crash, and a restart of Slipway itself: `driver` carries
//! the actions out and turns results into events, `reconcile` turns what the engine says exists into the same events.
//!
//! ```text
//!  Stopped ── start ─▶ Preparing ─▶ Queued ─▶ Creating ─▶ Starting ─▶ Awaiting ─▶ Ready ⇄ Checking
//!  Failed  ──   ″                                   └────────┴──────────┴────▲────┴───┬────┤
//!     ▲                                                                      └ Restarting   │
//!     │                                                                  stop, exit, trouble │
//!     └───────────────────────────── cleaned up ── Ending ◀─────────────────────────────────┘
//! ```
//! `Recovering` is where a server begins that the store says should run: the engine has not been asked yet.
//!
//! A restart keeps the container and the generation, and on its way the engine says truthfully that nothing runs. So
//! what a list or an event says of an end or of another address may be old: it is a reason to look. Only what the
//! engine answers when it is asked (`Looked`), in the server's own lane, ends anything.

use std::time::Duration;

use super::backend::{Exit, Sight};
use super::trouble::Trouble;
use crate::model::{Failure, Generation, Phase, ServerState, Timestamp, UpstreamAddress};

/// How long each state may last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// An image to arrive.
    pub image: Duration,
    /// A turn to come.
    pub queue: Duration,
    /// Create and start together.
    pub start: Duration,
    /// A started server to answer, or one that is doubted to answer again.
    pub ready: Duration,
    /// The engine's part of a restart: asking it to end, and starting it.
    pub restart: Duration,
    /// Stopping, keeping the log, removing.
    pub end: Duration,
    /// Between two looks for a server that should run.
    pub look: Duration,
}

/// One server's life: which start this is, and where in it we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Life {
    /// Counts starts; a fact about another one changes nothing.
    pub generation: Generation,
    /// Where it is.
    pub state: State,
}

/// Where a server is in its life. Whatever is not at rest carries the moment at which it has lasted too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// At rest; nothing exists.
    Stopped,
    /// At rest after trouble; nothing exists.
    Failed(Failure),
    /// Should run, says the store; the engine has not answered yet. `again`: a start was wished meanwhile.
    /// `restarts`: it was being restarted when we ended, and is to be restarted whatever the engine says.
    Recovering { again: bool, restarts: bool, deadline: Timestamp },
    /// The image is on its way.
    Preparing { deadline: Timestamp },
    /// Waits for its turn.
    Queued { deadline: Timestamp },
    /// The engine makes it.
    Creating { deadline: Timestamp },
    /// The engine starts it.
    Starting { deadline: Timestamp },
    /// It runs and is asked until it answers.
    Awaiting { address: UpstreamAddress, came: Came, deadline: Timestamp },
    /// It answers; its route is published.
    Ready { address: UpstreamAddress },
    /// The edge could not reach it. Its route stays while we ask it and the engine: open sockets may be alive.
    /// `again`: a start was wished meanwhile, so if it is dead the next one begins at once.
    Checking { address: UpstreamAddress, again: bool, deadline: Timestamp },
    /// The engine ends its program and starts it again, in the same container. Its route is withdrawn. `afresh`: if it
    /// does not come back a new start follows, because the restart was begun by a run of ours that ended in it.
    Restarting { afresh: bool, deadline: Timestamp },
    /// Being cleaned up. `again`: a start was wished meanwhile.
    Ending { why: Why, again: bool, deadline: Timestamp },
}

/// How a server came to run that has not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// By a start.
    Started,
    /// By a restart.
    Restarted,
    /// It ran already, and what it is has been written down.
    Found,
}

/// Why a server ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody asked for it.
    Wished,
    /// It got into trouble at that moment.
    Failed(Trouble, Timestamp),
}

/// What can happen to a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Somebody wishes it to run.
    Start,
    /// Somebody wishes it not to run.
    Stop,
    /// Somebody wishes that its program begins anew, in the same container. The wish is written down already.
    Restart,
    /// Time has passed; counts only once the state's deadline is reached.
    Deadline,
    /// The engine has something of this generation that should not exist.
    Leftover(Generation),
    /// Something is so, for this generation.
    Fact(Generation, Fact),
}

/// What can be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// The image is there.
    ImageReady,
    /// Its turn has come.
    Turn,
    /// It has been created.
    Created,
    /// It has been started and will answer here.
    Started(UpstreamAddress),
    /// It answers.
    Answered,
    /// A step went wrong.
    Troubled(Trouble),
    /// The engine's list or event says how it was, perhaps a moment ago.
    Sighted(Sight),
    /// The engine was asked in the server's own turn, and says how it is.
    Looked(Sight),
    /// The engine has restarted it, and says how it is since then.
    Restarted(Sight),
    /// The engine was told to restart it and did not answer: nobody knows whether it did.
    RestartUnknown,
    /// The engine's list does not have it. The list may be old, so this is a reason to look, not to act.
    Missing,
    /// The edge could not reach it.
    Unreachable,
    /// The engine has given its address to another server.
    Displaced,
    /// Nothing of it is left; how its program had ended, if by itself, and its last log lines.
    CleanedUp { exit: Option<Exit>, log_tail: Vec<String> },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Drop the steps under way.
    Cancel,
    /// Make sure the image is there → `ImageReady` or `Troubled`.
    Prepare,
    /// Write down the intent, make its token, create it → `Created` or `Troubled`.
    Create,
    /// Start it → `Started` or `Troubled`.
    Start,
    /// Ask it until it answers → `Answered`.
    Probe(UpstreamAddress),
    /// Ask the engine how it is → `Looked`.
    Inspect,
    /// End its program and start it again → `Restarted`, `RestartUnknown` or `Troubled`.
    Restart,
    /// Let people in.
    Publish(UpstreamAddress),
    /// Let nobody in; what is open ends.
    Withdraw,
    /// End its token, stop it, keep its log, remove it → `CleanedUp`.
    CleanUp,
    /// Remove what exists and should not.
    RemoveLeftover,
    /// Write down how it is.
    Save,
}

use Action::{
    Cancel, CleanUp, Create, Inspect, Prepare, Probe, Publish, RemoveLeftover, Restart, Save, Start, Withdraw,
};

/// The table.
pub(super) fn next(life: Life, event: Event, now: Timestamp, deadlines: &Deadlines) -> (Life, Vec<Action>) {
    let Life { generation, state } = life;
    match event {
        Event::Start => wish_start(generation, state, now, deadlines),
        Event::Stop => {
            let (state, actions) = wish_stop(state, now, deadlines);
            (Life { generation, state }, actions)
        }
        Event::Restart => {
            let (state, actions) = wish_restart(state, now, deadlines);
            (Life { generation, state }, actions)
        }
        Event::Deadline if state.deadline().is_some_and(|deadline| deadline <= now) => {
            on_deadline(generation, state, now, deadlines)
        }
        Event::Leftover(found) if state.is_at_rest() => {
            (Life { generation: generation.max(found), state }, vec![RemoveLeftover])
        }
        Event::Fact(of, fact) if of == generation => on_fact(generation, state, fact, now, deadlines),
        // Too early, not now, or about an earlier start.
        Event::Deadline | Event::Leftover(_) | Event::Fact(..) => (Life { generation, state }, vec![]),
    }
}

fn wish_start(generation: Generation, state: State, now: Timestamp, deadlines: &Deadlines) -> (Life, Vec<Action>) {
    let state = match state {
        State::Stopped | State::Failed(_) => return begin(generation, now, deadlines),
        State::Recovering { restarts, deadline, .. } => State::Recovering { again: true, restarts, deadline },
        State::Checking { address, deadline, .. } => State::Checking { address, again: true, deadline },
        // This start is about to be told as failed; whoever wishes it now waits for the same one.
        State::Ending { why: Why::Failed(trouble, at), again, deadline } if trouble.is_of_start() => {
            State::Ending { why: Why::Failed(trouble, at), again, deadline }
        }
        State::Ending { why, deadline, .. } => State::Ending { why, again: true, deadline },
        under_way => under_way,
    };
    (Life { generation, state }, vec![])
}

fn begin(before: Generation, now: Timestamp, deadlines: &Deadlines) -> (Life, Vec<Action>) {
    let state = State::Preparing { deadline: now.plus(deadlines.image) };
    (Life { generation: before.next(), state }, vec![Prepare])
}

fn wish_stop(state: State, now: Timestamp, deadlines: &Deadlines) -> (State, Vec<Action>) {
    match state {
        State::Stopped => (State::Stopped, vec![]),
        State::Failed(_) => (State::Stopped, vec![Save]),
        // Nothing has been made yet.
        State::Preparing { .. } | State::Queued { .. } => (State::Stopped, vec![Cancel]),
        // The engine's call under way ends first (it has a deadline), then what it made is removed.
        State::Creating { .. } | State::Starting { .. } | State::Recovering { .. } => {
            end(Why::Wished, now, deadlines, vec![])
        }
        // Likewise; but a restart may take longer than anything else, and the end comes after it.
        State::Restarting { .. } => {
            let state = State::Ending {
                why: Why::Wished,
                again: false,
                deadline: now.plus(deadlines.restart).plus(deadlines.end),
            };
            (state, vec![Save, CleanUp])
        }
        State::Awaiting { .. } => end(Why::Wished, now, deadlines, vec![Cancel]),
        State::Ready { .. } => end(Why::Wished, now, deadlines, vec![Withdraw]),
        State::Checking { .. } => end(Why::Wished, now, deadlines, vec![Withdraw, Cancel]),
        State::Ending { deadline, .. } => (State::Ending { why: Why::Wished, again: false, deadline }, vec![]),
    }
}

/// One that the edge could not reach may be restarted as well: people do that to a server that hangs.
fn wish_restart(state: State, now: Timestamp, deadlines: &Deadlines) -> (State, Vec<Action>) {
    if !state.may_restart() {
        return (state, vec![]);
    }
    (State::Restarting { afresh: false, deadline: now.plus(deadlines.restart) }, vec![Withdraw, Cancel, Restart])
}

/// Into `Ending`: `first`, then the new state is written down before anything is removed, so that a crash of ours in
/// between does not adopt what should be gone.
fn end(why: Why, now: Timestamp, deadlines: &Deadlines, first: Vec<Action>) -> (State, Vec<Action>) {
    let state = State::Ending { why, again: false, deadline: now.plus(deadlines.end) };
    (state, [first, vec![Save, CleanUp]].concat())
}

fn on_deadline(generation: Generation, state: State, now: Timestamp, deadlines: &Deadlines) -> (Life, Vec<Action>) {
    let fail = |trouble| Why::Failed(trouble, now);
    let (state, actions) = match state {
        State::Preparing { .. } => {
            let failure = Trouble::ImageSlow(deadlines.image).failure(now, None, vec![]);
            (State::Failed(failure), vec![Cancel, Save])
        }
        State::Queued { .. } => {
            let failure = Trouble::QueueSlow(deadlines.queue).failure(now, None, vec![]);
            (State::Failed(failure), vec![Cancel, Save])
        }
        State::Creating { .. } | State::Starting { .. } => {
            end(fail(Trouble::StartSlow(deadlines.start)), now, deadlines, vec![Cancel])
        }
        State::Awaiting { .. } => end(fail(Trouble::NeverAnswered(deadlines.ready)), now, deadlines, vec![Cancel]),
        State::Checking { again, .. } => {
            let why = fail(Trouble::StoppedAnswering(deadlines.ready));
            let (state, actions) = end(why, now, deadlines, vec![Withdraw, Cancel]);
            (state.again(again), actions)
        }
        // The engine does not answer. Ask again: what should run may well be running.
        State::Recovering { again, restarts, .. } => {
            (State::Recovering { again, restarts, deadline: now.plus(deadlines.look) }, vec![Inspect])
        }
        State::Restarting { .. } => look_again(now, deadlines, vec![Cancel]),
        // The engine does not let go of it. Whatever is left is removed by the next start, or by the next listing.
        State::Ending { why, again, .. } => {
            let (life, actions) = ended(generation, why, again, None, vec![], now, deadlines);
            return (life, [vec![Cancel], actions].concat());
        }
        at_rest @ (State::Stopped | State::Failed(_) | State::Ready { .. }) => (at_rest, vec![]),
    };
    (Life { generation, state }, actions)
}

fn on_fact(
    generation: Generation,
    state: State,
    fact: Fact,
    now: Timestamp,
    deadlines: &Deadlines,
) -> (Life, Vec<Action>) {
    let fail = |trouble| Why::Failed(trouble, now);
    let (state, actions) = match (state, fact) {
        // --- on the way up ---
        (State::Preparing { .. }, Fact::ImageReady) => (State::Queued { deadline: now.plus(deadlines.queue) }, vec![]),
        (State::Preparing { .. }, Fact::Troubled(trouble)) => {
            (State::Failed(trouble.failure(now, None, vec![])), vec![Save])
        }
        (State::Queued { .. }, Fact::Turn) => (State::Creating { deadline: now.plus(deadlines.start) }, vec![Create]),
        (State::Creating { deadline }, Fact::Created) => (State::Starting { deadline }, vec![Start]),
        (State::Creating { .. } | State::Starting { .. }, Fact::Troubled(trouble)) => {
            end(fail(trouble), now, deadlines, vec![])
        }
        (State::Starting { .. }, Fact::Started(address)) => {
            await_answer(address, Came::Started, now, deadlines, vec![])
        }
        (State::Starting { .. }, Fact::Looked(Sight::Exited(exit))) => {
            end(fail(Trouble::Ended { exit, was_ready: false }), now, deadlines, vec![])
        }
        (State::Starting { .. }, Fact::Looked(Sight::Gone)) => end(fail(Trouble::Vanished), now, deadlines, vec![]),
        (State::Awaiting { address, came, .. }, Fact::Answered) => {
            let save = if came == Came::Found { vec![] } else { vec![Save] };
            (State::Ready { address: address.clone() }, [vec![Publish(address)], save].concat())
        }

        // --- its program begins anew; what lists and events say of it meanwhile is true and means nothing ---
        (State::Restarting { .. }, Fact::Restarted(Sight::Running(address))) => {
            await_answer(address, Came::Restarted, now, deadlines, vec![])
        }
        (State::Restarting { .. }, Fact::RestartUnknown) => look_again(now, deadlines, vec![]),
        (State::Restarting { afresh: true, .. }, Fact::Restarted(_) | Fact::Troubled(_)) => {
            start_afresh(now, deadlines)
        }
        (State::Restarting { .. }, Fact::Restarted(Sight::Exited(exit))) => {
            end(fail(Trouble::Ended { exit, was_ready: false }), now, deadlines, vec![])
        }
        (State::Restarting { .. }, Fact::Restarted(Sight::Gone)) => {
            end(fail(Trouble::Vanished), now, deadlines, vec![])
        }
        (State::Restarting { .. }, Fact::Restarted(Sight::Created | Sight::Astray)) => {
            end(fail(Trouble::NoAddress), now, deadlines, vec![])
        }
        (State::Restarting { .. }, Fact::Troubled(trouble)) => end(fail(trouble), now, deadlines, vec![]),

        // --- it runs ---
        (State::Ready { address }, Fact::Unreachable) => {
            let deadline = now.plus(deadlines.ready);
            (State::Checking { address: address.clone(), again: false, deadline }, vec![Inspect, Probe(address)])
        }
        // The engine's word is still awaited: behind a dead server's address somebody else may answer by now.
        (State::Checking { address, .. }, Fact::Answered) => (State::Ready { address }, vec![]),
        // Old or not (a list that is a moment old may still say «created»): the engine is asked.
        (
            state @ (State::Ready { .. } | State::Awaiting { .. } | State::Checking { .. }),
            Fact::Missing | Fact::Sighted(Sight::Exited(_) | Sight::Gone),
        ) => (state, vec![Inspect]),
        (
            state @ (State::Ready { .. } | State::Awaiting { .. } | State::Checking { .. }),
            Fact::Sighted(Sight::Running(seen)),
        ) if !state.is_at(&seen) => (state, vec![Inspect]),

        // The engine shall say where it is now, if it is anywhere.
        (state @ (State::Ready { .. } | State::Awaiting { .. } | State::Checking { .. }), Fact::Displaced) => {
            let withdraw = if matches!(state, State::Awaiting { .. }) { vec![] } else { vec![Withdraw] };
            let (again, deadline) = (state.is_wished_again(), now.plus(deadlines.look));
            let state = State::Recovering { again, restarts: state.is_restarting(), deadline };
            (state, [withdraw, vec![Cancel, Inspect]].concat())
        }

        // --- the engine says that it has ended ---
        (State::Awaiting { .. }, Fact::Looked(Sight::Exited(exit))) => {
            end(fail(Trouble::Ended { exit, was_ready: false }), now, deadlines, vec![Cancel])
        }
        (State::Awaiting { .. }, Fact::Looked(Sight::Gone)) => {
            end(fail(Trouble::Vanished), now, deadlines, vec![Cancel])
        }
        (state @ (State::Ready { .. } | State::Checking { .. }), Fact::Looked(Sight::Exited(exit))) => {
            let why = fail(Trouble::Ended { exit, was_ready: true });
            let (ending, actions) = end(why, now, deadlines, vec![Withdraw, Cancel]);
            (ending.again(state.is_wished_again()), actions)
        }
        (state @ (State::Ready { .. } | State::Checking { .. }), Fact::Looked(Sight::Gone)) => {
            let (ending, actions) = end(fail(Trouble::Vanished), now, deadlines, vec![Withdraw, Cancel]);
            (ending.again(state.is_wished_again()), actions)
        }

        // --- the engine says that it runs: perhaps elsewhere, since an engine's restart may move it ---
        (State::Awaiting { address, came, .. }, Fact::Looked(Sight::Running(seen))) if seen != address => {
            await_answer(seen, came, now, deadlines, vec![Cancel])
        }
        (State::Ready { address } | State::Checking { address, .. }, Fact::Looked(Sight::Running(seen)))
            if seen != address =>
        {
            await_answer(seen, Came::Found, now, deadlines, vec![Withdraw, Cancel])
        }

        // --- we have just started, and the engine answers ---
        // It was promised a restart. The one that our last run began may be half way, so it is done once more.
        (
            State::Recovering { restarts: true, .. },
            Fact::Sighted(Sight::Running(_) | Sight::Exited(_) | Sight::Astray)
            | Fact::Looked(Sight::Running(_) | Sight::Exited(_) | Sight::Astray),
        ) => (State::Restarting { afresh: true, deadline: now.plus(deadlines.restart) }, vec![Restart]),
        (
            State::Recovering { restarts: true, .. },
            Fact::Sighted(Sight::Gone | Sight::Created) | Fact::Looked(Sight::Gone | Sight::Created),
        ) => start_afresh(now, deadlines),
        (State::Recovering { .. }, Fact::Sighted(Sight::Running(address)) | Fact::Looked(Sight::Running(address))) => {
            await_answer(address, Came::Found, now, deadlines, vec![])
        }
        // A list has only what we made ourselves; what was taken over from another hub is found by its handle alone.
        (state @ State::Recovering { .. }, Fact::Missing | Fact::Sighted(Sight::Exited(_))) => (state, vec![Inspect]),
        (State::Recovering { again, .. }, Fact::Looked(Sight::Exited(exit))) => {
            let (state, actions) = end(fail(Trouble::Ended { exit, was_ready: true }), now, deadlines, vec![]);
            (state.again(again), actions)
        }
        (
            State::Recovering { again, .. },
            Fact::Sighted(Sight::Gone | Sight::Created | Sight::Astray)
            | Fact::Looked(Sight::Gone | Sight::Created | Sight::Astray),
        ) => {
            let (state, actions) = end(Why::Wished, now, deadlines, vec![]);
            (state.again(again), actions)
        }

        // --- on the way down ---
        (State::Ending { why, again, .. }, Fact::CleanedUp { exit, log_tail }) => {
            return ended(generation, why, again, exit, log_tail, now, deadlines);
        }

        // Everything else is news of yesterday.
        (state, _) => (state, vec![]),
    };
    (Life { generation, state }, actions)
}

fn await_answer(
    address: UpstreamAddress,
    came: Came,
    now: Timestamp,
    deadlines: &Deadlines,
    first: Vec<Action>,
) -> (State, Vec<Action>) {
    let state = State::Awaiting { address: address.clone(), came, deadline: now.plus(deadlines.ready) };
    (state, [first, vec![Probe(address)]].concat())
}

/// Nobody knows what came of a restart: what runs is found again, and what has ended is told as such.
fn look_again(now: Timestamp, deadlines: &Deadlines, first: Vec<Action>) -> (State, Vec<Action>) {
    let state = State::Recovering { again: false, restarts: false, deadline: now.plus(deadlines.look) };
    (state, [first, vec![Save, Inspect]].concat())
}

/// What is left goes, and a new start follows.
fn start_afresh(now: Timestamp, deadlines: &Deadlines) -> (State, Vec<Action>) {
    let (state, actions) = end(Why::Wished, now, deadlines, vec![]);
    (state.again(true), actions)
}

/// Out of `Ending`: to rest, or to the start that was wished meanwhile.
fn ended(
    generation: Generation,
    why: Why,
    again: bool,
    exit: Option<Exit>,
    log_tail: Vec<String>,
    now: Timestamp,
    deadlines: &Deadlines,
) -> (Life, Vec<Action>) {
    if again {
        return begin(generation, now, deadlines);
    }
    let state = match why {
        Why::Wished => State::Stopped,
        Why::Failed(trouble, at) => State::Failed(trouble.failure(at, exit, log_tail)),
    };
    (Life { generation, state }, vec![Save])
}

impl Life {
    /// A server that has been started `generation` times and is at rest.
    pub(super) fn at_rest(generation: Generation, failure: Option<Failure>) -> Self {
        Self { generation, state: failure.map_or(State::Stopped, State::Failed) }
    }

    /// A server that the store says should run: due for a look at once. `restarts`: it was being restarted.
    pub(super) fn recovering(generation: Generation, restarts: bool, now: Timestamp, deadlines: &Deadlines) -> Self {
        Self { generation, state: State::Recovering { again: false, restarts, deadline: now.plus(deadlines.look) } }
    }
}

impl State {
    /// When this state has lasted too long; none if it may last.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Stopped | Self::Failed(_) | Self::Ready { .. } => None,
            Self::Recovering { deadline, .. }
            | Self::Preparing { deadline }
            | Self::Queued { deadline }
            | Self::Creating { deadline }
            | Self::Starting { deadline }
            | Self::Awaiting { deadline, .. }
            | Self::Checking { deadline, .. }
            | Self::Restarting { deadline, .. }
            | Self::Ending { deadline, .. } => Some(*deadline),
        }
    }

    /// True if nothing exists and nothing is under way.
    pub(super) fn is_at_rest(&self) -> bool {
        matches!(self, Self::Stopped | Self::Failed(_))
    }

    /// True from the first thing made until it is to be removed: what the store keeps as `wanted`.
    pub(super) fn is_wanted(&self) -> bool {
        match self {
            Self::Recovering { .. }
            | Self::Creating { .. }
            | Self::Starting { .. }
            | Self::Awaiting { .. }
            | Self::Ready { .. }
            | Self::Checking { .. }
            | Self::Restarting { .. } => true,
            Self::Stopped | Self::Failed(_) | Self::Preparing { .. } | Self::Queued { .. } | Self::Ending { .. } => {
                false
            }
        }
    }

    /// True from the wish to restart it until it answers again: what the store keeps as `restarting`.
    pub(super) fn is_restarting(&self) -> bool {
        matches!(
            self,
            Self::Restarting { .. }
                | Self::Awaiting { came: Came::Restarted, .. }
                | Self::Recovering { restarts: true, .. }
        )
    }

    /// True if its program runs and people have been let in.
    pub(super) fn may_restart(&self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Checking { .. })
    }

    /// True if it is taken to listen at `address`.
    pub(super) fn is_at(&self, address: &UpstreamAddress) -> bool {
        match self {
            Self::Ready { address: own }
            | Self::Awaiting { address: own, .. }
            | Self::Checking { address: own, .. } => own == address,
            _ => false,
        }
    }

    /// True while it counts towards `starts_at_once`.
    pub(super) fn has_turn(&self) -> bool {
        matches!(self, Self::Creating { .. } | Self::Starting { .. } | Self::Awaiting { came: Came::Started, .. })
    }

    /// True while a start waits before its turn.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Self::Preparing { .. } | Self::Queued { .. })
    }

    /// True if a wish to start leads to a new start, so that what it says beside counts.
    pub(super) fn takes_a_wish(&self) -> bool {
        self.is_at_rest() || matches!(self, Self::Ending { .. })
    }

    /// What everybody outside sees of it.
    pub(super) fn public(&self) -> ServerState {
        match self {
            Self::Stopped => ServerState::Stopped,
            Self::Failed(failure) => ServerState::Failed(failure.clone()),
            Self::Preparing { .. } | Self::Ending { again: true, .. } => ServerState::Starting(Phase::Image),
            Self::Queued { .. } | Self::Creating { .. } => ServerState::Starting(Phase::Create),
            Self::Starting { .. } => ServerState::Starting(Phase::Start),
            Self::Restarting { .. }
            | Self::Recovering { restarts: true, .. }
            | Self::Awaiting { came: Came::Restarted, .. } => ServerState::Restarting,
            Self::Recovering { .. } | Self::Awaiting { .. } | Self::Checking { .. } => {
                ServerState::Starting(Phase::Ready)
            }
            Self::Ready { .. } => ServerState::Ready,
            Self::Ending { why: Why::Wished, .. } => ServerState::Stopping,
            // Whoever waits for a start reads the failure once its last lines are there; a crash shows at once.
            Self::Ending { why: Why::Failed(trouble, _), .. } if trouble.is_of_start() => {
                ServerState::Starting(Phase::Ready)
            }
            Self::Ending { why: Why::Failed(trouble, at), .. } => {
                ServerState::Failed(trouble.clone().failure(*at, None, vec![]))
            }
        }
    }

    /// A sentence about what goes on, for whoever waits; empty if there is nothing to say.
    pub(super) fn message(&self) -> &'static str {
        match self {
            Self::Stopped | Self::Failed(_) | Self::Ready { .. } => "",
            Self::Restarting { .. } | Self::Recovering { restarts: true, .. } => "Restarting your server",
            Self::Awaiting { came: Came::Restarted, .. } => "Your server runs again; waiting until it answers",
            Self::Recovering { .. } => "Looking for your running server",
            Self::Preparing { .. } => "Looking for the image",
            Self::Queued { .. } => "Other servers are starting; yours is next in line",
            Self::Creating { .. } => "Creating your server",
            Self::Starting { .. } => "Starting your server",
            Self::Awaiting { .. } => "Your server runs; waiting until it answers",
            Self::Checking { .. } => "Your server did not answer; asking it again",
            Self::Ending { again: true, .. } => "Clearing away what was left of the last start",
            Self::Ending { why: Why::Wished, .. } => "Stopping your server",
            Self::Ending { why: Why::Failed(..), .. } => "It did not work; keeping its last lines",
        }
    }

    /// True if a start was wished while this was being looked at.
    fn is_wished_again(&self) -> bool {
        matches!(self, Self::Checking { again: true, .. })
    }

    fn again(self, wished: bool) -> Self {
        match self {
            Self::Ending { why, deadline, .. } => Self::Ending { why, again: wished, deadline },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests;
