//! Home: one's own server at a glance. Also the root address, which leads on, and the error page by number.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use super::{found, landing, page_of};
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
    frame: Frame,
) -> Result<Response, HubError> {
    let server = ServerKey::default_of(person.name().clone());
    let status = state.spawner.status(&server);
    let waiting = if person.as_caller().is_admin() {
        state.auth.users().iter().filter(|user| !user.authorised).count()
    } else {
        0
    };
    let page = context! { server => server_view(&state, &server, &status), waiting };
    frame.show(StatusCode::OK, "home.html", page)
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

/// A server as the templates show it.
pub(super) fn server_view(state: &HubState, server: &ServerKey, status: &ServerStatus) -> Value {
    let base = &state.config.base;
    let (word, failure) = match &status.state {
        ServerState::Stopped => ("stopped", None),
        ServerState::Starting(_) => ("starting", None),
        ServerState::Ready => ("ready", None),
        ServerState::Stopping => ("stopping", None),
        ServerState::Failed(failure) => ("failed", Some(failure)),
    };
    let user = percent_encode(server.user.as_str());
    let place = match server.name.is_default() {
        true => "server".to_owned(),
        false => format!("servers/{}", percent_encode(server.name.as_str())),
    };
    context! {
        owner => server.user.to_string(),
        url => server.prefix(base),
        state => word,
        message => &status.message,
        progress => status.progress_percent,
        since => (status.generation.0 > 0).then(|| moment(status.started_at.filter(|_| word == "ready").unwrap_or(status.since))),
        spawn_url => page_of(state, "spawn", server),
        stop_url => page_of(state, "stop", server),
        pending_url => page_of(state, "spawn-pending", server),
        api_url => format!("{base}hub/api/users/{user}/{place}"),
        failure => failure.map(|failure| context! {
            sentence => &failure.sentence,
            exit_code => failure.exit_code,
            log => failure.log_tail.join("\n"),
            at => moment(failure.at),
        }),
    }
}
