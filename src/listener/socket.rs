//! A socket to accept on and a connection that came of it: over TCP, or through a file on this machine.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::{RecvFlags, sockopt};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tracing::debug;

use super::unix::SocketFile;
use crate::model::UNIX_PEER;

/// What the system takes of us for a client beyond what is on its way. 128 KiB, two of our writes: else it takes 4 MiB for
/// somebody who reads nothing, and says that there is room again only when a third of that is gone, which a client on a slow
/// line does not manage in the time that we wait.
const UNSENT_BYTES: u32 = 128 * 1024;

/// Sets what the connections of a listening socket inherit.
pub(super) fn set_inherited(listening: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(listening);
    // Finds peers that vanished without a word.
    socket.set_keepalive(true)?;
    // Not everything that looks like Linux knows it.
    let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES);
    Ok(())
}

/// A bound socket.
#[derive(Debug)]
pub(super) enum Bound {
    Tcp {
        listener: TcpListener,
        /// How many connections may wait in it; none: whoever opened it has said so.
        backlog: Option<u32>,
    },
    Unix {
        listener: UnixListener,
        /// Its file, if that is ours to remove.
        _file: Option<SocketFile>,
    },
}

impl Bound {
    /// Binds `address` for this program alone; with `only_v6`, `[::]` leaves IPv4 to another socket.
    pub(super) fn tcp(address: SocketAddr, only_v6: bool, backlog: u32) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => match TcpSocket::new_v6() {
                Ok(socket) => {
                    sockopt::set_ipv6_v6only(&socket, only_v6)?;
                    socket
                }
                // A kernel or a container without IPv6: "all addresses" then means all of IPv4.
                Err(_) if address.ip().is_unspecified() && !only_v6 => {
                    return Self::tcp((Ipv4Addr::UNSPECIFIED, address.port()).into(), false, backlog);
                }
                Err(error) => return Err(error),
            },
        };
        match prepare(&socket).and_then(|()| socket.bind(address)) {
            // IPv6 compiled in but switched off: no address of it can be had.
            Err(error)
                if error.kind() == io::ErrorKind::AddrNotAvailable
                    && address == SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port())) =>
            {
                return Self::tcp((Ipv4Addr::UNSPECIFIED, address.port()).into(), false, backlog);
            }
            bound => bound?,
        }
        Ok(Self::Tcp { listener: socket.listen(backlog)?, backlog: Some(backlog) })
    }

    /// Itself and more of its address, `count` in all, among which the system shares out connections; itself alone
    /// if it is no TCP socket of ours, or the system cannot.
    pub(super) fn multiplied(self, count: usize) -> Vec<Self> {
        let mut all = vec![self];
        if let Self::Tcp { listener, backlog: Some(backlog) } = &all[0]
            && count > 1
        {
            // Only now: it was bound for us alone, so that a second program is told that the address is taken.
            let more = sockopt::set_socket_reuseport(listener, true).map_err(io::Error::from);
            let more =
                more.and_then(|()| (1..count).map(|_| another(listener, *backlog)).collect::<io::Result<Vec<_>>>());
            match more {
                Ok(more) => all.extend(more),
                Err(error) => debug!(%error, "an address has one socket for all threads"),
            }
        }
        all
    }

    /// The same in this runtime, which alone is woken by it from here on.
    pub(super) fn moved_here(self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp { listener, backlog } => {
                Self::Tcp { listener: TcpListener::from_std(listener.into_std()?)?, backlog }
            }
            Self::Unix { listener, _file } => {
                Self::Unix { listener: UnixListener::from_std(listener.into_std()?)?, _file }
            }
        })
    }

    /// The next connection and who is at its other end; a Unix socket's peers have no address but `UNIX_PEER`.
    ///
    /// Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<(Transport, SocketAddr)> {
        match self {
            Self::Tcp { listener, .. } => {
                let (stream, peer) = listener.accept().await?;
                Ok((Transport::Tcp(stream), canonical(peer)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Transport::Unix(stream), SocketAddr::new(UNIX_PEER, 0)))
            }
        }
    }

    /// None for a Unix socket.
    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { listener, .. } => listener.local_addr().ok(),
            Self::Unix { .. } => None,
        }
    }
}

