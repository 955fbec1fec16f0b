//! The steps that `life` asks for, carried out: each is one function that ends in a fact.
//!
//! Whoever calls them holds the deadline; a step may be dropped at any await, and what it left is cleaned up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tracing::warn;

use super::backend::{Backend, BackendError, Exit, Order, ProgressSink, Sight};
use super::counts::Counts;
use super::environment::{self, environment};
use super::life::Fact;
use super::profiles::Choice;
use super::rows::{self, Note, Rows};
use super::trouble::Trouble;
use super::{Also, Config, ServerTokens, SpawnerError, ready, volumes};
use crate::model::{BasePath, Generation, Handle, Live, ServerKey, UpstreamAddress};
use crate::store::{ServerRow, StoreError};

/// Between two tries to clean up with an engine that says no.
const CLEAN_UP_PAUSE: Duration = Duration::from_secs(1);

/// All that the steps need.
pub(super) struct Steps {
    pub(super) config: Live<Config>,
    pub(super) ready: ready::Config,
    /// Places for `ready`'s tries.
    pub(super) probes: Semaphore,
    pub(super) base: BasePath,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) tokens: Arc<dyn ServerTokens>,
    pub(super) rows: Rows,
    pub(super) volumes: Arc<volumes::Keeper>,
    pub(super) counts: Arc<Counts>,
}

impl Steps {
    pub(super) async fn prepare(&self, server: &ServerKey, image: Option<&str>, progress: &ProgressSink) -> Fact {
        match self.backend.prepare(server, image, progress).await {
            Ok(()) => Fact::ImageReady,
            Err(error) => because(server, &error),
        }
    }

    /// The intent is durable before the engine hears of it, so that a crash in between leaves nothing unknown.
    pub(super) async fn create(&self, row: ServerRow, notes: Vec<Note>, choice: &Choice) -> (Fact, Option<Handle>) {
        let (server, generation) = (row.key.clone(), row.generation);
        let stem = match self.volumes.stem_for(&server.user).await {
            Ok(stem) => stem,
            Err(error) => {
                warn!(server = %server, error = &error as &dyn std::error::Error, "a start has no volumes");
                return (Fact::Troubled(Trouble::Because(error.for_person())), None);
            }
        };
        let (claimed, has_claimed) = oneshot::channel();
        let intent: Also = Box::new(move |transaction| {
            let _ = claimed.send(volumes::claim(transaction, &row.key.user, stem)?);
            rows::put(transaction, row, &notes)
        });
        // Intent, audit, token and whose the volumes are in one commit: the engine waits for one fsync.
        let token = match self.tokens.issue(&server, intent).await {
            Ok(token) => token,
            Err(error) => {
                warn!(server = %server, error = &error as &dyn std::error::Error, "the start could not be written down");
                let text = "the hub's database could not be written. Tell an administrator.";
                return (Fact::Troubled(Trouble::Because(text.into())), None);
            }
        };
        let stem = has_claimed.await.expect("the commit that gave the token has claimed");
        let created = async {
            let listen = self.backend.listen_address().await?;
            let config = self.config.snapshot();
            let environment = environment(&environment::Facts {
                base: &self.base,
                server: &server,
                token: &token,
                hub_connect_url: &config.hub_connect_url,
                user_hosts: config.user_hosts.as_ref(),
                listen,
                limits: choice.limits,
                image: choice.image.as_deref(),
                gpu: &choice.extras.gpu,
                default_url: config.default_url.as_deref(),
                profile: &choice.environment,
                extra: &config.environment,
            });
            let order = Order {
                server: server.clone(),
                generation,
                listen,
                image: choice.image.clone(),
                command: choice.command.clone(),
                environment,
                limits: choice.limits,
                extras: choice.extras.clone(),
                volumes: stem,
            };
            self.backend.create(&order).await
        };
        match created.await {
            Ok(handle) => (Fact::Created, Some(handle)),
            Err(error) => (because(&server, &error), None),
        }
    }

