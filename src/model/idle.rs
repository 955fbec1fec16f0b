//! Idle servers, in words: what counts as use, what the rules are, and what pages and the API show of a deadline.
//!
//! The arithmetic of deadlines and extensions is in `span`; who judges and stops is `spawner/idle`.

mod observed;
mod span;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use observed::{ClockReading, Observed};
pub use span::{Extension, IdleSpan};

use super::{Generation, GroupName, Timestamp};

/// By what it is known that a server is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivitySource {
    /// It was started, or restarted.
    Start,
    /// An HTTP request that is not a tab's own polling.
    Request,
    /// A message of a client through a WebSocket that carries work.
    WebSocket,
    /// A kernel that is busy, or was.
    Kernel,
    /// A terminal that wrote something.
    Terminal,
    /// Its container computes.
    Processor,
    /// Its graphics processors compute.
    Gpu,
    /// What the server's own program reports of itself.
    Reported,
}

impl ActivitySource {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Start,
        Self::Request,
        Self::WebSocket,
        Self::Kernel,
        Self::Terminal,
        Self::Processor,
        Self::Gpu,
        Self::Reported,
    ];

    /// For people: what happened.
    #[must_use]
    pub fn for_person(self) -> &'static str {
        match self {
            Self::Start => "it was started",
            Self::Request => "a page was opened",
            Self::WebSocket => "somebody worked in it",
            Self::Kernel => "busy kernel",
            Self::Terminal => "terminal with output",
            Self::Processor => "processor in use",
            Self::Gpu => "graphics processor in use",
            Self::Reported => "reported by the server",
        }
    }

    /// For programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Request => "request",
            Self::WebSocket => "websocket",
            Self::Kernel => "kernel",
            Self::Terminal => "terminal",
            Self::Processor => "processor",
            Self::Gpu => "gpu",
            Self::Reported => "reported",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Which sources count. `Start` always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches(u8);

impl Switches {
    /// Every source counts.
    pub const ALL: Self = Self(0xff);

    /// These count.
    #[must_use]
    pub fn of(sources: impl IntoIterator<Item = ActivitySource>) -> Self {
        Self(sources.into_iter().fold(ActivitySource::Start.bit(), |bits, source| bits | source.bit()))
    }

    /// Whether it counts.
    #[must_use]
    pub fn counts(self, source: ActivitySource) -> bool {
        self.0 & source.bit() != 0
    }

    /// These, but not that one.
    #[must_use]
    pub fn without(self, source: ActivitySource) -> Self {
        Self((self.0 & !source.bit()) | ActivitySource::Start.bit())
    }
}

impl Default for Switches {
    /// All but what the server reports of itself: JupyterLab takes the polling of a forgotten tab for use.
    fn default() -> Self {
        Self::ALL.without(ActivitySource::Reported)
    }
}

/// When a server was last used, by source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<ActivitySource, Timestamp>", into = "BTreeMap<ActivitySource, Timestamp>")]
pub struct LastSeen([Option<Timestamp>; 8]);

impl LastSeen {
    /// Takes note; times only move forward.
    pub fn note(&mut self, source: ActivitySource, at: Timestamp) {
        let seen = &mut self.0[source as usize];
        *seen = (*seen).max(Some(at));
    }

    /// By this source.
    #[must_use]
    pub fn of(&self, source: ActivitySource) -> Option<Timestamp> {
        self.0[source as usize]
    }

    /// The latest of the sources that count; of equal times the source that comes first.
    #[must_use]
    pub fn latest(&self, switches: Switches) -> Option<(ActivitySource, Timestamp)> {
        let counting = self.iter().filter(|(source, _)| switches.counts(*source));
        counting.reduce(|best, next| if next.1 > best.1 { next } else { best })
    }

    /// All that has been seen.
    pub fn iter(&self) -> impl Iterator<Item = (ActivitySource, Timestamp)> {
        ActivitySource::ALL.into_iter().filter_map(|source| Some((source, self.of(source)?)))
    }

    /// What either has seen.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        other.iter().for_each(|(source, at)| self.note(source, at));
        self
    }

    /// Nothing lies after `now`: what was noted before the clock was set back would hide all that comes.
    pub fn not_after(&mut self, now: Timestamp) {
        for seen in self.0.iter_mut().flatten() {
            *seen = (*seen).min(now);
        }
    }
}

impl From<BTreeMap<ActivitySource, Timestamp>> for LastSeen {
    fn from(all: BTreeMap<ActivitySource, Timestamp>) -> Self {
        let mut seen = Self::default();
        all.into_iter().for_each(|(source, at)| seen.note(source, at));
        seen
    }
}

impl From<LastSeen> for BTreeMap<ActivitySource, Timestamp> {
    fn from(seen: LastSeen) -> Self {
        seen.iter().collect()
    }
}

