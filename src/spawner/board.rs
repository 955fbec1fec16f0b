//! What everybody outside reads of servers without asking the driver: the last published status and the activity.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::watch;

use super::changes::{Changes, is_only_progress};
use super::idle::{Facts, Kernels, Warned};
use super::record::ServerRecord;
use crate::model::{
    ActivitySource, Generation, IdleEnd, IdleExtension, LastSeen, Route, ServerKey, ServerState, ServerStatus,
    Switches, Timestamp, UserName,
};

/// The statuses as published. The driver writes, everybody reads; no lock is held longer than a look-up.
pub(super) struct Board {
    /// In order, so that a user's servers lie together, the default one first. Boxed, because half of a tree's places may be
    /// empty.
    entries: RwLock<BTreeMap<ServerKey, Box<Entry>>>,
    /// What servers that nobody has heard of have been since.
    opened_at: Timestamp,
    pub(super) changes: Changes,
}

struct Entry {
    status: ServerStatus,
    /// Whoever follows the status, if anybody does: 500 bytes that most servers can do without.
    followers: Option<watch::Sender<ServerStatus>>,
    /// What has been noted of its use, and what ended routes had seen.
    seen: LastSeen,
    kernels: Kernels,
    /// How its deadline was last put off.
    extended: Option<IdleExtension>,
    /// That it was stopped as idle, when it last was.
    idle_end: Option<IdleEnd>,
    /// Of what deadline its owner was last told.
    warned: Option<Warned>,
    /// What of it the store knows.
    stored: LastSeen,
    /// The published route: it notes the traffic that passes.
    route: Option<Arc<Route>>,
    /// The last lines of the log of the last run, if any were kept.
    log_tail: Option<Arc<Vec<String>>>,
    record: Option<Arc<ServerRecord>>,
}

impl Board {
    pub(super) fn new(opened_at: Timestamp) -> Self {
        Self { entries: RwLock::default(), opened_at, changes: Changes::new() }
    }

    pub(super) fn status(&self, server: &ServerKey) -> ServerStatus {
        let entries = self.entries.read();
        entries.get(server).map_or_else(|| ServerStatus::stopped(self.opened_at), |entry| entry.status.clone())
    }

    /// Whoever follows a named server that does not exist follows nothing: names come from addresses, and none is kept.
    pub(super) fn watch(&self, server: &ServerKey) -> watch::Receiver<ServerStatus> {
        if server.name.is_default() {
            return self.with(server, Entry::follow);
        }
        let mut entries = self.entries.write();
        let nothing = || watch::Sender::new(ServerStatus::stopped(self.opened_at)).subscribe();
        entries.get_mut(server).map_or_else(nothing, |entry| entry.follow())
    }

    pub(super) fn record(&self, server: &ServerKey) -> Option<Arc<ServerRecord>> {
        self.entries.read().get(server).and_then(|entry| entry.record.clone())
    }

    pub(super) fn set_record(&self, server: &ServerKey, record: Option<Arc<ServerRecord>>) {
        self.with(server, |entry| entry.record = record);
        self.changes.tell(server, false);
    }

    /// The default server, then those with a name that exist or are still on their way out.
    pub(super) fn servers_of(&self, user: &UserName) -> Vec<(ServerKey, ServerStatus)> {
        let default = ServerKey::default_of(user.clone());
        let entries = self.entries.read();
        let theirs = entries.range(default.clone()..).take_while(|(server, _)| server.user == *user);
        let mut servers: Vec<(ServerKey, ServerStatus)> = theirs
            .filter(|(server, entry)| {
                server.name.is_default() || entry.record.is_some() || entry.status.state != ServerState::Stopped
            })
            .map(|(server, entry)| (server.clone(), entry.status.clone()))
            .collect();
        if servers.first().is_none_or(|(server, _)| !server.name.is_default()) {
            servers.insert(0, (default, ServerStatus::stopped(self.opened_at)));
        }
        servers
    }

    /// All that is known of `from` is known of `to` from here on; whoever follows `from` goes on to follow it.
    pub(super) fn rename(&self, from: &ServerKey, to: &ServerKey) {
        let mut entries = self.entries.write();
        if let Some(entry) = entries.remove(from) {
            entries.insert(to.clone(), entry);
        }
        drop(entries);
        self.changes.tell(from, false);
        self.changes.tell(to, false);
    }

