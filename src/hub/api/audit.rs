//! `GET /audit`: the audit log as JSON lines, newest first, as long as the reader reads.

use std::net::IpAddr;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use utoipa::IntoParams;

use super::model::error::ErrorModel;
use super::scopes;
use crate::auth::{Auth, Target};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::hub::form::query_value;
use crate::model::{AuditKind, Timestamp};
use crate::store::{AuditEntry, AuditFilter, AuditPage, StoreError};

/// Rows in one piece: some 100 KiB.
const ROWS_AT_ONCE: usize = 500;
/// A day in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// Which rows are asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it describes what `filter_of` reads")]
pub(super) struct AuditQuery {
    /// Of this sort: `sign-in`, `failure`, `account`, `approval`, `grant`, `share`, `server`, `visit`, `volume`,
    /// `notice`, `token` or `configuration`.
    #[param(example = "sign-in")]
    kind: Option<String>,
    /// By this user or service.
    #[param(example = "alice")]
    actor: Option<String>,
    /// By this person, or about them.
    #[param(example = "alice")]
    person: Option<String>,
    /// With exactly these words for the act.
    #[param(example = "signed in")]
    act: Option<String>,
    /// With this text in actor, act or object.
    #[param(example = "physics")]
    text: Option<String>,
    /// From this address.
    #[param(example = "192.0.2.7")]
    from: Option<String>,
    /// Not before this time (ISO 8601) or day (UTC).
    #[param(example = "2026-11-22")]
    since: Option<String>,
    /// Not after this time or day.
    #[param(example = "2026-11-23")]
    until: Option<String>,
    /// Above this number: what has come since the last export.
    #[param(minimum = 0, example = 1200)]
    after: Option<u64>,
    /// Below this number.
    #[param(minimum = 1, example = 1500)]
    before: Option<u64>,
    /// So many rows at most.
    #[param(minimum = 1, example = 1000)]
    limit: Option<u64>,
}

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    number: u64,
    time: String,
    kind: AuditKind,
    actor: &'a str,
    act: &'a str,
    object: &'a str,
    from: Option<IpAddr>,
    token: Option<String>,
    previous: Option<String>,
    hash: String,
}

