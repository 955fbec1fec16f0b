//! `{base}hub/notifications`: an administrator tells people whose server runs something, and sees what became of it.
//!
//! The form works without script: what was typed comes back with the reason beside its field, names are found by a
//! button, and a broadcast has a page of its own (`one`), which shows what each server said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use super::see_other;
use crate::auth::may_administer;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, Person};
use crate::hub::form::{Fields, query_value};
use crate::hub::frame::Frame;
use crate::hub::notices::{self, Audience, Sent, SentState};
use crate::hub::templates::moment;
use crate::model::{AutoClose, NOTICE_LIMIT, Notice, NoticeKind, NoticeText, NoticeTextError, Undelivered, UserName};
use crate::store::{DeliveryRow, NoticeId};

/// People that the list of the form shows; others are found by name, or all of them by script. 200 are 20 KB of HTML.
const PEOPLE_SHOWN: usize = 200;
/// Notices on a page of the history.
const HISTORY_PER_PAGE: usize = 10;
/// Failures that the history names beside a notice; its own page has all.
const FAILURES_NAMED: usize = 5;
/// Results on a page of a notice.
const RESULTS_PER_PAGE: usize = 100;
/// What somebody typed and we show again: longer messages are cut, since nobody edits them in this form.
const TYPED_LIMIT: usize = 2000;

/// When a notice may go by itself: the value of the choice, what people read, and what it means.
const AUTO_CLOSES: [(&str, &str, AutoClose); 6] = [
    ("never", "Stays until dismissed", AutoClose::Never),
    ("30000", "After 30 seconds", AutoClose::AfterMs(30_000)),
    ("60000", "After 1 minute", AutoClose::AfterMs(60_000)),
    ("600000", "After 10 minutes", AutoClose::AfterMs(600_000)),
    ("1800000", "After 30 minutes", AutoClose::AfterMs(1_800_000)),
    ("3600000", "After 1 hour", AutoClose::AfterMs(3_600_000)),
];

fn text_of(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Default => "Plain",
        NoticeKind::Info => "Information",
        NoticeKind::Success => "Success",
        NoticeKind::Warning => "Warning",
        NoticeKind::Error => "Error",
        NoticeKind::InProgress => "In progress",
    }
}

/// What the form says, as far as it can be shown again.
#[derive(Default)]
struct Typed {
    message: String,
    message_problem: Option<String>,
    kind: NoticeKind,
    auto_close: String,
    is_for_some: bool,
    chosen: BTreeSet<String>,
    audience_problem: Option<String>,
    find: String,
    /// Why nothing was sent, if it is no field's fault.
    problem: Option<String>,
}

impl Typed {
    fn of(fields: &Fields) -> Self {
        Self {
            message: fields.get("message").chars().take(TYPED_LIMIT).collect(),
            kind: NoticeKind::parse(fields.get("kind")).unwrap_or_default(),
            auto_close: fields.get("auto_close").to_owned(),
            is_for_some: fields.get("audience") == "some",
            chosen: fields.all("to").map(str::to_owned).collect(),
            find: fields.get("find").trim().to_lowercase().chars().take(64).collect(),
            ..Self::default()
        }
    }

    fn auto_close(&self) -> AutoClose {
        let known = AUTO_CLOSES.iter().find(|(value, _, _)| *value == self.auto_close);
        known.map_or(AutoClose::Never, |(_, _, auto_close)| *auto_close)
    }

    /// What is to be sent, or what is wrong beside its field.
    fn parse(&mut self) -> Option<(Notice, Audience)> {
        let audience = match self.is_for_some {
            false => Audience::All,
            true => Audience::Chosen(self.chosen.iter().filter_map(|name| UserName::from_path(name)).collect()),
        };
        if audience == Audience::Chosen(BTreeSet::new()) {
            self.audience_problem = Some("Choose somebody, or send it to everybody.".to_owned());
        }
        let message = NoticeText::parse(&self.message).map_err(|error| match error {
            NoticeTextError::Empty => "Write what you want to say.".to_owned(),
            NoticeTextError::TooLong { count } => {
                let over = count - NOTICE_LIMIT;
                format!("This is {over} {} too long.", if over == 1 { "character" } else { "characters" })
            }
        });
        let message = message.map_err(|sentence| self.message_problem = Some(sentence)).ok()?;
        let notice = Notice { message, kind: self.kind, auto_close: self.auto_close() };
        self.audience_problem.is_none().then_some((notice, audience))
    }
}

/// `GET {base}hub/notifications`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let page = query_value(uri.query(), "page").and_then(|page| page.parse().ok()).unwrap_or(1);
    show(&state, frame, StatusCode::OK, Typed::default(), page).await
}

