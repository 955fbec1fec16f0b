//! `GET /gpus`: which graphics processors there are, who has which, and who waits.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::scopes;
use crate::auth::Target;
use crate::gpu::{EngineGives, Gpu, GpuProcess, Lease, Overview, Sight};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::model::ServerKey;

/// Graphics processors of this host. What is not known is null.
#[derive(Serialize, ToSchema)]
#[schema(as = Gpus)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct GpusModel {
    /// The setting: `off`, `on` or `detect`.
    enable: &'static str,
    /// What came of looking: `nothing` (nobody has looked yet), `no-library`, `failed` or `seen`.
    state: &'static str,
    /// Why the driver does not say.
    reason: Option<String>,
    /// When it last said.
    as_of: Option<String>,
    /// False: that is too long ago, and no server gets any.
    is_fresh: bool,
    /// What the container engine can give: `nothing`, `all` (or none) or `each`; null: it has not said.
    engine_gives: Option<&'static str>,
    /// In order of index.
    gpus: Vec<GpuModel>,
    /// Servers that have some.
    leases: Vec<GpuLeaseModel>,
    /// Servers that wait for one of their own, first come first.
    queue: Vec<GpuWaitModel>,
}

/// One graphics processor.
#[derive(Serialize, ToSchema)]
#[schema(as = Gpu)]
#[serde(deny_unknown_fields)]
struct GpuModel {
    index: u32,
    name: Option<String>,
    uuid: Option<String>,
    memory_total_bytes: Option<u64>,
    memory_used_bytes: Option<u64>,
    utilisation_percent: Option<u32>,
    temperature_c: Option<u32>,
    /// It is cut into instances (MIG).
    is_partitioned: Option<bool>,
    processes: Option<Vec<GpuProcessModel>>,
}

/// A process that uses one.
#[derive(Serialize, ToSchema)]
#[schema(as = GpuProcess)]
#[serde(deny_unknown_fields)]
struct GpuProcessModel {
    pid: u32,
    name: Option<String>,
    memory_bytes: Option<u64>,
}

/// What a server has.
#[derive(Serialize, ToSchema)]
#[schema(as = GpuLease)]
#[serde(deny_unknown_fields)]
struct GpuLeaseModel {
    user: String,
    /// Empty for the default server.
    server: String,
    /// By UUID.
    gpus: Vec<String>,
    /// It has all of them, given when nobody could say which there are.
    all: bool,
    /// Nobody else has them.
    exclusive: bool,
}

/// A server that waits.
#[derive(Serialize, ToSchema)]
#[schema(as = GpuWait)]
#[serde(deny_unknown_fields)]
struct GpuWaitModel {
    /// From 1.
    place: usize,
    user: String,
    /// Empty for the default server.
    server: String,
}

/// `GET /hub/api/gpus`
#[utoipa::path(
    get, path = "/gpus", operation_id = "get_gpus", tag = "Hub",
    summary = "Graphics processors",
    description = "Which there are as the driver last said, which servers have which, and who waits for one of their own.",
    security(("token" = ["admin:servers"])),
    responses((status = 200, description = "What is known.", body = GpusModel)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Json<GpusModel>, HubError> {
    // It names everybody's servers, and what runs on the host.
    scopes::require(&caller, &["admin:servers"], Target::All)?;
    Ok(Json(GpusModel::of(state.gpus.overview())))
}

impl GpusModel {
    fn of(overview: Overview) -> Self {
        let Overview { enable, sight, is_fresh, engine_gives, leases, queue } = overview;
        let inventory = sight.inventory();
        Self {
            enable: enable.word(),
            state: match &sight {
                Sight::Nothing => "nothing",
                Sight::NoLibrary { .. } => "no-library",
                Sight::Failed { .. } => "failed",
                Sight::Seen(_) => "seen",
            },
            reason: match &sight {
                Sight::NoLibrary { reason } | Sight::Failed { reason, .. } => Some(reason.clone()),
                Sight::Nothing | Sight::Seen(_) => None,
            },
            as_of: inventory.map(|inventory| inventory.at.to_string()),
            is_fresh,
            engine_gives: engine_gives.map(|gives| match gives {
                EngineGives::Nothing => "nothing",
                EngineGives::AllOrNothing => "all",
                EngineGives::Each => "each",
            }),
            gpus: inventory.into_iter().flat_map(|inventory| &inventory.gpus).map(GpuModel::of).collect(),
            leases: leases.into_iter().map(GpuLeaseModel::of).collect(),
            queue: queue.into_iter().enumerate().map(|(number, server)| GpuWaitModel::of(number + 1, server)).collect(),
        }
    }
}

impl GpuModel {
    fn of(gpu: &Gpu) -> Self {
        let process = |GpuProcess { pid, name, memory_bytes }| GpuProcessModel { pid, name, memory_bytes };
        let Gpu { name, uuid, processes, .. } = gpu.clone();
        Self {
            index: gpu.index,
            name,
            uuid,
            memory_total_bytes: gpu.memory_total_bytes,
            memory_used_bytes: gpu.memory_used_bytes,
            utilisation_percent: gpu.utilisation_percent,
            temperature_c: gpu.temperature_c,
            is_partitioned: gpu.is_partitioned,
            processes: processes.map(|all| all.into_iter().map(process).collect()),
        }
    }
}

impl GpuLeaseModel {
    fn of(lease: Lease) -> Self {
        let Lease { server: ServerKey { user, name }, held } = lease;
        Self {
            user: user.to_string(),
            server: name.as_str().to_owned(),
            gpus: held.uuids,
            all: held.is_unseen,
            exclusive: held.is_exclusive,
        }
    }
}

impl GpuWaitModel {
    fn of(place: usize, server: ServerKey) -> Self {
        Self { place, user: server.user.to_string(), server: server.name.as_str().to_owned() }
    }
}
