//! A request that a router took: its middlewares, then a target of its balancer, there and back.
//!
//! The edge has decided that it may pass and has removed what a client must not say. What goes wrong becomes an answer
//! of that status at once, so that middlewares see it (`Errors`, `Retry`, `Headers`), with the error in its extensions:
//! what people and programs read of it, the edge writes.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::header::{HOST, SET_COOKIE};
use http::{Request, Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::lazy::{Failed, Found, Lazy, StartStep, State};
use super::middleware::{self, Beyond, Facts, NoAnswer, Tools};
use super::table::{Published, Router, Table};
use super::view::Health;
use super::{Balancer, LazyContainer, Question};
use crate::model::UpstreamAddress;
use crate::net::{Guarded, RequestBody, ResponseBody};
use crate::proxy::{Forwarding, Guard, Proxy, ProxyError, Relay};

/// Why nobody but us has answered.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nobody could carry it.
    #[error("no target answers")]
    NoTarget,
    /// The target did not do its part.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The container is on its way.
    #[error("the container is starting")]
    Starting {
        /// How far that is.
        step: StartStep,
        /// Since when.
        for_s: u64,
    },
    /// The container could not be started.
    #[error("the container could not be started: {}", failed.reason)]
    StartFailed {
        /// Why.
        failed: Arc<Failed>,
    },
}

impl ServeError {
    /// The status that says this, as Traefik would.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoTarget | Self::Starting { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Proxy(ProxyError::Unreachable { .. } | ProxyError::Gone { .. }) | Self::StartFailed { .. } => {
                StatusCode::BAD_GATEWAY
            }
            Self::Proxy(error) => error.status(),
        }
    }

    /// True if something of the request may have reached a target.
    fn was_sent(&self) -> bool {
        match self {
            Self::NoTarget | Self::Starting { .. } | Self::StartFailed { .. } => false,
            Self::Proxy(ProxyError::Unreachable { .. } | ProxyError::Busy { .. }) => false,
            Self::Proxy(_) => true,
        }
    }

    /// An answer of this status with the error in its extensions.
    fn into_answer(self) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::Empty);
        *response.status_mut() = self.status();
        response.extensions_mut().insert(NoAnswer { was_sent: self.was_sent() });
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// How far a start is, for the page that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// On its way.
    Starting {
        /// How far.
        step: StartStep,
        /// Since when.
        for_s: u64,
    },
    /// The page may be loaded.
    Ready,
    /// It will not be.
    Failed,
}

/// The routers, ready to serve. Cheap to clone.
#[derive(Clone)]
pub struct Routers(Arc<Inner>);

struct Inner {
    table: Arc<Published>,
    tools: Tools,
    proxy: Proxy,
    lazy: Option<Lazy>,
}

impl Routers {
    /// Routers of `table`, whatever it holds at the moment, whose targets `proxy` speaks to. Without `lazy` no container starts on request.
    #[must_use]
    pub fn new(table: Arc<Published>, proxy: Proxy, tools: Tools, lazy: Option<Lazy>) -> Self {
        Self(Arc::new(Inner { table, tools, proxy, lazy }))
    }

    /// True while there is no router at all. One load, for every request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.table.is_empty()
    }

    /// The router that takes a request.
    #[must_use]
    pub fn find(&self, question: &Question<'_>) -> Option<Arc<Router>> {
        self.0.table.current().find(question).cloned()
    }

    /// True if a rule names this host (lower case, without a port): it is ours for that router.
    #[must_use]
    pub fn names_host(&self, host: &str) -> bool {
        self.0.table.current().names_host(host)
    }

    /// Serves `request`. With `is_held` it waits a few seconds for a container that starts.
    pub async fn answer(
        &self,
        router: &Arc<Router>,
        request: Request<RequestBody>,
        facts: &Facts<'_>,
        ended: Option<&Arc<CancellationToken>>,
        is_held: bool,
    ) -> Response<ResponseBody> {
        let beyond = Targets { routers: self, router, facts, ended, is_held };
        middleware::run(&router.chain, request, facts, &self.0.tools, &beyond).await
    }

    /// How far the start of a router's container is. Starts nothing.
    #[must_use]
    pub fn progress(&self, router: &Arc<Router>) -> Progress {
        match self.lazy_of(router).map(|(lazy, container)| lazy.state(container)) {
            Some(State::Starting { step, since }) => Progress::Starting { step, for_s: since.elapsed().as_secs() },
            Some(State::Failed { .. }) => Progress::Failed,
            Some(State::Awake | State::Asleep) | None => Progress::Ready,
        }
    }

    /// How it is with what a router leads to.
    #[must_use]
    pub fn health(&self, router: &Router) -> Health {
        match self.lazy_of(router).map(|(lazy, container)| lazy.state(container)) {
            Some(State::Starting { .. }) => return Health::Starting,
            Some(State::Failed { .. }) => return Health::Failed,
            Some(State::Awake | State::Asleep) | None => {}
        }
        match &router.balancer {
            None => Health::Up,
            Some(balancer) if balancer.is_up() => Health::Up,
            Some(_) if router.lazy.is_some() => Health::Asleep,
            Some(_) => Health::Down,
        }
    }

    /// The table as it is at this moment.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        self.0.table.current().clone()
    }

    /// The lazy containers that run, whoever has started them.
    #[must_use]
    pub fn running_lazy(&self) -> Vec<LazyContainer> {
        let table = self.table();
        let running = table.routers().iter().filter(|router| !addresses_of(router).is_empty());
        let mut all: Vec<LazyContainer> = running.filter_map(|router| router.lazy.clone()).collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all.dedup();
        all
    }

    fn lazy_of<'a>(&'a self, router: &'a Router) -> Option<(&'a Lazy, &'a LazyContainer)> {
        Some((self.0.lazy.as_ref()?, router.lazy.as_ref()?))
    }

    fn proxy(&self) -> &Proxy {
        &self.0.proxy
    }
}

