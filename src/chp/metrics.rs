//! Figures under configurable-http-proxy's names. What every request counts is counted per thread.

use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder as _, TextEncoder};

/// Threads beyond this share a place. 16: more cores than a proxy of one hub uses.
const SHARDS: usize = 16;
/// Statuses are 100 to 599.
const STATUSES: usize = 500;
/// Eight steps for each doubling of nanoseconds: a quantile is at most an eighth too high.
const STEPS: usize = 64 * 8;

/// All figures.
#[derive(Debug)]
pub(super) struct Metrics {
    /// False if nobody can see them: then no time is measured.
    pub(super) is_shown: bool,
    pub(super) api_route_get: AtomicU64,
    pub(super) api_route_add: AtomicU64,
    pub(super) api_route_delete: AtomicU64,
    requests_api: Box<[AtomicU64]>,
    shards: Box<[Shard]>,
}

/// One thread's counts. Aligned so that no two threads write to one cache line.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    requests_web: AtomicU64,
    requests_ws: AtomicU64,
    last_activity_updates: AtomicU64,
    requests_proxy: Box<[AtomicU64]>,
    find_nanoseconds: AtomicU64,
    find_steps: Box<[AtomicU64]>,
}

fn counters(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

impl Metrics {
    pub(super) fn new(is_shown: bool) -> Self {
        let shard = || Shard {
            requests_web: AtomicU64::new(0),
            requests_ws: AtomicU64::new(0),
            last_activity_updates: AtomicU64::new(0),
            requests_proxy: counters(STATUSES),
            find_nanoseconds: AtomicU64::new(0),
            find_steps: counters(STEPS),
        };
        Self {
            is_shown,
            api_route_get: AtomicU64::new(0),
            api_route_add: AtomicU64::new(0),
            api_route_delete: AtomicU64::new(0),
            requests_api: counters(STATUSES),
            shards: (0..SHARDS).map(|_| shard()).collect(),
        }
    }

    pub(super) fn web_request(&self) {
        add(&self.shard().requests_web, 1);
    }

    pub(super) fn ws_request(&self) {
        add(&self.shard().requests_ws, 1);
    }

    /// A route was used, or added.
    pub(super) fn activity(&self) {
        add(&self.shard().last_activity_updates, 1);
    }

    /// A target, or we for it, have answered with `status`.
    pub(super) fn proxied(&self, status: http::StatusCode) {
        if let Some(counter) = self.shard().requests_proxy.get(index_of(status)) {
            add(counter, 1);
        }
    }

    /// The API has answered with `status`.
    pub(super) fn api_request(&self, status: http::StatusCode) {
        if let Some(counter) = self.requests_api.get(index_of(status)) {
            add(counter, 1);
        }
    }

    /// It took `took` to find a route, or none.
    pub(super) fn found(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let shard = self.shard();
        add(&shard.find_nanoseconds, nanoseconds);
        add(&shard.find_steps[step_of(nanoseconds)], 1);
    }

    fn shard(&self) -> &Shard {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: Cell<Option<usize>> = const { Cell::new(None) };
        }
        let mine = MINE.try_with(|mine| match mine.get() {
            Some(place) => place,
            None => {
                let place = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
                mine.set(Some(place));
                place
            }
        });
        &self.shards[mine.unwrap_or(0)]
    }

    /// All figures as Prometheus reads them.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(4096);
        let mut counter = |name: &str, help: &str, value: u64| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n");
        };
        counter("api_route_get", "Count of API route get requests", get(&self.api_route_get));
        counter("api_route_add", "Count of API route add requests", get(&self.api_route_add));
        counter("api_route_delete", "Count of API route delete requests", get(&self.api_route_delete));
        let sum = |of: fn(&Shard) -> &AtomicU64| self.shards.iter().map(|shard| get(of(shard))).sum::<u64>();
        counter("requests_ws", "Count of websocket requests", sum(|shard| &shard.requests_ws));
        counter("requests_web", "Count of web requests", sum(|shard| &shard.requests_web));
        let steps: Vec<u64> =
            (0..STEPS).map(|at| self.shards.iter().map(|shard| get(&shard.find_steps[at])).sum()).collect();
        let find = Summary { nanoseconds: sum(|shard| &shard.find_nanoseconds), steps };
        find.write(&mut text, "find_target_for_req", "Summary of find target requests");
        // One relaxed store: too short to be measured, so only their number is told.
        let updates = sum(|shard| &shard.last_activity_updates);
        let _ = writeln!(
            text,
            "# HELP last_activity_updating Summary of last activity updating requests\n\
             # TYPE last_activity_updating summary\n\
             last_activity_updating_sum 0\nlast_activity_updating_count {updates}\n"
        );
        let proxied = (0..STATUSES).map(|at| self.shards.iter().map(|shard| get(&shard.requests_proxy[at])).sum());
        by_status(&mut text, "requests_proxy", "Count of proxy requests", proxied);
        by_status(&mut text, "requests_api", "Count of API requests", self.requests_api.iter().map(get));
        text.push_str(&process_figures());
        text
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn index_of(status: http::StatusCode) -> usize {
    usize::from(status.as_u16()).wrapping_sub(100)
}

