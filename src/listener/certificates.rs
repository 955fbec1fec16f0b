//! The certificates that are served, and how a changed folder becomes what is served next.
//!
//! A look at the folder (`look`) is one synchronous step with the time as its only outside input, so tests take it
//! themselves; `watch` only repeats it. What is served is one snapshot behind an atomic pointer: a handshake sees
//! the old set or the new one, never a mixture.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

mod choice;

use self::choice::{choose, next_files, rank};
use super::Config;
use super::acme::{ALPN, Challenges};
use super::pairs::{self, File, Pair, Problem};
use super::self_signed::{self, SelfSignedError};
use crate::model::{Clock, Timestamp};

/// A certificate that ends sooner than this is spoken of, once a day. 14 days: ACME renews at 30.
const WARN_BEFORE_END: Duration = Duration::from_secs(14 * 24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The folder itself cannot be read.
    #[error("certs_dir = {path:?} cannot be read; give Slipway the right to, or name another folder")]
    Folder {
        /// `certs_dir`.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// No own certificate could be made.
    #[error("no self-signed certificate could be made in {path:?}")]
    SelfSigned {
        /// `data_dir/tls`.
        path: PathBuf,
        /// What went wrong.
        #[source]
        cause: SelfSignedError,
    },
}

/// What is served, chosen anew at each handshake; watches the folder it came from.
pub struct Certificates {
    folder: PathBuf,
    own_folder: PathBuf,
    host_name: String,
    poll_every: Duration,
    clock: Arc<dyn Clock>,
    /// Names that are ours even before there is a certificate for them.
    ordered_names: Vec<String>,
    challenges: Challenges,
    served: ArcSwap<Served>,
    watched: Mutex<Watched>,
}

/// A certificate that is served, as one may speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFigures {
    /// Host names, then addresses.
    pub names: Vec<String>,
    /// Where it was found.
    pub file: String,
    /// It is ours, made for want of another.
    pub is_self_signed: bool,
    /// It was ordered from an ACME authority, and is renewed by itself.
    pub is_ordered: bool,
    /// In lower-case hexadecimal.
    pub serial: String,
    /// The common name; many certificates have none.
    pub common_name: String,
    /// Until when it is good.
    pub ends_at: Timestamp,
}

/// True if a certificate in `certs_dir` covers this host name. Blocks; what cannot be read covers nothing.
#[must_use]
pub fn is_covered(config: &Config, host: &str) -> bool {
    let files = pairs::read_folder(&config.certs_dir).unwrap_or_default();
    let found = pairs::match_pairs(&files, &rustls::crypto::aws_lc_rs::default_provider());
    found.pairs.iter().any(|pair| pair.covers_name(host))
}

/// One set of pairs; the first is served to whoever asks for none of their names.
#[derive(Debug, Default)]
struct Served {
    pairs: Vec<Pair>,
    is_self_signed: bool,
}

#[derive(Debug, Default)]
struct Watched {
    /// What an operator gives.
    files: Vec<Pair>,
    /// What an authority gave.
    ordered: Vec<Pair>,
    /// What we have made; only if there is nothing else.
    own: Option<Pair>,
    has_told_of_list: bool,
    digest: Option<[u8; 32]>,
    /// The kind of the last failed reading of the folder, so that it is said once.
    unreadable: Option<std::io::ErrorKind>,
    warned_at: Option<Timestamp>,
}

