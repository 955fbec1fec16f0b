//! The Docker engine of this computer, for those who speak to it: how to connect, and whether we ourselves run in one of
//! its containers.

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};

/// Beyond any limit of ours: bollard's own timeout must never be the one that acts.
const LIBRARY_TIMEOUT_S: u64 = 3_600;

/// Connects to `unix:///var/run/docker.sock` or `tcp://host:port`, and agrees on an API version: engines in distributions
/// are years behind bollard's default.
///
/// # Errors
/// No engine answers there. Sets no deadline: the caller does.
pub async fn connect(host: &str) -> Result<Docker, Error> {
    let docker = if host.starts_with("tcp://") || host.starts_with("http://") {
        Docker::connect_with_http(host, LIBRARY_TIMEOUT_S, API_DEFAULT_VERSION)?
    } else {
        Docker::connect_with_unix(host, LIBRARY_TIMEOUT_S, API_DEFAULT_VERSION)?
    };
    docker.negotiate_version().await
}

/// The id of the container that we run in, whichever engine's it is; none on a host.
pub async fn own_container() -> Option<String> {
    let mounts = tokio::fs::read_to_string("/proc/self/mountinfo").await.unwrap_or_default();
    id_in(&mounts).map(str::to_owned)
}

/// The id in `/proc/self/mountinfo`: engines mount `/etc/hostname` from the container's own folder. Other lines may name
/// other containers.
fn id_in(mounts: &str) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (source, target) = (fields.nth(3)?, fields.next()?);
        if !matches!(target, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf") {
            return None;
        }
        let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        source.split('/').find(is_id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01";

    #[test]
    fn our_own_container_is_told_from_those_that_the_host_mounts() {
        let inside = format!(
            "700 690 0:50 / / rw - overlay overlay rw\n\
             710 700 8:1 /var/lib/docker/containers/{ID}/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda1 rw\n"
        );
        assert_eq!(id_in(&inside), Some(ID));
        assert_eq!(id_in(&inside.replace("/etc/resolv.conf", "/elsewhere")), None);
        let host = format!("80 29 0:44 / /var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs shm rw\n");
        assert_eq!(id_in(&host), None);
        assert_eq!(id_in("1 0 8:1 /etc/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"), None);
        assert_eq!(id_in("garbage"), None);
    }
}
