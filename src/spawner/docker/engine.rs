//! The connection to the engine: every call has a deadline and a name, and its errors become ours.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use tokio::time::timeout;

use super::Config;
use crate::host;
use crate::model::with_causes;
use crate::spawner::backend::BackendError;

pub(super) const NAME: &str = "docker";

/// The engine, as one may call it.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) docker: Docker,
    call_timeout: Duration,
}

impl Engine {
    /// Connects, with the usual deadline.
    pub(super) async fn connect(config: &Config) -> Result<Self, BackendError> {
        let call_timeout = Duration::from_secs(config.call_timeout_s);
        let unavailable = |error: Error| BackendError::Unavailable { engine: NAME, reason: with_causes(&error) };
        let docker = timeout(call_timeout, host::engine::connect(&config.host))
            .await
            .map_err(|_| BackendError::Slow { engine: NAME, act: "say its version", limit: call_timeout })?
            .map_err(unavailable)?;
        Ok(Self { docker, call_timeout })
    }

    /// A small call, with the usual deadline.
    pub(super) async fn call<T>(
        &self,
        act: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, BackendError> {
        self.call_for(self.call_timeout, act, work).await
    }

    /// A call with a deadline of its own.
    pub(super) async fn call_for<T>(
        &self,
        limit: Duration,
        act: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, BackendError> {
        match timeout(limit, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(refused(act, error)),
            Err(_) => Err(BackendError::Slow { engine: NAME, act, limit }),
        }
    }

    /// As `call`, with «there is no such thing» as an answer.
    pub(super) async fn look<T>(
        &self,
        act: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, BackendError> {
        let found = async {
            match work.await {
                Ok(value) => Ok(Some(value)),
                Err(error) if status_of(&error) == Some(404) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.call(act, found).await
    }
}

/// The HTTP status of a refusal.
pub(super) fn status_of(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// What the engine said, as our error.
pub(super) fn refused(act: &'static str, error: Error) -> BackendError {
    match error {
        Error::DockerResponseServerError { message, .. } => {
            BackendError::Refused { engine: NAME, act, reason: message.trim().into() }
        }
        Error::DockerStreamError { error } => BackendError::Refused { engine: NAME, act, reason: error },
        error => BackendError::Unavailable { engine: NAME, reason: with_causes(&error) },
    }
}
