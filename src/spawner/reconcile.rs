//! Turns what the engine says exists into events of lives, and keeps asking it: its event stream, and a list now and
//! then, because streams lose events.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tracing::{info, warn};

use super::backend::{Backend, BackendError, Found};
use super::driver::Mail;
use super::life::{Event, Fact, Life};
use crate::model::ServerKey;

/// Longest pause before the engine is asked again after it failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What one listing means for the lives we know. `None` as a life: we have never heard of that server.
pub(super) fn events_of_listing<'a>(
    known: impl Iterator<Item = (&'a ServerKey, &'a Life)> + Clone,
    life_of: impl Fn(&ServerKey) -> Option<&'a Life>,
    found: &[Found],
) -> Vec<(ServerKey, Event)> {
    let listed: HashSet<_> = found.iter().map(|found| (&found.server, found.generation)).collect();
    let seen = found.iter().map(|found| {
        let is_expected =
            life_of(&found.server).is_some_and(|life| life.generation == found.generation && !life.state.is_at_rest());
        let event = if is_expected {
            Event::Fact(found.generation, Fact::Sighted(found.sight.clone()))
        } else {
            Event::Leftover(found.generation)
        };
        (found.server.clone(), event)
    });
    let missing = known
        .filter(|(server, life)| !life.state.is_at_rest() && !listed.contains(&(*server, life.generation)))
        .map(|(server, life)| (server.clone(), Event::Fact(life.generation, Fact::Missing)));
    seen.chain(missing).collect()
}

/// Watches the engine for as long as the program runs: subscribes, lists at once (what happened before the
/// subscription is in the list), then follows the stream and lists every `list_interval`. An engine that is gone is
/// asked again with growing pauses.
pub(super) async fn watch_engine(
    backend: Arc<dyn Backend>,
    mail: mpsc::Sender<Mail>,
    list_interval: Duration,
    engine_timeout: Duration,
) {
    let mut pause = Duration::from_millis(100);
    let mut was_lost = false;
    loop {
        match follow(&*backend, &mail, list_interval, engine_timeout, &mut was_lost).await {
            Ok(Ended::Closed) => return,
            Ok(Ended::Stream) => pause = Duration::from_millis(100),
            Err(error) if !was_lost => {
                warn!(
                    engine = backend.name(),
                    error = &error as &dyn std::error::Error,
                    "the engine does not answer; running servers stay"
                );
            }
            Err(_) => {}
        }
        was_lost = true;
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

enum Ended {
    /// The engine closed its stream.
    Stream,
    /// Nobody listens to us any more.
    Closed,
}

async fn follow(
    backend: &dyn Backend,
    mail: &mpsc::Sender<Mail>,
    list_interval: Duration,
    engine_timeout: Duration,
    was_lost: &mut bool,
) -> Result<Ended, BackendError> {
    let silent = |act| BackendError::Slow { engine: backend.name(), act, limit: engine_timeout };
    let mut notices =
        timeout(engine_timeout, backend.events()).await.unwrap_or_else(|_| Err(silent("send its events")))?;
    let mut interval = interval_at(Instant::now(), list_interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let letter = tokio::select! {
            _ = interval.tick() => {
                let found = timeout(engine_timeout, backend.list()).await.unwrap_or_else(|_| Err(silent("list")))?;
                if std::mem::take(was_lost) {
                    info!(engine = backend.name(), servers = found.len(), "the engine answers again");
                }
                Mail::Listed(found)
            }
            notice = notices.next() => match notice {
                Some(notice) => Mail::Noticed(notice),
                None => return Ok(Ended::Stream),
            },
        };
        if mail.send(letter).await.is_err() {
            return Ok(Ended::Closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Generation, Timestamp, UpstreamAddress, UserName};
    use crate::spawner::backend::Sight;
    use crate::spawner::life::State;
    use std::collections::HashMap;

    fn key(user: &str) -> ServerKey {
        ServerKey::default_of(UserName::parse(user).expect("a name"))
    }

    fn address() -> UpstreamAddress {
        UpstreamAddress::Tcp(([127, 0, 0, 1], 1).into())
    }

    fn found(user: &str, generation: u64) -> Found {
        Found {
            server: key(user),
            generation: Generation(generation),
            handle: serde_json::Value::Null.into(),
            sight: Sight::Running(address()),
        }
    }

    fn check(lives: &[(&str, Life)], list: &[Found], expected: &[(&str, Event)]) {
        let lives: HashMap<ServerKey, Life> = lives.iter().map(|(user, life)| (key(user), life.clone())).collect();
        let mut events = events_of_listing(lives.iter(), |server| lives.get(server), list);
        events.sort_by(|a, b| a.0.cmp(&b.0));
        let expected: Vec<_> = expected.iter().map(|(user, event)| (key(user), event.clone())).collect();
        assert_eq!(events, expected);
    }

    #[test]
    fn a_listing_is_turned_into_the_same_events_as_everything_else() {
        let ready =
            |generation| Life { generation: Generation(generation), state: State::Ready { address: address() } };
        let recovering = Life {
            generation: Generation(4),
            state: State::Recovering { again: false, restarts: false, deadline: Timestamp(9) },
        };
        let sighted = |generation| Event::Fact(Generation(generation), Fact::Sighted(Sight::Running(address())));
        check(
            &[("a", ready(2)), ("b", recovering), ("c", Life::at_rest(Generation(3), None)), ("d", ready(7))],
            &[found("a", 2), found("b", 4), found("c", 3), found("e", 1)],
            &[
                ("a", sighted(2)),
                ("b", sighted(4)),
                ("c", Event::Leftover(Generation(3))),
                ("d", Event::Fact(Generation(7), Fact::Missing)),
                ("e", Event::Leftover(Generation(1))),
            ],
        );
        let missing = Event::Fact(Generation(5), Fact::Missing);
        check(&[("a", ready(5))], &[found("a", 4)], &[("a", Event::Leftover(Generation(4))), ("a", missing)]);
    }
}
