//! The REST API by which a hub sets routes: `/api/routes[/<key>]`.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tracing::{debug, error, info, warn};

use super::Chp;
use super::json::{Json, Object};
use super::table::{Route, clean_key};
use super::time;
use crate::model::{Timestamp, same_secret};
use crate::net::{RequestBody, ResponseBody};

/// Bytes of a body. 1 MiB: a hub's are some hundred bytes.
const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// What is said with a status that is no success.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// Wrong token or none.
    #[error("")]
    Forbidden,
    /// No such route.
    #[error("")]
    NoRoute,
    #[error("Not Found")]
    NotFound,
    #[error("Method not supported")]
    Method,
    #[error("{0}")]
    Bad(String),
    #[error("Body is longer than {BODY_LIMIT_BYTES} bytes")]
    TooLong,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NoRoute | Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

/// Answers `request` and logs that.
pub(super) async fn answer(chp: &Chp, request: Request<RequestBody>) -> Response<ResponseBody> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let (response, said) = match dispatch(chp, request).await {
        Ok(response) => (response, String::new()),
        Err(refusal) => {
            let said = refusal.to_string();
            let mut response = Response::new(ResponseBody::from(said.clone()));
            *response.status_mut() = refusal.status();
            (response, said)
        }
    };
    let status = response.status();
    chp.metrics.api_request(status);
    let (code, path) = (status.as_str(), uri.path());
    match status.as_u16() {
        ..400 => info!("{code} {method} {path} {said}"),
        400..500 => warn!("{code} {method} {path} {said}"),
        _ => error!("{code} {method} {path} {said}"),
    }
    response
}

async fn dispatch(chp: &Chp, request: Request<RequestBody>) -> Result<Response<ResponseBody>, Refusal> {
    let (parts, body) = request.into_parts();
    let rest = parts.uri.path().strip_prefix("/api/routes").ok_or(Refusal::NotFound)?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return Err(Refusal::NotFound);
    }
    let is_bare = rest.is_empty();
    let path = decode(rest);
    match parts.method {
        Method::GET => {
            authorize(chp, &parts.headers)?;
            let path = path?;
            if path.is_empty() || path == "/" { list(chp, parts.uri.query()) } else { get(chp, &path) }
        }
        Method::POST => {
            let path = path?;
            // Read before anybody is asked who they are, as configurable-http-proxy does.
            let data = read(body).await?;
            authorize(chp, &parts.headers)?;
            add(chp, if is_bare { "/" } else { &path }, data)
        }
        // «All of them» is not what is meant, and the root route is `/api/routes/`.
        Method::DELETE if is_bare => Err(Refusal::Method),
        Method::DELETE => {
            authorize(chp, &parts.headers)?;
            remove(chp, &path?)
        }
        _ => Err(Refusal::Method),
    }
}

fn decode(path: &str) -> Result<String, Refusal> {
    let bytes = path.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let is_sound = path.match_indices('%').all(|(at, _)| is_hex(at + 1) && is_hex(at + 2));
    let decoded = percent_decode_str(path).decode_utf8().ok().filter(|_| is_sound);
    decoded
        .map(|decoded| decoded.into_owned())
        .ok_or_else(|| Refusal::Bad("Path is not valid percent-encoded UTF-8".into()))
}

/// The caller must show our token behind the word `token`, wherever in the header.
fn authorize(chp: &Chp, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(expected) = &chp.config.auth_token else { return Ok(()) };
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(token_of);
    if shown.is_some_and(|shown| same_secret(shown, expected.expose())) {
        return Ok(());
    }
    debug!(
        "Rejecting API request: {}",
        if headers.contains_key(AUTHORIZATION) { "wrong token" } else { "no authorization" }
    );
    Err(Refusal::Forbidden)
}