/// `POST {base}hub/notifications`: sends, or (`act=find`) shows the form again with other names.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    frame: Frame,
    fields: Fields,
) -> Result<Response, HubError> {
    check(&person)?;
    let mut typed = Typed::of(&fields);
    if fields.get("act") == "find" {
        typed.is_for_some = true;
        return show(&state, frame, StatusCode::OK, typed, 1).await;
    }
    let Some((notice, audience)) = typed.parse() else {
        return show(&state, frame, StatusCode::BAD_REQUEST, typed, 1).await;
    };
    let addressees = audience.addressees(&state);
    if addressees.is_empty() {
        typed.problem = Some("No server runs just now: nobody would see it. Nothing was sent.".to_owned());
        return show(&state, frame, StatusCode::OK, typed, 1).await;
    }
    match notices::begin(&state, by, notice, addressees).await {
        Ok(broadcast) => {
            // Most are over by then, and the next page can say so at once.
            broadcast.wait(Duration::from_secs(state.config.notices.page_timeout_s)).await;
            Ok(see_other(&state.config.hub(&format!("notifications/{}", broadcast.id))))
        }
        Err(error) if error.status() == StatusCode::TOO_MANY_REQUESTS => {
            typed.problem = error.message();
            show(&state, frame, error.status(), typed, 1).await
        }
        Err(error) => Err(error),
    }
}

async fn show(
    state: &HubState,
    frame: Frame,
    status: StatusCode,
    typed: Typed,
    page: usize,
) -> Result<Response, HubError> {
    let (people, servers) = people_of(state);
    let history = notices::list(state).await?;
    let found: Vec<_> = {
        // Those who are chosen come first: they stay chosen whatever is looked for.
        let (chosen, others): (Vec<_>, Vec<_>) = people.iter().partition(|(name, _)| typed.chosen.contains(*name));
        let others = others.into_iter().filter(|(name, _)| name.contains(&typed.find));
        chosen.into_iter().chain(others).collect()
    };
    let shown = found.iter().take(PEOPLE_SHOWN).map(|(name, about)| {
        context! { name => *name, about => about.sentence(), is_chosen => typed.chosen.contains(*name) }
    });
    let pages = history.len().div_ceil(HISTORY_PER_PAGE).max(1);
    let page = page.clamp(1, pages);
    let on_page = history.iter().skip((page - 1) * HISTORY_PER_PAGE).take(HISTORY_PER_PAGE);
    let address_of = |page: usize| state.config.hub(&format!("notifications?page={page}#sent"));
    let values = context! {
        limit => NOTICE_LIMIT,
        message => typed.message,
        message_problem => typed.message_problem,
        audience_problem => typed.audience_problem,
        problem => typed.problem,
        kinds => NoticeKind::ALL.map(|kind| {
            context! { value => kind.as_str(), text => text_of(kind), is_chosen => kind == typed.kind }
        }),
        kind => typed.kind.as_str(),
        auto_closes => AUTO_CLOSES.map(|(value, text, _)| {
            context! { value, text, is_chosen => value == typed.auto_close }
        }),
        is_for_some => typed.is_for_some,
        find => typed.find,
        people_count => people.len(),
        servers_count => servers,
        people => shown.collect::<Vec<_>>(),
        others_count => found.len().saturating_sub(PEOPLE_SHOWN),
        active_url => state.config.hub("api/notifications/active-servers"),
        history => on_page.map(row_of).collect::<Vec<_>>(),
        previous_url => (page > 1).then(|| address_of(page - 1)),
        next_url => (page < pages).then(|| address_of(page + 1)),
        page,
        pages,
    };
    frame.show(status, "notices.html", values)
}

/// What the list says of somebody.
#[derive(Default)]
struct About {
    ready: usize,
    waiting: usize,
}

impl About {
    fn sentence(&self) -> Option<String> {
        match (self.ready, self.waiting) {
            (1, 0) => None,
            (0, _) => Some("not ready".to_owned()),
            (ready, _) if ready > 1 => Some(format!("{ready} servers")),
            _ => Some("1 ready".to_owned()),
        }
    }
}

/// Whose servers run, in order of name, and how many servers would hear a notice.
fn people_of(state: &HubState) -> (BTreeMap<String, About>, usize) {
    let mut people: BTreeMap<String, About> = BTreeMap::new();
    let mut servers = 0;
    for addressee in Audience::All.addressees(state) {
        let about = people.entry(addressee.server.user.to_string()).or_default();
        if addressee.hindrance.is_none() {
            about.ready += 1;
            servers += 1;
        } else {
            about.waiting += 1;
        }
    }
    (people, servers)
}

fn row_of(sent: &Sent) -> Value {
    let row = &sent.row;
    let failures: Vec<_> = row.deliveries.iter().filter(|result| result.failure.is_some()).collect();
    context! {
        id => row.id.0,
        message => row.message.as_str(),
        kind => row.kind.as_str(),
        kind_text => text_of(row.kind),
        by => row.by.as_str(),
        at => moment(row.sent_at),
        total => row.total,
        delivered => row.delivered,
        state => word_of(sent.state),
        failures => failures.iter().take(FAILURES_NAMED).map(|result| result_of(result)).collect::<Vec<_>>(),
        more_failures => failures.len().saturating_sub(FAILURES_NAMED),
    }
}

