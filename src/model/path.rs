//! A request's path, checked once: what is routed, what the owner check sees and what is forwarded are one value.
//!
//! A path that is not its own normal form is refused, never repaired.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{BasePath, ServiceName, UserName};

/// Why a path is refused with status 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// `.` or `..`, also percent-encoded.
    #[error("the path contains a dot segment")]
    DotSegment,
    /// A backslash, also percent-encoded: some programs take it for a slash.
    #[error("the path contains a backslash")]
    Backslash,
    /// `"`, `<` or `>`: no browser sends them as they are, and RFC 3986 has them end an address.
    #[error("the path contains a character that must be percent-encoded")]
    Unencoded,
    /// A control byte, also percent-encoded.
    #[error("the path contains a control character")]
    Control,
    /// `%` without two hex digits, or bytes that are not UTF-8.
    #[error("the path is not valid percent-encoded UTF-8")]
    Encoding,
    /// `//` or `%2F` before the end of the route's prefix.
    #[error("the path contains an empty or a hidden segment")]
    HiddenSegment,
}

/// A path that is its own normal form: absolute, no dot segments, backslashes or control bytes, sound encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormalPath<'a>(&'a str);

impl<'a> NormalPath<'a> {
    /// Checks `raw`, the path of a request target without its query.
    ///
    /// # Errors
    /// What is wrong with it; the answer is 400.
    pub fn parse(raw: &'a str) -> Result<Self, PathError> {
        if !raw.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        let mut has_percent = false;
        let mut has_dot = false;
        for byte in raw.bytes() {
            match byte {
                b'\\' => return Err(PathError::Backslash),
                b'"' | b'<' | b'>' => return Err(PathError::Unencoded),
                0..=0x20 | 0x7f.. => return Err(PathError::Control),
                b'%' => has_percent = true,
                b'.' => has_dot = true,
                _ => {}
            }
        }
        if has_percent {
            check_encoding(raw)?;
        }
        if has_dot && raw.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(PathError::DotSegment);
        }
        Ok(Self(raw))
    }

    /// The path as it came, to be forwarded byte for byte.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The raw rest after `base`, or `None` if the path lies elsewhere. The base is compared decoded.
    ///
    /// # Errors
    /// If a segment up to there is empty or hides a slash.
    pub fn under(self, base: &BasePath) -> Result<Option<&'a str>, PathError> {
        let mut rest = &self.0[1..];
        for expected in base.as_str().split('/').filter(|segment| !segment.is_empty()) {
            let Some((segment, after)) = rest.split_once('/') else { return Ok(None) };
            if decode_segment(segment)? != expected {
                return Ok(None);
            }
            rest = after;
        }
        Ok(Some(rest))
    }
}

/// A path at or below `{base}user/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPath<'a> {
    /// The owner's segment, decoded.
    name: Cow<'a, str>,
    /// The raw rest after the name: empty, or beginning with a slash.
    pub rest: &'a str,
}

impl<'a> ServerPath<'a> {
    /// Reads `path` if it is a server's; `None` if it lies elsewhere.
    ///
    /// # Errors
    /// If the prefix hides a segment.
    pub fn parse(base: &BasePath, path: NormalPath<'a>) -> Result<Option<Self>, PathError> {
        let Some((name, rest)) = segments_below(base, "user", path)? else { return Ok(None) };
        Ok(Some(Self { name, rest }))
    }

    /// The owner, if the segment is a name in its stored form; else nobody's, which is answered like a stranger's.
    #[must_use]
    pub fn user(&self) -> Option<UserName> {
        UserName::from_path(&self.name)
    }

    /// True if `user` is the owner. The same as to compare with `user()`, which allocates.
    #[must_use]
    pub fn is_of(&self, user: &UserName) -> bool {
        self.name == user.as_str()
    }

    /// The first segment of the rest, decoded: the name of a named server, if there is one of that name.
    ///
    /// # Errors
    /// If it hides a slash.
    pub fn second(&self) -> Result<Option<Cow<'a, str>>, PathError> {
        let Some(rest) = self.rest.strip_prefix('/') else { return Ok(None) };
        let segment = rest.split('/').next().unwrap_or_default();
        if segment.is_empty() {
            return Ok(None);
        }
        decode_segment(segment).map(Some)
    }
}

/// A path at or below `{base}services/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePath<'a> {
    /// The service, if the segment is a name.
    pub service: Option<ServiceName>,
    /// The raw rest after the name: empty, or beginning with a slash.
    pub rest: &'a str,
}

