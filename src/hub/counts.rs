//! What the hub counts of its own requests: by method, route and status, as JupyterHub's boards read them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use parking_lot::Mutex;

use super::HubState;
use crate::model::{Durations, Timing};

/// Method, route and status.
type Labels = (&'static str, Box<str>, u16);

/// Requests by their labels. All three come from closed lists of ours, so the table is bounded.
#[derive(Debug, Default)]
pub struct Requests(Mutex<HashMap<Labels, Arc<Timing>>>);

/// Some requests that have the same labels, as JupyterHub labels them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFigure {
    /// `GET` and so on; `other` for methods that HTTP does not know.
    pub method: &'static str,
    /// The route: `home`, `api/users/{user}`.
    pub handler: Box<str>,
    /// The status of the answer.
    pub code: u16,
    /// How long each took until the head of its answer.
    pub durations: Durations,
}

impl Requests {
    /// What has been counted so far.
    #[must_use]
    pub fn figures(&self) -> Vec<RequestFigure> {
        let table = self.0.lock();
        let figures = table.iter().map(|((method, handler, code), timing)| RequestFigure {
            method,
            handler: handler.clone(),
            code: *code,
            durations: timing.durations(),
        });
        figures.collect()
    }

    fn of(&self, method: &'static str, handler: &str, code: u16) -> Arc<Timing> {
        self.0.lock().entry((method, handler.into(), code)).or_default().clone()
    }
}

/// Counts what passes.
pub(super) async fn count(State(state): State<HubState>, request: Request, next: Next) -> Response {
    let (method, begun) = (method_of(request.method()), Instant::now());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let handler = route.as_ref().map_or("unmatched", |route| handler_of(&state, route.as_str()));
    state.requests.of(method, handler, response.status().as_u16()).note(begun.elapsed());
    response
}

/// `api/users/{user}` of `/base/hub/api/users/{user}`.
fn handler_of<'a>(state: &HubState, route: &'a str) -> &'a str {
    route.strip_prefix(&state.config.hub("")).unwrap_or_else(|| route.trim_start_matches('/'))
}

fn method_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
