//! What a group shall grant, as pages, the API and the configuration say it (the flat fields of platform.md §12.2), and
//! the one check that makes `Grants` of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    CpuGrant, DockerGrant, EnvironmentGrant, GpuDevices, GpuGrant, GrantedVariable, Grants, IdleGrant, MemoryGrant,
    MountPoint, SharedGrant, VariableName, VolumeGrant, VolumeName, VolumesGrant,
};

/// Variables of one group.
const VARIABLES_LIMIT: usize = 100;
/// All names, values and descriptions of one group's variables together.
const VARIABLES_LIMIT_BYTES: usize = 16 * 1024;
/// Volumes of one group.
const VOLUMES_LIMIT: usize = 50;
/// GPUs that one group names.
const GPUS_LIMIT: usize = 64;
/// Longest id of a GPU: `GPU-` and a UUID have 40.
const GPU_LIMIT_BYTES: usize = 64;
/// 4,096 cores: more than any host has.
const CORES_LIMIT: f64 = 4_096.0;
/// 64 TiB: more than any host has.
const MEMORY_LIMIT_GB: f64 = 65_536.0;
/// A year: nobody means more.
const HOURS_LIMIT: i64 = 8_760;
const MINUTES_LIMIT: i64 = HOURS_LIMIT * 60;
const GIB: f64 = 1_073_741_824.0;

/// One group's grants in flat fields. A switch that is left out follows from what it switches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrantsDraft {
    /// Whether the variables are given.
    pub env_vars_active: Option<bool>,
    /// Variables.
    pub env_vars: Vec<DraftVariable>,
    /// Whether GPUs are given.
    pub gpu_access: Option<bool>,
    /// All of the host's GPUs; None: if none is named.
    pub gpu_all: Option<bool>,
    /// Or these.
    pub gpu_device_ids: Vec<String>,
    /// Whoever has one has it alone.
    pub gpu_exclusive: bool,
    /// Whether Docker is given at all.
    pub docker_active: Option<bool>,
    /// The engine's socket.
    pub docker_access: bool,
    /// A privileged container.
    pub docker_privileged: bool,
    /// Whether there is a limit of processors.
    pub cpu_limit_enabled: Option<bool>,
    /// In cores.
    pub cpu_limit_cores: f64,
    /// Whether there is a limit of memory.
    pub mem_limit_enabled: Option<bool>,
    /// In GiB.
    pub mem_limit_gb: f64,
    /// No swap beside it.
    pub mem_swap_disabled: bool,
    /// Whether volumes are given.
    pub volume_mounts_active: Option<bool>,
    /// The shared volume.
    pub shared_mount_allow: bool,
    /// `rw` or `ro`; empty: `rw`.
    pub shared_mount_mode: String,
    /// Other volumes.
    pub volume_mounts: Vec<DraftVolume>,
    /// Whether the group says when idle servers are stopped; None: if it says any number.
    pub idle_active: Option<bool>,
    /// How long a server may go unused, in minutes; 0: for ever.
    pub idle_after_minutes: i64,
    /// How old a server may become, in hours; 0: as old as it likes.
    pub idle_max_age_hours: i64,
    /// How many hours its owner may put the deadline off.
    pub idle_extension_hours: i64,
    /// A busy kernel is no reason to keep a server.
    pub idle_stops_busy_kernels: bool,
}

/// A variable of a draft.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DraftVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// For people.
    pub description: String,
}

/// A volume of a draft.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DraftVolume {
    /// Its name.
    pub volume: String,
    /// Where servers see it.
    pub mountpoint: String,
    /// `rw` or `ro`; empty: `rw`.
    pub mode: String,
}

/// Why a draft is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantProblem {
    /// As programs read it: `reserved_env_var_names`, `invalid_mem_limit` …
    pub code: &'static str,
    /// The field of the draft.
    pub field: &'static str,
    /// As people read it: a sentence.
    pub message: String,
    /// What of a list is meant.
    pub rejected: Vec<String>,
}

/// What this installation needs for itself, and no group gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantRules {
    /// Where servers have volumes of their own: protected, and all below.
    pub own_mounts: Vec<String>,
    /// What users' own volumes begin with: `jupyterlab-`.
    pub own_volumes: Option<String>,
}

impl GrantRules {
    /// True if `volume` is, or could become, some user's own.
    #[must_use]
    pub fn is_own_volume(&self, volume: &str) -> bool {
        self.own_volumes.as_deref().is_some_and(|stem| volume.starts_with(stem))
    }
}

