//! `GET /activity`: what everybody uses and how much they work here, for administrators; `POST /activity/sample` and
//! `/activity/reset`.
//!
//! The fields are those of the platform before us, so that its portal and scripts go on reading them. What is not known,
//! or is none of ours, is null. Everything comes from looks in the background.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::PageQuery;
use super::paging::{Page, Pagination};
use super::scopes;
use crate::auth::{Target, User};
use crate::hub::HubState;
use crate::hub::activity::{Using, is_active, last_seen};
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::model::{SLOT_MS, SLOTS, ServerKey, ServerState, Timestamp};

const MIB: f64 = 1_048_576.0;
/// Slots of a day.
const SLOTS_PER_DAY: usize = 144;

/// What everybody uses.
#[derive(Serialize, ToSchema)]
#[schema(as = PeopleActivity, example = json!({
    "users": [], "_pagination": { "offset": 0, "limit": 50, "total": 0, "next": null },
    "container_max_extra_space_mb": 10_240.0, "volume_max_total_size_mb": 51_200.0, "memory_max_usage_mb": 65_536.0,
    "memory_host_total_mb": 262_144.0, "cpu_host_total": 64, "activity_target_hours": 8.0, "host_capabilities": ["cpu", "mem"],
    "gpus": null, "gpu_connected": false, "lab_image": "quay.io/jupyter/base-notebook", "lab_volumes": null,
    "system_volumes": null, "timestamp": "2026-11-22T02:07:07.732000Z",
    "sampling_status": { "interval_seconds": 600, "retention_days": 7, "last_sample": "2026-11-22T02:00:12.000000Z" },
    "inactive_after_seconds": 3600
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct PeopleActivityModel {
    /// Active people first, then by score, then by name. Of whom nothing is known is not here.
    users: Vec<PersonActivityModel>,
    #[serde(rename = "_pagination")]
    pagination: Pagination,
    /// From what on there is a warning of what a server has written beside its volumes, in MiB; null: never.
    container_max_extra_space_mb: Option<f64>,
    /// From what on there is a warning of the volumes of one person, in MiB; null: never.
    volume_max_total_size_mb: Option<f64>,
    /// From what on there is a warning of the memory of one person, in MiB; null: never, or the host's is not known.
    memory_max_usage_mb: Option<f64>,
    /// The host's memory, in MiB.
    memory_host_total_mb: Option<f64>,
    /// The host's processors.
    cpu_host_total: Option<usize>,
    /// How many hours a day are a score of 100.
    activity_target_hours: f64,
    /// What is known of the host: `cpu`, `mem`, `gpu`.
    host_capabilities: Vec<&'static str>,
    /// How many graphics processors the driver shows.
    gpus: Option<usize>,
    /// Whether the driver has answered lately.
    gpu_connected: bool,
    /// The image of servers, as the settings say.
    lab_image: Option<String>,
    /// Always null: `GET /users/{user}/volumes` tells of volumes.
    lab_volumes: Option<Vec<String>>,
    /// Always null.
    system_volumes: Option<Vec<String>>,
    /// Now.
    timestamp: String,
    sampling_status: SamplingModel,
    /// Whoever was last seen longer ago is not active.
    inactive_after_seconds: u64,
}

/// How activity is looked at.
#[derive(Serialize, ToSchema)]
#[schema(as = ActivitySampling)]
#[serde(deny_unknown_fields)]
struct SamplingModel {
    /// Between two looks.
    interval_seconds: i64,
    /// What is kept.
    retention_days: usize,
    /// When anybody looked last; null: not yet.
    last_sample: Option<String>,
}

