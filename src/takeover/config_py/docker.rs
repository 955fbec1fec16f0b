//! Settings of servers: which spawner, images, volumes, limits, environment.

use std::collections::BTreeMap;

use toml::{Table, Value as Toml};

use super::convert::{Form, bytes, convert};
use super::draft::shortened;
use super::people::variables;
use super::reading::{Reading, Setting};
use super::translate::{Context, OldBackend, Work};
use super::value::Value;

/// Spawners whose settings we know.
const KNOWN: [&str; 6] = [
    "Spawner",
    "DockerSpawner",
    "SystemUserSpawner",
    "LocalProcessSpawner",
    "SimpleLocalProcessSpawner",
    "ProfilesSpawner",
];

/// The class that `class` is made from, if the file makes it; else `class`. Of a dotted name the last word.
pub(super) fn class_of<'r>(reading: &'r Reading, class: &'r str) -> &'r str {
    let base = reading.classes.get(class).filter(|base| !base.is_empty()).map_or(class, String::as_str);
    base.rsplit('.').next().unwrap_or(base)
}

/// What `spawner_class` names; without it what the other settings tell.
pub(super) fn old_backend(context: &Context<'_>) -> OldBackend {
    let named =
        context.setting("JupyterHub", "spawner_class").and_then(|setting| class_named(context.reading, &setting.value));
    let Some(class) = named else {
        let is_docker = |setting: &Setting| {
            setting.condition.is_none()
                && matches!(class_of(context.reading, &setting.class), "DockerSpawner" | "SystemUserSpawner")
        };
        return if context.reading.settings.iter().any(is_docker) { OldBackend::Docker } else { OldBackend::Process };
    };
    match class.to_ascii_lowercase().as_str() {
        "docker" | "dockerspawner" | "docker-system-user" | "systemuserspawner" => OldBackend::Docker,
        "localprocess"
        | "localprocessspawner"
        | "default"
        | "simple"
        | "simplelocalprocessspawner"
        | "sudo"
        | "sudospawner" => OldBackend::Process,
        _ => OldBackend::Foreign(class),
    }
}

fn class_named(reading: &Reading, value: &Value) -> Option<String> {
    let name = match value {
        Value::Text(name) | Value::Name(name) => name,
        Value::Subclass { base, .. } => base,
        _ => return None,
    };
    let last = name.rsplit(['.', ':']).next().unwrap_or(name);
    Some(class_of(reading, last).to_owned()).filter(|name| !name.is_empty())
}

/// True for the class of a spawner that is not in use, or that we do not know.
pub(super) fn is_stranger(backend: &OldBackend, class: &str) -> bool {
    if !class.ends_with("Spawner") || class == "Spawner" {
        return false;
    }
    match backend {
        OldBackend::Docker => !matches!(class, "DockerSpawner" | "SystemUserSpawner"),
        OldBackend::Process => !KNOWN.contains(&class) || class == "DockerSpawner" || class == "SystemUserSpawner",
        OldBackend::Foreign(_) => true,
    }
}

pub(super) fn spawner_class(work: &mut Work<'_>, setting: &Setting) {
    if let Value::Subclass { name, line, base } = &setting.value {
        let text = format!(
            "is the class `{name}` of line {line}: what it changes in {} was not read. What groups grant and spawner.profiles do what such classes are mostly for.",
            shortened(base)
        );
        work.draft.look(setting, &text);
    }
    let Some(class) = class_named(work.context.reading, &setting.value) else {
        let what = setting.value.unknown().unwrap_or_else(|| "no class".into());
        return work
            .draft
            .look(setting, &format!("is {}; set spawner.backend to \"docker\" or \"process\".", shortened(&what)));
    };
    match class.to_ascii_lowercase().as_str() {
        "docker" | "dockerspawner" => work.draft.take("spawner.backend", "docker", setting),
        "docker-system-user" | "systemuserspawner" => {
            work.draft.take("spawner.backend", "docker", setting);
            work.draft.look(setting, "SystemUserSpawner mounts people's folders of the host and runs as their accounts. Slipway keeps their files in volumes (spawner.docker.volumes): copy each folder into its owner's volume before the switch.");
        }
        "localprocess"
        | "localprocessspawner"
        | "default"
        | "simple"
        | "simplelocalprocessspawner"
        | "sudo"
        | "sudospawner" => {
            work.draft.take("spawner.backend", "process", setting);
            work.draft.look(setting, "servers as processes are all one account's (spawner.process.run_as), not each person's own account of the host: for one person, or people who trust each other. Containers keep people apart.");
        }
        _ => {
            let text = format!(
                "{} has no equivalent: Slipway starts servers as containers of one Docker engine or as processes, on one \
                 host. This hub cannot be moved as it is; what follows is the part that does not depend on it.",
                shortened(&class)
            );
            work.draft.look(setting, &text);
        }
    }
}

