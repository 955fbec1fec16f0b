//! Where routers come from: a Docker engine's labels and a file, watched; every change becomes a new table.

mod address;
mod constraint;
mod docker;
mod file;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

pub use constraint::Constraint;
pub use docker::DockerConfig;

use super::build::{Surroundings, build};
use super::draft::Draft;
use super::name::Provider;
use super::problem::Problem;
use super::table::{Published, SourceState, Table};
use crate::model::Clock;
use crate::tasks::Tasks;
use docker::Said;
use file::WatchedFile;

/// New problems that one change writes into the log; the dashboard has all of them.
const LOGGED_PROBLEMS: usize = 20;

/// What is watched.
#[derive(Clone, Debug)]
pub struct Config {
    /// The engine; none: no labels are read.
    pub docker: Option<DockerConfig>,
    /// The file of routes; none: there is none. It may not be there yet.
    pub file: Option<PathBuf>,
    /// How often the file is looked at. 2 s, as certificates are.
    pub poll_every: Duration,
    /// What of the installation counts for routers.
    pub surroundings: Surroundings,
}

impl Config {
    /// What is wrong with the file of routes as it is at this moment; nothing if there is none. Reads it.
    #[must_use]
    pub fn mistakes_in_file(&self) -> Vec<Problem> {
        let Some(path) = &self.file else { return Vec::new() };
        let mut file = WatchedFile::new(path.clone());
        file.look(&self.surroundings);
        file.mistakes().to_vec()
    }
}

/// All sources.
pub struct Sources {
    config: Config,
    published: Arc<Published>,
    clock: Arc<dyn Clock>,
}

impl Sources {
    /// What `watch` finds is put into `published`.
    #[must_use]
    pub fn new(config: Config, published: Arc<Published>, clock: Arc<dyn Clock>) -> Self {
        Self { config, published, clock }
    }

    /// Reads and watches all sources until the program stops.
    pub async fn watch(self, tasks: Tasks) {
        let stopping = tasks.stopping().clone();
        let (said, mut labels) = watch::channel::<Said>(Arc::default());
        if let Some(config) = self.config.docker.clone() {
            tasks.spawn(docker::watch(config, said.clone(), self.published.clone(), stopping.clone()));
        }
        let mut file = self.config.file.clone().map(WatchedFile::new);
        let mut is_news = false;
        while !stopping.is_cancelled() {
            if let Some(watched) = file.take() {
                let around = self.config.surroundings.clone();
                let (watched, has_changed) = look(watched, around).await;
                self.note_file(&watched);
                is_news |= has_changed;
                file = Some(watched);
            }
            if is_news {
                let of_labels = labels.borrow_and_update().clone();
                let of_file = file.as_ref().map(|file| file.draft().clone());
                self.rebuild(of_labels.iter().cloned().chain(of_file).collect()).await;
            }
            let next = async {
                tokio::select! {
                    changed = labels.changed() => changed.is_ok(),
                    () = sleep(self.config.poll_every), if file.is_some() => false,
                }
            };
            is_news = match stopping.run_until_cancelled(next).await {
                Some(is_news) => is_news,
                None => return,
            };
        }
    }

    async fn rebuild(&self, drafts: Vec<Draft>) {
        let (around, now) = (self.config.surroundings.clone(), self.clock.now());
        let previous = self.published.current().clone();
        let before = previous.clone();
        let built = tokio::task::spawn_blocking(move || build(&drafts, &around, &before, now)).await;
        // A panic there is a defect of ours, counted where all are; what is in force stays.
        let Ok(table) = built else { return };
        log_changes(&previous, &table);
        self.published.publish(table);
    }

    fn note_file(&self, file: &WatchedFile) {
        let (state, is_well) = file.state();
        let what = file.path().display().to_string();
        let state = SourceState { provider: Provider::File, what, state, is_well };
        if self.published.sources().contains(&state) {
            return;
        }
        if !is_well {
            warn!(file = %state.what, state = %state.state, "the file of routes has mistakes");
        }
        self.published.note_source(&state);
    }
}

async fn look(file: WatchedFile, around: Surroundings) -> (WatchedFile, bool) {
    let path = file.path().to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        let mut file = file;
        let has_changed = file.look(&around);
        (file, has_changed)
    });
    // A panic there is a defect of ours; the next look begins anew.
    looked.await.unwrap_or_else(|_| (WatchedFile::new(path), false))
}

fn log_changes(before: &Table, after: &Table) {
    let is_new = |problem: &&Problem| before.problems().binary_search(problem).is_err();
    let new: Vec<_> = after.problems().iter().filter(is_new).collect();
    for problem in new.iter().take(LOGGED_PROBLEMS) {
        warn!(place = %problem.place, problem = %problem.text, "a route is not as it was said");
    }
    if new.len() > LOGGED_PROBLEMS {
        warn!(more = new.len() - LOGGED_PROBLEMS, "more routes are not as they were said: see the page of routes");
    }
    let is_new = |note: &&Problem| before.notes().binary_search(note).is_err();
    for note in after.notes().iter().filter(is_new).take(LOGGED_PROBLEMS) {
        info!(place = %note.place, note = %note.text, "a route is done otherwise than it was said");
    }
    let (routers, balancers) = (after.routers().len(), after.balancers().len());
    info!(routers, balancers, problems = after.problems().len(), "the table of routes is new");
}
