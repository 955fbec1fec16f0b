//! How we speak to an authority: HTTPS over our own connections, each request with a limit in time and bytes.
//!
//! The library brings a client of its own with a second trust store; this one believes the system's authorities, or
//! those of `acme.ca_file` alone.

use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::AcmeError;
use crate::model::UpstreamAddress;
use crate::net::{ClientTls, ClientTlsParts, dial_with, system_authorities};

/// The longest answer that is read. 256 KiB: a chain of certificates has 10.
const ANSWER_LIMIT_BYTES: usize = 256 * 1024;

/// The way to an authority. Cheap to clone.
#[derive(Clone)]
pub(super) struct Wire {
    tls: ClientTls,
    limit: Duration,
    /// What the last answer that asked us to wait said.
    retry_after: Arc<Mutex<Option<Duration>>>,
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
enum WireError {
    #[error("{0} is no https address")]
    NoAddress(Uri),
    #[error("{host} did not answer within {limit:?}")]
    Slow { host: String, limit: Duration },
    #[error("{host} broke off")]
    Broken {
        host: String,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{host} answered {status}, and not in ACME's words")]
    NoAcme { host: String, status: StatusCode },
}

impl Wire {
    /// Believes whoever `authorities` (PEM) vouch for, or the system's. Blocks on the file.
    pub(super) fn new(authorities: Option<&Path>, limit: Duration) -> Result<Self, AcmeError> {
        let authorities = match authorities {
            None => system_authorities(),
            Some(path) => {
                let text =
                    std::fs::read(path).map_err(|cause| AcmeError::Unreadable { path: path.to_owned(), cause })?;
                let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
                found.unwrap_or_default()
            }
        };
        if authorities.is_empty() {
            return Err(AcmeError::NoAuthorities);
        }
        let versions = vec![&rustls::version::TLS13, &rustls::version::TLS12];
        let tls = ClientTls::new(ClientTlsParts { authorities, identity: None, verifies: true, versions })?;
        Ok(Self { tls, limit, retry_after: Arc::default() })
    }

    /// How long the authority asked us to wait since this was last asked.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.retry_after.lock().take()
    }

    async fn exchange(&self, mut request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let uri = request.uri().clone();
        let other = |error: WireError| Error::Other(Box::new(error));
        let host = uri.host().filter(|_| uri.scheme_str() == Some("https"));
        let host = host.map(|host| host.trim_matches(['[', ']']).to_owned());
        let host = host.ok_or_else(|| other(WireError::NoAddress(uri.clone())))?;
        let port = uri.port_u16().unwrap_or(443);
        let address = UpstreamAddress::Named { host: host.clone(), port, is_tls: true };
        let stream =
            dial_with(&address, Some(&self.tls), self.limit).await.map_err(|error| Error::Other(Box::new(error)))?;
        let broken = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::Other(Box::new(WireError::Broken { host: host.clone(), cause }))
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|cause| broken(cause.into()))?;

        let authority = uri.authority().map_or("", |authority| authority.as_str());
        request.headers_mut().insert(HOST, HeaderValue::from_str(authority).map_err(http::Error::from)?);
        *request.uri_mut() = uri.path_and_query().map_or("/", |target| target.as_str()).parse()?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|cause| broken(cause.into()))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_LIMIT_BYTES).collect().await.map_err(broken)?.to_bytes();
            Ok::<_, Error>((parts, body))
        };
        let (parts, body) = match select(pin!(exchange), pin!(connection)).await {
            Either::Left((answer, _)) => answer?,
            // The connection may be over before its answer has been read.
            Either::Right((_, exchange)) => exchange.await?,
        };
        if matches!(parts.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            *self.retry_after.lock() = wait_wanted(&parts.headers);
        }
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_error = parts.status.is_client_error() || parts.status.is_server_error();
        if is_error && !kind.contains("json") {
            return Err(other(WireError::NoAcme { host, status: parts.status }));
        }
        Ok(BytesResponse { parts, body: Box::new(body) })
    }
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let wire = self.clone();
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let limit = wire.limit;
            let exchange = tokio::time::timeout(limit, wire.exchange(request));
            exchange.await.unwrap_or_else(|_| Err(Error::Other(Box::new(WireError::Slow { host, limit }))))
        })
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110), which is held against the authority's own clock.
fn wait_wanted(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let wanted = text(RETRY_AFTER)?;
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = httpdate::parse_http_date(text(DATE)?).ok()?;
    Some(httpdate::parse_http_date(wanted).ok()?.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_wait_is_read_in_both_forms() {
        let of = |wanted: &'static str| {
            let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
            wait_wanted(&HeaderMap::from_iter([(DATE, date), (RETRY_AFTER, HeaderValue::from_static(wanted))]))
        };
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        assert_eq!(of("Sun, 06 Nov 1994 09:49:37 GMT"), Some(Duration::from_secs(3600)));
        assert_eq!(of("Sun, 06 Nov 1994 07:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(of("soon"), None);
        assert_eq!(wait_wanted(&HeaderMap::new()), None);
    }
}
