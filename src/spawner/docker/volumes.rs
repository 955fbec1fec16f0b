//! A user's volumes on the engine: which exist, who uses one, the end of one; and fresh ones are made writable for the
//! image's user.
//!
//! Docker gives a new, empty volume the content and owner of the folder that it covers; where the image has no such
//! folder the volume belongs to root, and a server that does not run as root cannot write there. Nothing of ours runs
//! as root for the cure: the engine itself unpacks a one-line archive into the created, not yet started container,
//! and what an archive says of a folder's owner becomes so, through the mounts.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::ContainerSummaryStateEnum;
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveVolumeOptions,
    UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use tokio::time::timeout;
use tracing::info;

use super::engine::{Engine, status_of};
use super::{Config, spec, tar};
use crate::model::VolumeStem;
use crate::spawner::backend::{BackendError, Removal, Volume};

/// The largest `/etc/passwd` we read of an image.
const PASSWD_LIMIT_BYTES: usize = 256 * 1024;

/// How long removing one volume may take: the engine deletes each file of it. 5 min.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long one call for it is waited for before it is made once more. 20 s: an answer that was lost must not keep its
/// user, who may start nothing meanwhile, for the whole of it; an engine that is still at work lets the next call wait.
const REMOVE_CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Who the image's programs run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u64,
    pub(super) gid: u64,
}

/// A container that has a volume mounted.
pub(super) struct VolumeUser {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) labels: HashMap<String, String>,
    pub(super) is_running: bool,
}

/// Those of `stem` and those for all, as far as they exist.
pub(super) async fn existing(engine: &Engine, config: &Config, stem: &VolumeStem) -> Result<Vec<Volume>, BackendError> {
    let looks = configured(config, stem).into_iter().map(async |volume| {
        let found = engine.look("look for a volume", engine.docker.inspect_volume(&volume.name)).await?;
        Ok::<_, BackendError>(found.map(|_| volume))
    });
    Ok(try_join_all(looks).await?.into_iter().flatten().collect())
}

/// What the settings say that a user has, in their order: his own, then those for all.
fn configured(config: &Config, stem: &VolumeStem) -> Vec<Volume> {
    let own = config.volumes.iter().map(|volume| Volume {
        suffix: volume.suffix.clone(),
        name: spec::volume_name(config, stem, &volume.suffix),
        mount: volume.path.clone(),
        label: volume.label.clone(),
        description: volume.description.clone(),
        is_shared: false,
    });
    let is_only_one = config.shared_volumes.len() == 1;
    let shared = config.shared_volumes.iter().map(|volume| Volume {
        suffix: if is_only_one { "shared".into() } else { volume.name.clone() },
        name: volume.name.clone(),
        mount: volume.path.clone(),
        label: volume.label.clone(),
        description: volume.description.clone(),
        is_shared: true,
    });
    own.chain(shared).collect()
}

