//! What the boards of Traefik ask for beside our own counts: each exact status and method, by entry point, by router and by
//! service, with sizes. One look-up in a small table of the thread's own.
//!
//! The tables cannot grow: methods and statuses come from closed lists, routers' names are bounded.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use http::{Method, StatusCode};
use parking_lot::Mutex;

use crate::model::{Aim, PerThread, Trail};

/// As labels. The last is for all others, in Traefik's word.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "EXTENSION_METHOD"];
/// Upper bounds of durations, in seconds: Traefik's own.
pub const TRAEFIK_BOUNDS_S: [f64; 4] = [0.1, 0.3, 1.2, 5.0];
/// Routers that have counts of their own. Containers come and go under new names: what comes later is one of the others.
const ROUTERS_LIMIT: usize = 1024;
/// The name of those.
const OTHERS: &str = "others@internal";

/// One request that has got the head of its answer.
pub(super) struct Noted<'a> {
    pub(super) entry_point: &'static str,
    pub(super) method: &'a Method,
    pub(super) is_websocket: bool,
    pub(super) status: StatusCode,
    pub(super) duration: Duration,
    /// What was announced; 0 if nothing was.
    pub(super) request_bytes: u64,
    /// The same.
    pub(super) answer_bytes: u64,
    pub(super) trail: &'a Trail,
}

/// What is told apart. The order is that of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Facets {
    /// `web`, `websecure` or `private`.
    pub entry_point: &'static str,
    /// From a closed list.
    pub method: &'static str,
    /// `http` or `websocket`.
    pub protocol: &'static str,
    /// One that a standard names; any other counts as the first of its class.
    pub code: u16,
}

/// Requests that have the same facets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// How many.
    pub count: u64,
    /// How many took no longer than each of `TRAEFIK_BOUNDS_S`, and longer than the one before.
    pub within: [u64; TRAEFIK_BOUNDS_S.len()],
    /// All together, from head to head.
    pub duration: Duration,
    /// Bytes of bodies, as far as they were announced.
    pub request_bytes: u64,
    /// The same of answers.
    pub answer_bytes: u64,
}

/// Who answered: our own parts, or a router and its balancer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// As in `whoami@docker`.
    pub router: Arc<str>,
    /// As in `whoami@docker`.
    pub service: Arc<str>,
}

type Table = HashMap<Facets, Detail, RandomState>;

#[derive(Debug, Default)]
struct Tables {
    ours: [Table; Aim::ALL.len()],
    routers: HashMap<Arc<str>, (Arc<str>, Table), RandomState>,
}

/// All of it; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Details(Arc<PerThread<Mutex<Tables>>>);

impl Details {
    pub(super) fn note(&self, noted: &Noted<'_>) {
        let facets = Facets {
            entry_point: noted.entry_point,
            method: label_of(noted.method),
            protocol: if noted.is_websocket { "websocket" } else { "http" },
            code: code_of(noted.status),
        };
        // Nobody else has it but the page, for as long as it copies.
        let mut tables = self.0.here().lock();
        let table = match &noted.trail.router {
            None => &mut tables.ours[noted.trail.aim as usize],
            Some(router) => tables.of_router(router, noted.trail.balancer.as_ref()),
        };
        table.entry(facets).or_default().add(noted);
    }

    /// What has been counted so far.
    pub(super) fn figures(&self) -> BTreeMap<(Place, Facets), Detail> {
        let mut all = BTreeMap::new();
        self.0.each(|tables| {
            let tables = tables.lock();
            let ours = Aim::ALL.into_iter().zip(&tables.ours).map(|(aim, table)| (our_place(aim), table));
            let theirs = tables
                .routers
                .iter()
                .map(|(router, (service, table))| (Place { router: router.clone(), service: service.clone() }, table));
            for (place, table) in ours.chain(theirs) {
                for (facets, detail) in table {
                    all.entry((place.clone(), *facets)).or_insert_with(Detail::default).merge(detail);
                }
            }
        });
        all
    }
}

