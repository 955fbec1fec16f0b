//! The life of every server: start, watch, stop, reconcile. Publishes routes; knows no HTTP pages.
//!
//! `life` is the pure table, `driver` the one loop that owns all lives, `steps` what it has done, `reconcile` what the
//! engine says, `backend` the engine as a trait with three real ones: `docker`, `process` and
//! `static_upstream`.

mod activity;
mod answering;
mod answers;
mod backend;
mod board;
mod changes;
mod config;
mod counts;
mod driver;
mod environment;
mod granted;
mod idle;
mod life;
mod limits;
mod log_lines;
mod profiles;
mod ready;
mod reconcile;
mod record;
mod rows;
mod steps;
mod trouble;
mod usage;
mod volumes;

pub mod docker;
pub mod process;
pub mod static_upstream;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::warn;

pub use answering::Answering;
pub use answers::{Errand, Errands};
pub use backend::{
    Backend, BackendError, EngineFacts, Environment, Exit, Extras, Found, GpuRequest, GrantedMount, LayerSize, Notice,
    Order, ProcessorReading, ProgressSink, Removal, ResourceLimits, Sight, UsageReading, Volume,
};
pub use changes::ServerChange;
pub use config::Config;
pub use counts::Figures;
pub use idle::{Config as IdleConfig, ExtendError, Extended, IdleFigures, IdleRulesOf};
pub use limits::NamedServers;
pub use profiles::{ANY_IMAGE, Offer, Profile, is_image};
pub use record::{Change, Defined, ServerRecord, Wish};
pub use usage::{UsageSample, UsageTotals};
pub use volumes::{Outcome, OwnedSizes, Settlement, VolumeListing, VolumeOutcome, VolumeSize};

use crate::model::{
    ActivitySource, Actor, BasePath, Clock, DisplayName, Effective, GpuHeld, GrantedGpu, Live, NameError, Routes,
    Secret, ServerKey, ServerOptions, ServerState, ServerStatus, Timestamp, Unreachable, UserName,
};
use crate::store::{Store, StoreError, Transaction};
use crate::tasks::Tasks;
use board::Board;
use driver::{Driver, Mail, Surroundings};
use rows::Rows;
use steps::Steps;

/// Given by `app`: how a server's API token is made and ended (the real one is `auth`).
#[async_trait::async_trait]
pub trait ServerTokens: Send + Sync + 'static {
    /// Makes a new token for `server`; an older one of it ends. `also` is done in the same commit: a start waits for one
    /// fsync instead of two, one after the other.
    async fn issue(&self, server: &ServerKey, also: Also) -> Result<Secret, StoreError>;
    /// Ends the server's token and whatever was granted through it.
    async fn end(&self, server: &ServerKey) -> Result<(), StoreError>;
    /// These servers are no more, `also` says it in the store: in the same commit ends all that was given of them, so
    /// that later ones of their names are nobody else's to enter.
    async fn forget(&self, servers: &[ServerKey], also: Also) -> Result<(), StoreError>;
    /// This server has another name, `also` says it in the store: in the same commit follows what was given of it.
    async fn rename(&self, from: &ServerKey, to: &ServerKey, also: Also) -> Result<(), StoreError>;
    /// Why nothing of this user may start now, as a sentence for whoever wants to start it; None if it may.
    fn objection(&self, _user: &UserName) -> Option<String> {
        None
    }
}

/// A part of somebody else's commit.
pub type Also = Box<dyn FnOnce(&mut Transaction<'_>) -> Result<(), StoreError> + Send>;

/// Given by `app`: the groups of a user, for profiles that are for some only.
pub type GroupsOf = Arc<dyn Fn(&UserName) -> Vec<String> + Send + Sync>;

/// Given by `app`: what the next start of a user's servers gets through groups.
pub type GrantsOf = Arc<dyn Fn(&UserName) -> Effective + Send + Sync>;

/// Given by `app`: who has which graphics processor (the real one is `gpu`). Never fails and never waits: what is not
/// known to be there is not given.
pub trait GpuLender: Send + Sync + 'static {
    /// What `server` gets, which is about to be made, if groups grant it this. Asked again as long as it waits.
    fn ask(&self, server: &ServerKey, grant: Option<&GrantedGpu>) -> GpuAnswer;
    /// A server that runs since before us has this.
    fn adopt(&self, server: &ServerKey, held: &GpuHeld);
    /// This server is down, or waits no longer: whatever it had is free.
    fn release(&self, server: &ServerKey);
    /// Servers whose processors are this busy now, in percent. A processor that several servers share tells of none.
    fn at_work(&self, _percent: u32) -> Vec<ServerKey> {
        vec![]
    }
}