/// `GET /hub/api/audit`
#[utoipa::path(
    get, path = "/audit", operation_id = "export_audit", tag = "Hub",
    summary = "Export the audit log",
    description = "Newest first, one JSON object a line: `number`, `time`, `kind`, `actor`, `act`, `object`, `from` (an \
                   address), `token` (an id), `previous` (the hash of the row before) and `hash`. A row's hash stands for \
                   all rows before it: keep the newest elsewhere, and you can tell later that none of them was altered.",
    params(AuditQuery),
    security(("token" = ["read:audit"])),
    responses(
        (status = 200, description = "The rows.", content_type = "application/jsonl", body = String,
         example = "{\"number\":2,\"time\":\"2026-11-22T02:07:07.732000Z\",\"kind\":\"sign-in\",\"actor\":\"alice\",\"act\":\"signed in\",\"object\":\"\",\"from\":\"192.0.2.7\",\"token\":null,\"previous\":\"…\",\"hash\":\"…\"}\n"),
        (status = 400, description = "A parameter is not as it must be.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    uri: Uri,
) -> Result<Response, HubError> {
    scopes::require(&caller, &["read:audit"], Target::All)?;
    let filter = filter_of(&uri)?;
    let before = number_of(&uri, "before")?;
    let left = number_of(&uri, "limit")?.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut export = Export { auth: state.auth.clone(), filter, before, left, is_done: left == 0 };
    // Before the head goes out: a store that cannot be read is an error with its status.
    let first = export.next().await.unwrap_or(Ok(Bytes::new()))?;
    let rest = stream::unfold(export, async |mut export| Some((export.next().await?, export)));
    let pieces = futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest);
    let head = [
        (CONTENT_TYPE, "application/jsonl"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
    ];
    Ok((head, Body::from_stream(pieces)).into_response())
}

/// An export under way. Nothing is held between two pieces.
struct Export {
    auth: Auth,
    filter: AuditFilter,
    before: Option<u64>,
    left: usize,
    is_done: bool,
}

impl Export {
    /// The next lines; after an error none.
    async fn next(&mut self) -> Option<Result<Bytes, StoreError>> {
        while !self.is_done {
            let limit = self.left.min(ROWS_AT_ONCE);
            let AuditPage { entries, next_before, .. } =
                match self.auth.audit_page(self.filter.clone(), self.before, limit).await {
                    Ok(page) => page,
                    Err(error) => {
                        self.is_done = true;
                        return Some(Err(error));
                    }
                };
            self.left -= entries.len();
            self.before = next_before;
            self.is_done = next_before.is_none() || self.left == 0;
            if !entries.is_empty() {
                return Some(Ok(lines_of(&entries)));
            }
        }
        None
    }
}

fn lines_of(entries: &[AuditEntry]) -> Bytes {
    let mut lines = Vec::with_capacity(entries.len() * 256);
    for AuditEntry { number, hash, row } in entries {
        let line = Line {
            number: *number,
            time: row.at.to_iso(),
            kind: row.kind,
            actor: &row.actor,
            act: &row.act,
            object: &row.object,
            from: row.from,
            token: row.token.map(|token| token.to_string()),
            previous: row.previous.map(|hash| hash.to_string()),
            hash: hash.to_string(),
        };
        // Texts and numbers: nothing that JSON has not.
        if serde_json::to_writer(&mut lines, &line).is_ok() {
            lines.push(b'\n');
        }
    }
    lines.into()
}

/// What the address asks for, also that of the page.
pub(in crate::hub) fn filter_of(uri: &Uri) -> Result<AuditFilter, HubError> {
    let text = |name: &str| {
        let value = query_value(uri.query(), name).map(|value| value.trim().to_owned());
        value.filter(|value| !value.is_empty())
    };
    let kind = text("kind").map(|word| AuditKind::parse(&word).ok_or_else(|| bad("kind", &word))).transpose()?;
    let from = text("from").map(|from| IpAddr::from_str(&from).map_err(|_| bad("from", &from))).transpose()?;
    let since = text("since").map(|time| moment_of(&time, 0).ok_or_else(|| bad("since", &time))).transpose()?;
    let until =
        text("until").map(|time| moment_of(&time, DAY_MS - 1).ok_or_else(|| bad("until", &time))).transpose()?;
    Ok(AuditFilter {
        kind,
        actor: text("actor"),
        person: text("person").map(|name| name.to_lowercase()),
        act: text("act"),
        text: text("text"),
        from,
        since,
        // The filter's end is the first moment that is not wanted.
        until: until.map(|until| Timestamp(until.0.saturating_add(1))),
        after: number_of(uri, "after")?,
    })
}

/// A number of the address.
pub(in crate::hub) fn number_of(uri: &Uri, name: &str) -> Result<Option<u64>, HubError> {
    let value = query_value(uri.query(), name).filter(|value| !value.is_empty());
    value.map(|value| value.parse().map_err(|_| bad(name, &value))).transpose()
}

/// A time, or a day and so many milliseconds.
fn moment_of(text: &str, of_day_ms: i64) -> Option<Timestamp> {
    if text.len() == 10 {
        let midnight = Timestamp::parse_iso(&format!("{text}T00:00:00Z"))?;
        return Some(Timestamp(midnight.0 + of_day_ms));
    }
    Timestamp::parse_iso(text)
}

fn bad(name: &str, value: &str) -> HubError {
    HubError::bad(format!("{name} cannot be {:?}", super::body::short(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Option<AuditFilter> {
        filter_of(&format!("/hub/audit?{query}").parse().expect("an address")).ok()
    }

    #[test]
    fn a_day_is_meant_whole_and_a_time_to_the_millisecond() {
        let day = filter("since=2026-11-22&until=2026-11-22").expect("days");
        assert_eq!(day.since.map(Timestamp::to_iso).as_deref(), Some("2026-11-22T00:00:00.000000Z"));
        assert_eq!(day.until.map(Timestamp::to_iso).as_deref(), Some("2026-11-23T00:00:00.000000Z"));
        let local = filter("until=2026-11-22T23:59:59.999%2B01:00").expect("a time");
        assert_eq!(local.until.map(Timestamp::to_iso).as_deref(), Some("2026-11-22T23:00:00.000000Z"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_what_is_empty_is_not_asked() {
        for query in ["kind=magic", "from=here", "since=yesterday", "until=2026-13-01", "after=-1", "after=x"] {
            assert_eq!(filter(query), None, "{query}");
        }
        assert_eq!(filter("kind=&person=&text=&since=&until=&from="), Some(AuditFilter::default()));
        assert_eq!(filter("person=%20Alice%20").and_then(|filter| filter.person).as_deref(), Some("alice"));
    }
}
