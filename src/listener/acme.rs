//! Certificates for real names from an ACME authority (RFC 8555), kept in the store and renewed in time.
//!
//! One order a name: a name that fails keeps no other from its certificate. `look` is one round: it does what is due by
//! the clock, so tests move time and take the rounds themselves; `run` only repeats it. What an order is decided by is in
//! `schedule`, how it goes in `order`, what the authority is answered in `challenges`, how we reach it in `wire`.

mod challenges;
mod order;
mod schedule;
mod trouble;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use instant_acme::{
    Account, AccountCredentials, CertificateIdentifier, ChallengeType, Error, ExternalAccountKey, NewAccount,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub(super) use challenges::ALPN;
pub use challenges::{ChallengeError, Challenges};

use self::order::{Obtained, OrderError, Request};
use self::schedule::{is_due, renew_at, wait_after, wait_if_cut_off, within};
use self::wire::Wire;
use super::Certificates;
use super::pairs::Pair;
use crate::model::{Actor, Clock, Random, Secret, Timestamp};
use crate::store::{AcmeAccountRow, AcmeCertificate, AcmeNameRow, AcmeOrder, Store, StoreError};

/// Whether and where certificates are ordered.
#[derive(Clone, Debug)]
pub struct Config {
    /// The names, in lower case; none: nothing is ordered.
    pub names: Vec<String>,
    /// Where the authority may write to.
    pub email: Option<String>,
    /// The authority.
    pub directory_url: String,
    /// Who vouches for the authority's own address (PEM); `None`: the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// What binds our account to one that somebody has with the authority.
    pub external_account: Option<ExternalAccount>,
    /// How names are proven.
    pub challenge: ChallengeChoice,
    /// Plain HTTP is served, so that HTTP-01 can be answered.
    pub has_http: bool,
    /// One request and its answer. 30 s: authorities under load need 10.
    pub request_timeout: Duration,
    /// One order from beginning to end. 3 minutes: checks are repeated for a minute.
    pub order_timeout: Duration,
    /// Between two looks whether something is due. A minute: it is the least wait there is.
    pub look_every: Duration,
    /// Orders at the same time. 4: a hundred names are done in minutes, and no authority takes it for an attack.
    pub orders_at_once: usize,
    /// Between two questions whether a certificate should be renewed sooner (ARI). 6 hours, as RFC 9773 suggests.
    pub ask_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            email: None,
            directory_url: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
            ca_file: None,
            external_account: None,
            challenge: ChallengeChoice::Auto,
            has_http: false,
            request_timeout: Duration::from_secs(30),
            order_timeout: Duration::from_secs(180),
            look_every: Duration::from_secs(60),
            orders_at_once: 4,
            ask_every: Duration::from_secs(6 * 3600),
        }
    }
}

/// External account binding.
#[derive(Clone, Debug)]
pub struct ExternalAccount {
    /// The key's name.
    pub key_id: String,
    /// The key itself; `Debug` shows only how long it is.
    pub hmac_key: Secret,
}

/// How names are proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeChoice {
    /// By TLS, and where plain HTTP is served by that every other time that it fails.
    Auto,
    /// By a file on port 80.
    Http01,
    /// By a handshake on port 443.
    TlsAlpn01,
}

/// Why no certificates can be ordered at all.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// `acme.ca_file` is not there.
    #[error("acme.ca_file = {path:?} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// Nobody to believe.
    #[error(
        "no authority's address can be believed; install the package ca-certificates, or name a PEM file in acme.ca_file"
    )]
    NoAuthorities,
    /// The TLS library refuses what it was given.
    #[error("TLS to the authority cannot be set up")]
    Tls(#[from] rustls::Error),
    /// What was obtained before cannot be read.
    #[error("the certificates that were obtained cannot be read from the store")]
    Store(#[from] StoreError),
}

/// What is built in.
pub struct Parts {
    /// Where accounts and certificates are kept.
    pub store: Store,
    /// Who serves them.
    pub certificates: Arc<Certificates>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub random: Random,
}

/// How far one name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeFigures {
    /// The name.
    pub name: String,
    /// Until when its certificate is good; `None`: it has none.
    pub ends_at: Option<Timestamp>,
    /// When that is renewed.
    pub renew_at: Option<Timestamp>,
    /// Why the last try failed, in one line.
    pub problem: Option<String>,
    /// Tries in a row that have failed.
    pub failures: u32,
    /// Not before then; of interest after a failure.
    pub next_try: Timestamp,
}

