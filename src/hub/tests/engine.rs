//! An engine whose servers are tasks of the test: each answers on a port of its own, or fails as it is told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::model::{Handle, ServerKey, UpstreamAddress};
use crate::spawner::{Backend, BackendError, Exit, Found, Notice, Order, ProgressSink, Sight};

/// How servers behave when they are started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Behaviour {
    #[default]
    Answers,
    /// Its program ends at once with status 7.
    Exits,
    /// Waits in `create` until `let_go`.
    Waits,
    /// Waits in `stop` until `let_go`.
    Lingers,
}

/// What was ordered, how it is, and the task that answers for it.
type Started = (Order, Sight, Option<JoinHandle<()>>);

#[derive(Default)]
pub(super) struct Engine {
    behaviour: Mutex<Behaviour>,
    gate: Notify,
    servers: Mutex<HashMap<String, Started>>,
}

impl Engine {
    pub(super) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock() = behaviour;
    }

    pub(super) fn let_go(&self) {
        self.behave(Behaviour::Answers);
        self.gate.notify_waiters();
    }

    /// The API token that the server of `user` was given.
    pub(super) fn token_of(&self, user: &str) -> String {
        self.servers.lock()[user].0.environment.0["JUPYTERHUB_API_TOKEN"].clone()
    }

    fn sight_of(&self, name: &str) -> Sight {
        self.servers.lock().get(name).map_or(Sight::Gone, |(_, sight, _)| sight.clone())
    }

    fn found(&self, name: &str) -> Option<Found> {
        let servers = self.servers.lock();
        let (order, sight, _) = servers.get(name)?;
        let (server, generation) = (order.server.clone(), order.generation);
        Some(Found { server, generation, handle: serde_json::json!(name).into(), sight: sight.clone() })
    }
}

/// By what the engine knows a server: its user's name alone for the default one.
fn name_for(server: &ServerKey) -> String {
    server.scope_name().trim_end_matches('/').to_owned()
}

fn name_of(handle: &Handle) -> String {
    handle.read().expect("our own handle")
}

async fn answer_everything(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").await;
    }
}

#[async_trait::async_trait]
impl Backend for Engine {
    fn name(&self) -> &'static str {
        "test"
    }

    fn image(&self) -> Option<String> {
        None
    }

    async fn prepare(&self, _: &ServerKey, _: Option<&str>, _: &ProgressSink) -> Result<(), BackendError> {
        Ok(())
    }

    async fn listen_address(&self) -> Result<SocketAddr, BackendError> {
        Ok(([127, 0, 0, 1], 0).into())
    }

    async fn create(&self, order: &Order) -> Result<Handle, BackendError> {
        let waits = self.gate.notified();
        if *self.behaviour.lock() == Behaviour::Waits {
            waits.await;
        }
        let name = name_for(&order.server);
        self.servers.lock().insert(name.clone(), (order.clone(), Sight::Created, None));
        Ok(serde_json::json!(name).into())
    }

    async fn start(&self, handle: &Handle) -> Result<Sight, BackendError> {
        let (sight, task) = if *self.behaviour.lock() == Behaviour::Exits {
            (Sight::Exited(Exit { code: Some(7), out_of_memory: false }), None)
        } else {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("it is bound");
            (Sight::Running(UpstreamAddress::Tcp(address)), Some(tokio::spawn(answer_everything(listener))))
        };
        let mut servers = self.servers.lock();
        let server = servers.get_mut(&name_of(handle)).expect("it was created");
        (server.1, server.2) = (sight.clone(), task);
        Ok(sight)
    }

    async fn stop(&self, handle: &Handle, _: Duration) -> Result<(), BackendError> {
        let lingers = self.gate.notified();
        if *self.behaviour.lock() == Behaviour::Lingers {
            lingers.await;
        }
        if let Some((_, sight, task)) = self.servers.lock().get_mut(&name_of(handle)) {
            *sight = Sight::Exited(Exit::default());
            task.take().inspect(JoinHandle::abort);
        }
        Ok(())
    }

    async fn restart(&self, handle: &Handle, grace: Duration) -> Result<Sight, BackendError> {
        self.stop(handle, grace).await?;
        self.start(handle).await
    }

    async fn remove(&self, handle: &Handle) -> Result<(), BackendError> {
        self.servers.lock().remove(&name_of(handle));
        Ok(())
    }

    async fn inspect(&self, handle: &Handle) -> Result<Sight, BackendError> {
        Ok(self.sight_of(&name_of(handle)))
    }

    async fn log_tail(&self, _: &Handle, _: usize) -> Result<Vec<String>, BackendError> {
        Ok(vec!["the last words <b>".to_owned()])
    }

    async fn find(&self, server: &ServerKey) -> Result<Option<Found>, BackendError> {
        Ok(self.found(&name_for(server)))
    }

    async fn list(&self) -> Result<Vec<Found>, BackendError> {
        let names = self.servers.lock().keys().cloned().collect::<Vec<_>>();
        Ok(names.iter().filter_map(|name| self.found(name)).collect())
    }

    async fn events(&self) -> Result<BoxStream<'static, Notice>, BackendError> {
        Ok(stream::pending().boxed())
    }
}

/// An engine that a test keeps a hand on.
pub(super) fn engine() -> Arc<Engine> {
    Arc::default()
}
