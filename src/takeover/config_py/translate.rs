//! Goes through what the file sets, row by row of the table, and leaves out what our own configuration would refuse.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value as Toml;

use super::convert::{Form, convert};
use super::docker;
use super::draft::{Draft, Note, OurKey, lines, shortened};
use super::idle;
use super::reading::{Reading, Setting};
use super::traits::{self, How};
use super::value::Value;
use super::volumes;
use super::write;

/// How often our configuration is asked about single tables; after that whole keys are left out.
const TRIES_LIMIT: usize = 20;

/// What our own configuration says against a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The key, as the configuration's mistakes name it: `roles "x"`, `spawner.profiles[0] "y"`, `base_url`.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What servers are in the old hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OldBackend {
    Docker,
    Process,
    /// A spawner that we have no equivalent of, by its class.
    Foreign(String),
}

/// What is known of the whole file while one setting is translated.
pub(super) struct Context<'r> {
    pub(super) reading: &'r Reading,
    pub(super) backend: OldBackend,
    /// Services that stop idle servers, which Slipway does itself.
    pub(super) cullers: BTreeSet<String>,
    /// What the names of volumes begin with, if they are named as ours are.
    pub(super) volume_prefix: Option<String>,
}

impl<'r> Context<'r> {
    fn of(reading: &'r Reading) -> Self {
        let mut context = Self { reading, backend: OldBackend::Docker, cullers: BTreeSet::new(), volume_prefix: None };
        context.backend = docker::old_backend(&context);
        context.cullers = idle::cullers(&context);
        context.volume_prefix = volumes::volume_prefix(&context);
        context
    }

    /// What the file sets without a condition.
    pub(super) fn setting(&self, class: &str, name: &str) -> Option<&'r Setting> {
        let is_it = |setting: &&Setting| setting.class == class && setting.name == name && setting.condition.is_none();
        self.reading.settings.iter().find(is_it)
    }
}

/// A draft with all that its settings need to know.
pub(super) struct Work<'w> {
    pub(super) draft: Draft,
    pub(super) context: &'w Context<'w>,
}

impl Work<'_> {
    /// The setting's value is `key` in this form, or somebody must look.
    pub(super) fn take_as(&mut self, key: &'static str, form: Form, setting: &Setting) {
        match convert(form, &setting.value) {
            Ok(value) => self.draft.take(key, value, setting),
            Err(problem) => self.draft.look(setting, &format!("is {}. It would be {key}.", shortened(&problem))),
        }
    }

    /// The value as a text; if it is none, that is noted and `None`.
    pub(super) fn text(&mut self, setting: &Setting) -> Option<String> {
        match convert(Form::Text, &setting.value) {
            Ok(Toml::String(text)) => Some(text),
            Ok(_) => None,
            Err(problem) => {
                self.draft.look(setting, &format!("is {}.", shortened(&problem)));
                None
            }
        }
    }

    /// The value as true or false; if it is neither, that is noted and `None`.
    pub(super) fn flag(&mut self, setting: &Setting) -> Option<bool> {
        match convert(Form::Flag, &setting.value) {
            Ok(value) => value.as_bool(),
            Err(problem) => {
                self.draft.look(setting, &format!("is {}.", shortened(&problem)));
                None
            }
        }
    }

    /// Of settings that are one of ours together the one that stands for all of them: at the last one; else `None`.
    pub(super) fn together(&self, setting: &Setting, names: &[&str]) -> Option<Setting> {
        if setting.condition.is_some() {
            return Some(setting.clone());
        }
        let is_one = |other: &&Setting| {
            other.condition.is_none()
                && other.class == setting.class
                && names.contains(&other.name.as_str())
                && other.value != Value::None
        };
        let all: Vec<_> = self.context.reading.settings.iter().filter(is_one).collect();
        if all.last().is_some_and(|last| last.name != setting.name) {
            return None;
        }
        let mut whole = setting.clone();
        whole.lines = all.iter().flat_map(|other| other.lines.clone()).collect();
        whole.variables = all.iter().flat_map(|other| other.variables.clone()).collect();
        whole.name = all.iter().map(|other| other.name.as_str()).collect::<Vec<_>>().join(", ");
        Some(whole)
    }

    /// The value of `name` beside `setting`: its own if it is that one.
    pub(super) fn beside<'a>(&'a self, setting: &'a Setting, name: &str) -> Option<&'a Value> {
        let is_it = setting.name == name || setting.condition.is_some();
        let found = if is_it {
            Some(setting).filter(|own| own.name == name)
        } else {
            self.context.setting(&setting.class, name)
        };
        found.map(|found| &found.value).filter(|value| **value != Value::None)
    }
}