/// What stands behind a router's last middleware.
struct Targets<'a> {
    routers: &'a Routers,
    router: &'a Arc<Router>,
    facts: &'a Facts<'a>,
    ended: Option<&'a Arc<CancellationToken>>,
    is_held: bool,
}

impl Beyond for Targets<'_> {
    fn to_target<'a>(&'a self, request: Request<RequestBody>) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move {
            let (router, guard) = match self.awake().await {
                Ok(found) => found,
                Err(error) => return error.into_answer(),
            };
            let Some(balancer) = &router.balancer else { return teapot() };
            self.send(balancer, request, guard).await.unwrap_or_else(ServeError::into_answer)
        })
    }

    fn to_balancer<'a>(
        &'a self,
        balancer: &'a Arc<Balancer>,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move { self.send(balancer, request, None).await.unwrap_or_else(ServeError::into_answer) })
    }
}

impl Targets<'_> {
    /// The router with its container awake. One that has just been started has a new address, so the table's newest
    /// router of that name is the one that knows it.
    async fn awake(&self) -> Result<(Arc<Router>, Option<Guard>), ServeError> {
        let Some((lazy, container)) = self.routers.lazy_of(self.router) else {
            return Ok((self.router.clone(), None));
        };
        let table = self.routers.0.table.clone();
        let name = self.router.name.clone();
        let newest = move || table.current().router(&name).cloned();
        let addresses = {
            let newest = newest.clone();
            Arc::new(move || newest().map(|router| addresses_of(&router)).unwrap_or_default())
        };
        match lazy.ask(container, addresses, self.is_held).await {
            Found::Awake(guard) => Ok((newest().unwrap_or_else(|| self.router.clone()), Some(guard))),
            Found::Starting { step, for_s } => Err(ServeError::Starting { step, for_s }),
            Found::Failed(failed) => Err(ServeError::StartFailed { failed }),
        }
    }

    async fn send(
        &self,
        balancer: &Arc<Balancer>,
        request: Request<RequestBody>,
        guard: Option<Guard>,
    ) -> Result<Response<ResponseBody>, ServeError> {
        let chosen = balancer.choose(request.headers()).map_err(|_| ServeError::NoTarget)?;
        let said = request.headers().get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        let host = chosen.host.as_deref().or(said.as_deref()).unwrap_or(self.facts.host);
        let relay = Relay { target: None, silence_limit: None, guard: guard.as_ref() };
        let forwarding = Forwarding { ended: self.ended, is_activity: false, ..Forwarding::relayed(host, relay) };
        let mut response = self.routers.proxy().forward(request, chosen.upstream(), forwarding).await?;
        // For the access log.
        response.extensions_mut().insert(chosen.upstream().clone());
        for cookie in chosen.set_cookies {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(match guard {
            Some(guard) => response.map(|body| Guarded::wrap(body, guard)),
            None => response,
        })
    }
}

/// What Traefik says where a router leads nowhere and no middleware has answered.
fn teapot() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from("I'm a teapot"));
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    response
}

/// Where a router's own targets listen, as far as these are addresses.
fn addresses_of(router: &Router) -> Vec<SocketAddr> {
    let Some(balancer) = &router.balancer else { return Vec::new() };
    let tcp = balancer.targets().iter().filter_map(|target| match &target.upstream.address {
        UpstreamAddress::Tcp(address) => Some(*address),
        UpstreamAddress::Named { host, port, .. } => Some(SocketAddr::new(host.parse().ok()?, *port)),
        UpstreamAddress::Unix(_) => None,
    });
    tcp.collect()
}
