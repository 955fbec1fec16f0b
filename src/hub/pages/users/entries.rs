//! What the list shows of everybody, gathered from accounts and servers in one go.

use std::collections::HashMap;
use std::sync::Arc;

use super::wish::{Access, Entry, Server};
use crate::auth::User;
use crate::hub::HubState;
use crate::hub::activity::Using;
use crate::model::{ServerKey, ServerState, UserName};

/// An entry for each user, in no order. Ten thousand of them take some 10 ms.
pub(super) fn everybody(state: &HubState) -> Vec<Entry> {
    let servers = liveliest_servers(state);
    let (using, scores) = (state.using_of_everybody(), state.activity.scores());
    let everybody = state.auth.everybody();
    let entries = everybody.into_iter().map(|user| {
        let score = scores.get(&user.name).filter(|(created, _)| *created == user.created());
        let using = using.get(&user.name).copied().unwrap_or_default();
        let using = Using { activity: score.map(|(_, score)| *score), ..using };
        entry_of(state, &user, servers.get(&user.name).copied(), using)
    });
    entries.collect()
}

/// One user's.
pub(super) fn of(state: &HubState, name: &UserName) -> Option<Entry> {
    let user = state.auth.user(name)?;
    let servers = state.spawner.servers_of(name).into_iter().map(|(_, status)| server_of(&status.state));
    Some(entry_of(state, &user, servers.min(), state.using_of(name, user.created())))
}

fn entry_of(state: &HubState, user: &Arc<User>, server: Option<Server>, using: Using) -> Entry {
    let own_server = ServerKey::default_of(user.name.clone());
    let profile = user.profile();
    let access = match (user.is_disabled(), user.is_authorised()) {
        (true, _) => Access::Disabled,
        (false, true) => Access::LetIn,
        (false, false) => Access::Waiting,
    };
    Entry {
        name: user.name.clone(),
        real_name: profile.full_name(),
        email: profile.email().to_owned(),
        groups: state.auth.groups_of(&user.name),
        admin: user.is_admin(),
        access,
        must_change_password: user.must_change_password(),
        has_second_factor: user.has_second_factor(),
        server: server.unwrap_or(Server::Stopped),
        active_at: user.last_activity().max(state.spawner.last_activity(&own_server)),
        created: user.created(),
        using,
    }
}

/// The liveliest server of each user who has one that is not plainly stopped.
fn liveliest_servers(state: &HubState) -> HashMap<UserName, Server> {
    let mut servers = HashMap::new();
    for (key, status) in state.spawner.active() {
        let server = server_of(&status.state);
        servers.entry(key.user).and_modify(|other: &mut Server| *other = server.min(*other)).or_insert(server);
    }
    servers
}

/// The list's word for a state.
pub(super) fn server_of(state: &ServerState) -> Server {
    match state {
        ServerState::Ready => Server::Ready,
        ServerState::Starting(_) | ServerState::Restarting => Server::Starting,
        ServerState::Stopping => Server::Stopping,
        ServerState::Failed(_) => Server::Failed,
        ServerState::Stopped => Server::Stopped,
    }
}
