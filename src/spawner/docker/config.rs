//! Settings of the Docker backend, as checked by `config`.

/// When an image is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// When it is not on this host.
    #[default]
    IfNotPresent,
    /// Before every start; what is here serves if fetching fails.
    Always,
    /// Never: an administrator brings it.
    Never,
}

/// One volume of each user: `{name_prefix}-{user}_{suffix}`, mounted at `path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserVolume {
    /// `home`, `workspace`, `cache`.
    pub suffix: String,
    /// Where the server sees it.
    pub path: String,
    /// What people call it; none: the suffix.
    pub label: Option<String>,
    /// What it is for; may be empty.
    pub description: String,
}

impl UserVolume {
    /// A volume whose suffix says what it is for, where it is one of the usual three.
    #[must_use]
    pub fn new(suffix: impl Into<String>, path: impl Into<String>) -> Self {
        let suffix = suffix.into();
        let description = match suffix.as_str() {
            "home" => "Home files and configuration",
            "workspace" => "Project files, notebooks, code",
            "cache" => "Temporary files, pip and conda cache",
            _ => "",
        };
        Self { path: path.into(), label: None, description: description.into(), suffix }
    }
}

/// One volume that all servers see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedVolume {
    /// The volume's name.
    pub name: String,
    /// Where the servers see it.
    pub path: String,
    /// What people call it; none: its name.
    pub label: Option<String>,
    /// What it is for; may be empty.
    pub description: String,
}

impl SharedVolume {
    /// A volume that nobody has described.
    #[must_use]
    pub fn new(name: impl Into<String>, path: impl Into<String>) -> Self {
        let description = "Files that everybody here shares".into();
        Self { name: name.into(), path: path.into(), label: None, description }
    }
}

/// Settings of the Docker backend.
#[derive(Clone, Debug)]
pub struct Config {
    /// The engine: `unix:///var/run/docker.sock`, or `tcp://host:port` without TLS.
    pub host: String,
    /// What servers are made from.
    pub image: String,
    /// When it is fetched.
    pub pull_policy: PullPolicy,
    /// How long fetching it may take; whoever waits for it has his own deadline. 30 min: some gigabytes over a slow
    /// line.
    pub pull_timeout_s: u64,
    /// The network of all servers; made when missing, then without traffic from server to server.
    pub network: String,
    /// Containers are `{name_prefix}-{user}`, volumes `{name_prefix}-{user}_{suffix}`.
    pub name_prefix: String,
    /// The volumes of each user. The default is for the default image.
    pub volumes: Vec<UserVolume>,
    /// Volumes for all.
    pub shared_volumes: Vec<SharedVolume>,
    /// The volume that groups grant at `/mnt/shared`.
    pub shared_volume: String,
    /// Volumes of this host, not made by us, that groups may grant: any other one that is not ours is refused.
    pub group_volumes: Vec<String>,
    /// What runs in the container; none: the image's own command.
    pub command: Option<Vec<String>>,
    /// The port servers listen on inside.
    pub port: u16,
    /// Processes and threads in one container. 4,096: a notebook with its kernels has some hundreds, a fork bomb has
    /// more. None: no limit.
    pub pids_limit: Option<i64>,
    /// The engine's log of one container, in bytes; then it begins anew.
    pub log_limit_bytes: u64,
    /// False where servers are meant to have sudo: no new privileges can be gained otherwise.
    pub no_new_privileges: bool,
    /// The container goes when the server stops (volumes stay). False keeps it, stopped, until the next start.
    pub remove_on_stop: bool,
    /// Reach servers through a port on 127.0.0.1, where the containers' own addresses cannot be reached
    /// (Docker Desktop, rootless engines).
    pub publish_on_loopback: bool,
    /// How long a small call to the engine may take. 10 s.
    pub call_timeout_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: "unix:///var/run/docker.sock".into(),
            image: "quay.io/jupyter/base-notebook".into(),
            pull_policy: PullPolicy::default(),
            pull_timeout_s: 1_800,
            network: "slipway".into(),
            name_prefix: "jupyterlab".into(),
            volumes: vec![
                UserVolume::new("home", "/home/jovyan"),
                UserVolume::new("workspace", "/home/jovyan/work"),
                UserVolume::new("cache", "/home/jovyan/.cache"),
            ],
            shared_volumes: vec![],
            shared_volume: "jupyterhub_shared".into(),
            group_volumes: vec![],
            command: None,
            port: 8888,
            pids_limit: Some(4_096),
            log_limit_bytes: 10 * 1024 * 1024,
            no_new_privileges: true,
            remove_on_stop: true,
            publish_on_loopback: false,
            call_timeout_s: 10,
        }
    }
}
