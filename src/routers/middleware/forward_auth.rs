//! ForwardAuth: another service decides. 2xx lets the request pass, with what it says about the caller; anything else is
//! the answer.
//!
//! Our session cookie is never shown to it, whoever it is: who asks for Slipway's own sign-in says `slipway.access`.
//! `trustForwardHeader` changes nothing: what is believed of proxies in front of us is the edge's to decide, and that is
//! what it is told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use regex::Regex;

use super::answer::plain;
use super::basic_auth::take_header_name;
use super::cookies::hide_sessions;
use super::gather::{Gathered, gather};
use super::headers::is_of_connection;
use super::lent::whole_body;
use super::{Facts, Next, pattern};
use crate::model::{Timestamp, Upstream, UpstreamAddress};
use crate::net::{RequestBody, ResponseBody};
use crate::proxy::{Forwarding, Relay};
use crate::routers::{Fields, Problem, quoted};

/// As with Traefik.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// What it may answer, unless said otherwise; a sign-in page is some 10 KiB.
const ANSWER_BYTES: i64 = 1024 * 1024;
/// What is kept of a request's body for it, at most.
const BODY_LIMIT_BYTES: i64 = 64 * 1024 * 1024;

/// Another service decides.
#[derive(Debug)]
pub struct ForwardAuth {
    /// `http://auth:4181`, for the places that it names relative to itself.
    origin: String,
    authority: String,
    target: Uri,
    upstream: Arc<Upstream>,
    response_headers: Vec<HeaderName>,
    response_pattern: Option<Regex>,
    /// Empty: all.
    request_headers: Vec<HeaderName>,
    cookies_to_answer: Vec<String>,
    header_field: Option<HeaderName>,
    /// How much of the body it is shown.
    body_bytes: Option<usize>,
    answer_bytes: usize,
    keeps_location: bool,
    keeps_method: bool,
    sign_in: Option<HeaderValue>,
}

