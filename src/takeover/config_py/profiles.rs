//! Kinds of servers to choose from: `profile_list`, and images that people may choose.

use std::collections::BTreeSet;

use toml::{Table, Value as Toml};

use super::convert::{Form, convert};
use super::draft::shortened;
use super::people::{field, variables};
use super::reading::Setting;
use super::translate::Work;
use super::value::Value;

const KEY: &str = "spawner.profiles";
/// Longest name of a profile.
const NAME_LIMIT_BYTES: usize = 64;

/// `kubespawner_override`'s fields and ours.
const FIELDS: [(&str, &str, Form); 7] = [
    ("image", "image", Form::Text),
    ("mem_limit", "memory", Form::Bytes),
    ("cpu_limit", "cpu", Form::Cores),
    ("cmd", "command", Form::Command),
    ("image_spec", "image", Form::Text),
    ("memory_limit", "memory", Form::Bytes),
    ("command", "command", Form::Command),
];

pub(super) fn profile_list(work: &mut Work<'_>, setting: &Setting) {
    let Value::List(items) = &setting.value else {
        let what = setting.value.unknown().unwrap_or_else(|| "no list".into());
        return work.draft.look(setting, &format!("is {}. It would be spawner.profiles.", shortened(&what)));
    };
    let mut tables = so_far(work);
    for (number, item) in items.iter().enumerate() {
        let Value::Dict(fields) = item else {
            work.draft
                .look(setting, &format!("profile {} is one that only Python can tell; it was left out.", number + 1));
            continue;
        };
        let display = field(fields, "display_name").and_then(Value::as_text).unwrap_or_default();
        let slug = field(fields, "slug").and_then(Value::as_text).unwrap_or_default();
        let name = unused_name(if slug.is_empty() { &display } else { &slug }, &tables);
        let mut table = Table::new();
        table.insert("name".into(), name.clone().into());
        if !display.is_empty() {
            table.insert("display_name".into(), display.into());
        }
        for (key, form) in [("description", Form::Text), ("default", Form::Flag)] {
            if let Some(Ok(value)) = field(fields, key).map(|value| convert(form, value)) {
                table.insert(key.into(), value);
            }
        }
        let overrides = ["kubespawner_override", "spawner_override", "dockerspawner_override"];
        for changed in overrides.iter().filter_map(|key| field(fields, key)) {
            fill(work, setting, &name, changed, &mut table);
        }
        if field(fields, "profile_options").is_some() {
            let text = format!(
                "profile_options of the profile {name:?}: one choice in a profile is a profile of its own here."
            );
            work.draft.look(setting, &text);
        }
        tables.push(table);
    }
    take(work, setting, tables);
}

fn fill(work: &mut Work<'_>, setting: &Setting, name: &str, changed: &Value, table: &mut Table) {
    let Value::Dict(items) = changed else {
        let what = changed.unknown().unwrap_or_else(|| "no dictionary".into());
        return work.draft.look(setting, &format!("what the profile {name:?} changes is {}.", shortened(&what)));
    };
    for (key, value) in items {
        let Value::Text(key) = key else { continue };
        if key == "environment" {
            let environment = variables(work, setting, value, &format!("the profile {name:?}: "));
            table.insert(key.clone(), Toml::Table(environment));
            continue;
        }
        let Some((_, ours, form)) = FIELDS.iter().find(|(theirs, ..)| theirs == key) else {
            let text = format!(
                "{} of the profile {name:?} has no equivalent; profiles have image, memory, cpu, environment, command and groups.",
                shortened(key)
            );
            work.draft.look(setting, &text);
            continue;
        };
        match convert(*form, value) {
            Ok(value) => _ = table.insert((*ours).to_owned(), value),
            Err(problem) => {
                let text = format!("{} of the profile {name:?} is {}.", shortened(key), shortened(&problem));
                work.draft.look(setting, &text);
            }
        }
    }
}

/// `allowed_images`: a list, or names to show with their images.
pub(super) fn allowed_images(work: &mut Work<'_>, setting: &Setting) {
    let Value::Dict(items) = &setting.value else {
        if matches!(&setting.value, Value::List(items) if items.is_empty()) {
            return work.draft.fine(setting, "names no image.");
        }
        return work.take_as("spawner.allowed_images", Form::Texts, setting);
    };
    let mut tables = so_far(work);
    for (display, image) in items {
        let (Some(display), Some(image)) = (display.as_text(), image.as_text()) else {
            work.draft.look(setting, "an image is one that only Python can tell; it was left out.");
            continue;
        };
        let name = unused_name(&display, &tables);
        let fields = [("name", name), ("display_name", display), ("image", image)];
        tables.push(fields.into_iter().map(|(key, text)| (key.to_owned(), text.into())).collect());
    }
    take(work, setting, tables);
}

fn so_far(work: &Work<'_>) -> Vec<Table> {
    let tables = work.draft.value(KEY).and_then(Toml::as_array).into_iter().flatten();
    tables.filter_map(|table| table.as_table().cloned()).collect()
}

fn take(work: &mut Work<'_>, setting: &Setting, tables: Vec<Table>) {
    if tables.is_empty() {
        return work.draft.fine(setting, "names none.");
    }
    let tables: Vec<_> = tables.into_iter().map(Toml::Table).collect();
    work.draft.take(KEY, tables, setting);
}

/// A name for options to say: small letters, digits and hyphens.
fn unused_name(display: &str, tables: &[Table]) -> String {
    let mut name = String::new();
    for c in display.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') => name.push(c),
            _ if !name.ends_with('-') && !name.is_empty() => name.push('-'),
            _ => {}
        }
        if name.len() >= NAME_LIMIT_BYTES - 6 {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    let plain = if name.is_empty() { "profile" } else { name };
    let names: BTreeSet<_> = tables.iter().filter_map(|table| table.get("name")?.as_str()).collect();
    let mut free = plain.to_owned();
    for number in 2.. {
        if !names.contains(free.as_str()) {
            break;
        }
        free = format!("{plain}-{number}");
    }
    free
}