fn prepare(socket: &TcpSocket) -> io::Result<()> {
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    set_inherited(socket)
}

/// One more of the address of `first`, which allows it.
fn another(first: &TcpListener, backlog: u32) -> io::Result<Bound> {
    let address = first.local_addr()?;
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            sockopt::set_ipv6_v6only(&socket, sockopt::ipv6_v6only(first)?)?;
            socket
        }
    };
    prepare(&socket)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(Bound::Tcp { listener: socket.listen(backlog)?, backlog: Some(backlog) })
}

/// An accepted connection, nothing of it read yet.
#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Transport {
    /// The same in this runtime, which alone is woken by it from here on.
    pub(super) fn moved_here(self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream.into_std()?)?),
            Self::Unix(stream) => Self::Unix(UnixStream::from_std(stream.into_std()?)?),
        })
    }
}

/// An accepted connection, before TLS.
///
/// Dropped while the peer does not take what we have for it, it ends with a reset: else the system would keep those
/// megabytes for a minute or more, for somebody who reads nothing.
#[derive(Debug)]
pub(super) struct Socket {
    transport: Transport,
    /// The last write found no room.
    is_blocked: bool,
}

impl From<Transport> for Socket {
    fn from(transport: Transport) -> Self {
        Self { transport, is_blocked: false }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let (true, Transport::Tcp(stream)) = (self.is_blocked, &self.transport) {
            // It only fails on a connection that has ended already.
            let _ = stream.set_zero_linger();
        }
    }
}

impl Socket {
    /// The address that was connected to; nowhere for a Unix socket.
    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        match &self.transport {
            Transport::Tcp(stream) => stream.local_addr().map(canonical),
            Transport::Unix(_) => Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)),
        }
    }

    /// Small answers go out at once; the system's refusal would only cost time.
    pub(super) fn send_promptly(&self) {
        if let Transport::Tcp(stream) = &self.transport {
            let _ = stream.set_nodelay(true);
        }
    }

    /// The first bytes that wait, which stay where they are; 0: the peer sends no more.
    pub(super) async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match &self.transport {
            Transport::Tcp(stream) => stream.peek(bytes).await,
            Transport::Unix(stream) => {
                let peek = || Ok(rustix::net::recv(stream, &mut *bytes, RecvFlags::PEEK)?.0);
                stream.async_io(Interest::READABLE, peek).await
            }
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = match &mut this.transport {
            Transport::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        this.is_blocked = polled.is_pending();
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = match &mut this.transport {
            Transport::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        this.is_blocked = polled.is_pending();
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // a socket has nothing to flush
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let peer = TcpStream::connect(address).await.expect("connected");
        let bound = Bound::Tcp { listener, backlog: None };
        let (accepted, _) = bound.accept().await.expect("accepted");
        (accepted.into(), peer)
    }

    #[tokio::test]
    async fn whoever_takes_nothing_is_reset_and_whoever_took_all_sees_an_end() {
        let (mut socket, mut peer) = pair().await;
        let piece = vec![0; 64 * 1024];
        let is_full = async |socket: &mut Socket| {
            std::future::poll_fn(|cx| match Pin::new(&mut *socket).poll_write(cx, &piece) {
                Poll::Ready(written) => Poll::Ready(written.map(|_| false)),
                Poll::Pending => Poll::Ready(Ok(true)),
            })
            .await
        };
        while !is_full(&mut socket).await.expect("written") {}
        drop(socket);
        let ended = peer.read_to_end(&mut Vec::new()).await.map_err(|error| error.kind());
        assert_eq!(ended, Err(io::ErrorKind::ConnectionReset));

        let (mut socket, mut peer) = pair().await;
        socket.write_all(b"all of it").await.expect("written");
        drop(socket);
        let mut taken = Vec::new();
        peer.read_to_end(&mut taken).await.expect("an end");
        assert_eq!(taken, b"all of it");
    }
}
