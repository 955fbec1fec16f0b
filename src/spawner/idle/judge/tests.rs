//! Deadlines under every order of use, extensions, clocks and rules.

use proptest::prelude::*;

use super::*;
use crate::model::{ClockReading, Switches};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

fn ms(time: i64) -> Duration {
    Duration::from_millis(u64::try_from(time).expect("not negative"))
}

fn idle_after(time: i64) -> IdleRules {
    IdleRules { idle_after: Some(ms(time)), extension_at_most: ms(24 * HOUR), ..IdleRules::default() }
}

/// A run of ours that began long ago, and one server that was started then.
struct Story {
    now: i64,
    opened_at: i64,
    observed: Observed,
    config: Config,
    can_ask: bool,
    facts: Facts,
    rules: IdleRules,
}

impl Story {
    fn new(rules: IdleRules) -> Self {
        let config = Config { warn_before: Duration::ZERO, ..Config::default() };
        let facts = Facts { started_at: Some(Timestamp(YEAR)), ..Facts::default() };
        let observed = Observed::default();
        Self { now: YEAR + DAY, opened_at: YEAR - DAY, observed, config, can_ask: false, facts, rules }
    }

    fn moment(&self) -> Moment<'_> {
        let (now, opened_at) = (Timestamp(self.now), Timestamp(self.opened_at));
        Moment { now, opened_at, observed: &self.observed, config: &self.config, can_ask: self.can_ask }
    }

    fn used(&mut self, source: ActivitySource) {
        self.facts.seen.note(source, Timestamp(self.now));
    }

    fn answers(&mut self, busy: Option<bool>) {
        let has_answered = self.facts.kernels.has_answered || busy.is_some();
        self.facts.kernels = Kernels { busy, asked_at: Some(Timestamp(self.now)), has_answered };
        if busy == Some(true) {
            self.used(ActivitySource::Kernel);
        }
    }

    fn judge(&self) -> Verdict {
        self.moment().judge(&self.facts, &self.rules)
    }

    fn stops(&self) -> bool {
        matches!(self.judge(), Verdict::Stop(_))
    }

    fn keeps_for(&self) -> i64 {
        match self.judge() {
            Verdict::Keep { look_again } => i64::try_from(look_again.as_millis()).expect("short"),
            other => panic!("{other:?}"),
        }
    }

    fn view(&self) -> IdleView {
        self.moment().view(&self.facts, &self.rules).0
    }
}

#[test]
fn without_rules_nobody_is_stopped() {
    let mut story = Story::new(IdleRules::default());
    story.now += 100 * YEAR;
    assert!(!story.stops());
    assert_eq!((story.view().deadline, story.view().offered_hours), (None, 0));
}

#[test]
fn a_server_is_stopped_on_the_minute_and_not_before() {
    let mut story = Story::new(idle_after(HOUR));
    story.used(ActivitySource::Request);
    let end = story.now + HOUR;
    for (early, left) in [(HOUR, HOUR), (MINUTE, MINUTE), (1, 1)] {
        story.now = end - early;
        assert_eq!(story.keeps_for(), left);
        assert_eq!(story.view().deadline, Some(Timestamp(end)));
    }
    story.now = end;
    let Verdict::Stop(reason) = story.judge() else { panic!("{:?}", story.judge()) };
    let act = reason.act();
    assert!(act.starts_with("stopped idle server: last used (a page was opened) 1971-01-02T00:00Z"), "{act}");
    assert!(act.ends_with("limit 60 min"), "{act}");
    assert_eq!(crate::model::AuditKind::of(&act), crate::model::AuditKind::Server);
}

#[test]
fn what_does_not_count_keeps_nobody_and_any_source_that_counts_does() {
    for source in ActivitySource::ALL {
        let mut story = Story::new(idle_after(HOUR));
        story.used(source);
        story.now += HOUR - 1;
        assert_eq!(story.stops(), source == ActivitySource::Reported, "{source:?}");
        story.config.switches = Switches::ALL;
        assert!(!story.stops(), "{source:?}");
        story.config.switches = Switches::of([]);
        assert_eq!(story.stops(), source != ActivitySource::Start, "{source:?}");
    }
}

