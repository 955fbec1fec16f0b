//! The routes: as the API shows them, and as requests find them.
//!
//! A request's path is looked up segment by segment. configurable-http-proxy decodes it as a whole and splits after
//! that; where the two readings find different routes, the server behind would see another path than the one that was
//! routed, and the request is refused.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;

use super::json::{Json, Object};
use super::target::{Target, TargetError};
use crate::model::{ActivitySource, Timestamp};

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    /// As the API calls it.
    pub(super) key: String,
    /// What was stored with it.
    data: Object,
    /// Where it leads.
    pub(super) target: Result<Arc<Target>, TargetError>,
    added_at: Timestamp,
    /// Routes are listed as they were added.
    number: u64,
}

impl Route {
    /// When somebody last used it.
    pub(super) fn last_activity(&self) -> Timestamp {
        self.target.as_ref().map_or(self.added_at, |target| target.upstream.last_activity())
    }

    /// The object as the API shows it.
    pub(super) fn listing(&self) -> Object {
        let mut data = self.data.clone();
        data.set("last_activity", Json::Text(iso8601(self.last_activity())));
        data
    }
}

/// `2026-11-22T02:45:59.109Z`, as JavaScript writes times.
fn iso8601(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or_default();
    format!("{time:.3}")
}

type Map = imbl::GenericHashMap<Arc<str>, Arc<Route>, ahash::RandomState, imbl::shared_ptr::DefaultSharedPtr>;

/// One state of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    by_key: Map,
    /// Under the key without the slashes at its ends: what requests are looked up in.
    by_segments: Map,
    /// The most segments that any route has had: no longer prefix is looked up.
    deepest: usize,
    next_number: u64,
}

/// All routes. Readers never wait.
#[derive(Debug, Default)]
pub(super) struct Table {
    current: ArcSwap<Snapshot>,
    /// Writers take turns: what one has read is still so when it writes.
    writing: Mutex<()>,
}

/// What a request was found to belong to.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) route: Arc<Route>,
    /// How many bytes of the request's path are the route's prefix.
    pub(super) prefix_bytes: usize,
}

/// Why a request's path is refused with status 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    #[error("the path contains a dot segment")]
    DotSegment,
    #[error("the path contains a backslash")]
    Backslash,
    #[error("the path is not valid percent-encoded UTF-8")]
    Encoding,
    #[error("an empty segment or an encoded slash hides which route is meant")]
    Ambiguous,
}

impl Table {
    /// The present state.
    pub(super) fn current(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Adds a route, or replaces the one of that key as a whole. One that leads where it led before keeps its
    /// connections.
    pub(super) fn add(&self, key: &str, data: Object, target: &str, now: Timestamp) {
        let _turn = self.writing.lock();
        let table = self.current.load_full();
        let known = table.by_key.get(key);
        let same = known.filter(|known| known.data.get("target").and_then(Json::as_text) == Some(target));
        let target = match same.map(|known| &known.target) {
            Some(Ok(same)) => {
                same.upstream.touch(ActivitySource::Request, now);
                Ok(same.clone())
            }
            _ => Target::parse(target, now).map(Arc::new),
        };
        let number = known.map_or(table.next_number, |known| known.number);
        let route = Arc::new(Route { key: key.to_owned(), data, target, added_at: now, number });
        let segments = segments_of(key);
        self.current.store(Arc::new(Snapshot {
            by_key: table.by_key.update(Arc::from(key), route.clone()),
            by_segments: table.by_segments.update(Arc::from(segments), route),
            deepest: table.deepest.max(segments.split('/').count()),
            next_number: table.next_number.max(number + 1),
        }));
    }

    /// Removes the route of that key; false if there is none. Its open exchanges go on, as those of
    /// configurable-http-proxy do; its waiting connections close with the last of them.
    pub(super) fn remove(&self, key: &str) -> bool {
        let _turn = self.writing.lock();
        let table = self.current.load_full();
        let Some((route, by_key)) = table.by_key.extract(key) else { return false };
        let segments = segments_of(key);
        let is_found = table.by_segments.get(segments).is_some_and(|found| Arc::ptr_eq(found, &route));
        let by_segments = if is_found { table.by_segments.without(segments) } else { table.by_segments.clone() };
        self.current.store(Arc::new(Snapshot { by_key, by_segments, ..Snapshot::clone(&table) }));
        true
    }
}

impl Snapshot {
    /// The route of exactly this key.
    pub(super) fn get(&self, key: &str) -> Option<&Arc<Route>> {
        self.by_key.get(key)
    }

    /// All routes, the oldest key first.
    pub(super) fn list(&self) -> Vec<Arc<Route>> {
        let mut routes: Vec<_> = self.by_key.values().cloned().collect();
        routes.sort_by_key(|route| route.number);
        routes
    }