// By hand, as rustls asks for it and a clock has none.
impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates")
            .field("folder", &self.folder)
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads `certs_dir`; if no pair is there, takes or makes the self-signed one. Blocks on files.
    ///
    /// # Errors
    /// If the folder is there but cannot be read, or no certificate could be made.
    pub fn load(config: &Config, host_name: &str, clock: Arc<dyn Clock>) -> Result<Arc<Self>, CertificateError> {
        let certificates = Self {
            folder: config.certs_dir.clone(),
            own_folder: config.data_dir.join("tls"),
            host_name: host_name.to_ascii_lowercase(),
            poll_every: config.certificate_poll,
            clock,
            ordered_names: config.acme.names.clone(),
            challenges: Challenges::default(),
            served: ArcSwap::default(),
            watched: Mutex::default(),
        };
        let files = pairs::read_folder(&certificates.folder)
            .map_err(|cause| CertificateError::Folder { path: certificates.folder.clone(), cause })?;
        certificates.take_up(&files);
        if certificates.served.load().pairs.is_empty() {
            certificates.serve_own()?;
        }
        certificates.warn_of_ends();
        Ok(Arc::new(certificates))
    }

    /// True if `host` (lower case, without port) stands on a certificate that is served, or on one that is ordered.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let is_served = self.served.load().pairs.iter().any(|pair| pair.covers_name(host));
        is_served || self.ordered_names.iter().any(|name| name == host)
    }

    /// What an authority is answered that checks a name.
    #[must_use]
    pub fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// From now on these are what an authority gave us. Returns true if something else is served now.
    pub(super) fn take_up_ordered(&self, pairs: Vec<Pair>) -> bool {
        self.watched.lock().ordered = pairs;
        self.publish()
    }

    /// All names on the certificates that are served, each once.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let served = self.served.load();
        let mut names: Vec<String> = served.pairs.iter().flat_map(|pair| pair.names.iter().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// All certificates that are served; the first is for whoever asks for none of their names.
    #[must_use]
    pub fn all(&self) -> Vec<CertificateFigures> {
        let served = self.served.load();
        let addresses = |pair: &Pair| pair.addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
        let of = |pair: &Pair| CertificateFigures {
            names: pair.names.iter().cloned().chain(addresses(pair)).collect(),
            file: pair.file.clone(),
            is_self_signed: served.is_self_signed,
            is_ordered: pair.is_ordered,
            serial: pair.serial.clone(),
            common_name: pair.common_name.clone(),
            ends_at: pair.ends_at,
        };
        served.pairs.iter().map(of).collect()
    }

    /// True if no certificate of an operator is served.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.served.load().is_self_signed
    }

    /// Looks at the folder again and again until told to stop, and tells `taken_up` whenever something else is served.
    pub async fn watch(self: Arc<Self>, stopping: CancellationToken, taken_up: impl Fn(&Self) + Send) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(self.poll_every) => {}
            }
            let certificates = self.clone();
            // Reads files: not on the threads that carry requests. A panic in there is logged by its hook.
            if let Ok(true) = tokio::task::spawn_blocking(move || certificates.look()).await {
                taken_up(&self);
            }
        }
    }

    /// One look at the folder and the clock. Returns true if something else is served now. Blocks on files.
    pub fn look(&self) -> bool {
        let has_changed = match pairs::read_folder(&self.folder) {
            Ok(files) => {
                self.watched.lock().unreadable = None;
                self.take_up(&files)
            }
            Err(cause) => {
                let kind = Some(cause.kind());
                if std::mem::replace(&mut self.watched.lock().unreadable, kind) != kind {
                    error!(folder = %self.folder.display(), %cause, "certs_dir cannot be read; what was served stays");
                }
                false
            }
        };
        let has_renewed = self.renew_own();
        // What has ended, or begun, since the last look changes places.
        let has_turned = self.publish();
        self.warn_of_ends();
        has_changed || has_renewed || has_turned
    }

    /// Serves what `files` hold, if they are not those of the last look.
    fn take_up(&self, files: &[File]) -> bool {
        let digest = pairs::digest(files);
        if self.watched.lock().digest.replace(digest) == Some(digest) {
            return false;
        }
        let found = pairs::match_pairs(files, &rustls::crypto::aws_lc_rs::default_provider());
        let problems = join(&found.problems);
        self.tell_of_list(files);
        let before = self.watched.lock().files.clone();
        let Some(next) = next_files(&before, found, self.clock.now()) else {
            if !problems.is_empty() {
                let folder = self.folder.display();
                error!(%folder, %problems, "no certificate was taken up; what was served stays");
            } else if !before.is_empty() {
                warn!("certs_dir holds no certificate any more; the last one is served until the next start");
            }
            return false;
        };
        let names = next.iter().flat_map(|pair| &pair.names).map(String::as_str).collect::<Vec<_>>().join(", ");
        if problems.is_empty() {
            info!(pairs = next.len(), %names, "certificates taken up");
        } else {
            error!(pairs = next.len(), %names, %problems, "some certificates were taken up, others are wrong");
        }
        self.watched.lock().files = next;
        self.publish()
    }

    /// Serves the best of what there is. Returns true if that is something else than before.
    fn publish(&self) -> bool {
        let now = self.clock.now();
        let watched = self.watched.lock();
        let mut pairs: Vec<Pair> = watched.files.iter().chain(&watched.ordered).cloned().collect();
        rank(&mut pairs, now);
        let is_self_signed = pairs.is_empty();
        if is_self_signed {
            pairs.extend(watched.own.clone());
        }
        let served = self.served.load();
        let is_same = served.pairs.len() == pairs.len()
            && served.pairs.iter().zip(&pairs).all(|(old, new)| old.is_same(new) && old.file == new.file);
        if is_same {
            return false;
        }
        // With `watched` held: of two that publish, the later one has seen everything.
        self.served.store(Arc::new(Served { pairs, is_self_signed }));
        true
    }

    /// Old stacks keep Traefik's list beside the certificates; whoever changes it should know that nobody reads it.
    fn tell_of_list(&self, files: &[File]) {
        let list = files.iter().find(|file| pairs::is_traefiks_list(file));
        let Some(list) = list.filter(|_| !std::mem::replace(&mut self.watched.lock().has_told_of_list, true)) else {
            return;
        };
        info!(file = %list.name, "not read: the certificates beside it are found by their content, without a list");
    }

    fn serve_own(&self) -> Result<(), CertificateError> {
        let pair = self_signed::load_or_make(&self.own_folder, &self.host_name, self.clock.now())
            .map_err(|cause| CertificateError::SelfSigned { path: self.own_folder.clone(), cause })?;
        let ends_at = pair.ends_at;
        info!(folder = %self.own_folder.display(), %ends_at, "serving a self-signed certificate");
        self.watched.lock().own = Some(pair);
        self.publish();
        Ok(())
    }

    fn renew_own(&self) -> bool {
        let served = self.served.load();
        let now = self.clock.now();
        let is_due = |pair: &Pair| !self_signed::is_fresh(pair, &self.host_name, now);
        if !served.is_self_signed || !served.pairs.first().is_some_and(is_due) {
            return false;
        }
        match self.serve_own() {
            Ok(()) => true,
            Err(error) => {
                // Once a day at most: the next look comes in two seconds.
                if self.may_warn(now) {
                    error!(error = &error as &dyn std::error::Error, "the self-signed certificate was not renewed");
                }
                false
            }
        }
    }

    fn warn_of_ends(&self) {
        let now = self.clock.now();
        let served = self.served.load();
        let ends_soon = |pair: &&Pair| match pair.is_ordered {
            // Renewed by itself, and whoever orders it says when that fails; some are good for six days only.
            true => !pair.is_valid(now),
            false => pair.ends_at <= now.plus(WARN_BEFORE_END) || pair.starts_at > now,
        };
        if !served.pairs.iter().any(|pair| ends_soon(&pair)) || !self.may_warn(now) {
            return;
        }
        for pair in served.pairs.iter().filter(ends_soon) {
            let (file, names, ends_at) = (&pair.file, pair.names.join(", "), pair.ends_at);
            if pair.ends_at <= now {
                error!(%file, %names, %ends_at, "this certificate has expired; replace it");
            } else if pair.starts_at > now {
                error!(%file, %names, starts_at = %pair.starts_at, "this certificate is not valid yet; check the clock");
            } else {
                warn!(%file, %names, %ends_at, "this certificate ends soon; renew it");
            }
        }
    }

    fn may_warn(&self, now: Timestamp) -> bool {
        let mut watched = self.watched.lock();
        let is_due = watched.warned_at.is_none_or(|warned_at| now.since(warned_at) >= DAY);
        if is_due {
            watched.warned_at = Some(now);
        }
        is_due
    }
}

fn join(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// True for the handshake of an authority that checks a name (RFC 8737): it offers that one protocol and no other.
fn is_check(hello: &ClientHello<'_>) -> bool {
    let Some(mut offered) = hello.alpn() else { return false };
    offered.next() == Some(ALPN) && offered.next().is_none()
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name().map(str::to_ascii_lowercase);
        if is_check(&hello) {
            // An authority's check gets its own certificate or none; what is carried on such a connection nobody reads.
            return self.challenges.certificate(host.as_deref()?);
        }
        let served = self.served.load();
        let can_check = |pair: &Pair| pair.key.key.choose_scheme(hello.signature_schemes()).is_some();
        choose(&served.pairs, host.as_deref(), self.clock.now(), can_check).map(|pair| pair.key.clone())
    }
}

#[cfg(test)]
mod tests;
