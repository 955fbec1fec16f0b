//! Wishes to restart a server: one at a time in the server's lane, written down before anything of it is touched.

use std::sync::Arc;

use super::{Answer, Driver, Job, Mail};
use crate::model::{ActivitySource, Actor, Generation, ServerKey};
use crate::spawner::SpawnerError;
use crate::spawner::backend::Sight;
use crate::spawner::life::{Action, Event, Fact};
use crate::spawner::rows::Note;
use crate::store::{ServerRow, StoreError};

/// How the writing of a wish has ended.
pub(in crate::spawner) struct RestartWritten {
    server: ServerKey,
    generation: Generation,
    result: Result<(), SpawnerError>,
    /// How it is, if it does not run.
    ended: Option<Sight>,
}

impl Driver {
    pub(super) fn restart(&mut self, server: &ServerKey, by: Actor, answer: Answer) {
        let admitted = self.admit_restart(server);
        let Some(slot) = self.slots.get_mut(server).filter(|_| admitted.is_ok()) else {
            // Whoever asked may have gone.
            let _ = answer.send(Err(admitted.err().unwrap_or(SpawnerError::NotRunning)));
            return;
        };
        if slot.life.state.is_restarting() {
            let _ = answer.send(Ok(self.board.status(server)));
            return;
        }
        slot.restarts.push(answer);
        if slot.restarts.len() == 1 {
            slot.lane.push_back(Job::Restart(by));
            self.next_in_lane(server);
        }
    }

    fn admit_restart(&self, server: &ServerKey) -> Result<(), SpawnerError> {
        if !self.steps.backend.can_restart() {
            return Err(SpawnerError::CannotRestart);
        }
        let slot = self.slots.get(server).ok_or(SpawnerError::NotRunning)?;
        if self.is_leaving(&server.user) || !slot.removals.is_empty() {
            return Err(SpawnerError::Stopping);
        }
        let state = &slot.life.state;
        if state.may_restart() || state.is_restarting() { Ok(()) } else { Err(SpawnerError::NotRunning) }
    }

    /// Its turn in the lane has come.
    pub(super) fn begin_restart(&mut self, server: &ServerKey, by: Actor) {
        let (Some(row), Some(slot)) = (self.row(server), self.slots.get(server)) else { return };
        let row = ServerRow { restarting: true, ..row };
        let (generation, handle) = (slot.life.generation, slot.handle.clone());
        // A stop may have been before it in the lane.
        let admitted = self.admit_restart(server);
        let note = Note { at: self.clock.now(), by, act: "restarted server".into() };
        let (steps, mail, server) = (self.steps.clone(), self.mail.clone(), server.clone());
        self.tasks.spawn(async move {
            let (result, ended) = match admitted {
                Ok(()) => steps.begin_restart(row, note, handle.as_ref()).await,
                Err(error) => (Err(error), None),
            };
            // Only fails when the loop is gone, and then whoever asked is told by its end.
            let _ = mail.send(Mail::RestartWritten(RestartWritten { server, generation, result, ended })).await;
        });
    }

    pub(super) fn restart_written(&mut self, written: RestartWritten) {
        let RestartWritten { server, generation, result, ended } = written;
        let Some(slot) = self.slots.get_mut(&server) else { return };
        slot.lane_is_busy = false;
        let answers = std::mem::take(&mut slot.restarts);
        let is_same = slot.life.generation == generation;
        if let Some(ended) = ended {
            self.apply(&server, Event::Fact(generation, Fact::Looked(ended)));
        }
        if result.is_ok() && is_same {
            self.apply(&server, Event::Restart);
            // As with a start: no culler ends a server on its way.
            self.board.note_activity(&server, ActivitySource::Start, self.clock.now());
        }
        let is_restarting = self.slots.get(&server).is_some_and(|slot| slot.life.state.is_restarting());
        if !is_restarting && matches!(result, Ok(()) | Err(SpawnerError::Store(_))) {
            // Something else has come meanwhile, or nobody knows what was written: the row says what is so again.
            self.act(&server, Action::Save);
        }
        let status = self.board.status(&server);
        for answer in answers {
            let _ = answer.send(match &result {
                Ok(()) if is_restarting => Ok(status.clone()),
                Ok(()) => Err(SpawnerError::NotRunning),
                Err(error) => Err(told_again(error)),
            });
        }
        self.go_on(&server);
    }
}

/// The same for everybody who waits for one restart.
fn told_again(error: &SpawnerError) -> SpawnerError {
    match error {
        SpawnerError::Engine(error) => SpawnerError::Engine(Arc::clone(error)),
        SpawnerError::NotRunning => SpawnerError::NotRunning,
        SpawnerError::ContainerGone => SpawnerError::ContainerGone,
        SpawnerError::Stopping => SpawnerError::Stopping,
        SpawnerError::NoSuchUser => SpawnerError::NoSuchUser,
        other => SpawnerError::Store(StoreError::Read(other.to_string().into())),
    }
}
