//! Volumes, and the names of containers, which with us begin as theirs do.

use std::collections::BTreeMap;

use toml::Table;

use super::draft::shortened;
use super::people::field;
use super::reading::Setting;
use super::translate::{Context, OldBackend, Work};
use super::value::Value;

/// `{username}` in its spellings.
const NAMES: [&str; 5] = ["{username}", "{escaped_username}", "{raw_username}", "{user}", "{userid}"];

/// A volume's name in its parts before and behind the user's name.
fn around_name(source: &str) -> Option<(&str, &str)> {
    let (at, name) = NAMES.into_iter().find_map(|name| Some((source.find(name)?, name)))?;
    Some((&source[..at], &source[at + name.len()..]))
}

/// `jupyterlab` and `home` of `jupyterlab-{username}_home`: volumes that are named as ours are.
fn as_ours(source: &str) -> Option<(&str, &str)> {
    let (before, behind) = around_name(source)?;
    let (prefix, suffix) = (before.strip_suffix('-')?, behind.strip_prefix('_')?);
    (is_name(prefix) && is_name(suffix)).then_some((prefix, suffix))
}

pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn volume_settings<'r>(context: &Context<'r>) -> impl Iterator<Item = &'r Setting> {
    let is_it = |setting: &&Setting| setting.name == "volumes" && setting.condition.is_none();
    context.reading.settings.iter().filter(is_it)
}

/// What volumes begin with, if they are named as ours are.
pub(super) fn volume_prefix(context: &Context<'_>) -> Option<String> {
    let sources = volume_settings(context).filter_map(|setting| match &setting.value {
        Value::Dict(items) => Some(items),
        _ => None,
    });
    sources.flatten().find_map(|(source, _)| match source {
        Value::Text(source) => as_ours(source).map(|(prefix, _)| prefix.to_owned()),
        _ => None,
    })
}

pub(super) fn volumes(work: &mut Work<'_>, setting: &Setting) {
    let Value::Dict(items) = &setting.value else {
        let what = setting.value.unknown().unwrap_or_else(|| "no dictionary".into());
        return work.draft.look(setting, &format!("is {}. It would be spawner.docker.volumes.", shortened(&what)));
    };
    let (mut own, mut shared) = (BTreeMap::new(), Table::new());
    let mut order = Vec::new();
    for (source, target) in items {
        let (Value::Text(source), Some((path, is_read_only))) = (source, mounted_at(target)) else {
            let what = source.unknown().or_else(|| target.unknown()).unwrap_or_else(|| "no path".into());
            work.draft.look(setting, &format!("one of the volumes is {}; it was left out.", shortened(&what)));
            continue;
        };
        let shown = shortened(source);
        let is_folder = source.starts_with(['/', '.', '~']);
        let for_each = around_name(source).is_some();
        if source.contains("{servername}") || path.contains('{') {
            work.draft.look(setting, &format!("{shown:?} is another one for each server or in each path; with Slipway all servers of a person share the person's volumes. It was left out."));
        } else if is_folder && for_each {
            work.draft.look(setting, &format!("{shown:?} is a folder of the host for each person, at {path}. Slipway keeps people's files in volumes (spawner.docker.volumes): copy each folder into its owner's volume before the switch."));
        } else if is_folder {
            work.draft.look(setting, &format!("{shown:?} is a folder of the host, at {path}. Make a volume of it (docker volume create --opt type=none --opt o=bind --opt device={shown} NAME) and put it into spawner.docker.shared_volumes, or into spawner.docker.group_volumes for groups to grant."));
        } else if for_each {
            let ours = as_ours(source).filter(|(prefix, _)| work.context.volume_prefix.as_deref() == Some(*prefix));
            let suffix = ours.map_or_else(|| suffix_for(&path, &own), |(_, suffix)| suffix.to_owned());
            if ours.is_none() {
                work.draft.look(setting, &format!("the volumes {shown:?} are named otherwise than Slipway's, which at {path} will be NAME_PREFIX-user_{suffix} (spawner.docker.name_prefix). Copy what is in them: docker run --rm -v OLD:/from -v NEW:/to alpine cp -a /from/. /to/"));
            }
            order.push(suffix.clone());
            own.insert(suffix, path);
        } else if is_name(source) {
            if is_read_only {
                work.draft.look(setting, &format!("the volume {shown:?} was read-only; spawner.docker.shared_volumes can be written to. To keep it so, leave it out there and grant it by a group, mode \"ro\"."));
            }
            shared.insert(source.clone(), path.into());
        } else {
            work.draft.look(setting, &format!("{shown:?} is no name of a volume; it was left out."));
        }
    }
    if !own.is_empty() {
        let table: Table =
            order.into_iter().filter_map(|suffix| Some((suffix.clone(), own.get(&suffix)?.clone().into()))).collect();
        let how = "What was in volumes of these names stays theirs: an administrator gives them to their people on the page of volumes, or spawner.left_over_volumes = \"give\" does.";
        work.draft.take_with("spawner.docker.volumes", table, setting, how);
    }
    if !shared.is_empty() {
        work.draft.take("spawner.docker.shared_volumes", shared, setting);
    }
    if let Some(prefix) = work.context.volume_prefix.clone() {
        work.draft.take_with("spawner.docker.name_prefix", prefix, setting, "The beginning of the volumes' names.");
    }
}

