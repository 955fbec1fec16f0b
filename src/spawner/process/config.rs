//! Settings of the process backend, as checked by `config`.

use std::path::PathBuf;

/// Settings of servers as processes: for one person, or for people who trust each other.
#[derive(Clone, Debug)]
pub struct Config {
    /// Holds one folder per server, its home: `{folder}/{escaped name}`. `data_dir/servers`.
    pub folder: PathBuf,
    /// What is run; the first word is looked up in `path`.
    pub command: Vec<String>,
    /// `PATH` of the servers: ours, given by `app`.
    pub path: String,
    /// `LANG` of the servers.
    pub lang: String,
    /// Account that servers run as: a name or `uid:gid`. Needed when we are root, useless otherwise.
    pub run_as: Option<String>,
    /// The log of one server, in bytes; then its older half goes. 1 MiB.
    pub log_limit_bytes: u64,
    /// How often processes that are not our children are looked at, and logs are cut. 1 s.
    pub poll_interval_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            folder: "data/servers".into(),
            command: vec!["jupyterhub-singleuser".into()],
            path: "/usr/local/bin:/usr/bin:/bin".into(),
            lang: "C.UTF-8".into(),
            run_as: None,
            log_limit_bytes: 1024 * 1024,
            poll_interval_ms: 1_000,
        }
    }
}
