//! Headers: what requests and answers say more or less than they came with; the security headers; the host check.
//! Cross-origin rules live in `cors`.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};

use super::answer::plain;
use super::cors::Cors;
use super::{Facts, Next};
use crate::net::{RequestBody, ResponseBody};
use crate::routers::{Fields, Problem, quoted};

/// Headers set and removed.
#[derive(Debug)]
pub struct Headers {
    /// None: removed.
    request: Vec<(HeaderName, Option<HeaderValue>)>,
    response: Vec<(HeaderName, Option<HeaderValue>)>,
    cors: Option<Cors>,
    security: Vec<(HeaderName, HeaderValue)>,
    strict_transport: Option<StrictTransport>,
    allowed_hosts: Vec<String>,
    /// What a proxy in front of us says where it ends TLS.
    https_marks: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
struct StrictTransport {
    value: HeaderValue,
    /// Also in answers that do not go through TLS.
    is_forced: bool,
}

/// Options of old that Traefik 3 has no more, and what is there instead.
const GONE: [(&str, &str); 6] = [
    ("sslRedirect", "use the middleware redirectScheme"),
    ("sslTemporaryRedirect", "use the middleware redirectScheme"),
    ("sslHost", "use the middleware redirectRegex"),
    ("sslForceHost", "use the middleware redirectRegex"),
    ("featurePolicy", "use permissionsPolicy"),
    ("publicKey", "browsers know key pinning no more"),
];

impl Headers {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        for (name, cure) in GONE {
            if fields.has(name) {
                return Err(fields.problem(format!("{name} is not supported: {cure}")));
            }
        }
        if fields.has("hostsProxyHeaders") {
            return Err(fields.problem(
                "hostsProxyHeaders is not supported: what a proxy in front says of the host counts where listener.trusted_proxies names it",
            ));
        }
        let request = take_changes(fields, "customRequestHeaders")?;
        let response = take_changes(fields, "customResponseHeaders")?;
        let cors = Cors::read(fields)?;
        let mut security = Vec::new();
        let deny = fields.take_bool("frameDeny")?.unwrap_or(false).then(|| HeaderValue::from_static("DENY"));
        let frame = take_value(fields, "customFrameOptionsValue")?.or(deny);
        let nosniff =
            fields.take_bool("contentTypeNosniff")?.unwrap_or(false).then(|| HeaderValue::from_static("nosniff"));
        let block =
            fields.take_bool("browserXssFilter")?.unwrap_or(false).then(|| HeaderValue::from_static("1; mode=block"));
        let xss = take_value(fields, "customBrowserXSSValue")?.or(block);
        let named = [
            (header::X_FRAME_OPTIONS, frame),
            (header::X_CONTENT_TYPE_OPTIONS, nosniff),
            (header::X_XSS_PROTECTION, xss),
            (header::CONTENT_SECURITY_POLICY, take_value(fields, "contentSecurityPolicy")?),
            (header::CONTENT_SECURITY_POLICY_REPORT_ONLY, take_value(fields, "contentSecurityPolicyReportOnly")?),
            (header::REFERRER_POLICY, take_value(fields, "referrerPolicy")?),
            (HeaderName::from_static("permissions-policy"), take_value(fields, "permissionsPolicy")?),
        ];
        security.extend(named.into_iter().filter_map(|(name, value)| Some((name, value?))));
        let strict_transport = StrictTransport::read(fields)?;
        let allowed_hosts = fields.take_list("allowedHosts")?.unwrap_or_default();
        let marks = take_changes(fields, "sslProxyHeaders")?;
        let mut read = Self {
            request,
            response,
            cors,
            security,
            strict_transport,
            allowed_hosts: allowed_hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect(),
            https_marks: marks.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        };
        if fields.take_bool("isDevelopment")?.unwrap_or(false) {
            // What only makes sense with the real host and its certificate.
            read.allowed_hosts.clear();
            read.strict_transport = None;
        }
        Ok(read)
    }

