//! Reads the file and the environment against the list of keys, and remembers where each value came from.
//!
//! Nothing stops at the first mistake: all of them are found, each with its key, its value and a cure.

mod aliases;
mod culler;
mod rates;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Value;
use toml::de::{DeTable, DeValue};

pub use aliases::Note;

use super::keys::{KEYS, Key, Kind, TakenUp};
use crate::model::Secret;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the file, from 1.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line.
        line: usize,
    },
    /// An environment variable of this name.
    Environment(String),
    /// A table that variables of these names have added to.
    Both(Box<Origin>, String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Both(first, names) => write!(f, "{first} and environment {names}"),
        }
    }
}

/// A mistake in the configuration: which key, what is wrong with its value, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key as typed.
    pub key: String,
    /// Where it stands.
    pub origin: Origin,
    /// The value as typed, `***` for a secret; empty if the key itself is the mistake.
    pub value: String,
    /// What is wrong, and the cure.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.key)?;
        if !self.value.is_empty() {
            write!(f, " = {}", self.value)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for Mistake {}

impl Mistake {
    /// The file that was named cannot be read.
    #[must_use]
    pub fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let origin = Origin::File { path: path.to_owned(), line: 1 };
        let problem = format!("cannot be read ({error}); name another with --config");
        Self { key: "(file)".into(), origin, value: String::new(), problem }
    }
}

/// One setting in force.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its key.
    pub key: &'static Key,
    /// Its value, of the key's kind.
    pub value: Value,
    /// Where the value came from.
    pub origin: Origin,
}

impl Setting {
    /// The value as TOML, `***` for a secret that is set.
    #[must_use]
    pub fn shown(&self) -> String {
        let is_set = self.value.as_str().is_some_and(|text| !text.is_empty());
        match self.key.kind {
            Kind::Secret if is_set => "***".into(),
            Kind::Tables { secrets } => without(secrets, &self.value).to_string(),
            _ => self.value.to_string(),
        }
    }

    /// The setting in words.
    #[must_use]
    pub fn told(&self) -> SettingTold {
        let is_empty = self.value.as_str().is_some_and(str::is_empty);
        let value = match self.key.kind {
            Kind::Secret if is_empty => "not set".into(),
            Kind::Secret => "set".into(),
            // Names of variables are told; what is in them may be a password.
            Kind::TextMap if self.key.name.ends_with("environment") => without_values(&self.value).to_string(),
            _ => self.shown(),
        };
        let exact = Secret::new(self.value.to_string());
        SettingTold { key: self.key, value, origin: self.origin.clone(), exact }
    }
}

/// A setting in words, for whoever shows it.
#[derive(Clone, Debug)]
pub struct SettingTold {
    /// Its key.
    pub key: &'static Key,
    /// Its value as TOML; a secret is `set` or `not set`, and `***` within others.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
    /// The value itself, to tell whether it is another than before.
    pub exact: Secret,
}

/// What another program's configuration says, in our words.
#[derive(Clone, Debug)]
pub struct Given {
    /// Our key.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// In which file.
    pub path: PathBuf,
    /// In which line, from 1.
    pub line: usize,
}

/// All that settings are read from, the weakest first; the old stack's environment (`aliases`) is between `given` and
/// `file`.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a> {
    /// A file, path and text, with what holds in this installation if nobody says otherwise.
    pub defaults: Option<(&'a Path, &'a str)>,
    /// What is taken over from another program's configuration.
    pub given: Vec<Given>,
    /// The file, path and text.
    pub file: Option<(&'a Path, &'a str)>,
    /// The environment.
    pub environment: Vec<(String, String)>,
}

/// All settings in force, one for each key.
#[derive(Clone, Debug)]
pub struct Settings {
    settings: BTreeMap<&'static str, Setting>,
    notes: Vec<Note>,
}

