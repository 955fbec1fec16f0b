//! Named servers on the home page: one more is made by its name, and deleted after a question.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;

use super::choice::has_choice;
use super::home::{self, Typed};
use super::idle::Asked;
use super::{back_to_owner, page_of, see_other};
use crate::auth::may_start_server;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, Named, Person};
use crate::hub::form::Fields;
use crate::hub::frame::Frame;
use crate::model::{Actor, DisplayName, ServerKey, ServerName};
use crate::spawner::{Defined, Wish};

/// The longest name of a new server, in bytes: JupyterHub's, which is part of host names.
const NAME_LIMIT_BYTES: usize = 30;

/// `POST {base}hub/home`: a new named server. It starts at once unless there is something to choose.
pub(in crate::hub) async fn create(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    frame: Frame,
    fields: Fields,
) -> Result<Response, HubError> {
    let typed = fields.get("name").split_whitespace().collect::<Vec<_>>().join(" ");
    match make(&state, &person, by, &typed).await {
        Ok(location) => Ok(see_other(&location)),
        Err(error) if !error.status().is_server_error() => {
            let (_, sentence) = error.for_people();
            let typed = Typed { name: typed, problem: Some(sentence) };
            home::show(&state, &person, frame, error.status(), typed, &Asked::Nothing)
        }
        Err(error) => Err(error),
    }
}

async fn make(state: &HubState, person: &Person, by: Actor, typed: &str) -> Result<String, HubError> {
    let too_odd = || HubError::bad("Give it a name that begins with a letter, as in “GPU work”.");
    let name = name_of(typed).ok_or_else(too_odd)?;
    let display_name = DisplayName::parse(typed).map_err(|_| too_odd())?;
    let server = ServerKey { user: person.name().clone(), name };
    if state.spawner.define(&server, Some(display_name), None).await? == Defined::Exists {
        return Err(HubError::Answer {
            status: StatusCode::CONFLICT,
            message: format!("You have a server called “{}” already.", server.name.as_str()),
        });
    }
    if has_choice(&state.spawner.offer(&server.user)) {
        return Ok(page_of(state, "spawn", &server));
    }
    state.spawner.start(&server, Wish::of(by)).await?;
    Ok(page_of(state, "spawn-pending", &server))
}

/// `My GPU (big)` becomes `my-gpu-big`: lower-case letters and digits, with a letter first.
fn name_of(typed: &str) -> Option<ServerName> {
    let mut name = String::new();
    for c in typed.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let name = name[..name.len().min(NAME_LIMIT_BYTES)].trim_end_matches('-');
    let name = ServerName::parse(name).ok().filter(|name| !name.is_default())?;
    name.check_new().is_ok().then_some(name)
}

/// `GET {base}hub/delete-server/{user}/{server}`: asks, and says what goes and what stays.
pub(in crate::hub) async fn ask_delete(
    State(state): State<HubState>,
    person: Person,
    named: Named,
    frame: Frame,
) -> Result<Response, HubError> {
    let server = deletable(&state, &person, named)?;
    let record = state.spawner.record(&server);
    let title = record.and_then(|record| record.display_name.as_ref().map(ToString::to_string));
    let is_running = !state.spawner.status(&server).state.is_down();
    let page = context! {
        title => title.unwrap_or_else(|| server.name.as_str().to_owned()),
        is_own => server.user == *person.name(),
        owner => server.user.to_string(),
        is_running,
        action => page_of(&state, "delete-server", &server),
    };
    frame.show(StatusCode::OK, "delete_server.html", page)
}

/// `POST {base}hub/delete-server/{user}/{server}`: stops it, if it runs, and forgets it. Files stay.
pub(in crate::hub) async fn delete(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    named: Named,
) -> Result<Response, HubError> {
    let server = deletable(&state, &person, named)?;
    state.spawner.remove(&server, by).await?;
    Ok(see_other(&back_to_owner(&state, person.name(), &server.user)))
}

fn deletable(state: &HubState, person: &Person, Named(named): Named) -> Result<ServerKey, HubError> {
    let server = named.filter(|server| !server.name.is_default()).ok_or(HubError::NoSuchResource)?;
    let is_there = state.spawner.record(&server).is_some();
    if !is_there || !may_start_server(&person.as_caller(), &server) {
        return Err(HubError::NoSuchResource);
    }
    Ok(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_name_becomes_one_for_addresses() {
        let check = |typed: &str, expected: Option<&str>| {
            assert_eq!(name_of(typed).as_ref().map(ServerName::as_str), expected, "{typed}");
        };
        check("GPU work", Some("gpu-work"));
        check("  My GPU (big)! ", Some("my-gpu-big"));
        check("2 cats", Some("cats"));
        check("Größe", Some("gr-e"));
        check("a server whose name is longer than may be", Some("a-server-whose-name-is-longer"));
        for none in ["", "42", "☕", "---"] {
            check(none, None);
        }
    }
}
