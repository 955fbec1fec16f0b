//! What a container is made of: the settings and one order, as the engine's create call wants them. Pure.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions, PortBinding,
};
use sha2::{Digest as _, Sha256};

use super::{Config, extras, labels};
use crate::model::{InstanceId, VolumeStem};
use crate::spawner::backend::Order;

/// The volumes of `stem` with their mount points, parents before what is nested in them. All servers of a user share his
/// volumes, as with DockerSpawner, whose volume names have `{username}` in them and nothing else.
pub(super) fn volumes(config: &Config, stem: &VolumeStem) -> Vec<(String, String)> {
    let own = config.volumes.iter().map(|volume| (volume_name(config, stem, &volume.suffix), volume.path.clone()));
    let shared = config.shared_volumes.iter().map(|volume| (volume.name.clone(), volume.path.clone()));
    let mut all: Vec<_> = own.chain(shared).collect();
    all.sort_by(|a, b| a.1.cmp(&b.1));
    all
}

/// `{prefix}-{stem}_{suffix}`: the one place that says how a user's volume is called.
pub(super) fn volume_name(config: &Config, stem: &VolumeStem, suffix: &str) -> String {
    format!("{}-{stem}_{suffix}", config.name_prefix)
}

/// The body of the create call. `socket_group`: whose the engine's socket is, if the order has it.
pub(super) fn container(
    config: &Config,
    instance: &InstanceId,
    order: &Order,
    socket_group: Option<u32>,
) -> ContainerCreateBody {
    let is_shared = |name: &str| config.shared_volumes.iter().any(|shared| shared.name == name);
    let own_volumes = volumes(config, &order.volumes);
    let own_paths: Vec<_> = own_volumes.iter().map(|(_, path)| path.clone()).collect();
    let mounts = own_volumes.into_iter().map(|(name, path)| {
        let owner = (!is_shared(&name)).then_some(&order.server);
        Mount {
            typ: Some(MountType::VOLUME),
            volume_options: Some(MountVolumeOptions {
                labels: Some(labels::of_volume(instance, owner)),
                ..Default::default()
            }),
            source: Some(name),
            target: Some(path),
            ..Default::default()
        }
    });
    let mounts = mounts.chain(extras::mounts(instance, &own_paths, &order.extras.mounts));
    let port = format!("{}/tcp", config.port);
    let loopback = PortBinding { host_ip: Some("127.0.0.1".into()), host_port: Some(String::new()) };
    let log_options = [("max-size", config.log_limit_bytes.to_string()), ("max-file", "1".into())];
    let mut host_config = HostConfig {
        network_mode: Some(config.network.clone()),
        mounts: Some(mounts.collect()),
        memory: order.limits.memory_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        // The unit of the engine is a billionth of a core.
        nano_cpus: order.limits.cpu_cores.map(|cores| (cores * 1e9) as i64),
        pids_limit: config.pids_limit,
        // Raw sockets let one server forge another's packets on the shared bridge.
        cap_drop: Some(vec!["NET_RAW".into()]),
        security_opt: config.no_new_privileges.then(|| vec!["no-new-privileges".into()]),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(log_options.into_iter().map(|(key, value)| (key.into(), value)).collect()),
        }),
        port_bindings: config.publish_on_loopback.then(|| HashMap::from([(port.clone(), Some(vec![loopback]))])),
        ..Default::default()
    };
    extras::apply(config, &order.extras, socket_group, &mut host_config);
    let body = ContainerCreateBody {
        image: Some(image_of(config, order).to_owned()),
        cmd: order.command.clone().or_else(|| config.command.clone()),
        exposed_ports: config.publish_on_loopback.then(|| vec![port]),
        host_config: Some(host_config),
        ..Default::default()
    };
    let labels = labels::of_container(instance, &order.server, order.generation, hash_of(&body));
    let environment = order.environment.0.iter().map(|(name, value)| format!("{name}={value}"));
    ContainerCreateBody { labels: Some(labels), env: Some(environment.collect()), ..body }
}

/// What the order's container is made from.
pub(super) fn image_of<'a>(config: &'a Config, order: &'a Order) -> &'a str {
    order.image.as_deref().unwrap_or(&config.image)
}

