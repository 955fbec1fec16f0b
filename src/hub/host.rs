//! What administrators may know of the host that we run on. Filled in by `app` from samples taken in the background.

use std::sync::Arc;

use crate::model::Timestamp;
use crate::store::HostHistoryRow;

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
    /// Names whose certificates are ordered and that somebody should look after.
    pub certificate_troubles: Vec<CertificateTrouble>,
    /// Processors.
    pub cores: Option<usize>,
    /// How many of them were wanted on average in the last minute.
    pub load: Option<f64>,
    /// The host's memory.
    pub memory: Option<Filled>,
    /// How busy they were between the last two looks: 0 to 1.
    pub busy: Option<f64>,
    /// What Slipway itself may use, where its container or unit leaves it less than the host has.
    pub own: OwnShown,
    /// The file system of `data_dir`.
    pub disk: Option<Filled>,
    /// The file system of the container engine's folder, as far as it can be seen from here.
    pub engine_disk: Option<EngineDisk>,
    /// The last week.
    pub history: Arc<HostHistoryRow>,
}

/// The file system of the container engine's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineDisk {
    /// The folder.
    pub folder: String,
    /// How full it is.
    pub filled: Filled,
    /// It is that of `data_dir`, too.
    pub is_data_disk: bool,
}

/// What the container or unit that we run in leaves us; None: no less than the host has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnShown {
    /// Processors.
    pub cores: Option<f64>,
    /// Memory, with all that runs in the same container or unit.
    pub memory: Option<Filled>,
}

/// Something that fills up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// What is taken, in bytes.
    pub used_bytes: u64,
    /// What there is, in bytes.
    pub total_bytes: u64,
}

impl Filled {
    /// How much of it is taken: 0 to 1.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.total_bytes > 0).then(|| (self.used_bytes as f64 / self.total_bytes as f64).min(1.0))
    }
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
    /// When the newest copy was made, if there is one.
    pub copied_at: Option<Timestamp>,
    /// Why the last copy that was due could not be made.
    pub copy_problem: Option<String>,
}

/// A certificate that is ordered and does not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateTrouble {
    /// The host name.
    pub name: String,
    /// Why the last try failed, in one line.
    pub problem: Option<String>,
    /// Until when the one of before is good, if there is one.
    pub ends_at: Option<Timestamp>,
    /// Not before then it is tried again.
    pub next_try: Timestamp,
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
