//! What the spawner asks of an engine: the trait `Backend`, and the words that go over it.
//!
//! Three real ones exist: `docker`, `process` and `static_upstream`. A backend does what it is told and says what it sees; it keeps no
//! state of a server's life and decides nothing.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::stream::BoxStream;

use crate::model::{Generation, Handle, ServerKey, UpstreamAddress, VolumeStem};
use crate::net::DialError;

/// Where servers run. Every call may be dropped at any await; what it left behind is found by `find` and `list`.
#[async_trait::async_trait]
pub trait Backend: Send + Sync + 'static {
    /// `docker`, `process` or `static`: for logs.
    fn name(&self) -> &'static str;

    /// The image that servers are made from if nobody chooses another; none: there is no such thing here.
    fn image(&self) -> Option<String>;

    /// True if no two servers are at the same address at one time, as an engine has it. Then whoever is seen where
    /// another one was has taken its place.
    fn gives_own_addresses(&self) -> bool {
        true
    }

    /// True if it can give what groups grant beside limits and variables: volumes, the engine's socket, devices.
    fn gives_extras(&self) -> bool {
        false
    }

    /// The volume that groups give at `/mnt/shared`; none: there is no such thing here.
    fn shared_volume(&self) -> Option<String> {
        None
    }

    /// What it says of itself. Asked every half minute.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn facts(&self) -> Result<EngineFacts, BackendError> {
        Ok(EngineFacts::default())
    }

    /// Makes sure that a server could be created: fetches `image` (none: the default one) if need be. One fetch serves all who wait.
    ///
    /// # Errors
    /// If the image is not there and cannot or may not be fetched.
    async fn prepare(
        &self,
        server: &ServerKey,
        image: Option<&str>,
        progress: &ProgressSink,
    ) -> Result<(), BackendError>;

    /// The address that the next server shall listen on: the same for all containers, a free port for a process.
    ///
    /// # Errors
    /// If there is no free port.
    async fn listen_address(&self) -> Result<SocketAddr, BackendError>;

    /// Makes the server's container (or folder), not started. A leftover of ours of the same name is replaced, a
    /// stranger's is never touched.
    ///
    /// # Errors
    /// If the engine refuses, or the name belongs to somebody else.
    async fn create(&self, order: &Order) -> Result<Handle, BackendError>;

    /// Starts it and says how it is then: running at the address where it will answer, or ended at once.
    ///
    /// # Errors
    /// If the engine refuses.
    async fn start(&self, handle: &Handle) -> Result<Sight, BackendError>;

    /// Asks it to end, ends it after `grace`. One that is not running or not there is a success.
    ///
    /// # Errors
    /// If the engine refuses or does not answer.
    async fn stop(&self, handle: &Handle, grace: Duration) -> Result<(), BackendError>;

    /// False where servers cannot be restarted; then nobody calls `restart`.
    fn can_restart(&self) -> bool {
        true
    }

    /// Asks its program to end, ends it after `grace`, and starts it again: the same container with all that is in it
    /// and the same variables. Says how it is then, as `start` does; its address may be another. `Gone`: there is none.
    ///
    /// # Errors
    /// If the engine refuses or does not answer.
    async fn restart(&self, handle: &Handle, grace: Duration) -> Result<Sight, BackendError>;

    /// Removes what is left of a stopped one; what the user keeps (volumes, folder) stays. Not there is a success.
    ///
    /// # Errors
    /// If the engine refuses or does not answer.
    async fn remove(&self, handle: &Handle) -> Result<(), BackendError>;

    /// How it is now.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn inspect(&self, handle: &Handle) -> Result<Sight, BackendError>;

    /// Its last `lines` lines, oldest first.
    ///
    /// # Errors
    /// If there is no log or the engine does not answer.
    async fn log_tail(&self, handle: &Handle, lines: usize) -> Result<Vec<String>, BackendError>;

    /// What exists under this server's name, if it is ours.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn find(&self, server: &ServerKey) -> Result<Option<Found>, BackendError>;

    /// Everything of this installation.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn list(&self) -> Result<Vec<Found>, BackendError>;

    /// What happens to servers from now on. The stream ends when the engine does.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn events(&self) -> Result<BoxStream<'static, Notice>, BackendError>;

    /// True if users can have a volume with this suffix that is theirs alone.
    fn has_volume(&self, _suffix: &str) -> bool {
        false
    }

    /// Which volumes of `stem` exist, in the order of the settings, and which shared ones after them.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn volumes(&self, _stem: &VolumeStem) -> Result<Vec<Volume>, BackendError> {
        Ok(vec![])
    }

    /// Removes a volume of `stem` with all that is in it; never a shared one. None of the user's servers runs meanwhile.
    /// In one step as the user sees it: afterwards it is as it was, or gone.
    ///
    /// # Errors
    /// If the engine refuses or does not answer.
    async fn remove_volume(&self, _stem: &VolumeStem, _suffix: &str) -> Result<Removal, BackendError> {
        Ok(Removal::Absent)
    }

    /// How many bytes each volume has, by name, as far as that is known. Slow, for the engine as well: for the background
    /// alone, and the caller has the deadline.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn volume_sizes(&self) -> Result<HashMap<String, u64>, BackendError> {
        Ok(HashMap::new())
    }

    /// Whose volume this is by its name, and which of theirs: `home`. None: nobody's alone.
    fn owner_of_volume(&self, _name: &str) -> Option<(VolumeStem, String)> {
        None
    }

    /// What a running server has used of processors so far, and what it uses of memory now. None: it does not run, or
    /// nobody here can know. For the background alone, and the caller has the deadline.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn usage(&self, _handle: &Handle) -> Result<Option<UsageReading>, BackendError> {
        Ok(None)
    }

    /// How much each server has written beside its volumes, as far as that is known: it goes with the container. Slow,
    /// for the engine as well: for the background alone, and the caller has the deadline.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn layer_sizes(&self) -> Result<HashMap<ServerKey, LayerSize>, BackendError> {
        Ok(HashMap::new())
    }
}