#[test]
fn one_that_was_never_seen_in_use_counts_from_its_start() {
    let mut story = Story::new(idle_after(HOUR));
    story.now = YEAR + HOUR - 1;
    assert_eq!(story.keeps_for(), 1);
    story.now += 1;
    assert!(story.stops());
    story.facts.started_at = None;
    assert!(!story.stops(), "nobody knows since when");
}

#[test]
fn a_maximum_age_ends_one_that_is_used_and_offers_nothing_beyond() {
    let rules = IdleRules { max_age: Some(ms(25 * HOUR)), ..idle_after(HOUR) };
    let mut story = Story::new(rules);
    story.used(ActivitySource::Request);
    let view = story.view();
    assert_eq!((view.why, view.offered_hours, view.remaining), (IdleWhy::Idle, 0, Some(ms(HOUR))));
    story.now += 30 * MINUTE;
    story.used(ActivitySource::Request);
    let view = story.view();
    assert_eq!((view.why, view.remaining), (IdleWhy::Age, Some(ms(30 * MINUTE))));
    story.now += 30 * MINUTE;
    let Verdict::Stop(reason) = story.judge() else { panic!("{:?}", story.judge()) };
    assert_eq!(reason.act(), "stopped server of maximum age: started 1971-01-01T00:00Z, limit 25 h");
    let only_age = Story::new(IdleRules { max_age: Some(ms(DAY)), ..IdleRules::default() });
    assert!(only_age.stops());
}

#[test]
fn a_busy_kernel_keeps_its_server_whatever_the_rules_limit() {
    let rules = IdleRules { max_age: Some(ms(2 * HOUR)), ..idle_after(HOUR) };
    let mut story = Story { can_ask: true, ..Story::new(rules) };
    assert_eq!(story.judge(), Verdict::Ask);
    story.answers(Some(true));
    assert!(matches!(story.judge(), Verdict::Keep { .. }));
    story.now += 61_000;
    assert_eq!(story.judge(), Verdict::Ask, "what it said a while ago is nothing");
    story.answers(Some(false));
    assert!(story.stops(), "of its age");
    story.rules.max_age = None;
    assert!(!story.stops(), "the kernel was busy a minute ago");
    story.now += HOUR;
    story.answers(Some(false));
    assert!(story.stops());
}

#[test]
fn rules_may_stop_busy_kernels_and_then_nobody_asks() {
    let rules = IdleRules { stops_busy_kernels: true, ..idle_after(HOUR) };
    let mut story = Story { can_ask: true, ..Story::new(rules) };
    story.answers(Some(true));
    story.used(ActivitySource::Processor);
    assert!(story.stops());
    story.used(ActivitySource::WebSocket);
    assert!(!story.stops(), "a person does keep it");
}

#[test]
fn a_server_that_told_of_its_kernels_and_is_silent_now_gets_another_while() {
    let mut story = Story { can_ask: true, ..Story::new(idle_after(HOUR)) };
    story.answers(Some(false));
    story.used(ActivitySource::Request);
    story.now += HOUR;
    story.answers(None);
    assert!(!story.stops());
    story.now += 30 * MINUTE;
    story.answers(None);
    assert!(!story.stops());
    story.now += 1;
    story.answers(None);
    assert!(story.stops());
    // One that never told is no Jupyter server: the other sources speak for it.
    story.facts.kernels = Kernels::default();
    story.used(ActivitySource::Request);
    story.now += HOUR;
    assert_eq!(story.judge(), Verdict::Ask);
    story.answers(None);
    assert!(story.stops());
}

