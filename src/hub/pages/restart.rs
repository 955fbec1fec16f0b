//! `{base}hub/restart/{user}[/{server}]`: asks, says what ends and what stays, and restarts.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;

use super::{back_to_owner, page_of, see_other};
use crate::auth::may_start_server;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, Named, Person, is_there};
use crate::hub::frame::Frame;
use crate::model::{ServerKey, ServerState};

/// `GET`: the question.
pub(in crate::hub) async fn ask(
    State(state): State<HubState>,
    person: Person,
    named: Named,
    frame: Frame,
) -> Result<Response, HubError> {
    let server = restartable(&state, &person, named)?;
    let record = state.spawner.record(&server);
    let title = record.and_then(|record| record.display_name.as_ref().map(ToString::to_string));
    let page = context! {
        title => title.or_else(|| (!server.name.is_default()).then(|| server.name.as_str().to_owned())),
        is_own => server.user == *person.name(),
        owner => server.user.to_string(),
        is_running => state.spawner.status(&server).state == ServerState::Ready,
        can_restart => state.spawner.can_restart(),
        action => page_of(&state, "restart", &server),
        back => back_to_owner(&state, person.name(), &server.user),
    };
    frame.show(StatusCode::OK, "restart.html", page)
}

/// `POST`: does it, and leads back: home follows it until it runs again, and the open JupyterLab is still in its tab.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    named: Named,
) -> Result<Response, HubError> {
    let server = restartable(&state, &person, named)?;
    state.spawner.restart(&server, by).await?;
    Ok(see_other(&back_to_owner(&state, person.name(), &server.user)))
}

fn restartable(state: &HubState, person: &Person, Named(named): Named) -> Result<ServerKey, HubError> {
    let server = named.ok_or(HubError::NoSuchResource)?;
    if !is_there(state, &server) || !may_start_server(&person.as_caller(), &server) {
        return Err(HubError::NoSuchResource);
    }
    Ok(server)
}
