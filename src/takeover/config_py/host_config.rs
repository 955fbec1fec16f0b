//! `extra_host_config` and `extra_create_kwargs`: what Docker itself is told of a container, field by field.

use super::convert::{Form, bytes, convert};
use super::draft::shortened;
use super::people::field;
use super::reading::Setting;
use super::translate::Work;
use super::value::Value;
use super::volumes::is_name;

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
                let period = field(items, "cpu_period").and_then(|period| match period {
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
