//! The doors: public, API, figures, redirect; each on TCP ports or on a Unix socket, plain or through TLS.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::idle::Idle;
use super::{Arrival, Chp, Place, StartError, api, redirect, request};
use crate::listener::{
    AcceptLimits, Admission, BindError, Connection, Listener, Serve, ServeUnix, SocketAccess, UnixDoor,
};
use crate::model::{Live, Security};
use crate::net::{Io, RequestBody, ResponseBody, http1};
use crate::tasks::Lanes;

/// A bound door.
pub(super) enum Door {
    Ports(Vec<Listener>),
    Socket(UnixDoor),
}

impl Door {
    /// Binds `place`; of a name that has several addresses, those that this machine has.
    pub(super) async fn bind(place: &Place) -> Result<Self, StartError> {
        // In front of us stands often a load balancer: one address is everybody's.
        let usual = AcceptLimits::default();
        let limits = AcceptLimits { connections_per_address: usual.connections, ..usual };
        let (host, port) = match place {
            Place::Socket(path) => {
                let door = UnixDoor::bind(path, &limits);
                let door = door.map_err(|cause| StartError::Socket { path: path.clone(), cause })?;
                return Ok(Self::Socket(door));
            }
            Place::Port { host, port } => (host.as_str(), *port),
        };
        let addresses: Vec<SocketAddr> = if host.is_empty() {
            vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))]
        } else {
            let unknown = |cause| StartError::Host { host: host.to_owned(), cause };
            tokio::net::lookup_host((host, port)).await.map_err(unknown)?.collect()
        };
        let admission = Live::new(Admission::limited(limits));
        let mut listeners = Vec::new();
        let mut missing: Option<BindError> = None;
        for address in addresses {
            match Listener::bind(&[address.into()], &SocketAccess::default(), admission.clone()) {
                Ok(listener) => listeners.push(listener),
                Err(error) if error.cause.kind() == std::io::ErrorKind::AddrNotAvailable => missing = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        match missing {
            Some(error) if listeners.is_empty() => Err(error.into()),
            _ => Ok(Self::Ports(listeners)),
        }
    }

    /// Its ports.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Ports(listeners) => listeners.iter().flat_map(Listener::addresses).collect(),
            Self::Socket(_) => Vec::new(),
        }
    }

    fn run(self, lanes: &Lanes, tls: Option<TlsAcceptor>, serve: Serve, serve_unix: ServeUnix) {
        match self {
            Self::Ports(listeners) => {
                for listener in listeners {
                    listener.run(lanes, tls.clone(), serve.clone());
                }
            }
            Self::Socket(door) => door.run(&lanes.tasks(), tls, serve_unix),
        }
    }
}

/// What every connection of a door needs.
#[derive(Clone)]
struct Shared {
    chp: Arc<Chp>,
    limits: Arc<http1::Limits>,
    stopping: CancellationToken,
}

impl Shared {
    fn new(chp: &Arc<Chp>, limits: &Arc<http1::Limits>, lanes: &Lanes) -> Self {
        Self { chp: chp.clone(), limits: limits.clone(), stopping: lanes.tasks().stopping().clone() }
    }
}

/// Carries browsers' requests to targets.
pub(super) fn run_public(
    door: Door,
    chp: &Arc<Chp>,
    limits: &Arc<http1::Limits>,
    tls: Option<TlsAcceptor>,
    lanes: &Lanes,
) {
    let shared = Shared::new(chp, limits, lanes);
    let is_encrypted = tls.is_some();
    let serve: Serve = {
        let shared = shared.clone();
        Arc::new(move |connection: Connection| {
            let shared = shared.clone();
            Box::pin(async move {
                let Connection { stream, peer, security, .. } = connection;
                // A page over plain HTTP on a port that promises TLS: node says nothing either.
                if security == Security::PlainOnTlsPort {
                    return;
                }
                let peer = HeaderValue::from_str(&peer.ip().to_string()).ok();
                serve_public(shared, stream, Arrival { peer, is_encrypted }).await;
            })
        })
    };
    let serve_unix: ServeUnix = Arc::new(move |io| {
        let arrival = Arrival { peer: None, is_encrypted };
        Box::pin(serve_public(shared.clone(), io, arrival))
    });
    door.run(lanes, tls, serve, serve_unix);
}

