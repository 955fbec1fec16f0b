//! TLS towards upstreams that speak it: whose certificates are believed, and what we show of ourselves.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

/// How TLS to upstreams is made. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls(TlsConnector);

/// What a client's TLS is made of.
pub struct ClientTlsParts {
    /// Whose signatures on an upstream's certificate are believed.
    pub authorities: Vec<CertificateDer<'static>>,
    /// What we show to an upstream that asks who we are.
    pub identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// False: any certificate will do. The operator has said that the way to the upstreams is safe.
    pub verifies: bool,
    /// The versions that may be spoken.
    pub versions: Vec<&'static SupportedProtocolVersion>,
}

impl ClientTls {
    /// Makes it.
    ///
    /// # Errors
    /// The identity's key does not fit its certificate, or an authority is none.
    pub fn new(parts: ClientTlsParts) -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        // A system's bundle always holds a few that nobody understands.
        roots.add_parsable_certificates(parts.authorities);
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&parts.versions)?;
        let builder = match parts.verifies {
            true => builder.with_root_certificates(roots),
            false => builder.dangerous().with_custom_certificate_verifier(Arc::new(BelieveAnybody(provider))),
        };
        let mut config = match parts.identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(super) fn connector(&self) -> &TlsConnector {
        &self.0
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

/// Where distributions keep the authorities that they believe; node brings Mozilla's along, which are the same.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whom the system believes. Blocks on a file; empty if there is none.
#[must_use]
pub fn system_authorities() -> Vec<CertificateDer<'static>> {
    let bundle = SYSTEM_BUNDLES.iter().find_map(|file| std::fs::read(file).ok()).unwrap_or_default();
    // Without a bundle nobody's certificate is believed, and whoever asks says so.
    CertificateDer::pem_slice_iter(&bundle).filter_map(Result::ok).collect()
}

/// Checks that the peer has the key of its certificate, and nothing else.
#[derive(Debug)]
struct BelieveAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for BelieveAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
