//! The table by example, and by random stories that must keep its promises.

use super::*;
use proptest::prelude::*;

const DEADLINES: Deadlines = Deadlines {
    image: Duration::from_secs(1_800),
    queue: Duration::from_secs(600),
    start: Duration::from_secs(60),
    ready: Duration::from_secs(30),
    restart: Duration::from_secs(80),
    end: Duration::from_secs(40),
    look: Duration::from_secs(10),
};

fn address(port: u16) -> UpstreamAddress {
    UpstreamAddress::Tcp(([127, 0, 0, 1], port).into())
}

fn stopped() -> Life {
    Life::at_rest(Generation(0), None)
}

/// Tells `events` to `life`, a second apart; gives the last life and all actions.
fn tell(mut life: Life, events: Vec<Event>) -> (Life, Vec<Action>) {
    let mut all = Vec::new();
    for (second, event) in events.into_iter().enumerate() {
        let now = Timestamp(i64::try_from(second).expect("few events") * 1_000);
        let (after, actions) = next(life, event, now, &DEADLINES);
        life = after;
        all.extend(actions);
    }
    (life, all)
}

fn fact(generation: u64, fact: Fact) -> Event {
    Event::Fact(Generation(generation), fact)
}

fn start_of(generation: u64) -> Vec<Event> {
    vec![
        Event::Start,
        fact(generation, Fact::ImageReady),
        fact(generation, Fact::Turn),
        fact(generation, Fact::Created),
        fact(generation, Fact::Started(address(1))),
        fact(generation, Fact::Answered),
    ]
}

fn ready() -> Life {
    tell(stopped(), start_of(1)).0
}

#[test]
fn a_start_goes_through_its_phases_and_publishes_once_it_answers() {
    let (life, actions) = tell(stopped(), start_of(1));
    assert_eq!(life, Life { generation: Generation(1), state: State::Ready { address: address(1) } });
    assert_eq!(actions, [Prepare, Create, Start, Probe(address(1)), Publish(address(1)), Save]);
}

#[test]
fn many_wishes_are_one_start() {
    let (life, actions) = tell(stopped(), vec![Event::Start, Event::Start, Event::Start]);
    assert_eq!((life.generation, actions), (Generation(1), vec![Prepare]));
}

#[test]
fn a_stop_withdraws_the_route_before_anything_ends() {
    let (life, actions) = tell(ready(), vec![Event::Stop]);
    assert_eq!(life.state.public(), ServerState::Stopping);
    assert_eq!(actions, [Withdraw, Save, CleanUp]);
    let (life, actions) = tell(life, vec![fact(1, Fact::CleanedUp { exit: None, log_tail: vec![] })]);
    assert_eq!((life.state, actions), (State::Stopped, vec![Save]));
}

#[test]
fn a_crash_shows_at_once_and_is_told_with_its_code_and_last_lines() {
    let exit = Exit { code: Some(7), out_of_memory: false };
    let (life, actions) = tell(ready(), vec![fact(1, Fact::Sighted(Sight::Exited(exit)))]);
    assert_eq!((&life, actions), (&ready(), vec![Inspect]), "an event may be old; the engine is asked");
    let (life, actions) = tell(life, vec![fact(1, Fact::Looked(Sight::Exited(exit)))]);
    assert!(matches!(life.state.public(), ServerState::Failed(failure) if failure.exit_code == Some(7)));
    assert_eq!(actions, [Withdraw, Cancel, Save, CleanUp]);
    let (life, _) = tell(life, vec![fact(1, Fact::CleanedUp { exit: Some(exit), log_tail: vec!["boom".into()] })]);
    assert!(matches!(life.state, State::Failed(failure) if failure.log_tail == ["boom"]));
}

#[test]
fn a_start_wished_while_the_last_one_is_cleared_away_follows_it() {
    let (life, _) = tell(ready(), vec![Event::Stop, Event::Start]);
    assert_eq!(life.state.public(), ServerState::Starting(Phase::Image));
    let (life, actions) = tell(life, vec![fact(1, Fact::CleanedUp { exit: None, log_tail: vec![] })]);
    assert_eq!((life.generation, actions), (Generation(2), vec![Prepare]));
}

