//! What somebody's next start will get, and which group gives it: one's own, and everybody's for administrators.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use crate::auth::may_administer;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::Person;
use crate::hub::frame::Frame;
use crate::hub::idle::in_words;
use crate::model::{UserName, percent_encode};

/// `GET {base}hub/grants`
pub(in crate::hub) async fn own(
    State(state): State<HubState>,
    person: Person,
    frame: Frame,
) -> Result<Response, HubError> {
    show(&state, frame, person.name(), &person)
}

/// `GET {base}hub/grants/{user}`
pub(in crate::hub) async fn of_user(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
    frame: Frame,
) -> Result<Response, HubError> {
    let name = UserName::from_path(&name).filter(|name| {
        name == person.name() || (may_administer(&person.as_caller()) && state.auth.user(name).is_some())
    });
    show(&state, frame, &name.ok_or(HubError::NoSuchResource)?, &person)
}

fn show(state: &HubState, frame: Frame, name: &UserName, person: &Person) -> Result<Response, HubError> {
    let page = context! {
        name => name.to_string(),
        is_me => name == person.name(),
        groups => state.auth.groups_of(name).iter().map(ToString::to_string).collect::<Vec<_>>(),
        grants => table(state, name),
    };
    frame.show(StatusCode::OK, "grants.html", page)
}

/// The rows of `grants_table.html`: what groups give, and the installation's own limits where none says.
pub(in crate::hub) fn table(state: &HubState, name: &UserName) -> Vec<Value> {
    let has_extras = state.spawner.gives_extras();
    let notes = state.auth.effective(name).notes();
    let has = |key: &str| notes.iter().any(|note| note.key == key);
    let limits = state.spawner.default_limits();
    let memory = limits.memory_bytes.map_or("no limit".to_owned(), |bytes| {
        format!("{} GiB", (bytes as f64 / 1_073_741_824.0 * 10.0).round() / 10.0)
    });
    let cores = limits.cpu_cores.map_or("no limit".to_owned(), |cores| format!("{cores} cores"));
    let default = |key: &str, label: &str, value: String| {
        (!has(key)).then(|| {
            let is_at_once = key == "clock";
            context! {
                key, label, value, from => Vec::<Value>::new(), is_available => true, is_root_like => false, is_at_once,
            }
        })
    };
    let rules = state.spawner.idle_rules(name).rules;
    let idle =
        rules.idle_after.and_then(|time| default("clock", "Stopped when idle", format!("after {}", in_words(time))));
    let age = rules.max_age.and_then(|age| default("clock", "Maximum age", in_words(age)));
    let defaults = [default("memory", "Memory", memory), default("cpu", "Processors", cores), idle, age];
    let rows = notes.iter().map(|note| {
        let groups = note.from.iter().map(|group| {
            context! { name => group.to_string(), path => percent_encode(group.as_str()).into_owned() }
        });
        context! {
            key => note.key.clone(),
            label => note.label.clone(),
            value => note.value.clone(),
            from => groups.collect::<Vec<_>>(),
            is_available => has_extras || !note.needs_container(),
            is_root_like => note.is_root_like(),
            is_at_once => !note.is_of_start(),
        }
    });
    rows.chain(defaults.into_iter().flatten()).collect()
}
