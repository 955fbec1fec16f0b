//! One line per exchange, without the secrets that addresses sometimes carry.

mod clf;
mod ours;
mod scrub;
mod traefik;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::writer::LineWriter;
use crate::model::{Aim, Asked, Exchange, Trail, UpstreamAddress};

pub(super) use scrub::without_secrets;

/// How access lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessFormat {
    /// There are none.
    #[default]
    Off,
    /// The Common Log Format of web servers.
    Common,
    /// The same, with referer and user agent.
    Combined,
    /// One JSON object a line, in our words.
    Json,
    /// One JSON object a line, with the field names of Traefik's access log.
    Traefik,
}

/// Writes access lines. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: AccessFormat,
    writer: LineWriter,
    told: Arc<AtomicU64>,
}

impl AccessLog {
    /// Lines of this format to `writer`; `None` if it is off.
    #[must_use]
    pub fn new(format: AccessFormat, writer: LineWriter) -> Option<Self> {
        (format != AccessFormat::Off).then_some(Self { format, writer, told: Arc::default() })
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
            AccessFormat::Common => clf::common(exchange),
            AccessFormat::Combined => clf::combined(exchange),
            AccessFormat::Json => ours::line(exchange),
            AccessFormat::Traefik => traefik::line(exchange, self.told.fetch_add(1, Ordering::Relaxed) + 1),
        };
        self.writer.write_line(line);
    }
}

/// Bytes of a user agent that are kept. 256: browsers' have 150.
const AGENT_LIMIT_BYTES: usize = 256;

fn agent_of(exchange: &Exchange<'_>) -> Option<String> {
    let agent = exchange.user_agent?;
    Some(String::from_utf8_lossy(&agent[..agent.len().min(AGENT_LIMIT_BYTES)]).into_owned())
}

/// The name of what answered where no router of somebody's did, in the form of Traefik's own routers.
fn internal_name(trail: &Trail) -> Option<&'static str> {
    match trail.aim {
        Aim::Hub => Some("slipway-hub@internal"),
        Aim::Server => Some("slipway-servers@internal"),
        Aim::Service => Some("slipway-services@internal"),
        Aim::Nowhere | Aim::Router => None,
    }
}

fn router_of(trail: &Trail) -> Option<&str> {
    trail.router.as_deref().or_else(|| internal_name(trail))
}

fn balancer_of(trail: &Trail) -> Option<&str> {
    trail.balancer.as_deref().or_else(|| internal_name(trail))
}

/// `http://10.0.0.1:8888`, as far as there is an address.
fn url_of(asked: &Asked) -> String {
    match &asked.upstream.address {
        UpstreamAddress::Unix(path) => format!("unix:{}", path.display()),
        UpstreamAddress::Named { is_tls: true, .. } => format!("https://{}", asked.upstream.address),
        UpstreamAddress::Tcp(_) | UpstreamAddress::Named { .. } => format!("http://{}", asked.upstream.address),
    }
}

/// What tests tell of.
#[cfg(test)]
pub(in crate::telemetry) mod told {
    use std::time::Duration;

    use crate::model::{Exchange, Timestamp, Trail, UserName};

    pub(in crate::telemetry) fn trail(user: Option<&str>) -> Trail {
        let mut trail = Trail::new(true);
        trail.sent_by(user.map(|name| UserName::parse(name).expect("a name")).as_ref());
        trail
    }

    pub(in crate::telemetry) fn exchange<'a>(trail: &'a Trail, target: &'a str) -> Exchange<'a> {
        Exchange {
            at: Timestamp(1_795_313_227_732),
            address: [192, 0, 2, 7].into(),
            peer: ([192, 0, 2, 7], 40_000).into(),
            entry_point: "websecure",
            tls: None,
            host: "localhost",
            port: Some(8443),
            referer: None,
            user_agent: None,
            request_bytes: None,
            request_id: "7",
            trace: None,
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
}