fn by_status(text: &mut String, name: &str, help: &str, counts: impl Iterator<Item = u64>) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
    for (at, count) in counts.enumerate().filter(|(_, count)| *count > 0) {
        let _ = writeln!(text, "{name}{{status=\"{}\"}} {count}", at + 100);
    }
    text.push('\n');
}

/// Memory, processor time, open files.
fn process_figures() -> String {
    let mut encoded = Vec::new();
    let families = ProcessCollector::for_self().collect();
    // Encoding into memory fails only for a family without figures: then there is nothing to show.
    let _ = TextEncoder::new().encode(&families, &mut encoded);
    String::from_utf8(encoded).unwrap_or_default()
}

/// The step that `nanoseconds` belong to: the doubling, and the three bits behind its first.
fn step_of(nanoseconds: u64) -> usize {
    let doubling = nanoseconds.max(1).ilog2() as usize;
    let within = if doubling >= 3 { (nanoseconds >> (doubling - 3)) & 7 } else { (nanoseconds << (3 - doubling)) & 7 };
    doubling * 8 + usize::try_from(within).unwrap_or(0)
}

/// The least number of nanoseconds above a step.
#[allow(clippy::cast_precision_loss)] // a quantile is an estimate
fn end_of(step: usize) -> f64 {
    let doubling = 2f64.powi(i32::try_from(step / 8).unwrap_or(0));
    doubling * (1.0 + (step % 8 + 1) as f64 / 8.0)
}

struct Summary {
    nanoseconds: u64,
    steps: Vec<u64>,
}

impl Summary {
    #[allow(clippy::cast_precision_loss)] // seconds with fifteen digits are enough
    fn write(&self, text: &mut String, name: &str, help: &str) {
        let count: u64 = self.steps.iter().sum();
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} summary");
        for quantile in [0.01, 0.05, 0.5, 0.9, 0.95, 0.99, 0.999] {
            let wanted = quantile * count as f64;
            let mut seen = 0;
            let step = self.steps.iter().position(|step| {
                seen += step;
                seen > 0 && seen as f64 >= wanted
            });
            let seconds = step.map_or(0.0, |step| end_of(step) / 1e9);
            let _ = writeln!(text, "{name}{{quantile=\"{quantile}\"}} {seconds}");
        }
        let _ = writeln!(text, "{name}_sum {}\n{name}_count {count}\n", self.nanoseconds as f64 / 1e9);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_bear_the_names_that_dashboards_know() {
        let metrics = Metrics::new(true);
        metrics.web_request();
        metrics.ws_request();
        metrics.proxied(http::StatusCode::OK);
        metrics.proxied(http::StatusCode::SERVICE_UNAVAILABLE);
        metrics.api_request(http::StatusCode::CREATED);
        metrics.found(Duration::from_micros(3));
        let text = metrics.text();
        for line in [
            "requests_web 1",
            "requests_ws 1",
            "api_route_get 0",
            "api_route_add 0",
            "api_route_delete 0",
            "requests_proxy{status=\"200\"} 1",
            "requests_proxy{status=\"503\"} 1",
            "requests_api{status=\"201\"} 1",
            "find_target_for_req_count 1",
            "last_activity_updating_count 0",
        ] {
            assert!(text.lines().any(|known| known == line), "no {line} in\n{text}");
        }
        assert!(text.contains("process_resident_memory_bytes") && text.contains("process_open_fds"), "{text}");
        assert!(!text.contains("status=\"404\""));
    }

    #[test]
    fn a_quantile_is_at_most_an_eighth_too_high() {
        for nanoseconds in [1, 2, 7, 8, 100, 999, 1_000_000, u64::from(u32::MAX)] {
            #[allow(clippy::cast_precision_loss)]
            let ratio = end_of(step_of(nanoseconds)) / nanoseconds as f64;
            assert!(ratio > 1.0 && ratio <= 1.126 || nanoseconds < 8, "{nanoseconds}: {ratio}");
        }
    }
}