impl ForwardAuth {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let Some(address) = fields.take_text("address")?.filter(|address| !address.is_empty()) else {
            return Err(fields.problem("address is missing"));
        };
        let address = Address::parse(&address)
            .ok_or_else(|| fields.problem("address must be http://HOST:PORT/PATH or https://HOST:PORT/PATH"))?;
        if fields.has("tls") {
            return Err(fields.problem("tls is not supported: certificates are checked as Slipway is configured to"));
        }
        let _ = fields.take_bool("trustForwardHeader")?;
        let response_pattern = match fields.take_text("authResponseHeadersRegex")?.filter(|text| !text.is_empty()) {
            Some(text) => Some(pattern::compile(fields, "authResponseHeadersRegex", &text)?),
            None => None,
        };
        let forwards_body = fields.take_bool("forwardBody")?.unwrap_or(false);
        let body_bytes = take_limit(fields, "maxBodySize", BODY_LIMIT_BYTES)?;
        let sign_in = fields.take_text("authSigninURL")?.filter(|text| !text.is_empty());
        let sign_in = sign_in.map(|text| HeaderValue::from_str(&text));
        let sign_in = sign_in.transpose().map_err(|_| fields.problem("authSigninURL is no address"))?;
        Ok(Self {
            origin: address.origin,
            authority: address.authority,
            target: address.target,
            upstream: Arc::new(Upstream::new(address.upstream, Timestamp(0))),
            response_headers: take_names(fields, "authResponseHeaders")?,
            response_pattern,
            request_headers: take_names(fields, "authRequestHeaders")?,
            cookies_to_answer: fields.take_list("addAuthCookiesToResponse")?.unwrap_or_default(),
            header_field: take_header_name(fields, "headerField")?,
            body_bytes: forwards_body.then_some(body_bytes),
            answer_bytes: take_limit(fields, "maxResponseBodySize", ANSWER_BYTES)?,
            keeps_location: fields.take_bool("preserveLocationHeader")?.unwrap_or(false),
            keeps_method: fields.take_bool("preserveRequestMethod")?.unwrap_or(false),
            sign_in,
        })
    }

    pub(super) async fn handle(&self, mut request: Request<RequestBody>, next: &Next<'_>) -> Response<ResponseBody> {
        let mut shown = Bytes::new();
        if let Some(limit_bytes) = self.body_bytes.filter(|_| !request.body().is_end_stream()) {
            let (parts, body) = request.into_parts();
            match gather(body, limit_bytes).await {
                Ok(Gathered::Whole(bytes)) => shown = bytes,
                // Traefik refuses what it cannot show whole.
                Ok(Gathered::More(_)) => return plain(StatusCode::UNAUTHORIZED),
                Err(_) => return plain(StatusCode::BAD_REQUEST),
            }
            request = Request::from_parts(parts, whole_body(shown.clone()));
        }
        let question = self.question(&request, shown, next.facts);
        let relay = Relay { silence_limit: Some(ANSWER_TIMEOUT), ..Relay::default() };
        let facts = Forwarding { is_activity: false, ..Forwarding::relayed(&self.authority, relay) };
        let asking = async {
            let answer = next.tools.proxy.forward(question, &self.upstream, facts).await.ok()?;
            let (parts, body) = answer.into_parts();
            Some((parts, gather(body, self.answer_bytes).await.ok()?))
        };
        let Ok(Some((parts, body))) = tokio::time::timeout(ANSWER_TIMEOUT, asking).await else {
            return plain(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let Gathered::Whole(body) = body else { return plain(StatusCode::UNAUTHORIZED) };
        if !parts.status.is_success() {
            return self.refusal(parts.status, parts.headers, body);
        }
        self.take_over(request.headers_mut(), &parts.headers);
        let mut response = next.run(request).await;
        self.add_cookies(response.headers_mut(), &parts.headers);
        response
    }

    /// What it is asked: the request's headers and where it goes, without its body unless that is wanted.
    fn question(&self, request: &Request<RequestBody>, body: Bytes, facts: &Facts<'_>) -> Request<RequestBody> {
        let mut headers = HeaderMap::with_capacity(request.headers().len() + 6);
        let listed = listed_in_connection(request.headers());
        for (name, value) in request.headers() {
            let is_wanted = self.request_headers.is_empty() || self.request_headers.contains(name);
            let is_hop =
                is_hop_by_hop(name) || *name == header::HOST || listed.iter().any(|item| name == item.as_str());
            if is_wanted && !is_hop {
                headers.append(name, value.clone());
            }
        }
        hide_sessions(&mut headers, facts.session_cookie);
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let said = [
            ("x-forwarded-for", facts.client.to_string()),
            ("x-forwarded-method", request.method().to_string()),
            ("x-forwarded-proto", facts.scheme.to_owned()),
            ("x-forwarded-host", facts.host.to_owned()),
            ("x-forwarded-port", facts.port.to_string()),
            ("x-forwarded-uri", target.to_owned()),
        ];
        for (name, value) in said {
            // All of it has stood in a head already.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        let mut question = Request::new(whole_body(body));
        *question.method_mut() = if self.keeps_method { request.method().clone() } else { Method::GET };
        *question.uri_mut() = self.target.clone();
        *question.headers_mut() = headers;
        question
    }

    fn refusal(&self, status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Response<ResponseBody> {
        if let Some(sign_in) = self.sign_in.as_ref().filter(|_| status == StatusCode::UNAUTHORIZED) {
            let mut answer = plain(StatusCode::FOUND);
            answer.headers_mut().insert(header::LOCATION, sign_in.clone());
            return answer;
        }
        for name in listed_in_connection(&headers) {
            headers.remove(name.as_str());
        }
        let gone: Vec<_> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
        for name in gone {
            headers.remove(name);
        }
        if !self.keeps_location
            && let Some(location) = headers.get(header::LOCATION).and_then(|location| location.to_str().ok())
            && let Ok(location) = HeaderValue::from_str(&self.resolved(location))
        {
            headers.insert(header::LOCATION, location);
        }
        let mut answer = Response::new(ResponseBody::from(body));
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        answer
    }

    /// A place as the service names it, absolute.
    fn resolved(&self, location: &str) -> String {
        let has_scheme = location.split_once(':').is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        });
        if has_scheme || location.is_empty() {
            return location.to_owned();
        }
        if location.starts_with("//") {
            return format!("{}:{location}", self.origin.split(':').next().unwrap_or("http"));
        }
        if location.starts_with('/') {
            return format!("{}{location}", self.origin);
        }
        if location.starts_with('?') {
            return format!("{}{}{location}", self.origin, self.target.path());
        }
        let folder = self.target.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{}{folder}/{location}", self.origin)
    }

    /// What the target shall hear of the caller. A client's own headers of these names never pass.
    fn take_over(&self, request: &mut HeaderMap, answer: &HeaderMap) {
        let fits = |name: &HeaderName| {
            let pattern = self.response_pattern.as_ref();
            !is_of_connection(name) && pattern.is_some_and(|pattern| pattern.is_match(&canonical(name)))
        };
        let forged: Vec<_> = request.keys().filter(|name| fits(name)).cloned().collect();
        for name in forged.iter().chain(&self.response_headers).chain(&self.header_field) {
            request.remove(name);
        }
        let wanted = |name: &HeaderName| {
            self.response_headers.contains(name) || self.header_field.as_ref() == Some(name) || fits(name)
        };
        for (name, value) in answer.iter().filter(|(name, _)| wanted(name)) {
            request.append(name, value.clone());
        }
    }

    fn add_cookies(&self, response: &mut HeaderMap, answer: &HeaderMap) {
        if self.cookies_to_answer.is_empty() {
            return;
        }
        let is_named = |cookie: &HeaderValue| {
            let name = cookie.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
            self.cookies_to_answer.iter().any(|wanted| wanted.as_bytes() == name)
        };
        let own: Vec<_> =
            response.get_all(header::SET_COOKIE).iter().filter(|cookie| !is_named(cookie)).cloned().collect();
        let added = answer.get_all(header::SET_COOKIE).iter().filter(|cookie| is_named(cookie)).cloned();
        response.remove(header::SET_COOKIE);
        for cookie in own.into_iter().chain(added) {
            response.append(header::SET_COOKIE, cookie);
        }
    }
}

struct Address {
    origin: String,
    authority: String,
    target: Uri,
    upstream: UpstreamAddress,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let is_tls = scheme == "https";
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let upstream = match host.parse() {
            Ok(ip) if !is_tls => UpstreamAddress::Tcp(std::net::SocketAddr::new(ip, port)),
            _ => UpstreamAddress::Named { host, port, is_tls },
        };
        let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).parse().ok()?;
        Some(Self { origin: format!("{scheme}://{authority}"), authority: authority.to_string(), target, upstream })
    }
}

