//! Accepts connections: a loop for each socket of an address, limits in all and per address, TLS handshakes against the clock.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::fs::{Mode, OFlags};
use rustix::process::Resource;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::address::ListenAddress;
use super::admission::{Admission, Beginning};
use super::counts::Counts;
use super::permits::{Permit, Permits};
use super::socket::{Bound, Socket, Transport};
use super::stream::{Bytes, Stream};
use super::unix::{self, SocketAccess};
use super::wire::Wire;
use super::{activated, proxy_protocol, tls};
use crate::model::{Live, Security};
use crate::tasks::{Lanes, Seat};

/// Bounds of accepting.
#[derive(Clone, Debug)]
pub struct AcceptLimits {
    /// Connections waiting in the kernel. 1024: a burst of browsers after a restart.
    pub backlog: u32,
    /// Open connections of all listeners of one kind. 16384: at 40 KiB each they stay below 700 MiB.
    pub connections: usize,
    /// Open connections from one IPv4 address or IPv6 /64. 2048: a lecture hall behind one address, two connections
    /// and some WebSockets each.
    pub connections_per_address: usize,
    /// A TLS handshake from accept to end, in seconds. 5: a phone on a bad line needs 3.
    pub handshake_timeout_s: u64,
    /// How long accepting pauses when the process is out of file descriptors, in milliseconds. 200: connections end
    /// meanwhile, and the kernel's backlog holds the new ones.
    pub pause_ms: u64,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        Self {
            backlog: 1024,
            connections: 16_384,
            connections_per_address: 2048,
            handshake_timeout_s: 5,
            pause_ms: 200,
        }
    }
}

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address.
    pub address: ListenAddress,
    /// What the system says.
    #[source]
    pub cause: io::Error,
}

/// An accepted connection, ready to be served.
#[derive(Debug)]
pub struct Connection {
    /// Its bytes; holds the permit.
    pub stream: Stream,
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// The address that was connected to.
    pub local: SocketAddr,
    /// What protects it.
    pub security: Security,
}

/// What serves a connection until it ends; should heed the soft stop by itself.
pub type Serve = Arc<dyn Fn(Connection) -> BoxFuture<'static, ()> + Send + Sync>;

/// Bound sockets that do not accept yet.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Bound>,
    admission: Live<Admission>,
    permits: Permits,
    counts: Counts,
}

impl Listener {
    /// Binds all `addresses`; of connections that come there, `admission` is asked anew for each. Must run in a runtime.
    ///
    /// # Errors
    /// If one of them cannot be had.
    pub fn bind(
        addresses: &[ListenAddress],
        access: &SocketAccess,
        admission: impl Into<Live<Admission>>,
    ) -> Result<Self, BindError> {
        let admission: Live<Admission> = admission.into();
        let limits = admission.read().limits.clone();
        let mut sockets = Vec::new();
        for address in addresses {
            let failed = |cause| BindError { address: address.clone(), cause };
            match address {
                ListenAddress::Tcp(tcp) => {
                    // `[::]` beside `0.0.0.0` with the same port: each takes its own family.
                    let is_v4_there = |other: &ListenAddress| matches!(other, ListenAddress::Tcp(other) if other.is_ipv4() && other.port() == tcp.port());
                    let shares_port = addresses.iter().any(is_v4_there);
                    sockets.push(Bound::tcp(*tcp, shares_port, limits.backlog).map_err(failed)?);
                }
                ListenAddress::Unix(path) => {
                    let (socket, file) = unix::bind_for(path, access).map_err(failed)?;
                    sockets.push(Bound::Unix { listener: socket, _file: Some(file) });
                }
                ListenAddress::Systemd(name) => {
                    sockets.extend(activated::take(name).map_err(|error| failed(io::Error::other(error)))?);
                }
            }
        }
        Ok(Self { sockets, permits: Permits::new(limits.connections), admission, counts: Counts::default() })
    }

