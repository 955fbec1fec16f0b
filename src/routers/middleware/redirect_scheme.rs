//! RedirectScheme: sends the browser to the same address by another scheme, and another port if one is named.

use http::Request;

use super::redirect_regex::{address_of, redirect};
use super::{Facts, Step};
use crate::net::RequestBody;
use crate::routers::{Fields, Problem};

/// Sends the browser to another scheme.
#[derive(Debug)]
pub struct RedirectScheme {
    scheme: &'static str,
    /// None where it is the scheme's own.
    port: Option<u16>,
    is_permanent: bool,
}

impl RedirectScheme {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let scheme =
            fields.take_parsed("scheme", "https or http", |text| match text.to_ascii_lowercase().as_str() {
                "https" => Some("https"),
                "http" => Some("http"),
                _ => None,
            })?;
        let Some(scheme) = scheme else { return Err(fields.problem("scheme is missing")) };
        let own_port = if scheme == "https" { 443 } else { 80 };
        let is_port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        let port = fields.take_parsed("port", "a port", is_port)?.filter(|port| *port != own_port);
        Ok(Self { scheme, port, is_permanent: fields.take_bool("permanent")?.unwrap_or(false) })
    }

    pub(super) fn apply(&self, request: Request<RequestBody>, facts: &Facts<'_>) -> Step {
        let old = address_of(&request, facts);
        let host = without_port(facts.host);
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let new = match self.port {
            Some(port) => format!("{}://{host}:{port}{target}", self.scheme),
            None => format!("{}://{host}{target}", self.scheme),
        };
        if new == old {
            return Step::Pass(request);
        }
        redirect(request.method(), &new, self.is_permanent)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
