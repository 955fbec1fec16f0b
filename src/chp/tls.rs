//! TLS of our doors and towards targets, from the files that the command line names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::{BackendTls, TlsFiles, TlsVersions};
use crate::net::{ClientTls, ClientTlsParts, system_authorities};

/// Why TLS cannot be had as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {what} in PEM that can be used", file.display())]
    Unusable {
        /// Which.
        file: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// A key behind a passphrase.
    #[error("{} is encrypted, which is not supported; write it without its passphrase (openssl pkey -in … -out …), readable by this user alone", file.display())]
    Encrypted {
        /// Which.
        file: PathBuf,
    },
    /// No cipher is left.
    #[error(
        "--ssl-ciphers {names} leaves no cipher that is supported; leave it out for all of them: ECDHE with AES-GCM or ChaCha20"
    )]
    NoCipher {
        /// As given.
        names: String,
    },
    /// The parts do not fit each other.
    #[error("the certificate and the key of {} cannot be used together", file.display())]
    Refused {
        /// The certificate's file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: rustls::Error,
    },
    /// The authorities for clients cannot be used.
    #[error("{} cannot be used to check clients' certificates", file.display())]
    Authorities {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: rustls::server::VerifierBuilderError,
    },
}

/// What shakes hands at a door.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let refused = |cause| TlsError::Refused { file: files.certificate.clone(), cause };
    let provider = Arc::new(provider(files.ciphers.as_deref())?);
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(files.versions))
        .map_err(refused)?;
    let builder = match &files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(file)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(
                verifier.map_err(|cause| TlsError::Authorities { file: file.clone(), cause })?,
            )
        }
    };
    let mut config = builder.with_single_cert(certificates(&files.certificate)?, key(&files.key)?).map_err(refused)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if let Ok(tickets) = aws_lc_rs::Ticketer::new() {
        config.ticketer = tickets;
    }
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// How targets are spoken to that want TLS.
pub(super) fn to_targets(tls: &BackendTls) -> Result<ClientTls, TlsError> {
    let authorities = match &tls.authorities {
        Some(file) => certificates(file)?,
        None => system_authorities(),
    };
    let identity = match &tls.identity {
        Some((certificate, private)) => Some((certificates(certificate)?, key(private)?)),
        None => None,
    };
    let file = tls.identity.as_ref().map(|(certificate, _)| certificate.clone()).unwrap_or_default();
    let parts = ClientTlsParts { authorities, identity, verifies: tls.verifies, versions: versions(tls.versions) };
    ClientTls::new(parts).map_err(|cause| TlsError::Refused { file, cause })
}

fn versions(versions: TlsVersions) -> Vec<&'static SupportedProtocolVersion> {
    match versions {
        TlsVersions::All => vec![&version::TLS13, &version::TLS12],
        TlsVersions::Only12 => vec![&version::TLS12],
        TlsVersions::Only13 => vec![&version::TLS13],
    }
}

/// OpenSSL's names of what we have, and ours.
const CIPHERS: [(&str, SupportedCipherSuite); 9] = [
    ("TLS_AES_128_GCM_SHA256", aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-CHACHA20-POLY1305", aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Groups of OpenSSL's that hold all that we have.
const ALL_OF_OURS: [&str; 6] = ["HIGH", "DEFAULT", "ALL", "ECDHE", "EECDH", "AESGCM"];

/// With only the ciphers that `names` allow. As in OpenSSL, the list says nothing of TLS 1.3's unless it names one.
fn provider(names: Option<&str>) -> Result<CryptoProvider, TlsError> {
    let mut provider = aws_lc_rs::default_provider();
    let Some(names) = names else { return Ok(provider) };
    let listed: Vec<&str> = names.split([':', ',', ' ']).filter(|name| !name.is_empty()).collect();
    let is_out = |name: &str| listed.iter().any(|item| item.strip_prefix(['!', '-']) == Some(name));
    let is_in = |name: &str| listed.iter().any(|item| *item == name || ALL_OF_OURS.contains(item));
    let names_13 = listed.iter().any(|item| item.starts_with("TLS_"));
    let is_wanted = |name: &str| !is_out(name) && (is_in(name) || (name.starts_with("TLS_") && !names_13));
    let has_12 = CIPHERS.iter().any(|(name, _)| !name.starts_with("TLS_") && is_wanted(name));
    if !has_12 && !names_13 {
        return Err(TlsError::NoCipher { names: names.to_owned() });
    }
    provider.cipher_suites.retain(|suite| CIPHERS.iter().any(|(name, known)| known == suite && is_wanted(name)));
    Ok(provider)
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|cause| TlsError::Unreadable { file: file.to_owned(), cause })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = || TlsError::Unusable { file: file.to_owned(), what: "certificate" };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(unusable)
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(file)?;
    let has = |what: &str| text.windows(what.len()).any(|part| part == what.as_bytes());
    if has("ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::Encrypted { file: file.to_owned() });
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::Unusable { file: file.to_owned(), what: "private key" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_ciphers_narrows_what_is_spoken() {
        let count = |names: Option<&str>| provider(names).map(|provider| provider.cipher_suites.len()).ok();
        assert_eq!(count(None), Some(9));
        assert_eq!(count(Some("HIGH:!aNULL:!RC4")), Some(9));
        assert_eq!(count(Some("ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-SHA256")), Some(4));
        assert_eq!(count(Some("HIGH:!ECDHE-RSA-AES128-GCM-SHA256")), Some(8));
        assert_eq!(count(Some("TLS_AES_256_GCM_SHA384")), Some(1));
        assert_eq!(count(Some("RC4-SHA")), None);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = folder.path().join("key.pem");
        assert!(matches!(key(&file), Err(TlsError::Unreadable { .. })));
        std::fs::write(&file, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n").expect("written");
        assert!(matches!(key(&file), Err(TlsError::Encrypted { .. })));
        std::fs::write(&file, "nothing").expect("written");
        assert!(matches!(key(&file), Err(TlsError::Unusable { .. })));
        assert!(matches!(certificates(&file), Err(TlsError::Unusable { .. })));
    }
}
