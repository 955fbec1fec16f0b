//! A line as Traefik writes it with `accessLog.format = json`, for programs that read that one.
//!
//! Compared field by field with lines of the real Traefik 3.7.15 (`traefik-3.7.15.jsonl`, the test below). Ours besides:
//! secrets are hidden, referer, user agent and request id are always there (Traefik keeps headers only when told to), and
//! what no router took has the name of our own part. Not here: `GzipRatio`.

use std::net::SocketAddr;

use serde::Serialize;

use super::scrub::{address_without_secrets, without_secrets};
use super::{agent_of, balancer_of, router_of, url_of};
use crate::model::{Exchange, UserName};

/// The fields of a line, in Traefik's order, which is the alphabet's.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    client_addr: SocketAddr,
    client_host: String,
    client_port: String,
    client_username: &'a str,
    downstream_content_size: u64,
    downstream_status: u16,
    /// Durations are nanoseconds.
    duration: u64,
    origin_content_size: u64,
    origin_duration: u64,
    origin_status: u16,
    overhead: u64,
    request_addr: String,
    request_content_size: u64,
    request_count: u64,
    request_host: &'a str,
    request_method: &'a str,
    request_path: String,
    request_port: String,
    request_protocol: &'a str,
    request_scheme: &'static str,
    retry_attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    router_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_addr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<&'a str>,
    #[serde(rename = "ServiceURL", skip_serializing_if = "Option::is_none")]
    service_url: Option<String>,
    start_local: &'a str,
    #[serde(rename = "StartUTC")]
    start_utc: &'a str,
    #[serde(rename = "TLSCipher", skip_serializing_if = "Option::is_none")]
    tls_cipher: Option<&'static str>,
    #[serde(rename = "TLSVersion", skip_serializing_if = "Option::is_none")]
    tls_version: Option<&'static str>,
    #[serde(rename = "entryPointName")]
    entry_point_name: &'static str,
    #[serde(rename = "level")]
    level: &'static str,
    #[serde(rename = "msg")]
    msg: &'static str,
    #[serde(rename = "request_Referer", skip_serializing_if = "Option::is_none")]
    request_referer: Option<String>,
    #[serde(rename = "request_User-Agent", skip_serializing_if = "Option::is_none")]
    request_user_agent: Option<String>,
    #[serde(rename = "request_X-Request-Id")]
    request_x_request_id: &'a str,
    #[serde(rename = "time")]
    time: String,
}