/// What one look at a running server says. What it does not say is None, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageReading {
    /// Two of these say how busy it was between them.
    pub processor: Option<ProcessorReading>,
    /// Memory in use, without file caches that the kernel would give back.
    pub memory_bytes: Option<u64>,
}

/// Counters that only grow while a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessorReading {
    /// Processor time that the server has had, in nanoseconds.
    pub used_ns: u64,
    /// What one core could have given by then, in nanoseconds: a clock whose zero does not matter.
    pub core_ns: u64,
    /// How many cores there are: nobody uses more.
    pub cores: u32,
}

/// How large a container is beside its volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSize {
    /// What has been written into it, in bytes.
    pub written_bytes: u64,
    /// That and its image, in bytes.
    pub whole_bytes: Option<u64>,
}

/// A volume that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The part of its name after the owner's: `home`.
    pub suffix: String,
    /// Its real name.
    pub name: String,
    /// Where servers see it.
    pub mount: String,
    /// What people call it; none: the suffix.
    pub label: Option<String>,
    /// What it is for; may be empty.
    pub description: String,
    /// It is everybody's: nobody resets it.
    pub is_shared: bool,
}

/// What became of a volume that was to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// There was none.
    Absent,
    /// Something still uses it; by what it is known.
    InUse(String),
}

/// What an engine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineFacts {
    /// Its version; none where there is no such thing.
    pub version: Option<String>,
    /// It can give graphics processors to servers.
    pub gives_gpus: bool,
    /// It knows no single graphics processors, all of them or none: Docker Desktop on Windows.
    pub gives_all_gpus_only: bool,
    /// Where it keeps containers and volumes, if that is on this host; None: it does not say, or is elsewhere.
    pub folder: Option<PathBuf>,
}

/// Where `prepare` says how far it is: a sentence, and percent where known. Cheap; may be called often.
pub type ProgressSink = dyn Fn(String, Option<u8>) + Send + Sync;

/// One server to be made.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whose server.
    pub server: ServerKey,
    /// Which start of it.
    pub generation: Generation,
    /// Where it shall listen: what `listen_address` gave.
    pub listen: SocketAddr,
    /// What it is made from; none where there are no images.
    pub image: Option<String>,
    /// What runs; none: what the backend's settings say.
    pub command: Option<Vec<String>>,
    /// All variables (contract §1.1 and the administrator's).
    pub environment: Environment,
    /// What it may use.
    pub limits: ResourceLimits,
    /// Whose volumes it sees.
    pub volumes: VolumeStem,
    /// What groups give beside.
    pub extras: Extras,
}

/// What groups give a server beside limits and variables. Built from scratch at each start: nothing is left over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// No swap beside its memory; only where memory is limited.
    pub swap_off: bool,
    /// Named volumes beside its owner's own.
    pub mounts: Vec<GrantedMount>,
    /// The engine's socket, to read and to write.
    pub docker_socket: bool,
    /// A container without confinement.
    pub privileged: bool,
    /// Graphics processors.
    pub gpu: GpuRequest,
}

/// A named volume that a group gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedMount {
    /// Its name at the engine.
    pub volume: String,
    /// Where the server sees it.
    pub path: String,
    /// It can be looked at alone.
    pub read_only: bool,
}

