//! A line in our own words, as JSON. What is not known has no field.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Serialize;

use super::scrub::{address_without_secrets, without_secrets};
use super::{agent_of, url_of};
use crate::model::{Exchange, UserName};

/// The fields of a line, in its order.
#[derive(Serialize)]
struct Line<'a> {
    address: IpAddr,
    at: String,
    bytes: u64,
    destination: &'static str,
    duration_ms: f64,
    entry_point: &'static str,
    host: &'a str,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_bytes: Option<u64>,
    request_id: &'a str,
    #[serde(skip_serializing_if = "is_nought")]
    retries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    router: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    status: u16,
    target: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    version: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks this way")]
fn is_nought(number: &u32) -> bool {
    *number == 0
}

pub(super) fn line(exchange: &Exchange<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(512 + exchange.target.len());
    let trail = exchange.trail;
    let answer = trail.asked.as_ref().and_then(|asked| asked.answer);
    let fields = Line {
        address: exchange.address,
        at: exchange.at.to_iso(),
        bytes: exchange.bytes,
        destination: trail.aim.as_str(),
        duration_ms: exchange.duration.as_secs_f64() * 1000.0,
        entry_point: exchange.entry_point,
        host: exchange.host,
        method: exchange.method,
        referer: exchange.referer.map(address_without_secrets),
        request_bytes: exchange.request_bytes,
        request_id: exchange.request_id,
        retries: trail.retries,
        router: trail.router.as_deref(),
        service: trail.balancer.as_deref(),
        status: exchange.status,
        target: without_secrets(exchange.target),
        tls: exchange.tls.map(|tls| tls.version),
        trace_id: exchange.trace.map(|trace| format!("{:032x}", trace.trace_id)),
        upstream: trail.asked.as_ref().map(url_of),
        upstream_ms: answer.map(|(took, _)| took.as_secs_f64() * 1000.0),
        upstream_status: answer.map(|(_, status)| status),
        user: trail.user.as_ref().map(UserName::as_str),
        user_agent: agent_of(exchange),
        version: exchange.version,
    };
    // Writing to a vector cannot fail, nor can these fields.
    let _ = serde_json::to_writer(&mut line, &fields);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::told::{exchange, trail};
    use super::*;
    use crate::model::{Aim, Timestamp, Upstream, UpstreamAddress};

    #[test]
    fn a_json_line_is_json_on_one_line() {
        let mut trail = trail(None);
        trail.aim = Aim::Server;
        trail.ask(&Arc::new(Upstream::new(UpstreamAddress::Tcp(([10, 0, 0, 1], 8888).into()), Timestamp(0))));
        trail.answered(201);
        let told = Exchange { user_agent: Some(b"x\n\xff"), ..exchange(&trail, "/x?a=\u{7f}\"\n&token=abc") };
        let line = line(&told);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!((&value["user"], &value["status"]), (&serde_json::Value::Null, &serde_json::json!(200)));
        assert_eq!(value["duration_ms"], serde_json::json!(1.5));
        for (field, expected) in [
            ("address", "192.0.2.7"),
            ("destination", "server"),
            ("request_id", "7"),
            ("upstream", "http://10.0.0.1:8888"),
            ("entry_point", "websecure"),
            ("target", "/x?a=\u{7f}\"\n&token=***"),
        ] {
            assert_eq!(value[field], expected, "{field}");
        }
        assert_eq!(value["upstream_status"], 201);
        assert!(value.get("router").is_none() && value.get("retries").is_none());
    }
}
