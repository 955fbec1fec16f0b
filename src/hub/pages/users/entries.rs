//! What the list shows of everybody, gathered from accounts and servers in one go.

use std::collections::HashMap;
use std::sync::Arc;

use super::wish::{Access, Entry, Server, TimeLeft};
use crate::auth::User;
use crate::hub::HubState;
use crate::hub::activity::Using;
use crate::hub::idle::tone_of;
use crate::model::{ServerKey, ServerState, UserName};

/// An entry for each user, in no order. Ten thousand of them take some 10 ms.
pub(super) fn everybody(state: &HubState) -> Vec<Entry> {
    let servers = liveliest_servers(state);
    let (using, scores) = (state.using_of_everybody(), state.activity.scores());
    let everybody = state.auth.everybody();
    let entry = |user: Arc<User>| {
        let (server, idle) = servers.get(&user.name).copied().unwrap_or((Server::Stopped, None));
        let score = scores.get(&user.name).filter(|(created, _)| *created == user.created());
        let using = using.get(&user.name).copied().unwrap_or_default();
        let using = Using { activity: score.map(|(_, score)| *score), ..using };
        entry_of(state, &user, server, idle, using)
    };
    everybody.into_iter().map(entry).collect()
}

/// One user's.
pub(super) fn of(state: &HubState, name: &UserName) -> Option<Entry> {
    let user = state.auth.user(name)?;
    let servers = state.spawner.servers_of(name).into_iter().map(|(_, status)| server_of(&status.state));
    let using = state.using_of(name, user.created());
    Some(entry_of(state, &user, servers.min().unwrap_or(Server::Stopped), None, using))
}

fn entry_of(state: &HubState, user: &Arc<User>, server: Server, idle: Option<TimeLeft>, using: Using) -> Entry {
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
        server,
        idle,
        active_at: user.last_activity().max(state.spawner.last_activity(&own_server)),
        created: user.created(),
        using,
    }
}

/// The liveliest server of each user who has one that is not plainly stopped, and the first end of any of theirs.
fn liveliest_servers(state: &HubState) -> HashMap<UserName, (Server, Option<TimeLeft>)> {
    let mut servers = HashMap::new();
    for (key, status) in state.spawner.active() {
        let (server, end) = (server_of(&status.state), end_of(state, &key));
        let of_user = servers.entry(key.user).or_insert((server, end));
        of_user.0 = server.min(of_user.0);
        of_user.1 = [of_user.1, end].into_iter().flatten().min_by_key(|end| end.deadline);
    }
    servers
}

fn end_of(state: &HubState, server: &ServerKey) -> Option<TimeLeft> {
    let view = state.spawner.idle_view(server)?;
    let (deadline, left) = view.deadline.zip(view.remaining)?;
    let used = view.last.map(|(source, _)| source.for_person());
    Some(TimeLeft { deadline, left, tone: tone_of(&view), used })
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