    pub(super) fn active(&self) -> Vec<(ServerKey, ServerStatus)> {
        let entries = self.entries.read();
        let active = entries.iter().filter(|(_, entry)| entry.status.state != ServerState::Stopped);
        active.map(|(server, entry)| (server.clone(), entry.status.clone())).collect()
    }

    /// Servers that are ready, with their last activity.
    pub(super) fn ready(&self) -> Vec<(ServerKey, Option<Timestamp>)> {
        let entries = self.entries.read();
        let ready = entries.iter().filter(|(_, entry)| entry.status.state == ServerState::Ready);
        ready.map(|(server, entry)| (server.clone(), entry.last_activity())).collect()
    }

    pub(super) fn publish(&self, server: &ServerKey, status: ServerStatus) {
        let mut change = None;
        self.with(server, |entry| {
            if entry.status != status {
                change = Some(is_only_progress(&entry.status, &status));
                entry.status = status;
                entry.tell_followers();
            }
        });
        // After the status can be read: whoever hears of it finds it.
        if let Some(is_only_progress) = change {
            self.changes.tell(server, is_only_progress);
        }
    }

    pub(super) fn note_activity(&self, server: &ServerKey, source: ActivitySource, at: Timestamp) {
        let note = |entry: &mut Entry| entry.seen.note(source, at);
        if server.name.is_default() {
            return self.with(server, note);
        }
        self.change(server, note);
    }

    /// Servers whose activity is newer than what the store knows, of any source by `resolution` at least.
    pub(super) fn unstored_activity(&self, resolution: Duration) -> Vec<(ServerKey, LastSeen)> {
        let entries = self.entries.read();
        let unstored = entries.iter().filter_map(|(server, entry)| {
            let seen = entry.seen();
            let is_due = |(source, at): (ActivitySource, Timestamp)| {
                entry.stored.of(source).is_none_or(|stored| at > stored && at.since(stored) >= resolution)
            };
            seen.iter().any(is_due).then(|| (server.clone(), seen))
        });
        unstored.collect()
    }

    /// The store knows these now.
    pub(super) fn activity_is_stored(&self, stored: &[(ServerKey, LastSeen)]) {
        let mut entries = self.entries.write();
        for (server, seen) in stored {
            if let Some(entry) = entries.get_mut(server) {
                entry.stored = entry.stored.and(seen);
            }
        }
    }

    pub(super) fn last_activity(&self, server: &ServerKey) -> Option<Timestamp> {
        self.entries.read().get(server).and_then(|entry| entry.last_activity())
    }

    pub(super) fn set_route(&self, server: &ServerKey, route: Option<Arc<Route>>) {
        self.with(server, |entry| {
            entry.seen = entry.seen();
            entry.route = route;
        });
    }

    pub(super) fn route(&self, server: &ServerKey) -> Option<Arc<Route>> {
        self.entries.read().get(server).and_then(|entry| entry.route.clone())
    }

    pub(super) fn set_log_tail(&self, server: &ServerKey, lines: Vec<String>) {
        self.with(server, |entry| entry.log_tail = Some(Arc::new(lines)));
    }

    pub(super) fn log_tail(&self, server: &ServerKey) -> Arc<Vec<String>> {
        self.entries.read().get(server).and_then(|entry| entry.log_tail.clone()).unwrap_or_default()
    }

    /// What was noted before the row was read.
    pub(super) fn restore_seen(&self, server: &ServerKey, seen: LastSeen) {
        self.with(server, |entry| {
            entry.seen = entry.seen.and(&seen);
            entry.stored = entry.stored.and(&seen);
        });
    }

    /// After the clock was set back: what was noted before would hide all that comes.
    pub(super) fn nothing_seen_after(&self, now: Timestamp) {
        self.entries.write().values_mut().for_each(|entry| entry.seen.not_after(now));
    }

    /// Whether one of its kernels is busy, as the server said at that moment; None: it does not say.
    pub(super) fn note_kernels(&self, server: &ServerKey, busy: Option<bool>, at: Timestamp) {
        self.change(server, |entry| {
            let has_answered = entry.kernels.has_answered || busy.is_some();
            entry.kernels = Kernels { busy, asked_at: Some(at), has_answered };
            if busy == Some(true) {
                entry.seen.note(ActivitySource::Kernel, at);
            }
        });
    }