/// What a server gets of the graphics processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuAnswer {
    /// It starts, with this or with none.
    Given {
        /// What to ask the engine for.
        request: GpuRequest,
        /// The same as it is kept.
        held: GpuHeld,
    },
    /// It waits for its turn; a sentence for whoever waits with it.
    Wait(String),
}

/// A host without graphics processors.
#[derive(Clone, Copy, Debug)]
pub struct NoGpus;

impl GpuLender for NoGpus {
    fn ask(&self, _: &ServerKey, _: Option<&GrantedGpu>) -> GpuAnswer {
        GpuAnswer::Given { request: GpuRequest::None, held: GpuHeld::default() }
    }
    fn adopt(&self, _: &ServerKey, _: &GpuHeld) {}
    fn release(&self, _: &ServerKey) {}
}

/// Why a wish was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SpawnerError {
    /// `concurrent_starts` is reached.
    #[error("too many servers are starting; try again")]
    TooMany {
        /// When a place may be free: not the same for all, so that they do not come back at once.
        retry_after: Duration,
    },
    /// `active_servers` is reached.
    #[error("too many servers are running; try again later")]
    TooManyActive {
        /// When to ask again.
        retry_after: Duration,
    },
    /// This user has as many named servers as one may have.
    #[error("a user may have {limit} named servers")]
    TooManyNamed {
        /// `named_servers_per_user`.
        limit: usize,
    },
    /// `named_servers_per_user` is 0.
    #[error("named servers are not enabled")]
    NamedServersOff,
    /// The name is none that a new server or a display name may have.
    #[error(transparent)]
    BadName(#[from] NameError),
    /// Options that this installation does not know or this user may not choose; a sentence for people.
    #[error("{0}")]
    BadOptions(String),
    /// The account may start nothing now, whoever asks; a sentence for people.
    #[error("{0}")]
    MayNotStart(String),
    /// There is no server of that name.
    #[error("there is no such server")]
    NoSuchServer,
    /// There is another server of that name.
    #[error("the user has a server of that name already")]
    NameTaken,
    /// What was asked for is only done to a stopped server.
    #[error("the server is not stopped")]
    Running,
    /// Only a server that runs can be restarted.
    #[error("the server is not running")]
    NotRunning,
    /// It should run, and the engine says that it is not there any more.
    #[error("the server's container is not there any more")]
    ContainerGone,
    /// Servers of this backend are not started by us.
    #[error("servers cannot be restarted here: somebody else starts them")]
    CannotRestart,
    /// The engine refused or did not answer, and nothing has changed.
    #[error("the container engine does not answer")]
    Engine(#[source] Arc<BackendError>),
    /// The account has ended meanwhile.
    #[error("there is no such user")]
    NoSuchUser,
    /// The user of this server is being deleted.
    #[error("the server is stopping; try again in a moment")]
    Stopping,
    /// The program is being stopped.
    #[error("Slipway is stopping")]
    Closed,
    /// There are no volumes on which anybody has to decide.
    #[error("there are no left-over volumes")]
    NoLeftOver,
    /// The rows could not be read or written.
    #[error("the store failed")]
    Store(#[source] StoreError),
}

impl From<volumes::NoVolumes> for SpawnerError {
    fn from(error: volumes::NoVolumes) -> Self {
        match error {
            volumes::NoVolumes::Backend(error) => error.into(),
            volumes::NoVolumes::Store(error) => error.into(),
            error => BackendError::Settings(error.to_string()).into(),
        }
    }
}

impl From<BackendError> for SpawnerError {
    fn from(error: BackendError) -> Self {
        Self::Engine(Arc::new(error))
    }
}

impl From<StoreError> for SpawnerError {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Gone(_)) { Self::NoSuchUser } else { Self::Store(error) }
    }
}