/// Everything that the file says, as a draft that `refusals` has nothing against.
pub(super) fn translate(reading: &Reading, keys: &[OurKey], refusals: &dyn Fn(&str) -> Vec<Refusal>) -> Draft {
    let context = Context::of(reading);
    let mut draft = Draft::new(keys.into());
    draft.look.extend(
        reading
            .remarks
            .iter()
            .map(|remark| Note { line: remark.line, text: format!("line {}: {}", remark.line, remark.text) }),
    );
    let mut strangers: BTreeMap<&str, Vec<&Setting>> = BTreeMap::new();
    // What a class says wins over what its base says.
    let is_special =
        |setting: &&Setting| !matches!(setting.class.as_str(), "Spawner" | "Authenticator" | "Application");
    let (special, general): (Vec<_>, Vec<_>) = reading.settings.iter().partition(is_special);
    for setting in general.into_iter().chain(special) {
        let class = docker::class_of(reading, &setting.class);
        if docker::is_stranger(&context.backend, class) {
            strangers.entry(class).or_default().push(setting);
            continue;
        }
        draft = one(draft, &context, class, setting);
    }
    for (class, settings) in strangers {
        draft = note_strangers(draft, &context.backend, class, &settings);
    }
    let says_spawner = |setting: &Setting| setting.class == "JupyterHub" && setting.name == "spawner_class";
    if context.backend == OldBackend::Process
        && !reading.settings.is_empty()
        && !reading.settings.iter().any(says_spawner)
    {
        let text = "c.JupyterHub.spawner_class is not set, so JupyterHub started processes. spawner.backend = \"auto\" \
                    takes Docker where an engine answers; set it to \"process\" if servers shall be processes.";
        draft.look.push(Note { line: 1, text: text.into() });
    }
    let mut work = Work { draft, context: &context };
    volumes::name_prefix_of_containers(&mut work);
    let mut draft = work.draft;
    draft.without_defaults();
    leave_out_refused(&mut draft, refusals);
    draft
}

fn one(draft: Draft, context: &Context<'_>, class: &str, setting: &Setting) -> Draft {
    let Some((word, line)) = &setting.condition else { return row(draft, context, class, setting) };
    let mut draft = draft;
    let told = row(draft.fresh(), context, class, setting);
    let block = format!("stands in the `{word}` of line {line}, which may not be run");
    let values: Vec<_> = told.taken.iter().map(|(name, taken)| format!("{name} = {}", taken.value)).collect();
    if !values.is_empty() {
        draft.look(setting, &format!("{block}: not taken. If it is: {}.", values.join("; ")));
    }
    draft.look.extend(told.look);
    draft.fine.extend(told.fine);
    draft
}