impl Tables {
    fn of_router(&mut self, router: &Arc<str>, balancer: Option<&Arc<str>>) -> &mut Table {
        let router = if self.routers.contains_key(router) || self.routers.len() < ROUTERS_LIMIT {
            router.clone()
        } else {
            OTHERS.into()
        };
        let service = || balancer.filter(|_| &*router != OTHERS).unwrap_or(&router).clone();
        let (known, table) = self.routers.entry(router.clone()).or_insert_with(|| (service(), Table::default()));
        if balancer.is_some_and(|balancer| balancer != known && &*router != OTHERS) {
            // The same router with another balancer: its counts go on under the new name.
            *known = service();
        }
        table
    }
}

impl Detail {
    fn add(&mut self, noted: &Noted<'_>) {
        self.count += 1;
        let seconds = noted.duration.as_secs_f64();
        if let Some(bucket) = TRAEFIK_BOUNDS_S.iter().position(|bound| seconds <= *bound) {
            self.within[bucket] += 1;
        }
        self.duration += noted.duration;
        self.request_bytes += noted.request_bytes;
        self.answer_bytes += noted.answer_bytes;
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.within.iter_mut().zip(other.within).for_each(|(count, more)| *count += more);
        self.duration += other.duration;
        self.request_bytes += other.request_bytes;
        self.answer_bytes += other.answer_bytes;
    }
}

fn label_of(method: &Method) -> &'static str {
    let known = METHODS.iter().find(|known| **known == method.as_str());
    known.copied().unwrap_or(METHODS[METHODS.len() - 1])
}

/// A server may answer any three digits: what no standard names must not make a line of its own.
fn code_of(status: StatusCode) -> u16 {
    let code = status.as_u16();
    if status.canonical_reason().is_some() { code } else { (code / 100).clamp(1, 5) * 100 }
}

fn our_place(aim: Aim) -> Place {
    let name: Arc<str> = match aim {
        Aim::Nowhere => "slipway-none@internal".into(),
        Aim::Hub => "slipway-hub@internal".into(),
        Aim::Server => "slipway-servers@internal".into(),
        Aim::Service => "slipway-services@internal".into(),
        Aim::Router => "slipway-routers@internal".into(),
    };
    Place { router: name.clone(), service: name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(details: &Details, status: u16, method: &str, trail: &Trail) {
        details.note(&Noted {
            entry_point: "websecure",
            method: &method.parse().expect("a method"),
            is_websocket: false,
            status: StatusCode::from_u16(status).expect("a status"),
            duration: Duration::from_millis(200),
            request_bytes: 5,
            answer_bytes: 7,
            trail,
        });
    }

    #[test]
    fn what_has_the_same_facets_is_counted_together() {
        let details = Details::default();
        let mut trail = Trail::new(false);
        trail.aim = Aim::Server;
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| note(&details, 200, "GET", &trail));
            }
        });
        note(&details, 201, "GET", &trail);
        let figures = details.figures();
        let ((place, facets), detail) = figures.first_key_value().expect("counted");
        assert_eq!((&*place.service, facets.code, facets.method), ("slipway-servers@internal", 200, "GET"));
        assert_eq!((detail.count, detail.within, detail.request_bytes, detail.answer_bytes), (3, [0, 3, 0, 0], 15, 21));
        assert_eq!(figures.len(), 2);
    }

    #[test]
    fn nobody_can_make_the_tables_grow() {
        let details = Details::default();
        for status in 100..1000 {
            for method in ["GET", "X-1", "X-2"] {
                note(&details, status, method, &Trail::default());
            }
        }
        assert!(details.figures().len() < 150, "{}", details.figures().len());
        for number in 0..ROUTERS_LIMIT + 100 {
            let router = Some(format!("r{number}@docker").into());
            let mut trail = Trail::new(false);
            (trail.aim, trail.router) = (Aim::Router, router);
            note(&details, 200, "GET", &trail);
        }
        let figures = details.figures();
        let names: std::collections::BTreeSet<_> = figures.keys().map(|(place, _)| place.router.clone()).collect();
        assert_eq!(names.len(), ROUTERS_LIMIT + 2, "and one for the others, and one of ours");
        let others = figures.iter().filter(|((place, _), _)| &*place.service == OTHERS).map(|(_, detail)| detail.count);
        assert_eq!(others.sum::<u64>(), 100);
    }
}
