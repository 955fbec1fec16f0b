//! Account: one's names and address, the way to a new password, and the devices on which one is signed in.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use super::see_other;
use super::user_agent::device_of;
use crate::auth::{AccountError, SessionId, SessionListing};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, Person};
use crate::hub::form::{Fields, query_value};
use crate::hub::frame::Frame;
use crate::hub::templates::moment;
use crate::model::{ProfileError, UserProfile};

/// So many devices are shown, those seen last; a person with more of them has lost the overview anyway, and ends all.
const DEVICES_SHOWN: usize = 50;

/// `GET {base}hub/account`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    let profile = state.auth.profile(person.name()).unwrap_or_default();
    let typed = Typed::of(&profile);
    let done = match query_value(uri.query(), "done").as_deref() {
        Some("profile") => "Your profile is saved.",
        Some("device") => "That device is signed out.",
        Some("devices") => "All other devices are signed out.",
        _ => "",
    };
    show(&state, &person, frame, StatusCode::OK, &typed, done)
}

/// `POST {base}hub/account` with `first_name`, `last_name`, `email`, `_xsrf`.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    let typed = Typed::read(&fields);
    match typed.profile {
        Ok(ref profile) => {
            state.auth.set_profile(by, person.name(), profile.clone()).await.map_err(of_account)?;
            Ok(see_other(&state.config.hub("account?done=profile")))
        }
        Err(()) => show(&state, &person, frame, StatusCode::BAD_REQUEST, &typed, ""),
    }
}

/// `GET {base}hub/account/sign-out/{id}`: asks.
pub(in crate::hub) async fn ask_end(
    State(state): State<HubState>,
    person: Person,
    Path(id): Path<String>,
    frame: Frame,
) -> Result<Response, HubError> {
    let id = SessionId::parse(&id).ok_or(HubError::NoSuchPage)?;
    let mut sessions = state.auth.sessions_of(person.name(), Some(&person.0)).into_iter();
    let session = sessions.find(|session| session.id == id).ok_or(HubError::NoSuchPage)?;
    frame.show(StatusCode::OK, "end_session.html", context! { device => view(&session) })
}

/// `POST {base}hub/account/sign-out/{id}`
pub(in crate::hub) async fn end(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, HubError> {
    let id = SessionId::parse(&id).ok_or(HubError::NoSuchPage)?;
    match state.auth.end_session(by, person.name(), &id).await {
        // Gone already is as well.
        Ok(()) | Err(AccountError::NoSession) => Ok(see_other(&state.config.hub("account?done=device#devices"))),
        Err(error) => Err(of_account(error)),
    }
}

/// `GET {base}hub/account/sign-out`: asks whether all other devices are meant.
pub(in crate::hub) async fn ask_end_others(
    State(state): State<HubState>,
    person: Person,
    frame: Frame,
) -> Result<Response, HubError> {
    let others = state.auth.sessions_of(person.name(), Some(&person.0)).iter().filter(|each| !each.is_this).count();
    frame.show(StatusCode::OK, "end_session.html", context! { device => (), others })
}

/// `POST {base}hub/account/sign-out`
pub(in crate::hub) async fn end_others(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
) -> Result<Response, HubError> {
    state.auth.end_other_sessions(by, person.name(), Some(&person.0)).await.map_err(of_account)?;
    Ok(see_other(&state.config.hub("account?done=devices#devices")))
}

/// What stands in the form, and what is wrong with it.
struct Typed {
    first_name: String,
    last_name: String,
    email: String,
    errors: [Option<String>; 3],
    profile: Result<UserProfile, ()>,
}

impl Typed {
    fn of(profile: &UserProfile) -> Self {
        Self {
            first_name: profile.first_name().to_owned(),
            last_name: profile.last_name().to_owned(),
            email: profile.email().to_owned(),
            errors: [const { None }; 3],
            profile: Ok(profile.clone()),
        }
    }

    /// Each field is read by itself, so that all that is wrong is said at once.
    fn read(fields: &Fields) -> Self {
        let [first_name, last_name, email] =
            ["first_name", "last_name", "email"].map(|name| fields.get(name).to_owned());
        let errors = [
            UserProfile::parse(&first_name, "", "").err(),
            UserProfile::parse("", &last_name, "").err(),
            UserProfile::parse("", "", &email).err(),
        ];
        let profile = UserProfile::parse(&first_name, &last_name, &email).map_err(|_| ());
        Self { errors: errors.map(|error| error.as_ref().map(sentence_of)), first_name, last_name, email, profile }
    }
}

/// `the e-mail address is none` → `The e-mail address is none.`
fn sentence_of(error: &ProfileError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn show(
    state: &HubState,
    person: &Person,
    frame: Frame,
    code: StatusCode,
    typed: &Typed,
    done: &str,
) -> Result<Response, HubError> {
    let mut sessions = state.auth.sessions_of(person.name(), Some(&person.0));
    sessions.sort_by_key(|session| !session.is_this);
    let [first_name_error, last_name_error, email_error] = &typed.errors;
    let page = context! {
        first_name => &typed.first_name,
        last_name => &typed.last_name,
        email => &typed.email,
        first_name_error,
        last_name_error,
        email_error,
        done,
        groups => state.auth.groups_of(person.name()).iter().map(ToString::to_string).collect::<Vec<_>>(),
        devices => sessions.iter().take(DEVICES_SHOWN).map(view).collect::<Vec<_>>(),
        hidden_devices => sessions.len().saturating_sub(DEVICES_SHOWN),
    };
    frame.show(code, "account.html", page)
}

fn view(session: &SessionListing) -> Value {
    let device = device_of(&session.agent);
    context! {
        id => session.id.as_str(),
        name => device.name,
        is_handheld => device.is_handheld,
        from => session.from.map(|from| from.to_string()),
        created => moment(session.created),
        seen => moment(session.last_seen),
        is_this => session.is_this,
    }
}

fn of_account(error: AccountError) -> HubError {
    match error {
        AccountError::Store(error) => error.into(),
        other => HubError::bad(crate::hub::error::sentence_of(&other)),
    }
}
