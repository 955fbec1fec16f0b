//! The short answers that middlewares give themselves.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::net::ResponseBody;

/// In an answer's extensions: no target gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// True if something of the request may have reached a target.
    pub was_sent: bool,
}

/// A status and its own words, as Traefik answers.
pub(super) fn plain(status: StatusCode) -> Response<ResponseBody> {
    let words = match status {
        // Clients of Traefik that read bodies know these words of Go's.
        StatusCode::UNAUTHORIZED => "401 Unauthorized\n",
        StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
        _ => status.canonical_reason().unwrap_or_default(),
    };
    let mut response = Response::new(ResponseBody::from(words));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
