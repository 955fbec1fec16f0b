//! Where a person goes next: the contract's rule for `next=` (§3.2), which no open redirect passes.
//!
//! Pure: what is allowed depends on the text and on our own origin, nothing else.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::form::query_encode;

/// What cannot stand in a `Location` header as it is.
const NOT_IN_LOCATION: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// A `next` that stays on this site: path, query and fragment; `None` if it is absent or leads elsewhere.
///
/// `origin` is `https://host[:port]` as the browser sees us.
pub(super) fn next_url(next: Option<&str>, origin: &str) -> Option<String> {
    let next = next.filter(|text| !text.is_empty())?;
    // Browsers drop tabs and line ends inside an address: `/<tab>/evil` would be `//evil` to them.
    if next.chars().any(char::is_control) {
        return None;
    }
    // Some browsers take a backslash for a slash.
    let mut next = next.replace('\\', "%5C");
    if next.starts_with("///") {
        next = format!("//{}", next.trim_start_matches('/'));
    }
    let host = origin.split_once("//").map_or(origin, |(_, host)| host);
    let after_host = next.strip_prefix(origin).or_else(|| next.strip_prefix("//")?.strip_prefix(host));
    if let Some(path) = after_host.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        next = format!("/{}", path.trim_start_matches('/'));
    }
    let is_path = next.starts_with('/') && !next.starts_with("//");
    is_path.then(|| utf8_percent_encode(&next, NOT_IN_LOCATION).to_string())
}

/// `default` with the other parameters of the request's query, as JupyterHub carries them on.
pub(super) fn with_other_parameters(default: &str, query: Option<&str>) -> String {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let others = pairs.filter(|(key, _)| key != "next" && key != "_xsrf");
    let others =
        others.map(|(key, value)| format!("{}={}", query_encode(&key), query_encode(&value))).collect::<Vec<_>>();
    if others.is_empty() {
        return default.to_owned();
    }
    let separator = if default.contains('?') { '&' } else { '?' };
    format!("{default}{separator}{}", others.join("&"))
}

/// `page?next=<next>`.
pub(super) fn with_next(page: &str, next: &str) -> String {
    format!("{page}?next={}", query_encode(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(origin: &str, next: &str, expected: Option<&str>) {
        assert_eq!(next_url(Some(next), origin).as_deref(), expected, "{next:?} at {origin}");
    }

    #[test]
    fn the_contracts_examples_hold() {
        let origin = "http://same-host";
        check(origin, "/foo?x=1", Some("/foo?x=1"));
        check(origin, "/\\evil", Some("/%5Cevil"));
        check("http://same", "http://same//evil.com", Some("/evil.com"));
        for dropped in [
            "http://evil/",
            "//evil",
            "///evil",
            "\\\\evil",
            "foo",
            "javascript:alert(1)",
            "https://same-host/hub/home",
            "http:///evil",
            "%2Fhub",
            "",
        ] {
            check(origin, dropped, None);
        }
        assert_eq!(next_url(None, origin), None);
    }

    #[test]
    fn our_own_address_is_reduced_to_a_path() {
        let origin = "https://hub.example:8443";
        check(origin, "https://hub.example:8443/user/a/lab?x=1#cell", Some("/user/a/lab?x=1#cell"));
        check(origin, "https://hub.example:8443", Some("/"));
        check(origin, "//hub.example:8443/x", Some("/x"));
        check(origin, "////hub.example:8443//x", Some("/x"));
        check(origin, "https://hub.example/x", None);
        check(origin, "https://hub.example:8443@evil/", None);
        check(origin, "https://hub.example:8443.evil/", None);
        check(origin, "HTTPS://hub.example:8443/x", None);
    }

    #[test]
    fn what_browsers_would_repair_is_dropped_or_encoded() {
        let origin = "https://h";
        check(origin, "/\t/evil", None);
        check(origin, "/\r\nSet-Cookie: x=y", None);
        check(origin, "/a b\"ü", Some("/a%20b%22%C3%BC"));
        check(origin, "/user/a/files/b//c", Some("/user/a/files/b//c"));
    }

    #[test]
    fn other_parameters_travel_on() {
        assert_eq!(with_other_parameters("/x", Some("next=%2Fy&_xsrf=z")), "/x");
        assert_eq!(with_other_parameters("/x", Some("a=1%202&next=/y")), "/x?a=1+2");
        assert_eq!(with_other_parameters("/x?b=1", Some("a=")), "/x?b=1&a=");
    }

    proptest! {
        /// Whatever is asked for, the answer is one slash and then something that is neither slash nor backslash,
        /// all in visible ASCII: a browser stays on this origin.
        #[test]
        fn no_next_leaves_the_site(next in "[/\\\\:@?#%a-z.h\\t \\r\\nü]{0,24}") {
            if let Some(url) = next_url(Some(&next), "https://h") {
                prop_assert!(url.starts_with('/') && !url.starts_with("//") && !url.contains('\\'));
                prop_assert!(url.bytes().all(|byte| (0x21..0x7f).contains(&byte)));
            }
        }
    }

    #[test]
    fn fuzzed_next_addresses_stay_on_this_site() {
        let words = [
            "//",
            "///",
            "/\\",
            "\\",
            "https://hub.example",
            "https://evil",
            "//hub.example",
            "@",
            ":",
            "%2f",
            "%5c",
            "\t",
            "?",
            "#",
            "javascript:",
            "/hub/",
            "\u{2044}",
            "\u{ff0f}",
            "hub.example.evil",
            ".",
        ];
        crate::fuzz::fuzz!("next", &words, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
            let Some(next) = next_url(Some(text), "https://hub.example") else { return crate::fuzz::outcome(0) };
            // A browser takes away tabs and line ends and reads a backslash as a slash; then two slashes begin a host.
            assert!(next.starts_with('/') && !next.starts_with("//"), "{text:?} became {next:?}");
            assert!(!next.bytes().any(|byte| byte == b'\\' || byte <= b' ' || byte == 127), "{text:?} became {next:?}");
            assert_eq!(next_url(Some(&next), "https://hub.example").as_deref(), Some(&*next), "{text:?}");
            crate::fuzz::outcome((text.starts_with('/'), next.len().cmp(&text.len()), next.contains('%')))
        });
    }
}