pub(super) fn image(work: &mut Work<'_>, setting: &Setting) {
    work.take_as("spawner.docker.image", Form::Text, setting);
}

pub(super) fn network(work: &mut Work<'_>, setting: &Setting) {
    work.take_as("spawner.docker.network", Form::Text, setting);
}

pub(super) fn internal_address(work: &mut Work<'_>, setting: &Setting) {
    work.draft.fine(setting, "servers are reached on spawner.docker.network; where the host cannot reach containers, spawner.docker.publish_on_loopback does.");
}

pub(super) fn pull_policy(work: &mut Work<'_>, setting: &Setting) {
    let Some(text) = work.text(setting) else { return };
    let word = match text.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "ifnotpresent" => "if_not_present",
        "always" => "always",
        "never" | "skip" => "never",
        _ => {
            return work.draft.look(
                setting,
                "is none of ifnotpresent, always, never and skip; it would be spawner.docker.pull_policy.",
            );
        }
    };
    work.draft.take("spawner.docker.pull_policy", word, setting);
}

pub(super) fn memory_limit(work: &mut Work<'_>, setting: &Setting) {
    if work.context.backend == OldBackend::Process {
        return work.draft.look(
            setting,
            "servers as processes have no limits with Slipway; containers do (spawner.docker.memory_limit).",
        );
    }
    work.take_as("spawner.docker.memory_limit", Form::Bytes, setting);
}

pub(super) fn cpu_limit(work: &mut Work<'_>, setting: &Setting) {
    if work.context.backend == OldBackend::Process {
        return work.draft.look(
            setting,
            "servers as processes have no limits with Slipway; containers do (spawner.docker.cpu_limit).",
        );
    }
    work.take_as("spawner.docker.cpu_limit", Form::Cores, setting);
}

/// Options of servers that switch off what keeps people's servers apart; they are never carried over.
const WEAKENING: [&str; 4] = ["disable_check_xsrf", "allow_origin", "allow_remote_access", "trust_xheaders"];

pub(super) fn command(work: &mut Work<'_>, setting: &Setting) {
    let Some(whole) = work.together(setting, &["cmd", "args"]) else { return };
    let key = match work.context.backend {
        OldBackend::Process => "spawner.process.command",
        _ => "spawner.docker.command",
    };
    let words = |value: Option<&Value>| {
        value.map_or(Ok(Vec::new()), |value| match convert(Form::Command, value) {
            Ok(Toml::Array(words)) => Ok(words),
            Ok(_) => Ok(Vec::new()),
            Err(problem) => Err(problem),
        })
    };
    let (program, arguments) = match (words(work.beside(setting, "cmd")), words(work.beside(setting, "args"))) {
        (Ok(program), Ok(arguments)) => (program, arguments),
        (Err(problem), _) | (_, Err(problem)) => {
            return work.draft.look(&whole, &format!("is {}. It would be {key}.", shortened(&problem)));
        }
    };
    let mut command = if program.is_empty() { vec![Toml::from("jupyterhub-singleuser")] } else { program };
    for word in arguments {
        let text = word.as_str().unwrap_or_default();
        let weak = WEAKENING.iter().find(|weak| text.contains(*weak));
        match weak {
            Some(weak) => {
                let text = format!(
                    "the argument with {weak} was left out: it switches off what keeps one person's server from the pages of another's, and nothing here needs it."
                );
                work.draft.look(&whole, &text);
            }
            None if super::secrets::is_secret_word(text) => {
                work.draft.look(&whole, "an argument looks like a secret and was left out.");
            }
            None => command.push(word),
        }
    }
    work.draft.take(key, command, &whole);
}

