//! The administrators' list: who waits for approval, who may come in, who goes.
//!
//! Looking never changes anything: what takes something away asks first, on a page that says what will happen.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;

use super::{found, see_other};
use crate::auth::{UserListing, may_administer};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::Person;
use crate::hub::frame::Frame;
use crate::hub::templates::moment;
use crate::model::{ServerKey, ServerState, UserName, percent_encode};

/// `GET {base}hub/authorize`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let mut users = state.auth.users();
    users.sort_by(|a, b| (a.authorised, &a.name).cmp(&(b.authorised, &b.name)));
    let waiting = users.iter().filter(|user| !user.authorised).count();
    let rows = users.iter().map(|user| row_of(&state, &person, user)).collect::<Vec<_>>();
    frame.show(StatusCode::OK, "authorize.html", context! { users => rows, waiting })
}

fn row_of(state: &HubState, person: &Person, user: &UserListing) -> minijinja::value::Value {
    let server = ServerKey::default_of(user.name.clone());
    let server_state = state.spawner.status(&server).state;
    let active_at = user.last_activity.max(state.spawner.last_activity(&server));
    context! {
        name => user.name.to_string(),
        path => percent_encode(user.name.as_str()).into_owned(),
        url => server.prefix(&state.config.base),
        admin => user.admin,
        authorised => user.authorised,
        is_me => user.name == *person.name(),
        created => moment(user.created),
        last_activity => active_at.map(moment),
        is_running => server_state == ServerState::Ready,
        is_pending => server_state.pending().is_some(),
    }
}

/// `GET {base}hub/authorize/{user}`: the old name of a toggle; here it only shows the list.
pub(in crate::hub) async fn back_to_list(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
) -> Result<Response, HubError> {
    check(&person)?;
    Ok(found(&list_at(&state, &user_of(&state, &name)?)))
}

/// `POST {base}hub/authorize/{user}`: lets somebody in.
pub(in crate::hub) async fn authorise(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
) -> Result<Response, HubError> {
    check(&person)?;
    let name = user_of(&state, &name)?;
    state.auth.authorise(person.name().as_str(), &name, true).await?;
    Ok(see_other(&list_at(&state, &name)))
}

/// `GET {base}hub/withdraw/{user}`: asks.
pub(in crate::hub) async fn ask_withdraw(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    ask(&state, frame, &name, "withdraw.html")
}

/// `POST {base}hub/withdraw/{user}`: shuts somebody out; their sessions and tokens end, and their server stops.
pub(in crate::hub) async fn withdraw(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
) -> Result<Response, HubError> {
    check(&person)?;
    let name = user_of(&state, &name)?;
    not_oneself(&person, &name)?;
    let location = list_at(&state, &name);
    to_its_end(async move {
        state.auth.authorise(person.name().as_str(), &name, false).await?;
        // Its token has ended with the others: it could not ask us about anybody any more.
        Ok(state.spawner.forget_user(&name).await?)
    })
    .await?;
    Ok(see_other(&location))
}

/// `GET {base}hub/discard/{user}`: asks.
pub(in crate::hub) async fn ask_discard(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    ask(&state, frame, &name, "discard.html")
}

/// `POST {base}hub/discard/{user}`: deletes an account and stops its server; volumes stay.
pub(in crate::hub) async fn discard(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
) -> Result<Response, HubError> {
    check(&person)?;
    let name = user_of(&state, &name)?;
    not_oneself(&person, &name)?;
    let location = state.config.hub("authorize");
    to_its_end(async move {
        // First the account, then the server: nobody may start it again in between.
        state.auth.delete_user(person.name().as_str(), &name).await?;
        Ok(state.spawner.forget_user(&name).await?)
    })
    .await?;
    Ok(see_other(&location))
}

/// Does all of `work` even if the browser goes away meanwhile: half of it would leave the server of an account that is
/// gone, for whoever gets the name next.
async fn to_its_end(work: impl Future<Output = Result<(), HubError>> + Send + 'static) -> Result<(), HubError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(HubError::Wiring("the rest of the work")),
    }
}

fn check(person: &Person) -> Result<(), HubError> {
    if may_administer(&person.as_caller()) { Ok(()) } else { Err(HubError::AdministratorsOnly) }
}

fn not_oneself(person: &Person, name: &UserName) -> Result<(), HubError> {
    if person.name() == name {
        return Err(HubError::bad("You cannot shut yourself out. Ask another administrator."));
    }
    Ok(())
}

fn user_of(state: &HubState, name: &str) -> Result<UserName, HubError> {
    let name = UserName::from_path(name).filter(|name| state.auth.user(name).is_some());
    name.ok_or(HubError::NoSuchResource)
}

fn list_at(state: &HubState, name: &UserName) -> String {
    format!("{}#{}", state.config.hub("authorize"), percent_encode(name.as_str()))
}

fn ask(state: &HubState, frame: Frame, name: &str, template: &str) -> Result<Response, HubError> {
    let name = user_of(state, name)?;
    let server = ServerKey::default_of(name.clone());
    let is_running = !matches!(state.spawner.status(&server).state, ServerState::Stopped | ServerState::Failed(_));
    let path = percent_encode(name.as_str()).into_owned();
    frame.show(StatusCode::OK, template, context! { name => name.to_string(), path, is_running })
}
