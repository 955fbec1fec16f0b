//! Buffering: limits what bodies may be long, reads a request whole before a target sees any of it, and tries again by
//! an expression.
//!
//! Traefik puts what is longer than `mem…Bytes` into a file. We never write requests to a disk: a body that does not fit into
//! memory streams on, still limited, and is not tried again.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::Next;
use super::answer::{NoAnswer, plain};
use super::expression::{Expression, Function, Gives, Value};
use super::gather::{Gathered, gather};
use super::lent::Repeated;
use crate::net::{BoxError, RequestBody, ResponseBody};
use crate::routers::{Fields, Problem};

/// In memory unless said otherwise, as with Traefik.
const MEMORY_BYTES: u64 = 1024 * 1024;
/// And never more than this of one body: what says more is a mistake.
const MEMORY_LIMIT_BYTES: u64 = 64 * 1024 * 1024;
/// Attempts, whatever the expression says; Traefik's bound.
const ATTEMPT_LIMIT: u32 = 10;

const FUNCTIONS: [Function; 4] = [
    Function { name: "IsNetworkError", arguments: 0, gives: Gives::Truth },
    Function { name: "Attempts", arguments: 0, gives: Gives::Number },
    Function { name: "ResponseCode", arguments: 0, gives: Gives::Number },
    Function { name: "RequestMethod", arguments: 0, gives: Gives::Text },
];

/// Limits bodies and holds them back.
#[derive(Debug)]
pub struct Buffering {
    request: Limits,
    response: Limits,
    retry: Option<Expression>,
}

#[derive(Debug)]
struct Limits {
    /// 0: none.
    bytes: u64,
    memory_bytes: usize,
}

impl Buffering {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let request = Limits::read(fields, "maxRequestBodyBytes", "memRequestBodyBytes")?;
        let response = Limits::read(fields, "maxResponseBodyBytes", "memResponseBodyBytes")?;
        let retry = match fields.take_text("retryExpression")?.filter(|text| !text.trim().is_empty()) {
            Some(text) => Some(
                Expression::parse(&text, &FUNCTIONS)
                    .map_err(|error| fields.problem(format!("retryExpression {error}")))?,
            ),
            None => None,
        };
        Ok(Self { request, response, retry })
    }

    pub(super) async fn handle(&self, request: Request<RequestBody>, next: &Next<'_>) -> Response<ResponseBody> {
        if next.facts.is_websocket {
            return next.run(request).await;
        }
        let said = request.body().size_hint().exact();
        if self.request.are_passed_by(said) {
            return plain(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let method = request.method().clone();
        let (parts, body) = request.into_parts();
        let is_too_long = Arc::new(AtomicBool::new(false));
        let repeated = match gather(body, self.request.memory_bytes).await {
            Ok(Gathered::Whole(bytes)) if self.request.are_passed_by(Some(bytes.len() as u64)) => {
                return plain(StatusCode::PAYLOAD_TOO_LARGE);
            }
            Ok(Gathered::Whole(bytes)) => Repeated::whole(parts, bytes),
            Ok(Gathered::More(body)) => {
                let body = Limited { body, left: self.request.left(), is_too_long: is_too_long.clone() };
                Repeated::streamed(Request::from_parts(parts, RequestBody::stream(body)))
            }
            Err(_) => return plain(StatusCode::BAD_REQUEST),
        };
        let response = self.attempts(&repeated, &method, next).await;
        if is_too_long.load(Ordering::Relaxed) {
            return plain(StatusCode::PAYLOAD_TOO_LARGE);
        }
        self.bounded(response, &method).await
    }

    async fn attempts(&self, repeated: &Repeated, method: &Method, next: &Next<'_>) -> Response<ResponseBody> {
        let mut attempt = 1;
        let Some(mut request) = repeated.request() else { return plain(StatusCode::BAD_REQUEST) };
        loop {
            let response = next.run(request).await;
            let again = self.retry.as_ref().is_some_and(|expression| {
                attempt <= ATTEMPT_LIMIT && is_to_be_tried_again(expression, &response, attempt, method)
            });
            match repeated.request().filter(|_| again) {
                Some(next_request) => request = next_request,
                None => return response,
            }
            attempt += 1;
        }
    }

    /// The answer, if it is not too long: 500 otherwise, as with Traefik.
    async fn bounded(&self, response: Response<ResponseBody>, method: &Method) -> Response<ResponseBody> {
        if self.response.bytes == 0 || *method == Method::HEAD {
            return response;
        }
        let too_long = || plain(StatusCode::INTERNAL_SERVER_ERROR);
        if self.response.are_passed_by(response.body().size_hint().exact()) {
            return too_long();
        }
        let (parts, body) = response.into_parts();
        let body = match gather(body, self.response.memory_bytes).await {
            Ok(Gathered::Whole(bytes)) if self.response.are_passed_by(Some(bytes.len() as u64)) => return too_long(),
            Ok(Gathered::Whole(bytes)) => bytes.into(),
            Ok(Gathered::More(body)) => {
                ResponseBody::stream(Limited { body, left: self.response.left(), is_too_long: Arc::default() })
            }
            Err(_) => return plain(StatusCode::BAD_GATEWAY),
        };
        Response::from_parts(parts, body)
    }
}

impl Limits {
    fn read(fields: &mut Fields, longest: &'static str, memory: &'static str) -> Result<Self, Problem> {
        let bytes = fields.take_bytes(longest)?.unwrap_or(0);
        let memory_bytes = fields.take_bytes(memory)?.unwrap_or(MEMORY_BYTES);
        if memory_bytes > MEMORY_LIMIT_BYTES {
            return Err(fields.problem(format!("{memory} = {memory_bytes}: must be {MEMORY_LIMIT_BYTES} or less")));
        }
        Ok(Self { bytes, memory_bytes: usize::try_from(memory_bytes).unwrap_or(usize::MAX) })
    }

    fn are_passed_by(&self, length: Option<u64>) -> bool {
        self.bytes > 0 && length.is_some_and(|length| length > self.bytes)
    }

    fn left(&self) -> u64 {
        if self.bytes == 0 { u64::MAX } else { self.bytes }
    }
}

fn is_to_be_tried_again(
    expression: &Expression,
    response: &Response<ResponseBody>,
    attempt: u32,
    method: &Method,
) -> bool {
    let status = response.status();
    let is_network_error = response.extensions().get::<NoAnswer>().is_some()
        || matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT);
    expression.holds(&|call| match call.name.as_str() {
        "IsNetworkError" => Value::Truth(is_network_error),
        "Attempts" => Value::Number(f64::from(attempt)),
        "ResponseCode" => Value::Number(f64::from(status.as_u16())),
        _ => Value::Text(method.as_str()),
    })
}

/// A body that ends with an error where it gets too long.
struct Limited<B> {
    body: B,
    left: u64,
    is_too_long: Arc<AtomicBool>,
}

impl<B: Body<Data = Bytes, Error = BoxError> + Unpin> Body for Limited<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, |piece| piece.len() as u64);
            let Some(left) = this.left.checked_sub(length) else {
                this.is_too_long.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err("the body is longer than it may be".into())));
            };
            this.left = left;
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
