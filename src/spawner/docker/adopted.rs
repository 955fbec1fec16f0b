//! Containers that another hub made, and that a takeover has made one of our servers. They carry no label of ours: a
//! row names one by its id, and its own variables must name the very user that the row says, so that a wrong id never
//! opens, stops or removes anybody else's.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::warn;

use super::engine::{NAME, status_of};
use super::{DockerBackend, Kept, exit_of, labels};
use crate::model::{Handle, UpstreamAddress};
use crate::spawner::backend::{BackendError, Sight};

/// What the other hub tells its containers: whose they are, and where they shall listen.
const USER: &str = "JUPYTERHUB_USER=";
const SERVICE_URL: &str = "JUPYTERHUB_SERVICE_URL=";
/// How long it may take to reach a container's address. 2 s: on this host it takes microseconds; a network that we
/// are not on swallows what we send.
const REACH_LIMIT: Duration = Duration::from_secs(2);

impl DockerBackend {
    /// False for a container that is not what the handle says: hands off. Ours are known by their labels already.
    pub(super) async fn may_touch(&self, handle: &Handle) -> Result<bool, BackendError> {
        match Kept::of(handle)? {
            Kept { adopted_from: None, .. } => Ok(true),
            Kept { container, adopted_from: Some(user) } => Ok(self.adopted(&container, &user).await?.is_some()),
        }
    }

    async fn adopted(&self, id: &str, user: &str) -> Result<Option<ContainerInspectResponse>, BackendError> {
        let there = self.inspect_name(id).await?;
        Ok(there.filter(|there| is_of(there, user)))
    }

    /// How it is. An error, and nothing is done to it, if it runs where we cannot reach it: somebody works in it.
    pub(super) async fn sight_of_adopted(&self, id: &str, user: &str) -> Result<Sight, BackendError> {
        let Some(there) = self.adopted(id, user).await? else { return Ok(Sight::Gone) };
        let state = there.state.clone().unwrap_or_default();
        if state.running != Some(true) && state.paused != Some(true) {
            return Ok(Sight::Exited(exit_of(&state)));
        }
        let config = self.config.snapshot();
        let network = (!config.publish_on_loopback).then_some(config.network.as_str());
        let Some(address) = address_of(&there, network, config.port) else {
            return Err(unreachable(&there, "it has no address"));
        };
        match timeout(REACH_LIMIT, TcpStream::connect(address)).await {
            // Whoever refuses is there.
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {}
            Ok(Err(_)) | Err(_) => return Err(unreachable(&there, &format!("nothing comes back from {address}"))),
        }
        Ok(Sight::Running(UpstreamAddress::Tcp(address)))
    }

    /// Removes it. One that keeps its user's files nowhere else is only put aside, under another name: the other hub
    /// used to start it again.
    pub(super) async fn remove_adopted(&self, id: &str, user: &str) -> Result<(), BackendError> {
        let Some(there) = self.adopted(id, user).await? else { return Ok(()) };
        if keeps_files_elsewhere(&there) {
            let options = RemoveContainerOptionsBuilder::default().force(true).build();
            let remove = async {
                match self.engine.docker.remove_container(id, Some(options)).await {
                    Err(error) if matches!(status_of(&error), Some(404 | 409)) => Ok(()),
                    result => result,
                }
            };
            return self.engine.call("remove the container", remove).await;
        }
        let name = there.name.as_deref().unwrap_or_default().trim_start_matches('/');
        let aside = format!("{name}.before-slipway");
        if name.ends_with(".before-slipway") {
            return Ok(());
        }
        warn!(
            container = aside,
            "a container from before Slipway has files that are nowhere else: it is kept under this name"
        );
        let options = RenameContainerOptionsBuilder::default().name(&aside).build();
        self.engine.call("put the container aside", self.engine.docker.rename_container(id, options)).await
    }
}

fn unreachable(there: &ContainerInspectResponse, why: &str) -> BackendError {
    let networks = there.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let mut names: Vec<&str> = networks.into_iter().flat_map(|networks| networks.keys().map(String::as_str)).collect();
    names.sort_unstable();
    let name = there.name.as_deref().unwrap_or_default().trim_start_matches('/');
    BackendError::Unavailable {
        engine: NAME,
        reason: format!(
            "the container {name} runs on and {why}; it is on the network {}: Slipway must be on it too, or the container \
             on Slipway's (docker network connect)",
            names.join(", ")
        ),
    }
}

fn variables(there: &ContainerInspectResponse) -> impl Iterator<Item = &str> {
    let variables = there.config.as_ref().and_then(|config| config.env.as_ref());
    variables.into_iter().flatten().map(String::as_str)
}

fn is_of(there: &ContainerInspectResponse, user: &str) -> bool {
    let labels = there.config.as_ref().and_then(|config| config.labels.as_ref());
    let is_a_slipways = labels.is_some_and(|labels| labels.contains_key(labels::INSTANCE));
    !is_a_slipways && variables(there).any(|variable| variable.strip_prefix(USER) == Some(user))
}

