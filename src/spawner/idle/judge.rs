//! Whether a server is to be kept, warned of, or stopped. Pure: what is known of it and of the time are arguments.
//!
//! Idle time is watched time (`model::Observed`). A server ends by its idle limit or by its maximum age, whichever comes
//! first, and never
//! - within a while after our own start: what happened before is not known yet;
//! - while a kernel is busy, unless the rules say so. So it is asked first, and what it said longer ago is nothing. One
//!   that has told of its kernels before and does not answer now may be too busy to: it gets another while. One that never
//!   told (it is no Jupyter server, or nobody asks) is judged by the other sources;
//! - without a warning some time before, if there are warnings: rules that were tightened stop nobody at once.

use std::time::Duration;

use super::Config;
use crate::model::{
    ActivitySource, Generation, IdleEnd, IdleExtension, IdleRules, IdleSpan, IdleView, IdleWhy, LastSeen, Observed,
    Timestamp,
};

/// After our own start nobody is stopped for this long, or for the limit if that is shorter. 10 min: all servers can be
/// asked, people's tabs come back, and a kernel that works writes something.
pub(super) const GRACE: Duration = Duration::from_secs(600);
/// How much longer a server stays that told of its kernels before and does not now; or its limit if that is shorter.
const SILENCE: Duration = Duration::from_secs(1_800);
/// What a server said of its kernels longer ago than this is nothing to stop it by.
const FRESH: Duration = Duration::from_secs(60);
/// Deadlines this near to each other are one: nobody is warned again.
const SAME_DEADLINE_MS: i64 = 60_000;

/// What is known of a server's kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::spawner) struct Kernels {
    /// One of them is busy, as the server said itself; None: it does not say.
    pub(in crate::spawner) busy: Option<bool>,
    /// When a question for them last came to an end, with or without an answer.
    pub(in crate::spawner) asked_at: Option<Timestamp>,
    /// It has answered since its start.
    pub(in crate::spawner) has_answered: bool,
}

/// The owner was told of this deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::spawner) struct Warned {
    /// When.
    at: Timestamp,
    /// By the rules alone.
    deadline: Timestamp,
    /// How long it stays from then on in any case.
    notice: Duration,
}

/// What is known of a running server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::spawner) struct Facts {
    pub(in crate::spawner) seen: LastSeen,
    pub(in crate::spawner) started_at: Option<Timestamp>,
    pub(in crate::spawner) kernels: Kernels,
    pub(in crate::spawner) extended: Option<IdleExtension>,
    pub(in crate::spawner) warned: Option<Warned>,
}

/// The moment at which it is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    pub(super) now: Timestamp,
    /// When this run of ours began.
    pub(super) opened_at: Timestamp,
    pub(super) observed: &'a Observed,
    pub(super) config: &'a Config,
    /// Somebody can ask servers for their kernels.
    pub(super) can_ask: bool,
}

/// What is to be done with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing; it need not be looked at earlier.
    Keep {
        /// From now.
        look_again: Duration,
    },
    /// Its time has come, and nobody knows whether its kernels are busy: ask it, and judge again.
    Ask,
    /// Tell its owner.
    Warn(Warning),
    /// Stop it.
    Stop(Reason),
}

/// What its owner is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Warning {
    pub(super) deadline: Timestamp,
    pub(super) why: IdleWhy,
    pub(super) warned: Warned,
}

/// Why a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::spawner) struct Reason {
    pub(super) why: IdleWhy,
    /// The idle limit, or the maximum age.
    limit: Duration,
    last: Option<(ActivitySource, Timestamp)>,
    started_at: Option<Timestamp>,
}

impl Reason {
    /// The same for pages, once it is being stopped.
    pub(in crate::spawner) fn end(&self, at: Timestamp, generation: Generation) -> IdleEnd {
        IdleEnd { generation, at, why: self.why, unused_since: self.last.map(|(_, at)| at) }
    }

    /// As the audit log says it.
    pub(super) fn act(&self) -> String {
        let minute = |at: Timestamp| format!("{}Z", at.to_iso().get(..16).unwrap_or_default());
        let minutes = self.limit.as_secs() / 60;
        match (self.why, self.last, self.started_at) {
            (IdleWhy::Idle, Some((source, at)), _) => {
                format!("stopped idle server: last used ({}) {}, limit {minutes} min", source.for_person(), minute(at))
            }
            (IdleWhy::Idle, None, _) => format!("stopped idle server: never seen in use, limit {minutes} min"),
            (IdleWhy::Age, _, Some(at)) => {
                format!("stopped server of maximum age: started {}, limit {} h", minute(at), minutes / 60)
            }
            (IdleWhy::Age, _, None) => format!("stopped server of maximum age: limit {} h", minutes / 60),
        }
    }
}

/// What is left of a server's time.
struct Left {
    /// By the rules alone; below zero: since when it is over.
    by_rules_ms: i64,
    /// With what a grace or a warning adds.
    in_all: Duration,
    why: IdleWhy,
    /// The limit that it comes of.
    limit: Duration,
    last: Option<(ActivitySource, Timestamp)>,
    /// None: there is no idle limit.
    span: Option<IdleSpan>,
}