    /// Where it really listens: what port 0 has become. Unix sockets are not among them.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(Bound::local_address).collect()
    }

    /// What it counts, from now on.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Accepts until the soft stop, on every lane; each connection is a task of its own on one of them. With `tls`, a
    /// connection is handed to `serve` after its handshake.
    pub fn run(self, lanes: &Lanes, tls: Option<TlsAcceptor>, serve: Serve) {
        let shared = Arc::new(Shared {
            lanes: lanes.clone(),
            stopping: lanes.tasks().stopping().clone(),
            admission: self.admission,
            permits: self.permits,
            counts: self.counts,
            tls,
            serve,
        });
        for bound in self.sockets {
            for (lane, socket) in bound.multiplied(lanes.count()).into_iter().enumerate() {
                lanes.spawn(lane, accept_until_stop(socket, lane, shared.clone()));
            }
        }
    }
}

struct Shared {
    lanes: Lanes,
    stopping: CancellationToken,
    admission: Live<Admission>,
    permits: Permits,
    counts: Counts,
    tls: Option<TlsAcceptor>,
    serve: Serve,
}

impl Shared {
    fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.admission.read().limits.handshake_timeout_s)
    }

    /// Runs `work`, which carries a connection that was accepted on `lane`, there or on a lane that has much less to do.
    fn carry<F>(&self, transport: Transport, lane: usize, work: impl FnOnce(Socket, Seat) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let seat = self.lanes.seat(lane);
        let moved = if seat.lane() == lane {
            Ok(transport)
        } else {
            let _runtime = self.lanes.enter(seat.lane());
            transport.moved_here()
        };
        match moved {
            Ok(transport) => self.lanes.spawn(seat.lane(), work(transport.into(), seat)),
            Err(error) => debug!(%error, "a connection could not be handed over"),
        }
    }

    /// The place of one more connection from `address`; none: it has its share, which has been told.
    fn permit(&self, all: OwnedSemaphorePermit, address: IpAddr) -> Option<Permit> {
        let admission = self.admission.read();
        if admission.is_unlimited(address) {
            return Some(Permits::for_proxy(all));
        }
        let limit = admission.limits.connections_per_address;
        let permit = self.permits.for_address(all, address, limit);
        if permit.is_none() {
            self.counts.here().turned_away.one();
            let count = self.counts.figures().turned_away;
            // Powers of two: a flood of connections must not become a flood of lines.
            if count.is_power_of_two() {
                warn!(%address, limit, count, "connection turned away: this address has its share");
            }
        }
        permit
    }
}

async fn accept_until_stop(socket: Bound, lane: usize, shared: Arc<Shared>) {
    let mut reserve = spare_descriptor();
    let socket = match socket.moved_here() {
        Ok(socket) => socket,
        Err(error) => return error!(%error, "a bound address cannot be listened on"),
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stopping.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((transport, peer)) => {
                // One waits here for its permit, the kernel's backlog holds those behind it.
                let Some(all) = shared.stopping.run_until_cancelled(shared.permits.wait()).await else { return };
                begin(transport, peer, all, lane, &shared);
            }
            Err(error) if is_exhaustion(&error) => {
                warn!(%error, "cannot accept; pausing");
                // Without this the same connection would wake us again at once and for ever: close it with the
                // descriptor that was kept for this moment.
                drop(reserve.take());
                if let Ok(Ok((stream, _))) = tokio::time::timeout(Duration::ZERO, socket.accept()).await {
                    drop(stream);
                }
                reserve = spare_descriptor();
                tokio::select! {
                    () = shared.stopping.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_millis(shared.admission.read().limits.pause_ms)) => {}
                }
            }
            // The peer was gone before we took it.
            Err(error) => debug!(%error, "a connection could not be accepted"),
        }
    }
}

/// Begins a connection that was accepted on `lane`.
fn begin(transport: Transport, peer: SocketAddr, all: OwnedSemaphorePermit, lane: usize, shared: &Arc<Shared>) {
    let beginning = shared.admission.read().beginning(peer.ip());
    match beginning {
        Beginning::AsItIs => {
            let Some(permit) = shared.permit(all, peer.ip()) else { return };
            shared.carry(transport, lane, |stream, seat| shake_hands(stream, peer, permit, seat, shared.clone()));
        }
        // Whom it comes from, and so whose share it is, is not known yet.
        Beginning::ProxyHeader => {
            shared.carry(transport, lane, |stream, seat| hear_proxy(stream, peer, all, seat, shared.clone()));
        }
        Beginning::Refused => {
            shared.counts.here().turned_away.one();
            debug!(address = %peer.ip(), "not one of listener.proxy_protocol: refused");
        }
    }
}

