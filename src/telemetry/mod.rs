//! What an operator sees: log lines, the access log, figures, and how many panics there were.
//!
//! No request ever waits for a reader of these: lines go through a bounded queue to a thread, and what does not fit
//! is dropped and counted.

mod access_log;
mod log;
mod metrics;
mod panics;
mod writer;

pub use access_log::{AccessFormat, AccessLog};
pub use log::{InitError, LogFormat, init, init_as_config_proxy, log_lines_dropped};
pub use metrics::{METRICS_CONTENT_TYPE, Metrics, Page, Samples};
pub use panics::{count_panics, panics};
pub use writer::{LineWriter, WriterLimits};

/// How Slipway tells what it does.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is worth a line: `error`, `warn`, `info`, `debug`, `trace`, or directives as in `info,slipway::edge=debug`.
    pub level: String,
    /// How log lines look. Default: for people on a terminal, JSON elsewhere.
    pub format: LogFormat,
    /// How access lines look. Default off: JupyterLab polls, and most lines would be that.
    pub access: AccessFormat,
    /// Bounds of both.
    pub limits: WriterLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::default(),
            access: AccessFormat::default(),
            limits: WriterLimits::default(),
        }
    }
}