/// Tells two settings apart; says nothing of token or environment.
fn hash_of(body: &ContainerCreateBody) -> String {
    // Through `Value`, whose maps are sorted: the engine's types hold hash maps in any order.
    let text = serde_json::to_value(body).map(|value| value.to_string()).unwrap_or_default();
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Generation, ServerKey, ServerName, UserName};
    use crate::spawner::backend::{Environment, Extras, ResourceLimits};
    use std::collections::BTreeMap;

    fn order() -> Order {
        Order {
            server: ServerKey { user: UserName::parse("a@b").expect("a name"), name: ServerName::default() },
            generation: Generation(3),
            listen: ([0, 0, 0, 0], 8888).into(),
            image: None,
            command: None,
            environment: Environment(BTreeMap::from([("A".into(), "1".into())])),
            limits: ResourceLimits { memory_bytes: Some(1 << 30), cpu_cores: Some(1.5) },
            extras: Extras::default(),
            volumes: VolumeStem::of(&UserName::parse("a@b").expect("a name")),
        }
    }

    #[test]
    fn a_container_gets_its_volumes_limits_and_nothing_more_than_it_needs() {
        let shared_volumes = vec![super::super::SharedVolume::new("all", "/mnt/shared")];
        let config = Config { shared_volumes, ..Config::default() };
        let body = container(&config, &InstanceId("0f".into()), &order(), None);
        let host = body.host_config.expect("a host config");
        let mounts: Vec<_> = host
            .mounts
            .expect("mounts")
            .into_iter()
            .map(|mount| (mount.source.unwrap_or_default(), mount.target.unwrap_or_default()))
            .collect();
        let expected = [
            ("jupyterlab-a-40b_home", "/home/jovyan"),
            ("jupyterlab-a-40b_cache", "/home/jovyan/.cache"),
            ("jupyterlab-a-40b_workspace", "/home/jovyan/work"),
            ("all", "/mnt/shared"),
        ];
        assert_eq!(mounts, expected.map(|(name, path)| (name.to_owned(), path.to_owned())));
        assert_eq!(host.memory, Some(1 << 30));
        assert_eq!(host.nano_cpus, Some(1_500_000_000));
        assert_eq!(host.cap_drop, Some(vec!["NET_RAW".into()]));
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges".into()]));
        assert_eq!(host.port_bindings, None);
        assert_eq!(body.env, Some(vec!["A=1".into()]));
    }

    #[test]
    fn a_named_server_has_its_own_image_and_command_and_its_owners_volumes() {
        let name = ServerName::parse("gpu").expect("a name");
        let key = ServerKey { name, ..order().server };
        let order =
            Order { server: key.clone(), image: Some("gpu:1".into()), command: Some(vec!["x".into()]), ..order() };
        let config = Config { command: Some(vec!["y".into()]), ..Config::default() };
        let body = container(&config, &InstanceId("0f".into()), &order, None);
        assert_eq!((body.image.as_deref(), body.cmd), (Some("gpu:1"), Some(vec!["x".into()])));
        assert_eq!(key.docker_name("jupyter"), "jupyter-a-40b--gpu");
        let mounts = |order: &Order| {
            let host = container(&config, &InstanceId("0f".into()), order, None).host_config.expect("a host config");
            host.mounts.expect("mounts").into_iter().map(|mount| mount.source).collect::<Vec<_>>()
        };
        let default = Order { server: ServerKey::default_of(key.user.clone()), ..order.clone() };
        assert_eq!(mounts(&order), mounts(&default));
    }

    #[test]
    fn the_hash_follows_the_settings_and_not_the_start() {
        let of = |config: &Config, order: &Order| {
            container(config, &InstanceId("0f".into()), order, None)
                .labels
                .and_then(|mut labels| labels.remove("slipway.config"))
        };
        let config = Config::default();
        let other = Config { image: "other".into(), ..Config::default() };
        let later = Order { generation: Generation(4), environment: Environment::default(), ..order() };
        assert_eq!(of(&config, &order()), of(&config, &later));
        assert_ne!(of(&config, &order()), of(&other, &order()));
    }
}
