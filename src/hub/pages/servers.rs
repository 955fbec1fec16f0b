//! Servers on their way: the start page, stopping, and what an address under `/user/` answers while no server is
//! behind it.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use minijinja::context;
use serde_json::json;

use super::choice::must_choose;
use super::home::server_view;
use super::{back_to_owner, found, page_of, see_other};
use crate::auth::{Caller, may_access_server, may_start_server};
use crate::hub::HubState;
use crate::hub::api::progress;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf, Named, Person, VisitOf, is_there, next_of, path_and_query, server_of_path};
use crate::hub::form::query_value;
use crate::hub::frame::Frame;
use crate::hub::landing::{next_url, with_next};
use crate::model::{
    Generation, NormalPath, PathError, ServerKey, ServerPath, ServerState, ServerStatus, is_navigation,
};
use crate::spawner::Wish;

/// Seconds after which a program may ask again whether a starting server is there.
const ASK_AGAIN_S: u16 = 2;

/// `GET {base}hub/spawn-pending/{user}[/{server}]?next=`: the start page, and by `lazy_start` the start itself.
pub(in crate::hub) async fn pending(
    State(state): State<HubState>,
    VisitOf(visit): VisitOf,
    By(by): By,
    person: Person,
    Named(named): Named,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    let server = named.ok_or(HubError::NoSuchResource)?;
    if !is_there(&state, &server) || !may_start_server(&person.as_caller(), &server) {
        return Err(HubError::NoSuchResource);
    }
    let wanted = next_url(next_of(&uri).as_deref(), &visit.origin);
    let mut status = state.spawner.status(&server);
    let is_own = server.user == *person.name();
    if is_own && status.state == ServerState::Stopped && must_choose(&state, &server) {
        let spawn = page_of(&state, "spawn", &server);
        return Ok(found(&wanted.map_or_else(|| spawn.clone(), |next| with_next(&spawn, &next))));
    }
    let next = wanted.unwrap_or_else(|| server.prefix(&state.config.base));
    if is_own && state.config.lazy_start && starts_by_visit(&status, watched_start(&uri)) {
        // Also when it is ready: the spawner takes the edge's report of a dead one before this wish, so what comes
        // back is the truth, and nobody is sent in circles.
        status = state.spawner.start(&server, Wish::of(by)).await?;
    }
    if matches!(&status.state, ServerState::Failed(failure) if failure.log_tail.is_empty()) {
        status = with_details(&state, &server, status).await;
    }
    let page = Showing { state: &state, server: &server, next: &next };
    match &status.state {
        ServerState::Ready => Ok(found(&next)),
        ServerState::Starting(_) | ServerState::Restarting => page.start(frame, &status),
        ServerState::Stopping => page.plain(frame, &status, StatusCode::OK, "stopping.html"),
        ServerState::Stopped => page.plain(frame, &status, StatusCode::OK, "not_running.html"),
        ServerState::Failed(_) => page.plain(frame, &status, StatusCode::INTERNAL_SERVER_ERROR, "failed.html"),
    }
}

/// The start that this page has been watching already: the page puts it into its own address when it reloads.
fn watched_start(uri: &Uri) -> Option<Generation> {
    query_value(uri.query(), "start")?.parse().ok().map(Generation)
}

/// A visit starts what is stopped or has failed. A page that has watched a start to its bad end shows that end
/// instead of trying again and again.
fn starts_by_visit(status: &ServerStatus, watched: Option<Generation>) -> bool {
    match &status.state {
        ServerState::Ready => true,
        ServerState::Stopped | ServerState::Failed(_) => watched != Some(status.generation),
        // One that fell silent counts as starting while it is looked at: the wish holds if it proves dead.
        ServerState::Starting(_) | ServerState::Restarting => watched.is_none(),
        ServerState::Stopping => false,
    }
}

/// A failure is known a moment before its log lines are.
async fn with_details(state: &HubState, server: &ServerKey, status: ServerStatus) -> ServerStatus {
    let mut watch = state.spawner.watch(server);
    let changed = watch.wait_for(|now| *now != status);
    match tokio::time::timeout(state.config.failure_details_wait(), changed).await {
        Ok(Ok(now)) => now.clone(),
        Ok(Err(_)) | Err(_) => status,
    }
}

struct Showing<'a> {
    state: &'a HubState,
    server: &'a ServerKey,
    next: &'a str,
}

