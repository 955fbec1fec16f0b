//! What groups give a container beside limits: volumes that are nobody's own, the engine's socket, devices.
//!
//! A volume is checked with the engine before it is mounted: one that Slipway did not make may hold another program's
//! data, its own database among them, and one with an owner is that user's.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;

use bollard::models::{DeviceRequest, HostConfig, Mount, MountType, MountVolumeOptions};

use super::engine::Engine;
use super::{Config, labels};
use crate::model::InstanceId;
use crate::spawner::backend::{BackendError, Extras, GpuRequest, GrantedMount};

/// Where servers see the engine's socket, wherever the host has it.
const SOCKET_IN_SERVER: &str = "/var/run/docker.sock";

/// The mount points of granted volumes that do not exist yet and can be written.
///
/// # Errors
/// If one of the volumes is not for groups to give.
pub(super) async fn check_volumes(
    engine: &Engine,
    config: &Config,
    instance: &InstanceId,
    mounts: &[GrantedMount],
) -> Result<Vec<String>, BackendError> {
    let mut fresh = Vec::new();
    for mount in mounts {
        let found = engine.look("look for a volume", engine.docker.inspect_volume(&mount.volume)).await?;
        match found {
            Some(volume) if may_give(config, instance, &mount.volume, Some(&volume.labels)) => {}
            None if may_give(config, instance, &mount.volume, None) => {
                fresh.extend((!mount.read_only).then(|| mount.path.clone()));
            }
            _ => {
                return Err(BackendError::Settings(format!(
                    "a group gives volume `{}`, which is a user's own or was not made by Slipway; an administrator can \
                     allow the latter in spawner.docker.group_volumes",
                    mount.volume
                )));
            }
        }
    }
    Ok(fresh)
}

/// Whether groups may give this volume; `labels` are those it has, none if there is no such volume yet. Pure.
fn may_give(config: &Config, instance: &InstanceId, name: &str, labels: Option<&HashMap<String, String>>) -> bool {
    if config.group_volumes.iter().any(|allowed| allowed == name) || config.shared_volume == name {
        return true;
    }
    if name.starts_with(&format!("{}-", config.name_prefix)) {
        return false;
    }
    labels.is_none_or(|labels| labels::is_for_all(instance, labels))
}

/// The mounts of granted volumes, where nothing of the server's own is.
pub(super) fn mounts(instance: &InstanceId, own: &[String], granted: &[GrantedMount]) -> Vec<Mount> {
    let is_free = |mount: &&GrantedMount| !own.contains(&mount.path);
    let mounts = granted.iter().filter(is_free).map(|mount| Mount {
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions {
            labels: Some(labels::of_volume(instance, None)),
            ..Default::default()
        }),
        source: Some(mount.volume.clone()),
        target: Some(mount.path.clone()),
        read_only: mount.read_only.then_some(true),
        ..Default::default()
    });
    mounts.collect()
}

/// Puts into `host` what else is granted. `socket_group` is the group that the engine's socket belongs to.
pub(super) fn apply(config: &Config, extras: &Extras, socket_group: Option<u32>, host: &mut HostConfig) {
    if extras.swap_off && host.memory.is_some() {
        // Memory and swap together: equal is none.
        host.memory_swap = host.memory;
    }
    if extras.docker_socket
        && let Some(path) = socket_path(config)
    {
        host.binds = Some(vec![format!("{path}:{SOCKET_IN_SERVER}")]);
        host.group_add = socket_group.map(|group| vec![group.to_string()]);
    }
    if extras.privileged {
        host.privileged = Some(true);
        // Else sudo inside would gain nothing, and neither would the container.
        host.security_opt = None;
        host.cap_drop = None;
    }
    host.device_requests = device_request(&extras.gpu).map(|request| vec![request]);
}

fn device_request(gpu: &GpuRequest) -> Option<DeviceRequest> {
    let (count, device_ids) = match gpu {
        GpuRequest::None => return None,
        GpuRequest::All => (Some(-1), None),
        GpuRequest::Ids(ids) => (None, Some(ids.clone())),
    };
    let capabilities = Some(vec![vec!["gpu".to_owned()]]);
    Some(DeviceRequest { driver: Some("nvidia".into()), count, device_ids, capabilities, options: None })
}