/// One person.
#[derive(Serialize, ToSchema)]
#[schema(as = PersonActivity, example = json!({
    "username": "alice", "is_authorized": true, "server_active": true, "recently_active": true, "cpu_percent": 187.0,
    "cpu_cores": 4.0, "cpu_cores_limited": true, "memory_mb": 1843.2, "memory_percent": 22.5, "memory_total_mb": 8192.0,
    "memory_limited": true, "time_remaining_seconds": null, "timeout_seconds": null,
    "server_started": "2026-11-22T02:05:45.002000Z", "lab_image_upgrade_available": null, "activity_score": 63,
    "activity_hours": 5.1, "sample_count": 940, "last_activity": "2026-11-22T02:07:07.732000Z", "volume_size_mb": 4300.8,
    "volume_breakdown": { "cache": 1126.4, "home": 3174.4 }, "container_size_rw_mb": 312.0, "container_size_rootfs_mb": 711.0
}))]
#[serde(deny_unknown_fields)]
struct PersonActivityModel {
    username: String,
    is_authorized: bool,
    /// One of their servers is ready.
    server_active: bool,
    /// Did something within `inactive_after_seconds`: at a running server, else here. A forgotten tab does nothing.
    recently_active: bool,
    /// Processors in use by all their servers; 100 is one core.
    cpu_percent: Option<f64>,
    /// How many cores these may use: their limit, or the host's.
    cpu_cores: Option<f64>,
    /// True if that is a limit of theirs.
    cpu_cores_limited: bool,
    /// Memory in use by all their servers, without file caches, in MiB.
    memory_mb: Option<f64>,
    /// The same in percent of `memory_total_mb`.
    memory_percent: Option<f64>,
    /// How much these may use: their limit, or the host's, in MiB.
    memory_total_mb: Option<f64>,
    /// True if that is a limit of theirs.
    memory_limited: bool,
    /// Until their own server stops for being idle or old; null: it does not, or does not run.
    time_remaining_seconds: Option<u64>,
    /// After how long without use it stops; null: never, or it does not run.
    timeout_seconds: Option<u64>,
    /// Since when their own server runs.
    #[schema(required, format = DateTime)]
    server_started: Option<String>,
    /// Always null: images are not compared here.
    lab_image_upgrade_available: Option<bool>,
    /// 0 to 100; null without samples.
    activity_score: Option<u8>,
    /// Active hours a day, the later days more.
    activity_hours: Option<f64>,
    /// In how many ten minutes of the last week anybody looked.
    sample_count: u32,
    /// When they were last seen.
    #[schema(required, format = DateTime)]
    last_activity: Option<String>,
    /// Their volumes together, in MiB.
    volume_size_mb: Option<f64>,
    /// Each by its suffix, in MiB.
    volume_breakdown: Option<BTreeMap<String, f64>>,
    /// What their servers have written beside their volumes, in MiB.
    container_size_rw_mb: Option<f64>,
    /// That and their images, in MiB.
    container_size_rootfs_mb: Option<f64>,
}

/// What a look has found.
#[derive(Serialize, ToSchema)]
#[schema(as = ActivityLook, example = json!({
    "users": 40, "active": 17, "timestamp": "2026-11-22T02:07:07.732000Z"
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct LookModel {
    /// How many accounts were looked at.
    users: usize,
    /// How many of them are active.
    active: usize,
    /// When.
    timestamp: String,
}

/// What was forgotten.
#[derive(Serialize, ToSchema)]
#[schema(as = ActivityReset, example = json!({ "users": 40 }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ResetModel {
    /// Of how many people something was known.
    users: usize,
}

/// Somebody of whom something is known, as the list orders them.
struct Person {
    user: std::sync::Arc<User>,
    using: Using,
    seen_at: Option<Timestamp>,
    is_recent: bool,
}

