//! `{base}hub/spawn[/{user}[/{server}]]`: starts a server and leads to its start page.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

use super::{found, page_of, see_other};
use crate::auth::may_start_server;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{Named, Person, VisitOf, next_of};
use crate::hub::landing::next_url;
use crate::model::{ServerKey, ServerState, Visit};
use crate::spawner::Wish;

/// A GET starts one's own server too: JupyterLab's menu and bookmarks come this way (one of the few GETs that change
/// anything). Somebody else's is shown with a button: a link must not make an administrator start it.
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    VisitOf(visit): VisitOf,
    person: Person,
    named: Named,
    uri: Uri,
) -> Result<Response, HubError> {
    let is_own = named.0.as_ref().is_none_or(|server| server.user == *person.name());
    let location = go(&state, &visit, &person, named, &uri, is_own).await?;
    Ok(found(&location))
}

/// The buttons' way.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    VisitOf(visit): VisitOf,
    person: Person,
    named: Named,
    uri: Uri,
) -> Result<Response, HubError> {
    let location = go(&state, &visit, &person, named, &uri, true).await?;
    Ok(see_other(&location))
}

/// Wishes a start if asked to, and returns where to go. Two clicks are one start.
async fn go(
    state: &HubState,
    visit: &Visit,
    person: &Person,
    Named(named): Named,
    uri: &Uri,
    starts: bool,
) -> Result<String, HubError> {
    let server = named.unwrap_or_else(|| ServerKey::default_of(person.name().clone()));
    let is_there = state.auth.user(&server.user).is_some();
    if !is_there || !may_start_server(&person.as_caller(), &server) {
        return Err(HubError::NoSuchResource);
    }
    // The wish is good in every state: it changes nothing for one that runs, and follows a stop under way.
    let status =
        if starts { state.spawner.start(&server, Wish::default()).await? } else { state.spawner.status(&server) };
    if status.state == ServerState::Ready {
        let next = next_url(next_of(uri).as_deref(), &visit.origin);
        return Ok(next.unwrap_or_else(|| server.prefix(&state.config.base)));
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(page_of(state, "spawn-pending", &server) + &query)
}
