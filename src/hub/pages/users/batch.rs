//! Acts on many users: what was asked, and what became of each. Kept in memory, bounded; the audit log keeps the deeds.
//!
//! A question that was confirmed twice (a double click, a page sent again) is done once: the second finds the first.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::act::{Act, Choice};
use crate::model::{Random, UserName};

/// Questions and their results that are kept: the oldest makes room. At 10,000 users each, some 25 MB at the very most.
const KEPT: usize = 32;

/// What became of one user's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Waiting,
    UnderWay,
    Done,
    /// Why not, in a sentence for people.
    Failed(String),
}

/// One act on chosen users, asked by one administrator.
#[derive(Debug)]
pub(super) struct Batch {
    /// Nobody guesses it.
    pub(super) id: String,
    /// Who asked.
    pub(super) by: UserName,
    pub(super) act: Act,
    pub(super) targets: Vec<UserName>,
    /// Where the person came from: an address of ours.
    pub(super) back: String,
    progress: Mutex<Progress>,
    /// True once every target has its outcome.
    finished: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Progress {
    choice: Option<Choice>,
    outcomes: Vec<Outcome>,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) done: usize,
    pub(super) failed: usize,
    pub(super) open: usize,
}

impl Batch {
    /// Takes it up: true for the first who asks, who then does it.
    pub(super) fn begin(&self, choice: Choice) -> bool {
        let mut progress = self.progress.lock();
        if progress.choice.is_some() {
            return false;
        }
        progress.choice = Some(choice);
        true
    }

    /// What was chosen with it; `None` until it has begun.
    pub(super) fn choice(&self) -> Option<Choice> {
        self.progress.lock().choice.clone()
    }

    pub(super) fn note(&self, index: usize, outcome: Outcome) {
        if let Some(place) = self.progress.lock().outcomes.get_mut(index) {
            *place = outcome;
        }
    }

    /// No more will be noted. What has no outcome yet was given up.
    pub(super) fn finish(&self) {
        for outcome in &mut self.progress.lock().outcomes {
            if matches!(outcome, Outcome::Waiting | Outcome::UnderWay) {
                *outcome = Outcome::Failed("Slipway was stopped before this was done.".to_owned());
            }
        }
        self.finished.send_replace(true);
    }

    /// Finishes it when dropped: whatever becomes of those who do the work, its page does not wait for ever.
    pub(super) fn finish_at_last(self: &Arc<Self>) -> FinishAtLast {
        FinishAtLast(Arc::clone(self))
    }

    pub(super) fn is_finished(&self) -> bool {
        *self.finished.borrow()
    }

    /// Waits for the end.
    pub(super) async fn wait(&self) {
        // An error would mean that the sender is gone: it lives as long as we do.
        let _ = self.finished.subscribe().wait_for(|is_finished| *is_finished).await;
    }

    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for outcome in &self.progress.lock().outcomes {
            match outcome {
                Outcome::Done => tally.done += 1,
                Outcome::Failed(_) => tally.failed += 1,
                Outcome::Waiting | Outcome::UnderWay => tally.open += 1,
            }
        }
        tally
    }

    /// Each target with what became of it: failures first, then what is open, then what is done.
    pub(super) fn results(&self) -> Vec<(UserName, Outcome)> {
        let outcomes = self.progress.lock().outcomes.clone();
        let mut results: Vec<_> = self.targets.iter().cloned().zip(outcomes).collect();
        results.sort_by_key(|(_, outcome)| match outcome {
            Outcome::Failed(_) => 0,
            Outcome::UnderWay => 1,
            Outcome::Waiting => 2,
            Outcome::Done => 3,
        });
        results
    }
}

/// See `Batch::finish_at_last`.
pub(super) struct FinishAtLast(Arc<Batch>);

impl Drop for FinishAtLast {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// All of them, the latest last.
#[derive(Debug, Default)]
pub(in crate::hub) struct Batches(Mutex<VecDeque<Arc<Batch>>>);

impl Batches {
    /// Keeps a new question.
    pub(super) fn ask(
        &self,
        random: &Random,
        by: UserName,
        act: Act,
        targets: Vec<UserName>,
        back: String,
    ) -> Arc<Batch> {
        let progress = Progress { choice: None, outcomes: vec![Outcome::Waiting; targets.len()] };
        let batch = Arc::new(Batch {
            id: random.hex::<16>(),
            by,
            act,
            targets,
            back,
            progress: Mutex::new(progress),
            finished: watch::Sender::new(false),
        });
        let mut kept = self.0.lock();
        if kept.len() >= KEPT {
            // What is under way stays, as long as something else can go.
            let is_under_way = |batch: &Arc<Batch>| batch.choice().is_some() && !batch.is_finished();
            let oldest = kept.iter().position(|batch| !is_under_way(batch)).unwrap_or_default();
            kept.remove(oldest);
        }
        kept.push_back(Arc::clone(&batch));
        batch
    }

    /// The one that this person asked.
    pub(super) fn find(&self, id: &str, by: &UserName) -> Option<Arc<Batch>> {
        self.0.lock().iter().find(|batch| batch.id == id && batch.by == *by).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::parse(text).expect("a name")
    }

    fn asked(batches: &Batches, random: &Random) -> Arc<Batch> {
        let targets = ["a", "b", "c"].map(name).to_vec();
        batches.ask(random, name("root"), Act::Stop, targets, "/hub/admin".into())
    }

    #[test]
    fn a_batch_begins_once() {
        let batch = asked(&Batches::default(), &Random::from_seed(1));
        assert!(batch.begin(Choice::default()));
        assert!(!batch.begin(Choice::default()));
    }

    #[test]
    fn failures_stand_first_and_what_was_given_up_has_failed() {
        let batch = asked(&Batches::default(), &Random::from_seed(1));
        batch.note(0, Outcome::Done);
        batch.note(1, Outcome::Failed("No.".into()));
        assert_eq!(batch.tally(), Tally { done: 1, failed: 1, open: 1 });
        batch.finish();
        assert_eq!(batch.tally(), Tally { done: 1, failed: 2, open: 0 });
        let names: Vec<_> = batch.results().into_iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["b", "c", "a"]);
    }

    #[tokio::test]
    async fn whoever_waits_for_the_end_gets_it_also_if_the_work_was_dropped() {
        let batch = asked(&Batches::default(), &Random::from_seed(1));
        let work = batch.finish_at_last();
        assert!(!batch.is_finished());
        drop(work);
        batch.wait().await;
        assert_eq!(batch.tally(), Tally { done: 0, failed: 3, open: 0 });
    }

    #[test]
    fn it_is_found_by_who_asked_alone_until_many_others_have_come() {
        let (batches, random) = (Batches::default(), Random::from_seed(1));
        let first = asked(&batches, &random);
        assert!(batches.find(&first.id, &name("root")).is_some());
        assert!(batches.find(&first.id, &name("other")).is_none());
        let under_way = asked(&batches, &random);
        assert!(under_way.begin(Choice::default()));
        for _ in 0..KEPT {
            asked(&batches, &random);
        }
        assert!(batches.find(&first.id, &name("root")).is_none());
        assert!(batches.find(&under_way.id, &name("root")).is_some());
    }
}