#[test]
fn a_start_that_fails_is_told_once_its_last_lines_are_there() {
    let awaiting = tell(stopped(), start_of(1).into_iter().take(5).collect()).0;
    let exited = fact(1, Fact::Looked(Sight::Exited(Exit { code: Some(7), out_of_memory: false })));
    // Tabs that reload meanwhile wait for the same start; else a server that cannot start would start for ever.
    let (ending, actions) = tell(awaiting, vec![exited, Event::Start]);
    assert_eq!(ending.state.public(), ServerState::Starting(Phase::Ready));
    assert_eq!(actions, [Cancel, Save, CleanUp]);
    let (life, _) = tell(ending, vec![fact(1, Fact::CleanedUp { exit: None, log_tail: vec!["why".into()] })]);
    assert!(
        matches!(life.state, State::Failed(failure) if failure.log_tail == ["why"] && failure.exit_code == Some(7))
    );
}

#[test]
fn a_server_that_could_not_be_reached_keeps_its_route_until_it_is_known_to_be_dead() {
    let (checking, actions) = tell(ready(), vec![fact(1, Fact::Unreachable), fact(1, Fact::Unreachable)]);
    assert_eq!(checking.state.public(), ServerState::Starting(Phase::Ready));
    assert_eq!(actions, [Inspect, Probe(address(1))]);
    let (back, actions) = tell(checking.clone(), vec![fact(1, Fact::Answered)]);
    assert_eq!((back, actions), (ready(), vec![]));
    let (dead, actions) = tell(checking, vec![fact(1, Fact::Looked(Sight::Gone))]);
    assert!(matches!(dead.state, State::Ending { .. }));
    assert_eq!(actions, [Withdraw, Cancel, Save, CleanUp]);
}

#[test]
fn a_running_server_is_adopted_without_being_written_down_again() {
    let recovering = Life::recovering(Generation(4), false, Timestamp(0), &DEADLINES);
    let sighted = fact(4, Fact::Sighted(Sight::Running(address(9))));
    let (life, actions) = tell(recovering, vec![sighted, fact(4, Fact::Answered)]);
    assert_eq!(life, Life { generation: Generation(4), state: State::Ready { address: address(9) } });
    assert_eq!(actions, [Probe(address(9)), Publish(address(9))]);
}

#[test]
fn what_should_run_and_does_not_is_stopped_or_started_anew_if_somebody_waits() {
    let recovering = Life::recovering(Generation(4), false, Timestamp(0), &DEADLINES);
    let cleaned = || fact(4, Fact::CleanedUp { exit: None, log_tail: vec![] });
    let gone = || fact(4, Fact::Looked(Sight::Gone));
    let (life, _) = tell(recovering.clone(), vec![gone(), cleaned()]);
    assert_eq!(life.state, State::Stopped);
    let (life, _) = tell(recovering, vec![Event::Start, gone(), cleaned()]);
    assert_eq!((life.generation, life.state.public()), (Generation(5), ServerState::Starting(Phase::Image)));
}

#[test]
fn what_no_list_has_is_looked_for_by_its_handle_before_it_is_given_up() {
    for restarts in [false, true] {
        let recovering = Life::recovering(Generation(4), restarts, Timestamp(0), &DEADLINES);
        let (life, actions) = tell(recovering.clone(), vec![fact(4, Fact::Missing)]);
        assert_eq!((life, actions), (recovering, vec![Inspect]), "a container of another hub has no label of ours");
    }
}

#[test]
fn a_leftover_is_removed_and_its_generation_is_not_used_again() {
    let (life, actions) = tell(stopped(), vec![Event::Leftover(Generation(8)), Event::Start]);
    assert_eq!((life.generation, actions), (Generation(9), vec![RemoveLeftover, Prepare]));
    let (_, actions) = tell(ready(), vec![Event::Leftover(Generation(1))]);
    assert_eq!(actions, []);
}

