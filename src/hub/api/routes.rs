//! `GET /routes`: the routes beyond users, and what is wrong with them. (`GET /proxy` is JupyterHub's, and tells of
//! users' servers.)

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::scopes;
use crate::auth::Target;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::routers::view::{BalancerView, EntryPointView, MiddlewareView, ProblemView, RouterView, SourceView, View};

/// Routes of containers' labels and of the file of routes.
#[derive(Serialize, ToSchema)]
#[schema(as = Routes)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct RoutesModel {
    entry_points: Vec<RouteEntryPointModel>,
    sources: Vec<RouteSourceModel>,
    routers: Vec<RouterModel>,
    balancers: Vec<RouteBalancerModel>,
    middlewares: Vec<RouteMiddlewareModel>,
    /// What is not in force, because something is wrong with it.
    problems: Vec<RouteProblemModel>,
}

/// Where requests come in.
#[derive(Serialize, ToSchema)]
#[schema(as = RouteEntryPoint)]
#[serde(deny_unknown_fields)]
struct RouteEntryPointModel {
    /// `web` or `websecure`.
    name: String,
    addresses: Vec<String>,
    routers: usize,
}

/// Where routers are said.
#[derive(Serialize, ToSchema)]
#[schema(as = RouteSource)]
#[serde(deny_unknown_fields)]
struct RouteSourceModel {
    /// `docker` or `file`.
    provider: String,
    /// An engine's address, or a file.
    what: String,
    state: String,
    is_well: bool,
}

/// One router.
#[derive(Serialize, ToSchema)]
#[schema(as = Router)]
#[serde(deny_unknown_fields)]
struct RouterModel {
    /// With its provider: `web@docker`.
    name: String,
    rule: String,
    priority: i64,
    entry_points: Vec<String>,
    /// `public`, `user`, `admin` or `group:NAME`.
    access: String,
    middlewares: Vec<String>,
    /// Empty: a middleware answers.
    balancer: String,
    /// Where it was said.
    place: String,
    /// Its container starts on request.
    lazy: bool,
    /// `up`, `asleep`, `starting`, `failed` or `down`.
    health: String,
}

/// One balancer; Traefik calls it a service.
#[derive(Serialize, ToSchema)]
#[schema(as = RouteBalancer)]
#[serde(deny_unknown_fields)]
struct RouteBalancerModel {
    name: String,
    targets: Vec<RouteTargetModel>,
    sticky: bool,
    /// What is asked for its health.
    health_check: Option<String>,
}

/// Where requests go.
#[derive(Serialize, ToSchema)]
#[schema(as = RouteTarget)]
#[serde(deny_unknown_fields)]
struct RouteTargetModel {
    address: String,
    weight: u32,
    up: bool,
}

/// One middleware.
#[derive(Serialize, ToSchema)]
#[schema(as = RouteMiddleware)]
#[serde(deny_unknown_fields)]
struct RouteMiddlewareModel {
    name: String,
    kind: String,
    /// How many routers use it.
    routers: usize,
}

/// Something that is wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = RouteProblem)]
#[serde(deny_unknown_fields)]
struct RouteProblemModel {
    /// A container and its label, or a file and its line.
    place: String,
    /// What is wrong, and the cure.
    text: String,
}

/// `GET /hub/api/routes`
#[utoipa::path(
    get, path = "/routes", operation_id = "get_router_table", tag = "Hub",
    summary = "Routes beyond users",
    description = "What containers' labels and the file of routes say, how it is with it, and what of it is wrong.",
    security(("token" = ["proxy"])),
    responses((status = 200, description = "What is in force.", body = RoutesModel)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Json<RoutesModel>, HubError> {
    scopes::require(&caller, &["proxy"], Target::All)?;
    Ok(Json(RoutesModel::of((state.routes_view)())))
}

impl RoutesModel {
    fn of(view: View) -> Self {
        let View { entry_points, sources, routers, balancers, middlewares, problems } = view;
        let entry_point = |one: EntryPointView| RouteEntryPointModel {
            name: one.name.to_owned(),
            addresses: one.addresses,
            routers: one.routers,
        };
        let source = |one: SourceView| RouteSourceModel {
            provider: one.provider.to_owned(),
            what: one.what,
            state: one.state,
            is_well: one.is_well,
        };
        let middleware =
            |one: MiddlewareView| RouteMiddlewareModel { name: one.name, kind: one.kind, routers: one.routers };
        let problem = |one: ProblemView| RouteProblemModel { place: one.place, text: one.text };
        Self {
            entry_points: entry_points.into_iter().map(entry_point).collect(),
            sources: sources.into_iter().map(source).collect(),
            routers: routers.into_iter().map(RouterModel::of).collect(),
            balancers: balancers.into_iter().map(RouteBalancerModel::of).collect(),
            middlewares: middlewares.into_iter().map(middleware).collect(),
            problems: problems.into_iter().map(problem).collect(),
        }
    }
}

impl RouterModel {
    fn of(router: RouterView) -> Self {
        Self {
            name: router.name,
            rule: router.rule,
            priority: router.priority,
            entry_points: router.entry_points.into_iter().map(str::to_owned).collect(),
            access: router.access,
            middlewares: router.middlewares,
            balancer: router.balancer,
            place: router.place,
            lazy: router.is_lazy,
            health: router.health.as_str().to_owned(),
        }
    }
}

impl RouteBalancerModel {
    fn of(balancer: BalancerView) -> Self {
        let targets = balancer.targets.into_iter();
        let targets = targets.map(|one| RouteTargetModel { address: one.address, weight: one.weight, up: one.is_up });
        Self {
            name: balancer.name,
            targets: targets.collect(),
            sticky: balancer.is_sticky,
            health_check: balancer.health_check,
        }
    }
}