/// What `/token\s+(\S+)/` finds.
fn token_of(header: &str) -> Option<&str> {
    header.match_indices("token").find_map(|(at, word)| {
        let behind = &header[at + word.len()..];
        let token = behind.trim_start();
        let has_space = token.len() < behind.len();
        token.split_whitespace().next().filter(|_| has_space)
    })
}

async fn read(body: RequestBody) -> Result<Object, Refusal> {
    let body = Limited::new(body, BODY_LIMIT_BYTES).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { Refusal::TooLong } else { Refusal::Bad("Body could not be read".into()) }
    })?;
    let body = body.to_bytes();
    let not_json = |error: &dyn std::fmt::Display| Refusal::Bad(format!("Body not valid JSON: SyntaxError: {error}"));
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(not_json(&"Unexpected end of JSON input"));
    }
    match serde_json::from_slice::<Json>(&body) {
        Ok(Json::Object(object)) => Ok(object),
        // Nothing else has a target.
        Ok(_) => Ok(Object::default()),
        Err(error) => Err(not_json(&error)),
    }
}

fn add(chp: &Chp, path: &str, data: Object) -> Result<Response<ResponseBody>, Refusal> {
    let Some(target) = data.get("target").and_then(Json::as_text).map(str::to_owned) else {
        warn!("Bad POST data: no target");
        return Err(Refusal::Bad("Must specify 'target' as string".into()));
    };
    chp.add_route(path, data, &target);
    chp.metrics.api_route_add.fetch_add(1, Ordering::Relaxed);
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

fn remove(chp: &Chp, path: &str) -> Result<Response<ResponseBody>, Refusal> {
    let key = clean_key(path);
    chp.metrics.api_route_delete.fetch_add(1, Ordering::Relaxed);
    if !chp.table.remove(&key) {
        return Err(Refusal::NoRoute);
    }
    info!("Removing route {key}");
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

fn get(chp: &Chp, path: &str) -> Result<Response<ResponseBody>, Refusal> {
    let table = chp.table.current();
    let route = table.get(&clean_key(path)).ok_or(Refusal::NoRoute)?;
    Ok(json(&route.listing()))
}

fn list(chp: &Chp, query: Option<&str>) -> Result<Response<ResponseBody>, Refusal> {
    let inactive_since = inactive_since(query.unwrap_or_default())?;
    let mut routes = chp.table.current().list();
    if let Some(limit) = inactive_since {
        routes.retain(|route| route.last_activity() < limit);
    }
    chp.metrics.api_route_get.fetch_add(1, Ordering::Relaxed);
    Ok(json(&Listing(routes)))
}

fn inactive_since(query: &str) -> Result<Option<Timestamp>, Refusal> {
    let find = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value).filter(|value| !value.is_empty())
    };
    let Some(text) = find("inactiveSince").or_else(|| find("inactive_since")) else { return Ok(None) };
    match time::parse(&text) {
        Some(time) => Ok(Some(time)),
        None => Err(Refusal::Bad(format!("Invalid datestamp '{text}' must be ISO8601."))),
    }
}

/// All routes as one object.
struct Listing(Vec<Arc<Route>>);

impl Serialize for Listing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for route in &self.0 {
            map.serialize_entry(&route.key, &route.listing())?;
        }
        map.end()
    }
}

fn json(value: &impl Serialize) -> Response<ResponseBody> {
    // What was read as JSON can be written as JSON.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(ResponseBody::from(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_wherever_the_word_stands() {
        assert_eq!(token_of("token abc"), Some("abc"));
        assert_eq!(token_of("token  abc def"), Some("abc"));
        assert_eq!(token_of("my token abc"), Some("abc"));
        assert_eq!(token_of("tokentoken abc"), Some("abc"));
        assert_eq!(token_of("Token abc"), None);
        assert_eq!(token_of("Bearer abc"), None);
        assert_eq!(token_of("token"), None);
        assert_eq!(token_of("token "), None);
        assert_eq!(token_of("tokenabc"), None);
    }
}
