//! One request at the public door: which route, what its target sees, and what comes back.

use std::sync::Arc;
use std::time::Instant;

use http::header::{CONTENT_TYPE, HOST, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode, Uri};
use tracing::{debug, error};

use super::table::{Found, PathError};
use super::target::{Target, TargetError};
use super::{Arrival, Chp, error_page, forwarded, location};
use crate::model::with_causes;
use crate::net::{OnUpgrade, RequestBody, ResponseBody};
use crate::proxy::{Forwarding, ProxyError, Relay};

/// Load balancers ask here; it is no route.
const HEALTH_PATH: &str = "/_chp_healthz";

/// Why a request has no answer of a target.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("")]
    NoRoute,
    #[error("{0}")]
    Path(#[from] PathError),
    #[error("{0}")]
    Target(#[from] TargetError),
    #[error("{}", with_causes(.0))]
    Proxy(#[from] ProxyError),
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Path(_) | Self::Proxy(ProxyError::Request { .. } | ProxyError::BadUpgrade { .. }) => {
                StatusCode::BAD_REQUEST
            }
            Self::Target(_) => StatusCode::INTERNAL_SERVER_ERROR,
            // Whatever it is, browsers and dashboards know one status for it.
            Self::Proxy(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Answers `request`, which came by `arrival`.
pub(super) async fn answer(chp: &Chp, arrival: &Arrival, request: Request<RequestBody>) -> Response<ResponseBody> {
    let is_websocket = request.extensions().get::<OnUpgrade>().is_some();
    if is_websocket {
        chp.metrics.ws_request();
    } else if request.uri().path() == HEALTH_PATH && request.uri().query().is_none() {
        return healthy();
    } else {
        chp.metrics.web_request();
    }
    let (method, uri) = (request.method().clone(), request.uri().clone());
    match carry(chp, arrival, request, is_websocket).await {
        Ok(response) => {
            if !is_websocket {
                chp.metrics.proxied(response.status());
            }
            response
        }
        Err(failure) => fail(chp, &method, &uri, is_websocket, &failure).await,
    }
}

fn healthy() -> Response<ResponseBody> {
    let mut response = Response::new(r#"{"status":"OK"}"#.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn carry(
    chp: &Chp,
    arrival: &Arrival,
    mut request: Request<RequestBody>,
    is_websocket: bool,
) -> Result<Response<ResponseBody>, Failure> {
    let config = &chp.config;
    let found = find(chp, &request)?;
    let target = found.route.target.as_ref().map_err(Clone::clone)?;
    let kind = if is_websocket { "WS" } else { "WEB" };
    debug!("PROXY {kind} {} to {}", request.uri().path(), target.upstream.address);
    let path = outgoing_path(chp, &found, target, request.uri());

    let asked_host = request.headers().get(HOST).cloned();
    let headers = request.headers_mut();
    if config.forwards {
        forwarded::add(headers, arrival, is_websocket);
    }
    for (name, value) in &config.custom_headers {
        headers.insert(name, value.clone());
    }
    let host = headers.get(HOST).cloned();
    let host = host.as_ref().and_then(|host| host.to_str().ok()).filter(|_| !config.change_origin);
    let relay = Relay { target: path.as_deref(), silence_limit: config.proxy_timeout, guard: None };
    let facts = Forwarding::relayed(host.unwrap_or(target.host()), relay);
    let mut response = chp.proxy.forward(request, &target.upstream, facts).await?;
    if response.status().as_u16() < 300 {
        chp.metrics.activity();
    }
    if config.auto_rewrite || config.protocol_rewrite.is_some() {
        rewrite_location(chp, target, asked_host.as_ref(), &mut response);
    }
    Ok(response)
}

fn find(chp: &Chp, request: &Request<RequestBody>) -> Result<Found, Failure> {
    let host = if chp.config.host_routing {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        Some(super::target::split_port(host).map_or(host, |(host, _)| host))
    } else {
        None
    };
    let begin = chp.metrics.is_shown.then(Instant::now);
    let found = chp.table.current().find(host, request.uri().path());
    if let Some(begin) = begin {
        chp.metrics.found(begin.elapsed());
    }
    found?.ok_or(Failure::NoRoute)
}

/// Path and query towards the target; none if they are the request's own.
fn outgoing_path(chp: &Chp, found: &Found, target: &Arc<Target>, uri: &Uri) -> Option<String> {
    let config = &chp.config;
    let is_plain = target.path == "/" && target.query.is_empty();
    if config.includes_prefix && (is_plain || !config.prepends_path) {
        return None;
    }
    let mut path = uri.path();
    if !config.includes_prefix {
        path = &path[found.prefix_bytes.min(path.len())..];
    }
    let (base, base_query) =
        if config.prepends_path { (target.path.as_str(), target.query.as_str()) } else { ("/", "") };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut joined = format!("{}{slash}{path}", base.strip_suffix('/').unwrap_or(base));
    for query in [base_query, uri.query().unwrap_or_default()].into_iter().filter(|query| !query.is_empty()) {
        joined.push(if joined.contains('?') { '&' } else { '?' });
        joined.push_str(query);
    }
    Some(joined)
}

fn rewrite_location(
    chp: &Chp,
    target: &Target,
    asked_host: Option<&HeaderValue>,
    response: &mut Response<ResponseBody>,
) {
    if !matches!(response.status().as_u16(), 201 | 301 | 302 | 307 | 308) {
        return;
    }
    let Some(location) = response.headers().get(LOCATION).and_then(|location| location.to_str().ok()) else { return };
    let host = asked_host.and_then(|host| host.to_str().ok()).filter(|_| chp.config.auto_rewrite);
    let protocol = chp.config.protocol_rewrite.as_deref();
    let rewritten = location::rewrite(location, &target.authority, host, protocol);
    if let Some(rewritten) = rewritten.and_then(|rewritten| HeaderValue::from_str(&rewritten).ok()) {
        response.headers_mut().insert(LOCATION, rewritten);
    }
}

async fn fail(chp: &Chp, method: &Method, uri: &Uri, is_websocket: bool, failure: &Failure) -> Response<ResponseBody> {
    let status = failure.status();
    chp.metrics.proxied(status);
    error!("{} {method} {} {failure}", status.as_str(), uri.path());
    if is_websocket {
        let mut response = Response::new(ResponseBody::Empty);
        *response.status_mut() = status;
        return response;
    }
    error_page::page(chp, status, uri).await
}