/// Where it answers: on our network if it is there too, else on the first that it is on; without a network of ours, where
/// its port is published.
fn address_of(there: &ContainerInspectResponse, ours: Option<&str>, usual_port: u16) -> Option<SocketAddr> {
    let told = variables(there).find_map(|variable| port_in(variable.strip_prefix(SERVICE_URL)?));
    let port = told.unwrap_or(usual_port);
    let settings = there.network_settings.as_ref()?;
    let Some(ours) = ours else {
        let bindings = settings.ports.as_ref()?.get(&format!("{port}/tcp"))?.as_ref()?;
        let published = bindings.first()?.host_port.as_ref()?.parse().ok()?;
        return Some(SocketAddr::from(([127, 0, 0, 1], published)));
    };
    let mut networks: Vec<_> = settings.networks.as_ref()?.iter().collect();
    networks.sort_by_key(|(name, _)| (name.as_str() != ours, name.as_str()));
    let addresses =
        networks.into_iter().flat_map(|(_, endpoint)| [&endpoint.ip_address, &endpoint.global_ipv6_address]);
    let ip = addresses.flatten().find_map(|address| address.parse().ok())?;
    Some(SocketAddr::new(ip, port))
}

/// `http://0.0.0.0:8888/user/alice/` → 8888
fn port_in(url: &str) -> Option<u16> {
    let place = url.split_once("://")?.1.split('/').next()?;
    place.rsplit_once(':')?.1.parse().ok().filter(|port| *port != 0)
}

/// True if a folder of the host or a volume with a name is in it: what the image asked for goes with the container.
fn keeps_files_elsewhere(there: &ContainerInspectResponse) -> bool {
    let is_a_hash = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    there.mounts.iter().flatten().any(|mount| match mount.typ.as_deref() {
        Some("bind") => true,
        Some("volume") => mount.name.as_deref().is_some_and(|name| !is_a_hash(name)),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(json: serde_json::Value) -> ContainerInspectResponse {
        serde_json::from_value(json).expect("as the engine writes it")
    }

    #[test]
    fn only_the_container_of_that_very_user_is_touched() {
        let env = |env: &[&str]| container(serde_json::json!({ "Config": { "Env": env } }));
        assert!(is_of(&env(&["A=1", "JUPYTERHUB_USER=Alice"]), "Alice"));
        for other in [&["JUPYTERHUB_USER=bob"][..], &["X_JUPYTERHUB_USER=Alice"], &[]] {
            assert!(!is_of(&env(other), "Alice"), "{other:?}");
        }
        let labelled = serde_json::json!({
            "Config": { "Env": ["JUPYTERHUB_USER=alice"], "Labels": { "slipway.instance": "another" } }
        });
        assert!(!is_of(&container(labelled), "alice"), "one that a Slipway made is told by its labels");
    }

    #[test]
    fn the_address_is_found_on_whatever_network_it_is() {
        let there = container(serde_json::json!({
            "Config": { "Env": ["JUPYTERHUB_SERVICE_URL=http://0.0.0.0:9999/user/alice/"] },
            "NetworkSettings": {
                "Ports": { "9999/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "32768" }] },
                "Networks": { "bridge": { "IPAddress": "172.17.0.9" }, "hubnet": { "IPAddress": "172.20.0.9" }, "none": { "IPAddress": "" } }
            }
        }));
        let at = |ours| address_of(&there, ours, 8888).map(|address| address.to_string());
        assert_eq!(at(Some("hubnet")).as_deref(), Some("172.20.0.9:9999"));
        assert_eq!(at(Some("slipway")).as_deref(), Some("172.17.0.9:9999"));
        assert_eq!(at(None).as_deref(), Some("127.0.0.1:32768"));
        let nowhere = container(serde_json::json!({ "NetworkSettings": { "Networks": { "none": {} } } }));
        assert_eq!(address_of(&nowhere, Some("slipway"), 8888), None);
    }

    #[test]
    fn the_port_is_what_the_other_hub_told_it() {
        assert_eq!(port_in("http://0.0.0.0:8888/user/a/"), Some(8888));
        assert_eq!(port_in("http://[::]:8888/user/a/"), Some(8888));
        for odd in ["", "http://host/user", "http://host:0/", "http://host:99999/", "8888"] {
            assert_eq!(port_in(odd), None, "{odd}");
        }
    }

    #[test]
    fn files_that_are_in_the_container_alone_are_known() {
        let mounts = |mounts| container(serde_json::json!({ "Mounts": mounts }));
        assert!(keeps_files_elsewhere(&mounts(serde_json::json!([{ "Type": "volume", "Name": "jupyterhub-alice" }]))));
        assert!(keeps_files_elsewhere(&mounts(serde_json::json!([{ "Type": "bind", "Source": "/home/alice" }]))));
        assert!(!keeps_files_elsewhere(&mounts(serde_json::json!([{ "Type": "volume", "Name": "ab".repeat(32) }]))));
        assert!(!keeps_files_elsewhere(&mounts(serde_json::json!([{ "Type": "tmpfs" }]))));
    }
}