    pub(super) async fn handle(&self, mut request: Request<RequestBody>, next: &Next<'_>) -> Response<ResponseBody> {
        if !self.is_allowed_host(next.facts) {
            let mut answer = plain(StatusCode::INTERNAL_SERVER_ERROR);
            *answer.body_mut() = ResponseBody::from("Bad Host");
            return answer;
        }
        let origin = request.headers().get(header::ORIGIN).cloned();
        if let Some(answer) = self.cors.as_ref().and_then(|cors| cors.preflight(&request)) {
            return answer;
        }
        let is_https = next.facts.scheme == "https"
            || self.https_marks.iter().any(|(name, value)| request.headers().get(name) == Some(value));
        change(request.headers_mut(), &self.request);
        let mut response = next.run(request).await;
        let headers = response.headers_mut();
        for (name, value) in &self.security {
            headers.insert(name, value.clone());
        }
        if let Some(strict) = self.strict_transport.as_ref().filter(|strict| strict.is_forced || is_https) {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, strict.value.clone());
        }
        change(headers, &self.response);
        if let Some(cors) = &self.cors {
            cors.mark(headers, origin.as_ref());
        }
        response
    }

    fn is_allowed_host(&self, facts: &Facts<'_>) -> bool {
        let host = facts.host.to_ascii_lowercase();
        self.allowed_hosts.is_empty() || self.allowed_hosts.contains(&host)
    }
}

impl StrictTransport {
    fn read(fields: &mut Fields) -> Result<Option<Self>, Problem> {
        let seconds = fields.take_u64("stsSeconds")?.unwrap_or(0);
        let has_subdomains = fields.take_bool("stsIncludeSubdomains")?.unwrap_or(false);
        let has_preload = fields.take_bool("stsPreload")?.unwrap_or(false);
        let is_forced = fields.take_bool("forceSTSHeader")?.unwrap_or(false);
        if seconds == 0 {
            return Ok(None);
        }
        let mut text = format!("max-age={seconds}");
        if has_subdomains {
            text.push_str("; includeSubDomains");
        }
        if has_preload {
            text.push_str("; preload");
        }
        Ok(HeaderValue::from_str(&text).ok().map(|value| Self { value, is_forced }))
    }
}

fn change(headers: &mut HeaderMap, changes: &[(HeaderName, Option<HeaderValue>)]) {
    for (name, value) in changes {
        match value {
            Some(value) => drop(headers.insert(name, value.clone())),
            None => drop(headers.remove(name)),
        }
    }
}

/// Names with their values; an empty value removes the header.
fn take_changes(fields: &mut Fields, name: &'static str) -> Result<Vec<(HeaderName, Option<HeaderValue>)>, Problem> {
    let mut changes = Vec::new();
    for (header, value) in fields.take_map(name)?.unwrap_or_default() {
        let Ok(header) = HeaderName::from_bytes(header.as_bytes()) else {
            return Err(fields.problem(format!("{name}: {} is no header's name", quoted(&header))));
        };
        if is_of_connection(&header) {
            return Err(fields.problem(format!("{name}: {header} belongs to the connection and cannot be changed")));
        }
        let value = match value.as_str() {
            "" => None,
            value => Some(
                HeaderValue::from_str(value)
                    .map_err(|_| fields.problem(format!("{name}: the value of {header} cannot stand in a header")))?,
            ),
        };
        changes.push((header, value));
    }
    Ok(changes)
}

/// What frames messages: to change it is to smuggle.
pub(super) fn is_of_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "trailers"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "expect"
    )
}

fn take_value(fields: &mut Fields, name: &'static str) -> Result<Option<HeaderValue>, Problem> {
    let Some(text) = fields.take_text(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    HeaderValue::from_str(&text).map(Some).map_err(|_| fields.problem(format!("{name} cannot stand in a header")))
}
