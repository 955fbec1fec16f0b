//! Change of one's own password; it ends all other sessions of that person.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;

use super::signup::status_of;
use super::with_retry_after;
use crate::auth::AccountError;
use crate::hub::HubState;
use crate::hub::error::{HubError, sentence_of};
use crate::hub::extract::{Person, VisitOf};
use crate::hub::form::Fields;
use crate::hub::frame::Frame;
use crate::model::Secret;

/// `GET {base}hub/change-password`
pub(in crate::hub) async fn get(person: Person, frame: Frame) -> Result<Response, HubError> {
    let is_required = person.0.user.must_change_password();
    frame.show(StatusCode::OK, "password.html", context! { error => "", is_done => false, is_required })
}

/// `POST {base}hub/change-password` with `old_password`, `new_password`, `new_password_confirmation`, `_xsrf`.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    VisitOf(visit): VisitOf,
    person: Person,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    let is_required = person.0.user.must_change_password();
    if fields.get("new_password") != fields.get("new_password_confirmation") {
        let error = "The two new passwords are not the same. Type them again.";
        return frame.show(StatusCode::BAD_REQUEST, "password.html", context! { error, is_done => false, is_required });
    }
    let (old, new) = (Secret::new(fields.get("old_password")), Secret::new(fields.get("new_password")));
    match state.auth.change_password(&person.0, &old, &new, visit.address).await {
        Ok(()) => {
            frame.show(StatusCode::OK, "password.html", context! { error => "", is_done => true, is_required => false })
        }
        Err(AccountError::Store(error)) => Err(error.into()),
        Err(error) => {
            let (status, retry_after) = status_of(&error);
            let page = context! { error => sentence_of(&error), is_done => false, is_required };
            let response = frame.show(status, "password.html", page)?;
            Ok(match retry_after {
                Some(wait) => with_retry_after(response, wait),
                None => response,
            })
        }
    }
}
