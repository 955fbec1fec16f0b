//! What is known of servers: the wishes that change it, decided here one after the other and answered once they are written.
//!
//! A change is in force at once and undone if it cannot be written. It is written in the server's lane, so that no older row
//! comes after it.

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::warn;

use super::{Answer, Changed, Driver, Job, Mail, Slot};
use crate::model::{Actor, DisplayName, Generation, IdleExtension, ServerKey, ServerOptions};
use crate::spawner::backend::GpuRequest;
use crate::spawner::granted::{Means, granted};
use crate::spawner::life::{Event, Life, State};
use crate::spawner::profiles::{Choice, choose};
use crate::spawner::record::{Change, Defined, ServerRecord, Wish};
use crate::spawner::rows::Note;
use crate::spawner::{GpuAnswer, SpawnerError, limits};
use crate::store::StoreError;

/// Tells whoever waits.
type Settle = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A record on its way to the disk.
pub(super) struct Writing {
    what: What,
    /// What the audit is told in the same commit.
    notes: Vec<Note>,
    undo: Undo,
    settle: Settle,
}

enum What {
    Put,
    Rename { from: ServerKey },
    Delete,
}

/// What to do if it could not be written.
pub(super) enum Undo {
    Nothing,
    Extension { set: IdleExtension, before: Option<IdleExtension> },
    Forget,
    Record(ServerRecord),
    Rename { from: ServerKey, record: ServerRecord },
}

/// A record that has been written, or could not be.
pub(in crate::spawner) struct Written {
    server: ServerKey,
    is_deleted: bool,
    undo: Undo,
    settle: Settle,
    result: Result<(), StoreError>,
}

impl Driver {
    /// A wish to start. What it says beside «start» counts when a new start comes of it, not for one under way.
    pub(super) fn start(&mut self, server: &ServerKey, wish: Wish, answer: Answer) {
        let before = match self.admit(server, &wish) {
            Ok(before) => before,
            Err(error) => {
                self.load.refused = self.load.refused.wrapping_add(1);
                // Whoever asked may have gone.
                let _ = answer.send(Err(error));
                return;
            }
        };
        let now = self.clock.now();
        let takes_wish = self.slots.get(server).is_none_or(|slot| slot.life.state.takes_a_wish());
        let mut has_changed = false;
        if takes_wish {
            let known = before.as_deref().cloned().unwrap_or_else(|| ServerRecord::new(now));
            let record = known.with(wish.display_name, wish.options);
            // A default server's row is written with its start; it is there for everybody, so nothing can be lost.
            has_changed = record != known || (before.is_none() && !server.name.is_default());
            self.set_record(server, record);
        }
        let life = |driver: &Self| driver.slots.get(server).map(|slot| slot.life.clone());
        let life_before = life(self);
        // Whoever asked may have gone; the wish stands.
        self.apply(server, Event::Start);
        // Of many who wish one start the first is told of; whoever finds it under way has changed nothing.
        if life(self) != life_before
            && let Some(slot) = self.slots.get_mut(server)
        {
            slot.wished_by = Some(wish.by);
        }
        if !has_changed {
            let _ = answer.send(Ok(self.board.status(server)));
            return;
        }
        let (board, key) = (self.board.clone(), server.clone());
        let settle = move |written: Result<(), StoreError>| {
            let _ = answer.send(written.map(|()| board.status(&key)).map_err(SpawnerError::from));
        };
        // If it cannot be written the start itself will find the same.
        self.write(server, What::Put, Undo::Nothing, Box::new(settle));
    }

    /// Whether this start may be; gives what is known of the server.
    fn admit(&self, server: &ServerKey, wish: &Wish) -> Result<Option<Arc<ServerRecord>>, SpawnerError> {
        let slot = self.slots.get(server);
        if self.is_leaving(&server.user) || slot.is_some_and(|slot| !slot.removals.is_empty()) {
            return Err(SpawnerError::Stopping);
        }
        let record = slot.and_then(|slot| slot.record.clone());
        self.admit_name(server, record.is_some())?;
        let state = slot.map(|slot| &slot.life.state);
        if state.is_none_or(State::takes_a_wish) {
            let stored = record.as_ref().and_then(|record| record.options.as_ref());
            self.choose(server, wish.options.as_ref().or(stored)).map_err(SpawnerError::BadOptions)?;
        }
        if state.is_none_or(State::is_at_rest) {
            limits::admit_start(&self.steps.config.read(), self.load)?;
        }
        Ok(record)
    }

