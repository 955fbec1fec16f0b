//! Keeps secrets out of lines: those that addresses sometimes carry, ours and those of pages that people come from.
//!
//! `User-Agent` is escaped and cut, not searched: what a program calls itself it tells every server.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Query parameters whose values open doors.
const SECRETS: [&str; 4] = ["token", "code", "_xsrf", "state"];

/// What follows this in a path opens doors, too (a deprecated endpoint of JupyterHub's).
const SECRETS_BELOW: &str = "/hub/api/authorizations/";

/// The target with the values of secret parameters hidden, also inside a `next=` that carries an address.
pub(in crate::telemetry) fn without_secrets(target: &str) -> Cow<'_, str> {
    if let Some((before, _)) = target.split_once(SECRETS_BELOW) {
        return format!("{before}{SECRETS_BELOW}***").into();
    }
    let Some((path, query)) = target.split_once('?') else { return target.into() };
    let mut clean = String::with_capacity(target.len());
    clean.push_str(path);
    for (index, part) in query.split('&').enumerate() {
        clean.push(if index == 0 { '?' } else { '&' });
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let decoded_key = percent_encoding::percent_decode_str(key).decode_utf8_lossy();
        // An address within the query carries its own parameters, encoded once or more.
        let decoded_value = percent_encoding::percent_decode_str(value).decode_utf8_lossy().to_ascii_lowercase();
        let is_nested = SECRETS.iter().any(|secret| {
            [format!("{secret}="), format!("{secret}%3d")].iter().any(|text| decoded_value.contains(text.as_str()))
        });
        if !value.is_empty() && (SECRETS.contains(&&*decoded_key) || is_nested) {
            let _ = write!(clean, "{key}=***");
        } else {
            clean.push_str(part);
        }
    }
    clean.into()
}

/// The same of a whole address, as in `Referer`: without the name and password that may stand before its host.
pub(super) fn address_without_secrets(address: &[u8]) -> String {
    let text = String::from_utf8_lossy(address);
    let (scheme, rest) = text.split_once("://").unwrap_or(("", &text));
    let end_of_host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, target) = rest.split_at(end_of_host);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{host}{}", without_secrets(target))
}

/// Nothing in a field may end the line, the field, or speak to a terminal.
pub(super) fn escape(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\' | ' ');
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut escaped, c| {
        if is_plain(c) {
            escaped.push(c);
        } else {
            let _ = write!(escaped, "\\u{{{:x}}}", c as u32);
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_out_of_the_log() {
        for (target, expected) in [
            ("/a", "/a"),
            ("/a?b=c", "/a?b=c"),
            ("/a?token=abc&b=c", "/a?token=***&b=c"),
            ("/a?b=c&code=abc&state=x", "/a?b=c&code=***&state=***"),
            ("/a?%74oken=abc", "/a?%74oken=***"),
            ("/a?mytoken=abc", "/a?mytoken=abc"),
            ("/hub/login?next=%2Fuser%2Fa%2Flab%3Ftoken%3Dabc", "/hub/login?next=***"),
            ("/hub/login?next=%2Fuser%2Fa%2Flab%253Ftoken%253Dabc", "/hub/login?next=***"),
            ("/hub/login?next=%2Fuser%2Fa%2Flab", "/hub/login?next=%2Fuser%2Fa%2Flab"),
        ] {
            assert_eq!(without_secrets(target), expected, "{target}");
        }
    }

    #[test]
    fn secrets_stay_out_of_referers() {
        for (address, expected) in [
            ("https://a.example/x?token=abc&b=c", "https://a.example/x?token=***&b=c"),
            ("https://alice:secret@a.example/x", "https://a.example/x"),
            ("https://alice:secret@a.example", "https://a.example"),
            ("https://a.example?token=abc", "https://a.example?token=***"),
            ("https://a.example/mail@b", "https://a.example/mail@b"),
            ("/x?token=abc", "/x?token=***"),
            ("", ""),
        ] {
            assert_eq!(address_without_secrets(address.as_bytes()), expected, "{address}");
        }
        assert_eq!(address_without_secrets(b"https://a/\xff"), "https://a/\u{fffd}");
    }
}
