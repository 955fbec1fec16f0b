//! The TLS side of a listener: versions, ALPN, resumption, clients' certificates. Our own come from `certificates`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CipherSuite, ProtocolVersion, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion, version,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::acme::ALPN as ACME;
use super::{Certificates, Config};
use crate::model::{ClientCertificate, Handshake, Protocol, Timestamp, TlsFacts};

/// What is asked of a handshake.
#[derive(Clone, Debug, Default)]
pub struct TlsConfig {
    /// The least version that is spoken. Default 1.2: its suites here are those of Mozilla's intermediate profile.
    pub min_version: TlsVersion,
    /// Who vouches for clients' certificates (PEM). `None`: no client is asked for one. Else each is asked, none must
    /// have one, and one that nobody vouches for ends the handshake.
    pub client_ca: Option<PathBuf>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2
    #[default]
    Tls12,
    /// 1.3
    Tls13,
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The library refuses its own defaults: the cause lies in the build.
    #[error("the TLS library refused its configuration")]
    Refused(#[from] rustls::Error),
    /// `listener.tls.client_ca` is not there.
    #[error("listener.tls.client_ca = {path:?} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// It holds nothing that could vouch for anybody.
    #[error("listener.tls.client_ca = {path:?} holds no authority's certificate in PEM")]
    NoAuthority {
        /// Which file.
        path: PathBuf,
    },
    /// The library makes nothing of them.
    #[error("listener.tls.client_ca = {path:?} cannot be used to check clients' certificates")]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: VerifierBuilderError,
    },
}

/// `h2` first: a browser that speaks both needs one connection for everything, WebSockets included.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Session tickets sent after a TLS 1.3 handshake. 2: a browser that opens two connections at once resumes both;
/// each ticket costs a signature's worth of bytes in every first answer.
const TICKETS: usize = 2;

/// Accepts TLS with whatever `certificates` serves at the moment of each handshake. Blocks on a file.
///
/// # Errors
/// If `client_ca` cannot be used, or the TLS library refuses its own defaults.
pub fn acceptor(config: &Config, certificates: Arc<Certificates>) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(config.tls.min_version))?;
    let builder = match &config.tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(path)?), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|cause| TlsError::Authorities { path: path.clone(), cause })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut tls = builder.with_cert_resolver(certificates);
    tls.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    if !config.acme.names.is_empty() {
        // Last, so that it is chosen only by who offers nothing else; then it needs a check that is under way.
        tls.alpn_protocols.push(ACME.to_vec());
    }
    // Tickets are sealed with keys that live in memory and change every six hours: no cache that strangers fill.
    tls.ticketer = aws_lc_rs::Ticketer::new()?;
    tls.send_tls13_tickets = TICKETS;
    Ok(TlsAcceptor::from(Arc::new(tls)))
}

fn versions(least: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    match least {
        TlsVersion::Tls12 => vec![&version::TLS13, &version::TLS12],
        TlsVersion::Tls13 => vec![&version::TLS13],
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let text = std::fs::read(path).map_err(|cause| TlsError::Unreadable { path: path.to_owned(), cause })?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let mut roots = RootCertStore::empty();
    // Half a file would vouch for half the people: all of it, or nothing.
    let (added, ignored) = roots.add_parsable_certificates(found.unwrap_or_default());
    if added == 0 || ignored > 0 {
        return Err(TlsError::NoAuthority { path: path.to_owned() });
    }
    Ok(roots)
}

/// What a finished handshake said; `None`: it was an authority's check of a name, and that was all.
pub(super) fn handshake_of(connection: &ServerConnection) -> Option<Handshake> {
    let protocol = match connection.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        Some(protocol) if protocol == ACME => return None,
        _ => Protocol::Http1,
    };
    // Who asks nobody for a certificate is shown none; what is here, the verifier has approved.
    let client = connection.peer_certificates().and_then(|chain| chain.first()).and_then(client_of);
    let mut handshake = Handshake::with(protocol, connection.server_name(), client);
    handshake.facts = facts_of(connection);
    Some(handshake)
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
