//! Traces: each collected request is a span of ours and, if an upstream was asked, one below it; sent in batches as
//! OTLP/HTTP with JSON, which every collector of OpenTelemetry takes.
//!
//! Written here because `opentelemetry-otlp` (HTTP, no TLS of its own) brings 14 crates, among them a second `rand`, and
//! counts no drops where we could read them; what is needed of it are the words of one message. Whoever tells of a request
//! never waits: the queue is bounded, and what does not fit is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::access_log::without_secrets;
use crate::model::{Exchange, TraceContext};

/// Where traces go, and how many.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesConfig {
    /// The collector's address for traces, as in `http://collector:4318/v1/traces`.
    pub endpoint: String,
    /// Which part of the requests is collected, 0 to 1. All of it is much: JupyterLab polls.
    pub sample_ratio: f64,
    /// Headers that the collector wants, as in `authorization`.
    pub headers: Vec<(String, crate::model::Secret)>,
    /// `service.name`.
    pub service_name: String,
}

/// Spans that wait for the collector. 2048: some seconds of a busy hour, 2 MiB.
const QUEUE_LIMIT: usize = 2048;
/// Spans of one message.
const BATCH: usize = 256;
/// How long a span waits for others.
const BATCH_EVERY: Duration = Duration::from_secs(2);
/// How often a failing collector is spoken of.
const COMPLAIN_EVERY: Duration = Duration::from_secs(300);

/// Takes requests, never waits. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Traces {
    queue: mpsc::Sender<Span>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

/// What waits to be sent, and whoever sends it.
#[derive(Debug)]
pub struct Exporter {
    queue: mpsc::Receiver<Span>,
    counts: Arc<Counts>,
    service_name: String,
}

/// A request, as its spans will tell of it.
#[derive(Debug)]
struct Span {
    context: TraceContext,
    begun_ns: u128,
    duration: Duration,
    name: String,
    attributes: Vec<Value>,
    is_error: bool,
    upstream: Option<UpstreamSpan>,
}

#[derive(Debug)]
struct UpstreamSpan {
    begun_ns: u128,
    /// Until its head.
    duration: Duration,
    address: String,
    status: Option<u16>,
}

/// Both ends of the queue.
#[must_use]
pub fn traces(service_name: &str) -> (Traces, Exporter) {
    let (sender, receiver) = mpsc::channel(QUEUE_LIMIT);
    let counts = Arc::<Counts>::default();
    let exporter = Exporter { queue: receiver, counts: counts.clone(), service_name: service_name.to_owned() };
    (Traces { queue: sender, counts }, exporter)
}

impl Traces {
    /// Takes note of a request, if it is one that is collected.
    pub fn tell(&self, exchange: &Exchange<'_>) {
        let Some(context) = exchange.trace.filter(|trace| trace.is_sampled) else { return };
        let Ok(place) = self.queue.try_reserve() else {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        place.send(span_of(*context, exchange));
    }

    /// Spans of requests that a collector has taken.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::Relaxed)
    }

    /// Those that were dropped: the queue was full, or the collector did not take them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }
}

impl Exporter {
    /// Sends what comes with `send`, which has a time limit of its own, until `stopping`; then what has come by then.
    pub async fn run<F>(mut self, send: impl Fn(Vec<u8>) -> F, stopping: CancellationToken)
    where
        F: Future<Output = Result<(), String>>,
    {
        let mut complained: Option<tokio::time::Instant> = None;
        let mut is_ending = false;
        while !is_ending {
            let mut batch = Vec::new();
            tokio::select! {
                () = stopping.cancelled() => is_ending = true,
                count = self.queue.recv_many(&mut batch, BATCH) => if count == 0 { return },
            }
            let more = async { while batch.len() < BATCH && self.queue.recv_many(&mut batch, BATCH).await > 0 {} };
            if is_ending {
                // What is there already, and no more.
                let _ = tokio::time::timeout(Duration::ZERO, more).await;
            } else {
                tokio::select! {
                    _ = tokio::time::timeout(BATCH_EVERY, more) => {}
                    () = stopping.cancelled() => is_ending = true,
                }
            }
            if batch.is_empty() {
                continue;
            }
            let count = batch.len() as u64;
            let Err(problem) = send(message(&self.service_name, &batch)).await else {
                self.counts.sent.fetch_add(count, Ordering::Relaxed);
                continue;
            };
            self.counts.dropped.fetch_add(count, Ordering::Relaxed);
            if complained.is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY) {
                complained = Some(tokio::time::Instant::now());
                warn!(problem, spans = count, "the collector of traces does not take them; they are dropped");
            }
        }
    }
}

