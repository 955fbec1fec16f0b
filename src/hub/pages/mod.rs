//! The pages: one file each, with `get` and `post`; what they look like is in `templates/`.

pub(super) mod accept_share;
pub(super) mod account;
pub(super) mod api_docs;
pub(super) mod audit;
mod choice;
pub(super) mod csp_report;
pub(super) mod grants;
pub(super) mod groups;
pub(super) mod health;
pub(super) mod home;
pub(super) mod host;
pub(super) mod idle;
mod list_part;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod named;
pub(super) mod notices;
pub(super) mod password;
pub(super) mod plot;
pub(super) mod restart;
pub(super) mod routes;
pub(super) mod servers;
pub(super) mod set_password;
pub(super) mod settings;
pub(super) mod signup;
pub(super) mod spawn;
mod token_choice;
pub(super) mod tokens;
mod user_agent;
pub(super) mod users;
pub(super) mod volumes;

use axum::http::StatusCode;
use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::response::{IntoResponse, Response};

use super::HubState;
use super::landing::with_other_parameters;
use crate::model::{ServerKey, ServerState, UserName};
pub(super) use health::HealthLimit;
pub(super) use users::{Batches, NewUsers};

/// 302: a read goes on elsewhere.
pub(super) fn found(location: &str) -> Response {
    (StatusCode::FOUND, [(LOCATION, location)]).into_response()
}

/// 303: after a change, look there.
pub(super) fn see_other(location: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// Adds when to come again.
fn with_retry_after(mut response: Response, wait: std::time::Duration) -> Response {
    response.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
    response
}

/// Where a person lands who wanted nothing in particular (contract §3.2): `default_url`, else their own server if
/// it runs, else the page that starts it.
fn landing(state: &HubState, user: &UserName, query: Option<&str>) -> String {
    let own_server = ServerKey::default_of(user.clone());
    let default = match &state.config.default_url {
        Some(url) => url.clone(),
        None if state.spawner.status(&own_server).state == ServerState::Ready => state.config.address_of(&own_server),
        None => state.config.hub("spawn"),
    };
    with_other_parameters(&default, query)
}

/// `page/{user}[/{server}]`, percent-encoded.
fn page_of(state: &HubState, page: &str, server: &ServerKey) -> String {
    let prefix = server.prefix(&state.config.base);
    let names = prefix.strip_prefix(&format!("{}user/", state.config.base)).unwrap_or_default();
    format!("{}/{}", state.config.hub(page), names.trim_end_matches('/'))
}

/// Where an act on somebody's server leads back to: one's own home, or the page of the owner.
fn back_to_owner(state: &HubState, me: &UserName, owner: &UserName) -> String {
    if owner == me { state.config.hub("home") } else { users::page_of_user(state, owner) }
}

/// What can be done to users, for the samples of their pages.
#[cfg(test)]
pub(super) fn sample_acts() -> Vec<minijinja::value::Value> {
    users::sample_acts()
}

/// What the token page offers, for its sample.
#[cfg(test)]
pub(super) fn sample_choices() -> minijinja::value::Value {
    let choices = token_choice::CHOICES.iter().map(|choice| {
        minijinja::context! { scope => choice.written(), text => choice.text, about => choice.about, is_chosen => false }
    });
    minijinja::value::Value::from(choices.collect::<Vec<_>>())
}
