//! A trace's context as W3C writes it (`traceparent`): which trace a request belongs to, and which span of it asks.

use std::fmt;

/// Of the trace that a request belongs to, as it leaves us: the span of ours, and what it hangs below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Which trace.
    pub trace_id: u128,
    /// Our span of this request.
    pub span_id: u64,
    /// Our span of what we ask the upstream; the upstream's own hangs below it.
    pub upstream_span_id: u64,
    /// The span that asks us; `None` where the trace begins with us.
    pub parent_id: Option<u64>,
    /// Somebody collects it.
    pub is_sampled: bool,
}

/// What `traceparent` says: trace, span, and whether it is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Which trace.
    pub trace_id: u128,
    /// The span that asks.
    pub span_id: u64,
    /// Somebody collects it, says who asks.
    pub is_sampled: bool,
}

/// `00-` + 32 + `-` + 16 + `-` + 2.
const LENGTH: usize = 55;

impl TraceParent {
    /// Reads the header; `None` for what the recommendation calls invalid: then a new trace begins.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (head, more) = text.split_at_checked(LENGTH)?;
        let head = std::str::from_utf8(head).ok()?;
        let mut fields = head.split('-');
        let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        // A later version may say more behind these four, never less.
        let is_whole = more.is_empty() || version != "00" && more[0] == b'-';
        let [version, flags] = [hex(version, 2)?, hex(flags, 2)?];
        let (trace_id, span_id) = (hex(trace, 32)?, u64::try_from(hex(span, 16)?).ok()?);
        let is_valid = is_whole && version != 0xff && fields.next().is_none() && trace_id != 0 && span_id != 0;
        is_valid.then_some(Self { trace_id, span_id, is_sampled: flags & 1 == 1 })
    }
}

/// So many hex digits, in lower case as the recommendation wants them.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_lower = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_lower.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.is_sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_it_is_written() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = TraceParent::parse(text.as_bytes()).expect("the recommendation's own example");
        assert_eq!((parent.to_string().as_str(), parent.is_sampled), (text, true));
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-brings";
        assert!(TraceParent::parse(later.as_bytes()).is_some());
    }

    #[test]
    fn what_is_no_traceparent_begins_a_new_trace() {
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01-",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceParent::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(TraceParent::parse(&[b'\xff'; 55]), None);
    }
}