/// Variables that Slipway sets itself, for each server as its groups grant.
const OWN_VARIABLES: [&str; 5] =
    ["ENABLE_GPU_SUPPORT", "ENABLE_GPUSTAT", "NVIDIA_DETECTED", "NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"];

pub(super) fn environment(work: &mut Work<'_>, setting: &Setting) {
    let mut value = setting.value.clone();
    for name in OWN_VARIABLES {
        let Value::Dict(items) = &mut value else { break };
        let before = items.len();
        items.retain(|(key, _)| *key != Value::Text(name.to_owned()));
        if items.len() < before {
            let text =
                format!("the variable {name} is set by Slipway, for each server as its groups grant (gpu.enable).");
            work.draft.fine(setting, &text);
        }
    }
    let table = variables(work, setting, &value, "");
    add_variables(work, setting, table, "");
}

fn add_variables(work: &mut Work<'_>, setting: &Setting, table: Table, how: &str) {
    const KEY: &str = "spawner.environment";
    if table.is_empty() {
        return;
    }
    let mut all = work.draft.value(KEY).and_then(Toml::as_table).cloned().unwrap_or_default();
    all.extend(table);
    work.draft.take_with(KEY, all, setting, how);
}

pub(super) fn default_url(work: &mut Work<'_>, setting: &Setting) {
    if let Some(url) = path_for_all(work, setting) {
        let how = "Servers read it from this variable.";
        add_variables(work, setting, Table::from_iter([("JUPYTERHUB_DEFAULT_URL".to_owned(), url.into())]), how);
    }
}

pub(super) fn notebook_dir(work: &mut Work<'_>, setting: &Setting) {
    if let Some(folder) = path_for_all(work, setting) {
        let how = "Servers read it from this variable.";
        add_variables(work, setting, Table::from_iter([("JUPYTERHUB_ROOT_DIR".to_owned(), folder.into())]), how);
    }
}

/// A path that is the same for everybody.
fn path_for_all(work: &mut Work<'_>, setting: &Setting) -> Option<String> {
    let path = work.text(setting)?;
    if path.is_empty() {
        work.draft.fine(setting, "is empty, so nothing is set.");
        return None;
    }
    if path.contains('{') {
        work.draft.look(
            setting,
            "is another path for each person; with Slipway it is the same for all, in a home of their own.",
        );
        return None;
    }
    Some(path)
}

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