impl Showing<'_> {
    fn start(&self, frame: Frame, status: &ServerStatus) -> Result<Response, HubError> {
        let progress_url = progress::address_of(&self.state.config.base, self.server, frame.form_token());
        let (steps, now) = steps_of(status);
        let at = steps.iter().position(|(name, _)| *name == now).unwrap_or_default();
        let phases = steps.iter().enumerate().map(|(index, &(name, text))| {
            let state = match index.cmp(&at) {
                std::cmp::Ordering::Less => "done",
                std::cmp::Ordering::Equal => "now",
                std::cmp::Ordering::Greater => "next",
            };
            context! { name, text, state }
        });
        let phases: Vec<_> = phases.collect();
        let reload_url = with_next(&page_of(self.state, "spawn-pending", self.server), self.next);
        let page = context! {
            server => server_view(self.state, self.server, status),
            next => self.next,
            reload_url => format!("{reload_url}&start={}", status.generation),
            progress_url,
            phases,
        };
        frame.show(StatusCode::OK, "starting.html", page)
    }

    fn plain(
        &self,
        frame: Frame,
        status: &ServerStatus,
        code: StatusCode,
        template: &str,
    ) -> Result<Response, HubError> {
        let spawn_url = with_next(&page_of(self.state, "spawn", self.server), self.next);
        let server = server_view(self.state, self.server, status);
        frame.show(code, template, context! { server, next => self.next, spawn_url })
    }
}

/// The steps of what goes on, each by its name in the program and in people's words, and which of them it is at.
fn steps_of(status: &ServerStatus) -> (&'static [(&'static str, &'static str)], &'static str) {
    const START: [(&str, &str); 4] = [
        ("image", "Getting the image"),
        ("create", "Setting up your space"),
        ("start", "Starting"),
        ("ready", "Waiting for the first answer"),
    ];
    const RESTART: [(&str, &str); 2] = [("restart", "Restarting"), ("ready", "Waiting for the first answer")];
    match status.state {
        ServerState::Starting(phase) => (&START, START[phase as usize].0),
        _ => (&RESTART, progress::restart_phase(status)),
    }
}

/// `POST {base}hub/stop/{user}[/{server}]`
pub(in crate::hub) async fn stop(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    Named(named): Named,
) -> Result<Response, HubError> {
    let server = named.ok_or(HubError::NoSuchResource)?;
    if !is_there(&state, &server) || !may_start_server(&person.as_caller(), &server) {
        return Err(HubError::NoSuchResource);
    }
    state.spawner.stop(&server, by).await?;
    Ok(see_other(&back_to_owner(&state, person.name(), &server.user)))
}

/// `GET {base}hub/user-redirect/{path}`: a link that means everybody's own server.
pub(in crate::hub) async fn user_redirect(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    Path(_): Path<String>,
) -> Response {
    let start = state.config.hub("user-redirect/");
    let rest = path_and_query(&uri).strip_prefix(&start).unwrap_or_default().to_owned();
    let name = state.config.default_server.clone().unwrap_or_default();
    let server = ServerKey { user: person.name().clone(), name };
    let next = server.prefix(&state.config.base) + &rest;
    found(&with_next(&page_of(&state, "spawn", &server), &next))
}

/// `{base}user/{name}/…` (and `{base}hub/user/…`) while no route leads there.
pub(in crate::hub) async fn without_route(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    VisitOf(visit): VisitOf,
    frame: Frame,
    request: Request,
) -> Result<Response, HubError> {
    let base = &state.config.base;
    let uri = request.uri();
    let original = path_and_query(uri);
    let original = match original.strip_prefix(&state.config.hub("user/")) {
        Some(rest) => format!("{base}user/{rest}"),
        None => original,
    };
    let path = original.split('?').next().unwrap_or_default();
    let server_path = NormalPath::parse(path).and_then(|path| ServerPath::parse(base, path));
    let server_path = server_path.map_err(|error| HubError::bad(error.to_string()))?.ok_or(HubError::NoSuchPage)?;
    let is_page = is_navigation(request.method(), request.headers()) && !has_api_segment(path);
    if caller.is_anonymous() {
        let next = (request.method() == Method::GET && is_page).then(|| original.clone());
        return Err(HubError::SignInFirst { next }).or_else(|error| as_json_unless(is_page, error));
    }
    let Some(server) = server_of_path(&state, &server_path).filter(|server| may_access_server(&caller, server)) else {
        return as_json_unless(is_page, HubError::NoSuchResource);
    };
    let status = state.spawner.status(&server);
    if !is_page {
        return Ok(for_a_program(&state, &server, &status, path, &visit.origin));
    }
    if uri.path().starts_with(&state.config.hub("user/")) && status.state == ServerState::Ready {
        return Ok(found(&original));
    }
    let is_person = matches!(caller, Caller::Session(_));
    if is_person && !state.config.lazy_start && status.state == ServerState::Stopped {
        let page = Showing { state: &state, server: &server, next: &original };
        return page.plain(frame, &status, StatusCode::FAILED_DEPENDENCY, "not_running.html");
    }
    Ok(see_other(&with_next(&page_of(&state, "spawn-pending", &server), &original)))
}

