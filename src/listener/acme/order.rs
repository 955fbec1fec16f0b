//! One order from beginning to end: take it up, prove the name, send the request for the certificate, fetch it.
//!
//! What must outlive us is written down through `keep` before the authority hears of it: an order that was cut off
//! goes on where it was, and none is made twice.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeStatus, ChallengeType, Error, Identifier, NewOrder,
    Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::challenges::{ChallengeError, Challenges, Posted};
use super::schedule::Failure;
use crate::model::Secret;
use crate::store::{AcmeOrder, StoreError};

/// Between two questions how far an order is: 0.25 s at first, then longer. Authorities check within seconds.
const POLL_FIRST: Duration = Duration::from_millis(250);
const POLL_BACKOFF: f32 = 1.5;

/// What an authority may write into our log.
const REASON_LIMIT: usize = 300;

/// Why there is no certificate. One line, with the authority's own words where it has some.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error("{}", reason_of(.0))]
    Acme(#[from] Error),
    #[error("the authority could not check the name by {kind}: {reason}")]
    Unproven { kind: &'static str, reason: String },
    #[error("the authority offers none of the checks that are set up here ({wanted}); see acme.challenge")]
    NoChallenge { wanted: String },
    #[error("the check could not be answered")]
    Challenge(#[from] ChallengeError),
    #[error("the request for the certificate could not be made")]
    Key(#[from] rcgen::Error),
    #[error("what the authority sent is no certificate for this name and key")]
    Unfit,
    #[error("the order was not over within {limit:?}")]
    Slow { limit: Duration },
    #[error("the order could not be written down")]
    Store(#[from] StoreError),
}

impl OrderError {
    /// What the next try depends on; `retry_after` is what the authority asked for last.
    pub(super) fn failure(&self, retry_after: Option<Duration>) -> Failure {
        if self.is_problem("rateLimited") {
            return Failure::Limited(retry_after);
        }
        match self {
            Self::Acme(Error::Api(problem)) if problem.status.is_none_or(|status| status < 500) => Failure::Refused,
            Self::Unproven { .. } | Self::NoChallenge { .. } | Self::Unfit => Failure::Refused,
            Self::Acme(_) | Self::Challenge(_) | Self::Key(_) | Self::Slow { .. } | Self::Store(_) => {
                Failure::Unreachable(retry_after)
            }
        }
    }

    /// True if the authority does not know our account (any more).
    pub(super) fn is_unknown_account(&self) -> bool {
        self.is_problem("accountDoesNotExist")
    }

    fn is_problem(&self, kind: &str) -> bool {
        let Self::Acme(Error::Api(problem)) = self else { return false };
        problem.r#type.as_deref().and_then(|kind| kind.strip_prefix("urn:ietf:params:acme:error:")) == Some(kind)
    }
}

/// An error of the library with its causes, in one line of bounded length.
pub(super) fn reason_of(error: &Error) -> String {
    let mut text = match error {
        Error::Api(problem) => match (&problem.detail, &problem.r#type) {
            (Some(detail), Some(kind)) => format!("{detail} ({kind})"),
            (Some(detail), None) => detail.clone(),
            (None, kind) => kind.clone().unwrap_or_else(|| "the authority refused without a reason".to_owned()),
        },
        other => other.to_string(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    one_line(&text)
}

/// Another's text, fit for a log and a page.
fn one_line(text: &str) -> String {
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = printable.take(REASON_LIMIT + 1).collect();
    if line.chars().count() > REASON_LIMIT {
        line.pop();
        line.push('…');
    }
    line
}

/// What one order needs.
pub(super) struct Request<'a> {
    pub(super) account: &'a Account,
    pub(super) directory: &'a str,
    pub(super) name: &'a str,
    /// By which checks, the best first.
    pub(super) kinds: &'a [ChallengeType],
    /// One that was begun before.
    pub(super) begun: Option<AcmeOrder>,
    /// Which certificate it is to follow.
    pub(super) replaces: Option<CertificateIdentifier<'static>>,
    pub(super) challenges: &'a Challenges,
    pub(super) limit: Duration,
}

/// A chain and its key, PEM.
pub(super) struct Obtained {
    pub(super) chain: String,
    pub(super) key: Secret,
}

/// Obtains a certificate. `keep` writes an order down and returns when that is durable.
pub(super) async fn obtain<K, F>(request: Request<'_>, keep: K) -> Result<Obtained, OrderError>
where
    K: FnOnce(AcmeOrder) -> F,
    F: Future<Output = Result<(), StoreError>>,
{
    let (mut order, key) = take_up(&request, keep).await?;
    let retries = RetryPolicy::new().initial_delay(POLL_FIRST).backoff(POLL_BACKOFF).timeout(request.limit);
    if order.state().status == OrderStatus::Pending {
        // Held until the authority has decided: then nobody asks for the answers any more.
        let _posted = prove(&mut order, &request).await?;
        match order.poll_ready(&retries).await {
            Ok(OrderStatus::Ready) => {}
            // The order says that a check failed; the check says why.
            Ok(_) | Err(Error::Api(_)) => return Err(refusal_of(&mut order, &request).await),
            Err(error) => return Err(error.into()),
        }
    }
    if order.state().status == OrderStatus::Ready {
        let mut parameters = CertificateParams::new(vec![request.name.to_owned()])?;
        parameters.distinguished_name = DistinguishedName::new();
        let csr = parameters.serialize_request(&KeyPair::from_pem(key.expose())?)?;
        order.finalize_csr(csr.der()).await?;
    }
    let chain = order.poll_certificate(&retries).await?;
    Ok(Obtained { chain, key })
}

/// The order that was begun, if the authority still knows it, else a new one; and the key of its certificate.
async fn take_up<K, F>(request: &Request<'_>, keep: K) -> Result<(Order, Secret), OrderError>
where
    K: FnOnce(AcmeOrder) -> F,
    F: Future<Output = Result<(), StoreError>>,
{
    if let Some(begun) = request.begun.as_ref().filter(|begun| begun.directory == request.directory) {
        match request.account.order(begun.url.clone()).await {
            Ok(mut order) => {
                if order.state().status != OrderStatus::Invalid {
                    return Ok((order, begun.key.clone()));
                }
            }
            // Forgotten by the authority, or out of time: a new one.
            Err(Error::Api(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let identifiers = [Identifier::Dns(request.name.to_owned())];
    let key = Secret::new(KeyPair::generate()?.serialize_pem());
    let new = NewOrder::new(&identifiers);
    let order = match &request.replaces {
        None => request.account.new_order(&new).await?,
        // Saying which one it follows spares a limit; an authority that minds is asked without it.
        Some(replaced) => {
            match request.account.new_order(&NewOrder::new(&identifiers).replaces(replaced.clone())).await {
                Err(Error::Unsupported(_) | Error::Other(_)) => request.account.new_order(&new).await?,
                Err(Error::Api(problem))
                    if problem.r#type.as_deref().is_some_and(|kind| kind.contains("alreadyReplaced")) =>
                {
                    request.account.new_order(&new).await?
                }
                order => order?,
            }
        }
    };
    let url = order.url().to_owned();
    keep(AcmeOrder { directory: request.directory.to_owned(), url, key: key.clone() }).await?;
    Ok((order, key))
}

/// Puts up an answer for each check that is open and says so to the authority.
async fn prove(order: &mut Order, request: &Request<'_>) -> Result<Vec<Posted>, OrderError> {
    let mut posted = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let is_offered = |kind: &&ChallengeType| authorization.challenges.iter().any(|one| one.r#type == **kind);
        let Some(kind) = request.kinds.iter().find(is_offered).cloned() else {
            let wanted = request.kinds.iter().map(word_of).collect::<Vec<_>>().join(", ");
            return Err(OrderError::NoChallenge { wanted });
        };
        let Some(mut challenge) = authorization.challenge(kind.clone()) else { continue };
        let answer = challenge.key_authorization();
        posted.push(match kind {
            ChallengeType::TlsAlpn01 => request.challenges.post_certificate(request.name, answer.digest().as_ref())?,
            _ => request.challenges.post_answer(&challenge.token, answer.as_str()),
        });
        // One that was told before we were cut off is being checked already.
        if challenge.status == ChallengeStatus::Pending {
            challenge.set_ready().await?;
        }
    }
    Ok(posted)
}

/// What the authority says of the checks that failed.
async fn refusal_of(order: &mut Order, request: &Request<'_>) -> OrderError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        for challenge in &state.challenges {
            let Some(error) = &challenge.error else { continue };
            let reason = one_line(error.detail.as_deref().unwrap_or("no reason was given"));
            return OrderError::Unproven { kind: word_of(&challenge.r#type), reason };
        }
    }
    let kind = request.kinds.first().map_or("any check", word_of);
    OrderError::Unproven { kind, reason: "no reason was given".to_owned() }
}

pub(super) fn word_of(kind: &ChallengeType) -> &'static str {
    match kind {
        ChallengeType::Http01 => "http-01",
        ChallengeType::TlsAlpn01 => "tls-alpn-01",
        ChallengeType::Dns01 => "dns-01",
        _ => "another check",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> OrderError {
        OrderError::Acme(Error::Api(serde_json::from_str(text).expect("a problem")))
    }

    #[test]
    fn what_an_authority_says_is_one_printable_line() {
        let error = problem(r#"{"type":"urn:ietf:params:acme:error:malformed","detail":"first\nsecond[2J"}"#);
        assert_eq!(error.to_string(), "first second[2J (urn:ietf:params:acme:error:malformed)");
        let long = problem(&format!(r#"{{"detail":"{}"}}"#, "ö".repeat(1000)));
        assert_eq!(long.to_string().chars().count(), REASON_LIMIT + 1);
    }

    #[test]
    fn the_next_try_depends_on_who_failed() {
        let limited = problem(r#"{"type":"urn:ietf:params:acme:error:rateLimited","status":429}"#);
        assert_eq!(limited.failure(None), Failure::Limited(None));
        let wait = Some(Duration::from_secs(9));
        assert_eq!(limited.failure(wait), Failure::Limited(wait));
        let inside = problem(r#"{"type":"urn:ietf:params:acme:error:serverInternal","status":500}"#);
        assert_eq!(inside.failure(wait), Failure::Unreachable(wait));
        let refused = problem(r#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","status":400}"#);
        assert_eq!(refused.failure(wait), Failure::Refused);
        assert_eq!(OrderError::Acme(Error::Timeout(None)).failure(None), Failure::Unreachable(None));
        assert!(problem(r#"{"type":"urn:ietf:params:acme:error:accountDoesNotExist"}"#).is_unknown_account());
    }
}