impl GrantsDraft {
    /// These grants in flat fields: `check` makes the same of it again.
    #[must_use]
    pub fn of(grants: &Grants) -> Self {
        let Grants { environment, gpu, docker, cpu, memory, volumes, idle, .. } = grants;
        let mode = |read_only: bool| if read_only { "ro" } else { "rw" }.to_owned();
        Self {
            env_vars_active: Some(environment.is_active),
            env_vars: environment.variables.iter().map(DraftVariable::of).collect(),
            gpu_access: Some(gpu.is_active),
            gpu_all: Some(gpu.devices == GpuDevices::All),
            gpu_device_ids: match &gpu.devices {
                GpuDevices::All => vec![],
                GpuDevices::Chosen(ids) => ids.clone(),
            },
            gpu_exclusive: gpu.is_exclusive,
            docker_active: Some(docker.is_active),
            docker_access: docker.socket,
            docker_privileged: docker.privileged,
            cpu_limit_enabled: Some(cpu.is_active),
            cpu_limit_cores: cpu.cores,
            mem_limit_enabled: Some(memory.is_active),
            mem_limit_gb: one_decimal(memory.bytes as f64 / GIB),
            mem_swap_disabled: memory.swap_off,
            volume_mounts_active: Some(volumes.is_active),
            shared_mount_allow: volumes.shared.is_some(),
            shared_mount_mode: mode(volumes.shared.is_some_and(|shared| shared.read_only)),
            volume_mounts: volumes
                .mounts
                .iter()
                .map(|grant| DraftVolume {
                    volume: grant.volume.to_string(),
                    mountpoint: grant.mount.to_string(),
                    mode: mode(grant.read_only),
                })
                .collect(),
            idle_active: Some(idle.is_active),
            idle_after_minutes: idle.idle_after_minutes.map_or(0, i64::from),
            idle_max_age_hours: idle.max_age_hours.map_or(0, i64::from),
            idle_extension_hours: i64::from(idle.extension_hours),
            idle_stops_busy_kernels: idle.stops_busy_kernels,
        }
    }

    /// The grants, or all that is wrong, in the order of platform.md §12.2: who reports one thing reports the first.
    ///
    /// # Errors
    /// One entry for each field that cannot be as it is.
    pub fn check(&self, priority: i32, rules: &GrantRules) -> Result<Grants, Vec<GrantProblem>> {
        let mut problems = Vec::new();
        let grants = Grants {
            priority,
            environment: self.environment(&mut problems),
            gpu: self.gpu(&mut problems),
            docker: DockerGrant {
                is_active: self.docker_active.unwrap_or(self.docker_access || self.docker_privileged),
                socket: self.docker_access,
                privileged: self.docker_privileged,
            },
            cpu: self.cpu(&mut problems),
            memory: self.memory(&mut problems),
            volumes: self.volumes(rules, &mut problems),
            idle: self.idle(&mut problems),
        };
        if problems.is_empty() { Ok(grants) } else { Err(problems) }
    }

    fn environment(&self, problems: &mut Vec<GrantProblem>) -> EnvironmentGrant {
        let mut say = |code, message: String, rejected: Vec<String>| {
            problems.push(GrantProblem { code, field: "env_vars", message, rejected });
        };
        if self.env_vars.len() > VARIABLES_LIMIT {
            say("too_many", format!("A group has {VARIABLES_LIMIT} variables at most."), vec![]);
            return EnvironmentGrant::default();
        }
        let size = |variable: &DraftVariable| variable.name.len() + variable.value.len() + variable.description.len();
        if self.env_vars.iter().map(size).sum::<usize>() > VARIABLES_LIMIT_BYTES {
            let limit_kib = VARIABLES_LIMIT_BYTES / 1024;
            say("too_large", format!("The variables of a group have {limit_kib} KiB together at most."), vec![]);
            return EnvironmentGrant::default();
        }
        let (mut reserved, mut bad, mut twice) = (vec![], vec![], vec![]);
        let mut seen = BTreeSet::new();
        let mut variables = Vec::with_capacity(self.env_vars.len());
        for variable in &self.env_vars {
            let DraftVariable { name, value, description } = variable;
            let has_controls = value.contains('\0') || description.chars().any(char::is_control);
            match VariableName::parse(name) {
                Some(parsed) if parsed.is_reserved() => reserved.push(name.clone()),
                Some(_) if !seen.insert(name) => twice.push(name.clone()),
                Some(name) if !has_controls => {
                    let (value, description) = (value.clone(), description.clone());
                    variables.push(GrantedVariable { name, value, description });
                }
                _ => bad.push(name.clone()),
            }
        }
        if !reserved.is_empty() {
            let names = reserved.join(", ");
            say("reserved_env_var_names", format!("The platform sets these itself: {names}."), reserved);
        }
        if !bad.is_empty() {
            let names = bad.join(", ");
            let rule = "letters, digits and \"_\", no digit first; values hold no NUL";
            say("invalid_env_var_names", format!("These cannot be variables: {names}. A name has {rule}."), bad);
        }
        if !twice.is_empty() {
            let names = twice.join(", ");
            say("duplicate_env_var_names", format!("These are given twice: {names}."), twice);
        }
        EnvironmentGrant { is_active: self.env_vars_active.unwrap_or(!variables.is_empty()), variables }
    }