#[test]
fn a_list_that_is_a_moment_old_harms_nobody() {
    for old_news in [Fact::Sighted(Sight::Created), Fact::Sighted(Sight::Running(address(1)))] {
        assert_eq!(tell(ready(), vec![fact(1, old_news)]), (ready(), vec![]));
    }
    let exit = Exit { code: Some(7), out_of_memory: false };
    for reason_to_look in [
        Fact::Missing,
        Fact::Sighted(Sight::Exited(exit)),
        Fact::Sighted(Sight::Gone),
        Fact::Sighted(Sight::Running(address(2))),
    ] {
        assert_eq!(tell(ready(), vec![fact(1, reason_to_look)]), (ready(), vec![Inspect]));
    }
}

#[test]
fn a_server_moved_by_its_engine_gets_a_new_route() {
    let (life, actions) = tell(ready(), vec![fact(1, Fact::Looked(Sight::Running(address(2))))]);
    assert_eq!(actions, [Withdraw, Cancel, Probe(address(2))]);
    assert_eq!(tell(life, vec![fact(1, Fact::Answered)]).1, [Publish(address(2))]);
}

// --- random stories ---

/// A world in which the actions of one life come true or not.
struct World {
    life: Life,
    now: Timestamp,
    /// Actions whose end has not been told yet.
    under_way: Vec<(Generation, Action)>,
    /// What exists at the engine.
    exists: Option<Generation>,
    /// Its program has ended.
    has_exited: bool,
    /// Where it is.
    address: UpstreamAddress,
    published: bool,
}

/// What may happen next in a story.
#[derive(Clone, Debug)]
enum Turn {
    Start,
    Stop,
    /// The oldest step under way ends well.
    Succeed,
    /// It ends badly.
    Fail,
    /// Time passes.
    Wait(u16),
    Exit,
    Vanish,
    Unreachable,
    Missing,
    Restart,
    /// The restart under way, if it is the oldest step, ends without a word of the engine.
    Silence,
    Displace,
    /// The engine's list or event tells what it was like at any moment of this generation.
    OldNews(u8),
    /// News of an earlier start.
    Late(u8),
    Leftover(u8),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => Just(Turn::Start),
        2 => Just(Turn::Stop),
        12 => Just(Turn::Succeed),
        1 => Just(Turn::Fail),
        2 => (0_u16..2_000).prop_map(Turn::Wait),
        1 => Just(Turn::Exit),
        1 => Just(Turn::Vanish),
        1 => Just(Turn::Unreachable),
        1 => Just(Turn::Missing),
        3 => Just(Turn::Restart),
        1 => Just(Turn::Silence),
        1 => Just(Turn::Displace),
        2 => any::<u8>().prop_map(Turn::OldNews),
        1 => any::<u8>().prop_map(Turn::Late),
        1 => (0_u8..40).prop_map(Turn::Leftover),
    ]
}

fn any_fact(number: u8) -> Fact {
    match number % 13 {
        0 => Fact::ImageReady,
        1 => Fact::Turn,
        2 => Fact::Created,
        3 => Fact::Started(address(3)),
        4 => Fact::Answered,
        5 => Fact::Troubled(Trouble::Vanished),
        6 => Fact::Sighted(Sight::Gone),
        7 => Fact::Unreachable,
        8 => Fact::Displaced,
        9 => Fact::Looked(Sight::Gone),
        10 => Fact::Restarted(Sight::Gone),
        11 => Fact::RestartUnknown,
        _ => Fact::CleanedUp { exit: None, log_tail: vec![] },
    }
}

impl World {
    fn new(life: Life) -> Self {
        let exists = matches!(life.state, State::Recovering { .. }).then_some(life.generation);
        Self {
            life,
            now: Timestamp(0),
            under_way: vec![],
            exists,
            has_exited: false,
            address: address(1),
            published: false,
        }
    }