    fn admit_name(&self, server: &ServerKey, is_known: bool) -> Result<(), SpawnerError> {
        let limit = self.steps.config.read().named_servers_per_user;
        if is_known || server.name.is_default() {
            return limits::admit_known(limit, &server.name);
        }
        limits::admit_new(limit, &server.name, self.named_of(server))
    }

    /// How many named servers the owner of `server` has.
    fn named_of(&self, server: &ServerKey) -> usize {
        let first = ServerKey::default_of(server.user.clone());
        let theirs = self.slots.range(first..).take_while(|(key, _)| key.user == server.user);
        theirs.filter(|(key, slot)| !key.name.is_default() && slot.record.is_some()).count()
    }

    pub(super) fn choose(&self, server: &ServerKey, options: Option<&ServerOptions>) -> Result<Choice, String> {
        let groups = (self.groups)(&server.user);
        choose(&self.steps.config.read(), self.steps.backend.image().as_deref(), options, &groups)
    }

    /// The choice with what groups give at this moment: nothing of an earlier start is in it.
    pub(super) fn granted(&self, server: &ServerKey, choice: Choice) -> Choice {
        let effective = (self.grants)(&server.user);
        let shared_volume = self.steps.backend.shared_volume();
        let means = Means { has_extras: self.steps.backend.gives_extras(), shared_volume: shared_volume.as_deref() };
        granted(choice, &effective, GpuRequest::None, means)
    }

    /// When its turn has come: gives it its graphics processors, or says that it waits for one.
    pub(super) fn waits_for_gpu(&mut self, server: &ServerKey, generation: Generation) -> bool {
        let Some(slot) = self.slots.get_mut(server) else { return false };
        let is_queued = slot.life.generation == generation && matches!(slot.life.state, State::Queued { .. });
        if !is_queued || !self.steps.backend.gives_extras() {
            return false;
        }
        let effective = (self.grants)(&server.user);
        match self.gpus.ask(server, effective.gpu.as_ref().map(|granted| &granted.value)) {
            GpuAnswer::Given { request, held } => {
                Arc::make_mut(slot.choice.get_or_insert_default()).extras.gpu = request;
                slot.gpus = held;
                false
            }
            GpuAnswer::Wait(sentence) => {
                let news = Some((sentence, None));
                if slot.progress != news {
                    slot.progress = news;
                    self.publish_status(server);
                }
                true
            }
        }
    }

    /// What the start that begins now is made from.
    pub(super) fn note_choice(&mut self, server: &ServerKey, choice: Arc<Choice>) {
        let Some(slot) = self.slots.get_mut(server) else { return };
        let record = slot.record.as_ref().map(|record| record.made_from(&choice));
        slot.choice = Some(choice);
        if let Some(record) = record {
            self.set_record(server, record);
        }
    }

    pub(super) fn define(
        &mut self,
        server: &ServerKey,
        display_name: Option<DisplayName>,
        options: Option<ServerOptions>,
        answer: oneshot::Sender<Result<Defined, SpawnerError>>,
    ) {
        let admitted = self.admit_definition(server, options.as_ref());
        if !matches!(admitted, Ok(Defined::Created)) {
            let _ = answer.send(admitted);
            return;
        }
        let record = ServerRecord::new(self.clock.now()).with(display_name, options);
        self.set_record(server, record);
        self.publish_status(server);
        let settle = move |written: Result<(), StoreError>| {
            let _ = answer.send(written.map(|()| Defined::Created).map_err(SpawnerError::from));
        };
        self.write(server, What::Put, Undo::Forget, Box::new(settle));
    }

