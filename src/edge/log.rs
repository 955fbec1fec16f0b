//! Tells the access log of an exchange once its answer has left, or was given up.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};

use super::TellExchange;
use crate::model::{Exchange, Timestamp, UserName};
use crate::net::{BoxError, ResponseBody};

/// One exchange while it goes on; told when dropped.
pub(super) struct Record {
    sink: TellExchange,
    at: Timestamp,
    begun: Instant,
    pub(super) address: IpAddr,
    pub(super) user: Option<UserName>,
    method: Method,
    uri: Uri,
    version: Version,
    status: u16,
    bytes: u64,
}

impl Record {
    /// A record that begins now.
    pub(super) fn begin(
        sink: TellExchange,
        at: Timestamp,
        address: IpAddr,
        method: Method,
        uri: Uri,
        version: Version,
    ) -> Self {
        Self { sink, at, begun: Instant::now(), address, user: None, method, uri, version, status: 0, bytes: 0 }
    }

    /// Goes on until the last byte of `response`.
    pub(super) fn follow(mut self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        self.status = response.status().as_u16();
        let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        match response.body() {
            ResponseBody::Full(bytes) => self.bytes = bytes.len() as u64,
            ResponseBody::Boxed(_) | ResponseBody::Ending(_) if !is_tunnel => {
                return response.map(|body| ResponseBody::stream(Recorded { body, record: self }));
            }
            _ => {}
        }
        response
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let target = self.uri.path_and_query().map_or("*", |target| target.as_str());
        (self.sink)(&Exchange {
            at: self.at,
            address: self.address,
            user: self.user.as_ref().map(UserName::as_str),
            method: self.method.as_str(),
            target,
            version: if self.version == Version::HTTP_2 { "HTTP/2.0" } else { "HTTP/1.1" },
            status: self.status,
            bytes: self.bytes,
            duration: self.begun.elapsed(),
        });
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
        {
            self.record.bytes += bytes.len() as u64;
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

    use super::*;

    #[tokio::test]
    async fn an_exchange_is_told_once_with_all_its_bytes() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink: TellExchange = {
            let told = told.clone();
            Arc::new(move |exchange| {
                told.lock().push(format!("{} {} {}", exchange.target, exchange.status, exchange.bytes));
            })
        };
        let record = || {
            let address = IpAddr::from([127, 0, 0, 1]);
            let uri = Uri::from_static("https://x/a?b");
            Record::begin(sink.clone(), Timestamp(0), address, Method::GET, uri, Version::HTTP_2)
        };
        drop(record().follow(Response::new(ResponseBody::from("hello"))));
        assert_eq!(told.lock().as_slice(), ["/a?b 200 5"]);

        let stream = ResponseBody::Boxed(http_body_util::Full::from("stream").map_err(Into::into).boxed_unsync());
        let response = record().follow(Response::new(stream));
        assert_eq!(told.lock().len(), 1, "not before the last byte");
        response.into_body().collect().await.expect("a whole body");
        drop(record());
        assert_eq!(told.lock().as_slice(), ["/a?b 200 5", "/a?b 200 6", "/a?b 0 0"]);
    }
}
