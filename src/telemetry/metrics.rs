//! The figures of the program in Prometheus' text form, put together when somebody asks for them.
//!
//! Nothing is counted here: each source is a function, given by `app`, that reads what a module has counted and writes
//! it on the page. Labels come from closed lists (a class of status, a reason), never from what a client sends: no user,
//! no address, no path.

use std::sync::Arc;

use parking_lot::RwLock;
use prometheus::TextEncoder;
use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use tracing::warn;

use crate::model::{BOUNDS_MS, Durations};

/// The content type of `Metrics::page`.
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

type Source = Box<dyn Fn(&mut Page) + Send + Sync>;

/// All sources of figures. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Sources>);

struct Sources {
    process: ProcessCollector,
    given: RwLock<Vec<Source>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Sources { process: ProcessCollector::for_self(), given: RwLock::default() }))
    }
}

impl Metrics {
    /// Asks `source` as well, from now on. It must not wait.
    pub fn add(&self, source: impl Fn(&mut Page) + Send + Sync + 'static) {
        self.0.given.write().push(Box::new(source));
    }

    /// Everything as it is now. Reads a few files of `/proc`: for the blocking pool.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = Page(self.0.process.collect());
        self.0.given.read().iter().for_each(|source| source(&mut page));
        // A family without a sample says nothing, and the encoder refuses it.
        page.0.retain(|family| !family.get_metric().is_empty());
        match TextEncoder::new().encode_to_string(&page.0) {
            Ok(text) => text,
            Err(error) => {
                warn!(%error, "the figures cannot be written as text");
                String::new()
            }
        }
    }
}

/// What a source writes its figures on.
pub struct Page(Vec<MetricFamily>);

impl Page {
    /// A family of figures that only grow. Its name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str) -> Samples<'_> {
        self.family(name, help, MetricType::COUNTER)
    }

    /// A family of figures that rise and fall.
    pub fn gauge(&mut self, name: &str, help: &str) -> Samples<'_> {
        self.family(name, help, MetricType::GAUGE)
    }

    /// A family of durations, in seconds.
    pub fn histogram(&mut self, name: &str, help: &str) -> Samples<'_> {
        self.family(name, help, MetricType::HISTOGRAM)
    }

    fn family(&mut self, name: &str, help: &str, kind: MetricType) -> Samples<'_> {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        self.0.push(family);
        let family = self.0.last_mut().expect("one was just put there");
        Samples { family, kind }
    }
}

/// The samples of one family.
pub struct Samples<'a> {
    family: &'a mut MetricFamily,
    kind: MetricType,
}

impl Samples<'_> {
    /// One sample of a counter or gauge.
    #[expect(clippy::cast_precision_loss, reason = "above 2^53 Prometheus' own numbers lose as much")]
    pub fn sample(self, labels: &[(&str, &str)], value: u64) -> Self {
        self.exact(labels, value as f64)
    }

    /// One sample that is no whole number.
    pub fn exact(self, labels: &[(&str, &str)], value: f64) -> Self {
        let mut metric = labelled(labels);
        match self.kind {
            MetricType::COUNTER => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            _ => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.family.mut_metric().push(metric);
        self
    }

    /// One histogram.
    #[expect(clippy::cast_precision_loss, reason = "bounds are small, and a sum above 2^53 µs is 285 years")]
    pub fn durations(self, labels: &[(&str, &str)], durations: &Durations) -> Self {
        let mut below = 0;
        let buckets = BOUNDS_MS.iter().zip(durations.counts).map(|(bound, count)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound as f64 / 1e3);
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(durations.count());
        histogram.set_sample_sum(durations.sum_us as f64 / 1e6);
        let mut metric = labelled(labels);
        metric.set_histogram(histogram);
        self.family.mut_metric().push(metric);
        self
    }
}

impl Samples<'_> {
    /// One histogram with bounds of its own: `within` counts what lies between each of `bounds_s` and the one before.
    pub fn histogram(self, labels: &[(&str, &str)], bounds_s: &[f64], within: &[u64], count: u64, sum_s: f64) -> Self {
        let mut below = 0;
        let buckets = bounds_s.iter().zip(within).map(|(bound, count)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(count);
        histogram.set_sample_sum(sum_s);
        let mut metric = labelled(labels);
        metric.set_histogram(histogram);
        self.family.mut_metric().push(metric);
        self
    }
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Timing;

    #[test]
    fn figures_are_written_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        metrics.add(|page| {
            page.counter("slipway_a_total", "How many.").sample(&[("of", "x\"\n\\")], 3).sample(&[("of", "y")], 0);
            page.gauge("slipway_b", "Half.").exact(&[], 0.5);
            page.gauge("slipway_nothing", "Never shown.");
            let timing = Timing::default();
            timing.note(Duration::from_millis(2));
            timing.note(Duration::from_millis(700_000));
            page.histogram("slipway_c_seconds", "How long.").durations(&[("result", "ok")], &timing.durations());
        });
        let text = metrics.page();
        for line in [
            "# HELP slipway_a_total How many.",
            "# TYPE slipway_a_total counter",
            "slipway_a_total{of=\"x\\\"\\n\\\\\"} 3",
            "slipway_b 0.5",
            "# TYPE slipway_c_seconds histogram",
            "slipway_c_seconds_bucket{result=\"ok\",le=\"0.001\"} 0",
            "slipway_c_seconds_bucket{result=\"ok\",le=\"0.002\"} 1",
            "slipway_c_seconds_bucket{result=\"ok\",le=\"600\"} 1",
            "slipway_c_seconds_bucket{result=\"ok\",le=\"+Inf\"} 2",
            "slipway_c_seconds_sum{result=\"ok\"} 700.002",
            "slipway_c_seconds_count{result=\"ok\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("process_resident_memory_bytes ") && !text.contains("slipway_nothing"), "{text}");
    }
}
