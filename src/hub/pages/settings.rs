//! `{base}hub/settings`: the configuration in force, to look at. For administrators.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use crate::auth::may_administer;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::Person;
use crate::hub::form::query_value;
use crate::hub::frame::Frame;
use crate::hub::program::SettingShown;

/// `GET {base}hub/settings` with `q`, a text, and `show=set` for what somebody has set.
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    if !may_administer(&person.as_caller()) {
        return Err(HubError::AdministratorsOnly);
    }
    let text = query_value(uri.query(), "q").map(|text| text.trim().to_lowercase()).unwrap_or_default();
    let only_set = query_value(uri.query(), "show").as_deref() == Some("set");
    let settings = &state.program.settings;
    let shown: Vec<_> = settings.iter().filter(|one| (!only_set || one.is_set) && holds(one, &text)).collect();
    let page = context! {
        text,
        only_set,
        total => settings.len(),
        count => shown.len(),
        count_set => settings.iter().filter(|setting| setting.is_set).count(),
        groups => groups_of(&shown),
    };
    frame.show(StatusCode::OK, "settings.html", page)
}

fn holds(setting: &SettingShown, text: &str) -> bool {
    let parts = [&setting.key, &setting.value, &setting.source, &setting.description];
    text.is_empty() || parts.into_iter().any(|part| part.to_lowercase().contains(text))
}

/// Settings of one category together, in the order of the file.
fn groups_of(settings: &[&SettingShown]) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for setting in settings {
        if !names.contains(&setting.category.as_str()) {
            names.push(&setting.category);
        }
    }
    let group = |name: &&str| {
        let of_group = settings.iter().filter(|setting| setting.category == **name);
        context! { name => *name, settings => of_group.map(|setting| view_of(setting)).collect::<Vec<_>>() }
    };
    names.iter().map(group).collect()
}

fn view_of(setting: &SettingShown) -> Value {
    let SettingShown { key, value, default, source, description, is_set, .. } = setting;
    context! { key, value, default, source, description, is_set }
}
