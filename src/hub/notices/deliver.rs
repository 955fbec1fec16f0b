//! Brings a notice to one server: to the address that its route leads to, past the proxy, as its owner.
//!
//! What answers there is whatever runs in the container: head and body of the answer are bounded, no redirect is
//! followed, and the token that it is shown opens nothing but itself.

use http::StatusCode;

use crate::hub::HubState;
use crate::model::{ServerKey, Undelivered};
use crate::net::{Answer, AskError, Posting, post};

/// The extension's address below a server's. The query keeps JupyterLab from taking us for its user: an idle server
/// stays idle, whatever it is told.
const INGEST: &str = "jupyterlab-notifications-extension/ingest?no_track_activity=1";
/// Bytes of an answer that are looked at. The extension says some 60; 8 KiB leave room for what stands around it.
const ANSWER_LIMIT_BYTES: usize = 8 << 10;

/// Delivers `payload` within `delivery_timeout_s`.
///
/// # Errors
/// What was in the way.
pub(super) async fn deliver(state: &HubState, server: &ServerKey, payload: &[u8]) -> Result<(), Undelivered> {
    let base = &state.config.base;
    let upstream = {
        let routes = state.program.routes.current();
        let route = routes.get(&server.route_key(base)).ok_or(Undelivered::NotRunning)?;
        route.upstream.clone()
    };
    // Ends when it is dropped, at the latest below.
    let errand = state.auth.errand_to(server).ok_or(Undelivered::NotRunning)?;
    let target = server.prefix(base) + INGEST;
    let posting = Posting { target: &target, token: errand.secret(), body: payload };
    let limit = state.config.notices.delivery_timeout();
    tokio::select! {
        // The address may be somebody else's by now.
        () = upstream.gone.cancelled() => Err(Undelivered::NotRunning),
        answer = post(&upstream.address, posting, ANSWER_LIMIT_BYTES, limit) => judge(answer),
    }
}

/// What an answer means.
fn judge(answer: Result<Answer, AskError>) -> Result<(), Undelivered> {
    match answer {
        Ok(answer) => judge_answer(&answer),
        Err(AskError::Dial(crate::net::DialError::Slow { limit, .. }) | AskError::Slow { limit, .. }) => {
            Err(Undelivered::TimedOut { limit_s: limit.as_secs() })
        }
        Err(AskError::Dial(crate::net::DialError::Failed { .. }) | AskError::Broken { .. }) => {
            Err(Undelivered::NotReachable)
        }
        Err(AskError::Malformed { .. }) => Err(Undelivered::Nonsense),
    }
}

fn judge_answer(Answer { status, body }: &Answer) -> Result<(), Undelivered> {
    match *status {
        // Anything may answer 200 there; the extension says that it has taken it.
        StatusCode::OK if body.as_ref().is_some_and(|body| says_success(body)) => Ok(()),
        StatusCode::OK => Err(Undelivered::Nonsense),
        StatusCode::NOT_FOUND => Err(Undelivered::ExtensionMissing),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Undelivered::Refused { status: status.as_u16() }),
        status if status.is_server_error() => Err(Undelivered::ServerError { status: status.as_u16() }),
        status => Err(Undelivered::OtherStatus { status: status.as_u16() }),
    }
}

fn says_success(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Said {
        success: bool,
    }
    serde_json::from_slice::<Said>(body).is_ok_and(|said| said.success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_true_reason() {
        let check = |status: u16, body: Option<&'static str>, expected: Result<(), Undelivered>| {
            let status = StatusCode::from_u16(status).expect("a status");
            let answer = Answer { status, body: body.map(|body| body.into()) };
            assert_eq!(judge_answer(&answer), expected, "{answer:?}");
        };
        check(200, Some(r#"{"success": true, "notification_id": "notif_1_2"}"#), Ok(()));
        check(200, Some(r#"{"success": false}"#), Err(Undelivered::Nonsense));
        check(200, Some("<html>"), Err(Undelivered::Nonsense));
        check(200, None, Err(Undelivered::Nonsense));
        check(404, Some(""), Err(Undelivered::ExtensionMissing));
        check(401, Some(""), Err(Undelivered::Refused { status: 401 }));
        check(403, None, Err(Undelivered::Refused { status: 403 }));
        check(500, None, Err(Undelivered::ServerError { status: 500 }));
        check(302, Some(""), Err(Undelivered::OtherStatus { status: 302 }));
        check(400, Some(""), Err(Undelivered::OtherStatus { status: 400 }));
        check(204, Some(""), Err(Undelivered::OtherStatus { status: 204 }));
    }
}
