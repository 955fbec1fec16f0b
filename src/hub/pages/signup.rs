//! Sign-up: asks for an account; with the setup code it makes the first administrator.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;

use super::login::session_cookies;
use super::{see_other, with_retry_after};
use crate::auth::{AccountError, SignedUp};
use crate::hub::HubState;
use crate::hub::error::{HubError, sentence_of};
use crate::hub::extract::{CallerOf, VisitOf};
use crate::hub::form::{Fields, query_value};
use crate::hub::frame::{Frame, set_cookies};
use crate::hub::layers::FormToken;
use crate::hub::xsrf::Verdict;
use crate::model::Secret;

/// `GET {base}hub/signup[?code=…]`; the code comes with the setup link.
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    if !is_open(&state) {
        return Err(HubError::NoSuchPage);
    }
    if caller.session().is_some() {
        return Ok(see_other(&state.config.hub("home")));
    }
    let code = query_value(uri.query(), "code").unwrap_or_default();
    // The setup link is the administrator's: their name stands there already.
    let setup = state.auth.setup_window().filter(|_| !code.is_empty());
    let name = setup.map(|window| window.administrator.to_string()).unwrap_or_default();
    form(&state, frame, StatusCode::OK, &name, &code, "")
}

/// `POST {base}hub/signup` with `username`, `signup_password`, `signup_password_confirmation`, `code`, `_xsrf`.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    VisitOf(visit): VisitOf,
    FormToken(form_token): FormToken,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    if !is_open(&state) {
        return Err(HubError::NoSuchPage);
    }
    let (name, code) = (fields.get("username").trim(), fields.get("code"));
    if form_token != Verdict::Passed {
        let sentence = "This form has expired. Try again.";
        return form(&state, frame, StatusCode::FORBIDDEN, name, code, sentence);
    }
    if fields.get("signup_password") != fields.get("signup_password_confirmation") {
        let sentence = "The two passwords are not the same. Type them again.";
        return form(&state, frame, StatusCode::BAD_REQUEST, name, code, sentence);
    }
    let password = Secret::new(fields.get("signup_password"));
    let given_code = (!code.is_empty()).then_some(code);
    match state.auth.sign_up(name, &password, given_code, visit.address).await {
        Ok(SignedUp::Waiting) => frame.show(StatusCode::OK, "waiting.html", context! { username => name }),
        Ok(SignedUp::Authorised) => {
            let Ok((cookie, session)) = state.auth.sign_in(name, &password, visit.address).await else {
                // The account is there; the form says how it goes on if signing in is refused just now.
                return Ok(see_other(&state.config.hub("login")));
            };
            let mut response = see_other(&state.config.hub("home"));
            set_cookies(&mut response, &session_cookies(&state, &cookie, &session));
            Ok(response)
        }
        Err(AccountError::Store(error)) => Err(error.into()),
        Err(error) => {
            let (status, retry_after) = status_of(&error);
            let response = form(&state, frame, status, name, code, &sentence_of(&error))?;
            Ok(match retry_after {
                Some(wait) => with_retry_after(response, wait),
                None => response,
            })
        }
    }
}

/// People may ask for accounts, or the first administrator has yet to come.
fn is_open(state: &HubState) -> bool {
    state.config.signup || state.auth.setup_window().is_some()
}

/// The status of a refused form.
pub(super) fn status_of(error: &AccountError) -> (StatusCode, Option<std::time::Duration>) {
    match error {
        AccountError::TooMany { retry_after } => (StatusCode::TOO_MANY_REQUESTS, Some(*retry_after)),
        AccountError::Busy { retry_after } => (StatusCode::SERVICE_UNAVAILABLE, Some(*retry_after)),
        AccountError::Closed | AccountError::WrongCode | AccountError::WrongPassword => (StatusCode::FORBIDDEN, None),
        AccountError::Taken => (StatusCode::CONFLICT, None),
        _ => (StatusCode::BAD_REQUEST, None),
    }
}

fn form(
    state: &HubState,
    frame: Frame,
    status: StatusCode,
    name: &str,
    code: &str,
    sentence: &str,
) -> Result<Response, HubError> {
    let setup_name = state.auth.setup_window().map(|window| window.administrator.to_string());
    let page = context! { username => name, code, error => sentence, setup_name };
    frame.show(status, "signup.html", page)
}
