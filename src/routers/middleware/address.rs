//! A request's path, rewritten: what comes out is a path in its normal form again, or the request is refused.
//!
//! A rewrite must not bring in what the edge has refused: `..`, control bytes, another authority.

use http::header::HeaderValue;
use http::uri::PathAndQuery;
use http::{Request, StatusCode, Uri};

use super::Step;
use super::answer::plain;
use crate::model::NormalPath;
use crate::net::RequestBody;
use crate::routers::{Fields, Problem};

/// Marks a request of whose path nothing is left. Whoever gets it sees `/`, but what is put before it ends without a slash,
/// as with Traefik: of `/api` with `/api` stripped and `/v2` added becomes `/v2`, not `/v2/`.
#[derive(Clone, Copy, Debug)]
struct NothingLeft;

/// The request's path as the middlewares before have left it; empty if they left nothing.
pub(super) fn path_of(request: &Request<RequestBody>) -> &str {
    if request.extensions().get::<NothingLeft>().is_some() { "" } else { request.uri().path() }
}

/// The request with what is left of its path, `rest`, after something was stripped; 400 if that is no path.
pub(super) fn with_rest(request: Request<RequestBody>, rest: &str) -> Step {
    match with_path(request, &with_slash(rest)) {
        Step::Pass(mut request) if rest.is_empty() => {
            request.extensions_mut().insert(NothingLeft);
            Step::Pass(request)
        }
        step => step,
    }
}

/// The request with `path` in place of its own; its query stays. 400 if that is no path.
pub(super) fn with_path(mut request: Request<RequestBody>, path: &str) -> Step {
    match replaced(request.uri(), path) {
        Some(uri) => {
            *request.uri_mut() = uri;
            request.extensions_mut().remove::<NothingLeft>();
            Step::Pass(request)
        }
        None => Step::Answer(plain(StatusCode::BAD_REQUEST)),
    }
}

/// Notes a path (or a prefix of one) in a header of the request.
pub(super) fn note(request: &mut Request<RequestBody>, name: &'static str, path: &str) {
    // A request's path is ASCII without control bytes, and so is what was read: it always is a header's value.
    if let Ok(value) = HeaderValue::from_str(path) {
        request.headers_mut().append(name, value);
    }
}

fn replaced(uri: &Uri, path: &str) -> Option<Uri> {
    NormalPath::parse(path).ok()?;
    // Not only in the beginning of a path: `//host` there reads as an authority in some programs.
    if path.starts_with("//") || path.contains(['?', '#']) {
        return None;
    }
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let target = PathAndQuery::try_from(target).ok()?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).ok()
}

/// What people write as a path, as it stands in a request: other characters percent-encoded, `%xx` as it is.
pub(super) fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 8);
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
            | b':' | b'@' | b'/' | b'%' => out.push(char::from(byte)),
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    out
}

/// How much of `raw` is `prefix`, which people write decoded; none if `raw` does not begin with it.
pub(super) fn prefix_length(raw: &str, prefix: &str) -> Option<usize> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    for expected in prefix.bytes() {
        let (byte, length) = match (bytes.get(at)?, bytes.get(at + 1..at + 3)) {
            (b'%', Some(hex)) if expected != b'%' || hex == b"25" => {
                (u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?, 3)
            }
            (byte, _) => (*byte, 1),
        };
        // A hidden slash is data of its segment, not the end of it.
        if byte != expected || (expected == b'/' && length == 3) {
            return None;
        }
        at += length;
    }
    Some(at)
}

/// `rest` as a path: with one slash in the beginning.
fn with_slash(rest: &str) -> String {
    format!("/{}", rest.trim_start_matches('/'))
}

/// A path that a middleware is to put in, or before one.
///
/// # Errors
/// It is missing, or no path.
pub(super) fn take_path(fields: &mut Fields, name: &'static str) -> Result<String, Problem> {
    let path = fields.take_text(name)?.filter(|path| !path.is_empty());
    let Some(path) = path else { return Err(fields.problem(format!("{name} is missing"))) };
    let path = encoded(&with_slash(&path));
    NormalPath::parse(&path)
        .map_err(|error| fields.problem(format!("{name} = {}: {error}", super::super::quoted(&path))))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewrite_that_is_no_normal_path_is_refused() {
        let rewrite = |path: &str| replaced(&Uri::from_static("/a?b=c"), path).map(|uri| uri.to_string());
        assert_eq!(rewrite("/x/y"), Some("/x/y?b=c".to_owned()));
        assert_eq!(rewrite("/%C3%BC"), Some("/%C3%BC?b=c".to_owned()));
        for path in ["", "x", "/../x", "/%2e%2e/x", "//evil.example/x", "/x\r\ny", "/x?y", "/x#y", "/a b", "/%zz", "/ü"]
        {
            assert_eq!(rewrite(path), None, "{path:?}");
        }
    }

    #[test]
    fn a_prefix_is_found_however_it_is_encoded() {
        assert_eq!(prefix_length("/api/x", "/api"), Some(4));
        assert_eq!(prefix_length("/%61pi/x", "/api"), Some(6));
        assert_eq!(prefix_length("/%C3%BC/x", "/ü"), Some(7));
        assert_eq!(prefix_length("/a%25b", "/a%b"), Some(6));
        assert_eq!(prefix_length("/ap", "/api"), None);
        assert_eq!(prefix_length("/a%2Fb", "/a/b"), None);
        assert_eq!(prefix_length("/a%2", "/a\u{2}"), None);
    }

    #[test]
    fn what_people_write_is_encoded_once() {
        assert_eq!(encoded("/a b/ü?x#y%20"), "/a%20b/%C3%BC%3Fx%23y%20");
    }
}
