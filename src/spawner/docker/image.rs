//! The image: is it here, and if not, one pull for all who wait, with its progress.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use super::PullPolicy;
use super::engine::{Engine, refused};
use crate::spawner::backend::{BackendError, ProgressSink};
use crate::tasks::Tasks;

/// Between two pieces of news of one pull: people read, they do not measure.
const NEWS_INTERVAL: Duration = Duration::from_millis(250);
/// Layers whose progress is summed; images have some dozens.
const LAYERS_LIMIT: usize = 512;

/// Fetches images, each once at a time.
pub(super) struct Images {
    engine: Engine,
    pull_timeout: Duration,
    tasks: Tasks,
    pulls: Arc<Mutex<HashMap<String, watch::Receiver<Pull>>>>,
}

#[derive(Clone, Debug)]
enum Pull {
    UnderWay { message: String, percent: Option<u8> },
    Done,
    Failed(String),
}

impl Images {
    pub(super) fn new(engine: Engine, pull_timeout: Duration, tasks: Tasks) -> Self {
        Self { engine, pull_timeout, tasks, pulls: Arc::default() }
    }

    /// Sees to it that `image` is here, and says who its programs run as (`USER` of its recipe). A caller that leaves
    /// does not end the pull: it serves the next.
    pub(super) async fn ensure(
        &self,
        image: &str,
        policy: PullPolicy,
        progress: &ProgressSink,
    ) -> Result<String, BackendError> {
        let missing = || BackendError::ImageMissing { image: image.into() };
        let here = self.user_of(image).await?;
        match policy {
            PullPolicy::Never => return here.ok_or_else(missing),
            PullPolicy::IfNotPresent => {
                if let Some(user) = here {
                    return Ok(user);
                }
            }
            PullPolicy::Always => {}
        }
        match (self.pull(image, progress).await, here) {
            (Ok(()), _) => self.user_of(image).await?.ok_or_else(missing),
            (Err(error), None) => Err(error),
            (Err(error), Some(user)) => {
                // A registry that is down must not keep people from an image that is here.
                warn!(
                    image,
                    error = &error as &dyn std::error::Error,
                    "the image could not be renewed; the one here is used"
                );
                Ok(user)
            }
        }
    }

    /// The image's user (empty: root); none if it is not here.
    async fn user_of(&self, image: &str) -> Result<Option<String>, BackendError> {
        let found = self.engine.look("look for the image", self.engine.docker.inspect_image(image)).await?;
        Ok(found.map(|image| image.config.and_then(|config| config.user).unwrap_or_default()))
    }

    async fn pull(&self, image: &str, progress: &ProgressSink) -> Result<(), BackendError> {
        let failed = |reason: String| BackendError::PullFailed { image: image.into(), reason };
        let mut news = self.join_or_begin(image);
        loop {
            match news.borrow_and_update().clone() {
                Pull::UnderWay { message, percent } => progress(message, percent),
                Pull::Done => return Ok(()),
                Pull::Failed(reason) => return Err(failed(reason)),
            }
            if news.changed().await.is_err() {
                return Err(failed("it was broken off".into()));
            }
        }
    }

    fn join_or_begin(&self, image: &str) -> watch::Receiver<Pull> {
        let mut pulls = self.pulls.lock();
        if let Some(news) = pulls.get(image) {
            return news.clone();
        }
        let (teller, news) =
            watch::channel(Pull::UnderWay { message: format!("Pulling image {image}"), percent: None });
        pulls.insert(image.into(), news.clone());
        drop(pulls);
        let (engine, image, limit, pulls) =
            (self.engine.clone(), image.to_owned(), self.pull_timeout, self.pulls.clone());
        let stopping = self.tasks.stopping().clone();
        self.tasks.spawn(async move {
            let started = Instant::now();
            let result = tokio::select! {
                // The engine keeps the layers that have come.
                () = stopping.cancelled() => Ok(Err(BackendError::Settings("Slipway is stopping".into()))),
                result = timeout(limit, follow(&engine, &image, &teller)) => result,
            };
            // Whoever comes from here on looks anew.
            pulls.lock().remove(&image);
            let end = match result {
                Ok(Ok(())) => {
                    info!(image, duration_ms = started.elapsed().as_millis(), "image pulled");
                    Pull::Done
                }
                Ok(Err(error)) => {
                    warn!(image, error = &error as &dyn std::error::Error, "image could not be pulled");
                    Pull::Failed(error.to_string())
                }
                Err(_) => Pull::Failed(format!("it took longer than {} seconds", limit.as_secs())),
            };
            teller.send_replace(end);
        });
        news
    }
}

