//! What a start gets through groups, as people and programs read it: one line for each thing, with the groups that give it.

use serde::{Deserialize, Serialize};

use super::{Effective, GpuDevices, Granted, SHARED_MOUNT};
use crate::model::GroupName;

/// One thing that a start gets through groups. Holds no values of variables: some are secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantNote {
    /// `memory`, `cpu`, `gpu`, `code` (a variable), `box` (a volume), `shield` (what is root on the host) or `clock`
    /// (when it is stopped).
    pub key: String,
    /// What it is: `Memory`, `Volume /data` …
    pub label: String,
    /// How much, or what of it.
    pub value: String,
    /// The groups that give it.
    pub from: Vec<GroupName>,
}

impl GrantNote {
    fn new(key: &str, label: impl Into<String>, value: impl Into<String>, from: &[GroupName]) -> Self {
        Self { key: key.into(), label: label.into(), value: value.into(), from: from.to_vec() }
    }

    /// True for what only a container can have.
    #[must_use]
    pub fn needs_container(&self) -> bool {
        matches!(self.key.as_str(), "gpu" | "box" | "shield")
    }

    /// True for what a start gets once and keeps; the others are as the groups say at any moment.
    #[must_use]
    pub fn is_of_start(&self) -> bool {
        self.key != "clock"
    }

    /// True for what is root on the host, or as good as.
    #[must_use]
    pub fn is_root_like(&self) -> bool {
        self.key == "shield"
    }
}

impl Effective {
    /// All of it, in the order in which it is shown.
    #[must_use]
    pub fn notes(&self) -> Vec<GrantNote> {
        let mut notes = Vec::new();
        if !self.docker_socket.is_empty() {
            notes.push(GrantNote::new("shield", "Docker socket", "read and write", &self.docker_socket));
        }
        if !self.privileged.is_empty() {
            notes.push(GrantNote::new("shield", "Privileged container", "no confinement", &self.privileged));
        }
        if let Some(Granted { value, from }) = &self.memory {
            let swap = if value.swap_off { ", no swap" } else { "" };
            notes.push(GrantNote::new("memory", "Memory", format!("{}{swap}", gib(value.bytes)), from));
        }
        if let Some(Granted { value, from }) = &self.cpu_cores {
            let unit = if *value == 1.0 { "core" } else { "cores" };
            notes.push(GrantNote::new("cpu", "Processors", format!("{value} {unit}"), from));
        }
        if let Some(Granted { value, from }) = &self.gpu {
            let which = match &value.devices {
                GpuDevices::All => "all".to_owned(),
                GpuDevices::Chosen(ids) => ids.join(", "),
            };
            let alone = if value.is_exclusive { ", alone" } else { "" };
            notes.push(GrantNote::new("gpu", "GPU", format!("{which}{alone}"), from));
        }
        if let Some(Granted { value, from }) = &self.shared {
            notes.push(GrantNote::new("box", format!("Volume {SHARED_MOUNT}"), mode("shared", value.read_only), from));
        }
        for Granted { value, from } in &self.volumes {
            let what = mode(value.volume.as_str(), value.read_only);
            notes.push(GrantNote::new("box", format!("Volume {}", value.mount), what, from));
        }
        for Granted { value, from } in &self.environment {
            let what = if value.description.is_empty() { "is set" } else { value.description.as_str() };
            notes.push(GrantNote::new("code", format!("Variable {}", value.name), what, from));
        }
        if let Some(Granted { value, from }) = &self.idle {
            let after =
                value.idle_after_minutes.map_or_else(|| "never".to_owned(), |minutes| format!("after {minutes} min"));
            notes.push(GrantNote::new("clock", "Stopped when idle", after, from));
            if let Some(hours) = value.max_age_hours {
                notes.push(GrantNote::new("clock", "Maximum age", format!("{hours} h"), from));
            }
        }
        notes
    }
}

fn mode(volume: &str, read_only: bool) -> String {
    format!("{volume}, {}", if read_only { "read only" } else { "read and write" })
}

/// `4 GiB`, `0.5 GiB`
fn gib(bytes: u64) -> String {
    let gib = bytes as f64 / 1_073_741_824.0;
    format!("{} GiB", (gib * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::super::{EnvironmentGrant, GrantedVariable, Grants, GroupGrants, MemoryGrant, VariableName, merge};
    use super::*;

    #[test]
    fn a_note_says_what_and_from_whom_and_no_value_of_a_variable() {
        let name = GroupName::parse("physics").expect("a name");
        let variable = VariableName::parse("HF_TOKEN").expect("a name");
        let variables = vec![GrantedVariable { name: variable, value: "secret".into(), description: String::new() }];
        let grants = Grants {
            memory: MemoryGrant { is_active: true, bytes: (3 << 30) / 2, swap_off: true },
            environment: EnvironmentGrant { is_active: true, variables },
            ..Grants::default()
        };
        let notes = merge(&[GroupGrants { name: &name, grants: &grants }]).notes();
        let said: Vec<_> = notes.iter().map(|note| (note.label.as_str(), note.value.as_str())).collect();
        assert_eq!(said, [("Memory", "1.5 GiB, no swap"), ("Variable HF_TOKEN", "is set")]);
        assert!(notes.iter().all(|note| note.from == [name.clone()]));
    }
}
