//! Change of one's own password; it ends all other sessions of that person.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

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
pub(in crate::hub) async fn get(
    VisitOf(visit): VisitOf,
    person: Person,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    let next = next_url(next_of(&uri).as_deref(), &visit.origin);
    frame.show(StatusCode::OK, "password.html", view(&person, next.as_deref(), ""))
}

/// `POST {base}hub/change-password` with `old_password`, `new_password`, `new_password_confirmation`, `next`, `_xsrf`.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    VisitOf(visit): VisitOf,
    person: Person,
    uri: Uri,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    let is_required = person.0.user.must_change_password();
    let next = next_of(&uri);
    let next = next_url(fields.find("next").or(next.as_deref()), &visit.origin);
    if fields.get("new_password") != fields.get("new_password_confirmation") {
        let error = "The two new passwords are not the same. Type them again.";
        return frame.show(StatusCode::BAD_REQUEST, "password.html", view(&person, next.as_deref(), error));
    }
    let (old, new) = (Secret::new(fields.get("old_password")), Secret::new(fields.get("new_password")));
    match state.auth.change_password(&person.0, &old, &new, visit.address).await {
        Ok(()) if is_required => Ok(see_other(&next.unwrap_or_else(|| landing(&state, person.name(), None)))),
        Ok(()) => {
            let page = context! { is_done => true, ..view(&person, next.as_deref(), "") };
            frame.show(StatusCode::OK, "password.html", page)
        }
        Err(AccountError::Store(error)) => Err(error.into()),
        Err(error) => {
            let (status, retry_after) = status_of(&error);
            let page = view(&person, next.as_deref(), &sentence_of(&error));
            let response = frame.show(status, "password.html", page)?;
            Ok(match retry_after {
                Some(wait) => with_retry_after(response, wait),
                None => response,
            })
        }
    }
}

/// `next`: where they were when they were led here.
fn view(person: &Person, next: Option<&str>, error: &str) -> Value {
    context! { error, next, is_done => false, is_required => person.0.user.must_change_password() }
}
