//! W3C trace context: a request's trace is taken on from `traceparent`, gets a span of ours, and is passed on.
//!
//! Where no traces are made, `traceparent` passes as it came: an upstream's span must not hang below one that nobody
//! ever tells of. `tracestate` always passes as it came.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::request_id::random;
use crate::model::{TraceContext, TraceParent};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Settles which trace the request belongs to, for us and for whoever `headers` go on to. `ratio` (0 to 1) of the traces
/// are collected; a trusted proxy's word that one is collected counts, anybody else's would let them fill the collector.
pub(super) fn settle(headers: &mut HeaderMap, ratio: f64, is_from_proxy: bool) -> TraceContext {
    let mut given = headers.get_all(TRACEPARENT).into_iter();
    let parent = match (given.next(), given.next()) {
        (Some(only), None) => TraceParent::parse(only.as_bytes()),
        _ => None,
    };
    let trace_id =
        parent.map_or_else(|| u128::from(random()) << 64 | u128::from(random() | 1), |parent| parent.trace_id);
    let is_sampled = parent.is_some_and(|parent| parent.is_sampled && is_from_proxy) || is_chosen(random(), ratio);
    // No id is nought.
    let (span_id, upstream_span_id) = (random() | 1, random() | 1);
    let onward = TraceParent { trace_id, span_id: upstream_span_id, is_sampled }.to_string();
    if let Ok(onward) = HeaderValue::try_from(onward) {
        headers.insert(TRACEPARENT, onward);
    }
    TraceContext { trace_id, span_id, upstream_span_id, parent_id: parent.map(|parent| parent.span_id), is_sampled }
}

#[expect(clippy::cast_precision_loss, reason = "a chance need not be exact")]
fn is_chosen(number: u64, ratio: f64) -> bool {
    (number as f64) < ratio * u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn settled(lines: &[&'static str], ratio: f64, is_from_proxy: bool) -> (TraceContext, TraceParent) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(TRACEPARENT, HeaderValue::from_static(line));
        }
        let context = settle(&mut headers, ratio, is_from_proxy);
        assert_eq!(headers.get_all(TRACEPARENT).iter().count(), 1);
        let onward = TraceParent::parse(headers[TRACEPARENT].as_bytes()).expect("a traceparent");
        assert_eq!((onward.trace_id, onward.span_id), (context.trace_id, context.upstream_span_id));
        assert_eq!(onward.is_sampled, context.is_sampled);
        (context, onward)
    }

    #[test]
    fn a_trace_is_taken_on_with_spans_of_our_own() {
        let (context, onward) = settled(&[GIVEN], 0.0, true);
        assert_eq!(context.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(context.parent_id, Some(0xb7ad_6b71_6920_3331));
        assert!(context.is_sampled && onward.span_id != 0xb7ad_6b71_6920_3331 && context.span_id != onward.span_id);
    }

    #[test]
    fn a_strangers_word_collects_nothing() {
        let (context, _) = settled(&[GIVEN], 0.0, false);
        assert!(!context.is_sampled && context.parent_id.is_some());
        assert!(settled(&[GIVEN], 1.0, false).0.is_sampled);
    }

    #[test]
    fn without_one_valid_parent_a_new_trace_begins() {
        for lines in [&[][..], &["nonsense"], &[GIVEN, GIVEN]] {
            let (context, _) = settled(lines, 1.0, true);
            assert!(context.parent_id.is_none() && context.trace_id != 0 && context.is_sampled);
        }
    }

    #[test]
    fn about_as_many_are_collected_as_is_wished() {
        let collected = (0..10_000).filter(|_| settled(&[], 0.1, false).0.is_sampled).count();
        assert!((800..1200).contains(&collected), "{collected}");
    }
}
