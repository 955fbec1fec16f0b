//! Retry: sends a request again, to whoever's turn it is then, when no connection came about (or, where it is wanted, when
//! the answer has one of these statuses).
//!
//! Nothing is done twice: what may have reached a target is only sent again for a status that was named, and then never
//! a POST, PATCH or LOCK unless that is wanted too.

use std::time::Duration;

use http::{Method, Request, Response};

use super::Next;
use super::answer::NoAnswer;
use super::gather::{Gathered, gather};
use super::lent::Repeated;
use super::status_ranges::StatusRanges;
use crate::net::{BoxError, RequestBody, ResponseBody};
use crate::routers::{Fields, Problem};

/// More attempts are no retry but a flood.
const ATTEMPT_LIMIT: u64 = 100;
/// A body that is kept for a second attempt. 2 MiB unless said otherwise, and never more than 64.
const BODY_BYTES: i64 = 2 * 1024 * 1024;
const BODY_LIMIT_BYTES: i64 = 64 * 1024 * 1024;
/// The longest pause.
const INTERVAL_LIMIT: Duration = Duration::from_secs(60);

/// How often a request was sent again, in the extensions of its answer; without it: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries(pub u32);

/// Sends a request again.
#[derive(Debug)]
pub struct Retry {
    attempts: u64,
    statuses: StatusRanges,
    after_network_errors: bool,
    also_posts: bool,
    interval: Duration,
    timeout: Option<Duration>,
    body_bytes: usize,
}

impl Retry {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let attempts = fields.take_u64("attempts")?.unwrap_or(0);
        if !(1..=ATTEMPT_LIMIT).contains(&attempts) {
            return Err(fields.problem(format!("attempts = {attempts}: must be 1 to {ATTEMPT_LIMIT}")));
        }
        let statuses = StatusRanges::take(fields, "status")?;
        let after_network_errors = !fields.take_bool("disableRetryOnNetworkError")?.unwrap_or(false);
        if statuses.is_empty() && !after_network_errors {
            return Err(fields.problem("disableRetryOnNetworkError = true without status: it would never retry"));
        }
        let body_bytes = match fields.take_i64("maxRequestBodyBytes")?.unwrap_or(BODY_BYTES) {
            -1 => BODY_LIMIT_BYTES,
            bytes if (0..=BODY_LIMIT_BYTES).contains(&bytes) => bytes,
            _ => return Err(fields.problem(format!("maxRequestBodyBytes: must be -1 to {BODY_LIMIT_BYTES}"))),
        };
        Ok(Self {
            attempts,
            statuses,
            after_network_errors,
            also_posts: fields.take_bool("retryNonIdempotentMethod")?.unwrap_or(false),
            interval: fields.take_duration("initialInterval")?.unwrap_or_default().min(INTERVAL_LIMIT),
            timeout: fields.take_duration("timeout")?.filter(|timeout| !timeout.is_zero()),
            body_bytes: usize::try_from(body_bytes).unwrap_or(usize::MAX),
        })
    }

    pub(super) async fn handle(&self, request: Request<RequestBody>, next: &Next<'_>) -> Response<ResponseBody> {
        if self.attempts == 1 {
            return next.run(request).await;
        }
        let is_idempotent = !matches!(*request.method(), Method::POST | Method::PATCH) && request.method() != "LOCK";
        let by_status = !self.statuses.is_empty() && (is_idempotent || self.also_posts);
        let repeated = match by_status {
            true => match keep(request, self.body_bytes).await {
                Ok(repeated) => repeated,
                Err(_) => return bad_request(),
            },
            false => Repeated::streamed(request),
        };
        let began = next.tools.clock.monotonic();
        let mut attempt = 1;
        let mut further_in = 0;
        let Some(mut request) = repeated.request() else { return bad_request() };
        loop {
            let mut response = next.run(request).await;
            further_in += response.extensions_mut().remove::<Retries>().map_or(0, |retries| retries.0);
            let waited = next.tools.clock.monotonic().saturating_sub(began);
            let is_over = attempt >= self.attempts || self.timeout.is_some_and(|timeout| waited >= timeout);
            if is_over || !self.is_worth_another(&response, by_status && repeated.is_whole()) {
                return noted(response, attempt - 1, further_in);
            }
            let Some(again) = repeated.request() else { return noted(response, attempt - 1, further_in) };
            drop(response);
            tokio::time::sleep(self.pause_after(attempt)).await;
            request = again;
            attempt += 1;
        }
    }

    fn is_worth_another(&self, response: &Response<ResponseBody>, by_status: bool) -> bool {
        let was_never_sent = response.extensions().get::<NoAnswer>().is_some_and(|no_answer| !no_answer.was_sent);
        (self.after_network_errors && was_never_sent) || (by_status && self.statuses.contains(response.status()))
    }

    /// Grows so that the last pause is twice the first, as with Traefik.
    fn pause_after(&self, attempt: u64) -> Duration {
        let growth = 2_f64.powf((attempt - 1) as f64 / (self.attempts - 1).max(1) as f64);
        self.interval.mul_f64(growth)
    }
}

/// The answer with how often was asked again, here and by others of this kind further in.
fn noted(mut response: Response<ResponseBody>, here: u64, further_in: u32) -> Response<ResponseBody> {
    let retries = u32::try_from(here).unwrap_or(u32::MAX).saturating_add(further_in);
    if retries > 0 {
        response.extensions_mut().insert(Retries(retries));
    }
    response
}

async fn keep(request: Request<RequestBody>, limit_bytes: usize) -> Result<Repeated, BoxError> {
    let (parts, body) = request.into_parts();
    Ok(match gather(body, limit_bytes).await? {
        Gathered::Whole(bytes) => Repeated::whole(parts, bytes),
        Gathered::More(body) => Repeated::streamed(Request::from_parts(parts, RequestBody::stream(body))),
    })
}

/// The client's own body failed: nobody may hear this any more.
fn bad_request() -> Response<ResponseBody> {
    super::answer::plain(http::StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_twice_the_first() {
        let retry = Retry {
            attempts: 5,
            statuses: StatusRanges::default(),
            after_network_errors: true,
            also_posts: false,
            interval: Duration::from_millis(100),
            timeout: None,
            body_bytes: 0,
        };
        assert_eq!(retry.pause_after(1), Duration::from_millis(100));
        assert_eq!(retry.pause_after(5), Duration::from_millis(200));
    }
}
