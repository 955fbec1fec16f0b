//! `routers.*`: where routes beyond users come from.

use std::path::PathBuf;
use std::time::Duration;

use super::Reader;
use crate::edge::PublicUrl;
use crate::model::BasePath;
use crate::routers::sources::{Config, Constraint, DockerConfig};
use crate::routers::{DefaultRule, EntryPoint, LazyConfig, Surroundings};

/// Reads all of it. `base` and `public_url` say where the hub is.
pub(super) fn config(read: &mut Reader<'_>, base: &BasePath, public_url: Option<&PublicUrl>) -> Config {
    let host = public_url.map(|url| url.authority().to_ascii_lowercase());
    let hub_host = host.map(|host| match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name.to_owned(),
        _ => host,
    });
    let default_entry_points = read.parsed_all("routers.default_entry_points", |name| {
        EntryPoint::read(name)
            .ok_or_else(|| "must be \"web\" (listener.http) or \"websecure\" (listener.https)".to_owned())
    });
    let docker = DockerConfig {
        host: read.text("spawner.docker.host"),
        constraint: read
            .optional("routers.docker.constraint", |text| Constraint::read(text).map_err(|error| error.to_string())),
        exposed_by_default: read.flag("routers.docker.exposed_by_default"),
        network: Some(read.text("routers.docker.network")).filter(|name| !name.is_empty()),
        default_rule: read
            .optional("routers.docker.default_rule", |text| DefaultRule::read(text).map_err(|error| error.to_string())),
        lazy: LazyConfig {
            start_timeout_s: read.seconds("routers.lazy.start_timeout_s"),
            hold_timeout_s: read.seconds("routers.lazy.hold_timeout_s"),
            starts_at_once: usize::try_from(read.number("routers.lazy.starts_at_once")).unwrap_or(usize::MAX),
            idle_after_s: read.seconds("routers.lazy.idle_after_s"),
            stop_timeout_s: read.seconds("routers.lazy.stop_timeout_s"),
            ..LazyConfig::default()
        },
        ..DockerConfig::default()
    };
    Config {
        docker: read.flag("routers.docker.enable").then_some(docker),
        file: Some(read.text("routers.file")).filter(|path| !path.is_empty()).map(PathBuf::from),
        poll_every: Duration::from_secs(2),
        surroundings: Surroundings { base: base.clone(), hub_host, default_entry_points },
    }
}
