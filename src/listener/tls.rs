//! The TLS side of a listener: versions, ALPN, resumption. Certificates come from `certificates`.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{CipherSuite, ProtocolVersion, ServerConfig, ServerConnection};
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Certificates;
use crate::model::{ClientCertificate, Handshake, Protocol, Timestamp, TlsFacts};

/// Why TLS could not be set up. Both causes lie in the build, not in a setting.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The library refuses its own defaults.
    #[error("the TLS library refused its configuration")]
    Refused(#[from] rustls::Error),
}

/// `h2` first: a browser that speaks both needs one connection for everything, WebSockets included.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Session tickets sent after a TLS 1.3 handshake. 2: a browser that opens two connections at once resumes both;
/// each ticket costs a signature's worth of bytes in every first answer.
const TICKETS: usize = 2;

/// Accepts TLS 1.2 and 1.3 with whatever `certificates` serves at the moment of each handshake.
///
/// # Errors
/// If the TLS library refuses its own defaults.
pub fn acceptor(certificates: Arc<Certificates>) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    // Tickets are sealed with keys that live in memory and change every six hours: no cache that strangers fill.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = TICKETS;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What a finished handshake said.
pub(super) fn handshake_of(connection: &ServerConnection) -> Handshake {
    let protocol = match connection.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    // Who asks nobody for a certificate is shown none; what is here, the verifier has approved.
    let client = connection.peer_certificates().and_then(|chain| chain.first()).and_then(client_of);
    let mut handshake = Handshake::with(protocol, connection.server_name(), client);
    handshake.facts = facts_of(connection);
    handshake
}

fn facts_of(connection: &ServerConnection) -> Option<TlsFacts> {
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_3 => "1.3",
        ProtocolVersion::TLSv1_2 => "1.2",
        _ => return None,
    };
    let cipher = match connection.negotiated_cipher_suite()?.suite() {
        // rustls says `TLS13_…`, the registry and everybody's logs do not.
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str()?,
    };
    Some(TlsFacts { version, cipher })
}

fn client_of(certificate: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    Some(ClientCertificate {
        subject: read.subject().to_string(),
        issuer: read.issuer().to_string(),
        serial: format!("{:x}", read.tbs_certificate.serial),
        fingerprint: Sha256::digest(certificate).into(),
        ends_at: Timestamp(read.validity().not_after.timestamp().saturating_mul(1000)),
    })
}
