//! Sends one request to a server and brings its answer back.

use std::sync::Arc;

use http::header::{self, HeaderMap};
use http::{Method, Request, Response};
use http_body::Body as _;

use super::exchange::{Exchange, Head};
use super::headers::{Framing, write_request_head};
use super::{Forwarding, Inner, ProxyError, upgrade};
use crate::model::{ActivitySource, Upstream};
use crate::net::{OnUpgrade, RequestBody, ResponseBody};

/// See `Proxy::forward`.
pub(super) async fn forward(
    inner: &Inner,
    request: Request<RequestBody>,
    upstream: &Arc<Upstream>,
    facts: &Forwarding<'_>,
) -> Result<Response<ResponseBody>, ProxyError> {
    let (mut parts, body) = request.into_parts();
    if let Some(on_upgrade) = parts.extensions.remove::<OnUpgrade>() {
        return upgrade::forward(inner, parts, body, on_upgrade, upstream, facts).await;
    }
    let framing = framing_of(&parts.method, &parts.headers, &body, facts);
    let (exchange, head) = exchange(inner, &parts, body, framing, upstream, facts).await?;
    Ok(answer(head, exchange.into_body(facts.ended)))
}

/// Sends a request and hears the answer's head. A connection that waited may have been closed by the server at the
/// very moment we used it: then the request is sent once more on a fresh one, if it cannot be done twice.
pub(super) async fn exchange(
    inner: &Inner,
    parts: &http::request::Parts,
    mut body: RequestBody,
    framing: Framing,
    upstream: &Arc<Upstream>,
    facts: &Forwarding<'_>,
) -> Result<(Exchange, Head), ProxyError> {
    let mut connection = inner.pool.connect(upstream).await?;
    loop {
        let activity = inner.activity(facts, ActivitySource::Request);
        let mut exchange = Exchange::new(connection, body, framing, upstream, activity, &inner.config);
        if let Some(limit) = facts.relay.and_then(|relay| relay.silence_limit) {
            exchange.limit_silence(limit);
        }
        write_request_head(exchange.outgoing.small(), &parts.method, &parts.uri, &parts.headers, framing, facts);
        match exchange.head(&parts.method, facts).await {
            Ok(head) => return Ok((exchange, head)),
            // Once at most: a fresh connection is not a reused one.
            Err(error) if exchange.may_retry(&error, &parts.method) => {
                body = exchange.into_request_body();
                connection = inner.pool.dial(upstream).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn answer(head: Head, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if let Some(lines) = head.lines {
        response.extensions_mut().insert(lines);
    }
    response
}

fn framing_of(method: &Method, headers: &HeaderMap, body: &RequestBody, facts: &Forwarding<'_>) -> Framing {
    if !body.is_end_stream() {
        return body.size_hint().exact().map_or(Framing::Chunked, Framing::Length);
    }
    let has_one = match *method {
        // Servers answer 411 to a POST without a length.
        Method::POST | Method::PUT | Method::PATCH => true,
        Method::DELETE | Method::OPTIONS => facts.relay.is_some(),
        _ => facts.relay.is_some() && headers.contains_key(header::CONTENT_LENGTH),
    };
    if has_one { Framing::Length(0) } else { Framing::None }
}