fn span_of(context: TraceContext, exchange: &Exchange<'_>) -> Span {
    let trail = exchange.trail;
    let begun_ns = u128::try_from(exchange.at.0).unwrap_or_default() * 1_000_000;
    let path = exchange.target.split_once('?').map_or(exchange.target, |(path, _)| path);
    let route = trail.router.as_deref().unwrap_or(trail.aim.as_str());
    // The names of OpenTelemetry's conventions for HTTP; the query stays out, and so does who it was.
    let mut attributes = vec![
        text("http.request.method", exchange.method),
        text("url.path", &without_secrets(path)),
        text(
            "url.scheme",
            if exchange.tls.is_some() || exchange.entry_point == "websecure" { "https" } else { "http" },
        ),
        text("server.address", exchange.host),
        text("client.address", &exchange.address.to_string()),
        text("network.protocol.version", exchange.version.trim_start_matches("HTTP/")),
        number("http.response.status_code", u64::from(exchange.status)),
        number("http.response.body.size", exchange.bytes),
        text("slipway.destination", trail.aim.as_str()),
        text("slipway.request_id", exchange.request_id),
    ];
    attributes.extend(trail.router.as_deref().map(|router| text("slipway.router", router)));
    let upstream = trail.asked.as_ref().zip(exchange.asked_after).map(|(asked, after)| UpstreamSpan {
        begun_ns: begun_ns + after.as_nanos(),
        duration: asked.answer.map_or_else(|| exchange.duration.saturating_sub(after), |(took, _)| took),
        address: asked.upstream.address.to_string(),
        status: asked.answer.map(|(_, status)| status),
    });
    Span {
        context,
        begun_ns,
        duration: exchange.duration,
        name: format!("{} {route}", exchange.method),
        attributes,
        is_error: exchange.status == 0 || exchange.status >= 500,
        upstream,
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: u64) -> Value {
    // 64-bit numbers are texts in protobuf's JSON.
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// An `ExportTraceServiceRequest` as OTLP writes it in JSON: ids in hex, enums as numbers.
fn message(service_name: &str, spans: &[Span]) -> Vec<u8> {
    let spans: Vec<Value> = spans.iter().flat_map(written).collect();
    let message = json!({ "resourceSpans": [{
        "resource": { "attributes": [text("service.name", service_name), text("service.version", env!("CARGO_PKG_VERSION"))] },
        "scopeSpans": [{ "scope": { "name": "slipway", "version": env!("CARGO_PKG_VERSION") }, "spans": spans }],
    }] });
    message.to_string().into_bytes()
}

const KIND_SERVER: u8 = 2;
const KIND_CLIENT: u8 = 3;
const STATUS_ERROR: u8 = 2;

fn written(span: &Span) -> Vec<Value> {
    let TraceContext { trace_id, span_id, upstream_span_id, parent_id, .. } = span.context;
    let mut ours = json!({
        "traceId": format!("{trace_id:032x}"),
        "spanId": format!("{span_id:016x}"),
        "name": span.name,
        "kind": KIND_SERVER,
        "startTimeUnixNano": span.begun_ns.to_string(),
        "endTimeUnixNano": (span.begun_ns + span.duration.as_nanos()).to_string(),
        "attributes": span.attributes,
        "status": if span.is_error { json!({ "code": STATUS_ERROR }) } else { json!({}) },
    });
    if let Some(parent) = parent_id {
        ours["parentSpanId"] = format!("{parent:016x}").into();
    }
    let mut all = vec![ours];
    if let Some(upstream) = &span.upstream {
        let status = upstream.status.map(|status| number("http.response.status_code", u64::from(status)));
        let attributes: Vec<Value> =
            [Some(text("server.address", &upstream.address)), status].into_iter().flatten().collect();
        all.push(json!({
            "traceId": format!("{trace_id:032x}"),
            "spanId": format!("{upstream_span_id:016x}"),
            "parentSpanId": format!("{span_id:016x}"),
            "name": "upstream",
            "kind": KIND_CLIENT,
            "startTimeUnixNano": upstream.begun_ns.to_string(),
            "endTimeUnixNano": (upstream.begun_ns + upstream.duration.as_nanos()).to_string(),
            "attributes": attributes,
            "status": if upstream.status.is_none() { json!({ "code": STATUS_ERROR }) } else { json!({}) },
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::super::access_log::told::{exchange, trail};
    use super::*;

    const CONTEXT: TraceContext =
        TraceContext { trace_id: 1, span_id: 2, upstream_span_id: 3, parent_id: Some(4), is_sampled: true };

    #[tokio::test(start_paused = true)]
    async fn collected_requests_leave_in_batches_and_others_never() {
        let (traces, exporter) = traces("slipway");
        let trail = trail(Some("alice"));
        let told = Exchange { trace: Some(&CONTEXT), ..exchange(&trail, "/x?token=abc") };
        for _ in 0..300 {
            traces.tell(&told);
        }
        traces.tell(&Exchange { trace: Some(&TraceContext { is_sampled: false, ..CONTEXT }), ..told.clone() });
        traces.tell(&exchange(&trail, "/x"));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (kept, stopping) = (sent.clone(), CancellationToken::new());
        let send = move |bytes: Vec<u8>| {
            kept.lock().push(bytes);
            std::future::ready(Ok(()))
        };
        let running = tokio::spawn(exporter.run(send, stopping.clone()));
        tokio::time::sleep(BATCH_EVERY * 3).await;
        assert_eq!((traces.sent(), traces.dropped()), (300, 0));
        traces.tell(&told);
        stopping.cancel();
        running.await.expect("it ends");
        assert_eq!(traces.sent(), 301, "what had come before the end is sent");
        let sent = sent.lock();
        let counts: Vec<usize> = sent
            .iter()
            .map(|bytes| {
                assert!(!String::from_utf8_lossy(bytes).contains("abc"), "a secret");
                assert!(!String::from_utf8_lossy(bytes).contains("alice"), "a person");
                let message: Value = serde_json::from_slice(bytes).expect("JSON");
                message["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().map_or(0, Vec::len)
            })
            .collect();
        assert_eq!(counts, [256, 44, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_is_away_costs_spans_and_no_time() {
        let (traces, exporter) = traces("slipway");
        let trail = trail(None);
        let told = Exchange { trace: Some(&CONTEXT), ..exchange(&trail, "/x") };
        for _ in 0..QUEUE_LIMIT + 5 {
            traces.tell(&told);
        }
        assert_eq!(traces.dropped(), 5, "no more than the queue holds");
        let stopping = CancellationToken::new();
        tokio::spawn(exporter.run(|_| std::future::ready(Err("no".to_owned())), stopping));
        tokio::time::sleep(BATCH_EVERY * 20).await;
        assert_eq!((traces.sent(), traces.dropped()), (0, QUEUE_LIMIT as u64 + 5));
    }

    #[test]
    fn a_span_says_where_it_hangs() {
        let trail = trail(None);
        let told = Exchange { status: 502, ..exchange(&trail, "/x") };
        let written = written(&span_of(CONTEXT, &told));
        assert_eq!(written.len(), 1, "no upstream was asked");
        let span = &written[0];
        assert_eq!((&span["parentSpanId"], &span["spanId"]), (&json!("0000000000000004"), &json!("0000000000000002")));
        assert_eq!(span["status"]["code"], 2);
        assert_eq!(span["startTimeUnixNano"], "1795313227732000000");
        assert_eq!(span["endTimeUnixNano"], "1795313227733500000");
    }
}