    /// A question for its kernels has come to an end. If nothing was noted since it `began`, nobody knows of them.
    pub(super) fn kernels_were_asked(&self, server: &ServerKey, began: Timestamp, at: Timestamp) {
        self.change(server, |entry| {
            let was_noted = entry.kernels.asked_at.is_some_and(|noted| noted >= began);
            entry.kernels.busy = entry.kernels.busy.filter(|_| was_noted);
            entry.kernels.asked_at = Some(at);
        });
    }

    /// A new start: nothing that was said of the one before holds.
    pub(super) fn begin_anew(&self, server: &ServerKey) {
        self.change(server, |entry| {
            (entry.kernels, entry.extended, entry.warned) = (Kernels::default(), None, None);
        });
    }

    /// Gives what it was before.
    pub(super) fn set_extended(&self, server: &ServerKey, extended: Option<IdleExtension>) -> Option<IdleExtension> {
        let mut entries = self.entries.write();
        entries.get_mut(server).and_then(|entry| std::mem::replace(&mut entry.extended, extended))
    }

    pub(super) fn set_warned(&self, server: &ServerKey, warned: Warned) {
        self.change(server, |entry| entry.warned = Some(warned));
    }

    pub(super) fn set_idle_end(&self, server: &ServerKey, end: Option<IdleEnd>) {
        self.change(server, |entry| entry.idle_end = end);
    }

    pub(super) fn idle_end(&self, server: &ServerKey) -> Option<IdleEnd> {
        self.entries.read().get(server).and_then(|entry| entry.idle_end)
    }

    /// What its row keeps of its use.
    pub(super) fn kept(&self, server: &ServerKey) -> (LastSeen, Option<IdleExtension>) {
        self.entries.read().get(server).map(|entry| (entry.seen(), entry.extended)).unwrap_or_default()
    }

    /// What is known of a server that is ready; None: it is not.
    pub(super) fn facts(&self, server: &ServerKey) -> Option<Facts> {
        self.entries.read().get(server).and_then(|entry| entry.facts()).map(|(_, facts)| facts)
    }

    /// The same of those that are ready among the next `count` after `last`. Gives the last of them, None at the end.
    pub(super) fn each_ready(
        &self,
        last: Option<&ServerKey>,
        count: usize,
        mut visit: impl FnMut(&ServerKey, Generation, &Facts),
    ) -> Option<ServerKey> {
        let entries = self.entries.read();
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut passed = None;
        for (server, entry) in entries.range::<ServerKey, _>((from, Bound::Unbounded)).take(count) {
            if let Some((generation, facts)) = entry.facts() {
                visit(server, generation, &facts);
            }
            passed = Some(server);
        }
        passed.cloned()
    }

    fn change(&self, server: &ServerKey, act: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.write().get_mut(server) {
            act(entry);
        }
    }

    pub(super) fn forget(&self, server: &ServerKey) {
        self.entries.write().remove(server);
        self.changes.tell(server, false);
    }

    fn with<T>(&self, server: &ServerKey, act: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.entries.write();
        let new = || Entry {
            status: ServerStatus::stopped(self.opened_at),
            followers: None,
            seen: LastSeen::default(),
            kernels: Kernels::default(),
            extended: None,
            idle_end: None,
            warned: None,
            stored: LastSeen::default(),
            route: None,
            log_tail: None,
            record: None,
        };
        act(entries.entry(server.clone()).or_insert_with(|| Box::new(new())))
    }
}

impl Entry {
    fn follow(&mut self) -> watch::Receiver<ServerStatus> {
        self.followers.get_or_insert_with(|| watch::Sender::new(self.status.clone())).subscribe()
    }

    /// The last one who went has left a place for the next; here it is given up.
    fn tell_followers(&mut self) {
        self.followers = self.followers.take().filter(|followers| followers.receiver_count() > 0);
        if let Some(followers) = &self.followers {
            followers.send_replace(self.status.clone());
        }
    }

    /// By source, with what passes through the route.
    fn seen(&self) -> LastSeen {
        let mut seen = self.seen;
        if let Some(route) = &self.route {
            for source in [ActivitySource::Request, ActivitySource::WebSocket] {
                if let Some(at) = route.upstream.last_seen(source) {
                    seen.note(source, at);
                }
            }
        }
        seen
    }

