//! Sends traces to their collector: one connection a batch, with time limits, by TLS if the address says so.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::model::{UpstreamAddress, with_causes};
use crate::net::{ClientTls, ClientTlsParts, dial_with};
use crate::tasks::Tasks;
use crate::telemetry::{Traces, TracesConfig, traces};

/// From the look-up of the collector's name to the head of its answer. 10 s: what OpenTelemetry's own exporters wait.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// Where distributions keep the authorities that the system believes.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The collector, as it is reached.
struct Collector {
    address: UpstreamAddress,
    tls: Option<ClientTls>,
    target: Uri,
    host: HeaderValue,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Begins to send; `None` if the address is none, which the configuration has refused already.
pub(super) fn start(config: &TracesConfig, tasks: &Tasks) -> Option<Traces> {
    let collector = std::sync::Arc::new(Collector::of(config)?);
    let (teller, exporter) = traces(&config.service_name);
    info!(collector = %config.endpoint, ratio = config.sample_ratio, "requests are traced");
    let send = move |message| {
        let collector = collector.clone();
        async move {
            let sending = tokio::time::timeout(SEND_LIMIT, collector.send(message)).await;
            sending.unwrap_or_else(|_| Err(format!("no answer within {SEND_LIMIT:?}")))
        }
    };
    tasks.spawn(exporter.run(send, tasks.stopping().clone()));
    Some(teller)
}

impl Collector {
    fn of(config: &TracesConfig) -> Option<Self> {
        let target: Uri = config.endpoint.parse().ok()?;
        let is_tls = target.scheme_str() == Some("https");
        let host = target.host()?.trim_matches(['[', ']']).to_owned();
        let port = target.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let headers = config.headers.iter().filter_map(|(name, value)| {
            let mut value = HeaderValue::try_from(value.expose()).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name).ok()?, value))
        });
        Some(Self {
            address: UpstreamAddress::Named { host, port, is_tls },
            tls: if is_tls { tls() } else { None },
            host: HeaderValue::try_from(target.authority()?.as_str()).ok()?,
            headers: headers.collect(),
            target,
        })
    }

    async fn send(&self, message: Vec<u8>) -> Result<(), String> {
        let stream =
            dial_with(&self.address, self.tls.as_ref(), SEND_LIMIT).await.map_err(|error| with_causes(&error))?;
        let opened = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = opened.map_err(|error| with_causes(&error))?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let path = self.target.path_and_query().map_or("/", |target| target.as_str());
        let mut request = Request::post(path).header(CONTENT_TYPE, "application/json").header(HOST, &self.host);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(bytes::Bytes::from(message))).map_err(|error| with_causes(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| with_causes(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err("it answers 404: is the path /v1/traces?".to_owned()),
            status => Err(format!("it answers {status}")),
        }
    }
}

/// What the system believes.
fn tls() -> Option<ClientTls> {
    let authorities = AUTHORITIES.into_iter().find_map(|file| {
        let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).ok()?.collect();
        found.ok()
    });
    let parts = ClientTlsParts {
        authorities: authorities.unwrap_or_default(),
        identity: None,
        verifies: true,
        versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
    };
    ClientTls::new(parts).inspect_err(|error| warn!(%error, "TLS to the collector of traces cannot be set up")).ok()
}