async fn serve_public<I: Io + 'static>(shared: Shared, io: I, arrival: Arrival) {
    let Shared { chp, limits, stopping } = shared;
    let (chp, arrival) = (&*chp, &arrival);
    // How a connection ended is nobody's business but its client's.
    let Some(limit) = chp.config.timeout else {
        let _ = http1::serve(io, &limits, |request| request::answer(chp, arrival, request), stopping).await;
        return;
    };
    let is_watched = Arc::new(AtomicBool::new(false));
    let watched = Idle::new(io, limit, is_watched.clone());
    let is_watched = &is_watched;
    let answer = |request| async move {
        is_watched.store(true, Ordering::Relaxed);
        let response = request::answer(chp, arrival, request).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            is_watched.store(false, Ordering::Relaxed);
        }
        response
    };
    let _ = http1::serve(watched, &limits, answer, stopping).await;
}

/// Takes a hub's routes.
pub(super) fn run_api(
    door: Door,
    chp: &Arc<Chp>,
    limits: &Arc<http1::Limits>,
    tls: Option<TlsAcceptor>,
    lanes: &Lanes,
) {
    run_plain(door, Shared::new(chp, limits, lanes), tls, lanes, |chp, request| {
        Box::pin(async move { api::answer(&chp, request).await })
    });
}

/// Shows figures.
pub(super) fn run_metrics(door: Door, chp: &Arc<Chp>, limits: &Arc<http1::Limits>, lanes: &Lanes) {
    run_plain(door, Shared::new(chp, limits, lanes), None, lanes, |chp, request| {
        Box::pin(async move { figures(&chp, &request) })
    });
}

/// Sends plain HTTP on to HTTPS.
pub(super) fn run_redirect(door: Door, chp: &Arc<Chp>, limits: &Arc<http1::Limits>, lanes: &Lanes) {
    run_plain(door, Shared::new(chp, limits, lanes), None, lanes, |chp, request| {
        Box::pin(async move {
            match &chp.config.redirect {
                Some(redirect) => redirect::answer(redirect, &request),
                None => Response::new(ResponseBody::Empty),
            }
        })
    });
}

type Answering = futures_util::future::BoxFuture<'static, Response<ResponseBody>>;

/// A door whose requests are few: what answers them is boxed.
fn run_plain(
    door: Door,
    shared: Shared,
    tls: Option<TlsAcceptor>,
    lanes: &Lanes,
    answer: fn(Arc<Chp>, Request<RequestBody>) -> Answering,
) {
    let serve: Serve = {
        let shared = shared.clone();
        Arc::new(move |connection: Connection| {
            let Connection { stream, security, .. } = connection;
            let shared = shared.clone();
            Box::pin(async move {
                if security != Security::PlainOnTlsPort {
                    serve_plain(shared, stream, answer).await;
                }
            })
        })
    };
    let serve_unix: ServeUnix = Arc::new(move |io| Box::pin(serve_plain(shared.clone(), io, answer)));
    door.run(lanes, tls, serve, serve_unix);
}

async fn serve_plain<I: Io + 'static>(shared: Shared, io: I, answer: fn(Arc<Chp>, Request<RequestBody>) -> Answering) {
    let Shared { chp, limits, stopping } = shared;
    let _ = http1::serve(io, &limits, |request| answer(chp.clone(), request), stopping).await;
}

fn figures(chp: &Chp, request: &Request<RequestBody>) -> Response<ResponseBody> {
    if request.uri() != "/metrics" {
        let mut response = Response::new(ResponseBody::from("Not Found"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    }
    let mut response = Response::new(ResponseBody::from(chp.metrics.text()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