/// `GET /hub/api/activity`
#[utoipa::path(
    get, path = "/activity", operation_id = "get_activity", tag = "Activity",
    summary = "What people use, and how much they work here",
    description = "Processors, memory, volumes and activity of everybody of whom anything is known, as looked at in the background: active people first, then by score. What is not known is null.",
    params(PageQuery),
    security(("token" = ["admin:users"])),
    responses(
        (status = 200, description = "A page of people.", body = PeopleActivityModel),
        (status = 400, description = "`offset` or `limit` is no number.", body = super::model::error::ErrorModel),
    ),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    page: Page,
) -> Result<Json<PeopleActivityModel>, HubError> {
    scopes::require(&caller, &["admin:users"], Target::All)?;
    Ok(Json(PeopleActivityModel::of(&state, &page)))
}

/// `POST /hub/api/activity/sample`
#[utoipa::path(
    post, path = "/activity/sample", operation_id = "sample_activity", tag = "Activity",
    summary = "Look at everybody's activity now",
    description = "What is done every ten minutes anyway: whoever is active now is active in the present ten minutes.",
    security(("token" = ["admin:users"])),
    responses((status = 200, description = "What was found.", body = LookModel)),
)]
pub(in crate::hub) async fn sample(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Json<LookModel>, HubError> {
    scopes::require(&caller, &["admin:users"], Target::All)?;
    let looked = state.look_at_activity().await?;
    Ok(Json(LookModel { users: looked.users, active: looked.active, timestamp: looked.at.to_string() }))
}

/// `POST /hub/api/activity/reset`
#[utoipa::path(
    post, path = "/activity/reset", operation_id = "reset_activity", tag = "Activity",
    summary = "Forget everybody's activity",
    description = "All that is known of when anybody was active in the last week is deleted, and nobody has a score until the next look. Nothing else changes: neither when people were last seen, nor any server or volume. The audit log says who did it.",
    security(("token" = ["admin:users"])),
    responses((status = 200, description = "It is forgotten.", body = ResetModel)),
)]
pub(in crate::hub) async fn reset(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
) -> Result<Json<ResetModel>, HubError> {
    scopes::require(&caller, &["admin:users"], Target::All)?;
    Ok(Json(ResetModel { users: state.forget_activity(&by).await? }))
}

impl PeopleActivityModel {
    fn of(state: &HubState, page: &Page) -> Self {
        let config = &state.config.activity;
        let people = people(state);
        let total = people.len();
        let facts = (state.host_facts)();
        let cores = facts.as_ref().and_then(|facts| facts.cores);
        let memory = facts.and_then(|facts| facts.memory).map(|memory| memory.total_bytes);
        let gpus = state.gpus.overview();
        let capabilities =
            [("cpu", cores.is_some()), ("mem", memory.is_some()), ("gpu", gpus.sight.inventory().is_some())];
        let threshold = |bytes: u64| (bytes > 0).then(|| mib(bytes));
        Self {
            users: page.cut(people).map(|person| PersonActivityModel::of(state, &person, cores, memory)).collect(),
            pagination: page.pagination(total),
            container_max_extra_space_mb: threshold(config.warn_layer_bytes),
            volume_max_total_size_mb: threshold(config.warn_volumes_bytes),
            memory_max_usage_mb: memory.and_then(|bytes| threshold(bytes / 100 * config.warn_memory_percent)),
            memory_host_total_mb: memory.map(mib),
            cpu_host_total: cores,
            activity_target_hours: config.target.as_secs_f64() / 3_600.0,
            host_capabilities: capabilities.iter().filter(|(_, is_known)| *is_known).map(|(word, _)| *word).collect(),
            gpus: gpus.sight.inventory().map(|inventory| inventory.gpus.len()),
            gpu_connected: gpus.is_fresh,
            lab_image: state.spawner.image(),
            lab_volumes: None,
            system_volumes: None,
            timestamp: state.clock.now().to_string(),
            sampling_status: SamplingModel {
                interval_seconds: SLOT_MS / 1_000,
                retention_days: SLOTS / SLOTS_PER_DAY,
                last_sample: state.activity.last_look().map(|at| at.to_string()),
            },
            inactive_after_seconds: config.inactive_after.as_secs(),
        }
    }
}