    fn tell(&mut self, event: Event) {
        let before = self.life.clone();
        let (after, actions) = next(before.clone(), event.clone(), self.now, &DEADLINES);
        if matches!(event, Event::Fact(_, Fact::Sighted(_))) && !matches!(before.state, State::Recovering { .. }) {
            assert_eq!(after, before, "what may be old has changed something");
        }

        if matches!(&event, Event::Fact(of, _) if *of != before.generation) {
            assert_eq!((&after, &actions), (&before, &vec![]), "news of another start changed something");
        }
        assert!(after.generation >= before.generation, "generations only grow");
        assert_eq!(
            after.state.deadline().is_none(),
            matches!(after.state, State::Stopped | State::Failed(_) | State::Ready { .. }),
            "whatever is not at rest has a deadline"
        );

        self.life = after;
        for action in actions {
            match action {
                Cancel => self.under_way.retain(|(_, action)| *action == Save),
                Publish(_) => {
                    assert!(!self.published, "published twice");
                    assert_eq!(self.exists, Some(self.life.generation), "published what does not exist");
                    self.published = true;
                }
                Withdraw => {
                    assert!(self.published);
                    self.published = false;
                }
                Save | RemoveLeftover => {}
                CleanUp => {
                    assert!(!self.published, "cleaned up under a published route");
                    self.under_way.push((self.life.generation, CleanUp));
                }
                other => self.under_way.push((self.life.generation, other)),
            }
        }
        let has_route = matches!(self.life.state, State::Ready { .. } | State::Checking { .. });
        assert_eq!(self.published, has_route, "a route exactly while it is ready: {:?}", self.life.state);
    }

    fn fact(&mut self, fact: Fact) {
        self.tell(Event::Fact(self.life.generation, fact));
    }

    /// The oldest step ends well; without one, what the world itself owes: a turn, an engine's answer.
    fn succeed(&mut self) {
        if self.under_way.is_empty() {
            match self.life.state {
                State::Queued { .. } => self.fact(Fact::Turn),
                State::Recovering { .. } if self.exists == Some(self.life.generation) => {
                    let address = self.address.clone();
                    let exited = Sight::Exited(Exit::default());
                    self.fact(Fact::Looked(if self.has_exited { exited } else { Sight::Running(address) }));
                }
                State::Recovering { .. } => self.fact(Fact::Missing),
                // The next listing has it no more, or sees that it has ended: an earlier look may have failed.
                State::Ready { .. } if self.exists != Some(self.life.generation) => self.fact(Fact::Missing),
                State::Ready { .. } if self.has_exited => self.fact(Fact::Sighted(Sight::Exited(Exit::default()))),
                _ => {}
            }
            return;
        }
        let (generation, action) = self.under_way.remove(0);
        let fact = match action {
            Prepare => Fact::ImageReady,
            Create => {
                // The contract of `Backend::create`: a leftover of ours is replaced.
                self.exists = Some(generation);
                self.has_exited = false;
                Fact::Created
            }
            Start => Fact::Started(self.address.clone()),
            // Nothing answers there; the question ends with its deadline.
            Probe(_) if self.exists != Some(generation) || self.has_exited => return,
            Probe(_) => Fact::Answered,
            Inspect if self.exists != Some(generation) => Fact::Looked(Sight::Gone),
            Inspect if self.has_exited => Fact::Looked(Sight::Exited(Exit::default())),
            Inspect => Fact::Looked(Sight::Running(self.address.clone())),
            Restart if self.exists != Some(generation) => Fact::Restarted(Sight::Gone),
            Restart => {
                self.has_exited = false;
                self.address = if self.address == address(1) { address(2) } else { address(1) };
                Fact::Restarted(Sight::Running(self.address.clone()))
            }
            CleanUp => {
                self.exists = None;
                Fact::CleanedUp { exit: None, log_tail: vec![] }
            }
            Cancel | Publish(_) | Withdraw | RemoveLeftover | Save => unreachable!("these are not steps"),
        };
        self.tell(Event::Fact(generation, fact));
    }

