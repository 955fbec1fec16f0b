//! Plain HTTP that is sent on to HTTPS.

use http::header::{HOST, HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};

use super::Redirect;
use super::target::split_port;
use crate::net::{RequestBody, ResponseBody};

/// The way to the same address on HTTPS.
pub(super) fn answer(redirect: &Redirect, request: &Request<RequestBody>) -> Response<ResponseBody> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| split_port(host)).map(|(host, _)| host);
    let asked = request.uri().path_and_query().map_or("/", |asked| asked.as_str());
    let to = match host {
        Some(host) if redirect.to == 443 && !redirect.is_explicit => format!("https://{host}{asked}"),
        Some(host) => format!("https://{host}:{}{asked}", redirect.to),
        None => String::new(),
    };
    match HeaderValue::from_str(&to) {
        Ok(to) if !to.is_empty() => {
            let mut response = Response::new(ResponseBody::Empty);
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            response.headers_mut().insert(LOCATION, to);
            response
        }
        _ => {
            let mut response = Response::new(ResponseBody::from(format!(
                "This server is HTTPS-only on port {}, but an HTTP request was made and the host could not be \
                 determined from the request.",
                redirect.to
            )));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_the_port_of_https() {
        let check = |to: u16, is_explicit: bool, host: Option<&str>, expected: Option<&str>| {
            let mut request = Request::get("/a?b").body(RequestBody::Empty).expect("a request");
            if let Some(host) = host {
                request.headers_mut().insert(HOST, HeaderValue::from_str(host).expect("a host"));
            }
            let response = answer(&Redirect { port: 80, to, is_explicit }, &request);
            let location = response.headers().get(LOCATION).map(|location| location.to_str().expect("text"));
            assert_eq!(location, expected);
            assert_eq!(response.status().as_u16(), if expected.is_some() { 301 } else { 400 });
        };
        check(8443, false, Some("hub.example:8080"), Some("https://hub.example:8443/a?b"));
        check(443, false, Some("hub.example"), Some("https://hub.example/a?b"));
        check(443, true, Some("[::1]:80"), Some("https://[::1]:443/a?b"));
        check(443, false, None, None);
    }
}
