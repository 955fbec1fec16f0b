//! How many servers there may be: which starts and which new servers are taken. Pure; the driver asks with the numbers of the
//! moment, so two who come for the last place do not both get it.

use std::time::Duration;

use super::{Config, SpawnerError};
use crate::model::ServerName;

/// A refused start is asked to come again after 30 to 60 s, as JupyterHub asks.
const RETRY_FROM_S: u64 = 30;
const RETRY_SPREAD_S: u64 = 31;

/// How many named servers a user may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamedServers {
    /// None: everybody has the default server alone.
    #[default]
    Off,
    /// So many, stopped ones too.
    AtMost(usize),
    /// As many as they like.
    Unlimited,
}

/// What there is at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// Starts under way or waiting.
    pub(super) pending: usize,
    /// Servers that are not at rest, those that start or stop among them.
    pub(super) active: usize,
    /// Starts refused so far: spreads those who come again.
    pub(super) refused: u64,
}

/// Whether one more server may start.
pub(super) fn admit_start(config: &Config, load: Load) -> Result<(), SpawnerError> {
    let retry_after = Duration::from_secs(RETRY_FROM_S + load.refused % RETRY_SPREAD_S);
    if load.pending >= config.concurrent_starts {
        return Err(SpawnerError::TooMany { retry_after });
    }
    if config.active_servers.is_some_and(|limit| load.active >= limit) {
        return Err(SpawnerError::TooManyActive { retry_after });
    }
    Ok(())
}

/// Whether the named server that exists may start: not while named servers are off.
pub(super) fn admit_known(limit: NamedServers, name: &ServerName) -> Result<(), SpawnerError> {
    if limit == NamedServers::Off && !name.is_default() { Err(SpawnerError::NamedServersOff) } else { Ok(()) }
}

/// Whether a user who has `count` named servers may have one more, of this name.
pub(super) fn admit_new(limit: NamedServers, name: &ServerName, count: usize) -> Result<(), SpawnerError> {
    admit_known(limit, name)?;
    name.check_new()?;
    match limit {
        NamedServers::AtMost(limit) if count >= limit => Err(SpawnerError::TooManyNamed { limit }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_taken_while_there_is_a_place() {
        let config = Config { concurrent_starts: 2, active_servers: Some(3), ..Config::default() };
        let admit = |pending, active| admit_start(&config, Load { pending, active, refused: 0 });
        assert!(admit(1, 2).is_ok());
        assert!(matches!(admit(2, 2), Err(SpawnerError::TooMany { .. })));
        assert!(matches!(admit(1, 3), Err(SpawnerError::TooManyActive { .. })));
        let unlimited = Config { active_servers: None, ..config };
        assert!(admit_start(&unlimited, Load { pending: 1, active: 100_000, refused: 0 }).is_ok());
    }

    #[test]
    fn those_who_are_refused_come_again_at_different_times() {
        let config = Config { concurrent_starts: 0, ..Config::default() };
        for refused in 0..100 {
            let refusal = admit_start(&config, Load { refused, ..Load::default() });
            let Err(SpawnerError::TooMany { retry_after }) = refusal else { panic!("{refusal:?}") };
            assert!((30..=60).contains(&retry_after.as_secs()), "{retry_after:?}");
        }
    }

    #[test]
    fn a_user_has_so_many_named_servers_of_plain_names() {
        let admit = |limit, name: &str, count| admit_new(limit, &ServerName::parse(name).expect("a name"), count);
        assert!(matches!(admit(NamedServers::Off, "gpu", 0), Err(SpawnerError::NamedServersOff)));
        assert!(admit(NamedServers::AtMost(2), "gpu", 1).is_ok());
        assert!(matches!(admit(NamedServers::AtMost(2), "gpu", 2), Err(SpawnerError::TooManyNamed { limit: 2 })));
        assert!(admit(NamedServers::Unlimited, "gpu", 1_000).is_ok());
        assert!(matches!(admit(NamedServers::Unlimited, "My_GPU", 0), Err(SpawnerError::BadName(_))));
        let odd = ServerName::parse("My_GPU").expect("a name");
        assert!(admit_known(NamedServers::AtMost(0), &odd).is_ok(), "what exists keeps its name");
    }
}
