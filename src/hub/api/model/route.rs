//! A route of the proxy as JupyterHub's API writes it (contract §2.2, `GET /proxy`).

use serde::Serialize;
use utoipa::ToSchema;

use crate::hub::HubState;
use crate::model::{Route, RouteTarget, Timestamp};

/// A prefix, and where it leads.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ProxyRoute, example = json!({
    "routespec": "/user/alice/", "target": "http://172.18.0.5:8888",
    "data": { "jupyterhub": true, "user": "alice", "server_name": "", "last_activity": "2026-11-22T02:07:07.732000Z" }
}))]
pub(in crate::hub) struct RouteModel {
    /// The prefix, percent-encoded.
    pub(in crate::hub) routespec: String,
    /// Scheme, address and port.
    target: String,
    /// Whose it is.
    data: RouteData,
}

/// Whose a route is.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct RouteData {
    /// Always true: no other routes are kept.
    jupyterhub: bool,
    /// True for the hub itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hub: Option<bool>,
    /// The owner of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<String>,
    /// The name of the server; empty for the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    server_name: Option<String>,
    /// The name of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    service: Option<String>,
    /// When traffic of a person last passed.
    #[schema(format = DateTime)]
    last_activity: String,
}

impl RouteModel {
    /// The model of a published route.
    pub(in crate::hub) fn of(state: &HubState, route: &Route) -> Self {
        let nobodys = RouteData::at(route.last_activity());
        let data = match &route.target {
            RouteTarget::Server(server) => RouteData {
                user: Some(server.user.to_string()),
                server_name: Some(server.name.as_str().to_owned()),
                ..nobodys
            },
            RouteTarget::Service(service) => RouteData { service: Some(service.to_string()), ..nobodys },
        };
        Self {
            routespec: route.prefix(&state.config.base).to_owned(),
            target: format!("http://{}", route.upstream.address),
            data,
        }
    }

    /// What is not routed elsewhere comes to the hub.
    pub(in crate::hub) fn of_hub(state: &HubState) -> Self {
        let data = RouteData { hub: Some(true), ..RouteData::at(state.clock.now()) };
        Self { routespec: state.config.base.to_string(), target: state.program.hub_url.clone(), data }
    }
}

impl RouteData {
    fn at(last_activity: Timestamp) -> Self {
        let last_activity = last_activity.to_iso();
        Self { jupyterhub: true, hub: None, user: None, server_name: None, service: None, last_activity }
    }
}
