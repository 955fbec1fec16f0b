//! Our own container, when Slipway itself runs in one of the engine's: which networks it is on, and by which name its
//! neighbours find it, also after it has been replaced by a newer one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bollard::models::{ContainerInspectResponse, EndpointSettings, NetworkConnectRequest, NetworkInspect};
use bollard::query_parameters::{InspectContainerOptions, InspectNetworkOptions};
use tracing::{info, warn};

use super::engine::Engine;
use crate::host;
use crate::spawner::backend::BackendError;

/// In the place of a network's name: ours if we are in a container, else `USUAL`.
pub(super) const AUTO: &str = "auto";
/// The servers' network where nothing says another.
pub(super) const USUAL: &str = "slipway";
/// The name that we take on a network which we join by ourselves.
const ALIAS: &str = "slipway";
/// Labels by which a network says that it is the servers': ours, and that of the platform before.
const ROLES: [(&str, &str); 2] = [("slipway.network", "servers"), ("hub.network.role", "lab")];
/// The service that Compose made the container for: it is an alias of every container that ever is that service.
const COMPOSE_SERVICE: &str = "com.docker.compose.service";
/// Networks on which the engine resolves no names.
const NAMELESS: [&str; 3] = ["bridge", "host", "none"];

/// What the engine says of the container that we run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    id: String,
    name: String,
    service: Option<String>,
    networks: BTreeMap<String, Endpoint>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Endpoint {
    aliases: Vec<String>,
    ip: Option<IpAddr>,
}

/// Looks for the container that we run in. None if it is none of this engine's, or has the host's network.
pub(super) async fn find(engine: &Engine) -> Result<Option<Own>, BackendError> {
    let Some(id) = host::engine::own_container().await else { return Ok(None) };
    let look = engine.docker.inspect_container(&id, None::<InspectContainerOptions>);
    let there = engine.look("look for Slipway's own container", look).await?;
    Ok(there.and_then(Own::of))
}

impl Own {
    fn of(there: ContainerInspectResponse) -> Option<Self> {
        let labels = there.config.and_then(|config| config.labels).unwrap_or_default();
        let networks = there.network_settings?.networks?;
        if networks.contains_key("host") {
            return None;
        }
        let endpoint = |settings: EndpointSettings| {
            let ip = [settings.ip_address, settings.global_ipv6_address].into_iter().flatten();
            Endpoint {
                aliases: settings.aliases.unwrap_or_default(),
                ip: ip.into_iter().find_map(|text| text.parse().ok()),
            }
        };
        Some(Self {
            id: there.id?,
            name: there.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            service: labels.get(COMPOSE_SERVICE).cloned(),
            networks: networks.into_iter().map(|(name, settings)| (name, endpoint(settings))).collect(),
        })
    }

    /// How servers on `network` find us. A name that a newer container of ours will have, too: never its id, which
    /// would strand whoever was started before.
    fn name_on(&self, network: &str) -> Option<String> {
        let endpoint = self.networks.get(network)?;
        if NAMELESS.contains(&network) {
            return endpoint.ip.map(|ip| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() });
        }
        let is_lasting = |alias: &&String| !self.id.starts_with(alias.as_str()) && **alias != self.name;
        let lasting: Vec<&String> = endpoint.aliases.iter().filter(is_lasting).collect();
        let service = self.service.as_ref().filter(|service| lasting.contains(service));
        // Compose gives a container's name a number, which may be another one tomorrow; an alias is somebody's choice.
        Some(service.or(lasting.first().copied()).unwrap_or(&self.name).clone())
    }
}

/// Which network is the servers': the configured one, or with `auto` the one of ours that says so in a label, or the only
/// one that we are on. Several that could be meant are an error that names them.
pub(super) async fn network(engine: &Engine, configured: &str, own: Option<&Own>) -> Result<String, BackendError> {
    if configured != AUTO {
        return Ok(configured.to_owned());
    }
    let Some(own) = own else { return Ok(USUAL.to_owned()) };
    let mut ours = Vec::new();
    for name in own.networks.keys().filter(|name| !NAMELESS.contains(&name.as_str())) {
        let look = engine.docker.inspect_network(name, None::<InspectNetworkOptions>);
        ours.push((name.as_str(), engine.look("look at Slipway's own networks", look).await?));
    }
    let ours: Vec<_> = ours.iter().map(|(name, network)| (*name, network.as_ref().is_some_and(says_so))).collect();
    choose(&ours).map(str::to_owned).map_err(BackendError::Settings)
}

fn says_so(network: &NetworkInspect) -> bool {
    let labels = network.labels.as_ref();
    ROLES.iter().any(|(label, value)| labels.is_some_and(|labels| labels.get(*label).is_some_and(|said| said == value)))
}