#[test]
fn an_extension_puts_the_end_off_and_use_never_brings_it_nearer() {
    let mut story = Story::new(idle_after(HOUR));
    story.used(ActivitySource::Request);
    story.facts.extended = Some(IdleExtension { at: Timestamp(story.now), left_ms: 5 * 3_600_000 });
    let end = story.now + 5 * HOUR;
    story.now += HOUR;
    story.used(ActivitySource::Request);
    assert_eq!((story.view().deadline, story.view().high_water), (Some(Timestamp(end)), ms(5 * HOUR)));
    story.now = end - 1;
    assert_eq!(story.keeps_for(), 1);
    story.now = end;
    assert!(story.stops());
    // The rules have shrunk since.
    story.now = end - 4 * HOUR;
    story.rules.extension_at_most = ms(HOUR);
    assert_eq!(story.view().remaining, Some(ms(2 * HOUR)));
}

#[test]
fn the_owner_is_warned_once_for_a_deadline_and_never_stopped_without() {
    let mut story = Story::new(idle_after(HOUR));
    story.config.warn_before = ms(10 * MINUTE);
    story.used(ActivitySource::Request);
    let end = story.now + HOUR;
    assert_eq!(story.keeps_for(), 50 * MINUTE);
    story.now = end - 10 * MINUTE;
    let Verdict::Warn(warning) = story.judge() else { panic!("{:?}", story.judge()) };
    assert_eq!((warning.deadline, warning.why), (Timestamp(end), IdleWhy::Idle));
    story.facts.warned = Some(warning.warned);
    assert_eq!(story.keeps_for(), 10 * MINUTE);
    // Used again: another deadline, another warning.
    story.now += 5 * MINUTE;
    story.used(ActivitySource::WebSocket);
    story.now += 55 * MINUTE;
    // The look came late.
    let Verdict::Warn(warning) = story.judge() else { panic!("{:?}", story.judge()) };
    story.facts.warned = Some(warning.warned);
    story.now += 5 * MINUTE;
    assert!(story.stops());
    // Rules that were tightened stop nobody at once.
    let mut story = Story::new(idle_after(2 * DAY));
    story.config.warn_before = ms(10 * MINUTE);
    assert!(!story.stops());
    story.rules = idle_after(HOUR);
    let Verdict::Warn(warning) = story.judge() else { panic!("{:?}", story.judge()) };
    assert_eq!(warning.deadline, Timestamp(story.now + 5 * MINUTE));
    story.facts.warned = Some(warning.warned);
    assert_eq!(story.keeps_for(), 5 * MINUTE);
    assert_eq!(story.view().remaining, Some(ms(5 * MINUTE)), "the page says what the warning says");
    story.now += 5 * MINUTE;
    assert!(story.stops());
}

#[test]
fn nobody_is_stopped_right_after_our_own_start() {
    let mut story = Story::new(idle_after(HOUR));
    story.opened_at = story.now;
    assert_eq!(story.keeps_for(), 10 * MINUTE);
    assert_eq!(story.view().remaining, Some(ms(10 * MINUTE)));
    story.now += 10 * MINUTE;
    assert!(story.stops());
    let mut short = Story::new(idle_after(2 * MINUTE));
    short.opened_at = short.now;
    assert_eq!(short.keeps_for(), 2 * MINUTE);
}

#[test]
fn a_weekend_without_us_makes_nobody_idle() {
    let mut story = Story::new(idle_after(HOUR));
    story.used(ActivitySource::Request);
    story.now += 10 * MINUTE;
    let friday = Timestamp(story.now);
    story.now += 3 * DAY;
    story.observed.note_absence(Some(friday), Timestamp(story.now));
    story.opened_at = story.now;
    assert_eq!(story.keeps_for(), 50 * MINUTE);
    story.facts.extended = Some(IdleExtension { at: friday, left_ms: 7_200_000 });
    assert_eq!(story.keeps_for(), 2 * HOUR, "nor uses an extension up");
}