    fn take(&mut self, turn: Turn) {
        let live = self.life.generation;
        match turn {
            Turn::Start => self.tell(Event::Start),
            Turn::Stop => self.tell(Event::Stop),
            Turn::Succeed => self.succeed(),
            Turn::Fail if !self.under_way.is_empty() => {
                let (generation, _) = self.under_way.remove(0);
                self.tell(Event::Fact(generation, Fact::Troubled(Trouble::Because("no".into()))));
            }
            Turn::Fail => {}
            Turn::Wait(seconds) => {
                self.now = self.now.plus(Duration::from_secs(seconds.into()));
                self.tell(Event::Deadline);
            }
            Turn::Exit if self.exists == Some(live) => {
                self.has_exited = true;
                self.fact(Fact::Sighted(Sight::Exited(Exit::default())));
            }
            Turn::Restart => self.tell(Event::Restart),
            Turn::Silence if matches!(self.under_way.first(), Some((_, Restart))) => {
                let (generation, _) = self.under_way.remove(0);
                self.tell(Event::Fact(generation, Fact::RestartUnknown));
            }
            Turn::Silence => {}
            // Only one that is at an address can lose it.
            Turn::Displace => self.fact(Fact::Displaced),
            Turn::OldNews(number) => {
                let exited = Sight::Exited(Exit::default());
                let old =
                    [Sight::Running(address(1)), Sight::Running(address(2)), exited, Sight::Created, Sight::Astray];
                self.fact(Fact::Sighted(old[usize::from(number) % old.len()].clone()));
            }
            Turn::Vanish if self.exists == Some(live) => {
                self.exists = None;
                self.fact(Fact::Sighted(Sight::Gone));
            }
            Turn::Exit | Turn::Vanish => {}
            Turn::Unreachable => self.fact(Fact::Unreachable),
            Turn::Missing => self.fact(Fact::Missing),
            Turn::Late(number) => {
                let late = Generation(live.0.saturating_sub(u64::from(number % 3)));
                if late != live {
                    self.tell(Event::Fact(late, any_fact(number)));
                }
            }
            Turn::Leftover(generation) => self.tell(Event::Leftover(Generation(generation.into()))),
        }
    }

    /// All goes well from here on.
    fn go_well(&mut self) {
        for _ in 0..40 {
            self.succeed();
            // What a dropped step never tells is ended by its deadline.
            let is_stuck = self.under_way.is_empty() && self.life.state.deadline().is_some();
            if is_stuck && !matches!(self.life.state, State::Queued { .. } | State::Recovering { .. }) {
                self.now = self.life.state.deadline().unwrap_or(self.now);
                self.tell(Event::Deadline);
            }
        }
    }
}

fn beginning() -> impl Strategy<Value = Life> {
    prop_oneof![
        Just(stopped()),
        any::<bool>().prop_map(|restarts| Life::recovering(Generation(3), restarts, Timestamp(0), &DEADLINES)),
        Just(Life::at_rest(Generation(5), Some(Trouble::Vanished.failure(Timestamp(0), None, vec![])))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_story_keeps_the_promises_and_can_be_stopped(life in beginning(), story in prop::collection::vec(turn(), 0..60)) {
        let mut world = World::new(life);
        story.into_iter().for_each(|turn| world.take(turn));
        world.tell(Event::Stop);
        world.go_well();
        prop_assert_eq!(&world.life.state, &State::Stopped);
        prop_assert!(!world.published);
    }

    #[test]
    fn from_everywhere_a_wished_start_becomes_ready(life in beginning(), story in prop::collection::vec(turn(), 0..60)) {
        let mut world = World::new(life);
        story.into_iter().for_each(|turn| world.take(turn));
        // A step that was told to have failed may end what was under way: then a person asks again.
        world.tell(Event::Start);
        world.go_well();
        world.tell(Event::Start);
        world.go_well();
        prop_assert!(matches!(world.life.state, State::Ready { .. }), "{:?}", world.life.state);
        prop_assert_eq!(world.exists, Some(world.life.generation));
    }
}
