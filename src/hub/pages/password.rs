//! Change of one's own password; it ends all other sessions of that person. Who must change it is led here from
//! everywhere, and on from here to where they were going.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;

use super::signup::status_of;
use super::{landing, see_other, with_retry_after};
use crate::auth::AccountError;
use crate::hub::HubState;
use crate::hub::error::{HubError, sentence_of};
use crate::hub::extract::{Person, VisitOf, next_of};
use crate::hub::form::Fields;
use crate::hub::frame::Frame;
use crate::hub::landing::next_url;
use crate::model::Secret;

/// `GET {base}hub/change-password?next=`
pub(in crate::hub) async fn get(person: Person, uri: Uri, frame: Frame) -> Result<Response, HubError> {
    let is_forced = person.0.user.must_change_password();
    form(frame, StatusCode::OK, &uri, is_forced, "")
}

/// `POST {base}hub/change-password?next=` with `old_password`, `new_password`, `new_password_confirmation`, `_xsrf`.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    VisitOf(visit): VisitOf,
    person: Person,
    uri: Uri,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    let is_forced = person.0.user.must_change_password();
    if fields.get("new_password") != fields.get("new_password_confirmation") {
        let error = "The two new passwords are not the same. Type them again.";
        return form(frame, StatusCode::BAD_REQUEST, &uri, is_forced, error);
    }
    let (old, new) = (Secret::new(fields.get("old_password")), Secret::new(fields.get("new_password")));
    match state.auth.change_password(&person.0, &old, &new, visit.address).await {
        Ok(()) if is_forced => {
            let next = next_url(next_of(&uri).as_deref(), &visit.origin);
            Ok(see_other(&next.unwrap_or_else(|| landing(&state, person.name(), None))))
        }
        Ok(()) => {
            let page = context! { error => "", is_done => true, is_forced => false, query => "" };
            frame.show(StatusCode::OK, "password.html", page)
        }
        Err(AccountError::Store(error)) => Err(error.into()),
        Err(error) => {
            let (status, retry_after) = status_of(&error);
            let response = form(frame, status, &uri, is_forced, &sentence_of(&error))?;
            Ok(match retry_after {
                Some(wait) => with_retry_after(response, wait),
                None => response,
            })
        }
    }
}

fn form(frame: Frame, status: StatusCode, uri: &Uri, is_forced: bool, error: &str) -> Result<Response, HubError> {
    let page = context! { error, is_done => false, is_forced, query => uri.query() };
    frame.show(status, "password.html", page)
}