    /// Starts it, and writes down by which handle it is found meanwhile.
    pub(super) async fn start(&self, handle: &Handle, row: ServerRow) -> Fact {
        let server = row.key.clone();
        let (started, saved) = tokio::join!(self.backend.start(handle), self.rows.put(row, vec![]));
        if let Err(error) = saved {
            // It is found by its name as well.
            warn!(server = %server, error = &error as &dyn std::error::Error, "the handle could not be written down");
        }
        match started {
            Ok(Sight::Running(address)) => Fact::Started(address),
            Ok(Sight::Created | Sight::Astray) => {
                warn!(server = %server, "started, and now it runs nowhere or has no address");
                Fact::Troubled(Trouble::NoAddress)
            }
            Ok(ended) => Fact::Looked(ended),
            Err(error) => because(&server, &error),
        }
    }

    pub(super) async fn probe(&self, server: &ServerKey, address: &UpstreamAddress) -> Fact {
        let path = format!("{}api", server.prefix(&self.base));
        ready::until_ready(address, &path, &self.ready, &self.probes).await;
        Fact::Answered
    }

    /// How it is; none if the engine does not say.
    pub(super) async fn inspect(&self, server: &ServerKey, handle: Option<&Handle>) -> Option<(Fact, Option<Handle>)> {
        match self.look(server, handle).await {
            Ok((sight, handle)) => Some((Fact::Looked(sight), handle)),
            Err(error) => {
                warn!(server = %server, error = &error as &dyn std::error::Error, "the engine does not say how a server is");
                None
            }
        }
    }

    /// How it is, and by which handle it was found if none was known.
    async fn look(&self, server: &ServerKey, handle: Option<&Handle>) -> Result<(Sight, Option<Handle>), BackendError> {
        match handle {
            Some(handle) => self.limited("inspect it", self.backend.inspect(handle)).await.map(|sight| (sight, None)),
            None => self
                .limited("find it", self.backend.find(server))
                .await
                .map(|found| found.map_or((Sight::Gone, None), |found| (found.sight, Some(found.handle)))),
        }
    }

    /// Before a restart: the engine must answer and the server must run, else nobody's work is touched; then the intent
    /// is written down, so that a crash of ours in the middle ends in a server that runs.
    pub(super) async fn begin_restart(
        &self,
        row: ServerRow,
        note: Note,
        handle: Option<&Handle>,
    ) -> (Result<(), SpawnerError>, Option<Sight>) {
        match self.look(&row.key, handle).await {
            Err(error) => {
                warn!(server = %row.key, error = &error as &dyn std::error::Error, "a restart was not begun");
                (Err(SpawnerError::Engine(Arc::new(error))), None)
            }
            Ok((Sight::Running(_) | Sight::Astray, _)) => {
                (self.rows.put(row, vec![note]).await.map_err(SpawnerError::from), None)
            }
            Ok((Sight::Gone, _)) => (Err(SpawnerError::ContainerGone), Some(Sight::Gone)),
            Ok((ended, _)) => (Err(SpawnerError::NotRunning), Some(ended)),
        }
    }

    /// Ends its program and starts it again.
    pub(super) async fn restart(&self, server: &ServerKey, handle: Option<Handle>) -> (Fact, Option<Handle>) {
        let grace = Duration::from_secs(self.config.read().stop_grace_s);
        let limit = grace + Duration::from_secs(self.config.read().start_timeout_s);
        let restarted = async {
            let found = match handle {
                Some(handle) => Some(handle),
                None => self.limited("find it", self.backend.find(server)).await?.map(|found| found.handle),
            };
            let Some(handle) = found else { return Ok((Sight::Gone, None)) };
            let sight = self.limited_to(limit, "restart it", self.backend.restart(&handle, grace)).await?;
            Ok((sight, Some(handle)))
        };
        match restarted.await {
            Ok((sight, handle)) => (Fact::Restarted(sight), handle),
            Err(error) => {
                warn!(server = %server, error = &error as &dyn std::error::Error, "a restart failed");
                let is_silence = BackendError::is_silence(&error);
                let trouble = || Fact::Troubled(Trouble::Because(error.for_person()));
                (if is_silence { Fact::RestartUnknown } else { trouble() }, None)
            }
        }
    }