fn take_names(fields: &mut Fields, field: &'static str) -> Result<Vec<HeaderName>, Problem> {
    let texts = fields.take_list(field)?.unwrap_or_default();
    let read = |text: &String| match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if !is_of_connection(&name) => Ok(name),
        _ => Err(fields.problem(format!("{field}: {} is no header's name that can be passed on", quoted(text)))),
    };
    texts.iter().map(read).collect()
}

/// A number of bytes; -1 is Traefik's word for no limit, which is ours.
fn take_limit(fields: &mut Fields, field: &'static str, default: i64) -> Result<usize, Problem> {
    let bytes = match fields.take_i64(field)?.unwrap_or(default) {
        -1 => BODY_LIMIT_BYTES,
        bytes if (0..=BODY_LIMIT_BYTES).contains(&bytes) => bytes,
        bytes => return Err(fields.problem(format!("{field} = {bytes}: must be -1 to {BODY_LIMIT_BYTES}"))),
    };
    Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    is_of_connection(name) || matches!(name.as_str(), "proxy-authenticate" | "proxy-authorization")
}

fn listed_in_connection(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(|item| item.trim().to_ascii_lowercase())
        .filter(|i| !i.is_empty())
        .collect()
}

/// `X-Auth-User`: as people write patterns for it.
fn canonical(name: &HeaderName) -> String {
    let mut is_first = true;
    let canonical = |character: char| {
        let upper = std::mem::replace(&mut is_first, character == '-');
        if upper { character.to_ascii_uppercase() } else { character }
    };
    name.as_str().chars().map(canonical).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(address: &str) -> ForwardAuth {
        let address = Address::parse(address).expect("an address");
        ForwardAuth {
            origin: address.origin,
            authority: address.authority,
            target: address.target,
            upstream: Arc::new(Upstream::new(address.upstream, Timestamp(0))),
            response_headers: vec![HeaderName::from_static("x-user")],
            response_pattern: Some(Regex::new("^X-Auth-").expect("a pattern")),
            request_headers: Vec::new(),
            cookies_to_answer: vec!["session".to_owned()],
            header_field: None,
            body_bytes: None,
            answer_bytes: 10,
            keeps_location: false,
            keeps_method: false,
            sign_in: None,
        }
    }

    #[test]
    fn a_place_is_named_from_where_the_service_is() {
        let auth = auth("http://auth:4181/verify/now?a=b");
        let cases = [
            ("https://x.example/login", "https://x.example/login"),
            ("/login?next=a:b", "http://auth:4181/login?next=a:b"),
            ("//other/login", "http://other/login"),
            ("login", "http://auth:4181/verify/login"),
            ("?x", "http://auth:4181/verify/now?x"),
        ];
        for (location, expected) in cases {
            assert_eq!(auth.resolved(location), expected);
        }
    }

    #[test]
    fn nobody_can_forge_what_the_service_is_to_say() {
        let auth = auth("http://auth/");
        let mut request = HeaderMap::new();
        for name in ["x-user", "x-auth-groups", "x-other"] {
            request.insert(name, HeaderValue::from_static("forged"));
        }
        let mut answer = HeaderMap::new();
        for name in ["x-auth-email", "x-secret", "content-length"] {
            answer.insert(name, HeaderValue::from_static("said"));
        }
        auth.take_over(&mut request, &answer);
        let mut names: Vec<_> = request.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["x-auth-email", "x-other"]);
    }

    #[test]
    fn cookies_of_the_service_take_the_place_of_the_targets() {
        let mut response = HeaderMap::new();
        response.append(header::SET_COOKIE, HeaderValue::from_static("session=old; Path=/"));
        response.append(header::SET_COOKIE, HeaderValue::from_static("a=b"));
        let mut answer = HeaderMap::new();
        answer.append(header::SET_COOKIE, HeaderValue::from_static("session=new"));
        answer.append(header::SET_COOKIE, HeaderValue::from_static("other=x"));
        auth("http://auth/").add_cookies(&mut response, &answer);
        assert_eq!(response.get_all(header::SET_COOKIE).iter().collect::<Vec<_>>(), ["a=b", "session=new"]);
    }
}