fn word_of(state: SentState) -> &'static str {
    match state {
        SentState::UnderWay => "under-way",
        SentState::Over => "over",
        SentState::Interrupted => "interrupted",
    }
}

fn result_of(result: &DeliveryRow) -> Value {
    context! {
        user => result.server.user.to_string(),
        server => (!result.server.name.is_default()).then(|| result.server.name.as_str().to_owned()),
        reason => result.failure.as_ref().map(ToString::to_string),
        cure => result.failure.as_ref().and_then(cure_of),
    }
}

/// What an administrator can do about it.
fn cure_of(failure: &Undelivered) -> Option<&'static str> {
    match failure {
        Undelivered::ExtensionMissing => Some("Install jupyterlab-notifications-extension in its image."),
        Undelivered::Starting => Some("Send it again in a minute."),
        Undelivered::NotReachable | Undelivered::TimedOut { .. } => Some("It may be busy or stuck."),
        Undelivered::Refused { .. } => Some("It was perhaps started by another hub."),
        Undelivered::Interrupted => Some("Send it again."),
        _ => None,
    }
}

/// `GET {base}hub/notifications/{id}`: what became of a notice.
pub(in crate::hub) async fn one(
    State(state): State<HubState>,
    person: Person,
    Path(id): Path<String>,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let id = id.parse().map(NoticeId).map_err(|_| HubError::NoSuchResource)?;
    let sent = notices::find(&state, id).await?.ok_or(HubError::NoSuchResource)?;
    let results = &sent.row.deliveries;
    let pages = results.len().div_ceil(RESULTS_PER_PAGE).max(1);
    let page: usize = query_value(uri.query(), "page").and_then(|page| page.parse().ok()).unwrap_or(1);
    let page = page.clamp(1, pages);
    let shown = results.iter().skip((page - 1) * RESULTS_PER_PAGE).take(RESULTS_PER_PAGE);
    let address_of = |page: usize| state.config.hub(&format!("notifications/{id}?page={page}"));
    let values = context! {
        sent => row_of(&sent),
        auto_close => AUTO_CLOSES.iter().find(|(_, _, it)| *it == sent.row.auto_close).map_or("", |(_, text, _)| text),
        done => results.len(),
        failed => results.len() - sent.row.delivered.min(results.len()),
        results => shown.map(result_of).collect::<Vec<_>>(),
        not_kept => if sent.state == SentState::Over { sent.row.total.saturating_sub(results.len()) } else { 0 },
        progress_url => state.config.hub(&format!("api/notifications/sent/{id}")),
        previous_url => (page > 1).then(|| address_of(page - 1)),
        next_url => (page < pages).then(|| address_of(page + 1)),
        page,
        pages,
    };
    frame.show(StatusCode::OK, "notice.html", values)
}

/// `GET {base}hub/notifications/clear`: asks.
pub(in crate::hub) async fn ask_clear(
    State(state): State<HubState>,
    person: Person,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let count = notices::list(&state).await?.len();
    frame.show(StatusCode::OK, "clear_notices.html", context! { count })
}

/// `POST {base}hub/notifications/clear`: forgets what was sent.
pub(in crate::hub) async fn clear(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
) -> Result<Response, HubError> {
    check(&person)?;
    notices::clear(&state, by).await?;
    Ok(see_other(&state.config.hub("notifications")))
}

fn check(person: &Person) -> Result<(), HubError> {
    if may_administer(&person.as_caller()) { Ok(()) } else { Err(HubError::AdministratorsOnly) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_beside_its_field_and_nothing_typed_is_lost() {
        let mut typed = Typed::of(&Fields::parse(b"message=+%0D%0A&audience=some&kind=warning&auto_close=60000"));
        assert!(typed.parse().is_none());
        assert_eq!(typed.message_problem.as_deref(), Some("Write what you want to say."));
        assert!(typed.audience_problem.is_some());
        assert_eq!((typed.kind, typed.auto_close()), (NoticeKind::Warning, AutoClose::AfterMs(60_000)));

        let long = format!("message={}&audience=all&to=bob", "x".repeat(141));
        let mut typed = Typed::of(&Fields::parse(long.as_bytes()));
        assert!(typed.parse().is_none());
        assert_eq!(typed.message_problem.as_deref(), Some("This is 1 character too long."));
        assert!(typed.chosen.contains("bob"));

        let mut typed = Typed::of(&Fields::parse(b"message=hi&audience=some&to=bob&to=..&kind=x&auto_close=7"));
        let (notice, audience) = typed.parse().expect("sound");
        assert_eq!(audience, Audience::Chosen([UserName::parse("bob").expect("a name")].into()));
        assert_eq!((notice.kind, notice.auto_close), (NoticeKind::Info, AutoClose::Never));
    }
}
