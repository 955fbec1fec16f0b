//! Errors: another service's page in place of an answer of these statuses; the status stays, or is rewritten.

use std::sync::Arc;

use http::header::{self, HeaderName};
use http::{Method, Request, Response, StatusCode, Uri};

use super::Next;
use super::status_ranges::{StatusRanges, read_range};
use crate::net::{RequestBody, ResponseBody};
use crate::routers::balancer::Balancer;
use crate::routers::{Fields, Problem, quoted};

/// Headers of the request that are about its own body, or about an answer that it does not get.
const LEFT_OUT: [HeaderName; 13] = [
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::EXPECT,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::UPGRADE,
    header::CONNECTION,
];

/// What is read; the balancer is still a name.
#[derive(Debug)]
pub(super) struct ErrorsDraft {
    statuses: StatusRanges,
    rewrites: Vec<((u16, u16), StatusCode)>,
    query: Option<String>,
    pub(super) service: String,
}

/// Another service's page in place of an answer.
#[derive(Debug)]
pub struct Errors {
    draft: ErrorsDraft,
    balancer: Arc<Balancer>,
}

impl ErrorsDraft {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let statuses = StatusRanges::take(fields, "status")?;
        let mut rewrites = Vec::new();
        for (from, to) in fields.take_map("statusRewrites")?.unwrap_or_default() {
            let to_status = to.trim().parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
            match (read_range(&from), to_status.filter(|status| status.as_u16() >= 200)) {
                (Some(range), Some(status)) => rewrites.push((range, status)),
                _ => {
                    let text = format!("statusRewrites: {} to {} is none", quoted(&from), quoted(&to));
                    return Err(fields.problem(text));
                }
            }
        }
        let query = fields.take_text("query")?.filter(|query| !query.is_empty());
        let service = fields.take_text("service")?.unwrap_or_default();
        if service.is_empty() {
            return Err(fields.problem("service is missing"));
        }
        if let Some(query) = &query
            && page_address(query, StatusCode::NOT_FOUND, StatusCode::NOT_FOUND, "/").is_none()
        {
            return Err(fields.problem(format!("query = {}: is no path", quoted(query))));
        }
        Ok(Self { statuses, rewrites, query, service })
    }

    pub(super) fn finish(self, balancer: Arc<Balancer>) -> Errors {
        Errors { draft: self, balancer }
    }
}

impl Errors {
    pub(super) async fn handle(&self, request: Request<RequestBody>, next: &Next<'_>) -> Response<ResponseBody> {
        let (url, headers) = (request.uri().clone(), request.headers().clone());
        let response = next.run(request).await;
        let original = response.status();
        if !self.draft.statuses.contains(original) {
            return response;
        }
        let rewrites = &self.draft.rewrites;
        let rewritten = rewrites.iter().find(|((first, last), _)| (*first..=*last).contains(&original.as_u16()));
        let status = rewritten.map_or(original, |(_, status)| *status);
        let old = format!(
            "{}://{}{}",
            next.facts.scheme,
            next.facts.host,
            url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
        );
        let Some(page) = page_address(self.draft.query.as_deref().unwrap_or("/"), status, original, &old) else {
            return response;
        };
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = Method::GET;
        *request.uri_mut() = page;
        *request.headers_mut() = headers;
        for name in LEFT_OUT {
            request.headers_mut().remove(name);
        }
        let mut page = next.beyond.to_balancer(&self.balancer, request).await;
        *page.status_mut() = status;
        page
    }
}

/// Where the page is: `/{status}.html`.
fn page_address(query: &str, status: StatusCode, original: StatusCode, old: &str) -> Option<Uri> {
    let escaped: String = form_urlencoded::byte_serialize(old.as_bytes()).collect();
    let address = format!("/{}", query.trim_start_matches('/'))
        .replace("{status}", status.as_str())
        .replace("{originalStatus}", original.as_str())
        .replace("{url}", &escaped);
    address.parse().ok()
}