    fn admit_definition(&self, server: &ServerKey, options: Option<&ServerOptions>) -> Result<Defined, SpawnerError> {
        let slot = self.slots.get(server);
        if self.is_leaving(&server.user) || slot.is_some_and(|slot| !slot.removals.is_empty()) {
            return Err(SpawnerError::Stopping);
        }
        let is_known = slot.is_some_and(|slot| slot.record.is_some());
        self.admit_name(server, is_known)?;
        if is_known || server.name.is_default() {
            return Ok(Defined::Exists);
        }
        self.choose(server, options).map_err(SpawnerError::BadOptions)?;
        Ok(Defined::Created)
    }

    pub(super) fn change(&mut self, server: &ServerKey, change: Change, answer: Changed) {
        let record = match self.admit_change(server, &change) {
            Ok(record) => record,
            Err(error) => {
                let _ = answer.send(Err(error));
                return;
            }
        };
        let has_new_name = change.name.as_ref().is_some_and(|name| *name != server.name);
        if let Some(slot) = self.slots.get_mut(server).filter(|slot| has_new_name && !slot.is_quiet()) {
            // A row of the old name is on its way: it would come after the end of that name.
            slot.later.push(Mail::Change(server.clone(), change, answer));
            return;
        }
        let settle: Settle = Box::new(move |written| {
            let _ = answer.send(written.map_err(SpawnerError::from));
        });
        let changed = record.with(change.display_name, change.options);
        match change.name.filter(|name| *name != server.name) {
            None => {
                self.set_record(server, changed);
                self.write(server, What::Put, Undo::Record(record), settle);
            }
            Some(name) => {
                let to = ServerKey { user: server.user.clone(), name };
                self.move_slot(server, &to);
                self.set_record(&to, changed);
                let undo = Undo::Rename { from: server.clone(), record };
                self.write(&to, What::Rename { from: server.clone() }, undo, settle);
            }
        }
    }

    fn admit_change(&self, server: &ServerKey, change: &Change) -> Result<ServerRecord, SpawnerError> {
        let new = ServerRecord::new(self.clock.now());
        let slot = self.slots.get(server);
        let record = slot.and_then(|slot| slot.record.as_deref().cloned());
        // The default server is there for everybody, also before its first start.
        let record = record.or_else(|| server.name.is_default().then_some(new)).ok_or(SpawnerError::NoSuchServer)?;
        if self.is_leaving(&server.user) || slot.is_some_and(|slot| !slot.removals.is_empty()) {
            return Err(SpawnerError::Stopping);
        }
        limits::admit_known(self.steps.config.read().named_servers_per_user, &server.name)?;
        if slot.is_some_and(|slot| !slot.life.state.is_at_rest()) {
            return Err(SpawnerError::Running);
        }
        if let Some(name) = change.name.as_ref().filter(|name| **name != server.name) {
            name.check_new()?;
            let to = ServerKey { user: server.user.clone(), name: name.clone() };
            let is_taken = self.slots.get(&to).is_some_and(|slot| slot.record.is_some() || !slot.is_quiet());
            if server.name.is_default() || is_taken {
                return Err(SpawnerError::NameTaken);
            }
        }
        if change.options.is_some() {
            self.choose(server, change.options.as_ref()).map_err(SpawnerError::BadOptions)?;
        }
        Ok(record)
    }

    pub(super) fn remove(&mut self, server: &ServerKey, by: Actor, answer: Changed) {
        let Some(slot) = self.slots.get_mut(server).filter(|slot| slot.record.is_some()) else {
            let _ = answer.send(Err(SpawnerError::NoSuchServer));
            return;
        };
        slot.removals.push(answer);
        self.stop(server, by);
        self.finish_removal(server);
    }

    /// Deletes the row once the server is quiet.
    pub(super) fn finish_removal(&mut self, server: &ServerKey) {
        let Some(slot) = self.slots.get_mut(server) else { return };
        if slot.removals.is_empty() || !slot.is_quiet() {
            return;
        }
        // Whoever waits is answered from `removals`: as long as somebody is in it, nothing starts.
        self.write(server, What::Delete, Undo::Nothing, Box::new(|_| {}));
    }

    fn set_record(&mut self, server: &ServerKey, record: ServerRecord) {
        let now = self.clock.now();
        let record = Arc::new(record);
        self.board.set_record(server, Some(record.clone()));
        let new = || Box::new(Slot::new(Life::at_rest(Generation(0), None), now));
        self.slots.entry(server.clone()).or_insert_with(new).record = Some(record);
    }

