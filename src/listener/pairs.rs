//! Finds pairs of certificate and key in a folder by content: names of files mean nothing, public keys match.

use std::collections::HashMap;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::model::Timestamp;

/// Files beyond this many are not looked at: a folder of certificates has a few.
const FILES_LIMIT: usize = 256;
/// A longer file is no certificate; the longest real chains are 20 KiB.
const FILE_LIMIT_BYTES: u64 = 256 * 1024;
/// Issuers sent along with a certificate.
const CHAIN_LIMIT: usize = 8;

/// A certificate with its chain and key, ready to serve.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// Host names it is for, in lower case; may begin with `*.`.
    pub(super) names: Vec<String>,
    /// IP addresses it is for.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) starts_at: Timestamp,
    pub(super) ends_at: Timestamp,
    /// True for a certificate that may sign others.
    pub(super) is_authority: bool,
    /// It was ordered from an authority, not given by an operator.
    pub(super) is_ordered: bool,
    /// In hexadecimal, as `openssl x509 -serial` has it but in lower case.
    pub(super) serial: String,
    /// The common name; many certificates have none.
    pub(super) common_name: String,
    /// Where it was found, for the log.
    pub(super) file: String,
}

impl Pair {
    /// True if a host name (lower case) stands on it, or fits its wildcard.
    pub(super) fn covers_name(&self, host: &str) -> bool {
        self.names.iter().any(|name| name == host) || self.covers_by_wildcard(host)
    }

    /// True if `host` is one label below a `*.` name.
    pub(super) fn covers_by_wildcard(&self, host: &str) -> bool {
        let Some((_, parent)) = host.split_once('.') else { return false };
        self.names.iter().any(|name| name.strip_prefix("*.") == Some(parent))
    }

    /// The pair in a chain and a key (PEM) that an authority gave us; it is told as `name`.
    pub(super) fn from_pem(name: &str, chain: &str, key: &str) -> Option<Self> {
        let content = Ok(format!("{chain}\n{key}").into_bytes());
        let file = File { name: name.to_owned(), content };
        let found = match_pairs(&[file], &rustls::crypto::aws_lc_rs::default_provider());
        found.pairs.into_iter().next().map(|pair| Self { is_ordered: true, ..pair })
    }

    /// True while it is good.
    pub(super) fn is_valid(&self, now: Timestamp) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    /// The certificate itself.
    pub(super) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }

    /// True if both are the same certificate.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.leaf() == other.leaf()
    }
}

/// What is wrong with a file of the folder; the text names the file and the cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file system said no.
    #[error("{file} cannot be read ({cause}); give Slipway the right to read it")]
    Unreadable {
        /// Name of the file.
        file: String,
        /// What the system says.
        cause: std::io::ErrorKind,
    },
    /// Cut off in the middle, or not base64.
    #[error("{file} is broken PEM or only half written; write it again")]
    BrokenPem {
        /// Name of the file.
        file: String,
    },
    /// Sound PEM around something that is no certificate.
    #[error("{file} holds a certificate that cannot be understood; write it again")]
    BrokenCertificate {
        /// Name of the file.
        file: String,
    },
    /// Sound PEM around something that is no key that we can sign with.
    #[error("{file} holds a private key that cannot be used; use an ECDSA, RSA (2048 bits or more) or Ed25519 key")]
    BrokenKey {
        /// Name of the file.
        file: String,
    },
    /// Nobody is there to type its password.
    #[error("{file} holds an encrypted private key; store it without a password, readable by Slipway alone")]
    EncryptedKey {
        /// Name of the file.
        file: String,
    },
    /// A server's certificate, but no key of this folder belongs to it.
    #[error("{file} holds a certificate ({names}) whose private key is in no file; add the key that belongs to it")]
    NoKey {
        /// Name of the file.
        file: String,
        /// For which hosts.
        names: String,
    },
    /// A key, but no certificate of this folder belongs to it.
    #[error("{file} holds a private key that belongs to no certificate here; add its certificate or remove it")]
    NoCertificate {
        /// Name of the file.
        file: String,
    },
    /// Nothing in it: somebody is about to write it, or ran out of disk.
    #[error("{file} is empty; write it again or remove it")]
    Empty {
        /// Name of the file.
        file: String,
    },
    /// More than `FILES_LIMIT`.
    #[error("the folder holds more than 256 files; the rest is not looked at")]
    TooManyFiles,
}