/// What a spawner is built from.
pub struct Parts {
    /// Where servers run.
    pub backend: Arc<dyn Backend>,
    /// Where rows are kept.
    pub store: Store,
    /// Where ready servers are published.
    pub routes: Arc<Routes>,
    /// How servers get their tokens.
    pub tokens: Arc<dyn ServerTokens>,
    /// Who is in which group.
    pub groups: GroupsOf,
    /// What groups give.
    pub grants: GrantsOf,
    /// Which graphics processors are given.
    pub gpus: Arc<dyn GpuLender>,
    /// When idle servers of somebody are stopped.
    pub idle_rules: IdleRulesOf,
    /// How servers are asked for their kernels; None: they are not.
    pub errands: Option<Errands>,
    /// Where the deployment lives under its host.
    pub base: BasePath,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where tasks run.
    pub tasks: Tasks,
}

/// The life of all servers. Cheap to clone.
#[derive(Clone)]
pub struct Spawner {
    mail: mpsc::Sender<Mail>,
    board: Arc<Board>,
    backend: Arc<dyn Backend>,
    config: Live<Config>,
    counts: Arc<counts::Counts>,
    groups: GroupsOf,
    volumes: Arc<volumes::Keeper>,
    usage: Arc<usage::Usages>,
    base: BasePath,
    /// Places for questions that people's pages have put to servers.
    questions: Arc<Semaphore>,
    tokens: Arc<dyn ServerTokens>,
    idle: Arc<idle::Idle>,
}

/// While it lives, nothing of a user's starts or changes: made by `Spawner::hold`.
#[derive(Clone, Debug)]
pub struct Hold {
    user: UserName,
    mail: mpsc::Sender<Mail>,
    /// The driver has the weak end.
    _alive: Arc<()>,
}

impl Hold {
    /// The account has another name now, and its rows with it (`Transaction::rename_servers`): so have its servers.
    ///
    /// # Errors
    /// If the program stops; the rows are read at the next start.
    pub async fn renamed(self, to: &UserName) -> Result<(), SpawnerError> {
        let (answer, answered) = oneshot::channel();
        let letter = Mail::Renamed(self.user.clone(), to.clone(), answer);
        self.mail.send(letter).await.map_err(|_| SpawnerError::Closed)?;
        answered.await.map_err(|_| SpawnerError::Closed)
    }
}

impl Spawner {
    /// Reads the rows, asks the engine what exists (for `engine_timeout_s` at most: an engine that is down must not
    /// keep us from serving), adopts what runs and begins to watch. Returns once the first listing has been sent in;
    /// adopted servers become ready within milliseconds after, each as it answers.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub async fn open(config: impl Into<Live<Config>>, parts: Parts) -> Result<Self, StoreError> {
        let live: Live<Config> = config.into();
        let config = live.snapshot();
        let Parts { backend, store, routes, tokens, groups, grants, gpus, idle_rules, errands, base, clock, tasks } =
            parts;
        let rows = Rows(store);
        volumes::give_owners(&rows).await?;
        let known = rows.all().await?;
        let watched = rows.idle_watch().await?;
        let idle = Arc::new(idle::Idle::new(live.clone(), idle_rules.clone(), clock.clone(), watched));
        let board = Arc::new(Board::new(clock.now()));
        let (mail, mailbox) = mpsc::channel(config.mailbox_length.max(1));
        let engine_timeout = config.engine_timeout();
        let list_interval = Duration::from_secs(config.list_interval_s.max(1));

        let first_list = match timeout(engine_timeout, backend.list()).await {
            Ok(Ok(found)) => Some(found),
            Ok(Err(error)) => {
                warn!(
                    engine = backend.name(),
                    error = &error as &dyn std::error::Error,
                    "the engine does not answer yet"
                );
                None
            }
            Err(_) => {
                warn!(engine = backend.name(), limit_s = engine_timeout.as_secs(), "the engine does not answer yet");
                None
            }
        };

