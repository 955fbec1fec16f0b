//! `/services`, `/services/{s}`: programs beside the hub. Those of the configuration cannot be changed here.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::body::{json_body, present, short};
use super::model::error::ErrorModel;
use super::model::service::ServiceModel;
use super::scopes;
use crate::auth::{Target, may_administer};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::model::{Scope, Secret, ServiceConfig, ServiceName};
use crate::services::ServiceSpec;

/// Any of these shows a service, each with fields of its own.
const READ_SERVICE: [&str; 3] = ["read:services", "read:services:name", "read:roles:services"];

/// The service that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "it describes the path; handlers read its part themselves")]
pub(super) struct ServicePath {
    /// A service's name, percent-encoded.
    #[param(min_length = 1, max_length = 64, example = "report")]
    service: String,
}

/// A service to be.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = NewService, example = json!({ "url": "http://127.0.0.1:10101", "info": { "text": "Reports" } }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct NewService {
    /// As in the path.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// Where it listens; without one it only calls us.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    url: Option<String>,
    /// The token that it will call us with.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 8, max_length = 64)]
    api_token: Option<String>,
    /// For people and programs.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    info: Option<Map<String, Value>>,
    /// Whether pages name it.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    display: Option<bool>,
    /// Whether it has the role `admin`.
    #[serde(default)]
    admin: bool,
    /// Begins with `service-`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    oauth_client_id: Option<String>,
    /// Where browsers come back to.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    oauth_redirect_uri: Option<String>,
    /// Whether people are signed in there without being asked.
    #[serde(default)]
    oauth_no_confirm: bool,
    /// What its visitors' tokens may hold beside access to it.
    #[serde(default)]
    oauth_client_allowed_scopes: Vec<String>,
    /// Refused: what runs is for the configuration to say.
    #[serde(default)]
    #[schema(max_items = 0)]
    command: Vec<String>,
}

/// `GET /hub/api/services`
#[utoipa::path(
    get, path = "/services", operation_id = "list_services", tag = "Services",
    summary = "List services", description = "Those whom the caller may list, by name.",
    security(("token" = ["list:services"])),
    responses((status = 200, description = "Services by name.", body = BTreeMap<String, ServiceModel>)),
)]
pub(in crate::hub) async fn list(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Json<BTreeMap<String, ServiceModel>>, HubError> {
    let rights = scopes::require(&caller, &["list:services"], Target::Some)?;
    let mut services = state.auth.services();
    services.retain(|service| rights.allows("list:services", Target::Service(&service.name)));
    let models = services.iter().map(|service| (service.name.to_string(), ServiceModel::of(&state, &rights, service)));
    Ok(Json(models.collect()))
}

/// `GET /hub/api/services/{s}`
#[utoipa::path(
    get, path = "/services/{service}", operation_id = "get_service", tag = "Services",
    summary = "Look at a service", description = "Each scope shows fields of its own.",
    params(ServicePath),
    security(("token" = ["read:services"]), ("token" = ["read:services:name"]), ("token" = ["read:roles:services"])),
    responses((status = 200, description = "The service.", body = ServiceModel)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<ServiceModel>, HubError> {
    let parsed = ServiceName::parse(&name).ok();
    let rights = scopes::require(&caller, &READ_SERVICE, target_of(parsed.as_ref()))?;
    let service = parsed.and_then(|name| state.auth.service(&name));
    let service = service.ok_or_else(|| HubError::not_found(format!("No such service: {}", short(&name))))?;
    Ok(Json(ServiceModel::of(&state, &rights, &service)))
}

/// `POST /hub/api/services/{s}` → 201
#[utoipa::path(
    post, path = "/services/{service}", operation_id = "create_service", tag = "Services",
    summary = "Make a service", description = "It runs elsewhere: what we run is for the configuration to say.",
    params(ServicePath),
    security(("token" = ["admin:services"])),
    request_body = NewService,
    responses(
        (status = 201, description = "The new service.", body = ServiceModel),
        (status = 409, description = "It exists.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn create(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<ServiceModel>), HubError> {
    let parsed = ServiceName::parse(&name);
    let rights = scopes::require(&caller, &["admin:services"], target_of(parsed.as_ref().ok()))?;
    let parsed = parsed.map_err(|error| HubError::bad(format!("Invalid service name: {error}")))?;
    if state.auth.service(&parsed).is_some() {
        return Err(HubError::conflict(format!("Service {parsed} already exists")));
    }
    let wanted = json_body::<NewService>(&body)?.ok_or_else(|| HubError::bad("Invalid service data"))?;
    if !wanted.command.is_empty() {
        return Err(HubError::bad(format!("Can not create managed service {parsed} at runtime")));
    }
    if wanted.admin && !may_administer(&caller) {
        // Who makes an administrator must be one, and not by a token that was given less.
        return Err(HubError::forbidden("Only an administrator may make a service with admin rights"));
    }
    let config = config_of(parsed, wanted)?;
    // Before anything is kept: an address that we could not reach would be a service without its pages.
    let spec = ServiceSpec::of(&config).map_err(|error| HubError::bad(error.to_string()))?;
    let service = state.auth.create_service(&by, config).await?;
    state.services.add(spec);
    Ok((StatusCode::CREATED, Json(ServiceModel::of(&state, &rights, &service))))
}

/// `DELETE /hub/api/services/{s}` → 200
#[utoipa::path(
    delete, path = "/services/{service}", operation_id = "delete_service", tag = "Services",
    summary = "Delete a service", description = "Its tokens, and those of its visitors, end at once.",
    params(ServicePath),
    security(("token" = ["admin:services"])),
    responses(
        (status = 200, description = "It is gone."),
        (status = 405, description = "It stands in the configuration.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn delete(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<StatusCode, HubError> {
    let parsed = ServiceName::parse(&name).ok();
    scopes::require(&caller, &["admin:services"], target_of(parsed.as_ref()))?;
    let service = parsed.and_then(|name| state.auth.service(&name));
    let service = service.ok_or_else(|| HubError::not_found(format!("Service {} does not exist", short(&name))))?;
    if service.from_config {
        let message = format!("Service {} is not modifiable at runtime", service.name);
        return Err(HubError::Answer { status: StatusCode::METHOD_NOT_ALLOWED, message });
    }
    state.auth.delete_service(&by, &service.name).await?;
    state.services.remove(&service.name);
    Ok(StatusCode::OK)
}

fn target_of(name: Option<&ServiceName>) -> Target<'_> {
    name.map_or(Target::All, Target::Service)
}

fn config_of(name: ServiceName, wanted: NewService) -> Result<ServiceConfig, HubError> {
    if wanted.name.as_ref().is_some_and(|other| other != name.as_str()) {
        return Err(HubError::bad("The name in the body is not the one in the path"));
    }
    let scopes = wanted.oauth_client_allowed_scopes.iter().map(|text| text.parse::<Scope>());
    let scopes = scopes.collect::<Result<_, _>>().map_err(|error| HubError::bad(error.to_string()))?;
    let plain = ServiceConfig::named(name);
    Ok(ServiceConfig {
        url: wanted.url.filter(|url| !url.is_empty()),
        api_token: wanted.api_token.map(Secret::new),
        info: wanted.info.unwrap_or_default(),
        display: wanted.display.unwrap_or(plain.display),
        admin: wanted.admin,
        oauth_client_id: wanted.oauth_client_id,
        oauth_redirect_uri: wanted.oauth_redirect_uri,
        oauth_no_confirm: wanted.oauth_no_confirm,
        oauth_client_allowed_scopes: scopes,
        ..plain
    })
}
