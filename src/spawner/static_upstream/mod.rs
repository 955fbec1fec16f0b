//! Servers that are started elsewhere: everybody's server is one address, always running.
//!
//! For people whose servers somebody else starts, for tests and for load tests. Nothing is made and nothing is ended
//! here; a start looks whether the address takes connections, so that one that is down is said at once and by name.

mod config;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use serde::Deserialize;

pub use config::{Config, Upstream};

use super::backend::{Backend, BackendError, Found, Notice, Order, ProgressSink, Sight};
use crate::model::{Generation, Handle, ServerKey, UpstreamAddress};
use crate::net::dial;
use crate::store::ServerRow;

const NAME: &str = "static";

/// Servers that are all the same address.
pub struct StaticBackend {
    address: UpstreamAddress,
    connect_timeout: Duration,
    /// Who has been let in, and by which start: what an engine would list.
    started: Mutex<HashMap<ServerKey, Generation>>,
}

impl StaticBackend {
    /// Looks the upstream's name up, once. Those of `rows` that were let in before a restart of ours stay let in.
    ///
    /// # Errors
    /// If the name is not known.
    pub async fn open(config: Config, rows: &[ServerRow]) -> Result<Self, BackendError> {
        let address = config.upstream.look_up().await?;
        let connect_timeout = Duration::from_secs(config.connect_timeout_s);
        // Without a handle: a full disk took its start, and no more of it. It has been let in since, or was about to be.
        let is_ours = |row: &&ServerRow| {
            row.wanted && row.handle.as_ref().is_none_or(|handle| server_of(handle).as_ref() == Some(&row.key))
        };
        let started = rows.iter().filter(is_ours).map(|row| (row.key.clone(), row.generation)).collect();
        Ok(Self { address, connect_timeout, started: Mutex::new(started) })
    }

    fn found(&self, server: &ServerKey, generation: Generation) -> Found {
        let sight = Sight::Running(self.address.clone());
        Found { server: server.clone(), generation, handle: handle_of(server), sight }
    }
}

#[async_trait::async_trait]
impl Backend for StaticBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn image(&self) -> Option<String> {
        None
    }

    fn gives_own_addresses(&self) -> bool {
        false
    }

    async fn prepare(&self, _: &ServerKey, _: Option<&str>, _: &ProgressSink) -> Result<(), BackendError> {
        match dial(&self.address, self.connect_timeout).await {
            Ok(_) => Ok(()),
            Err(error) => Err(BackendError::UpstreamDown { address: self.address.clone(), cause: error }),
        }
    }

    async fn listen_address(&self) -> Result<SocketAddr, BackendError> {
        Ok(match self.address {
            UpstreamAddress::Tcp(address) => address,
            // Nobody reads it: the upstream has its variables from whoever started it.
            UpstreamAddress::Unix(_) | UpstreamAddress::Named { .. } => (Ipv4Addr::LOCALHOST, 0).into(),
        })
    }

    async fn create(&self, order: &Order) -> Result<Handle, BackendError> {
        self.started.lock().insert(order.server.clone(), order.generation);
        Ok(handle_of(&order.server))
    }

    async fn start(&self, handle: &Handle) -> Result<Sight, BackendError> {
        self.inspect(handle).await
    }

    fn can_restart(&self) -> bool {
        false
    }

    async fn restart(&self, handle: &Handle, _grace: Duration) -> Result<Sight, BackendError> {
        // Whoever started it restarts it.
        self.inspect(handle).await
    }

    async fn stop(&self, _handle: &Handle, _grace: Duration) -> Result<(), BackendError> {
        Ok(())
    }

    async fn remove(&self, handle: &Handle) -> Result<(), BackendError> {
        if let Some(server) = server_of(handle) {
            self.started.lock().remove(&server);
        }
        Ok(())
    }

    async fn inspect(&self, handle: &Handle) -> Result<Sight, BackendError> {
        // What another backend has started is not here.
        let is_started = server_of(handle).is_some_and(|server| self.started.lock().contains_key(&server));
        Ok(if is_started { Sight::Running(self.address.clone()) } else { Sight::Gone })
    }

    async fn log_tail(&self, _handle: &Handle, _lines: usize) -> Result<Vec<String>, BackendError> {
        Ok(vec![])
    }

    async fn find(&self, server: &ServerKey) -> Result<Option<Found>, BackendError> {
        let generation = self.started.lock().get(server).copied();
        Ok(generation.map(|generation| self.found(server, generation)))
    }

    async fn list(&self) -> Result<Vec<Found>, BackendError> {
        Ok(self.started.lock().iter().map(|(server, generation)| self.found(server, *generation)).collect())
    }

    async fn events(&self) -> Result<BoxStream<'static, Notice>, BackendError> {
        // Nothing ever happens to it that we would hear of: the edge's reports are how a dead one is noticed.
        Ok(futures_util::stream::pending().boxed())
    }
}

fn handle_of(server: &ServerKey) -> Handle {
    serde_json::json!({ NAME: server }).into()
}

/// What a handle of this backend says.
#[derive(Deserialize)]
struct Kept {
    #[serde(rename = "static")]
    server: ServerKey,
}

fn server_of(handle: &Handle) -> Option<ServerKey> {
    handle.read().map(|Kept { server }| server)
}