fn is_name(text: &str) -> bool {
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
            let path = super::people::field(fields, "bind")?.as_text()?;
            let mode = super::people::field(fields, "mode").and_then(Value::as_text).unwrap_or_default();
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

/// `extra_host_config`: Docker's own settings of a container.
pub(super) fn host_config(work: &mut Work<'_>, setting: &Setting) {
    let Value::Dict(items) = &setting.value else {
        let what = setting.value.unknown().unwrap_or_else(|| "no dictionary".into());
        return work.draft.look(setting, &format!("is {}.", shortened(&what)));
    };
    for (key, value) in items {
        let Value::Text(key) = key else { continue };
        let is_on = value.truth() != Some(false);
        match (key.as_str(), value) {
            (_, Value::None) => {}
            ("runtime", Value::Text(runtime)) if runtime == "nvidia" => {
                work.draft.fine(setting, "runtime nvidia: servers get graphics processors by gpu.enable, and groups say who (gpu.everybody).");
            }
            ("device_requests", _) => {
                work.draft.fine(setting, "device_requests: servers get graphics processors by gpu.enable, and groups say who (gpu.everybody).");
            }
            ("mem_limit", value) => match bytes(value) {
                Ok(size) => work.draft.take_with("spawner.docker.memory_limit", size, setting, "Its mem_limit."),
                Err(problem) => work.draft.look(setting, &format!("mem_limit is {problem}; it would be spawner.docker.memory_limit.")),
            },
            ("nano_cpus", Value::Whole(nano)) => cores(work, setting, *nano as f64 / 1e9, "Its nano_cpus."),
            ("cpu_quota", Value::Whole(quota)) => {
                let period = super::people::field(items, "cpu_period").and_then(|period| match period {
                    Value::Whole(period) if *period > 0 => Some(*period as f64),
                    _ => None,
                });
                cores(work, setting, *quota as f64 / period.unwrap_or(100_000.0), "Its cpu_quota.");
            }
            ("cpu_period", _) => {}
            ("pids_limit", value) => match convert(Form::Whole, value) {
                Ok(limit) => work.draft.take_with("spawner.docker.pids_limit", limit, setting, "Its pids_limit."),
                Err(problem) => work.draft.look(setting, &format!("pids_limit is {}; it would be spawner.docker.pids_limit.", shortened(&problem))),
            },
            ("network_mode", Value::Text(network)) if work.context.setting(&setting.class, "network_name").is_none() && is_name(network) => {
                work.draft.take_with("spawner.docker.network", network.clone(), setting, "Its network_mode.");
            }
            ("network_mode" | "auto_remove" | "restart_policy", _) => {
                work.draft.fine(setting, &format!("{key}: Slipway sees to that itself."));
            }
            ("privileged", _) if is_on => work.draft.look(setting, "privileged: makes everybody root on the host. A group grants it to those who need it (docker_privileged, on the group's page)."),
            ("privileged", _) => work.draft.fine(setting, "privileged is off, as it is with Slipway."),
            ("binds" | "mounts", _) => work.draft.look(setting, &format!("{key}: folders of the host are not mounted; volumes are (spawner.docker.shared_volumes), and groups grant others.")),
            (key, _) => work.draft.look(setting, &format!("{}: has no equivalent; containers are made with what is under spawner.docker and what groups grant.", shortened(key))),
        }
    }
}

fn cores(work: &mut Work<'_>, setting: &Setting, cores: f64, how: &str) {
    if cores > 0.0 {
        work.draft.take_with("spawner.docker.cpu_limit", cores, setting, how);
    }
}

/// `extra_create_kwargs`: arguments of Docker's call that makes a container.
pub(super) fn create_arguments(work: &mut Work<'_>, setting: &Setting) {
    let Value::Dict(items) = &setting.value else {
        let what = setting.value.unknown().unwrap_or_else(|| "no dictionary".into());
        return work.draft.look(setting, &format!("is {}.", shortened(&what)));
    };
    for (key, value) in items {
        match (key, value) {
            (Value::Text(key), Value::Text(runtime)) if key == "runtime" && runtime == "nvidia" => {
                work.draft.fine(setting, "runtime nvidia: servers get graphics processors by gpu.enable, and groups say who (gpu.everybody).");
            }
            (Value::Text(key), Value::Text(user)) if key == "user" => {
                let what = if matches!(user.as_str(), "root" | "0") {
                    " For sudo within a container there is spawner.docker.allow_sudo."
                } else {
                    ""
                };
                work.draft.look(setting, &format!("user: who runs in the container is the image's business.{what}"));
            }
            (Value::Text(key), _) => {
                let text = format!(
                    "{}: has no equivalent; containers are made with what is under spawner.docker and what groups grant.",
                    shortened(key)
                );
                work.draft.look(setting, &text);
            }
            _ => work.draft.look(setting, "an argument is one that only Python can tell."),
        }
    }
}
