//! Tells the access log and the traces of an exchange once its answer has left, or was given up.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, REFERER, USER_AGENT};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};

use super::limits::Place;
use super::{Arrival, TellExchange};
use crate::model::{Door, Exchange, Security, Timestamp, TlsFacts, TraceContext, Trail};
use crate::net::{BoxError, RequestBody, ResponseBody};

/// One exchange while it goes on; told when dropped, if anybody wants to be.
pub(super) struct Record {
    /// What is noted along the way.
    pub(super) trail: Trail,
    /// Held until the last byte of the answer.
    pub(super) places: [Option<Place>; 2],
    /// It is for the hub's own host; false as long as that is not known.
    pub(super) is_for_hubs_host: bool,
    telling: Option<Telling>,
}

/// What is told of, beside the trail: kept only if somebody listens.
struct Telling {
    sink: TellExchange,
    at: Timestamp,
    begun: Instant,
    address: IpAddr,
    peer: SocketAddr,
    entry_point: &'static str,
    tls: Option<TlsFacts>,
    method: Method,
    uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    length: Option<HeaderValue>,
    id: HeaderValue,
    trace: Option<TraceContext>,
    status: u16,
    bytes: u64,
}

impl Record {
    /// A record of which nobody wants to be told: only what is counted is noted in its trail.
    pub(super) fn untold() -> Self {
        Self { trail: Trail::default(), places: [None, None], is_for_hubs_host: false, telling: None }
    }

    /// A record that begins now, of a request with this id.
    pub(super) fn begin(
        sink: TellExchange,
        at: Timestamp,
        arrival: &Arrival,
        request: &Request<RequestBody>,
        id: &HeaderValue,
        trace: Option<TraceContext>,
    ) -> Self {
        let header = |name| request.headers().get(name).cloned();
        let telling = Telling {
            sink,
            at,
            begun: Instant::now(),
            address: arrival.peer.ip(),
            peer: arrival.peer,
            entry_point: entry_point(arrival),
            tls: tls_of(arrival),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: header(HOST),
            referer: header(REFERER),
            user_agent: header(USER_AGENT),
            length: header(CONTENT_LENGTH),
            id: id.clone(),
            trace,
            status: 0,
            bytes: 0,
        };
        Self { trail: Trail::new(true), places: [None, None], is_for_hubs_host: false, telling: Some(telling) }
    }

    /// The client turned out to be this, behind the peer.
    pub(super) fn came_from(&mut self, client: IpAddr) {
        if let Some(telling) = &mut self.telling {
            telling.address = client;
        }
    }

    /// Goes on until the last byte of `response`.
    pub(super) fn follow(mut self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        if self.telling.is_none() && self.places.iter().all(Option::is_none) {
            return response;
        }
        let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if let Some(telling) = &mut self.telling {
            telling.status = response.status().as_u16();
        }
        match (response.body(), &mut self.telling) {
            (ResponseBody::Full(bytes), Some(telling)) => telling.bytes = bytes.len() as u64,
            (ResponseBody::Boxed(_) | ResponseBody::Ending(_), _) if !is_tunnel => {
                return response.map(|body| ResponseBody::stream(Recorded { body, record: self }));
            }
            _ => {}
        }
        response
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(telling) = &self.telling {
            telling.tell(&self.trail);
        }
    }
}

impl Telling {
    fn tell(&self, trail: &Trail) {
        let named: Option<Authority> = match (self.uri.authority(), &self.host) {
            (Some(authority), _) => Some(authority.clone()),
            (None, host) => host.as_ref().and_then(|host| Authority::try_from(host.as_bytes()).ok()),
        };
        let text = |value: &Option<HeaderValue>| value.as_ref().and_then(|value| value.to_str().ok()?.parse().ok());
        (self.sink)(&Exchange {
            at: self.at,
            address: self.address,
            peer: self.peer,
            entry_point: self.entry_point,
            tls: self.tls,
            host: named.as_ref().map_or("", Authority::host),
            port: named.as_ref().and_then(Authority::port_u16),
            method: self.method.as_str(),
            target: self.uri.path_and_query().map_or("*", |target| target.as_str()),
            version: match self.version {
                Version::HTTP_2 => "HTTP/2.0",
                Version::HTTP_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            referer: self.referer.as_ref().map(HeaderValue::as_bytes),
            user_agent: self.user_agent.as_ref().map(HeaderValue::as_bytes),
            request_bytes: text(&self.length),
            request_id: self.id.to_str().unwrap_or_default(),
            trace: self.trace.as_ref(),
            trail,
            asked_after: trail.asked.as_ref().map(|asked| asked.at.saturating_duration_since(self.begun)),
            status: self.status,
            bytes: self.bytes,
            duration: self.begun.elapsed(),
        });
    }
}

/// The name in Traefik's language for where a connection came in.
pub(super) fn entry_point(arrival: &Arrival) -> &'static str {
    match (arrival.door, &arrival.security) {
        (Door::Private, _) => "private",
        (Door::Public, Security::Plain) => "web",
        (Door::Public, _) => "websecure",
    }
}

fn tls_of(arrival: &Arrival) -> Option<TlsFacts> {
    match &arrival.security {
        Security::Tls(handshake) => handshake.facts,
        Security::Plain | Security::PlainOnTlsPort => None,
    }
}

/// A body that counts itself.
struct Recorded {
    body: ResponseBody,
    record: Record,
}

impl Body for Recorded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
            && let Some(telling) = &mut self.record.telling
        {
            telling.bytes += bytes.len() as u64;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::super::tests::public;
    use super::*;

    #[tokio::test]
    async fn an_exchange_is_told_once_with_all_its_bytes() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink: TellExchange = {
            let told = told.clone();
            Arc::new(move |exchange| {
                let Exchange { target, status, bytes, host, port, request_id, .. } = exchange;
                told.lock().push(format!("{host} {port:?} {target} {status} {bytes} {request_id}"));
            })
        };
        let record = || {
            let request = Request::get("https://x:8443/a?b").version(Version::HTTP_2).body(RequestBody::Empty);
            let request = request.expect("a request");
            Record::begin(sink.clone(), Timestamp(0), &public(), &request, &HeaderValue::from_static("7"), None)
        };
        drop(record().follow(Response::new(ResponseBody::from("hello"))));
        assert_eq!(told.lock().as_slice(), ["x Some(8443) /a?b 200 5 7"]);

        let stream = ResponseBody::Boxed(http_body_util::Full::from("stream").map_err(Into::into).boxed_unsync());
        let response = record().follow(Response::new(stream));
        assert_eq!(told.lock().len(), 1, "not before the last byte");
        response.into_body().collect().await.expect("a whole body");
        drop(record());
        assert_eq!(
            told.lock().as_slice(),
            ["x Some(8443) /a?b 200 5 7", "x Some(8443) /a?b 200 6 7", "x Some(8443) /a?b 0 0 7"]
        );
    }

    #[tokio::test]
    async fn of_an_untold_record_nothing_is_kept() {
        let response = Record::untold().follow(Response::new(ResponseBody::from("hello")));
        assert!(matches!(response.body(), ResponseBody::Full(_)));
    }
}
