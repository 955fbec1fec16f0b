//! `{base}hub/audit`: who did what to whom, when and from where. For administrators.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use super::see_other;
use crate::auth::may_administer;
use crate::hub::HubState;
use crate::hub::api::audit::{filter_of, number_of};
use crate::hub::error::HubError;
use crate::hub::extract::Person;
use crate::hub::form::{query_encode, query_value};
use crate::hub::frame::Frame;
use crate::hub::templates::moment;
use crate::model::AuditKind;
use crate::store::AuditEntry;

/// Rows on one page: more than anybody reads at once, and 50 KB of HTML.
const PER_PAGE: usize = 50;
/// The parts of the address that say which rows are meant.
const FILTERS: [&str; 5] = ["kind", "person", "text", "since", "until"];

/// `GET {base}hub/audit` with `kind`, `person`, `text`, `since`, `until` and `before`.
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let filter = filter_of(&uri)?;
    let before = number_of(&uri, "before")?;
    let found = state.auth.audit_page(filter, before, PER_PAGE).await?;
    let value = |name| query_value(uri.query(), name).map(|value| value.trim().to_owned()).unwrap_or_default();
    let address = |more: Option<u64>| format!("{}{}", state.config.hub("audit"), query_of(&uri, more));
    let is_searched = FILTERS.iter().any(|name| !value(name).is_empty());
    let chosen = value("kind");
    let kinds = AuditKind::ALL.map(|kind| {
        context! { word => kind.word(), label => label_of(kind), is_chosen => kind.word() == chosen }
    });
    let page = context! {
        rows => found.entries.iter().map(row_of).collect::<Vec<_>>(),
        kinds => kinds.to_vec(),
        who => value("person"),
        text => value("text"),
        since => day_of(&value("since")),
        until => day_of(&value("until")),
        is_searched,
        is_first => before.is_none(),
        // So much was looked at, and there is more: not the same as that there is nothing.
        is_cut_short => found.next_before.is_some() && found.entries.len() < PER_PAGE,
        looked_back_to => found.looked_back_to.map(moment),
        newest_url => address(None),
        older_url => found.next_before.map(|before| address(Some(before))),
        export_url => format!("{}{}", state.config.hub("api/audit"), query_of(&uri, None)),
        chain => chain_of(&state),
    };
    frame.show(StatusCode::OK, "audit.html", page)
}

/// `POST {base}hub/audit/check`: begins a check of the chain.
pub(in crate::hub) async fn check_chain(State(state): State<HubState>, person: Person) -> Result<Response, HubError> {
    check(&person)?;
    state.check_audit();
    Ok(see_other(&state.config.hub("audit")))
}

fn check(person: &Person) -> Result<(), HubError> {
    if may_administer(&person.as_caller()) { Ok(()) } else { Err(HubError::AdministratorsOnly) }
}

fn row_of(entry: &AuditEntry) -> Value {
    let AuditEntry { number, row, .. } = entry;
    context! {
        number,
        at => moment(row.at),
        noted => row.noted.map(moment),
        actor => &row.actor,
        actor_query => query_encode(&row.actor),
        act => &row.act,
        object => &row.object,
        kind => row.kind.word(),
        label => label_of(row.kind),
        from => row.from.map(|from| from.to_string()),
        token => row.token.map(|token| token.to_string()),
    }
}

fn chain_of(state: &HubState) -> Value {
    let last = state.audit_check.last();
    let report = last.as_ref().and_then(|checked| checked.report.as_ref());
    context! {
        is_running => state.audit_check.is_running(),
        at => last.as_ref().map(|checked| moment(checked.at)),
        is_read => report.is_some(),
        rows => report.map(|report| report.rows),
        unchained => report.map(|report| report.unchained).filter(|count| *count > 0),
        head => report.and_then(|report| report.head).map(|(number, hash)| {
            context! { number, hash => hash.to_string() }
        }),
        problem => report.and_then(|report| report.first_break.as_ref()).map(ToString::to_string),
    }
}

/// The same rows in an address, from below this number on.
fn query_of(uri: &Uri, before: Option<u64>) -> String {
    let value = |name: &str| query_value(uri.query(), name).filter(|value| !value.is_empty());
    let mut pairs: Vec<_> =
        FILTERS.iter().filter_map(|name| Some(format!("{name}={}", query_encode(&value(name)?)))).collect();
    pairs.extend(before.map(|before| format!("before={before}")));
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// The day of a time as the reader's script sends it, who adds hour and zone.
fn day_of(time: &str) -> String {
    time.chars().take(10).collect()
}

/// A kind for people.
fn label_of(kind: AuditKind) -> &'static str {
    match kind {
        AuditKind::SignIn => "Sign-ins",
        AuditKind::Failure => "Failed sign-ins",
        AuditKind::Account => "Accounts",
        AuditKind::Approval => "Approvals",
        AuditKind::Grant => "Groups and rights",
        AuditKind::Share => "Shares",
        AuditKind::Server => "Servers",
        AuditKind::Visit => "Visits to others’ servers",
        AuditKind::Volume => "Volumes",
        AuditKind::Notice => "Notices",
        AuditKind::Token => "Tokens",
        AuditKind::Configuration => "Configuration",
        AuditKind::Other => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_older_rows_keeps_what_was_asked() {
        let uri = "/hub/audit?kind=token&person=a%26b&text=&before=9&other=1".parse().expect("an address");
        assert_eq!(query_of(&uri, Some(5)), "?kind=token&person=a%26b&before=5");
        assert_eq!(query_of(&"/hub/audit?before=9".parse().expect("an address"), None), "");
        assert_eq!(day_of("2026-11-22T00:00:00+01:00"), "2026-11-22");
    }
}