/// Where a volume is mounted, and whether it is read-only: a path, or `{"bind": path, "mode": "ro"}`.
fn mounted_at(target: &Value) -> Option<(String, bool)> {
    match target {
        Value::Text(path) => Some((path.clone(), false)),
        Value::Dict(fields) => {
            let path = field(fields, "bind")?.as_text()?;
            let mode = field(fields, "mode").and_then(Value::as_text).unwrap_or_default();
            Some((path, mode.split(',').any(|word| word == "ro")))
        }
        _ => None,
    }
}

/// A suffix for a volume at `path` that has none: `work` of `/home/jovyan/work`, `home` of a home.
fn suffix_for(path: &str, taken: &BTreeMap<String, String>) -> String {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let last = parts.last().map_or("home", |last| last.trim_start_matches('.'));
    let is_home = parts.len() < 2 || (parts.len() == 2 && parts[0] == "home");
    let mut suffix: String = if is_home { "home" } else { last }.chars().filter(|c| is_name(&c.to_string())).collect();
    if suffix.is_empty() {
        suffix = "data".into();
    }
    let plain = suffix.clone();
    for number in 2.. {
        if !taken.contains_key(&suffix) {
            break;
        }
        suffix = format!("{plain}{number}");
    }
    suffix
}

pub(super) fn read_only_volumes(work: &mut Work<'_>, setting: &Setting) {
    if matches!(&setting.value, Value::Dict(items) if items.is_empty()) {
        return work.draft.fine(setting, "is empty.");
    }
    work.draft.look(setting, "are volumes that servers only read: a group grants them with mode \"ro\" ([[groups]] with grants.volume_mounts, or the group's page); volumes that Slipway did not make are named in spawner.docker.group_volumes first.");
}

/// `prefix`, `name_template`: how containers are named, which with us is how volumes are.
pub(super) fn name_prefix(work: &mut Work<'_>, setting: &Setting) {
    let names = ["prefix", "container_prefix", "name_template", "container_name_template"];
    let Some(whole) = work.together(setting, &names) else { return };
    let text = |name: &str| work.beside(setting, name).and_then(Value::as_text);
    let prefix = text("prefix").or_else(|| text("container_prefix"));
    let template = text("name_template").or_else(|| text("container_name_template"));
    let name = template
        .unwrap_or_else(|| "{prefix}-{username}".into())
        .replace("{prefix}", prefix.as_deref().unwrap_or("jupyter"));
    let is_ours = around_name(&name).filter(|(_, behind)| matches!(*behind, "" | "--{servername}" | "-{servername}"));
    let Some(prefix) = is_ours.and_then(|(before, _)| before.strip_suffix('-')).filter(|prefix| is_name(prefix)) else {
        return work.draft.look(&whole, "names containers otherwise than Slipway can: with spawner.docker.name_prefix they are PREFIX-user and PREFIX-user--server. Stop all servers before the switch; running ones cannot be adopted.");
    };
    match work.context.volume_prefix.as_deref() {
        Some(volumes) if volumes != prefix => {
            let text = format!(
                "containers were named {prefix}-user. With Slipway spawner.docker.name_prefix names containers and volumes, and the volumes' {volumes:?} was taken. Stop all servers before the switch; running ones cannot be adopted."
            );
            work.draft.look(&whole, &text);
        }
        _ => work.draft.take("spawner.docker.name_prefix", prefix.to_owned(), &whole),
    }
}

/// Where nothing says how containers are named, they are as DockerSpawner's default has it.
pub(super) fn name_prefix_of_containers(work: &mut Work<'_>) {
    const KEY: &str = "spawner.docker.name_prefix";
    let Some(setting) = work.context.setting("JupyterHub", "spawner_class") else { return };
    let says = |setting: &Setting| {
        matches!(setting.name.as_str(), "prefix" | "container_prefix" | "name_template" | "container_name_template")
    };
    let is_said = work.context.reading.settings.iter().any(says) || work.draft.value(KEY).is_some();
    if work.context.backend == OldBackend::Docker && !is_said {
        let how = "DockerSpawner's own beginning of containers' names: running ones are found by it.";
        work.draft.take_with(KEY, "jupyter", setting, how);
    }
}