/// Graphics processors that a server is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GpuRequest {
    /// None.
    #[default]
    None,
    /// All of the host's.
    All,
    /// These, by UUID or index.
    Ids(Vec<String>),
}

/// What one server may use; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ResourceLimits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Processors, in cores.
    pub cpu_cores: Option<f64>,
}

/// A server's variables. `Debug` shows their names alone: the token is among the values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(pub BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// How a server is, as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It runs, and this is where.
    Running(UpstreamAddress),
    /// It runs, but where nobody can reach it: somebody has taken it off its network.
    Astray,
    /// Made but never started.
    Created,
    /// Its program has ended.
    Exited(Exit),
    /// There is nothing.
    Gone,
}

/// How a server's program ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// The exit status, where known.
    pub code: Option<i64>,
    /// True if the kernel ended it because it used more memory than it may.
    pub out_of_memory: bool,
}

/// One thing of ours that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whose server.
    pub server: ServerKey,
    /// Which start of it.
    pub generation: Generation,
    /// How to speak of it to the backend.
    pub handle: Handle,
    /// How it is.
    pub sight: Sight,
}

/// Something happened to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whose server.
    pub server: ServerKey,
    /// Which start of it.
    pub generation: Generation,
    /// How it is now.
    pub sight: Sight,
}

/// Why a backend could not do what it was told. `Display` is for the log; `for_person` is for the one who waits.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Pulling is off, or not tried.
    #[error("image {image} is not on this host and pulling is off")]
    ImageMissing {
        /// The image.
        image: String,
    },
    /// Pulling was tried.
    #[error("image {image} could not be pulled: {reason}")]
    PullFailed {
        /// The image.
        image: String,
        /// The engine's words.
        reason: String,
    },
    /// A container of that name belongs to somebody else.
    #[error("a container named {name} exists that is not ours")]
    Foreign {
        /// The container's name.
        name: String,
    },
    /// The engine said no.
    #[error("{engine} refused to {act}: {reason}")]
    Refused {
        /// `docker` or `process`.
        engine: &'static str,
        /// What it was asked to do.
        act: &'static str,
        /// Its words.
        reason: String,
    },
    /// The engine said nothing.
    #[error("{engine} did not answer within {limit:?} when asked to {act}")]
    Slow {
        /// `docker` or `process`.
        engine: &'static str,
        /// What it was asked to do.
        act: &'static str,
        /// How long we waited.
        limit: Duration,
    },
    /// The engine is not there.
    #[error("{engine} cannot be reached: {reason}")]
    Unavailable {
        /// `docker` or `process`.
        engine: &'static str,
        /// Why.
        reason: String,
    },
    /// A server that is started elsewhere is not there.
    #[error("the upstream of all servers does not answer")]
    UpstreamDown {
        /// Where it should be.
        address: UpstreamAddress,
        /// Why.
        #[source]
        cause: DialError,
    },
    /// Our own settings do not allow it.
    #[error("{0}")]
    Settings(String),
}

impl BackendError {
    /// What happened and what can be done, as the second half of a sentence that begins «Your server could not
    /// start because».
    #[must_use]
    pub fn for_person(&self) -> String {
        match self {
            Self::ImageMissing { image } => format!(
                "its image `{image}` is not on this host and pulling is off. Ask an administrator to pull it: \
                 `docker pull {image}`."
            ),
            Self::PullFailed { image, .. } => format!(
                "its image `{image}` is not on this host and pulling failed. Ask an administrator to pull it: \
                 `docker pull {image}`."
            ),
            Self::Foreign { name } => format!(
                "a container named `{name}` exists that this hub did not make. Ask an administrator to rename it \
                 (`docker rename {name} {name}-old`) or to remove it."
            ),
            Self::Refused { act, reason, .. } => format!(
                "the container engine refused to {act}: {}. Try again; if it stays so, tell an administrator.",
                reason.trim_end_matches('.')
            ),
            Self::Slow { limit, .. } => format!(
                "the container engine did not answer within {} seconds. Try again in a minute; if it stays so, tell \
                 an administrator.",
                limit.as_secs()
            ),
            Self::Unavailable { .. } => {
                "the container engine cannot be reached. Tell an administrator that it seems to be down.".into()
            }
            Self::UpstreamDown { address, .. } => format!(
                "nothing answers at {address}, where it should run. Try again in a minute; if it stays so, tell an \
                 administrator to start it, or to correct `spawner.static.upstream`."
            ),
            Self::Settings(text) => format!("of a setting: {text}. Tell an administrator."),
        }
    }

    /// True if the engine itself did not answer: what we asked for may or may not have happened.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Slow { .. } | Self::Unavailable { .. })
    }
}
