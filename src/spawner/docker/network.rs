//! The network of all servers: made when missing, without traffic from server to server.

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

/// Makes the network if there is none of that name; gives its gateway's address, which is this host's on it.
pub(super) async fn ensure(engine: &Engine, name: &str, instance: &InstanceId) -> Result<Option<IpAddr>, BackendError> {
    if let Some(network) = inspect(engine, name).await? {
        return Ok(gateway_of(&network));
    }
    if !BUILT_IN.contains(&name) {
        create(engine, name, instance).await?;
    }
    Ok(inspect(engine, name).await?.as_ref().and_then(gateway_of))
}

async fn inspect(engine: &Engine, name: &str) -> Result<Option<NetworkInspect>, BackendError> {
    let look = engine.docker.inspect_network(name, None::<InspectNetworkOptions>);
    engine.look("look for the network", look).await
}

async fn create(engine: &Engine, name: &str, instance: &InstanceId) -> Result<(), BackendError> {
    let request = NetworkCreateRequest {
        name: name.into(),
        driver: Some("bridge".into()),
        options: Some(HashMap::from([("com.docker.network.bridge.enable_icc".into(), "false".into())])),
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
