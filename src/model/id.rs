//! Ids that name things without telling anything: this installation, and one start of one server.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names this installation (kept in `data_dir`); stands on every container as a label, so that two Slipways on
/// one engine never touch each other's servers. 16 lower-case hex characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InstanceId(pub String);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Counts the starts of one server, from 1. Part of the pool key: a connection opened to one generation can never
/// carry a request for the next, even when the engine hands out the same address again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation of the start after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