    /// None: it is not ready.
    fn facts(&self) -> Option<(Generation, Facts)> {
        let Self { kernels, extended, warned, .. } = *self;
        let facts = Facts { seen: self.seen(), started_at: self.status.started_at, kernels, extended, warned };
        (self.status.state == ServerState::Ready).then_some((self.status.generation, facts))
    }

    /// Of all sources: what JupyterHub's API tells.
    fn last_activity(&self) -> Option<Timestamp> {
        self.seen().latest(Switches::ALL).map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{UpstreamAddress, UserName};

    fn alice() -> ServerKey {
        ServerKey::default_of(UserName::parse("alice").expect("a name"))
    }

    #[test]
    fn activity_only_moves_forward_and_outlives_the_route() {
        let board = Board::new(Timestamp(0));
        assert_eq!(board.last_activity(&alice()), None);
        board.note_activity(&alice(), ActivitySource::Reported, Timestamp(10));
        board.note_activity(&alice(), ActivitySource::Reported, Timestamp(5));
        assert_eq!(board.last_activity(&alice()), Some(Timestamp(10)));
        let address = UpstreamAddress::Tcp(([127, 0, 0, 1], 1).into());
        let route = Arc::new(Route::new(alice(), Generation(1), address, Timestamp(7)));
        board.set_route(&alice(), Some(route.clone()));
        route.touch(ActivitySource::Request, Timestamp(30));
        board.set_route(&alice(), None);
        assert_eq!(board.last_activity(&alice()), Some(Timestamp(30)));
    }

    #[test]
    fn activity_is_due_for_the_store_once_it_is_newer_by_the_resolution() {
        let resolution = Duration::from_millis(30);
        let board = Board::new(Timestamp(0));
        let _watched_but_never_started = board.watch(&alice());
        assert_eq!(board.unstored_activity(resolution), []);
        board.note_activity(&alice(), ActivitySource::Reported, Timestamp(100));
        let stamps = |resolution: Duration| -> Vec<i64> {
            let unstored = board.unstored_activity(resolution);
            unstored.iter().filter_map(|(_, seen)| Some(seen.of(ActivitySource::Reported)?.0)).collect()
        };
        assert_eq!(stamps(resolution), [100], "the first is due at once");
        board.activity_is_stored(&board.unstored_activity(resolution));
        board.note_activity(&alice(), ActivitySource::Reported, Timestamp(129));
        assert!(stamps(resolution).is_empty());
        assert_eq!(stamps(Duration::ZERO), [129], "at the end everything is");
        board.note_activity(&alice(), ActivitySource::Reported, Timestamp(130));
        assert_eq!(stamps(resolution), [130]);
        board.activity_is_stored(&board.unstored_activity(resolution));
        board.note_activity(&alice(), ActivitySource::Request, Timestamp(100));
        assert_eq!(stamps(resolution), [130], "another source is due though the latest is stored");
    }

    #[test]
    fn who_follows_hears_and_nothing_is_kept_for_those_who_have_gone() {
        let board = Board::new(Timestamp(0));
        let has_followers = || board.entries.read().get(&alice()).is_some_and(|entry| entry.followers.is_some());
        let now =
            |generation| ServerStatus { generation: Generation(generation), ..ServerStatus::stopped(Timestamp(0)) };
        board.publish(&alice(), now(1));
        assert!(!has_followers(), "nobody has asked");
        let mut first = board.watch(&alice());
        assert_eq!(*first.borrow_and_update(), now(1), "the present one is seen at once");
        board.publish(&alice(), now(1));
        assert!(!first.has_changed().expect("open"), "nothing is new");
        let second = board.watch(&alice());
        board.publish(&alice(), now(2));
        assert_eq!((first.borrow_and_update().clone(), second.borrow().clone()), (now(2), now(2)));
        drop((first, second));
        board.publish(&alice(), now(3));
        assert!(!has_followers());
        assert_eq!(*board.watch(&alice()).borrow(), now(3));
    }

    #[test]
    fn an_entry_of_a_server_left_alone_is_small() {
        assert!(size_of::<Entry>() <= 560);
    }

    #[test]
    fn a_server_nobody_has_heard_of_is_stopped_and_can_be_watched() {
        let board = Board::new(Timestamp(3));
        let watch = board.watch(&alice());
        assert_eq!(*watch.borrow(), ServerStatus::stopped(Timestamp(3)));
        assert!(board.active().is_empty());
    }
}
