//! The questions of health checks: do we live, and are we ready? Answered here, so that they say something while the hub
//! does not, at paths that do not depend on `base_url`, by every door, for every host, and without TLS: whoever watches
//! us from a neighbouring container knows none of these.
//!
//! Everybody learns yes or no. Why not, who may read the figures (`read:metrics`).

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::auth::{self, Caller};
use crate::model::BasePath;
use crate::net::ResponseBody;

/// What is not ready, as sentences for an operator; empty if all is. Must not block.
pub type Unready = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// A question of a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// `/healthz`, and Traefik's `/ping`: the program runs and answers.
    Live,
    /// `/hub/health` and `/hub/api/health` of an installation that lives below another path, where the hub itself does
    /// not see them: the same, as JSON.
    LiveAsJson,
    /// `/readyz`: it can do its work.
    Ready,
}

impl Probe {
    /// The question of a request, if it is one.
    pub(super) fn of(method: &Method, path: &str, base: &BasePath) -> Option<Self> {
        let is_asked = method == Method::GET || method == Method::HEAD;
        match path {
            "/healthz" | "/ping" if is_asked => Some(Self::Live),
            "/readyz" if is_asked => Some(Self::Ready),
            "/hub/health" | "/hub/api/health" if is_asked && base.as_str() != "/" => Some(Self::LiveAsJson),
            _ => None,
        }
    }

    /// The answer; `caller` is looked up only if there is more to say than no.
    pub(super) fn answer(self, unready: &Unready, caller: impl FnOnce() -> Caller) -> Response<ResponseBody> {
        let reasons = if self == Self::Ready { unready() } else { Vec::new() };
        if self == Self::LiveAsJson {
            return answer(StatusCode::OK, "application/json", "{\"status\": \"ok\"}\n".to_owned());
        }
        if reasons.is_empty() {
            return answer(StatusCode::OK, PLAIN, "OK\n".to_owned());
        }
        let may_know = auth::may_read_figures(&caller());
        let details: String = reasons.iter().filter(|_| may_know).map(|reason| format!("{reason}\n")).collect();
        answer(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("not ready\n{details}"))
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn a_probe_is_known_by_its_path_alone() {
        let of = |path: &str, base: &str| Probe::of(&Method::GET, path, &BasePath::parse(base).expect("a path"));
        assert_eq!(of("/healthz", "/"), Some(Probe::Live));
        assert_eq!(of("/ping", "/jupyterhub"), Some(Probe::Live));
        assert_eq!(of("/readyz", "/jupyterhub"), Some(Probe::Ready));
        assert_eq!(of("/hub/health", "/jupyterhub"), Some(Probe::LiveAsJson));
        assert_eq!(of("/hub/health", "/"), None, "the hub's own");
        assert_eq!(of("/healthz/", "/"), None);
        assert_eq!(Probe::of(&Method::POST, "/healthz", &BasePath::parse("/").expect("root")), None);
    }

    #[tokio::test]
    async fn strangers_learn_no_reasons() {
        let unready: Unready = Arc::new(|| vec!["the certificate has ended".to_owned()]);
        let answered = Probe::Ready.answer(&unready, || Caller::Anonymous);
        assert_eq!(answered.status(), 503);
        let body = answered.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body, "not ready\n");
        assert_eq!(Probe::Live.answer(&unready, || Caller::Anonymous).status(), 200);
        let ready: Unready = Arc::new(Vec::new);
        assert_eq!(Probe::Ready.answer(&ready, || Caller::Anonymous).status(), 200);
    }
}
