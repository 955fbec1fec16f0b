//! The administrators' pages about users: the list, one user, acts on one or many, and many new ones at once.
//!
//! `wish` is what the address of the list asks for, `entries` gathers what the list shows of everybody. `act` says what
//! can be done and to whom, `ask` asks before with the page of `question`, `batch` keeps what was asked and what became of it, `perform` does it.
//! Looking never changes anything.

pub(in crate::hub) mod ask;
pub(in crate::hub) mod list;
pub(in crate::hub) mod new;
pub(in crate::hub) mod one;

mod act;
mod batch;
mod entries;
mod perform;
mod question;
mod using;
mod wish;

use crate::auth::may_administer;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::Person;
use crate::model::{UserName, percent_encode};
use wish::Wish;

pub(in crate::hub) use batch::Batches;
pub(in crate::hub) use new::NewUsers;

fn check(person: &Person) -> Result<(), HubError> {
    if may_administer(&person.as_caller()) { Ok(()) } else { Err(HubError::AdministratorsOnly) }
}

fn user_of(state: &HubState, name: &str) -> Result<UserName, HubError> {
    let name = UserName::from_path(name).filter(|name| state.auth.user(name).is_some());
    name.ok_or(HubError::NoSuchResource)
}

/// The address of the list that shows this.
fn list_at(state: &HubState, wish: &Wish) -> String {
    state.config.hub("admin") + &wish.to_query()
}

/// The address of one user's page.
pub(super) fn page_of_user(state: &HubState, name: &UserName) -> String {
    state.config.hub("admin/users/") + &path_of(name)
}

fn path_of(name: &UserName) -> String {
    percent_encode(name.as_str()).into_owned()
}

#[cfg(test)]
pub(super) fn sample_acts() -> Vec<minijinja::value::Value> {
    use act::Act;
    let acts = Act::ALL.map(|act| {
        minijinja::context! {
            word => act.word(), label => act.label(), is_destructive => act.is_destructive(), wants_more => act.wants_group(),
            asks => !act.is_harmless(), is_server => matches!(act, Act::Start | Act::Stop | Act::Restart),
            is_main => act == Act::Approve,
        }
    });
    acts.into()
}
