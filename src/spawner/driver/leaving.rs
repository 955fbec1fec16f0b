//! Users who leave, and users who get another name: what becomes of all their servers.

use std::sync::Weak;

use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{Changed, Driver, Mail, OURSELVES};
use crate::model::{ServerKey, UserName};
use crate::spawner::SpawnerError;

/// A user who is leaving.
#[derive(Default)]
pub(super) struct Leaving {
    answers: Vec<oneshot::Sender<()>>,
    /// The rows are being deleted.
    is_under_way: bool,
}

impl Driver {
    pub(super) fn forget(&mut self, user: UserName, answer: oneshot::Sender<()>) {
        self.leaving.entry(user.clone()).or_default().answers.push(answer);
        let theirs = self.servers_of(&user);
        for server in theirs {
            // Who ended the account is in the audit already.
            self.stop(&server, OURSELVES.into());
        }
        self.finish_leaving(&user);
    }

    /// A wish that was taken for an account whose end overtook it: what came of the wish goes as the account did.
    pub(super) fn forget_orphan(&mut self, user: &UserName) {
        if !self.leaving.contains_key(user) {
            info!(user = %user, "a server was wished for while its account ended; it goes");
            self.forget(user.clone(), oneshot::channel().0);
        }
    }

    pub(super) fn finish_leaving(&mut self, user: &UserName) {
        if !self.leaving.contains_key(user) {
            return;
        }
        let theirs = self.servers_of(user);
        let are_quiet = theirs.iter().all(|server| self.slots.get(server).is_none_or(|slot| slot.is_quiet()));
        let Some(leaving) = self.leaving.get_mut(user) else { return };
        if !are_quiet || leaving.is_under_way {
            return;
        }
        leaving.is_under_way = true;
        let (steps, mail, user) = (self.steps.clone(), self.mail.clone(), user.clone());
        self.tasks.spawn(async move {
            if let Err(error) = steps.forget(theirs).await {
                warn!(user = %user, error = &error as &dyn std::error::Error, "the rows of a user's servers could not be deleted");
            }
            let _ = mail.send(Mail::Forgotten(user)).await;
        });
    }

    pub(super) fn forgotten(&mut self, user: &UserName) {
        self.steps.volumes.sizes.forget(user);
        for server in self.servers_of(user) {
            self.drop_slot(&server);
        }
        for answer in self.leaving.remove(user).map(|leaving| leaving.answers).unwrap_or_default() {
            let _ = answer.send(());
        }
    }

    /// Nothing of this user starts or changes while somebody holds on to `hold`.
    pub(super) fn hold(&mut self, user: UserName, hold: Weak<()>, answer: Changed) {
        self.held.retain(|_, hold| hold.strong_count() > 0);
        let theirs = self.servers_of(&user);
        let is_at_rest = |server| self.slots.get(server).is_none_or(|slot| slot.life.state.is_at_rest());
        let result = if self.is_leaving(&user) {
            Err(SpawnerError::Stopping)
        } else if !theirs.iter().all(is_at_rest) {
            Err(SpawnerError::Running)
        } else {
            Ok(())
        };
        let busy = theirs.iter().find(|server| self.slots.get(*server).is_some_and(|slot| !slot.is_quiet()));
        if let (Ok(()), Some(slot)) = (&result, busy.and_then(|server| self.slots.get_mut(server))) {
            slot.later.push(Mail::Hold(user, hold, answer));
            return;
        }
        if result.is_ok() {
            self.held.insert(user, hold);
        }
        let _ = answer.send(result);
    }

    /// The servers of `from`, all quiet, are those of `to` from here on. The rows have been changed with the account.
    pub(super) fn renamed(&mut self, from: &UserName, to: &UserName) {
        self.steps.volumes.sizes.renamed(from, to);
        for server in self.servers_of(from) {
            self.move_slot(&server, &ServerKey { user: to.clone(), name: server.name.clone() });
        }
    }

    /// True while nothing of this user may start: the account ends or gets another name.
    pub(super) fn is_leaving(&self, user: &UserName) -> bool {
        self.leaving.contains_key(user) || self.held.get(user).is_some_and(|hold| hold.strong_count() > 0)
    }

    /// All servers of a user that we know of.
    pub(super) fn servers_of(&self, user: &UserName) -> Vec<ServerKey> {
        let first = ServerKey::default_of(user.clone());
        let theirs = self.slots.range(first..).take_while(|(server, _)| server.user == *user);
        theirs.map(|(server, _)| server.clone()).collect()
    }
}