fn row(mut draft: Draft, context: &Context<'_>, class: &str, setting: &Setting) -> Draft {
    let Some(how) = traits::find(class, &setting.name) else {
        draft.look(setting, "is none of the settings that this import knows; docs/administration.md and config/slipway.toml say what there is.");
        return draft;
    };
    let is_hook = matches!(how, How::Look(_) | How::Secret(_) | How::Fine(_));
    let unset = setting.variables.iter().find(|(_, had_value)| !had_value);
    if let (Value::None, Some((variable, _)), false) = (&setting.value, unset, is_hook) {
        let text = format!(
            "is what the environment variable {} of the hub says, which has no default here.",
            shortened(variable)
        );
        draft.look(setting, &text);
        return draft;
    }
    if setting.value == Value::None && !is_hook {
        draft.fine(setting, "is None, so nothing is set.");
        return draft;
    }
    match how {
        How::Fine(why) => draft.fine(setting, why),
        How::Look(why) if matches!(setting.value, Value::None | Value::Flag(false)) => {
            draft.fine(setting, &format!("is off. If it were on: it {why}"));
        }
        How::Look(why) => match setting.value.unknown() {
            Some(what) => draft.look(setting, &format!("({}) {why}", shortened(&what))),
            None => draft.look(setting, why),
        },
        How::Secret(why) => draft.look(setting, &format!("holds a secret, which is not copied. {}", sentence(why))),
        How::Key(key, form) => {
            let mut work = Work { draft, context };
            work.take_as(key, form, setting);
            draft = work.draft;
        }
        How::With(act) => {
            let mut work = Work { draft, context };
            act(&mut work, setting);
            draft = work.draft;
        }
    }
    draft
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Settings of a spawner that is not in use, or that we have no equivalent of: one sentence for all.
fn note_strangers(mut draft: Draft, backend: &OldBackend, class: &str, settings: &[&Setting]) -> Draft {
    let mut places: Vec<usize> = settings.iter().flat_map(|setting| setting.lines.clone()).collect();
    places.sort_unstable();
    let names: Vec<_> = settings.iter().map(|setting| shortened(&setting.name)).collect();
    let (shown, rest) = names.split_at(names.len().min(20));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    let what = format!("{}: c.{}: {}{more}", lines(&places), shortened(class), shown.join(", "));
    let line = places.first().copied().unwrap_or(1);
    match backend {
        OldBackend::Foreign(active) if active == class => {
            let text = format!(
                "{what}: settings of {class}, which Slipway does not have. Servers are containers of one Docker engine \
                 (spawner.docker), or processes."
            );
            draft.look.push(Note { line, text });
        }
        _ => {
            let text = format!("{what}: {class} is not the spawner in use, so its settings say nothing.");
            draft.fine.push(Note { line, text });
        }
    }
    draft
}

/// Takes out what our own configuration refuses, one table or one key after the other, and says so.
fn leave_out_refused(draft: &mut Draft, refusals: &dyn Fn(&str) -> Vec<Refusal>) {
    for tries in 0.. {
        let found = refusals(&write::write(draft, "x"));
        if found.is_empty() || draft.taken.is_empty() {
            return;
        }
        let mut is_changed = false;
        for refusal in found {
            is_changed |= leave_out(draft, &refusal, tries < TRIES_LIMIT);
            // The numbers of tables are others now.
            if is_changed && tries < TRIES_LIMIT {
                break;
            }
        }
        if !is_changed {
            // Nothing of ours is named: nothing of ours can be trusted.
            let all = std::mem::take(&mut draft.taken);
            for (name, taken) in all {
                draft.look.push(Note { line: taken.line, text: format!("{} {name} was left out.", taken.from()) });
            }
            return;
        }
    }
}

/// True if something was left out for it.
fn leave_out(draft: &mut Draft, refusal: &Refusal, one_table: bool) -> bool {
    let is_its = |name: &&&str| {
        refusal.key.strip_prefix(**name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', ' ', '.']))
    };
    let Some(name) = draft.taken.keys().filter(is_its).max_by_key(|name| name.len()).copied() else { return false };
    let Some(taken) = draft.taken.get_mut(name) else { return false };
    let entry = refusal.key[name.len()..].to_owned();
    let from = taken.from();
    if let (Toml::Array(tables), true) = (&mut taken.value, one_table)
        && let Some(at) = tables.iter().position(|table| is_entry(table, &entry)).or_else(|| number_of(&entry))
        && at < tables.len()
    {
        let table = tables.remove(at);
        let label = table.get("name").and_then(Toml::as_str).unwrap_or_default();
        let text = format!("{from} The table {name} {:?} was left out: {}.", shortened(label), refusal.problem);
        draft.look.push(Note { line: taken.line, text });
        if tables.is_empty() {
            draft.taken.remove(name);
        }
        return true;
    }
    if let Some(taken) = draft.taken.remove(name) {
        let text = format!("{} {name} was left out: {}.", taken.from(), refusal.problem);
        draft.look.push(Note { line: taken.line, text });
    }
    true
}

/// `[3]`, as in `spawner.profiles[3] "x"`.
fn number_of(entry: &str) -> Option<usize> {
    entry.strip_prefix('[')?.split(']').next()?.parse().ok()
}

/// Whether `entry` is ` "x"`, and the table has that name. One with a number is meant by its number.
fn is_entry(table: &Toml, entry: &str) -> bool {
    let name = table.get("name").and_then(Toml::as_str);
    !entry.starts_with('[') && name.is_some_and(|name| entry.trim_start() == format!("{name:?}"))
}