    pub(super) fn drop_slot(&mut self, server: &ServerKey) {
        if let Some(slot) = self.slots.remove(server) {
            self.owe(server, slot.notes);
        }
        self.board.forget(server);
    }

    /// The quiet server `from` is called `to` from here on.
    pub(super) fn move_slot(&mut self, from: &ServerKey, to: &ServerKey) {
        let Some(mut slot) = self.slots.remove(from) else { return };
        // What it was found by, and what was still to be looked at, has the old name.
        slot.handle = None;
        slot.lane.clear();
        slot.lane_is_busy = false;
        if let Some(before) = self.slots.remove(to) {
            slot.life.generation = slot.life.generation.max(before.life.generation);
        }
        self.slots.insert(to.clone(), slot);
        if self.unsaved.remove(from) {
            self.unsaved.insert(to.clone());
        }
        self.board.rename(from, to);
    }

    fn write(&mut self, server: &ServerKey, what: What, undo: Undo, settle: Settle) {
        let Some(slot) = self.slots.get_mut(server) else { return };
        slot.lane.push_back(Job::Write(Box::new(Writing { what, notes: vec![], undo, settle })));
        self.next_in_lane(server);
    }

    /// Writes the row as it is, and tells the audit why in the same commit.
    pub(super) fn write_noted(&mut self, server: &ServerKey, notes: Vec<Note>, undo: Undo, settle: Settle) {
        let Some(slot) = self.slots.get_mut(server) else { return };
        slot.lane.push_back(Job::Write(Box::new(Writing { what: What::Put, notes, undo, settle })));
        self.next_in_lane(server);
    }

    pub(super) fn begin_writing(&mut self, server: &ServerKey, writing: Writing) {
        let Some(row) = self.row(server) else { return };
        let (steps, mail, server) = (self.steps.clone(), self.mail.clone(), server.clone());
        self.tasks.spawn(async move {
            let Writing { what, notes, undo, settle } = writing;
            let is_deleted = matches!(what, What::Delete);
            let result = match what {
                What::Put => steps.rows.put(row, notes).await,
                What::Rename { from } => steps.rename(from, row).await,
                What::Delete => steps.forget(vec![server.clone()]).await,
            };
            let _ = mail.send(Mail::Written(Written { server, is_deleted, undo, settle, result })).await;
        });
    }

    pub(super) fn written(&mut self, written: Written) {
        let Written { server, is_deleted, undo, settle, result } = written;
        if let Some(slot) = self.slots.get_mut(&server) {
            slot.lane_is_busy = false;
        }
        let removals = match self.slots.get_mut(&server) {
            Some(slot) if is_deleted => std::mem::take(&mut slot.removals),
            _ => vec![],
        };
        match &result {
            Ok(()) if is_deleted => self.drop_slot(&server),
            Ok(()) => {}
            Err(error) => {
                warn!(server = %server, error = error as &dyn std::error::Error, "a change of a server could not be written down");
                self.undo(&server, undo);
            }
        }
        // Who is told that it is gone finds it gone.
        for answer in removals {
            let text = || StoreError::Read("the server could not be removed".into());
            let _ = answer.send(if result.is_ok() { Ok(()) } else { Err(SpawnerError::Store(text())) });
        }
        settle(result);
        self.go_on(&server);
    }

    fn undo(&mut self, server: &ServerKey, undo: Undo) {
        // If something else is under way already, its own row says what is so.
        let is_quiet = self.slots.get(server).is_some_and(|slot| slot.is_quiet());
        match undo {
            // Only what is still in force: a later one stands.
            Undo::Extension { set, before } if self.board.kept(server).1 == Some(set) => {
                self.board.set_extended(server, before);
            }
            Undo::Forget if is_quiet => self.drop_slot(server),
            Undo::Record(record) if is_quiet => self.set_record(server, record),
            Undo::Rename { from, record } if is_quiet => {
                self.move_slot(server, &from);
                self.set_record(&from, record);
            }
            _ => {}
        }
    }
}
