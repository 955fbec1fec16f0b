//! Connects to an upstream, by TCP, TLS or Unix socket, within a named time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use super::ClientTls;
use crate::model::UpstreamAddress;

/// A connection to an upstream.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP, with `TCP_NODELAY`.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
    /// Through TLS. Boxed: it is 1 KiB and more, and plain connections should not pay for it.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// False if bytes or the end have arrived, as far as the runtime has heard: no system call. Of TLS it cannot be told.
    pub fn is_surely_quiet(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(&mut context).is_pending(),
            Self::Unix(stream) => stream.poll_read_ready(&mut context).is_pending(),
            Self::Tls(_) => false,
        }
    }

    /// The same in this runtime: two system calls, and from here on nobody else is woken by it. Through TLS it stays
    /// where it is, and works.
    ///
    /// # Errors
    /// If the system refuses; the connection is closed then.
    pub fn moved_here(self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream.into_std()?)?),
            Self::Unix(stream) => Self::Unix(UnixStream::from_std(stream.into_std()?)?),
            Self::Tls(stream) => Self::Tls(stream),
        })
    }

    /// Dropping it will end the connection with a reset: nothing of ours is sent again, and nothing is waited for.
    pub fn reset_on_close(&self) {
        let stream = match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
            Self::Unix(_) => return,
        };
        // It only fails on a connection that has ended already.
        let _ = stream.set_zero_linger();
    }
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Refused, no route, no such socket, out of descriptors …
    #[error("cannot connect to {address}")]
    Failed {
        /// Where to.
        address: UpstreamAddress,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Nobody answered in time.
    #[error("{address} did not accept a connection within {limit:?}")]
    Slow {
        /// Where to.
        address: UpstreamAddress,
        /// How long we waited.
        limit: Duration,
    },
}

/// Connects to `address` within `limit`; not to one that speaks TLS. Cancel-safe.
///
/// # Errors
/// The connection failed or took longer than `limit`.
pub async fn dial(address: &UpstreamAddress, limit: Duration) -> Result<Stream, DialError> {
    dial_with(address, None, limit).await
}

/// Connects to `address` within `limit`, look-up and handshake included. Cancel-safe.
///
/// # Errors
/// The connection or the handshake failed, took longer than `limit`, or TLS is wanted and `tls` is none.
pub async fn dial_with(
    address: &UpstreamAddress,
    tls: Option<&ClientTls>,
    limit: Duration,
) -> Result<Stream, DialError> {
    let connecting = async {
        match address {
            UpstreamAddress::Tcp(tcp) => Ok(Stream::Tcp(prompt(TcpStream::connect(tcp).await?)?)),
            UpstreamAddress::Named { host, port, is_tls } => {
                let stream = prompt(TcpStream::connect((host.as_str(), *port)).await?)?;
                if !is_tls {
                    return Ok(Stream::Tcp(stream));
                }
                let tls = tls.ok_or_else(|| io::Error::other("TLS to servers is not set up"))?;
                let name = host.clone().try_into().map_err(io::Error::other)?;
                Ok(Stream::Tls(Box::new(tls.connector().connect(name, stream).await?)))
            }
            UpstreamAddress::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
        }
    };
    match tokio::time::timeout(limit, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(cause)) => Err(DialError::Failed { address: address.clone(), cause }),
        Err(_) => Err(DialError::Slow { address: address.clone(), limit }),
    }
}

/// A head and a small body must not wait for the acknowledgement of what went before.
fn prompt(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())), // a socket has nothing to flush
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