/// Orders certificates and has them served.
pub struct Acme {
    config: Config,
    parts: Parts,
    wire: Wire,
    challenges: Challenges,
    names: Mutex<BTreeMap<String, Known>>,
}

/// A row of the store and what stands in it.
#[derive(Clone)]
struct Known {
    row: AcmeNameRow,
    pair: Option<Pair>,
}

impl Known {
    fn of(row: AcmeNameRow) -> Self {
        let pair = row.certificate.as_ref().and_then(|certificate| pair_of(&row.name, certificate));
        Self { row, pair }
    }
}

fn pair_of(name: &str, certificate: &AcmeCertificate) -> Option<Pair> {
    Pair::from_pem(&format!("acme: {name}"), &certificate.chain, certificate.key.expose())
}

impl Acme {
    /// Reads what was obtained before and has it served at once. Blocks on files.
    ///
    /// # Errors
    /// If no authority could ever be believed, or the store cannot be read.
    pub fn open(config: Config, parts: Parts) -> Result<Arc<Self>, AcmeError> {
        let wire = Wire::new(config.ca_file.as_deref(), config.request_timeout)?;
        let mut names: BTreeMap<String, Known> = BTreeMap::new();
        for name in &config.names {
            let row = parts.store.acme_name(name)?.unwrap_or_else(|| AcmeNameRow::new(name));
            names.insert(name.clone(), Known::of(row));
        }
        forget_others(&config, &parts)?;
        let challenges = parts.certificates.challenges().clone();
        let acme = Arc::new(Self { config, parts, wire, challenges, names: Mutex::new(names) });
        acme.serve();
        Ok(acme)
    }

    /// How far each name is, in the order of their letters.
    #[must_use]
    pub fn figures(&self) -> Vec<AcmeFigures> {
        let of = |known: &Known| AcmeFigures {
            name: known.row.name.clone(),
            ends_at: known.pair.as_ref().map(|pair| pair.ends_at),
            renew_at: known.row.certificate.as_ref().map(|certificate| certificate.renew_at),
            problem: Some(known.row.problem.clone()).filter(|problem| !problem.is_empty()),
            failures: known.row.failures,
            next_try: known.row.next_try,
        };
        self.names.lock().values().map(of).collect()
    }

