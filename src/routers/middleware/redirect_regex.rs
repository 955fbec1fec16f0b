//! RedirectRegex: sends the browser to another address, made from the whole of its own by a pattern.

use http::header::{HeaderValue, LOCATION};
use http::{Method, Request, StatusCode};
use regex::Regex;

use super::answer::plain;
use super::{Facts, Step, pattern};
use crate::net::RequestBody;
use crate::routers::{Fields, Problem};

/// Sends the browser to another address.
#[derive(Debug)]
pub struct RedirectRegex {
    regex: Regex,
    replacement: String,
    is_permanent: bool,
}

impl RedirectRegex {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let regex = pattern::take(fields, "regex")?;
        let replacement = fields.take_text("replacement")?.unwrap_or_default();
        if replacement.is_empty() {
            return Err(fields.problem("replacement is missing"));
        }
        Ok(Self { regex, replacement, is_permanent: fields.take_bool("permanent")?.unwrap_or(false) })
    }

    pub(super) fn apply(&self, request: Request<RequestBody>, facts: &Facts<'_>) -> Step {
        let old = address_of(&request, facts);
        if !self.regex.is_match(&old) {
            return Step::Pass(request);
        }
        let new = self.regex.replace_all(&old, self.replacement.as_str());
        if new == old {
            return Step::Pass(request);
        }
        redirect(request.method(), &new, self.is_permanent)
    }
}

/// The address in the browser's own words; the scheme's own port is left out, as Traefik does.
pub(super) fn address_of(request: &Request<RequestBody>, facts: &Facts<'_>) -> String {
    let own_port = if facts.scheme == "https" { ":443" } else { ":80" };
    let host = facts.host.strip_suffix(own_port).unwrap_or(facts.host);
    let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    format!("{}://{host}{target}", facts.scheme)
}

/// To `address`; 400 if a client's own words have made none of it.
pub(super) fn redirect(method: &Method, address: &str, is_permanent: bool) -> Step {
    // Go writes what is no address characters escaped; whatever is left must not end the header's line.
    let is_sound = address.bytes().all(|byte| byte > 0x20 && byte != 0x7f && byte != b'\\');
    let Some(location) = HeaderValue::from_str(address).ok().filter(|_| is_sound) else {
        return Step::Answer(plain(StatusCode::BAD_REQUEST));
    };
    let status = match (is_permanent, *method == Method::GET) {
        (false, true) => StatusCode::FOUND,
        (false, false) => StatusCode::TEMPORARY_REDIRECT,
        (true, true) => StatusCode::MOVED_PERMANENTLY,
        (true, false) => StatusCode::PERMANENT_REDIRECT,
    };
    let mut answer = plain(status);
    answer.headers_mut().insert(LOCATION, location);
    Step::Answer(answer)
}