        let own_base = base.clone();
        let ready = ready::Config::default();
        let probes = Semaphore::new(ready.tries_at_once);
        tasks.spawn(activity::keep(board.clone(), rows.clone(), Config::clone(&config), tasks.stopping().clone()));
        let counts = Arc::<counts::Counts>::default();
        let of_servers = Arc::clone(&tokens);
        let (engine, counting) = (backend.clone(), counts.clone());
        let volumes = Arc::new(volumes::Keeper {
            backend: backend.clone(),
            rows: rows.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            sizes: volumes::Sizes::default(),
            gives_left_over: config.gives_left_over_volumes,
        });
        tasks.spawn(volumes.clone().keep_sizes(config.volume_sizes_pace(), tasks.stopping().clone()));
        let usage = Arc::new(usage::Usages::new(&config, backend.clone(), board.clone(), clock.clone()));
        tasks.spawn(usage.clone().keep_usage(tasks.stopping().clone()));
        let sampled = usage.clone();
        let asks = errands.is_some();
        let answers = answers::Answers::new(answers::Parts {
            board: board.clone(),
            samples: Box::new(move || sampled.all()),
            errands,
            rules: idle_rules,
            base: base.clone(),
            clock: clock.clone(),
            config: live.clone(),
        });
        if asks {
            let asking = answers.clone();
            idle.ask_with(Arc::new(move |server| {
                let asking = asking.clone();
                Box::pin(async move { asking.ask(&server).await })
            }));
        }
        tasks.spawn(answers.keep(tasks.stopping().clone()));
        tasks.spawn(usage.clone().keep_layers(tasks.stopping().clone()));
        let idle_rows = rows.clone();
        let steps = Arc::new(Steps {
            config: live.clone(),
            ready,
            probes,
            base,
            backend: engine,
            tokens,
            rows,
            volumes: volumes.clone(),
            counts: counting,
        });
        let around = Surroundings {
            routes,
            board: board.clone(),
            clock,
            tasks: tasks.clone(),
            mail: mail.clone(),
            groups: groups.clone(),
            grants,
            gpus: gpus.clone(),
            idle: idle.clone(),
        };
        let driver = Driver::new(steps, around, known);
        if let Some(found) = first_list {
            // The mailbox is empty: this does not wait.
            let _ = mail.send(Mail::Listed(found)).await;
        }
        tasks.spawn(driver.run(mailbox));
        let keeper = idle::Keeper { board: board.clone(), rows: idle_rows, mail: mail.clone(), gpus };
        tasks.spawn(idle.clone().keep(keeper, tasks.stopping().clone()));

