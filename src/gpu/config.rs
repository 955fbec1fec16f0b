//! The settings of graphics processors.

use std::time::Duration;

use super::STALE_AT_LEAST;

/// Whether servers get graphics processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enable {
    /// Never.
    Off,
    /// If the engine can give them, also where the driver's library is not ours to load.
    On,
    /// If the driver says which there are and the engine can give them.
    #[default]
    Detect,
}

impl Enable {
    /// `off`, `on` or `detect`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Detect => "detect",
        }
    }
}

/// How graphics processors are found and given.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Whether servers get them at all.
    pub enable: Enable,
    /// As long as no group grants any, every server gets all of them.
    pub everybody: bool,
    /// Between two looks, in seconds. 30: figures on a page, and a look costs the driver some milliseconds.
    pub sample_interval_s: u64,
    /// How long a look may take, in seconds. 10: one that wakes sleeping processors takes three.
    pub look_timeout_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { enable: Enable::Detect, everybody: true, sample_interval_s: 30, look_timeout_s: 10 }
    }
}

impl Config {
    pub(super) fn sample_interval(&self) -> Duration {
        Duration::from_secs(self.sample_interval_s.max(1))
    }

    pub(super) fn look_timeout(&self) -> Duration {
        Duration::from_secs(self.look_timeout_s.max(1))
    }

    /// What was seen longer ago is not believed.
    pub(super) fn stale_after(&self) -> Duration {
        (self.sample_interval() * 2).max(STALE_AT_LEAST)
    }
}
