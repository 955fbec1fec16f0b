//! Idle servers as the loop sees them: the decisive look before one is stopped, and extensions of their deadlines.

use std::num::NonZeroU32;

use tokio::sync::oneshot;

use super::records::Undo;
use super::{Driver, OURSELVES};
use crate::model::{Actor, Generation, IdleExtension, IdleView, ServerKey};
use crate::spawner::idle::{ExtendError, Extended};
use crate::spawner::life::{Event, State};
use crate::spawner::rows::Note;

/// Who asked for an extension.
pub(in crate::spawner) type ExtendAnswer = oneshot::Sender<Result<Extended, ExtendError>>;

impl Driver {
    /// The keeper has found that its time has come. Whatever has happened since wins: it is judged once more, here, where
    /// nothing comes in between. One that is being restarted, removed or held is left alone.
    pub(super) fn stop_idle(&mut self, server: &ServerKey, generation: Generation) {
        let is_plain = self.slots.get(server).is_some_and(|slot| {
            slot.life.generation == generation
                && matches!(slot.life.state, State::Ready { .. })
                && slot.restarts.is_empty()
                && slot.removals.is_empty()
        });
        if !is_plain || self.is_leaving(&server.user) {
            return;
        }
        let Some(reason) = self.idle.reason_to_stop(&self.board, server) else { return };
        let act = self.idle.note_stop(&reason);
        tracing::info!(user = %server.user, server = %server, generation = %generation, reason = act, "an idle server is stopped");
        let at = self.clock.now();
        if let Some(slot) = self.slots.get_mut(server) {
            slot.notes.push(Note { at, by: OURSELVES.into(), act: act.into() });
        }
        self.board.set_idle_end(server, Some(reason.end(at, generation)));
        self.apply(server, Event::Stop);
    }

    /// In force at once, and undone if it cannot be written.
    pub(super) fn extend(&mut self, server: &ServerKey, hours: NonZeroU32, by: Actor, answer: ExtendAnswer) {
        let extension = match self.admit_extension(server, hours) {
            Ok(extension) => extension,
            Err(error) => {
                // Whoever asked may have gone.
                let _ = answer.send(Err(error));
                return;
            }
        };
        let at = self.clock.now();
        let left_ms = u64::try_from(extension.remaining.as_millis()).unwrap_or(u64::MAX);
        let set = IdleExtension { at, left_ms };
        let before = self.board.set_extended(server, Some(set));
        let until = at.plus(extension.remaining).to_iso();
        let act = format!("extended idle server to {}Z", until.get(..16).unwrap_or_default());
        let note = Note { at, by, act: act.into() };
        let (board, idle, key) = (self.board.clone(), self.idle.clone(), server.clone());
        let settle = move |written: Result<(), crate::store::StoreError>| {
            let view = || -> Result<IdleView, ExtendError> {
                written.map_err(ExtendError::Store)?;
                idle.note_extension();
                idle.view(&board, &key).map(|(view, _)| view).ok_or(ExtendError::NotRunning)
            };
            let _ = answer.send(view().map(|view| Extended { view, truncated: extension.truncated }));
        };
        self.write_noted(server, vec![note], Undo::Extension { set, before }, Box::new(settle));
    }

    fn admit_extension(&self, server: &ServerKey, hours: NonZeroU32) -> Result<crate::model::Extension, ExtendError> {
        let slot = self.slots.get(server).ok_or(ExtendError::NotRunning)?;
        let is_ready = matches!(slot.life.state, State::Ready { .. } | State::Checking { .. });
        if !is_ready || !slot.removals.is_empty() || self.is_leaving(&server.user) {
            return Err(ExtendError::NotRunning);
        }
        let (view, span) = self.idle.view(&self.board, server).ok_or(ExtendError::NotRunning)?;
        match span {
            Some(span) => span.extend(hours).ok_or(ExtendError::AtCeiling),
            // A maximum age alone cannot be put off.
            None if view.deadline.is_some() => Err(ExtendError::AtCeiling),
            None => Err(ExtendError::Off),
        }
    }
}
