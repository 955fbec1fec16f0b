//! Cross-origin rules (`accessControl…` of the middleware Headers): answers preflights and marks answers.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response};
use regex::Regex;

use super::pattern;
use crate::net::{RequestBody, ResponseBody};
use crate::routers::{Fields, Problem};

/// Who may ask from another origin, and for what.
#[derive(Debug)]
pub(super) struct Cors {
    allows_credentials: bool,
    headers: Option<HeaderValue>,
    methods: Option<HeaderValue>,
    origins: Vec<String>,
    origin_patterns: Vec<Regex>,
    exposed: Option<HeaderValue>,
    max_age_s: i64,
    adds_vary: bool,
}

impl Cors {
    /// None if nothing of it is said.
    ///
    /// # Errors
    /// A value that is none.
    pub(super) fn read(fields: &mut Fields) -> Result<Option<Self>, Problem> {
        let origin_patterns = fields.take_list("accessControlAllowOriginListRegex")?.unwrap_or_default();
        let origin_patterns = origin_patterns
            .iter()
            .map(|text| pattern::compile(fields, "accessControlAllowOriginListRegex", text))
            .collect::<Result<Vec<_>, _>>()?;
        let cors = Self {
            allows_credentials: fields.take_bool("accessControlAllowCredentials")?.unwrap_or(false),
            headers: take_joined(fields, "accessControlAllowHeaders")?,
            methods: take_joined(fields, "accessControlAllowMethods")?,
            origins: fields.take_list("accessControlAllowOriginList")?.unwrap_or_default(),
            origin_patterns,
            exposed: take_joined(fields, "accessControlExposeHeaders")?,
            max_age_s: fields.take_i64("accessControlMaxAge")?.unwrap_or(0),
            adds_vary: fields.take_bool("addVaryHeader")?.unwrap_or(false),
        };
        let is_said = cors.allows_credentials
            || cors.headers.is_some()
            || cors.methods.is_some()
            || !cors.origins.is_empty()
            || !cors.origin_patterns.is_empty()
            || cors.exposed.is_some()
            || cors.max_age_s != 0
            || cors.adds_vary;
        Ok(is_said.then_some(cors))
    }

    /// The answer to a preflight; none if the request is none.
    pub(super) fn preflight(&self, request: &Request<RequestBody>) -> Option<Response<ResponseBody>> {
        let asked = request.headers();
        let has = |name| asked.get(name).is_some_and(|value| !value.is_empty());
        if request.method() != Method::OPTIONS || !has(header::ACCESS_CONTROL_REQUEST_METHOD) || !has(header::ORIGIN) {
            return None;
        }
        let mut response = Response::new(ResponseBody::Empty);
        let headers = response.headers_mut();
        if self.allows_credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(value) = &self.headers {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, value.clone());
        }
        if let Some(value) = &self.methods {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, value.clone());
        }
        if let Some(origin) = self.allowed(asked.get(header::ORIGIN)) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age_s));
        Some(response)
    }

    /// Says in an answer who may read it.
    pub(super) fn mark(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
        if let Some(origin) = self.allowed(origin) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        if self.allows_credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(value) = &self.exposed {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, value.clone());
        }
        if self.adds_vary {
            vary_by(headers, "Origin");
        }
    }

    /// What an origin is told: `*`, itself, or nothing.
    fn allowed(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        if self.origins.iter().any(|allowed| allowed == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        let origin = origin?;
        let text = origin.to_str().ok()?;
        let is_allowed = self.origins.iter().any(|allowed| allowed == text)
            || self.origin_patterns.iter().any(|pattern| pattern.is_match(text));
        is_allowed.then(|| origin.clone())
    }
}

/// Adds a name to `Vary`, unless it is there.
pub(super) fn vary_by(headers: &mut HeaderMap, name: &'static str) {
    let mut lines = headers.get_all(header::VARY).iter().filter_map(|line| line.to_str().ok());
    let is_there = lines.any(|line| line.split(',').any(|item| item.trim().eq_ignore_ascii_case(name)));
    if !is_there {
        headers.append(header::VARY, HeaderValue::from_static(name));
    }
}

fn take_joined(fields: &mut Fields, name: &'static str) -> Result<Option<HeaderValue>, Problem> {
    let items = fields.take_list(name)?.unwrap_or_default();
    if items.is_empty() {
        return Ok(None);
    }
    let joined = HeaderValue::from_str(&items.join(","));
    joined.map(Some).map_err(|_| fields.problem(format!("{name} cannot stand in a header")))
}