impl Settings {
    /// Reads `file` (path and text), then `environment`, which wins.
    pub fn read(
        file: Option<(&Path, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> (Self, Vec<Mistake>) {
        Self::read_all(Sources { file, environment: environment.into_iter().collect(), ..Sources::default() })
    }

    /// Reads all sources, the stronger over the weaker. Beside the settings stands every mistake in them: unknown keys
    /// (naming the nearest known one), values of the wrong kind, broken TOML; what is mistaken keeps its default, so
    /// that the rest can be checked too.
    #[must_use]
    pub fn read_all(sources: Sources<'_>) -> (Self, Vec<Mistake>) {
        let Sources { defaults, given, file, environment } = sources;
        let mut settings: BTreeMap<_, _> = KEYS.iter().map(|key| (key.name, default_of(key))).collect();
        let mut mistakes = Vec::new();
        if let Some((path, text)) = defaults {
            read_file(path, text, &mut settings, &mut mistakes);
        }
        let weak = settings.get(aliases::SERVERS).cloned();
        for Given { key: name, value, path, line } in given {
            let origin = Origin::File { path, line };
            match KEYS.iter().find(|key| key.name == name) {
                Some(key) => accept(key, value, origin, &mut settings, &mut mistakes),
                None => mistakes.push(unknown(name, origin, KEYS.iter().map(|key| key.name.to_owned()))),
            }
        }
        let used = aliases::read(&environment, &mut settings, &mut mistakes);
        if let Some((path, text)) = file {
            read_file(path, text, &mut settings, &mut mistakes);
        }
        read_environment(&environment, &mut settings, &mut mistakes);
        let mut notes = aliases::notes(&environment, &used, &settings);
        notes.extend(aliases::hand_to_servers(&environment, &mut settings, weak.as_ref()));
        (Self { settings, notes }, mistakes)
    }

    /// What whoever runs the program should know beside the values: which came in under old names, for one.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The settings in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        KEYS.iter().map(|key| &self.settings[key.name])
    }

    /// What a reload makes of the running settings `self`: `wished`, but for keys that are taken up at start alone,
    /// which stay as they are; and the two lists of keys whose values differ: taken up, and waiting for a start.
    #[must_use]
    pub fn reloaded(&self, wished: &Self) -> (Self, Vec<&'static Key>, Vec<&'static Key>) {
        let (mut taken_up, mut waiting) = (Vec::new(), Vec::new());
        let mut next = wished.clone();
        for key in KEYS {
            let (here, there) = (self.get(key.name), wished.get(key.name));
            let differs = here.value != there.value;
            match key.taken_up {
                TakenUp::AtReload if differs => taken_up.push(key),
                TakenUp::AtStart if differs => {
                    waiting.push(key);
                    next.settings.insert(key.name, here.clone());
                }
                // The value is the same, perhaps from another line: the newer place is the one to name.
                TakenUp::AtReload | TakenUp::AtStart => {}
            }
        }
        (next, taken_up, waiting)
    }

    /// The setting under `name`, which is one of `KEYS`.
    #[must_use]
    pub fn get(&self, name: &str) -> &Setting {
        self.settings.get(name).unwrap_or_else(|| panic!("{name} is not in config::KEYS"))
    }
}

fn default_of(key: &'static Key) -> Setting {
    let value = parse_toml_value(key.default).expect("defaults in KEYS are TOML");
    Setting { key, value, origin: Origin::Default }
}

fn parse_toml_value(text: &str) -> Option<Value> {
    format!("v = {text}").parse::<toml::Table>().ok()?.remove("v")
}

fn read_file(path: &Path, text: &str, settings: &mut BTreeMap<&'static str, Setting>, mistakes: &mut Vec<Mistake>) {
    let (values, places) = match (text.parse::<toml::Table>(), DeTable::parse(text)) {
        (Ok(values), Ok(places)) => (values, places),
        (Err(error), _) | (_, Err(error)) => {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let origin = Origin::File { path: path.to_owned(), line };
            let problem = format!("this is not TOML: {}", error.message());
            mistakes.push(Mistake { key: "(file)".into(), origin, value: String::new(), problem });
            return;
        }
    };
    let mut lines = BTreeMap::new();
    note_lines(places.get_ref(), "", text, &mut lines);
    let mut flat: Vec<_> = flatten(values)
        .into_iter()
        .map(|(name, value)| (lines.get(&name).copied().unwrap_or(1), name, value))
        .collect();
    flat.sort_by_key(|(line, ..)| *line);
    for (line, name, value) in flat {
        let origin = Origin::File { path: path.to_owned(), line };
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            mistakes.push(unknown(name, origin, KEYS.iter().map(|key| key.name.to_owned())));
            continue;
        };
        accept(key, value, origin, settings, mistakes);
    }
}