pub(super) fn line(exchange: &Exchange<'_>, count: u64) -> Vec<u8> {
    let nanos = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let asked = exchange.trail.asked.as_ref();
    let origin = exchange.asked_after.map(|after| exchange.duration.saturating_sub(after)).unwrap_or_default();
    let moment = jiff::Timestamp::from_millisecond(exchange.at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let start = format!("{moment:.9}");
    let (peer, host) = (exchange.peer, exchange.host);
    let fields = Line {
        client_addr: peer,
        client_host: exchange.address.to_string(),
        client_port: peer.port().to_string(),
        client_username: exchange.trail.user.as_ref().map_or("-", UserName::as_str),
        downstream_content_size: exchange.bytes,
        downstream_status: exchange.status,
        duration: nanos(exchange.duration),
        origin_content_size: asked.map_or(0, |_| exchange.bytes),
        origin_duration: nanos(origin),
        // As there: what the proxy says in the place of a server that does not answer.
        origin_status: asked.map_or(0, |asked| asked.answer.map_or(exchange.status, |(_, status)| status)),
        overhead: nanos(exchange.duration.saturating_sub(origin)),
        request_addr: exchange.port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
        request_content_size: exchange.request_bytes.unwrap_or(0),
        request_count: count,
        request_host: host,
        request_method: exchange.method,
        request_path: without_secrets(exchange.target).into_owned(),
        request_port: exchange.port.map_or_else(|| "-".to_owned(), |port| port.to_string()),
        request_protocol: exchange.version,
        request_scheme: if exchange.entry_point == "websecure" { "https" } else { "http" },
        retry_attempts: exchange.trail.retries,
        router_name: router_of(exchange.trail),
        service_addr: asked.map(|asked| asked.upstream.address.to_string()),
        service_name: balancer_of(exchange.trail),
        service_url: asked.map(url_of),
        start_local: &start,
        start_utc: &start,
        tls_cipher: exchange.tls.map(|tls| tls.cipher),
        tls_version: exchange.tls.map(|tls| tls.version),
        entry_point_name: exchange.entry_point,
        level: "info",
        msg: "",
        request_referer: exchange.referer.map(address_without_secrets),
        request_user_agent: agent_of(exchange),
        request_x_request_id: exchange.request_id,
        time: format!("{moment:.0}"),
    };
    let mut line = Vec::with_capacity(1024 + exchange.target.len());
    // Writing to a vector cannot fail, nor can these fields.
    let _ = serde_json::to_writer(&mut line, &fields);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::{Map, Value};

    use super::super::told::{exchange, trail};
    use super::*;
    use crate::model::{Aim, Timestamp, TlsFacts, Upstream, UpstreamAddress};

    /// Five requests as Traefik 3.7.15 tells of them. Made with two routers of a file (`app`, and `secret` behind
    /// basicAuth) to a server, and one to nothing (`dead`):
    /// `traefik --entrypoints.websecure.address=127.0.0.1:18090 --providers.file.filename=dyn.yml --accesslog=true
    /// --accesslog.format=json --accesslog.fields.headers.names.{X-Request-Id,Referer,User-Agent}=keep`
    const GOLDEN: &str = include_str!("traefik-3.7.15.jsonl");

    /// What we do not know, or do not compute.
    const NOT_OURS: [&str; 1] = ["GzipRatio"];
    /// What differs from one run to the next.
    const OF_THE_MOMENT: [&str; 3] = ["OriginDuration", "Overhead", "RequestPath"];

    fn parsed(line: &[u8]) -> Map<String, Value> {
        serde_json::from_slice(line).expect("a JSON object")
    }

    #[test]
    fn a_line_has_the_fields_and_values_of_the_real_traefik() {
        for golden in GOLDEN.lines() {
            let golden = parsed(golden.as_bytes());
            let text = |field: &str| golden.get(field).and_then(Value::as_str);
            let number = |field: &str| golden[field].as_u64().unwrap_or_else(|| panic!("{field} is a number"));
            let begun: jiff::Timestamp = text("StartUTC").and_then(|at| at.parse().ok()).expect("a time");
            let mut trail = trail(text("ClientUsername").filter(|user| *user != "-"));
            if let (Some(router), Some(service), Some(address)) =
                (text("RouterName"), text("ServiceName"), text("ServiceAddr"))
            {
                trail.aim = Aim::Router;
                (trail.router, trail.balancer) = (Some(router.into()), Some(service.into()));
                let address = UpstreamAddress::Tcp(address.parse().expect("an address"));
                trail.ask(&Arc::new(Upstream::new(address, Timestamp(0))));
                trail.answered(u16::try_from(number("OriginStatus")).expect("a status"));
            }
            let duration = Duration::from_nanos(number("Duration"));
            let origin = Duration::from_nanos(number("OriginDuration"));
            let told = Exchange {
                at: Timestamp(begun.as_millisecond()),
                address: text("ClientHost").and_then(|host| host.parse().ok()).expect("an address"),
                peer: text("ClientAddr").and_then(|peer| peer.parse().ok()).expect("an address"),
                entry_point: "websecure",
                tls: Some(TlsFacts { version: "1.3", cipher: "TLS_AES_128_GCM_SHA256" }),
                host: text("RequestHost").expect("a host"),
                port: text("RequestPort").and_then(|port| port.parse().ok()),
                method: text("RequestMethod").expect("a method"),
                version: if text("RequestProtocol") == Some("HTTP/2.0") { "HTTP/2.0" } else { "HTTP/1.1" },
                referer: text("request_Referer").map(str::as_bytes),
                user_agent: text("request_User-Agent").map(str::as_bytes),
                request_bytes: Some(number("RequestContentSize")),
                request_id: text("request_X-Request-Id").expect("an id"),
                asked_after: Some(duration - origin),
                status: u16::try_from(number("DownstreamStatus")).expect("a status"),
                bytes: number("DownstreamContentSize"),
                duration,
                ..exchange(&trail, text("RequestPath").expect("a path"))
            };
            let ours = parsed(&line(&told, number("RequestCount")));
            let expected: Vec<_> = golden.keys().filter(|key| !NOT_OURS.contains(&key.as_str())).collect();
            assert_eq!(ours.keys().collect::<Vec<_>>(), expected, "the fields, in their order");
            for (field, value) in &ours {
                // A millisecond is as exact as our clock is.
                let (value, golden) = (value.to_string(), golden[field].to_string());
                match field.as_str() {
                    "StartUTC" | "StartLocal" => assert_eq!(value[..24], golden[..24], "{field}"),
                    "request_Referer" => assert_eq!(value, golden.replace("token=abc", "token=***")),
                    field if OF_THE_MOMENT.contains(&field) => {}
                    field => assert_eq!(value, golden, "{field}"),
                }
            }
        }
        assert_eq!(GOLDEN.lines().count(), 5);
    }

    #[test]
    fn what_no_router_took_has_the_name_of_our_own_part() {
        let mut trail = trail(None);
        trail.aim = Aim::Hub;
        let ours = parsed(&line(&exchange(&trail, "/hub/login?next=/&_xsrf=abc"), 1));
        assert_eq!(ours["RouterName"], "slipway-hub@internal");
        assert_eq!(ours["RequestPath"], "/hub/login?next=/&_xsrf=***");
    }
}
