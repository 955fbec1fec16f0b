//! Settings of servers: which spawner, images, limits, command, environment.

use toml::{Table, Value as Toml};

use super::convert::{Form, convert};
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