/// How the owner of a running server put its deadline off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleExtension {
    /// When.
    pub at: Timestamp,
    /// What was left from then on, in milliseconds.
    pub left_ms: u64,
}

impl IdleExtension {
    /// What was left from then on.
    #[must_use]
    pub fn left(&self) -> Duration {
        Duration::from_millis(self.left_ms)
    }
}

/// When servers of somebody are stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdleRules {
    /// How long a server may go unused; None: for ever.
    pub idle_after: Option<Duration>,
    /// How old a server may become, used or not; None: as old as it likes.
    pub max_age: Option<Duration>,
    /// How far its owner may put the deadline off beyond `idle_after`. Whole hours can be taken of it.
    pub extension_at_most: Duration,
    /// A busy kernel is no reason to keep a server.
    pub stops_busy_kernels: bool,
}

impl IdleRules {
    /// True if nothing is ever stopped.
    #[must_use]
    pub fn are_off(&self) -> bool {
        self.idle_after.is_none() && self.max_age.is_none()
    }

    /// What counts as use under these rules, of what counts here. Where busy kernels do not keep a server, what they
    /// compute does not keep it either: else a runaway cell would.
    #[must_use]
    pub fn counting(&self, switches: Switches) -> Switches {
        if !self.stops_busy_kernels {
            return switches;
        }
        switches.without(ActivitySource::Kernel).without(ActivitySource::Processor).without(ActivitySource::Gpu)
    }
}

/// The rules for one user's servers, and whose they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantedIdle {
    /// The rules.
    pub rules: IdleRules,
    /// The groups that gave them; empty: the installation.
    pub from: Vec<GroupName>,
}

/// Why a server is stopped, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleWhy {
    /// Nobody uses it.
    Idle,
    /// It has reached its maximum age.
    Age,
}

/// That a server was stopped because nobody used it, or for its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleEnd {
    /// Which start of it.
    pub generation: Generation,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: IdleWhy,
    /// When it was last used; None: it was not seen to be.
    pub unused_since: Option<Timestamp>,
}

/// What pages and the API show of a running server's deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleView {
    /// When it is stopped unless it is used before; None: never.
    pub deadline: Option<Timestamp>,
    /// How long that is from now; None: for ever.
    pub remaining: Option<Duration>,
    /// The idle limit; None: there is none.
    pub base: Option<Duration>,
    /// The farthest that the deadline can be from now; None: there is no idle limit.
    pub ceiling: Option<Duration>,
    /// How many hours its owner can add now.
    pub offered_hours: u32,
    /// What the deadline comes of.
    pub why: IdleWhy,
    /// What it was last used by, and when.
    pub last: Option<(ActivitySource, Timestamp)>,
    /// A kernel was busy when it was last asked; false if nobody knows.
    pub busy_kernel: bool,
    /// What a bar of `remaining` is measured against: the idle limit, or what the deadline was last extended to.
    pub high_water: Duration,
    /// The groups that gave these rules; empty: the installation.
    pub rules_from: Vec<GroupName>,
}

/// A server will be stopped unless somebody uses it or extends its deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleWarning {
    /// Which.
    pub server: super::ServerKey,
    /// When.
    pub deadline: Timestamp,
    /// Why.
    pub why: IdleWhy,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ActivitySource::{Kernel, Reported, Request, Start};

    #[test]
    fn times_of_a_source_only_move_forward() {
        let mut seen = LastSeen::default();
        seen.note(Request, Timestamp(10));
        seen.note(Request, Timestamp(5));
        assert_eq!((seen.of(Request), seen.of(Kernel)), (Some(Timestamp(10)), None));
        seen.not_after(Timestamp(7));
        assert_eq!(seen.of(Request), Some(Timestamp(7)));
    }

    #[test]
    fn only_what_counts_is_the_latest_and_a_start_always_does() {
        let mut seen = LastSeen::default();
        seen.note(Reported, Timestamp(9));
        seen.note(Start, Timestamp(1));
        assert_eq!(seen.latest(Switches::default()), Some((Start, Timestamp(1))));
        assert_eq!(seen.latest(Switches::ALL), Some((Reported, Timestamp(9))));
        assert_eq!(seen.latest(Switches::of([]).without(Start)), Some((Start, Timestamp(1))));
    }

    #[test]
    fn every_source_has_a_place_and_words_of_its_own() {
        let mut words: Vec<_> = ActivitySource::ALL.iter().map(|source| source.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ActivitySource::ALL.len());
        for (place, source) in ActivitySource::ALL.into_iter().enumerate() {
            assert_eq!(source as usize, place);
            assert!(!source.for_person().is_empty());
        }
    }
}
