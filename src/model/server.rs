//! What can be said of a server: its state, the phases of a start, and why it failed.

use serde::{Deserialize, Serialize};

use super::{Generation, ServerKey, Timestamp};

/// The steps of a start, in order, as the start page shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Looking for the image, pulling it if need be.
    Image,
    /// Making volumes and the container (or the folder of a process).
    Create,
    /// Starting it.
    Start,
    /// It runs; waiting until it answers.
    Ready,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 4] = [Self::Image, Self::Create, Self::Start, Self::Ready];

    /// How far a start is when this phase begins, in percent.
    #[must_use]
    pub fn progress_percent(self) -> u8 {
        match self {
            Self::Image => 5,
            Self::Create => 30,
            Self::Start => 50,
            Self::Ready => 70,
        }
    }
}

/// Where a server is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Not running, and nobody has asked for it.
    Stopped,
    /// On its way to ready.
    Starting(Phase),
    /// Answers requests.
    Ready,
    /// Its program has been ended and begins anew, in the same container.
    Restarting,
    /// On its way to stopped.
    Stopping,
    /// The last start, or the running server, failed; a new start may be asked for.
    Failed(Failure),
}

impl ServerState {
    /// JupyterHub's word for a change under way: `spawn`, `stop` or none.
    #[must_use]
    pub fn pending(&self) -> Option<&'static str> {
        match self {
            Self::Starting(_) | Self::Restarting => Some("spawn"),
            Self::Stopping => Some("stop"),
            Self::Stopped | Self::Ready | Self::Failed(_) => None,
        }
    }

    /// True while it is on its way to answer: a wish to start it changes nothing.
    #[must_use]
    pub fn is_coming(&self) -> bool {
        matches!(self, Self::Starting(_) | Self::Restarting)
    }

    /// True if it neither runs nor is on its way.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Stopped | Self::Failed(_))
    }
}

/// Why a server failed, for the person who waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A sentence: what happened and what can be done. Never a secret.
    pub sentence: String,
    /// The exit status of the server's program, if it ended.
    pub exit_code: Option<i64>,
    /// Its last log lines, oldest first, at most `log_lines` of the spawner's configuration.
    pub log_tail: Vec<String>,
    /// When it happened.
    pub at: Timestamp,
}

/// All that pages and API show of a server: a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStatus {
    /// Where it is in its life.
    pub state: ServerState,
    /// Since when it has been in that state.
    pub since: Timestamp,
    /// When the server that runs, or is on its way, was asked for.
    pub started_at: Option<Timestamp>,
    /// Which start this is.
    pub generation: Generation,
    /// A sentence about what is going on ("Pulling image … 40 %"); empty if there is nothing to say.
    pub message: String,
    /// How far a start is, in percent; 100 when ready.
    pub progress_percent: u8,
}

impl ServerStatus {
    /// The status of a server that nobody has started yet.
    #[must_use]
    pub fn stopped(since: Timestamp) -> Self {
        Self {
            state: ServerState::Stopped,
            since,
            started_at: None,
            generation: Generation(0),
            message: String::new(),
            progress_percent: 0,
        }
    }
}

/// The edge's word to the spawner: this server's upstream did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Whose server.
    pub server: ServerKey,
    /// Which start of it: a report about an earlier one is ignored.
    pub generation: Generation,
}