impl<'a> ServicePath<'a> {
    /// Reads `path` if it is a service's; `None` if it lies elsewhere.
    ///
    /// # Errors
    /// If the prefix hides a segment.
    pub fn parse(base: &BasePath, path: NormalPath<'a>) -> Result<Option<Self>, PathError> {
        let Some((name, rest)) = segments_below(base, "services", path)? else { return Ok(None) };
        Ok(Some(Self { service: ServiceName::parse(&name).ok(), rest }))
    }
}

/// The decoded segment behind `{base}{family}/`, and the raw rest after it; `None` if `path` lies elsewhere.
fn segments_below<'a>(
    base: &BasePath,
    family: &str,
    path: NormalPath<'a>,
) -> Result<Option<(Cow<'a, str>, &'a str)>, PathError> {
    let Some(below_base) = path.under(base)? else { return Ok(None) };
    if below_base.is_empty() {
        return Ok(None);
    }
    let (first, after_first) = below_base.split_once('/').unwrap_or((below_base, ""));
    if decode_segment(first)? != family || first.len() == below_base.len() {
        return Ok(None);
    }
    let name_end = after_first.find('/').unwrap_or(after_first.len());
    Ok(Some((decode_segment(&after_first[..name_end])?, &after_first[name_end..])))
}

/// One segment of a route's prefix, decoded once.
pub(super) fn decode_segment(segment: &str) -> Result<Cow<'_, str>, PathError> {
    if segment.is_empty() {
        return Err(PathError::HiddenSegment);
    }
    if !segment.contains(['%', '/']) {
        return Ok(Cow::Borrowed(segment));
    }
    let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| PathError::Encoding)?;
    if decoded.contains('/') {
        return Err(PathError::HiddenSegment);
    }
    Ok(decoded)
}