/// The path of the engine's socket; none if it is reached otherwise.
fn socket_path(config: &Config) -> Option<&str> {
    let path = config.host.strip_prefix("unix://").unwrap_or(&config.host);
    path.starts_with('/').then_some(path)
}

/// The group that the engine's socket belongs to: whoever is in it may use the engine.
///
/// # Errors
/// If the engine has no socket that could be given.
pub(super) async fn socket_group(config: &Config) -> Result<u32, BackendError> {
    let no_socket = || {
        BackendError::Settings(
            "a group gives Docker's socket, and spawner.docker.host is none that could be given".to_owned(),
        )
    };
    let path = socket_path(config).ok_or_else(no_socket)?;
    tokio::fs::metadata(path).await.map(|found| found.gid()).map_err(|_| no_socket())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ServerKey, UserName};

    fn instance() -> InstanceId {
        InstanceId("0f".into())
    }

    #[test]
    fn groups_give_what_is_new_ours_or_named_by_the_configuration() {
        let config = Config { group_volumes: vec!["datasets".into()], ..Config::default() };
        let gives =
            |name: &str, labels: Option<HashMap<String, String>>| may_give(&config, &instance(), name, labels.as_ref());
        let alice = ServerKey::default_of(UserName::parse("alice").expect("a name"));
        assert!(gives("data", None));
        assert!(gives("data", Some(labels::of_volume(&instance(), None))));
        assert!(gives("datasets", Some(HashMap::new())));
        assert!(gives("jupyterhub_shared", Some(HashMap::new())));
        assert!(!gives("slipway_data", Some(HashMap::new())), "another program's, or our own database");
        assert!(!gives("data", Some(labels::of_volume(&InstanceId("00".into()), None))));
        assert!(!gives("data", Some(labels::of_volume(&instance(), Some(&alice)))));
        assert!(!gives("jupyterlab-alice_home", None), "it would become alice's");
    }

    #[test]
    fn nothing_is_given_that_is_not_granted() {
        let mut host = HostConfig { memory: Some(1), ..HostConfig::default() };
        let before = host.clone();
        apply(&Config::default(), &Extras::default(), Some(999), &mut host);
        assert_eq!(host, before);
    }

    /// Trap 38: the flag is the host configuration's.
    #[test]
    fn all_that_is_granted_is_in_the_host_configuration() {
        let mut host = HostConfig { memory: Some(7), cap_drop: Some(vec!["NET_RAW".into()]), ..HostConfig::default() };
        let gpu = GpuRequest::Ids(vec!["GPU-1".into()]);
        let extras = Extras { swap_off: true, mounts: vec![], docker_socket: true, privileged: true, gpu };
        apply(&Config::default(), &extras, Some(999), &mut host);
        assert_eq!(host.memory_swap, Some(7));
        assert_eq!(host.binds, Some(vec!["/var/run/docker.sock:/var/run/docker.sock".into()]));
        assert_eq!(host.group_add, Some(vec!["999".into()]));
        assert_eq!((host.privileged, host.cap_drop, host.security_opt), (Some(true), None, None));
        let request = host.device_requests.and_then(|requests| requests.into_iter().next()).expect("a request");
        assert_eq!((request.count, request.device_ids), (None, Some(vec!["GPU-1".into()])));
    }

    #[test]
    fn a_granted_volume_never_covers_the_servers_own() {
        let mount =
            |volume: &str, path: &str| GrantedMount { volume: volume.into(), path: path.into(), read_only: true };
        let granted = [mount("data", "/data"), mount("shared", "/mnt/shared")];
        let mounts = mounts(&instance(), &["/mnt/shared".into()], &granted);
        let targets: Vec<_> = mounts.into_iter().filter_map(|mount| mount.target).collect();
        assert_eq!(targets, ["/data"]);
    }
}
