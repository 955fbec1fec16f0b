//! What administrators may know of the host that we run on. Filled in by `app` from samples taken in the background.

use std::sync::Arc;

use crate::model::Timestamp;

/// Given by `app`: the latest sample; None before the first one. Cheap, never waits.
pub type HostFactsOf = Arc<dyn Fn() -> Option<HostFacts> + Send + Sync>;

/// One sample. What could not be read is None, never 0.
#[derive(Clone, Debug, PartialEq)]
pub struct HostFacts {
    /// When it was taken.
    pub at: Timestamp,
    /// What servers are made by.
    pub engine: EngineShown,
    /// What is kept.
    pub store: StoreShown,
    /// What is served; the first is for whoever asks for none of their names.
    pub certificates: Vec<CertificateShown>,
    /// Processors.
    pub cores: Option<usize>,
    /// How many of them were wanted on average in the last minute.
    pub load: Option<f64>,
    /// The host's memory.
    pub memory: Option<Filled>,
    /// The file system of `data_dir`.
    pub disk: Option<Filled>,
}

/// Something that fills up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// What is taken, in bytes.
    pub used_bytes: u64,
    /// What there is, in bytes.
    pub total_bytes: u64,
}

/// What servers are made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineShown {
    /// `docker`, `process` or `static`.
    pub name: String,
    /// Its version, as it last said; None where there is no such thing.
    pub version: Option<String>,
    /// Why it does not answer; None if it does.
    pub problem: Option<String>,
    /// Since when it answers, or does not.
    pub since: Timestamp,
}

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreShown {
    /// Where.
    pub path: String,
    /// How large the file is.
    pub size_bytes: Option<u64>,
    /// When it was last written to.
    pub written_at: Option<Timestamp>,
}

/// A certificate that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateShown {
    /// Host names and addresses that it is for.
    pub names: Vec<String>,
    /// The file it comes from.
    pub file: String,
    /// It is ours, made for want of another: browsers warn of it.
    pub is_self_signed: bool,
    /// Until when it is good.
    pub ends_at: Timestamp,
}
