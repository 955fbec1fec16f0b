//! Serves one connection, whatever it speaks, with the one life of a request.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use super::{Edge, http2};
use crate::model::{Door, Live, Protocol, Security};
use crate::net::{Io, http1};

/// How a connection came in.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// The address that was connected to.
    pub local: SocketAddr,
    /// What protects it.
    pub security: Security,
    /// By which door.
    pub door: Door,
}

impl Edge {
    /// Serves a connection until either side ends it, under these settings.
    pub async fn serve_connection<I>(&self, io: I, arrival: Arrival, stopping: CancellationToken)
    where
        I: Io + 'static,
    {
        serve_connection(&Live::new(self.clone()), io, arrival, stopping).await;
    }
}

/// Serves a connection until either side ends it; after the soft stop it finishes what is under way. Each request is
/// answered by the newest `edge`; limits of the connection itself are those of its beginning.
pub async fn serve_connection<I>(edge: &Live<Edge>, io: I, arrival: Arrival, stopping: CancellationToken)
where
    I: Io + 'static,
{
    let protocol = match &arrival.security {
        Security::Tls(handshake) => handshake.protocol,
        Security::Plain | Security::PlainOnTlsPort => Protocol::Http1,
    };
    match protocol {
        Protocol::Http1 => {
            let limits = edge.read().parts.config.http1.clone();
            let arrival = &arrival;
            let answer = |request| {
                let edge = edge.snapshot();
                async move { edge.answer(arrival, request).await }
            };
            // How it ended was said by the codec, which alone knows why.
            let _ = http1::serve(io, &limits, answer, stopping).await;
        }
        Protocol::Http2 => http2::serve(io, edge.clone(), arrival, stopping).await,
    }
}

#[cfg(test)]
mod tests;
