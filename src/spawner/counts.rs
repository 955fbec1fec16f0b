//! What the spawner counts: how starts and stops end, and how long they take.

use std::time::Duration;

use super::Spawner;
use super::life::{Came, State, Why};
use crate::model::{Count, Durations, ServerState, Timestamp, Timing};

/// The counts of one spawner: a few a minute, so all threads share them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    started: Timing,
    failed: Timing,
    cancelled: Timing,
    stopped: Timing,
    died: Count,
    pub(super) refused: Count,
}

/// What a step from one state to another means for the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A start or a stop begins.
    Begins,
    Started,
    StartFailed,
    /// A start that was stopped.
    Cancelled,
    Stopped,
    /// One that was ready has ended by itself.
    Died,
}

impl Counts {
    pub(super) fn note(&self, outcome: Outcome, took: Duration) {
        match outcome {
            Outcome::Begins => {}
            Outcome::Started => self.started.note(took),
            Outcome::StartFailed => self.failed.note(took),
            Outcome::Cancelled => self.cancelled.note(took),
            Outcome::Stopped => self.stopped.note(took),
            Outcome::Died => self.died.one(),
        }
    }
}

/// What it means that a server goes from `before` to `after`; nothing for most steps.
pub(super) fn outcome(before: &State, after: &State) -> Option<Outcome> {
    if is_starting(after) && !is_starting(before) {
        return Some(Outcome::Begins);
    }
    let has_trouble = matches!(after, State::Failed(_) | State::Ending { why: Why::Failed(..), .. });
    let is_wished = matches!(after, State::Stopped | State::Ending { why: Why::Wished, .. });
    match before {
        before if is_starting(before) => match after {
            State::Ready { .. } => Some(Outcome::Started),
            _ if has_trouble => Some(Outcome::StartFailed),
            _ if is_wished => Some(Outcome::Cancelled),
            _ => None,
        },
        State::Ready { .. } | State::Checking { .. } if has_trouble => Some(Outcome::Died),
        State::Ready { .. } | State::Checking { .. } if is_wished => Some(Outcome::Begins),
        State::Ending { why: Why::Wished, .. } if *after == State::Stopped => Some(Outcome::Stopped),
        _ => None,
    }
}

/// True from a wish to the first answer. One that ran before we did is not being started.
fn is_starting(state: &State) -> bool {
    matches!(
        state,
        State::Preparing { .. }
            | State::Queued { .. }
            | State::Creating { .. }
            | State::Starting { .. }
            | State::Awaiting { came: Came::Started, .. }
    )
}

/// What the spawner has counted so far, and how its servers are now.
#[derive(Clone, Debug)]
pub struct Figures {
    /// From the wish to the first answer.
    pub started: Durations,
    /// From the wish to the trouble.
    pub failed: Durations,
    /// From the wish to the stop that ended it.
    pub cancelled: Durations,
    /// From the wish to the end.
    pub stopped: Durations,
    /// Servers that ended by themselves.
    pub died: u64,
    /// Starts that were refused because too many were under way.
    pub refused: u64,
    /// Servers that are ready now.
    pub ready: u64,
    /// Servers that are starting now.
    pub starting: u64,
    /// Servers that are stopping now.
    pub stopping: u64,
}

impl Spawner {
    /// What has been counted so far, and how servers are now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let active = self.active();
        let counted = |is_so: fn(&ServerState) -> bool| active.iter().filter(|(_, s)| is_so(&s.state)).count() as u64;
        let counts = &self.counts;
        Figures {
            started: counts.started.durations(),
            failed: counts.failed.durations(),
            cancelled: counts.cancelled.durations(),
            stopped: counts.stopped.durations(),
            died: counts.died.get(),
            refused: counts.refused.get(),
            ready: counted(|state| *state == ServerState::Ready),
            starting: counted(ServerState::is_coming),
            stopping: counted(|state| *state == ServerState::Stopping),
        }
    }
}

/// When the start or stop under way began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun(pub(super) Timestamp);

impl Begun {
    /// Takes note of a step from `before` to `after`.
    pub(super) fn step(&mut self, counts: &Counts, before: &State, after: &State, now: Timestamp) {
        let Some(outcome) = outcome(before, after) else { return };
        counts.note(outcome, now.since(self.0));
        self.0 = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UpstreamAddress;
    use crate::spawner::trouble::Trouble;

    #[test]
    fn what_a_step_means() {
        let address = UpstreamAddress::Tcp(([127, 0, 0, 1], 1).into());
        let deadline = Timestamp(9);
        let ready = State::Ready { address: address.clone() };
        let awaiting = |came| State::Awaiting { address: address.clone(), came, deadline };
        let wished = State::Ending { why: Why::Wished, again: false, deadline };
        let trouble = Why::Failed(Trouble::Because("it burns".into()), Timestamp(1));
        let failing = State::Ending { why: trouble, again: false, deadline };
        for (before, after, expected) in [
            (&State::Stopped, &State::Preparing { deadline }, Some(Outcome::Begins)),
            (&State::Preparing { deadline }, &State::Queued { deadline }, None),
            (&awaiting(Came::Started), &ready, Some(Outcome::Started)),
            (&awaiting(Came::Found), &ready, None),
            (&awaiting(Came::Started), &failing, Some(Outcome::StartFailed)),
            (&State::Creating { deadline }, &wished, Some(Outcome::Cancelled)),
            (&ready, &wished, Some(Outcome::Begins)),
            (&wished, &State::Stopped, Some(Outcome::Stopped)),
            (&ready, &failing, Some(Outcome::Died)),
            (&failing, &State::Stopped, None),
        ] {
            assert_eq!(outcome(before, after), expected, "{before:?} to {after:?}");
        }
    }
}
