//! Cookies: how they are read from a request, and how ours are written.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

/// All values that came under `name`; several may, because path-scoped cookies of one name travel together.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    // Cookies of other programs travel in the same line, in whatever encoding: they must not hide ours.
    let pairs = headers.get_all(COOKIE).into_iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| std::str::from_utf8(pair).ok()).filter_map(move |pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// A cookie for the browser: always `Secure`, `HttpOnly` and `SameSite=Lax`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewCookie {
    name: String,
    value: String,
    path: String,
    age_s: Option<u64>,
}

impl NewCookie {
    /// A cookie that lives as long as the browser.
    pub(super) fn new(name: &str, value: &str, path: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned(), path: path.to_owned(), age_s: None }
    }

    /// The same, kept for `age_s` seconds.
    pub(super) fn kept_for(mut self, age_s: u64) -> Self {
        self.age_s = Some(age_s);
        self
    }

    /// Takes the cookie of that name and path away.
    pub(super) fn gone(name: &str, path: &str) -> Self {
        Self::new(name, "", path).kept_for(0)
    }

    /// The value of a `Set-Cookie` header.
    pub(super) fn to_header(&self) -> String {
        let Self { name, value, path, .. } = self;
        let age = self.age_s.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
        format!("{name}={value}; Path={path}{age}; Secure; HttpOnly; SameSite=Lax")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_a_name_is_seen_and_no_other() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "_xsrf=a; x_xsrf=no; _xsrf=b".parse().expect("ascii"));
        headers.append(COOKIE, "_xsrf=c".parse().expect("ascii"));
        headers.append(COOKIE, "other=\u{e9}; _xsrf=d".parse().expect("bytes"));
        assert_eq!(values(&headers, "_xsrf").collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_cookie_says_how_far_it_reaches() {
        assert_eq!(
            NewCookie::new("a", "b", "/hub/").kept_for(5).to_header(),
            "a=b; Path=/hub/; Max-Age=5; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(NewCookie::gone("a", "/").to_header(), "a=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
    }
}