/// Dotted names with their values; a table that is itself a key's value stays whole.
fn flatten(table: toml::Table) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    let mut open = vec![(String::new(), table)];
    while let Some((prefix, table)) = open.pop() {
        for (name, value) in table {
            let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value {
                Value::Table(inner) if !KEYS.iter().any(|key| key.name == name) => open.push((name, inner)),
                value => flat.push((name, value)),
            }
        }
    }
    flat
}

fn note_lines(table: &DeTable<'_>, prefix: &str, text: &str, lines: &mut BTreeMap<String, usize>) {
    for (name, value) in table {
        let full = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        lines.insert(full.clone(), line_of(text, name.span().start));
        if let DeValue::Table(inner) = value.get_ref() {
            note_lines(inner, &full, text, lines);
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Variables that begin with `SLIPWAY_` and are not keys: for the program's own start and its scripts.
const OTHER_VARIABLES: [&str; 5] =
    ["SLIPWAY_CONFIG", "SLIPWAY_DEFAULTS", "SLIPWAY_CACHE", "SLIPWAY_DEBIAN_MIRROR", "SLIPWAY_KEEP_DOCKERD"];

fn read_environment(
    environment: &[(String, String)],
    settings: &mut BTreeMap<&'static str, Setting>,
    mistakes: &mut Vec<Mistake>,
) {
    for (name, text) in environment {
        if !name.starts_with("SLIPWAY_") || OTHER_VARIABLES.contains(&name.as_str()) {
            continue;
        }
        // The one short name that people set by hand.
        let variable = if name == "SLIPWAY_ADMIN_PASSWORD" { "SLIPWAY_AUTH_ADMIN_PASSWORD" } else { name };
        let origin = Origin::Environment(name.clone());
        let Some(key) = KEYS.iter().find(|key| key.variable() == variable) else {
            mistakes.push(unknown(name.clone(), origin, KEYS.iter().map(Key::variable)));
            continue;
        };
        match value_of_variable(key, text) {
            Some(value) => accept(key, value, origin, settings, mistakes),
            None => {
                mistakes.push(Mistake { key: key.name.into(), origin, value: shown(key, text), problem: expected(key) })
            }
        }
    }
}

/// A variable's text as a value of the key's kind. Lists and maps are TOML; lists may be separated by commas.
fn value_of_variable(key: &Key, text: &str) -> Option<Value> {
    match key.kind {
        Kind::Text | Kind::Secret | Kind::Choice(_) => Some(Value::String(text.to_owned())),
        Kind::Integer { .. } | Kind::Number => parse_toml_value(text.trim()),
        Kind::Flag => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(Value::Boolean(true)),
            "false" | "0" | "no" | "off" => Some(Value::Boolean(false)),
            _ => None,
        },
        Kind::Texts if text.trim_start().starts_with('[') && parse_toml_value(text).is_some() => parse_toml_value(text),
        Kind::Texts => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        Kind::TextMap | Kind::Tables { .. } => parse_toml_value(text),
    }
}

fn accept(
    key: &'static Key,
    value: Value,
    origin: Origin,
    settings: &mut BTreeMap<&'static str, Setting>,
    mistakes: &mut Vec<Mistake>,
) {
    // One of a list that may have several.
    let value = match value {
        Value::String(_) if matches!(key.kind, Kind::Texts) => Value::Array(vec![value]),
        value => value,
    };
    if !is_of_kind(key.kind, &value) {
        let value = shown(key, &value.to_string());
        mistakes.push(Mistake { key: key.name.into(), origin, value, problem: expected(key) });
        return;
    }
    settings.insert(key.name, Setting { key, value, origin });
}

fn is_of_kind(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Text | Kind::Secret => value.is_str(),
        Kind::Integer { least, most } => value.as_integer().is_some_and(|number| (least..=most).contains(&number)),
        Kind::Number => {
            let number = value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
            number.is_some_and(|number| number.is_finite() && number >= 0.0)
        }
        Kind::Flag => value.is_bool(),
        Kind::Choice(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Kind::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_str)),
        Kind::TextMap => value.as_table().is_some_and(|items| items.values().all(Value::is_str)),
        Kind::Tables { .. } => value.as_array().is_some_and(|items| items.iter().all(Value::is_table)),
    }
}

