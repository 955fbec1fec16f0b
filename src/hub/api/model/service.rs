//! A service as JupyterHub's API writes it (contract §2.1): each scope shows fields of its own.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::auth::{Rights, Service, Target};
use crate::hub::HubState;

/// A service with the fields that the caller may see.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Service, example = json!({
    "kind": "service", "name": "report", "admin": false, "roles": [], "url": "http://127.0.0.1:10101",
    "prefix": "/services/report/", "command": [], "pid": 0, "info": {}, "display": true
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ServiceModel {
    kind: ServiceWord,
    /// Unique among services.
    name: String,
    /// Whether it has the role `admin`.
    admin: bool,
    /// Its roles; with `read:roles:services`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    roles: Option<Vec<String>>,
    /// Where it listens, empty for one that only calls us; with `read:services`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    url: Option<String>,
    /// Where people find it under this host, empty for one that only calls us; with `read:services`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prefix: Option<String>,
    /// What is run for it, empty for a service that runs elsewhere; with `read:services`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    command: Option<Vec<String>>,
    /// The number of its process, 0 if there is none; with `read:services`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pid: Option<u32>,
    /// For people and programs; with `read:services`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    info: Option<Map<String, Value>>,
    /// Whether pages name it; with `read:services`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    display: Option<bool>,
}

/// The kind of a service's model.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::hub) enum ServiceWord {
    /// The only one.
    Service,
}

impl ServiceModel {
    /// `service` with the fields that somebody with these rights may see.
    pub(in crate::hub) fn of(state: &HubState, rights: &Rights, service: &Service) -> Self {
        let may = |scope: &str| rights.allows(scope, Target::Service(&service.name));
        let roles = || state.auth.roles_of_service(&service.name).iter().map(ToString::to_string).collect();
        let prefix = || service.url.as_ref().map(|_| service.name.prefix(&state.config.base)).unwrap_or_default();
        let reads = may("read:services");
        Self {
            kind: ServiceWord::Service,
            name: service.name.to_string(),
            admin: service.admin,
            roles: may("read:roles:services").then(roles),
            url: reads.then(|| service.url.clone().unwrap_or_default()),
            prefix: reads.then(prefix),
            command: reads.then(|| service.command.clone()),
            pid: reads.then(|| state.services.pid(&service.name).unwrap_or(0)),
            info: reads.then(|| service.info.clone()),
            display: reads.then_some(service.display),
        }
    }
}
