//! jupyterhub-idle-culler as a service: Slipway stops idle servers itself.

use std::collections::BTreeSet;

use super::convert::{Form, convert};
use super::people::{field, with_python};
use super::reading::Setting;
use super::translate::{Context, Work};
use super::value::Value;

/// The culler's own, in seconds.
const TIMEOUT_S: u64 = 600;

/// Whether this service is the culler, by its command.
pub(super) fn is_culler(fields: &[(Value, Value)]) -> bool {
    words(fields).iter().any(|word| {
        let word = word.replace('-', "_");
        word.contains("jupyterhub_idle_culler") || word.contains("cull_idle_servers")
    })
}

/// Names of the services that stop idle servers, also where they stand in a condition.
pub(super) fn cullers(context: &Context<'_>) -> BTreeSet<String> {
    let services = context.reading.settings.iter().filter(|setting| setting.name == "services");
    let lists = services.filter_map(|setting| match &setting.value {
        Value::List(items) => Some(items),
        _ => None,
    });
    let dicts = lists.flatten().filter_map(|item| match item {
        Value::Dict(fields) if is_culler(fields) => field(fields, "name"),
        _ => None,
    });
    dicts.filter_map(Value::as_text).collect()
}

fn words(fields: &[(Value, Value)]) -> Vec<String> {
    let command = field(fields, "command").map(with_python);
    match command.map(|command| match command {
        Value::List(words) => Ok(words.iter().map(|word| word.as_text().unwrap_or_default()).collect()),
        other => convert(Form::Command, &other).map(|words| {
            let words = words.as_array().cloned().unwrap_or_default();
            words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        }),
    }) {
        Some(Ok(words)) => words,
        _ => Vec::new(),
    }
}

/// The value of `--name=value` or `--name value`; of a switch `true`.
fn option(words: &[String], name: &str) -> Option<String> {
    let at = words
        .iter()
        .position(|word| word.trim_start_matches('-').split('=').next() == Some(name) && word.starts_with("--"))?;
    match words[at].split_once('=') {
        Some((_, value)) => Some(value.to_owned()),
        None => Some(words.get(at + 1).filter(|next| !next.starts_with('-')).cloned().unwrap_or_else(|| "true".into())),
    }
}

/// Takes the culler's options as our settings.
pub(super) fn culler(work: &mut Work<'_>, setting: &Setting, name: &str, fields: &[(Value, Value)]) {
    let words = words(fields);
    let name = super::draft::shortened(name);
    let number = |option_name: &str| {
        option(&words, option_name).map(|text| text.parse::<f64>().ok().filter(|number| (0.0..1e12).contains(number)))
    };
    match number("timeout").unwrap_or(Some(TIMEOUT_S as f64)) {
        Some(timeout) => {
            let minutes = (timeout / 60.0).ceil() as i64;
            let how = format!(
                "The service {name:?} stopped idle servers after {timeout} s; Slipway does that itself, without it."
            );
            work.draft.take_with("spawner.idle.after_minutes", minutes, setting, &how);
        }
        None => {
            work.draft.look(setting, "--timeout of the culler is no number; it would be spawner.idle.after_minutes.")
        }
    }
    match number("max-age") {
        Some(Some(age)) if age > 0.0 => {
            let hours = (age / 3600.0).ceil() as i64;
            let how = format!("--max-age was {age} s, here in whole hours.");
            work.draft.take_with("spawner.idle.max_age_hours", hours, setting, &how);
        }
        Some(None) => {
            work.draft.look(setting, "--max-age of the culler is no number; it would be spawner.idle.max_age_hours.")
        }
        _ => {}
    }
    match number("cull-every") {
        Some(Some(seconds)) if seconds > 0.0 => {
            let how = "--cull-every of the culler.";
            work.draft.take_with("spawner.idle.check_interval_s", seconds.ceil() as i64, setting, how);
        }
        Some(None) => work
            .draft
            .look(setting, "--cull-every of the culler is no number; it would be spawner.idle.check_interval_s."),
        _ => {}
    }
    let is_on =
        |option_name: &str| option(&words, option_name).is_some_and(|value| !value.eq_ignore_ascii_case("false"));
    if is_on("cull-users") {
        work.draft.look(setting, "--cull-users deleted people's accounts. Slipway deletes none by itself; /hub/admin does, one or many at once.");
    }
    if is_on("remove-named-servers") {
        work.draft.look(setting, "--remove-named-servers: Slipway stops idle named servers and keeps their names.");
    }
    if option(&words, "cull-admin-users").is_some_and(|value| value.eq_ignore_ascii_case("false")) {
        work.draft.look(setting, "--cull-admin-users=False: put administrators into a group whose idle limit is off.");
    }
}