/// A program reads JSON, a person a page (which the family's layer makes of the error).
fn as_json_unless(is_page: bool, error: HubError) -> Result<Response, HubError> {
    if is_page { Err(error) } else { Ok(crate::hub::layers::json_error(&error)) }
}

/// JupyterHub's rule: any path segment `api` makes it a program's request.
fn has_api_segment(path: &str) -> bool {
    path.split('/').any(|segment| segment == "api")
}

/// 424 says "start it" and 503 "come again": JupyterLab shows its own dialog for either.
fn for_a_program(state: &HubState, server: &ServerKey, status: &ServerStatus, path: &str, origin: &str) -> Response {
    match &status.state {
        ServerState::Starting(_) | ServerState::Restarting | ServerState::Ready => {
            let message = format!("The server at {path} is starting. Ask again in a moment.");
            let body = Json(json!({ "status": 503, "message": message }));
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, ASK_AGAIN_S.to_string())], body).into_response()
        }
        ServerState::Stopped | ServerState::Stopping | ServerState::Failed(_) => {
            let spawn = page_of(state, "spawn", server);
            let message =
                format!("JupyterHub server no longer running at {path}. Restart the server at {origin}{spawn}");
            let mut body = json!({ "status": 424, "message": message });
            if let ServerState::Failed(failure) = &status.state {
                body["reason"] = json!(failure.sentence);
                body["exit_code"] = json!(failure.exit_code);
                body["log_tail"] = json!(failure.log_tail);
            }
            (StatusCode::FAILED_DEPENDENCY, Json(body)).into_response()
        }
    }
}

/// Everything else: what lies outside the hub is looked for inside it, what is inside and unknown is not there.
pub(in crate::hub) async fn unmatched(
    State(state): State<HubState>,
    method: Method,
    uri: Uri,
) -> Result<Response, HubError> {
    let base = state.config.base.as_str();
    let is_inside = uri.path().starts_with(&state.config.base.hub());
    let is_read = method == Method::GET || method == Method::HEAD;
    let below_base = path_and_query(&uri).strip_prefix(base).map(str::to_owned);
    match below_base {
        // An empty segment is nobody's path; repairing it would make another one of it.
        Some(rest) if rest.starts_with('/') => Err(HubError::bad(PathError::HiddenSegment.to_string())),
        _ if is_inside || !is_read => Err(HubError::NoSuchPage),
        Some(rest) => Ok(found(&format!("{}{rest}", state.config.base.hub()))),
        None => Ok(found(&state.config.base.hub())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, Phase, Timestamp};

    fn check(state: ServerState, watched: Option<u64>, expected: bool) {
        let status = ServerStatus { state, generation: Generation(3), ..ServerStatus::stopped(Timestamp(0)) };
        assert_eq!(starts_by_visit(&status, watched.map(Generation)), expected, "{status:?} {watched:?}");
    }

    #[test]
    fn a_visit_starts_what_is_down_and_a_page_never_starts_what_it_saw_fail() {
        let failed = || {
            let failure = Failure { sentence: String::new(), exit_code: None, log_tail: vec![], at: Timestamp(0) };
            ServerState::Failed(failure)
        };
        check(ServerState::Stopped, None, true);
        check(ServerState::Stopped, Some(3), false);
        check(failed(), None, true);
        check(failed(), Some(2), true);
        check(failed(), Some(3), false);
        check(ServerState::Ready, Some(3), true);
        check(ServerState::Stopping, None, false);
        check(ServerState::Starting(Phase::Ready), None, true);
        check(ServerState::Starting(Phase::Ready), Some(3), false);
        check(ServerState::Restarting, None, true);
        check(ServerState::Restarting, Some(3), false);
    }

    #[test]
    fn an_api_segment_makes_a_programs_request() {
        assert!(has_api_segment("/user/a/api/contents") && has_api_segment("/user/a/x/api"));
        assert!(!has_api_segment("/user/a/lab/tree/apis") && !has_api_segment("/user/a/"));
    }
}
