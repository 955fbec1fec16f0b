//! What groups grant, as the platform's own endpoints write it (platform.md §8.2 and §12.2).

use serde::Serialize;
use utoipa::ToSchema;

use super::error::ErrorModel;
use crate::auth::GroupListing;
use crate::model::{GrantNote, GrantProblem, GrantsDraft};

/// What the next start of a user's servers gets through groups.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = EffectiveGrants, example = json!({ "grants": [{
    "key": "memory", "label": "Memory", "value": "8 GiB, no swap", "from": ["physics"], "available": true
}] }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct EffectiveGrantsModel {
    pub(in crate::hub::api) grants: Vec<GrantModel>,
}

/// One thing that a start gets.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Grant)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct GrantModel {
    /// `memory`, `cpu`, `gpu`, `code` (a variable), `box` (a volume), `shield` (root on the host) or `clock` (when it is
    /// stopped; this holds for servers that run, too).
    key: String,
    /// What it is.
    label: String,
    /// How much or which; of a variable never its value.
    value: String,
    /// The groups that give it.
    from: Vec<String>,
    /// False for what local processes cannot have: it is not given here.
    available: bool,
}

impl GrantModel {
    pub(in crate::hub::api) fn of(note: GrantNote, has_extras: bool) -> Self {
        let available = has_extras || !note.needs_container();
        let GrantNote { key, label, value, from } = note;
        Self { key, label, value, from: from.iter().map(ToString::to_string).collect(), available }
    }
}

/// All groups with what they grant.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = GroupConfigs, example = json!({ "groups": [] }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct GroupConfigsModel {
    pub(in crate::hub::api) groups: Vec<GroupConfigModel>,
}

/// A group with what it grants.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = GroupConfig)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct GroupConfigModel {
    /// Unique.
    name: String,
    /// For people.
    description: String,
    /// The higher one wins where groups say different things.
    priority: i32,
    /// Made by the program: cannot be deleted, and grants what it grants.
    built_in: bool,
    /// How many belong to it.
    member_count: usize,
    /// Who.
    members: Vec<String>,
    /// What it grants.
    config: GrantsModel,
    /// The same in words.
    policy_summary: Vec<PolicyBadgeModel>,
}

impl GroupConfigModel {
    pub(in crate::hub::api) fn of(group: &GroupListing) -> Self {
        let badges = group.notes().into_iter();
        Self {
            name: group.name.to_string(),
            description: group.description.clone(),
            priority: group.grants.priority,
            built_in: group.is_built_in,
            member_count: group.users.len(),
            members: group.users.iter().map(ToString::to_string).collect(),
            config: GrantsModel::of(GrantsDraft::of(&group.grants)),
            policy_summary: badges
                .map(|note| PolicyBadgeModel { key: note.key, badge: note.label, detail: note.value })
                .collect(),
        }
    }
}

/// One thing that a group grants, in words.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PolicyBadge)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct PolicyBadgeModel {
    key: String,
    badge: String,
    detail: String,
}

/// What a group grants. A section that is off keeps what it says.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = GroupGrants)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct GrantsModel {
    env_vars_active: bool,
    env_vars: Vec<GrantedVariableModel>,
    gpu_access: bool,
    gpu_all: bool,
    gpu_device_ids: Vec<String>,
    gpu_exclusive: bool,
    docker_active: bool,
    docker_access: bool,
    docker_privileged: bool,
    cpu_limit_enabled: bool,
    cpu_limit_cores: f64,
    mem_limit_enabled: bool,
    mem_limit_gb: f64,
    mem_swap_disabled: bool,
    volume_mounts_active: bool,
    shared_mount_allow: bool,
    shared_mount_mode: String,
    volume_mounts: Vec<GrantedVolumeModel>,
    /// Whether the group says when its members' servers are stopped.
    idle_active: bool,
    /// After how many minutes without use; 0: never.
    idle_after_minutes: i64,
    /// At what age in hours, used or not; 0: at none.
    idle_max_age_hours: i64,
    /// By how many hours the owner can put it off.
    idle_extension_hours: i64,
    /// True: a busy kernel does not keep a server.
    idle_stops_busy_kernels: bool,
}

/// A variable.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = GrantedVariable)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct GrantedVariableModel {
    name: String,
    value: String,
    description: String,
}

/// A named volume.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = GrantedVolume)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct GrantedVolumeModel {
    volume: String,
    mountpoint: String,
    /// `rw` or `ro`.
    mode: String,
}

impl GrantsModel {
    fn of(draft: GrantsDraft) -> Self {
        let on = Option::unwrap_or_default;
        let variable = |variable: crate::model::DraftVariable| GrantedVariableModel {
            name: variable.name,
            value: variable.value,
            description: variable.description,
        };
        let volume = |volume: crate::model::DraftVolume| GrantedVolumeModel {
            volume: volume.volume,
            mountpoint: volume.mountpoint,
            mode: volume.mode,
        };
        Self {
            env_vars_active: on(draft.env_vars_active),
            env_vars: draft.env_vars.into_iter().map(variable).collect(),
            gpu_access: on(draft.gpu_access),
            gpu_all: on(draft.gpu_all),
            gpu_device_ids: draft.gpu_device_ids,
            gpu_exclusive: draft.gpu_exclusive,
            docker_active: on(draft.docker_active),
            docker_access: draft.docker_access,
            docker_privileged: draft.docker_privileged,
            cpu_limit_enabled: on(draft.cpu_limit_enabled),
            cpu_limit_cores: draft.cpu_limit_cores,
            mem_limit_enabled: on(draft.mem_limit_enabled),
            mem_limit_gb: draft.mem_limit_gb,
            mem_swap_disabled: draft.mem_swap_disabled,
            volume_mounts_active: on(draft.volume_mounts_active),
            shared_mount_allow: draft.shared_mount_allow,
            shared_mount_mode: draft.shared_mount_mode,
            volume_mounts: draft.volume_mounts.into_iter().map(volume).collect(),
            idle_active: on(draft.idle_active),
            idle_after_minutes: draft.idle_after_minutes,
            idle_max_age_hours: draft.idle_max_age_hours,
            idle_extension_hours: draft.idle_extension_hours,
            idle_stops_busy_kernels: draft.idle_stops_busy_kernels,
        }
    }
}

/// Why a group's grants cannot be so.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = GrantRefusal, example = json!({
    "error": "reserved_env_var_names", "message": "The platform sets these itself: NB_UID.", "rejected": ["NB_UID"]
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct GrantRefusalModel {
    /// As programs read it.
    error: String,
    /// As people read it.
    message: String,
    /// What of a list is meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    rejected: Vec<String>,
}

impl GrantRefusalModel {
    pub(in crate::hub::api) fn of(problem: GrantProblem) -> Self {
        Self { error: problem.code.to_owned(), message: problem.message, rejected: problem.rejected }
    }
}

/// Either body that a 400 has where grants are said: a grant is refused, or something else about the request.
#[derive(Serialize, ToSchema)]
#[schema(as = GrantsNotTaken)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes answers; `HubError` writes the second kind itself")]
pub(in crate::hub) enum GrantsNotTakenModel {
    /// A grant cannot be so.
    Grant(GrantRefusalModel),
    /// The rest: no JSON, no name, none of what must be there.
    Request(ErrorModel),
}

/// That something was done.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Done, example = json!({ "success": true, "name": "physics" }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct DoneModel {
    /// Always true; failures have another status.
    pub(in crate::hub::api) success: bool,
    /// Of what.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::hub::api) name: Option<String>,
}
