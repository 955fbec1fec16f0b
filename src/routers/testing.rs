//! What tests of middlewares and balancers share: sections from pairs, a clock that is moved by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::{Fields, Node, NodeValue, Place};
use crate::model::{Clock, Timestamp};

/// A section of these fields; a dot leads into a section below, `[0]` into a list.
pub(super) fn fields(name: &str, pairs: &[(&str, &str)]) -> Fields {
    let place = || Place::Line { file: "routes.yml".into(), line: 7 };
    let mut root = Node::section(name, place());
    for (path, text) in pairs {
        let mut node = &mut root;
        for part in path.split('.') {
            let (part, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
                Some((part, index)) => (part, Some(index.parse::<usize>().expect("a number"))),
                None => (part, None),
            };
            if let NodeValue::Text(_) = node.value {
                node.value = Node::section("", place()).value;
            }
            let NodeValue::Map(map) = &mut node.value else { panic!("{path} leads into a list") };
            node = map.entry(part.to_lowercase()).or_insert_with(|| Node::text(part, place(), ""));
            if let Some(index) = index {
                if let NodeValue::Text(_) = node.value {
                    node.value = NodeValue::List(Vec::new());
                }
                let NodeValue::List(list) = &mut node.value else { panic!("{path} is no list") };
                while list.len() <= index {
                    list.push(Node::section("", place()));
                }
                node = &mut list[index];
            }
        }
        node.value = NodeValue::Text((*text).to_owned());
    }
    root.into_fields().expect("a section")
}

/// Stands still until it is moved.
#[derive(Debug, Default)]
pub(super) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(super) fn move_by(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).expect("a short time"), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000 + self.0.load(Ordering::Relaxed))
    }
}
