//! The outcome so far: what is taken under our keys, and what is to be said of the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use toml::Value as Toml;

use super::reading::Setting;
use super::variables;

/// One of our settings, as the list of them has it.
#[derive(Clone, Copy, Debug)]
pub struct OurKey {
    /// Its dotted name.
    pub name: &'static str,
    /// Its default, as TOML.
    pub default: &'static str,
}

/// What one of our keys shall be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Taken {
    pub(super) value: Toml,
    pub(super) sources: Vec<Source>,
    pub(super) line: usize,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// `line 3: c.Spawner.args`
    pub(super) place: String,
    /// Sentences on how it was made.
    pub(super) how: String,
}

impl Source {
    /// As a sentence.
    pub(super) fn told(&self) -> String {
        format!("From {}. {}", self.place, self.how)
    }
}

impl Taken {
    /// All sources as sentences.
    pub(super) fn from(&self) -> String {
        self.sources.iter().map(|source| source.told().trim_end().to_owned()).collect::<Vec<_>>().join(" ")
    }
}

/// What is to be said of a setting that is not, or not only, taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Note {
    pub(super) line: usize,
    pub(super) text: String,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    keys: Arc<[OurKey]>,
    pub(super) taken: BTreeMap<&'static str, Taken>,
    /// Somebody must look at these.
    pub(super) look: Vec<Note>,
    /// These are as they should be without a line of ours.
    pub(super) fine: Vec<Note>,
}

impl Draft {
    pub(super) fn new(keys: Arc<[OurKey]>) -> Self {
        Self { keys, taken: BTreeMap::new(), look: Vec::new(), fine: Vec::new() }
    }

    /// An empty one of the same keys.
    pub(super) fn fresh(&self) -> Self {
        Self::new(Arc::clone(&self.keys))
    }

    /// Our keys in the order of the file.
    pub(super) fn keys(&self) -> &[OurKey] {
        &self.keys
    }

    /// `setting` is our `key` of this value.
    pub(super) fn take(&mut self, key: &str, value: impl Into<Toml>, setting: &Setting) {
        self.take_with(key, value, setting, "");
    }

    /// The same, with a sentence on how the value was made.
    pub(super) fn take_with(&mut self, key: &str, value: impl Into<Toml>, setting: &Setting, how: &str) {
        let value = value.into();
        let Some(ours) = self.keys.iter().find(|ours| ours.name == key) else {
            self.look(setting, &format!("would be {key} = {value}, which this version of Slipway does not have."));
            return;
        };
        let mut how = how.to_owned();
        for (variable, had_default) in &setting.variables {
            how.push(' ');
            how += &from_variable(variable, *had_default);
        }
        let place = format!("{}: {}", lines(&setting.lines), setting.full_name());
        let source = Source { place, how: how.trim_start().to_owned() };
        let taken = self.taken.entry(ours.name);
        let taken =
            taken.or_insert_with(|| Taken { value: Toml::Boolean(false), sources: vec![], line: setting.line() });
        taken.value = value;
        taken.sources.push(source);
    }

    /// How many settings found their place.
    pub(super) fn taken_count(&self) -> usize {
        let places: BTreeSet<_> =
            self.taken.values().flat_map(|taken| &taken.sources).map(|source| &source.place).collect();
        places.len()
    }

    /// What is under `key` so far.
    pub(super) fn value(&self, key: &str) -> Option<&Toml> {
        self.taken.get(key).map(|taken| &taken.value)
    }

    /// A sentence on `setting` that somebody must read.
    pub(super) fn look(&mut self, setting: &Setting, text: &str) {
        self.look.push(note(setting, text));
    }

    /// A sentence on `setting`, which is served without a line of ours.
    pub(super) fn fine(&mut self, setting: &Setting, text: &str) {
        self.fine.push(note(setting, text));
    }

    /// Leaves out what is our default anyway.
    pub(super) fn without_defaults(&mut self) {
        let defaults: BTreeMap<_, _> = self.keys.iter().map(|key| (key.name, key.default)).collect();
        let (same, taken) = std::mem::take(&mut self.taken).into_iter().partition(|(name, taken)| {
            let default = format!("v = {}", defaults[name]).parse::<toml::Table>().ok();
            default.and_then(|mut table| table.remove("v")).is_some_and(|default| is_same(&default, &taken.value))
        });
        let same: BTreeMap<&str, Taken> = same;
        self.taken = taken;
        for (name, taken) in same {
            let places: Vec<_> = taken.sources.iter().map(|source| source.place.as_str()).collect();
            let how: Vec<_> = taken.sources.iter().map(|source| source.how.as_str()).collect();
            let text = format!("{}: {name} is {} anyway. {}", places.join("; "), taken.value, how.join(" "));
            let text = text.trim_end().to_owned();
            self.fine.push(Note { line: taken.line, text });
        }
    }
}

fn is_same(left: &Toml, right: &Toml) -> bool {
    let number = |value: &Toml| value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
    left == right || number(left).is_some_and(|left| number(right) == Some(left))
}

fn note(setting: &Setting, text: &str) -> Note {
    Note { line: setting.line(), text: format!("{}: {}: {text}", lines(&setting.lines), setting.full_name()) }
}

/// `line 3`, `lines 3, 5 and 9`.
pub(super) fn lines(lines: &[usize]) -> String {
    let mut lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
    lines.dedup();
    // Somebody who appends a thousand times knows where.
    if lines.len() > 8 {
        lines.drain(7..lines.len() - 1);
    }
    match lines.split_last() {
        None => "line 1".into(),
        Some((line, [])) => format!("line {line}"),
        Some((last, first)) => format!("lines {} and {last}", first.join(", ")),
    }
}

fn from_variable(name: &str, had_value: bool) -> String {
    let name = &shortened(name);
    match (variables::ours(name), had_value) {
        (Some(ours), true) if ours.starts_with("SLIPWAY_") => {
            format!(
                "This is the default of the environment variable {name}; if the hub's environment sets another, set {ours} to that."
            )
        }
        (Some(ours), _) if !ours.starts_with("SLIPWAY_") => {
            format!("The environment variable {name} played a part: with Slipway {ours}.")
        }
        (_, true) => {
            format!("This is the default of the environment variable {name}; the hub's environment may set another.")
        }
        (_, false) => format!("The environment variable {name} played a part, which has no default here."),
    }
}

/// A text of the file that is shown: a name, no novel.
pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= 160 {
        text.to_owned()
    } else {
        format!("{}…", text.chars().take(160).collect::<String>())
    }
}
