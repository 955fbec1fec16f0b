//! The spawner's settings, as checked by `config`: plain values, each with its unit and its reason.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backend::ResourceLimits;
use super::limits::NamedServers;
use super::profiles::Profile;
use crate::model::UserHosts;

/// Settings of the life of servers, whatever the backend.
#[derive(Clone, Debug)]
pub struct Config {
    /// `scheme://host:port` under which servers reach the hub's private listener.
    pub hub_connect_url: String,
    /// With `isolation = "subdomain"`: the hosts of users' servers, as browsers see them.
    pub user_hosts: Option<UserHosts>,
    /// Servers that are created and become ready at the same time; others wait in order of arrival.
    /// 8: an engine creates one after the other anyway; more only makes each of them slower.
    pub starts_at_once: usize,
    /// Starts that may be waiting or under way together; one more is refused with «try again». 100, as JupyterHub's.
    pub concurrent_starts: usize,
    /// Servers that may run, start or stop together; none: no limit.
    pub active_servers: Option<usize>,
    /// How many named servers a user may have.
    pub named_servers_per_user: NamedServers,
    /// Kinds of servers to choose from.
    pub profiles: Vec<Profile>,
    /// Images to choose from beside the default one and those of profiles; `*`: any.
    pub allowed_images: Vec<String>,
    /// How long an image may take to arrive. 30 min: some gigabytes over a slow line.
    pub image_timeout_s: u64,
    /// How long a start may wait for its turn. 10 min.
    pub queue_timeout_s: u64,
    /// How long creating and starting may take together. 60 s, as JupyterHub's `start_timeout`.
    pub start_timeout_s: u64,
    /// How long a started server may take until it answers. 30 s, as JupyterHub's `http_timeout`.
    pub ready_timeout_s: u64,
    /// How long a server has to end by itself before it is ended. 10 s, Docker's own default.
    pub stop_grace_s: u64,
    /// How long any other call to the engine may take (list, inspect, remove, logs). 10 s.
    pub engine_timeout_s: u64,
    /// How often the engine is asked for everything, beside its event stream, which may lose events. 30 s.
    pub list_interval_s: u64,
    /// The stored last activity of a server in use lags behind by at most this. 30 s, as JupyterHub's
    /// `activity_resolution`.
    pub activity_resolution_s: u64,
    /// How often activity in memory is compared with what is stored, in milliseconds. 2,000: it takes a millisecond for
    /// 10,000 servers.
    pub activity_look_ms: u64,
    /// Last log lines kept of a server that failed.
    pub log_lines: usize,
    /// Wishes and events that may wait for the one loop that owns all states; senders wait beyond that.
    pub mailbox_length: usize,
    /// What each server may use, if its profile says nothing else.
    pub limits: ResourceLimits,
    /// The page that JupyterLab opens with (`JUPYTERHUB_DEFAULT_URL`); none: the server's own choice.
    pub default_url: Option<String>,
    /// The administrator's variables for every server; they win over ours.
    pub environment: BTreeMap<String, String>,
    /// Volumes that are there before an account of their name starts its first server are its own, without a question.
    pub gives_left_over_volumes: bool,
    /// How often volumes are measured. 1 h: an engine walks through all files for it. 0: never.
    pub volume_sizes_interval_s: u64,
    /// How long measuring them may take. 10 min: an engine with many took two.
    pub volume_sizes_timeout_s: u64,
    /// How often processor and memory of a server in use are looked at; of one that nobody uses, six times as seldom.
    /// 10 s. 0: never.
    pub usage_interval_s: u64,
    /// Servers looked at at once. 4: an engine answers in some 10 ms, and has other work.
    pub usage_at_once: usize,
    /// How long a look at one server may take. 5 s: an engine that is busy took half a second.
    pub usage_timeout_s: u64,
    /// How often what servers have written beside their volumes is measured. 5 min: the engine walks through all files
    /// for it. 0: never.
    pub layer_sizes_interval_s: u64,
    /// How long measuring that may take. 2 min.
    pub layer_sizes_timeout_s: u64,
    /// When idle servers are stopped, and what counts as use.
    pub idle: super::idle::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hub_connect_url: "http://127.0.0.1:8081".into(),
            user_hosts: None,
            starts_at_once: 8,
            concurrent_starts: 100,
            active_servers: None,
            named_servers_per_user: NamedServers::Off,
            profiles: vec![],
            allowed_images: vec![],
            image_timeout_s: 1_800,
            queue_timeout_s: 600,
            start_timeout_s: 60,
            ready_timeout_s: 30,
            stop_grace_s: 10,
            engine_timeout_s: 10,
            list_interval_s: 30,
            activity_resolution_s: 30,
            activity_look_ms: 2_000,
            log_lines: 50,
            mailbox_length: 1_024,
            limits: ResourceLimits::default(),
            default_url: None,
            environment: BTreeMap::new(),
            gives_left_over_volumes: false,
            volume_sizes_interval_s: 3_600,
            volume_sizes_timeout_s: 600,
            usage_interval_s: 10,
            usage_at_once: 4,
            usage_timeout_s: 5,
            layer_sizes_interval_s: 300,
            layer_sizes_timeout_s: 120,
            idle: super::idle::Config::default(),
        }
    }
}

impl Config {
    /// The deadlines as `life` wants them.
    pub(super) fn deadlines(&self) -> super::life::Deadlines {
        super::life::Deadlines {
            image: Duration::from_secs(self.image_timeout_s),
            queue: Duration::from_secs(self.queue_timeout_s),
            start: Duration::from_secs(self.start_timeout_s),
            ready: Duration::from_secs(self.ready_timeout_s),
            // Asking it to end, then starting it and looking where it is.
            restart: Duration::from_secs(self.stop_grace_s + self.start_timeout_s + self.engine_timeout_s),
            // Asking it to end, then finding, reading its log and removing it, each with its own limit.
            end: Duration::from_secs(self.stop_grace_s + 3 * self.engine_timeout_s),
            look: Duration::from_secs(self.engine_timeout_s),
        }
    }

    pub(super) fn volume_sizes_pace(&self) -> super::volumes::Pace {
        super::volumes::Pace {
            interval: Duration::from_secs(self.volume_sizes_interval_s),
            limit: Duration::from_secs(self.volume_sizes_timeout_s),
            soon: Duration::from_secs(10),
        }
    }

    pub(super) fn engine_timeout(&self) -> Duration {
        Duration::from_secs(self.engine_timeout_s)
    }
}