/// Of our networks, each with whether its label says that it is the servers'.
fn choose<'a>(ours: &[(&'a str, bool)]) -> Result<&'a str, String> {
    let labelled: Vec<_> = ours.iter().filter(|(_, says_so)| *says_so).map(|(name, _)| *name).collect();
    let all: Vec<_> = ours.iter().map(|(name, _)| *name).collect();
    match (labelled.as_slice(), all.as_slice()) {
        ([one], _) | ([], [one]) => Ok(one),
        ([], []) => Ok(USUAL),
        ([], several) => Err(format!(
            "Slipway's container is on several networks ({}): name the servers' in spawner.docker.network, or give it \
             the label slipway.network=servers",
            several.join(", ")
        )),
        (several, _) => Err(format!(
            "several networks of Slipway's container say that they are the servers' ({}): name one of them in \
             spawner.docker.network",
            several.join(", ")
        )),
    }
}

/// The name by which servers on `network` find us, which we join if we are not on it yet.
pub(super) async fn join(engine: &Engine, own: &Own, network: &str) -> Result<Option<String>, BackendError> {
    if let Some(name) = own.name_on(network) {
        if NAMELESS.contains(&network) {
            warn!(
                network,
                "on this network containers have no names: servers lose Slipway when its container is replaced"
            );
        }
        return Ok(Some(name));
    }
    let endpoint = EndpointSettings { aliases: Some(vec![ALIAS.to_owned()]), ..Default::default() };
    let request = NetworkConnectRequest { container: own.id.clone(), endpoint_config: Some(endpoint) };
    let joined = engine.call("join the servers' network", engine.docker.connect_network(network, request)).await;
    match joined {
        Ok(()) => info!(network, name = ALIAS, "Slipway's container has joined the servers' network"),
        // A start of ours that ended half way was here before.
        Err(BackendError::Refused { reason, .. }) if reason.contains("already exists") => {}
        Err(error) => return Err(error),
    }
    Ok(Some(ALIAS.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01";

    fn own(service: Option<&str>, networks: &[(&str, &[&str])]) -> Own {
        let networks: serde_json::Map<_, _> = networks
            .iter()
            .map(|(name, aliases)| {
                ((*name).to_owned(), serde_json::json!({ "Aliases": aliases, "IPAddress": "172.20.0.2" }))
            })
            .collect();
        let labels = service.map(|service| serde_json::json!({ COMPOSE_SERVICE: service })).unwrap_or_default();
        let there = serde_json::json!({
            "Id": ID, "Name": "/stack_slipway_1", "Config": { "Labels": labels }, "NetworkSettings": { "Networks": networks },
        });
        Own::of(serde_json::from_value(there).expect("as the engine writes it"))
            .expect("a container of its own network")
    }

    /// platform.md §26, trap 14: an id stranded the servers, a hard-coded name crashed the start.
    #[test]
    fn servers_are_told_a_name_that_the_next_container_has_too() {
        let short = &ID[..12];
        let check = |own: Own, network: &str, expected: Option<&str>| {
            assert_eq!(own.name_on(network).as_deref(), expected, "{own:?}");
        };
        check(own(Some("slipway"), &[("lab", &[short, "jupyterhub", "slipway"])]), "lab", Some("slipway"));
        check(own(Some("edge"), &[("lab", &["edge", short])]), "lab", Some("edge"));
        check(own(None, &[("lab", &[short, "hub.lab"])]), "lab", Some("hub.lab"));
        // `docker run --name`: the next one is called so, too.
        check(own(None, &[("lab", &[short])]), "lab", Some("stack_slipway_1"));
        // Compose v2 makes the container's name an alias; Compose v1 gives it to one of a service that is not on it.
        check(own(Some("slipway"), &[("lab", &["stack_slipway_1", "slipway"])]), "lab", Some("slipway"));
        check(own(Some("slipway"), &[("bridge", &[])]), "bridge", Some("172.20.0.2"));
    }

    /// Trap 15: of several networks the one that servers are on, never just the first.
    #[test]
    fn of_several_networks_the_servers_own_is_taken_or_none() {
        let both = own(Some("slipway"), &[("frontend", &["www"]), ("lab", &["slipway"])]);
        assert_eq!(both.name_on("lab").as_deref(), Some("slipway"));
        assert_eq!(both.name_on("frontend").as_deref(), Some("www"));
        assert_eq!(both.name_on("elsewhere"), None);
        assert_eq!(choose(&[("frontend", false), ("lab", true)]), Ok("lab"));
        assert_eq!(choose(&[("frontend", false)]), Ok("frontend"));
        assert_eq!(choose(&[]), Ok(USUAL));
        let several = choose(&[("a", false), ("b", false)]).expect_err("nobody knows");
        assert!(several.contains("(a, b)") && several.contains("spawner.docker.network"), "{several}");
        let labelled = choose(&[("a", true), ("b", true), ("c", false)]).expect_err("two say so");
        assert!(labelled.contains("(a, b)"), "{labelled}");
    }

    #[test]
    fn with_the_hosts_network_we_are_as_on_the_host() {
        let there = serde_json::json!({ "Id": ID, "NetworkSettings": { "Networks": { "host": {} } } });
        assert_eq!(Own::of(serde_json::from_value(there).expect("as the engine writes it")), None);
    }
}
