//! The environment of the stack before us, by its old names: each means a key of ours, goes on to servers, or gets a line
//! that says what to do.
//!
//! They are stronger than what an image brings along and weaker than anything that is said under our own names, in the
//! file or the environment: whoever has written that has moved on. `rows` is the table.

mod rows;

use std::collections::BTreeMap;

use toml::Value;

use super::{KEYS, Mistake, Origin, Setting, accept, expected, shown, value_of_variable};
use super::{culler, rates};
use rows::{Act, ROWS};

/// Something about the configuration that whoever runs the program should read. Never a value: it may be a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// True if what was meant does not happen, or not all of it.
    pub is_warning: bool,
    /// A sentence without its end.
    pub text: String,
}

impl Note {
    /// Something worth knowing.
    #[must_use]
    pub fn told(text: String) -> Self {
        Self { is_warning: false, text }
    }

    /// Something that does not happen as it was meant.
    #[must_use]
    pub fn warning(text: String) -> Self {
        Self { is_warning: true, text }
    }
}

/// An old variable that has set one of our keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) alias: String,
    pub(super) key: &'static str,
}

pub(super) const SERVERS: &str = "spawner.environment";

/// Sets the keys that old variables mean. What another, stronger one sets again is told by `notes`.
pub(super) fn read(
    environment: &[(String, String)],
    settings: &mut BTreeMap<&'static str, Setting>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Used> {
    let mut used = culler::read(environment, settings, mistakes);
    used.extend(rates::read(environment, settings, mistakes));
    for (row, name, text) in said(environment) {
        let (Act::Key(key, convert) | Act::KeyAndServers(key, convert, _)) = row.act else { continue };
        let Some(key) = KEYS.iter().find(|known| known.name == key) else { continue };
        let origin = Origin::Environment(name.to_owned());
        let refuse = |problem: String| {
            let value = shown(key, text);
            Mistake { key: key.name.into(), origin: origin.clone(), value, problem }
        };
        match convert(text).map(|text| value_of_variable(key, &text)) {
            Ok(Some(value)) => accept(key, value, origin, settings, mistakes),
            Ok(None) => mistakes.push(refuse(expected(key))),
            Err(problem) => mistakes.push(refuse(problem)),
        }
        used.push(Used { alias: name.to_owned(), key: key.name });
    }
    used
}

/// Rows of the table whose variable is set, the weaker first. An empty one is one that a compose file names and nobody
/// has set, but where the empty text means something.
fn said(environment: &[(String, String)]) -> impl Iterator<Item = (&'static rows::Row, &str, &str)> {
    ROWS.iter().flat_map(move |row| {
        let is_it = |name: &str| match row.name.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == row.name,
        };
        let of_row = environment.iter().filter(move |(name, _)| is_it(name));
        let of_row = of_row.filter(|(_, text)| row.means_something_empty() || !text.trim().is_empty());
        of_row.map(move |(name, text)| (row, name.as_str(), text.trim()))
    })
}

/// Hands on to servers what the old stack handed on, where `spawner.environment` has nothing of that name yet. `weak` is
/// that table as an image brings it along: if it still is, it says nothing against it.
pub(super) fn hand_to_servers(
    environment: &[(String, String)],
    settings: &mut BTreeMap<&'static str, Setting>,
    weak: Option<&Setting>,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let Some(setting) = settings.get_mut(SERVERS) else { return notes };
    let is_weak = weak.is_some_and(|weak| weak.origin == setting.origin);
    let Some(table) = setting.value.as_table_mut() else { return notes };
    let mut handed_on = Vec::new();
    for (row, name, text) in said(environment) {
        let (Act::Servers(as_name) | Act::KeyAndServers(_, _, as_name)) = row.act else { continue };
        let is_free = is_weak || !table.contains_key(as_name);
        if is_free {
            table.insert(as_name.to_owned(), Value::String(text.to_owned()));
            handed_on.push(name.to_owned());
        }
        if matches!(row.act, Act::Servers(_)) {
            notes.push(if is_free {
                Note::told(format!("{name} goes to servers as {as_name}; with Slipway that is {SERVERS}"))
            } else {
                Note::warning(format!("{name} is not used: {SERVERS} says what {as_name} is ({})", setting.origin))
            });
        }
    }
    if !handed_on.is_empty() {
        let origin = std::mem::replace(&mut setting.origin, Origin::Default);
        setting.origin = match origin {
            Origin::Default => Origin::Environment(handed_on.join(", ")),
            other => Origin::Both(Box::new(other), handed_on.join(", ")),
        };
    }
    notes
}

/// One line for each old variable: its new name, or who is stronger, or what to do instead. To be asked when all that is
/// stronger has been read.
pub(super) fn notes(
    environment: &[(String, String)],
    used: &[Used],
    settings: &BTreeMap<&'static str, Setting>,
) -> Vec<Note> {
    let mut notes: Vec<_> = used
        .iter()
        .filter_map(|Used { alias, key }| {
            let setting = settings.get(key)?;
            let is_in_force = setting.origin == Origin::Environment(alias.clone());
            Some(if is_in_force {
                Note::told(format!("{alias} is read as {key}; its new name is {}", setting.key.variable()))
            } else {
                Note::warning(format!("{alias} is not used: {key} is set by {}", setting.origin))
            })
        })
        .collect();
    notes.extend(said(environment).filter_map(|(row, name, _)| match row.act {
        Act::Fine(why) => Some(Note::told(format!("{name} is not needed: {why}"))),
        Act::Instead(what) => Some(Note::warning(format!("{name} does nothing here: {what}"))),
        Act::Key(..) | Act::KeyAndServers(..) | Act::Servers(_) => None,
    }));
    notes
}

#[cfg(test)]
mod tests;
