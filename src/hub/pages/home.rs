//! Home: one's own server at a glance. Also the root address, which leads on, and the error page by number.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use super::choice::{cpu_of, has_choice, memory_of, must_choose};
use super::idle::{self, Asked};
use super::{found, landing, page_of};
use crate::auth::Visitor;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{Person, VisitOf, next_of};
use crate::hub::frame::Frame;
use crate::hub::landing::next_url;
use crate::hub::templates::moment;
use crate::model::{ServerKey, ServerState, ServerStatus, percent_encode};

/// `GET {base}hub/`: on to where the person wanted, or lands by default.
pub(in crate::hub) async fn root(
    State(state): State<HubState>,
    VisitOf(visit): VisitOf,
    uri: Uri,
    person: Person,
) -> Response {
    let next = next_url(next_of(&uri).as_deref(), &visit.origin);
    found(&next.unwrap_or_else(|| landing(&state, person.name(), uri.query())))
}

/// `GET {base}hub` → `{base}hub/`
pub(in crate::hub) async fn add_slash(State(state): State<HubState>) -> Response {
    let mut response = found(&state.config.base.hub());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response
}

/// `GET {base}hub/home`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    show(&state, &person, frame, StatusCode::OK, Typed::default(), &Asked::of(&uri))
}

/// What somebody typed into the form for a new server, and why that did not do.
#[derive(Default)]
pub(super) struct Typed {
    pub(super) name: String,
    pub(super) problem: Option<String>,
}

/// The home page.
pub(super) fn show(
    state: &HubState,
    person: &Person,
    frame: Frame,
    code: StatusCode,
    typed: Typed,
    asked: &Asked,
) -> Result<Response, HubError> {
    let server = ServerKey::default_of(person.name().clone());
    let status = state.spawner.status(&server);
    let all = state.spawner.servers_of(person.name());
    let named = all.iter().filter(|(server, _)| !server.name.is_default());
    let named = named.map(|(server, status)| with_idle(state, server, status, asked)).collect::<Vec<_>>();
    let waiting = if person.as_caller().is_admin() {
        state.auth.users().iter().filter(|user| !user.authorised).count()
    } else {
        0
    };
    let visits = state.auth.visits_of(person.name());
    let page = context! {
        first_name => state.auth.profile(person.name()).map(|profile| profile.first_name().to_owned()),
        server => with_idle(state, &server, &status, asked),
        has_idle => !state.spawner.idle_rules(person.name()).rules.are_off(),
        named,
        may_have_named => state.spawner.has_named_servers(),
        visitors => visits.iter().take(VISITORS_SHOWN).map(|visit| visitor_view(state, visit)).collect::<Vec<_>>(),
        more_visitors => visits.len().saturating_sub(VISITORS_SHOWN),
        typed => typed.name,
        problem => typed.problem,
        waiting,
    };
    frame.show(code, "home.html", page)
}

/// `GET {base}hub/error/{code}`: the page for a status, for a proxy in front of us; always 200.
pub(in crate::hub) async fn error(Path(code): Path<String>, frame: Frame) -> Result<Response, HubError> {
    let status = code.parse().ok().and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.filter(|status| status.as_u16() >= 400).ok_or(HubError::NoSuchPage)?;
    let (title, sentence) = match status.as_u16() {
        503 => (
            "This server does not answer".to_owned(),
            "It seems to be down. Go to your home page and start it again.".to_owned(),
        ),
        404 => HubError::NoSuchPage.for_people(),
        _ => HubError::Answer { status, message: status.canonical_reason().unwrap_or("Error").to_owned() }.for_people(),
    };
    frame.show(StatusCode::OK, "error.html", context! { status => status.as_u16(), title, sentence })
}

/// So many of those who opened one's servers are named.
const VISITORS_SHOWN: usize = 3;

fn visitor_view(state: &HubState, visit: &Visitor) -> Value {
    let server = Some(&visit.server).filter(|server| !server.name.is_default());
    let title = server.map(|server| {
        let record = state.spawner.record(server);
        let title = record.and_then(|record| record.display_name.as_ref().map(ToString::to_string));
        title.unwrap_or_else(|| server.name.as_str().to_owned())
    });
    context! { name => &visit.name, server => title, at => moment(visit.at) }
}

fn word_of(state: &ServerState) -> &'static str {
    match state {
        ServerState::Stopped => "stopped",
        ServerState::Starting(_) => "starting",
        ServerState::Restarting => "restarting",
        ServerState::Ready => "ready",
        ServerState::Stopping => "stopping",
        ServerState::Failed(_) => "failed",
    }
}

/// The same with the time that it has left.
pub(super) fn with_idle(state: &HubState, server: &ServerKey, status: &ServerStatus, asked: &Asked) -> Value {
    let idle = idle::value_of(state, server, &id_of(server), asked);
    context! { idle, ..server_view(state, server, status) }
}

/// Names its elements on the page: no two servers of one person have the same.
fn id_of(server: &ServerKey) -> String {
    if server.name.is_default() {
        "server".to_owned()
    } else {
        format!("named-{}", percent_encode(server.name.as_str()))
    }
}

/// A server as the templates show it.
pub(super) fn server_view(state: &HubState, server: &ServerKey, status: &ServerStatus) -> Value {
    let base = &state.config.base;
    let word = word_of(&status.state);
    let failure = match &status.state {
        ServerState::Failed(failure) => Some(failure),
        _ => None,
    };
    let user = percent_encode(server.user.as_str());
    let api_path = match server.name.is_default() {
        true => "server".to_owned(),
        false => format!("servers/{}", percent_encode(server.name.as_str())),
    };
    let record = state.spawner.record(server);
    let title = record.as_ref().and_then(|record| record.display_name.as_ref()).map(ToString::to_string);
    let offer = state.spawner.offer(&server.user);
    let profile = record.as_ref().and_then(|record| record.profile.as_deref());
    let profile = profile.and_then(|name| offer.profiles.iter().find(|profile| profile.name == name));
    context! {
        owner => server.user.to_string(),
        name => server.name.as_str(),
        id => id_of(server),
        ended => idle::ended(state, server, status),
        image => record.as_ref().and_then(|record| record.image.clone()),
        memory => record.as_ref().and_then(|record| memory_of(&record.limits)),
        cpu => record.as_ref().and_then(|record| cpu_of(&record.limits)),
        can_restart => state.spawner.can_restart(),
        restart_url => page_of(state, "restart", server),
        title => title.unwrap_or_else(|| server.name.as_str().to_owned()),
        kind => profile.map(|profile| if profile.display_name.is_empty() { &profile.name } else { &profile.display_name }),
        has_choice => has_choice(&offer),
        must_choose => must_choose(state, server),
        delete_url => page_of(state, "delete-server", server),
        active => state.spawner.last_activity(server).map(moment),
        url => server.prefix(base),
        state => word,
        message => &status.message,
        progress => status.progress_percent,
        since => (status.generation.0 > 0).then(|| moment(status.started_at.filter(|_| word == "ready").unwrap_or(status.since))),
        spawn_url => page_of(state, "spawn", server),
        stop_url => page_of(state, "stop", server),
        pending_url => page_of(state, "spawn-pending", server),
        api_url => format!("{base}hub/api/users/{user}/{api_path}"),
        failure => failure.map(|failure| context! {
            sentence => &failure.sentence,
            exit_code => failure.exit_code,
            log => failure.log_tail.join("\n"),
            at => moment(failure.at),
        }),
    }
}
