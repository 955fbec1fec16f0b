//! What an operator sees: log lines, the access log, figures, and how many panics there were.
//!
//! No request ever waits for a reader of these: lines go through a bounded queue to a thread, and what does not fit
//! is dropped and counted.

mod access_log;
mod file;
mod log;
mod metrics;
mod panics;
mod traces;
mod writer;

use std::path::PathBuf;

pub use access_log::{AccessFormat, AccessLog};
pub use file::LogFile;
pub use log::{InitError, LogFormat, init, init_as_config_proxy, log_lines_dropped, set_level};
pub use metrics::{METRICS_CONTENT_TYPE, Metrics, Page, Samples};
pub use panics::{count_panics, panics};
pub use traces::{Exporter, Traces, TracesConfig, traces};
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
    /// The file that they go to; `None`: standard output.
    pub access_file: Option<PathBuf>,
    /// Where traces go; `None`: none are made.
    pub traces: Option<TracesConfig>,
    /// Bounds of both logs.
    pub limits: WriterLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::default(),
            access: AccessFormat::default(),
            access_file: None,
            traces: None,
            limits: WriterLimits::default(),
        }
    }
}