impl Moment<'_> {
    fn since(&self, at: Timestamp) -> Duration {
        self.observed.since(at, self.now)
    }

    /// By what it was last used, and how long ago.
    fn last(&self, facts: &Facts, rules: &IdleRules) -> Option<(ActivitySource, Timestamp, Duration)> {
        let switches = rules.counting(self.config.switches);
        let counting = facts.seen.iter().filter(|(source, _)| switches.counts(*source));
        counting.map(|(source, at)| (source, at, self.since(at))).min_by_key(|(_, _, ago)| *ago)
    }

    /// None: nothing ends it.
    fn left(&self, facts: &Facts, rules: &IdleRules) -> Option<Left> {
        if rules.are_off() {
            return None;
        }
        let last = self.last(facts, rules);
        let age = facts.started_at.map_or(Duration::ZERO, |at| self.since(at));
        let age_left_ms = rules.max_age.map(|most| milliseconds(most) - milliseconds(age));
        let idle_left_ms = rules.idle_after.map(|base| {
            let idle_for = last.map_or(age, |(_, _, ago)| ago);
            let extended = facts.extended.map_or(i64::MIN, |extended| {
                milliseconds(extended.left()).saturating_sub(milliseconds(self.since(extended.at)))
            });
            let ceiling = milliseconds(base.saturating_add(rules.extension_at_most));
            milliseconds(base).saturating_sub(milliseconds(idle_for)).max(extended).min(ceiling)
        });
        let (why, limit, by_rules_ms) = match (idle_left_ms, age_left_ms) {
            (Some(idle), Some(age)) if age < idle => (IdleWhy::Age, rules.max_age?, age),
            (Some(idle), _) => (IdleWhy::Idle, rules.idle_after?, idle),
            (None, age) => (IdleWhy::Age, rules.max_age?, age?),
        };
        let grace = GRACE.min(limit).saturating_sub(self.since(self.opened_at));
        let warned = facts.warned.filter(|warned| self.is_of(warned, by_rules_ms));
        let notice = warned.map_or(Duration::ZERO, |warned| warned.notice.saturating_sub(self.since(warned.at)));
        let put_off = grace.max(notice);
        let positive = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let span = rules.idle_after.zip(idle_left_ms).map(|(base, left_ms)| {
            let at_most = age_left_ms.map(|age| positive(age).max(put_off));
            IdleSpan::new(base, rules.extension_at_most, base, Some(positive(left_ms).max(put_off)), at_most)
        });
        let last = last.map(|(source, at, _)| (source, at));
        Some(Left { by_rules_ms, in_all: positive(by_rules_ms).max(put_off), why, limit, last, span })
    }

    /// Whether a warning was for the deadline that is this far away, or for a later one.
    fn is_of(&self, warned: &Warned, by_rules_ms: i64) -> bool {
        self.now.0.saturating_add(by_rules_ms) <= warned.deadline.0.saturating_add(SAME_DEADLINE_MS)
    }

    /// What is to be done.
    pub(super) fn judge(&self, facts: &Facts, rules: &IdleRules) -> Verdict {
        let again = Verdict::Keep { look_again: self.config.check_interval };
        let Some(left) = self.left(facts, rules) else { return again };
        let lead = self.config.warn_before.min(left.limit / 2);
        let is_warned = lead.is_zero() || facts.warned.is_some_and(|warned| self.is_of(&warned, left.by_rules_ms));
        let until = if is_warned { left.in_all } else { left.in_all.saturating_sub(lead) };
        if !until.is_zero() {
            return Verdict::Keep { look_again: until };
        }
        if !rules.stops_busy_kernels && self.config.switches.counts(ActivitySource::Kernel) {
            let Kernels { busy, asked_at, has_answered } = facts.kernels;
            if self.can_ask && asked_at.is_none_or(|at| at > self.now || self.since(at) > FRESH) {
                return Verdict::Ask;
            }
            let silence_is_over = left.by_rules_ms < -milliseconds(SILENCE.min(left.limit));
            if busy == Some(true) || (busy.is_none() && has_answered && !silence_is_over) {
                return again;
            }
        }
        if is_warned {
            let started_at = facts.started_at;
            return Verdict::Stop(Reason { why: left.why, limit: left.limit, last: left.last, started_at });
        }
        // Half of it suffices: a look that came late puts nobody's end off.
        let notice = lead / 2;
        let deadline = Timestamp(self.now.0.saturating_add(left.by_rules_ms));
        let warned = Warned { at: self.now, deadline, notice };
        Verdict::Warn(Warning { deadline: self.now.plus(left.in_all.max(notice)), why: left.why, warned })
    }

    /// What is shown of it, and the arithmetic of an extension.
    pub(super) fn view(&self, facts: &Facts, rules: &IdleRules) -> (IdleView, Option<IdleSpan>) {
        let busy_kernel = facts.kernels.busy.unwrap_or_default();
        let mut facts = *facts;
        if busy_kernel {
            facts.seen.note(ActivitySource::Kernel, self.now);
        }
        let left = self.left(&facts, rules);
        let span = left.as_ref().and_then(|left| left.span);
        let remaining = left.as_ref().map(|left| left.in_all);
        let view = IdleView {
            deadline: remaining.map(|left| self.now.plus(left)),
            remaining,
            base: rules.idle_after,
            ceiling: span.map(|span| span.ceiling()),
            offered_hours: span.map_or(0, |span| span.offered_hours()),
            why: left.as_ref().map_or(IdleWhy::Idle, |left| left.why),
            last: self.last(&facts, rules).map(|(source, at, _)| (source, at)),
            busy_kernel,
            // Where there is only an age, the bar is of it.
            high_water: span
                .map_or(rules.max_age.unwrap_or_default(), |span| span.high_water(facts.extended.map(|e| e.left()))),
            rules_from: vec![],
        };
        (view, span)
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