fn check_encoding(raw: &str) -> Result<(), PathError> {
    let bytes = raw.as_bytes();
    for (at, _) in raw.match_indices('%') {
        let is_hex = |offset: usize| bytes.get(at + offset).is_some_and(u8::is_ascii_hexdigit);
        if !is_hex(1) || !is_hex(2) {
            return Err(PathError::Encoding);
        }
    }
    let decoded = percent_decode_str(raw).decode_utf8().map_err(|_| PathError::Encoding)?;
    if decoded.contains('\\') {
        return Err(PathError::Backslash);
    }
    if decoded.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err(PathError::Control);
    }
    // Also those that only somebody sees who decodes `%2F` first: `..%2F..%2Fbob`.
    if decoded.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(PathError::DotSegment);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_that_is_not_its_normal_form_is_refused() {
        let cases = [
            ("user/alice", PathError::NotAbsolute),
            ("/user/../alice", PathError::DotSegment),
            ("/user/%2e%2E/alice", PathError::DotSegment),
            ("/user/.%2e", PathError::DotSegment),
            ("/user/alice/..%2F..%2fbob", PathError::DotSegment),
            ("/user/alice/x%2f%2e", PathError::DotSegment),
            ("/./x", PathError::DotSegment),
            ("/user\\alice", PathError::Backslash),
            ("/user/a\"b", PathError::Unencoded),
            ("/user/<b>", PathError::Unencoded),
            ("/user%5calice", PathError::Backslash),
            ("/user/a%00", PathError::Control),
            ("/user/a b", PathError::Control),
            ("/user/ü", PathError::Control),
            ("/user/a%0d%0a", PathError::Control),
            ("/user/%", PathError::Encoding),
            ("/user/%4", PathError::Encoding),
            ("/user/%zz", PathError::Encoding),
            ("/user/%ff", PathError::Encoding),
        ];
        for (path, error) in cases {
            assert_eq!(NormalPath::parse(path), Err(error), "{path}");
        }
    }

    #[test]
    fn legal_oddities_pass_untouched() {
        for path in [
            "/",
            "/user/alice/files//a",
            "/user/a%40b/x",
            "/user/a@b/%7E~",
            "/user/alice/a%2Fb",
            "/user/alice/...",
            "/x/.hidden",
        ] {
            assert_eq!(NormalPath::parse(path).map(NormalPath::as_str), Ok(path));
        }
    }

    #[test]
    fn a_servers_path_names_its_owner() {
        let base = BasePath::parse("/j").expect("plain");
        let alice = UserName::parse("alice").expect("a name");
        let parse = |path| {
            let parsed = ServerPath::parse(&base, NormalPath::parse(path).expect("normal"))?;
            Ok(parsed.map(|parsed| {
                assert_eq!(parsed.is_of(&alice), parsed.user().as_ref() == Some(&alice), "{path}");
                (parsed.user(), parsed.rest)
            }))
        };
        assert_eq!(parse("/j/user/alice/lab?"), Ok(Some((Some(alice.clone()), "/lab?"))));
        assert_eq!(parse("/j/user/%61lice"), Ok(Some((Some(alice.clone()), ""))));
        assert_eq!(parse("/j/user/Alice/"), Ok(Some((None, "/"))));
        assert_eq!(parse("/user/alice/"), Ok(None));
        assert_eq!(parse("/j/hub/home"), Ok(None));
        assert_eq!(parse("/j/user"), Ok(None));
        assert_eq!(parse("/j/user//alice"), Err(PathError::HiddenSegment));
        assert_eq!(parse("/j/user/a%2Fb/"), Err(PathError::HiddenSegment));
        assert_eq!(parse("/j//user/alice"), Err(PathError::HiddenSegment));
        assert_eq!(parse("/j/"), Ok(None));
    }

    #[test]
    fn a_services_path_names_it() {
        let base = BasePath::parse("/j").expect("plain");
        let parse = |path| ServicePath::parse(&base, NormalPath::parse(path).expect("normal"));
        let service = Some(ServiceName::parse("x").expect("a name"));
        assert_eq!(parse("/j/services/x"), Ok(Some(ServicePath { service: service.clone(), rest: "" })));
        assert_eq!(parse("/j/services/%78//a"), Ok(Some(ServicePath { service, rest: "//a" })));
        assert_eq!(parse("/j/services/a,b/"), Ok(Some(ServicePath { service: None, rest: "/" })));
        assert_eq!(parse("/j/services"), Ok(None));
        assert_eq!(parse("/services/x/"), Ok(None));
        assert_eq!(parse("/j/services/x%2Fy/"), Err(PathError::HiddenSegment));
        assert_eq!(parse("/j/services//x"), Err(PathError::HiddenSegment));
    }

    proptest! {
        #[test]
        fn no_path_panics_and_none_that_passes_has_a_dot_segment(path in "/[a-z./%\\\\2eE5cF0 ]{0,24}") {
            if let Ok(normal) = NormalPath::parse(&path) {
                let decoded = percent_decode_str(normal.as_str()).decode_utf8().expect("checked");
                // A `%2F` in the tail is data, not a separator; only real segments count.
                if !normal.as_str().to_ascii_lowercase().contains("%2f") {
                    prop_assert!(decoded.split('/').all(|segment| segment != "." && segment != ".."));
                }
            }
        }
    }

    #[test]
    fn fuzzed_paths_lead_to_one_server_however_they_are_read() {
        let words = [
            "/user/", "/hub/", "..", "%2e", "%2E%2e", "%2f", "%5c", "//", "%00", "%25", "alice", "bob", "%c3%a4",
            "/./", ";",
        ];
        crate::fuzz::fuzz!("path", &words, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
            let path = match NormalPath::parse(text) {
                Ok(path) => path,
                Err(error) => return crate::fuzz::outcome(error.to_string()),
            };
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8().expect("it was checked");
            assert!(!decoded.chars().any(|c| c == '\\' || c.is_ascii_control()), "{decoded:?}");
            assert!(!decoded.split('/').any(|segment| segment == "." || segment == ".."), "{decoded:?}");
            let base = BasePath::parse("/").expect("a base");
            match ServerPath::parse(&base, path) {
                // Whoever decodes first and splits then comes to the same owner.
                Ok(Some(server)) => {
                    let owner = decoded.strip_prefix("/user/").and_then(|rest| rest.split('/').next());
                    assert_eq!(Some(&*server.name), owner, "{text:?}");
                    assert!(text.ends_with(server.rest), "{text:?}");
                    crate::fuzz::outcome((1, server.rest.len().min(3), server.user().is_some()))
                }
                Ok(None) => {
                    assert!(!decoded.starts_with("/user/"), "{text:?} leads to a server for whoever decodes first");
                    crate::fuzz::outcome(2)
                }
                Err(error) => crate::fuzz::outcome((3, error.to_string())),
            }
        });
    }
}