async fn follow(engine: &Engine, image: &str, teller: &watch::Sender<Pull>) -> Result<(), BackendError> {
    let options = CreateImageOptionsBuilder::default().from_image(&with_tag(image)).build();
    let mut news = engine.docker.create_image(Some(options), None, None);
    let mut layers = Layers::default();
    let mut told_at: Option<Instant> = None;
    while let Some(item) = news.next().await {
        layers.note(&item.map_err(|error| refused("pull the image", error))?);
        if told_at.is_none_or(|at| at.elapsed() >= NEWS_INTERVAL) {
            told_at = Some(Instant::now());
            let percent = layers.percent();
            let message = match percent {
                Some(percent) => format!("Pulling image {image}: {percent} %"),
                None => format!("Pulling image {image}"),
            };
            teller.send_replace(Pull::UnderWay { message, percent });
        }
    }
    Ok(())
}

/// `name` alone would pull every tag there is.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || image.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

/// What is known of the layers of one pull.
#[derive(Default)]
struct Layers(HashMap<String, Layer>);

#[derive(Clone, Copy, Default)]
struct Layer {
    loaded_bytes: i64,
    total_bytes: i64,
}

impl Layers {
    fn note(&mut self, news: &CreateImageInfo) {
        let Some(id) = &news.id else { return };
        if self.0.len() >= LAYERS_LIMIT && !self.0.contains_key(id) {
            return;
        }
        let layer = self.0.entry(id.clone()).or_default();
        let detail = news.progress_detail.as_ref();
        let (current, total) = (detail.and_then(|detail| detail.current), detail.and_then(|detail| detail.total));
        match news.status.as_deref() {
            Some("Downloading") => {
                layer.loaded_bytes = current.unwrap_or(layer.loaded_bytes);
                layer.total_bytes = total.unwrap_or(layer.total_bytes);
            }
            Some("Download complete" | "Pull complete" | "Already exists" | "Extracting") => {
                layer.loaded_bytes = layer.total_bytes;
            }
            _ => {}
        }
    }

    /// How much of what is known to come has come.
    fn percent(&self) -> Option<u8> {
        let total: i64 = self.0.values().map(|layer| layer.total_bytes).sum();
        let loaded: i64 = self.0.values().map(|layer| layer.loaded_bytes).sum();
        if total <= 0 {
            return None;
        }
        u8::try_from((loaded.clamp(0, total) as i128 * 100 / i128::from(total)) as i64).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    #[test]
    fn an_image_without_a_tag_is_the_latest() {
        let cases = [
            ("lab", "lab:latest"),
            ("quay.io/jupyter/base-notebook", "quay.io/jupyter/base-notebook:latest"),
            ("localhost:5000/lab", "localhost:5000/lab:latest"),
            ("localhost:5000/lab:4", "localhost:5000/lab:4"),
            ("lab@sha256:00", "lab@sha256:00"),
        ];
        for (image, expected) in cases {
            assert_eq!(with_tag(image), expected);
        }
    }

    #[test]
    fn progress_is_summed_over_layers() {
        let news = |id: &str, status: &str, bytes: Option<(i64, i64)>| CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: bytes
                .map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) }),
            ..Default::default()
        };
        let mut layers = Layers::default();
        assert_eq!(layers.percent(), None);
        layers.note(&news("a", "Downloading", Some((50, 100))));
        layers.note(&news("b", "Downloading", Some((0, 300))));
        assert_eq!(layers.percent(), Some(12));
        layers.note(&news("b", "Download complete", None));
        layers.note(&news("a", "Pull complete", None));
        assert_eq!(layers.percent(), Some(100));
    }
}