        let stopping = tasks.stopping().clone();
        let (engine, letters) = (backend.clone(), mail.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = reconcile::watch_engine(engine, letters, list_interval, engine_timeout) => {}
            }
        });
        let questions = Arc::new(Semaphore::new(answering::QUESTIONS_AT_ONCE));
        Ok(Self {
            mail,
            board,
            backend,
            config: live,
            counts,
            groups,
            volumes,
            usage,
            base: own_base,
            questions,
            tokens: of_servers,
            idle,
        })
    }

    /// Wishes a start (idempotent, coalesced: many wishes, one start) and returns the status right after the wish was
    /// taken. What the wish says beside is durable then; it counts for a start that comes of it, not for one under way.
    /// A named server that is not there yet is made.
    ///
    /// # Errors
    /// If too many servers start or run, the user has enough named ones, name or options are not good here, the user
    /// is being deleted, the store fails, or the program stops.
    pub async fn start(&self, server: &ServerKey, wish: Wish) -> Result<ServerStatus, SpawnerError> {
        if let Some(sentence) = self.tokens.objection(&server.user) {
            return Err(SpawnerError::MayNotStart(sentence));
        }
        let started = self.ask(|answer| Mail::Start(server.clone(), wish, answer)).await;
        if matches!(started, Err(SpawnerError::TooMany { .. } | SpawnerError::TooManyActive { .. })) {
            self.counts.refused.one();
        }
        started
    }

    /// The image that servers are made from if nobody chooses another; none where there are no images.
    #[must_use]
    pub fn image(&self) -> Option<String> {
        self.backend.image()
    }

    /// Wishes a stop; returns the status right after.
    ///
    /// # Errors
    /// If the program stops.
    pub async fn stop(&self, server: &ServerKey, by: impl Into<Actor>) -> Result<ServerStatus, SpawnerError> {
        let by = by.into();
        self.ask(|answer| Mail::Stop(server.clone(), by, answer)).await
    }

    /// Ends the program of a server that runs and starts it again in the same container: its volumes, what was
    /// installed in it, its variables and its token stay; unsaved work and its address may not. Returns once the wish is
    /// durable and the route is withdrawn; follow the status to see it come back. One that is being restarted already is
    /// restarted once.
    ///
    /// # Errors
    /// If it does not run, cannot be restarted here, its user is leaving, the engine or the store fails, or the program
    /// stops. Nothing has changed then.
    pub async fn restart(&self, server: &ServerKey, by: impl Into<Actor>) -> Result<ServerStatus, SpawnerError> {
        let by = by.into();
        self.ask(|answer| Mail::Restart(server.clone(), by, answer)).await
    }

    /// False where servers cannot be restarted, because somebody else starts them.
    #[must_use]
    pub fn can_restart(&self) -> bool {
        self.backend.can_restart()
    }

    /// Stops these servers and returns once all are down; their records stay. Each ends within its own deadline.
    ///
    /// # Errors
    /// If the program stops.
    pub async fn stop_all(&self, servers: &[ServerKey], by: impl Into<Actor>) -> Result<(), SpawnerError> {
        let by = by.into();
        for server in servers {
            self.stop(server, &by).await?;
        }
        for server in servers {
            // An error is the end of the watch: then nothing of it is left.
            let _ = self.watch(server).wait_for(|status| status.state.is_down()).await;
        }
        Ok(())
    }

    /// The same for all servers of a user.
    ///
    /// # Errors
    /// If the program stops.
    pub async fn stop_all_of(&self, user: &UserName, by: impl Into<Actor>) -> Result<(), SpawnerError> {
        let servers: Vec<_> = self.servers_of(user).into_iter().map(|(server, _)| server).collect();
        self.stop_all(&servers, by).await
    }

    async fn ask<T>(
        &self,
        letter: impl FnOnce(oneshot::Sender<Result<T, SpawnerError>>) -> Mail,
    ) -> Result<T, SpawnerError> {
        let (answer, answered) = oneshot::channel();
        self.mail.send(letter(answer)).await.map_err(|_| SpawnerError::Closed)?;
        answered.await.unwrap_or(Err(SpawnerError::Closed))
    }

    /// The status as last published.
    #[must_use]
    pub fn status(&self, server: &ServerKey) -> ServerStatus {
        self.board.status(server)
    }

    /// What is known of a server beside its status. None: nobody has defined or started it (a named server does not exist
    /// then).
    #[must_use]
    pub fn record(&self, server: &ServerKey) -> Option<Arc<ServerRecord>> {
        self.board.record(server)
    }

    /// Whether people may have named servers here.
    #[must_use]
    pub fn has_named_servers(&self) -> bool {
        self.named_servers() != NamedServers::Off
    }

    /// How many named servers a user may have.
    #[must_use]
    pub fn named_servers(&self) -> NamedServers {
        self.config.read().named_servers_per_user
    }

    /// What this user may choose from when a server is started.
    #[must_use]
    pub fn offer(&self, user: &UserName) -> Offer {
        profiles::offer(&self.config.read(), self.backend.image().as_deref(), &(self.groups)(user))
    }

    /// `docker`, `process` or `static`.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        self.backend.name()
    }

    /// What the engine says of itself, now.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn engine_facts(&self) -> Result<EngineFacts, BackendError> {
        self.backend.facts().await
    }

    /// True if servers can have what groups give beside limits and variables; local processes cannot.
    #[must_use]
    pub fn gives_extras(&self) -> bool {
        self.backend.gives_extras()
    }

    /// What a server may use if neither its profile nor a group says.
    #[must_use]
    pub fn default_limits(&self) -> ResourceLimits {
        self.config.read().limits
    }

    /// The user's default server, then the named ones in order of name, stopped ones too.
    #[must_use]
    pub fn servers_of(&self, user: &UserName) -> Vec<(ServerKey, ServerStatus)> {
        self.board.servers_of(user)
    }

    /// Makes a named server without starting it; durable when it returns.
    ///
    /// # Errors
    /// If named servers are off, the name is none for a new server, the user has enough of them, the options are not
    /// known here, or the store fails.
    pub async fn define(
        &self,
        server: &ServerKey,
        display_name: Option<DisplayName>,
        options: Option<ServerOptions>,
    ) -> Result<Defined, SpawnerError> {
        self.ask(|answer| Mail::Define(server.clone(), display_name, options, answer)).await
    }

    /// Changes what is known of a stopped server; durable when it returns.
    ///
    /// # Errors
    /// If there is none, it is not stopped, the new name is taken or none, the options are not known here, or the store
    /// fails.
    pub async fn change(&self, server: &ServerKey, change: Change) -> Result<(), SpawnerError> {
        self.ask(|answer| Mail::Change(server.clone(), change, answer)).await
    }

    /// Stops a server and forgets it; its volumes stay. Ends when both are done, within the stop deadline; starts of it
    /// are refused meanwhile. Nothing breaks if the caller does not wait for the end.
    ///
    /// # Errors
    /// If there is none, the store fails, or the program stops.
    pub async fn remove(&self, server: &ServerKey, by: impl Into<Actor>) -> Result<(), SpawnerError> {
        let by = by.into();
        self.ask(|answer| Mail::Remove(server.clone(), by, answer)).await
    }

    /// Holds all servers of a user still, for giving the account another name: none may run, none starts or changes until
    /// the hold is dropped.
    ///
    /// # Errors
    /// `Running` if one is not stopped; if the user is being deleted, or the program stops.
    pub async fn hold(&self, user: &UserName) -> Result<Hold, SpawnerError> {
        let alive = Arc::new(());
        let weak = Arc::downgrade(&alive);
        self.ask(|answer| Mail::Hold(user.clone(), weak, answer)).await?;
        Ok(Hold { user: user.clone(), mail: self.mail.clone(), _alive: alive })
    }

    /// Follows a server's status; the present one is seen at once.
    #[must_use]
    pub fn watch(&self, server: &ServerKey) -> watch::Receiver<ServerStatus> {
        self.board.watch(server)
    }

    /// Hears of every change of any server from here on. Who is slow hears that some were missed.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<ServerChange> {
        self.board.changes.subscribe()
    }

    /// How many changes there have been since the start of the program, progress of starts aside: what was read before
    /// at the same count is still true.
    #[must_use]
    pub fn change_count(&self) -> u64 {
        self.board.changes.count()
    }

    /// All servers that are not plainly stopped.
    #[must_use]
    pub fn active(&self) -> Vec<(ServerKey, ServerStatus)> {
        self.board.active()
    }

    /// Stops and forgets all servers of a user that is being deleted (volumes stay). Starts of theirs are refused
    /// meanwhile. Ends within the stop deadline.
    ///
    /// # Errors
    /// If the program stops.
    pub async fn forget_user(&self, user: &UserName) -> Result<(), SpawnerError> {
        let (answer, answered) = oneshot::channel();
        self.mail.send(Mail::Forget(user.clone(), answer)).await.map_err(|_| SpawnerError::Closed)?;
        answered.await.map_err(|_| SpawnerError::Closed)
    }

    /// The edge's report; never blocks, may be dropped when the queue is full.
    pub fn report_unreachable(&self, report: Unreachable) {
        // Dropped when the loop is behind: the next request that fails reports again.
        let _ = self.mail.try_send(Mail::Unreachable(report));
    }

    /// A server was used; times only move forward. What it posts of itself (contract §1.2.2) is `Reported`.
    pub fn note_activity(&self, server: &ServerKey, source: ActivitySource, at: Timestamp) {
        self.board.note_activity(server, source, at);
    }

    /// The latest of all sources, whatever counts for its idle limit.
    #[must_use]
    pub fn last_activity(&self, server: &ServerKey) -> Option<Timestamp> {
        self.board.last_activity(server)
    }

    /// The server's last `lines` log lines: of what the engine has of it, or those kept of the last run (at most
    /// `log_lines`). Empty if there are none. Each is fit for a page: no control characters, no endless line.
    ///
    /// # Errors
    /// If the engine does not answer while the server runs.
    pub async fn log_tail(&self, server: &ServerKey, lines: usize) -> Result<Vec<String>, SpawnerError> {
        let asked = async {
            let Some(found) = self.backend.find(server).await? else { return Ok(None) };
            self.backend.log_tail(&found.handle, lines).await.map(Some)
        };
        let (engine, limit) = (self.backend.name(), self.config.read().engine_timeout());
        let silent = BackendError::Slow { engine, act: "give its log", limit };
        let status = self.board.status(server);
        match timeout(limit, asked).await.unwrap_or(Err(silent)) {
            Ok(Some(found)) => return Ok(found),
            Err(error) if !status.state.is_down() => return Err(SpawnerError::Engine(Arc::new(error))),
            Ok(None) | Err(_) => {}
        }
        let kept = self.board.log_tail(server);
        let kept = match &status.state {
            ServerState::Failed(failure) if kept.is_empty() => &failure.log_tail,
            _ => &*kept,
        };
        Ok(kept[kept.len().saturating_sub(lines)..].to_vec())
    }
}

#[cfg(test)]
mod tests;