    /// Does what is due, again and again until told to stop.
    pub async fn run(self: Arc<Self>, stopping: CancellationToken) {
        loop {
            // An order that is dropped in the middle goes on with the next start.
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = self.look() => {}
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(self.config.look_every) => {}
            }
        }
    }

    /// One round. Returns how many certificates were obtained.
    pub async fn look(&self) -> usize {
        let now = self.parts.clock.now();
        let due = self.names_where(|known| is_due(&known.row, &self.config.directory_url, now));
        let to_ask = self.names_where(|known| {
            let asks = known.row.certificate.as_ref().is_some_and(|certificate| certificate.ask_at <= now);
            asks && known.pair.is_some() && !due.contains(&known.row.name)
        });
        if due.is_empty() && to_ask.is_empty() {
            return 0;
        }
        let account = match self.account().await {
            Ok(account) => account,
            Err((error, wait)) => {
                for name in &due {
                    self.note_failure(name, &error, wait).await;
                }
                return 0;
            }
        };
        for name in &to_ask {
            self.ask_when_to_renew(&account, name).await;
        }
        let (mut obtained, homeless) = self.obtain_all(&account, &due).await;
        if !homeless.is_empty() {
            // The authority has forgotten us: once more, as somebody new.
            if let Err(error) = self.forget_account().await {
                warn!(error = &error as &dyn std::error::Error, "the account could not be forgotten");
                return obtained;
            }
            match self.account().await {
                Ok(account) => obtained += self.obtain_all(&account, &homeless).await.0,
                Err((error, wait)) => {
                    for name in &homeless {
                        self.note_failure(name, &error, wait).await;
                    }
                }
            }
        }
        obtained
    }

    fn names_where(&self, is_wanted: impl Fn(&Known) -> bool) -> Vec<String> {
        let names = self.names.lock();
        names.iter().filter(|(_, known)| is_wanted(known)).map(|(name, _)| name.clone()).collect()
    }

    /// Orders for all of `names`, a few at a time. Returns how many were obtained, and which failed because the
    /// authority does not know our account.
    async fn obtain_all(&self, account: &Account, names: &[String]) -> (usize, Vec<String>) {
        let (mut obtained, mut homeless) = (0, Vec::new());
        let mut waiting = names.iter();
        let mut open = FuturesUnordered::new();
        loop {
            while open.len() < self.config.orders_at_once.max(1) {
                let Some(name) = waiting.next() else { break };
                open.push(async move { (name, self.obtain(account, name).await) });
            }
            match open.next().await {
                None => return (obtained, homeless),
                Some((_, Ok(()))) => obtained += 1,
                Some((name, Err((error, _)))) if error.is_unknown_account() => homeless.push(name.clone()),
                Some((name, Err((error, wait)))) => self.note_failure(name, &error, wait).await,
            }
        }
    }

    /// One order; its certificate is served and written down when this succeeds.
    async fn obtain(&self, account: &Account, name: &str) -> Result<(), (OrderError, Option<Duration>)> {
        let known = self.names.lock().get(name).cloned();
        let known = known.unwrap_or_else(|| Known::of(AcmeNameRow::new(name)));
        let now = self.parts.clock.now();
        let unfinished = known.row.unfinished.saturating_add(1);
        let begun = AcmeNameRow { unfinished, next_try: now.plus(wait_if_cut_off(unfinished)), ..known.row.clone() };
        let written = self.write(begun, None).await;
        written.map_err(|error| (error.into(), None))?;

        // Of an authority that we leave nothing is followed by what we order from the next.
        let replaces = known.row.certificate.as_ref().filter(|one| one.directory == self.config.directory_url);
        let replaces = replaces.and(known.pair.as_ref()).and_then(identifier_of);
        let kinds = kinds_of(self.config.challenge, self.config.has_http, known.row.failures);
        let limit = self.config.order_timeout;
        let order = async |begun: Option<AcmeOrder>| {
            let request = Request {
                account,
                directory: &self.config.directory_url,
                name,
                kinds: &kinds,
                begun,
                replaces: replaces.clone(),
                challenges: &self.challenges,
                limit,
            };
            let ordering = order::obtain(request, |order| self.keep_order(name, order));
            match tokio::time::timeout(limit, ordering).await {
                Ok(Ok(obtained)) => Ok(obtained),
                Ok(Err(error)) => Err((error, self.wire.retry_after())),
                Err(_) => Err((OrderError::Slow { limit }, None)),
            }
        };
        let obtained = match order(known.row.order.clone()).await {
            // The authority came while nobody was here to answer: that says nothing of the name.
            Err((error, _))
                if known.row.order.is_some() && matches!(error.failure(None), schedule::Failure::Refused) =>
            {
                order(None).await
            }
            obtained => obtained,
        }?;
        self.take_up(name, obtained).await.map_err(|error| (error, None))
    }

    async fn keep_order(&self, name: &str, order: AcmeOrder) -> Result<(), StoreError> {
        let row = self.names.lock().get(name).map(|known| known.row.clone());
        let row = row.unwrap_or_else(|| AcmeNameRow::new(name));
        self.write(AcmeNameRow { order: Some(order), ..row }, None).await
    }

    /// Checks what came, writes it down, and only then has it served.
    async fn take_up(&self, name: &str, obtained: Obtained) -> Result<(), OrderError> {
        let Obtained { chain, key } = obtained;
        let now = self.parts.clock.now();
        let certificate = AcmeCertificate {
            directory: self.config.directory_url.clone(),
            chain,
            key,
            renew_at: Timestamp(0),
            ask_at: now.plus(self.config.ask_every),
        };
        let pair = pair_of(name, &certificate).filter(|pair| pair.covers_name(name)).ok_or(OrderError::Unfit)?;
        let renew_at = renew_at(pair.starts_at, pair.ends_at, self.luck());
        let certificate = AcmeCertificate { renew_at, ..certificate };
        let row = AcmeNameRow { certificate: Some(certificate), ..AcmeNameRow::new(name) };
        self.write(row, Some("obtained a certificate")).await?;
        self.serve();
        info!(%name, ends_at = %pair.ends_at, %renew_at, "certificate obtained");
        Ok(())
    }

    /// Hands what we have to those who serve it.
    fn serve(&self) {
        let pairs = self.names.lock().values().filter_map(|known| known.pair.clone()).collect();
        self.parts.certificates.take_up_ordered(pairs);
    }

    async fn note_failure(&self, name: &str, error: &OrderError, retry_after: Option<Duration>) {
        let known = self.names.lock().get(name).cloned();
        let Some(Known { row, pair }) = known else { return };
        let now = self.parts.clock.now();
        let failures = row.failures.saturating_add(1);
        let failure = error.failure(retry_after);
        let next_try = now.plus(wait_after(failure, failures, self.luck()));
        let problem = with_causes(error);
        // An order that the authority has refused is over; one that it could not answer for goes on.
        let order = row.order.filter(|_| !matches!(failure, schedule::Failure::Refused));
        let row = AcmeNameRow { failures, unfinished: 0, next_try, order, problem: problem.clone(), ..row };
        match pair.filter(|pair| pair.ends_at > now) {
            Some(pair) => {
                let ends_at = pair.ends_at;
                warn!(%name, %problem, failures, %next_try, %ends_at, "no new certificate; the old one is served on");
            }
            None => error!(%name, %problem, failures, %next_try, "no certificate"),
        }
        if let Err(error) = self.write(row, None).await {
            error!(%name, error = &error as &dyn std::error::Error, "a failed order could not be written down");
        }
    }

    /// Asks whether a certificate should be renewed sooner (RFC 9773). Who does not answer is asked again later.
    async fn ask_when_to_renew(&self, account: &Account, name: &str) {
        let known = self.names.lock().get(name).cloned();
        let Some(Known { row, pair: Some(pair) }) = known else { return };
        let (Some(certificate), Some(identifier)) = (row.certificate.clone(), identifier_of(&pair)) else { return };
        let mut next = AcmeCertificate { ask_at: self.parts.clock.now().plus(self.config.ask_every), ..certificate };
        match account.renewal_info(&identifier).await {
            Ok((told, _)) => {
                let moment = |at: i128| Timestamp(i64::try_from(at / 1_000_000).unwrap_or(i64::MAX));
                let window = &told.suggested_window;
                let (start, end) = (window.start.unix_timestamp_nanos(), window.end.unix_timestamp_nanos());
                next.renew_at = within(next.renew_at, moment(start), moment(end), self.luck());
            }
            // Most authorities do not know this question.
            Err(Error::Unsupported(_)) => {}
            Err(error) => tracing::debug!(%name, error = %order::reason_of(&error), "no word when to renew"),
        }
        if let Err(error) = self.write(AcmeNameRow { certificate: Some(next), ..row }, None).await {
            warn!(%name, error = &error as &dyn std::error::Error, "when to renew could not be written down");
        }
    }

    /// The account of before, or a new one, which is written down before it is used.
    async fn account(&self) -> Result<Account, (OrderError, Option<Duration>)> {
        self.find_account().await.map_err(|error| (error, self.wire.retry_after()))
    }

    async fn find_account(&self) -> Result<Account, OrderError> {
        let Config { directory_url, email, external_account, .. } = &self.config;
        let email = email.clone().unwrap_or_default();
        let contact = format!("mailto:{email}");
        let contacts: &[&str] = if email.is_empty() { &[] } else { &[&contact] };
        let eab_key_id = external_account.as_ref().map(|account| account.key_id.clone()).unwrap_or_default();
        let (store, directory) = (self.parts.store.clone(), directory_url.clone());
        let kept = blocking(move || store.acme_account(&directory)).await?;
        // An account that was bound by another key is another account.
        if let Some(kept) = kept.filter(|kept| kept.eab_key_id == eab_key_id)
            && let Ok(credentials) = serde_json::from_str::<AccountCredentials>(kept.credentials.expose())
        {
            let account = Account::builder_with_http(Box::new(self.wire.clone())).from_credentials(credentials).await?;
            if kept.email != email {
                account.update_contacts(contacts).await?;
                self.keep_account(AcmeAccountRow { email, ..kept }).await?;
            }
            return Ok(account);
        }
        let new = NewAccount { contact: contacts, terms_of_service_agreed: true, only_return_existing: false };
        let external = external_account.as_ref().map(external_key).transpose()?;
        let builder = Account::builder_with_http(Box::new(self.wire.clone()));
        let (account, credentials) = builder.create(&new, directory_url.clone(), external.as_ref()).await?;
        let credentials = serde_json::to_string(&credentials).map_err(Error::from)?;
        let row = AcmeAccountRow {
            directory: directory_url.clone(),
            email,
            eab_key_id,
            credentials: Secret::new(credentials),
        };
        self.keep_account(row).await?;
        info!(directory = %directory_url, "account with the ACME authority made");
        Ok(account)
    }

    async fn keep_account(&self, row: AcmeAccountRow) -> Result<(), StoreError> {
        let (store, now) = (self.parts.store.clone(), self.parts.clock.now());
        let write = move || {
            store.write(|t| {
                t.put_acme_account(&row)?;
                t.audit(now, &Actor::from("slipway"), "registered for certificates", &row.directory)
            })
        };
        blocking(write).await
    }

    async fn forget_account(&self) -> Result<(), StoreError> {
        let (store, directory) = (self.parts.store.clone(), self.config.directory_url.clone());
        warn!(%directory, "the ACME authority does not know our account any more; making another");
        blocking(move || store.write(|t| t.delete_acme_account(&directory))).await
    }

    /// Writes a row, with an audit row if `act` says what was done; then it is what we know.
    async fn write(&self, row: AcmeNameRow, act: Option<&'static str>) -> Result<(), StoreError> {
        let (store, now, known) = (self.parts.store.clone(), self.parts.clock.now(), Known::of(row));
        let row = known.row.clone();
        let write = move || {
            store.write(|t| {
                t.put_acme_name(&row)?;
                match act {
                    Some(act) => t.audit(now, &Actor::from("slipway"), act, &row.name),
                    None => Ok(()),
                }
            })
        };
        blocking(write).await?;
        self.names.lock().insert(known.row.name.clone(), known);
        Ok(())
    }

    /// 0 to 1.
    fn luck(&self) -> f64 {
        f64::from(u32::from_be_bytes(self.parts.random.bytes::<4>())) / f64::from(u32::MAX)
    }
}

