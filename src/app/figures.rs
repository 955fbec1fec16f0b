//! `/metrics`, `/healthz` and `/readyz` at addresses of their own, for a Prometheus that shall not come in by the front
//! door: plain HTTP, for everybody who reaches them.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::edge::Unready;
use crate::listener::{Connection, Serve};
use crate::net::{RequestBody, ResponseBody, http1};
use crate::tasks::Tasks;
use crate::telemetry::{METRICS_CONTENT_TYPE, Metrics};

/// What serves a connection to such an address.
pub(super) fn serve(metrics: &Metrics, unready: &Unready, tasks: &Tasks) -> Serve {
    let (metrics, unready, stopping) = (metrics.clone(), unready.clone(), tasks.stopping().clone());
    let limits = Arc::new(http1::Limits::default());
    Arc::new(move |connection: Connection| {
        let (metrics, unready, stopping, limits) = (metrics.clone(), unready.clone(), stopping.clone(), limits.clone());
        Box::pin(async move {
            let answer = |request: Request<RequestBody>| answer(request, metrics.clone(), unready.clone());
            let _ = http1::serve(connection.stream, &limits, answer, stopping).await;
        })
    })
}

async fn answer(request: Request<RequestBody>, metrics: Metrics, unready: Unready) -> Response<ResponseBody> {
    let is_asked = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, kind, body) = match request.uri().path() {
        _ if !is_asked => (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET\n".to_owned()),
        "/metrics" => match tokio::task::spawn_blocking(move || metrics.page()).await {
            Ok(page) => (StatusCode::OK, METRICS_CONTENT_TYPE, page),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, "the figures could not be read\n".to_owned()),
        },
        "/healthz" | "/ping" => (StatusCode::OK, PLAIN, "OK\n".to_owned()),
        "/readyz" => match unready().is_empty() {
            true => (StatusCode::OK, PLAIN, "OK\n".to_owned()),
            false => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, "not ready\n".to_owned()),
        },
        _ => (StatusCode::NOT_FOUND, PLAIN, "there is /metrics, /healthz and /readyz\n".to_owned()),
    };
    let mut response = Response::new(ResponseBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

const PLAIN: &str = "text/plain; charset=utf-8";
