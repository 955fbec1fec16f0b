//! Our session cookie is shown to nobody behind us.

use http::header::{COOKIE, HeaderMap, HeaderValue};

use crate::model::SESSION_COOKIE_STEM;

/// Removes our sessions from `Cookie`, in every spelling that somebody reads as such; the rest becomes one line.
pub(super) fn hide_sessions(headers: &mut HeaderMap, session_cookie: &str) {
    let is_ours = |name: &str| name == session_cookie || name.starts_with(SESSION_COOKIE_STEM);
    let lines = headers.get_all(COOKIE).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    let mut kept = Vec::new();
    for line in lines {
        for pair in line.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            // A nameless `=x=y` or `x` reads as a cookie named `x` in some parsers.
            if !pair.split('=').take(2).any(|name| is_ours(name.trim())) {
                kept.push(pair.to_owned());
            }
        }
    }
    headers.remove(COOKIE);
    if let Some(value) = HeaderValue::from_str(&kept.join("; ")).ok().filter(|value| !value.is_empty()) {
        headers.insert(COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_hidden_in_every_spelling() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; __Host-Http-slipway-abc=secret; b=2"));
        headers.append(COOKIE, HeaderValue::from_static("own=secret;=own=secret; own ; c"));
        hide_sessions(&mut headers, "own");
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c"]);
        headers.insert(COOKIE, HeaderValue::from_static("own=secret"));
        hide_sessions(&mut headers, "own");
        assert!(!headers.contains_key(COOKIE));
    }
}