fn expected(key: &Key) -> String {
    let what = match key.kind {
        Kind::Text | Kind::Secret => "must be a text in quotes".to_owned(),
        Kind::Integer { least, most } => format!("must be a whole number from {least} to {most}"),
        Kind::Number => "must be a number, 0 or more".to_owned(),
        Kind::Flag => "must be true or false".to_owned(),
        Kind::Choice(words) => format!("must be one of {}", words.join(", ")),
        Kind::Texts => "must be a list of texts, as in [\"a\", \"b\"]".to_owned(),
        Kind::TextMap => "must be a table of texts, as in { name = \"text\" }".to_owned(),
        Kind::Tables { .. } => format!("must be a list of tables, each begun by [[{}]]", key.name),
    };
    format!("{what}; leave the line out for {}", key.default)
}

/// A value that is not of its key's kind, as far as it may be shown.
fn shown(key: &Key, value: &str) -> String {
    let may_hold_secret = matches!(key.kind, Kind::Secret | Kind::Tables { secrets: [_, ..] });
    if may_hold_secret { "***".into() } else { value.into() }
}

/// A list of tables, with `***` in the place of these fields.
fn without(secrets: &[&str], tables: &Value) -> Value {
    let mut tables = tables.clone();
    for table in tables.as_array_mut().into_iter().flatten().filter_map(Value::as_table_mut) {
        for secret in secrets {
            if let Some(value) = table.get_mut(*secret) {
                *value = Value::String("***".into());
            }
        }
    }
    tables
}

/// A table of texts, with `***` in the place of all values.
fn without_values(table: &Value) -> Value {
    let mut table = table.clone();
    for (_, value) in table.as_table_mut().into_iter().flatten() {
        *value = Value::String("***".into());
    }
    table
}