/// Reads the PROXY header, then goes on as if the client that it names had connected.
async fn hear_proxy(mut stream: Socket, proxy: SocketAddr, all: OwnedSemaphorePermit, seat: Seat, shared: Arc<Shared>) {
    let limit = shared.handshake_timeout();
    let heard = tokio::select! {
        () = shared.stopping.cancelled() => return,
        heard = tokio::time::timeout(limit, proxy_protocol::read(&mut stream)) => heard,
    };
    let client = match heard {
        Ok(Ok(client)) => client.unwrap_or(proxy),
        Ok(Err(error)) => {
            shared.counts.here().failed_handshakes.one();
            return debug!(address = %proxy.ip(), error = &error as &dyn std::error::Error, "refused");
        }
        Err(_) => {
            shared.counts.here().late_handshakes.one();
            return debug!(address = %proxy.ip(), ?limit, "the PROXY header took too long");
        }
    };
    let Some(permit) = shared.permit(all, client.ip()) else { return };
    shake_hands(stream, client, permit, seat, shared).await;
}

async fn shake_hands(stream: Socket, peer: SocketAddr, permit: Permit, seat: Seat, shared: Arc<Shared>) {
    let Ok(local) = stream.local_address() else { return };
    let open = shared.counts.connection();
    stream.send_promptly();
    let (bytes, security) = match &shared.tls {
        None => (Bytes::Plain(stream), Security::Plain),
        Some(tls) => {
            let limit = shared.handshake_timeout();
            let shaken = tokio::select! {
                () = shared.stopping.cancelled() => return,
                shaken = tokio::time::timeout(limit, secure(stream, tls)) => shaken,
            };
            match shaken {
                Ok(Ok(None)) => return debug!(address = %peer.ip(), "an authority has checked a name"),
                Ok(Ok(Some((bytes, security)))) => {
                    shared.counts.note_handshake(&bytes);
                    (bytes, security)
                }
                // Scanners and browsers that mistrust our certificate: the day's noise.
                Ok(Err(error)) => {
                    shared.counts.here().failed_handshakes.one();
                    return debug!(address = %peer.ip(), %error, "no handshake");
                }
                Err(_) => {
                    shared.counts.here().late_handshakes.one();
                    return debug!(address = %peer.ip(), ?limit, "the handshake took too long");
                }
            }
        }
    };
    (shared.serve)(Connection { stream: Stream { bytes, open, _permit: permit, _seat: seat }, peer, local, security })
        .await;
}

/// The first byte of every TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Shakes hands; `None` if that was all that the client wanted.
async fn secure(stream: Socket, tls: &TlsAcceptor) -> io::Result<Option<(Bytes, Security)>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first[0] != TLS_HANDSHAKE && first[0].is_ascii_uppercase() {
        return Ok(Some((Bytes::Plain(stream), Security::PlainOnTlsPort)));
    }
    let mut stream = tls.accept(Wire::new(stream)).await?;
    let Some(handshake) = tls::handshake_of(stream.get_ref().1) else {
        // The client has seen our certificate; all that is left is to part as TLS does.
        stream.shutdown().await?;
        return Ok(None);
    };
    Ok(Some((Bytes::Tls(Box::new(stream)), Security::Tls(handshake))))
}

fn is_exhaustion(error: &io::Error) -> bool {
    let codes =
        [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOBUFS, rustix::io::Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| codes.iter().any(|known| known.raw_os_error() == code))
}

fn spare_descriptor() -> Option<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Raises this process's limit of open files to what the system allows, and says how many that are.
///
/// Distributions start programs with 1024, which 500 people with WebSockets use up.
pub fn raise_open_files_limit() -> Option<u64> {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    match rustix::process::setrlimit(Resource::Nofile, limit) {
        Ok(()) => info!(open_files = ?limit.current, "limit of open files"),
        Err(error) => warn!(%error, "the limit of open files stays as it is"),
    }
    rustix::process::getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests;