    /// Ends the token, stops the server, keeps its last lines, removes it. Tries until it is done.
    pub(super) async fn clean_up(&self, server: &ServerKey, handle: Option<Handle>) -> Fact {
        if let Err(error) = self.tokens.end(server).await {
            warn!(server = %server, error = &error as &dyn std::error::Error, "the server's token could not be ended");
        }
        loop {
            match self.try_clean_up(server, handle.clone()).await {
                Ok((exit, log_tail)) => return Fact::CleanedUp { exit, log_tail },
                Err(error) => {
                    warn!(server = %server, error = &error as &dyn std::error::Error, "clean-up failed, trying again");
                    tokio::time::sleep(CLEAN_UP_PAUSE).await;
                }
            }
        }
    }

    async fn try_clean_up(
        &self,
        server: &ServerKey,
        handle: Option<Handle>,
    ) -> Result<(Option<Exit>, Vec<String>), BackendError> {
        let found = match handle {
            Some(handle) => {
                let sight = self.limited("inspect it", self.backend.inspect(&handle)).await?;
                Some((handle, sight))
            }
            None => {
                let found = self.limited("find it", self.backend.find(server)).await?;
                found.map(|found| (found.handle, found.sight))
            }
        };
        let Some((handle, sight)) = found else { return Ok((None, vec![])) };
        let exit = match sight {
            Sight::Gone => return Ok((None, vec![])),
            Sight::Exited(exit) => Some(exit),
            Sight::Created => None,
            Sight::Running(_) | Sight::Astray => {
                let grace = Duration::from_secs(self.config.read().stop_grace_s);
                let limit = grace + self.config.read().engine_timeout();
                self.limited_to(limit, "stop it", self.backend.stop(&handle, grace)).await?;
                None
            }
        };
        let log_tail = match self
            .limited("give its log", self.backend.log_tail(&handle, self.config.read().log_lines))
            .await
        {
            Ok(lines) => lines,
            Err(error) => {
                warn!(server = %server, error = &error as &dyn std::error::Error, "the server's last lines are lost");
                vec![]
            }
        };
        self.limited("remove it", self.backend.remove(&handle)).await?;
        Ok((exit, log_tail))
    }

    /// Removes what the engine has of this server, whatever start it is of. What cannot be removed now is found again.
    pub(super) async fn remove_leftover(&self, server: &ServerKey, generation: Generation) {
        match self.try_clean_up(server, None).await {
            Ok(_) => warn!(server = %server, generation = %generation, "a leftover of an earlier run was removed"),
            Err(error) => {
                warn!(server = %server, error = &error as &dyn std::error::Error, "a leftover could not be removed");
            }
        }
    }

    /// Their rows go, and with them all that was given of them.
    pub(super) async fn forget(&self, servers: Vec<ServerKey>) -> Result<(), StoreError> {
        let theirs = servers.clone();
        let rows: Also = Box::new(move |transaction| theirs.iter().try_for_each(|key| transaction.delete_server(key)));
        self.tokens.forget(&servers, rows).await
    }

    /// The row of `from` becomes this one, and what was given of it follows.
    pub(super) async fn rename(&self, from: ServerKey, row: ServerRow) -> Result<(), StoreError> {
        let (old, to) = (from.clone(), row.key.clone());
        let also: Also = Box::new(move |transaction| {
            rows::check_owner(transaction, &row.key)?;
            transaction.delete_server(&old)?;
            transaction.put_server(&row)
        });
        self.tokens.rename(&from, &to, also).await
    }

    /// # Errors
    /// If it could not be written; `Gone`: the server has no owner any more.
    pub(super) async fn save(&self, row: ServerRow, notes: Vec<Note>) -> Result<(), StoreError> {
        let server = row.key.clone();
        let saved = self.rows.put(row, notes).await;
        if let Err(error) = saved.as_ref()
            && !matches!(error, StoreError::Gone(_))
        {
            warn!(server = %server, error = error as &dyn std::error::Error, "a server's state could not be written down");
        }
        saved
    }

    async fn limited<T>(
        &self,
        act: &'static str,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        self.limited_to(self.config.read().engine_timeout(), act, work).await
    }

    async fn limited_to<T>(
        &self,
        limit: Duration,
        act: &'static str,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let engine = self.backend.name();
        timeout(limit, work).await.unwrap_or(Err(BackendError::Slow { engine, act, limit }))
    }
}

fn because(server: &ServerKey, error: &BackendError) -> Fact {
    warn!(server = %server, error = error as &dyn std::error::Error, "a start failed");
    Fact::Troubled(Trouble::Because(error.for_person()))
}
