//! The questions that the edge and the hub's pages ask of a caller. `Rights::check` answers all of them.

use super::{Caller, Target};
use crate::model::{ServerKey, ServiceName};

/// True if the caller may open `server`.
#[must_use]
pub fn may_access_server(caller: &Caller, server: &ServerKey) -> bool {
    caller.with_rights(|rights| rights.allows("access:servers", Target::Server(server)))
}

/// True if the caller may open `service`. Being signed in is not enough (contract §1.7).
#[must_use]
pub fn may_access_service(caller: &Caller, service: &ServiceName) -> bool {
    caller.with_rights(|rights| rights.allows("access:services", Target::Service(service)))
}

/// True if the caller may use routers that are for people. A token is enough that opens all servers of its owner: the
/// tokens of a server and of its visitors are not.
#[must_use]
pub fn may_use_routers(caller: &Caller) -> bool {
    let Some(user) = caller.user() else { return false };
    caller.session().is_some() || caller.with_rights(|rights| rights.allows("access:servers", Target::User(&user.name)))
}

/// True if the caller may start `server`. The tokens that servers and their visitors hold may not.
#[must_use]
pub fn may_start_server(caller: &Caller, server: &ServerKey) -> bool {
    caller.with_rights(|rights| rights.allows("start:servers", Target::Server(server)))
}

/// True if the caller may read the program's figures, and why it is not ready.
#[must_use]
pub fn may_read_figures(caller: &Caller) -> bool {
    caller.with_rights(|rights| rights.allows("read:metrics", Target::All))
}

/// True for an administrator who came with all of it. A role that holds `admin:users` is not enough for our pages:
/// they can change an administrator's password.
#[must_use]
pub fn may_administer(caller: &Caller) -> bool {
    caller.with_rights(|rights| rights.is_administrator() && rights.allows("admin:users", Target::All))
}

/// True for a signed-in person who must change the password before anything else. A token's owner goes on with it:
/// what runs by itself has no password to change; servers of theirs do not start.
#[must_use]
pub fn must_change_password(caller: &Caller) -> bool {
    caller.session().is_some_and(|session| session.user.must_change_password())
}

/// Expanded concrete scopes, sorted, for `GET /hub/api/user` (contract §1.3).
#[must_use]
pub fn scopes_of(caller: &Caller) -> Vec<String> {
    caller.with_rights(|rights| rights.scopes().to_vec())
}
