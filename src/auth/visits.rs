//! Who opens whose server: what owners are told, and the audit log.
//!
//! The edge notes a visit in memory and waits for nothing; rows follow within seconds. One visitor gives one row a
//! server and hour: the log says that somebody was there, the access log says what they asked for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{Auth, Caller, Shared};
use crate::model::{Actor, ServerKey, Timestamp, UserName};
use crate::store::StoreError;

/// A visitor gives one row a server in this time.
const ROW_EVERY: Duration = Duration::from_secs(3600);
/// Owners are told of visits of this time.
const TOLD_FOR: Duration = Duration::from_secs(86_400);
/// Pairs of visitor and server that are remembered: some 2 MB. Of more, the log has no row, and we warn.
pub(super) const VISITS_LIMIT: usize = 10_000;

/// Somebody who opened somebody else's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// A user or a service.
    pub name: String,
    /// Which server.
    pub server: ServerKey,
    /// Their last request.
    pub at: Timestamp,
}

/// Visits of the last day, and the rows that are not written yet.
#[derive(Default)]
pub(super) struct Visits {
    servers: HashMap<ServerKey, Vec<Seen>>,
    count: usize,
    rows: Vec<VisitRow>,
    /// Visits that found no room since the last look.
    lost: usize,
}

struct Seen {
    visitor: String,
    at: Timestamp,
    row_at: Timestamp,
}

/// One row to be.
struct VisitRow {
    at: Timestamp,
    by: Actor,
    server: ServerKey,
}

impl Visits {
    fn note(&mut self, caller: &Caller, server: &ServerKey, from: IpAddr, now: Timestamp) {
        let Some(name) = caller.name() else { return };
        let known = self.servers.get_mut(server).and_then(|seen| seen.iter_mut().find(|seen| seen.visitor == name));
        match known {
            Some(seen) => {
                seen.at = now;
                // A clock that was set back makes no row; one that was set forward makes one early.
                if now.since(seen.row_at) < ROW_EVERY {
                    return;
                }
                seen.row_at = now;
            }
            None => {
                if self.count >= VISITS_LIMIT {
                    self.lost += 1;
                    return;
                }
                self.count += 1;
                let seen = Seen { visitor: name.to_owned(), at: now, row_at: now };
                self.servers.entry(server.clone()).or_default().push(seen);
            }
        }
        let token = caller.token().and_then(|token| token.id);
        let by = Actor { name: name.to_owned(), from: Some(from), token };
        self.rows.push(VisitRow { at: now, by, server: server.clone() });
    }

    fn forget_old(&mut self, now: Timestamp) {
        self.servers.retain(|_, seen| {
            seen.retain(|seen| now.since(seen.at) < TOLD_FOR);
            !seen.is_empty()
        });
        self.count = self.servers.values().map(Vec::len).sum();
    }
}

impl Auth {
    /// Notes that `caller`, who may, opened `server`. Nothing happens, and nothing is allocated, if it is their own.
    pub fn note_visit(&self, caller: &Caller, server: &ServerKey, from: IpAddr) {
        if caller.user().is_some_and(|user| user.name == server.user) {
            return;
        }
        self.0.visits.lock().note(caller, server, from, self.0.now());
    }

    /// Who opened this user's servers in the last day, the latest first.
    #[must_use]
    pub fn visits_of(&self, user: &UserName) -> Vec<Visitor> {
        let now = self.0.now();
        let visits = self.0.visits.lock();
        let of_user = visits.servers.iter().filter(|(server, _)| server.user == *user);
        let mut visitors: Vec<_> = of_user
            .flat_map(|(server, seen)| seen.iter().map(move |seen| (server, seen)))
            .filter(|(_, seen)| now.since(seen.at) < TOLD_FOR)
            .map(|(server, seen)| Visitor { name: seen.visitor.clone(), server: server.clone(), at: seen.at })
            .collect();
        visitors.sort_by(|a, b| (b.at, &a.name).cmp(&(a.at, &b.name)));
        visitors
    }
}

impl Shared {
    /// Writes the rows that are due; what could not be written is tried again.
    pub(super) fn write_visits(&self) -> Result<(), StoreError> {
        let (rows, lost) = {
            let mut visits = self.visits.lock();
            visits.forget_old(self.now());
            (std::mem::take(&mut visits.rows), std::mem::take(&mut visits.lost))
        };
        if lost > 0 {
            tracing::warn!(
                lost,
                limit = VISITS_LIMIT,
                "too many visits to others' servers: some are not in the audit log"
            );
        }
        if rows.is_empty() {
            return Ok(());
        }
        let written = self.store.write(|t| {
            rows.iter().try_for_each(|row| t.audit(row.at, &row.by, "opened server of", &place_of(&row.server)))
        });
        if written.is_err() {
            // At most as many as there are pairs: each made one.
            let mut visits = self.visits.lock();
            let newer = std::mem::replace(&mut visits.rows, rows);
            visits.rows.extend(newer);
        }
        written
    }
}

/// `alice`, or `alice/gpu` for a named server.
fn place_of(server: &ServerKey) -> String {
    if server.name.is_default() { server.user.to_string() } else { server.scope_name() }
}