/// Who has the volume `name` mounted, stopped ones too.
pub(super) async fn users_of(engine: &Engine, name: &str) -> Result<Vec<VolumeUser>, BackendError> {
    let filters = HashMap::from([("volume".to_owned(), vec![name.to_owned()])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let containers = engine.call("list who uses a volume", engine.docker.list_containers(Some(options))).await?;
    let users = containers.into_iter().filter_map(|container| {
        // The engine's filter also finds what is mounted *at* such a path.
        let mounts = container.mounts.as_deref().unwrap_or_default();
        let has_it = mounts.iter().any(|mount| mount.name.as_deref() == Some(name));
        let names = container.names.unwrap_or_default();
        let shown = names.first().map_or("without a name", |name| name.trim_start_matches('/'));
        has_it.then_some(VolumeUser {
            id: container.id?,
            name: shown.to_owned(),
            labels: container.labels.unwrap_or_default(),
            is_running: !matches!(
                container.state,
                Some(
                    ContainerSummaryStateEnum::EXITED
                        | ContainerSummaryStateEnum::CREATED
                        | ContainerSummaryStateEnum::DEAD
                )
            ),
        })
    });
    Ok(users.collect())
}

/// Removes the volume `name`.
pub(super) async fn remove(engine: &Engine, name: &str) -> Result<Removal, BackendError> {
    let tries = async {
        let mut absent = Removal::Absent;
        loop {
            let call = engine.docker.remove_volume(name, None::<RemoveVolumeOptions>);
            match timeout(REMOVE_CALL_TIMEOUT, call).await {
                Ok(Ok(())) => return Ok(Removal::Removed),
                Ok(Err(error)) if status_of(&error) == Some(404) => return Ok(absent),
                // Somebody was quicker than our look.
                Ok(Err(error)) if status_of(&error) == Some(409) => return Ok(Removal::InUse("a container".into())),
                Ok(Err(error)) => return Err(error),
                // If it is gone the next time, it was the call without an answer that did it.
                Err(_) => absent = Removal::Removed,
            }
        }
    };
    engine.call_for(REMOVE_TIMEOUT, "remove a volume", tries).await
}

/// Gives the mount points `paths` of the created container `id` to the image's `user`, where they belong to root.
/// `paths` are those of volumes that have just been made, parents first.
pub(super) async fn hand_over(engine: &Engine, id: &str, user: &str, paths: &[String]) -> Result<(), BackendError> {
    let Some(owner) = owner_of(engine, id, user).await? else { return Ok(()) };
    if owner.uid == 0 {
        return Ok(());
    }
    let mut archive = Vec::new();
    for path in paths {
        let Some(folder) = first_entry(engine, id, path).await? else { continue };
        if folder.uid == 0 {
            archive.extend(tar::folder(path.trim_start_matches('/'), folder.mode, owner.uid, owner.gid));
            info!(path, uid = owner.uid, gid = owner.gid, "a fresh volume is given to the image's user");
        }
    }
    if archive.is_empty() {
        return Ok(());
    }
    archive.extend(tar::END);
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    let upload = engine.docker.upload_to_container(id, Some(options), bollard::body_full(Bytes::from(archive)));
    engine.call("hand over the volumes", upload).await
}

/// True if programs of the image's `user` may write everywhere anyway.
pub(super) fn is_root(user: &str) -> bool {
    matches!(user.split(':').next(), None | Some("" | "0" | "root"))
}

/// The numbers behind the image's `USER`: `1000`, `1000:100`, `jovyan`, `jovyan:users`; empty is root. None if the
/// image does not know the name.
async fn owner_of(engine: &Engine, id: &str, user: &str) -> Result<Option<Owner>, BackendError> {
    if user.is_empty() {
        return Ok(Some(Owner { uid: 0, gid: 0 }));
    }
    if let Some(owner) = numbers_of(user) {
        return Ok(Some(owner));
    }
    let passwd = file_of(engine, id, "/etc/passwd").await?;
    let group = if user.contains(':') { file_of(engine, id, "/etc/group").await? } else { String::new() };
    Ok(look_up(user, &passwd, &group))
}

fn numbers_of(user: &str) -> Option<Owner> {
    let (uid, gid) = user.split_once(':')?;
    Some(Owner { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
}

/// Finds `user` in the texts of `/etc/passwd` and `/etc/group`.
fn look_up(user: &str, passwd: &str, group: &str) -> Option<Owner> {
    let (user, group_name) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
    let entry = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.len() > 3 && (fields[0] == user || fields[2] == user));
    let uid = match &entry {
        Some(fields) => fields[2].parse().ok()?,
        None => user.parse().ok()?,
    };
    let gid = match group_name {
        Some(name) => {
            let named = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
            let found = named.into_iter().find(|fields| fields.len() > 2 && fields[0] == name);
            found.map_or_else(|| name.parse().ok(), |fields| fields[2].parse().ok())?
        }
        None => entry.and_then(|fields| fields[3].parse().ok()).unwrap_or(0),
    };
    Some(Owner { uid, gid })
}

/// The first entry of the archive of `path`: the folder itself. The rest is not read.
async fn first_entry(engine: &Engine, id: &str, path: &str) -> Result<Option<tar::Entry>, BackendError> {
    let head = bytes_of(engine, id, path, tar::BLOCK_BYTES).await?;
    Ok(head.and_then(|head| tar::read_entry(&head)))
}

async fn file_of(engine: &Engine, id: &str, path: &str) -> Result<String, BackendError> {
    let Some(archive) = bytes_of(engine, id, path, PASSWD_LIMIT_BYTES).await? else { return Ok(String::new()) };
    let size = tar::read_entry(&archive).map_or(0, |entry| entry.size_bytes);
    let content = archive.get(tar::BLOCK_BYTES..).unwrap_or_default();
    let content = &content[..content.len().min(usize::try_from(size).unwrap_or(usize::MAX))];
    Ok(String::from_utf8_lossy(content).into_owned())
}

/// At most the first `limit` bytes of the archive of `path`; none if there is no such path.
async fn bytes_of(engine: &Engine, id: &str, path: &str, limit: usize) -> Result<Option<Vec<u8>>, BackendError> {
    let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
    let read = async {
        let mut archive = engine.docker.download_from_container(id, Some(options));
        let mut bytes = Vec::new();
        while let Some(chunk) = archive.next().await {
            match chunk {
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(error) if status_of(&error) == Some(404) => return Ok(None),
                Err(error) => return Err(error),
            }
            if bytes.len() >= limit {
                break;
            }
        }
        Ok(Some(bytes))
    };
    engine.call("look at the volumes", read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_listed_in_the_order_of_the_settings_and_shared_ones_last() {
        let shared_volumes = vec![super::super::SharedVolume::new("all", "/mnt/shared")];
        let config = Config { shared_volumes, ..Config::default() };
        let user = crate::model::UserName::parse("first.last").expect("a name");
        let listed = configured(&config, &VolumeStem::of(&user));
        let names: Vec<_> = listed.iter().map(|volume| (volume.suffix.as_str(), volume.name.as_str())).collect();
        let expected = [
            ("home", "jupyterlab-first-2elast_home"),
            ("workspace", "jupyterlab-first-2elast_workspace"),
            ("cache", "jupyterlab-first-2elast_cache"),
            ("shared", "all"),
        ];
        assert_eq!(names, expected);
        assert_eq!(listed.iter().map(|volume| volume.is_shared).collect::<Vec<_>>(), [false, false, false, true]);
    }

    #[test]
    fn what_is_listed_is_what_a_start_mounts() {
        let config = Config::default();
        let stem = VolumeStem::of(&crate::model::UserName::parse("a@b").expect("a name"));
        let mut listed: Vec<_> = configured(&config, &stem).into_iter().map(|v| (v.name, v.mount)).collect();
        let mut mounted = spec::volumes(&config, &stem);
        listed.sort();
        mounted.sort();
        assert_eq!(listed, mounted);
    }

    fn check(user: &str, expected: Option<(u64, u64)>) {
        let passwd = "root:x:0:0:root:/root:/bin/sh\njovyan:x:1000:100::/home/jovyan:/bin/bash\n";
        let group = "root:x:0:\nusers:x:100:\nstaff:x:50:jovyan\n";
        let expected = expected.map(|(uid, gid)| Owner { uid, gid });
        assert_eq!(numbers_of(user).or_else(|| look_up(user, passwd, group)), expected, "{user}");
    }

    #[test]
    fn the_images_user_is_read_as_docker_reads_it() {
        check("1000:1000", Some((1000, 1000)));
        check("1000", Some((1000, 100)));
        check("jovyan", Some((1000, 100)));
        check("jovyan:staff", Some((1000, 50)));
        check("jovyan:7", Some((1000, 7)));
        check("4711", Some((4711, 0)));
        check("nobody", None);
    }
}
