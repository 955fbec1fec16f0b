//! Sign-out: by GET, because JupyterLab's menu comes that way.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use minijinja::context;

use super::login::HUB_SESSION_COOKIE;
use super::{found, see_other};
use crate::auth::Caller;
use crate::hub::cookies::NewCookie;
use crate::hub::error::HubError;
use crate::hub::extract::{CallerOf, VisitOf};
use crate::hub::frame::{Frame, set_cookies};
use crate::hub::{HubState, xsrf};
use crate::model::Visit;

/// `GET {base}hub/logout`. A link on another site does not sign anybody out: that one is asked first.
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    VisitOf(visit): VisitOf,
    headers: HeaderMap,
    frame: Frame,
) -> Result<Response, HubError> {
    let is_from_elsewhere =
        headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site");
    if is_from_elsewhere && caller.session().is_some() {
        return frame.show(StatusCode::OK, "logout.html", context! {});
    }
    let signed_out = end(&state, &caller, &visit).await?;
    Ok(signed_out(found(&state.config.hub("login"))))
}

/// `POST {base}hub/logout`
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    VisitOf(visit): VisitOf,
) -> Result<Response, HubError> {
    let signed_out = end(&state, &caller, &visit).await?;
    Ok(signed_out(see_other(&state.config.hub("login"))))
}

/// Ends the session and returns what takes every trace of it out of the browser.
async fn end(state: &HubState, caller: &Caller, visit: &Visit) -> Result<impl FnOnce(Response) -> Response, HubError> {
    if let Some(session) = caller.session() {
        state.auth.sign_out(session, Some(visit.address)).await?;
    }
    let base = state.config.base.as_str();
    let cookies = [
        NewCookie::gone(&state.config.session_cookie, "/"),
        NewCookie::gone(HUB_SESSION_COOKIE, base),
        NewCookie::gone("jupyterhub-hub-login", &state.config.base.hub()),
        NewCookie::gone("jupyterhub-services", &format!("{base}services")),
        NewCookie::gone(xsrf::NAME, &state.config.base.hub()),
    ];
    Ok(move |mut response: Response| {
        set_cookies(&mut response, &cookies);
        // Shared computers: the next person shall find no page, no notebook and no service worker of a server here.
        let name = HeaderName::from_static("clear-site-data");
        response.headers_mut().insert(name, HeaderValue::from_static("\"cache\", \"storage\""));
        response
    })
}