    /// The route with the longest prefix of whole segments of `path`, a request's path without its query. With host
    /// routing, `host` is the first segment.
    ///
    /// # Errors
    /// The path must not be forwarded; the answer is 400.
    pub(super) fn find(&self, host: Option<&str>, path: &str) -> Result<Option<Found>, PathError> {
        let is_encoded = check(path)?;
        if host.is_none() && !is_encoded && !path.contains("//") {
            return Ok(self.longest_plain(path));
        }
        let found = self.longest(host, path);
        if may_hide(path) && !same_route(found.as_ref(), self.longest_as_whole(host, path)) {
            return Err(PathError::Ambiguous);
        }
        Ok(found)
    }

    /// A path of which nothing is encoded is its own key.
    fn longest_plain(&self, path: &str) -> Option<Found> {
        let mut ends = [0; SEGMENTS_AT_ONCE];
        let depth = self.deepest;
        if depth > SEGMENTS_AT_ONCE {
            return self.longest(None, path);
        }
        let mut count = 0;
        let mut end = 0;
        for segment in path[1..].split('/').take(depth).take_while(|segment| !segment.is_empty()) {
            end += 1 + segment.len();
            ends[count] = end;
            count += 1;
        }
        let longest = ends[..count].iter().rev().find_map(|end| {
            self.by_segments.get(&path[1..*end]).map(|route| Found { route: route.clone(), prefix_bytes: *end })
        });
        longest.or_else(|| self.root())
    }

    /// Each segment decoded by itself. One that is empty, or hides a slash, is part of no prefix.
    fn longest(&self, host: Option<&str>, path: &str) -> Option<Found> {
        let mut key = host.unwrap_or_default().to_owned();
        let mut ends = vec![(key.len(), 0)];
        let mut end = 0;
        for segment in path[1..].split('/').take(self.deepest) {
            let Ok(decoded) = percent_decode_str(segment).decode_utf8() else { break };
            if decoded.is_empty() || decoded.contains('/') {
                break;
            }
            if !key.is_empty() {
                key.push('/');
            }
            key.push_str(&decoded);
            end += 1 + segment.len();
            ends.push((key.len(), end));
        }
        let longest = ends.iter().rev().filter(|(key_end, _)| *key_end > 0).find_map(|(key_end, prefix_bytes)| {
            let route = self.by_segments.get(&key[..*key_end])?.clone();
            Some(Found { route, prefix_bytes: *prefix_bytes })
        });
        longest.or_else(|| self.root())
    }

    /// The other reading: decoded as a whole, then split.
    fn longest_as_whole(&self, host: Option<&str>, path: &str) -> Option<&Arc<Route>> {
        let decoded = percent_decode_str(path).decode_utf8().ok()?;
        let whole = match host {
            Some(host) => format!("{host}{decoded}"),
            None => decoded.into_owned(),
        };
        let whole = whole.trim_matches('/');
        let ends = whole.match_indices('/').map(|(at, _)| at).take(self.deepest).chain([whole.len()]);
        let mut longest = None;
        for end in ends {
            longest = self.by_segments.get(&whole[..end]).or(longest);
        }
        longest.or_else(|| self.by_segments.get(""))
    }

    fn root(&self) -> Option<Found> {
        self.by_segments.get("").map(|route| Found { route: route.clone(), prefix_bytes: 0 })
    }
}

/// Prefixes of more segments are looked up the slow way; JupyterHub's have two or three.
const SEGMENTS_AT_ONCE: usize = 16;

/// A key as the API means it: one leading slash at least, and no slash at its end.
pub(super) fn clean_key(path: &str) -> String {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    match path.strip_suffix('/') {
        Some(shorter) if !shorter.is_empty() => shorter.to_owned(),
        _ => path,
    }
}

fn segments_of(key: &str) -> &str {
    key.trim_matches('/')
}

/// True if `path` has something encoded.
///
/// # Errors
/// Programs read it in different ways.
fn check(path: &str) -> Result<bool, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    let (mut is_encoded, mut has_dot) = (false, false);
    for byte in path.bytes() {
        match byte {
            b'\\' => return Err(PathError::Backslash),
            b'%' => is_encoded = true,
            b'.' => has_dot = true,
            _ => {}
        }
    }
    if is_encoded {
        let bytes = path.as_bytes();
        let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        let is_sound = path.match_indices('%').all(|(at, _)| is_hex(at + 1) && is_hex(at + 2));
        if !is_sound || percent_decode_str(path).decode_utf8().is_err() {
            return Err(PathError::Encoding);
        }
    }
    if (has_dot || is_encoded) && path.split('/').any(is_dot_segment) {
        return Err(PathError::DotSegment);
    }
    Ok(is_encoded)
}

fn is_dot_segment(segment: &str) -> bool {
    (1..=6).contains(&segment.len()) && matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// True if the two readings of a path may differ.
fn may_hide(path: &str) -> bool {
    path.contains("//") || path.contains("%2f") || path.contains("%2F")
}

fn same_route(one: Option<&Found>, other: Option<&Arc<Route>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(&one.route, other),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
