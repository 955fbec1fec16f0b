//! `{base}hub/accept-share?code=`: somebody shares a server by a link; here its reader says yes.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;

use super::see_other;
use crate::auth::ActError;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, VisitOf};
use crate::hub::extract::{Person, next_of};
use crate::hub::form::{Fields, query_value};
use crate::hub::frame::Frame;
use crate::hub::landing::next_url;
use crate::hub::templates::moment;
use crate::model::Secret;

/// `GET`: asks. Looking at a code changes nothing.
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    let code = query_value(uri.query(), "code").unwrap_or_default();
    let Some(found) = state.auth.share_code(&Secret::new(&*code)) else { return gone(frame) };
    let page = context! {
        code,
        next => next_of(&uri),
        owner => found.server.user.to_string(),
        name => found.server.name.as_str(),
        is_own => found.server.user == *person.name(),
        url => state.config.address_of(&found.server),
        expires => moment(found.expires_at),
        scopes => found.scopes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    };
    frame.show(StatusCode::OK, "accept_share.html", page)
}

/// `POST` with `code`, `next`: accepts, and goes to the server.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    VisitOf(visit): VisitOf,
    By(by): By,
    person: Person,
    frame: Frame,
    fields: Fields,
) -> Result<Response, HubError> {
    let code = Secret::new(fields.get("code"));
    let Some(found) = state.auth.share_code(&code) else { return gone(frame) };
    match state.auth.exchange_share_code(by, person.name(), &code).await {
        Ok(_) => {
            let next = next_url(fields.find("next"), &visit.origin);
            Ok(see_other(&next.unwrap_or_else(|| state.config.address_of(&found.server))))
        }
        Err(ActError::NoCode) => gone(frame),
        Err(ActError::Store(error)) => Err(error.into()),
        Err(error) => Err(HubError::bad(format!("This invitation cannot be accepted: {error}."))),
    }
}

fn gone(frame: Frame) -> Result<Response, HubError> {
    let page = context! {
        status => 404,
        title => "This invitation is not valid",
        sentence => "It has expired or was taken back, or the link is not whole. Ask whoever sent it for another.",
    };
    frame.show(StatusCode::NOT_FOUND, "error.html", page)
}
