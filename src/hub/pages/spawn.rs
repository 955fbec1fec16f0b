//! `{base}hub/spawn[/{user}[/{server}]]`: starts a server and leads to its start page.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Map, Value};

use super::{found, page_of, see_other};
use crate::auth::may_start_server;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{Named, Person, VisitOf, is_there, next_of};
use crate::hub::form::Fields;
use crate::hub::landing::next_url;
use crate::model::{ServerKey, ServerOptions, ServerState, Visit};
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
    // A link must not make servers of whatever names it holds.
    if named.0.as_ref().is_some_and(|server| !is_there(&state, server)) {
        return Err(HubError::NoSuchResource);
    }
    let wish = is_own.then(Wish::default);
    let location = go(&state, &visit, &person, named, &uri, wish).await?;
    Ok(found(&location))
}

/// The buttons' way. The fields `profile` and `image` are the options of this and further starts; a named server that is
/// not there yet is made.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    VisitOf(visit): VisitOf,
    person: Person,
    named: Named,
    uri: Uri,
    fields: Fields,
) -> Result<Response, HubError> {
    let wish = Wish { options: options_of(&fields)?, display_name: None };
    let location = go(&state, &visit, &person, named, &uri, Some(wish)).await?;
    Ok(see_other(&location))
}

/// The options that a form chooses; none if it has no choice in it, and those of the previous start hold.
fn options_of(fields: &Fields) -> Result<Option<ServerOptions>, HubError> {
    let chosen = [ServerOptions::PROFILE, ServerOptions::IMAGE].map(|name| (name, fields.get(name)));
    let chosen: Map<String, Value> = chosen
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    if chosen.is_empty() {
        return Ok(None);
    }
    ServerOptions::parse(Value::Object(chosen)).map(Some).map_err(|error| HubError::bad(error.to_string()))
}

/// Takes the wish for a start, if there is one, and returns where to go. Two clicks are one start.
async fn go(
    state: &HubState,
    visit: &Visit,
    person: &Person,
    Named(named): Named,
    uri: &Uri,
    wish: Option<Wish>,
) -> Result<String, HubError> {
    let server = named.unwrap_or_else(|| ServerKey::default_of(person.name().clone()));
    // One that is not there yet is made by its first start.
    let has_owner = state.auth.user(&server.user).is_some();
    if !has_owner || !may_start_server(&person.as_caller(), &server) {
        return Err(HubError::NoSuchResource);
    }
    // The wish is good in every state: it changes nothing for one that runs, and follows a stop under way.
    let status = match wish {
        Some(wish) => state.spawner.start(&server, wish).await?,
        None => state.spawner.status(&server),
    };
    if status.state == ServerState::Ready {
        let next = next_url(next_of(uri).as_deref(), &visit.origin);
        return Ok(next.unwrap_or_else(|| server.prefix(&state.config.base)));
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(page_of(state, "spawn-pending", &server) + &query)
}
