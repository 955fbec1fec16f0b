//! One line per exchange, without the secrets that addresses sometimes carry.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;

use super::writer::LineWriter;
use crate::model::{Exchange, UserName};

/// How access lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessFormat {
    /// There are none.
    #[default]
    Off,
    /// One JSON object a line.
    Json,
    /// The Common Log Format of web servers, with the time taken at the end.
    Common,
}

/// Writes access lines. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: AccessFormat,
    writer: LineWriter,
}

impl AccessLog {
    /// Lines of this format to `writer`; `None` if it is off.
    #[must_use]
    pub fn new(format: AccessFormat, writer: LineWriter) -> Option<Self> {
        (format != AccessFormat::Off).then_some(Self { format, writer })
    }

    /// How many lines were dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.writer.dropped()
    }

    /// Writes the line of one exchange. Never waits.
    pub fn tell(&self, exchange: &Exchange<'_>) {
        let line = match self.format {
            AccessFormat::Off => return,
            AccessFormat::Json => json_line(exchange),
            AccessFormat::Common => common_line(exchange).into_bytes(),
        };
        self.writer.write_line(line);
    }
}

/// The fields of a line, in its order.
#[derive(Serialize)]
struct JsonLine<'a> {
    address: IpAddr,
    at: String,
    bytes: u64,
    duration_ms: f64,
    method: &'a str,
    status: u16,
    target: Cow<'a, str>,
    user: Option<&'a str>,
    version: &'a str,
}

fn json_line(exchange: &Exchange<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(256 + exchange.target.len());
    let fields = JsonLine {
        address: exchange.address,
        at: exchange.at.to_iso(),
        bytes: exchange.bytes,
        duration_ms: exchange.duration.as_secs_f64() * 1000.0,
        method: exchange.method,
        status: exchange.status,
        target: without_secrets(exchange.target),
        user: exchange.trail.user.as_ref().map(UserName::as_str),
        version: exchange.version,
    };
    // Writing to a vector cannot fail, nor can these fields.
    let _ = serde_json::to_writer(&mut line, &fields);
    line.push(b'\n');
    line
}

fn common_line(exchange: &Exchange<'_>) -> String {
    let Exchange { address, method, version, status, bytes, .. } = exchange;
    let moment = jiff::Timestamp::from_millisecond(exchange.at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let time = moment.strftime("%d/%b/%Y:%H:%M:%S +0000");
    let user = escape(exchange.trail.user.as_ref().map(UserName::as_str).unwrap_or("-"));
    let target = escape(&without_secrets(exchange.target));
    let seconds = exchange.duration.as_secs_f64();
    format!("{address} - {user} [{time}] \"{method} {target} {version}\" {status} {bytes} {seconds:.6}\n")
}

/// Query parameters whose values open doors.
const SECRETS: [&str; 4] = ["token", "code", "_xsrf", "state"];

/// What follows this in a path opens doors, too (a deprecated endpoint of JupyterHub's).
const SECRETS_BELOW: &str = "/hub/api/authorizations/";

/// The target with the values of secret parameters hidden, also inside a `next=` that carries an address.
fn without_secrets(target: &str) -> Cow<'_, str> {
    if let Some((before, _)) = target.split_once(SECRETS_BELOW) {
        return format!("{before}{SECRETS_BELOW}***").into();
    }
    let Some((path, query)) = target.split_once('?') else { return target.into() };
    let mut clean = String::with_capacity(target.len());
    clean.push_str(path);
    for (index, part) in query.split('&').enumerate() {
        clean.push(if index == 0 { '?' } else { '&' });
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let decoded_key = percent_encoding::percent_decode_str(key).decode_utf8_lossy();
        // An address within the query carries its own parameters, encoded once or more.
        let decoded_value = percent_encoding::percent_decode_str(value).decode_utf8_lossy().to_ascii_lowercase();
        let is_nested = SECRETS.iter().any(|secret| {
            [format!("{secret}="), format!("{secret}%3d")].iter().any(|text| decoded_value.contains(text.as_str()))
        });
        if !value.is_empty() && (SECRETS.contains(&&*decoded_key) || is_nested) {
            let _ = write!(clean, "{key}=***");
        } else {
            clean.push_str(part);
        }
    }
    clean.into()
}

/// Nothing in a field may end the line, the field, or speak to a terminal.
fn escape(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\' | ' ');
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut escaped, c| {
        if is_plain(c) {
            escaped.push(c);
        } else {
            let _ = write!(escaped, "\\u{{{:x}}}", c as u32);
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Timestamp, Trail};

    fn trail(user: Option<&str>) -> Trail {
        let mut trail = Trail::new(true);
        trail.sent_by(user.map(|name| UserName::parse(name).expect("a name")).as_ref());
        trail
    }

    fn exchange<'a>(trail: &'a Trail, target: &'a str) -> Exchange<'a> {
        Exchange {
            at: Timestamp(1_795_313_227_732),
            address: [192, 0, 2, 7].into(),
            peer: ([192, 0, 2, 7], 40_000).into(),
            entry_point: "websecure",
            tls_version: None,
            host: "localhost",
            port: Some(8443),
            referer: None,
            user_agent: None,
            request_bytes: None,
            request_id: "7",
            trail,
            asked_after: None,
            method: "GET",
            target,
            version: "HTTP/2.0",
            status: 200,
            bytes: 1234,
            duration: Duration::from_micros(1500),
        }
    }

    #[test]
    fn secrets_stay_out_of_the_log() {
        for (target, expected) in [
            ("/a", "/a"),
            ("/a?b=c", "/a?b=c"),
            ("/a?token=abc&b=c", "/a?token=***&b=c"),
            ("/a?b=c&code=abc&state=x", "/a?b=c&code=***&state=***"),
            ("/a?%74oken=abc", "/a?%74oken=***"),
            ("/a?mytoken=abc", "/a?mytoken=abc"),
            ("/hub/login?next=%2Fuser%2Fa%2Flab%3Ftoken%3Dabc", "/hub/login?next=***"),
            ("/hub/login?next=%2Fuser%2Fa%2Flab%253Ftoken%253Dabc", "/hub/login?next=***"),
            ("/hub/login?next=%2Fuser%2Fa%2Flab", "/hub/login?next=%2Fuser%2Fa%2Flab"),
        ] {
            assert_eq!(without_secrets(target), expected, "{target}");
        }
    }

    #[test]
    fn a_common_line_is_one_line() {
        let line = common_line(&exchange(&trail(Some("a\"b")), "/x?token=abc&\u{1b}[31m"));
        assert_eq!(
            line,
            "192.0.2.7 - a\\u{22}b [22/Nov/2026:02:07:07 +0000] \"GET /x?token=***&\\u{1b}[31m HTTP/2.0\" 200 1234 0.001500\n"
        );
    }

    #[test]
    fn a_json_line_is_json() {
        let line = json_line(&exchange(&trail(None), "/x?a=\u{7f}\"\n"));
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!((&value["user"], &value["status"]), (&serde_json::Value::Null, &serde_json::json!(200)));
        assert_eq!(value["duration_ms"], serde_json::json!(1.5));
        assert_eq!(value["address"], "192.0.2.7");
    }
}
