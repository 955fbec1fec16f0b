//! Copies the store every so often (`backup.*`), and says when that fails.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{AppError, run_blocking};
use crate::model::{Clock, Live, Timestamp, with_causes};
use crate::store::{self, Copies, CopiesConfig, Store, StoreError, is_copy_due};

/// How often it is seen whether one is due: by the wall clock, which may jump.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// When the first is made at the earliest: starts that fail one after the other shall not push good copies out.
const SETTLED_AFTER: Duration = Duration::from_secs(300);
/// After one that failed, at the latest: what fails is most often a full disk, and each failure is a line in the log.
const RETRY_AFTER: Duration = Duration::from_secs(600);

/// What has become of the copies.
#[derive(Clone, Debug, Default)]
pub(super) struct CopyFigures {
    /// When the newest was made.
    pub(super) last_at: Option<Timestamp>,
    /// How many could not be made.
    pub(super) failures: u64,
    /// Why the last that was due could not be made; none if it could.
    pub(super) problem: Option<String>,
}

/// Makes the copies.
#[derive(Clone)]
pub(super) struct Copier {
    store: Store,
    config: Live<CopiesConfig>,
    clock: Arc<dyn Clock>,
    figures: Arc<Mutex<CopyFigures>>,
}

impl Copier {
    pub(super) fn new(store: Store, config: Live<CopiesConfig>, clock: Arc<dyn Clock>) -> Self {
        Self { store, config, clock, figures: Arc::default() }
    }

    pub(super) fn figures(&self) -> CopyFigures {
        self.figures.lock().clone()
    }

    /// Until the program stops.
    pub(super) async fn run(self, stopping: CancellationToken) {
        let folder = self.config.read().folder.clone();
        let last_at = run_blocking(move || {
            let copies = Copies::in_folder(&folder);
            copies.sweep();
            copies.all().ok()?.first().map(|(at, _)| *at)
        });
        self.figures.lock().last_at = last_at.await;
        let mut pause = SETTLED_AFTER;
        loop {
            let every = self.config.read().every.unwrap_or(LOOK_EVERY);
            if stopping.run_until_cancelled(tokio::time::sleep(pause.min(every))).await.is_none() {
                return;
            }
            pause = if self.copy_if_due().await { LOOK_EVERY } else { RETRY_AFTER };
        }
    }

    /// False if one was due and could not be made.
    async fn copy_if_due(&self) -> bool {
        let config = self.config.read().clone();
        let Some(every) = config.every else { return true };
        let (store, now) = (self.store.clone(), self.clock.now());
        let copied = run_blocking(move || {
            let copies = Copies::in_folder(&config.folder);
            let made_at: Vec<Timestamp> = copies.all()?.into_iter().map(|(at, _)| at).collect();
            if !is_copy_due(&made_at, every, now) {
                return Ok((made_at.first().copied(), None));
            }
            copies.make(&store, now, config.keep).map(|made| (Some(now), Some(made)))
        });
        match copied.await {
            Ok((last_at, made)) => {
                let mut figures = self.figures.lock();
                figures.last_at = last_at;
                if let Some(made) = made {
                    figures.problem = None;
                    tracing::info!(
                        bytes = made.bytes,
                        values = made.values,
                        "the store was copied, and the copy checked"
                    );
                }
                true
            }
            Err(error) => {
                let mut figures = self.figures.lock();
                figures.failures += 1;
                figures.problem = Some(with_causes(&error));
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the store could not be copied; the copies of before are kept");
                false
            }
        }
    }
}

/// What an operator can bring back in the place of a damaged store.
#[derive(Debug)]
pub enum NewestCopy {
    /// This one, which was read to its end.
    Good {
        /// Its file.
        file: PathBuf,
        /// When it was made.
        at: Timestamp,
    },
    /// There is none that is whole.
    None {
        /// Where they would be.
        folder: PathBuf,
    },
}

impl fmt::Display for NewestCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good { file, at } => {
                write!(f, "its newest good copy is of {at}, and is brought back by: slipway restore {}", file.display())
            }
            Self::None { folder } => write!(f, "there is no good copy of it in {}", folder.display()),
        }
    }
}

/// Opens the store; of a damaged one it says which copy there is. Blocks.
pub(super) fn open_store(config: &store::Config, copies: &CopiesConfig) -> Result<Store, AppError> {
    Store::open(config).map_err(|cause: StoreError| {
        if !cause.wants_backup() {
            return cause.into();
        }
        let copy = match Copies::in_folder(&copies.folder).newest_good() {
            // For whoever reads this in another folder.
            Some((file, made)) => NewestCopy::Good { file: std::path::absolute(&file).unwrap_or(file), at: made.at },
            None => NewestCopy::None { folder: copies.folder.clone() },
        };
        AppError::DamagedStore { copy, cause }
    })
}