    fn gpu(&self, problems: &mut Vec<GrantProblem>) -> GpuGrant {
        let mut say = |message: &str, rejected: Vec<String>| {
            let (code, field) = ("invalid_gpu_selection", "gpu_device_ids");
            problems.push(GrantProblem { code, field, message: message.into(), rejected });
        };
        let is_id = |id: &String| {
            (1..=GPU_LIMIT_BYTES).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        let all = self.gpu_all.unwrap_or(self.gpu_device_ids.is_empty());
        let is_active = self.gpu_access.unwrap_or(self.gpu_all == Some(true) || !self.gpu_device_ids.is_empty());
        let bad: Vec<_> = self.gpu_device_ids.iter().filter(|id| !is_id(id)).cloned().collect();
        if !bad.is_empty() || self.gpu_device_ids.len() > GPUS_LIMIT {
            say("A GPU is named by its UUID (GPU-…) or its number; 64 of them at most.", bad);
        } else if is_active && !all && self.gpu_device_ids.is_empty() {
            say("Choose at least one GPU, or all of them.", vec![]);
        }
        let chosen: BTreeSet<_> = self.gpu_device_ids.iter().cloned().collect();
        let devices = if all { GpuDevices::All } else { GpuDevices::Chosen(chosen.into_iter().collect()) };
        GpuGrant { is_active, devices, is_exclusive: self.gpu_exclusive }
    }

    fn cpu(&self, problems: &mut Vec<GrantProblem>) -> CpuGrant {
        let cores = one_decimal(self.cpu_limit_cores);
        let is_active = self.cpu_limit_enabled.unwrap_or(cores > 0.0);
        if (is_active && cores <= 0.0) || cores > CORES_LIMIT {
            let message = format!("A limit is more than 0 and at most {CORES_LIMIT} cores.");
            problems.push(GrantProblem {
                code: "invalid_cpu_limit",
                field: "cpu_limit_cores",
                message,
                rejected: vec![],
            });
        }
        CpuGrant { is_active, cores }
    }

    fn memory(&self, problems: &mut Vec<GrantProblem>) -> MemoryGrant {
        let gb = one_decimal(self.mem_limit_gb);
        let is_active = self.mem_limit_enabled.unwrap_or(gb > 0.0);
        if (is_active && gb <= 0.0) || gb > MEMORY_LIMIT_GB {
            let message = format!("A limit is more than 0 and at most {MEMORY_LIMIT_GB} GiB.");
            problems.push(GrantProblem { code: "invalid_mem_limit", field: "mem_limit_gb", message, rejected: vec![] });
        }
        MemoryGrant { is_active, bytes: (gb * GIB) as u64, swap_off: self.mem_swap_disabled }
    }

    fn volumes(&self, rules: &GrantRules, problems: &mut Vec<GrantProblem>) -> VolumesGrant {
        let mut say = |field, message: String, rejected: Vec<String>| {
            problems.push(GrantProblem { code: "invalid_volume_mounts", field, message, rejected });
        };
        let shared_read_only = is_read_only(&self.shared_mount_mode);
        if shared_read_only.is_none() {
            say("shared_mount_mode", "The mode is rw or ro.".into(), vec![self.shared_mount_mode.clone()]);
        }
        if self.volume_mounts.len() > VOLUMES_LIMIT {
            say("volume_mounts", format!("A group has {VOLUMES_LIMIT} volumes at most."), vec![]);
            return VolumesGrant::default();
        }
        let mut mounts: Vec<VolumeGrant> = Vec::with_capacity(self.volume_mounts.len());
        for draft in &self.volume_mounts {
            match draft.check(rules, &mounts) {
                Ok(grant) => mounts.push(grant),
                Err(message) => say("volume_mounts", message, vec![draft.volume.clone()]),
            }
        }
        let shared = self.shared_mount_allow.then(|| SharedGrant { read_only: shared_read_only.unwrap_or_default() });
        let is_active = self.volume_mounts_active.unwrap_or(shared.is_some() || !mounts.is_empty());
        VolumesGrant { is_active, shared, mounts }
    }
}

impl GrantsDraft {
    fn idle(&self, problems: &mut Vec<GrantProblem>) -> IdleGrant {
        let mut within = |code, field, value: i64, limit: i64, unit: &str| match u32::try_from(value) {
            Ok(number) if value <= limit => number,
            _ => {
                let message = format!("It is 0 (never) or up to {limit} {unit}, not {value}.");
                problems.push(GrantProblem { code, field, message, rejected: vec![] });
                0
            }
        };
        let after =
            within("invalid_idle_limit", "idle_after_minutes", self.idle_after_minutes, MINUTES_LIMIT, "minutes");
        let age = within("invalid_idle_age", "idle_max_age_hours", self.idle_max_age_hours, HOURS_LIMIT, "hours");
        let extension =
            within("invalid_idle_extension", "idle_extension_hours", self.idle_extension_hours, HOURS_LIMIT, "hours");
        if after > 0 && age > 0 && u64::from(age) * 60 < u64::from(after) {
            problems.push(GrantProblem {
                code: "invalid_idle_age",
                field: "idle_max_age_hours",
                message: "A maximum age below the idle limit would leave the idle limit without effect.".into(),
                rejected: vec![],
            });
        }
        IdleGrant {
            is_active: self.idle_active.unwrap_or(after > 0 || age > 0 || extension > 0),
            idle_after_minutes: Some(after).filter(|minutes| *minutes > 0),
            max_age_hours: Some(age).filter(|hours| *hours > 0),
            extension_hours: extension,
            stops_busy_kernels: self.idle_stops_busy_kernels,
        }
    }
}

impl DraftVariable {
    fn of(variable: &GrantedVariable) -> Self {
        let GrantedVariable { name, value, description } = variable;
        Self { name: name.to_string(), value: value.clone(), description: description.clone() }
    }
}

impl DraftVolume {
    fn check(&self, rules: &GrantRules, before: &[VolumeGrant]) -> Result<VolumeGrant, String> {
        let Some(volume) = VolumeName::parse(&self.volume) else {
            return Err(format!(
                "{:?} is no volume's name: a letter or digit, then letters, digits, \"_\", \".\" and \"-\".",
                self.volume
            ));
        };
        if rules.is_own_volume(volume.as_str()) {
            return Err(format!("{volume} is, or could become, a user's own volume: choose another name."));
        }
        let mount = MountPoint::parse(&self.mountpoint).map_err(|why| format!("{volume}: {why}."))?;
        if let Some(own) = rules.own_mounts.iter().find(|own| mount.is_at_or_below(own)) {
            return Err(format!("{volume}: {own} is where servers have a volume of their own."));
        }
        if before.iter().any(|grant| grant.mount == mount) {
            return Err(format!("{volume}: {mount} is taken by another volume."));
        }
        if before.iter().any(|grant| grant.volume == volume) {
            return Err(format!("{volume} is given twice."));
        }
        let read_only = is_read_only(&self.mode).ok_or_else(|| format!("{volume}: the mode is rw or ro."))?;
        Ok(VolumeGrant { volume, mount, read_only })
    }
}

fn is_read_only(mode: &str) -> Option<bool> {
    match mode {
        "" | "rw" => Some(false),
        "ro" => Some(true),
        _ => None,
    }
}

/// As the old platform: one decimal, never below 0; what is no number is 0.
fn one_decimal(number: f64) -> f64 {
    if number.is_finite() { (number * 10.0).round().max(0.0) / 10.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(value: serde_json::Value) -> GrantsDraft {
        serde_json::from_value(value).expect("a draft")
    }

    fn check(value: serde_json::Value) -> Result<Grants, Vec<GrantProblem>> {
        let rules = GrantRules { own_mounts: vec!["/work".into()], own_volumes: Some("jupyterlab-".into()) };
        draft(value).check(0, &rules)
    }

    fn refused(value: serde_json::Value, code: &str) -> GrantProblem {
        let problems = check(value.clone()).expect_err("it cannot be");
        assert_eq!(problems[0].code, code, "{value}");
        problems[0].clone()
    }

    #[test]
    fn what_was_said_is_said_again() {
        let value = serde_json::json!({
            "env_vars": [{ "name": "A", "value": "1", "description": "d" }],
            "gpu_device_ids": ["GPU-2", "GPU-1", "GPU-1"], "gpu_exclusive": true,
            "docker_access": true, "cpu_limit_cores": 1.25, "mem_limit_gb": 0.1, "mem_swap_disabled": true,
            "shared_mount_allow": true, "shared_mount_mode": "ro",
            "volume_mounts": [{ "volume": "data", "mountpoint": "/data", "mode": "ro" }],
        });
        let grants = check(value).expect("sound");
        assert!(grants.environment.is_active && grants.gpu.is_active && grants.is_root_like());
        assert_eq!(grants.gpu.devices, GpuDevices::Chosen(vec!["GPU-1".into(), "GPU-2".into()]));
        assert_eq!(grants.cpu.cores, 1.3);
        let again = GrantsDraft::of(&grants).check(0, &GrantRules::default());
        assert_eq!(again, Ok(grants));
    }

    #[test]
    fn nothing_said_is_nothing_granted() {
        assert_eq!(check(serde_json::json!({})), Ok(Grants::default()));
    }

    #[test]
    fn a_section_that_is_off_keeps_what_it_says() {
        let grants = check(serde_json::json!({ "mem_limit_enabled": false, "mem_limit_gb": 4 })).expect("sound");
        assert_eq!(grants.memory, MemoryGrant { is_active: false, bytes: 4 << 30, swap_off: false });
    }

    #[test]
    fn what_cannot_be_is_told_by_its_code() {
        use serde_json::json;
        let variable = |name: &str| json!({ "env_vars": [{ "name": name }] });
        assert_eq!(refused(variable("JUPYTERHUB_USER"), "reserved_env_var_names").rejected, ["JUPYTERHUB_USER"]);
        refused(variable("A-B"), "invalid_env_var_names");
        refused(json!({ "env_vars": [{ "name": "A" }, { "name": "A" }] }), "duplicate_env_var_names");
        refused(json!({ "env_vars": vec![json!({ "name": "A" }); 101] }), "too_many");
        refused(json!({ "env_vars": [{ "name": "A", "value": "x".repeat(16_384) }] }), "too_large");
        refused(json!({ "gpu_access": true, "gpu_all": false }), "invalid_gpu_selection");
        refused(json!({ "gpu_device_ids": ["a b"] }), "invalid_gpu_selection");
        for cores in [0.0, -1.0, 1e9] {
            refused(json!({ "cpu_limit_enabled": true, "cpu_limit_cores": cores }), "invalid_cpu_limit");
        }
        refused(json!({ "mem_limit_enabled": true }), "invalid_mem_limit");
        let volume = |name: &str, mount: &str| json!({ "volume_mounts": [{ "volume": name, "mountpoint": mount }] });
        for bad in [volume("/etc", "/data"), volume("data", "/home/x"), volume("data", "/work/x"), volume("d d", "/d")]
        {
            refused(bad, "invalid_volume_mounts");
        }
        let own = refused(volume("jupyterlab-bob_home", "/data"), "invalid_volume_mounts");
        assert_eq!(own.rejected, ["jupyterlab-bob_home"]);
        let data = json!({ "volume": "data", "mountpoint": "/data" });
        refused(
            json!({ "volume_mounts": [data, { "volume": "two", "mountpoint": "/data" }] }),
            "invalid_volume_mounts",
        );
        refused(
            json!({ "volume_mounts": [data, { "volume": "data", "mountpoint": "/two" }] }),
            "invalid_volume_mounts",
        );
    }

    #[test]
    fn idle_rules_are_checked_field_by_field() {
        use serde_json::json;
        let good = json!({ "idle_after_minutes": 60, "idle_max_age_hours": 1, "idle_extension_hours": 8_760 });
        let grants = check(good).expect("sound");
        assert!(grants.idle.is_active && grants.idle.idle_after_minutes == Some(60));
        assert_eq!(GrantsDraft::of(&grants).check(0, &GrantRules::default()), Ok(grants));
        let never = check(json!({ "idle_active": true })).expect("sound");
        assert!(never.idle.is_active && never.idle.rules().are_off());
        for minutes in [-1, 525_601, i64::MAX] {
            refused(json!({ "idle_after_minutes": minutes }), "invalid_idle_limit");
        }
        refused(json!({ "idle_max_age_hours": 8_761 }), "invalid_idle_age");
        refused(json!({ "idle_after_minutes": 61, "idle_max_age_hours": 1 }), "invalid_idle_age");
        refused(json!({ "idle_extension_hours": -1 }), "invalid_idle_extension");
    }

    #[test]
    fn the_first_of_several_problems_is_that_of_the_first_section() {
        let both = serde_json::json!({ "mem_limit_enabled": true, "env_vars": [{ "name": "NB_UID" }] });
        let problems = check(both).expect_err("two problems");
        let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, ["reserved_env_var_names", "invalid_mem_limit"]);
    }
}
