//! The hub's settings, typed and with the reason for each default.

use std::path::PathBuf;
use std::time::Duration;

use super::{activity, notices};
use crate::model::{BasePath, ServerKey, ServerName, UserHosts};

/// Everything the hub can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the deployment lives under its host.
    pub base: BasePath,
    /// Scheme and host under which everybody reaches us, if that is configured: `https://lab.example.org`.
    pub public_origin: Option<String>,
    /// With `isolation = "subdomain"`: the hosts of users' servers.
    pub user_hosts: Option<UserHosts>,
    /// The version of JupyterHub whose contract we keep: servers and clients gate features on it.
    pub jupyterhub_version: String,
    /// Name of the session cookie on the public door (`auth::session_cookie_name`).
    pub session_cookie: String,
    /// How long a browser keeps the session cookie; the same as the absolute limit of sessions.
    pub session_cookie_age_s: u64,
    /// A browser's visit to its own stopped server starts it; otherwise a page with a button is shown.
    pub lazy_start: bool,
    /// People may ask for an account.
    pub signup: bool,
    /// The fewest characters of a new password, for the hint beside the field; `auth` is who insists.
    pub password_length_min: usize,
    /// Where a person lands after sign-in who wanted nothing in particular; `None`: their own server.
    pub default_url: Option<String>,
    /// The server that `{base}hub/user-redirect/` means; `None`: the one without a name.
    pub default_server: Option<ServerName>,
    /// A folder whose files take the place of the built-in templates of the same name.
    pub templates_dir: Option<PathBuf>,
    /// `{base}hub/metrics` wants the scope `read:metrics`.
    pub authenticate_metrics: bool,
    /// 64 KiB: our longest form is a confirmation page with a few hundred scopes.
    pub form_limit_bytes: usize,
    /// 1 MiB: as much JSON as an API call may carry (a list of some ten thousand names).
    pub api_body_limit_bytes: usize,
    /// 200, as in JupyterHub: the most items on a page of a list, and how many there are where nobody knows of pages.
    pub api_page_limit: usize,
    /// 50, as in JupyterHub: how many items a page has where the client says nothing.
    pub api_page_default: usize,
    /// 30 s for a whole answer's head; longer than every wait inside.
    pub request_timeout_s: u64,
    /// 10 s, as in JupyterHub: how long `POST …/server` waits for ready before it answers 202.
    pub slow_start_timeout_s: u64,
    /// 10 s, as in JupyterHub: how long `DELETE …/server` waits for stopped before it answers 202.
    pub slow_stop_timeout_s: u64,
    /// 60 s: how long `POST /shutdown` with `servers` waits for all servers to stop before the program stops anyway.
    pub stop_servers_timeout_s: u64,
    /// 8 s, as in JupyterHub: how often a silent progress stream sends an empty line.
    pub progress_keep_alive_s: u64,
    /// 15 min: a progress stream older than that is closed; the page opens another.
    pub progress_limit_s: u64,
    /// 1,024 listeners of progress streams in all; one more gets 429 and its page reloads instead.
    pub progress_listeners: usize,
    /// 4,096 live streams in all (each some 4 KiB, one a visible page); one more gets 429, and its page stays as it is.
    pub live_streams: usize,
    /// 16 live streams of one session: as many windows in sight of one person.
    pub live_streams_per_session: usize,
    /// 20 s: how often a silent live stream sends an empty line, so that nobody in between takes it for dead.
    pub live_keep_alive_s: u64,
    /// 1 h: a live stream older than that is closed; the page opens another.
    pub live_limit_s: u64,
    /// 250 ms between two events about one's own servers.
    pub live_gap_ms: u64,
    /// 1 s between two events about all servers: a course that starts changes a hundred at once.
    pub live_gap_of_all_ms: u64,
    /// 4,096 OAuth codes alive at once (each some 500 bytes); the oldest makes room.
    pub oauth_codes: usize,
    /// 2 s: how long the page of a failed start waits for the log lines of what has just died.
    pub failure_details_wait_s: u64,
    /// 4 users at once of an administrator's act on many: starts keep an engine busy, and others want one, too.
    pub acts_at_once: usize,
    /// 5 min for one user of such an act: longer than the longest start or stop that the spawner allows by default.
    pub act_limit_s: u64,
    /// 1.5 s: how long the answer to such an act waits for its end: then it shows the outcome, not a page that waits.
    pub act_quick_ms: u64,
    /// 2 s: how long a page about users waits for the engine; then it shows the rest.
    pub engine_wait_s: u64,
    /// Bounds of broadcasts to running servers.
    pub notices: notices::Config,
    /// What counts as active, and what is worth a warning.
    pub activity: activity::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base: BasePath::parse("/").expect("the root is a base path"),
            public_origin: None,
            user_hosts: None,
            jupyterhub_version: "6.1.1".to_owned(),
            session_cookie: "__Host-Http-slipway".to_owned(),
            session_cookie_age_s: 14 * 24 * 3600,
            lazy_start: true,
            signup: true,
            password_length_min: 8,
            default_url: None,
            default_server: None,
            templates_dir: None,
            authenticate_metrics: true,
            form_limit_bytes: 64 << 10,
            api_body_limit_bytes: 1 << 20,
            api_page_limit: 200,
            api_page_default: 50,
            request_timeout_s: 30,
            slow_start_timeout_s: 10,
            slow_stop_timeout_s: 10,
            stop_servers_timeout_s: 60,
            progress_keep_alive_s: 8,
            progress_limit_s: 900,
            progress_listeners: 1024,
            live_streams: 4096,
            live_streams_per_session: 16,
            live_keep_alive_s: 20,
            live_limit_s: 3600,
            live_gap_ms: 250,
            live_gap_of_all_ms: 1000,
            oauth_codes: 4096,
            failure_details_wait_s: 2,
            acts_at_once: 4,
            act_limit_s: 300,
            act_quick_ms: 1500,
            engine_wait_s: 2,
            notices: notices::Config::default(),
            activity: activity::Config::default(),
        }
    }
}

impl Config {
    /// `{base}hub/<page>`.
    pub(super) fn hub(&self, page: &str) -> String {
        format!("{}hub/{page}", self.base)
    }

    /// Where people find a server: its path, with the origin in front of it where users have hosts of their own.
    pub(super) fn address_of(&self, server: &ServerKey) -> String {
        let origin = self.user_hosts.as_ref().map(|hosts| hosts.origin(&server.user)).unwrap_or_default();
        origin + &server.prefix(&self.base)
    }

    /// The same with scheme and host, if it is known under which people reach us.
    pub(super) fn full_address_of(&self, server: &ServerKey) -> Option<String> {
        match (&self.user_hosts, &self.public_origin) {
            (Some(_), _) => Some(self.address_of(server)),
            (None, Some(origin)) => Some(format!("{origin}{}", server.prefix(&self.base))),
            (None, None) => None,
        }
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_s)
    }

    pub(super) fn failure_details_wait(&self) -> Duration {
        Duration::from_secs(self.failure_details_wait_s)
    }

    pub(super) fn act_limit(&self) -> Duration {
        Duration::from_secs(self.act_limit_s)
    }

    pub(super) fn act_quick(&self) -> Duration {
        Duration::from_millis(self.act_quick_ms)
    }

    pub(super) fn engine_wait(&self) -> Duration {
        Duration::from_secs(self.engine_wait_s)
    }
}
