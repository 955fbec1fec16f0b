//! Which servers a notice goes to.
//!
//! Every ready server of a person, also those with a name: who works in one of those would miss what is said in the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::hub::HubState;
use crate::model::{ServerKey, ServerState, Undelivered, UserName};

/// Whom a notice is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hub) enum Audience {
    /// Everybody whose server runs.
    All,
    /// These people; who is none of ours is left out.
    Chosen(BTreeSet<UserName>),
}

/// One server that a notice is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hub) struct Addressee {
    pub(in crate::hub) server: ServerKey,
    /// Why it cannot be told, if that is known already.
    pub(in crate::hub) hindrance: Option<Undelivered>,
}

impl Audience {
    /// The servers that are meant now, in order of name.
    pub(in crate::hub) fn addressees(&self, state: &HubState) -> Vec<Addressee> {
        let active = state.spawner.active().into_iter().map(|(server, status)| (server, status.state)).collect();
        addressees(self, active, |name| state.auth.user(name).is_some())
    }
}

fn addressees(
    audience: &Audience,
    active: Vec<(ServerKey, ServerState)>,
    is_known: impl Fn(&UserName) -> bool,
) -> Vec<Addressee> {
    let mut meant = BTreeMap::new();
    for (server, state) in active {
        let is_meant = match audience {
            // One that has failed is not on its way to anywhere.
            Audience::All => !state.is_down(),
            Audience::Chosen(names) => !state.is_down() && names.contains(&server.user),
        };
        if is_meant {
            meant.insert(server, hindrance(&state));
        }
    }
    if let Audience::Chosen(names) = audience {
        // Somebody chose them: that they run no server is what became of it.
        let with_server: BTreeSet<_> = meant.keys().map(|server: &ServerKey| server.user.clone()).collect();
        for name in names.difference(&with_server).filter(|name| is_known(name)) {
            meant.insert(ServerKey::default_of(name.clone()), Some(Undelivered::NotRunning));
        }
    }
    meant.into_iter().map(|(server, hindrance)| Addressee { server, hindrance }).collect()
}

fn hindrance(state: &ServerState) -> Option<Undelivered> {
    match state {
        ServerState::Ready => None,
        state if state.pending() == Some("spawn") => Some(Undelivered::Starting),
        _ => Some(Undelivered::NotRunning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, Phase, ServerName, Timestamp};

    fn key(user: &str, name: &str) -> ServerKey {
        ServerKey { user: UserName::parse(user).expect("a name"), name: ServerName::parse(name).expect("a name") }
    }

    fn told(audience: &Audience) -> Vec<(String, Option<Undelivered>)> {
        let failure = Failure { sentence: String::new(), exit_code: None, log_tail: vec![], at: Timestamp(0) };
        let active = vec![
            (key("alice", ""), ServerState::Ready),
            (key("alice", "gpu"), ServerState::Ready),
            (key("bob", ""), ServerState::Starting(Phase::Create)),
            (key("carol", ""), ServerState::Failed(failure)),
            (key("dave", ""), ServerState::Stopping),
        ];
        let told = addressees(audience, active, |name| name.as_str() != "nobody");
        told.into_iter().map(|addressee| (addressee.server.to_string(), addressee.hindrance)).collect()
    }

    #[test]
    fn everybody_is_whoever_runs_a_server() {
        let expected = [
            ("alice".to_owned(), None),
            ("alice/gpu".to_owned(), None),
            ("bob".to_owned(), Some(Undelivered::Starting)),
            ("dave".to_owned(), Some(Undelivered::NotRunning)),
        ];
        assert_eq!(told(&Audience::All), expected);
    }

    #[test]
    fn who_was_chosen_and_runs_nothing_is_told_of_and_strangers_are_left_out() {
        let names = ["alice", "carol", "erin", "nobody"].map(|name| UserName::parse(name).expect("a name"));
        let expected = [
            ("alice".to_owned(), None),
            ("alice/gpu".to_owned(), None),
            ("carol".to_owned(), Some(Undelivered::NotRunning)),
            ("erin".to_owned(), Some(Undelivered::NotRunning)),
        ];
        assert_eq!(told(&Audience::Chosen(names.into())), expected);
    }
}
