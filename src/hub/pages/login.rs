//! Sign-in: the form, and what makes a session of it.

use axum::extract::State;
use axum::http::header::{HeaderMap, USER_AGENT};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;

use super::{found, landing, with_retry_after};
use crate::auth::{Device, Session, SignInError};
use crate::hub::HubState;
use crate::hub::cookies::NewCookie;
use crate::hub::error::{HubError, wait_of};
use crate::hub::extract::{CallerOf, VisitOf, next_of};
use crate::hub::form::Fields;
use crate::hub::frame::{Frame, form_token_cookie, set_cookies, visitor_cookie};
use crate::hub::landing::next_url;
use crate::hub::layers::FormToken;
use crate::hub::xsrf::{Key, Verdict};
use crate::model::{Secret, Visit};

/// `GET {base}hub/login?next=`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    VisitOf(visit): VisitOf,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    if let Some(session) = caller.session() {
        return Ok(found(&after_sign_in(&state, session, &visit, &uri)));
    }
    form(&state, frame, &uri, StatusCode::OK, "", "")
}

/// `POST {base}hub/login?next=` with `username`, `password`, `_xsrf`.
#[expect(clippy::too_many_arguments, reason = "each is one thing that a handler asks of the request")]
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    VisitOf(visit): VisitOf,
    FormToken(form_token): FormToken,
    uri: Uri,
    headers: HeaderMap,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    let agent = agent_of(&headers);
    let name = fields.get("username").trim();
    if form_token != Verdict::Passed {
        let sentence = "Login form invalid or expired. Try again.";
        return form(&state, frame, &uri, StatusCode::FORBIDDEN, name, sentence);
    }
    let password = Secret::new(fields.get("password"));
    let (cookie, session) = match state.auth.sign_in(name, &password, Device::new(visit.address, &agent)).await {
        Ok(signed_in) => signed_in,
        Err(error) => return refuse(&state, frame, &uri, name, error),
    };
    if let Some(earlier) = caller.session() {
        // One browser, one session: the cookie of the earlier one is about to be replaced.
        state.auth.sign_out(earlier, Some(visit.address)).await?;
    }
    let mut response = found(&after_sign_in(&state, &session, &visit, &uri));
    set_cookies(&mut response, &session_cookies(&state, &cookie, &session));
    Ok(response)
}

fn refuse(state: &HubState, frame: Frame, uri: &Uri, name: &str, error: SignInError) -> Result<Response, HubError> {
    let (status, sentence, retry_after) = match error {
        SignInError::Wrong => (StatusCode::FORBIDDEN, "Invalid username or password".to_owned(), None),
        SignInError::NotAuthorised => {
            let sentence = format!("User {name} has not been authorized by an administrator yet.");
            (StatusCode::FORBIDDEN, sentence, None)
        }
        SignInError::Disabled => {
            let sentence = "This account is disabled. Ask an administrator.".to_owned();
            (StatusCode::FORBIDDEN, sentence, None)
        }
        SignInError::SecondFactor => {
            let sentence = "The password is right, but this account also has a second factor, which this installation \
                            cannot check yet. Ask an administrator, who can clear it on the page of your account.";
            (StatusCode::FORBIDDEN, sentence.to_owned(), None)
        }
        SignInError::TooMany { retry_after } => {
            let sentence = format!("Too many tries. Wait {} and try again.", wait_of(retry_after));
            (StatusCode::TOO_MANY_REQUESTS, sentence, Some(retry_after))
        }
        SignInError::Busy { retry_after } => {
            let sentence = "Many people are signing in just now. Try again in a moment.".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, sentence, Some(retry_after))
        }
        SignInError::Store(error) => return Err(error.into()),
    };
    let response = form(state, frame, uri, status, name, &sentence)?;
    Ok(match retry_after {
        Some(wait) => with_retry_after(response, wait),
        None => response,
    })
}

fn form(
    state: &HubState,
    frame: Frame,
    uri: &Uri,
    status: StatusCode,
    name: &str,
    sentence: &str,
) -> Result<Response, HubError> {
    let setup = state.auth.setup_window();
    let page = context! {
        query => uri.query(),
        username => name,
        error => sentence,
        may_sign_up => state.config.signup || setup.is_some(),
        setup_name => setup.as_ref().map(|window| window.administrator.to_string()),
        setup_needs_code => setup.is_some_and(|window| window.code.is_some()),
    };
    frame.show(status, "login.html", page)
}

/// Where a freshly signed-in person goes.
fn after_sign_in(state: &HubState, session: &Session, visit: &Visit, uri: &Uri) -> String {
    let next = next_url(next_of(uri).as_deref(), &visit.origin);
    next.unwrap_or_else(|| landing(state, &session.user.name, uri.query()))
}

/// What the browser calls itself.
fn agent_of(headers: &HeaderMap) -> String {
    headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// What a browser keeps of a new session.
pub(super) fn session_cookies(state: &HubState, cookie: &Secret, session: &Session) -> [NewCookie; 4] {
    let config = &state.config;
    let form_token = Key::of_session(session).mint(&state.random);
    [
        NewCookie::new(&config.session_cookie, cookie.expose(), "/").kept_for(config.session_cookie_age_s),
        hub_session_cookie(state, session),
        form_token_cookie(state, &form_token),
        NewCookie::gone(&visitor_cookie(state), "/"),
    ]
}

/// The cookie that servers read: by it they notice that another session has begun (contract §1.4).
pub(in crate::hub) fn hub_session_cookie(state: &HubState, session: &Session) -> NewCookie {
    NewCookie::new(HUB_SESSION_COOKIE, &session.hub_session_id, state.config.base.as_str())
}

/// Name of that cookie.
pub(in crate::hub) const HUB_SESSION_COOKIE: &str = "jupyterhub-session-id";

/// True if the browser has that cookie of this session.
pub(in crate::hub) fn has_hub_session_cookie(headers: &HeaderMap, session: &Session) -> bool {
    crate::hub::cookies::values(headers, HUB_SESSION_COOKIE).any(|value| value == session.hub_session_id)
}
