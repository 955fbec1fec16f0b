//! The network of all servers: made when missing, without traffic from server to server unless Slipway is a container
//! on it, too: the engine knows only all of it or none.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{NetworkCreateRequest, NetworkInspect};
use bollard::query_parameters::InspectNetworkOptions;

use super::engine::{Engine, NAME};
use super::labels;
use crate::model::InstanceId;
use crate::spawner::backend::BackendError;

/// Networks that engines bring along; they are used as they are.
const BUILT_IN: [&str; 3] = ["bridge", "host", "none"];
/// Whether containers on a bridge reach one another.
const ICC: &str = "com.docker.network.bridge.enable_icc";

/// Makes the network if there is none of that name; gives its gateway's address, which is this host's on it.
/// `we_are_on_it`: Slipway is a container on it, too, which servers could not reach without traffic between containers.
pub(super) async fn ensure(
    engine: &Engine,
    name: &str,
    instance: &InstanceId,
    we_are_on_it: bool,
) -> Result<Option<IpAddr>, BackendError> {
    if let Some(network) = inspect(engine, name).await? {
        if we_are_on_it && is_silent(&network) {
            return Err(BackendError::Settings(format!(
                "the network {name} lets no traffic between containers through ({ICC}=false), so servers could not reach \
                 Slipway, which is a container itself: make it anew without that option, or name another in \
                 spawner.docker.network"
            )));
        }
        return Ok(gateway_of(&network));
    }
    if !BUILT_IN.contains(&name) {
        create(engine, name, instance, we_are_on_it).await?;
    }
    Ok(inspect(engine, name).await?.as_ref().and_then(gateway_of))
}

async fn inspect(engine: &Engine, name: &str) -> Result<Option<NetworkInspect>, BackendError> {
    let look = engine.docker.inspect_network(name, None::<InspectNetworkOptions>);
    engine.look("look for the network", look).await
}

fn is_silent(network: &NetworkInspect) -> bool {
    network.options.as_ref().and_then(|options| options.get(ICC)).is_some_and(|value| value == "false")
}

async fn create(engine: &Engine, name: &str, instance: &InstanceId, we_are_on_it: bool) -> Result<(), BackendError> {
    let request = NetworkCreateRequest {
        name: name.into(),
        driver: Some("bridge".into()),
        options: Some(HashMap::from([(ICC.into(), we_are_on_it.to_string())])),
        labels: Some(HashMap::from([(labels::INSTANCE.into(), instance.to_string())])),
        ..Default::default()
    };
    match engine.call("make the network", engine.docker.create_network(request)).await {
        Ok(_) => Ok(()),
        // Somebody else was quicker.
        Err(BackendError::Refused { reason, .. }) if reason.contains("already exists") => Ok(()),
        Err(BackendError::Refused { act, reason, .. }) => {
            Err(BackendError::Refused { engine: NAME, act, reason: format!("{name}: {reason}") })
        }
        Err(error) => Err(error),
    }
}

fn gateway_of(network: &NetworkInspect) -> Option<IpAddr> {
    let configs = network.ipam.as_ref()?.config.as_ref()?;
    configs.iter().find_map(|config| config.gateway.as_ref()?.parse().ok())
}