#[test]
fn a_jump_of_the_clock_moves_deadlines_and_stops_nobody() {
    let rules = IdleRules { max_age: Some(ms(2 * DAY)), ..idle_after(HOUR) };
    for jump in [YEAR, -YEAR, 8 * HOUR, -10 * MINUTE, 10 * MINUTE] {
        let mut story = Story::new(rules);
        (story.now, story.opened_at) = (story.now + 50 * YEAR, story.opened_at + 50 * YEAR);
        story.facts.started_at = Some(Timestamp(story.now - DAY));
        story.used(ActivitySource::Request);
        story.now += 30 * MINUTE;
        let monotonic = Duration::from_secs(9_999);
        let before = ClockReading { wall: Timestamp(story.now), monotonic };
        story.now += jump;
        story.observed.note_readings(before, ClockReading { wall: Timestamp(story.now), monotonic });
        assert!(story.keeps_for() >= 30 * MINUTE, "{jump}");
        story.now += 29 * MINUTE;
        assert!(!story.stops(), "{jump}");
        story.now += 2 * HOUR;
        assert!(story.stops(), "{jump}: but it is not kept for ever");
    }
}

/// What can happen to a server.
#[derive(Clone, Debug)]
enum Turn {
    Pass(i64),
    Use(ActivitySource),
    Extend(u32),
    Jump(i64),
    Away(i64),
    Busy(bool),
}

fn turn() -> impl Strategy<Value = Turn> {
    let source = proptest::sample::select(ActivitySource::ALL.to_vec());
    prop_oneof![
        5 => (0..90 * MINUTE).prop_map(Turn::Pass),
        2 => source.prop_map(Turn::Use),
        1 => (1..30_u32).prop_map(Turn::Extend),
        1 => (-YEAR..YEAR).prop_map(|jump| Turn::Jump(if jump.abs() < 1_000 { 0 } else { jump })),
        1 => (0..7 * DAY).prop_map(Turn::Away),
        1 => any::<bool>().prop_map(Turn::Busy),
    ]
}

proptest! {
    /// Against a witness that counts watched minutes by itself.
    #[test]
    fn nobody_is_ever_stopped_before_time(turns in proptest::collection::vec(turn(), 1..60)) {
        let mut story = Story { can_ask: true, ..Story::new(idle_after(HOUR)) };
        (story.now, story.opened_at) = (story.now + 50 * YEAR, story.opened_at + 50 * YEAR);
        story.facts.started_at = Some(Timestamp(story.now));
        let (mut monotonic, mut used_at, mut extended_until, mut is_busy) = (0, 0, 0, false);
        for turn in turns {
            match turn {
                Turn::Pass(time) => (story.now, monotonic) = (story.now + time, monotonic + time),
                Turn::Use(source) => {
                    story.used(source);
                    if story.config.switches.counts(source) {
                        used_at = monotonic;
                    }
                }
                Turn::Extend(hours) => {
                    let (_, span) = story.moment().view(&story.facts, &story.rules);
                    let hours = std::num::NonZeroU32::new(hours).expect("some");
                    if let Some(extension) = span.and_then(|span| span.extend(hours)) {
                        let left_ms = u64::try_from(extension.remaining.as_millis()).expect("short");
                        story.facts.extended = Some(IdleExtension { at: Timestamp(story.now), left_ms });
                        extended_until = monotonic + i64::try_from(left_ms).expect("short");
                    }
                }
                Turn::Jump(jump) => {
                    let at = ms(monotonic);
                    let before = ClockReading { wall: Timestamp(story.now), monotonic: at };
                    story.now += jump;
                    let after = ClockReading { wall: Timestamp(story.now), monotonic: at };
                    if story.observed.note_readings(before, after).is_some_and(|jump| jump < 0) {
                        story.facts.seen.not_after(Timestamp(story.now));
                    }
                }
                Turn::Away(time) => {
                    let alive_at = Timestamp(story.now);
                    story.now += time;
                    story.observed.note_absence(Some(alive_at), Timestamp(story.now));
                    story.opened_at = story.now;
                }
                Turn::Busy(busy) => is_busy = busy,
            }
            if story.judge() == Verdict::Ask {
                story.answers(Some(is_busy));
                if is_busy {
                    used_at = monotonic;
                }
            }
            if story.stops() {
                prop_assert!(!is_busy);
                prop_assert!(monotonic - used_at >= HOUR, "used {} ms ago", monotonic - used_at);
                prop_assert!(monotonic >= extended_until, "extended by {} ms more", extended_until - monotonic);
                return Ok(());
            }
        }
    }
}