/// Rows of names that are ordered no more go when their certificates have ended: until then the name may come back.
fn forget_others(config: &Config, parts: &Parts) -> Result<(), StoreError> {
    let now = parts.clock.now();
    let is_over = |row: &AcmeNameRow| {
        let known = Known::of(row.clone());
        !config.names.contains(&row.name) && known.pair.is_none_or(|pair| pair.ends_at <= now)
    };
    let gone: Vec<_> = parts.store.acme_names()?.into_iter().filter(is_over).collect();
    if gone.is_empty() {
        return Ok(());
    }
    parts.store.write(|t| gone.iter().try_for_each(|row| t.delete_acme_name(&row.name)))
}

/// By which checks the name is proven, the best first. Where two are possible they take turns with each failure.
fn kinds_of(choice: ChallengeChoice, has_http: bool, failures: u32) -> Vec<ChallengeType> {
    match (choice, has_http) {
        (ChallengeChoice::Http01, _) => vec![ChallengeType::Http01],
        (ChallengeChoice::TlsAlpn01, _) | (ChallengeChoice::Auto, false) => vec![ChallengeType::TlsAlpn01],
        (ChallengeChoice::Auto, true) if failures.is_multiple_of(2) => {
            vec![ChallengeType::TlsAlpn01, ChallengeType::Http01]
        }
        (ChallengeChoice::Auto, true) => vec![ChallengeType::Http01, ChallengeType::TlsAlpn01],
    }
}

/// True if this text can be the key of an external account.
#[must_use]
pub fn is_external_key(text: &str) -> bool {
    key_bytes(text).is_some_and(|key| !key.is_empty())
}

/// Authorities give the key in base64, with either alphabet, with or without padding.
fn key_bytes(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn external_key(account: &ExternalAccount) -> Result<ExternalAccountKey, OrderError> {
    let key = key_bytes(account.hmac_key.expose()).ok_or(Error::KeyRejected)?;
    Ok(ExternalAccountKey::new(account.key_id.clone(), &key))
}

/// What the authority calls this certificate, if it has the parts of which such a name is made.
fn identifier_of(pair: &Pair) -> Option<CertificateIdentifier<'static>> {
    CertificateIdentifier::try_from(pair.leaf()?).ok().map(CertificateIdentifier::into_owned)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    // The library's errors have said theirs.
    if let Some(cause) = error.source().filter(|cause| !cause.is::<Error>()) {
        text = format!("{text}: {cause}");
    }
    text
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // The runtime ends no blocking task before it is done, so this is a panic of the work itself.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
