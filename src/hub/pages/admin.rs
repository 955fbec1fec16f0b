//! The administrators' list: who waits for approval, who may come in, who goes.
//!
//! Looking never changes anything: what takes something away asks first, on a page that says what will happen.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;

use super::people::Wish;
use super::{found, see_other};
use crate::auth::{UserListing, may_administer};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, Person};
use crate::hub::form::{Fields, query_value};
use crate::hub::frame::Frame;
use crate::hub::templates::moment;
use crate::hub::to_its_end::to_its_end;
use crate::model::{ServerKey, ServerState, UserName, percent_encode};

/// `GET {base}hub/authorize`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let wish = Wish::of_query(&uri);
    let mut users = state.auth.users();
    let (total, waiting) = (users.len(), users.iter().filter(|user| !user.authorised).count());
    users.retain(|user| wish.fits(user.name.as_str()));
    users.sort_by(|a, b| (a.authorised, &a.name).cmp(&(b.authorised, &b.name)));
    let cut = wish.cut(users.iter().map(|user| user.name.as_str()));
    let shown = users.get(cut.shown.clone()).unwrap_or_default();
    let rows = shown.iter().map(|user| row_of(&state, &person, user)).collect::<Vec<_>>();
    let address_of = |page: usize| {
        let there = Wish { page, at: String::new(), ..wish.clone() };
        state.config.hub("authorize") + &there.to_query(&[])
    };
    // Said of somebody who is there and in; other names in the address are nobody's business.
    let let_in = query_value(uri.query(), "let_in").and_then(|name| UserName::parse(&name).ok());
    let let_in = let_in.filter(|name| state.auth.user(name).is_some_and(|user| user.is_authorised()));
    let page = context! {
        users => rows,
        waiting,
        total,
        found => users.len(),
        text => &wish.text,
        let_in => let_in.map(|name| context! { name => name.to_string(), path => path_of(&name) }),
        first => cut.shown.start + 1,
        last => cut.shown.end,
        page => cut.page,
        pages => cut.pages,
        previous_url => (cut.page > 1).then(|| address_of(cut.page - 1)),
        next_url => (cut.page < cut.pages).then(|| address_of(cut.page + 1)),
    };
    frame.show(StatusCode::OK, "authorize.html", page)
}

fn row_of(state: &HubState, person: &Person, user: &UserListing) -> minijinja::value::Value {
    let server = ServerKey::default_of(user.name.clone());
    let server_state = state.spawner.status(&server).state;
    let active_at = user.last_activity.max(state.spawner.last_activity(&server));
    context! {
        name => user.name.to_string(),
        path => path_of(&user.name),
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
    By(by): By,
    person: Person,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, HubError> {
    check(&person)?;
    let name = user_of(&state, &name)?;
    state.auth.authorise(by, &name, true).await?;
    // Back to the same page, where the next one waits; they themselves have moved down to those who are in.
    let query = Wish::of_fields(&fields).to_query(&[("let_in", name.as_str())]);
    Ok(see_other(&(state.config.hub("authorize") + &query)))
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
    By(by): By,
    person: Person,
    Path(name): Path<String>,
) -> Result<Response, HubError> {
    check(&person)?;
    let name = user_of(&state, &name)?;
    not_oneself(&person, &name)?;
    let location = list_at(&state, &name);
    to_its_end(async move {
        state.auth.authorise(&by, &name, false).await?;
        // Their tokens have ended with the others: they could not ask us about anybody any more.
        let servers: Vec<_> = state.spawner.servers_of(&name).into_iter().map(|(server, _)| server).collect();
        Ok(state.spawner.stop_all(&servers, by).await?)
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
    By(by): By,
    person: Person,
    Path(name): Path<String>,
) -> Result<Response, HubError> {
    check(&person)?;
    let name = user_of(&state, &name)?;
    not_oneself(&person, &name)?;
    let location = state.config.hub("authorize");
    to_its_end(async move {
        // First the account, then the server: nobody may start it again in between.
        state.auth.delete_user(by, &name).await?;
        Ok(state.spawner.forget_user(&name).await?)
    })
    .await?;
    Ok(see_other(&location))
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

/// The page of the list that somebody is on, and there their row.
fn list_at(state: &HubState, name: &UserName) -> String {
    let wish = Wish { at: name.to_string(), ..Wish::default() };
    format!("{}{}#{}", state.config.hub("authorize"), wish.to_query(&[]), path_of(name))
}

fn path_of(name: &UserName) -> String {
    percent_encode(name.as_str()).into_owned()
}

fn ask(state: &HubState, frame: Frame, name: &str, template: &str) -> Result<Response, HubError> {
    let name = user_of(state, name)?;
    let server = ServerKey::default_of(name.clone());
    let is_running = !state.spawner.status(&server).state.is_down();
    let page = context! { name => name.to_string(), path => path_of(&name), back => list_at(state, &name), is_running };
    frame.show(StatusCode::OK, template, page)
}
