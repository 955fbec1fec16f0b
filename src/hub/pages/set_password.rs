//! An administrator sets somebody's password: typed, or made of words and shown once.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;

use super::signup::status_of;
use super::{found, with_retry_after};
use crate::auth::{AccountError, may_administer};
use crate::hub::HubState;
use crate::hub::error::{HubError, sentence_of};
use crate::hub::extract::{By, Person};
use crate::hub::form::Fields;
use crate::hub::frame::Frame;
use crate::model::{Secret, UserName, percent_encode};

/// `GET {base}hub/change-password/{user}`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
    frame: Frame,
) -> Result<Response, HubError> {
    let name = user_of(&state, &person, &name)?;
    if name == *person.name() {
        return Ok(found(&state.config.hub("change-password")));
    }
    form(frame, StatusCode::OK, &name, "", true)
}

/// `POST {base}hub/change-password/{user}` with `how` (`generate` or `typed`), `new_password`,
/// `new_password_confirmation`, `must_change`, `_xsrf`.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    Path(name): Path<String>,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    let name = user_of(&state, &person, &name)?;
    if name == *person.name() {
        // That page asks for the present one.
        return Err(HubError::bad("Change your own password on its own page."));
    }
    let must_change = fields.find("must_change").is_some();
    let is_made_here = fields.get("how") == "generate";
    if !is_made_here && fields.get("new_password") != fields.get("new_password_confirmation") {
        let error = "The two passwords are not the same. Type them again.";
        return form(frame, StatusCode::BAD_REQUEST, &name, error, must_change);
    }
    let password = if is_made_here { state.auth.generate_password() } else { Secret::new(fields.get("new_password")) };
    match state.auth.set_password(&by, &name, &password, must_change).await {
        Ok(()) => {
            let page = context! {
                name => name.to_string(),
                path => path_of(&name),
                error => "",
                is_done => true,
                must_change,
                password => is_made_here.then(|| password.expose()),
            };
            frame.show(StatusCode::OK, "set_password.html", page)
        }
        Err(AccountError::Store(error)) => Err(error.into()),
        Err(error) => {
            let (status, retry_after) = status_of(&error);
            let response = form(frame, status, &name, &sentence_of(&error), must_change)?;
            Ok(match retry_after {
                Some(wait) => with_retry_after(response, wait),
                None => response,
            })
        }
    }
}

fn user_of(state: &HubState, person: &Person, name: &str) -> Result<UserName, HubError> {
    if !may_administer(&person.as_caller()) {
        return Err(HubError::AdministratorsOnly);
    }
    let name = UserName::from_path(name).filter(|name| state.auth.user(name).is_some());
    name.ok_or(HubError::NoSuchResource)
}

fn form(
    frame: Frame,
    status: StatusCode,
    name: &UserName,
    error: &str,
    must_change: bool,
) -> Result<Response, HubError> {
    let page = context! { name => name.to_string(), path => path_of(name), error, is_done => false, must_change };
    frame.show(status, "set_password.html", page)
}

fn path_of(name: &UserName) -> String {
    percent_encode(name.as_str()).into_owned()
}