/// Those of whom anything is known, in order.
fn people(state: &HubState) -> Vec<Person> {
    let now = state.clock.now();
    let (mut using, scores) = (state.using_of_everybody(), state.activity.scores());
    let used = state.servers_used_at();
    let person = |user: std::sync::Arc<User>| {
        let activity =
            scores.get(&user.name).filter(|(created, _)| *created == user.created()).map(|(_, score)| *score);
        let using = Using { activity, ..using.remove(&user.name).unwrap_or_default() };
        let own_server = state.spawner.last_activity(&ServerKey::default_of(user.name.clone()));
        let seen_at = user.last_activity().max(own_server);
        let is_known = using != Using::default() || seen_at.is_some();
        let is_recent = is_active(last_seen(&user, &used), now, state.config.activity.inactive_after);
        is_known.then_some(Person { user, using, seen_at, is_recent })
    };
    let mut people: Vec<_> = state.auth.everybody().into_iter().filter_map(person).collect();
    people.sort_unstable_by(|a, b| {
        let key = |person: &Person| {
            (Reverse(person.is_recent), Reverse(person.using.activity.map(|activity| activity.score)))
        };
        key(a).cmp(&key(b)).then_with(|| a.user.name.cmp(&b.user.name))
    });
    people
}

impl PersonActivityModel {
    fn of(state: &HubState, person: &Person, cores: Option<usize>, host_memory: Option<u64>) -> Self {
        let Person { user, using, seen_at, is_recent } = person;
        let servers = state.spawner.servers_of(&user.name);
        let is_ready = |state: &ServerState| *state == ServerState::Ready;
        let own_started = servers.first().filter(|(_, status)| is_ready(&status.state));
        let own_started = own_started.and_then(|(_, status)| status.started_at);
        let idle = state.spawner.idle_view(&ServerKey::default_of(user.name.clone()));
        let sizes = state.spawner.volume_sizes_of(&user.name);
        let memory_total = using.memory_bytes.and(using.memory_limit.or(host_memory));
        Self {
            username: user.name.to_string(),
            is_authorized: user.is_authorised(),
            server_active: servers.iter().any(|(_, status)| is_ready(&status.state)),
            recently_active: *is_recent,
            cpu_percent: using.cpu_cores.map(|cores| tenths(cores * 100.0)),
            cpu_cores: using.cpu_limit.or_else(|| cores.map(|cores| cores as f64)),
            cpu_cores_limited: using.cpu_limit.is_some(),
            memory_mb: using.memory_bytes.map(mib),
            memory_percent: using
                .memory_bytes
                .zip(memory_total.filter(|total| *total > 0))
                .map(|(used, total)| tenths(used as f64 / total as f64 * 100.0)),
            memory_total_mb: memory_total.map(mib),
            memory_limited: using.memory_limit.is_some(),
            time_remaining_seconds: idle.as_ref().and_then(|idle| idle.remaining).map(|left| left.as_secs()),
            timeout_seconds: idle.and_then(|idle| idle.base).map(|base| base.as_secs()),
            server_started: own_started.map(|at| at.to_string()),
            lab_image_upgrade_available: None,
            activity_score: using.activity.map(|activity| activity.score),
            activity_hours: using.activity.map(|activity| tenths(activity.hours_per_day)),
            sample_count: using.activity.map_or(0, |activity| activity.samples),
            last_activity: seen_at.map(|at| at.to_string()),
            volume_size_mb: using.volume_bytes.map(mib),
            volume_breakdown: sizes
                .map(|sizes| sizes.parts.into_iter().map(|(suffix, bytes)| (suffix, mib(bytes))).collect()),
            container_size_rw_mb: using.layer_bytes.map(mib),
            container_size_rootfs_mb: using.whole_bytes.map(mib),
        }
    }
}

/// In MiB, to a tenth.
fn mib(bytes: u64) -> f64 {
    tenths(bytes as f64 / MIB)
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
