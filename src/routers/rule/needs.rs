//! What every request that a rule takes must have: hosts and beginnings of the path. The table finds by them, and tells by
//! them what a rule could only take from the hub. A rule may need more; it never needs less than is said here.

use super::Expression;
use super::matcher::Matcher;

/// Above so many alternatives a rule counts as one that needs none: the index must stay smaller than what it indexes.
const ALTERNATIVES_LIMIT: usize = 32;

/// What a request must have. None: any will do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// One of these hosts, in lower case and without a last dot.
    pub hosts: Option<Vec<String>>,
    /// A path that begins with one of these.
    pub paths: Option<Vec<PathNeed>>,
    /// True if it speaks of hosts by a pattern somewhere: then it may take hosts that it does not name.
    pub has_host_pattern: bool,
}

/// How a path must begin, or what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathNeed {
    /// The beginning.
    pub text: String,
    /// True if it is the whole path.
    pub is_whole: bool,
}

pub(super) fn of(expression: &Expression) -> Needs {
    Needs { has_host_pattern: has_host_pattern(expression), ..needed(expression) }
}

fn has_host_pattern(expression: &Expression) -> bool {
    match expression {
        Expression::One(matcher) => matches!(matcher, Matcher::HostRegexp(_) | Matcher::HostBelow(_)),
        // Every host but one is a pattern, too.
        Expression::Not(part) => needed(part).hosts.is_some() || has_host_pattern(part),
        Expression::All(parts) | Expression::Any(parts) => parts.iter().any(has_host_pattern),
    }
}

fn needed(expression: &Expression) -> Needs {
    match expression {
        Expression::One(Matcher::Host(host)) => Needs { hosts: Some(vec![host.clone()]), ..Needs::default() },
        Expression::One(Matcher::Path(path)) => path_need(path, true),
        Expression::One(Matcher::PathPrefix(path)) => path_need(path, false),
        // What is not asked for needs nothing that we could name.
        Expression::One(_) | Expression::Not(_) => Needs::default(),
        Expression::All(parts) => parts.iter().map(needed).fold(Needs::default(), |one, other| Needs {
            hosts: fewer(one.hosts, other.hosts),
            paths: fewer(one.paths, other.paths),
            has_host_pattern: false,
        }),
        Expression::Any(parts) => {
            let all: Vec<_> = parts.iter().map(needed).collect();
            Needs {
                hosts: either(all.iter().map(|needs| needs.hosts.clone())),
                paths: either(all.iter().map(|needs| needs.paths.clone())),
                has_host_pattern: false,
            }
        }
    }
}

fn path_need(path: &str, is_whole: bool) -> Needs {
    Needs { paths: Some(vec![PathNeed { text: path.to_owned(), is_whole }]), ..Needs::default() }
}

/// Both hold: the shorter list says more.
fn fewer<T>(one: Option<Vec<T>>, other: Option<Vec<T>>) -> Option<Vec<T>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.len() < one.len() { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// One of them holds: needed is only what all of them name.
fn either<T: PartialEq>(lists: impl Iterator<Item = Option<Vec<T>>>) -> Option<Vec<T>> {
    let mut joined = Vec::new();
    for list in lists {
        for item in list? {
            if !joined.contains(&item) {
                joined.push(item);
            }
        }
    }
    (joined.len() <= ALTERNATIVES_LIMIT).then_some(joined)
}
