//! Compress: gzip for answers that get smaller by it, piece by piece as they come.
//!
//! Never for event streams, partial answers, what is compressed already or must not be changed. Traefik's `br` and `zstd` are
//! accepted where gzip is allowed too; a browser that takes them takes gzip.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::poll_fn;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::Next;
use super::cors::vary_by;
use super::gather::Prefixed;
use crate::net::{BoxError, RequestBody, ResponseBody};
use crate::routers::{Fields, Problem, did_you_mean, quoted};

/// As with Traefik: what is shorter gets no smaller.
const MIN_BYTES: u64 = 1024;
/// What is held back at most to see whether an answer is long enough.
const MIN_LIMIT_BYTES: u64 = 1024 * 1024;
/// How much is compressed before others get their turn: half a millisecond's worth.
const PIECE_BYTES: usize = 16 * 1024;
/// Level 5: within 2 % of 6, a fifth quicker.
const LEVEL: u32 = 5;

/// What Traefik knows.
const ENCODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// gzip for answers.
#[derive(Debug)]
pub struct Compress {
    excluded: Vec<String>,
    /// Empty: all that are not excluded.
    included: Vec<String>,
    min_bytes: u64,
    /// For clients that say nothing.
    is_default: bool,
}

impl Compress {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let types = |texts: Option<Vec<String>>| texts.unwrap_or_default().iter().map(|text| essence(text)).collect();
        let excluded: Vec<_> = types(fields.take_list("excludedContentTypes")?);
        let included: Vec<_> = types(fields.take_list("includedContentTypes")?);
        if !excluded.is_empty() && !included.is_empty() {
            return Err(
                fields.problem("excludedContentTypes and includedContentTypes exclude each other: leave one out")
            );
        }
        let min_bytes = fields.take_bytes("minResponseBodyBytes")?.unwrap_or(MIN_BYTES);
        if min_bytes > MIN_LIMIT_BYTES {
            return Err(
                fields.problem(format!("minResponseBodyBytes = {min_bytes}: must be {MIN_LIMIT_BYTES} or less"))
            );
        }
        let is_default = match fields.take_text("defaultEncoding")?.as_deref() {
            None | Some("") => false,
            Some("gzip") => true,
            Some(other) => {
                let text = format!("defaultEncoding = {} is not supported, only gzip", quoted(other));
                return Err(fields.problem(text));
            }
        };
        let encodings = fields.take_list("encodings")?.unwrap_or_default();
        if let Some(unknown) = encodings.iter().find(|encoding| !ENCODINGS.contains(&encoding.as_str())) {
            let near = did_you_mean(unknown, ENCODINGS);
            return Err(fields.problem(format!("encodings: there is no {}{near}", quoted(unknown))));
        }
        if !encodings.is_empty() && !encodings.iter().any(|encoding| encoding == "gzip") {
            return Err(fields.problem("encodings: only gzip is supported, and it is not among them"));
        }
        Ok(Self { excluded, included, min_bytes, is_default })
    }

    pub(super) async fn handle(&self, request: Request<RequestBody>, next: &Next<'_>) -> Response<ResponseBody> {
        let is_wanted = self.is_wanted(request.headers());
        let is_head = *request.method() == Method::HEAD;
        let mut response = next.run(request).await;
        if next.facts.is_websocket || !self.is_fit(&response) {
            return response;
        }
        vary_by(response.headers_mut(), "Accept-Encoding");
        if !is_wanted || is_head {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let body = match body.size_hint().exact() {
            Some(length) if length < self.min_bytes => return Response::from_parts(parts, body),
            Some(_) => body,
            // Without a length: what is there at once decides. Who sends a little and waits is no short answer.
            None => match peek(body, self.min_bytes).await {
                Peeked::Short(body) => return Response::from_parts(parts, body),
                Peeked::Long(body) => body,
            },
        };
        mark(&mut parts.headers);
        Response::from_parts(parts, ResponseBody::stream(Compressing::new(body)))
    }

    /// True if the client takes gzip.
    fn is_wanted(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(header::ACCEPT_ENCODING).iter().peekable();
        if lines.peek().is_none() {
            return self.is_default;
        }
        let (mut gzip, mut any) = (None, None);
        for item in lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')) {
            let mut parts = item.split(';');
            let name = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.trim().strip_prefix("q=")?.trim().parse::<f32>().ok());
            let is_taken = weight.unwrap_or(1.0) > 0.0;
            match name.as_str() {
                "gzip" | "x-gzip" => gzip = Some(is_taken),
                "*" => any = Some(is_taken),
                _ => {}
            }
        }
        gzip.or(any).unwrap_or(false)
    }

    /// True if the answer may be compressed at all.
    fn is_fit(&self, response: &Response<ResponseBody>) -> bool {
        let headers = response.headers();
        let status = response.status();
        let has_no_body = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT);
        let must_stay = || {
            let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
            lines.flat_map(|line| line.split(',')).any(|item| item.trim().eq_ignore_ascii_case("no-transform"))
        };
        let is_encoded = || {
            headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| !encoding.is_empty() && encoding != "identity")
        };
        if has_no_body || headers.contains_key(header::CONTENT_RANGE) || is_encoded() || must_stay() {
            return false;
        }
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(essence);
        let content_type = content_type.unwrap_or_default();
        if matches!(content_type.as_str(), "text/event-stream" | "application/grpc") {
            return false;
        }
        match self.included.is_empty() {
            true => !self.excluded.contains(&content_type),
            false => self.included.contains(&content_type),
        }
    }
}

