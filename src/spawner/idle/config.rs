//! Settings of idle servers, as checked by `config`.

use std::time::Duration;

use crate::model::{IdleRules, Switches};

/// When idle servers are stopped, and what counts as use.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// For whoever has no group that says otherwise. Off by default.
    pub rules: IdleRules,
    /// How often all servers are looked at, at least. 60 s: a rule that has changed is in force within a minute.
    pub check_interval: Duration,
    /// How long before its end a server's owner is told. 10 min: time to come back from a coffee.
    pub warn_before: Duration,
    /// What counts as use.
    pub switches: Switches,
    /// A container that computes with this many cores or more is in use. 0.2: an idle JupyterLab takes 0.01.
    pub processor_cores: f64,
    /// Servers that are asked for their kernels and terminals at the same moment, so many. 16: of 10,000 that answer within
    /// 20 ms each, all are asked in 15 s.
    pub questions_at_once: usize,
    /// Graphics processors that are this busy, in percent, are in use. 5: an idle one shows 0.
    pub gpu_percent: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: IdleRules { extension_at_most: Duration::from_secs(24 * 3_600), ..IdleRules::default() },
            check_interval: Duration::from_secs(60),
            warn_before: Duration::from_secs(600),
            switches: Switches::default(),
            processor_cores: 0.2,
            questions_at_once: 16,
            gpu_percent: 5,
        }
    }
}