fn unknown(name: String, origin: Origin, known: impl Iterator<Item = String>) -> Mistake {
    let nearest = known.max_by(|a, b| strsim::jaro_winkler(a, &name).total_cmp(&strsim::jaro_winkler(b, &name)));
    let problem = nearest.map_or_else(String::new, |nearest| format!("there is no such key; did you mean {nearest}?"));
    Mistake { key: name, origin, value: String::new(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, environment: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let (settings, mistakes) = Settings::read(Some((Path::new("s.toml"), file)), environment);
        if mistakes.is_empty() { Ok(settings) } else { Err(mistakes.iter().map(Mistake::to_string).collect()) }
    }

    #[test]
    fn the_environment_wins_over_the_file_and_both_over_the_default() {
        let settings =
            read("base_url = \"/a/\"\n[listener]\nconnections = 7", &[("SLIPWAY_BASE_URL", "/b/")]).expect("sound");
        assert_eq!(settings.get("base_url").value.as_str(), Some("/b/"));
        assert_eq!(settings.get("base_url").origin, Origin::Environment("SLIPWAY_BASE_URL".into()));
        assert_eq!(settings.get("listener.connections").origin.to_string(), "s.toml:3");
        assert_eq!(settings.get("certs_dir").origin, Origin::Default);
    }

    #[test]
    fn one_text_stands_for_a_list_of_it() {
        let settings = read("[listener]\nhttps = \"[::]:8443\"\nhttp = []", &[]).expect("sound");
        assert_eq!(settings.get("listener.https").value.to_string(), "[\"[::]:8443\"]");
        let mistakes = read("listener.https = 8443\n", &[]).expect_err("a number is no text");
        assert!(mistakes[0].contains("listener.https = 8443: must be a list of texts"), "{mistakes:?}");
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_cure() {
        let file = "listner.https = [\"x\"]\n[auth]\nsignup = 3\nsessions_per_user = 0\n";
        let mistakes =
            read(file, &[("SLIPWAY_HUB_BINDD", "x"), ("SLIPWAY_LOG_LEVEL", "loud")]).expect_err("four mistakes");
        assert_eq!(
            mistakes,
            [
                "s.toml:1: listner.https: there is no such key; did you mean listener.https?",
                "s.toml:3: auth.signup = 3: must be true or false; leave the line out for true",
                "s.toml:4: auth.sessions_per_user = 0: must be a whole number from 1 to 1000; leave the line out for 32",
                "environment SLIPWAY_HUB_BINDD: SLIPWAY_HUB_BINDD: there is no such key; did you mean SLIPWAY_HUB_BIND?",
                "environment SLIPWAY_LOG_LEVEL: log.level = \"loud\": must be one of error, warn, info, debug; leave the line out for \"info\"",
            ]
        );
    }

    #[test]
    fn the_old_variables_of_graphics_processors_still_mean_something() {
        let check = |environment: &[(&str, &str)], expected: i64| {
            let settings = read("", environment).expect("sound");
            assert_eq!(settings.get("gpu.enable").value.as_integer(), Some(expected), "{environment:?}");
        };
        check(&[], 2);
        check(&[("ENABLE_GPU_SUPPORT", "0")], 0);
        check(&[("ENABLE_GPU_SUPPORT", "1")], 1);
        check(&[("ENABLE_GPU_SUPPORT", "")], 2);
        check(&[("JUPYTERHUB_GPU_ENABLED", "1")], 2);
        check(&[("JUPYTERHUB_GPU_ENABLED", "0")], 0);
        check(&[("ENABLE_GPU_SUPPORT", "1"), ("JUPYTERHUB_GPU_ENABLED", "0")], 1);
        check(&[("SLIPWAY_GPU_ENABLE", "0"), ("ENABLE_GPU_SUPPORT", "1")], 0);
        let mistakes = read("", &[("ENABLE_GPU_SUPPORT", "3")]).expect_err("no such word");
        assert!(mistakes[0].starts_with("environment ENABLE_GPU_SUPPORT: gpu.enable = 3"), "{mistakes:?}");
    }

    #[test]
    fn lists_and_maps_come_from_the_environment() {
        let environment = [
            ("SLIPWAY_LISTENER_HTTPS", "127.0.0.1:1, [::1]:2"),
            ("SLIPWAY_SPAWNER_DOCKER_COMMAND", "[\"a\", \"b,c\"]"),
            ("SLIPWAY_SPAWNER_ENVIRONMENT", "{ TZ = \"UTC\" }"),
            ("SLIPWAY_SPAWNER_LAZY_START", "0"),
        ];
        let settings = read("", &environment).expect("sound");
        assert_eq!(settings.get("listener.https").value.to_string(), "[\"127.0.0.1:1\", \"[::1]:2\"]");
        assert_eq!(settings.get("spawner.docker.command").value.to_string(), "[\"a\", \"b,c\"]");
        assert_eq!(settings.get("spawner.environment").value["TZ"].as_str(), Some("UTC"));
        assert_eq!(settings.get("spawner.lazy_start").value.as_bool(), Some(false));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let settings = read("", &[("SLIPWAY_ADMIN_PASSWORD", "hunter2")]).expect("sound");
        assert_eq!(settings.get("auth.admin_password").shown(), "***");
        assert_eq!(settings.get("auth.admin_password").told().value, "set");
        assert_eq!(read("", &[]).expect("sound").get("auth.admin_password").told().value, "not set");
        let file =
            "[spawner]\nenvironment = { KEY = \"hunter2\" }\n[[services]]\nname = \"x\"\napi_token = \"hunter2\"";
        let settings = read(file, &[("SLIPWAY_ADMIN_PASSWORD", "hunter2")]).expect("sound");
        for told in settings.iter().map(Setting::told) {
            assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
        }
    }

    #[test]
    fn broken_toml_is_told_with_its_line() {
        let mistakes = read("base_url = \"/\"\ndata_dir = ", &[]).expect_err("broken");
        assert!(mistakes[0].starts_with("s.toml:2: (file): this is not TOML"), "{mistakes:?}");
    }
}
