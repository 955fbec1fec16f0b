//! What a scope means, in words for the person who is asked to grant it.

use crate::auth::Auth;
use crate::model::{Filter, Scope};

/// What each scope lets a program do (contract §4.1).
const MEANINGS: &[(&str, &str)] = &[
    ("inherit", "Do everything that you may do"),
    ("self", "Do everything that you may do with your own account and servers"),
    ("access:servers", "Open servers"),
    ("access:services", "Open services"),
    ("admin-ui", "See the pages for administrators"),
    ("admin:auth_state", "Read what sign-in has kept about people"),
    ("admin:groups", "Make, change and delete groups"),
    ("admin:server_state", "Read the internal state of servers"),
    ("admin:servers", "Start and stop servers, and read their internal state"),
    ("admin:services", "Make, see and delete services"),
    ("admin:users", "Make, change and delete people’s accounts"),
    ("delete:groups", "Delete groups"),
    ("delete:servers", "Stop and delete servers"),
    ("delete:users", "Delete people’s accounts"),
    ("groups", "See groups, and change who is in them"),
    ("groups:shares", "See and change what is shared with groups"),
    ("list:groups", "List groups"),
    ("list:services", "List services"),
    ("list:users", "List people"),
    ("proxy", "See and change where addresses lead"),
    ("read:audit", "Read the audit log: who did what, and from where"),
    ("read:groups", "See groups and who is in them"),
    ("read:groups:name", "See names of groups"),
    ("read:groups:shares", "See what is shared with groups"),
    ("read:hub", "See details of this installation"),
    ("read:metrics", "Read figures about this installation"),
    ("read:roles", "See roles"),
    ("read:roles:groups", "See roles of groups"),
    ("read:roles:services", "See roles of services"),
    ("read:roles:users", "See roles of people"),
    ("read:servers", "See servers and what they are doing"),
    ("read:services", "See services"),
    ("read:services:name", "See names of services"),
    ("read:shares", "See who servers are shared with"),
    ("read:tokens", "See which tokens there are"),
    ("read:users", "See accounts: names, groups and when they were active"),
    ("read:users:activity", "See when people were active"),
    ("read:users:groups", "See which groups people are in"),
    ("read:users:name", "See names of people"),
    ("read:users:shares", "See what is shared with people"),
    ("servers", "Start and stop servers"),
    ("shares", "Share servers, and open what is shared"),
    ("shutdown", "Stop this installation"),
    ("start:servers", "Start servers"),
    ("tokens", "Make, see and end tokens"),
    ("users", "See accounts, and change them"),
    ("users:activity", "Report when people were active"),
    ("users:shares", "See and change what is shared with people"),
];

/// `scope` in words, with whom or what it is about.
pub(super) fn of(auth: &Auth, scope: &Scope) -> String {
    let name = scope.name.as_str();
    let known = MEANINGS.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning);
    let custom = auth.custom_description(&scope.name);
    let meaning = known.or(custom.as_deref()).unwrap_or(name);
    match about(&scope.filter) {
        Some(whom) => format!("{meaning} ({whom})"),
        None => meaning.to_owned(),
    }
}

fn about(filter: &Filter) -> Option<String> {
    match filter {
        Filter::None => None,
        Filter::OwnUser => Some("only yours".to_owned()),
        Filter::OwnServer => Some("only that server".to_owned()),
        Filter::OwnService => Some("only this service".to_owned()),
        Filter::User(user) => Some(format!("only of {user}")),
        Filter::Server(server) => Some(format!("only {server}")),
        Filter::Group(group) => Some(format!("only for {group}")),
        Filter::Service(service) => Some(format!("only {service}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserName;

    #[test]
    fn every_scope_of_the_contract_has_a_meaning() {
        for (name, _) in MEANINGS {
            assert!(name.parse::<Scope>().is_ok(), "{name} is no scope");
        }
        let contract = include_str!("../../model/scope.rs");
        let table = contract.split("const SCOPES").nth(1).and_then(|rest| rest.split("];").next()).expect("the table");
        for line in table.lines().filter_map(|line| line.trim().strip_prefix("(\"")) {
            let name = line.split('"').next().expect("a name");
            assert!(MEANINGS.iter().any(|(known, _)| *known == name), "{name} has no meaning");
        }
    }

    #[test]
    fn a_filter_says_whom_it_is_about() {
        assert_eq!(about(&Filter::None), None);
        assert_eq!(about(&Filter::User(UserName::parse("ada").expect("a name"))).as_deref(), Some("only of ada"));
    }
}
