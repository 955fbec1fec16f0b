//! Which of several certificates: what a changed folder leaves of the old ones, which is the best, and which one a
//! client gets. Pure.

use super::super::pairs::{Found, Pair};
use crate::model::Timestamp;

/// An operator's pairs after a look that found `found`; `None`: those of before stay.
///
/// A folder in which something is wrong, or a certificate that is not good now, is a folder that somebody is writing to
/// or has made a mistake in: pairs of before stay as long as no good new pair stands for all their names.
pub(super) fn next_files(before: &[Pair], found: Found, now: Timestamp) -> Option<Vec<Pair>> {
    if found.pairs.is_empty() {
        return None;
    }
    let mut pairs = found.pairs;
    let is_doubtful = !found.problems.is_empty() || pairs.iter().any(|pair| !pair.is_valid(now));
    if is_doubtful {
        let is_replaced = |old: &Pair| {
            // What has ended may be replaced by anything; what is good only by what is good too.
            let counts = |new: &&Pair| new.is_valid(now) || !old.is_valid(now);
            let has_name = |name| pairs.iter().filter(counts).any(|new| new.names.contains(name));
            let has_address = |address| pairs.iter().filter(counts).any(|new| new.addresses.contains(address));
            let is_covered = old.names.iter().all(has_name) && old.addresses.iter().all(has_address);
            is_covered || pairs.iter().any(|new| new.is_same(old))
        };
        let kept: Vec<Pair> = before.iter().filter(|old| !is_replaced(old)).cloned().collect();
        pairs.extend(kept);
    }
    Some(pairs)
}

/// The best first: valid now, made for a server, given by an operator and not ordered, good for longest; then by file
/// name, so that it does not flap.
pub(super) fn rank(pairs: &mut [Pair], now: Timestamp) {
    pairs.sort_by(|a, b| {
        let goodness = |pair: &Pair| (pair.is_valid(now), !pair.is_authority, !pair.is_ordered, pair.ends_at);
        goodness(b).cmp(&goodness(a)).then_with(|| a.file.cmp(&b.file))
    });
}

/// The pair for a client that asks for `host` (lower case) and can check a signature made by a key for which
/// `can_check` is true: the exact name, else a wildcard, else the default. One that is good now goes before a more
/// exact one that is not.
pub(super) fn choose<'a>(
    pairs: &'a [Pair],
    host: Option<&str>,
    now: Timestamp,
    can_check: impl Fn(&Pair) -> bool,
) -> Option<&'a Pair> {
    let best = |fits: &dyn Fn(&Pair) -> bool| {
        let fitting = || pairs.iter().filter(|pair| fits(pair));
        fitting().find(|pair| can_check(pair)).or_else(|| fitting().next())
    };
    let named = host.and_then(|host| {
        let exact = best(&|pair| pair.names.iter().any(|name| name == host));
        if exact.is_some_and(|pair| pair.is_valid(now)) {
            return exact;
        }
        let wildcard = best(&|pair| pair.covers_by_wildcard(host));
        wildcard.filter(|pair| exact.is_none() || pair.is_valid(now)).or(exact)
    });
    named.or_else(|| best(&|_| true))
}