/// One file of the folder.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) content: Result<Vec<u8>, std::io::ErrorKind>,
}

/// What the folder holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) pairs: Vec<Pair>,
    pub(super) problems: Vec<Problem>,
}

/// True for Traefik's list of certificates, which old stacks keep beside them.
pub(super) fn is_traefiks_list(file: &File) -> bool {
    let is_yaml = file.name.ends_with(".yml") || file.name.ends_with(".yaml");
    is_yaml && file.content.as_ref().is_ok_and(|content| contains(content, b"certFile"))
}

/// Reads all files of `folder`, by name. A folder that is not there is an empty one; hidden files and the
/// leftovers of editors (`.cert.pem.swp`, `cert.pem~`) are nobody's certificates.
pub(super) fn read_folder(folder: &Path) -> std::io::Result<Vec<File>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        // `is_file` follows links, as certbot and Kubernetes make them.
        if !name.starts_with('.') && !name.ends_with('~') && path.is_file() {
            paths.push((name, path));
        }
    }
    paths.sort();
    paths.truncate(FILES_LIMIT + 1);
    Ok(paths.into_iter().map(|(name, path)| File { name, content: read_bounded(&path) }).collect())
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, std::io::ErrorKind> {
    let file = std::fs::File::open(path).map_err(|error| error.kind())?;
    let mut content = Vec::new();
    file.take(FILE_LIMIT_BYTES).read_to_end(&mut content).map_err(|error| error.kind())?;
    Ok(content)
}

/// A digest of names and contents: equal means that nothing has changed.
pub(super) fn digest(files: &[File]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(file.name.as_bytes());
        match &file.content {
            Ok(content) => {
                hasher.update([0]);
                hasher.update(content.len().to_be_bytes());
                hasher.update(content);
            }
            Err(cause) => hasher.update(format!("\u{1}{cause}").as_bytes()),
        }
    }
    hasher.finalize().into()
}

struct FoundCertificate<'a> {
    file: &'a str,
    der: CertificateDer<'static>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    public_key: Vec<u8>,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    is_authority: bool,
    serial: String,
    common_name: String,
}

struct FoundKey<'a> {
    file: &'a str,
    key: Arc<dyn SigningKey>,
    is_used: bool,
}

/// Matches keys to certificates by public key, and completes chains by issuer from the same folder.
pub(super) fn match_pairs(files: &[File], provider: &CryptoProvider) -> Found {
    let mut found = Found::default();
    let mut certificates: Vec<FoundCertificate<'_>> = Vec::new();
    let mut keys: HashMap<Vec<u8>, FoundKey<'_>> = HashMap::new();
    if files.len() > FILES_LIMIT {
        found.problems.push(Problem::TooManyFiles);
    }
    for file in files.iter().take(FILES_LIMIT) {
        read_sections(file, provider, &mut certificates, &mut keys, &mut found.problems);
    }
    for certificate in &certificates {
        let Some(key) = keys.get_mut(&certificate.public_key) else {
            if !certificate.is_authority {
                let names = certificate.names.join(", ");
                found.problems.push(Problem::NoKey { file: certificate.file.to_owned(), names });
            }
            continue;
        };
        key.is_used = true;
        let chain = chain_of(certificate, &certificates);
        let pair = Pair {
            key: Arc::new(CertifiedKey::new(chain, key.key.clone())),
            names: certificate.names.clone(),
            addresses: certificate.addresses.clone(),
            starts_at: certificate.starts_at,
            ends_at: certificate.ends_at,
            is_authority: certificate.is_authority,
            is_ordered: false,
            serial: certificate.serial.clone(),
            common_name: certificate.common_name.clone(),
            file: certificate.file.to_owned(),
        };
        // `cert.pem` and `fullchain.pem` lie side by side where certbot writes.
        if !found.pairs.iter().any(|other| other.is_same(&pair)) {
            found.pairs.push(pair);
        }
    }
    let unused = keys.values().filter(|key| !key.is_used);
    found.problems.extend(unused.map(|key| Problem::NoCertificate { file: key.file.to_owned() }));
    found
}

