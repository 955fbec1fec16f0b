//! Names in grants: variables, volumes and mount points. What may not be said is refused by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the installation's shared volume is: granted by its own switch, never as a volume among others.
pub const SHARED_MOUNT: &str = "/mnt/shared";

/// Variables that the platform itself sets or that change who the server runs as.
const RESERVED_NAMES: [&str; 33] = [
    "CHOWN_EXTRA",
    "CHOWN_EXTRA_OPTS",
    "CHOWN_HOME",
    "CHOWN_HOME_OPTS",
    "CUDA_VISIBLE_DEVICES",
    "DOCKER_HOST",
    "ENABLE_GPUSTAT",
    "ENABLE_GPU_SUPPORT",
    "ENABLE_SERVICE_GLANCES",
    "ENABLE_SERVICE_MLFLOW",
    "ENABLE_SERVICE_RESOURCES_MONITOR",
    "ENABLE_SERVICE_TENSORBOARD",
    "GRANT_SUDO",
    "JUPYTERLAB_AUX_MENU_PATH",
    "JUPYTERLAB_AUX_SCRIPTS_PATH",
    "JUPYTERLAB_SUDO_ENABLE",
    "JUPYTERLAB_SYSTEM_NAME",
    "JUPYTERLAB_TIMEZONE",
    "JUPYTERLAB_USER_ENV_ENABLE",
    "JUPYTER_IMAGE_SPEC",
    "MLFLOW_HOST",
    "MLFLOW_PORT",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_WORKERS",
    "NB_GID",
    "NB_GROUP",
    "NB_UID",
    "NB_UMASK",
    "NB_USER",
    "NVIDIA_DETECTED",
    "NVIDIA_VISIBLE_DEVICES",
    "TENSORBOARD_LOGDIR",
    "TF_CPP_MIN_LOG_LEVEL",
];
const RESERVED_PREFIXES: [&str; 4] = ["CPU_", "JPY_", "JUPYTERHUB_", "MEM_"];

/// Folders of the image that nothing may be put over, nor below.
const PROTECTED_FOLDERS: [&str; 17] = [
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/run", "/sbin", "/srv",
    "/sys", "/tmp", "/usr", "/var",
];
/// Longest name of a variable.
const VARIABLE_LIMIT_BYTES: usize = 255;
/// Longest name of a volume: what an engine takes.
const VOLUME_LIMIT_BYTES: usize = 255;
/// Longest mount point: a path's length on Linux is 4,096; these are typed by people.
const MOUNT_LIMIT_BYTES: usize = 255;

macro_rules! text_of {
    ($name:ident) => {
        impl $name {
            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// The name of a variable that a group may set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VariableName(String);
text_of!(VariableName);

impl VariableName {
    /// `[A-Za-z_][A-Za-z0-9_]*`, 255 bytes at most. Reserved ones are names, too: `is_reserved` tells.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_name = text.starts_with(is_first)
            && text.len() <= VARIABLE_LIMIT_BYTES
            && text.chars().all(|c| is_first(c) || c.is_ascii_digit());
        is_name.then(|| Self(text.to_owned()))
    }

    /// True if the platform sets it itself: asked when it is said, and again when it is given, since the list may grow.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        let name = self.0.to_ascii_uppercase();
        RESERVED_NAMES.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    }
}

/// The name of a volume: a letter or digit, then letters, digits, `_`, `.` and `-`; never a path of the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VolumeName(String);
text_of!(VolumeName);

impl VolumeName {
    /// What an engine takes as a volume's name; 2 to 255 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = (2..=VOLUME_LIMIT_BYTES).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        is_name.then(|| Self(text.to_owned()))
    }
}

/// Where a server sees a volume: absolute and normal, and nowhere that the image or the server needs for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MountPoint(String);
text_of!(MountPoint);

impl MountPoint {
    /// A path like `/data/sets`. Else why not, as a sentence.
    ///
    /// # Errors
    /// If it is not absolute and normal, too long, protected, or the shared volume's.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("{text:?} does not begin with \"/\""));
        };
        if text.len() > MOUNT_LIMIT_BYTES {
            return Err(format!("a mount point has {MOUNT_LIMIT_BYTES} characters at most"));
        }
        if rest.is_empty() {
            return Err("nothing can be mounted over \"/\" itself".into());
        }
        let is_plain = |part: &str| {
            !matches!(part, "" | "." | "..") && part.chars().all(|c| !c.is_control() && !":,\\".contains(c))
        };
        if !rest.split('/').all(is_plain) {
            return Err(format!(
                "{text:?} is not written plainly: no \"..\", no double or last \"/\", no \":\", \",\" or \"\\\""
            ));
        }
        if let Some(folder) = PROTECTED_FOLDERS.iter().find(|folder| is_at_or_below(text, folder)) {
            return Err(format!("{folder} is the image's own, and all below it"));
        }
        if is_at_or_below(text, SHARED_MOUNT) {
            return Err(format!("{SHARED_MOUNT} is the shared volume's: grant that by its own switch"));
        }
        Ok(Self(text.to_owned()))
    }

    /// True if it is `folder` or below it.
    #[must_use]
    pub fn is_at_or_below(&self, folder: &str) -> bool {
        is_at_or_below(&self.0, folder)
    }
}

fn is_at_or_below(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_plain_name_and_reserved_ones_are_known_in_any_case() {
        for good in ["A", "_a1", "HF_TOKEN"] {
            assert!(VariableName::parse(good).is_some_and(|name| !name.is_reserved()), "{good}");
        }
        for bad in ["", "1A", "A-B", "A B", "A=B", "Ä", &"A".repeat(256)] {
            assert_eq!(VariableName::parse(bad), None, "{bad}");
        }
        for reserved in ["JUPYTERHUB_API_TOKEN", "jupyterhub_user", "MEM_LIMIT", "NB_UID", "DOCKER_HOST", "Mem_x"] {
            assert!(VariableName::parse(reserved).is_some_and(|name| name.is_reserved()), "{reserved}");
        }
    }

    #[test]
    fn a_volume_is_a_name_and_never_a_path() {
        for good in ["data", "course_2026.a-b", "d1"] {
            assert!(VolumeName::parse(good).is_some(), "{good}");
        }
        for bad in ["", "d", "/etc", "a/b", ".a", "-a", "a b", "ä1", "..", &"a".repeat(256)] {
            assert_eq!(VolumeName::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_mount_point_is_plain_and_nobody_elses() {
        for good in ["/data", "/data/sets", "/mnt/x", "/mnt", "/homework", "/mnt/shared2"] {
            assert!(MountPoint::parse(good).is_ok(), "{good}");
        }
        let protected = ["/", "/home", "/home/jovyan/work", "/usr/lib", "/tmp", "/var/run/docker.sock", "/etc/x"];
        let odd = ["", "data", "//data", "/data/", "/data/../etc", "/./data", "/a:b", "/a,b", "/a\\b", "/a\nb"];
        for bad in protected.into_iter().chain(odd).chain(["/mnt/shared", "/mnt/shared/x"]) {
            assert!(MountPoint::parse(bad).is_err(), "{bad}");
        }
    }
}
