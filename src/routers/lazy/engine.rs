//! The engine as lazy containers need it: start, stop, look, and the last lines of a log.

use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{LogsOptionsBuilder, StopContainerOptionsBuilder};
use futures_util::StreamExt as _;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::host::engine::connect;

/// Until it says its version. 5 s: one that takes longer is not well, and somebody waits for a page.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A call to the engine. 30 s: a start pulls nothing, but a busy disk takes its time.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Lines of a log that are shown.
const LOG_LINES: usize = 20;
/// Bytes of one of them.
const LOG_LINE_BYTES: usize = 500;

/// How it is with a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It runs.
    Running,
    /// It has ended, or was never started.
    Exited {
        /// What with.
        code: i64,
    },
}

/// Why the engine did not do it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It is not there.
    #[error("the engine does not answer")]
    Unavailable,
    /// No such container any more.
    #[error("the container is not there any more")]
    Missing,
    /// It said no.
    #[error("the engine refused: {reason}")]
    Refused {
        /// In its own words.
        reason: String,
    },
    /// It took too long.
    #[error("the engine did not answer within {limit:?}")]
    Slow {
        /// The limit.
        limit: Duration,
    },
}

/// Starts and stops containers. There is one in the program, and one that a test leads.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Starts a container; nothing happens if it runs.
    async fn start(&self, id: &str) -> Result<(), EngineError>;
    /// Stops one; nothing happens if it does not run.
    async fn stop(&self, id: &str, grace: Duration) -> Result<(), EngineError>;
    /// How it is with it.
    async fn look(&self, id: &str) -> Result<Fact, EngineError>;
    /// The last lines that it wrote, as text without control characters; none if they cannot be had.
    async fn last_lines(&self, id: &str) -> Vec<String>;
}

/// The Docker engine. Nothing is asked of it before a container is: it may come up after us.
pub struct DockerEngine {
    host: String,
    docker: OnceCell<Docker>,
}

impl DockerEngine {
    /// The engine of this address (`unix://…` or `tcp://…`).
    #[must_use]
    pub fn new(host: String) -> Self {
        Self { host, docker: OnceCell::new() }
    }

    async fn docker(&self) -> Result<&Docker, EngineError> {
        let connected = self.docker.get_or_try_init(|| connect(&self.host));
        match timeout(CONNECT_TIMEOUT, connected).await {
            Ok(connected) => connected.map_err(|_| EngineError::Unavailable),
            Err(_) => Err(EngineError::Slow { limit: CONNECT_TIMEOUT }),
        }
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn start(&self, id: &str) -> Result<(), EngineError> {
        call(CALL_TIMEOUT, self.docker().await?.start_container(id, None)).await
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<(), EngineError> {
        let grace_s = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(grace_s).build();
        call(CALL_TIMEOUT + grace, self.docker().await?.stop_container(id, Some(options))).await
    }

    async fn look(&self, id: &str) -> Result<Fact, EngineError> {
        let look = self.docker().await?.inspect_container(id, None);
        let state = call(CALL_TIMEOUT, look).await?.state.unwrap_or_default();
        Ok(if state.running == Some(true) {
            Fact::Running
        } else {
            Fact::Exited { code: state.exit_code.unwrap_or_default() }
        })
    }

    async fn last_lines(&self, id: &str) -> Vec<String> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&LOG_LINES.to_string()).build();
        let Ok(docker) = self.docker().await else { return Vec::new() };
        let pieces = docker.logs(id, Some(options)).take(LOG_LINES * 4).filter_map(async |piece| piece.ok());
        let Ok(pieces) = timeout(CALL_TIMEOUT, pieces.collect::<Vec<LogOutput>>()).await else { return Vec::new() };
        let text: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.into_bytes().to_vec()).collect();
        lines_of(&text)
    }
}

async fn call<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, EngineError> {
    match timeout(limit, work).await {
        Err(_) => Err(EngineError::Slow { limit }),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Error::DockerResponseServerError { status_code: 404, .. })) => Err(EngineError::Missing),
        Ok(Err(Error::DockerResponseServerError { message, .. })) => {
            Err(EngineError::Refused { reason: message.trim().to_owned() })
        }
        Ok(Err(_)) => Err(EngineError::Unavailable),
    }
}

/// What a container wrote, as lines for a page.
fn lines_of(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<String> =
        text.lines().map(|line| line.trim_end()).filter(|line| !line.is_empty()).map(clean).collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].to_vec()
}

fn clean(line: &str) -> String {
    let kept: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
    let end = (0..=kept.len().min(LOG_LINE_BYTES)).rev().find(|end| kept.is_char_boundary(*end)).unwrap_or(0);
    kept[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_short_and_plain() {
        let text = (0..100).map(|n| format!("line {n}\n")).collect::<String>() + "\n\x1b[31mbad\x07 ü\n";
        let lines = lines_of(text.as_bytes());
        assert_eq!((lines.len(), lines[0].as_str(), lines[19].as_str()), (20, "line 81", "[31mbad ü"));
        assert_eq!(lines_of("ü".repeat(400).as_bytes())[0].len(), 500);
        assert!(lines_of(b"").is_empty());
    }
}