fn read_sections<'a>(
    file: &'a File,
    provider: &CryptoProvider,
    certificates: &mut Vec<FoundCertificate<'a>>,
    keys: &mut HashMap<Vec<u8>, FoundKey<'a>>,
    problems: &mut Vec<Problem>,
) {
    let name = || file.name.clone();
    let content = match &file.content {
        Ok(content) => content,
        Err(cause) => return problems.push(Problem::Unreadable { file: name(), cause: *cause }),
    };
    if contains(content, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || contains(content, b"Proc-Type: 4,ENCRYPTED") {
        problems.push(Problem::EncryptedKey { file: name() });
        return;
    }
    if content.iter().all(u8::is_ascii_whitespace) {
        return problems.push(Problem::Empty { file: name() });
    }
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(content) {
        let Ok((kind, der)) = section else {
            return problems.push(Problem::BrokenPem { file: name() });
        };
        match kind {
            SectionKind::Certificate => match read_certificate(&file.name, der) {
                Some(certificate) => certificates.push(certificate),
                None => problems.push(Problem::BrokenCertificate { file: name() }),
            },
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                let key = PrivateKeyDer::from_pem(kind, der)
                    .and_then(|der| provider.key_provider.load_private_key(der).ok())
                    .and_then(|key| Some((key.public_key()?.as_ref().to_vec(), key)));
                match key {
                    Some((public_key, key)) => {
                        keys.entry(public_key).or_insert(FoundKey { file: &file.name, key, is_used: false });
                    }
                    None => problems.push(Problem::BrokenKey { file: name() }),
                }
            }
            _ => {}
        }
    }
}

fn read_certificate(file: &str, der: Vec<u8>) -> Option<FoundCertificate<'_>> {
    let (rest, certificate) = X509Certificate::from_der(&der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let common_name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    let mut addresses = Vec::new();
    for alternative in alternatives {
        match alternative {
            GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) => addresses.extend(ip_of(bytes)),
            _ => {}
        }
    }
    if names.is_empty() && addresses.is_empty() {
        // Browsers want a SAN; a certificate without one is still served, and its common name chooses it.
        names.extend(common_name.map(str::to_ascii_lowercase));
    }
    let tbs = &certificate.tbs_certificate;
    Some(FoundCertificate {
        file,
        subject: tbs.subject.as_raw().to_vec(),
        issuer: tbs.issuer.as_raw().to_vec(),
        public_key: tbs.subject_pki.raw.to_vec(),
        names,
        addresses,
        starts_at: Timestamp(tbs.validity.not_before.timestamp().saturating_mul(1000)),
        ends_at: Timestamp(tbs.validity.not_after.timestamp().saturating_mul(1000)),
        is_authority: certificate.is_ca(),
        serial: format!("{:x}", tbs.serial),
        common_name: common_name.unwrap_or_default().to_owned(),
        der: CertificateDer::from(der),
    })
}

/// The certificate and its issuers as far as this folder knows them, without the root.
fn chain_of(leaf: &FoundCertificate<'_>, pool: &[FoundCertificate<'_>]) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![leaf.der.clone()];
    let mut last = leaf;
    while last.issuer != last.subject && chain.len() <= CHAIN_LIMIT {
        let is_issuer = |other: &&FoundCertificate<'_>| {
            other.is_authority && other.subject == last.issuer && !chain.contains(&other.der)
        };
        // An issuer written behind its certificate is the one meant; else the one that is valid for longest.
        let issuer = pool.iter().filter(is_issuer).max_by_key(|other| (other.file == leaf.file, other.ends_at));
        let Some(issuer) = issuer.filter(|issuer| issuer.issuer != issuer.subject) else { break };
        chain.push(issuer.der.clone());
        last = issuer;
    }
    chain
}

fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn contains(content: &[u8], needle: &[u8]) -> bool {
    content.windows(needle.len()).any(|window| window == needle)
}
