//! What the edge counts of each request: one addition for what it was, two for how long it took.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Version;

use super::Edge;
use super::detail::{Detail, Details, Facets, Noted, Place};
use crate::model::{Aim, Count, Durations, PerThread, Timing};

/// As labels.
const PROTOCOLS: [&str; 2] = ["http/1.1", "http/2"];
/// As labels.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counts of one edge; may outlive it, and does not keep it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    sets: Arc<PerThread<Set>>,
    details: Details,
}

#[derive(Debug, Default)]
struct Set {
    requests: [[[Count; CLASSES.len()]; PROTOCOLS.len()]; Aim::ALL.len()],
    durations: [Timing; Aim::ALL.len()],
}

impl Counts {
    /// One request has got the head of its answer.
    pub(super) fn note(&self, version: Version, noted: &Noted<'_>) {
        let set = self.sets.here();
        let (aim, duration) = (noted.trail.aim, noted.duration);
        let class = usize::from(noted.status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.details.note(noted);
        set.requests[aim as usize][usize::from(version == Version::HTTP_2)][class].one();
        set.durations[aim as usize].note(duration);
    }
}

/// Some requests that have the same labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFigure {
    /// `hub`, `server`, `service`, `router`, `none`.
    pub aim: &'static str,
    /// `http/1.1`, `http/2`.
    pub protocol: &'static str,
    /// `2xx` and so on.
    pub class: &'static str,
    /// How many so far.
    pub count: u64,
}

/// What the edge has counted so far.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Every combination of labels.
    pub requests: Vec<RequestFigure>,
    /// From the head of a request to the head of its answer, by `aim`.
    pub durations: Vec<(&'static str, Durations)>,
    /// The same requests by who answered, and told apart further.
    pub details: BTreeMap<(Place, Facets), Detail>,
}

impl Counts {
    /// What has been counted so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let counts = &self.sets;
        let mut requests = Vec::with_capacity(Aim::ALL.len() * PROTOCOLS.len() * CLASSES.len());
        for (a, aim) in Aim::ALL.into_iter().enumerate() {
            for (p, protocol) in PROTOCOLS.into_iter().enumerate() {
                for (c, class) in CLASSES.into_iter().enumerate() {
                    let count = counts.sum(|set| set.requests[a][p][c].get());
                    requests.push(RequestFigure { aim: aim.as_str(), protocol, class, count });
                }
            }
        }
        let durations =
            Aim::ALL.into_iter().enumerate().map(|(a, aim)| (aim.as_str(), counts.timing(|set| &set.durations[a])));
        Figures { requests, durations: durations.collect(), details: self.details.figures() }
    }
}

impl Edge {
    /// What it counts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }
}
