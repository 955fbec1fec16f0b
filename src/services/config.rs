//! Settings of services, as checked by `config`.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of all services.
#[derive(Clone, Debug)]
pub struct Config {
    /// Holds what is needed to find a program again after our own end: `data_dir/services`.
    pub folder: PathBuf,
    /// `PATH` of the programs that set none of their own.
    pub path: String,
    /// `LANG` of the programs.
    pub lang: String,
    /// The wait before a program that ended is started again; doubles with each end in a row. 1 s.
    pub restart_pause: Duration,
    /// The longest such wait. 60 s: a broken service costs one start a minute.
    pub restart_pause_limit: Duration,
    /// A program that ran this long has recovered: the next wait is the first again. 60 s.
    pub steady_after: Duration,
    /// How long a program that is asked to end may take. 5 s, well below `stop_timeout_s`.
    pub stop_grace: Duration,
    /// How long the last lines of a program that has ended are waited for: a child of its may hold its output open.
    pub last_lines_wait: Duration,
    /// Lines of one program in the log, a second; what is more is counted. 200.
    pub log_lines_per_second: u32,
    /// The wait between two questions whether a service answers; shorter while it does not yet. 60 s.
    pub probe_interval: Duration,
    /// How long one such question may take. 5 s.
    pub probe_timeout: Duration,
    /// How long the look-up of a host's name may take. 5 s.
    pub resolve_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            folder: "data/services".into(),
            path: "/usr/local/bin:/usr/bin:/bin".into(),
            lang: "C.UTF-8".into(),
            restart_pause: Duration::from_secs(1),
            restart_pause_limit: Duration::from_secs(60),
            steady_after: Duration::from_secs(60),
            stop_grace: Duration::from_secs(5),
            last_lines_wait: Duration::from_secs(1),
            log_lines_per_second: 200,
            probe_interval: Duration::from_secs(60),
            probe_timeout: Duration::from_secs(5),
            resolve_timeout: Duration::from_secs(5),
        }
    }
}