/// `text/html` of `Text/HTML; charset=utf-8`.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Says that the body is compressed, and takes back what was true of the other one only.
fn mark(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    for name in [header::CONTENT_LENGTH, header::ACCEPT_RANGES, HeaderName::from_static("content-md5")] {
        headers.remove(name);
    }
    let Some(tag) = headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) else { return };
    // The same meaning, other bytes: the tag becomes a weak one.
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        headers.insert(header::ETAG, weak);
    }
}

enum Peeked {
    Short(ResponseBody),
    Long(ResponseBody),
}

/// Looks at what of a body is there at once, up to `bytes`.
async fn peek(mut body: ResponseBody, bytes: u64) -> Peeked {
    let mut first = BytesMut::new();
    loop {
        let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx))).await;
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Ok(piece) = frame.into_data() {
                    first.extend_from_slice(&piece);
                }
                if first.len() as u64 >= bytes {
                    break;
                }
            }
            Poll::Ready(None) => return Peeked::Short(first.freeze().into()),
            // It failed: whoever reads the body hears of it.
            Poll::Ready(Some(Err(error))) => {
                let failed = Failed { first: first.freeze(), error: Some(error) };
                return Peeked::Short(ResponseBody::stream(failed));
            }
            Poll::Pending => break,
        }
    }
    Peeked::Long(ResponseBody::stream(Prefixed { first: first.freeze(), rest: body }))
}

/// What came before an error, and the error.
struct Failed {
    first: Bytes,
    error: Option<BoxError>,
}

impl Body for Failed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        Poll::Ready(self.error.take().map(Err))
    }
}

/// A body as gzip. Whenever the source has to wait, what there is so far goes out.
struct Compressing {
    body: ResponseBody,
    /// Taken at the end.
    encoder: Option<GzEncoder<Vec<u8>>>,
    /// What of the last piece is still to be compressed.
    left: Bytes,
    has_unsent: bool,
}

impl Compressing {
    fn new(body: ResponseBody) -> Self {
        let encoder = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
        Self { body, encoder: Some(encoder), left: Bytes::new(), has_unsent: false }
    }

    /// What has been compressed so far.
    fn output(&mut self) -> Option<Bytes> {
        let output = std::mem::take(self.encoder.as_mut()?.get_mut());
        (!output.is_empty()).then(|| output.into())
    }
}

impl Body for Compressing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            let Some(encoder) = &mut this.encoder else { return Poll::Ready(None) };
            if !this.left.is_empty() {
                let piece = this.left.split_to(this.left.len().min(PIECE_BYTES));
                encoder.write_all(&piece)?;
                this.has_unsent = true;
                match this.output() {
                    Some(output) => return Poll::Ready(Some(Ok(Frame::data(output)))),
                    None => continue,
                }
            }
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data() {
                        this.left = piece;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    // No end of the stream of gzip: a client that checks it sees that something is missing.
                    this.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    let Some(encoder) = this.encoder.take() else { return Poll::Ready(None) };
                    return Poll::Ready(Some(Ok(Frame::data(encoder.finish()?.into()))));
                }
                Poll::Pending if this.has_unsent => {
                    encoder.flush()?;
                    this.has_unsent = false;
                    if let Some(output) = this.output() {
                        return Poll::Ready(Some(Ok(Frame::data(output))));
                    }
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
