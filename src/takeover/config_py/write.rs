//! The draft as a `slipway.toml`: our keys in our order, each with where it comes from, and the rest as comments.

use std::fmt::Write as _;

use toml::Value as Toml;

use super::draft::{Draft, Note};

/// As wide as config/slipway.toml is.
const WIDTH: usize = 116;

/// The file's text. `source` is the name of what it was made from.
pub(super) fn write(draft: &Draft, source: &str) -> String {
    let mut text = String::new();
    comment(
        &mut text,
        "",
        &format!("Written by `slipway import config` from {source}. It was read, no Python was run."),
    );
    comment(&mut text, "", &summary(draft));
    comment(
        &mut text,
        "",
        "Only what differs from Slipway's defaults is set; config/slipway.toml explains every key, and `slipway check --config` with this file what is in force.",
    );
    notes(&mut text, "To look at: this could not be translated, or not as it was.", &draft.look);
    notes(&mut text, "Nothing to do: Slipway does this anyway, or has no need of it.", &draft.fine);
    let mut section = "";
    let sections = draft.keys().iter().map(|key| section_of(key.name).0).fold(Vec::new(), |mut sections, section| {
        if !sections.contains(&section) {
            sections.push(section);
        }
        sections
    });
    for current in sections {
        let of_section = || draft.keys().iter().filter(|key| section_of(key.name).0 == current);
        let is_table = |name: &str| draft.taken.get(name).is_some_and(|taken| tables(&taken.value).is_some());
        // A table's fields would swallow what comes after them.
        for key in of_section().filter(|key| !is_table(key.name)).chain(of_section().filter(|key| is_table(key.name))) {
            let Some(taken) = draft.taken.get(key.name) else { continue };
            text.push('\n');
            if section != current && !is_table(key.name) {
                section = current;
                _ = writeln!(text, "[{section}]\n");
            }
            taken.sources.iter().for_each(|source| comment(&mut text, "", &source.told()));
            match tables(&taken.value) {
                Some(tables) => write_tables(&mut text, key.name, tables),
                None => _ = writeln!(text, "{} = {}", section_of(key.name).1, value(&taken.value)),
            }
        }
    }
    text
}

/// `12 settings taken, 3 need nothing, 1 to look at.`
pub(super) fn summary(draft: &Draft) -> String {
    let settings = if draft.taken_count() == 1 { "setting" } else { "settings" };
    format!(
        "{} {settings} taken, {} need nothing, {} to look at.",
        draft.taken_count(),
        draft.fine.len(),
        draft.look.len()
    )
}

fn section_of(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

fn tables(value: &Toml) -> Option<&Vec<Toml>> {
    value.as_array().filter(|items| !items.is_empty() && items.iter().all(Toml::is_table))
}

fn write_tables(text: &mut String, name: &str, tables: &[Toml]) {
    for (number, table) in tables.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        _ = writeln!(text, "[[{name}]]");
        for (field, inner) in table.as_table().into_iter().flatten() {
            _ = writeln!(text, "{field} = {}", value(inner));
        }
    }
}

/// A value in one line, or a long list in several.
fn value(value: &Toml) -> String {
    let line = value.to_string();
    match value {
        Toml::Array(items) if line.len() > WIDTH - 20 => {
            let items: String = items.iter().map(|item| format!("    {item},\n")).collect();
            format!("[\n{items}]")
        }
        _ => line,
    }
}

fn notes(text: &mut String, title: &str, notes: &[Note]) {
    if notes.is_empty() {
        return;
    }
    text.push_str("\n#\n");
    comment(text, "", title);
    let mut notes: Vec<_> = notes.iter().collect();
    notes.sort();
    notes.dedup();
    for note in notes {
        comment(text, "- ", &note.text);
    }
}

/// A comment in as many lines as it takes. What comes from the file may hold anything: no control character, and none
/// that turns the direction of reading, gets into ours.
fn comment(text: &mut String, bullet: &str, sentence: &str) {
    let is_unfit = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let sentence: String = sentence.chars().map(|c| if is_unfit(c) { '\u{fffd}' } else { c }).collect();
    let mut line = format!("# {bullet}");
    let indent = " ".repeat(bullet.len());
    let mut is_begun = false;
    for word in sentence.split(' ').filter(|word| !word.is_empty()) {
        if is_begun && line.chars().count() + 1 + word.chars().count() > WIDTH + 2 {
            _ = writeln!(text, "{line}");
            line = format!("# {indent}{word}");
            continue;
        }
        if is_begun {
            line.push(' ');
        }
        line.push_str(word);
        is_begun = true;
    }
    _ = writeln!(text, "{line}");
}
