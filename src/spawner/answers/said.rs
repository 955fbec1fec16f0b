//! What a server says of its kernels and terminals, read from JSON that may be hostile, and what of it is use.
//!
//! Nothing is kept of a list but what matters of all its entries; times from the future are now.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::Timestamp;

/// How long after a page has opened the WebSocket of a kernel or terminal what the server says of it comes of that: its
/// greeting, and the page's questions. 10 s: JupyterLab sends them at once.
const GREETING_MS: i64 = 10_000;
/// How much earlier than by our clock the server may have noted it.
const BEFORE_MS: i64 = 2_000;

/// What a list says of all its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// One is busy.
    pub(super) is_busy: bool,
    /// The latest that any was used.
    pub(super) last_activity: Option<Timestamp>,
}

impl Said {
    /// Reads an answer of `api/kernels` or `api/terminals`; None if it is none.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// When what it says was last used, if that was not the greeting of a page that had lost its connection.
    pub(super) fn used_at(self, opened: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let used_at = self.last_activity?.min(now);
        let is_greeting = opened.is_some_and(|opened| {
            let after_ms = used_at.0.saturating_sub(opened.0);
            (-BEFORE_MS..=GREETING_MS).contains(&after_ms)
        });
        (!is_greeting).then_some(used_at)
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List)
    }
}

/// Reads the list entry by entry, so that a long one needs no memory.
struct List;

impl<'de> Visitor<'de> for List {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of kernels or terminals")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Said, A::Error> {
        let mut said = Said::default();
        while let Some(Entry(entry)) = list.next_element()? {
            said.is_busy |= entry.is_busy;
            said.last_activity = said.last_activity.max(entry.last_activity);
        }
        Ok(said)
    }
}

/// One kernel or terminal: an object, of which two fields matter if they are texts.
struct Entry(Said);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields).map(Entry)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a kernel or a terminal")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Said, A::Error> {
        let mut said = Said::default();
        while let Some(name) = fields.next_key::<Field>()? {
            match name {
                Field::ExecutionState => {
                    said.is_busy = fields.next_value::<Option<String>>()?.as_deref() == Some("busy")
                }
                Field::LastActivity => {
                    let text = fields.next_value::<Option<String>>()?;
                    said.last_activity = text.and_then(|text| Timestamp::parse_iso(&text));
                }
                Field::Other => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(said)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    ExecutionState,
    LastActivity,
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_iso(text).expect("a time")
    }

    /// As jupyter_server 2.21 says it.
    #[test]
    fn kernels_and_terminals_are_read_as_jupyter_says_them() {
        let kernels = br#"[
            {"id": "e61e5a08", "name": "python3", "last_activity": "2026-11-22T14:35:27.605358Z", "execution_state": "idle", "connections": 1},
            {"id": "e61e5a09", "name": "python3", "last_activity": "2026-11-22T14:35:20Z", "execution_state": "busy", "connections": 0}
        ]"#;
        let expected = Said { is_busy: true, last_activity: Some(at("2026-11-22T14:35:27.605Z")) };
        assert_eq!(Said::read(kernels), Some(expected));
        let terminals = br#"[{"name": "1", "last_activity": "2026-11-22T14:35:35.045450Z"}]"#;
        let expected = Said { is_busy: false, last_activity: Some(at("2026-11-22T14:35:35.045Z")) };
        assert_eq!(Said::read(terminals), Some(expected));
        assert_eq!(Said::read(b"[]"), Some(Said::default()));
    }

    #[test]
    fn what_is_no_list_of_them_says_nothing() {
        for json in [
            &b"{}"[..],
            b"[1]",
            b"[[]]",
            b"null",
            b"\"busy\"",
            b"<html>",
            b"",
            b"[{\"execution_state\": 7}]",
            b"[{\"execution_state\": \"busy\"}",
        ] {
            assert_eq!(Said::read(json), None, "{}", String::from_utf8_lossy(json));
        }
        let odd = br#"[{"execution_state": null, "last_activity": "yesterday", "x": {"execution_state": "busy"}}, {}]"#;
        assert_eq!(Said::read(odd), Some(Said::default()));
    }

    #[test]
    fn a_page_that_came_back_has_used_nothing() {
        let said = |ms| Said { is_busy: false, last_activity: Some(Timestamp(ms)) };
        let now = Timestamp(1_000_000);
        for (used, opened, expected) in [
            (500_000, None, Some(500_000)),
            (500_000, Some(500_000), None),
            (500_000, Some(499_000), None),
            (499_000, Some(500_000), None),
            (500_000, Some(480_000), Some(500_000)),
            (500_000, Some(600_000), Some(500_000)),
            (9_000_000, None, Some(1_000_000)),
            (i64::MAX, Some(i64::MIN), Some(1_000_000)),
        ] {
            let used_at = said(used).used_at(opened.map(Timestamp), now);
            assert_eq!(used_at, expected.map(Timestamp), "{used} {opened:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_is_read_or_not(json in "[\\[\\]{}\":,a-z_0-9 ]{0,200}", bytes: Vec<u8>) {
            let _ = (Said::read(json.as_bytes()), Said::read(&bytes));
        }
    }
}
